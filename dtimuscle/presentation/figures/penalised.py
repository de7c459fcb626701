"""Figures of penalised models."""

from math import isfinite

import numpy as np
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
    write_beside_row,
)
from dtimuscle.presentation.style import INK, MUTED, NARROW, PAPER, PARAMETERS, drawing, feature_title, fixed, row_label
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.penalised import PenalisedFit, PenalisedTerm

RATIO_COLOURS = ("#2b6a99", "#84489c", "#b5472b", "#0b7a75", "#7a5c1e")
RATIO_STYLES = ("-", "--", ":", "-.")


def penalised_figure(fit: PenalisedFit, registry: MuscleRegistry, *, name: str = "penalised_odds_ratios") -> Exhibit:
    """Draw what the penalty left of each feature, and how often the feature stays in the model.

    Parameters
    ----------
    fit : PenalisedFit
        The model; constant features are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="penalised_odds_ratios"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature.
    """
    order = [*PARAMETERS, ""]
    terms = [term for term in fit.terms if isfinite(term.estimate)]
    terms.sort(key=lambda term: order.index(split_feature(term.name)[1]))
    data = pd.DataFrame(
        [(t.name, t.odds_ratio_per_sd, t.selected, t.same_direction) for t in terms],
        columns=["feature", "odds_ratio_per_sd", "selected", "same_direction"],
    )
    groups = [split_feature(term.name)[1] for term in terms]
    with drawing():
        n_rows = len(terms) + len(set(groups))
        figure = Figure(figsize=(NARROW, 0.95 + 0.21 * max(n_rows, 3)), layout="constrained")
        ax = figure.subplots()
        labels: list[str] = []
        for place, term in enumerate(terms):
            if place == 0 or groups[place] != groups[place - 1]:
                draw_heading(ax, len(labels), groups[place])
                labels.append("")
            _term(ax, len(labels), term)
            labels.append(row_label(term.name, registry))
        ax.axvline(1, color=MUTED, linewidth=0.8, zorder=0.5)
        draw_rows(ax, labels or [""])
        draw_log_axis(ax, data["odds_ratio_per_sd"].to_numpy(dtype=float))
        ax.set_xlabel("Odds ratio of poor function per SD (log scale)")
        ax.set_title(f"{fit.kind}, n = {fit.n} ({fit.n_events} events)", fontweight="normal", color=MUTED)
        write_beside_row(ax, 0, "stays / same side", colour=MUTED)
        strongest = sorted(terms, key=lambda term: -abs(term.estimate * term.sd))[:3]
        listed = "; ".join(f"{feature_title(t.name, registry)} {fixed(t.odds_ratio_per_sd, 2)}" for t in strongest)
        alt = f"Penalised odds ratios per SD of {len(terms)} features. Farthest from 1: {listed or 'none'}."
        title = "What the penalty leaves of each feature"
        return figure_exhibit(figure, name, title, _summary(fit), data, alt=alt)


def penalty_figure(fit: PenalisedFit, *, name: str = "penalty") -> Exhibit:
    """Draw how well each penalty predicts participants that were left out, and which one was chosen.

    Parameters
    ----------
    fit : PenalisedFit
        The model.
    name : str, default="penalty"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One curve for each kind of penalty.
    """
    data = pd.DataFrame(
        [(p.l1_ratio, p.penalty, p.log_loss, p.spread) for p in fit.path],
        columns=["l1_ratio", "penalty", "log_loss", "spread"],
    )
    with drawing():
        figure = Figure(figsize=(NARROW, 3.1), layout="constrained")
        ax = figure.subplots()
        _draw_curves(ax, fit, data)
        ax.set_xlabel("Strength of the penalty λ (log scale; stronger to the right)")
        ax.set_ylabel("Log loss in patients left out")
        ax.set_title(f"n = {fit.n} ({fit.n_events} events)", fontweight="normal", color=MUTED)
        alt = f"Cross-validated log loss against the strength of the penalty; chosen: {_named(fit)}."
        title = "Choosing the penalty by cross-validation"
        return figure_exhibit(figure, name, title, _penalty_summary(fit), data, alt=alt)


def _draw_curves(ax: Axes, fit: PenalisedFit, data: pd.DataFrame) -> None:
    ax.set_xscale("log")
    if data.empty:
        return
    for place, ratio in enumerate(data["l1_ratio"].unique().tolist()):
        curve = data[data["l1_ratio"] == ratio]
        colour, line = RATIO_COLOURS[place % len(RATIO_COLOURS)], RATIO_STYLES[place % len(RATIO_STYLES)]
        ax.plot(curve["penalty"], curve["log_loss"], linewidth=1.4, label=_kind(ratio), color=colour, linestyle=line)
        low, high = curve["log_loss"] - curve["spread"], curve["log_loss"] + curve["spread"]
        ax.fill_between(curve["penalty"], low, high, color=colour, alpha=0.12, linewidth=0)
    null = fit.performance.null_log_loss
    ax.axhline(null, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), label="share of events only")
    best = next(p for p in fit.path if (p.l1_ratio, p.penalty) == (fit.l1_ratio, fit.penalty))
    ax.plot(best.penalty, best.log_loss, "o", color=INK, markersize=5, zorder=4)
    # Weak penalties can lose without bound; what matters lies about the dotted line.
    depth = max(null - best.log_loss, 0.02)
    ax.set_ylim(min(best.log_loss, null) - 0.6 * depth, null + 2.5 * depth)
    ax.legend(loc="upper center", fontsize=8)


def _penalty_summary(fit: PenalisedFit) -> str:
    if not fit.path:
        return "No penalised model could be fitted."
    return (
        f"Each curve is a kind of penalty; lower is better. Means over {fit.folds} folds and {fit.repeats} repeats "
        f"(seed {fit.seed}), bands are ± 1 SD over repeats. The dot is the choice for the final model: {_named(fit)}. "
        "The dotted line gives everybody the share of events; a curve that never falls below it has found nothing. "
        "The minimum of a curve is itself a little too good, since it was chosen; the nested cross-validation is not."
    )


def _term(ax: Axes, row: int, term: PenalisedTerm) -> None:
    colour = feature_colour(term.name)
    ax.plot([1, term.odds_ratio_per_sd], [row, row], color=colour, linewidth=1.2, solid_capstyle="butt")
    face = PAPER if term.is_zero else colour
    ax.plot(term.odds_ratio_per_sd, row, "o", color=face, markeredgecolor=colour, markersize=4.5)
    words = f"{fixed(100 * term.selected, 0)}%"
    if not term.is_zero:
        words += f" / {fixed(100 * term.same_direction, 0)}%"
    write_beside_row(ax, row, words, colour=INK if not np.isclose(term.odds_ratio_per_sd, 1) else MUTED)


def _kind(ratio: float) -> str:
    return {0.0: "ridge", 1.0: "lasso"}.get(ratio, f"elastic net ({ratio:g} absolute)")


def _named(fit: PenalisedFit) -> str:
    return f"{_kind(fit.l1_ratio)}, λ = {fit.penalty:.3g}" if fit.path else "no model"


def _summary(fit: PenalisedFit) -> str:
    if not fit.path:
        return "No penalised model could be fitted."
    return (
        "Odds ratio of poor function for one SD more of each feature, all features together, after the penalty pulled "
        "them towards 1; open circles were left out altogether. Left of 1, higher values go with good function. "
        f"Chosen: {_named(fit)}. Right: share of the {fit.folds * fit.repeats} models of the outer cross-validation in "
        "which the feature stays, and in which it is on the same side of 1. Ridge, which always keeps all, was chosen "
        f"in {fixed(100 * fit.ridge_share, 0)}% of them. No intervals: shrunken estimates are biased on purpose."
    )
