"""How well a muscle value repeats: intraclass correlation, error within participants, smallest detectable change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri, fdtrc, fdtri, ndtri

from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.bland_altman import FEWEST, BlandAltman, compare_occasions
from dtimuscle.statistics.complete_cases import ROUNDING, SMALLEST, as_floats
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.repeated import RepeatedValues

# Names for an ICC from its lower bound on (Koo & Li 2016, J Chiropr Med 15:155).
GRADES = ((0.9, "excellent"), (0.75, "good"), (0.5, "moderate"), (-math.inf, "poor"))

# Probability of a change that is no error, for the smallest detectable change.
CERTAINTY = 0.95


@dataclass(frozen=True)
class Icc:
    """An intraclass correlation coefficient of single measurements.

    Parameters
    ----------
    value : float
        Share of the variance that lies between participants; below zero where they differ less than by error.
    interval : Interval
        From the F distribution; NaN where participants' values repeat without any error.
    """

    value: float
    interval: Interval

    @property
    def grade(self) -> str:
        """Koo and Li's words for the interval: "good", "moderate to good"; empty where there is none."""
        if not self.interval.is_defined:
            return ""
        low, high = (next(word for bound, word in GRADES if end >= bound) for end in self._ends)
        return low if low == high else f"{low} to {high}"

    @property
    def _ends(self) -> tuple[float, float]:
        return self.interval.low, self.interval.high


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of a two-way layout without replication.

    Parameters
    ----------
    participants : float
        Between participants, n - 1 degrees of freedom.
    occasions : float
        Between occasions, k - 1.
    error : float
        What neither explains, (n - 1)(k - 1).
    within : float
        Within participants, occasions and error together, n(k - 1).
    """

    participants: float
    occasions: float
    error: float
    within: float


@dataclass(frozen=True, eq=False)
class Reliability:
    """How well one feature repeats over occasions.

    Parameters
    ----------
    feature : str
        Name of the feature.
    occasions : tuple of str
        Sessions or readers.
    n : int
        Participants with a value on every occasion; all results are of them.
    n_missing : int
        Participants left out since a value is missing.
    missing : tuple of int
        Missing values on each occasion.
    mean : float
        Of all values, in the unit of the feature.
    mean_squares : MeanSquares
        What the rest is made of.
    agreement : Icc
        ICC(2,1): two-way random effects, absolute agreement; a shift between occasions counts as error.
    consistency : Icc
        ICC(3,1): two-way mixed effects, consistency; a shift that is the same for all does not count.
    p : float
        Of the F test that participants do not differ.
    within_sd : float
        Standard deviation within a participant, √(mean square within); a shift between occasions counts.
    within_sd_interval : Interval
        From the χ² distribution.
    within_cv : float
        Root mean square of SD over mean of each participant; NaN where a mean is not positive.
    sem : float
        Standard error of measurement, √(mean square of error); a shift between occasions does not count.
    sem_interval : Interval
        From the χ² distribution.
    comparisons : tuple of BlandAltman
        Of each pair of occasions, in their order.
    issues : tuple of Issue
        What makes the results doubtful, or undefined.
    """

    feature: str
    occasions: tuple[str, ...]
    n: int
    n_missing: int
    missing: tuple[int, ...]
    mean: float
    mean_squares: MeanSquares
    agreement: Icc
    consistency: Icc
    p: float
    within_sd: float
    within_sd_interval: Interval
    within_cv: float
    sem: float
    sem_interval: Interval
    comparisons: tuple[BlandAltman, ...]
    issues: tuple[Issue, ...] = ()

    @property
    def sdc(self) -> float:
        """Smallest detectable change, 1.96 √2 SEM: a change between two occasions that is hardly error."""
        return _change(self.sem)

    @property
    def sdc_interval(self) -> Interval:
        """Interval of the smallest detectable change."""
        ends = self.sem_interval
        return Interval(_change(ends.low), _change(ends.high), ends.level)

    @property
    def repeatability(self) -> float:
        """Repeatability coefficient, 1.96 √2 within-participant SD; a shift between occasions counts."""
        return _change(self.within_sd)


def measure_reliability(values: pd.DataFrame, *, feature: str, level: float = 0.95) -> Reliability:
    """Say how well one feature repeats over two or more occasions.

    With n participants on k occasions and the mean squares MSR (participants), MSC (occasions) and MSE (error) of the
    two-way layout, ICC(2,1) = (MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n) and ICC(3,1) = (MSR - MSE) /
    (MSR + (k - 1) MSE), with the intervals of Shrout & Fleiss (1979, Psychol Bull 86:420) and McGraw & Wong (1996,
    Psychol Methods 1:30, corrected 1:390). The SD within participants is √MSW (Bland & Altman 1996, BMJ
    313:744), the coefficient of variation the root of the mean of the squared ones (Glüer 1995, Osteoporos Int 5:262),
    the standard error of measurement √MSE (Weir 2005, J Strength Cond Res 19:231).

    Parameters
    ----------
    values : DataFrame
        One row per participant, one column per occasion. Participants with a missing value are left out and counted.
    feature : str
        Name of the feature.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    Reliability
        NaN with an issue where fewer than three participants are complete, or no value differs from another. Values
        that repeat without any error have an ICC(3,1) of 1, no interval, and an issue.
    """
    numbers = np.atleast_2d(as_floats(values))
    complete = np.isfinite(numbers).all(axis=1)
    kept = numbers[complete]
    n, k = kept.shape
    occasions = tuple(str(name) for name in values.columns)
    index = values.index[np.flatnonzero(complete)]
    columns = [pd.Series(kept[:, i], index, name=name) for i, name in enumerate(occasions)]
    comparisons = tuple(
        compare_occasions(first, second, feature=feature, level=level) for first, second in combinations(columns, 2)
    )
    n_missing = int((~complete).sum())
    issues = _missing_issue(feature, n_missing, n)
    squares = _mean_squares(kept) if n >= FEWEST else MeanSquares(math.nan, math.nan, math.nan, math.nan)
    problem = _undefined(feature, squares, n)
    if problem is not None:
        squares = MeanSquares(math.nan, math.nan, math.nan, math.nan)
        issues.append(problem)
    else:
        issues += _doubtful(feature, squares, kept)
    df_error = (n - 1) * (k - 1)
    return Reliability(
        feature=feature,
        occasions=occasions,
        n=n,
        n_missing=n_missing,
        missing=tuple(np.isnan(numbers).sum(axis=0).tolist()),
        mean=float(kept.mean()) if n else math.nan,
        mean_squares=squares,
        agreement=_agreement(squares, n, k, level),
        consistency=_consistency(squares, n, k, level),
        p=float(fdtrc(n - 1, df_error, squares.participants / squares.error)) if squares.error > 0 else math.nan,
        within_sd=math.sqrt(squares.within),
        within_sd_interval=_sd_interval(squares.within, n * (k - 1), level),
        within_cv=_within_cv(kept) if problem is None else math.nan,
        sem=math.sqrt(squares.error),
        sem_interval=_sd_interval(squares.error, df_error, level),
        comparisons=comparisons,
        issues=tuple(issues),
    )


def measure_all_features(repeated: RepeatedValues, *, level: float = 0.95) -> tuple[Reliability, ...]:
    """Say how well each feature repeats.

    Parameters
    ----------
    repeated : RepeatedValues
        Values on two or more occasions.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    tuple of Reliability
        One for each feature, in the order of the values.
    """
    return tuple(
        measure_reliability(repeated.of(feature), feature=feature, level=level) for feature in repeated.features
    )


def all_comparisons(results: Sequence[Reliability]) -> tuple[BlandAltman, ...]:
    """Return the comparisons of all features.

    Parameters
    ----------
    results : sequence of Reliability
        In the order that is kept.
    """
    return tuple(comparison for result in results for comparison in result.comparisons)


def _change(sd: float) -> float:
    return float(ndtri((1 + CERTAINTY) / 2)) * math.sqrt(2) * sd


def _mean_squares(values: NDArray[np.floating]) -> MeanSquares:
    n, k = values.shape
    # What differs by rounding only is equal, and its squares would pretend an error.
    rounding = (ROUNDING * float(np.abs(values).max())) ** 2 + SMALLEST
    centred = values - values.mean()
    rows, columns = centred.mean(axis=1, keepdims=True), centred.mean(axis=0, keepdims=True)
    residual = centred - rows - columns
    found = (
        k * float((rows**2).sum()) / (n - 1),
        n * float((columns**2).sum()) / (k - 1),
        float((residual**2).sum()) / ((n - 1) * (k - 1)),
        float(((centred - rows) ** 2).sum()) / (n * (k - 1)),
    )
    return MeanSquares(*(square if square > rounding else 0.0 for square in found))


def _agreement(squares: MeanSquares, n: int, k: int, level: float) -> Icc:
    """ICC(2,1), McGraw and Wong's ICC(A,1)."""
    msr, msc, mse = squares.participants, squares.occasions, squares.error
    if not _varies(squares):
        return Icc(math.nan, Interval(math.nan, math.nan, level))
    value = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    # Their a and b, both times n (1 - ICC), which may be zero.
    a, b = k * value, n * (1 - value) + k * value * (n - 1)
    spread = (a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1))
    if not spread > 0:
        return Icc(value, Interval(math.nan, math.nan, level))
    df = (a * msc + b * mse) ** 2 / spread
    rest = (k * n - k - n) * mse
    f = _upper_f(n - 1, df, level)
    low = n * (msr - f * mse) / (f * (k * msc + rest) + n * msr)
    f = _upper_f(df, n - 1, level)
    high = n * (f * msr - mse) / (k * msc + rest + n * f * msr)
    return Icc(value, Interval(low, high, level))


def _consistency(squares: MeanSquares, n: int, k: int, level: float) -> Icc:
    """ICC(3,1), McGraw and Wong's ICC(C,1)."""
    msr, mse = squares.participants, squares.error
    if not msr + (k - 1) * mse > 0:
        return Icc(math.nan, Interval(math.nan, math.nan, level))
    value = (msr - mse) / (msr + (k - 1) * mse)
    if not mse > 0:
        return Icc(value, Interval(math.nan, math.nan, level))
    df = (n - 1) * (k - 1)
    low, high = msr / mse / _upper_f(n - 1, df, level), msr / mse * _upper_f(df, n - 1, level)
    return Icc(value, Interval((low - 1) / (low + k - 1), (high - 1) / (high + k - 1), level))


def _upper_f(df1: float, df2: float, level: float) -> float:
    """Value above which F lies with half of the probability that an interval leaves out."""
    return float(fdtri(df1, df2, (1 + level) / 2))


def _sd_interval(square: float, df: int, level: float) -> Interval:
    if not square > 0:
        return Interval(math.nan, math.nan, level)
    # `chdtri` takes the probability above.
    low, high = (math.sqrt(square * df / float(chdtri(df, share))) for share in ((1 - level) / 2, (1 + level) / 2))
    return Interval(low, high, level)


def _within_cv(values: NDArray[np.floating]) -> float:
    means = values.mean(axis=1)
    if not (means > 0).all():
        return math.nan
    return float(np.sqrt(np.mean(values.var(axis=1, ddof=1) / means**2)))


def _varies(squares: MeanSquares) -> bool:
    return squares.participants + squares.occasions + squares.error > 0


def _missing_issue(feature: str, n_missing: int, n: int) -> list[Issue]:
    if not n_missing:
        return []
    what = f"{n_missing} of {n + n_missing} participant(s) left out, since a value of an occasion is missing."
    return [Issue(Severity.WARNING, feature, what, "Check their labels and min_voxels.")]


def _undefined(feature: str, squares: MeanSquares, n: int) -> Issue | None:
    if n < FEWEST:
        what = f"{n} participant(s) with a value on every occasion, at least {FEWEST} needed; no reliability."
        return Issue(Severity.ERROR, feature, what, "Measure more participants twice.")
    if not _varies(squares):
        what = f"all values of {n} participants are the same, so there is nothing that could repeat."
        return Issue(Severity.ERROR, feature, what, "Check how these values were made.")
    return None


def _doubtful(feature: str, squares: MeanSquares, values: NDArray[np.floating]) -> list[Issue]:
    issues = []
    if not squares.within > 0:
        what = "the occasions have the same values to the last digit, as copies would."
        issues.append(Issue(Severity.WARNING, feature, what, "Check that they are different sessions or readers."))
    elif not squares.error > 0:
        what = "the occasions differ by the same amount in all participants, as copies with another scale would."
        issues.append(Issue(Severity.WARNING, feature, what, "Check how these values were made."))
    if squares.participants < squares.error:
        what = "participants differ less than their repeated values do, so that the ICC is below zero: no reliability."
        issues.append(Issue(Severity.WARNING, feature, what, "Check that the participants are matched correctly."))
    if not (values.mean(axis=1) > 0).all():
        what = "a participant's mean is not positive, so there is no coefficient of variation."
        issues.append(Issue(Severity.WARNING, feature, what, "Check how these values were made."))
    return issues
