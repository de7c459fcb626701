"""The table of participants: who was studied, and how strong their muscles are."""

import pandas as pd

from dtimuscle.errors import ParticipantsError

LOWEST_GRADE, HIGHEST_GRADE = 0, 5

# Columns that the kit knows how to describe; others are kept and left alone.
COVARIATES = ("age", "sex", "bmi", "t_score", "disease_duration")


def check_participants(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Make sure that a table of participants can be used.

    Parameters
    ----------
    table : DataFrame
        One row per participant; cells may be text. `participant_id` is needed, `lovett_grade` may be
        missing, as a column or in single cells.
    source : str
        Where the table came from, for messages.

    Returns
    -------
    DataFrame
        `participant_id` as text, `lovett_grade` as Int64 with <NA>, numeric covariates as float.

    Raises
    ------
    ParticipantsError
        If an identifier is missing or stands twice, or a grade is not a whole number from 0 to 5.
    """
    if "participant_id" not in table.columns:
        raise ParticipantsError(f"{source}: there is no column participant_id.")
    checked = table.copy()
    for row, name in enumerate(checked["participant_id"], start=1):
        if not isinstance(name, str) or not name.strip():
            raise ParticipantsError(f"{source}: row {row} has the participant_id {name!r}; text is needed.")
    twice = checked.loc[checked["participant_id"].duplicated(), "participant_id"]
    if len(twice):
        raise ParticipantsError(f"{source}: {twice.iloc[0]} stands twice. Keep one row for each participant.")
    grades = checked["lovett_grade"] if "lovett_grade" in checked.columns else pd.Series(pd.NA, index=checked.index)
    numbers = pd.to_numeric(grades, errors="coerce")
    is_wrong = (numbers.isna() & grades.notna()) | ~(
        numbers.isna() | (numbers.between(LOWEST_GRADE, HIGHEST_GRADE) & (numbers % 1 == 0))
    )
    if is_wrong.any():
        who, found = checked.loc[is_wrong, "participant_id"].iloc[0], grades[is_wrong].iloc[0]
        raise ParticipantsError(
            f"{source}: {who} has Lovett grade '{found}'; grades are whole numbers from "
            f"{LOWEST_GRADE} to {HIGHEST_GRADE}, or n/a."
        )
    checked["lovett_grade"] = numbers.astype("Int64")
    for column in COVARIATES:
        if column in checked.columns and column != "sex":
            values = pd.to_numeric(checked[column], errors="coerce")
            is_text = values.isna() & checked[column].notna()
            if is_text.any():
                who, found = checked.loc[is_text, "participant_id"].iloc[0], checked.loc[is_text, column].iloc[0]
                raise ParticipantsError(
                    f"{source}: {who} has {column} '{found}', which is no number. Write n/a if unknown."
                )
            checked[column] = values.astype(float)
    return checked.reset_index(drop=True)


def require_both_groups(participants: pd.DataFrame, *, poor_below_grade: int, source: str) -> None:
    """Make sure that grades, where there are any, leave nobody's group empty.

    Parameters
    ----------
    participants : DataFrame
        As `check_participants` returns it.
    poor_below_grade : int
        Lovett grades below this one are poor muscle function.
    source : str
        Where the table came from, for messages.

    Raises
    ------
    ParticipantsError
        If there are grades and all of them lie on one side of the threshold.
    """
    grades = participants["lovett_grade"].dropna()
    n_poor = int((grades < poor_below_grade).sum())
    if len(grades) and n_poor in (0, len(grades)):
        empty = "poor" if n_poor == 0 else "good"
        raise ParticipantsError(
            f"{source}: nobody has {empty} muscle function (grades {grades.min()} to {grades.max()}, poor is below "
            f"{poor_below_grade}). Two groups are needed: add participants or change poor_below_grade."
        )


def n_by_function(participants: pd.DataFrame, *, poor_below_grade: int) -> tuple[int, int, int]:
    """Count participants with poor function, good function, and without a grade.

    Parameters
    ----------
    participants : DataFrame
        As `check_participants` returns it.
    poor_below_grade : int
        Lovett grades below this one are poor muscle function.

    Returns
    -------
    tuple of int
        Poor, good, unknown.
    """
    grades = participants["lovett_grade"]
    n_unknown = int(grades.isna().sum())
    n_poor = int((grades.dropna() < poor_below_grade).sum())
    return n_poor, len(grades) - n_unknown - n_poor, n_unknown
