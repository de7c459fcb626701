"""Correlation of features with the Lovett grade, as it is and adjusted for covariates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import align, as_floats, is_constant
from dtimuscle.statistics.estimates import Estimate, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.multiplicity import holm
from dtimuscle.statistics.partial_correlation import adjustment, known_values, partial
from dtimuscle.statistics.rank_correlation import Coefficient, kendall, pearson, spearman

Method = Literal["Pearson", "Spearman", "Kendall"]
METHODS: tuple[Method, ...] = get_args(Method)
COEFFICIENTS = {"Pearson": pearson, "Spearman": spearman, "Kendall": kendall}


@dataclass(frozen=True)
class Correlation:
    """How a feature goes with the grade.

    Parameters
    ----------
    feature : str
        Name of the feature.
    method : {"Pearson", "Spearman", "Kendall"}
        Which coefficient it is; Kendall's is τ-b.
    r : float
        Positive when better muscle function goes with higher values; NaN where undefined.
    interval : Interval
        See `interval_method`; NaN with fewer than four participants, or as many fewer as there are columns of
        covariates.
    p : float
        Two-sided P of no correlation; see `test`.
    n : int
        Participants with a value, a grade and the covariates.
    n_missing : int, default=0
        Participants with a grade in whom something else is missing.
    issues : tuple of Issue
        Why something is NaN, and which covariates were left out.
    p_holm : float, default=nan
        P corrected for the number of features (Holm); NaN where a feature stands alone.
    test, interval_method : str, default=""
        Where P and the interval come from.
    covariates : tuple of str, default=()
        What the correlation is adjusted for.
    """

    feature: str
    method: str
    r: float
    interval: Interval
    p: float
    n: int
    n_missing: int = 0
    issues: tuple[Issue, ...] = ()
    p_holm: float = math.nan
    test: str = ""
    interval_method: str = ""
    covariates: tuple[str, ...] = ()

    def estimates(self) -> tuple[Estimate, ...]:
        """Return Pearson's coefficient with its interval and P, which claims are about; nothing for others."""
        if self.method != "Pearson" or self.covariates:
            return ()
        interval = interval_or_none(self.interval)
        return (Estimate("correlation", self.feature, "", self.r, interval=interval, p=self.p, n=self.n),)


def correlate_with_grade(
    values: pd.Series,
    grade: pd.Series,
    *,
    name: str,
    method: Method = "Pearson",
    covariates: pd.DataFrame | None = None,
    level: float = 0.95,
) -> Correlation:
    """Correlate one feature with the Lovett grade.

    Pearson's r is what the study did; Spearman's ρ and Kendall's τ-b take the grade as the ranks that it is.
    Fewer than three complete participants, or a feature or grade that does not vary, leave the
    coefficient undefined: NaN, and an issue says so. The same holds for an adjusted one if the covariates explain
    the feature or the grade without rest, or leave no degree of freedom. Formulas and sources: see
    `rank_correlation` and `partial_correlation`.

    Parameters
    ----------
    values : Series
        The feature, indexed by participant; NaN and infinite values count as missing.
    grade : Series
        Lovett grade, indexed by participant; participants without one are left out.
    name : str
        Name of the feature.
    method : {"Pearson", "Spearman", "Kendall"}, default="Pearson"
        Which coefficient.
    covariates : DataFrame, optional
        What the correlation (Pearson's or Spearman's) is adjusted for, indexed by participant: numbers as they
        are, text and truth values by level. Those without any value, constant, collinear with those before, or
        text with more than ten levels are left out with an issue.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    Correlation
        Of the complete participants.

    Raises
    ------
    StatisticsError
        If the method is unknown, or is Kendall's with covariates.
    """
    _check_method(method, is_adjusted=covariates is not None)
    x, y = as_floats(align(values, grade)), as_floats(grade)
    n_graded = int(np.isfinite(y).sum())
    is_used = np.isfinite(x) & np.isfinite(y)
    others = pd.DataFrame()
    issues: tuple[Issue, ...] = ()
    if covariates is not None:
        # By place, not by name: names need not be unique.
        others, is_known, issues = _known(align(covariates, grade)[is_used], name)
        is_used[is_used] = is_known
    x, y = x[is_used], y[is_used]
    n_missing = n_graded - x.size
    nothing = Interval(math.nan, math.nan, level)
    undefined = Correlation(name, method, math.nan, nothing, math.nan, x.size, n_missing)
    if obstacle := _obstacle(x, y):
        return replace(undefined, issues=(*issues, _no_correlation(name, obstacle)))
    if covariates is None:
        return _described(undefined, COEFFICIENTS[method](x, y, level=level))
    by_rank = method == "Spearman"
    adjusted = adjustment(others, where=name, by_rank=by_rank)
    found = partial(x, y, adjusted, by_rank=by_rank, level=level)
    known = replace(undefined, issues=(*issues, *adjusted.issues), covariates=adjusted.names)
    return _described(known, found)


def correlate_all_features(
    features: FeatureFrame,
    *,
    methods: Sequence[Method] = ("Pearson",),
    covariates: Sequence[str] | None = None,
    level: float = 0.95,
) -> tuple[Correlation, ...]:
    """Correlate every feature with the Lovett grade.

    Parameters
    ----------
    features : FeatureFrame
        Features, grades and covariates.
    methods : sequence of {"Pearson", "Spearman", "Kendall"}, default=("Pearson",)
        Which coefficients.
    covariates : sequence of str, optional
        Names of the covariates that Pearson's and Spearman's coefficients are adjusted for; those that the
        participants' table lacks are left out with an issue. By default nothing is adjusted for.
    level : float, default=0.95
        Coverage of the intervals, each on its own.

    Returns
    -------
    tuple of Correlation
        One for each method and feature: all features by the first method, then all by the next. `p_holm`
        corrects for the number of features within a method.
    """
    chosen, absent = _chosen(features.covariates, covariates)
    found: list[Correlation] = []
    for method in methods:
        raw = [
            correlate_with_grade(column, features.grade, name=str(name), method=method, covariates=chosen, level=level)
            for name, column in features.values.items()
        ]
        adjusted = holm(np.array([item.p for item in raw]))
        found += [
            replace(item, p_holm=float(p), issues=(*absent, *item.issues))
            for item, p in zip(raw, adjusted, strict=True)
        ]
    return tuple(found)


def _check_method(method: str, *, is_adjusted: bool) -> None:
    if method not in METHODS:
        raise StatisticsError(f"correlation: method '{method}' found, one of {', '.join(METHODS)} needed.")
    if method == "Kendall" and is_adjusted:
        raise StatisticsError(
            "correlation: Kendall's τ-b cannot be adjusted for covariates (its distribution is not known). "
            "Choose Pearson or Spearman."
        )


def _chosen(table: pd.DataFrame, names: Sequence[str] | None) -> tuple[pd.DataFrame | None, tuple[Issue, ...]]:
    if names is None:
        return None, ()
    absent = tuple(
        Issue(Severity.NOTE, "correlation", f"not adjusted for {name}, which the table of participants lacks.")
        for name in names
        if name not in table.columns
    )
    return table[[name for name in dict.fromkeys(names) if name in table.columns]], absent


def _known(covariates: pd.DataFrame, where: str) -> tuple[pd.DataFrame, NDArray[np.bool_], tuple[Issue, ...]]:
    """Keep the participants in whom all covariates are known, of those covariates that are known in anybody."""
    known = {str(name): known_values(column) for name, column in covariates.items()}
    issues = tuple(
        Issue(Severity.WARNING, where, f"not adjusted for {name}, which is known in none of these participants.")
        for name, is_known in known.items()
        if not is_known.any()
    )
    used = [name for name, is_known in known.items() if is_known.any()]
    complete = np.all([known[name] for name in used], axis=0) if used else np.ones(len(covariates), dtype=bool)
    return covariates.loc[complete, used], complete, issues


def _obstacle(x: np.ndarray, y: np.ndarray) -> str:
    if x.size < 3:
        return f"{x.size} participant(s) with a value and a grade, at least 3 needed"
    if is_constant(x) or is_constant(y):
        return f"the {'values do' if is_constant(x) else 'grade does'} not vary"
    return ""


def _no_correlation(name: str, obstacle: str) -> Issue:
    return Issue(Severity.WARNING, name, f"{obstacle}, so there is no correlation.")


def _described(correlation: Correlation, found: Coefficient) -> Correlation:
    issues = correlation.issues
    if math.isnan(found.value):
        obstacle = f"{correlation.n} participants are too few for the covariates, or these explain everything"
        issues = (*issues, _no_correlation(correlation.feature, obstacle))
    elif not found.interval.is_defined:
        why = "the ranks agree perfectly" if abs(found.value) == 1 else "there are too few participants"
        issues = (*issues, Issue(Severity.NOTE, correlation.feature, f"{why}, so there is no interval."))
    return replace(
        correlation,
        r=found.value,
        interval=found.interval,
        p=found.p,
        test=found.test,
        interval_method=found.interval_method,
        issues=issues,
    )
