"""How well values repeat, against textbooks, theory and invariants."""

import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.statistics.bland_altman import compare_occasions
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.reliability import Icc, all_comparisons, measure_all_features, measure_reliability
from dtimuscle.statistics.repeated import repeated_values

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])


def frame(values, names=("ses-1", "ses-2", "ses-3", "ses-4")):
    values = np.asarray(values, dtype=float)
    index = pd.Index([f"sub-{i:02d}" for i in range(len(values))], name="participant_id")
    return pd.DataFrame(values, index, columns=list(names[: values.shape[1]]))


def measure(values, **settings):
    return measure_reliability(frame(values), feature="gracilis.md", **settings)


def drawn(n=20, k=2, *, between=1.0, within=0.3, shift=0.0, seed=4):
    rng = np.random.default_rng(seed)
    people = 5 + between * rng.normal(size=(n, 1))
    return people + within * rng.normal(size=(n, k)) + shift * np.arange(k)


# ---- known answers ----


def test_shrout_and_fleiss_published_coefficients_are_found():
    found = measure(SHROUT_FLEISS)
    assert round(found.agreement.value, 2) == 0.29
    assert round(found.consistency.value, 2) == 0.71
    squares = found.mean_squares
    assert [round(x, 2) for x in (squares.participants, squares.within, squares.error)] == [11.24, 6.26, 1.02]


def test_bland_and_altman_published_limits_are_found():
    """Their first readings by two peak flow meters (Lancet 1986): bias -2.1, SD 38.8 l/min."""
    large = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    found = measure(np.column_stack([mini, large])).comparisons[0]
    assert round(found.bias, 1) == -2.1
    assert round(found.sd, 1) == 38.8
    # They print -79.7 and 75.5, with 2 for 1.96 and the rounded numbers above.
    assert found.lower == pytest.approx(-79.7 + 0.04 * 38.8, abs=0.15)
    assert found.upper == pytest.approx(75.5 - 0.04 * 38.8, abs=0.15)


def test_within_sd_is_that_of_differences_over_root_two_where_there_is_no_shift():
    values = drawn()
    values[:, 1] += values[:, 0].mean() - values[:, 1].mean()
    found = measure(values)
    differences = np.diff(values, axis=1).ravel()
    assert found.within_sd == pytest.approx(np.sqrt(np.mean(differences**2) / 2), rel=1e-12)
    assert found.sem == pytest.approx(differences.std(ddof=1) / math.sqrt(2), rel=1e-12)
    assert found.sdc == pytest.approx(1.959963984540054 * differences.std(ddof=1), rel=1e-12)


def test_the_sdc_is_half_the_width_of_the_limits_of_agreement():
    found = measure(drawn(shift=0.4))
    comparison = found.comparisons[0]
    assert found.sdc == pytest.approx((comparison.upper - comparison.lower) / 2, rel=1e-12)


def test_the_coefficient_of_variation_is_the_root_mean_square():
    values = np.array([[1.0, 1.2], [2.0, 2.0], [4.0, 3.0]])
    each = [np.std(row, ddof=1) / np.mean(row) for row in values]
    assert measure(values).within_cv == pytest.approx(np.sqrt(np.mean(np.square(each))), rel=1e-14)


def test_a_shift_lowers_agreement_and_leaves_consistency_as_it_is():
    plain, shifted = measure(drawn()), measure(drawn(shift=1.0))
    assert shifted.consistency.value == pytest.approx(plain.consistency.value, rel=1e-10)
    assert shifted.sem == pytest.approx(plain.sem, rel=1e-10)
    assert shifted.agreement.value < plain.agreement.value - 0.1
    assert shifted.within_sd > 1.5 * plain.within_sd
    assert shifted.comparisons[0].bias == pytest.approx(plain.comparisons[0].bias + 1, rel=1e-12)


# ---- invariants ----


@pytest.mark.parametrize("factor", [1e-3, 1e6])
def test_icc_has_no_unit_and_errors_have_that_of_the_values(factor):
    values = drawn(k=3)
    plain, scaled = measure(values), measure(values * factor)
    assert scaled.agreement.value == pytest.approx(plain.agreement.value, rel=1e-10)
    assert scaled.agreement.interval.low == pytest.approx(plain.agreement.interval.low, rel=1e-9)
    assert scaled.sem == pytest.approx(factor * plain.sem, rel=1e-10)
    assert scaled.within_cv == pytest.approx(plain.within_cv, rel=1e-10)


def test_occasions_in_another_order_change_nothing_but_the_sign_of_differences():
    values = drawn(shift=0.2)
    there, back = measure(values), measure(values[:, ::-1])
    assert there.agreement.value == pytest.approx(back.agreement.value, rel=1e-12)
    assert there.comparisons[0].bias == pytest.approx(-back.comparisons[0].bias, rel=1e-12)
    assert there.comparisons[0].upper_interval.high == pytest.approx(-back.comparisons[0].lower_interval.low, rel=1e-12)


def test_every_pair_of_three_occasions_is_compared():
    pairs = [(item.first, item.second) for item in measure(drawn(k=3)).comparisons]
    assert pairs == [("ses-1", "ses-2"), ("ses-1", "ses-3"), ("ses-2", "ses-3")]


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(11)
    n, n_studies, truth = 8, 400, 1 / (1 + 0.5**2)
    upper = 1.959963984540054 * math.sqrt(2) * 0.5
    held = np.zeros(3)
    for _ in range(n_studies):
        values = rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, 2))
        found = measure(values + 10)
        ends = [found.consistency.interval, found.comparisons[0].upper_interval, found.sdc_interval]
        held += [e.low <= t <= e.high for e, t in zip(ends, (truth, upper, upper), strict=True)]
    # Three standard errors of a share of 0.95 in 400 studies.
    assert np.all(np.abs(held / n_studies - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n_studies))


# ---- undefined and doubtful ----


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_participants_have_no_reliability(n):
    found = measure(drawn()[:n])
    assert found.n == n
    assert math.isnan(found.agreement.value)
    assert math.isnan(found.sdc)
    assert math.isnan(found.within_cv)
    assert math.isnan(found.comparisons[0].bias)
    assert [issue.severity for issue in found.issues] == [Severity.ERROR]
    assert f"{n} participant(s)" in found.issues[0].what


def test_values_that_are_all_the_same_have_no_reliability():
    found = measure(np.full((10, 2), 0.1 + 0.2))
    assert math.isnan(found.agreement.value)
    assert math.isnan(found.sem)
    assert "all values of 10 participants are the same" in found.issues[0].what


def test_copies_are_perfect_without_an_interval_and_are_called_copies():
    values = np.repeat(drawn()[:, :1], 2, axis=1)
    found = measure(values)
    assert found.agreement.value == found.consistency.value == 1
    assert not found.agreement.interval.is_defined
    assert (found.within_sd, found.sem, found.comparisons[0].sd) == (0, 0, 0)
    assert "copies" in found.issues[0].what


def test_a_constant_shift_is_consistent_but_does_not_agree():
    values = drawn()[:, :1] + np.array([0, 0.5])
    found = measure(values)
    assert found.consistency.value == 1
    assert not found.consistency.interval.is_defined
    assert 0 < found.agreement.value < 1
    assert found.agreement.interval.is_defined
    assert found.comparisons[0].sd == 0
    assert "differ by the same amount" in found.issues[0].what


def test_an_icc_below_zero_is_kept_and_said():
    found = measure([[1, 2], [2, 1], [1.1, 2.1], [2.1, 1.2]])
    assert found.consistency.value < 0
    assert "below zero" in found.issues[-1].what


def test_missing_values_are_counted_and_their_participants_left_out():
    values = drawn(k=3)
    values[[1, 4, 4], [0, 0, 2]] = np.nan, np.nan, np.inf
    found = measure(values)
    assert (found.n, found.n_missing, found.missing) == (18, 2, (2, 0, 1))
    assert "2 of 20 participant(s) left out" in found.issues[0].what
    complete = measure(np.delete(values, [1, 4], axis=0))
    assert found.agreement == complete.agreement
    assert list(found.comparisons[0].points.index[:2]) == ["sub-00", "sub-02"]


def test_values_around_zero_have_no_coefficient_of_variation():
    found = measure(drawn() - 5)
    assert math.isnan(found.within_cv)
    assert found.sem > 0
    assert "coefficient of variation" in found.issues[0].what


# ---- words, pairs, all features ----


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.91, 0.97, "excellent"), (0.6, 0.9, "moderate to excellent"), (-0.2, 0.3, "poor"), (0.75, 0.8, "good")],
)
def test_an_icc_is_named_by_the_ends_of_its_interval(low, high, words):
    assert Icc(0.5, Interval(low, high)).grade == words


def test_an_icc_without_interval_has_no_name():
    assert Icc(1.0, Interval(math.nan, math.nan)).grade == ""


def test_participants_outside_the_limits_are_named_the_farthest_first():
    values = drawn(n=40, within=0.1)
    values[7, 1] += 2
    values[9, 1] -= 1.2
    assert measure(values).comparisons[0].outside[:2] == ("sub-07", "sub-09")


def test_a_difference_that_grows_with_the_mean_has_a_slope():
    people = np.linspace(1, 3, 30)
    noise = 0.02 * np.random.default_rng(2).normal(size=30)
    found = measure(np.column_stack([people, 1.2 * people + noise])).comparisons[0]
    assert found.slope == pytest.approx(0.2 / 1.1, abs=0.02)
    assert found.slope_p < 1e-6


def test_a_spread_that_grows_with_the_value_is_found_and_its_ratio_limits_fit_all():
    rng = np.random.default_rng(8)
    people = np.linspace(1, 10, 200)
    values = people[:, None] * np.exp(0.1 * rng.normal(size=(200, 2)))
    found = measure(values).comparisons[0]
    assert found.spread_p < 1e-6
    # The SD of the difference of two logarithms is 0.1 √2.
    assert found.ratio == pytest.approx(1, abs=0.03)
    assert np.log(found.ratio_upper / found.ratio) == pytest.approx(1.96 * 0.1 * math.sqrt(2), rel=0.1)
    even = measure(drawn(200)).comparisons[0]
    assert even.spread_p > 0.05


def test_values_that_are_not_positive_have_no_ratio():
    found = measure(drawn() - 5).comparisons[0]
    assert math.isnan(found.ratio)
    assert math.isnan(found.ratio_lower)


def test_occasions_of_different_people_are_refused():
    first = pd.Series([1.0, 2, 3], ["a", "b", "c"])
    with pytest.raises(StatisticsError, match="not about the same participants"):
        compare_occasions(first, first.rename({"a": "d"}), feature="x")


def test_all_features_are_measured_in_their_order():
    rows = [
        {"participant_id": f"sub-{i}", "occasion": f"ses-{j}", "feature": name, "value": value}
        for name, seed in (("gracilis.md", 1), ("gracilis.fa", 2))
        for i, pair in enumerate(drawn(6, seed=seed))
        for j, value in enumerate(pair)
    ]
    found = measure_all_features(repeated_values(pd.DataFrame(rows)))
    assert [item.feature for item in found] == ["gracilis.md", "gracilis.fa"]
    assert found[1].agreement.value == pytest.approx(measure(drawn(6, seed=2)).agreement.value, rel=1e-12)
    assert [item.feature for item in all_comparisons(found)] == ["gracilis.md", "gracilis.fa"]
