"""What preprocessing and the fit leave for the eye: pictures of each step, the course of the scan, maps of doubt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, TensorMaps, voxel_sizes
from dtimuscle.imaging.motion import MotionCorrected
from dtimuscle.imaging.outliers import SliceOutliers

# Weighted volumes with at least this part of the highest b-value are the most weighted ones: imaging gradients move
# the b-values of one shell by a few percent.
SAME_B = 0.95

# A signal is raised to this part of the voxel's largest before the logarithm, as for the tensor.
SMALLEST_SIGNAL = 1e-6

# Voxels whose residual is found together, so that temporary arrays stay within tens of megabytes.
BLOCK_VOXELS = 20_000


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
    is_high = gradients.bvals >= SAME_B * gradients.bvals.max()
    low = int(np.flatnonzero(gradients.is_b0)[0])
    high = int(np.argmax(np.where(is_high, np.nan_to_num(moved) + 1, 0)))
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


def residual_map(series: DwiSeries, maps: TensorMaps, *, weights: Bools | None = None) -> Floats:
    """Find what a tensor leaves unexplained in each voxel.

    The maps hold the tensor's parameters but not all of its axes, so the signal is fitted once more, by linear least
    squares on its logarithm with the squared signal as weights; the residual of every estimator is near its least.

    Parameters
    ----------
    series : DwiSeries
        What the maps were fitted to.
    maps : TensorMaps
        Tell which voxels have a tensor.
    weights : ndarray of bool, optional
        Samples that count; of a shape that broadcasts to that of the signal.

    Returns
    -------
    ndarray of shape (nx, ny, nz)
        Root mean square of signal minus fit over the samples that count, per degree of freedom (samples minus seven
        unknowns), over the fitted signal without weighting; NaN without a tensor or without degrees of freedom.
    """
    is_fitted = maps.mask & np.isfinite(maps.md) & (maps.s0 > 0)
    residual = np.full(series.shape, np.nan)
    design = _design(series.gradients)
    voxels = np.argwhere(is_fitted)
    counted = None if weights is None else np.broadcast_to(weights, series.signal.shape)
    for start in range(0, len(voxels), BLOCK_VOXELS):
        place = tuple(voxels[start : start + BLOCK_VOXELS].T)
        signal = series.signal[place].astype(float)
        counts = np.ones(signal.shape) if counted is None else counted[place].astype(float)
        residual[place] = _residual(signal, counts, design) / maps.s0[place]
    return residual


def _design(gradients: GradientTable) -> Floats:
    """Rows (−b gg, 1) of the unknowns xx, yy, zz, xy, xz, yz (in units of the largest b) and ln S0, shape (n, 7)."""
    x, y, z = gradients.directions.T
    b = gradients.bvals / gradients.bvals.max()
    quadratic = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    return np.column_stack([-b[:, None] * quadratic, np.ones(len(b))])


def _residual(signal: Floats, counts: Floats, design: Floats) -> Floats:
    floor = SMALLEST_SIGNAL * np.maximum(signal.max(axis=1, keepdims=True), np.finfo(float).tiny)
    floored = np.maximum(np.nan_to_num(signal), floor)
    importance = counts * (floored / floored.max(axis=1, keepdims=True)) ** 2
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    n_unknowns = design.shape[1]
    normal = (importance @ products).reshape(-1, n_unknowns, n_unknowns)
    right = (importance * np.log(floored)) @ design
    # The pseudo-inverse bears voxels whose samples leave an unknown open.
    unknowns = np.linalg.pinv(normal, hermitian=True) @ right[..., None]
    error = counts * (np.nan_to_num(signal) - np.exp(unknowns[..., 0] @ design.T))
    freedom = counts.sum(axis=1) - n_unknowns
    squares = np.einsum("ij,ij->i", error, error)
    return np.sqrt(np.divide(squares, freedom, out=np.full(len(squares), np.nan), where=freedom > 0))
