"""Fat in muscle: which voxels hold too much of it, and what the rest of it does to the tensor.

Fat hardly diffuses. What suppression leaves of it (protons that resonate near water, and imperfect pulses)
stays while the water's signal decays, so MD and FA come out too low. Its diffusivity is known, so its signal
can be taken away once its share is known.
"""

from dataclasses import dataclass

import numpy as np

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, require_one_grid
from dtimuscle.errors import ImageError, SettingsError
from dtimuscle.imaging.compartments import fit_logarithm, log_design, predict
from dtimuscle.issues import Issue, Severity

# Fat of the lower leg: 1.81 to 1.96 × 10⁻⁵ mm²/s in three directions (Steidle 2011, doi 10.1002/mrm.22699).
FAT_DIFFUSIVITY = 1.9e-5

# Signal at b = 0 that suppression leaves of fat, over that of as much muscle water. Assumed: 5 % of the fat stays, and
# at an echo time of 55 ms T2 of 70 against 31.7 ms makes it 2.6 times as bright. Spectral suppression alone cannot
# reach the 8.6 % of the protons that lie under the water's peak (Hamilton 2011, doi 10.1002/nbm.1622).
FAT_SIGNAL = 0.13

# Fat-fraction maps are noisy, so shares may lie this far outside 0 to 1.
SHARE_TOLERANCE = 0.2

# Voxels with a larger share are fat's.
MOSTLY_FAT = 0.5

# Two b-values tell slow fat from fast water when they differ by at least this factor.
MIN_B_RATIO = 1.5
# A share that is known no better than this (standard error) is not known.
MAX_STANDARD_ERROR = 0.1
# Shares of the signal that are tried before the best of them is refined.
SHARES = np.arange(-0.1, 0.92, 0.02)
FINE_STEPS = np.arange(-0.024, 0.025, 0.004)
# Unknowns of two compartments: the tensor, the water's signal and the fat's.
N_UNKNOWNS = 8


@dataclass(frozen=True)
class FatFraction:
    """A fat-fraction map.

    Parameters
    ----------
    share : ndarray of shape (nx, ny, nz)
        Proton density fat fraction (0 to 1); NaN where it is not known.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Raises
    ------
    ImageError
        If the map is not three-dimensional, or its values are no shares.
    """

    share: Floats
    affine: Floats

    def __post_init__(self) -> None:
        """Refuse a map that cannot be one of shares."""
        if self.share.ndim != 3:
            raise ImageError(
                f"the fat-fraction map has {self.share.ndim} dimensions; it must have three. Give one volume."
            )
        known = self.share[np.isfinite(self.share)]
        if known.size and (known.min() < -SHARE_TOLERANCE or known.max() > 1 + SHARE_TOLERANCE):
            raise ImageError(
                f"the fat-fraction map goes from {known.min():g} to {known.max():g}; shares lie between 0 and 1. "
                "Divide a map in percent by 100."
            )


@dataclass(frozen=True)
class WaterSignal:
    """A series without the signal of fat.

    Parameters
    ----------
    series : DwiSeries
        The signal of water; NaN where the fat fraction is not known, 0 where no signal is left.
    fat_share : ndarray of shape (nx, ny, nz)
        Part of the signal at b = 0 that was fat's (0 to 1).
    n_unknown : int
        Voxels of the mask without a fat fraction.
    n_emptied : int
        Voxels of the mask, less than half of them fat, in which fat would account for all of the signal in some volume.
    issues : tuple of Issue
        What makes the result doubtful.
    """

    series: DwiSeries
    fat_share: Floats
    n_unknown: int
    n_emptied: int
    issues: tuple[Issue, ...]


@dataclass(frozen=True)
class FatEstimate:
    """Share of fat in the signal at b = 0, found by its slow diffusion.

    Parameters
    ----------
    share : ndarray of shape (m,)
        Part of the signal (below 0 where noise made it so); NaN where it cannot be told.
    standard_error : ndarray of shape (m,)
        Of the share, from the curvature of the sum of squares; known also where the share is NaN for its sake.
    issues : tuple of Issue
        Why shares are missing.
    """

    share: Floats
    standard_error: Floats
    issues: tuple[Issue, ...]


def too_fat(fat: FatFraction, *, max_fat_fraction: float) -> Bools:
    """Find the voxels that are left out of a muscle for their fat.

    Parameters
    ----------
    fat : FatFraction
        The map.
    max_fat_fraction : float
        Largest share that a voxel of muscle may have (0 to 1).

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz)
        Where the share is larger, or not known.

    Raises
    ------
    SettingsError
        If the limit is not a share.
    """
    if not 0 <= max_fat_fraction <= 1:
        raise SettingsError(f"max_fat_fraction is {max_fat_fraction:g}; it is a share between 0 and 1.")
    return ~(fat.share <= max_fat_fraction)


def fat_signal_share(fat_fraction: Floats | float, *, fat_signal: float = FAT_SIGNAL) -> Floats:
    """Turn a share of the protons into a share of the suppressed signal at b = 0.

    Parameters
    ----------
    fat_fraction : float or ndarray
        Proton density fat fraction ff; below 0 counts as 0, above 1 as 1.
    fat_signal : float, default=0.13
        Signal k that suppression leaves of fat, over that of as much muscle water.

    Returns
    -------
    ndarray
        ff k / (1 − ff + ff k).
    """
    share = np.clip(fat_fraction, 0, 1)
    # With perfect suppression pure fat has no signal, hence no share.
    total = 1 - share + share * fat_signal
    return np.divide(share * fat_signal, total, out=np.zeros_like(total), where=~(total == 0))


def subtract_fat(
    series: DwiSeries,
    fat: FatFraction,
    mask: Bools,
    *,
    fat_signal: float = FAT_SIGNAL,
    fat_diffusivity: float = FAT_DIFFUSIVITY,
) -> WaterSignal:
    """Take the signal of fat away, so that what is left decays as water does.

    The signal of two compartments, S = S0 [(1 − φ) exp(−b gᵀDg) + φ exp(−b D_fat)], is linear in fat: with
    its share φ of the signal at b = 0 and its diffusivity known, φ S̄(b = 0) exp(−b D_fat) is subtracted, and any
    estimator of the tensor may follow, on voxels and on the mean signal of a muscle.

    Parameters
    ----------
    series : DwiSeries
        After all preprocessing.
    fat : FatFraction
        On the same grid.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where to count; the subtraction is done everywhere.
    fat_signal : float, default=0.13
        Signal at b = 0 that suppression leaves of fat, over that of as much muscle water: the part of the fat that
        is left × exp(−TE / T2 of fat) / exp(−TE / T2 of muscle).
    fat_diffusivity : float, default=1.9e-5
        mm²/s.

    Returns
    -------
    WaterSignal
        The series of water.

    Raises
    ------
    GridMismatchError
        If the map lies on another grid.
    SettingsError
        If a setting is below 0.
    """
    require_one_grid(series.shape, series.affine, fat.share.shape, fat.affine, names="the series and the fat fraction")
    _require_not_negative(fat_signal=fat_signal, fat_diffusivity=fat_diffusivity)
    share = fat_signal_share(fat.share, fat_signal=fat_signal)
    b0 = series.mean_b0() * share
    decay = np.exp(-np.where(series.gradients.is_b0, 0, series.gradients.bvals) * fat_diffusivity)
    water = np.maximum(series.signal - b0[..., np.newaxis] * decay, 0).astype(series.signal.dtype)
    n_unknown = int(np.count_nonzero(mask & np.isnan(share)))
    # Where most is fat, no water is left, as it should be.
    is_emptied = np.any(water == 0, axis=-1) & ~np.any(series.signal == 0, axis=-1) & (fat.share < MOSTLY_FAT)
    n_emptied = int(np.count_nonzero(mask & is_emptied))
    issues = []
    if n_unknown:
        what = f"{n_unknown} of {np.count_nonzero(mask)} voxels have no fat fraction, so their tensor is not fitted."
        issues.append(Issue(Severity.WARNING, "fat", what, "Give a fat-fraction map that covers the mask."))
    if n_emptied:
        what = (
            f"in {n_emptied} of {np.count_nonzero(mask)} voxels the fat fraction accounts for more than the signal of "
            "some volume; it counts as 0 there."
        )
        issues.append(Issue(Severity.NOTE, "fat", what, "Check fat_signal and the alignment of the fat-fraction map."))
    return WaterSignal(series.with_signal(water), share, n_unknown, n_emptied, tuple(issues))


def estimate_fat(signals: Floats, gradients: GradientTable, *, fat_diffusivity: float = FAT_DIFFUSIVITY) -> FatEstimate:
    """Find the share of fat by fitting both compartments, where the b-values allow it.

    For each share that is tried, fat is subtracted and the rest fitted by a tensor (least squares of the logarithm,
    weighted twice); the share with the smallest sum of squared residuals is refined by a parabola. One
    shell cannot tell: slow fat and a slower tensor explain it alike.

    Parameters
    ----------
    signals : ndarray of shape (m, n)
        Mean signals of m regions, or signals of m voxels (then for the most part too noisy to tell).
    gradients : GradientTable
        One entry for each of the n volumes.
    fat_diffusivity : float, default=1.9e-5
        mm²/s.

    Returns
    -------
    FatEstimate
        Shares of the signal at b = 0, and how well they are known.

    Raises
    ------
    SettingsError
        If the diffusivity is below 0.
    GradientError
        If the gradients cannot carry a tensor.
    """
    _require_not_negative(fat_diffusivity=fat_diffusivity)
    gradients.require_tensor()
    share, error = np.full(len(signals), np.nan), np.full(len(signals), np.nan)
    weighted = gradients.bvals[~gradients.is_b0]
    if weighted.max() < MIN_B_RATIO * weighted.min() or len(gradients) <= N_UNKNOWNS:
        what = (
            "the share of fat cannot be told from its diffusion: that needs b-values that differ by a factor of "
            f"{MIN_B_RATIO:g} (found {weighted.min():g} to {weighted.max():g} s/mm²) and more than "
            f"{N_UNKNOWNS} volumes."
        )
        remedy = "Give a fat-fraction map."
        return FatEstimate(share, error, (Issue(Severity.WARNING, "fat", what, remedy),))
    is_usable = np.all(np.isfinite(signals), axis=1) & np.all(signals[:, gradients.is_b0] > 0, axis=1)
    share[is_usable], error[is_usable] = _best_share(signals[is_usable].astype(float), gradients, fat_diffusivity)
    is_vague = ~(error <= MAX_STANDARD_ERROR)
    share[is_vague] = np.nan
    issues = []
    if is_vague.any():
        what = (
            f"{np.count_nonzero(is_vague)} of {len(signals)} shares of fat are not known to within "
            f"{MAX_STANDARD_ERROR:g} (standard error) and are left out."
        )
        issues.append(Issue(Severity.NOTE, "fat", what, "Use mean signals of muscles, or give a fat-fraction map."))
    return FatEstimate(share, error, tuple(issues))


def _require_not_negative(**settings: float) -> None:
    for name, value in settings.items():
        if not value >= 0:
            raise SettingsError(f"{name} is {value:g}; it cannot be below 0.")


def _best_share(signals: Floats, gradients: GradientTable, fat_diffusivity: float) -> tuple[Floats, Floats]:
    bvals, design = np.where(gradients.is_b0, 0, gradients.bvals), log_design(gradients)
    b0 = signals[:, gradients.is_b0].mean(axis=1, keepdims=True)
    scaled, decay = signals / b0, np.exp(-bvals * fat_diffusivity)
    costs = np.stack([_cost(scaled, share * decay, design) for share in SHARES])
    coarse = costs.argmin(axis=0)
    is_inside = (coarse > 0) & (coarse < len(SHARES) - 1)
    near = SHARES[coarse] + FINE_STEPS[:, np.newaxis]
    costs = np.stack([_cost(scaled, shares[:, np.newaxis] * decay, design) for shares in near])
    # The parabola through the best share and its neighbours.
    best = np.clip(costs.argmin(axis=0), 1, len(FINE_STEPS) - 2)[np.newaxis]
    below, middle, above = (np.take_along_axis(costs, best + k, axis=0)[0] for k in (-1, 0, 1))
    step = FINE_STEPS[1] - FINE_STEPS[0]
    curvature = (below - 2 * middle + above) / step**2
    is_minimum = is_inside & (curvature > 0)
    curvature = np.where(is_minimum, curvature, np.inf)
    shift = (below - above) / (2 * step * curvature)
    error = np.sqrt(2 * middle / (len(bvals) - N_UNKNOWNS) / curvature)
    error[~is_minimum] = np.inf
    return np.take_along_axis(near, best, axis=0)[0] + shift, error


def _cost(signals: Floats, fat: Floats, design: Floats) -> Floats:
    """Sum of squared residuals once fat is subtracted and the rest is fitted by a tensor."""
    water = signals - fat
    return np.sum((water - predict(fit_logarithm(water, design), design)) ** 2, axis=1)
