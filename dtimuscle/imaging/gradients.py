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

# What muscle is like, so that fat, vessels and brain are left out: FA without unit, MD in mm²/s.
MUSCLE_FA = (0.1, 0.6)
MUSCLE_MD = (1.0e-3, 2.2e-3)
# Of the tissue that diffuses at all (suppressed fat hardly does), at least this part must be muscle.
TISSUE_MD = 0.4e-3
MUSCLE_SHARE = 0.4

# Fibres are looked at in at most so many voxels, evenly picked; at least so many are needed.
MAX_VOXELS = 6_000
MIN_VOXELS = 300

# How far along a fibre one walks, in largest edges of a voxel; back and forth are the same, seen from either end.
STEPS = (1.0, -2.0)

# Neighbouring voxels share noise and anatomy; cubes of this edge count as independent, and so many are needed.
BLOCK_MM = 20.0
MIN_BLOCKS = 30

# Another orientation is likely when its score leads by this many standard errors and by this much.
LEAD_SE = 2.5
LEAD = 0.005

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

# Likely remedies are named up to this number.
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
        what = f"{np.count_nonzero(is_muscle)} voxels ({share:.0%} of the tissue) diffuse like muscle"
        return _unseen(f"{what}; {MIN_VOXELS} and {MUSCLE_SHARE:.0%} are needed to see flipped axes.")
    fibres = _Fibres.of(maps, is_muscle, labels, is_thigh=is_thigh)
    if fibres.n_blocks < MIN_BLOCKS:
        size = f"{fibres.n_blocks} cubes of {BLOCK_MM:.0f} mm"
        return _unseen(f"muscle fills {size}; {MIN_BLOCKS} are needed to see flipped axes.")
    return _judge(list(_orientations(maps.affine)), fibres)


def _unseen(what: str) -> OrientationCheck:
    remedy = "Look at the fibre directions by eye."
    return OrientationCheck("undecidable", (), (), 0, False, (Issue(Severity.NOTE, "b-vectors", what, remedy),))


def _muscle(maps: TensorMaps, labels: MuscleLabels | None) -> tuple[Bools, float]:
    """Voxels that diffuse like muscle, and what part of the tissue they are."""
    where = maps.mask & np.isfinite(maps.md)
    if labels is not None:
        where &= np.isin(labels.values, list(labels.meaning))
    fa, md = np.where(where, maps.fa, 0), np.where(where, maps.md, 0)
    is_muscle = (fa > MUSCLE_FA[0]) & (fa < MUSCLE_FA[1]) & (md > MUSCLE_MD[0]) & (md < MUSCLE_MD[1])
    n_muscle, n_tissue = int(np.count_nonzero(is_muscle)), int(np.count_nonzero(md > TISSUE_MD))
    return is_muscle, n_muscle / max(n_tissue, 1)


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
    """Fibres in some voxels of muscle, and what they are held against.

    Parameters
    ----------
    directions : ndarray of shape (m, 3)
        In world coordinates.
    index : ndarray of shape (m, 3)
        Their voxels.
    dyads : ndarray of shape (nx, ny, nz, 6)
        Products xx, yy, zz, xy, xz, yz of the direction in all muscle, zero elsewhere.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    expected : ndarray of shape (m, 3, 3)
        Mean dyad of the courses that a voxel may have.
    twin : ndarray of shape (m, 3, 3)
        Mean dyad at the same place of the other thigh; NaN where there is none.
    limb : ndarray of int, shape (m,)
        Which of the limbs each voxel belongs to, from 0.
    block : ndarray of int, shape (m,)
        The cube in which each voxel lies.
    """

    directions: Floats
    index: Ints
    dyads: Floats
    affine: Floats
    expected: Floats
    twin: Floats
    limb: Ints
    block: Ints

    @classmethod
    def of(cls, maps: TensorMaps, is_muscle: Bools, labels: MuscleLabels | None, *, is_thigh: bool) -> "_Fibres":
        """Pick voxels, and find out what is expected there."""
        direction = np.where(is_muscle[..., None], maps.direction, 0.0)
        dyads = np.stack([direction[..., i] * direction[..., j] for i, j in _PAIRS], axis=-1)
        index = np.argwhere(is_muscle)
        points = index @ maps.affine[:3, :3].T + maps.affine[:3, 3]
        everywhere = direction[is_muscle]
        sides = _sides(points, index, labels)
        expected = np.broadcast_to(np.outer(UPWARDS, UPWARDS), (len(index), 3, 3))
        if is_thigh and sides is not None:
            expected = _expected(points, index, sides, labels)
        twin = np.full((len(index), 3, 3), np.nan) if sides is None else _twins(points, everywhere, sides)
        picked = np.linspace(0, len(index) - 1, min(len(index), MAX_VOXELS)).astype(int)
        cubes = np.floor(points[picked] / BLOCK_MM).astype(int)
        block = np.unique(cubes, axis=0, return_inverse=True)[1].ravel()
        limb = np.zeros(len(picked), dtype=int) if sides is None else (sides[picked] > 0).astype(int)
        return cls(everywhere[picked], index[picked], dyads, maps.affine, expected[picked], twin[picked], limb, block)

    @property
    def n_blocks(self) -> int:
        """How many cubes there are."""
        return int(self.block.max()) + 1

    def compared(self, turn: Floats) -> Floats:
        """Squared cosines of each fibre with its continuation, course and twin after a turn; shape (3, m)."""
        turned = self.directions @ turn.T
        # Turning the twin and looking at it in the mirror is the same as doing both to this fibre, the other way round.
        seen = turned @ MIRROR @ turn
        return np.stack([self._continuation(turned), self._course(turned), _along(seen, self.twin)])

    def _course(self, turned: Floats) -> Floats:
        """Hold turned fibres against what is expected, after each limb has been laid along the body."""
        along = np.empty(len(turned))
        for limb in np.unique(self.limb):
            here = self.limb == limb
            laid = turned[here] @ _bend(_mean_axis(_dyads(turned[here])), _mean_axis(self.expected[here])).T
            along[here] = _along(laid, self.expected[here])
        return along

    def _continuation(self, turned: Floats) -> Floats:
        """Walk along each turned fibre; where that leads out of the image, nothing is known."""
        to_index = np.linalg.inv(self.affine[:3, :3])
        weights = np.stack(
            [self.directions[:, i] * self.directions[:, j] * (1 if i == j else 2) for i, j in _PAIRS], axis=-1
        )
        total, known = np.zeros(len(turned)), np.zeros(len(turned))
        for step in STEPS:
            there = self.index + step * voxel_sizes(self.affine).max() * (turned @ to_index.T)
            is_inside = np.all((there >= 0) & (there <= np.array(self.dyads.shape[:3]) - 1), axis=1)
            # Both ends turn alike, so the cosine between them is that of the fibres as given.
            found = _interpolate(self.dyads, there[is_inside])
            total[is_inside] += np.sum(found * weights[is_inside], axis=1)
            known += is_inside
        return np.divide(total, known, out=np.full(len(turned), np.nan), where=known > 0)


_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def _dyads(directions: Floats) -> Floats:
    return directions[:, :, None] * directions[:, None, :]


def _mean_axis(dyads: Floats) -> Floats:
    """Axis that a set of fibres has in common, pointing upwards."""
    axis = np.linalg.eigh(dyads.mean(axis=0))[1][:, 2]
    return axis if axis @ UPWARDS >= 0 else -axis


def _bend(start: Floats, end: Floats) -> Floats:
    """Rotate one axis into another, or towards it as far as a limb may be bent."""
    normal = np.cross(start, end)
    length = float(np.linalg.norm(normal))
    angle = min(np.arctan2(length, float(start @ end)), np.radians(LARGEST_BEND_DEG))
    return Rotation.from_rotvec(normal / length * angle if length else normal).as_matrix()


def _along(directions: Floats, dyads: Floats) -> Floats:
    return np.sum((dyads @ directions[:, :, None])[:, :, 0] * directions, axis=1)


def _interpolate(values: Floats, there: Floats) -> Floats:
    """Interpolate linearly within a grid of shape (nx, ny, nz, c) at indices of shape (m, 3)."""
    last = np.array(values.shape[:3]) - 1
    low = np.minimum(np.floor(there).astype(int), np.maximum(last - 1, 0))
    share = there - low
    flat, total = values.reshape(-1, values.shape[3]), np.zeros((len(there), values.shape[3]))
    shares = np.stack([1 - share, share])
    strides = np.array([values.shape[1] * values.shape[2], values.shape[2], 1])
    # The corner beyond the last voxel has no share; the last voxel stands in for it.
    index = np.stack([low, np.minimum(low + 1, last)]) * strides
    for i, j, k in np.ndindex(2, 2, 2):
        weight = shares[i, :, 0] * shares[j, :, 1] * shares[k, :, 2]
        total += weight[:, None] * flat[index[i, :, 0] + index[j, :, 1] + index[k, :, 2]]
    return total


def _sides(points: Floats, index: Ints, labels: MuscleLabels | None) -> NDArray[np.floating] | None:
    """Sign of each voxel's side (right +1, left −1); None when they cannot be told."""
    if labels is not None:
        sign = {Side.RIGHT: 1.0, Side.LEFT: -1.0}
        codes = {code: sign[side] for code, (_, side) in labels.meaning.items() if side in sign}
        values = labels.values[tuple(index.T)]
        sides = np.zeros(len(index))
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


def _expected(points: Floats, index: Ints, sides: Floats, labels: MuscleLabels | None) -> Floats:
    """Mean dyad of the courses that each voxel may have, by its label or by its place in the thigh."""
    dyads = np.empty((len(points), 3, 3))
    if labels is not None:
        values = labels.values[tuple(index.T)]
        for code in np.unique(values):
            name = labels.meaning[int(code)][0]
            here = values == code
            dyads[here] = _course_dyad(COURSES.get(name, Course(0.0, 0.0)), float(sides[here][0]))
        return dyads
    own = _own_frame(points, sides)
    for side in (1.0, -1.0):
        here = sides == side
        # A disc's mean squared distance from its centre is half its squared radius.
        radius = np.sqrt(2 * np.mean(np.sum(own[here, :2] ** 2, axis=1)))
        placed = [(course, course.place) for course in COURSES.values() if course.place is not None]
        apart = own[here, None, :2] / radius - np.array([place for _, place in placed])
        squares = np.sum(apart**2, axis=2)
        shares = np.exp(-(squares - squares.min(axis=1, keepdims=True)) / (2 * PLACE_SD**2))
        shares /= shares.sum(axis=1, keepdims=True)
        dyads[here] = np.einsum("mk,kij->mij", shares, np.array([_course_dyad(course, side) for course, _ in placed]))
    return dyads


def _course_dyad(course: Course, side: float) -> Floats:
    fibre = np.array([side * course.lateral, course.anterior, 1.0])
    return np.outer(fibre, fibre) / (fibre @ fibre)


def _twins(points: Floats, directions: Floats, sides: Floats) -> Floats:
    """Mean dyad in the cube of the other thigh that mirrors each voxel's own."""
    cubes = np.floor(_own_frame(points, sides) / TWIN_MM).astype(int)
    cubes -= cubes.min(axis=0)
    n = int(np.prod(cubes.max(axis=0) + 1))
    cube = np.ravel_multi_index(tuple(cubes.T), tuple(cubes.max(axis=0) + 1))
    dyads = _dyads(directions).reshape(-1, 9)
    twins = np.full((len(points), 9), np.nan)
    for side in (1.0, -1.0):
        there, here = sides == -side, sides == side
        counts = np.bincount(cube[there], minlength=n)
        sums = np.stack([np.bincount(cube[there], weights=column[there], minlength=n) for column in dyads.T], axis=1)
        means = np.divide(sums, counts[:, None], out=np.full(sums.shape, np.nan), where=counts[:, None] > 0)
        twins[here] = means[cube[here]]
    return twins.reshape(-1, 3, 3)


def _judge(
    orientations: list[tuple[tuple[int, int, int], tuple[bool, bool, bool], Frame, Floats]], fibres: _Fibres
) -> OrientationCheck:
    compared = np.array([fibres.compared(turn) for *_, turn in orientations])
    # What is not known under one orientation must not count for another.
    compared = np.where(np.all(np.isfinite(compared), axis=0), compared, np.nan)
    has_part = np.isfinite(compared[0]).any(axis=1)
    scores = np.nansum(compared, axis=1)
    candidates = []
    for (rows, negated, frame, turn), parts, score in zip(orientations, compared, scores, strict=True):
        along, course, twin = (
            float(np.nanmean(part)) if known else np.nan for part, known in zip(parts, has_part, strict=True)
        )
        lead, lead_se = _mean_over_blocks(score - scores[0], fibres.block)
        mean = float(score.mean())
        candidates.append(Candidate(rows, negated, frame, turn, along, course, twin, mean, lead, lead_se))
    given = candidates[0]
    ranked = sorted(range(len(candidates)), key=lambda number: -candidates[number].score)
    first = ranked[0]
    # A limb may be bent by as much as a grid is oblique: only fibres that break off tell one frame from the other.
    plain = next(
        number
        for number in ranked
        if candidates[number].frame == "image" and _is_similar(candidates[number], candidates[first])
    )
    if not _is_clear(compared[first, 0] - compared[plain, 0], fibres.block, least=BROKEN):
        first = plain
    rivals = [
        number
        for number in ranked
        if not _is_similar(candidates[number], candidates[first])
        and not _is_clear(scores[first] - scores[number], fibres.block)
    ]
    best, likely = candidates[first], tuple(candidates[number] for number in (first, *rivals))
    # A fibre that runs on less well than before speaks against any expectation of where it should go.
    is_contradicted = _is_clear(compared[0, 0] - compared[first, 0], fibres.block, least=BROKEN)
    long_axis = float(np.mean((fibres.directions @ best.turn.T @ UPWARDS) ** 2))
    verdict: Verdict = "undecidable"
    if best.is_given and not rivals:
        verdict = "as given"
    elif given not in likely and not is_contradicted and long_axis >= LONG_AXIS:
        verdict = "flipped"
    issues = _issues(verdict, likely, given)
    has_twin = bool(has_part[2])
    return OrientationCheck(
        verdict, likely, tuple(candidates[number] for number in ranked), len(fibres.directions), has_twin, issues
    )


def _is_similar(one: Candidate, other: Candidate) -> bool:
    return _angle(one.turn, other.turn) < SIMILAR_DEG


def _mean_over_blocks(values: Floats, block: Ints) -> tuple[float, float]:
    """Mean of the known values and its standard error, as of a ratio of sums over independent blocks."""
    is_known = np.isfinite(values)
    if not is_known.any():
        return 0.0, np.inf
    counts = np.bincount(block[is_known])
    sums = np.bincount(block[is_known], weights=values[is_known])
    n = np.count_nonzero(counts)
    mean = sums.sum() / counts.sum()
    variance = np.sum((sums - counts * mean) ** 2) * n / max(n - 1, 1)
    return float(mean), float(np.sqrt(variance) / counts.sum()) if n > 1 else np.inf


def _is_clear(lead: Floats, block: Ints, *, least: float = LEAD) -> bool:
    mean, se = _mean_over_blocks(lead, block)
    return mean >= least and mean >= LEAD_SE * se


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
