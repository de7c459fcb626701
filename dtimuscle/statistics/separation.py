"""Separation: when a logistic model's maximum-likelihood estimates do not exist."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from dtimuscle.errors import StatisticsError


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
