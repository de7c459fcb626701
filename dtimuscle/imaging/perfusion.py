"""Blood in the signal of muscle (IVIM): told from tissue by how fast it fades at low b-values.

Blood that flows through randomly oriented capillaries dephases as if it diffused some twenty times as fast as
tissue. At b = 0 it is part of the signal, from about 200 s/mm² on it is gone, so a tensor fitted over both
has too large an MD.
"""

from dataclasses import dataclass, replace

import numpy as np

from dtimuscle.dwi import MIN_DIRECTIONS, Bools, DwiSeries, Floats, GradientTable, find_shells
from dtimuscle.errors import ImageError, SettingsError
from dtimuscle.imaging.compartments import fit_logarithm, log_design, predict
from dtimuscle.issues import Issue, Severity

# Most studies of muscle take blood for gone from here on (review: Englund 2022, doi 10.1002/jmri.27875), s/mm².
TISSUE_B = 200.0

# The signal is followed back to b = 0 from b-values that differ by at least this factor.
MIN_B_RATIO = 1.5

# Low b-values (above b = 0, below the tissue's) that the pseudo-diffusion needs; closer than this they count as one.
MIN_LOW_B = 3
LOW_B_GAP = 5.0

# Pseudo-diffusion that is searched, mm²/s; in resting muscle it is 0.03 ± 0.04 (Englund 2022).
PSEUDO_DIFFUSIVITIES = np.geomspace(0.004, 0.4, 93)
# With less blood than this there is no decay to follow.
MIN_FRACTION = 0.01


@dataclass(frozen=True)
class Perfusion:
    """Blood and tissue, as far as the b-values tell them apart.

    Parameters
    ----------
    tissue : DwiSeries
        The volumes from `tissue_b` on, in which blood is gone; its lowest shell stands in for b = 0. The whole
        series when tissue cannot be told from blood.
    fraction : ndarray of shape (nx, ny, nz)
        Part of the signal at b = 0 that is blood's; below 0 where noise made it so, NaN where it cannot be told.
    pseudo_diffusivity : ndarray of shape (nx, ny, nz)
        Of blood in mm²/s; NaN where it cannot be told.
    is_separated : bool
        Whether the b-values tell tissue from blood.
    issues : tuple of Issue
        What could not be told, and why.
    """

    tissue: DwiSeries
    fraction: Floats
    pseudo_diffusivity: Floats
    is_separated: bool
    issues: tuple[Issue, ...]


def separate_perfusion(series: DwiSeries, mask: Bools, *, tissue_b: float = TISSUE_B) -> Perfusion:
    """Tell blood from tissue in two steps.

    The signal is S = S0 [f exp(−b D*) + (1 − f) exp(−b gᵀDg)] [1]_. Where b ≥ `tissue_b` the first term is gone: a
    tensor is fitted to these volumes alone, and 1 − f is its signal at b = 0 over the measured one. With
    enough lower b-values D* is the one that explains what is left there, with all else kept.

    Parameters
    ----------
    series : DwiSeries
        Preprocessed series.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where to fit.
    tissue_b : float, default=200.0
        From this b-value on, in s/mm², blood is gone.

    Returns
    -------
    Perfusion
        The tissue's series for the tensor, and maps of f and D*.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    GridMismatchError
        If mask and series differ in shape.
    ImageError
        If the mask is empty.
    SettingsError
        If `tissue_b` counts as b = 0.

    References
    ----------
    .. [1] Le Bihan et al., Radiology 168 (1988) 497–505.
    """
    gradients = series.gradients
    gradients.require_tensor()
    series.require_mask(mask)
    if not mask.any():
        raise ImageError("the mask is empty, so there is nothing to fit. Give a mask that covers the muscles.")
    if tissue_b <= gradients.b0_threshold:
        raise SettingsError(
            f"tissue_b is {tissue_b:g} s/mm² but volumes up to {gradients.b0_threshold:g} count as b = 0. "
            "Raise tissue_b."
        )
    is_tissue = gradients.bvals >= tissue_b
    tissue_gradients = _standing_in(gradients.subset(is_tissue))
    if tissue_gradients is None:
        nothing = np.full(series.shape, np.nan)
        return Perfusion(series, nothing, nothing, is_separated=False, issues=(_one_shell(gradients, tissue_b),))
    fraction, pseudo, issues = _fit(series, mask, is_tissue)
    tissue = DwiSeries(series.signal[..., is_tissue], series.affine, tissue_gradients)
    return Perfusion(tissue, fraction, pseudo, is_separated=True, issues=issues)


def _standing_in(gradients: GradientTable) -> GradientTable | None:
    """Take the lowest shell for b = 0 (with its own b-values); None where the rest cannot carry a tensor."""
    if not len(gradients) or gradients.bvals.max() < MIN_B_RATIO * gradients.bvals.min():
        return None
    lowest = find_shells(gradients)[0].volumes
    standing_in = replace(gradients, b0_threshold=float(gradients.bvals[lowest].max()))
    return standing_in if standing_in.n_directions >= MIN_DIRECTIONS else None


def _one_shell(gradients: GradientTable, tissue_b: float) -> Issue:
    found = [shell.nominal for shell in find_shells(gradients) if shell.b >= tissue_b]
    what = (
        f"blood cannot be told from tissue: that needs two shells at b ≥ {tissue_b:g} s/mm² whose b-values differ by a "
        f"factor of {MIN_B_RATIO:g}, the upper with {MIN_DIRECTIONS} directions "
        f"(found {', '.join(found) or 'none'})."
    )
    return Issue(Severity.WARNING, "perfusion", what, "Switch the separation off, or lower tissue_b.")


def _fit(series: DwiSeries, mask: Bools, is_tissue: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
    """Fit the maps of f and D*, and say what could not be told."""
    gradients, design = series.gradients, log_design(series.gradients)
    fraction, pseudo = np.full(series.shape, np.nan), np.full(series.shape, np.nan)
    # Blood fades so fast that b = 10 s/mm² is no b = 0 here, whatever the threshold says.
    is_zero = gradients.bvals <= gradients.bvals.min() + LOW_B_GAP
    b0 = series.signal[..., is_zero].mean(axis=-1)
    fitted = mask & np.all(np.isfinite(series.signal), axis=-1) & (b0 > 0)
    signals = series.signal[fitted] / b0[fitted][:, np.newaxis]
    unknowns = fit_logarithm(signals[:, is_tissue], design[is_tissue])
    shares = 1 - np.exp(unknowns[:, -1])
    fraction[fitted] = shares
    is_low = ~is_zero & ~is_tissue
    n_low = 1 + np.count_nonzero(np.diff(np.sort(gradients.bvals[is_low])) > LOW_B_GAP) if is_low.any() else 0
    if n_low < MIN_LOW_B:
        what = (
            f"the pseudo-diffusion of blood needs {MIN_LOW_B} b-values below those of tissue; there "
            f"{'is' if n_low == 1 else 'are'} {n_low}. Its share of the signal does not depend on it."
        )
        return fraction, pseudo, (Issue(Severity.NOTE, "perfusion", what),)
    blood = signals[:, is_low] - predict(unknowns, design[is_low])
    pseudo[fitted] = _decay(blood, np.where(shares >= MIN_FRACTION, shares, np.nan), gradients.bvals[is_low])
    n_missing, n_fitted = int(np.count_nonzero(np.isnan(pseudo[fitted]))), len(signals)
    if not n_missing:
        return fraction, pseudo, ()
    what = (
        f"{n_missing} of {n_fitted} voxels have no pseudo-diffusion: less than {MIN_FRACTION:.0%} of blood, or none "
        f"between {PSEUDO_DIFFUSIVITIES[0]:g} and {PSEUDO_DIFFUSIVITIES[-1]:g} mm²/s that fits best."
    )
    return fraction, pseudo, (Issue(Severity.NOTE, "perfusion", what, "Prefer medians over muscles."),)


def _decay(blood: Floats, shares: Floats, bvals: Floats) -> Floats:
    """Diffusivity D* of least squares in blood = f exp(−b D*), f known; NaN at either end of what is searched."""
    costs = np.stack(
        [np.sum((blood - shares[:, np.newaxis] * np.exp(-bvals * d)) ** 2, axis=1) for d in PSEUDO_DIFFUSIVITIES]
    )
    best = np.where(np.isnan(shares), 0, np.nan_to_num(costs, nan=np.inf).argmin(axis=0))
    middle = np.clip(best, 1, len(PSEUDO_DIFFUSIVITIES) - 2)
    below, lowest, above = (np.take_along_axis(costs, (middle + k)[np.newaxis], axis=0)[0] for k in (-1, 0, 1))
    # Steps are even in the logarithm; the parabola through the best and its neighbours refines it.
    step = np.log(PSEUDO_DIFFUSIVITIES[1] / PSEUDO_DIFFUSIVITIES[0])
    curvature = below - 2 * lowest + above
    shift = np.divide(below - above, 2 * curvature, out=np.zeros_like(below), where=curvature > 0)
    refined = PSEUDO_DIFFUSIVITIES[middle] * np.exp(step * shift)
    return np.where((best == middle) & (curvature > 0), refined, np.nan)
