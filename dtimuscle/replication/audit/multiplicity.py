"""How many tests were at least made, and how many of them chance alone makes significant."""

from scipy.stats import binom

from dtimuscle.replication.audit.effects import implied_effects
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
from dtimuscle.replication.printed import PrintedP, printed_p, printed_pairs
from dtimuscle.replication.published import (
    AucComparison,
    CorrelationClaim,
    GroupDifference,
    GroupMeans,
    IndependentFactors,
    PublishedStudy,
)
from dtimuscle.replication.reference_values import ReferenceValues

NAME = "multiplicity"
ALPHA = 0.05

# Fewer expected false alarms than this are not worth a note.
LEAST_EXPECTED = 0.5

_REFERENCES = ("Holm, Scand J Stat 1979; 6: 65-70", "Bender & Lange, J Clin Epidemiol 2001; 54: 343-349")


def count_tests(study: PublishedStudy) -> dict[str, int]:
    """Count the tests that the claims rest on, at least.

    A feature counts once as a difference of the groups, once as a correlation, once in each model and once in each
    comparison of AUCs, however often claims repeat it. Where the source says how many features were tested for a
    difference, that number counts instead.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    dict of str to int
        By kind, in words; only kinds with a test.
    """
    compared = {pair.feature for pair in printed_pairs(study)}
    correlated: set[str] = set()
    factors, curves = set(), set()
    for claim in study.claims:
        match claim:
            case GroupDifference():
                compared |= set(claim.features)
            case CorrelationClaim():
                correlated |= set(study.features_of(claim.id))
            case IndependentFactors():
                factors |= {(claim.event, factor.feature) for factor in claim.factors}
            case AucComparison():
                curves |= {(claim.higher, other) for other in claim.lower}
    counts = {
        "Differences of the groups": max(len(compared), study.design.n_tests or 0),
        "Correlations": len(correlated),
        "Factors in a model": len(factors),
        "Comparisons of AUCs": len(curves),
    }
    return {kind: n for kind, n in counts.items() if n}


def _printed_ps(study: PublishedStudy) -> list[PrintedP]:
    """List the printed P, once for each feature or comparison that shares it."""
    found: list[str | None] = []
    for claim in study.claims:
        match claim:
            case GroupDifference():
                found += [claim.p] * len(claim.features)
            case CorrelationClaim():
                found += [claim.p] * len(study.features_of(claim.id))
            case IndependentFactors():
                found += [factor.p or claim.p for factor in claim.factors]
            case AucComparison():
                found += [claim.p] * len(claim.lower)
            case GroupMeans():
                found += [row.p for row in claim.means]
    return [printed_p(text) for text in found if text]


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Count tests, and the false alarms that are to be expected among them."""
    counts = count_tests(study)
    n = sum(counts.values())
    if n == 0:
        return CheckResult(())
    examined = tuple(f"{kind}: {n_kind}" for kind, n_kind in counts.items())
    if n * ALPHA < LEAST_EXPECTED or study.design.correction != "none stated":
        return CheckResult(examined)
    return CheckResult(examined, (_finding(study, counts),))


MULTIPLICITY = Check(
    name=NAME,
    question="How many of the tests would chance alone make significant?",
    needs="claims that rest on tests",
    false_alarm_rate=0.0,
    run=_run,
)


def _finding(study: PublishedStudy, counts: dict[str, int]) -> Finding:
    n = sum(counts.values())
    bound = ALPHA / n
    printed = _printed_ps(study)
    # A bound is meant exactly as printed; after "=" the highest P that rounds to the number counts.
    surely = sum(
        (p.number.high if p.relation == "=" else p.number.value) <= bound
        for p in printed
        if p.relation in ("<", "<=", "=")
    )
    implied = [effect.welch.p for effect in implied_effects(study)]
    n_implied = sum((p.rounding.high if p.rounding else p.value) <= bound for p in implied)
    tests = Quantity("n_tests", "Tests at least", "count", n)
    expected = Quantity("expected", "Significant by chance, if nothing differed anywhere", "number", n * ALPHA)
    chance = Quantity("any", "Chance of at least one, for independent tests", "share", 1 - (1 - ALPHA) ** n)
    several = Quantity("two", "Chance of at least two, for independent tests", "share", float(binom.sf(1, n, ALPHA)))
    limit = Quantity("bound", "Largest P that survives Bonferroni's correction", "p", bound)
    by_kind = tuple(
        Quantity(f"n_{index}", kind, "count", n_kind) for index, (kind, n_kind) in enumerate(counts.items(), start=1)
    )
    survive = (
        Quantity("n_printed", "Printed P", "count", len(printed)),
        Quantity("n_surely", "… that surely survive", "count", surely),
        Quantity("n_means", "P that printed means imply (Welch)", "count", len(implied)),
        Quantity("n_implied", "… that survive", "count", n_implied),
    )
    return Finding(
        check=NAME,
        severity=Severity.NOTE,
        title="Many tests, no correction stated",
        sentence=Sentence(
            "The claims rest on at least {n_tests} tests. If nothing differed anywhere, about {expected} of them would "
            "still have P < 0.05, and with a chance of {any} at least one. Corrected for that (Bonferroni), P must be "
            "at most {bound}. Of the {n_printed} printed P, {n_surely} are sure to be that small"
            + ("; of the {n_means} that printed means imply, {n_implied} are." if implied else "."),
            (tests, expected, chance, limit, *survive),
        ),
        claims=tuple(
            claim.id
            for claim in study.claims
            if isinstance(claim, GroupDifference | CorrelationClaim | IndependentFactors | AucComparison)
        ),
        steps=(
            Step("Tests at least", "sum over the kinds of claims", (*by_kind, tests)),
            Step("By chance alone", "0.05 n; 1 − 0.95ⁿ; binomial", (expected, chance, several)),
            Step("What a correction leaves", "P ≤ 0.05/n (Bonferroni; Holm's first step)", (limit, *survive)),
        ),
        ways_out=(
            WayOut(
                "P was corrected, or is below the bound and only printed as < 0.05",
                "yes",
                Sentence("The source would have to say so: P at most {bound}.", (limit,)),
            ),
        ),
        references=_REFERENCES,
    )
