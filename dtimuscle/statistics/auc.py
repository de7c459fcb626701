"""The area under a ROC curve, and how sure it is: DeLong's method, its logit form, and what is left at 0 and 1."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit, ndtri

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.estimates import Interval

DELONG = "DeLong"
LOGIT_DELONG = "logit DeLong"
EXACT_PAIRS = "exact, independent pairs"
STRATIFIED_BOOTSTRAP = "stratified bootstrap"

# Rounding leaves a variance below this one where there is none: the smallest real one, of a million participants in
# each group, is a thousand times larger.
NO_VARIANCE = 1e-28


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
        variance = float(sum(part.var(ddof=1) / part.size for part in parts))
        return variance if variance > NO_VARIANCE else 0.0


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


def both_groups(outcome: pd.Series, name: str) -> NDArray[np.bool_]:
    """Return who has poor muscle function, once it is sure that both groups are there.

    Parameters
    ----------
    outcome : Series of boolean
        Group of each participant, without missing values.
    name : str
        Feature or model, for the message.

    Returns
    -------
    ndarray of bool
        True for poor function.

    Raises
    ------
    StatisticsError
        If a group is empty.
    """
    is_event = outcome.to_numpy(dtype=bool)
    for group, n in (("poor", is_event.sum()), ("good", (~is_event).sum())):
        if n == 0:
            raise StatisticsError(
                f"{name}: no participant with {group} muscle function has a value, and a ROC curve needs both groups. "
                "Leave it out, or check its values."
            )
    return is_event


def delong_interval(value: float, variance: float, *, level: float = 0.95) -> Interval:
    """Lay DeLong's interval around an AUC, cut off at 0 and 1.

    Near 0 and 1 it is too short on the side of the end (DeLong 1988; as `ci.auc` of R's pROC).

    Parameters
    ----------
    value : float
        The AUC.
    variance : float
        Of the AUC, by DeLong's method.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Interval
        NaN where the variance is zero or undefined.
    """
    if not variance > 0:
        return Interval(math.nan, math.nan, level)
    margin = _normal_quantile(level) * math.sqrt(variance)
    return Interval(max(value - margin, 0.0), min(value + margin, 1.0), level)


def logit_delong_interval(value: float, variance: float, *, level: float = 0.95) -> Interval:
    """Lay DeLong's interval around the logit of an AUC, and bring it back to the scale of the AUC.

    It stays within 0 and 1 by itself and keeps its coverage better near them (Pepe 2003, section 5.2; Qin & Hotilovac
    2008). The standard error of the logit is SE / (AUC (1 - AUC)), by the delta method.

    Parameters
    ----------
    value : float
        The AUC.
    variance : float
        Of the AUC, by DeLong's method.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Interval
        NaN where the variance is zero or undefined.
    """
    if not variance > 0:
        return Interval(math.nan, math.nan, level)
    margin = _normal_quantile(level) * math.sqrt(variance) / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-margin, margin]))
    return Interval(float(low), float(high), level)


def exact_pairs_interval(value: float, *, n_events: int, n_controls: int, level: float = 0.95) -> Interval:
    """Bound the AUC of a score that tells the groups apart without a single mistake, or turns all of them round.

    No method based on the observed variance says anything then, the bootstrap included: every resample is perfect
    again. But the smaller group, each member paired with another one of the larger group, makes k = min(n_events,
    n_controls) independent pairs, all of which are in order. Each is with a probability of at most the AUC, so that
    the lower end of Clopper and Pearson's interval for k successes of k, ((1 - level) / 2) ** (1 / k), bounds the AUC
    whatever the distributions. It is conservative, since the other pairs are not used.

    Parameters
    ----------
    value : float
        The AUC.
    n_events, n_controls : int
        Sizes of the groups.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Interval
        NaN for an AUC other than 0 and 1.
    """
    bound = ((1 - level) / 2) ** (1 / min(n_events, n_controls))
    if value == 1:
        return Interval(bound, 1.0, level)
    if value == 0:
        return Interval(0.0, 1 - bound, level)
    return Interval(math.nan, math.nan, level)


def _normal_quantile(level: float) -> float:
    return float(ndtri((1 + level) / 2))
