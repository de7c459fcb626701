"""Participants' processing: each step of each one is computed once, kept, and found again."""

import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dtimuscle.errors import DtiMuscleError
from dtimuscle.issues import Issue, Severity
from dtimuscle.roi_table import COLUMNS, DRAWN
from dtimuscle.running.compilation import compile_missing
from dtimuscle.running.labels import with_atlases
from dtimuscle.running.memory import workers_for
from dtimuscle.running.pool import Progress, Silent, map_in_order
from dtimuscle.running.workspace import Workspace
from dtimuscle.settings import Study
from dtimuscle.store import derivatives, places
from dtimuscle.store.bids import Dataset, Scan
from dtimuscle.store.derivatives import STEPS, Derivatives, Origin, is_current, renew_receipt
from dtimuscle.store.labels import label_files


@dataclass(frozen=True)
class Outcome:
    """What became of one participant's scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    computed : tuple of str
        Steps that were computed now; the others were found.
    issues : tuple of Issue
        What degrades the result.
    failure : Issue or None
        Why there is no result.
    traceback : str
        Where an unforeseen error came from; empty otherwise.
    """

    scan: Scan
    computed: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    failure: Issue | None = None
    traceback: str = ""


@dataclass(frozen=True)
class Processing:
    """What became of all scans of a dataset.

    Parameters
    ----------
    dataset : Dataset
        The scans and who was scanned.
    derivatives : Derivatives
        Where the results are.
    outcomes : tuple of Outcome
        One for each scan, in the dataset's order.
    """

    dataset: Dataset
    derivatives: Derivatives
    outcomes: tuple[Outcome, ...]

    @property
    def scans(self) -> tuple[Scan, ...]:
        """Scans that have results."""
        return tuple(outcome.scan for outcome in self.outcomes if outcome.failure is None)

    @property
    def _measured(self) -> list[Scan]:
        return [scan for scan in self.scans if scan.labels]

    def write_roi_table(self) -> None:
        """Write the ROI rows of all participants into one table beside their own."""
        derivatives.write_all_roi_rows(self.derivatives, self._measured)

    def image_digests(self) -> dict[str, str]:
        """Return the SHA-256 of each scan's series, by the scan's name, without reading what a receipt knows.

        Returns
        -------
        dict of str to str
            Of all scans of the dataset.
        """
        scans = self.dataset.scans
        receipts = ((scan, derivatives.read_receipt(self.derivatives, STEPS[0], scan) or {}) for scan in scans)
        known = {scan.name: derivatives.identify([scan.image], receipt.get("inputs", {})) for scan, receipt in receipts}
        return {name: found["sha256"] for name, files in known.items() for found in files.values()}

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Issues of the dataset and of every participant."""
        noted = (*self.dataset.issues, *(issue for outcome in self.outcomes for issue in outcome.issues))
        return tuple(dict.fromkeys((*self.failures, *noted)))

    @property
    def failures(self) -> tuple[Issue, ...]:
        """Why some participants have no result."""
        incomplete = (issue for issue in self.dataset.issues if issue.severity is Severity.ERROR)
        return (*incomplete, *(outcome.failure for outcome in self.outcomes if outcome.failure))

    def roi_table(self) -> pd.DataFrame:
        """Return the ROI rows of all participants that have muscle labels.

        Returns
        -------
        DataFrame
            Columns of `dtimuscle.roi_table`, participants in the dataset's order; empty without labels.
        """
        measured = self._measured
        return derivatives.read_all_roi_rows(self.derivatives, measured) if measured else pd.DataFrame(columns=COLUMNS)

    def quality(self, step: str) -> pd.DataFrame:
        """Return one row per participant with what a step says of its own result.

        Parameters
        ----------
        step : str
            `preprocessed` or `tensor`.

        Returns
        -------
        DataFrame
            `participant_id`, `session`, the fields of the quality files, and `n_issues` instead of the issues.
        """
        rows = []
        for scan in self.scans:
            quality = derivatives.read_quality(self.derivatives, step, scan)
            n_issues = len(quality.pop("issues"))
            who = {"participant_id": scan.participant_id, "session": scan.session}
            rows.append({**who, **quality, "n_issues": n_issues})
        return pd.DataFrame(rows)

    def muscle_quality(self) -> pd.DataFrame:
        """Return one row per participant, muscle and side with the quality of its data.

        Returns
        -------
        DataFrame
            `participant_id`, `session`, `labels` (`drawn` or `propagated`), the fields of `MuscleQuality`, and for
            propagated labels `agreement` (0 to 1); no rows without labels.
        """
        records = ((scan, derivatives.read_quality(self.derivatives, "muscles", scan)) for scan in self._measured)
        return pd.DataFrame(
            {
                "participant_id": scan.participant_id,
                "session": scan.session,
                "labels": record.get("labels", DRAWN),
                **muscle,
            }
            for scan, record in records
            for muscle in record["muscles"]
        )


def process(
    dataset: Dataset,
    study: Study,
    *,
    upto: str = "muscles",
    progress: Progress | None = None,
    place: Derivatives | None = None,
) -> Processing:
    """Bring every participant of a dataset up to a step, computing only what is missing.

    Those to whom labels are propagated come after the others, whose labels and tensors they need.

    Parameters
    ----------
    dataset : Dataset
        The scans.
    study : Study
        Settings of the steps, and how many workers.
    upto : str, default="muscles"
        Last step: `preprocessed`, `tensor` or `muscles`.
    progress : Progress, optional
        Who is told.
    place : Derivatives, optional
        Where results are kept; by default where the dataset and the study have them.

    Returns
    -------
    Processing
        What became of each participant. A participant that fails does not stop the others.
    """
    progress = progress or Silent()
    place = place or derivatives.derivatives_of(dataset, study)
    dataset = with_atlases(dataset, study, place)
    derivatives.describe_derivatives(place, dataset)
    found: dict[str, Outcome] = {}
    work = partial(process_scan, study=study, derivatives=place, upto=upto)

    def tell(outcome: Outcome) -> None:
        if outcome.failure:
            progress.note(str(outcome.failure))
        progress.advance(outcome.scan.name)

    for is_propagated in (False, True):
        failed = {name for name, outcome in found.items() if outcome.failure}
        scans = [_without(scan, failed) for scan in dataset.scans if bool(scan.atlases) is is_propagated]
        there = (find_outcome(scan, study=study, derivatives=place, upto=upto) for scan in scans)
        found |= {outcome.scan.name: outcome for outcome in there if outcome is not None}
        pending = [scan for scan in scans if scan.name not in found]
        if pending:
            compile_missing(progress)
            workers = workers_for(pending, asked=study.execution.workers, progress=progress)
            progress.start("Participants", len(pending))
            computed = map_in_order(work, pending, workers=workers, on_done=tell, on_lost=_lost)
            found |= {outcome.scan.name: outcome for outcome in computed}
            progress.finish()
    processing = Processing(dataset, place, tuple(found[scan.name] for scan in dataset.scans))
    if upto == "muscles":
        processing.write_roi_table()
    return processing


def find_outcome(scan: Scan, *, study: Study, derivatives: Derivatives, upto: str) -> Outcome | None:
    """Find the results of a participant of whom nothing has to be computed.

    Parameters
    ----------
    scan : Scan
        The files.
    study : Study
        Settings of the steps.
    derivatives : Derivatives
        Where results are kept.
    upto : str
        Last step.

    Returns
    -------
    Outcome or None
        None when a step has to be taken, or a file cannot be read: `process_scan` says which.
    """
    receipts = _receipts(scan, derivatives, upto)
    if len(receipts) < len(steps_of(scan, upto)):
        return None
    try:
        found = list(origins(scan, study, derivatives, upto, receipts))
        if not all(is_current(derivatives, origin, receipts[origin.step]) for origin in found):
            return None
        for origin in found:
            renew_receipt(derivatives, scan, origin, receipts[origin.step])
    except OSError:
        return None
    return Outcome(scan, issues=_issues(scan, derivatives, receipts))


def process_scan(scan: Scan, *, study: Study, derivatives: Derivatives, upto: str) -> Outcome:
    """Bring one participant up to a step; whatever goes wrong becomes an issue.

    Parameters
    ----------
    scan : Scan
        The files.
    study : Study
        Settings of the steps.
    derivatives : Derivatives
        Where results are kept.
    upto : str
        Last step.

    Returns
    -------
    Outcome
        Which steps were computed, and what degrades them.
    """
    computed: list[str] = []
    try:
        issues = _run_steps(scan, study, derivatives, upto, computed)
    except DtiMuscleError as error:
        return Outcome(scan, tuple(computed), failure=_failure(scan, str(error)))
    except Exception as error:
        # One participant's surprise must not stop the cohort; it becomes a failure, and --debug shows its traceback.
        what = f"{type(error).__name__}: {error}"
        remedy = "This was not foreseen; run again with --debug to see where it comes from, and report it."
        return Outcome(scan, tuple(computed), failure=_failure(scan, what, remedy), traceback=traceback.format_exc())
    return Outcome(scan, tuple(computed), issues)


def process_alone(scan: Scan, *, study: Study, derivatives: Derivatives, upto: str) -> Outcome:
    """Bring one participant up to a step, and before that those whose labels are propagated to it.

    Parameters
    ----------
    scan : Scan
        The files, with its atlases.
    study : Study
        Settings of the steps.
    derivatives : Derivatives
        Where results are kept.
    upto : str
        Last step.

    Returns
    -------
    Outcome
        Which steps were computed, and what degrades them.
    """
    work = partial(process_scan, study=study, derivatives=derivatives, upto=upto)
    failed = {atlas.name for atlas in scan.atlases if work(atlas).failure}
    return work(_without(scan, failed))


def _without(scan: Scan, failed: set[str]) -> Scan:
    """Return a scan without those of its atlases that failed; with all of them if nothing would be left."""
    left = tuple(atlas for atlas in scan.atlases if atlas.name not in failed)
    return replace(scan, atlases=left or scan.atlases)


def _failure(scan: Scan, what: str, remedy: str = "") -> Issue:
    sentence = " ".join(what.split()).removeprefix(f"{scan.name}: ")
    return Issue(Severity.ERROR, scan.name, sentence, remedy)


def _lost(scan: Scan) -> Outcome:
    remedy = "The system may have run out of memory; try again with --workers 1."
    return Outcome(scan, failure=_failure(scan, "its process died.", remedy))


def steps_of(scan: Scan, upto: str) -> tuple[str, ...]:
    """Name the steps that a scan goes through, in their order.

    Parameters
    ----------
    scan : Scan
        Without labels it ends with the tensor; labels of other scans are carried over before muscles are measured.
    upto : str
        Last step.

    Returns
    -------
    tuple of str
        `preprocessed`, `tensor`, `labels` and `muscles`, or some of them.
    """
    has = {"preprocessed": True, "tensor": True, "labels": bool(scan.atlases), "muscles": scan.labels is not None}
    steps = [step for step in derivatives.STEP_VERSIONS if has[step]]
    return tuple(steps[: steps.index(upto) + 1] if upto in steps else steps)


def origins(
    scan: Scan, study: Study, place: Derivatives, upto: str, receipts: Mapping[str, dict[str, Any]]
) -> Iterator[Origin]:
    """Yield what the result of each step of a scan comes from, as the files and settings are now.

    Parameters
    ----------
    scan : Scan
        The files.
    study : Study
        Settings of the steps.
    place : Derivatives
        Where results are kept.
    upto : str
        Last step.
    receipts : mapping of str to dict
        Of the steps that were taken before; files that they know with the same size and time are not read.

    Yields
    ------
    Origin
        One for each step.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    """
    known: dict[str, dict[str, Any]] = {}
    for receipt in receipts.values():
        known |= receipt["inputs"]
    for step in steps_of(scan, upto):
        found = derivatives.identify(step_inputs(step, scan, study), known)
        known |= found
        yield derivatives.origin_of(place, step, found)


def step_inputs(step: str, scan: Scan, study: Study) -> tuple[Path, ...]:
    """Name all files on which the result of a step rests, those of the steps before it included.

    Parameters
    ----------
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    scan : Scan
        The files.
    study : Study
        Its section `roi` tells which files say what label values mean.

    Returns
    -------
    tuple of Path
        In an order that depends on nothing else.
    """
    paths = scan.inputs
    if step != "preprocessed" and scan.fat_fraction is not None:
        paths = (*paths, scan.fat_fraction)
    if step in ("labels", "muscles"):
        for source in scan.atlases or (scan,):
            if source.labels is not None:
                paths = (*paths, *label_files(source.labels, scheme=study.roi.label_scheme))
        for atlas in scan.atlases:
            paths = (*paths, *step_inputs("tensor", atlas, study))
        paths = (*paths, places.registry_file())
    return tuple(dict.fromkeys(paths))


def _receipts(scan: Scan, place: Derivatives, upto: str) -> dict[str, dict[str, Any]]:
    """Read the receipts of a scan's steps, as far as there are any."""
    found = {step: derivatives.read_receipt(place, step, scan) for step in steps_of(scan, upto)}
    return {step: receipt for step, receipt in found.items() if receipt is not None}


def _run_steps(scan: Scan, study: Study, place: Derivatives, upto: str, computed: list[str]) -> tuple[Issue, ...]:
    work, receipts = Workspace(scan, study, place), _receipts(scan, place, upto)
    for origin in origins(scan, study, place, upto, receipts):
        if not is_current(place, origin, receipts.get(origin.step)):
            work.take(origin.step)
            derivatives.write_receipt(place, scan, origin)
            computed.append(origin.step)
    return _issues(scan, place, steps_of(scan, upto))


def _issues(scan: Scan, place: Derivatives, steps: Iterable[str]) -> tuple[Issue, ...]:
    """Read what the steps have noted, and say whose issue it is."""
    records = (record for step in steps for record in derivatives.read_quality(place, step, scan)["issues"])
    issues = dict.fromkeys(Issue.from_dict(record) for record in records)
    return tuple(
        issue if scan.participant_id in issue.where else replace(issue, where=f"{scan.name}, {issue.where}")
        for issue in issues
    )
