"""The same data in R: tests/reference/ordinal.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.ordinal import fit_ordinal

REFERENCE = Path(__file__).parents[1] / "reference"
COHORT = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "ordinal.json").read_text())


@pytest.fixture(scope="module")
def fits(r):
    wdbc = pd.read_csv(REFERENCE / "wdbc.csv")
    cohort = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    mtcars = pd.DataFrame(r["data"]["mtcars"])
    table = pd.DataFrame(r["data"]["housing"])
    housing = table.loc[table.index.repeat(table["n"])].reset_index(drop=True)
    return {
        "wdbc": fit_ordinal(wdbc[["mean_texture", "mean_symmetry"]], wdbc["grade"]),
        "wdbc_one": fit_ordinal(wdbc[["mean_smoothness"]], wdbc["grade"]),
        "cohort": fit_ordinal(cohort[COHORT], cohort["lovett_grade"]),
        "mtcars": fit_ordinal(mtcars[["mpg", "hp"]], mtcars["gear"]),
        "housing": fit_ordinal(housing[["influence", "contact", "tower"]], housing["satisfaction"]),
    }


def agrees(found, expected, *, relative=1e-8):
    np.testing.assert_allclose(found, np.ravel(expected), rtol=relative, atol=0)


DATA = pytest.mark.parametrize("data", ["wdbc", "wdbc_one", "cohort", "mtcars", "housing"])


@DATA
def test_estimates_and_their_errors_agree(fits, r, data):
    fit, expected = fits[data], r[data]
    agrees([term.estimate for term in fit.terms], expected["estimate"])
    agrees([term.se for term in fit.terms], expected["se"])
    agrees([threshold.estimate for threshold in fit.thresholds], expected["thresholds"])
    agrees([threshold.se for threshold in fit.thresholds], expected["thresholds_se"])


@DATA
def test_likelihoods_and_their_tests_agree(fits, r, data):
    fit, expected = fits[data], r[data]
    assert fit.n == expected["n"]
    assert [count for _, count in fit.counts] == expected["counts"]
    for quantity in ("log_likelihood", "null_log_likelihood", "aic"):
        agrees(getattr(fit, quantity), expected[quantity])
    agrees(fit.lr.statistic, expected["lr_all"])
    agrees([term.lr for term in fit.terms], expected["lr"])


@DATA
def test_profile_intervals_agree(fits, r, data):
    ends = [np.log([term.profile.low, term.profile.high]) / term.step for term in fits[data].terms]
    agrees(np.ravel(ends), r[data]["profile"], relative=1e-6)


@pytest.mark.parametrize("data", ["wdbc", "wdbc_one", "housing"])
def test_brant_test_agrees(fits, r, data):
    brant, expected = fits[data].brant, r[data]["brant"]
    agrees([brant.omnibus.statistic, brant.omnibus.df, brant.omnibus.p], expected["omnibus"])
    for (_, found), one in zip(brant.features, expected["features"], strict=True):
        agrees([found.statistic, found.df, found.p], one)


@pytest.mark.parametrize("data", ["cohort", "mtcars"])
def test_where_brants_formula_gives_a_negative_chi_squared_there_is_no_test(fits, r, data):
    assert r[data]["brant"]["omnibus"][0] < 0
    assert np.isnan(fits[data].brant.omnibus.p)
    assert any("no Brant test" in issue.what for issue in fits[data].issues)


@DATA
def test_score_test_agrees(fits, r, data):
    score = fits[data].score.omnibus
    agrees(score.statistic, r[data]["score"])
    assert score.df == fits[data].brant.omnibus.df


@DATA
def test_odds_ratios_of_the_cuts_agree_with_glm(fits, r, data):
    agrees([term.estimate for cut in fits[data].cuts for term in cut.terms], r[data]["brant"]["cuts"], relative=1e-7)


@DATA
def test_estimates_agree_with_polr_as_far_as_it_goes(fits, r, data):
    polr = r[data]["polr"]
    agrees([term.estimate for term in fits[data].terms], polr["estimate"], relative=1e-6)
    agrees([term.se for term in fits[data].terms], polr["se"], relative=1e-3)
    agrees(fits[data].log_likelihood, polr["log_likelihood"])
