"""What hangs on single patients, against fits to the others one by one."""

import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.influence import leave_one_out
from dtimuscle.statistics.logistic import fit_logistic
from dtimuscle.statistics.roc import roc_curve


def feature_frame(values, poor, covariates=None):
    index = pd.Index([f"sub-{i:03d}" for i in range(len(poor))], name="participant_id")
    poor = pd.Series(poor, index, dtype="boolean")
    grade = pd.Series(np.where(poor.fillna(False), 2, 5), index, dtype="Int64").where(poor.notna())
    covariates = pd.DataFrame(covariates or {}, index=index)
    return FeatureFrame(pd.DataFrame(values, index=index), grade, poor, covariates)


@pytest.fixture(scope="module")
def features() -> FeatureFrame:
    """Few patients with ties, missing values and a covariate in words."""
    rng = np.random.default_rng(8)
    n = 36
    poor = np.arange(n) % 3 == 0
    fa = np.round(0.25 + 0.03 * rng.normal(size=n) - 0.03 * poor, 2)
    md = 1.5e-3 + 1e-4 * rng.normal(size=n) - 0.8e-4 * poor
    fa[5] = np.nan
    sex = np.where(rng.random(n) < 0.5, "F", "M")
    return feature_frame({"a.fa": fa, "a.md": md}, poor, {"sex": sex})


@pytest.fixture(scope="module")
def influence(features):
    return leave_one_out(features, models={"both": ["a.fa", "a.md", "sex"]})


def rows_of(influence, kind, subject, model=""):
    rows = influence.effects
    rows = rows[(rows["kind"] == kind) & (rows["subject"] == subject) & (rows["model"] == model)]
    return rows.set_index("participant_id")


# ---- the same as doing it one by one ----


@pytest.mark.parametrize("name", ["a.fa", "a.md"])
def test_areas_are_those_of_curves_without_the_patient(features, influence, name):
    rows = rows_of(influence, "auc", name)
    everybody = roc_curve(features.values[name], features.poor, name=name, higher_is_poor=False).auc
    for who, row in rows.iterrows():
        others = roc_curve(features.values[name].drop(who), features.poor.drop(who), name=name, higher_is_poor=False)
        expected = [others.auc.value, others.auc.interval.low, others.auc.interval.high]
        np.testing.assert_allclose(
            row[["value_without", "low_without", "high_without"]].astype(float), expected, rtol=1e-12
        )
        assert row["value"] == pytest.approx(everybody.value, rel=1e-14)


def test_odds_ratios_and_the_area_of_a_model_are_those_of_fits_without_the_patient(features, influence):
    columns = features.values.join(features.covariates)
    area = rows_of(influence, "auc", "both", "both")
    whole = fit_logistic(columns, features.poor, profile=False)
    for who in area.index:
        poor = features.poor.drop(who)
        fit = fit_logistic(columns.drop(who), poor, profile=False)
        curve = roc_curve(fit.probabilities, poor[fit.probabilities.index], name="x", higher_is_poor=True)
        assert area.loc[who, "value_without"] == pytest.approx(curve.auc.value, rel=1e-12)
        for term, of_all in zip(fit.coefficients, whole.coefficients, strict=True):
            row = rows_of(influence, "odds_ratio", term.name, "both").loc[who]
            assert row["value_without"] == pytest.approx(term.odds_ratio, rel=1e-8)
            assert row["p_without"] == pytest.approx(term.p, rel=1e-8)
            change = (term.estimate - of_all.estimate) / of_all.se
            assert row["change_in_se"] == pytest.approx(change, abs=1e-8)


def test_quantities_are_those_of_the_whole_analysis(features, influence):
    quantity = next(q for q in influence.quantities if q.kind == "univariate_odds_ratio" and q.subject == "a.md")
    term = fit_logistic(features.values[["a.md"]], features.poor).coefficients[0]
    assert quantity.value == pytest.approx(term.odds_ratio, rel=1e-9)
    assert quantity.p == pytest.approx(term.p, rel=1e-9)
    assert quantity.interval.low == pytest.approx(term.interval.low, rel=1e-9)
    assert quantity.n == 36


def test_who_lacks_a_value_takes_no_part(influence):
    assert "sub-005" not in rows_of(influence, "auc", "a.fa").index
    assert "sub-005" in rows_of(influence, "auc", "a.md").index
    assert "sub-005" not in rows_of(influence, "auc", "both", "both").index


# ---- order and conclusions ----


def test_the_most_influential_patient_comes_first(influence):
    size = influence.effects["change_in_se"].abs()
    assert size.is_monotonic_decreasing
    for quantity in influence.quantities:
        rows = rows_of(influence, quantity.kind, quantity.subject, quantity.model)
        assert quantity.most_influential == rows.index[0]
        assert quantity.change_in_se == rows["change_in_se"].iloc[0]


def test_an_outlier_that_carries_a_finding_is_found():
    poor = np.arange(60) < 25
    values = np.concatenate([np.linspace(-2, 2, 25) - 0.9, np.linspace(-2, 2, 35)])
    values[3] = 6.0  # somebody with poor function and a very high value hides the difference
    found = leave_one_out(feature_frame({"a.fa": values}, poor))
    quantity = next(q for q in found.quantities if q.kind == "univariate_odds_ratio")
    assert quantity.most_influential == "sub-003"
    assert not quantity.is_shown
    assert "sub-003" in quantity.turned_by
    assert quantity.hangs_on_one
    assert found.by_patient().loc[0, "participant_id"] == "sub-003"
    assert found.by_patient().loc[0, "n_turned"] >= 1


def test_a_conclusion_turns_where_the_interval_crosses_chance(influence):
    for row in influence.effects.to_dict("records"):
        null = 0.5 if row["kind"] == "auc" else 1.0
        shown, shown_without = (
            row[low] > null or row[high] < null for low, high in (("low", "high"), ("low_without", "high_without"))
        )
        assert row["turns"] == (shown != shown_without)


def test_by_patient_has_one_row_each_and_counts_conclusions(influence):
    found = influence.by_patient()
    assert found["participant_id"].is_unique
    assert len(found) == 36
    assert found["n_turned"].sum() == influence.effects["turns"].sum()


def test_a_model_is_chosen_with_its_terms_and_a_feature_without_them(influence):
    model = influence.about(["both"])
    assert {q.model for q in model.quantities} == {"both"}
    assert len(model.effects) == len(influence.effects[influence.effects["model"] == "both"])
    feature = influence.about(["a.fa"])
    assert [(q.kind, q.model) for q in feature.quantities] == [("auc", ""), ("univariate_odds_ratio", "")]


def test_only_the_features_that_are_named_are_looked_at(features):
    found = leave_one_out(features, names=["a.md"])
    assert {q.subject for q in found.quantities} == {"a.md"}
    assert leave_one_out(features, names=[]).effects.empty


# ---- what does not exist ----


def test_odds_ratios_that_one_patient_keeps_finite_are_missing_without_them():
    values = np.array([1.0, 2, 3, 4, 8.5, 6, 7, 8, 9, 10, 11, 12])
    poor = np.arange(12) < 5
    found = leave_one_out(feature_frame({"a.fa": values}, poor))
    row = rows_of(found, "univariate_odds_ratio", "a.fa").loc["sub-004"]
    assert math.isnan(row["value_without"])
    assert not row["turns"]
    area = rows_of(found, "auc", "a.fa").loc["sub-004"]
    assert area["value_without"] == 1
    # An exact interval that is wider than DeLong's turns no conclusion.
    assert not area["turns"]
    assert 0.3 < area["low_without"] < 1
    assert "without sub-004 the odds ratio does not exist" in found.issues[0].what
    assert found.effects["change_in_se"].tail(1).isna().all()


def test_groups_that_do_not_overlap_have_no_odds_ratio_and_an_exact_interval():
    found = leave_one_out(feature_frame({"a.fa": np.arange(20.0)}, np.arange(20) < 8))
    auc, ratio = found.quantities
    assert auc.value == 1
    assert auc.interval.low == pytest.approx(0.025 ** (1 / 8))
    assert auc.most_influential == ""
    assert auc.turned_by == ()
    assert math.isnan(ratio.value)
    assert ["separated" in issue.what for issue in found.issues] == [True]


def test_a_term_that_only_one_patient_tells_is_missing_without_them(features):
    only = np.where(np.arange(36) == 7, "yes", "no")
    with_covariate = FeatureFrame(
        features.values, features.grade, features.poor, pd.DataFrame({"only": only}, index=features.values.index)
    )
    found = leave_one_out(with_covariate, names=[], models={"m": ["a.md", "only"]})
    row = rows_of(found, "odds_ratio", "a.md", "m")
    assert math.isnan(row.loc["sub-007", "value_without"])
    assert row.drop("sub-007")["value_without"].notna().sum() in (0, 35)
    assert np.isfinite(rows_of(found, "auc", "m", "m").loc["sub-007", "value_without"])


def test_a_constant_feature_has_a_chance_area_and_no_odds_ratio():
    found = leave_one_out(feature_frame({"a.fa": np.full(12, 0.3)}, np.arange(12) < 5))
    assert [q.kind for q in found.quantities] == ["auc"]
    assert found.quantities[0].value == 0.5
    assert not found.quantities[0].interval.is_defined
    assert "constant" in found.issues[0].what


def test_a_group_too_small_to_leave_one_out_is_an_issue():
    found = leave_one_out(feature_frame({"a.fa": np.arange(12.0)}, np.arange(12) < 2))
    assert found.quantities == ()
    assert found.effects.empty
    assert "2 patient(s) with poor" in found.issues[0].what


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"names": ["b.fa"]}, "b.fa not found"),
        ({"models": {"m": ["a.fa", "height"]}}, "height not found"),
        ({"models": {"m": []}}, "m has no feature"),
    ],
)
def test_unknown_names_are_refused(features, asked, words):
    with pytest.raises(StatisticsError, match=words):
        leave_one_out(features, **asked)
