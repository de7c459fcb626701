"""The same data in R: tests/reference/statistics.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.characteristics import describe_groups
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.correlation import correlate_all_features
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.logistic import LogisticFit, fit_logistic
from dtimuscle.statistics.roc import combination_curves, compare_aucs, roc_curve

REFERENCE = Path(__file__).parents[1] / "reference"
FEATURES = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]
RELATIVE = 1e-8


def agrees(found, expected):
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=0)


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "statistics.json").read_text())


@pytest.fixture(scope="module")
def features():
    table = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    table = table.set_index("participant_id")
    grade = table["lovett_grade"]
    covariates = table[["age", "sex", "site", "smoker"]]
    return FeatureFrame(table[FEATURES], grade, (grade < 4).astype("boolean"), covariates)


@pytest.fixture(scope="module")
def curves(features):
    complete, poor, _ = complete_cases(features.values, features.poor)
    return {name: roc_curve(complete[name], poor, name=name, higher_is_poor=False) for name in FEATURES}


@pytest.mark.parametrize("index", range(4))
def test_group_comparison_agrees_with_t_test(features, r, index):
    found, expected = compare_all_features(features)[index], r["groups"][FEATURES[index]]
    assert [found.poor.n, found.good.n, found.df] == [*expected["n"], expected["df"]]
    for quantity in ("t", "p", "p_welch", "hedges_g"):
        agrees(getattr(found, quantity), expected[quantity])
    agrees([found.interval.low, found.interval.high], expected["interval"])
    agrees([found.poor.mean, found.good.mean], expected["mean"])
    agrees([found.poor.sd, found.good.sd], expected["sd"])
    for group in ("poor", "good"):
        summary = getattr(found, group)
        agrees([summary.q25, summary.median, summary.q75], expected[f"quartiles_{group}"])


def test_holm_agrees_with_p_adjust(features, r):
    agrees([c.p_holm for c in compare_all_features(features)], [r["holm"][name] for name in FEATURES])


def test_characteristics_agree_with_r(features, r):
    rows = describe_groups(features.covariates, features.poor)
    found = {row.name: row.p for row in rows}
    agrees([found[name] for name in r["characteristics"]], list(r["characteristics"].values()))
    assert {row.name: row.test for row in rows} == {
        "age": "Student t",
        "sex": "chi-squared",
        "site": "chi-squared",
        "smoker": "Fisher exact",
    }


@pytest.mark.parametrize("index", range(4))
def test_correlation_agrees_with_cor_test(features, r, index):
    found, expected = correlate_all_features(features)[index], r["correlation"][FEATURES[index]]
    assert found.n == expected["n"]
    agrees([found.r, found.p], [expected["r"], expected["p"]])
    agrees([found.interval.low, found.interval.high], expected["interval"])


def check_fit(found: LogisticFit, expected):
    terms = [found.intercept, *found.coefficients]
    assert [term.name for term in terms] == ["intercept", *expected["terms"][1:]]
    assert found.n == expected["n"]
    for quantity in ("estimate", "se", "z", "p"):
        agrees([getattr(term, quantity) for term in terms], expected[quantity])
    agrees([found.log_likelihood, found.aic], [expected["log_likelihood"], expected["aic"]])
    agrees(-2 * found.null_log_likelihood, expected["null_deviance"])
    agrees(found.probabilities, expected["probabilities"])


@pytest.mark.parametrize("name", FEATURES)
def test_univariate_logistic_regression_agrees_with_glm(features, r, name):
    check_fit(fit_logistic(features.values[[name]], features.poor), r["logistic"][name])


def test_multivariable_logistic_regression_agrees_with_glm(features, r):
    check_fit(fit_logistic(features.values, features.poor), r["logistic"]["all"])


def test_logistic_regression_with_a_covariate_agrees_with_glm(features, r):
    data = features.covariates[["age"]].join(features.values[FEATURES[:2]])
    check_fit(fit_logistic(data, features.poor), r["logistic"]["with_age"])


def check_curve(found, expected):
    agrees(found.auc.value, expected["auc"])
    agrees([found.auc.interval.low, found.auc.interval.high], expected["interval"])
    agrees(found.sensitivity, expected["sensitivities"])
    agrees(found.specificity, expected["specificities"])
    for quantity in ("sensitivity", "specificity", "ppv", "npv"):
        agrees(getattr(found.cut_off, quantity), expected["best"][quantity])
    agrees(found.cut_off.threshold, expected["best"]["threshold"])
    for share in ("sensitivity", "specificity"):
        interval = getattr(found.cut_off, f"{share}_interval")
        agrees([interval.low, interval.high], expected[f"{share}_interval"])


@pytest.mark.parametrize("name", FEATURES)
def test_roc_curve_agrees_with_proc(curves, r, name):
    assert [curves[name].auc.n_events, curves[name].auc.n_controls] == r["roc"]["n"]
    check_curve(curves[name], r["roc"]["curves"][name])


@pytest.mark.parametrize("parameter", ["fa", "md"])
def test_delongs_test_of_two_features_agrees_with_proc(features, r, parameter):
    complete, poor, _ = complete_cases(features.values, features.poor)
    first, second = f"gracilis.{parameter}", f"adductor_longus.{parameter}"
    found = compare_aucs(complete[first], complete[second], poor, names=(first, second), higher_is_poor=(False, False))
    check_test(found, r["roc"]["tests"][parameter])


def check_test(found, expected):
    agrees([found.z, found.p], [expected["z"], expected["p"]])
    agrees([found.interval.low, found.interval.high], expected["interval"])


def test_combination_curves_agree_with_glm_and_proc(features, r):
    found = combination_curves(features, muscles=("gracilis", "adductor_longus"))
    assert list(found.curves) == ["fa", "md", "fa+md"]
    for name, curve in found.curves.items():
        check_curve(curve, r["roc"]["combined"][name])
    assert [c.name for c in found.comparisons] == list(r["roc"]["combined_tests"])
    for comparison in found.comparisons:
        check_test(comparison, r["roc"]["combined_tests"][comparison.name])
