"""Images unrung by sub-voxel shifts: the kit's own engine of `dtimuscle.imaging.unring`, which says what it does.

References
----------
.. [1] Kellner et al., Magnetic Resonance in Medicine 76 (2016) 1574–1581.
.. [2] Fritsch and Butland, SIAM Journal on Scientific and Statistical Computing 5 (1984) 300–304.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from dtimuscle.dwi import Floats
from dtimuscle.imaging.kernels import helper, kernel

# Shifts tried to either side, in fractions of a voxel: 1/10, 2/10, … 5/10. Twenty, as in [Kellner 2016], change the
# error by less than 1 %, since shifts are averaged here and not chosen.
N_SHIFTS = 5

# No shift counts this many times, so that what does not ring is left more nearly alone.
REST_WEIGHT = np.float32(2)

# Variation below this part of the brightest sample is rounding.
SMALLEST_VARIATION = 1e-6

# Variation whose square single precision still holds.
SMALLEST_SQUARED = 1e-15

# How much the difference between the first and the second neighbour (and the second and the third) counts for the
# total variation on one side of a voxel, and how much the one between the voxel and its first neighbour, which an
# edge beside the voxel must be free to raise [Kellner 2016 leaves it out].
FAR_WEIGHT, NEAR_WEIGHT = np.float32(1), np.float32(0.25)

ONE, TWO, THREE = np.float32(1), np.float32(2), np.float32(3)


def unring_images(images: Floats) -> Floats:
    """Unring images along both directions.

    Parameters
    ----------
    images : ndarray of shape (k, nx, ny)
        One slice in k volumes; values that are not finite stay and count as zero elsewhere.

    Returns
    -------
    ndarray of float32, shape (k, nx, ny)
        Unrung; not below zero.
    """
    is_finite = np.isfinite(images)
    known = np.where(is_finite, images, 0).astype(np.float32)
    nx, ny = images.shape[1:]
    spectra = fft.rfft2(known)
    along_x = spectra * _saddle(nx, ny)
    of_x = fft.irfft2(along_x, s=(nx, ny))
    of_y = np.ascontiguousarray(fft.irfft2(spectra - along_x, s=(nx, ny)).transpose(0, 2, 1))
    unrung = np.array([_unring_lines(x) + _unring_lines(y).T for x, y in zip(of_x, of_y, strict=True)])
    return np.where(is_finite, np.maximum(unrung, 0), images)


@lru_cache(maxsize=4)
def _saddle(nx: int, ny: int) -> Floats:
    """Share of each spatial frequency that is unrung along x, in the layout of `rfft2`.

    Notes
    -----
    (1 + cos ky) / (2 + cos kx + cos ky): one where kx is high, zero where ky is, so that ringing along y is
    left to the other direction. The corner where both are highest is shared evenly.
    """
    of_x = 1 + np.cos(2 * np.pi * np.fft.fftfreq(nx))[:, None]
    of_y = 1 + np.cos(2 * np.pi * np.fft.rfftfreq(ny))
    both = of_x + of_y
    return np.divide(of_y, both, out=np.full(both.shape, 0.5), where=both > 1e-9).astype(np.float32)


def _unring_lines(lines: Floats) -> Floats:
    """Average over the shifts of lines of shape (n, m), each as heavy as its variation beside a sample is small."""
    n = len(lines)
    smallest = np.float32(max(SMALLEST_VARIATION * float(np.abs(lines).max()), SMALLEST_SQUARED))
    shifts, ramps = _phase_ramps(n)
    shifted = fft.irfft(fft.rfft(lines, axis=0) * ramps, n=n, axis=1)
    total, weights = np.zeros_like(lines), np.zeros_like(lines)
    add_shift(lines, np.float32(0), REST_WEIGHT, smallest, total, weights)
    for shift, moved in zip(shifts, shifted, strict=True):
        add_shift(moved, shift, np.float32(1), smallest, total, weights)
    total /= weights
    return total


@lru_cache(maxsize=4)
def _phase_ramps(n: int) -> tuple[Floats, NDArray[np.complexfloating]]:
    """Shifts in samples, and for each the factors that shift a line of n samples in Fourier space.

    Returns
    -------
    shifts : ndarray of float32, shape (10,)
        From −1/2 to 1/2, without 0.
    ramps : ndarray of complex64, shape (10, n // 2 + 1, 1)
        In the layout of `rfft` along the first of two axes.
    """
    positive = np.arange(1, N_SHIFTS + 1) / (2 * N_SHIFTS)
    shifts = np.concatenate([-positive[::-1], positive])
    ramps = np.exp(2j * np.pi * np.fft.rfftfreq(n)[:, None] * shifts[:, None, None])
    return shifts.astype(np.float32), ramps.astype(np.complex64)


@helper
def _variation(a: np.float32, b: np.float32, c: np.float32, d: np.float32) -> np.float32:
    """Total variation on one side of a sample a, over its neighbours b, c and d [1]."""
    return NEAR_WEIGHT * abs(b - a) + FAR_WEIGHT * (abs(c - b) + abs(d - c))


@helper
def _limited_slope(before: np.float32, after: np.float32, smallest: np.float32) -> np.float32:
    """Slope at a sample from the steps to either side: their harmonic mean, zero where they differ in sign [2]."""
    return (before * abs(after) + after * abs(before)) / (abs(before) + abs(after) + smallest)


@kernel("void(float32[:, ::1], float32, float32, float32, float32[:, ::1], float32[:, ::1])")
def add_shift(
    shifted: Floats, shift: np.float32, factor: np.float32, smallest: np.float32, total: Floats, weights: Floats
) -> None:
    """Add lines that were shifted to a weighted sum, each sample brought back to its own place.

    The weight is 1 / V², with V the variation on the side of the sample where it is less. The way back is the Hermite
    cubic with limited slopes between the sample and the neighbour that the shift came from.

    Parameters
    ----------
    shifted : ndarray of float32, shape (n, m)
        Lines side by side, of n samples, periodic.
    shift : float
        How far they were shifted, in samples, −1 to 1.
    factor : float
        How many times this shift counts.
    smallest : float
        Added to the variation, so that a flat line has a weight too.
    total, weights : ndarray of float32, shape (n, m)
        The sum of weighted samples and that of the weights; added to.
    """
    t, towards = abs(shift), -1 if shift > 0 else 1
    # Hermite's basis for the step to the neighbour, the slope here and the slope there.
    of_step, of_here, of_there = t * t * (THREE - TWO * t), t * (ONE - t) * (ONE - t), t * t * (ONE - t)
    n = len(shifted)
    for i in range(n):
        # Whole rows: the compiler takes as many lines at once as the processor can.
        here = shifted[i]
        left_1, left_2, left_3 = shifted[(i - 1) % n], shifted[(i - 2) % n], shifted[(i - 3) % n]
        right_1, right_2, right_3 = shifted[(i + 1) % n], shifted[(i + 2) % n], shifted[(i + 3) % n]
        behind, near = shifted[(i - towards) % n], shifted[(i + towards) % n]
        beyond = shifted[(i + 2 * towards) % n]
        for j in range(shifted.shape[1]):
            to_left = _variation(here[j], left_1[j], left_2[j], left_3[j])
            to_right = _variation(here[j], right_1[j], right_2[j], right_3[j])
            variation = min(to_left, to_right) + smallest
            weight = factor / (variation * variation)
            step = near[j] - here[j]
            value = here[j] + of_step * step
            value += of_here * _limited_slope(here[j] - behind[j], step, smallest)
            value -= of_there * _limited_slope(step, beyond[j] - near[j], smallest)
            total[i, j] += weight * value
            weights[i, j] += weight
