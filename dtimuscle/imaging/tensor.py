"""The diffusion tensor, fitted to all voxels at once.

All five estimators solve the same weighted normal equations, one after the other:

- `ols`: ordinary least squares on the logarithm of the signal (Basser 1994).
- `wls`: the same, weighted by the square of the signal that `ols` predicts (Chung 2006).
- `iwls`: weighted by the square of the measured signal, then twice by that of the predicted signal
  (Salvador 2005, Veraart 2013; what MRtrix3's `dwi2tensor` does).
- `nlls`: least squares on the signal itself (Levenberg–Marquardt, started from `iwls`).
- `restore`: `nlls` without the volumes that turn out to be outliers (Chang 2005, with the noise level
  estimated in each voxel as in Chang 2012).

Eigenvalues stay as fitted. DIPY's models raise those below zero to a small positive number, so a fit
that noise has made impossible could no longer be told from a good one.
"""

from dataclasses import dataclass

import numpy as np

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, TensorMaps
from dtimuscle.errors import GradientError, GridMismatchError, ImageError, SettingsError

ESTIMATORS = ("ols", "wls", "iwls", "nlls", "restore")

# Diffusivities (xx, yy, zz, xy, xz, yz) and the logarithm of the unweighted signal.
N_UNKNOWNS = 7

# Signals are raised to this part of the voxel's largest one before the logarithm (as in MRtrix3).
SMALLEST_SIGNAL = 1e-6

# Voxels are fitted in blocks, so that temporary arrays stay within tens of megabytes.
BLOCK_VOXELS = 20_000

# Non-linear fits end when a step changes no predicted signal by more than this part of it.
STEP_TOLERANCE = 1e-7
MAX_STEPS = 100
# Beyond this damping no step is long enough to matter.
MAX_DAMPING = 1e10

# RESTORE: residuals beyond this many standard deviations are outliers (Chang 2005).
OUTLIER_SD = 3.0
MAX_REWEIGHTINGS = 10
# Reweighting ends when it changes no predicted signal by more than this part of it.
REWEIGHTING_TOLERANCE = 1e-3
# A normal distribution's standard deviation over its median absolute deviation.
SD_PER_MAD = 1.4826


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
    """

    eigenvalues: Floats
    direction: Floats
    s0: Floats

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


def fit_tensor(series: DwiSeries, mask: Bools, *, estimator: str = "iwls") -> TensorMaps:
    """Fit the diffusion tensor in each voxel of a mask.

    Parameters
    ----------
    series : DwiSeries
        Preprocessed series of shape (nx, ny, nz, n).
    mask : ndarray of bool, shape (nx, ny, nz)
        Where to fit.
    estimator : {"ols", "wls", "iwls", "nlls", "restore"}, default="iwls"
        How to fit; see the module.

    Returns
    -------
    TensorMaps
        FA (no unit) and diffusivities (mm²/s); NaN outside the mask and where a voxel has a signal
        that is not finite or a b = 0 signal that is not above zero.

    Raises
    ------
    GridMismatchError
        If mask and series differ in shape.
    ImageError
        If the mask is empty.
    GradientError
        If the gradients cannot carry a tensor.
    SettingsError
        If the estimator is unknown.
    """
    if mask.shape != series.shape:
        raise GridMismatchError(
            f"the mask has shape {mask.shape}, the series {series.shape}. Make it from this series."
        )
    if not mask.any():
        raise ImageError("the mask is empty, so there is nothing to fit. Give a mask that covers the muscles.")
    fit = fit_signals(series.signal[mask], series.gradients, estimator=estimator)

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
    )


def fit_signals(signals: Floats, gradients: GradientTable, *, estimator: str = "iwls") -> TensorFit:
    """Fit the diffusion tensor to each row of signals.

    Parameters
    ----------
    signals : ndarray of shape (m, n)
        Signals of m voxels, or mean signals of m regions, in n volumes.
    gradients : GradientTable
        One entry for each of the n volumes, directions in world coordinates.
    estimator : {"ols", "wls", "iwls", "nlls", "restore"}, default="iwls"
        How to fit; see the module.

    Returns
    -------
    TensorFit
        Eigenvalues, first eigenvectors and unweighted signals of the m tensors.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    SettingsError
        If the estimator is unknown.
    """
    if estimator not in ESTIMATORS:
        raise SettingsError(f"unknown estimator '{estimator}'. Known: {', '.join(ESTIMATORS)}.")
    design, diffusivity_unit = _design(gradients)
    if estimator == "restore" and len(gradients) <= N_UNKNOWNS:
        raise GradientError(
            f"{len(gradients)} volumes leave no room for outliers beside {N_UNKNOWNS} unknowns. "
            "Choose another estimator than restore."
        )
    is_usable = np.all(np.isfinite(signals), axis=1) & np.all(signals[:, gradients.is_b0] > 0, axis=1)
    usable = np.flatnonzero(is_usable)
    unknowns = np.full((len(signals), N_UNKNOWNS), np.nan)
    for start in range(0, len(usable), BLOCK_VOXELS):
        block = usable[start : start + BLOCK_VOXELS]
        unknowns[block] = _fit_block(signals[block].astype(float), design, estimator)
    return _decompose(unknowns, diffusivity_unit)


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


def _fit_block(signals: Floats, design: Floats, estimator: str) -> Floats:
    largest = signals.max(axis=1, keepdims=True)
    signals = np.maximum(signals / largest, SMALLEST_SIGNAL)
    # What overflows or is singular becomes NaN and is counted as unusable.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if estimator == "ols":
            unknowns = _fit_logarithm(signals, design, np.ones_like(signals), reweightings=0)
        elif estimator == "wls":
            unknowns = _fit_logarithm(signals, design, np.ones_like(signals), reweightings=1)
        else:
            unknowns = _fit_logarithm(signals, design, signals**2, reweightings=2)
        if estimator in ("nlls", "restore"):
            unknowns = _fit_signal(signals, design, np.ones_like(signals), unknowns)
        if estimator == "restore":
            unknowns = _leave_outliers_out(signals, design, unknowns)
    unknowns[:, -1] += np.log(largest[:, 0])
    return unknowns


def _fit_logarithm(signals: Floats, design: Floats, weights: Floats, *, reweightings: int) -> Floats:
    log_signals = np.log(signals)
    unknowns = _solve(design, weights, weights * log_signals)
    for _ in range(reweightings):
        weights = np.exp(2 * unknowns @ design.T)
        unknowns = _solve(design, weights, weights * log_signals)
    return unknowns


def _fit_signal(signals: Floats, design: Floats, weights: Floats, unknowns: Floats) -> Floats:
    """Minimise Σ w (S − exp(Xβ))² by Levenberg–Marquardt; each voxel has its own damping and leaves when done."""
    unknowns = unknowns.copy()
    damping = np.full(len(signals), 1e-3)
    cost = np.sum(weights * (signals - np.exp(unknowns @ design.T)) ** 2, axis=1)
    going = np.arange(len(signals))
    for _ in range(MAX_STEPS):
        measured, weight, current = signals[going], weights[going], unknowns[going]
        predicted = np.exp(current @ design.T)
        step = _solve(design, weight * predicted**2, weight * predicted * (measured - predicted), damping[going])
        trial = current + step
        trial_cost = np.sum(weight * (measured - np.exp(trial @ design.T)) ** 2, axis=1)
        is_better = trial_cost <= cost[going]
        unknowns[going[is_better]] = trial[is_better]
        cost[going[is_better]] = trial_cost[is_better]
        damping[going] *= np.where(is_better, 0.1, 10.0)
        change = np.abs(step @ design.T).max(axis=1)
        going = going[~(change < STEP_TOLERANCE) & (damping[going] < MAX_DAMPING)]
        if not len(going):
            break
    return unknowns


def _leave_outliers_out(signals: Floats, design: Floats, unknowns: Floats) -> Floats:
    """RESTORE: where residuals are too large, weight them down (Geman–McClure), then leave out what sticks out."""
    unknowns = unknowns.copy()
    residuals = signals - np.exp(unknowns @ design.T)
    # The noise level stays that of the plain fit: a robust fit overfits the rest, and its residuals understate it.
    limits = OUTLIER_SD * _noise_sd(residuals)
    suspects = np.flatnonzero(np.any(np.abs(residuals) > limits, axis=1))
    going = suspects
    for _ in range(MAX_REWEIGHTINGS):
        residuals = signals[going] - np.exp(unknowns[going] @ design.T)
        weights = (1 + (OUTLIER_SD * residuals / limits[going]) ** 2) ** -2
        reweighted = _fit_signal(signals[going], design, weights, unknowns[going])
        change = np.abs((reweighted - unknowns[going]) @ design.T).max(axis=1)
        unknowns[going] = reweighted
        going = going[change > REWEIGHTING_TOLERANCE]
    residuals = signals[suspects] - np.exp(unknowns[suspects] @ design.T)
    kept = (np.abs(residuals) <= limits[suspects]).astype(float)
    unknowns[suspects] = _fit_signal(signals[suspects], design, kept, unknowns[suspects])
    return unknowns


def _noise_sd(residuals: Floats) -> Floats:
    """Noise level of each voxel from its residuals (Chang 2012), shape (m, 1); never zero."""
    n = residuals.shape[1]
    deviations = np.abs(residuals - np.median(residuals, axis=1, keepdims=True))
    sd = SD_PER_MAD * np.sqrt(n / (n - N_UNKNOWNS)) * np.median(deviations, axis=1, keepdims=True)
    return np.maximum(sd, SMALLEST_SIGNAL)


def _solve(design: Floats, weights: Floats, targets: Floats, damping: Floats | float = 0.0) -> Floats:
    """Solve (XᵀWX) β = Xᵀt in all voxels at once (Cholesky); the diagonal is raised by the factor 1 + damping."""
    n, p = design.shape
    products = (design[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(n, p * p)
    normal = np.ascontiguousarray((weights @ products).T).reshape(p, p, -1)
    solution = np.ascontiguousarray((targets @ design).T)
    lower = np.zeros_like(normal)
    for j in range(p):
        pivot = normal[j, j] * (1 + damping) - np.sum(lower[j, :j] ** 2, axis=0)
        lower[j, j] = np.sqrt(pivot)
        for i in range(j + 1, p):
            lower[i, j] = (normal[i, j] - np.sum(lower[i, :j] * lower[j, :j], axis=0)) / lower[j, j]
    for i in range(p):
        solution[i] = (solution[i] - np.sum(lower[i, :i] * solution[:i], axis=0)) / lower[i, i]
    for i in reversed(range(p)):
        solution[i] = (solution[i] - np.sum(lower[i + 1 :, i] * solution[i + 1 :], axis=0)) / lower[i, i]
    return solution.T


def _decompose(unknowns: Floats, diffusivity_unit: float) -> TensorFit:
    """Turn tensor elements into eigenvalues and first eigenvectors; NaN where any element is not finite."""
    is_fitted = np.all(np.isfinite(unknowns), axis=1)
    tensors = unknowns[is_fitted][:, [[0, 3, 4], [3, 1, 5], [4, 5, 2]]] * diffusivity_unit
    ascending, vectors = np.linalg.eigh(tensors)
    eigenvalues = np.full((len(unknowns), 3), np.nan)
    direction = np.full((len(unknowns), 3), np.nan)
    s0 = np.full(len(unknowns), np.nan)
    eigenvalues[is_fitted] = ascending[:, ::-1]
    direction[is_fitted] = vectors[:, :, 2]
    s0[is_fitted] = np.exp(unknowns[is_fitted, -1])
    return TensorFit(eigenvalues, direction, s0)
