"""Tables of what a study prints, and of what was assumed to read it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import PARAMETERS, feature_title
from dtimuscle.replication.published import (
    AnyClaim,
    AnyReading,
    AucClaim,
    AucComparison,
    CorrelationClaim,
    FeaturesReading,
    GroupDifference,
    GroupMeans,
    IndependentFactors,
    MuscleNameReading,
    ParameterNameReading,
    PublishedStudy,
    UnitReading,
    interval_text,
)
from dtimuscle.statistics.features import split_feature

# Subjects of one printed text are named up to this many, and counted beyond.
_MOST_NAMED = 2


@dataclass(frozen=True)
class PrintedStatement:
    """What a claim prints about one feature or model.

    Parameters
    ----------
    subject : str
        Feature, or predictor of a model.
    printed : str
        Direction and numbers, as printed.
    group : str, default=""
        Title of the group that a mean belongs to.
    """

    subject: str
    printed: str
    group: str = ""


def printed_statements(study: PublishedStudy, claim: AnyClaim) -> tuple[PrintedStatement, ...]:
    """List what a claim prints, one entry for each feature or model (and group, for means).

    Parameters
    ----------
    study : PublishedStudy
        The study.
    claim : Claim
        One of its claims.

    Returns
    -------
    tuple of PrintedStatement
        In the order of the claim.
    """
    return tuple(_statements(study, claim))


def _statements(study: PublishedStudy, claim: AnyClaim) -> Iterator[PrintedStatement]:
    match claim:
        case GroupDifference():
            words = f"{claim.direction} with {study.group(claim.group).title}"
            yield from (PrintedStatement(feature, _with_p(words, claim.p)) for feature in claim.features)
        case GroupMeans():
            unit = (" (mean ± SE)" if claim.spread == "se" else "") + ("" if claim.unit == "1" else f" {claim.unit}")
            for row in claim.means:
                against = f" against {study.group(row.versus).title}" if row.versus else ""
                printed = _with_p(f"{row.mean} ± {row.sd}{unit}", row.p) + against
                yield PrintedStatement(row.feature, printed, study.group(row.group).title)
        case IndependentFactors():
            for factor in claim.factors:
                words = f"{factor.change} goes with {study.group(claim.event).title}"
                if factor.odds_ratio is not None:
                    words += f", odds ratio {factor.odds_ratio}{interval_text(factor.interval)}"
                    words += f" per {factor.per}" if factor.per else ""
                yield PrintedStatement(factor.feature, _with_p(words, factor.p or claim.p))
        case CorrelationClaim():
            words = f"{claim.sign}, of the {claim.change} with {claim.outcome}"
            if claim.coefficient is not None:
                words += f", r = {claim.coefficient}{interval_text(claim.interval)}"
            yield from (PrintedStatement(name, _with_p(words, claim.p)) for name in study.features_of(claim.id))
        case AucClaim():
            yield PrintedStatement(claim.predictor, _with_p(claim.auc + interval_text(claim.interval), claim.p))
        case AucComparison():
            for other in claim.lower:
                yield PrintedStatement(f"{claim.higher} - {other}", _with_p("AUC higher", claim.p))


def printed_in_short(study: PublishedStudy, claim: AnyClaim, *, features: Iterable[str] = ()) -> str:
    """Write the numbers of a claim in one line.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    claim : Claim
        One of its claims.
    features : iterable of str, optional
        Only what is printed about these, where the claim prints something about each; all by default.

    Returns
    -------
    str
        Such as "0.722 (95% CI 0.6239–0.821)" or "1.02 ± 0.34 and 1.74 ± 0.41 mm²/s (ADC (MD) of gracilis)".
    """
    wanted = set(features)
    statements = printed_statements(study, claim)
    statements = tuple(found for found in statements if found.subject in wanted) or statements
    if not isinstance(claim, GroupMeans):
        return "; ".join(dict.fromkeys(found.printed for found in statements))
    parts = []
    for feature in dict.fromkeys(found.subject for found in statements):
        values = [f"{found.printed} ({found.group})" for found in statements if found.subject == feature]
        parts.append(f"{study.in_words(feature)}: {', '.join(values)}")
    return "; ".join(parts)


def claims_table(study: PublishedStudy, registry: MuscleRegistry, *, name: str = "printed_claims") -> Exhibit:
    """List every claim of a study as it was printed.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="printed_claims"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One group of rows per claim, one row per printed number or direction.
    """
    cells, records = [], []
    for claim in study.claims:
        statements = printed_statements(study, claim)
        head = {"claim_id": claim.id, "kind": claim.kind, "place": claim.place, "statement": claim.statement}
        records += [head | {"remark": claim.remark} | vars(found) for found in statements]
        heading = " ".join(part for part in (claim.statement, claim.remark) if part)
        for (printed, group), subjects in _alike(statements).items():
            label = _subjects_label(subjects, registry) + (f", {group}" if group else "")
            cells.append({"heading": heading, "subject": label, "printed": printed} | head)
    columns = [
        Column("printed", "As printed", align="left"),
        Column("place", "Where", align="left"),
        Column("claim_id", "Name of the claim", align="left"),
    ]
    title = "What the study prints"
    html = table_html(name, pd.DataFrame(cells), columns, title=title, row_label=("subject", "About"), group="heading")
    summary = (
        f"The {len(study.claims)} claims that the audit looks at, from the {study.source}, in their order and with "
        "their numbers as printed. All that was found rests on these rows."
    )
    return Exhibit(name, "table", title, summary, pd.DataFrame(records), html=html, rests_on="print")


def readings_table(study: PublishedStudy, registry: MuscleRegistry, *, name: str = "readings") -> Exhibit:
    """List what had to be assumed to read a study.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="readings"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per assumption, with its reason.
    """
    rows = [dict(zip(("printed", "read_as"), _reading_words(study, reading, registry), strict=True))
            | {"kind": reading.kind, "reason": reading.reason} for reading in study.readings]  # fmt: skip
    data = pd.DataFrame(rows, columns=["printed", "read_as", "kind", "reason"])
    columns = [Column("read_as", "Is read as", align="left"), Column("reason", "Because", align="left")]
    title = "What had to be assumed to read it"
    html = table_html(name, data, columns, title=title, row_label=("printed", "What is printed"))
    summary = (
        "None of this is published: where the source leaves something open that a comparison needs, this is how it was "
        "read, and why."
        if rows
        else "Nothing had to be assumed: the source says all that the checks need."
    )
    return Exhibit(name, "table", title, summary, data, html=html, rests_on="print")


def _with_p(words: str, p: str | None) -> str:
    if not p:
        return words
    return f"{words}, P {p}" if p[0] in "<=≤>≥" else f"{words}, P = {p}"


def _alike(statements: Iterable[PrintedStatement]) -> dict[tuple[str, str], list[str]]:
    """Collect the subjects about which the same is printed."""
    found: dict[tuple[str, str], list[str]] = {}
    for statement in statements:
        found.setdefault((statement.printed, statement.group), []).append(statement.subject)
    return found


def _subjects_label(subjects: list[str], registry: MuscleRegistry) -> str:
    if len(subjects) > _MOST_NAMED:
        return f"{len(subjects)} features"
    titles = [" against ".join(feature_title(part, registry) for part in subject.split(" - ")) for subject in subjects]
    return "; ".join(titles)


def _reading_words(study: PublishedStudy, reading: AnyReading, registry: MuscleRegistry) -> tuple[str, str]:
    match reading:
        case ParameterNameReading():
            return ", ".join(reading.printed), study.parameter_title(reading.read_as)
        case MuscleNameReading():
            return ", ".join(reading.printed), registry.title(reading.read_as)
        case UnitReading():
            return f"{PARAMETERS[reading.parameter].title} in {reading.printed}", reading.read_as
        case FeaturesReading():
            claims = "; ".join(study.claim(claim).statement.rstrip(".") for claim in reading.claims)
            return claims, _by_parameter(reading.features, registry)


def _by_parameter(features: Iterable[str], registry: MuscleRegistry) -> str:
    """Name features as "FA of gracilis and adductor longus; ADC (MD) of gracilis"."""
    muscles: dict[str, list[str]] = {}
    for feature in features:
        muscle, parameter = split_feature(feature)
        muscles.setdefault(parameter, []).append(registry.title(muscle).lower())
    return "; ".join(f"{PARAMETERS[parameter].title} of {_and(names)}" for parameter, names in muscles.items())


def _and(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
