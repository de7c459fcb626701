"""What a notebook works with: its settings, its data, and the place where it shows what it found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from dtimuscle.errors import DatasetError, SettingsError
from dtimuscle.imaging.participant import TensorSignal
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels, MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit, shows_simulation
from dtimuscle.rating import Rating, Verdict
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.running.beside import Beside, Later, recall, shared_process
from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.cohort_page import (
    CohortReview,
    exclude_by_hand,
    left_out_issues,
    rate_scans,
    require_known,
    review_cohort,
    without,
)
from dtimuscle.running.kept import kept_results
from dtimuscle.running.labels import read_muscles
from dtimuscle.running.notebooks import NOTEBOOKS, execute, notebook_path, parameters_for
from dtimuscle.running.own_table import Cohort, read_own_table
from dtimuscle.running.parameters import given_parameters
from dtimuscle.running.participants import Processing, process
from dtimuscle.running.progress import NotebookProgress, Ticker, Waiting
from dtimuscle.running.readers import ReadTwice, compare_readers, read_second
from dtimuscle.running.report import draw_slide, show_exhibit, write_pages
from dtimuscle.running.studies import read_published
from dtimuscle.running.workspace import read_signal
from dtimuscle.settings import Study, leaf_sections
from dtimuscle.statistics.estimates import Estimate, estimates_from_frame, estimates_to_frame
from dtimuscle.statistics.reliability import Reliability, measure_all_features
from dtimuscle.statistics.repeated import Pairing, between_sessions
from dtimuscle.store import places
from dtimuscle.store.bids import Dataset, Scan, is_simulated, read_description, read_truth
from dtimuscle.store.derivatives import derivatives_of
from dtimuscle.store.images import read_grid
from dtimuscle.store.registry import read_registry, read_study, with_absolute_paths
from dtimuscle.store.runs import Run

Result = TypeVar("Result")

# A figure may leave its page, so it says by itself what its data are.
SIMULATED = "Simulated data, not patients"

# Whether this process executes one notebook after the other, for somebody who writes the pages at the end.
in_series = False


class HasEstimates(Protocol):
    """A statistical result that can say its numbers."""

    def estimates(self) -> tuple[Estimate, ...]:
        """Return its numbers, one by one."""


@dataclass
class Session:
    """One notebook at work on one run.

    Parameters
    ----------
    notebook : str
        Name of the notebook.
    run : Run
        Folder of the results.
    study : Study
        Settings: the run's, with those of the notebook's own cell on top.
    """

    notebook: str
    run: Run
    study: Study
    _issues: list[Issue] = field(default_factory=list, repr=False)
    _n_shown: int = field(default=0, repr=False)
    _processed: dict[str, Processing] = field(default_factory=dict, repr=False)
    _beside: Beside = field(default_factory=shared_process, repr=False)
    _slides: list[Later] = field(default_factory=list, repr=False)

    @cached_property
    def registry(self) -> MuscleRegistry:
        """The muscles that the kit can name."""
        return read_registry()

    @cached_property
    def dataset(self) -> Dataset:
        """The scans: one's own, or the simulated cohort, which is made when it is missing."""
        return open_dataset(self.study, progress=NotebookProgress())

    def process(self, upto: str) -> Processing:
        """Bring all participants up to a step, computing only what is missing.

        Parameters
        ----------
        upto : str
            `preprocessed`, `tensor` or `muscles`.

        Returns
        -------
        Processing
            What became of each participant.
        """
        if upto not in self._processed:
            self._processed[upto] = process(self.dataset, self.study, upto=upto, progress=NotebookProgress())
            self.note(*self._processed[upto].issues)
        return self._processed[upto]

    def choose(self, processing: Processing, participant: str, *, labelled: bool = False) -> Scan:
        """Choose the participant that the notebook looks at closely.

        Parameters
        ----------
        processing : Processing
            Those who have results.
        participant : str
            Identifier with or without `sub-`; empty for the first.
        labelled : bool, default=False
            Choose among those with muscle labels only.

        Returns
        -------
        Scan
            The scan of that participant.

        Raises
        ------
        SettingsError
            If the identifier is not text.
        DatasetError
            If nobody has results, or not this participant.
        """
        if not isinstance(participant, str):
            raise SettingsError(
                f"participant is {participant!r}, a number; identifiers are text. "
                "With papermill write -r participant 001."
            )
        if not processing.scans:
            raise DatasetError(f"{processing.dataset.root}: no participant could be processed; see the issues.")
        scans = [scan for scan in processing.scans if scan.labels is not None or not labelled]
        what = "muscle labels" if labelled else "results"
        if not participant and scans:
            return scans[0]
        wanted = participant if participant.startswith("sub-") else f"sub-{participant}"
        for scan in scans:
            if wanted in (scan.participant_id, scan.name):
                return scan
        if not participant:
            raise DatasetError(f"{processing.dataset.root}: no participant has {what}; see docs/data-formats.md.")
        raise DatasetError(f"{processing.dataset.root}: {wanted} is not among the participants that have {what}.")

    def read_labels(self, scan: Scan) -> MuscleLabels | None:
        """Read the muscle labels of a scan, or return None when it has none.

        Parameters
        ----------
        scan : Scan
            The participant.
        """
        # Labels that are to be propagated are not there before the muscles have been measured.
        if scan.labels is None or (scan.atlases and not scan.labels.is_file()):
            return None
        shape, affine = read_grid(scan.image)
        return read_muscles(scan.labels, self.registry, self.study.roi, shape=shape, affine=affine)[0]

    def read_signal(self, scan: Scan) -> TensorSignal:
        """Read what the tensor of a participant is fitted to.

        Parameters
        ----------
        scan : Scan
            A participant that has been preprocessed.

        Returns
        -------
        TensorSignal
            The chosen volumes without what is not muscle's water.
        """
        return read_signal(scan, self.study, derivatives_of(self.dataset, self.study))

    def truth(self) -> pd.DataFrame:
        """Return the values that simulated scans were made from; no rows for measured scans."""
        return read_truth(self.dataset)

    @property
    def value_of_a_muscle(self) -> dict[str, str]:
        """Which of the values of a muscle the study uses: route, statistic and side."""
        return self.study.analysis.model_dump(include={"route", "statistic", "side"})

    def measured(self) -> Cohort:
        """Bring all participants up to their muscle values, and keep these with the run.

        Returns
        -------
        Cohort
            The ROI table of everybody, and the table of participants; also of those whom the statistics leave out.
        """
        processing = self.process("muscles")
        return self._keep(Cohort(processing.roi_table(), self.dataset.participants))

    def review(self, cohort: Cohort) -> CohortReview:
        """Rate every scan, hold the scans against each other, and keep the ratings with the run.

        Parameters
        ----------
        cohort : Cohort
            From `measured`.

        Returns
        -------
        CohortReview
            What the cohort page shows.
        """
        processing = self.process("muscles")
        numbers, ratings = rate_scans(processing, self.study)
        self.run.write_ratings([rating.to_dict() for rating in ratings])
        return review_cohort(processing, cohort, self.study, numbers, ratings)

    @property
    def page_of(self) -> dict[str, str]:
        """Address of the page of each rated scan, by its name; the pages of a run link only to those that are there."""
        ratings = map(Rating.from_dict, self.run.read_ratings())
        return {rating.name: self.run.participant_page(rating.name) for rating in ratings}

    def between_sessions(self, cohort: Cohort) -> tuple[Reliability, ...]:
        """Hold the sessions of each patient against one another.

        Parameters
        ----------
        cohort : Cohort
            Muscle values, with sessions.

        Returns
        -------
        tuple of Reliability
            One for each feature; none where nobody was scanned in two sessions.
        """
        names = cohort.roi_table.groupby("participant_id")["session"].agg(set)
        if not (names.map(len) > 1).any():
            return ()
        chosen = self.study.analysis
        everything = set(cohort.roi_table["session"])
        pairing: Pairing = "name" if (names == everything).any() else "order"
        if pairing == "order":
            what = "nobody has all sessions by their names; each patient's first is held against the second, and so on."
            remedy = "Give the sessions of a retest the same names in all participants."
            self.note(Issue(Severity.NOTE, "sessions", what, remedy))
        repeated = between_sessions(
            cohort.roi_table, pairing=pairing, route=chosen.route, statistic=chosen.statistic, side=chosen.side
        )
        found = measure_all_features(repeated, level=self.study.analysis.level)
        self.note(*repeated.issues, *(issue for item in found for issue in item.issues))
        return found

    def between_readers(self) -> ReadTwice | None:
        """Measure the muscles as a second reader has drawn them, and hold the readers against one another.

        Returns
        -------
        ReadTwice or None
            Values of both, which are kept with the run, and how far they agree; None when there is one reader.
        """
        first = self.process("muscles")
        second = read_second(first, self.study, progress=NotebookProgress())
        if second is None:
            return None
        found = compare_readers(first, second, self.study, self.registry)
        self.note(*found.issues)
        self.run.write_readers_table(found.table)
        return found

    def cohort(self) -> Cohort:
        """Return the muscle values to be analysed, without the scans that are left out.

        Returns
        -------
        Cohort
            Of `whole_cohort` those who are used.
        """
        whole = self.whole_cohort()
        self.note(*left_out_issues(self.left_out))
        return without(whole, self.left_out, poor_below_grade=self.study.analysis.poor_below_grade)

    @property
    def left_out(self) -> tuple[Rating, ...]:
        """The scans that the statistics leave out, with the reasons; nobody when `leave_out` is false."""
        if not self.study.quality.leave_out:
            return ()
        cohort = self.whole_cohort()
        # A table of one's own has no scans that could be rated, but people can be left out by hand.
        everybody = tuple(Rating(str(who)) for who in cohort.participants["participant_id"])
        rated = () if self.study.data.roi_table else tuple(map(Rating.from_dict, self.run.read_ratings()))
        known = {name for rating in (*rated, *everybody) for name in (rating.participant_id, rating.name)}
        require_known(self.study.quality.exclude, known)
        ratings = exclude_by_hand(rated or everybody, self.study.quality.exclude)
        return tuple(rating for rating in ratings if rating.verdict is Verdict.LEAVE_OUT)

    def whole_cohort(self) -> Cohort:
        """Return the muscle values of everybody, also of those who are left out.

        Returns
        -------
        Cohort
            From one's own table when `roi_table` names one, otherwise what notebook 03 has left; that
            notebook is run first if it has not been yet.
        """
        if self.study.data.roi_table:
            cohort, issues = read_own_table(Path(self.study.data.roi_table), self.registry)
            self.note(*issues)
            return self._keep(cohort)
        if not self.run.has_roi_table:
            execute("03_roi_statistics", parameters_for("03_roi_statistics", self.study, self.run), self.run)
        return Cohort(self.run.read_roi_table(), self.run.read_participants())

    def _keep(self, cohort: Cohort) -> Cohort:
        self.run.write_roi_table(cohort.roi_table)
        self.run.write_participants(cohort.participants)
        return cohort

    def estimates(self) -> tuple[Estimate, ...]:
        """Return what notebook 04 estimated; that notebook is run first if it has not been yet."""
        if not self.run.has_estimates:
            execute("04_modelling", parameters_for("04_modelling", self.study, self.run), self.run)
        return estimates_from_frame(self.run.read_estimates())

    def keep_estimates(self, *results: HasEstimates) -> pd.DataFrame:
        """Write the estimates of statistical results into the run.

        Parameters
        ----------
        *results : object with a method `estimates`
            Comparisons, correlations, models, curves.

        Returns
        -------
        DataFrame
            What was written, one row for each estimate.
        """
        frame = estimates_to_frame(estimate for result in results for estimate in result.estimates())
        self.run.write_estimates(frame)
        return frame

    @cached_property
    def published(self) -> PublishedStudy:
        """The published numbers and claims that the results are held against."""
        return read_published(self.study.replication.published)

    @cached_property
    def is_simulated(self) -> bool:
        """Whether the values are simulated: by the kit just now, or by whoever made the data."""
        if self.study.data.roi_table:
            return bool(self.whole_cohort().roi_table["is_simulated"].any())
        if not self.study.data.dataset:
            return True
        return is_simulated(read_description(Path(self.study.data.dataset)))

    def note(self, *issues: Issue) -> None:
        """Keep issues for the run's page, each once.

        Parameters
        ----------
        *issues : Issue
            What degrades a result.
        """
        self._issues = list(dict.fromkeys((*self._issues, *issues)))

    def ticker(self, what: str) -> Ticker:
        """Return what statistical functions take as `progress`: a line below the cell when they take a while.

        Parameters
        ----------
        what : str
            What is calculated, such as `Bootstrap`.
        """
        return Ticker(what)

    def begin(self, what: str, function: Callable[..., Result], *values: Any, **named: Any) -> Callable[[], Result]:
        """Begin a calculation that is needed later, or find what it returned before.

        Another process works on it if there is a core for it.

        Parameters
        ----------
        what : str
            What is calculated, such as `Validation`.
        function : callable
            A function of the package.
        *values, **named : object
            What it is called with.

        Returns
        -------
        callable
            Waits for the end, says so below the cell if that takes a while, and returns what the function does.
        """
        later = self._beside.start(recall, kept_results(), function, *values, **named)
        return lambda: later.result(Waiting(what))

    def show(self, exhibit: Exhibit) -> Exhibit:
        """Write a table or figure into the run, and hand it to the notebook for display.

        Parameters
        ----------
        exhibit : Exhibit
            The table or figure.
        """
        if shows_simulation(exhibit.rests_on, in_run=self.is_simulated):
            exhibit = exhibit.stamped(SIMULATED)
        self._n_shown += 1
        show_exhibit(self.run, self.study, exhibit, notebook=self.notebook, position=self._n_shown)
        if exhibit.slide:
            # Nobody looks at it here.
            self._slides.append(self._beside.start(draw_slide, self.run, exhibit.name, exhibit.slide))
        return exhibit

    def close(self) -> "Link":
        """Write the pages of what the notebook has shown, and the run's front page.

        Returns
        -------
        Link
            Where the page is.
        """
        for slide in self._slides:
            slide.result()
        self._slides.clear()
        self.run.write_issues(self.notebook, tuple(self._issues))
        if not in_series:
            self._beside.close()
            write_pages(self.run, self.study, is_simulated=self.is_simulated, notebook=self.notebook)
        return Link(self.run.folder / "index.html")


@dataclass(frozen=True)
class Link:
    """A file that a notebook shows as a link."""

    path: Path

    def _repr_html_(self) -> str:
        place = f"{self.path.parent.name}/{self.path.name}"
        return f'<p>Written: <a href="{escape(self.path.as_uri())}">{escape(place)}</a></p>'


def open_session(
    notebook: str, variables: Mapping[str, Any] | None = None, *, run_folder: str = "", **settings: Any
) -> Session:
    """Start or continue a run from a notebook.

    The first notebook starts from `study.yaml`, the others from what the run's folder keeps. The values of the
    notebook's own `parameters` cell go on top, and the run keeps them for the next notebook.

    A notebook writes `open_session("04_modelling", globals())`: of its variables those are taken that its
    `parameters` cell names, as far as they are settings of the study or the run's folder. Nothing else is looked at.

    Parameters
    ----------
    notebook : str
        Name of the notebook.
    variables : mapping, optional
        Variables of the notebook, its parameters among them.
    run_folder : str, default=""
        Folder of the run, unless the variables say; empty for `reports/` and the study's name.
    **settings : object
        Settings by their own names, unless the variables say.

    Returns
    -------
    Session
        Settings, data and a place for results.

    Raises
    ------
    SettingsError
        If a setting is unknown, of the wrong type or out of range.
    NotebookError
        If a parameter is not among the variables, or is of the wrong type there.
    """
    if variables is not None:
        taken = given_parameters(notebook_path(notebook), variables, (*leaf_sections(), "run_folder"))
        run_folder = taken.pop("run_folder") or run_folder
        settings |= taken
    start = read_study(places.study_file())
    run = Run(Path(run_folder).expanduser().resolve() if run_folder else places.reports_folder() / start.name)
    if run_folder or notebook != NOTEBOOKS[0]:
        start = run.read_study() or start
    # An empty path in a notebook's cell means "as the run has it": measured data never turn into simulated ones.
    given = {name: value for name, value in settings.items() if value != "" or not start.value_of(name)}
    study = with_absolute_paths(start.with_values(source=f"{notebook}.ipynb", **given), Path.cwd())
    run.write_study(study)
    run.forget_exhibits(notebook)
    return Session(notebook, run, study)
