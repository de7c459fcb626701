"""What participants' processing makes: BIDS derivatives, one after the other, and their receipts.

`preprocessed-…` holds the cleaned series, `tensor-…` the maps fitted to it, `labels-…` the labels of those who got
them from others, `muscles-…` the ROI rows measured on them. Each name ends in a hash of the settings that made it,
so runs that agree share what is there, and a change of erosion finds the tensors of before. A receipt beside each
participant's files says which inputs, settings and version of the step they came from; whatever does not match is made
again.

What is written is handed back as its files hold it, rounding and order in memory included: the next step gets the same
numbers to the last bit, whether it follows at once or reads the files in another run.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dtimuscle import __version__
from dtimuscle.dwi import Bools, DwiSeries, Floats, TensorMaps
from dtimuscle.errors import DatasetError, DtiMuscleError
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
    parse_tsv,
    read_json,
    read_text,
    read_tsv,
    write_json,
    write_text,
    write_tsv,
)
from dtimuscle.store.images import (
    read_dwi,
    read_gradients,
    read_image,
    write_gradients,
    write_image,
    write_scaled_image,
)
from dtimuscle.store.labels import write_label_table
from dtimuscle.store.places import derivatives_folder

# Raised whenever a step computes something else from the same input and settings.
STEP_VERSIONS = {"preprocessed": 7, "tensor": 5, "labels": 1, "muscles": 4}
# What happens to a scan with labels of its own; `labels` is for those that get theirs from others.
STEPS = ("preprocessed", "tensor", "muscles")
# Settings of the section `roi` that decide which labels are carried over, whatever is then measured with them.
OF_PROPAGATION = ("label_scheme", "propagate_labels", "label_atlases")

FOREGROUND = "desc-foreground_mask.nii.gz"
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
    """The derivative datasets of one dataset under one group of settings.

    Parameters
    ----------
    folders : dict of str to Path
        Folder of each step, keyed by `preprocessed`, `tensor`, `muscles` and, where they are carried over, `labels`.
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
            `preprocessed`, `tensor`, `labels` or `muscles`.
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


@dataclass(frozen=True)
class Cleaned:
    """What preprocessing hands on, as its files hold it.

    Parameters
    ----------
    series : DwiSeries
        Signal in single precision, gradients rotated as the volumes were.
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground.
    noise_sd : ndarray of shape (nx, ny, nz) or None
        Noise SD in the unit of the signal; None when it was not estimated.
    weights : ndarray of bool, shape (nx, ny, nz, n), or None
        False where lost slices reach; None when all samples count.
    """

    series: DwiSeries
    mask: Bools
    noise_sd: Floats | None
    weights: Bools | None


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
    read_by = {
        "preprocessed": study.preprocessing.model_dump(mode="json"),
        "tensor": study.tensor.model_dump(mode="json"),
        "labels": study.roi.model_dump(mode="json", include=set(OF_PROPAGATION)),
        "muscles": study.roi.model_dump(mode="json"),
    }
    if not study.roi.propagate_labels:
        del read_by["labels"]
    base = derivatives_folder() / dataset_key(dataset.root)
    folders: dict[str, Path] = {}
    settings: dict[str, dict[str, Any]] = {}
    told: dict[str, Any] = {}
    for step, own in read_by.items():
        told = {**told, **own}
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


@dataclass(frozen=True)
class Origin:
    """What a step's result for one participant comes from.

    Parameters
    ----------
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    key : str
        From `step_key`.
    inputs : dict of str to dict
        Each file that the step reads, directly or through the steps before, as `identify` describes it.
    """

    step: str
    key: str
    inputs: dict[str, dict[str, Any]]


def origin_of(derivatives: Derivatives, step: str, inputs: Mapping[str, dict[str, Any]]) -> Origin:
    """Say what a step's result comes from.

    Parameters
    ----------
    derivatives : Derivatives
        Whose settings count.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    inputs : mapping of str to dict
        From `identify`.

    Returns
    -------
    Origin
        With the key that a valid receipt carries.
    """
    digests = [found["sha256"] for found in inputs.values()]
    return Origin(step, step_key(derivatives, step, digests), dict(inputs))


def step_key(derivatives: Derivatives, step: str, digests: Iterable[str]) -> str:
    """Hash what a step's result depends on: the content of its inputs, its settings and its version.

    Parameters
    ----------
    derivatives : Derivatives
        Whose settings count.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    digests : iterable of str
        `file_digest` of each file that the step reads, directly or through the steps before.

    Returns
    -------
    str
        The key that a valid receipt carries.
    """
    return fingerprint([list(digests), derivatives.settings[step], list(versions_upto(step).values())])


def versions_upto(step: str) -> dict[str, int]:
    """Return the version of a step and of those before it.

    Parameters
    ----------
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.

    Returns
    -------
    dict of str to int
        Version of each step, in their order.
    """
    steps = list(STEP_VERSIONS)
    return {earlier: STEP_VERSIONS[earlier] for earlier in steps[: steps.index(step) + 1]}


def identify(paths: Iterable[Path], known: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return size, time of writing and SHA-256 of files.

    Parameters
    ----------
    paths : iterable of Path
        The files.
    known : mapping of str to dict
        What was found of files before; one that has kept its size and time is not read again.

    Returns
    -------
    dict of str to dict
        `size`, `mtime_ns` and `sha256` of each file, in their order.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    """
    found = {}
    for path in paths:
        stamp, before = _stamp(path), known.get(str(path), {})
        is_known = "sha256" in before and before | stamp == before
        found[str(path)] = before if is_known else {**stamp, "sha256": file_digest(path)}
    return found


def _receipt_file(derivatives: Derivatives, step: str, scan: Scan) -> Path:
    return derivatives.folders[step] / ".receipts" / f"{scan.name}.json"


def read_receipt(derivatives: Derivatives, step: str, scan: Scan) -> dict[str, Any] | None:
    """Read what a participant's files in a step's dataset came from.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    scan : Scan
        The participant.

    Returns
    -------
    dict or None
        `key`, `inputs`, `settings`, `versions` and `outputs`, as `write_receipt` wrote them; None when there is no
        receipt or it is damaged.
    """
    return _read_receipt(_receipt_file(derivatives, step, scan))


def receipts_of_other_settings(derivatives: Derivatives, step: str, scan: Scan) -> list[dict[str, Any]]:
    """Read what a participant's files came from that a step has left under other settings.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    scan : Scan
        The participant.

    Returns
    -------
    list of dict
        As `read_receipt` returns them; the latest first.
    """
    own = derivatives.folders[step]
    others = [folder for folder in own.parent.glob(f"{step}-*") if folder != own and "-by-" not in folder.name]
    paths = [path for folder in others if (path := folder / ".receipts" / f"{scan.name}.json").is_file()]
    newest = sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [receipt for path in newest if (receipt := _read_receipt(path)) is not None]


def _read_receipt(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        receipt = read_json(path)
        is_whole = all(isinstance(receipt[part], dict) for part in ("inputs", "settings", "versions", "outputs"))
        return receipt if is_whole and isinstance(receipt["key"], str) else None
    except (DatasetError, KeyError, TypeError):
        return None


def write_receipt(derivatives: Derivatives, scan: Scan, origin: Origin) -> None:
    """Record that a participant's files in a step's dataset are whole, and what they came from.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        The participant.
    origin : Origin
        What the step has read.
    """
    folder = derivatives.folders[origin.step]
    files = sorted((folder / scan.participant_id / scan.session / "dwi").glob(f"{scan.name}_*"))
    outputs = {path.relative_to(folder).as_posix(): {**_stamp(path), "sha256": file_digest(path)} for path in files}
    receipt = {
        "key": origin.key,
        "inputs": origin.inputs,
        "settings": derivatives.settings[origin.step],
        "versions": versions_upto(origin.step),
        "outputs": outputs,
    }
    write_json(_receipt_file(derivatives, origin.step, scan), receipt)


def receipt_digest(derivatives: Derivatives, step: str, scan: Scan) -> str:
    """Hash what is known of a participant's files in a step's dataset.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    scan : Scan
        A participant whose step is done.

    Returns
    -------
    str
        The same as long as the files rest on the same inputs and settings and hold the same.
    """
    receipt = read_json(_receipt_file(derivatives, step, scan))
    return fingerprint([receipt["key"], {name: output["sha256"] for name, output in receipt["outputs"].items()}])


def is_current(derivatives: Derivatives, origin: Origin, receipt: dict[str, Any] | None) -> bool:
    """Tell whether a participant's files are there, undamaged, and made from the same inputs and settings.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    origin : Origin
        What the step would read now.
    receipt : dict or None
        From `read_receipt`.

    Returns
    -------
    bool
        False when anything has to be made again.
    """
    if receipt is None or receipt["key"] != origin.key:
        return False
    return not changed_outputs(derivatives, origin.step, receipt)


def changed_outputs(derivatives: Derivatives, step: str, receipt: dict[str, Any]) -> list[str]:
    """Name the files of a step that are gone, or no longer what they were when the step had written them.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
    receipt : dict
        From `read_receipt`.

    Returns
    -------
    list of str
        Names within the step's dataset.
    """
    folder = derivatives.folders[step]
    return [name for name, output in receipt["outputs"].items() if not _is_unchanged(folder / name, output)]


def renew_receipt(derivatives: Derivatives, scan: Scan, origin: Origin, receipt: dict[str, Any]) -> None:
    """Note new times of files that were copied anew and hold the same, so that nobody has to read them once more.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scan : Scan
        A participant whose files are current.
    origin : Origin
        What the step would read now.
    receipt : dict
        From `read_receipt`; it holds for `origin`.
    """
    folder = derivatives.folders[origin.step]
    outputs = {name: output | _stamp(folder / name) for name, output in receipt["outputs"].items()}
    if (origin.inputs, outputs) != (receipt["inputs"], receipt["outputs"]):
        renewed = receipt | {"inputs": origin.inputs, "outputs": outputs}
        write_json(_receipt_file(derivatives, origin.step, scan), renewed)


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
) -> Cleaned:
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

    Returns
    -------
    Cleaned
        What `read_cleaned` would find in the files.
    """
    image, bval, bvec = _preprocessed_files(derivatives, scan)
    write_gradients(bval, bvec, series.gradients, series.affine)
    sidecar = image.with_name(image.name.removesuffix(".nii.gz") + ".json")
    write_json(sidecar, {"SkullStripped": False, "Settings": derivatives.settings["preprocessed"]})
    signal, affine = write_image(image, series.signal.astype(np.float32, copy=False), series.affine)
    mask, _ = write_image(derivatives.file("preprocessed", scan, FOREGROUND), mask, series.affine)
    if noise_sd is not None:
        path = derivatives.file("preprocessed", scan, NOISE)
        noise_sd, _ = write_image(path, noise_sd.astype(np.float32), series.affine)
    kept = derivatives.file("preprocessed", scan, KEPT)
    if weights is None:
        kept.unlink(missing_ok=True)
    else:
        weights, _ = write_image(kept, weights, series.affine)
    write_json(derivatives.file("preprocessed", scan, "desc-quality.json"), quality)
    # Text rounds the gradients.
    threshold = series.gradients.b0_threshold
    gradients = read_gradients(bval, bvec, affine, n_volumes=signal.shape[3], b0_threshold=threshold)
    return Cleaned(DwiSeries(signal, affine, gradients), mask, noise_sd, weights)


def read_cleaned(derivatives: Derivatives, scan: Scan, *, b0_threshold: float) -> Cleaned:
    """Read all that preprocessing hands on to the steps after it.

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
    Cleaned
        As it was written.
    """
    series, mask = read_preprocessed(derivatives, scan, b0_threshold=b0_threshold)
    return Cleaned(series, mask, read_noise(derivatives, scan), read_weights(derivatives, scan))


def _preprocessed_files(derivatives: Derivatives, scan: Scan) -> tuple[Path, Path, Path]:
    """Return the paths of a participant's cleaned series, its b-values and its directions."""
    image, bval, bvec = (
        derivatives.file("preprocessed", scan, f"desc-preproc_dwi{suffix}") for suffix in (".nii.gz", ".bval", ".bvec")
    )
    return image, bval, bvec


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
    series = read_dwi(*_preprocessed_files(derivatives, scan), b0_threshold=b0_threshold)
    mask, _ = read_image(derivatives.file("preprocessed", scan, FOREGROUND))
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


def write_maps(derivatives: Derivatives, scan: Scan, maps: TensorMaps, quality: dict[str, Any]) -> TensorMaps:
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

    Returns
    -------
    TensorMaps
        What `read_maps` would find in the files.
    """
    written = {}
    for parameter, values in {**maps.scalars, "s0": maps.s0, "direction": maps.direction}.items():
        path = derivatives.file("tensor", scan, f"model-tensor_param-{parameter}_dwimap.nii.gz")
        written[parameter] = write_map(path, values, maps.affine, parameter=parameter, estimator=maps.estimator)
    mask, affine = write_image(derivatives.file("tensor", scan, "desc-fitted_mask.nii.gz"), maps.mask, maps.affine)
    is_positive, _ = write_image(
        derivatives.file("tensor", scan, "desc-positive_mask.nii.gz"), maps.is_positive, maps.affine
    )
    write_json(derivatives.file("tensor", scan, "desc-quality.json"), quality)
    return TensorMaps(**written, mask=mask, is_positive=is_positive, affine=affine, estimator=maps.estimator)


def write_residual(derivatives: Derivatives, scan: Scan, residual: np.ndarray, affine: np.ndarray) -> Floats:
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

    Returns
    -------
    ndarray of shape (nx, ny, nz)
        What `read_residual` would find in the file.
    """
    path = derivatives.file("tensor", scan, RESIDUAL)
    write_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), {"Units": "1"})
    return write_image(path, residual.astype(np.float32), affine)[0]


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


def write_map(path: Path, values: np.ndarray, affine: np.ndarray, *, parameter: str, estimator: str) -> Floats:
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

    Returns
    -------
    ndarray
        The map as the file holds it.
    """
    sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    write_json(
        sidecar, {"Units": MAP_UNITS[parameter], "Model": {"Description": "diffusion tensor", "Estimator": estimator}}
    )
    return write_image(path, values.astype(np.float32), affine)[0]


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
    return derivatives.file("labels", scan, PROPAGATED)


def write_propagated_labels(
    derivatives: Derivatives,
    scan: Scan,
    labels: MuscleLabels,
    agreement: np.ndarray,
    *,
    about: dict[str, Any],
    quality: dict[str, Any],
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
    quality : dict
        What the step says of its own result; holds `issues`.
    """
    path = propagated_labels_file(derivatives, scan)
    stem = path.name.removesuffix(".nii.gz")
    write_label_table(path.with_name(f"{stem}.tsv"), labels)
    write_json(path.with_name(f"{stem}.json"), {"Manual": False, **about})
    write_image(path, labels.values.astype(np.int32), labels.affine)
    confidence = derivatives.file("labels", scan, AGREEMENT)
    write_json(confidence.with_name(confidence.name.removesuffix(".nii.gz") + ".json"), {"Units": "1"})
    write_scaled_image(confidence, agreement, labels.affine, quantum=AGREEMENT_QUANTUM)
    write_json(derivatives.file("labels", scan, "desc-quality.json"), quality)


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


def read_all_roi_rows(derivatives: Derivatives, scans: Sequence[Scan]) -> pd.DataFrame:
    """Read the rows of the ROI table of several participants.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scans : sequence of Scan
        The participants; at least one.

    Returns
    -------
    DataFrame
        As `read_roi_table` returns it, participants in the given order.
    """
    text = _joined_rows(derivatives, scans)
    if text is not None:
        with suppress(DtiMuscleError):
            return _parse_roi_table(parse_tsv(StringIO(text)), source="")
    # One after the other it comes out which file is damaged.
    return pd.concat([read_roi_rows(derivatives, scan) for scan in scans], ignore_index=True)


def write_all_roi_rows(derivatives: Derivatives, scans: Sequence[Scan]) -> None:
    """Write the ROI table of everybody beside the participants' own.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    scans : sequence of Scan
        Participants whose muscles were measured; without any the table has no rows.
    """
    path, text = derivatives.folders["muscles"] / "roi.tsv", _joined_rows(derivatives, scans)
    if text is None:
        table = read_all_roi_rows(derivatives, scans) if scans else pd.DataFrame(columns=list(COLUMNS))
        write_roi_table(path, table)
    else:
        write_text(path, text)
        write_json(path.with_suffix(".json"), COLUMN_DESCRIPTIONS)


def _joined_rows(derivatives: Derivatives, scans: Sequence[Scan]) -> str | None:
    """Put the text of the participants' tables together; None where their columns differ, and where there are none.

    pandas needs as long for a small table as for one with the rows of everybody.
    """
    tables = [read_text(derivatives.file("muscles", scan, "roi.tsv")).partition("\n") for scan in scans]
    if len({header for header, _, _ in tables}) != 1:
        return None
    return tables[0][0] + "\n" + "".join(rows for _, _, rows in tables)


def read_quality(derivatives: Derivatives, step: str, scan: Scan) -> dict[str, Any]:
    """Read what a step says of its own result for one participant.

    Parameters
    ----------
    derivatives : Derivatives
        The datasets.
    step : str
        `preprocessed`, `tensor`, `labels` or `muscles`.
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
    return _parse_roi_table(read_tsv(path), source=str(path))


def _parse_roi_table(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Turn text into what `read_roi_table` returns."""
    table = check_roi_table(
        table.assign(session=table["session"].fillna("")) if "session" in table else table, source=source
    )
    numbers = [column for column in COLUMNS if column not in (*_TEXT, "is_simulated")]
    with naming(source):
        try:
            table[numbers] = table[numbers].apply(pd.to_numeric)
            table[list(_COUNTS)] = table[list(_COUNTS)].astype("Int64")
        except (ValueError, TypeError) as error:
            raise DatasetError(f"a value is not a number, or a count is not whole ({error}).") from error
    table["is_simulated"] = table["is_simulated"].map({"True": True, "False": False}).astype(bool)
    return table
