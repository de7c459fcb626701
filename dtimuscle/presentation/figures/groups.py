"""Figures that hold poor against good function."""

from collections.abc import Mapping, Sequence

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import (
    POINTS,
    ROW_HEIGHT,
    draw_group_legend,
    draw_rows,
    figure_exhibit,
    spread,
    write_beside_row,
)
from dtimuscle.presentation.style import (
    GROUP_COLOURS,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    PUBLISHED,
    drawing,
    fixed,
    p_value,
)
from dtimuscle.statistics.features import FeatureFrame, split_feature
from dtimuscle.statistics.groups import GroupComparison

# Distance of a group's lane from the middle of its row, in rows.
_LANES = {"poor": -0.19, "good": 0.19}


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
