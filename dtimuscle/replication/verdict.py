"""Whether new data bear out what a study claims, by several criteria and never by one alone."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from scipy import special

from dtimuscle.replication import effects
from dtimuscle.replication.criteria import (
    CRITERIA,
    LEVEL,
    NO_NEUTRAL,
    SIGNIFICANCE,
    Criterion,
    CriterionAnswer,
    CriterionName,
    Effect,
    bayes_factor,
    combined,
    original_in_interval,
    prediction_interval,
    sceptical_p,
    significance,
    small_telescopes,
)
from dtimuscle.replication.effects import Scale, on_printed_scale
from dtimuscle.replication.published import AnyClaim, PublishedStudy
from dtimuscle.replication.questions import Question, questions
from dtimuscle.statistics.estimates import Estimate, Interval

__all__ = ["LEVEL", "SIGNIFICANCE", "Agreement", "Verdict", "judge", "on_printed_scale"]

Agreement = Literal["agrees", "disagrees", "undecided", "not testable"]

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
    criteria : tuple of Criterion, default=()
        What each criterion says, in the order of `CRITERIA`, all of them; empty where the new data give no estimate
        that could answer the claim.
    published_effect, found_effect : Effect or None, default=None
        Both estimates on the scale on which they were compared (see `on_printed_scale`); None where a standard error
        is not known. A difference between the groups has one where the study prints both means, though the claim
        itself may print only a direction.
    scale : str, default=""
        Name of that scale: "difference", "mean", "Fisher z", "logit AUC" or "log odds ratio"; empty where there is no
        such effect.
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
    criteria: tuple[Criterion, ...] = ()
    published_effect: Effect | None = None
    found_effect: Effect | None = None
    scale: str = ""


@dataclass(frozen=True)
class _Answer:
    agreement: Agreement
    reason: str
    found: Estimate | None = None
    effect: Effect | None = None
    criteria: tuple[Criterion, ...] = ()


@dataclass(frozen=True)
class _Comparison:
    """A new estimate, with what every criterion says about it."""

    found: Estimate
    side: int
    p: float
    effect: Effect | str
    criteria: dict[CriterionName, Criterion] = field(default_factory=dict)

    @property
    def is_shown(self) -> bool:
        return self.p < SIGNIFICANCE

    @property
    def fits(self) -> CriterionAnswer:
        return self.criteria["prediction_interval"].answer


def judge(
    published: PublishedStudy, estimates: Iterable[Estimate], *, claims: Iterable[str] = ()
) -> tuple[Verdict, ...]:
    """Hold new estimates against the claims of a study.

    Every criterion of `criteria` is put that can be. `Verdict.agreement` sums up three answers: is the direction the
    published one, is it shown (two-sided P < 0.05), and does the new value lie in the prediction interval, where the
    published one, chance included, lets one expect it?

    A claim with a number (a correlation, an AUC, an odds ratio) *agrees* if all three are yes. It *disagrees* if the
    value lies outside the prediction interval, though the effect may be there but larger or smaller than chance would
    explain, or if the opposite direction is shown. Otherwise it is *undecided*. A mean, which has no direction, agrees
    inside the interval and disagrees outside.

    A claim about a direction (lower, an independent factor, a sign, a higher AUC) *agrees* if that direction is shown,
    *disagrees* if the opposite one is, and is *undecided* if neither is. But where the study prints the means of both
    groups, and the new difference is not shown and lies outside the prediction interval of theirs, it *disagrees* too.

    Where a number comes without standard error, the new confidence interval decides: *disagrees* if it leaves out the
    published value, *undecided* if it also contains no effect. *Not testable* is what the new data give no estimate
    for; the reason says what is missing.

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
        for claim, question in questions(published)
        if not wanted or claim.id in wanted
    )


def _verdict(
    published: PublishedStudy, claim: AnyClaim, question: Question, estimates: tuple[Estimate, ...]
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
        criteria=answer.criteria,
        published_effect=question.effect if isinstance(question.effect, Effect) else None,
        found_effect=answer.effect,
        scale=question.scale if question.scale and isinstance(question.effect, Effect) else "",
    )


def _answer(published: PublishedStudy, question: Question, estimates: tuple[Estimate, ...]) -> _Answer:
    if question.obstacle:
        return _Answer("not testable", question.obstacle)
    found = _find(question.kind, question, estimates)
    if found is None:
        univariate = _find("univariate_odds_ratio", question, estimates) if question.kind == "odds_ratio" else None
        return _not_entered(question, univariate) if univariate else _missing(published, question, estimates)
    if not math.isfinite(found.value):
        return _Answer("not testable", _no_value(question.kind), found)
    new = _compare(question, found)
    if question.value is None:
        answer = _by_direction(question, new)
    elif new.fits == "not testable":
        answer = _by_interval(question, question.value, new)
    else:
        answer = _by_prediction(question, new)
    effect = new.effect if isinstance(question.effect, Effect) and isinstance(new.effect, Effect) else None
    return replace(answer, found=new.found, effect=effect, criteria=tuple(new.criteria[name] for name in CRITERIA))


def _compare(question: Question, found: Estimate) -> _Comparison:
    """Ask every criterion."""
    interval = found.interval or _student_interval(found)
    if interval is not found.interval:
        found = replace(found, interval=interval)
    distance = found.value - (question.neutral or 0.0)
    effect = effects.new_effect(question.scale, found) if question.scale else str(question.effect)
    new = _Comparison(found, side=int(distance > 0) - int(distance < 0), p=_p(found, effect), effect=effect)
    answers = [_significance(question, distance, new.p), _original_in_interval(question, found.interval)]
    if isinstance(question.effect, Effect) and isinstance(new.effect, Effect) and question.scale:
        criteria = (prediction_interval, small_telescopes, sceptical_p, bayes_factor, combined)
        answers += [_printed(criterion(question.effect, new.effect), question.scale) for criterion in criteria]
    else:
        reason = question.effect if isinstance(question.effect, str) else str(new.effect)
        missing = [name for name in CRITERIA if name not in {answer.name for answer in answers}]
        answers += [Criterion(name, "not testable", reason=reason) for name in missing]
    return replace(new, criteria={answer.name: answer for answer in answers})


def _significance(question: Question, distance: float, p: float) -> Criterion:
    if question.neutral is None:
        return Criterion("significance", "not testable", reason=NO_NEUTRAL)
    return significance(distance, p, sign=question.sign)


def _original_in_interval(question: Question, interval: Interval | None) -> Criterion:
    if question.comparable is None:
        return Criterion("original_in_interval", "not testable", reason=str(question.effect))
    return original_in_interval(question.comparable, interval)


def _printed(criterion: Criterion, scale: Scale) -> Criterion:
    """Put the numbers of a criterion on the printed scale."""
    bounds = criterion.interval
    if bounds is not None:
        low, high = (on_printed_scale(scale, end) for end in (bounds.low, bounds.high))
        bounds = Interval(low, high, bounds.level)
    is_estimate = CRITERIA[criterion.name].value_kind == "estimate"
    return replace(
        criterion,
        value=on_printed_scale(scale, criterion.value) if is_estimate else criterion.value,
        limit=on_printed_scale(scale, criterion.limit),
        interval=bounds,
    )


def _p(found: Estimate, effect: Effect | str) -> float:
    """P of an estimate; where it brings none, what its interval implies."""
    if math.isfinite(found.p):
        return found.p
    if found.kind == "auc":
        return _p_of_auc(found.value, found.interval)
    return effect.p if isinstance(effect, Effect) and effect.has_neutral else math.nan


def _p_of_auc(value: float, interval: Interval | None) -> float:
    """P against 0.5 by the near end of the interval: below 0.05 where a 95% interval leaves 0.5 out."""
    if interval is None:
        return math.nan
    width = value - interval.low if value > 0.5 else interval.high - value
    if not (width > 0 and math.isfinite(width)):
        return math.nan
    return float(2 * special.ndtr(-abs(value - 0.5) / width * special.ndtri((1 + interval.level) / 2)))


def _find(kind: str, question: Question, estimates: tuple[Estimate, ...]) -> Estimate | None:
    for estimate in estimates:
        same_group = kind != "mean" or estimate.group == question.group
        if estimate.kind == kind and estimate.subject == question.subject and same_group:
            return estimate
    return None


def _by_direction(question: Question, new: _Comparison) -> _Answer:
    if not math.isfinite(new.p):
        return _Answer("not testable", "The new data give an estimate but no P, so chance cannot be judged.")
    is_opposite = new.side == -question.sign
    if new.is_shown and is_opposite:
        return _Answer("disagrees", _contrary(question))
    if new.is_shown and new.side:
        return _Answer("agrees", f"As published, {question.as_published}; P is below 0.05.{_size(question, new)}")
    if new.side == 0:
        reason = "The new data point neither way."
    elif is_opposite:
        reason = (
            f"The new data point the other way ({question.opposite}), but P is not below 0.05, so this may be chance."
        )
    else:
        reason = f"The new data point the published way ({question.as_published}), but P is not below 0.05."
    if new.fits == "no":
        return _Answer("disagrees", f"{reason} Yet a difference as large as the printed one would have shown.")
    return _Answer("undecided", reason)


def _size(question: Question, new: _Comparison) -> str:
    """Say how the size of a difference fits the printed means, where it is known."""
    if new.fits == "yes":
        return " Its size fits the printed means."
    return f" But it is {_more_or_less(question, new)} than chance would explain." if new.fits == "no" else ""


def _by_prediction(question: Question, new: _Comparison) -> _Answer:
    is_inside = new.fits == "yes"
    if question.neutral is None or question.sign == 0:
        if is_inside:
            return _Answer("agrees", "The new value lies where the published one lets us expect it.")
        way = "higher" if new.found.value > (question.comparable or 0.0) else "lower"
        return _Answer("disagrees", f"The new value is {way} than chance would explain.")
    if new.is_shown and new.side == -question.sign:
        return _Answer("disagrees", _contrary(question))
    return _fitting(question, new) if is_inside else _Answer("disagrees", _unexpected(question, new))


def _fitting(question: Question, new: _Comparison) -> _Answer:
    if new.is_shown:
        reason = f"As published, {question.as_published}; P is below 0.05, and the size fits the published one."
        return _Answer("agrees", reason)
    reason = "The new value lies where the published one lets us expect it, but the new data also allow no effect."
    return _Answer("undecided", reason)


def _unexpected(question: Question, new: _Comparison) -> str:
    if new.is_shown:
        return f"The effect is there, but {_more_or_less(question, new)} than chance would explain."
    return "No effect is shown, and chance hardly explains how far the new value lies from the published one."


def _contrary(question: Question) -> str:
    return f"Contrary to what was published, {question.opposite}; P is below 0.05."


def _more_or_less(question: Question, new: _Comparison) -> str:
    """Say whether the new effect is larger or smaller than the published one, on its side."""
    comparable = new.found.value if question.comparable is None else question.comparable
    return "larger" if (new.found.value - comparable) * question.sign > 0 else "smaller"


def _by_interval(question: Question, value: float, new: _Comparison) -> _Answer:
    """Answer where no standard error is known on either side."""
    interval = new.found.interval
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return _Answer("not testable", "The new data give an estimate but no interval to hold it against.")
    name = f"{100 * interval.level:g}% CI of the new data"
    if not interval.low <= value <= interval.high:
        return _Answer("disagrees", f"The published value lies outside the {name}.")
    if question.neutral is not None and interval.low <= question.neutral <= interval.high:
        reason = f"The {name} contains the published value but also {question.neutral:g}, which means no effect."
        return _Answer("undecided", reason)
    return _Answer("agrees", f"The published value lies within the {name}.")


def _student_interval(found: Estimate) -> Interval | None:
    """Interval of a mean: mean ± t × SD / √n, with n − 1 degrees of freedom."""
    if found.kind != "mean" or not math.isfinite(found.sd) or found.n < 2:
        return None
    margin = float(special.stdtrit(found.n - 1, (1 + LEVEL) / 2)) * found.sd / math.sqrt(found.n)
    return Interval(found.value - margin, found.value + margin, LEVEL)


def _not_entered(question: Question, univariate: Estimate) -> _Answer:
    """Answer for a feature that has an odds ratio alone but none beside the others."""
    if not (math.isfinite(univariate.value) and math.isfinite(univariate.p)):
        return _Answer("not testable", _no_value("odds_ratio"), univariate)
    if univariate.p < SIGNIFICANCE:
        reason = "Taken alone it is significant, but the multivariable model gives no odds ratio for it."
        return _Answer("not testable", reason, univariate)
    found = question.as_published if _side(question, univariate) == question.sign else question.opposite
    reason = f"Taken alone, {found}, but P is not below 0.05; it did not enter the multivariable model."
    return _Answer("undecided", reason, univariate)


def _missing(published: PublishedStudy, question: Question, estimates: tuple[Estimate, ...]) -> _Answer:
    if not estimates:
        return _Answer(
            "not testable", "The new data give no estimates: both groups are needed, and grades that tell them apart."
        )
    measured = {estimate.subject for estimate in estimates if "." in estimate.subject}
    is_feature = "." in question.subject and " " not in question.subject
    if is_feature and question.subject not in measured:
        muscle, _, parameter = question.subject.partition(".")
        # Such values may be there; the kit's analyses are about FA and MD.
        if parameter not in ("fa", "md") and not any(subject.endswith(f".{parameter}") for subject in measured):
            title = published.parameter_title(parameter)
            return _Answer("not testable", f"The analysis of the new data is not about {title}.")
        has_muscle = any(subject.startswith(f"{muscle}.") for subject in measured)
        what = published.in_words(question.subject if has_muscle else muscle)
        return _Answer("not testable", f"{what[0].upper()}{what[1:]} was not measured in the new data.")
    return _Answer("not testable", f"The new data give no {_KIND_IN_WORDS[question.kind]} for it.")


def _no_value(kind: str) -> str:
    if kind == "odds_ratio":
        return "No odds ratio exists: the model tells the groups apart perfectly, or the feature adds nothing to it."
    return f"The {_KIND_IN_WORDS[kind]} could not be computed from the new data."


def _side(question: Question, found: Estimate) -> int:
    distance = found.value - (question.neutral or 0.0)
    return (distance > 0) - (distance < 0)
