import math

import numpy as np
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.partial_auc import partial_area, partial_auc

SPECIFICITY = np.array([1.0, 1.0, 0.8, 0.8, 0.4, 0.0])
SENSITIVITY = np.array([0.0, 0.5, 0.5, 0.7, 1.0, 1.0])


def test_the_whole_curve_has_the_whole_area():
    found = partial_auc(SPECIFICITY, SENSITIVITY, min_specificity=0.0)
    assert found.value == pytest.approx(np.trapezoid(SENSITIVITY, 1 - SPECIFICITY))
    assert found.standardised == pytest.approx(found.value)


@pytest.mark.parametrize(("low", "area"), [(0.9, 0.05), (0.8, 0.1), (0.6, 0.1 + 0.2 * (0.7 + 0.85) / 2)])
def test_a_part_ends_within_a_line_or_at_a_step(low, area):
    assert partial_auc(SPECIFICITY, SENSITIVITY, min_specificity=low).value == pytest.approx(area)


def test_chance_is_a_half_and_perfection_one():
    diagonal = np.linspace(1, 0, 7)
    assert partial_auc(diagonal, 1 - diagonal, min_specificity=0.7).standardised == pytest.approx(0.5)
    assert partial_auc(np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])).standardised == pytest.approx(1)


def test_below_chance_nothing_is_standardised():
    found = partial_auc(np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.2, 1.0]))
    assert found.value == pytest.approx(0.2 * 0.08 / 2)
    assert math.isnan(found.standardised)


def test_many_curves_are_measured_at_once():
    curves = np.stack([SENSITIVITY, SENSITIVITY / 2])
    found = partial_area(np.stack([1 - SPECIFICITY] * 2), curves, limit=0.4)
    assert found[1] == pytest.approx(found[0] / 2)


@pytest.mark.parametrize("low", [-0.1, 1.0, 80.0, math.nan])
def test_a_part_that_is_none_is_refused(low):
    with pytest.raises(StatisticsError, match="min_specificity"):
        partial_auc(SPECIFICITY, SENSITIVITY, min_specificity=low)
