"""How well a model will do in new patients: cross-validation and the bootstrap's correction for optimism."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.likelihood import bounded_log_odds, maximise_likelihood
from dtimuscle.statistics.resampling import Progress, generator_for

# Gives the predicted probability of poor muscle function for rows of features.
Predictor = Callable[[NDArray[np.floating]], NDArray[np.floating]]

# Gives a predictor, or why there is none, for each set of rows of features and outcomes.
FitEach = Callable[
    [NDArray[np.floating], NDArray[np.bool_], Sequence[NDArray[np.integer]]], Sequence[Predictor | StatisticsError]
]

# Log odds that differ by less than this are those of a model that tells nobody apart.
CONSTANT_LOG_ODDS = 1e-9


@dataclass(frozen=True)
class Recipe:
    """A named way of building a model from data, with everything that looks at the outcome.

    Parameters
    ----------
    name : str
        The model.
    columns : tuple of str
        Features that it is given; those that it selects itself are part of `fit`.
    fit : callable
        Takes features of shape (n, k), in the order of `columns`, without missing values, and outcomes of
        shape (n,), in which both values occur. Returns a function that takes features of shape (m, k) and
        gives the predicted probabilities of shape (m,). Raises `StatisticsError` where it cannot.
    fit_each : callable, optional
        Does the same for several sets of rows where that is quicker together: takes features, outcomes and the rows
        of each set, a row as often as it counts. Returns a function for each, or the error.
    """

    name: str
    columns: tuple[str, ...]
    fit: Callable[[NDArray[np.floating], NDArray[np.bool_]], Predictor]
    fit_each: FitEach | None = None


def recipe_of_sets(name: str, columns: Sequence[str], fit_each: FitEach) -> Recipe:
    """Return a recipe that fits several sets of rows together, and one as a set of its own.

    Parameters
    ----------
    name : str
        The model.
    columns : sequence of str
        Features that it is given.
    fit_each : callable
        As in `Recipe`.
    """
    return Recipe(name, tuple(columns), partial(_fit_alone, fit_each), fit_each)


def _fit_alone(fit_each: FitEach, features: NDArray[np.floating], is_event: NDArray[np.bool_]) -> Predictor:
    (found,) = fit_each(features, is_event, [np.arange(len(features))])
    if isinstance(found, StatisticsError):
        raise found
    return found


@dataclass(frozen=True)
class Performance:
    """How well predicted probabilities fit outcomes; NaN where a quantity is not defined.

    Parameters
    ----------
    auc : float
        Area under the ROC curve, ties counting one half.
    slope : float
        Slope of the logistic regression of the outcome on the predicted log odds; 1 is ideal, below 1 the
        predictions are too extreme.
    brier : float
        Mean squared difference between probability and outcome.
    """

    auc: float = math.nan
    slope: float = math.nan
    brier: float = math.nan


@dataclass(frozen=True, eq=False)
class Resamples:
    """The splits and samples that all models are validated on, so that they can be compared in pairs.

    Parameters
    ----------
    bootstrap : ndarray of int, shape (n_resamples, n)
        Rows of each bootstrap sample; both outcomes occur in each.
    folds : ndarray of int, shape (repeats, n)
        The fold in which each participant is left out, in each repeat; no repeats where a group has a
        single participant.
    """

    bootstrap: NDArray[np.integer]
    folds: NDArray[np.integer]

    @property
    def n_folds(self) -> int:
        """Folds of each repeat."""
        return int(self.folds.max()) + 1 if self.folds.size else 0

    @property
    def n_fits(self) -> int:
        """Fits that the validation of one model takes."""
        return 1 + len(self.bootstrap) + len(self.folds) * self.n_folds


@dataclass(frozen=True, eq=False)
class ModelValidation:
    """A model's performance in the participants it was fitted to, and what to expect in new ones.

    Parameters
    ----------
    name : str
        The model.
    columns : tuple of str
        Features that it was given, also those that it did not use.
    n : int
        Participants in whom the features of all models are known.
    n_events : int
        Those with poor muscle function.
    n_missing : int
        Participants with a group that were left out because a feature is missing.
    apparent : Performance
        In the participants that it was fitted to.
    optimism : Performance
        Mean over bootstrap samples of the performance of the model fitted there, in the sample minus in
        the original participants.
    corrected : Performance
        `apparent` minus `optimism`.
    cross_validated : Performance
        In the participants left out, averaged over repeats: AUC as the mean over folds, slope and Brier
        score of all the predictions of a repeat.
    auc_of_repeats : ndarray of shape (repeats,)
        The cross-validated AUC of each repeat.
    fitted : Series
        Predicted probability of each participant, by the model that was fitted to all.
    out_of_fold : Series
        Predicted probability of each participant by models fitted without it, averaged over repeats.
    n_resamples, n_folds, n_repeats : int
        How often the model was fitted again.
    n_failed : int
        Resamples in which the model could not be fitted; they are left out.
    seed : int
        Seed of the resamples.
    issues : tuple of Issue
        What makes the validation doubtful.
    """

    name: str
    columns: tuple[str, ...]
    n: int
    n_events: int
    n_missing: int
    apparent: Performance
    optimism: Performance
    corrected: Performance
    cross_validated: Performance
    auc_of_repeats: NDArray[np.floating] = field(repr=False)
    fitted: pd.Series = field(repr=False)
    out_of_fold: pd.Series = field(repr=False)
    n_resamples: int
    n_folds: int
    n_repeats: int
    n_failed: int
    seed: int
    issues: tuple[Issue, ...] = ()

    @property
    def cross_validated_sd(self) -> float:
        """Standard deviation of the cross-validated AUC over repeats: what the split alone does."""
        return float(self.auc_of_repeats.std(ddof=1)) if self.auc_of_repeats.size > 1 else math.nan

    @property
    def events_per_variable(self) -> float:
        """Participants in the smaller group for each feature that the model was given."""
        return min(self.n_events, self.n - self.n_events) / len(self.columns) if self.columns else math.nan


def validate_models(
    features: pd.DataFrame,
    poor: pd.Series,
    *,
    recipes: Sequence[Recipe],
    known: Sequence[str] = (),
    n_resamples: int = 200,
    folds: int = 5,
    repeats: int = 20,
    seed: int = 1,
    progress: Progress | None = None,
) -> tuple[ModelValidation, ...]:
    """Say how well models do where they were fitted, and how well they will do elsewhere.

    Everything that a recipe does with the outcome, selection too, is done again in every resample. All
    recipes see the same participants, those in whom the features of all of them are known, and the same
    resamples; a call for each of them finds the same numbers if `known` names those features.

    The optimism is Harrell's (1996): the model is fitted in a bootstrap sample of all participants (not
    stratified; a sample without both outcomes is drawn again), and its performance in the original
    participants is subtracted from that in the sample. Cross-validation is stratified and repeated; the
    AUC is computed within each fold and averaged, since predictions of different folds come from
    different models and need not be comparable. Where the smaller group has fewer participants than there
    are folds, there are as many folds as it has; with a single one there is no cross-validation. A model
    that gives everybody one probability has AUC 0.5 and no slope. Where the predictions rank a sample
    perfectly there is no slope either; the mean is over the others, and an issue says so. Probabilities of
    exactly 0 or 1 count as log odds of ± 30 in the slope.

    Parameters
    ----------
    features : DataFrame
        Features of all recipes, indexed by participant; NaN and infinite values count as missing.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    recipes : sequence of Recipe
        The models.
    known : sequence of str, default=()
        Features that must be known as well, so that calls with other recipes see the same participants.
    n_resamples : int, default=200
        Bootstrap samples.
    folds : int, default=5
        Folds of the cross-validation.
    repeats : int, default=20
        How often it splits anew.
    seed : int, default=1
        The same seed gives the same numbers.
    progress : callable, optional
        Called with the number of fits done and to do.

    Returns
    -------
    tuple of ModelValidation
        One for each recipe. All NaN, with an issue, where a group is empty.

    Raises
    ------
    StatisticsError
        If a feature of a recipe is not there, or a count is too small.
    """
    _check(features, recipes, known, n_resamples=n_resamples, folds=folds, repeats=repeats)
    needed = list(dict.fromkeys([*(column for recipe in recipes for column in recipe.columns), *known]))
    complete, outcome, n_missing = complete_cases(features[needed], poor)
    is_event = outcome.to_numpy(dtype=bool)
    smaller = _smaller_group(is_event)
    if smaller == 0:
        return tuple(_no_validation(recipe, complete.index, is_event, n_missing, seed) for recipe in recipes)
    resamples = draw_resamples(is_event, n_resamples=n_resamples, folds=folds, repeats=repeats, seed=seed)
    step = _counter(progress, len(recipes) * resamples.n_fits)
    found = []
    for recipe in recipes:
        validation = validate_with(recipe, complete[list(recipe.columns)], is_event, resamples=resamples, step=step)
        issues = _doubts_of_data(recipe.name, smaller=smaller, folds=folds, n_missing=n_missing)
        found.append(replace(validation, n_missing=n_missing, seed=seed, issues=(*issues, *validation.issues)))
    return tuple(found)


def draw_resamples(is_event: NDArray[np.bool_], *, n_resamples: int, folds: int, repeats: int, seed: int) -> Resamples:
    """Draw bootstrap samples and stratified folds.

    Parameters
    ----------
    is_event : ndarray of bool, shape (n,)
        Outcome; both values occur.
    n_resamples, folds, repeats : int
        How many.
    seed : int
        The same seed gives the same resamples.

    Returns
    -------
    Resamples
        With as many folds as the smaller group allows.
    """
    bootstrap = _bootstrap_rows(is_event, n_resamples, generator_for(seed, "optimism"))
    smaller = _smaller_group(is_event)
    if smaller < 2:
        return Resamples(bootstrap, np.empty((0, is_event.size), dtype=int))
    rng = generator_for(seed, "folds")
    # Dealt out like cards, one group after the other, so that folds and the groups in them differ by one at most.
    dealt = np.arange(is_event.size) % min(folds, smaller)
    splits = np.empty((repeats, is_event.size), dtype=int)
    for split in splits:
        order = [rng.permutation(np.flatnonzero(group)) for group in (is_event, ~is_event)]
        split[np.concatenate(order)] = dealt
    return Resamples(bootstrap, splits)


def validate_with(
    recipe: Recipe,
    features: pd.DataFrame,
    is_event: NDArray[np.bool_],
    *,
    resamples: Resamples,
    step: Callable[[], None] = lambda: None,
) -> ModelValidation:
    """Validate one model on given resamples.

    Parameters
    ----------
    recipe : Recipe
        The model.
    features : DataFrame
        Its columns, without missing values.
    is_event : ndarray of bool, shape (n,)
        Outcome; both values occur.
    resamples : Resamples
        Samples and folds.
    step : callable, optional
        Called after each fit.

    Returns
    -------
    ModelValidation
        As `validate_models` describes it.
    """
    numbers = features.to_numpy(dtype=float)
    fitted, reason = _predict(_fit(recipe, numbers, is_event, [np.arange(is_event.size)], step)[0], numbers)
    optimism = np.full((len(resamples.bootstrap), 3), np.nan)
    predictions = np.full(resamples.folds.shape, np.nan)
    if not reason:
        optimism = _optimism_of_samples(recipe, numbers, is_event, resamples.bootstrap, step)
        predictions = _predictions_of_repeats(recipe, numbers, is_event, resamples.folds, step)
    apparent, mean_optimism = performance(fitted, is_event), Performance(*_means(optimism))
    corrected = Performance(
        apparent.auc - mean_optimism.auc, apparent.slope - mean_optimism.slope, apparent.brier - mean_optimism.brier
    )
    repeats = _performance_of_repeats(predictions, is_event, resamples.folds)
    n_failed = int(np.isnan(optimism[:, 2]).sum()) + _failed_folds(predictions, resamples.folds)
    issues = _doubts_of_fits(
        recipe.name,
        reason=reason,
        n_failed=n_failed,
        n_fits=resamples.n_fits,
        optimism=optimism,
        corrected_auc=corrected.auc,
    )
    return ModelValidation(
        name=recipe.name,
        columns=recipe.columns,
        n=is_event.size,
        n_events=int(is_event.sum()),
        n_missing=0,
        apparent=apparent,
        optimism=mean_optimism,
        corrected=corrected,
        cross_validated=Performance(*_means(repeats)),
        auc_of_repeats=repeats[:, 0],
        fitted=pd.Series(fitted, index=features.index, name=recipe.name),
        out_of_fold=pd.Series(_column_means(predictions), index=features.index, name=recipe.name),
        n_resamples=len(resamples.bootstrap),
        n_folds=resamples.n_folds,
        n_repeats=len(resamples.folds),
        n_failed=n_failed,
        seed=0,
        issues=tuple(issues),
    )


def performance(probabilities: NDArray[np.floating], is_event: NDArray[np.bool_]) -> Performance:
    """Say how well predicted probabilities fit outcomes.

    Parameters
    ----------
    probabilities : ndarray of shape (n,)
        Predicted; all NaN where there is no model.
    is_event : ndarray of bool, shape (n,)
        Outcome.

    Returns
    -------
    Performance
        AUC and slope are NaN unless both outcomes occur.
    """
    return Performance(*_performances(probabilities[None], is_event[None])[0].tolist())


def _performances(probabilities: NDArray[np.floating], is_event: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Return AUC, slope and Brier score of each row of predictions, shape (b, 3); NaN where they are not defined."""
    found = np.full((len(probabilities), 3), np.nan)
    found[:, 2] = np.mean((probabilities - is_event) ** 2, axis=1)
    has_both = is_event.any(axis=1) & ~is_event.all(axis=1) & ~np.isnan(found[:, 2])
    found[has_both, 0] = _aucs(probabilities[has_both], is_event[has_both])
    found[has_both, 1] = _slopes(probabilities[has_both], is_event[has_both])
    return found


def _aucs(scores: NDArray[np.floating], is_event: NDArray[np.bool_]) -> NDArray[np.floating]:
    n_events = is_event.sum(axis=1)
    above = np.where(is_event, stats.rankdata(scores, axis=1), 0).sum(axis=1) - n_events * (n_events + 1) / 2
    return above / (n_events * (is_event.shape[1] - n_events))


def _slopes(probabilities: NDArray[np.floating], is_event: NDArray[np.bool_]) -> NDArray[np.floating]:
    log_odds = bounded_log_odds(probabilities)
    centre, scale = log_odds.mean(axis=1), log_odds.std(axis=1)
    found = np.full(len(log_odds), np.nan)
    told = np.flatnonzero(scale > CONSTANT_LOG_ODDS)
    if told.size == 0:
        return found
    centre, scale = centre[told], scale[told]
    standardised = (log_odds[told] - centre[:, None]) / scale[:, None]
    design = np.stack([np.ones_like(standardised), standardised], axis=1)
    # The search starts from perfect calibration, where a model fitted to these very rows already is.
    fit = maximise_likelihood(design, is_event[told], start=np.stack([centre, scale], axis=1))
    found[told] = np.where(fit.is_finite, fit.terms[:, 1] / scale, np.nan)
    return found


def _fit(
    recipe: Recipe,
    features: NDArray[np.floating],
    is_event: NDArray[np.bool_],
    sets: Sequence[NDArray[np.integer]],
    step: Callable[[], None],
) -> list[Predictor | StatisticsError]:
    """Fit a model to each set of rows; the error where it cannot be fitted."""
    if recipe.fit_each is not None:
        found = list(recipe.fit_each(features, is_event, sets))
        for _ in found:
            step()
        return found
    found = []
    for rows in sets:
        try:
            found.append(recipe.fit(features[rows], is_event[rows]))
        except StatisticsError as error:
            found.append(error)
        step()
    return found


def _predict(model: Predictor | StatisticsError, rows: NDArray[np.floating]) -> tuple[NDArray[np.floating], str]:
    """Predict rows; NaN and the reason where there is no model."""
    if isinstance(model, StatisticsError):
        return np.full(len(rows), np.nan), str(model)
    found = np.asarray(model(rows), dtype=float)
    if not np.isfinite(found).all():
        return np.full(len(rows), np.nan), "its predictions are not finite."
    return found, ""


def _optimism_of_samples(
    recipe: Recipe,
    features: NDArray[np.floating],
    is_event: NDArray[np.bool_],
    samples: NDArray[np.integer],
    step: Callable[[], None],
) -> NDArray[np.floating]:
    """Return AUC, slope and Brier score in each sample minus in the original; NaN where the fit failed."""
    within, original = np.full(samples.shape, np.nan), np.full(samples.shape, np.nan)
    for place, (rows, model) in enumerate(
        zip(samples, _fit(recipe, features, is_event, list(samples), step), strict=True)
    ):
        both, _ = _predict(model, np.concatenate([features[rows], features]))
        within[place], original[place] = np.split(both, 2)
    everybody = np.broadcast_to(is_event, samples.shape)
    return _performances(within, is_event[samples]) - _performances(original, everybody)


def _predictions_of_repeats(
    recipe: Recipe,
    features: NDArray[np.floating],
    is_event: NDArray[np.bool_],
    splits: NDArray[np.integer],
    step: Callable[[], None],
) -> NDArray[np.floating]:
    """Predict everybody by models fitted without their fold; NaN where the fit failed."""
    predictions = np.full(splits.shape, np.nan)
    left_out = [(repeat, split == fold) for repeat, split in enumerate(splits) for fold in range(split.max() + 1)]
    models = _fit(recipe, features, is_event, [np.flatnonzero(~test) for _, test in left_out], step)
    for (repeat, test), model in zip(left_out, models, strict=True):
        predictions[repeat, test], _ = _predict(model, features[test])
    return predictions


def _performance_of_repeats(
    predictions: NDArray[np.floating], is_event: NDArray[np.bool_], splits: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return AUC (mean over folds), slope and Brier score (of all predictions) of each repeat."""
    found = np.full((len(splits), 3), np.nan)
    for repeat, (predicted, split) in enumerate(zip(predictions, splits, strict=True)):
        known = ~np.isnan(predicted)
        folds = [known & (split == fold) for fold in np.unique(split[known])]
        if folds:
            pooled = performance(predicted[known], is_event[known])
            auc = float(np.mean([_aucs(predicted[None, fold], is_event[None, fold])[0] for fold in folds]))
            found[repeat] = auc, pooled.slope, pooled.brier
    return found


def _failed_folds(predictions: NDArray[np.floating], splits: NDArray[np.integer]) -> int:
    pairs = zip(predictions, splits, strict=True)
    return sum(np.unique(split[np.isnan(predicted)]).size for predicted, split in pairs)


def _column_means(numbers: NDArray[np.floating]) -> NDArray[np.floating]:
    """Average the known values of each column; NaN where there is none."""
    counts = (~np.isnan(numbers)).sum(axis=0)
    return np.where(counts > 0, np.nansum(numbers, axis=0) / np.maximum(counts, 1), np.nan)


def _means(numbers: NDArray[np.floating]) -> list[float]:
    return _column_means(numbers).tolist()


def _smaller_group(is_event: NDArray[np.bool_]) -> int:
    return int(min(is_event.sum(), (~is_event).sum()))


def _bootstrap_rows(is_event: NDArray[np.bool_], n_resamples: int, rng: np.random.Generator) -> NDArray[np.integer]:
    n = is_event.size
    rows = rng.integers(0, n, (n_resamples, n))
    while (one_sided := np.isin(is_event[rows].sum(axis=1), (0, n))).any():
        rows[one_sided] = rng.integers(0, n, (int(one_sided.sum()), n))
    return rows


def _counter(progress: Progress | None, total: int) -> Callable[[], None]:
    done = itertools.count(1)

    def step() -> None:
        if progress is not None:
            progress(next(done), total)

    return step


def _check(
    features: pd.DataFrame,
    recipes: Sequence[Recipe],
    known: Sequence[str],
    *,
    n_resamples: int,
    folds: int,
    repeats: int,
) -> None:
    for name, found, least in (("n_resamples", n_resamples, 1), ("folds", folds, 2), ("repeats", repeats, 1)):
        if found < least:
            raise StatisticsError(f"validation: {name} is {found}, at least {least} is needed. Choose more.")
    for recipe in recipes:
        absent = [column for column in (*recipe.columns, *known) if column not in features.columns]
        if absent or not recipe.columns:
            raise StatisticsError(
                f"validation of {recipe.name}: {', '.join(absent) or 'a feature'} is not among the features. "
                f"Choose from {', '.join(map(str, features.columns))}."
            )


def _doubts_of_data(name: str, *, smaller: int, folds: int, n_missing: int) -> list[Issue]:
    issues = []
    if n_missing:
        what = f"{n_missing} participant(s) left out, since a feature of one of the models compared is missing."
        issues.append(Issue(Severity.NOTE, name, what))
    if smaller < 2:
        what = "the smaller group is a single participant, so there is no cross-validation."
        issues.append(Issue(Severity.WARNING, name, what, "Read nothing into this model."))
    elif smaller < folds:
        what = f"the smaller group has {smaller} participants, so there are {smaller} folds instead of {folds}."
        issues.append(Issue(Severity.WARNING, name, what, "Ask for fewer folds."))
    return issues


def _doubts_of_fits(
    name: str, *, reason: str, n_failed: int, n_fits: int, optimism: NDArray[np.floating], corrected_auc: float
) -> list[Issue]:
    if reason:
        return [Issue(Severity.ERROR, name, f"no validation, since the model cannot be fitted: {reason}")]
    issues = []
    if n_failed:
        what = f"the model could not be fitted in {n_failed} of {n_fits} resamples, which were left out."
        issues.append(Issue(Severity.WARNING, name, what, "Use fewer features, or a penalised fit."))
    n_sloped, n_fitted = int((~np.isnan(optimism[:, 1])).sum()), int((~np.isnan(optimism[:, 0])).sum())
    if n_sloped < n_fitted:
        what = (
            f"the corrected slope rests on {n_sloped} of {n_fitted} bootstrap samples; in the others the model "
            "gave everybody the same probability, or separated the groups."
        )
        issues.append(Issue(Severity.WARNING, name, what))
    if corrected_auc < 0.5:
        what = f"optimism-corrected AUC {corrected_auc:.3f}: in new patients the model is expected to do no better "
        issues.append(Issue(Severity.NOTE, name, what + "than chance."))
    return issues


def _no_validation(
    recipe: Recipe, index: pd.Index, is_event: NDArray[np.bool_], n_missing: int, seed: int
) -> ModelValidation:
    empty = "good" if is_event.any() else "poor"
    what = (
        f"no complete participant with {empty} muscle function ({is_event.size} complete, {n_missing} left out), "
        "so there is nothing to validate."
    )
    unknown, nothing = Performance(), pd.Series(np.nan, index=index, name=recipe.name)
    return ModelValidation(
        name=recipe.name,
        columns=recipe.columns,
        n=is_event.size,
        n_events=int(is_event.sum()),
        n_missing=n_missing,
        apparent=unknown,
        optimism=unknown,
        corrected=unknown,
        cross_validated=unknown,
        auc_of_repeats=np.empty(0),
        fitted=nothing,
        out_of_fold=nothing,
        n_resamples=0,
        n_folds=0,
        n_repeats=0,
        n_failed=0,
        seed=seed,
        issues=(Issue(Severity.ERROR, recipe.name, what, "Leave out the feature that is missing."),),
    )
