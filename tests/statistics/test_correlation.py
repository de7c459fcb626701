import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.correlation import correlate_all_features, correlate_with_grade
from dtimuscle.statistics.features import FeatureFrame

GRADE = pd.Series([0, 1, 2, 3, 4, 5, pd.NA], dtype="Int64")


def correlate(values, grade=GRADE, **options):
    return correlate_with_grade(pd.Series(values, dtype=float), grade, name="gracilis.fa", **options)


def test_values_that_rise_with_the_grade_correlate_positively():
    found = correlate([0.1, 0.3, 0.2, 0.4, 0.6, 0.5, 99])
    assert found.r > 0.8
    assert found.interval.low < found.r < found.interval.high
    assert (found.method, found.n, found.n_missing) == ("Pearson", 6, 0)


def test_missing_values_are_left_out_and_counted():
    found = correlate([0.1, np.nan, 0.2, np.inf, 0.6, 0.5, np.nan])
    assert (found.n, found.n_missing) == (4, 2)
    expected = np.corrcoef([0.1, 0.2, 0.6, 0.5], [0, 2, 4, 5])[0, 1]
    assert found.r == pytest.approx(expected)


def test_a_perfect_correlation_has_an_interval_without_width():
    found = correlate([0, 1, 2, 3, 4, 5, 0])
    assert [found.r, found.interval.low, found.interval.high] == pytest.approx([1, 1, 1], abs=1e-12)
    assert found.p < 1e-12


def test_three_participants_have_a_coefficient_and_no_interval():
    found = correlate([0.1, 0.3, 0.2] + [np.nan] * 4)
    assert found.r == pytest.approx(0.5)
    assert math.isnan(found.interval.low)
    assert found.estimates()[0].interval is None


@pytest.mark.parametrize(
    ("values", "grade", "reason"),
    [
        ([0.3] * 7, GRADE, "values do not vary"),
        ([0.1, 0.2, 0.3], pd.Series([4, 4, 4]), "grade does not vary"),
        ([0.1, 0.2, np.nan], pd.Series([3, 4, 5]), "2 participant(s)"),
        ([0.1, 0.2], pd.Series([pd.NA, pd.NA], dtype="Int64"), "0 participant(s)"),
    ],
)
def test_where_there_is_no_correlation_an_issue_says_why(values, grade, reason):
    found = correlate(values, grade)
    assert math.isnan(found.r)
    assert math.isnan(found.p)
    assert reason in found.issues[0].what


def test_every_feature_is_correlated_with_the_grade():
    values = pd.DataFrame({"a.fa": np.arange(7.0), "a.md": -np.arange(7.0)})
    poor = (GRADE < 4).astype("boolean")
    found = correlate_all_features(FeatureFrame(values, GRADE, poor, values[[]]))
    assert [(c.feature, round(c.r, 12)) for c in found] == [("a.fa", 1), ("a.md", -1)]
    (estimate,) = found[0].estimates()
    assert (estimate.kind, estimate.subject, estimate.n) == ("correlation", "a.fa", 6)
