"""Images between their voxels: filters along their axes, and cubic splines."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dtimuscle.dwi import Bools, Floats
from dtimuscle.imaging import motion_kernels as kernels

# Of a filter's largest weight; smaller ones are left out.
NEGLIGIBLE = 1e-5


# Voxels that are put in another order at a time: few enough to stay in the processor's cache.
BLOCK = 1024


def volumes_first(signal: Floats) -> Floats:
    """Put each volume's voxels beside one another.

    Parameters
    ----------
    signal : ndarray of shape (nx, ny, nz, n)
        Volumes.

    Returns
    -------
    ndarray of float32, shape (n, nx, ny, nz)
        Another array than the given one.
    """
    voxels = signal.reshape(-1, signal.shape[3])
    volumes = np.empty(voxels.shape[::-1], dtype=np.float32)
    for first in range(0, len(voxels), BLOCK):
        volumes[:, first : first + BLOCK] = voxels[first : first + BLOCK].T
    return volumes.reshape(-1, *signal.shape[:3])


@dataclass(frozen=True)
class Filter:
    """A linear filter along one axis of an image.

    Parameters
    ----------
    weights : ndarray of float32, shape (m, n)
        What each of m new values takes of each of n old ones.
    first, end : ndarray of int, shape (m,)
        All of a row that is not zero lies from `first` to before `end`.
    """

    weights: Floats
    first: NDArray[np.intp]
    end: NDArray[np.intp]

    @classmethod
    def of(cls, weights: Floats) -> "Filter":
        """Leave out what is negligible.

        Parameters
        ----------
        weights : ndarray of shape (m, n)
            What each new value takes of each old one.

        Returns
        -------
        Filter
            In single precision.
        """
        kept = np.abs(weights) > NEGLIGIBLE * np.abs(weights).max(initial=0)
        end = kept.shape[1] - kept[:, ::-1].argmax(axis=1)
        return cls(np.where(kept, weights, 0).astype(np.float32), kept.argmax(axis=1), end * kept.any(axis=1))

    def along(self, image: Floats, axis: int) -> Floats:
        """Filter an image.

        Parameters
        ----------
        image : ndarray of float32, of any shape
            With n values along the axis.
        axis : int
            Along which to filter.

        Returns
        -------
        ndarray of float32
            With m values along the axis.
        """
        if axis == image.ndim - 1:
            # Neighbours along the last axis lie beside each other: a product of matrices is quicker here.
            return image @ self.weights.T
        shape = image.shape
        lines = np.ascontiguousarray(image, dtype=np.float32).reshape(np.prod(shape[:axis], dtype=int), shape[axis], -1)
        filtered = kernels.along(lines, self.weights, self.first, self.end)
        return filtered.reshape(*shape[:axis], len(self.weights), *shape[axis + 1 :])


@lru_cache(maxsize=64)
def smoothing(n: int, width: float) -> Filter:
    """Smooth n values by a Gaussian.

    Parameters
    ----------
    n : int
        Voxels along the axis.
    width : float
        Standard deviation in voxels.

    Returns
    -------
    Filter
        From n values to n.
    """
    return Filter.of(_smoothing(n, width))


@lru_cache(maxsize=64)
def slope(n: int, *, is_noisy: bool) -> Filter:
    """Differentiate the cubic spline through n values, per voxel.

    Parameters
    ----------
    n : int
        Voxels along the axis.
    is_noisy : bool
        Level at the border. The one-sided difference there goes with the noise of the voxel itself, and since motion
        takes one border out of sight and not the other, this draws an image back to where it was.

    Returns
    -------
    Filter
        From n values to n.
    """
    if n == 1:
        return Filter.of(np.zeros((1, 1)))
    weights = np.gradient(_coefficients(n), axis=0)
    if is_noisy:
        weights[[0, -1]] = 0
    return Filter.of(weights)


def _smoothing(n: int, width: float) -> Floats:
    return ndimage.gaussian_filter1d(np.eye(n), width, axis=0) if width else np.eye(n)


def _coefficients(n: int) -> Floats:
    """From n values to the coefficients of their spline, mirrored at the outermost ones."""
    return np.eye(n) if n == 1 else ndimage.spline_filter1d(np.eye(n), axis=0, mode="mirror")


@lru_cache(maxsize=64)
def _smooth_spline(n: int, width: float) -> Filter:
    return Filter.of(_coefficients(n) @ _smoothing(n, width))


@dataclass(frozen=True)
class Spline:
    """An image that has values between its voxels.

    Parameters
    ----------
    wide : ndarray of float32
        Coefficients of a cubic spline, mirrored beyond the border as far as interpolation reaches.
    """

    wide: Floats

    @classmethod
    def through(cls, image: Floats, *, widths: Floats | None = None) -> "Spline":
        """Interpolate an image, after Gaussian smoothing if wanted.

        Parameters
        ----------
        image : ndarray of shape (nx, ny, nz)
            Values at the voxels.
        widths : ndarray of shape (3,), optional
            Standard deviations of the smoothing along each axis, in voxels.

        Returns
        -------
        Spline
            Mirrored at the outermost voxels.
        """
        for axis, (n, width) in enumerate(zip(image.shape, np.zeros(3) if widths is None else widths, strict=True)):
            image = _smooth_spline(n, float(width)).along(image, axis)
        wide = np.pad(image.astype(np.float32, copy=False), (kernels.BEFORE, kernels.AFTER), mode="reflect")
        return cls(wide)

    def at(
        self, points: Floats, to_index: Floats, is_lost: Bools | None = None, normal: int = 2
    ) -> tuple[Floats, Bools]:
        """Interpolate at points of shape (m, 3).

        Parameters
        ----------
        points : ndarray of float64, shape (m, 3)
            Where to look.
        to_index : ndarray, shape (4, 4)
            From points to voxel indices. Outside, the nearest voxel counts.
        is_lost : ndarray of bool, shape (n_slices,), optional
            Slices that do not count as scanned, by default none.
        normal : int, default=2
            Axis across the slices.

        Returns
        -------
        values : ndarray of float32, shape (m,)
            Interpolated.
        is_scanned : ndarray of bool, shape (m,)
            Within the image and in no lost slice.
        """
        if is_lost is None or not is_lost.any():
            is_lost = np.zeros(0, dtype=bool)
        return kernels.sample(self.wide, np.ascontiguousarray(to_index[:3]), points, is_lost, normal)
