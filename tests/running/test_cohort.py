import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import SettingsError, SimulationError
from dtimuscle.running import cohort
from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.settings import SimulationSettings
from dtimuscle.simulation.anatomy import MUSCLES
from dtimuscle.simulation.effects import ScanEffects, Wasting
from dtimuscle.store.bids import labels_folder, read_dataset, read_truth, truth_folder
from dtimuscle.store.files import read_json, read_tsv
from dtimuscle.store.images import read_dwi, read_image


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


def test_the_truth_of_each_scan_lies_beside_it(settings):
    settings = settings.model_copy(update={"dropout_percent": 10.0, "fat_percent": 5.0})
    dataset = read_dataset(simulate_cohort(settings, workers=1))
    folder = truth_folder(dataset.root) / "sub-001" / "dwi"
    maps = [f"model-tensor_param-{name}_dwimap.nii.gz" for name in ("direction", "fa", "md")]
    tables = ["desc-dropped_truth.tsv", "desc-noise_truth.json", "desc-volumes_truth.tsv"]
    assert sorted(path.name for path in folder.iterdir()) == [f"sub-001_{name}" for name in (*tables, *maps)]
    assert read_image(dataset.scans[0].image)[0].min() >= 0
    volumes = read_tsv(folder / "sub-001_desc-volumes_truth.tsv")
    assert list(volumes.columns) == ["volume", *(f"m{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3, 4))]
    assert len(volumes) == 8
    dropped = read_tsv(folder / "sub-001_desc-dropped_truth.tsv")
    assert len(dropped) == round(0.1 * 7 * 4)
    noise = read_json(folder / "sub-001_desc-noise_truth.json")
    assert noise == {"noise_sd": 1000 / settings.snr}
    fat, _ = read_image(dataset.scans[0].fat_fraction)
    share = np.unique(fat[fat < 1])
    assert share[0] == 0
    assert ((share[1:] > 0.02) & (share[1:] < 0.08)).all()
    # One share for each muscle, alike on both sides.
    assert len(share) == 1 + len(MUSCLES)


def test_patients_with_poor_function_have_smaller_muscles_with_more_fat(settings):
    settings = settings.model_copy(update={"atrophy_percent": 10.0, "infiltration_percent": 5.0})
    dataset = read_dataset(simulate_cohort(settings, workers=1))
    whole = read_dataset(simulate_cohort(settings.model_copy(update={"atrophy_percent": 0.0}), workers=1))
    table = read_tsv(truth_folder(dataset.root) / "truth.tsv").astype({"fat_fraction": float})
    grades = dataset.participants.set_index("participant_id")["lovett_grade"]
    for scan, healthy in zip(dataset.scans, whole.scans, strict=True):
        grade = grades[scan.participant_id]
        voxels, before = ((read_image(path)[0] > 0).sum() for path in (scan.labels, healthy.labels))
        assert voxels / before == pytest.approx(0.9 ** (5 - grade), abs=0.06)
        fat = table.loc[table["participant_id"] == scan.participant_id, "fat_fraction"]
        assert fat.mean() == pytest.approx(0.05 * (5 - grade), rel=0.25)


def test_a_further_session_scans_the_same_patient_in_another_position(settings):
    settings = settings.model_copy(update={"n_sessions": 2, "n_poor": 0, "n_good": 1})
    dataset = read_dataset(simulate_cohort(settings, workers=1))
    first, second = dataset.scans
    assert (first.name, second.name) == ("sub-001_ses-1", "sub-001_ses-2")
    assert first.image.name == "sub-001_ses-1_dwi.nii.gz"
    assert first.labels.parent == labels_folder(dataset.root) / "sub-001" / "ses-1" / "dwi"
    before, after = (read_image(scan.labels)[0] for scan in (first, second))
    assert 0.01 < np.mean(before != after) < 0.4
    folders = [truth_folder(dataset.root) / "sub-001" / session / "dwi" for session in ("ses-1", "ses-2")]
    values = [
        read_image(folder / f"sub-001_{folder.parent.name}_model-tensor_param-md_dwimap.nii.gz")[0]
        for folder in folders
    ]
    # The same tensors, wherever they lie now.
    for code in np.unique(before)[1:]:
        assert set(np.unique(values[0][before == code])) == set(np.unique(values[1][after == code]))


def test_one_session_is_the_first_of_two(settings):
    settings = settings.model_copy(update={"n_poor": 0, "n_good": 1})
    (alone,) = read_dataset(simulate_cohort(settings, workers=1)).scans
    first, _ = read_dataset(simulate_cohort(settings.model_copy(update={"n_sessions": 2}), workers=1)).scans
    assert alone.image.read_bytes() == first.image.read_bytes()


def test_every_effect_has_a_setting_of_its_name_and_default():
    settings = SimulationSettings()
    assert cohort.scan_effects(settings) == ScanEffects()
    assert cohort._wasting(settings) == Wasting()


def test_a_patient_whose_process_died_is_named():
    patient = cohort._Patient("sub-007", pd.DataFrame(), 4)
    with pytest.raises(SimulationError, match=r"sub-007: .* try again with --workers 1"):
        cohort._lost(patient)
