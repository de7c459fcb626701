"""What noise does to a magnitude signal: its mean raised, its floor, and how much of it muscle can bear.

The magnitude of a complex signal A with Gaussian noise of SD σ in each of n coils follows a non-central χ
distribution (Rician for one coil). Its mean lies above A, the more the weaker the signal, so that diffusion
looks slower than it is.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dtimuscle.dwi import Bools, DwiSeries, Floats, find_shells
from dtimuscle.errors import GridMismatchError, SettingsError
from dtimuscle.issues import Issue, Severity

# Muscle at b = 435 to 725 s/mm²: eigenvalues, MD and FA of a region of 27 voxels within 5 % and within 1 %
# (Damon 2008, PMID 18816814, by simulation).
AMBER_SNR = 25.0
GREEN_SNR = 50.0

# Below this many noise SDs the shape of Rician noise shows in a magnitude; a choice of the kit.
FLOOR_SD = 3.0

# More values at the floor than this part are worth a warning.
NOTABLE_AT_FLOOR = 0.1

# The mean of the magnitude is tabulated up to this A / σ; beyond it the asymptote is exact to 1e-4 σ.
TABLE_END = 60.0
TABLE_STEP = 0.02

# Turns between noise level and signal; far from the floor the first changes the level by less than this part.
TURNS = 20
TURN_TOLERANCE = 1e-3


class SnrGrade(StrEnum):
    """How good a signal-to-noise ratio is for the tensor of muscle."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class RicianCorrected:
    """A signal without the bias that the magnitude brings.

    Parameters
    ----------
    signal : ndarray
        Same shape as the measured one; 0 where the measured one does not exceed the mean of pure noise.
    n_values : int
        Values that were corrected.
    n_at_floor : int
        Those of them that do not exceed the mean of pure noise.
    n_unknown : int
        Values that stay as they were because their noise SD is not known (NaN, or zero).
    issues : tuple of Issue
        A warning when more than 10 % of the values are at the floor.
    """

    signal: Floats
    n_values: int
    n_at_floor: int
    n_unknown: int
    issues: tuple[Issue, ...] = ()


def grade_snr(snr: float) -> SnrGrade:
    """Grade a signal-to-noise ratio at b = 0 for the tensor of muscle.

    Parameters
    ----------
    snr : float
        Signal at b = 0 over the noise SD; NaN when not known.

    Returns
    -------
    SnrGrade
        Green from 50 (errors of about 1 %), amber from 25 (about 5 %), red below [1]_.

    References
    ----------
    .. [1] Damon, "Effects of image noise in muscle diffusion tensor (DT)-MRI assessed using numerical
       simulations", 2008, PMID 18816814.
    """
    if not np.isfinite(snr):
        return SnrGrade.UNKNOWN
    if snr >= GREEN_SNR:
        return SnrGrade.GREEN
    return SnrGrade.AMBER if snr >= AMBER_SNR else SnrGrade.RED


def correct_rician(signal: Floats, noise_sd: Floats | float, *, n_coils: int = 1) -> RicianCorrected:
    """Replace the mean of a magnitude by the signal that has this mean.

    A denoised or averaged magnitude is near its expectation [1]_

        E[M] = σ √(π/2) (2n − 1)!! / (2ⁿ⁻¹ (n − 1)!) · ₁F₁(−1/2; n; −A² / 2σ²),

    which is inverted for the signal A. The older √(M² − 2nσ²) inverts E[M²] instead, and takes about twice too much
    from a magnitude whose noise has been averaged away (benchmarks/noise_and_fat.md).

    Parameters
    ----------
    signal : ndarray of shape (..., n) or any
        Magnitudes, after denoising.
    noise_sd : float, or ndarray of the signal's shape or of its shape without the last axis
        SD of the noise in each of the two parts of the complex signal, before denoising, in the signal's unit; see
        `gaussian_noise_sd`.
    n_coils : int, default=1
        Coils combined by their sum of squares; 1 also for adaptive combination and SENSE.

    Returns
    -------
    RicianCorrected
        The signal, and how many values were at the floor.

    Raises
    ------
    GridMismatchError
        If the noise has another shape than the signal.
    SettingsError
        If there is less than one coil.

    References
    ----------
    .. [1] Koay and Basser, J Magn Reson 179 (2006) 317–322.
    """
    means, excesses = _mean_magnitude(n_coils)
    sd = np.broadcast_to(_beside(signal, noise_sd), signal.shape)
    is_known = np.isfinite(signal) & (sd > 0)
    sd = sd[is_known]
    ratio = signal[is_known] / sd
    # (M² − A²) / σ² is a smooth function of M: it falls from M² at the floor to 2n − 1 far above it.
    square = ratio**2 - np.interp(ratio, means, excesses, right=2.0 * n_coils - 1)
    is_at_floor = ratio <= means[0]
    corrected = signal.astype(np.result_type(signal, np.float32))
    corrected[is_known] = np.where(is_at_floor, 0, np.sqrt(np.maximum(square, 0)) * sd)
    n_values, n_at_floor = int(ratio.size), int(np.count_nonzero(is_at_floor))
    issues = []
    if n_at_floor > NOTABLE_AT_FLOOR * n_values:
        what = f"{n_at_floor / n_values:.0%} of the signals are no stronger than pure noise and count as 0."
        issues.append(Issue(Severity.WARNING, "Rician correction", what, "Restrict the mask to tissue, or lower b."))
    return RicianCorrected(
        signal=corrected,
        n_values=n_values,
        n_at_floor=n_at_floor,
        n_unknown=int(signal.size - n_values),
        issues=tuple(issues),
    )


def gaussian_noise_sd(signal: Floats, magnitude_sd: Floats, *, n_coils: int = 1) -> Floats:
    """Find the noise of the complex signal from that of its magnitude.

    Near the floor a magnitude varies less than the signal behind it: its variance is ξ σ² with ξ = 2n + A²/σ² −
    E[M]²/σ², which is 0.43 for no signal in one coil and 1 far above the floor [1]_. MP-PCA finds the mean of this
    variance over the volumes, so σ² is that mean over the mean of ξ; both are found in turns.

    Parameters
    ----------
    signal : ndarray of shape (..., n)
        Magnitudes of the n volumes, after denoising.
    magnitude_sd : ndarray of the signal's shape without the last axis
        Noise SD as MP-PCA finds it; NaN where it is not known.
    n_coils : int, default=1
        Coils combined by their sum of squares.

    Returns
    -------
    ndarray of the shape of `magnitude_sd`
        SD of the noise in each of the two parts of the complex signal; never below `magnitude_sd`.

    Raises
    ------
    GridMismatchError
        If the noise has another shape than a volume of the signal.
    SettingsError
        If there is less than one coil.

    References
    ----------
    .. [1] Koay and Basser, J Magn Reson 179 (2006) 317–322.
    """
    means, excesses = _mean_magnitude(n_coils)
    if magnitude_sd.shape != signal.shape[:-1]:
        raise GridMismatchError(
            f"the noise has shape {magnitude_sd.shape} but the signal {signal.shape}. Give one level for each voxel."
        )
    is_known = magnitude_sd > 0
    magnitudes, found = signal[is_known], magnitude_sd[is_known].astype(float)
    sd, going = found.copy(), np.arange(len(found))
    for _ in range(TURNS):
        excess = np.interp(magnitudes[going] / sd[going, np.newaxis], means, excesses, right=2.0 * n_coils - 1)
        turned = found[going] / np.sqrt((2 * n_coils - excess).mean(axis=-1))
        is_settled = np.abs(turned - sd[going]) < TURN_TOLERANCE * turned
        sd[going] = turned
        going = going[~is_settled]
    complete = magnitude_sd.astype(float)
    complete[is_known] = sd
    return complete


def at_noise_floor(series: DwiSeries, noise_sd: Floats | float) -> Bools:
    """Find the voxels whose most weighted signal drowns in noise.

    Parameters
    ----------
    series : DwiSeries
        The series, preferably denoised.
    noise_sd : float or ndarray of shape (nx, ny, nz)
        Noise SD of the scan in the signal's unit.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz)
        Where the mean over the volumes of the highest shell is below three noise SDs; False where the noise
        is not known.
    """
    *_, highest = find_shells(series.gradients)
    # Faster than an index.
    weakest = np.take(series.signal, highest.volumes, axis=-1).mean(axis=-1)
    return weakest < FLOOR_SD * _beside(weakest, noise_sd)


def impossible_signals(series: DwiSeries, weights: NDArray[Any] | None = None) -> Bools:
    """Find the voxels with a signal that no scanner measures in tissue.

    Parameters
    ----------
    series : DwiSeries
        The series that is fitted.
    weights : ndarray of float or bool, optional
        How much each sample counts, of a shape that broadcasts to that of the signal; those of weight 0 are left out
        of the fit and may be anything.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz)
        Where a signal that counts is not finite, or not above zero.
    """
    is_possible = np.isfinite(series.signal) & (series.signal > 0)
    return ~np.all(is_possible if weights is None else is_possible | (weights == 0), axis=-1)


def _beside(signal: Floats, noise_sd: Floats | float) -> Floats:
    """Noise SD in a shape that goes with the signal."""
    sd = np.asarray(noise_sd)
    if sd.ndim and sd.shape == signal.shape[:-1]:
        return sd[..., np.newaxis]
    if sd.ndim and sd.shape != signal.shape:
        raise GridMismatchError(
            f"the noise has shape {sd.shape} but the signal {signal.shape}. Give one noise level for each voxel."
        )
    return sd


@cache
def _mean_magnitude(n_coils: int) -> tuple[Floats, Floats]:
    """E[M] / σ, rising, and (E[M]² − A²) / σ² of magnitudes from A = 0 upwards."""
    if n_coils < 1:
        raise SettingsError(f"n_coils is {n_coils}; at least one coil makes a signal.")
    amplitude = np.arange(0, TABLE_END, TABLE_STEP)
    # √(π/2) (2n − 1)!! / (2ⁿ⁻¹ (n − 1)!) = √2 Γ(n + 1/2) / Γ(n)
    at_zero = np.sqrt(2) * np.exp(special.gammaln(n_coils + 0.5) - special.gammaln(n_coils))
    means = at_zero * special.hyp1f1(-0.5, n_coils, -(amplitude**2) / 2)
    return means, means**2 - amplitude**2
