"""Tests of counts: whether two groups have the levels of a category equally often."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

# Below this expected count the chi-squared approximation is poor (Cochran 1954).
MIN_EXPECTED = 5

# Fisher's test looks at each possible table up to this many, beyond at a sample of them, always the same.
MOST_TABLES = 2_000_000
N_TABLES = 19_999
SEED = 1

# Tables this much likelier than the observed one still count as equally likely, as in R.
_TOLERANCE = 1e-7

CHI_SQUARED = "chi-squared"
FISHER = "Fisher exact"
FISHER_SAMPLED = "Fisher exact (random tables)"


@dataclass(frozen=True)
class CountTest:
    """A test of counts in two groups.

    Parameters
    ----------
    method : str
        "chi-squared", "Fisher exact" or "Fisher exact (random tables)"; empty where there is no test.
    p : float
        P of equal shares in both groups; NaN where there is no test.
    """

    method: str
    p: float


def compare_counts(counts: NDArray[np.integer]) -> CountTest:
    """Compare how often two groups have each level of a category.

    Pearson's chi-squared test without continuity correction; Fisher's exact test where an expected count is
    below 5. With so many levels and patients that more than two million tables have the same margins, its P
    comes from 19,999 random ones.

    Parameters
    ----------
    counts : ndarray of int, shape (2, k)
        Participants of each group with each level.

    Returns
    -------
    CountTest
        Without P when a group is empty, or fewer than two levels occur.
    """
    counts = counts[:, counts.any(axis=0)]
    if counts.shape[1] < 2 or not counts.sum(axis=1).all():
        return CountTest("", math.nan)
    if stats.contingency.expected_freq(counts).min() >= MIN_EXPECTED:
        return CountTest(CHI_SQUARED, float(stats.chi2_contingency(counts, correction=False).pvalue))
    if _n_tables(counts) <= MOST_TABLES:
        return CountTest(FISHER, _fisher_exact(counts))
    method = stats.MonteCarloMethod(n_resamples=N_TABLES, rng=np.random.default_rng(SEED))
    return CountTest(FISHER_SAMPLED, float(stats.fisher_exact(counts, method=method).pvalue))


def _n_tables(counts: NDArray[np.integer]) -> float:
    """Count the tables that have the margins of this one."""
    ways = np.ones(1)
    for total in counts.sum(axis=0):
        ways = np.convolve(ways, np.ones(total + 1))[: counts[0].sum() + 1]
    return float(ways[counts[0].sum()])


def _fisher_exact(counts: NDArray[np.integer]) -> float:
    """Add up the tables with these margins that are no likelier than this one (Fisher 1935; Freeman & Halton 1951).

    A table's first row decides it, and its probability is a product over the levels. scipy enumerates only
    2 × 2 tables.
    """
    n_first, totals = int(counts[0].sum()), counts.sum(axis=0)
    row_sums, log_ways = np.zeros(1, dtype=int), np.zeros(1)
    left = int(totals.sum())
    for total in totals:
        left -= int(total)
        cell = np.arange(total + 1)
        row_sums = (row_sums[:, None] + cell).ravel()
        log_ways = (log_ways[:, None] + _log_choose(int(total), cell)).ravel()
        is_possible = (row_sums <= n_first) & (row_sums + left >= n_first)
        row_sums, log_ways = row_sums[is_possible], log_ways[is_possible]
    log_p = log_ways - _log_choose(int(totals.sum()), np.array(n_first))
    observed = sum(float(_log_choose(int(total), cell)) for total, cell in zip(totals, counts[0], strict=True))
    observed -= float(_log_choose(int(totals.sum()), np.array(n_first)))
    return min(float(np.exp(log_p[log_p <= observed + math.log1p(_TOLERANCE)]).sum()), 1.0)


def _log_choose(n: int, k: NDArray[np.integer]) -> NDArray[np.float64]:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
