import math

import numpy as np
import pytest
from scipy import stats

from dtimuscle.statistics.binormal import fit_binormal


def test_points_of_a_binormal_curve_give_it_back():
    threshold = np.linspace(3, -3, 20)
    specificity, sensitivity = stats.norm.cdf(threshold, 0, 1), stats.norm.sf(threshold, 1.2, 1.5)
    found = fit_binormal(np.r_[1, specificity, 0], np.r_[0, sensitivity, 1])
    assert (found.a, found.b) == pytest.approx((1.2 / 1.5, 1 / 1.5))
    assert found.auc == pytest.approx(stats.norm.cdf(1.2 / np.hypot(1, 1.5)))
    assert found.n_points == 20
    assert found.sensitivity_at(specificity) == pytest.approx(sensitivity)


def test_the_area_under_the_drawn_curve_is_the_auc():
    found = fit_binormal(np.array([1, 0.9, 0.6, 0.3, 0]), np.array([0, 0.4, 0.8, 0.9, 1]))
    specificity = np.linspace(0, 1, 20_001)
    assert np.trapezoid(found.sensitivity_at(specificity), specificity) == pytest.approx(found.auc, abs=1e-4)
    assert found.sensitivity_at(np.array([0.0, 1.0])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("specificity", "sensitivity"),
    [
        ([1, 1, 0], [0, 1, 1]),
        ([1, 0.5, 0], [0, 0.5, 1]),
        ([1, 0.5, 0.5, 0.5, 0], [0, 0.2, 0.5, 0.8, 1]),
        ([1, 0.8, 0.6, 0.2, 0], [0, 0.5, 0.5, 0.5, 1]),
        ([1, 0], [0, 1]),
    ],
)
def test_too_few_points_or_a_straight_step_have_no_smooth_curve(specificity, sensitivity):
    found = fit_binormal(np.array(specificity), np.array(sensitivity))
    assert not found.is_defined
    assert math.isnan(found.b)
    assert np.isnan(found.sensitivity_at(np.array([0.0, 0.5, 1.0]))).all()
