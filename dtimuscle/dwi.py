"""Diffusion-weighted series, their gradients, and the tensor maps made from them.

Gradient directions are kept in world coordinates (RAS, the frame of the image's affine), so that a
rotation of the patient acts on them directly and a fibre's direction means the same in every image.
The FSL convention of `.bvec` files is spoken only where files are read and written.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dtimuscle.errors import GradientError, GridMismatchError, ImageError

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

# A tensor has six unknowns.
MIN_DIRECTIONS = 6

# Two grids count as one up to this distance between the corners of their fields of view.
GRID_TOLERANCE_MM = 0.05


@dataclass(frozen=True)
class GradientTable:
    """The b-values and gradient directions of a series.

    Parameters
    ----------
    bvals : ndarray of shape (n,)
        b-values in s/mm², as the scanner wrote them (5 or 15 may stand for "no weighting").
    directions : ndarray of shape (n, 3)
        Unit vectors in world coordinates (RAS); zero where there is no direction.
    b0_threshold : float, default=20.0
        Volumes up to this b-value, in s/mm², count as b = 0.

    Raises
    ------
    GradientError
        If the shapes disagree, a b-value is negative or not finite, or a weighted volume has no direction.
    """

    bvals: Floats
    directions: Floats
    b0_threshold: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what cannot be a gradient table."""
        n = self.bvals.shape[0] if self.bvals.ndim == 1 else -1
        if self.directions.shape != (n, 3):
            raise GradientError(
                f"{self.bvals.size} b-values do not go with directions of shape {self.directions.shape}. "
                "Give one direction (x, y, z) for each b-value."
            )
        if not np.all(np.isfinite(self.bvals)) or np.any(self.bvals < 0):
            raise GradientError("a b-value is negative or not a number. b-values are in s/mm².")
        lengths = np.linalg.norm(self.directions, axis=1)
        missing = ~self.is_b0 & ~(np.abs(lengths - 1) < 1e-3)
        if np.any(missing):
            volume = int(np.flatnonzero(missing)[0])
            raise GradientError(
                f"volume {volume} has b = {self.bvals[volume]:g} s/mm² but its direction has length "
                f"{lengths[volume]:.3g} instead of 1. Check the b-vectors."
            )

    def __len__(self) -> int:
        """Return the number of volumes."""
        return len(self.bvals)

    @property
    def is_b0(self) -> Bools:
        """Which volumes count as not diffusion-weighted, shape (n,)."""
        return self.bvals <= self.b0_threshold

    @property
    def n_directions(self) -> int:
        """Independent axes among the weighted volumes: antipodes and repeats (within 1°) count once."""
        weighted = self.directions[~self.is_b0]
        axes: list[Floats] = []
        for direction in weighted:
            if all(abs(direction @ axis) < np.cos(np.radians(1)) for axis in axes):
                axes.append(direction)
        return len(axes)

    def require_tensor(self) -> None:
        """Make sure that a tensor can be fitted.

        Raises
        ------
        GradientError
            If there is no b = 0 volume, or fewer than six independent directions.
        """
        if not self.is_b0.any():
            raise GradientError(
                f"no volume has b ≤ {self.b0_threshold:g} s/mm² (the lowest is {self.bvals.min():g}). "
                "A tensor needs one without weighting; raise b0_threshold if the lowest b is meant as b = 0."
            )
        if self.n_directions < MIN_DIRECTIONS:
            raise GradientError(
                f"{self.n_directions} independent gradient directions; a tensor needs at least {MIN_DIRECTIONS}."
            )

    def rotated(self, rotations: Floats) -> "GradientTable":
        """Turn each direction by its volume's rotation.

        Parameters
        ----------
        rotations : ndarray of shape (n, 3, 3)
            Proper rotation matrices in world coordinates.

        Returns
        -------
        GradientTable
            The same b-values with turned directions.
        """
        return replace(self, directions=np.einsum("nij,nj->ni", rotations, self.directions))

    def subset(self, volumes: NDArray[np.integer] | Bools) -> "GradientTable":
        """Keep some of the volumes, by index or by mask of shape (n,).

        Parameters
        ----------
        volumes : ndarray of int or of bool
            Indices, or a mask of shape (n,).

        Returns
        -------
        GradientTable
            The chosen volumes in the order of `volumes`.
        """
        return replace(self, bvals=self.bvals[volumes], directions=self.directions[volumes])


@dataclass(frozen=True)
class DwiSeries:
    """A diffusion-weighted series with its grid and gradients.

    Parameters
    ----------
    signal : ndarray of shape (nx, ny, nz, n)
        Magnitude signal, float32.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    gradients : GradientTable
        One entry for each of the n volumes.

    Raises
    ------
    ImageError
        If the signal is not four-dimensional.
    GradientError
        If the number of volumes and of gradients differ.
    """

    signal: Floats
    affine: Floats
    gradients: GradientTable

    def __post_init__(self) -> None:
        """Refuse a series whose parts do not belong together."""
        if self.signal.ndim != 4:
            raise ImageError(
                f"a diffusion series has four dimensions (x, y, z, volume); this image has {self.signal.ndim}. "
                "Give the whole series in one file."
            )
        if self.signal.shape[3] != len(self.gradients):
            raise GradientError(
                f"{self.signal.shape[3]} volumes but {len(self.gradients)} b-values. There must be one for each volume."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of the grid in voxels."""
        nx, ny, nz, _ = self.signal.shape
        return nx, ny, nz

    @property
    def voxel_sizes(self) -> Floats:
        """Edge lengths of a voxel in mm, shape (3,)."""
        return voxel_sizes(self.affine)

    def mean_b0(self) -> Floats:
        """Average of the b = 0 volumes, shape (nx, ny, nz).

        Returns
        -------
        ndarray of shape (nx, ny, nz)
            In the unit of the signal.
        """
        return self.signal[..., self.gradients.is_b0].mean(axis=-1)

    def mean_weighted(self) -> Floats:
        """Average of the diffusion-weighted volumes, shape (nx, ny, nz).

        Returns
        -------
        ndarray of shape (nx, ny, nz)
            In the unit of the signal.
        """
        return self.signal[..., ~self.gradients.is_b0].mean(axis=-1)

    def with_signal(self, signal: Floats) -> "DwiSeries":
        """Return the same series with another signal of the same shape.

        Parameters
        ----------
        signal : ndarray of shape (nx, ny, nz, n)
            The other signal.

        Returns
        -------
        DwiSeries
            On the same grid with the same gradients.
        """
        return replace(self, signal=signal)


@dataclass(frozen=True)
class TensorMaps:
    """What a tensor fit leaves in each voxel; NaN outside the mask and where the fit is unusable.

    Parameters
    ----------
    fa : ndarray of shape (nx, ny, nz)
        Fractional anisotropy, without unit.
    md, ad, rd : ndarray of shape (nx, ny, nz)
        Mean, axial and radial diffusivity in mm²/s. The study's "ADC" is `md`.
    direction : ndarray of shape (nx, ny, nz, 3)
        First eigenvector in world coordinates (RAS); its sign has no meaning.
    s0 : ndarray of shape (nx, ny, nz)
        Fitted signal without diffusion weighting.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where a fit was tried.
    is_positive : ndarray of bool, shape (nx, ny, nz)
        Where all three eigenvalues are above zero; reported, never corrected.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).
    estimator : str
        How the tensor was fitted: `ols`, `wls`, `iwls`, `nlls` or `restore`.
    """

    fa: Floats
    md: Floats
    ad: Floats
    rd: Floats
    direction: Floats
    s0: Floats
    mask: Bools
    is_positive: Bools
    affine: Floats
    estimator: str

    @property
    def scalars(self) -> dict[str, Floats]:
        """The four maps that muscles are described by, keyed by their BIDS parameter name."""
        return {"fa": self.fa, "md": self.md, "ad": self.ad, "rd": self.rd}


def voxel_sizes(affine: Floats) -> Floats:
    """Edge lengths of a voxel in mm, shape (3,), from an affine of shape (4, 4).

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    ndarray of shape (3,)
        Edge lengths in mm.
    """
    return np.linalg.norm(affine[:3, :3], axis=0)


def grid_rotation(affine: Floats) -> Floats:
    """Orthogonal matrix, shape (3, 3), that turns voxel axes into world axes.

    The nearest orthogonal matrix (polar decomposition) to the affine without its voxel sizes; its
    determinant is −1 for a grid whose storage is mirrored.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    ndarray of shape (3, 3)
        Its columns are the directions of the voxel axes in the world.
    """
    u, _, vt = np.linalg.svd(affine[:3, :3] / voxel_sizes(affine))
    return u @ vt


def directions_from_fsl(bvecs: Floats, affine: Floats) -> Floats:
    """Turn b-vectors as FSL writes them into world coordinates.

    FSL gives directions along the voxel axes, with the first one mirrored when the affine's
    determinant is positive (FSL user guide, FDT, "What conventions do the bvecs use?").

    Parameters
    ----------
    bvecs : ndarray of shape (n, 3)
        Directions in the file's convention.
    affine : ndarray of shape (4, 4)
        Affine of the image that they belong to.

    Returns
    -------
    ndarray of shape (n, 3)
        The same directions in world coordinates (RAS).
    """
    return _mirrored(bvecs, affine) @ grid_rotation(affine).T


def directions_to_fsl(directions: Floats, affine: Floats) -> Floats:
    """Turn directions in world coordinates into b-vectors as FSL reads them.

    Parameters
    ----------
    directions : ndarray of shape (n, 3)
        Directions in world coordinates (RAS).
    affine : ndarray of shape (4, 4)
        Affine of the image that they are written beside.

    Returns
    -------
    ndarray of shape (n, 3)
        Directions in the file's convention; the inverse of `directions_from_fsl`.
    """
    return _mirrored(directions @ grid_rotation(affine), affine)


def _mirrored(bvecs: Floats, affine: Floats) -> Floats:
    sign = -1.0 if np.linalg.det(affine[:3, :3]) > 0 else 1.0
    return bvecs * np.array([sign, 1.0, 1.0])


def require_one_grid(
    shape: tuple[int, ...], affine: Floats, other_shape: tuple[int, ...], other_affine: Floats, *, names: str
) -> None:
    """Make sure that two images lie on one grid.

    Parameters
    ----------
    shape : tuple of int
        Size of the one in voxels; only the first three count.
    affine : ndarray of shape (4, 4)
        Of the one: from voxel indices to world coordinates (mm).
    other_shape : tuple of int
        Size of the other.
    other_affine : ndarray of shape (4, 4)
        Of the other.
    names : str
        The two images in words, for the message ("the labels and the FA map").

    Raises
    ------
    GridMismatchError
        If the shapes differ, or a corner of one grid lies more than 0.05 mm from the other's.
    """
    if shape[:3] != other_shape[:3]:
        raise GridMismatchError(
            f"{names} are not on one grid: {_size(shape)} against {_size(other_shape)} voxels. "
            "Resample the labels to the DWI first."
        )
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]], indexing="ij")).reshape(3, -1)
    apart = (affine - other_affine) @ np.vstack([ends, np.ones(ends.shape[1])])
    distance = float(np.linalg.norm(apart[:3], axis=0).max())
    if distance > GRID_TOLERANCE_MM:
        raise GridMismatchError(
            f"{names} are not on one grid: corners {distance:.1f} mm apart (at most {GRID_TOLERANCE_MM} mm). "
            "Resample the labels to the DWI first."
        )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape[:3])
