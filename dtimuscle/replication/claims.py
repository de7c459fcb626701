"""What can be said about a printed study: its design and groups, the kinds of claim, and the kinds of reading.

Each class is a part of `data/published/*.yaml`, and its fields are those of the file. Numbers are kept as the text
that was printed, because its last digit tells how well they are known; P is taken to be uncorrected for many tests.
`published` puts the parts together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from dtimuscle.data_files import Place, StrictPart, one_of, refusal, shown
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
Test = Literal["student", "welch", "mann_whitney", "other"]
Correction = Literal["none stated", "bonferroni", "holm", "benjamini_hochberg", "other"]
Validation = Literal["apparent", "cross_validated", "external"]


@dataclass(frozen=True)
class _Form:
    """What text of a kind looks like: as a regular expression, and in words for whoever wrote something else."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": f"^({self.pattern})$", "patternErrorMessage": self.words}

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise refusal(shown(text), self.words)
        return text


def _known_muscle(text: str, info: ValidationInfo) -> str:
    """Refuse a muscle that the registry lacks; without a registry, and for models (fa+md), every name passes."""
    known = (info.context or {}).get("muscles")
    muscle = text.partition(".")[0]
    if known is not None and (not _IS_MODEL.fullmatch(text)) and muscle not in known:
        raise refusal(shown(muscle), f"a muscle of the registry: {one_of(known, muscle)}")
    return text


_PARAMETER = "(fa|md|ad|rd)"
_FEATURE = rf"[a-z][a-z0-9_]*\.{_PARAMETER}"
_MODEL = rf"{_PARAMETER}(\+{_PARAMETER})*"
_IS_MODEL = re.compile(_MODEL)

Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, _Form("[a-z][a-z0-9_]*", "small letters, digits and underscores, a letter first")]
Number = Annotated[str, _Form(r"[-−]?[0-9]+(\.[0-9]+)?", "a number as printed, such as 1.02")]
Positive = Annotated[str, _Form(r"(?=.*[1-9])[0-9]+(\.[0-9]+)?", "a number above 0 as printed, such as 0.34")]
Level = Annotated[str, _Form(r"[5-9][0-9](\.[0-9]+)?", "percent from 50 to below 100, such as 95")]
PBound = Annotated[
    str,
    _Form(
        r"((<=|>=|[<=≤>≥]) ?)?(0?\.[0-9]+|0|1(\.0+)?)", "P as printed, such as < 0.05, = 0.012 or 0.012 (which means =)"
    ),
]
Muscle = Annotated[Identifier, AfterValidator(_known_muscle)]
Feature = Annotated[
    str,
    _Form(_FEATURE, "muscle.parameter, such as adductor_longus.md (fa, md, ad or rd)"),
    AfterValidator(_known_muscle),
]
Predictor = Annotated[
    str,
    _Form(rf"{_FEATURE}|{_MODEL}", "muscle.parameter, or parameters such as md or fa+md"),
    AfterValidator(_known_muscle),
]


class Range(StrictPart):
    """Whole numbers from `lowest` to `highest`, both included."""

    lowest: int
    """First of them."""
    highest: int
    """Last of them."""

    @model_validator(mode="after")
    def _lowest_is_lower(self) -> Self:
        if self.lowest > self.highest:
            raise refusal(f"{self.lowest} to {self.highest}", "lowest first, then highest", field=("lowest",))
        return self


class Design(StrictPart):
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
    n_tests: Annotated[int, Field(gt=0)] | None = None
    """Number of features that were tested for a difference, those without one included, if the source says it."""
    correction: Correction = "none stated"
    """What the source does about many tests."""


class Outcome(Range):
    """The grade that the groups are made from; higher is stronger."""

    name: Text
    """What the grade is called."""


class Group(StrictPart):
    """One of the groups that were compared."""

    id: Identifier
    """How claims refer to it."""
    title: Text
    """The group in words that can follow "with": poor muscle function."""
    stands_for: Role | None = None
    """Which group of new data it is held against; none if there is no such group."""
    grades: Range | None = None
    """Grades that belong to it; none where groups are not made from a grade."""
    n: Annotated[int, Field(gt=1)]
    """Number of patients."""


class PrintedInterval(StrictPart):
    """A confidence interval as printed."""

    low: Number
    """Lower limit."""
    high: Number
    """Upper limit."""
    level_percent: Level
    """Coverage, percent."""

    @property
    def interval(self) -> Interval:
        """The same as numbers."""
        level = float(as_decimal(self.level_percent) / 100)
        return Interval(float(as_decimal(self.low)), float(as_decimal(self.high)), level)

    def require(self, estimate: str, *, lowest: int, highest: int | None = None) -> None:
        """Make sure that the interval can belong to an estimate.

        Parameters
        ----------
        estimate : str
            The printed estimate.
        lowest : int
            Least that the quantity can be.
        highest : int, optional
            Most that it can be.

        Raises
        ------
        PydanticCustomError
            If the interval does not contain the estimate, or leaves the range.
        """
        low, value, high = (as_decimal(number) for number in (self.low, estimate, self.high))
        if not lowest <= low <= value <= high or (highest is not None and high > highest):
            found = f"{estimate} ({self.low} to {self.high})"
            within = f"of at least {lowest}" if highest is None else f"within {lowest} to {highest}"
            raise refusal(f"'{found}'", f"an interval {within} that contains the estimate", field=("interval",))


class Claim(StrictPart):
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
    """P as printed, the same for each of the features."""
    test: Test | None = None
    """The test that P comes from, if the source says it; an adjusted comparison is `other`."""

    @model_validator(mode="after")
    def _two_groups(self) -> Self:
        if self.group == self.versus:
            raise refusal(shown(self.versus), f"another group than {self.group}", field=("versus",))
        return self


class GroupMean(StrictPart):
    """Mean and standard deviation of one feature in one group, as printed."""

    feature: Feature
    """What was measured."""
    group: Identifier
    """In whom."""
    mean: Number
    """Mean, in the claim's unit."""
    sd: Positive
    """The number after ±, in the claim's unit: the standard deviation, or what the claim's `spread` says."""
    n: Annotated[int, Field(gt=1)] | None = None
    """Number of patients with a value, where it is not the whole group."""
    versus: Identifier | None = None
    """The group that this one is compared with in `p`."""
    p: PBound | None = None
    """P of that comparison as printed."""

    @model_validator(mode="after")
    def _p_compares_two_groups(self) -> Self:
        if (self.p is None) != (self.versus is None):
            found = "p without versus" if self.versus is None else "versus without p"
            raise refusal(found, "both or neither", field=("p" if self.versus is None else "versus",))
        if self.group == self.versus:
            raise refusal(shown(self.group), f"another group than {self.group}", field=("versus",))
        return self


class GroupMeans(Claim):
    """Means and standard deviations of features in the groups."""

    kind: Literal["group_means"]
    """Tells claims of this kind."""
    unit: Unit
    """Unit as printed; 1 where there is none."""
    spread: Literal["sd", "se"] = "sd"
    """What stands after ±: standard deviations, or standard errors of the means."""
    test: Test | None = None
    """The test that the entries' P come from, if the source says it."""
    means: Annotated[tuple[GroupMean, ...], Field(min_length=1)]
    """One entry for each feature and group."""

    @model_validator(mode="after")
    def _one_value_each(self) -> Self:
        seen = set()
        for position, row in enumerate(self.means):
            has_unit = not row.feature.endswith(".fa")
            if has_unit == (self.unit == "1"):
                allowed = "a unit of diffusivity for md, ad and rd, and 1 for fa"
                raise refusal(f"{shown(self.unit)} for {row.feature}", allowed, field=("unit",))
            if (row.feature, row.group) in seen:
                allowed = "one entry for each feature and group"
                raise refusal(f"{row.feature} ({row.group}) twice", allowed, field=("means", position))
            seen.add((row.feature, row.group))
        return self


class Factor(StrictPart):
    """A feature that goes with the event."""

    feature: Feature
    """What was measured."""
    change: Literal["decrease", "increase"]
    """Which change of the feature goes with the event."""
    odds_ratio: Positive | None = None
    """Odds ratio of the event as printed, for an increase of the feature."""
    interval: PrintedInterval | None = None
    """Its confidence interval as printed."""
    per: Text | None = None
    """The increase that it is for, in words: 0.01, one SD."""
    p: PBound | None = None
    """P of this factor as printed; by default that of the claim."""

    @model_validator(mode="after")
    def _odds_ratio_fits(self) -> Self:
        if self.odds_ratio is None:
            for field in ("interval", "per"):
                if getattr(self, field) is not None:
                    raise refusal(f"{field} alone", f"{field} together with its odds_ratio", field=(field,))
            return self
        value = as_decimal(self.odds_ratio)
        if value != 1 and (value > 1) != (self.change == "increase"):
            side = "above" if self.change == "increase" else "below"
            allowed = f"a number {side} 1, since an odds ratio is for an increase and `change` says {self.change}"
            raise refusal(shown(self.odds_ratio), allowed, field=("odds_ratio",))
        if self.interval is not None:
            self.interval.require(self.odds_ratio, lowest=0)
        return self


class IndependentFactors(Claim):
    """Features that remain related to the event in a multivariable logistic regression."""

    kind: Literal["independent_factors"]
    """Tells claims of this kind."""
    event: Identifier
    """The group that is predicted."""
    factors: Annotated[tuple[Factor, ...], Field(min_length=1)]
    """The features and the change that goes with the event."""
    p: PBound | None = None
    """P as printed, the same for each of the factors."""


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
    method: Literal["pearson", "spearman", "kendall"] | None = None
    """Which coefficient it is, if the source says it."""
    n: Annotated[int, Field(gt=2)] | None = None
    """Number of patients it rests on, where these are not all."""
    p: PBound | None = None
    """P as printed, the same for each of the features."""

    @model_validator(mode="after")
    def _signs_agree(self) -> Self:
        if self.coefficient is None:
            if self.interval is not None:
                raise refusal("an interval alone", "an interval together with its coefficient", field=("interval",))
            return self
        value = as_decimal(self.coefficient)
        if not -1 <= value <= 1 or (value > 0) != (self.sign == "positive"):
            allowed = f"a {self.sign} number within -1 to 1, as `sign` says"
            raise refusal(shown(self.coefficient), allowed, field=("coefficient",))
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
    p: PBound | None = None
    """P against an area of 0.5 as printed."""
    validation: Validation | None = None
    """Where it was computed, if the source says it: in the patients of the fit, across folds, or in other patients."""
    n_event: Annotated[int, Field(gt=1)] | None = None
    """Patients with poor muscle function that it rests on, where these are not the whole group."""
    n_other: Annotated[int, Field(gt=1)] | None = None
    """Patients that they are told from, where these are not the group with good function."""

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        if not 0 <= as_decimal(self.auc) <= 1:
            raise refusal(shown(self.auc), "an area within 0 to 1", field=("auc",))
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


class Reading(StrictPart):
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
    read_as: Muscle
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


def as_decimal(text: str) -> Decimal:
    """Read a printed number, whichever minus sign it has.

    Parameters
    ----------
    text : str
        Such as "−0.45".
    """
    return Decimal(text.replace("−", "-"))


def groups_named(claim: Claim) -> Iterator[tuple[Place, str]]:
    """List the groups that a claim names, each with the field that does.

    Parameters
    ----------
    claim : Claim
        Of any kind.

    Yields
    ------
    tuple of (tuple, str)
        Field within the claim, and identifier of the group.
    """
    match claim:
        case GroupDifference():
            yield ("group",), claim.group
            yield ("versus",), claim.versus
        case GroupMeans():
            for position, row in enumerate(claim.means):
                yield ("means", position, "group"), row.group
                if row.versus is not None:
                    yield ("means", position, "versus"), row.versus
        case IndependentFactors():
            yield ("event",), claim.event


def features_named(claim: Claim) -> tuple[str, ...]:
    """List the features that a claim itself names.

    Parameters
    ----------
    claim : Claim
        Of any kind.

    Returns
    -------
    tuple of str
        Each once; empty where a reading must say them.
    """
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
