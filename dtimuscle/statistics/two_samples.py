"""Tests of two groups of values: their means, their ranks and their spread."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from dtimuscle.statistics.complete_cases import ROUNDING, is_constant
from dtimuscle.statistics.estimates import Interval

# R's `wilcox.test` counts all arrangements when both groups are smaller than this and no two values are equal.
EXACT_BELOW = 50

EXACT = "exact"
NORMAL = "normal approximation"


@dataclass(frozen=True)
class TTest:
    """A t test of two means.

    Parameters
    ----------
    t, df, p : float
        Statistic, degrees of freedom and two-sided P; NaN where undefined.
    interval : Interval
        Confidence interval of the difference, first minus second mean; NaN where undefined.
    """

    t: float
    df: float
    p: float
    interval: Interval


@dataclass(frozen=True)
class MannWhitney:
    """The Mann–Whitney (Wilcoxon rank-sum) test.

    Parameters
    ----------
    u : float
        Pairs in which the value of the first group is the higher one, ties counting one half (R's W); NaN
        without values in one of the groups.
    p : float
        Two-sided; NaN where undefined.
    method : str
        "exact" or "normal approximation"; empty where there is no test.
    """

    u: float
    p: float
    method: str


@dataclass(frozen=True)
class BrownForsythe:
    """The Brown–Forsythe test of equal spread.

    Parameters
    ----------
    f : float
        Statistic, with 1 and n - 2 degrees of freedom; NaN where undefined.
    p : float
        P of equal spread; NaN where undefined.
    """

    f: float
    p: float


def mean_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Subtract two means so that large values which differ little keep the digits in which they differ.

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Without missing values.

    Returns
    -------
    float
        Mean of the first less mean of the second; NaN when a group is empty.
    """
    if min(first.size, second.size) == 0:
        return math.nan
    origin = second.mean()
    return float((first - origin).mean() - (second - origin).mean())


def student_t(first: NDArray[np.float64], second: NDArray[np.float64], *, level: float = 0.95) -> TTest:
    """Compare two means, taking the spread of the groups to be equal (Student 1908).

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Without missing values.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    TTest
        NaN when a group is empty, when there are fewer than three values, and when the values do not vary
        within either group. A group of one rests on the spread of the other, as in R.
    """
    df = first.size + second.size - 2
    if min(first.size, second.size) == 0 or df < 1 or (is_constant(first) and is_constant(second)):
        return undefined_t(level)
    variance = (_squares(first) + _squares(second)) / df
    return _t_test(first, second, math.sqrt(variance * (1 / first.size + 1 / second.size)), float(df), level)


def welch_t(first: NDArray[np.float64], second: NDArray[np.float64], *, level: float = 0.95) -> TTest:
    """Compare two means, whatever the spread of each group (Welch 1947, with Satterthwaite's df).

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Without missing values.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    TTest
        NaN when a group has fewer than two values, or the values do not vary within either group.
    """
    if min(first.size, second.size) < 2 or (is_constant(first) and is_constant(second)):
        return undefined_t(level)
    parts = [_squares(group) / (group.size - 1) / group.size for group in (first, second)]
    if not sum(parts) > 0:
        return undefined_t(level)
    # As shares of their sum: the squares of tiny variances would vanish.
    shares = [part / sum(parts) for part in parts]
    df = 1 / (shares[0] ** 2 / (first.size - 1) + shares[1] ** 2 / (second.size - 1))
    return _t_test(first, second, math.sqrt(sum(parts)), df, level)


def mann_whitney(first: NDArray[np.float64], second: NDArray[np.float64]) -> MannWhitney:
    """Compare the ranks of two groups (Mann & Whitney 1947), by R's rules.

    The P is exact when both groups have fewer than 50 values and all values differ. Otherwise U is taken as
    normal with its variance corrected for ties and its distance from the mean shortened by one half
    (continuity).

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Without missing values.

    Returns
    -------
    MannWhitney
        Without P when a group is empty, or all values are equal.
    """
    m, n = first.size, second.size
    if min(m, n) == 0:
        return MannWhitney(math.nan, math.nan, "")
    pooled = np.concatenate([first, second])
    if is_constant(pooled):
        return MannWhitney(m * n / 2, math.nan, "")
    ordered = np.sort(second)
    u = float(sum(np.searchsorted(ordered, first, side=side).sum() for side in ("left", "right")) / 2)
    ties = np.unique(pooled, return_counts=True)[1].astype(float)
    if max(m, n) < EXACT_BELOW and ties.max() == 1:
        return MannWhitney(u, float(stats.mannwhitneyu(first, second, method="exact").pvalue), EXACT)
    total = m + n
    variance = m * n / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    z = max(abs(u - m * n / 2) - 0.5, 0) / math.sqrt(variance)
    return MannWhitney(u, float(2 * special.ndtr(-z)), NORMAL)


def brown_forsythe(first: NDArray[np.float64], second: NDArray[np.float64]) -> BrownForsythe:
    """Compare the spread of two groups by their distances from their medians (Brown & Forsythe 1974).

    Levene's test about the median: the analysis of variance of the absolute deviations. With two groups its
    F is the square of Student's t.

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Without missing values.

    Returns
    -------
    BrownForsythe
        NaN when a group has fewer than two values, or the distances do not vary within either group (so with
        two values in each).
    """
    nothing = BrownForsythe(math.nan, math.nan)
    if min(first.size, second.size) < 2:
        return nothing
    distances = [np.abs(group - np.median(group)) for group in (first, second)]
    # Distances are differences: what rounding leaves in them goes with the size of the values.
    rounding = ROUNDING * max(np.abs(first).max(), np.abs(second).max())
    if all(np.ptp(distance) <= rounding for distance in distances):
        return nothing
    found = student_t(*distances)
    return BrownForsythe(found.t * found.t, found.p)


def undefined_t(level: float) -> TTest:
    """Return the t test of values that allow none.

    Parameters
    ----------
    level : float
        Coverage that the interval would have had.
    """
    return TTest(math.nan, math.nan, math.nan, Interval(math.nan, math.nan, level))


def _squares(values: NDArray[np.float64]) -> float:
    """Sum of squares about the mean."""
    deviations = values - values.mean()
    return float(deviations @ deviations)


def _t_test(first: NDArray[np.float64], second: NDArray[np.float64], se: float, df: float, level: float) -> TTest:
    if not se > 0:  # the squares were too small for a number
        return undefined_t(level)
    difference = mean_difference(first, second)
    margin = float(special.stdtrit(df, (1 + level) / 2)) * se
    t = difference / se
    interval = Interval(difference - margin, difference + margin, level)
    return TTest(t, df, float(2 * special.stdtr(df, -abs(t))), interval)
