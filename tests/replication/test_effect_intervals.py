import math

import pytest
from scipy import stats

from dtimuscle.replication.criteria import Effect
from dtimuscle.replication.effect_intervals import effect_interval


def test_a_mean_has_the_interval_of_students_distribution():
    mean, sd, n = 1.02, 0.34, 31
    expected = stats.t.interval(0.95, n - 1, loc=mean, scale=sd / math.sqrt(n))
    found = effect_interval(Effect(mean, sd / math.sqrt(n), n - 1, has_neutral=False), "mean")
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


def test_a_correlation_has_the_interval_of_fishers_z():
    # Fisher 1921: z = artanh r with standard error 1 / √(n − 3).
    expected = stats.pearsonr([1, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 7, 5, 6])
    found = effect_interval(Effect(math.atanh(expected.statistic), 1 / math.sqrt(4)), "Fisher z", level=0.9)
    bounds = expected.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), rel=1e-12)
    assert found.level == 0.9


def test_an_odds_ratio_has_an_interval_that_is_symmetric_as_a_ratio():
    found = effect_interval(Effect(math.log(2), 0.3), "log odds ratio")
    assert 2 / found.low == pytest.approx(found.high / 2, rel=1e-12)
