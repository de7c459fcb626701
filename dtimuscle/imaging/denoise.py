"""Marchenko–Pastur principal component analysis: noise taken out of a diffusion series, and its level."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dtimuscle.dwi import Bools, DwiSeries, Floats
from dtimuscle.errors import GridMismatchError, ImageError

Engine = Literal["kit", "dipy"]

# Edge of a patch in voxels, and the step between neighbouring patches.
PATCH_EDGE = 5
STRIDE = 2

# A patch counts for the noise level with this power of the part of it that lies in the mask: the magnitude of air
# varies less than that of tissue (its SD is 0.66 of the noise), and patches that reach into it understate the noise.
INSIDE_POWER = 4

# Values held by the patches that are decomposed together (about 16 MB in single precision).
BATCH_VALUES = 4_000_000


@dataclass(frozen=True)
class Denoised:
    """A denoised series and what was learned about its noise.

    Parameters
    ----------
    series : DwiSeries
        Denoised within the mask; never below zero there. Untouched outside, and in voxels that are zero throughout
        or not finite.
    noise_sd : ndarray of shape (nx, ny, nz)
        Standard deviation of the noise in the signal's unit; NaN outside the mask and wherever no patch
        reached a voxel.
    n_components : ndarray of shape (nx, ny, nz) or None
        Principal components kept, averaged over the patches that overlap in a voxel (so not whole numbers);
        NaN outside the mask. None with DIPY, which does not tell.
    remaining_sd : ndarray of shape (nx, ny, nz) or None
        Standard deviation of the noise that is expected to be left; like `n_components` otherwise.
    """

    series: DwiSeries
    noise_sd: Floats
    n_components: Floats | None
    remaining_sd: Floats | None


def denoise(series: DwiSeries, mask: Bools, *, engine: Engine = "kit") -> Denoised:
    """Remove noise by MP-PCA.

    In a small patch the volumes of a diffusion series are combinations of few components; pure noise spreads
    over all of them with the Marchenko–Pastur distribution of eigenvalues. Components within that
    distribution are dropped [1]_, with the aspect ratio that counts what is left after the signal [2]_.
    Patches overlap, and a voxel is the average over them, weighted by 1 / (1 + components kept) [3]_. The noise
    level is averaged alike, but patches count the more the less they reach beyond the mask. Voxels without
    any signal (scanners set air to zero) and voxels with a value that is not finite are left out of the patches.

    Parameters
    ----------
    series : DwiSeries
        As scanned: interpolation or filtering beforehand correlates the noise and spoils the threshold.
    mask : ndarray of bool, shape (nx, ny, nz)
        Voxels to denoise; the rest keeps its value.
    engine : {"kit", "dipy"}, default="kit"
        The kit's own kernel, or DIPY's `mppca`.

    Returns
    -------
    Denoised
        The series, the noise level and the number of components.

    Raises
    ------
    GridMismatchError
        If the mask has another shape than the series.
    ImageError
        If there are fewer than two volumes, or fewer than three voxels.

    References
    ----------
    .. [1] Veraart et al., NeuroImage 142 (2016) 394–406.
    .. [2] Cordero-Grande et al., NeuroImage 200 (2019) 391–404.
    .. [3] Manjón et al., PLoS ONE 8 (2013) e73021, equation 3.
    """
    if mask.shape != series.shape:
        raise GridMismatchError(
            f"the mask has shape {mask.shape} but the series {series.shape}. Make the mask on the series' grid."
        )
    if series.signal.shape[3] < 2 or mask.size < 3:
        raise ImageError(
            f"a series of shape {series.signal.shape} is too small to tell noise from signal; at least two volumes "
            "of three voxels are needed. Switch denoising off."
        )
    if engine == "dipy":
        return _denoise_with_dipy(series, mask)
    signal = np.ascontiguousarray(series.signal, dtype=np.float32)
    window = patch_shape(series.shape, signal.shape[3])
    denoised, variance, kept = _average_patches(signal, mask, window)
    noise_sd, kept = np.where(mask, np.sqrt(variance), np.nan), np.where(mask, kept, np.nan)
    share = _share_left(kept, n_voxels=int(np.prod(window)), n_volumes=signal.shape[3])
    return Denoised(
        series=series.with_signal(np.where(mask[..., None], denoised, signal)),
        noise_sd=noise_sd,
        n_components=kept,
        remaining_sd=noise_sd * np.sqrt(share),
    )


def _share_left(kept: Floats, *, n_voxels: int, n_volumes: int) -> Floats:
    """Share of the noise's variance that stays: that of the mean, and of k components of an m × n matrix."""
    return (1 + kept * (n_voxels + n_volumes - kept) / n_volumes) / n_voxels


def patch_shape(shape: tuple[int, int, int], n_volumes: int) -> tuple[int, int, int]:
    """Choose the patch: 5 × 5 × 5, or as much larger as it takes to hold more voxels than volumes.

    Parameters
    ----------
    shape : tuple of int
        Size of the grid; a grid of few slices gets a wider patch in the other directions.
    n_volumes : int
        Number of volumes of the series.

    Returns
    -------
    tuple of int
        Edges in voxels, none longer than the grid; the whole grid if that is too small.
    """
    edge = PATCH_EDGE
    window = _cropped(shape, edge)
    while np.prod(window) <= n_volumes and window != shape:
        edge += 1
        window = _cropped(shape, edge)
    return window


def _cropped(shape: tuple[int, int, int], edge: int) -> tuple[int, int, int]:
    nx, ny, nz = shape
    return min(edge, nx), min(edge, ny), min(edge, nz)


def _average_patches(signal: Floats, mask: Bools, window: tuple[int, int, int]) -> tuple[Floats, Floats, Floats]:
    """Denoise every patch that touches the mask and average the overlaps."""
    shape, n_volumes = signal.shape[:3], signal.shape[3]
    voxels = signal.reshape(-1, n_volumes)
    is_finite = np.isfinite(voxels).all(axis=1)
    has_signal = is_finite & (voxels != 0).any(axis=1)
    voxels = np.where(has_signal[:, None], voxels, np.float32(0))
    is_inside = mask.ravel() & has_signal
    first, offsets = _patches(is_inside.reshape(shape), window)
    total = np.zeros_like(voxels)
    # Columns: sum of weights, weighted number of components, sum of weights for the noise, weighted variance.
    summary = np.zeros((len(voxels), 4), dtype=np.float32)
    batch = max(1, BATCH_VALUES // (len(offsets) * n_volumes))
    for start in range(0, len(first), batch):
        corners = first[start : start + batch]
        places = corners[:, None] + offsets
        denoised, variance, kept = _denoise_patches(voxels[places], has_signal[places])
        weight = 1 / (1 + kept)
        denoised *= weight[:, None, None]
        noise_weight = weight * is_inside[places].mean(axis=1, dtype=np.float32) ** INSIDE_POWER
        facts = np.stack([weight, weight * kept, noise_weight, noise_weight * variance], axis=1)
        # Patches have different corners, so one offset never meets a voxel twice.
        for place, offset in enumerate(offsets):
            total[corners + offset] += denoised[:, place]
            summary[corners + offset] += facts
    with np.errstate(invalid="ignore"):
        total /= summary[:, :1]
        kept, variance = summary[:, 1] / summary[:, 0], summary[:, 3] / summary[:, 2]
    np.maximum(total, 0, out=total)
    total[~has_signal] = signal.reshape(-1, n_volumes)[~has_signal]
    # Where nothing varies there is no noise; where a value is not finite nothing is known.
    variance[~has_signal] = kept[~has_signal] = np.where(is_finite, 0, np.nan)[~has_signal]
    return total.reshape(signal.shape), variance.reshape(shape), kept.reshape(shape)


def _patches(mask: Bools, window: tuple[int, int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat index of each patch's first voxel, and of its other voxels from there on."""
    shape = mask.shape
    starts = [
        np.unique(np.append(np.arange(0, n - edge + 1, STRIDE), n - edge))
        for n, edge in zip(shape, window, strict=True)
    ]
    touches = sliding_window_view(mask, window)[np.ix_(*starts)].any(axis=(3, 4, 5))
    corners = np.ravel_multi_index(tuple(np.meshgrid(*starts, indexing="ij")), shape)
    offsets = np.ravel_multi_index(tuple(np.indices(window)), shape)
    return corners[touches], offsets.ravel()


def _denoise_patches(patches: Floats, is_there: Bools) -> tuple[Floats, Floats, Floats]:
    """Drop the noise components of patches of shape (p, m voxels, n volumes); voxels that are not there are zero.

    Notes
    -----
    The mean over the patch is left out first: it is signal, and without it one component fewer has to be
    found. The eigenvalues of the n × n product are the squared singular values of the patch.
    """
    n_voxels = np.count_nonzero(is_there, axis=1)
    mean = patches.sum(axis=1, keepdims=True) / n_voxels[:, None, None].astype(np.float32)
    centred = patches - mean
    if not is_there.all():
        centred *= is_there[:, :, None]
    eigenvalues, vectors = np.linalg.eigh(centred.transpose(0, 2, 1) @ centred)
    variance, kept = _noise_level(eigenvalues, n_voxels=n_voxels - 1)
    n_volumes = patches.shape[2]
    vectors *= np.arange(n_volumes) >= (n_volumes - kept)[:, None, None]
    denoised = centred @ (vectors @ vectors.transpose(0, 2, 1)) + mean
    return denoised, variance.astype(np.float32), kept.astype(np.float32)


def _noise_level(eigenvalues: Floats, *, n_voxels: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
    """Noise variance and number of signal components from ascending eigenvalues of shape (p, n).

    Notes
    -----
    With q = max(m, n), r = min(m, n) and λ = eigenvalue / q, the k smallest are noise as long as their range
    stays below 4 σ² √γ, where σ² is their mean and γ = k / (q − (r − k)) [2]_ of `denoise`. Each patch has its
    own number of voxels m; a patch of one voxel has no noise to tell, and keeps its mean.
    """
    n_volumes = eigenvalues.shape[1]
    q, r = np.maximum(n_voxels, n_volumes)[:, None], np.minimum(n_voxels, n_volumes)[:, None]
    # The first n − r eigenvalues are zero by construction; k counts from the one after them.
    k = np.arange(1, n_volumes + 1) - (n_volumes - r)
    counts = k > 0
    scaled = np.where(counts, np.maximum(eigenvalues, 0), 0).astype(np.float64) / q
    least = np.take_along_axis(scaled, np.minimum(n_volumes - r, n_volumes - 1), axis=1)
    k = np.maximum(k, 1)
    mean = np.cumsum(scaled, axis=1) / k
    spread = (scaled - least) / (4 * np.sqrt(k / np.maximum(q - (r - k), 1)))
    kept = np.argmax(((spread <= mean) & counts)[:, ::-1], axis=1)
    kept[r[:, 0] < 1] = 0
    return np.take_along_axis(mean, n_volumes - 1 - kept[:, None], axis=1)[:, 0], kept


def _denoise_with_dipy(series: DwiSeries, mask: Bools) -> Denoised:
    from dipy.denoise.localpca import mppca  # takes a second, and only this engine needs it

    radius = [(edge - 1) // 2 for edge in patch_shape(series.shape, series.signal.shape[3])]
    # DIPY divides by zero where no patch lies wholly within the grid; such voxels keep their value.
    with np.errstate(invalid="ignore", divide="ignore"):
        denoised, noise_sd = mppca(
            series.signal, mask=mask, patch_radius=radius, return_sigma=True, suppress_warning=True
        )
    reached = mask & np.isfinite(noise_sd)
    return Denoised(
        series=series.with_signal(np.where(reached[..., None], denoised, series.signal)),
        noise_sd=np.where(reached, noise_sd, np.nan),
        n_components=None,
        remaining_sd=None,
    )
