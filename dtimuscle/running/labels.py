"""Muscle labels as a study wants them: on the grid of the series, in its scheme, merged."""

from pathlib import Path

from dtimuscle.dwi import Floats
from dtimuscle.issues import Issue
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, merge_muscles, parse_merges
from dtimuscle.settings import RoiSettings
from dtimuscle.store.labels import read_labels


def read_muscles(
    path: Path, registry: MuscleRegistry, settings: RoiSettings, *, shape: tuple[int, int, int], affine: Floats
) -> tuple[MuscleLabels, tuple[Issue, ...]]:
    """Read the labels of a scan.

    Parameters
    ----------
    path : Path
        Label image, on any grid.
    registry : MuscleRegistry
        The names that are known.
    settings : RoiSettings
        Scheme, and muscles to merge.
    shape : tuple of int
        Of the series.
    affine : ndarray of shape (4, 4)
        Of the series, from voxel indices to world coordinates (RAS, mm).

    Returns
    -------
    labels : MuscleLabels
        On the grid of the series.
    issues : tuple of Issue
        Names that are no muscle or were corrected, resampling, wholes that lack a part.

    Raises
    ------
    DtiMuscleError
        If the labels cannot be read or do not fit the series.
    """
    labels, issues = read_labels(path, registry, scheme=settings.label_scheme, shape=shape, affine=affine)
    merges = parse_merges(settings.merge_muscles, registry)
    merged, more = merge_muscles(labels, merges, keep_parts=settings.keep_merged_parts)
    return merged, (*issues, *more)
