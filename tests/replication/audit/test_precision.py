"""Tests of notes about how precisely numbers are printed."""

from typing import Any

import pytest

from dtimuscle.replication.audit.findings import CheckResult, Severity
from dtimuscle.replication.audit.precision import PRECISION
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

MD = "gracilis.md"
DIFFERENCE = {
    "id": "differs", "kind": "group_difference", "features": [MD], "group": "weak", "versus": "strong",
    "direction": "lower",
}  # fmt: skip


@pytest.fixture
def steps(study_of: Any, reference: ReferenceValues) -> Any:
    """What was noted of a study, by the words of its kind."""

    def note(*claims: dict[str, Any]) -> dict[str, list[str]]:
        found = PRECISION.run(study_of(*claims), reference).findings
        assert all(finding.severity is Severity.NOTE for finding in found)
        assert len(found) <= 1
        return {step.words: [q.text for q in step.quantities if q.kind == "text"] for f in found for step in f.steps}

    return note


def auc(value: str, low: str, high: str) -> dict[str, Any]:
    interval = {"low": low, "high": high, "level_percent": "95"}
    return {"id": "auc", "kind": "auc", "predictor": MD, "auc": value, "interval": interval}


def test_the_shipped_study_gets_one_note(wang: PublishedStudy, shipped_reference: ReferenceValues) -> None:
    (finding,) = PRECISION.run(wang, shipped_reference).findings

    assert finding.severity is Severity.NOTE
    shown = [quantity.text for step in finding.steps for quantity in step.quantities]
    assert "0.722 (0.6239 to 0.821)" in shown
    assert "auc_combined" in finding.claims
    assert "adc_lower" in finding.claims


def test_a_carefully_printed_study_gets_none(second: PublishedStudy, shipped_reference: ReferenceValues) -> None:
    result = PRECISION.run(second, shipped_reference)

    assert result.examined == ("means and SDs", "confidence intervals", "P values")
    assert result.findings == ()


def test_an_interval_with_uneven_decimals_is_noted(steps: Any) -> None:
    assert steps(auc("0.722", "0.624", "0.821")) == {}
    assert list(steps(auc("0.722", "0.62", "0.821")).values()) == [["0.722 (0.62 to 0.821)"]]


def test_uneven_decimals_of_groups_are_noted(steps: Any, means_of: Any) -> None:
    found = steps(means_of(features={MD: ("1.4 ± 0.21", "1.50 ± 0.21")}))

    assert list(found.values()) == [["1.4 ± 0.21", "1.50 ± 0.21"]]


@pytest.mark.parametrize(("text", "is_noted"), [("1.40 ± 0.21", False), ("1.4 ± 0.21", False), ("1.40 ± 0.3", True)])
def test_an_sd_may_have_one_decimal_more_but_not_fewer(steps: Any, means_of: Any, text: str, is_noted: bool) -> None:
    found = steps(means_of(features={MD: (text, text)}))

    assert any("than its SD" in words for words in found) == is_noted


def test_an_sd_of_one_small_digit_is_coarse(steps: Any, means_of: Any) -> None:
    found = steps(means_of(features={MD: ("1.4 ± 0.3", "1.5 ± 0.21")}))

    assert [texts for words, texts in found.items() if "so few digits" in words] == [["1.4 ± 0.3"]]


def test_a_bound_that_means_undercut_by_far_is_noted_once(steps: Any, means_of: Any) -> None:
    means = means_of(features={MD: ("1.02 ± 0.34", "1.74 ± 0.41")})

    assert list(steps(DIFFERENCE | {"p": "< 0.05"}, means).values()) == [["< 0.05"]]
    assert steps(DIFFERENCE | {"p": "< 0.001"}, means) == {}


def test_a_bound_that_means_undercut_a_little_is_a_bound_where_a_value_could_be(steps: Any, means_of: Any) -> None:
    found = steps(DIFFERENCE | {"p": "< 0.05"}, means_of(features={MD: ("1.40 ± 0.20", "1.50 ± 0.20")}))

    assert [list(found), list(found.values())] == [
        ["P is printed as a bound where its value could stand."],
        [["P < 0.05"]],
    ]


@pytest.mark.parametrize(
    ("p", "is_noted"), [("= 0.012", False), ("0.012", False), ("< 0.001", False), ("> 0.05", True)]
)
def test_values_of_p_are_wanted_down_to_a_thousandth(steps: Any, p: str, is_noted: bool) -> None:
    assert bool(steps(DIFFERENCE | {"p": p})) == is_noted


def test_nothing_printed_is_nothing_examined(study_of: Any, reference: ReferenceValues) -> None:
    assert PRECISION.run(study_of(DIFFERENCE), reference) == CheckResult(())
