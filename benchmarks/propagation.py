"""How well labels of other participants fit after they have been propagated, against the truth of simulated thighs.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/propagation.py

Writes `benchmarks/propagation.md` and `propagation.png`. Takes ten minutes on two cores.
"""

import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

from dtimuscle.imaging.participant import TensorSignal, fit, measure, preprocess, water_signal
from dtimuscle.imaging.propagation import Anatomy, Atlas, PropagatedLabels, dice, fuse_votes, propagate_labels
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.running.pool import map_in_order
from dtimuscle.running.studies import read_protocol, read_scenario
from dtimuscle.simulation.anatomy import Thigh, Thighs, build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.effects import ScanEffects, Wasting
from dtimuscle.simulation.signal import simulate_scan
from dtimuscle.store.registry import read_registry

REPORT = Path(__file__).with_suffix(".md")
PICTURE = Path(__file__).with_suffix(".png")
STUDY_MUSCLES = ("gluteus_maximus", "gracilis", "adductor_longus", "adductor_magnus", "rectus_femoris")
SEED = 11
N_ATLASES = (1, 3, 5)
N_TARGETS = 2
GOAL = 0.85
WASTING = Wasting(atrophy_percent=6.0, fat_percent=3.0, infiltration_percent=4.0)
MEAN_FAT = 0.24  # subcutaneous fat of the simulator's mean thigh, in radii of the fascia


@dataclass(frozen=True)
class World:
    """How different participants are, and what their scans suffer."""

    name: str
    title: str
    effects: ScanEffects
    spread: float
    is_cleaned: bool


WORLDS = (
    World(
        "different",
        "Builds that differ twice as much; SNR 25, ringing, no motion, nothing cleaned",
        ScanEffects(snr=25, motion_mm=0, motion_deg=0, eddy_percent=0, eddy_shift_mm=0),
        2.0,
        False,
    ),
    World(
        "usual",
        "Builds as the simulator draws them; SNR 25, motion 1 mm, eddy currents, ringing",
        ScanEffects(snr=25),
        1.0,
        True,
    ),
)


@dataclass(frozen=True)
class Person:
    """One participant, measured."""

    world: World
    name: str
    grade: int
    labels: MuscleLabels
    signal: TensorSignal
    maps: object
    noise_sd: object

    @property
    def anatomy(self) -> Anatomy:
        """What it is registered by, as the pipeline takes it."""
        return Anatomy(np.nan_to_num(self.maps.s0), self.maps.mask, self.maps.affine)


def exaggerated(thighs: Thighs, spread: float) -> Thighs:
    """Let a build differ from the mean by a multiple."""

    def one(thigh: Thigh) -> Thigh:
        return replace(
            thigh,
            size=1 + spread * (thigh.size - 1),
            fat=max(MEAN_FAT + spread * (thigh.fat - MEAN_FAT), 0.08),
            turn=spread * thigh.turn,
            shifts=spread * thigh.shifts,
            sizes=1 + spread * (thigh.sizes - 1),
            climbs=spread * thigh.climbs,
        )

    return replace(thighs, thighs={side: one(thigh) for side, thigh in thighs.thighs.items()})


def person(what: tuple[World, str]) -> Person:
    """Simulate, preprocess and fit one participant."""
    world, who = what
    n = max(N_ATLASES) + N_TARGETS
    cohort = draw_cohort(read_scenario("published_means"), n_poor=n // 2, n_good=n - n // 2, seed=SEED)
    grade = int(cohort.participants.set_index("participant_id").loc[who, "lovett_grade"])
    parameters = cohort.parameters[cohort.parameters["participant_id"] == who]
    parameters = WASTING.infiltrate(parameters, grade, rng=participant_rng(SEED, f"{who} fat"))
    protocol, rng = read_protocol("thigh_3t"), participant_rng(SEED, who)
    thighs = build_thighs(protocol.height_mm, read_registry(), rng=rng, area_share=WASTING.area_share(grade))
    scan = simulate_scan(exaggerated(thighs, world.spread), parameters, protocol, world.effects, rng=rng)
    clean = dict.fromkeys(("denoise", "unring", "correct_motion", "find_outliers"), world.is_cleaned)
    made = preprocess(scan.series, **clean)
    signal = water_signal(made.series, made.mask, weights=made.weights)
    return Person(world, who, grade, scan.labels, signal, fit(signal).maps, made.noise_sd)


def propagate(what: tuple[Person, tuple[Person, ...]]) -> tuple[Person, PropagatedLabels, float]:
    """Propagate the labels of all atlases to one participant; seconds of one core for both thighs of one atlas."""
    target, others = what
    atlases = [Atlas(other.name, other.anatomy, other.labels) for other in others]
    begun = time.process_time()
    found = propagate_labels(target.anatomy, atlases, read_registry(), name=target.name)
    return target, found, (time.process_time() - begun) / len(atlases)


def overlaps(target: Person, labels: MuscleLabels) -> dict[tuple[str, str], float]:
    """Dice of each study muscle and side."""
    return {
        (muscle, str(side)): dice(target.labels.where(muscle, side), labels.where(muscle, side))
        for muscle in STUDY_MUSCLES
        for side in (Side.LEFT, Side.RIGHT)
    }


def values(target: Person, labels: MuscleLabels) -> pd.DataFrame:
    """FA and MD of the study muscles, both sides pooled, as the pipeline measures them."""
    measured = measure(target.signal, target.maps, labels, participant_id=target.name, noise_sd=target.noise_sd)
    rows = measured.table
    rows = rows[(rows["route"] == "voxelwise") & (rows["side"] == "both") & rows["muscle"].isin(STUDY_MUSCLES)]
    return rows.set_index(["muscle", "parameter"])["mean"]


def study(world: World) -> tuple[pd.DataFrame, pd.DataFrame, list, float]:
    """Dice, and differences of FA and MD (percent), for each target, muscle and number of atlases."""
    names = [f"sub-{number:03}" for number in range(1, max(N_ATLASES) + N_TARGETS + 1)]
    # Both groups among the atlases and among those without labels.
    targets = names[1 :: len(names) // N_TARGETS][:N_TARGETS]
    everybody = map_in_order(person, [(world, name) for name in names], workers=0, on_done=lambda _: None, on_lost=lost)
    atlases = tuple(one for one in everybody if one.name not in targets)
    jobs = [(one, atlases) for one in everybody if one.name in targets]
    done = map_in_order(propagate, jobs, workers=0, on_done=lambda _: None, on_lost=lost)
    fits, errors = [], []
    for target, found, _ in done:
        as_they_lie = fuse_votes(np.stack([one.labels.values for one in atlases[:1]]))[0]
        cases = [("not registered", as_they_lie)]
        cases += [(str(n), fuse_votes(found.votes[:n])[0]) for n in N_ATLASES]
        drawn = values(target, target.labels)
        for case, fused in cases:
            labels = replace(found.labels, values=fused)
            for (muscle, side), overlap in overlaps(target, labels).items():
                fits.append({"target": target.name, "case": case, "muscle": muscle, "side": side, "dice": overlap})
            if case != "not registered":
                change = 100 * (values(target, labels) / drawn - 1)
                errors += [{"case": case, "muscle": m, "parameter": p, "percent": v} for (m, p), v in change.items()]
    return pd.DataFrame(fits), pd.DataFrame(errors), done, float(np.mean([seconds for *_, seconds in done]))


def lost(item: object) -> object:
    """Stop when a process dies."""
    raise RuntimeError(f"the process for {item} died")


def dice_table(fits: pd.DataFrame) -> list[str]:
    """Mean and lowest Dice."""
    lines = ["| muscle | " + " | ".join(fits["case"].unique()) + " |", "|---" * (1 + fits["case"].nunique()) + "|"]
    for muscle in STUDY_MUSCLES:
        cells = []
        for case in fits["case"].unique():
            chosen = fits.loc[(fits["muscle"] == muscle) & (fits["case"] == case), "dice"]
            cells.append(f"{chosen.mean():.3f} ({chosen.min():.3f})")
        lines.append(f"| {muscle.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines


def value_table(errors: pd.DataFrame) -> list[str]:
    """Mean and largest difference of FA and MD."""
    lines = ["| muscle | parameter | " + " | ".join(map(str, N_ATLASES)) + " |", "|---" * (2 + len(N_ATLASES)) + "|"]
    for muscle in STUDY_MUSCLES:
        for parameter in ("fa", "md"):
            cells = []
            for case in map(str, N_ATLASES):
                rows = errors[(errors["muscle"] == muscle) & (errors["case"] == case)]
                chosen = rows.loc[rows["parameter"] == parameter, "percent"]
                cells.append(f"{chosen.mean():+.2f} ({chosen.abs().max():.2f})")
            lines.append(f"| {muscle.replace('_', ' ')} | {parameter.upper()} | " + " | ".join(cells) + " |")
    return lines


def draw(done: Sequence[tuple[World, Person, PropagatedLabels]]) -> None:
    """Outlines of the truth (white) and of propagated labels (red) on the signal without weighting."""
    figure, axes = plt.subplots(len(done), 3, figsize=(13, 2.6 * len(done)), layout="constrained", squeeze=False)
    for row, (world, target, found) in zip(axes, done, strict=True):
        for axis, k in zip(row, (1, target.maps.s0.shape[2] // 2, target.maps.s0.shape[2] - 2), strict=True):
            axis.imshow(np.nan_to_num(target.maps.s0[:, :, k]).T, origin="lower", cmap="gray")
            for labels, colour in ((target.labels, "white"), (found.labels, "red")):
                for muscle in STUDY_MUSCLES:
                    outline = labels.where(muscle, Side.LEFT) | labels.where(muscle, Side.RIGHT)
                    if outline[:, :, k].any():
                        axis.contour(outline[:, :, k].T.astype(float), [0.5], colors=colour, linewidths=0.8)
            axis.set(title=f"{world.name}, {target.name} (grade {target.grade}), slice {k}", xticks=[], yticks=[])
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)


def main() -> int:
    """Write the report; 1 when the goal is missed."""
    lines = [
        "# Propagated labels against the truth",
        "",
        f"Simulated thighs of both groups, {WASTING.atrophy_percent:g} % less cross-section, and "
        f"{WASTING.infiltration_percent:g} percentage points more fat, with each grade below 5; the kit's protocol "
        f"(160 × 80 × 8 voxels of 2.5 × 2.5 × 5 mm). {max(N_ATLASES)} participants with labels, {N_TARGETS} without; "
        "columns are numbers of atlases. Dice of the study muscles, left and right of all targets: mean (lowest). "
        "`not registered` is the first atlas' label image as it lies: how different the thighs are.",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/propagation.py",
        "```",
        "",
        f"{datetime.now(UTC).date()}; Python {platform.python_version()}, dipy {version('dipy')}, "
        f"numpy {version('numpy')}; a machine with two cores, which other work shared.",
    ]
    shown, is_met = [], True
    for world in WORLDS:
        fits, errors, done, seconds = study(world)
        shown += [(world, target, found) for target, found, _ in done[:2]]
        agreement = np.mean([found.mean_agreement for _, found, _ in done])
        lines += ["", f"## {world.title}", "", *dice_table(fits), ""]
        lines += [f"{seconds:.0f} s of one core for each atlas (both thighs); mean agreement of five {agreement:.3f}."]
        lines += ["", "Difference of the muscle's value from that with the true labels, both sides pooled, rim of "]
        lines[-1] += "2.5 mm left out, percent: mean (largest)."
        lines += ["", *value_table(errors)]
        several = fits[fits["case"].isin([str(n) for n in N_ATLASES if n > 1])]
        lowest = several.groupby(["case", "muscle"])["dice"].mean().min()
        words = "is reached" if lowest >= GOAL else "is missed"
        lines += ["", f"With several atlases the lowest mean Dice is {lowest:.3f}: the goal of {GOAL} {words}."]
        # Twice the usual differences show where it ends; they are no goal.
        is_met &= world.spread > 1 or bool(lowest >= GOAL)
        draw(shown)
        REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
