"""Figures that hold published values against those found."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import draw_rows, figure_exhibit
from dtimuscle.presentation.style import (
    GROUP_COLOURS,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    PUBLISHED,
    drawing,
    row_label,
)
from dtimuscle.presentation.tables import verdict_pairs
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.estimates import Estimate, Interval
from dtimuscle.statistics.features import split_feature


def published_and_found_figure(
    verdicts: Sequence[Verdict], registry: MuscleRegistry, *, name: str = "published_and_found"
) -> Exhibit:
    """Draw the published value and the one that was found on one axis for each claim that has both.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Those without a published number are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="published_and_found"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel per kind of number, one row per claim.
    """
    panels = _number_panels(verdicts)
    heights = [len(rows) for rows in panels.values()] or [2]
    records = []
    with drawing():
        figure = Figure(figsize=(NARROW, 0.6 + sum(0.75 + 0.34 * height for height in heights)), layout="constrained")
        axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=[h + 0.8 for h in heights]).ravel()
        for ax, (kind, rows) in zip(axes, panels.items(), strict=False):
            parameter = split_feature(rows[0].subject)[1] if kind.startswith("mean") else ""
            scale = PARAMETERS[parameter].scale if parameter else 1.0
            titles = []
            for row, verdict in enumerate(rows):
                found = verdict.found
                if found is None or verdict.published_value is None:
                    continue
                _published_mark(ax, row, verdict.published_value * scale, _scaled(verdict.published_interval, scale))
                _found_mark(ax, row, found, scale)
                titles.append(", ".join(part for part in (row_label(verdict.subject, registry), verdict.group) if part))
                records.append(_pair_record(verdict))
            draw_rows(ax, titles)
            ax.set_xlabel(PARAMETERS[parameter].label if parameter else _KIND_TITLES.get(kind, kind))
            ax.set_title(_found_n(rows), fontweight="normal", color=MUTED)
            ax.xaxis.set_major_locator(MaxNLocator(6))
        handles = [
            Line2D(
                [],
                [],
                marker="D",
                color=MUTED,
                markerfacecolor=PAPER,
                markeredgecolor=PUBLISHED,
                linewidth=1,
                label="published",
            ),
            Line2D([], [], marker="o", color=INK, linewidth=1.4, label="found"),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
        data = pd.DataFrame(records)
        shown = [v for rows in panels.values() for v in rows]
        beside = verdict_pairs(shown, registry)
        listed = "; ".join(f"{pair.label}: published {pair.published}, found {pair.found}" for pair in beside)
        alt = f"Published and found values on one axis. {listed or 'No claim has both'}."
        summary = (
            "Every claim with a printed number: the published value (diamond) and the one that was found (point), "
            "with their "
            "intervals where there are any. Lines that lie apart mean that the two do not tell the same story."
        )
        return figure_exhibit(figure, name, "Published and found", summary, data, alt=alt, beside=beside)


_KIND_TITLES = {
    "auc": "AUC",
    "auc_difference": "Difference of AUC",
    "odds_ratio": "Odds ratio",
    "correlation": "Correlation",
}


def _number_panels(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    panels: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.found is None or verdict.published_value is None:
            continue
        kind = verdict.found.kind
        key = f"mean.{split_feature(verdict.subject)[1]}" if kind == "mean" else kind
        panels.setdefault(key, []).append(verdict)
    return panels


def _scaled(bounds: Interval | None, scale: float) -> Interval | None:
    return bounds and Interval(bounds.low * scale, bounds.high * scale, bounds.level)


def _published_mark(ax: Axes, row: int, value: float, bounds: Interval | None) -> None:
    if bounds is not None:
        ax.plot([bounds.low, bounds.high], [row - 0.17] * 2, color=MUTED, linewidth=1.4)
    ax.plot(value, row - 0.17, "D", color=PAPER, markeredgecolor=PUBLISHED, markersize=5)


def _found_mark(ax: Axes, row: int, found: Estimate, scale: float) -> None:
    colour = GROUP_COLOURS.get(found.group, INK)
    if found.interval is not None:
        ends = [found.interval.low * scale, found.interval.high * scale]
        ax.plot(ends, [row + 0.17] * 2, color=colour, linewidth=1.4)
    ax.plot(found.value * scale, row + 0.17, "o", color=colour, markersize=5.5)


def _found_n(verdicts: Sequence[Verdict]) -> str:
    sizes = sorted({v.found.n for v in verdicts if v.found is not None})
    return f"n = {' or '.join(str(n) for n in sizes)} (found)"


def _pair_record(verdict: Verdict) -> dict[str, object]:
    found, published = verdict.found, verdict.published_interval
    return {
        "claim_id": verdict.claim_id,
        "subject": verdict.subject,
        "group": verdict.group,
        "published": verdict.published_value,
        "published_low": published.low if published else None,
        "published_high": published.high if published else None,
        "found": found.value if found else None,
        "found_low": found.interval.low if found and found.interval else None,
        "found_high": found.interval.high if found and found.interval else None,
    }
