"""The names of muscles: one registry, from which every label scheme and every spelling is resolved."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dtimuscle.errors import LabelError


class Side(StrEnum):
    """Side of the body; `BOTH` is the two sides pooled."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True)
class Muscle:
    """One entry of the label registry.

    Parameters
    ----------
    name : str
        Canonical name (`gluteus_maximus`).
    title : str
        The name as pages print it.
    left, right : int
        MuscleMap codes of the two sides.
    aliases : tuple of str
        Other names in use, the study's own among them.
    """

    name: str
    title: str
    left: int
    right: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class MuscleRegistry:
    """All muscles that the kit can name.

    Parameters
    ----------
    muscles : tuple of Muscle
        The entries, in the order in which pages list them.

    Raises
    ------
    LabelError
        If a name is not snake_case, a name, alias or code stands for two muscles, an alias names a side,
        or a code is that of the background.
    """

    muscles: tuple[Muscle, ...]

    def __post_init__(self) -> None:
        """Refuse a registry in which a word or code has two meanings, or can never be found."""
        owners: dict[str, str] = {}
        codes: dict[int, str] = {}
        for muscle in self.muscles:
            if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", muscle.name):
                raise LabelError(f"the registry's name '{muscle.name}' is not of the form vastus_lateralis.")
            for word in (muscle.name, muscle.title, *muscle.aliases):
                side, key = _split_side(word)
                if side is not None or not key:
                    raise LabelError(f"the registry's '{word}' for {muscle.name} names a side, or nothing but one.")
                if owners.setdefault(key, muscle.name) != muscle.name:
                    raise LabelError(
                        f"the registry gives '{word}' to both {owners[key]} and {muscle.name}. Keep one of them."
                    )
            for code in (muscle.left, muscle.right):
                if code <= 0:
                    raise LabelError(f"the registry gives {muscle.name} code {code}. Codes are above 0 (background).")
                if code in codes:
                    raise LabelError(
                        f"the registry uses code {code} twice, for {codes[code]} and {muscle.name}. "
                        "Give each side of each muscle its own."
                    )
                codes[code] = muscle.name

    def __getitem__(self, name: str) -> Muscle:
        """Look up a muscle by its canonical name."""
        for muscle in self.muscles:
            if muscle.name == name:
                return muscle
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names in registry order."""
        return tuple(muscle.name for muscle in self.muscles)

    def title(self, name: str) -> str:
        """Return the printed name of a muscle.

        Parameters
        ----------
        name : str
            Canonical name; one outside the registry is printed as it is.
        """
        return self[name].title if name in self.names else name.replace("_", " ").capitalize()

    def resolve(self, text: str) -> tuple[str, Side]:
        """Find the muscle and side that a free name means.

        Case, blanks, hyphens and underscores do not matter, nor does a leading "M." or "muscle".

        Parameters
        ----------
        text : str
            A canonical name, title or alias, with or without a side (`L`, `left`, `_R`, `rechts` …).

        Returns
        -------
        tuple of (str, Side)
            Canonical name and side; `Side.BOTH` when the text names no side.

        Raises
        ------
        LabelError
            If no muscle has that name (the message offers the nearest ones), or the text names two sides.
        """
        side, key = _split_side(text)
        if key in self._names_by_key:
            return self._names_by_key[key], side or Side.BOTH
        near = dict.fromkeys(
            self._names_by_key[match] for match in get_close_matches(key, self._names_by_key, n=3, cutoff=0.6)
        )
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise LabelError(f"'{text}' is no muscle of the registry.{hint} Add an alias to data/muscles.tsv if it is one.")

    @cached_property
    def _names_by_key(self) -> dict[str, str]:
        return {
            _split_side(word)[1]: muscle.name
            for muscle in self.muscles
            for word in (muscle.name, muscle.title, *muscle.aliases)
        }

    def by_code(self) -> dict[int, tuple[str, Side]]:
        """Map each MuscleMap code to its muscle and side."""
        return {
            code: (muscle.name, side)
            for muscle in self.muscles
            for code, side in ((muscle.left, Side.LEFT), (muscle.right, Side.RIGHT))
        }


@dataclass(frozen=True)
class MuscleLabels:
    """A label image whose values are known by muscle and side.

    Parameters
    ----------
    values : ndarray of int, shape (nx, ny, nz)
        Label of each voxel; 0 is background.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    meaning : dict of int to (str, Side)
        Muscle and side of each value. Values without a meaning are not measured.
    """

    values: NDArray[np.integer]
    affine: NDArray[np.floating]
    meaning: dict[int, tuple[str, Side]]

    @property
    def present(self) -> dict[int, tuple[str, Side]]:
        """The part of `meaning` whose values occur in the image."""
        found = set(np.unique(self.values).tolist())
        return {value: name for value, name in self.meaning.items() if value in found}

    @property
    def unknown(self) -> tuple[int, ...]:
        """Values in the image that no muscle is known for."""
        return tuple(int(v) for v in np.unique(self.values) if v != 0 and int(v) not in self.meaning)

    def where(self, muscle: str, side: Side) -> NDArray[np.bool_]:
        """Return which voxels belong to one muscle.

        Parameters
        ----------
        muscle : str
            Canonical name.
        side : Side
            Left, right, or both.
        """
        wanted = [v for v, (name, s) in self.meaning.items() if name == muscle and side in (s, Side.BOTH)]
        return np.isin(self.values, wanted)


_SIDES = {
    "l": Side.LEFT, "left": Side.LEFT, "lt": Side.LEFT, "links": Side.LEFT, "sinister": Side.LEFT,
    "r": Side.RIGHT, "right": Side.RIGHT, "rt": Side.RIGHT, "rechts": Side.RIGHT, "dexter": Side.RIGHT,
    "both": Side.BOTH, "bilateral": Side.BOTH,
}  # fmt: skip

# Words that say no more than that this is a muscle.
_FILLERS = {"m", "musc", "muscle", "musculus"}


def _split_side(text: str) -> tuple[Side | None, str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if len(sides) > 1:
        raise LabelError(f"'{text}' names more than one side. Keep one of them, or none for the sides pooled.")
    key = "".join(word for word in words if word not in _SIDES and word not in _FILLERS)
    return next(iter(sides), None), key
