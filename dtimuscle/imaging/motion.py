"""Patient motion and eddy-current distortion between the volumes of a series, found and undone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Bools, DwiSeries, Floats, grid_rotation
from dtimuscle.errors import GridMismatchError, ImageError
from dtimuscle.imaging.unring import slice_axis
from dtimuscle.issues import Issue, Severity

Engine = Literal["kit", "dipy"]

_Stage = tuple[float, int, float, Literal[1, 3]]

# Coarse to fine: smoothing within slices (standard deviation, mm), every how many voxels along each in-plane axis
# are compared, edge of a cell (mm), order of the interpolation. More smoothing at the end would be faster, but a
# blurred outline lies elsewhere in an image of another contrast.
STAGES: tuple[_Stage, ...] = ((8.0, 2, 36.0, 1), (2.5, 2, 15.0, 1), (1.25, 1, 12.0, 3))

# What motion and eddy currents usually do (standard deviations): they steady a fit where the image says nothing.
USUAL_ROTATION = np.radians(2.0)
USUAL_SHIFT_MM = 4.0
USUAL_STRETCH = 0.02

# Stretch in step with the gradient is known at best to this (no unit), and from at least so many volumes.
LEAST_STRETCH = 0.001
MIN_TIED = 6

# The size of motion that a series' volumes show is not taken for less than this share of the usual one.
LEAST_MOTION = 0.05

# Volumes are predicted by a tensor after smoothing by this within slices, unless a volume would mostly predict itself.
CONTRAST_MM = 3.0
MAX_LEVERAGE = 0.9
MAX_LOG_RATIO = 2.0

# Where fewer than this share of the others were scanned, nothing is compared.
LEAST_SEEN = 0.25

# Contrast and interpolation mislead a fit by more than the cells' disagreement shows: variances are raised by this.
UNSHOWN = 16.0

# No cell is believed more than if this share of the mean misfit were left in it.
LEAST_SPREAD = 1.0

# What a fit leaves unexplained is alike over squares of this edge: mostly contrast, not noise.
ALIKE_MM = 10.0

# An image is believed to lie on its target when less than this share of its contrast stays unexplained.
MAX_MISFIT = 0.7

# Between contrasts a coarse stage must leave less than this share of the misfit that there is without it.
COARSE_MERIT = 0.7

# One phase-encoding axis is clearly better than the other when its cost is lower by this (−2 log posterior).
CLEAR_COST = 10.0

# Fewer such squares within the mask (a small crop) cannot tell motion from differences of contrast.
MIN_SQUARES = 60

# A pose is believed when its shift within the slice is known better, and its extent is smaller, than this.
MAX_UNCERTAINTY_MM = 1.0
MAX_DISPLACEMENT_MM = 25.0
MAX_ROTATION_DEG = 20.0
MAX_STRETCH = 0.08

# With fewer slices, motion across them cannot be told from a change of contrast.
MIN_SLICES = 4

# Steps stop when one moves the image by less than this, or after so many.
SMALL_STEP_MM = 0.05
MAX_STEPS = 12

# A voxel counts as scanned up to so far beyond the centres of the outermost ones.
SEEN_VOXELS = 0.5

# Rim around the mask that is compared as well: the outline carries most of what is known about position.
RIM_VOXELS = 2


@dataclass(frozen=True)
class MotionCorrected:
    """A series whose volumes lie on one another, and how each had moved.

    Parameters
    ----------
    series : DwiSeries
        Interpolated once; directions turned with the patient. The first b = 0 volume is the reference.
    transforms : ndarray of shape (n, 4, 4)
        World coordinates (mm) in the corrected series to those in each volume as scanned.
    displacement_mm : ndarray of shape (n,)
        Mean displacement over the mask.
    rotation_deg : ndarray of shape (n,)
        Angle of the rotation; stretch and shear by eddy currents are not part of it.
    framewise_mm : ndarray of shape (n,)
        Mean distance over the mask that the patient moved since the volume before, without stretch and shear; 0 for the
        first. Power's framewise displacement [1]_ adds up shifts and the arcs of rotations on a sphere of a head's
        size; thighs are larger and no sphere, so the distance is taken of the voxels themselves.
    issues : tuple of Issue
        Volumes that could not be aligned, and directions in which motion cannot be seen.

    References
    ----------
    .. [1] Power et al., NeuroImage 59 (2012) 2142–2154.
    """

    series: DwiSeries
    transforms: Floats
    displacement_mm: Floats
    rotation_deg: Floats
    framewise_mm: Floats
    issues: tuple[Issue, ...]


def correct_motion(series: DwiSeries, mask: Bools, *, engine: Engine = "kit") -> MotionCorrected:
    """Align the volumes with the first b = 0 volume and turn the gradient directions accordingly.

    A volume moves rigidly, and eddy currents stretch, shear and shift it along the phase-encoding axis [1]_.
    Weighted volumes are aligned with one another, their mean once with b = 0, and the data interpolated once with
    both. Each weighted volume is held against what the others say of it: first their mean, then a tensor fitted to
    them, for the order of brightness of muscles changes with the gradient. Eddy currents are expected in step with the
    gradient, as far as the volumes bear that out. When a patient turns by R, tissue sees the scanner's gradient g as
    Rᵀ g, so the directions of the corrected series are turned back [2]_.

    Parameters
    ----------
    series : DwiSeries
        Best after denoising and unringing, both of which need data that were not interpolated.
    mask : ndarray of bool, shape (nx, ny, nz)
        The patient, in the first b = 0 volume.
    engine : {"kit", "dipy"}, default="kit"
        Gauss–Newton on local correlation, or DIPY's affine registration by mutual information (12 unknowns each volume;
        its rotation is found by polar decomposition).

    Returns
    -------
    MotionCorrected
        The series, the transforms and what could not be found.

    Raises
    ------
    GridMismatchError
        If the mask has another shape than the series.
    ImageError
        If the mask is empty.

    Notes
    -----
    The kit's engine takes as phase-encoding axis the one of the two in-plane axes along which the volumes are
    explained better. Stretch tells them apart; shear alone may as well be a rotation with shear along the other axis,
    and then the smaller rotation is taken. Points that were outside the field of view repeat the nearest
    voxel.

    References
    ----------
    .. [1] Andersson & Sotiropoulos, NeuroImage 125 (2016) 1063–1078.
    .. [2] Leemans & Jones, Magnetic Resonance in Medicine 61 (2009) 1336–1349.
    """
    if mask.shape != series.shape:
        raise GridMismatchError(
            f"the mask has shape {mask.shape} but the series {series.shape}. Make the mask on the series' grid."
        )
    if not mask.any():
        raise ImageError("the mask holds no voxel, so there is nothing to align. Check the mask or its threshold.")
    if engine == "dipy":
        transforms, rotations, issues = _find_with_dipy(series, mask)
    else:
        transforms, rotations, issues = _find_poses(series, mask)
    points = np.argwhere(mask) @ series.affine[:3, :3].T + series.affine[:3, 3]
    moved = points @ transforms[:, :3, :3].transpose(0, 2, 1) + transforms[:, None, :3, 3]
    corrected = replace(
        series,
        signal=_resample(series, transforms),
        gradients=series.gradients.rotated(rotations.transpose(0, 2, 1)),
    )
    return MotionCorrected(
        series=corrected,
        transforms=transforms,
        displacement_mm=np.linalg.norm(moved - points, axis=2).mean(axis=1),
        framewise_mm=_framewise(points, transforms, rotations),
        rotation_deg=np.degrees(Rotation.from_matrix(rotations).magnitude()),
        issues=issues,
    )


def _framewise(points: Floats, transforms: Floats, rotations: Floats) -> Floats:
    """Mean distance of points (m, 3) between each volume's rigid pose and that of the volume before, mm."""
    middle = points.mean(axis=0)
    centres = transforms[:, :3, :3] @ middle + transforms[:, :3, 3]
    places = (points - middle) @ rotations.transpose(0, 2, 1) + centres[:, None]
    return np.r_[0.0, np.linalg.norm(np.diff(places, axis=0), axis=2).mean(axis=1)]


def _resample(series: DwiSeries, transforms: Floats) -> Floats:
    """Interpolate each volume at where its voxels had moved to; cubic, not below zero."""
    resampled = np.empty(series.signal.shape, dtype=np.float32)
    index = np.indices(series.shape).reshape(3, -1)
    for volume, transform in enumerate(transforms):
        image = series.signal[..., volume]
        if np.array_equal(transform, np.eye(4)):
            resampled[..., volume] = image
            continue
        matrix = np.linalg.inv(series.affine) @ transform @ series.affine
        values = _interpolate(_spline(image), matrix[:3, :3] @ index + matrix[:3, 3:], order=3)
        resampled[..., volume] = np.maximum(values, 0).reshape(series.shape)
    return resampled


def _spline(image: Floats) -> Floats:
    return ndimage.spline_filter(image, order=3, output=np.float32, mode="mirror")


def _interpolate(image: Floats, index: Floats, *, order: Literal[1, 3]) -> Floats:
    """Interpolate at voxel indices of shape (3, m); outside, the nearest voxel counts."""
    last = np.array(image.shape)[:, None] - 1.0
    # Clipping gives the nearest voxel without the wide margin that `mode="nearest"` would add to the image.
    return ndimage.map_coordinates(image, np.clip(index, 0, last), order=order, mode="mirror", prefilter=False)


@dataclass(frozen=True)
class _Grid:
    """Voxels of a series in mm along the voxel axes, counted from the centre of the mask."""

    shape: tuple[int, int, int]
    affine: Floats
    sizes: Floats
    centre: Floats
    normal: int

    @property
    def in_plane(self) -> list[int]:
        """The two axes within a slice."""
        return [axis for axis in range(3) if axis != self.normal]

    @property
    def seen(self) -> Bools:
        """Which of the nine values of a pose the slices can tell."""
        seen = np.ones(9, dtype=bool)
        if self.shape[self.normal] < MIN_SLICES:
            seen[[*self.in_plane, 3 + self.normal, 6 + self.normal]] = False
        return seen

    def holds(self, index: Floats) -> Bools:
        """Which voxel indices, shape (3, m), were scanned."""
        last = np.array(self.shape)[:, None] - 1.0
        return np.all((index > -SEEN_VOXELS) & (index < last + SEEN_VOXELS), axis=0)

    def to_index(self, matrix: Floats, points: Floats) -> Floats:
        """Voxel indices, shape (3, m), of points (m, 3) after a transform."""
        return (matrix[:3, :3] @ points.T + matrix[:3, 3:]) / self.sizes[:, None] + self.centre[:, None]

    def to_world(self, matrix: Floats) -> Floats:
        """Write a transform of this frame, shape (4, 4), in world coordinates."""
        frame = self.affine.copy()
        frame[:3, :3] /= self.sizes
        frame[:3, 3] += self.affine[:3, :3] @ self.centre
        return frame @ matrix @ np.linalg.inv(frame)


@dataclass(frozen=True)
class _Pose:
    """How one image lies relative to another.

    A point x is scanned at E (R x + t), with E = I + e ⊗ stretch and e the phase-encoding axis. `values` holds the
    rotation vector (rad), t (mm) and the stretch (no unit), three each; `misfit` the share of the contrast that
    remains unexplained and `uncertainty_mm` the standard error of the shift within the slice; `cost` weighs the misfit
    against how usual the pose is (−2 log posterior).
    """

    values: Floats
    phase_axis: int
    misfit: float = np.inf
    uncertainty_mm: float = 0.0
    cost: float = np.inf

    @property
    def rotation(self) -> Floats:
        """Rotation matrix of the patient, without the eddy currents."""
        return Rotation.from_rotvec(self.values[:3]).as_matrix()

    @property
    def matrix(self) -> Floats:
        """The whole transform, shape (4, 4)."""
        rigid, eddy = np.eye(4), np.eye(4)
        rigid[:3, :3] = self.rotation
        rigid[:3, 3] = self.values[3:6]
        eddy[self.phase_axis, :3] += self.values[6:]
        return eddy @ rigid


def _find_poses(series: DwiSeries, mask: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
    """Find transforms and rotations, both in world coordinates, of shape (n, 4, 4) and (n, 3, 3)."""
    normal = slice_axis(series.voxel_sizes)
    grid = _Grid(series.shape, series.affine, series.voxel_sizes, np.argwhere(mask).mean(axis=0), normal)
    square = np.ones(np.where(np.arange(3) == normal, 1, 3), dtype=bool)
    rim = ndimage.binary_dilation(mask, square, iterations=RIM_VOXELS)
    images = np.moveaxis(series.signal, 3, 0).astype(np.float32)
    turn = grid_rotation(series.affine)

    matrices = np.tile(np.eye(4), (len(images), 1, 1))
    rotations = np.tile(np.eye(3), (len(images), 1, 1))
    square_mm = series.voxel_sizes[grid.in_plane].prod() * mask.sum()
    if square_mm < MIN_SQUARES * ALIKE_MM**2:
        return matrices, rotations, (_too_small(square_mm),)
    b0s, weighted = np.flatnonzero(series.gradients.is_b0), np.flatnonzero(~series.gradients.is_b0)
    still = _Pose(np.zeros(9), grid.in_plane[-1])
    found: dict[int, _Pose] = {}
    common = still
    if weighted.size:
        encoding = _Encoding(series.gradients.bvals[weighted], series.gradients.directions[weighted] @ turn)
        poses, is_clear = _align_weighted(images[weighted], encoding, grid, rim)
        found = dict(zip(weighted, poses, strict=True))
        if b0s.size:
            mean = _mean(images[weighted], poses, grid, rim, order=1)
            common = _common(images[b0s[0]], mean, grid, rim, phase_axis=poses[0].phase_axis, is_clear=is_clear)
    issues = _unseen(grid) + _doubts({"mean of the weighted volumes": common})
    common = common if _doubt(common) == "" else still
    rigid = grid.seen & (np.arange(9) < 6)
    for volume in b0s[1:]:
        found[volume] = _align([images[volume]], [still], grid, rim, free=rigid, to=images[b0s[0]])[0]
    for volume, pose in found.items():
        believed = still if _doubt(pose) else pose
        anchor = still if volume in b0s else common
        matrices[volume] = believed.matrix @ np.linalg.inv(anchor.matrix)
        rotations[volume] = believed.rotation @ anchor.rotation.T
    issues += _doubts({f"volume {volume}": found[volume] for volume in sorted(found)})
    return np.array([grid.to_world(matrix) for matrix in matrices]), turn @ rotations @ turn.T, issues


def _unseen(grid: _Grid) -> tuple[Issue, ...]:
    n_slices = grid.shape[grid.normal]
    if n_slices >= MIN_SLICES:
        return ()
    what = f"motion across {n_slices} slices, and tilts, cannot be seen; {MIN_SLICES} slices are needed."
    return (Issue(Severity.NOTE, "motion correction", what, "Only motion within the slices was corrected."),)


def _too_small(square_mm: float) -> Issue:
    what = (
        f"the mask covers {square_mm / 100:.0f} cm² over all slices; {MIN_SQUARES * ALIKE_MM**2 / 100:.0f} are needed."
    )
    return Issue(Severity.WARNING, "motion correction", what, "Nothing was moved; give the whole field of view.")


def _doubt(pose: _Pose) -> str:
    """Say why a pose should not be believed; nothing if it should."""
    if pose.uncertainty_mm > MAX_UNCERTAINTY_MM or MAX_MISFIT < pose.misfit < np.inf:
        return "too little is seen to be aligned."
    shift, angle = np.linalg.norm(pose.values[3:6]), np.degrees(np.linalg.norm(pose.values[:3]))
    if shift > MAX_DISPLACEMENT_MM or angle > MAX_ROTATION_DEG or np.abs(pose.values[6:]).max() > MAX_STRETCH:
        return (
            f"more was found than patients and eddy currents do (over {MAX_DISPLACEMENT_MM:.0f} mm, "
            f"{MAX_ROTATION_DEG:.0f}° or {100 * MAX_STRETCH:.0f} % stretch)."
        )
    return ""


def _doubts(poses: dict[str, _Pose]) -> tuple[Issue, ...]:
    """One issue for each reason, naming everything that it concerns."""
    concerned: dict[str, list[str]] = {}
    for name, pose in poses.items():
        if reason := _doubt(pose):
            concerned.setdefault(reason, []).append(name)
    remedy = "Left in place; look at the series, or leave these volumes out."
    return tuple(Issue(Severity.WARNING, ", ".join(names), reason, remedy) for reason, names in concerned.items())


@dataclass(frozen=True)
class _Encoding:
    """b-values (s/mm²), shape (n,), and directions along the voxel axes, shape (n, 3), of weighted volumes."""

    bvals: Floats
    directions: Floats

    @property
    def strengths(self) -> Floats:
        """What eddy currents are in step with, shape (n, 3); at most 1 long."""
        return (self.bvals / self.bvals.max())[:, None] * self.directions

    def design(self, poses: Sequence["_Pose"]) -> Floats:
        """Log-linear design of a tensor in the patient's frame, shape (n, 7)."""
        turned = np.array([pose.rotation.T @ g for pose, g in zip(poses, self.directions, strict=True)])
        x, y, z = turned.T
        weights = (self.bvals / self.bvals.max())[:, None]
        return np.hstack([np.ones_like(weights), -weights * np.stack([x * x, y * y, z * z, x * y, x * z, y * z], 1)])


@dataclass(frozen=True)
class _Usual:
    """What a pose is expected to be, and its standard deviation; nine values each."""

    values: Floats
    spread: Floats

    @classmethod
    def of_patients(cls) -> "_Usual":
        """Expect of one image of which nothing else is known."""
        return cls(np.zeros(9), np.repeat([USUAL_ROTATION, USUAL_SHIFT_MM, USUAL_STRETCH], 3))


def _align_weighted(images: Floats, encoding: _Encoding, grid: _Grid, rim: Bools) -> tuple[list[_Pose], bool]:
    """Align weighted volumes with one another, choose the phase-encoding axis and say whether that was clear."""
    usual = [_Usual.of_patients()] * len(images)
    coarse = [
        _align(images, [_Pose(np.zeros(9), axis)] * len(images), grid, rim, free=grid.seen, stages=STAGES[:2])
        for axis in grid.in_plane
    ]
    costs = [sum(pose.cost for pose in poses) for poses in coarse]
    poses = coarse[int(np.argmin(costs))]
    usual = _tie(poses, encoding)
    poses = _align(images, poses, grid, rim, free=grid.seen, stages=STAGES[2:], usual=usual, encoding=encoding)
    return poses, abs(costs[1] - costs[0]) > CLEAR_COST


def _tie(poses: Sequence[_Pose], encoding: _Encoding) -> list[_Usual]:
    """Expect eddy currents in step with the gradient: a straight line through what was found."""
    usual = _Usual.of_patients()
    believed = np.array([_doubt(pose) == "" for pose in poses])
    line = np.hstack([encoding.strengths, np.ones((len(poses), 1))])
    if believed.sum() < MIN_TIED or np.linalg.matrix_rank(line[believed], tol=0.1) < line.shape[1]:
        return [usual] * len(poses)
    stretch = np.array([pose.values[6:] for pose in poses])
    slope = np.linalg.lstsq(line[believed], stretch[believed], rcond=None)[0]
    rest = stretch[believed] - line[believed] @ slope
    spread = np.sqrt(np.sum(rest**2, axis=0) / (believed.sum() - line.shape[1]))
    spread = np.clip(spread, LEAST_STRETCH, USUAL_STRETCH)
    unit = np.linalg.inv(line[believed].T @ line[believed])
    sds = np.minimum(np.sqrt(1 + np.einsum("ni,ij,nj->n", line, unit, line))[:, None] * spread, USUAL_STRETCH)
    # A patient who lay still in all volumes did so in each: motion is expected to be of the size that was found.
    motion = np.array([pose.values[:6] for pose in poses])[believed]
    size = np.repeat(np.sqrt(np.mean((motion**2).reshape(-1, 2, 3), axis=(0, 2))), 3)
    size = np.clip(size, LEAST_MOTION * usual.spread[:6], 2 * usual.spread[:6])
    return [_Usual(np.r_[usual.values[:6], mean], np.r_[size, sd]) for mean, sd in zip(line @ slope, sds, strict=True)]


def _common(b0: Floats, mean: Floats, grid: _Grid, rim: Bools, *, phase_axis: int, is_clear: bool) -> _Pose:
    """Align b = 0 with the mean of the weighted volumes.

    Between contrasts the coarse stage helps after large motion and misleads where the muscles have lost their
    signal, so its result has to be clearly better. When the weighted volumes did not show the phase-encoding axis,
    distortion that they share may, so both axes are tried; of two that explain about the same, the smaller rotation
    is taken.
    """

    def aligned(axis: int, stages: Sequence[_Stage]) -> _Pose:
        start = _Pose(np.zeros(9), axis)
        return _align([b0], [start], grid, rim, free=grid.seen, to=mean, stages=stages)[0]

    coarse_first = aligned(phase_axis, STAGES)
    tried = [aligned(axis, STAGES[1:]) for axis in ([phase_axis] if is_clear else grid.in_plane)]
    lowest = min(pose.cost for pose in tried)
    alike = [pose for pose in tried if pose.cost < lowest + CLEAR_COST]
    fine = min(alike, key=lambda pose: float(np.linalg.norm(pose.values[:3])))
    return coarse_first if coarse_first.misfit < COARSE_MERIT * fine.misfit else fine


def _align(
    images: Floats | Sequence[Floats],
    poses: Sequence[_Pose],
    grid: _Grid,
    rim: Bools,
    *,
    free: Bools,
    to: Floats | None = None,
    stages: Sequence[_Stage] = STAGES,
    usual: Sequence[_Usual] | None = None,
    encoding: _Encoding | None = None,
) -> list[_Pose]:
    """Align images with one image, or each with what the others say of it, from coarse to fine.

    With an encoding the others say it through a tensor, otherwise through their mean.
    """
    usual = usual or [_Usual.of_patients()] * len(images)
    for smoothing_mm, every, cell_mm, order in stages:
        width = np.where(np.arange(3) == grid.normal, 0, smoothing_mm / grid.sizes)
        smooth = [ndimage.gaussian_filter(image, width) for image in images]
        prepared = [_spline(image) if order > 1 else image for image in smooth]
        cells = _cells(rim, grid, every=every, cell_mm=cell_mm)
        if to is None and len(images) > 1:
            aims = _aims(prepared, poses, grid, rim, order=order, encoding=encoding)
        else:
            aims = iter([(ndimage.gaussian_filter(to, width) if to is not None else smooth[0], rim)] * len(images))
        improved = []
        for image, pose, (aim, is_known), expected in zip(prepared, poses, aims, usual, strict=True):
            target = _target(aim, is_known, cells, grid, pose.phase_axis)
            improved.append(_improve(image, target, pose, grid, free=free, order=order, usual=expected))
        poses = improved
    return list(poses)


def _mean(
    images: Floats | Sequence[Floats], poses: Sequence[_Pose], grid: _Grid, rim: Bools, *, order: Literal[1, 3]
) -> Floats:
    """Average images at their poses within the rim, each where it was scanned; zero elsewhere."""
    values, inside = _at_poses(images, poses, grid, rim, order=order)
    mean = np.zeros(grid.shape, dtype=np.float32)
    mean[rim] = np.where(
        inside.any(axis=0), (values * inside).sum(axis=0) / np.maximum(inside.sum(axis=0), 1), values.mean(axis=0)
    )
    return mean


def _at_poses(
    images: Floats | Sequence[Floats], poses: Sequence[_Pose], grid: _Grid, rim: Bools, *, order: Literal[1, 3]
) -> tuple[Floats, Bools]:
    """Images at their poses within the rim, and where they were scanned; both of shape (n, voxels of the rim)."""
    points = (np.argwhere(rim) - grid.centre) * grid.sizes
    values = np.empty((len(images), len(points)), dtype=np.float32)
    inside = np.empty(values.shape, dtype=bool)
    for k, (image, pose) in enumerate(zip(images, poses, strict=True)):
        index = grid.to_index(pose.matrix, points)
        values[k] = _interpolate(image, index, order=order)
        inside[k] = grid.holds(index)
    return values, inside


def _aims(
    images: Sequence[Floats],
    poses: Sequence[_Pose],
    grid: _Grid,
    rim: Bools,
    *,
    order: Literal[1, 3],
    encoding: _Encoding | None,
) -> Iterator[tuple[Floats, Bools]]:
    """Tell what the other images say of each, and where they say enough.

    An image must not be part of its own target, or its noise would hold it where it is. The contrast between muscles
    changes with the gradient; a tensor, fitted to the others after smoothing, tells how.
    """
    values, inside = _at_poses(images, poses, grid, rim, order=order)
    count, total = inside.sum(axis=0, dtype=np.float32), np.einsum("nm,nm->m", values, inside)
    is_known = np.zeros_like(rim)
    is_known[rim] = count - 1 >= max(1, LEAST_SEEN * (len(images) - 1))
    ratios = None if encoding is None else _contrasts(values, inside, encoding.design(poses), grid, rim)
    for k in range(len(images)):
        aim = np.zeros(grid.shape, dtype=np.float32)
        aim[rim] = (total - inside[k] * values[k]) / np.maximum(count - inside[k], 1)
        if ratios is not None:
            aim[rim] *= ratios[k]
        yield aim, is_known


def _contrasts(values: Floats, inside: Bools, design: Floats, grid: _Grid, rim: Bools) -> Floats | None:
    """Ratio of each image, as a tensor fitted to the others predicts it, to the others' mean; shape of `values`."""
    inverse = np.linalg.pinv(design, rcond=1e-3)
    leverage = np.einsum("ni,in->n", design, inverse)
    if np.median(leverage) > MAX_LEVERAGE:
        return None
    width = np.where(np.arange(3) == grid.normal, 0, CONTRAST_MM / grid.sizes)
    smooth = np.empty_like(values)
    volume = np.zeros(grid.shape, dtype=np.float32)
    for k, image in enumerate(values):
        volume[rim] = image
        smooth[k] = ndimage.gaussian_filter(volume, width)[rim]
    smooth = np.maximum(smooth, np.float32(1e-3 * smooth.mean()))
    logs = np.log(smooth)
    fitted = (design @ inverse).astype(np.float32) @ logs
    count, total = inside.sum(axis=0, dtype=np.float32), np.einsum("nm,nm->m", smooth, inside)
    for k, h in enumerate(leverage):
        if h > MAX_LEVERAGE:
            fitted[k] = 0.0
            continue
        others = (fitted[k] - np.float32(h) * logs[k]) / np.float32(1 - h)
        mean = (total - inside[k] * smooth[k]) / np.maximum(count - inside[k], 1)
        fitted[k] = others - np.log(np.maximum(mean, 1e-3 * smooth.mean()))
    return np.exp(np.clip(fitted, -MAX_LOG_RATIO, MAX_LOG_RATIO))


@dataclass(frozen=True)
class _Cells:
    """Points that are compared, in the order of their cells (small squares of one slice).

    `index` holds voxel indices, shape (m, 3); `starts` where each cell begins; `neighbours` how many points
    share one independent piece of contrast.
    """

    index: NDArray[np.intp]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    neighbours: float

    def sums(self, values: Floats) -> Floats:
        """Sum over each cell."""
        return np.add.reduceat(values, self.starts, axis=0)

    def spread(self, of_cells: Floats) -> Floats:
        """Give each point its cell's value."""
        return np.repeat(of_cells, self.sizes, axis=0)

    def centred(self, values: Floats) -> Floats:
        """Take the mean of each cell out."""
        return values - self.spread((self.sums(values).T / self.sizes).T)


def _cells(rim: Bools, grid: _Grid, *, every: int, cell_mm: float) -> _Cells:
    kept = np.zeros_like(rim)
    kept[tuple(slice(None, None, 1 if axis == grid.normal else every) for axis in range(3))] = True
    index = np.argwhere(kept & rim)
    edge = np.where(np.arange(3) == grid.normal, 1, np.maximum(1, np.round(cell_mm / grid.sizes))).astype(int)
    cell = np.ravel_multi_index(tuple((index // edge).T), grid.shape)
    order = np.argsort(cell, kind="stable")
    _, starts, sizes = np.unique(cell[order], return_index=True, return_counts=True)
    area = grid.sizes[grid.in_plane].prod() * every**2
    return _Cells(index[order], starts, sizes, max(1.0, ALIKE_MM**2 / area))


@dataclass(frozen=True)
class _Target:
    """What an image is compared with: values at points, and how they change with the pose.

    Values and changes have their mean within each cell taken out, changes also what follows the values. `power` is the
    sum of squared values in each cell; it is zero where the target is not known.
    """

    points: Floats
    cells: _Cells
    is_known: Bools
    values: Floats
    power: Floats
    change: Floats


def _target(image: Floats, is_known: Bools, cells: _Cells, grid: _Grid, phase_axis: int) -> _Target:
    at = tuple(cells.index.T)
    points = (cells.index - grid.centre) * grid.sizes
    slope = np.stack([_slope(image, axis, size)[at] for axis, size in enumerate(grid.sizes)], axis=1)
    # A turn by a small vector w moves x by w × x, so the image changes by w · (x × slope).
    change = cells.centred(np.hstack([np.cross(points, slope), slope, slope[:, [phase_axis]] * points]))
    values = cells.centred(image[at].astype(float))
    power = cells.sums(values**2) + 1e-6 * np.mean(values**2) + np.finfo(float).tiny
    follows = cells.sums(values[:, None] * change) / power[:, None]
    change -= values[:, None] * cells.spread(follows)
    return _Target(points, cells, cells.sums((~is_known[at]).astype(float)) == 0, values, power, change)


def _slope(image: Floats, axis: int, size: float) -> Floats:
    """Differentiate the cubic spline through an image, per mm."""
    if image.shape[axis] == 1:
        return np.zeros_like(image)
    return np.gradient(ndimage.spline_filter1d(image, axis=axis, mode="mirror"), size, axis=axis)


def _improve(
    image: Floats, target: _Target, start: _Pose, grid: _Grid, *, free: Bools, order: Literal[1, 3], usual: _Usual
) -> _Pose:
    """Move an image onto the target by Gauss–Newton steps, as long as they help.

    Notes
    -----
    Within each cell the image W at the pose should be a M + b of the target M, with a and b of the cell: contrasts
    may differ in any way from cell to cell (a local correlation). A step δ solves W + a J δ = a M + b by least
    squares, J being how the target changes with the pose; it stands for the image's own, because averaging
    made it less noisy. A cell weighs less the more of it stays unexplained: there the contrast differs, or a slice
    was dropped. What is usual enters as a prior, weighed by what the cells' disagreement says of the precision.
    """
    cells = target.cells
    spread, mean = usual.spread[free], usual.values[free]
    arm = np.linalg.norm(target.points, axis=1).mean()
    reach = np.repeat([arm, 1.0, arm], 3)[free]
    shifts = np.isin(np.flatnonzero(free), [3 + axis for axis in grid.in_plane])
    change = target.change[:, free]
    best, pose, floor = replace(start, misfit=np.inf), start, 0.0
    for _ in range(MAX_STEPS):
        index = grid.to_index(pose.matrix, target.points)
        is_seen = target.is_known & (cells.sums((~grid.holds(index)).astype(float)) == 0)
        sampled = cells.centred(_interpolate(image, index, order=order).astype(float))
        gain = cells.sums(sampled * target.values) / target.power
        residual = sampled - cells.spread(gain) * target.values
        unexplained, all_there = cells.sums(residual**2) * is_seen, cells.sums(sampled**2) * is_seen
        # Relative to what there is to explain: otherwise moving the patient out of sight would be the best fit.
        scale = max(all_there.sum(), np.finfo(float).tiny)
        misfit = float(unexplained.sum() / scale)
        if not 0 < misfit < np.inf:
            break
        n_points = np.sum(cells.sizes * is_seen)
        floor = floor or LEAST_SPREAD * misfit
        relative = unexplained / cells.sizes * n_points / scale + floor
        if misfit >= best.misfit:
            break
        weight = is_seen * (1 + LEAST_SPREAD) * n_points / scale / relative
        design = cells.spread(gain)[:, None] * change
        weighted = design * cells.spread(weight)[:, None]
        information = design.T @ weighted
        pull = cells.sums(weighted * residual[:, None])
        # How much more the cells disagree than independent points would.
        excess = UNSHOWN * max(1.0, float(np.mean(np.sum(pull**2, axis=0) / np.diag(information))))
        covariance = np.linalg.inv(information / excess + np.diag(spread**-2))
        uncertainty = float(np.sqrt(np.diag(covariance)[shifts].max()))
        off = pose.values[free] - mean
        cost = n_points / cells.neighbours * np.log(misfit) + np.sum((off / spread) ** 2)
        best = replace(pose, misfit=misfit, uncertainty_mm=uncertainty, cost=float(cost))
        step = -covariance @ (pull.sum(axis=0) / excess + off / spread**2)
        values = pose.values.copy()
        values[free] += step
        pose = replace(best, values=values)
        if np.abs(step * reach).max() < SMALL_STEP_MM:
            return pose
    return best


def _find_with_dipy(series: DwiSeries, mask: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
    """Register each volume to the first b = 0 by mutual information with DIPY."""
    from dipy.align import affine_registration  # takes a second, and only this engine needs it

    reference = int(np.argmax(series.gradients.is_b0))
    n_volumes = series.signal.shape[3]
    transforms = np.tile(np.eye(4), (n_volumes, 1, 1))
    for volume in range(n_volumes):
        if volume == reference:
            continue
        _, transforms[volume] = affine_registration(
            series.signal[..., volume],
            series.signal[..., reference],
            moving_affine=series.affine,
            static_affine=series.affine,
            pipeline=["translation", "rigid", "affine"],
            static_mask=mask.astype(np.int32),
            level_iters=[100, 50, 20],
        )
    u, _, vt = np.linalg.svd(transforms[:, :3, :3])
    return transforms, u @ vt, ()
