"""A second reader's outlines wander about the first ones."""

import numpy as np
import pytest

from dtimuscle.imaging.overlap import compare_labels
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.simulation.readers import redraw

SIZE_MM = 2.0
AFFINE = np.diag([SIZE_MM, SIZE_MM, 6.0, 1.0])


def discs(radius_mm: float = 30.0, n_slices: int = 12) -> MuscleLabels:
    x, y = np.indices((64, 64)) * SIZE_MM
    disc = np.hypot(x - 63, y - 63) < radius_mm
    values = np.repeat(np.where(disc, 1, 0)[..., None], n_slices, axis=2)
    return MuscleLabels(values, AFFINE, {1: ("gracilis", Side.LEFT)})


def test_the_same_seed_draws_the_same_and_no_spread_draws_what_was_there():
    labels = discs()
    first, again, other = (redraw(labels, spread_mm=2.0, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)
    assert np.array_equal(redraw(labels, spread_mm=0.0, rng=np.random.default_rng(1)).values, labels.values)


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_the_overlap_is_that_of_outlines_with_this_spread(spread):
    """Where an outline moves by d, a share of 2 |d| / r of the area is in one label only: Dice = 1 - mean |d| / r."""
    labels = discs()
    again = redraw(labels, spread_mm=spread, rng=np.random.default_rng(3))
    (found,) = compare_labels(labels, again).query("side == 'left'")["dice"]
    assert found == pytest.approx(1 - spread * np.sqrt(2 / np.pi) / 30, abs=0.01)


def test_neighbours_stay_neighbours():
    values = np.zeros((40, 40, 2), dtype=int)
    values[5:20, 5:35], values[20:35, 5:35] = 1, 2
    labels = MuscleLabels(values, AFFINE, {1: ("gracilis", Side.LEFT), 2: ("sartorius", Side.LEFT)})
    again = redraw(labels, spread_mm=2.0, rng=np.random.default_rng(4)).values
    assert set(np.unique(again)) == {0, 1, 2}
    assert (again[12:28, 12:28] > 0).all()
