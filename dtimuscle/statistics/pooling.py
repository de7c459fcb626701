"""The study's analyses of multiply imputed data, pooled by Rubin's rules."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import DeLongComponents, delong_components
from dtimuscle.statistics.combination import CONTRASTS, MODELS
from dtimuscle.statistics.complete_cases import as_floats, complete_cases, is_constant
from dtimuscle.statistics.correlation import correlate_with_grade
from dtimuscle.statistics.estimates import Estimate, EstimateKind, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, feature_name, require_both_groups
from dtimuscle.statistics.groups import summarise
from dtimuscle.statistics.imputation import Imputation
from dtimuscle.statistics.likelihood import maximise_likelihood
from dtimuscle.statistics.logistic import EVENTS_PER_FEATURE, fit_logistic
from dtimuscle.statistics.rubin import Pooled, rubin, undefined, unpooled
from dtimuscle.statistics.terms import odds_ratio_of, step_of


class Subject(NamedTuple):
    """What an estimate is about.

    Parameters
    ----------
    kind : str
        As in `Estimate`.
    name : str
        Feature, model or pair of models.
    group : str, default=""
        `poor` or `good` for a mean.
    """

    kind: EstimateKind
    name: str
    group: str = ""


@dataclass(frozen=True)
class PooledEstimate:
    """One number of an analysis, pooled over the imputed data sets.

    Parameters
    ----------
    subject : Subject
        What it is about.
    value : float
        On the scale that is read: an odds ratio, a correlation, an AUC.
    interval : Interval
        On the same scale.
    p : float
        Two-sided P; NaN for means and AUCs, which are not tested.
    sd : float
        For a mean, the root of the mean variance within the group; NaN otherwise.
    n : int
        Participants.
    n_imputed : int
        Imputed values among those that the estimate rests on.
    scale : str
        Where it was pooled: "identity", "Fisher z", "log" or "logit".
    pooled : Pooled
        The estimate on that scale, with its variances and the fraction of missing information.
    issues : tuple of Issue
        Why something is NaN.
    """

    subject: Subject
    value: float
    interval: Interval
    p: float
    sd: float
    n: int
    n_imputed: int
    scale: str
    pooled: Pooled
    issues: tuple[Issue, ...] = ()

    def estimate(self) -> Estimate:
        """Return it as a flat record."""
        kind, name, group = self.subject
        return Estimate(kind, name, group, self.value, self.sd, interval_or_none(self.interval), self.p, self.n)


@dataclass(frozen=True, eq=False)
class PooledAnalysis:
    """The study's analyses of multiply imputed data.

    Parameters
    ----------
    pooled : tuple of PooledEstimate
        Means, differences, correlations, univariate odds ratios, odds ratios of the joint model, AUCs, AUC
        differences.
    entered : tuple of str
        Features whose pooled univariate P is below `entry_p`; they make the joint model.
    prespecified : tuple of PooledEstimate
        Odds ratios of the prespecified model; kept apart, since they are about the same features as those of
        the joint model.
    entry_p : float
        The rule of entry.
    imputation : Imputation
        The data sets.
    issues : tuple of Issue
        Of the imputation and of the analyses.
    """

    pooled: tuple[PooledEstimate, ...]
    entered: tuple[str, ...]
    prespecified: tuple[PooledEstimate, ...]
    entry_p: float
    imputation: Imputation
    issues: tuple[Issue, ...] = ()

    @property
    def n_imputations(self) -> int:
        """Data sets that were pooled; 1 where nothing was missing."""
        return self.imputation.n_imputations

    def estimates(self) -> tuple[Estimate, ...]:
        """Return all estimates but those of the prespecified model."""
        return tuple(item.estimate() for item in self.pooled)


@dataclass(frozen=True)
class _Piece:
    """One estimate from one data set, on the scale on which it is pooled; NaN with a reason where undefined.

    `p` is the P of the analysis itself where it is not that of the estimate against its standard error.
    """

    estimate: float
    variance: float
    n: int
    df: float = math.inf
    sd: float = math.nan
    p: float = math.nan
    obstacle: str = ""


_Pieces = dict[Subject, _Piece]
_Analysis = Callable[[Sequence[FeatureFrame]], list[_Pieces]]


@dataclass(frozen=True)
class _Scale:
    name: str
    back: Callable[[float], float]
    is_tested: bool = True
    # The normal, not the t distribution, is the reference of the analysis of complete data.
    is_normal: bool = True


def _same(value: float) -> float:
    return value


def _expit(value: float) -> float:
    return float(expit(value))


_SCALES: Mapping[EstimateKind, _Scale] = {
    "mean": _Scale("identity", _same, is_tested=False, is_normal=False),
    "difference": _Scale("identity", _same, is_normal=False),
    "correlation": _Scale("Fisher z", math.tanh),
    "univariate_odds_ratio": _Scale("log", odds_ratio_of),
    "odds_ratio": _Scale("log", odds_ratio_of),
    "auc": _Scale("logit", _expit, is_tested=False),
    "auc_difference": _Scale("identity", _same),
}


def pool_analyses(
    imputation: Imputation,
    *,
    muscles: Sequence[str] = (),
    model: Sequence[str] = (),
    covariates: Sequence[str] = (),
    entry_p: float = 0.05,
    level: float = 0.95,
) -> PooledAnalysis:
    """Analyse each imputed data set as the study did, and pool the results by Rubin's rules.

    Means and differences of means are pooled as they are (degrees of freedom of the complete data n - 1 and,
    Student, n - 2), correlations (Pearson) as Fisher's z with variance 1 / (n - 3), odds ratios as their log
    with Wald's variance (degrees of freedom n - k - 1, as R's mice), AUCs as their logit with DeLong's
    variance, AUC differences as they are with DeLong's variance. The joint model holds the features whose
    pooled univariate P is below `entry_p`; it is chosen once, not in each data set. AUCs of models are
    apparent: each model is fitted to the data set it is judged by.

    An analysis that fails in a single data set (separation, a constant feature) leaves its estimate NaN,
    with an issue. An AUC that is 0 or 1 in some data set has no logit: the mean AUC is given, without
    interval. What rests on no imputed value is not pooled but given as the analysis of the data itself: t for
    means, Pearson's own test for correlations, the normal distribution otherwise.

    Parameters
    ----------
    imputation : Imputation
        The data sets.
    muscles : sequence of str, default=()
        Canonical names of the muscles whose FA and MD have ROC curves, alone (lower is poor) and combined.
    model : sequence of str, default=()
        Columns of the prespecified model, features or covariates.
    covariates : sequence of str, default=()
        Covariates that are candidates for the joint model beside all features. One of three or more levels
        has no single pooled P and does not enter, with an issue.
    entry_p : float, default=0.05
        Features with a pooled univariate P below this enter the joint model.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    PooledAnalysis
        All estimates.

    Raises
    ------
    StatisticsError
        If a group is empty, or a column is not there.
    """
    first = imputation.frames[0]
    require_both_groups(first)
    _require_columns(first, muscles, (*model, *covariates))
    names = [str(name) for name in first.values.columns]
    curves = [feature_name(muscle, parameter) for muscle in muscles for parameter in ("fa", "md")]

    pool = _Pooler(imputation, level)
    analyses = ((_describe, names), (_correlate, names), (_area, curves))
    single = [
        item for analyse, subjects in analyses for name in subjects for item in pool(_each(analyse, name), [name])
    ]
    alone = {name: pool(_Alone(name), [name]) for name in (*names, *covariates)}
    entered, issues = _entered(alone, entry_p)
    by_kind = {kind: [item for item in single if item.subject.kind == kind] for kind in _SCALES}
    joint = pool(_each(_odds_ratios, entered), entered) if entered else []
    prespecified = pool(_each(_odds_ratios, model), model) if model else []
    combined = pool(_each(_combinations, muscles), curves) if muscles else []
    order = [item for kind in ("mean", "difference", "correlation") for item in by_kind[kind]]
    order += [item for items in alone.values() for item in items]
    order += [*joint, *by_kind["auc"], *combined]
    issues += [issue for item in (*order, *prespecified) for issue in item.issues]
    issues += _few_events(first, len(joint), "joint model") + _few_events(
        first, len(prespecified), "prespecified model"
    )
    return PooledAnalysis(
        tuple(order), entered, tuple(prespecified), entry_p, imputation, (*imputation.issues, *issues)
    )


def _entered(alone: Mapping[str, list[PooledEstimate]], entry_p: float) -> tuple[tuple[str, ...], list[Issue]]:
    entered = tuple(name for name, items in alone.items() if len(items) == 1 and items[0].p < entry_p)
    issues = [
        Issue(Severity.NOTE, name, f"{len(items)} terms without a common pooled P; it does not enter the joint model.")
        for name, items in alone.items()
        if len(items) > 1
    ]
    if not entered:
        what = f"no feature has a pooled univariate P below {entry_p}, so there is no joint model."
        issues.append(Issue(Severity.NOTE, "multivariable model", what))
    return entered, issues


def _few_events(frame: FeatureFrame, n_terms: int, where: str) -> list[Issue]:
    smaller = min(frame.n_poor, frame.n_good)
    if smaller >= EVENTS_PER_FEATURE * n_terms:
        return []
    what = (
        f"{smaller} participants in the smaller group for {n_terms} term(s), {smaller / n_terms:.1f} each; at least "
        f"{EVENTS_PER_FEATURE} each are needed for stable estimates."
    )
    return [Issue(Severity.WARNING, where, what, "Use fewer features, chosen beforehand.")]


def _each(analyse: Callable[[FeatureFrame, Any], _Pieces], about: Any) -> _Analysis:
    return lambda frames: [analyse(frame, about) for frame in frames]


class _Pooler:
    """Runs an analysis on each data set, or once where none of its columns has imputed values."""

    def __init__(self, imputation: Imputation, level: float) -> None:
        self._imputation, self._level = imputation, level

    def __call__(self, analyse: _Analysis, columns: Sequence[str]) -> list[PooledEstimate]:
        n_imputed = sum(self._imputation.n_imputed.get(name, 0) for name in columns)
        frames = self._imputation.frames if n_imputed else self._imputation.frames[:1]
        results = analyse(frames)
        return [_pool(subject, [r[subject] for r in results], n_imputed, self._level) for subject in results[0]]


def _pool(subject: Subject, pieces: Sequence[_Piece], n_imputed: int, level: float) -> PooledEstimate:
    scale, m = _SCALES[subject.kind], len(pieces)
    df = min(piece.df for piece in pieces)
    if m == 1:
        found = unpooled(pieces[0].estimate, pieces[0].variance, df=math.inf if scale.is_normal else df, level=level)
    elif all(piece.variance >= 0 for piece in pieces):
        found = rubin([p.estimate for p in pieces], [p.variance for p in pieces], n_complete_df=df, level=level)
    else:
        found = undefined(level=level, n_imputations=m)
    value, bounds, p = scale.back(found.estimate), found.interval, found.p
    if m == 1 and not math.isnan(pieces[0].p):
        p = pieces[0].p
    if math.isnan(value) and scale.name in ("identity", "logit"):
        value = _plain_mean(subject.kind, pieces)
    if subject.kind == "auc_difference" and all(piece.estimate == piece.variance == 0 for piece in pieces):
        bounds, p = Interval(0.0, 0.0, level), 1.0
    return PooledEstimate(
        subject=subject,
        value=value,
        interval=Interval(scale.back(bounds.low), scale.back(bounds.high), level),
        p=p if scale.is_tested else math.nan,
        sd=math.sqrt(float(np.mean([piece.sd**2 for piece in pieces]))),
        n=min(piece.n for piece in pieces),
        n_imputed=n_imputed,
        scale=scale.name,
        pooled=found,
        issues=_obstacles(subject, pieces),
    )


def _plain_mean(kind: EstimateKind, pieces: Sequence[_Piece]) -> float:
    """Average on the scale that is read, where there is nothing to pool with."""
    values = [piece.estimate for piece in pieces]
    return float(np.mean([_expit(value) for value in values] if kind == "auc" else values))


def _obstacles(subject: Subject, pieces: Sequence[_Piece]) -> tuple[Issue, ...]:
    failed = [piece.obstacle for piece in pieces if piece.obstacle]
    if not failed:
        return ()
    extent = f"in {len(failed)} of {len(pieces)} imputed data sets: " if len(pieces) > 1 else ""
    title = f"{subject.name}, {subject.group}" if subject.group else subject.name
    kind = subject.kind.replace("_", " ").replace("auc", "AUC")
    return (Issue(Severity.WARNING, title, f"{kind}: {extent}{failed[0]}."),)


def _describe(frame: FeatureFrame, name: str) -> _Pieces:
    values, is_poor = _known(frame, name)
    groups = {"poor": summarise(values[is_poor]), "good": summarise(values[~is_poor])}
    pieces: _Pieces = {}
    for group, found in groups.items():
        obstacle = "" if found.n > 1 else f"{found.n} value(s) in the group with {group} muscle function"
        variance = found.sd**2 / found.n if found.n > 1 else math.nan
        pieces[Subject("mean", name, group)] = _Piece(
            found.mean, variance, found.n, df=max(found.n - 1, 0), sd=found.sd, obstacle=obstacle
        )
    poor, good = groups.values()
    n, df = poor.n + good.n, poor.n + good.n - 2
    if min(poor.n, good.n) < 1 or df < 1:
        obstacle = f"{poor.n} and {good.n} value(s) in the groups, at least 1 each and 3 in all needed"
        return pieces | {Subject("difference", name): _Piece(math.nan, math.nan, n, obstacle=obstacle)}
    # The SD of a single value is not defined and has no weight.
    squares = sum((group.n - 1) * group.sd**2 for group in (poor, good) if group.n > 1)
    variance = squares / df * (1 / poor.n + 1 / good.n)
    if is_constant(values[is_poor & ~np.isnan(values)]) and is_constant(values[~is_poor & ~np.isnan(values)]):
        variance, obstacle = math.nan, "the values do not vary within the groups"
    else:
        obstacle = ""
    piece = _Piece(poor.mean - good.mean, variance, n, df=df, obstacle=obstacle)
    return pieces | {Subject("difference", name): piece}


def _correlate(frame: FeatureFrame, name: str) -> _Pieces:
    found = correlate_with_grade(frame.values[name], frame.grade, name=name)
    subject = Subject("correlation", name)
    if not abs(found.r) < 1 or found.n < 4:
        obstacle = "r is 1 or -1" if abs(found.r) >= 1 else "no correlation, or no variance of it"
        return {subject: _Piece(math.nan, math.nan, found.n, obstacle=obstacle)}
    return {subject: _Piece(math.atanh(found.r), 1 / (found.n - 3), found.n, p=found.p)}


@dataclass(frozen=True)
class _Alone:
    """The logistic model of one feature, of all data sets in one go."""

    name: str

    def __call__(self, frames: Sequence[FeatureFrame]) -> list[_Pieces]:
        if not pd.api.types.is_numeric_dtype(_columns(frames[0], [self.name])[self.name]):
            return [_odds_ratios(frame, [self.name], kind="univariate_odds_ratio") for frame in frames]
        columns = [_known(frame, self.name)[0] for frame in frames]
        if any(np.isnan(values).any() or is_constant(values) for values in columns):
            return [_odds_ratios(frame, [self.name], kind="univariate_odds_ratio") for frame in frames]
        values, step = np.stack(columns), step_of(self.name)
        scale = values.std(axis=1)
        standard = (values - values.mean(axis=1, keepdims=True)) / scale[:, None]
        fits = maximise_likelihood(
            np.stack([np.ones_like(standard), standard], axis=1), _known(frames[0], self.name)[1]
        )
        n, subject = values.shape[1], Subject("univariate_odds_ratio", self.name)
        return [
            {subject: _Piece(float(beta) * step / size, float(variance) * (step / size) ** 2, n, df=n - 2)}
            if is_finite
            else {subject: _Piece(math.nan, math.nan, n, df=n - 2, obstacle="the groups are separated")}
            for beta, variance, size, is_finite in zip(
                fits.terms[:, 1], fits.covariance[:, 1, 1], scale, fits.is_finite, strict=True
            )
        ]


def _odds_ratios(frame: FeatureFrame, names: Sequence[str], *, kind: EstimateKind = "odds_ratio") -> _Pieces:
    fit = fit_logistic(_columns(frame, names), frame.poor, profile=False)
    df = max(fit.n - fit.df - 1, 0)
    pieces: _Pieces = {}
    for term in fit.coefficients:
        obstacle = ""
        if not math.isfinite(term.estimate):
            obstacle = "the groups are separated" if fit.is_separated else "no estimate exists"
        pieces[Subject(kind, term.name)] = _Piece(
            term.estimate * term.step, (term.se * term.step) ** 2, fit.n, df=df, obstacle=obstacle
        )
    return pieces


def _area(frame: FeatureFrame, name: str) -> _Pieces:
    values, is_poor = _known(frame, name)
    present = ~np.isnan(values)
    _require_values(is_poor[present], name)
    components = delong_components(-values[present][None, :], is_poor[present])
    return {Subject("auc", name): _area_piece(components, 0, int(present.sum()))}


def _combinations(frame: FeatureFrame, muscles: Sequence[str]) -> _Pieces:
    columns = {
        model: [feature_name(muscle, parameter) for muscle in muscles for parameter in parameters]
        for model, parameters in MODELS.items()
    }
    everything = list(dict.fromkeys(name for names in columns.values() for name in names))
    complete, poor, _ = complete_cases(frame.values[everything], frame.poor)
    is_poor = poor.to_numpy(dtype=bool)
    _require_values(is_poor, "FA and ADC combined")
    scores = np.stack(
        [fit_logistic(complete[names], poor, profile=False).probabilities.to_numpy() for names in columns.values()]
    )
    components = delong_components(scores, is_poor)
    models, n = list(columns), is_poor.size
    pieces = {Subject("auc", model): _area_piece(components, i, n) for i, model in enumerate(models)}
    for first, second in CONTRASTS:
        weights = np.array([(model == first) - (model == second) for model in models], dtype=float)
        variance = components.variance_of(weights)
        difference = float(weights @ components.auc)
        undefined_test = not variance > 0 and not variance == difference == 0
        pieces[Subject("auc_difference", f"{first} - {second}")] = _Piece(
            difference, variance, n, obstacle="DeLong's variance is zero or undefined" if undefined_test else ""
        )
    return pieces


def _area_piece(components: DeLongComponents, place: int, n: int) -> _Piece:
    area = float(components.auc[place])
    variance = components.variance_of(np.eye(len(components.auc))[place])
    if area in (0, 1):
        obstacle = f"AUC {area:g}, which has no logit"
        return _Piece(math.copysign(math.inf, area - 0.5), math.nan, n, obstacle=obstacle)
    logit = math.log(area / (1 - area))
    obstacle = "" if variance > 0 else "DeLong's variance is zero or undefined"
    return _Piece(logit, variance / (area * (1 - area)) ** 2, n, obstacle=obstacle)


def _known(frame: FeatureFrame, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a feature and the group of everybody who has a group."""
    poor = frame.poor.reindex(frame.values.index)
    known = poor.notna()
    return as_floats(_columns(frame, [name]).loc[known, name]), poor[known].to_numpy(dtype=bool)


def _columns(frame: FeatureFrame, names: Sequence[str]) -> pd.DataFrame:
    covariates = frame.covariates.reindex(frame.values.index)
    return pd.DataFrame(
        {name: frame.values[name] if name in frame.values.columns else covariates[name] for name in names},
        index=frame.values.index,
    )


def _require_columns(frame: FeatureFrame, muscles: Sequence[str], model: Sequence[str]) -> None:
    needed = [feature_name(muscle, parameter) for muscle in muscles for parameter in ("fa", "md")]
    everything = [*frame.values.columns, *frame.covariates.columns]
    for name, known in (*((n, list(frame.values.columns)) for n in needed), *((n, everything) for n in model)):
        if name not in known:
            raise StatisticsError(f"'{name}' is not among the columns: {', '.join(map(str, known))}.")


def _require_values(is_poor: NDArray[np.bool_], name: str) -> None:
    if is_poor.all() or not is_poor.any():
        group = "good" if is_poor.any() else "poor"
        raise StatisticsError(
            f"{name}: no participant with {group} muscle function has a value, and a ROC curve needs both groups. "
            "Leave it out, or check its values."
        )
