import math

import numpy as np
import pytest
from scipy import stats

from dtimuscle.statistics.normality import shapiro_wilk


@pytest.mark.parametrize("n", [3, 4, 5, 6, 11, 12, 31, 500])
def test_the_test_is_scipys_but_for_its_last_digits(n):
    values = np.random.default_rng(n).normal(size=n) ** 3
    expected = stats.shapiro(values)
    found = shapiro_wilk(values)
    assert (found.w, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-6)


def test_place_and_unit_do_not_matter():
    values = np.random.default_rng(1).normal(size=20)
    assert shapiro_wilk(1.7e-3 + 3e-4 * values).p == pytest.approx(shapiro_wilk(values).p, rel=1e-9)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [0.3, 0.3, 0.1 + 0.2]])
def test_too_few_or_constant_values_have_no_test(values):
    found = shapiro_wilk(np.array(values))
    assert math.isnan(found.w)
    assert math.isnan(found.p)


def test_the_approximation_ends_at_five_thousand_values():
    values = np.random.default_rng(2).normal(size=5001)
    assert math.isnan(shapiro_wilk(values).p)
    assert 0 < shapiro_wilk(values[:5000]).p < 1


def test_evenly_spaced_three_values_are_perfectly_normal():
    found = shapiro_wilk(np.array([1.0, 2.0, 3.0]))
    assert (found.w, found.p) == pytest.approx((1, 1))


def test_two_equal_values_of_three_are_as_far_from_normal_as_three_can_be():
    # R: shapiro.test(c(1, 1, 2))
    found = shapiro_wilk(np.array([1.0, 1.0, 2.0]))
    assert found.w == pytest.approx(0.75)
    assert found.p == pytest.approx(0, abs=1e-12)


def test_one_far_value_is_hardly_possible():
    assert shapiro_wilk(np.array([0.0] * 10 + [1.0])).p < 1e-6


def test_under_normality_p_is_uniform():
    rng = np.random.default_rng(3)
    p = [shapiro_wilk(rng.normal(size=31)).p for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)
