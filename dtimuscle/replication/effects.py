"""Published and new estimates on scales on which they are nearly normal, with their standard errors.

Every function returns the effect or, where there is none, the reason in one sentence.
"""

import math
from typing import Literal

from scipy import special

from dtimuscle.replication.criteria import LEVEL, Effect
from dtimuscle.replication.printed import PrintedPair
from dtimuscle.statistics.estimates import Estimate, Interval
from dtimuscle.statistics.power import hanley_mcneil_error

# Names of the scales on which estimates are compared.
Scale = Literal["difference", "mean", "Fisher z", "logit AUC", "log odds ratio"]

_NO_ERROR = "Its standard error is not known."

# The exponential of more is no number.
_LARGEST_LOG = 700.0


def on_printed_scale(scale: str, value: float) -> float:
    """Turn a value back into what tables print.

    Parameters
    ----------
    scale : str
        Name of the scale, as in `Verdict.scale`.
    value : float
        On that scale.

    Returns
    -------
    float
        A correlation, an AUC, an odds ratio; a difference or a mean as it is.
    """
    if scale == "Fisher z":
        return math.tanh(value)
    if scale == "logit AUC":
        return float(special.expit(value))
    if scale == "log odds ratio":
        return math.exp(min(value, _LARGEST_LOG))
    return value


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
    margin = _quantile(level, effect.df) * effect.standard_error
    low, high = (on_printed_scale(scale, end) for end in (effect.value - margin, effect.value + margin))
    return Interval(low, high, level)


def difference_of_means(pair: PrintedPair) -> Effect | str:
    """Return the difference that printed means and SDs imply, with Student's standard error.

    s² = ((n₁ - 1)s₁² + (n₂ - 1)s₂²) / (n₁ + n₂ - 2), SE = s√(1/n₁ + 1/n₂), df = n₁ + n₂ - 2: the test that the kit's
    new differences have too.

    Parameters
    ----------
    pair : PrintedPair
        The two groups.

    Returns
    -------
    Effect or str
        First minus second.
    """
    first, second = pair.first, pair.second
    df = first.n + second.n - 2
    variance = ((first.n - 1) * first.sd.value**2 + (second.n - 1) * second.sd.value**2) / df
    error = math.sqrt(variance * (1 / first.n + 1 / second.n))
    return _effect(first.mean.value - second.mean.value, error, df=df)


def group_mean(mean: float, sd: float, n: int) -> Effect | str:
    """Return a group's mean with the standard error s/√n, df = n - 1.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation.
    n : int
        Values.

    Returns
    -------
    Effect or str
        It has no value that means no effect.
    """
    if n < 2:
        return "A mean of fewer than two values has no standard error."
    return _effect(mean, sd / math.sqrt(n), df=n - 1, has_neutral=False)


def correlation(r: float, interval: Interval | None, n: int) -> Effect | str:
    """Return Fisher's z = artanh r, with its standard error from the interval or else 1/√(n - 3) (Fisher 1921).

    Parameters
    ----------
    r : float
        Pearson's coefficient.
    interval : Interval or None
        Its confidence interval.
    n : int
        Pairs of values.

    Returns
    -------
    Effect or str
        Its standard error counts as known.
    """
    if not abs(r) < 1:
        return "A correlation of 1 or -1 has no value on Fisher's scale."
    if interval is not None and -1 < interval.low < interval.high < 1:
        return _effect(math.atanh(r), _half_width(math.atanh(interval.low), math.atanh(interval.high), interval.level))
    if n <= 3:
        return "A correlation of three or fewer values has no standard error."
    return _effect(math.atanh(r), 1 / math.sqrt(n - 3))


def auc(value: float, interval: Interval | None, *, sizes: tuple[int, int] | None = None) -> Effect | str:
    """Return the logit of an AUC, its standard error by the delta method: SE / (A(1 - A)).

    SE is half the width of the interval over its normal quantile; where an end is cut off at 0 or 1, the width on the
    other side counts. Without an interval it is Hanley & McNeil's (1982) for groups of the given sizes.

    Parameters
    ----------
    value : float
        The area.
    interval : Interval or None
        Its confidence interval.
    sizes : (int, int) or None, default=None
        Events and controls, for want of an interval.

    Returns
    -------
    Effect or str
        Zero where the area is 0.5.
    """
    if not 0 < value < 1:
        return "An AUC of 0 or 1 (groups that do not overlap) has no standard error to compare it by."
    if interval is not None:
        error = auc_error(value, interval)
    elif sizes is not None and min(sizes) >= 2:
        error = hanley_mcneil_error(value, n_event=sizes[0], n_other=sizes[1])
    else:
        return _NO_ERROR
    return _effect(float(special.logit(value)), error / (value * (1 - value)))


def auc_error(value: float, interval: Interval) -> float:
    """Return the standard error of an AUC that its interval implies.

    Parameters
    ----------
    value : float
        The area.
    interval : Interval
        Its confidence interval, cut off at 0 and 1.

    Returns
    -------
    float
        NaN where the interval has no width.
    """
    low, high = interval.low, interval.high
    if low <= 0 < high < 1:
        low = 2 * value - high
    elif 0 < low < 1 <= high:
        high = 2 * value - low
    return _half_width(low, high, interval.level)


def odds_ratio(ratio: float, interval: Interval | None, *, units: float = 1.0) -> Effect | str:
    """Return the log of an odds ratio, and its standard error from the interval on that scale.

    Parameters
    ----------
    ratio : float
        The odds ratio.
    interval : Interval or None
        Its confidence interval.
    units : float, default=1.0
        The result is for a difference of the feature this many times as large.

    Returns
    -------
    Effect or str
        Its standard error counts as known.
    """
    if not 0 < ratio < math.inf:
        return "An odds ratio of zero or infinity has no standard error to compare it by."
    if interval is None or not 0 < interval.low < interval.high < math.inf:
        return _NO_ERROR
    error = _half_width(math.log(interval.low), math.log(interval.high), interval.level)
    return _effect(units * math.log(ratio), abs(units) * error)


def new_effect(scale: Scale, found: Estimate) -> Effect | str:
    """Put an estimate of new data on a scale.

    Parameters
    ----------
    scale : str
        The scale of its kind.
    found : Estimate
        With interval; a difference is one of Student's t test.

    Returns
    -------
    Effect or str
        On that scale.
    """
    if not math.isfinite(found.value):
        return "The new data give no value for it."
    if scale == "Fisher z":
        return correlation(found.value, found.interval, found.n)
    if scale == "logit AUC":
        return auc(found.value, found.interval)
    if scale == "log odds ratio":
        return odds_ratio(found.value, found.interval)
    return _new_mean(found) if scale == "mean" else _from_interval(found, df=found.n - 2)


def _new_mean(found: Estimate) -> Effect | str:
    if found.interval is None:
        return group_mean(found.value, found.sd, found.n)
    return _from_interval(found, df=found.n - 1, has_neutral=False)


def _from_interval(found: Estimate, *, df: int, has_neutral: bool = True) -> Effect | str:
    if found.interval is None or df < 1:
        return _NO_ERROR
    error = _half_width(found.interval.low, found.interval.high, found.interval.level, df=df)
    return _effect(found.value, error, df=df, has_neutral=has_neutral)


def _half_width(low: float, high: float, level: float, *, df: float = math.inf) -> float:
    """Return the standard error that an interval implies."""
    return (high - low) / 2 / _quantile(level, df) if high > low else math.nan


def _quantile(level: float, df: float) -> float:
    """Return half the width of an interval in standard errors: Student's, or normal where they count as known."""
    share = (1 + level) / 2
    return float(special.ndtri(share) if math.isinf(df) else special.stdtrit(df, share))


def _effect(value: float, error: float, *, df: float = math.inf, has_neutral: bool = True) -> Effect | str:
    if not (math.isfinite(value) and 0 < error < math.inf):
        return _NO_ERROR
    return Effect(value, error, df, has_neutral)
