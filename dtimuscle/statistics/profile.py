"""Profile-likelihood intervals and likelihood-ratio tests of the terms of a logistic model."""

import math

import numpy as np
from scipy.special import ndtri

from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.log_odds import Floats, LogOdds, Maximum, inverse

MAX_ITERATIONS = 100

# The signed root of the profile deviance is brought this near to its target, in standard normal units.
TOLERANCE = 1e-11

# Log likelihoods that differ by less belong to one maximum.
SAME_HEIGHT = 1e-6

# A start far from zero, in log odds per SD.
FAR = 30.0


def likelihood_ratio(model: LogOdds, maximum: Maximum, index: int, *, is_rugged: bool = False) -> float:
    """Return how much deviance a term takes away: 2 (ℓ - ℓ without it).

    Parameters
    ----------
    model : LogOdds
        Plain or penalised; under the penalty the term is held at zero and stays in the penalty, as Heinze &
        Schemper (2002) do.
    maximum : Maximum
        Of `model`.
    index : int
        The term.
    is_rugged : bool, default=False
        As in `profile_interval`.

    Returns
    -------
    float
        Chi-squared with one degree of freedom if the term is zero; NaN if the search fails.
    """
    along = _direction(maximum.point.curvature, index)
    restricted = model.maximise(start=maximum.terms - maximum.terms[index] * along, fixed=[index])
    if not restricted.is_reached:
        return math.nan
    restricted = _higher(model, restricted, index, is_rugged=is_rugged) or restricted
    return max(2 * (maximum.point.value - restricted.point.value), 0.0)


def profile_interval(
    model: LogOdds, maximum: Maximum, index: int, *, level: float = 0.95, is_rugged: bool = False
) -> Interval:
    """Find the values of a term that a likelihood-ratio test at this level does not reject.

    Both ends solve 2 (ℓ - ℓ(b)) = χ²(level, 1), where ℓ(b) is the largest log likelihood with the term held at
    b (Venzon & Moolgavkar 1988, Appl Stat 37:87). The signed root of the left side is almost straight in b, so
    that Newton's method on it needs few steps; each is kept within the bracket found so far. The ends are
    exact, where interpolated profiles (R's `confint`) are good to three or four digits. The plain likelihood has
    one maximum. Under separation the penalised one can have several while a term is held; an end counts once no
    other start finds a higher one.

    Parameters
    ----------
    model : LogOdds
        Plain or penalised.
    maximum : Maximum
        Of `model`; reached.
    index : int
        The term.
    level : float, default=0.95
        Coverage.
    is_rugged : bool, default=False
        Whether a penalised likelihood may have several maxima, so that it is searched from several starts.

    Returns
    -------
    Interval
        On the scale of the term; an end is NaN where the search for it fails.
    """
    low, high = (_end(model, maximum, index, level, side, is_rugged=is_rugged) for side in (-1, 1))
    return Interval(low, high, level)


def _end(model: LogOdds, maximum: Maximum, index: int, level: float, side: int, *, is_rugged: bool) -> float:
    target = float(ndtri((1 + level) / 2))
    best, terms = maximum.terms[index], maximum.terms
    along = _direction(maximum.point.curvature, index)
    distance = target * math.sqrt(inverse(maximum.point.curvature)[index, index])
    if not math.isfinite(distance):
        return math.nan
    # With thousands of participants the log likelihood itself has fewer digits.
    tolerance = max(TOLERANCE, 8 * float(np.finfo(float).eps) * abs(maximum.point.value))
    narrowest = 4 * float(np.finfo(float).eps)
    inside, outside = 0.0, math.inf
    for _ in range(MAX_ITERATIONS):
        held = model.maximise(start=terms + (best + side * distance - terms[index]) * along, fixed=[index])
        if held.is_reached:
            root = math.sqrt(max(2 * (maximum.point.value - held.point.value), 0.0))
            if abs(root - target) <= tolerance or outside - inside <= narrowest * distance:
                higher = _higher(model, held, index, is_rugged=is_rugged)
                if higher is None:
                    return float(best + side * distance)
                held, outside = higher, math.inf
                root = math.sqrt(max(2 * (maximum.point.value - held.point.value), 0.0))
            slope = -side * float(held.point.score[index]) / root if root > 0 else math.nan
            terms, along = held.terms, _direction(held.point.curvature, index)
        else:  # so far out that the likelihood has no digits left
            root, slope = math.inf, math.nan
        inside, outside = (distance, outside) if root < target else (inside, distance)
        if not held.is_reached and outside - inside <= narrowest * distance:
            return float(best + side * distance)
        distance = _next(distance, (target - root) / slope if slope > 0 else math.nan, inside, outside)
    return math.nan


def _higher(model: LogOdds, held: Maximum, index: int, *, is_rugged: bool) -> Maximum | None:
    """Look for a better maximum with this term held, from zero and with each other term turned, zero or far out."""
    if not model.is_penalised:
        return None
    origin = _with(np.zeros(held.terms.size), index, held.terms[index])
    starts: list[Floats] = [origin]
    for other in np.delete(np.arange(held.terms.size), index).tolist() if is_rugged else ():
        starts += [_with(held.terms, other, value) for value in (-held.terms[other], 0.0)]
        starts += [_with(origin, other, value) for value in (-FAR, FAR)]
    found = [maximum for maximum in (model.maximise(start=s, fixed=[index]) for s in starts) if maximum.is_reached]
    best = max(found, key=lambda maximum: maximum.point.value, default=held)
    return best if best.point.value > held.point.value + SAME_HEIGHT else None


def _with(terms: Floats, index: int, value: float) -> Floats:
    changed = terms.copy()
    changed[index] = value
    return changed


def _next(distance: float, step: float, inside: float, outside: float) -> float:
    if inside < distance + step < min(outside, 4 * distance):
        return distance + step
    return 2 * distance if math.isinf(outside) else (inside + outside) / 2


def _direction(curvature: Floats, index: int) -> Floats:
    """Say how the other terms follow when this one moves by 1."""
    covariance = inverse(curvature)
    direction = covariance[:, index] / covariance[index, index]
    return direction if np.isfinite(direction).all() else np.eye(len(curvature))[index]
