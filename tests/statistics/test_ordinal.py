import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.logistic import fit_logistic
from dtimuscle.statistics.ordinal import fit_each_ordinal, fit_ordinal


def patients(effects, *, n=120, n_grades=6, seed=0, scale=1.0):
    """Features with given log odds per SD of a higher grade."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(effects)))
    latent = x @ list(effects.values()) + rng.logistic(size=n)
    grade = pd.Series(np.argsort(np.argsort(latent)) * n_grades // n, dtype="Int64")
    return pd.DataFrame(1.7 * scale + 0.3 * scale * x, columns=list(effects)), grade


def test_a_feature_of_two_values_and_two_wide_cuts_gives_the_common_odds_ratio():
    # Shares above the two cuts: odds of 1/2 and 1/4 in one sex, of 2 and 1 in the other, a ratio of 4 at both.
    above = {0: (1 / 3, 1 / 5), 1: (2 / 3, 1 / 2)}
    counts = {sex: np.rint(600 * np.array([1 - a, a - b, b])).astype(int) for sex, (a, b) in above.items()}
    sex = np.repeat([0.0, 1.0], [600, 600])
    grade = np.concatenate([np.repeat([0, 1, 2], counts[value]) for value in (0, 1)])
    fit = fit_ordinal(pd.DataFrame({"sex": sex}), pd.Series(grade))
    assert fit.terms[0].odds_ratio == pytest.approx(4, rel=1e-9)
    assert fit.brant.omnibus.statistic == pytest.approx(0, abs=1e-9)
    assert fit.score.omnibus.statistic == pytest.approx(0, abs=1e-9)
    assert [cut.terms[0].odds_ratio for cut in fit.cuts] == pytest.approx([4, 4], rel=1e-8)


def test_above_one_means_a_higher_grade():
    features, grade = patients({"gracilis.md": 1.0}, scale=1e-3)
    (md,) = fit_ordinal(features, grade).terms
    assert md.odds_ratio > 1
    assert md.step == 0.1e-3
    assert 1 < md.profile.low < md.odds_ratio < md.profile.high
    (poor,) = fit_logistic(features, (grade < 3).astype("boolean")).coefficients
    assert poor.odds_ratio < 1


def test_reversing_the_grades_reverses_the_odds_ratio():
    features, grade = patients({"a": 0.8, "b": -0.3})
    forwards, backwards = fit_ordinal(features, grade), fit_ordinal(features, 5 - grade)
    for one, other in zip(forwards.terms, backwards.terms, strict=True):
        assert one.estimate == pytest.approx(-other.estimate, rel=1e-8)
        assert one.profile.low == pytest.approx(1 / other.profile.high, rel=1e-7)
    assert forwards.log_likelihood == pytest.approx(backwards.log_likelihood, rel=1e-12)
    assert forwards.score.omnibus.statistic == pytest.approx(backwards.score.omnibus.statistic, rel=1e-7)


def test_the_unit_of_a_feature_changes_nothing_but_its_coefficient():
    features, grade = patients({"a": 0.8, "b": 0.3})
    one, other = fit_ordinal(features, grade), fit_ordinal(features * 1e-3, grade)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)
    assert other.terms[0].estimate == pytest.approx(1e3 * one.terms[0].estimate, rel=1e-8)
    assert other.terms[0].odds_ratio_per_sd == pytest.approx(one.terms[0].odds_ratio_per_sd, rel=1e-8)
    assert other.brant.omnibus.p == pytest.approx(one.brant.omnibus.p, rel=1e-6)
    thresholds = [found.estimate for found in one.thresholds]
    assert [found.estimate for found in other.thresholds] == pytest.approx(thresholds, rel=1e-8)
    assert all(low < high for low, high in pairwise(thresholds))


def test_profile_interval_ends_where_the_likelihood_ratio_test_turns():
    features, grade = patients({"a": 0.5, "b": 0.3})
    term = fit_ordinal(features, grade, level=0.9).terms[0]
    limit = fit_ordinal(features, grade, level=1 - term.lr_p).terms[0]
    assert min(abs(math.log(limit.profile.low)), abs(math.log(limit.profile.high))) < 1e-6
    ends = [term.profile_per_sd.low, term.profile_per_sd.high]
    assert ends == pytest.approx([term.profile.low**term.sd, term.profile.high**term.sd])


def test_grades_that_nobody_has_are_left_out_of_the_scale():
    features, grade = patients({"a": 0.5}, n_grades=3)
    gaps = fit_ordinal(features, grade.map({0: 0, 1: 3, 2: 5}))
    assert [(t.below, t.above) for t in gaps.thresholds] == [(0, 3), (3, 5)]
    assert [cut.at_least for cut in gaps.cuts] == [3, 5]
    assert gaps.terms[0].estimate == fit_ordinal(features, grade).terms[0].estimate


@pytest.mark.parametrize("n_grades", [1, 2])
def test_fewer_than_three_grades_have_no_model(n_grades):
    features, grade = patients({"a": 0.5, "b": 0.1}, n_grades=n_grades)
    fit = fit_ordinal(features, grade)
    assert math.isnan(fit.terms[0].estimate)
    assert math.isnan(fit.score.omnibus.p)
    assert "3 needed" in fit.issues[0].what


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_handful_of_participants_has_a_defined_result(n):
    features, grade = patients({"a": 0.5})
    fit = fit_ordinal(features.iloc[: n * 40 : 40], grade.iloc[: n * 40 : 40])
    assert fit.n == n
    assert fit.issues
    if n < 3:
        assert math.isnan(fit.terms[0].odds_ratio)


def test_incomplete_participants_are_left_out_and_counted():
    features, grade = patients({"a": 0.5, "b": 0.1})
    features.iloc[0, 0], features.iloc[1, 1] = np.nan, np.inf
    grade.iloc[2] = pd.NA
    fit = fit_ordinal(features, grade)
    assert (fit.n, fit.n_missing) == (117, 2)
    assert sum(count for _, count in fit.counts) == 117


def test_constant_and_repeated_features_are_left_out():
    features, grade = patients({"a": 0.5})
    features = features.assign(flat=3.0, twice=2 * features["a"])
    fit = fit_ordinal(features, grade)
    assert [math.isnan(term.estimate) for term in fit.terms] == [False, True, True]
    assert [issue.where for issue in fit.issues[:2]] == ["flat", "twice"]
    assert fit.terms[0].estimate == pytest.approx(fit_ordinal(features[["a"]], grade).terms[0].estimate)
    only_flat = fit_ordinal(features[["flat"]], grade)
    assert math.isnan(only_flat.aic)


def test_a_feature_that_orders_everybody_has_no_odds_ratio():
    grade = pd.Series(np.repeat([0, 1, 2, 3], 10))
    features = pd.DataFrame({"a": np.arange(40.0), "b": np.tile([0.0, 1.0], 20)})
    fit = fit_ordinal(features, grade)
    assert fit.is_separated
    assert all(math.isnan(term.odds_ratio) for term in fit.terms)
    assert "separation" in fit.issues[0].what


def test_one_separated_cut_leaves_the_model_but_not_brants_test():
    # Everybody of the lowest grade lies below everybody else; higher grades overlap.
    a = np.concatenate([np.linspace(-3, -2, 8), np.tile(np.linspace(-1, 1, 20), 2)])
    grade = pd.Series(np.concatenate([np.zeros(8), np.tile([1, 2, 1, 2, 2], 8)]).astype(int))
    fit = fit_ordinal(pd.DataFrame({"a": a}), grade)
    assert not fit.is_separated
    assert math.isfinite(fit.terms[0].odds_ratio)
    assert [cut.is_separated for cut in fit.cuts] == [True, False]
    assert math.isnan(fit.cuts[0].terms[0].odds_ratio)
    assert math.isnan(fit.brant.omnibus.p)
    assert 0 <= fit.score.omnibus.p <= 1
    assert any("grade ≥ 1" in issue.what for issue in fit.issues)


def test_few_participants_at_a_cut_are_said():
    features, grade = patients({"a": 0.5}, n=48)
    assert any(
        "fewer than 10" in issue.what and "≥ 1, 5" in issue.what for issue in fit_ordinal(features, grade).issues
    )


def test_tests_of_the_assumption_find_an_effect_that_is_at_one_cut_only():
    rng = np.random.default_rng(4)
    a = rng.normal(size=600)
    low = rng.logistic(size=600) + 2 * a > 0
    grade = pd.Series(np.where(low, 1 + (rng.random(600) < 0.5), 0))
    fit = fit_ordinal(pd.DataFrame({"a": a}), grade)
    assert fit.brant.omnibus.p < 1e-3
    assert fit.score.omnibus.p < 1e-3
    assert fit.cuts[0].terms[0].odds_ratio > 2 * fit.cuts[1].terms[0].odds_ratio


def test_of_one_feature_omnibus_and_single_test_are_the_same():
    features, grade = patients({"a": 0.5}, n=300)
    fit = fit_ordinal(features, grade)
    assert dict(fit.brant.features)["a"] == fit.brant.omnibus
    assert dict(fit.score.features)["a"] == fit.score.omnibus


def test_each_feature_alone():
    features, grade = patients({"a": 0.5, "b": 0.1})
    features.iloc[0, 0] = np.nan
    fits = fit_each_ordinal(features, grade)
    assert [(fit.names, fit.n) for fit in fits] == [(("a",), 119), (("b",), 120)]


def test_thousands_of_participants_are_no_problem():
    features, grade = patients({"a": 0.3, "b": 0.0}, n=2000)
    term = fit_ordinal(features, grade).terms[0]
    assert abs(term.estimate * term.sd - 0.3) < 0.2


def test_grades_between_grades_are_refused():
    features, grade = patients({"a": 0.5})
    with pytest.raises(StatisticsError, match="whole numbers"):
        fit_ordinal(features, grade.astype(float) + 0.5)


def test_a_feature_whose_odds_ratio_per_step_is_no_number_keeps_the_one_per_sd():
    features, grade = patients({"a": 1.0}, scale=1e-5)
    (term,) = (found := fit_ordinal(features, grade)).terms
    (usual,) = fit_ordinal(features * 1e5, grade).terms
    assert math.isnan(term.odds_ratio)
    assert term.profile_per_sd.low == pytest.approx(usual.profile_per_sd.low, rel=1e-9)
    assert ["a step of 1 is no finite number" in issue.what for issue in found.issues] == [True]
