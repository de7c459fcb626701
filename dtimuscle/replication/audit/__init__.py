"""The audit of a study's printed numbers: each check holds them against each other, or against physics."""

from dataclasses import dataclass
from typing import Any

from dtimuscle.replication.audit.adjustment import ADJUSTMENT
from dtimuscle.replication.audit.auc import INTERVALS
from dtimuscle.replication.audit.combination import COMBINATION, COMPARISON
from dtimuscle.replication.audit.correlation import CORRELATIONS
from dtimuscle.replication.audit.directions import DIRECTIONS
from dtimuscle.replication.audit.events import EVENTS
from dtimuscle.replication.audit.findings import Check, CheckResult, Finding, Severity
from dtimuscle.replication.audit.means import IMPLIED
from dtimuscle.replication.audit.multiplicity import MULTIPLICITY
from dtimuscle.replication.audit.precision import PRECISION
from dtimuscle.replication.audit.spread import SPREAD
from dtimuscle.replication.audit.units import UNITS
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

__all__ = ["CHECKS", "Audit", "Check", "CheckResult", "Finding", "Severity", "audit"]

# In the order in which a reader asks.
CHECKS: tuple[Check, ...] = (
    IMPLIED,
    UNITS,
    SPREAD,
    PRECISION,
    COMBINATION,
    COMPARISON,
    INTERVALS,
    DIRECTIONS,
    ADJUSTMENT,
    EVENTS,
    MULTIPLICITY,
    CORRELATIONS,
)


@dataclass(frozen=True)
class Audit:
    """What the audit of a study returns.

    Parameters
    ----------
    study_id : str
        The study.
    results : tuple of (Check, CheckResult)
        Every check that was put, in order, with what it found.
    """

    study_id: str
    results: tuple[tuple[Check, CheckResult], ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first, otherwise in the order of the checks."""
        found = [finding for _, result in self.results for finding in result.findings]
        return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))

    @property
    def conflicts(self) -> tuple[Finding, ...]:
        """The findings that speak against the printed numbers."""
        return tuple(finding for finding in self.findings if finding.is_conflict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; numbers unrounded."""
        return {
            "study": self.study_id,
            "checks": [
                {
                    "name": check.name,
                    "question": check.question,
                    "needs": check.needs,
                    "false_alarm_rate": check.false_alarm_rate,
                    "examined": list(result.examined),
                    "n_findings": len(result.findings),
                }
                for check, result in self.results
            ],
            "findings": [finding.to_dict() for finding in self.findings],
        }


def audit(study: PublishedStudy, reference: ReferenceValues) -> Audit:
    """Hold a study's printed numbers against each other and against what is known of muscle.

    Parameters
    ----------
    study : PublishedStudy
        What is printed, and how it is read.
    reference : ReferenceValues
        What water and muscle can have.

    Returns
    -------
    Audit
        Findings are conflicts or notes; a study without conflicts may still be wrong.
    """
    return Audit(study.id, tuple((check, check.run(study, reference)) for check in CHECKS))
