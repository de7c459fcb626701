"""Three simulated participants, of whom one has no labels."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from dtimuscle.errors import SettingsError
from dtimuscle.imaging import propagation
from dtimuscle.imaging.propagation import dice
from dtimuscle.issues import Severity
from dtimuscle.muscles import Side
from dtimuscle.rating import Verdict
from dtimuscle.running import labels as running_labels
from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.running.cohort_page import rate_scans
from dtimuscle.running.participants import Processing, process, process_alone
from dtimuscle.settings import Study
from dtimuscle.store import bids, derivatives, places
from dtimuscle.store.bids import Dataset, read_dataset
from dtimuscle.store.derivatives import derivatives_of
from dtimuscle.store.images import read_image
from dtimuscle.store.labels import read_labels
from dtimuscle.store.registry import read_registry

pytestmark = pytest.mark.slow

PLAIN = Study().with_values(
    denoise=False,
    unring=False,
    correct_motion=False,
    find_outliers=False,
    estimator="ols",
    erosion_mm=0.0,
    min_voxels=3,
    workers=1,
)
STUDY = PLAIN.with_values(propagate_labels=2)
WITHOUT = "sub-002"


@dataclass
class Made:
    cache: Path
    dataset: Dataset
    truth: Path
    processing: Processing


@pytest.fixture(scope="module")
def made(tmp_path_factory, coarse_protocol) -> Made:
    """Take the labels of one participant away, and let the others' be propagated."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(places.CACHE_VARIABLE, str(cache))
        patch.setattr(propagation, "TURNS", (0.0,))
        patch.setattr(propagation, "SYN_STEPS", (20, 5))
        settings = Study().with_values(
            protocol=coarse_protocol, n_poor=1, n_good=2, motion_mm=0.0, motion_deg=0.0, eddy_percent=0.0
        )
        root = simulate_cohort(settings.simulation, workers=1)
        own = bids.labels_folder(root) / WITHOUT
        truth = Path(shutil.move(own, cache / "drawn"))
        dataset = read_dataset(root)
        return Made(cache, dataset, truth, process(dataset, STUDY))


@pytest.fixture
def cache(made, monkeypatch) -> Path:
    """Use what has been computed instead of an empty folder."""
    monkeypatch.setenv(places.CACHE_VARIABLE, str(made.cache))
    return made.cache


@pytest.fixture
def never(monkeypatch):
    """Refuse to propagate labels again."""

    def refuse(*_, **__):
        raise AssertionError("labels were propagated again")

    monkeypatch.setattr(running_labels, "propagate_labels", refuse)


def carried(processing: Processing):
    return next(scan for scan in processing.scans if scan.atlases)


def test_everybody_has_values_and_the_table_says_whose_labels_were_propagated(made):
    table = made.processing.roi_table()
    assert made.processing.failures == ()
    by_participant = table.groupby("participant_id")["labels"].unique().map(list).to_dict()
    assert by_participant == {"sub-001": ["drawn"], WITHOUT: ["propagated"], "sub-003": ["drawn"]}
    assert np.isfinite(table[table["participant_id"] == WITHOUT]["mean"]).mean() > 0.8


def test_propagated_labels_lie_where_the_muscles_are(made, cache):
    scan, registry = carried(made.processing), read_registry()
    found = read_labels(scan.labels, registry)[0]
    (truth_file,) = made.truth.rglob("*_dseg.nii.gz")
    truth = read_labels(truth_file, registry)[0]
    overlaps = {
        name: np.mean([dice(found.where(name, side), truth.where(name, side)) for side in (Side.LEFT, Side.RIGHT)])
        for name in ("adductor_magnus", "vastus_lateralis", "rectus_femoris")
    }
    assert min(overlaps.values()) > 0.6, overlaps  # with voxels of 6 × 6 × 10 mm


def test_the_files_say_where_the_labels_come_from(made, cache):
    place, scan = made.processing.derivatives, carried(made.processing)
    assert scan.labels == derivatives.propagated_labels_file(place, scan)
    about = json.loads(scan.labels.with_name(scan.labels.name.replace(".nii.gz", ".json")).read_text(encoding="utf-8"))
    assert about["Manual"] is False
    assert about["Atlases"] == ["sub-001", "sub-003"]
    assert [Path(source).name for source in about["Sources"]] == ["sub-001_dseg.nii.gz", "sub-003_dseg.nii.gz"]
    assert 0.5 < about["MeanAgreement"] < 1
    agreement, _ = read_image(place.file("labels", scan, derivatives.AGREEMENT))
    assert agreement.shape == read_image(scan.labels)[0].shape
    assert 0.5 <= agreement.max() <= 1


def test_issues_quality_and_rating_say_that_labels_were_propagated(made, cache):
    outcome = next(outcome for outcome in made.processing.outcomes if outcome.scan.name == WITHOUT)
    (note,) = [issue for issue in outcome.issues if "were propagated from sub-001, sub-003, not drawn" in issue.what]
    assert note.severity is Severity.NOTE
    quality = made.processing.muscle_quality()
    assert set(quality.loc[quality["participant_id"] == WITHOUT, "labels"]) == {"propagated"}
    sided = quality[(quality["participant_id"] == WITHOUT) & (quality["side"] != "both")]
    assert sided["agreement"].between(0.5, 1).all()
    assert quality.loc[quality["participant_id"] != WITHOUT, "agreement"].isna().all()
    numbers, ratings = rate_scans(made.processing, STUDY)
    assert [item.labels for item in numbers] == ["drawn", "propagated", "drawn"]
    by_name = {rating.name: rating for rating in ratings}
    assert by_name[WITHOUT].verdict is not Verdict.USE
    assert "The labels were propagated, not drawn" in by_name[WITHOUT].reasons
    assert "The labels were propagated, not drawn" not in by_name["sub-001"].reasons


def test_nothing_is_propagated_twice(made, cache, never):
    again = process(made.dataset, STUDY)
    assert [outcome.computed for outcome in again.outcomes] == [(), (), ()]
    assert again.roi_table().equals(made.processing.roi_table())


def test_another_erosion_measures_again_and_propagates_nothing(made, cache, never):
    again = process(made.dataset, STUDY.with_values(erosion_mm=6.5))
    assert again.failures == ()
    assert [outcome.computed for outcome in again.outcomes] == [("muscles",)] * 3
    assert set(again.muscle_quality()["labels"]) == {"drawn", "propagated"}
    assert not again.roi_table().equals(made.processing.roi_table())


def test_without_the_setting_a_participant_without_labels_has_maps_only(made, cache, never):
    processing = process(made.dataset, PLAIN)
    assert WITHOUT not in set(processing.roi_table()["participant_id"])
    (issue,) = [issue for issue in processing.issues if issue.where == WITHOUT and "no muscle labels" in issue.what]
    assert "propagate_labels" in issue.remedy


def test_other_labels_of_an_atlas_make_the_propagated_ones_again(made, cache, monkeypatch):
    place, scan = made.processing.derivatives, carried(made.processing)
    copy = cache / "sub-001_dseg.nii.gz"
    values, affine = read_image(scan.atlases[0].labels)
    bids.write_image(copy, np.where(values == values.max(), 0, values).astype(np.int32), affine)
    shutil.copy(scan.atlases[0].labels.with_name("sub-001_dseg.tsv"), copy.with_name("sub-001_dseg.tsv"))
    other = replace(scan, atlases=(replace(scan.atlases[0], labels=copy), scan.atlases[1]))
    asked = []
    monkeypatch.setattr("dtimuscle.running.workspace.propagate_to", lambda *given: asked.append(given) or 1 / 0)
    outcome = process_alone(other, study=STUDY, derivatives=place, upto="muscles")
    assert len(asked) == 1
    assert outcome.failure is not None


def test_a_named_atlas_is_the_one_that_is_used(made, cache):
    study = STUDY.with_values(label_atlases=("003",))
    dataset = running_labels.with_atlases(made.dataset, study, derivatives_of(made.dataset, study))
    assert [atlas.name for scan in dataset.scans for atlas in scan.atlases] == ["sub-003"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("sub-04", "'sub-04' is not among the participants"), (WITHOUT, "sub-002 has no labels that could be propagated")],
)
def test_a_named_atlas_must_be_there_and_labelled(name, words, made, cache):
    study = STUDY.with_values(label_atlases=(name,))
    with pytest.raises(SettingsError, match=f"label_atlases: {words}"):
        process(made.dataset, study)


def test_nobody_to_propagate_from_is_told(made, cache):
    scans = tuple(replace(scan, labels=None) for scan in made.dataset.scans)
    dataset = running_labels.with_atlases(
        replace(made.dataset, scans=scans), STUDY, derivatives_of(made.dataset, STUDY)
    )
    assert dataset.scans == scans
    assert "no participant has any" in dataset.issues[-1].what
