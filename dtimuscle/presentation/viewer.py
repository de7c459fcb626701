"""A viewer for JupyterLab: the maps, muscles and fibre directions of one participant to page through and point at.

niivue draws within the browser, its widget comes with the extra `interactive`, and nothing is fetched from a network.
Elsewhere (papermill, the pages of a run, an environment without the extra) one sentence stands in its place.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import Any

import matplotlib as mpl
import nibabel as nib
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from dtimuscle.dwi import TensorMaps
from dtimuscle.errors import NotebookError
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, Side
from dtimuscle.presentation.figures.drawing import Floats
from dtimuscle.presentation.figures.images import direction_colours
from dtimuscle.presentation.figures.participant import WINDOWS
from dtimuscle.presentation.style import fixed

# Jupyter's server tells its kernels the notebook that they serve; papermill and nbconvert have nobody who looks.
IN_JUPYTER = "JPY_SESSION_NAME"

NOBODY_LOOKS = "The viewer opens in JupyterLab (make lab), where its slices can be paged through."
NEEDS_EXTRA = (
    'The viewer needs the package ipyniivue: pip install -e ".[interactive]" in the clone, then start the kernel '
    "again. Everything else works without it."
)

# How much of the signal behind it a map covers; muscles are outlined, and tinted so little that the map is seen.
_MAP_OPACITY, _MUSCLE_OPACITY = 0.85, 0.1

_HEIGHT = 520  # CSS pixels; three views fit a laptop's screen with the controls

_RGBA = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])


@dataclass(frozen=True)
class Layer:
    """One image of the viewer.

    Parameters
    ----------
    title : str
        What it is.
    values : ndarray of shape (nx, ny, nz) or (nx, ny, nz, 4)
        In the printed unit and never NaN; for an image that is colour already red, green, blue and how much they
        cover, as bytes; for muscles their numbers from 1.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    colours : str, default=""
        Colour map; empty where the values say their colours.
    low, high : float, default=0.0
        Values at the ends of the colour map, in the printed unit.
    opacity : float, default=1.0
        How much it covers what lies behind, from 0 to 1.
    unit : str, default=""
        Printed unit.
    digits : int, default=0
        Decimals of a value.
    muscles : tuple of (str, str), default=()
        Name and colour (`#rrggbb`) of the muscles 1, 2, …
    """

    title: str
    values: NDArray[Any]
    affine: Floats
    colours: str = ""
    low: float = 0.0
    high: float = 0.0
    opacity: float = 1.0
    unit: str = ""
    digits: int = 0
    muscles: tuple[tuple[str, str], ...] = ()

    @property
    def is_colour(self) -> bool:
        """Whether the values are colours."""
        return self.values.ndim == 4

    @property
    def label(self) -> str:
        """What it is, with its unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def to_nifti(self) -> bytes:
        """Return the image as an uncompressed NIfTI file in memory."""
        values = np.ascontiguousarray(self.values)
        image = nib.Nifti1Image(values.view(_RGBA)[..., 0] if self.is_colour else values, self.affine)
        image.header.set_xyzt_units("mm")
        if self.muscles:
            # niivue outlines only what says that it is labels.
            image.header.set_intent("label")
        return image.to_bytes()

    def colour_table(self) -> dict[str, list[Any]]:
        """Return the muscles' colours and names in niivue's form, the background first and invisible."""
        colours = [(0, 0, 0), *(tuple(bytes.fromhex(colour[1:])) for _, colour in self.muscles)]
        red, green, blue = (list(channel) for channel in zip(*colours, strict=True))
        visible = [0] + [255] * len(self.muscles)
        names = ["", *(name for name, _ in self.muscles)]
        return {"R": red, "G": green, "B": blue, "A": visible, "I": list(range(len(colours))), "labels": names}


def viewer_layers(maps: TensorMaps, labels: MuscleLabels | None, registry: MuscleRegistry) -> tuple[Layer, ...]:
    """Decide what the viewer shows, from back to front.

    Maps have the colours and ranges of the participant's page.

    Parameters
    ----------
    maps : TensorMaps
        What the fit left.
    labels : MuscleLabels or None
        Muscles on the same grid.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    tuple of Layer
        Signal without weighting, FA, MD, fibre directions and, where there are labels, muscles.
    """
    known = maps.s0[np.isfinite(maps.s0)]
    top = float(np.percentile(known, 99.5)) if known.size else 0.0
    layers = [Layer("Signal at b = 0", _filled(maps.s0), maps.affine, "gray", 0.0, top or 1.0)]
    for kind, values, digits in (("fa", maps.fa, 2), ("md", maps.md, 2)):
        window = WINDOWS[kind]
        shown = _filled(values * window.scale)
        ends = (window.colours, window.low, window.high)
        layers.append(Layer(window.title, shown, maps.affine, *ends, _MAP_OPACITY, window.unit, digits))
    # niivue lets dark colours shine through unless the image says itself how much it covers.
    colours = np.concatenate([direction_colours(maps.direction, maps.fa), np.isfinite(maps.fa)[..., None]], axis=-1)
    pixels = np.rint(255 * colours).astype(np.uint8)
    layers.append(Layer("Fibre direction", pixels, maps.affine, opacity=_MAP_OPACITY))
    if labels is not None and labels.present:
        layers.append(_muscle_layer(labels, registry))
    return tuple(layers)


def _filled(values: Floats) -> NDArray[np.float32]:
    return np.nan_to_num(values).astype(np.float32)


def _muscle_layer(labels: MuscleLabels, registry: MuscleRegistry) -> Layer:
    """Give the muscles new numbers, since label values may be far too large for a table of colours."""
    order = {name: place for place, name in enumerate(registry.names)}
    last = len(order)
    regions = sorted(labels.present.items(), key=lambda item: (order.get(item[1][0], last), item[1], item[0]))
    names = list(dict.fromkeys(name for _, (name, _) in regions))
    numbers = np.zeros(labels.values.shape, dtype=np.uint8 if len(regions) < 256 else np.uint16)
    muscles = []
    for number, (value, (name, side)) in enumerate(regions, start=1):
        numbers[labels.values == value] = number
        title = registry.title(name)
        muscles.append((title if side is Side.BOTH else f"{title}, {side}", _muscle_colour(names.index(name))))
    return Layer("Muscles", numbers, labels.affine, opacity=_MUSCLE_OPACITY, muscles=tuple(muscles))


def _muscle_colour(place: int) -> str:
    """Return one of 20 colours, the strong ones first; the two sides of a muscle share one."""
    palette = mpl.colormaps["tab20"]
    return to_hex(palette((2 * place + place // 10) % 20))


def values_at(layers: Sequence[Layer], place: Sequence[float]) -> tuple[str, ...]:
    """Print what the layers hold at a place.

    Parameters
    ----------
    layers : sequence of Layer
        As `viewer_layers` returns them.
    place : sequence of float
        World coordinates (RAS, mm).

    Returns
    -------
    tuple of str
        Values with their units, then the muscle; nothing outside the images.
    """
    words = []
    for layer in layers:
        index = np.rint(np.linalg.solve(layer.affine, [*place[:3], 1.0])[:3]).astype(int)
        if layer.is_colour or (index < 0).any() or (index >= layer.values.shape[:3]).any():
            continue
        value = layer.values[tuple(index)]
        if not layer.muscles:
            words.append(" ".join(filter(None, (layer.title, fixed(float(value), layer.digits), layer.unit))))
        elif value:
            words.append(layer.muscles[int(value) - 1][0])
    return tuple(words)


@dataclass(frozen=True)
class Viewer:
    """What a notebook shows: the widget in JupyterLab, one sentence elsewhere.

    Nothing is built before it is displayed, so the pages of a cohort pay nothing for it.

    Parameters
    ----------
    maps : TensorMaps
        What the fit left.
    labels : MuscleLabels or None
        Muscles on the same grid.
    registry : MuscleRegistry
        Printed names of muscles.
    """

    maps: TensorMaps
    labels: MuscleLabels | None
    registry: MuscleRegistry

    def __repr__(self) -> str:
        """Say what is shown, instead of all values."""
        return NEEDS_EXTRA if find_spec("ipyniivue") is None else NOBODY_LOOKS

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        words = {"text/plain": repr(self)}
        if IN_JUPYTER not in os.environ or find_spec("ipyniivue") is None:
            return words
        return {**self.widget()._repr_mimebundle_(), **words}

    def widget(self) -> Any:
        """Build the widget, for front ends other than JupyterLab as well.

        Returns
        -------
        ipywidgets.VBox
            Controls, the three views, the values at the crosshair, and the key to the colours.

        Raises
        ------
        NotebookError
            If ipyniivue is not installed.
        """
        if find_spec("ipyniivue") is None:
            raise NotebookError(NEEDS_EXTRA)
        import ipyniivue
        import ipywidgets

        layers = viewer_layers(self.maps, self.labels, self.registry)
        scene = ipyniivue.NiiVue(
            height=_HEIGHT,
            is_radiological_convention=True,
            multiplanar_show_render=ipyniivue.ShowRender.NEVER,
            is_nearest_interpolation=True,
            is_colorbar=True,
            show_legend=False,
            atlas_outline=1.0,
            crosshair_width=0.8,
            crosshair_width_unit="mm",
            crosshair_gap=3.0,
            # Otherwise the mouse wheel pages through slices where the reader wants to scroll the notebook.
            scroll_requires_focus=True,
            drag_and_drop_enabled=False,
        )
        volumes = [_volume(layer) for layer in layers]
        scene.load_volumes(volumes)
        maps = [number for number, layer in enumerate(layers) if not layer.muscles]
        choice = ipywidgets.ToggleButtons(options=[(layers[number].label, number) for number in maps], value=1)
        choice.style.button_width = "auto"
        opacity = ipywidgets.FloatSlider(
            value=_MAP_OPACITY, min=0.0, max=1.0, step=0.05, description="Opacity", readout_format=".2f"
        )
        outlines = ipywidgets.Checkbox(value=True, description="Muscles", indent=False)
        place = ipywidgets.HTML("Click into a view to read its values.")

        def draw(_: Any = None) -> None:
            for volume, layer, number in zip(volumes, layers, range(len(layers)), strict=True):
                is_shown = outlines.value if layer.muscles else number in (0, choice.value)
                covers = opacity.value if 0 < number == choice.value else layer.opacity
                volume.opacity = covers if is_shown else 0.0
                volume.colorbar_visible = number == choice.value and bool(layer.colours)

        def read(location: dict[str, Any]) -> None:
            place.value = escape(" · ".join(values_at(layers, location["mm"])))

        for control in (choice, opacity, outlines):
            control.observe(draw, names="value")
        scene.on_location_change(read)
        draw()
        controls = [choice, ipywidgets.HBox([opacity, *([outlines] if layers[-1].muscles else [])])]
        return ipywidgets.VBox([*controls, scene, place, ipywidgets.HTML(_colour_key(layers))])


def _volume(layer: Layer) -> Any:
    import ipyniivue

    name = f"{layer.title}.nii"
    volume = ipyniivue.Volume(data=layer.to_nifti(), name=name, opacity=layer.opacity, colorbar_visible=False)
    if layer.colours:
        volume.colormap, volume.cal_min, volume.cal_max = layer.colours, layer.low, layer.high
    if layer.muscles:
        volume.set_colormap_label(layer.colour_table())
    return volume


def _colour_key(layers: Sequence[Layer]) -> str:
    """Name the colours of muscles and directions."""
    keys = {"left–right": "#c0272d", "front–back": "#1b7a35", "along the leg": "#2443c4"}
    lines = [("Fibre direction", keys)]
    for layer in layers:
        if layer.muscles:
            titles = (name.removesuffix(", left").removesuffix(", right") for name, _ in layer.muscles)
            lines.append((layer.title, dict(zip(titles, (colour for _, colour in layer.muscles), strict=True))))
    return "".join(
        f'<div style="line-height:1.6">{escape(title)}: '
        + " ".join(
            f'<span style="white-space:nowrap"><span style="color:{colour}">■</span> {escape(name)}</span>'
            for name, colour in words.items()
        )
        + "</div>"
        for title, words in lines
    )
