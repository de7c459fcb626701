import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import RoiTableError
from dtimuscle.imaging import participant as imaging
from dtimuscle.issues import Severity
from dtimuscle.roi_table import COLUMNS
from dtimuscle.running.participants import Processing, process
from dtimuscle.settings import Study
from dtimuscle.store import bids, derivatives
from dtimuscle.store.bids import Dataset, read_dataset
from dtimuscle.store.derivatives import STEPS
from dtimuscle.store.files import file_digest

# A few voxels need no preprocessing, and have no rim to leave out.
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


@pytest.fixture
def dataset(make_dataset) -> Dataset:
    return read_dataset(make_dataset(grades={"sub-01": 3, "sub-02": 5}))


def run(dataset: Dataset, *, upto: str = "muscles", **settings) -> Processing:
    return process(dataset, PLAIN.with_values(**settings), upto=upto)


def computed(processing: Processing) -> list[tuple[str, ...]]:
    return [outcome.computed for outcome in processing.outcomes]


class Told:
    def __init__(self):
        self.totals, self.names, self.lines, self.said, self.n_finished = [], [], [], [], 0

    def start(self, what, total):
        self.totals.append((what, total))

    def advance(self, name):
        self.names.append(name)

    def note(self, line):
        self.lines.append(line)

    def say(self, line):
        self.said.append(line)

    def finish(self):
        self.n_finished += 1


def test_each_step_is_computed_once_and_found_again(dataset):
    assert computed(run(dataset)) == [STEPS, STEPS]
    assert computed(run(dataset)) == [(), ()]


def test_found_results_are_those_that_were_computed(dataset):
    first, second = run(dataset), run(dataset)
    assert len(first.roi_table())
    assert first.roi_table().equals(second.roi_table())
    assert first.issues == second.issues
    assert first.quality("tensor").equals(second.quality("tensor"))


@pytest.mark.parametrize(
    ("settings", "again"),
    [
        ({"min_voxels": 2}, ("muscles",)),
        ({"erosion_mm": 1.0}, ("muscles",)),
        ({"estimator": "wls"}, ("tensor", "muscles")),
        ({"highest_b": 800.0}, ("tensor", "muscles")),
        ({"max_fat_fraction": 0.3}, ("muscles",)),
        ({"fat_model": "diffusion"}, ("tensor", "muscles")),
        ({"rician_coils": 2}, STEPS),
        ({"b0_threshold": 30.0}, STEPS),
        ({"workers": 0, "entry_p": 0.1, "seed": 1, "name": "other"}, ()),
    ],
)
def test_a_setting_makes_again_only_the_steps_that_read_it(dataset, settings, again):
    run(dataset)
    assert computed(run(dataset, **settings)) == [again, again]


def test_the_results_of_other_settings_stay(dataset):
    run(dataset)
    run(dataset, estimator="wls")
    assert computed(run(dataset)) == [(), ()]


def test_only_the_steps_that_are_asked_for_are_taken(dataset):
    assert computed(run(dataset, upto="preprocessed")) == [("preprocessed",)] * 2
    assert computed(run(dataset, upto="tensor")) == [("tensor",)] * 2
    assert computed(run(dataset)) == [("muscles",)] * 2


def test_a_changed_scan_is_processed_again_and_the_others_are_found(dataset):
    run(dataset)
    image = dataset.scans[1].image
    series = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(series.dataobj) + 1, series.affine), image)
    assert computed(run(dataset)) == [(), STEPS]


def test_a_scan_that_was_only_copied_anew_is_found(dataset):
    run(dataset)
    image = dataset.scans[0].image
    image.write_bytes(image.read_bytes())
    assert computed(run(dataset)) == [(), ()]


def test_changed_names_of_labels_change_the_muscle_values_only(dataset):
    run(dataset)
    table = dataset.scans[0].labels.parent / "sub-01_dseg.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("gracilis", "sartorius"), encoding="utf-8")
    processing = run(dataset)
    assert computed(processing) == [("muscles",), ()]
    assert set(processing.roi_table()["muscle"]) == {"gracilis", "sartorius"}


@pytest.mark.parametrize("step", STEPS)
def test_a_damaged_derivative_is_made_again_with_what_follows_from_it(dataset, step):
    place = run(dataset).derivatives
    folder = place.folders[step] / "sub-02" / "dwi"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damaged = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-7])
    assert computed(run(dataset)) == [(), (step,)]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_derivative_that_is_gone_is_made_again(dataset):
    place = run(dataset).derivatives
    shutil.rmtree(place.folders["tensor"] / "sub-01" / "dwi")
    assert computed(run(dataset)) == [("tensor",), ()]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', "\x00"])
def test_a_damaged_receipt_is_no_receipt(dataset, content):
    place = run(dataset).derivatives
    (place.folders["muscles"] / ".receipts" / "sub-01.json").write_text(content, encoding="utf-8")
    assert computed(run(dataset)) == [("muscles",), ()]


def test_what_a_killed_run_leaves_behind_does_not_disturb(dataset):
    place = run(dataset, upto="preprocessed").derivatives
    for step in STEPS:
        folder = place.folders[step] / "sub-01" / "dwi"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writing-k2j4h-sub-01_desc-quality.json").write_text('{"issu', encoding="utf-8")
    whole = place.folders["tensor"] / "sub-01" / "dwi" / "sub-01_desc-quality.json"
    whole.write_text("{}", encoding="utf-8")  # written, but the step did not come to its receipt
    processing = run(dataset)
    assert computed(processing) == [("tensor", "muscles")] * 2
    assert processing.failures == ()
    assert json.loads(whole.read_text(encoding="utf-8"))["estimator"] == "ols"


def test_a_step_whose_version_was_raised_is_taken_again(dataset, monkeypatch):
    run(dataset)
    monkeypatch.setattr("dtimuscle.store.derivatives.STEP_VERSIONS", derivatives.STEP_VERSIONS | {"tensor": 99})
    assert computed(run(dataset)) == [("tensor", "muscles")] * 2


def test_files_that_a_receipt_knows_are_not_read_again(dataset, monkeypatch):
    first = run(dataset)
    digests = first.image_digests()
    read = []
    monkeypatch.setattr(derivatives, "file_digest", lambda path: read.append(path) or file_digest(path))
    second = run(dataset)
    assert computed(second) == [(), ()]
    assert second.image_digests() == digests == {scan.name: file_digest(scan.image) for scan in dataset.scans}
    assert read == []


def test_a_file_that_was_copied_anew_is_read_once(dataset, monkeypatch):
    place = run(dataset).derivatives
    image = dataset.scans[0].image
    made = place.file("tensor", dataset.scans[0], "desc-fitted_mask.nii.gz")
    for path in (image, made):
        os.utime(path, ns=(0, 0))
    read = []
    monkeypatch.setattr(derivatives, "file_digest", lambda path: read.append(path) or file_digest(path))
    assert computed(run(dataset)) == [(), ()]
    assert sorted(read) == sorted([image, made])
    assert computed(run(dataset)) == [(), ()]
    assert len(read) == 2


def test_receipts_say_what_results_came_from(dataset):
    place, scan = run(dataset).derivatives, dataset.scans[0]
    receipt = derivatives.read_receipt(place, "muscles", scan)
    assert receipt["settings"] == place.settings["muscles"]
    assert receipt["versions"] == derivatives.STEP_VERSIONS
    assert set(map(str, (*scan.inputs, scan.labels))) < set(receipt["inputs"])
    assert all(file["sha256"] == file_digest(Path(path)) for path, file in receipt["inputs"].items())


def test_the_rows_of_everybody_are_those_of_each(dataset):
    processing = run(dataset)
    alone = [derivatives.read_roi_rows(processing.derivatives, scan) for scan in dataset.scans]
    pd.testing.assert_frame_equal(processing.roi_table(), pd.concat(alone, ignore_index=True))
    together = processing.derivatives.folders["muscles"] / "roi.tsv"
    pd.testing.assert_frame_equal(derivatives.read_roi_table(together), processing.roi_table())


def test_a_table_that_was_spoilt_after_the_run_is_named(dataset):
    processing = run(dataset)
    path = processing.derivatives.file("muscles", dataset.scans[1], "roi.tsv")
    path.write_text(path.read_text(encoding="utf-8").replace("mm2/s", "m2/s"), encoding="utf-8")
    with pytest.raises(RoiTableError, match=r"sub-02_roi\.tsv"):
        processing.roi_table()


# Faults


def flatten(image: Path) -> None:
    """Leave one volume of a series, as when somebody picked the wrong file."""
    series = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(series.dataobj)[..., 0], series.affine), image)


def test_a_participant_that_fails_is_reported_and_the_others_go_on(dataset):
    flatten(dataset.scans[0].image)
    told = Told()
    processing = process(dataset, PLAIN, progress=told)
    (failure,) = processing.failures
    assert failure.severity is Severity.ERROR
    assert failure.where == "sub-01"
    assert str(dataset.scans[0].image) in failure.what
    assert "this image has 3" in failure.what
    assert [scan.name for scan in processing.scans] == ["sub-02"]
    assert set(processing.roi_table()["participant_id"]) == {"sub-02"}
    assert processing.issues[0] == failure
    assert told.lines == [str(failure)]
    assert "\n" not in str(failure)


def test_a_participant_that_was_mended_is_processed(dataset):
    image = dataset.scans[0].image
    whole = image.read_bytes()
    flatten(image)
    assert len(run(dataset).failures) == 1
    image.write_bytes(whole)
    processing = run(dataset)
    assert processing.failures == ()
    assert computed(processing) == [STEPS, ()]


def test_steps_before_the_fault_are_kept(dataset):
    labels = dataset.scans[0].labels
    image = nib.load(labels)
    affine = image.affine.copy()
    affine[0, 3] += 420
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), labels)
    processing = run(dataset)
    assert computed(processing) == [("preprocessed", "tensor"), STEPS]
    (failure,) = processing.failures
    assert str(labels) in failure.what
    assert "lie" in failure.what
    assert computed(run(dataset)) == [(), ()]


def test_an_error_that_nobody_foresaw_is_the_participants_own(dataset, monkeypatch):
    fit = imaging.fit

    def fit_or_fail(signal, *, estimator, directions_of):
        if failing.pop():
            raise ZeroDivisionError("division by zero")
        return fit(signal, estimator=estimator, directions_of=directions_of)

    failing = [False, True]
    monkeypatch.setattr(imaging, "fit", fit_or_fail)
    first, second = run(dataset).outcomes
    assert first.failure.what == "ZeroDivisionError: division by zero"
    assert "--debug" in first.failure.remedy
    assert "fit_or_fail" in first.traceback
    assert first.computed == ("preprocessed",)
    assert second.failure is None
    assert second.traceback == ""


def test_an_error_that_the_kit_words_itself_needs_no_traceback(dataset):
    flatten(dataset.scans[0].image)
    assert run(dataset).outcomes[0].traceback == ""


# What is asked of the results


def test_without_labels_there_are_maps_but_no_muscle_values(make_dataset):
    root = make_dataset()
    shutil.rmtree(root / "derivatives")
    processing = run(read_dataset(root))
    assert computed(processing) == [("preprocessed", "tensor")] * 2
    assert processing.roi_table().empty
    assert tuple(processing.roi_table().columns) == COLUMNS
    assert any("no muscle labels" in issue.what for issue in processing.issues)


def test_samples_that_preprocessing_left_out_reach_the_fit_and_the_muscles(dataset, monkeypatch):
    preprocess, given = imaging.preprocess, []

    def with_weights(series, **settings):
        weights = np.ones(series.signal.shape, dtype=bool)
        weights[0, 0, 0, -1] = False
        return replace(preprocess(series, **settings), weights=weights)

    for name in ("fit", "measure"):
        step = getattr(imaging, name)

        def noted(signal, *arguments, step=step, **settings):
            given.append(signal.weights)
            return step(signal, *arguments, **settings)

        monkeypatch.setattr(imaging, name, noted)
    monkeypatch.setattr(imaging, "preprocess", with_weights)
    processing = run(dataset)
    assert processing.failures == ()
    assert [int(np.count_nonzero(~weights)) for weights in given] == [1, 1, 1, 1]
    assert processing.quality("tensor")["n_samples_left_out"].tolist() == [1, 1]


def with_fat(dataset, share):
    """Give each participant a map of fat where the kit looks for it."""
    for scan in dataset.scans:
        image = nib.load(scan.image)
        bids.write_fat_fraction(
            bids.fat_folder(dataset.root), scan.participant_id, np.full(image.shape[:3], share), image.affine
        )
    return read_dataset(dataset.root)


def test_fat_is_taken_into_account_where_there_is_a_map(dataset):
    before = run(dataset).roi_table()
    dataset = with_fat(dataset, 0.2)
    processing = run(dataset)
    assert computed(processing) == [("tensor", "muscles")] * 2
    assert processing.muscle_quality()["fat_fraction"].to_numpy() == pytest.approx(0.2)
    assert processing.roi_table()["mean"].equals(before["mean"])
    water = run(dataset, fat_model="map").roi_table()
    is_md = water["parameter"] == "md"
    # These few voxels brighten with b; taking what stays away makes that steeper.
    assert (water.loc[is_md, "mean"] < before.loc[is_md, "mean"]).all()
    left_out = run(dataset, max_fat_fraction=0.1)
    assert left_out.roi_table()["mean"].isna().all()
    assert (left_out.muscle_quality()["n_fat"] > 0).all()


def test_a_map_of_fat_that_changes_is_read_again(dataset):
    dataset = with_fat(dataset, 0.2)
    run(dataset)
    assert computed(run(dataset)) == [(), ()]
    assert computed(run(with_fat(dataset, 0.3))) == [("tensor", "muscles")] * 2


def test_fat_that_is_to_be_subtracted_without_a_map_is_the_participants_failure(dataset):
    processing = run(dataset, fat_model="map")
    assert all("no map of fat" in failure.what for failure in processing.failures)
    assert len(processing.failures) == 2


def test_slices_too_small_to_be_judged_are_an_issue_of_the_participant(dataset):
    assert any("lost slices" in issue.where for issue in run(dataset, find_outliers=True).issues)


def test_participants_stay_in_the_datasets_order(make_dataset):
    dataset = read_dataset(make_dataset(("sub-10", "sub-02", "sub-9")))
    rows = run(dataset).roi_table()["participant_id"]
    assert list(dict.fromkeys(rows)) == [scan.participant_id for scan in dataset.scans]


def test_the_whole_table_lies_beside_the_participants_own(dataset):
    processing = run(dataset)
    folder = processing.derivatives.folders["muscles"]
    lines = (folder / "roi.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(processing.roi_table())
    described = json.loads((folder / "roi.json").read_text(encoding="utf-8"))
    assert set(described) == set(COLUMNS)


def test_quality_has_a_row_for_each_participant(dataset):
    quality = run(dataset).quality("tensor")
    assert quality["participant_id"].tolist() == ["sub-01", "sub-02"]
    assert quality["estimator"].tolist() == ["ols", "ols"]
    assert "issues" not in quality
    assert quality["n_issues"].ge(0).all()


def test_issues_say_whose_they_are(dataset):
    processing = run(dataset, min_voxels=100)
    found = [issue for outcome in processing.outcomes for issue in outcome.issues]
    assert found
    assert all(issue.where.startswith(("sub-01", "sub-02")) for issue in found)
    assert {issue.where[:6] for issue in found} == {"sub-01", "sub-02"}


def test_who_watches_is_told_of_what_is_computed_and_of_nothing_that_is_found(dataset):
    told = Told()
    process(dataset, PLAIN, progress=told)
    assert told.totals == [("Participants", 2)]
    assert told.names == ["sub-01", "sub-02"]
    assert told.n_finished == 1
    again = Told()
    process(dataset, PLAIN, progress=again)
    assert (again.totals, again.names) == ([], [])


def test_simulated_scans_are_marked_in_every_row(make_dataset):
    processing = run(read_dataset(make_dataset(is_simulated=True)))
    assert processing.roi_table()["is_simulated"].all()
