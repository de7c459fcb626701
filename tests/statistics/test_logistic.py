import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics import logistic
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.logistic import (
    enter_by_p,
    fit_logistic,
    prespecified_model,
    step_of,
    univariate_models,
)

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
    assert "complete separation: all outcomes are predicted perfectly by a" in fit.issues[0].what


def test_quasi_complete_separation_has_the_likelihood_that_the_fit_approaches():
    # At x = 1 there are 3 events and 1 other; beyond it everybody is separated.
    x = pd.DataFrame({"a": [0.0] * 10 + [1.0] * 4 + [2.0] * 10})
    poor = pd.Series([False] * 10 + [True] * 3 + [False] + [True] * 10, dtype="boolean")
    fit = fit_logistic(x, poor)
    assert fit.is_separated
    assert math.isnan(fit.coefficients[0].odds_ratio)
    assert fit.log_likelihood == pytest.approx(3 * math.log(0.75) + math.log(0.25), rel=1e-12)
    np.testing.assert_allclose(fit.probabilities, [0.0] * 10 + [0.75] * 4 + [1.0] * 10)
    assert "quasi-complete separation: 20 of 24 outcomes are predicted perfectly by a" in fit.issues[0].what


def test_groups_that_hardly_overlap_are_fitted_and_reported():
    x = pd.DataFrame({"a": [*np.linspace(0, 1.001, 20), *np.linspace(1, 2, 20)]})
    fit = fit_logistic(x, pd.Series([False] * 20 + [True] * 20, dtype="boolean"))
    assert not fit.is_separated
    assert fit.coefficients[0].p > 0.05
    assert ["hardly determine" in issue.what for issue in fit.issues] == [True]


def test_a_constant_feature_is_left_out():
    features = cohort({"a": 0.8, "b": 0.0})
    values = (1e3 * features.values).assign(b=1.7)
    fit = fit_logistic(values, features.poor)
    alone = fit_logistic(values[["a"]], features.poor)
    for quantity in ("estimate", "se", "p", "p_lr", "odds_ratio_per_sd"):
        assert getattr(fit.coefficients[0], quantity) == pytest.approx(
            getattr(alone.coefficients[0], quantity), rel=1e-9
        )
    assert math.isnan(fit.coefficients[1].odds_ratio)
    assert fit.aic == pytest.approx(alone.aic, rel=1e-12)
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
    values = 1e3 * features.values
    assert fit_logistic(values[["a", "b", "c"]], features.poor).issues == ()
    (issue,) = fit_logistic(values, features.poor).issues
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
    assert [issue.where for issue in model.issues] == ["perfect", "multivariable model"]


def test_nobody_in_a_group_stops_the_selection():
    with pytest.raises(StatisticsError, match="poor muscle function"):
        enter_by_p(cohort({"a": 0.0}, poor=np.zeros(100, dtype=bool)))


@pytest.mark.parametrize("seed", range(8))
def test_ten_strong_features_of_31_events_give_odds_ratios_or_say_why_not(seed):
    features = cohort({f"muscle_{i}.md": 1.9 for i in range(10)}, seed=seed)
    model = enter_by_p(features, profile=False)
    assert len(model.entered) == 10
    fit = model.multivariable
    assert any("3.1 each" in issue.what for issue in fit.issues)
    odds_ratios = np.array([c.odds_ratio for c in fit.coefficients])
    assert np.isnan(odds_ratios).all() if fit.is_separated else (np.abs(np.log(odds_ratios)) < 10).all()
    assert fit.probabilities.between(0, 1).all()


def with_covariates(features, **columns):
    return replace(features, covariates=pd.DataFrame(columns, index=features.values.index))


def test_odds_ratios_per_sd_are_those_of_standardised_features():
    features = cohort({"a.md": 0.8, "b.md": 0.3})
    z = (features.values - features.values.mean()) / features.values.std()
    for found, expected in zip(
        fit_logistic(features.values, features.poor).coefficients,
        fit_logistic(z.set_axis(["a", "b"], axis=1), features.poor).coefficients,
        strict=True,
    ):
        assert found.odds_ratio_per_sd == pytest.approx(expected.odds_ratio, rel=1e-9)
        assert found.interval_per_sd.low == pytest.approx(expected.interval.low, rel=1e-9)
        assert found.profile_per_sd.high == pytest.approx(expected.profile.high, rel=1e-9)
        assert found.profile.high == pytest.approx(expected.profile.high ** (1e-4 / found.sd), rel=1e-9)


def test_skipping_profiles_leaves_everything_else_as_it_is():
    features = cohort({"a": 0.8, "b": 0.3})
    full = fit_logistic(features.values, features.poor)
    quick = fit_logistic(features.values, features.poor, profile=False)
    for one, other in zip(full.coefficients, quick.coefficients, strict=True):
        assert (one.estimate, one.se, one.p, one.interval) == (other.estimate, other.se, other.p, other.interval)
        assert one.profile_per_sd.is_defined
        assert not other.profile_per_sd.is_defined
        assert math.isnan(other.p_lr)
    assert (full.chi2, full.p, full.nagelkerke) == (quick.chi2, quick.p, quick.nagelkerke)


def test_events_per_variable_count_the_smaller_group():
    features = cohort({"a": 0.8, "b": 0.3})
    assert fit_logistic(features.values, features.poor).events_per_variable == 31 / 2
    assert fit_logistic(features.values, ~features.poor).events_per_variable == 31 / 2


def test_a_category_is_compared_with_its_first_level_and_tested_as_a_whole():
    features = cohort({"a": 0.0})
    site = pd.Series(["x", "y", "z", "y"] * 25, index=features.values.index, name="site")
    fit = fit_logistic(site.to_frame(), features.poor)
    assert fit.names == ("site: y against x", "site: z against x")
    counts = pd.crosstab(site, features.poor)
    odds = counts[True] / counts[False]
    assert [c.odds_ratio for c in fit.coefficients] == pytest.approx([odds["y"] / odds["x"], odds["z"] / odds["x"]])
    ((name, df, p),) = [(test.name, test.df, test.p) for test in fit.tests]
    assert (name, df, p) == ("site", 2, pytest.approx(fit.p))


def test_separation_names_the_features_that_do_it():
    rng = np.random.default_rng(4)
    poor = pd.Series(np.arange(40) >= 25, dtype="boolean")
    x = pd.DataFrame({"noise": rng.normal(size=40), "perfect": np.arange(40.0)})
    assert "perfectly by perfect, so" in fit_logistic(x, poor).issues[0].what
    # Neither alone, both together: the difference of the two tells the groups apart.
    base = rng.normal(size=40)
    pair = pd.DataFrame({"u": base, "v": base + np.where(poor, 0.1, -0.1), "noise": rng.normal(size=40)})
    fit = fit_logistic(pair, poor)
    assert fit.separation == "complete"
    assert "perfectly by u, v, so" in fit.issues[0].what


def test_under_separation_the_likelihood_ratio_tests_remain():
    x = pd.DataFrame({"a": [0.0] * 10 + [1.0] * 4 + [2.0] * 10})
    poor = pd.Series([False] * 10 + [True] * 3 + [False] + [True] * 10, dtype="boolean")
    (a,) = fit_logistic(x, poor).coefficients
    limit = 3 * math.log(0.75) + math.log(0.25)
    null = 13 * math.log(13 / 24) + 11 * math.log(11 / 24)
    assert a.chi2 == pytest.approx(2 * (limit - null), rel=1e-12)
    assert a.p_lr < 0.001
    assert not a.profile.is_defined


def test_nearly_equal_features_are_reported():
    features = cohort({"a": 0.8, "b": 0.0})
    features.values["b"] = features.values["a"] + 1e-5 * np.random.default_rng(1).normal(size=100)
    issues = fit_logistic(features.values, features.poor).issues
    assert sum("variance inflation" in issue.what for issue in issues) == 2


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_a_handful_of_participants_gives_no_wrong_number(n):
    rng = np.random.default_rng(n)
    x = pd.DataFrame(1e-3 * rng.normal(size=(n, 6)), columns=list("abcdef"))
    fit = fit_logistic(x, pd.Series(np.arange(n) % 2 == 0, dtype="boolean"))
    assert fit.issues
    assert all(math.isnan(c.odds_ratio) for c in fit.coefficients)
    assert fit.separation == ("complete" if n >= 2 else "none")


def test_thousands_of_participants_are_fitted():
    rng = np.random.default_rng(8)
    x = pd.DataFrame(rng.normal(size=(5000, 3)), columns=list("abc"))
    poor = pd.Series(rng.random(5000) < 1 / (1 + np.exp(4 - 2 * x["a"])), dtype="boolean")
    fit = fit_logistic(x, poor)
    assert fit.issues == ()
    assert fit.coefficients[0].profile.low < math.exp(2) < fit.coefficients[0].profile.high


def test_a_constant_that_differs_by_rounding_has_no_estimate():
    features = cohort({"a": 0.8})
    b = pd.Series(0.1 + 0.2, index=features.values.index)
    b.iloc[::2] = 0.3
    fit = fit_logistic(features.values.assign(b=b), features.poor)
    assert math.isnan(fit.coefficients[1].estimate)


def test_covariates_have_univariate_models_too():
    age = np.random.default_rng(9).normal(70, 6, 100)
    features = with_covariates(
        cohort({"a": 0.8}), age=age, sex=["F", "F", "M", "F"] * 25, code=[f"p{i}" for i in range(100)]
    )
    fits = univariate_models(features, covariates=("age", "sex", "code", "bmi"))
    assert [fit.names for fit in fits] == [("a",), ("age",), ("sex: M against F",), ("code",), ("bmi",)]
    assert "text with 100 levels" in fits[3].issues[0].what
    assert "no such column" in fits[4].issues[0].what
    assert math.isnan(fits[4].coefficients[0].odds_ratio)


def test_a_category_enters_by_the_test_of_the_whole():
    features = cohort({"a": 0.8})
    site = np.where(features.poor, "x", np.where(np.arange(100) % 2, "y", "z"))
    site[[0, 1, 99, 98, 97]] = ["y", "z", "x", "x", "x"]
    model = enter_by_p(with_covariates(features, site=site), covariates=("site",))
    assert model.entered == ("a", "site")
    assert model.multivariable.names == ("a", "site: y against x", "site: z against x")
    assert model.firth.names == model.multivariable.names


def test_the_rule_of_entry_warns_with_its_numbers():
    model = enter_by_p(cohort({"strong": 1.5, "nothing": 0.0, "medium": 0.8}))
    (issue,) = [issue for issue in model.issues if issue.where == "multivariable model"]
    assert issue.what.startswith("2 of 3 candidates entered")
    assert "10.3 participants of the smaller group for each candidate" in issue.what
    assert "poor habit" in issue.what


def test_a_prespecified_model_has_both_fits_of_the_same_patients():
    features = with_covariates(cohort({"a": 0.8, "b": 0.3}), sex=["F", "F", "M", "F"] * 25)
    model = prespecified_model(features, ["b", "sex"])
    assert model.columns == ("b", "sex")
    assert model.multivariable.names == model.firth.names == ("b", "sex: M against F")
    assert model.multivariable.n == model.firth.n == 100
    assert [e.subject for e in model.estimates()] == ["b", "sex: M against F"]


def test_a_prespecified_name_that_is_unknown_is_answered_with_those_that_are_there():
    with pytest.raises(StatisticsError, match="c not found; available: a, b"):
        prespecified_model(cohort({"a": 0.8, "b": 0.3}), ["a", "c"])
    with pytest.raises(StatisticsError, match="no feature given"):
        prespecified_model(cohort({"a": 0.8}), [])


def test_a_separated_model_is_given_by_firth():
    features = cohort({"perfect": 30.0, "medium": 0.8})
    model = prespecified_model(features, ["perfect", "medium"])
    assert model.multivariable.separation == "complete"
    assert all(math.isnan(c.odds_ratio) for c in model.multivariable.coefficients)
    assert all(c.profile_per_sd.is_defined for c in model.firth.coefficients)


def test_a_feature_whose_odds_ratio_per_step_is_no_number_says_so():
    rng = np.random.default_rng(0)
    poor = pd.Series(rng.random(60) < 0.5)
    found = fit_logistic(pd.DataFrame({"volume": 1e-5 * (rng.normal(size=60) + poor)}), poor)
    (term,) = found.coefficients
    assert math.isnan(term.odds_ratio)
    assert term.profile_per_sd.low < term.odds_ratio_per_sd < term.profile_per_sd.high
    assert [issue.what for issue in found.issues] == [
        "it varies so little that an odds ratio for a step of 1 is no finite number."
    ]
