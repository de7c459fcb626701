"""Participants' processing: each step of each one is computed once, kept, and found again."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dtimuscle.dwi import DwiSeries
from dtimuscle.errors import DtiMuscleError, LabelError
from dtimuscle.imaging import participant as imaging
from dtimuscle.imaging.fat import FatFraction
from dtimuscle.imaging.participant import TensorSignal
from dtimuscle.imaging.propagation import PropagatedLabels
from dtimuscle.issues import Issue, Severity, in_short
from dtimuscle.roi_table import COLUMNS, DRAWN, PROPAGATED
from dtimuscle.running.labels import propagate_to, read_muscles, with_atlases
from dtimuscle.running.pool import Progress, Silent, map_in_order
from dtimuscle.settings import Study
from dtimuscle.store import derivatives, files, images, places, registry
from dtimuscle.store.bids import Dataset, Scan
from dtimuscle.store.derivatives import Derivatives
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
        tables = [derivatives.read_roi_rows(self.derivatives, scan) for scan in self.scans if scan.labels]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))

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
        records = (
            (scan, derivatives.read_quality(self.derivatives, "muscles", scan)) for scan in self.scans if scan.labels
        )
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
        found |= {scan.name: work(scan) for scan in scans if not _is_pending(scan, study, place, upto)}
        pending = [scan for scan in scans if scan.name not in found]
        if pending:
            progress.start("Participants", len(pending))
            computed = map_in_order(work, pending, workers=study.execution.workers, on_done=tell, on_lost=_lost)
            found |= {outcome.scan.name: outcome for outcome in computed}
            progress.finish()
    processing = Processing(dataset, place, tuple(found[scan.name] for scan in dataset.scans))
    if upto == "muscles":
        derivatives.write_roi_table(place.folders["muscles"] / "roi.tsv", processing.roi_table())
    return processing


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


def _keys(scan: Scan, study: Study, place: Derivatives, upto: str) -> Iterator[tuple[str, str]]:
    """Yield each step that a scan goes through, with the key that its receipt must carry."""
    digests = [files.file_digest(path) for path in scan.inputs]
    for step in derivatives.STEPS:
        if step == "muscles":
            if scan.labels is None:
                return
            for source in scan.atlases or (scan,):
                digests += [files.file_digest(path) for path in _label_inputs(source, study)]
            if scan.atlases:
                digests += [files.file_digest(path) for atlas in scan.atlases for path in _tensor_inputs(atlas)]
            digests.append(files.file_digest(places.registry_file()))
        if step == "tensor" and scan.fat_fraction is not None:
            digests.append(files.file_digest(scan.fat_fraction))
        yield step, derivatives.step_key(place, step, digests)
        if step == upto:
            return


def _label_inputs(scan: Scan, study: Study) -> tuple[Path, ...]:
    return label_files(scan.labels, scheme=study.roi.label_scheme) if scan.labels else ()


def _tensor_inputs(scan: Scan) -> tuple[Path, ...]:
    return scan.inputs if scan.fat_fraction is None else (*scan.inputs, scan.fat_fraction)


def _is_pending(scan: Scan, study: Study, place: Derivatives, upto: str) -> bool:
    """Tell whether anything has to be computed; a scan that cannot be read is left to `process_scan` to report."""
    try:
        return not all(derivatives.is_current(place, step, scan, key) for step, key in _keys(scan, study, place, upto))
    except OSError:
        return True


def _run_steps(scan: Scan, study: Study, place: Derivatives, upto: str, computed: list[str]) -> tuple[Issue, ...]:
    issues: list[Issue] = []
    for step, key in _keys(scan, study, place, upto):
        if not derivatives.is_current(place, step, scan, key):
            _STEPS[step](scan, study, place)
            derivatives.write_receipt(place, step, scan, key)
            computed.append(step)
        issues += [Issue.from_dict(record) for record in derivatives.read_quality(place, step, scan)["issues"]]
    return tuple(_of(scan, issue) for issue in dict.fromkeys(issues))


def _of(scan: Scan, issue: Issue) -> Issue:
    """Say whose issue it is."""
    return issue if scan.participant_id in issue.where else replace(issue, where=f"{scan.name}, {issue.where}")


def _preprocess(scan: Scan, study: Study, place: Derivatives) -> None:
    settings = study.preprocessing
    series = images.read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=settings.b0_threshold)
    with files.naming(scan.image):
        made = imaging.preprocess(
            series,
            denoise=settings.denoise,
            unring=settings.unring,
            correct_motion=settings.correct_motion,
            separate_thighs=settings.separate_thighs,
            find_outliers=settings.find_outliers,
            rician=settings.rician,
            n_coils=settings.rician_coils,
            engine=settings.engine,
        )
    derivatives.write_preprocessed(
        place,
        scan,
        made.series,
        mask=made.mask,
        noise_sd=made.noise_sd,
        quality=made.quality.to_dict(),
        weights=made.weights,
    )
    if made.course is not None:
        derivatives.write_course(
            place,
            scan,
            made.course.pictures,
            made.course.affine,
            about=made.course.about,
            volumes=made.course.volumes,
            slices=made.course.slices,
        )


def read_signal(scan: Scan, study: Study, place: Derivatives) -> TensorSignal:
    """Read what the tensor of a participant is fitted to.

    Parameters
    ----------
    scan : Scan
        A participant that has been preprocessed.
    study : Study
        Its section `tensor` counts.
    place : Derivatives
        Where results are kept.

    Returns
    -------
    TensorSignal
        The chosen volumes without what is not muscle's water.
    """
    series, mask = derivatives.read_preprocessed(place, scan, b0_threshold=study.preprocessing.b0_threshold)
    fat = read_fat(scan.fat_fraction, series) if study.tensor.fat_model == "map" else None
    weights = derivatives.read_weights(place, scan)
    return imaging.water_signal(series, mask, weights=weights, fat=fat, **signal_settings(study))


def signal_settings(study: Study) -> dict[str, Any]:
    """Return the settings that `water_signal` takes under the same names.

    Parameters
    ----------
    study : Study
        Its section `tensor` counts.
    """
    names = ("highest_b", "fat_model", "fat_signal", "fat_diffusivity", "separate_blood", "tissue_b")
    return study.tensor.model_dump(include=set(names))


def read_fat(path: Path | None, series: DwiSeries) -> FatFraction | None:
    """Read a map of fat on the grid of a series.

    Parameters
    ----------
    path : Path or None
        The map, on any grid.
    series : DwiSeries
        The series.

    Returns
    -------
    FatFraction or None
        None when there is no map.
    """
    if path is None:
        return None
    with files.naming(path):
        return FatFraction(images.read_on_grid(path, series.shape, series.affine), series.affine)


def _fit(scan: Scan, study: Study, place: Derivatives) -> None:
    signal = read_signal(scan, study, place)
    settings = study.tensor
    fitted = imaging.fit(signal, estimator=settings.estimator, directions_of=settings.directions_of)
    derivatives.write_maps(place, scan, fitted.maps, fitted.quality.to_dict())
    if fitted.maps.residual is not None:
        derivatives.write_residual(place, scan, fitted.maps.residual, fitted.maps.affine)
    if signal.perfusion is not None and signal.perfusion.is_separated:
        blood = signal.perfusion
        derivatives.write_blood(place, scan, blood.fraction, blood.pseudo_diffusivity, signal.series.affine)


def _measure(scan: Scan, study: Study, place: Derivatives) -> None:
    if scan.labels is None:
        return
    signal = read_signal(scan, study, place)
    maps = derivatives.read_maps(place, scan)
    known = registry.read_registry()
    propagated = propagate_to(scan, study, place, known) if scan.atlases else None
    labels, issues = read_muscles(scan.labels, known, study.roi, shape=signal.series.shape, affine=signal.series.affine)
    if propagated is not None:
        issues = (*propagated.issues, *issues)
    if issues and not labels.present:
        raise LabelError(f"{scan.labels}: no label is a known muscle. {in_short(issues)[0]}")
    with files.naming(scan.labels):
        measured = imaging.measure(
            signal,
            maps,
            labels,
            participant_id=scan.participant_id,
            session=scan.session,
            erosion_mm=study.roi.erosion_mm,
            min_voxels=study.roi.min_voxels,
            is_simulated=place.is_simulated,
            noise_sd=derivatives.read_noise(place, scan),
            fat=read_fat(scan.fat_fraction, signal.series),
            max_fat_fraction=study.roi.max_fat_fraction,
            residual=derivatives.read_residual(place, scan),
        )
    measured = replace(measured, issues=(*issues, *measured.issues))
    table, quality = measured.table, measured.quality_dict() | {"labels": DRAWN}
    if propagated is not None:
        table, quality = table.assign(labels=PROPAGATED), quality | _origin(propagated, quality["muscles"])
    derivatives.write_roi_rows(place, scan, table, quality)


def _origin(propagated: PropagatedLabels, muscles: list[dict[str, Any]]) -> dict[str, Any]:
    """Say where propagated labels come from, and how far the atlases agree about each muscle that was measured."""
    shares = {(muscle.muscle, muscle.side): muscle.agreement for muscle in propagated.muscles}
    return {
        "labels": PROPAGATED,
        "atlases": list(propagated.atlases),
        "agreement": propagated.mean_agreement,
        "muscles": [muscle | {"agreement": shares.get((muscle["muscle"], muscle["side"]))} for muscle in muscles],
    }


_STEPS: dict[str, Callable[[Scan, Study, Derivatives], None]] = {
    "preprocessed": _preprocess,
    "tensor": _fit,
    "muscles": _measure,
}
