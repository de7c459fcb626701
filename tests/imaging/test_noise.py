import numpy as np
import pytest
from scipy import stats

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, SettingsError
from dtimuscle.imaging.noise import (
    SnrGrade,
    at_noise_floor,
    correct_rician,
    gaussian_noise_sd,
    grade_snr,
    impossible_signals,
)
from dtimuscle.issues import Severity

AMPLITUDES = np.array([0.1, 0.5, 1.0, 2.0, 3.7, 8.0, 20.0, 55.0, 70.0, 400.0])


def magnitude_moments(amplitude, n_coils):
    """Mean and variance of a magnitude by numerical integration of its density, noise SD 1."""
    density = stats.ncx2(2 * n_coils, amplitude**2)
    # M = √X where X follows a non-central χ² distribution.
    grid = np.linspace(max(amplitude - 10, 0), amplitude + 12 + np.sqrt(2 * n_coils), 10_001)
    weights = density.pdf(grid**2) * 2 * grid
    mean = np.trapezoid(weights * grid, grid) / np.trapezoid(weights, grid)
    return mean, amplitude**2 + 2 * n_coils - mean**2


def series_with(weighted, b0=100.0, shape=(2, 2, 2)):
    gradients = GradientTable(np.array([0.0, 500.0, 1000.0, 990.0]), np.vstack([np.zeros((1, 3)), np.eye(3)]))
    signal = np.empty((*shape, 4))
    signal[...] = [b0, 3 * b0, *weighted]
    return DwiSeries(signal, np.eye(4), gradients)


@pytest.mark.parametrize(
    ("snr", "grade"),
    [(50.0, "green"), (49.9, "amber"), (25.0, "amber"), (24.9, "red"), (0.0, "red"), (np.nan, "unknown")],
)
def test_snr_is_graded_at_25_and_50(snr, grade):
    assert grade_snr(snr) is SnrGrade(grade)


@pytest.mark.parametrize("n_coils", [1, 2, 4, 16])
def test_the_mean_of_a_magnitude_becomes_the_signal_that_has_it(n_coils):
    amplitudes = AMPLITUDES[:-3]
    means = np.array([magnitude_moments(amplitude, n_coils)[0] for amplitude in amplitudes])
    corrected = correct_rician(3.0 * means, 3.0, n_coils=n_coils)
    # At the floor the mean hardly depends on the signal, so the inverse is as good as the integral.
    np.testing.assert_allclose(corrected.signal / 3.0, amplitudes, rtol=1e-4, atol=1e-4)
    assert (corrected.n_values, corrected.n_at_floor, corrected.n_unknown, corrected.issues) == (7, 0, 0, ())


def test_one_coil_agrees_with_the_rice_distribution():
    amplitudes = AMPLITUDES[:7]
    corrected = correct_rician(stats.rice.mean(amplitudes), 1.0)
    np.testing.assert_allclose(corrected.signal, amplitudes, atol=2e-5)


@pytest.mark.parametrize("n_coils", [1, 8])
def test_far_above_the_floor_the_correction_is_that_of_the_asymptote(n_coils):
    # E[M]² = A² + (2n − 1) σ² + O(σ⁴ / A²)
    amplitudes = AMPLITUDES[-3:]
    corrected = correct_rician(np.sqrt(amplitudes**2 + 2 * n_coils - 1), 1.0, n_coils=n_coils)
    np.testing.assert_allclose(corrected.signal, amplitudes, rtol=1e-4)


def test_the_average_of_many_noisy_magnitudes_is_mended():
    rng = np.random.default_rng(0)
    clean = np.array([0.8, 2.0, 6.0])
    magnitudes = np.hypot(clean + rng.normal(size=(200_000, 3)), rng.normal(size=(200_000, 3))).mean(axis=0)
    np.testing.assert_allclose(correct_rician(magnitudes, 1.0).signal, clean, atol=0.02)


def test_signals_at_the_floor_become_zero_and_are_counted():
    floor = np.sqrt(np.pi / 2)
    corrected = correct_rician(np.array([0.0, 1.0, floor - 1e-6, 4.0]), 1.0)
    np.testing.assert_array_equal(corrected.signal[:3], 0)
    assert corrected.n_at_floor == 3
    (issue,) = corrected.issues
    assert issue.severity is Severity.WARNING
    assert issue.what.startswith("75% of the signals")


def test_signals_without_a_noise_level_stay_as_they_are():
    signal = np.full((2, 1, 1, 3), 2.0, dtype=np.float32)
    noise = np.array([1.0, np.nan]).reshape(2, 1, 1)
    corrected = correct_rician(signal, noise)
    assert corrected.signal.dtype == np.float32
    np.testing.assert_array_equal(corrected.signal[1], 2.0)
    assert np.all(corrected.signal[0] < 2.0)
    assert (corrected.n_values, corrected.n_unknown) == (3, 3)
    np.testing.assert_array_equal(correct_rician(signal, 0.0).signal, signal)
    assert np.isnan(correct_rician(np.array([np.nan]), 1.0).signal)


def test_noise_of_another_shape_and_no_coils_are_refused():
    with pytest.raises(GridMismatchError, match=r"noise has shape \(2,\)"):
        correct_rician(np.ones((3, 4)), np.ones(2))
    with pytest.raises(GridMismatchError, match="one level for each voxel"):
        gaussian_noise_sd(np.ones((3, 4)), np.ones(2))
    with pytest.raises(SettingsError, match="n_coils is 0"):
        correct_rician(np.ones(3), 1.0, n_coils=0)


@pytest.mark.parametrize("n_coils", [1, 4])
def test_the_noise_behind_a_magnitude_is_found_from_its_variance(n_coils):
    volumes = [4.0, 2.0, 1.2, 25.0]
    mean, variance = np.transpose([magnitude_moments(amplitude, n_coils) for amplitude in volumes])
    found = gaussian_noise_sd(7.0 * mean[np.newaxis], 7.0 * np.sqrt([variance.mean()]), n_coils=n_coils)
    np.testing.assert_allclose(found, 7.0, rtol=1e-3)


def test_far_above_the_floor_the_noise_is_that_of_the_magnitude():
    sd = np.array([2.0, np.nan])
    found = gaussian_noise_sd(np.full((2, 5), 300.0), sd)
    np.testing.assert_allclose(found, sd, rtol=1e-4)


def test_the_floor_is_three_sds_of_the_highest_shell():
    series = series_with([31.0, 28.0])
    np.testing.assert_array_equal(at_noise_floor(series, 9.8), False)
    np.testing.assert_array_equal(at_noise_floor(series, 9.9), True)
    noise = np.full(series.shape, 20.0)
    noise[0] = np.nan
    found = at_noise_floor(series, noise)
    assert not found[0].any()
    assert found[1].all()


def test_signals_that_are_zero_negative_or_no_numbers_are_impossible():
    series = series_with([31.0, 28.0])
    series.signal[0, 0, 0, 2] = 0
    series.signal[0, 0, 1, 3] = np.nan
    series.signal[0, 1, 0, 0] = -1
    expected = np.zeros(series.shape, dtype=bool)
    expected[0, 0, 0] = expected[0, 0, 1] = expected[0, 1, 0] = True
    np.testing.assert_array_equal(impossible_signals(series), expected)
    # What is left out of the fit anyway may be anything.
    expected[0, 0, 0] = False
    np.testing.assert_array_equal(impossible_signals(series, np.array([True, True, False, True])), expected)
