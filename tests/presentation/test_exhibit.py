import io
import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import imread

from dtimuscle.presentation.exhibit import Beside, Exhibit, ExhibitCard
from dtimuscle.presentation.style import Slide, drawing, to_svg


def _exhibit(**changes) -> Exhibit:
    words = {"name": "roc", "kind": "figure", "title": "A & B", "summary": "Read <this>.", "svg": "<svg></svg>"}
    return Exhibit(data=pd.DataFrame({"x": [1]}), beside=(Beside("AUC", "0.722", "0.811"),), **words | changes)


def test_an_exhibit_shows_itself_in_a_notebook_with_title_and_summary():
    html = _exhibit()._repr_html_()
    assert "<svg></svg>" in html
    assert "A &amp; B" in html
    assert "Read &lt;this&gt;." in html


def test_a_table_shows_its_markup():
    assert "<table>here</table>" in _exhibit(kind="table", html="<table>here</table>")._repr_html_()


def test_a_stamped_figure_says_so_in_every_form():
    with drawing():
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1])
    exhibit = _exhibit(svg=to_svg(figure, name="x", alt="A line."), slide=Slide(figure), alt="A line.")
    stamped = exhibit.stamped("Simulated data & no patients")
    words = ["".join(node.itertext()) for node in ET.fromstring(stamped.svg).iter() if node.tag.endswith("}text")]
    assert words[-1] == "Simulated data & no patients"
    assert stamped.alt == "A line. Simulated data & no patients."
    assert ET.fromstring(stamped.svg).get("aria-label") == stamped.alt
    before, after = (imread(io.BytesIO(png), format="png") for png in (exhibit.png, stamped.png))
    assert after.shape[0] > before.shape[0]
    assert after.shape[1] == before.shape[1]
    assert np.allclose(after[: len(before), :, :3], before[..., :3])
    assert after[len(before) :].min() < 0.6  # there is ink on the added strip
    assert exhibit.stamped("Simulated data & no patients").png == stamped.png


def test_the_stamp_lies_within_the_figure():
    with drawing():
        figure = Figure(figsize=(2, 1))
    exhibit = _exhibit(svg=to_svg(figure, name="x", alt=""), slide=Slide(figure))
    root = ET.fromstring(exhibit.stamped("Simulated").svg)
    height = float(root.get("viewBox").split()[3])
    line = [node for node in root.iter() if node.tag.endswith("}text")][-1]
    assert 72 < float(line.get("y")) < height
    assert root.get("height") == f"{height:g}pt"


def test_a_stamped_table_stays_as_it_is():
    table = _exhibit(kind="table", html="<table></table>")
    assert table.stamped("Simulated") is table


def test_a_card_survives_json():
    card = _exhibit().card(notebook="04_modelling", page="exhibits/roc.html", csv="tables/roc.csv", svg="figures/r.svg")
    assert ExhibitCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert card.beside[0].found == "0.811"
