"""Printed intervals of AUCs: which standard error they imply, on which scale they are even, and what is possible."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaincinv, logit, ndtr, ndtri, owens_t
from scipy.stats import norm

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
from dtimuscle.replication.printed import Contrast, PrintedP, RoundedNumber, contrast_of, printed_p, rounded_number
from dtimuscle.replication.published import AucClaim, PrintedInterval, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.power import hanley_mcneil_error

NAME = "auc_intervals"

# A printed limit may have been rounded either way, and its sum with others carries the error of binary numbers.
_TINY = 1e-12

# Points at which the lowest variance with ties is looked at before it is refined.
_N_ALONG = 41

_REFERENCES = (
    "DeLong, DeLong & Clarke-Pearson, Biometrics 1988; 44: 837-845",
    "Hanley & McNeil, Radiology 1982; 143: 29-36",
    "Birnbaum & Klose, Ann Math Stat 1957; 28: 933-945",
    "Hoeffding, Ann Math Stat 1948; 19: 293-325",
)


@dataclass(frozen=True)
class ErrorBounds:
    """Standard errors that an AUC can be printed with, whatever the values of the score.

    Parameters
    ----------
    lowest : float
        No method based on the observed ranks gives less.
    lowest_without_ties : float
        The same where no patient with the event has the same score as one without.
    highest : float
        None gives more.
    """

    lowest: float
    lowest_without_ties: float
    highest: float


@dataclass(frozen=True)
class ImpliedError:
    """What a printed interval says about the standard error of its AUC.

    Parameters
    ----------
    linear, logit : Quantity
        Standard error of the AUC if the interval is AUC ± z SE, and if it was laid around logit AUC.
    linear_asymmetry, logit_asymmetry : Quantity
        Upper less lower half of the interval on either scale; 0 within rounding where it was made there.
    is_cut : bool
        Whether it ends at 0 or 1, so that only its other half tells anything and no scale can be told.
    """

    linear: Quantity
    logit: Quantity
    linear_asymmetry: Quantity
    logit_asymmetry: Quantity
    is_cut: bool

    @property
    def scale(self) -> str:
        """The scale that it is even on: "linear", "logit", "both", "neither" or, if it is cut off, "unknown"."""
        if self.is_cut:
            return "unknown"
        is_even = [_holds_zero(quantity) for quantity in (self.linear_asymmetry, self.logit_asymmetry)]
        return {(True, True): "both", (True, False): "linear", (False, True): "logit"}.get(
            (is_even[0], is_even[1]), "neither"
        )


def normal_auc_error(distance: float, sds: tuple[float, float], sizes: tuple[float, float]) -> float:
    """Return the standard error of the empirical AUC of a feature that is normally distributed in both groups.

    With A = Φ(z), z = |m₁ − m₂| / √(s₁² + s₂²), Var = (A(1 − A) + (n₁ − 1)(Q₁ − A²) + (n₂ − 1)(Q₂ − A²)) / (n₁n₂),
    which holds for any distributions (Hanley & McNeil 1982; Bamber 1975). Q₁ is the probability that two patients of
    the first group both lie on the right side of one of the second. It is the bivariate normal Φ₂(z, z; ρ) with
    ρ = s₂² / (s₁² + s₂²), which is Φ(z) − 2T(z, √((1 − ρ)/(1 + ρ))) with Owen's function T (Owen 1956); Q₂ the
    same with the groups exchanged.

    Parameters
    ----------
    distance : float
        Of the means.
    sds : tuple of (float, float)
        Standard deviations of the groups.
    sizes : tuple of (float, float)
        Patients in the groups, at least 1; of any size where other numbers are tried out.

    Returns
    -------
    float
        Exact, since nothing but the distributions enters.
    """
    first, second = sds[0] ** 2, sds[1] ** 2
    z = abs(distance) / math.sqrt(first + second)
    area = float(ndtr(z))
    shared = [_both_below(z, other / (first + second)) - area**2 for other in (second, first)]
    variance = area * (1 - area) + (sizes[0] - 1) * shared[0] + (sizes[1] - 1) * shared[1]
    return math.sqrt(max(variance, 0.0) / (sizes[0] * sizes[1]))


def error_bounds(auc: float, *, n_event: int, n_other: int, level: float = 0.95) -> ErrorBounds:
    """Return the smallest and the largest standard error that an AUC of groups of this size can have.

    DeLong's variance is v₁ n₁/(n₁ − 1)/n₁ + v₂ n₂/(n₂ − 1)/n₂, with v₁ the variance over events of the share of others
    that they outrank, and v₂ that over others. v₁ + v₂ ≤ A(1 − A), since both are parts of the variance of one
    comparison (Hoeffding 1948), which bounds it by A(1 − A) / (min(n₁, n₂) − 1); compare Birnbaum & Klose (1957).
    Without ties the area lies under a staircase, and ∬(x/n₁ + y/n₂) over a region of area A is smallest where
    the region is cut off by a straight line x/n₁ + y/n₂ = c; with a = min(A, 1 − A), p ≤ q the two of 1/n₁ and 1/n₂,
    the variance is at least p a(1 − a) − p²/(12q) if a ≥ p/(2q), else (4/3) a √(2pqa) − (p + q) a². 1/n instead of
    DeLong's 1/(n − 1) lets the bootstrap's and the plug-in variance pass too. With ties the curve is the
    mean of two staircases of areas b and 2A − b, so a quarter of the sum of their bounds, smallest over b, holds.

    Parameters
    ----------
    auc : float
        Above 0 and below 1.
    n_event, n_other : int
        Patients, at least 2.
    level : float, default=0.95
        Coverage of the interval that the error is meant for: `highest` also lets an exact binomial interval of
        min(n₁, n₂) independent pairs pass (Clopper & Pearson 1934).

    Returns
    -------
    ErrorBounds
        In the unit of the AUC.
    """
    weights = 1 / n_event, 1 / n_other
    smaller = min(n_event, n_other)
    spread = math.sqrt(auc * (1 - auc) / (smaller - 1))
    return ErrorBounds(
        lowest=math.sqrt(_lowest_with_ties(auc, weights)),
        lowest_without_ties=math.sqrt(_lowest_variance(auc, weights)),
        highest=max(spread, _exact_width(auc, smaller, level) / (2 * _deviate(level))),
    )


def implied_error(auc: RoundedNumber, low: RoundedNumber, high: RoundedNumber, *, level: float) -> ImpliedError | None:
    """Compute the standard error that a printed interval of an AUC implies.

    On the scale of the AUC it is the width over 2z. Around logit AUC it is the width there over 2z, times A(1 − A)
    (delta method). Where the interval is cut off at 0 or 1, twice its other half takes the place of the width.

    Parameters
    ----------
    auc, low, high : RoundedNumber
        As printed.
    level : float
        Coverage.

    Returns
    -------
    ImpliedError or None
        None where the AUC is 0 or 1 within its rounding, or both ends are cut off.
    """
    whole_low, whole_high = (low if low.low > 0 else None), (high if high.high < 1 else None)
    if auc.low <= 0 or auc.high >= 1 or (whole_low is None and whole_high is None):
        return None
    linear = _on_scale(auc, whole_low, whole_high, scale=lambda value: value)
    logits = _on_scale(auc, whole_low, whole_high, scale=lambda value: float(logit(value)))
    slopes = [area * (1 - area) for area in (auc.value, auc.low, auc.high)]
    slope = slopes[0], min(slopes), max(slopes)
    one = (1.0, 1.0, 1.0)
    twice = 2 * _deviate(level)
    return ImpliedError(
        linear=_error("se_linear", "Standard error implied by the interval", _width(linear), one, twice),
        logit=_error("se_logit", "Standard error implied on the logit scale", _width(logits), slope, twice),
        linear_asymmetry=_asymmetry("asymmetry", "Upper less lower half", linear),
        logit_asymmetry=_asymmetry("asymmetry_logit", "Upper less lower half, logit scale", logits),
        is_cut=whole_low is None or whole_high is None,
    )


@dataclass(frozen=True)
class PrintedRoc:
    """A printed AUC and the patients that it rests on.

    Parameters
    ----------
    claim : AucClaim
        The claim.
    auc : RoundedNumber
        The AUC.
    contrast : Contrast
        The patients.
    """

    claim: AucClaim
    auc: RoundedNumber
    contrast: Contrast

    @property
    def as_quantity(self) -> Quantity:
        """The AUC as a number of a computation."""
        return Quantity("auc_printed", "AUC as printed", "auc", self.auc.value, self.auc.rounding)

    @property
    def sizes(self) -> tuple[Quantity, Quantity]:
        """Patients with the event and without."""
        return (
            Quantity("n_event", "Patients with the event", "count", self.contrast.n_event),
            Quantity("n_other", "Patients without it", "count", self.contrast.n_other),
        )


def printed_rocs(study: PublishedStudy) -> tuple[PrintedRoc, ...]:
    """List the printed AUCs whose patients are known.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    tuple of PrintedRoc
        In the order of the claims.
    """
    found = []
    for claim in study.claims:
        contrast = contrast_of(study, claim) if isinstance(claim, AucClaim) else None
        if isinstance(claim, AucClaim) and contrast is not None and min(contrast.n_event, contrast.n_other) >= 2:
            found.append(PrintedRoc(claim, rounded_number(claim.auc), contrast))
    return tuple(found)


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Hold each printed interval, and each printed P, of an AUC against the numbers of patients."""
    examined, findings = [], []
    for roc in printed_rocs(study):
        name = study.in_words(roc.claim.predictor)
        interval = roc.claim.interval
        implied = _implied(roc, interval) if interval is not None else None
        if interval is not None and implied is not None:
            examined.append(f"Interval of the AUC of {name}")
            finding = _judge(name, roc, interval, implied)
            findings += [finding] if finding else []
        if roc.claim.p is not None and 0 < roc.auc.value < 1:
            examined.append(f"P of the AUC of {name}")
            finding = _judge_p(study, roc, printed_p(roc.claim.p))
            findings += [finding] if finding else []
    return CheckResult(tuple(examined), tuple(findings))


INTERVALS = Check(
    name=NAME,
    question="Can the printed confidence interval of an AUC come from this number of patients?",
    needs="an AUC with its confidence interval or P",
    false_alarm_rate=0.0,
    run=_run,
)


def _implied(roc: PrintedRoc, interval: PrintedInterval) -> ImpliedError | None:
    low, high = rounded_number(interval.low), rounded_number(interval.high)
    return implied_error(roc.auc, low, high, level=interval.interval.level)


def _judge(name: str, roc: PrintedRoc, interval: PrintedInterval, implied: ImpliedError) -> Finding | None:
    """Give the finding about an interval, if there is one."""
    sizes = {"n_event": roc.contrast.n_event, "n_other": roc.contrast.n_other}
    level = interval.interval.level
    # The bounds move with the AUC, so the most generous ones over its rounding count.
    bounds = [error_bounds(area, **sizes, level=level) for area in (roc.auc.low, roc.auc.value, roc.auc.high)]
    errors = [_rounding_of(quantity) for quantity in (implied.linear, implied.logit)]
    widest, narrowest = max(error.high for error in errors), min(error.low for error in errors)
    if widest < min(bound.lowest for bound in bounds):
        severity, words = Severity.INCONSISTENT, "narrower than any score can have"
    elif widest < min(bound.lowest_without_ties for bound in bounds):
        severity, words = Severity.UNLIKELY, "narrower than any score without equal values can have"
    elif narrowest > max(bound.highest for bound in bounds):
        severity, words = Severity.INCONSISTENT, "wider than any score can have"
    else:
        steps = _steps(roc, interval, implied, bounds[1])
        return _uneven(name, roc, implied, steps) if implied.scale == "neither" else None
    steps = _steps(roc, interval, implied, bounds[1])
    title = f"Interval of the AUC of {name} is {words}"
    return _out_of_bounds(title, severity=severity, roc=roc, implied=implied, bounds=bounds[1], steps=steps)


def _steps(roc: PrintedRoc, interval: PrintedInterval, implied: ImpliedError, bounds: ErrorBounds) -> tuple[Step, ...]:
    expected = hanley_mcneil_error(roc.auc.value, n_event=roc.contrast.n_event, n_other=roc.contrast.n_other)
    text = f"{interval.low} to {interval.high} ({interval.level_percent}%)"
    return (
        Step(
            "Standard error that the printed interval implies",
            "SE = (high − low) / 2z; on the logit scale SE = (logit high − logit low) / 2z × AUC (1 − AUC)",
            (roc.as_quantity, Quantity("interval", "Interval as printed", "text", text=text), implied.linear,
             implied.logit),
        ),
        Step(
            "Is the interval even about the AUC?",
            "(high − AUC) − (AUC − low), and the same of the logits; 0 on the scale that it was made on",
            (implied.linear_asymmetry, implied.logit_asymmetry),
        ),
        Step(
            "Standard error to be expected, and the smallest and largest that are possible",
            "Hanley & McNeil; SE² ≤ AUC (1 − AUC) / (min(n₁, n₂) − 1); the smallest for a straight cut",
            (
                *roc.sizes,
                _plain("se_expected", "Expected (Hanley & McNeil)", expected),
                _plain("se_lowest", "Smallest possible", bounds.lowest),
                _plain("se_lowest_untied", "Smallest possible without ties", bounds.lowest_without_ties),
                _plain("se_highest", "Largest possible", bounds.highest),
            ),
        ),
    )  # fmt: skip


def _out_of_bounds(
    title: str,
    *,
    severity: Severity,
    roc: PrintedRoc,
    implied: ImpliedError,
    bounds: ErrorBounds,
    steps: tuple[Step, ...],
) -> Finding:
    quantities = (*roc.sizes, roc.as_quantity, implied.linear, *steps[2].quantities[2:])
    return Finding(
        check=NAME,
        severity=severity,
        title=title,
        sentence=Sentence(
            "The printed interval of the AUC {auc_printed} implies a standard error (its uncertainty) of {se_linear}. "
            "With {n_event} + {n_other} patients about {se_expected} is to be expected, and whatever the "
            "values were it would lie between {se_lowest} (without equal scores {se_lowest_untied}) and {se_highest}.",
            quantities,
        ),
        claims=(roc.claim.id,),
        steps=steps,
        ways_out=(*_other_size(roc, implied), _ties(implied, bounds)),
        references=_REFERENCES,
    )


def _other_size(roc: PrintedRoc, implied: ImpliedError) -> Iterator[WayOut]:
    """How many times the patients would have to be there for an interval of this width; nothing if it has none."""
    if implied.linear.value <= 0:
        return
    event, other = roc.contrast.n_event, roc.contrast.n_other
    factor = scaled_sizes(roc.auc.value, implied.linear.value, n_event=event, n_other=other)
    yield WayOut(
        "The AUC rests on more or fewer values than there are patients (both legs, several muscles, folds)",
        "in part",
        Sentence(
            "Hanley & McNeil's standard error is the printed one with {times} times as many values in each group; that "
            "holds only if the source counted so, and values of one patient are not independent.",
            (Quantity("times", "Values for each patient", "number", factor),),
        ),
    )


def scaled_sizes(auc: float, error: float, *, n_event: int, n_other: int) -> float:
    """Return how many times larger both groups would have to be for a given standard error (Hanley & McNeil).

    Parameters
    ----------
    auc : float
        Above 0 and below 1.
    error : float
        The standard error.
    n_event, n_other : int
        Sizes of the groups as they are.

    Returns
    -------
    float
        The positive root k of SE²(k n₁, k n₂) = error², a quadratic equation in 1/k.
    """
    # SE² = u/k + v/k² with v the part that does not grow with n.
    at_one = hanley_mcneil_error(auc, n_event=n_event, n_other=n_other) ** 2
    at_two = hanley_mcneil_error(auc, n_event=2 * n_event, n_other=2 * n_other) ** 2
    u, v = 4 * at_two - at_one, 2 * at_one - 4 * at_two
    return 2 * v / (-u + math.sqrt(u**2 + 4 * v * error**2)) if abs(v) > _TINY * u else u / error**2


def _ties(implied: ImpliedError, bounds: ErrorBounds) -> WayOut:
    within = bounds.lowest <= _rounding_of(implied.linear).high < bounds.lowest_without_ties
    return WayOut(
        "The score has only few different values, so that many patients are tied",
        "in part" if within else "no",
        Sentence(
            "Equal scores allow a standard error down to {se_lowest}; the printed interval implies {se_linear}.",
            (_plain("se_lowest", "Smallest possible", bounds.lowest), implied.linear),
        ),
    )


def _uneven(name: str, roc: PrintedRoc, implied: ImpliedError, steps: tuple[Step, ...]) -> Finding:
    return Finding(
        check=NAME,
        severity=Severity.NOTE,
        title=f"Interval of an AUC is even on no usual scale: {name}",
        sentence=Sentence(
            "The printed interval of the AUC {auc_printed} is not even about it (upper less lower half {asymmetry}), "
            "nor on the logit scale ({asymmetry_logit}): it was made by another method, such as the bootstrap (drawing "
            "patients again and again).",
            (roc.as_quantity, implied.linear_asymmetry, implied.logit_asymmetry),
        ),
        claims=(roc.claim.id,),
        steps=steps,
        references=_REFERENCES[:2],
    )


def _judge_p(study: PublishedStudy, roc: PrintedRoc, printed: PrintedP) -> Finding | None:
    """Hold P of AUC = 0.5 against the smallest and the largest that the bounds of the standard error allow."""
    sizes = {"n_event": roc.contrast.n_event, "n_other": roc.contrast.n_other}
    areas = [roc.auc.low, roc.auc.value, roc.auc.high]
    bounds = [error_bounds(min(max(area, 1e-9), 1 - 1e-9), **sizes) for area in areas]
    distances = sorted(abs(area - 0.5) for area in areas)
    # Under the null hypothesis the rank-sum test's standard error is used as well.
    null = math.sqrt((sum(sizes.values()) + 1) / (12 * roc.contrast.n_event * roc.contrast.n_other))
    smallest = max(min(null, *(bound.lowest for bound in bounds)), _TINY)
    largest = max(null, *(bound.highest for bound in bounds))
    nearest = 0.0 if areas[0] <= 0.5 <= areas[2] else distances[0]
    low, high = (float(2 * norm.sf(z)) for z in (distances[-1] / smallest, nearest / largest))
    if printed.allows(low, high):
        return None
    expected = hanley_mcneil_error(roc.auc.value, **sizes)
    p = Quantity(
        "p_expected", "P (Hanley & McNeil)", "p", float(2 * norm.sf(abs(roc.auc.value - 0.5) / expected)),
        Interval(low, high),
    )  # fmt: skip
    text = Quantity("p_printed", "P as printed", "text", text=str(roc.claim.p).removeprefix("=").strip())
    step = Step("P of an AUC against 0.5", "P = 2 Φ(−|AUC − 0.5| / SE)", (roc.as_quantity, *roc.sizes, p))
    return Finding(
        check=NAME,
        severity=Severity.INCONSISTENT,
        title=f"P of an AUC does not follow from it: {study.in_words(roc.claim.predictor)}",
        sentence=Sentence(
            "An AUC of {auc_printed} in {n_event} + {n_other} patients gives P near {p_expected}; P {p_printed} is "
            "printed, which no standard error that is possible gives.",
            (roc.as_quantity, *roc.sizes, p, text),
        ),
        claims=(roc.claim.id,),
        steps=(step,),
        ways_out=(
            WayOut(
                "P is that of another test, such as of a comparison of two AUCs",
                "in part",
                Sentence("Then it says nothing about this AUC alone, for which P would be near {p_expected}.", (p,)),
            ),
        ),
        references=_REFERENCES[:3],
    )


def _both_below(z: float, correlation: float) -> float:
    """Φ₂(z, z; ρ), by Owen's T."""
    return float(ndtr(z) - 2 * owens_t(z, math.sqrt((1 - correlation) / (1 + correlation))))


def _lowest_variance(auc: float, weights: tuple[float, float]) -> float:
    """Smallest w₁v₁ + w₂v₂ of a staircase of this area."""
    area = min(auc, 1 - auc)
    p, q = min(weights), max(weights)
    if area <= 0:
        return 0.0
    if area >= p / (2 * q):
        return p * area * (1 - area) - p**2 / (12 * q)
    return max(4 / 3 * area * math.sqrt(2 * p * q * area) - (p + q) * area**2, 0.0)


def _lowest_with_ties(auc: float, weights: tuple[float, float]) -> float:
    """Return a quarter of the smallest sum for two staircases whose mean area is the AUC."""
    lowest, highest = max(0.0, 2 * auc - 1), min(1.0, 2 * auc)

    def total(area: float) -> float:
        return (_lowest_variance(area, weights) + _lowest_variance(2 * auc - area, weights)) / 4

    points = np.linspace(lowest, highest, _N_ALONG)
    values = [total(float(point)) for point in points]
    best = int(np.argmin(values))
    if best in (0, _N_ALONG - 1):
        return values[best]
    bounds = (float(points[best - 1]), float(points[best + 1]))
    return min(values[best], float(minimize_scalar(total, bounds=bounds, method="bounded").fun))


def _exact_width(auc: float, n: int, level: float) -> float:
    """Width of Clopper and Pearson's interval for a share of n, the number of successes taken as n × share."""
    tail = (1 - level) / 2
    low = betaincinv(n * auc, n * (1 - auc) + 1, tail)
    high = betaincinv(n * auc + 1, n * (1 - auc), 1 - tail)
    return float(high - low)


def _deviate(level: float) -> float:
    return float(ndtri((1 + level) / 2))


# A number with the lowest and the highest that its rounding allows: (value, low, high).
_Ranged = tuple[float, float, float]


def _on_scale(
    auc: RoundedNumber, low: RoundedNumber | None, high: RoundedNumber | None, *, scale: Callable[[float], float]
) -> tuple[_Ranged, _Ranged, _Ranged]:
    """Lower end, AUC and upper end on a scale; an end that is cut off is mirrored from the other one."""

    def of(number: RoundedNumber) -> _Ranged:
        return scale(number.value), scale(number.low), scale(number.high)

    area = of(auc)
    ends = [None if number is None else of(number) for number in (low, high)]
    below, above = (end or _mirrored(area, ends[1 - index] or area) for index, end in enumerate(ends))
    return below, area, above


def _mirrored(area: _Ranged, end: _Ranged) -> _Ranged:
    return 2 * area[0] - end[0], 2 * area[1] - end[2], 2 * area[2] - end[1]


def _width(places: tuple[_Ranged, _Ranged, _Ranged]) -> _Ranged:
    below, _, above = places
    return above[0] - below[0], above[1] - below[2], above[2] - below[1]


def _asymmetry(name: str, label: str, places: tuple[_Ranged, _Ranged, _Ranged]) -> Quantity:
    below, area, above = places
    rounding = Interval(above[1] + below[1] - 2 * area[2] - _TINY, above[2] + below[2] - 2 * area[1] + _TINY)
    return Quantity(name, label, "number", above[0] + below[0] - 2 * area[0], rounding)


def _error(name: str, label: str, width: _Ranged, slope: _Ranged, divisor: float) -> Quantity:
    value, low, high = (of_width * of_slope / divisor for of_width, of_slope in zip(width, slope, strict=True))
    return Quantity(name, label, "standard_error", value, Interval(max(low, 0.0), high))


def _plain(name: str, label: str, value: float) -> Quantity:
    return Quantity(name, label, "standard_error", value)


def _rounding_of(quantity: Quantity) -> Interval:
    return quantity.rounding or Interval(quantity.value, quantity.value)


def _holds_zero(quantity: Quantity) -> bool:
    rounding = _rounding_of(quantity)
    return rounding.low <= 0 <= rounding.high
