from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dtimuscle import threads
from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError
from dtimuscle.imaging.motion import correct_motion

SHAPE = (64, 56, 6)
AFFINE = np.array([[2.5, 0, 0, -78.75], [0, 2.5, 0, -68.75], [0, 0, 5.0, -12.5], [0, 0, 0, 1]])
FIBRE = np.array([0.36, 0.48, 0.8])
# One direction for each tissue, far apart, so that the order of brightness turns with the gradient.
FIBRES = np.array([[np.sin(k) * 0.8, np.cos(k) * 0.8, 0.6] for k in range(9)])


def directions(n):
    z = 1 - (np.arange(n) + 0.5) / n
    angle = np.pi * (1 + 5**0.5) * (np.arange(n) + 0.5)
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)


def anatomy(points):
    """Tissue at points in mm: 0 air, 1 fat, 2 to 8 muscles that wander along the limb."""
    x, y, z = np.moveaxis(points, -1, 0)
    angles = np.arange(7) * 2 * np.pi / 7
    middle = [(32 * np.cos(a) + 0.3 * np.sin(3 * a) * z, 30 * np.sin(a) + 0.3 * np.cos(2 * a) * z) for a in angles]
    distance = np.stack([np.hypot(x - u, y - v) for u, v in middle])
    nearest = np.sort(distance, axis=0)
    tissue = np.where(nearest[1] - nearest[0] < 1.5, 1, distance.argmin(axis=0) + 2)
    radius = np.hypot(x / (1 + 0.004 * z), 1.15 * y - 0.05 * z)
    return np.where(radius < 53, tissue, np.where(radius < 60, 1, 0))


def scan(transforms, gradients, *, shape=SHAPE, affine=AFFINE, noise_sd=3.0, seed=0, fibres=FIBRE):
    """Simulate a limb of one fibre direction whose volumes were scanned after each transform."""
    fine = 2
    index = np.stack(np.meshgrid(*[(np.arange(n * fine) + 0.5) / fine - 0.5 for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    density = np.array([0, 60, 150, 190, 160, 210, 170, 200, 180.0])
    diffusivity = np.array([0, 0.2, 1.4, 1.6, 1.5, 1.4, 1.7, 1.5, 1.6]) * 1e-3
    signal = np.empty((*shape, len(transforms)), dtype=np.float32)
    for volume, transform in enumerate(transforms):
        back = np.linalg.inv(transform)
        tissue = anatomy(world @ back[:3, :3].T + back[:3, 3])
        u, _, vt = np.linalg.svd(transform[:3, :3])
        along = fibres @ (u @ vt).T @ gradients.directions[volume]
        adc = diffusivity * np.where(np.arange(9) > 1, 0.8 + 0.6 * along**2, 1.0)
        fine_image = (density * np.exp(-gradients.bvals[volume] * adc))[tissue]
        nx, ny, nz = shape
        signal[..., volume] = fine_image.reshape(nx, fine, ny, fine, nz, fine).mean(axis=(1, 3, 5))
    rng = np.random.default_rng(seed)
    noisy = np.hypot(signal + rng.normal(0, noise_sd, signal.shape), rng.normal(0, noise_sd, signal.shape))
    return DwiSeries(noisy.astype(np.float32), affine, gradients)


def table(n_b0=2, n_weighted=8, b=500.0):
    bvals = np.r_[np.zeros(n_b0), np.full(n_weighted, b)]
    return GradientTable(bvals, np.vstack([np.zeros((n_b0, 3)), directions(n_weighted)]))


def random_transforms(n, n_b0, *, shift_mm=1.0, angle_deg=0.7, stretch=0.01, seed=1, in_plane=False):
    rng = np.random.default_rng(seed)
    transforms = np.tile(np.eye(4), (n, 1, 1))
    for volume in range(1, n):
        seen = np.array([1.0, 1.0, 0.0]) if in_plane else np.ones(3)
        angles = np.radians(rng.normal(0, angle_deg, 3)) * (1 - seen if in_plane else 1)
        rigid, eddy = np.eye(4), np.eye(4)
        rigid[:3, :3] = Rotation.from_rotvec(angles).as_matrix()
        rigid[:3, 3] = rng.normal(0, shift_mm, 3) * seen
        if volume >= n_b0:
            eddy[1] += np.append(rng.normal(0, stretch, 3) * seen, rng.normal(0, 0.5))
        transforms[volume] = eddy @ rigid
    return transforms


def limb(shape=SHAPE, affine=AFFINE):
    return anatomy(np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]) > 0


def errors_mm(found, true, mask, affine=AFFINE):
    """Mean error of the displacement within and across slices, for each volume."""
    points = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    apart = points @ (found - true)[:, :3, :3].transpose(0, 2, 1) + (found - true)[:, None, :3, 3]
    return np.linalg.norm(apart[..., :2], axis=2).mean(axis=1), np.abs(apart[..., 2]).mean(axis=1)


@cache
def moved_case():
    gradients = table()
    transforms = random_transforms(len(gradients), 2)
    series = scan(transforms, gradients)
    return series, transforms, limb(), correct_motion(series, limb(), engine="kit")


def test_motion_and_eddy_currents_are_found():
    _, transforms, mask, result = moved_case()
    within, across = errors_mm(result.transforms, transforms, mask)
    assert within.mean() < 0.3
    assert across.mean() < 1.0


def test_no_volume_is_further_from_the_truth_within_the_slice_than_before():
    _, transforms, mask, result = moved_case()
    before, _ = errors_mm(np.tile(np.eye(4), (len(transforms), 1, 1)), transforms, mask)
    after, _ = errors_mm(result.transforms, transforms, mask)
    assert np.all(after[1:] < before[1:])


def test_corrected_volumes_are_nearer_to_a_series_without_motion():
    series, transforms, mask, result = moved_case()
    still = scan(np.tile(np.eye(4), (len(transforms), 1, 1)), series.gradients, noise_sd=0.0).signal

    def rmse(signal):
        return np.sqrt(np.mean((signal - still)[mask][:, 1:] ** 2))

    assert rmse(result.series.signal) < 0.7 * rmse(series.signal)


def test_the_reference_stays_where_it_was():
    series, _, _, result = moved_case()
    np.testing.assert_array_equal(result.series.signal[..., 0], series.signal[..., 0])
    np.testing.assert_array_equal(result.transforms[0], np.eye(4))
    assert result.displacement_mm[0] == 0
    assert result.rotation_deg[0] == 0


def test_displacement_is_the_mean_over_the_mask():
    _, _, mask, result = moved_case()
    points = np.argwhere(mask) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    moved = points @ result.transforms[5, :3, :3].T + result.transforms[5, :3, 3]
    assert result.displacement_mm[5] == pytest.approx(np.linalg.norm(moved - points, axis=1).mean())


def test_framewise_displacement_is_the_mean_distance_between_successive_rigid_poses():
    _, transforms, mask, result = moved_case()
    assert result.framewise_mm[0] == 0
    # The first step is between two b = 0 volumes, which eddy currents spare.
    assert result.framewise_mm[1] == pytest.approx(result.displacement_mm[1])
    points = np.argwhere(mask) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    u, _, vt = np.linalg.svd(transforms[:, :3, :3])
    places = (points - points.mean(axis=0)) @ (u @ vt).transpose(0, 2, 1)
    places += (transforms[:, :3, :3] @ points.mean(axis=0) + transforms[:, :3, 3])[:, None]
    true = np.linalg.norm(np.diff(places, axis=0), axis=2).mean(axis=1)
    assert result.framewise_mm[1:] == pytest.approx(true, abs=0.5)


def test_muscles_whose_order_of_brightness_turns_with_the_gradient_do_not_mislead():
    gradients = table(n_b0=1, n_weighted=9)
    transforms = random_transforms(len(gradients), 1, shift_mm=1.5, angle_deg=1.5, seed=3)
    result = correct_motion(scan(transforms, gradients, fibres=FIBRES), limb(), engine="kit")
    within, across = errors_mm(result.transforms, transforms, limb())
    assert within[1:].mean() < 0.3
    # Held against the mean of all directions, the volumes end up 0.8 mm away.
    assert across[1:].mean() < 0.5


def test_the_signal_stays_non_negative_and_finite():
    result = moved_case()[3]
    assert result.series.signal.min() >= 0
    assert np.isfinite(result.series.signal).all()


def fibre_angle_deg(signal, gradients, mask):
    """Angle between the true fibre and the first eigenvector of a log-linear fit to the mean signal."""
    g = gradients.directions
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    columns = [-gradients.bvals * g[:, i] * g[:, j] * (1 if i == j else 2) for i, j in pairs]
    fit = np.linalg.lstsq(np.stack([*columns, np.ones(len(g))], axis=1), np.log(signal[mask].mean(axis=0)), rcond=None)[
        0
    ]
    tensor = np.zeros((3, 3))
    for (i, j), value in zip(pairs, fit[:6], strict=True):
        tensor[i, j] = tensor[j, i] = value
    return np.degrees(np.arccos(min(1.0, abs(np.linalg.eigh(tensor)[1][:, 2] @ FIBRE))))


def test_the_fibre_direction_is_right_only_with_turned_gradients():
    gradients = table(n_b0=1, n_weighted=7)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("z", 12, degrees=True).as_matrix()
    transforms = np.concatenate([[np.eye(4)], np.tile(turned, (7, 1, 1))])
    series = scan(transforms, gradients)
    core = limb()
    result = correct_motion(series, core, engine="kit")
    assert result.rotation_deg[1:] == pytest.approx(12, abs=0.5)
    assert fibre_angle_deg(result.series.signal, result.series.gradients, core) < 2.0
    assert fibre_angle_deg(result.series.signal, gradients, core) > 5.0


def test_the_turn_is_in_world_coordinates_on_an_oblique_mirrored_grid():
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xyz", [10, -15, 20], degrees=True).as_matrix() @ np.diag([-2.5, 2.5, 5.0])
    oblique[:3, 3] = -oblique[:3, :3] @ (np.array(SHAPE) - 1) / 2
    gradients = table(n_b0=1, n_weighted=6)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_rotvec(np.radians(6) * oblique[:3, 2] / 5).as_matrix()
    transforms = np.concatenate([[np.eye(4)], np.tile(turned, (6, 1, 1))])
    mask = limb(affine=oblique)
    result = correct_motion(scan(transforms, gradients, affine=oblique), mask, engine="kit")
    np.testing.assert_allclose(result.transforms[1:, :3, :3], transforms[1:, :3, :3], atol=0.03)
    expected = gradients.directions[1:] @ turned[:3, :3]
    np.testing.assert_allclose(result.series.gradients.directions[1:], expected, atol=0.03)


def test_stretch_by_eddy_currents_does_not_turn_the_gradients():
    gradients = table(n_b0=1, n_weighted=6)
    transforms = np.tile(np.eye(4), (7, 1, 1))
    transforms[1:, 1, 0] = 0.03
    result = correct_motion(scan(transforms, gradients), limb(), engine="kit")
    # Half the shear, 0.86°, would be a rotation if the two were not told apart.
    assert result.rotation_deg.max() < 0.4


@pytest.mark.parametrize("n_slices", [1, 3])
def test_few_slices_are_aligned_within_the_slice_only(n_slices):
    gradients = table()
    shape = (*SHAPE[:2], n_slices)
    transforms = random_transforms(len(gradients), 2, in_plane=True)
    mask = limb(shape)
    result = correct_motion(scan(transforms, gradients, shape=shape), mask, engine="kit")
    within, across = errors_mm(result.transforms, transforms, mask)
    assert within.mean() < 0.4
    assert across.max() < 1e-9
    assert any("slices" in issue.what for issue in result.issues)


def test_volumes_of_noise_are_left_in_place_with_an_issue():
    gradients = table()
    series = scan(random_transforms(len(gradients), 2), gradients)
    series.signal[..., 6] = np.abs(np.random.default_rng(0).normal(0, 3, SHAPE))
    result = correct_motion(series, limb(), engine="kit")
    assert any("volume 6" in issue.where for issue in result.issues)
    assert result.displacement_mm[6] < 3.0
    assert np.isfinite(result.transforms).all()


def test_a_crop_too_small_to_be_aligned_is_left_in_place():
    series, _, _, _ = moved_case()
    crop = DwiSeries(series.signal[20:30, 20:30], AFFINE, series.gradients)
    result = correct_motion(crop, np.ones(crop.shape, dtype=bool), engine="kit")
    np.testing.assert_array_equal(result.series.signal, crop.signal)
    assert [issue.where for issue in result.issues] == ["motion correction"]


@pytest.mark.parametrize(("n_b0", "n_weighted"), [(1, 0), (3, 0), (0, 6)])
def test_series_of_one_kind_of_volume_are_aligned(n_b0, n_weighted):
    gradients = table(n_b0, n_weighted)
    series = scan(random_transforms(len(gradients), n_b0), gradients)
    result = correct_motion(series, limb(), engine="kit")
    assert result.series.signal.shape == series.signal.shape
    assert np.isfinite(result.displacement_mm).all()


def two_limbs():
    """Two small limbs side by side, 25 mm of air between them, each of which moves on its own."""
    gradients = table(n_b0=1, n_weighted=6)
    halves = [random_transforms(7, 1, seed=seed) for seed in (1, 2)]
    scans = [scan(transforms, gradients, seed=seed) for seed, transforms in enumerate(halves)]
    affine = AFFINE.copy()
    signal = np.concatenate([each.signal for each in scans])
    mask = np.concatenate([limb(), limb()])
    # The second limb lies one field of view further along x; its transforms are about its own middle.
    width = SHAPE[0] * AFFINE[0, 0]
    there, back = np.eye(4), np.eye(4)
    there[0, 3], back[0, 3] = width, -width
    return DwiSeries(signal, affine, gradients), mask, [halves[0], there @ halves[1] @ back]


@cache
def apart():
    series, mask, truth = two_limbs()
    return series, mask, truth, correct_motion(series, mask, separate_thighs=True)


def test_thighs_that_move_differently_are_each_found():
    _, mask, truth, result = apart()
    assert set(np.unique(result.parts[: SHAPE[0]][mask[: SHAPE[0]]])) == {0}
    assert set(np.unique(result.parts[SHAPE[0] :][mask[SHAPE[0] :]])) == {1}
    for k in range(2):
        still, _ = errors_mm(np.tile(np.eye(4), (7, 1, 1)), truth[k], mask & (result.parts == k))
        within, _ = errors_mm(result.part_transforms[k], truth[k], mask & (result.parts == k))
        assert within[1:].mean() < 0.35 * still[1:].mean()


def test_directions_of_both_thighs_lie_between_those_of_each_and_the_difference_is_told():
    result = apart()[3]
    first, second = (table.directions[1:] for table in result.part_gradients)
    middle = first + second
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    np.testing.assert_allclose(result.series.gradients.directions[1:], middle, atol=1e-3)
    assert any("turned differently" in issue.what for issue in result.issues)


def test_a_single_limb_is_corrected_as_one_with_an_issue():
    series = scan(random_transforms(2, 2), table(n_b0=2, n_weighted=0))
    result = correct_motion(series, limb(), separate_thighs=True)
    assert not result.parts.any()
    np.testing.assert_array_equal(result.part_transforms, result.transforms[None])
    assert any("told apart" in issue.what for issue in result.issues)


def test_noise_does_not_draw_a_moved_image_back():
    shifts = np.array([0.0, 4.0, -4.0, 5.0])
    transforms = np.tile(np.eye(4), (4, 1, 1))
    transforms[:, 2, 3] = shifts
    result = correct_motion(scan(transforms, table(n_b0=4, n_weighted=0), noise_sd=10.0), limb())
    # One-sided differences at the outermost slices leave 22 % of the motion in place, against 2 % without noise.
    assert (result.transforms[:, 2, 3] @ shifts) / (shifts @ shifts) == pytest.approx(1, abs=0.1)


def test_lost_slices_that_are_told_mislead_neither_their_volume_nor_the_others():
    gradients = table(n_b0=1)
    transforms = random_transforms(9, 1, shift_mm=2.0, in_plane=True)
    whole, mask = scan(transforms, gradients), limb()
    lost = np.zeros((SHAPE[2], 9), dtype=bool)
    lost[[1, 4], 3] = lost[0, 5] = lost[3, 7] = True
    signal = whole.signal * np.where(lost, 0.05, 1.0).astype(np.float32)
    expected = correct_motion(whole, mask)
    told = correct_motion(whole.with_signal(signal), mask, lost_slices=lost)
    within, across = errors_mm(told.transforms, expected.transforms, mask)
    assert within.max() < 0.3
    assert across.max() < 0.6
    # What was scanned beside a lost slice is as it would have been without the loss.
    beside, without = (each.series.signal[..., 2, 3][mask[..., 2]].mean() for each in (told, expected))
    np.testing.assert_allclose(beside, without, rtol=0.02)


def test_a_volume_whose_slices_are_all_lost_stays_with_the_others():
    gradients = table(n_b0=1)
    series, mask = scan(np.tile(np.eye(4), (9, 1, 1)), gradients), limb()
    lost = np.zeros((SHAPE[2], 9), dtype=bool)
    lost[:, 4] = True
    found = correct_motion(series, mask, lost_slices=lost).transforms
    within, across = errors_mm(found[1:], np.tile(found[4], (8, 1, 1)), mask)
    assert max(within.max(), across.max()) < 0.3


def test_a_volume_of_which_only_the_outermost_slices_are_left_is_aligned_within_them():
    gradients = table(n_b0=1)
    series, mask = scan(np.tile(np.eye(4), (9, 1, 1)), gradients), limb()
    lost = np.zeros((SHAPE[2], 9), dtype=bool)
    lost[1:-1, 4] = True
    found = correct_motion(series, mask, lost_slices=lost).transforms
    within, _ = errors_mm(found[1:], np.tile(found[4], (8, 1, 1)), mask)
    assert within.max() < 0.3


def test_the_number_of_threads_changes_no_number(monkeypatch):
    series, _, mask, _ = moved_case()
    found = []
    for n in (1, 2):
        monkeypatch.setitem(threads._limits, "n", n)
        found.append(correct_motion(series, mask))
    one, two = found
    np.testing.assert_array_equal(one.transforms, two.transforms)
    np.testing.assert_array_equal(one.series.signal, two.series.signal)
    np.testing.assert_array_equal(one.framewise_mm, two.framewise_mm)


@pytest.mark.parametrize("n_weighted", [6, 12])
def test_shear_that_all_volumes_share_is_no_rotation_however_many_they_are(n_weighted):
    gradients = table(n_b0=1, n_weighted=n_weighted)
    transforms = np.tile(np.eye(4), (n_weighted + 1, 1, 1))
    transforms[1:, 1, 0] = 0.03
    # Volumes cannot tell the axis then, b = 0 can.
    result = correct_motion(scan(transforms, gradients, seed=n_weighted), limb())
    assert result.rotation_deg.max() < 0.4


def test_the_phase_encoding_axis_is_told_where_eddy_currents_differ():
    gradients = table(n_b0=1, n_weighted=9)
    transforms = random_transforms(10, 1, seed=5)
    transforms[1:, 1, :3] += 0.02 * gradients.directions[1:]
    found = correct_motion(scan(transforms, gradients, noise_sd=6.0), limb()).transforms[1:, :3, :3]
    # Along x nothing was stretched.
    assert np.std(np.linalg.norm(found[:, 0], axis=1)) < 1e-3
    assert np.std(np.linalg.norm(found[:, 1], axis=1)) > 6e-3


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GridMismatchError, match="mask"):
        correct_motion(moved_case()[0], np.ones((2, 2, 2), dtype=bool), engine="kit")


def test_an_empty_mask_is_refused():
    with pytest.raises(ImageError, match="no voxel"):
        correct_motion(moved_case()[0], np.zeros(SHAPE, dtype=bool), engine="kit")


@pytest.mark.slow
def test_dipy_aligns_and_its_gradients_are_turned():
    gradients = table(n_b0=1, n_weighted=1)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("z", 5, degrees=True).as_matrix()
    transforms = np.array([np.eye(4), turned])
    result = correct_motion(scan(transforms, gradients), limb(), engine="dipy")
    assert result.rotation_deg[1] == pytest.approx(5, abs=1)
    expected = gradients.directions[1] @ turned[:3, :3]
    np.testing.assert_allclose(result.series.gradients.directions[1], expected, atol=0.03)
    assert result.displacement_mm[1] > 1
