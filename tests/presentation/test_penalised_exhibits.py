import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.statistics.penalised import fit_penalised


def _text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


@pytest.fixture(scope="module")
def fit(results):
    values = results.features.values.assign(flat=1.0)
    return fit_penalised(values, results.features.poor, seed=4, l1_ratios=(0.5, 1), repeats=2, n_penalties=8)


@pytest.fixture(scope="module")
def no_fit(results):
    return fit_penalised(results.features.values.iloc[:17], results.features.poor.iloc[:17], seed=4)


def test_penalised_table_prints_rounded_and_keeps_unrounded(fit, registry):
    exhibit = tables.penalised_table(fit, registry)
    md = next(term for term in fit.terms if term.name == "gracilis.md")
    text = _text(exhibit.html)
    assert f"{md.odds_ratio_per_sd:.2f}" in text
    assert f"{100 * md.selected:.0f}" in text
    assert "not estimable" in text  # the constant feature
    row = exhibit.data.set_index("feature").loc["gracilis.md"]
    assert (row["estimate"], row["selected"]) == (md.estimate, md.selected)


def test_penalised_table_says_what_was_done_and_why_there_is_no_p_value(fit, registry):
    words = tables.penalised_table(fit, registry).summary
    assert f"{fit.performance.auc:.3f} (apparent {fit.apparent_auc:.3f})" in words
    assert "5 folds, 2 repeats" in words
    assert "seed 4" in words
    assert "no P values or intervals" in words
    assert "The kind of pull (lasso or half of each) and its strength were chosen" in words
    assert "which often happens when others carry the same" in words


def test_a_small_gain_is_not_called_better(fit, registry):
    better, worse = (
        tables.penalised_table(
            replace(fit, performance=replace(fit.performance, log_loss=fit.performance.null_log_loss + shift)), registry
        ).summary
        for shift in (-0.01, 0.01)
    )
    assert "the share of events (no interval: a small gain may be chance)." in better
    assert "the share of events: no better than that." in worse


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((0, 0.5, 1), "The kind of pull (ridge, lasso, or half of each) and its strength were chosen"),
        ((0.2, 1), "The kind of pull (lasso or 20% lasso) and its strength were chosen"),
        ((0,), "The strength of the pull was chosen"),
    ],
)
def test_the_kinds_of_pull_that_were_offered_are_named(fit, registry, ratios, words):
    assert words in tables.penalised_table(replace(fit, l1_ratios=ratios), registry).summary


def test_odds_ratios_of_any_size_stay_readable(fit, registry):
    wide = replace(fit.terms[0], odds_ratio=24479.41, odds_ratio_per_sd=0.0001)
    text = _text(tables.penalised_table(replace(fit, terms=(wide,)), registry).html)
    assert "&lt; 0.001 &gt; 1000" in text


def test_features_that_the_penalty_left_out_are_named_so(results, registry):
    rng = np.random.default_rng(1)
    noise = pd.DataFrame(rng.normal(size=(40, 4)), results.features.values.index, columns=list("abcd"))
    fit = fit_penalised(noise, results.features.poor, seed=4, l1_ratios=(1,), repeats=1, n_penalties=4)
    assert fit.n_zero
    assert _text(tables.penalised_table(fit, registry).html).count("left out") == 2 * fit.n_zero
    assert f"{fit.n_zero} left out" in tables.penalised_table(fit, registry).summary


def test_the_published_text_stands_beside(fit, registry):
    exhibit = tables.penalised_table(fit, registry, published={"gracilis.md": "lower"})
    assert "Published" in exhibit.html
    assert [(pair.label, pair.published) for pair in exhibit.beside] == [("Gracilis, ADC (MD)", "lower")]
    assert "Published" not in tables.penalised_table(fit, registry).html


def test_penalised_figures_show_every_feature_and_every_penalty(fit, registry):
    odds = figures.penalised_figure(fit, registry)
    assert len(odds.data) == 4  # without the constant one
    assert "n = 39 (15 events)" in odds.svg
    curve = figures.penalty_figure(fit)
    assert len(curve.data) == len(fit.path) == 16
    assert "lasso" in curve.svg
    assert "Log loss" in curve.svg


def test_without_a_model_the_exhibits_say_so(no_fit, registry):
    assert "1 complete participant(s)" in tables.penalised_table(no_fit, registry).summary
    assert "not estimable" in tables.penalised_table(no_fit, registry).html
    assert "No penalised model" in figures.penalised_figure(no_fit, registry).summary
    assert "No penalised model" in figures.penalty_figure(no_fit).summary
