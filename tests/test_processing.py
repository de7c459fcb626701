"""Two simulated patients from scan to muscle values: what is computed, what is found, what a single notebook does."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from dtimuscle.errors import NotebookError, SettingsError
from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.notebooks import execute, notebook_path
from dtimuscle.running.participants import process
from dtimuscle.settings import Study
from dtimuscle.store import places
from dtimuscle.store.runs import Run

pytestmark = pytest.mark.slow


@dataclass
class Made:
    cache: Path
    study: Study


@pytest.fixture(scope="module")
def made(tmp_path_factory, coarse_protocol) -> Made:
    """Simulate and process two patients in a single process."""
    cache = tmp_path_factory.mktemp("cache")
    study = Study().with_values(protocol=coarse_protocol, n_poor=1, n_good=1, erosion_mm=0.0, min_voxels=3, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(places.CACHE_VARIABLE, str(cache))
        assert process(open_dataset(study), study).failures == ()
    return Made(cache, study)


@pytest.fixture
def cache(made, monkeypatch) -> Path:
    """Use what has been computed instead of an empty folder."""
    monkeypatch.setenv(places.CACHE_VARIABLE, str(made.cache))
    return made.cache


def values_of(cache: Path) -> tuple[int, bytes]:
    """Return how many patients a cache holds, and the table of their muscle values."""
    (table,) = cache.glob("derivatives/*/muscles-*/roi.tsv")
    return len(list(cache.glob("simulated/*/sub-*"))), table.read_bytes()


def alone(notebook: str, parameters: dict, folder: Path) -> None:
    """Run a notebook by papermill, without the kit's runner."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from papermill import execute_notebook

        execute_notebook(
            notebook_path(notebook),
            folder / "out.ipynb",
            {**parameters, "run_folder": str(folder)},
            cwd=notebook_path("").parent,
            kernel_name="python3",
            progress_bar=False,
        )


# First, before other tests have added muscle values of other settings.
def test_the_same_values_come_from_any_number_of_workers(made, tmp_path, monkeypatch):
    monkeypatch.setenv(places.CACHE_VARIABLE, str(tmp_path))
    study = made.study.with_values(workers=2)
    process(open_dataset(study), study)
    assert values_of(tmp_path) == values_of(made.cache)
    assert values_of(tmp_path)[0] == 2


@pytest.mark.parametrize(
    ("settings", "again"), [({"erosion_mm": 6.25}, ("muscles",)), ({"estimator": "ols"}, ("tensor", "muscles"))]
)
def test_a_changed_setting_makes_again_what_reads_it(made, cache, settings, again):
    study = made.study.with_values(**settings)
    outcomes = process(open_dataset(study), study).outcomes
    assert {outcome.computed for outcome in outcomes} == {again}


def test_papermill_alone_runs_a_notebook_with_its_own_settings(made, cache, tmp_path):
    Run(tmp_path).write_study(made.study)
    alone("02_tensor_fitting", {"estimator": "nlls"}, tmp_path)
    assert Run(tmp_path).read_study() == made.study.with_values(estimator="nlls", workers=0)
    quality = pd.read_csv(tmp_path / "tables" / "fit_quality.csv")
    assert set(quality["estimator"]) == {"nlls"}
    assert len(list(cache.glob("derivatives/*/tensor-*"))) >= 2


def test_an_identifier_that_became_a_number_is_refused_with_the_remedy(made, cache, tmp_path, execute_here):
    Run(tmp_path).write_study(made.study)
    with pytest.raises(SettingsError, match="-r participant 001"):
        execute_here("02_tensor_fitting", {"participant": 1, "run_folder": str(tmp_path)}, Run(tmp_path))


def test_the_runner_refuses_a_number_as_identifier_before_the_kernel_starts(tmp_path):
    with pytest.raises(NotebookError, match="Identifiers are text: put them in quotes"):
        execute("02_tensor_fitting", {"participant": 1}, Run(tmp_path))
    assert not list(tmp_path.iterdir())
