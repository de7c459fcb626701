"""Numbers of R (`tests/reference/audit_means.R`), computed without this package from the same printed numbers."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dtimuscle.replication.audit.effects import implied_effect
from dtimuscle.replication.audit.findings import Quantity
from dtimuscle.replication.audit.spread import lower_limit
from dtimuscle.replication.audit.summaries import Sample, logarithms, separation
from dtimuscle.replication.audit.units import largest_sd, share_beyond
from dtimuscle.replication.printed import PrintedMean, PrintedPair, rounded_number
from dtimuscle.replication.published import Group

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "audit_means.json").read_text(encoding="utf-8"))
EFFECTS = pytest.mark.parametrize("row", REFERENCE["effects"], ids=lambda row: row["name"])


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-6, abs=1e-12)


def printed(mean: str, sd: str, n: int, *, group: str = "poor") -> PrintedMean:
    who = Group.model_validate({"id": group, "title": group, "grades": {"lowest": 0, "highest": 1}, "n": n})
    return PrintedMean(who, rounded_number(mean), rounded_number(sd), n)


def pair_of(row: dict[str, Any]) -> PrintedPair:
    first = printed(row["m1"], row["s1"], row["n1"])
    second = printed(row["m2"], row["s2"], row["n2"], group="good")
    return PrintedPair("means", "gracilis.md", first, second)


def ends(quantity: Quantity) -> tuple[float, float]:
    assert quantity.rounding is not None
    return quantity.rounding.low, quantity.rounding.high


def limits(quantity: Quantity) -> tuple[float, float]:
    assert quantity.interval is not None
    return quantity.interval.low, quantity.interval.high


@EFFECTS
def test_t_tests_agree_with_r(row: dict[str, Any]) -> None:
    effect = implied_effect(pair_of(row))

    for test, expected in ((effect.student, row["student"]), (effect.welch, row["welch"])):
        assert (test.t.value, test.df.value, test.p.value) == near((expected["t"], expected["df"], expected["p"]))
    assert effect.difference.value == near(row["difference"])
    assert limits(effect.difference) == near(row["difference_interval"])


@EFFECTS
def test_p_agrees_in_relative_terms(row: dict[str, Any]) -> None:
    effect = implied_effect(pair_of(row))

    assert effect.student.p.value == pytest.approx(row["student"]["p"], rel=1e-6)
    assert effect.welch.p.value == pytest.approx(row["welch"]["p"], rel=1e-6)


@EFFECTS
def test_ranges_over_the_rounding_are_those_that_r_finds_by_searching(row: dict[str, Any]) -> None:
    effect = implied_effect(pair_of(row))

    assert ends(effect.student.t) == near(row["student_t_range"])
    assert ends(effect.welch.t) == near(row["welch_t_range"])
    assert ends(effect.welch.df) == near(row["welch_df_range"])
    assert ends(effect.student.p) == pytest.approx(row["student_p_range"], rel=1e-6)
    assert ends(effect.welch.p) == pytest.approx(row["welch_p_range"], rel=1e-6)
    assert ends(effect.hedges_g) == near(row["g_range"])
    assert ends(effect.auc) == near(row["auc_range"])


@EFFECTS
def test_hedges_g_and_its_interval_agree_with_r(row: dict[str, Any]) -> None:
    effect = implied_effect(pair_of(row))

    assert effect.hedges_g.value == near(row["g"])
    assert limits(effect.hedges_g) == near(row["g_interval"])


@EFFECTS
def test_binormal_auc_and_its_interval_agree_with_the_delta_method_in_r(row: dict[str, Any]) -> None:
    pair = pair_of(row)
    auc = implied_effect(pair).auc
    first, second = (Sample(one.mean.value, one.sd.value, one.n) for one in (pair.first, pair.second))

    assert auc.value == near(row["auc"])
    assert limits(auc) == near(row["auc_interval"])
    assert separation(first, second)[1] == near(row["z_error"])


@pytest.mark.parametrize("row", REFERENCE["spreads"], ids=lambda row: f"{row['m']} ± {row['s']} ({row['n']})")
def test_spread_and_its_lower_limit_agree_with_r(row: dict[str, Any]) -> None:
    group = printed(row["m"], row["s"], row["n"])

    assert group.sd.low / group.mean.high == near(row["low"])
    assert group.sd.high / group.mean.low == near(row["high"])
    assert lower_limit(row["low"], row["n"], rate=row["rate"]) == near(row["lower"])


@pytest.mark.parametrize("row", REFERENCE["largest"], ids=lambda row: f"{row['ones']} of {row['n']}")
def test_largest_sd_is_that_of_values_at_both_ends(row: dict[str, Any]) -> None:
    text = f"{row['mean']:.15f}"

    assert largest_sd(printed(text, "0.1", row["n"]), upper=1.0) == near(row["sd"])


@pytest.mark.parametrize("row", REFERENCE["beyond"], ids=lambda row: row["m"])
def test_share_of_impossible_values_agrees_with_r(row: dict[str, Any]) -> None:
    assert share_beyond(printed(row["m"], row["s"], 31), upper=row["upper"]) == near(row["share"])


@pytest.mark.parametrize("row", REFERENCE["logarithms"], ids=lambda row: f"{row['m']} ± {row['s']}")
def test_moments_of_logarithms_agree_with_r(row: dict[str, Any]) -> None:
    found = logarithms(Sample(float(row["m"]), float(row["s"]), 9))

    assert (found.mean, found.sd) == near((row["mean"], row["sd"]))
    assert not math.isnan(found.mean)
