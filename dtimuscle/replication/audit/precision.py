"""How precisely a study prints its numbers, and whether that says more or less than it knows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from dtimuscle.replication.audit.effects import ImpliedEffect, implied_effects
from dtimuscle.replication.audit.findings import Check, CheckResult, Finding, Quantity, Sentence, Severity, Step
from dtimuscle.replication.printed import PrintedTest, printed_p, printed_tests, rounded_number
from dtimuscle.replication.published import (
    AnyClaim,
    AucClaim,
    AucComparison,
    CorrelationClaim,
    GroupDifference,
    GroupMean,
    GroupMeans,
    IndependentFactors,
    PrintedInterval,
    PublishedStudy,
)
from dtimuscle.replication.reference_values import ReferenceValues

_NAME = "precision"

# The smallest bound that is commonly printed instead of P.
_USUAL_BOUND = 0.001

# A bound that P undercuts by more than this hides how much the numbers say.
_FAR_BELOW = 1000

# Largest over smallest value that an SD may have been rounded from, above which it is called coarse.
_COARSE = 1.2

_GUIDELINES = "Lang & Altman, Int J Nurs Stud 2015; 52: 5-9 (the SAMPL guidelines)"


@dataclass(frozen=True)
class _Remark:
    """Something about the precision of one or more printed numbers."""

    kind: str
    claim_id: str
    features: tuple[str, ...]
    quantities: tuple[Quantity, ...]


# What is said of each kind of remark: once in a sentence, and as the heading of what was seen.
_WORDS = {
    "interval": "An estimate and the ends of its interval are printed with different numbers of decimals.",
    "groups": "Means of one feature are printed with different numbers of decimals.",
    "sd": "A mean is printed with more decimals than its SD, or with at least two fewer.",
    "coarse": "An SD has so few digits that all that follows from it is uncertain by more than a tenth.",
    "undercut": "P is printed as a bound, and the printed means imply a P at least a thousand times smaller.",
    "bound": "P is printed as a bound where its value could stand.",
}


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    remarks = [*_of_intervals(study), *_of_means(study), *_of_bounds(study)]
    return CheckResult(tuple(_examined(study)), (_finding(remarks),) if remarks else ())


def _examined(study: PublishedStudy) -> Iterator[str]:
    if any(isinstance(claim, GroupMeans) for claim in study.claims):
        yield "means and SDs"
    if any(_interval(claim) is not None for claim in study.claims):
        yield "confidence intervals"
    if any(True for claim in study.claims for _ in _ps(claim)):
        yield "P values"


def _finding(remarks: list[_Remark]) -> Finding:
    kinds = [kind for kind in _WORDS if any(remark.kind == kind for remark in remarks)]
    steps = []
    for kind in kinds:
        quantities = [quantity for remark in remarks if remark.kind == kind for quantity in remark.quantities]
        steps.append(Step(_WORDS[kind], "", tuple(_numbered(quantities))))
    return Finding(
        check=_NAME,
        severity=Severity.NOTE,
        title="Some numbers are printed with more, or fewer, digits than others",
        sentence=Sentence(" ".join(_WORDS[kind] for kind in kinds)),
        claims=tuple(dict.fromkeys(remark.claim_id for remark in remarks)),
        features=tuple(dict.fromkeys(feature for remark in remarks for feature in remark.features)),
        steps=tuple(steps),
        references=(_GUIDELINES,),
    )


def _numbered(quantities: list[Quantity]) -> Iterator[Quantity]:
    """Give quantities of one step names of their own."""
    for number, quantity in enumerate(quantities, start=1):
        yield replace(quantity, name=f"{quantity.name}_{number}")


def _n_decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _text(name: str, label: str, text: str) -> Quantity:
    return Quantity(name, label, "text", text=text)


# Intervals


def _of_intervals(study: PublishedStudy) -> Iterator[_Remark]:
    for claim in study.claims:
        printed = _interval(claim)
        if printed is None:
            continue
        estimate, interval = printed
        if len({_n_decimals(number) for number in (estimate, interval.low, interval.high)}) > 1:
            text = f"{estimate} ({interval.low} to {interval.high})"
            yield _Remark("interval", claim.id, study.features_of(claim.id), (_text("printed", claim.statement, text),))


def _interval(claim: AnyClaim) -> tuple[str, PrintedInterval] | None:
    if isinstance(claim, AucClaim) and claim.interval is not None:
        return claim.auc, claim.interval
    if isinstance(claim, CorrelationClaim) and claim.interval is not None and claim.coefficient is not None:
        return claim.coefficient, claim.interval
    return None


# Means


def _of_means(study: PublishedStudy) -> Iterator[_Remark]:
    for claim in study.claims:
        if not isinstance(claim, GroupMeans):
            continue
        rows = sorted(claim.means, key=lambda row: study.features_of(claim.id).index(row.feature))
        for feature, of_feature in groupby(rows, key=lambda row: row.feature):
            group_rows = list(of_feature)
            shown = tuple(_shown(study, row) for row in group_rows)
            if len({_n_decimals(row.mean) for row in group_rows}) > 1:
                yield _Remark("groups", claim.id, (feature,), shown)
            for row, quantity in zip(group_rows, shown, strict=True):
                # One decimal more for the SD than for the mean is a usage of its own.
                if _n_decimals(row.sd) - _n_decimals(row.mean) not in (0, 1):
                    yield _Remark("sd", claim.id, (feature,), (quantity,))
                number = rounded_number(row.sd)
                if number.high / number.low > _COARSE:
                    yield _Remark("coarse", claim.id, (feature,), (quantity,))


def _shown(study: PublishedStudy, row: GroupMean) -> Quantity:
    name = f"{study.in_words(row.feature)}, {study.group(row.group).title}"
    return _text("printed", name, f"{row.mean} ± {row.sd}")


# P


def _of_bounds(study: PublishedStudy) -> Iterator[_Remark]:
    effects = implied_effects(study)
    undercut = set()
    for test in printed_tests(study):
        name = study.in_words(test.feature)
        smaller = _smaller_p(test, effects, name)
        if smaller is not None and test.p is not None:
            undercut.add(test.claim_id)
            shown = _text("printed", f"P of {name} as printed", f"< {test.p.number.text}")
            yield _Remark("undercut", test.claim_id, (test.feature,), (shown, smaller))
    for claim in study.claims:
        bounds = [text for text in _ps(claim) if claim.id not in undercut and _is_loose_bound(text)]
        for text in dict.fromkeys(bounds):
            shown = _text("printed", claim.statement, f"P {text}")
            yield _Remark("bound", claim.id, study.features_of(claim.id), (shown,))


def _smaller_p(test: PrintedTest, effects: tuple[ImpliedEffect, ...], name: str) -> Quantity | None:
    """Return the implied P where it lies far below a printed bound that is not the usual one."""
    if test.p is None or test.p.relation not in ("<", "<=") or test.p.number.value <= _USUAL_BOUND:
        return None
    for effect in effects:
        pair = effect.pair
        if not test.is_of(test.feature, (pair.first.group.id, pair.second.group.id)) or pair.feature != test.feature:
            continue
        larger = max((effect.student.p, effect.welch.p), key=lambda p: p.rounding.high if p.rounding else p.value)
        highest = larger.rounding.high if larger.rounding else larger.value
        if highest < test.p.number.value / _FAR_BELOW:
            return replace(larger, label=f"P that the means imply, {name}")
    return None


def _is_loose_bound(text: str) -> bool:
    printed = printed_p(text)
    return printed.relation != "=" and not (printed.relation in ("<", "<=") and printed.number.value <= _USUAL_BOUND)


def _ps(claim: AnyClaim) -> Iterator[str]:
    """List every P that a claim prints."""
    found: list[str | None] = []
    match claim:
        case GroupMeans():
            found = [row.p for row in claim.means]
        case IndependentFactors():
            found = [claim.p, *(factor.p for factor in claim.factors)]
        case GroupDifference() | CorrelationClaim() | AucClaim() | AucComparison():
            found = [claim.p]
    yield from (text for text in found if text is not None)


PRECISION = Check(
    name=_NAME,
    question="Are the numbers printed as precisely as they are known?",
    needs="a mean with its SD, a confidence interval or a P",
    false_alarm_rate=0.0,
    run=_run,
)
