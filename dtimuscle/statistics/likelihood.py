"""Quick logistic fits, many at once, for the thousands that resampling needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

MAX_ITERATIONS = 50
MAX_HALVINGS = 12

# A step that moves no log odds by more than this is the last one: the next would move them by its square.
LAST_STEP = 1e-6

# Steps that move the log odds by more than LONG_STEP although the log likelihood gains less than STALLED_GAIN lead
# to infinity (separation); at a maximum there are none.
STALLED_GAIN = 1e-7
LONG_STEP = 0.1

# Keeps a singular information matrix soluble, relative to its diagonal; the maximum does not depend on it.
RIDGE = 1e-10
RIDGE_OF_COVARIANCE = 1e-14
SMALLEST_RIDGE = 1e-200

# Smaller probabilities have no finite logarithm.
SMALLEST_PROBABILITY = 1e-300

# Log odds are kept within ± this where a probability of exactly 0 or 1 would make them infinite.
LARGEST_LOG_ODDS = 30.0


@dataclass(frozen=True, eq=False)
class QuickFits:
    """Maximum-likelihood fits of several logistic models.

    Parameters
    ----------
    terms : ndarray of shape (b, k)
        Coefficients of each model; under separation where the search was ended.
    covariance : ndarray of shape (b, k, k)
        Inverse information at `terms`.
    log_likelihood : ndarray of shape (b,)
        Of each model.
    is_finite : ndarray of bool, shape (b,)
        Whether the maximum was reached; false under separation.
    """

    terms: NDArray[np.floating]
    covariance: NDArray[np.floating]
    log_likelihood: NDArray[np.floating]
    is_finite: NDArray[np.bool_]


def maximise_likelihood(
    designs: NDArray[np.floating],
    is_event: NDArray[np.bool_],
    *,
    start: NDArray[np.floating] | None = None,
    offset: NDArray[np.floating] | None = None,
) -> QuickFits:
    """Fit logistic models by Newton's method, halving steps that lower the likelihood.

    Under separation the likelihood rises for ever; the search ends where it gains next to nothing. The
    predictions then have saturated and rank the rows as the limit does.

    Parameters
    ----------
    designs : ndarray of shape (b, k, n)
        With the row of ones, in rows of similar scale. Rows of zeros keep their start.
    is_event : ndarray of bool, shape (n,) or (b, n)
        Outcome of all models, or of each; both values occur.
    start : ndarray of shape (b, k), optional
        Where the search begins; zero by default.
    offset : ndarray of shape (n,), optional
        Known part of the log odds.

    Returns
    -------
    QuickFits
        One fit for each design.
    """
    signs = np.broadcast_to(np.where(is_event, 1.0, -1.0), (len(designs), designs.shape[2]))
    terms = np.zeros(designs.shape[:2]) if start is None else start.astype(float)
    log_odds = log_odds_of(designs, terms) + (0.0 if offset is None else offset)
    right = expit(signs * log_odds)
    current = _log_likelihood(right)
    is_open, is_finite = np.ones(len(designs), dtype=bool), np.zeros(len(designs), dtype=bool)
    for _ in range(MAX_ITERATIONS):
        step = _newton_step(designs, signs, right)
        step[~is_open] = 0.0
        change = log_odds_of(designs, step)
        right = expit(signs * (log_odds + change))
        found = _log_likelihood(right)
        for _ in range(MAX_HALVINGS):
            worse = found < current - 1e-12 * np.abs(current)
            if not worse.any():
                break
            step[worse] /= 2
            change[worse] /= 2
            right[worse] = expit((signs * (log_odds + change))[worse])
            found = _log_likelihood(right)
        terms, log_odds = terms + step, log_odds + change
        length = np.abs(change).max(axis=1)
        is_finite |= is_open & (length < LAST_STEP)
        is_open &= (length >= LAST_STEP) & ((found - current > STALLED_GAIN) | (length < LONG_STEP))
        current = found
        if not is_open.any():
            break
    covariance = np.linalg.inv(_information(designs, right, ridge=RIDGE_OF_COVARIANCE))
    # What still moves a little at the end is kept from its maximum by rounding only.
    return QuickFits(terms, covariance, current, is_finite | (is_open & (length < LONG_STEP)))


def log_odds_of(designs: NDArray[np.floating], terms: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return log odds, the same for equal participants to the last digit, so that ties stay ties.

    Parameters
    ----------
    designs : ndarray of shape (..., k, n)
        Features.
    terms : ndarray of shape (..., k)
        Coefficients.
    """
    return (designs * terms[..., None]).sum(axis=-2)


def bounded_log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return log odds within ± `LARGEST_LOG_ODDS`, also of probabilities of exactly 0 and 1.

    Parameters
    ----------
    probabilities : ndarray
        From 0 to 1.
    """
    with np.errstate(divide="ignore"):
        return np.clip(np.log(probabilities) - np.log1p(-probabilities), -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def _log_likelihood(right: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.log(np.maximum(right, SMALLEST_PROBABILITY)).sum(axis=1)


def _newton_step(
    designs: NDArray[np.floating], signs: NDArray[np.floating], right: NDArray[np.floating]
) -> NDArray[np.floating]:
    score = designs @ (signs * (1 - right))[..., None]
    return np.linalg.solve(_information(designs, right), score)[..., 0]


def _information(
    designs: NDArray[np.floating], right: NDArray[np.floating], ridge: float = RIDGE
) -> NDArray[np.floating]:
    information = (designs * (right * (1 - right))[:, None, :]) @ designs.swapaxes(1, 2)
    diagonal = np.einsum("bkk->bk", information)  # a view, to be written to
    diagonal += (ridge * diagonal.mean(axis=1) + SMALLEST_RIDGE)[:, None]
    return information
