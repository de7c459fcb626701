"""One series outside BIDS: from files to maps and muscle values."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dtimuscle.dwi import require_one_grid
from dtimuscle.errors import ImageError, SettingsError
from dtimuscle.imaging import participant as imaging
from dtimuscle.issues import Issue
from dtimuscle.running.labels import read_muscles
from dtimuscle.running.workspace import read_fat, signal_settings
from dtimuscle.settings import Estimator, Study
from dtimuscle.store.derivatives import write_map, write_roi_table
from dtimuscle.store.files import naming
from dtimuscle.store.images import read_dwi, read_image, write_gradients, write_image
from dtimuscle.store.registry import read_registry


@dataclass(frozen=True)
class SeriesFiles:
    """The files of one series.

    Parameters
    ----------
    image, bval, bvec : Path
        The series and its gradients.
    mask, labels, fat_fraction : Path or None
        Where to fit, which voxels are which muscle, and how much fat they hold.
    """

    image: Path
    bval: Path
    bvec: Path
    mask: Path | None = None
    labels: Path | None = None
    fat_fraction: Path | None = None

    @property
    def stem(self) -> str:
        """Name of the series without its ending."""
        return self.image.name.removesuffix(".gz").removesuffix(".nii")

    @classmethod
    def beside(
        cls,
        image: Path,
        *,
        bval: Path | None,
        bvec: Path | None,
        mask: Path | None,
        labels: Path | None,
        fat_fraction: Path | None = None,
    ) -> "SeriesFiles":
        """Name the gradients that lie beside an image unless others are given.

        Parameters
        ----------
        image : Path
            The series.
        bval, bvec, mask, labels, fat_fraction : Path or None
            Other files.

        Returns
        -------
        SeriesFiles
            Complete names; the files may still be missing.
        """
        stem = image.name.removesuffix(".gz").removesuffix(".nii")
        bval, bvec = bval or image.with_name(f"{stem}.bval"), bvec or image.with_name(f"{stem}.bvec")
        return cls(image, bval, bvec, mask, labels, fat_fraction)


def fit_series(
    files: SeriesFiles, out: Path, *, estimator: Estimator, preprocess: bool, study: Study
) -> tuple[tuple[Path, ...], tuple[Issue, ...]]:
    """Fit the tensor to one series, write its maps and, with labels, its ROI table.

    Parameters
    ----------
    files : SeriesFiles
        What to read.
    out : Path
        Folder to write into.
    estimator : str
        `ols`, `wls`, `iwls`, `nlls`, `restore` or `robust`.
    preprocess : bool
        Whether to denoise, unring and align first.
    study : Study
        Sections `preprocessing`, `tensor` (but for its estimator) and `roi` count.

    Returns
    -------
    written : tuple of Path
        Files that were written.
    issues : tuple of Issue
        What degrades the result.

    Raises
    ------
    DtiMuscleError
        If a file is missing or does not fit the others.
    """
    settings = study.preprocessing
    series = read_dwi(files.image, files.bval, files.bvec, b0_threshold=settings.b0_threshold)
    mask = _read_mask(files.mask, series.shape, series.affine) if files.mask else None
    with naming(files.image):
        made = imaging.preprocess(
            series,
            mask=mask,
            denoise=preprocess and settings.denoise,
            patches=settings.patches,
            unring=preprocess and settings.unring,
            correct_motion=preprocess and settings.correct_motion,
            separate_thighs=settings.separate_thighs,
            find_outliers=preprocess and settings.find_outliers,
            rician=preprocess and settings.rician,
            n_coils=settings.rician_coils,
            engine=settings.engine,
        )
        fat = read_fat(files.fat_fraction, series)
        signal = imaging.water_signal(made.series, made.mask, weights=made.weights, fat=fat, **signal_settings(study))
        fitted = imaging.fit(signal, estimator=estimator, directions_of=study.tensor.directions_of)
    issues = [*made.quality.issues, *fitted.quality.issues]
    table = None
    if files.labels:
        labels, more = read_muscles(files.labels, read_registry(), study.roi, shape=series.shape, affine=series.affine)
        with naming(files.labels):
            measured = imaging.measure(
                signal,
                fitted.maps,
                labels,
                participant_id=files.stem,
                session="",
                erosion_mm=study.roi.erosion_mm,
                min_voxels=study.roi.min_voxels,
                is_simulated=False,
                noise_sd=made.noise_sd,
                fat=fat,
                max_fat_fraction=study.roi.max_fat_fraction,
            )
        issues += [*more, *measured.issues]
        table = measured.table
    written = []
    if preprocess:
        stem = out / f"{files.stem}_desc-preproc"
        write_image(Path(f"{stem}.nii.gz"), made.series.signal, series.affine)
        write_gradients(Path(f"{stem}.bval"), Path(f"{stem}.bvec"), made.series.gradients, series.affine)
        written.append(Path(f"{stem}.nii.gz"))
    for parameter, values in {**fitted.maps.scalars, "direction": fitted.maps.direction}.items():
        path = out / f"{files.stem}_param-{parameter}_dwimap.nii.gz"
        write_map(path, values, series.affine, parameter=parameter, estimator=estimator)
        written.append(path)
    if table is not None:
        write_roi_table(out / f"{files.stem}_roi.tsv", table)
        written.append(out / f"{files.stem}_roi.tsv")
    return tuple(written), tuple(issues)


def _read_mask(path: Path, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    values, mask_affine = read_image(path)
    with naming(path):
        require_one_grid(values.shape, mask_affine, shape, affine, names="the mask and the diffusion series")
        if not (values > 0).any():
            raise ImageError("the mask is empty. Give one with values above zero where the tensor is to be fitted.")
    return values.reshape(shape) > 0


def default_folder(files: SeriesFiles) -> Path:
    """Return where the results of a series go when no folder is named: beside where the user works.

    Parameters
    ----------
    files : SeriesFiles
        The series.

    Returns
    -------
    Path
        A folder named after it.

    Raises
    ------
    SettingsError
        If a file of that name is in the way.
    """
    folder = Path.cwd() / f"{files.stem}_dtimuscle"
    if folder.is_file():
        raise SettingsError(f"{folder}: a file has this name. Name another folder with --out.")
    return folder
