"""What the AUC of a feature would be under other assumptions: other shapes, new patients, several muscles in one."""

import math

from scipy.special import betainc, ndtr, ndtri

from dtimuscle.replication.audit.summaries import Sample, logarithms

# More muscles, or predictors, than this are not tried out.
MOST_MUSCLES = 100
MOST_PREDICTORS = 10_000


def least_auc(first: Sample, second: Sample) -> float:
    """Return the AUC that means and SDs of two samples leave at least, whatever the values.

    Over all pairs of a patient of each group the difference has the mean δ and the variance
    σ² = s₁²(n₁ − 1)/n₁ + s₂²(n₂ − 1)/n₂, exactly. By Cantelli's inequality (1928) at most a share of σ²/(σ² + δ²) of
    the pairs can lie at or beyond 0 on the other side, so that AUC ≥ δ²/(δ² + σ²), also with ties.

    Parameters
    ----------
    first, second : Sample
        The groups, with SDs of n − 1.

    Returns
    -------
    float
        For the direction in which the means differ.
    """
    variance = sum(sample.sd**2 * (sample.n - 1) / sample.n for sample in (first, second))
    square = (first.mean - second.mean) ** 2
    return square / (square + variance)


def lognormal_auc(first: Sample, second: Sample) -> float:
    """Return the AUC of a feature whose logarithm is normally distributed, with these means and SDs.

    With σ² = log(1 + (s/m)²) and μ = log m − σ²/2 of each group, AUC = Φ(|μ₁ − μ₂| / √(σ₁² + σ₂²)), in the direction in
    which the means differ.

    Parameters
    ----------
    first, second : Sample
        The groups; means above 0.

    Returns
    -------
    float
        NaN where a mean is not above 0.
    """
    if min(first.mean, second.mean) <= 0:
        return math.nan
    low, high = (logarithms(sample) for sample in _by_mean(first, second))
    return float(ndtr((high.mean - low.mean) / math.hypot(low.sd, high.sd)))


def gamma_auc(first: Sample, second: Sample) -> float:
    """Return the AUC of a feature that is gamma distributed in both groups, with these means and SDs.

    With shape k = (m/s)² and scale θ = s²/m of each group, the probability that the group with the higher mean has the
    higher value is the regularised incomplete beta function I_x(k_low, k_high) at x = θ_high / (θ_low + θ_high).

    Parameters
    ----------
    first, second : Sample
        The groups; means above 0.

    Returns
    -------
    float
        NaN where a mean is not above 0.
    """
    if min(first.mean, second.mean) <= 0:
        return math.nan
    low, high = _by_mean(first, second)
    (k_low, theta_low), (k_high, theta_high) = (
        ((sample.mean / sample.sd) ** 2, sample.sd**2 / sample.mean) for sample in (low, high)
    )
    return float(betainc(k_low, k_high, theta_high / (theta_low + theta_high)))


def new_patients_auc(auc: float, *, n_predictors: int, n_first: int, n_second: int) -> float:
    """Return the AUC in new patients that a fitted linear combination is expected to have.

    A combination whose true weights would have the AUC Φ(D/√2), D the Mahalanobis distance, loses by estimating k
    weights in n₁ + n₂ patients: its distance becomes D² / √(D² + k (1/n₁ + 1/n₂)) × √(1 − k/(n₁ + n₂ − 2)), the
    first part for the estimated means and the second for the estimated covariance (Raudys & Young 2004, for k and n
    growing together). An approximation for normal values; simulations in the tests bear it out.

    Parameters
    ----------
    auc : float
        With the true weights, at least 0.5 and below 1.
    n_predictors : int
        k, less than the patients by more than two.
    n_first, n_second : int
        Patients.

    Returns
    -------
    float
        0.5 where there are too many predictors.
    """
    df = n_first + n_second - 2
    if n_predictors >= df:
        return 0.5
    distance = math.sqrt(2) * float(ndtri(auc))
    noise = n_predictors * (1 / n_first + 1 / n_second)
    shrunk = distance**2 / math.sqrt(distance**2 + noise) * math.sqrt(1 - n_predictors / df)
    return float(ndtr(shrunk / math.sqrt(2)))


def predictors_for_auc(auc: float, target: float, *, n_first: int, n_second: int) -> int | None:
    """Return how many predictors a model must have to come down to an AUC in new patients.

    Parameters
    ----------
    auc : float
        With the true weights.
    target : float
        What it should come down to.
    n_first, n_second : int
        Patients.

    Returns
    -------
    int or None
        The smallest number (see `new_patients_auc`); None above 10,000.
    """
    most = min(n_first + n_second - 2, MOST_PREDICTORS)
    for k in range(1, most + 1):
        if new_patients_auc(auc, n_predictors=k, n_first=n_first, n_second=n_second) <= target:
            return k
    return None


def pooled_auc(auc: float, *, n_differing: int, n_alike: int, correlation: float) -> float:
    """Return the AUC of the mean of several muscles, only some of which differ between the groups.

    With the distance d = √2 Φ⁻¹(AUC) of each muscle that differs, m muscles in all and one correlation r between any
    two within a group, the mean is n_differing/m × d / √((1 + (m − 1) r)/m) apart, for muscles of equal spread.

    Parameters
    ----------
    auc : float
        Of a muscle that differs.
    n_differing, n_alike : int
        Muscles that differ and that do not.
    correlation : float
        r, from 0 to 1.

    Returns
    -------
    float
        For normal values.
    """
    m = n_differing + n_alike
    distance = float(ndtri(auc)) * n_differing / m / math.sqrt((1 + (m - 1) * correlation) / m)
    return float(ndtr(distance))


def muscles_for_auc(auc: float, target: float, *, n_differing: int, correlation: float) -> int | None:
    """Return how many muscles without a difference must be pooled to come down to an AUC.

    Parameters
    ----------
    auc : float
        Of a muscle that differs.
    target : float
        What the mean of all of them should come down to.
    n_differing : int
        Muscles that differ.
    correlation : float
        Between any two muscles within a group.

    Returns
    -------
    int or None
        The smallest number (see `pooled_auc`); None above 100.
    """
    for n_alike in range(MOST_MUSCLES + 1):
        if pooled_auc(auc, n_differing=n_differing, n_alike=n_alike, correlation=correlation) <= target:
            return n_alike
    return None


def _by_mean(first: Sample, second: Sample) -> tuple[Sample, Sample]:
    """Return the groups, the one with the lower mean first."""
    return (first, second) if first.mean <= second.mean else (second, first)
