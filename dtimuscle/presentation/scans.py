"""Tables about scans and fits: what was measured before any group is compared."""

import pandas as pd

from dtimuscle.dwi import GradientTable
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import PARAMETERS, count, fixed, mean_sd


def gradient_table(gradients: GradientTable, *, what: str = "", name: str = "gradients") -> Exhibit:
    """List the volumes of a series with their diffusion weighting.

    Parameters
    ----------
    gradients : GradientTable
        b-values (s/mm²) and directions in world coordinates.
    what : str, default=""
        Participant, for the summary.
    name : str, default="gradients"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per volume.
    """
    data = pd.DataFrame(gradients.directions, columns=["right", "front", "up"])
    data.insert(0, "volume", range(len(gradients)))
    data.insert(1, "b", gradients.bvals)
    cells = data.astype(str).assign(
        b=[fixed(b, 0) for b in gradients.bvals],
        **{axis: [fixed(x, 2) for x in data[axis]] for axis in ("right", "front", "up")},
    )
    columns = [
        Column("b", "b, s/mm²"),
        *(Column(axis, axis.capitalize(), spanner="Direction") for axis in ("right", "front", "up")),
    ]
    title = "Volumes of the series"
    n_b0 = int(gradients.is_b0.sum())
    summary = (
        f"{_start(what)}{len(gradients)} volumes, {n_b0} of them without diffusion weighting (b up to "
        f"{gradients.b0_threshold:g} s/mm²), and {gradients.n_directions} independent directions. They are given in "
        "the patient's frame: to the right, to the front and up."
    )
    html = table_html(name, cells, columns, title=title, row_label=("volume", "Volume"))
    return Exhibit(name, "table", title, summary, data, html=html)


def estimator_table(comparison: pd.DataFrame, *, what: str = "", name: str = "estimators") -> Exhibit:
    """Hold the estimators of the tensor side by side.

    Parameters
    ----------
    comparison : DataFrame
        As `dtimuscle.imaging.quality.compare_fits` returns it.
    what : str, default=""
        Participant, for the summary.
    name : str, default="estimators"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per estimator.
    """
    fa, md = PARAMETERS["fa"], PARAMETERS["md"]
    cells = pd.DataFrame(
        {
            "estimator": [ESTIMATOR_TITLES[str(estimator)] for estimator in comparison["estimator"]],
            "fa": [fixed(value, fa.digits + 1) for value in comparison["fa"]],
            "md": [fixed(value * md.scale, md.digits + 1) for value in comparison["md"]],
            "non_positive": [fixed(100 * value, 1) for value in comparison["fraction_non_positive"]],
        }
    )
    columns = [
        Column("fa", fa.label, spanner="Median over voxels"),
        Column("md", md.label, spanner="Median over voxels"),
        Column("non_positive", "Non-positive tensors, %"),
    ]
    title = "The same series fitted by each estimator"
    n_voxels = int(comparison["n_voxels"].max()) if len(comparison) else 0
    summary = (
        f"{_start(what)}all {count(n_voxels)} voxels of the foreground, fat included. Where the estimators agree, the "
        "signal is good enough for the choice not to matter. A non-positive tensor has an eigenvalue at or below "
        "zero, which is the work of noise."
    )
    html = table_html(name, cells, columns, title=title, row_label=("estimator", "Estimator"))
    return Exhibit(name, "table", title, summary, comparison, html=html)


ESTIMATOR_TITLES = {
    "ols": "OLS: ordinary least squares",
    "wls": "WLS: weighted once",
    "iwls": "IWLS: weighted again and again",
    "nlls": "NLLS: the signal itself",
    "restore": "RESTORE: outliers left out",
    "robust": "Robust IWLS: outliers left out",
}


def muscle_table(muscles: pd.DataFrame, registry: MuscleRegistry, *, name: str = "muscles") -> Exhibit:
    """Describe the muscles over all participants.

    Parameters
    ----------
    muscles : DataFrame
        As `dtimuscle.roi_table.summarise_muscles` returns it.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="muscles"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle.
    """
    fa, md = PARAMETERS["fa"], PARAMETERS["md"]
    rows = muscles.to_dict("records")
    cells = pd.DataFrame(
        {
            "muscle": [registry.title(str(row["muscle"])) for row in rows],
            "n": [count(row["n"]) for row in rows],
            "n_missing": [count(row["n_missing"]) for row in rows],
            "n_label": [fixed(row["n_label"], 0) for row in rows],
            "n_kept": [fixed(row["n_kept"], 0) for row in rows],
            "fa": [mean_sd(row["fa_mean"], row["fa_sd"], fa.digits) for row in rows],
            "md": [mean_sd(row["md_mean"], row["md_sd"], md.digits, scale=md.scale) for row in rows],
        }
    )
    columns = [
        Column("n", "n", spanner="Participants"),
        Column("n_missing", "Missing", spanner="Participants"),
        Column("n_label", "Label", spanner="Voxels (median)"),
        Column("n_kept", "Kept", spanner="Voxels (median)"),
        Column("fa", fa.label, spanner="Mean ± SD over participants"),
        Column("md", md.label, spanner="Mean ± SD over participants"),
    ]
    title = "Muscle values of all participants"
    summary = (
        "Voxels of the label, and those kept once the rim and unusable fits are left out. The SD is that between "
        "participants, both groups together."
    )
    html = table_html(name, cells, columns, title=title, row_label=("muscle", "Muscle"))
    return Exhibit(name, "table", title, summary, muscles, html=html)


def _start(what: str) -> str:
    return f"{what}: " if what else ""
