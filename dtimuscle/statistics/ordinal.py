"""Proportional-odds regression of the ordinal Lovett grade, with the check of its assumption."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit
from threadpoolctl import threadpool_limits

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.separation import separated_rows
from dtimuscle.statistics.terms import (
    LARGEST_EXPONENT,
    exp_interval,
    independent_columns,
    left_out_issue,
    long_step_issue,
    odds_ratio_of,
    standardise,
    step_of,
)

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

# A proportional-odds model of two grades would be a logistic one.
FEWEST_GRADES = 3

# Fewer participants on one side of a cut make its own odds ratios, and so the test of the assumption, unstable.
FEW_AT_A_CUT = 10

MAX_STEPS = 200
MAX_HALVINGS = 60

# Largest change of a term of standardised features in the last Newton step.
TOLERANCE = 1e-10

# Damping and smallest curvature, as fractions of the largest curvature.
FLAT = 1e-13

# No step moves a term by more than this (log odds per SD).
LARGEST_STEP = 5.0

# A gain of log likelihood below this is rounding.
ROUNDING_GAIN = 1e-22

# exp() of a larger gap between thresholds overflows.
LARGEST_GAP = 500.0

# A covariance whose smallest eigenvalue is below this fraction of its largest cannot be inverted.
SINGULAR = 1e-10

# Stands for a probability that is too small for a float.
SMALLEST_SHARE = 1e-300


@dataclass(frozen=True)
class OrdinalTerm:
    """One feature of a proportional-odds model.

    Parameters
    ----------
    name : str
        Feature.
    estimate, se : float
        Log odds ratio of a higher grade for one unit of the feature, and its standard error.
    z, p : float
        Wald test, two-sided.
    lr, lr_p : float
        Likelihood-ratio test against the model without the feature, one degree of freedom.
    step : float
        Difference of the feature that `odds_ratio` is about, in its unit.
    odds_ratio : float
        Odds of a higher grade when the feature is one `step` higher, against where it is.
    wald, profile : Interval
        Wald and profile-likelihood interval of `odds_ratio`.
    sd : float
        Standard deviation of the feature (n - 1), in its unit.
    odds_ratio_per_sd : float
        Odds ratio for a difference of one `sd`.
    profile_per_sd : Interval
        Profile-likelihood interval of `odds_ratio_per_sd`.
    """

    name: str
    estimate: float
    se: float
    z: float
    p: float
    lr: float
    lr_p: float
    step: float
    odds_ratio: float
    wald: Interval
    profile: Interval
    sd: float
    odds_ratio_per_sd: float
    profile_per_sd: Interval

    @property
    def interval(self) -> Interval:
        """The profile-likelihood interval, which small samples prefer."""
        return self.profile


@dataclass(frozen=True)
class Threshold:
    """Where one grade ends and the next one begins.

    Parameters
    ----------
    below, above : int
        The neighbouring grades that occur.
    estimate, se : float
        Log odds of a grade of at most `below` where all features are zero, and its standard error.
    """

    below: int
    above: int
    estimate: float
    se: float


@dataclass(frozen=True)
class CutTerm:
    """What one feature does at one cut of the grades.

    Parameters
    ----------
    name : str
        Feature.
    estimate, se : float
        Log odds ratio for one unit, and its standard error.
    odds_ratio : float
        Odds of a grade above the cut when the feature is one step higher, against where it is.
    wald : Interval
        Wald interval of `odds_ratio`.
    odds_ratio_per_sd : float
        Odds ratio for a difference of one standard deviation (of all participants).
    wald_per_sd : Interval
        Wald interval of `odds_ratio_per_sd`.
    """

    name: str
    estimate: float
    se: float
    odds_ratio: float
    wald: Interval
    odds_ratio_per_sd: float
    wald_per_sd: Interval


@dataclass(frozen=True)
class Cut:
    """The logistic model of the grades above one cut against those below.

    Parameters
    ----------
    at_least : int
        The lowest grade above the cut.
    n_below, n_above : int
        Participants on both sides.
    terms : tuple of CutTerm
        One for each feature; NaN where the features separate both sides.
    is_separated : bool
        Whether they do.
    """

    at_least: int
    n_below: int
    n_above: int
    terms: tuple[CutTerm, ...]
    is_separated: bool


@dataclass(frozen=True)
class ChiSquared:
    """A test whose statistic has a χ² distribution under its null hypothesis.

    Parameters
    ----------
    statistic : float
        NaN where the test is not defined.
    df : int
        Degrees of freedom.
    p : float
        Probability of a larger statistic.
    """

    statistic: float
    df: int
    p: float


@dataclass(frozen=True)
class ProportionalityTest:
    """Whether one odds ratio holds at every cut.

    In 600 simulated cohorts of 100 (8 in the lowest of 6 grades, proportional odds true) the score test
    rejected at 0.05 in 5 % with one and with four features, Brant's test in 10 % and 27 %.

    Parameters
    ----------
    method : str
        `Brant` or `score`.
    omnibus : ChiSquared
        All features together.
    features : tuple of (str, ChiSquared)
        Each feature by itself.
    """

    method: str
    omnibus: ChiSquared
    features: tuple[tuple[str, ChiSquared], ...]


@dataclass(frozen=True, eq=False)
class OrdinalFit:
    """A proportional-odds model of the Lovett grade.

    Parameters
    ----------
    terms : tuple of OrdinalTerm
        In the order of the features. NaN under separation, and for a feature that adds nothing.
    thresholds : tuple of Threshold
        One between each two neighbouring grades.
    counts : tuple of (int, int)
        Grade and number of participants, for each grade that occurs.
    n, n_missing : int
        Complete participants, and those with a grade but not all features.
    log_likelihood, null_log_likelihood : float
        Of the model and of the model without features.
    aic : float
        Akaike's criterion, 2 × (thresholds and features) - 2 × `log_likelihood`.
    lr : ChiSquared
        Likelihood-ratio test of all features together.
    cuts : tuple of Cut
        The separate logistic models that the assumption says are one.
    brant : ProportionalityTest
        Brant's test of the assumption: a Wald test between the models of the cuts.
    score : ProportionalityTest
        The score test of the assumption, which needs the proportional model only.
    level : float
        Coverage of the intervals.
    is_separated : bool
        Whether the features order some participants perfectly, so that no estimates exist.
    issues : tuple of Issue
        What makes the model doubtful.
    """

    terms: tuple[OrdinalTerm, ...]
    thresholds: tuple[Threshold, ...]
    counts: tuple[tuple[int, int], ...]
    n: int
    n_missing: int
    log_likelihood: float
    null_log_likelihood: float
    aic: float
    lr: ChiSquared
    cuts: tuple[Cut, ...]
    brant: ProportionalityTest
    score: ProportionalityTest
    level: float
    is_separated: bool
    issues: tuple[Issue, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Features of the model."""
        return tuple(term.name for term in self.terms)


def fit_ordinal(features: pd.DataFrame, grade: pd.Series, *, level: float = 0.95) -> OrdinalFit:
    """Fit the proportional-odds (cumulative logit) model of the grade.

    With grades 1 … J and features x the model is (McCullagh 1980)

        log odds of a grade above j = x β - θ_j,    j = 1 … J - 1,

    one β for all j: an odds ratio above 1 means a higher grade, a stronger muscle, where the feature is
    higher. (The odds ratios of `fit_logistic` are of poor function and point the other way.) It is what
    R's `MASS::polr` and SPSS's PLUM fit. The likelihood is concave (Pratt 1981), and Newton steps with its
    exact derivatives find its maximum; statsmodels' OrderedModel takes finite differences (7 digits of a
    standard error) and reports no convergence when asked for more.

    Defined outcomes, each with an issue: grades that nobody has are left out of the scale. With fewer than
    3 grades there is no model (NaN). A constant feature, or one that is a combination of those before
    it, is left out (NaN). Where the features order some participants perfectly the estimates do not exist:
    NaN, and the log likelihood is NaN too. Brant's test is NaN where the features separate a cut in its own
    logistic model, and where its estimated covariance is not positive definite, as happens with few
    participants at a cut (the bare formula then gives a negative χ²); the score test is defined all the same.

    Parameters
    ----------
    features : DataFrame
        One column for each feature, indexed by participant; complete participants are used.
    grade : Series
        Whole numbers, indexed by participant; participants without one are left out.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    OrdinalFit
        Estimates, and whether the assumption holds.

    Raises
    ------
    StatisticsError
        If a grade is no whole number, or the fit does not converge although the estimates exist.
    """
    complete, outcome, n_missing = complete_cases(features, grade)
    grades, codes, counts = np.unique(_whole(outcome), return_inverse=True, return_counts=True)
    data = _Data(complete, grades, codes, counts, n_missing, level)
    if len(grades) < FEWEST_GRADES:
        what = f"{len(grades)} different grade(s) in {len(codes)} complete participants, {FEWEST_GRADES} needed."
        issue = Issue(Severity.ERROR, data.where, what, "Use a logistic model of two groups instead.")
        return _without_model(data, is_separated=False, issues=(issue,))
    kept, x, _, _ = data.standardised()
    issues = _left_out(data.names, kept)
    if not kept:
        issues.append(Issue(Severity.ERROR, data.where, "no feature that varies, so no model."))
        return _without_model(data, is_separated=False, issues=tuple(issues))
    if separated_rows(*_stacked(x, codes, len(grades))).any():
        what = "the features put participants in the order of their grades perfectly (separation): no odds ratios."
        issues.append(Issue(Severity.WARNING, data.where, what, "Use fewer features, or a penalised fit."))
        return _without_model(data, is_separated=True, issues=tuple(issues))
    return _fitted(data, issues)


def fit_each_ordinal(features: pd.DataFrame, grade: pd.Series, *, level: float = 0.95) -> tuple[OrdinalFit, ...]:
    """Fit the proportional-odds model of each feature alone.

    Parameters
    ----------
    features : DataFrame
        One column for each feature, indexed by participant; each model uses those who have its feature.
    grade : Series
        Whole numbers, indexed by participant.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    tuple of OrdinalFit
        In the order of the features.

    Raises
    ------
    StatisticsError
        As `fit_ordinal`.
    """
    # Many small products: handing them to several threads takes longer than doing them.
    with threadpool_limits(1, "blas"):
        return tuple(fit_ordinal(features[[name]], grade, level=level) for name in features.columns)


@dataclass(frozen=True)
class _Data:
    features: pd.DataFrame
    grades: Integers
    codes: Integers  # place of each participant's grade among those that occur
    counts: Integers
    n_missing: int
    level: float

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.features.columns]

    @property
    def where(self) -> str:
        names = self.names
        return " + ".join(names) if len(names) <= 3 else f"ordinal model of {len(names)} features"

    def standardised(self) -> tuple[list[int], Floats, Floats, Floats]:
        """Features that add something, standardised; their means and SDs (n - 1)."""
        standardised, centre, scale = standardise(self.features.to_numpy(dtype=float))
        kept = list(independent_columns(standardised))
        return kept, standardised[:, kept], centre[kept], scale[kept]


@dataclass(frozen=True)
class _Maximum:
    """Thresholds, then coefficients, of standardised features."""

    terms: Floats
    covariance: Floats
    log_likelihood: float


def _whole(outcome: pd.Series) -> Integers:
    numbers = outcome.to_numpy(dtype=float)
    if not np.all(np.isfinite(numbers) & (numbers == np.round(numbers))):
        raise StatisticsError("grades that are no whole numbers found. Give the Lovett grade as 0 to 5.")
    return numbers.astype(int)


def _stacked(x: Floats, codes: Integers, n_grades: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Two rows for each participant: not above the threshold over its grade, above the one under it.

    The likelihood rises for ever along the directions that separate these rows (each term of it is a sum
    of a logistic log likelihood for each row and a part that only depends on the thresholds).
    """
    design, is_above = [], []
    for shift in (0, 1):
        place = codes - shift
        rows = (place >= 0) & (place < n_grades - 1)
        design.append(np.column_stack([-np.eye(n_grades - 1)[place[rows]], x[rows]]))
        is_above.append(np.full(int(rows.sum()), shift == 1))
    return np.vstack(design), np.concatenate(is_above)


def _derivatives(
    terms: Floats, x: Floats, codes: Integers, n_grades: int, offset: Floats
) -> tuple[float, Floats, Floats]:
    """Log likelihood, gradient and Hessian.

    With a = θ_j - η and b = θ_(j-1) - η the probability of grade j is
    σ(a) - σ(b) = σ(a) σ(-b) (1 - exp(b - a)), which loses no digits.
    """
    n_cuts = n_grades - 1
    thresholds, beta = terms[:n_cuts], terms[n_cuts:]
    gaps = np.minimum(np.diff(thresholds), LARGEST_GAP)
    if np.any(gaps <= 0):
        return -math.inf, terms, np.empty((0, 0))
    eta = x @ beta + offset
    has_upper, has_lower = codes < n_cuts, codes > 0
    upper = thresholds[np.minimum(codes, n_cuts - 1)] - eta
    lower = thresholds[np.maximum(codes - 1, 0)] - eta
    per_gap = np.bincount(codes, minlength=n_grades)[1:-1]
    log_likelihood = (
        -np.logaddexp(0, -upper)[has_upper].sum()
        - np.logaddexp(0, lower)[has_lower].sum()
        + per_gap @ np.log(-np.expm1(-gaps))
    )
    to_upper = np.where(has_upper, expit(-upper), 0.0)
    to_lower = np.where(has_lower, -expit(lower), 0.0)
    bend_upper = np.where(has_upper, expit(upper) * expit(-upper), 0.0)
    bend_lower = np.where(has_lower, expit(lower) * expit(-lower), 0.0)

    places = np.arange(n_cuts)
    is_upper, is_lower = codes[:, None] == places, codes[:, None] - 1 == places
    gradient = np.concatenate([to_upper @ is_upper + to_lower @ is_lower, -(to_upper + to_lower) @ x])
    design_upper = np.column_stack([is_upper, -x])
    design_lower = np.column_stack([is_lower, -x])
    hessian = -(design_upper.T * bend_upper) @ design_upper - (design_lower.T * bend_lower) @ design_lower
    slope = per_gap / np.expm1(gaps)
    bend = per_gap / (np.expm1(gaps) * -np.expm1(-gaps))
    for j, (s, c) in enumerate(zip(slope, bend, strict=True)):
        gradient[[j + 1, j]] += (s, -s)
        hessian[j : j + 2, j : j + 2] -= c * np.array([[1, -1], [-1, 1]])
    return float(log_likelihood), gradient, hessian


def _maximise(
    x: Floats, codes: Integers, n_grades: int, *, offset: Floats | float = 0.0, start: Floats | None = None
) -> _Maximum | None:
    """Find the maximum; None where the likelihood is so flat that its digits do not tell where it is."""
    offset = np.broadcast_to(np.asarray(offset, dtype=float), codes.shape)
    if start is None:
        share = np.cumsum(np.bincount(codes, minlength=n_grades))[:-1] / codes.size
        start = np.concatenate([np.log(share / (1 - share)), np.zeros(x.shape[1])])
    terms = start
    value, gradient, hessian = _derivatives(terms, x, codes, n_grades, offset)
    for _ in range(MAX_STEPS):
        step = _newton_step(gradient, hessian)
        gain = float(gradient @ step)
        for _ in range(MAX_HALVINGS):
            found = _derivatives(terms + step, x, codes, n_grades, offset)
            if found[0] >= value - 1e-12 * abs(value):
                break
            step = step / 2
        else:
            return None
        terms = terms + step
        value, gradient, hessian = found
        if np.abs(step).max(initial=0) < TOLERANCE or gain < ROUNDING_GAIN:
            return _at_maximum(terms, value, hessian)
    return None


def _newton_step(gradient: Floats, hessian: Floats) -> Floats:
    """Newton's step, damped where the likelihood is all but flat, and never endless."""
    damping = FLAT * np.abs(np.diag(hessian)).max(initial=1.0)
    step = np.linalg.solve(damping * np.eye(len(gradient)) - hessian, gradient)
    return step * min(1.0, LARGEST_STEP / max(float(np.abs(step).max(initial=0)), LARGEST_STEP))


def _at_maximum(terms: Floats, value: float, hessian: Floats) -> _Maximum | None:
    curvature = np.linalg.eigvalsh(-hessian)
    if curvature[0] <= FLAT * curvature[-1]:
        return None
    return _Maximum(terms, np.linalg.inv(-hessian), value)


def _fitted(data: _Data, issues: list[Issue]) -> OrdinalFit:
    kept, x, centre, scale = data.standardised()
    n_grades, n_cuts = len(data.grades), len(data.grades) - 1
    best = _maximise(x, data.codes, n_grades)
    if best is None:
        what = "the data hardly determine the odds ratios: the likelihood is flat about its maximum."
        issues.append(Issue(Severity.WARNING, data.where, what, "Use fewer features, and look for outlying values."))
        return _without_model(data, is_separated=False, issues=tuple(issues))
    null = float(data.counts @ np.log(data.counts / data.codes.size))
    ratio = max(2 * (best.log_likelihood - null), 0.0)
    found = [
        _term(data, best, x, place=place, sd=float(scale[place]), name=data.names[i]) for place, i in enumerate(kept)
    ]
    by_name = {term.name: term for term in found}
    issues += _without_interval(found)
    cuts, brant = _check_assumption(data, kept, x, scale, issues)
    n_terms = n_cuts + len(kept)
    return OrdinalFit(
        terms=tuple(by_name.get(name, _undefined(name, data.level)) for name in data.names),
        thresholds=_thresholds(data, best, centre, scale),
        counts=_counts(data),
        n=data.codes.size,
        n_missing=data.n_missing,
        log_likelihood=best.log_likelihood,
        null_log_likelihood=null,
        aic=2 * n_terms - 2 * best.log_likelihood,
        lr=ChiSquared(ratio, len(kept), float(stats.chi2.sf(ratio, len(kept)))),
        cuts=cuts,
        brant=brant,
        score=_score_test([data.names[i] for i in kept], best, x, data.codes, n_cuts),
        level=data.level,
        is_separated=False,
        issues=tuple(issues),
    )


def _term(data: _Data, best: _Maximum, x: Floats, *, place: int, sd: float, name: str) -> OrdinalTerm:
    n_grades = len(data.grades)
    column = n_grades - 1 + place
    per_sd, se = float(best.terms[column]), math.sqrt(best.covariance[column, column])
    others = np.delete(x, place, axis=1)
    start = np.delete(best.terms, column)

    def loss(value: float) -> float:
        """Twice the fall of the log likelihood where this coefficient is held at a value."""
        rest = _maximise(others, data.codes, n_grades, offset=value * x[:, place], start=start)
        return math.nan if rest is None else 2 * (best.log_likelihood - rest.log_likelihood)

    step = step_of(name)
    ratio = loss(0.0)
    ratio = max(ratio, 0.0) if math.isfinite(ratio) else math.nan
    quantile = float(stats.norm.ppf((1 + data.level) / 2))
    low, high = (_end(loss, per_sd, direction * quantile * se, quantile**2) for direction in (-1, 1))
    bounds = Interval(low, high, data.level)
    return OrdinalTerm(
        name=name,
        estimate=per_sd / sd,
        se=se / sd,
        z=per_sd / se,
        p=float(2 * stats.norm.sf(abs(per_sd / se))),
        lr=ratio,
        lr_p=float(stats.chi2.sf(ratio, 1)),
        step=step,
        odds_ratio=odds_ratio_of(per_sd * step / sd),
        wald=_wald(per_sd, se, quantile, step / sd, data.level),
        profile=exp_interval(bounds, step / sd),
        sd=sd,
        odds_ratio_per_sd=odds_ratio_of(per_sd),
        profile_per_sd=exp_interval(bounds),
    )


def _without_interval(terms: list[OrdinalTerm]) -> Iterator[Issue]:
    for term in terms:
        per_sd = term.profile_per_sd
        if not per_sd.is_defined:
            what = "an end of its profile interval was not found; the interval is not given."
            yield Issue(Severity.WARNING, term.name, what, "Use fewer features.")
        ends = (term.profile.low, per_sd.low), (term.profile.high, per_sd.high)
        wald = ((end, term.odds_ratio_per_sd) for end in (term.wald.low, term.wald.high))
        yield from long_step_issue(term.name, (term.odds_ratio, term.odds_ratio_per_sd), *ends, *wald)


def _end(loss: Callable[[float], float], estimate: float, reach: float, limit: float) -> float:
    """Find where the profile of twice the log likelihood has fallen by the limit."""
    far = reach
    while (fallen := loss(estimate + far)) < limit and abs(far) < LARGEST_EXPONENT:
        far *= 2
    if not fallen >= limit:
        return math.nan
    try:
        return float(brentq(lambda value: loss(value) - limit, estimate, estimate + far, xtol=1e-11, rtol=1e-11))
    except ValueError:  # not a number on the way
        return math.nan


def _wald(estimate: float, se: float, quantile: float, step: float, level: float) -> Interval:
    return exp_interval(Interval(estimate - quantile * se, estimate + quantile * se, level), step)


def _thresholds(data: _Data, best: _Maximum, centre: Floats, scale: Floats) -> tuple[Threshold, ...]:
    n_cuts = len(data.grades) - 1
    # Moves thresholds from features at their means to features at zero.
    matrix = np.column_stack([np.eye(n_cuts), np.tile(centre / scale, (n_cuts, 1))])
    estimates, errors = matrix @ best.terms, np.sqrt(np.diag(matrix @ best.covariance @ matrix.T))
    pairs = zip(data.grades[:-1].tolist(), data.grades[1:].tolist(), estimates.tolist(), errors.tolist(), strict=True)
    return tuple(Threshold(*pair) for pair in pairs)


def _counts(data: _Data) -> tuple[tuple[int, int], ...]:
    return tuple(zip(data.grades.tolist(), data.counts.tolist(), strict=True))


def _check_assumption(
    data: _Data, kept: list[int], x: Floats, scale: Floats, issues: list[Issue]
) -> tuple[tuple[Cut, ...], ProportionalityTest]:
    names = [data.names[i] for i in kept]
    cuts, fits = [], []
    for place, grade in enumerate(data.grades[1:].tolist()):
        is_above = data.codes > place
        is_separated = bool(separated_rows(np.column_stack([np.ones(len(x)), x]), is_above).any())
        fit = None if is_separated else _maximise(x, is_above.astype(int), 2)
        is_separated = fit is None  # a likelihood that is flat to the last digit is as good as separated
        terms = _cut_terms(names, fit, scale, data.level)
        cuts.append(Cut(grade, int((~is_above).sum()), int(is_above.sum()), terms, is_separated))
        fits.append(fit)
    separated = [cut.at_least for cut in cuts if cut.is_separated]
    few = [cut.at_least for cut in cuts if min(cut.n_below, cut.n_above) < FEW_AT_A_CUT]
    if separated:
        what = f"the features separate the participants at the cut of grade ≥ {_listed(separated)}: no Brant test."
        issues.append(Issue(Severity.WARNING, data.where, what, "Join rare grades, or use fewer features."))
    if few:
        what = (
            f"fewer than {FEW_AT_A_CUT} participants on one side of the cut of grade ≥ {_listed(few)}: "
            "the tests of the assumption are unreliable."
        )
        issues.append(Issue(Severity.WARNING, data.where, what, "Look at the odds ratios of the cuts, or join grades."))
    known = [fit for fit in fits if fit is not None]
    brant = _brant(names, known, x) if not separated else None
    if brant is None:
        if not separated:
            what = "the estimated covariance of the cuts' coefficients is no covariance (few at a cut): no Brant test."
            issues.append(Issue(Severity.WARNING, data.where, what, "Read the score test, or join rare grades."))
        brant = _no_test("Brant", names, len(cuts) - 1)
    return tuple(cuts), brant


def _cut_terms(names: list[str], fit: _Maximum | None, scale: Floats, level: float) -> tuple[CutTerm, ...]:
    if fit is None:
        nan, nowhere = math.nan, Interval(math.nan, math.nan, level)
        return tuple(CutTerm(name, nan, nan, nan, nowhere, nan, nowhere) for name in names)
    quantile = float(stats.norm.ppf((1 + level) / 2))
    errors = np.sqrt(np.diag(fit.covariance))[1:].tolist()
    terms = []
    for name, per_sd, se, sd in zip(names, fit.terms[1:].tolist(), errors, scale.tolist(), strict=True):
        step = step_of(name) / sd
        for_step = _wald(per_sd, se, quantile, step, level)
        for_sd = _wald(per_sd, se, quantile, 1.0, level)
        terms.append(
            CutTerm(name, per_sd / sd, se / sd, odds_ratio_of(per_sd * step), for_step, odds_ratio_of(per_sd), for_sd)
        )
    return tuple(terms)


def _brant(names: list[str], fits: list[_Maximum], x: Floats) -> ProportionalityTest | None:
    """Test whether the coefficients of the logistic models of all cuts are one (Brant 1990, eqs. 6 to 9).

    The models share participants: the covariance of the coefficients of cuts j < l is
    (X'W_j X)⁻¹ X'W_jl X (X'W_l X)⁻¹ with weights W_jl = π_l (1 - π_j), π_j = P(grade above cut j).
    """
    design = np.column_stack([np.ones(len(x)), x])
    above = [expit(x @ fit.terms[1:] - fit.terms[0]) for fit in fits]
    k, n_cuts = x.shape[1], len(fits)
    breads = [np.linalg.inv((design.T * (p * (1 - p))) @ design) for p in above]
    covariance = np.empty((n_cuts, k, n_cuts, k))
    for j in range(n_cuts):
        for m in range(j, n_cuts):
            meat = (design.T * (above[m] * (1 - above[j]))) @ design
            block = (breads[j] @ meat @ breads[m])[1:, 1:]
            covariance[j, :, m], covariance[m, :, j] = block, block.T
    slopes = np.array([fit.terms[1:] for fit in fits])
    contrast = np.column_stack([-np.ones(n_cuts - 1), np.eye(n_cuts - 1)])

    def test(columns: list[int]) -> ChiSquared | None:
        difference = (contrast @ slopes[:, columns]).ravel()
        own = np.einsum("aj,jcmd,bm->acbd", contrast, covariance[:, columns][:, :, :, columns], contrast)
        own = own.reshape(difference.size, difference.size)
        root = np.linalg.eigvalsh(own)
        if root[0] <= SINGULAR * root[-1]:
            return None
        statistic = float(difference @ np.linalg.solve(own, difference))
        return ChiSquared(statistic, difference.size, float(stats.chi2.sf(statistic, difference.size)))

    omnibus, single = test(list(range(k))), [test([i]) for i in range(k)]
    if omnibus is None:
        return None
    nothing = ChiSquared(math.nan, n_cuts - 1, math.nan)
    return ProportionalityTest(
        "Brant", omnibus, tuple((name, found or nothing) for name, found in zip(names, single, strict=True))
    )


def _score_test(names: list[str], best: _Maximum, x: Floats, codes: Integers, n_cuts: int) -> ProportionalityTest:
    """Test the proportional model against a β of its own for each cut (Peterson & Harrell 1990, section 4).

    U'I⁻¹U with score U and expected information I of the larger model where all β are equal. Category j
    has probability p_j = γ_j - γ_(j-1), so that I is tridiagonal in the cuts and always positive.
    """
    k = x.shape[1]
    cumulative = expit(best.terms[:n_cuts] - (x @ best.terms[n_cuts:])[:, None])
    slope = cumulative * (1 - cumulative)
    share = np.maximum(np.diff(cumulative, prepend=0.0, append=1.0, axis=1), SMALLEST_SHARE)
    hit = codes[:, None] == np.arange(n_cuts + 1)
    design = np.column_stack([np.ones(len(x)), -x])
    residual = slope * ((hit / share)[:, :-1] - (hit / share)[:, 1:])
    score = (residual.T @ design).ravel()
    information = np.zeros((n_cuts, k + 1, n_cuts, k + 1))
    for j in range(n_cuts):
        own = slope[:, j] ** 2 * (1 / share[:, j] + 1 / share[:, j + 1])
        information[j, :, j] = (design.T * own) @ design
        if j + 1 < n_cuts:
            between = (design.T * (-slope[:, j] * slope[:, j + 1] / share[:, j + 1])) @ design
            information[j, :, j + 1] = information[j + 1, :, j] = between
    whole = information.reshape(score.size, score.size)

    def test(free: list[int]) -> ChiSquared:
        """Let these features have a coefficient for each cut, the others a common one."""
        cuts = np.eye(n_cuts)
        columns = [np.kron(cuts, np.eye(k + 1)[:, [i]]) for i in (0, *(i + 1 for i in free))]
        columns += [np.kron(np.ones((n_cuts, 1)), np.eye(k + 1)[:, [i + 1]]) for i in range(k) if i not in free]
        basis = np.column_stack(columns)
        part = basis.T @ score
        statistic = float(part @ np.linalg.solve(basis.T @ whole @ basis, part))
        df = len(free) * (n_cuts - 1)
        return ChiSquared(statistic, df, float(stats.chi2.sf(statistic, df)))

    return ProportionalityTest("score", test(list(range(k))), tuple((name, test([i])) for i, name in enumerate(names)))


def _no_test(method: str, names: list[str], df: int) -> ProportionalityTest:
    nan = math.nan
    single = tuple((name, ChiSquared(nan, df, nan)) for name in names)
    return ProportionalityTest(method, ChiSquared(nan, df * len(names), nan), single)


def _listed(grades: list[int]) -> str:
    return ", ".join(str(grade) for grade in grades)


def _left_out(names: list[str], kept: list[int]) -> list[Issue]:
    return [left_out_issue(name) for i, name in enumerate(names) if i not in kept]


def _undefined(name: str, level: float) -> OrdinalTerm:
    nan = math.nan
    nowhere = Interval(nan, nan, level)
    return OrdinalTerm(name, nan, nan, nan, nan, nan, nan, step_of(name), nan, nowhere, nowhere, nan, nan, nowhere)


def _without_model(data: _Data, *, is_separated: bool, issues: tuple[Issue, ...]) -> OrdinalFit:
    nan, names = math.nan, data.names
    between = zip(data.grades[:-1].tolist(), data.grades[1:].tolist(), strict=True)
    n = data.codes.size
    return OrdinalFit(
        terms=tuple(_undefined(name, data.level) for name in names),
        thresholds=tuple(Threshold(below, above, nan, nan) for below, above in between),
        counts=_counts(data),
        n=n,
        n_missing=data.n_missing,
        log_likelihood=nan,
        null_log_likelihood=float(data.counts @ np.log(data.counts / n)) if n else nan,
        aic=nan,
        lr=ChiSquared(nan, len(names), nan),
        cuts=(),
        brant=_no_test("Brant", names, max(len(data.grades) - 2, 0)),
        score=_no_test("score", names, max(len(data.grades) - 2, 0)),
        level=data.level,
        is_separated=is_separated,
        issues=issues,
    )
