"""Figures of missing values."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch, Rectangle

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import figure_exhibit
from dtimuscle.presentation.style import (
    FAINT,
    GROUP_COLOURS,
    INK,
    MUTED,
    NARROW,
    count,
    drawing,
    feature_title,
)
from dtimuscle.statistics.missing import MissingColumn, MissingData, MissingPattern

# More patterns than this do not fit a narrow figure; the most frequent ones are drawn.
MOST_PATTERNS = 12

# With more columns than this only the incomplete ones are drawn.
MOST_COLUMNS = 31

# Inches of height that a row takes.
ROW = 0.195

# The axis is at least this many tiles wide, so that a single pattern is not a bar.
FEWEST_WIDTHS = 8


def missing_pattern_figure(
    missing: MissingData, registry: MuscleRegistry, *, name: str = "missing_patterns"
) -> Exhibit:
    """Show which columns are missing together, and in how many patients.

    Parameters
    ----------
    missing : MissingData
        What is missing.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="missing_patterns"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        Features and covariates from top to bottom, patterns side by side, with counts.
    """
    incomplete = [column for column in missing.columns if column.n_missing]
    columns = list(missing.columns) if incomplete and len(missing.columns) <= MOST_COLUMNS else incomplete
    labels = [feature_title(column.name, registry) for column in columns]
    rows = [(column.name, column.n_missing) for column in columns]
    if not incomplete:
        labels, rows = [f"All {len(missing.columns)} features and covariates"], [("", 0)]
    patterns = missing.patterns[:MOST_PATTERNS]
    groups = [("poor", missing.n_poor), ("good", missing.n_good)]
    if missing.n_ungraded:
        groups.append(("ungraded", missing.n_ungraded))
    data = pd.DataFrame(
        [
            {"missing": ", ".join(p.missing), "n_missing": len(p.missing), "n": p.n, "poor": p.poor, "good": p.good,
             "ungraded": p.ungraded}
            for p in missing.patterns
        ]
    )  # fmt: skip
    with drawing():
        figure = Figure(
            figsize=(NARROW, 0.6 + ROW * (len(rows) + len(groups) + 1)),
            layout=ConstrainedLayoutEngine(rect=(0.01, 0, 0.98, 1)),
        )
        ax = figure.subplots()
        _draw_tiles(ax, [name for name, _ in rows], patterns)
        _draw_counts(ax, [n for _, n in rows], patterns, groups)
        heads = ["Patients with the pattern:", *(_group_label(group, n) for group, n in groups)]
        ax.set_yticks(np.arange(-len(heads), len(rows)), [*heads, *labels])
        ax.set_ylim(len(rows) - 0.4, -len(heads) - 0.6)
        ax.set_xlim(-0.5, max(len(patterns), FEWEST_WIDTHS) - 0.5)
        ax.tick_params(length=0, labelcolor=INK, labelsize=8)
        ax.set_xticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)
        colours = [MUTED, *(GROUP_COLOURS.get(group, MUTED) for group, _ in groups)]
        for label, colour in zip(ax.get_yticklabels(), colours, strict=False):
            label.set_color(colour)
        handles = [Patch(color=FAINT, label="known"), Patch(color=INK, label="missing")]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=1, handleheight=1)
        return figure_exhibit(
            figure,
            name,
            "Which values are missing together",
            _summary(missing, n_columns=len(columns), n_patterns=len(patterns)),
            data,
            alt=_alt(missing, incomplete, registry),
        )


def _draw_tiles(ax: Axes, names: Sequence[str], patterns: Sequence[MissingPattern]) -> None:
    places = [(x, y) for x in range(len(patterns)) for y in range(len(names))]
    # One collection: hundreds of single patches would take the layout seconds.
    tiles = [Rectangle((x - 0.42, y - 0.42), 0.84, 0.84) for x, y in places]
    colours = [INK if names[y] in patterns[x].missing else FAINT for x, y in places]
    ax.add_collection(PatchCollection(tiles, facecolors=colours, linewidths=0))


def _draw_counts(
    ax: Axes, n_missing: Sequence[int], patterns: Sequence[MissingPattern], groups: Sequence[tuple[str, int]]
) -> None:
    for x, pattern in enumerate(patterns):
        for row, (group, _) in enumerate(groups):
            n = getattr(pattern, group)
            colour = GROUP_COLOURS.get(group, MUTED) if n else MUTED
            ax.text(x, row - len(groups), count(n), ha="center", va="center_baseline", fontsize=7.5, color=colour)
    beside = [(-1, "missing", MUTED), *((y, count(n), INK if n else MUTED) for y, n in enumerate(n_missing))]
    for y, words, colour in beside:
        ax.annotate(
            words, (len(patterns) - 0.5, y), xytext=(4, 0), textcoords="offset points", ha="left", va="center_baseline",
            fontsize=7.5, color=colour, annotation_clip=False,
        )  # fmt: skip


def _group_label(group: str, n: int) -> str:
    words = {"poor": "Poor function", "good": "Good function", "ungraded": "No grade"}[group]
    return f"{words} (n = {count(n)})"


def _summary(missing: MissingData, *, n_columns: int, n_patterns: int) -> str:
    if not missing.n_values:
        return (
            f"Nothing is missing: all {count(missing.n)} patients have all {len(missing.columns)} features and "
            "covariates."
        )
    words = (
        "Each column of tiles is one pattern of missing values, first that of the complete patients where there are "
        "any, then the most frequent ones; the numbers above it count the patients who have it. Numbers on the right "
        f"count the missing values of a row. {count(missing.n)} patients, {count(len(missing.patterns))} patterns."
    )
    hidden = missing.patterns[n_patterns:]
    if hidden:
        n_hidden = count(sum(pattern.n for pattern in hidden))
        words += f" The {count(len(hidden))} rarest patterns, of {n_hidden} patients, are not drawn."
    if n_columns < len(missing.columns):
        words += f" {len(missing.columns) - n_columns} features and covariates without missing values are not drawn."
    return words


def _alt(missing: MissingData, incomplete: Sequence[MissingColumn], registry: MuscleRegistry) -> str:
    if not incomplete:
        return f"Pattern of missing values: nothing is missing in {count(missing.n)} patients."
    worst = sorted(incomplete, key=lambda column: -column.n_missing)[:3]
    listed = "; ".join(f"{feature_title(column.name, registry)} {column.n_missing}" for column in worst)
    n_complete = sum(pattern.n for pattern in missing.patterns if not pattern.missing)
    return (
        f"Patterns of missing values in {count(missing.n)} patients, {count(n_complete)} of them complete. "
        f"Most missing: {listed}."
    )
