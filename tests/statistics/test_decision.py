import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.decision import THRESHOLDS, decision_curve

POOR = pd.Series([True, True, True, False, False, False, False, False], dtype="boolean")
PREDICTED = pd.Series([0.9, 0.6, 0.2, 0.7, 0.3, 0.2, 0.1, 0.1])


def curve(predicted=PREDICTED, poor=POOR, **options):
    return decision_curve(pd.Series(predicted, dtype=float), poor, name="model", is_apparent=False, **options)


def test_net_benefit_weighs_false_positives_by_the_odds_of_the_threshold():
    found = curve(thresholds=(0.25, 0.5))
    assert found.net_benefit == pytest.approx([2 / 8 - 2 / 8 / 3, 2 / 8 - 1 / 8])
    assert found.treat_all == pytest.approx([3 / 8 - 5 / 8 / 3, 3 / 8 - 5 / 8])
    assert found.prevalence == 3 / 8


def test_who_is_at_the_threshold_is_treated():
    assert curve(thresholds=(0.6,)).net_benefit == pytest.approx([2 / 8 - 1 / 8 * 1.5])
    assert curve(thresholds=(0.6000001,)).net_benefit[0] < 1 / 8 - 1 / 8 * 1.49


def test_below_all_predictions_everybody_is_treated_and_above_nobody():
    found = curve(thresholds=(0.05, 0.95))
    assert found.net_benefit[0] == pytest.approx(found.treat_all[0])
    assert found.net_benefit[1] == 0


def test_a_perfect_model_gains_the_prevalence_at_every_threshold():
    found = curve(POOR.astype(float))
    assert found.net_benefit == pytest.approx(np.full(len(THRESHOLDS), 3 / 8))
    assert found.is_useful.all()


def test_useful_is_better_than_both_alternatives():
    found = curve(thresholds=(0.05, 0.25, 0.5, 0.95))
    assert found.is_useful.tolist() == [False, False, True, False]


def test_at_the_prevalence_treating_everybody_gains_nothing():
    found = curve(thresholds=(3 / 8,))
    assert found.treat_all == pytest.approx([0], abs=1e-15)
    assert found.at_prevalence == pytest.approx(found.net_benefit[0])


def test_bootstrap_limits_enclose_the_curve_and_depend_on_the_seed():
    rng = np.random.default_rng(0)
    poor = pd.Series(rng.random(100) < 0.3, dtype="boolean")
    predicted = np.clip(0.3 + 0.2 * poor.to_numpy(dtype=float) + 0.15 * rng.normal(size=100), 0.01, 0.99)
    found, again, other = (curve(predicted, poor, n_resamples=300, seed=seed) for seed in (1, 1, 2))
    assert (found.low <= found.net_benefit).all()
    assert (found.net_benefit <= found.high).all()
    assert (found.low == again.low).all()
    assert (found.low != other.low).any()
    narrower = curve(predicted, poor, n_resamples=300, level=0.5)
    assert (narrower.high - narrower.low).mean() < (found.high - found.low).mean()


def test_without_resamples_there_are_no_limits():
    found = curve()
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_thresholds_run_from_5_to_80_per_cent():
    assert (THRESHOLDS[0], THRESHOLDS[-1], len(THRESHOLDS)) == (0.05, 0.8, 76)


def test_missing_probabilities_are_left_out_and_counted():
    found = curve(PREDICTED.where(PREDICTED < 0.9))
    assert (found.n, found.n_events, found.n_missing) == (7, 2, 1)


def test_one_outcome_only_has_a_curve_and_a_warning():
    found = curve([0.2, 0.6], pd.Series([True, True], dtype="boolean"), thresholds=(0.5,))
    assert found.net_benefit == pytest.approx([0.5])
    assert math.isnan(found.at_prevalence)
    assert "all 2 participants have one outcome" in found.issues[0].what


@pytest.mark.parametrize("threshold", [0.0, 1.0, 5.0, math.nan])
def test_thresholds_are_probabilities_between_0_and_1(threshold):
    with pytest.raises(StatisticsError, match=f"threshold {threshold:g} given"):
        curve(thresholds=(0.5, threshold))


def test_no_threshold_is_refused():
    with pytest.raises(StatisticsError, match="no threshold given"):
        curve(thresholds=())


def test_values_that_are_no_probabilities_are_refused():
    with pytest.raises(StatisticsError, match=r"-0\.1 found"):
        curve([-0.1, 0.2], POOR[:2])


def test_nobody_with_a_probability_is_an_error():
    with pytest.raises(StatisticsError, match="no participant has both"):
        curve(PREDICTED * np.nan)
