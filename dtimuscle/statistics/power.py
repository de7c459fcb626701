"""What effects a study of a given size can show, and how large it must be to show others.

Power belongs to planning: it is asked for an effect that is worth finding. Asked for the effect that was found,
it only repeats the P value (Hoenig & Heisey 2001).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.noncentral_t import share_above

Quantity = Literal["d", "auc", "auc_difference"]

# Standardised differences and AUCs between which effects are looked for.
LARGEST_D = 50.0
LARGEST_AUC = 1 - 1e-12

# No study has more; a search that gets here is asked for too much.
LARGEST_N = 10**9

# As pROC (and Obuchowski 2004) prints them: 0.0099 is about 1 / 101, 0.0792 is 8 × 0.0099, 1.414 is √2.
_OBUCHOWSKI = 0.0099
_OBUCHOWSKI_NULL = 0.0792
_ROOT_2 = 1.414


@dataclass(frozen=True)
class Detectable:
    """The smallest effect that a study shows with a given power.

    Parameters
    ----------
    quantity : {"d", "auc", "auc_difference"}
        A difference in standard deviations (t test), an AUC (against 0.5), or a difference of two AUCs of the same
        patients.
    value : float
        The effect; NaN where even the largest one is missed.
    power : float
        Probability that it is shown.
    alpha : float
        Two-sided P below this counts as shown.
    n_tests : int
        Tests that share the error; `alpha` is for one of them.
    correlation : float, default=nan
        Between the two AUCs, for a difference.
    reference : float, default=nan
        The lower AUC, for a difference.
    """

    quantity: Quantity
    value: float
    power: float
    alpha: float
    n_tests: int
    correlation: float = math.nan
    reference: float = math.nan


@dataclass(frozen=True)
class Precision:
    """How precisely a study measures an AUC.

    Parameters
    ----------
    auc : float
        The true AUC.
    se : float
        Standard error that is to be expected (Hanley & McNeil 1982).
    half_width : float
        Half the width of the confidence interval that is to be expected.
    level : float
        Coverage of that interval.
    """

    auc: float
    se: float
    half_width: float
    level: float


@dataclass(frozen=True)
class SampleSize:
    """How many patients an aim takes, at the same ratio of the groups.

    Parameters
    ----------
    auc : float
        The true AUC.
    n_poor, n_good : int
        Patients with poor and with good function.
    half_width : float, default=nan
        Half the width of the confidence interval, where that is the aim.
    level : float, default=nan
        Coverage of that interval.
    power : float, default=nan
        Probability of telling the AUC from 0.5, where that is the aim.
    alpha : float, default=nan
        Two-sided P that counts as telling.
    """

    auc: float
    n_poor: int
    n_good: int
    half_width: float = math.nan
    level: float = math.nan
    power: float = math.nan
    alpha: float = math.nan

    @property
    def n(self) -> int:
        """Patients in both groups."""
        return self.n_poor + self.n_good


@dataclass(frozen=True, eq=False)
class PowerCurve:
    """Power over the size of the effect.

    Parameters
    ----------
    quantity : {"d", "auc"}
        What kind of effect.
    effects, power : ndarray of shape (n,)
        The effects, and the probability that each is shown.
    alpha : float
        Two-sided P below this counts as shown.
    n_tests : int
        Tests that share the error; `alpha` is for one of them.
    """

    quantity: Quantity
    effects: NDArray[np.floating]
    power: NDArray[np.floating]
    alpha: float
    n_tests: int


@dataclass(frozen=True, eq=False)
class StudyPower:
    """What groups of given sizes can show, and what would take larger ones.

    Parameters
    ----------
    n_poor, n_good : int
        Sizes of the groups.
    alpha : float
        Two-sided P that counts as shown, for a single test.
    n_tests : int
        Tests that are corrected for.
    detectable : tuple of Detectable
        Smallest effects, by quantity, α and power.
    precision : tuple of Precision
        For each AUC.
    sample_sizes : tuple of SampleSize
        For each AUC: first those for a half-width, then those for a power.
    curves : tuple of PowerCurve
        For d and AUC, with a single test and with all.
    issues : tuple of Issue
        What groups of these sizes cannot show at all.
    """

    n_poor: int
    n_good: int
    alpha: float
    n_tests: int
    detectable: tuple[Detectable, ...]
    precision: tuple[Precision, ...]
    sample_sizes: tuple[SampleSize, ...]
    curves: tuple[PowerCurve, ...]
    issues: tuple[Issue, ...] = ()


def t_test_power(d: float, *, n_poor: int, n_good: int, alpha: float = 0.05) -> float:
    """Power of Student's two-sided t test.

    With df = n₁ + n₂ - 2 and the noncentrality δ = d √(n₁n₂ / (n₁ + n₂)), the probability that a noncentral t lies
    beyond either critical value (Cohen 1988), as R's `power.t.test(strict = TRUE)` has it for equal groups: the
    mean of Φ(δ - cs) + Φ(-δ - cs) over s = √(χ² / df).

    Parameters
    ----------
    d : float
        True difference of the means in standard deviations.
    n_poor, n_good : int
        Sizes of the groups, at least 2.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        Between `alpha` and 1.

    Raises
    ------
    StatisticsError
        If a group is smaller than 2, α is not between 0 and 1, or d is no number.
    """
    _check_study(n_poor, n_good, alpha)
    if not math.isfinite(d):
        raise StatisticsError(f"power: standardised difference {d} found, a number needed.")
    df = n_poor + n_good - 2
    critical, noncentrality = float(stats.t.isf(alpha / 2, df)), d * math.sqrt(n_poor * n_good / (n_poor + n_good))
    return min(share_above(critical, df, noncentrality) + share_above(critical, df, -noncentrality), 1.0)


def detectable_d(*, n_poor: int, n_good: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest standardised difference that Student's t test shows with the wanted power.

    Parameters
    ----------
    n_poor, n_good : int
        Sizes of the groups, at least 2.
    power : float, default=0.8
        Above α.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        In standard deviations; NaN above 50.

    Raises
    ------
    StatisticsError
        If a group is smaller than 2, or α and power are not between 0 and 1 in this order.
    """
    _check_study(n_poor, n_good, alpha)
    _check_power(power, alpha)
    return _smallest(
        lambda d: t_test_power(d, n_poor=n_poor, n_good=n_good, alpha=alpha), power, low=0.0, high=LARGEST_D
    )


def auc_power(auc: float, *, n_poor: int, n_good: int, alpha: float = 0.05) -> float:
    """Power of telling an AUC from 0.5.

    With κ = controls / events, A = 1.414 Φ⁻¹(AUC), V₀ = 0.0792 (1 + 1/κ) and
    V = 0.0099 exp(-A²/2) (5A² + 8 + (A² + 8)/κ), the power is Φ(((AUC - 0.5) √events - z √V₀) / √V), for
    normal values (Obuchowski & McClish 1997; Obuchowski 2004), as pROC's `power.roc.test` has it.

    Parameters
    ----------
    auc : float
        The true AUC, above 0.5 and below 1.
    n_poor, n_good : int
        Events and controls, at least 2.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        Probability of a significant AUC above 0.5.

    Raises
    ------
    StatisticsError
        If a group is smaller than 2, α is not between 0 and 1, or the AUC is not between 0.5 and 1.
    """
    _check_study(n_poor, n_good, alpha)
    _check_auc(auc)
    kappa = n_good / n_poor
    margin = (auc - 0.5) * math.sqrt(n_poor) - _z(alpha) * math.sqrt(_null_variance(kappa))
    spread = math.sqrt(_obuchowski_variance(auc, kappa))
    return float(stats.norm.cdf(margin / spread)) if spread > 0 else float(margin > 0)


def detectable_auc(*, n_poor: int, n_good: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest AUC that is told from 0.5 with the wanted power; the method is that of `auc_power`.

    Parameters
    ----------
    n_poor, n_good : int
        Events and controls, at least 2.
    power : float, default=0.8
        Above α.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        NaN where the groups are too small for any AUC.

    Raises
    ------
    StatisticsError
        If a group is smaller than 2, or α and power are not between 0 and 1 in this order.
    """
    _check_study(n_poor, n_good, alpha)
    _check_power(power, alpha)
    return _smallest(
        lambda auc: auc_power(auc, n_poor=n_poor, n_good=n_good, alpha=alpha), power, low=0.5 + 1e-9, high=LARGEST_AUC
    )


def events_for_auc_power(auc: float, *, controls_per_event: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return how many events it takes to tell an AUC from 0.5, not rounded; the method is that of `auc_power`.

    Parameters
    ----------
    auc : float
        The true AUC, above 0.5 and below 1.
    controls_per_event : float
        Ratio of the groups.
    power : float, default=0.8
        Above α.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        Events; controls are as many times more as `controls_per_event` says.

    Raises
    ------
    StatisticsError
        If the AUC is not between 0.5 and 1, the ratio is not positive, or α and power are not between 0 and 1 in
        this order.
    """
    _check_auc(auc)
    _check_ratio(controls_per_event)
    _check_share("alpha", alpha)
    _check_power(power, alpha)
    root = _z(alpha) * math.sqrt(_null_variance(controls_per_event))
    root += float(stats.norm.ppf(power)) * math.sqrt(_obuchowski_variance(auc, controls_per_event))
    return (root / (auc - 0.5)) ** 2


def auc_standard_error(auc: float, *, n_poor: int, n_good: int) -> float:
    """Return the standard error that an AUC of groups of this size has (see `hanley_mcneil_error`).

    Parameters
    ----------
    auc : float
        The true AUC θ, above 0.5 and below 1.
    n_poor, n_good : int
        Events n₁ and controls n₂, at least 2.

    Returns
    -------
    float
        Standard error.

    Raises
    ------
    StatisticsError
        If a group is smaller than 2, or the AUC is not between 0.5 and 1.
    """
    _check_sizes(n_poor, n_good)
    _check_auc(auc)
    return hanley_mcneil_error(auc, n_event=n_poor, n_other=n_good)


def hanley_mcneil_error(auc: float, *, n_event: float, n_other: float) -> float:
    """Return the standard error that Hanley & McNeil (1982) expect for an AUC.

    With Q₁ = θ / (2 - θ) and Q₂ = 2θ² / (1 + θ),
    SE² = (θ(1 - θ) + (n₁ - 1)(Q₁ - θ²) + (n₂ - 1)(Q₂ - θ²)) / (n₁n₂). An AUC below 0.5 is turned round. For normal
    values it is a little too large: by about 5% at 0.7 and 20% at 0.9.

    Parameters
    ----------
    auc : float
        θ, within 0 to 1.
    n_event, n_other : float
        Patients n₁ and n₂, at least 1; of any size where other numbers are tried out.

    Returns
    -------
    float
        0 for an AUC of 0 or 1.
    """
    area = max(auc, 1 - auc)
    of_events, of_others = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    variance = area * (1 - area) + (n_event - 1) * of_events + (n_other - 1) * of_others
    return math.sqrt(max(variance, 0.0) / (n_event * n_other))


def auc_precision(auc: float, *, n_poor: int, n_good: int, level: float = 0.95) -> Precision:
    """Return the confidence interval's half-width that is to be expected: z times Hanley & McNeil's SE.

    Parameters
    ----------
    auc : float
        The true AUC, above 0.5 and below 1.
    n_poor, n_good : int
        Sizes of the groups, at least 2.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    Precision
        Of an interval that is not cut off at 1.

    Raises
    ------
    StatisticsError
        If a group is smaller than 2, the AUC is not between 0.5 and 1, or the level not between 0 and 1.
    """
    _check_share("level", level)
    se = auc_standard_error(auc, n_poor=n_poor, n_good=n_good)
    return Precision(auc, se, _z(1 - level) * se, level)


def sample_size_for_power(
    auc: float, *, controls_per_event: float, power: float = 0.8, alpha: float = 0.05
) -> SampleSize:
    """Return the smallest study that tells an AUC from 0.5; the method is that of `auc_power`.

    Parameters
    ----------
    auc : float
        The true AUC, above 0.5 and below 1.
    controls_per_event : float
        Ratio of the groups.
    power : float, default=0.8
        Above α.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    SampleSize
        Both groups rounded up, and at least 2.

    Raises
    ------
    StatisticsError
        As `events_for_auc_power`.
    """
    events = events_for_auc_power(auc, controls_per_event=controls_per_event, power=power, alpha=alpha)
    n_poor, n_good = _rounded_up(events, controls_per_event)
    return SampleSize(auc, n_poor, n_good, power=power, alpha=alpha)


def sample_size_for_precision(
    auc: float, *, half_width: float, controls_per_event: float, level: float = 0.95
) -> SampleSize:
    """Return the smallest study whose confidence interval of an AUC has the wanted half-width.

    The half-width is that of `auc_precision` (Hanley & McNeil 1982, as in R's presize).

    Parameters
    ----------
    auc : float
        The true AUC, above 0.5 and below 1.
    half_width : float
        Half the width of the interval, above 0 and below 0.5.
    controls_per_event : float
        Ratio of the groups.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    SampleSize
        The group with poor function, rounded up; the other is as many times larger as the ratio says, rounded up.

    Raises
    ------
    StatisticsError
        If a number is outside its range, or the study would have more than 10⁹ events.
    """
    _check_auc(auc)
    _check_ratio(controls_per_event)
    _check_share("level", level)
    if not 0 < half_width < 0.5:
        raise StatisticsError(f"sample size: half-width {half_width} found, above 0 and below 0.5 needed.")

    def is_enough(events: int) -> bool:
        n_poor, n_good = _rounded_up(events, controls_per_event)
        return auc_precision(auc, n_poor=n_poor, n_good=n_good, level=level).half_width <= half_width

    n_poor, n_good = _rounded_up(_first(is_enough), controls_per_event)
    return SampleSize(auc, n_poor, n_good, half_width=half_width, level=level)


def paired_auc_power(
    lower: float, higher: float, *, correlation: float, n_poor: int, n_good: int, alpha: float = 0.05
) -> float:
    """Power of telling two AUCs of the same patients apart (Hanley & McNeil 1983).

    With Hanley & McNeil's standard errors, the difference has the variance SE₁² + SE₂² - 2 r SE₁ SE₂.

    Parameters
    ----------
    lower, higher : float
        The true AUCs, above 0.5 and below 1.
    correlation : float
        Between the two estimated AUCs, at least 0 and below 1; about that between the scores, or a little less.
    n_poor, n_good : int
        Sizes of the groups, at least 2.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        Probability of a significant difference in this direction.

    Raises
    ------
    StatisticsError
        If a number is outside its range, or `higher` is below `lower`.
    """
    _check_study(n_poor, n_good, alpha)
    _check_correlation(correlation)
    if higher < lower:
        raise StatisticsError(f"power: AUCs of {lower} and {higher} found, the lower one first needed.")
    one, other = (auc_standard_error(auc, n_poor=n_poor, n_good=n_good) for auc in (lower, higher))
    se = math.sqrt(one**2 + other**2 - 2 * correlation * one * other)
    return float(stats.norm.cdf((higher - lower) / se - _z(alpha)))


def detectable_auc_difference(
    auc: float, *, correlation: float, n_poor: int, n_good: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return by how much a second AUC of the same patients must exceed the first; see `paired_auc_power`.

    Parameters
    ----------
    auc : float
        The lower AUC, above 0.5 and below 1.
    correlation : float
        Between the two estimated AUCs, at least 0 and below 1.
    n_poor, n_good : int
        Sizes of the groups, at least 2.
    power : float, default=0.8
        Above α.
    alpha : float, default=0.05
        Two-sided level of the test.

    Returns
    -------
    float
        NaN where not even an AUC of 1 is told from the first.

    Raises
    ------
    StatisticsError
        If a number is outside its range.
    """
    _check_study(n_poor, n_good, alpha)
    _check_auc(auc)
    _check_power(power, alpha)
    _check_correlation(correlation)
    higher = _smallest(
        lambda other: paired_auc_power(auc, other, correlation=correlation, n_poor=n_poor, n_good=n_good, alpha=alpha),
        power,
        low=auc,
        high=LARGEST_AUC,
    )
    return higher - auc


def power_of_study(
    *,
    n_poor: int,
    n_good: int,
    n_tests: int = 1,
    alpha: float = 0.05,
    level: float = 0.95,
    powers: Iterable[float] = (0.8, 0.9),
    aucs: Iterable[float] = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9),
    half_widths: Iterable[float] = (0.05, 0.075, 0.1),
    reference_auc: float = 0.7,
    correlations: Iterable[float] = (0.3, 0.5, 0.7),
) -> StudyPower:
    """Say what groups of given sizes can show, and how large other studies of the same ratio must be.

    Effects are given for a single test and, with several, for one of them at α divided by their number: the step
    that the smallest P has to take in Holm's correction.

    Parameters
    ----------
    n_poor, n_good : int
        Sizes of the groups, at least 2.
    n_tests : int, default=1
        Tests that are corrected for.
    alpha : float, default=0.05
        Two-sided level of a test.
    level : float, default=0.95
        Coverage of intervals.
    powers : iterable of float, default=(0.8, 0.9)
        Wanted probabilities that an effect is shown.
    aucs : iterable of float, default=(0.6, 0.65, …, 0.9)
        AUCs for precision and sample sizes, in any order; such as a published one besides.
    half_widths : iterable of float, default=(0.05, 0.075, 0.1)
        Wanted half-widths of the interval of an AUC.
    reference_auc : float, default=0.7
        The lower of two AUCs of the same patients.
    correlations : iterable of float, default=(0.3, 0.5, 0.7)
        Between these two.

    Returns
    -------
    StudyPower
        Effects that no such study can show are NaN, with an issue.

    Raises
    ------
    StatisticsError
        If a number is outside its range.
    """
    _check_study(n_poor, n_good, alpha)
    if n_tests < 1:
        raise StatisticsError(f"power: {n_tests} tests found, at least 1 needed.")
    wanted, areas = tuple(powers), sorted(set(aucs))
    ratio = n_good / n_poor
    corrected = [(alpha / n, n) for n in dict.fromkeys((1, n_tests))]
    detectable = (
        *_detectable_alone(n_poor, n_good, corrected, wanted),
        *_detectable_pairs((n_poor, n_good), alpha, wanted, auc=reference_auc, correlations=tuple(correlations)),
    )
    sizes = [
        sample_size_for_precision(auc, half_width=half_width, controls_per_event=ratio, level=level)
        for auc in areas
        for half_width in sorted(set(half_widths))
    ]
    sizes += [
        sample_size_for_power(auc, controls_per_event=ratio, power=power, alpha=alpha)
        for auc in areas
        for power in wanted
    ]
    return StudyPower(
        n_poor=n_poor,
        n_good=n_good,
        alpha=alpha,
        n_tests=n_tests,
        detectable=detectable,
        precision=tuple(auc_precision(auc, n_poor=n_poor, n_good=n_good, level=level) for auc in areas),
        sample_sizes=tuple(sizes),
        curves=_curves(n_poor, n_good, corrected, detectable),
        issues=_undetectable(n_poor, n_good, detectable),
    )


def _detectable_alone(
    n_poor: int, n_good: int, corrected: list[tuple[float, int]], powers: tuple[float, ...]
) -> list[Detectable]:
    methods: tuple[tuple[Quantity, Callable[..., float]], ...] = (("d", detectable_d), ("auc", detectable_auc))
    return [
        Detectable(quantity, smallest(n_poor=n_poor, n_good=n_good, power=power, alpha=alpha), power, alpha, n_tests)
        for quantity, smallest in methods
        for alpha, n_tests in corrected
        for power in powers
    ]


def _detectable_pairs(
    sizes: tuple[int, int], alpha: float, powers: tuple[float, ...], *, auc: float, correlations: tuple[float, ...]
) -> list[Detectable]:
    found = []
    for correlation in correlations:
        for power in powers:
            value = detectable_auc_difference(
                auc, correlation=correlation, n_poor=sizes[0], n_good=sizes[1], power=power, alpha=alpha
            )
            found.append(Detectable("auc_difference", value, power, alpha, 1, correlation, auc))
    return found


def _curves(
    n_poor: int, n_good: int, corrected: list[tuple[float, int]], detectable: tuple[Detectable, ...]
) -> tuple[PowerCurve, ...]:
    largest = max([1.5, *(1.15 * item.value for item in detectable if item.quantity == "d" and item.value > 0)])
    spans: tuple[tuple[Quantity, Callable[..., float], NDArray[np.floating]], ...] = (
        ("d", t_test_power, np.linspace(0, largest, 76)),
        ("auc", auc_power, np.linspace(0.505, 0.95, 90)),
    )
    return tuple(
        PowerCurve(
            quantity,
            effects,
            np.array([power_of(float(x), n_poor=n_poor, n_good=n_good, alpha=alpha) for x in effects]),
            alpha,
            n_tests,
        )
        for quantity, power_of, effects in spans
        for alpha, n_tests in corrected
    )


def _undetectable(n_poor: int, n_good: int, detectable: tuple[Detectable, ...]) -> tuple[Issue, ...]:
    words = {"d": "difference of means", "auc": "AUC", "auc_difference": "difference of two AUCs"}
    return tuple(
        Issue(
            Severity.WARNING,
            "power",
            f"{n_poor} + {n_good} patients show no {words[item.quantity]}, however large, with a power of "
            f"{item.power:g} at α = {item.alpha:.2g}.",
        )
        for item in detectable
        if math.isnan(item.value)
    )


def _smallest(power_of: Callable[[float], float], power: float, *, low: float, high: float) -> float:
    """Effect at which power reaches the wanted value; NaN where it never does."""
    if power_of(high) < power:
        return math.nan
    return float(optimize.brentq(lambda effect: power_of(effect) - power, low, high, xtol=1e-13, rtol=1e-13))


def _first(is_enough: Callable[[int], bool]) -> int:
    """Smallest number from 2 on that is enough, given that more are enough too."""
    high = 2
    while not is_enough(high):
        if high >= LARGEST_N:
            raise StatisticsError(f"sample size: more than {LARGEST_N} events needed. Allow a wider interval.")
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _rounded_up(events: float, controls_per_event: float) -> tuple[int, int]:
    # A ratio such as 69 / 31 times 31 is 69, not the next number above.
    n_poor = max(math.ceil(events - 1e-9), 2)
    return n_poor, max(math.ceil(n_poor * controls_per_event - 1e-9), 2)


def _null_variance(kappa: float) -> float:
    return _OBUCHOWSKI_NULL * (1 + 1 / kappa)


def _obuchowski_variance(auc: float, kappa: float) -> float:
    square = (float(stats.norm.ppf(auc)) * _ROOT_2) ** 2
    return _OBUCHOWSKI * math.exp(-square / 2) * (5 * square + 8 + (square + 8) / kappa)


def _z(alpha: float) -> float:
    return float(stats.norm.isf(alpha / 2))


def _check_study(n_poor: int, n_good: int, alpha: float) -> None:
    _check_sizes(n_poor, n_good)
    _check_share("alpha", alpha)


def _check_sizes(n_poor: int, n_good: int) -> None:
    for group, n in (("poor", n_poor), ("good", n_good)):
        if not (n >= 2 and n == int(n)):
            raise StatisticsError(f"power: {n} patients with {group} function found, a whole number from 2 on needed.")


def _check_auc(auc: float) -> None:
    if not 0.5 < auc < 1:
        raise StatisticsError(
            f"power: AUC {auc} found, above 0.5 and below 1 needed. An AUC of 0.5 tells nothing, one of 1 leaves "
            "nothing to chance; turn one below 0.5 round."
        )


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise StatisticsError(f"power: {name} {value} found, above 0 and below 1 needed.")


def _check_power(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise StatisticsError(f"power: wanted power {power} found, above alpha ({alpha}) and below 1 needed.")


def _check_ratio(controls_per_event: float) -> None:
    if not 0 < controls_per_event < math.inf:
        raise StatisticsError(f"sample size: {controls_per_event} controls per event found, a positive number needed.")


def _check_correlation(correlation: float) -> None:
    if not 0 <= correlation < 1:
        raise StatisticsError(f"power: correlation {correlation} found, at least 0 and below 1 needed.")
