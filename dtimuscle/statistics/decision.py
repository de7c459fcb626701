"""Whether acting on a model does more good than treating everybody or nobody."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.resampling import generator_for

THRESHOLDS = tuple(round(0.05 + 0.01 * step, 2) for step in range(76))


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit of acting on predicted probabilities, over the probabilities at which one would act.

    Parameters
    ----------
    name : str
        The model.
    n, n_events, n_missing : int
        Participants with a probability, those of them with poor muscle function, and those without a
        probability.
    is_apparent : bool
        Whether the model was fitted to the same participants, which flatters it.
    thresholds : ndarray of shape (k,)
        Probabilities at or above which one would act.
    net_benefit : ndarray of shape (k,)
        Of acting on the model: true positives for each participant, less false positives weighed by the
        odds of the threshold.
    treat_all : ndarray of shape (k,)
        Of acting in everybody. Acting in nobody has net benefit 0.
    low, high : ndarray of shape (k,)
        Percentile limits of `net_benefit` over bootstrap samples; NaN where none were asked for.
    level : float
        Coverage of the limits.
    prevalence : float
        Share with poor muscle function.
    at_prevalence : float
        Net benefit where the threshold is the prevalence; acting in everybody has 0 there.
    n_resamples, seed : int
        Bootstrap samples behind `low` and `high`, and their seed.
    issues : tuple of Issue
        What makes the curve doubtful.
    """

    name: str
    n: int
    n_events: int
    n_missing: int
    is_apparent: bool
    thresholds: NDArray[np.floating]
    net_benefit: NDArray[np.floating]
    treat_all: NDArray[np.floating]
    low: NDArray[np.floating]
    high: NDArray[np.floating]
    level: float
    prevalence: float
    at_prevalence: float
    n_resamples: int
    seed: int
    issues: tuple[Issue, ...] = ()

    @property
    def is_useful(self) -> NDArray[np.bool_]:
        """At which thresholds the model does better than acting in everybody and in nobody."""
        return self.net_benefit > np.maximum(self.treat_all, 0.0) + 1e-12


def decision_curve(
    probabilities: pd.Series,
    poor: pd.Series,
    *,
    name: str,
    is_apparent: bool,
    thresholds: Sequence[float] = THRESHOLDS,
    n_resamples: int = 0,
    level: float = 0.95,
    seed: int = 1,
) -> DecisionCurve:
    """Compute the net benefit of a model (Vickers & Elkin 2006).

    At threshold t those with a probability of at least t are called poor, and the net benefit is TP / n -
    FP / n × t / (1 - t). Bootstrap limits take the predictions as given: they show what the choice of
    participants does, not what fitting the model again would.

    Parameters
    ----------
    probabilities : Series
        Predicted probability of poor muscle function, indexed by participant; NaN counts as missing.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    name : str
        The model.
    is_apparent : bool
        Whether the model was fitted to these participants.
    thresholds : sequence of float, default=0.05 to 0.80 by 0.01
        Above 0 and below 1.
    n_resamples : int, default=0
        Bootstrap samples for limits; 0 for none.
    level : float, default=0.95
        Coverage of the limits.
    seed : int, default=1
        The same seed gives the same limits.

    Returns
    -------
    DecisionCurve
        Of the participants with a probability and an outcome. With one outcome only it is defined too,
        and an issue says so.

    Raises
    ------
    StatisticsError
        If there is no such participant, a value is no probability, or a threshold is not between 0 and 1.
    """
    complete, known, n_missing = complete_cases(probabilities.to_frame(name), poor)
    predicted, is_event = complete[name].to_numpy(), known.to_numpy(dtype=bool)
    limits = np.asarray(thresholds, dtype=float)
    _check(predicted, limits, name)
    gains = _gains(predicted, is_event, limits)
    prevalence = float(is_event.mean())
    low, high = _band(gains, n_resamples, level, generator_for(seed, f"decision {name}"))
    issues = []
    if prevalence in (0, 1):
        what = f"all {is_event.size} participants have one outcome, so the curve says nothing about new ones."
        issues.append(Issue(Severity.WARNING, name, what))
        at_prevalence = math.nan
    else:
        at_prevalence = float(_gains(predicted, is_event, np.array([prevalence])).mean())
    return DecisionCurve(
        name=name,
        n=is_event.size,
        n_events=int(is_event.sum()),
        n_missing=n_missing,
        is_apparent=is_apparent,
        thresholds=limits,
        net_benefit=gains.mean(axis=0),
        treat_all=prevalence - (1 - prevalence) * limits / (1 - limits),
        low=low,
        high=high,
        level=level,
        prevalence=prevalence,
        at_prevalence=at_prevalence,
        n_resamples=n_resamples,
        seed=seed,
        issues=tuple(issues),
    )


def _check(predicted: NDArray[np.floating], thresholds: NDArray[np.floating], name: str) -> None:
    if predicted.size == 0:
        raise StatisticsError(f"{name}: no participant has both a probability and a group. Check the index.")
    if predicted.min() < 0 or predicted.max() > 1:
        worst = predicted[np.argmax(np.abs(predicted - 0.5))]
        raise StatisticsError(f"{name}: {worst:g} found, probabilities from 0 to 1 needed. Predict probabilities.")
    outside = thresholds[~((thresholds > 0) & (thresholds < 1))]
    if outside.size or thresholds.size == 0:
        found = f"threshold {outside[0]:g}" if outside.size else "no threshold"
        raise StatisticsError(f"{name}: {found} given, probabilities between 0 and 1 needed. Choose others.")


def _gains(
    predicted: NDArray[np.floating], is_event: NDArray[np.bool_], thresholds: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return what each participant adds to the net benefit at each threshold, of shape (n, k)."""
    cost = thresholds / (1 - thresholds)
    return np.where(predicted[:, None] >= thresholds, np.where(is_event[:, None], 1.0, -cost), 0.0)


def _band(
    gains: NDArray[np.floating], n_resamples: int, level: float, rng: np.random.Generator
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    n = len(gains)
    if n_resamples == 0:
        unknown = np.full(gains.shape[1], np.nan)
        return unknown, unknown
    times_drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    low, high = np.quantile(times_drawn @ gains / n, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
