import math

import numpy as np
import pytest
from scipy import stats

from dtimuscle.statistics.contingency import compare_counts


def test_large_expected_counts_take_chi_squared_without_continuity():
    counts = np.array([[20, 11], [35, 34]])
    found = compare_counts(counts)
    assert found.method == "chi-squared"
    assert found.p == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)


def test_small_expected_counts_take_fishers_exact_test():
    counts = np.array([[4, 1], [2, 6]])
    found = compare_counts(counts)
    assert found.method == "Fisher exact"
    assert found.p == pytest.approx(stats.fisher_exact(counts).pvalue, rel=1e-10)


def test_fishers_test_of_many_levels_is_what_random_tables_approach():
    counts = np.array([[3, 1, 0, 4, 2], [2, 8, 5, 1, 9]])
    method = stats.MonteCarloMethod(n_resamples=9999, rng=np.random.default_rng(1))
    assert compare_counts(counts).p == pytest.approx(stats.fisher_exact(counts, method=method).pvalue, abs=0.015)


def test_tables_beyond_number_are_drawn_the_same_way_each_time():
    counts = np.array([[7, 3, 4, 4, 5, 3, 2, 4], [9, 8, 7, 9, 8, 10, 9, 2]])
    found = compare_counts(counts)
    assert found.method == "Fisher exact (random tables)"
    assert found == compare_counts(counts)


def test_a_level_that_nobody_has_changes_nothing():
    assert compare_counts(np.array([[4, 0, 1], [2, 0, 6]])) == compare_counts(np.array([[4, 1], [2, 6]]))


@pytest.mark.parametrize("counts", [[[4], [5]], [[0, 0], [3, 4]], [[4, 0], [5, 0]]])
def test_one_level_or_an_empty_group_has_no_test(counts):
    found = compare_counts(np.array(counts))
    assert found.method == ""
    assert math.isnan(found.p)
