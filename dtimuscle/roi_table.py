"""The ROI table: what is known of each muscle, and the one thing that statistics start from.

It is a pandas data frame with one row per participant, session, muscle, side, parameter and route.
Imaging makes it, people may bring it, and nothing in it is rounded.
"""

import pandas as pd

from dtimuscle.errors import RoiTableError

# What tells one row from another.
KEYS = ("participant_id", "session", "muscle", "side", "parameter", "route")

# What each row says, in the order of the file. `mean` holds the value of the tensor fitted to the mean
# signal when the route is `mean_signal`; the spread is then NaN. Diffusivities are in mm²/s.
VALUES = (
    "unit", "mean", "median", "sd", "q25", "q75", "n_label", "n_kept", "n_eroded", "n_unusable", "is_simulated",
    "labels",
)  # fmt: skip

COLUMNS = KEYS + VALUES

PARAMETERS = ("fa", "md", "ad", "rd")
ROUTES = ("voxelwise", "mean_signal")

# Where the labels come from: drawn on this scan, or carried over from others. Empty when it is not known.
DRAWN, PROPAGATED = "drawn", "propagated"

UNITS = {"fa": "1", "md": "mm2/s", "ad": "mm2/s", "rd": "mm2/s"}


def check_roi_table(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Make sure that a data frame is a ROI table.

    Parameters
    ----------
    table : DataFrame
        Long table; columns that are not part of the schema are dropped. `labels` may be missing.
    source : str
        Where it came from, for messages.

    Returns
    -------
    DataFrame
        The columns of `COLUMNS`, in order; `labels` is empty where it was missing.

    Raises
    ------
    RoiTableError
        If a column is missing, a parameter or unit is unknown, or a row stands twice.
    """
    # A column without any text is one of numbers to pandas.
    origins = table["labels"].astype(object).where(table["labels"].notna(), "").astype(str) if "labels" in table else ""
    table = table.assign(labels=origins)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise RoiTableError(
            f"{source}: the ROI table lacks the column(s) {', '.join(missing)}. See docs/data-formats.md."
        )
    for column, allowed in (
        ("parameter", PARAMETERS),
        ("route", ROUTES),
        ("side", ("left", "right", "both")),
        ("labels", (DRAWN, PROPAGATED, "")),
    ):
        unknown = sorted(set(table[column].astype(str)) - set(allowed))
        if unknown:
            raise RoiTableError(f"{source}: {column} '{unknown[0]}' is not one of {', '.join(filter(None, allowed))}.")
    wrong = table[table["unit"].astype(str) != table["parameter"].map(UNITS)]
    if len(wrong):
        row = wrong.iloc[0]
        raise RoiTableError(
            f"{source}: {row['parameter']} of {row['muscle']} has unit '{row['unit']}', "
            f"not '{UNITS[row['parameter']]}'."
        )
    twice = table[table.duplicated(list(KEYS))]
    if len(twice):
        row = twice.iloc[0]
        raise RoiTableError(
            f"{source}: {row['participant_id']}, {row['muscle']} {row['side']}, {row['parameter']} ({row['route']}) "
            "stands twice. Keep one row."
        )
    return table.loc[:, list(COLUMNS)].reset_index(drop=True)


def select_values(table: pd.DataFrame, *, route: str, statistic: str, side: str) -> pd.DataFrame:
    """Choose the one value of each muscle and parameter that a study uses.

    Parameters
    ----------
    table : DataFrame
        As `check_roi_table` returns it.
    route : {"voxelwise", "mean_signal"}
        How the value was made.
    statistic : {"mean", "median"}
        What summarises the voxels; the mean-signal route has a `mean` only.
    side : {"both", "left", "right"}
        Side of the body.

    Returns
    -------
    DataFrame
        The chosen rows, with the value in the column `value`.
    """
    rows = table[(table["route"] == route) & (table["side"] == side)]
    return rows.assign(value=rows["mean" if route == "mean_signal" else statistic])


def summarise_muscles(table: pd.DataFrame, *, route: str, statistic: str, side: str) -> pd.DataFrame:
    """Describe each muscle over all participants.

    Parameters
    ----------
    table : DataFrame
        As `check_roi_table` returns it.
    route, statistic, side : str
        Which value of a muscle; see `select_values`.

    Returns
    -------
    DataFrame
        One row per muscle: `muscle`, `n` (participants with values), `n_missing`, `n_label` and `n_kept` (median
        voxels), and `fa_mean`, `fa_sd`, `md_mean`, `md_sd` over participants (MD in mm²/s).
    """
    rows = select_values(table, route=route, statistic=statistic, side=side)
    fa, md = (rows[rows["parameter"] == parameter].groupby("muscle", sort=False) for parameter in ("fa", "md"))
    return pd.DataFrame(
        {
            "n": fa["value"].count(),
            "n_missing": fa["value"].apply(lambda values: int(values.isna().sum())),
            "n_label": fa["n_label"].median(),
            "n_kept": fa["n_kept"].median(),
            "fa_mean": fa["value"].mean(),
            "fa_sd": fa["value"].std(),
            "md_mean": md["value"].mean(),
            "md_sd": md["value"].std(),
        }
    ).reset_index(names="muscle")


def left_right_differences(table: pd.DataFrame, *, route: str, statistic: str) -> pd.DataFrame:
    """Hold the left side of each muscle against the right.

    Parameters
    ----------
    table : DataFrame
        As `check_roi_table` returns it.
    route, statistic : str
        Which value of a muscle; see `select_values`.

    Returns
    -------
    DataFrame
        One row per participant, session, muscle and parameter that has both sides: `left` and `right` in stored
        units, `difference` (left − right) and `percent`, the difference over the mean of the two; NaN where a side
        has no value.
    """
    keys = ["participant_id", "session", "muscle", "parameter"]
    sides = [
        select_values(table, route=route, statistic=statistic, side=side)[[*keys, "value"]].rename(
            columns={"value": side}
        )
        for side in ("left", "right")
    ]
    both = sides[0].merge(sides[1], on=keys, sort=False)
    difference = both["left"] - both["right"]
    return both.assign(difference=difference, percent=200 * difference / (both["left"] + both["right"]))
