"""Figures of what models keep in new patients: validation, calibration and decision curves."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import FALLBACK_COLOURS, draw_rows, figure_exhibit, write_beside_row
from dtimuscle.presentation.style import (
    FAINT,
    GROUP_COLOURS,
    GROUP_TITLES,
    INK,
    MODEL_COLOURS,
    MUTED,
    NARROW,
    PAPER,
    count,
    drawing,
    feature_title,
    fixed,
    p_value,
)
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, estimate_with_interval
from dtimuscle.statistics.calibration import Calibration, CalibrationTerm
from dtimuscle.statistics.decision import DecisionCurve
from dtimuscle.statistics.validation import ModelValidation

_CHANCE: dict[str, Any] = {"color": "#9aa5ae", "linewidth": 0.8, "linestyle": (0, (4, 3))}

# Bins of the histogram of predicted probabilities.
_BINS = 25


def validation_figure(
    validations: Sequence[ModelValidation],
    registry: MuscleRegistry,
    *,
    title: str = "What the models lose in new patients",
    name: str = "validation_auc",
) -> Exhibit:
    """Draw apparent, optimism-corrected and cross-validated AUC of each model on one line.

    Parameters
    ----------
    validations : sequence of ModelValidation
        Models, validated on the same resamples.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="What the models lose in new patients"
        Heading.
    name : str, default="validation_auc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per model.
    """
    data = pd.DataFrame(
        [
            {"name": m.name, "apparent": m.apparent.auc, "corrected": m.corrected.auc,
             "cross_validated": m.cross_validated.auc, "cross_validated_sd": m.cross_validated_sd, "n": m.n,
             "n_events": m.n_events}
            for m in validations
        ],
        columns=["name", "apparent", "corrected", "cross_validated", "cross_validated_sd", "n", "n_events"],
    )  # fmt: skip
    titles = [feature_title(model.name, registry) for model in validations]
    with drawing():
        figure = Figure(figsize=(NARROW, 1.35 + 0.42 * max(len(titles), 1)), layout="constrained")
        ax = figure.subplots()
        for row, model in enumerate(validations):
            _dumbbell(ax, row, model, MODEL_COLOURS.get(model.name, INK))
        draw_rows(ax, titles)
        ax.axvline(0.5, zorder=1, **_CHANCE)
        known = data[["apparent", "corrected", "cross_validated"]].to_numpy(dtype=float)
        lowest = float(np.min(known, initial=0.5, where=np.isfinite(known)))
        ax.set(xlim=(lowest - 0.05, 1.0), xlabel="AUC (dashed: chance)")
        counts = _counts(validations)
        ax.set_title(counts, fontweight="normal", color=MUTED)
        _mark_legend(figure)
        listed = "; ".join(f"{words} {_steps(model)}" for words, model in zip(titles, validations, strict=True))
        alt = f"AUC of each model, {counts}: apparent, optimism-corrected, cross-validated. {listed or 'No model'}."
        return figure_exhibit(figure, name, title, _how_to_read_validation(validations), data, alt=alt)


def calibration_figure(
    calibration: Calibration, registry: MuscleRegistry, *, title: str = "", name: str = "calibration_curve"
) -> Exhibit:
    """Draw observed against predicted probabilities of a model, and how the predictions spread.

    Parameters
    ----------
    calibration : Calibration
        Of one model.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default=""
        Heading; "Calibration: …" by default.
    name : str, default="calibration_curve"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        The data are the groups, then the smooth curve.
    """
    model = feature_title(calibration.name, registry)
    title = title or f"Calibration: {model}"
    groups = calibration.hosmer_lemeshow.groups
    with drawing():
        figure = Figure(figsize=(NARROW, NARROW * 1.28), layout="constrained")
        ax, below = figure.subplots(2, height_ratios=(5, 1), sharex=True)
        ax.plot([0, 1], [0, 1], **_CHANCE)
        ax.annotate(
            "ideal", (0.93, 0.93), xytext=(-2, 4), textcoords="offset points", ha="right", fontsize=8, color=MUTED
        )
        ax.plot(calibration.smooth_predicted, calibration.smooth_observed, color=MODEL_COLOURS["fa"], linewidth=1.8)
        for group in groups:
            ends = [group.interval.low, group.interval.high]
            ax.plot([group.predicted] * 2, ends, color=INK, linewidth=0.8, alpha=0.55, solid_capstyle="butt")
            size = 3 + 3 * (group.n / max(g.n for g in groups)) ** 0.5
            ax.plot(
                group.predicted, group.observed, "o", color=INK, markersize=size, markeredgecolor=PAPER, clip_on=False
            )
        ax.set(xlim=(0, 1), ylim=(-0.01, 1.01), ylabel="Observed share with poor function")
        counts = f"n = {calibration.n} ({calibration.n_events} poor)"
        ax.set_title(_heading(calibration, model, counts), fontweight="normal", color=MUTED, linespacing=1.4)
        _draw_predictions(below, calibration)
        slope, intercept = _term(calibration.slope), _term(calibration.intercept)
        alt = (
            f"Calibration plot of {model}, {_kind_of(calibration.is_apparent)}, {counts}: observed share against "
            f"predicted probability in {len(groups)} groups. Slope {slope}, intercept {intercept}."
        )
        summary = _how_to_read_calibration(calibration)
        return figure_exhibit(figure, name, title, summary, _calibration_data(calibration), alt=alt)


def decision_curve_figure(
    curves: Sequence[DecisionCurve],
    registry: MuscleRegistry,
    *,
    title: str = "Decision curve",
    name: str = "decision_curve",
) -> Exhibit:
    """Draw the net benefit of acting on models, on everybody and on nobody.

    Parameters
    ----------
    curves : sequence of DecisionCurve
        Models, at the same thresholds; apparent ones are drawn dashed.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Decision curve"
        Heading.
    name : str, default="decision_curve"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per model and threshold.
    """
    names = list(dict.fromkeys(curve.name for curve in curves))
    colours = {key: MODEL_COLOURS.get(key, FALLBACK_COLOURS[i % len(FALLBACK_COLOURS)]) for i, key in enumerate(names)}
    with drawing():
        figure = Figure(figsize=(NARROW, NARROW * 0.9), layout="constrained")
        ax = figure.subplots()
        ax.axhline(0, color=MUTED, linewidth=1.0)
        lines = [("Nobody", MUTED)]
        if curves:
            ax.plot(curves[0].thresholds, curves[0].treat_all, color="#9aa5ae", linewidth=1.4)
            lines = [("Everybody", "#7a858e"), *lines]
        for curve in curves:
            _draw_net_benefit(ax, curve, colours[curve.name])
        lines = [(_line_title(curve, curves, registry), colours[curve.name]) for curve in curves] + lines
        _list_lines(ax, lines)
        top = max([curve.prevalence for curve in curves], default=0.5)
        ax.set(
            ylim=(-0.25 * top, 1.12 * top),
            xlabel="Probability at which one would act",
            ylabel="Net benefit per patient",
        )
        ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        counts = " or ".join(sorted({f"n = {curve.n} ({curve.n_events} poor)" for curve in curves})) or "no model"
        ax.set_title(counts, fontweight="normal", color=MUTED)
        listed = "; ".join(f"{_line_title(c, curves, registry)} {fixed(c.at_prevalence, 3)}" for c in curves)
        alt = f"Decision curves, {counts}. Net benefit at a threshold equal to the prevalence: {listed or 'none'}."
        summary = _how_to_read_decision(curves, registry)
        return figure_exhibit(figure, name, title, summary, _decision_data(curves), alt=alt)


def _dumbbell(ax: Axes, row: int, model: ModelValidation, colour: str) -> None:
    apparent, corrected, left_out = model.apparent.auc, model.corrected.auc, model.cross_validated.auc
    ax.plot([apparent, corrected], [row - 0.1] * 2, color=colour, linewidth=1.6, alpha=0.45, solid_capstyle="butt")
    ring: dict[str, Any] = {"markeredgecolor": colour, "markeredgewidth": 1.5, "markersize": 6.5, "clip_on": False}
    ax.plot(apparent, row - 0.1, "o", color=PAPER, **ring)
    ax.plot(corrected, row - 0.1, "o", color=colour, **ring)
    sd = model.cross_validated_sd if isfinite(model.cross_validated_sd) else 0.0
    ax.plot([left_out - sd, left_out + sd], [row + 0.18] * 2, color=colour, linewidth=1.0)
    ax.plot(left_out, row + 0.18, "s", color=colour, markersize=4.5, clip_on=False)
    write_beside_row(ax, row, _steps(model))


def _steps(model: ModelValidation) -> str:
    parts = (model.apparent.auc, model.corrected.auc, model.cross_validated.auc)
    return " → ".join(fixed(part, 3) for part in parts) if isfinite(parts[0]) else NO_ESTIMATE


def _mark_legend(figure: Figure) -> None:
    shared: dict[str, Any] = {"linestyle": "", "markeredgecolor": INK, "markeredgewidth": 1.4}
    handles = [
        Line2D([], [], marker="o", color=PAPER, markersize=6.5, label="apparent", **shared),
        Line2D([], [], marker="o", color=INK, markersize=6.5, label="optimism-corrected", **shared),
        Line2D([], [], marker="s", color=INK, markersize=4.5, label="cross-validated ± SD", **shared),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handletextpad=0.1, columnspacing=1.2)


def _counts(validations: Sequence[ModelValidation]) -> str:
    sizes = sorted({(model.n, model.n_events) for model in validations})
    return " or ".join(f"n = {n} ({events} poor)" for n, events in sizes) or "no model"


def _how_to_read_validation(validations: Sequence[ModelValidation]) -> str:
    words = (
        "Open circle: AUC in the patients the model was fitted to, which flatters it. Filled circle: the same less the "
        "optimism that the bootstrap shows. Square: AUC in patients left out of the fit, with the SD over repeated "
        "splits. The longer the line, the more the model owes to chance in this sample."
    )
    if validations:
        model = validations[0]
        words += (
            f" {count(model.n_resamples)} bootstrap samples, {model.n_repeats} × {model.n_folds} folds, "
            f"seed {model.seed}."
        )
    return words


def _heading(calibration: Calibration, model: str, counts: str) -> str:
    return (
        f"{model}, {_kind_of(calibration.is_apparent)}; {counts}\n"
        f"Slope {_term(calibration.slope)}, intercept {_term(calibration.intercept)}\n"
        f"Brier score {fixed(calibration.brier, 3)}, Hosmer–Lemeshow P {p_value(calibration.hosmer_lemeshow.p)}"
    )


def _term(term: CalibrationTerm) -> str:
    return estimate_with_interval(term.value, term.interval, 2)


def _kind_of(is_apparent: bool) -> str:
    return "apparent" if is_apparent else "out of fold"


def _draw_predictions(ax: Axes, calibration: Calibration) -> None:
    predicted = calibration.probabilities.to_numpy(dtype=float)
    edges = np.linspace(0, 1, _BINS + 1)
    highest = 1
    for group, sign in (("poor", 1), ("good", -1)):
        member = calibration.is_event if group == "poor" else ~calibration.is_event
        heights = np.histogram(predicted[member], edges)[0]
        highest = max(highest, int(heights.max()))
        ax.bar(edges[:-1], sign * heights, width=1 / _BINS, align="edge", color=GROUP_COLOURS[group], linewidth=0)
        place = (0.995, 0.98 if sign > 0 else 0.02)
        ax.annotate(
            GROUP_TITLES[group], place, xycoords="axes fraction", ha="right", va="top" if sign > 0 else "bottom",
            fontsize=8, color=GROUP_COLOURS[group],
        )  # fmt: skip
    ax.axhline(0, color=FAINT, linewidth=0.7)
    ax.set(ylim=(-1.15 * highest, 1.15 * highest), xlabel="Predicted probability of poor function", ylabel="Patients")
    ax.yaxis.set_major_formatter(_count_either_way)


def _count_either_way(value: float, _: float) -> str:
    """Label an axis on which counts grow up and down."""
    return f"{abs(value):.0f}"


def _how_to_read_calibration(calibration: Calibration) -> str:
    groups = calibration.hosmer_lemeshow.groups
    level = calibration.slope.interval.level
    source = (
        "The probabilities are those of the model in the patients it was fitted to, where a maximum-likelihood fit has "
        "slope 1 by construction: this shows fit, not what a new patient can expect."
        if calibration.is_apparent
        else "Each patient's probability comes from models fitted without this patient."
    )
    return (
        f"{source} Points: {len(groups)} groups of similar probability, observed share with its {100 * level:g}% "
        "interval (Wilson). Line: local regression. On the dashed diagonal predictions come true; a curve flatter than "
        "the diagonal (slope below 1) says that they are too extreme. Below, the predictions of both groups."
    )


def _calibration_data(calibration: Calibration) -> pd.DataFrame:
    groups = [
        {"kind": "group", "predicted": g.predicted, "observed": g.observed, "low": g.interval.low,
         "high": g.interval.high, "n": g.n, "n_events": g.n_events}
        for g in calibration.hosmer_lemeshow.groups
    ]  # fmt: skip
    curve = zip(calibration.smooth_predicted, calibration.smooth_observed, strict=True)
    smooth = [{"kind": "smooth", "predicted": x, "observed": y} for x, y in curve]
    columns = ["kind", "predicted", "observed", "low", "high", "n", "n_events"]
    return pd.DataFrame([*groups, *smooth], columns=columns)


def _draw_net_benefit(ax: Axes, curve: DecisionCurve, colour: str) -> None:
    style = (0, (3, 2)) if curve.is_apparent else "solid"
    width = 1.0 if curve.is_apparent else 1.8
    if np.isfinite(curve.low).all():
        ax.fill_between(curve.thresholds, curve.low, curve.high, color=colour, alpha=0.1, linewidth=0)
    ax.plot(curve.thresholds, curve.net_benefit, color=colour, linewidth=width, linestyle=style)


def _line_title(curve: DecisionCurve, curves: Sequence[DecisionCurve], registry: MuscleRegistry) -> str:
    both = len({other.is_apparent for other in curves}) > 1
    words = feature_title(curve.name, registry)
    return f"{words}, {'apparent (dashed)' if curve.is_apparent else 'out of fold'}" if both else words


def _list_lines(ax: Axes, lines: Sequence[tuple[str, str]]) -> None:
    for row, (words, colour) in enumerate(lines):
        ax.annotate(
            words, (1, 0.985 - 0.058 * row), xycoords="axes fraction", ha="right", va="top", fontsize=8.5, color=colour
        )


def _decision_data(curves: Sequence[DecisionCurve]) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {"name": c.name, "is_apparent": c.is_apparent, "threshold": c.thresholds, "net_benefit": c.net_benefit,
             "low": c.low, "high": c.high, "treat_all": c.treat_all, "is_useful": c.is_useful}
        )
        for c in curves
    ]  # fmt: skip
    columns = ["name", "is_apparent", "threshold", "net_benefit", "low", "high", "treat_all", "is_useful"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _how_to_read_decision(curves: Sequence[DecisionCurve], registry: MuscleRegistry) -> str:
    words = [
        "True positives for each patient, less false positives weighed by the odds of the threshold (Vickers & "
        "Elkin): one acts on those whose probability is at least the threshold. In these patients a model gains "
        "where its line lies above both acting in everybody and acting in nobody; small gaps may be chance.",
        *(f"{feature_title(c.name, registry)}: {_useful_range(c)}." for c in curves if not c.is_apparent),
    ]
    if any(curve.is_apparent for curve in curves):
        words.append("Apparent curves use the patients that the model was fitted to, which flatters it.")
    banded = next((curve for curve in curves if curve.n_resamples), None)
    if banded:
        words.append(
            f"Bands: {100 * banded.level:g}% of {count(banded.n_resamples)} bootstrap samples of patients, the models "
            f"as they are, seed {banded.seed}."
        )
    return " ".join(words)


def _useful_range(curve: DecisionCurve) -> str:
    useful = curve.thresholds[curve.is_useful]
    if not useful.size:
        return "at no threshold better than both"
    share = 100 * curve.is_useful.mean()
    return (
        f"better than both at {fixed(share, 0)}% of the thresholds shown, between {100 * useful.min():.0f}% and "
        f"{100 * useful.max():.0f}%"
    )
