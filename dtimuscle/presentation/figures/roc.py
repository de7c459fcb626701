"""Figures of ROC curves."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.figures.drawing import FALLBACK_COLOURS, figure_exhibit
from dtimuscle.presentation.style import (
    MODEL_COLOURS,
    MUTED,
    NARROW,
    PAPER,
    drawing,
    feature_title,
    fixed,
    interval,
)
from dtimuscle.statistics.roc import RocCurve

_LINE_STYLES = {"fa": (0, (5, 2)), "md": (0, (1.5, 1.5)), "fa+md": "solid"}


def roc_figure(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    title: str = "ROC curves",
    name: str = "roc",
) -> Exhibit:
    """Draw ROC curves with their areas and cut-offs.

    Parameters
    ----------
    curves : sequence of RocCurve
        Features or models, in the order of the legend.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        Published "AUC (interval)" as printed, by the name of the curve.
    title : str, default="ROC curves"
        Heading.
    name : str, default="roc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        The data are the corners of each curve.
    """
    published = published or {}
    named = [
        (curve, feature_title(curve.name, registry), _curve_colour(curve.name, i)) for i, curve in enumerate(curves)
    ]
    areas = {c.name: f"{fixed(c.auc.value, 3)} ({interval(c.auc.interval, 3)})" for c in curves}
    lines = [(f"{words}\u2003{areas[curve.name]}", colour) for curve, words, colour in named]
    lines += [(f"{words}, published\u2003{published[c.name]}", MUTED) for c, words, _ in named if c.name in published]
    with drawing():
        figure = Figure(figsize=(NARROW, NARROW), layout="constrained")
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color="#9aa5ae", linewidth=0.8, linestyle=(0, (4, 3)))
        for curve, _, colour in named:
            style = _LINE_STYLES.get(curve.name, "solid")
            # Stepwise from the strictest threshold on, as the empirical curve is defined.
            ax.plot(1 - curve.specificity, curve.sensitivity, color=colour, linewidth=1.8, linestyle=style)
            cut = curve.cut_off
            ax.plot(1 - cut.specificity, cut.sensitivity, "o", color=PAPER, markeredgecolor=colour, markeredgewidth=1.6)
        ax.annotate(
            "chance", (0.13, 0.13), xytext=(4, -7), textcoords="offset points", color=MUTED, fontsize=8, rotation=0
        )
        for row, (words, colour) in enumerate(reversed(lines)):
            ax.annotate(words, (1, 0.035 + 0.058 * row), ha="right", color=colour, fontsize=8.5)
        heading = f"AUC ({100 * curves[0].auc.interval.level:g}% CI)"
        ax.annotate(heading, (1, 0.035 + 0.058 * len(lines)), ha="right", color=MUTED, fontsize=8)
        ax.set(
            xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal", xlabel="1 − specificity", ylabel="Sensitivity"
        )
        counts = _curve_counts(curves)
        ax.set_title(counts, fontweight="normal", color=MUTED)
        data = pd.concat(
            [
                pd.DataFrame(
                    {
                        "name": c.name,
                        "threshold": c.thresholds,
                        "sensitivity": c.sensitivity,
                        "specificity": c.specificity,
                    }
                )
                for c in curves
            ],
            ignore_index=True,
        )
        listed = "; ".join(f"{words} {areas[curve.name]}" for curve, words, _ in named)
        alt = f"ROC curves, {counts}. AUC with interval: {listed}."
        summary = (
            "Sensitivity against 1 − specificity at every threshold; the dashed diagonal is chance. The open "
            "circle is the "
            f"cut-off by {curves[0].cut_off.rule}'s rule. AUC with {100 * curves[0].auc.interval.level:.0f}% "
            "interval after "
            f"{curves[0].auc.method}."
        )
        if any(curve.is_apparent for curve in curves):
            summary += " The models are tried on the patients that they were fitted to, which flatters them."
        beside = tuple(
            Beside(f"AUC of {words}", published[c.name], areas[c.name]) for c, words, _ in named if c.name in published
        )
        return figure_exhibit(figure, name, title, summary, data, alt=alt, beside=beside)


def _curve_colour(name: str, position: int) -> str:
    return MODEL_COLOURS.get(name, FALLBACK_COLOURS[position % len(FALLBACK_COLOURS)])


def _curve_counts(curves: Sequence[RocCurve]) -> str:
    sizes = {(c.auc.n_events, c.auc.n_controls) for c in curves}
    return " or ".join(f"n = {poor} poor, {good} good" for poor, good in sorted(sizes))
