"""Labels of one participant carried over to another: affine and diffeomorphic registration, and a vote."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Bools, Floats, require_one_grid, voxel_sizes
from dtimuscle.errors import ImageError, LabelError
from dtimuscle.imaging.motion import thighs_apart
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, Side

Ints = NDArray[np.integer]

# Voxels around the tissue that take part, within slices and beyond the outermost ones. Beyond them the outermost slice
# goes on, so that the registration has something to hold on to at its ends.
RIM_VOXELS, RIM_SLICES = 4, 2

# A voxel is longer across the slices by at least this, or there are no thick slices.
THICK = 1.2

# Signal is divided by this percentile of the tissue's and cut off at so many times it, since vessels outshine muscle.
# What is darker than a part of it counts as nothing: cross-correlation would take the faint edge between suppressed fat
# and air for as good a landmark as that of a muscle, although muscles waste and skin does not.
BRIGHT_PERCENTILE, BRIGHTEST, DARKEST = 95.0, 1.5, 0.25

# Affine registration, coarse to fine: share of the voxels that the mutual information is taken from, but of so many at
# least; steps, subsampling and smoothing (voxels).
SAMPLED, LEAST_SAMPLED = 0.1, 12_000
AFFINE_STEPS, AFFINE_FACTORS, AFFINE_SMOOTHING = (30, 20), (4, 2), (3.0, 1.0)
BINS = 32

# Turns about the long axis of the body that the affine registration starts from, degrees: a thigh is nearly round, so
# that a start some five degrees off finds another muscle in the place of each.
TURNS = (0.0, -8.0, 8.0, -16.0, 16.0)

# Diffeomorphic registration, coarse to fine: steps of each level, half the edge of the window of the cross-correlation
# and the smoothing of its gradient (voxels).
SYN_STEPS, WINDOW, SYN_SMOOTHING = (40, 20), 3, 2.0

# The window must fit into the coarsest level.
LEAST_VOXELS = 2 ** (len(SYN_STEPS) - 1) * (2 * WINDOW + 2)

# Correlation of the target with an atlas after affine registration below which they do not lie on one another. Once
# deformed, even noise correlates.
LEAST_CORRELATION = 0.5

# Ties go to whoever has more votes among the neighbours, weighted by a Gaussian of this SD (voxels).
NEIGHBOURS = 1.0

# Share of the votes below which a voxel belongs to nobody.
LEAST_SHARE = 0.5

# Mean agreement below which a muscle's label is doubtful.
LOW_AGREEMENT = 0.75


@dataclass(frozen=True)
class Anatomy:
    """What a participant is registered by.

    Parameters
    ----------
    signal : ndarray of shape (nx, ny, nz)
        Signal without weighting, any unit.
    mask : ndarray of bool, shape (nx, ny, nz)
        Tissue.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """

    signal: Floats
    mask: Bools
    affine: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size in voxels."""
        nx, ny, nz = self.signal.shape
        return nx, ny, nz


@dataclass(frozen=True)
class Atlas:
    """A labelled participant.

    Parameters
    ----------
    name : str
        Who it is.
    anatomy : Anatomy
        What it is registered by.
    labels : MuscleLabels
        Its muscles, on the same grid.
    """

    name: str
    anatomy: Anatomy
    labels: MuscleLabels


@dataclass(frozen=True)
class MuscleAgreement:
    """How much the atlases agree about one muscle and side.

    Parameters
    ----------
    muscle : str
        Canonical name.
    side : str
        `left` or `right`; `both` where the labels have no sides.
    n_voxels : int
        Voxels of the propagated label.
    agreement : float
        Mean over these voxels of the share of atlases that say so (0 to 1); NaN with one atlas.
    """

    muscle: str
    side: str
    n_voxels: int
    agreement: float


@dataclass(frozen=True)
class PropagatedLabels:
    """Labels that were carried over.

    Parameters
    ----------
    labels : MuscleLabels
        On the target's grid.
    agreement : ndarray of shape (nx, ny, nz)
        Share of the atlases that reach a voxel and vote for its label (0 to 1); 0 where no atlas reaches.
    atlases : tuple of str
        Whose labels took part.
    votes : ndarray of int, shape (n, nx, ny, nz)
        Label that each atlas gives each voxel, as `fuse_votes` takes them.
    muscles : tuple of MuscleAgreement
        One for each muscle and side.
    issues : tuple of Issue
        That the labels were propagated, atlases that did not fit, muscles about which they disagree.
    """

    labels: MuscleLabels
    agreement: Floats
    atlases: tuple[str, ...]
    votes: Ints
    muscles: tuple[MuscleAgreement, ...]
    issues: tuple[Issue, ...]

    @property
    def mean_agreement(self) -> float:
        """Mean agreement over the labelled voxels (0 to 1); NaN with one atlas."""
        there = [muscle for muscle in self.muscles if muscle.n_voxels]
        n_voxels = sum(muscle.n_voxels for muscle in there)
        total = sum(muscle.agreement * muscle.n_voxels for muscle in there)
        return total / n_voxels if n_voxels else float("nan")


def propagate_labels(
    target: Anatomy, atlases: Sequence[Atlas], registry: MuscleRegistry, *, name: str = "labels"
) -> PropagatedLabels:
    """Carry the labels of other participants over to one that has none.

    Each thigh of each atlas is registered to the same thigh of the target: mutual information finds an affine
    transform [1]_, then symmetric diffeomorphic registration with local cross-correlation [2]_ deforms it (both of
    DIPY), on a grid of cubes, since slices are thick and few. Images in which two thighs cannot be told apart are
    registered as a whole. Every voxel of the target looks up the label of its place in each atlas (nearest neighbour)
    and belongs to the muscle, or to none, that most atlases say [3]_. An atlas whose slices do not reach a voxel has no
    vote there. Ties go to the label with more votes among the neighbours, then to no muscle and to the registry's
    order; a voxel whose winner has less than half of the votes belongs to nobody.

    Parameters
    ----------
    target : Anatomy
        The participant without labels.
    atlases : sequence of Atlas
        Participants with labels; grids may differ.
    registry : MuscleRegistry
        Codes of the muscles.
    name : str, default="labels"
        Whose labels they become, for issues.

    Returns
    -------
    PropagatedLabels
        Labels, how far the atlases agree, and issues. The same input gives the same labels.

    Raises
    ------
    LabelError
        If there is no atlas, none has a known muscle, or none could be registered.
    ImageError
        If the target shows no tissue.
    GridMismatchError
        If an atlas' labels lie on another grid than its image.

    References
    ----------
    .. [1] Mattes et al., IEEE Trans Med Imaging 22 (2003) 120–128.
    .. [2] Avants et al., Med Image Anal 12 (2008) 26–41.
    .. [3] Heckemann et al., NeuroImage 33 (2006) 115–126.
    """
    if not atlases:
        raise LabelError(
            f"{name}: there is nobody to propagate labels from. Label at least one participant, or set "
            "propagate_labels to 0."
        )
    target_parts = _parts(target, name)
    codes = _codes(atlases, registry)
    if not codes:
        raise LabelError(f"{name}: no participant with labels has a known muscle, so there is nothing to propagate.")
    votes, used, issues = [], [], []
    for atlas in atlases:
        vote, fit = _vote(target, target_parts, atlas, codes)
        if fit < LEAST_CORRELATION:
            what = (
                f"the labels of {atlas.name} are not used: its image could not be laid on this one (correlation "
                f"{fit:.2f}, at least {LEAST_CORRELATION})."
            )
            issues.append(Issue(Severity.WARNING, name, what, "Do they show the same part of the body?"))
            continue
        votes.append(vote)
        used.append(atlas.name)
    if not votes:
        raise LabelError(
            f"{name}: no image of a participant with labels could be laid on this one. Do they show the same part of "
            "the body? Name others in label_atlases, or label this participant."
        )
    stacked = np.stack(votes)
    values, agreement = fuse_votes(stacked)
    labels = MuscleLabels(values, target.affine, {code: found for found, code in codes.items()})
    muscles = tuple(_agreements(labels, agreement, n_atlases=len(votes)))
    found = PropagatedLabels(labels, agreement, tuple(used), stacked, muscles, tuple(issues))
    return replace(found, issues=(_note(found, name), *issues, *_doubts(found, name)))


def fuse_votes(votes: Ints) -> tuple[NDArray[np.int32], Floats]:
    """Let atlases vote on the label of each voxel.

    The value with most votes wins. Ties go to the value with more votes among the neighbouring voxels, then to the
    lower value. A winner with less than half of the votes gives way to 0.

    Parameters
    ----------
    votes : ndarray of int, shape (n, nx, ny, nz)
        Label that each atlas gives each voxel; 0 for no muscle, −1 where an atlas has no vote.

    Returns
    -------
    labels : ndarray of int, shape (nx, ny, nz)
        The winners; 0 where nobody votes.
    agreement : ndarray of shape (nx, ny, nz)
        Share of the votes that each winner, or 0, has; 0 where nobody votes.
    """
    n_votes = np.count_nonzero(votes >= 0, axis=0)
    best = np.zeros(votes.shape[1:], dtype=np.float32)
    labels = np.zeros(votes.shape[1:], dtype=np.int32)
    for value in np.unique(votes[votes >= 0]):
        count = np.count_nonzero(votes == value, axis=0).astype(np.float32)
        # Neighbours decide between equal counts only: what they add is below one vote.
        near = ndimage.gaussian_filter(count, NEIGHBOURS) / (len(votes) + 1)
        score = np.where(count > 0, count + near, 0)
        wins = score > best
        labels[wins], best[wins] = value, score[wins]
    share = np.divide(np.count_nonzero(votes == labels, axis=0), n_votes, out=np.zeros(best.shape), where=n_votes > 0)
    is_nobodys = (labels > 0) & (share < LEAST_SHARE)
    labels[is_nobodys] = 0
    share[is_nobodys] = (np.count_nonzero(votes == 0, axis=0) / np.maximum(n_votes, 1))[is_nobodys]
    return labels, share


def dice(labels: Bools, others: Bools) -> float:
    """Return the overlap of two labels: twice what they share over the sum of both (Dice 1945).

    Parameters
    ----------
    labels, others : ndarray of bool
        Voxels of a muscle in each.

    Returns
    -------
    float
        0 to 1; NaN when both are empty.
    """
    total = np.count_nonzero(labels) + np.count_nonzero(others)
    return float(2 * np.count_nonzero(labels & others) / total) if total else float("nan")


# Registration


def _vote(target: Anatomy, target_parts: Ints, atlas: Atlas, codes: dict[tuple[str, Side], int]) -> tuple[Ints, float]:
    """Look up each voxel of the target in an atlas; −1 beyond it. The fit is the worst correlation of a thigh."""
    labels = atlas.labels
    require_one_grid(
        atlas.anatomy.shape,
        atlas.anatomy.affine,
        np.shape(labels.values),
        labels.affine,
        names=f"{atlas.name}: the image and the labels",
    )
    atlas_parts = _parts(atlas.anatomy, atlas.name)
    if target_parts.max() != atlas_parts.max():
        # One image shows two thighs and the other could not be told apart: both are taken as they are.
        target_parts, atlas_parts = np.zeros_like(target_parts), np.zeros_like(atlas_parts)
    table = np.zeros(max(int(labels.values.max()), max(labels.meaning, default=0)) + 1, dtype=np.int32)
    for value, found in labels.present.items():
        table[value] = codes[found]
    vote = np.full(target.shape, -1, dtype=np.int32)
    worst = 1.0
    for part in range(int(target_parts.max()) + 1):
        here = target_parts == part
        static = _Working.of(target, target.mask & here)
        moving = _Working.of(atlas.anatomy, atlas.anatomy.mask & (atlas_parts == part))
        moves = _register(static, moving)
        index = np.argwhere(here)
        places = moves.to_atlas(index @ target.affine[:3, :3].T + target.affine[:3, 3])
        to_index = np.linalg.inv(atlas.anatomy.affine)
        voxels = np.floor(places @ to_index[:3, :3].T + to_index[:3, 3] + 0.5).astype(np.intp)
        is_inside = np.all((voxels >= 0) & (voxels < np.array(atlas.anatomy.shape)), axis=1)
        looked_up = np.full(len(index), -1, dtype=np.int32)
        inside = tuple(voxels[is_inside].T)
        # Beyond the border between the thighs the other one's muscles begin.
        looked_up[is_inside] = np.where(atlas_parts[inside] == part, table[labels.values[inside]], 0)
        vote[here] = looked_up
        worst = min(worst, moves.correlation)
    # There are no muscles in the air, wherever a deformation ends there.
    vote[~target.mask & (vote > 0)] = 0
    return vote, worst


@dataclass(frozen=True)
class _Working:
    """Part of an image on a grid of cubes, with a rim, as it is registered.

    Parameters
    ----------
    values : ndarray of float32, shape (nx, ny, nz)
        Signal over that of bright tissue; 0 beyond the tissue.
    mask : ndarray of bool, shape (nx, ny, nz)
        Tissue.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """

    values: Floats
    mask: Bools
    affine: Floats

    @classmethod
    def of(cls, anatomy: Anatomy, mask: Bools) -> "_Working":
        sizes = voxel_sizes(anatomy.affine)
        edge = float(sizes.min())
        voxels = np.argwhere(mask)
        rim = np.where(sizes > THICK * edge, RIM_SLICES, RIM_VOXELS)
        low, high = voxels.min(axis=0) - rim - 0.5, voxels.max(axis=0) + rim + 0.5
        shape = np.ceil((high - low) * sizes / edge).astype(int)
        shape = np.maximum(shape, LEAST_VOXELS)
        centre = anatomy.affine[:3, :3] @ ((low + high) / 2) + anatomy.affine[:3, 3]
        affine = anatomy.affine @ np.diag([*(edge / sizes), 1.0])
        affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
        bright = float(np.percentile(np.nan_to_num(anatomy.signal[mask]), BRIGHT_PERCENTILE))
        relative = np.nan_to_num(anatomy.signal) / max(bright, 1e-12)
        scaled = np.where(mask, np.clip(relative - DARKEST, 0, BRIGHTEST), 0)
        grid = (int(shape[0]), int(shape[1]), int(shape[2]))
        values = _sample(scaled, np.linalg.inv(anatomy.affine) @ affine, grid)
        inside = _sample(mask.astype(np.float32), np.linalg.inv(anatomy.affine) @ affine, grid) > 0.5
        return cls(values, inside, affine)

    @property
    def bright(self) -> Floats:
        """Places of bright tissue, shape (m, 3), world coordinates (mm)."""
        return np.argwhere(self.values > 0) @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclass(frozen=True)
class _Moves:
    """How points of the target find their place in an atlas.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        World coordinates (mm) of the deformed target to those of the atlas.
    deformation : DiffeomorphicMap
        World coordinates of the target to deformed ones.
    correlation : float
        Of both images over the target's tissue, before the deformation.
    """

    affine: Floats
    deformation: Any
    correlation: float

    def to_atlas(self, points: Floats) -> Floats:
        """Move points of shape (m, 3)."""
        deformed = self.deformation.transform_points(points)
        return np.asarray(deformed @ self.affine[:3, :3].T + self.affine[:3, 3])


def _register(static: _Working, moving: _Working) -> _Moves:
    # DIPY takes half a second, and only those without labels need it.
    from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
    from dipy.align.metrics import CCMetric

    with _quiet():
        affine, moved = max((_align(static, moving, turn) for turn in TURNS), key=lambda found: _fit(static, found[1]))
        syn = SymmetricDiffeomorphicRegistration(
            CCMetric(3, radius=WINDOW, sigma_diff=SYN_SMOOTHING), level_iters=list(SYN_STEPS)
        )
        syn.verbosity = 0
        deformation = syn.optimize(
            static.values, moved, static_grid2world=static.affine, moving_grid2world=static.affine
        )
    return _Moves(affine, deformation, _fit(static, moved))


def _align(static: _Working, moving: _Working, turn: float) -> tuple[Floats, Floats]:
    """Find the affine transform from a turn (degrees) and the sizes of both on, and move the image by it."""
    from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
    from dipy.align.transforms import (  # type: ignore[import-not-found]  # compiled, without types
        AffineTransform3D,
        RigidTransform3D,
    )

    share = max(SAMPLED, LEAST_SAMPLED / static.values.size)
    registration = AffineRegistration(
        metric=MutualInformationMetric(nbins=BINS, sampling_proportion=share if share < 1 else None),
        level_iters=list(AFFINE_STEPS),
        factors=list(AFFINE_FACTORS),
        sigmas=list(AFFINE_SMOOTHING),
        verbosity=0,
    )
    here, there = static.bright, moving.bright
    # Muscles of a wasted thigh lie closer together; how far their cross-section reaches does not depend on the slices.
    wide = np.linalg.norm(there.std(axis=0)[:2]) / np.linalg.norm(here.std(axis=0)[:2])
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", turn, degrees=True).as_matrix() @ np.diag([wide, wide, 1.0])
    affine[:3, 3] = there.mean(axis=0) - affine[:3, :3] @ here.mean(axis=0)
    for transform in (RigidTransform3D(), AffineTransform3D()):
        affine = registration.optimize(
            static.values,
            moving.values,
            transform,
            None,
            static_grid2world=static.affine,
            moving_grid2world=moving.affine,
            starting_affine=affine,
        ).affine
    return affine, _sample(moving.values, np.linalg.inv(moving.affine) @ affine @ static.affine, static.values.shape)


def _fit(static: _Working, moved: Floats) -> float:
    """Correlation over the tissue; 0 where one of them does not vary."""
    values, others = static.values[static.mask], moved[static.mask]
    return float(np.corrcoef(values, others)[0, 1]) if values.std() and others.std() else 0.0


def _sample(image: Floats, matrix: Floats, shape: tuple[int, ...]) -> Floats:
    """Interpolate an image where a matrix takes the voxels of a grid; beyond it the outermost voxels go on."""
    index = matrix[:3, :3] @ np.indices(shape).reshape(3, -1) + matrix[:3, 3:]
    return ndimage.map_coordinates(image, index, order=1, mode="nearest").reshape(shape).astype(np.float32)


def _parts(anatomy: Anatomy, name: str) -> Ints:
    """Tell the thighs apart: 0 and 1 from lower to higher x, or 0 everywhere."""
    if not anatomy.mask.any() or not np.nan_to_num(anatomy.signal)[anatomy.mask].any():
        raise ImageError(f"{name}: shows no tissue that labels could be propagated to or from.")
    return thighs_apart(anatomy.mask, anatomy.affine)[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep DIPY from telling its progress."""
    logger = logging.getLogger("dipy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


# Words


def _codes(atlases: Sequence[Atlas], registry: MuscleRegistry) -> dict[tuple[str, Side], int]:
    """Give each muscle and side that an atlas has a value: its code, or a free one."""
    known = {found: code for code, found in registry.by_code().items()}
    codes: dict[tuple[str, Side], int] = {}
    free = max(known.values(), default=0)
    for found in dict.fromkeys(found for atlas in atlases for found in atlas.labels.present.values()):
        if found not in known:
            free += 1
        codes[found] = known.get(found, free)
    return codes


def _agreements(labels: MuscleLabels, agreement: Floats, *, n_atlases: int) -> Iterator[MuscleAgreement]:
    for value, (muscle, side) in labels.meaning.items():
        here = labels.values == value
        n_voxels = int(np.count_nonzero(here))
        share = float(agreement[here].mean()) if n_voxels and n_atlases > 1 else float("nan")
        yield MuscleAgreement(muscle, str(side), n_voxels, share)


def _note(found: PropagatedLabels, name: str) -> Issue:
    what = f"labels were propagated from {', '.join(found.atlases)}, not drawn on this scan"
    share = found.mean_agreement
    how = "one atlas cannot show how sure they are" if np.isnan(share) else f"mean agreement {share:.2f}"
    return Issue(Severity.NOTE, name, f"{what} ({how}).", "Look at the outlines on the maps before using the values.")


def _doubts(found: PropagatedLabels, name: str) -> tuple[Issue, ...]:
    issues = []
    empty = [muscle for muscle in found.muscles if not muscle.n_voxels]
    if empty:
        what = f"no voxel was found for {_listed(empty)}, which the labels of others have."
        issues.append(Issue(Severity.WARNING, name, what, "It may lie beyond the slices. Draw it if it does not."))
    low = [muscle for muscle in found.muscles if muscle.agreement < LOW_AGREEMENT]
    if low:
        shown = ", ".join(f"{_named(muscle)} ({muscle.agreement:.2f})" for muscle in low)
        what = f"the atlases disagree about {shown}; agreement of at least {LOW_AGREEMENT} is usual."
        issues.append(Issue(Severity.WARNING, name, what, "Check these outlines, or draw them."))
    return tuple(issues)


def _listed(muscles: Sequence[MuscleAgreement]) -> str:
    return ", ".join(map(_named, muscles))


def _named(muscle: MuscleAgreement) -> str:
    return muscle.muscle if muscle.side == Side.BOTH else f"{muscle.muscle} {muscle.side}"
