"""Reading and writing of plain files; every file is written whole or not at all."""

import codecs
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import yaml

from dtimuscle.data_files import Lines, Place
from dtimuscle.errors import DatasetError, DtiMuscleError, SettingsError

# BIDS writes a missing value as this word.
MISSING = "n/a"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name that takes the file's place once it has been written.

    Parameters
    ----------
    path : Path
        The file to write; its folder is made when missing.

    Yields
    ------
    Path
        A name beside `path` with the same suffixes. It is gone if writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".writing-", suffix=f"-{path.name}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp is private to its owner; a report is not.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def naming(place: Path | str) -> Iterator[None]:
    """Put a file or participant in front of the message of an error that is raised inside.

    Parameters
    ----------
    place : Path or str
        What the message should begin with.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    DtiMuscleError
        The same kind of error, with `place` in its message.
    """
    try:
        yield
    except DtiMuscleError as error:
        if str(error).startswith(str(place)):
            raise
        raise type(error)(f"{place}: {error}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        What it will hold.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        What it will hold.
    """
    write_bytes(path, text.encode("utf-8"))


def read_text(path: Path) -> str:
    """Read UTF-8 text, or UTF-16 with a byte-order mark, as spreadsheets write "Unicode text".

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        Its text, without a byte-order mark.

    Raises
    ------
    DatasetError
        If the file is missing or is not text.
    """
    try:
        with path.open("rb") as file:
            is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return path.read_text(encoding="utf-16" if is_utf16 else "utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: cannot be read as UTF-8 text ({error}). Save it as UTF-8.") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read as UTF-8 text ({error}).") from error


def write_json(path: Path, values: Any) -> None:
    """Write JSON, whole or not at all; NaN becomes null.

    Parameters
    ----------
    path : Path
        The file.
    values : object
        Whatever `plain` can turn into JSON.
    """
    write_text(path, json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_in_rows(path: Path, values: Mapping[str, Any]) -> None:
    """Write tables as JSON with one row a line, whole or not at all; NaN becomes null.

    Parameters
    ----------
    path : Path
        The file.
    values : mapping
        Names and whatever `plain` can turn into JSON; a list anywhere within is a table.
    """
    write_text(path, "".join(_rows(plain(values), "")) + "\n")


def _rows(values: Any, margin: str) -> Iterator[str]:
    """Lay out dictionaries over several lines, and of lists each item on a line of its own."""
    deeper = f"{margin}  "
    if values and isinstance(values, dict):
        for number, (name, value) in enumerate(values.items()):
            yield f"{',' if number else '{'}\n{deeper}{_on_a_line(name)}: "
            yield from _rows(value, deeper)
        yield f"\n{margin}}}"
    elif values and isinstance(values, list):
        # The encoder is compiled as long as it does not have to indent.
        yield f"[\n{deeper}" + f",\n{deeper}".join(map(_on_a_line, values)) + f"\n{margin}]"
    else:
        yield _on_a_line(values)


def _on_a_line(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> Any:
    """Read JSON.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        What it holds.

    Raises
    ------
    DatasetError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}).") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        What it holds; empty for an empty file.

    Raises
    ------
    SettingsError
        If the file is missing, is not YAML, names a field twice, or holds something else than a mapping.
    """
    return read_yaml_with_lines(path)[0]


def read_yaml_with_lines(path: Path) -> tuple[dict[str, Any], Lines]:
    """Read a YAML file that holds a mapping, and remember where everything stands.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    values : dict
        What it holds; empty for an empty file.
    lines : mapping of tuple to int
        Line of each field and of each entry of a list, by its place: names and positions from the outside in.

    Raises
    ------
    SettingsError
        If the file is missing, is not YAML, names a field twice, or holds something else than a mapping.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file.")
    try:
        text = read_text(path)
    except DatasetError as error:
        raise SettingsError(str(error)) from error
    try:
        values, places = _load_yaml(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{error.character:04X} is not allowed"
        raise SettingsError(f"{path}, line {line}: not valid YAML ({problem}).") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not valid YAML (nested too deeply).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else f"{path}"
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SettingsError(f"{where}: not valid YAML ({problem}).") from error
    lines: dict[Place, int] = {}
    for place, line in places:
        if place in lines:
            name = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in place)
            raise SettingsError(
                f"{path}, line {line}: {name}: found twice; allowed: once (line {lines[place]} has it)."
            )
        lines[place] = line
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise SettingsError(f"{path}, line {lines[()]}: holds a {kind}, not names and values (`name: value`).")
    return values, lines


def _load_yaml(text: str) -> tuple[Any, list[tuple[Place, int]]]:
    """Do what `yaml.safe_load` does, and list where every field and entry stands."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        # Before the values are made, since that moves the keys of merged mappings (<<) into those that merge them.
        places = [((), node.start_mark.line + 1), *_places(loader, node, (), ())]
        return loader.construct_document(node), places
    finally:
        loader.dispose()


def _places(
    loader: yaml.SafeLoader, node: yaml.Node, place: Place, around: tuple[yaml.Node, ...]
) -> Iterator[tuple[Place, int]]:
    if node in around:
        raise yaml.MarkedYAMLError(problem="an alias stands within what it names", problem_mark=node.start_mark)
    entries: list[tuple[Any, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.SequenceNode):
        entries = [(position, value, value) for position, value in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        # Merge keys are no fields; a key that is a list or mapping is refused when the values are made.
        entries = [
            (loader.construct_object(key), key, value)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge"
        ]
    for name, marked, value in entries:
        yield (*place, name), marked.start_mark.line + 1
        yield from _places(loader, value, (*place, name), (*around, node))


def write_yaml(path: Path, values: dict[str, Any]) -> None:
    """Write a mapping as YAML, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    values : dict
        Plain names and values, written in their order.
    """
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def read_tsv(path: Path) -> pd.DataFrame:
    """Read a BIDS table with every cell as text and "n/a" as missing.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataFrame
        Columns of text.

    Raises
    ------
    DatasetError
        If the file is missing, empty or not a table.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file.")
    try:
        table = parse_tsv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as a tab-separated table ({str(error).strip()}).") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DatasetError(f"{path}: its rows have more cells than its header. Check for tabs at the ends of lines.")
    return table


def parse_tsv(source: Path | TextIO) -> pd.DataFrame:
    """Turn a BIDS table into columns of text, with "n/a" as missing.

    Parameters
    ----------
    source : Path or text stream
        What holds the table.

    Returns
    -------
    DataFrame
        Columns of text.
    """
    missing = [MISSING, ""]
    return pd.read_csv(source, sep="\t", dtype=str, na_values=missing, keep_default_na=False, encoding="utf-8-sig")


def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Write a BIDS table, unrounded, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    table : DataFrame
        Rows and columns; the index is left out.
    """
    write_text(path, table.to_csv(sep="\t", index=False, na_rep=MISSING, lineterminator="\n"))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a comma-separated table, unrounded, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    table : DataFrame
        Rows and columns; the index is left out.
    """
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal text.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain(values: Any) -> Any:
    """Turn numpy scalars, tuples and paths into what JSON knows; NaN and infinities become None.

    Parameters
    ----------
    values : object
        Nested dictionaries, lists, tuples, arrays and scalars.

    Returns
    -------
    object
        The same without numpy types.
    """
    # Most values by far are of these types, and asking for them exactly is quick.
    if type(values) in (str, int, float):
        return values if type(values) is not float or math.isfinite(values) else None
    if isinstance(values, dict):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple | set | np.ndarray):
        return [plain(value) for value in values]
    if isinstance(values, np.generic):
        return plain(values.item())
    if values is pd.NA or values is pd.NaT:
        return None
    return str(values) if isinstance(values, Path) else values
