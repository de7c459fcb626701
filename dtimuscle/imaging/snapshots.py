"""What preprocessing and the fit leave for the eye: pictures of each step, the course of the scan, maps of doubt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dtimuscle.dwi import DwiSeries, Floats, GradientTable, find_shells, voxel_sizes
from dtimuscle.imaging.motion import MotionCorrected
from dtimuscle.imaging.outliers import SliceOutliers


@dataclass(frozen=True)
class Snapshot:
    """One slice of all volumes after a step.

    Parameters
    ----------
    step : str
        `scanned`, `denoised`, `rician`, `unringed`, `aligned` or `averaged`.
    slab : ndarray of shape (nx, ny, nz, n)
        The slice, its axis of length one.
    affine : ndarray of shape (4, 4)
        Of the slab: from voxel indices to world coordinates (RAS, mm).
    details : dict
        What the step did, in plain values ready for JSON.
    """

    step: str
    slab: Floats
    affine: Floats
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """How a series went through preprocessing.

    Parameters
    ----------
    steps : tuple of str
        What was done, in order; `scanned` comes first.
    pictures : ndarray of shape (nx, ny, nz, 2 m)
        One slice (its axis of length one) after each of the m steps: the first volume without weighting for each step,
        then the weighted volume for each step.
    affine : ndarray of shape (4, 4)
        Of the pictures: from voxel indices to world coordinates (RAS, mm).
    about : dict
        Plain values, ready for JSON: `steps` (name and details of each), `low` and `high` (index and b-value of the two
        volumes that are shown).
    volumes : DataFrame
        One row per volume: `b` (s/mm²), `is_b0`, the direction as given (`x`, `y`, `z`) and as turned with the patient
        (`turned_x` …), `displacement_mm`, `framewise_mm` and `rotation_deg`; NaN when motion was not corrected.
    slices : DataFrame
        One row per slice and volume: `loss` (share of the signal that is missing) and `is_outlier`; no rows when lost
        slices were not looked for.
    """

    steps: tuple[str, ...]
    pictures: Floats
    affine: Floats
    about: dict[str, Any]
    volumes: pd.DataFrame
    slices: pd.DataFrame


def take_snapshot(step: str, series: DwiSeries, **details: Any) -> Snapshot:
    """Keep the middle slice across the body.

    Parameters
    ----------
    step : str
        What has just been done.
    series : DwiSeries
        The series after it.
    **details : object
        Plain values that describe what was done.

    Returns
    -------
    Snapshot
        The slice of all volumes.
    """
    # The axis that runs along the body, whichever way the image is stored.
    axis = int(np.argmax(np.abs(series.affine[2, :3]) / voxel_sizes(series.affine)))
    index = series.shape[axis] // 2
    affine = series.affine.copy()
    affine[:3, 3] += index * affine[:3, axis]
    slab = np.take(series.signal, [index], axis=axis)
    return Snapshot(step, slab, affine, details)


def describe_course(
    snapshots: Sequence[Snapshot],
    gradients: GradientTable,
    *,
    motion: MotionCorrected | None = None,
    outliers: SliceOutliers | None = None,
) -> Course:
    """Put together what is kept of preprocessing.

    Of the most weighted volumes the one is shown that had moved most: it tells best what alignment was worth.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        Of the series as scanned and after each step.
    gradients : GradientTable
        As given.
    motion : MotionCorrected, optional
        How each volume had moved.
    outliers : SliceOutliers, optional
        Which slices were lost.

    Returns
    -------
    Course
        Small enough to be kept for each participant.
    """
    moved = np.full(len(gradients), np.nan) if motion is None else motion.displacement_mm
    *_, highest = find_shells(gradients)
    low = int(np.flatnonzero(gradients.is_b0)[0])
    high = int(highest.volumes[np.argmax(np.nan_to_num(moved[highest.volumes]))])
    pictures = [shot.slab[..., volume] for volume in (low, high) for shot in snapshots]
    shown = {name: {"volume": v, "b": float(gradients.bvals[v])} for name, v in (("low", low), ("high", high))}
    steps = [{"step": shot.step, **shot.details} for shot in snapshots]
    return Course(
        steps=tuple(shot.step for shot in snapshots),
        pictures=np.stack(pictures, axis=-1),
        affine=snapshots[0].affine,
        about={"steps": steps, **shown},
        volumes=_volumes(gradients, motion),
        slices=_slices(outliers),
    )


def _volumes(gradients: GradientTable, motion: MotionCorrected | None) -> pd.DataFrame:
    table = pd.DataFrame({"volume": np.arange(len(gradients)), "b": gradients.bvals, "is_b0": gradients.is_b0})
    turned = gradients.directions if motion is None else motion.series.gradients.directions
    for prefix, directions in (("", gradients.directions), ("turned_", turned)):
        table[[f"{prefix}{axis}" for axis in "xyz"]] = directions
    for name in ("displacement_mm", "framewise_mm", "rotation_deg"):
        table[name] = np.nan if motion is None else getattr(motion, name)
    return table


def _slices(outliers: SliceOutliers | None) -> pd.DataFrame:
    if outliers is None:
        return pd.DataFrame(columns=["slice", "volume", "loss", "is_outlier"])
    slices, volumes = np.indices(outliers.loss.shape)
    return pd.DataFrame(
        {
            "slice": slices.ravel(),
            "volume": volumes.ravel(),
            "loss": outliers.loss.ravel(),
            "is_outlier": outliers.is_outlier.ravel(),
        }
    )


def snr_map(s0: Floats, noise_sd: Floats) -> Floats:
    """Signal without weighting over the noise of a single volume.

    Parameters
    ----------
    s0 : ndarray of shape (nx, ny, nz)
        Fitted signal without weighting.
    noise_sd : ndarray of shape (nx, ny, nz)
        Noise SD in the same unit.

    Returns
    -------
    ndarray of shape (nx, ny, nz)
        NaN where either is not known.
    """
    is_known = np.isfinite(s0) & (noise_sd > 0)
    return np.divide(s0, noise_sd, out=np.full(s0.shape, np.nan), where=is_known)
