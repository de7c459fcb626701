import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features, compare_groups, count_significant, summarise

POOR = pd.Series([True] * 4 + [False] * 5, dtype="boolean")


def compare(values, poor=POOR, **options):
    return compare_groups(pd.Series(values, dtype=float), poor, name="gracilis.fa", **options)


def frame(values, poor=POOR):
    values = pd.DataFrame(values)
    return FeatureFrame(values, pd.Series(pd.NA, index=values.index, dtype="Int64"), poor, values[[]])


def test_missing_infinite_and_ungrouped_values_take_no_part():
    poor = pd.Series([True, True, True, True, False, False, False, pd.NA], dtype="boolean")
    found = compare([1, 2, 4, np.nan, 5, 8, np.inf, 1000], poor)
    assert (found.poor.n, found.poor.n_missing, found.good.n, found.good.n_missing, found.n) == (3, 1, 2, 1, 5)
    assert found.p == pytest.approx(stats.ttest_ind([1, 2, 4], [5, 8]).pvalue, rel=1e-12)
    assert found.p_welch == pytest.approx(stats.ttest_ind([1, 2, 4], [5, 8], equal_var=False).pvalue, rel=1e-12)


def test_the_difference_is_poor_minus_good():
    found = compare([1, 2, 3, 4, 11, 12, 13, 14, 15])
    assert found.difference == found.poor.mean - found.good.mean == -10.5
    assert found.interval.low < -10.5 < found.interval.high
    assert found.t < 0
    assert found.hedges_g < 0


def test_a_lower_level_narrows_the_interval_and_is_kept_with_it():
    values = [1, 2, 3, 4, 3, 4, 5, 6, 7]
    wide, narrow = compare(values).interval, compare(values, level=0.8).interval
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (wide.level, narrow.level) == (0.95, 0.8)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 1e6, 1e300])
def test_test_and_effect_size_do_not_depend_on_the_unit(scale):
    values = np.array([1.02, 1.1, 0.9, 1.3, 1.7, 1.6, 1.9, 1.4, 1.2])
    reference, found = compare(values), compare(scale * values)
    assert found.p == pytest.approx(reference.p, rel=1e-9)
    assert found.hedges_g == pytest.approx(reference.hedges_g, rel=1e-9)
    assert found.poor.sd / scale == pytest.approx(reference.poor.sd, rel=1e-9)
    assert found.interval.low / scale == pytest.approx(reference.interval.low, rel=1e-9)
    assert found.welch.interval.high / scale == pytest.approx(reference.welch.interval.high, rel=1e-9)


def reasons(found):
    return " ".join(issue.what for issue in found.issues)


def test_a_group_of_one_rests_on_the_spread_of_the_other_and_says_so():
    found = compare([1.0] + [np.nan] * 3 + [2, 3, 4, 5, 6])
    assert found.difference == -3
    assert math.isnan(found.poor.sd)
    # R: t.test(1, 2:6, var.equal = TRUE), wilcox.test(1, 2:6)
    assert (found.t, found.df) == pytest.approx((-math.sqrt(3), 4))
    assert found.mann_whitney.p == pytest.approx(1 / 3)
    assert (found.auc.value, math.isnan(found.p_welch)) == (1, True)
    assert "rests on the spread of the other alone" in found.issues[0].what
    assert "1 value(s) in the group with poor muscle function, at least 2 needed: no Welch's t test" in reasons(found)
    assert "3 to 5000 needed: no Shapiro–Wilk test (poor)" in reasons(found)


def test_an_empty_group_has_no_test():
    found = compare([1, 2, 3, 4] + [np.nan] * 5)
    assert (found.good.n, found.good.n_missing) == (0, 5)
    numbers = (found.difference, found.p, found.p_welch, found.mann_whitney.u, found.auc.value, found.hedges_g)
    assert [math.isnan(x) for x in numbers] == [True] * 6
    assert "0 value(s) in the group with good" in found.issues[0].what
    assert found.shapiro_poor.p > 0.9


def test_two_against_two_have_all_that_two_can_have():
    found = compare([1, 2, np.nan, np.nan, 4, 6, np.nan, np.nan, np.nan])
    assert not any(math.isnan(x) for x in (found.p, found.p_welch, found.mann_whitney.p, found.hedges_g))
    assert [math.isnan(x) for x in (found.brown_forsythe.p, found.shapiro_poor.p)] == [True, True]
    assert "the distances from the medians do not vary: no Brown–Forsythe test" in reasons(found)
    # Two pairs in order: the lower end of Clopper and Pearson's interval for 2 of 2.
    assert (found.auc.interval.low, found.auc.interval.high) == pytest.approx((math.sqrt(0.025), 1))
    assert "the exact interval for independent pairs instead of DeLong's" in reasons(found)


def test_a_single_value_among_the_others_has_an_auc_without_interval():
    found = compare([4.5] + [np.nan] * 3 + [2, 3, 4, 5, 6])
    assert found.auc.value == pytest.approx(0.4)
    assert math.isnan(found.auc.interval.low)
    assert "no Welch's t test, Brown–Forsythe test, interval of the AUC" in reasons(found)


def test_groups_that_each_have_one_value_still_have_ranks():
    found = compare([0.1] * 4 + [0.2] * 5)
    assert math.isnan(found.p)
    assert found.auc.value == 1
    # R: wilcox.test(rep(.1, 4), rep(.2, 5), exact = FALSE)
    assert found.mann_whitney.p == pytest.approx(0.00720957076474253, rel=1e-12)


def test_equal_values_are_tied_whatever_rounding_has_left_of_them():
    found = compare([0.1 + 0.2] * 4 + [0.3] * 5)
    assert found.auc.value == 0.5
    assert math.isnan(found.mann_whitney.p)
    assert "all values are equal: no Mann–Whitney test, interval of the AUC" in reasons(found)


@pytest.mark.parametrize("values", [[0.3] * 9, [0.1] * 4 + [0.2] * 5])
def test_values_that_do_not_vary_within_the_groups_have_no_test(values):
    found = compare(values)
    assert found.difference == pytest.approx(values[0] - values[-1])
    assert [math.isnan(x) for x in (found.t, found.p, found.p_welch, found.hedges_g, found.interval.low)] == [True] * 5
    assert "do not vary" in found.issues[0].what


def test_one_constant_group_can_still_be_compared():
    found = compare([3.0] * 4 + [1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.t, found.p) == (0, 1)
    assert (
        reasons(found) == "the values do not vary in the group with poor muscle function: no Shapiro–Wilk test (poor)."
    )


def test_what_is_whole_has_no_issue():
    assert compare([1, 2, 3, 4, 3, 4, 5, 6.5, 7]).issues == ()


def test_more_values_than_shapiro_and_wilk_allow_leave_the_rest_untouched():
    rng = np.random.default_rng(2)
    poor = pd.Series([True] * 5001 + [False] * 20, dtype="boolean")
    found = compare(rng.normal(size=5021), poor)
    assert math.isnan(found.shapiro_poor.p)
    assert "5001 value(s) in the group with poor muscle function, 3 to 5000 needed" in reasons(found)
    assert not any(math.isnan(x) for x in (found.p, found.mann_whitney.p, found.shapiro_good.p, found.g_interval.low))


def test_the_auc_is_the_share_of_pairs_in_which_poor_function_has_the_lower_value():
    poor, good = [1, 2, 3, 4], [3, 4, 5, 6, 7]
    pairs = [(a < b) + (a == b) / 2 for a in poor for b in good]
    found = compare([*poor, *good])
    assert found.auc.value == pytest.approx(np.mean(pairs))
    assert (found.auc.n_events, found.auc.n_controls) == (4, 5)
    assert compare([*good, *poor], pd.Series([True] * 5 + [False] * 4, dtype="boolean")).auc.value < 0.5


def test_the_unit_changes_no_rank_no_check_and_no_interval_of_an_effect():
    rng = np.random.default_rng(3)
    values = 1.7 + 0.3 * rng.normal(size=9)
    reference, found = compare(values), compare(1e-3 * values)
    for item in (reference, found):
        assert not math.isnan(item.shapiro_good.p)
    pairs = [
        (item.mann_whitney.p, item.shapiro_poor.p, item.brown_forsythe.p, item.g_interval.low, item.auc.interval.high)
        for item in (reference, found)
    ]
    assert pairs[0] == pytest.approx(pairs[1], rel=1e-9)


def test_the_estimates_are_two_means_and_their_difference():
    found = compare([1, 2, 3, 4, 3, 4, 5, 6, 7])
    poor, good, difference = found.estimates()
    assert (poor.kind, poor.group, poor.value, poor.sd, poor.n) == ("mean", "poor", 2.5, found.poor.sd, 4)
    assert (good.group, good.value, good.n) == ("good", 5.0, 5)
    assert (difference.kind, difference.value, difference.p, difference.n) == ("difference", -2.5, found.p, 9)
    assert difference.interval == found.interval


def test_every_feature_is_compared_and_adjusted_for_their_number():
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=9) for name in "abc"} | {"constant": np.ones(9)}
    found = compare_all_features(frame(values))
    assert [comparison.feature for comparison in found] == ["a", "b", "c", "constant"]
    smallest = min(found[:3], key=lambda comparison: comparison.p)
    assert smallest.p_holm == pytest.approx(min(3 * smallest.p, 1))
    assert (found[3].p_holm, found[3].p_bh) == pytest.approx((math.nan, math.nan), nan_ok=True)
    largest = max(found[:3], key=lambda comparison: comparison.p)
    assert largest.p_bh == pytest.approx(largest.p)


def test_significant_tests_are_counted_before_and_after_correction():
    found = compare_all_features(frame({"a": np.arange(9), "b": [0, 1, 2, 9, 3, 4, 5, 6, 7], "c": np.ones(9)}))
    counts = count_significant(found)
    assert (counts.n_tests, counts.n_raw, counts.n_holm, counts.n_bh) == (2, 1, 1, 1)
    assert counts.n_by_chance == pytest.approx(0.1)


def test_an_empty_group_stops_the_comparison_of_all_features():
    with pytest.raises(StatisticsError, match="good muscle function"):
        compare_all_features(frame({"a": np.arange(9)}, pd.Series([True] * 9, dtype="boolean")))


def test_a_summary_of_nothing_is_nan():
    found = summarise(np.array([np.nan, np.nan]))
    assert (found.n, found.n_missing) == (0, 2)
    assert math.isnan(found.mean)
    assert math.isnan(found.median)
