import pandas as pd
import pytest

from dtimuscle.errors import RoiTableError
from dtimuscle.roi_table import COLUMNS, check_roi_table, left_right_differences, select_values, summarise_muscles


def row(**changes) -> dict:
    return {
        "participant_id": "sub-01", "session": "", "muscle": "gracilis", "side": "left", "parameter": "fa",
        "route": "voxelwise", "unit": "1", "mean": 0.31, "median": 0.3, "sd": 0.02, "q25": 0.29, "q75": 0.33,
        "n_label": 120, "n_kept": 80, "n_eroded": 38, "n_unusable": 2, "is_simulated": False, "labels": "drawn",
    } | changes  # fmt: skip


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows)


def test_a_sound_table_passes_with_its_columns_in_order():
    shuffled = table(row())[list(reversed(COLUMNS))].assign(remark="x")
    checked = check_roi_table(shuffled, source="roi.tsv")
    assert tuple(checked.columns) == COLUMNS
    assert checked.loc[0, "mean"] == 0.31


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "labels"])
def test_every_column_is_needed(column):
    with pytest.raises(RoiTableError, match=rf"roi\.tsv: the ROI table lacks the column\(s\) {column}\."):
        check_roi_table(table(row()).drop(columns=column), source="roi.tsv")


@pytest.mark.parametrize(
    ("column", "word", "allowed"),
    [
        ("parameter", "adc", "fa, md"),
        ("route", "mean", "voxelwise"),
        ("side", "L", "left"),
        ("labels", "guessed", "drawn"),
    ],
)
def test_words_outside_the_schema_are_refused_and_the_allowed_ones_listed(column, word, allowed):
    with pytest.raises(RoiTableError, match=f"{column} '{word}' is not one of .*{allowed}"):
        check_roi_table(table(row(**{column: word})), source="roi.tsv")


def test_a_diffusivity_in_another_unit_is_refused_not_converted():
    with pytest.raises(RoiTableError, match="md of gracilis has unit '1e-3 mm2/s', not 'mm2/s'"):
        check_roi_table(table(row(), row(parameter="md", unit="1e-3 mm2/s")), source="roi.tsv")


def test_a_row_that_stands_twice_is_refused():
    with pytest.raises(RoiTableError, match=r"sub-01, gracilis left, fa \(voxelwise\) stands twice"):
        check_roi_table(table(row(), row(mean=0.4)), source="roi.tsv")


@pytest.mark.parametrize(
    "change", [{"session": "ses-2"}, {"side": "right"}, {"route": "mean_signal"}, {"participant_id": "sub-02"}]
)
def test_rows_that_differ_in_a_key_are_two(change):
    assert len(check_roi_table(table(row(), row(**change)), source="roi.tsv")) == 2


def test_a_table_that_does_not_say_where_its_labels_come_from_says_so():
    assert list(check_roi_table(table(row()).drop(columns="labels"), source="roi.tsv")["labels"]) == [""]


def test_an_empty_table_is_a_table():
    assert check_roi_table(pd.DataFrame(columns=list(COLUMNS)), source="roi.tsv").empty


def test_the_value_of_a_study_comes_from_its_route_statistic_and_side():
    both = table(row(), row(side="right", mean=0.5), row(route="mean_signal", mean=0.25, median=float("nan")))
    chosen = select_values(both, route="voxelwise", statistic="median", side="left")
    assert chosen["value"].tolist() == [0.3]
    assert select_values(both, route="voxelwise", statistic="mean", side="right")["value"].tolist() == [0.5]


def test_the_mean_signal_has_one_value_whatever_the_statistic():
    rows = table(row(route="mean_signal", mean=0.25, median=float("nan")))
    assert select_values(rows, route="mean_signal", statistic="median", side="left")["value"].tolist() == [0.25]


def test_muscles_are_summarised_over_participants_and_missing_values_counted():
    rows = [
        row(participant_id=who, parameter=parameter, unit=unit, mean=value, n_kept=n)
        for parameter, unit, values in (("fa", "1", (0.2, 0.4, float("nan"))), ("md", "mm2/s", (1e-3, 2e-3, 3e-3)))
        for who, value, n in zip(("a", "b", "c"), values, (10, 20, 60), strict=True)
    ]
    (found,) = summarise_muscles(table(*rows), route="voxelwise", statistic="mean", side="left").to_dict("records")
    assert found == {
        "muscle": "gracilis", "n": 2, "n_missing": 1, "n_label": 120, "n_kept": 20, "fa_mean": pytest.approx(0.3),
        "fa_sd": pytest.approx(0.02**0.5), "md_mean": pytest.approx(2e-3), "md_sd": pytest.approx(1e-3),
    }  # fmt: skip


def test_the_left_side_is_held_against_the_right_in_units_and_percent():
    rows = [
        row(participant_id=who, muscle=muscle, side=side, mean=value)
        for who, muscle, side, value in (
            ("a", "gracilis", "left", 0.3), ("a", "gracilis", "right", 0.2), ("b", "gracilis", "right", 0.25),
            ("b", "gracilis", "left", float("nan")), ("a", "sartorius", "left", 0.4), ("a", "sartorius", "both", 0.4),
        )
    ]  # fmt: skip
    found = left_right_differences(table(*rows), route="voxelwise", statistic="mean")
    assert found[["participant_id", "muscle"]].values.tolist() == [["a", "gracilis"], ["b", "gracilis"]]
    assert found["difference"].tolist() == [pytest.approx(0.1), pytest.approx(float("nan"), nan_ok=True)]
    assert found["percent"].tolist() == [pytest.approx(40.0), pytest.approx(float("nan"), nan_ok=True)]
