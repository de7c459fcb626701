"""How far two readers' labels agree, against counted voxels."""

import numpy as np
import pytest

from dtimuscle.errors import GridMismatchError
from dtimuscle.imaging.overlap import COLUMNS, compare_labels
from dtimuscle.muscles import MuscleLabels, Side

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
MEANING = {1: ("gracilis", Side.LEFT), 2: ("gracilis", Side.RIGHT), 3: ("sartorius", Side.LEFT)}


def labels(*, right=slice(0, 4), sartorius=True, affine=AFFINE) -> MuscleLabels:
    values = np.zeros((6, 6, 1), dtype=int)
    values[0, 0:4], values[2, right] = 1, 2
    if sartorius:
        values[4, 0:2] = 3
    return MuscleLabels(values, affine, MEANING)


def test_dice_and_volumes_are_those_of_counted_voxels():
    found = compare_labels(labels(), labels(right=slice(2, 5))).set_index(["muscle", "side"])
    assert found.loc[("gracilis", "left"), "dice"] == 1
    assert found.loc[("gracilis", "right"), "dice"] == pytest.approx(2 * 2 / (4 + 3))
    assert found.loc[("gracilis", "both"), "dice"] == pytest.approx(2 * 6 / (8 + 7))
    # 2 × 2 × 5 mm³ a voxel.
    assert found.loc[("gracilis", "right"), "volume_first_ml"] == pytest.approx(0.08)
    assert found.loc[("gracilis", "right"), "volume_second_ml"] == pytest.approx(0.06)


def test_a_muscle_that_one_reader_has_not_drawn_keeps_its_row_without_dice():
    found = compare_labels(labels(), labels(sartorius=False)).set_index(["muscle", "side"])
    assert np.isnan(found.loc[("sartorius", "left"), "dice"])
    assert found.loc[("sartorius", "left"), "volume_second_ml"] == 0
    assert list(compare_labels(labels(sartorius=False), labels(sartorius=False)).columns) == list(COLUMNS)


def test_labels_on_another_grid_are_refused():
    with pytest.raises(GridMismatchError, match="two readers' labels"):
        compare_labels(labels(), labels(affine=AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 1.0])))
