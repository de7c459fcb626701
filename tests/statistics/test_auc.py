import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtimuscle.statistics.auc import (
    delong_components,
    delong_interval,
    exact_pairs_interval,
    logit_delong_interval,
)


def pairwise_auc(events, controls):
    comparisons = np.sign(np.subtract.outer(events, controls))
    return float((comparisons + 1).mean() / 2)


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
)
def test_components_are_shares_of_pairs_whatever_the_ties(events, controls):
    scores = np.array([events + controls], dtype=float)
    is_event = np.arange(scores.size) < len(events)
    found = delong_components(scores, is_event)
    assert found.auc[0] == pytest.approx(pairwise_auc(events, controls))
    assert found.events[0] == pytest.approx([pairwise_auc([event], controls) for event in events])
    assert found.controls[0] == pytest.approx([pairwise_auc(events, [control]) for control in controls])


def test_the_variance_of_one_score_is_that_of_its_components():
    found = delong_components(np.array([[5.0, 3, 3, 1, 4, 2, 1, 0, 0]]), np.arange(9) < 4)
    expected = found.events[0].var(ddof=1) / 4 + found.controls[0].var(ddof=1) / 5
    assert found.variance_of(np.ones(1)) == pytest.approx(expected)


def test_rounding_is_no_variance():
    found = delong_components(np.array([[5.0, 3, 3, 1, 4, 2, 1, 0, 0]] * 2), np.arange(9) < 4)
    assert found.variance_of(np.array([0.1 + 0.2, -0.3])) == 0


@pytest.mark.parametrize("interval", [delong_interval, logit_delong_interval])
@pytest.mark.parametrize("variance", [0.0, math.nan])
def test_without_variance_there_is_no_interval(interval, variance):
    assert not interval(1.0, variance).is_defined


def test_delongs_interval_is_cut_off_and_the_logit_one_need_not_be():
    assert delong_interval(0.95, 0.01).high == 1
    found = logit_delong_interval(0.95, 0.01)
    assert 0 < found.low < 0.75
    assert 0.95 < found.high < 1


@pytest.mark.parametrize("p", [0.8, 0.9, 0.97])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 8), (20, 11)])
def test_the_exact_interval_misses_no_more_often_than_it_says(p, sizes):
    low = exact_pairs_interval(1.0, n_events=sizes[0], n_controls=sizes[1], level=0.9).low
    # It misses if all pairs are in order although the AUC is below the bound.
    all_in_order = p ** min(sizes)
    assert low <= p or all_in_order <= 0.05 + 1e-12


def test_only_an_auc_of_zero_or_one_has_the_exact_interval():
    assert not exact_pairs_interval(0.99, n_events=31, n_controls=69).is_defined
