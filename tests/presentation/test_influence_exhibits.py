"""Tables and figure of what hangs on single patients."""

import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.statistics.influence import Influence, leave_one_out


@pytest.fixture(scope="module")
def influence(results) -> Influence:
    models = {"fa+md": ["gracilis.fa", "gracilis.md"], "prespecified": ["gracilis.md", "age", "sex"]}
    return leave_one_out(results.features, models=models)


def test_patients_are_listed_once_the_most_influential_first(influence, registry):
    exhibit = tables.influence_table(influence, registry, n_patients=5)
    expected = influence.by_patient()["participant_id"].head(5).tolist()
    places = [exhibit.html.index(f">{who}</td>") for who in expected]
    assert places == sorted(places)
    assert f"Each of {40} patients was left out" in exhibit.summary
    assert len(exhibit.data) == len(influence.effects)


def test_participants_are_links_only_where_a_page_is_given(influence, registry):
    first = influence.by_patient().loc[0, "participant_id"]
    links = {first: f"participants/{first}.html"}
    for make in (tables.influence_table, tables.conclusions_table):
        assert "<a href" not in make(influence, registry).html
        html = make(influence, registry, links=links).html
        assert f'<a href="participants/{first}.html">{first}</a>' in html
        assert html.count("<a href") == html.count(f'<a href="participants/{first}.html">')


def test_names_that_look_like_markup_are_escaped(influence, registry):
    effects = influence.effects.assign(participant_id="<b>x</b>")
    html = tables.influence_table(Influence(effects, influence.quantities, 0.95), registry).html
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html


def test_every_quantity_has_a_verdict(influence, registry):
    exhibit = tables.conclusions_table(influence, registry)
    fallen = sum(q.hangs_on_one and q.is_shown for q in influence.quantities)
    appeared = sum(q.hangs_on_one and not q.is_shown for q in influence.quantities)
    assert exhibit.html.count("yes: it would fall") == fallen
    assert exhibit.html.count("yes: it would appear") == appeared
    assert fallen + appeared > 0
    assert "Odds ratio, model: Chosen beforehand" in exhibit.html
    assert "Sex: M against F" in exhibit.html
    assert "per 0.1 × 10⁻³ mm²/s of ADC, those of covariates per unit" in exhibit.summary


def test_the_data_are_not_rounded(influence, registry):
    data = tables.conclusions_table(influence, registry).data
    assert data["value"].tolist() == [q.value for q in influence.quantities]
    assert data["turned_by"].tolist() == [", ".join(q.turned_by) for q in influence.quantities]


def test_the_figure_has_a_point_for_each_patient_and_names_the_farthest(influence, registry):
    chosen = influence.about(["gracilis.fa", "gracilis.md", "fa+md"])
    exhibit = figures.influence_figure(chosen, registry)
    assert len(exhibit.data) == len(chosen.effects)
    for quantity in chosen.quantities:
        assert quantity.most_influential in exhibit.svg
    assert "AUC of models, apparent" in exhibit.svg
    assert "Odds ratio, Gracilis, FA (model: FA + ADC)" in exhibit.alt


def test_nothing_to_show_is_still_drawn(results, registry):
    nothing = leave_one_out(results.features, names=[])
    assert figures.influence_figure(nothing, registry).data.empty
    assert tables.conclusions_table(nothing, registry).data.empty
    assert "none of them" in tables.influence_table(nothing, registry).summary
