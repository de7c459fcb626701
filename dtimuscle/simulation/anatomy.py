"""A phantom of both thighs in their upper half: what is where, and which way the fibres run.

Each muscle is an ellipse in the axial plane that changes along the thigh; where ellipses meet, the nearer one wins
and a thin layer of fat stays between them, which makes compartments look as they do in a scan. Positions and sizes
were drawn by eye after anatomical sections, and held against a scan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dtimuscle.dwi import Floats
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, Side

Ints = NDArray[np.integer]

AIR, SUBCUTANEOUS_FAT, INTERMUSCULAR_FAT, CORTICAL_BONE, MARROW = range(5)
TISSUES = ("air", "subcutaneous_fat", "intermuscular_fat", "cortical_bone", "marrow")

# Regions from here on are muscles: even for the left side, odd for the right.
FIRST_MUSCLE = 5

# Radius of the fascia in mm, over which all shapes are measured.
FASCIA_MM = 68.0

# Distance of each thigh's centre from the midline in mm.
CENTRE_MM = 90.0

# Layer of fat between muscles, and how far a muscle reaches beyond its ellipse, in radii of the fascia.
SEPTUM, REACH = 0.022, 0.17


@dataclass(frozen=True)
class Shape:
    """One muscle of a right thigh; lengths in radii of the fascia.

    Parameters
    ----------
    distal, proximal : tuple of float
        Centre (lateral, anterior), half axes, and rotation in degrees, at the two ends of the phantom.
    tilt : tuple of float
        Fibre direction as its lateral and anterior part for one part along the body.
    """

    distal: tuple[float, float, float, float, float]
    proximal: tuple[float, float, float, float, float]
    tilt: tuple[float, float]


SHAPES = {
    "rectus_femoris": Shape((0.10, 0.70, 0.30, 0.19, 0), (0.20, 0.72, 0.27, 0.20, 0), (0.05, -0.10)),
    "vastus_lateralis": Shape((0.66, 0.18, 0.26, 0.52, 10), (0.66, 0.12, 0.22, 0.42, 10), (0.30, -0.05)),
    "vastus_intermedius": Shape((0.28, 0.34, 0.30, 0.20, -20), (0.30, 0.34, 0.24, 0.18, -20), (0.10, -0.18)),
    "vastus_medialis": Shape((-0.22, 0.36, 0.22, 0.30, 20), (-0.10, 0.36, 0.14, 0.20, 20), (-0.32, -0.10)),
    "sartorius": Shape((-0.50, 0.66, 0.20, 0.11, 35), (-0.18, 0.84, 0.20, 0.10, 20), (0.40, 0.10)),
    "adductor_longus": Shape((-0.52, 0.30, 0.20, 0.17, 0), (-0.55, 0.45, 0.26, 0.20, 0), (-0.42, 0.20)),
    "gracilis": Shape((-0.88, -0.02, 0.10, 0.24, 0), (-0.90, 0.16, 0.09, 0.26, 0), (0.02, 0.12)),
    "adductor_brevis": Shape((-0.34, 0.04, 0.12, 0.10, 0), (-0.45, 0.14, 0.28, 0.14, 0), (-0.50, 0.15)),
    "adductor_magnus": Shape((-0.42, -0.26, 0.38, 0.24, 10), (-0.42, -0.24, 0.40, 0.26, 10), (-0.35, -0.10)),
    "semimembranosus": Shape((-0.42, -0.64, 0.20, 0.17, 0), (-0.30, -0.56, 0.13, 0.13, 0), (0.10, -0.05)),
    "semitendinosus": Shape((-0.12, -0.74, 0.19, 0.16, 0), (-0.16, -0.74, 0.16, 0.14, 0), (0.04, -0.08)),
    "biceps_femoris_long_head": Shape((0.26, -0.66, 0.24, 0.22, 0), (0.08, -0.66, 0.16, 0.16, 0), (-0.18, -0.05)),
    "gluteus_maximus": Shape((0.62, -0.52, 0.14, 0.18, 0), (0.50, -0.66, 0.42, 0.30, 30), (-0.60, -0.45)),
    "tensor_fasciae_latae": Shape((0.66, 0.60, 0.12, 0.15, 20), (0.62, 0.60, 0.16, 0.22, 20), (0.05, -0.05)),
}  # fmt: skip
MUSCLES = tuple(SHAPES)


@dataclass(frozen=True)
class Body:
    """How one participant differs from the drawing.

    Parameters
    ----------
    size : float
        Of the whole thigh.
    fat : float
        Thickness of the subcutaneous fat in radii of the fascia.
    shifts : ndarray of shape (muscles, 2)
        Of each muscle's centre, in radii of the fascia.
    sizes : ndarray of shape (muscles,)
        Of each muscle.
    turn : float
        Of the thigh about its axis, radians.
    """

    size: float
    fat: float
    shifts: Floats
    sizes: Floats
    turn: float


def draw_body(rng: Generator) -> Body:
    """Draw a participant's build; the spreads are assumed so that thighs look different but whole."""
    n = len(MUSCLES)
    return Body(
        size=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)),
        fat=float(np.clip(rng.normal(0.24, 0.06), 0.10, 0.34)),
        shifts=np.clip(rng.normal(0, 0.02, (n, 2)), -0.05, 0.05),
        sizes=np.clip(rng.normal(1.0, 0.05, n), 0.88, 1.12),
        turn=float(np.radians(np.clip(rng.normal(0, 4), -9, 9))),
    )


@dataclass(frozen=True)
class Thighs:
    """Both thighs of one participant.

    Parameters
    ----------
    body : Body
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

    body: Body
    height_mm: float
    directions: Floats
    meaning: dict[int, tuple[str, Side]]
    codes: dict[int, int]

    def regions_at(self, points: Floats) -> Ints:
        """Tell which region each point of the body belongs to.

        Parameters
        ----------
        points : ndarray of shape (3, …)
            World coordinates (RAS, mm) at the reference pose.

        Returns
        -------
        ndarray of shape (…)
            `AIR` to `MARROW`, or a muscle's region.
        """
        x, y, z = points
        scale = FASCIA_MM * self.body.size
        is_left = x < 0
        lateral, anterior = (np.abs(x) - CENTRE_MM) / scale, y / scale
        cosine, sine = np.cos(self.body.turn), np.sin(self.body.turn)
        u, v = cosine * lateral + sine * anterior, cosine * anterior - sine * lateral
        height = np.clip(z / self.height_mm + 0.5, 0, 1)
        regions = self._muscles(u, v, height, is_left)
        bone = np.hypot(u - 0.14, v - 0.06)
        regions[bone < 0.175] = CORTICAL_BONE
        regions[bone < 0.095] = MARROW
        regions[_radius(u, v) > 1] = SUBCUTANEOUS_FAT
        # Fat is thicker on the inside and at the back.
        regions[_radius(u + 0.4 * self.body.fat, v + 0.25 * self.body.fat) > 1 + self.body.fat] = AIR
        return regions

    def _muscles(self, u: Floats, v: Floats, height: Floats, is_left: NDArray[np.bool_]) -> Ints:
        nearest, second = np.full(u.shape, np.inf), np.full(u.shape, np.inf)
        winner = np.zeros(u.shape, dtype=np.int16)
        for index, shape in enumerate(SHAPES.values()):
            distal, proximal = np.array(shape.distal), np.array(shape.proximal)
            u0, v0, width, depth, turn = (distal[:, None] + np.outer(proximal - distal, height.ravel())).reshape(
                5, *height.shape
            )
            du, dv = u - u0 - self.body.shifts[index, 0], v - v0 - self.body.shifts[index, 1]
            cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            radius = np.hypot((cosine * du + sine * dv) / width, (cosine * dv - sine * du) / depth)
            outside = (radius - self.body.sizes[index]) * np.sqrt(width * depth)
            second = np.where(outside < nearest, nearest, np.minimum(second, outside))
            winner = np.where(outside < nearest, index, winner)
            nearest = np.minimum(nearest, outside)
        is_muscle = (second - nearest > SEPTUM) & (nearest < REACH)
        return np.where(is_muscle, FIRST_MUSCLE + 2 * winner + ~is_left, INTERMUSCULAR_FAT)

    def labels(self, regions: Ints, affine: Floats) -> MuscleLabels:
        """Name the muscles of a grid of regions by their MuscleMap codes."""
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
        lateral, anterior = np.array(shape.tilt) + rng.normal(0, 0.03, 2)
        for side, sign, code in ((Side.LEFT, -1, registry[name].left), (Side.RIGHT, 1, registry[name].right)):
            region = FIRST_MUSCLE + 2 * index + (side is Side.RIGHT)
            fibre = np.array([sign * lateral, anterior, 1.0])
            directions[region] = fibre / np.linalg.norm(fibre)
            meaning[region], codes[region] = (name, side), code
    return Thighs(draw_body(rng), height_mm, directions, meaning, codes)
