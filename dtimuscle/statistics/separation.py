"""Separation: when a logistic model's maximum-likelihood estimates do not exist."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from dtimuscle.errors import StatisticsError

Separation = Literal["none", "quasi-complete", "complete"]

# Rounding of a sum of probabilities; misses smaller than this prove nothing.
ROUNDING = 1e-13


def separation_of(separated: NDArray[np.bool_]) -> Separation:
    """Name the kind of separation.

    Parameters
    ----------
    separated : ndarray of bool, shape (n,)
        As `separated_rows` returns it.

    Returns
    -------
    {"none", "quasi-complete", "complete"}
        Whether nobody, some or everybody is separated.
    """
    if not separated.any():
        return "none"
    return "complete" if separated.all() else "quasi-complete"


def is_overlap_proved(design: NDArray[np.floating], score: NDArray[np.floating], miss: NDArray[np.floating]) -> bool:
    """Prove from a fit that nothing is separated, without the linear programme.

    At the maximum Σ s_i m_i x_i = 0, where m_i > 0 is the probability that the model gives to the outcome that
    did not occur; then no b has s_i x_i·b ≥ 0 for all i and > 0 for some (Stiemke's lemma). The sum that is
    found (the score) is not quite zero: the smallest change of m that makes it so must leave m positive.

    Parameters
    ----------
    design : ndarray of shape (n, k)
        Of full column rank.
    score : ndarray of shape (k,)
        Σ s_i m_i x_i at the fit.
    miss : ndarray of shape (n,)
        The m_i.

    Returns
    -------
    bool
        False means not proved, which separation is one reason for.
    """
    # Signs do not change X'X, so that they do not change how large the correction is.
    correction = design @ np.linalg.solve(design.T @ design, score)
    return bool(miss.min() > 10 * np.abs(correction).max() + ROUNDING)


def separating_columns(design: NDArray[np.floating], is_event: NDArray[np.bool_]) -> tuple[int, ...]:
    """Name the features that separate the groups.

    Parameters
    ----------
    design : ndarray of shape (n, k)
        Of full column rank, the column of ones first; known to separate.
    is_event : ndarray of bool, shape (n,)
        Outcome.

    Returns
    -------
    tuple of int
        Columns each of which separates alone; if there is none, those without any of which the others would
        not separate; if there is none of these either, all.
    """
    columns = range(1, design.shape[1])
    alone = tuple(i for i in columns if separated_rows(design[:, [0, i]], is_event).any())
    if alone:
        return alone
    needed = tuple(i for i in columns if not separated_rows(np.delete(design, i, axis=1), is_event).any())
    return needed or tuple(columns)


def separated_rows(design: NDArray[np.floating], is_event: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the participants whose outcome a linear combination of the features predicts perfectly.

    A direction b with s_i x_i·b ≥ 0 for all i (s_i = 1 for events, -1 for the others) and > 0 for some
    is one along which the likelihood rises for ever (Albert & Anderson 1984). The linear programme
    maximises Σ z_i with 0 ≤ z_i ≤ 1 and z_i ≤ s_i x_i·b. Directions can be added and scaled, so at the
    optimum z_i is 1 for every participant that any direction separates, and 0 for the rest.

    Parameters
    ----------
    design : ndarray of shape (n, k)
        Of full column rank, with the column of ones, in columns of similar scale.
    is_event : ndarray of bool, shape (n,)
        Outcome; both values occur.

    Returns
    -------
    ndarray of bool, shape (n,)
        All true: complete separation. Some true: quasi-complete separation. None: the estimates exist.

    Raises
    ------
    StatisticsError
        If the linear programme finds no optimum, which finite numbers do not cause.
    """
    n, k = design.shape
    signed = np.where(is_event, 1.0, -1.0)[:, None] * design
    constraints = sparse.hstack([sparse.identity(n), sparse.csr_array(-signed)], format="csr")
    optimum = linprog(
        np.concatenate([-np.ones(n), np.zeros(k)]),
        A_ub=constraints,
        b_ub=np.zeros(n),
        bounds=[(0, 1)] * n + [(None, None)] * k,
        method="highs",
    )
    if optimum.x is None:
        raise StatisticsError(
            f"the search for separation ended without a result ({optimum.message}). Check the features."
        )
    return optimum.x[:n] > 0.5
