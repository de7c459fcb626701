"""Tests and distances of two groups of which only means, standard deviations and numbers of patients are known."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Weight = TypeVar("Weight", float, NDArray[np.float64])


@dataclass(frozen=True)
class Sample:
    """What is known of a group: no values, only these three.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation over patients.
    n : int or float
        Number of patients; of any size where another number is tried out.
    """

    mean: float
    sd: float
    n: float


@dataclass(frozen=True)
class SummaryTest:
    """A t test from means, standard deviations and numbers of patients.

    Parameters
    ----------
    t, df, p : float
        Statistic (first less second group), degrees of freedom and two-sided P.
    standard_error : float
        Of the difference.
    """

    t: float
    df: float
    p: float
    standard_error: float


def student_test(first: Sample, second: Sample) -> SummaryTest:
    """Student's t test from summaries: t = (m₁ − m₂) / (s √(1/n₁ + 1/n₂)), s² the pooled variance, df = n₁ + n₂ − 2.

    Parameters
    ----------
    first, second : Sample
        The groups.

    Returns
    -------
    SummaryTest
        Statistic, degrees of freedom and P.
    """
    df = first.n + second.n - 2
    variance = ((first.n - 1) * first.sd**2 + (second.n - 1) * second.sd**2) / df
    return _summary_test(first, second, math.sqrt(variance * (1 / first.n + 1 / second.n)), df)


def welch_test(first: Sample, second: Sample) -> SummaryTest:
    """Welch's t test from summaries: t = (m₁ − m₂) / √(s₁²/n₁ + s₂²/n₂), with Satterthwaite's df (Welch 1947).

    Parameters
    ----------
    first, second : Sample
        The groups.

    Returns
    -------
    SummaryTest
        Statistic, degrees of freedom and P.
    """
    parts = first.sd**2 / first.n, second.sd**2 / second.n
    weight = parts[0] / sum(parts)
    return _summary_test(first, second, math.sqrt(sum(parts)), welch_df(weight, first.n, second.n))


def separation(first: Sample, second: Sample) -> tuple[float, float]:
    """Return the normal deviate of the binormal AUC, which is not negative, and its standard error.

    Parameters
    ----------
    first, second : Sample
        The groups.

    Returns
    -------
    z, standard_error : float
        As `binormal_auc` defines them.
    """
    variances = first.sd**2, second.sd**2
    total = sum(variances)
    z = abs(first.mean - second.mean) / math.sqrt(total)
    of_means = (variances[0] / first.n + variances[1] / second.n) / total
    of_spread = 2 * variances[0] ** 2 / (first.n - 1) + 2 * variances[1] ** 2 / (second.n - 1)
    return z, math.sqrt(of_means + z**2 / (4 * total**2) * of_spread)


def _summary_test(first: Sample, second: Sample, standard_error: float, df: float) -> SummaryTest:
    t = (first.mean - second.mean) / standard_error
    return SummaryTest(t, df, float(2 * stdtr(df, -abs(t))), standard_error)


def welch_df(weight: Weight, n_first: float, n_second: float) -> Weight:
    """Satterthwaite's degrees of freedom of Welch's test.

    Parameters
    ----------
    weight : float or ndarray
        Share that the first group has in the variance of the difference.
    n_first, n_second : float
        Number of patients.
    """
    return 1 / (weight**2 / (n_first - 1) + (1 - weight) ** 2 / (n_second - 1))


def logarithms(sample: Sample) -> Sample:
    """Return mean and SD of the logarithms, if the values are log-normally distributed.

    σ² = ln(1 + s²/m²) and μ = ln m − σ²/2 (Aitchison & Brown 1957).

    Parameters
    ----------
    sample : Sample
        With a mean above 0.
    """
    variance = math.log1p((sample.sd / sample.mean) ** 2)
    return Sample(math.log(sample.mean) - variance / 2, math.sqrt(variance), sample.n)
