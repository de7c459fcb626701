"""The same data in R: tests/reference/reliability.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.bland_altman import compare_occasions
from dtimuscle.statistics.reliability import measure_reliability

R = json.loads((Path(__file__).parents[1] / "reference" / "reliability.json").read_text())


def agrees(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=0)


def with_ends(value, interval):
    return [value, interval.low, interval.high]


def frame(name):
    numbers = np.array(R["values"][name], dtype=float)
    index = [f"sub-{i:02d}" for i in range(len(numbers))]
    return pd.DataFrame(numbers, index=index, columns=[f"ses-{j + 1}" for j in range(numbers.shape[1])])


@pytest.mark.parametrize("name", R["values"])
def test_reliability_agrees_with_aov_and_mcgraw_and_wong(name):
    found, expected = measure_reliability(frame(name), feature=name), R["reliability"][name]
    squares = found.mean_squares
    assert (found.n, found.n_missing) == (expected["n"], expected["n_missing"])
    agrees([squares.participants, squares.occasions, squares.error, squares.within], expected["mean_squares"])
    agrees([found.mean, found.p, found.within_cv], [expected[key] for key in ("mean", "p", "within_cv")])
    agrees(with_ends(found.agreement.value, found.agreement.interval), expected["agreement"])
    agrees(with_ends(found.consistency.value, found.consistency.interval), expected["consistency"])
    agrees(with_ends(found.within_sd, found.within_sd_interval), expected["within_sd"])
    agrees(with_ends(found.sem, found.sem_interval), expected["sem"])
    agrees(with_ends(found.sdc, found.sdc_interval), expected["sdc"])
    agrees(found.repeatability, expected["repeatability"])


@pytest.mark.parametrize("name", R["values"])
def test_bland_altman_agrees_with_t_test_lm_and_the_noncentral_t(name):
    values, expected = frame(name), R["bland_altman"][name]
    found = compare_occasions(values["ses-1"], values["ses-2"], feature=name)
    assert found.n == expected["n"]
    agrees(with_ends(found.bias, found.bias_interval), expected["bias"])
    agrees([found.p, found.sd], [expected["p"], expected["sd"]])
    agrees(with_ends(found.lower, found.lower_interval), expected["lower"])
    agrees(with_ends(found.upper, found.upper_interval), expected["upper"])
    agrees([found.slope, found.slope_p], [expected["slope"], expected["slope_p"]])
    agrees(found.spread_p, expected["spread_p"])
    agrees([found.ratio, found.ratio_lower, found.ratio_upper], expected["ratio"])
