"""The figure of what single patients do to AUCs and odds ratios."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import draw_rows, figure_exhibit, spread
from dtimuscle.presentation.style import AGREEMENT_COLOURS, INK, MUTED, NARROW, PAPER, drawing, fixed
from dtimuscle.presentation.tables.influence import group_title, quantity_title, row_title
from dtimuscle.statistics.influence import Influence, Quantity

# Height of a row in inches, and room for a name at each side as a share of the width of the points.
_ROW, _FOR_NAMES = 0.29, 0.4
_TURNING = AGREEMENT_COLOURS["undecided"]
_LOOK_TWICE = "#e9edf0"


def influence_figure(
    influence: Influence,
    registry: MuscleRegistry,
    *,
    title: str = "What changes without each patient",
    name: str = "influence_figure",
) -> Exhibit:
    """Draw how far each patient moves each AUC and odds ratio.

    Parameters
    ----------
    influence : Influence
        What changes without each patient; `Influence.about` chooses what is drawn.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="What changes without each patient"
        Heading.
    name : str, default="influence_figure"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per quantity, one point per patient; quantities that are not defined are left out.
    """
    # Those of a group stand together.
    groups: dict[str, list[Quantity]] = {}
    for item in influence.quantities:
        if item.most_influential:
            groups.setdefault(group_title(item, registry), []).append(item)
    shown = [item for group in groups.values() for item in group]
    by_quantity = {(q.kind, q.model, q.subject): influence.effects.head(0) for q in shown}
    by_quantity |= {
        key: rows for key, rows in influence.effects.groupby(["kind", "model", "subject"]) if key in by_quantity
    }
    parts = [rows.dropna(subset="change_in_se") for rows in by_quantity.values()]
    sizes = [len(part) for part in parts]
    n_rows = len(shown) + len(groups)
    with drawing():
        figure = Figure(figsize=(NARROW, 1.05 + _ROW * max(n_rows, 2)), layout="constrained")
        ax = figure.subplots()
        ax.set_xlim(*_limits(parts))
        if sizes:
            # n differs little between rows; the band is that of the largest.
            ax.axvspan(-2 / sqrt(max(sizes)), 2 / sqrt(max(sizes)), color=_LOOK_TWICE, linewidth=0, zorder=0)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        labels: list[str] = []
        for title_of_group, group in groups.items():
            _draw_heading(ax, len(labels), title_of_group)
            labels.append("")
            for item in group:
                _draw_row(ax, len(labels), item, parts[shown.index(item)])
                labels.append(row_title(item, registry))
        draw_rows(ax, labels)
        ax.set_xlabel("Change without the patient, SE")
        ax.set_title(_counts(sizes), fontweight="normal", color=MUTED)
        marks = [
            Line2D([], [], marker="o", linestyle="", color=MUTED, alpha=0.6, markersize=3.5, label="a patient"),
            Line2D(
                [], [], marker="D", linestyle="", color=_TURNING, markeredgecolor=PAPER, markersize=5.5,
                label="without whom the conclusion is another",
            ),
        ]  # fmt: skip
        figure.legend(handles=marks, loc="outside upper left", ncols=2, handletextpad=0.1, columnspacing=1.2)
        data = pd.concat(parts, ignore_index=True) if parts else influence.effects.head(0)
        return figure_exhibit(figure, name, title, _summary(sizes), data, alt=_alt(shown, registry))


def _limits(parts: Sequence[pd.DataFrame]) -> tuple[float, float]:
    changes = np.concatenate([[-0.2, 0.2], *(part["change_in_se"].to_numpy(dtype=float) for part in parts)])
    low, high = float(changes.min()), float(changes.max())
    # Room for the name of the outermost patient.
    return low - _FOR_NAMES * (high - low), high + _FOR_NAMES * (high - low)


def _draw_heading(ax: Axes, row: int, words: str) -> None:
    ax.annotate(
        words, (0, row), xycoords=("axes fraction", "data"), xytext=(-5, 0), textcoords="offset points", ha="right",
        va="center", fontsize=8.5, fontweight="bold", color=MUTED,
    )  # fmt: skip


def _draw_row(ax: Axes, row: int, item: Quantity, part: pd.DataFrame) -> None:
    # The order of the table is that of size, which would make the fixed spread a pattern.
    part = part.sort_values("participant_id", kind="stable")
    changes, turns = part["change_in_se"].to_numpy(dtype=float), part["turns"].to_numpy(dtype=bool)
    heights = row + 0.2 * spread(len(part))
    ax.plot(
        changes[~turns], heights[~turns], "o", color=MUTED, alpha=0.5, markersize=3, markeredgewidth=0, clip_on=False
    )
    if turns.any():
        ax.plot(
            changes[turns], heights[turns], "D", color=_TURNING, markeredgecolor=PAPER, markeredgewidth=0.5,
            markersize=5, clip_on=False,
        )  # fmt: skip
    place = int(np.argmax(np.abs(changes)))
    is_left = changes[place] < 0
    ax.annotate(
        item.most_influential, (changes[place], heights[place]), xytext=(-4 if is_left else 4, 0),
        textcoords="offset points", ha="right" if is_left else "left", va="center", fontsize=7.5, color=INK,
    )  # fmt: skip


def _counts(sizes: Sequence[int]) -> str:
    if not sizes:
        return "n = 0"
    low, high = min(sizes), max(sizes)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def _summary(sizes: Sequence[int]) -> str:
    border = f" (2/√n, here {fixed(2 / sqrt(max(sizes)), 2)})" if sizes else ""
    return (
        "Each point is a patient: how far the value moves when the patient is left out and everything is computed "
        "again, in standard errors of the value of all patients (of an odds ratio, its logarithm). Right: the value "
        f"would be higher. Points outside the grey band{border} deserve a look at the scan. A diamond is a patient "
        "without whom the interval would no longer leave out chance, or would begin to; the farthest patient of each "
        "row is named."
    )


def _alt(shown: Sequence[Quantity], registry: MuscleRegistry) -> str:
    listed = "; ".join(
        f"{quantity_title(item.kind, item.model, item.subject, registry)}: {item.most_influential}, "
        f"{fixed(item.change_in_se, 2)} standard errors"
        + (f", the conclusion hangs on {len(item.turned_by)}" if item.turned_by else "")
        for item in shown
    )
    return f"Change of each AUC and odds ratio without each patient. Largest changes: {listed or 'none'}."
