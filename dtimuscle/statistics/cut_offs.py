"""Thresholds on a score: how they are chosen, and how well they would classify the participants."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats.contingency import relative_risk

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.estimates import Interval

YOUDEN = "Youden"
CLOSEST = "closest to the corner"
FIXED_SENSITIVITY = "fixed sensitivity"
FIXED_SPECIFICITY = "fixed specificity"

# A share that misses its target by less than this misses it by rounding.
ROUNDING = 1e-12

_Counts = NDArray[np.integer]


@dataclass(frozen=True)
class CutOff:
    """One point of a ROC curve, and how it would classify these participants.

    Intervals of shares are Clopper and Pearson's; those of likelihood ratios are symmetric on the log scale (Simel
    1991). A likelihood ratio that would be infinite is NaN, and one that is zero or NaN has no interval.

    Parameters
    ----------
    rule : str
        How the point was chosen.
    target : float
        The sensitivity or specificity that was asked for; NaN for other rules.
    threshold : float
        In the unit of the score, midway between two observed scores; NaN where the rule finds none.
    true_positives, false_negatives : int
        Participants of the poor group that are called poor, and good.
    true_negatives, false_positives : int
        Participants of the good group that are called good, and poor.
    sensitivity : float
        Share of the poor group that is found.
    sensitivity_interval : Interval
        Its interval.
    specificity : float
        Share of the good group that is left alone.
    specificity_interval : Interval
        Its interval.
    ppv : float
        Share of right answers among those called poor, at the sample's own prevalence.
    ppv_interval : Interval
        Its interval.
    npv : float
        Share of right answers among those called good, at the sample's own prevalence.
    npv_interval : Interval
        Its interval.
    lr_positive : float
        Sensitivity / (1 - specificity): by what the odds of poor function are multiplied in those called poor.
    lr_positive_interval : Interval
        Its interval.
    lr_negative : float
        (1 - sensitivity) / specificity: by what the odds are multiplied in those called good.
    lr_negative_interval : Interval
        Its interval.
    """

    rule: str
    target: float
    threshold: float
    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int
    sensitivity: float
    sensitivity_interval: Interval
    specificity: float
    specificity_interval: Interval
    ppv: float
    ppv_interval: Interval
    npv: float
    npv_interval: Interval
    lr_positive: float
    lr_positive_interval: Interval
    lr_negative: float
    lr_negative_interval: Interval

    @property
    def is_defined(self) -> bool:
        """Whether the rule found a threshold."""
        return not math.isnan(self.threshold)


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of a share (Clopper & Pearson 1934), as `binom.test` of R.

    Parameters
    ----------
    successes : int
        From 0 to `n`.
    n : int
        Trials.
    level : float, default=0.95
        Coverage, at least.

    Returns
    -------
    Interval
        From 0 to 1 at most; NaN without a trial.
    """
    if n == 0:
        return Interval(math.nan, math.nan, level)
    tail = (1 - level) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return Interval(low, high, level)


def choose_cut_offs(
    thresholds: NDArray[np.floating],
    true_positives: _Counts,
    true_negatives: _Counts,
    *,
    n_events: int,
    n_controls: int,
    fixed_sensitivity: float = 0.9,
    fixed_specificity: float = 0.9,
    level: float = 0.95,
) -> tuple[CutOff, ...]:
    """Choose thresholds by four rules.

    Youden's index (sensitivity + specificity - 1) and the distance to the corner where both are 1 weigh the two alike;
    of equally good thresholds the most specific one is taken. A fixed sensitivity asks for the highest specificity
    with at least that sensitivity (of equal ones the most sensitive), a fixed specificity the other way round. Only
    thresholds between two observed scores are looked at: to call everybody poor, or nobody, is no cut-off. Where a rule
    finds none, everything is NaN.

    Parameters
    ----------
    thresholds : ndarray of shape (k,)
        From the strictest, which calls nobody poor, to the laxest; the first and last are infinite.
    true_positives, true_negatives : ndarray of int, shape (k,)
        Participants of the poor group that are called poor, and of the good group that are called good.
    n_events, n_controls : int
        Sizes of the poor and of the good group.
    fixed_sensitivity, fixed_specificity : float, default=0.9
        What the third and the fourth rule ask for, above 0 and at most 1.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    tuple of CutOff
        Youden, closest to the corner, fixed sensitivity, fixed specificity.

    Raises
    ------
    StatisticsError
        If a fixed share is out of range.
    """
    for name, share in (("fixed_sensitivity", fixed_sensitivity), ("fixed_specificity", fixed_specificity)):
        if not 0 < share <= 1:
            raise StatisticsError(f"{name} {share} found, a number above 0 and at most 1 needed.")
    inner = np.flatnonzero(np.isfinite(thresholds))
    hits, rejections = true_positives[inner], true_negatives[inner]
    rules: tuple[tuple[str, float, Callable[[], int | None]], ...] = (
        (YOUDEN, math.nan, lambda: _youden(hits, rejections, n_events, n_controls)),
        (CLOSEST, math.nan, lambda: _closest(hits, rejections, n_events, n_controls)),
        (FIXED_SENSITIVITY, fixed_sensitivity, lambda: _at_least(hits / n_events, fixed_sensitivity, rejections, hits)),
        (
            FIXED_SPECIFICITY,
            fixed_specificity,
            lambda: _at_least(rejections / n_controls, fixed_specificity, hits, rejections),
        ),
    )
    found = []
    for rule, target, find in rules:
        place = find() if inner.size else None
        if place is None:
            found.append(_no_cut_off(rule, target, level))
        else:
            counts = int(hits[place]), n_events, int(rejections[place]), n_controls
            found.append(_describe(rule, target, float(thresholds[inner[place]]), counts, level=level))
    return tuple(found)


def cut_off_issues(cut_offs: tuple[CutOff, ...], *, name: str) -> tuple[Issue, ...]:
    """Say which rules found no threshold, and whether the best one is any good.

    Parameters
    ----------
    cut_offs : tuple of CutOff
        Of one curve.
    name : str
        Feature or model.

    Returns
    -------
    tuple of Issue
        Notes.
    """
    issues = []
    rules = [cut.rule for cut in cut_offs if not cut.is_defined]
    if rules:
        what = f"no cut-off by {', '.join(rules)}: only calling everybody poor, or nobody, would do."
        issues.append(Issue(Severity.NOTE, name, what))
    if any(cut.rule == YOUDEN and cut.sensitivity + cut.specificity <= 1 + ROUNDING for cut in cut_offs):
        what = "the best cut-off is no better than calling everybody poor, or nobody."
        issues.append(Issue(Severity.NOTE, name, what))
    return tuple(issues)


# Counts, not shares: rounding must not decide between cut-offs that are equally good. `argmax` and `argmin` take the
# first of equal ones, which is the strictest and so the most specific.


def _youden(hits: _Counts, rejections: _Counts, n_events: int, n_controls: int) -> int:
    return int(np.argmax(hits * n_controls + rejections * n_events))


def _closest(hits: _Counts, rejections: _Counts, n_events: int, n_controls: int) -> int:
    misses, false_alarms = (n_events - hits) * n_controls, (n_controls - rejections) * n_events
    return int(np.argmin(misses.astype(float) ** 2 + false_alarms.astype(float) ** 2))


def _at_least(share: NDArray[np.floating], target: float, first: _Counts, second: _Counts) -> int | None:
    """Of the places that reach the target, find the largest `first`, and of those the largest `second`."""
    reached = np.flatnonzero(share >= target - ROUNDING)
    if reached.size == 0:
        return None
    return int(reached[np.lexsort((second[reached], first[reached]))[-1]])


def _describe(rule: str, target: float, threshold: float, counts: tuple[int, int, int, int], *, level: float) -> CutOff:
    hits, n_events, rejections, n_controls = counts
    misses, false_alarms = n_events - hits, n_controls - rejections
    called_poor, called_good = hits + false_alarms, rejections + misses
    lr_positive, lr_positive_interval = _ratio(hits, n_events, false_alarms, n_controls, level)
    lr_negative, lr_negative_interval = _ratio(misses, n_events, rejections, n_controls, level)
    return CutOff(
        rule=rule,
        target=target,
        threshold=threshold,
        true_positives=hits,
        false_negatives=misses,
        true_negatives=rejections,
        false_positives=false_alarms,
        sensitivity=hits / n_events,
        sensitivity_interval=clopper_pearson(hits, n_events, level=level),
        specificity=rejections / n_controls,
        specificity_interval=clopper_pearson(rejections, n_controls, level=level),
        ppv=hits / called_poor,
        ppv_interval=clopper_pearson(hits, called_poor, level=level),
        npv=rejections / called_good,
        npv_interval=clopper_pearson(rejections, called_good, level=level),
        lr_positive=lr_positive,
        lr_positive_interval=lr_positive_interval,
        lr_negative=lr_negative,
        lr_negative_interval=lr_negative_interval,
    )


def _ratio(count: int, n: int, other_count: int, other_n: int, level: float) -> tuple[float, Interval]:
    """Divide one share by another; the log method of Simel is that of a relative risk."""
    if other_count == 0:
        return math.nan, Interval(math.nan, math.nan, level)
    ratio = relative_risk(count, n, other_count, other_n)
    if count == 0:
        return 0.0, Interval(math.nan, math.nan, level)
    bounds = ratio.confidence_interval(level)
    return float(ratio.relative_risk), Interval(float(bounds.low), float(bounds.high), level)


def _no_cut_off(rule: str, target: float, level: float) -> CutOff:
    nan, unknown = math.nan, Interval(math.nan, math.nan, level)
    return CutOff(
        rule=rule,
        target=target,
        threshold=nan,
        true_positives=0,
        false_negatives=0,
        true_negatives=0,
        false_positives=0,
        sensitivity=nan,
        sensitivity_interval=unknown,
        specificity=nan,
        specificity_interval=unknown,
        ppv=nan,
        ppv_interval=unknown,
        npv=nan,
        npv_interval=unknown,
        lr_positive=nan,
        lr_positive_interval=unknown,
        lr_negative=nan,
        lr_negative_interval=unknown,
    )
