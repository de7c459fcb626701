import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dtimuscle.statistics.characteristics import Count, describe_groups

POOR = pd.Series([True] * 6 + [False] * 8 + [pd.NA], dtype="boolean")


def describe(column):
    return describe_groups(pd.DataFrame({"x": column}), POOR)


def test_a_number_is_continuous_and_its_missing_values_are_counted():
    (row,) = describe([*range(5), np.nan, *range(10, 18), 99])
    assert (row.kind, row.level, row.test) == ("continuous", "", "Student t")
    assert (row.poor.n, row.poor.n_missing, row.poor.mean, row.good.n) == (5, 1, 2.0, 8)
    assert row.p == pytest.approx(stats.ttest_ind(range(5), range(10, 18)).pvalue, rel=1e-12)


def test_text_is_counted_level_by_level_without_those_without_group():
    female, male = describe(["F"] * 4 + ["M", None] + ["F"] * 2 + ["M"] * 6 + ["F"])
    assert (female.level, male.level) == ("F", "M")
    assert female.poor == Count(4, 5, 1)
    assert female.poor.share == 0.8
    assert male.good == Count(6, 8, 0)
    assert female.test == "Fisher exact"
    assert female.p == male.p == pytest.approx(stats.fisher_exact([[4, 1], [2, 6]]).pvalue, rel=1e-12)


def test_numbers_of_which_two_occur_are_categories():
    rows = describe([0.0, 1.0] * 7 + [np.nan])
    assert [(row.kind, row.level) for row in rows] == [("categorical", "0"), ("categorical", "1")]


def test_truth_values_are_categories():
    assert [row.level for row in describe([True, False] * 7 + [True])] == ["False", "True"]


def test_many_levels_with_small_counts_are_compared_the_same_way_each_time():
    first, *_ = describe([*"aaabbc", *"abbbcccc", "a"])
    assert first.test == "Fisher exact (random tables)"
    assert first.p == describe([*"aaabbc", *"abbbcccc", "a"])[0].p
    # R: fisher.test(matrix(c(3, 1, 2, 3, 1, 4), 2))$p.value
    assert first.p == pytest.approx(0.333999333999, abs=0.01)


def test_a_column_with_one_level_has_no_test():
    (row,) = describe(["F"] * 15)
    assert (row.poor.n, row.test) == (6, "")
    assert math.isnan(row.p)


def test_a_category_unknown_in_one_group_has_no_test():
    rows = describe([None] * 6 + ["a", "b"] * 4 + ["a"])
    assert [row.test for row in rows] == ["", ""]
    assert math.isnan(rows[0].poor.share)


def test_free_text_describes_nobody():
    assert describe([f"comment {i}" for i in range(15)]) == ()


def test_an_empty_column_of_numbers_keeps_its_row():
    (row,) = describe([np.nan] * 15)
    assert (row.poor.n, row.poor.n_missing, row.test) == (0, 6, "")
