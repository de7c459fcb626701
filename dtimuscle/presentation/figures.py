"""Figures for reading: typed results in, exhibits out, with the numbers behind every mark.

Most figures are narrow and tall, so that a phone shows them without scrolling. Points are spread by a fixed
sequence instead of random jitter: the same data give the same drawing.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from dtimuscle.dwi import TensorMaps, voxel_sizes
from dtimuscle.muscles import MuscleLabels, MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.style import (
    FAINT,
    GROUP_COLOURS,
    GROUP_TITLES,
    INK,
    MODEL_COLOURS,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    PUBLISHED,
    WIDE,
    drawing,
    feature_title,
    fixed,
    interval,
    p_value,
    to_png,
    to_svg,
)
from dtimuscle.presentation.tables import verdict_pairs
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.estimates import Estimate, Interval
from dtimuscle.statistics.features import FeatureFrame, split_feature
from dtimuscle.statistics.groups import GroupComparison
from dtimuscle.statistics.logistic import Coefficient, LogisticFit
from dtimuscle.statistics.roc import RocCurve

Floats = NDArray[np.floating]
Numbers = NDArray[np.floating] | NDArray[np.integer]

# Inches of height that a row of a dot plot takes.
_ROW = 0.42

# Distance of a group's lane from the middle of its row, in rows.
_LANES = {"poor": -0.19, "good": 0.19}

# How a patient looks. Clipping would cost each point of an SVG a group of its own.
_POINTS: dict[str, Any] = {
    "palette": GROUP_COLOURS, "s": 7, "alpha": 0.5, "linewidth": 0, "legend": False, "clip_on": False,
}  # fmt: skip

# FA and MD (10⁻³ mm²/s) at the bright end of the maps: muscle lies near 0.25 and 1.5, free water at 3.0.
_FA_WINDOW = (0.0, 0.5)
_MD_WINDOW = (0.0, 2.5)

# Part of the brightest signal (0 to 1) above which a voxel surely belongs to the body; the rest is cut off.
_BODY = 0.1

# Direction colours are brightened by FA up to this value, which healthy muscle rarely exceeds.
_FULL_COLOUR_FA = 0.4

_LINE_STYLES = {"fa": (0, (5, 2)), "md": (0, (1.5, 1.5)), "fa+md": "solid"}
_FALLBACK_COLOURS = ("#0b7a75", "#84489c", "#7a5c1e", "#2b6a99", "#b5472b", "#4f5d69")


def axial_slice(volume: Numbers, affine: Floats, *, position: float = 0.5) -> Numbers:
    """Cut a volume across the thigh, as radiologists look at it.

    The axis along the body is found from the affine, so that differently stored volumes look alike: the
    patient's right is on the left of the picture, the front at the top.

    Parameters
    ----------
    volume : ndarray of shape (nx, ny, nz) or (nx, ny, nz, k)
        Any map.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    position : float, default=0.5
        Place of the cut, from 0 (feet) to 1 (head).

    Returns
    -------
    ndarray of shape (rows, columns) or (rows, columns, k)
        Rows from front to back, columns from the patient's right to left.
    """
    order, signs = _storage(affine)
    turned = np.moveaxis(volume, order, (0, 1, 2))
    turned = turned[tuple(slice(None, None, int(sign)) for sign in signs)]
    index = round(position * (turned.shape[2] - 1))
    return np.swapaxes(turned[:, :, index], 0, 1)[::-1, ::-1]


def before_after_figure(
    before: Floats,
    after: Floats,
    *,
    titles: tuple[str, str] = ("As scanned", "After preprocessing"),
    what: str = "",
    name: str = "before_after",
) -> Exhibit:
    """Show one slice before and after a step, and what the step took away.

    Parameters
    ----------
    before, after : ndarray of shape (rows, columns)
        The slice in the same orientation, as from `axial_slice`.
    titles : tuple of (str, str), default=("As scanned", "After preprocessing")
        Headings of the two.
    what : str, default=""
        Participant and volume, for the summary.
    name : str, default="before_after"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        Three pictures; the data are mean and spread of each.
    """
    difference = after - before
    top = float(np.nanpercentile(before, 99.5)) or 1.0
    spread = float(np.nanpercentile(np.abs(difference), 99)) or top
    share = 100 * spread / top
    box = _bounding_box(before > _BODY * top)
    height = 0.92 * WIDE / 3 * before[box].shape[0] / before[box].shape[1]
    with drawing():
        figure = Figure(figsize=(WIDE, 0.75 + height), layout="constrained")
        axes, keys = figure.subplots(2, 3, height_ratios=[1, 0.045])
        for ax, key, image, heading in zip(axes, keys, (before, after), titles, strict=False):
            ax.imshow(image[box], cmap="gray", vmin=0.0, vmax=top, interpolation="nearest")
            _picture(ax, heading, ink=PAPER)
            key.set_axis_off()
        percent = 100 / top * difference[box]
        shown = axes[2].imshow(percent, cmap="RdBu_r", vmin=-share, vmax=share, interpolation="nearest")
        _picture(axes[2], "Difference", ink=INK)
        _colour_bar(figure, shown, keys[2], n_ticks=4)
        keys[2].set_xlabel("% of the brightest signal", fontsize=8)
        data = pd.DataFrame(
            [
                {"image": heading, "mean": float(np.nanmean(image)), "sd": float(np.nanstd(image))}
                for image, heading in zip((before, after, difference), (*titles, "Difference"), strict=True)
            ]
        )
        alt = (
            f"Three pictures of one slice: {titles[0].lower()}, {titles[1].lower()}, and their difference, which "
            "reaches "
            f"{fixed(share, 0)}% of the brightest signal."
        )
        summary = (
            f"{what + ': ' if what else ''}signal {titles[0].lower()} and {titles[1].lower()}, in the same grey "
            "scale. The difference "
            f"is blue where signal was taken away and red where it was added, in a scale of ± {fixed(share, 0)}% "
            "of the "
            "brightest signal; it should look like noise and edges, not like anatomy."
        )
        title = f"{titles[0]} and {titles[1][0].lower()}{titles[1][1:]}"
        return _exhibit(figure, name, title, summary, data, alt=alt)


def tensor_maps_figure(
    maps: TensorMaps,
    labels: MuscleLabels | None = None,
    *,
    position: float = 0.5,
    what: str = "",
    title: str = "Tensor maps",
    name: str = "tensor_maps",
) -> Exhibit:
    """Show FA, ADC and fibre direction in one slice, with the outlines of the muscles.

    Parameters
    ----------
    maps : TensorMaps
        What the fit left.
    labels : MuscleLabels, optional
        Muscles on the same grid, drawn as outlines.
    position : float, default=0.5
        Place of the slice, from 0 (feet) to 1 (head).
    what : str, default=""
        Participant, for the summary.
    title : str, default="Tensor maps"
        Heading.
    name : str, default="tensor_maps"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        Three pictures; the data are mean and quartiles of the maps in the slice.
    """
    fa = axial_slice(maps.fa, maps.affine, position=position)
    md = axial_slice(maps.md, maps.affine, position=position) * PARAMETERS["md"].scale
    direction = np.abs(axial_slice(maps.direction, maps.affine, position=position))
    outlines = None if labels is None else axial_slice(labels.values, maps.affine, position=position)
    colour = np.nan_to_num(direction * np.clip(fa / _FULL_COLOUR_FA, 0, 1)[..., None])
    colour[~np.isfinite(fa)] = 1.0
    box = _bounding_box(np.isfinite(fa))
    order, _ = _storage(maps.affine)
    sizes = voxel_sizes(maps.affine)[list(order)]
    aspect = float(sizes[1] / sizes[0])
    height = 0.92 * WIDE / 3 * aspect * fa[box].shape[0] / max(fa[box].shape[1], 1)
    with drawing():
        figure = Figure(figsize=(WIDE, 0.75 + height), layout="constrained")
        axes, keys = figure.subplots(2, 3, height_ratios=[1, 0.045])
        for ax, key, image, window, colours, label in (
            (axes[0], keys[0], fa, _FA_WINDOW, "viridis", PARAMETERS["fa"].label),
            (axes[1], keys[1], md, _MD_WINDOW, "magma", PARAMETERS["md"].label),
        ):
            shown = ax.imshow(
                image[box], cmap=colours, vmin=window[0], vmax=window[1], aspect=aspect, interpolation="nearest"
            )
            _colour_bar(figure, shown, key, n_ticks=5)
            _picture(ax, label)
        axes[2].imshow(colour[box], aspect=aspect, interpolation="nearest")
        _picture(axes[2], "Fibre direction")
        _direction_key(keys[2])
        if outlines is not None:
            for ax in axes:
                _outline(ax, outlines[box])
        data = pd.DataFrame(
            [
                {"parameter": key, "unit": PARAMETERS[key].unit, **_quartiles(image)}
                for key, image in (("fa", fa), ("md", md))
            ]
        )
        alt = (
            f"Maps of one slice: FA with median {fixed(float(np.nanmedian(fa)), 2)}, ADC with median "
            f"{fixed(float(np.nanmedian(md)), 2)} 10⁻³ mm²/s, and the direction of the fibres as colour."
        )
        summary = (
            f"{what + ': ' if what else ''}FA, ADC (MD) and the direction of the first eigenvector in one slice "
            "across the thighs, seen "
            "from below (the patient's right is on the left). Colour says direction, brightness says FA."
            f"{' Lines are the muscle labels.' if labels is not None else ''}"
        )
        return _exhibit(figure, name, title, summary, data, alt=alt)


def displacement_figure(
    displacement_mm: Floats, *, is_b0: NDArray[np.bool_] | None = None, what: str = "", name: str = "displacement"
) -> Exhibit:
    """Show how far the thighs moved from volume to volume.

    Parameters
    ----------
    displacement_mm : ndarray of shape (n,)
        Displacement of each volume, mm.
    is_b0 : ndarray of bool, shape (n,), optional
        Which volumes have no diffusion weighting.
    what : str, default=""
        Participant, for the summary.
    name : str, default="displacement"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One mark per volume.
    """
    n = len(displacement_mm)
    weighted = np.ones(n, dtype=bool) if is_b0 is None else ~np.asarray(is_b0)
    mean, largest = float(np.mean(displacement_mm)), float(np.max(displacement_mm))
    with drawing():
        figure = Figure(figsize=(NARROW, 2.5), layout="constrained")
        ax = figure.subplots()
        volumes = np.arange(n)
        ax.vlines(volumes, 0, displacement_mm, color=FAINT, linewidth=1.2)
        ax.plot(volumes[weighted], displacement_mm[weighted], "o", color=GROUP_COLOURS["good"], markersize=4)
        ax.plot(volumes[~weighted], displacement_mm[~weighted], "o", color=PAPER, markeredgecolor=INK, markersize=4)
        ax.axhline(mean, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.annotate(
            f"mean {fixed(mean, 2)}", (1, mean), xycoords=("axes fraction", "data"), xytext=(3, 0),
            textcoords="offset points", va="center", color=MUTED, fontsize=8,
        )  # fmt: skip
        ax.set(xlabel="Volume", ylabel="Displacement, mm", ylim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_title(
            f"n = {n} volumes{' (open: b = 0)' if is_b0 is not None else ''}", fontweight="normal", color=MUTED
        )
        data = pd.DataFrame({"volume": volumes, "displacement_mm": displacement_mm, "is_b0": ~weighted})
        alt = f"Displacement of {n} volumes: mean {fixed(mean, 2)} mm, largest {fixed(largest, 2)} mm."
        summary = (
            f"{what + ': ' if what else ''}how far each volume lay from the reference, averaged over the thighs: mean "
            f"{fixed(mean, 2)} mm, largest {fixed(largest, 2)} mm. The correction takes this away; what remains is "
            "what it missed."
        )
        return _exhibit(figure, name, "Motion between volumes", summary, data, alt=alt)


def odds_ratio_figure(
    fits: Sequence[LogisticFit], registry: MuscleRegistry, *, title: str = "Odds ratios", name: str = "odds_ratios"
) -> Exhibit:
    """Draw odds ratios with their intervals on a logarithmic axis.

    Parameters
    ----------
    fits : sequence of LogisticFit
        Univariate fits, or one multivariable fit; features without a finite estimate are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Odds ratios"
        Heading.
    name : str, default="odds_ratios"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature.
    """
    pairs = [(fit, c) for fit in fits for c in fit.coefficients if isfinite(c.odds_ratio)]
    order = [*PARAMETERS, ""]
    pairs.sort(key=lambda pair: order.index(split_feature(pair[1].name)[1]))
    n_left_out = sum(len(fit.coefficients) for fit in fits) - len(pairs)
    data = pd.DataFrame(
        [
            {"feature": c.name, "odds_ratio": c.odds_ratio, "low": c.interval.low, "high": c.interval.high,
             "step": c.step, "n": fit.n, "n_events": fit.n_events}
            for fit, c in pairs
        ],
        columns=["feature", "odds_ratio", "low", "high", "step", "n", "n_events"],
    )  # fmt: skip
    with drawing():
        titles = [split_feature(c.name)[1] for _, c in pairs]
        n_rows = len(pairs) + len(set(titles))
        figure = Figure(figsize=(NARROW, 0.85 + 0.26 * max(n_rows, 2)), layout="constrained")
        ax = figure.subplots()
        labels: list[str] = []
        for place, (_, c) in enumerate(pairs):
            if place == 0 or titles[place] != titles[place - 1]:
                _heading(ax, len(labels), titles[place])
                labels.append("")
            _odds_ratio(ax, len(labels), c)
            labels.append(_row_label(c.name, registry))
        ax.axvline(1, color=MUTED, linewidth=0.8)
        _rows(ax, labels)
        _log_axis(ax, data[["low", "high"]].to_numpy(dtype=float))
        ax.set_xlabel("Odds ratio of poor function per step (log scale)")
        sizes = sorted({(fit.n, fit.n_events) for fit, _ in pairs})
        counts = " or ".join(f"n = {n} ({events} events)" for n, events in sizes)
        ax.set_title(counts, fontweight="normal", color=MUTED)
        listed = "; ".join(f"{feature_title(c.name, registry)} {fixed(c.odds_ratio, 2)}" for _, c in pairs)
        alt = f"Odds ratios of poor function, {counts}: {listed or 'none could be estimated'}."
        summary = (
            "Change of the odds of poor function when the feature rises by one step (0.1 for FA, 0.1 × 10⁻³ mm²/s "
            "for ADC), with "
            "its interval. Left of 1, higher values go with good function; an interval that crosses 1 leaves it open."
        )
        if n_left_out:
            summary += f" {n_left_out} without a finite estimate left out."
        return _exhibit(figure, name, title, summary, data, alt=alt)


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
        return _exhibit(figure, name, title, summary, data, alt=alt, beside=beside)


def bias_figure(bias: pd.DataFrame, registry: MuscleRegistry, *, name: str = "bias_by_muscle") -> Exhibit:
    """Draw the true and the found value of each muscle side by side.

    Parameters
    ----------
    bias : DataFrame
        Columns `muscle`, `parameter`, `n`, `truth_mean`, `found_mean`, `bias`, `rmse`, in stored units.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="bias_by_muscle"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, one panel per parameter.
    """
    parameters = [p for p in PARAMETERS if p in set(bias["parameter"])]
    muscles = list(dict.fromkeys(bias["muscle"]))
    with drawing():
        figure = Figure(figsize=(NARROW, 1.0 + 0.27 * len(muscles)), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(parameters), sharey=True))
        for ax, parameter in zip(axes, parameters, strict=True):
            style = PARAMETERS[parameter]
            rows = bias[bias["parameter"] == parameter].set_index("muscle").reindex(muscles)
            truth, found = rows["truth_mean"] * style.scale, rows["found_mean"] * style.scale
            y = np.arange(len(muscles))
            ax.hlines(y, truth, found, color=style.colour, linewidth=1.4)
            ax.plot(truth, y, "o", color=PAPER, markeredgecolor=INK, markersize=5)
            ax.plot(found, y, "o", color=style.colour, markersize=4)
            ax.set_xlabel(style.label)
            ax.set_title(f"n = {_range(rows['n'])}", fontweight="normal", color=MUTED)
            ax.xaxis.set_major_locator(MaxNLocator(4))
        _rows(axes[0], [registry.title(muscle) for muscle in muscles])
        handles = [
            Line2D([], [], marker="o", linestyle="", color=PAPER, markeredgecolor=INK, markersize=5, label="truth"),
            Line2D([], [], marker="o", linestyle="", color=MUTED, markersize=4, label="found"),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2, handletextpad=0.1)
        worst = [
            f"{PARAMETERS[p].title} "
            f"{fixed(float(rows['bias'].abs().max()) * PARAMETERS[p].scale, PARAMETERS[p].digits + 1)}"
            f" {PARAMETERS[p].unit}".strip()
            for p in parameters
            for rows in [bias[bias["parameter"] == p]]
        ]
        alt = f"True and found mean of {len(muscles)} muscles. Largest bias: {', '.join(worst)}."
        summary = (
            "Mean over the simulated participants: open circles are the truth, filled ones what was found. "
            "Largest bias: "
            f"{', '.join(worst)}."
        )
        return _exhibit(figure, name, "True and found values by muscle", summary, bias, alt=alt)


def group_figure(
    features: FeatureFrame,
    comparisons: Sequence[GroupComparison],
    registry: MuscleRegistry,
    *,
    parameter: str,
    published: Mapping[tuple[str, str], float] | None = None,
    name: str = "",
) -> Exhibit:
    """Show every patient's value of each muscle by group, with the groups' means.

    Parameters
    ----------
    features : FeatureFrame
        The values of the patients.
    comparisons : sequence of GroupComparison
        Means, SDs and P values; those of other parameters are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    parameter : str
        "fa" or "md".
    published : mapping of (str, str) to float, optional
        Published means in stored units, by feature and group ("poor" or "good").
    name : str, default=""
        Identifier of the exhibit; empty: "groups_" and the parameter.

    Returns
    -------
    Exhibit
        One row of points per muscle and group.
    """
    published = published or {}
    style = PARAMETERS[parameter]
    shown = [item for item in comparisons if split_feature(item.feature)[1] == parameter]
    muscles = [registry.title(split_feature(item.feature)[0]) for item in shown]
    has_published = any(split_feature(feature)[1] == parameter for feature, _ in published)
    values = [(item, group, _members(features, item.feature, group)) for item in shown for group in GROUP_COLOURS]
    with drawing():
        figure = Figure(figsize=(NARROW, 1.25 + _ROW * max(len(shown), 2)), layout="constrained")
        ax = figure.subplots()
        data = _patients(values)
        rows = {item.feature: row for row, item in enumerate(shown)}
        lanes = data["feature"].map(rows) + data["lane"] + data["spread"]
        seaborn.scatterplot(x=data["value"] * style.scale, y=lanes, hue=data["group"], ax=ax, **_POINTS)
        for position, (item, group, _) in enumerate(values):
            y = position // 2 + _LANES[group]
            _group_mean(ax, y, item, group)
            if (item.feature, group) in published:
                mean = published[item.feature, group] * style.scale
                ax.plot(mean, y, "D", markerfacecolor="none", markeredgecolor=PUBLISHED, markersize=6.5)
        for row, item in enumerate(shown):
            _beside_row(ax, row, p_value(item.p))
        _beside_row(ax, -0.75, "P", colour=MUTED)
        _rows(ax, muscles)
        ax.set(xlabel=style.label, ylabel="")
        _group_legend(figure, [(item.poor.n, item.good.n) for item in shown], with_published=has_published)
        listed = "; ".join(
            f"{muscle} {fixed(item.poor.mean * style.scale, style.digits)} against "
            f"{fixed(item.good.mean * style.scale, style.digits)}"
            for muscle, item in zip(muscles, shown, strict=True)
        )
        alt = f"{style.label} of every patient by muscle. Mean with poor against good function: {listed}."
        summary = (
            f"Each small point is a patient's {style.title}. The large point is the mean of its group, the line one SD "
            "to either side. P is Student's t test, not corrected for the number of muscles."
            f"{' Diamonds are the published means.' if has_published else ''}"
        )
        title = f"{style.title} with poor and good function"
        data = data.drop(columns=["lane", "spread"])
        return _exhibit(figure, name or f"groups_{parameter}", title, summary, data, alt=alt)


def correlation_figure(
    features: FeatureFrame,
    correlations: Sequence[Correlation],
    registry: MuscleRegistry,
    *,
    name: str = "correlation_with_grade",
) -> Exhibit:
    """Show values against the Lovett grade, which is ordinal: points are spread within their grade.

    Parameters
    ----------
    features : FeatureFrame
        The values and grades of the patients.
    correlations : sequence of Correlation
        The features that are shown, in this order.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="correlation_with_grade"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel per feature.
    """
    n_rows = max(-(-len(correlations) // 2), 1)
    data = pd.concat(
        [_graded(features, item.feature) for item in correlations] or [_graded(features)], ignore_index=True
    )
    with drawing():
        figure = Figure(figsize=(NARROW, 0.3 + 1.95 * n_rows), layout="constrained")
        axes = figure.subplots(n_rows, 2, squeeze=False, sharex=True).ravel()
        for ax, item in zip(axes, correlations, strict=False):
            muscle, parameter = split_feature(item.feature)
            style = PARAMETERS[parameter]
            here = data[data["feature"] == item.feature]
            grades, values = here["lovett_grade"], here["value"] * style.scale
            spread = 0.28 * here.groupby("lovett_grade")["value"].transform(lambda within: _spread(len(within)))
            seaborn.scatterplot(x=grades + spread, y=values, hue=here["group"], ax=ax, **_POINTS)
            seaborn.pointplot(
                x=grades, y=values, errorbar=None, native_scale=True, linestyle="none", ax=ax,
                color=INK, marker="_", markersize=13, markeredgewidth=1.6,
            )  # fmt: skip
            ax.set_title(registry.title(muscle), pad=20)
            words = f"r = {fixed(item.r, 2)} ({interval(item.interval, 2)}), n = {item.n}"
            ax.annotate(
                words,
                (0, 1),
                xycoords="axes fraction",
                xytext=(0, 6),
                textcoords="offset points",
                fontsize=8,
                color=MUTED,
            )
            ax.set(xlabel="", ylabel=style.label, xlim=(-0.6, 5.6))
            ax.xaxis.set_major_locator(FixedLocator(range(6)))
            ax.yaxis.set_major_locator(MaxNLocator(4))
        for ax in axes[max(len(correlations) - 2, 0) : len(correlations)]:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("Lovett grade")
        for ax in axes[len(correlations) :]:
            ax.set_visible(False)
        listed = "; ".join(f"{feature_title(c.feature, registry)} {fixed(c.r, 2)}" for c in correlations)
        alt = f"Muscle values against the Lovett grade. Correlation: {listed}."
        method = correlations[0].method if correlations else "Pearson"
        summary = (
            "Each point is a patient, spread sideways within the grade; bars are the means of the grades. r is "
            f"{method}'s with its "
            "interval. Rust is poor function, blue good function."
        )
        data = data.drop(columns="group")
        return _exhibit(figure, name, "Muscle values and the Lovett grade", summary, data, alt=alt)


def published_and_found_figure(
    verdicts: Sequence[Verdict], registry: MuscleRegistry, *, name: str = "published_and_found"
) -> Exhibit:
    """Draw the published value and the one that was found on one axis for each claim that has both.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Those without a published number are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="published_and_found"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel per kind of number, one row per claim.
    """
    panels = _number_panels(verdicts)
    heights = [len(rows) for rows in panels.values()] or [2]
    records = []
    with drawing():
        figure = Figure(figsize=(NARROW, 0.6 + sum(0.75 + 0.34 * height for height in heights)), layout="constrained")
        axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=[h + 0.8 for h in heights]).ravel()
        for ax, (kind, rows) in zip(axes, panels.items(), strict=False):
            parameter = split_feature(rows[0].subject)[1] if kind.startswith("mean") else ""
            scale = PARAMETERS[parameter].scale if parameter else 1.0
            titles = []
            for row, verdict in enumerate(rows):
                found = verdict.found
                if found is None or verdict.published_value is None:
                    continue
                _published_mark(ax, row, verdict.published_value * scale, _scaled(verdict.published_interval, scale))
                _found_mark(ax, row, found, scale)
                titles.append(
                    ", ".join(part for part in (_row_label(verdict.subject, registry), verdict.group) if part)
                )
                records.append(_pair_record(verdict))
            _rows(ax, titles)
            ax.set_xlabel(PARAMETERS[parameter].label if parameter else _KIND_TITLES.get(kind, kind))
            ax.set_title(_found_n(rows), fontweight="normal", color=MUTED)
            ax.xaxis.set_major_locator(MaxNLocator(6))
        handles = [
            Line2D(
                [],
                [],
                marker="D",
                color=MUTED,
                markerfacecolor=PAPER,
                markeredgecolor=PUBLISHED,
                linewidth=1,
                label="published",
            ),
            Line2D([], [], marker="o", color=INK, linewidth=1.4, label="found"),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
        data = pd.DataFrame(records)
        shown = [v for rows in panels.values() for v in rows]
        beside = verdict_pairs(shown, registry)
        listed = "; ".join(f"{pair.label}: published {pair.published}, found {pair.found}" for pair in beside)
        alt = f"Published and found values on one axis. {listed or 'No claim has both'}."
        summary = (
            "Every claim with a printed number: the published value (diamond) and the one that was found (point), "
            "with their "
            "intervals where there are any. Lines that lie apart mean that the two do not tell the same story."
        )
        return _exhibit(figure, name, "Published and found", summary, data, alt=alt, beside=beside)


_KIND_TITLES = {
    "auc": "AUC",
    "auc_difference": "Difference of AUC",
    "odds_ratio": "Odds ratio",
    "correlation": "Correlation",
}


def _exhibit(
    figure: Figure,
    name: str,
    title: str,
    summary: str,
    data: pd.DataFrame,
    *,
    alt: str,
    beside: tuple[Beside, ...] = (),
) -> Exhibit:
    svg = to_svg(figure, name=name, alt=alt)
    figure.set_layout_engine("none")  # the layout is found; finding it again takes longer than drawing
    return Exhibit(name, "figure", title, summary, data, svg=svg, png=to_png(figure), alt=alt, beside=beside)


def _storage(affine: Floats) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Voxel axis that runs along each world axis (x, y, z), and its sign."""
    weights = affine[:3, :3] / voxel_sizes(affine)
    order: list[int] = []
    for world in (2, 1, 0):
        free = [axis for axis in range(3) if axis not in order]
        order.insert(0, max(free, key=lambda axis: abs(weights[world, axis])))
    signs = tuple(-1.0 if weights[world, axis] < 0 else 1.0 for world, axis in enumerate(order))
    return (order[0], order[1], order[2]), (signs[0], signs[1], signs[2])


def _picture(ax: Axes, heading: str, *, ink: str = MUTED) -> None:
    ax.set_axis_off()
    ax.set_title(heading)
    for letter, x, side in (("R", 0.02, "left"), ("L", 0.98, "right")):
        ax.text(x, 0.96, letter, transform=ax.transAxes, ha=side, va="top", color=ink, fontsize=8.5, fontweight="bold")


def _colour_bar(figure: Figure, shown: AxesImage, ax: Axes, *, n_ticks: int) -> None:
    bar = figure.colorbar(shown, cax=ax, orientation="horizontal", ticks=MaxNLocator(n_ticks))
    bar.outline.set_visible(False)
    ax.tick_params(length=2, labelsize=8)


def _outline(ax: Axes, labels: Numbers) -> None:
    for value in np.unique(labels[labels > 0]):
        ax.contour(labels == value, levels=[0.5], colors=[PAPER], linewidths=0.6)


def _direction_key(ax: Axes) -> None:
    ax.set_axis_off()
    words = (("left–right", "#c0272d", 0.0), ("front–back", "#1b7a35", 0.5), ("along the leg", "#2443c4", 1.0))
    for (text, colour, x), side in zip(words, ("left", "center", "right"), strict=True):
        ax.text(x, 0.5, text, color=colour, fontsize=8, ha=side, va="top", transform=ax.transAxes)


def _bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return slice(None), slice(None)
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _quartiles(image: Numbers) -> dict[str, float]:
    values = image[np.isfinite(image)]
    q25, median, q75 = np.percentile(values, (25, 50, 75)) if len(values) else (np.nan, np.nan, np.nan)
    return {"n_voxels": len(values), "q25": float(q25), "median": float(median), "q75": float(q75)}


def _spread(n: int) -> Floats:
    """Offsets within ± 1 that fill the width evenly whatever n is (golden-ratio sequence)."""
    return 2 * ((np.arange(n) * 0.6180339887498949 + 0.5) % 1) - 1


def _graded(features: FeatureFrame, feature: str = "") -> pd.DataFrame:
    """One row per patient who has both the feature and a grade."""
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


def _members(features: FeatureFrame, feature: str, group: str) -> pd.Series:
    is_member = (features.poor == (group == "poor")).fillna(False).astype(bool)
    return features.values.loc[is_member, feature].dropna()


def _patients(values: Sequence[tuple[GroupComparison, str, pd.Series]]) -> pd.DataFrame:
    """One row per patient and feature, with the place of the point within its row of the figure."""
    parts = [
        pd.DataFrame(
            {
                "participant_id": members.index,
                "feature": item.feature,
                "group": group,
                "value": members.to_numpy(dtype=float),
                "lane": _LANES[group],
                "spread": 0.13 * _spread(len(members)),
            }
        )
        for item, group, members in values
        if len(members)
    ]
    columns = ["participant_id", "feature", "group", "value", "lane", "spread"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _group_mean(ax: Axes, y: float, item: GroupComparison, group: str) -> None:
    """Mean ± SD of one group."""
    scale = PARAMETERS[split_feature(item.feature)[1]].scale
    summary, colour = (item.poor if group == "poor" else item.good), GROUP_COLOURS[group]
    ends = [(summary.mean - summary.sd) * scale, (summary.mean + summary.sd) * scale]
    ax.plot(ends, [y, y], color=colour, linewidth=1.3)
    ax.plot(summary.mean * scale, y, "o", color=colour, markeredgecolor=PAPER, markersize=6.5)


def _beside_row(ax: Axes, row: float, words: str, *, colour: str = INK) -> None:
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


def _rows(ax: Axes, titles: Sequence[str]) -> None:
    ax.set_yticks(np.arange(len(titles)), titles)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(max(len(titles), 1) - 0.4, -0.6)
    seaborn.despine(ax=ax, left=True)
    ax.grid(axis="x")


def _log_axis(ax: Axes, bounds: Floats) -> None:
    ax.set_xscale("log")
    finite = bounds[np.isfinite(bounds) & (bounds > 0)]
    low, high = (min(finite.min(), 0.8), max(finite.max(), 1.25)) if len(finite) else (0.5, 2.0)
    low, high = low / 1.15, high * 1.15
    ax.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 300 else (1,)
    ticks = [tick for tick in LogLocator(subs=steps).tick_values(low, high) if low <= tick <= high]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


def _odds_ratio(ax: Axes, row: int, coefficient: Coefficient) -> None:
    bounds, colour = coefficient.interval, _feature_colour(coefficient.name)
    ax.plot([bounds.low, bounds.high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    ax.plot(coefficient.odds_ratio, row, "s", color=colour, markersize=4.5)
    _beside_row(ax, row, f"{fixed(coefficient.odds_ratio, 2)} ({interval(bounds, 2)})")


def _heading(ax: Axes, row: int, parameter: str) -> None:
    text = PARAMETERS[parameter].title if parameter else "Covariates"
    colour = PARAMETERS[parameter].colour if parameter else MUTED
    ax.annotate(
        text, (0, row), xycoords=("axes fraction", "data"), xytext=(-5, 0), textcoords="offset points", ha="right",
        va="center", fontsize=8.5, fontweight="bold", color=colour,
    )  # fmt: skip


def _row_label(feature: str, registry: MuscleRegistry) -> str:
    muscle, parameter = split_feature(feature)
    return registry.title(muscle) if parameter else feature_title(feature, registry)


def _feature_colour(feature: str) -> str:
    parameter = split_feature(feature)[1]
    return PARAMETERS[parameter].colour if parameter else MUTED


def _curve_colour(name: str, position: int) -> str:
    return MODEL_COLOURS.get(name, _FALLBACK_COLOURS[position % len(_FALLBACK_COLOURS)])


def _curve_counts(curves: Sequence[RocCurve]) -> str:
    sizes = {(c.auc.n_events, c.auc.n_controls) for c in curves}
    return " or ".join(f"n = {poor} poor, {good} good" for poor, good in sorted(sizes))


def _range(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _group_legend(figure: Figure, sizes: Sequence[tuple[int, int]], *, with_published: bool) -> None:
    handles = []
    for group, position in (("poor", 0), ("good", 1)):
        n = _range(pd.Series([size[position] for size in sizes])) if sizes else "0"
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


def _number_panels(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    panels: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.found is None or verdict.published_value is None:
            continue
        kind = verdict.found.kind
        key = f"mean.{split_feature(verdict.subject)[1]}" if kind == "mean" else kind
        panels.setdefault(key, []).append(verdict)
    return panels


def _scaled(bounds: Interval | None, scale: float) -> Interval | None:
    return bounds and Interval(bounds.low * scale, bounds.high * scale, bounds.level)


def _published_mark(ax: Axes, row: int, value: float, bounds: Interval | None) -> None:
    if bounds is not None:
        ax.plot([bounds.low, bounds.high], [row - 0.17] * 2, color=MUTED, linewidth=1.4)
    ax.plot(value, row - 0.17, "D", color=PAPER, markeredgecolor=PUBLISHED, markersize=5)


def _found_mark(ax: Axes, row: int, found: Estimate, scale: float) -> None:
    colour = GROUP_COLOURS.get(found.group, INK)
    if found.interval is not None:
        ends = [found.interval.low * scale, found.interval.high * scale]
        ax.plot(ends, [row + 0.17] * 2, color=colour, linewidth=1.4)
    ax.plot(found.value * scale, row + 0.17, "o", color=colour, markersize=5.5)


def _found_n(verdicts: Sequence[Verdict]) -> str:
    sizes = sorted({v.found.n for v in verdicts if v.found is not None})
    return f"n = {' or '.join(str(n) for n in sizes)} (found)"


def _pair_record(verdict: Verdict) -> dict[str, object]:
    found, published = verdict.found, verdict.published_interval
    return {
        "claim_id": verdict.claim_id,
        "subject": verdict.subject,
        "group": verdict.group,
        "published": verdict.published_value,
        "published_low": published.low if published else None,
        "published_high": published.high if published else None,
        "found": found.value if found else None,
        "found_low": found.interval.low if found and found.interval else None,
        "found_high": found.interval.high if found and found.interval else None,
    }
