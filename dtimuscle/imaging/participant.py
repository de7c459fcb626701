"""What happens to one participant, in order: preprocess the series, fit the tensor, measure the muscles."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dtimuscle.dwi import Bools, DwiSeries, Floats, ShellSelection, TensorMaps, select_shells
from dtimuscle.errors import ImageError, SettingsError
from dtimuscle.imaging.averaging import average_alike
from dtimuscle.imaging.denoise import Engine, Patches, patch_shape
from dtimuscle.imaging.denoise import denoise as remove_noise
from dtimuscle.imaging.fat import FAT_DIFFUSIVITY, FAT_SIGNAL, MOSTLY_FAT, FatFraction, subtract_fat
from dtimuscle.imaging.gradients import check_orientation
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.motion import MotionCorrected
from dtimuscle.imaging.motion import correct_motion as align_volumes
from dtimuscle.imaging.noise import correct_rician, gaussian_noise_sd
from dtimuscle.imaging.outliers import SliceOutliers, find_lost_slices, weights_after_motion
from dtimuscle.imaging.perfusion import TISSUE_B, Perfusion, separate_perfusion
from dtimuscle.imaging.quality import FitQuality, SeriesQuality, fit_quality, series_quality
from dtimuscle.imaging.roi import RoiMeasurement, measure_muscles
from dtimuscle.imaging.snapshots import Course, describe_course, take_snapshot
from dtimuscle.imaging.tensor import count_voxels, fit_tensor
from dtimuscle.imaging.unring import find_sampling
from dtimuscle.imaging.unring import unring as remove_ringing
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels

FatModel = Literal["none", "map", "diffusion"]
DirectionsOf = Literal["thigh", "limb", "unknown"]


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
    course : Course or None
        What each step did, in pictures and numbers.
    """

    series: DwiSeries
    mask: Bools
    noise_sd: Floats | None
    quality: SeriesQuality
    weights: Bools | None = None
    course: Course | None = None

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What makes the series doubtful."""
        return self.quality.issues


@dataclass(frozen=True)
class TensorSignal:
    """What the tensor is fitted to: the chosen volumes of a series, and of their signal what is muscle's water.

    Parameters
    ----------
    series : DwiSeries
        The signal.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where there is muscle's water to fit.
    weights : ndarray of bool, shape (nx, ny, nz, n), or None
        Samples that count; None when all do.
    selection : ShellSelection
        Which shells are used and left out.
    perfusion : Perfusion or None
        What was found of blood; None when it was not looked for.
    fat_diffusivity : float or None
        With a value (mm²/s), the fat of each muscle is still to be found from its mean signal.
    issues : tuple of Issue
        What could not be separated.
    """

    series: DwiSeries
    mask: Bools
    weights: Bools | None
    selection: ShellSelection
    perfusion: Perfusion | None = None
    fat_diffusivity: float | None = None
    issues: tuple[Issue, ...] = ()


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
    patches: Patches = "overlapping",
    unring: bool = True,
    correct_motion: bool = True,
    separate_thighs: bool = False,
    find_outliers: bool = True,
    rician: bool = False,
    n_coils: int = 1,
    engine: Engine = "kit",
) -> Preprocessed:
    """Clean and align a series.

    Denoising comes first, because it needs noise that no interpolation has mixed; unringing second,
    because it needs the grid as scanned; then motion. What noise is left is averaged over like neighbours once the
    volumes are aligned. Lost slices are looked for in the series as scanned and followed
    through motion correction.

    Parameters
    ----------
    series : DwiSeries
        As scanned.
    mask : ndarray of bool, shape (nx, ny, nz), optional
        Foreground; made from the series, and again from the cleaned one, if not given.
    denoise : bool, default=True
        Remove thermal noise (MP-PCA, and averaging of like neighbours once the volumes are aligned).
    patches : {"overlapping", "centred"}, default="overlapping"
        Form of MP-PCA; see `dtimuscle.imaging.denoise`.
    unring : bool, default=True
        Remove Gibbs ringing (sub-voxel shifts).
    correct_motion : bool, default=True
        Align the volumes for motion and eddy currents, and turn the directions with them.
    separate_thighs : bool, default=False
        Give each thigh a motion of its own.
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
    given, shots = series.gradients, [take_snapshot("scanned", series)]
    noise_sd = remaining_sd = motion = None
    issues = find_sampling(series).issues
    outliers = n_lost_slices = judged = None
    if find_outliers:
        outliers, more = _lost_slices(series, first_mask)
        judged, issues = outliers, issues + more
        n_lost_slices = None if outliers is None else outliers.n_outliers
        # Where all slices are whole, all samples count.
        outliers = outliers if n_lost_slices else None
    weights = None if outliers is None else np.broadcast_to(outliers.weights, series.signal.shape)
    if denoise:
        denoised = remove_noise(series, first_mask, engine=engine, patches=patches)
        series, noise_sd, remaining_sd = denoised.series, denoised.noise_sd, denoised.remaining_sd
        patch = patch_shape(series.shape, len(given)) if engine == "kit" else None
        noise = float(np.nanmedian(noise_sd)) if np.isfinite(noise_sd).any() else None
        shots.append(take_snapshot("denoised", series, engine=engine, patch=patch, noise_sd=noise))
        if rician:
            noise_sd = gaussian_noise_sd(series.signal, noise_sd, n_coils=n_coils)
            corrected = correct_rician(series.signal, noise_sd, n_coils=n_coils)
            series, issues = series.with_signal(corrected.signal), issues + corrected.issues
            shots.append(take_snapshot("rician", series, n_coils=n_coils))
    if unring:
        series = remove_ringing(series, engine=engine)
        shots.append(take_snapshot("unringed", series, engine=engine))
    if correct_motion:
        lost = None if outliers is None else outliers.is_outlier
        aligned = align_volumes(series, first_mask, engine=engine, separate_thighs=separate_thighs, lost_slices=lost)
        series, issues = aligned.series, issues + aligned.issues
        if outliers is not None:
            weights = _weights_of_parts(outliers, aligned)
        # All zeros mean that nothing could be measured, which is not the same as nobody having moved.
        motion = aligned if aligned.displacement_mm.any() else None
        shots.append(take_snapshot("aligned", series, engine=engine))
    series = average_alike(series, first_mask, remaining_sd, weights=weights)
    if remaining_sd is not None:
        shots.append(take_snapshot("averaged", series))
    final_mask = foreground_mask(series) if mask is None else mask
    quality = series_quality(
        series,
        final_mask,
        noise_sd=noise_sd,
        motion=motion,
        n_lost_slices=n_lost_slices,
        issues=issues,
    )
    course = describe_course(shots, given, motion=motion, outliers=judged)
    return Preprocessed(series, final_mask, noise_sd, quality, weights, course)


def _weights_of_parts(outliers: SliceOutliers, aligned: MotionCorrected) -> Bools:
    """Follow lost slices with each part of the patient that moved on its own."""
    first, *others = aligned.part_transforms
    weights = weights_after_motion(outliers, aligned.series, first)
    for number, transforms in enumerate(others, start=1):
        is_here = (aligned.parts == number)[..., np.newaxis]
        weights = np.where(is_here, weights_after_motion(outliers, aligned.series, transforms), weights)
    return weights


def _lost_slices(series: DwiSeries, mask: Bools) -> tuple[SliceOutliers | None, tuple[Issue, ...]]:
    """Find lost slices; None when nothing can be judged."""
    try:
        outliers = find_lost_slices(series, mask)
    except ImageError as error:
        remedy = "Look through the slices by eye, or give a mask that covers the muscles."
        return None, (Issue(Severity.NOTE, "lost slices", f"not looked for: {error}", remedy),)
    return outliers, outliers.issues


def water_signal(
    series: DwiSeries,
    mask: Bools,
    *,
    weights: Bools | None = None,
    highest_b: float | None = None,
    fat_model: FatModel = "none",
    fat: FatFraction | None = None,
    fat_signal: float = FAT_SIGNAL,
    fat_diffusivity: float = FAT_DIFFUSIVITY,
    separate_blood: bool = False,
    tissue_b: float = TISSUE_B,
) -> TensorSignal:
    """Choose the volumes that the tensor is fitted to, and take out of their signal what is not muscle's water.

    Fat comes first, since its share is known at b = 0; blood next, whose removal takes b = 0 away.

    Parameters
    ----------
    series : DwiSeries
        Preprocessed series.
    mask : ndarray of bool, shape (nx, ny, nz)
        Where the tensor will be fitted; with a map of fat, where less than half is fat.
    weights : ndarray of bool, shape (nx, ny, nz, n), optional
        Samples that count; all if not given.
    highest_b : float, optional
        Shells above this b-value, s/mm², are left out if the others can carry a tensor; all are used if not given.
    fat_model : {"none", "map", "diffusion"}, default="none"
        Leave fat in; subtract it by its map; or find it in the mean signal of each muscle by its slow diffusion, which
        needs two shells and mends the route over the mean signal only.
    fat : FatFraction, optional
        Map on the same grid, for `fat_model="map"`.
    fat_signal : float, default=0.13
        Signal at b = 0 that suppression leaves of fat, over that of as much muscle water.
    fat_diffusivity : float, default=1.9e-5
        mm²/s.
    separate_blood : bool, default=False
        Fit the tensor without the volumes in which blood counts (IVIM).
    tissue_b : float, default=200
        From this b-value on, s/mm², blood is gone.

    Returns
    -------
    TensorSignal
        Ready for `fit` and `measure`.

    Raises
    ------
    GradientError
        If the gradients cannot carry a tensor.
    GridMismatchError
        If the map of fat lies on another grid.
    ImageError
        If fat is to be subtracted by a map that is not there.
    SettingsError
        If a number is out of range.
    """
    selection = select_shells(series.gradients, highest_b=highest_b)
    if selection.left_out:
        series, weights = _of_volumes(series, weights, selection.volumes)
    issues: tuple[Issue, ...] = ()
    if fat_model == "map":
        if fat is None:
            raise ImageError(
                'fat_model is "map", but there is no map of fat. Name the folder of the maps with fat_fraction, or set '
                'fat_model to "none".'
            )
        water = subtract_fat(series, fat, mask, fat_signal=fat_signal, fat_diffusivity=fat_diffusivity)
        series, issues = water.series, water.issues
        mask = mask & ~(fat.share >= MOSTLY_FAT)
    perfusion = None
    if separate_blood:
        perfusion = separate_perfusion(series, mask, tissue_b=tissue_b)
        if perfusion.is_separated:
            _, weights = _of_volumes(series, weights, series.gradients.bvals >= tissue_b)
        series, issues = perfusion.tissue, issues + perfusion.issues
    found_by_diffusion = fat_diffusivity if fat_model == "diffusion" else None
    return TensorSignal(series, mask, weights, selection, perfusion, found_by_diffusion, issues)


def _of_volumes(series: DwiSeries, weights: Bools | None, volumes: Bools) -> tuple[DwiSeries, Bools | None]:
    chosen = DwiSeries(series.signal[..., volumes], series.affine, series.gradients.subset(volumes))
    return chosen, None if weights is None else weights[..., volumes]


def fit(signal: TensorSignal, *, estimator: str = "iwls", directions_of: DirectionsOf = "unknown") -> Fitted:
    """Fit the tensor and describe how that went.

    Parameters
    ----------
    signal : TensorSignal
        What to fit.
    estimator : {"ols", "wls", "iwls", "nlls", "restore", "robust"}, default="iwls"
        How to fit; see `dtimuscle.imaging.tensor`.
    directions_of : {"thigh", "limb", "unknown"}, default="unknown"
        What body part is shown, so that its fibres can tell whether axes of the b-vectors are flipped or swapped: the
        course of each muscle is known in a thigh, its long axis in any limb. Nothing is checked when it is unknown.

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
    maps = fit_tensor(signal.series, signal.mask, estimator=estimator, weights=signal.weights)
    counts = count_voxels(signal.series, maps, weights=signal.weights)
    check = None if directions_of == "unknown" else check_orientation(maps, is_thigh=directions_of == "thigh")
    quality = fit_quality(
        maps,
        counts,
        signal.selection,
        highest_b=float(signal.series.gradients.bvals.max()),
        orientation="" if check is None else check.verdict,
        issues=signal.issues + (() if check is None else check.issues),
    )
    return Fitted(maps, quality)


def measure(
    signal: TensorSignal,
    maps: TensorMaps,
    labels: MuscleLabels,
    *,
    participant_id: str,
    session: str = "",
    erosion_mm: float = 2.5,
    min_voxels: int = 20,
    is_simulated: bool = False,
    noise_sd: Floats | None = None,
    fat: FatFraction | None = None,
    max_fat_fraction: float = 0.5,
    residual: Floats | None = None,
) -> RoiMeasurement:
    """Describe each muscle by its voxels and by its mean signal, both with the maps' estimator.

    Parameters
    ----------
    signal : TensorSignal
        What the maps were fitted to.
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
    fat : FatFraction, optional
        Map on the same grid, for the limit.
    max_fat_fraction : float, default=0.5
        Voxels with a larger share of fat, or an unknown one, are left out.
    residual : ndarray of shape (nx, ny, nz), optional
        What the tensor leaves unexplained, for the quality.

    Returns
    -------
    RoiMeasurement
        Rows of the ROI table, quality of each muscle, and issues.

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
        signal.series,
        participant_id=participant_id,
        session=session,
        erosion_mm=erosion_mm,
        min_voxels=min_voxels,
        estimator=maps.estimator,
        is_simulated=is_simulated,
        noise_sd=noise_sd,
        fat=fat,
        max_fat_fraction=max_fat_fraction,
        fat_diffusivity=signal.fat_diffusivity,
        weights=signal.weights,
        residual=residual,
    )
