"""Figures that hold published values against those found, one for each family of claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import draw_log_axis, draw_rows, figure_exhibit
from dtimuscle.presentation.style import (
    GROUP_COLOURS,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    PUBLISHED,
    drawing,
    feature_title,
    row_label,
    step_words,
)
from dtimuscle.presentation.tables import plain_verdicts, verdict_pairs
from dtimuscle.presentation.tables.verdict_words import NumberStyle, number_style
from dtimuscle.replication.criteria import CRITERIA, Criterion
from dtimuscle.replication.effects import effect_interval
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.estimates import Estimate, Interval
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.terms import step_of

# Height of a row in inches, and where its three marks and the lines of numbers beside them stand within it.
_ROW = 0.62
_LANES = {"published": -0.25, "found": 0.0, "combined": 0.25}
_BAND = "#e6eaed"
_COMBINED = "#7a5c1e"


@dataclass(frozen=True)
class _Family:
    """Claims of one kind, which share a figure.

    `axis` is what stands below it, behind the parameter where `has_unit` gives each parameter a panel of its own.
    """

    name: str
    title: str
    axis: str
    neutral: float | None = None
    neutral_words: str = ""
    has_unit: bool = False
    is_log: bool = False


_FAMILIES = {
    "difference": _Family(
        "differences", "Differences between the groups", "poor minus good function", 0.0, "no difference", has_unit=True
    ),
    "mean": _Family("means", "Means of the groups", "", has_unit=True),
    "odds_ratio": _Family(
        "odds_ratios", "Odds ratios", "Odds ratio of poor function (log scale)", 1.0, "no effect", is_log=True
    ),
    "correlation": _Family(
        "correlations", "Correlations with the grade", "Correlation with the grade", 0.0, "no correlation"
    ),
    "auc": _Family("auc", "Areas under the ROC curve", "AUC", 0.5, "chance"),
    "auc_difference": _Family("auc_differences", "Differences of AUC", "Difference of AUC", 0.0, "no difference"),
}


@dataclass(frozen=True)
class _Pair:
    """A published and a found value with what both say together, in the stored unit."""

    verdict: Verdict
    found: Estimate
    published: float
    published_bounds: Interval | None
    expected: Interval | None
    combined: float
    combined_bounds: Interval | None


def family_figures(
    verdicts: Sequence[Verdict], registry: MuscleRegistry, *, name: str = "published_and_found"
) -> tuple[Exhibit, ...]:
    """Draw the published and the found value on one axis, in one figure for each family of claims.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Those without a published number are left out, and counted in the words below.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="published_and_found"
        What the names of the exhibits begin with.

    Returns
    -------
    tuple of Exhibit
        `NAME_differences`, `NAME_means`, `NAME_odds_ratios`, `NAME_correlations`, `NAME_auc`, `NAME_auc_differences`:
        those with at least one pair. The data have one row per pair.
    """
    pairs = [pair for verdict in verdicts if (pair := _pair(verdict)) is not None]
    without = _without_number(verdicts)
    return tuple(
        _family_figure(family, members, registry, name=f"{name}_{family.name}", without=without)
        for kind, family in _FAMILIES.items()
        if (members := [pair for pair in pairs if pair.found.kind == kind])
    )


def _family_figure(
    family: _Family, pairs: Sequence[_Pair], registry: MuscleRegistry, *, name: str, without: str
) -> Exhibit:
    panels: dict[str, list[_Pair]] = {}
    for pair in pairs:
        panels.setdefault(split_feature(pair.verdict.subject)[1] if family.has_unit else "", []).append(pair)
    verdicts = [pair.verdict for pair in pairs]
    heights = [0.75 + _ROW * len(members) for members in panels.values()]
    with drawing():
        figure = Figure(figsize=(NARROW, 0.75 + sum(heights)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel()
        for ax, (parameter, members) in zip(axes, panels.items(), strict=True):
            _draw_panel(ax, family, members, registry)
            ax.set_xlabel(_axis_words(family, parameter))
        _draw_legend(figure, pairs)
        listed = " ".join(plain_verdicts(verdicts, registry))
        return figure_exhibit(
            figure,
            name,
            f"Published and found: {family.title[0].lower()}{family.title[1:]}",
            _summary(pairs, without),
            pd.DataFrame([_record(pair) for pair in pairs]),
            alt=f"Published and found values on one axis. {listed}",
            beside=verdict_pairs(verdicts, registry),
        )


def _pair(verdict: Verdict) -> _Pair | None:
    """Bring together what is drawn of a verdict; None where one of the two values is not known."""
    unknown = {name: Criterion(name, "not testable") for name in CRITERIA}
    given = unknown | {criterion.name: criterion for criterion in verdict.criteria}
    published, found = verdict.published_value, verdict.found
    if published is None:
        published = given["original_in_interval"].value
    if found is None or not (isfinite(published) and isfinite(found.value)):
        return None
    return _Pair(
        verdict,
        found,
        published,
        verdict.published_interval or _published_bounds(verdict),
        given["prediction_interval"].interval,
        given["combined"].value,
        given["combined"].interval,
    )


def _published_bounds(verdict: Verdict) -> Interval | None:
    """Interval of a published mean or difference, which prints none but an SD and n."""
    return effect_interval(verdict.published_effect, verdict.scale) if verdict.published_effect else None


def _draw_panel(ax: Axes, family: _Family, pairs: Sequence[_Pair], registry: MuscleRegistry) -> None:
    style = number_style(pairs[0].verdict)
    for row, pair in enumerate(pairs):
        _draw_pair(ax, row, pair, style)
    draw_rows(ax, [""] * len(pairs))
    for row, pair in enumerate(pairs):
        _write_title(ax, row, pair, registry)
    _draw_scale(ax, family, pairs, style)


def _draw_pair(ax: Axes, row: int, pair: _Pair, style: NumberStyle) -> None:
    colour = GROUP_COLOURS.get(pair.found.group, INK)
    if pair.expected is not None:
        low, high = pair.expected.low * style.scale, pair.expected.high * style.scale
        ax.add_patch(Rectangle((low, row - 0.42), high - low, 0.84, color=_BAND, linewidth=0))
    marks = [
        ("published", pair.published, pair.published_bounds, "D", PUBLISHED, PAPER),
        ("found", pair.found.value, pair.found.interval, "o", colour, colour),
        ("combined", pair.combined, pair.combined_bounds, "s", _COMBINED, _COMBINED),
    ]
    for lane, value, bounds, marker, edge, face in marks:
        if not isfinite(value):
            continue
        height = row + _LANES[lane]
        if bounds is not None and bounds.is_defined:
            ends = [bounds.low * style.scale, bounds.high * style.scale]
            ax.plot(ends, [height] * 2, color=edge, linewidth=1.4)
        ax.plot(value * style.scale, height, marker, color=face, markeredgecolor=edge, markersize=4.5)
        words = f"{style.number(value)} ({style.bounds(bounds)})" if bounds else style.number(value)
        _write(ax, height, words, edge)


def _write(ax: Axes, height: float, words: str, colour: str) -> None:
    ax.annotate(
        words, (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points", va="center",
        fontsize=7.5, color=colour,
    )  # fmt: skip


def _write_title(ax: Axes, row: int, pair: _Pair, registry: MuscleRegistry) -> None:
    """Write what a row is about."""
    # A text of its own for each line: a browser's font would not keep several flush right.
    lines = [*_title_lines(pair, registry), f"n = {pair.found.n}"]
    for place, line in enumerate(lines):
        is_name = place == 0
        ax.annotate(
            line, (0, row), xycoords=("axes fraction", "data"), xytext=(-5, 5.5 * (len(lines) - 1 - 2 * place)),
            textcoords="offset points", ha="right", va="center", fontsize=8.5 if is_name else 7.5,
            color=INK if is_name else MUTED,
        )  # fmt: skip


def _title_lines(pair: _Pair, registry: MuscleRegistry) -> list[str]:
    subject, group = pair.verdict.subject, pair.verdict.group
    if _FAMILIES[pair.found.kind].has_unit:
        return [", ".join(filter(None, (row_label(subject, registry), group)))]
    first, *rest = subject.split(" - ")
    muscle, _, parameter = feature_title(first, registry).partition(", ")
    lines = [muscle, parameter, *(f"− {feature_title(part, registry)}" for part in rest)]
    if pair.found.kind == "odds_ratio":
        lines.append(step_words(subject, step_of(subject)))
    return [line for line in lines if line]


def _draw_scale(ax: Axes, family: _Family, pairs: Sequence[_Pair], style: NumberStyle) -> None:
    """Choose the axis, and mark on it the value that means no effect."""
    everything = np.array([value for pair in pairs for value in _values(pair)]) * style.scale
    if family.is_log:
        draw_log_axis(ax, everything)
    else:
        shown = everything[np.isfinite(everything)]
        low, high = shown.min(), shown.max()
        if family.neutral is not None:
            low, high = min(low, family.neutral), max(high, family.neutral)
        margin = 0.04 * (high - low)
        ax.set_xlim(low - margin, high + margin)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    if family.neutral is not None:
        ax.axvline(family.neutral, color=MUTED, linewidth=0.8)
        ax.annotate(
            family.neutral_words, (family.neutral, 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
            textcoords="offset points", ha="center", fontsize=7.5, color=MUTED,
        )  # fmt: skip


def _values(pair: _Pair) -> list[float]:
    bounds = (pair.published_bounds, pair.found.interval, pair.expected, pair.combined_bounds)
    return [pair.published, pair.found.value, *(end for item in bounds if item for end in (item.low, item.high))]


def _axis_words(family: _Family, parameter: str) -> str:
    return ": ".join(filter(None, (PARAMETERS[parameter].label if parameter else "", family.axis)))


def _draw_legend(figure: Figure, pairs: Sequence[_Pair]) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], marker="D", color=PUBLISHED, markerfacecolor=PAPER, markersize=4.5, label="published"),
        Line2D([], [], marker="o", color=INK, markersize=4.5, label="found"),
    ]
    if any(isfinite(pair.combined) for pair in pairs):
        handles.append(Line2D([], [], marker="s", color=_COMBINED, markersize=4.5, label="both together"))
    if any(pair.expected for pair in pairs):
        handles.append(Patch(color=_BAND, label="where the found value is expected"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, columnspacing=1.4)


def _summary(pairs: Sequence[_Pair], without: str) -> str:
    level = next((100 * pair.found.interval.level for pair in pairs if pair.found.interval), 95)
    words = [
        f"Each value as published (diamond) and as found (point; n counts the new patients), with {level:g}% "
        "confidence intervals."
    ]
    if any(pair.expected for pair in pairs):
        words.append(
            "The light band is the prediction interval: if both studies measure the same, 95 of 100 values found in a "
            "study of this size fall into it."
        )
    if any(isfinite(pair.combined) for pair in pairs):
        words.append("The square is what both studies say together, the more precise one counting more.")
    if any(pair.verdict.published_value is None for pair in pairs):
        words.append("The published differences are those of the printed means.")
    if any(pair.found.kind == "odds_ratio" for pair in pairs):
        words.append("All odds ratios are for the steps that the rows name, whatever step was printed.")
    if any(pair.verdict.scale in ("mean", "difference") for pair in pairs):
        words.append("Their published intervals follow from the printed SDs and the sizes of the groups.")
    return " ".join([*words, without]).strip()


def _without_number(verdicts: Sequence[Verdict]) -> str:
    """Say how many claims have no place in any of the figures, and why."""
    left_out = [v for v in verdicts if _pair(v) is None]
    n_direction = sum(v.found is not None and v.published_value is None for v in left_out)
    words = []
    if n_direction:
        words.append(f"for {n_direction} the study prints only a direction")
    if len(left_out) > n_direction:
        words.append(f"for {len(left_out) - n_direction} the new data give no value")
    if not words:
        return ""
    if len(words) == 1:
        words = [words[0].replace(f"for {len(left_out)}", "for these")]
    return (
        f"Of {len(verdicts)} values and directions that the study claims, {len(left_out)} are not drawn: "
        f"{' and '.join(words)}."
    )


def _record(pair: _Pair) -> dict[str, object]:
    record: dict[str, object] = {
        "claim_id": pair.verdict.claim_id,
        "subject": pair.verdict.subject,
        "group": pair.verdict.group,
        "published": pair.published,
        "found": pair.found.value,
        "n_found": pair.found.n,
        "combined": pair.combined,
    }
    bounds = {
        "published": pair.published_bounds,
        "found": pair.found.interval,
        "expected": pair.expected,
        "combined": pair.combined_bounds,
    }
    for key, item in bounds.items():
        record |= {f"{key}_low": item.low if item else None, f"{key}_high": item.high if item else None}
    return record
