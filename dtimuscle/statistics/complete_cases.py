"""Which participants an analysis can use, and when their values do not vary."""

from numbers import Real
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.errors import StatisticsError

_Rows = TypeVar("_Rows", pd.Series, pd.DataFrame)

# Values that differ by less than this fraction of the largest one differ by rounding only.
ROUNDING = 1e-12

# One over a difference smaller than this may be no number.
SMALLEST = 1e-300


def align(values: _Rows, outcome: pd.Series) -> _Rows:
    """Put values into the order of the outcome, by participant.

    Parameters
    ----------
    values : Series or DataFrame
        Indexed by participant.
    outcome : Series
        Grade or group, indexed by the same participants in any order.

    Returns
    -------
    Series or DataFrame
        `values` with the index of `outcome`.

    Raises
    ------
    StatisticsError
        If the two do not describe the same participants.
    """
    if values.index.equals(outcome.index):
        return values
    if not (values.index.is_unique and set(values.index) == set(outcome.index)):
        raise StatisticsError(
            f"values of {len(values)} participants and outcomes of {len(outcome)} are not about the same people. "
            "Index both by participant_id."
        )
    return values.reindex(outcome.index)


def as_floats(values: pd.Series | pd.DataFrame) -> NDArray[np.float64]:
    """Return values as floats, with NaN for everything that is missing or infinite.

    Parameters
    ----------
    values : Series or DataFrame
        Numbers of any type, also nullable ones.
    """
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def is_numeric(column: pd.Series) -> bool:
    """Tell whether a column holds numbers, also where they are kept as objects; truth values are none.

    Parameters
    ----------
    column : Series
        A feature or covariate.
    """
    if column.dtype == object:
        return all(isinstance(value, Real) and not isinstance(value, bool) for value in column.dropna())
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def complete_cases(features: pd.DataFrame, outcome: pd.Series) -> tuple[pd.DataFrame, pd.Series, int]:
    """Keep the participants in whom the outcome and every feature are known.

    Infinite values count as missing.

    Parameters
    ----------
    features : DataFrame
        One column for each feature, indexed by participant.
    outcome : Series
        Grade or group; participants without it take no part and are not counted as missing.

    Returns
    -------
    features : DataFrame of float
        The complete rows.
    outcome : Series
        Their outcomes.
    n_missing : int
        Participants with an outcome that were left out because a feature is missing.
    """
    features = align(features, outcome)
    known = outcome.notna().to_numpy(dtype=bool)
    numbers = as_floats(features)
    complete = known & np.isfinite(numbers).all(axis=1)
    kept = pd.DataFrame(numbers[complete], index=features.index[complete], columns=features.columns)
    return kept, outcome[complete], int(known.sum() - complete.sum())


def is_constant(values: NDArray[np.float64]) -> bool:
    """Tell whether values do not vary, up to rounding; true for fewer than two values.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Numbers without NaN.
    """
    if values.size < 2:
        return True
    return bool(np.ptp(values) <= max(ROUNDING * np.abs(values).max(), SMALLEST))
