"""What the values of label images mean: look-up tables of several programs, and the schemes that the kit knows."""

import io
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import nibabel as nib
import pandas as pd

from dtimuscle.errors import DatasetError, LabelError, SettingsError
from dtimuscle.muscles import Structure
from dtimuscle.store import places
from dtimuscle.store.files import read_text, read_tsv

# Endings of look-up tables beside a label image, in the order in which they are looked for.
TABLE_ENDINGS = (".tsv", ".csv", ".label", ".ctbl", ".txt")

# What programs put between the name of an image and these endings: the image's own ending (Dafne), a word (3D Slicer).
_ADDED = ("", ".nii", ".nii.gz", "_ColorTable")

# Settings of `label_scheme` that are no files.
AUTO = "auto"
MUSCLEMAP = "musclemap"

# What programs call the two columns that are needed, the usual one first.
_INDEX_COLUMNS = (
    "index", "value", "labelvalue", "labelindex", "labelid", "labelnumber", "idx", "id", "key", "number", "no", "label",
)  # fmt: skip
_NAME_COLUMNS = (
    "name", "labelname", "musclename", "muscle", "anatomy", "structure", "region", "segmentname", "segment",
    "description", "label",
)  # fmt: skip

_SIDE_COLUMNS = ("side", "laterality", "hemisphere", "hemi")

# A row of ITK-SNAP: index, three colours, opacity, two flags, name in quotes. A missing last quote is let pass.
_ITK_ROW = re.compile(r'^\s*(-?\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+[01]\s+[01]\s+"([^"]*)"?\s*(?:#.*)?$')

# A row of FreeSurfer, 3D Slicer or one that was typed: index, name, and perhaps three or four colours.
_PLAIN_ROW = re.compile(r"^\s*(-?\d+)[\s,;:=]+(\S.*?)((?:[\s,;]+\d+(?:\.\d+)?){3,4})?\s*$")

# Spreadsheets say in a line of its own what separates the columns.
_SEPARATOR_LINE = re.compile(r'^"?sep=.?"?$')

# A label of the table that a NIfTI header can hold as an extension.
_XML_LABEL = re.compile(r'<Label\s[^>]*?Key="(-?\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^<\]]*)')

# Tools repeat the index before the name ("63 Sartorius Left").
_LEADING_NUMBER = re.compile(r"^\s*\d+[\s.:_-]+(?=\D)")


@dataclass(frozen=True)
class LabelNames:
    """What a look-up table calls the values of label images.

    Parameters
    ----------
    source : str
        The table's file name, for issues.
    names : dict of int to str
        Name of each value; 0 is left out.
    """

    source: str
    names: dict[int, str]


def schemes_folder() -> Path:
    """Return the folder of the schemes that the kit knows, `data/labels/` of the clone."""
    return places.registry_file().with_name("labels")


def scheme_names() -> tuple[str, ...]:
    """Return the names that `label_scheme` may have beside `auto` and a file: MuscleMap first."""
    found = (path.stem for path in sorted(schemes_folder().glob("*.tsv")) if path != structures_file())
    return MUSCLEMAP, *found


def structures_file() -> Path:
    """Return the table of what label files name beside muscles."""
    return schemes_folder() / "other_structures.tsv"


def read_structures() -> tuple[Structure, ...]:
    """Read what label files name beside muscles: bones, fat, background.

    Returns
    -------
    tuple of Structure
        Names, MuscleMap codes and aliases.
    """
    rows = read_tsv(structures_file()).fillna("").to_dict("records")
    return tuple(
        Structure(row["name"], tuple(int(code) for code in _split(row["codes"])), _split(row["aliases"]))
        for row in rows
    )


def _split(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(";") if word.strip())


def scheme_file(scheme: str) -> Path | None:
    """Return the file of a scheme.

    Parameters
    ----------
    scheme : str
        A name as `scheme_names` lists them, `auto`, or the path of a look-up table.

    Returns
    -------
    Path or None
        None for `auto` and `musclemap`.

    Raises
    ------
    SettingsError
        If there is no such scheme or file.
    """
    if scheme in (AUTO, MUSCLEMAP):
        return None
    if scheme in scheme_names():
        return schemes_folder() / f"{scheme}.tsv"
    path = Path(scheme).expanduser()
    if path.is_file():
        return path
    known = ", ".join((AUTO, *scheme_names()))
    near = get_close_matches(scheme, (AUTO, *scheme_names()), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise SettingsError(f"label_scheme: '{scheme}' is neither a scheme nor a file.{hint} Known: {known}.")


def table_beside(image: Path) -> Path | None:
    """Find the look-up table of a label image.

    Parameters
    ----------
    image : Path
        The label image.

    Returns
    -------
    Path or None
        The first of `tables_beside`; None when there is none.

    Raises
    ------
    LabelError
        If two tables have the image's name.
    """
    found = tables_beside(image)
    if len(found) > 1:
        raise LabelError(
            f"{image}: has two look-up tables beside it, {found[0].name} and {found[1].name}. "
            "Keep one, or name it in label_scheme."
        )
    return found[0] if found else None


def tables_beside(image: Path) -> tuple[Path, ...]:
    """List the look-up tables of a label image, of which there should be one.

    Files of the image's name with another ending come first (`…_dseg.tsv`, `.csv`, `.label`, `.ctbl`, `.txt`), then
    those with what programs add to it (`…_dseg.nii.gz.csv`, `…_dseg_ColorTable.ctbl`); else the `*dseg.tsv` whose
    entities the image has, in its folder or above it within the dataset (BIDS' inheritance); else the only ITK-SNAP
    description in its folder that belongs to no other image.

    Parameters
    ----------
    image : Path
        The label image.

    Returns
    -------
    tuple of Path
        Empty when there is none.
    """
    stem = image.name.removesuffix(".gz").removesuffix(".nii")
    for added in _ADDED:
        own = [path for ending in TABLE_ENDINGS if (path := image.with_name(stem + added + ending)).is_file()]
        if own := [path for path in own if path.suffix != ".txt" or is_table(path)]:
            return tuple(own)
    entities = set(stem.split("_"))
    for folder in _folders_above(image):
        for path in sorted(folder.glob("*dseg.tsv"), key=lambda path: (-len(path.name), path.name)):
            if set(path.stem.split("_")) <= entities:
                return (path,)
    described = [
        path
        for path in sorted((*image.parent.glob("*.label"), *image.parent.glob("*.txt")))
        if _is_itk_snap(path) and not _belongs_to_another_image(path)
    ]
    return tuple(described) if len(described) == 1 else ()


def _folders_above(image: Path) -> list[Path]:
    """Return the image's folder and, within a dataset, those above it up to the dataset's own."""
    folders = [image.parent, *image.parent.parents]
    roots = [i for i, folder in enumerate(folders) if (folder / "dataset_description.json").is_file()]
    return folders[: roots[0] + 1] if roots else folders[:1]


def _belongs_to_another_image(table: Path) -> bool:
    return any(table.with_name(table.stem + ending).is_file() for ending in (".nii", ".nii.gz"))


def _is_itk_snap(path: Path) -> bool:
    try:
        return any(_ITK_ROW.match(line) for line in read_text(path).splitlines())
    except DatasetError:
        return False


def is_table(path: Path) -> bool:
    """Tell whether a text file holds indices and names.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        False for anything else, such as remarks.
    """
    try:
        return bool(read_names(path).names)
    except (LabelError, DatasetError):
        return False


def read_names(path: Path) -> LabelNames:
    """Read a look-up table.

    Known are tables with a header (`index` and `name`, or what other programs call them; a column `side` is added to
    the name; separated by tabs, commas or semicolons), ITK-SNAP's label descriptions, colour tables of FreeSurfer and
    3D Slicer, and rows of an index and a name.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    LabelNames
        Names by value; 0 is left out, and so is an index before the name.

    Raises
    ------
    LabelError
        If a column is missing, an index is no whole number or stands twice.
    DatasetError
        If the file is missing or no text.
    """
    text = read_text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "//"))]
    if lines and _SEPARATOR_LINE.match(lines[0]):
        lines = lines[1:]
    rows = _rows_without_header(lines) or _rows_below_words(lines) or _rows_with_header(path, lines)
    names: dict[int, str] = {}
    for index, name in rows:
        value = _whole(index)
        if value is None:
            raise LabelError(f"{path}: index '{index}' is not a whole number.")
        if value == 0:
            continue
        if value in names:
            raise LabelError(f"{path}: index {value} stands twice. Keep one row for each label.")
        names[value] = _LEADING_NUMBER.sub("", name).strip()
    return LabelNames(path.name, names)


def names_in_header(image: Path) -> LabelNames | None:
    """Read the names that an image carries in its own header, as TotalSegmentator and Connectome Workbench write them.

    Parameters
    ----------
    image : Path
        NIfTI file.

    Returns
    -------
    LabelNames or None
        None when the header holds no names.
    """
    for extension in getattr(nib.load(image).header, "extensions", ()):
        content = extension.get_content()
        if isinstance(content, bytes):
            found = _XML_LABEL.findall(content.decode("utf-8", errors="replace"))
            names = {int(key): name.strip() for key, name in found if int(key) != 0}
            if names:
                return LabelNames(f"{image.name}, header", names)
    return None


def _rows_without_header(lines: list[str]) -> list[tuple[str, str]]:
    """Return index and name of each line, or nothing where one has neither form."""
    for form in (_ITK_ROW, _PLAIN_ROW):
        found = [form.match(line) for line in lines]
        if found and all(found):
            return [(match[1], _unquoted(match[2])) for match in found if match]
    return []


def _rows_below_words(lines: list[str]) -> list[tuple[str, str]]:
    """Return index and name of each line below a header whose columns only blanks separate."""
    words = lines[0].lower().split() if lines else []
    if len(words) != 2 or words[0] not in _INDEX_COLUMNS or words[1] not in _NAME_COLUMNS or "\t" in lines[0]:
        return []
    return _rows_without_header(lines[1:])


def _unquoted(name: str) -> str:
    quoted = re.match(r"\s*([\"'])(.*?)\1", name)
    return quoted[2] if quoted else name.strip(" \t\"',;")


def _rows_with_header(path: Path, lines: list[str]) -> list[tuple[str, str]]:
    if not lines:
        raise LabelError(f"{path}: holds no labels. Give the columns index and name.")
    separator = max("\t,;", key=lines[0].count)
    try:
        table = pd.read_csv(
            io.StringIO("\n".join(lines)), sep=separator, dtype=str, keep_default_na=False, skipinitialspace=True
        )
    except pd.errors.ParserError as error:
        reason = str(error).strip()
        raise LabelError(
            f"{path}: cannot be read as a table ({reason}). Put names with separators in quotes."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise LabelError(
            f"{path}: its rows have more cells than its header. "
            "Put names with separators in quotes, and check the ends of lines."
        )
    columns = {re.sub(r"[^a-z]", "", str(column).lower()): column for column in table.columns}
    index = next(
        (columns[name] for name in _INDEX_COLUMNS if name in columns and _is_index(table, columns, name)), None
    )
    name = next((columns[name] for name in _NAME_COLUMNS if name in columns and columns[name] != index), None)
    if index is None or name is None:
        found = ", ".join(map(str, table.columns))
        raise LabelError(f"{path}: needs the columns index and name; it has {found}. Name them so.")
    names = table[name]
    side = next((columns[name] for name in _SIDE_COLUMNS if name in columns), None)
    if side is not None:
        names = names + " " + table[side].str.replace(r"(?i)no.?side|n/a", "", regex=True)
    return list(zip(table[index], names, strict=True))


def _is_index(table: pd.DataFrame, columns: dict[str, str], name: str) -> bool:
    """Tell whether a column can be the index: `index` always, others (`label` may be either) when they hold numbers."""
    return name == "index" or bool(table[columns[name]].map(lambda cell: _whole(cell) is not None).all())


def _whole(cell: str) -> int | None:
    """Read a whole number, which may be written as 3.0; None for anything else."""
    return int(float(cell)) if re.fullmatch(r"\s*-?\d+(\.0*)?\s*", cell) else None
