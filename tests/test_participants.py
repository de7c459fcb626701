import pandas as pd
import pytest

from dtimuscle.errors import ParticipantsError
from dtimuscle.participants import check_participants, n_by_function, require_both_groups


def people(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns)


def check(**columns) -> pd.DataFrame:
    return check_participants(people(**columns), source="people.tsv")


def test_identifiers_stay_text():
    assert check(participant_id=["001", "010"])["participant_id"].tolist() == ["001", "010"]


@pytest.mark.parametrize("name", [1, 1.0, float("nan"), None, "", " "])
def test_identifiers_have_to_be_text_since_001_is_not_1(name):
    with pytest.raises(ParticipantsError, match=r"people\.tsv: row 2 has the participant_id .*; text is needed"):
        check(participant_id=["a", name])


@pytest.mark.parametrize("grades", [["3", "5", None], [3, 5, None], [3.0, 5.0, float("nan")]])
def test_grades_become_whole_numbers_and_missing_ones_stay_missing(grades):
    checked = check(participant_id=["a", "b", "c"], lovett_grade=grades)["lovett_grade"]
    assert checked.dtype == "Int64"
    assert checked.iloc[:2].tolist() == [3, 5]
    assert checked.isna().tolist() == [False, False, True]


def test_without_the_column_nobody_has_a_grade():
    checked = check(participant_id=["a", "b"])["lovett_grade"]
    assert checked.dtype == "Int64"
    assert checked.isna().all()


@pytest.mark.parametrize("grade", ["6", "-1", "3.5", "good", "inf", "4+"])
def test_a_grade_outside_lovetts_scale_is_refused_with_its_owner(grade):
    with pytest.raises(ParticipantsError) as caught:
        check(participant_id=["a", "b"], lovett_grade=["4", grade])
    message = str(caught.value)
    assert message.startswith(f"people.tsv: b has Lovett grade '{grade}'")
    assert "0 to 5" in message


def test_the_ends_of_the_scale_are_grades():
    assert check(participant_id=["a", "b"], lovett_grade=["0", "5"])["lovett_grade"].tolist() == [0, 5]


def test_a_participant_who_stands_twice_is_refused():
    with pytest.raises(ParticipantsError, match=r"people\.tsv: b stands twice"):
        check(participant_id=["a", "b", "b"])


def test_a_table_without_identifiers_is_refused():
    with pytest.raises(ParticipantsError, match="no column participant_id"):
        check(subject=["a"])


def test_covariates_become_numbers_and_sex_stays_text():
    checked = check(participant_id=["a", "b"], age=["71", None], sex=["F", "M"], t_score=["-2.75", "-3"])
    assert checked["age"].iloc[0] == 71.0
    assert checked["age"].isna().tolist() == [False, True]
    assert checked["t_score"].tolist() == [-2.75, -3.0]
    assert checked["sex"].tolist() == ["F", "M"]


def test_a_covariate_that_is_no_number_is_refused_with_its_owner():
    with pytest.raises(ParticipantsError, match=r"b has bmi 'high', which is no number"):
        check(participant_id=["a", "b"], bmi=["22", "high"])


def test_columns_that_the_kit_does_not_know_are_left_alone():
    assert check(participant_id=["a"], scanner=["3T A"])["scanner"].tolist() == ["3T A"]


def test_the_table_that_was_given_is_not_changed():
    given = people(participant_id=["a"], lovett_grade=["3"])
    check_participants(given, source="people.tsv")
    pd.testing.assert_frame_equal(given, people(participant_id=["a"], lovett_grade=["3"]))


def test_counts_follow_the_threshold():
    checked = check(participant_id=list("abcde"), lovett_grade=[0, 3, 4, 5, None])
    assert n_by_function(checked, poor_below_grade=4) == (2, 2, 1)
    assert n_by_function(checked, poor_below_grade=5) == (3, 1, 1)


@pytest.mark.parametrize(("grades", "empty"), [([4, 5], "poor"), ([1, 3, None], "good")])
def test_a_group_with_no_one_in_it_is_named(grades, empty):
    checked = check(participant_id=[f"sub-{i}" for i in range(len(grades))], lovett_grade=grades)
    with pytest.raises(ParticipantsError, match=f"nobody has {empty} muscle function"):
        require_both_groups(checked, poor_below_grade=4, source="people.tsv")


def test_two_groups_or_no_grades_at_all_pass():
    require_both_groups(check(participant_id=["a", "b"], lovett_grade=[3, 4]), poor_below_grade=4, source="")
    require_both_groups(check(participant_id=["a", "b"]), poor_below_grade=4, source="")
