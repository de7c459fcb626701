"""Pages of participants out of several processes and out of a kernel are those of one process."""

import json
import re
import warnings

import pytest

from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.notebooks import SocketKernelManager, notebook_path
from dtimuscle.running.participant_pages import NOTEBOOK, write_participant_pages
from dtimuscle.running.participants import Processing, process
from dtimuscle.running.pool import Silent
from dtimuscle.settings import Study
from dtimuscle.store.runs import Run

pytestmark = pytest.mark.slow

GRADES = {"sub-01": 3, "sub-02": 5}


@pytest.fixture
def study(make_dataset) -> Study:
    return Study().with_values(
        dataset=str(make_dataset(tuple(GRADES), grades=GRADES)),
        denoise=False,
        unring=False,
        correct_motion=False,
        find_outliers=False,
        estimator="ols",
        directions_of="unknown",
        erosion_mm=0.0,
        min_voxels=1,
        workers=1,
    )


@pytest.fixture
def run(study, tmp_path) -> Run:
    run = Run(tmp_path / "run")
    run.write_study(study)
    return run


@pytest.fixture
def processing(study) -> Processing:
    return process(open_dataset(study), study)


def read(run: Run, name: str) -> str:
    """Read a page without the time at which it was written."""
    html = (run.folder / run.participant_page(name)).read_text(encoding="utf-8")
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", html)


def test_two_processes_write_the_same_pages(run, study, processing):
    write_participant_pages(run, study, processing, progress=Silent())
    alone = {name: read(run, name) for name in GRADES}
    several = study.with_values(workers=2)
    run.forget_participant_pages()
    written = write_participant_pages(run, several, processing, progress=Silent())
    assert (written.failures, written.is_kept) == ((), False)
    assert {name: read(run, name) for name in GRADES} == alone


def test_papermill_runs_the_notebook_to_the_same_page(run, study, processing, tmp_path):
    write_participant_pages(run, study, processing, progress=Silent())
    together = read(run, "sub-02")
    (run.folder / run.participant_page("sub-02")).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from papermill import execute_notebook

        executed = execute_notebook(
            notebook_path(NOTEBOOK),
            tmp_path / "out.ipynb",
            {"participant": "02", "run_folder": str(run.folder)},
            kernel_name="python3",
            progress_bar=False,
            kernel_manager_class=SocketKernelManager,
        )
    assert read(run, "sub-02") == together
    assert "Written:" in json.dumps(executed.cells[-1].outputs)
