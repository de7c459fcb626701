"""How surely flipped and swapped axes of the b-vectors are found, and how often an alarm is false.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/flips.py [PARTICIPANTS]

Simulates a cohort at SNR 25, changes the rows of each `.bvec` file, reads the files, fits the raw data by ordinary
least squares and asks `check_orientation`, with and without labels. Writes `benchmarks/flips.md`. About five minutes
on two cores.
"""

import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from dtimuscle.imaging.gradients import check_orientation
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.settings import SimulationSettings
from dtimuscle.store import places
from dtimuscle.store.bids import Scan, read_dataset
from dtimuscle.store.images import read_dwi, read_gradients
from dtimuscle.store.labels import read_labels
from dtimuscle.store.registry import read_registry

REPORT = Path(__file__).with_suffix(".md")
SNR = 25.0
WORKERS = 2

# A scan of 400 × 200 × 40 mm in voxels that are quickly simulated.
SMALL = {"voxel_mm": [4.0, 4.0, 5.0], "matrix": [100, 50, 8]}

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


def small_protocol(folder: Path) -> Path:
    """Write the shipped protocol with larger voxels."""
    protocol = yaml.safe_load((places.protocols_folder() / "thigh_3t.yaml").read_text(encoding="utf-8"))
    for name, value in SMALL.items():
        protocol[name]["value"] = value
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**protocol, "name": "small"}), encoding="utf-8")
    return path


def examine(scan: Scan) -> list[dict[str, object]]:
    """Change the b-vectors of one scan in each way and see what is found."""
    series = read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=20.0)
    labels, _ = read_labels(scan.labels, read_registry())
    mask, given = foreground_mask(series), np.loadtxt(scan.bvec)
    records: list[dict[str, object]] = []
    for change, (order, negated) in CHANGES.items():
        written = given[list(order)] * np.where(np.arange(3) == negated, -1, 1)[:, None]
        with tempfile.TemporaryDirectory() as folder:
            bvec, n = Path(folder, "changed.bvec"), len(series.gradients)
            np.savetxt(bvec, written)
            gradients = read_gradients(scan.bval, bvec, series.affine, n_volumes=n, b0_threshold=20.0)
        maps = fit_tensor(replace(series, gradients=gradients), mask, estimator="ols")
        for known, muscles in (("no", None), ("yes", labels)):
            check = check_orientation(maps, labels=muscles)
            best = check.likely[0]
            mended = written[[row - 1 for row in best.rows]] * np.where(best.negated, -1, 1)[:, None]
            # What the right orientation leads by: over the given one, or over the best of the others.
            other = next(candidate for candidate in check.candidates if not candidate.is_given)
            lead = -other.lead / other.lead_se if change == "nothing" else best.lead / best.lead_se
            records.append(
                {
                    "change": change,
                    "labels": known,
                    "verdict": check.verdict,
                    "is_right": min(np.abs(mended - given).max(), np.abs(mended + given).max()) < 1e-6,
                    "is_alone": len(check.likely) == 1,
                    "lead": lead,
                }
            )
    return records


def main() -> None:
    """Run everything and write the report."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DTIMUSCLE_CACHE"] = folder
        settings = SimulationSettings(
            protocol=str(small_protocol(Path(folder))), n_poor=round(0.31 * n), n_good=n - round(0.31 * n), snr=SNR
        )
        dataset = read_dataset(simulate_cohort(settings, workers=WORKERS))
        with ProcessPoolExecutor(WORKERS) as pool:
            records = [record for found in pool.map(examine, dataset.scans) for record in found]
    REPORT.write_text("\n".join(described(pd.DataFrame(records), n)) + "\n", encoding="utf-8")


def described(table: pd.DataFrame, n: int) -> list[str]:
    """Count what was found, line by line."""
    lines = [
        "# Flipped and swapped axes of the b-vectors",
        "",
        f"{n} simulated participants, SNR {SNR:.0f}, {' × '.join(map(str, SMALL['matrix']))} voxels of "
        f"{' × '.join(f'{size:g}' for size in SMALL['voxel_mm'])} mm, the other settings as in `study.yaml`. "
        "Raw data, tensors by OLS. *Found*: a warning whose likeliest remedy restores the file (up to the sign of all "
        "rows). *Alone*: no other remedy is as likely. *Smallest lead*: by how many standard errors the right "
        "orientation is ahead of the one in the file (of the best other one where nothing was changed), in the worst "
        "participant.",
        "",
        "The limits of the check (`LEAD_SE`, `BLOCK_MM`, `MUSCLE_SHARE`, `BROKEN`, `MAX_VOXELS`) were settled while "
        "looking at this cohort (seed 2024), so these are not results on unseen data.",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/flips.py",
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}",
        "",
        "| what was done to the file | labels | found | alone | undecidable | wrong alarm | smallest lead |",
        "|---|---|---|---|---|---|---|",
    ]
    for change in CHANGES:
        for known in ("no", "yes"):
            rows = table[(table["change"] == change) & (table["labels"] == known)]
            is_alarm, is_right = rows["verdict"] == "flipped", rows["is_right"].astype(bool)
            wrong = is_alarm if change == "nothing" else is_alarm & ~is_right
            found = "" if change == "nothing" else f"{(is_alarm & is_right).sum()}"
            alone = "" if change == "nothing" else f"{(is_alarm & is_right & rows['is_alone']).sum()}"
            undecided = (rows["verdict"] == "undecidable").sum()
            lines.append(
                f"| {change} | {known} | {found} | {alone} | {undecided} | {wrong.sum()} | {rows['lead'].min():.1f} |"
            )
    return lines


if __name__ == "__main__":
    main()
