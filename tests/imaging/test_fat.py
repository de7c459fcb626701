import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError, SettingsError
from dtimuscle.imaging.fat import FAT_DIFFUSIVITY, FatFraction, estimate_fat, fat_signal_share, subtract_fat, too_fat
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.issues import Severity

TENSOR = np.diag([1.9e-3, 1.5e-3, 1.2e-3])
AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
SHAPE = (4, 3, 2)


def gradients_of(*shells):
    directions = np.random.default_rng(0).normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bvals = np.r_[0.0, 0.0, np.repeat(shells, 12)]
    return GradientTable(bvals, np.vstack([np.zeros((2, 3)), *[directions] * len(shells)]))


def mixture(share, gradients):
    """Signal of muscle with a share of the signal at b = 0 from fat, shape (…, n)."""
    adc = np.einsum("ni,ij,nj->n", gradients.directions, TENSOR, gradients.directions)
    water, fat = np.exp(-gradients.bvals * adc), np.exp(-gradients.bvals * FAT_DIFFUSIVITY)
    share = np.asarray(share)[..., np.newaxis]
    return 400 * ((1 - share) * water + share * fat)


def shares():
    return np.linspace(0, 0.6, 24).reshape(SHAPE)


def test_a_share_of_protons_becomes_a_share_of_the_suppressed_signal():
    fraction = np.array([0.0, 0.2, 0.5, 1.0, -0.1, 1.1, np.nan])
    expected = [0, 0.2 * 0.1 / (0.8 + 0.02), 0.1 / 1.1, 1, 0, 1, np.nan]
    np.testing.assert_allclose(fat_signal_share(fraction, fat_signal=0.1), expected)
    np.testing.assert_array_equal(fat_signal_share(np.array([0.0, 0.7, 1.0]), fat_signal=0.0), 0)
    np.testing.assert_allclose(fat_signal_share(0.3, fat_signal=1.0), 0.3)


def test_the_tensor_of_water_is_found_beneath_fat():
    gradients, mask = gradients_of(500.0), np.ones(SHAPE, dtype=bool)
    fat = FatFraction(shares(), AFFINE)
    series = DwiSeries(mixture(fat_signal_share(fat.share, fat_signal=0.2), gradients), AFFINE, gradients)
    biased = fit_tensor(series, mask)
    assert biased.md[-1, -1, -1] < 0.8 * np.trace(TENSOR) / 3
    water = subtract_fat(series, fat, mask, fat_signal=0.2)
    maps = fit_tensor(water.series, mask)
    np.testing.assert_allclose(maps.md, np.trace(TENSOR) / 3, rtol=1e-6)
    np.testing.assert_allclose(maps.ad, 1.9e-3, rtol=1e-6)
    np.testing.assert_allclose(water.fat_share, fat_signal_share(fat.share, fat_signal=0.2))
    assert (water.n_unknown, water.n_emptied, water.issues) == (0, 0, ())


def test_voxels_without_a_fat_fraction_have_no_tensor_and_are_counted():
    gradients, mask = gradients_of(500.0), np.ones(SHAPE, dtype=bool)
    share = shares()
    share[0, 0] = np.nan
    series = DwiSeries(mixture(np.zeros(SHAPE), gradients), AFFINE, gradients)
    water = subtract_fat(series, FatFraction(share, AFFINE), mask)
    assert np.isnan(fit_tensor(water.series, mask).md[0, 0]).all()
    assert water.n_unknown == 2
    (issue,) = water.issues
    assert issue.severity is Severity.WARNING
    assert "2 of 24 voxels have no fat fraction" in issue.what


def test_more_fat_than_signal_leaves_zero_and_is_counted():
    gradients, mask = gradients_of(500.0), np.ones(SHAPE, dtype=bool)
    series = DwiSeries(mixture(np.zeros(SHAPE), gradients), AFFINE, gradients)
    share = np.zeros(SHAPE)
    share[0] = 0.45
    # Of fat itself no water is left, and nothing is wrong with that.
    share[1] = 0.95
    water = subtract_fat(series, FatFraction(share, AFFINE), mask, fat_signal=2.0)
    assert water.n_emptied == 6
    assert water.series.signal.min() == 0
    assert "in 6 of 24 voxels" in water.issues[0].what


def test_voxels_above_the_limit_or_unknown_are_too_fat():
    share = np.array([0.0, 0.5, 0.51, np.nan]).reshape(4, 1, 1)
    found = too_fat(FatFraction(share, AFFINE), max_fat_fraction=0.5)
    np.testing.assert_array_equal(found.ravel(), [False, False, True, True])
    with pytest.raises(SettingsError, match=r"max_fat_fraction is 50; .*between 0 and 1"):
        too_fat(FatFraction(share, AFFINE), max_fat_fraction=50)


def test_maps_in_percent_of_other_grids_and_impossible_settings_are_refused():
    with pytest.raises(ImageError, match=r"goes from 0 to 80; .*Divide a map in percent by 100"):
        FatFraction(np.array([0.0, 80.0]).reshape(2, 1, 1), AFFINE)
    with pytest.raises(ImageError, match="4 dimensions"):
        FatFraction(np.zeros((2, 2, 2, 1)), AFFINE)
    gradients, mask = gradients_of(500.0), np.ones(SHAPE, dtype=bool)
    series = DwiSeries(mixture(np.zeros(SHAPE), gradients), AFFINE, gradients)
    shifted = AFFINE.copy()
    shifted[2, 3] = 3.0
    with pytest.raises(GridMismatchError, match=r"the series and the fat fraction .* 3\.0 mm apart"):
        subtract_fat(series, FatFraction(shares(), shifted), mask)
    with pytest.raises(SettingsError, match=r"fat_signal is -1; it cannot be below 0"):
        subtract_fat(series, FatFraction(shares(), AFFINE), mask, fat_signal=-1)


def test_several_shells_tell_the_share_of_fat():
    gradients = gradients_of(400.0, 800.0, 1200.0)
    expected = np.array([0.0, 0.03, 0.1, 0.25, 0.4, 0.6])
    found = estimate_fat(mixture(expected, gradients), gradients)
    np.testing.assert_allclose(found.share, expected, atol=2e-3)
    assert found.issues == ()


def test_a_share_of_fat_and_its_standard_error_hold_under_noise():
    gradients = gradients_of(400.0, 800.0, 1200.0)
    clean = mixture(np.full(300, 0.15), gradients)
    found = estimate_fat(clean + np.random.default_rng(0).normal(0, 400 / 60, clean.shape), gradients)
    assert np.mean(found.share) == pytest.approx(0.15, abs=0.003)
    assert np.std(found.share) == pytest.approx(np.median(found.standard_error), rel=0.2)


def test_one_shell_cannot_tell_fat():
    gradients = gradients_of(500.0)
    found = estimate_fat(mixture([0.1, 0.2], gradients), gradients)
    assert np.isnan(found.share).all()
    (issue,) = found.issues
    assert "(found 500 to 500 s/mm²)" in issue.what


def test_shares_that_noise_hides_are_left_out():
    gradients = gradients_of(400.0, 700.0)
    signals = mixture([0.1] * 20, gradients)
    noisy = signals + np.random.default_rng(1).normal(0, 60, signals.shape)
    noisy[0] = np.nan
    found = estimate_fat(noisy, gradients)
    n_missing = int(np.isnan(found.share).sum())
    assert n_missing > 5
    assert np.isnan(found.share[0])
    assert f"{n_missing} of 20" in found.issues[0].what
