"""A phantom of both thighs in their upper half: what is where, and which way the fibres run.

Each muscle is one ellipse in the axial plane, or several that make up a crescent, and changes along the thigh. Where
muscles meet, the nearer one wins and a thin layer of fat stays between them, which makes compartments look as they
do in a scan. Positions and sizes were drawn by eye after anatomical sections, and held against a scan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dtimuscle.dwi import Floats
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, Side

Ints = NDArray[np.integer]

AIR, SUBCUTANEOUS_FAT, INTERMUSCULAR_FAT, CORTICAL_BONE, MARROW, VESSELS = range(6)
TISSUES = ("air", "subcutaneous_fat", "intermuscular_fat", "cortical_bone", "marrow", "vessels")

# Regions from here on are muscles: even for the left side, odd for the right.
FIRST_MUSCLE = 6

# Radius of the fascia in mm, over which all shapes are measured.
FASCIA_MM = 68.0

# Distance of each thigh's centre from the midline in mm.
CENTRE_MM = 96.0

# Layer of fat between muscles, and how far a muscle reaches beyond its ellipses, in radii of the fascia.
SEPTUM, REACH = 0.022, 0.11

# Femur and femoral vessels: centre (lateral, anterior) and radii, in radii of the fascia.
FEMUR, BONE_RADIUS, MARROW_RADIUS = (0.14, 0.16), 0.18, 0.10
VESSEL, VESSEL_RADIUS = (-0.31, 0.65), 0.075


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

    def at(self, height: float) -> Floats:
        """Return centre, half axes and rotation (degrees) at a height from 0 (distal) to 1 (proximal), shape (5,).

        Parameters
        ----------
        height : float
            From 0 (distal) to 1 (proximal).
        """
        distal = np.array(self.distal)
        return distal + height * (np.array(self.proximal) - distal)


@dataclass(frozen=True)
class Shape:
    """One muscle of a right thigh.

    Parameters
    ----------
    tilt : tuple of float
        Fibre direction as its lateral and anterior part for one part along the body.
    parts : tuple of Ellipse
        What the muscle is made up of.
    """

    tilt: tuple[float, float]
    parts: tuple[Ellipse, ...]


SHAPES = {
    "rectus_femoris": Shape(
        (0.05, -0.10),
        (Ellipse((0.06, 0.80, 0.27, 0.14, 0), (0.16, 0.80, 0.24, 0.15, -5)),),
    ),
    "vastus_lateralis": Shape(
        (0.30, -0.05),
        (
            Ellipse((0.77, 0.12, 0.15, 0.46, 8), (0.78, 0.10, 0.14, 0.40, 8)),
            Ellipse((0.52, 0.52, 0.18, 0.13, -42), (0.60, 0.44, 0.16, 0.11, -50)),
            Ellipse((0.52, -0.24, 0.24, 0.12, 30), (0.52, -0.20, 0.22, 0.10, 25)),
        ),
    ),
    "vastus_intermedius": Shape(
        (0.10, -0.18),
        (
            Ellipse((0.20, 0.49, 0.26, 0.11, -12), (0.20, 0.50, 0.22, 0.11, -12)),
            Ellipse((0.47, 0.22, 0.11, 0.28, 14), (0.48, 0.20, 0.10, 0.25, 14)),
        ),
    ),
    "vastus_medialis": Shape(
        (-0.32, -0.10),
        (Ellipse((-0.22, 0.32, 0.18, 0.26, 18), (-0.15, 0.30, 0.13, 0.22, 10)),),
    ),
    "sartorius": Shape(
        (0.40, 0.10),
        (Ellipse((-0.55, 0.70, 0.22, 0.075, 40), (-0.30, 0.86, 0.22, 0.075, 20)),),
    ),
    "adductor_longus": Shape(
        (-0.42, 0.20),
        (Ellipse((-0.58, 0.34, 0.19, 0.15, 10), (-0.58, 0.44, 0.25, 0.16, 15)),),
    ),
    "gracilis": Shape(
        (0.02, 0.12),
        (Ellipse((-0.89, 0.00, 0.08, 0.24, 0), (-0.90, 0.12, 0.075, 0.26, 4)),),
    ),
    "adductor_brevis": Shape(
        (-0.50, 0.15),
        (Ellipse((-0.38, 0.06, 0.19, 0.095, 5), (-0.44, 0.14, 0.28, 0.12, 8)),),
    ),
    "adductor_magnus": Shape(
        (-0.35, -0.10),
        (Ellipse((-0.40, -0.26, 0.38, 0.22, 8), (-0.40, -0.24, 0.40, 0.24, 8)),),
    ),
    "semimembranosus": Shape(
        (0.10, -0.05),
        (Ellipse((-0.44, -0.64, 0.18, 0.14, -30), (-0.36, -0.60, 0.15, 0.12, -25)),),
    ),
    "semitendinosus": Shape(
        (0.04, -0.08),
        (Ellipse((-0.12, -0.76, 0.17, 0.16, 0), (-0.14, -0.76, 0.16, 0.14, 0)),),
    ),
    "biceps_femoris_long_head": Shape(
        (-0.18, -0.05),
        (Ellipse((0.20, -0.66, 0.20, 0.22, 20), (0.10, -0.62, 0.16, 0.16, 10)),),
    ),
    "gluteus_maximus": Shape(
        (-0.60, -0.45),
        (Ellipse((0.60, -0.58, 0.20, 0.14, 42), (0.54, -0.62, 0.38, 0.22, 40)),),
    ),
    "tensor_fasciae_latae": Shape(
        (0.05, -0.05),
        (Ellipse((0.70, 0.62, 0.08, 0.20, 45), (0.66, 0.66, 0.11, 0.22, 45)),),
    ),
}
MUSCLES = tuple(SHAPES)


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
    """

    size: float
    fat: float
    turn: float
    shifts: Floats
    sizes: Floats

    def regions_at(self, lateral: Floats, anterior: Floats, heights: Floats) -> Ints:
        """Tell which tissue each point of a grid belongs to, in the frame of a right thigh.

        Parameters
        ----------
        lateral, anterior : ndarray of shape (nx,) and (ny,)
            Ascending distances from the axis of the thigh, mm.
        heights : ndarray of shape (nz,)
            0 (distal) to 1 (proximal).

        Returns
        -------
        ndarray of shape (nx, ny, nz)
            A tissue, or a muscle as on the left side.
        """
        scale = FASCIA_MM * self.size
        x, y = (lateral / scale).astype(np.float32), (anterior / scale).astype(np.float32)
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        u = np.float32(cosine) * x[:, None] + np.float32(sine) * y
        v = np.float32(cosine) * y - np.float32(sine) * x[:, None]
        regions = np.stack([self._muscles(x, y, height) for height in heights], axis=-1)
        for (u0, v0), radius, tissue in (
            (VESSEL, VESSEL_RADIUS, VESSELS),
            (FEMUR, BONE_RADIUS, CORTICAL_BONE),
            (FEMUR, MARROW_RADIUS, MARROW),
        ):
            regions[np.hypot(u - u0, v - v0) < radius] = tissue
        regions[_radius(u, v) > 1] = SUBCUTANEOUS_FAT
        # Fat is thicker on the inside and at the back.
        regions[_radius(u + 0.4 * self.fat, v + 0.25 * self.fat) > 1 + self.fat] = AIR
        return regions

    def _muscles(self, x: Floats, y: Floats, height: float) -> Ints:
        """One slice of muscles and the fat between them; `x` and `y` in radii of the fascia."""
        nearest = np.full((len(x), len(y)), np.inf, dtype=np.float32)
        second, winner = nearest.copy(), np.zeros(nearest.shape, dtype=np.uint8)
        for index, shape in enumerate(SHAPES.values()):
            distance = np.full_like(nearest, np.inf)
            boxes = [self._measure(distance, x, y, index, part.at(height)) for part in shape.parts]
            box = tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in (0, 1))
            here, best, runner_up = distance[box], nearest[box], second[box]
            wins = here < best
            second[box] = np.where(wins, best, np.minimum(runner_up, here))
            winner[box][wins] = index
            nearest[box] = np.minimum(best, here)
        is_muscle = (nearest < REACH) & (second > nearest + SEPTUM)
        return np.where(is_muscle, FIRST_MUSCLE + 2 * winner, np.uint8(INTERMUSCULAR_FAT))

    def _measure(self, distance: Floats, x: Floats, y: Floats, index: int, ellipse: Floats) -> tuple[slice, slice]:
        """Lower `distance` to that from one ellipse wherever this can matter, and tell where that is."""
        u0, v0, width, depth, degrees = ellipse
        u0, v0 = u0 + self.shifts[index, 0], v0 + self.shifts[index, 1]
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        x0, y0 = cosine * u0 - sine * v0, cosine * v0 + sine * u0
        cosine, sine = np.cos(self.turn + np.radians(degrees)), np.sin(self.turn + np.radians(degrees))
        typical = np.sqrt(width * depth)
        farthest = self.sizes[index] + (REACH + SEPTUM) / typical
        half_x = farthest * np.hypot(cosine * width, sine * depth)
        half_y = farthest * np.hypot(sine * width, cosine * depth)
        columns = slice(*np.searchsorted(x, [x0 - half_x, x0 + half_x]))
        rows = slice(*np.searchsorted(y, [y0 - half_y, y0 + half_y]))
        dx, dy = (x[columns] - np.float32(x0))[:, None], y[rows] - np.float32(y0)
        along = np.float32(cosine / width) * dx + np.float32(sine / width) * dy
        across = np.float32(cosine / depth) * dy - np.float32(sine / depth) * dx
        outside = (np.sqrt(along * along + across * across) - np.float32(self.sizes[index])) * np.float32(typical)
        distance[columns, rows] = np.minimum(distance[columns, rows], outside)
        return columns, rows


def draw_thighs(rng: Generator) -> dict[Side, Thigh]:
    """Draw a participant's build.

    Parameters
    ----------
    rng : Generator
        The participant's stream of random numbers.

    Returns
    -------
    dict of Side to Thigh
        Left and right. The spreads between and within participants are assumed, so that thighs look different but
        whole, and the two of a participant alike but not mirrored.
    """
    n = len(MUSCLES)
    size, fat, turn = rng.normal(1.0, 0.05), rng.normal(0.24, 0.06), rng.normal(0, 4)
    shifts, sizes = rng.normal(0, 0.02, (n, 2)), rng.normal(1.0, 0.05, n)
    return {
        side: Thigh(
            size=float(np.clip(size + rng.normal(0, 0.01), 0.88, 1.12)),
            fat=float(np.clip(fat + rng.normal(0, 0.01), 0.10, 0.34)),
            turn=float(np.radians(np.clip(turn + rng.normal(0, 3), -9, 9))),
            shifts=np.clip(shifts + rng.normal(0, 0.01, (n, 2)), -0.05, 0.05),
            sizes=np.clip(sizes + rng.normal(0, 0.02, n), 0.88, 1.12),
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
        Length of the part of the thigh that is drawn.
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
        heights = np.clip(z / self.height_mm + 0.5, 0, 1)
        middle = int(np.searchsorted(x, 0))
        left = self.thighs[Side.LEFT].regions_at(-x[:middle][::-1] - CENTRE_MM, y, heights)
        right = self.thighs[Side.RIGHT].regions_at(x[middle:] - CENTRE_MM, y, heights)
        right[right >= FIRST_MUSCLE] += 1
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


def build_thighs(height_mm: float, registry: MuscleRegistry, *, rng: Generator) -> Thighs:
    """Build one participant's thighs.

    Parameters
    ----------
    height_mm : float
        Length of the part of the thigh that will be scanned.
    registry : MuscleRegistry
        Codes of the muscles.
    rng : Generator
        The participant's stream of random numbers.

    Returns
    -------
    Thighs
        What is where at the reference pose.
    """
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
    return Thighs(draw_thighs(rng), height_mm, directions, meaning, codes)
