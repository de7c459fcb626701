"""Tests of what printed means imply, and of P values and directions held against them."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from dtimuscle.replication.audit.effects import implied_effect
from dtimuscle.replication.audit.findings import CheckResult, Finding, Quantity, Severity, WayOut
from dtimuscle.replication.audit.means import IMPLIED, binormal_auc, implied_effects
from dtimuscle.replication.audit.summaries import Sample, student_test, welch_test
from dtimuscle.replication.printed import PrintedMean, PrintedPair, printed_pairs, rounded_number
from dtimuscle.replication.published import Group, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

MD = "gracilis.md"


def printed(text: str, n: int, group: str = "poor") -> PrintedMean:
    mean, _, sd = text.partition(" ± ")
    who = Group.model_validate({"id": group, "title": group, "grades": {"lowest": 0, "highest": 1}, "n": n})
    return PrintedMean(who, rounded_number(mean), rounded_number(sd), n)


def pair(first: str, second: str, n: tuple[int, int] = (31, 69)) -> PrintedPair:
    return PrintedPair("means", MD, printed(first, n[0]), printed(second, n[1], "good"))


def bounds(quantity: Quantity) -> tuple[float, float]:
    assert quantity.rounding is not None
    return quantity.rounding.low, quantity.rounding.high


def difference(p: str | None = None, direction: str = "lower", **more: Any) -> dict[str, Any]:
    claim = {"id": "differs", "kind": "group_difference", "features": [MD], "group": "weak", "versus": "strong"}
    return claim | {"direction": direction} | ({"p": p} if p else {}) | more


def way(finding: Finding, words: str) -> WayOut:
    return next(way for way in finding.ways_out if words in way.assumption)


# What means imply


def test_t_tests_agree_with_scipy_on_whole_samples() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(1, 0.3, 17), rng.normal(1.2, 0.5, 40)
    samples = [Sample(values.mean(), values.std(ddof=1), values.size) for values in (first, second)]

    for test, equal in ((student_test, True), (welch_test, False)):
        expected = stats.ttest_ind(first, second, equal_var=equal)
        found = test(*samples)
        assert (found.t, found.df, found.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))


def test_one_sd_apart_is_a_known_auc() -> None:
    found = binormal_auc(pair("2.0 ± 1.0", "1.0 ± 1.0"))

    assert found.value == pytest.approx(ndtr(1 / math.sqrt(2)))


def test_auc_does_not_depend_on_which_group_is_first() -> None:
    one = binormal_auc(pair("1.02 ± 0.34", "1.74 ± 0.41"))
    other = binormal_auc(pair("1.74 ± 0.41", "1.02 ± 0.34", n=(69, 31)))

    assert one == other


def test_interval_of_the_binormal_auc_covers_at_its_level() -> None:
    rng = np.random.default_rng(2)
    truth = ndtr(0.72 / math.hypot(0.34, 0.41))
    n_covered = 0
    for _ in range(1000):
        first, second = rng.normal(1.02, 0.34, 31), rng.normal(1.74, 0.41, 69)
        texts = [f"{values.mean():.6f} ± {values.std(ddof=1):.6f}" for values in (first, second)]
        interval = binormal_auc(pair(*texts)).interval
        assert interval is not None
        n_covered += interval.low <= truth <= interval.high

    # 95% less four standard errors of the simulation, and less what the delta method costs at n = 31.
    assert 915 <= n_covered <= 980


@pytest.mark.parametrize(
    ("first", "second", "n"),
    [
        ("1.02 ± 0.34", "1.74 ± 0.41", (31, 69)),
        ("1.5 ± 0.1", "1.5 ± 0.2", (5, 9)),
        ("2 ± 1", "1 ± 1", (4, 30)),
        ("2.0 ± 0.1", "1.0 ± 0.2", (2, 3)),
        ("9.0 ± 0.1", "1.0 ± 0.1", (2, 2)),
    ],
)
def test_no_numbers_that_are_printed_so_leave_the_ranges(first: str, second: str, n: tuple[int, int]) -> None:
    box = pair(first, second, n=n)
    effect = implied_effect(box)
    rng = np.random.default_rng(3)
    sides = [(g.mean.low, g.mean.high, g.sd.low, g.sd.high) for g in (box.first, box.second)]
    grid = itertools.product(np.linspace(0, 1, 5), repeat=4)
    for at in [*grid, *rng.random((300, 4))]:
        means = [low + (high - low) * at[i] for i, (low, high, _, _) in enumerate(sides)]
        sds = [low + (high - low) * at[2 + i] for i, (_, _, low, high) in enumerate(sides)]
        samples = [Sample(mean, sd, size) for mean, sd, size in zip(means, sds, n, strict=True)]
        student, welch = student_test(*samples), welch_test(*samples)
        auc = ndtr(abs(means[0] - means[1]) / math.hypot(*sds))
        for value, quantity in (
            (student.t, effect.student.t), (student.p, effect.student.p), (welch.t, effect.welch.t),
            (welch.df, effect.welch.df), (welch.p, effect.welch.p), (auc, effect.auc),
            (means[0] - means[1], effect.difference),
        ):  # fmt: skip
            low, high = bounds(quantity)
            slack = 1e-9 * max(abs(low), abs(high))
            assert low - slack <= value <= high + slack, quantity.name


def test_lowest_p_of_welch_is_not_always_at_a_corner() -> None:
    # With two patients in a group, a wider spread of the other one adds degrees of freedom faster than it lowers t.
    box = pair("9.0 ± 0.1", "1.0 ± 0.1", n=(2, 2))
    corners = [
        welch_test(Sample(9.05, first, 2), Sample(0.95, second, 2)).p
        for first in (box.first.sd.low, box.first.sd.high)
        for second in (box.second.sd.low, box.second.sd.high)
    ]
    grid = np.linspace(0.05, 0.15, 41)
    inside = min(welch_test(Sample(9.05, a, 2), Sample(0.95, b, 2)).p for a in grid for b in grid)

    assert bounds(implied_effect(box).welch.p)[0] <= min(inside, *corners) * (1 + 1e-12)


def test_means_that_may_be_equal_leave_p_and_auc_open() -> None:
    effect = implied_effect(pair("1.50 ± 0.10", "1.50 ± 0.12"))

    assert bounds(effect.student.p)[1] == 1
    assert bounds(effect.welch.p)[1] == 1
    assert bounds(effect.auc)[0] == 0.5
    assert bounds(effect.auc)[1] > 0.5


def test_every_pair_of_printed_groups_has_its_effects(wang: PublishedStudy) -> None:
    effects = implied_effects(wang)

    assert [effect.pair for effect in effects] == list(printed_pairs(wang))
    assert all(0.90 < effect.auc.value < 0.92 for effect in effects)
    assert all(-1.9 < effect.hedges_g.value < -1.8 for effect in effects)


def test_a_p_too_small_for_the_machine_is_zero_and_no_warning() -> None:
    effect = implied_effect(pair("100.00 ± 0.10", "1.00 ± 0.10", n=(500, 500)))

    assert effect.student.p.value == 0
    assert effect.auc.value == 1


# The check


def test_the_shipped_study_has_no_conflict_here(wang: PublishedStudy, shipped_reference: ReferenceValues) -> None:
    result = IMPLIED.run(wang, shipped_reference)

    assert result.examined == ("ADC (MD) of gracilis", "ADC (MD) of adductor magnus", "ADC (MD) of adductor longus")
    assert result.findings == ()


def test_a_study_without_means_is_not_examined(study_of: Callable[..., PublishedStudy], reference: Any) -> None:
    assert IMPLIED.run(study_of(difference("< 0.05")), reference) == CheckResult(())


@pytest.fixture
def findings(study_of: Any, means_of: Any, reference: ReferenceValues) -> Callable[..., tuple[Finding, ...]]:
    """Find what the check says of one P, or direction, beside the means of one feature."""

    def find(claim: dict[str, Any], weak: str = "1.40 ± 0.20", strong: str = "1.50 ± 0.20") -> tuple[Finding, ...]:
        study = study_of(claim, means_of(features={MD: (weak, strong)}))
        return IMPLIED.run(study, reference).findings

    return find


@pytest.mark.parametrize("p", ["= 0.023", "0.02", "< 0.05", "> 0.01", "<= 0.03", "= 0.030"])
def test_a_p_that_some_rounding_gives_is_no_finding(findings: Any, p: str) -> None:
    assert findings(difference(p)) == ()


@pytest.mark.parametrize(
    ("p", "test", "severity"),
    [
        ("< 0.001", None, [Severity.NOTE]),
        ("< 0.0000001", None, [Severity.UNLIKELY]),
        ("= 0.0001", "student", [Severity.INCONSISTENT]),
        ("= 0.90", None, [Severity.NOTE]),
        ("= 0.060", None, [Severity.NOTE]),
        ("= 0.060", "welch", [Severity.INCONSISTENT]),
        ("= 0.060", "mann_whitney", []),
        ("= 0.90", "mann_whitney", []),
        ("= 0.90", "other", []),
    ],
)
def test_a_p_that_no_t_test_gives_weighs_by_what_the_source_says(
    findings: Any, p: str, test: str | None, severity: list[Severity]
) -> None:
    claim = difference(p, **({"test": test} if test else {}))

    assert [finding.severity for finding in findings(claim)] == severity


def test_two_tiny_p_values_differ_by_no_more_than_a_note(findings: Any) -> None:
    # The t test has 10⁻¹³; ranks of few patients cannot go as low.
    wide_apart = ("1.02 ± 0.34", "1.74 ± 0.41")

    assert [finding.severity for finding in findings(difference("= 0.0005"), *wide_apart)] == [Severity.NOTE]
    assert [finding.severity for finding in findings(difference("= 0.002"), *wide_apart)] == [Severity.UNLIKELY]


@pytest.mark.parametrize(("more", "severity"), [({}, Severity.INCONSISTENT), ({"test": "mann_whitney"}, Severity.NOTE)])
def test_no_rank_test_explains_an_insignificant_p_of_groups_far_apart(
    findings: Any, more: dict[str, str], severity: Severity
) -> None:
    found = findings(difference("= 0.90", **more), "1.02 ± 0.34", "1.74 ± 0.41")

    assert [finding.severity for finding in found] == [severity]


def test_a_finding_names_its_claims_and_shows_the_test(findings: Any) -> None:
    (finding,) = findings(difference("= 0.90", test="student"))

    assert finding.claims == ("differs", "means")
    assert finding.features == (MD,)
    names = [quantity.name for quantity in finding.steps[0].quantities]
    assert {"mean_1", "sd_2", "n_1", "student_t", "welch_p", "hedges_g", "auc", "printed"} <= set(names)
    assert "Student's t test" in finding.sentence.template


def test_standard_errors_are_a_way_out_where_they_give_the_printed_p(findings: Any) -> None:
    # SD = SE √n: 0.04 √31 and 0.03 √69 give t = −2.00.
    (finding,) = findings(difference("= 0.052", test="welch"), "1.40 ± 0.040", "1.50 ± 0.030")
    found = way(finding, "standard errors")
    expected = stats.ttest_ind_from_stats(
        1.4, 0.04 * math.sqrt(31), 31, 1.5, 0.03 * math.sqrt(69), 69, equal_var=False
    ).pvalue  # fmt: skip

    assert found.resolves == "yes"
    low, high = (q.value for q in found.sentence.quantities if q.name in ("p_low", "p_high"))
    assert low < expected < high
    cv = next(q.value for q in found.sentence.quantities if q.name == "cv")
    assert cv == pytest.approx(0.03 * math.sqrt(69) / 1.5)


def test_means_printed_with_standard_errors_are_read_so_and_not_offered_as_a_way_out(
    study_of: Any, means_of: Any, reference: ReferenceValues
) -> None:
    means = means_of(features={MD: ("1.40 ± 0.040", "1.50 ± 0.030")}, spread="se")

    assert IMPLIED.run(study_of(difference("= 0.052", test="welch"), means), reference).findings == ()
    (finding,) = IMPLIED.run(study_of(difference("= 0.90", test="welch"), means), reference).findings
    assert not any("standard errors" in found.assumption for found in finding.ways_out)


def test_exchanged_groups_are_tested(findings: Any) -> None:
    p = stats.ttest_ind_from_stats(1.4, 0.4, 31, 1.5, 0.1, 69, equal_var=False).pvalue
    (finding,) = findings(difference(f"= {p:.4f}", test="welch"), "1.40 ± 0.10", "1.50 ± 0.40")

    assert way(finding, "exchanged").resolves == "yes"


def test_exchanging_sds_is_the_same_as_exchanging_numbers_of_patients() -> None:
    sds = welch_test(Sample(1.4, 0.4, 31), Sample(1.5, 0.1, 69))
    numbers = welch_test(Sample(1.4, 0.1, 69), Sample(1.5, 0.4, 31))

    assert (sds.t, sds.df) == pytest.approx((numbers.t, numbers.df))


def test_a_one_sided_p_is_tested(findings: Any) -> None:
    p = stats.ttest_ind_from_stats(1.4, 0.2, 31, 1.5, 0.2, 69).pvalue / 2
    (finding,) = findings(difference(f"= {p:.3f}", test="student"), "1.400 ± 0.200", "1.500 ± 0.200")

    assert way(finding, "one side").resolves == "yes"


def test_logarithms_are_tested(findings: Any) -> None:
    # log-normal with σ = 0.8 and 0.5: far from normal.
    logs = [math.sqrt(math.log1p((sd / mean) ** 2)) for mean, sd in ((1.4, 1.2), (1.9, 1.0))]
    means = [math.log(mean) - s**2 / 2 for mean, s in zip((1.4, 1.9), logs, strict=True)]
    p = stats.ttest_ind_from_stats(means[0], logs[0], 31, means[1], logs[1], 69).pvalue
    (finding,) = findings(difference(f"= {p:.5f}", test="student"), "1.40 ± 1.20", "1.90 ± 1.00")

    assert way(finding, "logarithms").resolves == "yes"


def test_the_number_of_patients_that_a_p_needs_is_found(findings: Any) -> None:
    (finding,) = findings(difference("< 0.001", test="student"))
    found = way(finding, "number of patients was")
    n = [q.value for q in found.sentence.quantities if q.name.startswith("n_needed")]

    assert n[1] / n[0] == pytest.approx(69 / 31)
    assert student_test(Sample(1.4, 0.2, n[0]), Sample(1.5, 0.2, n[1])).p == pytest.approx(0.001)


def test_p_beside_means_is_held_against_the_same_means(
    study_of: Any, means_of: Any, reference: ReferenceValues
) -> None:
    means = means_of(features={MD: ("1.40 ± 0.20", "1.50 ± 0.20")}, test="student")
    means["means"][0] |= {"p": "= 0.90", "versus": "strong"}

    (finding,) = IMPLIED.run(study_of(means), reference).findings

    assert (finding.severity, finding.claims) == (Severity.INCONSISTENT, ("means",))


def test_several_p_values_of_a_claim_are_one_finding(study_of: Any, means_of: Any, reference: ReferenceValues) -> None:
    features = {MD: ("1.40 ± 0.20", "1.50 ± 0.20"), "sartorius.md": ("1.40 ± 0.20", "1.80 ± 0.20")}
    claim = difference("= 0.90", features=list(features))

    (finding,) = IMPLIED.run(study_of(claim, means_of(features=features)), reference).findings

    assert finding.features == tuple(features)
    assert "sartorius" in finding.sentence.template  # the one that lies farthest
    assert len(finding.steps) == 2


# Directions


def test_means_that_differ_the_other_way_are_inconsistent(findings: Any) -> None:
    (finding,) = findings(difference(direction="higher"))

    assert finding.severity is Severity.INCONSISTENT
    assert finding.claims == ("differs", "means")
    # 0.10 lies within 0.40, the sum of both SDs.
    assert way(finding, "medians").resolves == "in part"


def test_medians_are_no_way_out_where_means_lie_too_far_apart(findings: Any) -> None:
    (finding,) = findings(difference(direction="higher"), "1.00 ± 0.10", "1.50 ± 0.10")

    assert way(finding, "medians").resolves == "no"


def test_direction_is_read_whichever_group_is_named_first(findings: Any) -> None:
    turned = {"group": "strong", "versus": "weak"}

    assert findings(difference(direction="higher", **turned)) == ()
    assert len(findings(difference(direction="lower", **turned))) == 1


def test_means_that_may_be_equal_contradict_no_direction(findings: Any) -> None:
    assert findings(difference(direction="higher"), "1.5 ± 0.2", "1.5 ± 0.2") == ()
