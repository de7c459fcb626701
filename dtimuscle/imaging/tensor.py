"""The diffusion tensor, fitted to all voxels at once.

All estimators solve the same weighted normal equations, one after the other:

- `ols`: ordinary least squares on the logarithm of the signal (Basser 1994; `dwi2tensor -ols -iter 0`).
- `wls`: the same, weighted by the square of the signal that `ols` predicts (Chung 2006; DIPY's `WLS`). What MRtrix3
  calls WLS (`dwi2tensor -iter 0`) weights by the measured signal: `ols` with `weights` of signal².
- `iwls`: weighted by the square of the measured signal, then twice by that of the predicted signal
  (Salvador 2005, Veraart 2013; `dwi2tensor` as it stands).
- `nlls`: least squares on the signal itself (Levenberg–Marquardt, started from `iwls`).
- `restore`: `nlls` without the samples that turn out to be outliers (Chang 2005, with the noise level
  estimated in each voxel as in Chang 2012).
- `robust`: `iwls` without the samples that turn out to be outliers, found by reweighting the linear fit
  (Collier 2015, Tax 2015); as safe as `restore` at a fraction of its time.

A b-value below the threshold of b = 0 enters the fit as its number when its volume has a direction (15 along x
weights by 15 along x) and as 0 when it has none, which is what MRtrix3 and DIPY do too.

Eigenvalues stay as fitted. DIPY's models raise those below zero to a small positive number, so a fit
that noise has made impossible could no longer be told from a good one.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, TensorMaps
from dtimuscle.errors import GradientError, GridMismatchError, ImageError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.threads import share_out

ESTIMATORS = ("ols", "wls", "iwls", "nlls", "restore", "robust")

# These need more volumes than unknowns.
ROBUST_ESTIMATORS = ("restore", "robust")

# Diffusivities (xx, yy, zz, xy, xz, yz) and the logarithm of the unweighted signal.
N_UNKNOWNS = 7

# Signals are raised to this part of the voxel's largest one before the logarithm (as in MRtrix3).
SMALLEST_SIGNAL = 1e-6

# Voxels are fitted in blocks whose temporary arrays stay within a core's cache.
BLOCK_VOXELS = 4_000

# Non-linear fits end when a step changes no predicted signal by more than this part of it.
STEP_TOLERANCE = 1e-7
MAX_STEPS = 100
# Beyond this damping no step is long enough to matter.
MAX_DAMPING = 1e10

# Volumes that are left carry a tensor when its error is at most so many times that with all of them.
MAX_ERROR_RATIO = 3.0
# Normal equations whose eigenvalues lie further apart than this are singular but for rounding.
SINGULAR = 1e-9

# Two eigenvalues coincide when the cosine that tells them apart comes so near to one.
COINCIDENT = 1e-6
# Where each element of the whole 3 × 3 matrix stands among (xx, yy, zz, xy, xz, yz).
_FULL = [0, 3, 4, 3, 1, 5, 4, 5, 2]

# Robust fits: residuals beyond this many standard deviations are outliers (Chang 2005).
OUTLIER_SD = 3.0
MAX_REWEIGHTINGS = 10
# Reweighting ends when it changes no predicted signal by more than this part of it.
REWEIGHTING_TOLERANCE = 1e-3
# A normal distribution's standard deviation over its median absolute deviation.
SD_PER_MAD = 1.4826

# Up to this part of the voxels, signals at or below zero are counted but not warned about.
NOTABLE_FRACTION = 0.01


Ints = NDArray[np.integer]
Weights = NDArray[Any]


@dataclass(frozen=True)
class TensorFit:
    """Tensors in their own frame; NaN where a signal cannot be fitted.

    Parameters
    ----------
    eigenvalues : ndarray of shape (m, 3)
        Diffusivities along the axes of the tensor in mm²/s, largest first; below zero where noise made them so.
    direction : ndarray of shape (m, 3)
        First eigenvector in world coordinates (RAS); its sign has no meaning.
    s0 : ndarray of shape (m,)
        Fitted signal without diffusion weighting.
    residual : ndarray of shape (m,)
        Root mean square of signal minus fit over the samples that count, per degree of freedom (samples minus seven
        unknowns), over `s0`; outliers that the estimator leaves out count. NaN also where no degree of freedom is left.
    """

    eigenvalues: Floats
    direction: Floats
    s0: Floats
    residual: Floats

    @property
    def fa(self) -> Floats:
        """Fractional anisotropy (Basser and Pierpaoli 1996), shape (m,); above 1 where an eigenvalue is below 0."""
        squares = np.sum(self.eigenvalues**2, axis=-1)
        deviations = np.sum((self.eigenvalues - self.md[:, np.newaxis]) ** 2, axis=-1)
        ratio = np.divide(deviations, squares, out=np.zeros_like(squares), where=squares != 0)
        return np.sqrt(1.5 * ratio)

    @property
    def md(self) -> Floats:
        """Mean diffusivity in mm²/s, shape (m,)."""
        return self.eigenvalues.mean(axis=-1)

    @property
    def ad(self) -> Floats:
        """Axial diffusivity in mm²/s, shape (m,)."""
        return self.eigenvalues[:, 0]

    @property
    def rd(self) -> Floats:
        """Radial diffusivity in mm²/s, shape (m,)."""
        return self.eigenvalues[:, 1:].mean(axis=-1)

    @property
    def scalars(self) -> dict[str, Floats]:
        """The four parameters, keyed by their BIDS parameter name; each of shape (m,)."""
        return {"fa": self.fa, "md": self.md, "ad": self.ad, "rd": self.rd}

    @property
    def is_positive(self) -> Bools:
        """Where all three eigenvalues are above zero, shape (m,)."""
        return np.all(self.eigenvalues > 0, axis=-1)


def fit_tensor(
    series: DwiSeries, mask: Bools, *, estimator: str = "iwls", weights: Weights | None = None
) -> TensorMaps:
    """Fit the diffusion tensor in each voxel of a mask.

    Parameters
    ----------
    series : DwiSeries
        Preprocessed series of shape (nx, ny, nz, n).
    mask : ndarray of bool, shape (nx, ny, nz)
        Where to fit.
    estimator : {"ols", "wls", "iwls", "nlls", "restore", "robust"}, default="iwls"
        How to fit; see the module.
    weights : ndarray of float or bool, optional
        How much each sample counts, 0 to leave it out; of shape (nx, ny, nz, n) or any that broadcasts to it,
        such as (1, 1, nz, n) for whole slices. All count alike if not given.

    Returns
    -------
    TensorMaps
        FA (no unit) and diffusivities (mm²/s); NaN outside the mask and where, among the samples that count, one
        is not finite, a b = 0 signal is not above zero, or too few are left to carry a tensor.

    Raises
    ------
    GridMismatchError
        If mask, weights and series do not go together in shape.
    ImageError
        If the mask is empty.
    GradientError
        If the gradients cannot carry a tensor.
    SettingsError
        If the estimator is unknown.
    """
    series.require_mask(mask)
    if not mask.any():
        raise ImageError("the mask is empty, so there is nothing to fit. Give a mask that covers the muscles.")
    chosen = None if weights is None else _on_grid(weights, series)[mask]
    fit = fit_signals(series.signal[mask], series.gradients, estimator=estimator, weights=chosen)

    def as_map(values: Floats) -> Floats:
        volume = np.full(series.shape + values.shape[1:], np.nan)
        volume[mask] = values
        return volume

    is_positive = np.zeros(series.shape, dtype=bool)
    is_positive[mask] = fit.is_positive
    scalars = {name: as_map(values) for name, values in fit.scalars.items()}
    return TensorMaps(
        **scalars,
        direction=as_map(fit.direction),
        s0=as_map(fit.s0),
        mask=mask,
        is_positive=is_positive,
        affine=series.affine,
        estimator=estimator,
        residual=as_map(fit.residual),
    )


def fit_signals(
    signals: Floats, gradients: GradientTable, *, estimator: str = "iwls", weights: Weights | None = None
) -> TensorFit:
    """Fit the diffusion tensor to each row of signals.

    Parameters
    ----------
    signals : ndarray of shape (m, n)
        Signals of m voxels, or mean signals of m regions, in n volumes.
    gradients : GradientTable
        One entry for each of the n volumes, directions in world coordinates.
    estimator : {"ols", "wls", "iwls", "nlls", "restore", "robust"}, default="iwls"
        How to fit; see the module.
    weights : ndarray of float or bool, optional
        How much each sample counts, 0 to leave it out; of shape (m, n) or one that broadcasts to it. Between
        samples of equal weight each estimator keeps its own weighting.

    Returns
    -------
    TensorFit
        Eigenvalues, first eigenvectors and unweighted signals of the m tensors; NaN where, among the samples that
        count, one is not finite, a b = 0 signal is not above zero, or too few are left to carry a tensor.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    GridMismatchError
        If the weights do not go with the signals.
    SettingsError
        If the estimator is unknown, or a weight is negative or not finite.
    """
    if estimator not in ESTIMATORS:
        raise SettingsError(f"unknown estimator '{estimator}'. Known: {', '.join(ESTIMATORS)}.")
    design, diffusivity_unit = _design(gradients)
    if estimator in ROBUST_ESTIMATORS and len(gradients) <= N_UNKNOWNS:
        raise GradientError(
            f"{len(gradients)} volumes leave no room for outliers beside {N_UNKNOWNS} unknowns. "
            f"Choose another estimator than {estimator}."
        )
    prior = None if weights is None else _checked_weights(weights, signals.shape)
    usable = np.flatnonzero(_is_usable(signals, gradients, prior))
    eigenvalues, direction = np.full((2, len(signals), 3), np.nan)
    s0, residual = np.full((2, len(signals)), np.nan)

    def fit(block: Ints) -> None:
        # Voxels lie beside each other in memory: what is done to one is done to all of them at once.
        measured = np.asfortranarray(signals[block], dtype=float)
        chosen = None if prior is None else np.asfortranarray(prior[block], dtype=float)
        unknowns = _fit_block(measured, design, estimator, chosen)
        is_fitted = np.all(np.isfinite(unknowns), axis=1)
        fitted = block[is_fitted]
        residual[fitted] = _residual(measured, design, unknowns, chosen)[is_fitted]
        s0[fitted] = np.exp(unknowns[is_fitted, -1])
        eigenvalues[fitted], direction[fitted] = _decompose(unknowns[is_fitted, :-1].T * diffusivity_unit)

    share_out(fit, [usable[start : start + BLOCK_VOXELS] for start in range(0, len(usable), BLOCK_VOXELS)])
    return TensorFit(eigenvalues, direction, s0, residual)


@dataclass(frozen=True)
class VoxelCounts:
    """What became of the voxels in which a tensor was asked for.

    Parameters
    ----------
    n_voxels : int
        Voxels of the mask.
    n_fitted : int
        Of these with a tensor.
    n_not_finite : int
        Without one, because a sample that counts is not a number.
    n_no_b0 : int
        Without one, because a b = 0 signal that counts is not above zero, or no b = 0 volume is left.
    n_too_few : int
        Without one, because the samples that are left cannot carry a tensor.
    n_weighted_at_zero : int
        Fitted, although a weighted signal that counts is at or below zero; the fit takes it for a millionth of the
        voxel's largest signal (as MRtrix3 does), so the diffusivity there is far too high.
    n_non_positive : int
        Fitted, with an eigenvalue at or below zero.
    n_samples_left_out : int
        Samples (voxel and volume) whose weight is zero.
    issues : tuple of Issue
        What makes the maps doubtful.
    """

    n_voxels: int
    n_fitted: int
    n_not_finite: int
    n_no_b0: int
    n_too_few: int
    n_weighted_at_zero: int
    n_non_positive: int
    n_samples_left_out: int
    issues: tuple[Issue, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"issues": [issue.to_dict() for issue in self.issues]}


def count_voxels(series: DwiSeries, maps: TensorMaps, *, weights: Weights | None = None) -> VoxelCounts:
    """Count the voxels that were left out of the maps, each under one reason, and those whose tensor is doubtful.

    Parameters
    ----------
    series : DwiSeries
        The series that was fitted.
    maps : TensorMaps
        What came out.
    weights : ndarray of float or bool, optional
        The weights that `fit_tensor` was given.

    Returns
    -------
    VoxelCounts
        With a warning where more than 1 % of the voxels hold a weighted signal at or below zero, or have too few
        samples left.
    """
    signals = series.signal[maps.mask]
    prior = None if weights is None else _checked_weights(_on_grid(weights, series)[maps.mask], signals.shape)
    counts = np.ones(signals.shape, dtype=bool) if prior is None else prior > 0
    is_b0 = series.gradients.is_b0
    is_fitted = np.isfinite(maps.md[maps.mask])
    is_finite = ~np.any(counts & ~np.isfinite(signals), axis=1)
    has_b0 = counts[:, is_b0].any(axis=1) & ~np.any(counts[:, is_b0] & ~(signals[:, is_b0] > 0), axis=1)
    at_zero = is_fitted & np.any(counts & (signals <= 0), axis=1)
    too_few = ~is_fitted & is_finite & has_b0
    n_voxels, n_at_zero, n_too_few = len(signals), int(at_zero.sum()), int(too_few.sum())
    issues = []
    if n_at_zero > NOTABLE_FRACTION * n_voxels:
        what = (
            f"{n_at_zero} of {n_voxels} voxels hold a diffusion-weighted signal at or below zero, and their "
            "diffusivity comes out far too high."
        )
        issues.append(Issue(Severity.WARNING, "tensor fit", what, "Leave these samples out, or tighten the mask."))
    if n_too_few > NOTABLE_FRACTION * n_voxels:
        what = f"{n_too_few} of {n_voxels} voxels have too few samples left to carry a tensor; they have no value."
        issues.append(Issue(Severity.WARNING, "tensor fit", what, "Look at the slices that were found to be lost."))
    return VoxelCounts(
        n_voxels=n_voxels,
        n_fitted=int(is_fitted.sum()),
        n_not_finite=int((~is_fitted & ~is_finite).sum()),
        n_no_b0=int((~is_fitted & is_finite & ~has_b0).sum()),
        n_too_few=n_too_few,
        n_weighted_at_zero=n_at_zero,
        n_non_positive=int((is_fitted & ~maps.is_positive[maps.mask]).sum()),
        n_samples_left_out=int((~counts).sum()),
        issues=tuple(issues),
    )


def carries_tensor(gradients: GradientTable, kept: Bools) -> Bools:
    """Whether some of the volumes can carry a tensor without the others.

    They can when a b = 0 volume is among them and the standard error of the tensor, relative to that with all
    volumes, stays within a factor of three (both from the trace of (XᵀX)⁻¹ over the six tensor elements). A design
    whose directions are left on a cone or in a plane has an error without bound.

    Parameters
    ----------
    gradients : GradientTable
        All volumes.
    kept : ndarray of bool, shape (k, n)
        The volumes that are left, one choice in each row.

    Returns
    -------
    ndarray of bool, shape (k,)
        True where they carry a tensor.
    """
    design, _ = _design(gradients)
    _, first, place = np.unique(np.packbits(kept, axis=1), axis=0, return_index=True, return_inverse=True)
    choices = kept[first]
    return (choices[:, gradients.is_b0].any(axis=1) & _leaves_enough(design, choices))[place.reshape(-1)]


def _leaves_enough(design: Floats, kept: Bools) -> Bools:
    everything = np.ones((1, len(design)), dtype=bool)
    return _errors(design, kept) <= MAX_ERROR_RATIO * _errors(design, everything)


def _errors(design: Floats, kept: Bools) -> Floats:
    """Give the standard error of the tensor elements for noise of SD 1 in the logarithm, without bound if singular."""
    normal = np.tensordot(kept.astype(float), design[:, :, np.newaxis] * design[:, np.newaxis], axes=1)
    ascending = np.linalg.eigvalsh(normal)
    is_sound = ascending[:, 0] > SINGULAR * ascending[:, -1]
    errors = np.full(len(kept), np.inf)
    variances = np.diagonal(np.linalg.inv(normal[is_sound]), axis1=1, axis2=2)
    errors[is_sound] = np.sqrt(variances[:, :-1].sum(axis=1))
    return errors


def _on_grid(weights: Weights, series: DwiSeries) -> Weights:
    try:
        return np.broadcast_to(weights, series.signal.shape)
    except ValueError as error:
        raise GridMismatchError(
            f"weights of shape {np.shape(weights)} do not go with a series of shape {series.signal.shape}. "
            "Give one for each sample, or for each slice and volume."
        ) from error


def _checked_weights(weights: Weights, shape: tuple[int, ...]) -> Weights:
    try:
        prior = np.broadcast_to(weights, shape)
    except ValueError as error:
        raise GridMismatchError(
            f"weights of shape {np.shape(weights)} do not go with signals of shape {shape}. Give one for each sample."
        ) from error
    if not np.all(np.isfinite(prior)) or np.any(prior < 0):
        raise SettingsError("a weight is negative or not a number. Weights are 0 or above; 0 leaves a sample out.")
    return prior


def _is_usable(signals: Floats, gradients: GradientTable, prior: Weights | None) -> Bools:
    is_b0 = gradients.is_b0
    if prior is None:
        return np.all(np.isfinite(signals), axis=1) & np.all(signals[:, is_b0] > 0, axis=1)
    counts = prior > 0
    is_sound = np.all(np.isfinite(signals) | ~counts, axis=1)
    is_sound &= np.all((signals[:, is_b0] > 0) | ~counts[:, is_b0], axis=1)
    # Most voxels have all their samples.
    is_complete = counts.all(axis=1)
    is_sound[~is_complete] &= carries_tensor(gradients, counts[~is_complete])
    return is_sound


def _design(gradients: GradientTable) -> tuple[Floats, float]:
    """Rows of log S = X · (xx, yy, zz, xy, xz, yz, log S0), and the diffusivity in mm²/s that counts as 1 in it."""
    gradients.require_tensor()
    x, y, z = gradients.directions.T
    quadratic = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    b_max = float(gradients.bvals.max())
    scaled = gradients.bvals[:, np.newaxis] / b_max
    design = np.hstack([-scaled * quadratic, np.ones((len(gradients), 1))])
    if np.linalg.matrix_rank(design) < N_UNKNOWNS:
        raise GradientError(
            f"the {gradients.n_directions} gradient directions leave the tensor undetermined (they lie in one plane "
            "or on one cone). Use directions that are spread over the sphere."
        )
    return design, 1 / b_max


def _fit_block(signals: Floats, design: Floats, estimator: str, prior: Floats | None = None) -> Floats:
    if prior is None:
        prior = np.ones_like(signals)
    else:
        # What does not count takes a harmless value.
        signals = np.where(prior > 0, signals, 0.0)
        prior = np.asarray(prior / prior.max(axis=1, keepdims=True))
    largest = signals.max(axis=1, keepdims=True)
    signals = np.maximum(signals / largest, SMALLEST_SIGNAL)
    # What overflows or is singular becomes NaN and is counted as unusable.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if estimator == "ols":
            unknowns = _fit_logarithm(signals, design, prior, prior, reweightings=0)
        elif estimator == "wls":
            unknowns = _fit_logarithm(signals, design, prior, prior, reweightings=1)
        else:
            unknowns = _fit_logarithm(signals, design, prior, prior * signals**2, reweightings=2)
        if estimator in ("nlls", "restore"):
            unknowns = _fit_signal(signals, design, prior, unknowns)
        if estimator == "restore":
            unknowns = _leave_outliers_out(signals, design, prior, unknowns)
        if estimator == "robust":
            unknowns = _leave_outliers_out_of_logarithm(signals, design, prior, unknowns)
    unknowns[:, -1] += np.log(largest[:, 0])
    return unknowns


def _fit_logarithm(signals: Floats, design: Floats, prior: Floats, weights: Floats, *, reweightings: int) -> Floats:
    log_signals = np.log(signals)
    unknowns = _solve(design, weights, weights * log_signals)
    for _ in range(reweightings):
        weights = prior * np.exp(_predict(design, 2 * unknowns))
        unknowns = _solve(design, weights, weights * log_signals)
    return unknowns


def _fit_signal(signals: Floats, design: Floats, weights: Floats, unknowns: Floats) -> Floats:
    """Minimise Σ w (S − exp(Xβ))² by Levenberg–Marquardt; each voxel has its own damping and leaves when done."""
    unknowns = unknowns.copy()
    damping = np.full(len(signals), 1e-3)
    cost = np.sum(weights * (signals - np.exp(_predict(design, unknowns))) ** 2, axis=1)
    going = np.arange(len(signals))
    for _ in range(MAX_STEPS):
        measured, weight, current = signals[going], weights[going], unknowns[going]
        predicted = np.exp(_predict(design, current))
        step = _solve(design, weight * predicted**2, weight * predicted * (measured - predicted), damping[going])
        trial = current + step
        trial_cost = np.sum(weight * (measured - np.exp(_predict(design, trial))) ** 2, axis=1)
        is_better = trial_cost <= cost[going]
        unknowns[going[is_better]] = trial[is_better]
        cost[going[is_better]] = trial_cost[is_better]
        damping[going] *= np.where(is_better, 0.1, 10.0)
        change = np.abs(_predict(design, step)).max(axis=1)
        going = going[~(change < STEP_TOLERANCE) & (damping[going] < MAX_DAMPING)]
        if not len(going):
            break
    return unknowns


def _leave_outliers_out(signals: Floats, design: Floats, prior: Floats, unknowns: Floats) -> Floats:
    """RESTORE: where residuals are too large, weight them down (Geman–McClure), then leave out what sticks out."""
    unknowns = unknowns.copy()
    residuals = signals - np.exp(_predict(design, unknowns))
    # The noise level stays that of the plain fit: a robust fit overfits the rest, and its residuals understate it.
    limits = OUTLIER_SD * _noise_sd(residuals, prior > 0)
    suspects = np.flatnonzero(np.any((np.abs(residuals) > limits) & (prior > 0), axis=1))
    going = suspects
    for _ in range(MAX_REWEIGHTINGS):
        residuals = signals[going] - np.exp(_predict(design, unknowns[going]))
        weights = prior[going] * _geman_mcclure(OUTLIER_SD * residuals / limits[going])
        reweighted = _fit_signal(signals[going], design, weights, unknowns[going])
        change = np.abs(_predict(design, reweighted - unknowns[going])).max(axis=1)
        unknowns[going] = reweighted
        going = going[change > REWEIGHTING_TOLERANCE]
    residuals = signals[suspects] - np.exp(_predict(design, unknowns[suspects]))
    settled, kept = _where_enough_is_kept(suspects, prior, np.abs(residuals) <= limits[suspects], design)
    unknowns[settled] = _fit_signal(signals[settled], design, kept, unknowns[settled])
    return unknowns


def _leave_outliers_out_of_logarithm(signals: Floats, design: Floats, prior: Floats, unknowns: Floats) -> Floats:
    """Robust linear fit (IRLLS of Collier 2015, close to REKINDLE of Tax 2015), from the unknowns of `iwls`.

    A residual of the logarithm times the predicted signal is one of the signal, whose noise is the same in all
    volumes. As for RESTORE its level is that of the plain fit.
    """
    unknowns = unknowns.copy()
    residuals = _signal_residuals(signals, design, unknowns)
    limits = OUTLIER_SD * _noise_sd(residuals, prior > 0)
    suspects = np.flatnonzero(np.any((np.abs(residuals) > limits) & (prior > 0), axis=1))
    going = suspects
    for _ in range(MAX_REWEIGHTINGS):
        log_signals, current = np.log(signals[going]), unknowns[going]
        doubt = _geman_mcclure(OUTLIER_SD * _signal_residuals(signals[going], design, current) / limits[going])
        weights = prior[going] * doubt * np.exp(_predict(design, 2 * current))
        unknowns[going] = _solve(design, weights, weights * log_signals)
        change = np.abs(_predict(design, unknowns[going] - current)).max(axis=1)
        going = going[change > REWEIGHTING_TOLERANCE]
    residuals = _signal_residuals(signals[suspects], design, unknowns[suspects])
    settled, kept = _where_enough_is_kept(suspects, prior, np.abs(residuals) <= limits[suspects], design)
    start = kept * np.exp(_predict(design, 2 * unknowns[settled]))
    unknowns[settled] = _fit_logarithm(signals[settled], design, kept, start, reweightings=2)
    return unknowns


def _where_enough_is_kept(suspects: Ints, prior: Floats, is_kept: Bools, design: Floats) -> tuple[Ints, Floats]:
    """Voxels whose kept samples carry a tensor, and their weights; the others stay with the reweighted fit."""
    is_kept = is_kept & (prior[suspects] > 0)
    enough = _leaves_enough(design, is_kept)
    return suspects[enough], (prior[suspects] * is_kept)[enough]


def _signal_residuals(signals: Floats, design: Floats, unknowns: Floats) -> Floats:
    log_predicted = _predict(design, unknowns)
    return np.exp(log_predicted) * (np.log(signals) - log_predicted)


def _geman_mcclure(residuals: Floats) -> Floats:
    """Weights of residuals in units of their SD (Geman and McClure 1987)."""
    return (1 + residuals**2) ** -2


def _noise_sd(residuals: Floats, counts: Bools) -> Floats:
    """Noise level of each voxel from its residuals (Chang 2012), shape (m, 1); never zero.

    Where no more samples count than there are unknowns the level is without bound, so that nothing is an outlier.
    """
    n = counts.sum(axis=1, keepdims=True)
    deviations = np.abs(residuals - _median(residuals, counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        inflation = np.where(n > N_UNKNOWNS, np.sqrt(n / np.maximum(n - N_UNKNOWNS, 0)), np.inf)
        sd = SD_PER_MAD * inflation * np.maximum(_median(deviations, counts), SMALLEST_SIGNAL)
    return np.maximum(sd, SMALLEST_SIGNAL)


def _median(values: Floats, counts: Bools) -> Floats:
    """Median of those values in each row that count, shape (m, 1)."""
    if counts.all():
        return np.median(values, axis=1, keepdims=True)
    ascending = np.sort(np.where(counts, values, np.inf), axis=1)
    n = counts.sum(axis=1, keepdims=True)
    middle = np.concatenate([(n - 1) // 2, n // 2], axis=1)
    return np.take_along_axis(ascending, middle, axis=1).mean(axis=1, keepdims=True)


def _predict(design: Floats, unknowns: Floats) -> Floats:
    """Logarithm of the signal that the unknowns predict, shape (m, n), with voxels beside each other in memory."""
    return (design @ unknowns.T).T


def _solve(design: Floats, weights: Floats, targets: Floats, damping: Floats | float = 0.0) -> Floats:
    """Solve (XᵀWX) β = Xᵀt in all voxels at once; the diagonal is raised by the factor 1 + damping.

    The matrix is symmetric and positive, so its upper triangle is eliminated without exchanging rows (LDLᵀ, Cholesky's
    factorisation without roots). Where rounding has left it singular there is no solution (NaN).
    """
    p = design.shape[1]
    rows, columns = np.triu_indices(p)
    triangle = (design[:, rows] * design[:, columns]).T @ weights.T
    row = np.split(triangle, np.flatnonzero(np.diff(rows)) + 1)
    solution = design.T @ targets.T
    for i in range(p):
        row[i][0] *= 1 + damping
    for i in range(p):
        pivot = np.where(row[i][0] > 0, row[i][0], np.nan)
        row[i][1:] /= pivot
        for j in range(i + 1, p):
            share = row[i][j - i]
            row[j] -= (share * pivot) * row[i][j - i :]
            solution[j] -= share * solution[i]
        solution[i] /= pivot
    for i in reversed(range(p - 1)):
        solution[i] -= np.sum(row[i][1:] * solution[i + 1 :], axis=0)
    return solution.T


def _residual(signals: Floats, design: Floats, unknowns: Floats, prior: Floats | None) -> Floats:
    """Root mean square of what the fit leaves of each row, per degree of freedom, over its signal at b = 0."""
    counts = np.ones(signals.shape, dtype=bool) if prior is None else prior > 0
    freedom = counts.sum(axis=1) - N_UNKNOWNS
    # An unknown that is not finite has no residual either; what does not count may be anything.
    with np.errstate(over="ignore", invalid="ignore"):
        relative = signals / np.exp(unknowns[:, -1:]) - np.exp(_predict(design[:, :-1], unknowns[:, :-1]))
        squares = np.sum(relative**2, axis=1, where=True if prior is None else counts)
    return np.sqrt(np.divide(squares, freedom, out=np.full(len(squares), np.nan), where=freedom > 0))


def _decompose(elements: Floats) -> tuple[Floats, Floats]:
    """Find eigenvalues, largest first, and first eigenvector of tensors (xx, yy, zz, xy, xz, yz), shapes (m, 3).

    The eigenvalues of a tensor of trace 0 and norm √6 are 2 cos(φ + 2πk/3), where 2 cos 3φ is its determinant (Smith
    1961). The adjugate of a tensor less its first eigenvalue is a multiple of the dyad of its first eigenvector.
    Where two eigenvalues nearly coincide, φ is lost to rounding and LAPACK's iteration takes over.
    """
    # What overflows or has no direction is among what LAPACK does again.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        mean = elements[:3].mean(axis=0)
        xx, yy, zz = elements[:3] - mean
        xy, xz, yz = elements[3:]
        norm = np.sqrt((xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
        determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
        cosine = determinant / (2 * norm**3)
        is_apart = np.abs(cosine) < 1 - COINCIDENT
        angle = np.arccos(np.where(is_apart, cosine, 0.0)) / 3
        first, third = 2 * norm * np.cos(angle), 2 * norm * np.cos(angle + 2 * np.pi / 3)
        eigenvalues = (np.array([first, -first - third, third]) + mean).T
        xx, yy, zz = xx - first, yy - first, zz - first
        xx_xy_xz = [yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy]
        xy_yy_yz = [xx_xy_xz[1], xx * zz - xz * xz, xy * xz - xx * yz]
        xz_yz_zz = [xx_xy_xz[2], xy_yy_yz[2], xx * yy - xy * xy]
        adjugate = np.array([xx_xy_xz, xy_yy_yz, xz_yz_zz])
        # Its row with the largest element on the diagonal keeps the most digits.
        longest = np.argmax(np.abs(np.diagonal(adjugate)), axis=1)
        direction = adjugate[longest, :, np.arange(len(mean))]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    if not is_apart.all():
        tensors = elements[_FULL][:, ~is_apart].T.reshape(-1, 3, 3)
        ascending, vectors = np.linalg.eigh(tensors)
        eigenvalues[~is_apart], direction[~is_apart] = ascending[:, ::-1], vectors[:, :, 2]
    return eigenvalues, direction
