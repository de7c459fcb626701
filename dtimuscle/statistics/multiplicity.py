"""What many tests at once do to a P value."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Multiplicity:
    """How many of several tests are significant, and how many chance alone would make so.

    Parameters
    ----------
    n_tests : int
        Tests with a P.
    alpha : float
        P below this is called significant.
    n_raw, n_holm, n_bh : int
        Significant as they are, after Holm's and after Benjamini & Hochberg's adjustment.
    """

    n_tests: int
    alpha: float
    n_raw: int
    n_holm: int
    n_bh: int

    @property
    def n_by_chance(self) -> float:
        """Significant tests to be expected if nothing differed anywhere."""
        return self.n_tests * self.alpha


def holm(p_values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Adjust P values so that the chance of any false alarm is kept (Holm 1979).

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        NaN where there was no test.

    Returns
    -------
    ndarray of shape (n,)
        Adjusted P; NaN stays NaN and does not count.
    """

    def steps(ordered: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.maximum.accumulate(np.arange(ordered.size, 0, -1) * ordered)

    return _adjusted(p_values, steps)


def benjamini_hochberg(p_values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Adjust P values so that the expected share of false alarms among those found is kept (1995).

    Holds for independent tests and for those that depend on each other positively (Benjamini & Yekutieli
    2001), such as the same comparison in neighbouring muscles.

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        NaN where there was no test.

    Returns
    -------
    ndarray of shape (n,)
        Adjusted P; NaN stays NaN and does not count.
    """

    def steps(ordered: NDArray[np.floating]) -> NDArray[np.floating]:
        share = ordered.size / np.arange(1, ordered.size + 1)
        return np.minimum.accumulate((share * ordered)[::-1])[::-1]

    return _adjusted(p_values, steps)


def _adjusted(
    p_values: NDArray[np.floating], steps: Callable[[NDArray[np.floating]], NDArray[np.floating]]
) -> NDArray[np.floating]:
    # Not statsmodels' `multipletests`: it runs the garbage collector, which costs more than all the tests.
    adjusted = np.full(p_values.shape, np.nan)
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]
    adjusted[order] = np.minimum(steps(p_values[order]), 1)
    return adjusted
