"""Criteria of replication, each an answer to whether a new estimate bears out an earlier one."""

import math
from dataclasses import dataclass
from typing import Literal

from dtimuscle.statistics.estimates import Interval

CriterionName = Literal[
    "significance", "original_in_interval", "prediction_interval", "small_telescopes", "sceptical_p", "bayes_factor",
    "combined",
]  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """An estimate on a scale on which it is nearly normal.

    Parameters
    ----------
    value : float
        Zero means no effect, unless `has_neutral` is False.
    standard_error : float
        Above zero.
    df : float, default=inf
        Degrees of freedom of the standard error; infinite where it is taken as known.
    has_neutral : bool, default=True
        Whether zero means no effect; a group's mean has no such value.
    """

    value: float
    standard_error: float
    df: float = math.inf
    has_neutral: bool = True


@dataclass(frozen=True)
class Criterion:
    """What one criterion says about one claim.

    Parameters
    ----------
    name : str
        Which.
    answer : {"yes", "no", "not testable"}
        Whether the new data bear the claim out by it.
    value : float, default=nan
        What it was decided by: a P, a Bayes factor (above 1 speaks for the published effect), the combined estimate on
        the printed scale; NaN where there is none.
    interval : Interval or None, default=None
        Prediction interval, or interval of the combined estimate, on the printed scale.
    reason : str, default=""
        Why it cannot be applied.
    """

    name: CriterionName
    answer: Literal["yes", "no", "not testable"]
    value: float = math.nan
    interval: Interval | None = None
    reason: str = ""
