import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import ParticipantsError, RoiTableError, StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.roi_table import COLUMNS, UNITS
from dtimuscle.statistics.features import feature_frame, feature_name, require_both_groups, split_feature


def roi_rows(participant, *, muscle="gracilis", side="both", route="voxelwise", session="", fa=0.3, md=1.7e-3):
    common = {"participant_id": participant, "session": session, "muscle": muscle, "side": side, "route": route}
    spread = {"sd": 0.1, "q25": 0.1, "q75": 0.2, "n_label": 90, "n_kept": 60, "n_eroded": 30, "n_unusable": 0}
    return [
        common | spread | {"parameter": p, "unit": UNITS[p], "mean": v, "median": 2 * v, "is_simulated": True}
        for p, v in (("fa", fa), ("md", md))
    ]


def table(*rows):
    return pd.DataFrame([row for group in rows for row in group], columns=list(COLUMNS))


def people(grades, **columns):
    names = [f"{i:03d}" for i in range(1, len(grades) + 1)]
    return pd.DataFrame({"participant_id": names, "lovett_grade": grades, **columns})


TWO = table(roi_rows("001", fa=0.2), roi_rows("002", fa=0.4))


def test_one_row_per_participant_with_grade_and_group():
    features = feature_frame(TWO, people([3, 4], age=[70, 80]))
    assert features.values.columns.tolist() == ["gracilis.fa", "gracilis.md"]
    assert features.values.loc["001"].tolist() == [0.2, 1.7e-3]
    assert features.grade.tolist() == [3, 4]
    assert features.poor.tolist() == [True, False]
    assert features.poor.dtype == "boolean"
    assert features.covariates.columns.tolist() == ["age"]
    assert (features.n_poor, features.n_good, features.muscles, features.issues) == (1, 1, ("gracilis",), ())


def test_the_border_between_the_groups_can_be_moved():
    assert feature_frame(TWO, people([3, 4]), poor_below_grade=3).poor.tolist() == [False, False]


def test_the_median_can_stand_for_a_muscle():
    assert feature_frame(TWO, people([3, 4]), statistic="median").values.loc["002", "gracilis.fa"] == 0.8


def test_route_and_side_select_their_rows():
    rows = table(
        roi_rows("001", fa=0.1), roi_rows("001", fa=0.2, side="left"), roi_rows("001", fa=0.3, route="mean_signal")
    )
    assert feature_frame(rows, people([3])).values["gracilis.fa"].tolist() == [0.1]
    assert feature_frame(rows, people([3]), side="left").values["gracilis.fa"].tolist() == [0.2]
    assert feature_frame(rows, people([3]), route="mean_signal").values["gracilis.fa"].tolist() == [0.3]


def test_the_mean_signal_route_has_one_value_and_says_so():
    rows = table(roi_rows("001", fa=0.3, route="mean_signal"))
    features = feature_frame(rows, people([3]), route="mean_signal", statistic="median")
    assert features.values["gracilis.fa"].tolist() == [0.3]
    assert [(issue.severity, issue.what[-33:]) for issue in features.issues] == [
        (Severity.NOTE, "statistic 'median' has no effect.")
    ]


def test_a_side_that_nobody_measured_is_refused_with_what_there_is():
    with pytest.raises(RoiTableError, match=r"side left \(found: voxelwise, both"):
        feature_frame(TWO, people([3, 4]), side="left")


def test_features_follow_the_muscles_of_the_table_and_the_parameters_asked_for():
    rows = table(roi_rows("001", muscle="sartorius"), roi_rows("001", muscle="gracilis"))
    names = feature_frame(rows, people([3]), parameters=("md", "fa")).values.columns.tolist()
    assert names == ["sartorius.md", "sartorius.fa", "gracilis.md", "gracilis.fa"]


def test_a_participant_without_grade_belongs_to_no_group():
    features = feature_frame(TWO, people([np.nan, 5]))
    assert features.poor.isna().tolist() == [True, False]
    assert features.n_good == 1
    assert [str(issue) for issue in features.issues] == [
        "table of participants: 001: no Lovett grade; left out of every comparison. Add lovett_grade if it is known."
    ]


def test_grades_may_come_as_text_or_whole_floats():
    assert feature_frame(TWO, people(["3", "4"])).grade.tolist() == [3, 4]
    assert feature_frame(TWO, people([3.0, 4.0])).grade.dtype == "Int64"


@pytest.mark.parametrize("grade", [6, -1, 3.5, "4+", np.inf])
def test_a_grade_outside_the_scale_names_the_participant(grade):
    with pytest.raises(ParticipantsError, match=r"001 has Lovett grade .*; grades are whole numbers from 0 to 5"):
        feature_frame(TWO, people([grade, 4]))


def test_nobody_needs_a_grade():
    features = feature_frame(TWO, people([3, 4]).drop(columns="lovett_grade"))
    assert features.poor.isna().all()
    assert "no column lovett_grade" in features.issues[0].what


def test_a_participant_that_stands_twice_is_refused():
    twice = pd.concat([people([3, 4]), people([5])])
    with pytest.raises(ParticipantsError, match="001 stands twice"):
        feature_frame(TWO, twice)


@pytest.mark.parametrize("name", [1, np.nan, ""])
def test_identifiers_have_to_be_text(name):
    with pytest.raises(ParticipantsError, match=r"row 1 .* text is needed"):
        feature_frame(TWO, pd.DataFrame({"participant_id": [name], "lovett_grade": [3]}))


def test_a_table_of_participants_without_identifiers_is_refused():
    with pytest.raises(ParticipantsError, match="no column participant_id"):
        feature_frame(TWO, pd.DataFrame({"id": ["001"]}))


def test_a_measured_stranger_is_kept_without_grade_and_reported():
    features = feature_frame(TWO, people([3], age=[70]))
    assert features.values.index.tolist() == ["001", "002"]
    assert features.poor.isna().tolist() == [False, True]
    assert features.covariates["age"].isna().tolist() == [False, True]
    assert "002: not in the table of participants" in features.issues[0].what


def test_a_participant_without_values_is_kept_and_reported():
    features = feature_frame(TWO, people([3, 4, 5]))
    assert features.values.loc["003"].isna().all()
    assert "003: no muscle values" in features.issues[0].what


def test_of_several_sessions_the_first_is_used():
    rows = table(roi_rows("001", session="02", fa=0.9), roi_rows("001", session="01", fa=0.1))
    features = feature_frame(rows, people([3]))
    assert features.values["gracilis.fa"].tolist() == [0.1]
    assert [(issue.severity, issue.what[:21]) for issue in features.issues] == [
        (Severity.NOTE, "001: several sessions")
    ]


def test_infinite_values_become_missing_and_are_reported():
    features = feature_frame(table(roi_rows("001", fa=np.inf), roi_rows("002")), people([3, 4]))
    assert features.values["gracilis.fa"].isna().tolist() == [True, False]
    assert "1 infinite value(s)" in features.issues[0].what


def test_a_value_that_is_no_number_is_named():
    with pytest.raises(RoiTableError, match="001, gracilis, fa: value '0,3' found"):
        feature_frame(table(roi_rows("001", fa="0,3") + roi_rows("002")), people([3, 4]), statistic="mean")


def test_a_feature_without_any_value_is_reported():
    features = feature_frame(table(roi_rows("001", fa=np.nan), roi_rows("002", fa=np.nan)), people([3, 4]))
    assert [(issue.where, issue.what) for issue in features.issues] == [("gracilis.fa", "no participant has a value.")]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"route": "pixelwise"}, "route 'pixelwise' found"),
        ({"statistic": "mode"}, "statistic 'mode' found"),
        ({"side": "top"}, "side 'top' found"),
        ({"parameters": ("adc",)}, "parameter 'adc' found"),
        ({"poor_below_grade": 0}, "poor_below_grade 0 found"),
    ],
)
def test_choices_that_do_not_exist_are_refused(choice, message):
    with pytest.raises(StatisticsError, match=message):
        feature_frame(TWO, people([3, 4]), **choice)


def test_groups_without_anybody_are_named():
    require_both_groups(feature_frame(TWO, people([3, 4])))
    with pytest.raises(StatisticsError, match=r"poor muscle function \(Lovett grade below 4\) is empty: all 2"):
        require_both_groups(feature_frame(TWO, people([4, 5])))
    with pytest.raises(StatisticsError, match=r"good muscle function \(Lovett grade of at least 4\) is empty"):
        require_both_groups(feature_frame(TWO, people([1, 2])))
    with pytest.raises(StatisticsError, match=r"no participant has a Lovett grade \(2 participants\)"):
        require_both_groups(feature_frame(TWO, people([np.nan, np.nan])))


def test_feature_names_split_into_muscle_and_parameter():
    assert split_feature(feature_name("adductor_longus", "md")) == ("adductor_longus", "md")
    assert split_feature("age") == ("age", "")
    assert split_feature("score.v2") == ("score.v2", "")
