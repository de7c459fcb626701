"""Tables that hold published claims against what was found."""

from collections.abc import Sequence
from math import isnan

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    AGREEMENT_COLOURS,
    AGREEMENT_MARKS,
    NOTHING,
    PARAMETERS,
    feature_title,
    interval,
    mean_sd,
    p_value,
    tally,
)
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.features import split_feature

# Decimals by kind of estimate, where the parameter does not say.
_DIGITS = {"auc": 3, "auc_difference": 3, "correlation": 2}


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
        One row per verdict, grouped by claim.
    """
    beside = verdict_pairs(verdicts, registry)
    rows = [
        {
            "statement": verdict.statement,
            "subject": pair.label,
            "published": pair.published,
            "found": pair.found,
            "agreement": f"{AGREEMENT_MARKS[verdict.agreement]} {verdict.agreement}".replace(" ", "\u00a0"),
            "reason": verdict.reason,
        }
        for verdict, pair in zip(verdicts, beside, strict=True)
    ]
    columns = [
        Column("published", "Published", align="left"),
        Column("found", "Found", align="left"),
        Column("agreement", "Verdict", align="left"),
        Column("reason", "Why", align="left"),
    ]
    data = pd.DataFrame(
        [
            {
                "claim_id": v.claim_id,
                "subject": v.subject,
                "group": v.group,
                "statement": v.statement,
                "published": v.published,
                "found": v.found.value if v.found else None,
                "p": v.found.p if v.found else None,
                "agreement": v.agreement,
                "reason": v.reason,
            }
            for v in verdicts
        ]
    )
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
    return Exhibit(name, "table", title, summary, data, html=html, beside=beside)


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
        Beside(verdict_subject(v, registry), v.published, _estimate(v), v.agreement, v.statement) for v in verdicts
    )


def verdict_subject(verdict: Verdict, registry: MuscleRegistry) -> str:
    """Name what a verdict is about: a feature, a model or a pair of models, and its group.

    Parameters
    ----------
    verdict : Verdict
        One verdict.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "Gracilis, ADC (MD), poor", "FA + ADC − FA" …
    """
    title = " − ".join(feature_title(part, registry) for part in verdict.subject.split(" - "))
    return f"{title}, {verdict.group}" if verdict.group else title


def _estimate(verdict: Verdict) -> str:
    found = verdict.found
    if found is None:
        return NOTHING
    printed = PARAMETERS.get(split_feature(found.subject)[1]) if found.kind in ("mean", "difference") else None
    scale, digits = (printed.scale, printed.digits) if printed else (1.0, _DIGITS.get(found.kind, 2))
    value = mean_sd(found.value, found.sd, digits, scale=scale)
    bounds = f" ({interval(found.interval, digits, scale=scale)})" if found.interval and found.kind != "mean" else ""
    unit = f" × {printed.unit}".replace(" ", "\u00a0") if printed and printed.unit else ""
    sign = "" if p_value(found.p)[0] in "<>" else "= "
    p = (
        ""
        if isnan(found.p)
        else f", P {sign}{p_value(found.p)}".replace("P ", "P\u00a0").replace("< ", "<\u00a0").replace("= ", "=\u00a0")
    )
    return f"{value}{bounds}{unit}{p}"
