"""How far two measurements of the same participants lie apart: bias and limits of agreement."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr, stdtrit

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.complete_cases import ROUNDING, SMALLEST, as_floats
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.noncentral_t import share_above

# With fewer participants no spread of the differences is known.
FEWEST = 3

# Share of future differences that the limits are meant to hold.
SHARE_WITHIN = 0.95

_ACCURACY = 1e-13


@dataclass(frozen=True, eq=False)
class BlandAltman:
    """The differences between two occasions.

    Parameters
    ----------
    feature : str
        Name of the feature.
    first, second : str
        The occasions; differences are second minus first.
    points : DataFrame
        Index `participant_id`; `mean` of the two values and their `difference`, in the unit of the feature.
    bias : float
        Mean difference.
    bias_interval : Interval
        By Student's t.
    p : float
        Two-sided P of the paired t test; NaN where the differences do not vary.
    sd : float
        Standard deviation of the differences (n - 1).
    lower, upper : float
        Limits of agreement, bias ∓ 1.96 SD (1.96 being the normal quantile).
    lower_interval, upper_interval : Interval
        Exact, from the noncentral t distribution.
    slope, slope_p : float
        Slope of the differences over the means, and its P: whether large values differ otherwise than small ones.
    spread_p : float
        P of the slope of the absolute residuals of that line over the means: whether large values repeat worse, or
        better, than small ones.
    ratio, ratio_lower, ratio_upper : float
        Geometric mean of second over first, and limits of agreement of this ratio (from the logarithms), which fit
        where the spread grows with the value; NaN where a value is not positive.
    """

    feature: str
    first: str
    second: str
    points: pd.DataFrame
    bias: float
    bias_interval: Interval
    p: float
    sd: float
    lower: float
    lower_interval: Interval
    upper: float
    upper_interval: Interval
    slope: float
    slope_p: float
    spread_p: float = math.nan
    ratio: float = math.nan
    ratio_lower: float = math.nan
    ratio_upper: float = math.nan

    @property
    def n(self) -> int:
        """Participants with both values."""
        return len(self.points)

    @property
    def outside(self) -> tuple[str, ...]:
        """Participants whose difference lies outside the limits, the farthest from the bias first."""
        distance = (self.points["difference"] - self.bias).abs()
        is_out = (self.points["difference"] < self.lower) | (self.points["difference"] > self.upper)
        return tuple(distance[is_out].sort_values(ascending=False, kind="stable").index.astype(str))


def compare_occasions(first: pd.Series, second: pd.Series, *, feature: str, level: float = 0.95) -> BlandAltman:
    """Find bias and limits of agreement between two occasions (Bland & Altman 1986, Lancet 1:307; 1999).

    Differences d are second minus first. The limits are mean(d) ∓ z SD(d) with z = Φ⁻¹(0.975). For normal differences
    the limit μ + zσ has an exact interval: mean(d) + SD(d) t' / √n with the quantiles t' of the noncentral t with n - 1
    degrees of freedom and noncentrality z√n (Carkeet 2015, Optom Vis Sci 92:e71). Bland and Altman's own intervals
    (1999, Stat Methods Med Res 8:135) approximate it and are too short for small n. Whether the spread depends on the
    value is asked as there: by the regression of the absolute residuals on the means.

    Parameters
    ----------
    first, second : Series
        Values on each occasion, indexed by participant; their names are those of the occasions. Participants who lack
        one are left out.
    feature : str
        Name of the feature.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    BlandAltman
        Everything but `points` is NaN with fewer than three participants. Differences that do not vary have a bias
        and limits that are equal to it, and neither intervals nor P.

    Raises
    ------
    StatisticsError
        If the two occasions are not about the same participants.
    """
    if not first.index.equals(second.index):
        raise StatisticsError(f"{feature}: the two occasions are not about the same participants. Index both alike.")
    pairs = np.column_stack([as_floats(first), as_floats(second)])
    complete = np.flatnonzero(np.isfinite(pairs).all(axis=1))
    pairs = pairs[complete]
    points = pd.DataFrame(
        {"mean": pairs.mean(axis=1), "difference": pairs[:, 1] - pairs[:, 0]}, index=first.index[complete]
    )
    nan, unknown = math.nan, Interval(math.nan, math.nan, level)
    names = (feature, str(first.name), str(second.name))
    n = len(points)
    if n < FEWEST:
        return BlandAltman(*names, points, nan, unknown, nan, nan, nan, unknown, nan, unknown, nan, nan)
    differences = pairs[:, 1] - pairs[:, 0]
    bias = float(differences.mean())
    if _is_constant(differences, made_of=pairs):
        return BlandAltman(*names, points, bias, unknown, nan, 0.0, bias, unknown, bias, unknown, nan, nan)
    sd = float(differences.std(ddof=1))
    se = sd / math.sqrt(n)
    margin = float(stdtrit(n - 1, (1 + level) / 2)) * se
    z = float(ndtri((1 + SHARE_WITHIN) / 2))
    inner, outer = (
        se * _noncentral_quantile(share, n - 1, z * math.sqrt(n)) for share in ((1 - level) / 2, (1 + level) / 2)
    )
    means = points["mean"].to_numpy()
    slope, slope_p, residual = _line(means, differences)
    spread_p = math.nan if _is_constant(np.abs(residual), made_of=pairs) else _line(means, np.abs(residual))[1]
    ratio, ratio_lower, ratio_upper = _ratio(pairs, z)
    return BlandAltman(
        *names,
        points,
        bias=bias,
        bias_interval=Interval(bias - margin, bias + margin, level),
        p=float(2 * stdtr(n - 1, -abs(bias / se))),
        sd=sd,
        lower=bias - z * sd,
        lower_interval=Interval(bias - outer, bias - inner, level),
        upper=bias + z * sd,
        upper_interval=Interval(bias + inner, bias + outer, level),
        slope=slope,
        slope_p=slope_p,
        spread_p=spread_p,
        ratio=ratio,
        ratio_lower=ratio_lower,
        ratio_upper=ratio_upper,
    )


def _is_constant(numbers: NDArray[np.floating], *, made_of: NDArray[np.floating]) -> bool:
    """Say whether numbers vary by no more than the rounding of the values that they were made of."""
    return bool(np.ptp(numbers) <= ROUNDING * np.abs(made_of).max() + SMALLEST)


def _line(means: NDArray[np.floating], values: NDArray[np.floating]) -> tuple[float, float, NDArray[np.floating]]:
    """Slope of the least-squares line, P of its t test, and residuals; residuals of the mean where all means agree."""
    y = values - values.mean()
    if _is_constant(means, made_of=means):
        return math.nan, math.nan, y
    x = means - means.mean()
    slope = float(x @ y / (x @ x))
    residual = y - slope * x
    df = len(x) - 2
    se = math.sqrt(float(residual @ residual) / df / float(x @ x))
    return slope, float(2 * stdtr(df, -abs(slope) / se)) if se > 0 else math.nan, residual


def _ratio(pairs: NDArray[np.floating], z: float) -> tuple[float, float, float]:
    """Geometric mean of second over first, and its limits of agreement."""
    if not (pairs > 0).all():
        return math.nan, math.nan, math.nan
    logs = np.log(pairs[:, 1]) - np.log(pairs[:, 0])
    mean, sd = float(logs.mean()), float(logs.std(ddof=1))
    return math.exp(mean), math.exp(mean - z * sd), math.exp(mean + z * sd)


def _noncentral_quantile(share: float, df: int, noncentrality: float) -> float:
    """Value below which a noncentral t lies with a given probability; the noncentrality is positive."""

    def excess(t: float) -> float:
        # A negative t is the mirror image of a positive one.
        above = share_above(t, df, noncentrality) if t >= 0 else 1 - share_above(-t, df, -noncentrality)
        return (1 - above) - share

    low, high = min(0.0, -noncentrality), 2 * noncentrality
    while excess(low) > 0:
        low *= 2
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, low, high, xtol=_ACCURACY * noncentrality, rtol=_ACCURACY))
