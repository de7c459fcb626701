"""The same questions to R: tests/reference/replication.R made the numbers, where it can by another way."""

import json
import math
from pathlib import Path

import pytest

from dtimuscle.replication import effects
from dtimuscle.replication.criteria import (
    Effect,
    bayes_factor,
    combined,
    detectable_noncentrality,
    prediction_interval,
    sceptical_p,
    sceptical_p_value,
    small_telescopes,
)
from dtimuscle.statistics.estimates import Estimate, Interval

REFERENCE = Path(__file__).parents[1] / "reference" / "replication.json"


def agrees(found, expected, *, relative=1e-8):
    assert found == pytest.approx(expected, rel=relative, abs=0)


@pytest.fixture(scope="module")
def r():
    return json.loads(REFERENCE.read_text())


def studies(row):
    return Effect(row["original"], row["original_se"]), Effect(row["replication"], row["replication_se"])


def test_prediction_intervals_are_quantiles_of_the_new_estimate(r):
    for row in r["pairs"]:
        found = prediction_interval(*studies(row)).interval
        agrees([found.low, found.high], [row["prediction_low"], row["prediction_high"]])


def test_prediction_intervals_with_degrees_of_freedom_use_students_quantile(r):
    for row in r["with_df"]:
        original = Effect(1.0, row["original_se"], row["original_df"])
        replication = Effect(0.0, row["replication_se"], float(row["replication_df"]))
        agrees(prediction_interval(original, replication).interval.high, row["high"])


def test_bayes_factors_agree_with_an_integral_over_the_effect(r):
    for row in r["pairs"]:
        agrees(bayes_factor(*studies(row)).value, row["bayes_factor"], relative=1e-7)


def test_combined_estimates_agree_with_the_maximum_of_the_likelihood(r):
    for row in r["pairs"]:
        found = combined(*studies(row))
        agrees([found.value, found.interval.high], [row["combined"], row["combined_high"]])
        agrees(found.p_heterogeneity, row["q_p"], relative=1e-7)


@pytest.mark.parametrize("recalibration", ["nominal", "golden"])
def test_sceptical_p_agrees_with_a_search_for_the_sufficiently_sceptical_prior(r, recalibration):
    for row in r["sceptical"]:
        found = sceptical_p_value(row["zo"], row["zr"], row["c"], recalibration=recalibration)
        agrees(found, row[recalibration], relative=1e-7)


def test_a_t_value_enters_the_sceptical_p_as_the_deviate_with_its_p(r):
    for row in r["deviates"]:
        found = sceptical_p(Effect(row["t"], 1.0, row["df"]), Effect(3.0, 0.5))
        agrees(found.value, sceptical_p_value(row["z"], 6.0, 4.0), relative=1e-7)


def test_small_effects_and_their_tests_agree_with_the_noncentral_t_of_r(r):
    for row in r["telescopes"]:
        n1, n2, new_n1, new_n2 = (row[name] for name in ("n1", "n2", "new_n1", "new_n2"))
        original = Effect(1.0, math.sqrt(1 / n1 + 1 / n2), n1 + n2 - 2)
        replication = Effect(row["new_d"], math.sqrt(1 / new_n1 + 1 / new_n2), new_n1 + new_n2 - 2)
        found = small_telescopes(original, replication)
        agrees(found.limit, row["d33"], relative=1e-7)
        agrees(found.value, row["p"], relative=1e-6)


def test_the_detectable_effect_of_a_normal_estimate_agrees(r):
    agrees(detectable_noncentrality(math.inf), r["normal_ncp"])


def test_a_difference_of_new_data_has_the_standard_error_of_the_t_test(r):
    row = r["scales"]["difference"]
    quantile = 1.984467454426692  # of t with 98 degrees of freedom
    interval = Interval(row["value"] - quantile * row["se"], row["value"] + quantile * row["se"])
    found = effects.new_effect("difference", Estimate("difference", "x.md", "", row["value"], interval=interval, n=100))
    agrees([found.value, found.standard_error, found.df], [row["value"], row["se"], row["df"]])


def test_a_mean_has_the_standard_error_of_the_t_test(r):
    row = r["scales"]["mean"]
    found = effects.group_mean(row["value"], 0.34e-3, 31)
    agrees([found.value, found.standard_error, found.df], [row["value"], row["se"], row["df"]])


def test_a_correlation_stands_on_fishers_scale_with_or_without_its_interval(r):
    row = r["scales"]["correlation"]
    for interval in (None, Interval(*row["ends"], 0.9)):
        found = effects.correlation(-0.45, interval, 90)
        agrees([found.value, found.standard_error], [row["z"], row["se"]])


def test_an_auc_stands_on_the_logit_scale_with_or_without_its_interval(r):
    row = r["scales"]["auc"]
    printed = effects.auc(0.722, Interval(0.6239, 0.821))
    agrees([printed.value, printed.standard_error], [row["logit"], row["se"]])
    agrees(effects.auc(0.722, None, sizes=(31, 69)).standard_error, row["hanley_mcneil"])


def test_an_odds_ratio_stands_on_the_log_scale(r):
    row = r["scales"]["odds_ratio"]
    found = effects.odds_ratio(0.62, Interval(0.47, 0.81))
    agrees([found.value, found.standard_error], [row["log"], row["se"]])
