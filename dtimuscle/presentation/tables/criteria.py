"""The table that puts every criterion of replication to every claim."""

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, notes_html, table_html
from dtimuscle.presentation.style import INK, MUTED, NOTHING, PARAMETERS, p_equals
from dtimuscle.presentation.tables.verdict_words import (
    number_style,
    odds_in_words,
    place_in_words,
    verdict_subject,
)
from dtimuscle.replication.criteria import CRITERIA, Criterion, CriterionWords
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.features import split_feature

# The colours of agreement, disagreement and doubt; the marks are told apart without them.
ANSWER_COLOURS = {"yes": "#256b3d", "no": "#b3261e", "unclear": "#855c00"}
ANSWER_MARKS = {"yes": "✓", "no": "✗", "unclear": "≈"}

_HIDDEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def criteria_table(verdicts: Sequence[Verdict], registry: MuscleRegistry, *, name: str = "criteria") -> Exhibit:
    """Put every criterion of replication to every claim.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each claim and subject.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="criteria"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per verdict, grouped by claim, one column per criterion; below it, why some cannot be applied and what
        each criterion asks. The data have one row per verdict and criterion.
    """
    notes = _notes(verdicts)
    rows = [
        {
            "statement": verdict.statement,
            "subject": verdict_subject(verdict, registry),
            **_cells(verdict, notes),
        }
        for verdict in verdicts
    ]
    columns = [
        Column("count", "Say yes", align="left", is_markup=True),
        *(Column(key, words.title, align="left", is_markup=True) for key, words in CRITERIA.items()),
    ]
    title = "Each claim by several criteria"
    table = table_html(
        name,
        pd.DataFrame(rows),
        columns,
        title=title,
        row_label=("subject", "Claim about"),
        group="statement",
        wraps_names=True,
    )
    html = f"{table}\n{_notes_html(notes, _units(verdicts))}{_legend_html()}"
    return Exhibit(name, "table", title, _summary(verdicts), _data(verdicts), html=html)


def _cells(verdict: Verdict, notes: dict[str, str]) -> dict[str, str]:
    """Print a row; a note that holds for all that cannot be tested stands once, behind the count."""
    reasons = _reasons(verdict)
    letters = {} if len(reasons) == 1 else notes
    given = {criterion.name: criterion for criterion in verdict.criteria}
    cells: dict[str, str] = {
        key: _cell(verdict, given[key], letters) if key in given else _not_testable("") for key in CRITERIA
    }
    note = _superscript(notes[reasons[0]]) if len(reasons) == 1 else ""
    return {"count": _count(verdict.criteria) + note, **cells}


def _cell(verdict: Verdict, criterion: Criterion, letters: dict[str, str]) -> str:
    if criterion.answer == "not testable":
        mark = _not_testable(letters.get(criterion.reason, ""))
    else:
        colour = ANSWER_COLOURS[criterion.answer]
        mark = (
            f'<span style="color:{colour};font-weight:600;white-space:nowrap">'
            f"{ANSWER_MARKS[criterion.answer]}\u00a0{criterion.answer}</span>"
        )
    numbers = escape(_numbers(verdict, criterion))
    small = f'<br><span style="color:{MUTED};font-size:.86em">{numbers}</span>' if numbers else ""
    return mark + small


def _not_testable(letter: str) -> str:
    words = f'<span style="{_HIDDEN}">not testable</span>'
    note = _superscript(letter) if letter else ""
    return f'<span style="color:{MUTED};position:relative">{NOTHING}{note}{words}</span>'


def _superscript(letter: str) -> str:
    return f'<sup style="line-height:0">{letter}</sup>'


def _numbers(verdict: Verdict, criterion: Criterion) -> str:
    """Print what decided a criterion: a P, a Bayes factor, or an estimate and the interval that it is held against."""
    style, bounds, kind = number_style(verdict), criterion.interval, CRITERIA[criterion.name].value_kind
    if isnan(criterion.value):
        return ""
    if kind == "bayes_factor":
        return odds_in_words(criterion.value)
    if kind == "p":
        return f"P {p_equals(criterion.value)}".replace(" ", "\u00a0")
    if bounds is None:
        return ""
    if criterion.name == "combined":
        return f"{style.number(criterion.value)} ({style.bounds(bounds)})"
    return place_in_words(criterion.value, bounds, style, is_inside=criterion.answer == "yes")


def _count(criteria: Iterable[Criterion]) -> str:
    answers = [criterion.answer for criterion in criteria if criterion.answer != "not testable"]
    return f"{answers.count('yes')} of {len(answers)}".replace(" ", "\u00a0") if answers else NOTHING


def _reasons(verdict: Verdict) -> list[str]:
    """List why criteria cannot be put to a claim, each reason once."""
    reasons = (
        [c.reason for c in verdict.criteria if c.answer == "not testable"] if verdict.criteria else [verdict.reason]
    )
    return list(dict.fromkeys(reason for reason in reasons if reason))


def _notes(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Give each reason for which something cannot be tested a letter."""
    reasons = dict.fromkeys(reason for verdict in verdicts for reason in _reasons(verdict))
    return {reason: _letter(position) for position, reason in enumerate(reasons)}


def _letter(position: int) -> str:
    times, place = divmod(position, len(_LETTERS))
    return _LETTERS[place] * (times + 1)


def _notes_html(notes: dict[str, str], units: Sequence[str]) -> str:
    lines = ["Say yes: of the criteria that can be put to the claim, how many answer yes.", f"{NOTHING} not testable:"]
    lines += [f"{_superscript(letter)} {escape(reason)}" for reason, letter in notes.items()]
    if not notes:
        del lines[1]
    if units:
        lines.append(f"{' and '.join(map(escape, units))}.")
    return notes_html(lines)


def _units(verdicts: Sequence[Verdict]) -> list[str]:
    """Say the unit of each parameter whose values are among the numbers."""
    parameters = dict.fromkeys(split_feature(v.subject)[1] for v in verdicts if v.scale and number_style(v).unit)
    return [f"{PARAMETERS[parameter].title} in {PARAMETERS[parameter].unit}" for parameter in parameters]


def _legend_html() -> str:
    entries = []
    for words in CRITERIA.values():
        answers = "".join(
            f'<br><span style="color:{ANSWER_COLOURS[answer]};font-weight:600">{ANSWER_MARKS[answer]}\u00a0{answer}'
            f"</span>: {escape(meaning)}"
            for answer, meaning in (("yes", words.yes), ("no", words.no), ("unclear", words.unclear))
            if meaning
        )
        entries.append(
            '<div style="break-inside:avoid;padding:0 0 1rem">'
            f'<dt style="font-weight:600">{escape(words.title)}</dt>'
            f'<dd style="margin:0">{escape(words.question)}{answers}'
            f'<br><span style="color:{MUTED}">Below the answer: {escape(_below(words))}. '
            f"{escape(words.source[0].upper() + words.source[1:])}.</span></dd></div>"
        )
    return (
        f'<dl style="columns:22rem 2;column-gap:3rem;margin:1.4rem 0 0;font-size:.9em;line-height:1.5;color:{INK}">'
        f"{''.join(entries)}</dl>"
    )


def _below(words: CriterionWords) -> str:
    return f"{words.value}, and the interval" if words.value_kind == "estimate" else words.value


def _summary(verdicts: Sequence[Verdict]) -> str:
    testable = [[c.answer for c in v.criteria if c.answer != "not testable"] for v in verdicts]
    n_several = sum(len(answers) > 1 for answers in testable)
    n_split = sum(len(set(answers)) > 1 for answers in testable)
    words = (
        "No single criterion says whether a claim was replicated; each asks another question (see below the table). "
        f"{n_several} of {len(verdicts)} rows can be put to more than one, and in {n_split} of them the answers differ."
    )
    n_direction = sum(
        v.found is not None and v.published_value is None and len(a) == 1
        for v, a in zip(verdicts, testable, strict=True)
    )
    if n_direction:
        words += (
            f" {n_direction} can be put to one only: the study prints a direction and no number to hold the new one "
            "against."
        )
    return words


_COLUMNS = [
    "claim_id", "subject", "group", "criterion", "answer", "value", "value_is", "low", "high", "level", "limit",
    "p_heterogeneity", "reason",
]  # fmt: skip


def _data(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    rows = [
        (
            v.claim_id, v.subject, v.group, c.name, c.answer, c.value, CRITERIA[c.name].value,
            c.interval.low if c.interval else None, c.interval.high if c.interval else None,
            c.interval.level if c.interval else None, c.limit, c.p_heterogeneity, c.reason,
        )
        for v in verdicts
        for c in v.criteria
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(_COLUMNS[5:6] + _COLUMNS[7:12], float))
