"""Tables about scans: their quality, and how far simulated ones are from the truth."""

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    count,
    fixed,
)

# Column, header, decimals, factor from the stored to the printed unit.
_QUALITY = (
    ("snr", "SNR", 1, 1),
    ("n_directions", "Directions", 0, 1),
    ("mean_displacement_mm", "Mean, mm", 2, 1),
    ("max_displacement_mm", "Largest, mm", 2, 1),
    ("max_rotation_deg", "Rotation, °", 2, 1),
    ("fraction_unusable", "Unusable, %", 1, 100),
    ("fraction_non_positive", "Non-positive, %", 1, 100),
    ("n_issues", "Issues", 0, 1),
)

_QUALITY_SPANNERS = dict.fromkeys(("mean_displacement_mm", "max_displacement_mm", "max_rotation_deg"), "Motion") | {
    "fraction_unusable": "Voxels of the fit",
    "fraction_non_positive": "Voxels of the fit",
}


def quality_table(quality: pd.DataFrame, *, title: str = "Quality of the scans", name: str = "quality") -> Exhibit:
    """List the quality of each participant's scan.

    Parameters
    ----------
    quality : DataFrame
        One row per participant: `participant_id` and any of `snr`, `n_directions`, `mean_displacement_mm`,
        `max_displacement_mm`, `max_rotation_deg`, `fraction_unusable`, `fraction_non_positive`, `n_issues`.
        Those without any value, as after a step that was switched off, are left out.
    title : str, default="Quality of the scans"
        Heading.
    name : str, default="quality"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per participant.
    """
    known = [entry for entry in _QUALITY if entry[0] in quality.columns and quality[entry[0]].notna().any()]
    keys = {key for key, _, _, _ in known}
    cells = pd.DataFrame({"participant_id": quality["participant_id"].astype(str)})
    for key, _, digits, scale in known:
        cells[key] = [fixed(value * scale, digits) for value in quality[key].astype(float)]
    columns = [Column(key, label, spanner=_QUALITY_SPANNERS.get(key, "")) for key, label, _, _ in known]
    n = len(quality)
    words = [f"{n} scan{'' if n == 1 else 's'}, one a row."]
    if "snr" in keys:
        snr = quality["snr"].astype(float)
        words.append(
            f"SNR is that of the muscles without diffusion weighting: median {fixed(snr.median(), 1)}, "
            f"from {fixed(snr.min(), 1)} to {fixed(snr.max(), 1)}."
        )
    if keys & {"mean_displacement_mm", "max_displacement_mm"}:
        words.append("Motion is how far the volumes lay from the first, averaged over the foreground.")
    if "fraction_non_positive" in keys:
        words.append("Non-positive voxels have an eigenvalue at or below zero, the work of noise; most lie in fat.")
    html = table_html(name, cells, columns, title=title, row_label=("participant_id", "Participant"))
    return Exhibit(name, "table", title, " ".join(words), quality, html=html)


def bias_table(bias: pd.DataFrame, registry: MuscleRegistry, *, name: str = "bias") -> Exhibit:
    """Hold the values found in simulated scans against the truth that they were made from.

    Parameters
    ----------
    bias : DataFrame
        Columns `muscle`, `parameter`, `n`, `truth_mean`, `found_mean`, `bias`, `rmse`, in stored units.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="bias"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    rows = []
    for row in bias.to_dict("records"):
        printed = PARAMETERS[str(row["parameter"])]
        digits = printed.digits + 1
        rows.append(
            {
                "group": printed.label,
                "muscle": registry.title(str(row["muscle"])),
                "n": count(row["n"]),
                **{
                    key: fixed(row[key] * printed.scale, digits) for key in ("truth_mean", "found_mean", "bias", "rmse")
                },
                "percent": fixed(100 * row["bias"] / row["truth_mean"], 1) if row["truth_mean"] else "",
            }
        )
    columns = [
        Column("n", "n"),
        Column("truth_mean", "Truth", spanner="Mean"),
        Column("found_mean", "Found", spanner="Mean"),
        Column("bias", "Bias", spanner="Found − truth"),
        Column("percent", "Bias, %", spanner="Found − truth"),
        Column("rmse", "RMSE", spanner="Found − truth"),
    ]
    title = "Error of the measurement, by muscle"
    summary = (
        "Simulated scans come with their truth. Bias is the mean of found minus true value over the n "
        "participants, RMSE the "
        "root of the mean squared difference. A bias far below the differences between the groups cannot explain them."
    )
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, bias, html=html)
