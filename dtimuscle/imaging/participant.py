"""What happens to one participant, in order: preprocess the series, fit the tensor, measure the muscles."""

from dataclasses import dataclass

import numpy as np

from dtimuscle.dwi import Bools, DwiSeries, Floats, ShellSelection, TensorMaps, select_shells
from dtimuscle.errors import ImageError, SettingsError
from dtimuscle.imaging.denoise import Engine
from dtimuscle.imaging.denoise import denoise as remove_noise
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.motion import correct_motion as align_volumes
from dtimuscle.imaging.noise import correct_rician, gaussian_noise_sd
from dtimuscle.imaging.outliers import SliceOutliers, find_lost_slices, weights_after_motion
from dtimuscle.imaging.quality import FitQuality, SeriesQuality, fit_quality, series_quality
from dtimuscle.imaging.roi import RoiMeasurement, measure_muscles
from dtimuscle.imaging.tensor import count_voxels, fit_tensor
from dtimuscle.imaging.unring import find_sampling
from dtimuscle.imaging.unring import unring as remove_ringing
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels


@dataclass(frozen=True)
class Preprocessed:
    """A series that is ready for the tensor.

    Parameters
    ----------
    series : DwiSeries
        Cleaned and aligned, with the directions turned as the volumes were.
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground.
    noise_sd : ndarray of shape (nx, ny, nz) or None
        Noise SD in the signal's unit; None when the series was not denoised.
    quality : SeriesQuality
        Signal-to-noise ratio, motion, and issues.
    weights : ndarray of bool, shape (nx, ny, nz, n), or None
        Samples that count; False where lost slices reach. None when all count.
    """

    series: DwiSeries
    mask: Bools
    noise_sd: Floats | None
    quality: SeriesQuality
    weights: Bools | None = None

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What makes the series doubtful."""
        return self.quality.issues


@dataclass(frozen=True)
class Fitted:
    """The tensor maps of a series and what is to be known about them.

    Parameters
    ----------
    maps : TensorMaps
        FA (no unit), diffusivities (mm²/s) and directions.
    quality : FitQuality
        Unusable and impossible fits, and issues.
    """

    maps: TensorMaps
    quality: FitQuality

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What makes the maps doubtful."""
        return self.quality.issues


def preprocess(
    series: DwiSeries,
    *,
    mask: Bools | None = None,
    denoise: bool = True,
    unring: bool = True,
    correct_motion: bool = True,
    find_outliers: bool = True,
    rician: bool = False,
    n_coils: int = 1,
    engine: Engine = "kit",
) -> Preprocessed:
    """Clean and align a series.

    Denoising comes first, because it needs noise that no interpolation has mixed; unringing second,
    because it needs the grid as scanned; motion last. Lost slices are looked for in the series as scanned and followed
    through motion correction.

    Parameters
    ----------
    series : DwiSeries
        As scanned.
    mask : ndarray of bool, shape (nx, ny, nz), optional
        Foreground; made from the series, and again from the cleaned one, if not given.
    denoise : bool, default=True
        Remove thermal noise (MP-PCA).
    unring : bool, default=True
        Remove Gibbs ringing (sub-voxel shifts).
    correct_motion : bool, default=True
        Align the volumes for motion and eddy currents, and turn the directions with them.
    find_outliers : bool, default=True
        Find slices that lost their signal, so that the fit can leave them out.
    rician : bool, default=False
        Take out what the noise floor adds to the magnitude; needs `denoise`, which finds the noise.
    n_coils : int, default=1
        Coils combined by their sum of squares, for `rician`.
    engine : {"kit", "dipy"}, default="kit"
        Whose routines do it.

    Returns
    -------
    Preprocessed
        The series, its mask, its noise and its quality.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    ImageError
        If the series has no signal, or is too small for a step.
    GridMismatchError
        If the mask has another shape than the series.
    SettingsError
        If `rician` is asked for without `denoise`.
    """
    if rician and not denoise:
        raise SettingsError("rician needs the noise that denoise finds. Set denoise to true, or rician to false.")
    series.gradients.require_tensor()
    first_mask = foreground_mask(series) if mask is None else mask
    noise_sd = displacement_mm = rotation_deg = None
    issues = find_sampling(series).issues
    outliers = None
    if find_outliers:
        outliers, more = _lost_slices(series, first_mask)
        issues += more
    weights = None if outliers is None else np.broadcast_to(outliers.weights, series.signal.shape)
    if denoise:
        denoised = remove_noise(series, first_mask, engine=engine)
        series, noise_sd = denoised.series, denoised.noise_sd
        if rician:
            noise_sd = gaussian_noise_sd(series.signal, noise_sd, n_coils=n_coils)
            corrected = correct_rician(series.signal, noise_sd, n_coils=n_coils)
            series, issues = series.with_signal(corrected.signal), issues + corrected.issues
    if unring:
        series = remove_ringing(series, engine=engine)
    if correct_motion:
        aligned = align_volumes(series, first_mask, engine=engine)
        series, issues = aligned.series, issues + aligned.issues
        if outliers is not None:
            weights = weights_after_motion(outliers, series, aligned.transforms)
        # All zeros mean that nothing could be measured, which is not the same as nobody having moved.
        if aligned.displacement_mm.any():
            displacement_mm, rotation_deg = aligned.displacement_mm, aligned.rotation_deg
    final_mask = foreground_mask(series) if mask is None else mask
    quality = series_quality(
        series,
        final_mask,
        noise_sd=noise_sd,
        displacement_mm=displacement_mm,
        rotation_deg=rotation_deg,
        issues=issues,
    )
    return Preprocessed(series, final_mask, noise_sd, quality, weights)


def _lost_slices(series: DwiSeries, mask: Bools) -> tuple[SliceOutliers | None, tuple[Issue, ...]]:
    """Find lost slices; None when nothing is lost or nothing can be judged."""
    try:
        outliers = find_lost_slices(series, mask)
    except ImageError as error:
        remedy = "Look through the slices by eye, or give a mask that covers the muscles."
        return None, (Issue(Severity.NOTE, "lost slices", f"not looked for: {error}", remedy),)
    return outliers if outliers.n_outliers else None, outliers.issues


def fit(
    series: DwiSeries,
    mask: Bools,
    *,
    estimator: str = "iwls",
    weights: Bools | None = None,
    highest_b: float | None = None,
) -> Fitted:
    """Fit the tensor and describe how that went.

    Parameters
    ----------
    series : DwiSeries
        Preprocessed series.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where to fit.
    estimator : {"ols", "wls", "iwls", "nlls", "restore", "robust"}, default="iwls"
        How to fit; see `dtimuscle.imaging.tensor`.
    weights : ndarray of bool, shape (nx, ny, nz, n), optional
        Samples that count; all if not given.
    highest_b : float, optional
        Shells above this b-value, s/mm², are left out if the others can carry a tensor; all are used if not given.

    Returns
    -------
    Fitted
        The maps and their quality.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    GridMismatchError
        If mask and series differ in shape.
    ImageError
        If the mask is empty.
    """
    series, weights, selection = _chosen(series, weights, highest_b)
    maps = fit_tensor(series, mask, estimator=estimator, weights=weights)
    return Fitted(maps, fit_quality(maps, count_voxels(series, maps, weights=weights), selection))


def _chosen(
    series: DwiSeries, weights: Bools | None, highest_b: float | None
) -> tuple[DwiSeries, Bools | None, ShellSelection]:
    """Leave out the shells that the tensor does not use."""
    selection = select_shells(series.gradients, highest_b=highest_b)
    if not selection.left_out:
        return series, weights, selection
    volumes = selection.volumes
    chosen = DwiSeries(series.signal[..., volumes], series.affine, series.gradients.subset(volumes))
    return chosen, None if weights is None else weights[..., volumes], selection


def measure(
    series: DwiSeries,
    maps: TensorMaps,
    labels: MuscleLabels,
    *,
    participant_id: str,
    session: str = "",
    erosion_mm: float = 2.5,
    min_voxels: int = 20,
    is_simulated: bool = False,
    noise_sd: Floats | None = None,
    weights: Bools | None = None,
    highest_b: float | None = None,
) -> RoiMeasurement:
    """Describe each muscle by its voxels and by its mean signal, both with the maps' estimator.

    Parameters
    ----------
    series : DwiSeries
        The series that the maps were fitted to.
    maps : TensorMaps
        The maps.
    labels : MuscleLabels
        Muscles on the same grid.
    participant_id : str
        Goes into every row.
    session : str, default=""
        Goes into every row.
    erosion_mm : float, default=2.5
        Depth of the rim that is left out, mm.
    min_voxels : int, default=20
        A muscle with fewer voxels keeps its rows without values.
    is_simulated : bool, default=False
        Goes into every row.
    noise_sd : ndarray of shape (nx, ny, nz), optional
        Noise SD in the signal's unit, for the quality.
    weights : ndarray of bool, shape (nx, ny, nz, n), optional
        Samples that count, as the fit was given them.
    highest_b : float, optional
        As the fit was given it, s/mm².

    Returns
    -------
    RoiMeasurement
        Rows of the ROI table, and issues.

    Raises
    ------
    GridMismatchError
        If the labels lie on another grid.
    LabelError
        If no label is a known muscle.
    """
    series, weights, _ = _chosen(series, weights, highest_b)
    return measure_muscles(
        maps,
        labels,
        series,
        participant_id=participant_id,
        session=session,
        erosion_mm=erosion_mm,
        min_voxels=min_voxels,
        estimator=maps.estimator,
        is_simulated=is_simulated,
        noise_sd=noise_sd,
        weights=weights,
    )
