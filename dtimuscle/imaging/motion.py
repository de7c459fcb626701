"""Patient motion and eddy-current distortion between the volumes of a series, found and undone."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError
from dtimuscle.imaging.unring import slice_axis
from dtimuscle.issues import Issue, Severity
from dtimuscle.threads import one_blas_thread, share_out

Engine = Literal["kit", "dipy"]

# Two thighs are told apart where, in the middle third of the mask, a plane across left and right holds less than this
# share of the mask's section through either thigh.
VALLEY = 0.5

# A difference between the thighs' rotations below this does not matter to one gradient table for both, degrees.
ALIKE_DEG = 0.3


@dataclass(frozen=True)
class MotionCorrected:
    """A series whose volumes lie on one another, and how each had moved.

    Parameters
    ----------
    series : DwiSeries
        Interpolated once; directions turned with the patient. The first b = 0 volume is the reference. For two thighs
        that were corrected separately, directions are turned by the mean of both rotations.
    transforms : ndarray of shape (n, 4, 4)
        World coordinates (mm) in the corrected series to those in each volume as scanned; for two thighs the mean of
        both, which holds exactly for neither.
    parts : ndarray of int, shape (nx, ny, nz)
        Which part of the patient a voxel belongs to: 0 everywhere, or 0 and 1 for two thighs.
    part_transforms : ndarray of shape (n_parts, n, 4, 4)
        As `transforms`, of each part: voxels of part k came from where `part_transforms[k]` takes them.
    part_gradients : tuple of GradientTable
        Of each part, turned by its own rotations.
    displacement_mm : ndarray of shape (n,)
        Mean displacement over the mask.
    rotation_deg : ndarray of shape (n,)
        Angle of the rotation (of the mean one for two thighs); stretch and shear by eddy currents are not part of it.
    framewise_mm : ndarray of shape (n,)
        Mean distance over the mask that the patient moved since the volume before, without stretch and shear; 0 for the
        first. Power's framewise displacement [1]_ adds up shifts and the arcs of rotations on a sphere of a head's
        size; thighs are larger and no sphere, so the distance is taken of the voxels themselves.
    issues : tuple of Issue
        Volumes that could not be aligned, directions in which motion cannot be seen, thighs that could not be told
        apart or turned differently.

    References
    ----------
    .. [1] Power et al., NeuroImage 59 (2012) 2142–2154.
    """

    series: DwiSeries
    transforms: Floats
    parts: NDArray[np.intp]
    part_transforms: Floats
    part_gradients: tuple[GradientTable, ...]
    displacement_mm: Floats
    rotation_deg: Floats
    framewise_mm: Floats
    issues: tuple[Issue, ...]


def correct_motion(
    series: DwiSeries,
    mask: Bools,
    *,
    engine: Engine = "kit",
    separate_thighs: bool = False,
    lost_slices: Bools | None = None,
) -> MotionCorrected:
    """Align the volumes with the first b = 0 volume and turn the gradient directions accordingly.

    A volume moves rigidly, and eddy currents stretch, shear and shift it along the phase-encoding axis [1]_.
    Weighted volumes are aligned with one another, their mean once with b = 0, and the data interpolated once with
    both. Each weighted volume is held against what the others say of it: first their mean, then a tensor fitted to
    them, for the order of brightness of muscles changes with the gradient. Eddy currents are expected in step with the
    gradient, as far as the volumes bear that out. When a patient turns by R, tissue sees the scanner's gradient g as
    Rᵀ g, so the directions of the corrected series are turned back [2]_.

    Parameters
    ----------
    series : DwiSeries
        Best after denoising and unringing, both of which need data that were not interpolated.
    mask : ndarray of bool, shape (nx, ny, nz)
        The patient, in the first b = 0 volume.
    engine : {"kit", "dipy"}, default="kit"
        Gauss–Newton on local correlation, or DIPY's affine registration by mutual information (12 unknowns each volume;
        its rotation is found by polar decomposition).
    separate_thighs : bool, default=False
        Give each thigh a transform of its own, split by a plane between left and right where the mask is narrowest.
        Half the voxels know less of each. One gradient table cannot hold two rotations: the series gets the mean of
        both, `part_gradients` each its own, and an issue says by how much they differ. Thighs that cannot be told apart
        are corrected as one, with an issue.
    lost_slices : ndarray of bool, shape (n_slices, n), optional
        Slices that lost their signal. They are filled from the slices beside them, so that interpolation carries their
        loss nowhere, and are not compared.

    Returns
    -------
    MotionCorrected
        The series, the transforms and what could not be found.

    Raises
    ------
    GridMismatchError
        If the mask has another shape than the series.
    ImageError
        If the mask is empty.

    Notes
    -----
    The kit's engine takes as phase-encoding axis the one of the two in-plane axes along which the volumes are
    explained better. Stretch tells them apart; shear alone may as well be a rotation with shear along the other axis,
    and then the smaller rotation is taken. Points that were outside the field of view repeat the nearest
    voxel.

    References
    ----------
    .. [1] Andersson & Sotiropoulos, NeuroImage 125 (2016) 1063–1078.
    .. [2] Leemans & Jones, Magnetic Resonance in Medicine 61 (2009) 1336–1349.
    """
    if mask.shape != series.shape:
        raise GridMismatchError(
            f"the mask has shape {mask.shape} but the series {series.shape}. Make the mask on the series' grid."
        )
    if not mask.any():
        raise ImageError("the mask holds no voxel, so there is nothing to align. Check the mask or its threshold.")
    lost = np.zeros((series.shape[slice_axis(series.voxel_sizes)], series.signal.shape[3]), dtype=bool)
    if lost_slices is not None:
        series, lost = _filled(series, lost_slices), lost_slices
    find = _find_with_dipy if engine == "dipy" else partial(_find_with_kit, lost=lost)
    parts = np.zeros(series.shape, dtype=np.intp)
    issues: tuple[Issue, ...] = ()
    if separate_thighs:
        parts, issues = thighs_apart(mask, series.affine)
    names = ("thigh with lower", "thigh with higher") if parts.any() else ()
    found = []
    for k in range(parts.max() + 1):
        transforms, rotations, doubts = find(series, mask & (parts == k))
        found.append((transforms, rotations))
        issues += tuple(replace(doubt, where=f"{names[k]} x: {doubt.where}") for doubt in doubts) if names else doubts
    part_transforms, part_rotations = (np.array(each) for each in zip(*found, strict=True))
    if len(found) == 2:
        issues += _different_turns(part_rotations)
    rotations = np.array([Rotation.from_matrix(each).mean().as_matrix() for each in part_rotations.swapaxes(0, 1)])
    tables = tuple(series.gradients.rotated(each.transpose(0, 2, 1)) for each in part_rotations)
    places = [_places(series, mask & (parts == k)) for k in range(len(found))]
    share = np.array([points.shape[1] for points in places]) / np.count_nonzero(mask)
    moved = [_displacement(points, each) for points, each in zip(places, part_transforms, strict=True)]
    stepped = [_framewise(*each) for each in zip(places, part_transforms, part_rotations, strict=True)]
    return MotionCorrected(
        series=replace(
            series,
            signal=_resample(series, parts, part_transforms),
            gradients=tables[0] if len(found) == 1 else series.gradients.rotated(rotations.transpose(0, 2, 1)),
        ),
        transforms=part_transforms.mean(axis=0),
        parts=parts,
        part_transforms=part_transforms,
        part_gradients=tables,
        displacement_mm=share @ np.array(moved),
        framewise_mm=share @ np.array(stepped),
        rotation_deg=np.degrees(Rotation.from_matrix(rotations).magnitude()),
        issues=issues,
    )


def _filled(series: DwiSeries, lost: Bools) -> DwiSeries:
    """Fill lost slices by linear interpolation between the nearest whole ones of their volume."""
    signal = np.moveaxis(series.signal, slice_axis(series.voxel_sizes), 0).copy()
    for volume in np.flatnonzero(lost.any(axis=0) & ~lost.all(axis=0)):
        whole, number = np.flatnonzero(~lost[:, volume]), np.flatnonzero(lost[:, volume])
        above = np.searchsorted(whole, number).clip(1, max(1, len(whole) - 1))
        low, high = whole[above - 1], whole[above.clip(max=len(whole) - 1)]
        share = np.clip((number - low) / np.maximum(high - low, 1), 0, 1)[:, None, None]
        signal[number, ..., volume] = (1 - share) * signal[low, ..., volume] + share * signal[high, ..., volume]
    return series.with_signal(np.moveaxis(signal, 0, slice_axis(series.voxel_sizes)))


def thighs_apart(mask: Bools, affine: Floats) -> tuple[NDArray[np.intp], tuple[Issue, ...]]:
    """Tell the thighs apart by a plane across left and right.

    Parameters
    ----------
    mask : ndarray of bool, shape (nx, ny, nz)
        Foreground; not empty.
    affine : ndarray of shape (4, 4)
        From voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    parts : ndarray of int, shape (nx, ny, nz)
        0 for the left thigh (lower x) and 1 for the right, or 0 everywhere.
    issues : tuple of Issue
        That they could not be told apart.
    """
    axis = int(np.argmax(np.abs(affine[0, :3]) / np.linalg.norm(affine[:3, :3], axis=0)))
    section = mask.sum(axis=tuple(other for other in range(3) if other != axis))
    first, last = np.flatnonzero(section)[[0, -1]]
    third = (last - first + 1) // 3
    middle = section[first + third : last - third + 1]
    # Of several planes that hold equally little the one in the middle is taken.
    lowest = np.flatnonzero(middle == middle.min())
    cut = int(first + third + lowest[len(lowest) // 2])
    if section[cut] >= VALLEY * min(section[:cut].max(initial=0), section[cut + 1 :].max(initial=0)):
        what = "the two thighs could not be told apart: the mask is not narrower between left and right."
        remedy = "Corrected as one body; give a mask that leaves out the air between the thighs."
        issue = Issue(Severity.NOTE, "motion correction", what, remedy)
        return np.zeros(mask.shape, dtype=np.intp), (issue,)
    is_higher = (np.arange(mask.shape[axis]) > cut) == (affine[0, axis] > 0)
    shape = np.where(np.arange(3) == axis, mask.shape[axis], 1)
    return np.broadcast_to(is_higher.reshape(shape), mask.shape).astype(np.intp), ()


def _different_turns(rotations: Floats) -> tuple[Issue, ...]:
    """Say by how much two parts turned differently; rotations of shape (2, n, 3, 3)."""
    apart = np.degrees(Rotation.from_matrix(rotations[0] @ rotations[1].transpose(0, 2, 1)).magnitude())
    if apart.max() < ALIKE_DEG:
        return ()
    what = (
        f"the thighs turned differently, by up to {apart.max():.1f}° (mean {apart.mean():.1f}°); the gradient "
        "directions are turned by the mean of both and are off by half of it in each."
    )
    remedy = "Fit each thigh with its own part_gradients where this matters."
    return (Issue(Severity.NOTE, "motion correction", what, remedy),)


def _places(series: DwiSeries, where: Bools) -> Floats:
    """World coordinates of voxels, shape (3, m), mm."""
    return series.affine[:3, :3] @ np.array(np.nonzero(where)) + series.affine[:3, 3:]


def _displacement(points: Floats, transforms: Floats) -> Floats:
    """Mean displacement of points (3, m) by each transform, mm."""
    return np.array([_mean_length((each[:3, :3] - np.eye(3)) @ points + each[:3, 3:]) for each in transforms])


def _framewise(points: Floats, transforms: Floats, rotations: Floats) -> Floats:
    """Mean distance of points (3, m) between each volume's rigid pose and that of the volume before, mm."""
    middle = points.mean(axis=1, keepdims=True)
    centres = transforms[:, :3, :3] @ middle + transforms[:, :3, 3:]
    steps = zip(np.diff(rotations, axis=0), np.diff(centres, axis=0), strict=True)
    return np.array([0.0, *(_mean_length(turn @ (points - middle) + shift) for turn, shift in steps)])


def _mean_length(vectors: Floats) -> float:
    """Mean length of vectors, shape (3, m)."""
    return float(np.sqrt(np.einsum("im,im->m", vectors, vectors)).mean())


def _resample(series: DwiSeries, parts: NDArray[np.intp], part_transforms: Floats) -> Floats:
    """Interpolate each volume at where the voxels of each part had moved to; cubic, not below zero."""
    from dtimuscle.imaging.splines import Spline, volumes_first  # numba takes a second, and only this step needs it

    to_index = np.linalg.inv(series.affine)
    at = [np.flatnonzero(parts == k) for k in range(len(part_transforms))]
    places = [np.stack(np.unravel_index(each, parts.shape), axis=1).astype(float) for each in at]
    images = volumes_first(series.signal)

    def move(volume: int) -> None:
        if np.array_equal(part_transforms[:, volume], np.tile(np.eye(4), (len(places), 1, 1))):
            return
        spline = Spline.through(images[volume])
        for each, place, transforms in zip(at, places, part_transforms, strict=True):
            values, _ = spline.at(place, to_index @ transforms[volume] @ series.affine)
            images[volume].reshape(-1)[each] = np.maximum(values, 0)

    share_out(move, range(len(images)))
    return np.ascontiguousarray(np.moveaxis(images, 0, 3))


def _find_with_kit(series: DwiSeries, mask: Bools, *, lost: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
    """Find transforms and rotations by local correlation."""
    from dtimuscle.imaging.poses import find_poses  # numba takes a second, and only this engine needs it

    # The matrices are small, and with several threads rounding would depend on their number.
    with one_blas_thread():
        return find_poses(series, mask, lost=lost)


def _find_with_dipy(series: DwiSeries, mask: Bools) -> tuple[Floats, Floats, tuple[Issue, ...]]:
    """Register each volume to the first b = 0 by mutual information with DIPY."""
    from dipy.align import affine_registration  # takes a second, and only this engine needs it

    reference = int(np.argmax(series.gradients.is_b0))
    n_volumes = series.signal.shape[3]
    transforms = np.tile(np.eye(4), (n_volumes, 1, 1))
    for volume in range(n_volumes):
        if volume == reference:
            continue
        _, transforms[volume] = affine_registration(
            series.signal[..., volume],
            series.signal[..., reference],
            moving_affine=series.affine,
            static_affine=series.affine,
            pipeline=["translation", "rigid", "affine"],
            static_mask=mask.astype(np.int32),
            level_iters=[100, 50, 20],
        )
    u, _, vt = np.linalg.svd(transforms[:, :3, :3])
    return transforms, u @ vt, ()
