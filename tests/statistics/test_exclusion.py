from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.estimates import Estimate, Interval
from dtimuscle.statistics.exclusion import Change, compare_exclusion
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features


@pytest.fixture(scope="module")
def everybody():
    """Forty patients; the last, with poor function, has values that no muscle has."""
    rng = np.random.default_rng(3)
    n = 40
    poor = np.arange(n) % 2 == 1
    index = pd.Index([f"sub-{i:02d}" for i in range(n)], name="participant_id")
    values = pd.DataFrame(
        {
            "gracilis.fa": 0.26 - 0.03 * poor + 0.03 * rng.normal(size=n),
            "gracilis.md": 1e-3 * (1.6 - 0.1 * poor + 0.2 * rng.normal(size=n)),
        },
        index=index,
    )
    values.iloc[-1] = [0.9, 9e-3]
    grade = pd.Series(np.where(poor, 3, 5), index, dtype="Int64")
    return FeatureFrame(values, grade, pd.Series(poor, index, dtype="boolean"), pd.DataFrame(index=index))


def without_the_last(features):
    return replace(
        features, values=features.values[:-1], grade=features.grade[:-1], poor=features.poor[:-1],
        covariates=features.covariates[:-1],
    )  # fmt: skip


@pytest.fixture(scope="module")
def sensitivity(everybody):
    model = ("gracilis.fa", "gracilis.md")
    return compare_exclusion(without_the_last(everybody), everybody, muscles=("gracilis",), model=model)


def test_every_main_result_stands_beside_that_of_everybody(sensitivity):
    kinds = [change.kept.kind for change in sensitivity.changes]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "difference": 2, "auc": 5, "auc_difference": 3, "odds_ratio": 2,
    }  # fmt: skip
    assert (sensitivity.n_kept, sensitivity.n_everybody) == (39, 40)
    assert all(change.kept.subject == change.everybody.subject for change in sensitivity.changes)


def test_the_results_are_those_of_the_analysis_itself(sensitivity, everybody):
    for features, side in ((without_the_last(everybody), "kept"), (everybody, "everybody")):
        expected = compare_all_features(features)[0]
        difference = next(c for c in sensitivity.changes if c.kept.subject == "gracilis.fa")
        assert getattr(difference, side).value == pytest.approx(expected.poor.mean - expected.good.mean, rel=1e-12)


def test_a_conclusion_that_hangs_on_who_is_left_out_is_named(sensitivity):
    difference = next(c for c in sensitivity.changes if (c.kept.kind, c.kept.subject) == ("difference", "gracilis.fa"))
    assert difference.turns
    assert difference.change == pytest.approx(difference.kept.value - difference.everybody.value)
    assert sensitivity.n_turned == sum(change.turns for change in sensitivity.changes) > 0


def test_when_nobody_is_left_out_nothing_changes(everybody):
    found = compare_exclusion(everybody, everybody, muscles=("gracilis",), model=("gracilis.fa",))
    assert found.n_turned == 0
    assert {change.change for change in found.changes} == {0.0, 1.0}


def test_an_odds_ratio_changes_by_a_factor():
    first = Estimate("odds_ratio", "gracilis.fa", "", 0.5, interval=Interval(0.2, 0.9))
    second = replace(first, value=2.0, interval=Interval(0.9, 4.0))
    assert Change(first, second).change == 0.25
    assert Change(first, second).turns
    assert not Change(first, replace(first, interval=Interval(0.1, 0.3))).turns


def test_what_has_no_interval_turns_nothing():
    first = Estimate("auc", "fa", "", 0.9, interval=Interval(0.8, 1.0))
    assert not Change(first, replace(first, interval=None)).is_comparable
    assert not Change(first, replace(first, interval=None)).turns


def test_an_empty_group_is_refused(everybody):
    nobody = replace(everybody, poor=everybody.poor & False)
    with pytest.raises(StatisticsError, match="poor muscle function"):
        compare_exclusion(nobody, everybody, muscles=("gracilis",), model=("gracilis.fa",))
