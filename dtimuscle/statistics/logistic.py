"""Logistic regression of poor muscle function, one feature at a time and several together."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit
from statsmodels.discrete.discrete_model import BinaryResults, Logit

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases, is_constant
from dtimuscle.statistics.estimates import Estimate, EstimateKind, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, require_both_groups, split_feature
from dtimuscle.statistics.separation import separated_rows

# Odds ratios are given for these steps: FA has no unit, diffusivities are in mm²/s; anything else steps by 1.
STEPS = {"fa": 0.1, "md": 0.1e-3, "ad": 0.1e-3, "rd": 0.1e-3}

# Fewer participants of the smaller group for each feature make a model unstable (Peduzzi 1996).
EVENTS_PER_FEATURE = 10

# A feature whose part outside the other features is smaller than this fraction adds nothing to them.
COLLINEAR = 1e-7

# A standard error of the log odds per SD beyond this one belongs to an estimate on its way to infinity.
LARGEST_SE = 5.0

# exp() of anything beyond is no finite number.
LARGEST_EXPONENT = 700.0

MAX_ITERATIONS = 200

INTERCEPT = "intercept"


@dataclass(frozen=True)
class Coefficient:
    """One term of a logistic model.

    Parameters
    ----------
    name : str
        Feature, or `intercept`.
    estimate, se : float
        Log odds ratio for one unit of the feature, and its standard error.
    z, p : float
        Wald test, two-sided.
    step : float
        Difference of the feature that `odds_ratio` is about, in its unit.
    odds_ratio : float
        Odds of poor muscle function when the feature is one `step` higher, against where it is.
    interval : Interval
        Wald interval of `odds_ratio`.
    """

    name: str
    estimate: float
    se: float
    z: float
    p: float
    step: float
    odds_ratio: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """A logistic model fitted by maximum likelihood.

    Parameters
    ----------
    coefficients : tuple of Coefficient
        In the order of the features. NaN under separation, and for a feature that adds nothing.
    intercept : Coefficient
        Log odds where all features are zero.
    n : int
        Complete participants.
    n_events : int
        Those with poor muscle function.
    n_missing : int
        Participants with a group that were left out because a feature is missing.
    log_likelihood, null_log_likelihood : float
        Of the model and of the model without features; under separation the limit that it approaches.
    aic : float
        Akaike's criterion, 2 × (estimated terms) - 2 × `log_likelihood`.
    probabilities : Series
        Fitted probability of poor muscle function of each complete participant; under separation the
        limit: 0 or 1 for those that are separated.
    is_separated : bool
        Whether features predict some or all outcomes perfectly, so that no estimates exist.
    issues : tuple of Issue
        What makes the model doubtful.
    """

    coefficients: tuple[Coefficient, ...]
    intercept: Coefficient
    n: int
    n_events: int
    n_missing: int
    log_likelihood: float
    null_log_likelihood: float
    aic: float
    probabilities: pd.Series
    is_separated: bool
    issues: tuple[Issue, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Features of the model."""
        return tuple(coefficient.name for coefficient in self.coefficients)

    def estimates(self, *, kind: EstimateKind = "odds_ratio") -> tuple[Estimate, ...]:
        """Return the odds ratio of each feature.

        Parameters
        ----------
        kind : {"odds_ratio", "univariate_odds_ratio"}, default="odds_ratio"
            Whether other features were in the model.

        Returns
        -------
        tuple of Estimate
            With Wald interval and P.
        """
        return tuple(
            Estimate(kind, c.name, "", c.odds_ratio, interval=interval_or_none(c.interval), p=c.p, n=self.n)
            for c in self.coefficients
        )


@dataclass(frozen=True, eq=False)
class EntryModel:
    """Univariate models, and the multivariable one of the features that entered.

    Parameters
    ----------
    univariate : tuple of LogisticFit
        One for each feature.
    entered : tuple of str
        Features whose univariate P is below `entry_p`.
    multivariable : LogisticFit or None
        Their joint model; None when none entered.
    entry_p : float
        The rule of entry.
    issues : tuple of Issue
        Of the selection; each model keeps its own beside.
    """

    univariate: tuple[LogisticFit, ...]
    entered: tuple[str, ...]
    multivariable: LogisticFit | None
    entry_p: float
    issues: tuple[Issue, ...] = ()

    def estimates(self) -> tuple[Estimate, ...]:
        """Return all odds ratios, univariate first."""
        found = [e for fit in self.univariate for e in fit.estimates(kind="univariate_odds_ratio")]
        if self.multivariable is not None:
            found += self.multivariable.estimates()
        return tuple(found)


def fit_logistic(features: pd.DataFrame, poor: pd.Series, *, level: float = 0.95) -> LogisticFit:
    """Fit a logistic model of poor muscle function.

    Features are standardised while fitting, since MD is about 1e-3 mm²/s, and the estimates are given in
    their own units. Four situations have a defined outcome, each with an issue. A constant feature, or
    one that is a combination of those before it, is left out and has NaN (as R does). Under separation
    all coefficients are NaN. When one group is empty the whole model is NaN. With few participants for
    each feature the model is fitted all the same.

    Parameters
    ----------
    features : DataFrame
        One column for each feature, indexed by participant; complete participants are used.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    LogisticFit
        Estimates and what makes them doubtful.

    Raises
    ------
    StatisticsError
        If the fit does not converge although no features separate the groups.
    """
    complete, outcome, n_missing = complete_cases(features, poor)
    names = [str(name) for name in complete.columns]
    where = _title(names)
    is_event = outcome.to_numpy(dtype=bool)
    n, n_events = is_event.size, int(is_event.sum())
    if n_events in (0, n):
        return _no_model(names, n=n, n_events=n_events, n_missing=n_missing, level=level)

    standardised, centre, scale = _standardise(complete.to_numpy())
    kept = _independent_columns(standardised)
    design = np.column_stack([np.ones(n), standardised[:, kept]])
    separated = separated_rows(design, is_event)
    issues = _doubts(names, kept, separated, smaller=min(n_events, n - n_events), where=where)
    overlap, log_likelihood, probabilities = _maximise(design, is_event, separated)
    estimate, covariance = np.full(len(kept) + 1, np.nan), np.full((len(kept) + 1,) * 2, np.nan)
    if overlap is not None and not separated.any():
        to_units = _back_to_units(centre[kept], scale[kept])
        estimate = to_units @ overlap.params
        issues += _loose(overlap.bse[1:], [names[i] for i in kept])
        covariance = to_units @ overlap.cov_params() @ to_units.T
    terms = _coefficients([INTERCEPT, *(names[i] for i in kept)], estimate, covariance, level)
    by_name = {term.name: term for term in terms}
    return LogisticFit(
        coefficients=tuple(by_name.get(name, _undefined(name, level)) for name in names),
        intercept=terms[0],
        n=n,
        n_events=n_events,
        n_missing=n_missing,
        log_likelihood=log_likelihood,
        null_log_likelihood=_null_log_likelihood(n, n_events),
        aic=2 * len(terms) - 2 * log_likelihood,
        probabilities=pd.Series(probabilities, index=complete.index, name=where),
        is_separated=bool(separated.any()),
        issues=tuple(issues),
    )


def enter_by_p(features: FeatureFrame, *, entry_p: float = 0.05, level: float = 0.95) -> EntryModel:
    """Fit each feature alone, then together those with a univariate P below a limit, as the study did.

    A feature that separates the groups by itself has no Wald P and does not enter; an issue says so.

    Parameters
    ----------
    features : FeatureFrame
        Features and groups.
    entry_p : float, default=0.05
        Features with a univariate Wald P below this enter.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    EntryModel
        All models.

    Raises
    ------
    StatisticsError
        If a group is empty.
    """
    require_both_groups(features)
    univariate = tuple(
        fit_logistic(features.values[[name]], features.poor, level=level) for name in features.values.columns
    )
    entered = tuple(fit.names[0] for fit in univariate if fit.coefficients[0].p < entry_p)
    issues = [
        Issue(
            Severity.WARNING,
            fit.names[0],
            "the feature alone separates the groups, so it has no univariate P and does not enter the joint model.",
            "Read its ROC curve instead.",
        )
        for fit in univariate
        if fit.is_separated
    ]
    if not entered:
        what = f"no feature has a univariate P below {entry_p}, so there is no joint model."
        issues.append(Issue(Severity.NOTE, "multivariable model", what))
    multivariable = fit_logistic(features.values[list(entered)], features.poor, level=level) if entered else None
    return EntryModel(univariate, entered, multivariable, entry_p, tuple(issues))


def step_of(name: str) -> float:
    """Return the difference of a feature, in its unit, that its odds ratio is about.

    Parameters
    ----------
    name : str
        A feature, or any other column.
    """
    return STEPS.get(split_feature(name)[1], 1.0)


def _standardise(
    numbers: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    centre, scale = numbers.mean(axis=0), numbers.std(axis=0)
    constant = np.array([is_constant(column) for column in numbers.T], dtype=bool)
    scale = np.where(constant, 1.0, scale)
    return np.where(constant, 0.0, (numbers - centre) / scale), centre, scale


def _independent_columns(standardised: NDArray[np.floating]) -> list[int]:
    basis = np.ones((len(standardised), 1))
    kept: list[int] = []
    for i, column in enumerate(standardised.T):
        residual = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if np.linalg.norm(residual) > COLLINEAR * math.sqrt(column.size):
            basis = np.column_stack([basis, column])
            kept.append(i)
    return kept


def _maximise(
    design: NDArray[np.floating], is_event: NDArray[np.bool_], separated: NDArray[np.bool_]
) -> tuple[BinaryResults | None, float, NDArray[np.floating]]:
    """Fit the participants that are not separated; the others have probability 0 or 1 in the limit."""
    probabilities = is_event.astype(float)
    if separated.all():
        return None, 0.0, probabilities
    rest = design[~separated]
    columns = [0, *(i + 1 for i in _independent_columns(rest[:, 1:]))]
    # Where the groups hardly overlap, exp() overflows on the way, to limits that are right.
    with np.errstate(over="ignore"):
        fit = Logit(probabilities[~separated], rest[:, columns]).fit(
            method="newton", maxiter=MAX_ITERATIONS, tol=1e-9, disp=False, warn_convergence=False
        )
    if not fit.mle_retvals["converged"]:
        raise StatisticsError(
            f"the logistic model of {design.shape[1] - 1} feature(s) did not converge in {MAX_ITERATIONS} steps. "
            "Use fewer features."
        )
    probabilities[~separated] = expit(rest[:, columns] @ fit.params)
    return fit, float(fit.llf), probabilities


def _null_log_likelihood(n: int, n_events: int) -> float:
    share = n_events / n
    return n_events * math.log(share) + (n - n_events) * math.log(1 - share)


def _back_to_units(centre: NDArray[np.floating], scale: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the matrix that takes the terms of standardised features to those in their own units."""
    matrix = np.diag(np.concatenate([[1.0], 1 / scale]))
    matrix[0, 1:] = -centre / scale
    return matrix


def _coefficients(
    names: list[str], estimate: NDArray[np.floating], covariance: NDArray[np.floating], level: float
) -> list[Coefficient]:
    quantile = float(stats.norm.ppf((1 + level) / 2))
    terms = []
    for name, beta, se in zip(names, estimate.tolist(), np.sqrt(np.diag(covariance)).tolist(), strict=True):
        step = step_of(name)
        low, high = _exp((beta - quantile * se) * step), _exp((beta + quantile * se) * step)
        p = float(2 * stats.norm.sf(abs(beta / se)))
        terms.append(Coefficient(name, beta, se, beta / se, p, step, _exp(beta * step), Interval(low, high, level)))
    return terms


def _exp(exponent: float) -> float:
    return math.exp(exponent) if abs(exponent) <= LARGEST_EXPONENT else math.nan


def _undefined(name: str, level: float) -> Coefficient:
    nan = math.nan
    return Coefficient(name, nan, nan, nan, nan, step_of(name), nan, Interval(nan, nan, level))


def _doubts(
    names: list[str], kept: list[int], separated: NDArray[np.bool_], *, smaller: int, where: str
) -> list[Issue]:
    issues = [
        Issue(
            Severity.WARNING,
            name,
            "constant, or a combination of the features before it; left out of the model.",
            "Leave one of them out.",
        )
        for i, name in enumerate(names)
        if i not in kept
    ]
    if separated.any():
        extent = "all" if separated.all() else f"{separated.sum()} of {separated.size}"
        what = f"the features predict {extent} outcomes perfectly (separation), so no odds ratios exist."
        issues.append(Issue(Severity.WARNING, where, what, "Use fewer features, or a penalised fit."))
    if kept and smaller < EVENTS_PER_FEATURE * len(kept):
        what = (
            f"{smaller} participants in the smaller group for {len(kept)} feature(s), {smaller / len(kept):.1f} each; "
            f"at least {EVENTS_PER_FEATURE} each are needed for stable estimates."
        )
        issues.append(Issue(Severity.WARNING, where, what, "Use fewer features, chosen beforehand."))
    return issues


def _title(names: list[str]) -> str:
    return " + ".join(names) if len(names) <= 3 else f"model of {len(names)} features"


def _loose(se_per_sd: NDArray[np.floating], names: list[str]) -> list[Issue]:
    return [
        Issue(
            Severity.WARNING,
            name,
            f"the data hardly determine its odds ratio (standard error of the log odds {se:.1f} per SD): "
            "the groups hardly overlap, or other features carry the same.",
            "Use fewer features.",
        )
        for name, se in zip(names, se_per_sd, strict=True)
        if se > LARGEST_SE
    ]


def _no_model(names: list[str], *, n: int, n_events: int, n_missing: int, level: float) -> LogisticFit:
    nan, where = math.nan, _title(names)
    empty = "poor" if n_events == 0 else "good"
    what = f"no complete participant with {empty} muscle function ({n} complete, {n_missing} left out), so no model."
    return LogisticFit(
        coefficients=tuple(_undefined(name, level) for name in names),
        intercept=_undefined(INTERCEPT, level),
        n=n,
        n_events=n_events,
        n_missing=n_missing,
        log_likelihood=nan,
        null_log_likelihood=nan,
        aic=nan,
        probabilities=pd.Series(dtype=float, name=where),
        is_separated=False,
        issues=(Issue(Severity.ERROR, where, what, "Leave out the feature that is missing."),),
    )
