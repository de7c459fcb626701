"""The simulated cohort as a BIDS dataset: made once for each group of settings, then found again."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from dtimuscle.errors import SimulationError
from dtimuscle.running.pool import Progress, Silent, map_in_order
from dtimuscle.running.studies import read_protocol, read_scenario
from dtimuscle.settings import SimulationSettings, fingerprint
from dtimuscle.simulation.anatomy import build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.protocol import Protocol
from dtimuscle.simulation.signal import simulate_scan
from dtimuscle.store import bids, places
from dtimuscle.store.registry import read_registry

# Raised whenever the same settings would give other data.
SIMULATION_VERSION = 2


@dataclass(frozen=True)
class _Patient:
    participant_id: str
    parameters: pd.DataFrame


def simulate_cohort(settings: SimulationSettings, *, workers: int = 0, progress: Progress | None = None) -> Path:
    """Make the simulated cohort of a study, or find it where an earlier run has left it.

    Parameters
    ----------
    settings : SimulationSettings
        Scenario, protocol, sizes, noise, motion and seed.
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
    told = [settings.model_dump(mode="json"), scenario.model_dump(mode="json"), protocol.model_dump(mode="json")]
    key = fingerprint([*told, SIMULATION_VERSION])
    root = places.simulated_folder() / f"{Path(settings.scenario).stem}-{key[:8]}"
    if (root / "dataset_description.json").is_file():
        return root
    cohort = draw_cohort(scenario, n_poor=settings.n_poor, n_good=settings.n_good, seed=settings.seed)
    parameters = dict(tuple(cohort.parameters.groupby("participant_id", sort=False)))
    patients = [_Patient(who, parameters[who]) for who in cohort.participants["participant_id"]]
    progress.start("Simulated patients", len(patients))
    make = partial(_make, root=root, settings=settings, protocol=protocol)
    map_in_order(make, patients, workers=workers, on_done=progress.advance, on_lost=_lost)
    progress.finish()
    bids.write_participants(root, cohort.participants)
    bids.write_truth_table(root, cohort.parameters)
    maker = [bids.simulation_maker(settings.model_dump(mode="json"))]
    for folder, what in ((bids.labels_folder(root), "muscle labels"), (bids.truth_folder(root), "truth")):
        bids.write_description(folder, f"Simulated thighs: {what}", kind="derivative", generated_by=maker)
    bids.write_readme(root)
    # Written last: its presence says that the dataset is whole.
    bids.write_description(root, f"Simulated thighs ({scenario.name})", kind="raw", generated_by=maker)
    return root


def _make(patient: _Patient, *, root: Path, settings: SimulationSettings, protocol: Protocol) -> str:
    """Make one patient's scan; the stream of random numbers depends on the identifier alone."""
    rng = participant_rng(settings.seed, patient.participant_id)
    thighs = build_thighs(protocol.height_mm, read_registry(), rng=rng)
    scan = simulate_scan(
        thighs,
        patient.parameters,
        protocol,
        snr=settings.snr,
        motion_mm=settings.motion_mm,
        motion_deg=settings.motion_deg,
        eddy_percent=settings.eddy_percent,
        ringing=settings.ringing,
        rng=rng,
    )
    bids.write_scan(root, patient.participant_id, scan.series, protocol.sidecar())
    bids.write_labels(bids.labels_folder(root), patient.participant_id, scan.labels)
    bids.write_truth(bids.truth_folder(root), patient.participant_id, scan.truth)
    return patient.participant_id


def _lost(patient: _Patient) -> str:
    raise SimulationError(
        f"{patient.participant_id}: the process that simulated this patient died. "
        "The system may have run out of memory; try again with --workers 1."
    )
