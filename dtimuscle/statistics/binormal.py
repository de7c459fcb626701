"""A smooth ROC curve: what the observed one looks like if both groups were normally distributed."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri


@dataclass(frozen=True)
class BinormalCurve:
    """A binormal ROC curve: sensitivity = Φ(a + b Φ⁻¹(1 - specificity)).

    Parameters
    ----------
    a : float
        Distance of the groups' means, in standard deviations of the poor group; NaN where there is no curve.
    b : float
        Standard deviation of the good group over that of the poor group; NaN where there is no curve.
    auc : float
        Area under the curve, Φ(a / √(1 + b²)).
    n_points : int
        Observed points that the line was laid through.
    """

    a: float
    b: float
    auc: float
    n_points: int

    @property
    def is_defined(self) -> bool:
        """Whether there is a curve."""
        return not math.isnan(self.auc)

    def sensitivity_at(self, specificity: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the sensitivity of the smooth curve.

        Parameters
        ----------
        specificity : ndarray
            From 0 to 1.
        """
        with np.errstate(invalid="ignore"):  # 0 × ∞, of a curve that does not exist
            return ndtr(self.a + self.b * ndtri(1 - specificity))


def fit_binormal(specificity: NDArray[np.floating], sensitivity: NDArray[np.floating]) -> BinormalCurve:
    """Lay a binormal curve through the points of an empirical ROC curve.

    A straight line is fitted by least squares to Φ⁻¹(specificity) over Φ⁻¹(sensitivity), as
    `smooth(method = "binormal")` of R's pROC does (Hanley 1988); a and b follow from its intercept and slope. Points
    with a sensitivity or specificity of 0 or 1 have no place on that scale and are left out. Neighbouring points share
    participants, so the line's own standard errors mean nothing and none are given. This is not the
    maximum-likelihood fit of Dorfman and Alf.

    Parameters
    ----------
    specificity, sensitivity : ndarray of shape (k,)
        Points of the curve.

    Returns
    -------
    BinormalCurve
        NaN where fewer than two points are left (as when one threshold splits the groups perfectly), or all of them
        have one sensitivity or one specificity.
    """
    inner = (specificity > 0) & (specificity < 1) & (sensitivity > 0) & (sensitivity < 1)
    x, y = ndtri(sensitivity[inner]), ndtri(specificity[inner])
    n_points = int(inner.sum())
    if n_points < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return BinormalCurve(math.nan, math.nan, math.nan, n_points)
    centred = x - x.mean()
    slope = float(centred @ (y - y.mean()) / (centred @ centred))
    intercept = float(y.mean() - slope * x.mean())
    auc = float(ndtr(intercept / math.sqrt(1 + slope**2)))
    return BinormalCurve(-intercept / slope, -1 / slope, auc, n_points)
