import numpy as np
import pandas as pd
import pytest

from dtimuscle.simulation.accuracy import bias_by_muscle

TRUTH = pd.DataFrame(
    {
        "participant_id": ["sub-1", "sub-1", "sub-2", "sub-2"],
        "muscle": "gracilis",
        "side": ["left", "right"] * 2,
        "fa": [0.20, 0.30, 0.40, 0.40],
        "md": [1.0e-3, 1.2e-3, 1.5e-3, 1.5e-3],
    }
)


def found(participant, parameter, mean, *, n_left=100, n_right=100):
    row = {
        "participant_id": participant, "muscle": "gracilis", "parameter": parameter, "route": "voxelwise",
        "mean": mean, "median": mean + 1,
    }  # fmt: skip
    counts = {"both": n_left + n_right, "left": n_left, "right": n_right}
    return [row | {"side": side, "n_kept": n} for side, n in counts.items()]


def test_bias_and_rmse_are_those_of_the_pooled_sides():
    table = pd.DataFrame([*found("sub-1", "fa", 0.26), *found("sub-2", "fa", 0.37)])
    row = bias_by_muscle(table, TRUTH, route="voxelwise", statistic="mean", side="both").iloc[0]
    assert row["n"] == 2
    assert row["truth_mean"] == pytest.approx(0.325)
    assert row["bias"] == pytest.approx((0.01 - 0.03) / 2)
    assert row["rmse"] == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2))


def test_the_larger_side_counts_for_more():
    table = pd.DataFrame(found("sub-1", "fa", 0.28, n_left=20, n_right=80))
    row = bias_by_muscle(table, TRUTH, route="voxelwise", statistic="mean", side="both").iloc[0]
    assert row["truth_mean"] == pytest.approx(0.28)
    assert row["bias"] == pytest.approx(0)


def test_one_side_is_held_against_its_own_truth():
    table = pd.DataFrame(found("sub-1", "md", 1.1e-3))
    row = bias_by_muscle(table, TRUTH, route="voxelwise", statistic="mean", side="left").iloc[0]
    assert row["bias"] == pytest.approx(0.1e-3)


def test_missing_values_do_not_count_as_errors():
    table = pd.DataFrame([*found("sub-1", "fa", np.nan), *found("sub-2", "fa", 0.4)])
    row = bias_by_muscle(table, TRUTH, route="voxelwise", statistic="mean", side="both").iloc[0]
    assert row["n"] == 1
    assert row["bias"] == pytest.approx(0)


def test_without_truth_there_are_no_rows():
    table = pd.DataFrame(found("sub-1", "fa", 0.2))
    assert bias_by_muscle(table, TRUTH.iloc[:0], route="voxelwise", statistic="mean", side="both").empty
