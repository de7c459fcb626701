"""The table that holds published claims against what was found."""

from collections.abc import Sequence

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import AGREEMENT_COLOURS, AGREEMENT_MARKS, tally
from dtimuscle.presentation.tables.verdict_words import found_in_words, in_words, plain_verdicts, verdict_subject
from dtimuscle.replication.verdict import Verdict


def verdict_table(verdicts: Sequence[Verdict], registry: MuscleRegistry, *, name: str = "verdicts") -> Exhibit:
    """Hold each published claim against what was found.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each claim and subject.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="verdicts"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per verdict, grouped by claim; the data hold each verdict as a sentence with its numbers, too.
    """
    beside = verdict_pairs(verdicts, registry)
    rows = [
        {
            "statement": verdict.statement,
            "subject": pair.label,
            "published": pair.published,
            "found": pair.found,
            "agreement": f"{AGREEMENT_MARKS[verdict.agreement]} {verdict.agreement}".replace(" ", "\u00a0"),
            "words": in_words(verdict),
        }
        for verdict, pair in zip(verdicts, beside, strict=True)
    ]
    columns = [
        Column("published", "Published", align="left"),
        Column("found", "Found", align="left"),
        Column("agreement", "Verdict", align="left"),
        Column("words", "In words", align="left"),
    ]
    title = "The published claims under test"
    counts = ", ".join(f"{n} {words}" for _, n, words in tally(verdict.agreement for verdict in verdicts))
    summary = (
        f"Each claim of the study as it was printed, beside what these data show: {counts or 'no claim was tested'}."
    )
    html = table_html(
        name,
        pd.DataFrame(rows),
        columns,
        title=title,
        row_label=("subject", "Claim about"),
        group="statement",
        colours=("agreement", [AGREEMENT_COLOURS[v.agreement] for v in verdicts]),
    )
    return Exhibit(name, "table", title, summary, _data(verdicts, registry), html=html, beside=beside)


def verdict_pairs(verdicts: Sequence[Verdict], registry: MuscleRegistry) -> tuple[Beside, ...]:
    """Print each verdict as a published value beside the found one.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each claim and subject.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    tuple of Beside
        In the same order.
    """
    return tuple(
        Beside(verdict_subject(v, registry), v.published, found_in_words(v), v.agreement, v.statement) for v in verdicts
    )


def _data(verdicts: Sequence[Verdict], registry: MuscleRegistry) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "claim_id": v.claim_id,
                "subject": v.subject,
                "group": v.group,
                "statement": v.statement,
                "published": v.published,
                "found": v.found.value if v.found else None,
                "found_kind": v.found.kind if v.found else None,
                "p": v.found.p if v.found else None,
                "agreement": v.agreement,
                "reason": v.reason,
                "in_words": words,
            }
            for v, words in zip(verdicts, plain_verdicts(verdicts, registry), strict=True)
        ]
    )
