"""Slices that lost their signal, found so that the fit can leave them out.

A muscle that twitches, or a patient who moves while the gradient is on, dephases whole slices: they come out
darker in one volume and keep their place and their b-vector. What a slice should have shown is predicted from
the other volumes and the other slices. Outliers are given as weights of zero; no signal is replaced.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError, SettingsError
from dtimuscle.imaging.tensor import carries_tensor
from dtimuscle.imaging.unring import slice_axis
from dtimuscle.issues import Issue, Severity

# A slice with fewer voxels of tissue is not judged: its mean says too little.
MIN_VOXELS = 20

# A signal is raised to this part of its slice's largest before the logarithm.
SMALLEST_SIGNAL = 1e-4

# Lost slices can only be darker. The level of a volume, and of a slice, is therefore taken from this quantile
# over the others, which holds as long as a quarter of them are whole.
LEVEL_QUANTILE = 0.75
LEVEL_ROUNDS = 20

# Rounds of fitting what slices are predicted by and weighting down those that are too dark.
ROUNDS = 10

# Times that the levels are taken anew without the slices that were found lost, so that volumes that lost most of
# their slices are held against what is whole of them.
PASSES = 5

# Slices are held against the spread in this many volumes, or else in their own volume.
MIN_PEERS = 4

# A volume is lost as a whole from this loss on: motion that brings air into the mask darkens all its slices by up to
# a quarter (SD 3 mm on a thigh of 80 mm).
WHOLE_LOSS = 0.3

# How firmly a slice's course over the directions is held to that of the others, in units of volumes: a slice may
# differ from the others as a tensor does, but where few volumes say so it does not.
RIDGE = 0.3

# A volume that predicts itself to more than this part cannot be predicted from the others.
MAX_LEVERAGE = 0.9

# Residuals at so many standard deviations below zero count a quarter.
DOUBTFUL_SD = 3.0

# A slice's own spread counts up to so many times that of all slices.
NOISIEST_SLICE = 3.0

# A standard deviation over the median absolute deviation of a normal distribution.
SD_PER_MAD = 1.4826

# A spread below this, in the logarithm of the signal, is that of a phantom without noise.
SMALLEST_SD = 1e-3

# b-values belong to more than one shell when they differ by this factor.
SHELL_RATIO = 1.3

# More lost slices than this part of all are worth a warning instead of a note.
NOTABLE_FRACTION = 0.05

# A loss that cannot be told from chance below this share leaves the check nearly blind.
BLIND_LOSS = 0.4

# A voxel after motion correction is left out when lost slices held more than this part of what it was interpolated
# from.
LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class SliceOutliers:
    """Which slices of which volumes lost their signal.

    Parameters
    ----------
    is_outlier : ndarray of bool, shape (n_slices, n)
        Slices that are lost, in each of the n volumes.
    loss : ndarray of shape (n_slices, n)
        Share of the predicted signal that is missing (0.4 means 40 %; below 0 the slice is brighter than
        predicted); NaN where a slice holds too little tissue to be judged.
    threshold : ndarray of shape (n_slices, n)
        Share from which a slice counts as lost; NaN where it is not judged.
    carries_tensor : ndarray of bool, shape (n_slices,)
        Whether the volumes that are left of a slice carry a tensor; where not, the fit leaves NaN.
    axis : int
        Axis of the image across its slices: 0, 1 or 2.
    issues : tuple of Issue
        What was found, and what could not be judged.
    """

    is_outlier: Bools
    loss: Floats
    threshold: Floats
    carries_tensor: Bools
    axis: int
    issues: tuple[Issue, ...] = ()

    @property
    def n_outliers(self) -> int:
        """Number of lost slices over all volumes."""
        return int(np.count_nonzero(self.is_outlier))

    @property
    def fraction(self) -> float:
        """Part of all slices of all volumes that is lost (0 to 1)."""
        return float(self.is_outlier.mean())

    @property
    def weights(self) -> Bools:
        """What `fit_tensor` takes as weights: of shape (1, 1, n_slices, n) if slices lie along the third axis."""
        shape = [1, 1, 1, self.is_outlier.shape[1]]
        shape[self.axis] = self.is_outlier.shape[0]
        return ~self.is_outlier.reshape(shape)


def find_lost_slices(
    series: DwiSeries, mask: Bools, *, min_loss: float = 0.2, outlier_sd: float = 5.0
) -> SliceOutliers:
    """Find slices whose signal dropped out.

    The logarithm of a slice's mean signal is predicted by the level of its slice, the level of its volume (both
    from the brighter ones, since a lost slice can only be darker), and what the slice's own tensor adds, fitted to
    its other volumes with those weighted down that are too dark. A volume that is lost as a whole is found
    likewise, from the levels of the other volumes; a volume that the others cannot predict (an only b = 0, or each of
    six directions) is held against its own slices. What is found is left out and the rest predicted anew, until
    nothing more is found. Motion of a few millimetres changes a slice's mean by a few
    percent, far less than a dropout does, so the series is best given as scanned: interpolation would spread a
    lost slice over its neighbours.

    Parameters
    ----------
    series : DwiSeries
        As scanned, or denoised; before motion correction.
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground.
    min_loss : float, default=0.2
        Share of the signal (0 to 1) that must be missing at least.
    outlier_sd : float, default=5.0
        And so many standard deviations of the slice's other volumes.

    Returns
    -------
    SliceOutliers
        With issues that say what is lost and what could not be judged.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    GridMismatchError
        If mask and series differ in shape.
    ImageError
        If no slice holds 20 voxels of the mask.
    SettingsError
        If a setting is out of range.
    """
    series.require_mask(mask)
    if not 0 < min_loss < 1 or not outlier_sd > 0:
        raise SettingsError(
            f"min_loss is {min_loss:g} and outlier_sd {outlier_sd:g}; a share between 0 and 1 and a number above 0 "
            "were needed."
        )
    series.gradients.require_tensor()
    axis = slice_axis(series.voxel_sizes)
    means = _slice_means(series, mask, axis)
    is_judged = np.asarray(np.isfinite(means).all(axis=1))
    if not is_judged.any():
        raise ImageError(f"no slice has {MIN_VOXELS} voxels in the mask. Give a mask that covers the muscles.")
    loss, threshold = np.full((2, *means.shape), np.nan)
    loss[is_judged], threshold[is_judged] = _judge(
        means[is_judged], series.gradients, min_loss=min_loss, outlier_sd=outlier_sd
    )
    with np.errstate(invalid="ignore"):
        is_outlier = np.greater(loss, threshold, out=np.zeros(loss.shape, dtype=bool))
    carries = carries_tensor(series.gradients, ~is_outlier)
    issues = _issues(is_outlier, is_judged, threshold, carries)
    return SliceOutliers(is_outlier, loss, threshold, carries, axis, issues)


def weights_after_motion(outliers: SliceOutliers, series: DwiSeries, transforms: Floats) -> Bools:
    """Follow lost slices through motion correction.

    A corrected voxel is interpolated from the slices around the place where it lay. It is left out when lost slices
    held more than a tenth of its (linear) weight.

    Parameters
    ----------
    outliers : SliceOutliers
        Found before motion correction.
    series : DwiSeries
        Any series on the grid; its signal is not read.
    transforms : ndarray of shape (n, 4, 4)
        From world coordinates (mm) in the corrected series to those in each volume as scanned.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz, n)
        Weights for `fit_tensor`.

    Raises
    ------
    GridMismatchError
        If outliers, series and transforms do not belong together.
    """
    n_slices, n = outliers.is_outlier.shape
    if series.shape[outliers.axis] != n_slices or len(series.gradients) != n or transforms.shape != (n, 4, 4):
        raise GridMismatchError(
            f"{n_slices} slices in {n} volumes do not go with a series of shape {series.signal.shape} and transforms "
            f"of shape {transforms.shape}. Give those of one series."
        )
    weights = np.ones(series.signal.shape, dtype=bool)
    to_index = np.linalg.inv(series.affine)
    for volume in np.flatnonzero(outliers.is_outlier.any(axis=0)):
        row = (to_index @ transforms[volume] @ series.affine)[outliers.axis]
        x, y, z = (part * np.arange(size) for part, size in zip(row[:3], series.shape, strict=True))
        place = np.clip(x[:, None, None] + y[:, None] + z + row[3], 0, n_slices - 1)
        below = np.minimum(place.astype(int), n_slices - 2) if n_slices > 1 else np.zeros(series.shape, dtype=int)
        share_above = place - below
        lost = outliers.is_outlier[:, volume].astype(float)
        share = (1 - share_above) * lost[below] + share_above * lost[np.minimum(below + 1, n_slices - 1)]
        weights[..., volume] = share <= LARGEST_SHARE
    return weights


def _slice_means(series: DwiSeries, mask: Bools, axis: int) -> Floats:
    """Mean signal of each slice's tissue in each volume, (n_slices, n); NaN in slices with too little of it."""
    n_slices = series.shape[axis]
    means = np.full((n_slices, len(series.gradients)), np.nan)
    for index, (plane, where) in enumerate(
        zip(np.moveaxis(series.signal, axis, 0), np.moveaxis(mask, axis, 0), strict=True)
    ):
        if np.count_nonzero(where) >= MIN_VOXELS:
            means[index] = np.nan_to_num(plane[where], posinf=0.0, neginf=0.0).mean(axis=0, dtype=float)
    return means


def _judge(means: Floats, gradients: GradientTable, *, min_loss: float, outlier_sd: float) -> tuple[Floats, Floats]:
    """Share of each slice's signal that is missing, and the share from which it counts as lost."""
    log_means = np.log(np.maximum(means, SMALLEST_SIGNAL * means.max(axis=1, keepdims=True)))
    is_lost = np.zeros(means.shape, dtype=bool)
    for _ in range(PASSES):
        residuals, sd = _residuals(log_means, gradients, is_lost, outlier_sd)
        loss, threshold = 1 - np.exp(residuals), np.maximum(min_loss, 1 - np.exp(-outlier_sd * sd))
        if not np.any((loss > threshold) & ~is_lost):
            break
        is_lost |= loss > threshold
    return loss, threshold


def _residuals(log_means: Floats, gradients: GradientTable, is_lost: Bools, outlier_sd: float) -> tuple[Floats, Floats]:
    """Logarithm of each slice's signal over the predicted one, and the spread to be expected of it."""
    slices, volumes = _levels(log_means, is_lost)
    design = _course(gradients)
    # The level of a volume is as measured, unless most of the volume is lost.
    (whole,), (whole_sd,) = _leave_one_out(volumes[np.newaxis], design, 0.0)
    with np.errstate(invalid="ignore"):
        is_whole_lost = whole < np.minimum(np.log(1 - WHOLE_LOSS), -outlier_sd * whole_sd)
    volumes = volumes - np.where(is_whole_lost, whole, 0.0)
    courses = log_means - slices[:, np.newaxis] - volumes
    residuals, sd = _leave_one_out(courses, design, RIDGE)
    # Volumes that no other predicts, such as the only one at b = 0 or each of six directions, are held against their
    # other slices instead.
    is_alone = np.isnan(whole)
    for peers in (is_alone & gradients.is_b0, is_alone & ~gradients.is_b0):
        residuals[:, peers] = courses[:, peers]
        sd[:, peers] = _spread_of_peers(courses[:, peers], sd[:, peers])
    return residuals, sd


def _spread_of_peers(courses: Floats, sd: Floats) -> Floats:
    """How far slices differ where their volumes cannot be predicted, (n_slices, n); at least `sd` if these are few.

    A few volumes show it by the brighter half of their slices alone, since up to half of them may be lost.
    """
    if courses.shape[1] < MIN_PEERS:
        brighter = np.sort(courses, axis=0)[len(courses) // 2 :]
        return np.maximum(sd, _spread(brighter - brighter[:1], axis=0))
    typical = _spread(courses, axis=None)
    return np.broadcast_to(np.clip(_spread(courses, axis=1), typical, NOISIEST_SLICE * typical), courses.shape)


def _levels(log_means: Floats, is_lost: Bools) -> tuple[Floats, Floats]:
    """Split into the level of each slice and of each volume (Tukey's polish, with the upper quartile)."""
    slices: Floats = np.zeros(log_means.shape[0])
    # Where all of a slice or of a volume is lost, its level is that of what is left of the signal.
    counts = ~is_lost | is_lost.all(axis=0) | is_lost.all(axis=1, keepdims=True)
    whole = np.where(counts, log_means, np.nan)
    for _ in range(LEVEL_ROUNDS):
        volumes = _upper_quartile((whole - slices[:, np.newaxis]).T)
        slices = _upper_quartile(whole - volumes)
    return slices, volumes


def _upper_quartile(rows: Floats) -> Floats:
    """Quantile of each row's known values; `nanquantile` gives the same, a hundred times more slowly."""
    ordered = np.sort(rows, axis=1)
    place = LEVEL_QUANTILE * (np.count_nonzero(np.isfinite(rows), axis=1) - 1)[:, np.newaxis]
    below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
    low, high = (np.take_along_axis(ordered, index, axis=1) for index in (below, above))
    return (low + (place - below) * (high - low))[:, 0]


def _course(gradients: GradientTable) -> Floats:
    """How a logarithmic signal depends on the gradient: a tensor and a level; with several shells also b²."""
    x, y, z = gradients.directions.T
    b = gradients.bvals / gradients.bvals.max()
    quadratic = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    columns = [b[:, np.newaxis] * quadratic, np.ones((len(b), 1))]
    weighted = b[~gradients.is_b0]
    if weighted.max() > SHELL_RATIO * weighted.min():
        columns.append(b[:, np.newaxis] ** 2)
    return np.hstack(columns)


def _leave_one_out(targets: Floats, design: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Residual of each target, shape (k, n), from what the others in its row predict; and its standard deviation.

    Rows are fitted again and again, with targets that are too low weighted down (Geman–McClure). Where the others
    predict nothing the target itself is its residual (with a ridge) or NaN (without).
    """
    n_columns = design.shape[1]
    weights = _doubts(targets, _spread(targets, axis=None)) if ridge else np.ones_like(targets)
    for _ in range(ROUNDS):
        normal = np.einsum("kn,ni,nj->kij", weights, design, design) + ridge * np.eye(n_columns)
        inverse = np.linalg.pinv(normal, hermitian=True)
        unknowns = np.einsum("kij,kn,nj->ki", inverse, weights * targets, design)
        leverage = weights * np.einsum("ni,kij,nj->kn", design, inverse, design)
        is_predicted = leverage < MAX_LEVERAGE
        residuals = (targets - unknowns @ design.T) / np.where(is_predicted, 1 - leverage, np.nan)
        residuals = np.where(is_predicted, residuals, targets if ridge else np.nan)
        # What the others predict is the less certain, the less they say of it.
        widening = np.where(is_predicted, 1 - leverage, 1.0) ** -0.5
        standard = residuals / widening
        typical = _spread(standard, axis=None)
        # A row may be noisier than the others; one that is full of lost slices must not hide them.
        sd = widening * np.clip(_spread(standard, axis=1), typical, NOISIEST_SLICE * typical)
        weights = _doubts(residuals, sd)
    return residuals, sd


def _spread(residuals: Floats, *, axis: int | None) -> Floats:
    """Estimate the standard deviation of residuals about zero from their median size; NaN does not count."""
    is_known = np.isfinite(residuals).any(axis=axis, keepdims=True)
    return np.maximum(
        SD_PER_MAD * np.nanmedian(np.where(is_known, np.abs(residuals), 0), axis=axis, keepdims=True), SMALLEST_SD
    )


def _doubts(residuals: Floats, sd: Floats) -> Floats:
    """Weights of residuals: lower the further they lie below zero (Geman and McClure 1987)."""
    return (1 + (np.minimum(np.nan_to_num(residuals), 0) / (DOUBTFUL_SD * sd)) ** 2) ** -2


def _issues(is_outlier: Bools, is_judged: Bools, threshold: Floats, carries: Bools) -> tuple[Issue, ...]:
    issues = []
    n_lost, n_all = np.count_nonzero(is_outlier), is_outlier.size
    if n_lost:
        many = n_lost > NOTABLE_FRACTION * n_all
        what = (
            f"{n_lost} of {n_all} slices lost their signal (in {np.count_nonzero(is_outlier.any(axis=0))} of "
            f"{is_outlier.shape[1]} volumes); they are left out of the fit."
        )
        remedy = "Look at these volumes; repeat the scan if a muscle hangs on them." if many else ""
        issues.append(Issue(Severity.WARNING if many else Severity.NOTE, "slices", what, remedy))
    if not carries.all():
        what = f"what is left of {_listed(np.flatnonzero(~carries))} cannot carry a tensor, so there is no value there."
        issues.append(Issue(Severity.ERROR, "slices", what, "Leave these slices out of the muscles, or scan again."))
    if not is_judged.all():
        few = np.flatnonzero(~is_judged)
        have = "has" if len(few) == 1 else "have"
        what = f"{_listed(few)} {have} fewer than {MIN_VOXELS} voxels of tissue and could not be judged."
        issues.append(Issue(Severity.NOTE, "slices", what))
    n_blind = np.count_nonzero(threshold > BLIND_LOSS)
    if n_blind:
        what = (
            f"the signal of {n_blind} of {n_all} slices is so hard to predict that losses below "
            f"{np.nanmax(threshold):.0%} cannot be told from chance."
        )
        issues.append(Issue(Severity.WARNING, "slices", what, "Look at the series for lost slices."))
    return tuple(issues)


def _listed(indices: NDArray[np.integer]) -> str:
    return f"slice{'s' if len(indices) > 1 else ''} {', '.join(str(index) for index in indices)}"
