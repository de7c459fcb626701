import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.combination import combination_curves
from dtimuscle.statistics.correlation import correlate_all_features
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.imputation import Imputation, impute
from dtimuscle.statistics.logistic import enter_by_p, fit_logistic
from dtimuscle.statistics.pooling import pool_analyses
from dtimuscle.statistics.rubin import rubin

NAN = math.nan
FEATURES = ["gracilis.fa", "gracilis.md", "sartorius.fa", "sartorius.md"]


def cohort(n=50, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"sub-{i:03d}" for i in range(n)], name="participant_id")
    poor = np.arange(n) < 0.4 * n
    grade = pd.Series(np.where(poor, rng.integers(0, 4, n), rng.integers(4, 6, n)), index, dtype="Int64")
    values = {
        "gracilis.fa": 0.3 - 0.03 * poor + 0.03 * rng.normal(size=n),
        "gracilis.md": 1.5e-3 - 0.2e-3 * poor + 0.2e-3 * rng.normal(size=n),
        "sartorius.fa": 0.3 + 0.03 * rng.normal(size=n),
        "sartorius.md": 1.5e-3 + 0.2e-3 * rng.normal(size=n),
    }
    covariates = {"age": rng.normal(68, 6, n), "sex": rng.choice(["F", "M"], n), "site": rng.choice(["a", "b", "c"], n)}
    frame = pd.DataFrame(values, index)
    return FeatureFrame(frame, grade, (grade < 4).astype("boolean"), pd.DataFrame(covariates, index))


def with_gaps(features, n=6):
    values = features.values.copy()
    for i, name in enumerate(["gracilis.fa", "gracilis.md", "sartorius.md"]):
        values.iloc[i : 9 * n : 9, values.columns.get_loc(name)] = NAN
    return replace(features, values=values)


def imputation_of(*frames, columns=FEATURES):
    return Imputation(frames, dict.fromkeys(columns, 1), {}, len(frames[0].values), 1, 1, 1, 0)


def found(analysis, kind, name, group=""):
    (item,) = (item for item in analysis.pooled if item.subject == (kind, name, group))
    return item


@pytest.fixture(scope="module")
def imputed():
    return impute(with_gaps(cohort()), n_imputations=4, seed=1)


@pytest.fixture(scope="module")
def analysis(imputed):
    return pool_analyses(imputed, muscles=("gracilis", "sartorius"), model=("gracilis.md", "sex"), covariates=("age",))


def by_subject(estimates):
    return {(e.kind, e.subject, e.group): e for e in estimates}


def test_data_without_gaps_give_the_estimates_of_the_analyses_themselves():
    features = cohort()
    analysis = pool_analyses(impute(features, seed=1), muscles=("gracilis",))
    pooled = by_subject(analysis.estimates())
    model = enter_by_p(features)
    direct = [*compare_all_features(features), *correlate_all_features(features), model]
    direct.append(combination_curves(features, muscles=("gracilis",)))
    plain = by_subject(e for item in direct for e in item.estimates())
    assert {key for key in plain if key[0] != "auc"} <= set(pooled)
    for key, expected in plain.items():
        have = pooled[key]
        np.testing.assert_allclose(have.value, expected.value, rtol=1e-8)
        np.testing.assert_allclose([have.p, have.sd], [expected.p, expected.sd], rtol=1e-7)
        assert have.n == expected.n
        # Means have none there, and AUCs one that is not on the logit scale.
        if key[0] not in ("mean", "auc"):
            ends = (expected.interval.low, expected.interval.high)
            np.testing.assert_allclose([have.interval.low, have.interval.high], ends, rtol=1e-6)
    assert all(item.pooled.fmi == 0 for item in analysis.pooled)


def test_what_rests_on_no_imputed_value_is_the_analysis_of_the_data(analysis, imputed):
    item = found(analysis, "difference", "sartorius.fa")
    expected = next(c for c in compare_all_features(imputed.frames[0]) if c.feature == "sartorius.fa")
    assert (item.n_imputed, item.pooled.n_imputations, item.pooled.fmi) == (0, 1, 0)
    assert item.p == pytest.approx(expected.p, rel=1e-12)


def test_pooled_odds_ratios_are_pooled_as_their_log(analysis, imputed):
    item = found(analysis, "univariate_odds_ratio", "gracilis.md")
    terms = [fit_logistic(f.values[["gracilis.md"]], f.poor).coefficients[0] for f in imputed.frames]
    expected = rubin([t.estimate * t.step for t in terms], [(t.se * t.step) ** 2 for t in terms], n_complete_df=48)
    assert item.value == pytest.approx(math.exp(expected.estimate), rel=1e-9)
    assert item.interval.high == pytest.approx(math.exp(expected.interval.high), rel=1e-8)
    assert item.p == pytest.approx(expected.p, rel=1e-8)


def test_the_joint_model_holds_what_entered_by_its_pooled_p(analysis):
    alone = {i.subject.name: i.p for i in analysis.pooled if i.subject.kind == "univariate_odds_ratio"}
    assert set(alone) == {*FEATURES, "age"}
    assert analysis.entered == tuple(name for name, p in alone.items() if p < 0.05)
    assert tuple(i.subject.name for i in analysis.pooled if i.subject.kind == "odds_ratio") == analysis.entered


def test_the_prespecified_model_stands_apart(analysis):
    assert [item.subject.name for item in analysis.prespecified] == ["gracilis.md", "sex: M against F"]
    subjects = [(e.kind, e.subject, e.group) for e in analysis.estimates()]
    assert len(set(subjects)) == len(subjects)


def test_few_participants_for_many_terms_are_a_warning(imputed):
    issues = pool_analyses(imputed, entry_p=1.0, model=("gracilis.md",)).issues
    assert [issue.where for issue in issues if "5.0 each" in issue.what] == ["joint model"]


def test_nothing_enters_at_a_strict_limit(imputed):
    analysis = pool_analyses(imputed, entry_p=1e-12)
    assert analysis.entered == ()
    assert ["no joint model" in issue.what for issue in analysis.issues] == [True]


def test_a_category_of_three_levels_does_not_enter(imputed):
    analysis = pool_analyses(imputed, covariates=("site",), entry_p=1.0)
    assert analysis.entered == tuple(FEATURES)
    assert any(issue.where == "site" and "does not enter" in issue.what for issue in analysis.issues)


def test_intervals_lie_on_the_scale_that_is_read(analysis):
    for item in analysis.pooled:
        assert item.interval.low <= item.value <= item.interval.high
        if item.subject.kind == "auc":
            assert 0 < item.interval.low < item.interval.high < 1
        if item.subject.kind == "correlation":
            assert -1 < item.interval.low < item.interval.high < 1
    assert math.isnan(found(analysis, "auc", "fa+md").p)


def test_separation_in_one_data_set_leaves_the_odds_ratio_undefined():
    features = cohort()
    parted = features.values.assign(**{"gracilis.fa": np.where(features.poor, 0.2, 0.3) + np.arange(50) * 1e-4})
    analysis = pool_analyses(imputation_of(features, features, replace(features, values=parted)), muscles=("gracilis",))
    item = found(analysis, "univariate_odds_ratio", "gracilis.fa")
    assert math.isnan(item.value)
    assert "in 1 of 3 imputed data sets: the groups are separated" in item.issues[0].what
    assert "gracilis.fa" not in analysis.entered
    area = found(analysis, "auc", "gracilis.fa")
    assert 0.5 < area.value < 1
    assert not area.interval.is_defined
    assert "no logit" in area.issues[0].what


def test_perfect_separation_everywhere_has_auc_one_without_interval():
    features = cohort()
    parted = replace(features, values=features.values.assign(**{"gracilis.fa": np.where(features.poor, 0.2, 0.3)}))
    analysis = pool_analyses(imputation_of(parted, parted), muscles=("gracilis",))
    assert found(analysis, "auc", "gracilis.fa").value == 1
    assert found(analysis, "auc", "fa").value == 1
    assert found(analysis, "difference", "gracilis.fa").value == pytest.approx(-0.1)
    assert math.isnan(found(analysis, "difference", "gracilis.fa").p)
    same = found(analysis, "auc_difference", "fa+md - fa")
    assert (same.value, same.p, same.interval.low) == (0, 1, 0)


def test_constant_and_missing_features_are_undefined_with_an_issue():
    features = cohort()
    values = features.values.assign(**{"gracilis.fa": 0.3, "gracilis.md": NAN})
    analysis = pool_analyses(imputation_of(*[replace(features, values=values)] * 2))
    for name in ("gracilis.fa", "gracilis.md"):
        for kind in ("difference", "correlation", "univariate_odds_ratio"):
            item = found(analysis, kind, name)
            assert math.isnan(item.p)
            assert item.issues
    assert found(analysis, "mean", "gracilis.fa", "poor").value == pytest.approx(0.3)
    assert analysis.entered == ()


@pytest.mark.parametrize("n_poor", [1, 2, 3])
def test_tiny_groups_give_what_they_can(n_poor):
    features = cohort(n=12)
    grade = pd.Series([1] * n_poor + [5] * (12 - n_poor), features.values.index, dtype="Int64")
    few = replace(features, grade=grade, poor=(grade < 4).astype("boolean"))
    analysis = pool_analyses(imputation_of(few, few), muscles=("gracilis",))
    item = found(analysis, "mean", "gracilis.fa", "poor")
    assert math.isfinite(item.value)
    assert item.interval.is_defined == (n_poor > 1)
    assert math.isfinite(found(analysis, "difference", "gracilis.fa").p)


def test_an_empty_group_is_refused():
    features = cohort()
    alone = replace(features, poor=pd.Series(True, features.values.index, dtype="boolean"))
    with pytest.raises(StatisticsError, match="empty"):
        pool_analyses(imputation_of(alone, alone))


@pytest.mark.parametrize("options", [{"model": ("bmi",)}, {"muscles": ("soleus",)}, {"covariates": ("height",)}])
def test_unknown_columns_are_refused(imputed, options):
    with pytest.raises(StatisticsError, match="not among the columns"):
        pool_analyses(imputed, **options)


def test_curves_of_an_entirely_missing_feature_are_refused():
    features = cohort()
    gone = replace(features, values=features.values.assign(**{"gracilis.fa": NAN}))
    with pytest.raises(StatisticsError, match="ROC curve needs both groups"):
        pool_analyses(imputation_of(gone, gone), muscles=("gracilis",))
