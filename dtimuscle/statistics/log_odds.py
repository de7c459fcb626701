"""The log likelihood of a logistic model, plain or with Firth's penalty, and where it is largest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.special import expit

Floats = NDArray[np.floating]

MAX_ITERATIONS = 200

# A fit that needs more steps is looked at for separation before it goes on.
QUICK_ITERATIONS = 25

MAX_HALVINGS = 30

# Newton's step s for a score u promises to gain u·s / 2 of log likelihood. Below this the step is the last one
# (it is still made): the terms then stand within about 1e-10 standard errors of the maximum.
LAST_GAIN = 1e-20

# A gain below this that no longer falls is rounding: the maximum is as near as the data's digits allow.
ROUNDING_GAIN = 1e-10

# No step moves a term by more than this (log odds per SD).
LARGEST_STEP = 5.0


@dataclass(frozen=True, eq=False)
class Point:
    """The log likelihood of a logistic model at given terms.

    Parameters
    ----------
    value : float
        Log likelihood, with the penalty if there is one; minus infinity where the penalty is not defined.
    score : ndarray of shape (k,)
        Its gradient.
    curvature : ndarray of shape (k, k)
        Minus its second derivative.
    majorant : ndarray of shape (k, k)
        Positive definite, for steps where `curvature` is not: the information, under the penalty that of the
        data augmented by the leverages.
    information : ndarray of shape (k, k)
        Fisher's information, X'WX, without penalty.
    """

    value: float
    score: Floats
    curvature: Floats
    majorant: Floats
    information: Floats


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a log likelihood is largest.

    Parameters
    ----------
    terms : ndarray of shape (k,)
        The maximum, or where the search ended.
    point : Point
        The log likelihood there.
    is_reached : bool
        Whether the search ended at the maximum.
    """

    terms: Floats
    point: Point
    is_reached: bool


@dataclass(frozen=True, eq=False)
class LogOdds:
    """A logistic model and its data.

    The penalised log likelihood is ℓ(β) + ½ log |X'WX|: Jeffreys' prior, which takes the first-order bias off
    the estimates and keeps them finite under separation (Firth 1993, Biometrika 80:27; Heinze & Schemper 2002,
    Stat Med 21:2409).

    Parameters
    ----------
    design : ndarray of shape (n, k)
        Of full column rank, with the column of ones, in columns of similar scale.
    is_event : ndarray of bool, shape (n,)
        Outcome.
    is_penalised : bool, default=False
        Whether Firth's penalty is added.
    """

    design: Floats
    is_event: NDArray[np.bool_]
    is_penalised: bool = False

    def at(self, terms: Floats) -> Point:
        """Return the log likelihood at given terms.

        Parameters
        ----------
        terms : ndarray of shape (k,)
            Coefficients, in the order of the columns.
        """
        sign = np.where(self.is_event, 1.0, -1.0)
        signed = sign * (self.design @ terms)
        # Probability of the other outcome than the one that occurred: exact also where it is tiny.
        miss = expit(-signed)
        weights = miss * expit(signed)
        value = -float(np.logaddexp(0.0, -signed).sum())
        information = (self.design.T * weights) @ self.design
        residual = sign * miss
        if not self.is_penalised:
            return Point(value, self.design.T @ residual, information, information, information)
        factor, failed = lapack.dpotrf(information, lower=1)
        if failed or not factor.diagonal().min() > 0:
            undefined = np.full(terms.size, np.nan)
            return Point(-math.inf, undefined, information, information, information)
        # Row i of `half` is L⁻¹ x_i with LL' = X'WX, so that its square is the leverage without weight.
        # (OpenBLAS shares out `dtrtrs` among threads even when it is tiny, a thousand times slower on a busy machine.)
        half = self.design @ lapack.dtrtri(factor, lower=1)[0].T
        spread = np.einsum("ij,ij->i", half, half)
        lean = -sign * np.tanh(signed / 2)  # 1 - 2p
        score = self.design.T @ (residual + weights * spread * lean / 2)
        bend = spread * weights * (lean**2 - 2 * weights) / 2
        # One product of matrices each; einsum and a stack of small products take longer.
        k = terms.size
        triples = (self.design.T * (weights * lean))[:, None, :] * half.T
        curls = (triples.reshape(k * k, -1) @ half).reshape(k, k * k)
        curvature = information - (self.design.T * bend) @ self.design + curls @ curls.T / 2
        majorant = information + (self.design.T * (weights**2 * spread)) @ self.design
        return Point(value + float(np.log(factor.diagonal()).sum()), score, curvature, majorant, information)

    def misses(self, terms: Floats) -> Floats:
        """Return the probability that the model gives to the outcome that did not occur, for each participant.

        Parameters
        ----------
        terms : ndarray of shape (k,)
            Coefficients, in the order of the columns.
        """
        return expit(np.where(self.is_event, -1.0, 1.0) * (self.design @ terms))

    def maximise(
        self, *, start: Floats | None = None, fixed: Sequence[int] = (), max_iterations: int = MAX_ITERATIONS
    ) -> Maximum:
        """Find the largest log likelihood by Newton's method with halved steps.

        Parameters
        ----------
        start : ndarray of shape (k,), optional
            Where the search begins; zeros by default.
        fixed : sequence of int, default=()
            Terms that keep their values at the start.
        max_iterations : int, default=200
            Steps after which the search is given up.
        """
        terms = np.zeros(self.design.shape[1]) if start is None else start.astype(float)
        free = np.delete(np.arange(terms.size), list(fixed))
        point = self.at(terms)
        if free.size == 0:
            return Maximum(terms, point, True)
        before = math.inf
        for _ in range(max_iterations):
            step = np.zeros(terms.size)
            step[free] = _step(point, free)
            gain = float(step @ point.score) / 2
            if not math.isfinite(gain):
                return Maximum(terms, point, False)
            is_last = gain <= LAST_GAIN or (gain <= ROUNDING_GAIN and gain >= before / 2)
            terms, point = self._moved(terms, point, step, is_small=gain <= ROUNDING_GAIN)
            if is_last:
                return Maximum(terms, point, True)
            before = gain
        return Maximum(terms, point, False)

    def _moved(self, terms: Floats, point: Point, step: Floats, *, is_small: bool) -> tuple[Floats, Point]:
        largest = float(np.abs(step).max())
        factor = min(1.0, LARGEST_STEP / largest) if largest > 0 else 1.0
        for _ in range(MAX_HALVINGS):
            moved = self.at(terms + factor * step)
            # A step so small changes the value by less than its rounding.
            if moved.value >= point.value or (is_small and math.isfinite(moved.value)):
                return terms + factor * step, moved
            factor /= 2
        return terms, point


def _step(point: Point, free: NDArray[np.int_]) -> Floats:
    square = np.ix_(free, free)
    step = _solve(point.curvature[square], point.score[free])
    return step if math.isfinite(step[0]) else _solve(point.majorant[square], point.score[free])


def _solve(matrix: Floats, right: Floats) -> Floats:
    _, solution, failed = lapack.dposv(matrix, right)
    return np.full(right.size, np.nan) if failed else solution


def inverse(matrix: Floats) -> Floats:
    """Invert a symmetric, positive definite matrix; NaN where it is singular.

    Parameters
    ----------
    matrix : ndarray of shape (k, k)
        Such as an information matrix.

    Returns
    -------
    ndarray of shape (k, k)
        The inverse: the covariance that belongs to an information.
    """
    factor, failed = lapack.dpotrf(matrix, lower=1)
    if failed:
        return np.full(matrix.shape, np.nan)
    solution, _ = lapack.dpotrs(factor, np.eye(len(matrix)), lower=1)
    return solution
