"""Tests of the spread between patients against studies of muscle."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from dtimuscle.replication.audit.findings import CheckResult, Finding, Severity
from dtimuscle.replication.audit.spread import SPREAD, lower_limit, spreads
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

MD, FA = "gracilis.md", "gracilis.fa"


@pytest.fixture
def findings(study_of: Any, means_of: Any, reference: ReferenceValues) -> Any:
    def find(features: dict[str, tuple[str, str]], **more: Any) -> tuple[Finding, ...]:
        return SPREAD.run(study_of(means_of(features=features, **more)), reference).findings

    return find


def resolves(finding: Finding) -> dict[str, str]:
    return {way.assumption: way.resolves for way in finding.ways_out}


@pytest.mark.parametrize(
    ("kappa", "n", "rate"), [(0.1, 31, 0.001), (0.3, 5, 0.01), (0.5, 69, 0.0001), (0.05, 400, 0.001)]
)
def test_lower_limit_undoes_the_noncentral_t(kappa: float, n: int, rate: float) -> None:
    # cv exceeds a value with this probability exactly if √n / cv, a noncentral t, falls below √n / value.
    seen = math.sqrt(n) / stats.nct.ppf(rate, n - 1, math.sqrt(n) / kappa)

    assert lower_limit(seen, n, rate=rate) == pytest.approx(kappa, rel=1e-6)


def test_lower_limit_lies_above_the_truth_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(1.0, 0.25, (4000, 12))
    cvs = samples.std(axis=1, ddof=1) / samples.mean(axis=1)
    # The limit rises with the cv, so one cv parts those above from those below.
    critical = brentq(lambda cv: lower_limit(cv, 12, rate=0.05) - 0.25, 0.25, 1.0)
    n_above = int((cvs > critical).sum())

    # 200 are expected; four standard deviations of a binomial are 55.
    assert 145 <= n_above <= 255


def test_rate_is_shared_by_all_printed_means(study_of: Any, means_of: Any) -> None:
    one = spreads(study_of(means_of(features={MD: ("1.40 ± 0.20", "1.50 ± 0.20")})))
    two = spreads(study_of(means_of(features={MD: ("1.40 ± 0.20", "1.50 ± 0.20"), "sartorius.md": ("1.4 ± 0.2",) * 2})))

    assert one[0].lower == lower_limit(one[0].rounding.low, 31, rate=0.001 / 2)
    assert two[0].lower == lower_limit(one[0].rounding.low, 31, rate=0.001 / 4)
    assert two[0].lower < one[0].lower


def test_usual_spread_is_no_finding(findings: Any) -> None:
    assert findings({MD: ("1.40 ± 0.15", "1.50 ± 0.15")}) == ()


def test_a_wide_spread_that_chance_explains_is_no_finding(findings: Any) -> None:
    # 0.13/1.00 is above the median of 0.10 and above it by less than chance.
    assert findings({MD: ("1.00 ± 0.13", "1.50 ± 0.15")}) == ()


def test_a_spread_beyond_the_median_is_noted(findings: Any) -> None:
    (finding,) = findings({MD: ("1.00 ± 0.25", "1.50 ± 0.15")})

    assert finding.severity is Severity.NOTE
    assert "the widest of the studies found as much" in finding.sentence.template


def test_a_spread_beyond_every_study_is_unlikely_and_one_finding_for_each_parameter(findings: Any) -> None:
    found = findings({MD: ("1.00 ± 0.50", "1.50 ± 0.15"), "sartorius.md": ("1.00 ± 0.45", "1.00 ± 0.40")})

    (finding,) = found
    assert finding.severity is Severity.UNLIKELY
    assert finding.features == (MD, "sartorius.md")
    by_name = {quantity.name: quantity.value for quantity in finding.sentence.quantities}
    assert (by_name["n_wide"], by_name["n_means"]) == (3, 4)
    assert (by_name["lowest"], by_name["highest"]) == pytest.approx((0.40, 0.50))
    assert by_name["factor"] == pytest.approx(0.50 / 0.20)
    # Every group is shown, also the one that is as usual.
    assert sum(quantity.name.startswith("cv_") for quantity in finding.steps[0].quantities) == 4


def test_rounding_is_given_the_benefit_of_the_doubt(findings: Any) -> None:
    coarse = findings({MD: ("1 ± 0.4", "1.50 ± 0.15")})
    fine = findings({MD: ("1.00 ± 0.40", "1.50 ± 0.15")})

    # It may have been 0.35/1.5, which is 0.23: no more than chance adds to 0.20.
    assert [finding.severity for finding in coarse] != [Severity.UNLIKELY]
    assert [finding.severity for finding in fine] == [Severity.UNLIKELY]


def test_ways_out_are_tested_with_numbers(findings: Any) -> None:
    (finding,) = findings({MD: ("1.00 ± 0.50", "1.50 ± 0.15")})

    found = resolves(finding)
    assert found["The numbers after ± are standard errors"] == "no"
    assert found["The numbers after ± are half of a 95% range of patients (1.96 SDs)"] == "yes"
    # √(0.50² − 0.20²) = 0.458: halves at 0.54 and 1.46, and no muscle is known to have 0.54.
    assert found["Each group mixes two kinds of patients"] == "no"
    excess = next(way for way in finding.ways_out if "voxels" in way.assumption).sentence.quantities[1].value
    assert excess == pytest.approx(math.sqrt(0.50**2 - 0.20**2))


def test_a_mixture_of_the_halves_has_the_printed_spread() -> None:
    rng = np.random.default_rng(2)
    excess = math.sqrt(0.30**2 - 0.20**2)
    values = np.concatenate([rng.normal(mean, 0.20, 200_000) for mean in (1 - excess, 1 + excess)])

    assert values.std() / values.mean() == pytest.approx(0.30, abs=0.002)


def test_printed_standard_errors_are_turned_into_sds(findings: Any) -> None:
    (finding,) = findings({MD: ("1.00 ± 0.10", "1.50 ± 0.01")}, spread="se")

    assert finding.severity is Severity.UNLIKELY
    assert not any("after ±" in words for words in resolves(finding))


def test_a_mean_that_may_be_zero_has_no_spread(findings: Any, study_of: Any, means_of: Any) -> None:
    assert findings({MD: ("0.0 ± 0.5", "1.50 ± 0.15")}) == ()
    assert len(spreads(study_of(means_of(features={MD: ("0.0 ± 0.5", "1.50 ± 0.15")})))) == 1


def test_a_parameter_without_studies_is_left_out(study_of: Any, means_of: Any, reference: ReferenceValues) -> None:
    study = study_of(means_of(features={"gracilis.ad": ("1.00 ± 0.90", "1.00 ± 0.90")}))

    assert SPREAD.run(study, reference) == CheckResult(())


def test_the_shipped_study_gets_a_note_of_its_spread(wang: PublishedStudy, shipped_reference: ReferenceValues) -> None:
    result = SPREAD.run(wang, shipped_reference)

    assert len(result.examined) == 3
    (finding,) = result.findings
    assert finding.features == ("gracilis.md", "adductor_magnus.md", "adductor_longus.md")
    assert set(shipped_reference.between_subject_cv["md"].sources) <= set(finding.references)


def test_a_made_up_study_has_no_finding(second: PublishedStudy, shipped_reference: ReferenceValues) -> None:
    result = SPREAD.run(second, shipped_reference)

    assert result.examined
    assert result.findings == ()
