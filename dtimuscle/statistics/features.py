"""From the ROI table and the table of participants to one row per participant: features, grade and group."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dtimuscle.errors import RoiTableError, StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.participants import check_participants
from dtimuscle.roi_table import PARAMETERS, ROUTES, check_roi_table, select_values

SIDES = ("both", "left", "right")
STATISTICS = ("mean", "median")


@dataclass(frozen=True, eq=False)
class FeatureFrame:
    """What statistics start from: all participants in one order.

    Parameters
    ----------
    values : DataFrame
        Index `participant_id`, one column for each feature (`adductor_longus.md`); FA has no unit,
        diffusivities are in mm²/s. NaN where a value is missing.
    grade : Series of Int64
        Lovett grade, 0 to 5; missing where none is known.
    poor : Series of boolean
        Whether the grade is below `poor_below_grade`; missing where no grade is known.
    covariates : DataFrame
        The other columns of the table of participants.
    issues : tuple of Issue
        What was left out or is doubtful.
    poor_below_grade : int, default=4
        Grades below this one are poor muscle function.
    """

    values: pd.DataFrame
    grade: pd.Series
    poor: pd.Series
    covariates: pd.DataFrame
    issues: tuple[Issue, ...] = ()
    poor_below_grade: int = 4

    @property
    def n_poor(self) -> int:
        """Participants with poor muscle function."""
        return int(self.poor.sum())

    @property
    def n_good(self) -> int:
        """Participants with good muscle function."""
        return int(self.poor.notna().sum()) - self.n_poor

    @property
    def muscles(self) -> tuple[str, ...]:
        """Canonical names, in the order of the columns."""
        return tuple(dict.fromkeys(split_feature(name)[0] for name in self.values.columns))


def feature_name(muscle: str, parameter: str) -> str:
    """Return the name of one parameter of one muscle, e.g. `adductor_longus.md`.

    Parameters
    ----------
    muscle : str
        Canonical name.
    parameter : str
        `fa`, `md`, `ad` or `rd`.
    """
    return f"{muscle}.{parameter}"


def split_feature(name: str) -> tuple[str, str]:
    """Return the muscle and the parameter of a feature; the parameter is empty for anything else.

    Parameters
    ----------
    name : str
        A feature, or any other column.
    """
    muscle, _, parameter = name.rpartition(".")
    return (muscle, parameter) if parameter in PARAMETERS and muscle else (name, "")


def feature_frame(
    roi_table: pd.DataFrame,
    participants: pd.DataFrame,
    *,
    route: str = "voxelwise",
    statistic: str = "mean",
    side: str = "both",
    poor_below_grade: int = 4,
    parameters: tuple[str, ...] = ("fa", "md"),
) -> FeatureFrame:
    """Bring muscle values and patients together.

    Nobody is dropped: a participant without a grade keeps a missing one and so takes part in no
    comparison, a participant without muscle values keeps missing values. Each comes with an issue. Of
    several sessions of a participant the first in alphabetical order is used.

    Parameters
    ----------
    roi_table : DataFrame
        As `dtimuscle.roi_table` describes it.
    participants : DataFrame
        Columns `participant_id` (text) and, where known, `lovett_grade` (0 to 5) and covariates; missing
        entries are NaN.
    route : {"voxelwise", "mean_signal"}, default="voxelwise"
        Value of a muscle: from its voxels, or from the tensor of its mean signal.
    statistic : {"mean", "median"}, default="mean"
        What summarises the voxels. The mean-signal route has one value for each muscle, which is used
        whatever is asked for here, with an issue.
    side : {"both", "left", "right"}, default="both"
        Side that is analysed; both means pooled.
    poor_below_grade : int, default=4
        Grades below this one, 1 to 5, are poor muscle function.
    parameters : tuple of str, default=("fa", "md")
        Tensor parameters that become features.

    Returns
    -------
    FeatureFrame
        Participants in the order of their table, then those that only the ROI table knows.

    Raises
    ------
    ParticipantsError
        If an identifier is missing, not text or stands twice, or a grade is no whole number from 0 to 5.
    RoiTableError
        If the ROI table breaks its schema, or holds no row for the route and side, or a value is no number.
    StatisticsError
        If a choice is not one of those offered.
    """
    _check_choices(route, statistic, side, poor_below_grade, parameters)
    patients = check_participants(participants, source="the table of participants").set_index("participant_id")
    rows, issues = _select_rows(roi_table, route=route, statistic=statistic, side=side, parameters=parameters)
    values, value_issues = _spread(rows, parameters)
    everybody = patients.index.append(values.index.difference(patients.index, sort=False))
    issues += value_issues + _strangers(patients.index, values.index)

    issues += _without_grade(patients, has_column="lovett_grade" in participants.columns)
    grade = patients["lovett_grade"].reindex(everybody)
    return FeatureFrame(
        values=values.reindex(everybody),
        grade=grade,
        poor=(grade < poor_below_grade).astype("boolean").rename("poor"),
        covariates=patients.drop(columns="lovett_grade").reindex(everybody),
        issues=tuple(issues),
        poor_below_grade=poor_below_grade,
    )


def require_both_groups(features: FeatureFrame) -> None:
    """Make sure that there is somebody in each group.

    Parameters
    ----------
    features : FeatureFrame
        What is to be compared.

    Raises
    ------
    StatisticsError
        If nobody has a grade, or one of the two groups is empty.
    """
    n_graded = features.n_poor + features.n_good
    border = features.poor_below_grade
    if n_graded == 0:
        raise StatisticsError(
            f"no participant has a Lovett grade ({len(features.grade)} participants), so there are no groups to "
            "compare. Add the column lovett_grade (0 to 5) to the table of participants."
        )
    for n, group, where in ((features.n_poor, "poor", "below"), (features.n_good, "good", "of at least")):
        if n == 0:
            found = f"all {n_graded} graded participants are in the other group"
            raise StatisticsError(
                f"the group with {group} muscle function (Lovett grade {where} {border}) is empty: {found}. "
                "Check lovett_grade in the table of participants, or choose another poor_below_grade."
            )


def _check_choices(route: str, statistic: str, side: str, poor_below_grade: int, parameters: tuple[str, ...]) -> None:
    choices = (("route", route, ROUTES), ("statistic", statistic, STATISTICS), ("side", side, SIDES))
    for name, value, allowed in (*choices, *(("parameter", p, PARAMETERS) for p in parameters)):
        if value not in allowed:
            raise StatisticsError(f"{name} '{value}' found, one of {', '.join(allowed)} needed.")
    if poor_below_grade not in range(1, 6):
        raise StatisticsError(f"poor_below_grade {poor_below_grade} found, a Lovett grade from 1 to 5 needed.")


def _without_grade(patients: pd.DataFrame, *, has_column: bool) -> list[Issue]:
    where = "table of participants"
    if not has_column:
        what = "there is no column lovett_grade, so nobody belongs to a group."
        return [Issue(Severity.WARNING, where, what, "Add the Lovett grade (0 to 5) of each participant.")]
    ungraded = patients.index[patients["lovett_grade"].isna()]
    if not len(ungraded):
        return []
    what = f"{_listed(ungraded)}: no Lovett grade; left out of every comparison."
    return [Issue(Severity.WARNING, where, what, "Add lovett_grade if it is known.")]


def _select_rows(
    roi_table: pd.DataFrame, *, route: str, statistic: str, side: str, parameters: tuple[str, ...]
) -> tuple[pd.DataFrame, list[Issue]]:
    table = check_roi_table(roi_table, source="ROI table")
    rows = select_values(table, route=route, statistic=statistic, side=side)
    rows = rows[rows["parameter"].isin(parameters)]
    if rows.empty:
        present = table[["route", "side"]].drop_duplicates().astype(str)
        found = "; ".join(f"{r}, {s}" for r, s in present.itertuples(index=False)) or "no row at all"
        raise RoiTableError(
            f"ROI table: no {' or '.join(parameters)} for route {route}, side {side} (found: {found}). "
            "Choose a route and side that the table has."
        )
    session = rows["session"].astype(object).where(rows["session"].notna(), "").astype(str)
    first = session.groupby(rows["participant_id"]).transform("min")
    several = rows.loc[session != first, "participant_id"].unique()
    issues = []
    if route == "mean_signal" and statistic != "mean":
        what = f"the mean-signal route has one value for each muscle; statistic '{statistic}' has no effect."
        issues.append(Issue(Severity.NOTE, "ROI table", what, "Set route to voxelwise for it."))
    if len(several):
        what = f"{_listed(several)}: several sessions; the first one is used."
        issues.append(Issue(Severity.NOTE, "ROI table", what, "Leave the other sessions out to choose yourself."))
    return rows[session == first], issues


def _spread(rows: pd.DataFrame, parameters: tuple[str, ...]) -> tuple[pd.DataFrame, list[Issue]]:
    numbers = pd.to_numeric(rows["value"], errors="coerce").astype(float)
    unreadable = rows[rows["value"].notna() & numbers.isna()]
    if len(unreadable):
        row = unreadable.iloc[0]
        raise RoiTableError(
            f"ROI table: {row['participant_id']}, {row['muscle']}, {row['parameter']}: value "
            f"'{row['value']}' found, a number needed. Correct it, or leave it empty."
        )
    issues = []
    infinite = np.isinf(numbers.to_numpy())
    if infinite.any():
        who = _listed(rows.loc[infinite, "participant_id"].unique())
        what = f"{who}: {infinite.sum()} infinite value(s); treated as missing."
        issues.append(Issue(Severity.WARNING, "ROI table", what, "Check how these values were made."))
    long = rows[["participant_id", "muscle", "parameter"]].assign(value=numbers.where(~infinite))
    # Not `pivot_table`, which would average rows that stand twice.
    wide = long.pivot(  # noqa: PD010
        index="participant_id", columns=["muscle", "parameter"], values="value"
    )
    pairs = [(m, p) for m in rows["muscle"].unique() for p in parameters if (m, p) in wide.columns]
    order = rows["participant_id"].unique()
    values = wide.loc[order, pairs].set_axis([feature_name(m, p) for m, p in pairs], axis="columns")
    issues += [
        Issue(Severity.WARNING, name, "no participant has a value.", "Check labels and min_voxels.")
        for name in values.columns[values.isna().all()]
    ]
    return values, issues


def _strangers(patients: pd.Index, measured: pd.Index) -> list[Issue]:
    issues = []
    unknown = [name for name in measured if name not in patients]
    if unknown:
        what = f"{_listed(unknown)}: not in the table of participants; kept without grade and covariates."
        issues.append(Issue(Severity.WARNING, "ROI table", what, "Add them to the table of participants."))
    unmeasured = [name for name in patients if name not in measured]
    if unmeasured:
        what = f"{_listed(unmeasured)}: no muscle values in the ROI table."
        issues.append(Issue(Severity.WARNING, "table of participants", what, "Check why they were not measured."))
    return issues


def _listed(names: Iterable[str], *, at_most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
