"""What is left of a finding."""

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.correlation import correlate_all_features
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.logistic import prespecified_model
from dtimuscle.statistics.penalised import fit_penalised
from dtimuscle.statistics.robustness import what_survives


@pytest.fixture(scope="module")
def features() -> FeatureFrame:
    """One feature that works, one that only copies it and turns round beside it, and one of noise."""
    rng = np.random.default_rng(3)
    n = 120
    grade = np.repeat([0, 1, 2, 3, 4, 5], n // 6)
    poor = grade < 4
    real = rng.normal(size=n) - 1.6 * poor
    copy = 0.9 * real + 0.3 * rng.normal(size=n) + 0.5 * poor
    index = pd.RangeIndex(n).map("sub-{:03d}".format)
    values = pd.DataFrame({"a.fa": real, "b.fa": copy, "c.fa": rng.normal(size=n)}, index=index)
    covariates = pd.DataFrame({"age": rng.normal(70, 8, n)}, index=index)
    return FeatureFrame(
        values, pd.Series(grade, index, dtype="Int64"), pd.Series(poor, index, dtype="boolean"), covariates
    )


@pytest.fixture(scope="module")
def survivors(features):
    return what_survives(
        compare_all_features(features),
        adjusted=correlate_all_features(features, covariates=["age"]),
        joint=prespecified_model(features, ["a.fa", "b.fa"]),
        penalised=fit_penalised(features.values, features.poor, seed=1, folds=3, repeats=1, n_penalties=5),
    )


def test_a_real_difference_holds_in_every_analysis(survivors):
    assert survivors[0].holds()
    assert survivors[0].turned == ()


def test_a_feature_that_turns_round_beside_another_does_not_hold(survivors):
    copy = survivors[1]
    assert copy.p < 0.05
    assert copy.p_holm < 0.05
    assert {"joint", "firth"} <= set(copy.turned)
    assert not copy.holds()


def test_noise_does_not_hold(survivors):
    assert not survivors[2].holds()


def test_the_numbers_are_those_of_the_analyses(features, survivors):
    joint = prespecified_model(features, ["a.fa", "b.fa"])
    assert survivors[1].p_joint == joint.multivariable.coefficients[1].p_lr
    assert survivors[1].p_firth == joint.firth.coefficients[1].p
    assert survivors[2].p_adjusted == correlate_all_features(features, covariates=["age"])[2].p
    assert survivors[0].p_bh == compare_all_features(features)[0].p_bh


def test_an_analysis_that_did_not_look_has_no_say(features, survivors):
    assert np.isnan(survivors[2].p_joint)
    alone = what_survives(compare_all_features(features))
    assert np.isnan([alone[0].p_adjusted, alone[0].p_firth, alone[0].selected]).all()
    assert alone[0].holds()


def test_a_feature_that_nobody_could_test_does_not_hold(features):
    nothing = FeatureFrame(
        features.values.assign(**{"c.fa": np.nan}), features.grade, features.poor, features.covariates
    )
    assert not what_survives(compare_all_features(nothing))[2].holds()
