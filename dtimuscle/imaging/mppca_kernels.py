"""Inner loops of MP-PCA, compiled: patches decomposed, what is noise dropped, the rest put back.

A patch of m voxels in n volumes is decomposed by its n × n Gram matrix, whose eigenvalues are the squared singular
values of the patch. A general routine takes 70 µs for a matrix of this size, most of it on its way to the arithmetic.

References
----------
.. [1] Veraart et al., NeuroImage 142 (2016) 394–406.
.. [2] Cordero-Grande et al., NeuroImage 200 (2019) 391–404.
.. [3] Golub and Van Loan, Matrix Computations, 4th edition (2013), section 8.3.
"""

import numpy as np
from numpy.typing import NDArray

from dtimuscle.dwi import Bools, Floats
from dtimuscle.imaging.kernels import helper, kernel

# Sweeps of QL in which an eigenvalue must have settled; it takes one or two.
MOST_SWEEPS = 60

# A patch counts for the noise level with this power of the part of it that lies in the mask: the magnitude of air
# varies less than that of tissue (its SD is 0.66 of the noise), and patches that reach into it understate the noise.
INSIDE_POWER = 4

# Single constants leave arrays of double precision as they are.
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)


@helper
def _dot(a: Floats, b: Floats) -> float:
    total = a[0] * b[0]
    for i in range(1, len(a)):
        total += a[i] * b[i]
    return total


@helper
def _tridiagonalise(gram: Floats, diagonal: Floats, beside: Floats, factors: Floats) -> None:
    """Bring a symmetric matrix to tridiagonal form by Householder's reflections [3, algorithm 8.3.1].

    Each reflection is left in its row of the matrix, and its factor 2 / |v|² in `factors`.
    """
    n = len(gram)
    memory = np.empty_like(factors)
    for k in range(n - 2):
        vector, rest, image = gram[k, k + 1 :], gram[k + 1 :, k + 1 :], memory[k + 1 :]
        length = np.sqrt(_dot(vector, vector))
        beside[k] = -length if vector[0] > ZERO else length
        vector[0] -= beside[k]
        square = _dot(vector, vector)
        factors[k] = TWO / square if square > ZERO else ZERO
        for i in range(len(vector)):
            image[i] = factors[k] * _dot(rest[i], vector)
        overlap = factors[k] / TWO * _dot(image, vector)
        for i in range(len(vector)):
            image[i] -= overlap * vector[i]
        for i in range(len(vector)):
            row, a, b = rest[i], vector[i], image[i]
            for j in range(len(vector)):
                row[j] -= a * image[j] + b * vector[j]
    for k in range(n):
        diagonal[k] = gram[k, k]
    if n > 1:
        beside[n - 2] = gram[n - 2, n - 1]


@helper
def _diagonalise(diagonal: Floats, beside: Floats, vectors: Floats) -> None:
    """Find the eigenvalues of a tridiagonal matrix by implicit QL [3, section 8.3.3]; its eigenvectors become rows.

    The eigenvalues take the place of the diagonal, in no order. They span five orders of magnitude, so the recurrence
    is in double precision; the vectors are turned in their own.
    """
    n = len(diagonal)
    epsilon = np.finfo(vectors.dtype).eps
    rotation = np.empty(2, vectors.dtype)
    for first in range(n):
        for _ in range(MOST_SWEEPS):
            # The block that is still coupled ends where an element beside the diagonal is rounding.
            last = first
            while last < n - 1 and abs(beside[last]) > epsilon * (abs(diagonal[last]) + abs(diagonal[last + 1])):
                last += 1
            if last == first:
                break
            # Wilkinson's shift: the eigenvalue of the leading 2 × 2 block that is nearer to its corner.
            half = (diagonal[first + 1] - diagonal[first]) / (2 * beside[first])
            root = np.sqrt(half * half + 1)
            g = diagonal[last] - diagonal[first] + beside[first] / (half + (root if half > 0 else -root))
            # Givens rotations chase the bulge from the end of the block to its beginning.
            sine, cosine, shift = 1.0, 1.0, 0.0
            for i in range(last - 1, first - 1, -1):
                f, h = sine * beside[i], cosine * beside[i]
                length = np.sqrt(f * f + g * g)
                beside[i + 1] = length
                if length == 0:
                    diagonal[i + 1] -= shift
                    beside[last] = 0
                    break
                sine, cosine = f / length, g / length
                g = diagonal[i + 1] - shift
                turned = (diagonal[i] - g) * sine + 2 * cosine * h
                shift = sine * turned
                diagonal[i + 1] = g + shift
                g = cosine * turned - h
                upper, lower = vectors[i], vectors[i + 1]
                rotation[0], rotation[1] = sine, cosine
                u, v = rotation
                for k in range(n):
                    a, b = upper[k], lower[k]
                    lower[k] = u * a + v * b
                    upper[k] = v * a - u * b
            else:
                diagonal[first] -= shift
                beside[first] = g
                beside[last] = 0


@helper
def _ascending(values: Floats, order: NDArray[np.intp]) -> None:
    """Sort few values by insertion: `order` says which is the k-th smallest."""
    for k in range(len(values)):
        place = k
        while place > 0 and values[order[place - 1]] > values[k]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = k


@helper
def _noise_level(values: Floats, order: NDArray[np.intp], n_voxels: int, total: float) -> tuple[float, int]:
    """Noise variance and number of signal components from the eigenvalues of a Gram matrix over its trace.

    With q = max(m, n), r = min(m, n) and λ = eigenvalue / q, the k smallest are noise as long as their range stays
    below 4 σ² √γ [1], where σ² is their mean and γ = k / (q − (r − k)) [2]. The first n − r eigenvalues are zero by
    construction. Without voxels there is no noise to tell, and nothing is kept.
    """
    n = len(values)
    q, r = max(n_voxels, n), min(n_voxels, n)
    variance, n_noise, summed, least = 0.0, r, 0.0, 0.0
    for k in range(1, r + 1):
        value = max(float(values[order[n - r + k - 1]]), 0.0) * total / q
        least = value if k == 1 else least
        summed += value
        gamma = k / max(q - (r - k), 1)
        if value - least <= 4 * np.sqrt(gamma) * summed / k:
            variance, n_noise = summed / k, k
    return variance, r - n_noise


@helper
def _decompose(gram: Floats, n_voxels: int, basis: Floats) -> tuple[float, int]:
    """Noise variance and number of signal components of a patch; these become the first rows of `basis`."""
    n = len(gram)
    diagonal, beside, factors = np.empty(n), np.zeros(n), np.empty(n, gram.dtype)
    vectors, order = np.zeros((n, n), gram.dtype), np.zeros(n, np.int64)
    # Over its trace, so that no square overflows whatever the unit of the signal.
    total = np.trace(gram)
    gram *= ONE / total if total > ZERO else ZERO
    _tridiagonalise(gram, diagonal, beside, factors)
    for k in range(n):
        vectors[k, k] = ONE
    _diagonalise(diagonal, beside, vectors)
    _ascending(diagonal, order)
    variance, kept = _noise_level(diagonal, order, n_voxels, total)
    for c in range(kept):
        vector = basis[c]
        vector[:] = vectors[order[n - 1 - c]]
        # Back through the reflections to the patch's own volumes.
        for k in range(n - 3, -1, -1):
            reflection, rest = gram[k, k + 1 :], vector[k + 1 :]
            share = factors[k] * _dot(reflection, rest)
            for i in range(len(rest)):
                rest[i] -= share * reflection[i]
    return variance, kept


@helper
def _add_projected(row: Floats, basis: Floats, kept: int, weight: float, total: Floats) -> None:
    """Add to a sum what the signal components hold of one voxel."""
    for c in range(kept):
        component = basis[c]
        share = weight * _dot(row, component)
        for i in range(len(row)):
            total[i] += share * component[i]


@kernel(
    "Tuple((float32[:, ::1], float32[:, ::1]))"
    "(float32[:, ::1], boolean[::1], boolean[::1], int64[::1], int64[::1], int64, int64)"
)
def denoise_patches(
    voxels: Floats,
    has_signal: Bools,
    is_inside: Bools,
    corners: NDArray[np.intp],
    offsets: NDArray[np.intp],
    first: int,
    end: int,
) -> tuple[Floats, Floats]:
    """Denoise patches, and sum them up over a run of voxels.

    The mean over the patch is left out first: it is signal, and without it one component fewer has to be found.

    Parameters
    ----------
    voxels : ndarray of float32, shape (v, n)
        Signals of a whole grid; zero where there is none.
    has_signal, is_inside : ndarray of bool, shape (v,)
        Voxels that are part of patches, and those of them within the mask.
    corners, offsets : ndarray of int, shape (p,) and (m,)
        First voxel of each patch, and its voxels from there on.
    first, end : int
        The run of voxels that all these patches lie in.

    Returns
    -------
    total : ndarray of float32, shape (end − first, n)
        Sum over the patches of their denoised voxels, weighted by 1 / (1 + components kept).
    summary : ndarray of float32, shape (end − first, 4)
        Sums of the weights, of weighted components kept, of the weights for the noise, of weighted variances.
    """
    n, m = voxels.shape[1], len(offsets)
    total, summary = np.zeros((end - first, n), np.float32), np.zeros((end - first, 4), np.float32)
    centred, basis = np.empty((m, n), np.float32), np.empty((n, n), np.float32)
    mean = np.empty(n, np.float32)
    for corner in corners:
        n_there = n_inside = 0
        mean[:] = 0
        for offset in offsets:
            n_there += has_signal[corner + offset]
            n_inside += is_inside[corner + offset]
            row = voxels[corner + offset]
            for i in range(n):
                mean[i] += row[i]
        for i in range(n):
            mean[i] /= np.float32(n_there)
        for place in range(m):
            row, there = voxels[corner + offsets[place]], centred[place]
            counts = np.float32(has_signal[corner + offsets[place]])
            for i in range(n):
                there[i] = counts * (row[i] - mean[i])
        gram = np.dot(centred.T, centred)
        variance, kept = _decompose(gram, n_there - 1, basis)
        weight = ONE / np.float32(1 + kept)
        noise_weight = weight * np.float32((n_inside / m) ** INSIDE_POWER)
        for place in range(m):
            voxel = corner + offsets[place] - first
            row = total[voxel]
            for i in range(n):
                row[i] += weight * mean[i]
            _add_projected(centred[place], basis, kept, weight, row)
            summary[voxel, 0] += weight
            summary[voxel, 1] += weight * np.float32(kept)
            summary[voxel, 2] += noise_weight
            summary[voxel, 3] += noise_weight * np.float32(variance)
    return total, summary


@kernel("Tuple((float32[:, ::1], float32[:, ::1]))(float32[:, ::1], int64[::1], int64[::1], int64[::1])")
def denoise_centres(
    voxels: Floats, centres: NDArray[np.intp], corners: NDArray[np.intp], offsets: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Denoise voxels, each by the patch around it alone, as [1] has it, with the noise level of [2].

    Parameters
    ----------
    voxels : ndarray of float32, shape (v, n)
        Signals of a whole grid.
    centres, corners : ndarray of int, shape (p,)
        Voxels to denoise, and the first voxel of the patch of each.
    offsets : ndarray of int, shape (m,)
        The other voxels of a patch from there on.

    Returns
    -------
    denoised : ndarray of float32, shape (p, n)
        Denoised signals.
    summary : ndarray of float32, shape (p, 2)
        Noise variance and number of components kept.
    """
    n, m = voxels.shape[1], len(offsets)
    denoised, summary = np.empty((len(centres), n), np.float32), np.empty((len(centres), 2), np.float32)
    patch, basis = np.empty((m, n)), np.empty((n, n))
    row, projected = np.empty(n), np.empty(n)
    for p in range(len(centres)):
        for place in range(m):
            patch[place] = voxels[corners[p] + offsets[place]]
        variance, kept = _decompose(np.dot(patch.T, patch), m, basis)
        row[:] = voxels[centres[p]]
        projected[:] = 0
        _add_projected(row, basis, kept, 1.0, projected)
        denoised[p] = projected
        summary[p, 0], summary[p, 1] = variance, kept
    return denoised, summary
