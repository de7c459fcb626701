import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.combination import combination_curves, compare_models
from dtimuscle.statistics.features import FeatureFrame


def cohort(effect, *, seed=0, n_poor=31, n_good=69):
    rng = np.random.default_rng(seed)
    poor = pd.Series(np.arange(n_poor + n_good) < n_poor, dtype="boolean")
    columns = [f"{muscle}.{parameter}" for muscle in ("gracilis", "sartorius") for parameter in ("fa", "md")]
    noise = rng.normal(size=(poor.size, 4)) - effect * poor.to_numpy(dtype=float)[:, None]
    values = pd.DataFrame(noise, columns=columns)
    values = values * np.array([0.03, 0.3e-3, 0.03, 0.3e-3]) + np.array([0.3, 1.7e-3, 0.3, 1.7e-3])
    grade = pd.Series(np.where(poor, 2, 5), dtype="Int64")
    return FeatureFrame(values, grade, poor, values[[]])


def test_the_combination_is_at_least_as_likely_as_its_parts_and_marked_apparent():
    found = combination_curves(cohort(0.7), muscles=("gracilis", "sartorius"))
    likelihoods = {name: model.log_likelihood for name, model in found.models.items()}
    assert likelihoods["fa+md"] > max(likelihoods["fa"], likelihoods["md"])
    assert all(roc.is_apparent and roc.higher_is_poor for roc in found.curves.values())
    assert found.models["fa+md"].names == ("gracilis.fa", "gracilis.md", "sartorius.fa", "sartorius.md")
    assert [(e.kind, e.subject) for e in found.estimates()] == [
        ("auc", "fa"),
        ("auc", "md"),
        ("auc", "fa+md"),
        ("auc_difference", "fa+md - fa"),
        ("auc_difference", "fa+md - md"),
        ("auc_difference", "fa - md"),
    ]


def test_all_three_curves_use_the_same_participants():
    features = cohort(0.7)
    features.values.iloc[[0, 1], 0] = np.nan
    features.values.iloc[[1, 99], 3] = np.nan
    found = combination_curves(features, muscles=("gracilis", "sartorius"))
    assert {(roc.auc.n_events, roc.auc.n_controls) for roc in found.curves.values()} == {(29, 68)}
    assert "3 participant(s) left out" in found.issues[0].what


def test_features_that_separate_the_groups_still_have_their_curves():
    found = combination_curves(cohort(9.0), muscles=("gracilis",))
    assert found.curves["fa+md"].auc.value == 1
    assert found.models["fa+md"].is_separated
    assert found.comparisons[0].name == "fa+md - fa"


def test_a_muscle_that_was_not_measured_is_named_with_those_that_were():
    with pytest.raises(StatisticsError, match=r"adductor_longus\.md is not among .* from gracilis, sartorius"):
        combination_curves(cohort(0.7), muscles=("adductor_longus",))


def test_at_least_one_muscle_is_needed():
    with pytest.raises(StatisticsError, match="a muscle is not among the features"):
        combination_curves(cohort(0.7), muscles=())


def test_nobody_in_a_group_stops_the_curves():
    with pytest.raises(StatisticsError, match="poor muscle function"):
        combination_curves(cohort(0.7, n_poor=0), muscles=("gracilis",))


def test_the_bootstrap_stands_beside_delong_for_curves_and_differences():
    told = []
    options = {"n_bootstrap": 300, "seed": 4, "progress": lambda *how: told.append(how)}
    found = combination_curves(cohort(0.7), muscles=("gracilis", "sartorius"), **options)
    assert told[-1] == (300, 300)
    for curve in found.curves.values():
        assert curve.bootstrap.auc.value == pytest.approx(curve.auc.value)
        assert curve.bootstrap.band.low[50] <= curve.bootstrap.band.high[50]
        assert (curve.bootstrap.n_bootstrap, curve.bootstrap.seed) == (300, 4)
    for test in found.comparisons:
        assert test.bootstrap.difference == pytest.approx(test.difference)
        assert test.bootstrap.z == pytest.approx(test.z, rel=0.25)


def test_without_resamples_there_is_no_bootstrap():
    found = combination_curves(cohort(0.7), muscles=("gracilis",))
    assert {curve.bootstrap for curve in found.curves.values()} == {None}


def scores():
    features = cohort(0.5)
    return -features.values[["gracilis.fa", "gracilis.md"]].set_axis(["new", "old"], axis="columns"), features.poor


def test_any_scores_can_be_compared_in_those_who_have_all():
    values, poor = scores()
    values.iloc[0, 1] = np.nan
    found = compare_models(values, poor, contrasts=[("new", "old")], is_apparent=False, n_bootstrap=50)
    assert {curve.n for curve in found.curves.values()} == {99}
    assert not any(curve.is_apparent for curve in found.curves.values())
    assert found.comparisons[0].name == "new - old"
    assert "1 participant(s) left out" in found.issues[0].what
    assert found.models == {}


def test_a_contrast_of_a_model_that_is_not_there_is_refused():
    values, poor = scores()
    with pytest.raises(StatisticsError, match="'odl' is not among new, old"):
        compare_models(values, poor, contrasts=[("new", "odl")], is_apparent=False)
