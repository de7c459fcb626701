import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.outliers_influence import variance_inflation_factor

from dtimuscle.statistics.collinearity import variance_inflation


def table(n=50, seed=2):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=n)
    return pd.DataFrame({name: 1e-3 * (2 + shared + rng.normal(size=n)) for name in "abc"})


def test_factors_are_those_of_statsmodels_and_of_the_inverted_correlations():
    features = table()
    found = [item.vif for item in variance_inflation(features)]
    design = np.column_stack([np.ones(len(features)), features])
    np.testing.assert_allclose(found, [variance_inflation_factor(design, i) for i in (1, 2, 3)], rtol=1e-9)
    np.testing.assert_allclose(found, np.diag(np.linalg.inv(features.corr())), rtol=1e-9)


def test_one_feature_is_not_inflated():
    assert [item.vif for item in variance_inflation(table()[["a"]])] == [1.0]


def test_features_that_determine_each_other_have_none_and_the_others_keep_theirs():
    features = table().assign(d=lambda t: 2 * t["a"] - t["b"], constant=0.3)
    found = {item.name: item for item in variance_inflation(features)}
    assert [np.isnan(found[name].vif) for name in ("a", "b", "d", "constant")] == [True] * 4
    expected = np.linalg.inv(features[["a", "b", "c"]].corr())[2, 2]
    assert found["c"].vif == pytest.approx(expected, rel=1e-9)
    assert "does not exist" in found["d"].issues[0].what


def test_a_large_factor_is_reported_and_rows_with_gaps_are_left_out():
    features = table().assign(d=lambda t: t["a"] + 1e-5 * np.arange(50))
    features.loc[50] = [np.nan, 1, 2, 3]
    first, *_ = variance_inflation(features)
    assert first.vif > 10
    assert "the other features carry nearly the same" in first.issues[0].what


def test_fewer_rows_than_features_determine_everything():
    assert all(np.isnan(item.vif) for item in variance_inflation(table(n=3)))
    assert all(np.isnan(item.vif) for item in variance_inflation(table(n=1)))


def test_factors_do_not_depend_on_units_however_large():
    features = table()
    scaled = features * [1e300, 1e-280, 1]
    found = [item.vif for item in variance_inflation(scaled)]
    np.testing.assert_allclose(found, [item.vif for item in variance_inflation(features)], rtol=1e-12)
