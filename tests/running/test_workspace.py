"""What steps hand on in memory is what later steps would have read."""

from pathlib import Path

import numpy as np
import pytest

from dtimuscle.dwi import TensorMaps
from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.running.participants import process, process_scan
from dtimuscle.running.workspace import Workspace
from dtimuscle.settings import Study
from dtimuscle.store import derivatives, places
from dtimuscle.store.bids import Dataset, read_dataset
from dtimuscle.store.derivatives import STEPS, Derivatives, derivatives_of

# Lost slices give weights, blood and fat have maps of their own.
STUDY = Study().with_values(
    dropout_percent=4.0, perfusion_percent=5.0, fat_percent=10.0, fat_model="map", min_voxels=3, workers=1
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, coarse_protocol) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(places.CACHE_VARIABLE, str(tmp_path_factory.mktemp("cohort")))
        settings = STUDY.with_values(protocol=coarse_protocol, n_poor=1, n_good=0)
        return read_dataset(simulate_cohort(settings.simulation, workers=1))


def files_of(place: Derivatives) -> dict[Path, bytes]:
    """Contents of all files but the receipts, which hold times."""
    base = place.folders["tensor"].parent
    return {
        path.relative_to(base): path.read_bytes()
        for path in base.rglob("*")
        if path.is_file() and ".receipts" not in path.parts
    }


def test_steps_one_after_the_other_in_one_go_or_in_several_runs_leave_the_same_bytes(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv(places.CACHE_VARIABLE, str(tmp_path / "at once"))
    at_once = process(dataset, STUDY)
    assert at_once.failures == (), at_once.outcomes[0].traceback
    whole = files_of(at_once.derivatives)
    monkeypatch.setenv(places.CACHE_VARIABLE, str(tmp_path / "step by step"))
    for step in STEPS:
        processing = process(dataset, STUDY, upto=step)
        assert [outcome.computed for outcome in processing.outcomes] == [(step,)]
    assert any(path.name.endswith(derivatives.KEPT) for path in whole)
    assert files_of(processing.derivatives) == whole


def test_what_is_handed_on_is_what_would_be_read_to_the_last_bit_and_in_its_order(dataset):
    (scan,) = dataset.scans
    place = derivatives_of(dataset, STUDY)
    work = Workspace(scan, STUDY, place)
    work.take("preprocessed")
    work.take("tensor")
    again = Workspace(scan, STUDY, place)
    pairs = {
        "signal": (work.cleaned.series.signal, again.cleaned.series.signal),
        "affine": (work.cleaned.series.affine, again.cleaned.series.affine),
        "bvals": (work.cleaned.series.gradients.bvals, again.cleaned.series.gradients.bvals),
        "directions": (work.cleaned.series.gradients.directions, again.cleaned.series.gradients.directions),
        "mask": (work.cleaned.mask, again.cleaned.mask),
        "noise": (work.cleaned.noise_sd, again.cleaned.noise_sd),
        "weights": (work.cleaned.weights, again.cleaned.weights),
        "residual": (work.residual, again.residual),
    }
    fields = set(TensorMaps.__dataclass_fields__) - {"estimator", "residual"}
    pairs |= {name: (getattr(work.maps, name), getattr(again.maps, name)) for name in fields}
    for name, (handed_on, read) in pairs.items():
        np.testing.assert_array_equal(handed_on, read, err_msg=name, strict=True)
        assert handed_on.flags.f_contiguous == read.flags.f_contiguous, name
    assert work.maps.estimator == again.maps.estimator


def test_nothing_that_was_just_computed_is_read(dataset, monkeypatch):
    read = []
    for name in ("read_cleaned", "read_maps", "read_residual"):
        monkeypatch.setattr(derivatives, name, lambda *_, name=name, **__: read.append(name))
    monkeypatch.setattr("dtimuscle.running.workspace.images.read_dwi", count(read, "read_dwi"))
    (scan,) = dataset.scans
    outcome = process_scan(scan, study=STUDY, derivatives=derivatives_of(dataset, STUDY), upto="muscles")
    assert outcome.failure is None
    assert read == ["read_dwi"]


def count(calls: list[str], name: str):
    from dtimuscle.store.images import read_dwi

    def counted(*arguments, **settings):
        calls.append(name)
        return read_dwi(*arguments, **settings)

    return counted
