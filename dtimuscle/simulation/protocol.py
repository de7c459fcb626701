"""What the simulated scanner is set to, each number with its source or marked as assumed."""

from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dtimuscle.dwi import Floats, GradientTable
from dtimuscle.errors import SimulationError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Value = TypeVar("Value")
Tissue = Literal["muscle", "subcutaneous_fat", "intermuscular_fat", "fascia", "cortical_bone", "marrow", "vessel"]


class Record(BaseModel):
    """A part of a protocol or scenario: no unknown names, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Sourced(Record):
    """Anything that says where it comes from: a `source`, or `assumed: true` with its `reason`."""

    source: str = ""
    assumed: bool = False
    reason: str = ""

    @model_validator(mode="after")
    def _has_an_origin(self) -> "Sourced":
        if self.assumed == bool(self.source):
            raise ValueError("give either a source, or assumed: true with a reason")
        if self.assumed and not self.reason:
            raise ValueError("assumed: true needs a reason")
        return self


class Quantity(Sourced, Generic[Value]):
    """One value with its origin."""

    value: Value


class TissueSignal(Sourced):
    """What a tissue gives to the signal.

    Parameters
    ----------
    s0 : float
        Signal without relaxation and diffusion weighting, relative to muscle's.
    t2_ms : float
        Transverse relaxation time, ms.
    diffusivity : float or None
        Isotropic diffusivity, mm²/s; None for muscle, whose tensor is the patient's.
    """

    s0: NotNegative
    t2_ms: Positive
    diffusivity: NotNegative | None = None


class Protocol(Record):
    """An acquisition of both thighs.

    Parameters
    ----------
    name, title : str
        File name without ending, and the name that pages print.
    field_strength_t, te_ms, tr_ms : Quantity of float
        Main field in tesla, echo and repetition time in ms.
    matrix : Quantity of (int, int, int)
        Voxels along x, y and z (all even in-plane).
    voxel_mm : Quantity of (float, float, float)
        In-plane voxel size and slice thickness, mm.
    slice_spacing_mm : Quantity of float
        Distance between the centres of neighbouring slices, mm.
    n_b0 : Quantity of int
        Volumes without diffusion weighting, acquired first.
    bval : Quantity of float
        Diffusion weighting of all other volumes, s/mm².
    directions : Quantity of tuple
        Unit vectors in world coordinates (RAS), one for each weighted volume.
    tissues : dict of str to TissueSignal
        One entry for each tissue of the phantom.
    """

    name: str
    title: str
    field_strength_t: Quantity[Positive]
    te_ms: Quantity[Positive]
    tr_ms: Quantity[Positive]
    matrix: Quantity[tuple[int, int, int]]
    voxel_mm: Quantity[tuple[Positive, Positive, Positive]]
    slice_spacing_mm: Quantity[Positive]
    n_b0: Quantity[Annotated[int, Field(ge=1)]]
    bval: Quantity[Positive]
    directions: Quantity[tuple[tuple[float, float, float], ...]]
    tissues: dict[Tissue, TissueSignal]

    @model_validator(mode="after")
    def _is_possible(self) -> "Protocol":
        nx, ny, nz = self.matrix.value
        if nx < 2 or ny < 2 or nz < 1 or nx % 2 or ny % 2:
            raise ValueError(f"matrix {self.matrix.value} needs even in-plane sizes and at least one slice")
        if self.slice_spacing_mm.value < self.voxel_mm.value[2]:
            raise ValueError("slice_spacing_mm is smaller than the slice thickness in voxel_mm")
        missing = sorted(set(Tissue.__args__) - set(self.tissues))  # type: ignore[attr-defined]
        if missing:
            raise ValueError(f"tissues lacks {', '.join(missing)}")
        return self

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any], *, source: str) -> "Protocol":
        """Check an acquisition as read from YAML.

        Parameters
        ----------
        mapping : dict
            The fields of this class.
        source : str
            Where it came from, for messages.

        Returns
        -------
        Protocol
            The checked acquisition.

        Raises
        ------
        SimulationError
            If a field is missing, unknown, of the wrong type or out of range.
        """
        return validated(cls, mapping, source=source)

    @cached_property
    def affine(self) -> Floats:
        """From voxel indices to world coordinates (RAS, mm), shape (4, 4); stored right to left (LAS)."""
        dx, dy, _ = self.voxel_mm.value
        step = np.array([-dx, dy, self.slice_spacing_mm.value])
        affine = np.diag([*step, 1.0])
        affine[:3, 3] = -step * (np.array(self.matrix.value) - 1) / 2
        return affine

    @cached_property
    def gradients(self) -> GradientTable:
        """The b = 0 volumes, then one volume for each direction."""
        directions = np.array(self.directions.value)
        directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        n_b0 = self.n_b0.value
        bvals = np.r_[np.zeros(n_b0), np.full(len(directions), self.bval.value)]
        return GradientTable(bvals, np.vstack([np.zeros((n_b0, 3)), directions]))


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], mapping: dict[str, Any], *, source: str) -> Model:
    """Check a mapping against a model, with one line for the first thing that is wrong.

    Parameters
    ----------
    model : type
        The pydantic model.
    mapping : dict
        What a YAML file holds.
    source : str
        Where it came from, for messages.

    Returns
    -------
    BaseModel
        The checked object.

    Raises
    ------
    SimulationError
        Naming source, field, what was found and what is allowed.
    """
    try:
        return model.model_validate(_with_tuples(mapping))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        found = "" if first["type"] == "missing" else f" found {str(first['input'])[:80]};"
        raise SimulationError(f"{source}: {field}:{found} {first['msg'][0].lower()}{first['msg'][1:]}.") from error


def _with_tuples(value: Any) -> Any:
    """Turn the lists of YAML into tuples, which strict models ask for."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_with_tuples(item) for item in value)
    return value
