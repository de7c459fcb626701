"""Figures of a cohort's scans against each other: every point is a scan, and leads to its page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import ROW_HEIGHT, draw_rows, figure_exhibit, range_of, spread
from dtimuscle.presentation.style import (
    GROUP_COLOURS,
    GROUP_TITLES,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    VERDICT_COLOURS,
    VERDICT_TITLES,
    ParameterStyle,
    drawing,
    fixed,
)
from dtimuscle.rating import QUANTITIES, Quantity, Rating, Rule, Verdict, count_verdicts

Floats = NDArray[np.floating]

# Inches of a strip, and of what stands above the first and below the last.
_STRIP, _TOP, _BOTTOM = 0.66, 0.5, 0.12

# The part of the width that strips take, and where a strip lies within its height.
_LEFT, _RIGHT = 0.03, 0.97
_TITLE_SHARE, _AXIS_SHARE = 0.36, 0.27

# Beyond a limit the ground is tinted.
_TINTS = {Verdict.LOOK: "#fbf1d7", Verdict.LEAVE_OUT: "#f8dcd8"}

# Area of a point, in square points: of one among others, and of one that stands out.
_POINT, _ODD_POINT = 11.0, 30.0
_LANES = {"poor": -0.19, "good": 0.19, "": 0.0}
# How a name is written: on paper, so that it can be read over points.
_NAME: dict[str, Any] = {
    "fontsize": 7.5, "color": INK, "zorder": 9,
    "bbox": {"facecolor": PAPER, "alpha": 0.75, "linewidth": 0, "pad": 0.6},
}  # fmt: skip
_COLOUR_OF_GROUP = GROUP_COLOURS | {"": MUTED}


@dataclass
class _Points:
    """Points that are drawn now and become links later."""

    names: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def draw(self, ax: Axes, x: Floats, y: Floats, names: Sequence[str], words: Sequence[str], **look: Any) -> None:
        """Draw points, each with an address of its own."""
        first = len(self.names)
        self.names += names
        self.words += words
        urls = [f"#point{first + place}" for place in range(len(names))]
        # Clipping would cost each point of an SVG a group of its own.
        ax.scatter(x, y, urls=urls, clip_on=False, **look)

    def link(self, svg: str, page_of: Mapping[str, str]) -> str:
        """Give each point its participant's page and a tooltip."""

        def one(match: re.Match[str]) -> str:
            place = int(match[1])
            name = self.names[place]
            # Thousands of points are for the mouse; by keyboard one walks through the list of those that are odd.
            href = f' tabindex="-1" href="{escape(page_of[name])}"' if name in page_of else ""
            return f"<a{href}>{match[2]}<title>{escape(name)}: {escape(self.words[place])}</title></a>"

        svg = re.sub(r'<a xlink:href="#point(\d+)"[^>]*>(?:<g>)?(<use [^>]*/>)(?:</g>)?</a>', one, svg)
        # Points of one look stand in a group that carries the look once.
        run = re.compile(r'(<a[^>]*><use [^>]*?( style="[^"]*")/><title>[^<]*</title></a>)+')
        return run.sub(_with_common_look, svg)


def _with_common_look(match: re.Match[str]) -> str:
    looks = re.findall(r'<use [^>]*?( style="[^"]*")/>', match[0])
    if len(set(looks)) > 1:
        parts = re.findall(r"<a[^>]*><use [^>]*/><title>[^<]*</title></a>", match[0])
        grouped: dict[str, list[str]] = {}
        for look, part in zip(looks, parts, strict=True):
            grouped.setdefault(look, []).append(part.replace(look, "", 1))
        return "".join(f"<g{look}>{''.join(members)}</g>" for look, members in grouped.items())
    return f"<g{looks[0]}>{match[0].replace(looks[0], '')}</g>"


def quality_strips_figure(
    numbers: pd.DataFrame,
    ratings: Sequence[Rating],
    rules: Sequence[Rule],
    odd: pd.DataFrame,
    *,
    page_of: Mapping[str, str] | None = None,
    name: str = "quality_strips",
) -> Exhibit:
    """Draw every number of quality over all scans, one strip for each.

    Parameters
    ----------
    numbers : DataFrame
        As `dtimuscle.rating.numbers_to_frame` lays them out; a number that nobody has gets no strip.
    ratings : sequence of Rating
        The verdict on each scan, in the same order.
    rules : sequence of Rule
        The limits.
    odd : DataFrame
        Numbers far from those of the others, as `dtimuscle.rating.odd_numbers` finds them.
    page_of : mapping of str to str, optional
        Address of the page of each scan, by its name.
    name : str, default="quality_strips"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One point per scan and number.
    """
    shown = [quantity for quantity in QUANTITIES if numbers[quantity.name].notna().any()]
    unknown = [quantity.words for quantity in QUANTITIES if quantity not in shown]
    limits = {rule.quantity.name: rule for rule in rules}
    points = _Points()
    with drawing():
        height = _TOP + _BOTTOM + _STRIP * max(len(shown), 1)
        figure = Figure(figsize=(NARROW, height))
        for place, quantity in enumerate(shown):
            top = 1 - (_TOP + place * _STRIP) / height
            strip = (1 - _TITLE_SHARE - _AXIS_SHARE) * _STRIP / height
            bottom = top - (1 - _AXIS_SHARE) * _STRIP / height
            ax = figure.add_axes((_LEFT, bottom, _RIGHT - _LEFT, strip))
            far = set(odd.loc[odd["quantity"] == quantity.name, "name"])
            rule = limits.get(quantity.name)
            _draw_strip(ax, quantity, numbers[quantity.name], ratings, rule=rule, far=far, points=points)
        _verdict_legend(figure, ratings, height)
        counts = count_verdicts(ratings)
        told = ", ".join(f"{VERDICT_TITLES[verdict].lower()} {counts[verdict]}" for verdict in Verdict)
        listed = "; ".join(_in_words(quantity, odd) for quantity in shown if (odd["quantity"] == quantity.name).any())
        alt = f"Quality of {len(ratings)} scans ({told}). Far from the others: {listed or 'nobody'}."
        summary = (
            "Each point is a scan; it keeps the colour of its verdict in every strip, so that a scan that is bad in "
            "one respect is found in the others. Tinted: beyond the limit for a look (yellow) and for leaving out "
            "(red). Large and named: far from the others (robust z beyond 3.5). A point leads to the page of its "
            "participant, where there is one."
        )
        if unknown:
            summary += f" Not known of anybody: {'; '.join(unknown)}."
        data = numbers.assign(verdict=[str(rating.verdict) for rating in ratings])
        exhibit = figure_exhibit(figure, name, "Quality of all scans", summary, data, alt=alt)
    return replace(exhibit, svg=points.link(exhibit.svg, page_of or {}))


def _draw_strip(
    ax: Axes,
    quantity: Quantity,
    column: pd.Series,
    ratings: Sequence[Rating],
    *,
    rule: Rule | None,
    far: set[str],
    points: _Points,
) -> None:
    """Draw one number of all scans, with its limits."""
    values = column.to_numpy(dtype=float) * quantity.scale
    known = values[np.isfinite(values)]
    low, high = _bounds(known, quantity, rule)
    ax.set_xlim(low, high)
    ax.set_ylim(-1, 1)
    if rule is not None:
        _tint(ax, quantity, rule)
    offsets = 0.75 * spread(len(values))
    # Drawn last lies on top: those that stand out.
    for verdict in Verdict:
        for is_far in (False, True):
            chosen = [
                place
                for place, rating in enumerate(ratings)
                if rating.verdict is verdict and (rating.name in far) is is_far and isfinite(values[place])
            ]
            if chosen:
                points.draw(
                    ax,
                    values[chosen],
                    offsets[chosen],
                    [ratings[place].name for place in chosen],
                    [f"{quantity.words} {quantity.printed(float(column.iloc[place]))}" for place in chosen],
                    s=_ODD_POINT if is_far else _POINT,
                    color=MUTED if verdict is Verdict.USE else VERDICT_COLOURS[verdict],
                    alpha=1 if is_far else 0.5 if verdict is Verdict.USE else 0.85,
                    linewidth=0,
                    zorder=3 + list(Verdict).index(verdict) + is_far,
                )
    _name_farthest(ax, values, offsets, ratings, far)
    median = quantity.printed(float(np.median(known)) / quantity.scale)
    ax.set_title(quantity.words, pad=3, fontsize=8.5)
    ax.annotate(
        f"median {median}, n = {len(known)}", (1, 1), xycoords="axes fraction", xytext=(0, 3),
        textcoords="offset points", ha="right", fontsize=7.5, color=MUTED,
    )  # fmt: skip
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=not quantity.digits))
    ax.xaxis.set_major_formatter(StrMethodFormatter(f"{{x:g}}{quantity.unit and ' ' + quantity.unit}"))
    ax.tick_params(axis="x", labelsize=7.5, pad=1.5, length=2)


def _bounds(known: Floats, quantity: Quantity, rule: Rule | None) -> tuple[float, float]:
    """Room for all values and for the limit next to them."""
    low, high = float(known.min()), float(known.max())
    if rule is not None:
        reach = [rule.look * quantity.scale]
        is_beyond = low < reach[0] if quantity.worse == "low" else high > reach[0]
        if is_beyond:
            reach.append(rule.leave_out * quantity.scale)
        low, high = min(low, *reach), max(high, *reach)
    margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.1
    # Nothing is less than none of it.
    return (max(low - margin, -0.012 * (high + margin)) if low >= 0 else low - margin), high + margin


def _tint(ax: Axes, quantity: Quantity, rule: Rule) -> None:
    first, last = ax.get_xlim()
    look, out = rule.look * quantity.scale, rule.leave_out * quantity.scale
    if quantity.worse == "low":
        bands = {Verdict.LOOK: (max(out, first), look), Verdict.LEAVE_OUT: (first, min(out, look))}
    else:
        bands = {Verdict.LOOK: (look, min(out, last)), Verdict.LEAVE_OUT: (max(out, look), last)}
    for verdict, (start, end) in bands.items():
        if end > start:
            ax.axvspan(start, end, color=_TINTS[verdict], linewidth=0, zorder=0)


def _name_farthest(ax: Axes, values: Floats, offsets: Floats, ratings: Sequence[Rating], far: set[str]) -> None:
    """Name the scan that is farthest from the median among those that are far from the others, and count these."""
    places = [place for place, rating in enumerate(ratings) if rating.name in far]
    if not places:
        return
    distance = np.abs(values - np.nanmedian(values))
    place = max(places, key=lambda p: distance[p])
    first, last = ax.get_xlim()
    is_right = values[place] > (first + last) / 2
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    ax.annotate(
        f"{ratings[place].name}{more}", (values[place], 0.4 * offsets[place]), xytext=(-5 if is_right else 5, 0),
        textcoords="offset points", ha="right" if is_right else "left", va="center", **_NAME,
    )  # fmt: skip


def _verdict_legend(figure: Figure, ratings: Sequence[Rating], height: float) -> None:
    counts = count_verdicts(ratings)
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", markeredgewidth=0, markersize=4.5,
            color=MUTED if verdict is Verdict.USE else VERDICT_COLOURS[verdict],
            label=f"{VERDICT_TITLES[verdict]} ({counts[verdict]})",
        )
        for verdict in Verdict
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1 - 0.04 / height), ncols=3, handletextpad=0.1,
        columnspacing=1.2,
    )  # fmt: skip


def _in_words(quantity: Quantity, odd: pd.DataFrame) -> str:
    rows = odd[odd["quantity"] == quantity.name]
    listed = ", ".join(
        f"{name} {quantity.printed(float(value))}"
        for name, value in zip(rows["name"][:5], rows["value"][:5], strict=True)
    )
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"{quantity.words}: {listed}{more}"


def muscle_strips_figure(
    values: pd.DataFrame,
    odd_values: pd.DataFrame,
    ratings: Sequence[Rating],
    registry: MuscleRegistry,
    *,
    parameter: str,
    page_of: Mapping[str, str] | None = None,
    name: str = "",
) -> Exhibit:
    """Draw a parameter of each muscle by group, every scan a point that leads to its page.

    Parameters
    ----------
    values : DataFrame
        `name` of the scan, `muscle`, `parameter`, `group` (`poor`, `good` or nothing) and `value`, in stored units.
    odd_values : DataFrame
        Those far from the others of their group, as `dtimuscle.rating.odd_muscles` finds them.
    ratings : sequence of Rating
        The verdict on each scan; those that are left out are drawn as crosses.
    registry : MuscleRegistry
        Printed names of muscles.
    parameter : str
        "fa" or "md".
    page_of : mapping of str to str, optional
        Address of the page of each scan, by its name.
    name : str, default=""
        Identifier of the exhibit; empty: "scans_" and the parameter.

    Returns
    -------
    Exhibit
        One row of points per muscle and group.
    """
    style = PARAMETERS[parameter]
    shown = values[(values["parameter"] == parameter) & values["value"].notna()]
    muscles = list(dict.fromkeys(values["muscle"]))
    out = {rating.name for rating in ratings if rating.verdict is Verdict.LEAVE_OUT}
    odd = odd_values[odd_values["parameter"] == parameter]
    points = _Points()
    with drawing():
        figure = Figure(figsize=(NARROW, 1.25 + ROW_HEIGHT * max(len(muscles), 2)), layout="constrained")
        ax = figure.subplots()
        for row, muscle in enumerate(muscles):
            for group, lane in _LANES.items():
                members = shown[(shown["muscle"] == muscle) & (shown["group"] == group)]
                if len(members):
                    far = set(odd.loc[(odd["muscle"] == muscle) & (odd["group"] == group), "name"])
                    _draw_lane(ax, row + lane, members, style, far=far, out=out, points=points)
        draw_rows(ax, [registry.title(muscle) for muscle in muscles])
        ax.set(xlabel=style.label, ylabel="")
        _group_legend(figure, shown, has_crosses=bool(out & set(shown["name"])))
        listed = "; ".join(
            f"{row['name']} {registry.title(row['muscle'])} {fixed(row['value'] * style.scale, style.digits)}"
            for row in odd.to_dict("records")
        )
        alt = f"{style.label} of every scan by muscle and group. Far from the others of the group: {listed or 'none'}."
        summary = (
            f"Each point is the {style.title} of a scan and leads to the page of its participant; the bar is the "
            "median of the group. Named: farthest from the others of the group, where the robust z is beyond 3.5. A "
            "single such point can carry a difference of small groups."
            f"{' Crosses are scans that the rules of quality leave out.' if out else ''}"
        )
        exhibit = figure_exhibit(
            figure, name or f"scans_{parameter}", f"{style.title} of all scans", summary, shown, alt=alt
        )
    return replace(exhibit, svg=points.link(exhibit.svg, page_of or {}))


def _draw_lane(
    ax: Axes, y: float, members: pd.DataFrame, style: ParameterStyle, *, far: set[str], out: set[str], points: _Points
) -> None:
    """Draw the scans of one group and their median, and name the farthest."""
    group = str(members["group"].iloc[0])
    x, offsets = members["value"].to_numpy(dtype=float) * style.scale, y + 0.13 * spread(len(members))
    names = members["name"].tolist()
    colour = _COLOUR_OF_GROUP[group]
    for is_out in (False, True):
        for is_far in (False, True):
            chosen = [p for p, who in enumerate(names) if (who in out) is is_out and (who in far) is is_far]
            if not chosen:
                continue
            look: dict[str, Any] = {"marker": "x", "linewidth": 0.9} if is_out else {"linewidth": 0}
            points.draw(
                ax,
                x[chosen],
                offsets[chosen],
                [names[place] for place in chosen],
                [fixed(x[place], style.digits) for place in chosen],
                s=_ODD_POINT if is_far else _POINT,
                color=colour,
                alpha=1 if is_far or is_out else 0.5,
                zorder=3 + is_far,
                **look,
            )
    median = float(np.median(x))
    ax.plot([median, median], [y - 0.15, y + 0.15], color=PAPER, linewidth=3.2, solid_capstyle="butt", zorder=5)
    ax.plot([median, median], [y - 0.15, y + 0.15], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=5)
    if far:
        place = max((p for p, who in enumerate(names) if who in far), key=lambda p: abs(x[p] - median))
        is_right = x[place] > median
        more = f" and {len(far) - 1} more" if len(far) > 1 else ""
        ax.annotate(
            f"{names[place]}{more}", (x[place], offsets[place]), xytext=(-5 if is_right else 5, 0),
            textcoords="offset points", ha="right" if is_right else "left", va="center", **_NAME,
        )  # fmt: skip


def _group_legend(figure: Figure, shown: pd.DataFrame, *, has_crosses: bool) -> None:
    handles = []
    for group, title in (*GROUP_TITLES.items(), ("", "No grade")):
        sizes = shown[shown["group"] == group].groupby("muscle", sort=False).size()
        if len(sizes):
            handles.append(
                Line2D(
                    [], [], marker="o", linestyle="", markeredgewidth=0, color=_COLOUR_OF_GROUP[group],
                    label=f"{title} (n = {range_of(sizes)})",
                )
            )  # fmt: skip
    if has_crosses:
        handles.append(Line2D([], [], marker="x", linestyle="", color=MUTED, markersize=5, label="Left out"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handletextpad=0.1, columnspacing=1.2)
