"""What the cells and columns of several tables share."""

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Protocol

from dtimuscle.presentation.grid import Column
from dtimuscle.presentation.style import NOTHING, fixed, interval
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.groups import GroupSummary


class HasInterval(Protocol):
    """A result with a confidence interval."""

    @property
    def interval(self) -> Interval:
        """The interval."""


NO_ESTIMATE = "not estimable"

# Odds ratios beyond these are printed as such: more digits would say nothing.
_SMALLEST, _LARGEST = 0.001, 1000


def summary_cells(prefix: str, summary: GroupSummary) -> dict[str, float]:
    """Lay out a group's summary, each number in a column of its own.

    Parameters
    ----------
    prefix : str
        What the columns' names begin with.
    summary : GroupSummary
        The group.
    """
    keys = ("n", "n_missing", "mean", "sd", "median", "q25", "q75")
    return {f"{prefix}_{key}": getattr(summary, key) for key in keys}


def median_iqr(summary: GroupSummary, digits: int, *, scale: float = 1.0) -> str:
    """Print "median [lower to upper quartile]".

    Parameters
    ----------
    summary : GroupSummary
        The group.
    digits : int
        Decimals.
    scale : float, default=1.0
        Factor from the stored to the printed unit.

    Returns
    -------
    str
        An en dash where there are no values.
    """
    if not summary.n:
        return NOTHING
    median, q25, q75 = (fixed(value * scale, digits) for value in (summary.median, summary.q25, summary.q75))
    return f"{median} [{q25} to {q75}]"


def bounds_of(bounds: Interval) -> dict[str, float]:
    """Lay out an interval in three columns.

    Parameters
    ----------
    bounds : Interval
        Its ends may be NaN.
    """
    return {"low": bounds.low, "high": bounds.high, "level": bounds.level}


def level_label(results: Sequence[HasInterval]) -> str:
    """Return the header of a column of intervals, such as "95% CI".

    Parameters
    ----------
    results : sequence of objects with an interval
        All of one level.
    """
    level = results[0].interval.level if results else 0.95
    return f"{100 * level:g}% CI"


def named_bounds(prefix: str, bounds: Interval) -> dict[str, float]:
    """Lay out the ends of one interval among several, each in a column of its own.

    Parameters
    ----------
    prefix : str
        What the columns' names begin with.
    bounds : Interval
        Its ends may be NaN.
    """
    return {f"{prefix}_low": bounds.low, f"{prefix}_high": bounds.high}


def estimate_cell(value: float, digits: int) -> str:
    """Print an estimate.

    Parameters
    ----------
    value : float
        The estimate; `NO_ESTIMATE` where it is no finite number.
    digits : int
        Decimals.
    """
    return fixed(value, digits) if isfinite(value) else NO_ESTIMATE


def estimate_with_interval(value: float, bounds: Interval, digits: int, *, scale: float = 1.0) -> str:
    """Print an estimate, and its interval in parentheses.

    Parameters
    ----------
    value : float
        The estimate, in the printed unit; `NO_ESTIMATE` where it is no finite number.
    bounds : Interval
        Its interval, in the stored unit; left out where it is not defined.
    digits : int
        Decimals.
    scale : float, default=1.0
        Factor from the stored to the printed unit.
    """
    printed = estimate_cell(value, digits)
    return f"{printed} ({interval(bounds, digits, scale=scale)})" if isfinite(value) and bounds.is_defined else printed


def ratio(value: float) -> str:
    """Print an odds ratio with the digits that its size allows.

    Parameters
    ----------
    value : float
        The odds ratio.

    Returns
    -------
    str
        Two decimals, more below 0.1 and none from 100 on; "< 0.001" and "> 1000" beyond; "not estimable" for NaN
        and infinity.
    """
    if isnan(value) or value == float("inf"):
        return NO_ESTIMATE
    if value < _SMALLEST:
        return f"< {_SMALLEST:g}"
    if value > _LARGEST:
        return f"> {_LARGEST:g}"
    digits = 0 if value >= 99.5 else 2 if value >= 0.0995 else 3 if value >= 0.00995 else 4
    return fixed(value, digits)


def ratio_interval(bounds: Interval) -> str:
    """Print an interval of an odds ratio.

    Parameters
    ----------
    bounds : Interval
        Its ends; where one is not known, the interval is not estimable.
    """
    return f"{ratio(bounds.low)} to {ratio(bounds.high)}" if bounds.is_defined else NO_ESTIMATE


def published_column(published: Mapping[str, str]) -> list[Column]:
    """Return the column of published values, or none where nothing is published.

    Parameters
    ----------
    published : mapping of str to str
        Published results as printed.
    """
    return [Column("published", "Published", align="left")] if published else []
