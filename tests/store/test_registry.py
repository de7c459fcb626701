import pytest

from dtimuscle.errors import LabelError, SettingsError
from dtimuscle.muscles import Side
from dtimuscle.settings import Study
from dtimuscle.store.registry import read_named, read_registry, read_study, with_absolute_paths

HEADER = "name\ttitle\tleft\tright\taliases\n"


def registry(tmp_path, text):
    path = tmp_path / "muscles.tsv"
    path.write_text(text)
    return read_registry(path)


def test_muscles_are_read_in_the_order_of_the_file(tmp_path):
    text = HEADER + "sartorius\tSartorius\t7141\t7142\tn/a\ngracilis\tGracilis\t7151\t7152\tGRA; slender one ;\n"
    muscles = registry(tmp_path, text)
    assert muscles.names == ("sartorius", "gracilis")
    assert muscles["sartorius"].aliases == ()
    assert muscles["gracilis"].aliases == ("GRA", "slender one")
    assert muscles.resolve("slender one L") == ("gracilis", Side.LEFT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\ttitle\tleft\n", "lacks the column(s) aliases, right."),
        (HEADER + "gracilis\tGracilis\tx\t7152\tn/a\n", "a code is not a whole number"),
        (HEADER + "gracilis\tGracilis\tn/a\t7152\tn/a\n", "a code is not a whole number"),
        (HEADER + "a\tA\t1\t2\tn/a\nb\tB\t2\t3\tn/a\n", "code 2 twice"),
    ],
)
def test_a_registry_that_cannot_be_used_is_named(tmp_path, text, message):
    with pytest.raises(LabelError) as caught:
        registry(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "muscles.tsv"))
    assert message in str(caught.value)


def test_a_name_stands_for_a_file_of_the_folder(tmp_path):
    (tmp_path / "null.yaml").write_text("title: Nothing differs\n")
    assert read_named(tmp_path, "null") == (
        {"title": "Nothing differs"},
        {(): 1, ("title",): 1},
        tmp_path / "null.yaml",
    )


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_file_of_ones_own_is_read_by_its_path(tmp_path, suffix):
    mine = tmp_path / f"mine{suffix}"
    mine.write_text("# What I think\ntitle: Mine\n")
    assert read_named(tmp_path / "scenarios", str(mine)) == ({"title": "Mine"}, {(): 2, ("title",): 2}, mine)


def test_an_unknown_name_gets_the_list_of_those_there_are(tmp_path):
    (tmp_path / "null.yaml").touch()
    (tmp_path / "degeneration.yaml").touch()
    with pytest.raises(SettingsError, match=r"nul\.yaml: there is no such file.*there are: degeneration, null\."):
        read_named(tmp_path, "nul")


def test_a_missing_study_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"study\.yaml: there is no such file"):
        read_study(tmp_path / "study.yaml")


def test_a_wrong_setting_is_reported_with_its_file(tmp_path):
    (tmp_path / "study.yaml").write_text("roi:\n  erosion_mm: thick\n")
    with pytest.raises(SettingsError) as caught:
        read_study(tmp_path / "study.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'study.yaml'}: roi.erosion_mm: ")


def test_absolute_paths_and_empty_ones_stay_as_they_are(tmp_path):
    study = Study().with_values(dataset=str(tmp_path / "scans"))
    assert with_absolute_paths(study, tmp_path / "elsewhere") == study


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    study = with_absolute_paths(Study().with_values(roi_table="~/values.csv"), tmp_path / "elsewhere")
    assert study.data.roi_table == str(tmp_path / "values.csv")


def test_a_look_up_table_for_labels_is_found_from_wherever_the_work_is_done(tmp_path):
    (tmp_path / "labels.tsv").write_text("index\tname\n1\tgracilis left\n")
    study = with_absolute_paths(Study().with_values(label_scheme="labels.tsv"), tmp_path)
    assert study.roi.label_scheme == str(tmp_path / "labels.tsv")


def test_a_label_scheme_that_is_no_file_keeps_its_name(tmp_path):
    (tmp_path / "qmritools").touch()
    study = Study().with_values(label_scheme="qmritools")
    assert with_absolute_paths(study, tmp_path) == study
