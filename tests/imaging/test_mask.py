import nibabel as nib
import numpy as np
import pytest
from dipy.data import get_fnames

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import ImageError
from dtimuscle.imaging.mask import foreground_mask

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])


def series_of(s0, *, snr=None, md=1.6e-3, affine=AFFINE):
    """Two b = 0 and twelve weighted volumes of a map of unweighted signal (muscle is 100)."""
    bvals = np.r_[0.0, 0.0, np.full(12, 500.0)]
    directions = np.tile([1.0, 0.0, 0.0], (14, 1))
    signal = s0[..., np.newaxis] * np.exp(-bvals * md)
    if snr:
        rng = np.random.default_rng(0)
        sd = 100 / snr
        signal = np.hypot(signal + rng.normal(0, sd, signal.shape), rng.normal(0, sd, signal.shape))
    return DwiSeries(signal.astype(np.float32), affine, GradientTable(bvals, directions))


def two_thighs(shape=(120, 64, 6)):
    """Two legs of muscle, some of it dim, in a rim of suppressed fat, each with marrow inside; and the muscle alone."""
    x, y, _ = np.indices(shape)
    s0, muscle = np.zeros(shape), np.zeros(shape, dtype=bool)
    for centre in (30, 90):
        radius = np.hypot(x - centre, y - 32)
        angle = np.arctan2(y - 32, x - centre)
        s0[radius < 27] = 15
        s0[radius < 23] = 100
        s0[(radius < 23) & (angle > 1) & (angle < 2)] = 45
        s0[radius < 6] = 4
        muscle |= (radius < 23) & (radius >= 6)
    s0[32:36, 36:39] = 500
    return s0, muscle


@pytest.mark.parametrize("snr", [60, 30, 15])
def test_all_muscle_is_in_the_mask_and_air_is_not(snr):
    s0, muscle = two_thighs()
    mask = foreground_mask(series_of(s0, snr=snr))
    assert mask[muscle].mean() > 0.998
    x, y, _ = np.indices(s0.shape)
    far_from_legs = np.minimum(np.hypot(x - 30, y - 32), np.hypot(x - 90, y - 32)) > 30
    assert mask[far_from_legs].mean() < 0.002


def test_muscle_far_from_the_coil_is_not_dropped():
    s0, muscle = two_thighs()
    sensitivity = 1 / (1 + 2 * (np.arange(120) / 120) ** 2)
    mask = foreground_mask(series_of(s0 * sensitivity[:, None, None], snr=30))
    assert mask[muscle].mean() > 0.998


@pytest.mark.parametrize("snr", [60, 30, 15])
def test_a_field_of_view_with_little_air_changes_nothing(snr):
    s0, muscle = two_thighs()
    tight = (slice(2, 58), slice(4, 60))
    mask = foreground_mask(series_of(s0[tight], snr=snr))
    assert mask[muscle[tight]].mean() > 0.998
    assert mask[(s0 == 0)[tight]].mean() < 0.15


def test_bright_fluid_does_not_push_muscle_out():
    s0, muscle = two_thighs()
    s0[30:46, 20:44] = 800
    tight = (slice(2, 58), slice(4, 60))
    mask = foreground_mask(series_of(s0[tight], snr=30))
    assert mask[muscle[tight]].mean() > 0.998


def test_air_that_the_scanner_has_set_to_zero_stays_out():
    s0, muscle = two_thighs()
    mask = foreground_mask(series_of(s0))
    assert mask[muscle].all()
    np.testing.assert_array_equal(mask & (s0 == 0), False)


def test_marrow_is_filled_although_it_runs_through_all_slices():
    s0, _ = two_thighs()
    mask = foreground_mask(series_of(s0, snr=30))
    x, y, _ = np.indices(s0.shape)
    assert mask[np.hypot(x - 30, y - 32) < 6].all()


@pytest.mark.parametrize("across", [0, 1, 2])
def test_slices_may_lie_along_any_axis(across):
    s0, muscle = two_thighs()
    sizes = np.full(3, 2.5)
    sizes[across] = 5.0
    series = series_of(np.moveaxis(s0, 2, across), snr=30, affine=np.diag([*sizes, 1.0]))
    straight = foreground_mask(series_of(s0, snr=30))
    mask = np.moveaxis(foreground_mask(series), across, 2)
    assert mask[muscle].mean() > 0.998
    assert np.mean(mask != straight) < 0.01


def test_small_bright_spots_apart_from_the_legs_are_dropped():
    s0, _ = two_thighs()
    s0[58:62, 2:5, 2:4] = 100
    mask = foreground_mask(series_of(s0, snr=30))
    assert not mask[58:62, 2:5, 2:4].any()


@pytest.mark.parametrize("name", ["small_64D", "small_101D"])
def test_a_crop_without_air_is_foreground_throughout(name):
    image, bval, bvec = get_fnames(name=name)
    volume = nib.load(image)
    bvals = np.loadtxt(bval)
    bvecs = np.nan_to_num(np.loadtxt(bvec))
    bvecs = bvecs.T if bvecs.shape[0] == 3 else bvecs
    series = DwiSeries(volume.get_fdata(dtype=np.float32), volume.affine, GradientTable(bvals, bvecs))
    assert foreground_mask(series).all()


def test_an_even_image_is_foreground_throughout():
    assert foreground_mask(series_of(np.full((8, 8, 4), 100.0))).all()


def test_values_that_are_not_finite_do_not_spread():
    s0, _ = two_thighs()
    series = series_of(s0, snr=30)
    clean = foreground_mask(series)
    series.signal[30, 20, 3, 4] = np.nan
    mask = foreground_mask(series)
    assert np.mean(mask != clean) < 0.01


def test_an_image_without_signal_is_refused():
    with pytest.raises(ImageError, match="no voxel of the series has a signal above zero"):
        foreground_mask(series_of(np.zeros((4, 4, 4))))
