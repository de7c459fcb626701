"""Patient motion and eddy-current distortion between the volumes of a series, found and undone."""

from collections.abc import Sequence
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
STAGES: tuple[_Stage, ...] = ((8.0, 2, 36.0, 1), (1.25, 1, 12.0, 1), (1.25, 1, 12.0, 3))

# What motion and eddy currents usually do (standard deviations): they steady a fit where the image says nothing.
USUAL_ROTATION = np.radians(2.0)
USUAL_SHIFT_MM = 4.0
USUAL_STRETCH = 0.02

# What a fit leaves unexplained is alike over squares of this edge: mostly contrast, not noise.
ALIKE_MM = 10.0

# An image is believed to lie on its target when less than this share of its contrast stays unexplained.
MAX_MISFIT = 0.7

# Between contrasts a coarse stage must leave less than this share of the misfit that there is without it.
COARSE_MERIT = 0.7

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
    issues : tuple of Issue
        Volumes that could not be aligned, and directions in which motion cannot be seen.
    """

    series: DwiSeries
    transforms: Floats
    displacement_mm: Floats
    rotation_deg: Floats
    issues: tuple[Issue, ...]


def correct_motion(series: DwiSeries, mask: Bools, *, engine: Engine = "kit") -> MotionCorrected:
    """Align the volumes with the first b = 0 volume and turn the gradient directions accordingly.

    A volume moves rigidly, and eddy currents stretch, shear and shift it along the phase-encoding axis [1]_.
    Weighted volumes are aligned with their mean, the mean once with b = 0, and the data interpolated once with
    both. When a patient turns by R, tissue sees the scanner's gradient g as Rᵀ g, so the directions of the
    corrected series are turned back [2]_.

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
        rotation_deg=np.degrees(Rotation.from_matrix(rotations).magnitude()),
        issues=issues,
    )


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
    rigid = grid.seen & (np.arange(9) < 6)

    matrices = np.tile(np.eye(4), (len(images), 1, 1))
    rotations = np.tile(np.eye(3), (len(images), 1, 1))
    square_mm = series.voxel_sizes[grid.in_plane].prod() * mask.sum()
    if square_mm < MIN_SQUARES * ALIKE_MM**2:
        return matrices, rotations, (_too_small(square_mm),)
    b0s, weighted = np.flatnonzero(series.gradients.is_b0), np.flatnonzero(~series.gradients.is_b0)
    still = _Pose(np.zeros(9), grid.in_plane[-1])
    found = dict(zip(weighted, _align_weighted(images[weighted], grid, rim), strict=True)) if weighted.size else {}
    common = still
    if found and b0s.size:
        mean = _mean(images[weighted], list(found.values()), grid, rim, order=1)
        common = _common(images[b0s[0]], mean, found[weighted[0]].phase_axis, grid, rim)
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
    turn = grid_rotation(series.affine)
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


def _align_weighted(images: Floats, grid: _Grid, rim: Bools) -> list[_Pose]:
    """Align weighted volumes with their mean, and choose the phase-encoding axis."""
    coarse = [
        _align(images, [_Pose(np.zeros(9), axis)] * len(images), grid, rim, free=grid.seen, stages=STAGES[:1])
        for axis in grid.in_plane
    ]
    poses = min(coarse, key=lambda poses: sum(pose.cost for pose in poses))
    return _align(images, poses, grid, rim, free=grid.seen, stages=STAGES[1:])


def _common(b0: Floats, mean: Floats, phase_axis: int, grid: _Grid, rim: Bools) -> _Pose:
    """Align b = 0 with the mean of the weighted volumes.

    Between contrasts the coarse stage helps after large motion and misleads where the muscles have lost their
    signal, so its result has to be clearly better. Distortion that all volumes share shows only here, so both
    phase-encoding axes are tried once more.
    """

    def aligned(axis: int, stages: Sequence[_Stage]) -> _Pose:
        return _align([b0], [_Pose(np.zeros(9), axis)], grid, rim, free=grid.seen, to=mean, stages=stages)[0]

    coarse_first = aligned(phase_axis, STAGES)
    fine = min((aligned(axis, STAGES[1:]) for axis in grid.in_plane), key=lambda pose: pose.cost)
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
) -> list[_Pose]:
    """Align images with one image, or with their own mean, from coarse to fine."""
    for smoothing_mm, every, cell_mm, order in stages:
        width = np.where(np.arange(3) == grid.normal, 0, smoothing_mm / grid.sizes)
        smooth = [ndimage.gaussian_filter(image, width) for image in images]
        prepared = [_spline(image) if order > 1 else image for image in smooth]
        aim = _mean(prepared, poses, grid, rim, order=order) if to is None else ndimage.gaussian_filter(to, width)
        target = _target(aim, rim, grid, poses[0].phase_axis, every=every, cell_mm=cell_mm)
        poses = [
            _improve(image, target, pose, grid, free=free, order=order)
            for image, pose in zip(prepared, poses, strict=True)
        ]
    return list(poses)


def _mean(
    images: Floats | Sequence[Floats], poses: Sequence[_Pose], grid: _Grid, rim: Bools, *, order: Literal[1, 3]
) -> Floats:
    """Average images at their poses within the rim; zero elsewhere."""
    points = (np.argwhere(rim) - grid.centre) * grid.sizes
    mean = np.zeros(grid.shape, dtype=np.float32)
    for image, pose in zip(images, poses, strict=True):
        mean[rim] += _interpolate(image, grid.to_index(pose.matrix, points), order=order) / len(poses)
    return mean


@dataclass(frozen=True)
class _Target:
    """Points at which images are compared with one: its values and how they change with the pose.

    Values and changes have their mean within each cell (a small square of one slice, `cells`) taken out,
    changes also what follows the values. `power` is the sum of squared values in each cell, `neighbours` how many
    points share one independent piece of noise.
    """

    points: Floats
    cells: NDArray[np.intp]
    values: Floats
    power: Floats
    change: Floats
    neighbours: float


def _target(image: Floats, rim: Bools, grid: _Grid, phase_axis: int, *, every: int, cell_mm: float) -> _Target:
    kept = np.zeros_like(rim)
    kept[tuple(slice(None, None, 1 if axis == grid.normal else every) for axis in range(3))] = True
    kept &= rim
    index = np.argwhere(kept)
    points = (index - grid.centre) * grid.sizes
    slope = np.stack([_slope(image, axis, size)[kept] for axis, size in enumerate(grid.sizes)], axis=1)
    # A turn by a small vector w moves x by w × x, so the image changes by w · (x × slope).
    change = np.hstack([np.cross(points, slope), slope, slope[:, [phase_axis]] * points])
    edge = np.where(np.arange(3) == grid.normal, 1, np.maximum(1, np.round(cell_mm / grid.sizes))).astype(int)
    _, cells = np.unique(np.ravel_multi_index(tuple((index // edge).T), grid.shape), return_inverse=True)
    values = _centred(image[kept].astype(float), cells)
    power = np.bincount(cells, values**2) + 1e-6 * np.mean(values**2) + np.finfo(float).tiny
    for k in range(change.shape[1]):
        column = _centred(change[:, k], cells)
        change[:, k] = column - (np.bincount(cells, values * column) / power)[cells] * values
    area = grid.sizes[grid.in_plane].prod() * every**2
    return _Target(points, cells, values, power, change, max(1.0, ALIKE_MM**2 / area))


def _slope(image: Floats, axis: int, size: float) -> Floats:
    """Differentiate the cubic spline through an image, per mm."""
    if image.shape[axis] == 1:
        return np.zeros_like(image)
    return np.gradient(ndimage.spline_filter1d(image, axis=axis, mode="mirror"), size, axis=axis)


def _centred(values: Floats, cells: NDArray[np.intp]) -> Floats:
    return values - (np.bincount(cells, values) / np.bincount(cells))[cells]


def _improve(image: Floats, target: _Target, start: _Pose, grid: _Grid, *, free: Bools, order: Literal[1, 3]) -> _Pose:
    """Move an image onto the target by Gauss–Newton steps, as long as they help.

    Notes
    -----
    Within each cell the image W at the pose should be a M + b of the target M, with a and b of the cell: contrasts
    may differ in any way from cell to cell (a local correlation). A step δ solves W + a J δ = a M + b by least
    squares, J being how the target changes with the pose; it stands for the image's own, because averaging
    made it less noisy. The usual size of motion enters as a prior, weighed by the noise that remains.
    """
    usual = np.repeat([USUAL_ROTATION, USUAL_SHIFT_MM, USUAL_STRETCH], 3)[free]
    arm = np.linalg.norm(target.points, axis=1).mean()
    reach = np.repeat([arm, 1.0, arm], 3)[free]
    shifts = np.isin(np.flatnonzero(free), [3 + axis for axis in grid.in_plane])
    last = np.array(grid.shape)[:, None] - 1.0
    change = target.change[:, free]
    best, pose = replace(start, misfit=np.inf), start
    for _ in range(MAX_STEPS):
        index = grid.to_index(pose.matrix, target.points)
        inside = np.all((index > -0.5) & (index < last + 0.5), axis=0)
        sampled = _centred(_interpolate(image, index, order=order), target.cells)
        gain = (np.bincount(target.cells, sampled * target.values) / target.power)[target.cells]
        residual = (sampled - gain * target.values)[inside]
        # Relative to what there is to explain: otherwise moving the patient out of sight would be the best fit.
        misfit = float(np.sum(residual**2) / max(np.sum(sampled[inside] ** 2), np.finfo(float).tiny))
        if not 0 < misfit < best.misfit:
            break
        noise = np.mean(residual**2) * target.neighbours
        design = (gain[:, None] * change)[inside]
        information = design.T @ design / noise + np.diag(usual**-2)
        covariance = np.linalg.inv(information)
        uncertainty = float(np.sqrt(np.diag(covariance)[shifts].max()))
        cost = inside.sum() / target.neighbours * np.log(misfit) + np.sum((pose.values[free] / usual) ** 2)
        best = replace(pose, misfit=misfit, uncertainty_mm=uncertainty, cost=float(cost))
        step = -covariance @ (design.T @ residual / noise + pose.values[free] / usual**2)
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
