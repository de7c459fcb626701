"""Pictures for the page of one participant: all slices of a map, and each step of preprocessing to flip through.

Pictures are small images within the page at the resolution of the scan; outlines are drawn over them. They are set in
HTML so that a narrow screen shows fewer slices in a row instead of smaller ones, and what can be switched is switched
by style alone: the pages run no script.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from dtimuscle.dwi import TensorMaps, voxel_sizes
from dtimuscle.muscles import MuscleLabels
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import Floats, Numbers, quartiles
from dtimuscle.presentation.figures.images import axial_slice, slice_figure
from dtimuscle.presentation.style import (
    FAINT,
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    STAMP,
    drawing,
    fixed,
    svg_look,
    to_svg,
)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class _Window:
    """How the values of a map become colours: from `low` to `high` in the printed unit, marked at `ticks`."""

    title: str
    unit: str
    low: float
    high: float
    colours: str
    ticks: tuple[float, ...]
    scale: float = 1.0
    digits: int = 1

    @property
    def label(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title


# Muscle lies near FA 0.25 and MD 1.5; free water at 3.0. SNR is marked where the grades of muscles change.
_FA, _MD = PARAMETERS["fa"], PARAMETERS["md"]
WINDOWS = {
    "fa": _Window(_FA.title, _FA.unit, 0.0, 0.5, "viridis", (0, 0.1, 0.2, 0.3, 0.4, 0.5), _FA.scale),
    "md": _Window(_MD.title, _MD.unit, 0.5, 2.5, "magma", (0.5, 1.0, 1.5, 2.0, 2.5), _MD.scale),
    "snr": _Window("SNR at b = 0", "", 0.0, 100.0, "cividis", (0, 25, 50, 75, 100), digits=0),
    "residual": _Window("Residual", "% of the signal at b = 0", 0.0, 10.0, "inferno", (0, 2, 4, 6, 8, 10), 100.0, 0),
}

# Direction colours are brightened by FA up to this value, which healthy muscle rarely exceeds.
_FULL_COLOUR_FA = 0.4

# Muscle reaches at least this part of the 95th percentile of the signal without weighting; suppressed fat and marrow do
# not. There the maps show noise and are dimmed to a part of their brightness, so that they don't outshine the muscles.
_MUSCLE_BRIGHTNESS, _DIMMED = 0.4, 0.35

# Quality of the lossy pictures of directions (0 to 100), and effort for all (0 to 6): more effort gains nothing here.
_DIRECTION_QUALITY, _EFFORT = 90, 2

# What a step changed is shown up to this part of the brightest signal.
_CHANGE_SHARE = 0.1

STEP_TITLES = {
    "scanned": "As scanned",
    "denoised": "Denoised",
    "rician": "Noise floor removed",
    "unringed": "Unringed",
    "aligned": "Aligned",
    "averaged": "Averaged",
}

# Outlines over grey pictures.
_OVER_GREY = "#ffc83d"

# Colours of b-values from low to high; apart in grey as well.
_B_COLOURS = ("#2b6a99", "#b5472b", "#0b7a75", "#84489c", "#7a5c1e")


@dataclass(frozen=True)
class Pictures(Exhibit):
    """A figure that is set in HTML instead of being drawn as one SVG."""

    @property
    def body(self) -> str:
        """The pictures, which fit any width."""
        return self.html

    def stamped(self, words: str) -> "Pictures":
        """Write words below the pictures, for when they leave their page.

        Parameters
        ----------
        words : str
            Such as "Simulated data, not patients".

        Returns
        -------
        Pictures
            The same with the words.
        """
        line = f'<p style="margin:.3rem 0 0;font-size:.75rem;color:{STAMP}">{escape(words)}</p>'
        return replace(self, html=self.html + line, alt=f"{self.alt} {words}.")


def map_slices(
    kind: str,
    values: Floats,
    affine: Floats,
    *,
    s0: Floats | None = None,
    labels: MuscleLabels | None = None,
    what: str = "",
    name: str = "",
) -> Pictures:
    """Show every slice of a map, with the outlines of the muscles.

    Parameters
    ----------
    kind : {"fa", "md", "snr", "residual"}
        What the values are.
    values : ndarray of shape (nx, ny, nz)
        The map in stored units; NaN stays black.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    s0 : ndarray of shape (nx, ny, nz), optional
        Signal without weighting; where it is far below that of muscle the map is dimmed.
    labels : MuscleLabels, optional
        Muscles on the same grid.
    what : str, default=""
        Participant, for the summary.
    name : str, default=""
        Identifier of the exhibit; made of `kind` if not given.

    Returns
    -------
    Pictures
        One picture a slice; the data are the quartiles of each.
    """
    window = WINDOWS[kind]
    shown = values * window.scale
    slices = _cut(shown, affine)
    position = np.clip((np.nan_to_num(slices) - window.low) / (window.high - window.low), 0, 1)
    pixels = mpl.colormaps[window.colours](position, bytes=True)[..., :3]
    pixels[~np.isfinite(slices)] = 0
    if s0 is not None:
        pixels = _dimmed(pixels, _cut(s0, affine))
    data = pd.DataFrame({"slice": k, "map": kind, **quartiles(cut / window.scale)} for k, cut in _numbered(slices))
    median = float(np.nanmedian(shown)) if np.isfinite(shown).any() else np.nan
    sentence = _MAP_SENTENCES[kind].format(median=fixed(median, window.digits + 1 if kind == "fa" else window.digits))
    return _map_exhibit(
        pixels,
        np.isfinite(slices),
        affine,
        labels,
        key=_colour_key(window),
        data=data,
        title=window.title,
        summary=_about(what, sentence),
        name=name or f"{kind}_slices",
    )


_MAP_SENTENCES = {
    "fa": "fractional anisotropy in every slice. Muscle lies between 0.2 and 0.3; what is brighter is tendon, fascia "
    "or noise. Voxels with little signal, as in suppressed fat, are dimmed.",
    "md": "mean diffusivity in every slice. Healthy muscle lies near 1.5; oedema is brighter, fat is darker.",
    "snr": "signal at b = 0 over the noise of a single volume in every slice, median {median}. The tensor of a muscle "
    "is known to about 1 % above 50 and to about 5 % above 25.",
    "residual": "what the tensor leaves unexplained in every slice, median {median} %. Noise leaves an even picture; "
    "edges mean motion, bright slices lost signal, a bright muscle something that is no tensor.",
}


def direction_slices(maps: TensorMaps, labels: MuscleLabels | None = None, *, what: str = "") -> Pictures:
    """Show the direction of the fibres in every slice as colour, with the outlines of the muscles.

    Parameters
    ----------
    maps : TensorMaps
        What the fit left.
    labels : MuscleLabels, optional
        Muscles on the same grid.
    what : str, default=""
        Participant, for the summary.

    Returns
    -------
    Pictures
        One picture a slice; the data are the mean parts of the directions.
    """
    fa, direction = _cut(maps.fa, maps.affine), np.abs(_cut(maps.direction, maps.affine))
    colour = np.nan_to_num(direction * np.clip(fa / _FULL_COLOUR_FA, 0, 1)[..., None])
    data = pd.DataFrame(
        {"slice": k, **dict(zip(("right_left", "front_back", "up_down"), _mean_parts(cut), strict=True))}
        for k, cut in _numbered(direction)
    )
    pixels = np.rint(255 * np.clip(colour, 0, 1)).astype(np.uint8)
    return _map_exhibit(
        _dimmed(pixels, _cut(maps.s0, maps.affine)),
        np.isfinite(fa),
        maps.affine,
        labels,
        key=_DIRECTION_KEY,
        data=data,
        title="Fibre direction",
        summary=_about(
            what,
            "direction of the first eigenvector in every slice: colour says where the fibres run, brightness says FA. "
            "Thigh muscles should be mostly blue, and alike on both sides.",
        ),
        name="direction_slices",
        quality=_DIRECTION_QUALITY,
    )


def _dimmed(pixels: Pixels, s0: Floats) -> Pixels:
    is_known = np.isfinite(s0)
    if not is_known.any():
        return pixels
    is_weak = ~(s0 >= _MUSCLE_BRIGHTNESS * np.percentile(s0[is_known], 95))
    return np.where(is_weak[..., None], np.rint(_DIMMED * pixels), pixels).astype(np.uint8)


def _mean_parts(direction: Numbers) -> list[float]:
    parts = direction.reshape(-1, 3)
    parts = parts[np.isfinite(parts).all(axis=1)]
    return [float(part) for part in parts.mean(axis=0)] if len(parts) else [np.nan] * 3


def steps_viewer(
    pictures: Floats,
    affine: Floats,
    about: Mapping[str, Any],
    *,
    labels: MuscleLabels | None = None,
    what: str = "",
    name: str = "steps",
) -> Pictures:
    """Show one slice before and after each step, without and with weighting, to flip through.

    Parameters
    ----------
    pictures : ndarray of shape (nx, ny, nz, 2 m)
        One slice (its axis of length one) after each of m steps at b = 0, then after each with weighting.
    affine : ndarray of shape (4, 4)
        Of the pictures.
    about : mapping
        `steps` (each with its `step`), `low` and `high` (each with `volume` and `b`, s/mm²).
    labels : MuscleLabels, optional
        Muscles on the grid of the scan; the middle slice is outlined.
    what : str, default=""
        Participant, for the summary.
    name : str, default="steps"
        Identifier of the exhibit.

    Returns
    -------
    Pictures
        Switched by radio buttons; a browser that prints shows all. The data are mean and spread of each picture.
    """
    titles = [STEP_TITLES[str(step["step"])] for step in about["steps"]]
    n = len(titles)
    outline = "" if labels is None else _outline(_middle(labels.values, affine, labels.affine))
    rows, views = [], []
    for first, shown, which in ((0, about["low"], "Without weighting"), (n, about["high"], "Most weighted")):
        images = [axial_slice(pictures[..., first + k], affine) for k in range(n)]
        heading = f"{which}: b = {fixed(shown['b'], 0)} s/mm², volume {shown['volume']}"
        views.append(_flip_views(images, titles, heading, outline, aspect=_aspect(affine)))
        for title, image in zip(titles, images, strict=True):
            row = {"b": shown["b"], "volume": shown["volume"], "step": title}
            rows.append(row | {"mean": float(np.nanmean(image)), "sd": float(np.nanstd(image))})
    html = _flip_html(name, titles, "".join(views), has_outlines=bool(outline))
    alt = f"One slice {', '.join(title.lower() for title in titles)}; at b = 0 and at the highest b-value."
    summary = _about(
        what,
        f"the middle slice in one grey scale. On the right is what the chosen step changed, blue where "
        f"signal was taken away and red where it was added, up to {fixed(100 * _CHANGE_SHARE, 0)} % of the brightest. "
        "Denoising should take away noise without anatomy, unringing ripples beside edges; after alignment the muscles "
        "lie within their outlines.",
    )
    return Pictures(name, "figure", "Before and after each step", summary, pd.DataFrame(rows), html=html, alt=alt)


def _flip_views(images: Sequence[Numbers], titles: Sequence[str], heading: str, outline: str, *, aspect: float) -> str:
    top = float(np.nanpercentile(images[0], 99.5)) or 1.0
    greys = [_grey(image / top) for image in images]
    spread = _CHANGE_SHARE * top
    changes = [_change((after - before) / spread) for before, after in pairwise(images)]
    left = "".join(
        _step_tile(k, pixels, titles[k], outline, aspect=aspect, line=_OVER_GREY) for k, pixels in enumerate(greys)
    )
    right = "".join(
        _step_tile(k, pixels, f"Change: {titles[k].lower()}", outline, aspect=aspect, line=FAINT)
        for k, pixels in enumerate(changes, start=1)
    )
    none = '<figure class="s0 none"><span>Nothing has been changed yet.</span></figure>'
    return (
        f'<p class="which">{escape(heading)}</p><div class="pair"><div class="stack">{left}</div>'
        f'<div class="stack">{none}{right}</div></div>'
    )


def _step_tile(step: int, pixels: Pixels, title: str, outline: str, *, aspect: float, line: str) -> str:
    picture = _picture(pixels, outline, title, aspect=aspect, line=line, letter_size=0.045)
    return f'<figure class="s{step}">{picture}<figcaption>{escape(title)}</figcaption></figure>'


def _flip_html(name: str, titles: Sequence[str], views: str, *, has_outlines: bool) -> str:
    last = len(titles) - 1
    steps = "".join(
        f'<label><input type="radio" name="{name}-step" id="{name}-{k}"{" checked" if k == last else ""}> '
        f"{escape(title)}</label>"
        for k, title in enumerate(titles)
    )
    flicker = f'<label class="flickers"><input type="checkbox" id="{name}-flicker"> Flicker against as scanned</label>'
    lines = f'<label><input type="checkbox" id="{name}-lines" checked> Outlines</label>' if has_outlines else ""
    chosen = ",".join(f".flip:has(#{name}-{k}:checked) .s{k}" for k in range(len(titles)))
    style = (
        f"{_FLIP_STYLE}@media screen{{.flip:has(input) .stack figure{{visibility:hidden}}{chosen}"
        "{visibility:visible!important}"
        f".flip:has(#{name}-flicker:checked) .stack figure.s0:not(.none){{visibility:visible!important;z-index:1;"
        "animation:flip-flicker 1s steps(1) infinite}}"
        f".flip:has(#{name}-lines:not(:checked)) .outline{{display:none}}"
    )
    return (
        f'<div class="flip" id="flip-{name}"><style>{style}</style><fieldset><legend>Show the slice</legend>{steps}'
        f'<span class="more">{flicker}{lines}</span></fieldset>{views}</div>'
    )


_FLIP_STYLE = (
    ".flip fieldset{border:0;margin:0 0 .6rem;padding:0;display:flex;flex-wrap:wrap;gap:.3rem .5rem;font-size:.9rem}"
    ".flip legend{float:left;padding:.25rem .4rem 0 0;color:" + MUTED + "}"
    ".flip label{display:inline-flex;gap:.4rem;align-items:center;border:1px solid " + FAINT + ";border-radius:4px;"
    "padding:.2rem .6rem;cursor:pointer}.flip label:has(:checked){border-color:" + INK + ";font-weight:600}"
    ".flip label:has(:focus-visible){outline:2px solid #1d5a89;outline-offset:2px}.flip input{margin:0}"
    ".flip .more{display:contents}.flip .more label{border-style:dashed}"
    ".flip .which{margin:.9rem 0 .3rem;font-size:.9rem;font-weight:600}"
    ".flip .pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:.5rem}"
    ".flip .stack{display:grid}.flip figure{margin:0;min-width:0}.flip figcaption{font-size:.84rem;color:" + MUTED + "}"
    ".flip .none{display:flex;align-items:center;justify-content:center;font-size:.9rem;color:" + MUTED + ";"
    "background:#f6f7f8;aspect-ratio:2/1}"
    "@keyframes flip-flicker{50%{opacity:0}}"
    "@media screen{.flip:has(input) .stack figure{grid-area:1/1}}"
    "@media (prefers-reduced-motion:reduce){.flip .stack figure{animation:none!important}.flip .flickers"
    "{display:none!important}}"
    "@media print{.flip fieldset,.flip .none{display:none}.flip .pair{grid-template-columns:1fr}"
    ".flip .stack{grid-template-columns:repeat(4,1fr);gap:.3rem}}"
)


def direction_sphere(volumes: pd.DataFrame, *, what: str = "", name: str = "directions") -> Pictures:
    """Show the gradient directions on the sphere, as given and as turned with the patient.

    Parameters
    ----------
    volumes : DataFrame
        One row per volume: `b` (s/mm²), `is_b0`, `x`, `y`, `z`, `turned_x`, `turned_y`, `turned_z`; in world
        coordinates (RAS).
    what : str, default=""
        Participant, for the summary.
    name : str, default="directions"
        Identifier of the exhibit.

    Returns
    -------
    Pictures
        Two hemispheres in an equal-area projection.
    """
    weighted = volumes[~volumes["is_b0"]]
    given = weighted[["x", "y", "z"]].to_numpy(dtype=float)
    turned = weighted[["turned_x", "turned_y", "turned_z"]].to_numpy(dtype=float)
    angles = np.degrees(np.arccos(np.clip(np.abs(np.sum(given * turned, axis=1)), 0, 1)))
    shells = weighted["b"].round(-1)
    colours = dict(zip(sorted(shells.unique()), _B_COLOURS * (1 + len(shells) // len(_B_COLOURS)), strict=False))
    largest = float(angles.max()) if len(angles) else 0.0
    alt = f"{len(weighted)} gradient directions on two hemispheres, turned by up to {fixed(largest, 1)}°."
    summary = _about(
        what,
        f"{len(weighted)} weighted volumes, each a dot with its antipode on the other side (open), "
        "spread over hemispheres seen from above and from behind in equal-area projection. They should cover "
        "the sphere evenly: a gap is a direction in which diffusion was not measured. ",
    )
    summary += (
        f"Crosses are the directions turned with the patient, by up to {fixed(largest, 1)}°."
        if largest > 0
        else "They were not turned."
    )
    data = volumes.assign(turned_deg=pd.Series(angles, index=weighted.index))
    ends = [colours[b] for b in shells]
    views = (
        _hemisphere(_SPHERE_CENTRES[0], given, turned, ends, heading="From above", marks=("right", "front")),
        # Who looks from behind has the patient's right on the right.
        _hemisphere(
            _SPHERE_CENTRES[1], given @ _BEHIND, turned @ _BEHIND, ends, heading="From behind", marks=("right", "up")
        ),
    )
    key = [(f'<circle r="2.4" fill="{colour}"/>', f"b = {fixed(b, 0)} s/mm²") for b, colour in colours.items()]
    key.append((f'<circle r="2" fill="{PAPER}" stroke="{MUTED}"/>', "antipode"))
    if largest > 0:
        key.append((f'<path d="{_cross(0, 0, 2)}" stroke="{INK}"/>', "turned"))
    width, height = _SPHERE_SIZE
    svg = (
        f'<svg {svg_look(width, alt)} viewBox="0 0 {width:g} {height:g}"><rect width="{width:g}" height="{height:g}" '
        f'fill="{PAPER}"/>{"".join(views)}{_key_lines(key, width / 2, height - 8)}</svg>'
    )
    return _drawn(name, "Gradient directions", summary, data, svg=svg, alt=alt)


# The two hemispheres are written as SVG, not drawn: matplotlib takes longer for their axes than for a page's pictures.
_SPHERE_SIZE = (72 * NARROW, 198.0)  # points
_SPHERE_CENTRES = ((82.9, 101.0), (252.1, 101.0))
_SPHERE_RADIUS = 67.0

# Turns directions so that the third axis points at who looks from behind: right, up, to the back.
_BEHIND = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])


def _hemisphere(
    centre: tuple[float, float],
    given: Floats,
    turned: Floats,
    colours: Sequence[str],
    *,
    heading: str,
    marks: tuple[str, str],
) -> str:
    x, y = centre
    edge = _SPHERE_RADIUS
    rings = "".join(
        f'<circle cx="{x}" cy="{y}" r="{edge * np.sqrt(1 - np.cos(np.radians(tilt))):.2f}" stroke-width=".7"/>'
        for tilt in (30, 60, 90)
    )
    axes = f'<path d="M{x - edge:g} {y}H{x + edge:g}M{x} {y - edge:g}V{y + edge:g}" stroke-width=".5"/>'
    is_seen = given[:, 2] >= 0
    side = np.where(is_seen, 1.0, -1.0)[:, None]
    # A turned direction is drawn on the side of the one it was turned from, so that the line between them is short.
    scale = edge / np.sqrt(2) * np.array([1, -1])
    starts, ends = (np.array(centre) + scale * _equal_area(side * axis) for axis in (given, turned))
    has_turned = np.abs(ends - starts).max(axis=1, initial=0) > 0
    dots, ways = "", ""
    for (x1, y1), (x2, y2), colour, seen in zip(starts.tolist(), ends.tolist(), colours, is_seen, strict=True):
        ways += f'<path d="M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}" stroke="{colour}" stroke-width=".8"/>'
        face = colour if seen else PAPER
        dots += f'<circle cx="{x1:.2f}" cy="{y1:.2f}" r="2.35" fill="{face}" stroke="{colour}"/>'
    crosses = "".join(_cross(end_x, end_y, 1.6) for end_x, end_y in ends[has_turned].tolist())
    beside = f"translate({x + edge + 8.5:g} {y}) rotate(-90)"
    return (
        f'<g fill="none" stroke="{FAINT}">{rings}{axes}</g><g fill="none">{ways}</g>{dots}'
        f'<path d="{crosses}" stroke="{INK}" stroke-width=".8"/><g fill="{MUTED}" text-anchor="middle">'
        f'<text x="{x}" y="15" style="font-size:9.5px">{heading}</text><g style="font-size:7.5px">'
        f'<text transform="{beside}">{marks[0]}</text><text x="{x}" y="{y - edge - 3:g}">{marks[1]}</text></g></g>'
    )


def _cross(x: float, y: float, half: float) -> str:
    """Commands of an SVG path that crosses out a place."""
    low, high = x - half, x + half
    return f"M{low:.2f} {y - half:.2f}L{high:.2f} {y + half:.2f}M{low:.2f} {y + half:.2f}L{high:.2f} {y - half:.2f}"


def _key_lines(entries: Sequence[tuple[str, str]], middle: float, bottom: float) -> str:
    """Set marks and their words in lines of four, each as wide as its letters take on average."""
    size, gap = 8.5, 9.0
    lines = [entries[start : start + 4] for start in range(0, len(entries), 4)]
    text = ""
    for number, line in enumerate(reversed(lines)):
        lengths = [14 + 0.56 * size * len(words) + gap for _, words in line]
        places = middle - (sum(lengths) - gap) / 2 + np.cumsum([0, *lengths[:-1]])
        for (mark, words), place in zip(line, places.tolist(), strict=True):
            text += (
                f'<g transform="translate({place + 4:.1f} {bottom - 1.4 * size * number:g})">'
                f'<g transform="translate(0 -3)">{mark}</g>'
                f'<text x="8" fill="{INK}" style="font-size:{size}px">{escape(words)}</text></g>'
            )
    return text


def _equal_area(directions: Floats) -> Floats:
    """Lambert's azimuthal equal-area projection about the third axis, shape (n, 2)."""
    scale = np.sqrt(2 / np.maximum(1 + directions[:, 2], 1e-6))
    return scale[:, None] * directions[:, :2]


def motion_figure(volumes: pd.DataFrame, *, what: str = "", name: str = "motion") -> Pictures:
    """Show how far the thighs lay from the reference in each volume, and how far they moved between volumes.

    Parameters
    ----------
    volumes : DataFrame
        One row per volume: `is_b0`, `displacement_mm`, `framewise_mm`, `rotation_deg`.
    what : str, default=""
        Participant, for the summary.
    name : str, default="motion"
        Identifier of the exhibit.

    Returns
    -------
    Pictures
        Two curves; words alone when motion was not measured.
    """
    title = "Motion"
    displacement = volumes["displacement_mm"].to_numpy(dtype=float)
    if not np.isfinite(displacement).any():
        return _words_only(name, title, _about(what, "motion was not corrected, so it is not known."), volumes)
    framewise, is_b0 = volumes["framewise_mm"].to_numpy(dtype=float), volumes["is_b0"].to_numpy(dtype=bool)
    numbers = np.arange(len(volumes))
    mean, largest = float(displacement.mean()), float(displacement.max())
    with drawing():
        figure = Figure(figsize=(NARROW, 2.5))
        ax = figure.add_axes((0.1, 0.18, 0.88, 0.7))
        for values, colour, label in (
            (framewise, _B_COLOURS[1], "since the volume before"),
            (displacement, _B_COLOURS[0], "from the first volume"),
        ):
            ax.plot(numbers, values, color=colour, linewidth=1.2, label=label)
            ax.plot(numbers[~is_b0], values[~is_b0], "o", color=colour, markersize=3.5)
            ax.plot(numbers[is_b0], values[is_b0], "o", color=colour, markersize=4, markerfacecolor=PAPER)
        ax.set(xlabel="Volume (open: b = 0)", ylabel="Distance, mm", ylim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handlelength=1.4)
        alt = (
            f"Distance of {len(volumes)} volumes from the first: mean {fixed(mean, 2)} mm, largest {fixed(largest, 2)} "
            f"mm; from volume to volume at most {fixed(float(framewise.max()), 2)} mm."
        )
        turned = float(volumes["rotation_deg"].max())
        summary = _about(
            what,
            f"how far the thighs lay from the first volume (mean {fixed(mean, 2)} mm, largest "
            f"{fixed(largest, 2)} mm, turned by up to {fixed(turned, 1)}°) and how far they moved since the volume "
            "before. A jump is a patient who moved, a slope one who slid. Alignment takes both away as far as it goes.",
        )
        svg = to_svg(figure, name=name, alt=alt)
    return _drawn(name, title, summary, volumes, svg=svg, alt=alt)


def carpet_figure(slices: pd.DataFrame, volumes: pd.DataFrame, *, what: str = "", name: str = "carpet") -> Pictures:
    """Show how much of its signal each slice of each volume lacks, the lost ones framed.

    Parameters
    ----------
    slices : DataFrame
        One row per slice and volume: `slice`, `volume`, `loss` and `is_outlier`; no rows when nobody looked.
    volumes : DataFrame
        One row per volume: `is_b0`.
    what : str, default=""
        Participant, for the summary.
    name : str, default="carpet"
        Identifier of the exhibit.

    Returns
    -------
    Pictures
        One square for each slice and volume; words alone when lost slices were not looked for.
    """
    if slices.empty:
        return _words_only(name, "Lost slices", _about(what, "lost slices were not looked for."), slices)
    ordered = slices.sort_values(["slice", "volume"])
    grid = (ordered["slice"].nunique(), ordered["volume"].nunique())
    loss, lost = ordered["loss"].to_numpy(dtype=float), ordered["is_outlier"].to_numpy(dtype=bool)
    is_b0 = volumes["is_b0"].to_numpy(dtype=bool)
    drawn = slice_figure(loss.reshape(grid), lost.reshape(grid), is_b0=is_b0, name=name, for_slides=False)
    return _drawn(name, drawn.title, _about(what, drawn.summary), drawn.data, svg=drawn.svg, alt=drawn.alt)


def _drawn(name: str, title: str, summary: str, data: pd.DataFrame, *, svg: str, alt: str) -> Pictures:
    """Turn a drawing into a figure without a file for slides: a page a participant would mean hundreds of them."""
    html = f'<div class="figure-scroll" style="overflow-x:auto" tabindex="0">{svg}</div>'
    return Pictures(name, "figure", title, summary, data, html=html, alt=alt)


def _words_only(name: str, title: str, words: str, data: pd.DataFrame) -> Pictures:
    html = f'<p style="margin:0;color:{MUTED}">Nothing to show.</p>'
    return Pictures(name, "figure", title, words, data, html=html, alt=words)


# Slices and their pictures


def _cut(volume: Numbers, affine: Floats) -> NDArray[Any]:
    """Cut a volume into all its slices across the body, in the order of storage, shape (n, rows, columns, …)."""
    _, n, is_upward = _body_axis(affine, volume.shape)
    slices = [axial_slice(volume, affine, position=k / max(n - 1, 1)) for k in range(n)]
    return np.stack(slices if is_upward else slices[::-1])


def _body_axis(affine: Floats, shape: tuple[int, ...]) -> tuple[int, int, bool]:
    """Axis that runs along the body, its number of voxels, and whether it runs upward."""
    along = affine[2, :3] / voxel_sizes(affine)
    axis = int(np.argmax(np.abs(along)))
    return axis, shape[axis], bool(along[axis] > 0)


def _middle(values: Numbers, affine: Floats, label_affine: Floats) -> Numbers:
    """Cut labels at the height of a slab."""
    axis, n, is_upward = _body_axis(label_affine, values.shape)
    step = label_affine[:3, axis]
    index = round(float((affine[:3, 3] - label_affine[:3, 3]) @ step / (step @ step)))
    position = index / max(n - 1, 1)
    return axial_slice(values, label_affine, position=position if is_upward else 1 - position)


def _numbered(slices: Numbers) -> list[tuple[int, Numbers]]:
    return list(enumerate(slices))


def _map_exhibit(
    pixels: Pixels,
    is_known: NDArray[np.bool_],
    affine: Floats,
    labels: MuscleLabels | None,
    *,
    key: str,
    data: pd.DataFrame,
    title: str,
    summary: str,
    name: str,
    quality: int | None = None,
) -> Pictures:
    rows, columns = _box(np.asarray(is_known.any(axis=0)))
    outlines = [""] * len(pixels)
    if labels is not None:
        cuts = _cut(labels.values, labels.affine)
        known = np.isin(cuts, list(labels.meaning))
        outlines = [_outline(np.where(k, cut, 0)[rows, columns]) for k, cut in zip(known, cuts, strict=True)]
    aspect = _aspect(affine)
    tiles = []
    for number, (image, outline) in enumerate(zip(pixels[:, rows, columns], outlines, strict=True)):
        picture = _picture(image, outline, f"{title}, slice {number}", aspect=aspect, quality=quality)
        tiles.append(f"<figure>{picture}<figcaption>{number}</figcaption></figure>")
    switch = ""
    style = _MAP_STYLE
    if any(outlines):
        switch = f'<label><input type="checkbox" id="{name}-lines" checked> Muscle outlines</label>'
        style += f".maps:has(#{name}-lines:not(:checked)) .outline{{display:none}}"
    html = (
        f'<div class="maps"><style>{style}</style><div class="key">{key}{switch}</div>'
        f'<div class="tiles">{"".join(tiles)}</div></div>'
    )
    n = len(tiles)
    alt = f"{title} in {n} slice{'' if n == 1 else 's'} across the thighs, numbered as stored."
    return Pictures(name, "figure", title, summary, data, html=html, alt=alt)


_MAP_STYLE = (
    ".maps .key{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;align-items:center;justify-content:space-between;"
    "font-size:.84rem;color:" + MUTED + ";margin:0 0 .5rem}"
    ".maps label{display:inline-flex;gap:.4rem;align-items:center;cursor:pointer}.maps input{margin:0}"
    ".maps .tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(clamp(9.5rem,22%,17rem),1fr));gap:3px}"
    ".maps figure{margin:0;position:relative;background:#000;min-width:0;break-inside:avoid}"
    ".maps figcaption{position:absolute;left:0;right:0;bottom:1px;text-align:center;color:#c9d0d6;"
    "font:600 .7rem/1.2 sans-serif}"
    ".maps .ramp{display:grid;grid-template-columns:auto 13rem;gap:.1rem .7rem;align-items:center}"
    ".maps .bar{height:.6rem;border-radius:2px;print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    ".maps .marks{grid-column:2;display:flex;justify-content:space-between;font-size:.75rem;line-height:1.1;"
    "font-variant-numeric:tabular-nums}"
)

_DIRECTION_KEY = (
    '<span><b style="color:#c0272d">left–right</b> · <b style="color:#1b7a35">front–back</b> · '
    '<b style="color:#2443c4">along the leg</b></span>'
)


def _colour_key(window: _Window) -> str:
    stops = mpl.colormaps[window.colours](np.linspace(0, 1, 9))
    colours = ",".join(mpl.colors.to_hex(stop) for stop in stops)
    marks = "".join(f"<span>{tick:g}</span>" for tick in window.ticks)
    return (
        f'<div class="ramp"><span>{escape(window.label)}</span>'
        f'<span class="bar" style="background:linear-gradient(90deg,{colours})"></span>'
        f'<span class="marks">{marks}</span></div>'
    )


def _picture(
    pixels: Pixels,
    outline: str,
    alt: str,
    *,
    aspect: float,
    quality: int | None = None,
    line: str = PAPER,
    letter_size: float = 0.075,
) -> str:
    """One image within a drawing in units of voxels, with the sides of the body and outlines over it."""
    rows, columns, _ = pixels.shape
    height = rows * aspect
    shape = ""
    if outline:
        shape = outline_path(outline, aspect)
    size = letter_size * columns
    letters = "".join(
        f'<text x="{x:.4g}" y="{1.1 * size:.4g}" text-anchor="{anchor}">{letter}</text>'
        for letter, x, anchor in (("R", 0.25 * size, "start"), ("L", columns - 0.25 * size, "end"))
    )
    return (
        f'<svg viewBox="0 0 {columns} {height:.6g}" role="img" aria-label="{escape(alt)}" '
        f'style="display:block;width:100%;height:auto;fill:none;stroke:{line};stroke-width:1px;stroke-opacity:.75">'
        f'<image width="{columns}" height="{height:.6g}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{_data_uri(pixels, quality)}"/>'
        f'{shape}<g style="fill:#c9d0d6;stroke:none;font:600 {size:.3g}px sans-serif">{letters}</g></svg>'
    )


def outline_path(outline: str, aspect: float) -> str:
    """Set an outline in units of voxels as an element of its own, which a page keeps once however often it is drawn.

    Parameters
    ----------
    outline : str
        Commands of an SVG path.
    aspect : float
        Height of a voxel over its width.
    """
    return f'<path class="outline" vector-effect="non-scaling-stroke" transform="scale(1 {aspect:.4g})" d="{outline}"/>'


def _data_uri(pixels: Pixels, quality: int | None) -> str:
    """Pack pixels into the page: without loss, or with the given quality (0 to 100)."""
    buffer = io.BytesIO()
    how = {"lossless": True} if quality is None else {"quality": quality}
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="webp", method=_EFFORT, **how)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _grey(share: Floats) -> Pixels:
    levels = np.rint(255 * np.clip(np.nan_to_num(share), 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def _change(share: Floats) -> Pixels:
    position = (np.clip(np.nan_to_num(share), -1, 1) + 1) / 2
    return mpl.colormaps["RdBu_r"](position, bytes=True)[..., :3]


def _outline(labels: Numbers) -> str:
    """Draw the borders between different labels as an SVG path, in units of voxels."""
    return _outline_of(labels.tobytes(), labels.shape, labels.dtype.str)


@lru_cache(maxsize=256)  # all maps of a participant have the same outlines
def _outline_of(labels: bytes, shape: tuple[int, ...], dtype: str) -> str:
    padded = np.pad(np.frombuffer(labels, dtype=dtype).reshape(shape), 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]
    down = padded[1:-1, 1:] != padded[1:-1, :-1]
    parts = [f"M{start} {line}h{length}" for line, start, length in _runs(across)]
    parts += [f"M{line} {start}v{length}" for line, start, length in _runs(down.T)]
    return "".join(parts)


def _runs(edges: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Join neighbouring edges of each line to (line, start, length)."""
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lines, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return [(int(line), int(start), int(end - start)) for line, start, end in zip(lines, starts, ends, strict=True)]


def _box(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return slice(None), slice(None)
    return slice(max(rows[0] - 2, 0), rows[-1] + 3), slice(max(columns[0] - 2, 0), columns[-1] + 3)


def _aspect(affine: Floats) -> float:
    """Height of a voxel over its width in a slice across the body."""
    body, _, _ = _body_axis(affine, (1, 1, 1))
    sizes = voxel_sizes(affine)
    first, second = (axis for axis in range(3) if axis != body)
    is_first_across = abs(affine[0, first]) / sizes[first] >= abs(affine[0, second]) / sizes[second]
    width, height = (first, second) if is_first_across else (second, first)
    return float(sizes[height] / sizes[width])


def _about(what: str, words: str) -> str:
    """Say whom words are about; without a name they begin a sentence."""
    return f"{what}: {words}" if what else words[0].upper() + words[1:]
