"""Who the patients are: their characteristics in the two groups (Table 1)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.statistics.complete_cases import align
from dtimuscle.statistics.groups import GroupSummary, compare_groups

# A text column with more different entries (a comment, a date, a serial number) describes nobody.
MAX_LEVELS = 10

# Below this expected count the chi-squared approximation is poor (Cochran 1954).
MIN_EXPECTED = 5

# Tables drawn, and the seed they are drawn from, where Fisher's test has no closed form.
N_TABLES = 19_999
SEED = 1


@dataclass(frozen=True)
class Count:
    """How many of a group have one level of a category.

    Parameters
    ----------
    n : int
        Participants with this level.
    n_known : int
        Participants of the group whose level is known.
    n_missing : int
        Participants of the group whose level is not.
    """

    n: int
    n_known: int
    n_missing: int

    @property
    def share(self) -> float:
        """Fraction of those known; NaN when none is."""
        return self.n / self.n_known if self.n_known else math.nan


@dataclass(frozen=True)
class Characteristic:
    """One row of the table of characteristics.

    Parameters
    ----------
    name : str
        Column of the table of participants.
    kind : {"continuous", "categorical"}
        How it is described.
    level : str
        Which category the row counts; empty for a continuous one.
    poor, good : GroupSummary or Count
        The two groups.
    test : str
        Which test `p` comes from; empty when there is none.
    p : float
        Two-sided P of no difference, for the whole category; NaN when there is no test.
    """

    name: str
    kind: str
    level: str
    poor: GroupSummary | Count
    good: GroupSummary | Count
    test: str
    p: float


def describe_groups(covariates: pd.DataFrame, poor: pd.Series) -> tuple[Characteristic, ...]:
    """Describe each covariate in the two groups.

    Numbers are continuous and compared by Student's t test. Text, truth values and numbers of which just
    two occur (such as a coded sex) are categorical: compared by the chi-squared test without continuity
    correction, or by Fisher's exact test where an expected count is below 5 (with more than two levels
    from 19,999 random tables, always the same ones). Text with more than ten levels is no characteristic
    and is left out. Missing values are counted.

    Parameters
    ----------
    covariates : DataFrame
        One column for each, indexed by participant.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.

    Returns
    -------
    tuple of Characteristic
        One for each continuous covariate and for each level of a categorical one.
    """
    known = poor.notna()
    group = poor[known].astype(bool)
    found: list[Characteristic] = []
    for name, column in align(covariates, poor)[known].items():
        if _is_continuous(column):
            found.append(_continuous(column, group, str(name)))
        elif column.nunique() <= MAX_LEVELS:
            found += _categorical(column, group, str(name))
    return tuple(found)


def _is_continuous(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.nunique() != 2


def _continuous(column: pd.Series, poor: pd.Series, name: str) -> Characteristic:
    comparison = compare_groups(column, poor, name=name)
    test = "" if math.isnan(comparison.p) else "Student t"
    return Characteristic(name, "continuous", "", comparison.poor, comparison.good, test, comparison.p)


def _categorical(column: pd.Series, poor: pd.Series, name: str) -> list[Characteristic]:
    present = column.notna()
    levels = sorted(column[present].unique(), key=str)
    counts = {is_poor: [int((column[poor == is_poor] == level).sum()) for level in levels] for is_poor in (True, False)}
    missing = {is_poor: int((~present)[poor == is_poor].sum()) for is_poor in (True, False)}
    test, p = _compare_counts(np.array([counts[True], counts[False]], dtype=int))
    return [
        Characteristic(
            name,
            "categorical",
            f"{level:g}" if isinstance(level, float) else str(level),
            Count(counts[True][i], sum(counts[True]), missing[True]),
            Count(counts[False][i], sum(counts[False]), missing[False]),
            test,
            p,
        )
        for i, level in enumerate(levels)
    ]


def _compare_counts(table: NDArray[np.int_]) -> tuple[str, float]:
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return "", math.nan
    if stats.contingency.expected_freq(table).min() >= MIN_EXPECTED:
        return "chi-squared", float(stats.chi2_contingency(table, correction=False).pvalue)
    if table.shape[1] == 2:
        return "Fisher exact", float(stats.fisher_exact(table).pvalue)
    method = stats.MonteCarloMethod(n_resamples=N_TABLES, rng=np.random.default_rng(SEED))
    return "Fisher exact (random tables)", float(stats.fisher_exact(table, method=method).pvalue)
