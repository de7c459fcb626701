"""The same resamples and predictions in R: tests/reference/calibration.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.calibration import calibrate, hosmer_lemeshow
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.decision import decision_curve
from dtimuscle.statistics.recipes import entry_recipe, maximum_likelihood_recipe
from dtimuscle.statistics.validation import Resamples, validate_with

REFERENCE = Path(__file__).parents[1] / "reference"
PREDICTIONS = [("cohort", "fa"), ("cohort", "fa+md"), ("cohort", "entry"), ("wdbc", "two"), ("wdbc", "entry")]
ENTRY_P = {"cohort": 0.2, "wdbc": 0.05}


def agrees(found, expected, relative=1e-8):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=1e-12)


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "calibration.json").read_text())


@pytest.fixture(scope="module")
def data():
    cohort, wdbc = (pd.read_csv(REFERENCE / f"{name}.csv") for name in ("cohort", "wdbc"))
    muscles = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]
    poor = (cohort["lovett_grade"] < 4).astype("boolean").mask(cohort["lovett_grade"].isna())
    return {
        "cohort": complete_cases(cohort[muscles], poor)[:2],
        "wdbc": complete_cases(wdbc.drop(columns=["malignant", "grade"]), wdbc["malignant"].astype("boolean"))[:2],
    }


@pytest.mark.parametrize(("source", "model"), PREDICTIONS)
def test_validation_on_the_same_resamples_agrees(r, data, source, model):
    features, poor = data[source]
    expected = r[source]["models"][model]
    columns = tuple(expected["columns"])
    recipe = maximum_likelihood_recipe(model, columns)
    if model == "entry":
        recipe = entry_recipe(model, columns, ENTRY_P[source])
    resamples = Resamples(np.array(r[source]["samples"]), np.array(r[source]["splits"]))
    found = validate_with(recipe, features[list(columns)], poor.to_numpy(dtype=bool), resamples=resamples)
    for part in ("apparent", "optimism", "corrected", "cross_validated"):
        for quantity, value in expected[part].items():
            agrees(getattr(getattr(found, part), quantity), value)
    agrees(found.auc_of_repeats, expected["auc_of_repeats"])
    agrees(found.out_of_fold, expected["out_of_fold"])


@pytest.mark.parametrize(("source", "model"), PREDICTIONS)
def test_recalibration_and_brier_score_agree(r, source, model):
    expected = r[source]["calibration"][model]
    found = calibrate(
        pd.Series(expected["probabilities"]), pd.Series(expected["events"]) == 1, name=model, is_apparent=True
    )
    for term in ("in_the_large", "intercept", "slope"):
        for quantity in ("value", "se", "z", "p"):
            agrees(getattr(getattr(found, term), quantity), expected[term][quantity])
        bounds = getattr(found, term).interval
        agrees([bounds.low, bounds.high], expected[term]["interval"])
    for quantity in (
        "recalibration_p",
        "observed_expected",
        "brier",
        "brier_scaled",
        "spiegelhalter_z",
        "spiegelhalter_p",
    ):
        agrees(getattr(found, quantity), expected[quantity])


@pytest.mark.parametrize(("source", "model"), PREDICTIONS)
def test_the_smooth_curve_is_that_of_lowess(r, source, model):
    expected = r[source]["calibration"][model]
    found = calibrate(
        pd.Series(expected["probabilities"]), pd.Series(expected["events"]) == 1, name=model, is_apparent=False
    )
    agrees(found.smooth_predicted, expected["smooth_x"])
    agrees(found.smooth_observed, expected["smooth_y"])


def check_groups(found, expected):
    agrees([found.statistic, found.p], [expected["statistic"], expected["p"]])
    assert found.df == expected["df"]
    for quantity in ("n", "n_events", "predicted", "low", "high"):
        agrees([getattr(group, quantity) for group in found.groups], expected[quantity])
    agrees([[group.interval.low, group.interval.high] for group in found.groups], expected["wilson"])


@pytest.mark.parametrize(("source", "model"), PREDICTIONS)
def test_hosmer_and_lemeshows_test_agrees_with_its_definition(r, source, model):
    given = r[source]["calibration"][model]
    probabilities, poor = pd.Series(given["probabilities"]), pd.Series(given["events"]) == 1
    expected = given["hosmer_lemeshow"]
    check_groups(hosmer_lemeshow(probabilities, poor, name=model), expected)
    elsewhere = hosmer_lemeshow(probabilities, poor, name=model, is_apparent=False)
    assert elsewhere.df == expected["df"] + 2
    agrees(elsewhere.p, expected["p_elsewhere"])


def test_tied_probabilities_form_the_groups_that_r_forms(r):
    given = r["tied"]
    found = hosmer_lemeshow(pd.Series(given["probabilities"]), pd.Series(given["events"]) == 1, name="tied")
    check_groups(found, given["hosmer_lemeshow"])
    assert len(found.groups) < 10


@pytest.mark.parametrize(("source", "model"), PREDICTIONS)
def test_net_benefit_agrees_with_its_definition(r, source, model):
    given, expected = r[source]["calibration"][model], r[source]["decision"][model]
    found = decision_curve(
        pd.Series(given["probabilities"]),
        pd.Series(given["events"]) == 1,
        name=model,
        is_apparent=False,
        thresholds=expected["thresholds"],
    )
    agrees(found.net_benefit, expected["net_benefit"])
    agrees(found.treat_all, expected["treat_all"])
    agrees(found.at_prevalence, expected["at_prevalence"])
