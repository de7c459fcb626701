import math

import numpy as np
import pytest
from scipy import stats

from dtimuscle.statistics.effect_sizes import (
    categorical_distance,
    hedges_g,
    small_sample_correction,
    standardised_difference,
)


def test_the_correction_for_small_samples_has_its_exact_values():
    # J(2) = Γ(1) / Γ(1/2) = 1/√π; J(4) = Γ(2) / (√2 Γ(3/2)) = √(2/π)
    assert small_sample_correction(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert small_sample_correction(4) == pytest.approx(math.sqrt(2 / math.pi))


def test_g_is_the_corrected_difference_in_pooled_sds():
    first, second = np.array([1.0, 2, 3, 4]), np.array([3.0, 5, 6, 6, 7])
    pooled = math.sqrt((3 * first.var(ddof=1) + 4 * second.var(ddof=1)) / 7)
    t = stats.ttest_ind(first, second).statistic
    expected = small_sample_correction(7) * (first.mean() - second.mean()) / pooled
    assert hedges_g(t, 4, 5).value == pytest.approx(expected)


@pytest.mark.parametrize(("t", "sizes"), [(-2.5, (31, 69)), (0.4, (3, 4)), (6.0, (10, 8)), (9.0, (300, 700))])
def test_at_the_ends_of_the_interval_t_is_just_possible(t, sizes):
    interval = hedges_g(t, *sizes, level=0.9).interval
    root = math.sqrt(1 / sizes[0] + 1 / sizes[1])
    shares = [stats.nct.cdf(t, sum(sizes) - 2, end / root) for end in (interval.low, interval.high)]
    assert shares == pytest.approx([0.95, 0.05], abs=1e-9)
    assert interval.level == 0.9


def test_the_interval_holds_zero_just_when_t_is_not_significant():
    critical = stats.t.ppf(0.975, 98)
    assert hedges_g(critical * (1 + 1e-9), 31, 69).interval.low > 0
    assert hedges_g(critical * (1 - 1e-9), 31, 69).interval.low < 0


def test_groups_change_places_with_the_sign():
    found, mirrored = hedges_g(2.0, 12, 20), hedges_g(-2.0, 20, 12)
    assert mirrored.value == -found.value
    assert (mirrored.interval.low, mirrored.interval.high) == pytest.approx((-found.interval.high, -found.interval.low))


@pytest.mark.parametrize("t", [50.0, 1e4, 1e9])
def test_groups_worlds_apart_have_a_finite_interval(t):
    found = hedges_g(t, 31, 69)
    # For a large t the interval of its size is that of an SD: χ²/df at the shares of the level.
    ends = np.sqrt(stats.chi2.ppf([0.025, 0.975], 98) / 98) * t * math.sqrt(1 / 31 + 1 / 69)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(ends), rel=0.02 if t < 100 else 1e-4)


def test_tiny_groups_have_an_effect_from_two_against_two_on():
    assert math.isfinite(hedges_g(0.3, 2, 2).interval.low)
    for found in (hedges_g(0.3, 1, 2), hedges_g(math.nan, 9, 9)):
        assert [math.isnan(x) for x in (found.value, found.interval.low, found.interval.high)] == [True] * 3


def test_the_interval_covers_the_true_effect_as_often_as_it_says():
    rng = np.random.default_rng(11)
    poor, good = rng.normal(0.8, 1, (1500, 31)), rng.normal(0, 1, (1500, 69))
    intervals = [hedges_g(t, 31, 69).interval for t in stats.ttest_ind(poor, good, axis=1).statistic]
    assert np.mean([i.low <= 0.8 <= i.high for i in intervals]) == pytest.approx(0.95, abs=0.017)


def test_the_standardised_difference_weighs_both_groups_alike():
    assert standardised_difference((3, 1), (1, 3)) == pytest.approx(2 / math.sqrt(5))
    for undefined in (standardised_difference((3, 1), (0, 0)), standardised_difference((3, 1), (1, math.nan))):
        assert math.isnan(undefined)


def test_two_levels_have_austins_distance():
    p, q = 0.3, 0.6
    expected = abs(p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert categorical_distance(np.array([[3, 7], [12, 8]])) == pytest.approx(expected)


def test_the_distance_does_not_depend_on_the_level_left_out():
    counts = np.array([[5, 9, 3, 2], [11, 4, 6, 8]])
    assert categorical_distance(counts) == pytest.approx(categorical_distance(counts[:, ::-1]))


def test_a_level_that_only_one_group_has_leaves_a_distance_where_others_overlap():
    assert 0 < categorical_distance(np.array([[5, 5, 0], [5, 4, 1]])) < 1


@pytest.mark.parametrize("counts", [[[4, 0], [0, 5]], [[4, 0, 0], [0, 5, 2]], [[0, 0], [3, 4]]])
def test_groups_that_share_no_level_or_nobody_have_no_finite_distance(counts):
    assert math.isnan(categorical_distance(np.array(counts)))


def test_equal_shares_have_distance_zero():
    assert categorical_distance(np.array([[2, 4], [3, 6]])) == pytest.approx(0, abs=1e-12)
    assert categorical_distance(np.array([[4], [5]])) == 0
