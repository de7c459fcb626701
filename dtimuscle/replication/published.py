"""What a study printed: its groups, numbers and claims, and what must be assumed to read them.

A study is data (`data/published/*.yaml`), so another study is another file. Numbers are kept as the text
that was printed, because its last digit tells how well they are known. What the source does not say but a
comparison needs is a reading: always marked as assumed, always with its reason.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.json_schema import GenerateJsonSchema

from dtimuscle.data_files import File, Lines, Place, StrictPart, one_of, refusal, shown
from dtimuscle.errors import DtiMuscleError, PublishedError
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.replication.claims import (
    UNITS,
    AnyClaim,
    AnyReading,
    AucClaim,
    AucComparison,
    Claim,
    CorrelationClaim,
    Design,
    Factor,
    FeaturesReading,
    Group,
    GroupDifference,
    GroupMean,
    GroupMeans,
    Identifier,
    IndependentFactors,
    MuscleNameReading,
    Outcome,
    Parameter,
    ParameterNameReading,
    PrintedInterval,
    Test,
    Text,
    UnitReading,
    as_decimal,
    features_named,
    groups_named,
)
from dtimuscle.statistics.estimates import Interval

__all__ = [
    "UNITS",
    "AnyClaim",
    "AnyReading",
    "AucClaim",
    "AucComparison",
    "Claim",
    "CorrelationClaim",
    "Design",
    "Factor",
    "FeaturesReading",
    "Group",
    "GroupDifference",
    "GroupMean",
    "GroupMeans",
    "IndependentFactors",
    "MuscleNameReading",
    "Parameter",
    "ParameterNameReading",
    "Printed",
    "PrintedAuc",
    "PrintedInterval",
    "PublishedStudy",
    "Test",
    "UnitReading",
    "interval_text",
    "json_schema",
    "read_auc",
    "read_coefficient",
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


class PublishedStudy(StrictPart, File):
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
    outcome: Outcome | None = None
    """The grade that the groups are made from; none where they are not, as patients against controls."""
    groups: Annotated[tuple[Group, ...], Field(min_length=2)]
    """Who was compared."""
    claims: Annotated[tuple[AnyClaim, ...], Field(min_length=1)]
    """What is stated, in the order of the source."""
    readings: tuple[AnyReading, ...] = ()
    """What had to be assumed to read it."""

    refused_with: ClassVar[type[DtiMuscleError]] = PublishedError

    @classmethod
    def from_mapping(
        cls, values: Any, *, source: str, lines: Lines | None = None, registry: MuscleRegistry | None = None
    ) -> Self:
        """Check a study as read from its YAML file.

        Parameters
        ----------
        values : dict
            Fields as in `data/published/*.yaml`.
        source : str
            Name of the file, for messages.
        lines : mapping of tuple to int, optional
            Line of each field, for messages; by default they name none.
        registry : MuscleRegistry, optional
            Muscles that features may name; by default their names are not checked.

        Returns
        -------
        PublishedStudy
            The checked study.

        Raises
        ------
        PublishedError
            If a field is unknown, missing or not of its form, or parts contradict each other. The message is one
            line: file, line, field, what was found and what is allowed.
        """
        context = {"muscles": registry.names} if registry is not None else None
        return cls._checked(values, source=source, lines=lines, context=context)

    @model_validator(mode="after")
    def _parts_belong_together(self) -> Self:
        self._require_each_once()
        self._require_grades()
        self._require_claims_of_readings()
        known = [group.id for group in self.groups]
        for position, claim in enumerate(self.claims):
            for place, group in groups_named(claim):
                if group not in known:
                    raise refusal(shown(group), one_of(known, group), field=("claims", position, *place))
            self._require_features(position, claim)
            for place, n, largest in self._numbers(claim):
                if n is not None and n > largest:
                    raise refusal(str(n), f"at most {largest} patients", field=("claims", position, *place))
        return self

    def _require_each_once(self) -> None:
        units = [
            f"{reading.printed} for {reading.parameter}" if isinstance(reading, UnitReading) else ""
            for reading in self.readings
        ]
        for part, field, names in (
            ("groups", "id", [group.id for group in self.groups]),
            ("groups", "stands_for", [group.stands_for or "" for group in self.groups]),
            ("claims", "id", [claim.id for claim in self.claims]),
            ("readings", "printed", units),
        ):
            for position, name in enumerate(names):
                if name and name in names[:position]:
                    raise refusal(f"{shown(name)} twice", "each once", field=(part, position, field))

    def _require_grades(self) -> None:
        if sum(group.n for group in self.groups) != self.design.n:
            found = " + ".join(str(group.n) for group in self.groups)
            raise refusal(found, f"groups that add up to design.n, {self.design.n}", field=("groups",))
        for position, group in enumerate(self.groups):
            self._require_grade(position, group)

    def _require_grade(self, position: int, group: Group) -> None:
        place = ("groups", position, "grades")
        if group.grades is None and self.outcome is None:
            return
        if self.outcome is None:
            raise refusal("grades", "grades only together with the outcome that they are grades of", field=place)
        if group.grades is None:
            raise refusal("no grades", "grades of the outcome for every group, or no outcome", field=place)
        if not self.outcome.lowest <= group.grades.lowest <= group.grades.highest <= self.outcome.highest:
            found = f"{group.grades.lowest} to {group.grades.highest}"
            allowed = f"grades of the outcome, {self.outcome.lowest} to {self.outcome.highest}"
            raise refusal(found, allowed, field=place)

    def _require_features(self, position: int, claim: Claim) -> None:
        n_sources = bool(features_named(claim)) + sum(claim.id in reading.claims for reading in self._features_readings)
        if n_sources != 1:
            raise refusal(
                "no features" if n_sources == 0 else "features in more than one place",
                "features in the claim, or one reading of kind features that names the claim",
                field=("claims", position, "features"),
            )

    def _numbers(self, claim: Claim) -> Iterator[tuple[Place, int | None, int]]:
        """List the numbers of patients that a claim prints, and what each can be at most."""
        match claim:
            case GroupMeans():
                for position, row in enumerate(claim.means):
                    yield ("means", position, "n"), row.n, self.group(row.group).n
            case CorrelationClaim():
                yield ("n",), claim.n, self.design.n
            case AucClaim():
                poor = sum(group.n for group in self.groups if group.stands_for == "poor")
                yield ("n_event",), claim.n_event, poor
                yield ("n_other",), claim.n_other, self.design.n - poor

    def _require_claims_of_readings(self) -> None:
        known = [claim.id for claim in self.claims]
        for position, reading in enumerate(self.readings):
            for entry, name in enumerate(reading.claims if isinstance(reading, FeaturesReading) else ()):
                if name not in known:
                    raise refusal(shown(name), one_of(known, name), field=("readings", position, "claims", entry))

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
        allowed = one_of((claim.id for claim in self.claims), claim_id)
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
        allowed = one_of((group.id for group in self.groups), group_id)
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
        return reading.features if reading else features_named(self.claim(claim_id))

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

    def in_words(self, name: str) -> str:
        """Write a feature, a model or a muscle as a sentence can name it.

        Parameters
        ----------
        name : str
            `adductor_longus.md` becomes "ADC (MD) of adductor longus", `fa+md` "FA + ADC (MD)", and a muscle words.
        """
        muscle, dot, parameter = name.partition(".")
        if dot:
            return f"{self.parameter_title(parameter)} of {self.in_words(muscle)}"
        if set(name.split("+")) <= {"fa", "md", "ad", "rd"}:
            return " + ".join(self.parameter_title(part) for part in name.split("+"))
        return name.replace("_", " ")

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
            raise PublishedError(f"{self.id}: kind of direction: found '{kind}'; allowed: {one_of(directions, kind)}")
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
                words = f"independent factor ({'lower' if is_lower else 'higher'} {name})"
                if factor.odds_ratio is not None:
                    # Of a table of poor function the odds ratio of the other group would be the wrong one.
                    whose = "" if role == "poor" else f" of {self.group(claim.event).title}"
                    words += f", odds ratio{whose} {factor.odds_ratio}{interval_text(factor.interval)}"
                    words += f" per {factor.per}" if factor.per else ""
                yield factor.feature, words, factor.p or claim.p

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
        numbers = f"{row.mean} ± {row.sd}{' (SE)' if claim.spread == 'se' else ''}"
        n = row.n or self.group(row.group).n
        return Printed(
            value=float(as_decimal(row.mean) * UNITS[unit]),
            sd=float(as_decimal(row.sd) * UNITS[unit]) * (math.sqrt(n) if claim.spread == "se" else 1),
            step=float(_step(row.mean) * UNITS[unit]),
            text=numbers if claim.unit == "1" else f"{numbers} {claim.unit}",
            numbers=numbers,
            n=n,
            unit=unit,
            is_unit_assumed=reading is not None,
        )

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


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles that are made of the names of fields and say nothing more."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def json_schema() -> dict[str, Any]:
    """Describe the YAML of a published study to editors and other programs (JSON Schema, draft 2020-12).

    What holds between fields (groups that add up, features that are named once) is beyond it; `from_mapping` checks
    it too, and the names of muscles.

    Returns
    -------
    dict
        The schema, with the description of every field.
    """
    schema = PublishedStudy.model_json_schema(schema_generator=_WithoutTitles)
    # Of the descriptions of parts only the first paragraph is about the file; the rest is about the class.
    for part in schema["$defs"].values():
        part["description"] = part["description"].partition("\n\n")[0]
    return schema | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Published study",
        "description": "What a study printed: its groups, numbers and claims, and what must be assumed to read them.",
    }


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
        value=float(as_decimal(claim.auc)),
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
    value = None if claim.coefficient is None else claim.turn * float(as_decimal(claim.coefficient))
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


def _turned(number: str, turn: int) -> str:
    """Write a printed number with its sign kept (1) or turned (−1), and its digits as they are."""
    digits = number.lstrip("-−")
    is_negative = (number != digits) == (turn > 0)
    return f"−{digits}" if is_negative and as_decimal(digits) else digits


def _step(text: str) -> Decimal:
    return Decimal(1).scaleb(-len(text.partition(".")[2]))
