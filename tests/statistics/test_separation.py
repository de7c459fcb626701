import numpy as np
import pytest

from dtimuscle.statistics.log_odds import LogOdds
from dtimuscle.statistics.separation import (
    is_overlap_proved,
    separated_rows,
    separating_columns,
    separation_of,
)


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


def test_separation_has_three_names():
    assert [separation_of(np.array(rows)) for rows in ([False, False], [True, False], [True, True])] == [
        "none",
        "quasi-complete",
        "complete",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_an_overlap_is_proved_only_where_the_linear_programme_finds_one(seed):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(14), rng.normal(size=(14, 3))])
    event = rng.permutation(np.arange(14) < 6)
    model = LogOdds(design, event)
    maximum = model.maximise()
    proved = is_overlap_proved(design, maximum.point.score, model.misses(maximum.terms))
    assert proved == (not separated_rows(design, event).any())


def test_the_columns_that_separate_are_found():
    event = np.array([False, False, False, True, True, True])
    x = np.array([[0, 0], [2, 2.1], [3, 3.1], [0, -1], [2, 1], [3, 2]])
    design = np.column_stack([np.ones(6), x, [1, 0, 0, 0, 1, 0]])
    assert separating_columns(design, event) == (1, 2)
    assert separating_columns(np.column_stack([design, np.arange(6)]), event) == (4,)
