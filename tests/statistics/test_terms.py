import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.terms import exp_interval, model_data, odds_ratio_of, step_of

POOR = pd.Series([True, False] * 6, dtype="boolean")


def names(columns):
    return [term.name for term in model_data(pd.DataFrame(columns), POOR).terms]


def test_text_has_a_term_for_each_level_but_the_first():
    data = model_data(pd.DataFrame({"site": ["b", "a", "c"] * 4}), POOR)
    assert [(t.name, t.column, t.contrast) for t in data.terms] == [
        ("site: b against a", "site", "b against a"),
        ("site: c against a", "site", "c against a"),
    ]
    coded = data.standardised * data.sd + data.centre
    np.testing.assert_allclose(coded, np.array([[1, 0], [0, 0], [0, 1]] * 4), atol=1e-15)
    assert data.columns == {"site": (1, 2)}


def test_truth_values_and_ordered_categories_keep_their_order():
    stage = pd.Categorical(["late", "early"] * 6, categories=["late", "early", "never"], ordered=True)
    assert names({"smoker": [True, False] * 6, "stage": stage}) == [
        "smoker: yes against no",
        "stage: early against late",
    ]


@pytest.mark.parametrize("numbers", [[1, 2] * 6, [0.5, 1.5] * 6, pd.array([1, 2] * 6, dtype="Int64")])
def test_numbers_are_terms_as_they_are(numbers):
    assert names({"age": numbers}) == ["age"]
    assert names({"age": pd.Series(numbers, dtype=object)}) == ["age"]


def test_levels_that_no_complete_participant_has_are_none():
    site = ["b", *["a", "c"] * 5, "a"]
    age = [np.nan, *range(11)]
    data = model_data(pd.DataFrame({"site": site, "age": age}), POOR)
    assert [term.name for term in data.terms] == ["site: c against a", "age"]
    assert (data.n, data.n_missing) == (11, 1)


def test_identifiers_and_constants_are_left_out_and_cost_nobody():
    table = pd.DataFrame({"code": [f"p{i}" for i in range(11)] + [None], "one": ["x"] * 12, "age": range(12)})
    data = model_data(table, POOR)
    assert (data.n, data.kept) == (12, (2,))
    assert [(issue.where, issue.what[:17]) for issue in data.issues] == [
        ("code", "text with 11 leve"),
        ("one", "constant, or a co"),
    ]


def test_no_participant_at_all_is_no_error():
    data = model_data(pd.DataFrame({"age": [np.nan] * 12, "site": [None] * 12}), POOR)
    assert (data.n, data.n_missing, data.kept) == (0, 12, ())


def test_odds_ratios_beyond_all_numbers_are_undefined():
    assert odds_ratio_of(2.0, 0.5) == pytest.approx(math.e)
    assert math.isnan(odds_ratio_of(800.0))
    bounds = exp_interval(Interval(-1.0, 1e5, 0.9))
    assert (bounds.low, bounds.level) == (pytest.approx(math.exp(-1)), 0.9)
    assert math.isnan(bounds.high)


def test_steps_are_those_of_the_parameter():
    assert [step_of(name) for name in ("gracilis.fa", "gracilis.md", "gracilis.rd", "age")] == [0.1, 1e-4, 1e-4, 1.0]


@pytest.mark.parametrize("size", [1e300, 1e-290])
def test_numbers_of_any_size_are_standardised(size):
    numbers = np.arange(12.0)
    data = model_data(pd.DataFrame({"x": size * numbers}), POOR)
    np.testing.assert_allclose(data.standardised[:, 0], (numbers - 5.5) / numbers.std(ddof=1), rtol=1e-14)
    assert data.sd[0] == pytest.approx(size * numbers.std(ddof=1), rel=1e-14)
