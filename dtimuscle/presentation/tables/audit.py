"""Tables of an audit: what was found and how it was computed, and what every check says."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.markup import environment
from dtimuscle.presentation.style import MUTED, NOTHING, PARAMETERS, count, feature_title, fixed
from dtimuscle.presentation.tables.cells import named_bounds
from dtimuscle.presentation.tables.printed import printed_in_short
from dtimuscle.presentation.tables.quantities import (
    RESOLVES_COLOURS,
    RESOLVES_MARKS,
    SEVERITY_COLOURS,
    SEVERITY_MARKS,
    SEVERITY_MEANINGS,
    in_words,
    plain_text,
    severity_counts,
    severity_word,
    value_text,
)
from dtimuscle.replication.audit import Audit
from dtimuscle.replication.audit.directions import SignedStatement
from dtimuscle.replication.audit.effects import ImpliedEffect
from dtimuscle.replication.audit.findings import Check, CheckResult, Finding, Quantity, Sentence, Severity, Step
from dtimuscle.replication.printed import PrintedMean
from dtimuscle.replication.published import PublishedStudy

# Findings whose computation stands open on a page; that of others unfolds.
_OPEN = (Severity.IMPOSSIBLE, Severity.INCONSISTENT)

# Kinds of claims that have a direction, as columns of a table.
_KINDS = {
    "difference": "Stated difference",
    "means": "Printed means",
    "correlation": "Correlation",
    "factor": "Factor (adjusted)",
}
_POOR_SPANNER = "With poor muscle function"
_BOTH_WAYS = "≠\u00a0both\u00a0ways"
_ONE_WAY = "✓\u00a0one\u00a0way"


def findings_list(audit: Audit, study: PublishedStudy, *, name: str = "findings") -> Exhibit:
    """Show every finding with its computation and with what would reconcile it.

    Parameters
    ----------
    audit : Audit
        What was found.
    study : PublishedStudy
        The study, for the words of its claims.
    name : str, default="findings"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One card per finding, the gravest first; the data hold one row per number.
    """
    cards = [_card(finding, study) for finding in audit.findings]
    html = environment().get_template("findings.html.j2").render(findings=cards)
    data = pd.DataFrame(
        [row for index, finding in enumerate(audit.findings, start=1) for row in _records(index, finding)]
    )
    summary = (
        f"{counts_in_words(audit)}. Each finding names the claims it rests on, shows its computation, and lists the "
        "assumptions that were tried to reconcile the numbers, with what each would need."
        if cards
        else "No check found anything: the printed numbers fit each other. Whether they are right is another question."
    )
    return Exhibit(name, "table", "What does not fit", summary, data, html=html, rests_on="print")


def audit_in_words(audit: Audit, study: PublishedStudy) -> str:
    """Say in one paragraph what an audit found.

    Parameters
    ----------
    audit : Audit
        What was found.
    study : PublishedStudy
        The study.

    Returns
    -------
    str
        Counts, the gravest finding, and how many of the conflicts some assumption would resolve.
    """
    n_asked = sum(bool(result.examined) for _, result in audit.results)
    asked = f"{_counted(n_asked, 'question')} could be put to the {_counted(len(study.claims), 'printed claim')}."
    conflicts = audit.conflicts
    notes = len(audit.findings) - len(conflicts)
    noted = (
        f" {_counted(notes, 'note')} {'says' if notes == 1 else 'say'} how much the numbers can bear." if notes else ""
    )
    if not conflicts:
        return f"{asked} The printed numbers fit each other; that does not show that they are right.{noted}"
    n_resolved = sum(any(way.resolves == "yes" for way in finding.ways_out) for finding in conflicts)
    n_in_part = sum(
        {way.resolves for way in finding.ways_out} >= {"in part"}
        and not any(way.resolves == "yes" for way in finding.ways_out)
        for finding in conflicts
    )
    fates = [f"{n} of them {words}" for n, words in ((n_resolved, "altogether"), (n_in_part, "only in part")) if n]
    fate = f" The assumptions that were tried would resolve {' and '.join(fates)}." if fates else ""
    found = f"{_counted(len(conflicts), 'conflict')} came up. The gravest: {conflicts[0].title}."
    return f"{asked} {found}{fate}{noted}"


def _listed(counts: Iterable[tuple[Severity, int]]) -> str:
    return ", ".join(f"{many}\u00a0{severity_word(severity, many)}" for severity, many in counts)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def counts_in_words(audit: Audit) -> str:
    """Count the findings of an audit: "6 findings: 1 impossible, 3 inconsistent, 2 note".

    Parameters
    ----------
    audit : Audit
        What was found.
    """
    counts = severity_counts(finding.severity for finding in audit.findings)
    n = len(audit.findings)
    if not n:
        return "No findings"
    return f"{n} finding{'' if n == 1 else 's'}: " + ", ".join(
        f"{many} {severity_word(severity, many)}" for severity, many in counts
    )


def checks_table(audit: Audit, *, name: str = "checks") -> Exhibit:
    """List every question that was put to the printed numbers, and its answer.

    Parameters
    ----------
    audit : Audit
        What was found.
    name : str, default="checks"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per check.
    """
    rows, colours = [], []
    for check, result in audit.results:
        rows.append(
            {
                "question": check.question,
                "examined": "; ".join(result.examined) or "–",
                "answer": check_answer(check, result),
                "chance": chance_in_words(check),
            }
        )
        colours.append(_answer_colour(result))
    columns = [
        Column("answer", "Answer", align="left"),
        Column("examined", "What was looked at", align="left"),
        Column("chance", "False alarms", align="left"),
    ]
    title = "Every question that was put"
    html = table_html(
        name,
        pd.DataFrame(rows, columns=["question", "examined", "answer", "chance"]),
        columns,
        title=title,
        row_label=("question", "Question"),
        colours=("answer", colours),
    )
    n_silent = sum(bool(result.examined) and not result.findings for _, result in audit.results)
    n_idle = sum(not result.examined for _, result in audit.results)
    idle = f"; {n_idle} could not be put because the study prints too little" if n_idle else ""
    summary = (
        f"{len(audit.results)} questions: {n_silent} found nothing{idle}. False alarms: how often a question finds a "
        "conflict by chance in studies without any error; none where the answer is arithmetic."
    )
    data = pd.DataFrame(
        [
            {
                "name": check.name,
                "question": check.question,
                "needs": check.needs,
                "false_alarm_rate": check.false_alarm_rate,
                "n_examined": len(result.examined),
                "examined": "; ".join(result.examined),
                "n_findings": len(result.findings),
            }
            for check, result in audit.results
        ]
    )
    return Exhibit(name, "table", title, summary, data, html=html, rests_on="print")


def implied_table(
    effects: Sequence[ImpliedEffect], registry: MuscleRegistry, *, name: str = "implied_effects"
) -> Exhibit:
    """Show what printed means and standard deviations imply.

    Parameters
    ----------
    effects : sequence of ImpliedEffect
        One per feature and pair of groups.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="implied_effects"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per effect, grouped by the groups that are compared.
    """
    level = f"{100 * effects[0].auc.interval.level:g}% CI" if effects and effects[0].auc.interval else "95% CI"
    columns = [
        Column("first", "First group", spanner="Printed mean ± SD"),
        Column("second", "Second group", spanner="Printed mean ± SD"),
        Column("difference", "Difference"),
        Column("student", "t", spanner="Student"),
        Column("student_p", "P", spanner="Student"),
        Column("welch", "t", spanner="Welch"),
        Column("welch_p", "P", spanner="Welch"),
        Column("hedges_g", f"Hedges g ({level})"),
        Column("auc", f"AUC alone ({level})"),
    ]
    title = "What the printed means and SDs imply"
    cells = pd.DataFrame([_implied_cells(effect, registry) for effect in effects])
    html = table_html(name, cells, columns, title=title, row_label=("feature", "Feature"), group="groups")
    return Exhibit(name, "table", title, _implied_summary(effects), _implied_data(effects), html=html, rests_on="print")


def directions_table(
    statements: Sequence[SignedStatement], registry: MuscleRegistry, *, name: str = "directions"
) -> Exhibit:
    """Show for each feature which way each kind of claim says that it goes with poor muscle function.

    Parameters
    ----------
    statements : sequence of SignedStatement
        As `directions.signs` returns them.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="directions"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature, one column per kind of claim that occurs.
    """
    kinds = [kind for kind in _KINDS if any(statement.kind == kind for statement in statements)]
    features = list(dict.fromkeys(statement.feature for statement in statements))
    rows, colours = [], []
    for feature in features:
        own = [statement for statement in statements if statement.feature == feature]
        row = {"feature": feature_title(feature, registry)}
        row |= {kind: _arrows(statement for statement in own if statement.kind == kind) for kind in kinds}
        row["agree"], colour = _agreement(own)
        rows.append(row)
        colours.append(colour)
    columns = [
        # The answer comes first: on a phone the rest is reached by scrolling.
        Column("agree", "All alike?", align="left"),
        *(Column(kind, _KINDS[kind], align="left", spanner=_POOR_SPANNER) for kind in kinds),
    ]
    title = "Which way each claim points"
    html = table_html(
        name,
        pd.DataFrame(rows, columns=["feature", *kinds, "agree"]),
        columns,
        title=title,
        row_label=("feature", "Feature"),
        colours=("agree", colours),
    )
    both = [row["feature"] for row in rows if row["agree"] == _BOTH_WAYS]
    found = f"Both ways: {'; '.join(both)}." if both else "No feature is claimed to point both ways."
    marks = "".join(_explained_marks(statements))
    summary = (
        "For each feature whether the claims say that it is lower (↓) or higher (↑) with poor muscle function, in "
        f"whatever words: a positive correlation of weakening with a decrease is ↓.{marks} {found}"
    )
    data = pd.DataFrame([asdict(statement) for statement in statements])
    return Exhibit(name, "table", title, summary, data, html=html, rests_on="print")


def check_answer(check: Check, result: CheckResult) -> str:
    """Say in a few words what a check found.

    Parameters
    ----------
    check : Check
        The question.
    result : CheckResult
        Its answer.

    Returns
    -------
    str
        "2 inconsistent, 1 note", "nothing found" or "not applicable: needs …".
    """
    if not result.examined:
        return f"not applicable: needs {check.needs}"
    counts = severity_counts(finding.severity for finding in result.findings)
    return (
        ", ".join(f"{many}\u00a0{severity_word(severity, many)}" for severity, many in counts) or "nothing\u00a0found"
    )


def chance_in_words(check: Check) -> str:
    """Say how often a check raises a conflict by chance: "none", "1 in 1,000".

    Parameters
    ----------
    check : Check
        The question.
    """
    return f"1 in {count(1 / check.false_alarm_rate)}" if check.false_alarm_rate > 0 else "none"


def _arrows(statements: Iterable[SignedStatement]) -> str:
    """Print what claims of one kind say: "↓ lower", in parentheses where it may be chance, with a star if assumed."""
    words = []
    for statement in statements:
        text = "↓ lower" if statement.sign < 0 else "↑ higher"
        text += "*" if statement.is_assumed else ""
        words.append(text if statement.is_shown else f"({text})")
    return ", ".join(dict.fromkeys(words)).replace(" ", "\u00a0") or NOTHING


def _agreement(statements: Sequence[SignedStatement]) -> tuple[str, str]:
    """Say whether all claims that are shown point one way, and in which colour."""
    shown = [statement for statement in statements if statement.is_shown]
    if len({statement.sign for statement in shown}) > 1:
        return _BOTH_WAYS, SEVERITY_COLOURS[Severity.INCONSISTENT]
    return (NOTHING, MUTED) if len(shown) < 2 else (_ONE_WAY, RESOLVES_COLOURS["yes"])


def _explained_marks(statements: Sequence[SignedStatement]) -> Iterator[str]:
    if any(statement.is_assumed for statement in statements):
        yield " A star: the source does not name the features, and this is how it was read."
    if not all(statement.is_shown for statement in statements):
        yield " In parentheses: not significant by the printed numbers."
    if any(statement.is_adjusted for statement in statements):
        yield " A factor is adjusted: the other features of the model are held fixed."


def _implied_cells(effect: ImpliedEffect, registry: MuscleRegistry) -> dict[str, str]:
    first, second = effect.pair.first, effect.pair.second
    return {
        "feature": feature_title(effect.pair.feature, registry),
        "groups": f"{_with_n(first)} against {_with_n(second)}",
        "first": f"{first.mean.text} ± {first.sd.text}",
        "second": f"{second.mean.text} ± {second.sd.text}",
        "difference": plain_text(replace(effect.difference, interval=None)),
        "student": plain_text(effect.student.t),
        "student_p": plain_text(effect.student.p),
        "welch": plain_text(effect.welch.t),
        "welch_p": plain_text(effect.welch.p),
        "hedges_g": plain_text(effect.hedges_g),
        "auc": plain_text(effect.auc),
    }


def _with_n(mean: PrintedMean) -> str:
    return f"{mean.group.title} (n = {mean.n})"


def _implied_summary(effects: Sequence[ImpliedEffect]) -> str:
    if not effects:
        return "The study prints no feature's mean and SD in two groups."
    gaps = {name: max(_reach(getattr(effect, name)) for effect in effects) for name in ("hedges_g", "auc")}
    units = {effect.difference.kind for effect in effects}
    unit = f" Differences of diffusivities are in {PARAMETERS['md'].unit}." if "diffusivity" in units else ""
    return (
        "A mean, an SD and a number of patients in each group fix the t test, P and the size of the difference. Hedges "
        "g is the difference in SDs; 0.8 is commonly called large. The AUC is how often a patient of one group has a "
        "higher value than one of the other, if values are normally distributed: 0.5 is chance, 1 is perfect. The "
        f"printed digits are rounded; that moves g by {fixed(gaps['hedges_g'], 2)} and the AUC by "
        f"{fixed(gaps['auc'], 3)} at most.{unit}"
    )


def _reach(quantity: Quantity) -> float:
    """How far the rounding can move a number."""
    if quantity.rounding is None:
        return 0.0
    return max(quantity.rounding.high - quantity.value, quantity.value - quantity.rounding.low)


def _implied_data(effects: Sequence[ImpliedEffect]) -> pd.DataFrame:
    rows = []
    for effect in effects:
        pair = effect.pair
        row: dict[str, Any] = {"claim_id": pair.claim_id, "feature": pair.feature}
        for side, mean in (("first", pair.first), ("second", pair.second)):
            row |= {f"{side}_group": mean.group.id, f"{side}_n": mean.n}
            row |= {f"{side}_mean": mean.mean.value, f"{side}_sd": mean.sd.value}
        quantities = {"difference": effect.difference, "hedges_g": effect.hedges_g, "auc": effect.auc}
        for test, found in (("student", effect.student), ("welch", effect.welch)):
            quantities |= {f"{test}_t": found.t, f"{test}_df": found.df, f"{test}_p": found.p}
        for key, quantity in quantities.items():
            row[key] = quantity.value
            if quantity.interval is not None:
                row |= named_bounds(f"{key}_interval", quantity.interval)
            if quantity.rounding is not None:
                row |= named_bounds(f"{key}_rounding", quantity.rounding)
        rows.append(row)
    return pd.DataFrame(rows)


def _answer_colour(result: CheckResult) -> str:
    if not result.findings:
        return MUTED
    gravest = min((finding.severity for finding in result.findings), key=list(SEVERITY_COLOURS).index)
    return SEVERITY_COLOURS[gravest]


def _card(finding: Finding, study: PublishedStudy) -> dict[str, Any]:
    claims = [study.claim(claim_id) for claim_id in finding.claims]
    return {
        "severity": str(finding.severity),
        "colour": SEVERITY_COLOURS[finding.severity],
        "mark": SEVERITY_MARKS[finding.severity],
        "meaning": SEVERITY_MEANINGS[finding.severity],
        "is_open": finding.severity in _OPEN,
        "title": finding.title,
        "sentence": in_words(finding.sentence),
        "claims": [
            {
                "statement": claim.statement,
                "printed": printed_in_short(study, claim, features=finding.features),
                "place": claim.place,
            }
            for claim in claims
        ],
        "steps": [_shown_step(step) for step in finding.steps],
        "ways_out": [
            {
                "assumption": way.assumption,
                "resolves": way.resolves,
                "mark": RESOLVES_MARKS[way.resolves],
                "colour": RESOLVES_COLOURS[way.resolves],
                "sentence": in_words(way.sentence),
                "steps": [_shown_step(step) for step in way.steps],
            }
            for way in finding.ways_out
        ],
        "references": finding.references,
    }


def _shown_step(step: Step) -> dict[str, Any]:
    numbers = [{"label": quantity.label, "text": value_text(quantity)} for quantity in step.quantities]
    return {"words": step.words, "formula": step.formula, "numbers": numbers}


def _records(index: int, finding: Finding) -> Iterator[dict[str, Any]]:
    head = {
        "finding": index,
        "check": finding.check,
        "severity": str(finding.severity),
        "title": finding.title,
        "claims": " ".join(finding.claims),
        "features": " ".join(finding.features),
    }
    yield from _sentence_records(head | {"part": "finding", "words": finding.sentence.template}, finding.sentence)
    yield from _step_records(head, "computation", finding.steps)
    for way in finding.ways_out:
        place = head | {"part": "way out", "assumption": way.assumption, "resolves": way.resolves}
        yield from _sentence_records(place | {"words": way.sentence.template}, way.sentence)
        yield from _step_records(place, "way out, computation", way.steps)


def _sentence_records(head: dict[str, Any], sentence: Sentence) -> Iterator[dict[str, Any]]:
    if not sentence.quantities:
        yield head
    yield from (head | _quantity_record(quantity) for quantity in sentence.quantities)


def _step_records(head: dict[str, Any], part: str, steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    for step in steps:
        for quantity in step.quantities:
            yield head | {"part": part, "words": step.words, "formula": step.formula} | _quantity_record(quantity)


def _quantity_record(quantity: Quantity) -> dict[str, Any]:
    rounding, bounds = quantity.rounding, quantity.interval
    return {
        "quantity": quantity.name,
        "label": quantity.label,
        "kind": quantity.kind,
        "value": quantity.value,
        "text": quantity.text,
        "rounding_low": rounding.low if rounding else None,
        "rounding_high": rounding.high if rounding else None,
        "interval_low": bounds.low if bounds else None,
        "interval_high": bounds.high if bounds else None,
        "level": bounds.level if bounds else None,
    }
