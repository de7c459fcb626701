"""A scenario: what is true of the patients before anybody is scanned."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from dtimuscle.data_files import File, Part, Place, Stated, one_of, refusal, require_names, shown
from dtimuscle.errors import DtiMuscleError, SimulationError
from dtimuscle.simulation.anatomy import MUSCLES
from dtimuscle.simulation.physics import FREE_WATER

Group = Literal["poor", "good"]
Parameter = Literal["fa", "md"]
Fraction = Annotated[float, Field(ge=0, le=1)]

# The difference between the sides of a person is cut at this many of its standard deviations.
LARGEST_TILT = 3.0


class Moments(Part):
    """Mean and standard deviation over patients."""

    mean: float
    """Mean."""
    sd: Annotated[float, Field(gt=0)]
    """Standard deviation."""


class Bounds(Part):
    """Interval that values cannot leave."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""

    @model_validator(mode="after")
    def _low_is_lower(self) -> Self:
        if self.low >= self.high:
            raise refusal(f"low {self.low:g} and high {self.high:g}", "low below high")
        return self

    def require_room(self, moments: Moments, *, of: Place) -> None:
        """Make sure that a distribution on the interval can have these moments.

        Parameters
        ----------
        moments : Moments
            Mean and SD.
        of : tuple of str and int
            Where these moments stand in what is checked, for the message.

        Raises
        ------
        PydanticCustomError
            If the mean lies outside, or the SD is too large for any distribution on the interval.
        """
        if moments.sd**2 >= (moments.mean - self.low) * (self.high - moments.mean):
            found = f"mean {moments.mean:g} and SD {moments.sd:g}"
            raise refusal(found, f"what fits between the bounds {self.low:g} and {self.high:g}", field=of)


class Limits(Stated):
    """What tissue can have."""

    fa: Bounds
    """Fractional anisotropy."""
    md: Bounds
    """Mean diffusivity, mm²/s."""


class Feature(Stated):
    """What one parameter of one muscle is like in the two groups."""

    poor: Moments
    """Poor muscle function."""
    good: Moments
    """Good muscle function."""


class MuscleLaw(Part):
    """FA and MD of one muscle."""

    fa: Feature
    """Fractional anisotropy."""
    md: Feature
    """Mean diffusivity in mm²/s (the study's ADC)."""


class Correlation(Stated):
    """How the values of a patient go together, as correlations of the underlying normal values."""

    between_muscles: Annotated[float, Field(ge=0, lt=1)]
    """Of the same parameter in two muscles."""
    fa_with_md: Annotated[float, Field(gt=-1, lt=1)]
    """Of FA and MD of one muscle."""


class Asymmetry(Stated):
    """How much the sides of a person differ."""

    value: Annotated[float, Field(ge=0, lt=0.2)]
    """Standard deviation of (left − right) / 2 relative to the mean of both."""


class Shares(Part):
    """Share of each Lovett grade within its group."""

    poor: dict[int, Fraction]
    """Grades 0 to 3."""
    good: dict[int, Fraction]
    """Grades 4 and 5."""

    @model_validator(mode="after")
    def _are_whole(self) -> Self:
        for group, shares, allowed in (("poor", self.poor, range(4)), ("good", self.good, range(4, 6))):
            if set(shares) - set(allowed) or abs(sum(shares.values()) - 1) > 1e-9:
                wanted = f"grades {allowed[0]} to {allowed[-1]} with shares that add up to 1"
                raise refusal(str(shares), wanted, field=(group,))
        return self


class Grades(Stated):
    """How Lovett grades fall within the groups."""

    shares: Shares
    """Share of each grade within its group."""
    muscles: Annotated[tuple[str, ...], Field(min_length=1)]
    """Muscles whose values a grade leans on, as far as these differ between the groups."""
    correlation_within_groups: Annotated[float, Field(ge=0, lt=1)]
    """How much it leans on them within a group."""

    @field_validator("muscles")
    @classmethod
    def _know_the_muscles(cls, muscles: tuple[str, ...]) -> tuple[str, ...]:
        for position, muscle in enumerate(muscles):
            if muscle not in MUSCLES:
                raise refusal(shown(muscle), one_of(MUSCLES, muscle), field=(position,))
        return muscles


class Covariate(Bounds, Stated):
    """What is known of a patient beside the muscles."""

    poor: Moments
    """Poor muscle function."""
    good: Moments
    """Good muscle function."""
    decimals: Annotated[int, Field(ge=0)] = 0
    """Decimals that are recorded."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        self.require_room(self.poor, of=("poor",))
        self.require_room(self.good, of=("good",))
        return self


class Covariates(Part):
    """What is known of the patients beside their muscles."""

    age: Covariate
    """Years."""
    bmi: Covariate
    """Body mass index, kg/m²."""
    t_score: Covariate
    """Bone mineral density in SDs from that of young adults."""
    disease_duration: Covariate
    """Years with osteoporosis."""


class Women(Stated):
    """Share of women."""

    poor: Fraction
    """Poor muscle function."""
    good: Fraction
    """Good muscle function."""


class Scenario(File):
    """A hypothesis about the patients that the simulator turns into a cohort."""

    name: str
    """Name of the scenario."""
    statement: str
    """What is supposed to be true, in a sentence."""
    reasons: dict[str, str] = Field(default_factory=dict)
    """Reasons that the file refers to more than once."""
    bounds: Limits
    """Intervals that FA and MD cannot leave."""
    muscles: dict[str, MuscleLaw]
    """Each muscle of the phantom."""
    correlation: Correlation
    """How values go together."""
    side_asymmetry: Asymmetry
    """How much left and right differ."""
    grade: Grades
    """Lovett grades."""
    covariates: Covariates
    """Age, BMI, T-score and disease duration."""
    share_female: Women
    """Share of women."""

    refused_with: ClassVar[type[DtiMuscleError]] = SimulationError

    @field_validator("muscles")
    @classmethod
    def _has_every_muscle(cls, muscles: dict[str, MuscleLaw]) -> dict[str, MuscleLaw]:
        require_names(muscles, MUSCLES)
        return muscles

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        larger = 1 + LARGEST_TILT * self.side_asymmetry.value
        for name, limits, highest in (("fa", self.bounds.fa, 1.0), ("md", self.bounds.md, FREE_WATER)):
            if limits.low <= 0 or limits.high * larger >= highest:
                found = f"{limits.low:g} to {limits.high:g} with side_asymmetry {self.side_asymmetry.value:g}"
                allowed = f"above 0, and high × {larger:g} (the larger side) below {highest:g}"
                raise refusal(found, allowed, field=("bounds", name))
        for muscle, law in self.muscles.items():
            for limits, feature, name in ((self.bounds.fa, law.fa, "fa"), (self.bounds.md, law.md, "md")):
                limits.require_room(feature.poor, of=("muscles", muscle, name, "poor"))
                limits.require_room(feature.good, of=("muscles", muscle, name, "good"))
        return self

    def bounds_of(self, parameter: Parameter) -> Bounds:
        """Return the interval that a parameter cannot leave.

        Parameters
        ----------
        parameter : {"fa", "md"}
            Which one.

        Returns
        -------
        Bounds
            In the parameter's unit.
        """
        return self.bounds.fa if parameter == "fa" else self.bounds.md

    def moments(self, muscle: str, parameter: Parameter, group: Group) -> Moments:
        """Return mean and SD of a muscle's parameter in a group.

        Parameters
        ----------
        muscle : str
            Canonical name.
        parameter : {"fa", "md"}
            Which one.
        group : {"poor", "good"}
            Muscle function.

        Returns
        -------
        Moments
            In the parameter's unit.
        """
        law = self.muscles[muscle]
        feature = law.fa if parameter == "fa" else law.md
        return feature.poor if group == "poor" else feature.good
