"""Figures that hold poor against good function."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import (
    POINTS,
    ROW_HEIGHT,
    draw_group_legend,
    draw_heading,
    draw_rows,
    feature_colour,
    figure_exhibit,
    range_of,
    spread,
    write_beside_row,
)
from dtimuscle.presentation.style import (
    GROUP_COLOURS,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    PUBLISHED,
    drawing,
    feature_title,
    fixed,
    interval,
    p_value,
    row_label,
)
from dtimuscle.presentation.tables.cells import level_label
from dtimuscle.statistics.features import FeatureFrame, split_feature
from dtimuscle.statistics.groups import GroupComparison, count_significant

# Distance of a group's lane from the middle of its row, in rows.
_LANES = {"poor": -0.19, "good": 0.19}

# Inches of height that a row of the forest plot takes.
_FOREST_ROW = 0.26


def group_figure(
    features: FeatureFrame,
    comparisons: Sequence[GroupComparison],
    registry: MuscleRegistry,
    *,
    parameter: str,
    published: Mapping[tuple[str, str], float] | None = None,
    name: str = "",
) -> Exhibit:
    """Show every patient's value of each muscle by group, with the groups' means.

    Parameters
    ----------
    features : FeatureFrame
        The values of the patients.
    comparisons : sequence of GroupComparison
        Means, SDs and P values; those of other parameters are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    parameter : str
        "fa" or "md".
    published : mapping of (str, str) to float, optional
        Published means in stored units, by feature and group ("poor" or "good").
    name : str, default=""
        Identifier of the exhibit; empty: "groups_" and the parameter.

    Returns
    -------
    Exhibit
        One row of points per muscle and group.
    """
    published = published or {}
    style = PARAMETERS[parameter]
    shown = [item for item in comparisons if split_feature(item.feature)[1] == parameter]
    muscles = [registry.title(split_feature(item.feature)[0]) for item in shown]
    has_published = any(split_feature(feature)[1] == parameter for feature, _ in published)
    values = [(item, group, _members(features, item.feature, group)) for item in shown for group in GROUP_COLOURS]
    with drawing():
        figure = Figure(figsize=(NARROW, 1.25 + ROW_HEIGHT * max(len(shown), 2)), layout="constrained")
        ax = figure.subplots()
        data = _patients(values)
        rows = {item.feature: row for row, item in enumerate(shown)}
        lanes = data["feature"].map(rows) + data["lane"] + data["spread"]
        seaborn.scatterplot(x=data["value"] * style.scale, y=lanes, hue=data["group"], ax=ax, **POINTS)
        for position, (item, group, _) in enumerate(values):
            y = position // 2 + _LANES[group]
            _group_mean(ax, y, item, group)
            if (item.feature, group) in published:
                mean = published[item.feature, group] * style.scale
                ax.plot(mean, y, "D", markerfacecolor="none", markeredgecolor=PUBLISHED, markersize=6.5)
        for row, item in enumerate(shown):
            write_beside_row(ax, row, p_value(item.p))
        write_beside_row(ax, -0.75, "P", colour=MUTED)
        draw_rows(ax, muscles)
        ax.set(xlabel=style.label, ylabel="")
        draw_group_legend(figure, [(item.poor.n, item.good.n) for item in shown], with_published=has_published)
        listed = "; ".join(
            f"{muscle} {fixed(item.poor.mean * style.scale, style.digits)} against "
            f"{fixed(item.good.mean * style.scale, style.digits)}"
            for muscle, item in zip(muscles, shown, strict=True)
        )
        alt = f"{style.label} of every patient by muscle. Mean with poor against good function: {listed}."
        summary = (
            f"Each small point is a patient's {style.title}. The large point is the mean of its group, the line one SD "
            "to either side. P is Student's t test, not corrected for the number of muscles."
            f"{' Diamonds are the published means.' if has_published else ''}"
        )
        title = f"{style.title} with poor and good function"
        data = data.drop(columns=["lane", "spread"])
        return figure_exhibit(figure, name or f"groups_{parameter}", title, summary, data, alt=alt)


def hedges_g_figure(
    comparisons: Sequence[GroupComparison], registry: MuscleRegistry, *, name: str = "hedges_g"
) -> Exhibit:
    """Draw the standardised difference of every muscle with its interval.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        One for each muscle and parameter; those without a Hedges g are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="hedges_g"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle under the heading of each parameter.
    """
    order = [*PARAMETERS, ""]
    shown = sorted(
        (item for item in comparisons if not isnan(item.hedges_g)),
        key=lambda item: order.index(split_feature(item.feature)[1]),
    )
    alpha = count_significant(comparisons).alpha
    level = level_label(comparisons)
    with drawing():
        parameters = [split_feature(item.feature)[1] for item in shown]
        n_rows = len(shown) + len(set(parameters))
        figure = Figure(figsize=(NARROW, 1.25 + _FOREST_ROW * max(n_rows, 2)), layout="constrained")
        ax = figure.subplots()
        labels: list[str] = []
        for place, item in enumerate(shown):
            if place == 0 or parameters[place] != parameters[place - 1]:
                draw_heading(ax, len(labels), parameters[place])
                labels.append("")
            _effect(ax, len(labels), item, survives=item.p_holm < alpha)
            labels.append(row_label(item.feature, registry))
        ax.axvline(0, color=MUTED, linewidth=0.8)
        draw_rows(ax, labels)
        write_beside_row(ax, 0, f"g ({level})", colour=MUTED)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.set_xlabel("Hedges g (difference in SDs)\n← lower with poor function  |  higher with poor function →")
        _holm_legend(figure, shown, alpha)
        surviving = [feature_title(item.feature, registry) for item in shown if item.p_holm < alpha]
        listed = "; ".join(f"{feature_title(item.feature, registry)} {fixed(item.hedges_g, 2)}" for item in shown)
        alt = f"Hedges g of poor minus good function: {listed or 'none could be estimated'}."
        summary = (
            "Difference of the means, poor minus good function, in standard deviations, with its "
            f"{level} from the noncentral t distribution. Around 0.2 is small, 0.8 large; an interval that crosses 0 "
            f"leaves the direction open. Filled squares: Student's P stays below {alpha:g} after Holm's correction for "
            f"{sum(not isnan(item.p) for item in comparisons)} tests "
            f"({', '.join(surviving) or 'none does'}). The intervals themselves are not corrected."
        )
        n_left_out = len(comparisons) - len(shown)
        if n_left_out:
            summary += f" {n_left_out} without an estimate left out."
        title = "Size of the differences between poor and good function"
        return figure_exhibit(figure, name, title, summary, _effects(shown), alt=alt)


def _effect(ax: Axes, row: int, item: GroupComparison, *, survives: bool) -> None:
    bounds, colour = item.g_interval, feature_colour(item.feature)
    ax.plot([bounds.low, bounds.high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    face = colour if survives else PAPER
    ax.plot(item.hedges_g, row, "s", color=colour, markerfacecolor=face, markeredgewidth=1.2, markersize=5)
    write_beside_row(ax, row, f"{fixed(item.hedges_g, 2)} ({interval(bounds, 2)})")


def _holm_legend(figure: Figure, shown: Sequence[GroupComparison], alpha: float) -> None:
    marks: dict[str, Any] = {"color": INK, "marker": "s", "linestyle": "", "markersize": 5, "markeredgewidth": 1.2}
    handles = [
        Line2D([], [], **marks, label=f"P (Holm) < {alpha:g}"),
        Line2D([], [], **marks, markerfacecolor=PAPER, label=f"P (Holm) ≥ {alpha:g}"),
    ]
    sizes = " and ".join(
        f"{range_of(pd.Series(counts))} {group}"
        for group, counts in (
            ("poor", [item.poor.n for item in shown]), ("good", [item.good.n for item in shown])
        )
        if counts
    )  # fmt: skip
    title = f"n = {sizes}" if sizes else "n = 0"
    legend = figure.legend(
        handles=handles, loc="outside upper left", ncols=2, handletextpad=0.1, columnspacing=1.2, title=title
    )
    legend.set_alignment("left")
    legend.get_title().set(color=MUTED, fontsize=8.5)


def _effects(shown: Sequence[GroupComparison]) -> pd.DataFrame:
    columns = ["feature", "hedges_g", "low", "high", "level", "p", "p_holm", "poor_n", "good_n"]
    rows = [
        (
            item.feature, item.hedges_g, item.g_interval.low, item.g_interval.high, item.g_interval.level, item.p,
            item.p_holm, item.poor.n, item.good.n,
        )
        for item in shown
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _members(features: FeatureFrame, feature: str, group: str) -> pd.Series:
    is_member = (features.poor == (group == "poor")).fillna(False).astype(bool)
    return features.values.loc[is_member, feature].dropna()


def _patients(values: Sequence[tuple[GroupComparison, str, pd.Series]]) -> pd.DataFrame:
    """One row per patient and feature, with the place of the point within its row of the figure."""
    parts = [
        pd.DataFrame(
            {
                "participant_id": members.index,
                "feature": item.feature,
                "group": group,
                "value": members.to_numpy(dtype=float),
                "lane": _LANES[group],
                "spread": 0.13 * spread(len(members)),
            }
        )
        for item, group, members in values
        if len(members)
    ]
    columns = ["participant_id", "feature", "group", "value", "lane", "spread"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _group_mean(ax: Axes, y: float, item: GroupComparison, group: str) -> None:
    """Mean ± SD of one group."""
    scale = PARAMETERS[split_feature(item.feature)[1]].scale
    summary, colour = (item.poor if group == "poor" else item.good), GROUP_COLOURS[group]
    ends = [(summary.mean - summary.sd) * scale, (summary.mean + summary.sd) * scale]
    ax.plot(ends, [y, y], color=colour, linewidth=1.3)
    ax.plot(summary.mean * scale, y, "o", color=colour, markeredgecolor=PAPER, markersize=6.5)
