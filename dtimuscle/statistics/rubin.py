"""Rubin's rules: one estimate and its uncertainty from the analyses of several imputed data sets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.estimates import Interval

# Share of the variance that is due to missing values below which R's mice no longer distinguishes it from none
# (mice:::barnard.rubin); it keeps the degrees of freedom finite when all imputations agree.
SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class Pooled:
    """An estimate pooled over imputed data sets.

    Parameters
    ----------
    estimate : float
        Mean of the estimates, on the scale on which they were pooled.
    within : float
        Mean of their variances.
    between : float
        Variance of the estimates; zero where nothing had been missing.
    total : float
        `within` + (1 + 1/m) × `between`.
    df : float
        Degrees of freedom of the t distribution (Barnard & Rubin 1999); may be infinite.
    interval : Interval
        On the scale of `estimate`.
    p : float
        Two-sided P that the estimate is zero.
    fmi : float
        Fraction of missing information: share of what the complete data would tell that is lost.
    relative_efficiency : float
        Of m imputations against infinitely many, 1 / (1 + `fmi` / m).
    n_imputations : int
        Data sets, m; 1 where nothing had been missing and nothing was pooled.
    """

    estimate: float
    within: float
    between: float
    total: float
    df: float
    interval: Interval
    p: float
    fmi: float
    relative_efficiency: float
    n_imputations: int

    @property
    def se(self) -> float:
        """Standard error of the pooled estimate."""
        return math.sqrt(self.total) if self.total >= 0 else math.nan


def rubin(
    estimates: Sequence[float], variances: Sequence[float], *, n_complete_df: float = math.inf, level: float = 0.95
) -> Pooled:
    """Pool the estimates of m imputed data sets by Rubin's rules.

    With λ = (1 + 1/m) B / T, the degrees of freedom are ν_old ν_obs / (ν_old + ν_obs), where
    ν_old = (m - 1) / λ² and ν_obs = (ν + 1) / (ν + 3) ν (1 - λ) for ν degrees of freedom of the complete
    data (Barnard & Rubin 1999). With r = (1 + 1/m) B / W the fraction of missing information is
    (r + 2 / (df + 3)) / (r + 1) (Rubin 1987). Below 1e-4, λ counts as 1e-4, as in R's mice, whose
    `pool.scalar` gives the same numbers.

    An estimate or variance that is NaN in any data set leaves everything NaN: pooling the rest would leave
    out the data sets in which the analysis failed. Estimates without variance are pooled, without interval
    and P.

    Parameters
    ----------
    estimates : sequence of float
        One for each imputed data set, on a scale on which they are about normal (log odds ratio, Fisher's
        z, logit of an AUC).
    variances : sequence of float
        Their squared standard errors.
    n_complete_df : float, default=inf
        Degrees of freedom that the analysis would have without missing values.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    Pooled
        On the scale of the estimates.

    Raises
    ------
    StatisticsError
        If there are fewer than two data sets, estimates and variances differ in number, or a variance or
        the degrees of freedom are negative.
    """
    q, u = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    m = q.size
    if m < 2 or u.size != m:
        raise StatisticsError(
            f"{m} estimate(s) and {u.size} variance(s) to pool; one of each from at least 2 imputed data sets needed."
        )
    if (u < 0).any() or not n_complete_df >= 0:
        raise StatisticsError("a variance or the degrees of freedom are negative. Hand over squared standard errors.")
    if not (np.isfinite(q).all() and np.isfinite(u).all()):
        return undefined(level=level, n_imputations=m)
    estimate, within, between = float(q.mean()), float(u.mean()), float(q.var(ddof=1))
    if np.ptp(q) == 0:
        between = 0.0
    added = (1 + 1 / m) * between
    total = within + added
    if within == 0:
        nan = math.nan
        return Pooled(estimate, within, between, total, nan, Interval(nan, nan, level), nan, nan, nan, m)
    df = _barnard_rubin(max(added / total, SMALLEST_SHARE), m, n_complete_df)
    ratio = added / within
    fmi = (ratio + 2 / (df + 3)) / (ratio + 1)
    interval, p = _t_inference(estimate, total, df, level)
    return Pooled(estimate, within, between, total, df, interval, p, fmi, 1 / (1 + fmi / m), m)


def unpooled(estimate: float, variance: float, *, df: float = math.inf, level: float = 0.95) -> Pooled:
    """Write an estimate of data without missing values in the form of a pooled one.

    Parameters
    ----------
    estimate : float
        The estimate.
    variance : float
        Its squared standard error; zero or NaN leave interval and P undefined.
    df : float, default=inf
        Degrees of freedom of its own t distribution.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    Pooled
        Without variance between data sets, and with all information.
    """
    if not (math.isfinite(estimate) and math.isfinite(variance)):
        return undefined(level=level, n_imputations=1)
    interval, p = Interval(math.nan, math.nan, level), math.nan
    if variance > 0 and df > 0:
        interval, p = _t_inference(estimate, variance, df, level)
    return Pooled(estimate, variance, 0.0, variance, df, interval, p, 0.0, 1.0, 1)


def undefined(*, level: float, n_imputations: int) -> Pooled:
    """Return a pooled estimate that is not defined.

    Parameters
    ----------
    level : float
        Coverage of the interval, had there been one.
    n_imputations : int
        Data sets.
    """
    nan = math.nan
    return Pooled(nan, nan, nan, nan, nan, Interval(nan, nan, level), nan, nan, nan, n_imputations)


def _barnard_rubin(share: float, m: int, complete: float) -> float:
    old = (m - 1) / share**2
    if math.isinf(complete):
        return old
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    return old * observed / (old + observed)


def _t_inference(estimate: float, variance: float, df: float, level: float) -> tuple[Interval, float]:
    if not df > 0:
        return Interval(math.nan, math.nan, level), math.nan
    se = math.sqrt(variance)
    margin = float(stats.t.ppf((1 + level) / 2, df)) * se
    return Interval(estimate - margin, estimate + margin, level), float(2 * stats.t.sf(abs(estimate) / se, df))
