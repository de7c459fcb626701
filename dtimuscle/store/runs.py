"""A run's folder under reports/: its settings, exhibits, tables, figures and pages."""

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dtimuscle import __version__
from dtimuscle.errors import DatasetError, SettingsError
from dtimuscle.issues import Issue
from dtimuscle.participants import check_participants
from dtimuscle.settings import Study
from dtimuscle.store.derivatives import read_roi_table, write_roi_table
from dtimuscle.store.files import (
    file_digest,
    plain,
    read_json,
    read_text,
    read_tsv,
    write_bytes,
    write_csv,
    write_json,
    write_json_in_rows,
    write_text,
    write_tsv,
    write_yaml,
)
from dtimuscle.store.registry import read_study

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Packages whose version can change a number.
NUMERICAL_PACKAGES = ("numpy", "scipy", "pandas", "dipy", "nibabel", "statsmodels", "scikit-learn")

# By this file a folder is known to be a run's, so that nothing else is ever replaced.
MARKER = ".dtimuscle-run"

RATINGS = "ratings.json"
READERS_TABLE = "readers.tsv"
COHORT_PAGE = "cohort.html"
PARTICIPANTS_INDEX = "participants.html"
ISSUES = "issues.json"

# What each part of a run rests on, so that the next run can tell whether it still holds.
RECEIPTS = ".receipts"

# What notebooks leave for those after them, besides what they show.
HANDED_ON = {
    "03_roi_statistics": ("roi.tsv", "roi.json", "participants.tsv", READERS_TABLE, RATINGS),
    "04_modelling": ("tables/estimates.csv",),
}

# All that a run makes, apart from its settings and the pages of its notebooks.
MADE_FOLDERS = ("exhibits", "figures", "tables", "pages", "notebooks", "participants", RECEIPTS)
NAMED_FILES = (
    "index.html",
    "results.json",
    "run.json",
    "roi.tsv",
    "roi.json",
    READERS_TABLE,
    "participants.tsv",
    PARTICIPANTS_INDEX,
    RATINGS,
    COHORT_PAGE,
)


def versions() -> dict[str, str]:
    """Return the versions of the programs that numbers come from.

    Returns
    -------
    dict of str
        The kit first.
    """
    others = {package: version(package) for package in NUMERICAL_PACKAGES}
    return {"dtimuscle": __version__, "python": platform.python_version(), **others}


def _exhibit_files(name: str) -> tuple[str, ...]:
    return f"exhibits/{name}.json", f"tables/{name}.csv", f"figures/{name}.svg", f"figures/{name}.png"


@dataclass(frozen=True)
class Run:
    """One folder under reports/.

    Parameters
    ----------
    folder : Path
        Where everything of the run lies.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def study_file(self) -> Path:
        """The settings of the run, as each notebook left them to the next."""
        return self.folder / "study.yaml"

    def begin(self) -> None:
        """Make sure that the folder may be written, and take away what says that an earlier run is complete.

        Raises
        ------
        SettingsError
            If the folder holds files and is not a run's folder.
        """
        if self.folder.exists() and not (self.folder / MARKER).is_file() and any(self.folder.iterdir()):
            raise SettingsError(
                f"{self.folder}: holds files that are not a run's. Name an empty or new folder with --out."
            )
        for name in ("index.html", "results.json", "run.json"):
            (self.folder / name).unlink(missing_ok=True)

    def keep_only(self, parts: Collection[str]) -> None:
        """Remove what an earlier run has left here, apart from what some of its parts have made, and nothing else.

        Parameters
        ----------
        parts : collection of str
            Names of the parts whose files stay, such as `04_modelling`.
        """
        records = {part: self.read_receipt(part) for part in parts}
        kept = {self.folder / name for record in records.values() for name in record.get("files", ())}
        kept |= {self._receipt_file(part) for part in parts}
        named = (self.folder / name for name in NAMED_FILES)
        within = (path for name in MADE_FOLDERS for path in (self.folder / name).rglob("*") if path.is_file())
        for path in (*named, *within, *self.folder.glob("[0-9][0-9]_*.html")):
            if path not in kept:
                path.unlink(missing_ok=True)
        self._keep_issues({part: found for part, found in self._issue_records().items() if part in parts})

    def _keep_issues(self, issues: dict[str, list[dict[str, str]]]) -> None:
        (self.folder / ISSUES).unlink(missing_ok=True)
        if issues:
            write_json(self.folder / ISSUES, issues)

    def remove(self, part: str) -> None:
        """Remove what a part of an earlier run has made here.

        Parameters
        ----------
        part : str
            Such as `05_replication`.
        """
        for name in self.read_receipt(part).get("files", ()):
            (self.folder / name).unlink(missing_ok=True)
        self._receipt_file(part).unlink(missing_ok=True)
        self._keep_issues({name: found for name, found in self._issue_records().items() if name != part})

    # What each part of a run rests on, and what it has made

    def _receipt_file(self, part: str) -> Path:
        return self.folder / RECEIPTS / f"{part}.json"

    def files_of(self, notebook: str) -> tuple[str, ...]:
        """Return what a notebook has left here, its executed copy among them.

        Parameters
        ----------
        notebook : str
            Its name without suffix, `04_modelling`.

        Returns
        -------
        tuple of str
            Paths within the run's folder, in alphabetical order.
        """
        cards = [record["card"] for record in self.read_exhibits()]
        shown = [card["name"] for card in cards if card["notebook"] == notebook]
        names = {file for name in shown for file in _exhibit_files(name)}
        names |= {f"notebooks/{notebook}.ipynb", *HANDED_ON.get(notebook, ())}
        return tuple(sorted(name for name in names if (self.folder / name).is_file()))

    def write_receipt(self, part: str, basis: Mapping[str, str], files: Collection[str], *, seconds: float) -> None:
        """Note what a part of the run rests on and what it has made.

        Parameters
        ----------
        part : str
            A notebook, or `participant pages`.
        basis : mapping of str to str
            What it rests on, each with a hash.
        files : collection of str
            Paths within the run's folder.
        seconds : float
            How long it took.
        """
        made = {name: file_digest(self.folder / name) for name in files}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(
            self._receipt_file(part), {"basis": dict(basis), "files": made, "seconds": seconds, "finished": when}
        )

    def read_receipt(self, part: str) -> dict[str, Any]:
        """Return what a part of an earlier run rests on and has made.

        Parameters
        ----------
        part : str
            A notebook, or `participant pages`.

        Returns
        -------
        dict
            `basis`, `files` (paths within the run's folder, with their hashes), `seconds` and `finished`; empty without
            an earlier run.
        """
        path = self._receipt_file(part)
        return read_json(path) if path.is_file() else {}

    def damaged_files(self, part: str) -> tuple[str, ...]:
        """Return which files of a part of an earlier run are gone or have been changed.

        Parameters
        ----------
        part : str
            A notebook, or `participant pages`.

        Returns
        -------
        tuple of str
            Paths within the run's folder.
        """
        made = self.read_receipt(part).get("files", {})
        return tuple(
            name
            for name, digest in made.items()
            if not (self.folder / name).is_file() or file_digest(self.folder / name) != digest
        )

    # Settings

    def write_study(self, study: Study) -> None:
        """Keep the settings for the next notebook.

        Parameters
        ----------
        study : Study
            The settings.
        """
        write_text(
            self.folder / MARKER, "This folder holds a run of dtimuscle; the next run of its name replaces it.\n"
        )
        write_yaml(self.study_file, study.model_dump(mode="json"))

    def read_study(self) -> Study | None:
        """Return the settings that an earlier notebook kept, or None.

        Returns
        -------
        Study or None
            None before the first notebook.
        """
        return read_study(self.study_file) if self.study_file.is_file() else None

    # Values that notebooks hand on

    @property
    def has_roi_table(self) -> bool:
        """Whether notebook 03, or somebody's own table, has left muscle values."""
        return (self.folder / "roi.tsv").is_file()

    @property
    def has_estimates(self) -> bool:
        """Whether notebook 04 has left its estimates."""
        return (self.folder / "tables" / "estimates.csv").is_file()

    def write_roi_table(self, table: pd.DataFrame) -> None:
        """Keep the ROI table of the whole cohort.

        Parameters
        ----------
        table : DataFrame
            Columns of `dtimuscle.roi_table`.
        """
        write_roi_table(self.folder / "roi.tsv", table)

    def read_roi_table(self) -> pd.DataFrame:
        """Read the ROI table of the whole cohort.

        Returns
        -------
        DataFrame
            As `check_roi_table` returns it.

        Raises
        ------
        DatasetError
            If notebook 03 has not been run yet.
        """
        return read_roi_table(self._made_by("roi.tsv", "03_roi_statistics"))

    def write_readers_table(self, table: pd.DataFrame) -> None:
        """Keep the muscle values of two readers.

        Parameters
        ----------
        table : DataFrame
            Columns of `dtimuscle.roi_table` behind `reader`.
        """
        write_tsv(self.folder / READERS_TABLE, table)

    def write_participants(self, participants: pd.DataFrame) -> None:
        """Keep the table of participants beside their values.

        Parameters
        ----------
        participants : DataFrame
            As `check_participants` returns it.
        """
        write_tsv(self.folder / "participants.tsv", participants)

    def read_participants(self) -> pd.DataFrame:
        """Read the table of participants.

        Returns
        -------
        DataFrame
            As `check_participants` returns it.

        Raises
        ------
        DatasetError
            If notebook 03 has not been run yet.
        """
        path = self._made_by("participants.tsv", "03_roi_statistics")
        return check_participants(read_tsv(path), source=str(path))

    def write_ratings(self, ratings: list[dict[str, Any]]) -> None:
        """Keep the verdict on each scan, also of those that the statistics leave out.

        Parameters
        ----------
        ratings : list of dict
            One record for each scan.
        """
        write_json(self.folder / RATINGS, plain(ratings))

    def read_ratings(self) -> list[dict[str, Any]]:
        """Read the verdict on each scan.

        Returns
        -------
        list of dict
            As they were written; empty before notebook 03 has rated them.
        """
        path = self.folder / RATINGS
        return read_json(path) if path.is_file() else []

    def digest_of_estimates(self) -> str:
        """Return a hash of the estimates of notebook 04; empty while there are none."""
        return file_digest(self.folder / "tables" / "estimates.csv") if self.has_estimates else ""

    def write_estimates(self, estimates: pd.DataFrame) -> None:
        """Keep every estimate of notebook 04, unrounded.

        Parameters
        ----------
        estimates : DataFrame
            As `estimates_to_frame` returns it.
        """
        write_csv(self.folder / "tables" / "estimates.csv", estimates)

    def read_estimates(self) -> pd.DataFrame:
        """Read the estimates of notebook 04.

        Returns
        -------
        DataFrame
            Columns as `estimates_from_frame` takes them.

        Raises
        ------
        DatasetError
            If notebook 04 has not been run yet.
        """
        path = self._made_by("tables/estimates.csv", "04_modelling")
        return pd.read_csv(path, dtype={"kind": str, "subject": str, "group": str})

    def _made_by(self, name: str, notebook: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise DatasetError(f"{path}: there is no such file yet. Run notebooks/{notebook}.ipynb first.")
        return path

    @property
    def has_cohort_page(self) -> bool:
        """Whether notebook 03 has held the scans against each other."""
        return (self.folder / "exhibits" / "odd_scans.json").is_file()

    # Exhibits

    def write_exhibit(self, name: str, record: dict[str, Any], data: pd.DataFrame, *, svg: str) -> None:
        """Write a table or figure: its record, its numbers as CSV and, for a figure, SVG.

        Parameters
        ----------
        name : str
            The exhibit's name.
        record : dict
            What is shown beside the numbers; `card` names its notebook.
        data : DataFrame
            Its numbers, unrounded.
        svg : str
            The figure; empty for a table.
        """
        write_json(self.folder / "exhibits" / f"{name}.json", record)
        write_csv(self.folder / "tables" / f"{name}.csv", data)
        if svg:
            write_text(self.folder / "figures" / f"{name}.svg", svg)

    def write_slide(self, name: str, png: bytes) -> None:
        """Write a figure for slides.

        Parameters
        ----------
        name : str
            The exhibit's name.
        png : bytes
            The figure.
        """
        write_bytes(self.folder / "figures" / f"{name}.png", png)

    def forget_exhibits(self, notebook: str) -> None:
        """Remove what a notebook has shown before, so that nothing outlives the settings it was made with.

        Parameters
        ----------
        notebook : str
            Its name without suffix, `04_modelling`.
        """
        for path in (self.folder / "exhibits").glob("*.json"):
            if read_json(path)["card"]["notebook"] == notebook:
                for file in (*_exhibit_files(path.stem), f"pages/{path.stem}.html"):
                    (self.folder / file).unlink(missing_ok=True)

    def read_exhibits(self) -> list[dict[str, Any]]:
        """Return the records of all exhibits that are there, in no particular order.

        Returns
        -------
        list of dict
            As they were written.
        """
        return [read_json(path) for path in sorted((self.folder / "exhibits").glob("*.json"))]

    def read_svg(self, name: str) -> str:
        """Return a figure's SVG, empty for a table.

        Parameters
        ----------
        name : str
            The exhibit's name.

        Returns
        -------
        str
            SVG, or nothing.
        """
        path = self.folder / "figures" / f"{name}.svg"
        return read_text(path) if path.is_file() else ""

    def read_exhibit_data(self, name: str) -> pd.DataFrame:
        """Return an exhibit's numbers.

        Parameters
        ----------
        name : str
            The exhibit's name.

        Returns
        -------
        DataFrame
            Unrounded.
        """
        path = self.folder / "tables" / f"{name}.csv"
        # An exhibit may have nothing to say, such as a model that no feature entered.
        return pd.read_csv(path) if read_text(path).strip() else pd.DataFrame()

    # Issues

    def write_issues(self, notebook: str, issues: tuple[Issue, ...]) -> None:
        """Keep the issues that one notebook met; those of other notebooks stay.

        Parameters
        ----------
        notebook : str
            Its name without suffix, `04_modelling`.
        issues : tuple of Issue
            They replace those that it met before.
        """
        kept = self._issue_records()
        kept[notebook] = [issue.to_dict() for issue in issues]
        write_json(self.folder / ISSUES, kept)

    def read_issues(self) -> tuple[Issue, ...]:
        """Return the issues of all notebooks, each once.

        Returns
        -------
        tuple of Issue
            In the order of the notebooks.
        """
        records = (record for _, kept in sorted(self._issue_records().items()) for record in kept)
        return tuple(dict.fromkeys(Issue.from_dict(record) for record in records))

    def _issue_records(self) -> dict[str, list[dict[str, str]]]:
        path = self.folder / ISSUES
        return read_json(path) if path.is_file() else {}

    # Notebooks and pages

    def notebook_file(self, notebook: str) -> Path:
        """Return where an executed notebook is kept.

        Parameters
        ----------
        notebook : str
            Its name without suffix, `04_modelling`.

        Returns
        -------
        Path
            It may not exist yet.
        """
        return self.folder / "notebooks" / f"{notebook}.ipynb"

    def read_notebook(self, notebook: str) -> "NotebookNode | None":
        """Return an executed notebook, or None when it has not been run.

        Parameters
        ----------
        notebook : str
            Its name without suffix, `04_modelling`.

        Returns
        -------
        NotebookNode or None
            With its outputs.
        """
        import nbformat  # takes a second, and no notebook's own kernel needs it

        path = self.notebook_file(notebook)
        return nbformat.read(path, as_version=4) if path.is_file() else None

    def participant_page(self, name: str) -> str:
        """Return where the page of a participant lies, within the run's folder.

        Parameters
        ----------
        name : str
            Participant and session as in file names.
        """
        return f"participants/{name}.html"

    def participants_with_pages(self) -> tuple[str, ...]:
        """Return whose pages are there, participant and session as in file names.

        Returns
        -------
        tuple of str
            In alphabetical order.
        """
        return tuple(path.stem for path in sorted((self.folder / "participants").glob("sub-*.html")))

    def forget_participant_pages(self) -> None:
        """Remove the participants' pages, so that nobody's outlives the dataset."""
        for path in (*(self.folder / "participants").glob("*.html"), self._receipt_file("participant pages")):
            path.unlink(missing_ok=True)

    @property
    def participants_index(self) -> str:
        """Where the list of the participants' pages lies, within the run's folder."""
        return PARTICIPANTS_INDEX

    @property
    def has_participant_pages(self) -> bool:
        """Whether the participants' pages have been written."""
        return (self.folder / self.participants_index).is_file()

    def write_page(self, name: str, html: str) -> None:
        """Write a page, e.g. `index.html` or `pages/roc.html`.

        Parameters
        ----------
        name : str
            Path within the run's folder.
        html : str
            The page.
        """
        write_text(self.folder / name, html)

    def write_results(self, results: dict[str, Any]) -> None:
        """Write `results.json`: every number on the pages, unrounded.

        Parameters
        ----------
        results : dict
            Nested names and numbers; NaN becomes null.
        """
        write_json_in_rows(self.folder / "results.json", results)

    def write_record(self, study: Study, **more: Any) -> None:
        """Write `run.json`: settings, versions and what else tells how the numbers came about.

        Parameters
        ----------
        study : Study
            The settings.
        **more : object
            Further entries.
        """
        write_json(
            self.folder / "run.json",
            {
                "settings": study.model_dump(mode="json"),
                "versions": versions(),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                **more,
            },
        )

    def read_record(self) -> dict[str, Any]:
        """Return `run.json`, empty before a run is over.

        Returns
        -------
        dict
            As it was written.
        """
        path = self.folder / "run.json"
        return read_json(path) if path.is_file() else {}
