import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.imaging.unring import slice_axis, unring

# How much finer than its voxels the scanned object is described.
FINENESS = 5


def ringing_ellipse(nx, ny, n_slices=1):
    """An off-centre ellipse with a hole: as the mean over each voxel, and as scanned with few k-space lines."""
    x, y = np.meshgrid(
        (np.arange(nx * FINENESS) - FINENESS // 2) / FINENESS, (np.arange(ny * FINENESS) - FINENESS // 2) / FINENESS,
        indexing="ij",
    )  # fmt: skip
    radius = np.hypot((x - 0.47 * nx) / (0.36 * nx), (y - 0.52 * ny) / (0.33 * ny))
    fine = np.where(radius < 0.4, 30.0, np.where(radius < 1, 100.0, 0.0))
    truth = fine.reshape(nx, FINENESS, ny, FINENESS).mean(axis=(1, 3))
    spectrum = np.fft.fft2(np.roll(fine, -(FINENESS // 2), axis=(0, 1)))
    kept = [np.fft.fftfreq(n, 1 / n).astype(int) for n in (nx, ny)]
    scanned = np.abs(np.fft.ifft2(spectrum[np.ix_(*kept)])) / FINENESS**2
    stack = [np.repeat(image[:, :, None, None], n_slices, axis=2) for image in (truth, scanned)]
    return stack[0], stack[1].astype(np.float32)


def as_series(signal, sizes=(2.5, 2.5, 5.0)):
    n = signal.shape[3]
    return DwiSeries(signal, np.diag([*sizes, 1.0]), GradientTable(np.zeros(n), np.zeros((n, 3))))


def rmse(signal, truth):
    return float(np.sqrt(np.mean((signal - truth) ** 2)))


@pytest.mark.parametrize("size", [(64, 48), (61, 53), (45, 63), (70, 49), (160, 80)])
def test_unringing_lowers_the_error_at_any_matrix_size(size):
    truth, scanned = ringing_ellipse(*size)
    unrung = unring(as_series(scanned), engine="kit").signal
    assert rmse(unrung, truth) < 0.95 * rmse(scanned, truth)


def test_ringing_inside_a_flat_region_is_mostly_gone():
    truth, scanned = ringing_ellipse(96, 96)
    x, y = np.indices((96, 96))
    radius = np.hypot((x - 0.47 * 96) / (0.36 * 96), (y - 0.52 * 96) / (0.33 * 96))
    flat = (radius > 0.55) & (radius < 0.85)
    unrung = unring(as_series(scanned), engine="kit").signal
    assert rmse(unrung[flat], truth[flat]) < 0.4 * rmse(scanned[flat], truth[flat])


def test_dipy_unrings_the_same_slices():
    truth, scanned = ringing_ellipse(48, 40, n_slices=2)
    series = as_series(np.moveaxis(scanned, 2, 0).copy(), sizes=(5.0, 2.0, 2.0))
    before = series.signal.copy()
    unrung = unring(series, engine="dipy").signal
    expected = unring(as_series(scanned), engine="dipy").signal
    np.testing.assert_allclose(unrung, np.moveaxis(expected, 2, 0), rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(series.signal, before)
    flat = truth[:, :, 0, 0] == 100
    assert rmse(expected[flat], 100) < rmse(scanned[flat], 100)


@pytest.mark.parametrize("normal", [0, 1, 2])
def test_the_kit_works_within_slices_whichever_axis_is_across(normal):
    _, scanned = ringing_ellipse(48, 40, n_slices=3)
    sizes = np.insert([2.0, 2.0], normal, 5.0)
    turned = unring(as_series(np.moveaxis(scanned, 2, normal).copy(), sizes=sizes), engine="kit").signal
    straight = unring(as_series(scanned), engine="kit").signal
    np.testing.assert_allclose(np.moveaxis(turned, normal, 2), straight, atol=1e-4)


def test_slices_and_volumes_do_not_touch_each_other():
    _, scanned = ringing_ellipse(48, 40, n_slices=2)
    series = np.concatenate([scanned, 0.3 * scanned], axis=3)
    series[:, :, 1] = 7.0
    unrung = unring(as_series(series), engine="kit").signal
    np.testing.assert_allclose(unrung[:, :, 1], 7.0, rtol=1e-5)
    np.testing.assert_allclose(unrung[:, :, 0, 1], 0.3 * unrung[:, :, 0, 0], atol=0.05)


def test_a_smooth_image_is_left_alone():
    x, y = np.indices((60, 50))
    smooth = (100 + 20 * np.cos(2 * np.pi * x / 60) + 10 * np.sin(2 * np.pi * y / 50)).astype(np.float32)
    unrung = unring(as_series(smooth[:, :, None, None]), engine="kit").signal[:, :, 0, 0]
    np.testing.assert_allclose(unrung, smooth, atol=0.2)


def test_the_signal_stays_non_negative_and_single_precision():
    _, scanned = ringing_ellipse(64, 48)
    unrung = unring(as_series(scanned), engine="kit").signal
    assert unrung.min() >= 0
    assert unrung.dtype == np.float32
    assert unrung.flags.c_contiguous


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((2.5, 2.5, 5.0), 2), ((6.0, 1.5, 1.5), 0), ((2.0, 2.0, 2.0), 2), ((2.0, 2.0001, 1.9999), 2)],
)
def test_the_slice_axis_is_the_longest_edge_and_the_last_among_equals(sizes, expected):
    assert slice_axis(np.array(sizes)) == expected
