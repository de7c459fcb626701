"""Figures of correlations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import POINTS, figure_exhibit, graded_values, range_of, spread
from dtimuscle.presentation.style import (
    FAINT,
    GROUP_COLOURS,
    INK,
    MODEL_COLOURS,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    WIDE,
    drawing,
    feature_title,
    fixed,
    interval,
)
from dtimuscle.presentation.tables.correlation import SYMBOLS
from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.correlation_matrix import CorrelationMatrix
from dtimuscle.statistics.features import FeatureFrame, split_feature

# From violet through white to teal: apart for colour-blind eyes, and not the colours of the two groups.
_DIVERGING = LinearSegmentedColormap.from_list(
    "violet_teal", [MODEL_COLOURS["md"], "#c9a9d6", "#f7f7f7", "#8cc9c5", MODEL_COLOURS["fa"]]
)

# Inches: a cell with a number of two decimals in it, and the smallest one without.
_CELL, _SMALLEST_CELL = 0.37, 0.19
_LARGEST_WITH_NUMBERS = 14


def correlation_figure(
    features: FeatureFrame,
    correlations: Sequence[Correlation],
    registry: MuscleRegistry,
    *,
    name: str = "correlation_with_grade",
) -> Exhibit:
    """Show values against the Lovett grade, which is ordinal: by grade, with medians and quartiles, without a line.

    Parameters
    ----------
    features : FeatureFrame
        The values and grades of the patients.
    correlations : sequence of Correlation
        The features that are shown, in this order; of each feature one or several coefficients.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="correlation_with_grade"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel per feature.
    """
    shown: dict[str, list[Correlation]] = {}
    for item in correlations:
        shown.setdefault(item.feature, []).append(item)
    n_rows = max(-(-len(shown) // 2), 1)
    n_lines = 1 + max((len(items) for items in shown.values()), default=1)
    data = pd.concat(
        [graded_values(features, feature) for feature in shown] or [graded_values(features)], ignore_index=True
    )
    with drawing():
        figure, axes = _panels(n_rows, heading=0.34 + 0.15 * n_lines)
        for ax, (feature, items) in zip(axes, shown.items(), strict=False):
            _draw_grades(ax, data[data["feature"] == feature], feature)
            ax.set_title(registry.title(split_feature(feature)[0]), pad=6 + 10.5 * n_lines, fontsize=9)
            lines = [f"n = {items[0].n}"]
            lines += [f"{SYMBOLS[item.method]} = {fixed(item.r, 2)} ({interval(item.interval, 2)})" for item in items]
            ax.annotate(
                "\n".join(lines), (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points",
                fontsize=7.5, color=MUTED, linespacing=1.25,
            )  # fmt: skip
        for ax in axes[max(len(shown) - 2, 0) : len(shown)]:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("Lovett grade")
        for ax in axes[len(shown) :]:
            ax.set_visible(False)
        listed = "; ".join(
            f"{feature_title(c.feature, registry)} {SYMBOLS[c.method]} {fixed(c.r, 2)}" for c in correlations
        )
        alt = f"Muscle values by Lovett grade. Correlation: {listed}."
        methods = dict.fromkeys(f"{SYMBOLS[c.method]} is {c.method}'s coefficient" for c in correlations)
        summary = (
            "Each point is a patient, spread sideways within the grade; bars are the median of a grade and the line "
            "its quartiles. Grades are ordered, but the steps between them need not be equal, so no straight line is "
            f"drawn. {', '.join(methods)}{', with its interval' if methods else ''}. Rust is poor function, blue good "
            "function."
        )
        return figure_exhibit(
            figure, name, "Muscle values and the Lovett grade", summary, data.drop(columns="group"), alt=alt
        )


def correlation_heatmap_figure(
    matrix: CorrelationMatrix, registry: MuscleRegistry, *, name: str = "correlation_heatmap"
) -> Exhibit:
    """Show how strongly muscle values go with each other.

    Parameters
    ----------
    matrix : CorrelationMatrix
        Of the features, muscles are brought together.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="correlation_heatmap"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One cell for each pair, with its number where there is room.
    """
    order = _by_muscle(matrix.features)
    pairs = _pairs(matrix, order)
    titles = [feature_title(feature, registry) for feature in order]
    has_numbers = len(order) <= _LARGEST_WITH_NUMBERS
    with drawing():
        figure, ax, bar = _heatmap_axes(len(order), has_numbers=has_numbers)
        cells = matrix.r.loc[order, order].to_numpy(dtype=float)
        drawn = np.ma.masked_invalid(np.where(np.tri(len(order), k=-1, dtype=bool), cells, np.nan))
        ax.set_facecolor(PAPER)
        mesh = ax.pcolormesh(drawn, cmap=_DIVERGING, vmin=-1, vmax=1, edgecolors=PAPER, linewidth=0.6)
        _write_cells(ax, cells, has_numbers=has_numbers)
        size = 8 if has_numbers else 6.5
        ax.set_yticks(np.arange(1, len(order)) + 0.5, titles[1:], fontsize=size)
        ax.set_xticks(np.arange(len(order) - 1) + 0.5, titles[:-1], fontsize=size, rotation=90)
        ax.set(xlim=(0, max(len(order) - 1, 1)), ylim=(max(len(order), 2), 1), aspect="equal")
        ax.tick_params(length=0, labelcolor=INK)
        seaborn.despine(ax=ax, left=True, bottom=True)
        n = range_of(pairs["n"]) if len(pairs) else "0"
        figure.colorbar(mesh, cax=bar, orientation="horizontal", ticks=[-1, -0.5, 0, 0.5, 1])
        bar.set_title(f"{matrix.method}'s {SYMBOLS[matrix.method]} (n = {n})", fontsize=8.5, fontweight="normal")
        bar.tick_params(labelsize=7.5)
        summary = (
            f"{matrix.method}'s {SYMBOLS[matrix.method]} of each pair of values, over the {n} patients who have both. "
            "Teal: they rise together; violet: one falls as the other rises; white: unrelated; blank: not estimable. "
            "The closer |r| is to 1, the less a common model can tell two values apart."
        )
        return figure_exhibit(
            figure, name, "How muscle values go with each other", summary, pairs, alt=_heatmap_alt(pairs, registry)
        )


def _panels(n_rows: int, *, heading: float) -> tuple[Figure, NDArray[np.object_]]:
    """Lay panels out in two columns, in inches; finding the layout of so many would take longer than drawing them."""
    panel, bottom, left, between, right = 1.45, 0.45, 0.62, 0.64, 0.08
    height = bottom + n_rows * (panel + heading)
    figure = Figure(figsize=(NARROW, height))
    figure.subplots_adjust(
        left=left / NARROW,
        right=1 - right / NARROW,
        bottom=bottom / height,
        top=1 - heading / height,
        wspace=between / ((NARROW - left - right - between) / 2),
        hspace=heading / panel,
    )
    return figure, figure.subplots(n_rows, 2, squeeze=False, sharex=True).ravel()


def _draw_grades(ax: Axes, here: pd.DataFrame, feature: str) -> None:
    style = PARAMETERS[split_feature(feature)[1]]
    grades, values = here["lovett_grade"], here["value"] * style.scale
    sideways = 0.28 * here.groupby("lovett_grade")["value"].transform(lambda within: spread(len(within)))
    # Not seaborn's scatterplot and pointplot: with as many panels as features they take longer than everything else.
    for group, members in here.groupby("group").groups.items():
        look = {"s": POINTS["s"], "alpha": POINTS["alpha"], "linewidth": 0, "clip_on": False}
        ax.scatter((grades + sideways)[members], values[members], color=GROUP_COLOURS[str(group)], **look)
    by_grade = values.groupby(grades)
    median = by_grade.median()
    reach = (median - by_grade.quantile(0.25), by_grade.quantile(0.75) - median)
    ax.errorbar(
        median.index.to_numpy(dtype=float), median.to_numpy(), yerr=np.array(reach),
        fmt="_", color=INK, markersize=13, markeredgewidth=1.8, elinewidth=1.1,
    )  # fmt: skip
    ax.set(xlabel="", ylabel=style.label, xlim=(-0.6, 5.6))
    ax.xaxis.set_major_locator(FixedLocator(range(6)))
    ax.yaxis.set_major_locator(MaxNLocator(4))


def _by_muscle(features: Sequence[str]) -> list[str]:
    muscles = list(dict.fromkeys(split_feature(feature)[0] for feature in features))
    return sorted(features, key=lambda feature: muscles.index(split_feature(feature)[0]))


def _pairs(matrix: CorrelationMatrix, order: Sequence[str]) -> pd.DataFrame:
    rows = [
        (one, other, matrix.method, matrix.r.loc[one, other], matrix.p.loc[one, other], matrix.n.loc[one, other])
        for i, one in enumerate(order)
        for other in order[:i]
    ]
    return pd.DataFrame(rows, columns=["feature", "other", "method", "r", "p", "n"])


def _heatmap_alt(pairs: pd.DataFrame, registry: MuscleRegistry) -> str:
    known = pairs.dropna(subset="r")
    alt = f"Heat map of the correlations of {len(pairs)} pairs of muscle values."
    if known.empty:
        return alt
    strongest = known.sort_values("r", key=lambda r: r.abs()).to_dict("records")[-1]
    one, other = (feature_title(strongest[end], registry) for end in ("feature", "other"))
    return (
        f"{alt} They lie between {fixed(known['r'].min(), 2)} and {fixed(known['r'].max(), 2)}; the strongest is that "
        f"of {one} and {other}, {fixed(strongest['r'], 2)}."
    )


def _heatmap_axes(n_features: int, *, has_numbers: bool) -> tuple[Figure, Axes, Axes]:
    cell = _CELL if has_numbers else _SMALLEST_CELL
    labels = 1.75 if has_numbers else 1.5
    side = cell * max(n_features - 1, 2)
    width = min(max(side + labels + 0.1, NARROW), WIDE)
    figure = Figure(figsize=(width, side + labels + 0.75), layout="constrained")
    bar, ax = figure.subplots(2, 1, height_ratios=[0.13, side + labels])
    bar.set_box_aspect(0.05)
    return figure, ax, bar


def _write_cells(ax: Axes, cells: np.ndarray, *, has_numbers: bool) -> None:
    for row in range(1, len(cells)):
        for column in range(row):
            value = cells[row, column]
            if np.isnan(value):
                ax.plot(column + 0.5, row + 0.5, "x", color=FAINT, markersize=3)
            elif has_numbers:
                ax.text(
                    column + 0.5, row + 0.5, fixed(value, 2), ha="center", va="center", fontsize=7.5,
                    color=PAPER if abs(value) > 0.7 else INK,
                )  # fmt: skip
