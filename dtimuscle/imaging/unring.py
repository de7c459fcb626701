"""Gibbs ringing taken out of a diffusion series by sub-voxel shifts."""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import fft

from dtimuscle.dwi import DwiSeries, Floats

Engine = Literal["kit", "dipy"]

# Shifts tried to either side, in fractions of a voxel: 1/40, 2/40, … 20/40 [Kellner 2016].
N_SHIFTS = 20

# Differences between neighbours that make up the total variation on one side of a voxel, and the distance in
# voxels at which they start [Kellner 2016: window from 1 to 3].
WINDOW = 3
WINDOW_START = 1

# Lines that are treated together: they and their intermediate results stay in the processor's cache.
LINES_AT_ONCE = 256

# Voxel sizes within 1 % of each other count as equal.
EQUAL_SIZES = 0.99


def unring(series: DwiSeries, *, engine: Engine = "kit") -> DwiSeries:
    """Remove Gibbs ringing within slices.

    Ringing is the sinc between the samples of a sharp edge, and it vanishes where the sampling grid hits the
    sinc's zeros. Each voxel therefore takes its value from the sub-voxel shift of its line that varies least
    beside it. Rows and columns are treated apart, on images whose ringing along the other direction a
    saddle-shaped filter in k-space has taken out, and summed [1]_.

    Parameters
    ----------
    series : DwiSeries
        Sampled as acquired; an image that was interpolated, zero-filled or moved has lost the property that
        is used.
    engine : {"kit", "dipy"}, default="kit"
        The kit's own kernel, or DIPY's `gibbs_removal` (a variant with weights, [2]_).

    Returns
    -------
    DwiSeries
        The same grid and gradients; never below zero with the kit's engine.

    References
    ----------
    .. [1] Kellner et al., Magnetic Resonance in Medicine 76 (2016) 1574–1581.
    .. [2] Neto Henriques, doctoral thesis, University of Cambridge (2018).
    """
    normal = slice_axis(series.voxel_sizes)
    if engine == "dipy":
        return series.with_signal(_unring_with_dipy(series.signal, normal))
    slices = np.moveaxis(series.signal, (normal, 3), (0, 1))
    unrung = np.empty(slices.shape, dtype=np.float32)
    for place, volumes in enumerate(slices):
        unrung[place] = _unring_images(volumes.astype(np.float32))
    return series.with_signal(np.ascontiguousarray(np.moveaxis(unrung, (0, 1), (normal, 3))))


def slice_axis(voxel_sizes: Floats) -> int:
    """Find the axis across the slices: the longest edge of a voxel, the last axis among equals.

    Parameters
    ----------
    voxel_sizes : ndarray of shape (3,)
        Edge lengths of a voxel in mm.

    Returns
    -------
    int
        0, 1 or 2; the other two axes lie in the slice.
    """
    return int(np.flatnonzero(voxel_sizes > EQUAL_SIZES * voxel_sizes.max())[-1])


def _unring_images(images: Floats) -> Floats:
    """Unring images of shape (k, nx, ny) along both directions."""
    nx, ny = images.shape[1:]
    spectra = fft.rfft2(images)
    along_x = spectra * _saddle(nx, ny)
    of_x = fft.irfft2(along_x, s=(nx, ny))
    of_y = fft.irfft2(spectra - along_x, s=(nx, ny))
    return np.maximum(_unring_axis(of_x, 1) + _unring_axis(of_y, 2), 0)


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


def _unring_axis(images: Floats, axis: int) -> Floats:
    """Unring images along one axis, some of their lines at a time."""
    upright = np.moveaxis(images, axis, 0)
    lines = upright.reshape(len(upright), -1)
    batches = [_unring_lines(lines[:, at : at + LINES_AT_ONCE]) for at in range(0, lines.shape[1], LINES_AT_ONCE)]
    return np.moveaxis(np.concatenate(batches, axis=1).reshape(upright.shape), 0, axis)


def _unring_lines(lines: Floats) -> Floats:
    """Give each sample of lines of shape (n, m) the value from the shift with the least total variation beside it."""
    n, m = lines.shape
    reach = WINDOW_START + WINDOW
    shifted = np.empty((n + 2 * reach, m), dtype=np.float32)
    steps = np.empty((n + 2 * reach - 1, m), dtype=np.float32)
    sizes = np.empty_like(steps)
    best, change, is_better = np.zeros_like(lines), np.empty_like(lines), np.empty_like(lines)
    least = np.full_like(lines, np.inf)
    for shift, matrix in zip(*_shift_matrices(n), strict=True):
        # Written into the same memory each time: this loop is bound by the cache, not by arithmetic.
        np.matmul(matrix, lines, out=shifted)
        np.subtract(shifted[1:], shifted[:-1], out=steps)
        np.abs(steps, out=sizes)
        variation = sizes[: n + 2 * reach - WINDOW] + sizes[1 : n + 2 * reach - WINDOW + 1]
        for later in range(2, WINDOW):
            variation += sizes[later:][: len(variation)]
        # The first row of `shifted` lies `reach` samples before the line: row i is the window before sample i.
        smaller = np.minimum(variation[:n], variation[reach + WINDOW_START :][:n])
        np.less(smaller, least, out=is_better)
        np.minimum(smaller, least, out=least)
        # Back to the sample's own place, on the straight line to the neighbour that the shift came from.
        np.multiply(steps[reach - 1 if shift > 0 else reach :][:n], -shift, out=change)
        change += shifted[reach:][:n]
        # Zeros and ones instead of a choice: processors guess wrong at every other voxel.
        change -= best
        change *= is_better
        best += change
    return best


@lru_cache(maxsize=4)
def _shift_matrices(n: int) -> tuple[Floats, Floats]:
    """Shifts in samples, and for each the matrix that shifts a periodic line of n samples.

    Returns
    -------
    shifts : ndarray of shape (41,)
        No shift first, so that a tie leaves the line alone.
    matrices : ndarray of shape (41, n + 8, n)
        Phase ramps in Fourier space, written as the matrix product they are: for lines of a few hundred
        samples that is faster than transforms, for any n. Four samples are repeated at either end.
    """
    shifts = np.array(sorted(range(-N_SHIFTS, N_SHIFTS + 1), key=abs)) / (2 * N_SHIFTS)
    ramps = np.exp(2j * np.pi * np.fft.rfftfreq(n) * shifts[:, None])
    kernels = fft.irfft(ramps, n=n)
    reach = WINDOW_START + WINDOW
    source = (np.arange(-reach, n + reach)[:, None] - np.arange(n)) % n
    return shifts.astype(np.float32), kernels[:, source].astype(np.float32)


def _unring_with_dipy(signal: Floats, normal: int) -> Floats:
    from dipy.denoise.gibbs import gibbs_removal  # takes a second, and only this engine needs it

    return gibbs_removal(signal, slice_axis=normal, n_points=WINDOW, inplace=False, num_processes=1)
