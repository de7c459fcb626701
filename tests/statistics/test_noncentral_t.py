import numpy as np
import pytest
from scipy import stats

from dtimuscle.statistics.noncentral_t import share_above


@pytest.mark.parametrize("df", [1, 2, 9, 98, 5000])
@pytest.mark.parametrize("t", [0.0, 0.5, 2.0, 7.0])
@pytest.mark.parametrize("noncentrality", [-1.0, 0.0, 0.3, 4.0])
def test_the_share_is_scipys_where_scipy_has_one(t, df, noncentrality):
    assert share_above(t, df, noncentrality) == pytest.approx(stats.nct.sf(t, df, noncentrality), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("df", [1, 3, 30, 1000])
def test_without_noncentrality_the_tail_is_students_however_far_out(df):
    for alpha in (0.5, 0.05, 1e-4, 1e-9):
        critical = float(stats.t.isf(alpha, df))
        assert share_above(critical, df, 0.0) == pytest.approx(alpha, rel=1e-11)


def test_both_ways_of_integrating_meet():
    # The change from one to the other is at t = 3 √(2 df).
    edge = 3 * np.sqrt(2 * 10)
    below, above = (share_above(edge * (1 + shift), 10, 12.0) for shift in (-1e-9, 1e-9))
    assert below == pytest.approx(above, rel=1e-7)
    assert below > above


def test_far_tails_are_zero_or_one_and_never_nan():
    assert share_above(12.0, 9, -12.0) < 1e-12
    assert share_above(1e6, 5, -20.0) == 0.0
    assert share_above(0.0, 5, 40.0) == 1.0
