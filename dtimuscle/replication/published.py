"""What a study printed: its groups, numbers and claims, and what must be assumed to read them.

A study is data (`data/published/*.yaml`), so another study is another file. Numbers are kept as the text
that was printed, because its last digit tells how well they are known. What the source does not say but a
comparison needs is a reading: always marked as assumed, always with its reason.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from dtimuscle.errors import PublishedError
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.statistics.estimates import Interval

# What one of each printed unit is in the kit's own (mm²/s; none for FA).
UNITS = {
    "1": Decimal(1),
    "mm²/s": Decimal(1),
    "10⁻³ mm²/s": Decimal("1e-3"),
    "µm²/ms": Decimal("1e-3"),
    "10⁻⁶ mm²/s": Decimal("1e-6"),
}

Parameter = Literal["fa", "md", "ad", "rd"]
Unit = Literal["1", "mm²/s", "10⁻³ mm²/s", "µm²/ms", "10⁻⁶ mm²/s"]
Role = Literal["poor", "good"]


def _refusal(found: str, allowed: str, *, field: str = "") -> PydanticCustomError:
    context = {"found": found, "allowed": allowed, "field": field}
    return PydanticCustomError("refused", "found '{found}'; allowed: {allowed}", context)


def _one_of(known: Iterable[str], found: str) -> str:
    names = list(known)
    near = get_close_matches(found, names, n=1)
    return ", ".join(names) + (f". Did you mean '{near[0]}'?" if near else ".")


def _of_form(pattern: str, words: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _refusal(text, words)
        return text

    return AfterValidator(check)


_PARAMETER = "(fa|md|ad|rd)"
_FEATURE = rf"[a-z][a-z0-9_]*\.{_PARAMETER}"

Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, _of_form(r"[a-z][a-z0-9_]*", "small letters, digits and underscores, a letter first")]
Number = Annotated[str, _of_form(r"[-−]?\d+(\.\d+)?", "a number as printed, such as 1.02")]
Positive = Annotated[Number, _of_form(r"(?=.*[1-9])\d+(\.\d+)?", "a number above 0 as printed, such as 0.34")]
PBound = Annotated[str, _of_form(r"[<=≤>≥] ?[01]?\.\d+", "P as printed, such as < 0.05")]
Feature = Annotated[str, _of_form(_FEATURE, "muscle.parameter, such as adductor_longus.md (fa, md, ad or rd)")]
Predictor = Annotated[
    str,
    _of_form(rf"{_FEATURE}|{_PARAMETER}(\+{_PARAMETER})*", "muscle.parameter, or parameters such as md or fa+md"),
]


class Part(BaseModel):
    """A piece of a published study; unknown fields are refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _know_every_field(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                raise _refusal(str(name), _one_of(cls.model_fields, str(name)), field=str(name))
        return values


class Range(Part):
    """Whole numbers from `lowest` to `highest`, both included."""

    lowest: int
    """First of them."""
    highest: int
    """Last of them."""


class Design(Part):
    """What the study asks, and how it was made."""

    question: Text
    """What it asks, in one sentence of the kit's."""
    kind: Text
    """Retrospective, prospective, …"""
    centre: Text
    """Where."""
    period: Text
    """When."""
    patients: Text
    """Who."""
    n: Annotated[int, Field(gt=0)]
    """Number of patients."""
    predictors: Text
    """What was measured."""
    analyses: tuple[Text, ...]
    """Statistics that were used."""


class Outcome(Range):
    """The grade that the groups are made from; higher is stronger."""

    name: Text
    """What the grade is called."""


class Group(Part):
    """One of the groups that were compared."""

    id: Identifier
    """How claims refer to it."""
    title: Text
    """The group in words that can follow "with": poor muscle function."""
    stands_for: Role | None = None
    """Which group of new data it is held against; none if there is no such group."""
    grades: Range
    """Grades that belong to it."""
    n: Annotated[int, Field(gt=1)]
    """Number of patients."""


class PrintedInterval(Part):
    """A confidence interval as printed."""

    low: Number
    """Lower limit."""
    high: Number
    """Upper limit."""
    level_percent: Positive
    """Coverage, percent."""

    @property
    def interval(self) -> Interval:
        """The same as numbers."""
        level = float(_decimal(self.level_percent) / 100)
        return Interval(float(_decimal(self.low)), float(_decimal(self.high)), level)

    def require(self, estimate: str, *, lowest: int, highest: int) -> None:
        """Make sure that the interval can belong to an estimate.

        Parameters
        ----------
        estimate : str
            The printed estimate.
        lowest, highest : int
            Range that the quantity can have.

        Raises
        ------
        PydanticCustomError
            If the interval does not contain the estimate, or leaves the range.
        """
        low, value, high = (_decimal(number) for number in (self.low, estimate, self.high))
        if not lowest <= low <= value <= high <= highest:
            found = f"{estimate} ({self.low} to {self.high})"
            raise _refusal(
                found, f"an interval within {lowest} to {highest} that contains the estimate", field="interval"
            )


class Claim(Part):
    """What every claim has: a name, its place in the source, and what it states."""

    id: Identifier
    """How settings and verdicts refer to it."""
    place: Text
    """Where the source states it."""
    statement: Text
    """What is claimed, in one sentence."""
    remark: str = ""
    """What the source leaves open."""


class GroupDifference(Claim):
    """Features that are lower or higher in one group than in another."""

    kind: Literal["group_difference"]
    """Tells claims of this kind."""
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    """What differs."""
    group: Identifier
    """The group that is lower or higher …"""
    versus: Identifier
    """… than this one."""
    direction: Literal["lower", "higher"]
    """Which way."""
    p: PBound | None = None
    """P as printed."""


class GroupMean(Part):
    """Mean and standard deviation of one feature in one group, as printed."""

    feature: Feature
    """What was measured."""
    group: Identifier
    """In whom."""
    mean: Number
    """Mean, in the claim's unit."""
    sd: Positive
    """Standard deviation, in the claim's unit."""


class GroupMeans(Claim):
    """Means and standard deviations of features in the groups."""

    kind: Literal["group_means"]
    """Tells claims of this kind."""
    unit: Unit
    """Unit as printed; 1 where there is none."""
    means: Annotated[tuple[GroupMean, ...], Field(min_length=1)]
    """One entry for each feature and group."""

    @model_validator(mode="after")
    def _one_value_each(self) -> Self:
        seen = set()
        for row in self.means:
            has_unit = not row.feature.endswith(".fa")
            if has_unit == (self.unit == "1"):
                allowed = "a unit of diffusivity for md, ad and rd, and 1 for fa"
                raise _refusal(f"{self.unit} for {row.feature}", allowed, field="unit")
            if (row.feature, row.group) in seen:
                raise _refusal(
                    f"{row.feature} ({row.group}) twice", "one entry for each feature and group", field="means"
                )
            seen.add((row.feature, row.group))
        return self


class Factor(Part):
    """A feature that goes with the event."""

    feature: Feature
    """What was measured."""
    change: Literal["decrease", "increase"]
    """Which change of the feature goes with the event."""


class IndependentFactors(Claim):
    """Features that remain related to the event in a multivariable logistic regression."""

    kind: Literal["independent_factors"]
    """Tells claims of this kind."""
    event: Identifier
    """The group that is predicted."""
    factors: Annotated[tuple[Factor, ...], Field(min_length=1)]
    """The features and the change that goes with the event."""
    p: PBound | None = None
    """P as printed."""


class CorrelationClaim(Claim):
    """A correlation of features with the outcome, in the words in which it was printed."""

    kind: Literal["correlation"]
    """Tells claims of this kind."""
    features: tuple[Feature, ...] = ()
    """What was correlated; empty where the source does not say, and a reading does."""
    outcome: Literal["weakening", "strength"]
    """Whether the source speaks of strength or of its loss."""
    change: Literal["decrease", "increase"]
    """Whether the source speaks of the features themselves (increase) or of their decrease."""
    sign: Literal["positive", "negative"]
    """Sign of the correlation in these words."""
    coefficient: Number | None = None
    """Correlation coefficient as printed, for these words."""
    interval: PrintedInterval | None = None
    """Its confidence interval as printed."""
    p: PBound | None = None
    """P as printed."""

    @model_validator(mode="after")
    def _signs_agree(self) -> Self:
        if self.coefficient is None:
            if self.interval is not None:
                raise _refusal("an interval alone", "an interval together with its coefficient", field="interval")
            return self
        value = _decimal(self.coefficient)
        if not -1 <= value <= 1 or (value > 0) != (self.sign == "positive"):
            raise _refusal(
                self.coefficient, f"a {self.sign} number within -1 to 1, as `sign` says", field="coefficient"
            )
        if self.interval is not None:
            self.interval.require(self.coefficient, lowest=-1, highest=1)
        return self

    @property
    def turn(self) -> int:
        """1 if the printed words speak of the feature and of strength alike, −1 if one of them is turned round."""
        return 1 if (self.outcome == "weakening") == (self.change == "decrease") else -1

    @property
    def sign_with_grade(self) -> int:
        """Sign of the correlation between the feature's value and the grade: 1 or −1."""
        return self.turn * (1 if self.sign == "positive" else -1)


class AucClaim(Claim):
    """Area under the ROC curve of a feature, or of a model of several."""

    kind: Literal["auc"]
    """Tells claims of this kind."""
    predictor: Predictor
    """The feature, or the parameters that the model combines (fa+md)."""
    features: tuple[Feature, ...] = ()
    """What the model contains; empty where the source does not say, and a reading does."""
    auc: Number
    """Area as printed."""
    interval: PrintedInterval | None = None
    """Its confidence interval as printed."""

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        if not 0 <= _decimal(self.auc) <= 1:
            raise _refusal(self.auc, "an area within 0 to 1", field="auc")
        if self.interval is not None:
            self.interval.require(self.auc, lowest=0, highest=1)
        return self


class AucComparison(Claim):
    """One AUC that is higher than others."""

    kind: Literal["auc_comparison"]
    """Tells claims of this kind."""
    higher: Predictor
    """The predictor with the higher AUC."""
    lower: Annotated[tuple[Predictor, ...], Field(min_length=1)]
    """Those that it is compared with."""
    features: tuple[Feature, ...] = ()
    """What the models contain; empty where the source does not say, and a reading does."""
    p: PBound | None = None
    """P as printed."""


AnyClaim = Annotated[
    GroupDifference | GroupMeans | IndependentFactors | CorrelationClaim | AucClaim | AucComparison,
    Field(discriminator="kind"),
]


class Reading(Part):
    """What the source does not say but a comparison needs."""

    assumed: Literal[True]
    """Always true: a reading is never a published fact."""
    reason: Text
    """Why it is read this way."""


class ParameterNameReading(Reading):
    """Which parameter of the kit a printed name means."""

    kind: Literal["parameter_name"]
    """Tells readings of this kind."""
    printed: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Names as printed."""
    read_as: Parameter
    """The kit's parameter."""


class MuscleNameReading(Reading):
    """Which muscle a printed name means."""

    kind: Literal["muscle_name"]
    """Tells readings of this kind."""
    printed: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Names as printed."""
    read_as: Identifier
    """Canonical name of the muscle."""


class UnitReading(Reading):
    """Which unit a printed unit must mean."""

    kind: Literal["unit"]
    """Tells readings of this kind."""
    parameter: Parameter
    """The parameter that is printed in it."""
    printed: Unit
    """Unit as printed."""
    read_as: Unit
    """Unit that is meant."""


class FeaturesReading(Reading):
    """Which features claims are about that name none."""

    kind: Literal["features"]
    """Tells readings of this kind."""
    claims: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    """The claims that are read this way."""
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    """What they are taken to be about."""


AnyReading = Annotated[
    ParameterNameReading | MuscleNameReading | UnitReading | FeaturesReading, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Printed:
    """A printed mean and standard deviation, as text and as numbers.

    Parameters
    ----------
    value, sd : float
        Mean and standard deviation: diffusivities in mm²/s, FA without unit.
    step : float
        One unit of the mean's last printed digit, in the same unit; the mean is known to half of it.
    text : str
        As printed, with the printed unit.
    numbers : str
        As printed, without the unit.
    n : int
        Number of patients in the group.
    unit : str
        The unit that the numbers are read in.
    is_unit_assumed : bool
        Whether that is another unit than the printed one.
    """

    value: float
    sd: float
    step: float
    text: str
    numbers: str
    n: int
    unit: str
    is_unit_assumed: bool


@dataclass(frozen=True)
class PrintedAuc:
    """A printed area under a ROC curve, as text and as numbers.

    Parameters
    ----------
    value : float
        The area.
    interval : Interval or None
        Its confidence interval, where one is printed.
    step : float
        One unit of the last printed digit; the area is known to half of it.
    text : str
        As printed.
    """

    value: float
    interval: Interval | None
    step: float
    text: str


class PublishedStudy(Part):
    """Everything a study prints, and how it is read.

    Raises
    ------
    PublishedError
        From `from_mapping` and the look-ups, never from reading a field.
    """

    id: Identifier
    """Name of the study, as in settings."""
    citation: Text
    """Who wrote it."""
    title: Text
    """What it is called."""
    source: Text
    """What of it is at hand: abstract, full text."""
    design: Design
    """How it was made."""
    outcome: Outcome
    """The grade that the groups are made from."""
    groups: Annotated[tuple[Group, ...], Field(min_length=2)]
    """Who was compared."""
    claims: Annotated[tuple[AnyClaim, ...], Field(min_length=1)]
    """What is stated, in the order of the source."""
    readings: tuple[AnyReading, ...] = ()
    """What had to be assumed to read it."""

    @classmethod
    def from_mapping(cls, mapping: Any, *, source: str, registry: MuscleRegistry | None = None) -> Self:
        """Check a study as read from its YAML file.

        Parameters
        ----------
        mapping : dict
            Fields as in `data/published/*.yaml`.
        source : str
            Name of the file, for messages.
        registry : MuscleRegistry, optional
            Muscles that features may name; by default their names are not checked.

        Returns
        -------
        PublishedStudy
            The checked study.

        Raises
        ------
        PublishedError
            If a field is unknown, missing or not of its form, or parts contradict each other.
        """
        if not isinstance(mapping, dict):
            raise PublishedError(f"{source}: found {mapping!r}; allowed: a mapping with {', '.join(cls.model_fields)}.")
        try:
            study = cls.model_validate(_with_tuples(mapping))
        except ValidationError as error:
            raise PublishedError(f"{source}: {_explain(error, mapping)}") from error
        if registry is not None:
            for muscle in study.muscles:
                if muscle not in registry.names:
                    allowed = _one_of(registry.names, muscle)
                    raise PublishedError(f"{source}: muscle: found '{muscle}'; allowed: {allowed}")
        return study

    @model_validator(mode="after")
    def _parts_belong_together(self) -> Self:
        for field, names in (
            ("groups", [group.id for group in self.groups]),
            ("groups", [str(group.stands_for) for group in self.groups if group.stands_for]),
            ("claims", [claim.id for claim in self.claims]),
        ):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise _refusal(f"{twice[0]} twice", "each once", field=field)
        if sum(group.n for group in self.groups) != self.design.n:
            found = " + ".join(str(group.n) for group in self.groups)
            raise _refusal(found, f"groups that add up to design.n, {self.design.n}", field="groups")
        for claim in self.claims:
            for group in _groups_named(claim):
                if group not in {known.id for known in self.groups}:
                    allowed = _one_of((known.id for known in self.groups), group)
                    raise _refusal(group, allowed, field=f"claims.{claim.id}.group")
            self._require_features(claim)
        self._require_claims_of_readings()
        return self

    def _require_features(self, claim: Claim) -> None:
        n_sources = bool(_features_named(claim)) + sum(
            claim.id in reading.claims for reading in self._features_readings
        )
        if n_sources != 1:
            raise _refusal(
                "no features" if n_sources == 0 else "features in more than one place",
                "features in the claim, or one reading of kind features that names the claim",
                field=f"claims.{claim.id}.features",
            )

    def _require_claims_of_readings(self) -> None:
        known = [claim.id for claim in self.claims]
        for reading in self._features_readings:
            for name in reading.claims:
                if name not in known:
                    raise _refusal(name, _one_of(known, name), field="readings.features.claims")
        units = [(reading.parameter, reading.printed) for reading in self.readings if isinstance(reading, UnitReading)]
        for parameter, printed in units:
            if units.count((parameter, printed)) > 1:
                raise _refusal(f"{printed} for {parameter} twice", "one reading of each unit", field="readings.unit")

    @property
    def _features_readings(self) -> tuple[FeaturesReading, ...]:
        return tuple(reading for reading in self.readings if isinstance(reading, FeaturesReading))

    @property
    def muscles(self) -> tuple[str, ...]:
        """Muscles that claims and readings name, each once, in their order."""
        features = [feature for claim in self.claims for feature in self.features_of(claim.id)]
        read = [reading.read_as for reading in self.readings if isinstance(reading, MuscleNameReading)]
        return tuple(dict.fromkeys([*(feature.split(".")[0] for feature in features), *read]))

    def claim(self, claim_id: str) -> AnyClaim:
        """Look up a claim.

        Parameters
        ----------
        claim_id : str
            Its identifier.

        Returns
        -------
        Claim
            The claim.

        Raises
        ------
        PublishedError
            If the study has no such claim; the message lists those it has.
        """
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        allowed = _one_of((claim.id for claim in self.claims), claim_id)
        raise PublishedError(f"{self.id}: claims: found '{claim_id}'; allowed: {allowed}")

    def group(self, group_id: str) -> Group:
        """Look up a group.

        Parameters
        ----------
        group_id : str
            Its identifier.

        Returns
        -------
        Group
            The group.

        Raises
        ------
        PublishedError
            If the study has no such group; the message lists those it has.
        """
        for group in self.groups:
            if group.id == group_id:
                return group
        allowed = _one_of((group.id for group in self.groups), group_id)
        raise PublishedError(f"{self.id}: groups: found '{group_id}'; allowed: {allowed}")

    def features_of(self, claim_id: str) -> tuple[str, ...]:
        """List the features that a claim is about.

        Parameters
        ----------
        claim_id : str
            Identifier of the claim.

        Returns
        -------
        tuple of str
            As the claim names them; where it names none, as they are read (see `features_reading`).

        Raises
        ------
        PublishedError
            If the study has no such claim.
        """
        reading = self.features_reading(claim_id)
        return reading.features if reading else _features_named(self.claim(claim_id))

    def features_reading(self, claim_id: str) -> FeaturesReading | None:
        """Return the assumption about what a claim is about, or None where the source says it.

        Parameters
        ----------
        claim_id : str
            Identifier of the claim.
        """
        return next((reading for reading in self._features_readings if claim_id in reading.claims), None)

    def unit_reading(self, parameter: str, printed: str) -> UnitReading | None:
        """Return the assumption about a parameter's printed unit, or None where it is taken as printed.

        Parameters
        ----------
        parameter : str
            `fa`, `md`, `ad` or `rd`.
        printed : str
            Unit as printed.
        """
        for reading in self.readings:
            if isinstance(reading, UnitReading) and (reading.parameter, reading.printed) == (parameter, printed):
                return reading
        return None

    def parameter_title(self, parameter: str) -> str:
        """Return a parameter as pages print it, the study's own name first: ADC (MD).

        Parameters
        ----------
        parameter : str
            `fa`, `md`, `ad` or `rd`.
        """
        for reading in self.readings:
            if isinstance(reading, ParameterNameReading) and reading.read_as == parameter:
                return f"{reading.printed[0]} ({parameter.upper()})"
        return parameter.upper()

    def printed_mean(self, feature: str, group: str) -> Printed | None:
        """Find the printed mean of a feature.

        Parameters
        ----------
        feature : str
            Such as `adductor_longus.md`.
        group : {"poor", "good"}
            Group of new data; the study's group that stands for it is looked up.

        Returns
        -------
        Printed or None
            The first that is printed; None where there is none.
        """
        return self.printed_means.get((feature, group))

    @property
    def printed_means(self) -> dict[tuple[str, str], Printed]:
        """Printed means by feature and group of new data ("poor" or "good")."""
        found: dict[tuple[str, str], Printed] = {}
        for claim in self.claims:
            if not isinstance(claim, GroupMeans):
                continue
            for row in claim.means:
                role = self.group(row.group).stands_for
                if role is not None:
                    found.setdefault((row.feature, role), self.read_mean(claim, row))
        return found

    @property
    def printed_means_as_text(self) -> dict[tuple[str, str], str]:
        """Printed means as text without unit ("1.02 ± 0.34"), by feature and group of new data."""
        return {key: printed.numbers for key, printed in self.printed_means.items()}

    @property
    def printed_units_in_words(self) -> str:
        """Say in which unit each parameter's means are printed, and in which they are read; "" for plain numbers."""
        units: dict[str, str] = {}
        for claim in self.claims:
            if not isinstance(claim, GroupMeans) or claim.unit == "1":
                continue
            for row in claim.means:
                parameter = row.feature.split(".")[1]
                reading = self.unit_reading(parameter, claim.unit)
                read = f", and read as {reading.read_as}, an assumption" if reading else ""
                units[parameter] = f"The published {self.parameter_title(parameter)} is printed in {claim.unit}{read}."
        return " ".join(units.values())

    @property
    def printed_mean_values(self) -> dict[tuple[str, str], float]:
        """Printed means as numbers (diffusivities in mm²/s), by feature and group of new data."""
        return {key: printed.value for key, printed in self.printed_means.items()}

    def printed_directions(self, kind: Literal["difference", "correlation", "odds_ratio"]) -> dict[str, str]:
        """Say for each feature which direction is printed, in the words of a table of new data.

        A difference is of poor against good function, a correlation of the value with the grade (so that its
        sign and coefficient are turned where the source speaks of weakening or of a decrease), a factor
        is one of poor function. Claims about groups that stand for none of new data are left out.

        Parameters
        ----------
        kind : {"difference", "correlation", "odds_ratio"}
            What the table shows.

        Returns
        -------
        dict of str to str
            By feature, such as "lower, P < 0.05", "positive, P < 0.05" and "independent factor (lower FA),
            P < 0.05". What claims name no feature for holds for those that they are read for
            (see `features_reading`); of several claims about a feature the first counts.

        Raises
        ------
        PublishedError
            If the kind is another one.
        """
        directions = {
            "difference": self._differences,
            "correlation": self._correlations,
            "odds_ratio": self._factors,
        }
        if kind not in directions:
            raise PublishedError(f"{self.id}: kind of direction: found '{kind}'; allowed: {_one_of(directions, kind)}")
        found: dict[str, str] = {}
        for feature, words, p in directions[kind]():
            found.setdefault(feature, f"{words}, P {p}" if p else words)
        return found

    def _differences(self) -> Iterator[tuple[str, str, str | None]]:
        for claim in self.claims:
            if not isinstance(claim, GroupDifference):
                continue
            roles = (self.group(claim.group).stands_for, self.group(claim.versus).stands_for)
            if set(roles) == {"poor", "good"}:
                is_lower = (claim.direction == "lower") == (roles[0] == "poor")
                for feature in claim.features:
                    yield feature, "lower" if is_lower else "higher", claim.p

    def _correlations(self) -> Iterator[tuple[str, str, str | None]]:
        for claim in self.claims:
            if not isinstance(claim, CorrelationClaim):
                continue
            words = "positive" if claim.sign_with_grade > 0 else "negative"
            if claim.coefficient is not None:
                words += f", r = {_turned(claim.coefficient, claim.turn)}"
            if claim.interval is not None:
                low, high = (
                    _turned(end, claim.turn) for end in (claim.interval.low, claim.interval.high)[:: claim.turn]
                )
                words += f" ({claim.interval.level_percent}% CI {low} to {high})"
            for feature in self.features_of(claim.id):
                yield feature, words, claim.p

    def _factors(self) -> Iterator[tuple[str, str, str | None]]:
        for claim in self.claims:
            if not isinstance(claim, IndependentFactors):
                continue
            role = self.group(claim.event).stands_for
            for factor in claim.factors if role else ():
                is_lower = (factor.change == "decrease") == (role == "poor")
                name = self.parameter_title(factor.feature.split(".")[1]).partition(" (")[0]
                yield factor.feature, f"independent factor ({'lower' if is_lower else 'higher'} {name})", claim.p

    def read_mean(self, claim: GroupMeans, row: GroupMean) -> Printed:
        """Turn a printed mean into numbers, under the reading of its unit.

        Parameters
        ----------
        claim : GroupMeans
            The claim that gives the unit.
        row : GroupMean
            One of its entries.

        Returns
        -------
        Printed
            The mean as text and as numbers.
        """
        reading = self.unit_reading(row.feature.split(".")[1], claim.unit)
        unit = reading.read_as if reading else claim.unit
        numbers = f"{row.mean} ± {row.sd}"
        return Printed(
            value=float(_decimal(row.mean) * UNITS[unit]),
            sd=float(_decimal(row.sd) * UNITS[unit]),
            step=float(_step(row.mean) * UNITS[unit]),
            text=numbers if claim.unit == "1" else f"{numbers} {claim.unit}",
            numbers=numbers,
            n=self.group(row.group).n,
            unit=unit,
            is_unit_assumed=reading is not None,
        )

    def auc(self, predictor: str) -> PrintedAuc | None:
        """Find the printed AUC of a feature or model.

        Parameters
        ----------
        predictor : str
            Such as `fa+md`.

        Returns
        -------
        PrintedAuc or None
            The first that is printed; None where there is none.
        """
        return self.printed_aucs.get(predictor)

    @property
    def printed_aucs(self) -> dict[str, PrintedAuc]:
        """Printed AUCs by feature or model."""
        found: dict[str, PrintedAuc] = {}
        for claim in self.claims:
            if isinstance(claim, AucClaim):
                found.setdefault(claim.predictor, read_auc(claim))
        return found

    @property
    def printed_aucs_as_text(self) -> dict[str, str]:
        """Printed AUCs as text ("0.722 (95% CI 0.6239–0.821)"), by feature or model."""
        return {predictor: printed.text for predictor, printed in self.printed_aucs.items()}


def read_auc(claim: AucClaim) -> PrintedAuc:
    """Turn a printed AUC into numbers.

    Parameters
    ----------
    claim : AucClaim
        The claim that prints it.

    Returns
    -------
    PrintedAuc
        The AUC as text and as numbers.
    """
    return PrintedAuc(
        value=float(_decimal(claim.auc)),
        interval=claim.interval.interval if claim.interval else None,
        step=float(_step(claim.auc)),
        text=claim.auc + interval_text(claim.interval),
    )


def read_coefficient(claim: CorrelationClaim) -> tuple[float | None, Interval | None]:
    """Turn a printed correlation into one of the feature's value with the grade.

    Parameters
    ----------
    claim : CorrelationClaim
        The claim that may print it.

    Returns
    -------
    value : float or None
        The coefficient, its sign turned where the words speak of a decrease or of weakening; None if not printed.
    interval : Interval or None
        Its interval, turned alike.
    """
    value = None if claim.coefficient is None else claim.turn * float(_decimal(claim.coefficient))
    if claim.interval is None:
        return value, None
    printed = claim.interval.interval
    low, high = sorted((claim.turn * printed.low, claim.turn * printed.high))
    return value, Interval(low, high, printed.level)


def interval_text(interval: PrintedInterval | None) -> str:
    """Write a printed interval after its estimate; nothing where there is none.

    Parameters
    ----------
    interval : PrintedInterval or None
        What is printed.
    """
    return f" ({interval.level_percent}% CI {interval.low}–{interval.high})" if interval else ""


def _with_tuples(value: Any) -> Any:
    """Turn the lists of YAML into tuples, which strict fields ask for."""
    if isinstance(value, dict):
        return {key: _with_tuples(entry) for key, entry in value.items()}
    return tuple(_with_tuples(entry) for entry in value) if isinstance(value, list) else value


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace("−", "-"))


def _turned(number: str, turn: int) -> str:
    """Write a printed number with its sign kept (1) or turned (−1), and its digits as they are."""
    digits = number.lstrip("-−")
    is_negative = (number != digits) == (turn > 0)
    return f"−{digits}" if is_negative and _decimal(digits) else digits


def _step(text: str) -> Decimal:
    return Decimal(1).scaleb(-len(text.partition(".")[2]))


def _groups_named(claim: Claim) -> Iterator[str]:
    if isinstance(claim, GroupDifference):
        yield from (claim.group, claim.versus)
    elif isinstance(claim, GroupMeans):
        yield from (row.group for row in claim.means)
    elif isinstance(claim, IndependentFactors):
        yield claim.event


def _features_named(claim: Claim) -> tuple[str, ...]:
    match claim:
        case GroupMeans():
            return tuple(dict.fromkeys(row.feature for row in claim.means))
        case IndependentFactors():
            return tuple(factor.feature for factor in claim.factors)
        case GroupDifference() | CorrelationClaim():
            return claim.features
        case AucClaim():
            return claim.features or _single(claim.predictor)
        case AucComparison():
            single = [_single(predictor) for predictor in (claim.higher, *claim.lower)]
            return claim.features or (sum(single, ()) if all(single) else ())
    return ()


def _single(predictor: str) -> tuple[str, ...]:
    return (predictor,) if "." in predictor else ()


def _explain(error: ValidationError, mapping: dict[str, Any]) -> str:
    details = error.errors(include_url=False)
    first = details[0]
    extra = first.get("ctx", {}).get("field", "")
    place = ".".join(part for part in (_place(first["loc"], mapping), extra) if part)
    sentence = _EXPLANATIONS.get(first["type"], _other)(first)
    end = "" if sentence.endswith((".", "?")) else "."
    more = f" ({len(details) - 1} more after this one.)" if len(details) > 1 else ""
    return f"{place or 'the file'}: {sentence}{end}{more}"


def _place(loc: tuple[int | str, ...], mapping: dict[str, Any]) -> str:
    """Name a place by identifiers instead of positions, without the tags that pydantic adds for kinds."""
    names: list[str] = []
    current: Any = mapping
    for index, part in enumerate(loc):
        is_tag = index > 0 and isinstance(loc[index - 1], int) and part == current.get("kind")
        if isinstance(part, int):
            current = current[part]
            names.append(str(current["id"]) if isinstance(current, dict) and "id" in current else str(part + 1))
        elif not is_tag:
            current = current.get(part)
            names.append(part)
    return ".".join(names)


def _unknown_kind(detail: ErrorDetails) -> str:
    known = re.findall(r"'([^']+)'", detail["ctx"]["expected_tags"])
    return f"kind: found '{detail['ctx']['tag']}'; allowed: {_one_of(known, detail['ctx']['tag'])}"


def _other(detail: ErrorDetails) -> str:
    message = detail["msg"]
    return f"found {_shown(detail)}; allowed: {message[0].lower()}{message[1:]}"


def _shown(detail: ErrorDetails) -> str:
    return json.dumps(detail["input"], ensure_ascii=False, default=str)


_EXPLANATIONS: dict[str, Callable[[ErrorDetails], str]] = {
    "refused": lambda detail: detail["msg"],
    "missing": lambda _: "found nothing; allowed: this field is needed",
    "string_type": lambda detail: f"found {_shown(detail)}; allowed: text; put numbers as printed and dates in quotes",
    "literal_error": lambda detail: f"found {_shown(detail)}; allowed: {detail['ctx']['expected']}",
    "union_tag_invalid": _unknown_kind,
    "union_tag_not_found": lambda _: "found no kind; allowed: `kind` says what it is",
}
