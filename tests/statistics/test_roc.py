import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.roc import combination_curves, compare_aucs, delong_components, roc_curve

POOR = pd.Series([True] * 4 + [False] * 5, dtype="boolean")


def curve(score, poor=POOR, *, higher_is_poor=True, **options):
    return roc_curve(pd.Series(score, dtype=float), poor, name="score", higher_is_poor=higher_is_poor, **options)


def cohort(effect, *, seed=0, n_poor=31, n_good=69):
    rng = np.random.default_rng(seed)
    poor = pd.Series(np.arange(n_poor + n_good) < n_poor, dtype="boolean")
    columns = [f"{muscle}.{parameter}" for muscle in ("gracilis", "sartorius") for parameter in ("fa", "md")]
    noise = rng.normal(size=(poor.size, 4)) - effect * poor.to_numpy(dtype=float)[:, None]
    values = pd.DataFrame(noise, columns=columns)
    values = values * np.array([0.03, 0.3e-3, 0.03, 0.3e-3]) + np.array([0.3, 1.7e-3, 0.3, 1.7e-3])
    grade = pd.Series(np.where(poor, 2, 5), dtype="Int64")
    return FeatureFrame(values, grade, poor, values[[]])


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
    assert [(issue.severity, issue.what[:19]) for issue in found.issues] == [(Severity.NOTE, "AUC 0.100, below 0.")]


def test_youdens_cut_off_has_its_predictive_values():
    found = curve([5, 3, 3, 1, 4, 2, 1, 0, 0]).cut_off
    assert (found.rule, found.threshold) == ("Youden", 2.5)
    assert (found.sensitivity, found.specificity) == (0.75, 0.8)
    assert (found.ppv, found.npv) == (3 / 4, 4 / 5)
    assert found.sensitivity_interval.low < 0.75 < found.sensitivity_interval.high


def test_of_equal_cut_offs_the_most_specific_is_given():
    poor = pd.Series([True, False, True, False], dtype="boolean")
    found = curve([4, 3, 2, 1], poor).cut_off
    assert (found.threshold, found.sensitivity, found.specificity) == (3.5, 0.5, 1.0)


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


def test_a_constant_score_has_no_cut_off():
    found = curve([0.3] * 9)
    assert found.auc.value == 0.5
    assert found.thresholds.tolist() == [np.inf, -np.inf]
    assert math.isnan(found.cut_off.threshold)
    assert math.isnan(found.auc.interval.low)


def test_a_single_event_has_an_auc_and_no_interval():
    found = curve([3, 1, 2, 4], pd.Series([True, False, False, False], dtype="boolean"))
    assert found.auc.value == pytest.approx(2 / 3)
    assert math.isnan(found.auc.interval.high)


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
    assert compare_aucs(a, b, POOR, names=("a", "b")).n == 7


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


def test_the_combination_is_at_least_as_likely_as_its_parts_and_marked_apparent():
    found = combination_curves(cohort(0.7), muscles=("gracilis", "sartorius"))
    likelihoods = {name: model.log_likelihood for name, model in found.models.items()}
    assert likelihoods["fa+md"] > max(likelihoods["fa"], likelihoods["md"])
    assert all(roc.is_apparent and roc.higher_is_poor for roc in found.curves.values())
    assert found.models["fa+md"].names == ("gracilis.fa", "gracilis.md", "sartorius.fa", "sartorius.md")
    assert [(e.kind, e.subject) for e in found.estimates()] == [
        ("auc", "fa"),
        ("auc", "md"),
        ("auc", "fa+md"),
        ("auc_difference", "fa+md - fa"),
        ("auc_difference", "fa+md - md"),
        ("auc_difference", "fa - md"),
    ]


def test_all_three_curves_use_the_same_participants():
    features = cohort(0.7)
    features.values.iloc[[0, 1], 0] = np.nan
    features.values.iloc[[1, 99], 3] = np.nan
    found = combination_curves(features, muscles=("gracilis", "sartorius"))
    assert {(roc.auc.n_events, roc.auc.n_controls) for roc in found.curves.values()} == {(29, 68)}
    assert "3 participant(s) left out" in found.issues[0].what


def test_features_that_separate_the_groups_still_have_their_curves():
    found = combination_curves(cohort(9.0), muscles=("gracilis",))
    assert found.curves["fa+md"].auc.value == 1
    assert found.models["fa+md"].is_separated
    assert found.comparisons[0].name == "fa+md - fa"


def test_a_muscle_that_was_not_measured_is_named_with_those_that_were():
    with pytest.raises(StatisticsError, match=r"adductor_longus\.md is not among .* from gracilis, sartorius"):
        combination_curves(cohort(0.7), muscles=("adductor_longus",))


def test_at_least_one_muscle_is_needed():
    with pytest.raises(StatisticsError, match="a muscle is not among the features"):
        combination_curves(cohort(0.7), muscles=())


def test_nobody_in_a_group_stops_the_curves():
    with pytest.raises(StatisticsError, match="poor muscle function"):
        combination_curves(cohort(0.7, n_poor=0), muscles=("gracilis",))
