"""Gibbs ringing taken out of a diffusion series by sub-voxel shifts, and whether a series can ring as they need it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from dtimuscle.dwi import DwiSeries, Floats
from dtimuscle.issues import Issue, Severity

Engine = Literal["kit", "dipy"]

# Shifts tried to either side, in fractions of a voxel: 1/10, 2/10, … 5/10. Twenty, as in [Kellner 2016], change the
# error by less than 1 %, since shifts are averaged here and not chosen.
N_SHIFTS = 5

# How much the difference between the first and the second neighbour (and the second and the third) counts for the
# total variation on one side of a voxel, and how much the one between the voxel and its first neighbour, which an
# edge beside the voxel must be free to raise [Kellner 2016 leaves it out].
FAR_WEIGHT, NEAR_WEIGHT = 1.0, 0.25

# Neighbours on either side that the variation is measured with.
REACH = 3

# No shift counts this many times, so that what does not ring is left more nearly alone.
REST_WEIGHT = 2.0

# Variation below this part of the brightest sample is rounding.
SMALLEST_VARIATION = 1e-6

# Variation whose square single precision still holds.
SMALLEST_SQUARED = 1e-15

# Lines that are treated together: they and their intermediate results stay in the processor's cache.
LINES_AT_ONCE = 256

# Differences between neighbours that make up the total variation of DIPY's engine, its default.
DIPY_WINDOW = 3

# Zero-filling is a fall of the power in k-space by this factor, between bands of this part of all frequencies on
# either side of a border, which is looked for beyond this part of them. On simulated thighs from SNR 15 up the
# factor is at least 4 where there is zero-filling and at most 2.2 where there is none.
ZERO_FILLED_FALL = 3.0
BAND = 0.05
INNERMOST_BORDER = 0.45

# The image is weighted by itself, smoothed by a Gaussian of this SD in voxels: the noise of air, which magnitudes
# spread over all frequencies, would hide the border.
WEIGHT_SMOOTHING = 3.0

# Below this many samples along an axis its power says too little.
FEWEST_SAMPLES = 32

# Voxel sizes within 1 % of each other count as equal.
EQUAL_SIZES = 0.99


@dataclass(frozen=True)
class Sampling:
    """How many samples of k-space stand behind the voxels within a slice.

    Parameters
    ----------
    matrix : tuple of int
        Voxels along the two axes within the slice.
    n_sampled : tuple of int
        Samples along them before the power falls off, to about 5 % (with filters it is no sharp number); as many
        as there are voxels where it does not.
    """

    matrix: tuple[int, int]
    n_sampled: tuple[int, int]

    @property
    def is_zero_filled(self) -> bool:
        """Whether the outer part of k-space is empty."""
        return self.n_sampled != self.matrix

    @property
    def issues(self) -> tuple[Issue, ...]:
        """A warning when it is."""
        if not self.is_zero_filled:
            return ()
        matrix, sampled = (" × ".join(map(str, sizes)) for sizes in (self.matrix, self.n_sampled))
        return (
            Issue(
                Severity.WARNING,
                "diffusion series",
                f"the power of k-space falls off a cliff at about {sampled} samples of {matrix} voxels: the series was "
                "zero-filled, filtered, or sampled by partial Fourier. Sub-voxel shifts no longer meet the zeros of "
                "the ringing and neighbouring voxels share their noise, so unringing and denoising do less and the "
                "noise level comes out too low.",
                "Export the series without interpolation and filters, or compare with both steps off.",
            ),
        )


def find_sampling(series: DwiSeries) -> Sampling:
    """Find out whether a series was zero-filled: whether the power of its k-space falls off a cliff.

    A magnitude image keeps the cliff, though not all of its depth. A steep filter leaves one too, partial Fourier
    sampling a lower one that is not always found; interpolation by other means leaves none.

    Parameters
    ----------
    series : DwiSeries
        As the scanner wrote it.

    Returns
    -------
    Sampling
        The numbers of samples, and a warning if they are fewer than the voxels.
    """
    normal = slice_axis(series.voxel_sizes)
    slices = np.moveaxis(series.signal, normal, 2).astype(np.float32)
    typical = np.nan_to_num(slices.mean(axis=3), posinf=0.0, neginf=0.0)
    weight = ndimage.gaussian_filter(typical, (WEIGHT_SMOOTHING, WEIGHT_SMOOTHING, 0))
    n_sampled = [_n_sampled(slices, weight, axis) for axis in (0, 1)]
    return Sampling(matrix=(slices.shape[0], slices.shape[1]), n_sampled=(n_sampled[0], n_sampled[1]))


def is_zero_filled(series: DwiSeries) -> bool:
    """Tell whether a series was interpolated by zeros in k-space; see `find_sampling`.

    Parameters
    ----------
    series : DwiSeries
        As the scanner wrote it.

    Returns
    -------
    bool
        True along either axis within the slice.
    """
    return find_sampling(series).is_zero_filled


def _n_sampled(slices: Floats, weight: Floats, axis: int) -> int:
    """Count the samples along an axis of slices of shape (nx, ny, nz, n) before the steepest fall of their power."""
    n = slices.shape[axis]
    power = np.zeros(n // 2 + 1)
    for volume in np.moveaxis(slices, 3, 0):
        spectrum = fft.rfft(np.nan_to_num(volume, posinf=0.0, neginf=0.0) * weight, axis=axis)
        power += np.mean(np.abs(np.moveaxis(spectrum, axis, 0)) ** 2, axis=(1, 2))
    if n < FEWEST_SAMPLES or not power.any():
        return n
    level = np.log10(power + 1e-12 * power.max())
    band = max(2, round(BAND * len(level)))
    borders = np.arange(int(INNERMOST_BORDER * len(level)), len(level) - 2)
    # The border itself belongs to neither side: the weight smears it over a neighbour.
    falls = [level[b - band : b].mean() - level[b + 1 : b + 1 + band].mean() for b in borders]
    steepest = int(np.argmax(falls))
    return n if falls[steepest] < np.log10(ZERO_FILLED_FALL) else int(2 * (borders[steepest] - 1))


def unring(series: DwiSeries, *, engine: Engine = "kit") -> DwiSeries:
    """Remove Gibbs ringing within slices.

    Ringing is the sinc between the samples of a sharp edge, and it vanishes where the sampling grid hits the
    sinc's zeros. Each voxel therefore takes its value from sub-voxel shifts of its line that vary little
    beside it. Rows and columns are treated apart, on images whose ringing along the other direction a
    saddle-shaped filter in k-space has taken out, and summed [1]_.

    Two things differ from [1]_, because each lowers the error of signal, FA and MD on phantoms
    (`benchmarks/cleaning.md`): all shifts are averaged with weights 1 / variation² instead of taking the
    best one, which changes from volume to volume by chance and so moves FA; and the way back to the voxel's own
    place is a monotone cubic [3]_ instead of a straight line, which blurs.

    Parameters
    ----------
    series : DwiSeries
        Sampled as acquired; an image that was interpolated, zero-filled (see `find_sampling`) or moved has lost
        the property that is used. Denoised beforehand: noise hides what varies least.
    engine : {"kit", "dipy"}, default="kit"
        The kit's own kernel, or DIPY's `gibbs_removal` (a variant with weights, [2]_).

    Returns
    -------
    DwiSeries
        The same grid and gradients; never below zero with the kit's engine, which leaves a value that is not
        finite in its voxel and takes it for zero elsewhere.

    References
    ----------
    .. [1] Kellner et al., Magnetic Resonance in Medicine 76 (2016) 1574–1581.
    .. [2] Neto Henriques, doctoral thesis, University of Cambridge (2018).
    .. [3] Fritsch and Butland, SIAM Journal on Scientific and Statistical Computing 5 (1984) 300–304.
    """
    normal = slice_axis(series.voxel_sizes)
    if engine == "dipy":
        return series.with_signal(_unring_with_dipy(series.signal, normal))
    slices = np.moveaxis(series.signal, (normal, 3), (0, 1))
    unrung = np.empty(slices.shape, dtype=np.float32)
    for place, volumes in enumerate(slices):
        is_finite = np.isfinite(volumes)
        unrung[place] = np.where(is_finite, _unring_images(np.where(is_finite, volumes, 0).astype(np.float32)), volumes)
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
    """Average over the shifts of lines of shape (n, m), each as heavy as its variation beside a sample is small."""
    n, m = lines.shape
    smallest = max(SMALLEST_VARIATION * float(np.abs(lines).max()), SMALLEST_SQUARED)
    shifted = np.empty((n + 2 * REACH, m), dtype=np.float32)
    steps = np.empty((n + 2 * REACH - 1, m), dtype=np.float32)
    sizes, pairs, slopes = np.empty_like(steps), np.empty_like(steps[1:]), np.empty_like(steps[1:])
    weight, other = np.empty_like(lines), np.empty_like(lines)
    total, weights = np.zeros_like(lines), np.zeros_like(lines)
    for shift, matrix in zip(*_shift_matrices(n), strict=True):
        # Written into the same memory each time: this loop is bound by the cache, not by arithmetic.
        np.matmul(matrix, lines, out=shifted)
        np.subtract(shifted[1:], shifted[:-1], out=steps)
        np.abs(steps, out=sizes)
        np.add(sizes[1:], sizes[:-1], out=pairs)
        _weigh(sizes, pairs, smallest, out=weight, scratch=other)
        if shift == 0:
            weight *= REST_WEIGHT
            total += weight * shifted[REACH:-REACH]
        else:
            _limited_slopes(steps, sizes, pairs, smallest, out=slopes)
            total += weight * _value_back(shifted, steps, slopes, float(shift), out=other)
        weights += weight
    total /= weights
    return total


def _weigh(sizes: Floats, pairs: Floats, smallest: float, *, out: Floats, scratch: Floats) -> None:
    """Weight of each sample: 1 / V², with V the variation on the side where it is less.

    Parameters
    ----------
    sizes : ndarray of shape (n + 5, m)
        Sizes of the steps between neighbours.
    pairs : ndarray of shape (n + 4, m)
        Sums of two such steps that follow each other.
    smallest : float
        Added, so that a flat line has a weight too.
    out, scratch : ndarray of shape (n, m)
        The weights, and memory to work in.
    """
    n = len(out)
    np.multiply(sizes[REACH:][:n], NEAR_WEIGHT / FAR_WEIGHT, out=out)
    out += pairs[REACH + 1 :][:n]
    np.multiply(sizes[REACH - 1 :][:n], NEAR_WEIGHT / FAR_WEIGHT, out=scratch)
    scratch += pairs[:n]
    np.minimum(out, scratch, out=out)
    out += smallest
    np.multiply(out, out, out=out)
    np.reciprocal(out, out=out)


def _limited_slopes(steps: Floats, sizes: Floats, pairs: Floats, smallest: float, *, out: Floats) -> None:
    """Slope at each sample: harmonic mean of the steps to either side, zero where they differ in sign."""
    np.multiply(steps[1:], sizes[:-1], out=out)
    out += steps[:-1] * sizes[1:]
    pairs += smallest
    out /= pairs


def _value_back(shifted: Floats, steps: Floats, slopes: Floats, shift: float, *, out: Floats) -> Floats:
    """Value at the sample's own place: a cubic between its shifted place and the neighbour that the shift came from.

    Notes
    -----
    The Hermite cubic with limited slopes: a straight line would blur, a parabola overshoot beside edges.
    """
    n, t = len(out), abs(shift)
    here, step = REACH, REACH - 1 if shift > 0 else REACH
    towards = -1 if shift > 0 else 1
    np.multiply(steps[step:][:n], towards * t * t * (3 - 2 * t), out=out)
    out += shifted[here:][:n]
    # Slopes begin at the second sample of `shifted`.
    out += slopes[here - 1 :][:n] * np.float32(towards * t * (1 - t) ** 2)
    out += slopes[here - 1 + towards :][:n] * np.float32(-towards * t * t * (1 - t))
    return out


@lru_cache(maxsize=4)
def _shift_matrices(n: int) -> tuple[Floats, Floats]:
    """Shifts in samples, and for each the matrix that shifts a periodic line of n samples.

    Returns
    -------
    shifts : ndarray of shape (11,)
        In samples, from −1/2 to 1/2.
    matrices : ndarray of shape (11, n + 6, n)
        Phase ramps in Fourier space, written as the matrix product they are: for lines of a few hundred
        samples that is faster than transforms, for any n. Three samples are repeated at either end.
    """
    shifts = np.arange(-N_SHIFTS, N_SHIFTS + 1) / (2 * N_SHIFTS)
    ramps = np.exp(2j * np.pi * np.fft.rfftfreq(n) * shifts[:, None])
    kernels = fft.irfft(ramps, n=n)
    source = (np.arange(-REACH, n + REACH)[:, None] - np.arange(n)) % n
    return shifts, kernels[:, source].astype(np.float32)


def _unring_with_dipy(signal: Floats, normal: int) -> Floats:
    from dipy.denoise.gibbs import gibbs_removal  # takes a second, and only this engine needs it

    return gibbs_removal(signal, slice_axis=normal, n_points=DIPY_WINDOW, inplace=False, num_processes=1)
