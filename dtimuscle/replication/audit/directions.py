"""Which way each claim says that a feature goes with poor muscle function, and whether the claims agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtr

from dtimuscle.replication.audit.effects import implied_effects
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
from dtimuscle.replication.printed import printed_p, printed_tests, rounded_number
from dtimuscle.replication.published import CorrelationClaim, GroupMeans, IndependentFactors, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

NAME = "directions"

# Where results are commonly called significant.
SIGNIFICANT = 0.05

# Share of studies without error in which a model may turn a sign against so large a difference.
FALSE_ALARM_RATE = 0.001

# Difference in SDs, at the lower end of its interval, from which adjusting hardly turns a sign: the adjusting variables
# would have to differ by more than that themselves and be closely related to the feature.
LARGE_G = 1.0

Kind = Literal["difference", "means", "correlation", "factor"]

_REFERENCES = (
    "Cohen, Cohen, West & Aiken, Applied multiple regression/correlation analysis, 3rd ed. 2003 (suppression)",
)


@dataclass(frozen=True)
class SignedStatement:
    """Which way a claim says that a feature goes with poor muscle function.

    Parameters
    ----------
    claim_id : str
        The claim.
    kind : {"difference", "means", "correlation", "factor"}
        What it states: a difference of groups, their means, a correlation with the grade or a factor of a model.
    feature : str
        Such as `adductor_longus.md`.
    sign : int
        −1 if its value is lower with poor function, 1 if it is higher.
    is_adjusted : bool
        Whether other features are held fixed (a factor of a model of several).
    is_shown : bool
        Whether it is claimed as a result, or significant by the printed numbers; others may have any sign by chance.
    is_assumed : bool
        Whether the source names no features, and these are the kit's reading.
    words : str
        The statement in the direction of poor function, with numbers as printed.
    """

    claim_id: str
    kind: Kind
    feature: str
    sign: int
    is_adjusted: bool
    is_shown: bool
    is_assumed: bool
    words: str


def signs(study: PublishedStudy) -> tuple[SignedStatement, ...]:
    """List every statement that says which way a feature goes with poor muscle function.

    Claims about groups that stand for none of poor and good function are left out: nothing says on which side they lie.
    So are printed means that may be equal within their rounding, and AUCs, which have no direction.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    tuple of SignedStatement
        Differences, then means, correlations and factors, each in the order of the source.
    """
    return (*_differences(study), *_means(study), *_correlations(study), *_factors(study))


def _differences(study: PublishedStudy) -> Iterator[SignedStatement]:
    roles = {group.id: group.stands_for for group in study.groups}
    for test in printed_tests(study):
        if test.direction is None or {roles[test.group], roles[test.versus]} != {"poor", "good"}:
            continue
        sign = (-1 if test.direction == "lower" else 1) * (1 if roles[test.group] == "poor" else -1)
        shown = test.p is None or test.p.allows(0.0, SIGNIFICANT)
        words = f"{'lower' if sign < 0 else 'higher'} with {_poor(study)}"
        yield SignedStatement(test.claim_id, "difference", test.feature, sign, False, shown, False, words)


def _means(study: PublishedStudy) -> Iterator[SignedStatement]:
    for effect in implied_effects(study):
        pair = effect.pair
        bounds = effect.difference.rounding
        roles = (pair.first.group.stands_for, pair.second.group.stands_for)
        if roles != ("poor", "good") or bounds is None or bounds.low <= 0 <= bounds.high:
            continue
        shown = (effect.welch.p.rounding.high if effect.welch.p.rounding else effect.welch.p.value) < SIGNIFICANT
        claim = study.claim(pair.claim_id)
        texts = [
            row.mean
            for group in (pair.first.group.id, pair.second.group.id)
            for row in (claim.means if isinstance(claim, GroupMeans) else ())
            if (row.feature, row.group) == (pair.feature, group)
        ]
        words = f"mean {texts[0]} with {pair.first.group.title}, {texts[1]} with {pair.second.group.title}"
        sign = -1 if bounds.high < 0 else 1
        yield SignedStatement(pair.claim_id, "means", pair.feature, sign, False, shown, False, words)


def _correlations(study: PublishedStudy) -> Iterator[SignedStatement]:
    for claim in study.claims:
        if not isinstance(claim, CorrelationClaim) or _is_zero(claim):
            continue
        sign = -claim.sign_with_grade
        value = f", r = {claim.coefficient}" if claim.coefficient else ""
        words = (
            f"its {claim.change} correlates {claim.sign}ly with "
            f"{'the weakening of muscle function' if claim.outcome == 'weakening' else 'muscle strength'}{value}"
        )
        shown = _is_shown(study, claim)
        is_assumed = study.features_reading(claim.id) is not None
        for feature in study.features_of(claim.id):
            yield SignedStatement(claim.id, "correlation", feature, sign, False, shown, is_assumed, words)


def _is_zero(claim: CorrelationClaim) -> bool:
    if claim.coefficient is None:
        return False
    value = rounded_number(claim.coefficient)
    return value.low <= 0 <= value.high


def _is_shown(study: PublishedStudy, claim: CorrelationClaim) -> bool:
    if claim.p is not None:
        return printed_p(claim.p).allows(0.0, SIGNIFICANT)
    if claim.coefficient is None:
        return True
    r, df = abs(float(rounded_number(claim.coefficient).value)), (claim.n or study.design.n) - 2
    return r >= 1 or float(2 * stdtr(df, -r * (df / (1 - r**2)) ** 0.5)) < SIGNIFICANT


def _factors(study: PublishedStudy) -> Iterator[SignedStatement]:
    for claim in study.claims:
        role = study.group(claim.event).stands_for if isinstance(claim, IndependentFactors) else None
        if not isinstance(claim, IndependentFactors) or role is None:
            continue
        for factor in claim.factors:
            sign = (-1 if factor.change == "decrease" else 1) * (1 if role == "poor" else -1)
            p = factor.p or claim.p
            shown = p is None or printed_p(p).allows(0.0, SIGNIFICANT)
            ratio = f", odds ratio {factor.odds_ratio}" if factor.odds_ratio else ""
            title = study.group(claim.event).title
            words = f"its {factor.change} is an independent factor of {title}{ratio}"
            is_adjusted = len(claim.factors) > 1
            yield SignedStatement(claim.id, "factor", factor.feature, sign, is_adjusted, shown, False, words)


def _poor(study: PublishedStudy) -> str:
    return next((group.title for group in study.groups if group.stands_for == "poor"), "poor muscle function")


def opposed(statements: tuple[SignedStatement, ...], *, is_adjusted: bool) -> tuple[str, ...]:
    """List the features about which statements of both signs are made.

    Parameters
    ----------
    statements : tuple of SignedStatement
        Of a study; only those that are shown count.
    is_adjusted : bool
        Whether to hold adjusted statements against unadjusted ones, or unadjusted ones against each other.

    Returns
    -------
    tuple of str
        In the order of the statements.
    """
    found = []
    for feature in dict.fromkeys(statement.feature for statement in statements):
        own = [item for item in statements if item.feature == feature and item.is_shown]
        raw = {item.sign for item in own if not item.is_adjusted}
        other = {item.sign for item in own if item.is_adjusted} if is_adjusted else raw
        if any(sign == -another for sign in raw for another in other):
            found.append(feature)
    return tuple(found)


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Hold the signs of all statements about a feature against each other."""
    statements = signs(study)
    counts = {item.feature: [s for s in statements if s.feature == item.feature] for item in statements}
    examined = tuple(
        f"{study.in_words(feature)}: {len(own)} statements" for feature, own in counts.items() if len(own) > 1
    )
    raw = opposed(statements, is_adjusted=False)
    adjusted = tuple(name for name in opposed(statements, is_adjusted=True) if name not in raw)
    findings = []
    for features, is_adjusted in ((raw, False), (adjusted, True)):
        for parameter in dict.fromkeys(name.partition(".")[2] for name in features):
            own = tuple(name for name in features if name.endswith(f".{parameter}"))
            findings.append(_finding(study, statements, own, is_adjusted=is_adjusted))
    return CheckResult(examined, tuple(findings))


DIRECTIONS = Check(
    name=NAME,
    question="Do all claims about a feature say that it changes the same way with poor muscle function?",
    needs="two claims that give a direction for one feature",
    false_alarm_rate=FALSE_ALARM_RATE,
    run=_run,
)


def _finding(
    study: PublishedStudy, statements: tuple[SignedStatement, ...], features: tuple[str, ...], *, is_adjusted: bool
) -> Finding:
    own = tuple(item for item in statements if item.feature in features and item.is_shown)
    title = study.parameter_title(features[0].partition(".")[2])
    lower, higher = ([item for item in own if item.sign == sign] for sign in (-1, 1))
    counts = (
        Quantity("n_lower", f"Claims by which {title} is lower with {_poor(study)}", "count", _n_claims(lower)),
        Quantity("n_higher", f"Claims by which {title} is higher with {_poor(study)}", "count", _n_claims(higher)),
    )
    words = (
        f"By {{n_lower}} of the claims about {_listed(study, features)}, {title} is lower with {_poor(study)}; by "
        "{n_higher} it is higher."
    )
    if is_adjusted:
        words += (
            " The odd one comes from a model that holds other features fixed. That can turn a sign, but only if those "
            "features separate the groups even better and are closely related to this one."
        )
    return Finding(
        check=NAME,
        severity=_severity(study, features, is_adjusted=is_adjusted),
        title=f"{title} points both ways",
        sentence=Sentence(words, counts),
        claims=tuple(dict.fromkeys(item.claim_id for item in own)),
        features=features,
        steps=tuple(_steps(study, own, features)),
        ways_out=tuple(_ways_out(study, statements, features)),
        references=_REFERENCES if is_adjusted else (),
    )


def _severity(study: PublishedStudy, features: tuple[str, ...], *, is_adjusted: bool) -> Severity:
    """Weigh a conflict: adjusting turns small differences easily, and large ones hardly."""
    if not is_adjusted:
        return Severity.INCONSISTENT
    ends = [
        min(abs(effect.hedges_g.interval.low), abs(effect.hedges_g.interval.high))
        for effect in implied_effects(study)
        if effect.pair.feature in features and effect.hedges_g.interval is not None
        and effect.hedges_g.interval.low * effect.hedges_g.interval.high > 0
    ]  # fmt: skip
    return Severity.UNLIKELY if ends and max(ends) >= LARGE_G else Severity.NOTE


def _n_claims(statements: list[SignedStatement]) -> int:
    return len({item.claim_id for item in statements})


def _listed(study: PublishedStudy, features: tuple[str, ...]) -> str:
    muscles = [study.in_words(name.partition(".")[0]) for name in features]
    return muscles[0] if len(muscles) == 1 else f"{', '.join(muscles[:-1])} and {muscles[-1]}"


def _steps(study: PublishedStudy, own: tuple[SignedStatement, ...], features: tuple[str, ...]) -> Iterator[Step]:
    for feature in features:
        yield Step(
            f"What is said of {study.in_words(feature)}",
            f"the sign of each statement: − if the value is lower with {_poor(study)}, + if it is higher",
            tuple(
                Quantity(
                    f"statement_{index}", item.words + _remark(item), "text", text="+" if item.sign > 0 else "−"
                )
                for index, item in enumerate((item for item in own if item.feature == feature), start=1)
            ),
        )  # fmt: skip


def _remark(item: SignedStatement) -> str:
    remarks = ["adjusted for the other factors"] if item.is_adjusted else []
    remarks += ["features as they are read"] if item.is_assumed else []
    return f" ({'; '.join(remarks)})" if remarks else ""


def _ways_out(
    study: PublishedStudy, statements: tuple[SignedStatement, ...], features: tuple[str, ...]
) -> Iterator[WayOut]:
    shown = tuple(item for item in statements if item.is_shown)
    factors = [item for item in shown if item.kind == "factor"]
    turned = tuple(dict.fromkeys(item.claim_id for item in factors if item.feature in features))
    for claim_id in turned:
        yield _other_coding(study, shown, claim_id)
    parameters = tuple(dict.fromkeys(item.feature.partition(".")[2] for item in factors))
    if turned and len(parameters) == 2:
        yield _exchanged(study, shown, parameters)
    if any(item.is_adjusted for item in factors if item.feature in features):
        yield WayOut(
            "The other factors of the model turn the sign (suppression)",
            "in part",
            Sentence(
                "Only if they differ more between the groups and go closely with it; another check says how closely."
            ),
        )
    yield _one_misprinted(study, shown, features)


def _parameters_opposed(statements: tuple[SignedStatement, ...]) -> tuple[str, ...]:
    names = (*opposed(statements, is_adjusted=False), *opposed(statements, is_adjusted=True))
    return tuple(dict.fromkeys(name.partition(".")[2] for name in names))


def _n_opposed(statements: tuple[SignedStatement, ...]) -> int:
    names = (*opposed(statements, is_adjusted=False), *opposed(statements, is_adjusted=True))
    return len(dict.fromkeys(names))


def _count(name: str, label: str, value: int) -> Quantity:
    return Quantity(name, label, "count", value)


def _with_sign(item: SignedStatement, sign: int) -> SignedStatement:
    return SignedStatement(
        item.claim_id, item.kind, item.feature, sign, item.is_adjusted, item.is_shown, item.is_assumed, item.words
    )


def _other_coding(study: PublishedStudy, shown: tuple[SignedStatement, ...], claim_id: str) -> WayOut:
    """Turn all factors of a model: it may have predicted the other group."""
    after = tuple(_with_sign(item, -item.sign) if item.claim_id == claim_id else item for item in shown)
    n_before, n_after = _n_opposed(shown), _n_opposed(after)
    still = " and ".join(study.parameter_title(name) for name in _parameters_opposed(after))
    numbers = (
        _count("n_before", "Features that point both ways as printed", n_before),
        _count("n_after", "Features that point both ways then", n_after),
    )
    words = "All its factors would turn round. As printed, {n_before} features point both ways; {n_after} would"
    words += f" then, those of {still}." if still else " then."
    return WayOut(
        "The model predicts the other group (the outcome is coded the other way)",
        "yes" if n_after == 0 else "in part" if n_after < n_before else "no",
        Sentence(words, numbers),
    )


def _exchanged(study: PublishedStudy, shown: tuple[SignedStatement, ...], parameters: tuple[str, ...]) -> WayOut:
    """Exchange the two parameters in the claims about factors."""
    by_name = {(item.claim_id, item.feature): item.sign for item in shown if item.kind == "factor"}
    other = {parameters[0]: parameters[1], parameters[1]: parameters[0]}

    def sign_of(item: SignedStatement) -> int:
        muscle, _, parameter = item.feature.partition(".")
        return by_name.get((item.claim_id, f"{muscle}.{other.get(parameter, parameter)}"), item.sign)

    after = tuple(_with_sign(item, sign_of(item)) if item.kind == "factor" else item for item in shown)
    n_before, n_after = _n_opposed(shown), _n_opposed(after)
    first, second = (study.parameter_title(parameter) for parameter in parameters)
    return WayOut(
        f"{first} and {second} are exchanged in the claim about factors",
        "yes" if n_after == 0 else "in part" if n_after < n_before else "no",
        Sentence(
            "As printed, {n_before} features point both ways; {n_after} would then.",
            (
                _count("n_before", "Features that point both ways as printed", n_before),
                _count("n_after", "Features that point both ways then", n_after),
            ),
        ),
    )


def _one_misprinted(study: PublishedStudy, shown: tuple[SignedStatement, ...], features: tuple[str, ...]) -> WayOut:
    """Turn what one claim says of these features, and count which claims alone would make all agree."""
    claims = tuple(dict.fromkeys(item.claim_id for item in shown if item.feature in features))
    resolving = []
    for claim_id in claims:
        after = tuple(
            _with_sign(item, -item.sign) if item.claim_id == claim_id and item.feature in features else item
            for item in shown
            if item.feature in features
        )
        if _n_opposed(after) == 0:
            resolving.append(claim_id)
    numbers = (
        _count("n_claims", "Claims about these features", len(claims)),
        _count("n_resolving", "Claims whose reversal alone makes all agree", len(resolving)),
    )
    if not resolving:
        return WayOut(
            "A single claim is misprinted", "no", Sentence("No single claim's reversal makes all agree.", numbers)
        )
    title = " and ".join(dict.fromkeys(study.parameter_title(name.partition(".")[2]) for name in features))
    names = " or ".join(f'"{study.claim(name).statement.rstrip(".")}"' for name in resolving)
    return WayOut(
        "A single claim has the wrong direction in print",
        "yes",
        Sentence(
            "Of the {n_claims} claims about it, {n_resolving} would make all agree if turned round alone, in what it "
            f"says of {title}: {names}.",
            numbers,
        ),
    )
