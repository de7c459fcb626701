import pandas as pd
import pytest

from dtimuscle.errors import SettingsError, SimulationError
from dtimuscle.running import cohort
from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.settings import SimulationSettings
from dtimuscle.store.bids import read_dataset, read_truth
from dtimuscle.store.images import read_dwi


@pytest.fixture
def settings(coarse_protocol) -> SimulationSettings:
    return SimulationSettings(protocol=coarse_protocol, n_poor=1, n_good=2)


def content(root) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_cohort_is_a_dataset_with_grades_labels_and_truth(settings):
    dataset = read_dataset(simulate_cohort(settings, workers=1))
    assert dataset.is_simulated
    assert dataset.issues == ()
    assert len(dataset.scans) == 3
    assert all(scan.labels for scan in dataset.scans)
    assert (dataset.participants["lovett_grade"] < 4).sum() == 1
    truth = read_truth(dataset)
    assert set(truth["participant_id"]) == set(dataset.participants["participant_id"])
    assert truth["fa"].between(0, 1).all()


def test_a_cohort_is_made_once_and_found_again(settings, monkeypatch):
    root = simulate_cohort(settings, workers=1)
    monkeypatch.setattr(cohort, "_make", None)
    assert simulate_cohort(settings, workers=1) == root


def test_a_cohort_that_was_left_unfinished_is_made_anew(settings):
    root = simulate_cohort(settings, workers=1)
    whole = content(root)
    (root / "dataset_description.json").unlink()
    (root / "sub-002" / "dwi" / "sub-002_dwi.nii.gz").write_bytes(b"half")
    assert simulate_cohort(settings, workers=1) == root
    assert content(root) == whole


@pytest.mark.parametrize(("name", "value"), [("seed", 1), ("snr", 10.0), ("scenario", "null"), ("n_poor", 2)])
def test_other_settings_make_another_cohort(settings, name, value):
    other = settings.model_copy(update={name: value})
    assert simulate_cohort(other, workers=1) != simulate_cohort(settings, workers=1)


def test_scans_follow_the_protocol(settings):
    (scan, *_) = read_dataset(simulate_cohort(settings, workers=1)).scans
    series = read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=20.0)
    assert series.signal.shape == (64, 32, 4, 8)
    assert series.gradients.n_directions == 7


@pytest.mark.parametrize(("name", "value"), [("scenario", "publishd"), ("protocol", "thigh_7t")])
def test_an_unknown_name_is_told_with_those_that_there_are(settings, name, value):
    with pytest.raises(SettingsError, match=f"{value}.yaml: there is no such file. In {name}s/ there are: "):
        simulate_cohort(settings.model_copy(update={name: value}))


def test_the_simulation_tells_its_settings_in_the_description(settings):
    root = simulate_cohort(settings, workers=1)
    assert "seed=2024" in (root / "dataset_description.json").read_text(encoding="utf-8")


def test_a_patient_whose_process_died_is_named():
    patient = cohort._Patient("sub-007", pd.DataFrame())
    with pytest.raises(SimulationError, match=r"sub-007: .* try again with --workers 1"):
        cohort._lost(patient)
