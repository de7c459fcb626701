"""Missing values: how many, in whom, which together, and who is left for each analysis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import as_floats, is_numeric
from dtimuscle.statistics.features import FeatureFrame

# A column with more than this share missing rests on a minority of the participants.
MOSTLY_MISSING = 0.5


@dataclass(frozen=True)
class MissingColumn:
    """Missing values of one feature or covariate.

    Parameters
    ----------
    name : str
        Feature or covariate.
    is_covariate : bool
        Which of the two it is.
    poor, good, ungraded : int
        Participants without a value, by group; the last have no grade either.
    n_poor, n_good, n_ungraded : int
        Participants of each group.
    p : float
        Fisher's exact test of whether values are missing more often in one group; NaN where a group is
        empty, or where none or all are missing.
    """

    name: str
    is_covariate: bool
    poor: int
    good: int
    ungraded: int
    n_poor: int
    n_good: int
    n_ungraded: int
    p: float

    @property
    def n_missing(self) -> int:
        """Participants without a value, in all groups."""
        return self.poor + self.good + self.ungraded

    @property
    def share(self) -> float:
        """Share of all participants without a value; NaN where there is nobody."""
        n = self.n_poor + self.n_good + self.n_ungraded
        return self.n_missing / n if n else math.nan


@dataclass(frozen=True)
class MissingPattern:
    """Participants in whom the same columns are missing.

    Parameters
    ----------
    missing : tuple of str
        Columns without a value, in the order of the table; empty for the complete participants.
    poor, good, ungraded : int
        Participants with this pattern, by group.
    """

    missing: tuple[str, ...]
    poor: int
    good: int
    ungraded: int

    @property
    def n(self) -> int:
        """Participants with this pattern."""
        return self.poor + self.good + self.ungraded


@dataclass(frozen=True)
class CompleteCases:
    """Who is left when an analysis uses complete participants only.

    Parameters
    ----------
    purpose : str
        The analysis.
    columns : tuple of str
        What has to be known, beside the grade.
    poor, good : int
        Participants in whom it is.
    n_left_out : int
        Participants with a grade in whom it is not.
    """

    purpose: str
    columns: tuple[str, ...]
    poor: int
    good: int
    n_left_out: int


@dataclass(frozen=True)
class MissingData:
    """What is missing from a study's data.

    Parameters
    ----------
    columns : tuple of MissingColumn
        Features, then covariates, in their order.
    patterns : tuple of MissingPattern
        The complete participants first, then by falling number of participants.
    complete : tuple of CompleteCases
        For each analysis.
    n_poor, n_good, n_ungraded : int
        Participants.
    issues : tuple of Issue
        What missing values make doubtful.
    """

    columns: tuple[MissingColumn, ...]
    patterns: tuple[MissingPattern, ...]
    complete: tuple[CompleteCases, ...]
    n_poor: int
    n_good: int
    n_ungraded: int
    issues: tuple[Issue, ...] = ()

    @property
    def n(self) -> int:
        """All participants."""
        return self.n_poor + self.n_good + self.n_ungraded

    @property
    def n_values(self) -> int:
        """Missing values in all columns together."""
        return sum(column.n_missing for column in self.columns)


def describe_missing(features: FeatureFrame, *, model: Sequence[str] = ()) -> MissingData:
    """Count what is missing, and who is left for which analysis.

    Infinite values count as missing. Patterns are those of R's `mice::md.pattern`. Fisher's exact test of
    each column tells whether values are missing more often in one group. It describes: neither a large
    nor a small P proves why values are missing, and it is not adjusted for the number of columns.

    Parameters
    ----------
    features : FeatureFrame
        Features, groups and covariates.
    model : sequence of str, default=()
        Columns of the prespecified model, features or covariates; empty where there is none.

    Returns
    -------
    MissingData
        Also where nothing is missing: then one pattern, without missing columns.

    Raises
    ------
    StatisticsError
        If a column of the model does not exist.
    """
    table = missing_values(features)
    groups = _groups(features)
    unknown = [name for name in model if name not in table.columns]
    if unknown:
        raise StatisticsError(
            f"column '{unknown[0]}' of the prespecified model is neither a feature nor a covariate. "
            f"Choose model_features and roc_muscles from {', '.join(map(str, table.columns))}."
        )
    covariates = set(features.covariates.columns)
    columns = tuple(_count(str(name), table[name], groups, is_covariate=name in covariates) for name in table.columns)
    sizes = [int(group.sum()) for group in groups]
    return MissingData(
        columns=columns,
        patterns=_patterns(table, groups),
        complete=_complete(table, groups, features, model),
        n_poor=sizes[0],
        n_good=sizes[1],
        n_ungraded=sizes[2],
        issues=tuple(issue for column in columns for issue in _doubts(column)),
    )


def missing_values(features: FeatureFrame) -> pd.DataFrame:
    """Tell which values of features and covariates are missing.

    Parameters
    ----------
    features : FeatureFrame
        Features and covariates.

    Returns
    -------
    DataFrame of bool
        Index as the features; one column for each feature, then each covariate. True for missing and
        infinite values.
    """
    covariates = features.covariates.reindex(features.values.index)
    columns = [(name, features.values[name]) for name in features.values.columns]
    columns += [(name, covariates[name]) for name in covariates.columns]
    return pd.DataFrame({name: is_missing(column) for name, column in columns}, index=features.values.index)


def is_missing(values: pd.Series) -> NDArray[np.bool_]:
    """Tell which values are missing or infinite.

    Parameters
    ----------
    values : Series
        Numbers or words.
    """
    if is_numeric(values):
        return ~np.isfinite(as_floats(values))
    return values.isna().to_numpy(dtype=bool)


def _groups(features: FeatureFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    poor = features.poor.reindex(features.values.index).astype("boolean")
    known = poor.notna().to_numpy(dtype=bool)
    is_poor = poor.fillna(False).to_numpy(dtype=bool)
    return is_poor, known & ~is_poor, ~known


def _count(
    name: str,
    missing: pd.Series,
    groups: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
    *,
    is_covariate: bool,
) -> MissingColumn:
    absent = missing.to_numpy(dtype=bool)
    poor, good, ungraded = (int((absent & group).sum()) for group in groups)
    n_poor, n_good, n_ungraded = (int(group.sum()) for group in groups)
    p = math.nan
    if n_poor and n_good and 0 < poor + good < n_poor + n_good:
        p = float(stats.fisher_exact(np.array([[poor, n_poor - poor], [good, n_good - good]])).pvalue)
    return MissingColumn(name, is_covariate, poor, good, ungraded, n_poor, n_good, n_ungraded, p)


def _patterns(
    table: pd.DataFrame, groups: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
) -> tuple[MissingPattern, ...]:
    if table.empty:
        return ()
    kinds, members = np.unique(table.to_numpy(dtype=bool), axis=0, return_inverse=True)
    found = [
        MissingPattern(
            tuple(str(name) for name in table.columns[kind]),
            *(int((group & (members.ravel() == i)).sum()) for group in groups),
        )
        for i, kind in enumerate(kinds)
    ]
    order = {str(name): i for i, name in enumerate(table.columns)}
    return tuple(
        sorted(
            found,
            key=lambda pattern: (
                bool(pattern.missing),
                -pattern.n,
                len(pattern.missing),
                [order[name] for name in pattern.missing],
            ),
        )
    )


def _complete(
    table: pd.DataFrame,
    groups: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
    features: FeatureFrame,
    model: Sequence[str],
) -> tuple[CompleteCases, ...]:
    names = list(features.values.columns)
    graded = groups[0] | groups[1]
    purposes: list[tuple[str, list[str]]] = []
    if names:
        left = [int((graded & ~table[name].to_numpy()).sum()) for name in names]
        purposes += [
            ("group comparison, feature with the most values", [names[int(np.argmax(left))]]),
            ("group comparison, feature with the fewest values", [names[int(np.argmin(left))]]),
        ]
    if model:
        purposes.append(("prespecified model", list(model)))
    purposes.append(("all features together", names))
    if len(features.covariates.columns):
        purposes.append(("all features and covariates together", list(table.columns)))
    cases = []
    for purpose, columns in purposes:
        known = ~table[columns].to_numpy(dtype=bool).any(axis=1)
        poor, good = (int((known & group).sum()) for group in groups[:2])
        cases.append(
            CompleteCases(purpose, tuple(str(c) for c in columns), poor, good, int(graded.sum()) - poor - good)
        )
    return tuple(cases)


def _doubts(column: MissingColumn) -> list[Issue]:
    where, n = column.name, column.n_poor + column.n_good
    missing = column.poor + column.good
    if not n or not missing:
        return []
    if missing == n:
        return [Issue(Severity.WARNING, where, "missing in everybody with a grade.", "Leave it out.")]
    for group, absent, size in (("poor", column.poor, column.n_poor), ("good", column.good, column.n_good)):
        if size and absent == size:
            what = f"missing in the whole group with {group} muscle function, so the groups cannot be compared."
            return [Issue(Severity.WARNING, where, what, "Leave it out.")]
    if missing > MOSTLY_MISSING * n:
        what = f"missing in {missing} of {n} participants with a grade; the rest need not be like them."
        return [Issue(Severity.WARNING, where, what, "Read it as an exploration.")]
    return []
