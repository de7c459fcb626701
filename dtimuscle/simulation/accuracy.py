"""The error of what was found in simulated scans, against the truth that they were made from."""

import numpy as np
import pandas as pd

from dtimuscle.roi_table import select_values


def bias_by_muscle(table: pd.DataFrame, truth: pd.DataFrame, *, route: str, statistic: str, side: str) -> pd.DataFrame:
    """Hold the value of each muscle against its truth.

    Parameters
    ----------
    table : DataFrame
        ROI table of simulated scans.
    truth : DataFrame
        Columns `participant_id`, `muscle`, `side` (left, right), `fa` and `md` (mm²/s).
    route, statistic : str
        Which value of a muscle; see `dtimuscle.roi_table.select_values`.
    side : {"both", "left", "right"}
        Side of the body; the truth of both is the mean of the two sides, weighted by the voxels that each
        contributes, since that is what was measured.

    Returns
    -------
    DataFrame
        One row per muscle and parameter: `muscle`, `parameter`, `n` (participants), `truth_mean`, `found_mean`,
        `bias` (mean of found − truth) and `rmse`, in stored units. No rows where there is no truth.
    """
    sides = truth if side == "both" else truth[truth["side"] == side]
    long = sides.melt(["participant_id", "muscle", "side"], ["fa", "md"], var_name="parameter", value_name="truth")
    keys = ["participant_id", "muscle", "parameter"]
    voxels = table.loc[table["route"] == route, [*keys, "side", "n_kept"]]
    long = long.merge(voxels, on=[*keys, "side"])
    long["weighted"] = long["truth"] * long["n_kept"]
    sums = long.groupby(keys)[["weighted", "n_kept"]].sum()
    expected = (sums["weighted"] / sums["n_kept"]).rename("truth").reset_index()
    found = select_values(table, route=route, statistic=statistic, side=side)[[*keys, "value"]]
    pairs = found.merge(expected, on=keys).dropna()
    pairs["error"] = pairs["value"] - pairs["truth"]
    grouped = pairs.groupby(["muscle", "parameter"], sort=False)
    return pd.DataFrame(
        {
            "n": grouped["error"].size(),
            "truth_mean": grouped["truth"].mean(),
            "found_mean": grouped["value"].mean(),
            "bias": grouped["error"].mean(),
            "rmse": grouped["error"].apply(lambda errors: float(np.sqrt(np.mean(errors**2)))),
        }
    ).reset_index()
