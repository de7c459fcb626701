"""Figures of what a study can show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter

from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import figure_exhibit
from dtimuscle.presentation.style import FAINT, INK, MUTED, NARROW, PAPER, PARAMETERS, PUBLISHED, drawing, fixed
from dtimuscle.statistics.power import Detectable, PowerCurve, StudyPower

_TITLES = {"d": "Difference of two means", "auc": "AUC against 0.5"}
_LABELS = {"d": "True difference d, standard deviations", "auc": "True AUC"}
_DIGITS = {"d": 2, "auc": 3}
_STARTS = {"d": 0.0, "auc": 0.5}

# Power at which the name of a curve stands beside it: of a single test to its left, of several to their right.
_NAMED_AT = {True: 0.4, False: 0.6}
_COLOURS = {"d": PARAMETERS["md"].colour, "auc": PARAMETERS["fa"].colour}


@dataclass(frozen=True)
class Mark:
    """An effect that is pointed out in a figure of power.

    Parameters
    ----------
    quantity : {"d", "auc"}
        Which panel.
    value : float
        The effect.
    label : str
        Words beside it, such as "published".
    """

    quantity: str
    value: float
    label: str


def power_figure(study: StudyPower, *, marks: Sequence[Mark] = (), name: str = "power") -> Exhibit:
    """Show with which probability effects of different sizes are found.

    Parameters
    ----------
    study : StudyPower
        What the groups can show.
    marks : sequence of Mark, default=()
        Effects that are pointed out, such as published ones.
    name : str, default="power"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel for differences of means, one for AUCs.
    """
    with drawing():
        figure = Figure(figsize=(NARROW, 5.6), layout="constrained")
        axes = figure.subplots(2, 1)
        for ax, quantity in zip(axes, ("d", "auc"), strict=True):
            curves = [curve for curve in study.curves if curve.quantity == quantity]
            found = [item for item in study.detectable if item.quantity == quantity]
            here = [mark for mark in marks if mark.quantity == quantity]
            _panel(ax, curves, found, here)
            ax.set_title(f"{_TITLES[quantity]} (n = {study.n_poor} + {study.n_good})")
            ax.set(xlabel=_LABELS[quantity], ylabel="Power")
        listed = "; ".join(
            f"{_TITLES[item.quantity].lower()} {fixed(item.value, _DIGITS[item.quantity])} with {100 * item.power:g}% "
            f"(α = {item.alpha:.2g})"
            for item in study.detectable
            if item.quantity in _TITLES
        )
        alt = f"Power over the size of the effect, which it climbs with. Smallest effects shown: {listed}."
        corrected = f", the broken one with α divided by {study.n_tests} tests" if study.n_tests > 1 else ""
        pointed = " Upright lines are " + ", ".join(f"{m.label} ({m.value:g})" for m in marks) + "." if marks else ""
        summary = (
            f"The probability that {study.n_poor} + {study.n_good} patients show an effect, by its true size. The full "
            f"curve is a single test with α = {study.alpha:g}{corrected}. Dots mark the smallest effects with the "
            f"wanted powers; where a curve lies below 50% such an effect is missed more often than found.{pointed}"
        )
        return figure_exhibit(figure, name, "What this study can show", summary, _data(study), alt=alt)


def _panel(ax: Axes, curves: Sequence[PowerCurve], found: Sequence[Detectable], marks: Sequence[Mark]) -> None:
    colour = _COLOURS[curves[0].quantity]
    for power in dict.fromkeys(item.power for item in found):
        ax.axhline(power, color=FAINT, linewidth=0.8, zorder=0)
    for curve in curves:
        ax.plot(curve.effects, curve.power, color=colour, linestyle="--" if curve.n_tests > 1 else "-", linewidth=1.6)
        _name_curve(ax, curve, colour)
    for item in found:
        if item.value > 0:
            ax.plot(item.value, item.power, "o", color=colour, markeredgecolor=PAPER, markersize=6)
            ax.annotate(
                fixed(item.value, 2), (item.value, item.power), xytext=(5, -9), textcoords="offset points",
                fontsize=7.5, color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
    for mark in marks:
        ax.axvline(mark.value, color=PUBLISHED, linewidth=0.9, linestyle=":")
        ax.annotate(
            f"{mark.label} {mark.value:g}", (mark.value, 0.02), xycoords=("data", "axes fraction"), xytext=(-3, 0),
            textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    quantity, end = curves[0].quantity, float(curves[0].effects[-1])
    ax.set_xlim(_STARTS[quantity], max([end, *(1.03 * mark.value for mark in marks if quantity == "d")]))
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.2, 0.4, 0.6, 0.8, 0.9, 1]))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _name_curve(ax: Axes, curve: PowerCurve, colour: str) -> None:
    is_single = curve.n_tests == 1
    power = _NAMED_AT[is_single]
    place = (curve.effects[int(np.argmax(curve.power >= power))], power)
    words = "1 test" if is_single else f"{curve.n_tests} tests"
    ax.annotate(
        words, place, xytext=(-8 if is_single else 6, -4), textcoords="offset points", fontsize=8, color=colour,
        ha="right" if is_single else "left", bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
    )  # fmt: skip


def _data(study: StudyPower) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "quantity": curve.quantity,
                "effect": curve.effects,
                "power": curve.power,
                "alpha": curve.alpha,
                "n_tests": curve.n_tests,
                "n_poor": study.n_poor,
                "n_good": study.n_good,
            }
        )
        for curve in study.curves
    ]
    return pd.concat(parts, ignore_index=True)
