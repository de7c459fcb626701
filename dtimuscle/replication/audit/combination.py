"""The AUC of a model against the AUCs that the printed means of its predictors imply for each of them alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from dtimuscle.replication.audit.alternatives import (
    gamma_auc,
    least_auc,
    lognormal_auc,
    muscles_for_auc,
    new_patients_auc,
    predictors_for_auc,
)
from dtimuscle.replication.audit.auc import PrintedRoc, normal_auc_error, printed_rocs
from dtimuscle.replication.audit.effects import binormal_auc, corners, samples
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
from dtimuscle.replication.audit.summaries import Sample, welch_test
from dtimuscle.replication.printed import PrintedPair, printed_p, printed_pairs, printed_tests
from dtimuscle.replication.published import AucComparison, FeaturesReading, GroupMeans, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.power import hanley_mcneil_error

NAME = "combination"
COMPARISON_NAME = "comparison"

# Share of studies without error in which a check may raise a conflict.
FALSE_ALARM_RATE = 0.001

# Between muscles within a group, and between two curves of the same patients: from loose to close.
CORRELATIONS = (0.3, 0.5, 0.7)
CURVE_CORRELATIONS = (0.3, 0.5, 0.7, 0.9)

_LEAST_PATIENTS = 2

_REFERENCES = (
    "Bamber, J Math Psychol 1975; 12: 387-415",
    "Hanley & McNeil, Radiology 1982; 143: 29-36",
    "Owen, Ann Math Stat 1956; 27: 1075-1090",
    "Raudys & Young, J Multivar Anal 2004; 89: 1-35",
)


@dataclass(frozen=True)
class SingleFeature:
    """What the printed means and SDs of one feature imply for its own ROC curve.

    Parameters
    ----------
    pair : PrintedPair
        The printed numbers.
    auc : Quantity
        Binormal AUC (see `effects.binormal_auc`).
    standard_error : float
        Of the empirical AUC of such values (see `auc.normal_auc_error`).
    limit : Quantity
        What an empirical AUC hardly falls below, with its rounding.
    least : Quantity
        What it cannot fall below, whatever the values (see `alternatives.least_auc`).
    """

    pair: PrintedPair
    auc: Quantity
    standard_error: float
    limit: Quantity
    least: Quantity


@dataclass(frozen=True)
class _Case:
    """An AUC as printed, and the single features that it is held against."""

    study: PublishedStudy
    roc: PrintedRoc
    name: str
    reading: FeaturesReading | None
    n_predictors: int
    singles: tuple[SingleFeature, ...]

    @property
    def best(self) -> SingleFeature:
        return max(self.singles, key=lambda single: single.auc.value)

    @property
    def printed(self) -> Quantity:
        return replace(self.roc.as_quantity, label=f"AUC of {self.roc_name} as printed")

    @property
    def roc_name(self) -> str:
        return self.study.in_words(self.roc.claim.predictor)

    @property
    def target(self) -> float:
        """Highest AUC that is printed so, turned round where it is below 0.5."""
        return max(self.roc.auc.high, 1 - self.roc.auc.low)

    @property
    def conflicting(self) -> tuple[SingleFeature, ...]:
        """Those whose AUC lies above the printed one by more than rounding and chance."""
        return tuple(single for single in self.singles if _low(single.limit) > self.target)


def single_feature(pair: PrintedPair, *, z: float) -> SingleFeature:
    """Derive what a feature alone would show on a ROC curve, over the rounding of its printed numbers.

    Parameters
    ----------
    pair : PrintedPair
        The feature in two groups.
    z : float
        Standard errors that the empirical AUC may lie below the binormal one.

    Returns
    -------
    SingleFeature
        Unrounded.
    """
    boxes = corners(pair)
    limits, leasts = [_limit(*box, z=z) for box in boxes], [least_auc(*box) for box in boxes]
    auc = binormal_auc(pair)
    may_be_equal = auc.rounding is not None and auc.rounding.low <= 0.5
    value = samples(pair)
    return SingleFeature(
        pair,
        auc,
        _error_of(*value),
        Quantity(
            "limit", "AUC that it hardly falls below", "auc", _limit(*value, z=z),
            Interval(min(0.5, *limits) if may_be_equal else min(limits), max(limits)),
        ),
        Quantity(
            "least", "AUC that it cannot fall below, whatever the values", "auc", least_auc(*value),
            Interval(0.0 if may_be_equal else min(leasts), max(leasts)),
        ),
    )  # fmt: skip


def single_features(
    study: PublishedStudy, features: tuple[str, ...], *, event: str, z: float
) -> tuple[SingleFeature, ...]:
    """Derive the ROC curves of all features whose means are printed in the groups that a model tells apart.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    features : tuple of str
        What the model contains.
    event : str
        Identifier of the group that stands for poor muscle function; the other group is the one that stands for good.
    z : float
        Standard errors that an empirical AUC may lie below the binormal one.

    Returns
    -------
    tuple of SingleFeature
        In the order of the printed means.
    """
    pairs = [
        pair
        for pair in printed_pairs(study)
        if pair.feature in features and pair.first.group.id == event and pair.second.group.stands_for == "good"
    ]
    return tuple(single_feature(pair, z=z) for pair in pairs)


def share_for_limit(single: SingleFeature, target: float, *, z: float) -> float | None:
    """Return the share of the patients in which chance could bring the AUC of a feature down to a target.

    Parameters
    ----------
    single : SingleFeature
        The feature.
    target : float
        AUC, below that of the feature.
    z : float
        Standard errors that count as chance.

    Returns
    -------
    float or None
        The largest share, the same of both groups; None if it is all of them, or two in the smaller group are too many.
    """
    first, second = samples(single.pair)

    def excess(share: float) -> float:
        return _limit(replace(first, n=first.n * share), replace(second, n=second.n * share), z=z) - target

    smallest = _LEAST_PATIENTS / min(first.n, second.n)
    if excess(smallest) > 0 or excess(1.0) <= 0:
        return None
    return float(brentq(excess, smallest, 1.0, xtol=1e-13, rtol=1e-13))


def highest_lower_auc(higher: float, *, p: float, correlation: float, n_event: int, n_other: int) -> float | None:
    """Return the largest AUC that another one is told from with a given P in the same patients.

    z = (A − B) / √(SE_A² + SE_B² − 2 r SE_A SE_B), with the standard errors and the test of Hanley & McNeil
    (1982, 1983).

    Parameters
    ----------
    higher : float
        The higher AUC A, at least 0.5.
    p : float
        Two-sided P.
    correlation : float
        r between the two estimated AUCs.
    n_event, n_other : int
        Patients.

    Returns
    -------
    float or None
        B; None where it would lie below 0.5.
    """
    own = hanley_mcneil_error(higher, n_event=n_event, n_other=n_other)
    wanted = -float(ndtri(p / 2))

    def excess(lower: float) -> float:
        other = hanley_mcneil_error(lower, n_event=n_event, n_other=n_other)
        return (higher - lower) - wanted * math.sqrt(own**2 + other**2 - 2 * correlation * own * other)

    if not 0.5 <= higher < 1 or excess(0.5) <= 0:
        return None
    return float(brentq(excess, 0.5, higher, xtol=1e-14, rtol=1e-14))


def deviate_for(n_compared: int) -> float:
    """Return the standard errors that chance exceeds in `FALSE_ALARM_RATE` of studies, all comparisons together.

    Parameters
    ----------
    n_compared : int
        Comparisons that share the rate (Bonferroni).
    """
    return -float(ndtri(FALSE_ALARM_RATE / max(n_compared, 1)))


def _run_combination(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Hold the AUC of each model against those of its predictors alone, and each AUC against what is possible."""
    planned = [(roc, study.features_of(roc.claim.id)) for roc in printed_rocs(study)]
    n_compared = sum(
        len(single_features(study, features, event=roc.contrast.event.id, z=0))
        for roc, features in planned
        if len(features) > 1 and _is_apparent(roc)
    )
    examined, findings = [], []
    for roc, features in planned:
        singles = single_features(study, features, event=roc.contrast.event.id, z=deviate_for(n_compared))
        if not _is_apparent(roc):
            continue
        name = study.in_words(roc.claim.predictor)
        case = _Case(study, roc, name, study.features_reading(roc.claim.id), len(features), singles)
        printed = _printed_singles(study, roc, features)
        if len(features) > 1 and singles:
            examined.append(f"AUC of {name} against {_several(len(singles), 'of its predictors', study, singles)}")
        elif singles:
            examined.append(f"AUC of {name} against its means")
            findings += [_impossible(case)] if _low(singles[0].least) > case.target else []
        if printed:
            examined.append(f"AUC of {name} against the printed AUCs of its predictors")
        if len(features) > 1 and case.conflicting:
            findings.append(_combination_finding(case, n_compared))
        elif printed and _excess(roc, printed[0]) > _error(printed[0]):
            findings.append(_below_printed(study, roc, printed[0]))
    return CheckResult(tuple(examined), tuple(findings))


def _run_comparison(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Hold claims that one AUC is higher than others against what is printed of the others."""
    planned = [
        (claim, roc, other, _features_of_model(study, claim, other))
        for claim in study.claims
        if isinstance(claim, AucComparison)
        for roc in printed_rocs(study)
        if roc.claim.predictor == claim.higher and _is_apparent(roc)
        for other in claim.lower
    ]
    n_compared = sum(
        len(single_features(study, features, event=roc.contrast.event.id, z=0)) for _, roc, _, features in planned
    )
    examined, findings = [], []
    for claim, roc, other, features in planned:
        name = study.in_words(other)
        printed = next((item for item in printed_rocs(study) if item.claim.predictor == other), None)
        singles = single_features(study, features, event=roc.contrast.event.id, z=deviate_for(n_compared))
        if printed is not None:
            examined.append(f"Printed AUC of {name} against the higher one of {study.in_words(claim.higher)}")
            findings += [_lower_is_higher(study, claim, roc, printed)] if printed.auc.low > roc.auc.high else []
        elif singles:
            words = _several(len(singles), "of its features", study, singles)
            examined.append(f"Claim that {name} has a lower AUC than {study.in_words(claim.higher)}, against {words}")
            reading = study.features_reading(claim.id)
            case = _Case(study, roc, name, reading, len(features), singles)
            findings += [_comparison_finding(case, claim, n_compared)] if case.conflicting else []
    return CheckResult(tuple(examined), tuple(findings))


COMBINATION = Check(
    name=NAME,
    question="Does a model tell the groups apart at least as well as each of its predictors would alone?",
    needs="AUC of a model, and mean and SD in both groups of a feature that it contains",
    false_alarm_rate=FALSE_ALARM_RATE,
    run=_run_combination,
)
COMPARISON = Check(
    name=COMPARISON_NAME,
    question="Can the AUC that is said to be the higher one be higher?",
    needs="a claim that one AUC is higher, its AUC, and the other's AUC or the means of what the other contains",
    false_alarm_rate=FALSE_ALARM_RATE,
    run=_run_comparison,
)


def _is_apparent(roc: PrintedRoc) -> bool:
    """Whether the AUC may be that of the patients whose means are printed."""
    return roc.claim.validation in (None, "apparent")


def _features_of_model(study: PublishedStudy, claim: AucComparison, model: str) -> tuple[str, ...]:
    """Return the features of one of the models that a claim compares: those of its parameters."""
    if "." in model:
        return (model,)
    return tuple(name for name in study.features_of(claim.id) if name.partition(".")[2] in model.split("+"))


def _printed_singles(study: PublishedStudy, roc: PrintedRoc, features: tuple[str, ...]) -> list[PrintedRoc]:
    """List the printed AUCs of single predictors of a model, in the same patients, the highest first."""
    found = [
        other
        for other in printed_rocs(study)
        if len(features) > 1
        and other.claim.predictor in features
        and _is_apparent(other)
        and (other.contrast.n_event, other.contrast.n_other) == (roc.contrast.n_event, roc.contrast.n_other)
    ]
    return sorted(found, key=lambda other: max(other.auc.value, 1 - other.auc.value), reverse=True)


def _excess(roc: PrintedRoc, single: PrintedRoc) -> float:
    """Return by how much a printed AUC of a predictor exceeds that of the model at least; either may be turned."""
    return max(single.auc.low, 1 - single.auc.high) - max(roc.auc.high, 1 - roc.auc.low)


def _error(roc: PrintedRoc) -> float:
    return hanley_mcneil_error(roc.auc.value, n_event=roc.contrast.n_event, n_other=roc.contrast.n_other)


def _below_printed(study: PublishedStudy, roc: PrintedRoc, single: PrintedRoc) -> Finding:
    """Say that a model has a lower AUC than one of its predictors.

    A logistic model maximises the likelihood, not the AUC, so that it may rank its own patients a little worse than one
    predictor does: by at most half a standard error of that AUC in 1,400 computed studies. One whole is allowed.
    """
    name, feature = (study.in_words(item.claim.predictor) for item in (roc, single))
    numbers = (
        replace(roc.as_quantity, label=f"AUC of {name} as printed"),
        Quantity("auc_single", f"AUC of {feature} as printed", "auc", single.auc.value, single.auc.rounding),
        Quantity("allowed", "Difference that is allowed (one standard error)", "standard_error", _error(single)),
    )
    return Finding(
        check=NAME,
        severity=Severity.UNLIKELY,
        title=f"{name} together tell less than {feature} alone",
        sentence=Sentence(
            f"{{auc_printed}} is printed for {name}, and {{auc_single}} for {feature} alone, which the model contains. "
            "Fitted to the same patients, a model hardly ranks them worse than one of its predictors.",
            numbers,
        ),
        claims=(roc.claim.id, single.claim.id),
        features=(single.claim.predictor,),
        steps=(Step("The two AUCs as printed", "AUC alone − AUC of the model > SE (Hanley & McNeil)", numbers),),
        ways_out=(
            WayOut(
                "The AUC of the model is cross-validated or of new patients, that of the predictor is not",
                "in part",
                Sentence("Only if the source computed the two AUCs in different ways, which it does not say."),
            ),
        ),
        references=_REFERENCES[1:2],
    )


def _several(n: int, what: str, study: PublishedStudy, singles: tuple[SingleFeature, ...]) -> str:
    return f"{n} {what}" if n > 1 else study.in_words(singles[0].pair.feature)


def _error_of(first: Sample, second: Sample) -> float:
    return normal_auc_error(first.mean - second.mean, (first.sd, second.sd), (first.n, second.n))


def _limit(first: Sample, second: Sample, *, z: float) -> float:
    auc = float(ndtr(abs(first.mean - second.mean) / math.hypot(first.sd, second.sd)))
    return auc - z * _error_of(first, second)


def _low(quantity: Quantity) -> float:
    return quantity.rounding.low if quantity.rounding else quantity.value


def _combination_finding(case: _Case, n_compared: int) -> Finding:
    best = case.best
    return Finding(
        check=NAME,
        severity=Severity.INCONSISTENT,
        title=f"{case.name} together tell the groups apart less well than one of them alone",
        sentence=Sentence(
            f"By its printed means and SDs, {case.study.in_words(best.pair.feature)} alone would put a patient with "
            f"{best.pair.first.group.title} and one with {best.pair.second.group.title} in the right order in {{auc}} "
            "of all pairs (that share is the AUC). A model that contains it and is fitted to the same patients can "
            f"hardly do worse, but for {case.name} {{auc_printed}} is printed: both cannot hold for the same patients.",
            (best.auc, case.printed),
        ),
        claims=_claims(case),
        features=tuple(single.pair.feature for single in case.singles),
        steps=(*_single_steps(case), _decision_step(case, n_compared), _least_step(case)),
        ways_out=tuple(_ways_out(case, n_compared)),
        references=_REFERENCES,
    )  # fmt: skip


def _comparison_finding(case: _Case, claim: AucComparison, n_compared: int) -> Finding:
    best = case.best
    higher, feature = case.study.in_words(claim.higher), case.study.in_words(best.pair.feature)
    contained = "" if feature == case.name else ", one of its features,"
    alone = "it" if feature == case.name else "that one alone"
    return Finding(
        check=COMPARISON_NAME,
        severity=Severity.INCONSISTENT,
        title=f"{case.name} is said to tell the groups apart less well than {higher}; its means imply the opposite",
        sentence=Sentence(
            f"{higher} is said to have a higher AUC ({{auc_printed}}) than {case.name}. But the printed means and SDs "
            f"of {feature}{contained} imply {{auc}} for {alone}.",
            (case.printed, best.auc),
        ),
        claims=tuple(dict.fromkeys((claim.id, *_claims(case)))),
        features=tuple(single.pair.feature for single in case.singles),
        steps=(*_single_steps(case), _decision_step(case, n_compared), *_p_steps(case, claim)),
        ways_out=tuple(_ways_out(case, n_compared)),
        references=(*_REFERENCES, "Hanley & McNeil, Radiology 1983; 148: 839-843"),
    )


def _lower_is_higher(study: PublishedStudy, claim: AucComparison, roc: PrintedRoc, printed: PrintedRoc) -> Finding:
    higher = replace(roc.as_quantity, name="higher", label=f"AUC of {study.in_words(claim.higher)} as printed")
    other = study.in_words(printed.claim.predictor)
    lower = replace(printed.as_quantity, name="lower", label=f"AUC of {other} as printed")
    return Finding(
        check=COMPARISON_NAME,
        severity=Severity.INCONSISTENT,
        title=f"{study.in_words(claim.higher)} is said to tell the groups apart better than {other}; its AUC is lower",
        sentence=Sentence("The AUC that is said to be higher is {higher}, the other one {lower}.", (higher, lower)),
        claims=(claim.id, roc.claim.id, printed.claim.id),
        steps=(Step("The two AUCs as printed", "lowest value of the lower > highest value of the higher",
                    (higher, lower)),),
        ways_out=(
            WayOut(
                "The two names are exchanged in the claim, or the two AUCs where they are printed",
                "yes",
                Sentence("Then {lower} is higher than {higher}, as claimed.", (lower, higher)),
            ),
        ),
    )  # fmt: skip


def _impossible(case: _Case) -> Finding:
    single = case.singles[0]
    return Finding(
        check=NAME,
        severity=Severity.IMPOSSIBLE,
        title=f"AUC of {case.name} is lower than its means allow",
        sentence=Sentence(
            "With the printed means and SDs, whatever the single values are, at least {least} of all pairs of a "
            f"patient with {single.pair.first.group.title} and one with {single.pair.second.group.title} are in the "
            "order of the means (that share is the AUC); the printed AUC is {auc_printed}.",
            (single.least, case.printed),
        ),
        claims=_claims(case),
        features=(single.pair.feature,),
        steps=(*_single_steps(case), _least_step(case)),
        ways_out=tuple(_standard_errors(case)),
        references=("Cantelli, Atti del Congresso Internazionale dei Matematici, Bologna 1928; 6: 47-59",),
    )


def _claims(case: _Case) -> tuple[str, ...]:
    return tuple(dict.fromkeys((case.roc.claim.id, *(single.pair.claim_id for single in case.singles))))


def _single_steps(case: _Case) -> Iterator[Step]:
    for single in case.singles:
        first, second = samples(single.pair)
        deviate = abs(first.mean - second.mean) / math.hypot(first.sd, second.sd)
        groups = [(single.pair.first, "1"), (single.pair.second, "2")]
        kind = "anisotropy" if single.pair.feature.endswith(".fa") else "diffusivity"
        numbers = [
            Quantity(f"{name}_{index}", f"{words} with {group.group.title}", kind, number.value, number.rounding)  # type: ignore[arg-type]
            for group, index in groups
            for name, words, number in (("mean", "Mean", group.mean), ("sd", "SD", group.sd))
        ]
        yield Step(
            f"{case.study.in_words(single.pair.feature)} alone",
            "AUC = Φ(z), z = |m₁ − m₂| / √(s₁² + s₂²), for normal values",
            (*numbers, Quantity("z", "Distance z", "z", deviate), single.auc),
        )


def _decision_step(case: _Case, n_compared: int) -> Step:
    quantities = [Quantity("z_limit", "Standard errors allowed for chance", "z", deviate_for(n_compared))]
    for index, single in enumerate(case.singles, start=1):
        name = case.study.in_words(single.pair.feature)
        quantities += [
            Quantity(f"se_{index}", f"Standard error of the AUC of {name}", "standard_error", single.standard_error),
            replace(single.limit, name=f"limit_{index}", label=f"AUC that {name} hardly falls below"),
        ]
    return Step(
        "How far chance could bring an AUC of that many patients below it",
        "limit = AUC − z SE, SE² = (A(1 − A) + (n₁ − 1)(Q₁ − A²) + (n₂ − 1)(Q₂ − A²)) / (n₁n₂); a conflict if "
        "the printed AUC lies below",
        (*case.roc.sizes, *quantities, case.printed),
    )


def _least_step(case: _Case) -> Step:
    return Step(
        "What holds whatever the values are (Cantelli's inequality)",
        "AUC ≥ δ² / (δ² + σ²), δ = m₁ − m₂, σ² = s₁²(n₁ − 1)/n₁ + s₂²(n₂ − 1)/n₂",
        (
            *(
                replace(
                    single.least, name=f"least_{index}", label=f"{case.study.in_words(single.pair.feature)}, at least"
                )
                for index, single in enumerate(case.singles, start=1)
            ),
            case.printed,
        ),
    )


def _p_steps(case: _Case, claim: AucComparison) -> Iterator[Step]:
    """Say what the lower AUC may at most be for the printed P."""
    printed = printed_p(claim.p) if claim.p else None
    if printed is None or printed.relation in (">", ">=") or not 0 < printed.number.value < 1:
        return
    sizes = {"n_event": case.roc.contrast.n_event, "n_other": case.roc.contrast.n_other}
    highest = {
        r: highest_lower_auc(case.roc.auc.value, p=printed.number.value, correlation=r, **sizes)
        for r in CURVE_CORRELATIONS
    }
    known = [
        Quantity(f"highest_{index}", f"Lower AUC at most, if the curves correlate by {r:g}", "auc", value)
        for index, (r, value) in enumerate(highest.items(), start=1)
        if value is not None
    ]
    if known:
        yield Step(
            f"What the lower AUC may be for the printed P ({claim.p})",
            "z = (A − B) / √(SE_A² + SE_B² − 2 r SE_A SE_B), SE by Hanley & McNeil",
            (*case.roc.sizes, case.printed, *known),
        )


def _ways_out(case: _Case, n_compared: int) -> Iterator[WayOut]:
    yield from _standard_errors(case)
    yield _new_patients(case)
    yield _pooled(case)
    yield _other_features(case)
    yield _other_shape(case)
    yield _fewer_patients(case, n_compared)


def _standard_errors(case: _Case) -> Iterator[WayOut]:
    """Take the numbers after ± for standard errors: the SDs are √n times as large. Not where the source says so."""
    claims = [case.study.claim(single.pair.claim_id) for single in case.singles]
    if any(isinstance(claim, GroupMeans) and claim.spread == "se" for claim in claims):
        return
    turned = [
        tuple(Sample(sample.mean, sample.sd * math.sqrt(sample.n), sample.n) for sample in samples(single.pair))
        for single in case.singles
    ]
    aucs = [float(ndtr(abs(a.mean - b.mean) / math.hypot(a.sd, b.sd))) for a, b in turned]
    index = max(range(len(aucs)), key=aucs.__getitem__)
    pair, (first, second) = case.singles[index].pair, turned[index]
    p = welch_test(first, second).p
    auc = Quantity("auc_se", "Highest AUC of a single feature then", "auc", aucs[index])
    p_then = Quantity("p_se", "P of its difference then (Welch)", "p", p)
    shown = [auc, p_then]
    groups = {pair.first.group.id, pair.second.group.id}
    tests = [test for test in printed_tests(case.study) if test.is_of(pair.feature, groups) and test.p is not None]
    contradicted = any(test.p is not None and not test.p.allows(p, p) for test in tests)
    words = "Then the AUC of no single feature would exceed {auc_se}"
    if contradicted:
        words += ", but the difference of the means would have P = {p_se}, contrary to the printed P"
    words += "."
    if first.mean and second.mean:
        cv = max(sample.sd / abs(sample.mean) for sample in (first, second))
        shown.append(Quantity("cv", "SD relative to the mean then", "share", cv))
        words += " The SD would be {cv} of the mean."
    resolves = aucs[index] <= case.target
    yield WayOut(
        "The printed SDs are standard errors of the means",
        ("in part" if contradicted else "yes") if resolves else "no",
        Sentence(words, tuple(shown)),
        (Step("With SDs √n times as large", "s = SE √n; AUC and Welch's P from these", tuple(shown)),),
    )


def _new_patients(case: _Case) -> WayOut:
    """Take the printed AUC for one of patients that the model was not fitted to."""
    best, target = case.best, case.target
    n_first, n_second = case.roc.contrast.n_event, case.roc.contrast.n_other
    auc = min(best.auc.value, 1 - 1e-12)
    sizes = {"n_first": n_first, "n_second": n_second}
    expected = Quantity(
        "auc_new", "Expected AUC in new patients", "auc",
        new_patients_auc(auc, n_predictors=case.n_predictors, **sizes),
    )  # fmt: skip
    needed = predictors_for_auc(auc, target, **sizes)
    k = Quantity("n_predictors", "Predictors in the model", "count", case.n_predictors)
    many = Quantity("n_needed", "Predictors that it would take", "count", math.nan if needed is None else needed)
    words = "A model with {n_predictors} predictors would come down to {auc_new} in new patients"
    words += "." if needed is None else "; it would take {n_needed} predictors to come down to the printed AUC."
    shown = (best.auc, k, expected) if needed is None else (best.auc, k, expected, many)
    return WayOut(
        "The printed AUC is cross-validated, or of new patients",
        "yes" if expected.value <= target else "no",
        Sentence(words, shown),
        (
            Step(
                "Loss by estimating the weights of a model, for normal values",
                "D = √2 Φ⁻¹(AUC); D_new = D² / √(D² + k (1/n₁ + 1/n₂)) × √(1 − k/(n₁ + n₂ − 2)); AUC = Φ(D_new/√2)",
                shown,
            ),
        ),
    )


def _pooled(case: _Case) -> WayOut:
    """Take the curve for one of means over several muscles, some of which do not differ."""
    n_differing = len(case.singles)
    auc = min(sum(single.auc.value for single in case.singles) / n_differing, 1 - 1e-12)
    found = {r: muscles_for_auc(auc, case.target, n_differing=n_differing, correlation=r) for r in CORRELATIONS}
    differing = Quantity("n_differing", "Features with printed means that are pooled", "count", n_differing)
    mean = Quantity("auc_mean", "Mean of their AUCs alone", "auc", auc)
    known = [
        Quantity(f"alike_{index}", f"Without a difference, correlation {r:g}", "count", n)
        for index, (r, n) in enumerate(found.items(), start=1)
        if n is not None
    ]
    is_open = case.reading is not None and bool(known)
    if not known:
        words = "No number of muscles up to 100 brings the mean of all down to the printed AUC."
    else:
        words = (
            f"With the {{n_differing}} that differ, {{{known[-1].name}}} to {{{known[0].name}}} muscles that do not "
            "differ at all would have to be averaged (correlation between muscles from 0.7 to 0.3)."
        )
        words += "" if is_open else " The source names the features, so nothing is pooled."
    return WayOut(
        "The curve is of a mean over several muscles, some of which do not differ",
        "in part" if is_open else "no",
        Sentence(words, (differing, mean, *known)),
        (
            Step(
                "AUC of a mean over m muscles, for normal values",
                "D = (n_differing/m) d / √((1 + (m − 1) r)/m), d = √2 Φ⁻¹(AUC)",
                (differing, mean, *known),
            ),
        ),
    )


def _other_features(case: _Case) -> WayOut:
    """Take the model to contain none of the features with printed means."""
    everywhere = single_features(
        case.study, tuple(pair.feature for pair in printed_pairs(case.study)), event=case.roc.contrast.event.id, z=0
    )
    above = [single for single in everywhere if single.auc.value > case.target]
    counts = (
        Quantity(
            "n_above", "Features with printed means whose AUC alone is above the printed one", "count", len(above)
        ),
        Quantity("n_means", "Features with printed means", "count", len(everywhere)),
    )
    if case.reading is None:
        sentence = Sentence("The source names the features of the model, so this is not open.", counts)
    else:
        sentence = Sentence(
            "The source does not name the features of the model; which ones it contains is the kit's assumption. It "
            "would have to leave out {n_above} of the {n_means} features with printed means.",
            counts,
        )
    return WayOut("The model contains none of these features", "no" if case.reading is None else "in part", sentence)


def _other_shape(case: _Case) -> WayOut:
    """Take the features to be far from normally distributed."""
    best, target = case.best, case.target
    pair = samples(best.pair)
    shapes = [("lognormal", "Log-normal", lognormal_auc(*pair)), ("gamma", "Gamma", gamma_auc(*pair))]
    known = tuple(
        Quantity(f"auc_{name}", f"{label} with the same means and SDs", "auc", value)
        for name, label, value in shapes
        if not math.isnan(value)
    )
    least = max((single.least for single in case.singles), key=lambda quantity: quantity.value)
    feature = case.study.in_words(best.pair.feature)
    words = "Whatever the values are, one of these features alone has an AUC of at least {least}."
    if len(known) == len(shapes):
        words = (
            f"Log-normal values would give {feature} {{auc_lognormal}}, gamma distributed ones {{auc_gamma}}. " + words
        )
    if least.value > target:
        resolves = "no"
    else:
        resolves = "yes" if any(quantity.value <= target for quantity in known) else "in part"
        words += (
            ""
            if resolves == "yes"
            else (" The printed AUC is above that: the means alone exclude no shape, but these two are far from it.")
        )
    return WayOut(
        "The features are far from normally distributed",
        resolves,  # type: ignore[arg-type]
        Sentence(words, (*known, least, case.printed)),
        (
            Step(
                "Other shapes with the same means and SDs",
                "log-normal: Φ(|μ₁ − μ₂| / √(σ₁² + σ₂²)); gamma: incomplete beta function; any: δ²/(δ² + σ²)",
                (*known, least),
            ),
        ),
    )  # fmt: skip


def _fewer_patients(case: _Case, n_compared: int) -> WayOut:
    """Take the curve to rest on fewer patients than the means."""
    best = max(case.singles, key=lambda single: single.limit.value)
    share = share_for_limit(best, case.target, z=deviate_for(n_compared))
    sizes = case.roc.sizes
    if share is None:
        return WayOut(
            "The curve rests on fewer patients",
            "no",
            Sentence("Even two patients in the smaller group would be too many.", sizes),
        )
    fewer = tuple(
        Quantity(f"{size.name}_then", f"{size.label}, at most", "count", math.floor(n * share + 1e-9))
        for size, n in zip(sizes, (best.pair.first.n, best.pair.second.n), strict=True)
    )
    return WayOut(
        "The curve rests on fewer patients",
        "in part",
        Sentence(
            "Chance could explain it in at most {n_event_then} + {n_other_then} patients; {n_event} + {n_other} are "
            "printed.",
            (*sizes, *fewer),
        ),
        (Step("Patients in whom the limit comes down to the printed AUC", "AUC − z SE(n) = printed AUC",
              (*sizes, *fewer)),),
    )  # fmt: skip
