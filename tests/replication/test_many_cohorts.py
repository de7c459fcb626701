import numpy as np
import pandas as pd
import pytest

from dtimuscle.replication import many_cohorts as many
from dtimuscle.statistics.logistic import fit_logistic
from dtimuscle.statistics.rank_correlation import pearson
from dtimuscle.statistics.roc import compare_aucs, roc_curve
from dtimuscle.statistics.two_samples import student_t

N_COHORTS, N_POOR, N_GOOD = 6, 12, 17
IS_POOR = np.arange(N_POOR + N_GOOD) < N_POOR
POOR = pd.Series(IS_POOR, dtype="boolean")


@pytest.fixture(scope="module")
def values():
    """Three features of very different scale, of which the cohorts' groups differ more and more."""
    rng = np.random.default_rng(8)
    draws = rng.normal(size=(N_COHORTS, IS_POOR.size, 3)) + 0.3 * np.arange(N_COHORTS)[:, None, None] * IS_POOR[:, None]
    return draws * np.array([1e-4, 0.04, 3.0]) + np.array([1.5e-3, 0.25, 0.0])


def test_differences_are_those_of_students_t_test(values):
    found = many.differences(values[..., 0], IS_POOR)
    for cohort, estimate, p in zip(values[..., 0], found.estimate, found.p, strict=True):
        alone = student_t(cohort[IS_POOR], cohort[~IS_POOR])
        assert p == pytest.approx(alone.p, rel=1e-8)
        assert estimate == pytest.approx(cohort[IS_POOR].mean() - cohort[~IS_POOR].mean(), rel=1e-8)


def test_correlations_are_pearsons(values):
    grades = np.random.default_rng(1).integers(0, 6, values.shape[:2])
    found = many.correlations(values[..., 0], grades)
    for cohort, grade, r, p in zip(values[..., 0], grades, found.estimate, found.p, strict=True):
        alone = pearson(cohort, grade.astype(float))
        assert (r, p) == pytest.approx((alone.value, alone.p), rel=1e-8)


def test_joint_models_are_those_of_logistic_regression(values):
    found = many.joint_models(values, IS_POOR)
    for cohort in range(N_COHORTS):
        alone = fit_logistic(pd.DataFrame(values[cohort], columns=list("abc")), POOR, profile=False)
        assert bool(found.is_estimable[cohort]) != alone.is_separated
        terms = [(c.estimate * c.sd, c.p) for c in alone.coefficients]
        got = np.column_stack([found.terms.estimate[cohort], found.terms.p[cohort]])
        np.testing.assert_allclose(got, terms, rtol=1e-8, atol=1e-12)
        area = many.areas(found.scores, IS_POOR).auc[cohort]
        assert area == roc_curve(alone.probabilities, POOR, name="x", higher_is_poor=True).auc.value
        if not alone.is_separated:
            np.testing.assert_array_equal(np.argsort(found.scores[cohort]), np.argsort(alone.probabilities))
    assert 0 < found.is_estimable.sum() < N_COHORTS


def test_areas_and_their_differences_are_delongs(values):
    scores = [many.joint_models(values[..., columns], IS_POOR).scores for columns in ([0, 1, 2], [1])]
    first, second = (many.areas(score, IS_POOR) for score in scores)
    low, high = many.area_intervals(first, level=0.95)
    found = many.area_differences(first, second)
    for cohort in range(N_COHORTS):
        pair = [pd.Series(score[cohort]) for score in scores]
        curve = roc_curve(pair[0], POOR, name="x", higher_is_poor=True).auc
        assert (first.auc[cohort], low[cohort], high[cohort]) == pytest.approx(
            (curve.value, curve.interval.low, curve.interval.high), rel=1e-8, nan_ok=True
        )
        alone = compare_aucs(*pair, POOR, names=("x", "y"))
        assert (found.estimate[cohort], found.p[cohort]) == pytest.approx(
            (alone.difference, alone.p), rel=1e-8, abs=1e-12
        )


def test_separated_groups_have_no_odds_ratios_but_an_area_of_one(values):
    apart = values[:, :, :2].copy()
    apart[2, :, 0] = IS_POOR + 0.1 * np.arange(IS_POOR.size) / IS_POOR.size
    found = many.joint_models(apart, IS_POOR)
    assert found.is_estimable[:4].tolist() == [True, True, False, True]
    assert np.isnan(found.terms.estimate[2]).all()
    assert not found.terms.shows(1, below=1.1)[2].any()
    area = many.areas(found.scores, IS_POOR)
    assert area.auc[2] == 1
    assert np.isnan(many.area_intervals(area, level=0.95)[0][2])


def test_what_does_not_vary_shows_nothing(values):
    flat = np.full_like(values[..., 0], 0.25)
    grades = np.tile(IS_POOR.astype(int), (N_COHORTS, 1))
    model = many.joint_models(np.stack([flat, values[..., 1]], axis=2), IS_POOR)
    for found in (many.differences(flat, IS_POOR), many.correlations(flat, grades)):
        for sign in (-1, 1):
            assert not found.shows(sign, below=1.1).any()
    assert np.isnan(model.terms.p[:, 0]).all()
    assert np.isfinite(model.terms.p[:, 1]).all()


def test_equal_scores_have_a_difference_of_zero_that_shows_nothing(values):
    area = many.areas(values[..., 0], IS_POOR)
    found = many.area_differences(area, area)
    assert (found.estimate == 0).all()
    assert (found.p == 1).all()


def test_means_have_students_interval(values):
    low, high = many.mean_intervals(values[..., 0], level=0.95)
    # R: t.test(c(1, 2, 4))$conf.int is -1.461250 to 6.127916.
    np.testing.assert_allclose(
        many.mean_intervals(np.array([[1.0, 2.0, 4.0]]), level=0.95), [[-1.461250], [6.127916]], rtol=1e-6
    )
    assert (low < values[..., 0].mean(axis=1)).all()
    assert (high > low).all()


def test_a_group_of_one_has_no_interval_and_no_variance(values):
    assert np.isnan(many.mean_intervals(values[:, :1, 0], level=0.95)).all()
    single = many.areas(values[:, :6, 0], np.arange(6) < 1)
    assert np.isnan(many.area_intervals(single, level=0.95)).all()
    assert np.isnan(many.area_differences(single, many.areas(values[:, :6, 1], np.arange(6) < 1)).p).all()
