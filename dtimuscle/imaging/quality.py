"""How good one participant's data are: of the series after preprocessing, and of the tensor fit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from dtimuscle.dwi import Bools, DwiSeries, Floats, ShellSelection, TensorMaps, find_shells
from dtimuscle.imaging.motion import MotionCorrected
from dtimuscle.imaging.noise import SnrGrade, grade_snr
from dtimuscle.imaging.tensor import VoxelCounts
from dtimuscle.imaging.unring import slice_axis
from dtimuscle.issues import Issue, Severity

# Above this b-value, in s/mm², the signal of muscle is no longer that of a Gaussian diffusion process.
HIGHEST_GAUSSIAN_B = 1200.0

# Up to this part of the voxels, missing fits are counted but not warned about.
NOTABLE_FRACTION = 0.1

# Muscle reaches at least this part of the 95th percentile of the foreground; suppressed fat and marrow do not.
MUSCLE_BRIGHTNESS = 0.4


@dataclass(frozen=True)
class SeriesQuality:
    """What preprocessing found out about a series.

    Parameters
    ----------
    n_volumes : int
        Volumes of the series.
    b_values : tuple of float
        Shells in s/mm², 0 first.
    n_directions : int
        Independent gradient directions.
    voxel_sizes : tuple of float
        Edge lengths of a voxel in mm.
    n_foreground : int
        Voxels in the mask.
    snr : float or None
        Median of the mean b = 0 signal divided by the noise SD, over the brighter foreground (muscle rather
        than suppressed fat); None when the noise was not estimated.
    mean_displacement_mm, max_displacement_mm : float or None
        How far the volumes had moved; None when motion was not corrected.
    max_rotation_deg : float or None
        How far the volumes had turned; None when motion was not corrected.
    mean_framewise_mm, max_framewise_mm : float or None
        How far the patient moved from one volume to the next; None when motion was not corrected.
    n_lost_slices : int or None
        Slices that lost their signal; None when they were not looked for, or could not be judged.
    issues : tuple of Issue
        What makes the series doubtful.
    n_slices : int
        Slices of a volume, across the longest edge of a voxel.
    """

    n_volumes: int
    b_values: tuple[float, ...]
    n_directions: int
    voxel_sizes: tuple[float, ...]
    n_foreground: int
    snr: float | None
    mean_displacement_mm: float | None
    max_displacement_mm: float | None
    max_rotation_deg: float | None
    mean_framewise_mm: float | None = None
    max_framewise_mm: float | None = None
    n_lost_slices: int | None = None
    issues: tuple[Issue, ...] = ()
    n_slices: int = 0

    @property
    def snr_grade(self) -> SnrGrade:
        """Green from 50, amber from 25, red below; unknown without a noise level."""
        return grade_snr(np.nan if self.snr is None else self.snr)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        issues = [issue.to_dict() for issue in self.issues]
        return asdict(self) | {"snr_grade": str(self.snr_grade), "issues": issues}


@dataclass(frozen=True)
class FitQuality:
    """How well the tensor could be fitted.

    Parameters
    ----------
    estimator : str
        How it was fitted.
    n_voxels : int
        Voxels in which a fit was tried.
    fraction_unusable : float
        Part of these without a fit (0 to 1).
    fraction_non_positive : float
        Part of the fitted ones with an eigenvalue at or below zero (0 to 1); they are kept. Most of them lie
        in suppressed fat; how many lie in a muscle is said where the muscle is measured.
    n_unusable, n_non_positive : int
        The voxels behind the two parts.
    n_not_finite, n_no_b0, n_too_few : int or None
        The unusable voxels by their reason; None when they were not counted (see `VoxelCounts`).
    n_weighted_at_zero : int or None
        Fitted voxels with a weighted signal at or below zero, which no tissue has.
    n_samples_left_out : int or None
        Samples (voxel and volume) that the fit left out, such as those of lost slices.
    orientation : str
        What the fibres say of the b-vectors: `as given`, `flipped` or `undecidable`; empty when nothing was asked.
    issues : tuple of Issue
        What makes the maps doubtful.
    shells : str
        Which shells the tensor is fitted to and which are left out, in a sentence; empty when nothing was chosen.
    """

    estimator: str
    n_voxels: int
    fraction_unusable: float
    fraction_non_positive: float
    n_unusable: int = 0
    n_non_positive: int = 0
    n_not_finite: int | None = None
    n_no_b0: int | None = None
    n_too_few: int | None = None
    n_weighted_at_zero: int | None = None
    n_samples_left_out: int | None = None
    orientation: str = ""
    issues: tuple[Issue, ...] = ()
    shells: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"issues": [issue.to_dict() for issue in self.issues]}


@dataclass(frozen=True)
class MuscleQuality:
    """How good the data of one muscle and side are.

    Parameters
    ----------
    muscle : str
        Canonical name.
    side : str
        `left`, `right`, or `both` (pooled).
    n_kept : int
        Voxels that its values are made from.
    n_fat : int
        Voxels left out because their fat fraction is above the limit or not known.
    n_impossible : int
        Voxels left out because a signal is not finite or not above zero in some volume.
    n_non_positive : int
        Voxels among the kept ones with an eigenvalue at or below zero.
    snr : float or None
        Mean of the kept voxels' b = 0 signal over the root mean square of their noise SD; None when the noise is
        not known.
    grade : SnrGrade
        Green from 50, amber from 25, red below.
    fraction_at_floor : float or None
        Part of the kept voxels whose most weighted signal is below three noise SDs; None when the noise is not known.
    fat_fraction : float or None
        Mean over the kept voxels (0 to 1); None without a map.
    volume_ml : float or None
        Volume of the whole label, rim included, ml; None when it was not measured.
    cross_section_cm2 : float or None
        Mean area of the whole label over the slices that it lies in, cm²; None when it was not measured.
    residual : float or None
        Median over the kept voxels of what the tensor leaves unexplained, as part of the signal without weighting;
        None without a map.
    """

    muscle: str
    side: str
    n_kept: int
    n_fat: int
    n_impossible: int
    n_non_positive: int
    snr: float | None
    grade: SnrGrade
    fraction_at_floor: float | None
    fat_fraction: float | None = None
    volume_ml: float | None = None
    cross_section_cm2: float | None = None
    residual: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"grade": str(self.grade)}


def series_quality(
    series: DwiSeries,
    mask: Bools,
    *,
    noise_sd: Floats | None = None,
    motion: MotionCorrected | None = None,
    n_lost_slices: int | None = None,
    issues: tuple[Issue, ...] = (),
) -> SeriesQuality:
    """Describe a preprocessed series.

    Parameters
    ----------
    series : DwiSeries
        The series after preprocessing.
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground.
    noise_sd : ndarray of shape (nx, ny, nz), optional
        Noise SD in the signal's unit; NaN where it is not known.
    motion : MotionCorrected, optional
        How each volume had moved.
    n_lost_slices : int, optional
        Slices that lost their signal.
    issues : tuple of Issue, optional
        What the steps of preprocessing met.

    Returns
    -------
    SeriesQuality
        With these issues.
    """
    return SeriesQuality(
        n_volumes=len(series.gradients),
        b_values=tuple(shell.nominal_b for shell in find_shells(series.gradients)),
        n_directions=series.gradients.n_directions,
        voxel_sizes=tuple(float(size) for size in series.voxel_sizes),
        n_foreground=int(np.count_nonzero(mask)),
        snr=_snr(series, mask, noise_sd),
        mean_displacement_mm=None if motion is None else float(motion.displacement_mm.mean()),
        max_displacement_mm=None if motion is None else float(motion.displacement_mm.max()),
        max_rotation_deg=None if motion is None else float(motion.rotation_deg.max()),
        # The first volume has none before it.
        mean_framewise_mm=None if motion is None else float(motion.framewise_mm[1:].mean()),
        max_framewise_mm=None if motion is None else float(motion.framewise_mm.max()),
        n_lost_slices=n_lost_slices,
        issues=issues,
        n_slices=series.shape[slice_axis(series.voxel_sizes)],
    )


def fit_quality(
    maps: TensorMaps,
    counts: VoxelCounts | None = None,
    selection: ShellSelection | None = None,
    *,
    highest_b: float = 0.0,
    orientation: str = "",
    issues: tuple[Issue, ...] = (),
) -> FitQuality:
    """Count the voxels that could not be fitted and those that noise has made impossible.

    Parameters
    ----------
    maps : TensorMaps
        The maps of a fit.
    counts : VoxelCounts, optional
        Why voxels have no tensor, or a doubtful one.
    selection : ShellSelection, optional
        The shells that the tensor was fitted to; those left out become a note.
    highest_b : float, default=0.0
        Highest b-value that the tensor was fitted to, s/mm².
    orientation : str, default=""
        What the fibres say of the b-vectors.
    issues : tuple of Issue, optional
        What else is known to make the maps doubtful.

    Returns
    -------
    FitQuality
        With a warning when more than 10 % of the voxels have no fit or b-values lie beyond Gaussian diffusion, and the
        issues of the counts.
    """
    is_fitted = maps.mask & np.isfinite(maps.md)
    n_voxels, n_fitted = int(np.count_nonzero(maps.mask)), int(np.count_nonzero(is_fitted))
    n_non_positive = int(np.count_nonzero(is_fitted & ~maps.is_positive))
    unusable = 1 - n_fitted / n_voxels
    reasons = {} if counts is None else {reason: getattr(counts, reason) for reason in _REASONS}
    found = []
    if unusable > NOTABLE_FRACTION:
        what = f"{unusable:.1%} of the voxels cannot be fitted: a b = 0 signal is not above zero, or one is not finite."
        found.append(Issue(Severity.WARNING, "tensor fit", what, "Check the mask and the borders of the image."))
    if selection is not None and selection.left_out:
        found.append(Issue(Severity.NOTE, "tensor fit", selection.words, "To use them, raise highest_b."))
    if highest_b > HIGHEST_GAUSSIAN_B:
        what = (
            f"the highest b-value is {highest_b:.0f} s/mm²; above {HIGHEST_GAUSSIAN_B:.0f} the signal no longer decays "
            "as a tensor says, so MD from it comes out too low."
        )
        remedy = "Leave the high shells out of the fit: highest_b does so where lower ones can carry a tensor."
        found.append(Issue(Severity.WARNING, "tensor fit", what, remedy))
    return FitQuality(
        estimator=maps.estimator,
        n_voxels=n_voxels,
        fraction_unusable=unusable,
        fraction_non_positive=n_non_positive / max(n_fitted, 1),
        n_unusable=n_voxels - n_fitted,
        n_non_positive=n_non_positive,
        orientation=orientation,
        issues=(*found, *issues, *(() if counts is None else counts.issues)),
        shells="" if selection is None else selection.words,
        **reasons,
    )


_REASONS = ("n_not_finite", "n_no_b0", "n_too_few", "n_weighted_at_zero", "n_samples_left_out")


def compare_fits(fits: Mapping[str, TensorMaps]) -> pd.DataFrame:
    """Describe several fits of one series side by side.

    Parameters
    ----------
    fits : mapping of str to TensorMaps
        Maps by the name of their estimator.

    Returns
    -------
    DataFrame
        One row per fit: `estimator`, `n_voxels`, the medians `fa` and `md` (mm²/s) over the voxels, and
        `fraction_non_positive` (0 to 1).
    """
    return pd.DataFrame(
        {
            "estimator": name,
            "n_voxels": int(np.count_nonzero(maps.mask)),
            "fa": float(np.nanmedian(maps.fa[maps.mask])),
            "md": float(np.nanmedian(maps.md[maps.mask])),
            "fraction_non_positive": fit_quality(maps).fraction_non_positive,
        }
        for name, maps in fits.items()
    )


def _snr(series: DwiSeries, mask: Bools, noise_sd: Floats | None) -> float | None:
    if noise_sd is None:
        return None
    is_known = mask & (noise_sd > 0)
    if not is_known.any():
        return None
    signal, noise = series.mean_b0()[is_known], noise_sd[is_known]
    is_muscle = signal >= MUSCLE_BRIGHTNESS * np.percentile(signal, 95)
    return float(np.median(signal[is_muscle] / noise[is_muscle]))
