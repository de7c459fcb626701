import dataclasses

import numpy as np
import pandas as pd
import pytest

from dtimuscle.dwi import TensorMaps
from dtimuscle.errors import DatasetError, RoiTableError
from dtimuscle.issues import Issue, Severity
from dtimuscle.roi_table import COLUMNS
from dtimuscle.settings import Study
from dtimuscle.store import bids, derivatives, files
from dtimuscle.store.derivatives import STEPS, Origin

DEFAULT = Study()


@pytest.fixture
def dataset(make_dataset):
    return bids.read_dataset(make_dataset(("sub-01", "sub-02")))


@pytest.fixture
def place(dataset):
    return derivatives.derivatives_of(dataset, DEFAULT)


def keys(dataset, study, digests=("a", "b")) -> dict[str, str]:
    place = derivatives.derivatives_of(dataset, study)
    return {step: derivatives.step_key(place, step, digests) for step in STEPS}


def changed(before: dict, after: dict) -> set[str]:
    return {step for step in STEPS if before[step] != after[step]}


# Which settings belong to which step

CASES = [
    ({"denoise": False}, {"preprocessed", "tensor", "muscles"}),
    ({"b0_threshold": 5.0}, {"preprocessed", "tensor", "muscles"}),
    ({"estimator": "ols"}, {"tensor", "muscles"}),
    ({"erosion_mm": 0.0}, {"muscles"}),
    ({"min_voxels": 1}, {"muscles"}),
    ({"workers": 2}, set()),
    ({"poor_below_grade": 3}, set()),
    ({"name": "other"}, set()),
    ({"snr": 20.0}, set()),  # the scans themselves tell
]


@pytest.mark.parametrize(("values", "steps"), CASES)
def test_a_setting_changes_the_keys_of_its_step_and_of_later_ones_only(dataset, values, steps):
    assert changed(keys(dataset, DEFAULT), keys(dataset, DEFAULT.with_values(**values))) == steps


@pytest.mark.parametrize(("values", "steps"), CASES)
def test_runs_that_agree_in_a_step_share_its_folder(dataset, values, steps):
    other = derivatives.derivatives_of(dataset, DEFAULT.with_values(**values))
    assert changed(derivatives.derivatives_of(dataset, DEFAULT).folders, other.folders) == steps


@pytest.mark.parametrize("digests", [("a", "c"), ("b", "a"), ("a",), ("a", "b", "c")])
def test_other_content_or_order_of_inputs_changes_every_key(dataset, digests):
    assert changed(keys(dataset, DEFAULT), keys(dataset, DEFAULT, digests)) == set(STEPS)


def test_a_new_version_of_a_step_makes_it_and_later_ones_again(dataset, monkeypatch):
    before = keys(dataset, DEFAULT)
    monkeypatch.setitem(derivatives.STEP_VERSIONS, "tensor", 1000)
    assert changed(before, keys(dataset, DEFAULT)) == {"tensor", "muscles"}


def test_two_datasets_do_not_share_folders(dataset, tmp_path):
    elsewhere = dataclasses.replace(dataset, root=tmp_path / "elsewhere" / dataset.root.name)
    folders = derivatives.derivatives_of(elsewhere, DEFAULT).folders
    assert changed(derivatives.derivatives_of(dataset, DEFAULT).folders, folders) == set(STEPS)


def test_derivatives_lie_in_the_cache(place, generated_files_stay_out_of_the_tree):
    assert all(folder.is_relative_to(generated_files_stay_out_of_the_tree) for folder in place.folders.values())


def test_each_derivative_says_who_made_it_from_what(dataset, place):
    derivatives.describe_derivatives(place, dataset)
    for step, folder in place.folders.items():
        description = files.read_json(folder / "dataset_description.json")
        assert description["DatasetType"] == "derivative"
        assert description["SourceDatasets"] == [{"URL": dataset.root.as_uri()}]
        assert step in description["GeneratedBy"][0]["Description"]
        assert not bids.is_simulated(description)


def test_what_comes_from_simulated_scans_is_marked_as_such(make_dataset):
    dataset = bids.read_dataset(make_dataset(("sub-01",), is_simulated=True))
    place = derivatives.derivatives_of(dataset, DEFAULT)
    derivatives.describe_derivatives(place, dataset)
    assert all(bids.is_simulated(bids.read_description(folder)) for folder in place.folders.values())


# Receipts


@pytest.fixture
def kept(dataset, place):
    """The quality file of one participant's tensor step, with its receipt."""
    scan = dataset.scans[0]
    files.write_json(place.file("tensor", scan, "desc-quality.json"), {"issues": []})
    derivatives.write_receipt(place, scan, TENSOR)
    return scan


TENSOR = Origin("tensor", "key", {})


def is_current(place, scan, origin) -> bool:
    return derivatives.is_current(place, origin, derivatives.read_receipt(place, origin.step, scan))


def test_without_a_receipt_nothing_is_current(dataset, place):
    assert not is_current(place, dataset.scans[0], TENSOR)


def test_whole_files_with_the_same_key_are_current(place, kept):
    assert is_current(place, kept, TENSOR)


def test_another_key_is_not_current(place, kept):
    assert not is_current(place, kept, Origin("tensor", "other", {}))


def test_a_receipt_speaks_for_its_own_participant_and_step(dataset, place, kept):
    assert not is_current(place, dataset.scans[1], TENSOR)
    assert not is_current(place, kept, Origin("muscles", "key", {}))


def test_a_damaged_output_is_noticed(place, kept):
    path = place.file("tensor", kept, "desc-quality.json")
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_current(place, kept, TENSOR)


def test_an_output_that_is_gone_is_noticed(place, kept):
    place.file("tensor", kept, "desc-quality.json").unlink()
    assert not is_current(place, kept, TENSOR)


@pytest.mark.parametrize("content", [b"", b'{"key": "key", "outp', b"\xff\xfe", b"[]", b'{"key": "key"}'])
def test_a_damaged_receipt_is_no_receipt(place, kept, content):
    (path,) = (place.folders["tensor"] / ".receipts").iterdir()
    path.write_bytes(content)
    assert not is_current(place, kept, TENSOR)


# Preprocessed series


@pytest.mark.parametrize("has_noise", [True, False])
def test_a_preprocessed_series_survives_saving(dataset, place, series, has_noise):
    scan = dataset.scans[0]
    mask = series.signal[..., 0] > 20
    series = series.with_signal(series.signal / np.float32(3))
    noise = np.ones(series.shape) if has_noise else None
    derivatives.write_preprocessed(place, scan, series, mask=mask, noise_sd=noise, quality={"snr": 30.5, "issues": []})
    again, mask_again = derivatives.read_preprocessed(place, scan, b0_threshold=20.0)
    np.testing.assert_array_equal(again.signal, series.signal)
    np.testing.assert_allclose(again.gradients.directions, series.gradients.directions, atol=1e-9)
    np.testing.assert_array_equal(mask_again, mask)
    assert mask_again.dtype == np.bool_
    assert derivatives.read_quality(place, "preprocessed", scan)["snr"] == 30.5
    assert place.file("preprocessed", scan, "desc-noise_dwimap.nii.gz").is_file() is has_noise


def test_samples_that_are_left_out_survive_saving(dataset, place, series):
    scan = dataset.scans[0]
    mask = np.ones(series.shape, dtype=bool)
    weights = np.ones(series.signal.shape, dtype=bool)
    weights[:, :, 1, 2] = False
    noise = np.full(series.shape, 2.5)
    derivatives.write_preprocessed(
        place, scan, series, mask=mask, noise_sd=noise, quality={"issues": []}, weights=weights
    )
    np.testing.assert_array_equal(derivatives.read_weights(place, scan), weights)
    np.testing.assert_array_equal(derivatives.read_noise(place, scan), noise)
    derivatives.write_preprocessed(place, scan, series, mask=mask, noise_sd=noise, quality={"issues": []})
    assert derivatives.read_weights(place, scan) is None


def test_quality_is_there_once_it_was_written(dataset, place):
    scan = dataset.scans[0]
    issue = Issue(Severity.NOTE, "sub-01", "is odd.")
    derivatives.write_roi_rows(place, scan, pd.DataFrame([row()]), {"issues": [issue.to_dict()]})
    (record,) = derivatives.read_quality(place, "muscles", scan)["issues"]
    assert Issue.from_dict(record) == issue


# Maps


def test_tensor_maps_survive_saving(dataset, place, series):
    rng = np.random.default_rng(3)
    mask = rng.random(series.shape) > 0.3
    fa, md, ad, rd, s0 = (np.where(mask, rng.random(series.shape), np.nan).astype(np.float32) for _ in range(5))
    direction = rng.normal(size=(*series.shape, 3)).astype(np.float32)
    is_positive = mask & (rng.random(series.shape) > 0.5)
    maps = TensorMaps(fa, md * 1e-3, ad, rd, direction, s0, mask, is_positive, series.affine, "iwls")
    derivatives.write_maps(place, dataset.scans[0], maps, {"issues": []})
    again = derivatives.read_maps(place, dataset.scans[0])
    for field in dataclasses.fields(TensorMaps):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(maps, field.name), err_msg=field.name)
    assert again.mask.dtype == again.is_positive.dtype == np.bool_


def test_each_map_has_its_unit_beside_it(tmp_path):
    path = tmp_path / "sub-01_param-md_dwimap.nii.gz"
    derivatives.write_map(path, np.zeros((2, 2, 2)), np.eye(4), parameter="md", estimator="ols")
    sidecar = files.read_json(tmp_path / "sub-01_param-md_dwimap.json")
    assert sidecar["Units"] == "mm2/s"
    assert sidecar["Model"]["Estimator"] == "ols"


# ROI tables


def row(**changes) -> dict:
    return {
        "participant_id": "sub-001", "session": "", "muscle": "gracilis", "side": "left", "parameter": "md",
        "route": "voxelwise", "unit": "mm2/s", "mean": 1.02e-3 / 3, "median": 0.1 + 0.2, "sd": 1e-4 / 7, "q25": 1 / 3,
        "q75": 2 / 3, "n_label": 120, "n_kept": 80, "n_eroded": 38, "n_unusable": 2, "is_simulated": True,
        "labels": "drawn",
    } | changes  # fmt: skip


def test_a_roi_table_survives_saving_to_the_last_digit(tmp_path):
    rng = np.random.default_rng(4)
    rows = [
        row(participant_id=f"sub-{i:03}", mean=value, sd=value / 7) for i, value in enumerate(rng.random(500) * 1e-3)
    ]
    rows.append(row(participant_id="sub-900", session="ses-1", is_simulated=False, median=np.nan, sd=np.nan))
    table = pd.DataFrame(rows)
    derivatives.write_roi_table(tmp_path / "roi.tsv", table)
    again = derivatives.read_roi_table(tmp_path / "roi.tsv")
    assert again.to_dict("list").keys() == table.to_dict("list").keys()
    for column in COLUMNS:
        expected = [repr(value) for value in table[column].tolist()]
        assert [repr(value) for value in again[column].tolist()] == expected, column
    assert again["is_simulated"].dtype == np.bool_
    assert again["n_kept"].dtype == "Int64"


def test_a_roi_table_comes_with_a_word_on_every_column(tmp_path):
    derivatives.write_roi_table(tmp_path / "roi.tsv", pd.DataFrame([row()]))
    assert set(files.read_json(tmp_path / "roi.json")) == set(COLUMNS)


def test_an_empty_roi_table_survives_saving(tmp_path):
    derivatives.write_roi_table(tmp_path / "roi.tsv", pd.DataFrame(columns=list(COLUMNS)))
    again = derivatives.read_roi_table(tmp_path / "roi.tsv")
    assert again.empty
    assert tuple(again.columns) == COLUMNS


def test_a_muscle_without_values_keeps_its_row(tmp_path):
    derivatives.write_roi_table(tmp_path / "roi.tsv", pd.DataFrame([row(mean=np.nan, n_kept=3)]))
    again = derivatives.read_roi_table(tmp_path / "roi.tsv")
    assert np.isnan(again.loc[0, "mean"])
    assert again.loc[0, "n_kept"] == 3


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [("mm2/s", "m2/s", RoiTableError), ("\t120\t", "\tmany\t", DatasetError), ("\t120\t", "\t1.5\t", DatasetError)],
)
def test_a_roi_table_that_was_spoilt_is_named(tmp_path, old, new, kind):
    path = tmp_path / "roi.tsv"
    derivatives.write_roi_table(path, pd.DataFrame([row()]))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(kind) as caught:
        derivatives.read_roi_table(path)
    assert str(caught.value).startswith(str(path))


def test_rows_of_a_participant_are_found_again(dataset, place):
    derivatives.write_roi_rows(place, dataset.scans[0], pd.DataFrame([row()]), {"issues": []})
    assert derivatives.read_roi_rows(place, dataset.scans[0])["mean"].tolist() == [1.02e-3 / 3]
