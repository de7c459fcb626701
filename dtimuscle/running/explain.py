"""What a run would compute, and why; nothing is computed to find out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dtimuscle.running.cohort import cohort_folder, open_dataset
from dtimuscle.running.kept import Part, plan_beforehand, plan_notebooks
from dtimuscle.running.labels import with_atlases
from dtimuscle.running.notebooks import NOTEBOOKS
from dtimuscle.running.participant_pages import plan_participant_pages
from dtimuscle.running.participants import Outcome, Processing, find_outcome, step_inputs, steps_of
from dtimuscle.running.study import MODEL_NOTEBOOKS, check_settings, choose_notebooks
from dtimuscle.settings import Study
from dtimuscle.store import bids, derivatives
from dtimuscle.store.bids import Dataset, Scan
from dtimuscle.store.derivatives import STEP_VERSIONS, Derivatives
from dtimuscle.store.places import reports_folder
from dtimuscle.store.runs import Run

TITLES = {
    "preprocessed": "Preprocessing",
    "tensor": "Tensors",
    "labels": "Labels carried over",
    "muscles": "Muscles",
}
KERNELS, COHORT = "Modules with kernels", "Simulated cohort"
SECOND_LABELS, SECOND_MUSCLES = "Second reader's labels", "Muscles, second reader"
NOTEBOOK, PAGES = "Notebook", "Participants' pages"

NEVER_MADE = "never made with these settings"
NEVER = "never computed"
FOLLOWS = "what it rests on is made again"
PERHAPS = "unless the participants turn out as before"
# Names that a reason spells out; a change that concerns more of them is told by their number.
MOST_NAMES = 3


@dataclass(frozen=True)
class Reason:
    """Why something has to be made, and of whom.

    Parameters
    ----------
    why : str
        In words.
    names : tuple of str
        Scans that are concerned; none where it is not about single ones.
    """

    why: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In one line, with names when there are few."""
        if not self.names:
            return self.why
        who = ", ".join(self.names) if len(self.names) <= MOST_NAMES else f"{len(self.names)} scans"
        return f"{who}: {self.why}"


@dataclass(frozen=True)
class Plan:
    """What a run would do about one step.

    Parameters
    ----------
    title : str
        The step.
    n_found : int
        How many results are there already.
    n_pending : int
        How many are to be made.
    reasons : tuple of Reason
        Why.
    """

    title: str
    n_found: int
    n_pending: int
    reasons: tuple[Reason, ...] = ()


def explain_study(study: Study, *, folder: Path | None = None) -> tuple[Plan, ...]:
    """Say what `run_study` would compute, and why.

    Parameters
    ----------
    study : Study
        All settings, with absolute paths.
    folder : Path, optional
        Where the results would go; `reports/` and the study's name by default.

    Returns
    -------
    tuple of Plan
        In the order of the work.

    Raises
    ------
    DtiMuscleError
        If the input or a setting is wrong.
    """
    run = Run((folder or reports_folder() / study.name).resolve())
    check_settings(study, run)
    if study.data.roi_table:
        return tuple(_of_notebook(part) for part in plan_notebooks(MODEL_NOTEBOOKS, study, run))
    if not study.data.dataset and not bids.is_whole(cohort_folder(study.simulation)):
        return _from_nothing(study)
    dataset = open_dataset(study)
    place = derivatives.derivatives_of(dataset, study)
    dataset = with_atlases(dataset, study, place)
    made = [] if study.data.dataset else [Plan(COHORT, len(dataset.scans), 0)]
    plans = [*_of_steps(dataset, study, place), *_of_second_reader(dataset, study, place)]
    if not any(plan.n_pending for plan in plans):
        return (*made, *plans, *_of_notebooks(dataset, study, place, run))
    return (*_of_kernels(), *made, *plans, *_of_notebooks_beforehand(dataset, study, place, run))


def _from_nothing(study: Study) -> tuple[Plan, ...]:
    """Say what has to be made when not even the scans are there."""
    simulation = study.simulation
    n = (simulation.n_poor + simulation.n_good) * simulation.n_sessions
    follows = (Reason(FOLLOWS),)
    titles = [TITLES[step] for step in derivatives.STEPS]
    if simulation.second_reader_mm:
        titles += [SECOND_LABELS, SECOND_MUSCLES]
    notebooks = [Plan(f"{NOTEBOOK} {name}", 0, 1, follows) for name in NOTEBOOKS]
    if study.execution.participant_pages:
        notebooks.append(Plan(PAGES, 0, n, follows))
    cohort = Plan(COHORT, 0, n, (Reason(NEVER_MADE),))
    return (*_of_kernels(), cohort, *(Plan(title, 0, n, follows) for title in titles), *notebooks)


def _of_kernels() -> list[Plan]:
    # numba takes half a second to import.
    from dtimuscle.imaging.kernels import MODULES, uncompiled_modules

    n = len(uncompiled_modules())
    return [Plan(KERNELS, len(MODULES) - n, n, (Reason("not compiled yet"),))] if n else []


# Participants


def _of_steps(
    dataset: Dataset, study: Study, place: Derivatives, *, steps: Iterable[str] = tuple(TITLES)
) -> list[Plan]:
    """Plan each step of all scans."""
    found = dict.fromkeys(steps, 0)
    pending: dict[str, dict[str, list[str]]] = {step: {} for step in found}
    for scan in dataset.scans:
        for step, why in _reasons(scan, study, place).items():
            if step in found and why:
                pending[step].setdefault(why, []).append(scan.name)
            elif step in found:
                found[step] += 1
    plans = []
    for step, reasons in pending.items():
        n_pending = sum(map(len, reasons.values()))
        told = tuple(
            Reason(why, () if len(names) == len(dataset.scans) else tuple(names)) for why, names in reasons.items()
        )
        if found[step] or n_pending:
            plans.append(Plan(TITLES[step], found[step], n_pending, told))
    return plans


def _reasons(scan: Scan, study: Study, place: Derivatives) -> dict[str, str]:
    """Say of each step of a scan why it has to be taken; nothing where its result is there."""
    reasons: dict[str, str] = {}
    rests_on_new = False
    for step in steps_of(scan, "muscles"):
        receipt = derivatives.read_receipt(place, step, scan)
        try:
            if receipt is None:
                own = _other_settings(scan, step, place)
                why = "; ".join(own) or (FOLLOWS if rests_on_new else NEVER)
                rests_on_new = True
            elif own := _other_basis(scan, step, study, place=place, receipt=receipt):
                why, rests_on_new = "; ".join(own), True
            else:
                # A result that is made good again is what it was, so nothing follows from it.
                why = FOLLOWS if rests_on_new else _damage(step, place, receipt)
        except OSError as error:
            why, rests_on_new = f"{error.filename} cannot be read", True
        reasons[step] = why
    return reasons


def _earlier(scan: Scan, step: str) -> str | None:
    """Name the step before."""
    steps = steps_of(scan, step)
    return steps[-2] if len(steps) > 1 else None


def _other_settings(scan: Scan, step: str, place: Derivatives) -> list[str]:
    """Name the settings of a step, not of those before it, that differ from the nearest ones it was taken with."""
    earlier, now = _earlier(scan, step), place.settings[step]
    others = [receipt["settings"] for receipt in derivatives.receipts_of_other_settings(place, step, scan)]
    changes = ([name for name in {**other, **now} if other.get(name) != now.get(name)] for other in others)
    names, nearest = min(zip(changes, others, strict=True), key=lambda pair: len(pair[0]), default=([], {}))
    own = [name for name in names if earlier is None or name not in place.settings[earlier]]
    return [f"{name} {_in_words(nearest.get(name))} → {_in_words(now.get(name))}" for name in own]


def _other_basis(scan: Scan, step: str, study: Study, *, place: Derivatives, receipt: dict[str, Any]) -> list[str]:
    """Name the files that a step, not those before it, would read otherwise, and say whether the kit computes it so."""
    known: dict[str, dict[str, Any]] = receipt["inputs"]
    now = derivatives.identify(step_inputs(step, scan, study), known)
    if derivatives.origin_of(place, step, now).key == receipt["key"]:
        return []
    earlier = _earlier(scan, step)
    of_earlier = set(map(str, step_inputs(earlier, scan, study))) if earlier else set()
    words = []
    for path, file in now.items():
        if path not in of_earlier and file["sha256"] != known.get(path, {}).get("sha256"):
            words.append(f"{Path(path).name} {'changed' if path in known else 'is new'}")
    words += [f"{Path(path).name} is no longer read" for path in known if path not in now]
    before, version = receipt["versions"].get(step), STEP_VERSIONS[step]
    if before != version:
        words.append(f"the kit computes it in another way (version {before} → {version})")
    return words or [FOLLOWS]


def _damage(step: str, place: Derivatives, receipt: dict[str, Any]) -> str:
    """Say which files of a step are gone or damaged."""
    names = [Path(name).name for name in derivatives.changed_outputs(place, step, receipt)]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}: gone or damaged" if names else ""


def _in_words(value: Any) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _second_labels(dataset: Dataset, study: Study) -> Path | None:
    """Name the folder of a second reader's labels, which may not exist yet; None when there is one reader."""
    if study.data.second_labels:
        return Path(study.data.second_labels)
    spread = 0.0 if study.data.dataset else study.simulation.second_reader_mm
    return bids.second_labels_folder(dataset.root, spread) if spread else None


def _of_second_reader(dataset: Dataset, study: Study, place: Derivatives) -> list[Plan]:
    """Plan what is measured with a second reader's labels."""
    labels = _second_labels(dataset, study)
    if labels is None:
        return []
    if not study.data.second_labels and not bids.is_whole(labels):
        n = sum(scan.labels is not None for scan in dataset.scans)
        never, follows = (Reason(NEVER_MADE),), (Reason(FOLLOWS),)
        return [Plan(SECOND_LABELS, 0, n, never), Plan(SECOND_MUSCLES, 0, n, follows)]
    again, by_second = bids.read_by(dataset, labels), derivatives.derivatives_by(place, labels)
    return [replace(plan, title=SECOND_MUSCLES) for plan in _of_steps(again, study, by_second, steps=["muscles"])]


# Notebooks


def _of_notebooks(dataset: Dataset, study: Study, place: Derivatives, run: Run) -> list[Plan]:
    """Plan the notebooks when all that they show is there."""
    processings = [_found(dataset, study, place)]
    labels = _second_labels(dataset, study)
    if labels is not None:
        again = bids.read_by(dataset, labels)
        processings.append(_found(again, study, derivatives.derivatives_by(place, labels)))
    notebooks, _ = choose_notebooks(processings[0])
    plans = [_of_notebook(part) for part in plan_notebooks(notebooks, study, run, processings)]
    if study.execution.participant_pages and processings[0].scans:
        part = plan_participant_pages(run, study, processings[0])
        n, words = len(processings[0].scans), tuple(map(Reason, part.reasons))
        plans.append(Plan(PAGES, n, 0) if part.is_kept else Plan(PAGES, 0, n, words))
    return plans


def _found(dataset: Dataset, study: Study, place: Derivatives) -> Processing:
    there = (find_outcome(scan, study=study, derivatives=place, upto="muscles") for scan in dataset.scans)
    return Processing(dataset, place, tuple(outcome for outcome in there if outcome is not None))


def _of_notebooks_beforehand(dataset: Dataset, study: Study, place: Derivatives, run: Run) -> list[Plan]:
    """Plan the notebooks as far as it is known while participants are still to be worked on."""
    hoped_for = Processing(dataset, place, tuple(Outcome(scan) for scan in dataset.scans))
    notebooks, _ = choose_notebooks(hoped_for)
    parts = plan_beforehand(notebooks, study, run)
    plans = [_of_notebook(replace(part, reasons=part.reasons or (PERHAPS,))) for part in parts]
    if study.execution.participant_pages and dataset.scans:
        plans.append(Plan(PAGES, 0, len(dataset.scans), (Reason(PERHAPS),)))
    return plans


def _of_notebook(part: Part) -> Plan:
    reasons = tuple(Reason(why) for why in part.reasons)
    return Plan(f"{NOTEBOOK} {part.name}", int(part.is_kept), int(not part.is_kept), reasons)
