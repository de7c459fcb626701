"""Poor against good muscle function: each feature in the two groups, and the difference between them."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import align, as_floats, is_constant
from dtimuscle.statistics.estimates import Estimate, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, require_both_groups


@dataclass(frozen=True)
class GroupSummary:
    """How a value is distributed in one group.

    Parameters
    ----------
    n : int
        Participants with a value.
    n_missing : int
        Participants of the group without one.
    mean, sd : float
        Mean and standard deviation (n - 1); NaN where undefined.
    median, q25, q75 : float
        Quartiles, interpolated linearly (R's type 7).
    """

    n: int
    n_missing: int
    mean: float
    sd: float
    median: float
    q25: float
    q75: float


@dataclass(frozen=True)
class GroupComparison:
    """One feature in the two groups.

    Parameters
    ----------
    feature : str
        Name of the feature.
    poor, good : GroupSummary
        The two groups.
    difference : float
        Mean of the poor minus mean of the good group, in the unit of the feature.
    interval : Interval
        Student's interval of the difference (equal variances).
    t, df, p : float
        Student's t test, two-sided, as the study did.
    p_welch : float
        P of Welch's t test, which allows for unequal variances.
    hedges_g : float
        Standardised difference, corrected for small samples.
    p_holm : float, default=nan
        `p` adjusted for all features that were compared together (Holm).
    issues : tuple of Issue
        Why something is NaN.
    """

    feature: str
    poor: GroupSummary
    good: GroupSummary
    difference: float
    interval: Interval
    t: float
    df: float
    p: float
    p_welch: float
    hedges_g: float
    p_holm: float = math.nan
    issues: tuple[Issue, ...] = ()

    @property
    def n(self) -> int:
        """Participants with a value, in both groups."""
        return self.poor.n + self.good.n

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the two means with their SDs, and the difference with its interval and Student's P."""
        return (
            Estimate("mean", self.feature, "poor", self.poor.mean, sd=self.poor.sd, n=self.poor.n),
            Estimate("mean", self.feature, "good", self.good.mean, sd=self.good.sd, n=self.good.n),
            Estimate(
                "difference",
                self.feature,
                "",
                self.difference,
                interval=interval_or_none(self.interval),
                p=self.p,
                n=self.n,
            ),
        )


def summarise(values: NDArray[np.floating]) -> GroupSummary:
    """Describe the values of one group.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN where a value is missing.

    Returns
    -------
    GroupSummary
        NaN where a number is undefined: everything without values, the SD with one.
    """
    present = values[~np.isnan(values)]
    n_missing = values.size - present.size
    if present.size == 0:
        return GroupSummary(0, n_missing, *[math.nan] * 5)
    q25, median, q75 = (float(q) for q in np.quantile(present, (0.25, 0.5, 0.75)))
    sd = float(present.std(ddof=1)) if present.size > 1 else math.nan
    return GroupSummary(present.size, n_missing, float(present.mean()), sd, median, q25, q75)


def compare_groups(values: pd.Series, poor: pd.Series, *, name: str, level: float = 0.95) -> GroupComparison:
    """Compare one feature between poor and good muscle function.

    With fewer than two values in a group, or values that do not vary within either group, there is no
    test: the difference stays where it exists, the rest is NaN, and an issue says so.

    Parameters
    ----------
    values : Series
        The feature, indexed by participant; NaN and infinite values count as missing.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.
    name : str
        Name of the feature.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    GroupComparison
        Unadjusted; `compare_all_features` adds the adjusted P.
    """
    numbers = as_floats(align(values, poor))
    is_poor = poor.astype("boolean")
    in_poor, in_good = (group.fillna(False).to_numpy(dtype=bool) for group in (is_poor, ~is_poor))
    first, second = summarise(numbers[in_poor]), summarise(numbers[in_good])
    difference = first.mean - second.mean
    obstacle = _obstacle(numbers[in_poor], numbers[in_good])
    if obstacle:
        nan = math.nan
        issue = Issue(Severity.WARNING, name, f"{obstacle}, so the groups cannot be compared.")
        return GroupComparison(
            name, first, second, difference, Interval(nan, nan, level), nan, nan, nan, nan, nan, issues=(issue,)
        )
    moments = (first.mean, first.sd, first.n, second.mean, second.sd, second.n)
    student = stats.ttest_ind_from_stats(*moments, equal_var=True)
    welch = stats.ttest_ind_from_stats(*moments, equal_var=False)
    df = first.n + second.n - 2
    pooled_sd = math.sqrt(((first.n - 1) * first.sd**2 + (second.n - 1) * second.sd**2) / df)
    margin = stats.t.ppf((1 + level) / 2, df) * pooled_sd * math.sqrt(1 / first.n + 1 / second.n)
    return GroupComparison(
        feature=name,
        poor=first,
        good=second,
        difference=difference,
        interval=Interval(difference - margin, difference + margin, level),
        t=float(student.statistic),
        df=float(df),
        p=float(student.pvalue),
        p_welch=float(welch.pvalue),
        hedges_g=difference / pooled_sd * small_sample_correction(df),
    )


def compare_all_features(features: FeatureFrame, *, level: float = 0.95) -> tuple[GroupComparison, ...]:
    """Compare every feature, and adjust Student's P for their number (Holm).

    Parameters
    ----------
    features : FeatureFrame
        Features and groups.
    level : float, default=0.95
        Coverage of the intervals, each on its own.

    Returns
    -------
    tuple of GroupComparison
        In the order of the columns. Features without a test do not count in the adjustment.

    Raises
    ------
    StatisticsError
        If a group is empty.
    """
    require_both_groups(features)
    raw = [
        compare_groups(column, features.poor, name=str(name), level=level) for name, column in features.values.items()
    ]
    adjusted = holm(np.array([comparison.p for comparison in raw]))
    return tuple(replace(comparison, p_holm=float(p)) for comparison, p in zip(raw, adjusted, strict=True))


def holm(p_values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Adjust P values for their number (Holm 1979).

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        NaN where there was no test.

    Returns
    -------
    ndarray of shape (n,)
        Adjusted P; NaN stays NaN and does not count.
    """
    # Not statsmodels' `multipletests`: it runs the garbage collector, which costs more than all the tests.
    adjusted = np.full(p_values.shape, np.nan)
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]
    steps = np.arange(order.size, 0, -1) * p_values[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def small_sample_correction(df: float) -> float:
    """Return Hedges' exact factor J(df) = Γ(df/2) / (√(df/2) Γ((df - 1)/2)) (Hedges 1981).

    Parameters
    ----------
    df : float
        Degrees of freedom of the pooled SD.
    """
    return math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2)


def _obstacle(poor: NDArray[np.float64], good: NDArray[np.float64]) -> str:
    poor, good = poor[~np.isnan(poor)], good[~np.isnan(good)]
    for group, values in (("poor", poor), ("good", good)):
        if values.size < 2:
            return f"{values.size} value(s) in the group with {group} muscle function, at least 2 needed"
    if is_constant(poor) and is_constant(good):
        return "the values do not vary within the groups"
    return ""
