"""Figures of logistic models."""

from collections.abc import Sequence
from math import isfinite

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import (
    draw_log_axis,
    draw_rows,
    feature_colour,
    figure_exhibit,
    range_of,
    write_beside_row,
)
from dtimuscle.presentation.style import INK, MUTED, NARROW, PARAMETERS, drawing, row_label, step_words, term_title
from dtimuscle.presentation.tables.cells import ratio, ratio_interval
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.firth import FirthFit
from dtimuscle.statistics.logistic import LogisticFit

# Distance of the two estimates of a row from its middle, in rows, and the height of a row in inches.
_LANE = 0.2
_ROW, _DOUBLE_ROW = 0.27, 0.42

_COLUMNS = [
    "feature",
    "step",
    "n",
    "n_events",
    "odds_ratio",
    "low",
    "high",
    "firth_odds_ratio",
    "firth_low",
    "firth_high",
]


def odds_ratio_figure(
    fits: Sequence[LogisticFit],
    registry: MuscleRegistry,
    *,
    firth: FirthFit | None = None,
    title: str = "Odds ratios",
    name: str = "odds_ratios",
) -> Exhibit:
    """Draw odds ratios with their profile-likelihood intervals on a logarithmic axis.

    Parameters
    ----------
    fits : sequence of LogisticFit
        Univariate fits, or one multivariable fit; terms without a finite estimate are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    firth : FirthFit, optional
        Firth's fit of the same joint model, drawn below each estimate.
    title : str, default="Odds ratios"
        Heading.
    name : str, default="odds_ratios"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per term.
    """
    everything = _data(fits, firth)
    shown = everything[everything["odds_ratio"].notna() | everything["firth_odds_ratio"].notna()]
    order = [*PARAMETERS, ""]
    data = shown.sort_values(
        "feature", key=lambda names: names.map(lambda n: order.index(split_feature(n)[1])), kind="stable"
    ).reset_index(drop=True)
    sizes = pd.DataFrame([(fit.n, fit.n_events) for fit in fits if fit.n], columns=["n", "n_events"])
    counts = f"n = {range_of(sizes['n'])} ({range_of(sizes['n_events'])} events)" if len(sizes) else "n = 0"
    with drawing():
        headings = [_heading(term, step) for term, step in zip(data["feature"], data["step"], strict=True)]
        n_rows = len(data) + len(set(headings))
        height = 0.95 + (_DOUBLE_ROW if firth else _ROW) * max(n_rows, 2)
        figure = Figure(figsize=(NARROW, height), layout="constrained")
        ax = figure.subplots()
        labels: list[str] = []
        for place, (_, row) in enumerate(data.iterrows()):
            if place == 0 or headings[place] != headings[place - 1]:
                _draw_heading(ax, len(labels), headings[place], feature_colour(row["feature"]))
                labels.append("")
            _draw_term(ax, len(labels), row, with_firth=firth is not None)
            labels.append(row_label(row["feature"], registry))
        ax.axvline(1, color=MUTED, linewidth=0.8)
        draw_rows(ax, labels)
        draw_log_axis(ax, data[["odds_ratio", "low", "high", "firth_odds_ratio", "firth_low", "firth_high"]].to_numpy())
        ax.set_xlabel("Odds ratio of poor function per step (log scale)")
        ax.set_title(counts, fontweight="normal", color=MUTED)
        if firth is not None:
            _draw_legend(figure)
        return figure_exhibit(
            figure,
            name,
            title,
            _summary(fits, len(everything) - int(everything["odds_ratio"].notna().sum()), firth),
            data,
            alt=_alt(data, registry, counts, with_firth=firth is not None),
        )


def _data(fits: Sequence[LogisticFit], firth: FirthFit | None) -> pd.DataFrame:
    penalised = {c.name: c for c in firth.coefficients} if firth is not None else {}
    rows = []
    for fit in fits:
        for c in fit.coefficients:
            row: dict[str, object] = {
                "feature": c.name, "step": c.step, "n": fit.n, "n_events": fit.n_events, "odds_ratio": c.odds_ratio,
                "low": c.profile.low, "high": c.profile.high,
            }  # fmt: skip
            if c.name in penalised:
                f = penalised[c.name]
                row |= {"firth_odds_ratio": f.odds_ratio, "firth_low": f.profile.low, "firth_high": f.profile.high}
            rows.append(row)
    numbers = _COLUMNS[4:]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(numbers, float))


def _heading(term: str, step: float) -> str:
    parameter = split_feature(term)[1]
    if not parameter:
        return "Covariates\nper unit or level"
    return f"{PARAMETERS[parameter].title}\n{step_words(term, step)}"


def _draw_heading(ax: Axes, row: int, words: str, colour: str) -> None:
    # A text of its own for each line: a browser's font would not keep several flush right.
    for line, height in zip(words.split("\n"), (5, -5), strict=True):
        ax.annotate(
            line, (0, row), xycoords=("axes fraction", "data"), xytext=(-5, height), textcoords="offset points",
            ha="right", va="center", fontsize=7.8, fontweight="bold", color=colour,
        )  # fmt: skip


def _draw_term(ax: Axes, row: int, term: pd.Series, *, with_firth: bool) -> None:
    colour = feature_colour(term["feature"])
    lanes = [(-_LANE if with_firth else 0.0, "", "s", colour)]
    if with_firth:
        lanes.append((_LANE, "firth_", "o", INK))
    for shift, prefix, marker, ink in lanes:
        value, bounds = term[f"{prefix}odds_ratio"], Interval(term[f"{prefix}low"], term[f"{prefix}high"])
        if not isfinite(value):
            write_beside_row(ax, row + shift, "not estimable", colour=MUTED)
            continue
        if bounds.is_defined:
            ax.plot([bounds.low, bounds.high], [row + shift] * 2, color=ink, linewidth=1.4, solid_capstyle="butt")
        fill = "white" if prefix else ink
        ax.plot(value, row + shift, marker, color=ink, markersize=4.5, markerfacecolor=fill)
        words = f"{ratio(value)} ({ratio_interval(bounds)})" if bounds.is_defined else ratio(value)
        write_beside_row(ax, row + shift, words, colour=MUTED if prefix else INK)


def _draw_legend(figure: Figure) -> None:
    square = Line2D([], [], marker="s", color=MUTED, markersize=4.5, label="Maximum likelihood")
    circle = Line2D([], [], marker="o", color=INK, markerfacecolor="white", markersize=4.5, label="Firth's penalty")
    figure.legend(handles=[square, circle], loc="outside upper left", ncols=2, columnspacing=1.2)


def _summary(fits: Sequence[LogisticFit], n_lost: int, firth: FirthFit | None) -> str:
    steps = {_heading(c.name, c.step).replace("\n", " ") for fit in fits for c in fit.coefficients}
    named = "; ".join(sorted(steps))
    level = next((c.profile.level for fit in fits for c in fit.coefficients), 0.95)
    words = (
        f"Change of the odds of poor function when the value rises by one step ({named}), with its {100 * level:g}% "
        "profile-likelihood interval. Left of 1, higher values go with good function; an interval that crosses 1 "
        "leaves it open."
    )
    if firth is not None:
        words += " Circles: the same model by Firth's penalised likelihood, which has less bias with few events."
    if n_lost:
        words += f" {n_lost} without a finite estimate by maximum likelihood left out" + (
            "; Firth's is shown." if firth is not None else "."
        )
    return words


def _alt(data: pd.DataFrame, registry: MuscleRegistry, counts: str, *, with_firth: bool) -> str:
    listed = []
    for _, row in data.iterrows():
        words = f"{term_title(row['feature'], registry)} {ratio(row['odds_ratio'])}"
        listed.append(f"{words}, by Firth {ratio(row['firth_odds_ratio'])}" if with_firth else words)
    return f"Odds ratios of poor function, {counts}: {'; '.join(listed) or 'none could be estimated'}."
