"""Intervals of effects, on the scale of the printed numbers."""

import math

from scipy import special

from dtimuscle.replication.criteria import LEVEL, Effect
from dtimuscle.replication.effects import on_printed_scale
from dtimuscle.statistics.estimates import Interval


def effect_interval(effect: Effect, scale: str, *, level: float = LEVEL) -> Interval:
    """Return the confidence interval that a standard error gives: value ± quantile × SE, turned back.

    For a mean that is printed with SD and n, and for a difference of such means, this is Student's interval.

    Parameters
    ----------
    effect : Effect
        Value and standard error; with degrees of freedom the quantile is Student's, otherwise normal.
    scale : str
        Name of its scale, as in `Verdict.scale`.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Interval
        On the printed scale.
    """
    share = (1 + level) / 2
    quantile = special.ndtri(share) if math.isinf(effect.df) else special.stdtrit(effect.df, share)
    margin = float(quantile) * effect.standard_error
    low, high = (on_printed_scale(scale, end) for end in (effect.value - margin, effect.value + margin))
    return Interval(low, high, level)
