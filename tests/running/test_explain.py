import shutil

import nibabel as nib
import numpy as np
import pytest

from dtimuscle.imaging import kernels
from dtimuscle.running import explain, kept
from dtimuscle.running.explain import FOLLOWS, NEVER, NEVER_MADE, Plan, explain_study
from dtimuscle.running.participant_pages import plan_participant_pages
from dtimuscle.running.participants import process
from dtimuscle.settings import Study
from dtimuscle.store import bids, derivatives, places
from dtimuscle.store.bids import read_dataset
from dtimuscle.store.runs import Run

PLAIN = Study().with_values(
    denoise=False,
    unring=False,
    correct_motion=False,
    find_outliers=False,
    estimator="ols",
    erosion_mm=0.0,
    min_voxels=1,
    workers=1,
)
STEPS = ("Preprocessing", "Tensors", "Muscles")
SCANS = ("sub-01", "sub-02", "sub-03", "sub-04")


@pytest.fixture(autouse=True)
def all_kernels_are_there(monkeypatch):
    monkeypatch.setattr(kernels, "uncompiled_modules", list)


@pytest.fixture
def root(make_dataset):
    return make_dataset(SCANS, grades=dict.fromkeys(SCANS, 3))


@pytest.fixture
def study(root, tmp_path):
    return PLAIN.with_values(dataset=str(root))


@pytest.fixture
def made(study, root):
    """All steps of all scans, taken."""
    processing = process(read_dataset(root), study)
    assert processing.failures == ()
    return processing


def explained(study, tmp_path) -> dict[str, Plan]:
    return {plan.title: plan for plan in explain_study(study, folder=tmp_path / "run")}


def reasons(plans: dict[str, Plan]) -> dict[str, list[str]]:
    return {title: [str(reason) for reason in plans[title].reasons] for title in STEPS}


def counts(plans: dict[str, Plan]) -> list[tuple[int, int]]:
    return [(plans[title].n_found, plans[title].n_pending) for title in STEPS]


def test_at_first_everything_is_to_be_computed(study, tmp_path):
    plans = explained(study, tmp_path)
    assert counts(plans) == [(0, 4)] * 3
    assert reasons(plans) == {"Preprocessing": [NEVER], "Tensors": [FOLLOWS], "Muscles": [FOLLOWS]}
    assert [title for title in plans if title.startswith("Notebook")] == [
        f"Notebook {name}" for name in explain.NOTEBOOKS
    ]


def test_nothing_is_computed_or_written(study, tmp_path):
    explained(study, tmp_path)
    assert not places.derivatives_folder().exists()
    assert not (tmp_path / "run").exists()


def test_what_was_computed_is_found(made, study, tmp_path):
    plans = explained(study, tmp_path)
    assert counts(plans) == [(4, 0)] * 3
    assert reasons(plans) == {title: [] for title in STEPS}
    assert str(plans["Notebook 04_modelling"].reasons[0]) == "never made in this folder"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"erosion_mm": 1.5}, [[], [], ["erosion_mm 0.0 → 1.5"]]),
        ({"erosion_mm": 1.5, "min_voxels": 3}, [[], [], ["erosion_mm 0.0 → 1.5; min_voxels 1 → 3"]]),
        ({"estimator": "wls"}, [[], ["estimator ols → wls"], [FOLLOWS]]),
        ({"rician_coils": 2, "min_voxels": 3}, [["rician_coils 1 → 2"], [FOLLOWS], ["min_voxels 1 → 3"]]),
        ({"entry_p": 0.1, "workers": 2}, [[], [], []]),
    ],
)
def test_settings_that_changed_are_named_with_their_values(made, study, tmp_path, settings, expected):
    assert list(reasons(explained(study.with_values(**settings), tmp_path)).values()) == expected


def test_of_several_runs_the_nearest_is_compared(made, study, tmp_path, root):
    process(read_dataset(root), study.with_values(erosion_mm=2.0, min_voxels=5))
    plans = explained(study.with_values(erosion_mm=2.0, min_voxels=6), tmp_path)
    assert reasons(plans)["Muscles"] == ["min_voxels 5 → 6"]


def test_a_file_that_changed_is_named_with_its_scan(made, study, tmp_path):
    image = made.scans[1].image
    series = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(series.dataobj) + 1, series.affine), image)
    plans = explained(study, tmp_path)
    assert counts(plans) == [(3, 1)] * 3
    assert reasons(plans) == {
        "Preprocessing": ["sub-02: sub-02_dwi.nii.gz changed"],
        "Tensors": [f"sub-02: {FOLLOWS}"],
        "Muscles": [f"sub-02: {FOLLOWS}"],
    }


def test_labels_that_changed_and_fat_that_is_new_are_named_where_they_are_read(made, study, tmp_path, root):
    labels = made.scans[0].labels.parent / "sub-01_dseg.tsv"
    labels.write_text(labels.read_text(encoding="utf-8").replace("gracilis", "sartorius"), encoding="utf-8")
    scan = made.scans[3]
    affine = nib.load(scan.image).affine
    bids.write_fat_fraction(bids.fat_folder(root), scan.participant_id, np.zeros((4, 3, 2)), affine)
    found = reasons(explained(study, tmp_path))
    assert found["Preprocessing"] == []
    assert found["Tensors"] == ["sub-04: sub-04_param-fatfraction_dwimap.nii.gz is new"]
    assert found["Muscles"] == ["sub-01: sub-01_dseg.tsv changed", f"sub-04: {FOLLOWS}"]


def test_a_file_that_was_only_copied_anew_is_no_reason(made, study, tmp_path):
    image = made.scans[0].image
    image.write_bytes(image.read_bytes())
    assert counts(explained(study, tmp_path)) == [(4, 0)] * 3


def test_many_names_are_counted(made, study, tmp_path):
    for scan in made.scans:
        shutil.rmtree(made.derivatives.folders["tensor"] / scan.participant_id)
    (reason,) = explained(study, tmp_path)["Tensors"].reasons[:1]
    assert reason.names == ("sub-01",)
    assert str(explain.Reason("x", SCANS)) == "4 scans: x"
    assert str(explain.Reason("x", SCANS[:2])) == "sub-01, sub-02: x"


def test_damage_is_made_good_and_nothing_follows_from_it(made, study, tmp_path):
    folder = made.derivatives.folders["tensor"] / "sub-03" / "dwi"
    path = folder / "sub-03_desc-quality.json"
    path.write_bytes(path.read_bytes()[:-3])
    found = reasons(explained(study, tmp_path))
    assert found["Tensors"] == ["sub-03: sub-03_desc-quality.json: gone or damaged"]
    assert found["Muscles"] == []


def test_a_step_that_the_kit_computes_otherwise_is_told(made, study, tmp_path, monkeypatch):
    monkeypatch.setitem(derivatives.STEP_VERSIONS, "tensor", 99)
    found = reasons(explained(study, tmp_path))
    assert found["Preprocessing"] == []
    assert len(found["Tensors"]) == 1
    assert "another way" in found["Tensors"][0]
    assert "→ 99" in found["Tensors"][0]
    assert found["Muscles"] == [FOLLOWS]


def test_a_file_that_cannot_be_read_is_named(made, study, tmp_path):
    image = made.scans[0].image
    image.unlink()
    image.symlink_to(image.with_name("nowhere.nii.gz"))
    assert reasons(explained(study, tmp_path))["Preprocessing"] == [f"sub-01: {image} cannot be read"]


def test_a_cohort_that_is_not_there_is_not_made(coarse_protocol, tmp_path):
    study = PLAIN.with_values(protocol=coarse_protocol, n_poor=2, n_good=3, n_sessions=2, second_reader_mm=1.0)
    plans = explained(study, tmp_path)
    assert (plans["Simulated cohort"].n_pending, str(plans["Simulated cohort"].reasons[0])) == (10, NEVER_MADE)
    assert [plan.n_pending for title, plan in plans.items() if title in STEPS] == [10] * 3
    assert {"Second reader's labels", "Muscles, second reader"} <= set(plans)
    assert not places.simulated_folder().exists()


def test_a_second_reader_has_muscles_of_its_own(made, study, tmp_path, root):
    labels = tmp_path / "second"
    shutil.copytree(bids.labels_folder(root), labels)
    shutil.rmtree(labels / "sub-04")
    plans = explained(study.with_values(second_labels=str(labels)), tmp_path)
    assert counts(plans) == [(4, 0)] * 3
    second = plans["Muscles, second reader"]
    assert (second.n_found, second.n_pending, [str(reason) for reason in second.reasons]) == (0, 3, [NEVER])


def test_notebooks_wait_for_participants_and_say_so(made, study, tmp_path, monkeypatch):
    parts = [explain.Part("01_preprocessing", {}, ("the participants changed",)), explain.Part("x", {}, ("settings",))]
    monkeypatch.setattr(kept, "plan_notebooks", lambda *_: parts)
    plans = explained(study.with_values(min_voxels=2), tmp_path)
    assert str(plans["Notebook 01_preprocessing"].reasons[0]) == explain.PERHAPS
    assert str(plans["Notebook x"].reasons[0]) == "settings"


def test_pages_of_participants_are_told_unless_nobody_wants_them(made, study, tmp_path):
    told = explained(study, tmp_path)[explain.PAGES]
    assert (told.n_found, told.n_pending) == (0, 4)
    assert [str(reason) for reason in told.reasons] == ["never made in this folder"]
    run = Run((tmp_path / "run").resolve())
    part = plan_participant_pages(run, study, made)
    run.write_receipt(part.name, part.basis, [], seconds=1)
    assert explained(study, tmp_path)[explain.PAGES] == Plan(explain.PAGES, 4, 0)
    assert explain.PAGES not in explained(study.with_values(participant_pages=False), tmp_path)


def test_missing_kernels_are_told_when_something_needs_them(made, study, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "uncompiled_modules", lambda: list(kernels.MODULES[:1]))
    assert "Modules with kernels" not in explained(study, tmp_path)
    assert explained(study.with_values(min_voxels=2), tmp_path)["Modules with kernels"].n_pending == 1
