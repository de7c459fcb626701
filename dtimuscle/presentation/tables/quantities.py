"""How the numbers of an audit are printed, and the marks and colours of its findings.

An audit keeps its numbers unrounded and apart from its sentences; here they come together.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite

from dtimuscle.presentation.style import PARAMETERS, count, fixed, interval, p_equals, p_value
from dtimuscle.presentation.tables.cells import ratio
from dtimuscle.replication.audit.findings import Quantity, QuantityKind, Sentence, Severity
from dtimuscle.statistics.estimates import Interval

SEVERITY_COLOURS = {
    Severity.IMPOSSIBLE: "#b3261e",
    Severity.INCONSISTENT: "#9c4a00",
    Severity.UNLIKELY: "#7a5c00",
    Severity.NOTE: "#4f5d69",
}
SEVERITY_MARKS = {
    Severity.IMPOSSIBLE: "✗",
    Severity.INCONSISTENT: "≠",
    Severity.UNLIKELY: "?",
    Severity.NOTE: "i",
}
SEVERITY_MEANINGS = {
    Severity.IMPOSSIBLE: "cannot be as printed",
    Severity.INCONSISTENT: "printed numbers that do not fit each other",
    Severity.UNLIKELY: "possible, but rare without another reason",
    Severity.NOTE: "says how much the numbers can bear",
}
RESOLVES_MARKS = {"yes": "✓", "in part": "≈", "no": "✗"}
RESOLVES_COLOURS = {"yes": "#256b3d", "in part": "#855c00", "no": "#5b6670"}

# Above this (mm²/s) a diffusivity is a number whose unit cannot be meant, and is shown in the unit that it has.
_LARGEST_SCALED = 0.1

# Below this (10⁻³ mm²/s) two decimals would leave nothing of a number.
_SMALL_DIFFUSIVITY = 0.05

_DIFFUSIVITY = PARAMETERS["md"]
_DIGITS: dict[QuantityKind, int] = {
    "auc": 3,
    "effect": 2,
    "t": 2,
    "z": 2,
    "correlation": 2,
    "anisotropy": PARAMETERS["fa"].digits,
    "standard_error": 4,
}

# How a P begins that is no bound.
_EQUALS = "=\u00a0"

# Shares closer to 0 or 1 than this are printed as a bound.
_SMALLEST_SHARE = 0.001

# Half a unit to either side, subtracted as binary numbers, is a little more than a unit.
_ROUNDING_ERROR = 1e-6


@dataclass(frozen=True)
class _Unit:
    """What stands after a number and its ranges, and the factor from the stored number."""

    words: str = ""
    scale: float = 1.0


def quantity_text(quantity: Quantity) -> str:
    """Print a number of an audit, with what its rounding and its sample leave open.

    Parameters
    ----------
    quantity : Quantity
        Unrounded, in stored units.

    Returns
    -------
    str
        Such as "1.94 (1.88 to 2.00 over the rounding)", "0.912 (95% CI 0.851 to 0.955)", "1.02 × 10⁻³ mm²/s",
        "= 0.012" for a P, and the printed words of a text. A range within the last printed digit is left out.
    """
    if quantity.kind == "text":
        return quantity.text
    unit = _unit(quantity)
    ranges = []
    if quantity.interval is not None and quantity.interval.is_defined:
        name = f"{100 * quantity.interval.level:g}%\u00a0CI"
        ranges.append(f"{name} {_range_text(quantity.interval, quantity, unit)}")
    if quantity.rounding is not None and _is_wide(quantity.rounding, quantity, unit):
        ranges.append(f"{_range_text(quantity.rounding, quantity, unit)} over the rounding")
    value = p_equals(quantity.value) if quantity.kind == "p" else _number(quantity.value, quantity, unit)
    return value.replace(" ", "\u00a0") + (f" ({'; '.join(ranges)})" if ranges else "") + unit.words


def value_text(quantity: Quantity) -> str:
    """Print a number of an audit for a table, where a P stands without a sign of equality.

    Parameters
    ----------
    quantity : Quantity
        Unrounded, in stored units.
    """
    return quantity_text(quantity).removeprefix(_EQUALS)


def plain_text(quantity: Quantity) -> str:
    """Print a number of an audit for a narrow column: "0.912 (0.851 to 0.955)", without words, rounding and unit.

    Parameters
    ----------
    quantity : Quantity
        Unrounded, in stored units; not a text.
    """
    unit = _unit(quantity)
    bounds = quantity.interval
    after = f" ({_range_text(bounds, quantity, unit)})" if bounds is not None and bounds.is_defined else ""
    return _number(quantity.value, quantity, unit) + after


def short_text(quantity: Quantity) -> str:
    """Print a number of an audit for a sentence: without the range of its rounding where it has an interval.

    Parameters
    ----------
    quantity : Quantity
        Unrounded, in stored units.
    """
    has_interval = quantity.interval is not None and quantity.interval.is_defined
    if quantity.rounding is None or not has_interval:
        return quantity_text(quantity)
    return quantity_text(
        Quantity(quantity.name, quantity.label, quantity.kind, quantity.value, interval=quantity.interval)
    )


def in_words(sentence: Sentence) -> str:
    """Write a sentence of an audit with its numbers.

    Parameters
    ----------
    sentence : Sentence
        Words and numbers apart. A P that stands behind "P" or "P =" gets its sign ("P < 0.001", "P = 0.012"); elsewhere
        it has none unless it is a bound ("a P of 0.012").
    """
    template = re.sub(r"\bP = \{", "P {", sentence.template)
    with_sign = set(re.findall(r"\bP \{(\w+)\}", template))

    def write(quantity: Quantity) -> str:
        text = short_text(quantity)
        return text if quantity.name in with_sign else text.removeprefix(_EQUALS)

    words = Sentence(template.replace("P {", "P\u00a0{"), sentence.quantities).in_words(write)
    # Ends that are printed alike are one number.
    return re.sub(r"\bbetween ([^ ,;]+) and \1(?=[ ,;.])", r"\1", words)


def severity_word(severity: Severity, n: int) -> str:
    """Return the word that goes with a count of findings: "3 impossible", "2 notes".

    Parameters
    ----------
    severity : Severity
        How much they weigh.
    n : int
        How many there are.
    """
    return f"{severity}s" if severity is Severity.NOTE and n != 1 else str(severity)


def severity_counts(severities: Iterable[Severity]) -> tuple[tuple[Severity, int], ...]:
    """Count findings by how much they weigh, the gravest first.

    Parameters
    ----------
    severities : iterable of Severity
        One for each finding.

    Returns
    -------
    tuple of (Severity, int)
        Those that occur.
    """
    counts = Counter(severities)
    return tuple((severity, counts[severity]) for severity in Severity if counts[severity])


def _unit(quantity: Quantity) -> _Unit:
    if quantity.kind != "diffusivity":
        return _Unit()
    if abs(quantity.value) > _LARGEST_SCALED:
        return _Unit("\u00a0mm²/s")
    return _Unit(f"\u00a0×\u00a0{_DIFFUSIVITY.unit}".replace(" ", "\u00a0"), _DIFFUSIVITY.scale)


def _number(value: float, quantity: Quantity, unit: _Unit) -> str:
    if quantity.kind in _WRITERS:
        return _WRITERS[quantity.kind](value)
    return fixed(value * unit.scale, _digits(quantity, unit))


def _digits(quantity: Quantity, unit: _Unit) -> int:
    """Decimals of kinds that have a fixed number of them; diffusivities far below those of tissue get more."""
    if quantity.kind == "diffusivity":
        return _DIFFUSIVITY.digits + (2 if abs(quantity.value * unit.scale) < _SMALL_DIFFUSIVITY else 0)
    return _DIGITS[quantity.kind]


def _range_text(bounds: Interval, quantity: Quantity, unit: _Unit) -> str:
    if quantity.kind in _WRITERS:
        return f"{_number(bounds.low, quantity, unit)} to {_number(bounds.high, quantity, unit)}"
    return interval(bounds, _digits(quantity, unit), scale=unit.scale)


def _is_wide(bounds: Interval, quantity: Quantity, unit: _Unit) -> bool:
    """Say whether rounding leaves open more than the last digit that is printed anyway."""
    if not bounds.is_defined:
        return False
    if quantity.kind in _WRITERS:
        return _number(bounds.low, quantity, unit) != _number(bounds.high, quantity, unit)
    return (bounds.high - bounds.low) * unit.scale * 10 ** _digits(quantity, unit) > 1 + _ROUNDING_ERROR


def _share(value: float) -> str:
    if 0 < value < _SMALLEST_SHARE:
        return f"< {100 * _SMALLEST_SHARE:g}%"
    if 1 - _SMALLEST_SHARE < value < 1:
        return f"> {100 * (1 - _SMALLEST_SHARE):g}%"
    percent = 100 * value
    is_whole = abs(percent - round(percent)) < _ROUNDING_ERROR
    return f"{fixed(percent, 0 if is_whole or percent >= 100 else 1)}%"


def _of_size(value: float) -> str:
    """Print whole numbers as they are, and others with two or three digits."""
    if not isfinite(value) or value == round(value):
        return fixed(value, 0)
    size = abs(value)
    return fixed(value, 0 if size >= 100 else 1 if size >= 1 else 2 if size >= 0.1 else 4)


# Kinds whose digits depend on the number.
_WRITERS: dict[QuantityKind, Callable[[float], str]] = {
    "count": count,
    "share": _share,
    "odds_ratio": ratio,
    "df": _of_size,
    "number": _of_size,
    "p": p_value,
}
