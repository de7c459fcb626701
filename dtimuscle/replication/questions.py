"""What the claims of a study ask of new data, each in a form in which an estimate can answer it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dtimuscle.replication import effects
from dtimuscle.replication.criteria import Effect
from dtimuscle.replication.effects import Scale, on_printed_scale
from dtimuscle.replication.printed import contrast_of, printed_mean, printed_pairs
from dtimuscle.replication.published import (
    UNITS,
    AnyClaim,
    AucClaim,
    AucComparison,
    CorrelationClaim,
    Factor,
    GroupDifference,
    GroupMeans,
    IndependentFactors,
    PublishedStudy,
    interval_text,
    read_auc,
    read_coefficient,
)
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.terms import step_of

_ONLY_DIRECTION = "The study prints no value for it, only a direction."
_RANKS = "The published coefficient is one of ranks, the new one is Pearson's: they measure different things."
_NO_WIDTH = "The study prints no standard deviation, interval or number of patients that would say how exact it is."


@dataclass(frozen=True)
class Question:
    """One thing that a claim says, in a form in which an estimate can answer it.

    Parameters
    ----------
    kind, subject : str
        Of the estimate that answers it (see `Estimate`).
    published : str
        The number or direction as printed.
    neutral : float or None, default=None
        Value that means no effect; a mean has none.
    sign : int, default=0
        On which side of it the claim is: 1, -1, or 0 for neither.
    as_published, opposite : str, default=""
        What it means if the estimate lies on that side, or on the other: a main clause.
    value : float or None, default=None
        The printed number, in the terms of the estimate; None for a direction.
    interval : Interval or None, default=None
        Its printed interval.
    group : str, default=""
        Group that a mean is of.
    caveat : str, default=""
        What was assumed to ask it.
    obstacle : str, default=""
        Why no estimate can answer it.
    effect : Effect or str
        What the estimate is held against, on `scale`; for a difference, what the printed means imply. Or the
        reason why there is none.
    scale : str or None, default=None
        Scale of the comparison.
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
    effect: Effect | str = _ONLY_DIRECTION
    scale: Scale | None = None

    @property
    def comparable(self) -> float | None:
        """The published number in the terms of the new one."""
        if self.value is None and isinstance(self.effect, Effect) and self.scale:
            return on_printed_scale(self.scale, self.effect.value)
        return self.value


@lru_cache(maxsize=64)
def questions(published: PublishedStudy) -> tuple[tuple[AnyClaim, Question], ...]:
    """List what a study's claims ask, in their order.

    Parameters
    ----------
    published : PublishedStudy
        The study.

    Returns
    -------
    tuple of (Claim, Question)
        One for each claim and subject (and group, for means).
    """
    return tuple((claim, question) for claim in published.claims for question in _ask(published, claim))


def _ask(published: PublishedStudy, claim: AnyClaim) -> Iterator[Question]:
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


def _ask_difference(published: PublishedStudy, claim: GroupDifference) -> Iterator[Question]:
    group, versus = published.group(claim.group), published.group(claim.versus)
    is_poor_first = group.stands_for == "poor"
    other_way = "higher" if claim.direction == "lower" else "lower"
    sign = (1 if claim.direction == "higher" else -1) * (1 if is_poor_first else -1)
    for feature in claim.features:
        yield Question(
            kind="difference",
            subject=feature,
            published=_with_p(f"{claim.direction} with {group.title}", claim.p),
            neutral=0.0,
            sign=sign,
            as_published=f"the value is {claim.direction} with {group.title}",
            opposite=f"the value is {other_way} with {group.title}",
            obstacle=_obstacle({group.stands_for, versus.stands_for} == {"poor", "good"}),
            effect=_printed_difference(published, feature, sign),
            scale="difference",
        )


def _printed_difference(published: PublishedStudy, feature: str, sign: int) -> Effect | str:
    """Poor minus good, as the printed means of other claims have it."""
    for pair in printed_pairs(published):
        roles = pair.first.group.stands_for, pair.second.group.stands_for
        if pair.feature == feature and roles == ("poor", "good"):
            found = effects.difference_of_means(pair)
            if isinstance(found, Effect) and found.value * sign <= 0:
                return "The printed means do not lie in the direction that is claimed."
            return found
    return _ONLY_DIRECTION


def _ask_means(published: PublishedStudy, claim: GroupMeans) -> Iterator[Question]:
    for row in claim.means:
        printed = published.read_mean(claim, row)
        group = published.group(row.group)
        yield Question(
            kind="mean",
            subject=row.feature,
            published=printed.text,
            value=printed.value,
            group=group.stands_for or row.group,
            caveat=f"The printed unit is read as {printed.unit}, an assumption." if printed.is_unit_assumed else "",
            obstacle=_obstacle(group.stands_for is not None),
            effect=_printed_group_mean(published, claim, row.feature, row.group),
            scale="mean",
        )


def _printed_group_mean(published: PublishedStudy, claim: GroupMeans, feature: str, group: str) -> Effect | str:
    found = printed_mean(published, claim, feature, group)
    return effects.group_mean(found.mean.value, found.sd.value, found.n) if found else _NO_WIDTH


def _ask_factors(published: PublishedStudy, claim: IndependentFactors) -> Iterator[Question]:
    event = published.group(claim.event)
    for factor in claim.factors:
        lower, higher = (f"{word} values go with {event.title}" for word in ("lower", "higher"))
        is_lower = factor.change == "decrease"
        is_poor = event.stands_for == "poor"
        effect, value, interval = _printed_odds_ratio(factor, is_poor=is_poor)
        yield Question(
            kind="odds_ratio",
            subject=factor.feature,
            published=_with_p(_factor_in_words(factor, event.title), factor.p or claim.p),
            neutral=1.0,
            sign=(-1 if is_lower else 1) * (1 if is_poor else -1),
            as_published=lower if is_lower else higher,
            opposite=higher if is_lower else lower,
            value=value,
            interval=interval,
            obstacle=_obstacle(event.stands_for is not None),
            effect=effect,
            scale="log odds ratio",
        )


def _printed_odds_ratio(factor: Factor, *, is_poor: bool) -> tuple[Effect | str, float | None, Interval | None]:
    """Odds ratio of poor function for the kit's own step of the feature: effect, value and interval."""
    if factor.odds_ratio is None:
        return _ONLY_DIRECTION, None, None
    step = _increase(factor)
    if step is None:
        reason = (
            f"The published odds ratio is for {factor.per or 'an increase that is not printed'}, the new one is not."
        )
        return reason, None, None
    units = step_of(factor.feature) / step * (1 if is_poor else -1)
    printed = factor.interval.interval if factor.interval else None
    ratio = float(factor.odds_ratio)
    interval = None
    if printed is not None and printed.low > 0:
        low, high = sorted(end**units for end in (printed.low, printed.high))
        interval = Interval(low, high, printed.level)
    return effects.odds_ratio(ratio, printed, units=units), ratio**units, interval


def _increase(factor: Factor) -> float | None:
    """Read the increase that an odds ratio is for: a number, with a unit of diffusivity where there is one."""
    number = re.fullmatch(r"(\d+(?:\.\d+)?) ?(.*)", factor.per or "")
    unit = number[2] or "1" if number else ""
    is_fa = factor.feature.endswith(".fa")
    if number is None or unit not in UNITS or (unit == "1") != is_fa or not float(number[1]) > 0:
        return None
    return float(number[1]) * float(UNITS[unit])


def _factor_in_words(factor: Factor, event: str) -> str:
    words = f"{factor.change} is an independent factor of {event}"
    if factor.odds_ratio is None:
        return words
    per = f" per {factor.per}" if factor.per else ""
    return f"{words}, odds ratio {factor.odds_ratio}{interval_text(factor.interval)}{per}"


def _ask_correlation(published: PublishedStudy, claim: CorrelationClaim) -> Iterator[Question]:
    effect, value, interval = _printed_correlation(published, claim)
    words = f"{claim.sign} correlation of {claim.change} with {claim.outcome}"
    if claim.coefficient is not None:
        words += f", r = {claim.coefficient}{interval_text(claim.interval)}"
    falls, rises = "the value falls as the muscle weakens", "the value rises as the muscle weakens"
    is_falling = claim.sign_with_grade > 0
    for feature in published.features_of(claim.id):
        yield Question(
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
            effect=effect,
            scale="Fisher z",
        )


def _printed_correlation(
    published: PublishedStudy, claim: CorrelationClaim
) -> tuple[Effect | str, float | None, Interval | None]:
    """Pearson's coefficient with the grade: effect, value and interval."""
    value, interval = read_coefficient(claim)
    if value is None:
        return _ONLY_DIRECTION, None, None
    if claim.method not in {None, "pearson"}:
        return _RANKS, None, None
    return effects.correlation(value, interval, claim.n or published.design.n), value, interval


def _ask_auc(published: PublishedStudy, claim: AucClaim) -> Iterator[Question]:
    printed = read_auc(claim)
    contrast = contrast_of(published, claim)
    sizes = (contrast.n_event, contrast.n_other) if contrast else None
    words = published.in_words(claim.predictor)
    how = "" if printed.interval or not sizes else "Its standard error is not printed; it follows from the group sizes."
    if claim.validation not in {None, "apparent"}:
        how = f"{how} The published AUC is one of patients that the model was not made from.".strip()
    yield Question(
        kind="auc",
        subject=claim.predictor,
        published=printed.text,
        neutral=0.5,
        sign=(printed.value > 0.5) - (printed.value < 0.5),
        as_published=f"{words} tells the groups apart",
        opposite=f"{words} tells the groups apart the other way round",
        value=printed.value,
        interval=printed.interval,
        caveat=f"{how} {_caveat(published, claim)}".strip(),
        effect=effects.auc(printed.value, printed.interval, sizes=sizes),
        scale="logit AUC",
    )


def _ask_comparison(published: PublishedStudy, claim: AucComparison) -> Iterator[Question]:
    for predictor in claim.lower:
        better, other = (published.in_words(name) for name in (claim.higher, predictor))
        yield Question(
            kind="auc_difference",
            subject=f"{claim.higher} - {predictor}",
            published=_with_p(f"AUC of {better} higher than of {other}", claim.p),
            neutral=0.0,
            sign=1,
            as_published=f"{better} has a higher AUC than {other}",
            opposite=f"{better} has a lower AUC than {other}",
            caveat=_caveat(published, claim),
        )


def _with_p(words: str, p: str | None) -> str:
    if not p:
        return words
    return f"{words}, P {p}" if p[0] in "<=≤>≥" else f"{words}, P = {p}"


def _obstacle(is_testable: bool) -> str:
    return "" if is_testable else "The new data have no group that stands for the published one."


def _caveat(published: PublishedStudy, claim: AnyClaim) -> str:
    reading = published.features_reading(claim.id)
    return "Which muscles are meant is not published; it is assumed." if reading else ""
