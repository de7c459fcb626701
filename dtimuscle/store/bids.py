"""BIDS datasets with scans: what is there, and how the simulator writes one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dtimuscle import __version__
from dtimuscle.dwi import DwiSeries, TensorMaps
from dtimuscle.errors import DatasetError, ParticipantsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels
from dtimuscle.participants import check_participants
from dtimuscle.settings import fingerprint
from dtimuscle.store.files import read_json, read_tsv, write_json, write_text, write_tsv
from dtimuscle.store.images import write_gradients, write_image, write_scaled_image
from dtimuscle.store.labels import label_images, write_label_table

BIDS_VERSION = "1.10.0"

# Parameter maps, which the standard has proposed (BEP 16) but its validator does not know yet.
MAPS = "*_dwimap.nii.gz"

# How names of fat-fraction maps end; BIDS has no suffix for them yet.
FAT_NAMES = ("_param-fatfraction*.nii*", "_PDFF.nii*")

# Step of the stored signal: far below any noise, and small enough that a scan without noise keeps its tensor.
SIGNAL_QUANTUM = 1 / 4

# By this entry under GeneratedBy a dataset is known to be simulated.
SIMULATION = "dtimuscle simulation"


@dataclass(frozen=True)
class Scan:
    """The files of one diffusion series.

    Parameters
    ----------
    participant_id : str
        With its prefix, `sub-01`.
    session : str
        With its prefix, `ses-1`; empty when the dataset has no sessions.
    image, bval, bvec : Path
        The series and its gradients.
    labels : Path or None
        The muscle labels that belong to it.
    fat_fraction : Path or None
        The map of fat that belongs to it.
    atlases : tuple of Scan
        Labelled scans whose labels are propagated to this one; none where its labels were drawn.
    """

    participant_id: str
    session: str
    image: Path
    bval: Path
    bvec: Path
    labels: Path | None
    fat_fraction: Path | None = None
    atlases: tuple["Scan", ...] = ()

    @property
    def name(self) -> str:
        """Participant and session as in file names."""
        return f"{self.participant_id}_{self.session}" if self.session else self.participant_id

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that preprocessing reads."""
        return self.image, self.bval, self.bvec


@dataclass(frozen=True)
class Dataset:
    """What a BIDS dataset offers to a study.

    Parameters
    ----------
    root : Path
        Its folder.
    name : str
        Name in its description.
    is_simulated : bool
        Whether the kit's simulator made it.
    participants : DataFrame
        As `check_participants` returns it.
    scans : tuple of Scan
        One per participant and session that has a complete series.
    issues : tuple of Issue
        What is missing or doubtful.
    """

    root: Path
    name: str
    is_simulated: bool
    participants: pd.DataFrame
    scans: tuple[Scan, ...]
    issues: tuple[Issue, ...]


def read_dataset(root: Path, labels: Path | None = None, fat_fraction: Path | None = None) -> Dataset:
    """Find the diffusion series of a BIDS dataset, their muscle labels and maps of fat.

    Parameters
    ----------
    root : Path
        Folder with `dataset_description.json`.
    labels : Path, optional
        BIDS derivative with `…_dseg.nii.gz`; `derivatives/labels` within the dataset by default.
    fat_fraction : Path, optional
        BIDS derivative with `…_param-fatfraction….nii.gz` or `…_PDFF.nii.gz`; `derivatives/fat` within the dataset by
        default, which need not be there.

    Returns
    -------
    Dataset
        What can be processed, and issues for what cannot.

    Raises
    ------
    DatasetError
        If the folder is missing, is no BIDS dataset, or holds no diffusion series.
    ParticipantsError
        If `participants.tsv` contradicts itself.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: there is no such folder. Give the folder that holds dataset_description.json.")
    description = read_description(root)
    if labels is not None and not labels.is_dir():
        raise DatasetError(f"{labels}: there is no such folder. Give the BIDS derivative that holds the muscle labels.")
    if fat_fraction is not None and not fat_fraction.is_dir():
        raise DatasetError(
            f"{fat_fraction}: there is no such folder. Give the BIDS derivative that holds the fat-fraction maps."
        )
    labels = labels or labels_folder(root)
    participants, issues = _read_participants(root)
    scans: list[Scan] = []
    folders = _dwi_folders(root)
    if not folders:
        raise DatasetError(f"{root}: holds no diffusion series (sub-*/dwi/*_dwi.nii.gz).")
    for folder in folders:
        found, more = _scan_in(folder, root, labels)
        issues += more
        if found:
            fat = _fat_for(fat_fraction or fat_folder(root), found.participant_id, found.session)
            scans.append(replace(found, fat_fraction=fat))
            if fat is None and fat_fraction is not None:
                what = f"has no fat-fraction map under {fat_fraction}."
                issues.append(Issue(Severity.WARNING, found.name, what, "Add …_param-fatfraction_dwimap.nii.gz there."))
    has_folder = {folder.relative_to(root).parts[0] for folder in folders}
    participants, more = _match(participants, scans, has_folder, root)
    return Dataset(
        root=root,
        name=str(description.get("Name", root.name)),
        is_simulated=is_simulated(description),
        participants=participants,
        scans=tuple(scans),
        issues=(*issues, *more),
    )


def read_by(dataset: Dataset, labels: Path) -> Dataset:
    """Return the scans of a dataset that another reader has labelled too, with that reader's labels.

    Parameters
    ----------
    dataset : Dataset
        The scans, with the first reader's labels.
    labels : Path
        BIDS derivative with the other reader's `…_dseg.nii.gz`, of all scans or of some.

    Returns
    -------
    Dataset
        Scans that both readers have labelled; issues are about the other reader's labels alone.

    Raises
    ------
    DatasetError
        If the folder is missing, is that of the first reader, or labels no scan that the first reader has labelled.
    """
    if not labels.is_dir():
        raise DatasetError(
            f"{labels}: there is no such folder. Give the BIDS derivative of the second reader's labels."
        )
    scans: list[Scan] = []
    issues: list[Issue] = []
    for scan in dataset.scans:
        drawn, more = _used(_labels_for(labels, scan.participant_id, scan.session), scan.name)
        if drawn is None:
            continue
        if scan.labels is None or scan.atlases:
            what = "is labelled by the second reader only, so there is nothing to compare."
            issues.append(Issue(Severity.WARNING, scan.name, what, "Add the first reader's labels."))
            continue
        if drawn.resolve() == scan.labels.resolve():
            raise DatasetError(f"{labels}: holds the first reader's labels. Name another folder as second_labels.")
        scans.append(replace(scan, labels=drawn))
        issues += more
    if not scans:
        raise DatasetError(
            f"{labels}: holds no labels (sub-*/…_dseg.nii.gz) of a scan that the first reader has labelled. "
            "Name its participants and sessions as the dataset does."
        )
    return replace(dataset, scans=tuple(scans), issues=tuple(issues))


def read_description(root: Path) -> dict[str, Any]:
    """Read `dataset_description.json` of a dataset.

    Parameters
    ----------
    root : Path
        The dataset's folder.

    Returns
    -------
    dict
        What it says.

    Raises
    ------
    DatasetError
        If it is missing or is no JSON mapping.
    """
    path = root / "dataset_description.json"
    if not path.is_file():
        raise DatasetError(
            f"{path}: there is no such file. A BIDS dataset needs one; the shortest is "
            f'{{"Name": "My scans", "BIDSVersion": "{BIDS_VERSION}"}}.'
        )
    description = read_json(path)
    if not isinstance(description, dict):
        raise DatasetError(f"{path}: must hold names and values in braces.")
    return description


def is_simulated(description: dict[str, Any]) -> bool:
    """Tell whether a dataset's description names the kit's simulator as its maker.

    Parameters
    ----------
    description : dict
        As `read_description` returns it.

    Returns
    -------
    bool
        True for simulated data.
    """
    makers = description.get("GeneratedBy") or []
    return any(isinstance(maker, dict) and maker.get("Name") == SIMULATION for maker in makers)


def _read_participants(root: Path) -> tuple[pd.DataFrame, list[Issue]]:
    path = root / "participants.tsv"
    if not path.is_file():
        issue = Issue(
            Severity.WARNING,
            "participants.tsv",
            "is missing, so nobody's Lovett grade is known.",
            "Add it with the columns participant_id and lovett_grade to compare groups.",
        )
        nobody = pd.DataFrame({"participant_id": pd.Series(dtype=str)})
        return check_participants(nobody, source=str(path)), [issue]
    return check_participants(read_tsv(path), source=str(path)), []


def _dwi_folders(root: Path) -> list[Path]:
    return sorted(path for path in (*root.glob("sub-*/dwi"), *root.glob("sub-*/ses-*/dwi")) if path.is_dir())


def _scan_in(folder: Path, root: Path, labels: Path) -> tuple[Scan | None, list[Issue]]:
    participant = folder.relative_to(root).parts[0]
    session = folder.parent.name if folder.parent.name.startswith("ses-") else ""
    where = f"{participant}_{session}" if session else participant
    images = _images(folder.glob(f"{participant}*_dwi.nii*"))
    if not images:
        return None, [
            Issue(Severity.ERROR, where, f"{folder} holds no *_dwi.nii.gz.", "Add the series or remove the folder.")
        ]
    issues = []
    if len(images) > 1:
        issues.append(
            Issue(
                Severity.WARNING,
                where,
                f"has {len(images)} diffusion series; {images[0].name} is used.",
                "Merge the series, or keep one.",
            )
        )
    bval, bvec = (_inherited(images[0], root, suffix) for suffix in (".bval", ".bvec"))
    missing = [suffix for suffix, path in ((".bval", bval), (".bvec", bvec)) if path is None]
    if bval is None or bvec is None:
        stem = _stem(images[0])
        what = f"{images[0]} has no {' and no '.join(missing)}."
        issues.append(Issue(Severity.ERROR, where, what, f"Put {stem}{missing[0]} beside it (dcm2niix writes it)."))
        return None, issues
    drawn = _labels_for(labels, participant, session)
    used, more = _used(drawn, where)
    issues += more
    if used is None:
        what = f"has no muscle labels under {labels}."
        remedy = (
            "Add …_dseg.nii.gz there, or carry labels over from other participants with propagate_labels; without "
            "labels there are maps but no muscle values."
        )
        issues.append(Issue(Severity.WARNING, where, what, remedy))
    return Scan(participant, session, images[0], bval, bvec, used), issues


def _used(drawn: list[Path], where: str) -> tuple[Path | None, list[Issue]]:
    """Choose the label image of a scan, and say which others are passed over."""
    used = label_images(drawn[0]) if drawn else ()
    if not used:
        return None, []
    passed_over = [path.name for path in drawn if path not in used]
    if not passed_over:
        return used[0], []
    what = f"has {len(drawn)} label images; {drawn[0].name} is used, {', '.join(passed_over)} not."
    remedy = "Keep one, or one for each side (hemi-L, hemi-R) or each muscle (label-gracilis)."
    return used[0], [Issue(Severity.WARNING, where, what, remedy)]


def _images(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.name.endswith((".nii", ".nii.gz")))


def _stem(image: Path) -> str:
    return image.name.removesuffix(".gz").removesuffix(".nii")


def _inherited(image: Path, root: Path, suffix: str) -> Path | None:
    """Find a companion file beside the image or, by the inheritance principle, above it."""
    entities = set(_stem(image).split("_"))
    folder = image.parent
    while True:
        for path in sorted(folder.glob(f"*dwi{suffix}"), key=lambda p: -len(p.name)):
            if set(path.name.removesuffix(suffix).split("_")) <= entities:
                return path
        if folder == root:
            return None
        folder = folder.parent


def _labels_for(labels: Path, participant: str, session: str) -> list[Path]:
    """Find label images, the plainest name first; masks of single muscles count where there are none."""
    folder = labels / participant / session if session else labels / participant
    found = _images(folder.rglob(f"{participant}*_dseg.nii*"))
    found = found or _images(folder.rglob(f"{participant}*_label-*_mask.nii*"))
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _fat_for(fat: Path, participant: str, session: str) -> Path | None:
    folder = fat / participant / session if session else fat / participant
    found = _images(path for ending in FAT_NAMES for path in folder.rglob(f"{participant}*{ending}"))
    return found[0] if found else None


def _match(
    participants: pd.DataFrame, scans: list[Scan], has_folder: set[str], root: Path
) -> tuple[pd.DataFrame, list[Issue]]:
    """Give each scanned person a row, and say who has a row without a scan."""
    scanned = {scan.participant_id for scan in scans}
    listed = set(participants["participant_id"])
    issues = [
        Issue(Severity.WARNING, who, "stands in participants.tsv but has no diffusion series.", "")
        for who in sorted(listed - has_folder)  # a folder without a complete series has its own issue
    ]
    without_prefix = sorted(who for who in listed if f"sub-{who}" in scanned)
    if without_prefix:
        raise ParticipantsError(
            f"{root / 'participants.tsv'}: '{without_prefix[0]}' lacks the prefix of BIDS; "
            f"write sub-{without_prefix[0]}."
        )
    unlisted = sorted(scanned - listed)
    if len(participants):
        issues += [
            Issue(
                Severity.WARNING,
                who,
                "was scanned but does not stand in participants.tsv.",
                "Add a row with its grade.",
            )
            for who in unlisted
        ]
    if unlisted:
        rows = pd.DataFrame({"participant_id": unlisted})
        participants = check_participants(
            pd.concat([participants, rows], ignore_index=True), source=str(root / "participants.tsv")
        )
    return participants, issues


def write_description(root: Path, name: str, *, kind: str, generated_by: list[dict[str, Any]], **more: Any) -> None:
    """Write `dataset_description.json`.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    name : str
        Its name.
    kind : str
        `raw` or `derivative`.
    generated_by : list of dict
        Makers, as BIDS wants them.
    **more : object
        Further BIDS fields.
    """
    fields = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": kind, "GeneratedBy": generated_by}
    write_json(root / "dataset_description.json", {**fields, **more})


def is_whole(root: Path) -> bool:
    """Tell whether a dataset that the kit makes is there; its description is written last.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    """
    return (root / "dataset_description.json").is_file()


def write_ignored(root: Path, patterns: Iterable[str]) -> None:
    """Write `.bidsignore`, which tells the BIDS validator what the standard does not cover.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    patterns : iterable of str
        File names, `*` standing for anything.
    """
    write_text(root / ".bidsignore", "\n".join(patterns) + "\n")


def simulation_maker(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the GeneratedBy entry that marks a dataset as simulated, with the settings used.

    Parameters
    ----------
    settings : dict
        What the simulator was told.

    Returns
    -------
    dict
        `Name`, `Version` and `Description`.
    """
    words = ", ".join(f"{name}={value}" for name, value in settings.items())
    description = f"Simulated data, not patients ({words})" if words else "Simulated data, not patients"
    return {"Name": SIMULATION, "Version": __version__, "Description": description}


PARTICIPANT_COLUMNS = {
    "lovett_grade": {"Description": "Muscle strength of the thigh by Lovett, 0 (no contraction) to 5 (normal)"},
    "age": {"Description": "Age", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "bmi": {"Description": "Body mass index", "Units": "kg/m^2"},
    "t_score": {"Description": "Bone mineral density against young adults, in their standard deviations"},
    "disease_duration": {"Description": "Time since the diagnosis of osteoporosis", "Units": "year"},
}


def write_participants(root: Path, participants: pd.DataFrame) -> None:
    """Write `participants.tsv` with its data dictionary.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    participants : DataFrame
        One row for each participant.
    """
    write_tsv(root / "participants.tsv", participants)
    known = {name: PARTICIPANT_COLUMNS[name] for name in participants.columns if name in PARTICIPANT_COLUMNS}
    write_json(root / "participants.json", known)


def write_scan(
    root: Path, participant_id: str, series: DwiSeries, sidecar: dict[str, Any], *, session: str = ""
) -> None:
    """Write a raw diffusion series as 16-bit integers with a scale factor, as converters from DICOM do.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    participant_id : str
        With its prefix, `sub-001`.
    series : DwiSeries
        Signal from 0 to 8191, above what scanners give.
    sidecar : dict
        Acquisition as BIDS names it.
    session : str, default=""
        With its prefix, `ses-1`; empty when the dataset has no sessions.
    """
    stem = _place(root, participant_id, session, "dwi")
    write_gradients(stem.with_suffix(".bval"), stem.with_suffix(".bvec"), series.gradients, series.affine)
    write_json(stem.with_suffix(".json"), sidecar)
    write_scaled_image(stem.with_suffix(".nii.gz"), series.signal, series.affine, quantum=SIGNAL_QUANTUM)


def write_labels(root: Path, participant_id: str, labels: MuscleLabels, *, session: str = "") -> None:
    """Write a participant's label image with its look-up table into a derivative dataset.

    Parameters
    ----------
    root : Path
        The derivative's folder.
    participant_id : str
        With its prefix, `sub-001`.
    labels : MuscleLabels
        Values and their meaning.
    session : str, default=""
        With its prefix, `ses-1`; empty when the dataset has no sessions.
    """
    stem = _place(root, participant_id, session, "dseg")
    write_label_table(stem.with_suffix(".tsv"), labels)
    write_image(stem.with_suffix(".nii.gz"), labels.values.astype(np.int32), labels.affine)


def write_truth(root: Path, participant_id: str, truth: TensorMaps, *, session: str = "") -> None:
    """Write the tensor maps that a simulated scan was made from.

    Parameters
    ----------
    root : Path
        The derivative's folder.
    participant_id : str
        With its prefix, `sub-001`.
    truth : TensorMaps
        FA, MD (mm²/s) and fibre direction (world coordinates, RAS) before noise and distortions; the tensors are
        axially symmetric, so that these are all there is to them.
    session : str, default=""
        With its prefix, `ses-1`; empty when the dataset has no sessions.
    """
    maps = {"fa": truth.scalars["fa"], "md": truth.scalars["md"], "direction": truth.direction}
    for parameter, values in maps.items():
        stem = _place(root, participant_id, session, f"model-tensor_param-{parameter}_dwimap")
        write_image(stem.with_suffix(".nii.gz"), values.astype(np.float32), truth.affine)


def write_scan_truth(
    root: Path,
    participant_id: str,
    *,
    transforms: np.ndarray,
    dropped_slices: pd.DataFrame,
    noise_sd: float,
    session: str = "",
) -> None:
    """Write what a simulated scan suffered: where each volume lies, what dropped out, and the noise.

    Parameters
    ----------
    root : Path
        The derivative's folder.
    participant_id : str
        With its prefix, `sub-001`.
    transforms : ndarray of shape (n, 4, 4)
        From world coordinates (mm) at the reference pose to those in each volume as scanned.
    dropped_slices : DataFrame
        `volume`, `slice` (from 0) and `loss` (share of the signal).
    noise_sd : float
        SD of the noise in each channel, in the unit of the signal.
    session : str, default=""
        With its prefix, `ses-1`; empty when the dataset has no sessions.
    """
    names = [f"m{row}{column}" for row in range(1, 4) for column in range(1, 5)]
    volumes = pd.DataFrame(transforms[:, :3].reshape(len(transforms), -1), columns=names)
    volumes.insert(0, "volume", range(len(volumes)))
    write_tsv(_place(root, participant_id, session, "desc-volumes_truth").with_suffix(".tsv"), volumes)
    write_tsv(_place(root, participant_id, session, "desc-dropped_truth").with_suffix(".tsv"), dropped_slices)
    write_json(_place(root, participant_id, session, "desc-noise_truth").with_suffix(".json"), {"noise_sd": noise_sd})


def write_fat_fraction(
    root: Path, participant_id: str, share: np.ndarray, affine: np.ndarray, *, session: str = ""
) -> None:
    """Write a participant's map of fat into a derivative dataset.

    Parameters
    ----------
    root : Path
        The derivative's folder.
    participant_id : str
        With its prefix, `sub-001`.
    share : ndarray of shape (nx, ny, nz)
        Share of fat, 0 to 1.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    session : str, default=""
        With its prefix, `ses-1`; empty when the dataset has no sessions.
    """
    path = _place(root, participant_id, session, "param-fatfraction_dwimap").with_suffix(".nii.gz")
    write_image(path, share.astype(np.float32), affine)


def _place(root: Path, participant_id: str, session: str, ending: str) -> Path:
    """Return where a file of a scan stands, without its suffix."""
    folder = root / participant_id / session if session else root / participant_id
    return folder / "dwi" / "_".join(part for part in (participant_id, session, ending) if part)


TRUTH_COLUMNS = ("participant_id", "muscle", "side", "fa", "md")


README = """# Simulated thighs

Simulated data, not patients. The scenario, the protocol and the seed that made them stand in
dataset_description.json; derivatives/labels holds the muscles, derivatives/fat their fat,
both without error, and derivatives/truth the values that they were given.
"""


def write_readme(root: Path) -> None:
    """Write the README that tells whoever finds the folder that nobody was scanned.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    """
    write_text(root / "README.md", README)


def labels_folder(root: Path) -> Path:
    """Return the derivative where a dataset's muscle labels lie unless another is named.

    Parameters
    ----------
    root : Path
        The dataset's folder.

    Returns
    -------
    Path
        It may not exist.
    """
    return root / "derivatives" / "labels"


def second_labels_folder(root: Path, spread_mm: float) -> Path:
    """Return the derivative where a simulated dataset keeps the labels of its second reader.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    spread_mm : float
        How far the second reader draws elsewhere (SD), mm.

    Returns
    -------
    Path
        It may not exist.
    """
    return root / "derivatives" / f"labels-second-{spread_mm:g}mm"


def fat_folder(root: Path) -> Path:
    """Return the derivative where a dataset's maps of fat lie unless another is named.

    Parameters
    ----------
    root : Path
        The dataset's folder.

    Returns
    -------
    Path
        It may not exist.
    """
    return root / "derivatives" / "fat"


def truth_folder(root: Path) -> Path:
    """Return the derivative that holds what a simulated dataset was made from.

    Parameters
    ----------
    root : Path
        The dataset's folder.

    Returns
    -------
    Path
        It may not exist.
    """
    return root / "derivatives" / "truth"


def write_truth_table(root: Path, truth: pd.DataFrame) -> None:
    """Write the FA and MD that each muscle of each simulated participant was given.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    truth : DataFrame
        Columns `participant_id`, `muscle`, `side`, `fa` and `md` (mm²/s), and `fat_fraction` (0 to 1) where known.
    """
    path = truth_folder(root) / "truth.tsv"
    more = [name for name in ("fat_fraction",) if name in truth]
    write_tsv(path, truth.loc[:, [*TRUTH_COLUMNS, *more]])
    units = {"fa": {"Units": "1"}, "md": {"Units": "mm2/s"}} | {name: {"Units": "1"} for name in more}
    write_json(path.with_suffix(".json"), units)
    write_ignored(path.parent, (path.name, path.with_suffix(".json").name, MAPS, "*_truth.tsv", "*_truth.json"))


def read_truth(dataset: Dataset) -> pd.DataFrame:
    """Read what a simulated dataset was made from.

    Parameters
    ----------
    dataset : Dataset
        Any dataset.

    Returns
    -------
    DataFrame
        Columns `participant_id`, `muscle`, `side`, `fa` and `md` (mm²/s); no rows for measured data.
    """
    path = truth_folder(dataset.root) / "truth.tsv"
    if not dataset.is_simulated or not path.is_file():
        return pd.DataFrame(columns=list(TRUTH_COLUMNS))
    truth = read_tsv(path)
    return truth.astype({"fa": float, "md": float})


def dataset_key(root: Path) -> str:
    """Return a name for a dataset's derivatives: readable, and different for every folder.

    Parameters
    ----------
    root : Path
        The dataset's folder.

    Returns
    -------
    str
        A name that can be a folder.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", root.resolve().name) or "dataset"
    return f"{name}-{fingerprint(str(root.resolve()))[:6]}"
