"""Printed correlations and odds ratios against their own intervals, P and numbers of patients."""

import math
from collections.abc import Callable, Iterator

from scipy.special import ndtri, stdtr
from scipy.stats import norm

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
from dtimuscle.replication.printed import PrintedP, RoundedNumber, printed_p, rounded_number
from dtimuscle.replication.published import (
    CorrelationClaim,
    Factor,
    IndependentFactors,
    PrintedInterval,
    PublishedStudy,
)
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.statistics.estimates import Interval

NAME = "correlations"

# Limits and P carry the rounding of binary numbers.
_TINY = 1e-12

# Largest number of patients that is tried for a P.
_MOST_PATIENTS = 100_000

_REFERENCES = (
    "Fisher, Biometrika 1915; 10: 507-521",
    "Fisher, Metron 1921; 1: 3-32",
    "Kendall, Biometrika 1938; 30: 81-93",
)
_RATIO_REFERENCES = ("Altman & Bland, BMJ 2011; 343: d2304",)


def correlation_p(r: float, n: int) -> float:
    """Return the two-sided P of no correlation: t = r √((n − 2)/(1 − r²)) with n − 2 degrees of freedom.

    Parameters
    ----------
    r : float
        Pearson's coefficient; for Spearman's it is the usual approximation.
    n : int
        Patients, at least 3.

    Returns
    -------
    float
        0 for a coefficient of ±1.
    """
    if abs(r) >= 1:
        return 0.0
    return float(2 * stdtr(n - 2, -abs(r) * math.sqrt((n - 2) / (1 - r**2))))


def kendall_p(tau: float, n: int) -> float:
    """Return the two-sided P of Kendall's τ by its normal approximation: SE² = 2(2n + 5)/(9n(n − 1)).

    Parameters
    ----------
    tau : float
        The coefficient.
    n : int
        Patients, at least 3.
    """
    return float(2 * norm.sf(abs(tau) / math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))))


def fisher_interval(r: float, n: int, *, level: float = 0.95) -> Interval:
    """Return Fisher's interval tanh(artanh r ± z/√(n − 3)) of a correlation.

    Parameters
    ----------
    r : float
        The coefficient.
    n : int
        Patients, at least 4.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Interval
        Both ends at r where it is ±1.
    """
    if abs(r) >= 1:
        return Interval(r, r, level)
    half = float(ndtri((1 + level) / 2)) / math.sqrt(n - 3)
    return Interval(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), level)


def odds_ratio_p(odds_ratio: float, low: float, high: float, *, level: float = 0.95) -> float:
    """Return the two-sided P of an odds ratio from its interval: z = log OR / ((log high − log low)/2z_level).

    Parameters
    ----------
    odds_ratio, low, high : float
        Above 0.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    float
        Wald's P (Altman & Bland 2011).
    """
    error = (math.log(high) - math.log(low)) / (2 * float(ndtri((1 + level) / 2)))
    return float(2 * norm.sf(abs(math.log(odds_ratio)) / error))


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Hold each printed correlation and odds ratio against its own P and interval."""
    examined: list[str] = []
    findings: list[Finding] = []
    for claim in study.claims:
        if isinstance(claim, CorrelationClaim) and claim.coefficient is not None:
            n = claim.n or study.design.n
            if n < 4 or (claim.p is None and claim.interval is None):
                continue
            examined.append(f"Correlation {claim.coefficient} in {n} patients")
            findings += _correlation_findings(claim, rounded_number(claim.coefficient), n)
        elif isinstance(claim, IndependentFactors):
            for factor in claim.factors:
                if factor.odds_ratio is None or factor.interval is None:
                    continue
                examined.append(f"Odds ratio of {study.in_words(factor.feature)}")
                findings += _ratio_findings(study, claim, factor)
    return CheckResult(tuple(examined), tuple(findings))


CORRELATIONS = Check(
    name=NAME,
    question="Do printed correlations and odds ratios agree with their own P, interval and number of patients?",
    needs="a correlation or an odds ratio with its P or interval",
    false_alarm_rate=0.0,
    run=_run,
)


def _correlation_findings(claim: CorrelationClaim, r: RoundedNumber, n: int) -> Iterator[Finding]:
    if claim.p is not None and claim.method != "kendall":
        printed = printed_p(claim.p)
        ends = _absolute(r)
        low, high = correlation_p(ends[1], n) - _TINY, correlation_p(ends[0], n) + _TINY
        if not printed.allows(low, high):
            yield _p_finding(claim, r, n, printed)
    if claim.interval is not None and claim.method in (None, "pearson"):
        low_end, high_end = (rounded_number(text) for text in (claim.interval.low, claim.interval.high))
        level = claim.interval.interval.level
        expected = [fisher_interval(min(max(value, -1.0), 1.0), n, level=level) for value in (r.low, r.high)]
        fits = (
            low_end.low - _TINY <= expected[1].low
            and expected[0].low <= low_end.high + _TINY
            and high_end.low - _TINY <= expected[1].high
            and expected[0].high <= high_end.high + _TINY
        )
        if not fits:
            yield _interval_finding(claim, claim.interval, r, n)


def _absolute(r: RoundedNumber) -> tuple[float, float]:
    """Return the smallest and the largest absolute value that is printed so."""
    ends = sorted((abs(r.low), abs(r.high)))
    return (0.0 if r.low <= 0 <= r.high else ends[0]), min(ends[1], 1.0)


def _numbers(r: RoundedNumber, n: int) -> tuple[Quantity, Quantity]:
    return (
        Quantity("r", "Correlation as printed", "correlation", r.value, r.rounding),
        Quantity("n", "Patients", "count", n),
    )


def _p_finding(claim: CorrelationClaim, r: RoundedNumber, n: int, printed: PrintedP) -> Finding:
    ends = _absolute(r)
    size = min(abs(r.value), 1.0)
    p = Quantity(
        "p",
        "P that follows",
        "p",
        correlation_p(size, n),
        Interval(correlation_p(ends[1], n), correlation_p(ends[0], n)),
    )
    text = Quantity("p_printed", "P as printed", "text", text=_p_as_printed(str(claim.p)))
    numbers = _numbers(r, n)
    return Finding(
        check=NAME,
        severity=Severity.INCONSISTENT,
        title="P does not follow from the correlation",
        sentence=Sentence(
            "A correlation of {r} in {n} patients has P = {p}; P {p_printed} is printed.", (*numbers, p, text)
        ),
        claims=(claim.id,),
        features=claim.features,
        steps=(Step("P of a correlation", "t = r √((n − 2)/(1 − r²)), n − 2 degrees of freedom", (*numbers, p)),),
        ways_out=(_other_n(printed, ends), _of_kendall(printed, ends, n)),
        references=_REFERENCES[:1],
    )


def patients_for_p(r: tuple[float, float], printed: PrintedP) -> tuple[int, int] | None:
    """Return the fewest and the most patients in whom a correlation has a printed P.

    Parameters
    ----------
    r : tuple of (float, float)
        Smallest and largest absolute coefficient.
    printed : PrintedP
        The printed P.

    Returns
    -------
    tuple of (int, int) or None
        Up to 100,000; None where no number gives it.
    """
    lowest, highest = printed.number.low, printed.number.high
    if printed.relation in ("<", "<="):
        lowest = 0.0
    elif printed.relation in (">", ">="):
        highest = 1.0
    # P falls with n and with |r|.
    first = _first(lambda n: correlation_p(r[1], n) <= highest)
    beyond = _first(lambda n: correlation_p(r[0], n) < lowest) if lowest > 0 else None
    last = _MOST_PATIENTS if beyond is None else beyond - 1
    return None if first is None or first > last else (first, last)


def _first(holds: Callable[[int], bool]) -> int | None:
    low, high = 3, _MOST_PATIENTS
    if holds(low):
        return low
    if not holds(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _other_n(printed: PrintedP, ends: tuple[float, float]) -> WayOut:
    found = patients_for_p(ends, printed)
    assumption = "The correlation rests on another number of patients"
    if found is None:
        return WayOut(assumption, "no", Sentence("No number of patients gives the printed P."))
    numbers = (
        Quantity("n_fewest", "Fewest patients", "count", found[0]),
        Quantity("n_most", "Most patients", "count", found[1]),
    )
    words = "It would be {n_fewest} to {n_most} patients." if found[1] < _MOST_PATIENTS else "At least {n_fewest}."
    return WayOut(assumption, "in part", Sentence(words, numbers))


def _of_kendall(printed: PrintedP, ends: tuple[float, float], n: int) -> WayOut:
    low, high = kendall_p(ends[1], n), kendall_p(ends[0], n)
    p = Quantity("p_kendall", "P of Kendall's τ", "p", kendall_p(sum(ends) / 2, n), Interval(low, high))
    return WayOut(
        "The coefficient is Kendall's τ (a correlation of ranks)",
        "yes" if printed.allows(low, high) else "no",
        Sentence("P would be {p_kendall}.", (p,)),
    )


def _interval_finding(claim: CorrelationClaim, interval: PrintedInterval, r: RoundedNumber, n: int) -> Finding:
    """Note another interval than Fisher's: the bootstrap, ranks or an adjustment give others."""
    expected = fisher_interval(min(max(r.value, -1.0), 1.0), n, level=interval.interval.level)
    numbers = _numbers(r, n)
    printed = Quantity(
        "printed", "Interval as printed", "text", text=f"{interval.low} to {interval.high} ({interval.level_percent}%)"
    )
    ends = (
        Quantity("low", "Lower end (Fisher)", "correlation", expected.low),
        Quantity("high", "Upper end (Fisher)", "correlation", expected.high),
    )
    return Finding(
        check=NAME,
        severity=Severity.NOTE,
        title="Interval of a correlation is not the usual one",
        sentence=Sentence(
            "The usual interval (Fisher's) of a correlation of {r} in {n} patients is {low} to {high}; "
            "{printed} is printed.",
            (*numbers, *ends, printed),
        ),
        claims=(claim.id,),
        features=claim.features,
        steps=(Step("Fisher's interval", "tanh(artanh r ± z/√(n − 3))", (*numbers, *ends)),),
        ways_out=(
            WayOut(
                "The interval was made by another method, such as the bootstrap, or for ranks",
                "yes",
                Sentence("Then it may have these ends; the source would have to say so."),
            ),
        ),
        references=_REFERENCES[1:2],
    )


def _ratio_findings(study: PublishedStudy, claim: IndependentFactors, factor: Factor) -> Iterator[Finding]:
    """Hold an odds ratio against its interval on the log scale, and its P against both."""
    if factor.odds_ratio is None or factor.interval is None:
        return
    interval = factor.interval
    ratio, low, high = (rounded_number(text) for text in (factor.odds_ratio, interval.low, interval.high))
    if min(ratio.low, low.low) <= 0 or high.low <= low.high:
        return
    level = interval.interval.level
    middle = Quantity(
        "middle", "Geometric middle of the interval", "odds_ratio", math.sqrt(low.value * high.value),
        Interval(math.sqrt(low.low * high.low), math.sqrt(low.high * high.high)),
    )  # fmt: skip
    printed_ratio = Quantity("odds_ratio", "Odds ratio as printed", "odds_ratio", ratio.value, ratio.rounding)
    text = Quantity("interval", "Interval as printed", "text", text=f"{interval.low} to {interval.high}")
    name = study.in_words(factor.feature)
    if not (middle.rounding is None or _overlap(middle.rounding, ratio.rounding)):
        yield Finding(
            check=NAME,
            severity=Severity.NOTE,
            title=f"Interval of the odds ratio of {name} is uneven",
            sentence=Sentence(
                "Wald's interval lies evenly about the odds ratio on the log scale; here its middle is {middle}, and "
                "{odds_ratio} is printed. A profile-likelihood or a bootstrap interval need not be even.",
                (middle, printed_ratio),
            ),
            claims=(claim.id,),
            features=(factor.feature,),
            steps=(Step("Middle of the interval on the log scale", "√(low × high)", (text, middle, printed_ratio)),),
            references=_RATIO_REFERENCES,
        )
        return
    p_text = factor.p or claim.p
    if p_text is None:
        return
    yield from _ratio_p_finding(claim, factor, name, (ratio, low, high), level=level, p_text=_p_as_printed(p_text))


def _ratio_p_finding(
    claim: IndependentFactors,
    factor: Factor,
    name: str,
    numbers: tuple[RoundedNumber, RoundedNumber, RoundedNumber],
    *,
    level: float,
    p_text: str,
) -> Iterator[Finding]:
    ratio, low, high = numbers
    sizes = [abs(math.log(value)) for value in (ratio.low, ratio.high)]
    nearest = 0.0 if ratio.low <= 1 <= ratio.high else min(sizes)
    ps = [
        odds_ratio_p(math.exp(size), *ends, level=level)
        for size in (nearest, max(sizes))
        for ends in ((low.low, high.high), (low.high, high.low))
    ]
    printed = printed_p(p_text)
    if printed.allows(min(ps) - _TINY, max(ps) + _TINY):
        return
    implied = odds_ratio_p(ratio.value, low.value, high.value, level=level)
    quantities = (
        Quantity("odds_ratio", "Odds ratio as printed", "odds_ratio", ratio.value, ratio.rounding),
        Quantity("low", "Lower end as printed", "odds_ratio", low.value, low.rounding),
        Quantity("high", "Upper end as printed", "odds_ratio", high.value, high.rounding),
        Quantity("p", "P that follows (Wald)", "p", implied, Interval(min(ps), max(ps))),
    )
    text = Quantity("p_printed", "P as printed", "text", text=_p_as_printed(p_text))
    contradicts = not printed.allows(*_generous(min(ps), max(ps)))
    yield Finding(
        check=NAME,
        severity=Severity.INCONSISTENT if contradicts else Severity.NOTE,
        title=f"P of the odds ratio of {name} does not follow from its interval",
        sentence=Sentence(
            "An odds ratio of {odds_ratio} ({low} to {high}) has P = {p}; P {p_printed} is printed.",
            (*quantities, text),
        ),
        claims=(claim.id,),
        features=(factor.feature,),
        steps=(Step("P from an interval", "z = log OR / ((log high − log low)/2z)", quantities),),
        ways_out=(
            WayOut(
                "P is that of a likelihood-ratio test, the interval Wald's (or the other way round)",
                "no" if contradicts else "yes",
                Sentence(
                    "The two differ, but P = {p} and P {p_printed} are apart by this much.", (quantities[3], text)
                ),
            ),
        ),
        references=_RATIO_REFERENCES,
    )


def _generous(low: float, high: float) -> tuple[float, float]:
    """Return P within a third of z of the implied ones: as far as likelihood-ratio and Wald tests lie apart."""
    z_high, z_low = (float(norm.isf(p / 2)) for p in (max(low, 1e-300), min(high, 1.0)))
    return float(2 * norm.sf(z_high * 4 / 3)), float(2 * norm.sf(z_low * 2 / 3))


def _overlap(first: Interval, second: Interval) -> bool:
    return first.low <= second.high + _TINY and second.low <= first.high + _TINY


def _p_as_printed(text: str) -> str:
    """Write a printed P so that "P" can stand before it; a bare number means "="."""
    return text if text[0] in "<=≤>≥" else f"= {text}"
