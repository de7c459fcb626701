"""Checked parts of the simulator's data files, and messages for whoever writes such a file."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from dtimuscle.errors import SimulationError


class Part(BaseModel):
    """A part of a data file; unknown fields are refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _know_every_field(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                raise refusal(str(name), one_of(cls.model_fields, str(name)))
        return values


class File(Part):
    """A whole data file."""

    @classmethod
    def from_mapping(cls, values: Any, *, source: str) -> Self:
        """Check what was read from a YAML file.

        Parameters
        ----------
        values : dict
            Fields as in the files that the kit ships.
        source : str
            Name of the file, for messages.

        Returns
        -------
        File
            The checked content, of the class that was asked.

        Raises
        ------
        SimulationError
            If a field is unknown, missing or impossible; the message is one line.
        """
        if not isinstance(values, dict):
            found = json.dumps(values, ensure_ascii=False, default=str)
            raise SimulationError(f"{source}: found {found}; allowed: a mapping with {', '.join(cls.model_fields)}.")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SimulationError(f"{source}: {_explain(error)}") from error


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


def refusal(found: str, allowed: str) -> PydanticCustomError:
    """Make the error with which a part refuses its content.

    Parameters
    ----------
    found : str
        What the file says.
    allowed : str
        What it may say.

    Returns
    -------
    PydanticCustomError
        To be raised in a validator.
    """
    return PydanticCustomError("refused", "found {found}; allowed: {allowed}", {"found": found, "allowed": allowed})


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
            raise refusal(name, one_of(needed, name))
    missing = [name for name in needed if name not in given]
    if missing:
        raise refusal(f"no {', '.join(missing)}", f"all of {', '.join(needed)}")


def _explain(error: ValidationError) -> str:
    """Say in one line what is wrong first, and how much more there is."""
    details = error.errors(include_url=False)
    first, others = details[0], len(details) - 1
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "refused":
        sentence = first["msg"]
    elif first["type"] == "missing":
        sentence = "found nothing; allowed: this field is needed"
    else:
        found, allowed = json.dumps(first["input"], ensure_ascii=False, default=str), first["msg"]
        sentence = f"found {found}; allowed: {allowed[0].lower()}{allowed[1:]}"
    end = "" if sentence.endswith((".", "?")) else "."
    more = f" ({others} more after this one.)" if others else ""
    return f"{place or 'the file'}: {sentence}{end}{more}"
