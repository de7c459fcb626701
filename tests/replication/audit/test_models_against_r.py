"""Every number that the checks of models compute, against an independent computation in R."""

import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from dtimuscle.replication.audit.adjustment import turning_region
from dtimuscle.replication.audit.alternatives import (
    gamma_auc,
    least_auc,
    lognormal_auc,
    new_patients_auc,
    pooled_auc,
)
from dtimuscle.replication.audit.auc import error_bounds, implied_error, scaled_sizes
from dtimuscle.replication.audit.combination import deviate_for, highest_lower_auc, share_for_limit, single_feature
from dtimuscle.replication.audit.correlation import correlation_p, fisher_interval, kendall_p, odds_ratio_p
from dtimuscle.replication.audit.effects import samples
from dtimuscle.replication.audit.events import expected_shrinkage, model_chi_square
from dtimuscle.replication.printed import PrintedMean, PrintedPair, rounded_number
from dtimuscle.replication.published import Group
from dtimuscle.statistics.power import hanley_mcneil_error

REFERENCE = Path(__file__).parents[2] / "reference" / "audit_models.json"


def agrees(found, expected, *, relative=1e-8):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=0)


@pytest.fixture(scope="module")
def r():
    return json.loads(REFERENCE.read_text())


def group(n, role):
    return Group.model_validate(
        {"id": role, "title": role, "stands_for": role, "grades": {"lowest": 0, "highest": 1}, "n": n}
    )


def pair_of(row):
    def mean(index, role):
        values = [rounded_number(str(Decimal(str(row[f"{name}{index}"])))) for name in ("m", "s")]
        return PrintedMean(group(row[f"n{index}"], role), *values, row[f"n{index}"])

    return PrintedPair("means", "muscle.md", mean(1, "poor"), mean(2, "good"))


def test_the_single_features_agree_with_integrals(r):
    agrees(deviate_for(2), r["z_limit"])
    for row in r["single"]:
        single = single_feature(pair_of(row), z=r["z_limit"])
        found = (single.auc.value, single.standard_error, single.limit.value, single.least.value)
        agrees(found, [row[name] for name in ("auc", "se", "limit", "least")])


def test_other_shapes_agree_with_integrals(r):
    for row in r["single"]:
        first, second = samples(pair_of(row))
        agrees(lognormal_auc(first, second), row["lognormal"])
        agrees(gamma_auc(first, second), row["gamma"], relative=1e-7)
        agrees(least_auc(first, second), row["least"])


def test_the_share_of_patients_agrees_with_a_search_in_r(r):
    for row in r["single"]:
        share = share_for_limit(single_feature(pair_of(row), z=0), 0.7225, z=r["z_limit"])
        assert (share is None) == (row["factor_for_chance"] is None)
        if share is not None:
            agrees(share, row["factor_for_chance"], relative=1e-7)


def test_the_loss_in_new_patients_agrees(r):
    for row in r["fitted"]:
        agrees(new_patients_auc(row["auc"], n_predictors=row["k"], n_first=31, n_second=69), row["new"])


def test_the_mean_of_several_muscles_agrees_with_matrices(r):
    for row in r["pooled"]:
        found = pooled_auc(row["auc"], n_differing=row["differing"], n_alike=row["alike"], correlation=row["r"])
        agrees(found, row["pooled"])


def test_printed_intervals_agree(r):
    for row in r["intervals"]:
        numbers = [rounded_number(str(row[name])) for name in ("auc", "low", "high")]
        implied = implied_error(*numbers, level=row["level"])
        found = [
            implied.linear.value, implied.logit.value, implied.linear_asymmetry.value, implied.logit_asymmetry.value
        ]  # fmt: skip
        np.testing.assert_allclose(
            found, [row[name] for name in ("linear", "logit", "asymmetry", "asymmetry_logit")], rtol=1e-8, atol=1e-12
        )


def test_the_bounds_of_the_standard_error_agree_with_integrals_and_a_search(r):
    for row in r["bounds"]:
        sizes = {"n_event": row["n1"], "n_other": row["n2"]}
        bounds = error_bounds(row["auc"], **sizes)
        agrees(bounds.lowest_without_ties, row["untied"], relative=1e-7)
        agrees(bounds.lowest, row["tied"], relative=1e-6)
        agrees(bounds.highest, max(row["spread"], row["exact"]))
        agrees(hanley_mcneil_error(row["auc"], **sizes), row["expected"])


def test_the_size_for_a_standard_error_agrees_with_a_search(r):
    for row in r["sizes"]:
        agrees(scaled_sizes(row["auc"], row["se"], n_event=31, n_other=69), row["times"])


def test_the_lower_auc_agrees_with_a_search(r):
    for row in r["lower"]:
        agrees(highest_lower_auc(0.722, p=0.05, correlation=row["r"], n_event=31, n_other=69), row["auc"])


def test_the_turning_region_agrees_with_a_search_over_correlations(r):
    for row in r["turning"]:
        region = turning_region(row["d2"], [row["d1"]])
        agrees((*region.correlation, *region.auc), (row["r"], row["auc"]))


def test_the_shrinkage_agrees_with_entropies(r):
    for row in r["shrinkage"]:
        chi_square = model_chi_square(row["auc"], n_event=row["n1"], n_other=row["n2"])
        agrees(chi_square, row["chi_square"])
        assert math.isclose(expected_shrinkage(chi_square, row["k"]), row["remains"], rel_tol=1e-8, abs_tol=1e-12)


def test_the_chance_of_false_alarms_agrees(r):
    for row in r["chance"]:
        agrees((1 - 0.95 ** row["n"], binom.sf(1, row["n"], 0.05)), (row["any"], row["two"]))


def test_correlations_and_odds_ratios_agree(r):
    for row in r["correlation"]:
        interval = fisher_interval(row["r"], row["n"])
        found = (correlation_p(row["r"], row["n"]), interval.low, interval.high, kendall_p(row["r"], row["n"]))
        agrees(found, [row[name] for name in ("p", "low", "high", "kendall")])
    for row in r["ratio"]:
        agrees(odds_ratio_p(row["odds_ratio"], row["low"], row["high"]), row["p"])
