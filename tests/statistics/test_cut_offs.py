import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.cut_offs import choose_cut_offs, clopper_pearson, cut_off_issues
from dtimuscle.statistics.roc import roc_curve

POOR = pd.Series([True] * 4 + [False] * 5, dtype="boolean")


def cut_offs(score, poor=POOR, **options):
    return roc_curve(pd.Series(score, dtype=float), poor, name="score", higher_is_poor=True, **options).cut_offs


def test_youdens_cut_off_has_its_counts_and_predictive_values():
    found = cut_offs([5, 3, 3, 1, 4, 2, 1, 0, 0])[0]
    assert (found.rule, found.threshold) == ("Youden", 2.5)
    assert (found.true_positives, found.false_negatives) == (3, 1)
    assert (found.true_negatives, found.false_positives) == (4, 1)
    assert (found.sensitivity, found.specificity) == (0.75, 0.8)
    assert (found.ppv, found.npv) == (3 / 4, 4 / 5)
    assert found.sensitivity_interval.low < 0.75 < found.sensitivity_interval.high


def test_of_equal_cut_offs_the_most_specific_is_given():
    poor = pd.Series([True, False, True, False], dtype="boolean")
    youden, closest, *_ = cut_offs([4, 3, 2, 1], poor)
    assert (youden.threshold, youden.sensitivity, youden.specificity) == (3.5, 0.5, 1.0)
    assert (closest.threshold, closest.sensitivity, closest.specificity) == (3.5, 0.5, 1.0)


def test_rules_of_balance_can_disagree():
    # (0.5, 1) has the higher index, (0.75, 0.7) is closer to the corner.
    poor = pd.Series([True] * 4 + [False] * 10, dtype="boolean")
    youden, closest, *_ = cut_offs([9, 8, 6, 0, *[7] * 3, *[1] * 7], poor)
    assert (youden.sensitivity, youden.specificity) == (0.5, 1)
    assert (closest.sensitivity, closest.specificity) == (0.75, 0.7)


def test_fixed_shares_are_reached_at_the_least_price():
    score = [9, 7, 5, 3, 8, 6, 4, 2, 1]
    *_, sensitive, specific = cut_offs(score, fixed_sensitivity=0.75, fixed_specificity=0.6)
    assert (sensitive.sensitivity, sensitive.specificity, sensitive.threshold) == (0.75, 0.6, 4.5)
    assert (specific.sensitivity, specific.specificity, specific.threshold) == (0.75, 0.6, 4.5)
    assert (sensitive.target, specific.target) == (0.75, 0.6)


def test_a_fixed_share_takes_what_else_comes_for_free():
    # At a specificity of 1 both thresholds above the controls qualify; the lower one finds more.
    found = cut_offs([9, 8, 7, 1, 5, 4, 3, 2, 0], fixed_sensitivity=0.25)[2]
    assert (found.sensitivity, found.specificity) == (0.75, 1)


def test_a_share_that_is_hit_but_for_rounding_counts():
    poor = pd.Series([True] * 10 + [False] * 10, dtype="boolean")
    found = cut_offs(np.r_[np.full(9, 5), 0, np.full(10, 3)], poor, fixed_sensitivity=0.3 + 0.6)[2]
    assert found.sensitivity == 0.9


def test_calling_everybody_poor_is_no_cut_off():
    *_, sensitive, specific = cut_offs([1, 6, 7, 8, 9, 5, 4, 3, 2])
    assert not sensitive.is_defined
    assert not specific.is_defined
    assert math.isnan(sensitive.lr_negative_interval.high)


@given(st.lists(st.integers(0, 5), min_size=9, max_size=9))
def test_no_threshold_beats_the_chosen_ones(score):
    found = dict(zip(("youden", "closest", "sensitive", "specific"), cut_offs(score), strict=True))
    values = np.array(score)
    points = [
        ((values[:4] > t).mean(), (values[4:] < t).mean()) for t in (np.unique(values)[1:] + np.unique(values)[:-1]) / 2
    ]
    if not points:
        assert not any(cut.is_defined for cut in found.values())
        return
    assert found["youden"].sensitivity + found["youden"].specificity == pytest.approx(max(map(sum, points)))
    distance = math.hypot(1 - found["closest"].sensitivity, 1 - found["closest"].specificity)
    assert distance == pytest.approx(min(math.hypot(1 - a, 1 - b) for a, b in points))
    reached = [b for a, b in points if a >= 0.9]
    assert found["sensitive"].is_defined == bool(reached)
    assert not reached or found["sensitive"].specificity == max(reached)
    reached = [a for a, b in points if b >= 0.9]
    assert found["specific"].is_defined == bool(reached)
    assert not reached or found["specific"].sensitivity == max(reached)


def test_likelihood_ratios_have_an_interval_that_is_symmetric_on_the_log_scale():
    found = cut_offs([5, 3, 3, 1, 4, 2, 1, 0, 0])[0]
    assert found.lr_positive == pytest.approx(0.75 / 0.2)
    assert found.lr_negative == pytest.approx(0.25 / 0.8)
    for ratio, bounds in (
        (found.lr_positive, found.lr_positive_interval), (found.lr_negative, found.lr_negative_interval)
    ):  # fmt: skip
        assert bounds.low * bounds.high == pytest.approx(ratio**2)
    spread = math.log(found.lr_positive_interval.high / found.lr_positive) / stats.norm.ppf(0.975)
    assert spread**2 == pytest.approx(1 / 3 - 1 / 4 + 1 / 1 - 1 / 5)


def test_empty_cells_never_make_an_infinite_ratio():
    found = cut_offs([9, 8, 7, 6, 5, 4, 3, 2, 1])[0]
    assert (found.sensitivity, found.specificity) == (1, 1)
    assert math.isnan(found.lr_positive)
    assert found.lr_negative == 0
    assert not found.lr_positive_interval.is_defined
    assert not found.lr_negative_interval.is_defined
    assert found.ppv_interval.high == 1


def test_a_test_that_is_worse_than_none_says_so():
    score, poor = pd.Series([1.0, 2, 8, 9]), pd.Series([True, True, False, False], dtype="boolean")
    found = roc_curve(score, poor, name="score", higher_is_poor=True)
    assert "no better than calling everybody poor" in " ".join(issue.what for issue in found.issues)
    assert not cut_off_issues(cut_offs([9, 8, 7, 6, 5, 4, 3, 2, 1]), name="score")


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 31), (31, 31), (3, 4), (1, 5000), (2500, 5000)])
def test_the_exact_interval_inverts_the_binomial_test(successes, n):
    found = clopper_pearson(successes, n)
    assert (found.low == 0) == (successes == 0)
    assert (found.high == 1) == (successes == n)
    if successes > 0:
        assert stats.binom.sf(successes - 1, n, found.low) == pytest.approx(0.025)
    if successes < n:
        assert stats.binom.cdf(successes, n, found.high) == pytest.approx(0.025)


def test_no_trial_has_no_interval():
    assert not clopper_pearson(0, 0).is_defined


def test_a_thousand_times_as_many_participants_choose_alike():
    thresholds = np.array([np.inf, 3.5, 2.5, -np.inf])
    hits, rejections = np.array([0, 2, 4, 5]), np.array([5, 4, 3, 0])
    small, large = (
        choose_cut_offs(thresholds, hits * k, rejections * k, n_events=5 * k, n_controls=5 * k) for k in (1, 1000)
    )
    for one, other in itertools.zip_longest(small, large):
        assert one.threshold == pytest.approx(other.threshold, nan_ok=True)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(StatisticsError, match="above 0 and at most 1 needed"):
        cut_offs([9, 8, 7, 6, 5, 4, 3, 2, 1], fixed_specificity=share)
