"""Whether the gradient directions belong to the image: flipped and swapped axes, seen from the fibres.

A flipped or swapped axis of the b-vectors leaves every eigenvalue as it is, so FA and MD look perfect while each
fibre points elsewhere. Three things about muscle show it:

- *continuity*: who walks along a fibre stays in the muscle and meets the same direction (Schilling 2019; MRtrix3's
  `dwgradcheck` asks the same by tractography);
- *course*: fibres of the thigh run near the long axis of the body, and each muscle leans its own way (`COURSES`);
- *symmetry*: the other thigh is the mirror image.

All three are squared cosines, so they add up to one score. Nothing is changed: what to do about the file is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Bools, Floats, TensorMaps, fsl_frame, require_one_grid, voxel_sizes
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels, Side

Ints = NDArray[np.integer]
Verdict = Literal["as given", "flipped", "undecidable"]
Frame = Literal["image", "scanner"]

# What muscle is mostly like, so that a brain is not taken for it: FA without unit, MD in mm²/s.
MUSCLE_FA = (0.1, 0.6)
MUSCLE_MD = (1.0e-3, 2.2e-3)
# Of the tissue that diffuses at all (suppressed fat hardly does), at least this part must be like it.
TISSUE_MD = 0.4e-3
MUSCLE_SHARE = 0.4

# Where there is muscle at all, this is muscle too: single muscles of patients are slow (Wang et al. print a mean of
# 1.02e-3 ± 0.34e-3 mm²/s), and noise widens both ranges. Free water, blood and noise lie beyond.
FIBRE_FA = (0.05, 0.7)
FIBRE_MD = (TISSUE_MD, 2.6e-3)
MIN_VOXELS = 300

# Noise turns the fibre of one voxel by 20° and more; the common axis of a cube of this edge is looked at instead.
CELL_MM = 10.0

# Fibres are followed from at most so many voxels, evenly picked.
MAX_VOXELS = 4_000

# How far along a fibre one walks, in largest edges of a voxel; back and forth are the same, seen from either end.
STEPS = (1.0, -2.0)

# Neighbouring voxels share noise and anatomy; cubes of this edge count as independent, and so many are needed.
BLOCK_MM = 20.0
MIN_BLOCKS = 30

# Another orientation is likely when its score leads by this many standard errors and by this much.
LEAD_SE = 2.5
LEAD = 0.005

# Orientations between which the expected course differs by less (mean difference of squared cosines) differ by the
# laying along the body alone.
SAME_COURSE = 1e-6

# Whatever is expected of fibres, an orientation is not believed in which they run on by so much less than as given.
# Orientations that differ only within slices come within half of this in simulated thighs.
BROKEN = 0.03

# The likely orientation must let fibres run along the body at least so well (mean squared cosine), as muscles do.
LONG_AXIS = 0.5

# Axes of scanner and image closer than this are taken for one.
OBLIQUE_DEG = 3.0

# The other thigh is averaged over cubes of this edge, since thighs are not mirrored to the voxel.
TWIN_MM = 15.0
# Muscle along right-left, counted in bins of this width, falls between two thighs below this part of either peak.
PROFILE_MM = 10.0
VALLEY = 0.6
# Each thigh has at least this part of the muscle.
SMALLER_THIGH = 0.25

# How far a voxel may lie from the middle of a muscle and still belong to it (Gaussian SD), in radii of the thigh.
PLACE_SD = 0.25


@dataclass(frozen=True)
class Course:
    """Where a muscle lies in the upper thigh and which way its fibres lean.

    Parameters
    ----------
    lateral, anterior : float
        How far the fibres go sideways for one part upwards.
    place : tuple of float
        Lateral and anterior distance of its middle from the centre of the thigh's muscles, in radii of their section.
    """

    lateral: float
    anterior: float
    place: tuple[float, float] | None = None


# Lines from insertion to origin in the model of Delp et al. 1990 (IEEE Trans Biomed Eng 37: 757-767; gait2392, standing
# upright; of the gluteus its lowest part). The vasti and the rectus lean in the frontal plane as Lieb & Perry 1968
# (J Bone Joint Surg 50-A: 1535-1548) found their fibres against the shaft of the femur, which itself leans by 7°.
# Places were read off axial sections of the upper half.
COURSES = {
    "rectus_femoris": Course(0.0, 0.02, (0.1, 0.8)),
    "vastus_lateralis": Course(0.37, -0.14, (0.75, 0.1)),
    "vastus_intermedius": Course(0.12, -0.02, (0.35, 0.4)),
    "vastus_medialis": Course(-0.17, -0.12, (-0.2, 0.3)),
    "sartorius": Course(0.20, 0.14, (-0.4, 0.8)),
    "adductor_longus": Course(-0.46, 0.18, (-0.6, 0.4)),
    "gracilis": Course(-0.05, 0.05, (-0.9, 0.05)),
    "pectineus": Course(-0.89, 0.56),
    "adductor_brevis": Course(-1.02, 0.12, (-0.4, 0.1)),
    "adductor_magnus": Course(-0.43, -0.10, (-0.4, -0.25)),
    "semimembranosus": Course(0.02, -0.02, (-0.4, -0.6)),
    "semitendinosus": Course(0.0, -0.02, (-0.1, -0.75)),
    "biceps_femoris": Course(-0.11, -0.05),
    "biceps_femoris_long_head": Course(-0.11, -0.05, (0.15, -0.65)),
    "biceps_femoris_short_head": Course(-0.03, 0.18),
    "gluteus_maximus": Course(-0.67, -0.45, (0.6, -0.6)),
    "tensor_fasciae_latae": Course(-0.10, 0.05, (0.7, 0.65)),
}

# Likely remedies are named up to this number; with more, nobody would know what to do, and there is no alarm.
MAX_NAMED = 2

# Orders and signs of the rows differ by 90° or more; what differs by less is one candidate in two frames.
SIMILAR_DEG = 45.0

# A thigh may be bent or spread so far from the long axis of the scanner (a cushion below the knee).
LARGEST_BEND_DEG = 25.0

UPWARDS = np.array([0.0, 0.0, 1.0])
MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Candidate:
    """One way in which the rows of the `.bvec` file could have been meant, and how the fibres would look then.

    Parameters
    ----------
    rows : tuple of int
        Which row of the file becomes the first, second and third, counted from 1.
    negated : tuple of bool
        Which of the rows in their new order change sign.
    frame : {"image", "scanner"}
        Whose axes the file speaks of: the image's, as FSL wants it, or the scanner's.
    turn : ndarray of shape (3, 3)
        What takes the directions as they were read (world coordinates) to those of this candidate.
    continuity, course, symmetry : float
        Mean squared cosines (0 to 1) along the fibre, with the expected course and with the other thigh; NaN where
        there was nothing to compare.
    score : float
        Their sum.
    lead : float
        Score minus that of the given directions.
    lead_se : float
        Standard error of the lead, from cubes of 20 mm.
    """

    rows: tuple[int, int, int]
    negated: tuple[bool, bool, bool]
    frame: Frame
    turn: Floats
    continuity: float
    course: float
    symmetry: float
    score: float
    lead: float
    lead_se: float

    @property
    def is_given(self) -> bool:
        """Whether this is how the file was read."""
        return self.frame == "image" and self.rows == (1, 2, 3) and not any(self.negated)

    @property
    def mending(self) -> str:
        """What to do with the three rows of the file."""
        words = []
        moved = [row for row, place in zip(self.rows, (1, 2, 3), strict=True) if row != place]
        if len(moved) == 2:
            words.append(f"swap rows {min(moved)} and {max(moved)}")
        elif moved:
            words.append(f"put the rows in the order {', '.join(map(str, self.rows))}")
        changed = [str(place) for place, is_negated in zip((1, 2, 3), self.negated, strict=True) if is_negated]
        if changed:
            words.append(f"negate row {' and '.join(changed)}")
        if self.frame == "scanner":
            words.append("turn the directions from the scanner's axes to the image's")
        return ", then ".join(words) or "leave the rows as they are"


@dataclass(frozen=True)
class OrientationCheck:
    """What the fibres say about the b-vectors.

    Parameters
    ----------
    verdict : {"as given", "flipped", "undecidable"}
        `as given` when every other orientation is clearly worse, `flipped` when another one is clearly better.
    likely : tuple of Candidate
        The best one, and those that cannot be told from it; empty when the fibres were not looked at.
    candidates : tuple of Candidate
        All of them, best first.
    n_voxels : int
        Voxels of muscle that were looked at.
    has_twin : bool
        Whether two thighs could be held against each other.
    issues : tuple of Issue
        A warning with the likely flip, or a note where nothing can be said.
    """

    verdict: Verdict
    likely: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    n_voxels: int
    has_twin: bool
    issues: tuple[Issue, ...]


def check_orientation(
    maps: TensorMaps, *, labels: MuscleLabels | None = None, is_thigh: bool = True
) -> OrientationCheck:
    """Look for flipped or swapped axes of the b-vectors in the fibres of muscle.

    Turning the gradients turns the tensors with them, so one fit serves all candidates: the 24 orders and signs of
    the three rows (a direction and its antipode are one), in the image's axes and, where these are oblique, in the
    scanner's. Leads and their standard errors are counted over cubes of 20 mm.

    Parameters
    ----------
    maps : TensorMaps
        Of any estimator; on raw data too.
    labels : MuscleLabels, optional
        Muscles on the same grid. Without them muscle is known by its FA and MD, and its name guessed from where in
        the thigh it lies.
    is_thigh : bool, default=True
        Whether the image shows thighs. If not, fibres are only expected near the long axis of the body.

    Returns
    -------
    OrientationCheck
        Verdict, every candidate, and issues.

    Raises
    ------
    GridMismatchError
        If the labels lie on another grid.

    References
    ----------
    .. [1] Schilling et al., Magnetic Resonance Imaging 58 (2019) 82–89.
    """
    if labels is not None:
        require_one_grid(
            labels.values.shape, labels.affine, maps.fa.shape, maps.affine, names="the labels and the tensor maps"
        )
    is_muscle, share = _muscle(maps, labels)
    if np.count_nonzero(is_muscle) < MIN_VOXELS or share < MUSCLE_SHARE:
        what = f"{share:.0%} of the tissue's voxels diffuse like muscle, and {np.count_nonzero(is_muscle)} show fibres"
        return _unseen(f"{what}; {MUSCLE_SHARE:.0%} and {MIN_VOXELS} are needed to see flipped axes.")
    fibres = _Fibres.of(maps, is_muscle, labels, is_thigh=is_thigh)
    if fibres.n_blocks < MIN_BLOCKS:
        size = f"{fibres.n_blocks} cubes of {BLOCK_MM:.0f} mm"
        return _unseen(f"muscle fills {size}; {MIN_BLOCKS} are needed to see flipped axes.")
    return _judge(list(_orientations(maps.affine)), fibres)


def _unseen(what: str) -> OrientationCheck:
    remedy = "Look at the fibre directions by eye."
    return OrientationCheck("undecidable", (), (), 0, False, (Issue(Severity.NOTE, "b-vectors", what, remedy),))


def _muscle(maps: TensorMaps, labels: MuscleLabels | None) -> tuple[Bools, float]:
    """Voxels whose fibres are looked at, and what part of the tissue diffuses like most muscle does."""
    where = maps.mask & np.isfinite(maps.md)
    if labels is not None:
        where &= np.isin(labels.values, list(labels.meaning))
    fa, md = np.where(where, maps.fa, 0), np.where(where, maps.md, 0)
    typical = _is_within(fa, MUSCLE_FA) & _is_within(md, MUSCLE_MD)
    share = int(np.count_nonzero(typical)) / max(int(np.count_nonzero(md > TISSUE_MD)), 1)
    return _is_within(fa, FIBRE_FA) & _is_within(md, FIBRE_MD), share


def _is_within(values: Floats, limits: tuple[float, float]) -> Bools:
    return (values > limits[0]) & (values < limits[1])


def _orientations(affine: Floats) -> Iterator[tuple[tuple[int, int, int], tuple[bool, bool, bool], Frame, Floats]]:
    """Every order and sign of the file's rows with what it does to directions in the world; the given one first."""
    frame = fsl_frame(affine)
    order = max(permutations(range(3)), key=lambda order: float(np.abs(frame[list(order), range(3)]).sum()))
    nearest = np.zeros((3, 3))
    nearest[list(order), range(3)] = np.sign(frame[list(order), range(3)])
    frames: list[tuple[Frame, Floats]] = [("image", frame)]
    if _angle(nearest, frame) > OBLIQUE_DEG:
        # Rows along the scanner's axes; the signed order that comes nearest to the image's stands for "unturned".
        frames.append(("scanner", nearest))
    for name, axes in frames:
        for order in permutations(range(3)):
            for changed in (None, 0, 1, 2):
                negated = [place == changed for place in range(3)]
                reordered = np.where(negated, -1.0, 1.0)[:, None] * np.eye(3)[list(order)]
                first, second, third = (place + 1 for place in order)
                yield (
                    (first, second, third),
                    (negated[0], negated[1], negated[2]),
                    name,
                    axes @ reordered @ frame.T,
                )


def _angle(one: Floats, other: Floats) -> float:
    """Angle in degrees between two orthogonal matrices that act on axes, whose sign has no meaning."""
    turn = one.T @ other
    return float(np.degrees(np.arccos(np.clip((np.sign(np.linalg.det(turn)) * np.trace(turn) - 1) / 2, -1, 1))))


@dataclass(frozen=True)
class _Fibres:
    """Fibres in cells of muscle, and what they are held against.

    Parameters
    ----------
    axes : ndarray of shape (c, 3)
        Common axis of the fibres of each cell, in world coordinates.
    n_voxels : ndarray of shape (c,)
        Voxels in each cell.
    expected : ndarray of shape (c, 3, 3)
        Mean dyad of the courses that a cell may have.
    twin : ndarray of shape (c, 3, 3)
        Mean dyad at the same place of the other thigh; NaN where there is none.
    limb : ndarray of int, shape (c,)
        Which of the limbs each cell belongs to, from 0.
    block : ndarray of int, shape (c,)
        The cube in which each cell lies.
    directions : ndarray of shape (m, 3)
        In single voxels from which fibres are followed, in world coordinates.
    index, cell : ndarray of int of shape (m, 3) and (m,)
        Which voxels these are, and in which cell each lies.
    dyads : ndarray of shape (nx, ny, nz, 6)
        Products xx, yy, zz, xy, xz, yz of the direction in all muscle, zero elsewhere.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """

    axes: Floats
    n_voxels: Floats
    expected: Floats
    twin: Floats
    limb: Ints
    block: Ints
    directions: Floats
    index: Ints
    cell: Ints
    dyads: Floats
    affine: Floats

    @classmethod
    def of(cls, maps: TensorMaps, is_muscle: Bools, labels: MuscleLabels | None, *, is_thigh: bool) -> "_Fibres":
        """Divide muscle into cells, and find out what is expected there."""
        direction = maps.direction[is_muscle]
        products = np.stack([direction[:, i] * direction[:, j] for i, j in _PAIRS], axis=-1)
        dyads = np.zeros((*is_muscle.shape, len(_PAIRS)))
        dyads[is_muscle] = products
        index = np.argwhere(is_muscle)
        points = index @ maps.affine[:3, :3].T + maps.affine[:3, 3]
        values = np.zeros(len(index), dtype=int) if labels is None else labels.values[is_muscle]
        sides = _sides(points, values, labels)
        own = points if sides is None else _own_frame(points, sides)
        # A cell lies within one thigh, and within one muscle where muscles are known.
        limbs = np.zeros(len(index)) if sides is None else sides
        keys = np.column_stack([np.floor(own / CELL_MM), limbs, values]).astype(int)
        cell = _numbered(keys)
        n_voxels = np.bincount(cell).astype(float)
        first = np.zeros(len(n_voxels), dtype=int)
        first[cell] = np.arange(len(cell))
        means = _means(products, cell)[:, _FULL].reshape(-1, 3, 3)
        places, side, code = _means(own, cell), None if sides is None else sides[first], values[first]
        expected = np.broadcast_to(np.outer(UPWARDS, UPWARDS), means.shape)
        twin = np.full(means.shape, np.nan)
        if side is not None:
            twin = _twins(places, means, n_voxels, side)
            if is_thigh:
                expected = _expected(places, n_voxels, side, code, labels)
        # Evenly over the cells rather than over the grid, so that every cell has its share.
        picked = np.argsort(cell, kind="stable")[np.linspace(0, len(cell) - 1, min(len(cell), MAX_VOXELS)).astype(int)]
        return cls(
            np.linalg.eigh(means)[1][:, :, 2],
            n_voxels,
            expected,
            twin,
            (limbs[first] > 0).astype(int),
            _numbered(np.floor(_means(points, cell) / BLOCK_MM).astype(int)),
            direction[picked],
            index[picked],
            cell[picked],
            dyads,
            maps.affine,
        )

    @property
    def n_blocks(self) -> int:
        """How many cubes there are."""
        return int(self.block.max()) + 1

    def compared(self, turns: Floats) -> Floats:
        """Squared cosines of each cell's fibres with continuation, course and twin after turns; shape (t, 3, c)."""
        laid = self._laid(self.axes, turns)
        continuation = [self._continuation(turn) for turn in turns]
        return np.stack([continuation, self._course(self.axes, laid), self._symmetry(laid)], axis=1)

    @cached_property
    def _typical(self) -> Floats:
        """Fibres that run exactly as expected, shape (c, 3)."""
        return np.linalg.eigh(self.expected)[1][:, :, 2]

    def predicted(self, turns: Floats) -> Floats:
        """Course's lead of the right orientation over ones turned from it, in fibres as expected; shape (t, c)."""
        right = _along(np.eye(3)[np.newaxis], self._typical, self.expected)
        return right - self._course(self._typical, self._laid(self._typical, turns))

    def _course(self, axes: Floats, laid: dict[int, Floats]) -> Floats:
        """Hold turned fibres, each limb laid along the body, against what is expected; shape (t, c)."""
        along = np.empty((len(next(iter(laid.values()))), len(axes)))
        for limb, turns in laid.items():
            here = self.limb == limb
            along[:, here] = _along(turns, axes[here], self.expected[here])
        return along

    def _laid(self, axes: Floats, turns: Floats) -> dict[int, Floats]:
        """Turn fibres, then lay each limb along the body, since a cushion or a grid askew is no flip.

        Each limb has one matrix for each turn, shape (t, 3, 3).
        """
        laid: dict[int, Floats] = {}
        for limb in np.unique(self.limb):
            here = self.limb == limb
            starts = _upwards(turns @ _mean_axis(axes[here], self.n_voxels[here]))
            laid[int(limb)] = _bend(starts, _mean_axis(self._typical[here], self.n_voxels[here])) @ turns
        return laid

    def _symmetry(self, laid: dict[int, Floats]) -> Floats:
        """Hold turned fibres against the mirrored ones of the other thigh, both laid along the body; shape (t, c)."""
        along = np.full((len(next(iter(laid.values()))), len(self.axes)), np.nan)
        if len(laid) == 1:
            return along
        for limb, own in laid.items():
            here = self.limb == limb
            # Laying the twin and looking at it in the mirror is the same as doing both to this fibre backwards.
            seen = laid[1 - limb].swapaxes(1, 2) @ MIRROR @ own
            along[:, here] = _along(seen, self.axes[here], self.twin[here])
        return along

    def _continuation(self, turn: Floats) -> Floats:
        """Walk along the turned fibres; where that leads out of the image, nothing is known."""
        turned = self.directions @ turn.T
        to_index = np.linalg.inv(self.affine[:3, :3])
        weights = np.stack(
            [self.directions[:, i] * self.directions[:, j] * (1 if i == j else 2) for i, j in _PAIRS], axis=-1
        )
        total, known = np.zeros(len(turned)), np.zeros(len(turned))
        for step in STEPS:
            there = self.index + step * voxel_sizes(self.affine).max() * (turned @ to_index.T)
            is_inside = np.all((there >= 0) & (there <= np.array(self.dyads.shape[:3]) - 1), axis=1)
            # Both ends turn alike, so the cosine between them is that of the fibres as given.
            total[is_inside] += _interpolate(self.dyads, there[is_inside], weights[is_inside])
            known += is_inside
        n_cells = len(self.axes)
        sums, counts = np.bincount(self.cell, total, n_cells), np.bincount(self.cell, known, n_cells)
        return np.divide(sums, counts, out=np.full(n_cells, np.nan), where=counts > 0)


_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
# Where each element of the whole 3 × 3 matrix stands among the pairs.
_FULL = [0, 3, 4, 3, 1, 5, 4, 5, 2]


def _numbered(keys: Ints) -> Ints:
    """Tell the number of each row among the different rows, from 0."""
    low = keys.min(axis=0)
    flat = np.ravel_multi_index(tuple((keys - low).T), tuple(np.ptp(keys, axis=0) + 1))
    return np.unique(flat, return_inverse=True)[1].ravel()


def _means(values: Floats, group: Ints) -> Floats:
    """Average the rows of each group."""
    sums = np.stack([np.bincount(group, weights=column) for column in values.T], axis=1)
    return sums / np.bincount(group)[:, None]


def _mean_axis(axes: Floats, weights: Floats) -> Floats:
    """Axis that a set of fibres has in common, pointing upwards."""
    return _upwards(np.linalg.eigh((axes * weights[:, None]).T @ axes)[1][:, 2])


def _upwards(axes: Floats) -> Floats:
    return np.where(axes[..., 2:] >= 0, axes, -axes)


def _bend(starts: Floats, end: Floats) -> Floats:
    """Rotate axes into another, or towards it as far as a limb may be bent; shape (t, 3, 3)."""
    normals = np.cross(starts, end)
    lengths = np.linalg.norm(normals, axis=1)
    angles = np.minimum(np.arctan2(lengths, starts @ end), np.radians(LARGEST_BEND_DEG))
    scales = np.divide(angles, lengths, out=np.zeros_like(angles), where=lengths > 0)
    return Rotation.from_rotvec(normals * scales[:, np.newaxis]).as_matrix()


def _along(turns: Floats, axes: Floats, dyads: Floats) -> Floats:
    """Hold axes of shape (c, 3) after some turns against dyads of shape (c, 3, 3); squared cosines of shape (t, c)."""
    turned = np.ascontiguousarray((turns @ axes.T).transpose(2, 1, 0))
    return np.sum(turned * (dyads @ turned), axis=1).T


def _interpolate(values: Floats, there: Floats, weights: Floats) -> Floats:
    """Interpolate linearly within a grid of shape (nx, ny, nz, c) at indices of shape (m, 3), and weigh; shape (m,)."""
    _, ny, nz, n = values.shape
    last = np.array(values.shape[:3]) - 1
    low = np.minimum(np.floor(there).astype(int), np.maximum(last - 1, 0))
    # The corner beyond the last voxel has no share; the last voxel stands in for it.
    index = np.stack([low, np.minimum(low + 1, last)]) * [ny * nz, nz, 1]
    share = np.stack([1 - (there - low), there - low])
    flat, total = values.reshape(-1, n), np.zeros(len(there))
    for i, j, k in np.ndindex(2, 2, 2):
        corner = flat.take(index[i, :, 0] + index[j, :, 1] + index[k, :, 2], axis=0)
        total += share[i, :, 0] * share[j, :, 1] * share[k, :, 2] * np.einsum("mi,mi->m", corner, weights)
    return total


def _sides(points: Floats, values: Ints, labels: MuscleLabels | None) -> NDArray[np.floating] | None:
    """Sign of each voxel's side (right +1, left −1); None when they cannot be told."""
    if labels is not None:
        sign = {Side.RIGHT: 1.0, Side.LEFT: -1.0}
        codes = {code: sign[side] for code, (_, side) in labels.meaning.items() if side in sign}
        sides = np.zeros(len(values))
        for code in np.unique(values):
            sides[values == code] = codes.get(int(code), 0.0)
        return sides if np.all(sides != 0) else None
    x = points[:, 0]
    counts, edges = np.histogram(x, bins=np.arange(x.min(), x.max() + 2 * PROFILE_MM, PROFILE_MM))
    third = len(counts) // 3
    if third < 1:
        return None
    middle = third + int(np.argmin(counts[third : len(counts) - third]))
    peaks = int(np.max(counts[:middle], initial=0)), int(np.max(counts[middle + 1 :], initial=0))
    is_valley = counts[middle] < VALLEY * min(peaks)
    sides = np.where(x > (edges[middle] + edges[middle + 1]) / 2, 1.0, -1.0)
    is_pair = min(np.mean(sides > 0), np.mean(sides < 0)) >= SMALLER_THIGH
    return sides if is_valley and is_pair else None


def _own_frame(points: Floats, sides: Floats) -> Floats:
    """Lateral, anterior and upward distance of each voxel from the centre of its thigh, mm."""
    own = points.copy()
    for side in np.unique(sides):
        own[sides == side] -= points[sides == side].mean(axis=0)
    own[:, 0] *= sides
    return own


def _expected(places: Floats, n_voxels: Floats, sides: Floats, codes: Ints, labels: MuscleLabels | None) -> Floats:
    """Mean dyad of the courses that each cell may have, by its label or by its place in the thigh."""
    dyads = np.empty((len(places), 3, 3))
    if labels is not None:
        for code in np.unique(codes):
            here = codes == code
            name = labels.meaning[int(code)][0]
            dyads[here] = _course_dyad(COURSES.get(name, Course(0.0, 0.0)), float(sides[here][0]))
        return dyads
    for side in (1.0, -1.0):
        here = sides == side
        # A disc's mean squared distance from its centre is half its squared radius.
        radius = np.sqrt(2 * np.average(np.sum(places[here, :2] ** 2, axis=1), weights=n_voxels[here]))
        placed = [(course, course.place) for course in COURSES.values() if course.place is not None]
        apart = places[here, None, :2] / radius - np.array([place for _, place in placed])
        squares = np.sum(apart**2, axis=2)
        shares = np.exp(-(squares - squares.min(axis=1, keepdims=True)) / (2 * PLACE_SD**2))
        shares /= shares.sum(axis=1, keepdims=True)
        dyads[here] = np.einsum("mk,kij->mij", shares, np.array([_course_dyad(course, side) for course, _ in placed]))
    return dyads


def _course_dyad(course: Course, side: float) -> Floats:
    fibre = np.array([side * course.lateral, course.anterior, 1.0])
    return np.outer(fibre, fibre) / (fibre @ fibre)


def _twins(places: Floats, dyads: Floats, n_voxels: Floats, sides: Floats) -> Floats:
    """Mean dyad in the cube of the other thigh that mirrors each cell's own."""
    cube = _numbered(np.floor(places / TWIN_MM).astype(int))
    n = int(cube.max()) + 1
    flat = dyads.reshape(-1, 9) * n_voxels[:, None]
    twins = np.full((len(places), 9), np.nan)
    for side in (1.0, -1.0):
        there, here = sides == -side, sides == side
        counts = np.bincount(cube[there], weights=n_voxels[there], minlength=n)
        sums = np.stack([np.bincount(cube[there], weights=column[there], minlength=n) for column in flat.T], axis=1)
        means = np.divide(sums, counts[:, None], out=np.full(sums.shape, np.nan), where=counts[:, None] > 0)
        twins[here] = means[cube[here]]
    return twins.reshape(-1, 3, 3)


def _judge(
    orientations: list[tuple[tuple[int, int, int], tuple[bool, bool, bool], Frame, Floats]], fibres: _Fibres
) -> OrientationCheck:
    turns = np.array([turn for *_, turn in orientations])
    compared = fibres.compared(turns)
    # What is not known under one orientation must not count for another.
    compared = np.where(np.all(np.isfinite(compared), axis=0), compared, np.nan)
    candidates = []
    predicted = fibres.predicted(turns[0] @ turns.swapaxes(1, 2))
    for (rows, negated, frame, turn), parts, expected in zip(orientations, compared, predicted, strict=True):
        means = _means_of_parts(parts, fibres.n_voxels)
        lead = _lead(fibres, parts, compared[0], expected)
        score = float(np.average(np.nansum(parts, axis=0), weights=fibres.n_voxels))
        candidates.append(Candidate(rows, negated, frame, turn, *means, score, lead.mean, lead.se))
    given = candidates[0]
    ranked = sorted(range(len(candidates)), key=lambda number: -candidates[number].score)
    first = ranked[0]
    # A limb may be bent by as much as a grid is oblique: only fibres that break off tell one frame from the other.
    plain = next(
        number
        for number in ranked
        if candidates[number].frame == "image" and _is_similar(candidates[number], candidates[first])
    )
    if not _runs_on_less(fibres, compared[plain], compared[first]):
        first = plain
    best = candidates[first]
    predicted = fibres.predicted(turns @ best.turn.T)
    rivals = [
        number
        for number in ranked
        if not _is_similar(candidates[number], best)
        and not _lead(fibres, compared[first], compared[number], predicted[number]).is_clear(LEAD)
    ]
    likely = tuple(candidates[number] for number in (first, *rivals))
    # A fibre that runs on less well than before speaks against any expectation of where it should go.
    is_contradicted = _runs_on_less(fibres, compared[first], compared[0])
    long_axis = float(np.average((fibres.axes @ best.turn.T @ UPWARDS) ** 2, weights=fibres.n_voxels))
    verdict: Verdict = "undecidable"
    if best.is_given and not rivals:
        verdict = "as given"
    elif given not in likely and len(likely) <= MAX_NAMED and not is_contradicted and long_axis >= LONG_AXIS:
        verdict = "flipped"
    return OrientationCheck(
        verdict,
        likely,
        tuple(candidates[number] for number in ranked),
        int(fibres.n_voxels.sum()),
        bool(np.isfinite(given.symmetry)),
        _issues(verdict, likely, given),
    )


def _means_of_parts(parts: Floats, weights: Floats) -> tuple[float, float, float]:
    """Average continuity, course and symmetry over what is known; NaN where nothing is."""
    means = [
        float(np.average(part[known], weights=weights[known])) if known.any() else np.nan
        for part, known in zip(parts, np.isfinite(parts), strict=True)
    ]
    return means[0], means[1], means[2]


@dataclass(frozen=True)
class _Lead:
    """By how much one orientation fits better than another.

    Parameters
    ----------
    mean, se : float
        Mean over voxels and its standard error from independent blocks.
    """

    mean: float
    se: float

    def is_clear(self, least: float) -> bool:
        """Whether it is large and sure enough."""
        return self.mean >= least and self.mean >= LEAD_SE * self.se


def _is_similar(one: Candidate, other: Candidate) -> bool:
    return _angle(one.turn, other.turn) < SIMILAR_DEG


def _lead(fibres: _Fibres, one: Floats, other: Floats, predicted: Floats) -> _Lead:
    """Hold two orientations against each other in all three parts.

    Muscles that run straight tell nothing about a sign and oblique ones much, so the course's lead differs from cell
    to cell by anatomy. This is no error: only what departs from a common multiple of the prediction is.
    """
    weights = fibres.n_voxels
    course = one[1] - other[1]
    other_parts = np.nansum((one - other)[[0, 2]], axis=0)
    mean_prediction = np.average(predicted, weights=weights)
    fitted = np.full(len(weights), np.average(course, weights=weights))
    if mean_prediction > SAME_COURSE:
        fitted = fitted * predicted / mean_prediction
    mean_of_others = np.average(other_parts, weights=weights)
    residual = weights * (course - fitted + other_parts - mean_of_others)
    se = _se_of_sum(residual, fibres.block) / weights.sum()
    return _Lead(float(np.average(course, weights=weights) + mean_of_others), se)


def _se_of_sum(residual: Floats, block: Ints) -> float:
    """Estimate the standard error of a sum from the residuals of independent blocks."""
    n = int(block.max()) + 1
    sums = np.bincount(block, weights=residual)
    return float(np.sqrt(np.sum(sums**2) * n / (n - 1))) if n > 1 else np.inf


def _runs_on_less(fibres: _Fibres, one: Floats, other: Floats) -> bool:
    """Whether fibres clearly break off under one orientation that run on under the other."""
    lead, known = other[0] - one[0], np.isfinite(other[0])
    if not known.any():
        return False
    mean = float(np.average(lead[known], weights=fibres.n_voxels[known]))
    residual = np.where(known, fibres.n_voxels * (lead - mean), 0.0)
    se = _se_of_sum(residual, fibres.block) / fibres.n_voxels[known].sum()
    return _Lead(mean, se).is_clear(BROKEN)


def _issues(verdict: Verdict, likely: tuple[Candidate, ...], given: Candidate) -> tuple[Issue, ...]:
    if verdict == "as given":
        return ()
    if verdict == "undecidable":
        others = [candidate.mending for candidate in likely if not candidate.is_given]
        what = "the fibres do not tell whether the axes are right; "
        many = f"{len(others)} other orientations are as likely."
        what += many if len(others) > MAX_NAMED else f"as likely as given: {' or '.join(others)}."
        return (Issue(Severity.NOTE, "b-vectors", what, "Look at the fibre directions by eye."),)
    best = likely[0]
    highest = 2 + int(np.isfinite(given.symmetry))
    sure = f"{best.lead / best.lead_se:.0f} standard errors" if best.lead_se > 0 else "everywhere alike"
    what = (
        "axes look flipped or swapped: otherwise the fibres of muscle would fit the body with a score of "
        f"{best.score:.2f} instead of {given.score:.2f} (at most {highest}; {sure}). FA and MD "
        "are not concerned, fibre directions are."
    )
    ways = " (or: ".join(candidate.mending for candidate in likely[:MAX_NAMED]) + (")" if len(likely) > 1 else "")
    remedy = f"In the .bvec file {ways}, and run again. The data were left as they are."
    return (Issue(Severity.WARNING, "b-vectors", what, remedy),)
