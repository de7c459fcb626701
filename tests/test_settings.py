import re
from collections import Counter
from pathlib import Path

import pytest

from dtimuscle.errors import SettingsError
from dtimuscle.settings import DataSettings, Section, Study, fingerprint, leaf_sections, parse_assignment
from dtimuscle.store.files import read_yaml
from dtimuscle.store.registry import read_study

STUDY_FILE = Path(__file__).parents[1] / "study.yaml"


# study.yaml


def test_study_yaml_holds_every_setting_with_its_default():
    assert read_yaml(STUDY_FILE) == Study().model_dump(mode="json")


def test_an_empty_file_is_a_study_of_defaults(tmp_path):
    (tmp_path / "study.yaml").write_text("# nothing yet\n")
    assert read_study(tmp_path / "study.yaml") == Study()


def test_relative_paths_are_taken_from_the_files_own_folder(tmp_path):
    (tmp_path / "study.yaml").write_text("data: {dataset: scans, labels: ../labels}\n")
    study = read_study(tmp_path / "study.yaml")
    assert study.data.dataset == str(tmp_path / "scans")
    assert study.data.labels == str(tmp_path.parent / "labels")
    assert study.data.roi_table == ""


def test_every_setting_has_a_name_of_its_own():
    names = Counter(
        leaf
        for name, field in Study.model_fields.items()
        for leaf in (field.annotation.model_fields if name in sections() else [name])
    )
    assert [name for name, count in names.items() if count > 1] == []
    assert set(names) == set(leaf_sections())


def sections() -> set[str]:
    return {name for name, value in Study() if isinstance(value, Section)}


def test_every_setting_says_what_it_is():
    described = {leaf: _field(leaf).description for leaf in leaf_sections()}
    assert [leaf for leaf, text in described.items() if not text] == []


def _field(leaf):
    section = leaf_sections()[leaf]
    return (type(getattr(Study(), section)) if section else Study).model_fields[leaf]


# What is refused


def refused(mapping) -> str:
    with pytest.raises(SettingsError) as caught:
        Study.from_mapping(mapping, source="mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml: ")
    assert "\n" not in message
    return message


def test_a_misspelt_setting_is_refused_with_the_nearest_name():
    assert "unknown setting 'roi.erosion'. Did you mean 'erosion_mm'?" in refused({"roi": {"erosion": 1.0}})


def test_a_misspelt_section_is_refused_with_the_nearest_name():
    assert "Did you mean 'preprocessing'?" in refused({"preprocesing": {}})


def test_a_name_that_resembles_nothing_gets_the_list_of_names():
    assert "Known: name, dataset" in refused({"qqqqqqqq": 1})


@pytest.mark.parametrize(
    ("section", "leaf", "value"),
    [
        ("roi", "erosion_mm", "2.5"),
        ("roi", "erosion_mm", -1),
        ("roi", "erosion_mm", float("nan")),
        ("roi", "erosion_mm", float("inf")),
        ("roi", "min_voxels", 2.5),
        ("roi", "min_voxels", 0),
        ("simulation", "seed", True),
        ("simulation", "seed", "1"),
        ("preprocessing", "denoise", 1),
        ("preprocessing", "denoise", "yes"),
        ("preprocessing", "engine", "fsl"),
        ("tensor", "estimator", "IWLS"),
        ("analysis", "level", 95),
        ("analysis", "poor_below_grade", 6),
        ("analysis", "roc_muscles", "gracilis"),
        ("analysis", "roc_muscles", [1]),
        ("data", "dataset", 1),
        ("data", "dataset", None),
    ],
)
def test_a_wrong_type_or_value_is_refused_with_its_place(section, leaf, value):
    assert f"{section}.{leaf}" in refused({section: {leaf: value}})


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "two words"])
def test_a_name_that_cannot_be_a_folder_is_refused(name):
    assert "name: " in refused({"name": name})


def test_what_yaml_reads_as_a_date_is_refused_in_one_line(tmp_path):
    (tmp_path / "study.yaml").write_text("name: 2024-01-31\n")
    with pytest.raises(SettingsError, match="date is not JSON serializable"):
        read_study(tmp_path / "study.yaml")


# Changing settings


def test_whole_numbers_serve_where_numbers_are_wanted():
    assert Study().with_values(erosion_mm=3).roi.erosion_mm == 3.0


def test_values_find_their_section_and_leave_the_study_they_came_from():
    study = Study()
    changed = study.with_values(erosion_mm=1.5, estimator="nlls", name="mine", claims=["a", "b"])
    assert (changed.roi.erosion_mm, changed.tensor.estimator, changed.name) == (1.5, "nlls", "mine")
    assert changed.replication.claims == ("a", "b")
    assert study == Study()


def test_values_are_checked_like_those_of_a_file():
    with pytest.raises(SettingsError, match=r"notebook 02: unknown setting 'estimater'\. Did you mean 'estimator'\?"):
        Study().with_values(source="notebook 02", estimater="ols")
    with pytest.raises(SettingsError, match=r"notebook 03: roi\.min_voxels: .* found 0"):
        Study().with_values(source="notebook 03", min_voxels=0)


@pytest.mark.parametrize("leaf", leaf_sections())
def test_each_setting_is_found_by_its_own_name(leaf):
    section = leaf_sections()[leaf]
    dumped = Study().model_dump()
    assert Study().value_of(leaf) == (dumped[section] if section else dumped)[leaf]


def test_asking_for_an_unknown_setting_offers_the_nearest():
    with pytest.raises(SettingsError, match=r"Did you mean 'workers'\?"):
        Study().value_of("worker")


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        Study().roi.erosion_mm = 1.0


# The command line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("erosion_mm=5", 5),
        ("erosion_mm=0.5", 0.5),
        ("erosion_mm= 1e-3", 0.001),
        ("roi.erosion_mm=5", 5),
        ("seed=-3", -3),
        ("denoise=false", False),
        ("denoise=True", True),
        ("dataset=001", "001"),
        ("dataset=a=b", "a=b"),
        ("dataset=", ""),
        ("estimator=nlls", "nlls"),
        ("roc_muscles=gracilis,sartorius", ["gracilis", "sartorius"]),
        ("roc_muscles=[gracilis, sartorius]", ["gracilis", "sartorius"]),
        ("claims=001", ["001"]),
        ("claims=", []),
    ],
)
def test_an_assignment_is_read_as_its_setting_wants_it(text, expected):
    name, value = parse_assignment(text, Study())
    assert value == expected
    assert type(value) is type(expected)
    assert name == text.partition("=")[0].rpartition(".")[2]


def test_what_is_read_from_an_assignment_fits_the_study():
    name, value = parse_assignment("roc_muscles=gracilis", Study())
    assert Study().with_values(**{name: value}).analysis.roc_muscles == ("gracilis",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("erosion_mm", "'erosion_mm' is not of the form name=value."),
        ("erosion=5", "Did you mean 'erosion_mm'?"),
        ("erosion_mm=thick", "erosion_mm: 'thick' is no float."),
        ("denoise=yes", "denoise: 'yes' is no bool."),
        ("seed=nan", "seed: 'nan' is no int."),
        ("min_voxels=", "min_voxels: '' is no int."),
    ],
)
def test_an_assignment_that_cannot_be_read_says_why(text, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse_assignment(text, Study())


# Fingerprints


def test_a_fingerprint_does_not_change_between_versions_and_machines():
    # Known answer: sha256 of '{"dataset":"","fat_fraction":"","labels":"","roi_table":"","second_labels":""}'.
    assert DataSettings().fingerprint() == "690bbd084fd6"


def test_a_fingerprint_does_not_depend_on_the_order_of_names():
    assert fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": [2, 3], "a": 1})


def test_a_fingerprint_depends_on_every_value():
    assert DataSettings(labels="elsewhere").fingerprint() != DataSettings().fingerprint()
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint(1) != fingerprint("1")
