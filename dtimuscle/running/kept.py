"""What of an earlier run in the same folder still holds: notebooks and pages that would only be made again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from dtimuscle.running.notebooks import notebook_path
from dtimuscle.running.participants import Processing
from dtimuscle.settings import Study, fingerprint
from dtimuscle.store import derivatives, places
from dtimuscle.store.files import file_digest
from dtimuscle.store.runs import Run, versions

# The notebook that each one builds on.
BUILDS_ON = {"04_modelling": "03_roi_statistics", "05_replication": "04_modelling"}

# Sections of the settings that each notebook reads.
SECTIONS = {
    "01_preprocessing": ("data", "simulation", "preprocessing"),
    "02_tensor_fitting": ("data", "simulation", "preprocessing", "tensor"),
    "03_roi_statistics": ("data", "simulation", "preprocessing", "tensor", "roi", "analysis", "quality"),
    "04_modelling": ("data", "simulation", "preprocessing", "tensor", "roi", "analysis", "quality"),
    "05_replication": ("data", "simulation", "analysis", "replication"),
}

# Of the section `analysis`, what only notebook 04 reads, and what notebook 05 reads besides the estimates.
OF_MODELS = {
    "entry_p",
    "model_features",
    "covariates",
    "fixed_sensitivity",
    "fixed_specificity",
    "min_specificity",
    "n_bootstrap",
    "n_optimism",
    "folds",
    "repeats",
    "missing",
    "n_imputations",
    "analysis_seed",
}
OF_REPLICATION = {"analysis_seed"}

# What notebook 05 judges, whatever settings notebook 04 found it with.
ESTIMATES = "the estimates of notebook 04"

# How a notebook's basis begins where only the participants' results can tell.
OF_PARTICIPANTS = ("the participants", "the second reader")

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
    is_open : bool, default=False
        Whether it still holds if the notebook before, which is executed again, leaves the same numbers.
    """

    name: str
    basis: Mapping[str, str] = field(repr=False)
    reasons: tuple[str, ...] = ()
    is_open: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether what an earlier run has left still holds."""
        return not self.reasons


def basis_within(notebook: str, study: Study, run: Run) -> dict[str, str]:
    """Hash the settings on which a notebook's results rest, and what it reads that another notebook has left.

    Parameters
    ----------
    notebook : str
        Its name without suffix, `04_modelling`.
    study : Study
        All settings.
    run : Run
        The folder in which the notebooks leave their results.

    Returns
    -------
    dict of str to str
        A hash for each, by its name in words.
    """
    left_out = {
        "03_roi_statistics": OF_MODELS,
        "05_replication": set(type(study.analysis).model_fields) - OF_REPLICATION,
    }.get(notebook, set())
    basis = {}
    for section in SECTIONS[notebook]:
        values = getattr(study, section).model_dump(mode="json", exclude=left_out if section == "analysis" else None)
        basis[f"settings of {section}"] = fingerprint(values)
    return basis | ({ESTIMATES: run.digest_of_estimates()} if notebook == "05_replication" else {})


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
        basis = {
            **basis_within(notebook, study, run),
            **_program(notebook),
            "the run's folder": fingerprint(str(run.folder)),
        }
        if study.data.roi_table:
            basis["the table of values"] = file_digest(Path(study.data.roi_table))
        # Of the participants notebook 05 sees nothing but the estimates.
        shown = () if ESTIMATES in basis else processings
        for number, processing in enumerate(shown, start=1):
            words = "the participants" if number == 1 else "the second reader's labels"
            basis[words] = _participants(processing, SHOWN_STEP.get(notebook, "muscles"))
        reasons = _reasons(run, notebook, basis)
        before = parts.get(BUILDS_ON.get(notebook, ""))
        is_open = False
        if before is not None and not before.is_kept:
            # The estimates that are there now are not those that count.
            reasons = tuple(why for why in reasons if not why.startswith(ESTIMATES))
            is_open = ESTIMATES in basis and not reasons
            follows = f"notebook {before.name[:2]} is executed again" + (
                ", unless its estimates stay" if is_open else ""
            )
            reasons = reasons or (follows,)
        parts[notebook] = Part(notebook, basis, reasons, is_open)
    return tuple(parts.values())


def plan_beforehand(notebooks: Iterable[str], study: Study, run: Run) -> tuple[Part, ...]:
    """Find out which notebooks have to be executed whatever becomes of the participants.

    Parameters
    ----------
    notebooks : iterable of str
        Those that the data allow, in order.
    study : Study
        All settings.
    run : Run
        The folder, with what an earlier run has left.

    Returns
    -------
    tuple of Part
        One for each notebook; it is kept, or open, as far as it is known already.
    """
    return tuple(
        replace(part, reasons=tuple(why for why in part.reasons if not why.startswith(OF_PARTICIPANTS)))
        for part in plan_notebooks(notebooks, study, run)
    )


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


def kept_results() -> Path:
    """Return the folder of what statistical functions returned in this version of the kit, its packages and Python."""
    return places.results_folder() / fingerprint([_kit(), versions()])


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
