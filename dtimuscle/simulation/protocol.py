"""An acquisition protocol for the simulator, each number with its source or the reason why it was assumed."""

from functools import cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from dtimuscle.data_files import File, Stated, refusal, require_names
from dtimuscle.dwi import MIN_DIRECTIONS, GradientTable
from dtimuscle.errors import DtiMuscleError, SimulationError
from dtimuscle.simulation.anatomy import AIR, TISSUES
from dtimuscle.simulation.physics import FREE_WATER

Positive = Annotated[float, Field(gt=0)]
Voxels = Annotated[int, Field(ge=1)]

# Random starts from which gradient directions are spread.
N_STARTS = 8


class Number(Stated):
    """A number above 0 with its origin."""

    value: Positive
    """The number, in the unit that the field's name says."""


class Count(Stated):
    """A whole number with its origin."""

    value: Annotated[int, Field(ge=1)]
    """How many."""


class Lengths(Stated):
    """Three lengths with their origin."""

    value: tuple[Positive, Positive, Positive]
    """Along right-left, front-back and the body's axis, mm."""


class Matrix(Stated):
    """The size of the grid with its origin."""

    value: tuple[Voxels, Voxels, Voxels]
    """Voxels along right-left, front-back and the body's axis."""


class Shell(Stated):
    """Volumes of a further b-value."""

    b_value_s_mm2: Positive
    """Diffusion weighting, s/mm²."""
    n_directions: Annotated[int, Field(ge=1)]
    """Gradient directions."""


class Tissue(Stated):
    """How a tissue looks in the scan."""

    proton_density: Annotated[float, Field(ge=0)]
    """Relative to water."""
    t2_ms: Positive
    """Transverse relaxation time, ms."""
    diffusivity_mm2_s: Annotated[float, Field(ge=0, le=FREE_WATER)] = 0.0
    """Isotropic diffusivity, mm²/s; left out for muscle, whose tensors come from the scenario."""
    suppression: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the signal that fat suppression removes."""


# What a protocol that does not tell its bandwidth has.
PHASE_BANDWIDTH = Number(
    value=40.0, assumed=True, reason="80 echoes, 0.6 ms apart and every other line skipped by parallel imaging"
)


class Protocol(File):
    """How the simulated patients are scanned."""

    name: str
    """Name of the protocol."""
    statement: str
    """What is known of the study's own protocol."""
    field_strength_t: Number
    """Magnetic field, tesla."""
    echo_time_ms: Number
    """Echo time, ms."""
    repetition_time_ms: Number
    """Repetition time, ms."""
    b_value_s_mm2: Number
    """Diffusion weighting, s/mm²."""
    n_b0: Count
    """Volumes without diffusion weighting."""
    n_directions: Count
    """Gradient directions."""
    shells: tuple[Shell, ...] = ()
    """Further b-values, each with its directions, scanned after the others."""
    phase_bandwidth_hz: Number = PHASE_BANDWIDTH
    """Bandwidth of a pixel along phase encoding, Hz; it tells how far fat is displaced."""
    voxel_mm: Lengths
    """Edge lengths of a voxel, mm; the third is the slice."""
    matrix: Matrix
    """Voxels."""
    muscle_signal: Number
    """Signal of muscle at b = 0, in the scanner's units."""
    tissues: dict[str, Tissue]
    """Muscle, and every other tissue of the phantom but air."""

    refused_with: ClassVar[type[DtiMuscleError]] = SimulationError

    @model_validator(mode="after")
    def _carries_a_tensor(self) -> Self:
        if self.n_directions.value < MIN_DIRECTIONS:
            allowed = f"at least {MIN_DIRECTIONS}, which a tensor needs"
            raise refusal(str(self.n_directions.value), allowed, field=("n_directions", "value"))
        return self

    @field_validator("tissues")
    @classmethod
    def _has_every_tissue(cls, tissues: dict[str, Tissue]) -> dict[str, Tissue]:
        # Files from before tendons were drawn don't name them; like compact bone they give hardly any signal.
        known = {"tendon": tissues["cortical_bone"]} if "cortical_bone" in tissues else {}
        tissues = known | tissues
        require_names(tissues, ("muscle", *(tissue for tissue in TISSUES if tissue != TISSUES[AIR])))
        return tissues

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of the grid in voxels."""
        return self.matrix.value

    @property
    def height_mm(self) -> float:
        """Length of the scanned part of the thigh."""
        return self.voxel_mm.value[2] * self.shape[2]

    @property
    def affine(self) -> NDArray[np.floating]:
        """Grid in world coordinates (RAS, mm), shape (4, 4); the first axis runs to the left, as scanners store it."""
        sizes = np.array(self.voxel_mm.value) * [-1, 1, 1]
        affine = np.diag([*sizes, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return affine

    def gradients(self) -> GradientTable:
        """Return the gradient table: volumes without weighting first, then evenly spread directions of each shell."""
        shells = [(self.b_value_s_mm2.value, self.n_directions.value)]
        shells += [(shell.b_value_s_mm2, shell.n_directions) for shell in self.shells]
        n_b0 = self.n_b0.value
        bvals = np.concatenate([np.zeros(n_b0), *(np.full(n, b) for b, n in shells)])
        return GradientTable(bvals, np.vstack([np.zeros((n_b0, 3)), *(spread_directions(n) for _, n in shells)]))

    def changed(self, **values: Any) -> Self:
        """Change some of the numbers, such as matrix or directions, for a test or a benchmark.

        Parameters
        ----------
        **values : object
            Fields and what they become: the value alone, whose origin is then the caller's choice.

        Returns
        -------
        Protocol
            A new protocol; this one is unchanged.

        Raises
        ------
        SimulationError
            If a field is unknown or its value impossible.
        """
        fields = self.model_dump()
        for name, value in values.items():
            is_stated = isinstance(fields.get(name), dict) and "value" in fields[name]
            fields[name] = {"value": value, "assumed": True, "reason": "asked for"} if is_stated else value
        return type(self).from_mapping(fields, source=f"{self.name}, changed")

    def signal(self, tissue: str) -> float:
        """Return a tissue's signal at b = 0: proton density, decay until the echo, fat suppression.

        Parameters
        ----------
        tissue : str
            One of the protocol's tissues.
        """
        looks = self.tissues[tissue]
        return looks.proton_density * np.exp(-self.echo_time_ms.value / looks.t2_ms) * (1 - looks.suppression)

    def sidecar(self) -> dict[str, Any]:
        """Return the acquisition as BIDS names it (times in s)."""
        return {
            "MagneticFieldStrength": self.field_strength_t.value,
            "EchoTime": self.echo_time_ms.value / 1000,
            "RepetitionTime": self.repetition_time_ms.value / 1000,
            "PhaseEncodingDirection": "j",
            "EffectiveEchoSpacing": 1 / (self.phase_bandwidth_hz.value * self.shape[1]),
        }


@cache
def spread_directions(n: int) -> NDArray[np.floating]:
    """Spread axes evenly over the sphere by electrostatic repulsion (Jones et al., Magn Reson Med 1999).

    Parameters
    ----------
    n : int
        Number of directions.

    Returns
    -------
    ndarray of shape (n, 3)
        Unit vectors; an axis and its antipode count as one. They are found once and cannot be written to.
    """
    # Repulsion may settle in a poor place, so the best of several starts is kept.
    axes = default_rng(0).standard_normal((N_STARTS, n, 3))
    axes /= np.linalg.norm(axes, axis=2, keepdims=True)
    for step in 0.3 * 0.99 ** np.arange(600):
        push = _repulsion(axes)[0] / n
        # Axes that start close to each other would be thrown onto others.
        axes = axes + step * push / np.maximum(1, np.linalg.norm(push, axis=2, keepdims=True))
        axes /= np.linalg.norm(axes, axis=2, keepdims=True)
    best = axes[np.argmin(_repulsion(axes)[1])]
    best.flags.writeable = False
    return best


def _repulsion(axes: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Force on each axis, shape (starts, n, 3), and energy of each start, shape (starts,); antipodes repel as well."""
    force, energy = np.zeros_like(axes), np.zeros(len(axes))
    for sign in (1, -1):
        apart = axes[:, :, None] - sign * axes[:, None]
        distance = np.linalg.norm(apart, axis=3)
        distance[:, np.eye(axes.shape[1], dtype=bool)] = np.inf
        force += (apart / distance[..., None] ** 3).sum(axis=2)
        energy += (1 / distance).sum(axis=(1, 2))
    return force, energy
