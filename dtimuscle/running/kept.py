"""What of an earlier run in the same folder still holds: notebooks and pages that would only be made again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dtimuscle.running.notebooks import NOTEBOOKS, notebook_path
from dtimuscle.running.participants import Processing
from dtimuscle.settings import Study, fingerprint
from dtimuscle.store import derivatives, places
from dtimuscle.store.files import file_digest
from dtimuscle.store.runs import Run, versions

# The notebooks that each one builds on.
BUILDS_ON = {"04_modelling": ("03_roi_statistics",), "05_replication": ("03_roi_statistics", "04_modelling")}

# The step of processing that each notebook shows; the others see values through the run's folder.
SHOWN_STEP = {"01_preprocessing": "preprocessed", "02_tensor_fitting": "tensor", "03_roi_statistics": "muscles"}

# All the participants' pages together are one part of a run.
PARTICIPANT_PAGES = "participant pages"


@dataclass(frozen=True)
class Part:
    """A notebook of a run, or its participants' pages.

    Parameters
    ----------
    name : str
        Such as `04_modelling`.
    basis : mapping of str to str
        What it rests on, each in words and with a hash.
    reasons : tuple of str
        Why it has to be made; none when what an earlier run has left still holds.
    """

    name: str
    basis: Mapping[str, str] = field(repr=False)
    reasons: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether what an earlier run has left still holds."""
        return not self.reasons


def settings_read_by(notebook: str, study: Study) -> dict[str, str]:
    """Hash the settings on which a notebook's results rest: its own and those of the notebooks before it.

    Parameters
    ----------
    notebook : str
        Its name without suffix, `04_modelling`.
    study : Study
        All settings.

    Returns
    -------
    dict of str to str
        A hash for each section.
    """
    sections = ("data", "simulation", "preprocessing", "tensor", "roi", "analysis", "quality", "replication")
    n_read = dict(zip(NOTEBOOKS, (3, 4, 7, 7, 8), strict=True))[notebook]
    return {section: getattr(study, section).fingerprint() for section in sections[:n_read]}


def plan_notebooks(
    notebooks: Iterable[str], study: Study, run: Run, processings: Iterable[Processing] = ()
) -> tuple[Part, ...]:
    """Find out which notebooks of a run have to be executed.

    Parameters
    ----------
    notebooks : iterable of str
        Those that the data allow, in order.
    study : Study
        All settings.
    run : Run
        The folder, with what an earlier run has left.
    processings : iterable of Processing, optional
        What became of the participants, by each reader; none for a table of one's own.

    Returns
    -------
    tuple of Part
        One for each notebook.
    """
    parts: dict[str, Part] = {}
    processings = tuple(processings)
    for notebook in notebooks:
        settings = {f"settings of {name}": hash_ for name, hash_ in settings_read_by(notebook, study).items()}
        basis = {**settings, **_program(notebook), "the run's folder": fingerprint(str(run.folder))}
        if study.data.roi_table:
            basis["the table of values"] = file_digest(Path(study.data.roi_table))
        for number, processing in enumerate(processings, start=1):
            words = "the participants" if number == 1 else "the second reader's labels"
            basis[words] = _participants(processing, SHOWN_STEP.get(notebook, "muscles"))
        again = [part for part in BUILDS_ON.get(notebook, ()) if part in parts and not parts[part].is_kept]
        reasons = _reasons(run, notebook, basis) or tuple(f"notebook {part[:2]} is executed again" for part in again)
        parts[notebook] = Part(notebook, basis, reasons)
    return tuple(parts.values())


def plan_pages(run: Run, processing: Processing, shown: object) -> Part:
    """Find out whether the participants' pages have to be written.

    Parameters
    ----------
    run : Run
        The folder, with what an earlier run has left.
    processing : Processing
        What became of the participants.
    shown : object
        What else stands on the pages, as JSON knows it.

    Returns
    -------
    Part
        All pages together.
    """
    basis = {
        **_program("participant"),
        "the participants": _participants(processing, "muscles"),
        "ratings or links": fingerprint(shown),
    }
    return Part(PARTICIPANT_PAGES, basis, _reasons(run, PARTICIPANT_PAGES, basis))


def plan_notebook_page(run: Run, notebook: str, shown: object) -> Part:
    """Find out whether the page of an executed notebook has to be written.

    Parameters
    ----------
    run : Run
        The folder, with what an earlier run has left.
    notebook : str
        Its name without suffix, `04_modelling`.
    shown : object
        What stands on the page besides the notebook, as JSON knows it.

    Returns
    -------
    Part
        The page.
    """
    basis = {"the notebook": file_digest(run.notebook_file(notebook)), "the kit": _kit(), "links": fingerprint(shown)}
    return Part(page_of(notebook), basis, _reasons(run, page_of(notebook), basis))


def page_of(notebook: str) -> str:
    """Return what the page of a notebook is called among the parts of a run.

    Parameters
    ----------
    notebook : str
        Its name without suffix, `04_modelling`.
    """
    return f"{notebook} page"


def _reasons(run: Run, part: str, basis: Mapping[str, str]) -> tuple[str, ...]:
    """Say why a part of a run has to be made."""
    made = run.read_receipt(part)
    if not made:
        return ("never made in this folder",)
    known = made["basis"]
    changed = [what for what in {**known, **basis} if known.get(what) != basis.get(what)]
    if changed:
        return tuple(f"{what} changed" for what in changed)
    return tuple(f"{name} is gone or was changed" for name in run.damaged_files(part))


def _program(notebook: str) -> dict[str, str]:
    """Hash what the numbers come from besides settings and data."""
    return {
        "the notebook": file_digest(notebook_path(notebook)),
        "the kit": _kit(),
        "packages": fingerprint(versions()),
    }


@cache
def _kit() -> str:
    """Hash the package and the data files of the kit."""
    return fingerprint([file_digest(path) for path in places.kit_files()])


def _participants(processing: Processing, step: str) -> str:
    """Hash who has results up to a step, what they were made from, and what is wrong with them."""
    steps = derivatives.STEPS[: derivatives.STEPS.index(step) + 1]
    made = [
        derivatives.receipt_digest(processing.derivatives, each, scan)
        for scan in processing.scans
        for each in steps
        if each != "muscles" or scan.labels
    ]
    table = processing.dataset.participants.to_csv(index=False)
    return fingerprint([table, made, [str(issue) for issue in processing.issues]])
