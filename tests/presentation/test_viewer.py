"""The viewer shows the values of the maps, at their places, and asks for nothing that is not there."""

import builtins
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from dtimuscle.dwi import TensorMaps
from dtimuscle.errors import NotebookError
from dtimuscle.muscles import Muscle, MuscleLabels, MuscleRegistry, Side
from dtimuscle.presentation import viewer
from dtimuscle.presentation.viewer import Viewer, values_at, viewer_layers

# Stored from the patient's left to right, as scanners often do.
AFFINE = np.array([[-2.0, 0, 0, 20], [0, 3, 0, -5], [0, 0, 8, 4], [0, 0, 0, 1]])
SHAPE = (6, 5, 4)
REGISTRY = MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2), Muscle("adductor_longus", "Adductor longus", 3, 4)))


@pytest.fixture
def maps() -> TensorMaps:
    fa, md, s0 = np.full(SHAPE, 0.3), np.full(SHAPE, 1.5e-3), np.full(SHAPE, 100.0)
    direction = np.zeros((*SHAPE, 3))
    direction[..., 2] = -1.0
    direction[0, 0, 1] = (0.0, 1.0, 0.0)
    for values in (fa, md, s0, direction):
        values[0, 0, 0] = np.nan
    inside = np.isfinite(fa)
    return TensorMaps(fa, md, md, md, direction, s0, inside, inside, AFFINE, "wls")


@pytest.fixture
def labels() -> MuscleLabels:
    values = np.zeros(SHAPE, dtype=np.int32)
    values[1, 1, 1], values[4, 1, 1], values[4, 3, 2], values[5, 4, 3] = 17151, 17152, 7211, 9
    meaning = {
        7211: ("adductor_longus", Side.LEFT),
        17152: ("gracilis", Side.RIGHT),
        17151: ("gracilis", Side.LEFT),
        8: ("adductor_longus", Side.RIGHT),
    }
    return MuscleLabels(values, AFFINE, meaning)


@pytest.fixture
def layers(maps, labels):
    return viewer_layers(maps, labels, REGISTRY)


def test_layers_lie_from_the_signal_behind_to_the_muscles_in_front(layers):
    assert [layer.title for layer in layers] == ["Signal at b = 0", "FA", "ADC (MD)", "Fibre direction", "Muscles"]
    assert [(layer.colours, layer.low, layer.high) for layer in layers[:3]] == [
        ("gray", 0.0, 100.0),
        ("viridis", 0.0, 0.5),
        ("magma", 0.5, 2.5),
    ]
    assert layers[0].opacity == 1.0


def test_values_are_in_the_printed_unit_and_nothing_is_not_a_number(layers):
    _, fa, md, *_ = layers
    assert fa.values[2, 2, 2] == pytest.approx(0.3)
    assert md.values[2, 2, 2] == pytest.approx(1.5)
    assert md.unit == "10⁻³ mm²/s"
    assert [float(layer.values[0, 0, 0].sum()) for layer in layers] == [0.0] * 5


def test_fibres_along_the_leg_are_blue_and_to_the_front_green_whatever_their_sign(layers):
    colours = layers[3].values
    assert colours.dtype == np.uint8
    assert colours[2, 2, 2].tolist() == [0, 0, 191, 255]  # FA 0.3 of the 0.4 that has full colour
    assert colours[0, 0, 1].tolist() == [0, 191, 0, 255]


def test_muscles_are_numbered_anew_with_names_and_one_colour_for_both_sides(layers):
    muscles = layers[4]
    names, colours = zip(*muscles.muscles, strict=True)
    assert names == ("Gracilis, left", "Gracilis, right", "Adductor longus, left")
    assert colours[0] == colours[1] != colours[2]
    assert [int(muscles.values[place]) for place in ((1, 1, 1), (4, 1, 1), (4, 3, 2), (5, 4, 3))] == [1, 2, 3, 0]
    table = muscles.colour_table()
    assert table["labels"] == ["", *names]
    assert table["I"] == [0, 1, 2, 3]
    assert table["A"] == [0, 255, 255, 255]
    assert "#" + "".join(f"{table[channel][3]:02x}" for channel in "RGB") == colours[2]


def test_images_in_memory_keep_their_place_and_values(layers):
    for layer in layers:
        image = nib.Nifti1Image.from_bytes(layer.to_nifti())
        np.testing.assert_allclose(image.affine, AFFINE)
        assert image.shape == SHAPE
    direction, muscles = (nib.Nifti1Image.from_bytes(layer.to_nifti()) for layer in layers[3:])
    assert [int(direction.dataobj[2, 2, 2][channel]) for channel in "RGBA"] == [0, 0, 191, 255]
    np.testing.assert_array_equal(np.asarray(muscles.dataobj), layers[4].values)
    assert muscles.header.get_intent()[0] == "label"


def test_values_are_read_at_world_coordinates(layers):
    left = (AFFINE @ [1, 1, 1, 1])[:3]
    assert left[0] == 18.0
    assert values_at(layers, left) == ("Signal at b = 0 100", "FA 0.30", "ADC (MD) 1.50 10⁻³ mm²/s", "Gracilis, left")
    assert values_at(layers, np.add(left, [0.9, 1.4, 3.9]))[-1] == "Gracilis, left"
    assert values_at(layers, np.add(left, [-4.0, 0, 0]))[-1] == "ADC (MD) 1.50 10⁻³ mm²/s"
    assert values_at(layers, (500.0, 0.0, 0.0)) == ()


def test_without_labels_or_with_empty_ones_there_are_no_muscles(maps, labels):
    empty = replace(labels, values=np.zeros(SHAPE, dtype=np.int32))
    for absent in (None, empty):
        assert [layer.title for layer in viewer_layers(maps, absent, REGISTRY)][-1] == "Fibre direction"


def test_a_scan_without_any_fit_has_layers_all_the_same(maps):
    nothing = np.full(SHAPE, np.nan)
    layers = viewer_layers(replace(maps, fa=nothing, md=nothing, s0=nothing), None, REGISTRY)
    assert all(np.isfinite(layer.values).all() for layer in layers)
    assert layers[0].high > layers[0].low


@pytest.fixture
def shown(maps, labels) -> Viewer:
    return Viewer(maps, labels, REGISTRY)


def test_without_the_extra_a_sentence_says_how_to_get_it(shown, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *arguments, **more):
        if name.partition(".")[0] == "ipyniivue":
            raise ModuleNotFoundError(name)
        return imported(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(viewer, "find_spec", lambda name: None)
    monkeypatch.setenv(viewer.IN_JUPYTER, "participant.ipynb")
    assert shown._repr_mimebundle_() == {"text/plain": viewer.NEEDS_EXTRA}
    assert 'pip install -e ".[interactive]"' in repr(shown)
    with pytest.raises(NotebookError, match="needs the package ipyniivue"):
        shown.widget()


def test_where_nobody_looks_nothing_is_built(shown, monkeypatch):
    monkeypatch.setattr(viewer, "find_spec", lambda name: object())
    monkeypatch.setattr(Viewer, "widget", lambda self: pytest.fail("built"))
    monkeypatch.delenv(viewer.IN_JUPYTER, raising=False)
    assert shown._repr_mimebundle_() == {"text/plain": viewer.NOBODY_LOOKS}


@pytest.fixture
def parts(shown):
    pytest.importorskip("ipyniivue")
    box = shown.widget()
    (scene,) = (child for child in box.children if hasattr(child, "volumes"))
    choice, row, _, place, key = box.children
    return scene, choice, row.children, place, key


def test_jupyterlab_gets_the_widget_and_the_saved_notebook_a_sentence(shown, monkeypatch):
    pytest.importorskip("ipyniivue")
    monkeypatch.setenv(viewer.IN_JUPYTER, "participant.ipynb")
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == viewer.NOBODY_LOOKS
    assert len(json.dumps(bundle)) < 1000


def test_the_widget_shows_one_map_over_the_signal_with_the_muscles_outlined(parts):
    scene, choice, (opacity, outlines), _, key = parts
    assert scene.opts.is_radiological_convention
    assert scene.opts.atlas_outline > 0
    signal, fa, md, direction, muscles = scene.volumes
    assert (fa.colormap, fa.cal_min, fa.cal_max) == ("viridis", 0.0, 0.5)
    assert muscles.colormap_label.labels[1] == "Gracilis, left"
    assert [fa.opacity, md.opacity, direction.opacity] == [pytest.approx(0.85), 0, 0]
    assert 0 < muscles.opacity < 0.2
    assert choice.label == "FA"
    choice.value, opacity.value = 2, 0.5
    assert choice.label == "ADC (MD), 10⁻³ mm²/s"
    assert [volume.opacity for volume in (signal, fa, md, direction)] == [1, 0, 0.5, 0]
    assert [volume.colorbar_visible for volume in scene.volumes] == [False, False, True, False, False]
    choice.value, outlines.value = 0, False
    assert [volume.opacity for volume in scene.volumes] == [1, 0, 0, 0, 0]
    assert key.value.count("Gracilis") == 1


def test_the_widget_reads_the_values_where_one_clicks(parts):
    scene, *_, place, _ = parts
    scene._handle_custom_msg({"event": "location_change", "data": {"mm": [*(AFFINE @ [4, 3, 2, 1])[:3], 1]}}, [])
    assert place.value.endswith("Adductor longus, left")
    assert "FA 0.30" in place.value


def test_the_widget_loads_nothing_from_a_network(parts):
    scene, *_ = parts
    assert all(volume.url is None and volume.data for volume in scene.volumes)
