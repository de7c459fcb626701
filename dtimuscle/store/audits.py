"""The folder of an audit under reports/audit/: its page, its findings as JSON, tables and figures."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dtimuscle.errors import SettingsError
from dtimuscle.store import places
from dtimuscle.store.files import write_bytes, write_csv, write_json, write_text

# By this file a folder is known to be an audit's, so that nothing else is ever replaced.
MARKER = ".dtimuscle-audit"


@dataclass(frozen=True)
class AuditFolder:
    """One folder under reports/audit/.

    Parameters
    ----------
    folder : Path
        Where everything of the audit lies.
    """

    folder: Path

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / "index.html"

    def begin(self) -> None:
        """Remove what an earlier audit left here, and nothing else, and mark the folder as an audit's.

        Raises
        ------
        SettingsError
            If the folder holds files and is not an audit's, or is a file.
        """
        if self.folder.is_file():
            raise SettingsError(f"{self.folder}: is a file. Name an empty or new folder with --out.")
        if self.folder.exists() and not (self.folder / MARKER).is_file() and any(self.folder.iterdir()):
            raise SettingsError(
                f"{self.folder}: holds files that are not an audit's. Name an empty or new folder with --out."
            )
        for name in ("tables", "figures"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("index.html", "audit.json"):
            (self.folder / name).unlink(missing_ok=True)
        write_text(
            self.folder / MARKER, "This folder holds an audit of dtimuscle; the next one of its name replaces it.\n"
        )

    def write_exhibit(self, name: str, data: pd.DataFrame, *, svg: str, png: bytes) -> None:
        """Write the numbers of a table or figure as CSV and, for a figure, its drawing as SVG and PNG.

        Parameters
        ----------
        name : str
            The exhibit's name.
        data : DataFrame
            Its numbers, unrounded.
        svg : str
            The figure; empty for a table.
        png : bytes
            The figure; empty for a table.
        """
        write_csv(self.folder / "tables" / f"{name}.csv", data)
        if svg:
            write_text(self.folder / "figures" / f"{name}.svg", svg)
        if png:
            write_bytes(self.folder / "figures" / f"{name}.png", png)

    def write_page(self, html: str) -> None:
        """Write the page.

        Parameters
        ----------
        html : str
            The page.
        """
        write_text(self.page, html)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write `audit.json`: every finding and number, unrounded.

        Parameters
        ----------
        record : dict
            Nested names and values; NaN becomes null.
        """
        write_json(self.folder / "audit.json", record)


def audit_folder(study_id: str) -> AuditFolder:
    """Return the folder that an audit has when none is named.

    Parameters
    ----------
    study_id : str
        The study.

    Returns
    -------
    AuditFolder
        `reports/audit/` and the study's name.
    """
    return AuditFolder(places.reports_folder() / "audit" / study_id)
