"""Reading of tables that people bring: muscle values from CSV, TSV, Excel or SPSS, long or wide."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from dtimuscle.errors import LabelError, RoiTableError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleRegistry, Side
from dtimuscle.participants import check_participants
from dtimuscle.roi_table import COLUMNS, ROUTES, UNITS, check_roi_table
from dtimuscle.store.files import naming, read_json, read_text

DiffusivityUnit = Literal["mm2/s", "1e-3 mm2/s", "um2/ms", "1e-6 mm2/s"]
_IN_MM2_PER_S: dict[str, float] = {"mm2/s": 1.0, "1e-3 mm2/s": 1e-3, "um2/ms": 1e-3, "1e-6 mm2/s": 1e-6, "um2/s": 1e-6}
_NO_UNIT = {"", "1", "-", "none", "unitless", "dimensionless"}

# Free water at 37 °C has 3.0e-3 mm²/s; nothing in a thigh diffuses a thousand times slower than muscle.
# A value outside is a value in another unit than the stated one.
_DIFFUSIVITY_RANGE = (0.01e-3, 5e-3)
# FA of a positive tensor ends at 1. Noise can make an eigenvalue negative; then its bound is √(3/2).
_LARGEST_FA = np.sqrt(1.5)

_MISSING_WORDS = {"", "n/a", "na", "nan", "#n/a", "null", ".", "-"}

_PARAMETER_WORDS = {
    "fa": "fa", "fractional anisotropy": "fa",
    "md": "md", "adc": "md", "mean diffusivity": "md", "apparent diffusion coefficient": "md",
    "ad": "ad", "axial diffusivity": "ad",
    "rd": "rd", "radial diffusivity": "rd",
}  # fmt: skip

# What a column may be called, beside its own name.
_OTHER_NAMES = {
    "participant_id": ("participant", "subject", "subject id", "sub", "id", "patient", "patient id", "pid"),
    "session": ("session id", "ses", "visit"),
    "muscle": ("muscle name",),
    "side": ("laterality",),
    "parameter": ("metric",),
    "unit": ("units",),
    "mean": ("value",),
    "lovett_grade": ("lovett", "grade", "lovett score"),
    "age": (),
    "sex": ("gender",),
    "bmi": ("body mass index",),
    "t_score": ("tscore",),
    "disease_duration": ("duration",),
}
_PERSONAL = ("lovett_grade", "age", "sex", "bmi", "t_score", "disease_duration")
_PERSONAL_UNITS = {
    "age": {"year", "years", "yr", "yrs", "y"},
    "disease_duration": {"year", "years", "yr", "yrs", "y"},
    "bmi": {"kg/m2"},
}
_SEXES = {"f": "F", "female": "F", "w": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_GLUED_PARAMETER = re.compile("(?<=[a-z])(FA|MD|ADC|AD|RD)(?![a-z])")
_UNIT_IN_HEADER = re.compile(r"\s*(?:\[(?P<square>[^]]*)]|\((?P<round>.*)\))\s*$")

_LAYOUTS = (
    "Either one row per value with participant_id, muscle, parameter and value, or one row per participant with "
    "columns like gracilis_fa and 'gracilis_md [mm2/s]'."
)


@dataclass(frozen=True)
class BroughtTable:
    """A table of muscle values that somebody brought.

    Parameters
    ----------
    roi_table : DataFrame
        The columns of `roi_table.COLUMNS`; diffusivities in mm²/s, missing values NaN.
    participants : DataFrame or None
        `participant_id`, `lovett_grade` and covariates, when the file carries any.
    issues : tuple of Issue
        Missing values, columns that were not understood, FA above 1.
    """

    roi_table: pd.DataFrame
    participants: pd.DataFrame | None
    issues: tuple[Issue, ...]


@dataclass(frozen=True)
class _Sheet:
    """A file's cells as text (None where nothing stands), and the SPSS value labels of its columns."""

    source: str
    cells: pd.DataFrame
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    issues: tuple[Issue, ...] = ()

    def labelled(self, column: str) -> pd.Series:
        """Cells with their SPSS value labels instead of codes."""
        return self.cells[column].replace(self.labels.get(column, {}))


@dataclass(frozen=True)
class _Feature:
    """A column of a wide table: whose values it holds, and the unit that its header states."""

    muscle: str
    side: Side
    parameter: str
    unit: str | None


@dataclass(frozen=True)
class _StatedUnits:
    """Where a diffusivity's unit may be stated besides the table itself."""

    source: str
    sidecar: dict[str, str]
    argument: str | None

    def factor(self, parameter: str, column: str, stated: str | None) -> float:
        """Return what turns a column's values into the unit of the ROI table."""
        found = [text for text in (stated, self.sidecar.get(_key(column)), self.sidecar.get(parameter)) if text]
        if UNITS[parameter] == "1":
            if wrong := [text for text in found if text.strip().lower() not in _NO_UNIT]:
                raise RoiTableError(
                    f"{self.source}: {column} has the unit '{wrong[0]}', but FA has none (0 to 1). Give plain FA."
                )
            return 1.0
        units = {self._canonical(text, column) for text in (*found, self.argument) if text}
        if not units:
            raise RoiTableError(
                f"{self.source}: nothing says which unit {column} is in, and it is never guessed. Write it into the "
                f"header ('{column} [1e-3 mm2/s]'), into a column 'unit', into {Path(self.source).stem}.json "
                f'({{"{parameter}": {{"Units": "mm2/s"}}}}).'
            )
        factors = {_IN_MM2_PER_S[unit] for unit in units}
        if len(factors) > 1:
            raise RoiTableError(
                f"{self.source}: the unit of {column} is stated as {' and as '.join(sorted(units))}. "
                "Keep the right one."
            )
        return factors.pop()

    def _canonical(self, text: str, column: str) -> str:
        plain = unicodedata.normalize("NFKC", text).lower().translate(str.maketrans("−–μ×x·∙", "--u****"))
        plain = re.sub(r"^(?:1?\*)?10(?:\^|\*\*)?\(?-(\d)\)?\*?", r"1e-\1", re.sub(r"\s", "", plain))
        plain = re.sub(r"[*^]", "", plain).replace("s-1", "/s")
        for unit in _IN_MM2_PER_S:
            if plain == unit.replace(" ", ""):
                return unit
        allowed = ", ".join(get_args(DiffusivityUnit))
        raise RoiTableError(f"{self.source}: the unit '{text}' of {column} is not known. Allowed: {allowed}.")


def read_brought_table(
    path: Path, registry: MuscleRegistry, *, diffusivity_unit: DiffusivityUnit | None = None
) -> BroughtTable:
    """Read a table of muscle values that somebody brought.

    Comma-, semicolon- and tab-separated text (decimal point or comma), Excel (.xlsx, first sheet) and SPSS (.sav) are
    read; one row per value, in the kit's own schema or with `participant_id`, `muscle`, `parameter`, `value` alone,
    or one row per participant with a column per muscle and parameter. Names go through the registry, "ADC" is MD,
    and a muscle without a side counts as both sides. The unit of a diffusivity is stated in the header in brackets,
    in a column `unit`, in a JSON file beside the table, or by the caller.

    Parameters
    ----------
    path : Path
        The file.
    registry : MuscleRegistry
        From which the names of muscles are resolved.
    diffusivity_unit : {"mm2/s", "1e-3 mm2/s", "um2/ms", "1e-6 mm2/s"}, optional
        Unit of MD, AD and RD where the file does not state it.

    Returns
    -------
    BroughtTable
        ROI table, participants if the file describes them, and issues.

    Raises
    ------
    RoiTableError
        If the file cannot be read, a column or unit is missing, or a value is no number or physically impossible.
    LabelError
        If a muscle is not in the registry.
    ParticipantsError
        If a participant stands twice in a wide table, or a grade or covariate cannot be used.
    """
    sheet = _read_sheet(path, registry)
    roles = _roles(sheet)
    if "participant_id" not in roles:
        raise RoiTableError(
            f"{path}: there is no column participant_id (columns: {', '.join(map(str, sheet.cells.columns))})."
        )
    ids = sheet.cells[roles["participant_id"]]
    if ids.isna().any():
        raise RoiTableError(f"{path}: row {int(ids.isna().to_numpy().argmax()) + 1} of the data has no participant_id.")
    numbers = _Numbers(str(path), ids, _decimal_mark(sheet, roles["participant_id"]))
    units = _StatedUnits(str(path), _sidecar_units(path), diffusivity_unit)
    is_long = {"muscle", "parameter"} <= roles.keys()
    if is_long:
        features: dict[str, _Feature] = {}
        table = _long_rows(sheet, roles, registry, numbers, units)
    else:
        features = _features(sheet, roles, registry)
        table = _wide_rows(sheet, roles, features, numbers, units)
    table = check_roi_table(table, source=str(path))
    _check_physics(table, source=str(path))
    participants, notes = _participants(sheet, roles, features, numbers, is_long=is_long)
    return BroughtTable(table, participants, (*sheet.issues, *notes, *_value_issues(table, source=str(path))))


# Cells


def _read_sheet(path: Path, registry: MuscleRegistry) -> _Sheet:
    if not path.is_file():
        raise RoiTableError(f"{path}: there is no such file.")
    readers = {".csv": _read_text_table, ".tsv": _read_text_table, ".xlsx": _read_excel, ".sav": _read_spss}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RoiTableError(f"{path}: a table is one of {', '.join(readers)}. Save it as one of these.")
    sheet = reader(path)
    names = {
        column: title for column, title in sheet.titles.items() if _names_a_feature(title, registry) and column != title
    }
    cells = sheet.cells.rename(columns=names)
    columns = [str(column) for column in cells.columns]
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise RoiTableError(f"{path}: the column '{twice[0]}' stands twice. Keep one of them.")
    labels = {names.get(column, column): values for column, values in sheet.labels.items()}
    return _Sheet(str(path), cells, labels, issues=sheet.issues)


def _sheet_from_rows(path: Path, rows: Iterable[list[str | None]], *, issues: tuple[Issue, ...] = ()) -> _Sheet:
    """Make a sheet of rows of text, the first of which is the header."""
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    if len(filled) < 2:
        raise RoiTableError(f"{path}: there is no header with rows below it.")
    (_, header), *body = filled
    width = max(number for number, name in enumerate(header, start=1) if name)
    for number, row in body:
        if any(row[width:]) or len(row) < width:
            raise RoiTableError(
                f"{path}: row {number} has {len(row)} cells, the header {width}. "
                "Check for a separator inside a cell, or a column without a name."
            )
    if nameless := [number for number, name in enumerate(header[:width], start=1) if not name]:
        raise RoiTableError(f"{path}: column {nameless[0]} has no name.")
    cells = pd.DataFrame([row[:width] for _, row in body], columns=header[:width], dtype=object)
    return _Sheet(str(path), cells, issues=issues)


def _text(value: Any) -> str | None:
    """Return a cell as text: whole numbers without a decimal point, None where nothing stands."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    text = str(value).strip()
    return None if text.lower() in _MISSING_WORDS else text


def _read_text_table(path: Path) -> _Sheet:
    text = read_text(path)
    header = text.lstrip("\r\n").partition("\n")[0]
    # A header has no decimal commas, so it tells which character separates.
    separator = next((mark for mark in "\t;" if mark in header), ",")
    try:
        rows = [
            [_text(cell) for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True)
        ]
    except csv.Error as error:
        raise RoiTableError(f"{path}: cannot be read as a table ({error}).") from error
    return _sheet_from_rows(path, rows)


def _read_excel(path: Path) -> _Sheet:
    # This takes a while to import, and few bring a workbook.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise RoiTableError(f"{path}: cannot be read as an Excel workbook ({error}).") from error
    first = book.worksheets[0]
    issues: tuple[Issue, ...] = ()
    if len(book.worksheets) > 1:
        others = ", ".join(sheet.title for sheet in book.worksheets[1:])
        issues = (Issue(Severity.NOTE, path.name, f"only the first sheet, '{first.title}', was read, not {others}."),)
    return _sheet_from_rows(path, ([_excel_text(cell) for cell in row] for row in first.iter_rows()), issues=issues)


def _excel_text(cell: Any) -> str | None:
    text = _text(cell.value)
    # A number shown with leading zeros (format "000") is an identifier; it is kept as it is shown.
    if text and text.isdigit() and re.fullmatch("0+", cell.number_format):
        return text.zfill(len(cell.number_format))
    return text


def _read_spss(path: Path) -> _Sheet:
    import pyreadstat  # takes a while, and few bring such a file

    try:
        # Values that SPSS declares as missing arrive as NaN.
        table, meta = pyreadstat.read_sav(path)
    except (pyreadstat.ReadstatError, UnicodeDecodeError) as error:
        raise RoiTableError(f"{path}: cannot be read as an SPSS file ({error}).") from error
    cells = pd.DataFrame({column: [_text(value) for value in table[column]] for column in table.columns}, dtype=object)
    if cells.empty:
        raise RoiTableError(f"{path}: there are no rows.")
    labels = {
        column: {str(_text(code)): str(label) for code, label in values.items()}
        for column, values in meta.variable_value_labels.items()
    }
    titles = {column: title for column, title in meta.column_names_to_labels.items() if title}
    return _Sheet(str(path), cells, labels, titles)


# Columns


def _key(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _without_unit(header: str) -> tuple[str, str | None]:
    """Split a header into its name and the unit in brackets behind it."""
    match = _UNIT_IN_HEADER.search(header)
    if match is None:
        return header, None
    return header[: match.start()], (match["square"] or match["round"] or "").strip()


def _parameter_and_muscle(header: str) -> tuple[str, str] | None:
    """Find the parameter that a header names, and the words around it; None if it names none."""
    name, _ = _without_unit(header)
    # "GracilisFA" is written without a separator where names may hold none.
    name = _GLUED_PARAMETER.sub(r" \1", name)
    words = f" {_key(name)} "
    for phrase in sorted(_PARAMETER_WORDS, key=len, reverse=True):
        if f" {phrase} " in words:
            return _PARAMETER_WORDS[phrase], words.replace(f" {phrase} ", " ", 1).strip()
    return None


def _names_a_feature(title: str, registry: MuscleRegistry) -> bool:
    found = _parameter_and_muscle(title)
    if found is None:
        return False
    try:
        registry.resolve(found[1])
    except LabelError:
        return False
    return True


def _roles(sheet: _Sheet) -> dict[str, str]:
    """Map what the kit calls a column to what the file calls it."""
    known = {_key(name): name for name in (*COLUMNS, *_PERSONAL)}
    known |= {other: name for name, others in _OTHER_NAMES.items() for other in others}
    roles: dict[str, str] = {}
    for column in sheet.cells.columns:
        name, unit = _without_unit(column)
        role = known.get(_key(name))
        if role is None:
            continue
        if role in roles:
            raise RoiTableError(
                f"{sheet.source}: the columns '{roles[role]}' and '{column}' are both {role}. Keep one."
            )
        if (
            unit
            and role in _PERSONAL_UNITS
            and unicodedata.normalize("NFKC", unit).lower() not in _PERSONAL_UNITS[role]
        ):
            needed = sorted(_PERSONAL_UNITS[role], key=len)[-1]
            raise RoiTableError(f"{sheet.source}: {role} is in {needed}; the column '{column}' says '{unit}'.")
        roles[role] = column
    return roles


def _features(sheet: _Sheet, roles: dict[str, str], registry: MuscleRegistry) -> dict[str, _Feature]:
    """Say for each column of a wide table that holds muscle values which ones they are."""
    features: dict[str, _Feature] = {}
    owners: dict[tuple[str, Side, str], str] = {}
    for column in sheet.cells.columns:
        found = None if column in roles.values() else _parameter_and_muscle(column)
        if found is None:
            continue
        parameter, words = found
        if not words:
            raise RoiTableError(f"{sheet.source}: the column '{column}' names no muscle. {_LAYOUTS}")
        with naming(f"{sheet.source}, column '{column}'"):
            muscle, side = registry.resolve(words)
        first = owners.setdefault((muscle, side, parameter), column)
        if first != column:
            raise RoiTableError(
                f"{sheet.source}: the columns '{first}' and '{column}' are both {parameter} of {muscle} "
                f"({side}). Keep one."
            )
        features[column] = _Feature(muscle, side, parameter, _without_unit(column)[1])
    if not features:
        raise RoiTableError(f"{sheet.source}: no column holds muscle values. {_LAYOUTS}")
    return features


def _sidecar_units(path: Path) -> dict[str, str]:
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return {}
    described = read_json(sidecar)
    if not isinstance(described, dict):
        raise RoiTableError(f"{sidecar}: holds no names and descriptions of columns.")
    return {
        _PARAMETER_WORDS.get(_key(name), _key(name)): str(about["Units"])
        for name, about in described.items()
        if isinstance(about, dict) and "Units" in about
    }


# Values


@dataclass(frozen=True)
class _Numbers:
    """How the numbers of a file are written, and whose rows they stand in."""

    source: str
    ids: pd.Series
    decimal_mark: str

    def parse(self, cells: pd.Series, column: str) -> pd.Series:
        """Turn text into numbers, NaN where nothing stands."""
        plain = cells.map(self.plain, na_action="ignore")
        is_wrong = plain.notna() & ~plain.map(_is_number, na_action="ignore").fillna(value=False).astype(bool)
        if is_wrong.any():
            raise RoiTableError(
                f"{self.source}: {self.ids[is_wrong].iloc[0]} has {column} '{cells[is_wrong].iloc[0]}', "
                "which is no number. Write n/a if unknown."
            )
        return plain.astype(float)

    def plain(self, text: str) -> str:
        """Return a number as Python writes it; other text as it is."""
        if not _NUMBER.fullmatch(text.replace("−", "-")):
            return text
        return text.replace("−", "-").replace(self.decimal_mark, ".")


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and "," not in text


def _decimal_mark(sheet: _Sheet, id_column: str) -> str:
    columns = [column for column in sheet.cells.columns if column != id_column]
    written = [text for column in columns for text in sheet.cells[column].dropna() if _NUMBER.fullmatch(text)]
    with_comma = next((text for text in written if "," in text), None)
    with_point = next((text for text in written if "." in text), None)
    if with_comma and with_point:
        raise RoiTableError(
            f"{sheet.source}: numbers have decimal commas ('{with_comma}') and decimal points ('{with_point}'). "
            "Use one."
        )
    return "," if with_comma else "."


def _wide_rows(
    sheet: _Sheet, roles: dict[str, str], features: dict[str, _Feature], numbers: _Numbers, units: _StatedUnits
) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "muscle": feature.muscle,
                "side": str(feature.side),
                "parameter": feature.parameter,
                "mean": numbers.parse(sheet.cells[column], column)
                * units.factor(feature.parameter, _without_unit(column)[0], feature.unit),
            },
            index=sheet.cells.index,
        )
        for column, feature in features.items()
    ]
    return _with_schema(pd.concat(parts).sort_index(kind="stable"), sheet, roles)


def _long_rows(
    sheet: _Sheet, roles: dict[str, str], registry: MuscleRegistry, numbers: _Numbers, units: _StatedUnits
) -> pd.DataFrame:
    if "mean" not in roles:
        raise RoiTableError(f"{sheet.source}: there is no column value (or mean). {_LAYOUTS}")
    muscles, sides = _resolved(sheet, roles, registry)
    spoken = sheet.labelled(roles["parameter"])
    parameters = spoken.map(lambda text: _PARAMETER_WORDS.get(_key(text)), na_action="ignore")
    if parameters.isna().any():
        found = spoken[parameters.isna()].iloc[0]
        raise RoiTableError(f"{sheet.source}: the parameter '{found}' is not one of FA, MD (ADC), AD, RD.")
    factors = _long_factors(sheet, roles, parameters, units)
    table = pd.DataFrame({"muscle": muscles, "side": sides, "parameter": parameters})
    for column in ("mean", "median", "sd", "q25", "q75"):
        if column in roles:
            table[column] = numbers.parse(sheet.cells[roles[column]], column) * factors
    for column in ("n_label", "n_kept", "n_eroded", "n_unusable"):
        if column in roles:
            table[column] = numbers.parse(sheet.cells[roles[column]], column)
    return _with_schema(table, sheet, roles)


def _long_factors(sheet: _Sheet, roles: dict[str, str], parameters: pd.Series, units: _StatedUnits) -> pd.Series:
    """Find each row's unit: its own, or for a diffusivity the one in the header above the values."""
    header_unit = _without_unit(roles["mean"])[1]
    stated = sheet.labelled(roles["unit"]) if "unit" in roles else pd.Series(None, index=parameters.index, dtype=object)
    factors = [
        units.factor(parameter, parameter, unit or (None if UNITS[parameter] == "1" else header_unit))
        for parameter, unit in zip(parameters, stated.fillna(""), strict=True)
    ]
    return pd.Series(factors, index=parameters.index)


def _resolved(sheet: _Sheet, roles: dict[str, str], registry: MuscleRegistry) -> tuple[pd.Series, pd.Series]:
    """Resolve muscle and side of each row of a long table."""
    names = sheet.labelled(roles["muscle"]).fillna("")
    spoken_sides = sheet.labelled(roles["side"]) if "side" in roles else pd.Series("", index=names.index)
    pairs = pd.Series(list(zip(names, spoken_sides.fillna("").str.lower(), strict=True)), index=names.index)
    found: dict[tuple[str, str], tuple[str, Side]] = {}
    for name, side in pairs.unique():
        with naming(f"{sheet.source}, column '{roles['muscle']}'"):
            muscle, own_side = registry.resolve(name)
            stated = own_side if side in ("", "both", "bilateral") else registry.resolve(f"{muscle} {side}")[1]
        if own_side not in (Side.BOTH, stated):
            raise RoiTableError(
                f"{sheet.source}: the muscle '{name}' stands beside the side '{side}'. Keep the right one."
            )
        found[name, side] = (muscle, stated)
    return pairs.map(lambda pair: found[pair][0]), pairs.map(lambda pair: str(found[pair][1]))


def _with_schema(table: pd.DataFrame, sheet: _Sheet, roles: dict[str, str]) -> pd.DataFrame:
    """Fill in the columns of the ROI table that the values themselves do not carry."""
    rows = table.index
    filled = table.assign(participant_id=sheet.cells[roles["participant_id"]].loc[rows].astype(str))
    for column, default in (("session", ""), ("route", ROUTES[0]), ("is_simulated", "false"), ("labels", "")):
        given = (
            sheet.labelled(roles[column]) if column in roles else pd.Series(None, index=sheet.cells.index, dtype=object)
        )
        filled[column] = given.fillna(default).loc[rows]
    truths = filled["is_simulated"].str.lower().map(_TRUTHS)
    if truths.isna().any():
        found = filled.loc[truths.isna(), "is_simulated"].iloc[0]
        raise RoiTableError(f"{sheet.source}: is_simulated is '{found}', not true or false.")
    filled["is_simulated"] = truths.astype(bool)
    filled["unit"] = filled["parameter"].map(UNITS)
    return filled.reindex(columns=list(COLUMNS))


def _check_physics(table: pd.DataFrame, *, source: str) -> None:
    """Refuse values that no tissue has; they are in another unit than the stated one."""
    is_fa = table["parameter"] == "fa"
    wrong_fa = table[is_fa & ~table["mean"].isna() & ~table["mean"].between(0, _LARGEST_FA)]
    if len(wrong_fa):
        row = wrong_fa.iloc[0]
        raise RoiTableError(
            f"{source}: {row['participant_id']} has FA {row['mean']:g} in {row['muscle']}; FA lies between 0 and 1. "
            "Is it in percent, or another parameter?"
        )
    low, high = _DIFFUSIVITY_RANGE
    wrong = table[~is_fa & ~table["mean"].isna() & ~table["mean"].between(low, high)]
    if len(wrong):
        row = wrong.iloc[0]
        raise RoiTableError(
            f"{source}: {row['participant_id']} has {row['parameter'].upper()} {row['mean']:g} mm²/s in "
            f"{row['muscle']}; tissue lies between {low:g} and {high:g} mm²/s. The stated unit may be wrong."
        )


def _value_issues(table: pd.DataFrame, *, source: str) -> tuple[Issue, ...]:
    issues = []
    is_missing = table["mean"].isna()
    if is_missing.any():
        features = (table["muscle"] + "." + table["parameter"])[is_missing].value_counts()
        counts = ", ".join(f"{feature} {count}" for feature, count in features.items())
        issues.append(
            Issue(
                Severity.WARNING, Path(source).name, f"{is_missing.sum()} of {len(table)} values are missing: {counts}."
            )
        )
    above = table[(table["parameter"] == "fa") & (table["mean"] > 1)]
    if len(above):
        who = ", ".join(sorted(set(above["participant_id"])))
        issues.append(
            Issue(
                Severity.WARNING,
                Path(source).name,
                f"FA above 1 in {len(above)} values ({who}): a tensor with a negative eigenvalue.",
                "Look at these fits.",
            )
        )
    return tuple(issues)


# Participants


def _participants(
    sheet: _Sheet, roles: dict[str, str], features: dict[str, _Feature], numbers: _Numbers, *, is_long: bool
) -> tuple[pd.DataFrame | None, tuple[Issue, ...]]:
    """Collect what the file says of the people, and what became of columns that nobody knows."""
    personal = pd.DataFrame({"participant_id": numbers.ids.astype(str)})
    for name in _PERSONAL:
        if name in roles:
            personal[name] = _personal_values(sheet, name, roles[name], numbers)
    unknown = [column for column in sheet.cells.columns if column not in {*roles.values(), *features}]
    left_out = []
    for column in unknown:
        plain = sheet.cells[column].map(numbers.plain, na_action="ignore")
        if plain.notna().any() and plain.dropna().map(_is_number).all():
            personal[column] = plain.astype(float)
        else:
            left_out.append(column)
    kept = [column for column in unknown if column not in left_out]
    notes = tuple(
        Issue(Severity.NOTE, Path(sheet.source).name, f"{what}: {', '.join(columns)}.")
        for what, columns in (("columns kept as covariates", kept), ("columns without numbers left out", left_out))
        if columns
    )
    if len(personal.columns) == 1 and is_long:
        return None, notes
    if is_long:
        personal = _one_row_each(personal, source=sheet.source)
    checked = check_participants(personal, source=sheet.source)
    return (checked if len(personal.columns) > 1 else None), notes


def _personal_values(sheet: _Sheet, name: str, column: str, numbers: _Numbers) -> pd.Series:
    if name == "lovett_grade":
        # A label such as "fair" says less than its code, one such as "Grade 3" says more.
        numbered = {code: label for code, label in sheet.labels.get(column, {}).items() if re.search(r"\d", label)}
        return sheet.cells[column].replace(numbered).map(_grade, na_action="ignore")
    if name == "sex":
        return sheet.labelled(column).map(lambda text: _SEXES.get(text.lower(), text), na_action="ignore")
    return sheet.cells[column].map(numbers.plain, na_action="ignore")


def _grade(text: str) -> str:
    """Find the grade in "3", "Grade 3", "3/5" or "3 = fair"; what is not clear stays as it is."""
    match = re.fullmatch(r"[A-Za-z\s_:=(]*([0-5])(?:[.,]0+)?(?:\s*/\s*5)?(?![+\d-])(?:\W[^\d+]*)?", text)
    return match[1] if match else text


def _one_row_each(personal: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Reduce the repeated rows of a long table to one for each participant."""
    differing = personal.groupby("participant_id", sort=False).nunique()
    for column in differing.columns:
        if (differing[column] > 1).any():
            who = differing.index[differing[column] > 1][0]
            raise RoiTableError(f"{source}: {who} has more than one value of {column}. Make them equal.")
    return personal.groupby("participant_id", sort=False).first().reset_index()
