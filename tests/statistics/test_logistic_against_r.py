"""The same data in R: tests/reference/logistic.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.collinearity import variance_inflation
from dtimuscle.statistics.firth import fit_firth
from dtimuscle.statistics.logistic import fit_logistic

REFERENCE = Path(__file__).parents[1] / "reference"
FEATURES = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]
MEASURED = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_fractal_dimension", "worst_smoothness"]
MODELS = {
    **{name: [name] for name in FEATURES},
    "all": FEATURES,
    "adjusted": [*FEATURES[:2], "age", "sex", "smoker"],
    "site": ["site"],
    "with_site": ["gracilis.md", "site"],
    "wdbc": MEASURED,
    "separated": ["a"],
    "separated_two": ["a", "b"],
    "quasi": ["mark", "b"],
}
DIRECT, OPTIMISED = 1e-8, 1e-6


def agrees(found, expected, relative=DIRECT):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=0)


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "logistic.json").read_text())


@pytest.fixture(scope="module")
def data():
    cohort = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    cohort = cohort.set_index("participant_id").assign(poor=lambda t: (t["lovett_grade"] < 4).astype("boolean"))
    wdbc = pd.read_csv(REFERENCE / "wdbc.csv").assign(poor=lambda t: t["malignant"].astype("boolean"))
    separated, quasi = (
        pd.read_csv(REFERENCE / name).astype({"poor": "boolean"}) for name in ("separated.csv", "quasi_separated.csv")
    )
    special = {"wdbc": wdbc, "separated": separated, "separated_two": separated, "quasi": quasi}
    return {model: special.get(model, cohort) for model in MODELS}


def ends(intervals):
    return [[interval.low, interval.high] for interval in intervals]


@pytest.mark.parametrize("model", ["all", "adjusted", "site", "with_site", "wdbc", *FEATURES])
def test_maximum_likelihood_agrees_with_glm(data, r, model):
    expected, table = r["models"][model], data[model]
    found = fit_logistic(table[MODELS[model]], table["poor"])
    terms = [found.intercept, *found.coefficients]
    assert (found.n, found.n_events) == (expected["n"], expected["n_events"])
    for quantity in ("estimate", "se", "z", "p"):
        agrees([getattr(term, quantity) for term in terms], expected[quantity])
    for quantity in ("log_likelihood", "deviance", "null_deviance", "aic", "mcfadden", "cox_snell", "nagelkerke"):
        agrees(getattr(found, quantity), expected[quantity])
    agrees([found.chi2, found.p], [expected["model_chi2"], expected["model_p"]])
    agrees(found.probabilities, expected["probabilities"])
    agrees([c.vif for c in found.coefficients], expected["vif"])
    # R's deviances are differences of numbers near 100, and carry their rounding.
    np.testing.assert_allclose([c.chi2 for c in found.coefficients], expected["chi2"], rtol=DIRECT, atol=1e-10)
    agrees([c.p_lr for c in found.coefficients], expected["p_lr"])
    assert [(test.name, test.df) for test in found.tests] == list(
        zip(np.atleast_1d(expected["columns"]), np.atleast_1d(expected["column_df"]), strict=True)
    )
    agrees([test.p for test in found.tests], expected["column_p"])


@pytest.mark.parametrize("model", ["all", "adjusted", "site", "with_site", "wdbc", *FEATURES])
def test_odds_ratios_and_their_intervals_agree_with_r(data, r, model):
    expected, table = r["models"][model], data[model]
    terms = fit_logistic(table[MODELS[model]], table["poor"]).coefficients
    sd, beta = np.atleast_1d(expected["sd"]), np.array(expected["estimate"][1:])
    step = np.array([term.step for term in terms])
    agrees([term.sd for term in terms], sd)
    agrees([term.odds_ratio for term in terms], np.exp(beta * step))
    agrees([term.odds_ratio_per_sd for term in terms], np.exp(beta * sd))
    agrees(ends(term.interval for term in terms), np.exp(np.array(expected["wald"]) * step[:, None]))
    agrees(ends(term.interval_per_sd for term in terms), np.exp(np.array(expected["wald"]) * sd[:, None]))
    exact = np.array(expected["profile"])
    agrees(np.log(ends(term.profile for term in terms)) / step[:, None], exact, OPTIMISED)
    agrees(np.log(ends(term.profile_per_sd for term in terms)) / sd[:, None], exact, OPTIMISED)


@pytest.mark.parametrize("model", ["all", "wdbc"])
def test_profile_intervals_are_those_that_confint_interpolates(data, r, model):
    expected = r["models"][model]
    error = np.abs(np.array(expected["profile"]) - np.array(expected["profile_interpolated"]))
    assert (error / np.array(expected["se"][1:])[:, None]).max() < 5e-3


@pytest.mark.parametrize("model", ["gracilis.md", "all", "with_site", "wdbc", "separated", "separated_two", "quasi"])
def test_firths_fit_agrees_with_the_penalised_likelihood_in_r(data, r, model):
    expected, table = r["firth"][model], data[model]
    found = fit_firth(table[MODELS[model]], table["poor"])
    terms = found.coefficients
    agrees([term.estimate for term in terms], expected["estimate"])
    agrees(found.intercept, expected["intercept"])
    agrees([term.se for term in terms], expected["se"])
    np.testing.assert_allclose([term.chi2 for term in terms], expected["chi2"], rtol=DIRECT, atol=1e-10)
    agrees([term.p for term in terms], expected["p"], OPTIMISED)
    agrees(found.chi2, expected["model_chi2"])
    agrees(found.probabilities, expected["probabilities"])
    bounds = np.log(ends(term.profile for term in terms)) / np.array([[term.step] for term in terms])
    agrees(bounds, expected["profile"], OPTIMISED)


@pytest.mark.parametrize(("model", "kind"), [("separated", "complete"), ("quasi", "quasi-complete")])
def test_tests_of_separated_data_are_the_limit_that_glm_approaches(data, r, model, kind):
    expected, table = r["separation"][model], data[model]
    found = fit_logistic(table[MODELS[model]], table["poor"])
    assert found.separation == kind
    np.testing.assert_allclose(found.deviance, expected["deviance"], rtol=DIRECT, atol=1e-8)
    agrees([c.chi2 for c in found.coefficients], expected["chi2"])
    agrees([c.p_lr for c in found.coefficients], expected["p"])
    assert all(np.isnan([c.odds_ratio, c.p, c.profile.low, c.interval.high]).all() for c in found.coefficients)


def test_variance_inflation_agrees_with_r(data, r):
    complete = data["all"][data["all"]["poor"].notna()]
    agrees([found.vif for found in variance_inflation(complete[FEATURES])], r["models"]["all"]["vif"])
