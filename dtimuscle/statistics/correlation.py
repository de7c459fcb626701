"""Correlation of features with the Lovett grade."""

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases, is_constant
from dtimuscle.statistics.estimates import Estimate, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame


@dataclass(frozen=True)
class Correlation:
    """How a feature goes with the grade.

    Parameters
    ----------
    feature : str
        Name of the feature.
    method : str
        Which coefficient it is.
    r : float
        Positive when better muscle function goes with higher values; NaN where undefined.
    interval : Interval
        Fisher's z interval; NaN with fewer than four participants.
    p : float
        Two-sided P of no correlation (t distribution with n - 2 degrees of freedom).
    n : int
        Participants with a value and a grade.
    n_missing : int, default=0
        Participants with a grade and no value.
    issues : tuple of Issue
        Why something is NaN.
    """

    feature: str
    method: str
    r: float
    interval: Interval
    p: float
    n: int
    n_missing: int = 0
    issues: tuple[Issue, ...] = ()

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the coefficient with its interval and P."""
        interval = interval_or_none(self.interval)
        return (Estimate("correlation", self.feature, "", self.r, interval=interval, p=self.p, n=self.n),)


def correlate_with_grade(values: pd.Series, grade: pd.Series, *, name: str, level: float = 0.95) -> Correlation:
    """Correlate one feature with the Lovett grade (Pearson, as the study did).

    Fewer than three complete participants, or a feature or grade that does not vary, leave the
    coefficient undefined: NaN, and an issue says so.

    Parameters
    ----------
    values : Series
        The feature, indexed by participant; NaN and infinite values count as missing.
    grade : Series
        Lovett grade, indexed by participant; participants without one are left out.
    name : str
        Name of the feature.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    Correlation
        Of the complete participants.
    """
    complete, outcome, n_missing = complete_cases(values.to_frame(name), grade)
    x, y = complete[name].to_numpy(), outcome.to_numpy(dtype=float)
    obstacle = ""
    if x.size < 3:
        obstacle = f"{x.size} participant(s) with a value and a grade, at least 3 needed"
    elif is_constant(x) or is_constant(y):
        obstacle = f"the {'values do' if is_constant(x) else 'grade does'} not vary"
    if obstacle:
        nan = math.nan
        issue = Issue(Severity.WARNING, name, f"{obstacle}, so there is no correlation.")
        return Correlation(name, "Pearson", nan, Interval(nan, nan, level), nan, x.size, n_missing, (issue,))
    pearson = stats.pearsonr(x, y)
    r = float(pearson.statistic)
    return Correlation(name, "Pearson", r, _fisher_interval(r, x.size, level), float(pearson.pvalue), x.size, n_missing)


def correlate_all_features(features: FeatureFrame, *, level: float = 0.95) -> tuple[Correlation, ...]:
    """Correlate every feature with the Lovett grade.

    Parameters
    ----------
    features : FeatureFrame
        Features and grades.
    level : float, default=0.95
        Coverage of the intervals, each on its own.

    Returns
    -------
    tuple of Correlation
        In the order of the columns.
    """
    return tuple(
        correlate_with_grade(column, features.grade, name=str(name), level=level)
        for name, column in features.values.items()
    )


def _fisher_interval(r: float, n: int, level: float) -> Interval:
    if n < 4:
        return Interval(math.nan, math.nan, level)
    if abs(r) == 1:
        return Interval(r, r, level)
    margin = float(stats.norm.ppf((1 + level) / 2)) / math.sqrt(n - 3)
    return Interval(math.tanh(math.atanh(r) - margin), math.tanh(math.atanh(r) + margin), level)
