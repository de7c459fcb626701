"""Whether printed P values and directions follow from the printed means and standard deviations."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from scipy.optimize import brentq
from scipy.special import ndtri

from dtimuscle.replication.audit.effects import (
    ImpliedEffect,
    binormal_auc,
    corners,
    implied_effect,
    implied_effects,
    samples,
    value_kind,
)
from dtimuscle.replication.audit.findings import (
    Check,
    CheckResult,
    Finding,
    Quantity,
    Sentence,
    Severity,
    Step,
    WayOut,
)
from dtimuscle.replication.audit.summaries import Sample, logarithms, student_test
from dtimuscle.replication.printed import PrintedP, PrintedPair, PrintedTest, printed_tests
from dtimuscle.replication.published import GroupMeans, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.statistics.estimates import Interval

__all__ = ["IMPLIED", "ImpliedEffect", "binormal_auc", "implied_effect", "implied_effects"]

_NAME = "implied"

# Where results are commonly called significant.
_SIGNIFICANT = 0.05

# A rank test of normal values has nearly the z of a t test: their correlation is √(3/π) = 0.977 where the groups do not
# differ, and with large differences its z grows less. In 10,858 simulated comparisons of mildly skewed values, 9 were
# farther apart than 1 + a quarter of z and none than 1.5 + a quarter.
_Z_APART, _SHARE_APART = 2.0, 0.25

# Not 0: a source may not say that its P are those of ranks, and skewed values can take these far from a t test.
_RATE = 0.001

# Below it the z of rank tests depends on n more than on the values, and sources round in many ways.
_TINY_P = 0.001

_STUDENT = "Student, Biometrika 1908; 6: 1-25"
_WELCH = "Welch, Biometrika 1947; 34: 28-35"


@dataclass(frozen=True)
class _Disagreement:
    """A printed P that no t test of the printed means gives."""

    test: PrintedTest
    printed: PrintedP
    effect: ImpliedEffect
    implied: Interval
    apart: float
    severity: Severity


def group_quantities(pair: PrintedPair) -> tuple[Quantity, ...]:
    """List the printed mean, SD and number of patients of both groups, for a computation.

    Parameters
    ----------
    pair : PrintedPair
        The feature in two groups.

    Returns
    -------
    tuple of Quantity
        Named `mean_1`, `sd_1`, `n_1`, `mean_2`, `sd_2` and `n_2`.
    """
    kind = value_kind(pair.feature)
    quantities = []
    for number, group in enumerate((pair.first, pair.second), start=1):
        with_group = f"with {group.group.title}"
        quantities += [
            Quantity(f"mean_{number}", f"Mean {with_group}", kind, group.mean.value, group.mean.rounding),
            Quantity(f"sd_{number}", f"SD {with_group}", kind, group.sd.value, group.sd.rounding),
            Quantity(f"n_{number}", f"Patients {with_group}", "count", group.n),
        ]
    return tuple(quantities)


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    effects = implied_effects(study)
    tests = printed_tests(study)
    examined = dict.fromkeys(study.in_words(effect.pair.feature) for effect in effects)
    findings = [*_p_findings(study, effects, tests), *_direction_findings(study, effects, tests)]
    return CheckResult(tuple(examined), tuple(sorted(findings, key=lambda f: list(Severity).index(f.severity))))


def _effects_of(effects: Iterable[ImpliedEffect], test: PrintedTest) -> list[ImpliedEffect]:
    """Effects that a printed test is about: those of its own claim, if it prints means, otherwise those of any."""
    found = [effect for effect in effects if test.is_of(effect.pair.feature, _groups(effect.pair))]
    return [effect for effect in found if effect.pair.claim_id == test.claim_id] or found


def _groups(pair: PrintedPair) -> tuple[str, str]:
    return pair.first.group.id, pair.second.group.id


# P values


def _p_findings(
    study: PublishedStudy, effects: tuple[ImpliedEffect, ...], tests: tuple[PrintedTest, ...]
) -> Iterator[Finding]:
    compared = [test for test in tests if test.p is not None and _effects_of(effects, test)]
    for claim_id, of_claim in groupby(compared, key=lambda test: test.claim_id):
        tests_of_claim = list(of_claim)
        found = [_disagreement(test, _effects_of(effects, test)) for test in tests_of_claim]
        disagreements = [one for one in found if one is not None]
        if disagreements:
            yield _p_finding(study, claim_id, disagreements, n_compared=len(tests_of_claim))


def _disagreement(test: PrintedTest, effects: list[ImpliedEffect]) -> _Disagreement | None:
    printed = test.p
    if printed is None or test.test == "other":
        return None
    ranges = [_possible(effect, test) for effect in effects]
    if any(printed.allows(one.low, one.high) for possible in ranges for one in possible):
        return None
    implied = Interval(min(one.low for one in ranges[0]), max(one.high for one in ranges[0]))
    apart = _z_apart(_printed_range(printed), implied)
    severity = _severity(test, _printed_range(printed), implied, apart)
    return None if severity is None else _Disagreement(test, printed, effects[0], implied, apart, severity)


def _possible(effect: ImpliedEffect, test: PrintedTest) -> list[Interval]:
    """P over the rounding of the printed numbers, of the test that is named or of both t tests."""
    ps = {"student": (effect.student.p,), "welch": (effect.welch.p,)}
    quantities = ps.get(test.test or "", (effect.student.p, effect.welch.p))
    return [quantity.rounding for quantity in quantities if quantity.rounding is not None]


def _printed_range(printed: PrintedP) -> Interval:
    number = printed.number
    if printed.relation in ("<", "<="):
        return Interval(0.0, number.value)
    if printed.relation in (">", ">="):
        return Interval(number.value, 1.0)
    return Interval(max(number.low, 0.0), min(number.high, 1.0))


def _z_apart(printed: Interval, implied: Interval) -> float:
    """Distance of two ranges of P that do not meet, as normal deviates, less what a rank test may differ."""
    lower, higher = sorted((printed, implied), key=lambda one: one.low)
    distance = _z(lower.high) - _z(higher.low)
    nearest = implied.high if implied is lower else implied.low
    return distance - _Z_APART - _SHARE_APART * _z(nearest)


def _z(p: float) -> float:
    """Turn a two-sided P into a normal deviate; finite also where P is too small for the machine."""
    return float(-ndtri(max(min(p, 1.0), 1e-300) / 2))


def _severity(test: PrintedTest, printed: Interval, implied: Interval, apart: float) -> Severity | None:
    if test.test in ("student", "welch"):
        return Severity.INCONSISTENT
    is_large = apart > 0 and max(printed.high, implied.high) > _TINY_P
    if test.test == "mann_whitney":
        return Severity.NOTE if is_large else None
    if not is_large:
        return Severity.NOTE
    lower, higher = sorted((printed, implied), key=lambda one: one.low)
    return Severity.INCONSISTENT if lower.high <= _SIGNIFICANT <= higher.low else Severity.UNLIKELY


def _p_finding(study: PublishedStudy, claim_id: str, disagreements: list[_Disagreement], *, n_compared: int) -> Finding:
    widest = max(disagreements, key=lambda one: one.apart)
    severity = min((one.severity for one in disagreements), key=list(Severity).index)
    feature = study.in_words(widest.effect.pair.feature)
    some = f"P of {feature}" if len(disagreements) == 1 else "Several printed P values"
    quantities = (
        Quantity("n_apart", "P values that differ", "count", len(disagreements)),
        Quantity("n_compared", "P values that can be compared with means", "count", n_compared),
        Quantity("printed", "P as printed", "text", text=_p_text(widest.printed)),
        Quantity("p_low", "Lowest P over the rounding", "p", widest.implied.low),
        Quantity("p_high", "Highest P over the rounding", "p", widest.implied.high),
    )
    which = (
        ""
        if n_compared == 1
        else "Of {n_compared} P values that can be compared with means, {n_apart} cannot follow from them. "
    )
    most = f"For {feature}" if len(disagreements) == 1 else f"The farthest is that of {feature}: there"
    sentence = (
        f"{which}{most} the source prints P {{printed}}, and {_test_in_words(widest.test)} of the printed means "
        f"and SDs has a P between {{p_low}} and {{p_high}}, depending on how they were rounded."
    )
    return Finding(
        check=_NAME,
        severity=severity,
        title=f"{some} cannot come from a t test of the printed means",
        sentence=Sentence(sentence + _BY_SEVERITY.get(severity, ""), quantities),
        claims=tuple(dict.fromkeys([claim_id, *(one.effect.pair.claim_id for one in disagreements)])),
        features=tuple(dict.fromkeys(one.effect.pair.feature for one in disagreements)),
        steps=tuple(_test_step(study, one.effect, one.printed) for one in disagreements),
        ways_out=tuple(_ways_out(study, disagreements)),
        references=(_STUDENT, _WELCH),
    )


_BY_SEVERITY = {
    Severity.NOTE: " A test of ranks, or another test than the t test, can explain a difference of this size.",
}


def _test_in_words(test: PrintedTest) -> str:
    names = {"student": "Student's t test", "welch": "Welch's t test"}
    return names.get(test.test or "", "the t test (Student's or Welch's)")


def _p_text(printed: PrintedP) -> str:
    relation = {"<=": "≤", ">=": "≥"}.get(printed.relation, printed.relation)
    return f"{relation} {printed.number.text}"


def _test_step(study: PublishedStudy, effect: ImpliedEffect, printed: PrintedP | None = None) -> Step:
    """Write the t tests of a feature down."""
    shown = (Quantity("printed", "P as printed", "text", text=_p_text(printed)),) if printed else ()
    student, welch = effect.student, effect.welch
    return Step(
        words=f"t test of {study.in_words(effect.pair.feature)}",
        formula="t = (m₁ − m₂) / (s √(1/n₁ + 1/n₂)), s² = ((n₁ − 1) s₁² + (n₂ − 1) s₂²) / (n₁ + n₂ − 2); "
        "Welch: t = (m₁ − m₂) / √(s₁²/n₁ + s₂²/n₂)",
        quantities=(
            *group_quantities(effect.pair),
            *(student.t, student.df, student.p, welch.t, welch.df, welch.p, effect.hedges_g, effect.auc),
            *shown,
        ),
    )


# Ways out of a P that does not fit


def _ways_out(study: PublishedStudy, disagreements: list[_Disagreement]) -> Iterator[WayOut]:
    def is_sd(one: _Disagreement) -> bool:
        claim = study.claim(one.effect.pair.claim_id)
        return isinstance(claim, GroupMeans) and claim.spread == "sd"

    if all(is_sd(one) for one in disagreements):
        yield _changed(
            study,
            "The numbers after ± are standard errors, not standard deviations",
            disagreements,
            _with_standard_errors,
            " Patients would then differ by up to {cv} of the mean (SD).",
        )
    # Either leaves the same two pairs of SD and n, so that t and P are the same.
    exchanged = "The SDs of the two groups are exchanged, or their numbers of patients"
    yield _changed(study, exchanged, disagreements, _with_sds_exchanged)
    yield _one_sided(disagreements)
    if all(min(mean.low for mean in _means(one.effect.pair)) > 0 for one in disagreements):
        yield _of_logarithms(disagreements)
    yield from _other_n(disagreements)


def _means(pair: PrintedPair) -> tuple[Interval, Interval]:
    return pair.first.mean.rounding, pair.second.mean.rounding


def _with_standard_errors(pair: PrintedPair) -> PrintedPair:
    first, second = (replace(group, sd=group.sd.times(math.sqrt(group.n))) for group in (pair.first, pair.second))
    return replace(pair, first=first, second=second)


def _with_sds_exchanged(pair: PrintedPair) -> PrintedPair:
    return replace(pair, first=replace(pair.first, sd=pair.second.sd), second=replace(pair.second, sd=pair.first.sd))


def _changed(
    study: PublishedStudy,
    assumption: str,
    disagreements: list[_Disagreement],
    change: Callable[[PrintedPair], PrintedPair],
    more: str = "",
) -> WayOut:
    """Test the P values again after the printed numbers are read in another way."""
    effects = [implied_effect(change(one.effect.pair)) for one in disagreements]
    possible = [_possible(effect, one.test) for one, effect in zip(disagreements, effects, strict=True)]
    groups = [group for effect in effects for group in (effect.pair.first, effect.pair.second)]
    cvs = [group.sd.value / abs(group.mean.value) for group in groups if group.mean.value]
    cv = Quantity("cv", "Largest SD, as a share of the mean", "share", max(cvs, default=math.nan))
    steps = [
        Step(
            f"t test of {study.in_words(one.effect.pair.feature)} under this assumption",
            "as above",
            (effect.student.p, effect.welch.p, effect.hedges_g, effect.auc),
        )
        for one, effect in zip(disagreements, effects, strict=True)
    ]
    return _tested(
        assumption,
        disagreements,
        possible,
        more=more if cvs else "",
        quantities=(cv,) if cvs else (),
        steps=tuple(steps),
    )


def _one_sided(disagreements: list[_Disagreement]) -> WayOut:
    possible = [[Interval(p.low / 2, p.high / 2) for p in _possible(one.effect, one.test)] for one in disagreements]
    return _tested("P was computed for one side only", disagreements, possible)


def _of_logarithms(disagreements: list[_Disagreement]) -> WayOut:
    possible = []
    for one in disagreements:
        ps = [student_test(logarithms(first), logarithms(second)).p for first, second in corners(one.effect.pair)]
        possible.append([Interval(min(ps), max(ps))])
    return _tested("The logarithms of log-normal values were tested", disagreements, possible)


def _tested(
    assumption: str,
    disagreements: list[_Disagreement],
    possible: list[list[Interval]],
    *,
    more: str = "",
    quantities: tuple[Quantity, ...] = (),
    steps: tuple[Step, ...] = (),
) -> WayOut:
    fits = [
        any(one.printed.allows(p.low, p.high) for p in ranges)
        for one, ranges in zip(disagreements, possible, strict=True)
    ]
    low, high = (pick(end) for pick, end in ((min, _lows(possible)), (max, _highs(possible))))
    sentence = Sentence(
        "P would be between {p_low} and {p_high}; {n_fitting} of {n_apart} P values that differ would then hold."
        + more,
        (
            Quantity("p_low", "Lowest P over the rounding", "p", low),
            Quantity("p_high", "Highest P over the rounding", "p", high),
            Quantity("n_fitting", "P values that hold", "count", sum(fits)),
            Quantity("n_apart", "P values that differ", "count", len(fits)),
            *quantities,
        ),
    )
    return WayOut(assumption, "yes" if all(fits) else "in part" if any(fits) else "no", sentence, steps)


def _lows(possible: list[list[Interval]]) -> list[float]:
    return [p.low for ranges in possible for p in ranges]


def _highs(possible: list[list[Interval]]) -> list[float]:
    return [p.high for ranges in possible for p in ranges]


def _other_n(disagreements: list[_Disagreement]) -> Iterator[WayOut]:
    """How many times as many patients the P that lies farthest would need, in groups of the same proportion."""
    widest = max(disagreements, key=lambda one: one.apart)
    printed = _printed_range(widest.printed)
    target = printed.high if widest.implied.low > printed.high else printed.low
    first, second = samples(widest.effect.pair)
    if first.mean == second.mean or not 0 < target < 1:
        return
    factor = _size_factor(first, second, target)
    if factor is None:
        return
    quantities = (
        Quantity("n_needed_1", "Patients needed in the first group", "count", factor * first.n),
        Quantity("n_needed_2", "Patients needed in the second group", "count", factor * second.n),
        Quantity("n_1", "Patients in the first group", "count", first.n),
        Quantity("n_2", "Patients in the second group", "count", second.n),
    )
    sentence = (
        "The P that lies farthest would need about {n_needed_1} and {n_needed_2} patients instead of {n_1} and {n_2}."
    )
    yield WayOut("Another number of patients was tested", "in part", Sentence(sentence, quantities))


def _size_factor(first: Sample, second: Sample, target: float) -> float | None:
    """Factor on both n at which Student's P is the target; None where it would leave fewer than two patients."""

    def excess(log_factor: float) -> float:
        factor = math.exp(log_factor)
        larger = (replace(sample, n=factor * sample.n) for sample in (first, second))
        return _z(student_test(*larger).p) - _z(target)

    smallest = math.log(2 / min(first.n, second.n))
    highest = math.log(1e4)
    if excess(smallest) >= 0 or excess(highest) <= 0:
        return None
    return math.exp(float(brentq(excess, smallest, highest, xtol=1e-12)))


# Directions


def _direction_findings(
    study: PublishedStudy, effects: tuple[ImpliedEffect, ...], tests: tuple[PrintedTest, ...]
) -> Iterator[Finding]:
    directed = [test for test in tests if test.direction is not None]
    for claim_id, of_claim in groupby(directed, key=lambda test: test.claim_id):
        opposed = [
            (test, found[0])
            for test in of_claim
            if (found := _effects_of(effects, test)) and all(_points_away(test, effect) for effect in found)
        ]
        if opposed:
            yield _direction_finding(study, claim_id, opposed)


def _points_away(test: PrintedTest, effect: ImpliedEffect) -> bool:
    """Whether the means differ in the other direction than printed, however they were rounded."""
    difference = effect.difference.rounding
    if difference is None:
        return False
    sign = 1 if test.group == effect.pair.first.group.id else -1
    ends = sorted((sign * difference.low, sign * difference.high))
    return ends[0] > 0 if test.direction == "lower" else ends[1] < 0


def _direction_finding(
    study: PublishedStudy, claim_id: str, opposed: list[tuple[PrintedTest, ImpliedEffect]]
) -> Finding:
    test, effect = opposed[0]
    first, second = effect.pair.first, effect.pair.second
    names = ", ".join(study.in_words(one.pair.feature) for _, one in opposed)
    others = " and others" if len(opposed) > 1 else ""
    sentence = Sentence(
        f"{names}: the source says {test.direction} with {study.group(test.group).title} than with "
        f"{study.group(test.versus).title}, and prints means that differ the other way "
        f"({study.in_words(effect.pair.feature)}: {{mean_1}} with {first.group.title}, {{mean_2}} with "
        f"{second.group.title}).",
        group_quantities(effect.pair),
    )
    return Finding(
        check=_NAME,
        severity=Severity.INCONSISTENT,
        title=f"Means of {study.in_words(effect.pair.feature)}{others} differ in the other direction than stated",
        sentence=sentence,
        claims=tuple(dict.fromkeys([claim_id, *(one.pair.claim_id for _, one in opposed)])),
        features=tuple(one.pair.feature for _, one in opposed),
        steps=tuple(
            Step(
                f"Difference of {study.in_words(one.pair.feature)}",
                "m₁ − m₂",
                (*group_quantities(one.pair), one.difference),
            )
            for _, one in opposed
        ),
        ways_out=(
            WayOut(
                "The means of the two groups are exchanged, or the direction is",
                "yes",
                Sentence("The statement and the means would then agree; t and P stay as they are."),
            ),
            _medians(opposed),
        ),
    )


def _medians(opposed: list[tuple[PrintedTest, ImpliedEffect]]) -> WayOut:
    """Test whether medians can differ the other way; each lies within an SD of its mean (Hotelling & Solomons 1932)."""
    shares = []
    for _, effect in opposed:
        first, second = effect.pair.first, effect.pair.second
        low = effect.difference.rounding or Interval(0.0, 0.0)
        distance = min(abs(low.low), abs(low.high))
        shares.append(distance / (first.sd.high + second.sd.high))
    quantity = Quantity("share", "Distance of the means as a share of the sum of the SDs", "number", max(shares))
    fits = sum(share <= 1 for share in shares)
    return WayOut(
        "The statement is about medians (values far from normal)",
        "in part" if fits else "no",
        Sentence(
            "A median lies at most one SD from its mean. The means lie {share} times the sum of both SDs "
            "apart; that would have to be at most 1.",
            (quantity,),
        ),
    )


IMPLIED = Check(
    name=_NAME,
    question="Do the printed P values and directions follow from the printed means and standard deviations?",
    needs="mean, SD and number of patients of one feature in two groups",
    false_alarm_rate=_RATE,
    run=_run,
)
