"""A phantom of both thighs in their upper half: what is where, and which way the fibres run.

Each muscle is one ellipse in the axial plane, or several that make up a crescent, and changes along the thigh, which
widens upwards. A muscle's belly tapers towards its ends and goes on as a tendon. Where muscles meet, the nearer one
wins and a thin layer of fat stays between them, which makes compartments look as they do in a scan. Positions, sizes
and ends were drawn by eye after anatomical sections, and held against a scan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dtimuscle.dwi import Floats
from dtimuscle.errors import SimulationError
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, Side

Ints = NDArray[np.integer]

AIR, SUBCUTANEOUS_FAT, INTERMUSCULAR_FAT, CORTICAL_BONE, MARROW, VESSELS, TENDON = range(7)
TISSUES = ("air", "subcutaneous_fat", "intermuscular_fat", "cortical_bone", "marrow", "vessels", "tendon")
FAT = (SUBCUTANEOUS_FAT, INTERMUSCULAR_FAT, MARROW)

# Regions from here on are muscles: even for the left side, odd for the right. 7 is no region.
FIRST_MUSCLE = 8

# Radius of the fascia in mm, over which all shapes are measured.
FASCIA_MM = 68.0

# The part of the thigh over which the drawing runs from its distal to its proximal end, and the longest that is drawn,
# mm; the scan's middle is the middle of both.
DRAWN_MM, LONGEST_MM = 100.0, 240.0

# How much wider the thigh gets with each mm upwards, as a share. A thigh that was measured widens from an equivalent
# radius of 75 to 90 mm over 108 mm.
WIDENING_PER_MM = 0.0017

# Length over which a belly tapers before it ends, and how the tendon goes on: length and radius, mm. It shows where the
# belly is narrower than this share of its width. All are assumed.
TAPER_MM, TENDON_MM, TENDON_RADIUS_MM, TENDON_SHOWS = 60.0, 60.0, 3.0, 0.5

# Distance of each thigh's centre from the midline in mm.
CENTRE_MM = 96.0

# Layer of fat between muscles, and how far a muscle reaches beyond its ellipses, in radii of the fascia.
SEPTUM, REACH = 0.022, 0.11

# Femur and femoral vessels: centre (lateral, anterior) and radii, in radii of the fascia.
FEMUR, BONE_RADIUS, MARROW_RADIUS = (0.14, 0.16), 0.18, 0.10
VESSEL, VESSEL_RADIUS = (-0.31, 0.65), 0.075

# So many slices are drawn at a time: few enough that the shapes hardly change and all stays in a core's cache.
SLICES_AT_ONCE = 8

# The vessels run backwards on their way down, in radii of the fascia per mm.
VESSEL_PATH = (0.0, 0.0025)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in the axial plane of a right thigh that changes along it; lengths in radii of the fascia.

    Parameters
    ----------
    distal, proximal : tuple of float
        Centre (lateral, anterior), half axes, and rotation in degrees, at the two ends of the phantom.
    """

    distal: tuple[float, float, float, float, float]
    proximal: tuple[float, float, float, float, float]

    def at(self, heights: Floats) -> Floats:
        """Return centre, half axes and rotation (degrees) at some heights, shape (5, nz).

        Parameters
        ----------
        heights : ndarray of shape (nz,)
            From 0 (distal) to 1 (proximal).
        """
        distal = np.array(self.distal)[:, np.newaxis]
        return distal + heights * (np.array(self.proximal)[:, np.newaxis] - distal)


@dataclass(frozen=True)
class Shape:
    """One muscle of a right thigh.

    Parameters
    ----------
    tilt : tuple of float
        Fibre direction as its lateral and anterior part for one part along the body.
    parts : tuple of Ellipse
        What the muscle is made up of.
    ends : tuple of float
        Where its belly ends distally and proximally, mm from the middle of the drawing; infinite where it goes on.
    """

    tilt: tuple[float, float]
    parts: tuple[Ellipse, ...]
    ends: tuple[float, float] = (-np.inf, np.inf)


SHAPES = {
    "rectus_femoris": Shape(
        (0.05, -0.10),
        (Ellipse((0.06, 0.80, 0.27, 0.14, 0), (0.16, 0.80, 0.24, 0.15, -5)),),
        (-np.inf, 90.0),
    ),
    "vastus_lateralis": Shape(
        (0.30, -0.05),
        (
            Ellipse((0.77, 0.12, 0.15, 0.46, 8), (0.78, 0.10, 0.14, 0.40, 8)),
            Ellipse((0.52, 0.52, 0.18, 0.13, -42), (0.60, 0.44, 0.16, 0.11, -50)),
            Ellipse((0.52, -0.24, 0.24, 0.12, 30), (0.52, -0.20, 0.22, 0.10, 25)),
        ),
        (-np.inf, 85.0),
    ),
    "vastus_intermedius": Shape(
        (0.10, -0.18),
        (
            Ellipse((0.20, 0.49, 0.26, 0.11, -12), (0.20, 0.50, 0.22, 0.11, -12)),
            Ellipse((0.47, 0.22, 0.11, 0.28, 14), (0.48, 0.20, 0.10, 0.25, 14)),
        ),
        (-np.inf, 80.0),
    ),
    "vastus_medialis": Shape(
        (-0.32, -0.10),
        (Ellipse((-0.22, 0.32, 0.18, 0.26, 18), (-0.15, 0.30, 0.13, 0.22, 10)),),
        (-np.inf, 55.0),
    ),
    "sartorius": Shape(
        (0.40, 0.10),
        (Ellipse((-0.55, 0.70, 0.22, 0.075, 40), (-0.30, 0.86, 0.22, 0.075, 20)),),
    ),
    "adductor_longus": Shape(
        (-0.42, 0.20),
        (Ellipse((-0.58, 0.34, 0.19, 0.15, 10), (-0.58, 0.44, 0.25, 0.16, 15)),),
        (-65.0, 85.0),
    ),
    "gracilis": Shape(
        (0.02, 0.12),
        (Ellipse((-0.89, 0.00, 0.08, 0.24, 0), (-0.90, 0.12, 0.075, 0.26, 4)),),
        (-np.inf, 95.0),
    ),
    "adductor_brevis": Shape(
        (-0.50, 0.15),
        (Ellipse((-0.38, 0.06, 0.19, 0.095, 5), (-0.44, 0.14, 0.28, 0.12, 8)),),
        (-38.0, 80.0),
    ),
    "adductor_magnus": Shape(
        (-0.35, -0.10),
        (Ellipse((-0.40, -0.26, 0.38, 0.22, 8), (-0.40, -0.24, 0.40, 0.24, 8)),),
        (-110.0, 95.0),
    ),
    "semimembranosus": Shape(
        (0.10, -0.05),
        (Ellipse((-0.44, -0.64, 0.18, 0.14, -30), (-0.36, -0.60, 0.15, 0.12, -25)),),
        (-np.inf, 60.0),
    ),
    "semitendinosus": Shape(
        (0.04, -0.08),
        (Ellipse((-0.12, -0.76, 0.17, 0.16, 0), (-0.14, -0.76, 0.16, 0.14, 0)),),
        (-95.0, np.inf),
    ),
    "biceps_femoris_long_head": Shape(
        (-0.18, -0.05),
        (Ellipse((0.20, -0.66, 0.20, 0.22, 20), (0.10, -0.62, 0.16, 0.16, 10)),),
        (-110.0, 85.0),
    ),
    "gluteus_maximus": Shape(
        (-0.60, -0.45),
        (Ellipse((0.60, -0.58, 0.20, 0.14, 42), (0.54, -0.62, 0.38, 0.22, 40)),),
        (-50.0, np.inf),
    ),
    "tensor_fasciae_latae": Shape(
        (0.05, -0.05),
        (Ellipse((0.70, 0.62, 0.08, 0.20, 45), (0.66, 0.66, 0.11, 0.22, 45)),),
        (-42.0, np.inf),
    ),
}
MUSCLES = tuple(SHAPES)


@dataclass(frozen=True)
class _Plane:
    """What all slices of a thigh share, in radii of the fascia in the middle of the drawing.

    Parameters
    ----------
    x, y : ndarray of shape (nx,) and (ny,)
        Lateral and anterior distance from the axis.
    u, v : ndarray of shape (nx, ny)
        The same in the frame of the turned thigh.
    from_axis, from_skin, from_bone : ndarray of shape (nx, ny)
        Distance from the axis, from the axis of the skin less the fat's thickness, and from the femur's axis.
    """

    x: Floats
    y: Floats
    u: Floats
    v: Floats
    from_axis: Floats
    from_skin: Floats
    from_bone: Floats


@dataclass(frozen=True)
class Thigh:
    """How one thigh of a participant differs from the drawing.

    Parameters
    ----------
    size : float
        Of the whole thigh.
    fat : float
        Thickness of the subcutaneous fat in radii of the fascia.
    turn : float
        About its axis, radians.
    shifts : ndarray of shape (muscles, 2)
        Of each muscle's centre, in radii of the fascia.
    sizes : ndarray of shape (muscles,)
        Of each muscle.
    climbs : ndarray of shape (muscles,)
        How much higher the ends of each muscle lie, mm.
    area_share : float, default=1.0
        Cross-section within the fascia over what it was before muscles wasted; the skin stays where it was.
    """

    size: float
    fat: float
    turn: float
    shifts: Floats
    sizes: Floats
    climbs: Floats
    area_share: float = 1.0

    def regions_at(self, lateral: Floats, anterior: Floats, z: Floats) -> Ints:
        """Tell which tissue each point of a grid belongs to, in the frame of a right thigh.

        Parameters
        ----------
        lateral, anterior : ndarray of shape (nx,) and (ny,)
            Ascending distances from the axis of the thigh, mm.
        z : ndarray of shape (nz,)
            Heights from the middle of the drawing, mm, upwards.

        Returns
        -------
        ndarray of shape (nx, ny, nz)
            A tissue, or a muscle as on the left side.
        """
        radius = FASCIA_MM * self.size
        x, y = (lateral / radius).astype(np.float32), (anterior / radius).astype(np.float32)
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        u = np.float32(cosine) * x[:, None] + np.float32(sine) * y
        v = np.float32(cosine) * y - np.float32(sine) * x[:, None]
        from_axis = _radius(u, v)
        # Fat is thicker on the inside and at the back.
        from_skin = _radius(u + 0.4 * self.fat, v + 0.25 * self.fat) - self.fat
        from_bone = np.hypot(u - FEMUR[0], v - FEMUR[1])
        plane = _Plane(x, y, u, v, from_axis, from_skin, from_bone)
        starts = range(0, len(z), SLICES_AT_ONCE)
        slices = [self._slices(plane, z[start : start + SLICES_AT_ONCE]) for start in starts]
        return np.concatenate(slices).transpose(1, 2, 0)

    def _slices(self, plane: "_Plane", z: Floats) -> Ints:
        """Draw some slices at heights in mm, shape (nz, nx, ny)."""
        wide = 1 + WIDENING_PER_MM * z
        fascia = (wide * np.sqrt(self.area_share)).astype(np.float32)
        regions = self._muscles(plane, fascia, z)
        du, dv = VESSEL_PATH
        u0, v0 = fascia * (VESSEL[0] + du * z), fascia * (VESSEL[1] + dv * z)
        is_vessel = np.hypot(plane.u - _to_slices(u0), plane.v - _to_slices(v0)) < VESSEL_RADIUS
        for region, where in (
            (VESSELS, is_vessel),
            (CORTICAL_BONE, plane.from_bone < BONE_RADIUS),
            (MARROW, plane.from_bone < MARROW_RADIUS),
            (SUBCUTANEOUS_FAT, plane.from_axis > _to_slices(fascia)),
            (AIR, plane.from_skin > wide[:, np.newaxis, np.newaxis]),
        ):
            np.copyto(regions, region, where=where)
        return regions

    def _muscles(self, plane: "_Plane", fascia: Floats, z: Floats) -> Ints:
        """Muscles in some slices, their tendons and the fat between them, drawn in radii of each slice's fascia."""
        heights = np.clip(z / DRAWN_MM + 0.5, 0, 1)
        nearest = np.full((len(z), len(plane.x), len(plane.y)), np.inf, dtype=np.float32)
        second, winner = nearest.copy(), np.zeros(nearest.shape, dtype=np.uint8)
        tendons = []
        for index, shape in enumerate(SHAPES.values()):
            ends = np.array(shape.ends) + self.climbs[index]
            belly = _belly(z, ends)
            is_tendon = (belly < TENDON_SHOWS) & (ends[0] - TENDON_MM < z) & (z < ends[1] + TENDON_MM)
            tendons.append((np.flatnonzero(is_tendon), self._centre(index, shape.parts[0].at(heights))))
            there = np.flatnonzero(belly)
            if not len(there):
                continue
            slab = slice(there[0], there[-1] + 1)
            outlines = [self._outline(index, part.at(heights[slab]), belly[slab]) for part in shape.parts]
            boxes = [outline.box(plane, fascia[slab]) for outline in outlines]
            box = tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in (0, 1))
            here, best, runner_up = np.full_like(nearest[slab, *box], np.inf), nearest[slab, *box], second[slab, *box]
            for outline, (columns, rows) in zip(outlines, boxes, strict=True):
                part = here[:, _within(columns, box[0]), _within(rows, box[1])]
                scale = fascia[slab, np.newaxis]
                np.minimum(part, outline.distance(plane.x[columns] / scale, plane.y[rows] / scale), out=part)
            np.copyto(winner[slab, *box], index, where=here < best)
            np.maximum(best, np.minimum(runner_up, here), out=runner_up)
            np.minimum(best, here, out=best)
        is_muscle = (nearest < REACH) & (second > nearest + SEPTUM)
        regions = np.where(is_muscle, FIRST_MUSCLE + 2 * winner, np.uint8(INTERMUSCULAR_FAT))
        for slices, (x0, y0) in tendons:
            for k in slices:
                _draw_tendon(regions[k], plane.x / fascia[k], plane.y / fascia[k], float(x0[k]), float(y0[k]))
        return regions

    def _centre(self, index: int, ellipse: Floats) -> tuple[Floats, Floats]:
        u0, v0 = ellipse[:2] + self.shifts[index][:, np.newaxis]
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        return cosine * u0 - sine * v0, cosine * v0 + sine * u0

    def _outline(self, index: int, ellipse: Floats, belly: Floats) -> "_Outline":
        _, _, width, depth, degrees = ellipse
        centre, angle = self._centre(index, ellipse), self.turn + np.radians(degrees)
        return _Outline(*centre, width, depth, np.cos(angle), np.sin(angle), belly * self.sizes[index], belly)


@dataclass(frozen=True)
class _Outline:
    """One ellipse of a muscle in some slices, in radii of each slice's fascia; every field of shape (nz,).

    Parameters
    ----------
    x0, y0 : ndarray
        Centre.
    width, depth : ndarray
        Half axes of the belly.
    cosine, sine : ndarray
        Of the turn of its axes.
    size, belly : ndarray
        What the half axes are multiplied by, and how much of this is the taper of the belly.
    """

    x0: Floats
    y0: Floats
    width: Floats
    depth: Floats
    cosine: Floats
    sine: Floats
    size: Floats
    belly: Floats

    @property
    def _typical(self) -> Floats:
        return np.sqrt(self.width * self.depth)

    @property
    def _lost(self) -> Floats:
        """Where the belly tapers, it reaches less far beyond its ellipse as well."""
        return REACH * (1 - self.belly)

    def box(self, plane: _Plane, fascia: Floats) -> tuple[slice, slice]:
        """Columns and rows beyond which the distance matters in none of the slices."""
        farthest = self.size + (REACH + SEPTUM - self._lost) / self._typical
        half_x = farthest * np.hypot(self.cosine * self.width, self.sine * self.depth)
        half_y = farthest * np.hypot(self.sine * self.width, self.cosine * self.depth)
        return (
            _covering(plane.x, fascia * (self.x0 - half_x), fascia * (self.x0 + half_x)),
            _covering(plane.y, fascia * (self.y0 - half_y), fascia * (self.y0 + half_y)),
        )

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Distance from the ellipse, about in radii of the fascia, below zero inside; shape (nz, nx, ny)."""
        dx, dy = (x[:, :, np.newaxis] - _to_slices(self.x0)), (y[:, np.newaxis] - _to_slices(self.y0))
        along = _to_slices(self.cosine / self.width) * dx + _to_slices(self.sine / self.width) * dy
        across = _to_slices(self.cosine / self.depth) * dy - _to_slices(self.sine / self.depth) * dx
        along *= along
        across *= across
        along += across
        np.sqrt(along, out=along)
        along -= _to_slices(self.size)
        along *= _to_slices(self._typical)
        along += _to_slices(self._lost)
        return along


def _to_slices(values: Floats) -> Floats:
    """One number for each slice, beside planes."""
    return values.astype(np.float32)[:, np.newaxis, np.newaxis]


def _covering(axis: Floats, lows: Floats, highs: Floats) -> slice:
    """Part of an ascending axis that covers all of some intervals, with a point to spare for rounding."""
    first, last = np.searchsorted(axis, [lows.min(), highs.max()])
    return slice(max(int(first) - 1, 0), int(last) + 1)


def _within(inner: slice, outer: slice) -> slice:
    return slice(inner.start - outer.start, inner.stop - outer.start)


def _draw_tendon(regions: Ints, x: Floats, y: Floats, x0: float, y0: float) -> None:
    radius = TENDON_RADIUS_MM / FASCIA_MM
    columns, rows = (
        _covering(axis, np.array([middle - radius]), np.array([middle + radius])) for axis, middle in ((x, x0), (y, y0))
    )
    is_tendon = np.hypot(x[columns, np.newaxis] - np.float32(x0), y[rows] - np.float32(y0)) < radius
    np.copyto(regions[columns, rows], TENDON, where=is_tendon)


def _belly(z: Floats, ends: Floats) -> Floats:
    """Width of a muscle at some heights over that of its belly: one, then a quarter of an ellipse down to its end."""
    inside = np.clip(np.array([z - ends[0], ends[1] - z]) / TAPER_MM, 0, 1)
    return np.prod(np.sqrt(inside * (2 - inside)), axis=0)


def draw_thighs(rng: Generator, *, area_share: float = 1.0) -> dict[Side, Thigh]:
    """Draw a participant's build.

    Parameters
    ----------
    rng : Generator
        The participant's stream of random numbers.
    area_share : float, default=1.0
        Cross-section of the muscles over that of healthy ones.

    Returns
    -------
    dict of Side to Thigh
        Left and right. The spreads between and within participants are assumed, so that thighs look different but
        whole, and the two of a participant alike but not mirrored.
    """
    n = len(MUSCLES)
    size, fat, turn = rng.normal(1.0, 0.05), rng.normal(0.24, 0.06), rng.normal(0, 4)
    shifts, sizes, climbs = rng.normal(0, 0.02, (n, 2)), rng.normal(1.0, 0.05, n), rng.normal(0, 4, n)
    return {
        side: Thigh(
            size=float(np.clip(size + rng.normal(0, 0.01), 0.88, 1.12)),
            fat=float(np.clip(fat + rng.normal(0, 0.01), 0.10, 0.34)),
            turn=float(np.radians(np.clip(turn + rng.normal(0, 3), -9, 9))),
            shifts=np.clip(shifts + rng.normal(0, 0.01, (n, 2)), -0.05, 0.05),
            sizes=np.clip(sizes + rng.normal(0, 0.02, n), 0.88, 1.12),
            climbs=np.clip(climbs, -8, 8),
            area_share=area_share,
        )
        for side in (Side.LEFT, Side.RIGHT)
    }


@dataclass(frozen=True)
class Thighs:
    """Both thighs of one participant.

    Parameters
    ----------
    thighs : dict of Side to Thigh
        The participant's build.
    height_mm : float
        Length of the part of the thigh that is scanned.
    directions : ndarray of shape (regions, 3)
        Fibre direction of each region in world coordinates (RAS); zero where there are no fibres.
    meaning : dict of int to (str, Side)
        Muscle and side of each region that is a muscle.
    codes : dict of int to int
        MuscleMap code of each region that is a muscle.
    """

    thighs: dict[Side, Thigh]
    height_mm: float
    directions: Floats
    meaning: dict[int, tuple[str, Side]]
    codes: dict[int, int]

    def regions_at(self, x: Floats, y: Floats, z: Floats) -> Ints:
        """Tell which region each point of a grid belongs to.

        Parameters
        ----------
        x, y, z : ndarray of shape (nx,), (ny,) and (nz,)
            Ascending world coordinates (RAS, mm) at the reference pose.

        Returns
        -------
        ndarray of uint8, shape (nx, ny, nz)
            A tissue (`AIR` to `VESSELS`), or a muscle's region.
        """
        middle = int(np.searchsorted(x, 0))
        left = self.thighs[Side.LEFT].regions_at(-x[:middle][::-1] - CENTRE_MM, y, z)
        right = self.thighs[Side.RIGHT].regions_at(x[middle:] - CENTRE_MM, y, z)
        right += right >= FIRST_MUSCLE
        return np.concatenate([left[::-1], right])

    def labels(self, regions: Ints, affine: Floats) -> MuscleLabels:
        """Name the muscles of a grid of regions by their MuscleMap codes.

        Parameters
        ----------
        regions : ndarray of shape (nx, ny, nz)
            As `regions_at` tells them.
        affine : ndarray of shape (4, 4)
            From voxel indices to world coordinates (RAS, mm).

        Returns
        -------
        MuscleLabels
            The muscles alone.
        """
        table = np.zeros(FIRST_MUSCLE + 2 * len(MUSCLES), dtype=np.int32)
        table[list(self.codes)] = list(self.codes.values())
        return MuscleLabels(table[regions], affine, {self.codes[region]: name for region, name in self.meaning.items()})


def _radius(u: Floats, v: Floats) -> Floats:
    """Distance from the axis of the thigh, whose outline is an oval leaning outwards at the front."""
    angle = np.arctan2(v, u)
    return np.hypot(u, v) / (1 + 0.035 * np.cos(2 * (angle - 0.9)) + 0.02 * np.cos(3 * (angle + 0.4)))


def build_thighs(height_mm: float, registry: MuscleRegistry, *, rng: Generator, area_share: float = 1.0) -> Thighs:
    """Build one participant's thighs.

    Parameters
    ----------
    height_mm : float
        Length of the part of the thigh that will be scanned.
    registry : MuscleRegistry
        Codes of the muscles.
    rng : Generator
        The participant's stream of random numbers.
    area_share : float, default=1.0
        Cross-section of the muscles over that of healthy ones.

    Returns
    -------
    Thighs
        What is where at the reference pose.

    Raises
    ------
    SimulationError
        If more of the thigh is to be scanned than is drawn.
    """
    if height_mm > LONGEST_MM:
        raise SimulationError(
            f"the protocol scans {height_mm:g} mm along the thigh; at most {LONGEST_MM:g} mm are drawn. "
            "Scan fewer or thinner slices."
        )
    directions = np.zeros((FIRST_MUSCLE + 2 * len(MUSCLES), 3))
    meaning, codes = {}, {}
    for index, (name, shape) in enumerate(SHAPES.items()):
        own = np.array(shape.tilt) + rng.normal(0, 0.03, 2)
        for side, sign, code in ((Side.LEFT, -1, registry[name].left), (Side.RIGHT, 1, registry[name].right)):
            region = FIRST_MUSCLE + 2 * index + (side is Side.RIGHT)
            lateral, anterior = own + rng.normal(0, 0.015, 2)
            fibre = np.array([sign * lateral, anterior, 1.0])
            directions[region] = fibre / np.linalg.norm(fibre)
            meaning[region], codes[region] = (name, side), code
    return Thighs(draw_thighs(rng, area_share=area_share), height_mm, directions, meaning, codes)
