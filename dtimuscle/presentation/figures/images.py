"""Figures of images and of how they moved."""

import numpy as np
import pandas as pd
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dtimuscle.dwi import TensorMaps, voxel_sizes
from dtimuscle.muscles import MuscleLabels
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import Floats, Numbers, figure_exhibit, quartiles
from dtimuscle.presentation.style import (
    FAINT,
    GROUP_COLOURS,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    WIDE,
    drawing,
    fixed,
)

# FA and MD (10⁻³ mm²/s) at the bright end of the maps: muscle lies near 0.25 and 1.5, free water at 3.0.
_FA_WINDOW = (0.0, 0.5)

_MD_WINDOW = (0.0, 2.5)

# Part of the brightest signal (0 to 1) above which a voxel surely belongs to the body; the rest is cut off.
_BODY = 0.1

# Direction colours are brightened by FA up to this value, which healthy muscle rarely exceeds.
_FULL_COLOUR_FA = 0.4


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
        return figure_exhibit(figure, name, title, summary, data, alt=alt)


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
    direction = axial_slice(maps.direction, maps.affine, position=position)
    outlines = None if labels is None else axial_slice(labels.values, maps.affine, position=position)
    colour = direction_colours(direction, fa)
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
            borders = _borders(outlines[box])
            for ax in axes:
                ax.add_collection(LineCollection(borders, colors=PAPER, linewidths=0.6), autolim=False)
        data = pd.DataFrame(
            [
                {"parameter": key, "unit": PARAMETERS[key].unit, **quartiles(image)}
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
        return figure_exhibit(figure, name, title, summary, data, alt=alt)


def direction_colours(direction: Numbers, fa: Numbers) -> Floats:
    """Turn fibre directions into colours: red to the sides, green to the front and back, blue along the leg.

    Parameters
    ----------
    direction : ndarray of shape (..., 3)
        First eigenvectors in world coordinates (RAS); their signs do not matter.
    fa : ndarray of shape (...)
        FA, which brightens the colours.

    Returns
    -------
    ndarray of shape (..., 3)
        Red, green and blue from 0 to 1; black where nothing is known.
    """
    colours: Floats = np.nan_to_num(np.abs(direction) * np.clip(fa / _FULL_COLOUR_FA, 0, 1)[..., None])
    return colours


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
        return figure_exhibit(figure, name, "Motion between volumes", summary, data, alt=alt)


def slice_figure(
    loss: Floats,
    is_outlier: NDArray[np.bool_],
    *,
    is_b0: NDArray[np.bool_] | None = None,
    what: str = "",
    name: str = "slices",
    for_slides: bool = True,
) -> Exhibit:
    """Show how much of its signal each slice of each volume lacks.

    Parameters
    ----------
    loss : ndarray of shape (n_slices, n)
        Share of the expected signal that is missing; NaN where it cannot be judged.
    is_outlier : ndarray of bool, shape (n_slices, n)
        Slices that are left out of the fit.
    is_b0 : ndarray of bool, shape (n,), optional
        Which volumes have no diffusion weighting.
    what : str, default=""
        Participant, for the summary.
    name : str, default="slices"
        Identifier of the exhibit.
    for_slides : bool, default=True
        Whether to draw the PNG for slides as well, which takes as long as the rest.

    Returns
    -------
    Exhibit
        One square for each slice and volume; lost slices are framed.
    """
    n_slices, n = loss.shape
    n_lost = int(np.count_nonzero(is_outlier))
    height = float(np.clip(0.9 + 0.14 * n_slices, 1.9, 5.0))
    with drawing():
        # Places are given instead of found by a layout engine, which takes longer than drawing.
        figure = Figure(figsize=(NARROW, height))
        bottom, tall = 0.44 / height, 1 - 0.75 / height
        ax = figure.add_axes((0.105, bottom, 0.64, tall))
        shown = ax.imshow(
            100 * loss, cmap="RdBu_r", vmin=-100, vmax=100, origin="lower", aspect="auto", interpolation="nearest"
        )
        for number, volume in np.argwhere(is_outlier):
            place = (volume - 0.5, number - 0.5)
            ax.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=INK, linewidth=1.2, zorder=3, clip_on=False))
        ax.set(xlabel="Volume", ylabel="Slice")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        bar = figure.colorbar(shown, cax=figure.add_axes((0.78, bottom, 0.03, tall)), ticks=[-100, 0, 100])
        bar.set_ticklabels(["brighter", "as expected", "lost"])
        bar.outline.set_visible(False)
        ax.set_title(f"{n_lost} lost of {n_slices * n} (framed)", fontweight="normal", color=MUTED)
        numbers, volumes = np.indices(loss.shape)
        data = pd.DataFrame(
            {
                "volume": volumes.ravel(),
                "slice": numbers.ravel(),
                "is_b0": np.zeros(loss.size, dtype=bool) if is_b0 is None else np.asarray(is_b0)[volumes.ravel()],
                "loss": loss.ravel(),
                "is_outlier": is_outlier.ravel(),
            }
        )
        alt = f"Signal of {n_slices} slices in {n} volumes against what is expected: {n_lost} are lost."
        summary = (
            f"{what + ': ' if what else ''}signal of each slice against what the other volumes and slices say. "
            f"{n_lost} of {n_slices * n} slices lost so much that the fit leaves them out."
        )
        return figure_exhibit(figure, name, "Lost slices", summary, data, alt=alt, for_slides=for_slides)


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


def _borders(labels: Numbers) -> list[Floats]:
    """Find the border of each label, as lines in units of voxels."""
    lines: list[Floats] = []
    for value in np.unique(labels[labels > 0]):
        generator = contour_generator(z=(labels == value).astype(float), corner_mask=True)
        lines += [np.asarray(line) for line in generator.lines(0.5)]
    return lines


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
