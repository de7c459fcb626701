"""What water and muscle can have: the values that printed numbers are held against, and who published them."""

from statistics import median
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from dtimuscle.data_files import File, Part, Stated, refusal
from dtimuscle.errors import DtiMuscleError, PublishedError
from dtimuscle.replication.published import Parameter

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class UpperBound(Stated):
    """A value that cannot be exceeded."""

    highest: Positive
    """Diffusivities in mm²/s."""


class LowerBound(Stated):
    """A value that should be reached."""

    lowest: Positive
    """A count."""


class Allowance(Stated):
    """How far a printed number may leave what was published before it is called unlikely."""

    share: NotNegative
    """Of the lowest and the highest published number."""


class PublishedMeans(Stated):
    """Lowest and highest mean over people that one study reports for muscle."""

    lowest: Positive
    """Diffusivities in mm²/s."""
    highest: Positive
    """Diffusivities in mm²/s."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lowest > self.highest:
            raise refusal(f"{self.lowest:g} to {self.highest:g}", "lowest first, then highest", field=("lowest",))
        return self


class PublishedSpread(Stated):
    """Mean and standard deviation over people that one study reports for muscle."""

    mean: Positive
    """Diffusivities in mm²/s."""
    sd: Positive
    """Diffusivities in mm²/s."""

    @property
    def cv(self) -> float:
        """Coefficient of variation: the standard deviation as a share of the mean."""
        return self.sd / self.mean


def _sources(studies: tuple[Stated, ...]) -> tuple[str, ...]:
    """List the sources, each once, in the order of the studies."""
    return tuple(dict.fromkeys(study.source for study in studies if study.source))


class MeanRange(Part):
    """Means of muscle that are known from studies."""

    studies: Annotated[tuple[PublishedMeans, ...], Field(min_length=1)]
    """What each of them reports."""
    allowance: Allowance
    """How far beyond them another study may lie."""

    @property
    def published_low(self) -> float:
        """Lowest mean that one of the studies reports."""
        return min(study.lowest for study in self.studies)

    @property
    def published_high(self) -> float:
        """Highest mean that one of the studies reports."""
        return max(study.highest for study in self.studies)

    @property
    def low(self) -> float:
        """Lowest mean that is not called unlikely: the published one, divided by 1 + the allowance."""
        return self.published_low / (1 + self.allowance.share)

    @property
    def high(self) -> float:
        """Highest mean that is not called unlikely: the published one, times 1 + the allowance."""
        return self.published_high * (1 + self.allowance.share)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the studies are published; empty if all of it is assumed."""
        return _sources(self.studies)


class SpreadRange(Part):
    """Coefficients of variation over people that are known from studies."""

    studies: Annotated[tuple[PublishedSpread, ...], Field(min_length=1)]
    """What each of them reports."""
    allowance: Allowance
    """How far beyond them another study may lie."""

    @property
    def published_low(self) -> float:
        """Lowest coefficient of variation of the studies."""
        return min(study.cv for study in self.studies)

    @property
    def published_median(self) -> float:
        """Median of the studies."""
        return median(study.cv for study in self.studies)

    @property
    def published_high(self) -> float:
        """Highest coefficient of variation of the studies."""
        return max(study.cv for study in self.studies)

    @property
    def highest(self) -> float:
        """Highest one that is not called unlikely: the published one, times 1 + the allowance."""
        return self.published_high * (1 + self.allowance.share)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the studies are published; empty if all of it is assumed."""
        return _sources(self.studies)


class ReferenceValues(File):
    """Bounds and ranges, each with its source."""

    free_water: UpperBound
    """Self-diffusion of water at body temperature, mm²/s."""
    muscle_means: dict[Parameter, MeanRange]
    """Means over people of muscles, healthy or diseased, by parameter."""
    between_subject_cv: dict[Parameter, SpreadRange]
    """SD over people relative to their mean, by parameter."""
    events_per_variable: LowerBound
    """Events for each variable of a logistic model below which its estimates are commonly distrusted."""

    refused_with: ClassVar[type[DtiMuscleError]] = PublishedError
