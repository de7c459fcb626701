"""Coefficients of correlation of two rows of numbers: Pearson's r, Spearman's ρ and Kendall's τ-b.

Arrays without missing values in, both varying. P values are those of R's `cor.test`, to the last digits.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.statistics.estimates import Interval

Floats = NDArray[np.floating]

# Variance of z = artanh(ρ) is about this over n - 3 for Spearman's ρ (Fieller, Hartley & Pearson 1957).
FIELLER = 1.06

# Up to this n R enumerates the permutations for Spearman's P; up to the next it takes Edgeworth's series.
LARGEST_ENUMERATED = 9
LARGEST_SERIES = 1290

# From this n on R takes the normal approximation for Kendall's P, also without ties.
KENDALL_NORMAL = 50

# Coefficients this close to ± 1, and standard errors this small, are rounding.
_ROUNDING = 1e-14
_NO_SPREAD = 1e-12

# Pairs of participants that are compared at a time.
_BLOCK = 4_000_000

# Edgeworth's series for Spearman's S, as printed with algorithm AS 89 (Best & Roberts 1975).
_AS89 = (0.2274, 0.2531, 0.1745, 0.0758, 0.1033, 0.3932, 0.0879, 0.0151, 0.0072, 0.0831, 0.0131, 4.6e-4)


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of correlation.

    Parameters
    ----------
    value : float
        Between -1 and 1.
    interval : Interval
        Confidence interval; NaN with fewer than four pairs, and for ranks that agree perfectly.
    p : float
        Two-sided P of no correlation.
    test : str
        Where P comes from.
    interval_method : str
        Where the interval comes from.
    """

    value: float
    interval: Interval
    p: float
    test: str
    interval_method: str


def pearson(x: Floats, y: Floats, *, level: float = 0.95) -> Coefficient:
    """Pearson's product-moment correlation.

    P from t = r √(n - 2) / √(1 - r²) with n - 2 degrees of freedom; the interval is Fisher's,
    tanh(artanh(r) ± z / √(n - 3)).

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        At least three pairs; both vary.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Coefficient
        As R's `cor.test`.
    """
    r = _within_one(float(as_unit(x) @ as_unit(y)))
    return Coefficient(r, fisher_interval(r, x.size, level=level), t_test_of(r, x.size - 2), "t", "Fisher's z")


def spearman(x: Floats, y: Floats, *, level: float = 0.95) -> Coefficient:
    """Spearman's rank correlation: Pearson's of the midranks.

    P as R has it. With ties: t with n - 2 degrees of freedom. Without: all permutations up to n = 9, then
    Edgeworth's series (algorithm AS 89: Best & Roberts 1975) up to n = 1290, then t.
    The interval is Fisher's z with the variance 1.06 / (n - 3) of Fieller, Hartley & Pearson (1957), as
    SPSS has it by default; there is none for ranks that agree perfectly.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        At least three pairs; both vary.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Coefficient
        The coefficient as of R's `cor.test(method = "spearman")`.
    """
    n = x.size
    in_x, in_y = (stats.rankdata(values) - (n + 1) / 2 for values in (x, y))
    rho = _within_one(float(in_x @ in_y) / math.sqrt(float(in_x @ in_x) * float(in_y @ in_y)))
    has_ties = min(np.unique(x).size, np.unique(y).size) < n
    if has_ties or n > LARGEST_SERIES:
        p, test = t_test_of(rho, n - 2), "t"
    else:
        p = _spearman_p(round((n**3 - n) * (1 - rho) / 6), n)
        test = "exact" if n <= LARGEST_ENUMERATED else "Edgeworth's series"
    interval = fisher_interval(rho, n, level=level, variance=FIELLER) if abs(rho) < 1 else _none(level)
    return Coefficient(rho, interval, p, test, "Fisher's z with Fieller's variance")


def kendall(x: Floats, y: Floats, *, level: float = 0.95) -> Coefficient:
    """Kendall's τ-b, which allows for ties.

    P as R has it: exact without ties and n < 50, otherwise from the normal distribution with the variance
    corrected for ties (Kendall 1970). The interval is that of artanh(τ), whose standard error is
    the asymptotic one of τ-b where it is not zero (Brown & Benedetti 1977), with n - 1 for n.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        At least three pairs; both vary.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Coefficient
        The coefficient and P as of R's `cor.test(method = "kendall")`.
    """
    n = x.size
    has_ties = min(np.unique(x).size, np.unique(y).size) < n
    is_exact = not has_ties and n < KENDALL_NORMAL
    found = stats.kendalltau(x, y, method="exact" if is_exact else "asymptotic")
    tau = _within_one(float(found.statistic))
    test = "exact" if is_exact else "normal, variance corrected for ties"
    return Coefficient(
        tau, _kendall_interval(x, y, tau, level), float(found.pvalue), test, "z with Brown & Benedetti's SE"
    )


def fisher_interval(r: float, n: int, *, level: float, variance: float = 1.0) -> Interval:
    """Return the interval tanh(artanh(r) ± z √(variance / (n - 3))).

    Parameters
    ----------
    r : float
        A coefficient; ± 1 has an interval without width.
    n : int
        Pairs, less the covariates that r is adjusted for; NaN below four.
    level : float
        Coverage.
    variance : float, default=1.0
        Of artanh(r), times n - 3.
    """
    if n < 4:
        return _none(level)
    if abs(r) >= 1:
        return Interval(r, r, level)
    return _z_interval(r, math.sqrt(variance / (n - 3)), level)


def t_test_of(r: float, df: int) -> float:
    """Return the two-sided P of a coefficient from t = r √df / √(1 - r²).

    Parameters
    ----------
    r : float
        The coefficient.
    df : int
        Degrees of freedom; NaN comes back below one.
    """
    if df < 1:
        return math.nan
    if abs(r) >= 1:
        return 0.0
    return float(2 * stats.t.sf(abs(r) * math.sqrt(df / (1 - r * r)), df))


def as_unit(values: Floats) -> Floats:
    """Bring values to mean 0 and length 1, so that mm²/s and years count alike.

    Parameters
    ----------
    values : ndarray of shape (n,)
        That vary.
    """
    # A power of two changes no digit, and the second mean is what rounding left of the first.
    scaled = np.ldexp(values, -np.frexp(np.abs(values).max())[1])
    centred = scaled - scaled.mean()
    centred -= centred.mean()
    return centred / np.linalg.norm(centred)


def _none(level: float) -> Interval:
    return Interval(math.nan, math.nan, level)


def _z_interval(r: float, se: float, level: float) -> Interval:
    margin = float(stats.norm.ppf((1 + level) / 2)) * se
    return Interval(math.tanh(math.atanh(r) - margin), math.tanh(math.atanh(r) + margin), level)


def _within_one(coefficient: float) -> float:
    """Take what differs from ± 1 by rounding for ± 1."""
    return math.copysign(1, coefficient) if abs(coefficient) > 1 - _ROUNDING else coefficient


def _kendall_interval(x: Floats, y: Floats, tau: float, level: float) -> Interval:
    n = x.size
    if n < 4 or abs(tau) == 1:
        return _none(level)
    concordant, untied_x, untied_y = _pairs_of_each(x, y)
    # What each participant adds to τ-b = C / √(Tx Ty), twice, for each takes part as first and as second.
    ties = (untied_x / untied_x.mean() + untied_y / untied_y.mean()) / 2
    influence = 2 * (concordant / math.sqrt(untied_x.mean() * untied_y.mean()) - tau * ties)
    se = math.sqrt(float(influence @ influence) / (n * (n - 1)))
    return _z_interval(tau, se / (1 - tau * tau), level) if se > _NO_SPREAD else _none(level)


def _pairs_of_each(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Count each one's concordant less discordant pairs, and its pairs untied in x and in y."""
    rows = max(_BLOCK // x.size, 1)
    blocks = [slice(start, start + rows) for start in range(0, x.size, rows)]
    counts = []
    for block in blocks:
        in_x = (x[block, None] > x).astype(np.int8) - (x[block, None] < x)
        in_y = (y[block, None] > y).astype(np.int8) - (y[block, None] < y)
        counts.append([(in_x * in_y).sum(axis=1), (in_x != 0).sum(axis=1), (in_y != 0).sum(axis=1)])
    concordant, untied_x, untied_y = np.concatenate(counts, axis=1).astype(float)
    return concordant, untied_x, untied_y


def _spearman_p(s: int, n: int) -> float:
    """Two-sided P of S, the sum of squared differences between the ranks, which without ties is even."""
    is_upper = s > (n**3 - n) / 6
    if n <= LARGEST_ENUMERATED:
        counts = _permutations_by_s(n)
        tail = float((counts[s:] if is_upper else counts[: s + 1]).sum() / counts.sum())
    else:
        tail = _edgeworth_tail(s if is_upper else s + 2, n, is_upper=is_upper)
    return min(2 * tail, 1.0)


def _edgeworth_tail(s: int, n: int, *, is_upper: bool) -> float:
    """Share of permutations with a sum of at least s, or of less."""
    if s <= 0 or s > (n**3 - n) / 3:
        return float(is_upper == (s <= 0))
    c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 = _AS89
    b = 1 / n
    x = (6 * (s - 1) * b / (n * n - 1) - 1) * math.sqrt(n - 1)
    y = x * x
    inner = c7 + c8 * b - y * (c9 - c10 * b + y * b * (c11 - c12 * y))
    u = x * b * (c1 + b * (c2 + c3 * b) + y * (-c4 + b * (c5 + c6 * b) - y * b * inner)) / math.exp(y / 2)
    sign = 1 if is_upper else -1
    return float(np.clip(sign * u + stats.norm.sf(sign * x), 0, 1))


@cache
def _permutations_by_s(n: int) -> NDArray[np.int64]:
    """Count the permutations of n ranks for each sum of squared differences."""
    size = (n**3 - n) // 3 + 1
    # Ranks are dealt one position after the other; a state is the set of those already dealt.
    by_set = {0: np.eye(1, size, dtype=np.int64)[0]}
    for position in range(n):
        dealt: dict[int, NDArray[np.int64]] = {}
        for used, counts in by_set.items():
            for rank in range(n):
                if not used >> rank & 1:
                    more = (rank - position) ** 2
                    shifted = np.zeros(size, dtype=np.int64)
                    shifted[more:] = counts[: size - more]
                    key = used | 1 << rank
                    dealt[key] = dealt.get(key, 0) + shifted
        by_set = dealt
    return by_set[(1 << n) - 1]
