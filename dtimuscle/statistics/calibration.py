"""Whether predicted probabilities come true: calibration slope and intercept, Brier score, Hosmer–Lemeshow."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.nonparametric.smoothers_lowess import lowess
from statsmodels.stats.proportion import proportion_confint

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.likelihood import QuickFits, maximise_likelihood

# The smooth curve averages over this share of the participants, as in R's lowess.
SMOOTH_SHARE = 2 / 3

# A curve through fewer distinct probabilities would say nothing.
FEWEST_DISTINCT = 10

# Log odds that differ by less than this are those of a model that tells nobody apart.
CONSTANT_LOG_ODDS = 1e-9


@dataclass(frozen=True)
class CalibrationTerm:
    """One term of a recalibration, with the test of whether it is what it should be.

    Parameters
    ----------
    name : str
        `in the large`, `intercept` or `slope`.
    value, se : float
        Estimate on the log-odds scale, and its standard error.
    ideal : float
        The value of perfect calibration: 0, or 1 for the slope.
    interval : Interval
        Wald interval.
    z, p : float
        Wald test of `value` against `ideal`, two-sided.
    """

    name: str
    value: float
    se: float
    ideal: float
    interval: Interval
    z: float
    p: float


@dataclass(frozen=True)
class CalibrationGroup:
    """Participants with similar predicted probabilities.

    Parameters
    ----------
    low, high : float
        Limits of the probabilities; the upper one belongs to the group, in the first group the lower too.
    n, n_events : int
        Participants, and those with poor muscle function.
    predicted : float
        Mean predicted probability.
    observed : float
        Share with poor muscle function.
    interval : Interval
        Wilson interval of `observed`.
    """

    low: float
    high: float
    n: int
    n_events: int
    predicted: float
    observed: float
    interval: Interval


@dataclass(frozen=True)
class HosmerLemeshow:
    """Hosmer and Lemeshow's test of observed against expected counts.

    Parameters
    ----------
    statistic, p : float
        χ² and its upper tail; NaN where a group expects nobody.
    df : int
        Groups - 2 for a model fitted to these participants, groups for predictions from elsewhere.
    groups : tuple of CalibrationGroup
        Those that the quantiles of the probabilities make.
    issues : tuple of Issue
        Why something is NaN, or doubtful.
    """

    statistic: float
    p: float
    df: int
    groups: tuple[CalibrationGroup, ...]
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, eq=False)
class Calibration:
    """How well predicted probabilities of poor muscle function come true.

    Parameters
    ----------
    name : str
        The model.
    n, n_events, n_missing : int
        Participants with a probability, those of them with poor muscle function, and those without a
        probability.
    is_apparent : bool
        Whether the model was fitted to the same participants. Then the slope of a maximum-likelihood fit
        is 1 and its intercept 0 by construction, and say nothing.
    in_the_large : CalibrationTerm
        Log odds by which events are more frequent than predicted (slope held at 1).
    intercept, slope : CalibrationTerm
        Of the logistic regression of the outcome on the predicted log odds.
    recalibration_p : float
        Likelihood-ratio test of intercept 0 and slope 1 together, 2 degrees of freedom.
    observed_expected : float
        Observed over expected number of events.
    brier, brier_scaled : float
        Mean squared difference between probability and outcome, and its share of improvement over giving
        everybody the prevalence (1 is perfect, 0 is no better).
    spiegelhalter_z, spiegelhalter_p : float
        Spiegelhalter's test of the Brier score against the one expected under perfect calibration.
    ici : float
        Integrated calibration index: mean absolute distance of the smooth curve from the diagonal.
    hosmer_lemeshow : HosmerLemeshow
        The test, with the groups that a plot shows.
    smooth_predicted, smooth_observed : ndarray of shape (k,)
        Local regression (lowess, no robustness steps) of the outcome on the probability; empty where
        there are too few distinct probabilities.
    probabilities : Series
        The predictions, of the participants who have one.
    is_event : ndarray of bool, shape (n,)
        Whether each of them has poor muscle function.
    issues : tuple of Issue
        Why something is NaN, or doubtful.
    """

    name: str
    n: int
    n_events: int
    n_missing: int
    is_apparent: bool
    in_the_large: CalibrationTerm
    intercept: CalibrationTerm
    slope: CalibrationTerm
    recalibration_p: float
    observed_expected: float
    brier: float
    brier_scaled: float
    spiegelhalter_z: float
    spiegelhalter_p: float
    ici: float
    hosmer_lemeshow: HosmerLemeshow
    smooth_predicted: NDArray[np.floating]
    smooth_observed: NDArray[np.floating]
    probabilities: pd.Series
    is_event: NDArray[np.bool_]
    issues: tuple[Issue, ...] = ()


def calibrate(
    probabilities: pd.Series,
    poor: pd.Series,
    *,
    name: str,
    is_apparent: bool,
    n_groups: int = 10,
    level: float = 0.95,
) -> Calibration:
    """Compare predicted probabilities with what happened.

    Logistic recalibration after Cox (1958): the calibration in the large is the intercept of a logistic
    regression with the predicted log odds as offset, intercept and slope are those of the regression on
    them. In the participants that a model was fitted to by maximum likelihood the slope is exactly 1;
    out-of-fold predictions tell more. Intercept and slope are NaN, with an issue, where a probability is
    exactly 0 or 1 (infinite log odds), where all are equal (slope and intercept), where they rank the
    groups perfectly, and where a group is empty. The Brier score exists always.

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
    n_groups : int, default=10
        Groups of the plot and of Hosmer and Lemeshow's test.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    Calibration
        Of the participants with a probability and an outcome.

    Raises
    ------
    StatisticsError
        If there is no such participant, a value is no probability, or there are fewer than two groups.
    """
    predicted, outcome, n_missing, index = _probabilities(probabilities, poor, name)
    terms, recalibration_p, issues = _recalibrate(predicted, outcome, name, level)
    test = _hosmer_lemeshow(predicted, outcome, name, n_groups=n_groups, is_apparent=is_apparent, level=level)
    grid, smooth, ici = _smooth_curve(predicted, outcome)
    if not grid.size:
        what = f"fewer than {FEWEST_DISTINCT} distinct probabilities, so there is no smooth curve."
        issues.append(Issue(Severity.NOTE, name, what))
    brier, prevalence = float(np.mean((predicted - outcome) ** 2)), float(outcome.mean())
    z, p = _spiegelhalter(predicted, outcome)
    return Calibration(
        name=name,
        n=outcome.size,
        n_events=int(outcome.sum()),
        n_missing=n_missing,
        is_apparent=is_apparent,
        in_the_large=terms[0],
        intercept=terms[1],
        slope=terms[2],
        recalibration_p=recalibration_p,
        observed_expected=float(outcome.sum() / predicted.sum()) if predicted.any() else math.nan,
        brier=brier,
        brier_scaled=1 - brier / (prevalence * (1 - prevalence)) if 0 < prevalence < 1 else math.nan,
        spiegelhalter_z=z,
        spiegelhalter_p=p,
        ici=ici,
        hosmer_lemeshow=test,
        smooth_predicted=grid,
        smooth_observed=smooth,
        probabilities=pd.Series(predicted, index=index, name=name),
        is_event=outcome,
        issues=(*issues, *test.issues),
    )


def hosmer_lemeshow(
    probabilities: pd.Series,
    poor: pd.Series,
    *,
    name: str,
    n_groups: int = 10,
    is_apparent: bool = True,
    level: float = 0.95,
) -> HosmerLemeshow:
    """Test observed against expected counts in groups of similar probability (Hosmer & Lemeshow 1980).

    The groups are those of R's `cut` at the quantiles (type 7) of the probabilities, as in
    `ResourceSelection::hoslem.test`; equal quantiles fall together and empty groups are left out (where R
    gives NaN), and the degrees of freedom follow. A group that expects nobody of one outcome has no term:
    χ² and P are NaN. The test depends on the grouping, finds little in small samples and something in every
    large one.

    Parameters
    ----------
    probabilities : Series
        Predicted probability of poor muscle function, indexed by participant; NaN counts as missing.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    name : str
        The model.
    n_groups : int, default=10
        Groups asked for, at least 2.
    is_apparent : bool, default=True
        Whether the model was fitted to these participants: then 2 degrees of freedom are lost.
    level : float, default=0.95
        Coverage of the groups' intervals.

    Returns
    -------
    HosmerLemeshow
        The test and its groups.

    Raises
    ------
    StatisticsError
        If there is no participant, a value is no probability, or there are fewer than two groups.
    """
    predicted, outcome, _, _ = _probabilities(probabilities, poor, name)
    return _hosmer_lemeshow(predicted, outcome, name, n_groups=n_groups, is_apparent=is_apparent, level=level)


def _probabilities(
    probabilities: pd.Series, poor: pd.Series, name: str
) -> tuple[NDArray[np.floating], NDArray[np.bool_], int, pd.Index]:
    complete, known, n_missing = complete_cases(probabilities.to_frame(name), poor)
    predicted, outcome = complete[name].to_numpy(), known.to_numpy(dtype=bool)
    if predicted.size == 0:
        raise StatisticsError(f"{name}: no participant has both a probability and a group. Check the index.")
    if predicted.min() < 0 or predicted.max() > 1:
        worst = predicted[np.argmax(np.abs(predicted - 0.5))]
        raise StatisticsError(f"{name}: {worst:g} found, probabilities from 0 to 1 needed. Predict probabilities.")
    return predicted, outcome, n_missing, complete.index


def _recalibrate(
    predicted: NDArray[np.floating], outcome: NDArray[np.bool_], name: str, level: float
) -> tuple[tuple[CalibrationTerm, CalibrationTerm, CalibrationTerm], float, list[Issue]]:
    unknown = tuple(_term(term, math.nan, math.nan, level) for term in ("in the large", "intercept", "slope"))
    n_certain = int(np.isin(predicted, (0, 1)).sum())
    if n_certain:
        what = f"{n_certain} predicted probabilities are exactly 0 or 1, so intercept and slope do not exist."
        return (unknown[0], unknown[1], unknown[2]), math.nan, [_warning(name, what)]
    if outcome.all() or not outcome.any():
        what = f"all {outcome.size} participants have one outcome, so intercept and slope do not exist."
        return (unknown[0], unknown[1], unknown[2]), math.nan, [_warning(name, what)]
    log_odds = np.log(predicted) - np.log1p(-predicted)
    shift = maximise_likelihood(np.ones((1, 1, outcome.size)), outcome, offset=log_odds)
    large = _term("in the large", float(shift.terms[0, 0]), float(shift.covariance[0, 0, 0]), level)
    centre, scale = float(log_odds.mean()), float(log_odds.std())
    what = ""
    if scale <= CONSTANT_LOG_ODDS:
        what = "all predicted probabilities are equal, so there is no slope."
    elif _ranks_perfectly(log_odds, outcome):
        what = "the probabilities rank the groups perfectly, so the slope is infinite and not given."
    if what:
        return (large, unknown[1], unknown[2]), math.nan, [_warning(name, what)]
    line = maximise_likelihood(np.stack([np.ones(outcome.size), (log_odds - centre) / scale])[None], outcome)
    back = np.array([[1.0, -centre / scale], [0.0, 1 / scale]])
    (a, b), covariance = back @ line.terms[0], back @ line.covariance[0] @ back.T
    terms = large, _term("intercept", a, covariance[0, 0], level), _term("slope", b, covariance[1, 1], level)
    return terms, _recalibration_p(line, log_odds, outcome), []


def _term(name: str, value: float, variance: float, level: float) -> CalibrationTerm:
    ideal = 1.0 if name == "slope" else 0.0
    se = math.sqrt(variance)
    margin = float(stats.norm.ppf((1 + level) / 2)) * se
    z = (value - ideal) / se
    interval = Interval(float(value - margin), float(value + margin), level)
    return CalibrationTerm(name, float(value), se, ideal, interval, float(z), float(2 * stats.norm.sf(abs(z))))


def _recalibration_p(line: QuickFits, log_odds: NDArray[np.floating], outcome: NDArray[np.bool_]) -> float:
    as_predicted = -np.logaddexp(0.0, np.where(outcome, -log_odds, log_odds)).sum()
    return float(stats.chi2.sf(max(2 * (line.log_likelihood[0] - as_predicted), 0.0), 2))


def _ranks_perfectly(score: NDArray[np.floating], outcome: NDArray[np.bool_]) -> bool:
    events, others = score[outcome], score[~outcome]
    return bool(others.max() <= events.min() or events.max() <= others.min())


def _spiegelhalter(predicted: NDArray[np.floating], outcome: NDArray[np.bool_]) -> tuple[float, float]:
    variance = float(((1 - 2 * predicted) ** 2 * predicted * (1 - predicted)).sum())
    if not variance > 0:
        return math.nan, math.nan
    z = float(((outcome - predicted) * (1 - 2 * predicted)).sum() / math.sqrt(variance))
    return z, float(2 * stats.norm.sf(abs(z)))


def _smooth_curve(
    predicted: NDArray[np.floating], outcome: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.floating], float]:
    if np.unique(predicted).size < FEWEST_DISTINCT:
        return np.empty(0), np.empty(0), math.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = lowess(outcome.astype(float), predicted, frac=SMOOTH_SHARE, it=0)
    curve = curve[np.isfinite(curve).all(axis=1)]
    observed = np.clip(curve[:, 1], 0.0, 1.0)
    return curve[:, 0], observed, float(np.abs(observed - curve[:, 0]).mean()) if observed.size else math.nan


def _hosmer_lemeshow(
    predicted: NDArray[np.floating],
    outcome: NDArray[np.bool_],
    name: str,
    *,
    n_groups: int,
    is_apparent: bool,
    level: float,
) -> HosmerLemeshow:
    if n_groups < 2:
        raise StatisticsError(f"{name}: {n_groups} group(s) asked for, at least 2 are needed. Choose more groups.")
    limits = _quantiles(predicted, n_groups)
    member = np.clip(np.searchsorted(limits, predicted, side="left") - 1, 0, None)
    groups = tuple(
        _group(predicted[member == place], outcome[member == place], limits[place : place + 2], level)
        for place in range(max(limits.size - 1, 1))
        if (member == place).any()
    )
    df = len(groups) - 2 if is_apparent else len(groups)
    expected = np.array([group.predicted * group.n for group in groups])
    n, events = np.array([group.n for group in groups]), np.array([group.n_events for group in groups])
    issues = []
    if len(groups) < n_groups:
        what = f"Hosmer–Lemeshow: {len(groups)} groups instead of {n_groups}, since probabilities are tied or few."
        issues.append(Issue(Severity.NOTE, name, what))
    if min(expected.min(), (n - expected).min()) <= 0 or df < 1 or len(groups) < 2:
        what = f"no Hosmer–Lemeshow test: {len(groups)} group(s) are too few, or one expects nobody of an outcome."
        return HosmerLemeshow(math.nan, math.nan, max(df, 0), groups, (*issues, _warning(name, what)))
    statistic = float(((events - expected) ** 2 / expected + (events - expected) ** 2 / (n - expected)).sum())
    n_sparse = int((np.minimum(expected, n - expected) < 1).sum())
    if n_sparse:
        what = f"Hosmer–Lemeshow: {n_sparse} of {len(groups)} groups expect less than one of an outcome."
        issues.append(Issue(Severity.NOTE, name, what, "Ask for fewer groups, and do not lean on its P."))
    return HosmerLemeshow(statistic, float(stats.chi2.sf(statistic, df)), df, groups, tuple(issues))


def _group(
    predicted: NDArray[np.floating], outcome: NDArray[np.bool_], limits: NDArray[np.floating], level: float
) -> CalibrationGroup:
    n, n_events = outcome.size, int(outcome.sum())
    low, high = proportion_confint(n_events, n, alpha=1 - level, method="wilson")
    return CalibrationGroup(
        low=float(limits[0]),
        high=float(limits[-1]),
        n=n,
        n_events=n_events,
        predicted=float(predicted.mean()),
        observed=n_events / n,
        interval=Interval(float(low), float(high), level),
    )


def _quantiles(values: NDArray[np.floating], n_groups: int) -> NDArray[np.floating]:
    """Return the distinct quantiles of type 7, in R's very order of operations, since a tie hangs on the last digit."""
    ordered = np.sort(values)
    index = 1 + (values.size - 1) * np.minimum(np.arange(n_groups + 1) * (1 / n_groups), 1.0)
    below = np.floor(index)
    share = index - below
    low, high = ordered[below.astype(int) - 1], ordered[np.ceil(index).astype(int) - 1]
    return np.unique(np.where((share > 0) & (low != high), (1 - share) * low + share * high, low))


def _warning(name: str, what: str) -> Issue:
    return Issue(Severity.WARNING, name, what)
