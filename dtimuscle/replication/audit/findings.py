"""What an audit of printed numbers returns: findings, the numbers that they rest on, and what would resolve them.

Nothing is rounded here. A sentence keeps its numbers apart, so that the pages decide how to print them.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from dtimuscle.statistics.estimates import Interval

if TYPE_CHECKING:
    from dtimuscle.replication.published import PublishedStudy
    from dtimuscle.replication.reference_values import ReferenceValues

# What a number is, so that pages know its unit and its digits. A diffusivity is in mm²/s; a share is printed in
# percent; `text` is shown as it was printed in the source.
QuantityKind = Literal[
    "auc", "p", "effect", "t", "df", "z", "correlation", "share", "count", "number", "diffusivity", "anisotropy",
    "standard_error", "odds_ratio", "text",
]  # fmt: skip

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class Severity(StrEnum):
    """How much a finding weighs."""

    IMPOSSIBLE = "impossible"
    INCONSISTENT = "inconsistent"
    UNLIKELY = "unlikely"
    NOTE = "note"


# Of those, the ones that speak against the printed numbers; a note only says how much they can carry.
CONFLICTS = (Severity.IMPOSSIBLE, Severity.INCONSISTENT, Severity.UNLIKELY)


@dataclass(frozen=True)
class Quantity:
    """A number of a computation.

    Parameters
    ----------
    name : str
        How a sentence refers to it: small letters, digits and underscores.
    label : str
        What it is, in words: "Binormal AUC of adductor longus, ADC (MD)".
    kind : str
        What pages print it as; one of `QuantityKind`.
    value : float
        Unrounded, in stored units; NaN for a text.
    rounding : Interval or None, default=None
        Lowest and highest value that the rounding of the printed numbers allows; its level means nothing.
    interval : Interval or None, default=None
        Confidence interval.
    text : str, default=""
        As printed in the source, for the kind `text`.
    """

    name: str
    label: str
    kind: QuantityKind
    value: float = math.nan
    rounding: Interval | None = None
    interval: Interval | None = None
    text: str = ""


@dataclass(frozen=True)
class Sentence:
    """Words with numbers in them.

    Parameters
    ----------
    template : str
        Words with the names of quantities in braces: "The AUC would be {auc}."
    quantities : tuple of Quantity, default=()
        Every name in the template is among them.

    Raises
    ------
    ValueError
        If the template names a quantity that is not there.
    """

    template: str
    quantities: tuple[Quantity, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a template whose numbers are missing."""
        missing = set(self.names) - {quantity.name for quantity in self.quantities}
        if missing:
            raise ValueError(f"'{self.template}' names {', '.join(sorted(missing))}, which it is not given")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of quantities in the order of the words."""
        return tuple(_PLACEHOLDER.findall(self.template))

    def in_words(self, write: Callable[[Quantity], str]) -> str:
        """Put the numbers into the words.

        Parameters
        ----------
        write : callable
            How a number is printed.

        Returns
        -------
        str
            The sentence.
        """
        by_name = {quantity.name: quantity for quantity in self.quantities}
        return _PLACEHOLDER.sub(lambda match: write(by_name[match[1]]), self.template)


@dataclass(frozen=True)
class Step:
    """One step of a computation, as a reader can redo it.

    Parameters
    ----------
    words : str
        What is computed: "Standardised distance of the groups".
    formula : str
        In symbols that `quantities` name in their labels, plain text: "z = (m₁ − m₂) / √(s₁² + s₂²)".
    quantities : tuple of Quantity
        What goes in, then what comes out.
    """

    words: str
    formula: str
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True)
class WayOut:
    """An assumption under which a finding would go away, tested with numbers.

    Parameters
    ----------
    assumption : str
        What would have to be the case: "The printed SDs are standard errors".
    resolves : {"yes", "no", "in part"}
        Whether the finding is gone under it. "In part": only if something else holds too, which the sentence names.
    sentence : Sentence
        What follows from it, with its numbers, and what it would contradict.
    steps : tuple of Step, default=()
        How these numbers were computed.
    """

    assumption: str
    resolves: Literal["yes", "no", "in part"]
    sentence: Sentence
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that printed numbers say about each other.

    It accuses no one: it says what cannot hold together, and under which assumptions it could.

    Parameters
    ----------
    check : str
        Name of the check that found it.
    severity : Severity
        How much it weighs.
    title : str
        In a few words, for lists: "ADC (MD) of adductor longus points both ways".
    sentence : Sentence
        What does not fit, with its numbers; a clinician can follow it.
    claims : tuple of str
        Identifiers of the claims that it rests on.
    features : tuple of str, default=()
        Features that it is about.
    steps : tuple of Step, default=()
        The computation.
    ways_out : tuple of WayOut, default=()
        What would reconcile the numbers.
    references : tuple of str, default=()
        Where the method, or the bound, comes from.
    """

    check: str
    severity: Severity
    title: str
    sentence: Sentence
    claims: tuple[str, ...]
    features: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    ways_out: tuple[WayOut, ...] = ()
    references: tuple[str, ...] = ()

    @property
    def is_conflict(self) -> bool:
        """Whether it speaks against the printed numbers."""
        return self.severity in CONFLICTS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; numbers unrounded."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "title": self.title,
            "sentence": _sentence_record(self.sentence),
            "claims": list(self.claims),
            "features": list(self.features),
            "steps": [_step_record(step) for step in self.steps],
            "ways_out": [
                {
                    "assumption": way.assumption,
                    "resolves": way.resolves,
                    "sentence": _sentence_record(way.sentence),
                    "steps": [_step_record(step) for step in way.steps],
                }
                for way in self.ways_out
            ],
            "references": list(self.references),
        }


@dataclass(frozen=True)
class CheckResult:
    """What one check looked at, and what it found.

    Parameters
    ----------
    examined : tuple of str
        What it was applied to, in words; empty where the study prints nothing that it needs.
    findings : tuple of Finding, default=()
        What did not fit, the gravest first.
    """

    examined: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Check:
    """A question that is put to the printed numbers.

    Parameters
    ----------
    name : str
        Identifier.
    question : str
        What is asked, in words for a clinician, with a question mark.
    needs : str
        What a study must print for it: "mean and SD of one feature in two groups".
    false_alarm_rate : float
        Share of studies without any error in which it may raise a conflict by chance; 0 for arithmetic.
    run : callable
        From the study and the reference values to the result.
    """

    name: str
    question: str
    needs: str
    false_alarm_rate: float
    run: "Callable[[PublishedStudy, ReferenceValues], CheckResult]"


def _quantity_record(quantity: Quantity) -> dict[str, Any]:
    record: dict[str, Any] = {"name": quantity.name, "label": quantity.label, "kind": quantity.kind}
    if quantity.kind == "text":
        return record | {"text": quantity.text}
    record["value"] = quantity.value
    for name, bounds in (("rounding", quantity.rounding), ("interval", quantity.interval)):
        if bounds is not None:
            record[name] = {"low": bounds.low, "high": bounds.high}
    if quantity.interval is not None:
        record["interval"]["level"] = quantity.interval.level
    return record


def _sentence_record(sentence: Sentence) -> dict[str, Any]:
    quantities = [_quantity_record(quantity) for quantity in sentence.quantities]
    return {"template": sentence.template, "quantities": quantities}


def _step_record(step: Step) -> dict[str, Any]:
    quantities = [_quantity_record(quantity) for quantity in step.quantities]
    return {"words": step.words, "formula": step.formula, "quantities": quantities}
