import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import settings
from IPython.display import display

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.running.notebooks import notebook_path
from dtimuscle.store import bids, places
from dtimuscle.store.runs import Run

# Examples are not remembered in the tree, and a busy machine fails no test.
settings.register_profile("dtimuscle", database=None, deadline=None)
settings.load_profile("dtimuscle")

# nbformat's jsonschema takes two seconds to build a grammar of international addresses if it finds this package, and
# does without otherwise; no notebook's schema asks for one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that are slow as a whole, so that at the end no core waits for one of them."""
    items.sort(key=lambda item: not _is_in_a_slow_file(item))


def _is_in_a_slow_file(item: pytest.Item) -> bool:
    module = item.getparent(pytest.Module)
    return module is not None and any(mark.name == "slow" for mark in module.own_markers)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all that was imported and collected again and again."""
    gc.collect()
    gc.freeze()


AFFINE = np.array([[-2.5, 0, 0, 10], [0, 2.5, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1.0]])

# The six axes that a tensor needs at least, and one volume without weighting.
AXES = np.array([[0, 0, 0], [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]) / np.sqrt(2)


@pytest.fixture(scope="session")
def new_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders for the tests, made without looking through those of all tests before, as `mktemp` does."""
    parent = tmp_path_factory.mktemp("caches")
    return (parent / str(number) for number in count())


@pytest.fixture(autouse=True)
def generated_files_stay_out_of_the_tree(new_folders: Iterator[Path], monkeypatch) -> Path:
    """Simulated data and derivatives of every test go to a folder of its own."""
    folder = next(new_folders)
    folder.mkdir()
    monkeypatch.setenv("DTIMUSCLE_CACHE", str(folder))
    return folder


@pytest.fixture
def series() -> DwiSeries:
    """Seven volumes of 4 × 3 × 2 voxels with whole-numbered signals, all different."""
    gradients = GradientTable(np.array([0.0, *[500.0] * 6]), AXES)
    signal = np.arange(4 * 3 * 2 * 7, dtype=np.float32).reshape(4, 3, 2, 7)
    return DwiSeries(signal, AFFINE, gradients)


@pytest.fixture
def labels() -> MuscleLabels:
    """Left and right gracilis, on the grid of `series`, with MuscleMap's codes."""
    values = np.zeros((4, 3, 2), dtype=np.int32)
    values[0], values[3] = 7151, 7152
    return MuscleLabels(values, AFFINE, {7151: ("gracilis", Side.LEFT), 7152: ("gracilis", Side.RIGHT)})


class DatasetFactory:
    """Writes small BIDS datasets: one series and one label image for each participant."""

    def __init__(self, root: Path, series: DwiSeries, labels: MuscleLabels) -> None:
        self.root, self.series, self.labels = root, series, labels

    def __call__(
        self,
        participants: tuple[str, ...] = ("sub-01", "sub-02"),
        *,
        grades: dict[str, Any] | None = None,
        is_simulated: bool = False,
    ) -> Path:
        """Write a dataset and return its folder; without grades there is no participants.tsv."""
        makers = [bids.simulation_maker({"seed": 1})] if is_simulated else []
        bids.write_description(self.root, "Few voxels", kind="raw", generated_by=makers)
        for participant in participants:
            bids.write_scan(self.root, participant, self.series, {"Manufacturer": "none"})
            bids.write_labels(bids.labels_folder(self.root), participant, self.labels)
        if grades is not None:
            table = pd.DataFrame({"participant_id": list(grades), "lovett_grade": list(grades.values())})
            bids.write_participants(self.root, table)
        return self.root


@pytest.fixture
def make_dataset(tmp_path: Path, series: DwiSeries, labels: MuscleLabels) -> DatasetFactory:
    """Return a function that writes a small BIDS dataset into the test's own folder."""
    return DatasetFactory(tmp_path / "dataset", series, labels)


# What the kit's own protocol becomes where a test needs a whole simulated cohort.
COARSE = {
    "name": "coarse",
    "voxel_mm": [6.25, 6.25, 10.0],
    "matrix": [64, 32, 4],
    "n_b0": 1,
    "n_directions": 7,
}


@pytest.fixture(scope="session")
def coarse_protocol(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a protocol like the kit's own with voxels so large that a patient is made in a moment."""
    protocol = yaml.safe_load((places.protocols_folder() / "thigh_3t.yaml").read_text(encoding="utf-8"))
    for name, value in COARSE.items():
        protocol[name] = {**protocol[name], "value": value} if isinstance(protocol[name], dict) else value
    path = tmp_path_factory.mktemp("protocol") / "coarse.yaml"
    path.write_text(yaml.safe_dump(protocol), encoding="utf-8")
    return str(path)


def _execute_here(notebook: str, parameters: dict[str, Any], run: Run, *, kernel: object = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # papermill's own, about jupyter_client
        from papermill.iorw import load_notebook_node, write_ipynb
        from papermill.parameterize import parameterize_notebook

        given = parameterize_notebook(load_notebook_node(str(notebook_path(notebook))), parameters)
        run.notebook_file(notebook).parent.mkdir(parents=True, exist_ok=True)
        write_ipynb(given, str(run.notebook_file(notebook)))
    variables: dict[str, Any] = {"display": display}  # a kernel offers it without an import
    for cell in given.cells:
        if cell.cell_type == "code":
            exec(cell.source, variables)


@pytest.fixture
def execute_here(monkeypatch) -> Callable[..., None]:
    """Return what executes a notebook in this process, without outputs; no study starts a kernel meanwhile.

    Most of what a small notebook costs is the start of its kernel, which has everything to import.
    """
    monkeypatch.setattr("dtimuscle.running.study.WarmKernel", lambda **_: nullcontext())
    return _execute_here
