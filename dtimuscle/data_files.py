"""The kit's data files: checked parts, and messages for whoever writes such a file.

A wrong file is answered in one line with the file, the line, the field, what was found and what is allowed.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, ClassVar, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from dtimuscle.errors import DtiMuscleError, SettingsError

# Where something stands in a file: names of fields and positions in lists, from the outside in.
Place: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = Mapping[Place, int]

# A value that was found is shown up to this length.
SHOWN_LENGTH = 80


class Part(BaseModel):
    """A part of a data file; unknown fields are refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _know_every_field(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                raise refusal(shown(str(name)), one_of(cls.model_fields, str(name)), field=(name,))
        return values


class StrictPart(Part):
    """A part in which nothing is converted: a number is no text, and text is no number."""

    model_config = ConfigDict(strict=True)


class File(Part):
    """A whole data file."""

    refused_with: ClassVar[type[DtiMuscleError]] = SettingsError

    @classmethod
    def from_mapping(cls, values: Any, *, source: str, lines: Lines | None = None) -> Self:
        """Check what was read from a YAML file.

        Parameters
        ----------
        values : dict
            Fields as in the files that the kit ships.
        source : str
            Name of the file, for messages.
        lines : mapping of tuple to int, optional
            Line of each field, for messages; by default they name none.

        Returns
        -------
        File
            The checked content, of the class that was asked.

        Raises
        ------
        DtiMuscleError
            If a field is unknown, missing or impossible: `SimulationError` of a scenario or protocol,
            `PublishedError` of a published study. The message is one line.
        """
        return cls._checked(values, source=source, lines=lines)

    @classmethod
    def _checked(
        cls, values: Any, *, source: str, lines: Lines | None, context: Mapping[str, Any] | None = None
    ) -> Self:
        if not isinstance(values, dict) or not values:
            found = "an empty file" if values in ({}, None) else shown(values)
            raise cls.refused_with(f"{source}: found {found}; allowed: a mapping with {', '.join(cls.model_fields)}.")
        try:
            return cls.model_validate(_with_tuples(values), context=context)
        except ValidationError as error:
            raise cls.refused_with(_explain(error, values, source, lines or {})) from error


class Stated(Part):
    """What tells where numbers come from."""

    source: str = ""
    """Where they are published."""
    assumed: bool = False
    """Whether they are the kit's own choice."""
    reason: str = ""
    """Why they were chosen."""

    @model_validator(mode="after")
    def _say_where_from(self) -> Self:
        if bool(self.source) == (self.assumed and bool(self.reason)):
            found = "both" if self.source else "neither"
            raise refusal(found, "either a source, or assumed: true with a reason")
        return self


def refusal(found: str, allowed: str, *, field: Place = ()) -> PydanticCustomError:
    """Make the error with which a part refuses its content.

    Parameters
    ----------
    found : str
        What the file says; a value as `shown`.
    allowed : str
        What it may say.
    field : tuple of str and int, default=()
        Where within the part it is said; by default the part as a whole.

    Returns
    -------
    PydanticCustomError
        To be raised in a validator.
    """
    context = {"found": found, "allowed": allowed, "field": field}
    return PydanticCustomError("refused", "found {found}; allowed: {allowed}", context)


def shown(value: object) -> str:
    """Write a value of a file into a message.

    Parameters
    ----------
    value : object
        Text is put in quotes, so that "0.5" and 0.5 differ; what is long is cut.
    """
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = f"'{value}'"
    else:
        text = str(value) if isinstance(value, date) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


def one_of(known: Iterable[str], found: str) -> str:
    """Say which names are known and which one is nearest.

    Parameters
    ----------
    known : iterable of str
        Names that are allowed.
    found : str
        The name that was given.

    Returns
    -------
    str
        For `refusal`.
    """
    names = list(known)
    near = get_close_matches(found, names, n=1)
    return ", ".join(names) + (f". Did you mean '{near[0]}'?" if near else "")


def require_names(found: Iterable[str], known: Iterable[str]) -> None:
    """Make sure that names are exactly those that are known.

    Parameters
    ----------
    found : iterable of str
        Names in the file.
    known : iterable of str
        Names that it needs.

    Raises
    ------
    PydanticCustomError
        If a name is unknown or missing.
    """
    given, needed = list(found), list(known)
    for name in given:
        if name not in needed:
            raise refusal(shown(name), one_of(needed, name), field=(name,))
    missing = [name for name in needed if name not in given]
    if missing:
        raise refusal(f"no {', '.join(missing)}", f"all of {', '.join(needed)}")


def line_of(place: Place, lines: Lines) -> int | None:
    """Find the line of a field, or of the nearest thing that contains it.

    Parameters
    ----------
    place : tuple of str and int
        The field, which may be missing.
    lines : mapping of tuple to int
        Line of each field that there is.

    Returns
    -------
    int or None
        Counted from 1; None where no line is known.
    """
    return next((lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in lines), None)


def _with_tuples(value: Any) -> Any:
    """Turn the lists of YAML into tuples, which strict fields ask for."""
    if isinstance(value, dict):
        return {key: _with_tuples(entry) for key, entry in value.items()}
    return tuple(_with_tuples(entry) for entry in value) if isinstance(value, list) else value


def _explain(error: ValidationError, values: dict[str, Any], source: str, lines: Lines) -> str:
    """Say in one line what is wrong first, and how much more there is."""
    details = error.errors(include_url=False)
    first, n_others = details[0], len(details) - 1
    place = _place(first, values)
    line = line_of(place, lines)
    sentence = _EXPLANATIONS.get(first["type"], _other)(first)
    end = "" if sentence.endswith((".", "?")) else "."
    more = f" ({n_others} more after this one.)" if n_others else ""
    where = f"{source}, line {line}" if line else source
    return f"{where}: {_in_words(place, values) or 'the file'}: {sentence}{end}{more}"


def _place(detail: ErrorDetails, values: Any) -> Place:
    """Find where an error lies, without the tags that pydantic adds for kinds and keys."""
    place: list[str | int] = []
    current, is_entry = values, False
    for part in detail["loc"]:
        # After a position in a list the kind of the entry is a tag, not a field, even where a field is named alike.
        is_tag = is_entry and isinstance(current, dict) and part == current.get("kind")
        is_entry = isinstance(current, list)
        if part != "[key]" and not is_tag:
            place.append(part)
            current = _within(current, part)
    if detail["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        place.append("kind")
    return (*place, *detail.get("ctx", {}).get("field", ()))


def _within(values: Any, part: str | int) -> Any:
    if isinstance(values, dict):
        return values.get(part)
    is_entry = isinstance(values, Sequence) and isinstance(part, int) and part < len(values)
    return values[part] if is_entry else None


def _in_words(place: Place, values: Any) -> str:
    """Name a place by identifiers instead of positions, which count from 1 where there are none."""
    names: list[str] = []
    current = values
    for part in place:
        is_position = isinstance(current, list)
        current = _within(current, part)
        if is_position and isinstance(current, dict) and isinstance(current.get("id"), str):
            names.append(current["id"])
        else:
            names.append(str(part + 1) if is_position and isinstance(part, int) else str(part))
    return ".".join(names)


def _other(detail: ErrorDetails) -> str:
    message = detail["msg"]
    return _found(f"{message[0].lower()}{message[1:]}")(detail)


def _found(allowed: str) -> Callable[[ErrorDetails], str]:
    return lambda detail: f"found {shown(detail['input'])}; allowed: {allowed}"


def _text(detail: ErrorDetails) -> str:
    found = detail["input"]
    is_plain = found is not None and not isinstance(found, dict | tuple)
    # YAML has turned 0.80 into 0.8 by now, so that the digits cannot be given back.
    advice = ", so put it in quotes, digit for digit as it is printed" if is_plain else ""
    return _found(f"text{advice}")(detail)


def _unknown_kind(detail: ErrorDetails) -> str:
    known, tag = re.findall(r"'([^']+)'", detail["ctx"]["expected_tags"]), str(detail["ctx"]["tag"])
    return f"found {shown(tag)}; allowed: {one_of(known, tag)}"


_MISSING = "found nothing; allowed: this field is needed"

_EXPLANATIONS: dict[str, Callable[[ErrorDetails], str]] = {
    # Not the message itself, in which pydantic would take braces that were found for places to fill.
    "refused": lambda detail: "found {found}; allowed: {allowed}".format(**detail["ctx"]),
    "missing": lambda _: _MISSING,
    "union_tag_not_found": lambda _: _MISSING,
    "union_tag_invalid": _unknown_kind,
    "string_type": _text,
    "string_too_short": _found("text that is not empty"),
    "int_type": _found("a whole number, without quotes"),
    "float_type": _found("a number, without quotes"),
    "tuple_type": _found("a list"),
    "dict_type": _found("names and values"),
    "model_type": _found("fields, as in `name: value`"),
    "model_attributes_type": _found("fields, as in `name: value`"),
    "too_short": _found("at least one entry"),
    "literal_error": lambda detail: _found(detail["ctx"]["expected"])(detail),
}
