"""Gibbs ringing taken out of a diffusion series by sub-voxel shifts, and whether a series can ring as they need it."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from dtimuscle.dwi import DwiSeries, Floats
from dtimuscle.issues import Issue, Severity
from dtimuscle.threads import share_out

Engine = Literal["kit", "dipy"]

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
    slices = np.moveaxis(series.signal, normal, 2)
    typical = np.nan_to_num(slices.mean(axis=3, dtype=np.float32), posinf=0.0, neginf=0.0)
    weight = ndimage.gaussian_filter(typical, (WEIGHT_SMOOTHING, WEIGHT_SMOOTHING, 0))
    weighted = slices.astype(np.float32)
    weighted *= weight[..., np.newaxis]
    weighted[~np.isfinite(weighted)] = 0
    n_sampled = share_out(partial(_n_sampled, weighted), (0, 1))
    matrix = (slices.shape[0], slices.shape[1])
    return Sampling(matrix=matrix, n_sampled=(n_sampled[0], n_sampled[1]))


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


def _n_sampled(weighted: Floats, axis: int) -> int:
    """Count the samples along an axis of slices of shape (nx, ny, nz, n) before the steepest fall of their power."""
    n = weighted.shape[axis]
    spectra = np.moveaxis(fft.rfft(weighted, axis=axis), axis, 0).reshape(n // 2 + 1, -1)
    power = np.mean(spectra.real**2 + spectra.imag**2, axis=1, dtype=np.float64)
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
    from dtimuscle.imaging.sub_voxel_shifts import unring_images  # numba takes a second, and only this engine needs it

    # A slice with all its volumes is one piece of work.
    slices = np.moveaxis(series.signal, (normal, 3), (0, 1))
    unrung = np.stack(share_out(unring_images, slices))
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


def _unring_with_dipy(signal: Floats, normal: int) -> Floats:
    from dipy.denoise.gibbs import gibbs_removal  # takes a second, and only this engine needs it

    return gibbs_removal(signal, slice_axis=normal, n_points=DIPY_WINDOW, inplace=False, num_processes=1)
