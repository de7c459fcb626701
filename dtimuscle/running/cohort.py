"""The simulated cohort as a BIDS dataset: made once for each group of settings, then found again."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dtimuscle.errors import SimulationError
from dtimuscle.running.pool import Progress, Silent, map_in_order
from dtimuscle.running.studies import read_protocol, read_scenario
from dtimuscle.settings import SimulationSettings, Study, fingerprint
from dtimuscle.simulation.anatomy import build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.effects import ScanEffects, Wasting, draw_poses
from dtimuscle.simulation.protocol import Protocol
from dtimuscle.simulation.readers import redraw
from dtimuscle.simulation.signal import SimulatedScan, simulate_scan
from dtimuscle.store import bids, places
from dtimuscle.store.images import read_grid
from dtimuscle.store.labels import read_labels
from dtimuscle.store.registry import read_registry

# Raised whenever the same settings would give other data.
SIMULATION_VERSION = 4

# Settings that change no scan, so that another second reader finds the scans of before.
OF_READERS = ("second_reader_mm",)


@dataclass(frozen=True)
class _Patient:
    participant_id: str
    parameters: pd.DataFrame
    grade: int


def open_dataset(study: Study, *, progress: Progress | None = None) -> bids.Dataset:
    """Find a study's scans, simulating them when no dataset is given.

    Parameters
    ----------
    study : Study
        Sections `data`, `simulation` and `execution` count.
    progress : Progress, optional
        Who is told how far the simulation is.

    Returns
    -------
    Dataset
        The scans.
    """
    if study.data.dataset:
        labels = Path(study.data.labels) if study.data.labels else None
        fat_fraction = Path(study.data.fat_fraction) if study.data.fat_fraction else None
        return bids.read_dataset(Path(study.data.dataset), labels, fat_fraction)
    return bids.read_dataset(simulate_cohort(study.simulation, workers=study.execution.workers, progress=progress))


def simulate_cohort(settings: SimulationSettings, *, workers: int = 0, progress: Progress | None = None) -> Path:
    """Make the simulated cohort of a study, or find it where an earlier run has left it.

    Parameters
    ----------
    settings : SimulationSettings
        Scenario, protocol, sizes, sessions, effects and seed.
    workers : int, default=0
        Patients that are made at a time; 0 for one per core. The data do not depend on it.
    progress : Progress, optional
        Who is told.

    Returns
    -------
    Path
        Root of the BIDS dataset. Labels and truth are derivatives within it.

    Raises
    ------
    SettingsError, SimulationError
        If scenario or protocol are unknown or impossible.
    """
    progress = progress or Silent()
    scenario, protocol = read_scenario(settings.scenario), read_protocol(settings.protocol)
    of_scans, root = settings_of_scans(settings), cohort_folder(settings)
    if bids.is_whole(root):
        return root
    cohort = draw_cohort(scenario, n_poor=settings.n_poor, n_good=settings.n_good, seed=settings.seed)
    patients = [
        _patient(str(who), parameters, cohort.participants, settings)
        for who, parameters in cohort.parameters.groupby("participant_id", sort=False)
    ]
    progress.start("Simulated patients", len(patients))
    make = partial(_make, root=root, settings=settings, protocol=protocol)
    map_in_order(make, patients, workers=workers, on_done=progress.advance, on_lost=_lost)
    progress.finish()
    bids.write_participants(root, cohort.participants)
    bids.write_truth_table(root, pd.concat([patient.parameters for patient in patients]))
    maker = [bids.simulation_maker(of_scans)]
    for folder, what in (
        (bids.labels_folder(root), "muscle labels"),
        (bids.fat_folder(root), "fat fraction"),
        (bids.truth_folder(root), "truth"),
    ):
        bids.write_description(folder, f"Simulated thighs: {what}", kind="derivative", generated_by=maker)
    bids.write_readme(root)
    # Written last: its presence says that the dataset is whole.
    bids.write_description(root, f"Simulated thighs ({scenario.name})", kind="raw", generated_by=maker)
    return root


def cohort_folder(settings: SimulationSettings) -> Path:
    """Name the folder of a simulated cohort; settings that give the same scans have the same.

    Parameters
    ----------
    settings : SimulationSettings
        Of the simulated cohort.

    Returns
    -------
    Path
        It may not exist yet.
    """
    scenario, protocol = read_scenario(settings.scenario), read_protocol(settings.protocol)
    told = [settings_of_scans(settings), scenario.model_dump(mode="json"), protocol.model_dump(mode="json")]
    key = fingerprint([*told, SIMULATION_VERSION])
    return places.simulated_folder() / f"{Path(settings.scenario).stem}-{key[:8]}"


def settings_of_scans(settings: SimulationSettings) -> dict[str, Any]:
    """Return the settings on which the scans depend.

    Parameters
    ----------
    settings : SimulationSettings
        Of the simulated cohort.
    """
    return settings.model_dump(mode="json", exclude=set(OF_READERS))


def simulate_second_reader(dataset: bids.Dataset, settings: SimulationSettings) -> Path:
    """Draw the muscles of a simulated cohort once more, or find the labels where an earlier run has left them.

    Parameters
    ----------
    dataset : Dataset
        From `simulate_cohort`.
    settings : SimulationSettings
        How far the second reader draws elsewhere, and the seed.

    Returns
    -------
    Path
        BIDS derivative with the second reader's labels.
    """
    spread = settings.second_reader_mm
    folder = bids.second_labels_folder(dataset.root, spread)
    if bids.is_whole(folder):
        return folder
    registry = read_registry()
    for scan in dataset.scans:
        if scan.labels is None:
            continue
        shape, affine = read_grid(scan.labels)
        labels, _ = read_labels(scan.labels, registry, shape=shape, affine=affine)
        rng = participant_rng(settings.seed, f"{scan.name} second reader")
        bids.write_labels(folder, scan.participant_id, redraw(labels, spread_mm=spread, rng=rng), session=scan.session)
    maker = [bids.simulation_maker({"second_reader_mm": spread, "seed": settings.seed})]
    bids.write_description(folder, "Simulated thighs: second reader's labels", kind="derivative", generated_by=maker)
    return folder


def scan_effects(settings: SimulationSettings) -> ScanEffects:
    """Pick what a scan suffers from the settings, which have a setting of the same name for each effect.

    Parameters
    ----------
    settings : SimulationSettings
        Of the simulated cohort.

    Returns
    -------
    ScanEffects
        Each effect as set.
    """
    return ScanEffects(**{field.name: getattr(settings, field.name) for field in fields(ScanEffects)})


def _wasting(settings: SimulationSettings) -> Wasting:
    return Wasting(**{field.name: getattr(settings, field.name) for field in fields(Wasting)})


def _patient(who: str, parameters: pd.DataFrame, people: pd.DataFrame, settings: SimulationSettings) -> _Patient:
    """Give a patient's muscles the fat that goes with the grade; it has its own stream of random numbers."""
    grade = int(people.loc[people["participant_id"] == who, "lovett_grade"].iloc[0])
    rng = participant_rng(settings.seed, f"{who} fat")
    return _Patient(who, _wasting(settings).infiltrate(parameters, grade, rng=rng), grade)


def _make(patient: _Patient, *, root: Path, settings: SimulationSettings, protocol: Protocol) -> str:
    """Scan one patient, in each session anew; the streams of random numbers depend on the identifier alone."""
    who = patient.participant_id
    rng = participant_rng(settings.seed, who)
    share = _wasting(settings).area_share(patient.grade)
    thighs = build_thighs(protocol.height_mm, read_registry(), rng=rng, area_share=share)
    for number in range(1, settings.n_sessions + 1):
        session = f"ses-{number}" if settings.n_sessions > 1 else ""
        position = None
        if number > 1:
            rng = participant_rng(settings.seed, f"{who} {session}")
            moved = {"motion_mm": settings.reposition_mm, "motion_deg": settings.reposition_deg}
            position = draw_poses(2, **moved, rng=rng)[1]
        scan = simulate_scan(thighs, patient.parameters, protocol, scan_effects(settings), rng=rng, position=position)
        _write(root, who, session, scan, protocol)
    return who


def _write(root: Path, who: str, session: str, scan: SimulatedScan, protocol: Protocol) -> None:
    bids.write_scan(root, who, scan.series, protocol.sidecar(), session=session)
    bids.write_labels(bids.labels_folder(root), who, scan.labels, session=session)
    truth = bids.truth_folder(root)
    bids.write_truth(truth, who, scan.truth, session=session)
    bids.write_scan_truth(
        truth,
        who,
        session=session,
        transforms=scan.transforms,
        dropped_slices=scan.dropped_slices,
        noise_sd=scan.noise_sd,
    )
    bids.write_fat_fraction(bids.fat_folder(root), who, scan.fat_fraction, scan.series.affine, session=session)


def _lost(patient: _Patient) -> str:
    raise SimulationError(
        f"{patient.participant_id}: the process that simulated this patient died. "
        "The system may have run out of memory; try again with --workers 1."
    )
