"""Marchenko–Pastur principal component analysis: noise taken out of a diffusion series, and its level."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dtimuscle.dwi import Bools, DwiSeries, Floats
from dtimuscle.errors import GridMismatchError, ImageError
from dtimuscle.threads import share_out

Engine = Literal["kit", "dipy"]
Patches = Literal["overlapping", "centred"]

# Edge of a patch in voxels, and the step between neighbouring patches.
PATCH_EDGE = 5
STRIDE = 2

# Rows of patches, or of voxels with a patch each, that are one piece of work.
ROWS_AT_ONCE = 4


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


def denoise(series: DwiSeries, mask: Bools, *, engine: Engine = "kit", patches: Patches = "overlapping") -> Denoised:
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
    patches : {"overlapping", "centred"}, default="overlapping"
        Average the patches that overlap in a voxel, on every second corner; or denoise each voxel by the patch around
        it alone, as published [1]_, with the aspect ratio of [2]_: what MRtrix3's `dwidenoise` does by default, to
        rounding, but not below zero. That form leaves nothing out and subtracts no mean; it takes longer and leaves
        more noise. Only the kit's kernel reads it.

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
    form = _denoise_centres if patches == "centred" else _average_patches
    denoised, variance, kept = form(signal, mask, window)
    noise_sd, kept = np.where(mask, np.sqrt(variance), np.nan), np.where(mask, kept, np.nan)
    # Without its components the mean over the patch keeps one part in m of the noise; the published form has no mean.
    n_voxels, n_volumes = int(np.prod(window)), signal.shape[3]
    share = ((patches != "centred") + kept * (n_voxels + n_volumes - kept) / n_volumes) / n_voxels
    return Denoised(
        series=series.with_signal(np.where(mask[..., None], denoised, signal)),
        noise_sd=noise_sd,
        n_components=kept,
        remaining_sd=noise_sd * np.sqrt(share),
    )


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
    from dtimuscle.imaging.mppca_kernels import denoise_patches  # numba takes a second, and only this engine needs it

    shape, n_volumes = signal.shape[:3], signal.shape[3]
    voxels = signal.reshape(-1, n_volumes)
    is_finite = np.isfinite(voxels).all(axis=1)
    has_signal = is_finite & (voxels != 0).any(axis=1)
    known = np.where(has_signal[:, np.newaxis], voxels, np.float32(0))
    is_inside = mask.ravel() & has_signal
    rows, offsets = _patches(is_inside.reshape(shape), window)
    plane = shape[1] * shape[2]
    runs = [(int(row[0] // plane * plane), int((row[-1] // plane + window[0]) * plane)) for row in rows]

    def denoise_row(place: int) -> tuple[Floats, Floats]:
        return denoise_patches(known, has_signal, is_inside, rows[place], offsets, *runs[place])

    total, summary = np.zeros_like(known), np.zeros((len(known), 4), dtype=np.float32)
    for (first, end), (denoised, facts) in zip(runs, share_out(denoise_row, range(len(rows))), strict=True):
        total[first:end] += denoised
        summary[first:end] += facts
    with np.errstate(invalid="ignore"):
        total /= summary[:, :1]
        kept, variance = summary[:, 1] / summary[:, 0], summary[:, 3] / summary[:, 2]
    np.maximum(total, 0, out=total)
    total[~has_signal] = voxels[~has_signal]
    # Where nothing varies there is no noise; where a value is not finite nothing is known.
    variance[~has_signal] = kept[~has_signal] = np.where(is_finite, 0, np.nan)[~has_signal]
    return total.reshape(signal.shape), variance.reshape(shape), kept.reshape(shape)


def _patches(mask: Bools, window: tuple[int, int, int]) -> tuple[list[NDArray[np.intp]], NDArray[np.intp]]:
    """Flat index of each patch's first voxel, some rows of patches at a time, and of its voxels from there on."""
    shape = mask.shape
    starts = [
        np.unique(np.append(np.arange(0, n - edge + 1, STRIDE), n - edge))
        for n, edge in zip(shape, window, strict=True)
    ]
    touches = sliding_window_view(mask, window)[np.ix_(*starts)].any(axis=(3, 4, 5))
    corners = np.ravel_multi_index(tuple(np.meshgrid(*starts, indexing="ij")), shape)
    offsets = np.ravel_multi_index(tuple(np.indices(window)), shape).ravel()
    groups = range(0, len(corners), ROWS_AT_ONCE)
    rows = [corners[at : at + ROWS_AT_ONCE][touches[at : at + ROWS_AT_ONCE]] for at in groups]
    return [row for row in rows if len(row)], offsets


def _denoise_centres(signal: Floats, mask: Bools, window: tuple[int, int, int]) -> tuple[Floats, Floats, Floats]:
    """Denoise each voxel of the mask by the patch around it; at the border the patch is moved inwards."""
    from dtimuscle.imaging.mppca_kernels import denoise_centres  # numba takes a second, and only this engine needs it

    shape, n_volumes = signal.shape[:3], signal.shape[3]
    is_known = np.asarray(np.isfinite(signal).all(axis=3))
    voxels = np.where(is_known[..., np.newaxis], signal, np.float32(0)).reshape(-1, n_volumes)
    places = np.argwhere(mask & is_known)
    first = np.clip(places - np.array(window) // 2, 0, np.array(shape) - window)
    centres, corners = (np.ravel_multi_index(tuple(each.T), shape) for each in (places, first))
    offsets = np.ravel_multi_index(tuple(np.indices(window)), shape).ravel()
    n_pieces = max(1, len(centres) // (ROWS_AT_ONCE * shape[1]))
    pieces = zip(np.array_split(centres, n_pieces), np.array_split(corners, n_pieces), strict=True)
    found = share_out(lambda piece: denoise_centres(voxels, *piece, offsets), pieces)
    denoised, variance, kept = signal.copy(), np.full(shape, np.nan), np.full(shape, np.nan)
    summary = np.concatenate([facts for _, facts in found])
    at = tuple(places.T)
    denoised[at] = np.maximum(np.concatenate([values for values, _ in found]), 0)
    variance[at], kept[at] = summary.T
    return denoised, variance, kept


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
