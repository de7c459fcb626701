"""An acquisition protocol for the simulator, each number with its source or the reason why it was assumed."""

from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dtimuscle.dwi import GradientTable
from dtimuscle.errors import SimulationError

Positive = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """A checked part of a data file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Stated(Part):
    """What tells where a value comes from."""

    source: str = ""
    """Where the value is published."""
    assumed: bool = False
    """Whether the value is the kit's own choice."""
    reason: str = ""
    """Why it was chosen."""

    @model_validator(mode="after")
    def _say_where_from(self) -> Self:
        if bool(self.source) == (self.assumed and bool(self.reason)):
            raise ValueError("needs either a source, or assumed: true with a reason")
        return self


class Number(Stated):
    """A number with its origin."""

    value: float
    """The number, in the unit that the field's name says."""


class Triple(Stated):
    """Three numbers with their origin."""

    value: tuple[float, float, float]
    """Along right-left, front-back and the body's axis."""


class Tissue(Stated):
    """How a tissue looks in the scan."""

    proton_density: Annotated[float, Field(ge=0)]
    """Relative to water."""
    t2_ms: Positive
    """Transverse relaxation time, ms."""
    diffusivity_mm2_s: Annotated[float, Field(ge=0)]
    """Isotropic diffusivity, mm²/s; of no meaning for muscle, which has a tensor."""
    suppression: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the signal that fat suppression removes."""


class Protocol(Part):
    """How the simulated patients are scanned.

    Raises
    ------
    SimulationError
        From `from_mapping` only.
    """

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
    n_b0: Number
    """Volumes without diffusion weighting."""
    n_directions: Number
    """Gradient directions."""
    voxel_mm: Triple
    """Edge lengths of a voxel, mm; the third is the slice."""
    matrix: Triple
    """Voxels."""
    muscle_signal: Number
    """Signal of muscle at b = 0, in the scanner's units."""
    tissues: dict[str, Tissue]
    """Muscle, subcutaneous_fat, intermuscular_fat, cortical_bone and marrow."""

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, source: str) -> Self:
        """Check a protocol as read from its YAML file.

        Parameters
        ----------
        values : dict
            Fields as in `data/protocols/*.yaml`.
        source : str
            Name of the file, for messages.

        Returns
        -------
        Protocol
            The checked protocol.

        Raises
        ------
        SimulationError
            If a field is unknown, missing or impossible.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise SimulationError(f"{source}: {place}: {first['msg']}; found {first['input']!r}.") from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of the grid in voxels."""
        nx, ny, nz = (int(n) for n in self.matrix.value)
        return nx, ny, nz

    @property
    def height_mm(self) -> float:
        """Length of the scanned part of the thigh."""
        return self.voxel_mm.value[2] * self.shape[2]

    @property
    def affine(self) -> NDArray[np.floating]:
        """Grid in world coordinates (RAS, mm), shape (4, 4), stored as scanners do: from left to right of the picture."""
        sizes = np.array(self.voxel_mm.value) * [-1, 1, 1]
        affine = np.diag([*sizes, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return affine

    def gradients(self) -> GradientTable:
        """Return the gradient table: volumes without weighting first, then evenly spread directions."""
        n_b0, n_directions = int(self.n_b0.value), int(self.n_directions.value)
        bvals = np.r_[np.zeros(n_b0), np.full(n_directions, self.b_value_s_mm2.value)]
        return GradientTable(bvals, np.vstack([np.zeros((n_b0, 3)), spread_directions(n_directions)]))

    def signal(self, tissue: str) -> float:
        """Return a tissue's signal at b = 0: proton density, decay until the echo, fat suppression."""
        looks = self.tissues[tissue]
        return looks.proton_density * np.exp(-self.echo_time_ms.value / looks.t2_ms) * (1 - looks.suppression)

    def sidecar(self) -> dict[str, Any]:
        """Return the acquisition as BIDS names it (times in s)."""
        return {
            "MagneticFieldStrength": self.field_strength_t.value,
            "EchoTime": self.echo_time_ms.value / 1000,
            "RepetitionTime": self.repetition_time_ms.value / 1000,
            "PhaseEncodingDirection": "j",
        }


def spread_directions(n: int) -> NDArray[np.floating]:
    """Spread axes evenly over the sphere by electrostatic repulsion (Jones et al., Magn Reson Med 1999).

    Parameters
    ----------
    n : int
        Number of directions.

    Returns
    -------
    ndarray of shape (n, 3)
        Unit vectors; an axis and its antipode count as one.
    """
    # A spiral over the half sphere is close enough for repulsion to settle in the same place every time.
    height = (np.arange(n) + 0.5) / n
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - height**2)
    axes = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), height])
    for step in 0.05 * 0.99 ** np.arange(600):
        force = np.zeros_like(axes)
        for sign in (1, -1):
            apart = axes[:, None] - sign * axes[None]
            distance = np.linalg.norm(apart, axis=2)
            np.fill_diagonal(distance, np.inf)
            force += (apart / distance[..., None] ** 3).sum(axis=1)
        axes = axes + step * force / n
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return axes
