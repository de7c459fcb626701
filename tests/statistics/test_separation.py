import numpy as np
import pytest

from dtimuscle.statistics.separation import separated_rows


def separated(x, event):
    design = np.column_stack([np.ones(len(event)), np.asarray(x, dtype=float)])
    return separated_rows(design, np.asarray(event, dtype=bool)).tolist()


def test_groups_that_do_not_overlap_are_separated():
    assert separated([1, 2, 3, 4], [0, 0, 1, 1]) == [True] * 4


def test_groups_that_share_one_value_are_separated_but_for_it():
    assert separated([1, 2, 2, 3], [0, 0, 1, 1]) == [True, False, False, True]


def test_groups_that_overlap_are_not_separated():
    assert separated([1, 3, 2, 4], [0, 0, 1, 1]) == [False] * 4


def test_a_constant_feature_separates_nobody():
    assert separated(np.ones((4, 0)), [0, 0, 1, 1]) == [False] * 4


def test_a_slanted_line_separates_what_neither_feature_does():
    x = np.array([[0, 0], [2, 2.1], [3, 3.1], [0, -1], [2, 1], [3, 2]])
    assert separated(x, [0, 0, 0, 1, 1, 1]) == [True] * 6
    assert separated(x[:, :1], [0, 0, 0, 1, 1, 1]) == [False] * 6


def test_as_many_parameters_as_participants_separate_everybody():
    rng = np.random.default_rng(3)
    assert separated(rng.normal(size=(8, 7)), rng.permutation([0, 1] * 4)) == [True] * 8


@pytest.mark.parametrize("overlap", [0.1, 1e-3, 1e-6])
def test_a_small_overlap_is_an_overlap(overlap):
    assert not any(separated([0, 0.4, 1 + overlap, 1, 1.5, 2], [0, 0, 0, 1, 1, 1]))
