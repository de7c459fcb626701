import math

import numpy as np
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.power import (
    auc_power,
    auc_precision,
    auc_standard_error,
    detectable_auc,
    detectable_auc_difference,
    detectable_d,
    paired_auc_power,
    power_of_study,
    sample_size_for_power,
    sample_size_for_precision,
    t_test_power,
)

SIZES = {"n_poor": 31, "n_good": 69}


def test_without_an_effect_the_power_is_the_error_rate():
    for alpha in (0.05, 0.001):
        assert t_test_power(0, **SIZES, alpha=alpha) == pytest.approx(alpha, rel=1e-10)


def test_power_does_not_depend_on_the_direction_and_grows_with_the_effect():
    power = [t_test_power(d, **SIZES) for d in np.linspace(0, 3, 31)]
    assert (np.diff(power) >= 0).all()
    assert t_test_power(-0.6, **SIZES) == t_test_power(0.6, **SIZES)


@pytest.mark.parametrize(("d", "n"), [(1.2, 64), (50, 2), (40, 10**6), (1e-9, 10**6)])
def test_far_tails_of_the_noncentral_t_are_numbers(d, n):
    power = t_test_power(d, n_poor=n, n_good=n, alpha=0.001)
    assert 0.001 <= power + 1e-12 <= 1 + 1e-12


@pytest.mark.parametrize("power", [0.8, 0.9])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 28])
def test_the_smallest_effect_has_the_wanted_power(power, alpha):
    options = {**SIZES, "alpha": alpha}
    d = detectable_d(**options, power=power)
    assert t_test_power(d, **options) == pytest.approx(power, abs=1e-10)
    auc = detectable_auc(**options, power=power)
    assert auc_power(auc, **options) == pytest.approx(power, abs=1e-10)
    more = detectable_auc_difference(0.7, correlation=0.5, **options, power=power)
    assert paired_auc_power(0.7, 0.7 + more, correlation=0.5, **options) == pytest.approx(power, abs=1e-10)


def test_power_of_simulated_t_tests_is_the_computed_one():
    rng = np.random.default_rng(1)
    poor, good = rng.normal(0.6, 1, (4000, 31)), rng.normal(0, 1, (4000, 69))
    pooled = (30 * poor.var(axis=1, ddof=1) + 68 * good.var(axis=1, ddof=1)) / 98
    t = (poor.mean(axis=1) - good.mean(axis=1)) / np.sqrt(pooled * (1 / 31 + 1 / 69))
    assert t_test_power(0.6, **SIZES) == pytest.approx(np.mean(np.abs(t) > 1.9844675), abs=0.02)


def test_sample_sizes_are_the_smallest_that_are_enough():
    ratio = 69 / 31
    found = sample_size_for_precision(0.722, half_width=0.1, controls_per_event=ratio)
    assert (found.n_poor, found.n_good, found.n) == (41, 92, 133)
    assert auc_precision(0.722, n_poor=41, n_good=92).half_width <= 0.1
    assert auc_precision(0.722, n_poor=40, n_good=90).half_width > 0.1
    enough = sample_size_for_power(0.65, controls_per_event=ratio, power=0.9)
    assert auc_power(0.65, n_poor=enough.n_poor, n_good=enough.n_good) >= 0.9
    fewer = enough.n_poor - 1
    assert auc_power(0.65, n_poor=fewer, n_good=round(fewer * ratio)) < 0.9


def test_a_whole_ratio_is_not_rounded_up_by_accident():
    found = sample_size_for_precision(0.7, half_width=0.1, controls_per_event=69 / 31)
    assert found.n_good == math.ceil(found.n_poor * 69 / 31)
    assert sample_size_for_power(0.9999, controls_per_event=1).n == 6


def test_aucs_that_go_together_are_easier_to_tell_apart():
    power = [paired_auc_power(0.7, 0.8, correlation=r, **SIZES) for r in (0, 0.3, 0.6, 0.9)]
    assert (np.diff(power) > 0).all()


def test_what_tiny_groups_cannot_show_is_nan_with_an_issue():
    assert math.isnan(detectable_auc(n_poor=2, n_good=2))
    study = power_of_study(n_poor=2, n_good=3)
    missed = [item for item in study.detectable if math.isnan(item.value)]
    assert {item.quantity for item in missed} == {"auc", "auc_difference"}
    assert len(study.issues) == len(missed)
    assert study.issues[0].what == ("2 + 3 patients show no AUC, however large, with a power of 0.8 at α = 0.05.")


def test_a_study_has_each_effect_for_one_test_and_for_all():
    study = power_of_study(**SIZES, n_tests=28, aucs=(0.8, 0.722, 0.8), half_widths=(0.1, 0.05))
    of_d = [(item.n_tests, item.power) for item in study.detectable if item.quantity == "d"]
    assert of_d == [(1, 0.8), (1, 0.9), (28, 0.8), (28, 0.9)]
    assert [item.auc for item in study.precision] == [0.722, 0.8]
    assert len(study.sample_sizes) == 2 * 2 + 2 * 2
    assert [(curve.quantity, curve.n_tests) for curve in study.curves] == [
        ("d", 1), ("d", 28), ("auc", 1), ("auc", 28),
    ]  # fmt: skip
    single = power_of_study(**SIZES)
    assert {item.n_tests for item in single.detectable} == {1}
    assert single.detectable[0].value == study.detectable[0].value


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: t_test_power(0.5, n_poor=1, n_good=69), "1 patients with poor function found"),
        (lambda: t_test_power(0.5, n_poor=31, n_good=2.5), "2.5 patients with good function found"),
        (lambda: t_test_power(math.nan, **SIZES), "difference nan found"),
        (lambda: t_test_power(0.5, **SIZES, alpha=0), "alpha 0 found"),
        (lambda: detectable_d(**SIZES, power=0.01), r"wanted power 0.01 found, above alpha \(0.05\)"),
        (lambda: detectable_auc(**SIZES, power=1), "wanted power 1 found"),
        (lambda: auc_power(0.5, **SIZES), "AUC 0.5 found, above 0.5 and below 1 needed"),
        (lambda: auc_power(1, **SIZES), "AUC 1 found"),
        (lambda: auc_power(0.3, **SIZES), "turn one below 0.5 round"),
        (lambda: auc_power(math.nan, **SIZES), "AUC nan found"),
        (lambda: auc_standard_error(0.7, n_poor=0, n_good=69), "0 patients with poor function"),
        (lambda: auc_precision(0.7, **SIZES, level=1), "level 1 found"),
        (lambda: sample_size_for_precision(0.7, half_width=0, controls_per_event=1), "half-width 0 found"),
        (lambda: sample_size_for_precision(0.7, half_width=1e-7, controls_per_event=1), "Allow a wider interval"),
        (lambda: sample_size_for_power(0.7, controls_per_event=0), "0 controls per event found"),
        (lambda: sample_size_for_power(0.7, controls_per_event=1, alpha=1), "alpha 1 found"),
        (lambda: paired_auc_power(0.8, 0.7, correlation=0.3, **SIZES), "the lower one first needed"),
        (lambda: paired_auc_power(0.7, 0.8, correlation=1, **SIZES), "correlation 1 found"),
        (lambda: detectable_auc_difference(0.7, correlation=-0.1, **SIZES), "correlation -0.1 found"),
        (lambda: power_of_study(**SIZES, n_tests=0), "0 tests found"),
    ],
)
def test_absurd_questions_are_refused(ask, message):
    with pytest.raises(StatisticsError, match=message):
        ask()
