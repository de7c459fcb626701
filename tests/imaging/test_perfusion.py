import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError, SettingsError
from dtimuscle.imaging.perfusion import separate_perfusion
from dtimuscle.imaging.tensor import fit_signals, fit_tensor
from dtimuscle.issues import Severity

TENSOR = np.diag([1.9e-3, 1.5e-3, 1.2e-3])
SHAPE = (3, 2, 2)
MASK = np.ones(SHAPE, dtype=bool)


def bleeding(*shells, fraction=0.1, pseudo=0.06, n_b0=2):
    """Series of a tensor with blood."""
    directions = np.random.default_rng(0).normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bvals = np.r_[np.zeros(n_b0), np.repeat(shells, 12)]
    gradients = GradientTable(bvals, np.vstack([np.zeros((n_b0, 3)), *[directions] * len(shells)]))
    adc = np.einsum("ni,ij,nj->n", gradients.directions, TENSOR, gradients.directions)
    signal = fraction * np.exp(-bvals * pseudo) + (1 - fraction) * np.exp(-bvals * adc)
    return DwiSeries(np.broadcast_to(300 * signal, (*SHAPE, len(bvals))).copy(), np.eye(4), gradients)


def test_blood_and_tissue_are_found():
    series = bleeding(25.0, 40.0, 70.0, 120.0, 300.0, 600.0)
    found = separate_perfusion(series, MASK)
    assert found.is_separated
    np.testing.assert_allclose(found.fraction, 0.1, atol=1e-4)
    np.testing.assert_allclose(found.pseudo_diffusivity, 0.06, rtol=2e-3)
    assert found.issues == ()


def test_the_tensor_of_the_tissue_is_free_of_blood():
    series = bleeding(25.0, 40.0, 70.0, 300.0, 600.0)
    assert fit_tensor(series, MASK).md[0, 0, 0] > 1.03 * np.trace(TENSOR) / 3
    tissue = separate_perfusion(series, MASK).tissue
    np.testing.assert_array_equal(np.unique(tissue.gradients.bvals), [300, 600])
    np.testing.assert_allclose(fit_tensor(tissue, MASK).md, np.trace(TENSOR) / 3, rtol=1e-5)
    np.testing.assert_allclose(fit_tensor(tissue, MASK).ad, 1.9e-3, rtol=1e-5)
    mean = fit_signals(tissue.signal.reshape(-1, len(tissue.gradients)).mean(axis=0)[np.newaxis], tissue.gradients)
    np.testing.assert_allclose(mean.md, np.trace(TENSOR) / 3, rtol=1e-5)
    np.testing.assert_allclose(mean.s0, 270, rtol=1e-4)


def test_b_values_that_elsewhere_count_as_zero_do_not_hide_blood():
    found = separate_perfusion(bleeding(10.0, 20.0, 70.0, 300.0, 600.0), MASK)
    np.testing.assert_allclose(found.fraction, 0.1, atol=1e-4)
    np.testing.assert_allclose(found.pseudo_diffusivity, 0.06, rtol=2e-3)


def test_the_fraction_needs_no_low_b_values_but_the_pseudo_diffusion_does():
    found = separate_perfusion(bleeding(300.0, 600.0), MASK)
    np.testing.assert_allclose(found.fraction, 0.1, atol=1e-4)
    assert np.isnan(found.pseudo_diffusivity).all()
    (issue,) = found.issues
    assert issue.severity is Severity.NOTE
    assert "needs 3 b-values below those of tissue; there are 0" in issue.what


@pytest.mark.parametrize("shells", [(500.0,), (50.0, 100.0), (25.0, 50.0, 100.0, 500.0, 600.0)])
def test_one_shell_of_tissue_is_not_enough(shells):
    series = bleeding(*shells)
    found = separate_perfusion(series, MASK)
    assert not found.is_separated
    assert found.tissue is series
    assert np.isnan(found.fraction).all()
    assert np.isnan(found.pseudo_diffusivity).all()
    (issue,) = found.issues
    assert issue.severity is Severity.WARNING
    assert "cannot be told from tissue" in issue.what


def test_muscle_without_blood_has_no_pseudo_diffusion():
    found = separate_perfusion(bleeding(25.0, 50.0, 100.0, 300.0, 600.0, fraction=0.0), MASK)
    np.testing.assert_allclose(found.fraction, 0, atol=1e-6)
    assert np.isnan(found.pseudo_diffusivity).all()
    assert "12 of 12 voxels have no pseudo-diffusion" in found.issues[0].what


def test_voxels_that_cannot_be_fitted_have_no_fraction():
    series = bleeding(25.0, 50.0, 100.0, 300.0, 600.0)
    series.signal[0, 0, 0, 3] = np.nan
    series.signal[0, 0, 1, :2] = 0
    mask = MASK.copy()
    mask[2] = False
    found = separate_perfusion(series, mask)
    expected = ~mask
    expected[0, 0] = True
    np.testing.assert_array_equal(np.isnan(found.fraction), expected)


def test_what_cannot_be_meant_is_refused():
    series = bleeding(300.0, 600.0)
    with pytest.raises(GridMismatchError, match="the mask has shape"):
        separate_perfusion(series, MASK[:1])
    with pytest.raises(ImageError, match="the mask is empty"):
        separate_perfusion(series, np.zeros_like(MASK))
    with pytest.raises(SettingsError, match="tissue_b is 10 s/mm²"):
        separate_perfusion(series, MASK, tissue_b=10)
