"""The table of what is left of each finding."""

import math

import pytest

from dtimuscle.presentation import tables
from dtimuscle.statistics.robustness import Robustness

NAN = math.nan


@pytest.fixture
def rows() -> tuple[Robustness, ...]:
    return (
        Robustness("gracilis.fa", -0.02, 0.001, 0.002, 0.002, 0.01, NAN, NAN, 0.9, ()),
        Robustness("gracilis.md", -1e-4, 0.03, 0.03, 0.03, 0.04, 0.2, 0.3, 0.4, ("joint", "penalised")),
        Robustness("adductor_longus.fa", 0.01, 0.5, 1.0, 0.6, 0.5, NAN, NAN, 0.0, ("penalised",)),
    )


def test_what_holds_is_marked_and_what_turns_round_too(rows, registry):
    html = tables.robustness_table(rows, registry).html
    assert html.count("✓ in all") == 1
    assert html.count("not in all") == 1
    assert "0.200 ⇄" in html
    assert "40% ⇄" in html


def test_the_summary_counts_what_falls(rows, registry):
    summary = tables.robustness_table(rows, registry).summary
    assert "Of 3 values tested, 2 differ between the groups with P < 0.05; 0.2 would by chance" in summary
    assert "Of the 1 in the model that was chosen beforehand 0 have P < 0.05" in summary
    assert "(2 values)" in summary


def test_analyses_that_nobody_made_have_no_column(rows, registry):
    alone = [Robustness("gracilis.fa", -0.02, 0.001, 0.002, 0.002, NAN, NAN, NAN, NAN, ())]
    assert "Firth" not in tables.robustness_table(alone, registry).html
    assert "Firth" in tables.robustness_table(rows, registry).html


def test_published_words_stand_beside(rows, registry):
    exhibit = tables.robustness_table(rows, registry, published={"gracilis.fa": "lower, P < 0.05"})
    assert [(pair.published, pair.found) for pair in exhibit.beside] == [("lower, P < 0.05", "✓ in all")]
    assert exhibit.data.loc[0, "published"] == "lower, P < 0.05"


def test_the_data_are_not_rounded(rows, registry):
    data = tables.robustness_table(rows, registry).data
    assert data.loc[1, "difference"] == -1e-4
    assert data.loc[1, "turned"] == "joint, penalised"
    assert data["holds"].tolist() == [True, False, False]
