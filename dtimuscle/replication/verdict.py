"""Whether new data bear out what a study claims.

Two plain criteria. A claim about a direction is borne out when the new estimate has the same direction and
P below 0.05. A claim with a number is borne out when the new interval contains that number.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from scipy import stats

from dtimuscle.replication.published import (
    AnyClaim,
    AucClaim,
    AucComparison,
    CorrelationClaim,
    GroupDifference,
    GroupMeans,
    IndependentFactors,
    PublishedStudy,
    interval_text,
    read_auc,
    read_coefficient,
)
from dtimuscle.statistics.estimates import Estimate, Interval

Agreement = Literal["agrees", "disagrees", "undecided", "not testable"]

# Below this P a direction counts as shown: the bound that muscle studies state.
SIGNIFICANCE = 0.05

# Coverage of the interval that a mean is given.
LEVEL = 0.95

_KIND_IN_WORDS = {
    "mean": "mean",
    "difference": "difference between the groups",
    "correlation": "correlation with the grade",
    "odds_ratio": "odds ratio",
    "auc": "ROC curve",
    "auc_difference": "comparison of ROC curves",
}


@dataclass(frozen=True)
class Verdict:
    """What new data say about one claim and one feature or model.

    Parameters
    ----------
    claim_id : str
        The claim.
    subject : str
        Feature (`adductor_longus.md`), model (`fa+md`) or difference of models (`fa+md - fa`).
    statement : str
        What the study claims, in one sentence.
    published : str
        The published number or direction as printed.
    published_value : float or None
        The same as a number, in the unit of `found`; None for a direction.
    published_interval : Interval or None
        Its interval, where one is printed.
    found : Estimate or None
        What the new data give, a mean with the interval that it was judged by; None where they give nothing.
    agreement : {"agrees", "disagrees", "undecided", "not testable"}
        The answer.
    reason : str
        Why, in plain words.
    group : str, default=""
        Group of new data that the number belongs to ("poor" or "good"); empty where it belongs to none.
    """

    claim_id: str
    subject: str
    statement: str
    published: str
    published_value: float | None
    published_interval: Interval | None
    found: Estimate | None
    agreement: Agreement
    reason: str
    group: str = ""


@dataclass(frozen=True)
class _Question:
    """One thing that a claim says, in a form in which an estimate can answer it.

    `neutral` is the value that means no effect, and `sign` on which side of it the claim is; a mean has neither.
    """

    kind: str
    subject: str
    published: str
    neutral: float | None = None
    sign: int = 0
    as_published: str = ""
    opposite: str = ""
    value: float | None = None
    interval: Interval | None = None
    group: str = ""
    caveat: str = ""
    obstacle: str = ""


@dataclass(frozen=True)
class _Answer:
    agreement: Agreement
    reason: str
    found: Estimate | None = None


def judge(
    published: PublishedStudy, estimates: Iterable[Estimate], *, claims: Iterable[str] = ()
) -> tuple[Verdict, ...]:
    """Hold new estimates against the claims of a study.

    A direction (lower, an independent factor, a sign, a higher AUC) *agrees* when the estimate has it with
    P < 0.05, *disagrees* when it has the opposite one with P < 0.05, and is *undecided* when P ≥ 0.05.
    A printed number *agrees* when the new interval contains it, and *disagrees* otherwise; it is *undecided* when
    the interval also contains the value of no effect (AUC 0.5, correlation 0), for such data cannot tell the two apart.
    A mean without interval gets Student's, from its SD and n. *Not testable* is what the new data give no estimate for.

    Parameters
    ----------
    published : PublishedStudy
        The study.
    estimates : iterable of Estimate
        What the new data give; diffusivities in mm²/s.
    claims : iterable of str, optional
        Identifiers of the claims to judge; all by default.

    Returns
    -------
    tuple of Verdict
        One for each claim and subject (and group, for means), in the order of the study.

    Raises
    ------
    PublishedError
        If the study has no claim of one of these names.
    """
    wanted = {published.claim(claim_id).id for claim_id in claims}
    found = tuple(estimates)
    return tuple(
        _verdict(published, claim, question, found)
        for claim in published.claims
        if not wanted or claim.id in wanted
        for question in _questions(published, claim)
    )


def _verdict(
    published: PublishedStudy, claim: AnyClaim, question: _Question, estimates: tuple[Estimate, ...]
) -> Verdict:
    answer = _answer(published, question, estimates)
    return Verdict(
        claim_id=claim.id,
        subject=question.subject,
        statement=claim.statement,
        published=question.published,
        published_value=question.value,
        published_interval=question.interval,
        found=answer.found,
        agreement=answer.agreement,
        reason=f"{answer.reason} {question.caveat}".strip() if answer.found else answer.reason,
        group=question.group,
    )


def _questions(published: PublishedStudy, claim: AnyClaim) -> Iterator[_Question]:
    match claim:
        case GroupDifference():
            yield from _ask_difference(published, claim)
        case GroupMeans():
            yield from _ask_means(published, claim)
        case IndependentFactors():
            yield from _ask_factors(published, claim)
        case CorrelationClaim():
            yield from _ask_correlation(published, claim)
        case AucClaim():
            yield from _ask_auc(published, claim)
        case AucComparison():
            yield from _ask_comparison(published, claim)


def _ask_difference(published: PublishedStudy, claim: GroupDifference) -> Iterator[_Question]:
    group, versus = published.group(claim.group), published.group(claim.versus)
    is_poor_first = group.stands_for == "poor"
    other_way = "higher" if claim.direction == "lower" else "lower"
    for feature in claim.features:
        yield _Question(
            kind="difference",
            subject=feature,
            published=_with_p(f"{claim.direction} with {group.title}", claim.p),
            neutral=0.0,
            sign=(1 if claim.direction == "higher" else -1) * (1 if is_poor_first else -1),
            as_published=f"the value is {claim.direction} with {group.title}",
            opposite=f"the value is {other_way} with {group.title}",
            obstacle=_obstacle({group.stands_for, versus.stands_for} == {"poor", "good"}),
        )


def _ask_means(published: PublishedStudy, claim: GroupMeans) -> Iterator[_Question]:
    for row in claim.means:
        printed = published.read_mean(claim, row)
        group = published.group(row.group)
        yield _Question(
            kind="mean",
            subject=row.feature,
            published=printed.text,
            value=printed.value,
            group=group.stands_for or row.group,
            caveat=f"The printed unit is read as {printed.unit}, an assumption." if printed.is_unit_assumed else "",
            obstacle=_obstacle(group.stands_for is not None),
        )


def _ask_factors(published: PublishedStudy, claim: IndependentFactors) -> Iterator[_Question]:
    event = published.group(claim.event)
    for factor in claim.factors:
        lower, higher = (f"{word} values go with {event.title}" for word in ("lower", "higher"))
        is_lower = factor.change == "decrease"
        yield _Question(
            kind="odds_ratio",
            subject=factor.feature,
            published=_with_p(f"{factor.change} is an independent factor of {event.title}", claim.p),
            neutral=1.0,
            sign=(-1 if is_lower else 1) * (1 if event.stands_for == "poor" else -1),
            as_published=lower if is_lower else higher,
            opposite=higher if is_lower else lower,
            obstacle=_obstacle(event.stands_for is not None),
        )


def _ask_correlation(published: PublishedStudy, claim: CorrelationClaim) -> Iterator[_Question]:
    value, interval = read_coefficient(claim)
    words = f"{claim.sign} correlation of {claim.change} with {claim.outcome}"
    if claim.coefficient is not None:
        words += f", r = {claim.coefficient}{interval_text(claim.interval)}"
    falls, rises = "the value falls as the muscle weakens", "the value rises as the muscle weakens"
    is_falling = claim.sign_with_grade > 0
    for feature in published.features_of(claim.id):
        yield _Question(
            kind="correlation",
            subject=feature,
            published=_with_p(words, claim.p),
            neutral=0.0,
            sign=claim.sign_with_grade,
            as_published=falls if is_falling else rises,
            opposite=rises if is_falling else falls,
            value=value,
            interval=interval,
            caveat=_caveat(published, claim),
        )


def _ask_auc(published: PublishedStudy, claim: AucClaim) -> Iterator[_Question]:
    printed = read_auc(claim)
    yield _Question(
        kind="auc",
        subject=claim.predictor,
        published=printed.text,
        neutral=0.5,
        value=printed.value,
        interval=printed.interval,
        caveat=_caveat(published, claim),
    )


def _ask_comparison(published: PublishedStudy, claim: AucComparison) -> Iterator[_Question]:
    for predictor in claim.lower:
        better, other = (_in_words(published, name) for name in (claim.higher, predictor))
        yield _Question(
            kind="auc_difference",
            subject=f"{claim.higher} - {predictor}",
            published=_with_p(f"AUC of {better} higher than of {other}", claim.p),
            neutral=0.0,
            sign=1,
            as_published=f"{better} has a higher AUC than {other}",
            opposite=f"{better} has a lower AUC than {other}",
            caveat=_caveat(published, claim),
        )


def _answer(published: PublishedStudy, question: _Question, estimates: tuple[Estimate, ...]) -> _Answer:
    if question.obstacle:
        return _Answer("not testable", question.obstacle)
    found = _find(question.kind, question, estimates)
    if found is None:
        univariate = _find("univariate_odds_ratio", question, estimates) if question.kind == "odds_ratio" else None
        return _not_entered(question, univariate) if univariate else _missing(published, question, estimates)
    if not math.isfinite(found.value):
        return _Answer("not testable", _no_value(question.kind), found)
    return _by_direction(question, found) if question.value is None else _by_interval(question, question.value, found)


def _find(kind: str, question: _Question, estimates: tuple[Estimate, ...]) -> Estimate | None:
    for estimate in estimates:
        same_group = kind != "mean" or estimate.group == question.group
        if estimate.kind == kind and estimate.subject == question.subject and same_group:
            return estimate
    return None


def _by_direction(question: _Question, found: Estimate) -> _Answer:
    if not math.isfinite(found.p):
        return _Answer("not testable", "The new data give an estimate but no P, so chance cannot be judged.", found)
    side = _side(question, found)
    is_shown = found.p < SIGNIFICANCE
    if side == 0:
        return _Answer("undecided", "The new data point neither way.", found)
    if side == question.sign:
        if is_shown:
            return _Answer("agrees", f"As published, {question.as_published}; P is below 0.05.", found)
        reason = f"The new data point the published way ({question.as_published}), but P is not below 0.05."
        return _Answer("undecided", reason, found)
    if is_shown:
        return _Answer("disagrees", f"Contrary to what was published, {question.opposite}; P is below 0.05.", found)
    reason = f"The new data point the other way ({question.opposite}), but P is not below 0.05, so this may be chance."
    return _Answer("undecided", reason, found)


def _by_interval(question: _Question, value: float, found: Estimate) -> _Answer:
    interval = found.interval or _student_interval(found)
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return _Answer("not testable", "The new data give an estimate but no interval to hold it against.", found)
    found = replace(found, interval=interval)
    name = f"{100 * interval.level:g}% CI of the new data"
    if not interval.low <= value <= interval.high:
        return _Answer("disagrees", f"The published value lies outside the {name}.", found)
    if question.neutral is not None and interval.low <= question.neutral <= interval.high:
        reason = f"The {name} contains the published value but also {question.neutral:g}, which means no effect."
        return _Answer("undecided", reason, found)
    return _Answer("agrees", f"The published value lies within the {name}.", found)


def _student_interval(found: Estimate) -> Interval | None:
    """Interval of a mean: mean ± t × SD / √n, with n − 1 degrees of freedom."""
    if found.kind != "mean" or not math.isfinite(found.sd) or found.n < 2:
        return None
    margin = float(stats.t.ppf((1 + LEVEL) / 2, found.n - 1)) * found.sd / math.sqrt(found.n)
    return Interval(found.value - margin, found.value + margin, LEVEL)


def _not_entered(question: _Question, univariate: Estimate) -> _Answer:
    """Answer for a feature that has an odds ratio alone but none beside the others."""
    if not (math.isfinite(univariate.value) and math.isfinite(univariate.p)):
        return _Answer("not testable", _no_value("odds_ratio"), univariate)
    if univariate.p < SIGNIFICANCE:
        reason = "Taken alone it is significant, but the multivariable model gives no odds ratio for it."
        return _Answer("not testable", reason, univariate)
    found = question.as_published if _side(question, univariate) == question.sign else question.opposite
    reason = f"Taken alone, {found}, but P is not below 0.05; it did not enter the multivariable model."
    return _Answer("undecided", reason, univariate)


def _missing(published: PublishedStudy, question: _Question, estimates: tuple[Estimate, ...]) -> _Answer:
    if not estimates:
        return _Answer(
            "not testable", "The new data give no estimates: both groups are needed, and grades that tell them apart."
        )
    measured = {estimate.subject for estimate in estimates if "." in estimate.subject}
    if "." in question.subject and question.subject not in measured:
        muscle = question.subject.partition(".")[0]
        has_muscle = any(subject.startswith(f"{muscle}.") for subject in measured)
        what = _in_words(published, question.subject if has_muscle else muscle)
        return _Answer("not testable", f"{what[0].upper()}{what[1:]} was not measured in the new data.")
    return _Answer("not testable", f"The new data give no {_KIND_IN_WORDS[question.kind]} for it.")


def _no_value(kind: str) -> str:
    if kind == "odds_ratio":
        return "No odds ratio exists: the model tells the groups apart perfectly, or the feature adds nothing to it."
    return f"The {_KIND_IN_WORDS[kind]} could not be computed from the new data."


def _side(question: _Question, found: Estimate) -> int:
    distance = found.value - (question.neutral or 0.0)
    return (distance > 0) - (distance < 0)


def _with_p(words: str, p: str | None) -> str:
    return f"{words}, P {p}" if p else words


def _obstacle(is_testable: bool) -> str:
    return "" if is_testable else "The new data have no group that stands for the published one."


def _caveat(published: PublishedStudy, claim: AnyClaim) -> str:
    reading = published.features_reading(claim.id)
    return "Which muscles are meant is not published; it is assumed." if reading else ""


def _in_words(published: PublishedStudy, name: str) -> str:
    """Write `fa+md` as FA + MD, `adductor_longus.md` as MD of adductor longus, and a muscle as words."""
    muscle, dot, parameter = name.partition(".")
    if dot:
        return f"{published.parameter_title(parameter)} of {_in_words(published, muscle)}"
    if set(name.split("+")) <= {"fa", "md", "ad", "rd"}:
        return " + ".join(published.parameter_title(part) for part in name.split("+"))
    return name.replace("_", " ")
