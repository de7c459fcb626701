import numpy as np
import pytest

from dtimuscle import threads
from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.imaging.unring import find_sampling, is_zero_filled, slice_axis, unring
from dtimuscle.issues import Severity

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


def zero_filled(image, size, noise=None):
    """Interpolate a slice by zeros around its k-space, as scanners do, before the magnitude is taken."""
    noisy = image + (0 if noise is None else noise)
    filled = np.zeros(size, dtype=complex)
    x, y = (n // 2 - m // 2 for n, m in zip(size, image.shape, strict=True))
    filled[x : x + image.shape[0], y : y + image.shape[1]] = np.fft.fftshift(np.fft.fft2(noisy))
    return np.abs(np.fft.ifft2(np.fft.ifftshift(filled))).astype(np.float32) * np.prod(size) / image.size


def noise(shape, sd, seed=0):
    real, imaginary = np.random.default_rng(seed).normal(0, sd, (2, *shape))
    return real + 1j * imaginary


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


def ring_of_contrasts(nx, ny, contrasts):
    """The same ellipse in several volumes whose inner and outer part decay differently, as mean and as scanned."""
    x, y = np.meshgrid(*[(np.arange(n * FINENESS) - FINENESS // 2) / FINENESS for n in (nx, ny)], indexing="ij")
    radius = np.hypot((x - 0.47 * nx) / (0.36 * nx), (y - 0.52 * ny) / (0.33 * ny))
    truths, scans = [], []
    for inner, outer in contrasts:
        fine = np.where(radius < 0.4, inner, np.where(radius < 1, outer, 0.0))
        truths.append(fine.reshape(nx, FINENESS, ny, FINENESS).mean(axis=(1, 3)))
        spectrum = np.fft.fft2(np.roll(fine, -(FINENESS // 2), axis=(0, 1)))
        kept = [np.fft.fftfreq(n, 1 / n).astype(int) for n in (nx, ny)]
        scans.append(np.abs(np.fft.ifft2(spectrum[np.ix_(*kept)])) / FINENESS**2)
    is_pure = ((radius < 0.4) | ((radius >= 0.4) & (radius < 1))).reshape(nx, FINENESS, ny, FINENESS).all(axis=(1, 3))
    truth, scanned = (np.stack(v, axis=-1)[:, :, None].astype(np.float32) for v in (truths, scans))
    return truth, scanned, is_pure


@pytest.mark.parametrize("size", [(64, 64), (61, 53), (96, 48)])
def test_unringing_lowers_the_error_of_the_diffusivity(size):
    # The ratio of two volumes gains less (0.5 to 0.75 of the error stay) where each one takes its own best shift.
    truth, scanned, is_pure = ring_of_contrasts(*size, [(100.0, 60.0), (30.0, 35.0), (45.0, 25.0)])
    unrung = unring(as_series(scanned)).signal

    def error(signal):
        ratios = [np.log(s[is_pure, 0, 1:] / s[is_pure, 0, :1]) for s in (signal, truth)]
        return rmse(*ratios)

    assert error(unrung) < 0.6 * error(scanned)


@pytest.mark.parametrize(
    ("size", "mrdegibbs"),
    # RMSE of `mrdegibbs -axes 0,1` (MRtrix3 3.0.3) on the same images.
    [((64, 64), 1.990), ((61, 53), 2.279), ((96, 48), 1.973), ((70, 49), 2.130)],
)
def test_averaged_shifts_and_a_monotone_cubic_come_nearer_to_the_truth_than_mrdegibbs(size, mrdegibbs):
    truth, scanned = ringing_ellipse(*size)
    assert rmse(unring(as_series(scanned)).signal, truth) < 0.95 * mrdegibbs


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_signal_does_not_matter(scale):
    _, scanned = ringing_ellipse(48, 40)
    expected = unring(as_series(scanned)).signal * scale
    unrung = unring(as_series(scanned * np.float32(scale))).signal
    np.testing.assert_allclose(unrung, expected, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_even_image_stays_as_it_is(value):
    even = np.full((20, 17, 1, 1), value, dtype=np.float32)
    np.testing.assert_allclose(unring(as_series(even)).signal, even, rtol=1e-5)


def test_a_scan_that_was_smoothed_is_hardly_changed():
    truth, scanned = ringing_ellipse(96, 96)
    frequencies = np.meshgrid(*[np.fft.fftfreq(96)] * 2, indexing="ij")
    smooth = np.exp(-2 * (np.pi * 0.85) ** 2 * (frequencies[0] ** 2 + frequencies[1] ** 2))
    image = np.abs(np.fft.ifft2(np.fft.fft2(scanned[:, :, 0, 0]) * smooth)).astype(np.float32)[:, :, None, None]
    assert rmse(unring(as_series(image)).signal, image) < 0.01 * truth.max()


@pytest.mark.parametrize("sd", [0.0, 4.0, 7.0])
@pytest.mark.parametrize("size", [(108, 108), (128, 144), (96, 192)])
def test_zero_filling_is_found_and_its_border_too(size, sd):
    _, scanned = ringing_ellipse(96, 96)
    image = zero_filled(scanned[:, :, 0, 0], size, noise((96, 96), sd))
    sampling = find_sampling(as_series(image[:, :, None, None]))
    assert sampling.is_zero_filled
    np.testing.assert_allclose(sampling.n_sampled, (96, 96), atol=6)


def test_zero_filling_is_a_warning_that_says_how_much():
    _, scanned = ringing_ellipse(96, 96)
    image = zero_filled(scanned[:, :, 0, 0], (192, 192))
    (issue,) = find_sampling(as_series(image[:, :, None, None])).issues
    assert issue.severity is Severity.WARNING
    assert "192 × 192 voxels" in issue.what


@pytest.mark.parametrize("sd", [0.0, 2.0, 7.0, 30.0])
@pytest.mark.parametrize("size", [(96, 96), (97, 61), (160, 80)])
def test_no_zero_filling_is_found_where_there_is_none(size, sd):
    _, scanned = ringing_ellipse(*size)
    image = np.abs(scanned + noise((*size, 1, 3), sd)).astype(np.float32)
    sampling = find_sampling(as_series(image))
    assert sampling.n_sampled == size
    assert not sampling.issues


@pytest.mark.parametrize("normal", [0, 1])
def test_zero_filling_is_looked_for_within_slices(normal):
    _, scanned = ringing_ellipse(96, 96)
    image = np.repeat(zero_filled(scanned[:, :, 0, 0], (96, 128))[:, :, None], 3, axis=2)
    series = as_series(np.moveaxis(image, 2, normal)[..., None], sizes=np.insert([2.0, 2.0], normal, 5.0))
    sampling = find_sampling(series)
    assert sampling.matrix == (96, 128)
    assert sampling.n_sampled[0] == 96
    assert sampling.n_sampled[1] < 104


def test_too_few_voxels_and_no_signal_say_nothing_of_sampling():
    assert not is_zero_filled(as_series(np.ones((10, 10, 3, 2), dtype=np.float32)))
    assert not is_zero_filled(as_series(np.zeros((64, 64, 3, 2), dtype=np.float32)))


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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_stays_in_its_voxel(value):
    _, scanned = ringing_ellipse(48, 40)
    broken = scanned.copy()
    broken[20, 20] = value
    unrung = unring(as_series(broken)).signal
    np.testing.assert_array_equal(np.isfinite(unrung), np.isfinite(broken))
    np.testing.assert_allclose(unrung[30:, 30:], unring(as_series(scanned)).signal[30:, 30:], atol=0.5)


@pytest.mark.parametrize("size", [(1, 9), (2, 5), (3, 5), (7, 4), (33, 97)])
def test_lines_of_any_length_are_shifted(size):
    x, y = (1 + np.sin(np.linspace(0, np.pi, n)) for n in size)
    smooth = np.outer(x, y)[:, :, None, None].repeat(2, axis=2).astype(np.float32)
    unrung = unring(as_series(smooth)).signal
    assert np.isfinite(unrung).all()
    assert rmse(unrung, smooth) < 0.1 * smooth.mean()


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    _, scanned = ringing_ellipse(64, 48, n_slices=5)
    monkeypatch.setattr(threads, "_limits", {"n": 1})
    one = unring(as_series(scanned)).signal
    monkeypatch.setattr(threads, "_limits", {"n": 3})
    np.testing.assert_array_equal(unring(as_series(scanned)).signal, one)
