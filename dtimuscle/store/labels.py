"""Label images of any origin: whose values mean which muscle, on the grid of the diffusion series."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from dtimuscle.dwi import Floats
from dtimuscle.errors import GridMismatchError, ImageError, LabelError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import (
    LabelMeaning,
    MuscleLabels,
    MuscleRegistry,
    Side,
    meaning_of_names,
    side_of_word,
    with_side,
)
from dtimuscle.store.files import naming, write_text
from dtimuscle.store.images import read_image
from dtimuscle.store.label_grids import (
    LabelVolume,
    OnGrid,
    is_one_grid,
    labels_on_grid,
    places_apart,
    read_transform,
    transform_beside,
    transforms_beside,
    values_in,
)
from dtimuscle.store.label_tables import (
    AUTO,
    MUSCLEMAP,
    LabelNames,
    names_in_header,
    read_names,
    read_structures,
    scheme_file,
    scheme_names,
    structures_file,
    table_beside,
    tables_beside,
)

# Stored labels may carry rounding in single precision; anything further from a whole number was interpolated.
WHOLE_TOLERANCE = 1e-3

# Images are read in single precision, in which whole numbers are exact below this one.
LABELS_BELOW = 2**24

# Entities whose value may name the side of an image ("hemi-L"); a part of the name without an entity may, too.
SIDE_ENTITIES = ("hemi", "side", "desc", "label", "leg")

# Values that a message names.
MOST_VALUES = 6


def read_labels(
    paths: Path | Sequence[Path],
    registry: MuscleRegistry,
    *,
    scheme: str = AUTO,
    shape: tuple[int, int, int] | None = None,
    affine: Floats | None = None,
    transform: Path | None = None,
) -> tuple[MuscleLabels, tuple[Issue, ...]]:
    """Read labels and what their values mean, on the grid of the diffusion series.

    Parameters
    ----------
    paths : Path or sequence of Path
        Label image, `…_dseg.nii.gz`. Of `…_hemi-L_dseg.nii.gz` the other side is read along, of
        `…_label-gracilis_mask.nii.gz` the other muscles; several are put together.
    registry : MuscleRegistry
        The names that are known.
    scheme : str, default="auto"
        What the values mean: `auto` (the look-up table beside the image; MuscleMap codes without one), `musclemap`,
        a scheme in `data/labels/` (`qmritools`), or the path of a look-up table.
    shape : tuple of int, optional
        Size of the series; without it labels stay on their own grid.
    affine : ndarray of shape (4, 4), optional
        Of the series, from voxel indices to world coordinates (RAS, mm).
    transform : Path, optional
        Moves the labels onto the series; by default the `…_to-dwi_…_xfm.txt` beside the image, if there is one.

    Returns
    -------
    labels : MuscleLabels
        Labels with their meaning.
    issues : tuple of Issue
        Names that were corrected or are no muscle, values of another scheme, resampling.

    Raises
    ------
    LabelError
        If values are not whole numbers, a look-up table cannot be used, images overlap, or an image of one side
        holds muscles of the other.
    GridMismatchError
        If the labels lie elsewhere than the series, or their header does not say where.
    DatasetError, ImageError
        If an image cannot be read, or is not three-dimensional.
    """
    images = label_images(paths) if isinstance(paths, Path) else tuple(paths)
    parts: list[MuscleLabels] = []
    issues: list[Issue] = []
    for path in images:
        values, own = _read_values(path)
        present = values_in(values)
        found = _meaning(path, present, registry, scheme)
        side = side_of_image(path)
        if side is not None:
            with naming(path):
                found = with_side(found, side, present=present)
        if shape is None or affine is None:
            shape, affine = values.shape, own
        drawn = LabelVolume(values, own)
        placed = _placed(path, drawn, (shape, affine), transform)
        lost = _lost(found, set(present) - set(values_in(placed.values)))
        parts.append(MuscleLabels(placed.values, affine, found.meaning, found.structures, lost=lost))
        issues += [*found.issues, *_placed_twice(path, drawn, (shape, affine)), *placed.issues]
    if len(parts) == 1:
        return parts[0], tuple(issues)
    labels, more = _together(images, parts, registry)
    return labels, (*issues, *more)


def _read_values(path: Path) -> tuple[NDArray[np.int32], Floats]:
    data, affine = read_image(path)
    values = data
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise ImageError(
            f"{path}: a label image has three dimensions; this one has {values.ndim}. "
            "Save one volume in which each muscle has a number of its own."
        )
    whole = np.rint(values)
    with np.errstate(invalid="ignore"):  # infinity is found below
        is_whole = np.abs(whole - values) <= WHOLE_TOLERANCE
    if not is_whole.all():
        raise LabelError(
            f"{path}: holds {values[~is_whole][0]:g}, which is no label. "
            "Labels must be resampled with nearest neighbours, never interpolated, and their background is 0."
        )
    largest = np.abs(whole).max(initial=0)
    if largest >= LABELS_BELOW:
        raise LabelError(f"{path}: holds {largest:.0f}; labels are below {LABELS_BELOW:,}. Number the muscles anew.")
    return whole.astype(np.int32), affine


def _meaning(path: Path, present: tuple[int, ...], registry: MuscleRegistry, scheme: str) -> LabelMeaning:
    structures = read_structures()
    table = table_beside(path) if scheme == AUTO else scheme_file(scheme)
    carried = _carried_names(path, present, registry) if scheme == AUTO and table is None else None
    if carried is not None:
        return meaning_of_names(carried.names, registry, present=present, structures=structures, source=carried.source)
    if table is None:
        codes = {code: other.name for other in structures for code in other.codes}
        meaning = registry.by_code()
        # A muscle that the registry knows is one, whatever else the code may be listed as.
        others = {code: name for code, name in codes.items() if code not in meaning}
        strange = [value for value in present if value not in meaning and value not in others]
        is_other = 2 * len(strange) > len(present) and scheme == AUTO
        what = f"has no look-up table, and its values ({_listed(strange)}) are no MuscleMap codes."
        remedy = f"Put a table of index and name beside it ({_stem(path)}.tsv)."
        hint = (_other_scheme(path, present, registry, what, remedy),) if is_other else ()
        return LabelMeaning(meaning, others, hint)
    names = read_names(table)
    source = names.source if scheme == AUTO or scheme not in scheme_names() else f"label scheme {scheme}"
    found = meaning_of_names(names.names, registry, present=present, structures=structures, source=source)
    if present and not set(present) & set(names.names):
        what = f"holds none of the values of {source}, but {_listed(present)}."
        hint = (_other_scheme(path, present, registry, what, "Name its own values there."),)
        found = replace(found, issues=(*hint, *found.issues))
    if scheme == AUTO and not table.name.startswith(_stem(path)):
        issue = Issue(Severity.NOTE, path.name, f"the names of its values are those of {table}.")
        return replace(found, issues=(issue, *found.issues))
    return found


def _carried_names(path: Path, present: tuple[int, ...], registry: MuscleRegistry) -> LabelNames | None:
    """Return what an image itself says of its values: in its header, or of its only value in its own name."""
    muscle = _muscle_of_image(path)
    is_plain = len(present) == 1 and present[0] not in registry.by_code()
    if muscle is not None and is_plain and registry.match(muscle).muscle is not None:
        return LabelNames(path.name, {present[0]: muscle})
    return names_in_header(path)


def _other_scheme(path: Path, present: tuple[int, ...], registry: MuscleRegistry, what: str, remedy: str) -> Issue:
    """Say which schemes fit values that have no meaning; never guess."""
    files = {name: scheme_file(name) for name in scheme_names() if name != MUSCLEMAP}
    codes = {MUSCLEMAP: set(registry.by_code())}
    codes |= {name: set(read_names(file).names) for name, file in files.items() if file is not None}
    fits = [name for name, known in codes.items() if set(present) <= known]
    if fits:
        what += f" They could be those of {' or '.join(fits)}."
        remedy = f"If they are, set label_scheme to {' or '.join(fits)}. Otherwise {remedy[0].lower()}{remedy[1:]}"
    return Issue(Severity.WARNING, path.name, what, remedy)


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:MOST_VALUES])) + (", …" if len(values) > MOST_VALUES else "")


def _placed(
    path: Path, drawn: LabelVolume, grid: tuple[tuple[int, int, int], Floats], transform: Path | None
) -> OnGrid:
    is_there = is_one_grid(drawn.values.shape, drawn.affine, *grid)
    beside = None if transform else transform_beside(path)
    if is_there and beside is not None:
        what = f"is on the grid of the diffusion series already, so {beside.name} beside it is not applied."
        return OnGrid(
            drawn.values, (Issue(Severity.WARNING, path.name, what, "Remove the file that does not belong."),)
        )
    transform = transform or beside
    move = read_transform(transform) if transform else None
    if (move is not None or not is_there) and not _says_where_it_lies(path):
        raise GridMismatchError(
            f"{path}: is not on the grid of the diffusion series, and its header does not say where it lies "
            "(no sform, no qform). Save it again with the header of the image that it was drawn on."
        )
    with naming(path):
        return labels_on_grid(drawn, *grid, source=path.name, transform=move)


def _placed_twice(path: Path, drawn: LabelVolume, grid: tuple[tuple[int, int, int], Floats]) -> tuple[Issue, ...]:
    """Say when sform and qform differ by more than half a voxel, so that programs disagree on where labels lie."""
    apart = places_apart(path)
    if apart <= min(np.linalg.norm(drawn.affine[:3, :3], axis=0)) / 2:
        return ()
    what = f"the header places the image twice, {apart:.1f} mm apart (sform and qform)."
    severity = Severity.NOTE if is_one_grid(drawn.values.shape, drawn.affine, *grid) else Severity.WARNING
    return (Issue(severity, path.name, what, "The sform is used. Look at the outlines on the maps."),)


def _says_where_it_lies(path: Path) -> bool:
    header = nib.load(path).header
    return not isinstance(header, nib.Nifti1Header) or bool(header["sform_code"] or header["qform_code"])


def _lost(found: LabelMeaning, gone: set[int]) -> tuple[tuple[str, Side], ...]:
    """Return the muscles whose values have gone when the labels were brought to another grid."""
    return tuple(dict.fromkeys(found.meaning[value] for value in sorted(gone) if value in found.meaning))


def _together(
    images: tuple[Path, ...], parts: list[MuscleLabels], registry: MuscleRegistry
) -> tuple[MuscleLabels, tuple[Issue, ...]]:
    """Put several images into one, with a value of its own for each muscle and side."""
    codes = {found: code for code, found in registry.by_code().items()}
    found = dict.fromkeys(name for part in parts for name in part.present.values())
    free = max(codes.values(), default=0)
    for name in found:
        if name not in codes:
            free += 1
            codes[name] = free
    values = np.zeros_like(parts[0].values)
    issues = []
    for path, part in zip(images, parts, strict=True):
        for value, name in part.present.items():
            here = part.values == value
            n_twice = int(np.count_nonzero(values[here]))
            if n_twice:
                other = next(
                    image.name for image, before in zip(images, parts, strict=True) if before.values[here].any()
                )
                raise LabelError(
                    f"{path}: {n_twice} voxels of {name[0]} are labelled in {other} as well. "
                    "Each voxel belongs to one muscle of one side."
                )
            values[here] = codes[name]
        if part.unknown:
            what = f"label values without a muscle: {', '.join(map(str, part.unknown))}."
            issues.append(Issue(Severity.WARNING, path.name, what, "Name them in a look-up table beside the labels."))
    meaning = {codes[name]: name for name in found}
    lost = tuple(dict.fromkeys(muscle for part in parts for muscle in part.lost))
    return MuscleLabels(values, parts[0].affine, meaning, lost=lost), tuple(issues)


def label_images(path: Path) -> tuple[Path, ...]:
    """Return a label image and those beside it that go with it: of the other side, or of the other muscles.

    Parameters
    ----------
    path : Path
        The label image; `sub-1_hemi-L_dseg.nii.gz` goes with `sub-1_hemi-R_dseg.nii.gz`, `muscles_left.nii` with
        `muscles_right.nii`, `sub-1_label-gracilis_mask.nii.gz` with all others that differ in label and side.

    Returns
    -------
    tuple of Path
        The given one first.
    """
    words = _stem(path).split("_")
    if _muscle_of_image(path) is not None:
        beside = sorted(other for other in path.parent.glob("*.nii*") if other.name.endswith((".nii", ".nii.gz")))
        alike = [
            other for other in beside if _muscle_of_image(other) and _of_all_muscles(other) == _of_all_muscles(path)
        ]
        return (path, *(other for other in alike if other != path))
    for i, word in enumerate(words):
        if _side_of_part(word) is None or not path.parent.is_dir():
            continue
        entity, dash, value = word.rpartition("-")
        other = "_".join((*words[:i], f"{entity}{dash}{_OPPOSITE[value.lower()]}", *words[i + 1 :]))
        for candidate in path.parent.iterdir():
            if candidate.name.lower() in (f"{other}.nii".lower(), f"{other}.nii.gz".lower()):
                return path, candidate
    return (path,)


def side_of_image(path: Path) -> Side | None:
    """Return the side that an image's name says it shows.

    Parameters
    ----------
    path : Path
        The label image.

    Returns
    -------
    Side or None
        None when the name says no side, or both.
    """
    sides = {_side_of_part(word) for word in _stem(path).split("_")} - {None}
    return next(iter(sides)) if len(sides) == 1 else None


def _muscle_of_image(path: Path) -> str | None:
    """Return what the entity `label` of an image's name says, unless that is a side."""
    values = [word.removeprefix("label-") for word in _stem(path).split("_") if word.startswith("label-")]
    return values[0] if values and side_of_word(values[0]) is None else None


def _of_all_muscles(path: Path) -> list[str]:
    """Return the parts of an image's name that the images of all muscles share."""
    return [word for word in _stem(path).split("_") if not word.startswith(("label-", "hemi-", "side-"))]


_OPPOSITE = {"l": "R", "r": "L", "left": "right", "right": "left"}


def _side_of_part(word: str) -> Side | None:
    entity, _, value = word.rpartition("-")
    if value.lower() not in _OPPOSITE or (entity and entity not in SIDE_ENTITIES):
        return None
    return side_of_word(value)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def label_files(path: Path, *, scheme: str = AUTO) -> tuple[Path, ...]:
    """Return all files that decide what `read_labels` finds.

    Parameters
    ----------
    path : Path
        The label image.
    scheme : str, default="auto"
        As for `read_labels`.

    Returns
    -------
    tuple of Path
        Images first, then look-up tables, transforms and the table of other structures.
    """
    images = label_images(path)
    tables = [table for image in images for table in tables_beside(image)] if scheme == AUTO else [scheme_file(scheme)]
    moves = [move for image in images for move in transforms_beside(image)]
    found = (*images, *(table for table in tables if table is not None), *moves, structures_file())
    return tuple(dict.fromkeys(found))


def write_label_table(path: Path, labels: MuscleLabels) -> None:
    """Write the look-up table of a label image (`index`, `name`).

    Parameters
    ----------
    path : Path
        The file.
    labels : MuscleLabels
        Values and their meaning.
    """
    rows = "".join(f"{value}\t{name}_{side}\n" for value, (name, side) in sorted(labels.meaning.items()))
    write_text(path, "index\tname\n" + rows)
