"""The BIDS validator finds no error in what the kit writes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.running.participants import process
from dtimuscle.settings import Study
from dtimuscle.store.bids import labels_folder, read_dataset, truth_folder

VALIDATOR = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VALIDATOR is None, reason="bids-validator-deno is not installed beside this Python"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, coarse_protocol) -> dict[str, Path]:
    """A simulated dataset of two patients, and every derivative of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DTIMUSCLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        study = Study().with_values(protocol=coarse_protocol, n_poor=1, n_good=1, workers=1)
        root = simulate_cohort(study.simulation, workers=1)
        processing = process(read_dataset(root), study)
    assert processing.failures == ()
    folders = {"raw": root, "labels": labels_folder(root), "truth": truth_folder(root)}
    return folders | processing.derivatives.folders


def problems(folder: Path, *options: str) -> list[dict[str, Any]]:
    command = [str(VALIDATOR), str(folder), "--format", "json", *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(answer.stdout)["issues"]["issues"]


@pytest.mark.parametrize("name", ["raw", "labels", "truth", "preprocessed", "tensor", "muscles"])
def test_the_validator_finds_no_error(folders, name):
    errors = [(issue["code"], issue["location"]) for issue in problems(folders[name]) if issue["severity"] == "error"]
    assert errors == []


def test_the_validator_would_find_one(folders, tmp_path):
    broken = shutil.copytree(folders["raw"], tmp_path / "broken")
    next(broken.glob("sub-*/dwi/*.bval")).unlink()
    assert "error" in {issue["severity"] for issue in problems(broken)}
