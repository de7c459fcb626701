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


def test_many_levels_with_small_counts_have_fishers_exact_test():
    first, *_ = describe([*"aaabbc", *"abbbcccc", "a"])
    assert first.test == "Fisher exact"
    # R: fisher.test(matrix(c(3, 1, 2, 3, 1, 4), 2))$p.value
    assert first.p == pytest.approx(0.333999333999335, rel=1e-12)


def test_numbers_that_are_not_normal_are_compared_by_ranks():
    skewed = [1, 1, 1, 1, 2, 90, 3, 4, 5, 6, 7, 8, 9, 10]
    (row,) = describe([*skewed, 99])
    assert row.test == "Mann–Whitney"
    assert row.p == pytest.approx(stats.mannwhitneyu(skewed[:6], skewed[6:], method="asymptotic").pvalue, rel=1e-10)
    untied = [1, 1.1, 1.2, 1.3, 2, 90, 3, 4, 5, 6, 7, 8, 9, 10]
    assert describe([*untied, 99])[0].test == "Mann–Whitney (exact)"


def test_groups_too_small_to_check_are_compared_by_ranks():
    (row,) = describe([1, 2, *[np.nan] * 4, 4, 5, 7, *[np.nan] * 6])
    assert (row.test, row.poor.n, row.good.n) == ("Mann–Whitney (exact)", 2, 3)
    assert row.p == pytest.approx(0.2)


def test_infinite_numbers_are_missing():
    (row,) = describe([0, 1, 2, 3, 4, np.inf, 5, 6, 7, 8, 9, 10, 11, 12, 13])
    assert (row.poor.n, row.poor.n_missing) == (5, 1)
    assert [row.level for row in describe([0.0, 1.0] * 7 + [np.inf])] == ["0", "1"]


def test_coded_levels_stand_in_the_order_of_their_numbers():
    assert [row.level for row in describe([10, 2] * 7 + [2])] == ["2", "10"]


def test_means_lie_apart_in_units_of_both_groups_spread():
    (row,) = describe([*range(6), *range(2, 10), 99])
    spread = np.sqrt((np.var(range(6), ddof=1) + np.var(range(2, 10), ddof=1)) / 2)
    assert row.standardised_difference == pytest.approx((2.5 - 5.5) / spread)


def test_every_level_carries_the_distance_of_the_whole_category():
    rows = describe([*"aaabbc", *"abbbcccc", "a"])
    assert len({row.standardised_difference for row in rows}) == 1
    assert rows[0].standardised_difference > 0.5
    assert rows[0].issues == ()


def test_a_distance_without_end_is_no_number_and_says_why():
    first, _ = describe([*"aaaaaa", *"bbbbbbbb", "a"])
    assert math.isnan(first.standardised_difference)
    assert first.p < 0.001
    assert "tell them apart without error: no standardised difference" in first.issues[0].what


def test_a_number_that_never_varies_says_why_nothing_is_tested():
    (row,) = describe([7.0] * 15)
    assert (row.kind, row.test) == ("continuous", "")
    assert math.isnan(row.standardised_difference)
    assert "do not vary within the groups: no test and no standardised difference" in row.issues[0].what


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


def test_numbers_that_are_kept_as_objects_are_continuous():
    values = [*range(5), None, *range(10, 18), 99]
    assert describe(pd.Series(values, dtype=object)) == describe(values)
