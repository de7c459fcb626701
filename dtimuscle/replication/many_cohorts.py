"""The statistics that claims rest on, for many cohorts of the same size at once.

Each is what the kit computes for a single cohort (`student_t`, `pearson`, `fit_logistic`, `compare_aucs`), laid out
over arrays whose first axis counts cohorts. One cohort after the other would take minutes instead of seconds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from dtimuscle.statistics.auc import NO_VARIANCE, DeLongComponents, delong_components
from dtimuscle.statistics.likelihood import log_odds_of, maximise_likelihood

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tested:
    """An estimate and its test in each of many cohorts.

    Parameters
    ----------
    estimate : ndarray of shape (cohorts,) or (cohorts, k)
        Above zero or below; NaN where there is none.
    p : ndarray of the same shape
        Two-sided P; NaN where there is no test.
    """

    estimate: Floats
    p: Floats

    def shows(self, sign: int, *, below: float) -> Flags:
        """Say in which cohorts the estimate lies on one side of zero and is significant.

        Parameters
        ----------
        sign : {1, -1}
            Above zero, or below.
        below : float
            Bound of P.

        Returns
        -------
        ndarray of bool
            False where there is no estimate or no test.
        """
        return (np.sign(self.estimate) == sign) & (self.p < below)


@dataclass(frozen=True, eq=False)
class JointModels:
    """A logistic model of several features in each of many cohorts.

    Parameters
    ----------
    terms : Tested
        Log odds ratio of each feature per SD, with Wald's test, shape (cohorts, features).
    scores : ndarray of shape (cohorts, patients)
        Log odds of each patient, which rank them as the fitted probabilities do.
    is_estimable : ndarray of bool, shape (cohorts,)
        False where the features separate the groups, so that no odds ratios exist.
    """

    terms: Tested
    scores: Floats
    is_estimable: Flags


def differences(values: Floats, is_event: Flags) -> Tested:
    """Compare the means of events and others (Student's t test).

    Parameters
    ----------
    values : ndarray of shape (cohorts, patients)
        One feature.
    is_event : ndarray of bool, shape (patients,)
        Who has the event, in every cohort.

    Returns
    -------
    Tested
        Mean of the events less mean of the others.
    """
    groups = values[:, is_event], values[:, ~is_event]
    df = values.shape[1] - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = groups[0].mean(axis=1) - groups[1].mean(axis=1)
        squares = sum(group.var(axis=1) * group.shape[1] for group in groups)
        se = np.sqrt(squares / df * sum(1 / group.shape[1] for group in groups))
        return Tested(difference, _student_p(difference / se, df))


def correlations(values: Floats, grades: NDArray) -> Tested:
    """Correlate a feature with a grade (Pearson).

    Parameters
    ----------
    values : ndarray of shape (cohorts, patients)
        One feature.
    grades : ndarray of shape (cohorts, patients)
        Grade of each patient.

    Returns
    -------
    Tested
        The coefficient, with P from t with n - 2 degrees of freedom.
    """
    x, y = (part - part.mean(axis=1, keepdims=True) for part in (values, grades))
    df = values.shape[1] - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
        return Tested(r, _student_p(r * np.sqrt(df / (1 - r * r)), df))


def joint_models(values: Floats, is_event: Flags) -> JointModels:
    """Fit a logistic model of several features in each cohort (maximum likelihood).

    Parameters
    ----------
    values : ndarray of shape (cohorts, patients, features)
        The features.
    is_event : ndarray of bool, shape (patients,)
        Who has the event, in every cohort.

    Returns
    -------
    JointModels
        Estimates and P are NaN where the features separate the groups; the scores then rank the patients as the limit
        does that the fit approaches.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    sd = centred.std(axis=1, ddof=1, keepdims=True)
    standardised = np.divide(centred, sd, out=np.zeros_like(centred), where=sd > 0)
    designs = np.concatenate([np.ones((*values.shape[:2], 1)), standardised], axis=2).swapaxes(1, 2)
    fits = maximise_likelihood(designs, is_event)
    se = np.sqrt(np.einsum("bkk->bk", fits.covariance))
    exists = fits.is_finite[:, None] & (sd[:, 0] > 0)
    estimate = np.where(exists, fits.terms[:, 1:], np.nan)
    p = 2 * ndtr(-np.abs(estimate / se[:, 1:]))
    return JointModels(Tested(estimate, p), log_odds_of(designs, fits.terms), fits.is_finite)


def areas(scores: Floats, is_event: Flags) -> DeLongComponents:
    """Compute the areas under the ROC curves of scores.

    Parameters
    ----------
    scores : ndarray of shape (cohorts, patients)
        Higher means event.
    is_event : ndarray of bool, shape (patients,)
        Who has the event, in every cohort.

    Returns
    -------
    DeLongComponents
        One AUC for each cohort, and what each patient contributes to it.
    """
    return delong_components(scores, is_event)


def area_intervals(found: DeLongComponents, *, level: float) -> tuple[Floats, Floats]:
    """Lay DeLong's interval around the area of each cohort, cut off at 0 and 1.

    Parameters
    ----------
    found : DeLongComponents
        One AUC for each cohort.
    level : float
        Coverage.

    Returns
    -------
    low, high : ndarray of shape (cohorts,)
        NaN where the variance is zero, as of an AUC of 1.
    """
    variance = _delong_variance(found.events, found.controls)
    margin = ndtri((1 + level) / 2) * np.sqrt(np.where(variance > 0, variance, np.nan))
    return np.maximum(found.auc - margin, 0.0), np.minimum(found.auc + margin, 1.0)


def area_differences(first: DeLongComponents, second: DeLongComponents) -> Tested:
    """Compare two areas of the same patients in each cohort (DeLong's paired test).

    Parameters
    ----------
    first, second : DeLongComponents
        One AUC for each cohort.

    Returns
    -------
    Tested
        First less second area; without variance the P is NaN, and 1 where the areas are equal.
    """
    difference = first.auc - second.auc
    variance = _delong_variance(first.events - second.events, first.controls - second.controls)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * ndtr(-np.abs(difference) / np.sqrt(variance))
    is_same = (variance == 0) & (difference == 0)
    return Tested(difference, np.where(variance > 0, p, np.where(is_same, 1.0, np.nan)))


def mean_intervals(values: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Lay Student's interval around the mean of each cohort.

    Parameters
    ----------
    values : ndarray of shape (cohorts, patients)
        One feature in one group.
    level : float
        Coverage.

    Returns
    -------
    low, high : ndarray of shape (cohorts,)
        NaN for a group of one.
    """
    n = values.shape[1]
    if n < 2:
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    margin = stdtrit(n - 1, (1 + level) / 2) * values.std(axis=1, ddof=1) / np.sqrt(n)
    return values.mean(axis=1) - margin, values.mean(axis=1) + margin


def _student_p(t: Floats, df: int) -> Floats:
    return 2 * stdtr(df, -np.abs(t))


def _delong_variance(events: Floats, controls: Floats) -> Floats:
    """Sum what events and controls contribute to the variance; NaN with one of either."""
    if min(events.shape[1], controls.shape[1]) < 2:
        return np.full(len(events), np.nan)
    variance = sum(part.var(axis=1, ddof=1) / part.shape[1] for part in (events, controls))
    return np.where(variance > NO_VARIANCE, variance, 0.0)
