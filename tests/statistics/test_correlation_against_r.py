"""The same data in R: tests/reference/correlation.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.correlation import METHODS, correlate_all_features, correlate_with_grade
from dtimuscle.statistics.correlation_matrix import correlation_matrix
from dtimuscle.statistics.features import FeatureFrame

REFERENCE = Path(__file__).parents[1] / "reference"
FEATURES = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]
MEASUREMENTS = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_fractal_dimension", "worst_smoothness"]

# R's interval of τ-b comes from numerical derivatives.
RELATIVE = {"Pearson": 1e-8, "Spearman": 1e-8, "Kendall": 1e-6}


def agrees(found, expected, *, relative=1e-8):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=0)


def check(found, expected):
    agrees([found.r, found.p], [expected["r"], expected["p"]])
    agrees([found.interval.low, found.interval.high], expected["interval"], relative=RELATIVE[found.method])


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "correlation.json").read_text())


@pytest.fixture(scope="module")
def cohort():
    return pd.read_csv(REFERENCE / "cohort.csv", dtype={"lovett_grade": "Int64"}).set_index("participant_id")


@pytest.fixture(scope="module")
def features(cohort):
    grade = cohort["lovett_grade"]
    covariates = cohort[["age", "sex", "site", "smoker"]]
    return FeatureFrame(cohort[FEATURES], grade, (grade < 4).astype("boolean"), covariates)


@pytest.mark.parametrize("method", METHODS)
def test_correlation_with_the_grade_agrees_with_cor_test(features, r, method):
    for found in correlate_all_features(features, methods=(method,)):
        assert found.n == r["cohort"][found.feature]["n"]
        check(found, r["cohort"][found.feature][method])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_correlation_with_an_ordinal_grade_of_real_data_agrees_with_cor_test(r, method, name):
    table = pd.read_csv(REFERENCE / "wdbc.csv")
    check(correlate_with_grade(table[name], table["grade"], name=name, method=method), r["wdbc"][name][method])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [6, 8, 9, 10, 20, 49, 50, 97])
def test_without_ties_p_is_the_one_that_r_chooses(cohort, r, method, n):
    untied = cohort[["gracilis.fa", "gracilis.md"]].dropna().iloc[:n]
    found = correlate_with_grade(untied["gracilis.fa"], untied["gracilis.md"], name="fa", method=method)
    check(found, r["untied"][str(n)][method])


@pytest.mark.parametrize("method", ["Pearson", "Spearman"])
@pytest.mark.parametrize(
    ("covariates", "key"), [(["age"], "adjusted_for_age"), (["age", "sex", "site", "smoker"], "adjusted_for_all")]
)
def test_partial_correlation_agrees_with_the_correlation_of_residuals(features, r, method, covariates, key):
    for found in correlate_all_features(features, methods=(method,), covariates=covariates):
        assert found.n == r[key][found.feature][method]["n"]
        assert found.covariates == tuple(covariates)
        check(found, r[key][found.feature][method])


@pytest.mark.parametrize("method", METHODS)
def test_correlations_among_features_agree_with_cor(cohort, r, method):
    agrees(correlation_matrix(cohort[[*FEATURES, "age"]], method=method).r, r["matrices"][method])
