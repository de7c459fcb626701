"""Labels brought to the grid of the diffusion series: stored in another order, or drawn on another image."""

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from dtimuscle.dwi import Floats, require_one_grid
from dtimuscle.errors import GridMismatchError, LabelError
from dtimuscle.issues import Issue, Severity
from dtimuscle.store.files import read_text

# Less of the labels within the series' field of view means that the two images do not belong together.
LEAST_INSIDE = 0.5

# A larger part beyond the series changes what a muscle's mean stands for.
NOTABLE_OUTSIDE = 0.05

# A point halfway between two voxels goes the same way (right, front, above) whatever order they are stored in.
TIE_BREAK_MM = 1e-3

# Rounding in a written matrix.
MATRIX_TOLERANCE = 1e-4

# Transforms of other programs, which are named instead of passed over.
NOT_READ = (".mat", ".h5", ".lta")

# ITK's world has its first two axes the other way round (LPS).
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class LabelVolume:
    """Labels as stored.

    Parameters
    ----------
    values : ndarray of int, shape (nx, ny, nz)
        Label of each voxel.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    """

    values: NDArray[np.int32]
    affine: Floats

    @property
    def size(self) -> str:
        """Voxels and their edges, in words."""
        edges = np.linalg.norm(self.affine[:3, :3], axis=0)
        return f"{' × '.join(map(str, self.values.shape))} voxels of {' × '.join(f'{edge:.3g}' for edge in edges)} mm"

    @property
    def labelled(self) -> str:
        """How much is labelled, in words."""
        count = int(np.count_nonzero(self.values))
        return f"{count} labelled voxels ({count * abs(np.linalg.det(self.affine[:3, :3])) / 1000:.3g} ml)"


@dataclass(frozen=True)
class OnGrid:
    """Labels on the wanted grid.

    Parameters
    ----------
    values : ndarray of int, shape (nx, ny, nz)
        Label of each voxel.
    issues : tuple of Issue
        Whether and how they were resampled, and what was lost.
    """

    values: NDArray[np.int32]
    issues: tuple[Issue, ...] = ()


def labels_on_grid(
    drawn: LabelVolume,
    shape: tuple[int, int, int],
    affine: Floats,
    *,
    source: str,
    transform: Floats | None = None,
) -> OnGrid:
    """Give each voxel of a grid the label at its centre.

    Labels on the grid itself stay as they are. All others are looked up in world coordinates, so that flipped or
    permuted storage changes nothing, and equal shapes prove nothing.

    Parameters
    ----------
    drawn : LabelVolume
        Labels as stored.
    shape : tuple of int
        Of the wanted grid.
    affine : ndarray of shape (4, 4)
        Of the wanted grid.
    source : str
        Name of the label image, for issues.
    transform : ndarray of shape (4, 4), optional
        Moves points of the label image to where they are in the wanted image (world coordinates, RAS, mm).

    Returns
    -------
    OnGrid
        Labels and issues.

    Raises
    ------
    GridMismatchError
        If less than half of the labelled voxels lie within the wanted grid.
    """
    values, own_affine = drawn.values, drawn.affine
    if transform is None and is_one_grid(values.shape, own_affine, shape, affine):
        return OnGrid(values)
    move = np.eye(4) if transform is None else transform
    inside = _share_inside(values, move @ own_affine, shape, affine)
    if inside < LEAST_INSIDE:
        remedy = "The header places the labels elsewhere: give labels of this scan, or a transform."
        if transform is not None:
            inverse = _share_inside(values, np.linalg.inv(transform) @ own_affine, shape, affine)
            remedy = f"With the inverse of the transform it would be {100 * inverse:.0f} %; check which way it goes."
        raise GridMismatchError(
            f"only {100 * inside:.0f} % of the labelled voxels lie within the diffusion series "
            f"(at least {100 * LEAST_INSIDE:.0f} %). {remedy}"
        )
    found = _nearest(values, np.linalg.inv(move @ own_affine), shape, affine)
    if transform is None and _is_reordered(values.shape, own_affine, shape, affine):
        what = f"is stored in the order {_order(own_affine)}, the series in {_order(affine)}: it was reordered."
        return OnGrid(found, (Issue(Severity.NOTE, source, what),))
    how = "the headers" if transform is None else "the given transform"
    issues = _resampling_issues(drawn, LabelVolume(found, affine), source=source, how=how)
    # Equal numbers of voxels look like one grid to whoever compares shapes; that deserves a second look.
    if values.shape == found.shape and transform is None:
        issues = (replace(issues[0], severity=Severity.WARNING), *issues[1:])
    return OnGrid(found, (*issues, *_outside_issues(inside, source)))


def values_in(labels: NDArray[np.int32]) -> tuple[int, ...]:
    """List the values of a label image.

    Parameters
    ----------
    labels : ndarray of int
        Any shape.

    Returns
    -------
    tuple of int
        Each once, in ascending order, without 0.
    """
    # Without sorting tens of millions of voxels, as numpy's unique does.
    return tuple(sorted(value for value in pd.unique(labels.ravel()).tolist() if value != 0))


def is_one_grid(shape: tuple[int, ...], affine: Floats, other: tuple[int, ...], other_affine: Floats) -> bool:
    """Tell whether two images lie on one grid.

    Parameters
    ----------
    shape : tuple of int
        Size of the one in voxels.
    affine : ndarray of shape (4, 4)
        Of the one: from voxel indices to world coordinates (mm).
    other : tuple of int
        Size of the other.
    other_affine : ndarray of shape (4, 4)
        Of the other.

    Returns
    -------
    bool
        True when sizes agree and corners do to 0.05 mm.
    """
    try:
        require_one_grid(shape, affine, other, other_affine, names="")
    except GridMismatchError:
        return False
    return True


def places_apart(image: Path) -> float:
    """Measure how far apart the two places lie that a header can give an image (sform and qform).

    Parameters
    ----------
    image : Path
        NIfTI file.

    Returns
    -------
    float
        Largest distance of a corner in mm; 0 when the header gives one place or none.
    """
    header = nib.load(image).header
    if not isinstance(header, nib.Nifti1Header):
        return 0.0
    (sform, has_sform), (qform, has_qform) = header.get_sform(coded=True), header.get_qform(coded=True)
    if not has_sform or not has_qform:
        return 0.0
    return _corners_apart(header.get_data_shape()[:3], sform, qform)


def _is_reordered(shape: tuple[int, ...], affine: Floats, other: tuple[int, ...], other_affine: Floats) -> bool:
    """Tell whether two grids have the same voxels in another order."""
    to_other = np.linalg.inv(other_affine) @ affine
    axes = np.rint(to_other[:3, :3])
    if not np.array_equal(np.abs(axes).sum(axis=0), [1, 1, 1]) or not np.array_equal(
        np.abs(axes).sum(axis=1), [1, 1, 1]
    ):
        return False
    signed = np.eye(4)
    signed[:3, :3] = axes
    # A flipped axis begins at the other end.
    signed[:3, 3] = np.where(axes.sum(axis=1) < 0, np.array(other) - 1, 0)
    permuted = tuple(int(n) for n in np.abs(axes) @ np.array(shape))
    return permuted == tuple(other) and is_one_grid(shape, affine, shape, other_affine @ signed)


def _order(affine: Floats) -> str:
    return "".join(aff2axcodes(affine))


def _share_inside(values: NDArray[np.int32], to_world: Floats, shape: tuple[int, ...], affine: Floats) -> float:
    """Return the share of labelled voxels whose centre lies within the grid; 1 when nothing is labelled."""
    to_grid = np.linalg.inv(affine) @ to_world
    ends = np.array(shape)[:, None] - 0.5
    n_labelled = n_inside = 0
    for k in range(values.shape[2]):  # slice by slice, for memory
        i, j = np.nonzero(values[:, :, k])
        places = to_grid[:3, :2] @ np.stack([i, j]) + (to_grid[:3, 2:3] * k + to_grid[:3, 3:])
        n_labelled += len(i)
        n_inside += int(np.count_nonzero(np.all((places >= -0.5) & (places < ends), axis=0)))
    return n_inside / n_labelled if n_labelled else 1.0


def _nearest(
    values: NDArray[np.int32], from_world: Floats, shape: tuple[int, int, int], affine: Floats
) -> NDArray[np.int32]:
    """Look up the label whose voxel contains the centre of each voxel of the grid; 0 beyond the labels."""
    nudged = affine.copy()
    nudged[:3, 3] += TIE_BREAK_MM
    to_own = from_world @ nudged
    found = np.zeros(shape, dtype=np.int32)
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"))
    for k in range(shape[2]):  # slice by slice, for memory
        places = to_own[:3, :3] @ np.stack([i, j, np.full_like(i, k)]) + to_own[:3, 3:]
        index = np.floor(places + 0.5).astype(np.intp)
        is_inside = np.all((index >= 0) & (index < np.array(values.shape)[:, None]), axis=0)
        plane = np.zeros(len(i), dtype=np.int32)
        plane[is_inside] = values[tuple(index[:, is_inside])]
        found[:, :, k] = plane.reshape(shape[:2])
    return found


def _resampling_issues(drawn: LabelVolume, found: LabelVolume, *, source: str, how: str) -> tuple[Issue, ...]:
    apart = _corners_apart(drawn.values.shape, drawn.affine, found.affine)
    sizes = f"{drawn.size} against {found.size}"
    # Equal shapes say nothing; what tells the two apart is where they lie.
    differ = f"{drawn.size}, corners {apart:.1f} mm apart" if drawn.values.shape == found.values.shape else sizes
    what = (
        f"lies on another grid than the diffusion series ({differ}) and was resampled "
        f"through {how}, nearest neighbour: {drawn.labelled} became {found.labelled}."
    )
    issues = [Issue(Severity.NOTE, source, what, "Look at the outlines on the maps.")]
    lost = sorted(set(values_in(drawn.values)) - set(values_in(found.values)))
    if lost:
        what = f"the labels {', '.join(map(str, lost))} have no voxel of the diffusion series."
        issues.append(Issue(Severity.WARNING, source, what, "They are too small, or beyond its slices."))
    return tuple(issues)


def _corners_apart(shape: tuple[int, ...], affine: Floats, other_affine: Floats) -> float:
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    apart = (affine - other_affine) @ np.vstack([ends, np.ones(ends.shape[1])])
    return float(np.linalg.norm(apart[:3], axis=0).max())


def _outside_issues(inside: float, source: str) -> tuple[Issue, ...]:
    if inside == 1:
        return ()
    what = f"{100 * (1 - inside):.2g} % of the labelled voxels lie beyond the diffusion series and are left out."
    severity = Severity.WARNING if inside < 1 - NOTABLE_OUTSIDE else Severity.NOTE
    return (Issue(severity, source, what, "Values of a muscle are those of its part within the series."),)


def read_transform(path: Path) -> Floats:
    """Read how an anatomical image is moved onto the diffusion series.

    Two forms are known. A text file of four rows of four numbers moves points of the anatomical image (world
    coordinates, RAS, mm) to the diffusion series. A text file of ITK (`.txt`, `.tfm`; ANTs, 3D Slicer) is taken as
    `antsApplyTransforms` takes it when the series is the reference: from points of the series to points of the
    anatomical image, in LPS.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    ndarray of shape (4, 4)
        From the label image's world coordinates (RAS, mm) to those of the series.

    Raises
    ------
    DatasetError
        If the file is missing or no text.
    LabelError
        If it has neither form, is not affine, or mirrors the image.
    """
    if path.suffix in NOT_READ:
        raise LabelError(
            f"{path}: transforms of this kind are not read. Convert it to an ITK text file "
            "(ConvertTransformFile of ANTs, lta_convert of FreeSurfer, c3d_affine_tool for FSL)."
        )
    text = read_text(path)
    matrix = _itk_matrix(path, text) if "Transform:" in text else _plain_matrix(path, text)
    if not np.all(np.isfinite(matrix)) or not np.allclose(matrix[3], [0, 0, 0, 1], atol=MATRIX_TOLERANCE):
        raise LabelError(f"{path}: is no affine transform; its last row must be 0 0 0 1.")
    if np.linalg.det(matrix[:3, :3]) <= 0:
        raise LabelError(f"{path}: mirrors the image or flattens it. Give a transform that does neither.")
    return matrix


def _plain_matrix(path: Path, text: str) -> Floats:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        rows = [[float(word) for word in line.replace(",", " ").split()] for line in lines]
    except ValueError as error:
        raise LabelError(f"{path}: is neither a 4 × 4 matrix nor a transform of ITK ({error}).") from error
    if [len(row) for row in rows] != [4, 4, 4, 4]:
        raise LabelError(f"{path}: a transform has four rows of four numbers; this has {len(rows)} rows.")
    return np.array(rows)


def _itk_matrix(path: Path, text: str) -> Floats:
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator and not line.startswith("#"):
            fields.setdefault(name.strip(), []).append(value.strip())
    kinds = fields.get("Transform", [])
    if len(kinds) != 1 or not kinds[0].startswith(("AffineTransform", "MatrixOffsetTransformBase")):
        raise LabelError(
            f"{path}: holds {' and '.join(kinds)}; one AffineTransform or MatrixOffsetTransformBase is needed. "
            "Convert it with ConvertTransformFile of ANTs."
        )
    try:
        numbers = np.array([float(word) for word in fields["Parameters"][0].split()])
        centre = np.array([float(word) for word in fields.get("FixedParameters", ["0 0 0"])[0].split()])
        linear, shift = numbers[:9].reshape(3, 3), numbers[9:12]
        offset = shift + centre - linear @ centre
    except (KeyError, ValueError) as error:
        raise LabelError(f"{path}: needs 12 parameters and a centre of 3 numbers.") from error
    to_anatomy = np.eye(4)
    to_anatomy[:3, :3], to_anatomy[:3, 3] = linear, offset
    if abs(np.linalg.det(linear)) < MATRIX_TOLERANCE:
        raise LabelError(f"{path}: mirrors the image or flattens it. Give a transform that does neither.")
    return np.asarray(_LPS @ np.linalg.inv(to_anatomy) @ _LPS)


def transform_beside(image: Path) -> Path | None:
    """Find the transform that moves a label image onto the diffusion series.

    Parameters
    ----------
    image : Path
        The label image.

    Returns
    -------
    Path or None
        The only one of `transforms_beside`; None when there is none.

    Raises
    ------
    LabelError
        If there are several.
    """
    found = transforms_beside(image)
    if len(found) > 1:
        raise LabelError(
            f"{image}: has several transforms to the series, {found[0].name} and {found[1].name}. Keep one."
        )
    return found[0] if found else None


def transforms_beside(image: Path) -> tuple[Path, ...]:
    """List the transforms of a label image's participant and session to the series.

    Parameters
    ----------
    image : Path
        The label image.

    Returns
    -------
    tuple of Path
        Files `…_to-dwi_…_xfm.txt` or `.tfm` in its folder, and those of kinds that `read_transform` refuses.
    """
    entities = {word for word in image.name.split("_") if word.startswith(("sub-", "ses-"))}
    found = sorted(
        path for ending in (".txt", ".tfm", *NOT_READ) for path in image.parent.glob(f"*to-dwi*_xfm{ending}")
    )
    return tuple(path for path in found if entities <= set(path.name.split("_")))
