"""A whole study without anybody watching: check, process, run the notebooks, write the pages."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dtimuscle.errors import DtiMuscleError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import parse_merges
from dtimuscle.participants import require_both_groups
from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.cohort_page import require_known
from dtimuscle.running.kept import ESTIMATES, PARTICIPANT_PAGES, Part, page_of, plan_beforehand, plan_notebooks
from dtimuscle.running.labels import with_atlases
from dtimuscle.running.notebooks import NOTEBOOKS, WarmKernel, execute, notebook_path, parameters_for
from dtimuscle.running.own_table import Cohort, read_own_table
from dtimuscle.running.parameters import check_parameters
from dtimuscle.running.participants import Outcome, Processing, process
from dtimuscle.running.pool import Progress
from dtimuscle.running.readers import read_second, second_failures, second_labels
from dtimuscle.running.studies import read_published
from dtimuscle.settings import Study
from dtimuscle.statistics.features import feature_name
from dtimuscle.store.bids import Dataset, read_by
from dtimuscle.store.derivatives import derivatives_of
from dtimuscle.store.files import file_digest
from dtimuscle.store.label_tables import scheme_file
from dtimuscle.store.places import reports_folder
from dtimuscle.store.registry import read_registry
from dtimuscle.store.runs import Run

IMAGE_NOTEBOOKS = NOTEBOOKS[:3]
MODEL_NOTEBOOKS = NOTEBOOKS[3:]


@dataclass(frozen=True)
class StudyOutcome:
    """What a run has left.

    Parameters
    ----------
    run : Run
        Folder of the results.
    notebooks : tuple of str
        Notebooks that ran to their end, or had done so with the same settings and data in this folder.
    kept : tuple of str
        Of these, and of the participants' pages, what an earlier run had left.
    outcomes : tuple of Outcome
        One for each scan.
    failures : tuple of Issue
        Participants and notebooks that were begun and failed.
    issues : tuple of Issue
        All that degrades the results, failures among them.
    """

    run: Run
    notebooks: tuple[str, ...]
    kept: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    failures: tuple[Issue, ...]
    issues: tuple[Issue, ...]


def run_study(study: Study, *, progress: Progress, folder: Path | None = None, command: str = "") -> StudyOutcome:
    """Carry out a study and write its pages.

    Parameters
    ----------
    study : Study
        All settings, with absolute paths.
    progress : Progress
        Who is told how far it is.
    folder : Path, optional
        Where the results go; `reports/` and the study's name by default.
    command : str, default=""
        What the user typed, for the pages.

    Returns
    -------
    StudyOutcome
        What was done, and what was not and why.

    Raises
    ------
    DtiMuscleError
        If the input or a setting is wrong; nothing has been written then.
    """
    begun = time.monotonic()
    run = Run((folder or reports_folder() / study.name).resolve())
    check_settings(study, run)
    dataset = _open_input(study, run, progress)
    run.begin()
    run.write_study(study)
    with ExitStack() as stack:
        # The kernel makes itself ready while the participants are worked on, if it is sure to be needed.
        parts = plan_beforehand(MODEL_NOTEBOOKS, study, run)
        is_sure = not all(part.is_kept or part.is_open for part in parts)
        kernel = stack.enter_context(WarmKernel(in_series=True)) if is_sure else None
        # Pages take two seconds to import, in which the kernel makes itself ready.
        from dtimuscle.running.participant_pages import write_participant_pages

        processing = process(dataset, study, progress=progress) if dataset else None
        second = read_second(processing, study, progress=progress) if processing else None
        seconds = {"participants": time.monotonic() - begun}
        plan, left_out = choose_notebooks(processing)
        failures = list(processing.failures) if processing else []
        failures += second_failures(second) if second else ()
        processings = [each for each in (processing, second) if each]
        parts = plan_notebooks(plan, study, run, processings)
        kept = [part.name for part in parts if part.is_kept]
        # Whether the participants' pages still hold is known when notebook 03 has rated the scans.
        wants_pages = bool(processing and processing.scans and study.execution.participant_pages)
        staying = [*kept, *(part.name for part in parts if part.is_open)]
        run.keep_only([*staying, *map(page_of, staying), *([PARTICIPANT_PAGES] if wants_pages else [])])
        seconds |= {name: run.read_receipt(name)["seconds"] for name in kept}
        pending = [part for part in parts if not part.is_kept]
        if pending:
            kernel = kernel or stack.enter_context(WarmKernel(in_series=True))
            executed = _execute(pending, study, run, processings, kernel=kernel, progress=progress)
            kept += executed.kept
            seconds |= executed.seconds
            failures += executed.failures
    if processing and wants_pages:
        written = write_participant_pages(run, study, processing, progress=progress, command=command)
        failures += written.failures
        if written.is_kept:
            kept.append(PARTICIPANT_PAGES)
        seconds[PARTICIPANT_PAGES] = written.seconds
    known = processing.issues if processing else ()
    run.write_issues("run", tuple(dict.fromkeys((*failures, *left_out, *known))))
    _write_pages(run, study, processing, command=command, seconds=seconds, kept=kept)
    outcomes = processing.outcomes if processing else ()
    finished = tuple(part.name for part in parts if run.read_receipt(part.name))
    return StudyOutcome(run, finished, tuple(kept), outcomes, tuple(failures), run.read_issues())


@dataclass
class _Executed:
    """What became of the notebooks that were not sure to hold."""

    seconds: dict[str, float] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    failures: list[Issue] = field(default_factory=list)


def _execute(
    parts: Sequence[Part],
    study: Study,
    run: Run,
    processings: Sequence[Processing],
    *,
    kernel: WarmKernel,
    progress: Progress,
) -> _Executed:
    """Execute notebooks one after the other until one fails, apart from those that turn out to hold."""
    progress.start("Notebooks", len(parts))
    executed = _Executed()
    for planned in parts:
        part = planned
        if ESTIMATES in planned.basis:
            # They may have been made meanwhile.
            (part,) = plan_notebooks([planned.name], study, run, processings)
            if not part.is_kept:
                run.remove(part.name)
        if part.is_kept:
            executed.kept.append(part.name)
            executed.seconds[part.name] = run.read_receipt(part.name)["seconds"]
        elif not executed.failures:
            _execute_one(part, study, run, executed, kernel=kernel, progress=progress)
        progress.advance(part.name)
    progress.finish()
    return executed


def _execute_one(
    part: Part, study: Study, run: Run, executed: _Executed, *, kernel: WarmKernel, progress: Progress
) -> None:
    """Execute a notebook, and note what it has made or why it failed."""
    started = time.monotonic()
    try:
        execute(part.name, parameters_for(part.name, study, run), run, kernel=kernel)
    except DtiMuscleError as error:
        executed.failures.append(Issue(Severity.ERROR, part.name, " ".join(str(error).split())))
        progress.note(str(executed.failures[-1]))
    executed.seconds[part.name] = time.monotonic() - started
    if not executed.failures:
        run.write_receipt(part.name, part.basis, run.files_of(part.name), seconds=executed.seconds[part.name])


def check_settings(study: Study, run: Run) -> None:
    """Refuse what would fail later, before anything is computed.

    Parameters
    ----------
    study : Study
        All settings.
    run : Run
        Where the results go.

    Raises
    ------
    DtiMuscleError
        If a setting names something that is not there.
    """
    registry = read_registry()
    scheme_file(study.roi.label_scheme)
    merged = {merge.name for merge in parse_merges(study.roi.merge_muscles, registry)}
    for muscle in study.analysis.roc_muscles:
        name = muscle if muscle in merged else registry.resolve(muscle)[0]
        if muscle != name:
            raise SettingsError(f"roc_muscles: write '{name}' for '{muscle}'.")
    published = read_published(study.replication.published)
    for claim in study.replication.claims:
        published.claim(claim)
    for notebook in NOTEBOOKS:
        check_parameters(notebook_path(notebook), parameters_for(notebook, study, run))


def _open_input(study: Study, run: Run, progress: Progress) -> Dataset | None:
    """Find the scans, or None when a table of values is brought along."""
    threshold = study.analysis.poor_below_grade
    if study.data.roi_table:
        path = Path(study.data.roi_table)
        if path.is_relative_to(run.folder):
            raise SettingsError(
                f"{path}: lies in the folder of the results, which is emptied first. Name another --out."
            )
        cohort, _ = read_own_table(path, read_registry())
        require_both_groups(cohort.participants, poor_below_grade=threshold, source=str(path))
        require_known(study.quality.exclude, cohort.participants["participant_id"])
        _require_features(study, cohort, path)
        return None
    dataset = open_dataset(study, progress=progress)
    if (labels := second_labels(dataset, study)) is not None:
        read_by(dataset, labels)
    source = str(dataset.root / "participants.tsv")
    names = {name for scan in dataset.scans for name in (scan.participant_id, scan.name)}
    require_known(study.quality.exclude, names | set(dataset.participants["participant_id"]))
    require_both_groups(dataset.participants, poor_below_grade=threshold, source=source)
    # Names of atlases that are not there are refused before anything is computed.
    return with_atlases(dataset, study, derivatives_of(dataset, study))


def _require_features(study: Study, cohort: Cohort, path: Path) -> None:
    """Refuse a table that lacks what the models are to be made of."""
    values = cohort.roi_table
    known = {feature_name(*pair) for pair in zip(values["muscle"], values["parameter"], strict=True)}
    muscles = [m for m in dict.fromkeys(values["muscle"]) if {feature_name(m, "fa"), feature_name(m, "md")} <= known]
    absent = [muscle for muscle in study.analysis.roc_muscles if muscle not in muscles]
    if absent:
        raise SettingsError(
            f"{path}: holds no FA and ADC of {', '.join(absent)}, which roc_muscles names. "
            f"Choose it from {', '.join(muscles) or 'muscles that have both'} (--set roc_muscles=…)."
        )
    unknown = [n for n in study.analysis.model_features if n not in known and n not in cohort.participants.columns]
    if unknown:
        raise SettingsError(
            f"{path}: holds no {', '.join(unknown)}, which model_features names. Choose them from "
            f"{', '.join(sorted(known))}."
        )


def choose_notebooks(processing: Processing | None) -> tuple[list[str], list[Issue]]:
    """Choose the notebooks that the data allow, and say why the others are left out.

    Parameters
    ----------
    processing : Processing or None
        The participants; None for a table of one's own.

    Returns
    -------
    notebooks : list of str
        In the order in which they are executed.
    left_out : list of Issue
        Why the others are left out.
    """
    if processing is None:
        return list(MODEL_NOTEBOOKS), []
    if not processing.scans:
        return [], []
    if not any(scan.labels for scan in processing.scans):
        what = "muscle values, groups and models are left out: no participant has muscle labels."
        return list(NOTEBOOKS[:2]), [Issue(Severity.WARNING, "Notebooks 03 to 05", what, "Name them with --labels.")]
    if processing.dataset.participants["lovett_grade"].isna().all():
        what = "groups and models are left out: no participant has a Lovett grade (0 to 5)."
        remedy = f"Add the column lovett_grade to {processing.dataset.root / 'participants.tsv'}."
        return list(IMAGE_NOTEBOOKS), [Issue(Severity.WARNING, "Notebooks 04 and 05", what, remedy)]
    return list(NOTEBOOKS), []


def _write_pages(
    run: Run, study: Study, processing: Processing | None, *, command: str, seconds: dict[str, float], kept: list[str]
) -> None:
    if processing:
        simulated = processing.dataset.is_simulated
        inputs = processing.image_digests()
    else:
        simulated = bool(run.has_roi_table and run.read_roi_table()["is_simulated"].any())
        inputs = {"roi_table": file_digest(Path(study.data.roi_table))}
    from dtimuscle.running.report import write_pages  # with the participants' pages, while the kernel starts

    # What was kept took its seconds when it was made.
    made = {name: run.read_receipt(name)["finished"] for name in kept}
    run.write_record(study, is_simulated=simulated, command=command, seconds=seconds, kept=made, inputs=inputs)
    write_pages(run, study, is_simulated=simulated)
