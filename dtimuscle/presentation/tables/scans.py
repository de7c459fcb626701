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
    ("mean_framewise_mm", "From volume to volume, mm", 2, 1),
    ("max_rotation_deg", "Rotation, °", 2, 1),
    ("n_lost_slices", "Lost slices", 0, 1),
    ("fraction_unusable", "Unusable, %", 1, 100),
    ("fraction_non_positive", "Non-positive, %", 1, 100),
    ("n_issues", "Issues", 0, 1),
)

_MOTION = ("mean_displacement_mm", "max_displacement_mm", "mean_framewise_mm", "max_rotation_deg")

_QUALITY_SPANNERS = dict.fromkeys(_MOTION, "Motion") | {
    "fraction_unusable": "Voxels of the fit",
    "fraction_non_positive": "Voxels of the fit",
}


def quality_table(quality: pd.DataFrame, *, title: str = "Quality of the scans", name: str = "quality") -> Exhibit:
    """List the quality of each participant's scan.

    Parameters
    ----------
    quality : DataFrame
        One row per participant: `participant_id` and any fields of `SeriesQuality` or `FitQuality`, of which those are
        printed that tell scans apart. Those without any value, as after a step that was switched off, are left out.
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
    if "orientation" in quality and quality["orientation"].any():
        cells["orientation"] = quality["orientation"]
        columns.append(Column("orientation", "b-vectors", align="left"))
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
    if "n_lost_slices" in keys:
        words.append("Lost slices are much darker in one volume than the others say; the fit leaves them out.")
    if "fraction_non_positive" in keys:
        words.append("Non-positive voxels have an eigenvalue at or below zero, the work of noise; most lie in fat.")
    if "orientation" in cells:
        words.append("b-vectors: whether the fibres fit the directions as given, or with an axis flipped or swapped.")
    if "shells" in quality:
        counts = quality["shells"].astype(str).value_counts(sort=False).items()
        words += [str(said) if n_said == n else f"{said} ({n_said} of {n} scans)" for said, n_said in counts]
    html = table_html(name, cells, columns, title=title, row_label=("participant_id", "Participant"))
    return Exhibit(name, "table", title, " ".join(words), quality, html=html)


# Heading of each grade of SNR; the colours of a traffic light, told by words as well.
_GRADES = {"green": "50 or more", "amber": "25 to 50", "red": "Below 25"}


def muscle_quality_table(quality: pd.DataFrame, registry: MuscleRegistry, *, name: str = "muscle_quality") -> Exhibit:
    """Say how good the signal of each muscle is, over all participants.

    Parameters
    ----------
    quality : DataFrame
        One row per participant, muscle and side, with the fields of `MuscleQuality`.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="muscle_quality"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, both sides together.
    """
    rows = []
    for muscle, scans in quality[quality["side"] == "both"].groupby("muscle", sort=False):
        snr, fat = scans["snr"].astype(float), scans["fat_fraction"].astype(float)
        n_left = (scans["n_kept"] + scans["n_fat"] + scans["n_impossible"]).sum()
        rows.append(
            {
                "muscle": registry.title(str(muscle)),
                "snr": f"{fixed(snr.median(), 0)} ({fixed(snr.min(), 0)}–{fixed(snr.max(), 0)})",
                **{grade: count((scans["grade"] == grade).sum()) for grade in _GRADES},
                "floor": fixed(100 * scans["fraction_at_floor"].astype(float).mean(), 1),
                "fat": fixed(100 * fat.mean(), 1),
                "n_fat": fixed(100 * scans["n_fat"].sum() / max(n_left, 1), 1),
                "non_positive": fixed(100 * scans["n_non_positive"].sum() / max(scans["n_kept"].sum(), 1), 1),
            }
        )
    columns = [Column("non_positive", "Non-positive, %", spanner="Voxels")]
    words = []
    if quality["fat_fraction"].notna().any():
        columns = [Column("n_fat", "Left out for fat, %", spanner="Voxels"), *columns, Column("fat", "Fat, %")]
        words.append("Fat is the mean fat fraction of the voxels that are kept.")
    if quality["snr"].notna().any():
        columns = [
            Column("snr", "Median (range)", spanner="SNR at b = 0"),
            *(Column(grade, heading, spanner="Participants by SNR") for grade, heading in _GRADES.items()),
            Column("floor", "At the noise floor, %", spanner="Voxels"),
            *columns,
        ]
        words.insert(
            0,
            "SNR is the mean signal without diffusion weighting over the noise of a single volume. With 50 (green) the "
            "tensor of a muscle is known to about 1 %, with 25 (amber) to about 5 % (Damon 2008); below that (red) "
            "differences between patients drown.",
        )
    title = "Signal of each muscle"
    summary = " ".join(words) or "The noise is not known, since the scans were not denoised."
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"))
    return Exhibit(name, "table", title, summary, quality, html=html)


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
