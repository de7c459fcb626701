import pytest

from dtimuscle.errors import LabelError, ParticipantsError, RoiTableError
from dtimuscle.running.own_table import read_own_table
from dtimuscle.store.registry import read_registry

VALUES = """\
participant_id,gracilis_fa,gracilis_md [1e-3 mm2/s]
sub-01,0.21,1.02
sub-02,0.33,1.74
"""
GRADES = "participant_id\tlovett_grade\tage\nsub-01\t3\t70\nsub-02\t5\tn/a\n"


def write(folder, values=VALUES, grades=None):
    path = folder / "values.csv"
    path.write_text(values, encoding="utf-8")
    if grades is not None:
        (folder / "participants.tsv").write_text(grades, encoding="utf-8")
    return path


def with_grades(first, second):
    header, *rows = VALUES.splitlines()
    return "\n".join([f"{header},lovett_grade", f"{rows[0]},{first}", f"{rows[1]},{second}"]) + "\n"


def test_grades_stand_in_the_table_itself(tmp_path):
    cohort, issues = read_own_table(write(tmp_path, with_grades(3, 5)), read_registry())
    assert cohort.participants["lovett_grade"].tolist() == [3, 5]
    assert set(cohort.roi_table["participant_id"]) == {"sub-01", "sub-02"}
    assert issues == ()


def test_grades_stand_in_participants_tsv_beside_the_table(tmp_path):
    cohort, _ = read_own_table(write(tmp_path, grades=GRADES), read_registry())
    assert cohort.participants["lovett_grade"].tolist() == [3, 5]
    assert cohort.participants["age"].tolist()[0] == 70.0


def test_grades_of_the_table_itself_come_first(tmp_path):
    cohort, _ = read_own_table(write(tmp_path, with_grades(1, 4), grades=GRADES), read_registry())
    assert cohort.participants["lovett_grade"].tolist() == [1, 4]


@pytest.mark.parametrize("grades", [None, "participant_id\nsub-01\n", "participant_id\tlovett_grade\nsub-01\tn/a\n"])
def test_a_table_without_any_grade_is_refused_with_the_remedy(tmp_path, grades):
    path = write(tmp_path, grades=grades)
    with pytest.raises(RoiTableError) as caught:
        read_own_table(path, read_registry())
    assert str(caught.value) == (
        f"{path}: no participant has a Lovett grade. Add the column lovett_grade (0 to 5), "
        "or put participants.tsv beside the table."
    )


def test_a_wrong_grade_beside_the_table_is_told_of_the_file_that_holds_it(tmp_path):
    path = write(tmp_path, grades=GRADES.replace("\t5\t", "\t7\t"))
    with pytest.raises(ParticipantsError) as caught:
        read_own_table(path, read_registry())
    assert str(caught.value).startswith(f"{path.with_name('participants.tsv')}: sub-02 has Lovett grade '7'")


def test_an_unknown_muscle_is_refused(tmp_path):
    values = "participant_id,muscle,parameter,value\nsub-01,grazilis,fa,0.2\n"
    with pytest.raises(LabelError, match="grazilis"):
        read_own_table(write(tmp_path, values, grades=GRADES), read_registry())
