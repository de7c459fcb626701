"""Logistic models with a ridge or elastic-net penalty, many training sets at once.

Nested cross-validation needs some 36,000 fits (100 training sets, each divided again, 60 penalties), which take
scikit-learn minutes (benchmarks/penalised.py); here all training sets step together as columns of one matrix
product. The tests hold the result against scikit-learn, R and the conditions of the optimum.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from dtimuscle.errors import StatisticsError

Floats = NDArray[np.floating]

MAX_STEPS = 1000
MAX_HALVINGS = 40

# A feature whose SD within a training set is below this fraction of the largest value there is constant.
FLAT = 1e-6

# Fraction of a coefficient's curvature.
DAMPING = 1e-10

# A fall of the objective below this is rounding: the optimum is as near as the digits allow.
ROUNDING_GAIN = 1e-17

# Stands for the curvature of a feature that is zero throughout a training set.
SMALLEST = 1e-300


def fit_path(
    x: Floats,
    is_event: NDArray[np.bool_],
    weights: Floats,
    penalties: Sequence[tuple[float | Floats, float | Floats]],
    *,
    tolerance: float,
    after_each: Callable[[], None] | None = None,
) -> Floats:
    """Fit logistic models with one penalty after the other, each starting where the last one ended.

    For each training set b and pair (ρ, λ) the result minimises

        Σ_i w_ib loss_i / Σ_i w_ib + λ (ρ Σ_j s_jb |γ_j| + (1 - ρ)/2 Σ_j s_jb² γ_j²)

    where s_jb is the standard deviation (divisor n) of feature j within the training set: the elastic net
    of the features standardised there, written for the features as they are; the intercept γ_0 is free.
    Proximal Newton steps, each solved exactly for ridge and by coordinate descent otherwise (Friedman,
    Hastie & Tibshirani 2010; Lee, Sun & Saunders 2014), halved until the objective falls.

    Parameters
    ----------
    x : ndarray of shape (n, k)
        Features, about standardised; no missing values.
    is_event : ndarray of bool, shape (n,)
        Outcome.
    weights : ndarray of shape (n, b)
        How often each row counts in each training set: 0 where it is held out.
    penalties : sequence of (float, float) or of (ndarray of shape (b,), ndarray of shape (b,))
        ρ from 0 (ridge) to 1 (lasso) and λ > 0, for all training sets or for each; strong ones first.
    tolerance : float
        Largest change of a standardised coefficient in the last step.
    after_each : callable, optional
        Called after each penalty.

    Returns
    -------
    ndarray of shape (len(penalties), k + 1, b)
        Intercept and coefficients γ, per unit of `x`.

    Raises
    ------
    StatisticsError
        If a fit does not converge, which finite numbers do not cause.
    """
    problems = _TrainingSets(x, is_event, weights)
    gamma = np.zeros((x.shape[1] + 1, weights.shape[1]))
    gamma[0] = problems.null_intercepts()
    found = np.empty((len(penalties), *gamma.shape))
    for i, (ratio, strength) in enumerate(penalties):
        l1, l2 = (np.broadcast_to(strength * share, gamma.shape[1]) for share in (ratio, 1 - ratio))
        gamma = problems.minimise(gamma, l1, l2, tolerance)
        found[i] = problems.for_features_as_they_are(gamma)
        if after_each is not None:
            after_each()
    return found


class _TrainingSets:
    """Training sets of one table; matrices have a column for each set.

    Intercepts are where the features have their means within the set: an outlying value that is held out
    there would otherwise tie the feature to the intercept.
    """

    def __init__(self, x: Floats, is_event: NDArray[np.bool_], weights: Floats) -> None:
        n, k = x.shape
        self.design = np.column_stack([np.ones(n), x])
        self.y = is_event.astype(float)[:, None]
        self.weights = weights / weights.sum(axis=0)
        self.centre = np.vstack([np.zeros(weights.shape[1]), x.T @ self.weights])
        rows, columns = np.triu_indices(k + 1)
        self.products = np.ascontiguousarray((self.design[:, rows] * self.design[:, columns]).T)
        self.place = np.empty((k + 1, k + 1), dtype=int)
        self.place[rows, columns] = self.place[columns, rows] = np.arange(len(rows))
        self.scale = np.vstack([np.zeros(weights.shape[1]), self._spread(x)])

    def _spread(self, x: Floats) -> Floats:
        spread = np.empty((x.shape[1], self.weights.shape[1]))
        for j, column in enumerate(x.T):
            centred = column[:, None] - column @ self.weights
            spread[j] = np.sqrt((self.weights * centred**2).sum(axis=0))
        # The penalty keeps a constant feature at zero, whatever its weight.
        return np.where(spread > FLAT * np.abs(x).max(axis=0)[:, None], spread, 1.0)

    def null_intercepts(self) -> Floats:
        share = (self.weights * self.y).sum(axis=0)
        return np.log(share / (1 - share))

    def for_features_as_they_are(self, gamma: Floats) -> Floats:
        return np.vstack([gamma[0] - (self.centre * gamma).sum(axis=0), gamma[1:]])

    def minimise(self, gamma: Floats, l1: Floats, l2: Floats, tolerance: float) -> Floats:
        gamma = gamma.copy()
        active = np.arange(gamma.shape[1])
        value = self._objective(gamma, active, l1, l2)
        is_ridge = not l1.any()
        for _ in range(MAX_STEPS):
            scale, old = self.scale[:, active], gamma[:, active]
            probability = expit(self._eta(old, active))
            gradient, curvature = self._derivatives(probability, active)
            if is_ridge:
                aim = _newton(gradient, curvature, old, l2[active] * scale**2)
            else:
                aim = _descend(gradient, curvature, old, l1[active] * scale, l2[active] * scale**2)
            new, reached = self._step(old, aim, active, value[active], l1=l1, l2=l2)
            gamma[:, active], gain = new, value[active] - reached
            value[active] = reached
            # The intercept has no scale of its own; its change is one of log odds.
            change = (np.abs(new - old) * np.vstack([np.ones(len(active)), scale[1:]])).max(axis=0)
            active = active[(change > tolerance) & (gain > ROUNDING_GAIN)]
            if active.size == 0:
                return gamma
        raise StatisticsError(
            f"the penalised model of {len(gamma) - 1} feature(s) did not converge in {MAX_STEPS} steps. "
            "Use stronger penalties."
        )

    def _eta(self, gamma: Floats, active: NDArray[np.integer]) -> Floats:
        shifted = gamma.copy()
        shifted[0] -= (self.centre[:, active] * gamma).sum(axis=0)
        return self.design @ shifted

    def _derivatives(self, probability: Floats, active: NDArray[np.integer]) -> tuple[Floats, Floats]:
        weights, centre = self.weights[:, active], self.centre[:, active]
        gradient = self.design.T @ (weights * (probability - self.y))
        gradient -= centre * gradient[0]
        curvature = (self.products @ (weights * probability * (1 - probability)))[self.place]
        # About the means: first the rows, then the columns.
        curvature -= centre[:, None] * curvature[0]
        curvature -= curvature[:, :1] * centre
        return gradient, curvature

    def _step(
        self, old: Floats, aim: Floats, active: NDArray[np.integer], before: Floats, *, l1: Floats, l2: Floats
    ) -> tuple[Floats, Floats]:
        """Go towards the aim as far as the objective falls; return where that is, and the objective there."""
        new, reached = aim.copy(), self._objective(aim, active, l1, l2)
        # What rounding adds to a sum of losses is no rise.
        limit = before * (1 + 1e-14) + 1e-15
        length = 1.0
        for _ in range(MAX_HALVINGS):
            rising = np.flatnonzero(reached > limit)
            if rising.size == 0:
                return new, reached
            length /= 2
            new[:, rising] = old[:, rising] + length * (aim[:, rising] - old[:, rising])
            reached[rising] = self._objective(new[:, rising], active[rising], l1, l2)
        rising = np.flatnonzero(reached > limit)
        new[:, rising], reached[rising] = old[:, rising], before[rising]
        return new, reached

    def _objective(self, gamma: Floats, active: NDArray[np.integer], l1: Floats, l2: Floats) -> Floats:
        eta = self._eta(gamma, active)
        loss = np.maximum(eta, 0) + np.log1p(np.exp(-np.abs(eta))) - self.y * eta
        size = self.scale[:, active] * np.abs(gamma)
        penalty = l1[active] * size.sum(axis=0) + l2[active] / 2 * (size**2).sum(axis=0)
        return (self.weights[:, active] * loss).sum(axis=0) + penalty


def _newton(gradient: Floats, curvature: Floats, old: Floats, ridge: Floats) -> Floats:
    return old + _solve(curvature, ridge, -(gradient + ridge * old))


def _descend(gradient: Floats, curvature: Floats, old: Floats, l1: Floats, l2: Floats) -> Floats:
    """Improve the quadratic approximation with its penalty; the Newton steps around it do the rest.

    Coordinate descent finds which coefficients are not zero but crawls along correlated features, so that
    after its sweeps one step solves for those coefficients together.
    """
    new, slope = old.copy(), gradient.copy()
    for _ in range(2):
        _sweep(new, slope, curvature, l1, l2)
    return _jump(new, slope, curvature, l1, l2)


def _sweep(new: Floats, slope: Floats, curvature: Floats, l1: Floats, l2: Floats) -> None:
    """Improve each coefficient in turn, in place."""
    for j in range(len(new)):
        own = curvature[j, j]
        pull = own * new[j] - slope[j]
        value = np.sign(pull) * np.maximum(np.abs(pull) - l1[j], 0) / np.maximum(own + l2[j], SMALLEST)
        change = value - new[j]
        if change.any():
            slope += curvature[j] * change
            new[j] = value


def _jump(new: Floats, slope: Floats, curvature: Floats, l1: Floats, l2: Floats) -> Floats:
    """Go to the optimum of the coefficients that are not zero, or to the first one that becomes zero."""
    sign = np.sign(new)
    free = sign != 0
    free[0] = True
    masked = curvature * (free[:, None] & free[None])
    # A held coefficient gets a row of its own; a trace of damping keeps duplicate features solvable.
    diagonal = np.where(free, l2 + DAMPING * np.einsum("jjb->jb", curvature), 1.0)
    step = _solve(masked, diagonal, np.where(free, -(slope + l2 * new + l1 * sign), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.where(free & (sign * (new + step) < 0), -new / step, np.inf)
    crossing[0] = np.inf
    length = np.minimum(crossing.min(axis=0), 1.0)
    return np.where(crossing <= length, 0.0, new + length * step)


def _solve(matrices: Floats, diagonal: Floats, right: Floats) -> Floats:
    stacked = np.moveaxis(matrices, 2, 0).copy()
    places = np.arange(len(right))
    stacked[:, places, places] += diagonal.T
    return np.linalg.solve(stacked, right.T[:, :, None])[:, :, 0].T
