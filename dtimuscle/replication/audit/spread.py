"""Whether patients differ as much from each other as the printed standard deviations say."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy.optimize import brentq

from dtimuscle.replication.audit.findings import (
    Check,
    CheckResult,
    Finding,
    Quantity,
    Sentence,
    Severity,
    Step,
    WayOut,
)
from dtimuscle.replication.printed import PrintedMean, printed_mean
from dtimuscle.replication.published import GroupMeans, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues, SpreadRange
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.noncentral_t import share_above

_NAME = "spread"
_RATE = 0.001

# What "±" would be if it gave half of a 95% range of normal values.
_HALF_RANGE = 1.959963984540054  # Φ⁻¹(0.975)

_METHOD = "Johnson & Welch, Biometrika 1940; 31: 362-389"


@dataclass(frozen=True)
class Spread:
    """How far patients of a group lie apart, relative to their mean.

    Parameters
    ----------
    claim_id : str
        The claim that prints it.
    feature : str
        Such as `adductor_longus.md`.
    group : PrintedMean
        Mean, SD and number of patients.
    is_sd : bool
        Whether the number after ± is printed as a standard deviation.
    cv : float
        Coefficient of variation: SD as a share of the mean.
    rounding : Interval
        Its range over the rounding of the printed numbers.
    lower : float
        Lower confidence limit of the population's, for the lowest value that the rounding allows.
    """

    claim_id: str
    feature: str
    group: PrintedMean
    is_sd: bool
    cv: float
    rounding: Interval
    lower: float


def spreads(study: PublishedStudy, *, rate: float = _RATE) -> tuple[Spread, ...]:
    """Compute the coefficient of variation of every printed mean and SD.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    rate : float, default=0.001
        Share of studies of which any lower limit may lie above the population's value by chance; divided by the
        number of printed means (Bonferroni).

    Returns
    -------
    tuple of Spread
        In the order of the source; a mean that may be zero or less has none.
    """
    found = []
    for claim in study.claims:
        if not isinstance(claim, GroupMeans):
            continue
        for row in claim.means:
            group = printed_mean(study, claim, row.feature, row.group)
            if group is not None and group.mean.low > 0:
                found.append((claim, row.feature, group))
    return tuple(_spread(claim, feature, group, rate=rate / len(found)) for claim, feature, group in found)


def _spread(claim: GroupMeans, feature: str, group: PrintedMean, *, rate: float) -> Spread:
    rounding = Interval(group.sd.low / group.mean.high, group.sd.high / group.mean.low)
    return Spread(
        claim_id=claim.id,
        feature=feature,
        group=group,
        is_sd=claim.spread == "sd",
        cv=group.sd.value / group.mean.value,
        rounding=rounding,
        lower=lower_limit(rounding.low, group.n, rate=rate),
    )


def lower_limit(cv: float, n: int, *, rate: float) -> float:
    """Return the lower confidence limit of a coefficient of variation, for normal values.

    √n / cv is a noncentral t with n − 1 degrees of freedom and noncentrality √n / κ (Johnson & Welch 1940). The limit
    is the κ with which a cv this high, or higher, would be seen at the given rate.

    Parameters
    ----------
    cv : float
        SD over mean, above 0.
    n : int
        Number of patients, at least 2.
    rate : float
        One-sided, below one half.

    Returns
    -------
    float
        Below the given one.
    """
    root = math.sqrt(n)
    t, df = root / cv, n - 1

    def excess(noncentrality: float) -> float:
        return (1 - share_above(t, df, noncentrality)) - rate

    # Where S = √(χ²/df) is far above 1, t is small for its noncentrality; t + 10 of its own SDs is beyond any rate.
    high = t + math.hypot(1, t / math.sqrt(2 * df))
    while excess(high) > 0:
        high *= 1.5
    return root / float(brentq(excess, t / 2, high, xtol=1e-13 * high, rtol=1e-14))


def _run(study: PublishedStudy, reference: ReferenceValues) -> CheckResult:
    known = [spread for spread in spreads(study) if _parameter(spread) in reference.between_subject_cv]
    by_parameter: dict[str, list[Spread]] = {}
    for spread in known:
        by_parameter.setdefault(_parameter(spread), []).append(spread)
    references = {str(name): values for name, values in reference.between_subject_cv.items()}
    findings = [
        finding
        for parameter, of_parameter in by_parameter.items()
        for finding in _finding(study, parameter, of_parameter, references[parameter], reference)
    ]
    examined = tuple(dict.fromkeys(study.in_words(spread.feature) for spread in known))
    return CheckResult(examined, tuple(sorted(findings, key=lambda one: list(Severity).index(one.severity))))


def _parameter(spread: Spread) -> str:
    return spread.feature.split(".")[1]


def _finding(
    study: PublishedStudy, parameter: str, of_parameter: list[Spread], known: SpreadRange, reference: ReferenceValues
) -> Iterator[Finding]:
    """Say that patients differ more than in any study, or note that they differ more than in most."""
    wide = [spread for spread in of_parameter if spread.lower > known.highest]
    severity, bound = Severity.UNLIKELY, known.highest
    if not wide:
        wide = [spread for spread in of_parameter if spread.lower > known.published_median]
        severity, bound = Severity.NOTE, known.published_median
    if not wide:
        return
    title = study.parameter_title(parameter)
    yield Finding(
        check=_NAME,
        severity=severity,
        title=f"Patients differ widely in {title}"
        + (", more than in any study of muscle" if severity is Severity.UNLIKELY else ""),
        sentence=_sentence(of_parameter, wide, known, severity),
        claims=tuple(dict.fromkeys(spread.claim_id for spread in wide)),
        features=tuple(dict.fromkeys(spread.feature for spread in wide)),
        steps=(_step(study, of_parameter, known),),
        ways_out=tuple(_ways_out(wide, bound, parameter, reference)),
        references=tuple(dict.fromkeys([_METHOD, *known.sources])),
    )


def _sentence(of_parameter: list[Spread], wide: list[Spread], known: SpreadRange, severity: Severity) -> Sentence:
    values = [spread.cv for spread in wide]
    ratio = known.highest if severity is Severity.UNLIKELY else known.published_median
    quantities = (
        Quantity("n_wide", "Groups with a wide spread", "count", len(wide)),
        Quantity("n_means", "Groups compared", "count", len(of_parameter)),
        Quantity("lowest", "Lowest SD of these, as a share of the mean", "share", min(values)),
        Quantity("highest", "Highest SD of these, as a share of the mean", "share", max(values)),
        Quantity("median", "Median of the studies", "share", known.published_median),
        Quantity("published", "Highest of the studies", "share", known.published_high),
        Quantity("factor", "Highest against what is compared with", "number", max(values) / ratio),
    )
    range_of_sds = "{highest}" if len(wide) == 1 else "{lowest} to {highest}"
    first = (
        f"In {{n_wide}} of {{n_means}} printed groups the SD between patients is {range_of_sds} of the mean. In "
        "studies of muscle it is {median} (median) and at most {published}. "
    )
    if severity is Severity.UNLIKELY:
        return Sentence(first + "Beyond these, with an allowance, it is up to {factor} times as wide.", quantities)
    is_seen = all(spread.lower <= known.published_high for spread in wide)
    end = (
        "allowing for chance, the widest of the studies found as much" if is_seen else "other patients may differ more"
    )
    return Sentence(f"{first}It is up to {{factor}} times the usual one, more than chance explains; {end}.", quantities)


def _step(study: PublishedStudy, of_parameter: list[Spread], known: SpreadRange) -> Step:
    rows = []
    for number, spread in enumerate(of_parameter, start=1):
        name = f"{study.in_words(spread.feature)}, {spread.group.group.title}"
        rows += [
            Quantity(f"cv_{number}", f"SD / mean: {name}", "share", spread.cv, spread.rounding),
            Quantity(f"lower_{number}", f"Lower limit: {name}", "share", spread.lower),
        ]
    return Step(
        "SD as a share of the mean, and the lowest share in the population that fits it (chance and rounding "
        "allowed for, all groups together right in 999 of 1000 studies)",
        "cv = s / m; √n / cv is a noncentral t with n − 1 degrees of freedom and noncentrality √n / κ",
        (
            *rows,
            Quantity("median", "Median of the studies", "share", known.published_median),
            Quantity("limit", "Highest of the studies, with the allowance", "share", known.highest),
        ),
    )


# Ways out


def _ways_out(wide: list[Spread], bound: float, parameter: str, reference: ReferenceValues) -> Iterator[WayOut]:
    widest = max(wide, key=lambda spread: spread.cv)
    excess = math.sqrt(widest.cv**2 - bound**2)
    yield _over_voxels(bound, excess)
    yield _two_kinds_of_patients(widest, excess, parameter, reference)
    yield _noise(bound, excess)
    if all(spread.is_sd for spread in wide):
        yield _standard_errors(wide, bound)
        yield _half_ranges(wide, bound)


def _bound_quantity(bound: float) -> Quantity:
    return Quantity("bound", "Spread between patients that studies let expect", "share", bound)


def _excess_quantity(excess: float) -> Quantity:
    return Quantity("excess", "What is left of the widest SD, as a share of the mean", "share", excess)


def _over_voxels(bound: float, excess: float) -> WayOut:
    return WayOut(
        "The SDs are over voxels, not over patients",
        "in part",
        Sentence(
            "If patients differed by {bound}, voxels of one muscle would have to vary by {excess} of its mean, which "
            "noise can cause. t tests, effect sizes and AUCs of patients could then not be derived from these SDs.",
            (_bound_quantity(bound), _excess_quantity(excess)),
        ),
        (_excess_step(bound, excess),),
    )


def _excess_step(bound: float, excess: float) -> Step:
    quantities = (_bound_quantity(bound), _excess_quantity(excess))
    return Step("What is left of the widest SD", "√(cv² − bound²)", quantities)


def _two_kinds_of_patients(widest: Spread, excess: float, parameter: str, reference: ReferenceValues) -> WayOut:
    """Test halves of a group whose means lie so far apart that the whole has the printed SD."""
    mean = widest.group.mean.value
    known = {str(name): values for name, values in reference.muscle_means.items()}.get(parameter)
    low, high = mean * (1 - excess), mean * (1 + excess)
    is_known = known is not None and known.low <= low and high <= known.high
    kind = "anisotropy" if parameter == "fa" else "diffusivity"
    end = "" if known is None else "; muscle is known to have both" if is_known else "; not both are known of muscle"
    quantities = (
        Quantity("low", "Mean of one half", "anisotropy" if kind == "anisotropy" else "diffusivity", low),
        Quantity("high", "Mean of the other half", "anisotropy" if kind == "anisotropy" else "diffusivity", high),
    )
    return WayOut(
        "Each group mixes two kinds of patients",
        "in part" if is_known else "no",
        Sentence(f"Two halves of the widest group would need means of {{low}} and {{high}}{end}.", quantities),
    )


def _noise(bound: float, excess: float) -> WayOut:
    return WayOut(
        "The measurement adds its own scatter",
        "in part",
        Sentence(
            "A repeated scan of one patient would have to differ by an SD of {excess} of the mean, beside {bound} "
            "between patients; such a measurement could hardly follow a single patient.",
            (_bound_quantity(bound), _excess_quantity(excess)),
        ),
    )


def _standard_errors(wide: list[Spread], bound: float) -> WayOut:
    values = [spread.cv * math.sqrt(spread.group.n) for spread in wide]
    return WayOut(
        "The numbers after ± are standard errors",
        "yes" if all(value <= bound for value in values) else "no",
        Sentence(
            "Patients would then differ even more: by {lowest} to {highest} of the mean.",
            (
                Quantity("lowest", "Lowest SD, as a share of the mean", "share", min(values)),
                Quantity("highest", "Highest SD, as a share of the mean", "share", max(values)),
            ),
        ),
    )


def _half_ranges(wide: list[Spread], bound: float) -> WayOut:
    values = [spread.cv / _HALF_RANGE for spread in wide]
    fits = [spread.lower / _HALF_RANGE <= bound for spread in wide]
    return WayOut(
        "The numbers after ± are half of a 95% range of patients (1.96 SDs)",
        "yes" if all(fits) else "in part" if any(fits) else "no",
        Sentence(
            "Patients would then differ by {lowest} to {highest} of the mean, and their groups lie farther "
            "apart in SDs.",
            (
                Quantity("lowest", "Lowest SD, as a share of the mean", "share", min(values)),
                Quantity("highest", "Highest SD, as a share of the mean", "share", max(values)),
            ),
        ),
    )


SPREAD = Check(
    name=_NAME,
    question="Do patients differ from each other as much as the printed standard deviations say?",
    needs="mean and SD of a feature in a group",
    false_alarm_rate=_RATE,
    run=_run,
)
