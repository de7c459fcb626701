"""The same numbers in R: tests/reference/imputation.R made them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.imputation import Imputation
from dtimuscle.statistics.missing import describe_missing
from dtimuscle.statistics.pooling import pool_analyses
from dtimuscle.statistics.rubin import rubin

REFERENCE = Path(__file__).parents[1] / "reference"
FEATURES = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]
R = json.loads((REFERENCE / "imputation.json").read_text())
QUANTITIES = ("estimate", "within", "between", "total", "df", "p", "fmi", "relative_efficiency")


def agrees(found, expected, relative=1e-8):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=1e-300)


def check(found, expected):
    agrees([getattr(found, name) for name in QUANTITIES], [expected[name] for name in QUANTITIES])
    agrees([found.interval.low, found.interval.high], expected["interval"])


@pytest.fixture(scope="module")
def features():
    table = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    table = table.set_index("participant_id")
    table = table[table["lovett_grade"].notna()]
    grade = table["lovett_grade"]
    covariates = table[["age", "sex", "site", "smoker"]]
    return FeatureFrame(table[FEATURES], grade, (grade < 4).astype("boolean"), covariates)


@pytest.fixture(scope="module")
def analysis(features):
    frames = tuple(
        replace(
            features,
            values=features.values.fillna(features.values.quantile(i / 6)),
            covariates=features.covariates.fillna({"age": features.covariates["age"].quantile(i / 6)}),
        )
        for i in range(1, 6)
    )
    n_imputed = {"gracilis.md": 3, "adductor_longus.fa": 1, "age": 1}
    imputation = Imputation(frames, n_imputed, {}, len(features.values), 1, 1, 1, 0)
    return pool_analyses(
        imputation, muscles=("gracilis", "adductor_longus"), model=("gracilis.md", "adductor_longus.fa", "age")
    )


@pytest.mark.parametrize("expected", R["rubin"], ids=lambda case: f"m={len(case['q'])}")
def test_rubins_rules_agree_with_r(expected):
    df = expected["complete_df"]
    check(rubin(expected["q"], expected["u"], n_complete_df=math.inf if df > 1e299 else df, level=0.9), expected)


@pytest.mark.parametrize("name", R["alone"])
@pytest.mark.parametrize("kind", ["mean_poor", "difference", "correlation", "univariate_odds_ratio", "auc"])
def test_pooled_analyses_of_a_feature_agree_with_r(analysis, name, kind):
    wanted = (kind.removesuffix("_poor"), name, "poor" if kind == "mean_poor" else "")
    (found,) = (item for item in analysis.pooled if item.subject == wanted)
    check(found.pooled, R["alone"][name][kind])


@pytest.mark.parametrize("name", R["prespecified"])
def test_pooled_prespecified_model_agrees_with_r(analysis, name):
    (found,) = (item for item in analysis.prespecified if item.subject.name == name)
    check(found.pooled, R["prespecified"][name])
    agrees(found.value, math.exp(R["prespecified"][name]["estimate"]))
    assert found.n_imputed == 5


@pytest.mark.parametrize("model", R["combined"])
def test_pooled_aucs_of_models_agree_with_r(analysis, model):
    (found,) = (item for item in analysis.pooled if item.subject == ("auc", model, ""))
    if model == "md":
        assert found.n_imputed == 4
    check(found.pooled, R["combined"][model])


@pytest.mark.parametrize("pair", R["differences"])
def test_pooled_differences_of_aucs_agree_with_r(analysis, pair):
    (found,) = (item for item in analysis.pooled if item.subject == ("auc_difference", pair, ""))
    check(found.pooled, R["differences"][pair])


def test_patterns_and_fishers_test_agree_with_r(features):
    found = describe_missing(features)
    assert {"+".join(pattern.missing) or "complete": pattern.n for pattern in found.patterns} == R["patterns"]
    p = {column.name: column.p for column in found.columns}
    agrees([p[name] for name in R["fisher"]], list(R["fisher"].values()))
