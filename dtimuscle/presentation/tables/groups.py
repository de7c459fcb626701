"""Tables that hold poor against good function."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    feature_title,
    fixed,
    interval,
    mean_sd,
    p_value,
)
from dtimuscle.presentation.tables.cells import bounds_of, level_label, summary_cells
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.groups import GroupComparison


def group_comparison_table(
    comparisons: Sequence[GroupComparison],
    registry: MuscleRegistry,
    *,
    published: Mapping[tuple[str, str], str] | None = None,
    published_note: str = "",
    name: str = "group_comparison",
) -> Exhibit:
    """Compare the muscle values of poor and good function.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        One for each muscle and parameter.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of (str, str) to str, optional
        Published "mean ± SD" as printed, without unit, by feature and group ("poor" or "good").
    published_note : str, default=""
        What the summary says about the published values, such as the unit in which they are printed and read.
    name : str, default="group_comparison"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    published = published or {}
    rows, data, beside = [], [], []
    for item in comparisons:
        muscle, parameter = split_feature(item.feature)
        printed = PARAMETERS[parameter]
        found = {
            group: mean_sd(summary.mean, summary.sd, printed.digits, scale=printed.scale)
            for group, summary in (("poor", item.poor), ("good", item.good))
        }
        rows.append(
            {
                "group": f"{printed.label}, mean ± SD",
                "muscle": registry.title(muscle),
                "n": f"{item.poor.n} / {item.good.n}",
                **found,
                **{f"published_{group}": published.get((item.feature, group), "") for group in found},
                "difference": fixed(item.difference * printed.scale, printed.digits),
                "interval": interval(item.interval, printed.digits, scale=printed.scale),
                "g": fixed(item.hedges_g, 2),
                "p": p_value(item.p),
                "p_holm": p_value(item.p_holm),
            }
        )
        data.append(_comparison_row(item) | {f"published_{g}": published.get((item.feature, g), "") for g in found})
        beside += [
            Beside(
                f"{feature_title(item.feature, registry)}, {group} function",
                published[item.feature, group],
                found[group],
            )
            for group in found
            if (item.feature, group) in published
        ]
    columns = _comparison_columns(comparisons, with_published=bool(published))
    title = "Muscle values with poor and good function"
    summary = (
        "Each muscle's value in patients with poor and with good function; the difference is poor minus good, with its "
        f"{level_label(comparisons)}. P is Student's t test, as in the study; P (Holm) is the same corrected for "
        f"the {len(rows)} tests of this table. Hedges g is the difference in standard deviations: 0.2 is small, "
        "0.8 large."
    )
    if published and published_note:
        summary += f" {published_note}"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, pd.DataFrame(data), html=html, beside=tuple(beside))


def _comparison_columns(comparisons: Sequence[GroupComparison], *, with_published: bool) -> list[Column]:
    sizes = {(item.poor.n, item.good.n) for item in comparisons}
    counts = [f" (n = {n})" for n in next(iter(sizes))] if len(sizes) == 1 else ["", ""]
    columns = [] if len(sizes) == 1 else [Column("n", "n, poor / good")]
    for group, title, size in zip(("poor", "good"), ("Poor function", "Good function"), counts, strict=True):
        columns.append(Column(group, "Found" if with_published else f"{title}{size}", spanner=""))
        if with_published:
            columns[-1] = replace(columns[-1], spanner=f"{title}{size}")
            columns.append(Column(f"published_{group}", "Published", spanner=f"{title}{size}"))
    return [
        *columns,
        Column("difference", "Poor − good", spanner="Difference"),
        Column("interval", level_label(comparisons), spanner="Difference"),
        Column("g", "Hedges g", spanner="Difference"),
        Column("p", "P"),
        Column("p_holm", "P (Holm)"),
    ]


def _comparison_row(item: GroupComparison) -> dict[str, object]:
    return {
        "feature": item.feature,
        **summary_cells("poor", item.poor),
        **summary_cells("good", item.good),
        "difference": item.difference,
        **bounds_of(item.interval),
        "t": item.t,
        "df": item.df,
        "p": item.p,
        "p_welch": item.p_welch,
        "p_holm": item.p_holm,
        "hedges_g": item.hedges_g,
    }
