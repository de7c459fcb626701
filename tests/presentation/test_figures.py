import pickle
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from dtimuscle.presentation import figures


@pytest.fixture(scope="module")
def drawn(results, registry, bias, maps, labels):
    slices = np.arange(12.0).reshape(3, 4)
    curves = list(results.roc.curves.values())
    return {
        exhibit.name: exhibit
        for exhibit in (
            figures.before_after_figure(slices, slices + 1),
            figures.tensor_maps_figure(maps, labels),
            figures.displacement_figure(np.array([0.0, 1.0, 2.0]), is_b0=np.array([True, False, False])),
            figures.group_figure(
                results.features,
                results.comparisons,
                registry,
                parameter="md",
                published={("gracilis.md", "poor"): 1.02e-3},
            ),
            figures.correlation_figure(results.features, results.correlations[:3], registry),
            figures.odds_ratio_figure(results.model.univariate, registry),
            figures.roc_figure(curves, registry, published={"fa+md": "0.722 (0.6239–0.821)"}),
            figures.bias_figure(bias, registry),
            *figures.family_figures(results.verdicts, registry),
        )
    }


def _words(svg: str) -> str:
    return " | ".join("".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if "text" in node.tag)


def test_every_figure_says_in_words_what_it_shows(drawn):
    for exhibit in drawn.values():
        assert len(exhibit.alt) > 40, exhibit.name
        assert 'role="img"' in exhibit.svg
        assert ET.fromstring(exhibit.svg).get("aria-label") == exhibit.alt
        assert exhibit.png.startswith(b"\x89PNG")


def test_statistical_figures_state_n(drawn):
    for name in (
        "displacement", "groups_md", "correlation_with_grade", "odds_ratios", "roc", "bias_by_muscle",
        "published_and_found_means", "published_and_found_auc",
    ):  # fmt: skip
        assert "n = " in _words(drawn[name].svg), name


def test_correlation_figure_shows_each_patient_with_value_and_grade(results, drawn):
    data = drawn["correlation_with_grade"].data
    assert len(data) == 39 + 40 + 40  # one FA of the gracilis is missing
    fa = data[data["feature"] == "gracilis.fa"].set_index("participant_id")["value"]
    assert fa.sort_index().equals(results.features.values["gracilis.fa"].dropna().rename("value"))


def test_drawings_are_written_without_waste(drawn):
    svg = drawn["correlation_with_grade"].svg
    assert not re.search(r'[" ]-?\d+\.\d{3,}[" ]', svg.partition(">")[2])
    assert svg.count("font-family") == 1
    points = sum(len(list(node)) for node in ET.fromstring(svg).iter() if "fill-opacity" in node.get("style", ""))
    assert points >= 39 + 40 + 40


def test_what_surrounds_the_body_is_cut_off():
    body = np.zeros((40, 40))
    body[10:30, 5:35] = 100.0
    exhibit = figures.before_after_figure(body, body * 0.9)
    assert "in the same grey scale" in exhibit.summary
    wide = figures.before_after_figure(np.pad(body, 50), np.pad(body * 0.9, 50))
    assert wide.svg.count("<image") == 3 + 1  # three pictures and a colour bar
    sizes = [node.get("viewBox") for node in map(ET.fromstring, (exhibit.svg, wide.svg))]
    assert sizes[0] == sizes[1]


def test_maps_take_a_title(maps):
    assert figures.tensor_maps_figure(maps, title="Muscles without their rim").title == "Muscles without their rim"


def test_axes_carry_units(drawn):
    assert "ADC (MD), 10⁻³ mm²/s" in _words(drawn["groups_md"].svg)
    assert "Displacement, mm" in _words(drawn["displacement"].svg)


def test_svg_is_the_same_on_every_call(results, registry, drawn):
    again = figures.roc_figure(list(results.roc.curves.values()), registry, published={"fa+md": "0.722 (0.6239–0.821)"})
    assert again.svg == drawn["roc"].svg
    assert again.png == drawn["roc"].png


def test_figures_for_slides_can_be_drawn_in_another_process(drawn):
    for exhibit in drawn.values():
        assert pickle.loads(pickle.dumps(exhibit.slide)).to_png() == exhibit.png


def test_figures_on_one_page_share_no_id(drawn):
    ids = [node.get("id") for e in drawn.values() for node in ET.fromstring(e.svg).iter() if node.get("id")]
    assert len(ids) == len(set(ids))


def test_figures_load_nothing(drawn):
    for exhibit in drawn.values():
        outside = exhibit.svg.replace("http://www.w3.org/", "")
        assert "http" not in outside, exhibit.name


def test_group_figure_shows_every_patient_who_has_a_value(results, drawn):
    data = drawn["groups_md"].data
    assert len(data) == 80
    assert (
        data.set_index(["participant_id", "feature"]).loc[("007", "gracilis.md"), "value"]
        == (results.features.values.loc["007", "gracilis.md"])
    )


def test_roc_figure_labels_areas_and_the_published_one(results, drawn):
    words = _words(drawn["roc"].svg)
    assert f"{results.roc.curves['fa+md'].auc.value:.3f} (" in words
    assert "0.722 (0.6239–0.821)" in words
    assert "chance" in words


def test_features_without_an_odds_ratio_are_left_out_and_counted(results, registry):
    fit = results.model.univariate[0]
    lost = replace(fit, coefficients=(replace(fit.coefficients[0], odds_ratio=np.nan),))
    exhibit = figures.odds_ratio_figure([lost, results.model.univariate[1]], registry)
    assert "1 without a finite estimate" in exhibit.summary
    assert len(exhibit.data) == 1


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_axial_slices_look_alike_however_the_image_is_stored(flips, order):
    world = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)  # right, front and up grow with the index
    stored = np.transpose(world[tuple(slice(None, None, flip) for flip in flips)], order)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(flips)[:, order]
    picture = figures.axial_slice(stored, affine, position=1.0)
    assert picture.shape == (3, 2)
    assert picture[0, 0] == world[1, 2, 3]  # front and the patient's right: top left
    assert picture[-1, -1] == world[0, 0, 3]
