"""How surely flipped and swapped axes of the b-vectors are found, and how often an alarm is false.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/flips.py [PARTICIPANTS]

Simulates a cohort by the shipped protocol at SNR 25, fits it, turns the fibres as a changed `.bvec` file would and asks
`check_orientation`, with and without labels: all participants as scanned (OLS), every tenth also as the pipeline does
it (preprocessed, IWLS). Writes `benchmarks/flips.md`. About ten minutes on one core.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from dtimuscle.dwi import DwiSeries, Floats, TensorMaps, fsl_frame
from dtimuscle.imaging.gradients import LEAD_SE, check_orientation
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.participant import preprocess
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.muscles import MuscleLabels
from dtimuscle.running.cohort import scan_effects
from dtimuscle.running.studies import read_protocol, read_scenario
from dtimuscle.settings import SimulationSettings
from dtimuscle.simulation.anatomy import build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.signal import SimulatedScan, simulate_scan
from dtimuscle.store.registry import read_registry

REPORT = Path(__file__).with_suffix(".md")
SNR = 25.0

# The limits of the check were chosen on cohorts 1 to 3 and 7.
SEED = 9001

# Preprocessing takes longer than all the rest.
PREPROCESSED_EVERY = 10

# What is done to the rows of the file: their new order, and the row of the result that is negated.
CHANGES = {
    "nothing": ((0, 1, 2), None),
    "row 1 negated": ((0, 1, 2), 0),
    "row 2 negated": ((0, 1, 2), 1),
    "row 3 negated": ((0, 1, 2), 2),
    "rows 1 and 2 swapped": ((1, 0, 2), None),
    "rows 1 and 3 swapped": ((2, 1, 0), None),
    "rows 2 and 3 swapped": ((0, 2, 1), None),
}


def scans(n: int) -> Iterator[SimulatedScan]:
    """Scan one participant after the other."""
    n_poor = round(0.31 * n)
    settings = SimulationSettings(n_poor=n_poor, n_good=n - n_poor, snr=SNR, seed=SEED)
    protocol, registry = read_protocol(settings.protocol), read_registry()
    cohort = draw_cohort(read_scenario(settings.scenario), n_poor=n_poor, n_good=n - n_poor, seed=SEED)
    for who, parameters in cohort.parameters.groupby("participant_id", sort=False):
        rng = participant_rng(SEED, str(who))
        thighs = build_thighs(protocol.height_mm, registry, rng=rng)
        yield simulate_scan(thighs, parameters.assign(fat_fraction=0.0), protocol, scan_effects(settings), rng=rng)


def fitted(series: DwiSeries, *, is_cleaned: bool) -> TensorMaps:
    """Fit the series as scanned by OLS, or as the pipeline does it."""
    if not is_cleaned:
        return fit_tensor(series, foreground_mask(series), estimator="ols")
    done = preprocess(series)
    return fit_tensor(done.series, done.mask, estimator="iwls", weights=done.weights)


def examine(maps: TensorMaps, labels: MuscleLabels, data: str) -> list[dict[str, object]]:
    """Turn the fibres as each change of the file would, and see what is found."""
    records: list[dict[str, object]] = []
    for change, (order, negated) in CHANGES.items():
        turn = turn_of(maps.affine, order, negated)
        changed = replace(maps, direction=maps.direction @ turn.T)
        for known, muscles in (("no", None), ("yes", labels)):
            check = check_orientation(changed, labels=muscles)
            best = check.likely[0]
            back = best.turn @ turn
            # What the right orientation leads by: over the given one, or over the best of the others.
            others = [candidate for candidate in check.candidates if not candidate.is_given]
            leads = [-other.lead / other.lead_se for other in others] if change == "nothing" else []
            records.append(
                {
                    "data": data,
                    "change": change,
                    "labels": known,
                    "verdict": check.verdict,
                    "is_right": min(np.abs(back - np.eye(3)).max(), np.abs(back + np.eye(3)).max()) < 1e-6,
                    "is_alone": len(check.likely) == 1,
                    "lead": min(leads, default=best.lead / best.lead_se if best.lead_se > 0 else 0.0),
                }
            )
    return records


def turn_of(affine: Floats, order: tuple[int, int, int], negated: int | None) -> Floats:
    """Tell what a change of the rows does to directions in the world."""
    frame = fsl_frame(affine)
    rows = np.where(np.arange(3) == negated, -1.0, 1.0)[:, None] * np.eye(3)[list(order)]
    return frame @ rows @ frame.T


def main() -> None:
    """Run everything and write the report."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    records = []
    for number, scan in enumerate(scans(n)):
        records += examine(fitted(scan.series, is_cleaned=False), scan.labels, "as scanned")
        if (number + 1) % PREPROCESSED_EVERY == 0:
            records += examine(fitted(scan.series, is_cleaned=True), scan.labels, "preprocessed")
        # After each participant, so that a run that is cut short is not lost; the report says how many there were.
        table = pd.DataFrame(records)
        REPORT.write_text("\n".join(described(table, number + 1)) + "\n", encoding="utf-8")


def described(table: pd.DataFrame, n: int) -> list[str]:
    """Count what was found, line by line."""
    protocol = read_protocol(SimulationSettings().protocol)
    size = " × ".join(f"{size:g}" for size in protocol.voxel_mm.value)
    matrix = " × ".join(map(str, protocol.matrix.value))
    lines = [
        "# Flipped and swapped axes of the b-vectors",
        "",
        f"{n} simulated participants, SNR {SNR:.0f}, {matrix} voxels of {size} mm, "
        "the other settings as in `study.yaml`. *As scanned*: raw data with motion left in, tensors by OLS. "
        f"*Preprocessed*: every {PREPROCESSED_EVERY}th participant, denoised, unrung, motion corrected, tensors by "
        "IWLS. *Found*: a warning whose likeliest remedy restores the file (up to the sign of all rows). *Alone*: no "
        "other remedy is as likely. *Smallest lead*: by how many standard errors the right orientation is ahead of the "
        f"one in the file (of the nearest other one where nothing was changed), in the worst participant; {LEAD_SE:g} "
        "are needed.",
        "",
        f"The limits of the check were chosen on cohorts with the seeds 1 to 3 and 7; this one (seed {SEED}) was not "
        "looked at before. The places of muscles that serve without labels were written knowing the phantom's drawing.",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/flips.py",
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}",
        "",
        "| data | what was done to the file | labels | n | found | alone | undecidable | wrong alarm | smallest lead |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (data, change, known), rows in table.groupby(["data", "change", "labels"], sort=False):
        is_alarm, is_right = rows["verdict"] == "flipped", rows["is_right"].astype(bool)
        wrong = is_alarm if change == "nothing" else is_alarm & ~is_right
        found = "" if change == "nothing" else f"{(is_alarm & is_right).sum()}"
        alone = "" if change == "nothing" else f"{(is_alarm & is_right & rows['is_alone']).sum()}"
        undecided = (rows["verdict"] == "undecidable").sum()
        lines.append(
            f"| {data} | {change} | {known} | {len(rows)} | {found} | {alone} | {undecided} | {wrong.sum()} "
            f"| {rows['lead'].min():.1f} |"
        )
    return lines


if __name__ == "__main__":
    main()
