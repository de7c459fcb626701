"""Criteria of replication, each an answer to whether a new estimate bears out an earlier one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from scipy import optimize, special

from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.noncentral_t import share_above

CriterionName = Literal[
    "significance", "original_in_interval", "prediction_interval", "small_telescopes", "sceptical_p", "bayes_factor",
    "combined",
]  # fmt: skip
CriterionAnswer = Literal["yes", "no", "unclear", "not testable"]
Recalibration = Literal["golden", "nominal"]

# Two-sided P below this counts as shown: the bound that muscle studies state.
SIGNIFICANCE = 0.05

# Coverage of intervals.
LEVEL = 0.95

# One-sided, as one half of the usual two-sided bound (Held 2020).
SCEPTICAL_LEVEL = 0.025
GOLDEN_RATIO = (1 + math.sqrt(5)) / 2

# A Bayes factor above it is commonly called substantial evidence (after Jeffreys 1961).
EVIDENCE = 3.0

# z below it is zero: its inverse square is no number.
SMALLEST_Z = 1e-70

# The exponential of more is no number.
LARGEST_LOG = 700.0

NO_NEUTRAL = "The mean of one group has no value that means no effect."
OTHER_SIDE = "The published study is so inexact that it leaves room for an effect the other way, as was found."
NO_SIDE = "The published value means no effect, so there is no direction to look for."


@dataclass(frozen=True)
class Effect:
    """An estimate on a scale on which it is nearly normal.

    Parameters
    ----------
    value : float
        Zero means no effect, unless `has_neutral` is False.
    standard_error : float
        Above zero.
    df : float, default=inf
        Degrees of freedom of the standard error; infinite where it is taken as known.
    has_neutral : bool, default=True
        Whether zero means no effect; a group's mean has no such value.
    """

    value: float
    standard_error: float
    df: float = math.inf
    has_neutral: bool = True

    @property
    def p(self) -> float:
        """Two-sided P of no effect: of t = value / standard error, or of z where `df` is infinite."""
        t = -abs(self.value / self.standard_error)
        return float(2 * (special.ndtr(t) if math.isinf(self.df) else special.stdtr(self.df, t)))


@dataclass(frozen=True)
class Criterion:
    """What one criterion says about one claim.

    Parameters
    ----------
    name : str
        Which.
    answer : {"yes", "no", "unclear", "not testable"}
        Whether the new data bear the claim out by it.
    value : float, default=nan
        What it was decided by (see `CRITERIA`): a P, a Bayes factor (above 1 speaks for the published effect), or an
        estimate: the published one, the new one, the combined one; NaN where there is none.
    interval : Interval or None, default=None
        Interval of the new estimate, prediction interval, or interval of the combined estimate.
    limit : float, default=nan
        Small telescopes: the effect that the published study had one chance in three to show.
    p_heterogeneity : float, default=nan
        Combined estimate: P of the two studies' difference (Cochran's Q).
    reason : str, default=""
        Why it cannot be applied, or why the answer is open.

    Notes
    -----
    Estimates, intervals and limits are on the scale of the effects; in a `Verdict`, on the printed scale.
    """

    name: CriterionName
    answer: CriterionAnswer
    value: float = math.nan
    interval: Interval | None = None
    limit: float = math.nan
    p_heterogeneity: float = math.nan
    reason: str = ""

    @property
    def meaning(self) -> str:
        """What the answer means, in one sentence for a reader who knows no statistics; or why there is none."""
        words = CRITERIA[self.name]
        return self.reason or {"yes": words.yes, "no": words.no, "unclear": words.unclear}.get(self.answer, "")


@dataclass(frozen=True)
class CriterionWords:
    """A criterion in words for a reader who knows no statistics.

    Parameters
    ----------
    title : str
        What it is called.
    question : str
        What it asks, with a question mark.
    yes, no : str
        What these answers mean.
    unclear : str
        What it means that the answer is open; empty where that cannot be.
    value : str
        What `Criterion.value` is.
    value_kind : {"p", "bayes_factor", "estimate"}
        How it is printed; an estimate like the estimate of the new data.
    source : str
        Who proposed it.
    """

    title: str
    question: str
    yes: str
    no: str
    unclear: str
    value: str
    value_kind: Literal["p", "bayes_factor", "estimate"]
    source: str


# Every criterion in words, in the order in which they are asked.
CRITERIA: Mapping[CriterionName, CriterionWords] = {
    "significance": CriterionWords(
        title="Same direction, P below 0.05",
        question="Do the new data show an effect in the published direction?",
        yes="They point the published way, and chance alone would rarely do that (P below 0.05).",
        no="They do not show it: they point the other way, or chance could explain them.",
        unclear="",
        value="P of the new data",
        value_kind="p",
        source="Open Science Collaboration 2015, Science 349:aac4716",
    ),
    "original_in_interval": CriterionWords(
        title="Published value in the new interval",
        question="Is the published value among those that the new data allow?",
        yes="The confidence interval of the new data contains it.",
        no="It lies outside the confidence interval of the new data.",
        unclear="",
        value="published value",
        value_kind="estimate",
        source="Open Science Collaboration 2015, Science 349:aac4716",
    ),
    "prediction_interval": CriterionWords(
        title="New value in the prediction interval",
        question="Is the new value one that the published study, chance included, would let us expect?",
        yes="It lies in the range in which 95 of 100 studies of this size would fall if both measure the same.",
        no="It lies outside that range: chance alone hardly explains how far the two studies are apart.",
        unclear="",
        value="new value",
        value_kind="estimate",
        source="Patil, Peng & Leek 2016, Perspect Psychol Sci 11:539",
    ),
    "small_telescopes": CriterionWords(
        title="Small telescopes",
        question="Had the first study been able to see an effect as small as the new one?",
        yes="An effect is shown, and it is not too small for the first study to have seen.",
        no="The new effect is so small that the first study had less than one chance in three to see it.",
        unclear="The new study is too small: it shows neither an effect nor that the effect is too small to see.",
        value="P that the effect is as large as the first study could see",
        value_kind="p",
        source="Simonsohn 2015, Psychol Sci 26:559",
    ),
    "sceptical_p": CriterionWords(
        title="Sceptical P",
        question="Would somebody who doubted the first study be convinced by the second?",
        yes="Even a reader who doubted the first result would have to give in (sceptical P at most 0.025).",
        no="A reader who doubted the first result may go on doubting (sceptical P above 0.025).",
        unclear="",
        value="sceptical P",
        value_kind="p",
        source="Held 2020, J R Stat Soc A 183:431; Held, Micheloud & Pawel 2022, Ann Appl Stat 16:706",
    ),
    "bayes_factor": CriterionWords(
        title="Replication Bayes factor",
        question="Do the new data fit the published effect better than no effect?",
        yes="They are more than three times as likely if the published effect is real as if there is none.",
        no="They are more than three times as likely if there is no effect as if the published one is real.",
        unclear="They are about as likely either way, so they do not decide.",
        value="Bayes factor",
        value_kind="bayes_factor",
        source="Verhagen & Wagenmakers 2014, J Exp Psychol Gen 143:1457",
    ),
    "combined": CriterionWords(
        title="Both studies together",
        question="Do both studies, taken together, show an effect in the published direction?",
        yes="The confidence interval of the combined estimate leaves out no effect.",
        no="The confidence interval of the combined estimate contains no effect, or lies on the other side of it.",
        unclear="",
        value="combined estimate",
        value_kind="estimate",
        source="inverse-variance weights: Cochran 1954, Biometrics 10:101",
    ),
}


def significance(distance: float, p: float, *, sign: int) -> Criterion:
    """Ask whether the new data show an effect on the published side: there, and two-sided P < 0.05.

    The oldest criterion, and the first of the Open Science Collaboration (2015). It looks at the new data alone, so
    that a small study misses what is there, and a very large one shows what is too small to matter.

    Parameters
    ----------
    distance : float
        New estimate minus the value that means no effect.
    p : float
        Its two-sided P.
    sign : {1, -1, 0}
        Published side; 0 if the published value is on neither.

    Returns
    -------
    Criterion
        `value` is P; not testable without P or side.
    """
    if sign == 0:
        return Criterion("significance", "not testable", reason=NO_SIDE)
    if not (math.isfinite(distance) and math.isfinite(p)):
        return Criterion("significance", "not testable", reason="The new data give no P for it.")
    return Criterion("significance", _yes(distance * sign > 0 and p < SIGNIFICANCE), p)


def original_in_interval(published: float, interval: Interval | None) -> Criterion:
    """Ask whether the new confidence interval contains the published value (Open Science Collaboration 2015).

    The published value is taken as if it were exact. If both studies measure the same and are of one size, 95%
    intervals contain it in only 83% of replications (Cumming & Maillardet 2006): the prediction interval mends that.

    Parameters
    ----------
    published : float
        The published value.
    interval : Interval or None
        Confidence interval of the new data, on the same scale.

    Returns
    -------
    Criterion
        `value` is the published value and `interval` the new one; not testable without an interval.
    """
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        reason = "The new data give no confidence interval for it."
        return Criterion("original_in_interval", "not testable", published, reason=reason)
    answer = _yes(interval.low <= published <= interval.high)
    return Criterion("original_in_interval", answer, published, interval)


def prediction_interval(original: Effect, replication: Effect, *, level: float = LEVEL) -> Criterion:
    """Ask whether the new estimate lies where the published one, chance included, lets it be expected.

    The interval is θₒ ± q √(σₒ² + σᵣ²) (Patil, Peng & Leek 2016): both studies measure with error, and if they measure
    the same, 95 of 100 new estimates fall into it. q is the normal quantile where the standard errors count as
    known, as in the paper; where they have degrees of freedom, Student's with Satterthwaite's (1946)
    ν = (σₒ² + σᵣ²)² / (σₒ⁴/νₒ + σᵣ⁴/νᵣ), for the normal one is too short for small studies.

    Parameters
    ----------
    original, replication : Effect
        The published and the new estimate.
    level : float, default=0.95
        Share of new estimates that fall into the interval.

    Returns
    -------
    Criterion
        `value` is the new estimate, `interval` the prediction interval.
    """
    if not _are_usable(original, replication):
        return _without_error("prediction_interval")
    spread = math.hypot(original.standard_error, replication.standard_error)
    shares = ((effect.standard_error / spread) ** 2 for effect in (original, replication))
    inverse = sum(share * share / effect.df for share, effect in zip(shares, (original, replication), strict=True))
    margin = _quantile((1 + level) / 2, 1 / inverse if inverse > 0 else math.inf) * spread
    interval = Interval(original.value - margin, original.value + margin, level)
    answer = _yes(interval.low <= replication.value <= interval.high)
    return Criterion("prediction_interval", answer, replication.value, interval)


def small_telescopes(original: Effect, replication: Effect) -> Criterion:
    """Ask whether the new effect is too small for the published study to have seen it (Simonsohn 2015).

    The limit is the effect that the published study had a power of 1/3 to show at two-sided P < 0.05 (d₃₃% for a
    standardised difference): λσₒ, with the noncentrality λ of `detectable_noncentrality`. The new estimate is tested
    against it, one-sided at 5%: the noncentral t distribution with noncentrality λσₒ/σᵣ says how often a study of the
    new size would find so little if the effect were as large as the limit. For differences in units of the SD this is
    Simonsohn's test; in the measured unit it takes the SDs of both studies to be those that they found. Where
    standard errors count as known, t is normal.

    Parameters
    ----------
    original, replication : Effect
        The published and the new estimate.

    Returns
    -------
    Criterion
        "no" if the new effect is smaller than the limit (P < 0.05); otherwise "yes" if the new data show an effect in
        the published direction (two-sided P < 0.05), and "unclear" if they don't, for then they show nothing.
        `value` is P, and `limit` the limit.
    """
    obstacle = _obstacle("small_telescopes", original, replication)
    if obstacle:
        return obstacle
    sign = math.copysign(1, original.value)
    limit = detectable_noncentrality(original.df) * original.standard_error
    t = sign * replication.value / replication.standard_error
    p = _share_below(t, replication.df, limit / replication.standard_error)
    answer: CriterionAnswer = "no" if p < SIGNIFICANCE else "unclear"
    if answer != "no" and t > _quantile(1 - SIGNIFICANCE / 2, replication.df):
        answer = "yes"
    return Criterion("small_telescopes", answer, p, limit=sign * limit)


@lru_cache(maxsize=256)
def detectable_noncentrality(df: float, *, power: float = 1 / 3, alpha: float = SIGNIFICANCE) -> float:
    """Return how many standard errors an effect measures that a two-sided test shows with a given power.

    Parameters
    ----------
    df : float
        Degrees of freedom of the t test, a whole number or infinite.
    power : float, default=1/3
        Above α.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        The noncentrality; for two groups, divided by √(n₁n₂ / (n₁ + n₂)), the standardised difference.
    """
    critical = _quantile(1 - alpha / 2, df)

    def excess(noncentrality: float) -> float:
        tails = (_share_below(-critical, df, side * noncentrality) for side in (1, -1))
        return sum(tails) - power

    high = 2 * critical
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-13))


def sceptical_p(original: Effect, replication: Effect, *, recalibration: Recalibration = "golden") -> Criterion:
    """Ask whether somebody who doubted the published study is convinced by the new one (Held 2020).

    The doubt is put as a prior about zero, just so tight that the published result is no longer credible at level α;
    the replication succeeds at α if it conflicts with that prior at the same level. The sceptical P is the smallest
    such α, one-sided in the published direction (see `sceptical_p_value`). A t value counts as the normal deviate with
    the same P. Unlike a test of the new data alone, it asks much of both studies: without recalibration it is never
    below either P.

    Parameters
    ----------
    original, replication : Effect
        The published and the new estimate.
    recalibration : {"golden", "nominal"}, default="golden"
        "golden" stretches z² by the golden ratio, so that P can be held against the usual 0.025: a published result
        that was just significant is then replicated only by an effect at least as large (Held, Micheloud & Pawel 2022;
        the default of the R package ReplicationSuccess). "nominal" is the P of Held 2020.

    Returns
    -------
    Criterion
        "yes" if the P is at most 0.025.
    """
    obstacle = _obstacle("sceptical_p", original, replication)
    if obstacle:
        return obstacle
    ratio = original.standard_error / replication.standard_error
    p = sceptical_p_value(_deviate(original), _deviate(replication), ratio * ratio, recalibration=recalibration)
    return Criterion("sceptical_p", _yes(p <= SCEPTICAL_LEVEL), p)


def sceptical_p_value(
    z_original: float, z_replication: float, variance_ratio: float, *, recalibration: Recalibration = "golden"
) -> float:
    """Return Held's one-sided sceptical P.

    With x = z², it solves (xₒ/x - 1)(xᵣ/x - 1) = c for x < min(xₒ, xᵣ) (Held 2020), here as
    x = 2 / (u + v + √((u - v)² + 4cuv)) with u = 1/xₒ and v = 1/xᵣ, which loses no digits at c = 1 or for large z. P is
    1 - Φ(z), with golden recalibration 1 - Φ(z√φ), φ = (1 + √5)/2; 1 minus that if the two have opposite signs.

    Parameters
    ----------
    z_original, z_replication : float
        Estimates over their standard errors.
    variance_ratio : float
        c = σₒ²/σᵣ²: about the size of the new study over that of the published one.
    recalibration : {"golden", "nominal"}, default="golden"
        See `sceptical_p`.

    Returns
    -------
    float
        0.5 if one of the estimates is zero.
    """
    if min(abs(z_original), abs(z_replication)) < SMALLEST_Z:
        return 0.5
    u, v = z_original**-2, z_replication**-2
    total = u + v + math.sqrt((u - v) ** 2 + 4 * variance_ratio * u * v)
    z = math.sqrt(2 / total) if total > 0 else math.inf
    stretched = z * math.sqrt(GOLDEN_RATIO) if recalibration == "golden" else z
    return float(special.ndtr(-stretched if z_original * z_replication > 0 else stretched))


def bayes_factor(original: Effect, replication: Effect) -> Criterion:
    """Ask whether the new data fit the published effect better than no effect (Verhagen & Wagenmakers 2014).

    The replication Bayes factor is the density of the new estimate if the effect is what the published study left known
    about it, over its density if there is none: N(θᵣ; θₒ, σₒ² + σᵣ²) / N(θᵣ; 0, σᵣ²), the form for normal estimates
    (Ly et al. 2019; Pawel & Held 2022, who print its inverse). Degrees of freedom are not used. Above 3 it is
    commonly called substantial evidence for the published effect, below 1/3 for none (after Jeffreys 1961).

    Parameters
    ----------
    original, replication : Effect
        The published and the new estimate.

    Returns
    -------
    Criterion
        "yes" above 3, "no" below 1/3, "unclear" between; above 3 too if the new estimate lies on the other side of
        no effect, which can happen where the published study leaves room for both. `value` is the factor; infinite
        where it is too large for a number.
    """
    obstacle = _obstacle("bayes_factor", original, replication)
    if obstacle:
        return obstacle
    z, expected = (effect.value / replication.standard_error for effect in (replication, original))
    ratio = original.standard_error / replication.standard_error
    spread = math.hypot(1, ratio)
    from_expected = (z - expected) / spread
    log_factor = (z - from_expected) * (z + from_expected) / 2 - math.log(spread)
    factor = math.exp(log_factor) if log_factor < LARGEST_LOG else math.inf
    if factor > EVIDENCE and z * expected < 0:
        return Criterion("bayes_factor", "unclear", factor, reason=OTHER_SIDE)
    answer: CriterionAnswer = "yes" if factor > EVIDENCE else "no" if factor < 1 / EVIDENCE else "unclear"
    return Criterion("bayes_factor", answer, factor)


def combined(original: Effect, replication: Effect, *, level: float = LEVEL) -> Criterion:
    """Ask whether both studies together show an effect in the published direction.

    Both are taken to measure the same effect: the weighted mean θ = (θₒ/σₒ² + θᵣ/σᵣ²) / (1/σₒ² + 1/σᵣ²) with standard
    error 1 / √(1/σₒ² + 1/σᵣ²), and Cochran's Q = (θₒ - θᵣ)² / (σₒ² + σᵣ²) (1 degree of freedom) to say whether they do
    (Cochran 1954). Normal quantiles. A published effect that is too large because only significant ones are
    published pulls the mean with it.

    Parameters
    ----------
    original, replication : Effect
        The published and the new estimate.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    Criterion
        "yes" if the interval leaves out zero on the published side. `value` is the mean, `p_heterogeneity` the P of Q.
        A mean has no such side: not testable, but with its numbers.
    """
    if not _are_usable(original, replication):
        return _without_error("combined")
    spread = math.hypot(original.standard_error, replication.standard_error)
    share = (original.standard_error / spread) ** 2
    mean = original.value + share * (replication.value - original.value)
    margin = _quantile((1 + level) / 2, math.inf) * original.standard_error * (replication.standard_error / spread)
    found = Criterion(
        "combined",
        _yes(abs(mean) > margin and mean * original.value > 0),
        mean,
        Interval(mean - margin, mean + margin, level),
        p_heterogeneity=float(2 * special.ndtr(-abs(original.value - replication.value) / spread)),
    )
    obstacle = _obstacle("combined", original, replication)
    return replace(found, answer="not testable", reason=obstacle.reason) if obstacle else found


def _obstacle(name: CriterionName, original: Effect, replication: Effect) -> Criterion | None:
    """Answer for effects that a criterion about an effect in the published direction cannot be put to."""
    if not _are_usable(original, replication):
        return _without_error(name)
    if not (original.has_neutral and replication.has_neutral):
        return Criterion(name, "not testable", reason=NO_NEUTRAL)
    return Criterion(name, "not testable", reason=NO_SIDE) if original.value == 0 else None


def _are_usable(*effects: Effect) -> bool:
    return all(
        math.isfinite(effect.value) and 0 < effect.standard_error < math.inf and effect.df > 0 for effect in effects
    )


def _without_error(name: CriterionName) -> Criterion:
    return Criterion(name, "not testable", reason="A standard error is not known.")


def _yes(is_so: bool) -> CriterionAnswer:
    return "yes" if is_so else "no"


def _quantile(share: float, df: float) -> float:
    return float(special.ndtri(share) if math.isinf(df) else special.stdtrit(df, share))


def _share_below(t: float, df: float, noncentrality: float) -> float:
    """Return the probability that a noncentral t lies below a value; a normal one where `df` is infinite."""
    if math.isinf(df):
        return float(special.ndtr(t - noncentrality))
    if t < 0:
        return share_above(-t, int(df), -noncentrality)
    return 1 - share_above(t, int(df), noncentrality)


def _deviate(effect: Effect) -> float:
    """Return the normal deviate with the P of the effect's t value; infinite where that P is too small for a number."""
    t = effect.value / effect.standard_error
    if math.isinf(effect.df):
        return t
    return math.copysign(-float(special.ndtri(special.stdtr(effect.df, -abs(t)))), t)
