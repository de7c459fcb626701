"""A scenario: what is true of the patients before anybody is scanned."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dtimuscle.errors import SimulationError

Group = Literal["poor", "good"]
Parameter = Literal["fa", "md"]


class Part(BaseModel):
    """A checked part of a data file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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


class Feature(Part):
    """What one parameter of one muscle is like in the two groups."""

    poor: Moments
    """Poor muscle function."""
    good: Moments
    """Good muscle function."""
    source: str = ""
    """Where the numbers are printed."""
    assumed: bool = False
    """Whether the numbers are the kit's own."""
    reason: str = ""
    """Why these were assumed."""

    @model_validator(mode="after")
    def _say_where_from(self) -> Self:
        if bool(self.source) == (self.assumed and bool(self.reason)):
            raise ValueError("needs either a source, or assumed: true with a reason")
        return self


class MuscleLaw(Part):
    """FA and MD of one muscle."""

    fa: Feature
    """Fractional anisotropy."""
    md: Feature
    """Mean diffusivity in mm²/s (the study's ADC)."""


class Correlation(Part):
    """How the values of a patient go together, as correlations of the underlying normal values."""

    between_muscles: Annotated[float, Field(ge=0, lt=1)]
    """Of the same parameter in two muscles."""
    fa_with_md: Annotated[float, Field(gt=-1, lt=1)]
    """Of FA and MD of one muscle."""
    reason: str
    """Why."""


class Grades(Part):
    """How Lovett grades fall within the groups."""

    shares: dict[Group, dict[int, float]]
    """Share of each grade within its group."""
    muscles: tuple[str, ...]
    """Muscles whose values a grade leans on."""
    correlation_within_groups: Annotated[float, Field(ge=0, lt=1)]
    """How much it leans on them within a group."""
    reason: str
    """Why."""

    @model_validator(mode="after")
    def _shares_are_whole(self) -> Self:
        for group, allowed in (("poor", range(4)), ("good", range(4, 6))):
            shares = self.shares.get(group, {})
            if set(shares) - set(allowed) or abs(sum(shares.values()) - 1) > 1e-9:
                raise ValueError(f"the shares of {group} must be of grades {allowed[0]} to {allowed[-1]} and add up to 1")
        return self


class Covariate(Part):
    """What is known of a patient beside the muscles."""

    poor: Moments
    """Poor muscle function."""
    good: Moments
    """Good muscle function."""
    low: float
    """Lowest possible value."""
    high: float
    """Highest possible value."""
    decimals: int = 0
    """Decimals that are recorded."""

    def __getitem__(self, group: str) -> Moments:
        """Return the moments of a group."""
        return self.poor if group == "poor" else self.good


class Scenario(Part):
    """A hypothesis about the patients that the simulator turns into a cohort.

    Raises
    ------
    SimulationError
        From `from_mapping` only.
    """

    name: str
    """Name of the scenario."""
    statement: str
    """What is supposed to be true, in a sentence."""
    reasons: dict[str, str] = {}
    """Reasons that the file refers to more than once."""
    bounds: dict[Parameter, Bounds]
    """Intervals that FA and MD cannot leave."""
    muscles: dict[str, MuscleLaw]
    """Each muscle of the phantom."""
    correlation: Correlation
    """How values go together."""
    side_asymmetry: Annotated[float, Field(ge=0, lt=0.2)]
    """Standard deviation of (left − right) / 2 relative to the mean of both."""
    grade: Grades
    """Lovett grades."""
    covariates: dict[str, Covariate]
    """Age, BMI, T-score and disease duration."""
    share_female: dict[Group, float]
    """Share of women."""

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, source: str) -> Self:
        """Check a scenario as read from its YAML file.

        Parameters
        ----------
        values : dict
            Fields as in `data/scenarios/*.yaml`.
        source : str
            Name of the file, for messages.

        Returns
        -------
        Scenario
            The checked scenario.

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

    def moments(self, muscle: str, parameter: str, group: str) -> Moments:
        """Return mean and SD of a muscle's parameter in a group."""
        law = self.muscles[muscle]
        feature = law.fa if parameter == "fa" else law.md
        return feature.poor if group == "poor" else feature.good

    @model_validator(mode="after")
    def _moments_fit_bounds(self) -> Self:
        for muscle in self.muscles:
            for parameter, bounds in self.bounds.items():
                for group in ("poor", "good"):
                    moments = self.moments(muscle, parameter, group)
                    room = (moments.mean - bounds.low) * (bounds.high - moments.mean)
                    if moments.sd**2 >= room:
                        raise ValueError(f"{parameter} of {muscle}: mean ± SD do not fit between {bounds.low} and {bounds.high}")
        return self
