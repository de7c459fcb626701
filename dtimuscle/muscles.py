"""The names of muscles: one registry, from which every label scheme and every spelling is resolved."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from dtimuscle.errors import LabelError, SettingsError
from dtimuscle.issues import Issue, Severity

# Names with fewer letters say too little for a typing error to be told from another name.
LETTERS_FOR_ONE_ERROR = 5
LETTERS_FOR_TWO_ERRORS = 8

# A name is taken for a muscle only when every other muscle's is at least this many letters further away.
CLEAR_LEAD = 2

# Errors beyond which it does not matter how many there are.
FAR = 2 + CLEAR_LEAD

# Shortest beginning of a word that stands for it ("lat." for lateralis), within a name and alone.
SHORTEST_ABBREVIATION = 3
SHORTEST_LONE_ABBREVIATION = 4

# Orders of words are all tried up to this many words.
MOST_WORDS = 4

# Nearest names that a message offers.
MOST_CANDIDATES = 4


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
class Structure:
    """Something that label files name and that is no muscle of the registry: bone, fat, background.

    Parameters
    ----------
    name : str
        As issues say it.
    codes : tuple of int
        Its MuscleMap codes, if it has any.
    aliases : tuple of str
        Other names in use.
    """

    name: str
    codes: tuple[int, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class NameMatch:
    """What a free name is taken for.

    Parameters
    ----------
    muscle : str or None
        Canonical name; None when no muscle, or more than one, may be meant.
    side : Side
        The side that the name says; `Side.BOTH` when it says none.
    is_exact : bool
        Whether the registry holds the name as it stands, not only one that is written almost so.
    candidates : tuple of str
        Canonical names that may be meant, where it is not clear which.
    """

    muscle: str | None
    side: Side
    is_exact: bool
    candidates: tuple[str, ...] = ()


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
        near = self._nearest(key)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise LabelError(f"'{text}' is no muscle of the registry.{hint} Add an alias to data/muscles.tsv if it is one.")

    def match(self, text: str) -> NameMatch:
        """Find the muscle that a free name means even when it is abbreviated or has typing errors.

        Words may stand in any order and be cut ("adduct. longus", "lat vastus"). A name of five letters or more
        may have one error, one of eight or more two (a letter that is wrong, missing, too much, or changed places
        with its neighbour), as long as every other muscle's names are at least two errors further away. Digits are
        never taken for errors, and a name of another muscle within the name (brackets) is not passed over. An L or R
        that is written together with a known name ("sartoriusl") is its side, and so are LH and RH.

        Parameters
        ----------
        text : str
            Any name, with or without a side.

        Returns
        -------
        NameMatch
            The muscle, or the ones that may be meant.

        Raises
        ------
        LabelError
            If the text names two sides.
        """
        side, words = _split_words(text)
        key = "".join(words)
        if key in self._names_by_key:
            return NameMatch(self._names_by_key[key], side or Side.BOTH, True)
        if (twice := self._named_twice(text)) is not None:
            return NameMatch(twice, side or Side.BOTH, True)
        # Only what is no name already: "biceps femoris LH" is its long head.
        if side is None and (hemisphere := _hemisphere(words)) is not None:
            side, words = hemisphere
            key = "".join(words)
            if key in self._names_by_key:
                return NameMatch(self._names_by_key[key], side, True)
        if side is None and (glued := self._with_glued_side(key)) is not None:
            return glued
        costs = self._costs(words)
        best, second = [*sorted(costs.values()), np.inf, np.inf][:2]
        is_clear = second > 0 if best == 0 else second >= best + CLEAR_LEAD
        nearest = tuple(name for name, cost in costs.items() if cost == best)
        is_plain = not any(letter.isdigit() for letter in key)
        if best <= _errors_allowed(key) and is_clear and is_plain and not self._names_another(words, nearest[0]):
            return NameMatch(nearest[0], side or Side.BOTH, False)
        if best <= _errors_allowed(key):
            candidates = tuple(name for name, cost in costs.items() if cost < best + CLEAR_LEAD)
        else:
            candidates = self._with_words(words) or self._nearest(key)
        return NameMatch(None, side or Side.BOTH, False, candidates[:MOST_CANDIDATES])

    def _named_twice(self, text: str) -> str | None:
        """Return the muscle whose abbreviation stands in brackets behind its name, as in "Sartorius (SAR) left"."""
        found = _IN_BRACKETS.search(text)
        if found is None:
            return None
        inside = self._names_by_key.get(_split_side(found[1])[1])
        outside = self._names_by_key.get(_split_side(_IN_BRACKETS.sub(" ", text))[1])
        return inside if inside == outside else None

    def _with_glued_side(self, key: str) -> NameMatch | None:
        """Split a side off that is one letter of the word; names of few letters ("VLL") say too little for that."""
        for name, letter in ((key[:-1], key[-1:]), (key[1:], key[:1])):
            if len(name) >= LETTERS_FOR_ONE_ERROR and letter in ("l", "r") and name in self._names_by_key:
                return NameMatch(self._names_by_key[name], _SIDES[letter], False)
        return None

    def _names_another(self, words: tuple[str, ...], muscle: str) -> bool:
        """Tell whether one of the words is the name of a muscle and belongs to no name of this one."""
        own = {word for variant, name in self._variants if name == muscle for word in variant}
        return any(word in self._names_by_key and word not in own for word in words)

    def _costs(self, words: tuple[str, ...]) -> dict[str, float]:
        """Return how many errors each muscle's best name is away."""
        costs: dict[str, float] = {}
        for variant, muscle in self._variants:
            costs[muscle] = min(costs.get(muscle, np.inf), _name_cost(words, variant))
        return costs

    def _with_words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the muscles with a name in which each of these words occurs, if only cut or with an error."""
        if not words:
            return ()
        found = (
            muscle
            for variant, muscle in self._variants
            if all(any(_word_cost(word, known) <= _errors_allowed(word) for known in variant) for word in words)
        )
        return tuple(dict.fromkeys(found))

    def _nearest(self, key: str) -> tuple[str, ...]:
        near = get_close_matches(key, self._names_by_key, n=3, cutoff=0.6)
        return tuple(dict.fromkeys(self._names_by_key[match] for match in near))

    @cached_property
    def _variants(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The words of each name with the muscle that it stands for, each once."""
        found = {
            (_split_words(word)[1], muscle.name): None
            for muscle in self.muscles
            for word in (muscle.name, muscle.title, *muscle.aliases)
        }
        return tuple(found)

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
    structures : dict of int to str
        What values stand for that are no muscle (bone, fat): neither measured nor unknown.
    merged : dict of str to tuple of str
        Muscles that are measured beside the parts that they consist of (`merge_muscles`).
    lost : tuple of (str, Side)
        Muscles that were drawn but have no voxel on this grid; they keep their place among the regions.
    """

    values: NDArray[np.integer]
    affine: NDArray[np.floating]
    meaning: dict[int, tuple[str, Side]]
    structures: dict[int, str] = field(default_factory=dict)
    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lost: tuple[tuple[str, Side], ...] = ()

    @property
    def present(self) -> dict[int, tuple[str, Side]]:
        """The part of `meaning` whose values occur in the image."""
        found = set(np.unique(self.values).tolist())
        return {value: name for value, name in self.meaning.items() if value in found}

    @property
    def unknown(self) -> tuple[int, ...]:
        """Values in the image that neither a muscle nor another structure is known for."""
        known = {0, *self.meaning, *self.structures}
        return tuple(int(value) for value in np.unique(self.values) if int(value) not in known)

    @property
    def regions(self) -> dict[tuple[str, Side], tuple[int, ...]]:
        """Values in the image by muscle and side: what is measured, muscles that were merged behind their parts.

        A muscle that was lost has none.
        """
        present = self.present
        found: dict[tuple[str, Side], tuple[int, ...]] = {}
        for value, (name, side) in present.items():
            found[name, side] = (*found.get((name, side), ()), value)
        for whole, parts in self.merged.items():
            for value, (name, side) in present.items():
                if name in parts:
                    found[whole, side] = (*found.get((whole, side), ()), value)
        return found | {muscle: () for muscle in self.lost if muscle not in found}

    def where(self, muscle: str, side: Side) -> NDArray[np.bool_]:
        """Return which voxels belong to one muscle.

        Parameters
        ----------
        muscle : str
            Canonical name, or that of merged muscles.
        side : Side
            Left, right, or both.
        """
        names = {muscle, *self.merged.get(muscle, ())}
        wanted = [v for v, (name, s) in self.meaning.items() if name in names and side in (s, Side.BOTH)]
        return np.isin(self.values, wanted)


@dataclass(frozen=True)
class LabelMeaning:
    """What the values of a label image stand for.

    Parameters
    ----------
    meaning : dict of int to (str, Side)
        Muscle and side of each value.
    structures : dict of int to str
        Values of what is no muscle.
    issues : tuple of Issue
        Names that were corrected, may mean several muscles, or mean none.
    """

    meaning: dict[int, tuple[str, Side]]
    structures: dict[int, str]
    issues: tuple[Issue, ...] = ()


def meaning_of_names(
    names: Mapping[int, str],
    registry: MuscleRegistry,
    *,
    present: Collection[int],
    structures: Iterable[Structure] = (),
    source: str,
) -> LabelMeaning:
    """Find the muscle and side of each value from the names in a look-up table.

    A name with a typing error counts when it can mean one muscle only, and a note says which. A name that
    may mean several, or a misspelt one of a muscle that another row names correctly, is not measured.

    Parameters
    ----------
    names : mapping of int to str
        Name of each value.
    registry : MuscleRegistry
        The names that are known.
    present : collection of int
        Values that occur in the image; unknown names of others are no more than a note.
    structures : iterable of Structure
        What else label files name.
    source : str
        Where the names come from, for issues.

    Returns
    -------
    LabelMeaning
        Meaning and issues.
    """
    others = {_split_words(word)[1]: other.name for other in structures for word in (other.name, *other.aliases)}
    matches, found_others, issues = {}, {}, []
    for value, name in names.items():
        where = f"{source}, index {value}"
        try:
            match = registry.match(name)
        except LabelError as error:
            issues.append(Issue(Severity.WARNING, where, str(error)))
            continue
        other = others.get(_split_words(name)[1])
        if other is not None and not match.is_exact:
            found_others[value] = other
        else:
            matches[value] = match
    correct = {(match.muscle, match.side) for match in matches.values() if match.is_exact}
    taken = Counter((match.muscle, match.side) for match in matches.values() if not match.is_exact)
    meaning, absent = {}, []
    for value, match in matches.items():
        where, name, target = f"{source}, index {value}", names[value], (match.muscle, match.side)
        if match.muscle is not None and (match.is_exact or (target not in correct and taken[target] == 1)):
            meaning[value] = (match.muscle, match.side)
            if not match.is_exact:
                what = f"'{name}' is taken for {_with_side(match.muscle, match.side)}."
                issues.append(Issue(Severity.NOTE, where, what, "Correct the name if it is another muscle."))
        elif match.muscle is not None:
            what = f"'{name}' looks like {_with_side(match.muscle, match.side)}, which another row is, too."
            issues.append(Issue(Severity.WARNING, where, f"{what} It is not measured.", "Correct the name."))
        elif value not in present:
            absent.append(value)
        else:
            issues.append(Issue(Severity.WARNING, where, *_unknown_name(name, match.candidates)))
    if absent:
        shown = ", ".join(f"'{names[value]}'" for value in absent[:MOST_CANDIDATES])
        what = f"names without a muscle of the registry ({shown}{', …' if len(absent) > MOST_CANDIDATES else ''})."
        issues.append(Issue(Severity.NOTE, source, f"holds {what} Their values do not occur in the labels."))
    return LabelMeaning(meaning, found_others, tuple(issues))


def _unknown_name(name: str, candidates: tuple[str, ...]) -> tuple[str, str]:
    """Say why a value is not measured, and what to do about it."""
    if not name.strip() or name.strip().lower() in _NAMELESS:
        return "has no name in the table, so it is not measured.", "Name it there if it is a muscle."
    if candidates:
        what = f"'{name}' is no muscle of the registry; it may be {' or '.join(candidates)}. It is not measured."
        return what, "Write one of these names."
    return f"'{name}' is no muscle of the registry.", "Add an alias to data/muscles.tsv if it is one."


def with_side(meaning: LabelMeaning, side: Side, *, present: Collection[int]) -> LabelMeaning:
    """Say which side all labels of an image that shows one side only are.

    Parameters
    ----------
    meaning : LabelMeaning
        What the values stand for.
    side : Side
        The side that the image shows.
    present : collection of int
        Values that occur in the image.

    Returns
    -------
    LabelMeaning
        The same with that side.

    Raises
    ------
    LabelError
        If a value that occurs is a muscle of the other side.
    """
    opposite = {value: found for value, found in meaning.meaning.items() if found[1] not in (side, Side.BOTH)}
    for value, (name, other) in opposite.items():
        if value in present:
            raise LabelError(
                f"holds labels of the {side} side by its name, but {value} is {_with_side(name, other)}. "
                "Rename the file, or correct its look-up table."
            )
    sided = {value: (name, side) for value, (name, _) in meaning.meaning.items() if value not in opposite}
    return replace(meaning, meaning=sided)


@dataclass(frozen=True)
class MuscleMerge:
    """Muscles that count as one.

    Parameters
    ----------
    name : str
        Name of the whole.
    parts : tuple of str
        Canonical names of what it consists of.
    """

    name: str
    parts: tuple[str, ...]


def parse_merges(entries: Iterable[str], registry: MuscleRegistry) -> tuple[MuscleMerge, ...]:
    """Read which muscles are merged.

    Parameters
    ----------
    entries : iterable of str
        Each `whole = part + part + …`, such as `hamstrings = semimembranosus + semitendinosus`.
    registry : MuscleRegistry
        The names that are known; the whole may have a name of its own.

    Returns
    -------
    tuple of MuscleMerge
        One for each entry.

    Raises
    ------
    SettingsError
        If an entry has another form, names a muscle that is not known or a side, or a whole stands twice.
    """
    merges: list[MuscleMerge] = []
    for entry in entries:
        name, separator, rest = entry.partition("=")
        words = [word.strip() for word in rest.split("+")]
        if not separator or not name.strip() or len(words) < 2 or not all(words):
            raise SettingsError(
                f"merge_muscles: '{entry}' is not of the form hamstrings = semimembranosus + semitendinosus."
            )
        try:
            parts = tuple(_sideless(word, registry) for word in words)
        except LabelError as error:
            raise SettingsError(f"merge_muscles: '{entry}': {error}") from error
        match = registry.match(name)
        whole = match.muscle if match.muscle and match.is_exact else "_".join(re.findall(r"[a-z0-9]+", name.lower()))
        if not re.fullmatch(r"[a-z][a-z0-9_]*", whole):
            raise SettingsError(f"merge_muscles: '{name.strip()}' is no name. Write it like hamstrings.")
        if whole in parts or len(set(parts)) < len(parts):
            raise SettingsError(f"merge_muscles: '{entry}' names a muscle twice. Keep it once.")
        if whole in {merge.name for merge in merges}:
            raise SettingsError(f"merge_muscles: {whole} stands twice. Keep one entry with all its parts.")
        merges.append(MuscleMerge(whole, parts))
    return tuple(merges)


def _sideless(word: str, registry: MuscleRegistry) -> str:
    name, side = registry.resolve(word)
    if side is not Side.BOTH:
        raise LabelError(f"'{word}' names a side; muscles are merged on each side by itself.")
    return name


def merge_muscles(
    labels: MuscleLabels, merges: Iterable[MuscleMerge], *, keep_parts: bool = False
) -> tuple[MuscleLabels, tuple[Issue, ...]]:
    """Make several muscles one, on each side by itself.

    Parameters
    ----------
    labels : MuscleLabels
        Muscles as drawn.
    merges : iterable of MuscleMerge
        What becomes one.
    keep_parts : bool, default=False
        Whether the parts are measured beside the whole.

    Returns
    -------
    labels : MuscleLabels
        The same voxels under other names; a label that has the name of the whole already belongs to it.
    issues : tuple of Issue
        Wholes that lack a part on a side, or have none at all.

    Raises
    ------
    SettingsError
        If the parts are not kept and one of them belongs to two wholes.
    """
    merges, issues = tuple(merges), []
    owners: dict[str, str] = {}
    for merge in merges:
        for part in merge.parts:
            if owners.setdefault(part, merge.name) != merge.name and not keep_parts:
                raise SettingsError(
                    f"merge_muscles: {part} belongs to both {owners[part]} and {merge.name}. Keep the parts, or one."
                )
    present = set(labels.present.values())
    for merge in merges:
        sides = [side for side in Side if any((part, side) in present for part in merge.parts)]
        if not sides and not any(name == merge.name for name, _ in present):
            what = f"no part of it is labelled ({', '.join(merge.parts)})."
            issues.append(Issue(Severity.WARNING, merge.name, what, "Label them, or change merge_muscles."))
        for side in sides:
            lacking = [part for part in merge.parts if not {(part, side), (part, Side.BOTH)} & present]
            if lacking:
                what = f"is made without {' and '.join(lacking)}, of which there is no label."
                issues.append(Issue(Severity.WARNING, _with_side(merge.name, side), what, "Label it as well."))
    if keep_parts:
        return replace(labels, merged=labels.merged | {merge.name: merge.parts for merge in merges}), tuple(issues)
    meaning = {value: (owners.get(name, name), side) for value, (name, side) in labels.meaning.items()}
    lost = tuple((owners.get(name, name), side) for name, side in labels.lost)
    return replace(labels, meaning=meaning, lost=lost), tuple(issues)


_SIDES = {
    "l": Side.LEFT, "left": Side.LEFT, "lt": Side.LEFT, "links": Side.LEFT, "linke": Side.LEFT,
    "linker": Side.LEFT, "li": Side.LEFT, "sin": Side.LEFT, "sinister": Side.LEFT, "sinistra": Side.LEFT,
    "sinistrum": Side.LEFT, "sinistro": Side.LEFT, "sx": Side.LEFT, "gauche": Side.LEFT, "izq": Side.LEFT,
    "izquierdo": Side.LEFT, "izquierda": Side.LEFT, "esquerdo": Side.LEFT,
    "r": Side.RIGHT, "right": Side.RIGHT, "rt": Side.RIGHT, "rechts": Side.RIGHT, "rechte": Side.RIGHT,
    "rechter": Side.RIGHT, "re": Side.RIGHT, "dex": Side.RIGHT, "dext": Side.RIGHT, "dexter": Side.RIGHT,
    "dextra": Side.RIGHT, "dextrum": Side.RIGHT, "destro": Side.RIGHT, "destra": Side.RIGHT, "dx": Side.RIGHT,
    "droit": Side.RIGHT, "droite": Side.RIGHT, "derecho": Side.RIGHT, "derecha": Side.RIGHT, "direito": Side.RIGHT,
    "both": Side.BOTH, "bilateral": Side.BOTH,
}  # fmt: skip

# As programs for the brain write the side (left or right hemisphere).
_HEMISPHERES = {"lh": Side.LEFT, "rh": Side.RIGHT}

# Words that say no more than that this is a muscle, or nothing.
_FILLERS = {"m", "mm", "musc", "muscle", "muscles", "musculus", "musculi", "of", "the"}

# What stands in tables where a name is missing.
_NAMELESS = {"n/a", "na", "nan", "none", "-", "?"}

_IN_BRACKETS = re.compile(r"[(\[]([^)\]]*)[)\]]")


def side_of_word(word: str) -> Side | None:
    """Return the side that a single word names, or None.

    Parameters
    ----------
    word : str
        Such as `L`, `right` or `rechts`.
    """
    return _SIDES.get(word.lower())


def _with_side(name: str, side: Side) -> str:
    return name if side is Side.BOTH else f"{name} ({side})"


def _split_side(text: str) -> tuple[Side | None, str]:
    side, words = _split_words(text)
    return side, "".join(words)


def _split_words(text: str) -> tuple[Side | None, tuple[str, ...]]:
    """Split a name into its side and its other words, lower case and without accents."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    words = re.findall(r"[a-z0-9]+", plain.lower())
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if len(sides) > 1:
        raise LabelError(f"'{text}' names more than one side. Keep one of them, or none for the sides pooled.")
    return next(iter(sides), None), tuple(word for word in words if word not in _SIDES and word not in _FILLERS)


def _hemisphere(words: tuple[str, ...]) -> tuple[Side, tuple[str, ...]] | None:
    """Return the side that one of the words names as a hemisphere, and the other words."""
    found = [word for word in words if word in _HEMISPHERES]
    if len(found) != 1:
        return None
    return _HEMISPHERES[found[0]], tuple(word for word in words if word not in _HEMISPHERES)


def _errors_allowed(key: str) -> int:
    return int(len(key) >= LETTERS_FOR_ONE_ERROR) + int(len(key) >= LETTERS_FOR_TWO_ERRORS)


def _name_cost(words: tuple[str, ...], known: tuple[str, ...]) -> float:
    """Return by how many errors a name differs from a known one: as one word, or word by word in any order."""
    whole, other = "".join(words), "".join(known)
    # Names in letters only ("VL") are too short to be misspelt.
    cost = _errors(whole, other) if len(other) >= LETTERS_FOR_ONE_ERROR else np.inf
    if len(words) == 1 and len(known) == 1:
        is_cut = len(whole) >= SHORTEST_LONE_ABBREVIATION and other.startswith(whole)
        return 0 if is_cut else cost
    if len(words) != len(known) or len(words) > MOST_WORDS:
        return cost
    return min(cost, *(sum(map(_word_cost, words, order)) for order in permutations(known)))


def _word_cost(word: str, known: str) -> float:
    if len(word) >= SHORTEST_ABBREVIATION and known.startswith(word):
        return 0
    if word == known:
        return 0
    return _errors(word, known) if len(known) >= LETTERS_FOR_ONE_ERROR else np.inf


@lru_cache(maxsize=100_000)
def _errors(word: str, other: str) -> int:
    """Count the letters that are wrong, missing, too many or swapped with their neighbour (Damerau 1964)."""
    if abs(len(word) - len(other)) > FAR:
        return abs(len(word) - len(other))  # at least as many, and more than anybody asks for
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(word, start=1):
        row = [i]
        for j, known in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != known))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == known:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
