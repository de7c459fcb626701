import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.tables.cells import NO_ESTIMATE
from dtimuscle.statistics.combination import combination_curves
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.roc import compare_independent_aucs, feature_curves, roc_curve

N_BOOTSTRAP = 200


@pytest.fixture(scope="module")
def registry():
    return MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2),))


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(8)
    poor = pd.Series(np.arange(60) < 20, dtype="boolean")
    drop = poor.to_numpy(dtype=float)
    values = pd.DataFrame(
        {
            "gracilis.fa": 0.25 + 0.02 * drop + 0.04 * rng.normal(size=60),
            "gracilis.md": 1e-3 * (1.6 - 0.3 * drop + 0.3 * rng.normal(size=60)),
        }
    )
    values.iloc[3, 0] = np.nan
    return FeatureFrame(values, pd.Series(np.where(poor, 2, 5), dtype="Int64"), poor, values[[]])


@pytest.fixture(scope="module")
def combination(features):
    return combination_curves(features, muscles=("gracilis",), n_bootstrap=N_BOOTSTRAP, seed=7)


@pytest.fixture(scope="module")
def models(combination):
    return list(combination.curves.values())


@pytest.fixture(scope="module")
def singles(features):
    return feature_curves(features, muscles=("gracilis",), n_bootstrap=N_BOOTSTRAP, seed=7)


@pytest.fixture(scope="module")
def perfect():
    poor = pd.Series([True] * 4 + [False] * 5, dtype="boolean")
    score = pd.Series(np.arange(9.0, 0, -1))
    return roc_curve(score, poor, name="gracilis.fa", higher_is_poor=True, n_bootstrap=20)


@pytest.fixture(scope="module")
def of_models(models, registry):
    return figures.roc_figure(models, registry)


@pytest.fixture(scope="module")
def of_singles(singles, registry):
    return figures.feature_roc_figure(singles, registry, published={"gracilis.md": "0.7 (0.6–0.8)"})


def words_of(html):
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


def drawn_words(svg):
    return " | ".join("".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if "text" in node.tag)


def test_areas_stand_with_three_intervals_and_the_published_one(models, registry):
    exhibit = tables.auc_table(models, registry, published={"fa+md": "0.722 (0.6239–0.821)"})
    words = words_of(exhibit.html)
    assert "95% CI DeLong Logit DeLong Bootstrap" in words
    assert "0.722 (0.6239–0.821)" in words
    last = models[-1]
    for bounds in (last.auc.interval, last.auc_logit.interval, last.bootstrap.auc.interval):
        assert f"{bounds.low:.3f} to {bounds.high:.3f}" in words
    assert exhibit.beside[0].found.startswith(f"{last.auc.value:.3f} (")
    row = exhibit.data.set_index("name").loc["fa+md"]
    assert row["logit_low"] == last.auc_logit.interval.low
    assert row["bootstrap_high"] == last.bootstrap.auc.interval.high


def test_the_summary_says_how_often_and_from_what_seed_was_resampled(models, combination, of_models, registry):
    made = (
        tables.auc_table(models, registry),
        tables.auc_comparison_table(combination.comparisons, registry),
        tables.partial_auc_table(models, registry),
        of_models,
    )
    for exhibit in made:
        assert "200 bootstrap samples" in exhibit.summary, exhibit.name
        assert "seed 7" in exhibit.summary, exhibit.name


def test_without_resamples_nothing_speaks_of_them(models, combination, registry):
    plain = [replace(curve, bootstrap=None) for curve in models]
    comparisons = [replace(item, bootstrap=None) for item in combination.comparisons]
    for exhibit in (
        tables.auc_table(plain, registry),
        tables.auc_comparison_table(comparisons, registry),
        tables.partial_auc_table(plain, registry),
        figures.roc_figure(plain, registry),
        figures.feature_roc_figure(plain, registry),
    ):
        assert "ootstrap" not in exhibit.summary + words_of(exhibit.html), exhibit.name
        assert "band" not in exhibit.summary


def test_an_auc_below_a_half_is_shown_and_explained(singles, of_singles, registry):
    below = singles[0]
    assert below.auc.value < 0.5
    for exhibit in (
        tables.auc_table(singles, registry),
        of_singles,
        figures.roc_figure(singles, registry),
    ):
        assert "The AUC of Gracilis, FA lies below 0.5" in exhibit.summary
        assert "not turned round" in exhibit.summary
    assert f"{below.auc.value:.3f}" in words_of(tables.auc_table(singles, registry).html)
    assert "below 0.5" not in tables.auc_table(singles[1:], registry).summary


def test_models_are_called_apparent_and_single_values_are_not(models, singles, of_models, registry):
    assert "flatters" in of_models.summary
    for make in (tables.auc_table, tables.cut_off_table, tables.partial_auc_table):
        assert "flatters" in make(models, registry).summary, make
        assert "flatters" not in make(singles, registry).summary, make


def test_comparisons_show_both_tests(combination, registry):
    exhibit = tables.auc_comparison_table(
        combination.comparisons, registry, published={"fa+md - fa": "P < 0.05"}, name="x"
    )
    words = words_of(exhibit.html)
    assert "FA + ADC − FA" in words
    assert exhibit.beside[0].published == "P < 0.05"
    row = exhibit.data.iloc[0]
    test = combination.comparisons[0]
    assert (row["z"], row["p"], row["bootstrap_p"]) == (test.z, test.p, test.bootstrap.p)
    assert "not corrected for the 3 comparisons" in exhibit.summary


def test_two_samples_show_their_degrees_of_freedom(features, registry):
    value, poor = features.values["gracilis.md"], features.poor
    item = compare_independent_aucs(value, poor, value.tail(50), poor.tail(50), names=("gracilis.md", "gracilis.md"))
    exhibit = tables.auc_comparison_table([item], registry)
    assert f"({item.df:.1f})" in words_of(exhibit.html)
    assert "separate patients" in exhibit.summary


def test_every_rule_has_a_row_with_all_that_describes_a_test(singles, registry):
    exhibit = tables.cut_off_table(singles, registry)
    assert exhibit.data["rule"].tolist() == [cut.rule for curve in singles for cut in curve.cut_offs]
    words = words_of(exhibit.html)
    assert "Sensitivity at least 90%" in words
    assert "Gracilis, ADC (MD), 10⁻³ mm²/s" in words
    cut = singles[1].cut_off
    assert f"≤ {cut.threshold * 1e3:.2f}" in words
    assert f"{cut.lr_positive:.2f} ({cut.lr_positive_interval.low:.2f} to" in words
    counts = f"{cut.true_positives} / {cut.false_negatives} / {cut.false_positives} / {cut.true_negatives}"
    assert counts in words
    row = exhibit.data.iloc[4]
    assert (row["threshold"], row["npv_low"]) == (cut.threshold, cut.npv_interval.low)


def test_what_cannot_be_estimated_is_no_number(perfect, registry):
    auc = words_of(tables.auc_table([perfect], registry).html)
    assert auc.count(NO_ESTIMATE) == 2
    assert "0.398 to 1.000 (pairs)" in auc
    assert "exact" in tables.auc_table([perfect], registry).summary
    cuts = tables.cut_off_table([perfect], registry)
    assert NO_ESTIMATE in words_of(cuts.html)
    assert "divide by nobody" in cuts.summary
    assert NO_ESTIMATE in words_of(tables.partial_auc_table([perfect], registry).html)
    for text in (auc, words_of(cuts.html)):
        assert "∞" not in text
        assert "nan" not in text


def test_partial_areas_have_their_interval_and_the_smooth_curve_its_line(models, registry):
    exhibit = tables.partial_auc_table(models, registry)
    assert "specificity of 80% and more" in exhibit.summary
    row = exhibit.data.set_index("name").loc["md"]
    curve = models[1]
    assert (row["partial_auc"], row["partial_auc_low"]) == (curve.partial.value, curve.bootstrap.partial.low)
    assert (row["binormal_a"], row["binormal_auc"]) == (curve.binormal.a, curve.binormal.auc)


def test_the_main_curve_alone_has_a_band_and_a_smooth_line(models, of_models, registry):
    parts = of_models.data.groupby("name")["part"].unique()
    assert parts["fa+md"].tolist() == ["curve", "binormal", "band"]
    assert parts["fa"].tolist() == ["curve"]
    chosen = figures.roc_figure(models, registry, main="fa")
    assert "band of FA holds" in chosen.summary
    assert chosen.data.groupby("name")["part"].nunique()["fa"] == 3


def test_single_values_have_a_panel_each_with_n_and_interval(singles, of_singles):
    words = drawn_words(of_singles.svg)
    for curve in singles:
        assert f"AUC {curve.auc.value:.3f}" in words
        assert f"n = {curve.auc.n_events} poor, {curve.auc.n_controls} good" in words
    assert "published 0.7 (0.6–0.8)" in words
    assert of_singles.beside[0].published == "0.7 (0.6–0.8)"
    assert set(of_singles.data["part"]) == {"curve", "binormal", "band"}


@pytest.mark.parametrize("make", [figures.roc_figure, figures.feature_roc_figure])
def test_a_perfect_curve_is_drawn_without_band_and_smooth_line(make, perfect, registry):
    exhibit = make([perfect], registry)
    assert "band" not in exhibit.summary
    assert "smooth" not in exhibit.summary
    assert exhibit.data["part"].unique().tolist() == ["curve"]


def test_an_odd_number_of_panels_leaves_none_empty(singles, registry):
    exhibit = figures.feature_roc_figure([*singles, singles[0]], registry)
    assert drawn_words(exhibit.svg).count("AUC") == 3


def test_empty_results_make_empty_tables(registry):
    for make in (tables.auc_table, tables.auc_comparison_table, tables.cut_off_table, tables.partial_auc_table):
        assert make((), registry).data.empty
