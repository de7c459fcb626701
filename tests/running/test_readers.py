"""A second reader's labels: measured on the tensors that are there, and compared."""

import nibabel as nib
import numpy as np
import pytest

from dtimuscle.errors import DatasetError
from dtimuscle.issues import Severity
from dtimuscle.running.cohort import simulate_cohort, simulate_second_reader
from dtimuscle.running.participants import process
from dtimuscle.running.readers import compare_readers, read_second, second_failures, second_labels
from dtimuscle.settings import SimulationSettings, Study
from dtimuscle.store import bids
from dtimuscle.store.bids import read_by, read_dataset
from dtimuscle.store.registry import read_registry
from dtimuscle.store.runs import Run

PLAIN = Study().with_values(
    denoise=False, unring=False, correct_motion=False, find_outliers=False, estimator="ols", erosion_mm=0.0,
    min_voxels=1, workers=1,
)  # fmt: skip
PEOPLE = ("sub-01", "sub-02", "sub-03", "sub-04")


@pytest.fixture
def registry():
    return read_registry()


@pytest.fixture
def dataset(make_dataset):
    return read_dataset(make_dataset(PEOPLE, grades=dict.fromkeys(PEOPLE, 3)))


@pytest.fixture
def again(dataset, labels, tmp_path):
    """Second labels of three of the four, without the outermost voxels of each muscle."""
    folder = tmp_path / "second"
    for who in PEOPLE[:3]:
        bids.write_labels(folder, who, labels)
        path = folder / who / "dwi" / f"{who}_dseg.nii.gz"
        image = nib.load(path)
        values = np.asarray(image.dataobj).copy()
        values[np.nonzero(values)[0][0], np.nonzero(values)[1][0], np.nonzero(values)[2][0]] = 0
        nib.save(nib.Nifti1Image(values, image.affine), path)
    return folder


def both(dataset, folder, **settings):
    study = PLAIN.with_values(second_labels=str(folder), **settings)
    first = process(dataset, study)
    return first, read_second(first, study), study


def test_a_second_reader_is_measured_without_another_tensor(dataset, again):
    first, second, _ = both(dataset, again)
    assert [outcome.computed for outcome in second.outcomes] == [("muscles",)] * 3
    assert second.derivatives.folders["tensor"] == first.derivatives.folders["tensor"]
    assert second.derivatives.folders["muscles"] != first.derivatives.folders["muscles"]
    first, second, _ = both(dataset, again)
    assert {outcome.computed for outcome in (*first.outcomes, *second.outcomes)} == {()}


def test_the_first_readers_values_are_what_they_were(dataset, again):
    alone = process(dataset, PLAIN).roi_table()
    first, second, _ = both(dataset, again)
    assert first.roi_table().equals(alone)
    assert not second.roi_table().equals(alone)


def test_only_scans_that_both_have_drawn_are_compared(dataset, again, registry):
    found = compare_readers(*both(dataset, again), registry)
    assert set(found.table["participant_id"]) == set(PEOPLE[:3])
    assert found.table.groupby("reader").size().nunique() == 1
    assert {item.n for item in found.reliability} == {3}
    assert found.n_scans == 4
    assert not [issue for issue in found.issues if "no value of at least one reader" in issue.what]
    overlap = found.overlap.query("side == 'both'")
    assert overlap["dice"].lt(1).any()
    assert overlap["dice"].ge(0.5).all()


def test_values_of_both_readers_are_kept_with_the_run(dataset, again, registry, tmp_path):
    found = compare_readers(*both(dataset, again), registry)
    Run(tmp_path / "run").write_readers_table(found.table)
    lines = (tmp_path / "run" / "readers.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("reader\tparticipant_id\tsession\tmuscle")
    assert len(lines) == len(found.table) + 1


def test_labels_that_cannot_be_read_stop_neither_the_others_nor_the_first_reader(dataset, again, registry):
    (again / "sub-02" / "dwi" / "sub-02_dseg.nii.gz").write_bytes(b"no image")
    first, second, study = both(dataset, again)
    assert not first.failures
    (failure,) = second_failures(second)
    assert failure.where == "sub-02, reader 2"
    assert failure.severity is Severity.ERROR
    found = compare_readers(first, second, study, registry)
    assert failure in found.issues
    assert set(found.overlap["participant_id"]) == {"sub-01", "sub-03"}


def test_without_a_second_reader_nothing_is_done(dataset):
    assert read_second(process(dataset, PLAIN), PLAIN) is None


def test_folders_that_cannot_be_a_second_reader_are_refused(dataset, tmp_path):
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_by(dataset, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no labels"):
        read_by(dataset, tmp_path / "empty")
    with pytest.raises(DatasetError, match="the first reader's labels"):
        read_by(dataset, bids.labels_folder(dataset.root))


def test_who_is_labelled_by_the_second_reader_only_is_named(dataset, again):
    (dataset.scans[0].labels).unlink()
    found = read_by(read_dataset(dataset.root), again)
    assert [scan.participant_id for scan in found.scans] == ["sub-02", "sub-03"]
    assert [issue.where for issue in found.issues] == ["sub-01"]


def test_a_simulated_second_reader_changes_no_scan_and_draws_once(coarse_protocol):
    settings = SimulationSettings(protocol=coarse_protocol, n_poor=1, n_good=1, snr=0.0)
    with_reader = settings.model_copy(update={"second_reader_mm": 2.0})
    root = simulate_cohort(settings, workers=1)
    assert simulate_cohort(with_reader, workers=1) == root
    dataset = read_dataset(root)
    folder = simulate_second_reader(dataset, with_reader)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert simulate_second_reader(dataset, with_reader) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written
    assert len(read_by(dataset, folder).scans) == 2
    study = Study().model_copy(update={"simulation": settings})
    assert second_labels(dataset, study) is None
    assert second_labels(dataset, study.model_copy(update={"simulation": with_reader})) == folder
