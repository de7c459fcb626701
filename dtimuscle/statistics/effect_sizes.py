"""How far two groups lie apart, in units that don't depend on the scale."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln

from dtimuscle.statistics.complete_cases import ROUNDING
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.noncentral_t import share_above

# How far about t the noncentrality is sought at first, in standard deviations of t.
_REACH = 3.0


@dataclass(frozen=True)
class HedgesG:
    """The standardised difference of two means.

    Parameters
    ----------
    value : float
        Difference in pooled SDs, corrected for small samples; NaN where undefined.
    interval : Interval
        Confidence interval of the difference in the population's SDs; NaN where undefined.
    """

    value: float
    interval: Interval


def hedges_g(t: float, n_first: int, n_second: int, *, level: float = 0.95) -> HedgesG:
    """Standardise the difference of two means (Hedges 1981), from Student's t.

    g = J(df) t √(1/n₁ + 1/n₂). For the interval, t is held against the noncentral t distribution: its ends
    are the differences δ for which a t this high, or this low, would be seen in (1 - level) / 2 of all
    studies, with noncentrality δ / √(1/n₁ + 1/n₂) (Steiger & Fouladi 1997; Cumming & Finch 2001). It is
    exact for normal values of equal spread and is not multiplied by J, which corrects the estimate and has
    no place in a statement about δ.

    Parameters
    ----------
    t : float
        Student's statistic (equal variances).
    n_first, n_second : int
        Values in the groups.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    HedgesG
        NaN where t is, and with fewer than four values, where J is zero or undefined.
    """
    df = n_first + n_second - 2
    if not math.isfinite(t) or df < 2:
        return HedgesG(math.nan, Interval(math.nan, math.nan, level))
    root = math.sqrt(1 / n_first + 1 / n_second)
    low, high = (root * _noncentrality(abs(t), df, share) for share in ((1 + level) / 2, (1 - level) / 2))
    interval = Interval(low, high, level) if t >= 0 else Interval(-high, -low, level)
    return HedgesG(small_sample_correction(df) * t * root, interval)


def small_sample_correction(df: float) -> float:
    """Return Hedges' exact factor J(df) = Γ(df/2) / (√(df/2) Γ((df - 1)/2)) (Hedges 1981).

    Parameters
    ----------
    df : float
        Degrees of freedom of the pooled SD.
    """
    return math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2)


def standardised_difference(means: tuple[float, float], sds: tuple[float, float]) -> float:
    """Hold the difference of two means against the spread of both groups alike (Austin 2009).

    d = (m₁ - m₂) / √((s₁² + s₂²) / 2). Unlike a P it does not grow with the number of patients; beyond 0.1
    groups are commonly called unbalanced.

    Parameters
    ----------
    means, sds : tuple of (float, float)
        Of the two groups.

    Returns
    -------
    float
        NaN where a mean or SD is undefined, or neither group varies.
    """
    spread = math.hypot(*sds) / math.sqrt(2)
    varies = spread > ROUNDING * max(abs(mean) for mean in means)
    return (means[0] - means[1]) / spread if varies else math.nan


def categorical_distance(counts: NDArray[np.integer]) -> float:
    """Standardise the difference of two groups in the shares of a category (Yang & Dalton 2012).

    The Mahalanobis distance √((p₁ - p₂)ᵀ S⁻¹ (p₁ - p₂)) of the shares of all levels but one, with S the mean
    of the groups' multinomial covariances. It has no sign. With two levels it is
    |p₁ - p₂| / √((p₁(1 - p₁) + p₂(1 - p₂)) / 2) (Austin 2009).

    Parameters
    ----------
    counts : ndarray of int, shape (2, k)
        Participants of each group with each level.

    Returns
    -------
    float
        Zero for a single level. NaN when a group is empty, and when the levels tell the groups apart without
        error in some direction, so that the distance would be infinite.
    """
    totals = counts.sum(axis=1)
    if not totals.all():
        return math.nan
    occurring = counts[:, counts.any(axis=0)]
    shares = (occurring / totals[:, None])[:, 1:]
    covariance = sum(np.diag(share) - np.outer(share, share) for share in shares) / 2
    difference = shares[0] - shares[1]
    if not difference.any():
        return 0.0
    eigenvalues, vectors = np.linalg.eigh(covariance)
    along = vectors.T @ difference
    is_flat = eigenvalues <= 1e-12 * max(eigenvalues.max(), 1e-12)
    if (np.abs(along[is_flat]) > 1e-9).any():
        return math.nan
    return math.sqrt(float((along[~is_flat] ** 2 / eigenvalues[~is_flat]).sum()))


def _noncentrality(t: float, df: int, share: float) -> float:
    """Noncentrality at which `share` of all t fall below this one, which is not negative."""

    def excess(noncentrality: float) -> float:
        return 1 - share_above(t, df, noncentrality) - share

    # As wide is the distribution of t about its noncentrality (Johnson & Welch 1940).
    width = math.hypot(1, t / math.sqrt(2 * df))
    low, high = t - _REACH * width, t + _REACH * width
    while excess(low) < 0:
        low -= width
    while excess(high) > 0:
        high += width
    return float(brentq(excess, low, high, xtol=1e-13 * max(1.0, t), rtol=1e-14))
