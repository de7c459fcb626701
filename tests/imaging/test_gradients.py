import itertools
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from dipy.data import get_fnames
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import DwiSeries, GradientTable, TensorMaps, fsl_frame
from dtimuscle.errors import GridMismatchError
from dtimuscle.imaging.gradients import COURSES, OrientationCheck, check_orientation
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.issues import Severity
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.running.cohort import simulate_cohort
from dtimuscle.settings import SimulationSettings
from dtimuscle.store import places
from dtimuscle.store.bids import read_dataset
from dtimuscle.store.images import read_dwi
from dtimuscle.store.labels import read_labels
from dtimuscle.store.registry import read_registry

N_PARTICIPANTS = 5

# Order and signs of the rows: what may have been done to a file, and what mends it.
FLIPS = {
    "negate row 1": ((0, 1, 2), (-1, 1, 1)),
    "negate row 2": ((0, 1, 2), (1, -1, 1)),
    "negate row 3": ((0, 1, 2), (1, 1, -1)),
    "swap rows 1 and 2": ((1, 0, 2), (1, 1, 1)),
    "swap rows 1 and 3": ((2, 1, 0), (1, 1, 1)),
    "swap rows 2 and 3": ((0, 2, 1), (1, 1, 1)),
}


def changed(maps: TensorMaps, order, signs) -> TensorMaps:
    """Maps as they come out when the rows of the file are reordered and negated."""
    frame = fsl_frame(maps.affine)
    turn = frame @ (np.array(signs)[:, None] * np.eye(3)[list(order)]) @ frame.T
    return replace(maps, direction=maps.direction @ turn.T)


def stored_otherwise(maps: TensorMaps, tilt: np.ndarray) -> TensorMaps:
    """Tilt the body together with the grid it is stored on."""
    affine = maps.affine.copy()
    affine[:3] = tilt @ maps.affine[:3]
    return replace(maps, affine=affine, direction=maps.direction @ tilt.T)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Series, maps of the raw data and labels of a few participants at SNR 25."""
    folder = tmp_path_factory.mktemp("flips")
    protocol = yaml.safe_load((places.protocols_folder() / "thigh_3t.yaml").read_text(encoding="utf-8"))
    protocol["voxel_mm"]["value"], protocol["matrix"]["value"] = [5.0, 5.0, 5.0], [80, 40, 8]
    (folder / "small.yaml").write_text(yaml.safe_dump(protocol), encoding="utf-8")
    settings = SimulationSettings(
        protocol=str(folder / "small.yaml"), n_poor=2, n_good=N_PARTICIPANTS - 2, snr=25.0, seed=7
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DTIMUSCLE_CACHE", str(folder))
        dataset = read_dataset(simulate_cohort(settings, workers=1))
    found = []
    for scan in dataset.scans:
        series = read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=20.0)
        labels, _ = read_labels(Path(scan.labels), read_registry())
        found.append((series, fit_tensor(series, foreground_mask(series), estimator="ols"), labels))
    return found


def warnings_of(check: OrientationCheck) -> list[str]:
    return [str(issue) for issue in check.issues if issue.severity is Severity.WARNING]


# What is asked of the check


@pytest.mark.parametrize("number", range(N_PARTICIPANTS))
@pytest.mark.parametrize("mending", FLIPS)
def test_every_flip_and_swap_is_found_with_its_remedy(scans, number, mending):
    _, maps, labels = scans[number]
    check = check_orientation(changed(maps, *FLIPS[mending]), labels=labels if number % 2 else None)
    assert check.verdict == "flipped"
    assert [candidate.mending for candidate in check.likely] == [mending]
    (warning,) = warnings_of(check)
    assert f"In the .bvec file {mending}" in warning


@pytest.mark.parametrize("number", range(N_PARTICIPANTS))
@pytest.mark.parametrize("has_labels", [False, True])
def test_directions_that_are_right_raise_no_alarm(scans, number, has_labels):
    _, maps, labels = scans[number]
    check = check_orientation(maps, labels=labels if has_labels else None)
    assert check.verdict == "as given"
    assert check.issues == ()
    assert check.likely[0].is_given


def test_a_cycle_of_rows_is_mended_by_the_order_that_is_named(scans):
    _, maps, _ = scans[0]
    best = check_orientation(changed(maps, (1, 2, 0), (1, 1, 1))).likely[0]
    assert best.mending == "put the rows in the order 3, 1, 2"
    assert best.rows == (3, 1, 2)


def test_turning_the_maps_is_what_reading_another_file_does(scans):
    series, maps, _ = scans[0]
    frame = fsl_frame(series.affine)
    rows = series.gradients.directions @ frame
    order, signs = FLIPS["swap rows 1 and 3"]
    table = replace(series.gradients, directions=(rows[:, list(order)] * signs) @ frame.T)
    read = fit_tensor(replace(series, gradients=table), maps.mask, estimator="ols")
    turned = changed(maps, order, signs)
    np.testing.assert_allclose(read.fa, maps.fa, atol=1e-6)
    cosines = np.abs(np.sum(read.direction * turned.direction, axis=-1))[maps.mask & np.isfinite(maps.fa)]
    assert np.quantile(cosines, 0.01) > 1 - 1e-9


def test_the_maps_are_left_as_they_are(scans):
    _, maps, _ = scans[0]
    flipped = changed(maps, *FLIPS["negate row 1"])
    before = flipped.direction.copy()
    check_orientation(flipped)
    np.testing.assert_array_equal(flipped.direction, before)


# Grids


@pytest.mark.parametrize(
    ("order", "mirrored"), [((0, 2, 1), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1)), ((1, 0, 2), (1, -1, 1))]
)
def test_the_remedy_speaks_of_the_files_rows_however_the_image_is_stored(scans, order, mirrored):
    _, maps, _ = scans[1]
    axes = np.eye(4)
    axes[:3, :3] = np.eye(3)[:, list(order)] * mirrored
    # Voxel i of the new storage is voxel `axes @ i + shift` of the old one.
    shift = np.where(axes[:3, :3].sum(axis=1) < 0, np.array(maps.fa.shape) - 1, 0)
    axes[:3, 3] = shift

    def stored(values):
        flipped = values[tuple(slice(None, None, -1) if s else slice(None) for s in shift)]
        return np.moveaxis(flipped, order, (0, 1, 2))

    other = replace(
        maps,
        **{name: stored(getattr(maps, name)) for name in ("fa", "md", "ad", "rd", "s0", "mask", "is_positive")},
        direction=stored(maps.direction),
        affine=maps.affine @ axes,
    )
    assert check_orientation(other).verdict == "as given"
    found = check_orientation(changed(other, *FLIPS["swap rows 2 and 3"])).likely
    assert [candidate.mending for candidate in found] == ["swap rows 2 and 3"]


@pytest.mark.parametrize(("axis", "degrees"), [("x", 12), ("y", 10)])
def test_thighs_raised_by_a_cushion_and_scanned_askew_raise_no_alarm_and_flips_are_found(scans, axis, degrees):
    _, maps, _ = scans[2]
    tilted = stored_otherwise(maps, Rotation.from_euler(axis, degrees, degrees=True).as_matrix())
    right = check_orientation(tilted)
    assert right.verdict == "as given"
    assert {candidate.frame for candidate in right.candidates} == {"image", "scanner"}
    assert len(right.candidates) == 48
    assert check_orientation(changed(tilted, *FLIPS["negate row 1"])).likely[0].mending == "negate row 1"


def test_all_orders_and_signs_are_tried_once_in_the_images_axes(scans):
    _, maps, _ = scans[0]
    candidates = check_orientation(maps).candidates
    assert len(candidates) == 24
    axes = [candidate.turn for candidate in candidates]
    for one, other in itertools.combinations(axes, 2):
        assert min(np.abs(one - other).max(), np.abs(one + other).max()) > 0.5


def test_labels_on_another_grid_are_refused(scans):
    _, maps, labels = scans[0]
    with pytest.raises(GridMismatchError, match="the labels and the tensor maps"):
        check_orientation(maps, labels=replace(labels, values=labels.values[1:]))


# Where the fibres cannot tell


def field(direction, *, shape=(60, 40, 12), fa=0.3, md=1.5e-3, where=None) -> TensorMaps:
    """Maps of a body in which all fibres run one way."""
    where = np.ones(shape, dtype=bool) if where is None else where
    constant = np.where(where, fa, np.nan)
    spread = np.where(where, md, np.nan)
    fibres = np.broadcast_to(np.asarray(direction, dtype=float) / np.linalg.norm(direction), (*shape, 3))
    affine = np.diag([4.0, 4.0, 5.0, 1.0])
    return TensorMaps(
        constant,
        spread,
        spread,
        spread,
        np.where(where[..., None], fibres, np.nan),
        spread,
        where,
        where,
        affine,
        "ols",
    )


def test_fibres_along_the_body_alone_cannot_tell_signs():
    check = check_orientation(field((0, 0, 1)))
    assert check.verdict == "undecidable"
    assert {"leave the rows as they are", "negate row 1", "negate row 2", "negate row 3"} <= {
        candidate.mending for candidate in check.likely
    }
    (issue,) = check.issues
    assert issue.severity is Severity.NOTE


def test_one_thigh_without_labels_has_no_twin():
    assert not check_orientation(field((0.2, 0.1, 1))).has_twin


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, 1)])
def test_one_thigh_without_labels_cannot_tell_signs(scans, signs):
    _, maps, _ = scans[0]
    mask = maps.mask.copy()
    mask[mask.shape[0] // 2 :] = False
    check = check_orientation(changed(replace(maps, mask=mask), (0, 1, 2), signs))
    assert check.verdict == "undecidable"
    assert warnings_of(check) == []


def test_two_thighs_are_told_apart_by_the_gap():
    where = np.zeros((60, 40, 12), dtype=bool)
    where[3:27], where[33:57] = True, True
    assert check_orientation(field((0, 0, 1), where=where)).has_twin


@pytest.mark.parametrize(("fa", "md"), [(0.3, 0.7e-3), (0.8, 1.5e-3)])
def test_what_does_not_diffuse_like_muscle_is_not_judged(fa, md):
    check = check_orientation(field((1, 0, 0), fa=fa, md=md))
    assert check.verdict == "undecidable"
    assert check.candidates == ()
    assert [issue.severity for issue in check.issues] == [Severity.NOTE]
    assert "diffuse like muscle" in check.issues[0].what


def test_a_small_crop_is_not_judged():
    check = check_orientation(field((1, 0, 0), shape=(10, 10, 8)))
    assert check.verdict == "undecidable"
    assert "cubes of 20 mm" in check.issues[0].what


def test_muscles_across_the_body_are_swapped_only_where_they_run_on():
    # Layers along x whose fibres follow them: to swap x and z would break every fibre.
    where = np.zeros((60, 40, 12), dtype=bool)
    where[:, :, ::3] = True
    check = check_orientation(field((1, 0, 0), where=where), is_thigh=False)
    assert check.verdict != "flipped"


def test_noise_has_no_orientation():
    rng = np.random.default_rng(3)
    noise = field((0, 0, 1))
    random = rng.normal(size=noise.direction.shape)
    random /= np.linalg.norm(random, axis=-1, keepdims=True)
    check = check_orientation(replace(noise, direction=random))
    assert check.verdict == "undecidable"
    assert warnings_of(check) == []


def test_a_muscle_whose_course_is_unknown_is_expected_along_the_body():
    maps = field((0, 0, 1))
    labels = MuscleLabels(np.ones(maps.fa.shape, dtype=np.int32), maps.affine, {1: ("deltoid", Side.LEFT)})
    assert "deltoid" not in COURSES
    assert check_orientation(maps, labels=labels).likely[0].course == pytest.approx(1)


def test_every_course_is_that_of_a_registered_muscle():
    assert set(COURSES) <= set(read_registry().names)


# Real brains


@pytest.mark.parametrize("name", ["small_64D", "small_101D"])
def test_a_real_brain_raises_no_alarm(name):
    image, bval, bvec = get_fnames(name=name)
    loaded = nib.load(image)
    bvals, bvecs = np.loadtxt(bval), np.loadtxt(bvec)
    bvecs = np.nan_to_num(bvecs if bvecs.shape[1] == 3 else bvecs.T)
    lengths = np.linalg.norm(bvecs, axis=1, keepdims=True)
    directions = np.divide(bvecs, lengths, out=np.zeros_like(bvecs), where=lengths > 0) @ fsl_frame(loaded.affine).T
    gradients = GradientTable(bvals, directions)
    series = DwiSeries(np.asarray(loaded.dataobj, dtype=np.float32), loaded.affine, gradients)
    check = check_orientation(fit_tensor(series, foreground_mask(series), estimator="ols"))
    assert check.verdict == "undecidable"
    assert warnings_of(check) == []
