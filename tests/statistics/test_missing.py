import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.missing import describe_missing, missing_values

NAN = math.nan


def frame(values, covariates=None, *, n_poor=3, n_ungraded=0):
    values = pd.DataFrame(values)
    n = len(values)
    grade = pd.Series([2] * n_poor + [5] * (n - n_poor - n_ungraded) + [pd.NA] * n_ungraded, dtype="Int64")
    covariates = values[[]] if covariates is None else pd.DataFrame(covariates)
    return FeatureFrame(values, grade, (grade < 4).astype("boolean"), covariates)


@pytest.fixture
def features():
    return frame(
        {"gracilis.fa": [NAN, NAN, 3, 4, 5, 6, NAN, 8], "gracilis.md": [NAN, 2, 3, 4, math.inf, 6, 7, 8]},
        {"sex": ["F", None, "M", "F", "M", "F", "F", "M"], "age": [60.0] * 8},
        n_ungraded=2,
    )


def test_missing_and_infinite_values_are_counted_by_group(features):
    fa, md, sex, age = describe_missing(features).columns
    assert (fa.poor, fa.good, fa.ungraded, fa.n_poor, fa.n_good, fa.n_ungraded) == (2, 0, 1, 3, 3, 2)
    assert (md.poor, md.good, md.ungraded, md.n_missing) == (1, 1, 0, 2)
    assert (sex.n_missing, sex.is_covariate, sex.share) == (1, True, 1 / 8)
    assert (age.n_missing, math.isnan(age.p)) == (0, True)


def test_fishers_test_compares_the_groups_without_the_ungraded(features):
    fa = describe_missing(features).columns[0]
    assert fa.p == pytest.approx(stats.fisher_exact([[2, 1], [0, 3]]).pvalue)


def test_patterns_count_everybody_once_with_the_complete_first(features):
    found = describe_missing(features)
    assert [(p.missing, p.poor, p.good, p.ungraded) for p in found.patterns] == [
        ((), 1, 2, 1),
        (("gracilis.fa",), 0, 0, 1),
        (("gracilis.md",), 0, 1, 0),
        (("gracilis.fa", "gracilis.md"), 1, 0, 0),
        (("gracilis.fa", "sex"), 1, 0, 0),
    ]
    assert sum(pattern.n for pattern in found.patterns) == found.n == 8
    assert found.n_values == 6


def test_complete_cases_are_counted_for_each_analysis(features):
    found = {case.purpose: case for case in describe_missing(features, model=("gracilis.md", "sex")).complete}
    counts = {purpose: (case.poor, case.good, case.n_left_out) for purpose, case in found.items()}
    assert counts == {
        "group comparison, feature with the most values": (1, 3, 2),
        "group comparison, feature with the fewest values": (1, 3, 2),
        "prespecified model": (1, 2, 3),
        "all features together": (1, 2, 3),
        "all features and covariates together": (1, 2, 3),
    }
    assert found["prespecified model"].columns == ("gracilis.md", "sex")


def test_nothing_missing_is_one_pattern_and_no_issue():
    found = describe_missing(frame({"gracilis.fa": np.arange(8.0)}))
    assert [(p.missing, p.n) for p in found.patterns] == [((), 8)]
    assert (found.n_values, found.issues) == (0, ())
    assert all(case.n_left_out == 0 for case in found.complete)


def test_a_column_that_a_group_lacks_is_named():
    everybody, a_group, most = [NAN] * 8, [NAN] * 3 + [1.0] * 5, [1, 1, NAN, NAN, NAN, NAN, NAN, 8]
    found = describe_missing(frame({"a.fa": everybody, "b.fa": a_group, "c.fa": most}))
    assert [(issue.where, issue.what.split(",")[0]) for issue in found.issues] == [
        ("a.fa", "missing in everybody with a grade."),
        ("b.fa", "missing in the whole group with poor muscle function"),
        ("c.fa", "missing in 5 of 8 participants with a grade; the rest need not be like them."),
    ]
    assert [math.isnan(column.p) for column in found.columns] == [True, False, False]


@pytest.mark.parametrize("n_poor", [0, 8])
def test_an_empty_group_is_described_without_a_test(n_poor):
    found = describe_missing(frame({"a.fa": [NAN, *range(7)]}, n_poor=n_poor))
    assert math.isnan(found.columns[0].p)
    assert found.n_poor == n_poor


def test_nobody_and_nothing_are_described():
    assert describe_missing(frame({"a.fa": pd.Series(dtype=float)}, n_poor=0)).patterns == ()
    assert describe_missing(frame({}, n_poor=0)).columns == ()


def test_covariates_are_matched_by_participant():
    features = frame({"a.fa": [1.0, 2.0, 3.0, 4.0]}, {"age": [NAN, 2, 3, 4]})
    shuffled = FeatureFrame(features.values, features.grade, features.poor[::-1], features.covariates[::-1])
    assert missing_values(shuffled)["age"].tolist() == [True, False, False, False]
    assert describe_missing(shuffled).columns[1].poor == 1


def test_an_unknown_column_of_the_model_is_refused(features):
    with pytest.raises(StatisticsError, match="'bmi' of the prespecified model"):
        describe_missing(features, model=("bmi",))


def test_thousands_of_participants_with_many_patterns_add_up():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5000, 12))
    values[rng.random(values.shape) < 0.3] = NAN
    found = describe_missing(frame(dict(zip("abcdefghijkl", values.T, strict=True)), n_poor=1500))
    assert sum(pattern.n for pattern in found.patterns) == 5000
    assert found.n_values == int(np.isnan(values).sum())
    assert len({pattern.missing for pattern in found.patterns}) == len(found.patterns)
