import json
import shutil

import numpy as np
import pandas as pd
import pytest

from dtimuscle.dwi import TensorMaps
from dtimuscle.errors import DatasetError, ParticipantsError
from dtimuscle.issues import Severity
from dtimuscle.store import bids, files
from dtimuscle.store.images import read_dwi, read_image


def found(dataset) -> list[tuple[str, str]]:
    return [(issue.where, issue.what) for issue in dataset.issues]


# What is there


def test_a_complete_dataset_has_no_issues(make_dataset):
    root = make_dataset(("sub-01", "sub-02"), grades={"sub-01": 3, "sub-02": 5})
    dataset = bids.read_dataset(root)
    assert dataset.issues == ()
    assert [scan.participant_id for scan in dataset.scans] == ["sub-01", "sub-02"]
    assert dataset.participants["lovett_grade"].tolist() == [3, 5]
    assert dataset.name == "Few voxels"
    scan = dataset.scans[0]
    assert [path.name for path in scan.inputs] == ["sub-01_dwi.nii.gz", "sub-01_dwi.bval", "sub-01_dwi.bvec"]
    assert scan.labels == root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.nii.gz"
    assert (scan.session, scan.name) == ("", "sub-01")


def test_a_simulated_dataset_is_known_by_its_maker(tmp_path, make_dataset):
    assert bids.read_dataset(make_dataset(is_simulated=True)).is_simulated
    assert not bids.read_dataset(make_dataset(is_simulated=False)).is_simulated


@pytest.mark.parametrize("makers", [None, "dtimuscle simulation", [{"Name": "dcm2niix"}], ["x"], [{}]])
def test_other_makers_do_not_make_a_dataset_simulated(makers):
    assert not bids.is_simulated({"GeneratedBy": makers})


def test_identifiers_stay_text(make_dataset):
    dataset = bids.read_dataset(make_dataset(("sub-001", "sub-010"), grades={"sub-010": 4, "sub-001": 2}))
    assert dataset.participants["participant_id"].tolist() == ["sub-010", "sub-001"]


def test_sessions_are_scans_of_their_own(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    labels = bids.labels_folder(root)
    for base, suffix in ((root, "dwi"), (labels, "dseg")):
        for session in ("ses-1", "ses-2"):
            folder = base / "sub-01" / session / "dwi"
            shutil.copytree(base / "sub-01" / "dwi", folder)
            for path in folder.iterdir():
                path.rename(folder / path.name.replace(f"_{suffix}", f"_{session}_{suffix}"))
        shutil.rmtree(base / "sub-01" / "dwi")
    dataset = bids.read_dataset(root)
    assert dataset.issues == ()
    assert [scan.name for scan in dataset.scans] == ["sub-01_ses-1", "sub-01_ses-2"]
    assert [scan.labels.name for scan in dataset.scans] == ["sub-01_ses-1_dseg.nii.gz", "sub-01_ses-2_dseg.nii.gz"]
    assert len(dataset.participants) == 1


# Inheritance


def test_gradients_at_the_root_serve_everybody(make_dataset):
    root = make_dataset(("sub-01", "sub-02"), grades={"sub-01": 3, "sub-02": 5})
    for suffix in (".bval", ".bvec"):
        (root / "sub-02" / "dwi" / f"sub-02_dwi{suffix}").unlink()
        (root / "sub-01" / "dwi" / f"sub-01_dwi{suffix}").rename(root / f"dwi{suffix}")
    dataset = bids.read_dataset(root)
    assert dataset.issues == ()
    assert {scan.bval for scan in dataset.scans} == {root / "dwi.bval"}


def test_the_nearest_gradients_win(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    shutil.copy(root / "sub-01" / "dwi" / "sub-01_dwi.bval", root / "dwi.bval")
    assert bids.read_dataset(root).scans[0].bval.parent == root / "sub-01" / "dwi"


def test_gradients_of_another_acquisition_are_not_inherited(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    (root / "sub-01" / "dwi" / "sub-01_dwi.bval").rename(root / "acq-ivim_dwi.bval")
    dataset = bids.read_dataset(root)
    assert dataset.scans == ()
    assert dataset.issues[0].severity is Severity.ERROR


# What is missing


def test_a_missing_bval_is_an_error_of_that_participant_only(make_dataset):
    root = make_dataset(("sub-01", "sub-02"), grades={"sub-01": 3, "sub-02": 5})
    (root / "sub-01" / "dwi" / "sub-01_dwi.bval").unlink()
    dataset = bids.read_dataset(root)
    assert [scan.name for scan in dataset.scans] == ["sub-02"]
    (issue,) = dataset.issues
    assert (issue.severity, issue.where) == (Severity.ERROR, "sub-01")
    assert issue.what.endswith("sub-01_dwi.nii.gz has no .bval.")
    assert "sub-01_dwi.bval" in issue.remedy


def test_both_missing_gradient_files_are_named(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    for suffix in (".bval", ".bvec"):
        (root / "sub-01" / "dwi" / f"sub-01_dwi{suffix}").unlink()
    assert bids.read_dataset(root).issues[0].what.endswith("has no .bval and no .bvec.")


def test_a_folder_without_series_is_an_error(make_dataset):
    root = make_dataset(("sub-01", "sub-02"), grades={"sub-01": 3, "sub-02": 5})
    (root / "sub-01" / "dwi" / "sub-01_dwi.nii.gz").unlink()
    ((where, what),) = found(bids.read_dataset(root))
    assert where == "sub-01"
    assert what.endswith("holds no *_dwi.nii.gz.")


def test_of_two_series_the_first_is_used_and_said_so(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    folder = root / "sub-01" / "dwi"
    shutil.copy(folder / "sub-01_dwi.nii.gz", folder / "sub-01_acq-b_dwi.nii.gz")
    dataset = bids.read_dataset(root)
    assert dataset.scans[0].image.name == "sub-01_acq-b_dwi.nii.gz"
    assert found(dataset) == [("sub-01", "has 2 diffusion series; sub-01_acq-b_dwi.nii.gz is used.")]


@pytest.mark.parametrize("name", ["._sub-01_dwi.nii.gz", ".writing-x1-sub-01_dwi.nii.gz", "sub-01_dwi.nii.gz.part"])
def test_what_other_programs_leave_behind_is_no_series(make_dataset, name):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    (root / "sub-01" / "dwi" / name).write_bytes(b"")
    (bids.labels_folder(root) / "sub-01" / "dwi" / name.replace("dwi", "dseg")).write_bytes(b"")
    dataset = bids.read_dataset(root)
    assert dataset.issues == ()
    assert dataset.scans[0].image.name == "sub-01_dwi.nii.gz"
    assert dataset.scans[0].labels.name == "sub-01_dseg.nii.gz"


def test_without_labels_there_is_a_scan_and_a_warning(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    shutil.rmtree(bids.labels_folder(root))
    dataset = bids.read_dataset(root)
    assert dataset.scans[0].labels is None
    ((where, what),) = found(dataset)
    assert where == "sub-01"
    assert "has no muscle labels under" in what


def test_label_images_that_are_passed_over_are_named(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    folder = bids.labels_folder(root) / "sub-01" / "dwi"
    shutil.copy(folder / "sub-01_dseg.nii.gz", folder / "sub-01_desc-reader2_dseg.nii.gz")
    dataset = bids.read_dataset(root)
    ((where, what),) = found(dataset)
    assert (where, what) == (
        "sub-01",
        "has 2 label images; sub-01_dseg.nii.gz is used, sub-01_desc-reader2_dseg.nii.gz not.",
    )
    for path in folder.glob("*_dseg.nii.gz"):
        path.rename(folder / f"sub-01_hemi-{'L' if 'desc' in path.name else 'R'}_dseg.nii.gz")
    assert bids.read_dataset(root).issues == ()


def test_masks_of_single_muscles_are_labels_where_there_are_no_others(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    folder = bids.labels_folder(root) / "sub-01" / "dwi"
    for muscle in ("sartorius", "gracilis"):
        shutil.copy(folder / "sub-01_dseg.nii.gz", folder / f"sub-01_label-{muscle}_mask.nii.gz")
    assert bids.read_dataset(root).scans[0].labels.name == "sub-01_dseg.nii.gz"
    (folder / "sub-01_dseg.nii.gz").unlink()
    dataset = bids.read_dataset(root)
    assert (dataset.scans[0].labels.name, dataset.issues) == ("sub-01_label-gracilis_mask.nii.gz", ())


def test_labels_may_lie_elsewhere(make_dataset, tmp_path):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    elsewhere = tmp_path / "labels"
    bids.labels_folder(root).rename(elsewhere)
    dataset = bids.read_dataset(root, elsewhere)
    assert dataset.issues == ()
    assert dataset.scans[0].labels.is_relative_to(elsewhere)


def test_maps_of_fat_are_found_beside_the_labels_or_where_they_are_said_to_be(make_dataset, tmp_path):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    assert bids.read_dataset(root).scans[0].fat_fraction is None
    elsewhere = tmp_path / "fat"
    for folder in (bids.fat_folder(root), elsewhere):
        bids.write_fat_fraction(folder, "sub-01", np.zeros((2, 2, 2)), np.eye(4))
    assert bids.read_dataset(root).scans[0].fat_fraction.is_relative_to(root)
    (elsewhere / "sub-01" / "dwi" / "sub-01_param-fatfraction_dwimap.nii.gz").rename(elsewhere / "sub-01_PDFF.nii.gz")
    dataset = bids.read_dataset(root, fat_fraction=elsewhere)
    assert dataset.scans[0].fat_fraction is None
    ((where, what),) = found(dataset)
    assert (where, what) == ("sub-01", f"has no fat-fraction map under {elsewhere}.")
    (elsewhere / "sub-01_PDFF.nii.gz").rename(elsewhere / "sub-01" / "dwi" / "sub-01_PDFF.nii.gz")
    dataset = bids.read_dataset(root, fat_fraction=elsewhere)
    assert dataset.scans[0].fat_fraction.name == "sub-01_PDFF.nii.gz"
    assert dataset.issues == ()


def test_a_folder_of_fat_that_is_not_there_is_named(make_dataset, tmp_path):
    with pytest.raises(DatasetError, match="nothing: there is no such folder"):
        bids.read_dataset(make_dataset(("sub-01",)), fat_fraction=tmp_path / "nothing")


# Who is there


def test_without_a_table_of_participants_nobody_has_a_grade(make_dataset):
    dataset = bids.read_dataset(make_dataset(("sub-01", "sub-02")))
    assert dataset.participants["participant_id"].tolist() == ["sub-01", "sub-02"]
    assert dataset.participants["lovett_grade"].isna().all()
    assert found(dataset) == [("participants.tsv", "is missing, so nobody's Lovett grade is known.")]


def test_participants_are_described_even_when_no_scan_is_complete(make_dataset):
    root = make_dataset(("sub-01",))
    (root / "sub-01" / "dwi" / "sub-01_dwi.bval").unlink()
    assert "lovett_grade" in bids.read_dataset(root).participants.columns


def test_a_scan_without_a_row_gets_one_without_grade(make_dataset):
    dataset = bids.read_dataset(make_dataset(("sub-01", "sub-02"), grades={"sub-01": 3}))
    assert found(dataset) == [("sub-02", "was scanned but does not stand in participants.tsv.")]
    assert dataset.participants["participant_id"].tolist() == ["sub-01", "sub-02"]
    assert dataset.participants["lovett_grade"].isna().tolist() == [False, True]


@pytest.mark.parametrize("has_other_scans", [False, True])
def test_a_row_without_a_scan_is_said(make_dataset, has_other_scans):
    root = make_dataset(("sub-01",), grades={"sub-01": 3, "sub-02": 4})
    if has_other_scans:
        (root / "sub-02" / "anat").mkdir(parents=True)
    dataset = bids.read_dataset(root)
    assert found(dataset) == [("sub-02", "stands in participants.tsv but has no diffusion series.")]
    assert len(dataset.participants) == 2


def test_a_participant_whose_series_is_incomplete_has_one_issue(make_dataset):
    root = make_dataset(("sub-01", "sub-02"), grades={"sub-01": 3, "sub-02": 4})
    (root / "sub-02" / "dwi" / "sub-02_dwi.bvec").unlink()
    assert [issue.where for issue in bids.read_dataset(root).issues] == ["sub-02"]


def test_a_wrong_grade_is_refused_with_the_file(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 7})
    with pytest.raises(ParticipantsError) as caught:
        bids.read_dataset(root)
    assert str(caught.value).startswith(f"{root / 'participants.tsv'}: sub-01 has Lovett grade '7'")


# What is no dataset


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere: there is no such folder"):
        bids.read_dataset(tmp_path / "nowhere")


def test_a_labels_folder_that_is_not_there_is_named(make_dataset, tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere: there is no such folder.*muscle labels"):
        bids.read_dataset(make_dataset(), tmp_path / "nowhere")


def test_a_folder_without_description_is_no_dataset_and_learns_the_shortest(make_dataset):
    root = make_dataset()
    (root / "dataset_description.json").unlink()
    with pytest.raises(DatasetError) as caught:
        bids.read_dataset(root)
    shortest = str(caught.value).partition("the shortest is ")[2].rstrip(".")
    (root / "dataset_description.json").write_text(shortest)
    assert bids.read_dataset(root).name == json.loads(shortest)["Name"]


def test_a_description_that_is_no_mapping_is_refused(make_dataset):
    root = make_dataset()
    (root / "dataset_description.json").write_text("[]")
    with pytest.raises(DatasetError, match="must hold names and values"):
        bids.read_dataset(root)


@pytest.mark.parametrize("grades", [None, {"sub-01": 3}])
def test_a_dataset_without_any_series_is_refused(make_dataset, grades):
    root = make_dataset((), grades=grades)
    with pytest.raises(DatasetError, match="holds no diffusion series"):
        bids.read_dataset(root)


# What is written


def test_a_written_scan_is_read_back(make_dataset, series):
    scan = bids.read_dataset(make_dataset(("sub-01",))).scans[0]
    again = read_dwi(*scan.inputs, b0_threshold=20.0)
    np.testing.assert_array_equal(again.signal, series.signal)
    np.testing.assert_allclose(again.gradients.directions, series.gradients.directions, atol=1e-9)
    np.testing.assert_array_equal(again.affine, series.affine)


def test_only_columns_that_are_there_are_described(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    assert list(files.read_json(root / "participants.json")) == ["lovett_grade"]


def test_the_truth_of_a_simulated_dataset_is_read_back_exactly(make_dataset):
    root = make_dataset(("sub-01",), is_simulated=True)
    truth = pd.DataFrame(
        {"participant_id": ["sub-01"], "muscle": ["gracilis"], "side": ["left"], "fa": [1 / 3], "md": [1.7e-3 / 3]}
    )
    bids.write_truth_table(root, truth.assign(more=1))
    pd.testing.assert_frame_equal(bids.read_truth(bids.read_dataset(root)), truth, check_exact=True, check_dtype=False)


def test_measured_data_have_no_truth(make_dataset):
    root = make_dataset(("sub-01",))
    files.write_text(bids.truth_folder(root) / "truth.tsv", "participant_id\tmuscle\tside\tfa\tmd\na\tb\tc\t1\t2\n")
    truth = bids.read_truth(bids.read_dataset(root))
    assert truth.empty
    assert tuple(truth.columns) == bids.TRUTH_COLUMNS


def test_the_maps_of_the_truth_are_written_under_their_bids_names(tmp_path, series):
    fa, md = np.full(series.shape, 0.25), np.full(series.shape, 1.5e-3)
    other, mask = np.zeros(series.shape), np.ones(series.shape, bool)
    maps = TensorMaps(fa, md, other, other, np.zeros((*series.shape, 3)), other, mask, mask, series.affine, "ols")
    bids.write_truth(tmp_path, "sub-01", maps)
    written = sorted(path.name for path in (tmp_path / "sub-01" / "dwi").iterdir())
    assert written == [f"sub-01_model-tensor_param-{name}_dwimap.nii.gz" for name in ("direction", "fa", "md")]
    data, _ = read_image(tmp_path / "sub-01" / "dwi" / written[2])
    np.testing.assert_array_equal(data, np.float32(1.5e-3))


def test_the_readme_says_that_nobody_was_scanned(tmp_path):
    bids.write_readme(tmp_path)
    assert "Simulated data, not patients" in (tmp_path / "README.md").read_text()


def test_datasets_of_one_name_in_two_folders_have_different_keys(tmp_path):
    keys = {bids.dataset_key(tmp_path / folder / "my scans") for folder in ("a", "b")}
    assert len(keys) == 2
    assert all(key.startswith("my-scans-") for key in keys)
    assert bids.dataset_key(tmp_path / "a" / ".." / "a" / "my scans") in keys
