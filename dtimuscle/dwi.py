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

# Axes closer than this, in degrees, count as one.
SAME_AXIS_DEG = 1.0

# Largest condition number of the six unknowns' design. Schemes in use have 1.3 to 9 (Skare et al., J Magn Reson 2000;
# 147: 340-352); beyond this, noise in one combination of the six outweighs the tensor.
MAX_CONDITION = 100.0

# Directions this close to a plane (root mean square sine) count as lying in it.
FLATNESS = 0.03

# Neighbouring b-values belong to one shell when they differ by no more than this part, or this much in s/mm²:
# imaging gradients move a nominal b by a few percent.
SHELL_SPREAD = 0.07
SHELL_STEP = 10.0

# From this b-value on, in s/mm², shells are named to the nearest ten.
FIRST_ROUND_B = 100.0

# A shell at 1005 s/mm² is one of 1000: the limit is meant for nominal b-values.
NOMINAL_TOLERANCE = 0.05

# Rotations may be off by rounding only; a shear or stretch would change the weighting.
ROTATION_TOLERANCE = 1e-6

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
        axes = np.empty((0, 3))
        for direction in weighted:
            if np.all(np.abs(axes @ direction) < np.cos(np.radians(SAME_AXIS_DEG))):
                axes = np.vstack([axes, direction])
        return len(axes)

    @property
    def condition(self) -> float:
        """Condition number of the tensor's design over the weighted directions; infinite if they leave it open.

        The design has the columns x², y², z², 2xy, 2xz, 2yz (Skare et al., J Magn Reson 2000; 147: 340-352). Six
        even directions reach 1.6; directions on one cone around the origin leave a combination of the six unknown.
        """
        design = _tensor_design(self.directions[~self.is_b0])
        values = np.linalg.svd(design, compute_uv=False)
        if len(values) < MIN_DIRECTIONS or values[-1] <= np.finfo(float).eps * values[0]:
            return np.inf
        return float(values[0] / values[-1])

    def require_tensor(self) -> None:
        """Make sure that a tensor can be fitted.

        Raises
        ------
        GradientError
            If there is no b = 0 volume, there are fewer than six independent directions, or these lie so that they
            leave the tensor undetermined.
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
        if not self.condition <= MAX_CONDITION:
            raise GradientError(
                f"the {self.n_directions} gradient directions leave the tensor undetermined: they lie "
                f"{self._degeneracy()} (condition number {self.condition:.3g}, at most {MAX_CONDITION:g}). "
                "Use directions that are spread over the sphere."
            )

    def _degeneracy(self) -> str:
        """Say on what figure directions lie that leave the tensor undetermined."""
        weighted = self.directions[~self.is_b0]
        spread, axes = np.linalg.eigh(weighted.T @ weighted / len(weighted))
        if spread[0] < FLATNESS**2:
            x, y, z = axes[:, 0] + 0.0
            return f"in the plane across ({x:.2f}, {y:.2f}, {z:.2f})"
        # The tensor that no direction sees, gᵀDg = 0, is the equation of the cone.
        return "on or near one cone around the origin"

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

        Raises
        ------
        GradientError
            If a matrix is no proper rotation: with a shear or a mirror the b-values would no longer hold.
        """
        if rotations.shape != (len(self), 3, 3):
            raise GradientError(f"rotations of shape {rotations.shape} for {len(self)} volumes. Give one for each.")
        error = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0.0)
        wrong = np.flatnonzero(~(error <= ROTATION_TOLERANCE) | ~(np.linalg.det(np.nan_to_num(rotations)) > 0))
        if wrong.size:
            raise GradientError(
                f"the matrix of volume {wrong[0]} is no proper rotation. Give the rotation part of the transform "
                "without stretch, shear or mirror."
            )
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
class Shell:
    """Volumes of one nominal b-value.

    Parameters
    ----------
    b : float
        Mean b-value in s/mm²; 0 for the volumes that count as not weighted.
    volumes : ndarray of int
        Their indices.
    """

    b: float
    volumes: NDArray[np.integer]

    @property
    def nominal_b(self) -> float:
        """The b-value in s/mm², from 100 on to the nearest ten, below to the nearest whole number."""
        return float(round(self.b, -1 if self.b >= FIRST_ROUND_B else 0))

    @property
    def nominal(self) -> str:
        """The b-value as reports name it."""
        return f"{self.nominal_b:.0f}"

    @property
    def words(self) -> str:
        """The b-value and, in brackets, the number of volumes."""
        return f"{self.nominal} ({len(self.volumes)})"


@dataclass(frozen=True)
class ShellSelection:
    """Which shells the tensor is fitted to.

    Parameters
    ----------
    used, left_out : tuple of Shell
        Ascending; the volumes without weighting are the first of those used.
    volumes : ndarray of bool, shape (n,)
        The volumes that are used.
    reason : str
        Why, where something else than the limit decided; empty otherwise.
    """

    used: tuple[Shell, ...]
    left_out: tuple[Shell, ...]
    volumes: Bools
    reason: str = ""

    @property
    def words(self) -> str:
        """One sentence for the report."""
        used = f"The tensor uses b = {_listed(self.used)} s/mm² (volumes in brackets)"
        left_out = f"; left out: b = {_listed(self.left_out)} s/mm²" if self.left_out else ""
        return f"{used}{left_out}. {self.reason}".rstrip()


def _listed(shells: tuple[Shell, ...]) -> str:
    *most, last = [shell.words for shell in shells]
    return f"{', '.join(most)} and {last}" if most else last


def find_shells(gradients: GradientTable) -> tuple[Shell, ...]:
    """Group the volumes by their nominal b-value.

    Sorted b-values are cut where the next one is more than 7 % (and 10 s/mm²) higher.

    Parameters
    ----------
    gradients : GradientTable
        The b-values, as the scanner wrote them.

    Returns
    -------
    tuple of Shell
        Ascending; first what counts as b = 0, if there is any.
    """
    weighted = np.flatnonzero(~gradients.is_b0)
    weighted = weighted[np.argsort(gradients.bvals[weighted], kind="stable")]
    bvals = gradients.bvals[weighted]
    cuts = np.flatnonzero(np.diff(bvals) > np.maximum(SHELL_STEP, SHELL_SPREAD * bvals[1:])) + 1
    groups = [np.sort(group) for group in np.split(weighted, cuts) if group.size]
    shells = [Shell(float(gradients.bvals[group].mean()), group) for group in groups]
    if gradients.is_b0.any():
        shells.insert(0, Shell(0.0, np.flatnonzero(gradients.is_b0)))
    return tuple(shells)


def select_shells(gradients: GradientTable, *, highest_b: float | None = 1000.0) -> ShellSelection:
    """Choose the shells that a tensor is fitted to.

    Above about 1,000 s/mm² the signal no longer decays as a tensor says (kurtosis), so higher shells are left out if
    what remains can carry a tensor; if not, the next higher shells are taken in until it can.

    Parameters
    ----------
    gradients : GradientTable
        Of the whole series.
    highest_b : float or None, default=1000.0
        Shells up to this nominal b-value (+ 5 %) are used, s/mm²; None for all.

    Returns
    -------
    ShellSelection
        Shells that are used and left out, and words for the report.

    Raises
    ------
    GradientError
        If not even all volumes can carry a tensor.
    """
    shells = find_shells(gradients)
    limit = np.inf if highest_b is None else highest_b * (1 + NOMINAL_TOLERANCE)
    used = [shell for shell in shells if shell.b <= limit]
    above = [shell for shell in shells if shell.b > limit]
    added, reason = [], ""
    while not _carries_tensor(gradients, used) and above:
        added.append(above.pop(0))
        used.append(added[-1])
    if added:
        reason = f"Without b = {_listed(tuple(added))} s/mm² there would be no tensor."
    volumes = np.zeros(len(gradients), dtype=bool)
    for shell in used:
        volumes[shell.volumes] = True
    gradients.subset(volumes).require_tensor()
    return ShellSelection(tuple(used), tuple(above), volumes, reason)


def _carries_tensor(gradients: GradientTable, shells: list[Shell]) -> bool:
    if not shells:
        return False
    try:
        gradients.subset(np.concatenate([shell.volumes for shell in shells])).require_tensor()
    except GradientError:
        return False
    return True


def _tensor_design(directions: Floats) -> Floats:
    """Rows gᵀDg of (xx, yy, zz, xy, xz, yz), shape (n, 6)."""
    x, y, z = directions.T
    return np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)


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

    def require_mask(self, mask: Bools) -> None:
        """Make sure that a mask belongs to the series.

        Parameters
        ----------
        mask : ndarray of bool
            The mask.

        Raises
        ------
        GridMismatchError
            If it has another shape.
        """
        if mask.shape != self.shape:
            raise GridMismatchError(
                f"the mask has shape {mask.shape}, the series {self.shape}. Make it from this series."
            )

    def mean_b0(self) -> Floats:
        """Average of the b = 0 volumes, shape (nx, ny, nz).

        Returns
        -------
        ndarray of shape (nx, ny, nz)
            In the unit of the signal.
        """
        # Three times as fast as an index.
        return np.compress(self.gradients.is_b0, self.signal, axis=-1).mean(axis=-1)

    def mean_weighted(self) -> Floats:
        """Average of the diffusion-weighted volumes, shape (nx, ny, nz).

        Returns
        -------
        ndarray of shape (nx, ny, nz)
            In the unit of the signal.
        """
        return np.compress(~self.gradients.is_b0, self.signal, axis=-1).mean(axis=-1)

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

    def subset(self, volumes: NDArray[np.integer] | Bools) -> "DwiSeries":
        """Keep some of the volumes, by index or by mask of shape (n,).

        Parameters
        ----------
        volumes : ndarray of int or of bool
            Indices, or a mask of shape (n,), as `select_shells` gives it.

        Returns
        -------
        DwiSeries
            The chosen volumes with their gradients.
        """
        return replace(self, signal=self.signal[..., volumes], gradients=self.gradients.subset(volumes))


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
        How the tensor was fitted: `ols`, `wls`, `iwls`, `nlls`, `restore` or `robust`.
    residual : ndarray of shape (nx, ny, nz), or None
        What the tensor leaves unexplained, as part of `s0` (see `dtimuscle.imaging.tensor.TensorFit`); None where
        only the maps are known.
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
    residual: Floats | None = None

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


def fsl_frame(affine: Floats) -> Floats:
    """Axes that the three rows of an FSL `.bvec` file speak of, in world coordinates.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    ndarray of shape (3, 3)
        Its columns are the voxel axes; the first is mirrored when the affine's determinant is positive.
    """
    sign = -1.0 if np.linalg.det(affine[:3, :3]) > 0 else 1.0
    return grid_rotation(affine) * np.array([sign, 1.0, 1.0])


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
    return bvecs @ fsl_frame(affine).T


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
    return directions @ fsl_frame(affine)


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
