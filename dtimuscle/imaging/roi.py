"""What is known of each muscle: its voxels and its mean signal, described by the tensor."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from dtimuscle import roi_table
from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, TensorMaps, require_one_grid, voxel_sizes
from dtimuscle.errors import LabelError
from dtimuscle.imaging.fat import FatFraction, estimate_fat, too_fat
from dtimuscle.imaging.noise import AMBER_SNR, FLOOR_SD, SnrGrade, at_noise_floor, grade_snr, impossible_signals
from dtimuscle.imaging.quality import MuscleQuality
from dtimuscle.imaging.tensor import fit_signals
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels, Side

# Distances between voxel centres are compared with this slack, for affines kept in single precision.
DISTANCE_TOLERANCE_MM = 1e-3

# More impossible tensors than this part of a muscle are worth a warning; so are other defects.
NOTABLE_NON_POSITIVE = 0.1
NOTABLE_DEFECT = 0.1

MM3_PER_ML = 1000.0
MM2_PER_CM2 = 100.0


@dataclass(frozen=True)
class RoiMeasurement:
    """Values of one participant's muscles.

    Parameters
    ----------
    table : DataFrame
        A ROI table (see `dtimuscle.roi_table`), unrounded.
    issues : tuple of Issue
        Muscles without values, labels without a name, muscles with little signal, much fat or impossible voxels.
    quality : tuple of MuscleQuality
        One for each muscle and side of the table.
    """

    table: pd.DataFrame
    issues: tuple[Issue, ...]
    quality: tuple[MuscleQuality, ...] = ()

    def quality_dict(self) -> dict[str, Any]:
        """Plain values of `quality` and `issues`, ready for JSON."""
        return {
            "muscles": [muscle.to_dict() for muscle in self.quality],
            "issues": [issue.to_dict() for issue in self.issues],
        }


@dataclass(frozen=True)
class _Region:
    """One muscle and side.

    Voxels of the label, those that erosion leaves, and those of them with a fit, possible signals and little fat.
    """

    muscle: str
    side: Side
    label: Bools
    eroded: Bools
    kept: Bools

    @cached_property
    def n_kept(self) -> int:
        return int(np.count_nonzero(self.kept))

    @cached_property
    def n_left(self) -> int:
        return int(np.count_nonzero(self.eroded))

    @cached_property
    def counts(self) -> dict[str, int]:
        n_label, n_left = int(np.count_nonzero(self.label)), self.n_left
        return {
            "n_label": n_label,
            "n_kept": self.n_kept,
            "n_eroded": n_label - n_left,
            "n_unusable": n_left - self.n_kept,
        }


def measure_muscles(
    maps: TensorMaps,
    labels: MuscleLabels,
    series: DwiSeries,
    *,
    participant_id: str,
    session: str = "",
    erosion_mm: float = 2.5,
    min_voxels: int = 20,
    estimator: str = "iwls",
    is_simulated: bool = False,
    noise_sd: Floats | None = None,
    fat: FatFraction | None = None,
    max_fat_fraction: float = 0.5,
    fat_diffusivity: float | None = None,
    weights: NDArray[Any] | None = None,
    residual: Floats | None = None,
) -> RoiMeasurement:
    """Describe each tensor parameter within each muscle: left, right and both sides pooled.

    Fat and fascia at the rim of a muscle change its values, so each side's label is eroded first. Two
    routes lead to a value: `voxelwise` summarises the maps over the voxels, `mean_signal` fits one tensor
    to the mean signal of the same voxels, which noise biases far less. The fibres of the two sides run in
    mirrored directions, so pooled `mean_signal` is the mean of the sides' values, weighted by their voxels,
    and never the tensor of their common signal. Voxels without a usable fit,
    with an impossible signal or with too much fat are counted and left out of both; voxels with an eigenvalue below
    zero stay in.

    Parameters
    ----------
    maps : TensorMaps
        FA (no unit) and MD, AD, RD (mm²/s).
    labels : MuscleLabels
        Muscles on the same grid.
    series : DwiSeries
        The series that the maps were fitted to.
    participant_id : str
        Goes into every row.
    session : str, default=""
        Goes into every row.
    erosion_mm : float, default=2.5
        A voxel is left out when its centre lies within this distance of the centre of a voxel outside
        the muscle; the border of the image is not an outside. 0 keeps all.
    min_voxels : int, default=20
        With fewer voxels a muscle keeps its rows, their values are NaN, and an issue says so.
    estimator : {"ols", "wls", "iwls", "nlls", "restore", "robust"}, default="iwls"
        How the tensor of the mean signal is fitted.
    is_simulated : bool, default=False
        Goes into every row.
    noise_sd : ndarray of shape (nx, ny, nz), optional
        Noise SD of the scan in the signal's unit, for the quality; NaN where it is not known.
    fat : FatFraction, optional
        Fat-fraction map on the same grid.
    max_fat_fraction : float, default=0.5
        Voxels with a larger share of fat, or an unknown one, are left out; they count as `n_unusable` in the table and
        by their own in the quality.
    fat_diffusivity : float, optional
        With a value (mm²/s), each muscle's share of fat is found from its mean signal by its slow diffusion, and its
        mean-signal values are those of the water; NaN where the b-values cannot tell.
    weights : ndarray of float or bool, optional
        How much each sample counts, as the maps' fit was given them; of a shape that broadcasts to that of the signal.
        A volume's mean signal is then that of the voxels in which it counts, over their mean at b = 0.
    residual : ndarray of shape (nx, ny, nz), optional
        What the tensor leaves unexplained in each voxel, for the quality.

    Returns
    -------
    RoiMeasurement
        One row per muscle, side, parameter and route; `sd` has n − 1 in its denominator.

    Raises
    ------
    GridMismatchError
        If the labels lie on another grid than the maps or the series.
    LabelError
        If no label is a muscle that the kit knows.
    """
    grid = np.shape(labels.values)
    for shape, affine, name in ((maps.fa.shape, maps.affine, "maps"), (series.shape, series.affine, "series")):
        require_one_grid(grid, labels.affine, shape, affine, names=f"{participant_id}: the labels and the {name}")
    if not np.any(labels.values):
        raise LabelError(
            f"{participant_id}: nothing is labelled (found only 0). Draw the muscles, or leave the image out."
        )
    if not labels.present:
        values = dict.fromkeys((*labels.unknown, *(int(value) for value in np.unique(labels.values) if value)))
        found = ", ".join(
            f"{value} ({labels.structures[value]})" if value in labels.structures else str(value) for value in values
        )
        raise LabelError(
            f"{participant_id}: no label is a known muscle (found {found}). "
            "Give a look-up table beside the label image, or use MuscleMap codes."
        )
    is_impossible = impossible_signals(series, weights)
    is_fat = np.zeros(grid, dtype=bool)
    if fat is not None:
        require_one_grid(
            grid, labels.affine, fat.share.shape, fat.affine, names=f"{participant_id}: the labels and the fat fraction"
        )
        is_fat = too_fat(fat, max_fat_fraction=max_fat_fraction)
    is_usable = np.isfinite(maps.fa) & ~is_impossible & ~is_fat
    regions = list(_regions(labels, is_usable, erosion_mm=erosion_mm))
    mean_values, fat_issues = _mean_signal_values(regions, series, estimator, weights, fat_diffusivity)
    rows = []
    for region, mean_value in zip(regions, mean_values, strict=True):
        is_enough = region.n_kept >= min_voxels
        voxels = region.kept if is_enough else np.zeros_like(region.kept)
        who = {"participant_id": participant_id, "session": session, "is_simulated": is_simulated}
        who |= {"labels": roi_table.DRAWN}
        who |= {"muscle": region.muscle, "side": str(region.side)}
        scalars = maps.scalars
        summaries = _summaries(np.array([volume[voxels] for volume in scalars.values()]))
        for parameter, summary in zip(scalars, summaries, strict=True):
            row = who | {"parameter": parameter, "unit": roi_table.UNITS[parameter]} | region.counts
            rows.append(row | {"route": "voxelwise"} | summary)
            value = mean_value[parameter] if is_enough else np.nan
            rows.append(row | {"route": "mean_signal"} | dict.fromkeys(summary, np.nan) | {"mean": value})
    table = pd.DataFrame(rows, columns=list(roi_table.COLUMNS))
    evidence = _Evidence(
        b0=series.mean_b0(),
        noise_sd=noise_sd,
        is_at_floor=None if noise_sd is None else at_noise_floor(series, noise_sd),
        fat=None if fat is None else fat.share,
        is_fat=is_fat,
        is_impossible=is_impossible,
        is_positive=maps.is_positive,
        residual=residual,
        affine=labels.affine,
    )
    quality = tuple(_quality(region, evidence) for region in regions)
    issues = _unknown(labels, participant_id) + _swapped_sides(regions, labels.affine, participant_id)
    issues += _too_small(regions, participant_id, min_voxels)
    issues += _non_positive(regions, participant_id, maps.is_positive)
    issues += tuple(replace(issue, where=participant_id) for issue in fat_issues)
    return RoiMeasurement(table, issues + _defects(regions, quality, participant_id), quality)


def eroded_labels(labels: MuscleLabels, *, erosion_mm: float) -> MuscleLabels:
    """Leave out the rim of every muscle, as `measure_muscles` does.

    Parameters
    ----------
    labels : MuscleLabels
        Muscles as drawn.
    erosion_mm : float
        Depth of the rim; see `erode`.

    Returns
    -------
    MuscleLabels
        The same muscles with 0 where their rim was.
    """
    sizes = voxel_sizes(labels.affine)
    kept = [erode(np.isin(labels.values, values), erosion_mm, sizes) for values in labels.regions.values()]
    return replace(labels, values=np.where(np.any(kept, axis=0), labels.values, 0))


def erode(mask: Bools, depth_mm: float, voxel_sizes_mm: Floats) -> Bools:
    """Leave out the rim of a region.

    Parameters
    ----------
    mask : ndarray of bool, shape (nx, ny, nz)
        The region.
    depth_mm : float
        A voxel is left out when its centre lies within this distance (mm) of the centre of a voxel
        outside the region. What lies beyond the border of the image is unknown and not outside.
    voxel_sizes_mm : ndarray of shape (3,)
        Edge lengths of a voxel in mm.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz)
        The voxels that are kept.
    """
    if depth_mm == 0 or not mask.any() or mask.all():
        return mask
    # The nearest outside voxel is never beyond the box around the region and one voxel more.
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    eroded = np.zeros_like(mask)
    distance = ndimage.distance_transform_edt(mask[box], sampling=voxel_sizes_mm)
    eroded[box] = distance > depth_mm + DISTANCE_TOLERANCE_MM
    return eroded


def _regions(labels: MuscleLabels, is_usable: Bools, *, erosion_mm: float) -> Iterator[_Region]:
    """Yield the left, the right and the pooled region of each muscle, as far as the labels have them."""
    regions, sizes = labels.regions, voxel_sizes(labels.affine)
    for muscle in dict.fromkeys(name for name, _ in regions):
        parts = []
        for side in (Side.LEFT, Side.RIGHT, Side.BOTH):
            if (muscle, side) not in regions:
                continue
            label = np.isin(labels.values, regions[muscle, side])
            eroded = erode(label, erosion_mm, sizes)
            part = _Region(muscle, side, label, eroded, eroded & is_usable)
            parts.append(part)
            if side is not Side.BOTH:
                yield part
        yield _Region(
            muscle,
            Side.BOTH,
            np.any([part.label for part in parts], axis=0),
            np.any([part.eroded for part in parts], axis=0),
            np.any([part.kept for part in parts], axis=0),
        )


def _mean_signal_values(
    regions: list[_Region],
    series: DwiSeries,
    estimator: str,
    weights: NDArray[Any] | None,
    fat_diffusivity: float | None,
) -> tuple[list[dict[str, float]], tuple[Issue, ...]]:
    """Fit the mean signal of each region; both sides together are the mean of the two, weighted by their voxels."""
    shares: Floats | None = None
    issues: tuple[Issue, ...] = ()
    if weights is None:
        means = np.array([_mean_signal(series.signal[region.kept]) for region in regions])
    else:
        counts = np.broadcast_to(weights, series.signal.shape)
        pairs = [_weighted_mean(series, region.kept, counts) for region in regions]
        means, shares = (np.array(part) for part in zip(*pairs, strict=True))
    if fat_diffusivity is not None:
        means, issues = _water_of(means, series.gradients, fat_diffusivity)
    scalars = fit_signals(means, series.gradients, estimator=estimator, weights=shares).scalars
    values = [{name: float(fitted[i]) for name, fitted in scalars.items()} for i in range(len(regions))]
    for i, region in enumerate(regions):
        sides = [
            j
            for j, other in enumerate(regions)
            if region.side is Side.BOTH
            and other.muscle == region.muscle
            and other.side is not Side.BOTH
            and other.n_kept
        ]
        if len(sides) > 1:
            sizes = [regions[j].n_kept for j in sides]
            values[i] = {name: float(np.average([values[j][name] for j in sides], weights=sizes)) for name in scalars}
    return values, issues


def _water_of(means: Floats, gradients: GradientTable, fat_diffusivity: float) -> tuple[Floats, tuple[Issue, ...]]:
    """Take the fat out of mean signals, shape (m, n), as far as its slow diffusion tells it apart."""
    found = estimate_fat(means, gradients, fat_diffusivity=fat_diffusivity)
    b0 = means[:, gradients.is_b0].mean(axis=1, keepdims=True)
    decay = np.exp(-np.where(gradients.is_b0, 0, gradients.bvals) * fat_diffusivity)
    return means - found.share[:, None] * b0 * decay, found.issues


def _mean_signal(signals: Floats) -> Floats:
    if not len(signals):
        return np.full(signals.shape[1], np.nan)
    return signals.mean(axis=0, dtype=float)


def _weighted_mean(series: DwiSeries, kept: Bools, weights: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean signal of a region from the samples that count, and how much of each volume does.

    Voxels differ in brightness, so a volume in which some are missing is compared with the b = 0 signal of the others.
    """
    counts = weights[kept].astype(float)
    signals = np.where(counts > 0, series.signal[kept], 0).astype(float)
    is_b0 = series.gradients.is_b0
    known = counts[:, is_b0].sum(axis=1) > 0
    counts, signals = counts[known], signals[known]
    if not len(counts):
        return np.full(len(is_b0), np.nan), np.ones(len(is_b0))
    b0 = np.sum(counts[:, is_b0] * signals[:, is_b0], axis=1) / counts[:, is_b0].sum(axis=1)
    there = counts.T @ b0
    ratio = np.divide((counts * signals).sum(axis=0), there, out=np.zeros_like(there), where=there > 0)
    return b0.mean() * ratio, counts.mean(axis=0)


@dataclass(frozen=True)
class _Evidence:
    """What the quality of a muscle is judged by; maps on the grid, None where nothing is known."""

    b0: Floats
    noise_sd: Floats | None
    is_at_floor: Bools | None
    fat: Floats | None
    is_fat: Bools
    is_impossible: Bools
    is_positive: Bools
    residual: Floats | None
    affine: Floats


def _quality(region: _Region, evidence: _Evidence) -> MuscleQuality:
    snr = fraction_at_floor = None
    if evidence.noise_sd is not None and evidence.is_at_floor is not None:
        known = region.kept & (evidence.noise_sd > 0)
        if known.any():
            noise = np.sqrt(np.mean(evidence.noise_sd[known].astype(float) ** 2))
            snr = float(evidence.b0[known].mean(dtype=float) / noise)
            fraction_at_floor = float(evidence.is_at_floor[known].mean())
    fat = None if evidence.fat is None or not region.n_kept else float(evidence.fat[region.kept].mean(dtype=float))
    left_over = np.array([]) if evidence.residual is None else evidence.residual[region.kept]
    left_over = left_over[np.isfinite(left_over)]
    return MuscleQuality(
        muscle=region.muscle,
        side=str(region.side),
        n_kept=region.n_kept,
        n_fat=int(np.count_nonzero(region.eroded & evidence.is_fat)),
        n_impossible=int(np.count_nonzero(region.eroded & evidence.is_impossible & ~evidence.is_fat)),
        n_non_positive=int(np.count_nonzero(region.kept & ~evidence.is_positive)),
        snr=snr,
        grade=grade_snr(np.nan if snr is None else snr),
        fraction_at_floor=fraction_at_floor,
        fat_fraction=fat,
        volume_ml=volume_ml(region.label, evidence.affine),
        cross_section_cm2=cross_section_cm2(region.label, evidence.affine) if region.label.any() else None,
        residual=float(np.median(left_over)) if left_over.size else None,
    )


def volume_ml(mask: Bools, affine: Floats) -> float:
    """Measure the volume of a region.

    Parameters
    ----------
    mask : ndarray of bool, shape (nx, ny, nz)
        The region.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    float
        In ml, of whole voxels.
    """
    return float(np.count_nonzero(mask) * abs(np.linalg.det(affine[:3, :3])) / MM3_PER_ML)


def cross_section_cm2(mask: Bools, affine: Floats) -> float:
    """Measure the mean cross-section of a region.

    Slices are the planes of voxels that lie most nearly across the body (the head-foot axis), however they are stored.
    Both sides of a pair count together.

    Parameters
    ----------
    mask : ndarray of bool, shape (nx, ny, nz)
        The region.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    float
        Mean area in cm² over the slices that the region lies in; NaN for an empty region.
    """
    edges = affine[:3, :3].T
    normals = np.cross(edges[[1, 2, 0]], edges[[2, 0, 1]])
    areas = np.linalg.norm(normals, axis=1)
    axis = int(np.argmax(np.abs(normals[:, 2]) / areas))
    in_plane = np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
    n_slices = np.count_nonzero(in_plane)
    return float(in_plane.sum() * areas[axis] / n_slices / MM2_PER_CM2) if n_slices else float("nan")


def _summaries(values: Floats) -> list[dict[str, float]]:
    """Describe each row of values."""
    names = ("mean", "median", "sd", "q25", "q75")
    if not values.size:
        return [dict.fromkeys(names, np.nan)] * len(values)
    sd = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)
    q25, median, q75 = np.percentile(values, (25, 50, 75), axis=1)
    columns = (values.mean(axis=1), median, sd, q25, q75)
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def _unknown(labels: MuscleLabels, participant_id: str) -> tuple[Issue, ...]:
    if not labels.unknown:
        return ()
    values = ", ".join(str(value) for value in labels.unknown)
    return (
        Issue(
            Severity.WARNING,
            participant_id,
            f"no muscle is known for the label value(s) {values}; they are not measured.",
            "Name them in the look-up table beside the label image if they are muscles.",
        ),
    )


def _swapped_sides(regions: list[_Region], affine: Floats, participant_id: str) -> tuple[Issue, ...]:
    """Say when muscles called left lie to the right of those called right: a label image or a header is mirrored."""
    rightwards: dict[str, dict[Side, float]] = {}
    for region in regions:
        if region.side is not Side.BOTH and region.label.any():
            centre = np.mean(np.unravel_index(np.flatnonzero(region.label), region.label.shape), axis=1)
            rightwards.setdefault(region.muscle, {})[region.side] = float(affine[0, :3] @ centre)
    pairs = [place for place in rightwards.values() if len(place) == len((Side.LEFT, Side.RIGHT))]
    if not pairs or not all(place[Side.LEFT] > place[Side.RIGHT] for place in pairs):
        return ()
    what = "the muscles that are called left lie to the right of those that are called right, by the headers."
    remedy = "Look whether the labels or a header are mirrored; left and right may be exchanged."
    return (Issue(Severity.WARNING, participant_id, what, remedy),)


def _too_small(regions: list[_Region], participant_id: str, min_voxels: int) -> tuple[Issue, ...]:
    """One issue for each muscle of which a side, or both together, have too few voxels."""
    issues = []
    for muscle in dict.fromkeys(region.muscle for region in regions):
        small = [region for region in regions if region.muscle == muscle and region.n_kept < min_voxels]
        if small:
            found = ", ".join(f"{region.side} {region.n_kept} of {region.counts['n_label']}" for region in small)
            issues.append(
                Issue(
                    Severity.ERROR,
                    f"{participant_id}, {muscle}",
                    f"too few voxels are left ({found}; at least {min_voxels}), so these rows have no values.",
                    "Erode less, lower min_voxels, or check the label.",
                )
            )
    return tuple(issues)


def _non_positive(regions: list[_Region], participant_id: str, is_positive: Bools) -> tuple[Issue, ...]:
    """One issue for each muscle, both sides together, in which noise has made many tensors impossible."""
    issues = []
    for region in regions:
        if region.side is not Side.BOTH or not region.n_kept:
            continue
        fraction = 1 - np.mean(is_positive[region.kept])
        if fraction > NOTABLE_NON_POSITIVE:
            issues.append(
                Issue(
                    Severity.WARNING,
                    f"{participant_id}, {region.muscle}",
                    f"{fraction:.0%} of the voxels have an eigenvalue at or below zero: noise does that, not tissue.",
                    "Prefer the values from the mean signal.",
                )
            )
    return tuple(issues)


def _defects(regions: list[_Region], quality: tuple[MuscleQuality, ...], participant_id: str) -> tuple[Issue, ...]:
    """One issue for each kind of defect, with the muscles that have it (by side, where the labels have sides)."""
    sided = {region.muscle for region in regions if region.side is not Side.BOTH}
    single = [
        (region, muscle)
        for region, muscle in zip(regions, quality, strict=True)
        if region.side is not Side.BOTH or region.muscle not in sided
    ]
    little = {_name(m): f"{m.snr:.0f}" for _, m in single if m.grade is SnrGrade.RED}
    floor = {_name(m): f"{m.fraction_at_floor:.0%}" for _, m in single if (m.fraction_at_floor or 0) > NOTABLE_DEFECT}
    fat = {_name(m): f"{m.n_fat / n:.0%}" for r, m in single if m.n_fat > NOTABLE_DEFECT * (n := r.n_left)}
    impossible = {
        _name(m): f"{m.n_impossible / n:.0%}" for r, m in single if m.n_impossible > NOTABLE_DEFECT * (n := r.n_left)
    }
    findings = (
        (
            little,
            f"SNR at b = 0 below {AMBER_SNR:.0f}, so that FA and MD may be wrong by more than 5 %",
            "Prefer the values from the mean signal.",
        ),
        (
            floor,
            f"most weighted signal below {FLOOR_SD:.0f} noise SDs in many voxels, so that MD comes out too low",
            "Correct for the Rician mean, or leave the high shells out.",
        ),
        (fat, "voxels left out for their fat, or because it is not known", "Say how many are left beside the values."),
        (
            impossible,
            "voxels left out for signals that are zero or not finite",
            "Check the labels at the image border.",
        ),
    )
    return tuple(
        Issue(
            Severity.WARNING,
            participant_id,
            f"{what}: " + ", ".join(f"{name} ({value})" for name, value in found.items()) + ".",
            remedy,
        )
        for found, what, remedy in findings
        if found
    )


def _name(muscle: MuscleQuality) -> str:
    return muscle.muscle if muscle.side == Side.BOTH else f"{muscle.muscle} {muscle.side}"
