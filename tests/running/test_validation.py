import shutil

import nibabel as nib
import numpy as np
import pytest

from dtimuscle.issues import Severity
from dtimuscle.running.validation import Validation, validate_dataset
from dtimuscle.settings import Study
from dtimuscle.store.bids import read_dataset
from dtimuscle.store.registry import read_registry


def validate(root) -> Validation:
    return validate_dataset(read_dataset(root), read_registry(), Study())


def errors(validation: Validation) -> list[str]:
    return [str(issue) for issue in validation.issues if issue.severity is Severity.ERROR]


def test_a_whole_dataset_is_described(make_dataset):
    validation = validate(make_dataset(grades={"sub-01": 3, "sub-02": 5}))
    assert validation.issues == ()
    assert validation.n_failed == 0
    first, second = validation.scans
    assert (first.name, second.name) == ("sub-01", "sub-02")
    assert first.grid == "4 × 3 × 2 of 2.5 × 2.5 × 5 mm"
    assert first.gradients == "1 × b = 0, 6 × b ≈ 500 s/mm² in 6 directions"
    assert first.muscles == 2


def test_groups_are_counted_with_those_whose_grade_is_unknown(make_dataset):
    validation = validate(make_dataset(("sub-01", "sub-02", "sub-03"), grades={"sub-01": 3, "sub-02": 5}))
    assert validation.groups(4) == "1 poor, 1 good muscle function, 1 without a grade"
    assert validation.groups(3) == "0 poor, 2 good muscle function, 1 without a grade"


def test_labels_that_are_missing_are_a_warning_only(make_dataset):
    root = make_dataset(grades={"sub-01": 3, "sub-02": 5})
    shutil.rmtree(root / "derivatives" / "labels" / "sub-02")
    validation = validate(root)
    assert validation.n_failed == 0
    assert [scan.muscles for scan in validation.scans] == [2, 0]
    (issue,) = validation.issues
    assert issue.where == "sub-02"
    assert "no muscle labels" in issue.what


def test_fewer_than_six_directions_cannot_carry_a_tensor(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    bvec = root / "sub-01" / "dwi" / "sub-01_dwi.bvec"
    rows = np.loadtxt(bvec)
    np.savetxt(bvec, np.c_[rows[:, 0], np.repeat(rows[:, [1]], 6, axis=1)])
    (error,) = errors(validate(root))
    assert "directions" in error
    assert "sub-01" in error


def test_directions_on_a_cone_cannot_carry_a_tensor(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    angles = np.arange(6) * 2 * np.pi / 6 + 0.2
    cone = np.stack([0.6 * np.cos(angles), 0.6 * np.sin(angles), np.full(6, 0.8)])
    np.savetxt(root / "sub-01" / "dwi" / "sub-01_dwi.bvec", np.c_[np.zeros(3), cone])
    (error,) = errors(validate(root))
    assert "undetermined" in error


def test_shells_that_the_tensor_leaves_out_are_named(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    folder = root / "sub-01" / "dwi"
    image = nib.load(folder / "sub-01_dwi.nii.gz")
    twice = np.concatenate([np.asarray(image.dataobj)] * 2, axis=3)
    nib.save(nib.Nifti1Image(twice, image.affine), folder / "sub-01_dwi.nii.gz")
    bvec = np.loadtxt(folder / "sub-01_dwi.bvec")
    np.savetxt(folder / "sub-01_dwi.bvec", np.c_[bvec, bvec])
    (folder / "sub-01_dwi.bval").write_text("0 500 500 500 500 500 500 0 2000 2000 2000 2000 2000 2000\n")
    validation = validate(root)
    (issue,) = validation.issues
    assert issue.severity is Severity.NOTE
    assert "left out: b = 2000 (6) s/mm²" in issue.what
    assert validation.scans[0].gradients == "2 × b = 0, 12 × b ≈ 500, 2000 s/mm² in 6 directions"


def test_a_header_that_places_the_image_twice_is_a_warning(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    path = root / "sub-01" / "dwi" / "sub-01_dwi.nii.gz"
    image = nib.load(path)
    other = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    other.set_sform(image.affine, code=1)
    other.set_qform(image.affine @ np.diag([-1, 1, 1, 1]), code=1)
    nib.save(other, path)
    (issue,) = validate(root).issues
    assert issue.severity is Severity.WARNING
    assert issue.where == "sub-01"
    assert "mirrored" in issue.what


def test_labels_on_another_grid_are_looked_up_through_the_headers_and_it_is_said(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    path = root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), path)
    found = validate(root)
    assert errors(found) == []
    assert any("labelled voxels" in issue.what for issue in found.issues)


def test_label_values_without_a_name_are_a_warning_with_the_remedy(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    path = root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[1] = 12
    nib.save(nib.Nifti1Image(values, image.affine), path)
    validation = validate(root)
    (issue,) = validation.issues
    assert issue.severity is Severity.WARNING
    assert issue.what == "label values without a muscle: 12."
    assert "_dseg.tsv" in issue.remedy


def test_labels_without_any_known_muscle_are_an_error(make_dataset):
    root = make_dataset(("sub-01",), grades={"sub-01": 3})
    table = root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.tsv"
    table.write_text("index\tname\n7151\tbone\n7152\tskin\n", encoding="utf-8")
    assert any("holds no label of a known muscle" in error for error in errors(validate(root)))


@pytest.mark.parametrize("n_broken", [1, 2])
def test_every_broken_scan_is_counted(make_dataset, n_broken):
    root = make_dataset(grades={"sub-01": 3, "sub-02": 5})
    for name in ("sub-01", "sub-02")[:n_broken]:
        (root / name / "dwi" / f"{name}_dwi.nii.gz").write_bytes(b"no image")
    validation = validate(root)
    assert validation.n_failed == n_broken
    assert len(validation.scans) == 2 - n_broken
