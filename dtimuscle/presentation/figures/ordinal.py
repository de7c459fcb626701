"""Figures of proportional-odds models."""

from math import isfinite

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import (
    draw_log_axis,
    draw_rows,
    feature_colour,
    figure_exhibit,
    write_beside_row,
)
from dtimuscle.presentation.style import INK, MUTED, NARROW, drawing, feature_title
from dtimuscle.presentation.tables.cells import ratio, ratio_interval
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.ordinal import OrdinalFit

COLUMNS = ("feature", "row", "odds_ratio_per_sd", "low", "high", "n_above", "n_below")

# Intervals of single cuts may be endless; the axis ends at this many times the widest joint interval.
WIDEST = 6.0


def ordinal_figure(
    fit: OrdinalFit,
    registry: MuscleRegistry,
    *,
    title: str = "One odds ratio for all cuts, and each cut by itself",
    name: str = "ordinal_odds_ratios",
) -> Exhibit:
    """Draw the odds ratio of each feature over those of the separate cuts, which it says are one.

    Parameters
    ----------
    fit : OrdinalFit
        The model; features without a finite estimate are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="One odds ratio for all cuts, and each cut by itself"
        Heading.
    name : str, default="ordinal_odds_ratios"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        A block of rows for each feature.
    """
    rows = _rows(fit)
    data = pd.DataFrame(rows, columns=list(COLUMNS))
    with drawing():
        figure = Figure(figsize=(NARROW, 1.0 + 0.235 * max(len(rows), 2)), layout="constrained")
        ax = figure.subplots()
        labels: list[str] = []
        for place, (feature, label, odds_ratio, low, high, n_above, n_below) in enumerate(rows):
            is_joint = label == "all cuts"
            bounds = Interval(low, high, fit.level)
            colour = feature_colour(feature) if is_joint else MUTED
            _draw(ax, place, odds_ratio, bounds, colour=colour, is_joint=is_joint)
            if is_joint:
                labels.append(feature_title(feature, registry))
                if place:
                    ax.axhline(place - 0.5, color="#edf0f2", linewidth=0.8, zorder=0)
            else:
                labels.append(f"{label} ({n_above} / {n_below})")
        ax.axvline(1, color=MUTED, linewidth=0.8)
        draw_rows(ax, labels or [""])
        for tick, row in zip(ax.get_yticklabels(), rows, strict=False):
            tick.set_color(INK if row[1] == "all cuts" else MUTED)
            tick.set_fontsize(8.5 if row[1] == "all cuts" else 7.5)
        draw_log_axis(ax, _bounds(data))
        ax.set_xlabel("Odds ratio of a higher grade per SD (log scale)")
        ax.set_title(f"n = {fit.n}; cuts: above / below", fontweight="normal", color=MUTED)
        joint = data[data["row"] == "all cuts"]
        listed = "; ".join(
            f"{feature_title(feature, registry)} {ratio(value)}"
            for feature, value in zip(joint["feature"], joint["odds_ratio_per_sd"], strict=True)
        )
        alt = f"Odds ratios of a higher Lovett grade, n = {fit.n}: {listed or 'none could be estimated'}."
        return figure_exhibit(figure, name, title, _summary(fit), data, alt=alt)


def _rows(fit: OrdinalFit) -> list[tuple[str, str, float, float, float, int, int]]:
    rows = []
    for term in fit.terms:
        if not isfinite(term.odds_ratio_per_sd):
            continue
        joint = (term.profile_per_sd.low, term.profile_per_sd.high)
        rows.append((term.name, "all cuts", term.odds_ratio_per_sd, *joint, fit.n, fit.n))
        for cut in fit.cuts:
            here = next(found for found in cut.terms if found.name == term.name)
            ends = (here.wald_per_sd.low, here.wald_per_sd.high)
            rows.append((term.name, f"≥ {cut.at_least}", here.odds_ratio_per_sd, *ends, cut.n_above, cut.n_below))
    return rows


def _draw(ax: Axes, row: int, value: float, bounds: Interval, *, colour: str, is_joint: bool) -> None:
    if not isfinite(value):
        write_beside_row(ax, row, "not estimable", colour=MUTED)
        return
    width, marker, size = (2.2, "s", 5.5) if is_joint else (0.8, "o", 3.0)
    ax.plot([bounds.low, bounds.high], [row, row], color=colour, linewidth=width, solid_capstyle="butt")
    ax.plot(value, row, marker, color=colour, markersize=size)
    words = f"{ratio(value)} ({ratio_interval(bounds)})" if bounds.is_defined else ratio(value)
    write_beside_row(ax, row, words, colour=INK if is_joint else MUTED)


def _bounds(data: pd.DataFrame) -> np.ndarray:
    """Give everything that has to fit: joint intervals and the estimates of the cuts, not their endless intervals."""
    joint = data.loc[data["row"] == "all cuts", ["low", "high"]].to_numpy(dtype=float)
    if not len(joint):
        return np.array([])
    low, high = np.nanmin(joint) / WIDEST, np.nanmax(joint) * WIDEST
    return np.clip(data[["odds_ratio_per_sd", "low", "high"]].to_numpy(dtype=float).ravel(), low, high)


def _summary(fit: OrdinalFit) -> str:
    words = (
        "Coloured squares: the proportional-odds model's one odds ratio of a higher Lovett grade when the feature "
        f"is one SD higher, with its {100 * fit.level:g}% profile-likelihood interval. Below each, in grey, the odds "
        "ratios of separate logistic models for every cut of the grade (patients above / below the cut), with Wald "
        "intervals. The model assumes that the grey points of a feature differ by chance only. Right of 1, higher "
        "values go with stronger muscles. Intervals that reach the frame go on."
    )
    n_left_out = sum(not isfinite(term.odds_ratio_per_sd) for term in fit.terms)
    return words + (f" {n_left_out} feature(s) without a finite estimate left out." if n_left_out else "")
