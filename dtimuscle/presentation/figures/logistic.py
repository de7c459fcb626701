"""Figures of logistic models."""

from collections.abc import Sequence
from math import isfinite

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import (
    draw_heading,
    draw_log_axis,
    draw_rows,
    feature_colour,
    figure_exhibit,
    row_label,
    write_beside_row,
)
from dtimuscle.presentation.style import (
    MUTED,
    NARROW,
    PARAMETERS,
    drawing,
    feature_title,
    fixed,
    interval,
)
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.logistic import Coefficient, LogisticFit


def odds_ratio_figure(
    fits: Sequence[LogisticFit], registry: MuscleRegistry, *, title: str = "Odds ratios", name: str = "odds_ratios"
) -> Exhibit:
    """Draw odds ratios with their intervals on a logarithmic axis.

    Parameters
    ----------
    fits : sequence of LogisticFit
        Univariate fits, or one multivariable fit; features without a finite estimate are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Odds ratios"
        Heading.
    name : str, default="odds_ratios"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature.
    """
    pairs = [(fit, c) for fit in fits for c in fit.coefficients if isfinite(c.odds_ratio)]
    order = [*PARAMETERS, ""]
    pairs.sort(key=lambda pair: order.index(split_feature(pair[1].name)[1]))
    n_left_out = sum(len(fit.coefficients) for fit in fits) - len(pairs)
    data = pd.DataFrame(
        [
            {"feature": c.name, "odds_ratio": c.odds_ratio, "low": c.interval.low, "high": c.interval.high,
             "step": c.step, "n": fit.n, "n_events": fit.n_events}
            for fit, c in pairs
        ],
        columns=["feature", "odds_ratio", "low", "high", "step", "n", "n_events"],
    )  # fmt: skip
    with drawing():
        titles = [split_feature(c.name)[1] for _, c in pairs]
        n_rows = len(pairs) + len(set(titles))
        figure = Figure(figsize=(NARROW, 0.85 + 0.26 * max(n_rows, 2)), layout="constrained")
        ax = figure.subplots()
        labels: list[str] = []
        for place, (_, c) in enumerate(pairs):
            if place == 0 or titles[place] != titles[place - 1]:
                draw_heading(ax, len(labels), titles[place])
                labels.append("")
            _odds_ratio(ax, len(labels), c)
            labels.append(row_label(c.name, registry))
        ax.axvline(1, color=MUTED, linewidth=0.8)
        draw_rows(ax, labels)
        draw_log_axis(ax, data[["low", "high"]].to_numpy(dtype=float))
        ax.set_xlabel("Odds ratio of poor function per step (log scale)")
        sizes = sorted({(fit.n, fit.n_events) for fit, _ in pairs})
        counts = " or ".join(f"n = {n} ({events} events)" for n, events in sizes)
        ax.set_title(counts, fontweight="normal", color=MUTED)
        listed = "; ".join(f"{feature_title(c.name, registry)} {fixed(c.odds_ratio, 2)}" for _, c in pairs)
        alt = f"Odds ratios of poor function, {counts}: {listed or 'none could be estimated'}."
        summary = (
            "Change of the odds of poor function when the feature rises by one step (0.1 for FA, 0.1 × 10⁻³ mm²/s "
            "for ADC), with "
            "its interval. Left of 1, higher values go with good function; an interval that crosses 1 leaves it open."
        )
        if n_left_out:
            summary += f" {n_left_out} without a finite estimate left out."
        return figure_exhibit(figure, name, title, summary, data, alt=alt)


def _odds_ratio(ax: Axes, row: int, coefficient: Coefficient) -> None:
    bounds, colour = coefficient.interval, feature_colour(coefficient.name)
    ax.plot([bounds.low, bounds.high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    ax.plot(coefficient.odds_ratio, row, "s", color=colour, markersize=4.5)
    write_beside_row(ax, row, f"{fixed(coefficient.odds_ratio, 2)} ({interval(bounds, 2)})")
