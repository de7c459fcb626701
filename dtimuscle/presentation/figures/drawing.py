"""What several figures share: rows, axes, colours, and the way from a drawing to an exhibit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from dtimuscle.presentation.exhibit import Beside, Exhibit, RestsOn
from dtimuscle.presentation.style import (
    GROUP_COLOURS,
    GROUP_TITLES,
    INK,
    MUTED,
    PARAMETERS,
    PUBLISHED,
    Slide,
    to_svg,
)
from dtimuscle.statistics.features import FeatureFrame, split_feature

Floats = NDArray[np.floating]
Numbers = NDArray[np.floating] | NDArray[np.integer]

# Inches of height that a row of a dot plot takes.
ROW_HEIGHT = 0.42

# How a patient looks. Clipping would cost each point of an SVG a group of its own.
POINTS: dict[str, Any] = {
    "palette": GROUP_COLOURS, "s": 7, "alpha": 0.5, "linewidth": 0, "legend": False, "clip_on": False,
}  # fmt: skip

FALLBACK_COLOURS = ("#0b7a75", "#84489c", "#7a5c1e", "#2b6a99", "#b5472b", "#4f5d69")


def figure_exhibit(
    figure: Figure,
    name: str,
    title: str,
    summary: str,
    data: pd.DataFrame,
    *,
    alt: str,
    beside: tuple[Beside, ...] = (),
    rests_on: RestsOn = "data",
    for_slides: bool = True,
) -> Exhibit:
    """Turn a drawing into an exhibit.

    Parameters
    ----------
    figure : Figure
        Made within `drawing`.
    name, title, summary : str
        As in `Exhibit`.
    data : DataFrame
        What is drawn, unrounded and in stored units.
    alt : str
        As in `Exhibit`.
    beside : sequence of Beside, default=()
        Published values beside the found ones.
    rests_on : {"data", "print", "simulation"}, default="data"
        As in `Exhibit`.
    for_slides : bool, default=True
        Whether it can be drawn as PNG as well.
    """
    svg = to_svg(figure, name=name, alt=alt)
    slide = Slide(figure) if for_slides else None
    return Exhibit(
        name, "figure", title, summary, data, svg=svg, slide=slide, alt=alt, beside=beside, rests_on=rests_on
    )


def quartiles(image: Numbers) -> dict[str, float]:
    """Summarise the finite values of a picture for the data behind it.

    Parameters
    ----------
    image : ndarray
        Of any shape.
    """
    values = image[np.isfinite(image)]
    q25, median, q75 = np.percentile(values, (25, 50, 75)) if len(values) else (np.nan, np.nan, np.nan)
    return {"n_voxels": len(values), "q25": float(q25), "median": float(median), "q75": float(q75)}


def spread(n: int) -> Floats:
    """Return offsets within ± 1 that fill the width evenly whatever their number is (golden-ratio sequence).

    Parameters
    ----------
    n : int
        How many.
    """
    return 2 * ((np.arange(n) * 0.6180339887498949 + 0.5) % 1) - 1


def graded_values(features: FeatureFrame, feature: str = "") -> pd.DataFrame:
    """Return one row per patient who has both the feature and a grade.

    Parameters
    ----------
    features : FeatureFrame
        Features, grades and groups.
    feature : str, default=""
        Which one; empty for a table without rows.
    """
    values = features.values[feature] if feature else pd.Series(dtype=float)
    known = values[values.notna() & features.grade.notna().reindex(values.index)]
    return pd.DataFrame(
        {
            "participant_id": known.index,
            "feature": feature,
            "lovett_grade": features.grade[known.index].to_numpy(dtype=float),
            "value": known.to_numpy(dtype=float),
            "group": np.where(features.poor[known.index].to_numpy(dtype=bool), "poor", "good"),
        }
    ).sort_values("group", kind="stable")


def write_beside_row(ax: Axes, row: float, words: str, *, colour: str = INK) -> None:
    """Write words to the right of a row of a dot plot.

    Parameters
    ----------
    ax : Axes
        Where.
    row : float
        Position of the row.
    words : str
        What to write.
    colour : str, default=INK
        Colour of the words.
    """
    ax.annotate(
        words,
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=colour,
    )


def draw_rows(ax: Axes, titles: Sequence[str]) -> None:
    """Make an axis of named rows, the first on top.

    Parameters
    ----------
    ax : Axes
        Where.
    titles : sequence of str
        One for each row.
    """
    ax.set_yticks(np.arange(len(titles)), titles)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(max(len(titles), 1) - 0.4, -0.6)
    seaborn.despine(ax=ax, left=True)
    ax.grid(axis="x")


def draw_log_axis(ax: Axes, bounds: Floats) -> None:
    """Make the horizontal axis logarithmic, with few round ticks around 1.

    Parameters
    ----------
    ax : Axes
        Where.
    bounds : ndarray
        Everything that has to fit.
    """
    ax.set_xscale("log")
    finite = bounds[np.isfinite(bounds) & (bounds > 0)]
    low, high = (min(finite.min(), 0.8), max(finite.max(), 1.25)) if len(finite) else (0.5, 2.0)
    low, high = low / 1.15, high * 1.15
    ax.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 300 else (1,)
    ticks = [tick for tick in LogLocator(subs=steps).tick_values(low, high) if low <= tick <= high]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


def draw_heading(ax: Axes, row: int, parameter: str) -> None:
    """Write the name of a parameter over its rows.

    Parameters
    ----------
    ax : Axes
        Where.
    row : int
        Row that is the heading.
    parameter : str
        `fa`, `md` …; empty for covariates.
    """
    text = PARAMETERS[parameter].title if parameter else "Covariates"
    colour = PARAMETERS[parameter].colour if parameter else MUTED
    ax.annotate(
        text, (0, row), xycoords=("axes fraction", "data"), xytext=(-5, 0), textcoords="offset points", ha="right",
        va="center", fontsize=8.5, fontweight="bold", color=colour,
    )  # fmt: skip


def feature_colour(feature: str) -> str:
    """Return the colour of a feature's parameter.

    Parameters
    ----------
    feature : str
        Name of the feature.
    """
    parameter = split_feature(feature)[1]
    return PARAMETERS[parameter].colour if parameter else MUTED


def range_of(counts: pd.Series) -> str:
    """Print counts as "31", or as "28 to 31" where they differ.

    Parameters
    ----------
    counts : Series of int
        At least one.
    """
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def draw_group_legend(figure: Figure, sizes: Sequence[tuple[int, int]], *, with_published: bool) -> None:
    """Explain the colours of the two groups above a figure.

    Parameters
    ----------
    figure : Figure
        Where.
    sizes : sequence of (int, int)
        Participants with poor and good function, for each comparison shown.
    with_published : bool
        Whether published values are drawn too.
    """
    handles = []
    for group, position in (("poor", 0), ("good", 1)):
        n = range_of(pd.Series([size[position] for size in sizes])) if sizes else "0"
        handles.append(
            Line2D(
                [], [], marker="o", linestyle="", color=GROUP_COLOURS[group], label=f"{GROUP_TITLES[group]} (n = {n})"
            )
        )
    if with_published:
        diamond = Line2D(
            [], [], marker="D", linestyle="", markerfacecolor="none", markeredgecolor=PUBLISHED, label="Published mean"
        )
        handles.append(diamond)
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handletextpad=0.1, columnspacing=1.2)
