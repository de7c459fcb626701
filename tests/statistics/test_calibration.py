import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.statistics.calibration import calibrate, hosmer_lemeshow
from dtimuscle.statistics.logistic import fit_logistic


def patients(n=200, *, seed=0):
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-0.5, 1.2, n)
    poor = pd.Series(rng.random(n) < 1 / (1 + np.exp(-log_odds)), dtype="boolean")
    return pd.Series(log_odds), poor


def probabilities(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def check(predicted, poor, **options):
    return calibrate(
        pd.Series(predicted, dtype=float), pd.Series(poor, dtype="boolean"), name="model", is_apparent=False, **options
    )


def whats(found):
    return " ".join(issue.what for issue in found.issues)


def test_a_fitted_model_has_slope_1_and_intercept_0_where_it_was_fitted():
    log_odds, poor = patients()
    fit = fit_logistic(log_odds.to_frame("x"), poor)
    found = calibrate(fit.probabilities, poor, name="fit", is_apparent=True)
    assert found.slope.value == pytest.approx(1, rel=1e-9)
    assert found.intercept.value == pytest.approx(0, abs=1e-9)
    assert found.in_the_large.value == pytest.approx(0, abs=1e-9)
    assert found.observed_expected == pytest.approx(1, rel=1e-9)
    assert (found.slope.p, found.recalibration_p) == pytest.approx((1, 1), abs=1e-6)


def test_stretched_and_shifted_log_odds_are_undone():
    log_odds, poor = patients()
    straight = check(probabilities(log_odds), poor)
    bent = check(probabilities(2 * log_odds + 1), poor)
    assert bent.slope.value == pytest.approx(straight.slope.value / 2, rel=1e-9)
    assert bent.intercept.value == pytest.approx(straight.intercept.value - straight.slope.value / 2, rel=1e-8)
    assert bent.slope.p < 0.001 < straight.slope.p
    assert bent.recalibration_p < 1e-6


def test_calibration_in_the_large_says_how_far_the_log_odds_are_off():
    log_odds, poor = patients()
    found, shifted = check(probabilities(log_odds), poor), check(probabilities(log_odds - 0.7), poor)
    assert shifted.in_the_large.value == pytest.approx(found.in_the_large.value + 0.7, rel=1e-9)
    assert shifted.observed_expected > found.observed_expected
    assert found.in_the_large.interval.low < found.in_the_large.value < found.in_the_large.interval.high


def test_the_brier_score_is_scaled_by_that_of_the_prevalence():
    poor = [True, True, False, False, False]
    found = check([0.4] * 5, poor)
    assert found.brier == pytest.approx(0.24)
    assert found.brier_scaled == pytest.approx(0)
    assert check([0.9, 0.8, 0.1, 0.2, 0.3], poor).brier == pytest.approx((0.01 + 0.04 + 0.01 + 0.04 + 0.09) / 5)


def test_an_ideal_curve_lies_on_the_diagonal():
    log_odds, poor = patients(4000)
    found = check(probabilities(log_odds), poor)
    assert found.ici < 0.03
    assert np.abs(found.smooth_observed - found.smooth_predicted).max() < 0.1
    assert check(probabilities(3 * log_odds), poor).ici > 0.05


def test_groups_partition_the_participants():
    log_odds, poor = patients(103)
    found = check(probabilities(log_odds), poor).hosmer_lemeshow
    assert sum(group.n for group in found.groups) == 103
    assert sum(group.n_events for group in found.groups) == poor.sum()
    assert {group.n for group in found.groups} == {10, 11}
    for group, following in zip(found.groups, found.groups[1:], strict=False):
        assert group.predicted < following.predicted
        assert group.high == following.low
    for group in found.groups:
        assert group.interval.low <= group.observed <= group.interval.high


def test_two_degrees_of_freedom_are_lost_where_the_model_was_fitted():
    log_odds, poor = patients()
    fitted, elsewhere = (
        hosmer_lemeshow(probabilities(log_odds), poor, name="model", is_apparent=is_apparent)
        for is_apparent in (True, False)
    )
    assert (fitted.df, elsewhere.df) == (8, 10)
    assert fitted.statistic == elsewhere.statistic
    assert fitted.p < elsewhere.p


def test_missing_probabilities_and_groups_are_left_out():
    log_odds, poor = patients(50)
    predicted = probabilities(log_odds)
    predicted[0], predicted[1], poor[2] = np.nan, np.inf, pd.NA
    found = check(predicted, poor)
    assert (found.n, found.n_missing) == (47, 2)
    assert found.probabilities.index.tolist() == list(range(3, 50))
    assert found.is_event.tolist() == poor[3:].tolist()


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_certain_probabilities_have_a_brier_score_and_no_slope(certain):
    found = check([certain, 0.2, 0.4, 0.6, 0.3], [False, False, True, True, False])
    assert math.isfinite(found.brier)
    assert math.isfinite(found.spiegelhalter_z)
    assert math.isnan(found.slope.value)
    assert math.isnan(found.in_the_large.value)
    assert "1 predicted probabilities are exactly 0 or 1" in whats(found)


def test_all_predictions_certain_leave_the_brier_score_only():
    found = check([0, 0, 1, 1], [False, True, True, True])
    assert found.brier == 0.25
    assert math.isnan(found.spiegelhalter_z)
    assert math.isnan(found.hosmer_lemeshow.p)
    assert math.isnan(check([0, 0], [False, True]).observed_expected)


def test_equal_probabilities_have_no_slope_and_no_test():
    found = check([0.4] * 10, [True] * 4 + [False] * 6)
    assert found.in_the_large.value == pytest.approx(0, abs=1e-9)
    assert math.isnan(found.slope.value)
    assert math.isnan(found.hosmer_lemeshow.p)
    assert [group.n for group in found.hosmer_lemeshow.groups] == [10]
    assert "all predicted probabilities are equal" in whats(found)
    assert "no smooth curve" in whats(found)


@pytest.mark.parametrize("predicted", [[0.9, 0.6, 0.5, 0.2], [0.1, 0.2, 0.3, 0.4], [0.9, 0.6, 0.6, 0.2]])
def test_perfect_ranking_has_an_infinite_slope_that_is_not_printed(predicted):
    found = check(predicted, [True, True, False, False])
    assert math.isnan(found.slope.value)
    assert math.isnan(found.recalibration_p)
    assert math.isfinite(found.in_the_large.value)
    assert "rank the groups perfectly" in whats(found)


@pytest.mark.parametrize("outcome", [True, False])
def test_one_outcome_only_leaves_the_brier_score(outcome):
    found = check([0.2, 0.4, 0.6], [outcome] * 3)
    assert math.isfinite(found.brier)
    assert math.isnan(found.brier_scaled)
    assert math.isnan(found.slope.value)
    assert "have one outcome" in whats(found)
    assert {issue.severity for issue in found.issues} <= {Severity.WARNING, Severity.NOTE}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_participants_breaks_nothing(n):
    found = check([0.3, 0.6, 0.4][:n], [False, True, True][:n])
    assert found.n == n
    assert len(found.hosmer_lemeshow.groups) == n
    assert math.isnan(found.hosmer_lemeshow.p) == (n == 1)


def test_sparse_groups_are_mentioned():
    log_odds, poor = patients(31)
    assert "expect less than one of an outcome" in whats(check(probabilities(log_odds), poor))


def test_nobody_with_a_probability_is_an_error():
    with pytest.raises(StatisticsError, match="model: no participant has both a probability and a group"):
        check([np.nan, 0.5], [True, pd.NA])


def test_values_that_are_no_probabilities_are_refused():
    with pytest.raises(StatisticsError, match=r"model: 1\.7 found, probabilities from 0 to 1 needed"):
        check([0.2, 1.7], [True, False])


def test_at_least_two_groups_are_needed():
    with pytest.raises(StatisticsError, match=r"1 group\(s\) asked for"):
        check([0.2, 0.7], [True, False], n_groups=1)


def test_a_quantile_that_falls_on_a_participant_up_to_rounding_is_no_limit_of_its_own():
    # 0.6 × 5 is a little above 3, which R's quantile() does not see.
    found = hosmer_lemeshow(
        pd.Series([0.03] * 4 + [0.98] * 2), pd.Series([False] * 4 + [True] * 2), name="model", n_groups=5
    )
    # R: levels(cut(p, unique(quantile(p, seq(0, 1, 1 / 5))), include.lowest = TRUE)) is "[0.03,0.98]"
    assert [group.n for group in found.groups] == [6]
