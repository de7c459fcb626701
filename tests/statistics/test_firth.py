import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.firth import fit_firth
from dtimuscle.statistics.logistic import fit_logistic


def groups(values, n_good, name="a"):
    return pd.DataFrame({name: values}), pd.Series(np.arange(len(values)) >= n_good, dtype="boolean")


def test_two_by_two_tables_get_half_a_participant_in_each_cell():
    # A saturated model: Jeffreys' prior adds 1/2 to each cell (Heinze & Schemper 2002).
    x, poor = groups([0.0] * 9 + [1.0] + [0.0] * 4 + [1.0] * 6, 10)
    (a,) = fit_firth(x, poor).coefficients
    assert a.odds_ratio == pytest.approx((6.5 / 1.5) / (4.5 / 9.5), rel=1e-10)


def test_an_empty_cell_has_a_finite_odds_ratio():
    x, poor = groups([0.0] * 10 + [0.0] * 4 + [1.0] * 6, 10)
    fit = fit_firth(x, poor)
    (a,) = fit.coefficients
    assert a.odds_ratio == pytest.approx((6.5 / 0.5) / (4.5 / 10.5), rel=1e-10)
    assert 1 < a.profile.low < a.odds_ratio < a.profile.high < math.inf
    assert 0 < a.p < 0.05
    assert fit.issues == ()


def test_complete_separation_has_finite_estimates_and_intervals():
    x, poor = groups(np.arange(20.0), 10)
    fit = fit_firth(x, poor)
    (a,) = fit.coefficients
    assert fit_logistic(x, poor).separation == "complete"
    assert 1 < a.profile.low < a.odds_ratio < a.profile.high < math.inf
    assert fit.probabilities.between(0, 1, inclusive="neither").all()


def test_swapping_the_outcome_turns_the_log_odds_round():
    rng = np.random.default_rng(5)
    x = pd.DataFrame(rng.normal(size=(40, 2)), columns=["a", "b"])
    poor = pd.Series(rng.random(40) < 0.3, dtype="boolean")
    found, turned = fit_firth(x, poor), fit_firth(x, ~poor)
    for one, other in zip(found.coefficients, turned.coefficients, strict=True):
        assert other.estimate == pytest.approx(-one.estimate, rel=1e-9)
        assert other.profile.low == pytest.approx(1 / one.profile.high, rel=1e-9)
        assert other.p == pytest.approx(one.p, rel=1e-9)


def test_the_scale_of_mm2_per_s_changes_nothing_but_the_unit():
    rng = np.random.default_rng(6)
    md = pd.DataFrame({"gracilis.md": 1.7e-3 + 0.3e-3 * rng.normal(size=50)})
    poor = pd.Series(rng.random(50) < 0.4, dtype="boolean")
    (small,), (large,) = fit_firth(md, poor).coefficients, fit_firth(md * 1e3, poor).coefficients
    assert small.estimate == pytest.approx(1e3 * large.estimate, rel=1e-9)
    assert small.odds_ratio_per_sd == pytest.approx(large.odds_ratio_per_sd, rel=1e-9)
    assert small.odds_ratio == pytest.approx(math.exp(small.estimate * 1e-4), rel=1e-12)


def test_with_many_participants_it_is_nearly_maximum_likelihood():
    rng = np.random.default_rng(7)
    x = pd.DataFrame({"a": rng.normal(size=4000)})
    poor = pd.Series(rng.random(4000) < 1 / (1 + np.exp(-x["a"])), dtype="boolean")
    (a,), (b,) = fit_firth(x, poor).coefficients, fit_logistic(x, poor).coefficients
    assert a.estimate == pytest.approx(b.estimate, rel=2e-3)
    assert a.profile.low == pytest.approx(b.profile.low, rel=2e-3)


def test_one_group_only_has_no_fit():
    x, poor = groups([1.0, 2.0, 3.0], 0)
    fit = fit_firth(x, poor)
    assert math.isnan(fit.coefficients[0].odds_ratio)
    assert "both groups are needed (3 of 3" in fit.issues[0].what


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_handful_of_participants_has_finite_odds_ratios(n):
    rng = np.random.default_rng(n)
    x = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    fit = fit_firth(x, pd.Series(np.arange(n) % 2 == 0, dtype="boolean"))
    assert fit.df == min(n - 1, 3)
    assert [math.isfinite(c.odds_ratio_per_sd) for c in fit.coefficients] == [i < n - 1 for i in range(3)]


def test_what_adds_nothing_is_left_out_and_intervals_can_be_skipped():
    x, poor = groups(np.arange(20.0) % 7, 10)
    fit = fit_firth(x.assign(twice=2 * x["a"]), poor, profile=False)
    assert [math.isnan(c.estimate) for c in fit.coefficients] == [False, True]
    assert math.isnan(fit.coefficients[0].p)
    assert not fit.coefficients[0].profile.is_defined
    assert [issue.where for issue in fit.issues] == ["twice"]


def test_a_feature_whose_odds_ratio_per_step_is_no_number_says_so():
    rng = np.random.default_rng(0)
    poor = pd.Series(rng.random(60) < 0.5)
    found = fit_firth(pd.DataFrame({"volume": 1e-5 * (rng.normal(size=60) + poor)}), poor)
    assert math.isnan(found.coefficients[0].odds_ratio)
    assert found.coefficients[0].profile_per_sd.is_defined
    assert ["a step of 1 is no finite number" in issue.what for issue in found.issues] == [True]
