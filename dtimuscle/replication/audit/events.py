"""How many patients with the event there are for each variable of a model."""

import math
from collections.abc import Iterator

from scipy.integrate import quad
from scipy.special import log_expit, logit, ndtri

from dtimuscle.replication.audit.auc import printed_rocs
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
from dtimuscle.replication.printed import contrast_of
from dtimuscle.replication.published import IndependentFactors, PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

NAME = "events"

# Standard deviations of a normal density beyond which nothing is left.
_REACH = 12.0

_REFERENCES = (
    "Peduzzi et al., J Clin Epidemiol 1996; 49: 1373-1379",
    "van Houwelingen & Le Cessie, Stat Med 1990; 9: 1303-1325",
    "Riley et al., Stat Med 2019; 38: 1276-1296",
)


def model_chi_square(auc: float, *, n_event: int, n_other: int) -> float:
    """Return the likelihood-ratio χ² that a logistic model with this AUC has, for a normal linear predictor.

    The linear predictor is normal with equal spread in both groups, D = √2 Φ⁻¹(AUC) SDs apart, so that its log odds are
    logit p + D x. χ² is twice the gain of the log-likelihood over that of the prevalence p, n times the mean of
    log(P(y | x) / P(y)), by quadrature.

    Parameters
    ----------
    auc : float
        In the patients of the fit, above 0 and below 1.
    n_event, n_other : int
        Patients.

    Returns
    -------
    float
        0 for an AUC of 0.5.
    """
    n = n_event + n_other
    share, distance = n_event / n, math.sqrt(2) * float(ndtri(auc))

    def gain(x: float) -> float:
        log_odds = float(logit(share)) + distance * x
        # Of each group: its density, and the log of how much likelier x makes it.
        return sum(
            part
            * math.exp(-((x - sign * distance / 2) ** 2) / 2)
            * (float(log_expit(sign * log_odds)) - math.log(part))
            for part, sign in ((share, 1), (1 - share, -1))
        ) / math.sqrt(2 * math.pi)

    reach = _REACH + abs(distance) / 2
    value, _ = quad(gain, -reach, reach, epsabs=1e-12, epsrel=1e-11, limit=200)
    return max(2 * n * float(value), 0.0)


def expected_shrinkage(chi_square: float, n_variables: int) -> float:
    """Return the share of a model's effects that is expected to remain in new patients: (χ² − k)/χ².

    Parameters
    ----------
    chi_square : float
        Likelihood-ratio χ² of the model.
    n_variables : int
        k, all candidates that were tried included (van Houwelingen & Le Cessie 1990).

    Returns
    -------
    float
        0 where χ² does not exceed k.
    """
    return max(1 - n_variables / chi_square, 0.0) if chi_square > 0 else 0.0


def _run(study: PublishedStudy, reference: ReferenceValues) -> CheckResult:
    """Count the events of each multivariable model."""
    examined, findings = [], []
    for claim in study.claims:
        if isinstance(claim, IndependentFactors):
            examined.append(f"Model of {study.group(claim.event).title}")
            finding = _judge(study, claim, reference)
            findings += [finding] if finding else []
    return CheckResult(tuple(examined), tuple(findings))


EVENTS = Check(
    name=NAME,
    question="Are there enough patients with the event for the variables of a model?",
    needs="a multivariable model and the numbers of patients",
    false_alarm_rate=0.0,
    run=_run,
)


def candidates(study: PublishedStudy) -> tuple[int, str]:
    """Count the features that may have been tried.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    n : int
        What the source says was tested, or else every feature that a claim names.
    words : str
        Which of the two.
    """
    named = {feature for claim in study.claims for feature in study.features_of(claim.id)}
    if study.design.n_tests is not None and study.design.n_tests >= len(named):
        return study.design.n_tests, "features that were tested, as the source says"
    return len(named), "features that the claims name"


def _judge(study: PublishedStudy, claim: IndependentFactors, reference: ReferenceValues) -> Finding | None:
    contrast = contrast_of(study, claim)
    if contrast is None or min(contrast.n_event, contrast.n_other) < 1:
        return None
    events, n_factors = min(contrast.n_event, contrast.n_other), len({factor.feature for factor in claim.factors})
    n_candidates, words = candidates(study)
    wanted = reference.events_per_variable.lowest
    if events / max(n_candidates, n_factors) >= wanted:
        return None
    numbers = (
        Quantity("events", "Patients in the smaller group", "count", events),
        Quantity("n_factors", "Factors in the model", "count", n_factors),
        Quantity("per_factor", "Events for each factor", "number", events / n_factors),
        Quantity("n_candidates", f"Candidates: {words}", "count", n_candidates),
        Quantity("per_candidate", "Events for each candidate", "number", events / n_candidates),
        Quantity("wanted", "Events for each variable that are commonly asked for", "number", wanted),
    )
    steps = (Step("Events for each variable", "min(n₁, n₂) / variables", numbers), *_shrinkage_steps(study, claim))
    return Finding(
        check=NAME,
        severity=Severity.NOTE,
        title="Few events for the number of variables",
        sentence=Sentence(
            "The smaller group has {events} patients: {per_factor} for each of the {n_factors} factors in the model, "
            "and {per_candidate} for each of the {n_candidates} candidates. With fewer than {wanted} the estimates "
            "of a model are commonly distrusted: they tend to be too large, and which factors remain is partly chance.",
            numbers,
        ),
        claims=(claim.id,),
        features=tuple(dict.fromkeys(factor.feature for factor in claim.factors)),
        steps=steps,
        ways_out=(_penalised(),),
        references=(reference.events_per_variable.source or _REFERENCES[0], *_REFERENCES[1:]),
    )


def _penalised() -> WayOut:
    return WayOut(
        "The model was penalised or validated",
        "in part",
        Sentence("Then its effects are not too large on average; which factors remain is still partly chance."),
    )


def _shrinkage_steps(study: PublishedStudy, claim: IndependentFactors) -> Iterator[Step]:
    """How much of the effects is expected to remain, where the AUC of the same features is printed."""
    factors = {factor.feature for factor in claim.factors}
    for roc in printed_rocs(study):
        area = max(roc.auc.value, 1 - roc.auc.value)
        if set(study.features_of(roc.claim.id)) != factors or not 0.5 < area < 1:
            continue
        chi_square = model_chi_square(area, n_event=roc.contrast.n_event, n_other=roc.contrast.n_other)
        n_candidates, _ = candidates(study)
        yield Step(
            "Share of the effects that is expected to remain in new patients",
            "(χ² − k)/χ² with χ² of a normal linear predictor with the printed AUC (van Houwelingen & Le Cessie)",
            (
                roc.as_quantity,
                Quantity("chi_square", "Likelihood-ratio χ² of such a model", "number", chi_square),
                Quantity("remains", f"Remains with {len(factors)} variables", "share",
                         expected_shrinkage(chi_square, len(factors))),
                Quantity("remains_candidates", f"Remains with {n_candidates} candidates", "share",
                         expected_shrinkage(chi_square, n_candidates)),
            ),
        )  # fmt: skip
        return
