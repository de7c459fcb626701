"""Multiple imputation by chained equations: missing values are drawn several times from participants like them.

The draws are made by statsmodels' `MICEData` with predictive mean matching, so that every imputed value is one
that was observed in somebody else. Rubin's rules are in `rubin`, the pooled analyses in `pooling`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.imputation.mice import MICEData

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import as_floats, is_constant, is_numeric
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.missing import MOSTLY_MISSING, is_missing
from dtimuscle.statistics.resampling import Progress, generator_for

# Cycles through all incomplete columns before the first data set, and between data sets. Five to twenty suffice
# for chains of this kind (van Buuren 2018, section 6.5.2).
BURN_IN = 10
SPACING = 5

# Observed values, nearest in predicted mean, from which one is drawn (van Buuren 2018, section 3.4.3).
DONORS = 5

# Fewer observed values than this give no imputation model.
FEWEST_OBSERVED = 10

# Predictors of one column: one for this many observed values, within these limits.
OBSERVED_PER_PREDICTOR = 10
FEWEST_PREDICTORS = 3
MOST_PREDICTORS = 25

# A predictor goes, at least this strongly, with the column or with whether it is missing (mice's `quickpred`).
WEAKEST_CORRELATION = 0.1

# Shrinkage that keeps the imputation model solvable with collinear predictors (mice's `norm.draw`).
RIDGE = 1e-5

# Levels up to which a covariate in words can help to predict; more are names rather than categories.
MOST_LEVELS = 6

# Names of the outcome within the imputation model, which no column of a study has.
GRADE = "outcome: grade"
POOR = "outcome: group"


@dataclass(frozen=True, eq=False)
class Imputation:
    """A study's data with its missing values filled in several times.

    Parameters
    ----------
    frames : tuple of FeatureFrame
        One for each imputation; the data themselves, once, where there was nothing to impute.
    n_imputed : dict of str to int
        Imputed values of each column that had any.
    predictors : dict of str to tuple of str
        What each of these columns was predicted from.
    n : int
        Participants with a group; the others keep their missing values.
    burn_in, spacing : int
        Cycles before the first data set, and between data sets.
    donors : int
        Observed values from which each imputed one was drawn.
    seed : int
        The same seed gives the same data sets.
    issues : tuple of Issue
        What was not imputed, or rests on little.
    """

    frames: tuple[FeatureFrame, ...]
    n_imputed: Mapping[str, int]
    predictors: Mapping[str, tuple[str, ...]]
    n: int
    burn_in: int
    spacing: int
    donors: int
    seed: int
    issues: tuple[Issue, ...] = ()

    @property
    def n_imputations(self) -> int:
        """Data sets; 1 where there was nothing to impute."""
        return len(self.frames)

    @property
    def n_values(self) -> int:
        """Imputed values in all columns together."""
        return sum(self.n_imputed.values())


@dataclass(frozen=True, eq=False)
class _Column:
    """A column as numbers: as it is, or 0, 1, … for the levels of a category."""

    name: str
    numbers: NDArray[np.float64]
    levels: tuple[Any, ...] = ()

    @property
    def missing(self) -> NDArray[np.bool_]:
        return np.isnan(self.numbers)


def impute(
    features: FeatureFrame,
    *,
    n_imputations: int = 20,
    seed: int,
    always: Sequence[str] = (),
    burn_in: int = BURN_IN,
    spacing: int = SPACING,
    progress: Progress | None = None,
) -> Imputation:
    """Fill in missing features and covariates several times by chained equations.

    After van Buuren & Groothuis-Oudshoorn (2011). Each incomplete column is regressed on others; the
    regression is drawn anew from its posterior; each missing value takes the value of one of the five
    participants whose predicted mean is nearest (predictive mean matching). This goes round all columns for
    `burn_in` cycles, and `spacing` cycles more between data sets. Grade and group are among the predictors of
    every column, since without the outcome imputed values would hide what the features have to do with it;
    they are never imputed themselves, and participants without a group keep their missing values.

    With about as many columns as participants not every column can predict every other. Each model has one
    predictor for ten observed values (at least 3, at most 25): grade, group, the columns that are `always`
    there, and those that correlate most with the column or with whether it is missing (at least 0.1), as R's
    `quickpred` chooses. Columns are standardised, since diffusivities are about 1e-3.

    A covariate of two levels counts as 0 and 1. One of three to six levels helps to predict, as dummies,
    where it is complete; where it is not, and with more levels, it is left out, with an issue. Columns that
    are missing in everybody, or known in fewer than ten, stay as they are, with an issue. Where nothing is
    left to impute the result is the data themselves, and an issue says so.

    Parameters
    ----------
    features : FeatureFrame
        Features, groups and covariates; infinite values count as missing.
    n_imputations : int, default=20
        Data sets, at least 2.
    seed : int
        The study's seed for statistics.
    always : sequence of str, default=()
        Columns of the models that will be fitted, which every imputation model should hold.
    burn_in : int, default=10
        Cycles before the first data set, at least 1.
    spacing : int, default=5
        Cycles between data sets, at least 1.
    progress : callable or None, default=None
        Called with how many data sets are done and how many there are.

    Returns
    -------
    Imputation
        Completed data sets; observed values are untouched.

    Raises
    ------
    StatisticsError
        If a number is too small, or a column of `always` does not exist.
    """
    _check(features, n_imputations, always, burn_in, spacing)
    known = features.poor.reindex(features.values.index).notna().to_numpy(dtype=bool)
    columns, issues = _columns(features, known)
    outcome = _outcome(features, known)
    targets, more = _targets(columns)
    issues += more
    kept = [c for c in columns if c.name in targets or not c.missing.any()]
    # A category of several levels is complete here and helps as dummies; a constant column tells nothing.
    helpers = [d for c in kept for d in _dummies(c) if not is_constant(d.numbers[~d.missing])]
    table = [*outcome, *helpers, *(c for c in kept if c.name in targets and c not in helpers)]
    plan = Imputation((features,), {}, {}, int(known.sum()), burn_in, spacing, DONORS, seed, tuple(issues))
    if not targets:
        what = "no value was imputed: the results are those of the data as they are."
        return replace(plan, issues=(*issues, Issue(Severity.NOTE, "multiple imputation", what)))
    standard, names = _standardised(table), [c.name for c in table]
    able = [c.name for c in (*outcome, *helpers)]
    forced = [c.name for c in outcome] + [d.name for c in kept if c.name in set(always) for d in _dummies(c)]
    predictors, more = _choose_predictors(standard, names, targets=targets, able=able, forced=forced)
    chain = _Chain(
        pd.DataFrame(standard, columns=[f"c{i}" for i in range(len(names))]),
        {f"c{names.index(t)}": [names.index(p) for p in predictors[t]] for t in targets},
        generator_for(seed, "multiple imputation"),
    )
    targeted = [c for c in columns if c.name in targets]
    frames = []
    for done in range(1, n_imputations + 1):
        chain.update_all(burn_in if done == 1 else spacing)
        drawn = chain.data.to_numpy()
        values = {
            c.name: _values_of(c, drawn[:, names.index(c.name)], standard[:, names.index(c.name)]) for c in targeted
        }
        frames.append(_completed(features, known, values))
        if progress is not None:
            progress(done, n_imputations)
    return replace(
        plan,
        frames=tuple(frames),
        n_imputed={c.name: int(c.missing.sum()) for c in targeted},
        predictors={name: tuple(predictors[name]) for name in targets},
        issues=(*issues, *more),
    )


class _Ridge:
    """Linear regression that statsmodels' `MICEData` can draw from, solvable also with collinear predictors."""

    def __init__(self, endog: NDArray[np.float64], exog: NDArray[np.float64]) -> None:
        self._endog, self._exog = endog, exog

    def fit(self) -> "_Ridge":
        gram = self._exog.T @ self._exog
        size = np.diag(gram)
        inverse = np.linalg.inv(gram + RIDGE * np.diag(np.where(size > 0, size, 1.0)))
        self.params = inverse @ (self._exog.T @ self._endog)
        residual = self._endog - self._exog @ self.params
        df = max(self._endog.size - self._exog.shape[1], 1)
        self._covariance = (inverse + inverse.T) / 2 * float(residual @ residual) / df
        return self

    def cov_params(self) -> NDArray[np.float64]:
        return self._covariance

    def predict(self, params: NDArray[np.float64], exog: NDArray[np.float64]) -> NDArray[np.float64]:
        return exog @ params


class _Chain(MICEData):  # type: ignore[misc]  # statsmodels has no types
    """The chain of statsmodels, with design matrices cut from the table.

    statsmodels lets patsy build them from formulas, twice for each column and cycle, which takes twenty
    times as long as everything else together.
    """

    def __init__(self, data: pd.DataFrame, predictors: dict[str, list[int]], generator: np.random.Generator) -> None:
        self._predictors = predictors
        super().__init__(data, rng=generator)
        for name in predictors:
            # `k_pmm` has to be repeated: each call sets it for all columns.
            self.set_imputer(name, model_class=_Ridge, k_pmm=DONORS)

    def get_split_data(self, vname: str) -> tuple[Any, ...]:
        observed, missing = self.ix_obs[vname], self.ix_miss[vname]
        table = self.data.to_numpy()
        design = np.column_stack([np.ones(len(table)), table[:, self._predictors[vname]]])
        endog = table[observed, self.data.columns.get_loc(vname)]
        return endog, design[observed], design[missing], {}, {}

    def get_fitting_data(self, vname: str) -> tuple[Any, ...]:
        endog, exog, *_ = self.get_split_data(vname)
        return endog, exog, {}, {}


def _check(features: FeatureFrame, n_imputations: int, always: Sequence[str], burn_in: int, spacing: int) -> None:
    if n_imputations < 2:
        raise StatisticsError(f"{n_imputations} imputation(s) asked for; at least 2 needed, 20 are usual.")
    if min(burn_in, spacing) < 1:
        raise StatisticsError(f"burn-in {burn_in} and spacing {spacing} found; at least one cycle each needed.")
    known = [*features.values.columns, *features.covariates.columns]
    unknown = [name for name in always if name not in known]
    if unknown:
        raise StatisticsError(
            f"column '{unknown[0]}' is neither a feature nor a covariate. Known: {', '.join(map(str, known))}."
        )


def _columns(features: FeatureFrame, known: NDArray[np.bool_]) -> tuple[list[_Column], list[Issue]]:
    columns = [_Column(str(name), as_floats(features.values.loc[known, name])) for name in features.values.columns]
    covariates = features.covariates.reindex(features.values.index)[known]
    issues: list[Issue] = []
    for name in covariates.columns:
        column = _encoded(str(name), covariates[name])
        obstacle = ""
        if len(column.levels) > MOST_LEVELS:
            obstacle = f"{len(column.levels)} different entries, more than the {MOST_LEVELS} of a category"
        elif len(column.levels) > 2 and column.missing.any():
            obstacle = f"{column.missing.sum()} of its entries, of {len(column.levels)} categories, are missing"
        if obstacle:
            what = f"{obstacle}, so it is neither imputed nor used to impute."
            issues.append(Issue(Severity.NOTE, column.name, what))
        else:
            columns.append(column)
    return columns, issues


def _encoded(name: str, values: pd.Series) -> _Column:
    if is_numeric(values):
        return _Column(name, as_floats(values))
    codes, levels = pd.factorize(values, sort=True)
    return _Column(name, np.where(codes < 0, np.nan, codes.astype(float)), tuple(levels))


def _outcome(features: FeatureFrame, known: NDArray[np.bool_]) -> list[_Column]:
    """Grade and group, as far as they vary and are not the same."""
    poor = features.poor.reindex(features.values.index)[known].to_numpy(dtype=float)
    grade = as_floats(features.grade.reindex(features.values.index)[known])
    columns = [_Column(POOR, poor)]
    if not np.isnan(grade).any() and np.unique(grade).size > 2:
        columns.append(_Column(GRADE, grade))
    return [column for column in columns if not is_constant(column.numbers)]


def _targets(columns: Sequence[_Column]) -> tuple[list[str], list[Issue]]:
    targets, issues = [], []
    for column in columns:
        n, missing = column.numbers.size, int(column.missing.sum())
        if not missing:
            continue
        if n - missing < FEWEST_OBSERVED:
            what = f"known in {n - missing} participant(s), at least {FEWEST_OBSERVED} needed; not imputed."
            issues.append(Issue(Severity.WARNING, column.name, what, "Leave it out of the models."))
            continue
        targets.append(column.name)
        if missing > MOSTLY_MISSING * n:
            what = f"{missing} of {n} values are imputed; results rest on the imputation model more than on data."
            issues.append(Issue(Severity.WARNING, column.name, what, "Read it as an exploration."))
    return targets, issues


def _dummies(column: _Column) -> list[_Column]:
    if len(column.levels) <= 2:
        return [column]
    return [
        _Column(f"{column.name}: {level}", (column.numbers == code).astype(float))
        for code, level in enumerate(column.levels)
        if code
    ]


def _standardised(columns: Sequence[_Column]) -> NDArray[np.float64]:
    standard = []
    for column in columns:
        observed = column.numbers[~column.missing]
        scale = 1.0 if is_constant(observed) else float(observed.std())
        standard.append((column.numbers - observed.mean()) / scale)
    return np.column_stack(standard)


def _choose_predictors(
    standard: NDArray[np.float64],
    names: list[str],
    *,
    targets: Sequence[str],
    able: Sequence[str],
    forced: Sequence[str],
) -> tuple[dict[str, list[str]], list[Issue]]:
    """Choose each column's predictors among those that are able to predict (vary)."""
    values, absent = pd.DataFrame(standard, columns=names), pd.DataFrame(np.isnan(standard), columns=names)
    together = pd.concat([values, absent.astype(float).add_prefix("missing ")], axis=1).corr(min_periods=3).abs()
    chosen: dict[str, list[str]] = {}
    issues: list[Issue] = []
    for target in targets:
        strength = together.loc[[target, f"missing {target}"], names].fillna(0).max().to_dict()
        others = sorted((n for n in able if n != target), key=lambda n: -strength[n])
        n_observed = int((~absent[target]).sum())
        limit = min(max(n_observed // OBSERVED_PER_PREDICTOR, FEWEST_PREDICTORS), MOST_PREDICTORS)
        first = [n for n in others if n in forced]
        room = max(n_observed // 2, FEWEST_PREDICTORS)
        if len(first) > room:
            what = f"{len(first)} predictors asked for with {n_observed} observed values; the {room} strongest used."
            issues.append(Issue(Severity.WARNING, target, what, "Use fewer columns in the models."))
            first = first[:room]
        rest = [n for n in others if n not in forced and strength[n] >= WEAKEST_CORRELATION]
        picked = {*first, *rest[: max(limit - len(first), 0)]}
        chosen[target] = [n for n in names if n in picked]
    return chosen, issues


def _values_of(column: _Column, drawn: NDArray[np.float64], standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the observed value itself for each drawn one: every draw is somebody's standardised value."""
    observed = np.flatnonzero(~column.missing)
    order = observed[np.argsort(standard[observed], kind="stable")]
    place = np.searchsorted(standard[order], drawn[column.missing])
    complete = column.numbers.copy()
    complete[column.missing] = column.numbers[order[np.minimum(place, order.size - 1)]]
    if column.levels:
        return np.asarray(column.levels, dtype=object)[complete.astype(int)]
    return complete


def _completed(features: FeatureFrame, known: NDArray[np.bool_], drawn: dict[str, NDArray[Any]]) -> FeatureFrame:
    return replace(
        features,
        values=_filled(features.values, known, drawn),
        covariates=_filled(features.covariates.reindex(features.values.index), known, drawn),
    )


def _filled(table: pd.DataFrame, known: NDArray[np.bool_], drawn: dict[str, NDArray[Any]]) -> pd.DataFrame:
    filled = {}
    for name in table.columns:
        if name not in drawn:
            continue
        column = table[name].copy()
        gaps = known & is_missing(column)
        everybody = np.empty(known.size, dtype=drawn[name].dtype)
        everybody[known] = drawn[name]
        column[gaps] = everybody[gaps]
        filled[name] = column
    return table.assign(**filled)
