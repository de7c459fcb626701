import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from dtimuscle.statistics.two_samples import (
    EXACT,
    NORMAL,
    brown_forsythe,
    mann_whitney,
    mean_difference,
    student_t,
    welch_t,
)

RNG = np.random.default_rng(7)
FIRST, SECOND = RNG.normal(size=12), RNG.normal(0.5, 2, size=9)


@pytest.mark.parametrize(("test", "equal"), [(student_t, True), (welch_t, False)])
def test_t_tests_are_those_of_scipy(test, equal):
    found, expected = test(FIRST, SECOND, level=0.9), stats.ttest_ind(FIRST, SECOND, equal_var=equal)
    ends = expected.confidence_interval(0.9)
    assert (found.t, found.df, found.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue), rel=1e-10)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(ends), rel=1e-9)


def test_student_with_one_value_rests_on_the_other_group():
    found = student_t(np.array([1.0]), np.array([2.0, 3.0, 4.0, 5.0, 6.0]))
    # R: t.test(1, 2:6, var.equal = TRUE)
    assert (found.t, found.df, found.p) == pytest.approx((-1.7320508075688772, 4, 0.15830242337545788))


@pytest.mark.parametrize(
    ("first", "second"), [([], [1, 2]), ([1], [2]), ([1, 1], [2, 2]), ([1], [2, 2]), ([0.1 + 0.2, 0.3], [0.3, 0.3])]
)
def test_means_without_spread_have_no_test(first, second):
    for test in (student_t, welch_t):
        found = test(np.array(first, dtype=float), np.array(second, dtype=float))
        assert [math.isnan(x) for x in (found.t, found.df, found.p, found.interval.low)] == [True] * 4


def test_welch_needs_two_values_in_each_group():
    assert math.isnan(welch_t(np.array([1.0]), SECOND).p)


def test_welch_survives_spreads_of_any_size():
    reference, found = welch_t(FIRST, SECOND), welch_t(1e-120 * FIRST, 1e-120 * SECOND)
    assert (found.t, found.df, found.p) == pytest.approx((reference.t, reference.df, reference.p), rel=1e-9)


def test_exact_ranks_count_all_arrangements():
    first, second = np.array([0.1, 0.7, 0.4]), np.array([0.5, 0.9, 1.3, 0.8])
    found = mann_whitney(first, second)
    pooled = np.concatenate([first, second])
    arrangements = [
        sum(pooled[i] > pooled[j] for i in chosen for j in set(range(7)) - set(chosen))
        for chosen in combinations(range(7), 3)
    ]
    distance = abs(np.array(arrangements) - 6)
    assert found.u == 1
    assert found.p == pytest.approx((distance >= 5).mean())
    assert found.method == EXACT


@pytest.mark.parametrize(("n", "method"), [(49, EXACT), (50, NORMAL)])
def test_ranks_are_exact_below_fifty_values(n, method):
    values = np.random.default_rng(n).normal(size=n)
    assert mann_whitney(values, values[:5] + 0.01).method == method


def test_tied_ranks_are_those_of_scipy_with_continuity():
    first, second = np.round(FIRST), np.round(SECOND)
    expected = stats.mannwhitneyu(first, second, method="asymptotic", use_continuity=True)
    found = mann_whitney(first, second)
    assert (found.u, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert found.method == NORMAL


def test_ranks_in_balance_have_p_one():
    assert mann_whitney(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0, 3.0])).p == 1


def test_ranks_of_equal_values_have_no_test():
    found = mann_whitney(np.full(4, 0.3), np.full(5, 0.3))
    assert (found.u, found.method) == (10, "")
    assert math.isnan(found.p)
    assert math.isnan(mann_whitney(np.array([]), SECOND).u)


def test_the_smallest_groups_have_ranks():
    assert mann_whitney(np.array([1.0]), np.array([2.0])).p == 1
    assert mann_whitney(np.array([1.0]), np.array([2.0, 3.0])).p == pytest.approx(2 / 3)


def test_brown_and_forsythe_is_levene_about_the_median():
    expected = stats.levene(FIRST, SECOND, center="median")
    found = brown_forsythe(FIRST, SECOND)
    assert (found.f, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


@pytest.mark.parametrize(("first", "second"), [([1], [2, 3, 4]), ([1, 1.1], [5, 7]), ([1, 1, 1], [2, 2, 2])])
def test_spread_that_cannot_be_compared_has_no_test(first, second):
    assert math.isnan(brown_forsythe(np.array(first, dtype=float), np.array(second, dtype=float)).p)


def test_large_values_that_differ_little_keep_the_digits_in_which_they_differ():
    # Numbers with few binary digits, so that the large values are exact.
    first, second = (np.round(values * 2**20) / 2**20 for values in (FIRST, SECOND))
    found, expected = student_t(first + 2**30, second + 2**30), student_t(first, second)
    assert found.t == pytest.approx(expected.t, rel=1e-13)
    assert mean_difference(first + 2**30, second + 2**30) == pytest.approx(first.mean() - second.mean(), rel=1e-13)
