"""Inner loop of the averaging of like neighbours, compiled.

References
----------
Buades, Coll and Morel, Multiscale Modeling & Simulation 4 (2005) 490–530: non-local means.
"""

import numpy as np
from numpy.typing import NDArray

from dtimuscle.dwi import Floats
from dtimuscle.imaging.kernels import helper, kernel

# A voxel itself has the weight 1, to which a weight of exp(−FAR) adds nothing in single precision.
FAR = np.float32(25)

ZERO, ONE, TINY = np.float32(0), np.float32(1), np.float32(1e-30)


@helper
def _add_differences(
    one: Floats, other: Floats, of_one: Floats, of_other: Floats, apart: Floats, known: Floats
) -> None:
    """Add the squared differences between two runs of voxels in one volume, as far as both samples count."""
    for x in range(len(apart)):
        both = of_one[x] * of_other[x]
        apart[x] += both * (one[x] - other[x]) * (one[x] - other[x])
        known[x] += both


@helper
def _weigh(apart: Floats, known: Floats, here: Floats, there: Floats, weight: Floats) -> bool:
    """Turn squared differences, summed over the volumes, into weights; tell whether one of them counts."""
    is_any = False
    for x in range(len(apart)):
        distance = apart[x] * here[x] * there[x] / max(known[x], ONE)
        weight[x] = ZERO
        if here[x] > ZERO and there[x] > ZERO and known[x] > ZERO and distance < FAR:
            weight[x] = np.exp(-distance)
            is_any = True
    return is_any


@helper
def _add_weighted(weight: Floats, other: Floats, of_other: Floats, total: Floats) -> None:
    """Add a run of voxels to their neighbours' sums."""
    for x in range(len(weight)):
        total[x] += weight[x] * of_other[x] * other[x]


@helper
def _add_weights(weight: Floats, of_other: Floats, norm: Floats) -> None:
    for x in range(len(weight)):
        norm[x] += weight[x] * of_other[x]


@kernel("float32[:, :, ::1](float32[:, :, :, ::1], float32[:, :, :, ::1], float32[:, :, ::1], int64[:, ::1], int64)")
def average_plane(signal: Floats, counts: Floats, nearness: Floats, offsets: NDArray[np.intp], plane: int) -> Floats:
    """Average the voxels of one plane with their neighbours.

    Parameters
    ----------
    signal : ndarray of float32, shape (n, nz, ny, nx)
        Signals; zero where they do not count.
    counts : ndarray of float32, shape (n, nz, ny, nx) or (1, nz, ny, nx)
        How much each sample, or each voxel, counts.
    nearness : ndarray of float32, shape (nz, ny, nx)
        One over the difference that matters; zero where nothing is to be averaged.
    offsets : ndarray of int, shape (k, 3)
        Steps to the neighbours along the three axes, the voxel itself not among them.
    plane : int
        Which plane along the first axis of the volumes.

    Returns
    -------
    ndarray of float32, shape (n, ny, nx)
        Weighted means; samples that do not count as they were.
    """
    n, nz, ny, nx = signal.shape
    n_counts = len(counts)
    averaged = signal[:, plane].copy()
    for y in range(ny):
        inside = np.flatnonzero(nearness[plane, y])
        if len(inside) == 0:
            continue
        total, norm = signal[:, plane, y] * counts[:, plane, y], counts[:, plane, y].copy()
        for offset_z, offset_y, offset in offsets:
            z_there, y_there = plane + offset_z, y + offset_y
            first, end = max(inside[0], -offset), min(inside[-1] + 1, nx - offset)
            if not (0 <= z_there < nz and 0 <= y_there < ny and first < end):
                continue
            here, there = slice(first, end), slice(first + offset, end + offset)
            apart, known = np.zeros(end - first, np.float32), np.zeros(end - first, np.float32)
            weight = np.empty(end - first, np.float32)
            for k in range(n):
                of_one = counts[k % n_counts, plane, y, here]
                of_other = counts[k % n_counts, z_there, y_there, there]
                one, other = signal[k, plane, y, here], signal[k, z_there, y_there, there]
                _add_differences(one, other, of_one, of_other, apart, known)
            if not _weigh(apart, known, nearness[plane, y, here], nearness[z_there, y_there, there], weight):
                continue
            for k in range(n):
                of_other = counts[k % n_counts, z_there, y_there, there]
                _add_weighted(weight, signal[k, z_there, y_there, there], of_other, total[k, here])
            for k in range(n_counts):
                _add_weights(weight, counts[k, z_there, y_there, there], norm[k, here])
        for k in range(n):
            counts_here = counts[k % n_counts, plane, y] > ZERO
            averaged[k, y] = np.where(counts_here, total[k] / np.maximum(norm[k % n_counts], TINY), averaged[k, y])
    return averaged
