import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, median_iqr
from dtimuscle.presentation.tables.groups import multiplicity_in_words
from dtimuscle.statistics.characteristics import describe_groups
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features, summarise
from dtimuscle.statistics.multiplicity import Multiplicity

INDEX = pd.Index([f"sub-{i:02d}" for i in range(30)], name="participant_id")
POOR = pd.Series(np.arange(30) < 12, INDEX, dtype="boolean")
REGISTRY = MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2), Muscle("sartorius", "Sartorius", 3, 4)))


def text_of(html):
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


@pytest.fixture(scope="module")
def comparisons():
    rng = np.random.default_rng(8)
    poor = POOR.to_numpy(dtype=bool)
    values = pd.DataFrame(
        {
            "gracilis.fa": 0.26 - 0.06 * poor + 0.03 * rng.normal(size=30),
            "gracilis.md": 1e-3 * (1.6 - 0.1 * poor + 0.3 * rng.normal(size=30)),
            "sartorius.fa": 0.26 + 0.03 * rng.normal(size=30).round(1),
            "sartorius.md": 1.5e-3,
        },
        index=INDEX,
    )
    values.iloc[0, 1] = np.nan
    return compare_all_features(FeatureFrame(values, pd.Series(pd.NA, INDEX, dtype="Int64"), POOR, values[[]]))


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(9)
    covariates = pd.DataFrame(
        {"age": rng.normal(68, 6, 30), "bmi": np.exp(rng.normal(3, 1.5, 30)), "sex": ["F", "F", "M"] * 10}, index=INDEX
    )
    covariates.iloc[0, 0] = np.nan
    return describe_groups(covariates, POOR)


def test_table_one_gives_mean_median_missing_test_and_difference(patients):
    exhibit = tables.characteristics_table(patients)
    text = text_of(exhibit.html)
    age = patients[0]
    assert f"Age, years: mean ± SD {age.poor.mean:.1f} ± {age.poor.sd:.1f}" in text
    assert f"Age, years: median [IQR] {median_iqr(age.poor, 1)} {median_iqr(age.good, 1)}" in text
    assert "1 / 0" in text
    assert f"{age.standardised_difference:.2f}".replace("-", "−") in text
    assert "Standardised difference" in text


def test_table_one_says_what_belongs_to_a_whole_category_once(patients):
    text = text_of(tables.characteristics_table(patients).html)
    assert text.count(patients[-1].test) == 1
    assert re.search(r"Sex: male \d+ \(\d+%\) \d+ \(\d+%\) *$", text.strip())


def test_table_one_names_the_rule_and_the_tests_that_it_led_to(patients):
    exhibit = tables.characteristics_table(patients)
    assert [row.test for row in patients[:2]] == ["Student t", "Mann–Whitney (exact)"]
    assert "Mann–Whitney (exact) (1)" in exhibit.summary
    assert "Student t (1)" in exhibit.summary
    assert exhibit.data["standardised_difference"].tolist() == [row.standardised_difference for row in patients]


def test_table_one_of_nobody_says_so():
    exhibit = tables.characteristics_table(())
    assert "Used here: none." in exhibit.summary


def test_tests_table_lays_all_tests_and_checks_side_by_side(comparisons):
    exhibit = tables.group_tests_table(comparisons, REGISTRY)
    text = text_of(exhibit.html)
    for heading in ("Student t", "Welch t", "Mann–Whitney", "Holm", "BH", "Shapiro–Wilk, poor", "Brown–Forsythe"):
        assert heading in text, heading
    assert "1 / 0" in text  # missing
    row = exhibit.data.set_index("feature").loc["gracilis.md"]
    item = comparisons[1]
    for column, value in (
        ("p_welch", item.welch.p), ("df_welch", item.welch.df), ("u", item.mann_whitney.u), ("p_bh", item.p_bh),
        ("p_mann_whitney", item.mann_whitney.p), ("p_shapiro_good", item.shapiro_good.p),
        ("low_g", item.g_interval.low), ("p_brown_forsythe", item.brown_forsythe.p), ("auc", item.auc.value),
        ("high_auc", item.auc.interval.high),
    ):  # fmt: skip
        assert row[column] == value, column


def test_exact_ranks_are_marked_where_only_some_are(comparisons):
    assert [item.mann_whitney.method for item in comparisons[:3]] == ["exact", "exact", "normal approximation"]
    mixed = tables.group_tests_table(comparisons, REGISTRY)
    assert text_of(mixed.html).count("(exact)") == 2
    assert "exact where it says so" in mixed.summary
    alike = tables.group_tests_table(comparisons[:2], REGISTRY)
    assert "Mann–Whitney, exact" in text_of(alike.html)
    assert "(exact)" not in text_of(alike.html)


def test_effects_table_prints_medians_g_and_auc_with_their_intervals(comparisons):
    exhibit = tables.group_effects_table(comparisons, REGISTRY)
    text = text_of(exhibit.html).replace("−", "-")
    item = comparisons[0]
    assert f"{item.hedges_g:.2f} {item.g_interval.low:.2f} to {item.g_interval.high:.2f}" in text
    assert f"{item.auc.value:.2f} {item.auc.interval.low:.2f} to {item.auc.interval.high:.2f}" in text
    assert median_iqr(comparisons[1].poor, 2, scale=1e3) in text
    assert "lower value" in exhibit.summary


def test_what_cannot_be_estimated_is_called_so(comparisons):
    html = tables.group_effects_table(comparisons[3:], REGISTRY).html
    assert NO_ESTIMATE in html
    assert "nan" not in text_of(html).lower()


def test_summaries_say_what_chance_alone_would_give(comparisons):
    sentence = "1 of 3 tests has P < 0.05, where chance alone would give 0.2 if the groups differed in nothing."
    for table in (tables.group_comparison_table, tables.group_tests_table):
        assert sentence in table(comparisons, REGISTRY).summary


def test_a_feature_without_a_test_does_not_count_as_one(comparisons):
    assert "corrected for the 3 tests of this table" in tables.group_comparison_table(comparisons, REGISTRY).summary


def test_multiplicity_is_said_in_words():
    words = multiplicity_in_words(Multiplicity(28, 0.05, 6, 1, 3))
    assert "6 of 28 tests have P < 0.05" in words
    assert "1.4" in words
    assert "Holm's correction 1 stays below 0.05, after Benjamini and Hochberg's 3." in words
    assert multiplicity_in_words(Multiplicity(0, 0.05, 0, 0, 0)) == "There was no test."


def test_forest_names_who_survives_and_leaves_out_what_has_no_estimate(comparisons):
    exhibit = figures.hedges_g_figure(comparisons, REGISTRY)
    assert exhibit.data["feature"].tolist() == ["gracilis.fa", "sartorius.fa", "gracilis.md"]
    assert exhibit.data["low"].tolist() == [comparisons[i].g_interval.low for i in (0, 2, 1)]
    assert "3 tests (Gracilis, FA)" in exhibit.summary
    assert "1 without an estimate left out" in exhibit.summary
    assert "n = 11 to 12 poor and 18 good" in exhibit.svg
    assert "P (Holm) ≥ 0.05" in exhibit.svg
    assert f"Gracilis, FA {comparisons[0].hedges_g:.2f}".replace("-", "−") in exhibit.alt


def test_forest_fills_the_squares_of_those_who_survive_only(comparisons):
    surviving = figures.hedges_g_figure(comparisons[:1], REGISTRY).svg
    not_surviving = figures.hedges_g_figure([replace(comparisons[0], p_holm=0.2)], REGISTRY).svg
    colour = "fill: #0b7a75"
    assert surviving.count(colour) > not_surviving.count(colour)


def test_a_forest_without_trees_is_still_drawn():
    exhibit = figures.hedges_g_figure((), REGISTRY)
    assert exhibit.data.empty
    assert "none could be estimated" in exhibit.alt


def test_empty_results_make_empty_tables():
    for table in (tables.group_tests_table, tables.group_effects_table):
        exhibit = table((), REGISTRY)
        assert exhibit.data.empty
        assert len(exhibit.summary) > 30


def test_a_median_without_values_is_a_dash():
    assert median_iqr(summarise(np.array([])), 1) == "–"
    assert median_iqr(summarise(np.array([1.0, 2.0, 3.0])), 1) == "2.0 [1.5 to 2.5]"
