"""The `parameters` cell of a notebook: what it offers, and whether given values fit.

papermill only warns of an unknown name, lets the defaults overwrite the given values when the cell's tag is
missing, and turns `001` into 1. Here each of these is an error before anything starts.
"""

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dtimuscle.errors import NotebookError

TAG = "parameters"


@dataclass(frozen=True)
class Parameter:
    """One line of a `parameters` cell.

    Parameters
    ----------
    name : str
        Its name.
    annotation : str
        Its type as written, e.g. `float` or `list[str]`.
    default : object
        Its value.
    comment : str
        What the comment behind it says.
    """

    name: str
    annotation: str
    default: Any
    comment: str


def read_parameters(path: Path) -> dict[str, Parameter]:
    """Read the parameters that a notebook takes.

    Parameters
    ----------
    path : Path
        The notebook.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.

    Raises
    ------
    NotebookError
        If the notebook is missing or has not exactly one cell tagged `parameters`, or if that cell holds
        anything but annotated literals.
    """
    if not path.is_file():
        raise NotebookError(f"{path}: there is no such notebook.")
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if TAG in cell["metadata"].get("tags", [])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookError(f"{path}: is no notebook. Save it again in JupyterLab.") from error
    if len(sources) != 1:
        raise NotebookError(
            f"{path}: {len(sources)} cells are tagged '{TAG}'; exactly one must be, or its defaults overwrite the "
            "values given. In JupyterLab: select the cell, open the property inspector, add the tag."
        )
    (source,) = sources
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise NotebookError(f"{path}: line {error.lineno} of the {TAG} cell is not Python ({error.msg}).") from error
    parameters = {}
    for node in body:
        parameter = _parameter(node, source)
        if parameter is None:
            raise NotebookError(
                f"{path}: the line '{ast.unparse(node)}' of the {TAG} cell is not of the form name: type = value."
            )
        parameters[parameter.name] = parameter
    return parameters


def _parameter(node: ast.stmt, source: str) -> Parameter | None:
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
        return None
    try:
        default = ast.literal_eval(node.value)
    except ValueError:
        return None
    line = source.splitlines()[(node.end_lineno or node.lineno) - 1]
    behind = line.encode()[node.end_col_offset :].decode()  # the parser counts bytes
    comment = behind.partition("#")[2].strip()
    return Parameter(node.target.id, ast.unparse(node.annotation), default, comment)


_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "list[str]": (list, tuple),
}


def check_parameters(path: Path, values: dict[str, Any]) -> None:
    """Refuse values that a notebook does not know or cannot use.

    Parameters
    ----------
    path : Path
        The notebook.
    values : dict
        Names and values that are to be given to it.

    Raises
    ------
    NotebookError
        If a name is unknown (with the nearest known one) or a value has another type than the cell says.
    """
    known = read_parameters(path)
    for name, value in values.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" It knows {', '.join(known)}."
            raise NotebookError(f"{path.name}: unknown parameter '{name}'.{hint}")
        kinds = _KINDS.get(known[name].annotation)
        if kinds is None:
            raise NotebookError(
                f"{path.name}: parameter '{name}' has type {known[name].annotation}; use one of {', '.join(_KINDS)}."
            )
        is_truth_value = isinstance(value, bool) and bool not in kinds
        holds_other_than_text = list in kinds and any(not isinstance(word, str) for word in _words(value))
        if is_truth_value or holds_other_than_text or not isinstance(value, kinds):
            found = _in_words(value)
            takes_text = str in kinds or list in kinds
            raise NotebookError(
                f"{path.name}: parameter '{name}' takes {known[name].annotation}, not {found}."
                + (" Identifiers are text: put them in quotes." if takes_text else "")
            )


def given_parameters(path: Path, variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Take the values of a notebook's parameters from its variables.

    Only what the notebook's `parameters` cell names is taken, whatever else the variables hold. A parameter that a
    later cell has overwritten with something of another kind is refused, and so is one that is missing.

    Parameters
    ----------
    path : Path
        The notebook.
    variables : mapping
        What the notebook has defined: `globals()`.
    names : iterable of str
        Which parameters to take, as far as the cell has them.

    Returns
    -------
    dict
        Values by name, in the order of the cell.

    Raises
    ------
    NotebookError
        If a parameter has no value, or one of another type than the cell says.
    """
    wanted = set(names)
    asked = [name for name in read_parameters(path) if name in wanted]
    missing = [name for name in asked if name not in variables]
    if missing:
        raise NotebookError(f"{path.name}: no value for {', '.join(missing)}. Run the cell of parameters first.")
    values = {name: variables[name] for name in asked}
    check_parameters(path, values)
    return values


def _in_words(value: object) -> str:
    kind = type(value).__name__
    is_plain = value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
    return f"{value!r} ({kind})" if is_plain else f"something else ({kind})"


def _words(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()
