"""Tests of printed means and SDs against what water and muscle can have."""

import copy
import math
from typing import Any

import numpy as np
import pytest

from dtimuscle.replication.audit.findings import CheckResult, Finding, Severity
from dtimuscle.replication.audit.units import UNITS, largest_sd, share_beyond
from dtimuscle.replication.printed import PrintedMean, rounded_number
from dtimuscle.replication.published import Group, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

MD, FA = "gracilis.md", "gracilis.fa"


def printed(text: str, n: int = 31) -> PrintedMean:
    mean, _, sd = text.partition(" ± ")
    who = Group.model_validate({"id": "weak", "title": "weakness", "grades": {"lowest": 0, "highest": 1}, "n": n})
    return PrintedMean(who, rounded_number(mean), rounded_number(sd), n)


@pytest.fixture
def findings(study_of: Any, means_of: Any, reference: ReferenceValues) -> Any:
    def find(unit: str, feature: str, *texts: str, readings: Any = ()) -> tuple[Finding, ...]:
        study = study_of(means_of(unit, features={feature: texts}), readings=readings)
        return UNITS.run(study, reference).findings

    return find


def value(finding: Finding, name: str) -> float:
    return next(quantity.value for quantity in finding.sentence.quantities if quantity.name == name)


def test_the_shipped_study_is_impossible_in_its_printed_unit(
    wang: PublishedStudy, shipped_reference: ReferenceValues
) -> None:
    result = UNITS.run(wang, shipped_reference)

    (finding,) = result.findings
    assert finding.severity is Severity.IMPOSSIBLE
    assert finding.claims == ("adc_means",)
    assert finding.features == ("gracilis.md", "adductor_magnus.md", "adductor_longus.md")
    assert value(finding, "n_beyond") == value(finding, "n_means") == 6
    assert value(finding, "factor") == pytest.approx(1.02 / 3.04e-3)
    assert "The kit reads them in 10⁻³ mm²/s, which is an assumption" in finding.sentence.template
    thousandth, millionth = finding.ways_out
    assert (thousandth.resolves, millionth.resolves) == ("yes", "no")
    assert "µm²/ms" in thousandth.assumption
    assert "how the kit reads them" in thousandth.sentence.template
    assert shipped_reference.free_water.source in finding.references


def test_the_unit_is_found_impossible_without_being_told(
    wang_mapping: dict[str, Any], shipped_reference: ReferenceValues
) -> None:
    mapping = copy.deepcopy(wang_mapping)
    mapping["readings"] = [reading for reading in mapping["readings"] if reading["kind"] != "unit"]
    study = PublishedStudy.from_mapping(mapping, source="wang.yaml")

    (finding,) = UNITS.run(study, shipped_reference).findings

    assert finding.severity is Severity.IMPOSSIBLE
    assert "The kit reads" not in finding.sentence.template
    assert [way.resolves for way in finding.ways_out] == ["yes", "no"]


@pytest.mark.parametrize("unit", ["10⁻³ mm²/s", "µm²/ms"])
def test_values_of_muscle_in_a_fitting_unit_are_no_finding(findings: Any, unit: str) -> None:
    assert findings(unit, MD, "1.40 ± 0.20", "1.60 ± 0.20") == ()


def test_values_in_millionths_fit_as_well(findings: Any) -> None:
    assert findings("10⁻⁶ mm²/s", MD, "1400 ± 200", "1600 ± 200") == ()


def test_a_mean_that_may_be_rounded_from_free_water_is_not_impossible(findings: Any) -> None:
    # 3.04 may stand for 3.035 and more; 3.0 for 2.95 to 3.05.
    assert all(
        finding.severity is not Severity.IMPOSSIBLE for finding in findings("µm²/ms", MD, "3.0 ± 0.1", "1.5 ± 0.1")
    )
    assert findings("µm²/ms", MD, "3.04 ± 0.10", "1.50 ± 0.10")[0].severity is Severity.IMPOSSIBLE


def test_a_wrong_reading_is_held_against_muscle(findings: Any) -> None:
    reading = {
        "kind": "unit",
        "assumed": True,
        "parameter": "md",
        "printed": "mm²/s",
        "read_as": "10⁻⁶ mm²/s",
        "reason": "?",
    }
    first, second = findings("mm²/s", MD, "1.40 ± 0.20", "1.60 ± 0.20", readings=[reading])

    assert (first.severity, second.severity) == (Severity.IMPOSSIBLE, Severity.UNLIKELY)
    assert value(second, "factor") == pytest.approx(1.0e-3 / 1.405e-6)
    assert "below the lower end" in second.sentence.template


def test_means_that_muscle_is_not_known_to_have_are_unlikely(findings: Any) -> None:
    (finding,) = findings("µm²/ms", MD, "2.20 ± 0.10", "1.50 ± 0.10")

    assert finding.severity is Severity.UNLIKELY
    assert value(finding, "n_outside") == 1
    assert value(finding, "factor") == pytest.approx(2.195 / 2.0)
    # No unit resolves it: another cause is offered, and named as undecided.
    assert {way.resolves for way in finding.ways_out} == {"no", "in part"}


def test_a_mean_at_the_end_of_the_range_over_its_rounding_is_no_finding(findings: Any) -> None:
    assert findings("µm²/ms", MD, "2.00 ± 0.10", "1.0 ± 0.1") == ()


def test_anisotropy_above_one_is_impossible_and_percent_is_tried(findings: Any) -> None:
    (finding,) = findings("1", FA, "31.0 ± 4.0", "25.0 ± 3.0")

    assert finding.severity is Severity.IMPOSSIBLE
    assert [way.resolves for way in finding.ways_out] == ["yes", "no"]


def test_anisotropy_in_thousandths_is_recognised(findings: Any) -> None:
    (finding,) = findings("1", FA, "310 ± 40", "250 ± 30")

    assert [way.resolves for way in finding.ways_out] == ["no", "yes"]


def test_a_negative_diffusivity_is_impossible(findings: Any) -> None:
    (finding,) = findings("µm²/ms", MD, "-1.40 ± 0.20", "1.50 ± 0.20")

    assert finding.severity is Severity.IMPOSSIBLE
    assert "cannot be negative" in finding.sentence.template


def test_an_sd_that_no_values_can_have_is_impossible(findings: Any) -> None:
    # FA with mean 0.30 has an SD of at most √(0.305 × 0.695 × 31/30) = 0.468.
    (finding,) = findings("1", FA, "0.30 ± 0.48", "0.30 ± 0.04")

    assert finding.severity is Severity.IMPOSSIBLE
    assert value(finding, "largest") == pytest.approx(math.sqrt(0.305 * 0.695 * 31 / 30))
    assert finding.ways_out[0].resolves == "yes"


def test_no_sample_within_the_bounds_has_a_larger_sd() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        n = int(rng.integers(2, 12))
        values = rng.beta(*rng.uniform(0.02, 2, 2), size=n)
        group = printed(f"{values.mean():.3f} ± 0.100", n)
        assert values.std(ddof=1) <= largest_sd(group, upper=1.0) + 1e-12


def test_values_that_can_hardly_be_normal_are_noted(findings: Any) -> None:
    (finding,) = findings("µm²/ms", MD, "1.40 ± 0.90", "1.50 ± 0.20")

    assert finding.severity is Severity.NOTE
    assert value(finding, "share") == pytest.approx(share_beyond(printed("1.40 ± 0.90"), upper=3.0))
    assert value(finding, "share") > 0.05


def test_share_beyond_is_the_smallest_that_the_rounding_allows() -> None:
    rng = np.random.default_rng(2)
    group = printed("1.4 ± 0.9")
    narrow = [
        share_beyond(
            PrintedMean(group.group, rounded_number(f"{mean:.6f}"), rounded_number(f"{sd:.6f}"), 31), upper=3.0
        )
        for mean, sd in zip(rng.uniform(1.35, 1.45, 200), rng.uniform(0.85, 0.95, 200), strict=True)
    ]

    assert min(narrow) >= share_beyond(group, upper=3.0)
    assert min(narrow) < 1.2 * share_beyond(group, upper=3.0)


def test_a_parameter_without_a_published_range_is_held_against_water_alone(findings: Any) -> None:
    assert findings("µm²/ms", "gracilis.ad", "2.50 ± 0.20", "2.60 ± 0.20") == ()
    (finding,) = findings("mm²/s", "gracilis.ad", "2.50 ± 0.20", "2.60 ± 0.20")
    assert [way.resolves for way in finding.ways_out] == ["in part", "in part"]


def test_a_study_without_means_is_not_examined(study_of: Any, reference: ReferenceValues) -> None:
    claim = {"id": "auc", "kind": "auc", "predictor": MD, "auc": "0.7"}

    assert UNITS.run(study_of(claim), reference) == CheckResult(())


def test_a_made_up_study_of_other_units_and_groups_has_no_finding(
    second: PublishedStudy, shipped_reference: ReferenceValues
) -> None:
    result = UNITS.run(second, shipped_reference)

    assert result.examined
    assert result.findings == ()


def test_a_negative_diffusivity_hides_no_unit_that_does_not_fit(study_of, means_of, reference):
    claim = means_of("mm²/s", features={"gracilis.md": ("1.52 ± 0.14", "-1.64 ± 0.11")})
    findings = UNITS.run(study_of(claim), reference).findings
    assert [finding.severity for finding in findings] == [Severity.IMPOSSIBLE] * 2
    assert "free water" in findings[0].title
    assert [item.text for item in findings[1].sentence.quantities] == ["-1.64 mm²/s"]
