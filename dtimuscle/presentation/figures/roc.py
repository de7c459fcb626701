"""Figures of ROC curves."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.figures.drawing import FALLBACK_COLOURS, feature_colour, figure_exhibit
from dtimuscle.presentation.style import (
    INK,
    MODEL_COLOURS,
    MUTED,
    NARROW,
    PAPER,
    count,
    drawing,
    feature_title,
    fixed,
    interval,
)
from dtimuscle.presentation.tables.roc import below_chance_in_words
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.roc import RocCurve

_LINE_STYLES = {"fa": (0, (5, 2)), "md": (0, (1.5, 1.5)), "fa+md": "solid"}
_DIAGONAL = "#9aa5ae"

# Height of a line of words in the plot, as a share of it.
_LINE_HEIGHT = 0.058


def roc_figure(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    main: str = "",
    title: str = "ROC curves",
    name: str = "roc",
) -> Exhibit:
    """Draw ROC curves with their areas and cut-offs, one of them with its band and smooth curve.

    Parameters
    ----------
    curves : sequence of RocCurve
        Features or models, in the order of the legend.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        Published "AUC (interval)" as printed, by the name of the curve.
    main : str, default=""
        Name of the curve that is drawn with its bootstrap band and its binormal curve; the last one if empty.
    title : str, default="ROC curves"
        Heading.
    name : str, default="roc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        The data are the corners of each curve, the band and the smooth curve.
    """
    published = published or {}
    named = [
        (curve, feature_title(curve.name, registry), _curve_colour(curve.name, i)) for i, curve in enumerate(curves)
    ]
    areas = {c.name: _area(c) for c in curves}
    lines = [(f"{words}\u2003{areas[curve.name]}", colour) for curve, words, colour in named]
    lines += [(f"{words}, published\u2003{published[c.name]}", MUTED) for c, words, _ in named if c.name in published]
    heading = f"AUC ({100 * curves[0].auc.interval.level:g}% CI)"
    shown = next((curve for curve in curves if curve.name == main), curves[-1])
    counts = _curve_counts(curves)
    with drawing():
        figure = Figure(figsize=(NARROW, NARROW), layout="constrained")
        ax = figure.subplots()
        _draw_frame(ax)
        for curve, _, colour in named:
            if curve is shown:
                _draw_band(ax, curve, colour)
            _draw_curve(ax, curve, colour, style=_LINE_STYLES.get(curve.name, "solid"))
        ax.annotate("chance", (0.13, 0.13), xytext=(4, -7), textcoords="offset points", color=MUTED, fontsize=8)
        _write_lines(ax, [*lines[::-1], (heading, MUTED)])
        ax.set(xlabel="1 − specificity", ylabel="Sensitivity")
        ax.set_title(counts, fontweight="normal", color=MUTED)
        listed = "; ".join(f"{words} {areas[curve.name]}" for curve, words, _ in named)
        alt = f"ROC curves, {counts}. AUC with interval: {listed}."
        beside = tuple(
            Beside(f"AUC of {words}", published[c.name], areas[c.name]) for c, words, _ in named if c.name in published
        )
        words = [_reading(curves), _extras(shown, f" of {feature_title(shown.name, registry)}")]
        words.append(below_chance_in_words(curves, registry))
        if any(curve.is_apparent for curve in curves):
            words.append("The models are tried on the patients that they were fitted to, which flatters them.")
        summary = " ".join(filter(None, words))
        return figure_exhibit(figure, name, title, summary, _drawn(curves, [shown]), alt=alt, beside=beside)


def feature_roc_figure(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    title: str = "ROC curves of single values",
    name: str = "roc_features",
) -> Exhibit:
    """Draw the ROC curve of each feature in a panel of its own, with its band and its smooth curve.

    Parameters
    ----------
    curves : sequence of RocCurve
        At least one, in the order of the panels, which stand two in a row.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        Published "AUC (interval)" as printed, by the name of the curve.
    title : str, default="ROC curves of single values"
        Heading.
    name : str, default="roc_features"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        The data are the corners of each curve, the bands and the smooth curves.
    """
    published = published or {}
    named = [(curve, feature_title(curve.name, registry)) for curve in curves]
    n_rows = ceil(len(curves) / 2)
    with drawing():
        figure = Figure(figsize=(NARROW, 0.25 + 2.55 * n_rows), layout="constrained")
        axes = figure.subplots(n_rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
        for ax, (curve, words) in zip(axes, named, strict=False):
            _draw_frame(ax)
            colour = feature_colour(curve.name) if split_feature(curve.name)[1] else INK
            _draw_band(ax, curve, colour)
            _draw_curve(ax, curve, colour)
            ax.set_title(_broken(words), fontsize=8.5)
            lines = [
                (f"AUC {fixed(curve.auc.value, 3)}", colour),
                (f"{100 * curve.auc.interval.level:g}% CI {_bounds(curve)}", colour),
            ]
            if curve.name in published:
                lines.append((f"published {published[curve.name]}", MUTED))
            lines.append((_size(curve), MUTED))
            _write_lines(ax, lines[::-1], step=0.085, size=7.5)
        for ax in axes[len(curves) :]:
            ax.set_visible(False)
        figure.supxlabel("1 − specificity", fontsize=9, color=MUTED)
        figure.supylabel("Sensitivity", fontsize=9, color=MUTED)
        listed = "; ".join(f"{words} {_area(curve)}, {_size(curve)}" for curve, words in named)
        alt = f"ROC curves of single values, one in each panel. AUC with interval: {listed}."
        with_band = next((curve for curve in curves if curve.bootstrap and curve.bootstrap.band), curves[0])
        summary = " ".join(
            filter(None, [_reading(curves), _extras(with_band, ""), below_chance_in_words(curves, registry)])
        )
        beside = tuple(
            Beside(f"AUC of {words}", published[c.name], _area(c)) for c, words in named if c.name in published
        )
        return figure_exhibit(figure, name, title, summary, _drawn(curves, curves), alt=alt, beside=beside)


# ---- marks ----


def _draw_frame(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], color=_DIAGONAL, linewidth=0.8, linestyle=(0, (4, 3)))
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    ax.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal", xticks=ticks, yticks=ticks)


def _draw_curve(ax: Axes, curve: RocCurve, colour: str, *, style: object = "solid") -> None:
    # Stepwise from the strictest threshold on, as the empirical curve is defined.
    ax.plot(1 - curve.specificity, curve.sensitivity, color=colour, linewidth=1.8, linestyle=style)
    cut = curve.cut_off
    ax.plot(1 - cut.specificity, cut.sensitivity, "o", color=PAPER, markeredgecolor=colour, markeredgewidth=1.6)


def _draw_band(ax: Axes, curve: RocCurve, colour: str) -> None:
    band = curve.bootstrap.band if curve.bootstrap else None
    if band is not None:
        ax.fill_between(1 - band.specificity, band.low, band.high, color=colour, alpha=0.13, linewidth=0)
    if curve.binormal.is_defined:
        specificity = _smooth_grid()
        ax.plot(1 - specificity, curve.binormal.sensitivity_at(specificity), color=colour, linewidth=0.8, alpha=0.75)


def _write_lines(ax: Axes, lines: Sequence[tuple[str, str]], *, step: float = _LINE_HEIGHT, size: float = 8.5) -> None:
    """Write lines of words into the lower right corner, from below."""
    for row, (words, colour) in enumerate(lines):
        # The ground keeps words readable where a curve below chance runs through the corner.
        ground = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
        ax.annotate(words, (1, 0.035 + step * row), ha="right", color=colour, fontsize=size, bbox=ground)


# ---- words ----


def _reading(curves: Sequence[RocCurve]) -> str:
    first = curves[0]
    words = (
        "Sensitivity against 1 − specificity at every threshold; the dashed diagonal is chance. The open circle is the "
        f"cut-off by {first.cut_off.rule}'s rule. AUC with {100 * first.auc.interval.level:g}% interval after "
        f"{first.auc.method}."
    )
    if any(not curve.higher_is_poor for curve in curves):
        words += " A lower value stands for poor function, as published."
    return words


def _extras(curve: RocCurve, of: str) -> str:
    words = []
    if curve.bootstrap and curve.bootstrap.band:
        band = curve.bootstrap.band
        words.append(
            f"The shaded band{of} holds the sensitivity at each specificity in {100 * band.level:g}% of "
            f"{count(curve.bootstrap.n_bootstrap)} bootstrap samples (seed {curve.bootstrap.seed}); it is meant point "
            "by point, not for the curve as a whole."
        )
    if curve.binormal.is_defined:
        words.append(f"The thin line{of} is the smooth (binormal) curve.")
    return " ".join(words)


def _area(curve: RocCurve) -> str:
    return f"{fixed(curve.auc.value, 3)} ({_bounds(curve)})"


def _bounds(curve: RocCurve) -> str:
    return interval(curve.auc.interval, 3)


def _size(curve: RocCurve) -> str:
    return f"n = {curve.auc.n_events} poor, {curve.auc.n_controls} good"


def _broken(words: str) -> str:
    return words.replace(", ", ",\n", 1)


def _curve_colour(name: str, position: int) -> str:
    return MODEL_COLOURS.get(name, FALLBACK_COLOURS[position % len(FALLBACK_COLOURS)])


def _curve_counts(curves: Sequence[RocCurve]) -> str:
    sizes = {(c.auc.n_events, c.auc.n_controls) for c in curves}
    return " or ".join(f"n = {poor} poor, {good} good" for poor, good in sorted(sizes))


# ---- data ----


def _smooth_grid() -> np.ndarray:
    # Denser at the ends, where the smooth curve bends.
    return (1 + np.cos(np.linspace(0, np.pi, 101))) / 2


def _drawn(curves: Sequence[RocCurve], with_band: Sequence[RocCurve]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "name": c.name,
                "part": "curve",
                "threshold": c.thresholds,
                "sensitivity": c.sensitivity,
                "specificity": c.specificity,
            }
        )
        for c in curves
    ]
    for curve in with_band:
        if curve.binormal.is_defined:
            grid = _smooth_grid()
            smooth = {"specificity": grid, "sensitivity": curve.binormal.sensitivity_at(grid)}
            parts.append(pd.DataFrame({"name": curve.name, "part": "binormal", **smooth}))
        if curve.bootstrap and curve.bootstrap.band:
            band = curve.bootstrap.band
            bounds = {"specificity": band.specificity, "low": band.low, "high": band.high}
            parts.append(pd.DataFrame({"name": curve.name, "part": "band", **bounds}))
    return pd.concat(parts, ignore_index=True)
