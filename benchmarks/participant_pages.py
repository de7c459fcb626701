"""How long the pages of participants take, and how large they are.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/participant_pages.py

Two participants are simulated and processed for each protocol, and their pages are written 50 times each by two
processes, start-up included, as for a cohort of 100.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import yaml

from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.participant_pages import write_participant_pages
from dtimuscle.running.participants import process
from dtimuscle.running.pool import Silent
from dtimuscle.settings import Study
from dtimuscle.store import places
from dtimuscle.store.runs import Run

# Changes of the kit's own protocol; the first row is that protocol.
PROTOCOLS = {
    "160 x 80 x 8 x 14": {},
    "128 x 128 x 20 x 31": {"voxel_mm": [3.0, 3.0, 5.0], "matrix": [128, 128, 20], "n_b0": 1, "n_directions": 30},
}


def study_of(changes: dict[str, object], folder: Path, *, workers: int) -> Study:
    """Write a changed protocol and return a study of two patients that are scanned by it."""
    protocol = yaml.safe_load((places.protocols_folder() / "thigh_3t.yaml").read_text(encoding="utf-8"))
    for name, value in changes.items():
        protocol[name] = {**protocol[name], "value": value} if isinstance(protocol[name], dict) else value
    path = folder / "protocol.yaml"
    path.write_text(yaml.safe_dump(protocol), encoding="utf-8")
    return Study().with_values(protocol=str(path), n_poor=1, n_good=1, dropout_percent=3.0, workers=workers)


def main() -> None:
    """Print one line for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for words, changes in PROTOCOLS.items():
        with tempfile.TemporaryDirectory() as name:
            study = study_of(changes, Path(name), workers=given.workers)
            processing = process(open_dataset(study), study)
            many = replace(processing, outcomes=processing.outcomes * (given.pages // len(processing.outcomes)))
            run = Run(Path(name) / "run")
            run.write_study(study)
            begun = time.perf_counter()
            issues = write_participant_pages(run, study, many, progress=Silent()).failures
            seconds = (time.perf_counter() - begun) / len(many.outcomes)
            sizes = [path.stat().st_size / 1e6 for path in (run.folder / "participants").glob("sub-*.html")]
        print(f"{words}: {seconds:.2f} s a page, at most {max(sizes):.2f} MB, {len(issues)} failed")


if __name__ == "__main__":
    main()
