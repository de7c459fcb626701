import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics import logistic
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.logistic import enter_by_p, fit_logistic, step_of

N_POOR, N_GOOD = 31, 69


def cohort(effects, *, seed=0, poor=None):
    """Features with given standardised effects; poor below good."""
    rng = np.random.default_rng(seed)
    is_poor = np.arange(N_POOR + N_GOOD) < N_POOR if poor is None else poor
    shared = rng.normal(size=(is_poor.size, 1))
    noise = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=(is_poor.size, len(effects)))
    values = 1.7e-3 + 0.35e-3 * (noise - np.outer(is_poor, list(effects.values())))
    index = pd.Index([f"sub-{i:03d}" for i in range(is_poor.size)], name="participant_id")
    values = pd.DataFrame(values, columns=list(effects), index=index)
    grade = pd.Series(np.where(is_poor, 2, 5), index=index, dtype="Int64")
    return FeatureFrame(values, grade, (grade < 4).astype("boolean"), values[[]])


def test_a_feature_of_two_values_gives_the_odds_ratio_of_the_two_by_two_table():
    x = pd.DataFrame({"sex": [1.0] * 30 + [0.0] * 70})
    poor = pd.Series([True] * 20 + [False] * 10 + [True] * 14 + [False] * 56, dtype="boolean")
    (sex,) = fit_logistic(x, poor).coefficients
    assert sex.odds_ratio == pytest.approx((20 / 10) / (14 / 56), rel=1e-9)
    assert sex.se == pytest.approx(math.sqrt(1 / 20 + 1 / 10 + 1 / 14 + 1 / 56), rel=1e-9)
    assert sex.step == 1


def test_odds_ratios_are_for_a_step_of_the_parameter():
    features = cohort({"gracilis.md": 0.8})
    (md,) = fit_logistic(features.values, features.poor).coefficients
    assert md.step == step_of("gracilis.md") == 0.1e-3
    assert md.odds_ratio == pytest.approx(math.exp(md.estimate * 0.1e-3))
    assert md.interval.low < md.odds_ratio < md.interval.high < 1
    assert step_of("gracilis.fa") == 0.1


def test_the_unit_of_a_feature_changes_nothing_but_its_coefficient():
    features = cohort({"a": 0.8, "b": 0.3})
    small = fit_logistic(features.values, features.poor)
    large = fit_logistic(features.values * 1e6, features.poor)
    assert large.log_likelihood == pytest.approx(small.log_likelihood, rel=1e-12)
    assert large.coefficients[0].estimate == pytest.approx(small.coefficients[0].estimate / 1e6, rel=1e-9)
    assert large.coefficients[0].p == pytest.approx(small.coefficients[0].p, rel=1e-9)
    assert large.intercept.estimate == pytest.approx(small.intercept.estimate, rel=1e-9)


def test_incomplete_participants_are_left_out_and_counted():
    features = cohort({"a": 0.8})
    features.values.iloc[[0, 50]] = np.nan
    features.poor.iloc[99] = pd.NA
    fit = fit_logistic(features.values, features.poor)
    assert (fit.n, fit.n_events, fit.n_missing) == (97, 30, 2)
    assert fit.probabilities.index.equals(features.values.index.delete([0, 50, 99]))
    assert fit.probabilities.sum() == pytest.approx(30)


def test_complete_separation_is_found_and_prints_no_odds_ratio():
    x = pd.DataFrame({"a": np.arange(40.0)})
    poor = pd.Series(np.arange(40) >= 20, dtype="boolean")
    fit = fit_logistic(x, poor)
    assert fit.is_separated
    assert (fit.log_likelihood, fit.probabilities.tolist()) == (0.0, poor.astype(float).tolist())
    (a,) = fit.coefficients
    assert [math.isnan(value) for value in (a.estimate, a.se, a.p, a.odds_ratio, a.interval.low)] == [True] * 5
    assert fit.estimates()[0].interval is None
    assert "predict all outcomes perfectly" in fit.issues[0].what


def test_quasi_complete_separation_has_the_likelihood_that_the_fit_approaches():
    # At x = 1 there are 3 events and 1 other; beyond it everybody is separated.
    x = pd.DataFrame({"a": [0.0] * 10 + [1.0] * 4 + [2.0] * 10})
    poor = pd.Series([False] * 10 + [True] * 3 + [False] + [True] * 10, dtype="boolean")
    fit = fit_logistic(x, poor)
    assert fit.is_separated
    assert math.isnan(fit.coefficients[0].odds_ratio)
    assert fit.log_likelihood == pytest.approx(3 * math.log(0.75) + math.log(0.25), rel=1e-12)
    np.testing.assert_allclose(fit.probabilities, [0.0] * 10 + [0.75] * 4 + [1.0] * 10)
    assert "predict 20 of 24 outcomes perfectly" in fit.issues[0].what


def test_groups_that_hardly_overlap_are_fitted_and_reported():
    x = pd.DataFrame({"a": [*np.linspace(0, 1.001, 20), *np.linspace(1, 2, 20)]})
    fit = fit_logistic(x, pd.Series([False] * 20 + [True] * 20, dtype="boolean"))
    assert not fit.is_separated
    assert fit.coefficients[0].p > 0.05
    assert ["hardly determine" in issue.what for issue in fit.issues] == [True]


def test_a_constant_feature_is_left_out():
    features = cohort({"a": 0.8, "b": 0.0})
    features.values["b"] = 1.7e-3
    fit = fit_logistic(features.values, features.poor)
    alone = fit_logistic(features.values[["a"]], features.poor)
    assert fit.coefficients[0] == alone.coefficients[0]
    assert math.isnan(fit.coefficients[1].odds_ratio)
    assert fit.aic == alone.aic
    assert [(issue.where, issue.what[:8]) for issue in fit.issues] == [("b", "constant")]


def test_a_model_of_a_constant_is_the_model_without_features():
    features = cohort({"a": 0.0})
    fit = fit_logistic(features.values * 0 + 0.3, features.poor)
    assert fit.log_likelihood == pytest.approx(fit.null_log_likelihood, rel=1e-12)
    assert fit.probabilities.tolist() == pytest.approx([0.31] * 100)


def test_a_combination_of_features_before_it_is_left_out():
    features = cohort({"a": 0.8, "b": 0.4, "c": 0.0, "d": 0.2})
    features.values["c"] = features.values["a"] + 2 * features.values["b"]
    fit = fit_logistic(features.values, features.poor)
    reduced = fit_logistic(features.values[["a", "b", "d"]], features.poor)
    assert [math.isnan(c.estimate) for c in fit.coefficients] == [False, False, True, False]
    assert fit.coefficients[3].estimate == pytest.approx(reduced.coefficients[2].estimate, rel=1e-9)


def test_one_group_without_complete_participants_has_no_model():
    features = cohort({"a": 0.8})
    features.values.iloc[:N_POOR] = np.nan
    fit = fit_logistic(features.values, features.poor)
    assert (fit.n, fit.n_events, fit.n_missing, fit.is_separated) == (69, 0, 31, False)
    assert math.isnan(fit.coefficients[0].p)
    assert "no complete participant with poor muscle function (69 complete, 31 left out)" in fit.issues[0].what


def test_few_participants_for_each_feature_are_reported():
    features = cohort(dict.fromkeys("abcd", 0.2))
    assert fit_logistic(features.values[["a", "b", "c"]], features.poor).issues == ()
    (issue,) = fit_logistic(features.values, features.poor).issues
    assert "31 participants in the smaller group for 4 feature(s), 7.8 each" in issue.what


def test_a_fit_that_does_not_converge_is_an_error(monkeypatch):
    monkeypatch.setattr(logistic, "MAX_ITERATIONS", 1)
    features = cohort({"a": 0.8})
    with pytest.raises(StatisticsError, match="did not converge in 1 steps"):
        fit_logistic(features.values, features.poor)


def test_features_with_a_small_univariate_p_enter():
    features = cohort({"strong": 1.5, "nothing": 0.0, "medium": 0.8})
    model = enter_by_p(features)
    assert model.entered == ("strong", "medium")
    assert model.multivariable.names == model.entered
    assert [fit.names for fit in model.univariate] == [("strong",), ("nothing",), ("medium",)]
    kinds = [(estimate.kind, estimate.subject) for estimate in model.estimates()]
    assert kinds == [
        ("univariate_odds_ratio", "strong"),
        ("univariate_odds_ratio", "nothing"),
        ("univariate_odds_ratio", "medium"),
        ("odds_ratio", "strong"),
        ("odds_ratio", "medium"),
    ]


def test_without_a_small_p_there_is_no_joint_model():
    model = enter_by_p(cohort({"nothing": 0.0}, seed=1), entry_p=1e-6)
    assert (model.entered, model.multivariable) == ((), None)
    assert "no feature has a univariate P below 1e-06" in model.issues[0].what


def test_a_feature_that_separates_alone_does_not_enter():
    features = cohort({"perfect": 30.0, "medium": 0.8})
    model = enter_by_p(features)
    assert model.entered == ("medium",)
    assert model.univariate[0].is_separated
    assert [issue.where for issue in model.issues] == ["perfect"]


def test_nobody_in_a_group_stops_the_selection():
    with pytest.raises(StatisticsError, match="poor muscle function"):
        enter_by_p(cohort({"a": 0.0}, poor=np.zeros(100, dtype=bool)))


@pytest.mark.parametrize("seed", range(8))
def test_ten_strong_features_of_31_events_give_odds_ratios_or_say_why_not(seed):
    features = cohort({f"muscle_{i}.md": 1.9 for i in range(10)}, seed=seed)
    model = enter_by_p(features)
    assert len(model.entered) == 10
    fit = model.multivariable
    assert any("3.1 each" in issue.what for issue in fit.issues)
    odds_ratios = np.array([c.odds_ratio for c in fit.coefficients])
    assert np.isnan(odds_ratios).all() if fit.is_separated else (np.abs(np.log(odds_ratios)) < 10).all()
    assert fit.probabilities.between(0, 1).all()
