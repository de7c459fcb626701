"""What participants' processing makes: three BIDS derivatives, one after the other, and their receipts.

`preprocessed-…` holds the cleaned series, `tensor-…` the maps fitted to it, `muscles-…` the ROI rows measured on
them. Each name ends in a hash of the settings that made it, so runs that agree share what is there, and a
change of erosion finds the tensors of before. A receipt beside each participant's files says which inputs,
settings and version of the step they came from; whatever does not match is made again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dtimuscle import __version__
from dtimuscle.dwi import DwiSeries, TensorMaps
from dtimuscle.errors import DatasetError
from dtimuscle.muscles import MuscleLabels
from dtimuscle.roi_table import COLUMNS, check_roi_table
from dtimuscle.settings import Study, fingerprint
from dtimuscle.store.bids import (
    MAPS,
    Dataset,
    Scan,
    dataset_key,
    simulation_maker,
    write_description,
    write_ignored,
)
from dtimuscle.store.files import (
    file_digest,
    naming,
    read_json,
    read_tsv,
    write_json,
    write_tsv,
)
from dtimuscle.store.images import read_dwi, read_image, write_gradients, write_image, write_scaled_image
from dtimuscle.store.labels import write_label_table
from dtimuscle.store.places import derivatives_folder

# Raised whenever a step computes something else from the same input and settings.
STEP_VERSIONS = {"preprocessed": 6, "tensor": 5, "muscles": 4}
STEPS = tuple(STEP_VERSIONS)

NOISE = "desc-noise_dwimap.nii.gz"
KEPT = "desc-kept_dwimap.nii.gz"
STEPS_SHOWN = "desc-steps_dwimap.nii.gz"
RESIDUAL = "model-tensor_desc-residual_dwimap.nii.gz"
PROPAGATED = "desc-propagated_dseg.nii.gz"
AGREEMENT = "desc-agreement_dwimap.nii.gz"

# Agreement of atlases is kept to a hundredth.
AGREEMENT_QUANTUM = 0.01

# The pictures of the steps are kept to this part of their brightest voxel: finer than any screen, a tenth of the size.
PICTURE_QUANTUM = 1 / 2000

MAP_UNITS = {"fa": "1", "md": "mm2/s", "ad": "mm2/s", "rd": "mm2/s", "s0": "arbitrary", "direction": "1"}
BLOOD_UNITS = {"perfusionfraction": "1", "pseudodiffusivity": "mm2/s"}

# Files that BIDS has no name for yet, or (gradients of a preprocessed series) no place in its validator's rules.
BEYOND_BIDS = (
    "*_roi.tsv", "roi.tsv", "roi.json", "*_desc-quality.json", "*_desc-volumes.tsv", "*_desc-slices.tsv",
    MAPS, "*_dwimap.json", "*_dwi.bval", "*_dwi.bvec",
)  # fmt: skip


@dataclass(frozen=True)
class Derivatives:
    """The three derivative datasets of one dataset under one group of settings.

    Parameters
    ----------
    folders : dict of str to Path
        Folder of each step, keyed by `preprocessed`, `tensor` and `muscles`.
    settings : dict of str to dict
        What each step was told, keyed alike; later steps include earlier ones.
    is_simulated : bool
        Whether the scans are simulated.
    """

    folders: dict[str, Path]
    settings: dict[str, dict[str, Any]]
    is_simulated: bool

    def file(self, step: str, scan: Scan, name: str) -> Path:
        """Return the path of a participant's file, e.g. `desc-quality.json`, in a step's dataset.

        Parameters
        ----------
        step : str
            `preprocessed`, `tensor` or `muscles`.
        scan : Scan
            The participant.
        name : str
            What follows the participant and session in the name.

        Returns
        -------
        Path
            It may not exist yet.
        """
        folder = self.folders[step] / scan.participant_id / scan.session / "dwi"
        return folder / f"{scan.name}_{name}"


def derivatives_of(dataset: Dataset, study: Study) -> Derivatives:
    """Name the derivatives of a dataset under a study's settings.

    Parameters
    ----------
    dataset : Dataset
        The scans.
    study : Study
        Its sections `preprocessing`, `tensor` and `roi` count.

    Returns
    -------
    Derivatives
        Folders that may or may not exist yet.
    """
    sections = {"preprocessed": study.preprocessing, "tensor": study.tensor, "muscles": study.roi}
    base = derivatives_folder() / dataset_key(dataset.root)
    folders: dict[str, Path] = {}
    settings: dict[str, dict[str, Any]] = {}
    told: dict[str, Any] = {}
    for step, section in sections.items():
        told = {**told, **section.model_dump(mode="json")}
        settings[step] = told
        folders[step] = base / f"{step}-{fingerprint(told)[:8]}"
    return Derivatives(folders, settings, dataset.is_simulated)


def derivatives_by(derivatives: Derivatives, labels: Path) -> Derivatives:
    """Name the derivatives of another reader's labels: the same tensors, with muscles of their own.

    Parameters
    ----------
    derivatives : Derivatives
        Those of the first reader.
    labels : Path
        Derivative with the other reader's labels.

    Returns
    -------
    Derivatives
        Folders that may or may not exist yet.
    """
    own = derivatives.folders["muscles"]
    folder = own.with_name(f"{own.name}-by-{fingerprint(str(labels.resolve()))[:6]}")
    return replace(derivatives, folders={**derivatives.folders, "muscles": folder})


def describe_derivatives(derivatives: Derivatives, dataset: Dataset) -> None:
    """Write what BIDS wants to know of each derivative dataset: who made it, from what, with which settings.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    dataset : Dataset
        Where the scans come from.
    """
    for step, folder in derivatives.folders.items():
        words = ", ".join(f"{name}={value}" for name, value in derivatives.settings[step].items())
        makers = [{"Name": "dtimuscle", "Version": __version__, "Description": f"{step} ({words})"}]
        if derivatives.is_simulated:
            makers.append(simulation_maker({}))
        write_description(
            folder,
            f"{dataset.name}: {step}",
            kind="derivative",
            generated_by=makers,
            SourceDatasets=[{"URL": dataset.root.resolve().as_uri()}],
        )
        write_ignored(folder, BEYOND_BIDS)


# Receipts


def step_key(derivatives: Derivatives, step: str, digests: Iterable[str]) -> str:
    """Hash what a step's result depends on: the content of its inputs, its settings and its version.

    Parameters
    ----------
    derivatives : Derivatives
        Whose settings count.
    step : str
        `preprocessed`, `tensor` or `muscles`.
    digests : iterable of str
        `file_digest` of each file that the step reads, directly or through the steps before.

    Returns
    -------
    str
        The key that a valid receipt carries.
    """
    versions = [STEP_VERSIONS[earlier] for earlier in STEPS[: STEPS.index(step) + 1]]
    return fingerprint([list(digests), derivatives.settings[step], versions])


def _receipt_file(derivatives: Derivatives, step: str, scan: Scan) -> Path:
    return derivatives.folders[step] / ".receipts" / f"{scan.name}.json"


def write_receipt(derivatives: Derivatives, step: str, scan: Scan, key: str) -> None:
    """Record that a participant's files in a step's dataset are whole, and what they came from.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor` or `muscles`.
    scan : Scan
        The participant.
    key : str
        From `step_key`.
    """
    folder = derivatives.folders[step]
    files = sorted((folder / scan.participant_id / scan.session / "dwi").glob(f"{scan.name}_*"))
    outputs = {path.relative_to(folder).as_posix(): {**_stamp(path), "sha256": file_digest(path)} for path in files}
    write_json(_receipt_file(derivatives, step, scan), {"key": key, "outputs": outputs})


def receipt_digest(derivatives: Derivatives, step: str, scan: Scan) -> str:
    """Hash what is known of a participant's files in a step's dataset.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor` or `muscles`.
    scan : Scan
        A participant whose step is done.

    Returns
    -------
    str
        The same as long as the files rest on the same inputs and settings and hold the same.
    """
    receipt = read_json(_receipt_file(derivatives, step, scan))
    return fingerprint([receipt["key"], {name: output["sha256"] for name, output in receipt["outputs"].items()}])


def is_current(derivatives: Derivatives, step: str, scan: Scan, key: str) -> bool:
    """Tell whether a participant's files are there, undamaged, and made from the same inputs and settings.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor` or `muscles`.
    scan : Scan
        The participant.
    key : str
        From `step_key`.

    Returns
    -------
    bool
        False when anything has to be made again.
    """
    path = _receipt_file(derivatives, step, scan)
    if not path.is_file():
        return False
    try:
        receipt = read_json(path)
        has_key, outputs = receipt["key"] == key, receipt["outputs"]
    except (DatasetError, KeyError, TypeError):
        return False
    folder = derivatives.folders[step]
    return has_key and all(_is_unchanged(folder / name, output) for name, output in outputs.items())


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_unchanged(path: Path, output: dict[str, Any]) -> bool:
    """Trust a file with the size and time of writing that the receipt knows; read any other."""
    if not path.is_file():
        return False
    return output | _stamp(path) == output or file_digest(path) == output.get("sha256")


# Preprocessed series


def write_preprocessed(
    derivatives: Derivatives,
    scan: Scan,
    series: DwiSeries,
    *,
    mask: np.ndarray,
    noise_sd: np.ndarray | None,
    quality: dict[str, Any],
    weights: np.ndarray | None = None,
) -> None:
    """Write a participant's cleaned series, its mask, noise map and quality.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    series : DwiSeries
        With gradients rotated as the volumes were.
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground.
    noise_sd : ndarray of shape (nx, ny, nz) or None
        Standard deviation of the noise in the unit of the signal; None when it was not estimated.
    quality : dict
        What the step says of its own result; holds `issues`.
    weights : ndarray of bool, shape (nx, ny, nz, n), optional
        Samples that count; no file is written when all do.
    """
    name = derivatives.file("preprocessed", scan, "desc-preproc_dwi").as_posix()
    write_gradients(Path(f"{name}.bval"), Path(f"{name}.bvec"), series.gradients, series.affine)
    write_json(Path(f"{name}.json"), {"SkullStripped": False, "Settings": derivatives.settings["preprocessed"]})
    write_image(Path(f"{name}.nii.gz"), series.signal.astype(np.float32), series.affine)
    write_image(derivatives.file("preprocessed", scan, "desc-foreground_mask.nii.gz"), mask, series.affine)
    if noise_sd is not None:
        write_image(
            derivatives.file("preprocessed", scan, NOISE),
            noise_sd.astype(np.float32),
            series.affine,
        )
    kept = derivatives.file("preprocessed", scan, KEPT)
    if weights is None:
        kept.unlink(missing_ok=True)
    else:
        write_image(kept, weights, series.affine)
    write_json(derivatives.file("preprocessed", scan, "desc-quality.json"), quality)


def read_preprocessed(derivatives: Derivatives, scan: Scan, *, b0_threshold: float) -> tuple[DwiSeries, np.ndarray]:
    """Read a participant's cleaned series and its mask.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    b0_threshold : float
        Volumes up to this b-value count as b = 0, s/mm².

    Returns
    -------
    series : DwiSeries
        With gradients rotated as the volumes were.
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground.
    """
    image, bval, bvec = (
        derivatives.file("preprocessed", scan, f"desc-preproc_dwi{suffix}") for suffix in (".nii.gz", ".bval", ".bvec")
    )
    series = read_dwi(image, bval, bvec, b0_threshold=b0_threshold)
    mask, _ = read_image(derivatives.file("preprocessed", scan, "desc-foreground_mask.nii.gz"))
    return series, mask > 0


def read_noise(derivatives: Derivatives, scan: Scan) -> np.ndarray | None:
    """Read a participant's noise map.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    ndarray of shape (nx, ny, nz) or None
        Noise SD in the unit of the signal; None when it was not estimated.
    """
    path = derivatives.file("preprocessed", scan, NOISE)
    return read_image(path)[0] if path.is_file() else None


def read_weights(derivatives: Derivatives, scan: Scan) -> np.ndarray | None:
    """Read which samples of a participant's cleaned series count.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz, n), or None
        False where lost slices reach; None when all count.
    """
    path = derivatives.file("preprocessed", scan, KEPT)
    return read_image(path)[0] > 0 if path.is_file() else None


# What each step did, for the eye


def write_course(
    derivatives: Derivatives,
    scan: Scan,
    pictures: np.ndarray,
    affine: np.ndarray,
    *,
    about: dict[str, Any],
    volumes: pd.DataFrame,
    slices: pd.DataFrame,
) -> None:
    """Write how a participant's series went through preprocessing.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    pictures : ndarray of shape (nx, ny, nz, m)
        One slice after each step, without and with weighting.
    affine : ndarray of shape (4, 4)
        Of the pictures: from voxel indices to world coordinates (RAS, mm).
    about : dict
        Steps and volumes that the pictures show.
    volumes : DataFrame
        One row per volume: weighting, directions and motion.
    slices : DataFrame
        One row per slice and volume: the share of signal that is missing; no rows when nobody looked.
    """
    path = derivatives.file("preprocessed", scan, STEPS_SHOWN)
    finite = np.nan_to_num(pictures, posinf=0, neginf=0)
    write_scaled_image(path, finite, affine, quantum=PICTURE_QUANTUM * (float(np.abs(finite).max()) or 1.0))
    write_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), about)
    write_tsv(derivatives.file("preprocessed", scan, "desc-volumes.tsv"), volumes)
    write_tsv(derivatives.file("preprocessed", scan, "desc-slices.tsv"), slices)


def read_pictures(derivatives: Derivatives, scan: Scan) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read the pictures of each step of a participant's preprocessing.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    pictures : ndarray of shape (nx, ny, nz, m)
        One slice after each step, without and with weighting.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    about : dict
        Steps and volumes that they show.
    """
    path = derivatives.file("preprocessed", scan, STEPS_SHOWN)
    pictures, affine = read_image(path)
    return pictures, affine, read_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"))


def read_volumes(derivatives: Derivatives, scan: Scan) -> pd.DataFrame:
    """Read the weighting, directions and motion of each volume of a participant's series.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    DataFrame
        One row per volume, as `write_course` was given it.
    """
    return _read_numbers(derivatives.file("preprocessed", scan, "desc-volumes.tsv"), flag="is_b0")


def read_slices(derivatives: Derivatives, scan: Scan) -> pd.DataFrame:
    """Read how much signal each slice of each volume of a participant's series lacks.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    DataFrame
        One row per slice and volume, as `write_course` was given it.
    """
    return _read_numbers(derivatives.file("preprocessed", scan, "desc-slices.tsv"), flag="is_outlier")


def _read_numbers(path: Path, *, flag: str) -> pd.DataFrame:
    """Read a table of numbers with one column of truth values."""
    table = read_tsv(path)
    with naming(path):
        try:
            numbers = table.drop(columns=flag).apply(pd.to_numeric)
        except (KeyError, ValueError, TypeError) as error:
            raise DatasetError(f"a value is not a number, or a column is missing ({error}).") from error
    return numbers.assign(**{flag: (table[flag].astype(str) == "True").to_numpy(dtype=bool)})


# Tensor maps


def write_maps(derivatives: Derivatives, scan: Scan, maps: TensorMaps, quality: dict[str, Any]) -> None:
    """Write a participant's tensor maps, each with its unit, and the quality of the fit.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    maps : TensorMaps
        The fit.
    quality : dict
        What the step says of its own result; holds `issues`.
    """
    arrays = {**maps.scalars, "s0": maps.s0, "direction": maps.direction}
    for parameter, values in arrays.items():
        path = derivatives.file("tensor", scan, f"model-tensor_param-{parameter}_dwimap.nii.gz")
        write_map(path, values, maps.affine, parameter=parameter, estimator=maps.estimator)
    write_image(derivatives.file("tensor", scan, "desc-fitted_mask.nii.gz"), maps.mask, maps.affine)
    write_image(derivatives.file("tensor", scan, "desc-positive_mask.nii.gz"), maps.is_positive, maps.affine)
    write_json(derivatives.file("tensor", scan, "desc-quality.json"), quality)


def write_residual(derivatives: Derivatives, scan: Scan, residual: np.ndarray, affine: np.ndarray) -> None:
    """Write what the tensor leaves unexplained in each voxel of a participant.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    residual : ndarray of shape (nx, ny, nz)
        Part of the signal without weighting.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """
    path = derivatives.file("tensor", scan, RESIDUAL)
    write_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), {"Units": "1"})
    write_image(path, residual.astype(np.float32), affine)


def read_residual(derivatives: Derivatives, scan: Scan) -> np.ndarray:
    """Read what the tensor leaves unexplained in each voxel of a participant.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    ndarray of shape (nx, ny, nz)
        Part of the signal without weighting; NaN without a tensor.
    """
    return read_image(derivatives.file("tensor", scan, RESIDUAL))[0]


def write_blood(
    derivatives: Derivatives, scan: Scan, fraction: np.ndarray, pseudo_diffusivity: np.ndarray, affine: np.ndarray
) -> None:
    """Write a participant's maps of blood.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    fraction : ndarray of shape (nx, ny, nz)
        Part of the signal at b = 0 that is blood's.
    pseudo_diffusivity : ndarray of shape (nx, ny, nz)
        Of blood, mm²/s.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """
    for (parameter, unit), values in zip(BLOOD_UNITS.items(), (fraction, pseudo_diffusivity), strict=True):
        path = derivatives.file("tensor", scan, f"model-ivim_param-{parameter}_dwimap.nii.gz")
        sidecar = {"Units": unit, "Model": {"Description": "intravoxel incoherent motion, segmented fit"}}
        write_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), sidecar)
        write_image(path, values.astype(np.float32), affine)


def write_map(path: Path, values: np.ndarray, affine: np.ndarray, *, parameter: str, estimator: str) -> None:
    """Write one parameter map with a sidecar that says its unit and how it was fitted.

    Parameters
    ----------
    path : Path
        File that ends in `.nii.gz`.
    values : ndarray
        The map; a direction has a fourth axis of length 3.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    parameter : str
        Key of `MAP_UNITS`.
    estimator : str
        How the tensor was fitted.
    """
    sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    write_json(
        sidecar, {"Units": MAP_UNITS[parameter], "Model": {"Description": "diffusion tensor", "Estimator": estimator}}
    )
    write_image(path, values.astype(np.float32), affine)


def read_maps(derivatives: Derivatives, scan: Scan) -> TensorMaps:
    """Read a participant's tensor maps.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    TensorMaps
        As `write_maps` was given them.
    """
    arrays = {
        parameter: read_image(derivatives.file("tensor", scan, f"model-tensor_param-{parameter}_dwimap.nii.gz"))
        for parameter in ("fa", "md", "ad", "rd", "s0", "direction")
    }
    mask, affine = read_image(derivatives.file("tensor", scan, "desc-fitted_mask.nii.gz"))
    is_positive, _ = read_image(derivatives.file("tensor", scan, "desc-positive_mask.nii.gz"))
    return TensorMaps(
        **{parameter: data for parameter, (data, _) in arrays.items()},
        mask=mask > 0,
        is_positive=is_positive > 0,
        affine=affine,
        estimator=derivatives.settings["tensor"]["estimator"],
    )


def read_s0(derivatives: Derivatives, scan: Scan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the fitted signal without weighting of a participant.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    s0 : ndarray of shape (nx, ny, nz)
        Signal without weighting; 0 where nothing was fitted.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where a tensor was fitted.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """
    s0, affine = read_image(derivatives.file("tensor", scan, "model-tensor_param-s0_dwimap.nii.gz"))
    mask, _ = read_image(derivatives.file("tensor", scan, "desc-fitted_mask.nii.gz"))
    return np.nan_to_num(s0), mask > 0, affine


# Labels that were carried over


def propagated_labels_file(derivatives: Derivatives, scan: Scan) -> Path:
    """Return where the labels lie that were propagated to a participant.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    Path
        It may not exist yet.
    """
    return derivatives.file("muscles", scan, PROPAGATED)


def write_propagated_labels(
    derivatives: Derivatives, scan: Scan, labels: MuscleLabels, agreement: np.ndarray, *, about: dict[str, Any]
) -> None:
    """Write labels that were propagated, their look-up table, what they come from, and how far the atlases agree.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    labels : MuscleLabels
        On the grid of the series.
    agreement : ndarray of shape (nx, ny, nz)
        Share of the atlases that agree (0 to 1).
    about : dict
        Atlases and method, for the file beside the labels.
    """
    path = propagated_labels_file(derivatives, scan)
    stem = path.name.removesuffix(".nii.gz")
    write_label_table(path.with_name(f"{stem}.tsv"), labels)
    write_json(path.with_name(f"{stem}.json"), {"Manual": False, **about})
    write_image(path, labels.values.astype(np.int32), labels.affine)
    confidence = derivatives.file("muscles", scan, AGREEMENT)
    write_json(confidence.with_name(confidence.name.removesuffix(".nii.gz") + ".json"), {"Units": "1"})
    write_scaled_image(confidence, agreement, labels.affine, quantum=AGREEMENT_QUANTUM)


# ROI rows


def write_roi_rows(derivatives: Derivatives, scan: Scan, rows: pd.DataFrame, quality: dict[str, Any]) -> None:
    """Write a participant's rows of the ROI table and the quality of the muscles.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    rows : DataFrame
        Columns of `dtimuscle.roi_table`.
    quality : dict
        What the step says of its own result; holds `issues`.
    """
    write_tsv(derivatives.file("muscles", scan, "roi.tsv"), rows)
    write_json(derivatives.file("muscles", scan, "desc-quality.json"), quality)


def read_roi_rows(derivatives: Derivatives, scan: Scan) -> pd.DataFrame:
    """Read a participant's rows of the ROI table.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.

    Returns
    -------
    DataFrame
        As `read_roi_table` returns it.
    """
    return read_roi_table(derivatives.file("muscles", scan, "roi.tsv"))


def read_quality(derivatives: Derivatives, step: str, scan: Scan) -> dict[str, Any]:
    """Read what a step says of its own result for one participant.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor` or `muscles`.
    scan : Scan
        The participant.

    Returns
    -------
    dict
        As it was written; holds `issues`.
    """
    return read_json(derivatives.file(step, scan, "desc-quality.json"))


# ROI tables

_TEXT = ("participant_id", "session", "muscle", "side", "parameter", "route", "unit", "labels")
_COUNTS = ("n_label", "n_kept", "n_eroded", "n_unusable")

COLUMN_DESCRIPTIONS = {
    "participant_id": {"Description": "Participant, with the prefix sub-"},
    "session": {"Description": "Session, with the prefix ses-; empty when there is one only"},
    "muscle": {"Description": "Canonical muscle name from data/muscles.tsv"},
    "side": {
        "Description": "Side of the body",
        "Levels": {"left": "left", "right": "right", "both": "both sides pooled"},
    },
    "parameter": {
        "Description": "Tensor parameter",
        "Levels": {
            "fa": "fractional anisotropy",
            "md": "mean diffusivity (ADC)",
            "ad": "axial diffusivity",
            "rd": "radial diffusivity",
        },
    },
    "route": {
        "Description": "How the value was made",
        "Levels": {"voxelwise": "tensor of each voxel", "mean_signal": "tensor of the mean signal of the kept voxels"},
    },
    "unit": {"Description": "Unit of mean, median, sd, q25 and q75"},
    "mean": {"Description": "Mean over voxels; for mean_signal the one value"},
    "median": {"Description": "Median over voxels"},
    "sd": {"Description": "Standard deviation over voxels (n - 1)"},
    "q25": {"Description": "First quartile over voxels"},
    "q75": {"Description": "Third quartile over voxels"},
    "n_label": {"Description": "Voxels of the label"},
    "n_kept": {"Description": "Voxels that the values come from"},
    "n_eroded": {"Description": "Voxels left out as rim"},
    "n_unusable": {"Description": "Voxels left out because the fit is unusable"},
    "is_simulated": {"Description": "Whether the row comes from simulated data"},
    "labels": {
        "Description": "Where the labels come from; empty when it is not known",
        "Levels": {"drawn": "drawn on this scan", "propagated": "carried over from other participants"},
    },
}  # fmt: skip


def write_roi_table(path: Path, table: pd.DataFrame) -> None:
    """Write a ROI table (`.tsv`) with its data dictionary (`.json`).

    Parameters
    ----------
    path : Path
        File that ends in `.tsv`.
    table : DataFrame
        Columns of `dtimuscle.roi_table`.
    """
    write_tsv(path, table)
    write_json(path.with_suffix(".json"), COLUMN_DESCRIPTIONS)


def read_roi_table(path: Path) -> pd.DataFrame:
    """Read a ROI table that the kit wrote.

    Parameters
    ----------
    path : Path
        `roi.tsv`.

    Returns
    -------
    DataFrame
        As `check_roi_table` returns it, numbers as numbers.

    Raises
    ------
    DatasetError, RoiTableError
        If the file is missing, damaged, or no ROI table.
    """
    table = read_tsv(path)
    table = check_roi_table(
        table.assign(session=table["session"].fillna("")) if "session" in table else table, source=str(path)
    )
    numbers = [column for column in COLUMNS if column not in (*_TEXT, "is_simulated")]
    with naming(path):
        try:
            table[numbers] = table[numbers].apply(pd.to_numeric)
            table[list(_COUNTS)] = table[list(_COUNTS)].astype("Int64")
        except (ValueError, TypeError) as error:
            raise DatasetError(f"a value is not a number, or a count is not whole ({error}).") from error
    table["is_simulated"] = table["is_simulated"].map({"True": True, "False": False}).astype(bool)
    return table
