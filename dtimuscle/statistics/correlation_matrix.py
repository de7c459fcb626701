"""Correlations of features among each other."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import as_floats, is_constant
from dtimuscle.statistics.correlation import COEFFICIENTS, METHODS, Method


@dataclass(frozen=True, eq=False)
class CorrelationMatrix:
    """Correlation of each feature with each other.

    Parameters
    ----------
    method : {"Pearson", "Spearman", "Kendall"}
        Which coefficient it is.
    r, p : DataFrame
        Coefficients and their two-sided P (one test at a time), features by features; NaN where undefined.
        A feature's coefficient with itself is 1, and has no P.
    n : DataFrame of int
        Participants in whom both features are known.
    issues : tuple of Issue
        Which features have no correlation, and why.
    """

    method: str
    r: pd.DataFrame
    p: pd.DataFrame
    n: pd.DataFrame
    issues: tuple[Issue, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names, in the order of rows and columns."""
        return tuple(self.r.columns)


def correlation_matrix(values: pd.DataFrame, *, method: Method = "Pearson") -> CorrelationMatrix:
    """Correlate features with each other, each pair in those participants in whom both are known.

    Parameters
    ----------
    values : DataFrame
        One column for each feature; NaN and infinite values count as missing.
    method : {"Pearson", "Spearman", "Kendall"}, default="Pearson"
        Which coefficient; P as in `rank_correlation`.

    Returns
    -------
    CorrelationMatrix
        A pair with fewer than three participants, or in whose participants a feature does not vary, is NaN.

    Raises
    ------
    StatisticsError
        If the method is unknown.
    """
    if method not in METHODS:
        raise StatisticsError(f"correlation matrix: method '{method}' found, one of {', '.join(METHODS)} needed.")
    names = [str(name) for name in values.columns]
    numbers = as_floats(values)
    is_known = np.isfinite(numbers)
    size = len(names)
    r, p = np.full((size, size), np.nan), np.full((size, size), np.nan)
    for i in range(size):
        alone = numbers[is_known[:, i], i]
        if alone.size >= 3 and not is_constant(alone):
            r[i, i] = 1.0
        for j in range(i):
            both = is_known[:, i] & is_known[:, j]
            x, y = numbers[both, i], numbers[both, j]
            if x.size >= 3 and not is_constant(x) and not is_constant(y):
                found = COEFFICIENTS[method](x, y)
                r[i, j] = r[j, i] = found.value
                p[i, j] = p[j, i] = found.p

    def framed(cells: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(cells, index=names, columns=names)

    n = framed(is_known.T.astype(int) @ is_known.astype(int))
    return CorrelationMatrix(method, framed(r), framed(p), n, _undefined(names, r))


def _undefined(names: list[str], r: np.ndarray) -> tuple[Issue, ...]:
    without = [name for name, alone in zip(names, np.diag(r), strict=True) if np.isnan(alone)]
    issues = [
        Issue(Severity.WARNING, name, "fewer than 3 values, or values that do not vary, so there is no correlation.")
        for name in without
    ]
    pairs = [
        (names[i], names[j])
        for i, j in zip(*np.nonzero(np.tril(np.isnan(r), -1)), strict=True)
        if names[i] not in without and names[j] not in without
    ]
    what = "fewer than 3 participants have both, or one does not vary in them, so there is no correlation."
    issues += [Issue(Severity.WARNING, f"{one} and {other}", what) for other, one in pairs]
    return tuple(issues)
