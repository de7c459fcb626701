"""Inner loops of motion correction, compiled: filters, interpolation, and what is compared over cells.

Images are in single precision, places and sums in double. Sums are taken in an order that depends on the processor
alone, never on the number of threads.

References
----------
Unser, IEEE Signal Processing Magazine 16(6) (1999) 22–38: cubic splines and their B-spline coefficients.
"""

import numpy as np
from numpy.typing import NDArray

from dtimuscle.dwi import Bools, Floats
from dtimuscle.imaging.kernels import helper, kernel

# A cubic spline reaches from one voxel before to two voxels after a place.
BEFORE, AFTER = 1, 2

# A voxel counts as scanned up to so far beyond the centres of the outermost ones.
SEEN_VOXELS = 0.5

# So many points at a time stay in the processor's cache while all products of their changes are summed.
PIECE = 512

ONE, THREE, FOUR, SIXTH = np.float32(1), np.float32(3), np.float32(4), np.float32(1 / 6)


@kernel("float32[:, :, ::1](float32[:, :, ::1], float32[:, ::1], int64[::1], int64[::1])")
def along(image: Floats, filters: Floats, first: NDArray[np.intp], end: NDArray[np.intp]) -> Floats:
    """Apply a linear filter along the middle of three axes.

    Parameters
    ----------
    image : ndarray of float32, shape (a, n, b)
        Values.
    filters : ndarray of float32, shape (m, n)
        What each new value takes of each old one.
    first, end : ndarray of int, shape (m,)
        All of each row of `filters` that is not zero lies from `first` to before `end`.

    Returns
    -------
    ndarray of float32, shape (a, m, b)
        Filtered.
    """
    filtered = np.zeros((image.shape[0], len(filters), image.shape[2]), dtype=np.float32)
    for i in range(image.shape[0]):
        for j in range(len(filters)):
            for old in range(first[j], end[j]):
                share = filters[j, old]
                for k in range(image.shape[2]):
                    filtered[i, j, k] += share * image[i, old, k]
    return filtered


@helper
def _b_spline(t: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Cubic B-spline at the four voxels around a place that lies a share t beyond the second (Unser 1999, eq. 8)."""
    u = ONE - t
    return (
        u * u * u * SIXTH,
        (FOUR - THREE * t * t * (ONE + u)) * SIXTH,
        (FOUR - THREE * u * u * (ONE + t)) * SIXTH,
        t * t * t * SIXTH,
    )


@helper
def _cubic(flat: Floats, plane: int, row: int, x: float, y: float, z: float) -> np.float32:
    """Evaluate a cubic spline, given by its bordered coefficients, at a place counted in voxels."""
    # Unsigned indices spare a look whether each counts from the end.
    one = np.uint64(1)
    i, j, k = int(x), int(y), int(z)
    along_x, along_y = _b_spline(np.float32(x - i)), _b_spline(np.float32(y - j))
    along_z = _b_spline(np.float32(z - k))
    a = b = c = d = np.float32(0)
    for p in range(4):
        e = f = g = h = np.float32(0)
        for q in range(4):
            at, weight = np.uint64((i + p) * plane + (j + q) * row + k), along_y[q]
            e += weight * flat[at]
            f += weight * flat[at + one]
            g += weight * flat[at + one + one]
            h += weight * flat[at + one + one + one]
        weight = along_x[p]
        a += weight * e
        b += weight * f
        c += weight * g
        d += weight * h
    return along_z[0] * a + along_z[1] * b + along_z[2] * c + along_z[3] * d


@helper
def _along_axis(to_index: Floats, axis: int, points: Floats, i: int) -> float:
    """Where a point lies along one axis after a transform, counted in voxels."""
    place = to_index[axis, 0] * points[i, 0] + to_index[axis, 1] * points[i, 1] + to_index[axis, 2] * points[i, 2]
    return place + to_index[axis, 3]


@kernel(
    "Tuple((float32[::1], boolean[::1]))(float32[:, :, ::1], float64[:, ::1], float64[:, ::1], boolean[::1], int64)"
)
def sample(wide: Floats, to_index: Floats, points: Floats, is_lost: Bools, axis: int) -> tuple[Floats, Bools]:
    """Evaluate a cubic spline at points after a transform, and tell which of them were scanned.

    Parameters
    ----------
    wide : ndarray of float32
        The spline's coefficients, mirrored beyond the image's borders by `BEFORE` and `AFTER` voxels.
    to_index : ndarray of float64, shape (3, 4)
        From points to voxel indices. Beyond the image the nearest voxel counts.
    points : ndarray of float64, shape (m, 3)
        Where to look.
    is_lost : ndarray of bool, shape (n_slices,) or (0,)
        Slices that do not count as scanned, if any.
    axis : int
        Axis across the slices.

    Returns
    -------
    values : ndarray of float32, shape (m,)
        Interpolated.
    is_scanned : ndarray of bool, shape (m,)
        Within the image and in no lost slice.
    """
    flat, row, plane = wide.reshape(-1), wide.shape[2], wide.shape[1] * wide.shape[2]
    border = BEFORE + AFTER + 1.0
    last_x, last_y, last_z = wide.shape[0] - border, wide.shape[1] - border, wide.shape[2] - border
    values, is_scanned = np.empty(len(points), dtype=np.float32), np.empty(len(points), dtype=np.bool_)
    for i in range(len(points)):
        x, y = _along_axis(to_index, 0, points, i), _along_axis(to_index, 1, points, i)
        z = _along_axis(to_index, 2, points, i)
        is_scanned[i] = (
            -SEEN_VOXELS < x < last_x + SEEN_VOXELS
            and -SEEN_VOXELS < y < last_y + SEEN_VOXELS
            and -SEEN_VOXELS < z < last_z + SEEN_VOXELS
        )
        x, y, z = min(max(x, 0.0), last_x), min(max(y, 0.0), last_y), min(max(z, 0.0), last_z)
        values[i] = _cubic(flat, plane, row, x, y, z)
    if len(is_lost):
        for i in range(len(points)):
            place = min(max(_along_axis(to_index, axis, points, i), 0.0), len(is_lost) - 1.0)
            is_scanned[i] &= not is_lost[int(place + 0.5)]
    return values, is_scanned


@helper
def _points_of(cell: int, bounds: NDArray[np.intp]) -> tuple[np.uint64, np.uint64]:
    """First point of a cell, and the end; unsigned, which spares a look whether an index counts from the end."""
    return np.uint64(bounds[cell]), np.uint64(bounds[cell + 1])


@kernel("float32[:, ::1](float64[:, ::1], float32[:, ::1], int64, float32[::1], float64[::1], int64[::1])")
def changes(
    points: Floats, slope: Floats, phase_axis: int, values: Floats, power: Floats, bounds: NDArray[np.intp]
) -> Floats:
    """Tell how an image changes at points with the nine numbers of a pose, beyond what each cell adapts to.

    A turn by a small vector w moves x by w × x, so the image changes by w · (x × slope); a shift t changes it by
    t · slope, a stretch s along the phase-encoding axis by s · x times the slope along that axis.

    Parameters
    ----------
    points, slope : ndarray of float64, shape (m, 3), and float32, shape (3, m)
        Places (mm) and the image's derivatives there (per mm).
    phase_axis : int
        Axis along which eddy currents stretch.
    values, power : ndarray of float32, shape (m,), and float64, shape (n_cells,)
        The image with the mean of each cell taken out, and its squares summed over each cell.
    bounds : ndarray of int, shape (n_cells + 1,)
        Where each cell begins, and the end.

    Returns
    -------
    ndarray of float32, shape (9, m)
        Changes; in each cell without their mean and without what follows the values.
    """
    change, along_phase = np.empty((9, len(points)), dtype=np.float32), slope[phase_axis]
    for i in range(len(points)):
        x, y, z = np.float32(points[i, 0]), np.float32(points[i, 1]), np.float32(points[i, 2])
        a, b, c, stretch = slope[0, i], slope[1, i], slope[2, i], along_phase[i]
        change[0, i], change[1, i], change[2, i] = y * c - z * b, z * a - x * c, x * b - y * a
        change[3, i], change[4, i], change[5, i] = a, b, c
        change[6, i], change[7, i], change[8, i] = stretch * x, stretch * y, stretch * z
    for k in range(len(change)):
        row = change[k]
        for cell in range(len(power)):
            first, end = _points_of(cell, bounds)
            total = follows = np.float32(0)
            for i in range(first, end):
                total += row[i]
                follows += row[i] * values[i]
            mean, share = total / np.float32(end - first), np.float32(follows / power[cell])
            for i in range(first, end):
                row[i] -= mean + share * values[i]
    return change


@kernel(
    "Tuple((boolean[::1], float64[::1], float64[::1]))"
    "(float32[::1], boolean[::1], boolean[::1], float32[::1], int64[::1])"
)
def compare(
    sampled: Floats, is_scanned: Bools, is_known: Bools, values: Floats, bounds: NDArray[np.intp]
) -> tuple[Bools, Floats, Floats]:
    """Sum over cells how far an image follows its target.

    Parameters
    ----------
    sampled, is_scanned : ndarray of float32 and bool, shape (m,)
        The image at the points, from `sample`.
    is_known : ndarray of bool, shape (n_cells,)
        Cells in which there is a target.
    values : ndarray of float32, shape (m,)
        The target without its mean in each cell.
    bounds : ndarray of int, shape (n_cells + 1,)
        Where each cell begins, and the end.

    Returns
    -------
    is_seen : ndarray of bool, shape (n_cells,)
        Cells with a target, all of whose points were scanned. Nothing is summed over the others.
    there : ndarray of float64, shape (n_cells,)
        Squares of the image without its mean in the cell.
    follows : ndarray of float64, shape (n_cells,)
        Its products with the target.
    """
    is_seen, there, follows = is_known.copy(), np.zeros(len(is_known)), np.zeros(len(is_known))
    for cell in range(len(is_known)):
        first, end = _points_of(cell, bounds)
        n_scanned, mean = 0, np.float32(0)
        for i in range(first, end):
            n_scanned += is_scanned[i]
            mean += sampled[i]
        is_seen[cell] &= n_scanned == end - first
        if not is_seen[cell]:
            continue
        mean /= np.float32(end - first)
        square = with_target = np.float32(0)
        for i in range(first, end):
            left = sampled[i] - mean
            square += left * left
            with_target += left * values[i]
        there[cell], follows[cell] = square, with_target
    return is_seen, there, follows


@kernel(
    "Tuple((float64[:, ::1], float64[::1], float64[::1]))"
    "(float32[::1], float32[:, ::1], float32[::1], float32[::1], int64[::1])"
)
def normal_equations(
    sampled: Floats, change: Floats, gain: Floats, weight: Floats, bounds: NDArray[np.intp]
) -> tuple[Floats, Floats, Floats]:
    """Sum over all cells what a Gauss–Newton step needs.

    Parameters
    ----------
    sampled : ndarray of float32, shape (m,)
        The image at the points.
    change : ndarray of float32, shape (9, m)
        Of the target, from `changes`.
    gain, weight : ndarray of float32, shape (n_cells,)
        By how much each cell multiplies the target, and how much the cell counts.
    bounds : ndarray of int, shape (n_cells + 1,)
        Where each cell begins, and the end.

    Returns
    -------
    information : ndarray of float64, shape (9, 9)
        Weighted products of any two changes.
    pull : ndarray of float64, shape (9,)
        Weighted products of the changes with the image.
    squares : ndarray of float64, shape (9,)
        What each cell adds to `pull`, squared.
    """
    information, pull, squares = np.zeros((9, 9)), np.zeros(9), np.zeros(9)
    for k in range(len(change)):
        row = change[k]
        for cell in range(len(gain)):
            first, end = _points_of(cell, bounds)
            # The changes of a cell sum to zero, so that the image's mean need not be taken out.
            total = np.float32(0)
            for i in range(first, end):
                total += sampled[i] * row[i]
            total *= weight[cell] * gain[cell]
            pull[k] += total
            squares[k] += total * total
    of_point, weighted = np.empty(len(sampled), dtype=np.float32), np.empty(PIECE, dtype=np.float32)
    for cell in range(len(gain)):
        first, end = _points_of(cell, bounds)
        of_point[first:end] = weight[cell] * gain[cell] * gain[cell]
    for first in range(0, len(sampled), PIECE):
        weights = of_point[first : first + PIECE]
        for k in range(len(change)):
            row = change[k, first : first + PIECE]
            for i in range(len(row)):
                weighted[i] = weights[i] * row[i]
            for other in range(k + 1):
                row, total = change[other, first : first + PIECE], np.float32(0)
                for i in range(len(row)):
                    total += weighted[i] * row[i]
                information[k, other] += total
                information[other, k] = information[k, other]
    return information, pull, squares
