import json

import pandas as pd

from dtimuscle.presentation.exhibit import Beside, Exhibit, ExhibitCard


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


def test_a_card_survives_json():
    card = _exhibit().card(notebook="04_modelling", page="exhibits/roc.html", csv="tables/roc.csv", svg="figures/r.svg")
    assert ExhibitCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert card.beside[0].found == "0.811"
