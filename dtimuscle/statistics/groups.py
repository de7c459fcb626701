"""Poor against good muscle function: each feature in the two groups, and the difference between them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import (
    DELONG,
    EXACT_PAIRS,
    Auc,
    delong_components,
    delong_interval,
    exact_pairs_interval,
)
from dtimuscle.statistics.complete_cases import align, as_floats, is_constant
from dtimuscle.statistics.effect_sizes import hedges_g
from dtimuscle.statistics.estimates import Estimate, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, require_both_groups
from dtimuscle.statistics.multiplicity import Multiplicity, benjamini_hochberg, holm
from dtimuscle.statistics.normality import LARGEST, SMALLEST, ShapiroWilk, shapiro_wilk
from dtimuscle.statistics.two_samples import (
    BrownForsythe,
    MannWhitney,
    TTest,
    brown_forsythe,
    mann_whitney,
    mean_difference,
    student_t,
    welch_t,
)


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
    welch : TTest
        Welch's t test, which allows for unequal variances.
    mann_whitney : MannWhitney
        Rank test, poor against good.
    shapiro_poor, shapiro_good : ShapiroWilk
        Whether each group could come from a normal distribution.
    brown_forsythe : BrownForsythe
        Whether the spread of the groups could be equal.
    hedges_g : float
        Standardised difference, corrected for small samples.
    g_interval : Interval
        Interval of the standardised difference, by the noncentral t distribution.
    auc : Auc
        Common-language effect: the probability that a participant with poor function has the lower value of
        two drawn at random, ties counting one half, with DeLong's interval. It is above 0.5 where poor
        function goes with lower values, and is not turned round. `method` says where its interval comes from.
    p_holm, p_bh : float, default=nan
        `p` adjusted for all features that were compared together (Holm; Benjamini & Hochberg).
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
    welch: TTest
    mann_whitney: MannWhitney
    shapiro_poor: ShapiroWilk
    shapiro_good: ShapiroWilk
    brown_forsythe: BrownForsythe
    hedges_g: float
    g_interval: Interval
    auc: Auc
    p_holm: float = math.nan
    p_bh: float = math.nan
    issues: tuple[Issue, ...] = ()

    @property
    def p_welch(self) -> float:
        """P of Welch's t test."""
        return self.welch.p

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
    unit = _unit_of(present)
    scaled = present / unit
    q25, median, q75 = (float(q) * unit for q in np.quantile(scaled, (0.25, 0.5, 0.75)))
    sd = float(scaled.std(ddof=1)) * unit if present.size > 1 else math.nan
    return GroupSummary(present.size, n_missing, float(scaled.mean()) * unit, sd, median, q25, q75)


def compare_groups(values: pd.Series, poor: pd.Series, *, name: str, level: float = 0.95) -> GroupComparison:
    """Compare one feature between poor and good muscle function.

    Each number stands where it exists on its own; what does not is NaN, and an issue says why:

    - Student's t needs a value in each group, three in all, and values that vary within a group; Hedges' g
      needs four. A group of one rests on the spread of the other, with a warning.
    - Welch's t needs two values in each group; Brown & Forsythe's test needs distances from the median that vary.
    - Mann & Whitney's test and the AUC need a value in each group; the test, that not all are equal.
    - DeLong's interval needs two values in each group. Where the groups do not overlap, it does not exist, and
      the exact interval for independent pairs stands in.
    - Shapiro & Wilk's test needs 3 to 5000 values that vary.

    Parameters
    ----------
    values : Series
        The feature, indexed by participant; NaN and infinite values count as missing.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.
    name : str
        Name of the feature.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    GroupComparison
        Unadjusted; `compare_all_features` adds the adjusted P.
    """
    numbers = as_floats(align(values, poor))
    is_poor = poor.astype("boolean")
    in_poor, in_good = (numbers[group.fillna(False).to_numpy(dtype=bool)] for group in (is_poor, ~is_poor))
    summaries = summarise(in_poor), summarise(in_good)
    unit = _unit_of(numbers)
    first, second = (group[~np.isnan(group)] / unit for group in (in_poor, in_good))
    student = _in_units(student_t(first, second, level=level), unit)
    effect = hedges_g(student.t, first.size, second.size, level=level)
    comparison = GroupComparison(
        feature=name,
        poor=summaries[0],
        good=summaries[1],
        difference=mean_difference(first, second) * unit,
        interval=student.interval,
        t=student.t,
        df=student.df,
        p=student.p,
        welch=_in_units(welch_t(first, second, level=level), unit),
        mann_whitney=mann_whitney(first, second),
        shapiro_poor=shapiro_wilk(first),
        shapiro_good=shapiro_wilk(second),
        brown_forsythe=brown_forsythe(first, second),
        hedges_g=effect.value,
        g_interval=effect.interval,
        auc=_probability_of_lower(first, second, level),
    )
    return replace(comparison, issues=_issues(comparison))


def compare_all_features(features: FeatureFrame, *, level: float = 0.95) -> tuple[GroupComparison, ...]:
    """Compare every feature, and adjust Student's P for their number (Holm; Benjamini & Hochberg).

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
    p = np.array([comparison.p for comparison in raw])
    return tuple(
        replace(comparison, p_holm=float(by_holm), p_bh=float(by_bh))
        for comparison, by_holm, by_bh in zip(raw, holm(p), benjamini_hochberg(p), strict=True)
    )


def count_significant(comparisons: Sequence[GroupComparison], *, alpha: float = 0.05) -> Multiplicity:
    """Count how many of Student's tests are significant before and after adjustment.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        All that were adjusted together.
    alpha : float, default=0.05
        P below this is called significant.

    Returns
    -------
    Multiplicity
        The counts; comparisons without a test do not count.
    """
    n_tests = sum(not math.isnan(item.p) for item in comparisons)
    counts = [sum(getattr(item, field) < alpha for item in comparisons) for field in ("p", "p_holm", "p_bh")]
    return Multiplicity(n_tests, alpha, *counts)


def _unit_of(values: NDArray[np.floating]) -> float:
    """Power of two about as large as the largest value, so that squares neither overflow nor vanish.

    Dividing by it changes no digit.
    """
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return 2.0 ** (math.frexp(largest)[1] - 1) if largest > 0 else 1.0


def _in_units(test: TTest, unit: float) -> TTest:
    bounds = test.interval
    return replace(test, interval=Interval(bounds.low * unit, bounds.high * unit, bounds.level))


def _probability_of_lower(poor: NDArray[np.float64], good: NDArray[np.float64], level: float) -> Auc:
    """AUC of a low value as the sign of poor function."""
    nothing = Interval(math.nan, math.nan, level)
    if min(poor.size, good.size) == 0:
        return Auc(math.nan, nothing, DELONG, poor.size, good.size)
    pooled = np.concatenate([poor, good])
    if is_constant(pooled):
        return Auc(0.5, nothing, DELONG, poor.size, good.size)
    components = delong_components(-pooled[None, :], np.arange(pooled.size) < poor.size)
    value = float(components.auc[0])
    if value in (0, 1):
        interval = exact_pairs_interval(value, n_events=poor.size, n_controls=good.size, level=level)
        return Auc(value, interval, EXACT_PAIRS, poor.size, good.size)
    interval = delong_interval(value, components.variance_of(np.ones(1)), level=level)
    return Auc(value, interval, DELONG, poor.size, good.size)


def _issues(found: GroupComparison) -> tuple[Issue, ...]:
    """Say why numbers are undefined, each reason once with all that it costs."""
    lost: dict[str, list[str]] = {}
    for quantity, reason in _undefined(found):
        lost.setdefault(reason, []).append(quantity)
    issues = []
    if not math.isnan(found.p) and min(found.poor.n, found.good.n) == 1:
        group = "poor" if found.poor.n == 1 else "good"
        what = f"1 value in the group with {group} muscle function: Student's t rests on the spread of the other alone."
        issues.append(Issue(Severity.WARNING, found.feature, what, "Do not read much into it."))
    for reason, quantities in lost.items():
        severity = Severity.WARNING if "Student's t test" in quantities else Severity.NOTE
        issues.append(Issue(severity, found.feature, f"{reason}: no {', '.join(quantities)}."))
    if found.auc.method == EXACT_PAIRS:
        what = "the groups do not overlap: the AUC has the exact interval for independent pairs instead of DeLong's."
        issues.append(Issue(Severity.NOTE, found.feature, what))
    return tuple(issues)


def _undefined(found: GroupComparison) -> Iterator[tuple[str, str]]:
    """Name each number that is undefined, with the reason."""
    few = _too_few(found)
    empty = few if min(found.poor.n, found.good.n) == 0 else ""
    flat = "the values do not vary within the groups"
    equal = "all values are equal"
    candidates = (
        ("difference", found.difference, empty),
        ("Student's t test", found.p, few or flat),
        ("Hedges g", found.hedges_g, few or flat),
        ("Welch's t test", found.welch.p, few or flat),
        ("Brown–Forsythe test", found.brown_forsythe.p, few or "the distances from the medians do not vary"),
        ("Mann–Whitney test", found.mann_whitney.p, empty or equal),
        ("AUC", found.auc.value, empty),
        ("interval of the AUC", found.auc.interval.low, few or equal),
        ("Shapiro–Wilk test (poor)", found.shapiro_poor.p, _why_no_shapiro("poor", found.poor.n)),
        ("Shapiro–Wilk test (good)", found.shapiro_good.p, _why_no_shapiro("good", found.good.n)),
    )
    return ((quantity, reason) for quantity, value, reason in candidates if math.isnan(value))


def _too_few(found: GroupComparison) -> str:
    n, group = min((found.poor.n, "poor"), (found.good.n, "good"))
    return f"{n} value(s) in the group with {group} muscle function, at least 2 needed" if n < 2 else ""


def _why_no_shapiro(group: str, n: int) -> str:
    if SMALLEST <= n <= LARGEST:
        return f"the values do not vary in the group with {group} muscle function"
    return f"{n} value(s) in the group with {group} muscle function, {SMALLEST} to {LARGEST} needed"
