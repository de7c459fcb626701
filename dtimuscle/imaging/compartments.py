"""The tensor as one compartment of several: its signal predicted, so that what is not tissue can be told from it."""

import numpy as np

from dtimuscle.dwi import Floats, GradientTable

# Rows are fitted in blocks, so that temporary arrays stay within tens of megabytes.
BLOCK_ROWS = 20_000

# Signals are raised to this part of the row's largest one before the logarithm.
SMALLEST_SIGNAL = 1e-6

# Keeps normal equations solvable where all weights have vanished; weights are relative to 1.
RIDGE = 1e-12


def log_design(gradients: GradientTable) -> Floats:
    """Rows X of log S = X · (xx, yy, zz, xy, xz, yz, log S0).

    Parameters
    ----------
    gradients : GradientTable
        A b-value that counts as b = 0 enters as its number where its volume has a direction.

    Returns
    -------
    ndarray of shape (n, 7)
        The tensor's elements are in units of one over the largest b-value.
    """
    x, y, z = gradients.directions.T
    quadratic = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    return np.hstack(
        [-quadratic * gradients.bvals[:, np.newaxis] / gradients.bvals.max(), np.ones((len(gradients), 1))]
    )


def fit_logarithm(signals: Floats, design: Floats) -> Floats:
    """Fit the logarithm of each row, weighted by the square of the measured, then of the predicted signal.

    Parameters
    ----------
    signals : ndarray of shape (m, n)
        Finite signals; below zero counts as almost nothing.
    design : ndarray of shape (n, p)
        As `log_design` makes it.

    Returns
    -------
    ndarray of shape (m, p)
        The unknowns.
    """
    n_unknowns = design.shape[1]
    products = (design[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(len(design), -1)
    unknowns = np.empty((len(signals), n_unknowns))
    for start in range(0, len(signals), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = signals[rows].astype(float)
        largest = np.maximum(block.max(axis=1, keepdims=True), np.finfo(float).tiny)
        block = np.maximum(block / largest, SMALLEST_SIGNAL)
        logarithm, weights = np.log(block), block**2
        for _ in range(3):
            normal = (weights @ products).reshape(-1, n_unknowns, n_unknowns) + RIDGE * np.eye(n_unknowns)
            targets = ((weights * logarithm) @ design)[..., np.newaxis]
            unknowns[rows] = np.linalg.solve(normal, targets)[..., 0]
            weights = np.exp(np.clip(2 * unknowns[rows] @ design.T, -60, 0))
        unknowns[rows, -1] += np.log(largest[:, 0])
    return unknowns


def predict(unknowns: Floats, design: Floats) -> Floats:
    """Signals of fitted rows.

    Parameters
    ----------
    unknowns : ndarray of shape (m, p)
        As `fit_logarithm` returns them.
    design : ndarray of shape (n, p)
        Volumes to predict, in the units of the fit.

    Returns
    -------
    ndarray of shape (m, n)
        In the unit of the fitted signals.
    """
    return np.exp(np.clip(unknowns @ design.T, -300, 300))
