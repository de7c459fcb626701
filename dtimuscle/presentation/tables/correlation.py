"""Tables of correlations."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    count,
    feature_title,
    fixed,
    interval,
    p_equals,
    p_value,
)
from dtimuscle.presentation.tables.cells import bounds_of, level_label, published_column
from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.features import split_feature

SYMBOLS = {"Pearson": "r", "Spearman": "ρ", "Kendall": "τ-b"}

_MEANING = {
    "Pearson": "Pearson's r, as in the study, treats the grade as a measured number with equal steps",
    "Spearman": "Spearman's ρ uses only the order of grades and values",
    "Kendall": (
        "Kendall's τ-b says how much more often two patients stand in the same order by grade and by value than in the "
        "opposite one; it is usually nearer to 0 than ρ"
    ),
}
_INTERVALS = {
    "Pearson": "Fisher's for r",
    "Spearman": "Fisher's with the variance of Fieller, Hartley and Pearson for ρ",
    "Kendall": "that of Brown and Benedetti's standard error for τ-b",
}


def correlation_table(
    correlations: Sequence[Correlation],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    name: str = "correlation",
) -> Exhibit:
    """List the correlation of each muscle value with the Lovett grade.

    Parameters
    ----------
    correlations : sequence of Correlation
        For each muscle and parameter one of each method.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        What the study printed, by feature; stands beside the first method.
    name : str, default="correlation"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    published = published or {}
    methods = list(dict.fromkeys(item.method for item in correlations)) or ["Pearson"]
    rows, beside = [], []
    for feature, items in _by_feature(correlations).items():
        row = _row(feature, items, registry) | {"published": published.get(feature, "")}
        rows.append(row)
        if feature in published:
            found = f"{_in_short(items[0])}, P {p_equals(items[0].p)}"
            beside.append(Beside(feature_title(feature, registry), published[feature], found))
    data = pd.DataFrame([_data(item) | {"published": published.get(item.feature, "")} for item in correlations])
    columns = [Column("n", "n"), *published_column(published)]
    for method in methods:
        columns += _columns(method, correlations, with_spanner=len(methods) > 1)
    title = "Correlation of muscle values with the Lovett grade"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    summary = f"{_summary(methods, len(rows))}{_of_published(published)}"
    return Exhibit(name, "table", title, summary, data, html=html, beside=tuple(beside))


def adjusted_correlation_table(
    adjusted: Sequence[Correlation],
    registry: MuscleRegistry,
    *,
    unadjusted: Sequence[Correlation] = (),
    name: str = "adjusted_correlation",
) -> Exhibit:
    """List the correlations with the Lovett grade that remain once covariates are allowed for.

    Parameters
    ----------
    adjusted : sequence of Correlation
        With covariates; for each muscle and parameter one of each method.
    registry : MuscleRegistry
        Printed names of muscles.
    unadjusted : sequence of Correlation, default=()
        The same without covariates, to stand beside.
    name : str, default="adjusted_correlation"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    methods = list(dict.fromkeys(item.method for item in adjusted)) or ["Pearson"]
    plain = {(item.feature, item.method): item for item in unadjusted}
    rows = []
    for feature, items in _by_feature(adjusted).items():
        before = {
            f"before_{item.method}": fixed(plain[feature, item.method].r, 2)
            for item in items
            if (feature, item.method) in plain
        }
        rows.append(_row(feature, items, registry) | before)
    data = pd.DataFrame([_adjusted_data(item, plain) for item in adjusted])
    columns = [Column("n", "n")]
    for method in methods:
        if plain:
            columns.append(Column(f"before_{method}", f"{SYMBOLS[method]} unadjusted", spanner=method))
        columns += _columns(method, adjusted, with_spanner=True)
    title = "Correlation with the Lovett grade, adjusted for other characteristics"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, _adjusted_summary(adjusted), data, html=html)


def _by_feature(correlations: Sequence[Correlation]) -> dict[str, list[Correlation]]:
    found: dict[str, list[Correlation]] = {}
    for item in correlations:
        found.setdefault(item.feature, []).append(item)
    return found


def _row(feature: str, items: Sequence[Correlation], registry: MuscleRegistry) -> dict[str, str]:
    muscle, parameter = split_feature(feature)
    row = {
        "group": PARAMETERS[parameter].title if parameter else "",
        "muscle": registry.title(muscle),
        "n": count(items[0].n),
    }
    for item in items:
        row |= {
            f"r_{item.method}": fixed(item.r, 2),
            f"interval_{item.method}": interval(item.interval, 2),
            f"p_{item.method}": p_value(item.p),
            f"holm_{item.method}": p_value(item.p_holm),
        }
    return row


def _columns(method: str, correlations: Sequence[Correlation], *, with_spanner: bool) -> list[Column]:
    spanner = method if with_spanner else ""
    return [
        Column(f"r_{method}", SYMBOLS[method], spanner=spanner),
        Column(f"interval_{method}", level_label(correlations), spanner=spanner),
        Column(f"p_{method}", "P", spanner=spanner),
        Column(f"holm_{method}", "P (Holm)", spanner=spanner),
    ]


def _data(item: Correlation) -> dict[str, Any]:
    return {
        "feature": item.feature,
        "method": item.method,
        "n": item.n,
        "n_missing": item.n_missing,
        "r": item.r,
        **bounds_of(item.interval),
        "p": item.p,
        "p_holm": item.p_holm,
        "test": item.test,
    }


def _adjusted_data(item: Correlation, plain: Mapping[tuple[str, str], Correlation]) -> dict[str, Any]:
    before = plain.get((item.feature, item.method))
    return _data(item) | {"covariates": ", ".join(item.covariates), "r_unadjusted": before.r if before else None}


def _in_short(item: Correlation) -> str:
    return f"{SYMBOLS[item.method]} = {fixed(item.r, 2)} ({interval(item.interval, 2)})"


def _summary(methods: Sequence[str], n_features: int) -> str:
    meaning = "; ".join(_MEANING[method] for method in methods)
    intervals = ", ".join(_INTERVALS[method] for method in methods)
    return (
        "How each value goes with the grade (0 no contraction, 5 normal strength): a positive coefficient says that "
        f"the value is lower where the muscles are weaker. {meaning}. The interval is {intervals}. P is that of R's "
        f"cor.test; P (Holm) is the same corrected for the {n_features} features of this table."
    )


def _of_published(published: Mapping[str, str]) -> str:
    if not published:
        return ""
    return (
        " Published is the direction that the study states, turned to the value and the grade where its words speak of "
        "weakening or of a decrease; it stands only where the study is read to be about the feature."
    )


def _adjusted_summary(adjusted: Sequence[Correlation]) -> str:
    used = list(dict.fromkeys(name for item in adjusted for name in item.covariates))
    left_out = list(dict.fromkeys(issue.what for item in adjusted for issue in item.issues if "adjusted" in issue.what))
    counts = [item.n for item in adjusted]
    n = f"{min(counts)} to {max(counts)}" if counts and min(counts) < max(counts) else f"{max(counts, default=0)}"
    words = f"Adjusted for {', '.join(used)}" if used else "Adjusted for nothing, since no covariate could be used"
    noted = "".join(f" {what[0].upper()}{what[1:]}" for what in left_out)
    return (
        f"{words}: the correlation of what a linear regression on {'it' if len(used) == 1 else 'them'} leaves of the "
        "value and of the grade (of their ranks, for Spearman's ρ). A coefficient that shrinks towards 0 went partly "
        "with the covariates; one that grows was hidden by them; one that stays is not explained by a straight-line "
        f"effect of those measured. {n} patients in whom all is known.{noted}"
    )
