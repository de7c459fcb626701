"""Who the patients are: their characteristics in the two groups (Table 1)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import align, as_floats, is_numeric
from dtimuscle.statistics.contingency import compare_counts
from dtimuscle.statistics.effect_sizes import categorical_distance, standardised_difference
from dtimuscle.statistics.groups import GroupComparison, GroupSummary, compare_groups
from dtimuscle.statistics.two_samples import EXACT

# A text column with more different entries (a comment, a date, a serial number) describes nobody.
MAX_LEVELS = 10

# A Shapiro–Wilk P below this speaks against a normal distribution.
NORMALITY_ALPHA = 0.05


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
    standardised_difference : float
        Continuous: mean of the poor minus mean of the good group in units of their SD (Austin 2009).
        Categorical: distance of the groups over the whole category, without a sign (Yang & Dalton 2012).
        NaN where undefined.
    issues : tuple of Issue
        Why something is NaN.
    """

    name: str
    kind: str
    level: str
    poor: GroupSummary | Count
    good: GroupSummary | Count
    test: str
    p: float
    standardised_difference: float = math.nan
    issues: tuple[Issue, ...] = ()


def describe_groups(covariates: pd.DataFrame, poor: pd.Series) -> tuple[Characteristic, ...]:
    """Describe each covariate in the two groups.

    Numbers are continuous. They are compared by Student's t test where Shapiro & Wilk's test speaks against a
    normal distribution in neither group (P of at least 0.05 in both, with at least three values each), and
    by Mann & Whitney's test otherwise. Text, truth values and numbers of which just two occur (such as a
    coded sex) are categorical: compared by the chi-squared test without continuity correction, or by Fisher's
    exact test where an expected count is below 5. Text with more than ten levels is no characteristic and is
    left out. Missing and infinite values are counted as missing.

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
        values = _without_infinity(column)
        if _is_continuous(values):
            found.append(_continuous(values, group, str(name)))
        elif values.nunique() <= MAX_LEVELS:
            found += _categorical(values, group, str(name))
    return tuple(found)


def _without_infinity(column: pd.Series) -> pd.Series:
    if column.dtype == object and is_numeric(column):
        return pd.Series(as_floats(column), index=column.index)
    return column.mask(column.isin([math.inf, -math.inf])) if pd.api.types.is_float_dtype(column) else column


def _is_continuous(column: pd.Series) -> bool:
    return is_numeric(column) and column.nunique() != 2


def _continuous(column: pd.Series, poor: pd.Series, name: str) -> Characteristic:
    comparison = compare_groups(column, poor, name=name)
    groups = comparison.poor, comparison.good
    test, p = _choose_test(comparison)
    distance = standardised_difference((groups[0].mean, groups[1].mean), (groups[0].sd, groups[1].sd))
    few = f"{groups[0].n} and {groups[1].n} value(s) in the groups, at least 2 in each needed"
    reason = few if min(group.n for group in groups) < 2 else "the values do not vary within the groups"
    return Characteristic(name, "continuous", "", *groups, test, p, distance, _issues(name, p, distance, reason))


def _choose_test(comparison: GroupComparison) -> tuple[str, float]:
    normality = (comparison.shapiro_poor.p, comparison.shapiro_good.p)
    # False, as it should be, where a P is NaN.
    if all(p >= NORMALITY_ALPHA for p in normality) and not math.isnan(comparison.p):
        return "Student t", comparison.p
    ranks = comparison.mann_whitney
    if math.isnan(ranks.p):
        return "", math.nan
    return "Mann–Whitney (exact)" if ranks.method == EXACT else "Mann–Whitney", ranks.p


def _categorical(column: pd.Series, poor: pd.Series, name: str) -> list[Characteristic]:
    levels = _in_order(column.dropna().unique())
    columns = [column[poor], column[~poor]]
    counts = np.array([[int((members == level).sum()) for level in levels] for members in columns], dtype=int)
    missing = [int(members.isna().sum()) for members in columns]
    totals = counts.sum(axis=1)
    test = compare_counts(counts)
    distance = categorical_distance(counts)
    if not totals.all():
        reason = "the level is known of nobody in one of the groups"
    elif len(levels) == 1:
        reason = "everybody has the same level"
    else:
        reason = "some levels occur in one group only and tell them apart without error"
    issues = _issues(name, test.p, distance, reason)
    groups = [
        [Count(int(n), int(total), n_missing) for n in row]
        for row, total, n_missing in zip(counts, totals, missing, strict=True)
    ]
    titles = [f"{level:g}" if isinstance(level, float) else str(level) for level in levels]
    return [
        Characteristic(name, "categorical", title, in_poor, in_good, test.method, test.p, distance, issues)
        for title, in_poor, in_good in zip(titles, *groups, strict=True)
    ]


def _in_order(levels: Iterable[object]) -> list[object]:
    """Numbers by size, everything else by its letters."""
    return sorted(levels, key=lambda level: (0, level, "") if isinstance(level, Real) else (1, 0, str(level)))


def _issues(name: str, p: float, distance: float, reason: str) -> tuple[Issue, ...]:
    lost = [quantity for quantity, value in (("test", p), ("standardised difference", distance)) if math.isnan(value)]
    return (Issue(Severity.NOTE, name, f"{reason}: no {' and no '.join(lost)}."),) if lost else ()
