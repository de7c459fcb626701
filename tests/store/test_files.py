import json
import math
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dtimuscle.errors import DatasetError, GradientError, SettingsError
from dtimuscle.store import files, places


def one_line(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Whole or not at all


def write_half(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk is full")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "values.json"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError, match="disk"):
        write_half(path)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["values.json"]


def test_nobody_sees_a_file_before_it_is_whole(tmp_path):
    path = tmp_path / "values.json"
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["values.json"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "values.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert files.read_json(path) == {"a": 1}
    assert names_in(tmp_path) == ["values.json"]


def test_missing_folders_are_made(tmp_path):
    files.write_text(tmp_path / "a" / "b" / "text.txt", "x")
    assert (tmp_path / "a" / "b" / "text.txt").read_text() == "x"


def test_a_temporary_name_keeps_the_suffixes(tmp_path):
    with files.replacing(tmp_path / "sub-01_dwi.nii.gz") as temporary:
        assert temporary.name.endswith("-sub-01_dwi.nii.gz")
        temporary.touch()


def test_others_may_read_what_is_written_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "text.txt", "x")
        assert stat.S_IMODE((tmp_path / "text.txt").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


# Errors that name their place


def test_an_error_gets_its_file_in_front_and_stays_of_its_kind():
    with pytest.raises(GradientError, match=r"^sub-01\.bval: too few\.$"), files.naming(Path("sub-01.bval")):
        raise GradientError("too few.")


def test_a_place_is_not_named_twice():
    with pytest.raises(GradientError, match=r"^sub-01\.bval: too few\.$"), files.naming("sub-01.bval"):
        raise GradientError("sub-01.bval: too few.")


def test_errors_of_other_kinds_pass_through():
    with pytest.raises(KeyError, match=r"^'x'$"), files.naming("sub-01"):
        raise KeyError("x")


# Text, JSON, YAML


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert files.read_text(tmp_path / "text.txt") == "abc"


@pytest.mark.parametrize(
    ("read", "content", "kind", "message"),
    [
        (files.read_text, b"\xff\xfe\xfa", DatasetError, "cannot be read as UTF-8 text"),
        (files.read_text, None, DatasetError, "there is no such file"),
        (files.read_json, b'{"a": 1,\n}', DatasetError, "line 2: not valid JSON"),
        (files.read_json, None, DatasetError, "there is no such file"),
        (files.read_yaml, b"a: 1\nb: [1\n", SettingsError, "line 3: not valid YAML"),
        (files.read_yaml, b"a: \x00", SettingsError, "not valid YAML"),
        (files.read_yaml, b"a: *b\n", SettingsError, "line 1: not valid YAML"),
        (files.read_yaml, b"a: 1\n---\nb: 1\n", SettingsError, "line 2: not valid YAML"),
        (files.read_yaml, b"a: 1\n? [b]\n: 1\n", SettingsError, "line 2: not valid YAML (found unhashable key)"),
        (files.read_yaml, b"a: &a\n- 1\n- *a\n", SettingsError, "an alias stands within what it names"),
        (files.read_yaml, b"[" * 5000, SettingsError, "nested too deeply"),
        (
            files.read_yaml,
            b"a: 1\nb: 2\na: 1\n",
            SettingsError,
            "line 3: a: found twice; allowed: once (line 1 has it)",
        ),
        (
            files.read_yaml,
            b"a:\n- {b: 1}\n- b: 1\n  b: 2\n",
            SettingsError,
            "line 4: a.2.b: found twice; allowed: once",
        ),
        (files.read_yaml, b"# no fields\n- 1\n- 2\n", SettingsError, "line 2: holds a list, not names and values"),
        (files.read_yaml, b"\xff\xfe\xfa", SettingsError, "line 1: cannot be read as UTF-8 text"),
        (files.read_yaml, b"a: 1\nb: mm\xb2/s\n", SettingsError, "line 2: cannot be read as UTF-8 text"),
        (files.read_yaml, b"a: 1\nb: \x07\n", SettingsError, "line 2: not valid YAML"),
        (files.read_yaml, None, SettingsError, "there is no such file"),
        (files.read_tsv, b"", DatasetError, "cannot be read as a tab-separated table"),
        (files.read_tsv, b"a\tb\n1\t2\n1\t2\t3\n", DatasetError, "Expected 2 fields in line 3, saw 3"),
        (files.read_tsv, b"a\tb\n1\t2\t3\n", DatasetError, "its rows have more cells than its header"),
        (files.read_tsv, b"a\tb\n\xff\t2\n", DatasetError, "cannot be read as a tab-separated table"),
        (files.read_tsv, None, DatasetError, "there is no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path, read, content, kind, message):
    path = tmp_path / "file.any"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind) as caught:
        read(path)
    assert one_line(caught).startswith(str(path))
    assert message in one_line(caught)


def test_a_yaml_file_with_comments_only_is_an_empty_mapping(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert files.read_yaml(tmp_path / "a.yaml") == {}


def test_every_field_and_entry_of_a_yaml_file_has_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "# title\na: 1\nb:\n  - {c: 1,\n     d: 2}\n  - >-\n    long\n    text\n  - [x, y]\n"
    )
    values, lines = files.read_yaml_with_lines(tmp_path / "a.yaml")
    assert values == {"a": 1, "b": [{"c": 1, "d": 2}, "long text", ["x", "y"]]}
    assert lines == {
        (): 2,
        ("a",): 2,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 0, "c"): 4,
        ("b", 0, "d"): 5,
        ("b", 1): 6,
        ("b", 2): 9,
        ("b", 2, 0): 9,
        ("b", 2, 1): 9,
    }


def test_an_alias_has_the_lines_of_what_it_names(tmp_path):
    text = "base: &base {a: 1, b: 2}\nsame: *base\nmore:\n  <<: *base\n  b: 3\n"
    (tmp_path / "a.yaml").write_text(text)
    values, lines = files.read_yaml_with_lines(tmp_path / "a.yaml")
    assert values == yaml.safe_load(text)
    assert lines["same", "a"] == 1
    assert lines["more", "b"] == 5
    assert ("more", "a") not in lines


@pytest.mark.parametrize("path", sorted(places.scenarios_folder().parent.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_a_file_with_lines_holds_what_yaml_reads(path):
    values, lines = files.read_yaml_with_lines(path)
    assert values == yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {place[0] for place in lines if place} == set(values)


def test_yaml_survives_being_written_in_its_order(tmp_path):
    values = {"z": 1, "a": {"text": "001", "π": [1.5, True, None]}}
    files.write_yaml(tmp_path / "a.yaml", values)
    assert files.read_yaml(tmp_path / "a.yaml") == values
    assert list(files.read_yaml(tmp_path / "a.yaml")) == ["z", "a"]


def test_json_is_strict_even_for_what_it_has_no_word_for(tmp_path):
    values = {
        "nan": math.nan, "inf": np.float32(np.inf), "int": np.int16(3), "bool": np.bool_(True), "array": np.eye(2),
        "tuple": (1, 2.5), "path": tmp_path, "na": pd.NA, "nat": pd.NaT, 7: "seven",
    }  # fmt: skip
    files.write_json(tmp_path / "a.json", values)

    def refuse(word):
        raise AssertionError(word)

    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse) == {
        "nan": None, "inf": None, "int": 3, "bool": True, "array": [[1.0, 0.0], [0.0, 1.0]],
        "tuple": [1, 2.5], "path": str(tmp_path), "na": None, "nat": None, "7": "seven",
    }  # fmt: skip


# Tables

NUMBERS = (0.1 + 0.2, 1 / 3, 1.02e-3, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789)


def test_tables_in_json_have_a_row_on_each_line(tmp_path):
    values = {"name": "a", "tables": {"b": [{"x": 1.5, "y": math.nan}, {"x": np.float64(2), "y": "ü"}], "none": []}}
    files.write_json_in_rows(tmp_path / "a.json", values | {"nothing": {}})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").splitlines() == [
        "{",
        '  "name": "a",',
        '  "tables": {',
        '    "b": [',
        '      {"x": 1.5, "y": null},',
        '      {"x": 2.0, "y": "ü"}',
        "    ],",
        '    "none": []',
        "  },",
        '  "nothing": {}',
        "}",
    ]
    assert files.read_json(tmp_path / "a.json") == files.plain(values | {"nothing": {}})


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_in_a_table_are_not_rounded(tmp_path, number):
    files.write_tsv(tmp_path / "a.tsv", pd.DataFrame({"x": [number]}))
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [number]}))
    assert repr(float(files.read_tsv(tmp_path / "a.tsv").loc[0, "x"])) == repr(number)
    assert repr(float((tmp_path / "a.csv").read_text().split()[1])) == repr(number)


def test_every_cell_of_a_table_is_text_and_na_is_missing(tmp_path):
    (tmp_path / "a.tsv").write_text("participant_id\tgrade\tnote\n001\t3\tNA\nsub-2\tn/a\tNone\n", encoding="utf-8")
    table = files.read_tsv(tmp_path / "a.tsv")
    assert table["participant_id"].tolist() == ["001", "sub-2"]
    assert table["grade"].iloc[0] == "3"
    assert table["grade"].isna().tolist() == [False, True]
    assert table["note"].tolist() == ["NA", "None"]  # only n/a is missing in BIDS


def test_what_is_missing_is_written_as_bids_wants_it(tmp_path):
    files.write_tsv(tmp_path / "a.tsv", pd.DataFrame({"a": [1.5, np.nan], "b": [None, "x"]}))
    assert (tmp_path / "a.tsv").read_bytes() == b"a\tb\n1.5\tn/a\nn/a\tx\n"


def test_a_digest_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # Known answer of FIPS 180-2, appendix B.1.
    assert files.file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# Places


def test_what_ships_with_the_clone_is_where_places_say():
    assert places.study_file().is_file()
    assert places.registry_file().is_file()
    assert places.published_folder().is_dir()
    assert places.notebooks_folder().is_dir()
    assert places.reports_folder().is_dir()


def test_generated_files_go_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DTIMUSCLE_CACHE", str(tmp_path / "scratch"))
    assert places.simulated_folder() == tmp_path / "scratch" / "simulated"
    assert places.derivatives_folder() == tmp_path / "scratch" / "derivatives"


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_generated_files_go_to_data(monkeypatch, value):
    monkeypatch.delenv("DTIMUSCLE_CACHE")
    if value is not None:
        monkeypatch.setenv("DTIMUSCLE_CACHE", value)
    assert places.cache_folder() == places.ROOT / "data"
