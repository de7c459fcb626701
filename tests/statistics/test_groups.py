import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features, compare_groups, holm, small_sample_correction, summarise

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


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_test_and_effect_size_do_not_depend_on_the_unit(scale):
    values = np.array([1.02, 1.1, 0.9, 1.3, 1.7, 1.6, 1.9, 1.4, 1.2])
    reference, found = compare(values), compare(scale * values)
    assert found.p == pytest.approx(reference.p, rel=1e-9)
    assert found.hedges_g == pytest.approx(reference.hedges_g, rel=1e-9)


def test_a_group_of_one_has_a_mean_and_no_test():
    found = compare([1.0] + [np.nan] * 3 + [2, 3, 4, 5, 6])
    assert found.difference == -3
    assert math.isnan(found.poor.sd)
    assert math.isnan(found.p)
    assert "1 value(s) in the group with poor muscle function, at least 2 needed" in found.issues[0].what


def test_an_empty_group_has_no_test():
    found = compare([1, 2, 3, 4] + [np.nan] * 5)
    assert (found.good.n, found.good.n_missing) == (0, 5)
    assert math.isnan(found.difference)
    assert "0 value(s) in the group with good" in found.issues[0].what


@pytest.mark.parametrize("values", [[0.3] * 9, [0.1] * 4 + [0.2] * 5])
def test_values_that_do_not_vary_within_the_groups_have_no_test(values):
    found = compare(values)
    assert found.difference == pytest.approx(values[0] - values[-1])
    assert [math.isnan(x) for x in (found.t, found.p, found.p_welch, found.hedges_g, found.interval.low)] == [True] * 5
    assert "do not vary" in found.issues[0].what


def test_one_constant_group_can_still_be_compared():
    found = compare([0.3] * 4 + [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (found.t, found.p, found.issues) == (0, 1, ())


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
    assert math.isnan(found[3].p_holm)


def test_an_empty_group_stops_the_comparison_of_all_features():
    with pytest.raises(StatisticsError, match="good muscle function"):
        compare_all_features(frame({"a": np.arange(9)}, pd.Series([True] * 9, dtype="boolean")))


def test_holm_gives_the_textbook_values_and_skips_missing_ones():
    found = holm(np.array([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(found, [0.03, np.nan, 0.06, 0.06])
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_the_correction_for_small_samples_has_its_exact_values():
    # J(2) = Γ(1) / Γ(1/2) = 1/√π; J(4) = Γ(2) / (√2 Γ(3/2)) = √(2/π)
    assert small_sample_correction(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert small_sample_correction(4) == pytest.approx(math.sqrt(2 / math.pi))


def test_a_summary_of_nothing_is_nan():
    found = summarise(np.array([np.nan, np.nan]))
    assert (found.n, found.n_missing) == (0, 2)
    assert math.isnan(found.mean)
    assert math.isnan(found.median)
