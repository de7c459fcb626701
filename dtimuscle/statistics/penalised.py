"""Penalised logistic regression of all features at once, with nested cross-validation of the whole procedure."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases, is_constant
from dtimuscle.statistics.elastic_net import fit_path
from dtimuscle.statistics.resampling import Progress, generator_for
from dtimuscle.statistics.terms import odds_ratio_of, step_of
from dtimuscle.statistics.validation import Predictor, Recipe, recipe_of_sets
from dtimuscle.threads import share_out

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

# 0 is ridge, 1 the lasso, between them the elastic net.
L1_RATIOS = (0.0, 0.5, 1.0)

# Penalties go from one that leaves next to nothing to one that hardly shrinks, for features of SD 1.
STRONGEST_RIDGE = 100.0
WEAKEST_PENALTY = 1e-3
N_PENALTIES = 20

# With fewer in the smaller group no training part can be divided again.
SMALLEST_GROUP = 3

# Largest change of a standardised coefficient in the last step: while choosing, and in the model that is shown.
COARSE = 1e-4
FINE = 1e-11

# Numbers held at once in one matrix while many models are fitted together.
LARGEST_BLOCK = 2_000_000

# Sets of participants that are fitted together; the blocks are shared out among threads.
SETS_TOGETHER = 25

WHERE = "penalised model"


@dataclass(frozen=True)
class PenalisedTerm:
    """One feature of a penalised model.

    A penalised estimate is biased towards zero on purpose, so that it has neither P value nor confidence
    interval: an interval around it would not cover the true value as often as it says.

    Parameters
    ----------
    name : str
        Feature.
    estimate : float
        Log odds ratio of poor muscle function for one unit of the feature; 0 where the penalty left it out.
    sd : float
        Standard deviation of the feature (n - 1), in its unit.
    odds_ratio_per_sd : float
        Odds ratio for a difference of one `sd`.
    step : float
        Difference of the feature that `odds_ratio` is about, in its unit.
    odds_ratio : float
        Odds ratio for a difference of one `step`.
    difference : float
        Mean of the poor minus mean of the good group, in SDs: the direction of the feature alone, which is
        that of its univariate odds ratio.
    selected : float
        Share of the models of the outer folds in which it is not zero.
    same_direction : float
        Share of the models of the outer folds in which its sign is that of `estimate`; NaN where that is 0.
    """

    name: str
    estimate: float
    sd: float
    odds_ratio_per_sd: float
    step: float
    odds_ratio: float
    difference: float
    selected: float
    same_direction: float

    @property
    def is_zero(self) -> bool:
        """Whether the penalty left the feature out."""
        return self.estimate == 0

    @property
    def turns_round(self) -> bool:
        """Whether the feature points the other way than it does alone."""
        return self.estimate * self.difference < 0


@dataclass(frozen=True)
class PathPoint:
    """How well one penalty does in participants that were left out.

    Parameters
    ----------
    l1_ratio : float
        Share of the absolute values in the penalty; 0 is ridge, 1 the lasso.
    penalty : float
        Strength λ.
    log_loss : float
        Mean over folds and repeats; lower is better.
    spread : float
        Standard deviation of the log loss over repeats; NaN for one repeat.
    """

    l1_ratio: float
    penalty: float
    log_loss: float
    spread: float


@dataclass(frozen=True)
class NestedPerformance:
    """How well models do in participants that had no part in fitting them nor in choosing their penalty.

    Parameters
    ----------
    auc : float
        Mean of the AUCs within the held-out folds. Predictions of different folds come from different
        models and are not pooled: that biases the AUC downwards.
    auc_spread : float
        Standard deviation, over repeats, of the mean AUC of a repeat: what the division into folds does.
        It is no standard error.
    brier, log_loss : float
        Means over all held-out predictions.
    null_brier, null_log_loss : float
        The same when everybody is given the share of events in the training part.
    """

    auc: float
    auc_spread: float
    brier: float
    log_loss: float
    null_brier: float
    null_log_loss: float


@dataclass(frozen=True, eq=False)
class PenalisedFit:
    """A penalised logistic model of poor muscle function.

    Parameters
    ----------
    terms : tuple of PenalisedTerm
        In the order of the features; NaN for those that are constant.
    intercept : float
        Log odds where all features are zero.
    l1_ratio : float
        That of the model, chosen from `l1_ratios`.
    penalty : float
        Strength λ of the model.
    path : tuple of PathPoint
        Every penalty that was tried, with its cross-validated log loss.
    performance : NestedPerformance
        Of the whole procedure, by nested cross-validation.
    apparent_auc : float
        AUC of the final model in the participants that it was fitted to: too good.
    probabilities : Series
        Fitted probability of poor function of each complete participant (final model).
    held_out : Series
        Mean predicted probability of each participant over the repeats, from models that did not see it.
    ridge_share : float
        Share of the outer folds in which ridge, which sets no coefficient to zero, was chosen.
    n, n_events, n_missing : int
        Complete participants, those with poor function, and participants with a group but not all features.
    folds, repeats : int
        Of the outer cross-validation.
    inner_folds : int
        Of the inner one, which chooses the penalty.
    l1_ratios : tuple of float
        What was offered.
    seed : int
        Of the division into folds.
    issues : tuple of Issue
        What makes the model doubtful.
    """

    terms: tuple[PenalisedTerm, ...]
    intercept: float
    l1_ratio: float
    penalty: float
    path: tuple[PathPoint, ...]
    performance: NestedPerformance
    apparent_auc: float
    probabilities: pd.Series
    held_out: pd.Series
    ridge_share: float
    n: int
    n_events: int
    n_missing: int
    folds: int
    repeats: int
    inner_folds: int
    l1_ratios: tuple[float, ...]
    seed: int
    issues: tuple[Issue, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Features of the model."""
        return tuple(term.name for term in self.terms)

    @property
    def n_zero(self) -> int:
        """Features that the penalty left out."""
        return sum(term.is_zero for term in self.terms)

    @property
    def kind(self) -> str:
        """What the model is called: `ridge`, `lasso` or `elastic net`."""
        return {0.0: "ridge", 1.0: "lasso"}.get(self.l1_ratio, "elastic net")


def fit_penalised(
    features: pd.DataFrame,
    poor: pd.Series,
    *,
    seed: int,
    l1_ratios: Sequence[float] = L1_RATIOS,
    n_penalties: int = N_PENALTIES,
    folds: int = 5,
    repeats: int = 20,
    progress: Progress | None = None,
) -> PenalisedFit:
    """Fit all features together with a penalty that cross-validation chooses, and say how well that does.

    The coefficients β (of features of mean 0 and SD 1) minimise

        mean log loss + λ (ρ Σ|β_j| + (1 - ρ)/2 Σ β_j²)

    with the intercept free (Zou & Hastie 2005; notation of Friedman, Hastie & Tibshirani 2010, in
    scikit-learn's C = 1/(n λ)). ρ is one of `l1_ratios`; λ runs over `n_penalties` values in equal ratios
    from 1/ρ (100 for ridge), which leaves next to nothing, to 0.001. The grid does not look at the data.

    Everything that is learnt is learnt in the training part: means, SDs, ρ, λ and coefficients. The outer
    stratified cross-validation is repeated; in each training part an inner stratified one chooses ρ and λ
    by the log loss (Varma & Simon 2006). The final model uses everybody, with the ρ and λ of the lowest
    mean log loss over all outer folds and repeats. `performance` is of the procedure, not of that model.

    Defined outcomes, each with an issue: incomplete participants are left out. A constant feature is left
    out (NaN). With fewer than `folds` participants in the smaller group there are as many folds as that;
    with fewer than 3 there is no model and everything is NaN, as without features. Perfect prediction is
    no problem for a penalised model.

    Parameters
    ----------
    features : DataFrame
        One column for each feature, indexed by participant; in any unit.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.
    seed : int
        The same seed divides the participants the same way.
    l1_ratios : sequence of float, default=(0, 0.5, 1)
        Offered shares ρ of the absolute values, from 0 (ridge) to 1 (lasso).
    n_penalties : int, default=20
        Penalties for each of them.
    folds : int, default=5
        Of the outer and the inner cross-validation.
    repeats : int, default=20
        Of the outer cross-validation.
    progress : callable, optional
        Called with how much is done and how much there is.

    Returns
    -------
    PenalisedFit
        Model, path, performance and stability.

    Raises
    ------
    StatisticsError
        If a choice is outside its range.
    """
    ratios = tuple(float(ratio) for ratio in l1_ratios)
    _check_choices(ratios, n_penalties, folds, repeats)
    complete, outcome, n_missing = complete_cases(features, poor)
    y = outcome.to_numpy(dtype=bool)
    kept = np.array([not is_constant(column) for column in complete.to_numpy().T], dtype=bool)
    smaller = int(min(y.sum(), (~y).sum()))
    issues = _doubts([str(c) for c in complete.columns], kept, smaller, n_missing, folds)
    design = _Design(folds=min(folds, smaller), repeats=repeats, l1_ratios=ratios, seed=seed)
    if not kept.any() or smaller < SMALLEST_GROUP:
        return _no_model(complete, y, n_missing, design, issues)
    values = complete.to_numpy()[:, kept]
    x = (values - values.mean(axis=0)) / values.std(axis=0)
    nested = _nest(x, y, design, _grid(ratios, n_penalties), progress)
    ratio, penalty = nested.grid[int(np.argmin(nested.log_losses.mean(axis=0)))]
    gamma = fit_elastic_net(x, y, l1_ratio=ratio, penalty=penalty)
    per_unit = gamma[1:] / values.std(axis=0)
    probabilities = expit(gamma[0] + x @ gamma[1:])
    return PenalisedFit(
        terms=_terms(complete, kept, per_unit, y, nested),
        intercept=float(gamma[0] - per_unit @ values.mean(axis=0)),
        l1_ratio=ratio,
        penalty=penalty,
        path=_path(nested, design),
        performance=_performance(nested, y, design),
        apparent_auc=float(roc_auc_score(y, probabilities)),
        probabilities=pd.Series(probabilities, index=complete.index, name="penalised"),
        held_out=pd.Series(nested.held_out(y.size), index=complete.index, name="penalised"),
        ridge_share=float(np.mean([nested.grid[choice][0] == 0 for choice in nested.choices])),
        n=y.size,
        n_events=int(y.sum()),
        n_missing=n_missing,
        folds=design.folds,
        repeats=repeats,
        inner_folds=_inner_folds(smaller, design.folds),
        l1_ratios=ratios,
        seed=seed,
        issues=(*issues, *_at_the_edge(ratio, penalty)),
    )


def fit_elastic_net(x: Floats, is_event: NDArray[np.bool_], *, l1_ratio: float, penalty: float) -> Floats:
    """Fit one penalised logistic model with a given penalty.

    Minimises mean log loss + λ (ρ Σ s_j |β_j| + (1 - ρ)/2 Σ s_j² β_j²), s_j being the standard deviations
    (divisor n) of the features; the intercept is free. For features of SD 1 it is scikit-learn's
    `LogisticRegression` with C = 1/(n λ) and glmnet's with λ and α = ρ.

    Parameters
    ----------
    x : ndarray of shape (n, k)
        Features, about standardised; no missing values.
    is_event : ndarray of bool, shape (n,)
        Outcome; both values occur.
    l1_ratio : float
        ρ, from 0 (ridge) to 1 (lasso).
    penalty : float
        λ, above 0.

    Returns
    -------
    ndarray of shape (k + 1,)
        Intercept and coefficients, for the features as they are.
    """
    counts = np.ones((len(is_event), 1))
    return _fit_finely(x, is_event, counts, np.array([l1_ratio]), np.array([penalty]))[:, 0]


def _fit_finely(x: Floats, is_event: NDArray[np.bool_], counts: Floats, ratios: Floats, penalties: Floats) -> Floats:
    """Fit each set of participants with a penalty of its own."""
    # From strong to weak: every step then starts close to its optimum.
    way = [(ratios, penalties * factor) for factor in np.geomspace(100, 1, 9)]
    return fit_path(x, is_event, counts, way, tolerance=FINE)[-1]


def penalised_recipe(
    columns: Sequence[str],
    *,
    seed: int,
    l1_ratios: Sequence[float] = (0.0,),
    n_penalties: int = N_PENALTIES,
    folds: int = 5,
    name: str = "",
) -> Recipe:
    """Describe how a penalised model is built, so that it can be validated beside other models.

    Standardising, choosing the penalty by an inner stratified cross-validation (log loss) and fitting all
    happen within the data that the recipe is given. In a bootstrap sample the same participant can be in
    both parts of the inner division, which makes penalties there somewhat weak.

    Parameters
    ----------
    columns : sequence of str
        Features.
    seed : int
        The same seed divides the same data the same way.
    l1_ratios : sequence of float, default=(0,)
        Offered shares of the absolute values; ridge alone takes a tenth of the time of all three.
    n_penalties : int, default=20
        Penalties for each of them.
    folds : int, default=5
        Of the inner cross-validation; fewer where the smaller group is smaller.
    name : str, default=""
        Of the model; empty for `ridge` or `penalised`.

    Returns
    -------
    Recipe
        Its `fit` raises `StatisticsError` with fewer than 2 participants in the smaller group.

    Raises
    ------
    StatisticsError
        If a choice is outside its range.
    """
    ratios = tuple(float(ratio) for ratio in l1_ratios)
    _check_choices(ratios, n_penalties, folds, repeats=1)
    grid = _grid(ratios, n_penalties)

    fit_each = partial(_fit_each, folds=folds, grid=grid, seed=seed)
    return recipe_of_sets(name or ("ridge" if ratios == (0.0,) else "penalised"), columns, fit_each)


def _fit_each(
    values: Floats,
    is_event: NDArray[np.bool_],
    sets: Sequence[Integers],
    *,
    folds: int,
    grid: list[tuple[float, float]],
    seed: int,
) -> list[Predictor | StatisticsError]:
    is_event = np.asarray(is_event, dtype=bool)
    smaller = [int(min(is_event[rows].sum(), (~is_event[rows]).sum())) for rows in sets]
    found: list[Predictor | StatisticsError] = [_too_few(n) for n in smaller]
    blocks = [
        block
        for n in range(2, folds + 1)
        for block in _blocks([i for i, m in enumerate(smaller) if min(m, folds) == n])
    ]

    def fit_block(block: list[int]) -> list[Predictor]:
        n_inner = min(smaller[block[0]], folds)
        return _fit_sets(values, is_event, [sets[i] for i in block], n_inner=n_inner, grid=grid, seed=seed)

    for block, predictors in zip(blocks, share_out(fit_block, blocks), strict=True):
        for i, predictor in zip(block, predictors, strict=True):
            found[i] = predictor
    return found


def _too_few(smaller: int) -> StatisticsError:
    return StatisticsError(
        f"penalised model: {smaller} participant(s) in the smaller group, 2 needed to choose a penalty. "
        "Use a model that was specified beforehand."
    )


def _blocks(numbers: Sequence[int]) -> list[list[int]]:
    """Cut a list into pieces that are worked on together."""
    return [list(numbers[start : start + SETS_TOGETHER]) for start in range(0, len(numbers), SETS_TOGETHER)]


def _fit_sets(
    values: Floats,
    is_event: NDArray[np.bool_],
    sets: Sequence[Integers],
    *,
    n_inner: int,
    grid: list[tuple[float, float]],
    seed: int,
) -> list[Predictor]:
    """Choose a penalty within each set of rows, and fit the set with it; a row counts as often as the set has it."""
    centre, sd = values.mean(axis=0), values.std(axis=0)
    sd = np.where([is_constant(column) for column in values.T], 1.0, sd)
    x = (values - centre) / sd
    held_out = np.zeros((n_inner, len(values), len(sets)))
    for number, rows in enumerate(sets):
        inner = _fold_numbers(is_event[rows], n_inner, generator_for(seed, "penalised recipe"))
        np.add.at(held_out[:, :, number], (inner, rows), 1)
    counts = held_out.sum(axis=0)
    losses, _ = _search(x, is_event, counts, held_out, grid=grid)
    ratios, penalties = np.array(grid)[losses.argmin(axis=1)].T
    gammas = _fit_finely(x, is_event, counts, ratios, penalties)
    return [_Linear(centre, sd, gamma) for gamma in gammas.T]


@dataclass(frozen=True, eq=False)
class _Linear:
    """A model that was fitted to standardised features."""

    centre: Floats
    sd: Floats
    gamma: Floats  # intercept and coefficients

    def __call__(self, values: Floats) -> Floats:
        return expit(self.gamma[0] + ((values - self.centre) / self.sd) @ self.gamma[1:])


@dataclass(frozen=True)
class _Design:
    """How participants are divided."""

    folds: int
    repeats: int
    l1_ratios: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class _Nested:
    """What the outer cross-validation found; one row for each training part."""

    grid: list[tuple[float, float]]
    tests: Sequence[Integers]  # the participants that were held out
    choices: list[int]  # the penalty chosen inside, as a place in the grid
    coefficients: Floats  # (training parts, k), of the chosen penalty
    predictions: list[Floats]  # for the held-out participants, with the chosen penalty
    log_losses: Floats  # (training parts, penalties), in the held-out participants

    def held_out(self, n: int) -> Floats:
        total, times = np.zeros(n), np.zeros(n)
        for test, predicted in zip(self.tests, self.predictions, strict=True):
            total[test] += predicted
            times[test] += 1
        return total / times


def _grid(ratios: tuple[float, ...], n_penalties: int) -> list[tuple[float, float]]:
    return [
        (ratio, float(penalty))
        for ratio in ratios
        for penalty in np.geomspace(min(STRONGEST_RIDGE, 1 / max(ratio, 1e-9)), WEAKEST_PENALTY, n_penalties)
    ]


def _inner_folds(smaller: int, folds: int) -> int:
    """Folds that fit into the smallest training part."""
    return min(folds, smaller - math.ceil(smaller / folds))


def _fold_numbers(y: NDArray[np.bool_], folds: int, rng: np.random.Generator) -> Integers:
    numbers = np.zeros(len(y), dtype=int)
    divider = StratifiedKFold(folds, shuffle=True, random_state=int(rng.integers(2**31)))
    for number, (_, test) in enumerate(divider.split(y, y)):
        numbers[test] = number
    return numbers


def _nest(
    x: Floats, y: NDArray[np.bool_], design: _Design, grid: list[tuple[float, float]], progress: Progress | None
) -> _Nested:
    rng = generator_for(design.seed, "penalised nested cross-validation")
    outer = [_fold_numbers(y, design.folds, rng) for _ in range(design.repeats)]
    tests = [np.flatnonzero(numbers == fold) for numbers in outer for fold in range(design.folds)]
    training = np.ones((len(y), len(tests)))
    n_inner = _inner_folds(int(min(y.sum(), (~y).sum())), design.folds)
    inner = np.zeros((n_inner, *training.shape))
    for column, test in enumerate(tests):
        training[test, column] = 0
        rows = np.flatnonzero(training[:, column])
        inner[_fold_numbers(y[rows], n_inner, rng), rows, column] = 1
    block = max(1, min(SETS_TOGETHER, LARGEST_BLOCK // (max(len(y), (x.shape[1] + 1) ** 2) * (n_inner + 1))))
    parts = [slice(start, start + block) for start in range(0, len(tests), block)]
    say = _counter(progress, len(parts) * len(grid))
    searched = share_out(lambda part: _search(x, y, training[:, part], inner[:, :, part], grid=grid, say=say), parts)
    choices: list[int] = []
    coefficients: list[Floats] = []
    predictions: list[Floats] = []
    log_losses = np.empty((len(tests), len(grid)))
    for part, (losses, gammas) in zip(parts, searched, strict=True):
        for column, (loss, test) in enumerate(zip(losses, tests[part], strict=True)):
            choice = int(np.argmin(loss))
            eta = gammas[:, :1, column] + gammas[:, 1:, column] @ x[test].T
            log_losses[part.start + column] = _log_losses(eta, y[test]).mean(axis=1)
            choices.append(choice)
            coefficients.append(gammas[choice, 1:, column])
            predictions.append(expit(eta[choice]))
    return _Nested(grid, tests, choices, np.array(coefficients), predictions, log_losses)


def _counter(progress: Progress | None, total: int) -> Callable[[], None]:
    """Count the steps of all threads together."""
    done = itertools.count(1)
    return lambda: None if progress is None else progress(next(done), total)


def _search(
    x: Floats,
    y: NDArray[np.bool_],
    training: Floats,
    inner: Floats,
    *,
    grid: list[tuple[float, float]],
    say: Callable[[], None] = lambda: None,
) -> tuple[Floats, Floats]:
    """Find the cross-validated log loss of each penalty within each training part, and the models of the whole part.

    `training` (n, parts) says how often a participant counts in each part, `inner` (folds, n, parts) how often of that
    in each fold.
    """
    n_inner, _, n_parts = inner.shape
    held_out = np.concatenate(list(inner), axis=1)
    weights = np.concatenate([training, np.tile(training, n_inner) - held_out], axis=1)
    losses = np.empty((n_parts, len(grid)))
    gammas = np.empty((len(grid), x.shape[1] + 1, n_parts))

    for ratio in dict.fromkeys(ratio for ratio, _ in grid):
        places = [place for place, pair in enumerate(grid) if pair[0] == ratio]
        found = fit_path(x, y, weights, [grid[place] for place in places], tolerance=COARSE, after_each=say)
        gammas[places] = found[:, :, :n_parts]
        for place, gamma in zip(places, found[:, :, n_parts:], strict=True):
            eta = gamma[0] + x @ gamma[1:]
            loss = (held_out * _log_losses(eta.T, y).T).sum(axis=0)
            losses[:, place] = loss.reshape(n_inner, n_parts).sum(axis=0) / training.sum(axis=0)
    return losses, gammas


def _log_losses(eta: Floats, y: NDArray[np.bool_]) -> Floats:
    return np.logaddexp(0, np.where(y, -eta, eta))


def _terms(
    complete: pd.DataFrame, kept: NDArray[np.bool_], per_unit: Floats, y: NDArray[np.bool_], nested: _Nested
) -> tuple[PenalisedTerm, ...]:
    estimates = dict(zip(np.flatnonzero(kept).tolist(), per_unit.tolist(), strict=True))
    columns = dict(zip(estimates, nested.coefficients.T, strict=True))
    return tuple(
        _term(str(name), complete[name].to_numpy(), estimates[i], columns[i], y)
        if i in estimates
        else _undefined(str(name))
        for i, name in enumerate(complete.columns)
    )


def _term(name: str, values: Floats, estimate: float, outer: Floats, y: NDArray[np.bool_]) -> PenalisedTerm:
    sd, step = float(values.std(ddof=1)), step_of(name)
    return PenalisedTerm(
        name=name,
        estimate=estimate,
        sd=sd,
        odds_ratio_per_sd=math.exp(estimate * sd),
        step=step,
        odds_ratio=odds_ratio_of(estimate * step),
        difference=float(values[y].mean() - values[~y].mean()) / sd,
        selected=float(np.mean(outer != 0)),
        same_direction=float(np.mean(outer * estimate > 0)) if estimate else math.nan,
    )


def _undefined(name: str) -> PenalisedTerm:
    nan = math.nan
    return PenalisedTerm(name, nan, nan, nan, step_of(name), nan, nan, nan, nan)


def _path(nested: _Nested, design: _Design) -> tuple[PathPoint, ...]:
    by_repeat = nested.log_losses.reshape(design.repeats, design.folds, -1).mean(axis=1)
    means = by_repeat.mean(axis=0)
    spreads = by_repeat.std(axis=0, ddof=1) if design.repeats > 1 else np.full(len(means), math.nan)
    return tuple(
        PathPoint(ratio, penalty, float(mean), float(spread))
        for (ratio, penalty), mean, spread in zip(nested.grid, means, spreads, strict=True)
    )


def _performance(nested: _Nested, y: NDArray[np.bool_], design: _Design) -> NestedPerformance:
    aucs = [roc_auc_score(y[t], p) for t, p in zip(nested.tests, nested.predictions, strict=True)]
    by_repeat = np.reshape(aucs, (design.repeats, design.folds)).mean(axis=1)
    truth = np.concatenate([y[test] for test in nested.tests])
    # The share of events in the training part.
    shares = np.concatenate([np.full(t.size, (y.sum() - y[t].sum()) / (y.size - t.size)) for t in nested.tests])
    own, null = (_scores(truth, predicted) for predicted in (np.concatenate(nested.predictions), shares))
    return NestedPerformance(
        auc=float(by_repeat.mean()),
        auc_spread=float(by_repeat.std(ddof=1)) if design.repeats > 1 else math.nan,
        brier=own[0],
        log_loss=own[1],
        null_brier=null[0],
        null_log_loss=null[1],
    )


def _scores(truth: NDArray[np.bool_], predicted: Floats) -> tuple[float, float]:
    """Brier score and log loss; a certainty that was wrong costs much but not everything, as in scikit-learn."""
    given = np.maximum(np.where(truth, predicted, 1 - predicted), np.finfo(float).eps)
    return float(np.mean((predicted - truth) ** 2)), float(-np.mean(np.log(given)))


def _check_choices(ratios: tuple[float, ...], n_penalties: int, folds: int, repeats: int) -> None:
    if not ratios or any(not 0 <= ratio <= 1 for ratio in ratios):
        raise StatisticsError(f"l1_ratios {ratios} found, at least one from 0 (ridge) to 1 (lasso) needed.")
    for what, found, least in (("n_penalties", n_penalties, 2), ("folds", folds, 2), ("repeats", repeats, 1)):
        if found < least:
            raise StatisticsError(f"{what} {found} found, at least {least} needed for a penalised model.")


def _doubts(names: list[str], kept: NDArray[np.bool_], smaller: int, n_missing: int, folds: int) -> list[Issue]:
    issues = [
        Issue(Severity.WARNING, name, "constant; left out of the penalised model.", "Leave it out.")
        for name, is_kept in zip(names, kept, strict=True)
        if not is_kept and smaller >= SMALLEST_GROUP
    ]
    if n_missing:
        what = f"{n_missing} participant(s) left out because a feature is missing."
        issues.append(Issue(Severity.WARNING, WHERE, what, "Impute, or leave out the features that are missing."))
    if smaller < SMALLEST_GROUP:
        what = f"{smaller} complete participant(s) in the smaller group, {SMALLEST_GROUP} needed to choose a penalty."
        issues.append(Issue(Severity.ERROR, WHERE, what, "Use a single feature that was chosen beforehand."))
    elif not kept.any():
        issues.append(Issue(Severity.ERROR, WHERE, "no feature that varies, so no model.", "Offer other features."))
    elif smaller < folds:
        what = f"{smaller} participants in the smaller group, so {smaller} folds instead of {folds}."
        issues.append(Issue(Severity.WARNING, WHERE, what, "Don't trust its performance."))
    return issues


def _at_the_edge(ratio: float, penalty: float) -> list[Issue]:
    if math.isclose(penalty, WEAKEST_PENALTY):
        what = "the weakest penalty offered was the best: these data hardly need one."
        return [Issue(Severity.NOTE, WHERE, what, "Compare with the model without penalty.")]
    if math.isclose(penalty, _grid((ratio,), 2)[0][1]):
        what = "the strongest penalty offered was the best: the features predict no better than the share of events."
        return [Issue(Severity.NOTE, WHERE, what)]
    return []


def _no_model(
    complete: pd.DataFrame, y: NDArray[np.bool_], n_missing: int, design: _Design, issues: list[Issue]
) -> PenalisedFit:
    nan = math.nan
    nothing = pd.Series(nan, index=complete.index, dtype=float, name="penalised")
    return PenalisedFit(
        terms=tuple(_undefined(str(name)) for name in complete.columns),
        intercept=nan,
        l1_ratio=nan,
        penalty=nan,
        path=(),
        performance=NestedPerformance(nan, nan, nan, nan, nan, nan),
        apparent_auc=nan,
        probabilities=nothing,
        held_out=nothing,
        ridge_share=nan,
        n=y.size,
        n_events=int(y.sum()),
        n_missing=n_missing,
        folds=0,
        repeats=design.repeats,
        inner_folds=0,
        l1_ratios=design.l1_ratios,
        seed=design.seed,
        issues=tuple(issues),
    )
