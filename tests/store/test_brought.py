import json
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyreadstat
import pytest

from dtimuscle.errors import LabelError, ParticipantsError, RoiTableError
from dtimuscle.issues import Severity
from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.roi_table import COLUMNS
from dtimuscle.store.brought import BroughtTable, read_brought_table

REGISTRY = MuscleRegistry(
    (
        Muscle("gracilis", "Gracilis", 7151, 7152, ("GRA",)),
        Muscle("adductor_longus", "Adductor longus", 7211, 7212, ("AL", "long adductor femoris")),
        Muscle("adductor_magnus", "Adductor magnus", 7201, 7202, ("AM", "adductor femoris")),
    )
)

WIDE = """\
participant_id,lovett_grade,age,gracilis_fa,gracilis_md [1e-3 mm2/s]
001,3,71,0.21,1.02
002,5,64,0.33,1.74
"""


def read(folder: Path, text: str, *, name: str = "table.csv", **options: str) -> BroughtTable:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_brought_table(path, REGISTRY, **options)


def value(brought: BroughtTable, participant: str, muscle: str, parameter: str, side: str = "both") -> float:
    rows = brought.roi_table.set_index(["participant_id", "muscle", "parameter", "side"])
    return float(rows.loc[(participant, muscle, parameter, side), "mean"])


def write_excel(path: Path, rows: list[list[object]], **formats: str) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, number_format in formats.items():
        book.active[cell].number_format = number_format
    book.save(path)
    return path


# Layouts and formats


def test_a_wide_table_becomes_a_roi_table_and_participants(tmp_path):
    brought = read(tmp_path, WIDE)
    assert tuple(brought.roi_table.columns) == COLUMNS
    assert brought.roi_table["participant_id"].tolist() == ["001", "001", "002", "002"]
    assert value(brought, "001", "gracilis", "md") == pytest.approx(1.02e-3, abs=1e-15)
    assert value(brought, "002", "gracilis", "fa") == 0.33
    assert set(brought.roi_table["route"]) == {"voxelwise"}
    assert brought.participants is not None
    assert brought.participants["lovett_grade"].tolist() == [3, 5]
    assert brought.participants["age"].tolist() == [71.0, 64.0]
    assert brought.issues == ()


def test_semicolons_with_decimal_commas_give_the_same_table(tmp_path):
    european = WIDE.replace(",", ";").replace(".", ",")
    pd.testing.assert_frame_equal(read(tmp_path, european).roi_table, read(tmp_path, WIDE).roi_table)


def test_semicolons_with_decimal_points_are_read(tmp_path):
    assert value(read(tmp_path, WIDE.replace(",", ";")), "001", "gracilis", "fa") == 0.21


def test_quoted_decimal_commas_in_a_comma_separated_file_are_read(tmp_path):
    assert value(read(tmp_path, 'id,gracilis_fa\na,"0,25"\nb,"0,5"\n'), "a", "gracilis", "fa") == 0.25


def test_tabs_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    text = "\ufeff" + WIDE.replace(",", "\t").replace("\n", "\r\n")
    path = tmp_path / "table.tsv"
    path.write_bytes(text.encode("utf-8"))
    assert value(read_brought_table(path, REGISTRY), "002", "gracilis", "md") == pytest.approx(1.74e-3, abs=1e-15)


def test_a_reduced_long_table_is_read_with_sides_and_repeated_covariates(tmp_path):
    brought = read(
        tmp_path,
        "participant_id,muscle,side,parameter,value,unit,lovett_grade\n"
        "01,long adductor femoris,left,ADC,1.04,10-3 mm2/s,2\n"
        "01,Gracilis R,,FA,0.3,,2\n"
        "02,GRA,both,MD,0.0017,mm2/s,4\n",
    )
    assert value(brought, "01", "adductor_longus", "md", "left") == pytest.approx(1.04e-3, abs=1e-15)
    assert value(brought, "01", "gracilis", "fa", "right") == 0.3
    assert value(brought, "02", "gracilis", "md") == 0.0017
    assert brought.participants is not None
    assert brought.participants["lovett_grade"].tolist() == [2, 4]


def test_the_kits_own_schema_comes_back_unchanged(tmp_path):
    table = pd.DataFrame(
        {
            "participant_id": ["01", "01"], "session": ["", ""], "muscle": ["gracilis", "gracilis"],
            "side": ["left", "both"], "parameter": ["md", "fa"], "route": ["mean_signal", "voxelwise"],
            "unit": ["mm2/s", "1"], "mean": [0.0015123456789, 0.3], "median": [np.nan, 0.31], "sd": [np.nan, 0.05],
            "q25": [np.nan, 0.25], "q75": [np.nan, 0.35], "n_label": [120.0, 240.0], "n_kept": [80.0, 160.0],
            "n_eroded": [40.0, 80.0], "n_unusable": [0.0, 0.0], "is_simulated": [True, True],
            "labels": ["propagated", ""],
        }
    )  # fmt: skip
    text = table.to_csv(sep="\t", index=False, na_rep="n/a")
    brought = read(tmp_path, text, name="roi.tsv")
    pd.testing.assert_frame_equal(brought.roi_table, table, check_dtype=False, check_exact=True)
    assert brought.participants is None


def test_excel_numbers_become_identifiers_without_a_decimal_point(tmp_path):
    rows = [["ID", "Gracilis FA", "comment"], [1.0, 0.3, None], [2, 0.4, None], [None, None, None]]
    brought = read_brought_table(write_excel(tmp_path / "t.xlsx", rows), REGISTRY)
    assert brought.roi_table["participant_id"].tolist() == ["1", "2"]
    assert value(brought, "2", "gracilis", "fa") == 0.4


def test_excel_text_and_zero_padded_identifiers_keep_their_zeros(tmp_path):
    rows = [["participant_id", "gracilis_fa"], ["001", 0.3], [2, 0.4]]
    brought = read_brought_table(write_excel(tmp_path / "t.xlsx", rows, A3="000"), REGISTRY)
    assert brought.roi_table["participant_id"].tolist() == ["001", "002"]


def test_further_excel_sheets_are_named_in_an_issue(tmp_path):
    path = write_excel(tmp_path / "t.xlsx", [["id", "gracilis_fa"], ["a", 0.3]])
    book = openpyxl.load_workbook(path)
    book.create_sheet("left over")
    book.save(path)
    (issue,) = read_brought_table(path, REGISTRY).issues
    assert "left over" in issue.what


def test_spss_labels_titles_and_user_missing_values_are_understood(tmp_path):
    path = tmp_path / "study.sav"
    frame = pd.DataFrame(
        {"pat_id": [1.0, 2.0], "mrc": [4.0, 6.0], "sex": [1.0, 2.0], "v1": [1.02, 9.0], "gra_fa": [0.2, 0.3]}
    )
    pyreadstat.write_sav(
        frame.rename(columns={"pat_id": "patient_id", "mrc": "lovett_grade"}),
        path,
        column_labels=["Patient", "Lovett", "Sex", "Gracilis ADC [10⁻³ mm²/s]", ""],
        variable_value_labels={
            "lovett_grade": {4.0: "Grade 3", 6.0: "Grade 5"},
            "sex": {1.0: "female", 2.0: "male"},
        },
        missing_ranges={"v1": [9.0]},
    )
    brought = read_brought_table(path, REGISTRY)
    assert brought.participants is not None
    assert brought.participants["participant_id"].tolist() == ["1", "2"]
    assert brought.participants["lovett_grade"].tolist() == [3, 5]
    assert brought.participants["sex"].tolist() == ["F", "M"]
    assert value(brought, "1", "gracilis", "md") == pytest.approx(1.02e-3, abs=1e-15)
    assert np.isnan(value(brought, "2", "gracilis", "md"))


def test_an_spss_grade_whose_label_has_no_number_keeps_its_code(tmp_path):
    path = tmp_path / "study.sav"
    pyreadstat.write_sav(
        pd.DataFrame({"id": ["a", "b"], "lovett": [3.0, 4.0], "gracilis_fa": [0.2, 0.3]}),
        path,
        variable_value_labels={"lovett": {3.0: "fair", 4.0: "good"}},
    )
    brought = read_brought_table(path, REGISTRY)
    assert brought.participants is not None
    assert brought.participants["lovett_grade"].tolist() == [3, 4]


# Names


@pytest.mark.parametrize(
    ("header", "muscle", "side", "parameter"),
    [
        ("adductor_longus_fa", "adductor_longus", "both", "fa"),
        ("adductor_longus.fa", "adductor_longus", "both", "fa"),
        ("FA_adductor_longus_left", "adductor_longus", "left", "fa"),
        ("Gracilis FA", "gracilis", "both", "fa"),
        ("GracilisFA", "gracilis", "both", "fa"),
        ("AL_R_FA", "adductor_longus", "right", "fa"),
        ("long adductor femoris ADC [mm2/s]", "adductor_longus", "both", "md"),
        ("Mean diffusivity gracilis (mm²/s)", "gracilis", "both", "md"),
        ("gracilis_rd [mm2/s]", "gracilis", "both", "rd"),
        ("gracilis_ad [mm2/s]", "gracilis", "both", "ad"),
    ],
)
def test_headers_are_resolved_to_muscle_side_and_parameter(tmp_path, header, muscle, side, parameter):
    (row,) = read(tmp_path, f"id,{header}\na,0.0014\n").roi_table.to_dict("records")
    assert (row["muscle"], row["side"], row["parameter"]) == (muscle, side, parameter)


def test_a_misspelt_muscle_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(LabelError, match=r"table\.csv, column 'gracils_fa'.*Did you mean gracilis"):
        read(tmp_path, "id,gracils_fa\na,0.3\n")


def test_two_headers_for_one_value_are_refused(tmp_path):
    with pytest.raises(RoiTableError, match="'AL_fa' and 'adductor_longus FA' are both fa of adductor_longus"):
        read(tmp_path, "id,AL_fa,adductor_longus FA\na,0.3,0.3\n")


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(RoiTableError, match="'gracilis_fa' stands twice"):
        read(tmp_path, "id,gracilis_fa,gracilis_fa\na,0.3,0.3\n")


def test_two_columns_of_identifiers_are_refused(tmp_path):
    with pytest.raises(RoiTableError, match="'subject' and 'id' are both participant_id"):
        read(tmp_path, "subject,id,gracilis_fa\na,b,0.3\n")


def test_a_muscle_whose_own_side_contradicts_its_column_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="'gracilis left' stands beside the side 'right'"):
        read(tmp_path, "id,muscle,side,parameter,value\na,gracilis left,right,fa,0.3\n")


def test_an_unknown_parameter_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"parameter 'T2' is not one of FA, MD \(ADC\), AD, RD"):
        read(tmp_path, "id,muscle,parameter,value\na,gracilis,T2,31\n")


# Units


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("mm2/s", 1.0), ("mm²/s", 1.0), ("mm^2/s", 1.0), ("mm²·s⁻¹", 1.0),
        ("10-3 mm2/s", 1e-3), ("x10-3 mm2/s", 1e-3), ("× 10⁻³ mm²/s", 1e-3), ("10^-3 mm^2/s", 1e-3),
        ("1e-3 mm2/s", 1e-3), ("µm²/ms", 1e-3), ("um2/ms", 1e-3), ("10⁻⁶ mm²/s", 1e-6), ("um2/s", 1e-6),
    ],
)  # fmt: skip
def test_spellings_of_a_unit_convert_to_mm2_per_s(tmp_path, unit, factor):
    brought = read(tmp_path, f"id,gracilis_md [{unit}]\na,{1.5e-3 / factor:g}\n")
    assert value(brought, "a", "gracilis", "md") == pytest.approx(1.5e-3, rel=1e-12)


def test_a_unit_that_nobody_states_is_not_guessed(tmp_path):
    with pytest.raises(RoiTableError, match=r"nothing says which unit gracilis_md is in.*table\.json"):
        read(tmp_path, "id,gracilis_md\na,1.5\n")


def test_the_caller_may_state_the_unit(tmp_path):
    brought = read(tmp_path, "id,gracilis_md\na,1.5\n", diffusivity_unit="um2/ms")
    assert value(brought, "a", "gracilis", "md") == pytest.approx(1.5e-3, abs=1e-15)


@pytest.mark.parametrize("key", ["md", "ADC", "gracilis_md"])
def test_a_sidecar_may_state_the_unit(tmp_path, key):
    (tmp_path / "table.json").write_text(json.dumps({key: {"Units": "1e-3 mm2/s"}, "id": {"Description": "who"}}))
    assert value(read(tmp_path, "id,gracilis_md\na,1.5\n"), "a", "gracilis", "md") == pytest.approx(1.5e-3, abs=1e-15)


def test_two_statements_of_a_unit_that_differ_are_refused(tmp_path):
    with pytest.raises(RoiTableError, match="stated as 1e-3 mm2/s and as mm2/s"):
        read(tmp_path, "id,gracilis_md [mm2/s]\na,0.0015\n", diffusivity_unit="1e-3 mm2/s")


def test_an_unknown_unit_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"the unit 'cm2/s' of gracilis_md is not known\. Allowed: mm2/s"):
        read(tmp_path, "id,gracilis_md [cm2/s]\na,1.5\n")


def test_fa_with_a_unit_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"gracilis_fa has the unit '%', but FA has none"):
        read(tmp_path, "id,gracilis_fa [%]\na,30\n")


def test_a_diffusivity_header_unit_leaves_fa_rows_alone(tmp_path):
    brought = read(tmp_path, "id,muscle,parameter,value [um2/ms]\na,gracilis,md,1.5\na,gracilis,fa,0.3\n")
    assert value(brought, "a", "gracilis", "fa") == 0.3


@pytest.mark.parametrize(("unit", "number"), [("mm2/s", "1.5"), ("1e-3 mm2/s", "0.0015")])
def test_a_value_that_no_tissue_has_names_participant_and_unit(tmp_path, unit, number):
    with pytest.raises(RoiTableError, match=r"007 has MD .* mm²/s in gracilis.*unit may be wrong"):
        read(tmp_path, f"id,gracilis_md [{unit}]\n007,{number}\n")


def test_fa_in_percent_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"007 has FA 31 in gracilis.*percent"):
        read(tmp_path, "id,gracilis_fa\n007,31\n")


def test_fa_just_above_one_is_kept_and_reported(tmp_path):
    brought = read(tmp_path, "id,gracilis_fa\na,1.05\nb,0.3\n")
    assert value(brought, "a", "gracilis", "fa") == 1.05
    (issue,) = brought.issues
    assert issue.severity is Severity.WARNING
    assert "FA above 1 in 1 values (a)" in issue.what


# Cells


def test_missing_values_stay_missing_and_are_counted(tmp_path):
    brought = read(tmp_path, "id,gracilis_fa,AL_fa\na,n/a,0.3\nb,,.\nc,0.2,0.3\n")
    assert np.isnan(value(brought, "a", "gracilis", "fa"))
    (issue,) = brought.issues
    assert issue.what == "3 of 6 values are missing: gracilis.fa 2, adductor_longus.fa 1."


def test_text_among_the_values_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"b has gracilis_fa 'low', which is no number"):
        read(tmp_path, "id,gracilis_fa\na,0.3\nb,low\n")


def test_decimal_commas_and_points_in_one_file_are_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"decimal commas \('0,31'\) and decimal points \('0\.42'\)"):
        read(tmp_path, "id;gracilis_fa\na;0,31\nb;0.42\n")


def test_a_row_with_a_cell_too_many_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="row 3 has 3 cells, the header 2"):
        read(tmp_path, "id,gracilis_fa\na,0.3\nb,0,42\n")


def test_a_column_without_a_name_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="column 2 has no name"):
        read(tmp_path, "id,,gracilis_fa\na,1,0.3\n")


def test_is_simulated_is_respected(tmp_path):
    brought = read(tmp_path, "id,gracilis_fa,is_simulated\na,0.3,True\nb,0.3,FALSE\n")
    assert brought.roi_table["is_simulated"].tolist() == [True, False]


def test_an_unclear_is_simulated_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="is_simulated is 'perhaps'"):
        read(tmp_path, "id,gracilis_fa,is_simulated\na,0.3,perhaps\n")


# Participants


def test_unknown_numeric_columns_are_covariates_and_text_is_left_out(tmp_path):
    brought = read(tmp_path, "id,gracilis_fa,calcium,hospital\na,0.3,2.3,north\nb,0.3,2.4,south\n")
    assert brought.participants is not None
    assert brought.participants["calcium"].tolist() == [2.3, 2.4]
    assert "hospital" not in brought.participants
    assert [issue.what for issue in brought.issues] == [
        "columns kept as covariates: calcium.",
        "columns without numbers left out: hospital.",
    ]
    assert {issue.severity for issue in brought.issues} == {Severity.NOTE}


def test_a_table_of_values_alone_has_no_participants(tmp_path):
    assert read(tmp_path, "id,gracilis_fa\na,0.3\n").participants is None


@pytest.mark.parametrize("written", ["3", "3.0", "Grade 3", "3/5", "3 = fair", "fair (3)", "MRC 3"])
def test_ways_of_writing_a_grade_are_understood(tmp_path, written):
    brought = read(tmp_path, f"id,gracilis_fa,grade\na,0.3,{written}\n")
    assert brought.participants is not None
    assert brought.participants["lovett_grade"].tolist() == [3]


@pytest.mark.parametrize("written", ["4-", "3+", "-1", "6", "3.5", "12", "2 or 3", "good"])
def test_a_grade_that_is_not_a_whole_number_from_0_to_5_is_refused(tmp_path, written):
    with pytest.raises(ParticipantsError, match="a has Lovett grade"):
        read(tmp_path, f"id,gracilis_fa,grade\na,0.3,{written}\n")


def test_a_duration_in_another_unit_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"disease_duration is in years; the column 'duration \[months\]'"):
        read(tmp_path, "id,gracilis_fa,duration [months]\na,0.3,24\n")


def test_a_body_mass_index_may_state_its_unit(tmp_path):
    brought = read(tmp_path, "id,gracilis_fa,BMI [kg/m²]\na,0.3,24\n")
    assert brought.participants is not None
    assert brought.participants["bmi"].tolist() == [24.0]


def test_a_participant_twice_in_a_wide_table_is_refused(tmp_path):
    with pytest.raises((RoiTableError, ParticipantsError), match=r"a.* stands twice"):
        read(tmp_path, "id,gracilis_fa,age\na,0.3,70\na,0.4,70\n")


def test_a_value_twice_in_a_long_table_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="a, gracilis both, fa"):
        read(tmp_path, "id,muscle,parameter,value\na,gracilis,fa,0.3\na,GRA,FA,0.4\n")


def test_a_participant_with_two_ages_in_a_long_table_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="a has more than one value of age"):
        read(tmp_path, "id,muscle,parameter,value,age\na,gracilis,fa,0.3,70\na,AL,FA,0.4,71\n")


def test_a_row_without_an_identifier_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="row 2 of the data has no participant_id"):
        read(tmp_path, "id,gracilis_fa\na,0.3\n,0.4\n")


# Files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header with rows below it"),
        ("id,gracilis_fa\n", "no header with rows below it"),
        ("name,gracilis_fa\na,0.3\n", r"no column participant_id \(columns: name, gracilis_fa\)"),
        ("id,age\na,70\n", "no column holds muscle values"),
        ("id,fa\na,0.3\n", "the column 'fa' names no muscle"),
        ("id,muscle,parameter\na,gracilis,fa\n", "no column value"),
    ],
)
def test_a_table_that_cannot_be_used_says_what_it_lacks(tmp_path, text, message):
    with pytest.raises(RoiTableError, match=rf"table\.csv: .*{message}"):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match="there is no such file"):
        read_brought_table(tmp_path / "gone.csv", REGISTRY)


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(RoiTableError, match=r"one of \.csv, \.tsv, \.xlsx, \.sav"):
        read(tmp_path, WIDE, name="table.xls")


@pytest.mark.parametrize("name", ["broken.xlsx", "broken.sav"])
def test_a_damaged_file_is_refused(tmp_path, name):
    with pytest.raises(RoiTableError, match="cannot be read as an"):
        read(tmp_path, WIDE, name=name)
