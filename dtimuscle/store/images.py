"""Reading and writing of images and gradients."""

from pathlib import Path
from typing import Any, TypeVar, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.processing import resample_from_to
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from dtimuscle.dwi import (
    DwiSeries,
    Floats,
    GradientTable,
    directions_from_fsl,
    directions_to_fsl,
    fsl_frame,
    require_one_grid,
)
from dtimuscle.errors import DatasetError, GradientError, GridMismatchError, ImageError
from dtimuscle.issues import Issue, Severity
from dtimuscle.store.files import naming, read_text, write_bytes, write_text

Voxels = TypeVar("Voxels", bound=NDArray[Any])

# First bytes of every compressed file (RFC 1952).
GZIP_MAGIC = b"\x1f\x8b"

# Level 1 of ISA-L writes ten times as fast as nibabel for files a tenth larger.
COMPRESSION_LEVEL = 1

# No scanner weights as little: b-values that stay below are in another unit (0.5 for 500 s/mm²).
SMALLEST_WEIGHTING = 10.0

# Written directions carry rounding in their sixth digit; beyond this a length means something else.
UNIT_LENGTH_TOLERANCE = 0.02

# Rounding in a header turns an image by less than this.
PLACEMENT_TOLERANCE_DEG = 1.0


def read_image(path: Path) -> tuple[Floats, Floats]:
    """Read an image with its scaling applied.

    Parameters
    ----------
    path : Path
        NIfTI file, compressed or not.

    Returns
    -------
    data : ndarray
        Values as float32.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Raises
    ------
    DatasetError
        If the file is missing or damaged.
    ImageError
        If its values are no real numbers, or its affine cannot be inverted.
    """
    try:
        image = _parsed(_content(path))
        if image.get_data_dtype().kind not in "iuf":
            raise ImageError(
                f"{path}: holds {image.get_data_dtype()} values; one real number for each voxel is needed."
            )
        data = np.asanyarray(image.dataobj, dtype=np.float32)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file.") from error
    # The stubs of isal declare its error as an instance.
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, isal_zlib.IsalError) as error:  # type: ignore[misc]
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: cannot be read as an image ({reason}). Copy or convert it again.") from error
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ImageError(f"{path}: its affine does not place voxels in space. Convert the DICOM files again.")
    return data, affine


def read_grid(path: Path) -> tuple[tuple[int, int, int], Floats]:
    """Read the shape and affine of an image without its values.

    Parameters
    ----------
    path : Path
        NIfTI file of three or more dimensions.

    Returns
    -------
    shape : tuple of int
        Of its first three dimensions.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """
    image = cast(nib.Nifti1Image, nib.load(path))
    x, y, z = image.shape[:3]
    return (x, y, z), np.asarray(image.affine, dtype=np.float64)


def count_values(path: Path) -> int:
    """Count the values of an image, all volumes together, by its header alone.

    Parameters
    ----------
    path : Path
        NIfTI file.

    Returns
    -------
    int
        0 when the header cannot be read.
    """
    try:
        return int(np.prod(cast(nib.Nifti1Image, nib.load(path)).shape))
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError):
        return 0


def read_on_grid(path: Path, shape: tuple[int, int, int], affine: Floats) -> Floats:
    """Read a map and, if it lies on another grid, interpolate it linearly on the one that is wanted.

    Parameters
    ----------
    path : Path
        NIfTI file with one value for each voxel.
    shape : tuple of int
        Of the wanted grid.
    affine : ndarray of shape (4, 4)
        Of the wanted grid, from voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    ndarray of shape (nx, ny, nz)
        The map; NaN beyond what it covers.

    Raises
    ------
    DatasetError
        If the file is missing or damaged.
    ImageError
        If it does not hold one volume.
    """
    values, own = read_image(path)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise ImageError(f"{path}: has the shape {values.shape}; one value for each voxel is needed. Give one volume.")
    try:
        require_one_grid(values.shape, own, shape, affine, names=str(path))
    except GridMismatchError:
        pass
    else:
        return values
    resampled = resample_from_to(nib.Nifti1Image(values, own), (shape, affine), order=1, cval=np.nan)
    return np.asarray(resampled.dataobj)


def _content(path: Path) -> bytes:
    # nibabel stops before the check sum at the end of a compressed file, and would hand on damaged voxels.
    content = path.read_bytes()
    is_compressed = content.startswith(GZIP_MAGIC)
    if is_compressed != (path.suffix == ".gz"):
        raise ImageFileError(f"it is {'' if is_compressed else 'not '}compressed, unlike its name says")
    return igzip.decompress(content) if is_compressed else content


def _parsed(content: bytes) -> nib.Nifti1Image:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(content):
            return kind.from_bytes(content)
    raise ImageFileError("it does not begin as a NIfTI file does")


def write_image(path: Path, data: Voxels, affine: Floats) -> tuple[Voxels, Floats]:
    """Write a compressed NIfTI image with the data's own type, whole or not at all.

    Parameters
    ----------
    path : Path
        File that ends in `.nii.gz`.
    data : ndarray
        Values; booleans are written as 0 and 1.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    data : ndarray
        The same values, in memory as they lie in the file and as `read_image` has them: the first index runs fastest.
        Sums of them come out alike to the last bit, whether they were read or handed on.
    affine : ndarray of shape (4, 4)
        In the file's single precision.
    """
    data = cast(Voxels, np.asfortranarray(data))
    image = nib.Nifti1Image(data.view(np.uint8) if data.dtype == np.bool_ else data, affine)
    image.header.set_xyzt_units("mm", "sec" if data.ndim == 4 else "unknown")
    _write_compressed(path, image)
    return data, image.header.get_best_affine()


def _write_compressed(path: Path, image: nib.Nifti1Image) -> None:
    # A modification time in the gzip header would make equal images differ.
    write_bytes(path, igzip.compress(image.to_bytes(), COMPRESSION_LEVEL, mtime=0))


def write_scaled_image(path: Path, data: Floats, affine: Floats, *, quantum: float) -> None:
    """Write a compressed NIfTI image as 16-bit integers that are multiples of a quantum, whole or not at all.

    Parameters
    ----------
    path : Path
        File that ends in `.nii.gz`.
    data : ndarray
        Values within ± 32,767 quanta.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    quantum : float
        Step between stored values.

    Raises
    ------
    ImageError
        If a value is too large.
    """
    highest = np.iinfo(np.int16).max * quantum
    if np.abs(data).max(initial=0) > highest:
        raise ImageError(f"{path}: values up to {np.abs(data).max():g} cannot be kept in steps of {quantum:g}.")
    image = nib.Nifti1Image(np.rint(data / quantum).astype(np.int16), affine)
    image.header.set_slope_inter(quantum, 0)
    image.header.set_xyzt_units("mm", "sec")
    _write_compressed(path, image)


def read_dwi(image: Path, bval: Path, bvec: Path, *, b0_threshold: float) -> DwiSeries:
    """Read a diffusion-weighted series with its gradients.

    Parameters
    ----------
    image, bval, bvec : Path
        NIfTI image and FSL gradient files.
    b0_threshold : float
        Volumes up to this b-value count as b = 0, s/mm².

    Returns
    -------
    DwiSeries
        Signal as float32, directions in world coordinates.

    Raises
    ------
    DatasetError, ImageError, GradientError
        If a file is missing or damaged, or the three do not belong together.
    """
    signal, affine = read_image(image)
    if signal.ndim != 4:
        raise ImageError(
            f"{image}: a diffusion series has four dimensions (x, y, z, volume); this image has {signal.ndim}. "
            "Give the whole series in one file."
        )
    gradients = read_gradients(bval, bvec, affine, n_volumes=signal.shape[3], b0_threshold=b0_threshold)
    return DwiSeries(signal, affine, gradients)


def read_gradients(bval: Path, bvec: Path, affine: Floats, *, n_volumes: int, b0_threshold: float) -> GradientTable:
    """Read gradients in FSL's form: b-values in one row, directions in three.

    Directions in three columns are understood as well. Where a volume counts as b = 0, a direction
    may be zero or not a number. Directions of another length than 1 are refused: some programs
    scale the b-value by the squared length (MRtrix), some refuse (DIPY), and the file does not say.

    Parameters
    ----------
    bval, bvec : Path
        The two files.
    affine : ndarray of shape (4, 4)
        Affine of the image that they belong to.
    n_volumes : int
        How many volumes that image has.
    b0_threshold : float
        Volumes up to this b-value count as b = 0, s/mm².

    Returns
    -------
    GradientTable
        Directions in world coordinates.

    Raises
    ------
    DatasetError
        If a file is missing.
    GradientError
        If the numbers cannot be read, their counts differ, or a direction is not of unit length.
    """
    bvals = _read_numbers(bval).ravel()
    bvecs = _read_numbers(bvec)
    if bvals.size != n_volumes:
        raise GradientError(
            f"{bval}: {bvals.size} b-values for {n_volumes} volumes. There must be one for each volume."
        )
    if bvecs.shape[0] == 3:
        bvecs = bvecs.T
    if bvecs.shape != (n_volumes, 3):
        raise GradientError(
            f"{bvec}: {bvecs.shape[0]} × {bvecs.shape[1]} numbers; {n_volumes} volumes need three rows of {n_volumes}."
        )
    if bvals.max() <= max(b0_threshold, SMALLEST_WEIGHTING):
        raise GradientError(
            f"{bval}: the largest b-value is {bvals.max():g}, so no volume is diffusion-weighted. "
            "b-values must be in s/mm² (500, not 0.5)."
        )
    weighted = bvals > b0_threshold
    lengths = np.linalg.norm(bvecs, axis=1)
    wrong = np.flatnonzero(weighted & ~(np.abs(lengths - 1) <= UNIT_LENGTH_TOLERANCE))
    if wrong.size:
        raise GradientError(
            f"{bvec}: the direction of volume {wrong[0]} (b = {bvals[wrong[0]]:g}) has length "
            f"{lengths[wrong[0]]:.3g}, not 1. Check that the file belongs to this series.{_about_lengths(lengths)}"
        )
    # A volume that counts as b = 0 may still have a direction (b = 15, say); the fit then uses it.
    is_unit = np.abs(lengths - 1) <= UNIT_LENGTH_TOLERANCE
    directions = np.zeros((n_volumes, 3))
    directions[is_unit] = bvecs[is_unit] / lengths[is_unit, None]
    with naming(bval):
        return GradientTable(bvals, directions_from_fsl(directions, affine), b0_threshold)


def _about_lengths(lengths: Floats) -> str:
    """Say what several lengths may mean; programs disagree on it, so it is not guessed."""
    some = lengths[np.isfinite(lengths) & (lengths > 0)]
    if len(some) < 2 or np.ptp(some) < UNIT_LENGTH_TOLERANCE * some.max():
        return ""
    return (
        " If lengths stand for the weighting (as MRtrix takes them), multiply each b-value by its direction's "
        "squared length; then scale the directions to length 1."
    )


def placement_issues(image: Path) -> tuple[Issue, ...]:
    """Look in the header of a series for what makes the axes of its b-vectors doubtful.

    Parameters
    ----------
    image : Path
        NIfTI file, compressed or not.

    Returns
    -------
    tuple of Issue
        A header that does not say how the image lies, or that says it in two ways of which one is mirrored or
        turned by more than 1° against the other.

    Raises
    ------
    DatasetError
        If the file is missing or damaged.
    """
    try:
        header = nib.load(image).header
        if not isinstance(header, nib.Nifti1Header):
            return ()
        sform, has_sform = header.get_sform(coded=True)
        qform, has_qform = header.get_qform(coded=True)
    except FileNotFoundError as error:
        raise DatasetError(f"{image}: there is no such file.") from error
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{image}: cannot be read as an image ({reason}). Copy or convert it again.") from error
    if not has_sform and not has_qform:
        what = "the header does not say how the image lies, so the axes of the b-vectors are guesswork."
        return (Issue(Severity.WARNING, image.name, what, "Convert the DICOM files again (dcm2niix)."),)
    if not has_sform or not has_qform:
        return ()
    turn = fsl_frame(sform) @ fsl_frame(qform).T
    is_mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    if not is_mirrored and angle <= PLACEMENT_TOLERANCE_DEG:
        return ()
    how = "mirrored" if is_mirrored else f"turned by {angle:.0f}°"
    what = f"the header places the image twice, and the one place (qform) is {how} against the other (sform)."
    remedy = "The sform is used, for the b-vectors too. Look at the fibre directions, or convert the DICOM files again."
    return (Issue(Severity.WARNING, image.name, what, remedy),)


def _read_numbers(path: Path) -> Floats:
    rows = [line.replace(",", " ").split() for line in read_text(path).splitlines() if line.strip()]
    if not rows:
        raise GradientError(f"{path}: holds no numbers.")
    if len({len(row) for row in rows}) > 1:
        raise GradientError(f"{path}: has rows of different length. Convert the DICOM files again.")
    try:
        return np.array([[float(word) for word in row] for row in rows])
    except ValueError as error:
        raise GradientError(f"{path}: not a table of numbers ({error}).") from error


def write_gradients(bval: Path, bvec: Path, gradients: GradientTable, affine: Floats) -> None:
    """Write gradients in FSL's form at full precision.

    Parameters
    ----------
    bval, bvec : Path
        The two files.
    gradients : GradientTable
        Directions in world coordinates.
    affine : ndarray of shape (4, 4)
        Affine of the image that they are written beside.
    """
    bvecs = directions_to_fsl(gradients.directions, affine) + 0.0  # no negative zeros
    write_text(bval, " ".join(f"{b:.10g}" for b in gradients.bvals) + "\n")
    write_text(bvec, "".join(" ".join(f"{x:.10g}" for x in row) + "\n" for row in bvecs.T))
