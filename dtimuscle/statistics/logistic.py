"""Logistic regression of poor muscle function, one feature at a time and several together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, expit, ndtr, ndtri

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.collinearity import inflation_factors, inflation_issue
from dtimuscle.statistics.estimates import Estimate, EstimateKind, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, require_both_groups
from dtimuscle.statistics.firth import FirthFit, firth_of
from dtimuscle.statistics.log_odds import QUICK_ITERATIONS, LogOdds, Maximum, inverse
from dtimuscle.statistics.profile import likelihood_ratio, profile_interval
from dtimuscle.statistics.separation import (
    Separation,
    is_overlap_proved,
    separated_rows,
    separating_columns,
    separation_of,
)
from dtimuscle.statistics.terms import (
    ModelData,
    exp_interval,
    independent_columns,
    long_step_issue,
    model_data,
    odds_ratio_of,
    step_of,
)

__all__ = [
    "EVENTS_PER_FEATURE",
    "INTERCEPT",
    "Coefficient",
    "ColumnTest",
    "EntryModel",
    "LogisticFit",
    "PrespecifiedModel",
    "enter_by_p",
    "fit_logistic",
    "prespecified_model",
    "univariate_models",
]

# Fewer participants of the smaller group for each feature make a model unstable (Peduzzi 1996).
EVENTS_PER_FEATURE = 10

# A standard error of the log odds per SD beyond this one belongs to an estimate on its way to infinity.
LARGEST_SE = 5.0

MAX_ITERATIONS = 200

INTERCEPT = "intercept"


@dataclass(frozen=True)
class Coefficient:
    """One term of a logistic model.

    Parameters
    ----------
    name : str
        Feature, category with its contrast (`sex: M against F`), or `intercept`.
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
    profile : Interval
        Profile-likelihood interval of `odds_ratio`.
    chi2, p_lr : float
        Likelihood-ratio test against the model without this term, one degree of freedom; it exists under
        separation too.
    sd : float
        Standard deviation of the feature (n - 1).
    odds_ratio_per_sd : float
        Odds ratio for a difference of one `sd`.
    interval_per_sd, profile_per_sd : Interval
        Its Wald and its profile-likelihood interval.
    vif : float
        Variance inflation factor among the features of the model.
    """

    name: str
    estimate: float
    se: float
    z: float
    p: float
    step: float
    odds_ratio: float
    interval: Interval
    profile: Interval
    chi2: float
    p_lr: float
    sd: float
    odds_ratio_per_sd: float
    interval_per_sd: Interval
    profile_per_sd: Interval
    vif: float


@dataclass(frozen=True)
class ColumnTest:
    """Likelihood-ratio test of one column of a model, with all of its levels if it is a category.

    Parameters
    ----------
    name : str
        Feature or covariate.
    chi2 : float
        Deviance that it takes away.
    df : int
        Terms that it has in the model.
    p : float
        From the chi-squared distribution; NaN without terms.
    """

    name: str
    chi2: float
    df: int
    p: float


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """A logistic model fitted by maximum likelihood.

    Parameters
    ----------
    coefficients : tuple of Coefficient
        In the order of the features. NaN under separation, and for a feature that adds nothing.
    intercept : Coefficient
        Log odds where all features are zero.
    tests : tuple of ColumnTest
        One for each feature and covariate; a category with several levels is tested as a whole.
    n : int
        Complete participants.
    n_events : int
        Those with poor muscle function.
    n_missing : int
        Participants with a group that were left out because a feature is missing.
    df : int
        Estimated terms beside the intercept.
    log_likelihood, null_log_likelihood : float
        Of the model and of the model without features; under separation the limit that it approaches.
    probabilities : Series
        Fitted probability of poor muscle function of each complete participant; under separation the
        limit: 0 or 1 for those that are separated.
    separation : {"none", "quasi-complete", "complete"}
        Whether features predict some or all outcomes perfectly, so that no estimates exist.
    issues : tuple of Issue
        What makes the model doubtful.
    """

    coefficients: tuple[Coefficient, ...]
    intercept: Coefficient
    tests: tuple[ColumnTest, ...]
    n: int
    n_events: int
    n_missing: int
    df: int
    log_likelihood: float
    null_log_likelihood: float
    probabilities: pd.Series
    separation: Separation
    issues: tuple[Issue, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Terms of the model."""
        return tuple(coefficient.name for coefficient in self.coefficients)

    @property
    def is_separated(self) -> bool:
        """Whether no estimates exist, since outcomes are predicted perfectly."""
        return self.separation != "none"

    @property
    def deviance(self) -> float:
        """Residual deviance, -2 × log likelihood."""
        return -2 * self.log_likelihood + 0.0

    @property
    def null_deviance(self) -> float:
        """Deviance of the model without features."""
        return -2 * self.null_log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 × (estimated terms) - 2 × log likelihood."""
        return 2 * (self.df + 1) - 2 * self.log_likelihood

    @property
    def chi2(self) -> float:
        """Likelihood-ratio chi-squared of the whole model, with `df` degrees of freedom."""
        return max(self.null_deviance - self.deviance, 0.0) if self.df else math.nan

    @property
    def p(self) -> float:
        """P of the likelihood-ratio test of the whole model; NaN without terms."""
        return float(chdtrc(self.df, self.chi2)) if self.df else math.nan

    @property
    def mcfadden(self) -> float:
        """McFadden's R², the share of the null deviance that the model takes away."""
        return 1 - self.log_likelihood / self.null_log_likelihood

    @property
    def cox_snell(self) -> float:
        """Cox and Snell's R²."""
        return -math.expm1(2 * (self.null_log_likelihood - self.log_likelihood) / self.n) if self.n else math.nan

    @property
    def nagelkerke(self) -> float:
        """Nagelkerke's R², Cox and Snell's as a share of the largest that is possible (Biometrika 1991, 78:691)."""
        return self.cox_snell / -math.expm1(2 * self.null_log_likelihood / self.n) if self.n else math.nan

    @property
    def events_per_variable(self) -> float:
        """Participants of the smaller group for each estimated term; NaN without terms."""
        return min(self.n_events, self.n - self.n_events) / self.df if self.df else math.nan

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
        One for each candidate.
    entered : tuple of str
        Candidates whose univariate P is below `entry_p`.
    multivariable : LogisticFit or None
        Their joint model; None when none entered.
    firth : FirthFit or None
        The same model by Firth's penalised likelihood.
    entry_p : float
        The rule of entry.
    issues : tuple of Issue
        Of the selection; each model keeps its own beside.
    """

    univariate: tuple[LogisticFit, ...]
    entered: tuple[str, ...]
    multivariable: LogisticFit | None
    firth: FirthFit | None
    entry_p: float
    issues: tuple[Issue, ...] = ()

    def estimates(self) -> tuple[Estimate, ...]:
        """Return all odds ratios, univariate first."""
        found = [e for fit in self.univariate for e in fit.estimates(kind="univariate_odds_ratio")]
        if self.multivariable is not None:
            found += self.multivariable.estimates()
        return tuple(found)


@dataclass(frozen=True, eq=False)
class PrespecifiedModel:
    """A joint model of features that were chosen before the data were seen.

    Parameters
    ----------
    columns : tuple of str
        Features and covariates, in the order that was asked for.
    multivariable : LogisticFit
        Their joint model by maximum likelihood.
    firth : FirthFit
        The same model by Firth's penalised likelihood.
    """

    columns: tuple[str, ...]
    multivariable: LogisticFit
    firth: FirthFit

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What makes either fit doubtful, each said once."""
        return tuple(dict.fromkeys((*self.multivariable.issues, *self.firth.issues)))

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the odds ratios by maximum likelihood."""
        return self.multivariable.estimates()


def fit_logistic(features: pd.DataFrame, poor: pd.Series, *, level: float = 0.95, profile: bool = True) -> LogisticFit:
    """Fit a logistic model of poor muscle function by maximum likelihood.

    Features are standardised while fitting, since MD is about 1e-3 mm²/s, and the estimates are given in
    their own units. Text, categories and truth values are compared with their first level, which the term's name
    says. Four situations have a defined outcome, each with an issue. A constant feature, or
    one that is a combination of those before it, is left out and has NaN (as R does). Under separation
    estimates, standard errors and intervals are NaN, while the likelihood and its tests are the limits that a fit
    approaches. When one group is empty the whole model is NaN. With few participants for each feature the model
    is fitted all the same.

    Parameters
    ----------
    features : DataFrame
        One column for each feature or covariate, indexed by participant; complete participants are used.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    level : float, default=0.95
        Coverage of the intervals.
    profile : bool, default=True
        Whether profile-likelihood intervals and likelihood-ratio tests of single terms are computed, and the
        features that separate the groups are sought; they take most of the time. Otherwise they are NaN.

    Returns
    -------
    LogisticFit
        Estimates and what makes them doubtful.

    Raises
    ------
    StatisticsError
        If the fit does not converge although no features separate the groups.
    """
    return _fit(model_data(features, poor), level=level, profile=profile)


def univariate_models(
    features: FeatureFrame, *, covariates: Sequence[str] = (), level: float = 0.95, profile: bool = True
) -> tuple[LogisticFit, ...]:
    """Fit each feature and each covariate alone.

    Parameters
    ----------
    features : FeatureFrame
        Features, covariates and groups.
    covariates : sequence of str, default=()
        Columns of `features.covariates`, after the features; one that is not there, or has no known value, gives
        a model of NaN with an issue.
    level : float, default=0.95
        Coverage of the intervals.
    profile : bool, default=True
        As in `fit_logistic`.

    Returns
    -------
    tuple of LogisticFit
        One for each feature and covariate.

    Raises
    ------
    StatisticsError
        If a group is empty.
    """
    require_both_groups(features)
    fits = [
        fit_logistic(features.values[[name]], features.poor, level=level, profile=profile)
        for name in features.values.columns
    ]
    for name in covariates:
        if name in features.covariates.columns:
            fits.append(fit_logistic(features.covariates[[name]], features.poor, level=level, profile=profile))
        else:
            unknown = pd.DataFrame({name: np.nan}, index=features.poor.index)
            what = "there is no such column in the table of participants, so no model."
            issue = Issue(Severity.WARNING, name, what, "Add it, or leave it out of the covariates.")
            fits.append(replace(fit_logistic(unknown, features.poor, level=level), issues=(issue,)))
    return tuple(fits)


def enter_by_p(
    features: FeatureFrame,
    *,
    entry_p: float = 0.05,
    covariates: Sequence[str] = (),
    level: float = 0.95,
    profile: bool = True,
) -> EntryModel:
    """Fit each candidate alone, then together those with a univariate P below a limit, as the study did.

    The same patients choose the features and then test them, so that the joint model's odds ratios are too far from
    1, its P values too small and its intervals too narrow (Sun et al. 1996, J Clin Epidemiol 49:907; Heinze & Dunkler
    2017, Transpl Int 30:6); an issue says so. The P of entry is Wald's, and that of the likelihood-ratio test for a
    category with more than two levels. A candidate that separates the groups by itself has no Wald P and does not
    enter; an issue says so.

    Parameters
    ----------
    features : FeatureFrame
        Features, covariates and groups.
    entry_p : float, default=0.05
        Candidates with a univariate P below this enter.
    covariates : sequence of str, default=()
        Covariates that are candidates too.
    level : float, default=0.95
        Coverage of the intervals.
    profile : bool, default=True
        As in `fit_logistic`.

    Returns
    -------
    EntryModel
        All models.

    Raises
    ------
    StatisticsError
        If a group is empty.
    """
    univariate = univariate_models(features, covariates=covariates, level=level, profile=profile)
    entered = tuple(fit.tests[0].name for fit in univariate if _entry_p(fit) < entry_p)
    issues = [
        Issue(
            Severity.WARNING,
            fit.tests[0].name,
            "the feature alone separates the groups, so it has no univariate P and does not enter the joint model.",
            "Read its ROC curve instead.",
        )
        for fit in univariate
        if fit.is_separated
    ]
    if not entered:
        what = f"no feature has a univariate P below {entry_p}, so there is no joint model."
        issues.append(Issue(Severity.NOTE, "multivariable model", what))
        return EntryModel(univariate, (), None, None, entry_p, tuple(issues))
    issues.append(_poor_habit(len(entered), univariate, features, entry_p))
    data = model_data(_columns(features, entered), features.poor)
    return EntryModel(
        univariate=univariate,
        entered=entered,
        multivariable=_fit(data, level=level, profile=profile),
        firth=firth_of(data, level=level, profile=profile),
        entry_p=entry_p,
        issues=tuple(issues),
    )


def prespecified_model(features: FeatureFrame, names: Sequence[str], *, level: float = 0.95) -> PrespecifiedModel:
    """Fit one model of features and covariates that were chosen beforehand, with and without Firth's penalty.

    Parameters
    ----------
    features : FeatureFrame
        Features, covariates and groups.
    names : sequence of str
        Features (`gracilis.md`) and covariates (`age`); at least one.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    PrespecifiedModel
        Both fits.

    Raises
    ------
    StatisticsError
        If a group is empty, no name is given, or a name is neither a feature nor a covariate.
    """
    require_both_groups(features)
    available = [*features.values.columns, *features.covariates.columns]
    lacking = [name for name in names if name not in available]
    if lacking or not names:
        found = f"{', '.join(lacking)} not found" if lacking else "no feature given"
        raise StatisticsError(f"prespecified model: {found}; available: {', '.join(map(str, available))}.")
    data = model_data(_columns(features, list(dict.fromkeys(names))), features.poor)
    return PrespecifiedModel(tuple(data.columns), _fit(data, level=level, profile=True), firth_of(data, level=level))


def _columns(features: FeatureFrame, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: features.values[name] if name in features.values.columns else features.covariates[name]
            for name in names
        },
        index=features.values.index,
    )


def _entry_p(fit: LogisticFit) -> float:
    return fit.coefficients[0].p if len(fit.coefficients) == 1 else fit.tests[0].p


def _poor_habit(n_entered: int, univariate: Sequence[LogisticFit], features: FeatureFrame, entry_p: float) -> Issue:
    n_candidates = len(univariate)
    events = min(features.n_poor, features.n_good) / n_candidates
    what = (
        f"{n_entered} of {n_candidates} candidates entered because their P in these same patients is below "
        f"{entry_p:g} ({events:.1f} participants of the smaller group for each candidate, at least "
        f"{EVENTS_PER_FEATURE} needed): a poor habit, which makes odds ratios too extreme, P too small and intervals "
        "too narrow."
    )
    return Issue(Severity.WARNING, "multivariable model", what, "Trust the prespecified model and corrected AUCs more.")


@dataclass(frozen=True, eq=False)
class _Solution:
    """A fit in standardised terms, or the limit that it approaches under separation."""

    maximum: Maximum | None
    log_likelihood: float
    probabilities: NDArray[np.floating]
    separated: NDArray[np.bool_]


def _fit(data: ModelData, *, level: float, profile: bool) -> LogisticFit:
    if data.n_events in (0, data.n):
        return _no_model(data, level)
    design = data.design
    solution = _solve(design, data.is_event)
    tests = _column_tests(data, design, solution) if profile else _no_tests(data)
    terms = _terms(data, solution, level=level, profile=profile)
    fit = LogisticFit(
        coefficients=terms,
        intercept=_intercept(data, solution, level),
        tests=tests,
        n=data.n,
        n_events=data.n_events,
        n_missing=data.n_missing,
        df=len(data.kept),
        log_likelihood=solution.log_likelihood,
        null_log_likelihood=_null_log_likelihood(data.n, data.n_events),
        probabilities=pd.Series(solution.probabilities, index=data.index, name=data.title),
        separation=separation_of(solution.separated),
    )
    issues = [
        *data.issues,
        *_separation_issue(data, design, solution.separated, by_name=profile),
        *_few_events(fit, data.title),
    ]
    for term in terms:
        issues += [*_loose(term), *inflation_issue(term.name, term.vif), *_long_step(term)]
    return replace(fit, issues=tuple(issues))


def _solve(design: NDArray[np.floating], is_event: NDArray[np.bool_]) -> _Solution:
    model = LogOdds(design, is_event)
    nobody = np.zeros(is_event.size, dtype=bool)
    maximum = model.maximise(max_iterations=min(QUICK_ITERATIONS, MAX_ITERATIONS))
    misses = model.misses(maximum.terms)
    if not (maximum.is_reached and is_overlap_proved(design, maximum.point.score, misses)):
        separated = separated_rows(design, is_event)
        if separated.any():
            return _limit(design, is_event, separated)
        maximum = model.maximise(max_iterations=MAX_ITERATIONS)
        if not maximum.is_reached:
            raise StatisticsError(
                f"the logistic model of {design.shape[1] - 1} feature(s) did not converge in {MAX_ITERATIONS} steps. "
                "Use fewer features."
            )
    return _Solution(maximum, maximum.point.value, expit(design @ maximum.terms), nobody)


def _limit(design: NDArray[np.floating], is_event: NDArray[np.bool_], separated: NDArray[np.bool_]) -> _Solution:
    """Fit the participants that are not separated; the others have probability 0 or 1 in the limit."""
    probabilities = is_event.astype(float)
    rest = ~separated
    if not rest.any():
        return _Solution(None, 0.0, probabilities, separated)
    columns = design[rest]
    columns = columns[:, [0, *(1 + i for i in independent_columns(columns[:, 1:]))]]
    inner = _solve(columns, is_event[rest])
    probabilities[rest] = inner.probabilities
    return _Solution(None, inner.log_likelihood, probabilities, separated)


def _without(design: NDArray[np.floating], is_event: NDArray[np.bool_], places: Sequence[int]) -> float:
    """Log likelihood of the model without some of its terms."""
    return _solve(np.delete(design, list(places), axis=1), is_event).log_likelihood


def _column_tests(data: ModelData, design: NDArray[np.floating], solution: _Solution) -> tuple[ColumnTest, ...]:
    tests = []
    for name, places in data.columns.items():
        chi2 = math.nan
        if places:
            chi2 = max(2 * (solution.log_likelihood - _without(design, data.is_event, places)), 0.0)
        tests.append(ColumnTest(name, chi2, len(places), float(chdtrc(max(len(places), 1), chi2))))
    return tuple(tests)


def _no_tests(data: ModelData) -> tuple[ColumnTest, ...]:
    return tuple(ColumnTest(name, math.nan, len(places), math.nan) for name, places in data.columns.items())


def _terms(data: ModelData, solution: _Solution, *, level: float, profile: bool) -> tuple[Coefficient, ...]:
    design = data.design
    place = {position: 1 + i for i, position in enumerate(data.kept)}
    vif = dict(zip(data.kept, inflation_factors(design[:, 1:]).tolist(), strict=True))
    model, maximum = LogOdds(design, data.is_event), solution.maximum
    covariance = None if maximum is None else inverse(maximum.point.information)
    terms = []
    for i, term in enumerate(data.terms):
        bounds, chi2, per_sd, se = Interval(math.nan, math.nan, level), math.nan, math.nan, math.nan
        if i in place and maximum is not None and covariance is not None:
            per_sd, se = float(maximum.terms[place[i]]), math.sqrt(covariance[place[i], place[i]])
            if profile:
                bounds = profile_interval(model, maximum, place[i], level=level)
                chi2 = likelihood_ratio(model, maximum, place[i])
        elif i in place and profile:
            chi2 = max(2 * (solution.log_likelihood - _without(design, data.is_event, [place[i]])), 0.0)
        sd = float(data.sd[i])
        terms.append(_coefficient(term.name, per_sd, se, bounds, chi2, sd=sd, vif=vif.get(i, math.nan)))
    return tuple(terms)


def _coefficient(
    name: str, per_sd: float, se: float, bounds: Interval, chi2: float, *, sd: float, vif: float
) -> Coefficient:
    step, margin = step_of(name), float(ndtri((1 + bounds.level) / 2)) * se
    wald = Interval(per_sd - margin, per_sd + margin, bounds.level)
    # A constant has no standard deviation to be measured in.
    unit = 1 / sd if sd > 0 else math.nan
    return Coefficient(
        name=name,
        estimate=per_sd * unit,
        se=se * unit,
        z=per_sd / se,
        p=float(2 * ndtr(-abs(per_sd / se))),
        step=step,
        odds_ratio=odds_ratio_of(per_sd, step * unit),
        interval=exp_interval(wald, step * unit),
        profile=exp_interval(bounds, step * unit),
        chi2=chi2,
        p_lr=float(chdtrc(1, chi2)),
        sd=sd,
        odds_ratio_per_sd=odds_ratio_of(per_sd),
        interval_per_sd=exp_interval(wald),
        profile_per_sd=exp_interval(bounds),
        vif=vif,
    )


def _intercept(data: ModelData, solution: _Solution, level: float) -> Coefficient:
    unknown = Interval(math.nan, math.nan, level)
    value, se = math.nan, math.nan
    if solution.maximum is not None:
        kept = list(data.kept)
        back = np.concatenate([[1.0], -data.centre[kept] / data.sd[kept]])
        value = float(back @ solution.maximum.terms)
        se = math.sqrt(back @ inverse(solution.maximum.point.information) @ back)
    term = _coefficient(INTERCEPT, value, se, unknown, math.nan, sd=1.0, vif=math.nan)
    return replace(term, sd=math.nan, odds_ratio_per_sd=math.nan, interval_per_sd=unknown)


def _null_log_likelihood(n: int, n_events: int) -> float:
    share = n_events / n
    return n_events * math.log(share) + (n - n_events) * math.log(1 - share)


def _separation_issue(
    data: ModelData, design: NDArray[np.floating], separated: NDArray[np.bool_], *, by_name: bool
) -> list[Issue]:
    kind = separation_of(separated)
    if kind == "none":
        return []
    extent = "all" if kind == "complete" else f"{separated.sum()} of {separated.size}"
    by = "the features"
    if by_name:
        names = [data.terms[data.kept[i - 1]].name for i in separating_columns(design, data.is_event)]
        by = ", ".join(names) if len(names) == 1 or len(names) < len(data.kept) else "the features together"
    what = f"{kind} separation: {extent} outcomes are predicted perfectly by {by}, so no odds ratios exist."
    return [Issue(Severity.WARNING, data.title, what, "Read Firth's penalised fit, or use fewer features.")]


def _few_events(fit: LogisticFit, where: str) -> list[Issue]:
    if not fit.events_per_variable < EVENTS_PER_FEATURE:
        return []
    smaller = min(fit.n_events, fit.n - fit.n_events)
    what = (
        f"{smaller} participants in the smaller group for {fit.df} feature(s), {fit.events_per_variable:.1f} each; "
        f"at least {EVENTS_PER_FEATURE} each are needed for stable estimates."
    )
    return [Issue(Severity.WARNING, where, what, "Use fewer features, chosen beforehand.")]


def _long_step(term: Coefficient) -> tuple[Issue, ...]:
    bounds = [(term.interval, term.interval_per_sd), (term.profile, term.profile_per_sd)]
    ends = [pair for one, per_sd in bounds for pair in ((one.low, per_sd.low), (one.high, per_sd.high))]
    return long_step_issue(term.name, (term.odds_ratio, term.odds_ratio_per_sd), *ends)


def _loose(term: Coefficient) -> list[Issue]:
    se = term.se * term.sd
    if not se > LARGEST_SE:
        return []
    what = (
        f"the data hardly determine its odds ratio (standard error of the log odds {se:.1f} per SD): "
        "the groups hardly overlap, or other features carry the same."
    )
    return [Issue(Severity.WARNING, term.name, what, "Use fewer features.")]


def _no_model(data: ModelData, level: float) -> LogisticFit:
    nan, unknown = math.nan, Interval(math.nan, math.nan, level)
    empty = "poor" if data.n_events == 0 else "good"
    what = (
        f"no complete participant with {empty} muscle function ({data.n} complete, {data.n_missing} left out), "
        "so no model."
    )
    issue = Issue(Severity.ERROR, data.title, what, "Leave out the feature that is missing.")
    return LogisticFit(
        coefficients=tuple(
            _coefficient(term.name, nan, nan, unknown, nan, sd=sd, vif=nan)
            for term, sd in zip(data.terms, data.sd.tolist(), strict=True)
        ),
        intercept=_coefficient(INTERCEPT, nan, nan, unknown, nan, sd=nan, vif=nan),
        tests=_no_tests(data),
        n=data.n,
        n_events=data.n_events,
        n_missing=data.n_missing,
        df=0,
        log_likelihood=nan,
        null_log_likelihood=nan,
        probabilities=pd.Series(np.full(data.n, nan), index=data.index, name=data.title),
        separation="none",
        issues=(issue,),
    )
