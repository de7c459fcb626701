"""What happens to one participant, in order: preprocess the series, fit the tensor, measure the muscles."""

from dataclasses import dataclass

from dtimuscle.dwi import Bools, DwiSeries, Floats, TensorMaps
from dtimuscle.imaging.denoise import Engine
from dtimuscle.imaging.denoise import denoise as remove_noise
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.motion import correct_motion as align_volumes
from dtimuscle.imaging.quality import FitQuality, SeriesQuality, fit_quality, series_quality
from dtimuscle.imaging.roi import RoiMeasurement, measure_muscles
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.imaging.unring import unring as remove_ringing
from dtimuscle.issues import Issue
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
    """

    series: DwiSeries
    mask: Bools
    noise_sd: Floats | None
    quality: SeriesQuality

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
    engine: Engine = "kit",
) -> Preprocessed:
    """Clean and align a series.

    Denoising comes first, because it needs noise that no interpolation has mixed; unringing second,
    because it needs the grid as scanned; motion last.

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
    """
    series.gradients.require_tensor()
    first_mask = foreground_mask(series) if mask is None else mask
    noise_sd = displacement_mm = rotation_deg = None
    issues: tuple[Issue, ...] = ()
    if denoise:
        denoised = remove_noise(series, first_mask, engine=engine)
        series, noise_sd = denoised.series, denoised.noise_sd
    if unring:
        series = remove_ringing(series, engine=engine)
    if correct_motion:
        aligned = align_volumes(series, first_mask, engine=engine)
        series, issues = aligned.series, aligned.issues
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
    return Preprocessed(series, final_mask, noise_sd, quality)


def fit(series: DwiSeries, mask: Bools, *, estimator: str = "iwls") -> Fitted:
    """Fit the tensor and describe how that went.

    Parameters
    ----------
    series : DwiSeries
        Preprocessed series.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where to fit.
    estimator : {"ols", "wls", "iwls", "nlls", "restore"}, default="iwls"
        How to fit; see `dtimuscle.imaging.tensor`.

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
    maps = fit_tensor(series, mask, estimator=estimator)
    return Fitted(maps, fit_quality(maps))


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
    )
