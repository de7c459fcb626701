"""What hangs on single patients: AUCs and odds ratios without each of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import NO_VARIANCE, delong_components, delong_interval, exact_pairs_interval
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import FeatureFrame, require_both_groups
from dtimuscle.statistics.likelihood import log_odds_of, maximise_likelihood
from dtimuscle.statistics.terms import ModelData, exp_interval, model_data, odds_ratio_of, step_of

Floats = NDArray[np.floating]
Kind = Literal["auc", "univariate_odds_ratio", "odds_ratio"]

# Of each group that many must be there, so that one can be left out and a spread is still known.
FEWEST_IN_GROUP = 3

# A participant of this leverage is the only one who tells a term of the model.
WHOLE_LEVERAGE = 1 - 1e-9

# What an AUC and an odds ratio are where a feature says nothing.
_NULL = {"auc": 0.5, "univariate_odds_ratio": 1.0, "odds_ratio": 1.0}


@dataclass(frozen=True)
class Quantity:
    """One number of the analysis, and what single patients do to it.

    Parameters
    ----------
    kind : {"auc", "univariate_odds_ratio", "odds_ratio"}
        As in `Estimate`; the AUC of a model is apparent, of probabilities fitted to the same patients.
    model : str
        Name of the model; empty for a feature alone.
    subject : str
        Feature or term; for the AUC of a model its name.
    n : int
        Participants that it rests on.
    value : float
        With all of them.
    interval : Interval
        DeLong's for an AUC (exact for an AUC of 0 or 1), Wald's for an odds ratio.
    p : float
        Two-sided P against 0.5 or 1; NaN for an AUC of 0 or 1.
    most_influential : str
        Participant without whom it changes most, in standard errors; empty where nothing is known.
    value_without, change_in_se : float
        What it is without that participant, and the change in its standard errors.
    turned_by : tuple of str
        Participants without whom the interval no longer leaves out (or no longer holds) 0.5 or 1, the most
        influential first: those that the conclusion hangs on. An AUC of 0 or 1 turns nothing, since it has no DeLong
        interval.
    undefined_without : tuple of str
        Participants without whom it does not exist.
    """

    kind: Kind
    model: str
    subject: str
    n: int
    value: float
    interval: Interval
    p: float
    most_influential: str
    value_without: float
    change_in_se: float
    turned_by: tuple[str, ...]
    undefined_without: tuple[str, ...]

    @property
    def is_shown(self) -> bool:
        """Whether the interval of all participants leaves out 0.5 (of an AUC) or 1 (of an odds ratio)."""
        return _leaves_out(self.kind, self.interval.low, self.interval.high)

    @property
    def hangs_on_one(self) -> bool:
        """Whether there is a patient without whom the conclusion would be another."""
        return bool(self.turned_by)


@dataclass(frozen=True, eq=False)
class Influence:
    """AUCs and odds ratios without each patient.

    Parameters
    ----------
    effects : DataFrame
        One row per patient and quantity, the largest change in standard errors first: `participant_id`, `kind`,
        `model`, `subject` (as in `Quantity`); `value`, `low`, `high`, `p` of all patients and `value_without`,
        `low_without`, `high_without`, `p_without` of all others; `change` (without less with, of an odds ratio of its
        logarithm), `change_in_se` and `turns`, whether the conclusion is another one.
    quantities : tuple of Quantity
        In the order of the analysis.
    level : float
        Coverage of the intervals.
    issues : tuple of Issue
        What could not be computed.
    """

    effects: pd.DataFrame
    quantities: tuple[Quantity, ...]
    level: float
    issues: tuple[Issue, ...] = ()

    def by_patient(self) -> pd.DataFrame:
        """Say of each patient what changes most without them.

        Returns
        -------
        DataFrame
            The row of `effects` with the patient's largest change, the most influential patient first, and
            `n_turned`, the number of conclusions that would be others.
        """
        largest = self.effects.drop_duplicates("participant_id").reset_index(drop=True)
        turned = self.effects.groupby("participant_id")["turns"].sum()
        return largest.assign(n_turned=turned.reindex(largest["participant_id"]).to_numpy(dtype=int))

    def about(self, subjects: Sequence[str]) -> "Influence":
        """Keep some quantities.

        Parameters
        ----------
        subjects : sequence of str
            Names of features and models; a model's name keeps its AUC and its odds ratios.

        Returns
        -------
        Influence
            Otherwise unchanged.
        """
        names = set(subjects)
        # A feature's name does not bring the models that it is a term of.
        kept = [q for q in self.quantities if (q.model or q.subject) in names]
        rows = self.effects["model"].where(self.effects["model"] != "", self.effects["subject"]).isin(names)
        return Influence(self.effects[rows].reset_index(drop=True), tuple(kept), self.level, self.issues)


@dataclass(frozen=True, eq=False)
class _LeftOut:
    """One quantity with everybody and without each; on the scale of its standard error."""

    kind: Kind
    model: str
    subject: str
    index: pd.Index
    value: float
    interval: Interval
    p: float
    values: Floats
    lows: Floats
    highs: Floats
    ps: Floats
    changes: Floats
    se: float

    @property
    def in_se(self) -> Floats:
        """Changes in standard errors."""
        return self.changes / self.se

    @property
    def turns(self) -> NDArray[np.bool_]:
        """Without whom the interval no longer leaves out the null, or no longer holds it."""
        without = (self.lows > _NULL[self.kind]) | (self.highs < _NULL[self.kind])
        shown = _leaves_out(self.kind, self.interval.low, self.interval.high)
        # What does not exist turns nothing; nor does an AUC of 0 or 1, whose interval is of another, wider kind.
        return (without != shown) & np.isfinite(self.ps) & math.isfinite(self.p)


def leave_one_out(
    features: FeatureFrame,
    *,
    names: Sequence[str] | None = None,
    models: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
) -> Influence:
    """Compute each AUC and each odds ratio again without each patient in turn.

    Of each feature the AUC (a lower value stands for poor function, as published) and the univariate odds ratio; of
    each model the apparent AUC of its fitted probabilities and the odds ratio of each term. Every model is fitted
    again to the other patients, not approximated. The change is given in standard errors of the value of all
    patients, like DFBETAS (Belsley, Kuh & Welsch 1980), who look twice where it exceeds 2/√n. A conclusion is that
    the interval leaves out 0.5 (AUC, DeLong's) or 1 (odds ratio, Wald's, the same as P below 1 - level).

    Parameters
    ----------
    features : FeatureFrame
        Features, covariates and groups.
    names : sequence of str, optional
        Features that are looked at alone; all by default.
    models : mapping of str to sequence of str, optional
        Features and covariates of each model, by the name of the model.
    level : float, default=0.95
        Coverage of the intervals, which also says what counts as a conclusion.

    Returns
    -------
    Influence
        A patient takes part where the values are known. What does not exist is NaN, with an issue: odds ratios where
        outcomes are separated without a patient, and everything where a group has fewer than three patients.

    Raises
    ------
    StatisticsError
        If a group is empty, or a name is not there.
    """
    require_both_groups(features)
    alone = list(features.values.columns) if names is None else list(names)
    models = models or {}
    _check_names(features, alone, models)
    found: list[_LeftOut] = []
    issues: list[Issue] = []
    for name in alone:
        parts, problems = _of_feature(features, name, level)
        found += parts
        issues += problems
    for name, columns in models.items():
        parts, problems = _of_model(features, name, columns, level)
        found += parts
        issues += problems
    effects = _effects(found)
    quantities = tuple(_summary(item) for item in found)
    issues += [_undefined_issue(q) for q in quantities if q.undefined_without or math.isnan(q.value)]
    return Influence(effects, quantities, level, tuple(issues))


def _check_names(features: FeatureFrame, alone: Sequence[str], models: Mapping[str, Sequence[str]]) -> None:
    available = list(features.values.columns)
    lacking = [name for name in alone if name not in available]
    if not lacking:
        available += list(features.covariates.columns)
        lacking = [name for columns in models.values() for name in columns if name not in available]
    if lacking:
        raise StatisticsError(
            f"influence of single patients: {lacking[0]} not found; available: {', '.join(map(str, available))}."
        )
    empty = [name for name, columns in models.items() if not columns]
    if empty:
        raise StatisticsError(f"influence of single patients: the model {empty[0]} has no feature. Name at least one.")


# ---- one feature, one model ----


def _of_feature(features: FeatureFrame, name: str, level: float) -> tuple[list[_LeftOut], list[Issue]]:
    complete, poor, _ = complete_cases(features.values[[name]], features.poor)
    is_event = poor.to_numpy(dtype=bool)
    issue = _too_few(name, is_event)
    if issue is not None:
        return [], [issue]
    areas, variances = _aucs_without(-complete[name].to_numpy(), is_event)
    auc = _auc_left_out(
        ("", name), index=complete.index, areas=areas, variances=variances, is_event=is_event, level=level
    )
    data = model_data(features.values[[name]], features.poor)
    ratios, _ = _odds_ratios("univariate_odds_ratio", "", data, level)
    return [auc, *ratios], list(data.issues)


def _of_model(
    features: FeatureFrame, name: str, columns: Sequence[str], level: float
) -> tuple[list[_LeftOut], list[Issue]]:
    everything = features.values.join(features.covariates.drop(columns=features.values.columns, errors="ignore"))
    data = model_data(everything[list(dict.fromkeys(columns))], features.poor)
    issue = _too_few(name, data.is_event)
    if issue is not None:
        return [], [issue]
    ratios, log_odds = _odds_ratios("odds_ratio", name, data, level)
    areas, variances = _aucs_of_fits_without(log_odds, data.is_event)
    auc = _auc_left_out(
        (name, name), index=data.index, areas=areas, variances=variances, is_event=data.is_event, level=level
    )
    return [auc, *ratios], list(data.issues)


def _too_few(name: str, is_event: NDArray[np.bool_]) -> Issue | None:
    n_events, n_controls = int(is_event.sum()), int((~is_event).sum())
    if min(n_events, n_controls) >= FEWEST_IN_GROUP:
        return None
    what = (
        f"{n_events} patient(s) with poor and {n_controls} with good function have the values, at least "
        f"{FEWEST_IN_GROUP} each needed; influence of single patients not computed."
    )
    return Issue(Severity.WARNING, name, what, "Leave it out, or check its values.")


# ---- areas ----


def _delong(scores: Floats, is_event: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """AUC and its variance by each of several scores, one a row."""
    parts = delong_components(scores, is_event)
    variances = sum(part.var(axis=1, ddof=1) / part.shape[1] for part in (parts.events, parts.controls))
    return parts.auc, np.where(variances > NO_VARIANCE, variances, 0.0)


def _aucs_of_fits_without(log_odds: Floats, is_event: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """AUC and variance of the fit to everybody (first) and of each fit without one, in those it was fitted to."""
    areas, variances = np.empty(len(log_odds)), np.empty(len(log_odds))
    areas[:1], variances[:1] = _delong(log_odds[:1], is_event)
    events, controls = np.flatnonzero(is_event), np.flatnonzero(~is_event)
    for own, others in ((events, controls), (controls, events)):
        rest = own[_all_but_each(own.size)]
        kept = np.hstack([rest, np.tile(others, (own.size, 1))])
        scores = np.take_along_axis(log_odds[1 + own], kept, axis=1)
        areas[1 + own], variances[1 + own] = _delong(scores, is_event[kept[0]])
    return areas, variances


def _all_but_each(n: int) -> NDArray[np.int_]:
    """Row i holds the numbers from 0 to n - 1 but i."""
    return np.arange(n - 1) + (np.arange(n - 1) >= np.arange(n)[:, None])


def _aucs_without(score: Floats, is_event: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """AUC and DeLong's variance with everybody (first) and without each participant.

    Without an event the components V01 of the controls lose its share, those of the other events stay as they are; and
    the other way round. Nothing has to be ranked again.
    """
    events, controls = score[is_event], score[~is_event]
    wins = (events[:, None] > controls) + 0.5 * (events[:, None] == controls)
    areas, variances = np.empty(score.size + 1), np.empty(score.size + 1)
    areas[:1], variances[:1] = _delong(score[None], is_event)
    for group, own in ((is_event, wins), (~is_event, wins.T)):
        m = len(own)
        of_own, of_others = own.mean(axis=1), (own.sum(axis=0) - own) / (m - 1)
        variance = of_own[_all_but_each(m)].var(axis=1, ddof=1) / (m - 1) + of_others.var(axis=1, ddof=1) / own.shape[1]
        places = 1 + np.flatnonzero(group)
        areas[places] = of_others.mean(axis=1)
        variances[places] = np.where(variance > NO_VARIANCE, variance, 0.0)
    return areas, variances


def _auc_left_out(
    names: tuple[str, str],
    *,
    index: pd.Index,
    areas: Floats,
    variances: Floats,
    is_event: NDArray[np.bool_],
    level: float,
) -> _LeftOut:
    n_events = int(is_event.sum())
    sizes = np.column_stack([np.full(len(areas), n_events), np.full(len(areas), is_event.size - n_events)])
    sizes[1:, 0] -= is_event
    sizes[1:, 1] -= ~is_event
    bounds = [
        delong_interval(area, variance, level=level)
        if variance > 0
        else exact_pairs_interval(area, n_events=int(m), n_controls=int(n), level=level)
        for area, variance, (m, n) in zip(areas.tolist(), variances.tolist(), sizes, strict=True)
    ]
    errors = np.where(variances > 0, np.sqrt(variances), np.nan)
    ps = 2 * ndtr(-np.abs(areas - 0.5) / errors)
    return _LeftOut(
        "auc", *names, index, float(areas[0]), bounds[0], float(ps[0]),
        areas[1:], np.array([b.low for b in bounds[1:]]), np.array([b.high for b in bounds[1:]]), ps[1:],
        areas[1:] - areas[0], float(errors[0]),
    )  # fmt: skip


# ---- odds ratios ----


def _odds_ratios(kind: Kind, model: str, data: ModelData, level: float) -> tuple[list[_LeftOut], Floats]:
    """Odds ratios of each estimated term, and the log odds of everybody, by all fits (the first is of everybody)."""
    design = data.design.T
    whole = maximise_likelihood(design[None], data.is_event)
    # A participant whose column is zero has no part in score and information: the fit is that of all others.
    designs = np.repeat(design[None], data.n, axis=0)
    designs[np.arange(data.n), :, np.arange(data.n)] = 0.0
    start = np.repeat(whole.terms, data.n, axis=0) if whole.is_finite[0] else None
    others = maximise_likelihood(designs, data.is_event, start=start)
    terms = np.vstack([whole.terms, others.terms])
    exists = np.append(whole.is_finite, others.is_finite & (_leverage(data.design) < WHOLE_LEVERAGE))
    variances = np.vstack([np.diagonal(fit.covariance, axis1=1, axis2=2) for fit in (whole, others)])
    errors = np.where(exists[:, None], np.sqrt(variances), np.nan)
    z = float(ndtri((1 + level) / 2))
    found = []
    for place, position in enumerate(data.kept, start=1):
        name = data.terms[position].name
        unit = step_of(name) / float(data.sd[position])
        log_odds = np.where(exists, terms[:, place], np.nan)
        error = errors[:, place]
        bounds = [
            exp_interval(Interval(low, high, level), unit)
            for low, high in zip((log_odds - z * error).tolist(), (log_odds + z * error).tolist(), strict=True)
        ]
        ratios = np.array([odds_ratio_of(value, unit) for value in log_odds.tolist()])
        ps = 2 * ndtr(-np.abs(log_odds / error))
        found.append(
            _LeftOut(
                kind, model, name, data.index, float(ratios[0]), bounds[0], float(ps[0]),
                ratios[1:], np.array([b.low for b in bounds[1:]]), np.array([b.high for b in bounds[1:]]), ps[1:],
                (log_odds[1:] - log_odds[0]) * unit, float(error[0] * unit),
            )
        )  # fmt: skip
    return found, log_odds_of(design[None], terms)


def _leverage(design: Floats) -> Floats:
    """Diagonal of the hat matrix; 1 for a participant without whom the columns are no longer independent."""
    q, _ = np.linalg.qr(design)
    return (q**2).sum(axis=1)


# ---- results ----


def _leaves_out(kind: str, low: float, high: float) -> bool:
    return bool(low > _NULL[kind] or high < _NULL[kind])


def _effects(found: Sequence[_LeftOut]) -> pd.DataFrame:
    sizes = [len(item.index) for item in found]
    shared = pd.DataFrame(
        [(i.kind, i.model, i.subject, i.value, i.interval.low, i.interval.high, i.p) for i in found],
        columns=["kind", "model", "subject", "value", "low", "high", "p"],
    )
    effects = shared.loc[np.repeat(shared.index, sizes)].reset_index(drop=True)
    effects.insert(0, "participant_id", [str(who) for item in found for who in item.index])
    each = [(i.values, i.lows, i.highs, i.ps, i.changes, i.in_se, i.turns) for i in found]
    names = ("value_without", "low_without", "high_without", "p_without", "change", "change_in_se", "turns")
    for place, name in enumerate(names):
        effects[name] = [number for item in each for number in item[place].tolist()]
    return effects.loc[_largest_first(effects["change_in_se"].to_numpy(dtype=float))].reset_index(drop=True)


def _largest_first(changes: Floats) -> NDArray[np.int_]:
    # What is not known comes last.
    return np.argsort(np.nan_to_num(-np.abs(changes), nan=np.inf), kind="stable")


def _summary(item: _LeftOut) -> Quantity:
    order, turns = _largest_first(item.in_se), item.turns
    names = [str(who) for who in item.index]
    is_known = bool(np.isfinite(item.in_se).any())
    return Quantity(
        kind=item.kind,
        model=item.model,
        subject=item.subject,
        n=len(names),
        value=item.value,
        interval=item.interval,
        p=item.p,
        most_influential=names[order[0]] if is_known else "",
        value_without=float(item.values[order[0]]) if is_known else math.nan,
        change_in_se=float(item.in_se[order[0]]) if is_known else math.nan,
        turned_by=tuple(names[i] for i in order if turns[i]),
        undefined_without=tuple(names[i] for i in np.flatnonzero(np.isnan(item.values))),
    )


def _undefined_issue(quantity: Quantity) -> Issue:
    where = f"{quantity.model}: {quantity.subject}" if quantity.model else quantity.subject
    remedy = "Read the AUC, or use fewer features."
    if math.isnan(quantity.value):
        what = "the odds ratio is no finite number (the groups are separated, or its step is far too long)."
        return Issue(Severity.WARNING, where, what, remedy)
    who = quantity.undefined_without
    more = f" (and {len(who) - 1} more)" if len(who) > 1 else ""
    what = (
        f"without {who[0]}{more} the odds ratio does not exist: the others are separated, or only this patient tells "
        "a term."
    )
    return Issue(Severity.WARNING, where, what, remedy)
