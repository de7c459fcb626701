"""The same data in R: tests/reference/penalised.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.penalised import fit_elastic_net

REFERENCE = Path(__file__).parents[1] / "reference"
WDBC = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_fractal_dimension", "worst_smoothness"]
COHORT = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md", "age"]


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "penalised.json").read_text())


@pytest.fixture(scope="module")
def data():
    wdbc = pd.read_csv(REFERENCE / "wdbc.csv")
    cohort = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    return {
        "wdbc": complete_cases(wdbc[WDBC], wdbc["malignant"].astype("boolean")),
        "cohort": complete_cases(cohort[COHORT], (cohort["lovett_grade"] < 4).astype("boolean")),
    }


@pytest.mark.parametrize("case", range(7))
@pytest.mark.parametrize("name", ["wdbc", "cohort"])
def test_coefficients_agree_with_the_optimum_that_r_finds(data, r, name, case):
    features, outcome, _ = data[name]
    expected = r[name][case]
    x = ((features - features.mean()) / features.std(ddof=0)).to_numpy()
    is_event = outcome.to_numpy(dtype=bool)
    beta = fit_elastic_net(x, is_event, l1_ratio=expected["l1_ratio"], penalty=expected["penalty"])
    np.testing.assert_allclose(beta, expected["beta"], rtol=1e-8, atol=1e-10)
    assert ((beta != 0) == (np.array(expected["beta"]) != 0)).all()
    ratio, penalty = expected["l1_ratio"], expected["penalty"]
    pull = penalty * (ratio * np.abs(beta[1:]) + (1 - ratio) / 2 * beta[1:] ** 2).sum()
    loss = np.logaddexp(0, np.where(is_event, -1, 1) * (beta[0] + x @ beta[1:])).mean()
    assert loss + pull == pytest.approx(expected["objective"], rel=1e-12)
