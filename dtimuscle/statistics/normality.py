"""Whether values could come from a normal distribution."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from dtimuscle.statistics.complete_cases import is_constant

# Royston's approximation was made for these sizes.
SMALLEST, LARGEST = 3, 5000

# Up to this size the distribution of W is approximated on another scale.
_SMALL_SAMPLE = 11

# Royston's polynomials: in 1/√n for the two outermost coefficients, in n for samples up to 11, in log n above.
_LAST = (0.0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056)
_LAST_BUT_ONE = (0.0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633)
_SMALL_BOUND = (-2.273, 0.459)
_SMALL_MEAN = (0.544, -0.39978, 0.025054, -6.714e-4)
_SMALL_LOG_SD = (1.3822, -0.77857, 0.062767, -0.0020322)
_LARGE_MEAN = (-1.5861, -0.31082, -0.083751, 0.0038915)
_LARGE_LOG_SD = (-0.4803, -0.082676, 0.0030302)


@dataclass(frozen=True)
class ShapiroWilk:
    """Shapiro–Wilk test of normality.

    Parameters
    ----------
    w : float
        Near 1 where the ordered values follow those of a normal distribution; NaN where undefined.
    p : float
        P of such a W or a smaller one under normality; NaN where undefined.
    """

    w: float
    p: float


def shapiro_wilk(values: NDArray[np.float64]) -> ShapiroWilk:
    """Test whether values could come from a normal distribution (Shapiro & Wilk 1965).

    Algorithm AS R94 (Royston 1995) with normal quantiles and tails in full precision, as R's `shapiro.test`
    has it. `scipy.stats.shapiro` takes them from older approximations, which moves P by some 1e-8 of itself.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Without missing values.

    Returns
    -------
    ShapiroWilk
        NaN with fewer than 3 or more than 5000 values, and with values that do not vary.
    """
    n = values.size
    if not SMALLEST <= n <= LARGEST or is_constant(values):
        return ShapiroWilk(math.nan, math.nan)
    ordered = np.sort(values)
    deviations = (ordered - np.median(ordered)) / (ordered[-1] - ordered[0])
    deviations -= deviations.mean()
    weights = _weights(n)
    along, spread = float(weights @ deviations), math.sqrt(float(deviations @ deviations))
    # 1 - W as a product keeps its digits where W is near 1.
    distance = max((spread - along) * (spread + along) / spread**2, 0.0)
    return ShapiroWilk(1 - distance, _upper_tail(distance, n))


@lru_cache(maxsize=256)
def _weights(n: int) -> NDArray[np.float64]:
    """Coefficients of the ordered values, of length one."""
    if n == SMALLEST:
        return _read_only(np.array([-1.0, 0.0, 1.0]) * math.sqrt(0.5))
    scores = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    scores = (scores - scores[::-1]) / 2
    total = float(scores @ scores)
    weights = scores / math.sqrt(total)
    outer = [_polynomial(_LAST, 1 / math.sqrt(n)) + weights[-1]]
    if n > 5:
        outer.append(_polynomial(_LAST_BUT_ONE, 1 / math.sqrt(n)) + weights[-2])
    k = len(outer)
    left = total - 2 * float(scores[-k:] @ scores[-k:])
    factor = math.sqrt(left / (1 - 2 * sum(weight**2 for weight in outer)))
    weights = scores / factor
    weights[-k:] = outer[::-1]
    weights[:k] = -np.array(outer)
    return _read_only(weights / math.sqrt(float(weights @ weights)))


def _read_only(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Protect what the cache hands out to everybody."""
    weights.flags.writeable = False
    return weights


def _upper_tail(distance: float, n: int) -> float:
    """P of 1 - W being as large as this."""
    if n == SMALLEST:  # exact; 6/π and π/3 in the digits of AS R94 and R, which decide where P becomes zero
        return max(1.90985931710274 * (math.asin(math.sqrt(1 - distance)) - 1.04719755119660), 0.0)
    if distance == 0:
        return 1.0
    y = math.log(distance)
    if n > _SMALL_SAMPLE:
        mean, sd = _polynomial(_LARGE_MEAN, math.log(n)), math.exp(_polynomial(_LARGE_LOG_SD, math.log(n)))
    else:
        bound = _polynomial(_SMALL_BOUND, n)
        if y >= bound:
            return 1e-99  # as AS R94 and R have it: beyond the approximation's end
        y = -math.log(bound - y)
        mean, sd = _polynomial(_SMALL_MEAN, n), math.exp(_polynomial(_SMALL_LOG_SD, n))
    return float(ndtr((mean - y) / sd))


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    return sum(c * x**power for power, c in enumerate(coefficients))
