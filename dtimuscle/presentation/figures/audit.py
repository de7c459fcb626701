"""Figures of an audit of printed numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import (
    ROW_HEIGHT,
    draw_rows,
    feature_colour,
    figure_exhibit,
)
from dtimuscle.presentation.style import (
    FAINT,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PUBLISHED,
    drawing,
    feature_title,
    fixed,
)
from dtimuscle.presentation.tables.quantities import plain_text
from dtimuscle.replication.audit.adjustment import TurningRegion
from dtimuscle.replication.audit.effects import ImpliedEffect
from dtimuscle.replication.published import AucClaim, PublishedStudy, read_auc
from dtimuscle.statistics.estimates import Interval

_AUC_DIGITS = 3

# Curves of one parameter have one colour.
_LINES = ("-", "--", ":", "-.")

# Above this AUC words beside a mark are set to end with it.
_HIGH = 0.85


@dataclass(frozen=True)
class _Area:
    """One AUC of the figure."""

    label: str
    predictor: str
    value: float
    interval: Interval | None
    words: str
    is_printed: bool


def implied_auc_figure(
    effects: Sequence[ImpliedEffect],
    study: PublishedStudy,
    registry: MuscleRegistry,
    *,
    name: str = "implied_auc",
) -> Exhibit:
    """Draw the AUC that each feature's printed means imply beside the AUCs that are printed.

    Parameters
    ----------
    effects : sequence of ImpliedEffect
        What the printed means imply.
    study : PublishedStudy
        The study, for its printed AUCs.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="implied_auc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per AUC on one axis: implied ones as points, printed ones as diamonds.
    """
    groups = {
        "Implied, each alone": _implied_areas(effects, registry),
        "Printed": _printed_areas(study, registry),
    }
    areas = [area for found in groups.values() for area in found]
    labels: list[str] = []
    with drawing():
        n_rows = sum(len(found) + 1 for found in groups.values() if found)
        figure = Figure(figsize=(NARROW, 0.9 + ROW_HEIGHT * max(n_rows, 2)), layout="constrained")
        ax = figure.subplots()
        for heading, found in groups.items():
            if found:
                _write_heading(ax, len(labels), heading)
                labels.append("")
            for area in found:
                _draw_area(ax, len(labels), area)
                labels.append(area.label)
        draw_rows(ax, labels)
        _draw_auc_axis(ax, areas)
        ax.set_title(_sizes(effects), fontweight="normal", color=MUTED)
        data = pd.DataFrame([_area_record(area) for area in areas])
        title = "One measurement alone, and the combination that contains it"
        listed = "; ".join(
            f"{area.label}, {'printed' if area.is_printed else 'implied'}: {area.words}" for area in areas
        )
        alt = f"AUCs on one axis. {listed}."
        return figure_exhibit(figure, name, title, _implied_auc_summary(areas), data, alt=alt, rests_on="print")


def turning_figure(
    regions: Mapping[str, TurningRegion], study: PublishedStudy, registry: MuscleRegistry, *, name: str = "turning"
) -> Exhibit:
    """Draw what it takes that holding other features fixed turns the sign of one.

    Parameters
    ----------
    regions : mapping of str to TurningRegion
        By feature, as `adjustment.turning_region` returns them; the first of `d_adjusting` lies close to `d_adjusted`.
    study : PublishedStudy
        The study, for its printed AUCs.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="turning"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        Correlation over the AUC of the model, one curve per feature, with the printed AUCs of models.
    """
    models = [area for area in _printed_areas(study, registry) if "." not in area.predictor]
    with drawing():
        figure = Figure(figsize=(NARROW, 3.7), layout="constrained")
        ax = figure.subplots()
        for (feature, region), line in zip(regions.items(), cycle(_LINES)):
            colour = feature_colour(feature)
            ax.plot(region.auc, region.correlation, line, color=colour, label=feature_title(feature, registry))
            ax.fill_between(region.auc, region.correlation, 1.0, color=colour, alpha=0.08, linewidth=0)
        for model in models:
            _draw_printed_model(ax, model)
        ax.set(xlim=(min([0.5, *(model.value for model in models)]), 1.0), ylim=(0, 1.02))
        ax.set(xlabel="AUC that the model would have", ylabel="Correlation within groups")
        if regions:
            heading = "The sign can turn on and above the curve of"
            figure.legend(loc="outside upper left", ncols=2, title=heading, alignment="left")
        parts = [_region_data(feature, region) for feature, region in regions.items()]
        data = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        summary, alt = _turning_words(regions, models, study)
        return figure_exhibit(figure, name, "What it takes to turn a sign", summary, data, alt=alt, rests_on="print")


def _draw_printed_model(ax: Axes, model: _Area) -> None:
    if model.interval is not None:
        ax.axvspan(model.interval.low, model.interval.high, color=FAINT, alpha=0.35, linewidth=0, zorder=0)
    ax.axvline(model.value, color=PUBLISHED, linewidth=0.9, linestyle=":")
    ax.annotate(
        f"{model.label} as printed: {model.words}", (model.value, 0.02), xycoords=("data", "axes fraction"),
        xytext=(-3, 0), textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=7.5, color=MUTED,
    )  # fmt: skip


def _region_data(feature: str, region: TurningRegion) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "feature": feature,
            "d_adjusted": region.d_adjusted,
            "d_adjusting": region.d_adjusting,
            "correlation": region.correlation,
            "auc": region.auc,
        }
    )


def _turning_words(
    regions: Mapping[str, TurningRegion], models: Sequence[_Area], study: PublishedStudy
) -> tuple[str, str]:
    starts = [
        f"{study.in_words(feature)}: AUC above {fixed(min(region.auc), _AUC_DIGITS)}"
        for feature, region in regions.items()
        if region.auc
    ]
    printed = [f"{model.label} {model.words}" for model in models]
    beside = f" The grey band is what is printed for a model: {'; '.join(printed)}." if printed else ""
    summary = (
        "A feature that is lower in one group can count as higher once others are held fixed, but only if those, taken "
        "together, tell the groups apart better than it does and are closely related to it. Each curve shows how "
        "closely (correlation of patients within a group), by the AUC that such a model has at least. It begins where "
        f"the others are no better than the feature: {'; '.join(starts)}.{beside}"
    )
    alt = f"Correlation over the AUC of the model; the curves fall from 1 at {'; '.join(starts)}.{beside}"
    return summary, alt


def _write_heading(ax: Axes, row: int, words: str) -> None:
    ax.annotate(
        words, (0, row + 0.15), xycoords=("axes fraction", "data"), xytext=(-5, 0), textcoords="offset points",
        ha="right", va="center", fontsize=8.5, fontweight="bold", color=MUTED,
    )  # fmt: skip


def _of_function(effects: Iterable[ImpliedEffect]) -> list[ImpliedEffect]:
    """Of poor against good function where the groups stand for them, since the printed AUCs are of these."""
    return [e for e in effects if {e.pair.first.group.stands_for, e.pair.second.group.stands_for} == {"poor", "good"}]


def _sizes(effects: Iterable[ImpliedEffect]) -> str:
    sizes = dict.fromkeys(f"{effect.pair.first.n} + {effect.pair.second.n}" for effect in _of_function(effects))
    return f"n = {' or '.join(sizes)}" if sizes else ""


def _implied_areas(effects: Iterable[ImpliedEffect], registry: MuscleRegistry) -> list[_Area]:
    return [
        _Area(
            feature_title(effect.pair.feature, registry),
            effect.pair.feature,
            effect.auc.value,
            effect.auc.interval,
            plain_text(effect.auc),
            is_printed=False,
        )
        for effect in _of_function(effects)
    ]


def _printed_areas(study: PublishedStudy, registry: MuscleRegistry) -> list[_Area]:
    areas = []
    for claim in study.claims:
        if isinstance(claim, AucClaim):
            found = read_auc(claim)
            label = feature_title(claim.predictor, registry)
            areas.append(_Area(label, claim.predictor, found.value, found.interval, found.text, is_printed=True))
    return areas


def _draw_area(ax: Axes, row: int, area: _Area) -> None:
    colour = PUBLISHED if area.is_printed else feature_colour(area.predictor)
    if area.interval is not None:
        if area.is_printed:
            # What is printed runs through all rows, so that the eye sees whether it meets the others.
            ax.axvspan(area.interval.low, area.interval.high, color=FAINT, alpha=0.35, linewidth=0, zorder=0)
        ax.plot([area.interval.low, area.interval.high], [row, row], color=colour, linewidth=1.6)
    face = PAPER if area.is_printed else colour
    ax.plot(area.value, row, "D" if area.is_printed else "o", color=face, markeredgecolor=colour, markersize=6)
    # The words stand above the mark and end within the axis.
    is_high = area.value > _HIGH
    anchor = area.interval.high if is_high and area.interval else area.value
    ax.annotate(
        area.words, (anchor, row), xytext=(0, 6), textcoords="offset points", ha="right" if is_high else "center",
        va="bottom", fontsize=8, color=INK,
    )  # fmt: skip


def _draw_auc_axis(ax: Axes, areas: Iterable[_Area]) -> None:
    lows = [area.interval.low if area.interval else area.value for area in areas]
    left = min([0.5, *lows])
    ax.set_xlim(left - 0.01, 1.005)
    ax.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    ax.xaxis.set_major_locator(FixedLocator([tick / 10 for tick in range(int(10 * left), 11)]))
    ax.set_xlabel("AUC (0.5: chance, 1: perfect)")


def _implied_auc_summary(areas: Sequence[_Area]) -> str:
    implied = [area for area in areas if not area.is_printed]
    printed = [area for area in areas if area.is_printed]
    words = (
        "Points: the AUC that a feature's printed means and SDs imply for it alone, if values are normally "
        "distributed, with its confidence interval. Diamonds and the grey band: AUCs as printed. A model that contains "
        "a feature can hardly tell the groups apart worse than that feature alone, in the patients it was fitted to."
    )
    if not implied or not printed:
        return words
    low, high = (fixed(end(area.value for area in implied), _AUC_DIGITS) for end in (min, max))
    alone = low if low == high else f"{low} to {high}"
    values = ", ".join(fixed(area.value, _AUC_DIGITS) for area in printed)
    return f"{words} Here: {alone} for single features against {values} as printed."


def _area_record(area: _Area) -> dict[str, object]:
    return {
        "predictor": area.predictor,
        "source": "printed" if area.is_printed else "implied",
        "auc": area.value,
        "low": area.interval.low if area.interval else None,
        "high": area.interval.high if area.interval else None,
        "level": area.interval.level if area.interval else None,
    }
