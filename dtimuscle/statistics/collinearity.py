"""Collinearity: how far each feature is foretold by the others."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import as_floats
from dtimuscle.statistics.terms import COLLINEAR, standardise

# A variance inflated beyond this calls for a warning (Kutner, Applied Linear Statistical Models, 5th ed., 10.5).
LARGEST_VIF = 10.0


@dataclass(frozen=True)
class VarianceInflation:
    """Variance inflation factor of one feature.

    Parameters
    ----------
    name : str
        Feature.
    vif : float
        1 / (1 - R²) of the feature on the others: 1 where they say nothing about it; NaN where they determine
        it, or where it is constant.
    issues : tuple of Issue
        Why it is NaN or large.
    """

    name: str
    vif: float
    issues: tuple[Issue, ...] = ()


def variance_inflation(features: pd.DataFrame) -> tuple[VarianceInflation, ...]:
    """Return the variance inflation factor of each feature.

    It depends on the features alone, not on the outcome (as `car::vif` of a linear model; that of a logistic
    model weighs participants by their fitted probability). Rows with a missing value are left out.

    Parameters
    ----------
    features : DataFrame
        One numeric column for each feature.

    Returns
    -------
    tuple of VarianceInflation
        In the order of the columns.
    """
    numbers = as_floats(features)
    numbers = numbers[np.isfinite(numbers).all(axis=1)]
    names = [str(name) for name in features.columns]
    return tuple(
        VarianceInflation(name, vif, _doubts(name, vif))
        for name, vif in zip(names, inflation_factors(numbers).tolist(), strict=True)
    )


def inflation_factors(numbers: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the variance inflation factors of the columns of a matrix.

    Parameters
    ----------
    numbers : ndarray of shape (n, k)
        Without NaN.

    Returns
    -------
    ndarray of shape (k,)
        NaN for a constant column and for one that the others determine.
    """
    factors = np.full(numbers.shape[1], np.nan)
    standardised = standardise(numbers)[0]
    varies = np.flatnonzero(standardised.any(axis=0))
    centred = standardised[:, varies]
    for place, i in enumerate(varies):
        others = np.delete(centred, place, axis=1)
        residual = centred[:, place] - others @ np.linalg.lstsq(others, centred[:, place], rcond=COLLINEAR)[0]
        unexplained = float(residual @ residual) / (len(numbers) - 1)
        if unexplained > COLLINEAR**2:
            factors[i] = max(1 / unexplained, 1.0)
    return factors


def _doubts(name: str, vif: float) -> tuple[Issue, ...]:
    if np.isnan(vif):
        what = "constant, or determined by the other features: its variance inflation does not exist."
        return (Issue(Severity.WARNING, name, what, "Leave one of them out."),)
    return inflation_issue(name, vif)


def inflation_issue(name: str, vif: float) -> tuple[Issue, ...]:
    """Say that the other features carry nearly the same, where they do.

    Parameters
    ----------
    name : str
        Feature.
    vif : float
        Its variance inflation factor.
    """
    if not vif > LARGEST_VIF:
        return ()
    what = f"variance inflation {vif:.1f} (at most {LARGEST_VIF:g}): the other features carry nearly the same."
    return (Issue(Severity.WARNING, name, what, "Leave one of them out, or read the model as a whole."),)
