import re
import xml.etree.ElementTree as ET
from html import unescape

import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.statistics.power import power_of_study


@pytest.fixture(scope="module")
def study():
    return power_of_study(n_poor=31, n_good=69, n_tests=8, aucs=(0.6, 0.722), half_widths=(0.05, 0.1))


def words_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)))


def words_in(svg):
    return " | ".join("".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if "text" in node.tag)


def test_the_smallest_effects_stand_by_test_and_power(study):
    table = tables.detectable_table(study)
    words = words_of(table.html)
    assert "One test, α = 0.05 0.61 0.71" in words
    assert "One of 8 tests, α = 0.0063 0.79 0.89" in words
    assert "Above an AUC of 0.70, correlation 0.5 0.151 0.172" in words
    assert table.data["value"].tolist() == [item.value for item in study.detectable]
    assert "it only repeats the P value" in table.summary


def test_what_cannot_be_shown_is_said_to_be_not_estimable():
    words = words_of(tables.detectable_table(power_of_study(n_poor=2, n_good=2)).html)
    assert "not estimable" in words
    assert "Holm" not in tables.detectable_table(power_of_study(n_poor=2, n_good=2)).summary


def test_sample_sizes_stand_by_auc_with_the_published_one_marked(study):
    table = tables.sample_size_table(study, marked={0.722: "published"})
    words = words_of(table.html)
    assert "0.722 (published) ± 0.114 517 (160 + 357) 133 (41 + 92) 59 (18 + 41) 78 (24 + 54)" in words
    assert "Half-width with 31 + 69" in words
    assert table.data["n_poor"].tolist()[:2] == [31, 31]
    assert len(table.data) == 2 + 2 * 2 + 2 * 2


def test_power_curves_carry_their_names_sizes_and_marks(study):
    marks = (figures.Mark("auc", 0.722, "published"), figures.Mark("d", 1.8, "published ADC"))
    figure = figures.power_figure(study, marks=marks)
    words = words_in(figure.svg)
    for word in ("(n = 31 + 69)", "published 0.722", "published ADC 1.8", "8 tests", "1 test", "Power", "0.67"):
        assert word in words
    assert "published (0.722)" in figure.summary
    assert set(figure.data["quantity"]) == {"d", "auc"}
    assert len(figure.data) == sum(curve.effects.size for curve in study.curves)


def test_power_of_tiny_groups_is_drawn_without_dots():
    figure = figures.power_figure(power_of_study(n_poor=2, n_good=2))
    assert "(n = 2 + 2)" in words_in(figure.svg)
