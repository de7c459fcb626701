"""From ROI tables to values side by side."""

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import RoiTableError, StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.roi_table import UNITS
from dtimuscle.statistics.repeated import between_readers, between_sessions, repeated_values


def roi_table(values, *, side="both", route="voxelwise"):
    """Rows of a ROI table from (participant, session, muscle, parameter): value."""
    rows = [
        {
            "participant_id": who, "session": session, "muscle": muscle, "side": side, "parameter": parameter,
            "route": route, "unit": UNITS[parameter], "mean": value, "median": value + 1, "sd": 0.1, "q25": value,
            "q75": value, "n_label": 100, "n_kept": 90, "n_eroded": 10, "n_unusable": 0, "is_simulated": True,
        }
        for (who, session, muscle, parameter), value in values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def twice(people=("sub-1", "sub-2", "sub-3"), sessions=("ses-1", "ses-2")):
    return {
        (who, session, "gracilis", parameter): 10 * i + j + (100 if parameter == "md" else 0)
        for i, who in enumerate(people)
        for j, session in enumerate(sessions)
        for parameter in ("md", "fa")
    }


def test_sessions_of_a_roi_table_stand_side_by_side():
    found = between_sessions(roi_table(twice()))
    assert found.occasions == ("ses-1", "ses-2")
    assert found.features == ("gracilis.fa", "gracilis.md")
    assert found.of("gracilis.md").to_numpy().tolist() == [[100, 101], [110, 111], [120, 121]]
    assert found.issues == ()


def test_the_statistic_that_is_asked_for_is_used():
    found = between_sessions(roi_table(twice()), statistic="median", parameters=("fa",))
    assert found.features == ("gracilis.fa",)
    assert found.of("gracilis.fa").iloc[0].tolist() == [1, 2]


def test_someone_without_the_second_session_is_kept_as_missing_and_named():
    values = {key: value for key, value in twice().items() if key[:2] != ("sub-2", "ses-2")}
    found = between_sessions(roi_table(values))
    assert np.isnan(found.of("gracilis.fa").loc["sub-2", "ses-2"])
    assert [issue.severity for issue in found.issues] == [Severity.WARNING]
    assert found.issues[0].what.startswith("sub-2: no value of at least one session")


def test_sessions_can_be_chosen_in_any_order():
    table = roi_table(twice(sessions=("ses-1", "ses-2", "ses-3")))
    found = between_sessions(table, sessions=("ses-3", "ses-1"))
    assert found.occasions == ("ses-3", "ses-1")
    assert found.of("gracilis.fa").loc["sub-1"].tolist() == [2, 0]


def test_sessions_named_by_date_are_paired_by_order():
    values = {
        (who, f"ses-2026{month + 2 * i:02d}", "gracilis", "fa"): 10 * i + month
        for i, who in enumerate(("sub-1", "sub-2", "sub-3"))
        for month in (1, 2)
    }
    found = between_sessions(roi_table(values), pairing="order")
    assert found.occasions == ("session 1", "session 2")
    assert found.of("gracilis.fa").to_numpy().tolist() == [[1, 2], [11, 12], [21, 22]]


def test_ten_sessions_keep_their_order():
    values = {("sub-1", f"ses-{i:02d}", "gracilis", "fa"): i for i in range(11)}
    found = between_sessions(roi_table(values), pairing="order")
    assert found.of("gracilis.fa").iloc[0].tolist() == list(range(11))


def test_a_table_with_one_session_is_refused():
    with pytest.raises(StatisticsError, match="two different occasions needed"):
        between_sessions(roi_table(twice(sessions=("ses-1",))))


def test_a_session_that_is_not_there_is_refused():
    with pytest.raises(StatisticsError, match="occasion 'ses-9' not found"):
        between_sessions(roi_table(twice()), sessions=("ses-1", "ses-9"))


def test_a_side_that_is_not_there_is_refused():
    with pytest.raises(RoiTableError, match="no fa or md for route voxelwise, side left"):
        between_sessions(roi_table(twice()), side="left")


@pytest.mark.parametrize("choice", [{"route": "x"}, {"statistic": "x"}, {"side": "x"}, {"pairing": "x"}])
def test_unknown_choices_are_refused(choice):
    with pytest.raises(StatisticsError, match="'x' found"):
        between_sessions(roi_table(twice()), **choice)


def test_readers_stand_side_by_side():
    first, second = roi_table(twice(sessions=("",))), roi_table(twice(sessions=("",)))
    second["mean"] += 0.5
    found = between_readers({"A": first, "B": second})
    assert found.occasions == ("A", "B")
    assert (found.of("gracilis.fa")["B"] - found.of("gracilis.fa")["A"]).tolist() == [0.5] * 3


def test_readers_are_compared_in_the_first_session_that_both_have_read():
    first = roi_table(twice())
    second = first[(first["session"] == "ses-2") | (first["participant_id"] != "sub-1")]
    found = between_readers({"A": first, "B": second})
    assert found.of("gracilis.fa").loc["sub-1"].tolist() == [1, 1]
    assert found.of("gracilis.fa").loc["sub-2"].tolist() == [10, 10]
    assert "several sessions" in found.issues[0].what


def test_readers_of_different_sessions_are_not_mixed_up():
    first = roi_table(twice(people=("sub-1", "sub-2")))
    second = first[(first["participant_id"] == "sub-2") | (first["session"] == "ses-2")]
    first = first[(first["participant_id"] == "sub-2") | (first["session"] == "ses-1")]
    found = between_readers({"A": first, "B": second})
    assert "sub-1" not in found.of("gracilis.fa").index
    assert any("no session in common" in issue.what for issue in found.issues)
    with pytest.raises(StatisticsError, match="no session of a participant in common"):
        between_readers({"A": first[first["session"] == "ses-1"], "B": second[second["session"] == "ses-2"]})


def test_a_participant_whom_one_reader_has_not_read_is_named():
    table = roi_table(twice(sessions=("",)))
    found = between_readers({"A": table, "B": table[table["participant_id"] != "sub-3"]})
    assert found.of("gracilis.fa")["B"].isna().tolist() == [False, False, True]
    assert found.issues[0].what.startswith("sub-3: no value of at least one reader of A, B")


def test_one_reader_is_refused():
    with pytest.raises(StatisticsError, match="1 reader"):
        between_readers({"A": roi_table(twice())})


def test_a_frame_that_somebody_brings_is_checked():
    rows = pd.DataFrame(
        {"participant_id": ["a", "a", "b", "b"], "occasion": [1, 2, 1, 2], "feature": "x", "value": [1.0, 2, 3, np.inf]}
    )
    found = repeated_values(rows)
    assert found.occasions == ("1", "2")
    assert np.isnan(found.of("x").loc["b", "2"])
    assert "infinite" in found.issues[0].what
    with pytest.raises(StatisticsError, match="stands twice"):
        repeated_values(pd.concat([rows, rows.head(1)]))
    with pytest.raises(StatisticsError, match="value 'unknown' found"):
        repeated_values(rows.astype({"value": object}).replace({"value": {2.0: "unknown"}}))
    with pytest.raises(StatisticsError, match="feature missing"):
        repeated_values(rows.drop(columns="feature"))
