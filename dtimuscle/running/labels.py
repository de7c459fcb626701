"""Muscle labels as a study wants them: on the grid of the series, in its scheme, merged, carried over where missing."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from dtimuscle.dwi import Floats
from dtimuscle.errors import SettingsError
from dtimuscle.imaging.propagation import Anatomy, Atlas, propagate_labels
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleLabels, MuscleRegistry, merge_muscles, parse_merges
from dtimuscle.settings import RoiSettings, Study
from dtimuscle.store import derivatives
from dtimuscle.store.bids import Dataset, Scan
from dtimuscle.store.derivatives import Derivatives
from dtimuscle.store.label_tables import AUTO
from dtimuscle.store.labels import read_labels


def read_muscles(
    path: Path, registry: MuscleRegistry, settings: RoiSettings, *, shape: tuple[int, int, int], affine: Floats
) -> tuple[MuscleLabels, tuple[Issue, ...]]:
    """Read the labels of a scan.

    Parameters
    ----------
    path : Path
        Label image, on any grid; drawn, or propagated by the kit.
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
    # The kit's own labels have their names beside them, whatever scheme people drew theirs in.
    scheme = AUTO if path.name.endswith(derivatives.PROPAGATED) else settings.label_scheme
    labels, issues = read_labels(path, registry, scheme=scheme, shape=shape, affine=affine)
    merges = parse_merges(settings.merge_muscles, registry)
    merged, more = merge_muscles(labels, merges, keep_parts=settings.keep_merged_parts)
    return merged, (*issues, *more)


def with_atlases(dataset: Dataset, study: Study, place: Derivatives) -> Dataset:
    """Give scans without labels the scans whose labels are propagated to them, where the study wants that.

    Everybody gets the same: the first `propagate_labels` participants that have labels, or of those whom
    `label_atlases` names; of several sessions the first one with labels.

    Parameters
    ----------
    dataset : Dataset
        The scans.
    study : Study
        Its section `roi` counts.
    place : Derivatives
        Where propagated labels will lie.

    Returns
    -------
    Dataset
        With an issue when there is nobody to propagate labels from.

    Raises
    ------
    SettingsError
        If `label_atlases` names somebody who is not there or has no labels.
    """
    unlabelled = [scan for scan in dataset.scans if scan.labels is None]
    if not study.roi.propagate_labels or not unlabelled:
        return dataset
    labelled: dict[str, Scan] = {}
    for scan in dataset.scans:
        if scan.labels is not None and not scan.atlases:
            labelled.setdefault(scan.participant_id, scan)
    chosen = _named(study.roi.label_atlases, dataset, labelled) or tuple(labelled.values())
    atlases = chosen[: study.roi.propagate_labels]
    if not atlases:
        what = "labels are to be propagated, but no participant has any."
        remedy = "Label at least one participant, or set propagate_labels to 0."
        return replace(dataset, issues=(*dataset.issues, Issue(Severity.WARNING, "labels", what, remedy)))
    scans = tuple(
        scan
        if scan.labels is not None
        else replace(scan, labels=derivatives.propagated_labels_file(place, scan), atlases=atlases)
        for scan in dataset.scans
    )
    return replace(dataset, scans=scans)


def _named(names: Sequence[str], dataset: Dataset, labelled: dict[str, Scan]) -> tuple[Scan, ...]:
    known = {scan.participant_id for scan in dataset.scans}
    found = []
    for name in dict.fromkeys(names):
        who = name if name.startswith("sub-") else f"sub-{name}"
        if who not in known:
            near = get_close_matches(who, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise SettingsError(f"label_atlases: '{name}' is not among the participants.{hint}")
        if who not in labelled:
            raise SettingsError(
                f"label_atlases: {who} has no labels that could be propagated. Name others, or label it."
            )
        found.append(labelled[who])
    return tuple(found)


def propagate_to(scan: Scan, study: Study, place: Derivatives, registry: MuscleRegistry) -> None:
    """Propagate the labels of a scan's atlases to it, and keep them among the derivatives; no muscles are merged yet.

    Parameters
    ----------
    scan : Scan
        A scan with atlases; their tensors and its own have been fitted.
    study : Study
        Its section `roi` counts.
    place : Derivatives
        Where results are.
    registry : MuscleRegistry
        Codes of the muscles.
    """
    atlases = [_atlas(atlas, study, place, registry) for atlas in scan.atlases]
    propagated = propagate_labels(_anatomy(scan, place), atlases, registry, name=scan.name)
    about = {
        "Sources": [
            atlas.labels.resolve().as_uri()
            for atlas in scan.atlases
            if atlas.labels is not None and atlas.name in propagated.atlases
        ],
        "Atlases": list(propagated.atlases),
        "Method": "affine and symmetric diffeomorphic registration of the signal without weighting, majority vote",
        "MeanAgreement": propagated.mean_agreement if len(propagated.atlases) > 1 else None,
    }
    quality = {
        "atlases": propagated.atlases,
        "agreement": propagated.mean_agreement,
        "muscles": [
            {"muscle": muscle.muscle, "side": muscle.side, "agreement": muscle.agreement}
            for muscle in propagated.muscles
        ],
        "issues": [issue.to_dict() for issue in propagated.issues],
    }
    derivatives.write_propagated_labels(
        place, scan, propagated.labels, propagated.agreement, about=about, quality=quality
    )


def _atlas(scan: Scan, study: Study, place: Derivatives, registry: MuscleRegistry) -> Atlas:
    anatomy = _anatomy(scan, place)
    if scan.labels is None:
        raise SettingsError(f"{scan.name}: has no labels that could be propagated.")
    labels, _ = read_labels(
        scan.labels, registry, scheme=study.roi.label_scheme, shape=anatomy.shape, affine=anatomy.affine
    )
    return Atlas(scan.name, anatomy, labels)


def _anatomy(scan: Scan, place: Derivatives) -> Anatomy:
    # The fitted signal without weighting has the noise of the whole series behind it, not of a few volumes.
    return Anatomy(*derivatives.read_s0(place, scan))
