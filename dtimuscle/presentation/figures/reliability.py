"""Figures of how well muscle values repeat between sessions or readers."""

from collections.abc import Sequence
from math import ceil, isfinite

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import feature_colour, figure_exhibit
from dtimuscle.presentation.style import INK, MUTED, NARROW, PAPER, PARAMETERS, drawing, feature_title, fixed
from dtimuscle.presentation.tables.reliability import difference_words
from dtimuscle.statistics.bland_altman import BlandAltman
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature

# Room at the right of the points for the numbers of the lines, and above and below them, as shares of their range.
_RIGHT, _MARGIN = 0.36, 0.12

# Share of a panel's height within which the numbers of two lines would stand on one another, and how far the one of
# the bias then moves aside, points.
_TIGHT, _ASIDE = 0.12, 34


def bland_altman_figure(
    comparisons: Sequence[BlandAltman],
    registry: MuscleRegistry,
    *,
    title: str = "Differences against means",
    name: str = "bland_altman",
) -> Exhibit:
    """Draw the difference of two occasions against their mean, a panel for each feature.

    Parameters
    ----------
    comparisons : sequence of BlandAltman
        Panels stand two in a row, those of a muscle together; what is not defined is left out.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Differences against means"
        Heading.
    name : str, default="bland_altman"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        The data are the points, and bias and limits with their intervals.
    """
    shown = _by_muscle([item for item in comparisons if isfinite(item.bias)])
    pairs = list(dict.fromkeys(difference_words(item) for item in shown))
    n_rows = max(ceil(len(shown) / 2), 1)
    heights = {p: _height([item for item in shown if split_feature(item.feature)[1] == p]) for p in (*PARAMETERS, "")}
    with drawing():
        figure = Figure(figsize=(NARROW, 0.3 + 1.95 * n_rows), layout="constrained")
        axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
        for ax, item in zip(axes, shown, strict=False):
            parameter = split_feature(item.feature)[1]
            _draw_panel(ax, item, height=heights[parameter])
            words = feature_title(item.feature, registry)
            if parameter and PARAMETERS[parameter].unit:
                words += f", {PARAMETERS[parameter].unit}"
            if len(pairs) > 1:
                words += f", {difference_words(item)}"
            ax.set_title(words.replace(", ", ",\n", 1), fontsize=8.5)
        for ax in axes[len(shown) :]:
            ax.set_visible(False)
        figure.supxlabel("Mean of the two values", fontsize=9, color=MUTED)
        figure.supylabel(f"Difference ({pairs[0]})" if len(pairs) == 1 else "Difference", fontsize=9, color=MUTED)
        return figure_exhibit(
            figure, name, title, _summary(shown, len(comparisons)), _drawn(shown), alt=_alt(shown, registry)
        )


def _by_muscle(comparisons: Sequence[BlandAltman]) -> list[BlandAltman]:
    muscles = list(dict.fromkeys(split_feature(item.feature)[0] for item in comparisons))
    return sorted(comparisons, key=lambda item: muscles.index(split_feature(item.feature)[0]))


def _scale(item: BlandAltman) -> float:
    parameter = split_feature(item.feature)[1]
    return PARAMETERS[parameter].scale if parameter else 1.0


def _digits(item: BlandAltman) -> int:
    parameter = split_feature(item.feature)[1]
    return PARAMETERS[parameter].digits + (0 if parameter == "fa" else 1) if parameter else 3


def _height(items: Sequence[BlandAltman]) -> tuple[float, float]:
    """Lowest and highest difference of all panels of one parameter, in the printed unit."""
    if not items:
        return 0.0, 0.0
    ends = []
    for item in items:
        lines = [item.lower, item.upper, item.lower_interval.low, item.upper_interval.high, 0.0]
        everything = np.append(item.points["difference"].to_numpy(dtype=float), lines) * _scale(item)
        ends.append((np.nanmin(everything), np.nanmax(everything)))
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    margin = _MARGIN * (high - low) / 2
    return low - margin, high + margin


def _draw_panel(ax: Axes, item: BlandAltman, *, height: tuple[float, float]) -> None:
    scale, colour = _scale(item), feature_colour(item.feature)
    means, differences = (item.points[key].to_numpy(dtype=float) * scale for key in ("mean", "difference"))
    low, high = float(means.min()), float(means.max())
    width = (high - low) or abs(high) or 1.0
    ax.set_xlim(low - 0.06 * width, high + _RIGHT * width)
    if height[1] > height[0]:
        ax.set_ylim(*height)
    ax.axhline(0, color=MUTED, linewidth=0.6)
    lines = [
        (item.upper, item.upper_interval, (0, (4, 2.5))),
        (item.bias, item.bias_interval, "solid"),
        (item.lower, item.lower_interval, (0, (4, 2.5))),
    ]
    is_tight = min(item.upper - item.bias, item.bias - item.lower) * scale < _TIGHT * (height[1] - height[0])
    for row, (value, bounds, style) in enumerate(lines):
        if bounds.is_defined:
            ax.axhspan(bounds.low * scale, bounds.high * scale, color=colour, alpha=0.1, linewidth=0)
        ax.axhline(value * scale, color=colour, linewidth=1.0, linestyle=style)
        # Away from the line of no difference.
        is_above = row == 0 or (row == 1 and value >= 0)
        ax.annotate(
            _signed(value * scale, _digits(item)), (1, value * scale), xycoords=("axes fraction", "data"),
            xytext=(-2 - _ASIDE * (row == 1 and is_tight), 2 if is_above else -2.5), textcoords="offset points",
            ha="right", va="bottom" if is_above else "top", fontsize=7.5, color=colour,
        )  # fmt: skip
    ax.plot(means, differences, "o", color=colour, markersize=3, alpha=0.6, markeredgewidth=0, clip_on=False)
    for who in item.outside[:1]:
        place = list(item.points.index).index(who)
        x, y = float(means[place]), float(differences[place])
        is_right = x > low + width / 2
        is_above = y > item.bias * scale
        ax.annotate(
            who, (x, y), xytext=(3 if is_right else -3, 2.5 if is_above else -2.5), textcoords="offset points",
            fontsize=7, color=INK, ha="right" if is_right else "left", va="bottom" if is_above else "top",
        )  # fmt: skip
    ground = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    ax.annotate(
        f"n = {item.n}", (1, 0.02), xycoords="axes fraction", xytext=(-2, 0), textcoords="offset points", ha="right",
        fontsize=7.5, color=MUTED, bbox=ground,
    )  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(5))


def _signed(value: float, digits: int) -> str:
    printed = fixed(value, digits)
    return f"+{printed}" if value > 0 and float(printed) > 0 else printed


def _summary(shown: Sequence[BlandAltman], n_asked: int) -> str:
    level = 100 * shown[0].bias_interval.level if shown else 95
    words = [
        "Each point is a participant. The solid line is the mean difference (bias), the dashed ones are the limits of "
        f"agreement (bias ± 1.96 SD), each with its {level:g}% interval as a band; the thin grey line is no "
        "difference. Panels of one parameter share the height. A band of the bias that leaves out the grey line is a "
        "shift between the occasions; points that fan out say that larger values repeat worse."
    ]
    if any(item.outside for item in shown):
        words.append("The participant farthest outside the limits is named.")
    if n_asked > len(shown):
        words.append(f"{n_asked - len(shown)} left out, with fewer than three participants measured twice.")
    return " ".join(words)


def _alt(shown: Sequence[BlandAltman], registry: MuscleRegistry) -> str:
    listed = "; ".join(
        f"{feature_title(item.feature, registry)}: bias {_signed(item.bias * _scale(item), _digits(item))}, limits "
        f"{_signed(item.lower * _scale(item), _digits(item))} to {_signed(item.upper * _scale(item), _digits(item))}, "
        f"n = {item.n}"
        for item in shown
    )
    return f"Differences between two occasions against their means, one panel for each value. {listed or 'None'}."


def _drawn(shown: Sequence[BlandAltman]) -> pd.DataFrame:
    columns = ["feature", "first", "second", "part", "participant_id", "mean", "difference", "low", "high"]
    parts = []
    for item in shown:
        names = {"feature": item.feature, "first": item.first, "second": item.second}
        points = item.points.reset_index(names="participant_id")
        parts.append(points.assign(**names, part="participant"))
        lines: tuple[tuple[str, float, Interval], ...] = (
            ("bias", item.bias, item.bias_interval),
            ("lower limit", item.lower, item.lower_interval),
            ("upper limit", item.upper, item.upper_interval),
        )
        drawn = [(part, value, bounds.low, bounds.high) for part, value, bounds in lines]
        parts.append(pd.DataFrame(drawn, columns=["part", "difference", "low", "high"]).assign(**names))
    return pd.concat(parts, ignore_index=True).reindex(columns=columns) if parts else pd.DataFrame(columns=columns)
