"""An estimate with its interval: the flat record in which every statistic can be saved and compared."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd

from dtimuscle.errors import StatisticsError

EstimateKind = Literal[
    "mean", "difference", "correlation", "univariate_odds_ratio", "odds_ratio", "auc", "auc_difference"
]

COLUMNS = ("kind", "subject", "group", "value", "sd", "low", "high", "level", "p", "n")


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Parameters
    ----------
    low, high : float
        The ends, in the unit of the estimate; NaN where the interval is not defined.
    level : float, default=0.95
        Coverage.
    """

    low: float
    high: float
    level: float = 0.95

    @property
    def is_defined(self) -> bool:
        """Whether both ends are known."""
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True)
class Estimate:
    """One number of an analysis, with all that is needed to judge it.

    Parameters
    ----------
    kind : str
        What was estimated: a group's `mean`, a `difference` (poor minus good), a `correlation` with the
        Lovett grade, a `univariate_odds_ratio`, an `odds_ratio` (multivariable), an `auc` or an
        `auc_difference`.
    subject : str
        Feature (`gracilis.md`), model (`fa`, `md`, `fa+md`) or pair of models (`fa+md - fa`).
    group : str
        `poor` or `good` for a mean, empty otherwise.
    value : float
        The estimate, in the unit of the subject (MD in mm²/s); NaN where it is not defined.
    sd : float, default=nan
        Standard deviation of the group, for a mean.
    interval : Interval or None, default=None
        Confidence interval; None where there is none.
    p : float, default=nan
        Two-sided P; NaN where no test was made.
    n : int, default=0
        Participants that the estimate rests on.
    """

    kind: EstimateKind
    subject: str
    group: str
    value: float
    sd: float = math.nan
    interval: Interval | None = None
    p: float = math.nan
    n: int = 0


def estimates_to_frame(estimates: Iterable[Estimate]) -> pd.DataFrame:
    """Lay estimates out as a table, one row each.

    Parameters
    ----------
    estimates : iterable of Estimate
        In the order of the rows.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`; numbers are NaN where an estimate has none.
    """
    rows = [(e.kind, e.subject, e.group, e.value, e.sd, *_ends(e.interval), e.p, e.n) for e in estimates]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def estimates_from_frame(frame: pd.DataFrame) -> tuple[Estimate, ...]:
    """Rebuild estimates from their table, also after it was saved as text and read again.

    Parameters
    ----------
    frame : DataFrame
        As `estimates_to_frame` makes it.

    Returns
    -------
    tuple of Estimate
        One for each row.

    Raises
    ------
    StatisticsError
        If a column is missing or a kind is unknown.
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise StatisticsError(
            f"table of estimates: column(s) {', '.join(missing)} missing. "
            "Run the modelling notebook again to rewrite it."
        )
    unknown = sorted(set(frame["kind"]) - set(get_args(EstimateKind)))
    if unknown:
        raise StatisticsError(
            f"table of estimates: kind '{unknown[0]}' found, one of {', '.join(get_args(EstimateKind))} needed. "
            "Run the modelling notebook again to rewrite it."
        )
    return tuple(
        Estimate(
            kind=row["kind"],
            subject=row["subject"],
            group="" if pd.isna(row["group"]) else row["group"],
            value=_number(row["value"]),
            sd=_number(row["sd"]),
            interval=None if pd.isna(row["low"]) else Interval(row["low"], row["high"], row["level"]),
            p=_number(row["p"]),
            n=int(row["n"]),
        )
        for row in frame.to_dict("records")
    )


def interval_or_none(interval: Interval) -> Interval | None:
    """Return the interval, or None where it is not defined.

    Parameters
    ----------
    interval : Interval
        Ends that may be NaN.
    """
    return interval if interval.is_defined else None


def _ends(interval: Interval | None) -> tuple[float, float, float]:
    if interval is None:
        return math.nan, math.nan, math.nan
    return interval.low, interval.high, interval.level


def _number(value: float) -> float:
    # `math.nan` itself, so that an estimate read back equals the one that was written.
    return math.nan if pd.isna(value) else float(value)
