"""The area under the part of a ROC curve where a test has to work: at high specificity."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtimuscle.errors import StatisticsError


@dataclass(frozen=True)
class PartialAuc:
    """Area under a ROC curve between specificity 1 and a lowest specificity.

    Parameters
    ----------
    value : float
        The area itself; at most 1 - `min_specificity`.
    standardised : float
        Rescaled so that chance is 0.5 and a perfect test 1 (McClish 1989); NaN where the area is smaller than
        that of chance, for which the formula was not made (as in R's pROC).
    min_specificity : float
        Where the part ends.
    """

    value: float
    standardised: float
    min_specificity: float


def check_min_specificity(min_specificity: float) -> None:
    """Make sure that there is a part of the curve to look at.

    Parameters
    ----------
    min_specificity : float
        At least 0 and below 1.

    Raises
    ------
    StatisticsError
        If it is anything else.
    """
    if not 0 <= min_specificity < 1:
        raise StatisticsError(
            f"min_specificity {min_specificity} found, a number from 0 (the whole curve) to below 1 needed."
        )


def partial_area(
    false_positive: NDArray[np.floating] | NDArray[np.integer],
    sensitivity: NDArray[np.floating] | NDArray[np.integer],
    *,
    limit: float,
) -> NDArray[np.floating]:
    """Compute the area under piecewise linear curves, from the left up to a limit.

    Parameters
    ----------
    false_positive : ndarray of shape (..., k)
        Share of the good group called poor, from 0 upwards, in any unit.
    sensitivity : ndarray of shape (..., k)
        At the same thresholds, in any unit.
    limit : float
        Where the area ends, in the unit of `false_positive`.

    Returns
    -------
    ndarray of shape (...)
        In the product of the two units.
    """
    left, right = (np.minimum(side, limit) for side in (false_positive[..., :-1], false_positive[..., 1:]))
    full = false_positive[..., 1:] - false_positive[..., :-1]
    width = right - left
    share = np.divide(width, full, out=np.zeros(width.shape), where=full > 0)
    low = sensitivity[..., :-1]
    return (width * (low + (sensitivity[..., 1:] - low) * share / 2)).sum(axis=-1)


def standardise_partial_area(area: float, min_specificity: float) -> float:
    """Rescale a partial area so that chance is 0.5 and perfection 1 (McClish 1989).

    Parameters
    ----------
    area : float
        Between specificity 1 and `min_specificity`.
    min_specificity : float
        At least 0 and below 1.

    Returns
    -------
    float
        (1 + (area - chance) / (largest - chance)) / 2; below 0.5 for a curve below chance.
    """
    largest = 1 - min_specificity
    chance = largest**2 / 2
    return (1 + (area - chance) / (largest - chance)) / 2


def partial_auc(
    specificity: NDArray[np.floating], sensitivity: NDArray[np.floating], *, min_specificity: float = 0.8
) -> PartialAuc:
    """Measure the area under the part of a ROC curve with at least some specificity.

    Between two observed points the curve is a straight line, as for the whole area.

    Parameters
    ----------
    specificity, sensitivity : ndarray of shape (k,)
        Points of the curve, from specificity 1 downwards.
    min_specificity : float, default=0.8
        At least 0 (the whole curve) and below 1.

    Returns
    -------
    PartialAuc
        The area, raw and standardised.

    Raises
    ------
    StatisticsError
        If `min_specificity` is out of range.
    """
    check_min_specificity(min_specificity)
    area = float(partial_area(1 - specificity, sensitivity, limit=1 - min_specificity))
    standardised = standardise_partial_area(area, min_specificity)
    # Rounding must not take its value from a curve that runs along the diagonal.
    is_below_chance = standardised < 0.5 - 1e-12
    return PartialAuc(area, math.nan if is_below_chance else standardised, min_specificity)
