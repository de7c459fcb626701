"""Groups and characteristics against R (`tests/reference/groups.R`)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.characteristics import describe_groups
from dtimuscle.statistics.contingency import compare_counts
from dtimuscle.statistics.effect_sizes import hedges_g
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.multiplicity import benjamini_hochberg, holm
from dtimuscle.statistics.normality import shapiro_wilk
from dtimuscle.statistics.two_samples import EXACT, mann_whitney, student_t

REFERENCE = Path(__file__).parents[1] / "reference"
R = json.loads((REFERENCE / "groups.json").read_text())
FEATURES = [(data, name) for data in ("cohort", "wdbc") for name in R[data]["features"]]

# What is computed directly agrees to the first, the ends that R's `uniroot` searches for to the second.
RELATIVE, SEARCHED = 1e-8, 1e-6


def agrees(found, expected, *, rtol=RELATIVE):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0)


def read_cohort():
    table = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    table = table.set_index("participant_id")
    grade = table["lovett_grade"]
    covariates = table[["age", "sex", "site", "smoker"]]
    return FeatureFrame(table[list(R["cohort"]["features"])], grade, (grade < 4).astype("boolean"), covariates)


def read_wdbc():
    table = pd.read_csv(REFERENCE / "wdbc.csv")
    values = table[list(R["wdbc"]["features"])]
    return FeatureFrame(values, table["grade"].astype("Int64"), (table["malignant"] == 1).astype("boolean"), values[[]])


@pytest.fixture(scope="module")
def found():
    return {
        (data, item.feature): item
        for data, features in (("cohort", read_cohort()), ("wdbc", read_wdbc()))
        for item in compare_all_features(features)
    }


def expected_of(key):
    return R[key[0]]["features"][key[1]]


@pytest.mark.parametrize("key", FEATURES)
def test_summaries_agree_with_r(found, key):
    item, expected = found[key], expected_of(key)
    assert [item.poor.n, item.good.n] == expected["n"]
    agrees([item.poor.mean, item.good.mean], expected["mean"])
    agrees([item.poor.sd, item.good.sd], expected["sd"])
    for group in ("poor", "good"):
        summary = getattr(item, group)
        agrees([summary.q25, summary.median, summary.q75], expected[f"quartiles_{group}"])


@pytest.mark.parametrize("key", FEATURES)
def test_t_tests_agree_with_r(found, key):
    item, expected = found[key], expected_of(key)
    agrees([item.t, item.df, item.p, item.interval.low, item.interval.high], expected["student"])
    welch = item.welch
    agrees([welch.t, welch.df, welch.p, welch.interval.low, welch.interval.high], expected["welch"])


@pytest.mark.parametrize("key", FEATURES)
def test_ranks_agree_with_wilcox_test(found, key):
    ranks = found[key].mann_whitney
    agrees([ranks.u, ranks.p], expected_of(key)["mann_whitney"])
    assert (ranks.method == EXACT) == expected_of(key)["is_exact"]


@pytest.mark.parametrize("key", FEATURES)
def test_checks_of_assumptions_agree_with_r(found, key):
    item, expected = found[key], expected_of(key)
    agrees([item.shapiro_poor.w, item.shapiro_good.w], expected["shapiro_w"])
    agrees([item.shapiro_poor.p, item.shapiro_good.p], expected["shapiro_p"])
    agrees([item.brown_forsythe.f, item.brown_forsythe.p], expected["brown_forsythe"])


@pytest.mark.parametrize("key", FEATURES)
def test_effect_sizes_agree_with_r_and_proc(found, key):
    item, expected = found[key], expected_of(key)
    value, *ends = expected["hedges_g"]
    agrees(item.hedges_g, value)
    agrees([item.g_interval.low, item.g_interval.high], ends, rtol=SEARCHED)
    low, value, high = expected["auc"]
    agrees([item.auc.value, item.auc.interval.low, item.auc.interval.high], [value, low, high])


@pytest.mark.parametrize("data", ["cohort", "wdbc"])
def test_adjusted_p_agree_with_p_adjust(found, data):
    items = [item for (source, _), item in found.items() if source == data]
    agrees([item.p_holm for item in items], R[data]["holm"])
    agrees([item.p_bh for item in items], R[data]["bh"])


def test_adjustments_agree_with_p_adjust_where_p_are_tied():
    p = np.array(R["adjusted"]["p"])
    agrees(holm(p), R["adjusted"]["holm"])
    agrees(benjamini_hochberg(p), R["adjusted"]["bh"])


@pytest.mark.parametrize("sample", R["small"], ids=lambda sample: f"n={len(sample['poor'])}")
def test_small_samples_agree_with_r(sample):
    poor, good = np.array(sample["poor"]), np.array(sample["good"])
    exact = mann_whitney(poor, good)
    assert exact.method == EXACT
    agrees(exact.p, sample["exact"])
    tied = mann_whitney(poor.round(), good.round())
    assert tied.method != EXACT
    agrees(tied.p, sample["tied"])
    if sample["shapiro"]:
        normality = shapiro_wilk(poor)
        agrees([normality.w, normality.p], sample["shapiro"])
    effect = hedges_g(student_t(poor, good).t, poor.size, good.size)
    agrees(effect.value, sample["hedges_g"][0])
    agrees([effect.interval.low, effect.interval.high], sample["hedges_g"][1:], rtol=SEARCHED)


def test_characteristics_agree_with_r():
    features = read_cohort()
    expected = R["characteristics"]
    assert min(expected["age_normality"]) >= 0.05
    rows = {row.name: row for row in describe_groups(features.covariates, features.poor)}
    for name, p in expected["p"].items():
        agrees(rows[name].p, p)
        agrees(rows[name].standardised_difference, expected["distance"][name])
    tests = {name: row.test for name, row in rows.items()}
    assert tests == {"age": "Student t", "sex": "chi-squared", "site": "chi-squared", "smoker": "Fisher exact"}


@pytest.mark.parametrize("table", R["characteristics"]["rare"], ids=lambda table: str(table["counts"]))
def test_fishers_exact_test_agrees_with_r_also_beyond_two_levels(table):
    found = compare_counts(np.array(table["counts"]))
    assert found.method == "Fisher exact"
    agrees(found.p, table["p"])
