import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.roc import compare_aucs, compare_independent_aucs, feature_curves, roc_curve

POOR = pd.Series([True] * 4 + [False] * 5, dtype="boolean")


def curve(score, poor=POOR, *, higher_is_poor=True, **options):
    return roc_curve(pd.Series(score, dtype=float), poor, name="score", higher_is_poor=higher_is_poor, **options)


@settings(max_examples=50, deadline=None, database=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
)
def test_the_area_under_the_drawn_curve_is_the_auc(events, controls):
    poor = pd.Series([True] * len(events) + [False] * len(controls), dtype="boolean")
    found = curve(events + controls, poor)
    assert np.trapezoid(found.sensitivity, 1 - found.specificity) == pytest.approx(found.auc.value)
    assert (np.diff(found.thresholds) < 0).all()


def test_thresholds_lie_midway_and_classify_as_the_curve_says():
    score = np.array([5, 3, 3, 1, 4, 2, 1, 0, 0])
    found = curve(score)
    assert found.thresholds.tolist() == [np.inf, 4.5, 3.5, 2.5, 1.5, 0.5, -np.inf]
    for threshold, sensitivity, specificity in zip(found.thresholds, found.sensitivity, found.specificity, strict=True):
        assert sensitivity == pytest.approx((score[:4] > threshold).mean())
        assert specificity == pytest.approx((score[4:] < threshold).mean())


def test_where_lower_is_poor_thresholds_keep_the_unit_of_the_score():
    found = curve([1, 2, 3, 6, 4, 5, 7, 8, 9], higher_is_poor=False)
    assert found.auc.value == pytest.approx(18 / 20)
    assert found.cut_off.threshold == 3.5
    assert (found.cut_off.sensitivity, found.cut_off.specificity) == (0.75, 1.0)
    assert found.thresholds[[0, -1]].tolist() == [-np.inf, np.inf]


def test_a_score_that_points_the_other_way_is_shown_and_not_turned_round():
    found = curve([1, 2, 3, 6, 4, 5, 7, 8, 9])
    assert found.auc.value == pytest.approx(2 / 20)
    assert found.issues[0].severity is Severity.NOTE
    assert found.issues[0].what.startswith("AUC 0.100, below 0.5: the score points the other way")


def test_missing_scores_and_groups_are_left_out():
    poor = pd.Series([True, True, True, False, False, pd.NA], dtype="boolean")
    found = curve([3, 2, np.nan, 1, np.inf, 7], poor)
    assert (found.auc.n_events, found.auc.n_controls, found.n, found.n_missing) == (2, 1, 3, 2)


def test_a_perfect_score_has_no_delong_interval():
    found = curve([9, 8, 7, 6, 5, 4, 3, 2, 1])
    assert found.auc.value == 1
    assert math.isnan(found.auc.interval.low)
    assert found.estimates()[0].interval is None
    assert "DeLong's interval does not exist" in found.issues[0].what


def test_a_perfect_score_still_has_an_exact_interval_from_pairs():
    found = curve([9, 8, 7, 6, 5, 4, 3, 2, 1])
    assert found.auc_logit.method == "exact, independent pairs"
    # Four pairs in order: a score whose AUC is p does that with a probability of at most p ** 4.
    assert found.auc_logit.interval.low**4 == pytest.approx(0.025)
    assert found.auc_logit.interval.high == 1
    assert "From 4 independent pairs it lies between 0.398 and 1.000." in found.issues[0].what
    turned = curve([1, 2, 3, 4, 5, 6, 7, 8, 9]).auc_logit.interval
    assert (turned.low, turned.high) == (0, pytest.approx(1 - found.auc_logit.interval.low))


def test_a_perfect_score_says_that_there_is_no_smooth_curve_and_no_resampling():
    found = curve([9, 8, 7, 6, 5, 4, 3, 2, 1], n_bootstrap=50)
    assert math.isnan(found.binormal.auc)
    assert math.isnan(found.bootstrap.auc.interval.low)
    assert math.isnan(found.bootstrap.standardised.low)
    assert found.bootstrap.band is None
    said = " ".join(issue.what for issue in found.issues)
    assert "no smooth (binormal) curve" in said
    assert "every resample has the same AUC" in said
    assert found.partial.standardised == pytest.approx(1)


def test_a_constant_score_has_no_cut_off():
    found = curve([0.3] * 9)
    assert found.auc.value == 0.5
    assert found.thresholds.tolist() == [np.inf, -np.inf]
    assert not any(cut.is_defined for cut in found.cut_offs)
    assert math.isnan(found.auc.interval.low)
    assert math.isnan(found.auc_logit.interval.low)
    assert (found.partial.value, found.partial.standardised) == pytest.approx((0.02, 0.5))
    assert "no cut-off by Youden, closest to the corner, fixed sensitivity, fixed specificity" in found.issues[1].what


@pytest.mark.parametrize(("n_poor", "n_good"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
def test_tiny_groups_have_numbers_or_none_but_never_a_crash(n_poor, n_good):
    poor = pd.Series([True] * n_poor + [False] * n_good, dtype="boolean")
    for score in itertools.product([0.0, 1.0, 2.0], repeat=n_poor + n_good):
        found = curve(score, poor, n_bootstrap=2)
        assert 0 <= found.auc.value <= 1
        for auc in (found.auc, found.auc_logit, found.bootstrap.auc):
            assert not auc.interval.is_defined or 0 <= auc.interval.low <= auc.interval.high <= 1


def test_a_single_event_has_an_auc_and_no_interval():
    found = curve([3, 1, 2, 4], pd.Series([True, False, False, False], dtype="boolean"))
    assert found.auc.value == pytest.approx(2 / 3)
    assert math.isnan(found.auc.interval.high)
    assert math.isnan(found.auc_logit.interval.high)


def test_the_logit_interval_stays_below_one_and_is_symmetric_on_its_scale():
    found = curve([9, 8, 7, 4, 5, 3, 3, 2, 1], level=0.999)
    bounds = np.array([found.auc_logit.interval.low, found.auc.value, found.auc_logit.interval.high])
    assert bounds[2] < 1
    low, middle, high = np.log(bounds / (1 - bounds))
    assert high - middle == pytest.approx(middle - low)


def test_a_partial_area_below_chance_is_not_standardised():
    found = curve([1, 2, 3, 6, 4, 5, 7, 8, 9], min_specificity=0.5)
    assert found.partial.value == 0
    assert math.isnan(found.partial.standardised)
    assert "above a specificity of 0.5 is below that of chance" in " ".join(issue.what for issue in found.issues)


def test_delongs_interval_ends_at_one():
    found = curve([9, 8, 7, 4, 5, 3, 3, 2, 1], level=0.999)
    assert found.auc.interval.high == 1
    assert found.auc.interval.low < found.auc.value


@pytest.mark.parametrize(("value", "group"), [(True, "good"), (False, "poor")])
def test_an_empty_group_is_named(value, group):
    with pytest.raises(StatisticsError, match=f"score: no participant with {group} muscle function has a value"):
        curve([1, 2], pd.Series([value, value], dtype="boolean"))


def test_a_score_compared_with_itself_shows_no_difference():
    score = pd.Series([5, 3, 3, 1, 4, 2, 1, 0, 0], dtype=float)
    found = compare_aucs(score, 2 * score + 1, POOR, names=("a", "b"))
    assert (found.difference, found.z, found.p, found.interval.low, found.interval.high) == (0, 0, 1, 0, 0)


def test_the_difference_is_first_minus_second_and_turns_its_sign():
    a = pd.Series([5, 3, 3, 1, 4, 2, 1, 0, 0], dtype=float)
    b = pd.Series([1, 3, 0, 1, 4, 2, 1, 0, 0], dtype=float)
    found, turned = (compare_aucs(*pair, POOR, names=("a", "b")) for pair in ((a, b), (b, a)))
    assert found.difference == pytest.approx(curve(a).auc.value - curve(b).auc.value)
    assert found.difference == -turned.difference > 0
    assert (found.z, found.p) == pytest.approx((-turned.z, turned.p))
    (estimate,) = found.estimates()
    assert (estimate.kind, estimate.subject, estimate.n) == ("auc_difference", "a - b", 9)


def test_scores_are_compared_in_the_participants_that_have_both():
    a = pd.Series([5, 3, 3, 1, 4, 2, 1, 0, np.nan])
    b = pd.Series([np.nan, 3, 0, 1, 4, 2, 1, 0, 0])
    found = compare_aucs(a, b, POOR, names=("a", "b"), n_bootstrap=10)
    assert (found.n, found.n_missing) == (7, 2)
    assert found.bootstrap.difference == pytest.approx(found.difference)


def test_a_lower_score_can_stand_for_poor_function_in_either():
    a = pd.Series([5, 3, 3, 1, 4, 2, 1, 0, 0], dtype=float)
    found = compare_aucs(a, -a, POOR, names=("a", "b"), higher_is_poor=(True, False))
    assert (found.difference, found.p) == (0, 1)


def test_opposite_perfect_scores_have_no_test():
    score = pd.Series(np.arange(9.0))
    found = compare_aucs(-score, score, POOR, names=("a", "b"))
    assert found.difference == 1
    assert math.isnan(found.p)
    assert "variance of the difference is zero" in found.issues[0].what


def test_an_auc_of_one_is_not_taken_for_certain_in_a_test():
    b = pd.Series([1, 3, 0, 1, 4, 2, 1, 0, 0], dtype=float)
    found = compare_aucs(pd.Series(np.arange(9.0, 0, -1)), b, POOR, names=("a", "b"))
    assert found.aucs[0] == 1
    assert "counts as certain" in found.issues[0].what


def halves(seed=3):
    rng = np.random.default_rng(seed)
    poor = pd.Series(np.arange(60) % 3 == 0, dtype="boolean")
    return pd.Series(rng.normal(size=60) + 0.8 * poor.astype(float)), poor


def test_two_samples_are_compared_with_the_sum_of_their_variances():
    a, poor = halves()
    b, _ = halves(4)
    found = compare_independent_aucs(a, poor, b.head(40), poor.head(40), names=("a", "b"))
    single = [roc_curve(*part, name="x", higher_is_poor=True) for part in ((a, poor), (b.head(40), poor.head(40)))]
    assert found.difference == pytest.approx(single[0].auc.value - single[1].auc.value)
    se = np.hypot(*((c.auc.interval.high - c.auc.value) / 1.959963984540054 for c in single))
    assert found.z == pytest.approx(found.difference / se)
    assert 40 < found.df < 100
    assert (found.n, found.is_paired, found.method) == (100, False, "DeLong, two samples")


def test_two_samples_resample_on_their_own():
    a, poor = halves()
    found = compare_independent_aucs(a, poor, a, poor, names=("a", "b"), n_bootstrap=2000)
    # The same sample twice: were the draws shared, no difference would be left.
    assert found.bootstrap.interval.low < -0.1 < 0.1 < found.bootstrap.interval.high
    assert found.bootstrap.p == 1


def test_two_samples_without_spread_have_no_test():
    score = pd.Series(np.arange(9.0))
    found = compare_independent_aucs(-score, POOR, score, POOR, names=("a", "b"))
    assert found.difference == 1
    assert math.isnan(found.p)
    assert not found.is_paired


def test_each_feature_is_tried_in_those_who_have_it_and_progress_runs_over_all():
    index = pd.RangeIndex(9)
    values = pd.DataFrame(
        {"gracilis.fa": [1, 2, 3, 6, 4, 5, 7, 8, np.nan], "gracilis.md": np.arange(9) * 1e-4}, index=index
    )
    features = FeatureFrame(values, pd.Series(np.where(POOR, 2, 5), dtype="Int64"), POOR, values[[]])
    told = []
    found = feature_curves(features, muscles=("gracilis",), n_bootstrap=20, progress=lambda *how: told.append(how))
    assert [(c.name, c.n, c.n_missing) for c in found] == [("gracilis.fa", 8, 1), ("gracilis.md", 9, 0)]
    assert told == [(20, 40), (40, 40)]


@pytest.mark.parametrize("setting", ["fixed_sensitivity", "fixed_specificity", "min_specificity"])
def test_a_share_beyond_one_is_refused(setting):
    with pytest.raises(StatisticsError, match=f"{setting} 90"):
        curve([5, 3, 3, 1, 4, 2, 1, 0, 0], **{setting: 90})


def test_a_small_group_is_said_to_be_small():
    poor = pd.Series(np.arange(25) < 10, dtype="boolean")
    score = pd.Series(np.arange(25.0) % 7)
    both = {"names": ("a", "b"), "higher_is_poor": (True, True)}
    for n, is_small in ((25, False), (19, True)):
        part, group = score.tail(n), poor.tail(n)
        found = (
            roc_curve(part, group, name="score", higher_is_poor=True),
            compare_aucs(part, part % 5, group, **both),
            compare_independent_aucs(score, poor, part, group, **both),
        )
        for result in found:
            assert any("only 4 participant(s)" in issue.what for issue in result.issues) == is_small


def test_issues_of_resampling_name_the_pair():
    score = pd.Series(np.arange(9.0))
    found = compare_aucs(-score, score, POOR, names=("fa", "md"), n_bootstrap=10)
    assert {issue.where for issue in found.issues} == {"fa - md"}
