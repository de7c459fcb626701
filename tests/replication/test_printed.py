import math
import runpy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dtimuscle.replication.printed import (
    PrintedTest,
    contrast_of,
    printed_mean,
    printed_p,
    printed_pairs,
    printed_tests,
    rounded_number,
)
from dtimuscle.replication.published import GroupMeans, PublishedStudy


def test_a_printed_number_is_known_to_half_of_its_last_digit() -> None:
    number = rounded_number("−1.70", scale=Decimal("1e-3"))
    assert (number.text, number.value) == ("−1.70", -1.7e-3)
    assert (number.rounding.low, number.rounding.high) == pytest.approx((-1.705e-3, -1.695e-3), rel=1e-12)
    assert rounded_number("30").rounding.high == 30.5


def test_a_number_in_another_unit_keeps_its_text() -> None:
    number = rounded_number("0.10").times(4)
    assert number.text == "0.10"
    assert (number.value, number.low, number.high) == pytest.approx((0.4, 0.38, 0.42), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "relation", "value"),
    [
        ("< 0.05", "<", 0.05),
        ("<.001", "<", 0.001),
        ("≤ 0.05", "<=", 0.05),
        ("<= 0.05", "<=", 0.05),
        ("= 0.012", "=", 0.012),
        ("0.012", "=", 0.012),
        (".5", "=", 0.5),
        ("≥ 0.05", ">=", 0.05),
        ("> 0.05", ">", 0.05),
        ("1", "=", 1.0),
    ],
)
def test_p_is_read_with_its_relation(text: str, relation: str, value: float) -> None:
    p = printed_p(text)
    assert (p.relation, p.number.value) == (relation, value)


@pytest.mark.parametrize(
    ("text", "low", "high", "is_allowed"),
    [
        ("< 0.05", 0.0499, 0.2, True),
        ("< 0.05", 0.05, 0.2, False),
        ("≤ 0.05", 0.05, 0.2, True),
        ("≤ 0.05", 0.0501, 0.2, False),
        ("> 0.05", 0.01, 0.0501, True),
        ("> 0.05", 0.01, 0.05, False),
        ("≥ 0.05", 0.01, 0.05, True),
        ("≥ 0.05", 0.01, 0.0499, False),
        ("= 0.012", 0.0120, 0.0121, True),
        ("= 0.012", 0.0125, 0.02, True),
        ("= 0.012", 0.01251, 0.02, False),
        ("= 0.012", 0.001, 0.01149, False),
        # As some programs print what is below 0.0005.
        ("0.000", 1e-9, 1e-8, True),
        ("0.000", 0.0006, 0.01, False),
    ],
)
def test_p_allows_what_could_have_been_printed_so(text: str, low: float, high: float, *, is_allowed: bool) -> None:
    assert printed_p(text).allows(low, high) is is_allowed


def test_means_have_the_number_of_patients_with_a_value(second: PublishedStudy) -> None:
    means = second.claim("rd_means")
    assert isinstance(means, GroupMeans)
    frail = printed_mean(second, means, "semimembranosus.rd", "frail")
    assert frail is not None
    assert frail.n == 38 < frail.group.n == 42
    assert frail.mean.value == pytest.approx(1354e-6)
    assert printed_mean(second, means, "sartorius.fa", "frail") is None


def test_a_standard_error_is_read_as_the_standard_deviation_that_it_stands_for(second: PublishedStudy) -> None:
    means = second.claim("fa_means")
    assert isinstance(means, GroupMeans)
    row = means.means[0]
    frail = printed_mean(second, means, row.feature, row.group)
    assert frail is not None
    assert frail.sd.text == row.sd
    assert frail.sd.value == pytest.approx(float(row.sd) * math.sqrt(42), rel=1e-12)
    assert frail.sd.high - frail.sd.low == pytest.approx(1e-4 * math.sqrt(42), rel=1e-9)
    read = second.printed_means[row.feature, "poor"]
    assert (read.sd, read.n) == (pytest.approx(frail.sd.value, rel=1e-12), 42)
    assert read.text == f"{row.mean} ± {row.sd} (SE)"


def test_every_two_groups_with_a_mean_are_a_pair(second: PublishedStudy) -> None:
    pairs = [pair for pair in printed_pairs(second) if pair.claim_id == "md_means"]
    assert [(pair.first.group.id, pair.second.group.id) for pair in pairs] == [
        ("frail", "between"),
        ("frail", "robust"),
        ("between", "robust"),
    ]


def test_what_is_printed_about_differences_comes_from_claims_and_from_beside_means(second: PublishedStudy) -> None:
    tests = printed_tests(second)
    assert len(tests) == 1 + 3 * 2
    md = "vastus_lateralis.md"
    assert tests[0] == PrintedTest("robust_lower", md, "robust", "frail", "lower", printed_p("< 0.001"), "student")
    assert tests[1] == PrintedTest("md_means", md, "frail", "robust", None, printed_p("< 0.001"), "welch")
    assert [test for test in tests if test.is_of(md, ("frail", "robust"))] == [tests[0], tests[1]]
    assert not tests[0].is_of("sartorius.fa", ("frail", "robust"))


def test_directions_without_p_are_listed_too(made_up_mapping: dict[str, Any]) -> None:
    del made_up_mapping["claims"][0]["p"]
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    assert [(test.direction, test.p) for test in printed_tests(study)] == [("lower", None)]


def test_groups_that_are_told_apart_have_the_numbers_that_the_claim_prints(second: PublishedStudy) -> None:
    sizes = {}
    for claim in second.claims:
        contrast = contrast_of(second, claim)
        assert contrast is not None
        assert contrast.event.id == "frail"
        sizes[claim.id] = (contrast.n_event, contrast.n_other)
    assert sizes["auc_of_md"] == (42, 28)
    assert sizes["auc_of_rd"] == (38, 26)
    assert sizes["factors_of_frailty"] == (42, 78)


def test_without_groups_for_new_data_nothing_is_told_apart(made_up_mapping: dict[str, Any]) -> None:
    del made_up_mapping["groups"][0]["stands_for"]
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    assert contrast_of(study, study.claim("auc_of_one")) is None


def test_the_second_study_is_what_its_script_computes_from_drawn_data() -> None:
    script = Path(__file__).parent / "made_up_study.py"
    assert script.with_suffix(".yaml").read_text(encoding="utf-8") == runpy.run_path(str(script))["study_text"]()
