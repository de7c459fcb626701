"""Reading of the data files that the kit ships: muscles, protocols, scenarios, published studies."""

from pathlib import Path
from typing import Any

from dtimuscle.data_files import Lines
from dtimuscle.errors import LabelError, SettingsError
from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.settings import Study
from dtimuscle.store import places
from dtimuscle.store.files import naming, read_tsv, read_yaml, read_yaml_with_lines
from dtimuscle.store.label_tables import AUTO, scheme_names


def read_registry(path: Path | None = None) -> MuscleRegistry:
    """Read the label registry.

    Parameters
    ----------
    path : Path, optional
        Table with the columns `name`, `title`, `left`, `right` and `aliases`; the kit's own by default.

    Returns
    -------
    MuscleRegistry
        The muscles in the order of the file.

    Raises
    ------
    LabelError
        If a column is missing, a code is no number, or a name has two meanings.
    """
    path = path or places.registry_file()
    rows = read_tsv(path)
    missing = {"name", "title", "left", "right", "aliases"} - set(rows.columns)
    if missing:
        raise LabelError(f"{path}: lacks the column(s) {', '.join(sorted(missing))}.")
    try:
        muscles = tuple(
            Muscle(row["name"], row["title"], int(row["left"]), int(row["right"]), _aliases(row["aliases"]))
            for row in rows.to_dict("records")
        )
    except ValueError as error:
        raise LabelError(f"{path}: a code is not a whole number ({error}).") from error
    with naming(path):
        return MuscleRegistry(muscles)


def _aliases(cell: object) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(";") if word.strip()) if isinstance(cell, str) else ()


def read_named(folder: Path, name: str) -> tuple[dict[str, Any], Lines, Path]:
    """Read a YAML file by its name in a folder, or by its path.

    Parameters
    ----------
    folder : Path
        Where files of this kind lie.
    name : str
        Name without `.yaml`, or the path of a file of one's own.

    Returns
    -------
    values : dict
        What the file holds.
    lines : mapping of tuple to int
        Line of each field, for messages.
    path : Path
        Which file it was.

    Raises
    ------
    SettingsError
        If there is no such file; the message lists those that there are.
    """
    path = Path(name).expanduser() if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise SettingsError(f"{path}: there is no such file. In {folder.name}/ there are: {known}.")
    return *read_yaml_with_lines(path), path


def read_study(path: Path) -> Study:
    """Read a study's settings.

    Parameters
    ----------
    path : Path
        A YAML file like `study.yaml`.

    Returns
    -------
    Study
        The checked settings. Relative paths of data are taken from the file's own folder.

    Raises
    ------
    SettingsError
        If the file is missing or a setting is wrong.
    """
    return with_absolute_paths(Study.from_mapping(read_yaml(path), source=str(path)), path.parent)


def with_absolute_paths(study: Study, folder: Path) -> Study:
    """Make the paths of a study's data independent of the folder that somebody works in.

    Parameters
    ----------
    study : Study
        Settings whose `data` section may hold relative paths, and whose `label_scheme` may be one.
    folder : Path
        What they are relative to.

    Returns
    -------
    Study
        The same with absolute paths; empty ones stay empty.
    """
    paths = {name: value for name, value in study.data.model_dump().items() if value}
    scheme = study.roi.label_scheme
    if scheme not in (AUTO, *scheme_names()) and (folder / Path(scheme).expanduser()).is_file():
        paths["label_scheme"] = scheme
    return study.with_values(
        **{name: str((folder / Path(value).expanduser()).resolve()) for name, value in paths.items()}
    )
