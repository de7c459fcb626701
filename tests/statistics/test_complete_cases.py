import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.complete_cases import align, complete_cases, is_constant, is_numeric


def test_values_are_matched_to_outcomes_by_participant():
    values = pd.Series([1.0, 2.0, 3.0], index=["c", "a", "b"])
    assert align(values, pd.Series([0, 0, 0], index=["a", "b", "c"])).tolist() == [2.0, 3.0, 1.0]


def test_values_of_other_people_are_refused():
    with pytest.raises(StatisticsError, match="not about the same people"):
        align(pd.Series([1.0, 2.0], index=["a", "b"]), pd.Series([0, 1], index=["a", "c"]))


def test_missing_and_infinite_values_are_left_out_and_counted():
    features = pd.DataFrame({"x": [1.0, np.nan, 3.0, np.inf, 5.0], "y": [1.0, 2.0, 3.0, 4.0, 5.0]})
    outcome = pd.Series([True, False, True, False, pd.NA], dtype="boolean")
    kept, known, n_missing = complete_cases(features, outcome)
    assert kept.index.tolist() == [0, 2]
    assert known.tolist() == [True, True]
    assert n_missing == 2


@pytest.mark.parametrize("values", [[], [3.0], [0.3, 0.1 + 0.2], [0.0, 0.0], [1e-3, 1e-3]])
def test_values_that_differ_by_rounding_are_constant(values):
    assert is_constant(np.array(values))


@pytest.mark.parametrize("values", [[1.0, 1.001], [1e-3, 1.0001e-3], [0.0, 1e-20]])
def test_values_that_vary_are_not_constant(values):
    assert not is_constant(np.array(values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2.5, None], True), ([np.int8(1), pd.NA], True), ([True, False], False), ([1, "2"], False), (["a"], False)],
)
def test_numbers_are_recognised_among_objects(values, expected):
    assert is_numeric(pd.Series(values, dtype=object)) is expected


def test_values_whose_differences_are_too_small_to_divide_by_are_constant():
    assert is_constant(np.array([0.0, 1e-310]))
