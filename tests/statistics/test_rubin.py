import math

import numpy as np
import pytest
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.rubin import rubin, unpooled


def test_total_variance_adds_what_the_data_sets_disagree_about():
    found = rubin([1.0, 2.0, 3.0], [0.5, 0.5, 0.8])
    assert found.estimate == 2
    assert found.within == pytest.approx(0.6)
    assert found.between == pytest.approx(1.0)
    assert found.total == pytest.approx(0.6 + 4 / 3)
    assert found.se == pytest.approx(math.sqrt(0.6 + 4 / 3))


def test_large_samples_have_rubins_degrees_of_freedom():
    found = rubin([1.0, 2.0, 3.0], [0.5, 0.5, 0.8])
    share = (4 / 3) / (0.6 + 4 / 3)
    assert found.df == pytest.approx(2 / share**2)
    assert found.p == pytest.approx(2 * stats.t.sf(2 / found.se, found.df))


def test_small_samples_never_have_more_degrees_of_freedom_than_complete_data():
    for df in (1, 5, 30, 1000):
        assert 0 < rubin([1.0, 1.1, 0.9], [0.5, 0.5, 0.8], n_complete_df=df).df < df


def test_more_disagreement_widens_the_interval_and_loses_information():
    calm, wild = rubin([1.0, 1.1, 0.9], [1.0] * 3), rubin([0.0, 1.0, 2.0], [1.0] * 3)
    assert wild.interval.high - wild.interval.low > calm.interval.high - calm.interval.low
    assert wild.fmi > calm.fmi > 0
    assert wild.relative_efficiency < calm.relative_efficiency < 1


def test_data_sets_that_agree_lose_next_to_nothing():
    found = rubin([0.1] * 20, [0.04] * 20, n_complete_df=98)
    assert found.between == 0
    assert found.total == pytest.approx(0.04)
    # Barnard and Rubin's factor (ν + 1) / (ν + 3), with mice's smallest λ
    assert found.df == pytest.approx(99 / 101 * 98, rel=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_failed_analysis_leaves_the_pooled_one_undefined(bad):
    for found in (rubin([1.0, bad, 2.0], [1.0] * 3), rubin([1.0, 1.5, 2.0], [1.0, bad, 1.0])):
        numbers = (found.estimate, found.total, found.df, found.p, found.fmi, found.interval.low)
        assert all(math.isnan(number) for number in numbers)


def test_estimates_without_variance_are_pooled_without_a_test():
    found = rubin([1.0, 2.0], [0.0, 0.0], n_complete_df=10)
    assert found.estimate == 1.5
    assert math.isnan(found.p)
    assert not found.interval.is_defined


def test_no_degrees_of_freedom_give_no_test():
    found = rubin([1.0, 2.0], [1.0, 1.0], n_complete_df=0)
    assert math.isnan(found.p)
    assert not found.interval.is_defined


@pytest.mark.parametrize(
    ("estimates", "variances", "df"),
    [([1.0], [1.0], 9), ([1.0, 2.0], [1.0], 9), ([1.0, 2.0], [1, -1], 9), ([1, 2], [1, 1], -1)],
)
def test_what_cannot_be_pooled_is_refused(estimates, variances, df):
    with pytest.raises(StatisticsError):
        rubin(estimates, variances, n_complete_df=df)


def test_a_single_analysis_keeps_its_own_interval():
    found = unpooled(1.0, 0.25, df=7)
    np.testing.assert_allclose([found.interval.low, found.interval.high], stats.t.interval(0.95, 7, 1.0, 0.5))
    assert (found.fmi, found.relative_efficiency, found.between, found.n_imputations) == (0, 1, 0, 1)
    assert found.p == pytest.approx(2 * stats.t.sf(2, 7))
