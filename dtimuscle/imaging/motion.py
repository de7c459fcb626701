"""Patient motion and eddy-current distortion between the volumes of a series, found and undone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, grid_rotation
from dtimuscle.errors import GridMismatchError, ImageError
from dtimuscle.imaging.unring import slice_axis
from dtimuscle.issues import Issue, Severity

Engine = Literal["kit", "dipy"]

_Stage = tuple[float, int, float, Literal[1, 3]]

# Coarse to fine: smoothing within slices (standard deviation, mm), every how many voxels along each in-plane axis
# are compared, edge of a cell (mm), order of the interpolation. More smoothing at the end would be faster, but a
# blurred outline lies elsewhere in an image of another contrast.
COARSE: _Stage = (8.0, 2, 36.0, 1)
MIDDLE: _Stage = (2.5, 2, 15.0, 1)
FINE: _Stage = (1.25, 2, 12.0, 3)
FULL: _Stage = (1.25, 1, 12.0, 3)
STAGES = (COARSE, MIDDLE, FULL)

# Volumes that are each other's targets approach their places together, so that most stages are needed more than once.
TIED_STAGES = (MIDDLE, MIDDLE, MIDDLE, FINE, FINE, FULL)

# What motion and eddy currents usually do (standard deviations): they steady a fit where the image says nothing.
USUAL_ROTATION = np.radians(2.0)
USUAL_SHIFT_MM = 4.0
USUAL_STRETCH = 0.02

# Stretch in step with the gradient is known at best to this (no unit), and from at least so many volumes.
LEAST_STRETCH = 0.001
MIN_TIED = 6

# How far stretch is out of step with the gradient is found by so many steps of expectation and maximisation, from this
# standard deviation on.
SCATTER_STEPS = 30
FIRST_SCATTER = 0.005

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
SMALL_STEP_MM = 0.04
MAX_STEPS = 12

# What is left unexplained may rise by this share in a step: interpolation smooths noise more between slices than on
# them, which can hide that a step across them is right.
MISFIT_RISE = 0.01

# A voxel counts as scanned up to so far beyond the centres of the outermost ones.
SEEN_VOXELS = 0.5

# Rim around the mask that is compared as well: the outline carries most of what is known about position.
RIM_VOXELS = 2

# Two thighs are told apart where, in the middle third of the mask, a plane across left and right holds less than this
# share of the mask's section through either thigh.
VALLEY = 0.5

# A difference between the thighs' rotations below this does not matter to one gradient table for both, degrees.
ALIKE_DEG = 0.3


@dataclass(frozen=True)
class MotionCorrected:
    """A series whose volumes lie on one another, and how each had moved.

    Parameters
    ----------
    series : DwiSeries
        Interpolated once; directions turned with the patient. The first b = 0 volume is the reference. For two thighs
        that were corrected separately, directions are turned by the mean of both rotations.
    transforms : ndarray of shape (n, 4, 4)
        World coordinates (mm) in the corrected series to those in each volume as scanned; for two thighs the mean of
        both, which holds exactly for neither.
    parts : ndarray of int, shape (nx, ny, nz)
        Which part of the patient a voxel belongs to: 0 everywhere, or 0 and 1 for two thighs.
    part_transforms : ndarray of shape (n_parts, n, 4, 4)
        As `transforms`, of each part: voxels of part k came from where `part_transforms[k]` takes them.
    part_gradients : tuple of GradientTable
        Of each part, turned by its own rotations.
    displacement_mm : ndarray of shape (n,)
        Mean displacement over the mask.
    rotation_deg : ndarray of shape (n,)
        Angle of the rotation (of the mean one for two thighs); stretch and shear by eddy currents are not part of it.
    framewise_mm : ndarray of shape (n,)
        Mean distance over the mask that the patient moved since the volume before, without stretch and shear; 0 for the
        first. Power's framewise displacement [1]_ adds up shifts and the arcs of rotations on a sphere of a head's
        size; thighs are larger and no sphere, so the distance is taken of the voxels themselves.
    issues : tuple of Issue
        Volumes that could not be aligned, directions in which motion cannot be seen, thighs that could not be told
        apart or turned differently.

    References
    ----------
    .. [1] Power et al., NeuroImage 59 (2012) 2142–2154.
    """

    series: DwiSeries
    transforms: Floats
    parts: NDArray[np.intp]
    part_transforms: Floats
    part_gradients: tuple[GradientTable, ...]
    displacement_mm: Floats
    rotation_deg: Floats
    framewise_mm: Floats
    issues: tuple[Issue, ...]


def correct_motion(
    series: DwiSeries,
    mask: Bools,
    *,
    engine: Engine = "kit",
    separate_thighs: bool = False,
    lost_slices: Bools | None = None,
) -> MotionCorrected:
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
    separate_thighs : bool, default=False
        Give each thigh a transform of its own, split by a plane between left and right where the mask is narrowest.
        Half the voxels know less of each. One gradient table cannot hold two rotations: the series gets the mean of
        both, `part_gradients` each its own, and an issue says by how much they differ. Thighs that cannot be told apart
        are corrected as one, with an issue.
    lost_slices : ndarray of bool, shape (n_slices, n), optional
        Slices that lost their signal. They are filled from the slices beside them, so that interpolation carries their
        loss nowhere, and are not compared.

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
    lost = np.zeros((series.shape[slice_axis(series.voxel_sizes)], series.signal.shape[3]), dtype=bool)
    if lost_slices is not None:
        series, lost = _filled(series, lost_slices), lost_slices
    find = _find_with_dipy if engine == "dipy" else partial(_find_poses, lost=lost)
    parts = np.zeros(series.shape, dtype=np.intp)
    issues: tuple[Issue, ...] = ()
    if separate_thighs:
        parts, issues = thighs_apart(mask, series.affine)
    names = ("thigh with lower", "thigh with higher") if parts.any() else ()
    found = []
    for k in range(parts.max() + 1):
        transforms, rotations, doubts = find(series, mask & (parts == k))
        found.append((transforms, rotations))
        issues += tuple(replace(doubt, where=f"{names[k]} x: {doubt.where}") for doubt in doubts) if names else doubts
    part_transforms, part_rotations = (np.array(each) for each in zip(*found, strict=True))
    if len(found) == 2:
        issues += _different_turns(part_rotations)
    rotations = np.array([Rotation.from_matrix(each).mean().as_matrix() for each in part_rotations.swapaxes(0, 1)])
    tables = tuple(series.gradients.rotated(each.transpose(0, 2, 1)) for each in part_rotations)
    places = [_places(series, mask & (parts == k)) for k in range(len(found))]
    share = np.array([len(points) for points in places]) / np.count_nonzero(mask)
    moved = [_displacement(points, each) for points, each in zip(places, part_transforms, strict=True)]
    stepped = [_framewise(*each) for each in zip(places, part_transforms, part_rotations, strict=True)]
    return MotionCorrected(
        series=replace(
            series,
            signal=_resample(series, parts, part_transforms),
            gradients=tables[0] if len(found) == 1 else series.gradients.rotated(rotations.transpose(0, 2, 1)),
        ),
        transforms=part_transforms.mean(axis=0),
        parts=parts,
        part_transforms=part_transforms,
        part_gradients=tables,
        displacement_mm=share @ np.array(moved),
        framewise_mm=share @ np.array(stepped),
        rotation_deg=np.degrees(Rotation.from_matrix(rotations).magnitude()),
        issues=issues,
    )


def _filled(series: DwiSeries, lost: Bools) -> DwiSeries:
    """Fill lost slices by linear interpolation between the nearest whole ones of their volume."""
    signal = np.moveaxis(series.signal, slice_axis(series.voxel_sizes), 0).copy()
    for volume in np.flatnonzero(lost.any(axis=0) & ~lost.all(axis=0)):
        whole, number = np.flatnonzero(~lost[:, volume]), np.flatnonzero(lost[:, volume])
        above = np.searchsorted(whole, number).clip(1, max(1, len(whole) - 1))
        low, high = whole[above - 1], whole[above.clip(max=len(whole) - 1)]
        share = np.clip((number - low) / np.maximum(high - low, 1), 0, 1)[:, None, None]
        signal[number, ..., volume] = (1 - share) * signal[low, ..., volume] + share * signal[high, ..., volume]
    return series.with_signal(np.moveaxis(signal, 0, slice_axis(series.voxel_sizes)))


def thighs_apart(mask: Bools, affine: Floats) -> tuple[NDArray[np.intp], tuple[Issue, ...]]:
    """Tell the thighs apart by a plane across left and right.

    Parameters
    ----------
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground; not empty.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    parts : ndarray of int, shape (nx, ny, nz)
        0 for the left thigh (lower x) and 1 for the right, or 0 everywhere.
    issues : tuple of Issue
        That they could not be told apart.
    """
    axis = int(np.argmax(np.abs(affine[0, :3]) / np.linalg.norm(affine[:3, :3], axis=0)))
    section = mask.sum(axis=tuple(other for other in range(3) if other != axis))
    first, last = np.flatnonzero(section)[[0, -1]]
    third = (last - first + 1) // 3
    middle = section[first + third : last - third + 1]
    # Of several planes that hold equally little the one in the middle is taken.
    lowest = np.flatnonzero(middle == middle.min())
    cut = int(first + third + lowest[len(lowest) // 2])
    if section[cut] >= VALLEY * min(section[:cut].max(initial=0), section[cut + 1 :].max(initial=0)):
        what = "the two thighs could not be told apart: the mask is not narrower between left and right."
        remedy = "Corrected as one body; give a mask that leaves out the air between the thighs."
        issue = Issue(Severity.NOTE, "motion correction", what, remedy)
        return np.zeros(mask.shape, dtype=np.intp), (issue,)
    is_higher = (np.arange(mask.shape[axis]) > cut) == (affine[0, axis] > 0)
    shape = np.where(np.arange(3) == axis, mask.shape[axis], 1)
    return np.broadcast_to(is_higher.reshape(shape), mask.shape).astype(np.intp), ()


def _different_turns(rotations: Floats) -> tuple[Issue, ...]:
    """Say by how much two parts turned differently; rotations of shape (2, n, 3, 3)."""
    apart = np.degrees(Rotation.from_matrix(rotations[0] @ rotations[1].transpose(0, 2, 1)).magnitude())
    if apart.max() < ALIKE_DEG:
        return ()
    what = (
        f"the thighs turned differently, by up to {apart.max():.1f}° (mean {apart.mean():.1f}°); the gradient "
        "directions are turned by the mean of both and are off by half of it in each."
    )
    remedy = "Fit each thigh with its own part_gradients where this matters."
    return (Issue(Severity.NOTE, "motion correction", what, remedy),)


def _places(series: DwiSeries, where: Bools) -> Floats:
    """World coordinates of voxels, shape (m, 3), mm."""
    return np.argwhere(where) @ series.affine[:3, :3].T + series.affine[:3, 3]


def _displacement(points: Floats, transforms: Floats) -> Floats:
    """Mean displacement of points (m, 3) by each transform, mm."""
    moved = points @ transforms[:, :3, :3].transpose(0, 2, 1) + transforms[:, None, :3, 3]
    return np.linalg.norm(moved - points, axis=2).mean(axis=1)


def _framewise(points: Floats, transforms: Floats, rotations: Floats) -> Floats:
    """Mean distance of points (m, 3) between each volume's rigid pose and that of the volume before, mm."""
    middle = points.mean(axis=0)
    centres = transforms[:, :3, :3] @ middle + transforms[:, :3, 3]
    places = (points - middle) @ rotations.transpose(0, 2, 1) + centres[:, None]
    return np.r_[0.0, np.linalg.norm(np.diff(places, axis=0), axis=2).mean(axis=1)]


def _resample(series: DwiSeries, parts: NDArray[np.intp], part_transforms: Floats) -> Floats:
    """Interpolate each volume at where the voxels of each part had moved to; cubic, not below zero."""
    resampled = series.signal.astype(np.float32)
    to_index = np.linalg.inv(series.affine)
    places = [np.argwhere(parts == k).T for k in range(len(part_transforms))]
    for volume in range(resampled.shape[3]):
        if np.array_equal(part_transforms[:, volume], np.tile(np.eye(4), (len(places), 1, 1))):
            continue
        spline = _spline(series.signal[..., volume])
        for place, transforms in zip(places, part_transforms, strict=True):
            matrix = to_index @ transforms[volume] @ series.affine
            values = _interpolate(spline, matrix[:3, :3] @ place + matrix[:3, 3:], order=3)
            resampled[(*place, volume)] = np.maximum(values, 0)
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

    def holds(self, index: Floats, lost: Bools) -> Bools:
        """Which voxel indices, shape (3, m), were scanned in slices that were not lost, of which (n_slices,) tells."""
        last = np.array(self.shape)[:, None] - 1.0
        held = np.all((index > -SEEN_VOXELS) & (index < last + SEEN_VOXELS), axis=0)
        if lost.any():
            held &= ~lost[np.rint(np.clip(index[self.normal], 0, len(lost) - 1)).astype(int)]
        return held

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
    against how usual the pose is (−2 log posterior). `information` (9, 9) is the inverse covariance that the image
    alone gives, `pull` (9,) how strongly the prior drew.
    """

    values: Floats
    phase_axis: int
    misfit: float = np.inf
    uncertainty_mm: float = 0.0
    cost: float = np.inf
    information: Floats = field(default_factory=lambda: np.zeros((9, 9)))
    pull: Floats = field(default_factory=lambda: np.zeros(9))

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


def _find_poses(series: DwiSeries, mask: Bools, *, lost: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
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
        poses, shared_sd, is_clear = _align_weighted(images[weighted], encoding, grid, rim, lost.T[weighted])
        found = dict(zip(weighted, poses, strict=True))
        if b0s.size:
            mean = _mean([_spline(image) for image in images[weighted]], poses, grid, rim, lost.T[weighted])
            axis, b0 = poses[0].phase_axis, b0s[0]
            common = _common(
                images[b0], mean, grid, rim, lost[:, b0], phase_axis=axis, is_clear=is_clear, shared_sd=shared_sd
            )
    issues = _unseen(grid) + _doubts({"mean of the weighted volumes": common})
    common = common if _doubt(common) == "" else still
    rigid = grid.seen & (np.arange(9) < 6)
    for volume in b0s[1:]:
        found[volume] = _align([images[volume]], [still], grid, rim, lost.T[[volume]], free=rigid, to=images[b0s[0]])[0]
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


def _align_weighted(
    images: Floats, encoding: _Encoding, grid: _Grid, rim: Bools, lost: Bools
) -> tuple[list[_Pose], Floats, bool]:
    """Align weighted volumes with one another and choose the phase-encoding axis.

    Returns the poses, how well the stretch is known that all of them share (two standard deviations), and whether
    the axis was clear.
    """
    still = [_Pose(np.zeros(9), grid.in_plane[-1])] * len(images)
    # Large motion first: with stretch as well, a coarse stage may settle for a stretched image elsewhere.
    rigid = grid.seen & (np.arange(9) < 6)
    start = _align(images, still, grid, rim, lost, free=rigid, stages=(COARSE,))
    tried = []
    for axis in grid.in_plane:
        begin = [replace(pose, phase_axis=axis) for pose in start]
        tried.append(_align(images, begin, grid, rim, lost, free=grid.seen, stages=(MIDDLE,)))
    costs = [sum(pose.cost for pose in poses) for poses in tried]
    tie = _Tie(tried[int(np.argmin(costs))], [_Usual.of_patients()] * len(images), np.full(3, USUAL_STRETCH))
    # Found once: what is expected draws poses together, and taken from them again and again it would shrink to nothing.
    size = _motion_size(tie.poses)
    for stage in TIED_STAGES:
        tie = _tie(tie.poses, encoding, size)
        poses = _align(
            images, tie.poses, grid, rim, lost, free=grid.seen, stages=(stage,), usual=tie.usual, encoding=encoding
        )
        tie = replace(tie, poses=poses)
    return tie.poses, tie.shared_sd, abs(costs[1] - costs[0]) > CLEAR_COST


@dataclass(frozen=True)
class _Tie:
    """Poses whose common stretch was taken out, what is expected of each, and the SD of their common stretch (3,)."""

    poses: list[_Pose]
    usual: list[_Usual]
    shared_sd: Floats


def _motion_size(poses: Sequence[_Pose]) -> Floats:
    """Root mean square of rotations and shifts, shape (6,): a patient who lay still in all volumes did so in each."""
    usual = _Usual.of_patients().spread[:6]
    motion = np.array([pose.values[:6] for pose in poses if _doubt(pose) == ""] or [usual])
    size = np.repeat(np.sqrt(np.mean((motion**2).reshape(-1, 2, 3), axis=(0, 2))), 3)
    return np.clip(size, LEAST_MOTION * usual, 2 * usual)


def _tie(poses: list[_Pose], encoding: _Encoding, size: Floats) -> _Tie:
    """Expect eddy currents in step with the gradient: a straight line through what was found.

    Rotations and shifts are expected to be of the given size. Eddy currents vanish with the gradient, so the line must
    pass through zero. Volumes aligned with one another do not know the stretch that they share; it is the line's
    intercept and is taken out.
    """
    usual = _Usual.of_patients()
    believed = np.array([_doubt(pose) == "" for pose in poses])
    line = np.hstack([encoding.strengths, np.ones((len(poses), 1))])
    if believed.sum() < MIN_TIED or np.linalg.matrix_rank(line[believed], tol=0.1) < line.shape[1]:
        return _Tie(poses, [usual] * len(poses), np.full(3, USUAL_STRETCH))
    kept = [pose for pose, is_believed in zip(poses, believed, strict=True) if is_believed]
    slope, scatter, shared_sd = _stretch_line(kept, line[believed], size)
    centred = [replace(pose, values=pose.values - np.r_[np.zeros(6), slope[3]]) for pose in poses]
    expected = [_Usual(np.r_[np.zeros(6), g @ slope[:3]], np.r_[size, scatter]) for g in encoding.strengths]
    return _Tie(centred, expected, shared_sd)


def _stretch_line(poses: Sequence[_Pose], line: Floats, size: Floats) -> tuple[Floats, Floats, Floats]:
    """Regress the stretch on the gradient and a constant: slopes (4, 3), scatter (3,) and two SDs of the constant (3,).

    A random-effects regression: each volume counts as its image knows its stretch, whose three parts may be known
    together only, and scatters about the line by an SD found by expectation and maximisation.
    """
    found, covariances = [], []
    for pose in poses:
        # What the image says without what was expected of its stretch; the motion is expected to be of its usual size.
        covariance = np.linalg.inv(pose.information + np.diag(np.r_[size**-2, np.full(3, 0.01 * USUAL_STRETCH**-2)]))
        found.append(pose.values[6:] + covariance[6:, 6:] @ pose.pull[6:])
        covariances.append(covariance[6:, 6:])
    stretch, known = np.array(found), np.array(covariances)
    n_columns = line.shape[1]
    design = np.einsum("kl,nc->nkcl", np.eye(3), line).reshape(len(line), 3, 3 * n_columns)
    variance = np.full(3, FIRST_SCATTER**2)
    for _ in range(SCATTER_STEPS):
        weight = np.linalg.inv(known + np.diag(variance))
        information = np.einsum("nki,nkl,nlj->ij", design, weight, design)
        covariance = np.linalg.inv(information + np.eye(3 * n_columns) * USUAL_STRETCH**-2)
        slope = covariance @ np.einsum("nki,nkl,nl->i", design, weight, stretch)
        rest = variance * np.einsum("nkl,nl->nk", weight, stretch - design @ slope)
        left = variance - variance**2 * np.einsum("nkk->nk", weight)
        variance = np.clip(np.mean(rest**2 + left, axis=0), LEAST_STRETCH**2, USUAL_STRETCH**2)
    of_constant = np.diag(covariance).reshape(n_columns, 3)[-1]
    return slope.reshape(n_columns, 3), np.sqrt(variance), np.sqrt(4 * of_constant + LEAST_STRETCH**2)


def _common(
    b0: Floats,
    mean: Floats,
    grid: _Grid,
    rim: Bools,
    lost: Bools,
    *,
    phase_axis: int,
    is_clear: bool,
    shared_sd: Floats,
) -> _Pose:
    """Align b = 0 with the mean of the weighted volumes.

    Between contrasts the coarse stage helps after large motion and misleads where the muscles have lost their
    signal, so its result has to be clearly better. When the weighted volumes did not show the phase-encoding axis,
    distortion that they share may, so both axes are tried; of two that explain about the same, the smaller rotation
    is taken. How much slices are shifted by their height, which hardly differs from a tilt, is
    what the gradients left unsaid of it, with an SD of `shared_sd`.
    """
    usual = _Usual.of_patients()
    # Within slices the outline tells stretch from rotation, and what volumes share need not go with the gradient.
    spread = usual.spread.copy()
    spread[6 + grid.normal] = shared_sd[grid.normal]
    usual = replace(usual, spread=spread)

    def aligned(axis: int, stages: Sequence[_Stage]) -> _Pose:
        start = _Pose(np.zeros(9), axis)
        (pose,) = _align(
            [b0], [start], grid, rim, lost[None], free=grid.seen, to=mean, stages=stages, usual=[usual], is_noisy=False
        )
        return pose

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
    lost: Bools,
    *,
    free: Bools,
    to: Floats | None = None,
    stages: Sequence[_Stage] = STAGES,
    usual: Sequence[_Usual] | None = None,
    encoding: _Encoding | None = None,
    is_noisy: bool = True,
) -> list[_Pose]:
    """Align images with one image, or each with what the others say of it, from coarse to fine.

    With an encoding the others say it through a tensor, otherwise through their mean. A target is noisy unless it is
    the mean of all weighted volumes. Lost slices, of shape (n, n_slices), are not compared.
    """
    usual = usual or [_Usual.of_patients()] * len(images)
    for smoothing_mm, every, cell_mm, order in stages:
        width = np.where(np.arange(3) == grid.normal, 0, smoothing_mm / grid.sizes)
        smooth = [ndimage.gaussian_filter(image, width) for image in images]
        prepared = [_spline(image) if order > 1 else image for image in smooth]
        cells = _cells(rim, grid, every=every, cell_mm=cell_mm)
        if to is None and len(images) > 1:
            aims = _aims(prepared, poses, grid, rim, lost, order=order, encoding=encoding)
        else:
            aims = iter([(ndimage.gaussian_filter(to, width) if to is not None else smooth[0], rim)] * len(images))
        improved = []
        for image, pose, (aim, is_known), expected, gone in zip(prepared, poses, aims, usual, lost, strict=True):
            target = _target(aim, is_known, cells, grid, pose.phase_axis, is_noisy=is_noisy)
            improved.append(_improve(image, target, pose, grid, gone, free=free, order=order, usual=expected))
        poses = improved
    return list(poses)


def _mean(splines: Sequence[Floats], poses: Sequence[_Pose], grid: _Grid, rim: Bools, lost: Bools) -> Floats:
    """Average images at their poses within the rim, each where it was scanned; zero elsewhere."""
    values, inside = _at_poses(splines, poses, grid, rim, lost, order=3)
    mean = np.zeros(grid.shape, dtype=np.float32)
    mean[rim] = np.where(
        inside.any(axis=0), (values * inside).sum(axis=0) / np.maximum(inside.sum(axis=0), 1), values.mean(axis=0)
    )
    return mean


def _at_poses(
    images: Floats | Sequence[Floats],
    poses: Sequence[_Pose],
    grid: _Grid,
    rim: Bools,
    lost: Bools,
    *,
    order: Literal[1, 3],
) -> tuple[Floats, Bools]:
    """Images at their poses within the rim, and where they were scanned; both of shape (n, voxels of the rim)."""
    points = (np.argwhere(rim) - grid.centre) * grid.sizes
    values = np.empty((len(images), len(points)), dtype=np.float32)
    inside = np.empty(values.shape, dtype=bool)
    for k, (image, pose, gone) in enumerate(zip(images, poses, lost, strict=True)):
        index = grid.to_index(pose.matrix, points)
        values[k] = _interpolate(image, index, order=order)
        inside[k] = grid.holds(index, gone)
    return values, inside


def _aims(
    images: Sequence[Floats],
    poses: Sequence[_Pose],
    grid: _Grid,
    rim: Bools,
    lost: Bools,
    *,
    order: Literal[1, 3],
    encoding: _Encoding | None,
) -> Iterator[tuple[Floats, Bools]]:
    """Tell what the other images say of each, and where they say enough.

    An image must not be part of its own target, or its noise would hold it where it is. The contrast between muscles
    changes with the gradient; a tensor, fitted to the others after smoothing, tells how.
    """
    values, inside = _at_poses(images, poses, grid, rim, lost, order=order)
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


def _target(image: Floats, is_known: Bools, cells: _Cells, grid: _Grid, phase_axis: int, *, is_noisy: bool) -> _Target:
    at = tuple(cells.index.T)
    points = (cells.index - grid.centre) * grid.sizes
    slope = np.stack([_slope(image, axis, size, is_noisy=is_noisy)[at] for axis, size in enumerate(grid.sizes)], axis=1)
    # A turn by a small vector w moves x by w × x, so the image changes by w · (x × slope).
    change = cells.centred(np.hstack([np.cross(points, slope), slope, slope[:, [phase_axis]] * points]))
    values = cells.centred(image[at].astype(float))
    power = cells.sums(values**2) + 1e-6 * np.mean(values**2) + np.finfo(float).tiny
    follows = cells.sums(values[:, None] * change) / power[:, None]
    change -= values[:, None] * cells.spread(follows)
    return _Target(points, cells, cells.sums((~is_known[at]).astype(float)) == 0, values, power, change)


def _slope(image: Floats, axis: int, size: float, *, is_noisy: bool) -> Floats:
    """Differentiate the cubic spline through an image, per mm; level at the border of a noisy one."""
    if image.shape[axis] == 1:
        return np.zeros_like(image)
    slope = np.gradient(ndimage.spline_filter1d(image, axis=axis, mode="mirror"), size, axis=axis)
    if is_noisy:
        # The one-sided difference that `gradient` takes at the border goes with the noise of the voxel itself, and
        # since motion takes one border out of sight and not the other, this draws an image back to where it was.
        np.moveaxis(slope, axis, 0)[[0, -1]] = 0
    return slope


def _improve(
    image: Floats,
    target: _Target,
    start: _Pose,
    grid: _Grid,
    lost: Bools,
    *,
    free: Bools,
    order: Literal[1, 3],
    usual: _Usual,
) -> _Pose:
    """Move an image onto the target by Gauss–Newton steps, as long as they help.

    Notes
    -----
    Within each cell the image W at the pose should be a M + b of the target M, with a and b of the cell: contrasts
    may differ in any way from cell to cell (a local correlation). A step δ solves W + a J δ = a M + b by least
    squares, J being how the target changes with the pose; it stands for the image's own, because averaging
    made it less noisy. A cell weighs less the more of it stays unexplained: there the contrast differs. What is
    usual enters as a prior, weighed by what the cells' disagreement says of the precision.
    """
    cells = target.cells
    spread, mean = usual.spread[free], usual.values[free]
    arm = np.linalg.norm(target.points, axis=1).mean()
    reach = np.repeat([arm, 1.0, arm], 3)[free]
    shifts = np.isin(np.flatnonzero(free), [3 + axis for axis in grid.in_plane])
    change = target.change[:, free]
    best, pose, floor, merit = replace(start, misfit=np.inf), start, 0.0, (np.inf, 0.0)
    excess = UNSHOWN
    for _ in range(MAX_STEPS):
        index = grid.to_index(pose.matrix, target.points)
        is_seen = target.is_known & (cells.sums((~grid.holds(index, lost)).astype(float)) == 0)
        sampled = cells.centred(_interpolate(image, index, order=order).astype(float))
        gain = cells.sums(sampled * target.values) / target.power
        residual = sampled - cells.spread(gain) * target.values
        unexplained, all_there = cells.sums(residual**2) * is_seen, cells.sums(sampled**2) * is_seen
        # Relative to what there is to explain: otherwise moving the patient out of sight would be the best fit.
        scale = max(all_there.sum(), np.finfo(float).tiny)
        misfit = float(unexplained.sum() / scale)
        if not (0 < misfit < np.inf and is_seen.any()):
            break
        n_points = np.sum(cells.sizes * is_seen)
        floor = floor or LEAST_SPREAD * misfit
        relative = unexplained / cells.sizes * n_points / scale + floor
        off = pose.values[free] - mean
        # What the weights below are the slope of: the logarithm counts large misfits less.
        logs = (1 + LEAST_SPREAD) * float(np.sum(cells.sizes * is_seen * np.log(relative)) / n_points)
        prior = float(np.sum((off / spread) ** 2))
        if best.misfit < np.inf and logs - merit[0] + (prior - merit[1]) * excess / n_points > MISFIT_RISE:
            pose = replace(best, values=(best.values + pose.values) / 2)
            continue
        merit = logs, prior
        weight = is_seen * (1 + LEAST_SPREAD) * n_points / scale / relative
        design = cells.spread(gain)[:, None] * change
        weighted = design * cells.spread(weight)[:, None]
        information = design.T @ weighted
        pull = cells.sums(weighted * residual[:, None])
        # How much more the cells disagree than independent points would.
        excess = UNSHOWN * max(1.0, float(np.mean(np.sum(pull**2, axis=0) / np.diag(information))))
        covariance = np.linalg.inv(information / excess + np.diag(spread**-2))
        uncertainty = float(np.sqrt(np.diag(covariance)[shifts].max()))
        cost = n_points / cells.neighbours * np.log(misfit) + prior
        known, drawn = np.zeros((9, 9)), np.zeros(9)
        known[np.ix_(free, free)], drawn[free] = information / excess, off / spread**2
        best = replace(pose, misfit=misfit, uncertainty_mm=uncertainty, cost=float(cost), information=known, pull=drawn)
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
