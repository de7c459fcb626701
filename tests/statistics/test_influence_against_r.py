"""The same patients left out in R: tests/reference/influence.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.influence import leave_one_out

REFERENCE = Path(__file__).parents[1] / "reference"
FEATURES = ["gracilis.md", "adductor_longus.fa"]
TERMS = {
    "gracilis.md": "gracilis.md",
    "adductor_longus.fa": "adductor_longus.fa",
    "age": "age",
    "sexM": "sex: M against F",
}


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "influence.json").read_text())


@pytest.fixture(scope="module")
def influence():
    cohort = pd.read_csv(REFERENCE / "cohort.csv", dtype={"lovett_grade": "Int64"}).set_index("participant_id")
    grade = cohort["lovett_grade"]
    features = FeatureFrame(cohort[FEATURES], grade, (grade < 4).astype("boolean"), cohort[["age", "sex"]])
    return leave_one_out(features, models={"together": [*FEATURES, "age", "sex"]})


def agrees(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=0)


def check(influence, expected, *, kind, model, subject, name):
    rows = influence.effects
    rows = rows[(rows["kind"] == kind) & (rows["model"] == model) & (rows["subject"] == subject)]
    rows = rows.set_index("participant_id").loc[expected["participant_id"]]
    numbers = expected["auc"] if kind == "auc" else expected["odds_ratios"][name]
    of_all = expected["all"]["auc"] if kind == "auc" else expected["all"]["odds_ratios"][name]
    columns = ["value", "low", "high", "p"][: len(numbers[0])]
    agrees(rows[columns].iloc[0], of_all[: len(columns)])
    agrees(rows[[f"{column}_without" for column in columns]], numbers)
    if kind != "auc":
        change = np.log(np.array(numbers)[:, 0] / of_all[0])
        # Differences keep fewer digits than the numbers themselves.
        np.testing.assert_allclose(rows["change_in_se"], change / of_all[4], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", FEATURES)
def test_areas_and_odds_ratios_without_each_patient_agree_with_proc_and_glm(influence, r, name):
    expected = r["alone"][name]
    check(influence, expected, kind="auc", model="", subject=name, name=name)
    check(influence, expected, kind="univariate_odds_ratio", model="", subject=name, name=name)


def test_the_area_of_a_model_fitted_again_agrees_with_proc_and_glm(influence, r):
    check(influence, r["model"], kind="auc", model="together", subject="together", name="")


@pytest.mark.parametrize("name", TERMS)
def test_odds_ratios_of_a_model_fitted_again_agree_with_glm(influence, r, name):
    check(influence, r["model"], kind="odds_ratio", model="together", subject=TERMS[name], name=name)
