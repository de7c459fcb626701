"""Reading and writing of plain files; every file is written whole or not at all."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

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
    """Read UTF-8 text.

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
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file.") from error
    except (UnicodeDecodeError, OSError) as error:
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
        If the file is missing, is not YAML, or holds something else than a mapping.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file.")
    try:
        values = yaml.safe_load(read_text(path))
    except DatasetError as error:
        raise SettingsError(str(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SettingsError(f"{path}{line}: not valid YAML ({problem}).") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: holds a {type(values).__name__}, not names and values.")
    return values


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
        table = pd.read_csv(
            path, sep="\t", dtype=str, na_values=[MISSING, ""], keep_default_na=False, encoding="utf-8-sig"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as a tab-separated table ({str(error).strip()}).") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DatasetError(f"{path}: its rows have more cells than its header. Check for tabs at the ends of lines.")
    return table


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
    if isinstance(values, dict):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple | set | np.ndarray):
        return [plain(value) for value in values]
    if isinstance(values, np.generic):
        return plain(values.item())
    if isinstance(values, float) and not math.isfinite(values):
        return None
    if values is pd.NA or values is pd.NaT:
        return None
    return str(values) if isinstance(values, Path) else values
