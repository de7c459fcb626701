"""Correlation adjusted for covariates: of what they leave unexplained in either of two rows of numbers."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import as_floats, is_constant, is_numeric
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.rank_correlation import FIELLER, Coefficient, as_unit, fisher_interval, t_test_of

Floats = NDArray[np.floating]

# Text with more different entries (a comment, a date, a serial number) describes nobody.
MAX_LEVELS = 10

# What covariates leave of a column, as a fraction of its length, is rounding below this.
_UNEXPLAINED = 1e-8


@dataclass(frozen=True, eq=False)
class Adjustment:
    """The covariates that a correlation can be adjusted for, as columns of numbers.

    Parameters
    ----------
    names : tuple of str
        Covariates that can be used.
    columns : ndarray of shape (n, k)
        They, without what the others already say: numbers as they are, one column for each level of a
        category but the first.
    issues : tuple of Issue
        Which covariates were left out, and why.
    """

    names: tuple[str, ...]
    columns: Floats
    issues: tuple[Issue, ...]


def is_category(column: pd.Series) -> bool:
    """Tell whether a covariate is a category: text or truth values.

    Parameters
    ----------
    column : Series
        The covariate.
    """
    return not is_numeric(column)


def known_values(column: pd.Series) -> NDArray[np.bool_]:
    """Tell in whom a covariate is known; infinite numbers are not.

    Parameters
    ----------
    column : Series
        The covariate.
    """
    if is_category(column):
        return column.notna().to_numpy(dtype=bool)
    return np.isfinite(as_floats(column))


def adjustment(covariates: pd.DataFrame, *, where: str, by_rank: bool = False) -> Adjustment:
    """Turn covariates into columns of numbers, leaving out those that cannot be used.

    Left out are covariates that do not vary, text with more than ten levels, and what follows exactly from
    those before (collinear).

    Parameters
    ----------
    covariates : DataFrame
        Without missing values.
    where : str
        What is adjusted, for the issues.
    by_rank : bool, default=False
        Whether numbers are replaced by their ranks.

    Returns
    -------
    Adjustment
        Columns that are orthogonal, of mean 0 and length 1.
    """
    kept: list[str] = []
    basis: Floats = np.empty((len(covariates), 0))
    issues = []
    for name, column in covariates.items():
        obstacle = _obstacle(column)
        if not obstacle:
            wider = _extended(basis, _numbers(column, by_rank=by_rank))
            obstacle = "follows from the covariates before it" if wider.shape[1] == basis.shape[1] else ""
            basis = wider
        if obstacle:
            issues.append(Issue(Severity.WARNING, where, f"not adjusted for {name}, which {obstacle}."))
        else:
            kept.append(str(name))
    return Adjustment(tuple(kept), basis, tuple(issues))


def partial(x: Floats, y: Floats, adjusted: Adjustment, *, by_rank: bool = False, level: float = 0.95) -> Coefficient:
    """Partial correlation: Pearson's of the residuals of x and y from a linear regression on the covariates.

    Spearman's is the same of the ranks (as in R's ppcor). With k columns of covariates, P comes from t with
    n - 2 - k degrees of freedom, and the interval is Fisher's with n - 3 - k (Fisher 1924), for ranks with the
    variance of Fieller, Hartley & Pearson (1957).

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Both vary.
    adjusted : Adjustment
        The covariates.
    by_rank : bool, default=False
        Whether x and y are replaced by their ranks.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Coefficient
        NaN where nothing is left of x or y, or with fewer than one degree of freedom.
    """
    k = adjusted.columns.shape[1]
    test, method = f"t with {x.size - 2 - k} degrees of freedom", "Fisher's z"
    if by_rank:
        x, y, method = stats.rankdata(x), stats.rankdata(y), "Fisher's z with Fieller's variance"
    rest_x, rest_y = (_rest(as_unit(values), adjusted.columns) for values in (x, y))
    if rest_x is None or rest_y is None or x.size - 2 - k < 1:
        nan = math.nan
        return Coefficient(nan, Interval(nan, nan, level), nan, test, method)
    r = float(np.clip(rest_x @ rest_y, -1, 1))
    interval = fisher_interval(r, x.size - k, level=level, variance=FIELLER if by_rank else 1.0)
    return Coefficient(r, interval, t_test_of(r, x.size - 2 - k), test, method)


def _obstacle(column: pd.Series) -> str:
    if column.nunique() < 2 or (not is_category(column) and is_constant(as_floats(column))):
        return "does not vary"
    if is_category(column) and column.nunique() > MAX_LEVELS:
        return f"is text with {column.nunique()} different entries (at most {MAX_LEVELS})"
    return ""


def _numbers(column: pd.Series, *, by_rank: bool) -> Floats:
    if is_category(column):
        levels = sorted(column.unique(), key=str)[1:]
        return np.column_stack([(column == level).to_numpy(dtype=float) for level in levels])
    numbers = as_floats(column)
    return (stats.rankdata(numbers) if by_rank else numbers)[:, None]


def _rest(values: Floats, basis: Floats) -> Floats | None:
    """Return what a basis leaves of values of length 1, brought to length 1; None where nothing is left."""
    rest = values
    for _ in range(2):  # the second time removes what rounding has left
        rest = rest - basis @ (basis.T @ rest)
    length = np.linalg.norm(rest)
    return rest / length if length > _UNEXPLAINED else None


def _extended(basis: Floats, columns: Floats) -> Floats:
    for values in columns.T:
        rest = _rest(as_unit(values), basis)
        if rest is not None:
            basis = np.column_stack([basis, rest])
    return basis
