"""Muscle values that were measured more than once: in two sessions, or by two readers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from dtimuscle.errors import RoiTableError, StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.roi_table import PARAMETERS, ROUTES, check_roi_table, select_values
from dtimuscle.statistics.features import SIDES, STATISTICS, feature_name

COLUMNS = ("participant_id", "occasion", "feature", "value")

Pairing = Literal["name", "order"]


@dataclass(frozen=True, eq=False)
class RepeatedValues:
    """Values of features on several occasions: sessions of one participant, or readers of one scan.

    Parameters
    ----------
    values : DataFrame
        One row per participant, occasion and feature: `participant_id`, `occasion`, `feature`, `value` (FA
        has no unit, diffusivities are in mm²/s). NaN where a value is missing; an absent row is missing too.
    occasions : tuple of str
        Names of the occasions, in the order in which they are compared.
    issues : tuple of Issue
        What was left out or is doubtful.
    """

    values: pd.DataFrame
    occasions: tuple[str, ...]
    issues: tuple[Issue, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the values."""
        return tuple(self.values["feature"].unique())

    def of(self, feature: str) -> pd.DataFrame:
        """Return the values of one feature, side by side.

        Parameters
        ----------
        feature : str
            Such as `gracilis.md`.

        Returns
        -------
        DataFrame
            One row per participant, also those without a value of this feature; one column per occasion.
        """
        rows = self.values[self.values["feature"] == feature]
        # Not `pivot_table`, which would average rows that stand twice.
        wide = rows.pivot(index="participant_id", columns="occasion", values="value")  # noqa: PD010
        everybody = pd.Index(self.values["participant_id"].unique(), name="participant_id")
        return wide.reindex(index=everybody, columns=pd.Index(self.occasions))


def repeated_values(values: pd.DataFrame, *, occasions: Sequence[str] = ()) -> RepeatedValues:
    """Take values that were measured on several occasions.

    Parameters
    ----------
    values : DataFrame
        Columns `participant_id`, `occasion`, `feature` and `value`; others are dropped.
    occasions : sequence of str, default=()
        Occasions that are compared, in order; empty for all, in the order of the rows.

    Returns
    -------
    RepeatedValues
        Infinite values are missing, with an issue.

    Raises
    ------
    StatisticsError
        If a column is missing, a value is no number or stands twice, or there are fewer than two occasions.
    """
    missing = [column for column in COLUMNS if column not in values.columns]
    if missing:
        raise StatisticsError(
            f"repeated values: column(s) {', '.join(missing)} missing. Give one row per participant, occasion and "
            f"feature, with the columns {', '.join(COLUMNS)}."
        )
    rows = values.loc[:, list(COLUMNS)].reset_index(drop=True)
    numbers = pd.to_numeric(rows["value"], errors="coerce").astype(float)
    unreadable = rows[rows["value"].notna() & numbers.isna()]
    if len(unreadable):
        raise StatisticsError(
            f"repeated values: {_row_in_words(unreadable)}: value '{unreadable['value'].iloc[0]}' found, a number "
            "needed. Correct it, or leave it empty."
        )
    chosen = tuple(str(name) for name in (occasions or rows["occasion"].unique()))
    present = set(rows["occasion"].astype(str))
    absent = [name for name in chosen if name not in present]
    if absent or len(set(chosen)) < 2:
        found = ", ".join(sorted(present)) or "none"
        lacking = f"occasion '{absent[0]}' not found" if absent else "two different occasions needed"
        raise StatisticsError(f"repeated values: {lacking} (found: {found}). Name two or more that are there.")
    infinite = np.isinf(numbers.to_numpy())
    issues = []
    if infinite.any():
        who = _listed(rows.loc[infinite, "participant_id"].unique())
        what = f"{who}: {infinite.sum()} infinite value(s); treated as missing."
        issues.append(Issue(Severity.WARNING, "repeated values", what, "Check how these values were made."))
    rows = rows.assign(occasion=rows["occasion"].astype(str), value=numbers.where(~infinite))
    rows = rows[rows["occasion"].isin(chosen)]
    twice = rows[rows.duplicated(list(COLUMNS[:3]))]
    if len(twice):
        raise StatisticsError(f"repeated values: {_row_in_words(twice)} stands twice. Keep one row.")
    return RepeatedValues(rows.reset_index(drop=True), chosen, tuple(issues))


def between_sessions(
    roi_table: pd.DataFrame,
    *,
    sessions: Sequence[str] = (),
    pairing: Pairing = "name",
    route: str = "voxelwise",
    statistic: str = "mean",
    side: str = "both",
    parameters: tuple[str, ...] = ("fa", "md"),
) -> RepeatedValues:
    """Lay the sessions of a ROI table side by side.

    Parameters
    ----------
    roi_table : DataFrame
        As `dtimuscle.roi_table` describes it, with two or more sessions of the participants.
    sessions : sequence of str, default=()
        Sessions that are compared, in order (`ses-01`, `ses-02`); empty for all, by the alphabet.
    pairing : {"name", "order"}, default="name"
        Which sessions belong together: those of one name, or the first of each participant, the second, and
        so on, as for sessions that are named by their dates. By order they are called `session 1`, `session 2`.
    route, statistic, side : str
        Which value of a muscle; see `dtimuscle.roi_table.select_values`.
    parameters : tuple of str, default=("fa", "md")
        Tensor parameters that become features.

    Returns
    -------
    RepeatedValues
        Participants who lack a session are kept, with missing values; an issue names them.

    Raises
    ------
    RoiTableError
        If the ROI table breaks its schema, or holds no row for the route and side.
    StatisticsError
        If there are fewer than two sessions, or a choice is not one of those offered.
    """
    _check_choices(route, statistic, side, parameters)
    if pairing not in ("name", "order"):
        raise StatisticsError(f"pairing '{pairing}' found, one of name, order needed.")
    rows = _values_of(roi_table, "ROI table", route=route, statistic=statistic, side=side, parameters=parameters)
    if pairing == "order":
        places = rows.groupby("participant_id")["session"].rank(method="dense").astype(int)
        rows = rows.assign(session=[f"session {place}" for place in places])
    chosen = tuple(sessions) or _by_number(rows["session"].unique())
    found = repeated_values(rows.rename(columns={"session": "occasion"}), occasions=chosen)
    return _with_absent(found, "session")


def between_readers(
    roi_tables: Mapping[str, pd.DataFrame],
    *,
    route: str = "voxelwise",
    statistic: str = "mean",
    side: str = "both",
    parameters: tuple[str, ...] = ("fa", "md"),
) -> RepeatedValues:
    """Lay the values of several readers' labels side by side.

    A participant is compared in one session, since two sessions of one person are no two people: the first, by the
    alphabet, that every reader of this participant has. Several sessions, or none in common, come with an issue.

    Parameters
    ----------
    roi_tables : mapping of str to DataFrame
        One ROI table for each reader, made of the same scans; the keys name the readers, in the order in which they
        are compared.
    route, statistic, side : str
        Which value of a muscle; see `dtimuscle.roi_table.select_values`.
    parameters : tuple of str, default=("fa", "md")
        Tensor parameters that become features.

    Returns
    -------
    RepeatedValues
        Participants whom one reader has not read are kept, with missing values; an issue names them.

    Raises
    ------
    RoiTableError
        If a ROI table breaks its schema, or holds no row for the route and side.
    StatisticsError
        If there are fewer than two readers, or a choice is not one of those offered.
    """
    _check_choices(route, statistic, side, parameters)
    if len(roi_tables) < 2:
        raise StatisticsError(f"{len(roi_tables)} reader(s) found, two needed. Give a ROI table for each.")
    how = {"route": route, "statistic": statistic, "side": side}
    tables = {
        reader: _values_of(table, f"ROI table of {reader}", **how, parameters=parameters)
        for reader, table in roi_tables.items()
    }
    rows = pd.concat([table.assign(occasion=str(reader)) for reader, table in tables.items()], ignore_index=True)
    first, issues = _common_session(rows)
    kept = rows[rows["session"] == rows["participant_id"].map(first)]
    if kept.empty:
        raise StatisticsError("the readers have no session of a participant in common. Give tables of the same scans.")
    found = repeated_values(kept, occasions=[str(reader) for reader in roi_tables])
    return _with_absent(RepeatedValues(found.values, found.occasions, (*issues, *found.issues)), "reader")


def _check_choices(route: str, statistic: str, side: str, parameters: tuple[str, ...]) -> None:
    choices = (("route", route, ROUTES), ("statistic", statistic, STATISTICS), ("side", side, SIDES))
    for name, value, allowed in (*choices, *(("parameter", p, PARAMETERS) for p in parameters)):
        if value not in allowed:
            raise StatisticsError(f"{name} '{value}' found, one of {', '.join(allowed)} needed.")


def _values_of(
    roi_table: pd.DataFrame, source: str, *, route: str, statistic: str, side: str, parameters: tuple[str, ...]
) -> pd.DataFrame:
    """One row per participant, session and feature; the features of a parameter stand together."""
    table = check_roi_table(roi_table, source=source)
    rows = select_values(table, route=route, statistic=statistic, side=side)
    rows = rows[rows["parameter"].isin(parameters)]
    if rows.empty:
        raise RoiTableError(
            f"{source}: no {' or '.join(parameters)} for route {route}, side {side}. "
            "Choose a route and side that the table has."
        )
    rows = rows.sort_values("parameter", key=lambda names: names.map(list(parameters).index), kind="stable")
    return pd.DataFrame(
        {
            "participant_id": rows["participant_id"].astype(str),
            "session": rows["session"].astype(object).where(rows["session"].notna(), "").astype(str),
            "feature": [feature_name(m, p) for m, p in zip(rows["muscle"], rows["parameter"], strict=True)],
            "value": rows["value"],
        }
    )


def _by_number(names: Iterable[str]) -> tuple[str, ...]:
    # `session 10` comes behind `session 9`.
    return tuple(sorted(names, key=lambda name: (len(name), name) if name.startswith("session ") else (0, name)))


def _common_session(rows: pd.DataFrame) -> tuple[dict[str, str], list[Issue]]:
    first, several, none = {}, [], []
    for participant, own in rows.groupby("participant_id", sort=False):
        each = [set(read["session"]) for _, read in own.groupby("occasion")]
        common = sorted(set.intersection(*each))
        if common:
            first[str(participant)] = common[0]
        else:
            none.append(str(participant))
        if len(set.union(*each)) > 1:
            several.append(str(participant))
    issues = []
    if several:
        what = f"{_listed(several)}: several sessions; the first one that all readers have is used."
        issues.append(Issue(Severity.NOTE, "readers", what, "Leave the other sessions out to choose yourself."))
    if none:
        what = f"{_listed(none)}: the readers have no session in common; left out."
        issues.append(Issue(Severity.WARNING, "readers", what, "Check that the labels are of the same scans."))
    return first, issues


def _with_absent(found: RepeatedValues, what: str) -> RepeatedValues:
    """Say who was not measured on some occasion at all."""
    measured = found.values.dropna(subset="value").groupby("participant_id")["occasion"].nunique()
    everybody = pd.Index(found.values["participant_id"].unique())
    short = everybody[measured.reindex(everybody, fill_value=0).to_numpy() < len(found.occasions)]
    if not len(short):
        return found
    names = ", ".join(name or "(no name)" for name in found.occasions)
    names = ", ".join(name or "(no name)" for name in found.occasions)
    words = (
        f"{_listed(short)}: no value of at least one {what} of {names}; left out ({len(short)} of {len(everybody)} "
        "participants)."
    )
    remedy = f"Name fewer {what}s, or check why they are missing."
    issue = Issue(Severity.WARNING, f"{what}s", words, remedy)
    return RepeatedValues(found.values, found.occasions, (*found.issues, issue))


def _row_in_words(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return f"{row['participant_id']}, {row['occasion']}, {row['feature']}"


def _listed(names: Iterable[str], *, at_most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
