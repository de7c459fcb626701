"""The area under a ROC curve, and what DeLong's method says about it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.statistics.estimates import Interval


@dataclass(frozen=True)
class Auc:
    """Area under an empirical ROC curve (Mann–Whitney form).

    Parameters
    ----------
    value : float
        Probability that a participant of the poor group scores worse than one of the good group, ties
        counting one half. Below 0.5 the score points the other way; it is never turned round.
    interval : Interval
        Confidence interval, cut off at 0 and 1; NaN where the method gives none.
    method : str
        How the interval was made.
    n_events : int
        Participants with poor muscle function.
    n_controls : int
        Participants with good muscle function.
    """

    value: float
    interval: Interval
    method: str
    n_events: int
    n_controls: int


@dataclass(frozen=True, eq=False)
class DeLongComponents:
    """The AUCs of several scores, and what each participant contributes to them.

    Parameters
    ----------
    auc : ndarray of shape (k,)
        One for each score.
    events : ndarray of shape (k, m)
        V10: share of controls that each event outranks.
    controls : ndarray of shape (k, n)
        V01: share of events that outrank each control.
    """

    auc: NDArray[np.floating]
    events: NDArray[np.floating]
    controls: NDArray[np.floating]

    def variance_of(self, weights: NDArray[np.floating]) -> float:
        """Variance of a weighted sum of the AUCs.

        Parameters
        ----------
        weights : ndarray of shape (k,)
            One for each score, e.g. (1, -1) for a difference.

        Returns
        -------
        float
            NaN with a single event or control.
        """
        parts = [weights @ component for component in (self.events, self.controls)]
        if min(part.size for part in parts) < 2:
            return math.nan
        return float(sum(part.var(ddof=1) / part.size for part in parts))


def delong_components(scores: NDArray[np.floating], is_event: NDArray[np.bool_]) -> DeLongComponents:
    """Compute AUCs and DeLong's structural components from midranks.

    With midranks T among all, among events and among controls, V10 = (T_all - T_events) / n and
    V01 = 1 - (T_all - T_controls) / m (DeLong 1988; the fast form of Sun & Xu 2014).

    Parameters
    ----------
    scores : ndarray of shape (k, m + n)
        One row for each score; higher means event. No missing values.
    is_event : ndarray of bool, shape (m + n,)
        Both values occur.

    Returns
    -------
    DeLongComponents
        Ties count one half.
    """
    ranks = stats.rankdata(scores, axis=1)
    n_events = int(is_event.sum())
    n_controls = is_event.size - n_events
    events = (ranks[:, is_event] - stats.rankdata(scores[:, is_event], axis=1)) / n_controls
    controls = 1 - (ranks[:, ~is_event] - stats.rankdata(scores[:, ~is_event], axis=1)) / n_events
    return DeLongComponents(events.mean(axis=1), events, controls)
