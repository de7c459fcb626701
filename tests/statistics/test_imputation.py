import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.statistics import imputation
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.imputation import impute
from dtimuscle.statistics.rubin import rubin

NAN = math.nan


def cohort(n=60, n_muscles=3, seed=1):
    """Complete, with features that go with the grade and with each other; MD at its scale."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"sub-{i:03d}" for i in range(n)], name="participant_id")
    poor = np.arange(n) < 0.4 * n
    grade = pd.Series(np.where(poor, rng.integers(0, 4, n), rng.integers(4, 6, n)), index, dtype="Int64")
    shared = rng.normal(size=n)
    values = {}
    for muscle in range(n_muscles):
        own = 0.8 * shared + 0.6 * rng.normal(size=n)
        values[f"m{muscle}.fa"] = 0.25 + 0.01 * grade.to_numpy(dtype=float) + 0.03 * own
        values[f"m{muscle}.md"] = 1.5e-3 + 0.1e-3 * (own + 0.5 * rng.normal(size=n))
    covariates = {"age": rng.normal(68, 6, n), "sex": rng.choice(["F", "M"], n), "site": rng.choice(["a", "b", "c"], n)}
    return FeatureFrame(
        pd.DataFrame(values, index), grade, (grade < 4).astype("boolean"), pd.DataFrame(covariates, index)
    )


def with_gaps(features, share=0.15, seed=2, columns=None):
    rng = np.random.default_rng(seed)
    columns = list(features.values.columns) if columns is None else columns
    values = features.values.copy()
    for name in columns:
        values.loc[rng.random(len(values)) < share, name] = NAN
    return replace(features, values=values)


@pytest.fixture(scope="module")
def gaps():
    features = with_gaps(cohort())
    covariates = features.covariates.copy()
    covariates.iloc[[3, 30], 0] = NAN
    covariates.iloc[[5, 31], 1] = None
    return replace(features, covariates=covariates)


@pytest.fixture(scope="module")
def imputed(gaps):
    return impute(gaps, n_imputations=5, seed=3)


def test_every_gap_is_filled_and_nothing_else_changes(gaps, imputed):
    for frame in imputed.frames:
        assert not frame.values.isna().any(axis=None)
        assert not frame.covariates.isna().any(axis=None)
        known = gaps.values.notna()
        assert frame.values.where(known).equals(gaps.values)
        assert frame.grade is gaps.grade
    assert imputed.n_imputed == {
        **{name: int(gaps.values[name].isna().sum()) for name in gaps.values.columns},
        "age": 2,
        "sex": 2,
    }
    assert imputed.n_values == int(gaps.values.isna().sum().sum()) + 4


def test_imputed_values_are_values_of_other_participants(gaps, imputed):
    for name in gaps.values.columns:
        observed = set(gaps.values[name].dropna())
        assert all(set(frame.values[name]) <= observed for frame in imputed.frames)
    assert {value for frame in imputed.frames for value in frame.covariates["sex"]} == {"F", "M"}


def test_the_seed_decides_the_draws(gaps, imputed):
    again, other = impute(gaps, n_imputations=5, seed=3), impute(gaps, n_imputations=5, seed=4)
    assert all(a.values.equals(b.values) for a, b in zip(imputed.frames, again.frames, strict=True))
    assert not imputed.frames[0].values.equals(other.frames[0].values)
    assert not imputed.frames[0].values.equals(imputed.frames[1].values)


def test_the_global_random_state_is_neither_used_nor_changed(gaps):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    impute(gaps, n_imputations=2, seed=3)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_imputation_does_not_depend_on_the_unit():
    features = with_gaps(cohort(n_muscles=1))
    scaled = replace(features, values=features.values * 2.0**20)
    first, second = (impute(frame, n_imputations=2, seed=1).frames[1].values for frame in (features, scaled))
    pd.testing.assert_frame_equal(first * 2.0**20, second)


def test_values_missing_at_random_are_recovered_where_complete_cases_are_biased():
    estimates, complete, truth = [], [], []
    for seed in range(6):
        features = cohort(n=250, n_muscles=1, seed=seed)
        values = features.values.copy()
        truth.append(values["m0.md"].mean())
        values.loc[values["m0.fa"] > values["m0.fa"].quantile(0.55), "m0.md"] = NAN
        rng = np.random.default_rng(seed)
        back = rng.random(len(values)) < 0.3
        values.loc[back, "m0.md"] = features.values.loc[back, "m0.md"]
        complete.append(values["m0.md"].mean())
        found = impute(replace(features, values=values), n_imputations=5, seed=seed).frames
        columns = [frame.values["m0.md"] for frame in found]
        estimates.append(rubin([c.mean() for c in columns], [c.var() / c.size for c in columns]).estimate)
    bias = abs(np.mean(complete) - np.mean(truth))
    assert bias > 1.5e-5
    assert abs(np.mean(estimates) - np.mean(truth)) < bias / 5


def test_the_outcome_is_a_predictor_and_is_kept_from_fading():
    features = cohort(n=200, n_muscles=1)
    values = pd.DataFrame({"m0.fa": features.poor.astype(float) + np.random.default_rng(1).normal(0, 0.1, 200)})
    values.index = features.values.index
    values.iloc[::2, 0] = NAN
    found = impute(replace(features, values=values), n_imputations=2, seed=1)
    filled = found.frames[0].values["m0.fa"][::2]
    poor = features.poor[::2].astype(bool)
    assert filled[poor].mean() - filled[~poor].mean() == pytest.approx(1, abs=0.1)
    assert imputation.POOR in found.predictors["m0.fa"]


def test_few_strong_predictors_are_chosen_among_many_columns():
    features = with_gaps(cohort(n=60, n_muscles=14), share=0.1)
    found = impute(features, n_imputations=2, seed=1, always=("m5.fa", "age"))
    for name, chosen in found.predictors.items():
        n_observed = int(features.values[name].notna().sum())
        assert len(chosen) <= max(n_observed // imputation.OBSERVED_PER_PREDICTOR, 4)
        assert {imputation.POOR, imputation.GRADE, "age"} <= set(chosen)
        assert name == "m5.fa" or "m5.fa" in chosen
        assert name not in chosen


def test_a_complete_category_helps_and_an_incomplete_one_is_left_out(gaps):
    covariates = gaps.covariates.copy()
    assert not any("site" in issue.where for issue in impute(gaps, n_imputations=2, seed=1).issues)
    covariates.loc[covariates.index[0], "site"] = None
    found = impute(replace(gaps, covariates=covariates), n_imputations=2, seed=1)
    assert [issue.where for issue in found.issues] == ["site"]
    assert found.frames[0].covariates["site"].isna().sum() == 1


def test_names_are_neither_imputed_nor_used(gaps):
    covariates = gaps.covariates.assign(name=[f"x{i}" for i in range(60)])
    found = impute(replace(gaps, covariates=covariates), n_imputations=2, seed=1)
    assert [issue.where for issue in found.issues] == ["name"]
    assert "60 different entries" in found.issues[0].what


def test_truth_values_and_whole_numbers_keep_their_type(gaps):
    flags = pd.Series([True, False, pd.NA, *[True, False] * 28, True], gaps.values.index, dtype="boolean")
    ages = pd.Series([60, pd.NA, *range(50, 108)], gaps.values.index, dtype="Int64")
    covariates = pd.DataFrame({"smoker": flags, "age": ages})
    found = impute(replace(gaps, covariates=covariates), n_imputations=2, seed=1).frames[0].covariates
    assert found.dtypes.astype(str).to_dict() == {"smoker": "boolean", "age": "Int64"}
    assert not found.isna().any(axis=None)


def test_participants_without_a_group_stay_as_they_are(gaps):
    grade = gaps.grade.copy()
    grade.iloc[:3] = pd.NA
    features = replace(gaps, grade=grade, poor=(grade < 4).astype("boolean"))
    found = impute(features, n_imputations=2, seed=1)
    assert found.frames[0].values.iloc[:3].equals(features.values.iloc[:3])
    assert not found.frames[0].values.iloc[3:].isna().any(axis=None)
    assert found.n == 57


def test_nothing_missing_gives_the_data_themselves():
    features = cohort()
    found = impute(features, seed=1)
    assert found.frames == (features,)
    assert (found.n_imputations, found.n_values) == (1, 0)
    assert found.issues[0].severity is Severity.NOTE


def test_columns_with_nothing_to_learn_from_stay_missing(gaps):
    values = gaps.values.assign(empty=NAN, few=[1.0] * 9 + [NAN] * 51)
    found = impute(replace(gaps, values=values), n_imputations=2, seed=1)
    assert found.frames[0].values[["empty", "few"]].equals(values[["empty", "few"]])
    assert [(issue.where, "not imputed" in issue.what) for issue in found.issues] == [("empty", True), ("few", True)]


def test_mostly_imputed_columns_are_called_doubtful(gaps):
    values = gaps.values.assign(half=np.where(np.arange(60) % 3 == 0, np.arange(60.0), NAN))
    found = impute(replace(gaps, values=values), n_imputations=2, seed=1)
    assert ["40 of 60 values are imputed" in issue.what for issue in found.issues] == [True]


def test_a_constant_column_is_filled_with_its_constant(gaps):
    values = gaps.values.assign(constant=[NAN] * 2 + [0.3] * 58)
    found = impute(replace(gaps, values=values), n_imputations=2, seed=1)
    assert set(found.frames[0].values["constant"]) == {0.3}


def test_collinear_columns_are_imputed(gaps):
    features = with_gaps(cohort())
    values = features.values.assign(copy=features.values["m0.fa"], sum=features.values.sum(axis=1, skipna=False))
    found = impute(replace(features, values=values), n_imputations=2, seed=1)
    assert not found.frames[1].values.isna().any(axis=None)


def test_more_columns_than_participants_are_imputed():
    features = with_gaps(cohort(n=20, n_muscles=14), share=0.1)
    assert len(features.values.columns) == 28
    found = impute(features, n_imputations=2, seed=1)
    assert not found.frames[0].values.isna().any(axis=None)


def test_too_many_wanted_predictors_are_cut_with_an_issue():
    features = with_gaps(cohort(n=20, n_muscles=14), share=0.1, columns=["m0.fa"])
    found = impute(features, n_imputations=2, seed=1, always=tuple(features.values.columns))
    assert "predictors asked for" in found.issues[0].what
    assert len(found.predictors["m0.fa"]) <= 10


def test_infinite_values_are_replaced(gaps):
    values = gaps.values.copy()
    values.iloc[0, 0] = math.inf
    found = impute(replace(gaps, values=values), n_imputations=2, seed=1)
    assert np.isfinite(found.frames[0].values.to_numpy()).all()


@pytest.mark.parametrize("poor", [True, False])
def test_one_group_alone_can_be_imputed(gaps, poor):
    features = replace(gaps, poor=pd.Series(poor, gaps.values.index, dtype="boolean"))
    assert not impute(features, n_imputations=2, seed=1).frames[0].values.isna().any(axis=None)


def test_nobody_with_a_group_leaves_nothing_to_impute(gaps):
    features = replace(gaps, poor=pd.Series(pd.NA, gaps.values.index, dtype="boolean"))
    found = impute(features, n_imputations=2, seed=1)
    assert found.frames == (features,)
    assert found.n == 0


def test_progress_is_told_after_each_data_set(gaps):
    calls = []
    impute(gaps, n_imputations=3, seed=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("options", [{"n_imputations": 1}, {"burn_in": 0}, {"spacing": 0}, {"always": ("nonsense",)}])
def test_impossible_requests_are_refused(gaps, options):
    with pytest.raises(StatisticsError):
        impute(gaps, **{"n_imputations": 2, "seed": 1, **options})
