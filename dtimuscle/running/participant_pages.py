"""The page of each participant: what `participant.ipynb` shows, and its words.

The notebook is the recipe. By hand in JupyterLab and by papermill it runs in a kernel; for a whole cohort its cells run
one after the other within the processes of the pool, without a kernel. All three end in `page.close()`, which puts the
shown exhibits between the notebook's own words, so page and notebook cannot differ.
"""

import ast
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dtimuscle.dwi import TensorMaps
from dtimuscle.errors import DatasetError, DtiMuscleError, NotebookError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels, MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.pages import Link, PageContext
from dtimuscle.presentation.participant_page import PageSection, participant_page, participants_page
from dtimuscle.rating import Rating, ScanNumbers
from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.cohort_page import rate_scans
from dtimuscle.running.kept import Part, plan_pages
from dtimuscle.running.labels import read_muscles, with_atlases
from dtimuscle.running.notebooks import notebook_path
from dtimuscle.running.parameters import TAG
from dtimuscle.running.participants import Outcome, Processing, process_alone
from dtimuscle.running.pool import Progress, map_in_order
from dtimuscle.running.report import page_context, shown_on_all_pages
from dtimuscle.running.session import SIMULATED
from dtimuscle.running.session import Link as WrittenFile
from dtimuscle.settings import Study
from dtimuscle.store import derivatives, places
from dtimuscle.store.bids import Scan
from dtimuscle.store.derivatives import Derivatives
from dtimuscle.store.files import plain
from dtimuscle.store.registry import read_registry, read_study, with_absolute_paths
from dtimuscle.store.runs import Run, versions

NOTEBOOK = "participant"

# What a code cell says to put an exhibit on the page.
_SHOW = "show"


@dataclass(frozen=True)
class RunPages:
    """What the pages of one run share.

    Parameters
    ----------
    run : Run
        Folder of the results.
    study : Study
        Settings of the run.
    scans : tuple of Scan
        Those that get a page, in order.
    derivatives : Derivatives
        Where their results are.
    context : PageContext
        What all pages of the run have in common.
    ratings : mapping of str to (ScanNumbers, Rating)
        What each scan was rated by, and the verdict, by its name.
    """

    run: Run
    study: Study
    scans: tuple[Scan, ...]
    derivatives: Derivatives
    context: PageContext
    ratings: Mapping[str, tuple[ScanNumbers, Rating]]


# The run whose pages are being written; a notebook by hand finds its own.
_PAGES: ContextVar[RunPages | None] = ContextVar("pages", default=None)


@dataclass
class ParticipantPage:
    """What `participant.ipynb` works with: one participant's results, and the page they are shown on.

    Parameters
    ----------
    scan : Scan
        The participant.
    pages : RunPages
        What it shares with the others.
    """

    scan: Scan
    pages: RunPages
    _shown: dict[str, Exhibit] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Participant and session."""
        return self.scan.name

    @property
    def is_simulated(self) -> bool:
        """Whether the scan is simulated."""
        return self.pages.derivatives.is_simulated

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of preprocessing, tensor and ROI by their own names."""
        return self.pages.derivatives.settings["muscles"]

    @property
    def versions(self) -> dict[str, str]:
        """Programs that the numbers come from, the kit first."""
        known = versions()
        return {name: known[name] for name in ("dtimuscle", "python", "numpy", "scipy", "dipy", "nibabel")}

    @property
    def numbers(self) -> ScanNumbers:
        """What the scan is rated by."""
        return self.pages.ratings[self.name][0]

    @property
    def rating(self) -> Rating:
        """The verdict on the scan, and why."""
        return self.pages.ratings[self.name][1]

    @cached_property
    def registry(self) -> MuscleRegistry:
        """The muscles that the kit can name."""
        return _registry()

    @cached_property
    def series_quality(self) -> dict[str, Any]:
        """What preprocessing says of the series."""
        return derivatives.read_quality(self.pages.derivatives, "preprocessed", self.scan)

    @cached_property
    def fit_quality(self) -> dict[str, Any]:
        """What the tensor fit says of itself."""
        return derivatives.read_quality(self.pages.derivatives, "tensor", self.scan)

    @cached_property
    def _muscle_record(self) -> dict[str, Any]:
        if self.scan.labels is None:
            return {"muscles": [], "issues": []}
        return derivatives.read_quality(self.pages.derivatives, "muscles", self.scan)

    @property
    def muscle_quality(self) -> pd.DataFrame:
        """Quality of each muscle and side; no rows without labels."""
        return pd.DataFrame(self._muscle_record["muscles"])

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What degrades the results, of all steps, each once."""
        records = (record["issues"] for record in (self.series_quality, self.fit_quality, self._muscle_record))
        return tuple(dict.fromkeys(Issue.from_dict(issue) for issues in records for issue in issues))

    @cached_property
    def values(self) -> pd.DataFrame:
        """The participant's ROI rows; none without labels."""
        if self.scan.labels is None:
            return pd.DataFrame()
        return derivatives.read_roi_rows(self.pages.derivatives, self.scan)

    @cached_property
    def maps(self) -> TensorMaps:
        """The tensor maps."""
        return derivatives.read_maps(self.pages.derivatives, self.scan)

    @cached_property
    def labels(self) -> MuscleLabels | None:
        """The muscle labels, None without."""
        if self.scan.labels is None:
            return None
        grid = self.maps.fa.shape
        shape = (grid[0], grid[1], grid[2])
        return read_muscles(
            self.scan.labels, self.registry, self.pages.study.roi, shape=shape, affine=self.maps.affine
        )[0]

    @cached_property
    def noise_sd(self) -> NDArray[np.floating]:
        """Noise SD in the signal's unit; NaN everywhere when it was not estimated."""
        noise = derivatives.read_noise(self.pages.derivatives, self.scan)
        return np.full(self.maps.fa.shape, np.nan) if noise is None else noise

    @cached_property
    def residual(self) -> NDArray[np.floating]:
        """What the tensor leaves unexplained, as part of the signal at b = 0."""
        return derivatives.read_residual(self.pages.derivatives, self.scan)

    @cached_property
    def _pictures(self) -> tuple[NDArray[np.floating], NDArray[np.floating], dict[str, Any]]:
        return derivatives.read_pictures(self.pages.derivatives, self.scan)

    @property
    def pictures(self) -> NDArray[np.floating]:
        """One slice after each step, without and with weighting."""
        return self._pictures[0]

    @property
    def picture_affine(self) -> NDArray[np.floating]:
        """From voxel indices of the pictures to world coordinates (RAS, mm)."""
        return self._pictures[1]

    @property
    def steps(self) -> dict[str, Any]:
        """The steps that were taken, and the volumes that the pictures show."""
        return self._pictures[2]

    @cached_property
    def volumes(self) -> pd.DataFrame:
        """Weighting, directions and motion of each volume."""
        return derivatives.read_volumes(self.pages.derivatives, self.scan)

    @cached_property
    def slices(self) -> pd.DataFrame:
        """Lost signal of each slice of each volume; no rows when nobody looked."""
        return derivatives.read_slices(self.pages.derivatives, self.scan)

    def show(self, exhibit: Exhibit) -> Exhibit:
        """Put an exhibit on the page, and hand it to the notebook for display.

        Parameters
        ----------
        exhibit : Exhibit
            The table or figure; one of the same name takes the place of an earlier one.
        """
        self._shown[exhibit.name] = exhibit.stamped(SIMULATED) if self.is_simulated else exhibit
        return self._shown[exhibit.name]

    @property
    def board(self) -> Exhibit | None:
        """What was shown first, which stands on top of the page."""
        return next(iter(self._shown.values()), None)

    def close(self) -> WrittenFile:
        """Write the page.

        Returns
        -------
        Link
            Where it is.

        Raises
        ------
        NotebookError
            If nothing has been shown.
        """
        if not self._shown:
            raise NotebookError(f"{NOTEBOOK}.ipynb: nothing has been shown yet, so there is no page. Run all cells.")
        recipe = read_recipe()
        board, *shown = self._shown.values()
        previous, following = self._neighbours()
        page = participant_page(
            self.name, board, recipe.sections(shown), self.pages.context, previous=previous, following=following
        )
        self.pages.run.write_page(self.pages.run.participant_page(self.name), page)
        return WrittenFile(self.pages.run.folder / self.pages.run.participant_page(self.name))

    def _neighbours(self) -> tuple[Link | None, Link | None]:
        names = [scan.name for scan in self.pages.scans]
        place = names.index(self.name)
        links = [Link(name, self.pages.run.participant_page(name)) for name in names]
        return links[place - 1] if place else None, links[place + 1] if place + 1 < len(links) else None


def open_participant(participant: str = "", *, run_folder: str = "") -> ParticipantPage:
    """Open the results of a participant from the notebook, computing what is missing of them.

    Parameters
    ----------
    participant : str, default=""
        Identifier with or without `sub-`; empty for the first.
    run_folder : str, default=""
        Folder of the run whose settings count; empty for `reports/` and the study's name.

    Returns
    -------
    ParticipantPage
        Its results, and the page to show them on.

    Raises
    ------
    SettingsError
        If the identifier is not text.
    DatasetError
        If there is no such participant, or it cannot be processed.
    """
    pages = _PAGES.get()
    if pages is not None:
        return ParticipantPage(_choose(pages.scans, participant), pages)
    start = read_study(places.study_file())
    run = Run(Path(run_folder).expanduser().resolve() if run_folder else places.reports_folder() / start.name)
    study = with_absolute_paths(run.read_study() or start, Path.cwd())
    dataset = open_dataset(study)
    place = derivatives.derivatives_of(dataset, study)
    dataset = with_atlases(dataset, study, place)
    derivatives.describe_derivatives(place, dataset)
    scan = _choose(dataset.scans, participant)
    outcome = process_alone(scan, study=study, derivatives=place, upto="muscles")
    if outcome.failure is not None:
        raise DatasetError(f"{outcome.failure.where}: {outcome.failure.what} {outcome.failure.remedy}".strip())
    measured = tuple(Outcome(other) for other in dataset.scans if _is_measured(other, place))
    return ParticipantPage(scan, _pages_of(run, study, Processing(dataset, place, measured)))


def _is_measured(scan: Scan, place: Derivatives) -> bool:
    """Tell whether a scan has results; the rating asks which muscles the others have."""
    steps = derivatives.STEPS if scan.labels else derivatives.STEPS[:2]
    return all(place.file(step, scan, "desc-quality.json").is_file() for step in steps)


def _pages_of(run: Run, study: Study, processing: Processing, *, command: str = "") -> RunPages:
    context = page_context(run, study, is_simulated=processing.dataset.is_simulated)
    context = replace(context, root="../", command=command or context.command)
    if not run.has_cohort_page and not run.has_participant_pages:
        # The list is written after the pages that lead to it.
        overview, *others = context.nav
        context = replace(context, nav=(overview, Link("Participants", run.participants_index), *others))
    numbers, ratings = rate_scans(processing, study)
    rated = {rating.name: (item, rating) for item, rating in zip(numbers, ratings, strict=True)}
    return RunPages(run, study, processing.scans, processing.derivatives, context, rated)


def _choose(scans: Sequence[Scan], participant: str) -> Scan:
    if not isinstance(participant, str):
        raise SettingsError(
            f"participant is {participant!r}, a number; identifiers are text. With papermill write -r participant 001."
        )
    if not scans:
        raise DatasetError("the dataset has no scan that could be shown.")
    wanted = participant if participant.startswith("sub-") else f"sub-{participant}"
    for scan in scans:
        if not participant or wanted in (scan.participant_id, scan.name):
            return scan
    raise DatasetError(f"{wanted} is not among the participants: {', '.join(scan.name for scan in scans[:5])} …")


# The recipe: what the notebook says and does


@dataclass(frozen=True)
class Recipe:
    """The cells of `participant.ipynb`.

    Parameters
    ----------
    cells : tuple of (str, str)
        Kind (`markdown`, `parameters` or `code`) and source of each.
    """

    cells: tuple[tuple[str, str], ...]

    def run(self, **parameters: Any) -> dict[str, Any]:
        """Run the code cells one after the other in a namespace of their own.

        Parameters
        ----------
        **parameters : object
            Values that replace those of the `parameters` cell.

        Returns
        -------
        dict
            The namespace.
        """
        variables: dict[str, Any] = {"__name__": NOTEBOOK}
        for number, (kind, source) in enumerate(self.cells):
            if kind == "markdown":
                continue
            exec(_compiled(source, number), variables)  # noqa: S102 - the kit's own notebook
            if kind == "parameters":
                variables |= parameters
        return variables

    def sections(self, exhibits: Sequence[Exhibit]) -> tuple[PageSection, ...]:
        """Put exhibits where the notebook shows them, between its words.

        Parameters
        ----------
        exhibits : sequence of Exhibit
            In the order in which they were shown, without the first, which stands on top of the page.

        Returns
        -------
        tuple of PageSection
            Those headings of the notebook under which something is shown.
        """
        waiting = list(exhibits)
        parts: list[str | Exhibit] = []
        sections: list[tuple[str, list[str | Exhibit]]] = []
        n_before = 1
        for kind, source in self.cells:
            if kind == "code":
                n_shown = _n_shown(source)
                skipped = min(n_before, n_shown)
                n_before -= skipped
                parts += [waiting.pop(0) for _ in range(min(n_shown - skipped, len(waiting)))]
            elif kind == "markdown":
                for words in _by_heading(source):
                    heading, text = _split_heading(words)
                    if heading:
                        parts = []
                        sections.append((heading, parts))
                    if text and sections:
                        parts.append(_to_html(text))
        if waiting:
            sections.append(("More", list(waiting)))
        return tuple(
            PageSection(title, tuple(parts))
            for title, parts in sections
            if any(isinstance(part, Exhibit) for part in parts)
        )


@cache
def read_recipe() -> Recipe:
    """Read `participant.ipynb`."""
    import nbformat  # takes a second

    cells = nbformat.read(notebook_path(NOTEBOOK), as_version=4).cells
    return Recipe(tuple((_kind(cell), cell.source) for cell in cells if cell.source.strip()))


def _kind(cell: Mapping[str, Any]) -> str:
    return "parameters" if TAG in cell["metadata"].get("tags", []) else str(cell["cell_type"])


@cache
def _compiled(source: str, number: int) -> Any:
    return compile(source, f"{NOTEBOOK}.ipynb, cell {number}", "exec")


@cache
def _n_shown(source: str) -> int:
    """Count how often a cell calls `show` on something."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return sum(isinstance(call, ast.Attribute) and call.attr == _SHOW for call in calls)


def _by_heading(source: str) -> Iterator[str]:
    """Yield the pieces of a Markdown cell that begin with a heading, and what stands before the first."""
    piece: list[str] = []
    for line in source.splitlines():
        if line.startswith("#") and piece:
            yield "\n".join(piece)
            piece = []
        piece.append(line)
    yield "\n".join(piece)


def _split_heading(words: str) -> tuple[str, str]:
    first, _, rest = words.strip().partition("\n")
    return (first.lstrip("# "), rest.strip()) if first.startswith("#") else ("", words.strip())


@cache
def _to_html(text: str) -> str:
    from nbconvert.filters import markdown2html  # takes a second

    return str(markdown2html(text))


@cache
def _registry() -> MuscleRegistry:
    return read_registry()


# All pages of a cohort


@dataclass(frozen=True)
class _Written:
    """What became of one page: what stands on top of it, or why it is missing."""

    name: str
    board: Exhibit | None = None
    issue: Issue | None = None


@dataclass(frozen=True)
class PagesWritten:
    """What became of the participants' pages.

    Parameters
    ----------
    failures : tuple of Issue
        Why a page could not be written; the others are there.
    seconds : float
        How long it took to write them.
    is_kept : bool
        Whether those of an earlier run still hold.
    """

    failures: tuple[Issue, ...]
    seconds: float
    is_kept: bool = False


def plan_participant_pages(run: Run, study: Study, processing: Processing) -> Part:
    """Find out whether the page of each participant has to be written.

    Parameters
    ----------
    run : Run
        Folder of the results.
    study : Study
        Settings of the run.
    processing : Processing
        What became of each participant, up to the muscles.

    Returns
    -------
    Part
        All pages together.
    """
    return plan_pages(run, processing, _shown_on(_pages_of(run, study, processing)))


def write_participant_pages(
    run: Run, study: Study, processing: Processing, *, progress: Progress, command: str = ""
) -> PagesWritten:
    """Write the page of each participant, several at a time, and a list of them, unless they are there already.

    Parameters
    ----------
    run : Run
        Folder of the results.
    study : Study
        Settings of the run.
    processing : Processing
        What became of each participant, up to the muscles.
    progress : Progress
        Who is told.
    command : str, default=""
        What the user typed, for the pages.

    Returns
    -------
    PagesWritten
        Which failed and why, and how long it took.
    """
    begun = time.monotonic()
    pages = _pages_of(run, study, processing, command=command)
    part = plan_pages(run, processing, _shown_on(pages))
    if part.is_kept:
        return PagesWritten((), run.read_receipt(part.name)["seconds"], is_kept=True)

    def tell(written: _Written) -> None:
        if written.issue is not None:
            progress.note(str(written.issue))
        progress.advance(written.name)

    names = [scan.name for scan in pages.scans]
    run.forget_participant_pages()
    progress.start("Participant pages", len(names))
    work = partial(_write_page, pages=pages)
    done = map_in_order(work, names, workers=study.execution.workers, on_done=tell, on_lost=_lost)
    progress.finish()
    boards = [(Link(page.name, run.participant_page(page.name)), page.board) for page in done if page.board is not None]
    run.write_page(run.participants_index, participants_page(boards, replace(pages.context, root="")))
    failures = tuple(page.issue for page in done if page.issue is not None)
    seconds = time.monotonic() - begun
    if not failures:
        files = [run.participants_index, *map(run.participant_page, names)]
        run.write_receipt(part.name, part.basis, files, seconds=seconds)
    return PagesWritten(failures, seconds)


def _shown_on(pages: RunPages) -> list[Any]:
    """Tell what stands on the pages besides the participants' own results; when and how they were made is no reason."""
    rated = [[asdict(numbers), rating.to_dict()] for numbers, rating in pages.ratings.values()]
    return [shown_on_all_pages(pages.context), plain(rated)]


def _write_page(name: str, *, pages: RunPages) -> _Written:
    try:
        with _working_on(pages):
            variables = read_recipe().run(participant=name, run_folder=str(pages.run.folder))
    except DtiMuscleError as error:
        return _Written(name, issue=_failure(name, str(error)))
    except Exception as error:
        # A page that fails must not take the others along.
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        return _Written(name, issue=_failure(name, what))
    page = next(value for value in variables.values() if isinstance(value, ParticipantPage))
    return _Written(name, board=page.board)


def _failure(name: str, what: str) -> Issue:
    remedy = f"Run notebooks/{NOTEBOOK}.ipynb by hand to see where it comes from."
    return Issue(Severity.ERROR, name, f"its page could not be written: {' '.join(what.split())}", remedy)


def _lost(name: str) -> _Written:
    return _Written(name, issue=_failure(name, "its process died."))


@contextmanager
def _working_on(pages: RunPages) -> Iterator[None]:
    token = _PAGES.set(pages)
    try:
        yield
    finally:
        _PAGES.reset(token)
