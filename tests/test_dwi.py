import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import (
    MAX_CONDITION,
    DwiSeries,
    GradientTable,
    TensorMaps,
    directions_from_fsl,
    directions_to_fsl,
    find_shells,
    fsl_frame,
    grid_rotation,
    require_one_grid,
    select_shells,
    voxel_sizes,
)
from dtimuscle.errors import GradientError, GridMismatchError, ImageError

BVECS = np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [-0.48, 0.64, 0.6], [2 / 3, -1 / 3, 2 / 3], [0.36, 0.48, -0.8]])

# Grid (voxel axes × voxel sizes) and the directions that MRtrix 3.0.3 makes of BVECS on it:
# mrinfo image.nii -fslgrad bvec bval -dwgrad
WORLD_BY_MRTRIX = {
    "ras": (
        [[2.5, 0.0, 0.0], [0.0, 2.5, 0.0], [0.0, 0.0, 5.0]],
        [
            [0.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0],
            [0.0, 0.6, 0.8],
            [0.48, 0.64, 0.6],
            [-0.666667, -0.333333, 0.666667],
            [-0.36, 0.48, -0.8],
        ],
    ),
    "las": (
        [[-2.5, 0.0, 0.0], [0.0, 2.5, 0.0], [0.0, 0.0, 5.0]],
        [
            [0.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0],
            [0.0, 0.6, 0.8],
            [0.48, 0.64, 0.6],
            [-0.666667, -0.333333, 0.666667],
            [-0.36, 0.48, -0.8],
        ],
    ),
    "oblique_positive": (
        [[2.2825, -0.81366, 1.229879], [0.880583, 2.332692, -0.363978], [-0.514555, 0.382758, 4.832692]],
        [
            [0.0, 0.0, 0.0],
            [-0.913, -0.352233, 0.205822],
            [0.001502, 0.50161, 0.865093],
            [0.377529, 0.722564, 0.579115],
            [-0.336195, -0.594378, 0.730539],
            [-0.681683, 0.379309, -0.625645],
        ],
    ),
    "oblique_negative": (
        [[-2.2825, -0.81366, 1.229879], [-0.880583, 2.332692, -0.363978], [0.514555, 0.382758, 4.832692]],
        [
            [0.0, 0.0, 0.0],
            [-0.913, -0.352233, 0.205822],
            [0.001502, 0.50161, 0.865093],
            [0.377529, 0.722564, 0.579115],
            [-0.336195, -0.594378, 0.730539],
            [-0.681683, 0.379309, -0.625645],
        ],
    ),
    "swapped_positive": (
        [[-0.28954, -0.115504, 4.960978], [2.449271, -0.424555, 0.532254], [0.408946, 2.460978, 0.32466]],
        [
            [0.0, 0.0, 0.0],
            [0.115816, -0.979708, -0.163578],
            [0.766036, -0.016733, 0.64258],
            [0.510157, 0.425444, 0.747487],
            [0.754075, -0.525565, -0.393895],
            [-0.774239, -0.51937, 0.361674],
        ],
    ),
    "swapped_negative": (
        [[-0.28954, 2.480489, -0.231007], [2.449271, 0.266127, -0.84911], [0.408946, 0.16233, 4.921956]],
        [
            [0.0, 0.0, 0.0],
            [-0.115816, 0.979708, 0.163578],
            [0.558356, -0.071987, 0.826472],
            [0.662876, -0.504025, 0.553674],
            [-0.438743, 0.504441, 0.743669],
            [0.471521, 0.539649, -0.697457],
        ],
    ),
}


def affine_of(grid) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = grid
    affine[:3, 3] = (-10, 5, 20)
    return affine


def table(bvals, directions, **more) -> GradientTable:
    return GradientTable(np.asarray(bvals, dtype=float), np.asarray(directions, dtype=float), **more)


SIX = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]) / np.sqrt(2)


# Conventions


@pytest.mark.parametrize("case", WORLD_BY_MRTRIX)
def test_directions_from_fsl_agree_with_mrtrix(case):
    grid, expected = WORLD_BY_MRTRIX[case]
    np.testing.assert_allclose(directions_from_fsl(BVECS, affine_of(grid)), expected, atol=2e-6)


def test_directions_on_all_storage_orders_straight_and_oblique_agree_with_mrtrix():
    reference = json.loads((Path(__file__).parent / "reference" / "fsl_bvecs.json").read_text(encoding="utf-8"))
    bvecs = np.array(reference["bvecs"])
    orders = {(case["tilt"], tuple(np.sign(np.round(case["affine"], 0)).ravel())) for case in reference["cases"]}
    assert len(reference["cases"]) == 96
    assert len({order for tilt, order in orders if tilt == "straight"}) == 48
    for case in reference["cases"]:
        affine = affine_of(case["affine"])
        np.testing.assert_allclose(directions_from_fsl(bvecs, affine), case["directions"], atol=1e-7)
        np.testing.assert_allclose(directions_to_fsl(np.array(case["directions"]), affine), bvecs, atol=1e-7)


def test_the_frame_of_a_bvec_file_is_left_handed_on_every_grid():
    for grid, _ in WORLD_BY_MRTRIX.values():
        assert np.linalg.det(fsl_frame(affine_of(grid))) == pytest.approx(-1)


@pytest.mark.parametrize("case", WORLD_BY_MRTRIX)
def test_directions_to_fsl_give_back_what_mrtrix_was_given(case):
    grid, world = WORLD_BY_MRTRIX[case]
    np.testing.assert_allclose(directions_to_fsl(np.array(world), affine_of(grid)), BVECS, atol=2e-6)


def test_the_cases_cover_both_storage_orders():
    signs = {np.sign(np.linalg.det(np.array(grid))) for grid, _ in WORLD_BY_MRTRIX.values()}
    assert signs == {-1.0, 1.0}


def test_a_direction_stays_where_it_is_when_the_image_is_stored_otherwise():
    # One image in two storage orders (nibabel reorients the voxels): the b-vectors differ, the world does not.
    image = nib.Nifti1Image(np.zeros((4, 5, 6)), affine_of(WORLD_BY_MRTRIX["swapped_positive"][0]))
    world = directions_from_fsl(BVECS, image.affine)
    stored = nib.as_closest_canonical(image)
    assert not np.allclose(stored.affine, image.affine)
    np.testing.assert_allclose(directions_from_fsl(directions_to_fsl(world, stored.affine), stored.affine), world)
    # On a grid that is nearly RAS, FSL's vector is the world's with the first component mirrored.
    near_world = directions_to_fsl(world, stored.affine) * (-1, 1, 1)
    angles = np.degrees(np.arccos(np.clip(np.sum(near_world * world, axis=1)[1:], -1, 1)))
    assert angles.max() < 12.1  # the obliquity of that grid


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_to_fsl_undoes_from_fsl_on_any_grid(seed, is_mirrored):
    rng = np.random.default_rng(seed)
    grid = Rotation.random(rng=rng).as_matrix() @ np.diag(rng.uniform(0.5, 8, 3) * (-1 if is_mirrored else 1, 1, 1))
    bvecs = rng.normal(size=(5, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    world = directions_from_fsl(bvecs, affine_of(grid))
    np.testing.assert_allclose(np.linalg.norm(world, axis=1), 1)
    np.testing.assert_allclose(directions_to_fsl(world, affine_of(grid)), bvecs, atol=1e-12)


def test_voxel_sizes_are_edge_lengths_on_an_oblique_grid():
    grid, _ = WORLD_BY_MRTRIX["oblique_negative"]
    np.testing.assert_allclose(voxel_sizes(affine_of(grid)), (2.5, 2.5, 5), rtol=1e-6)


def test_grid_rotation_is_orthogonal_even_for_a_sheared_grid():
    rotation = grid_rotation(affine_of(np.array([[2, 0.1, 0], [0, 2, 0.2], [0, 0, 5.0]])))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


# Gradient tables


def test_volumes_up_to_the_threshold_count_as_b0():
    gradients = table([0, 20, 20.5], [[0, 0, 0], [0, 0, 0], [1, 0, 0]])
    assert gradients.is_b0.tolist() == [True, True, False]


def test_another_threshold_moves_the_line():
    gradients = table([0, 20, 45], [[0, 0, 0], [0, 0, 1], [1, 0, 0]], b0_threshold=10.0)
    assert gradients.is_b0.tolist() == [True, False, False]


def test_antipodes_and_repeats_count_as_one_direction():
    gradients = table([0, *[500] * 4], [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert gradients.n_directions == 2


def test_directions_two_degrees_apart_are_two():
    angle = np.radians(2)
    gradients = table([500, 500], [[1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    assert gradients.n_directions == 2


def test_six_directions_and_one_b0_carry_a_tensor():
    table([0, *[500] * 6], [[0, 0, 0], *SIX]).require_tensor()


def test_five_directions_do_not_carry_a_tensor():
    with pytest.raises(GradientError, match="5 independent gradient directions"):
        table([0, *[500] * 6], [[0, 0, 0], *SIX[:5], -SIX[0]]).require_tensor()


def test_without_b0_there_is_no_tensor_and_the_lowest_b_is_named():
    with pytest.raises(GradientError, match=r"no volume has b ≤ 20 s/mm² \(the lowest is 50\)"):
        table([50, *[500] * 5], SIX).require_tensor()


def test_shapes_that_disagree_are_refused():
    with pytest.raises(GradientError, match="2 b-values"):
        table([0, 500], [[1, 0, 0]])


@pytest.mark.parametrize("b", [-1.0, np.nan, np.inf])
def test_b_values_that_are_no_weighting_are_refused(b):
    with pytest.raises(GradientError, match="negative or not a number"):
        table([0, b], [[0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("direction", [(0, 0, 0), (0.5, 0, 0), (np.nan, 0, 0)])
def test_a_weighted_volume_needs_a_unit_direction(direction):
    with pytest.raises(GradientError, match="volume 1 has b = 500 s/mm²"):
        table([0, 500], [[0, 0, 0], direction])


def test_each_direction_turns_with_its_own_volume():
    quarter = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    gradients = table([500, 500], [[1, 0, 0], [1, 0, 0]]).rotated(np.array([np.eye(3), quarter]))
    np.testing.assert_allclose(gradients.directions, [[1, 0, 0], [0, 1, 0]], atol=1e-15)


def test_rotation_keeps_full_precision():
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    turns = Rotation.from_rotvec(rng.normal(0, 3, (200, 3)), degrees=True)
    before = table(np.full(200, 500), directions)
    after = before.rotated(turns.as_matrix()).rotated(turns.inv().as_matrix())
    np.testing.assert_allclose(after.directions, directions, atol=1e-14)
    np.testing.assert_allclose(before.rotated(turns.as_matrix()).directions, turns.apply(directions), atol=1e-14)


def test_the_tensor_of_a_turned_patient_is_measured_with_turned_directions():
    # Tissue that has turned by R shows the scanner's gradient g the signal of Rᵀg.
    turn = Rotation.from_rotvec([3, -2, 5], degrees=True).as_matrix()
    tensor = np.diag([1.1, 1.3, 1.9]) * 1e-3
    gradients = table(np.full(6, 500), SIX)
    scanned = np.einsum("ni,ij,nj->n", SIX, turn @ tensor @ turn.T, SIX)
    seen = gradients.rotated(np.tile(turn.T, (6, 1, 1))).directions
    np.testing.assert_allclose(np.einsum("ni,ij,nj->n", seen, tensor, seen), scanned, rtol=1e-12)


@pytest.mark.parametrize("matrix", [np.diag([1, 1, -1]), np.diag([1, 1.001, 1]), np.full((3, 3), np.nan)])
def test_what_is_no_rotation_is_refused(matrix):
    with pytest.raises(GradientError, match="volume 1 is no proper rotation"):
        table([500, 500], [[1, 0, 0], [1, 0, 0]]).rotated(np.array([np.eye(3), matrix]))


def test_one_rotation_for_several_volumes_is_refused():
    with pytest.raises(GradientError, match=r"shape \(3, 3\) for 2 volumes"):
        table([500, 500], [[1, 0, 0], [1, 0, 0]]).rotated(np.eye(3))


# Degenerate schemes


def on_a_cone(n, degrees=50.0):
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    tilt = np.radians(degrees)
    return np.stack([np.sin(tilt) * np.cos(angles), np.sin(tilt) * np.sin(angles), np.full(n, np.cos(tilt))], axis=1)


def test_the_condition_of_even_directions_is_the_one_that_theory_gives():
    golden = (1 + 5**0.5) / 2
    axes = np.array([(0, 1, golden), (0, 1, -golden), (1, golden, 0), (1, -golden, 0), (golden, 0, 1), (golden, 0, -1)])
    even = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    # XᵀX of six even axes has the eigenvalues 2, 4/5 (twice) and 8/5 (three times).
    assert table([500] * 6, even).condition == pytest.approx(np.sqrt(2 / 0.8))


@pytest.mark.parametrize("n", [7, 30])
def test_directions_on_one_cone_carry_no_tensor(n):
    with pytest.raises(GradientError, match="on or near one cone around the origin"):
        table([0, *[500] * n], [[0, 0, 0], *on_a_cone(n)]).require_tensor()


def test_rounding_in_a_file_does_not_hide_a_cone():
    rounded = np.round(on_a_cone(7), 3)
    gradients = table([0, *[500] * 7], [[0, 0, 0], *(rounded / np.linalg.norm(rounded, axis=1, keepdims=True))])
    assert MAX_CONDITION < gradients.condition < np.inf
    with pytest.raises(GradientError, match="undetermined"):
        gradients.require_tensor()


def test_directions_in_one_plane_carry_no_tensor_and_the_plane_is_named():
    angles = np.arange(8) * np.pi / 8
    flat = np.stack([np.cos(angles), np.zeros(8), np.sin(angles)], axis=1)
    with pytest.raises(GradientError, match=r"in the plane across \(-?0\.00, -?1\.00, -?0\.00\)"):
        table([0, *[500] * 8], [[0, 0, 0], *flat]).require_tensor()


def test_a_cone_and_its_axis_carry_a_tensor():
    with_axis = [[0, 0, 0], *on_a_cone(7), [0, 0, 1]]
    table([0, *[500] * 8], with_axis).require_tensor()


# Shells


def shelled(bvals) -> GradientTable:
    """A table whose shells all have the directions 0 to 11, as often as there are volumes."""
    bvals = np.asarray(bvals, dtype=float)
    rng = np.random.default_rng(2)
    directions = rng.normal(size=(len(bvals), 3))
    return table(bvals, directions / np.linalg.norm(directions, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("bvals", "expected"),
    [
        ([0, 5, 15, 495, 500, 505], [0, 500]),
        ([0.5, 1000, 987, 1003], [0, 996.667]),
        ([0, 30, 50, 80, 120, 200, 400, 600], [0, 30, 50, 80, 120, 200, 400, 600]),
        ([300, 700], [300, 700]),
        ([0, 990, 1010, 1990, 2005, 2995, 3010], [0, 1000, 1997.5, 3002.5]),
    ],
)
def test_b_values_are_grouped_into_shells(bvals, expected):
    found = find_shells(shelled(bvals))
    np.testing.assert_allclose([shell.b for shell in found], expected, atol=1e-3)
    assert sorted(np.concatenate([shell.volumes for shell in found]).tolist()) == list(range(len(bvals)))


def test_high_shells_are_left_out_when_low_ones_carry_a_tensor():
    selection = select_shells(shelled([0, 0, *[500] * 10, *[1005] * 10, *[2000] * 20]))
    assert [shell.nominal for shell in selection.used] == ["0", "500", "1000"]
    assert [shell.nominal for shell in selection.left_out] == ["2000"]
    assert selection.volumes.tolist() == [True] * 22 + [False] * 20
    assert selection.words == (
        "The tensor uses b = 0 (2), 500 (10) and 1000 (10) s/mm² (volumes in brackets); left out: b = 2000 (20) s/mm²."
    )


def test_a_single_high_shell_is_used_and_the_reason_is_said():
    selection = select_shells(shelled([0, *[2000] * 12]))
    assert selection.volumes.all()
    assert selection.left_out == ()
    assert "Without b = 2000 (12) s/mm² there would be no tensor." in selection.words


def test_the_next_higher_shell_is_taken_in_when_too_few_directions_remain():
    selection = select_shells(shelled([0, *[400] * 3, *[1500] * 12, *[3000] * 12]))
    assert [shell.nominal for shell in selection.used] == ["0", "400", "1500"]
    assert [shell.nominal for shell in selection.left_out] == ["3000"]


def test_limits_on_b_are_settings():
    gradients = shelled([0, *[50] * 8, *[500] * 8, *[2000] * 8])
    assert [shell.nominal for shell in select_shells(gradients, highest_b=None).used] == ["0", "50", "500", "2000"]


def test_a_series_without_a_tensor_in_any_shell_is_refused():
    with pytest.raises(GradientError, match="5 independent"):
        select_shells(shelled([0, *[500] * 5]))


def test_shells_of_a_series_are_cut_with_their_gradients(series):
    part = series.subset(np.arange(7) != 3)
    assert part.signal.shape == (4, 3, 2, 6)
    np.testing.assert_array_equal(part.signal[..., 3], series.signal[..., 4])
    assert len(part.gradients) == 6


def test_a_subset_keeps_bvals_and_directions_together_and_the_threshold():
    gradients = table([0, 500, 600], [[0, 0, 0], [1, 0, 0], [0, 1, 0]], b0_threshold=5.0).subset(np.array([2, 0]))
    assert gradients.bvals.tolist() == [600, 0]
    assert gradients.directions[0].tolist() == [0, 1, 0]
    assert gradients.b0_threshold == 5.0


# Series


def test_a_three_dimensional_image_is_no_series(series):
    with pytest.raises(ImageError, match="has 3"):
        DwiSeries(series.signal[..., 0], series.affine, series.gradients)


def test_volumes_and_b_values_must_be_as_many(series):
    with pytest.raises(GradientError, match="6 volumes but 7 b-values"):
        series.with_signal(series.signal[..., :6])


def test_means_are_taken_over_the_right_volumes(series):
    np.testing.assert_allclose(series.mean_b0(), series.signal[..., 0])
    np.testing.assert_allclose(series.mean_weighted(), series.signal[..., 1:].mean(axis=-1))


def test_shape_and_voxel_sizes_describe_the_grid(series):
    assert series.shape == (4, 3, 2)
    assert series.voxel_sizes.tolist() == [2.5, 2.5, 5.0]


def test_another_signal_leaves_the_series_unchanged(series):
    before = series.signal.copy()
    assert series.with_signal(series.signal * 2).signal[3, 2, 1, 6] == 2 * before[3, 2, 1, 6]
    np.testing.assert_array_equal(series.signal, before)


def test_scalars_are_the_four_maps_under_their_names():
    fa, md, ad, rd, other = (np.full((1, 1, 1), float(i)) for i in range(5))
    maps = TensorMaps(fa, md, ad, rd, np.zeros((1, 1, 1, 3)), other, other > 0, other > 0, np.eye(4), "ols")
    assert {name: values.item() for name, values in maps.scalars.items()} == {"fa": 0, "md": 1, "ad": 2, "rd": 3}


# One grid


def test_equal_grids_are_one_whatever_the_number_of_volumes():
    require_one_grid((4, 5, 6, 7), np.eye(4), (4, 5, 6), np.eye(4), names="the labels and the DWI")


def test_another_shape_is_another_grid():
    with pytest.raises(GridMismatchError, match=r"the labels and the DWI .*: 4 × 5 × 6 against 4 × 5 × 7 voxels"):
        require_one_grid((4, 5, 6), np.eye(4), (4, 5, 7), np.eye(4), names="the labels and the DWI")


@pytest.mark.parametrize(("shift", "is_one"), [(0.049, True), (0.051, False)])
def test_a_shift_counts_from_the_twentieth_of_a_millimetre(shift, is_one):
    moved = np.eye(4)
    moved[1, 3] = shift
    assert fits((4, 5, 6), moved) is is_one


@pytest.mark.parametrize(("n", "is_one"), [(10, True), (101, False)])
def test_a_difference_in_voxel_size_counts_by_what_it_does_at_the_far_corner(n, is_one):
    stretched = np.diag([1.001, 1, 1, 1])  # 0.009 mm over 10 voxels, 0.1 mm over 101
    assert fits((n, 2, 2), stretched) is is_one


def fits(shape, affine) -> bool:
    try:
        require_one_grid(shape, affine, shape, np.eye(4), names="the labels and the DWI")
    except GridMismatchError:
        return False
    return True


def test_the_message_says_how_far_the_corners_are_apart():
    moved = np.eye(4)
    moved[:2, 3] = (3, 4)
    with pytest.raises(GridMismatchError, match=r"corners 5\.0 mm apart \(at most 0\.05 mm\)"):
        require_one_grid((4, 5, 6), moved, (4, 5, 6), np.eye(4), names="the labels and the DWI")
