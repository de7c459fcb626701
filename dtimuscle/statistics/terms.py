"""From columns of any kind to the terms of a regression model: numbers as they are, categories against a reference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import align, as_floats, is_constant, is_numeric
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature

# Odds ratios are given for these steps: FA has no unit, diffusivities are in mm²/s; anything else steps by 1.
STEPS = {"fa": 0.1, "md": 0.1e-3, "ad": 0.1e-3, "rd": 0.1e-3}

# Text with more levels than this is no category.
MAX_LEVELS = 10

# A feature whose part outside the other features is smaller than this fraction adds nothing to them.
COLLINEAR = 1e-7

# exp() of anything beyond is no finite number.
LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Term:
    """One column of a model's design.

    Parameters
    ----------
    name : str
        The feature or numeric covariate, or the category with its contrast (`sex: M against F`).
    column : str
        Column that it comes from (`sex`).
    contrast : str, default=""
        Level and reference level (`M against F`); empty for a number.
    """

    name: str
    column: str
    contrast: str = ""


@dataclass(frozen=True, eq=False)
class ModelData:
    """What a model is fitted to: the complete participants, in standardised terms.

    Parameters
    ----------
    terms : tuple of Term
        In the order of the columns; those that cannot be estimated too.
    kept : tuple of int
        Positions of the terms that vary and are no combination of those before them.
    index : Index
        The complete participants.
    is_event : ndarray of bool, shape (n,)
        Poor muscle function.
    standardised : ndarray of shape (n, k)
        All terms with mean 0 and standard deviation 1; zero where a term is constant.
    centre, sd : ndarray of shape (k,)
        Mean and standard deviation (n - 1) of each term, in its unit.
    n_missing : int
        Participants with a group that were left out because a column is missing.
    issues : tuple of Issue
        Which terms are left out, and why.
    """

    terms: tuple[Term, ...]
    kept: tuple[int, ...]
    index: pd.Index
    is_event: NDArray[np.bool_]
    standardised: NDArray[np.floating]
    centre: NDArray[np.floating]
    sd: NDArray[np.floating]
    n_missing: int
    issues: tuple[Issue, ...] = ()

    @property
    def n(self) -> int:
        """Complete participants."""
        return self.is_event.size

    @property
    def n_events(self) -> int:
        """Those with poor muscle function."""
        return int(self.is_event.sum())

    @property
    def design(self) -> NDArray[np.floating]:
        """Ones and the kept terms, of full column rank."""
        return np.column_stack([np.ones(self.n), self.standardised[:, list(self.kept)]])

    @property
    def columns(self) -> Mapping[str, tuple[int, ...]]:
        """Places in `design` of the terms of each column; a column without estimated terms has none."""
        places: dict[str, tuple[int, ...]] = {term.column: () for term in self.terms}
        for place, position in enumerate(self.kept, start=1):
            places[self.terms[position].column] += (place,)
        return places

    @property
    def title(self) -> str:
        """What issues call the model."""
        names = list(self.columns)
        return " + ".join(names) if len(names) <= 3 else f"model of {len(names)} features"


def step_of(name: str) -> float:
    """Return the difference of a feature, in its unit, that its odds ratio is about.

    Parameters
    ----------
    name : str
        A feature, or any other column.
    """
    return STEPS.get(split_feature(name)[1], 1.0)


def model_data(columns: pd.DataFrame, poor: pd.Series) -> ModelData:
    """Find the complete participants and lay out the terms of their model.

    Numbers are terms as they are. Text, categories and truth values have one term (0 or 1) for each level but
    the first, which is the reference: in the order of a categorical column, otherwise by the alphabet, "no"
    before "yes". Levels that no complete participant has are none. A column is left out, with an issue, if its
    values do not vary, if it is text with more than ten levels (an identifier), or if it is a combination of
    those before it.

    Parameters
    ----------
    columns : DataFrame
        Features and covariates, indexed by participant. Infinite numbers count as missing.
    poor : Series of boolean
        Outcome, indexed by participant; participants without one are left out.

    Returns
    -------
    ModelData
        The complete participants in standardised terms.
    """
    columns = align(columns, poor)
    known = poor.notna().to_numpy(dtype=bool)
    labels = {str(name): columns.iloc[:, i] for i, name in enumerate(columns.columns)}
    numbers = {name: as_floats(column) for name, column in labels.items() if is_numeric(column)}
    crowded = {n: c[known].nunique() for n, c in labels.items() if n not in numbers}
    crowded = {name: levels for name, levels in crowded.items() if levels > MAX_LEVELS}
    complete = known.copy()
    for name, column in labels.items():
        if name in numbers:
            complete &= np.isfinite(numbers[name])
        elif name not in crowded:
            complete &= column.notna().to_numpy(dtype=bool)
    terms: list[Term] = []
    values: list[NDArray[np.floating]] = []
    for name, column in labels.items():
        if name in numbers:
            coded: dict[Term, NDArray[np.floating]] = {Term(name, name): numbers[name][complete]}
        elif name in crowded:
            coded = {Term(name, name): np.zeros(int(complete.sum()))}
        else:
            coded = _coded(name, column[complete])
        terms += coded
        values += coded.values()
    n = int(complete.sum())
    standardised, centre, sd = standardise(np.column_stack(values) if values else np.empty((n, 0)))
    kept = independent_columns(standardised)
    return ModelData(
        terms=tuple(terms),
        kept=kept,
        index=columns.index[complete],
        is_event=poor[complete].to_numpy(dtype=bool),
        standardised=standardised,
        centre=centre,
        sd=sd,
        n_missing=int(known.sum()) - n,
        issues=tuple(
            left_out_issue(term.name, crowded.get(term.name)) for i, term in enumerate(terms) if n and i not in kept
        ),
    )


def independent_columns(standardised: NDArray[np.floating]) -> tuple[int, ...]:
    """Find the columns that vary and are no combination of those before them.

    Parameters
    ----------
    standardised : ndarray of shape (n, k)
        Columns of similar scale.
    """
    basis = np.full((len(standardised), 1), 1 / math.sqrt(max(len(standardised), 1)))
    kept: list[int] = []
    for i, column in enumerate(standardised.T):
        residual = column - basis @ (basis.T @ column)
        residual -= basis @ (basis.T @ residual)  # once more, against rounding
        length = float(np.linalg.norm(residual))
        if length > COLLINEAR * math.sqrt(column.size):
            basis = np.column_stack([basis, residual / length])
            kept.append(i)
    return tuple(kept)


def _coded(name: str, column: pd.Series) -> dict[Term, NDArray[np.floating]]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = [level for level in column.dtype.categories if (column == level).any()]
    else:
        levels = sorted(column.unique(), key=str)
    if len(levels) < 2:
        return {Term(name, name): np.zeros(len(column))}
    contrasts = [f"{_word(level)} against {_word(levels[0])}" for level in levels[1:]]
    return {
        Term(f"{name}: {contrast}", name, contrast): (column == level).to_numpy(dtype=float)
        for level, contrast in zip(levels[1:], contrasts, strict=True)
    }


def _word(level: object) -> str:
    if isinstance(level, (bool, np.bool_)):
        return "yes" if level else "no"
    return f"{level:g}" if isinstance(level, float) else str(level)


def standardise(
    numbers: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Bring columns to mean 0 and SD 1; those that are constant are 0.

    Parameters
    ----------
    numbers : ndarray of shape (n, k)
        Without missing values.

    Returns
    -------
    tuple of (ndarray, ndarray, ndarray)
        The columns, their means, and their SDs (n - 1); a constant has SD 0, and with fewer than two rows there is
        none (NaN).
    """
    nan = np.full(numbers.shape[1], np.nan)
    if len(numbers) < 2:
        return np.zeros(numbers.shape), (numbers[0] if len(numbers) else nan), nan
    # In units of a power of two no digit changes, and no square overflows or vanishes.
    unit = np.frexp(np.abs(numbers).max(axis=0))[1]
    scaled = np.ldexp(numbers, -unit)
    constant = np.array([is_constant(column) for column in numbers.T], dtype=bool)
    centre, sd = scaled.mean(axis=0), np.where(constant, 0.0, scaled.std(axis=0, ddof=1))
    standardised = np.where(constant, 0.0, (scaled - centre) / np.where(constant, 1.0, sd))
    return standardised, np.ldexp(centre, unit), np.ldexp(sd, unit)


def left_out_issue(name: str, levels: int | None = None) -> Issue:
    """Say why a term is not estimated.

    Parameters
    ----------
    name : str
        The term.
    levels : int, optional
        Levels of a text that has too many; without them the term adds nothing to those before it.
    """
    if levels is not None:
        what = f"text with {levels} levels (at most {MAX_LEVELS}) is no category; left out of the model."
        return Issue(Severity.WARNING, name, what, "Group its levels, or leave it out.")
    what = "constant, or a combination of the features before it; left out of the model."
    return Issue(Severity.WARNING, name, what, "Leave one of them out.")


def long_step_issue(name: str, *ratios: tuple[float, float]) -> tuple[Issue, ...]:
    """Say that an odds ratio is missing because its step is far longer than the feature varies, where it is.

    Parameters
    ----------
    name : str
        Feature.
    *ratios : tuple of (float, float)
        An odds ratio, or an end of its interval, per step and per standard deviation.
    """
    if not any(math.isnan(per_step) and not math.isnan(per_sd) for per_step, per_sd in ratios):
        return ()
    what = f"it varies so little that an odds ratio for a step of {step_of(name):g} is no finite number."
    return (Issue(Severity.NOTE, name, what, "Read the one per SD, or give the values in a smaller unit."),)


def odds_ratio_of(log_odds: float, factor: float = 1.0) -> float:
    """Return exp(log odds × factor); NaN where that is no finite number.

    Parameters
    ----------
    log_odds : float
        For one unit.
    factor : float, default=1.0
        Units that the odds ratio is about.
    """
    exponent = log_odds * factor
    return math.exp(exponent) if abs(exponent) <= LARGEST_EXPONENT else math.nan


def exp_interval(bounds: Interval, factor: float = 1.0) -> Interval:
    """Turn an interval of log odds into one of an odds ratio.

    Parameters
    ----------
    bounds : Interval
        Of the log odds for one unit.
    factor : float, default=1.0
        Units that the odds ratio is about.

    Returns
    -------
    Interval
        Of one level with `bounds`; an end that is no finite number is NaN.
    """
    return Interval(odds_ratio_of(bounds.low, factor), odds_ratio_of(bounds.high, factor), bounds.level)
