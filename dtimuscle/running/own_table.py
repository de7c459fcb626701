"""Muscle values that somebody brings instead of scans, and whose they are."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dtimuscle.errors import RoiTableError
from dtimuscle.issues import Issue
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.participants import check_participants
from dtimuscle.store.brought import read_brought_table
from dtimuscle.store.files import read_tsv


@dataclass(frozen=True)
class Cohort:
    """Muscle values and whose they are.

    Parameters
    ----------
    roi_table : DataFrame
        Columns of `dtimuscle.roi_table`.
    participants : DataFrame
        As `check_participants` returns it.
    """

    roi_table: pd.DataFrame
    participants: pd.DataFrame


def read_own_table(path: Path, registry: MuscleRegistry) -> tuple[Cohort, tuple[Issue, ...]]:
    """Read somebody's table of muscle values with the grades of the patients.

    Grades stand in the table itself or in a `participants.tsv` beside it, where a run of the kit leaves them.

    Parameters
    ----------
    path : Path
        CSV, TSV, Excel or SPSS.
    registry : MuscleRegistry
        The names that are known.

    Returns
    -------
    cohort : Cohort
        Values and patients.
    issues : tuple of Issue
        What of the table is missing or was not understood.

    Raises
    ------
    RoiTableError
        If the table cannot be used, or nobody's grade is known.
    LabelError, ParticipantsError
        If a muscle or a patient cannot be resolved.
    """
    brought = read_brought_table(path, registry)
    beside = path.with_name("participants.tsv")
    participants, source = brought.participants, path
    if (participants is None or "lovett_grade" not in participants) and beside.is_file():
        participants, source = read_tsv(beside), beside
    if participants is None or "lovett_grade" not in participants or participants["lovett_grade"].isna().all():
        raise RoiTableError(
            f"{path}: no participant has a Lovett grade. Add the column lovett_grade (0 to 5), "
            "or put participants.tsv beside the table."
        )
    return Cohort(brought.roi_table, check_participants(participants, source=str(source))), brought.issues
