import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
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


def test_rank_coefficients_do_not_change_with_the_steps_between_grades():
    values = [0.1, 0.3, 0.2, 0.4, 0.6, 0.5, 99]
    stretched = GRADE.map({0: 0, 1: 1, 2: 2, 3: 3, 4: 40, 5: 500}, na_action="ignore").astype("Int64")
    for method in ("Spearman", "Kendall"):
        assert correlate(values, method=method).r == correlate(values, stretched, method=method).r
    assert correlate(values).r != correlate(values, stretched).r


def test_perfect_ranks_have_a_coefficient_and_p_but_no_interval():
    # With six untied pairs 2 of 720 permutations are as extreme.
    for method in ("Spearman", "Kendall"):
        found = correlate([0, 1, 2, 3, 4, 9, 0], method=method)
        assert (found.r, found.test) == (1, "exact")
        assert found.p == pytest.approx(2 / 720)
        assert not found.interval.is_defined
        assert "ranks agree perfectly" in found.issues[0].what


def test_only_pearsons_coefficient_is_an_estimate_of_the_claims():
    values = [0.1, 0.3, 0.2, 0.4, 0.6, 0.5, 99]
    assert len(correlate(values).estimates()) == 1
    assert correlate(values, method="Spearman").estimates() == ()
    assert correlate(values, covariates=pd.DataFrame({"age": range(7)})).estimates() == ()


def test_an_unknown_method_is_refused():
    with pytest.raises(StatisticsError, match="'pearson' found, one of Pearson, Spearman, Kendall needed"):
        correlate([0.0] * 7, method="pearson")


def test_kendalls_coefficient_is_not_adjusted():
    with pytest.raises(StatisticsError, match="cannot be adjusted"):
        correlate([0.0] * 7, method="Kendall", covariates=pd.DataFrame({"age": range(7)}))


@pytest.fixture
def patients():
    rng = np.random.default_rng(4)
    n = 60
    grade = pd.Series(rng.integers(0, 6, n), dtype="Int64")
    age = 70 + 6 * rng.normal(size=n)
    md = 1e-3 * (1.5 + 0.02 * age + 0.1 * rng.normal(size=n))
    covariates = pd.DataFrame({"age": age, "sex": rng.choice(["F", "M"], n), "is_fit": rng.random(n) < 0.5})
    return pd.Series(md), grade, covariates


def adjusted(patients, covariates, **options):
    md, grade, _ = patients
    return correlate_with_grade(md, grade, name="gracilis.md", covariates=covariates, **options)


def test_adjusting_for_nothing_changes_nothing(patients):
    md, grade, covariates = patients
    for method in ("Pearson", "Spearman"):
        plain = correlate_with_grade(md, grade, name="gracilis.md", method=method)
        found = adjusted(patients, covariates[[]], method=method)
        assert [found.r, found.p, found.interval.low] == pytest.approx([plain.r, plain.p, plain.interval.low])


def test_an_adjusted_correlation_does_not_depend_on_units_or_on_how_levels_are_called(patients):
    covariates = patients[2]
    recoded = covariates.assign(age=1e3 - 0.5 * covariates["age"], sex=covariates["sex"].map({"F": 7, "M": 3}))
    expected, found = adjusted(patients, covariates), adjusted(patients, recoded)
    assert found.r == pytest.approx(expected.r, rel=1e-9)
    assert found.covariates == ("age", "sex", "is_fit")
    assert found.test == "t with 55 degrees of freedom"


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("constant", lambda c: c["age"] * 0 + 3, "does not vary"),
        ("double", lambda c: 2 * c["age"] - 1, "follows from the covariates before it"),
        ("sex_code", lambda c: (c["sex"] == "F").astype(int), "follows from the covariates before it"),
        ("unknown", lambda c: c["age"] * np.nan, "is known in none of these participants"),
        ("infinite", lambda c: c["age"] * np.inf, "is known in none of these participants"),
        ("remark", lambda c: pd.Series([f"no {i}" for i in c.index]), "is text with 60 different entries"),
    ],
)
def test_covariates_that_cannot_be_used_are_left_out_and_named(patients, name, column, reason):
    covariates = patients[2]
    found = adjusted(patients, covariates.assign(**{name: column(covariates)}))
    assert found.r == pytest.approx(adjusted(patients, covariates).r, rel=1e-9)
    assert found.covariates == ("age", "sex", "is_fit")
    (issue,) = found.issues
    assert issue.what == f"not adjusted for {name}, which {issue.what.partition('which ')[2]}"
    assert reason in issue.what


def test_participants_without_a_covariate_are_left_out_and_counted(patients):
    covariates = patients[2].copy()
    covariates.loc[[3, 5], "age"] = np.nan
    covariates.loc[[5, 8], "sex"] = None
    found = adjusted(patients, covariates)
    assert (found.n, found.n_missing) == (57, 3)


def test_a_feature_that_the_covariates_explain_has_no_adjusted_correlation(patients):
    found = adjusted(patients, pd.DataFrame({"twice": 2 * patients[0]}))
    assert math.isnan(found.r)
    assert "explain everything" in found.issues[0].what


def test_too_few_participants_for_the_covariates_leave_no_adjusted_correlation(patients):
    md, grade, covariates = patients
    few = correlate_with_grade(md[:5], grade[:5], name="gracilis.md", covariates=covariates[["age"]][:5])
    assert (few.n, few.test, math.isnan(few.p)) == (5, "t with 2 degrees of freedom", False)
    fewer = correlate_with_grade(md[:4], grade[:4], name="gracilis.md", covariates=covariates[["age"]][:4])
    assert (math.isnan(fewer.p), fewer.interval.is_defined) == (False, False)
    none = correlate_with_grade(md[:3], grade[:3], name="gracilis.md", covariates=covariates[["age"]][:3])
    assert math.isnan(none.r)


def test_methods_and_covariates_of_all_features_come_one_after_the_other(patients):
    md, grade, covariates = patients
    values = pd.DataFrame({"a.md": md, "b.md": -md, "c.md": 0.0 * md})
    features = FeatureFrame(values, grade, (grade < 4).astype("boolean"), covariates)
    found = correlate_all_features(features, methods=("Spearman", "Kendall"))
    names = ["a.md", "b.md", "c.md"]
    assert [(c.method, c.feature) for c in found] == [(m, f) for m in ("Spearman", "Kendall") for f in names]
    assert found[0].p_holm == pytest.approx(min(2 * found[0].p, 1))  # the constant feature is no test
    (one, *_) = correlate_all_features(features, covariates=("age", "weight"))
    assert one.covariates == ("age",)
    assert "weight, which the table of participants lacks" in one.issues[0].what


def test_a_large_sample_is_no_trouble():
    rng = np.random.default_rng(3)
    grade = pd.Series(rng.integers(0, 6, 4000))
    values = pd.Series(1e-3 * (grade + rng.normal(size=4000)))
    kendall = correlate_with_grade(values, grade, name="gracilis.md", method="Kendall")
    assert kendall.interval.low < kendall.r < kendall.interval.high
    assert kendall.interval.high - kendall.interval.low < 0.03


def test_large_values_that_differ_little_keep_the_digits_in_which_they_differ():
    values = np.round(np.random.default_rng(3).normal(size=60) * 2**20) / 2**20
    grade = pd.Series(np.tile([0, 1, 3, 4, 5], 12), dtype="Int64")
    assert correlate(values + 2**30, grade).r == pytest.approx(correlate(values, grade).r, rel=1e-13)


def test_numbers_that_are_kept_as_objects_are_adjusted_for_as_numbers(patients):
    _, _, covariates = patients
    assert adjusted(patients, covariates.astype({"age": object})) == adjusted(patients, covariates)


def test_names_that_stand_twice_do_not_mix_participants_up(patients):
    values, grade, covariates = patients
    twice = pd.Index(["a", "b"] * 30)
    renamed = values.set_axis(twice), grade.set_axis(twice), covariates.set_axis(twice)
    for chosen, chosen_renamed in ((None, None), (covariates, renamed[2])):
        assert adjusted(renamed, chosen_renamed) == adjusted(patients, chosen)
