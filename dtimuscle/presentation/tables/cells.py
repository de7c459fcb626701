"""What the cells and columns of several tables share."""

from collections.abc import Sequence
from typing import Protocol

from dtimuscle.presentation.style import NOTHING, fixed
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.groups import GroupSummary


class HasInterval(Protocol):
    """A result with a confidence interval."""

    @property
    def interval(self) -> Interval:
        """The interval."""


NO_ESTIMATE = "not estimable"


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
