"""The same questions to R: tests/reference/power.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from dtimuscle.statistics.power import (
    auc_power,
    auc_precision,
    detectable_auc,
    detectable_d,
    events_for_auc_power,
    paired_auc_power,
    sample_size_for_precision,
    t_test_power,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "power.json"


def agrees(found, expected, *, relative=1e-8):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=0)


@pytest.fixture(scope="module")
def r():
    return json.loads(REFERENCE.read_text())


def sizes_of(row):
    return {"n_poor": row["n1"], "n_good": row["n2"]}


def test_power_of_the_t_test_agrees_with_power_t_test(r):
    for row in r["equal"]:
        found = t_test_power(row["d"], n_poor=row["n"], n_good=row["n"], alpha=row["alpha"])
        agrees(found, row["power"])


def test_power_of_the_t_test_with_unequal_groups_agrees_with_the_noncentral_t(r):
    for row in r["unequal"]:
        agrees(t_test_power(row["d"], **sizes_of(row), alpha=row["alpha"]), row["power"])


def test_the_smallest_difference_agrees_with_a_search_in_r(r):
    for row in r["detectable"]:
        found = detectable_d(**sizes_of(row), power=row["power"], alpha=row["alpha"])
        agrees(found, row["d"], relative=1e-6)


def test_power_of_an_auc_agrees_with_power_roc_test(r):
    for row in r["against_half"]:
        agrees(auc_power(row["auc"], **sizes_of(row), alpha=row["alpha"]), row["power"])


def test_sample_size_of_an_auc_agrees_with_power_roc_test(r):
    for row in r["events"]:
        found = events_for_auc_power(
            row["auc"], controls_per_event=row["kappa"], power=row["power"], alpha=row["alpha"]
        )
        agrees(found, row["events"])


def test_the_smallest_auc_agrees_with_power_roc_test(r):
    for row in r["smallest_auc"]:
        found = detectable_auc(**sizes_of(row), power=row["power"], alpha=row["alpha"])
        agrees(found, row["auc"], relative=1e-6)
        assert found == pytest.approx(row["auc_of_proc"], abs=2e-4)  # the tolerance of pROC's own search


def test_precision_of_an_auc_agrees_with_the_formula_in_r(r):
    for row in r["precision"]:
        found = auc_precision(row["auc"], **sizes_of(row), level=row["level"])
        agrees([found.se, found.half_width], [row["se"], row["half_width"]])


def test_sample_size_for_a_precision_agrees_with_counting_up_in_r(r):
    for row in r["sizes"]:
        found = sample_size_for_precision(row["auc"], half_width=row["half_width"], controls_per_event=row["kappa"])
        assert found.n_poor == row["n1"]


def test_power_of_paired_aucs_agrees_with_the_formula_in_r(r):
    for row in r["paired"]:
        found = paired_auc_power(row["lower"], row["higher"], correlation=row["r"], **sizes_of(row))
        agrees(found, row["power"])
