"""How the volumes of a series lie relative to one another: motion and eddy currents, found by local correlation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Bools, DwiSeries, Floats, grid_rotation
from dtimuscle.imaging import motion_kernels as kernels
from dtimuscle.imaging.splines import Spline, slope, smoothing, volumes_first
from dtimuscle.imaging.unring import slice_axis
from dtimuscle.issues import Issue, Severity
from dtimuscle.threads import share_out


@dataclass(frozen=True)
class _Stage:
    """How closely images are compared.

    Parameters
    ----------
    smoothing_mm : float
        Standard deviation of the smoothing within slices.
    every : int
        Every how many voxels along each axis within the slice are compared.
    cell_mm : float
        Edge of a cell.
    small_step_mm : float
        Steps stop when one moves the image by less than this.
    """

    smoothing_mm: float
    every: int
    cell_mm: float
    small_step_mm: float


# Coarse to fine. More smoothing at the end would be faster, but a blurred outline lies elsewhere in an image of
# another contrast.
COARSE = _Stage(smoothing_mm=8.0, every=4, cell_mm=36.0, small_step_mm=0.2)
MIDDLE = _Stage(smoothing_mm=2.0, every=2, cell_mm=15.0, small_step_mm=0.1)
FULL = _Stage(smoothing_mm=0.0, every=1, cell_mm=15.0, small_step_mm=0.04)
STAGES = (COARSE, MIDDLE, FULL)

# Volumes that are each other's targets approach their places together, so that stages are needed more than once.
TIED_STAGES = (MIDDLE, FULL, FULL)

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
UNSHOWN = 8.0

# No cell is believed more than if this share of the mean misfit were left in it.
LEAST_SPREAD = 1.0

# What a fit leaves unexplained is alike over squares of this edge: mostly contrast, not noise.
ALIKE_MM = 10.0

# An image is believed to lie on its target when less than this share of its contrast stays unexplained.
MAX_MISFIT = 0.7

# Between contrasts a coarse stage must leave less than this share of the misfit that there is without it.
COARSE_MERIT = 0.7

# One phase-encoding axis is kept when its cost is lower by so many standard errors, which come from how much the
# volumes disagree on it.
CLEAR_LEAD = 2.0

# Which axis it is, volumes tell by stretch that they do not share; less than this (standard deviation) tells nothing.
TELLING_STRETCH = 0.002

# Two poses explain an image about the same when their costs differ by less than this (−2 log posterior).
ALIKE_COST = 10.0

# Fewer such squares within the mask (a small crop) cannot tell motion from differences of contrast.
MIN_SQUARES = 60

# A pose is believed when its shift within the slice is known better, and its extent is smaller, than this.
MAX_UNCERTAINTY_MM = 1.0
MAX_DISPLACEMENT_MM = 25.0
MAX_ROTATION_DEG = 20.0
MAX_STRETCH = 0.08

# With fewer slices, motion across them cannot be told from a change of contrast.
MIN_SLICES = 4

# A stage takes at most so many steps.
MAX_STEPS = 12

# What is left unexplained may rise by this share in a step: interpolation smooths noise more between slices than on
# them, which can hide that a step across them is right.
MISFIT_RISE = 0.01

# Rim around the mask that is compared as well: the outline carries most of what is known about position.
RIM_VOXELS = 2

# Volumes are cut to the mask and so much around it within the slice; what came from farther is not believed.
MARGIN_MM = MAX_DISPLACEMENT_MM


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Every so many voxels of each slice within the rim, in the order of their cells (small squares of one slice).

    `shape` is that of an image on the lattice, `sizes` its voxels in mm, `at` where the points stand in a flattened
    image, `points` their places in mm, shape (m, 3); `bounds` where each cell begins, and the end; `neighbours` how
    many points share one independent piece of contrast.
    """

    steps: NDArray[np.intp]
    shape: tuple[int, ...]
    sizes: Floats
    normal: int
    at: NDArray[np.intp]
    points: Floats
    bounds: NDArray[np.intp]
    neighbours: float

    @cached_property
    def n_points(self) -> NDArray[np.intp]:
        """Points in each cell."""
        return np.diff(self.bounds)

    @cached_property
    def arm(self) -> float:
        """Mean distance of the points from the centre, mm."""
        return float(np.linalg.norm(self.points, axis=1).mean())

    def sums(self, values: Floats) -> Floats:
        """Sum over each cell."""
        return np.add.reduceat(values, self.bounds[:-1])

    def centred(self, values: Floats) -> Floats:
        """Take the mean of each cell out."""
        return values - np.repeat(self.sums(values) / self.n_points.astype(np.float32), self.n_points)

    def image(self, values: Floats) -> Floats:
        """Put values of the points in their places; zero elsewhere."""
        image = np.zeros(self.shape, dtype=np.float32)
        image.reshape(-1)[self.at] = values
        return image

    def smooth(self, values: Floats, smoothing_mm: float) -> Floats:
        """Smooth values of the points within slices, with zero elsewhere."""
        return _smooth(self.image(values), smoothing_mm, self.sizes, self.normal).reshape(-1)[self.at]

    def slopes(self, image: Floats, *, is_noisy: bool) -> Floats:
        """Differentiate the cubic spline through an image at the points, per mm along each axis; shape (3, m)."""
        slopes = np.empty((3, len(self.at)), dtype=np.float32)
        for axis, (n, size) in enumerate(zip(self.shape, self.sizes, strict=True)):
            slopes[axis] = slope(n, is_noisy=is_noisy).along(image, axis).reshape(-1)[self.at] / np.float32(size)
        return slopes


def _smooth(image: Floats, smoothing_mm: float, sizes: Floats, normal: int) -> Floats:
    """Smooth within slices by a standard deviation in mm."""
    for axis, (n, size) in enumerate(zip(image.shape, sizes, strict=True)):
        if axis != normal:
            image = smoothing(n, float(smoothing_mm / size)).along(image, axis)
    return image


@dataclass(frozen=True, eq=False)
class _Grid:
    """Voxels of a series in mm along the voxel axes, counted from the centre of the mask.

    Within `rim`, the mask and a little around it, images are compared.
    """

    shape: tuple[int, int, int]
    affine: Floats
    sizes: Floats
    centre: Floats
    normal: int
    rim: Bools
    known_lattices: dict[tuple[int, float], _Lattice] = field(default_factory=dict)

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

    def lattice(self, stage: _Stage) -> _Lattice:
        """Lay out what a stage compares."""
        known = stage.every, stage.cell_mm
        if known not in self.known_lattices:
            steps = np.where(np.arange(3) == self.normal, 1, stage.every)
            rim = self.rim[tuple(slice(None, None, step) for step in steps)]
            index = np.argwhere(rim) * steps
            edge = np.maximum(1, np.round(stage.cell_mm / self.sizes)).astype(int)
            edge[self.normal] = 1
            cell = np.ravel_multi_index(tuple((index // edge).T), self.shape)
            order = np.argsort(cell, kind="stable")
            bounds = np.flatnonzero(np.diff(cell[order], prepend=-1, append=-1))
            points = np.ascontiguousarray((index[order] - self.centre) * self.sizes)
            sizes = self.sizes * steps
            neighbours = max(1.0, ALIKE_MM**2 / np.delete(sizes, self.normal).prod())
            self.known_lattices[known] = _Lattice(
                steps, rim.shape, sizes, self.normal, np.flatnonzero(rim)[order], points, bounds, neighbours
            )
        return self.known_lattices[known]

    def to_index(self, matrix: Floats) -> Floats:
        """Write a transform of places, shape (4, 4), as one from places to voxel indices."""
        scaled = matrix.copy()
        scaled[:3] /= self.sizes[:, None]
        scaled[:3, 3] += self.centre
        return scaled

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


@dataclass(frozen=True, eq=False)
class _Images:
    """Images on one grid, shape (n, nx, ny, nz), smoothed within slices as a stage needs them.

    `ready` keeps what was smoothed.
    """

    values: Floats
    grid: _Grid
    ready: dict[float, list[Spline]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.values)

    def splines(self, stage: _Stage) -> list[Spline]:
        """Smooth, and make ready for interpolation."""
        if stage.smoothing_mm not in self.ready:
            widths = np.where(np.arange(3) == self.grid.normal, 0, stage.smoothing_mm / self.grid.sizes)
            self.ready[stage.smoothing_mm] = share_out(partial(Spline.through, widths=widths), self.values)
        return self.ready[stage.smoothing_mm]

    def at(self, poses: Sequence[_Pose], lost: Bools, stage: _Stage) -> tuple[Floats, Bools]:
        """Tell the images at their poses on a stage's lattice, and where they were scanned; both of shape (n, m)."""
        splines, points = self.splines(stage), self.grid.lattice(stage).points
        values = np.empty((len(self), len(points)), dtype=np.float32)
        is_scanned = np.empty(values.shape, dtype=bool)

        def look(k: int) -> None:
            to_index = self.grid.to_index(poses[k].matrix)
            values[k], is_scanned[k] = splines[k].at(points, to_index, lost[k], self.grid.normal)

        share_out(look, range(len(self)))
        return values, is_scanned


def find_poses(series: DwiSeries, mask: Bools, *, lost: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
    """Find how each volume lies relative to the first b = 0.

    Parameters
    ----------
    series : DwiSeries
        Lost slices filled.
    mask : ndarray of bool, shape (nx, ny, nz)
        The patient, or one thigh, in the first b = 0 volume.
    lost : ndarray of bool, shape (n_slices, n)
        Slices that are not compared.

    Returns
    -------
    transforms : ndarray of shape (n, 4, 4)
        World coordinates in the first b = 0 to those in each volume.
    rotations : ndarray of shape (n, 3, 3)
        Of the patient alone, in world coordinates.
    issues : tuple of Issue
        What could not be found.
    """
    normal, lost = slice_axis(series.voxel_sizes), np.ascontiguousarray(lost.T)
    square = np.ones(np.where(np.arange(3) == normal, 1, 3), dtype=bool)
    rim = ndimage.binary_dilation(mask, square, iterations=RIM_VOXELS)
    centre = np.argwhere(mask).mean(axis=0)
    box = _box(rim, series.voxel_sizes, normal)
    corner = np.array([each.start for each in box])
    affine = series.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    images, rim = volumes_first(series.signal[box]), rim[box]
    grid = _Grid(rim.shape, affine, series.voxel_sizes, centre - corner, normal, rim)
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
        among = _Images(images[weighted], grid)
        poses, shared_sd, is_clear = _align_weighted(among, encoding, lost[weighted])
        found = dict(zip(weighted, poses, strict=True))
        if b0s.size:
            mean = _Images(_mean(among, poses, lost[weighted])[None], grid)
            axis, b0 = poses[0].phase_axis, b0s[0]
            common = _common(
                _Images(images[[b0]], grid), mean, lost[b0], phase_axis=axis, is_clear=is_clear, shared_sd=shared_sd
            )
    issues = _unseen(grid) + _doubts({"mean of the weighted volumes": common})
    common = common if _doubt(common) == "" else still
    rigid = grid.seen & (np.arange(9) < 6)
    first = _Images(images[b0s[:1]], grid)
    for volume in b0s[1:]:
        (found[volume],) = _align(_Images(images[[volume]], grid), [still], lost[[volume]], free=rigid, to=first)
    for volume, pose in found.items():
        believed = still if _doubt(pose) else pose
        anchor = still if volume in b0s else common
        matrices[volume] = believed.matrix @ np.linalg.inv(anchor.matrix)
        rotations[volume] = believed.rotation @ anchor.rotation.T
    issues += _doubts({f"volume {volume}": found[volume] for volume in sorted(found)})
    return np.array([grid.to_world(matrix) for matrix in matrices]), turn @ rotations @ turn.T, issues


def _box(rim: Bools, sizes: Floats, normal: int) -> tuple[slice, slice, slice]:
    """Cut to the rim and the margin around it, with all slices."""
    (tight,) = ndimage.find_objects(rim.astype(np.uint8))
    margin = np.ceil(MARGIN_MM / sizes).astype(int)
    x, y, z = (
        slice(0, n) if axis == normal else slice(max(0, each.start - width), min(n, each.stop + width))
        for axis, (each, n, width) in enumerate(zip(tight, rim.shape, margin, strict=True))
    )
    return x, y, z


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


def _align_weighted(images: _Images, encoding: _Encoding, lost: Bools) -> tuple[list[_Pose], Floats, bool]:
    """Align weighted volumes with one another and choose the phase-encoding axis.

    Returns the poses, how well the stretch is known that all of them share (two standard deviations), and whether
    they could tell the axis.
    """
    grid = images.grid
    still = [_Pose(np.zeros(9), grid.in_plane[-1])] * len(images)
    # Large motion first: with stretch as well, a coarse stage may settle for a stretched image elsewhere.
    rigid = grid.seen & (np.arange(9) < 6)
    start = _align(images, still, lost, free=rigid, stages=(COARSE,))
    against = _hold(images, start, lost, MIDDLE)
    tried = [
        against.improved([replace(pose, phase_axis=axis) for pose in start], free=grid.seen) for axis in grid.in_plane
    ]
    # Found once: what is expected draws poses together, and taken from them again and again it would shrink to nothing.
    sizes = [_motion_size(poses) for poses in tried]
    ties = [_Tie(poses, [_Usual.of_patients()] * len(images), np.full(3, USUAL_STRETCH)) for poses in tried]
    for n_left, stage in zip(range(len(TIED_STAGES))[::-1], TIED_STAGES, strict=True):
        for k, size in enumerate(sizes):
            tie = _tie(ties[k].poses, encoding, size)
            poses = _align(images, tie.poses, lost, free=grid.seen, stages=(stage,), usual=tie.usual, encoding=encoding)
            ties[k] = replace(tie, poses=poses)
        # Held against their mean, volumes may prefer the wrong axis; against a tensor they seldom do.
        if len(ties) > 1:
            ties, sizes = _preferred(ties, sizes, is_last=n_left == 0)
    (tie,) = ties
    stretch = np.array([pose.values[6:] for pose in tie.poses])[:, grid.in_plane]
    return tie.poses, tie.shared_sd, bool(stretch.std(axis=0).max() > TELLING_STRETCH)


def _preferred(ties: list["_Tie"], sizes: list[Floats], *, is_last: bool) -> tuple[list["_Tie"], list[Floats]]:
    """Keep one of two phase-encoding axes when the volumes agree that it explains them better, or finally."""
    lead = np.array([other.cost - one.cost for one, other in zip(ties[0].poses, ties[1].poses, strict=True)])
    if not is_last and abs(lead.sum()) < CLEAR_LEAD * np.sqrt(len(lead)) * np.std(lead):
        return ties, sizes
    best = int(lead.sum() < 0)
    return [ties[best]], [sizes[best]]


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
    b0: _Images,
    mean: _Images,
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
    grid, usual = b0.grid, _Usual.of_patients()
    # Within slices the outline tells stretch from rotation, and what volumes share need not go with the gradient.
    spread = usual.spread.copy()
    spread[6 + grid.normal] = shared_sd[grid.normal]
    usual = replace(usual, spread=spread)

    def aligned(axis: int, stages: Sequence[_Stage]) -> _Pose:
        start = _Pose(np.zeros(9), axis)
        (pose,) = _align(b0, [start], lost[None], free=grid.seen, to=mean, stages=stages, usual=[usual], is_noisy=False)
        return pose

    coarse_first = aligned(phase_axis, STAGES)
    tried = [aligned(axis, STAGES[1:]) for axis in ([phase_axis] if is_clear else grid.in_plane)]
    lowest = min(pose.cost for pose in tried)
    alike = [pose for pose in tried if pose.cost < lowest + ALIKE_COST]
    fine = min(alike, key=lambda pose: float(np.linalg.norm(pose.values[:3])))
    return coarse_first if coarse_first.misfit < COARSE_MERIT * fine.misfit else fine


def _align(
    images: _Images,
    poses: Sequence[_Pose],
    lost: Bools,
    *,
    free: Bools,
    to: _Images | None = None,
    stages: Sequence[_Stage] = STAGES,
    usual: Sequence[_Usual] | None = None,
    encoding: _Encoding | None = None,
    is_noisy: bool = True,
) -> list[_Pose]:
    """Align images with one image, or each with what the others say of it, from coarse to fine.

    With an encoding the others say it through a tensor, otherwise through their mean. A target is noisy unless it is
    the mean of all weighted volumes. Lost slices, of shape (n, n_slices), are not compared.
    """
    for stage in stages:
        against = _hold(images, poses, lost, stage, to=to, encoding=encoding)
        poses = against.improved(poses, free=free, usual=usual, is_noisy=is_noisy)
    return list(poses)


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Images at their poses, and what each of them should be, on the lattice of a stage.

    `values` and `is_scanned`, shape (n, m), tell the images and where they were scanned; `aim` makes the target of one
    of them, shape (m,), and `is_known`, shape (n_cells,), tells in which cells there is one.
    """

    images: _Images
    lost: Bools
    stage: _Stage
    values: Floats
    is_scanned: Bools
    aim: Callable[[int], Floats]
    is_known: Bools

    def improved(
        self,
        poses: Sequence[_Pose],
        *,
        free: Bools,
        usual: Sequence[_Usual] | None = None,
        is_noisy: bool = True,
    ) -> list[_Pose]:
        """Move each image onto its target, from poses at which it takes the values that are held here."""
        usual, grid = usual or [_Usual.of_patients()] * len(poses), self.images.grid
        splines = self.images.splines(self.stage)

        def improve(k: int) -> _Pose:
            target = _target(
                self.aim(k), self.is_known, grid.lattice(self.stage), poses[k].phase_axis, is_noisy=is_noisy
            )
            moving = _Moving(splines[k], grid, self.lost[k], target.lattice.points)
            first = self.values[k], self.is_scanned[k]
            return _improve(
                moving, target, poses[k], first, free=free, usual=usual[k], small_step_mm=self.stage.small_step_mm
            )

        return share_out(improve, range(len(poses)))


def _hold(
    images: _Images,
    poses: Sequence[_Pose],
    lost: Bools,
    stage: _Stage,
    *,
    to: _Images | None = None,
    encoding: _Encoding | None = None,
) -> _Comparison:
    """Hold images at their poses against one image, or each against what the others say of it."""
    grid, lattice = images.grid, images.grid.lattice(stage)
    values, is_scanned = images.at(poses, lost, stage)
    if to is None and len(images) == 1:
        to = images
    if to is not None:
        kept = tuple(slice(None, None, step) for step in lattice.steps)
        wanted = _smooth(to.values[0], stage.smoothing_mm, grid.sizes, grid.normal)[kept].reshape(-1)[lattice.at]
        is_known = np.ones(len(lattice.bounds) - 1, dtype=bool)
        return _Comparison(images, lost, stage, values, is_scanned, lambda _: wanted, is_known)
    aim = _aims(values, is_scanned, None if encoding is None else encoding.design(poses), lattice)
    is_known = np.logical_and.reduceat(_is_known(is_scanned), lattice.bounds[:-1])
    return _Comparison(images, lost, stage, values, is_scanned, aim, is_known)


def _mean(images: _Images, poses: Sequence[_Pose], lost: Bools) -> Floats:
    """Average images at their poses within the rim, each where it was scanned; zero elsewhere."""
    values, inside = images.at(poses, lost, FULL)
    count, total = inside.sum(axis=0, dtype=np.float32), np.einsum("nm,nm->m", values, inside)
    mean = np.where(count > 0, total / np.maximum(count, 1), values.mean(axis=0))
    return images.grid.lattice(FULL).image(mean)


def _is_known(inside: Bools) -> Bools:
    """Tell where enough images were scanned to say what one of them should be."""
    return inside.sum(axis=0, dtype=np.float32) - 1 >= max(1, LEAST_SEEN * (len(inside) - 1))


def _aims(values: Floats, inside: Bools, design: Floats | None, lattice: _Lattice) -> Callable[[int], Floats]:
    """Tell what the other images say of each, from their values on a lattice and where they were scanned.

    An image must not be part of its own target, or its noise would hold it where it is. The contrast between muscles
    changes with the gradient; a tensor, fitted to the others after smoothing, tells how.
    """
    count, total = inside.sum(axis=0, dtype=np.float32), np.einsum("nm,nm->m", values, inside)
    contrast = None if design is None else _contrasts(values, inside, design, lattice)

    def aim(k: int) -> Floats:
        others = (total - inside[k] * values[k]) / np.maximum(count - inside[k], 1)
        return others if contrast is None else others * contrast(k)

    return aim


def _contrasts(values: Floats, inside: Bools, design: Floats, lattice: _Lattice) -> Callable[[int], Floats] | None:
    """Ratio of each image, as a tensor fitted to the others predicts it, to the others' mean; shape (m,)."""
    inverse = np.linalg.pinv(design, rcond=1e-3)
    leverage = np.einsum("ni,in->n", design, inverse).astype(np.float32)
    if np.median(leverage) > MAX_LEVERAGE:
        return None
    smooth = np.array(share_out(partial(lattice.smooth, smoothing_mm=CONTRAST_MM), values))
    darkest = np.float32(1e-3 * smooth.mean())
    smooth = np.maximum(smooth, darkest)
    logs = np.log(smooth)
    fitted = (design @ inverse).astype(np.float32) @ logs
    count, total = inside.sum(axis=0, dtype=np.float32), np.einsum("nm,nm->m", smooth, inside)

    def contrast(k: int) -> Floats:
        if leverage[k] > MAX_LEVERAGE:
            return np.ones_like(total)
        others = (fitted[k] - leverage[k] * logs[k]) / (1 - leverage[k])
        mean = (total - inside[k] * smooth[k]) / np.maximum(count - inside[k], 1)
        ratio = others - np.log(np.maximum(mean, darkest))
        return np.exp(np.clip(ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO))

    return contrast


@dataclass(frozen=True, eq=False)
class _Target:
    """What an image is compared with: values on a lattice, and how they change with the pose.

    Values have their mean within each cell taken out, and `power` is the sum of their squares; `change`, shape (9, m),
    is what the cell does not adapt to. `is_known` tells in which cells there is a target.
    """

    lattice: _Lattice
    is_known: Bools
    values: Floats
    power: Floats
    change: Floats


def _target(aim: Floats, is_known: Bools, lattice: _Lattice, phase_axis: int, *, is_noisy: bool) -> _Target:
    values = lattice.centred(aim)
    power = lattice.sums(values**2).astype(float)
    power += 1e-6 * power.sum() / len(values) + np.finfo(float).tiny
    slopes = lattice.slopes(lattice.image(aim), is_noisy=is_noisy)
    change = kernels.changes(lattice.points, slopes, phase_axis, values, power, lattice.bounds)
    return _Target(lattice, is_known, values, power, change)


@dataclass(frozen=True, eq=False)
class _Moving:
    """One image that is looked at on a lattice from different poses."""

    spline: Spline
    grid: _Grid
    lost: Bools
    points: Floats

    def at(self, pose: _Pose) -> tuple[Floats, Bools]:
        """Tell its values and where they were scanned; shape (m,)."""
        return self.spline.at(self.points, self.grid.to_index(pose.matrix), self.lost, self.grid.normal)


def _improve(
    image: _Moving,
    target: _Target,
    start: _Pose,
    first: tuple[Floats, Bools],
    *,
    free: Bools,
    usual: _Usual,
    small_step_mm: float,
) -> _Pose:
    """Move an image onto the target by Gauss–Newton steps, as long as they help; `first` is the image at the start.

    Notes
    -----
    Within each cell the image W at the pose should be a M + b of the target M, with a and b of the cell: contrasts
    may differ in any way from cell to cell (a local correlation). A step δ solves W + a J δ = a M + b by least
    squares, J being how the target changes with the pose; it stands for the image's own, because averaging
    made it less noisy. A cell weighs less the more of it stays unexplained: there the contrast differs. What is
    usual enters as a prior, weighed by what the cells' disagreement says of the precision.
    """
    lattice = target.lattice
    spread, mean = usual.spread[free], usual.values[free]
    reach = np.repeat([lattice.arm, 1.0, lattice.arm], 3)[free]
    shifts = np.isin(np.flatnonzero(free), [3 + axis for axis in image.grid.in_plane])
    best, pose, floor, merit = replace(start, misfit=np.inf), start, 0.0, (np.inf, 0.0)
    excess, among = UNSHOWN, np.ix_(free, free)
    for n_steps in range(MAX_STEPS):
        sampled, is_scanned = image.at(pose) if n_steps else first
        is_seen, there, follows = kernels.compare(sampled, is_scanned, target.is_known, target.values, lattice.bounds)
        gain = follows / target.power
        unexplained = np.maximum(there - gain * follows, 0)
        # Relative to what there is to explain: otherwise moving the patient out of sight would be the best fit.
        scale = max(there.sum(), np.finfo(float).tiny)
        misfit = float(unexplained.sum() / scale)
        if not (0 < misfit < np.inf and is_seen.any()):
            break
        seen = lattice.n_points * is_seen
        n_points = seen.sum()
        floor = floor or LEAST_SPREAD * misfit
        relative = unexplained / lattice.n_points * n_points / scale + floor
        off = pose.values[free] - mean
        # What the weights below are the slope of: the logarithm counts large misfits less.
        logs = (1 + LEAST_SPREAD) * float(seen @ np.log(relative) / n_points)
        prior = float(np.sum((off / spread) ** 2))
        if best.misfit < np.inf and logs - merit[0] + (prior - merit[1]) * excess / n_points > MISFIT_RISE:
            pose = replace(best, values=(best.values + pose.values) / 2)
            continue
        merit = logs, prior
        weight = is_seen * (1 + LEAST_SPREAD) * n_points / scale / relative
        # What is left of the changes holds nothing of the mean and of the values, so that its products with the
        # residual are those with the image.
        all_information, all_pull, all_squares = kernels.normal_equations(
            sampled, target.change, gain.astype(np.float32), weight.astype(np.float32), lattice.bounds
        )
        information, pull, squares = all_information[among], all_pull[free], all_squares[free]
        # How much more the cells disagree than independent points would.
        alone = np.diag(information)
        # Where slices are lost nothing may be told of motion across them, and no cell disagrees on it.
        apart = np.divide(squares, alone, out=np.ones_like(squares), where=alone > 0)
        excess = UNSHOWN * max(1.0, float(apart.mean()))
        covariance = np.linalg.inv(information / excess + np.diag(spread**-2))
        uncertainty = float(np.sqrt(np.diag(covariance)[shifts].max()))
        cost = n_points / lattice.neighbours * np.log(misfit) + prior
        known, drawn = np.zeros((9, 9)), np.zeros(9)
        known[among], drawn[free] = information / excess, off / spread**2
        best = replace(pose, misfit=misfit, uncertainty_mm=uncertainty, cost=float(cost), information=known, pull=drawn)
        step = -covariance @ (pull / excess + off / spread**2)
        values = pose.values.copy()
        values[free] += step
        pose = replace(best, values=values)
        if np.abs(step * reach).max() < small_step_mm:
            return pose
    return best
