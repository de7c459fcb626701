"""What water and muscle can have: the values that printed numbers are held against."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from dtimuscle.errors import PublishedError
from dtimuscle.replication.published import Parameter, Part

Positive = Annotated[float, Field(gt=0)]


class Stated(Part):
    """What tells where a number comes from."""

    source: str = ""
    """Where it is published."""
    assumed: bool = False
    """Whether it is the kit's own choice."""
    reason: str = ""
    """Why it was chosen, or what of the source it is."""

    @model_validator(mode="after")
    def _say_where_from(self) -> Self:
        if not self.source and not (self.assumed and self.reason):
            raise ValueError("neither a source, nor assumed: true with a reason")
        return self


class UpperBound(Stated):
    """A value that cannot be exceeded."""

    highest: Positive
    """Diffusivities in mm²/s; a coefficient of variation as a share of 1."""


class PublishedRange(Stated):
    """Lowest and highest mean of a muscle that studies report."""

    low: Positive
    """Diffusivities in mm²/s."""
    high: Positive
    """Diffusivities in mm²/s."""


class ReferenceValues(Part):
    """Bounds and ranges, each with its source."""

    free_water: UpperBound
    """Self-diffusion of water at body temperature, mm²/s."""
    muscle_means: dict[Parameter, PublishedRange]
    """Means over people of single muscles, healthy or diseased, by parameter."""
    between_subject_cv: dict[Parameter, UpperBound]
    """Highest SD over people relative to their mean that studies report for a muscle, by parameter."""
    n_events_per_variable: UpperBound
    """Events for each variable of a logistic model below which its estimates are commonly distrusted."""

    @classmethod
    def from_mapping(cls, values: Any, *, source: str) -> Self:
        """Check what was read from `data/reference_values.yaml`.

        Parameters
        ----------
        values : dict
            Fields as in that file.
        source : str
            Name of the file, for messages.

        Returns
        -------
        ReferenceValues
            The checked values.

        Raises
        ------
        PublishedError
            If a field is unknown, missing or impossible.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise PublishedError(f"{source}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}.") from error
