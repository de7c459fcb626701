import math

import numpy as np
import pytest

from dtimuscle.replication.audit.alternatives import (
    gamma_auc,
    least_auc,
    lognormal_auc,
    muscles_for_auc,
    new_patients_auc,
    pooled_auc,
    predictors_for_auc,
)
from dtimuscle.replication.audit.summaries import Sample


def sample_of(values):
    return Sample(float(values.mean()), float(values.std(ddof=1)), values.size)


def area(first, second):
    higher, lower = (first, second) if first.mean() > second.mean() else (second, first)
    differences = higher[:, None] - lower[None, :]
    return (differences > 0).mean() + (differences == 0).mean() / 2


def test_no_sample_falls_below_the_least_auc_of_its_means():
    rng = np.random.default_rng(3)
    margins = []
    for index in range(1000):
        n_first, n_second = rng.integers(2, 30, 2)
        first = rng.choice([0.0, 1.0, 9.0], n_first) if index % 2 else rng.lognormal(0, 2, n_first)
        second = rng.choice([0.0, 1.0, 2.0], n_second) if index % 3 else rng.normal(rng.uniform(-2, 2), 1, n_second)
        if first.mean() != second.mean() and first.std() + second.std() > 0:
            margins.append(area(first, second) - least_auc(sample_of(first), sample_of(second)))
    assert min(margins) >= -1e-12
    assert min(margins) < 0.02


def test_the_least_auc_is_reached_by_one_far_value():
    # One patient of many far on the other side: Cantelli's own case.
    first, second = np.r_[np.ones(99), -100.0], np.zeros(50)
    assert area(first, second) < 0.5 + 0.5
    values = np.r_[np.ones(99), -9.0]
    assert least_auc(sample_of(values), sample_of(second)) <= area(values, second) == pytest.approx(0.99)


@pytest.mark.parametrize(("auc_of", "draw"), [
    (lognormal_auc, lambda rng, m, s: rng.lognormal(
        math.log(m) - math.log1p((s / m) ** 2) / 2, math.sqrt(math.log1p((s / m) ** 2)), 3000)),
    (gamma_auc, lambda rng, m, s: rng.gamma((m / s) ** 2, s**2 / m, 3000)),
])  # fmt: skip
def test_other_shapes_are_those_of_drawn_values(auc_of, draw):
    rng = np.random.default_rng(8)
    drawn = area(draw(rng, 1.0, 0.8), draw(rng, 1.6, 0.5))
    assert auc_of(Sample(1.0, 0.8, 10), Sample(1.6, 0.5, 10)) == pytest.approx(drawn, abs=0.015)
    assert auc_of(Sample(1.6, 0.5, 10), Sample(1.0, 0.8, 10)) == auc_of(Sample(1.0, 0.8, 10), Sample(1.6, 0.5, 10))


def test_shapes_of_positive_values_are_undefined_for_other_means():
    assert math.isnan(lognormal_auc(Sample(-1, 1, 5), Sample(1, 1, 5)))
    assert math.isnan(gamma_auc(Sample(0, 1, 5), Sample(1, 1, 5)))


@pytest.mark.parametrize(("k", "distance"), [(4, 1.0), (4, 1.9), (20, 1.9)])
def test_the_loss_in_new_patients_is_that_of_fitted_discriminants(k, distance):
    """The weights of a linear discriminant of 31 + 69 patients, applied to the population."""
    rng = np.random.default_rng(4)
    shift = np.r_[distance, np.zeros(k - 1)]
    areas = []
    for _ in range(300):
        first, second = rng.normal(size=(31, k)) + shift, rng.normal(size=(69, k))
        within = (np.cov(first.T) * 30 + np.cov(second.T) * 68) / 98
        weights = np.linalg.solve(np.atleast_2d(within), first.mean(axis=0) - second.mean(axis=0))
        z = weights @ shift / math.sqrt(2 * weights @ weights)
        areas.append(0.5 * math.erfc(-z / math.sqrt(2)))
    auc = 0.5 * math.erfc(-distance / 2)
    assert new_patients_auc(auc, n_predictors=k, n_first=31, n_second=69) == pytest.approx(np.mean(areas), abs=0.012)


def test_the_search_for_predictors_and_muscles_ends_at_the_first_that_suffices():
    sizes = {"n_first": 31, "n_second": 69}
    k = predictors_for_auc(0.9, 0.75, **sizes)
    assert new_patients_auc(0.9, n_predictors=k, **sizes) <= 0.75 < new_patients_auc(0.9, n_predictors=k - 1, **sizes)
    options = {"n_differing": 2, "correlation": 0.5}
    n = muscles_for_auc(0.9, 0.72, **options)
    assert pooled_auc(0.9, n_alike=n, **options) <= 0.72 < pooled_auc(0.9, n_alike=n - 1, **options)
    assert muscles_for_auc(0.9, 0.5, **options) is None
    assert predictors_for_auc(0.9, 0.4, **sizes) is None


def test_as_many_predictors_as_patients_tell_nothing():
    assert new_patients_auc(0.9, n_predictors=98, n_first=31, n_second=69) == 0.5


def test_averaging_muscles_that_all_differ_tells_more():
    assert pooled_auc(0.8, n_differing=3, n_alike=0, correlation=0.5) > 0.8
    assert pooled_auc(0.8, n_differing=3, n_alike=0, correlation=1.0) == pytest.approx(0.8)
