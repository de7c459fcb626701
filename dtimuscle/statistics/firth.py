"""Firth's penalised logistic regression: estimates with less bias, which exist under separation too."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import chdtrc, expit

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.log_odds import QUICK_ITERATIONS, LogOdds, Maximum, inverse
from dtimuscle.statistics.profile import likelihood_ratio, profile_interval
from dtimuscle.statistics.separation import is_overlap_proved
from dtimuscle.statistics.terms import (
    ModelData,
    Term,
    exp_interval,
    long_step_issue,
    model_data,
    odds_ratio_of,
    step_of,
)


@dataclass(frozen=True)
class FirthCoefficient:
    """One term of a penalised logistic model.

    Parameters
    ----------
    name : str
        Feature, or category with its contrast.
    estimate, se : float
        Log odds ratio for one unit, and its standard error from Fisher's information at the estimate.
    chi2, p : float
        Penalised likelihood-ratio test, one degree of freedom.
    step : float
        Difference of the feature that `odds_ratio` is about, in its unit.
    odds_ratio : float
        Odds of poor muscle function when the feature is one `step` higher, against where it is.
    profile : Interval
        Penalised profile-likelihood interval of `odds_ratio`.
    sd : float
        Standard deviation of the feature (n - 1).
    odds_ratio_per_sd : float
        The same for a difference of one `sd`.
    profile_per_sd : Interval
        Its penalised profile-likelihood interval.
    """

    name: str
    estimate: float
    se: float
    chi2: float
    p: float
    step: float
    odds_ratio: float
    profile: Interval
    sd: float
    odds_ratio_per_sd: float
    profile_per_sd: Interval


@dataclass(frozen=True, eq=False)
class FirthFit:
    """A logistic model fitted by Firth's penalised likelihood.

    Parameters
    ----------
    coefficients : tuple of FirthCoefficient
        In the order of the terms; NaN for a term that adds nothing.
    intercept : float
        Log odds where all features are zero.
    n, n_events, n_missing : int
        Complete participants, those of them with poor muscle function, and participants with a group that were
        left out because a feature is missing.
    log_likelihood, null_log_likelihood : float
        Penalised, of the model and with all its terms but the intercept held at zero.
    chi2, df, p : float
        Penalised likelihood-ratio test of the whole model.
    probabilities : Series
        Fitted probability of poor muscle function. The penalty draws them towards one half, so that
        their sum is not the number of events.
    level : float
        Coverage of the intervals.
    issues : tuple of Issue
        What makes the model doubtful.
    """

    coefficients: tuple[FirthCoefficient, ...]
    intercept: float
    n: int
    n_events: int
    n_missing: int
    log_likelihood: float
    null_log_likelihood: float
    chi2: float
    df: int
    p: float
    probabilities: pd.Series
    level: float
    issues: tuple[Issue, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Terms of the model."""
        return tuple(coefficient.name for coefficient in self.coefficients)


def fit_firth(features: pd.DataFrame, poor: pd.Series, *, level: float = 0.95, profile: bool = True) -> FirthFit:
    """Fit a logistic model of poor muscle function by Firth's penalised likelihood.

    Jeffreys' prior as a penalty takes the first-order bias off the estimates (Firth 1993, Biometrika 80:27) and
    keeps them finite where the groups are separated. Tests and intervals are those of the penalised profile
    likelihood, since Wald's are poor there (Heinze & Schemper 2002, Stat Med 21:2409). A term that is constant
    or a combination of those before it is left out and has NaN. When one group is empty the whole model is NaN.
    Each comes with an issue.

    Parameters
    ----------
    features : DataFrame
        One column for each feature or covariate, as `terms.model_data` reads them.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    level : float, default=0.95
        Coverage of the intervals.
    profile : bool, default=True
        Whether intervals and tests of single terms are computed; they are NaN otherwise.

    Returns
    -------
    FirthFit
        Estimates and what makes them doubtful.
    """
    return firth_of(model_data(features, poor), level=level, profile=profile)


def firth_of(data: ModelData, *, level: float = 0.95, profile: bool = True) -> FirthFit:
    """Fit Firth's model to data that are laid out already.

    Parameters
    ----------
    data : ModelData
        Complete participants and terms.
    level : float, default=0.95
        Coverage of the intervals.
    profile : bool, default=True
        Whether intervals and tests of single terms are computed.

    Returns
    -------
    FirthFit
        As `fit_firth` returns it.
    """
    if data.n_events in (0, data.n):
        what = f"both groups are needed ({data.n_events} of {data.n} complete participants poor), so no model."
        return _no_fit(data, level, Issue(Severity.ERROR, data.title, what, "Leave out the feature that is missing."))
    model = LogOdds(data.design, data.is_event, is_penalised=True)
    maximum = model.maximise()
    if not maximum.is_reached:
        what = "the search for the largest penalised likelihood did not end, so no penalised estimates."
        return _no_fit(data, level, Issue(Severity.WARNING, data.title, what, "Use fewer features."))
    n_terms = len(data.kept)
    null = model.maximise(fixed=range(1, n_terms + 1)).point.value
    chi2 = max(2 * (maximum.point.value - null), 0.0) if n_terms else math.nan
    place = {position: 1 + i for i, position in enumerate(data.kept)}
    is_rugged = profile and not _has_overlap(model)
    coefficients = tuple(
        _coefficient(data, i, place.get(i), model, maximum, level=level, profile=profile, is_rugged=is_rugged)
        for i in range(len(data.terms))
    )
    kept = list(data.kept)
    slopes = maximum.terms[1:] / data.sd[kept]
    return FirthFit(
        coefficients=coefficients,
        intercept=float(maximum.terms[0] - slopes @ data.centre[kept]),
        n=data.n,
        n_events=data.n_events,
        n_missing=data.n_missing,
        log_likelihood=maximum.point.value,
        null_log_likelihood=null,
        chi2=chi2,
        df=n_terms,
        p=float(chdtrc(n_terms, chi2)) if n_terms else math.nan,
        probabilities=pd.Series(expit(data.design @ maximum.terms), index=data.index, name=data.title),
        level=level,
        issues=(*data.issues, *_open_ends(coefficients, place, profile=profile), *_long_steps(coefficients)),
    )


def _coefficient(
    data: ModelData,
    position: int,
    place: int | None,
    model: LogOdds,
    maximum: Maximum,
    *,
    level: float,
    profile: bool,
    is_rugged: bool,
) -> FirthCoefficient:
    term, sd = data.terms[position], float(data.sd[position])
    if place is None:
        return _undefined(term, sd, level)
    chi2, bounds = math.nan, Interval(math.nan, math.nan, level)
    if profile:
        chi2 = likelihood_ratio(model, maximum, place, is_rugged=is_rugged)
        bounds = profile_interval(model, maximum, place, level=level, is_rugged=is_rugged)
    step = step_of(term.name)
    per_sd = float(maximum.terms[place])
    return FirthCoefficient(
        name=term.name,
        estimate=per_sd / sd,
        se=math.sqrt(inverse(maximum.point.information)[place, place]) / sd,
        chi2=chi2,
        p=float(chdtrc(1, chi2)),
        step=step,
        odds_ratio=odds_ratio_of(per_sd, step / sd),
        profile=exp_interval(bounds, step / sd),
        sd=sd,
        odds_ratio_per_sd=odds_ratio_of(per_sd),
        profile_per_sd=exp_interval(bounds),
    )


def _has_overlap(model: LogOdds) -> bool:
    """Tell whether the plain likelihood has a maximum, beyond doubt."""
    plain = replace(model, is_penalised=False)
    maximum = plain.maximise(max_iterations=QUICK_ITERATIONS)
    return maximum.is_reached and is_overlap_proved(plain.design, maximum.point.score, plain.misses(maximum.terms))


def _open_ends(
    coefficients: tuple[FirthCoefficient, ...], place: dict[int, int], *, profile: bool
) -> tuple[Issue, ...]:
    return tuple(
        Issue(
            Severity.WARNING,
            coefficient.name,
            "an end of its penalised interval was not found; the interval is not given.",
            "Use fewer features.",
        )
        for i, coefficient in enumerate(coefficients)
        if profile and i in place and not coefficient.profile_per_sd.is_defined
    )


def _long_steps(coefficients: tuple[FirthCoefficient, ...]) -> Iterator[Issue]:
    for c in coefficients:
        ends = (c.profile.low, c.profile_per_sd.low), (c.profile.high, c.profile_per_sd.high)
        yield from long_step_issue(c.name, (c.odds_ratio, c.odds_ratio_per_sd), *ends)


def _undefined(term: Term, sd: float, level: float) -> FirthCoefficient:
    nan, unknown = math.nan, Interval(math.nan, math.nan, level)
    return FirthCoefficient(term.name, nan, nan, nan, nan, step_of(term.name), nan, unknown, sd, nan, unknown)


def _no_fit(data: ModelData, level: float, issue: Issue) -> FirthFit:
    nan = math.nan
    return FirthFit(
        coefficients=tuple(_undefined(term, sd, level) for term, sd in zip(data.terms, data.sd.tolist(), strict=True)),
        intercept=nan,
        n=data.n,
        n_events=data.n_events,
        n_missing=data.n_missing,
        log_likelihood=nan,
        null_log_likelihood=nan,
        chi2=nan,
        df=0,
        p=nan,
        probabilities=pd.Series(np.full(data.n, nan), index=data.index, name=data.title),
        level=level,
        issues=(*data.issues, issue),
    )
