"""Where in the image there is tissue."""

import numpy as np
from scipy import ndimage

from dtimuscle.dwi import Bools, DwiSeries, Floats
from dtimuscle.errors import ImageError
from dtimuscle.imaging.unring import slice_axis

# The signal is smoothed by a Gaussian of this SD, so that single noisy voxels do not decide.
SMOOTHING_MM = 2.5

# Tissue is at least so many times as bright as air.
TISSUE_OVER_AIR = 2.0

# Tissue reaches at least this part of the typical signal; where air has been set to zero, nothing else
# would keep the mask from following the tails of the smoothing.
DIMMEST_TISSUE = 0.1

# When the darker class reaches this part of the brighter one, both are tissue and the image shows no air
# (a crop). The mean of pure Rician noise reaches it at an SNR of about 3.
LARGEST_AIR_OVER_TISSUE = 0.4

# Parts smaller than this fraction of the largest one are dropped; two thighs are two large parts.
SMALLEST_PART = 0.1

# The logarithm is taken from this fraction of the brightest voxel on.
DARKEST = 1e-4


def foreground_mask(series: DwiSeries) -> Bools:
    """Find the voxels that hold tissue.

    The mean of the b = 0 and of the weighted volumes is smoothed and split in two classes (Otsu 1979). The
    split is made on the logarithm: on the signal itself it falls between bright and dim muscle instead of
    between tissue and air. Dim tissue then comes back from the darker class where it is twice as bright as
    that class's median, which is air. The large parts are kept and their holes (marrow) filled.

    Parameters
    ----------
    series : DwiSeries
        Raw or preprocessed series.

    Returns
    -------
    ndarray of bool, shape (nx, ny, nz)
        True in tissue; everywhere with signal when the image shows no air.

    Raises
    ------
    ImageError
        If no voxel has a signal above zero.
    """
    signal = np.nan_to_num((series.mean_b0() + series.mean_weighted()) / 2, posinf=0.0, neginf=0.0)
    if not np.any(signal > 0):
        raise ImageError("no voxel of the series has a signal above zero. Check that the image is the right one.")
    smooth = ndimage.gaussian_filter(signal.astype(float), SMOOTHING_MM / series.voxel_sizes)
    is_tissue = (smooth > _threshold(smooth)) & (signal > 0)
    return _fill_holes(_large_parts(is_tissue), series.voxel_sizes)


def _threshold(signal: Floats) -> float:
    split = np.exp(_otsu(np.log(np.maximum(signal, DARKEST * signal.max()))))
    darker, brighter = signal[signal <= split], signal[signal > split]
    if not darker.size or not brighter.size or np.median(darker) > LARGEST_AIR_OVER_TISSUE * np.median(brighter):
        return 0.0
    lowest = max(TISSUE_OVER_AIR * np.median(darker), DIMMEST_TISSUE * np.median(brighter))
    return float(min(split, lowest))


def _otsu(values: Floats) -> float:
    """Cut between two classes that has the largest variance between them (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sum_below, sum_total = np.cumsum(counts * centres)[:-1], np.sum(counts * centres)
    above = total - below
    # Of an even image one class is empty; its mean does not matter, since its weight is zero.
    mean_below, mean_above = sum_below / np.maximum(below, 1), (sum_total - sum_below) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    return float(edges[1:-1][np.argmax(between)])


def _large_parts(mask: Bools) -> Bools:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= SMALLEST_PART * sizes.max())[parts] & mask


def _fill_holes(mask: Bools, voxel_sizes: Floats) -> Bools:
    """Fill holes slice by slice: the marrow cavity runs through the whole stack and is open at its ends."""
    across = slice_axis(voxel_sizes)
    filled = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(mask, across, 0)]
    return np.moveaxis(np.stack(filled), 0, across)
