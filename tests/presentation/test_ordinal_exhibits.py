import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.statistics.ordinal import fit_each_ordinal, fit_ordinal


def _text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


@pytest.fixture(scope="module")
def fit(results):
    return fit_ordinal(results.features.values[["gracilis.fa", "gracilis.md"]], results.features.grade)


@pytest.fixture(scope="module")
def separated():
    grade = pd.Series(np.repeat([0, 1, 2], 8))
    return fit_ordinal(pd.DataFrame({"gracilis.md": np.arange(24.0)}), grade)


def test_ordinal_table_prints_rounded_and_keeps_unrounded(fit, registry):
    exhibit = tables.ordinal_table([fit], registry)
    md = fit.terms[1]
    text = _text(exhibit.html)
    assert f"{md.odds_ratio:.2f}" in text
    assert f"{md.profile.low:.2f} to {md.profile.high:.2f}" in text
    assert "odds ratio per 0.1 × 10⁻³ mm²/s" in text
    assert "95% CI" in text
    assert exhibit.data.set_index("feature").loc["gracilis.md", "odds_ratio"] == md.odds_ratio


def test_ordinal_table_says_which_way_it_points(fit, registry):
    words = tables.ordinal_table([fit], registry).summary
    assert "above 1, higher values go with stronger muscles" in words
    assert "n = 39" in words
    assert "0 (n = " in words


def test_ordinal_table_of_each_feature_alone(results, registry):
    fits = fit_each_ordinal(results.features.values, results.features.grade)
    exhibit = tables.ordinal_table(fits, registry, published={"gracilis.md": "r = 0.4"})
    assert list(exhibit.data["n"]) == [39, 40, 40, 40]
    assert "One model for each feature" in exhibit.summary
    assert [pair.published for pair in exhibit.beside] == ["r = 0.4"]


def test_proportional_odds_table_sets_every_cut_beside_the_common_odds_ratio(fit, registry):
    exhibit = tables.proportional_odds_table(fit, registry)
    text = _text(exhibit.html)
    for cut in fit.cuts:
        assert f"≥ {cut.at_least} ({cut.n_above} / {cut.n_below})" in text
        assert f"{cut.terms[0].odds_ratio:.2f}" in text
    assert len(exhibit.data) == 2 * (1 + len(fit.cuts))
    assert f"χ² = {fit.score.omnibus.statistic:.1f}" in exhibit.summary
    assert "Fewer than 10 patients" in exhibit.summary
    assert "look at the score test first. A large P is no proof" in exhibit.summary


def test_odds_ratios_of_any_size_stay_readable(fit, registry):
    wide = replace(fit.terms[0], odds_ratio=24479.41, profile=replace(fit.terms[0].profile, low=0.0001, high=1e10))
    table = tables.ordinal_table([replace(fit, terms=(wide, *fit.terms[1:]))], registry)
    assert "> 1000 < 0.001 to > 1000" in unescape(_text(table.html))
    per_sd = replace(wide, odds_ratio_per_sd=24479.41, profile_per_sd=wide.profile)
    figure = figures.ordinal_figure(replace(fit, terms=(per_sd, *fit.terms[1:])), registry)
    assert "> 1000 (< 0.001 to > 1000)" in unescape(figure.svg)
    assert "Gracilis, FA > 1000" in figure.alt


def test_ordinal_figure_draws_every_cut_behind_the_common_odds_ratio(fit, registry):
    exhibit = figures.ordinal_figure(fit, registry)
    assert len(exhibit.data) == 2 * (1 + len(fit.cuts))
    assert exhibit.data["odds_ratio_per_sd"][0] == fit.terms[0].odds_ratio_per_sd
    assert "n = 39" in exhibit.svg
    assert "Gracilis, FA" in exhibit.alt


def test_separation_prints_no_odds_ratio(separated, registry):
    table = tables.ordinal_table([separated], registry)
    assert "not estimable" in table.html
    assert "no finite estimate" in table.summary
    assert "not estimable" in tables.proportional_odds_table(separated, registry).summary
    figure = figures.ordinal_figure(separated, registry)
    assert figure.data.empty
    assert "1 feature(s) without a finite estimate" in figure.summary
