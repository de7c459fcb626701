"""What printed means and standard deviations imply: t tests, effect sizes and the AUC of a single feature."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, stdtr, stdtrit

from dtimuscle.replication.audit.findings import Quantity, QuantityKind
from dtimuscle.replication.audit.summaries import (
    Sample,
    SummaryTest,
    separation,
    student_test,
    welch_df,
    welch_test,
)
from dtimuscle.replication.printed import PrintedMean, PrintedPair, RoundedNumber, printed_pairs
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.statistics.effect_sizes import hedges_g, small_sample_correction
from dtimuscle.statistics.estimates import Interval

_Values = NDArray[np.float64]

_LEVEL = 0.95
_DEVIATE = 1.959963984540054  # Φ⁻¹(0.975)

# Points along an edge of the box of rounding at which Welch's P is looked at before it is refined.
_N_ALONG = 129


@dataclass(frozen=True)
class ImpliedTest:
    """A t test, with what the rounding of the printed numbers leaves open.

    Parameters
    ----------
    t, df, p : Quantity
        Statistic, degrees of freedom and two-sided P.
    """

    t: Quantity
    df: Quantity
    p: Quantity


@dataclass(frozen=True)
class ImpliedEffect:
    """What the printed means of a feature in two groups imply.

    Parameters
    ----------
    pair : PrintedPair
        The printed numbers.
    difference : Quantity
        First less second mean, with Welch's confidence interval.
    student, welch : ImpliedTest
        The t test that takes the spread of the groups to be equal, and the one that does not.
    hedges_g : Quantity
        Difference in pooled SDs, corrected for small samples, with its confidence interval.
    auc : Quantity
        How well the feature alone would tell the groups apart if it were normally distributed (see `binormal_auc`).
    """

    pair: PrintedPair
    difference: Quantity
    student: ImpliedTest
    welch: ImpliedTest
    hedges_g: Quantity
    auc: Quantity


def binormal_auc(pair: PrintedPair) -> Quantity:
    """Compute the AUC that two printed means and SDs imply if the feature is normally distributed in both groups.

    AUC = Φ(z) with z = |m₁ − m₂| / √(s₁² + s₂²), the probability that a patient of the group with the higher mean has
    the higher value (Reiser & Guttman 1986; Hanley 1988). Its interval is Φ(z ± 1.96 SE(z)), with the delta method's
    Var z = (s₁²/n₁ + s₂²/n₂)/S² + z²/(4 S⁴) · (2 s₁⁴/(n₁ − 1) + 2 s₂⁴/(n₂ − 1)), S² = s₁² + s₂².

    Parameters
    ----------
    pair : PrintedPair
        The feature in two groups.

    Returns
    -------
    Quantity
        Named `auc`; its rounding encloses every mean and SD that are printed so, and reaches down to 0.5 where the
        means may be the same.
    """
    z, error = separation(*samples(pair))
    deviates = [separation(*corner)[0] for corner in corners(pair)]
    low = 0.0 if _difference_range(pair).low <= 0 <= _difference_range(pair).high else min(deviates)
    return Quantity(
        name="auc",
        label="AUC of the feature alone, if it is normally distributed",
        kind="auc",
        value=float(ndtr(z)),
        rounding=Interval(float(ndtr(low)), float(ndtr(max(deviates)))),
        interval=Interval(float(ndtr(z - _DEVIATE * error)), float(ndtr(z + _DEVIATE * error)), _LEVEL),
    )


def implied_effects(study: PublishedStudy) -> tuple[ImpliedEffect, ...]:
    """Derive tests and effect sizes from every feature whose mean and SD are printed in two groups.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    tuple of ImpliedEffect
        In the order of `printed_pairs`.
    """
    return tuple(implied_effect(pair) for pair in printed_pairs(study))


# Half of the checks ask for the same effects.
@lru_cache(maxsize=256)
def implied_effect(pair: PrintedPair) -> ImpliedEffect:
    """Derive tests and effect sizes from one feature in two groups, over the rounding of the printed numbers.

    t, g and the AUC rise or fall with each mean and SD, so their ends lie at corners of the box of all values that are
    printed so. P reaches 1 inside the box where the means may be the same, and Welch's df and P can have their ends
    between corners.

    Parameters
    ----------
    pair : PrintedPair
        The feature in two groups.

    Returns
    -------
    ImpliedEffect
        Unrounded.
    """
    first, second = samples(pair)
    student, welch = student_test(first, second), welch_test(first, second)
    half = float(stdtrit(welch.df, (1 + _LEVEL) / 2)) * welch.standard_error
    difference = first.mean - second.mean
    return ImpliedEffect(
        pair=pair,
        difference=Quantity(
            "difference",
            "Difference of the means",
            value_kind(pair.feature),
            difference,
            _difference_range(pair),
            Interval(difference - half, difference + half, _LEVEL),
        ),
        student=_student_range(pair, student),
        welch=_welch_range(pair, welch),
        hedges_g=_hedges_range(pair, student.t),
        auc=binormal_auc(pair),
    )


def value_kind(feature: str) -> QuantityKind:
    """Say what a value of a feature is printed as.

    Parameters
    ----------
    feature : str
        Such as `adductor_longus.md`.
    """
    return "anisotropy" if feature.endswith(".fa") else "diffusivity"


def samples(pair: PrintedPair) -> tuple[Sample, Sample]:
    """Return the printed numbers of both groups.

    Parameters
    ----------
    pair : PrintedPair
        The feature in two groups.
    """
    first, second = (Sample(group.mean.value, group.sd.value, group.n) for group in (pair.first, pair.second))
    return first, second


def corners(pair: PrintedPair) -> list[tuple[Sample, Sample]]:
    """Return every combination of the lowest and highest means and SDs that are printed so.

    Parameters
    ----------
    pair : PrintedPair
        The feature in two groups.
    """

    def ends(group: PrintedMean) -> list[Sample]:
        pairs = product((group.mean.low, group.mean.high), (group.sd.low, group.sd.high))
        return [Sample(mean, sd, group.n) for mean, sd in pairs]

    return list(product(ends(pair.first), ends(pair.second)))


def _range(values: Sequence[float]) -> Interval:
    return Interval(min(values), max(values))


def _difference_range(pair: PrintedPair) -> Interval:
    first, second = pair.first.mean, pair.second.mean
    return Interval(first.low - second.high, first.high - second.low)


def _distances(pair: PrintedPair) -> tuple[float, float]:
    """Smallest and largest distance between the means."""
    difference = _difference_range(pair)
    ends = abs(difference.low), abs(difference.high)
    return (0.0 if difference.low <= 0 <= difference.high else min(ends)), max(ends)


def _student_range(pair: PrintedPair, test: SummaryTest) -> ImpliedTest:
    tests = [student_test(*corner) for corner in corners(pair)]
    highest = 1.0 if _distances(pair)[0] == 0 else max(corner.p for corner in tests)
    return ImpliedTest(
        Quantity("student_t", "t (Student)", "t", test.t, _range([corner.t for corner in tests])),
        Quantity("student_df", "Degrees of freedom (Student)", "df", test.df),
        Quantity("student_p", "P (Student)", "p", test.p, Interval(min(corner.p for corner in tests), highest)),
    )


def _welch_range(pair: PrintedPair, test: SummaryTest) -> ImpliedTest:
    tests = [welch_test(*corner) for corner in corners(pair)]
    return ImpliedTest(
        Quantity("welch_t", "t (Welch)", "t", test.t, _range([corner.t for corner in tests])),
        Quantity("welch_df", "Degrees of freedom (Welch)", "df", test.df, _welch_df_range(pair)),
        Quantity("welch_p", "P (Welch)", "p", test.p, _welch_p_range(pair)),
    )


def _hedges_range(pair: PrintedPair, t: float) -> Quantity:
    n = pair.first.n, pair.second.n
    estimate = hedges_g(t, *n, level=_LEVEL)
    per_t = small_sample_correction(sum(n) - 2) * math.sqrt(sum(1 / size for size in n))
    ends = [per_t * student_test(*corner).t for corner in corners(pair)]
    label = "Hedges g (difference in SDs)"
    return Quantity("hedges_g", label, "effect", estimate.value, _range(ends), estimate.interval)


def _welch_df_range(pair: PrintedPair) -> Interval:
    """Degrees of freedom are n₁ + n₂ − 2 where the weight is (n₁ − 1)/(n₁ + n₂ − 2), and fewer to both sides of it."""
    n_first, n_second = pair.first.n, pair.second.n

    def weight(first_sd: float, second_sd: float) -> float:
        parts = first_sd**2 / n_first, second_sd**2 / n_second
        return parts[0] / sum(parts)

    ends = weight(pair.first.sd.low, pair.second.sd.high), weight(pair.first.sd.high, pair.second.sd.low)
    best = (n_first - 1) / (n_first + n_second - 2)
    weights = [*ends, best] if ends[0] < best < ends[1] else list(ends)
    return _range([welch_df(one, n_first, n_second) for one in weights])


def _welch_p_range(pair: PrintedPair) -> Interval:
    """Range of Welch's P.

    Both SDs times one factor leave df as it is and divide t, so P has its lowest value on an edge of the box of SDs
    that holds a lowest SD, and its highest on one that holds a highest SD. Along an edge a larger SD may raise df more
    than it lowers t, so the end can lie between corners.
    """
    nearest, farthest = _distances(pair)
    first, second = pair.first.sd, pair.second.sd
    low = min(
        _lowest(lambda sd: _welch_p(pair, farthest, np.array(first.low), sd), second),
        _lowest(lambda sd: _welch_p(pair, farthest, sd, np.array(second.low)), first),
    )
    if nearest == 0:
        return Interval(low, 1.0)
    high = -min(
        _lowest(lambda sd: -_welch_p(pair, nearest, np.array(first.high), sd), second),
        _lowest(lambda sd: -_welch_p(pair, nearest, sd, np.array(second.high)), first),
    )
    return Interval(low, high)


def _welch_p(pair: PrintedPair, distance: float, first_sd: _Values, second_sd: _Values) -> _Values:
    """Welch's P of a distance between the means, for many SDs at once."""
    parts = first_sd**2 / pair.first.n, second_sd**2 / pair.second.n
    df = welch_df(parts[0] / (parts[0] + parts[1]), pair.first.n, pair.second.n)
    return 2 * stdtr(df, -distance / np.sqrt(parts[0] + parts[1]))


def _lowest(of_sds: Callable[[_Values], _Values], sd: RoundedNumber) -> float:
    """Lowest value along an edge, its ends included: the lowest of some points, refined between its neighbours."""
    points = np.linspace(sd.low, sd.high, _N_ALONG)
    values = of_sds(points)
    best = int(np.argmin(values))
    if best in (0, _N_ALONG - 1):
        return float(values[best])
    bounds = points[best - 1], points[best + 1]
    refined = minimize_scalar(
        lambda at: float(of_sds(np.array(at))), bounds=bounds, method="bounded", options={"xatol": 1e-9 * sd.high}
    )
    return min(float(values[best]), float(refined.fun))
