import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dtimuscle import roi_table
from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, LabelError
from dtimuscle.imaging.fat import FatFraction
from dtimuscle.imaging.roi import cross_section_cm2, erode, measure_muscles, volume_ml
from dtimuscle.imaging.tensor import fit_signals, fit_tensor
from dtimuscle.issues import Severity
from dtimuscle.muscles import Muscle, MuscleLabels, MuscleRegistry, Side, merge_muscles, parse_merges

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
SHAPE = (20, 10, 6)
REGISTRY = MuscleRegistry((Muscle("gracilis", "Gracilis", 7151, 7152), Muscle("sartorius", "Sartorius", 7141, 7142)))
MEANING = {
    7151: ("gracilis", Side.LEFT),
    7152: ("gracilis", Side.RIGHT),
    7211: ("adductor_longus", Side.LEFT),
    900: ("sartorius", Side.BOTH),
}


def thigh_gradients():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return GradientTable(np.r_[0.0, np.full(12, 500.0)], np.vstack([np.zeros((1, 3)), directions]))


def noisy_series():
    """A tensor whose diffusivity grows along x, with noise, so that voxels differ."""
    rng = np.random.default_rng(1)
    gradients = thigh_gradients()
    tensor = np.diag([1.9e-3, 1.4e-3, 1.2e-3])
    along = np.einsum("ni,ij,nj->n", gradients.directions, tensor, gradients.directions)
    scale = np.linspace(0.7, 1.2, SHAPE[0])[:, None, None, None]
    signal = 100 * np.exp(-gradients.bvals * along * scale) * np.ones((*SHAPE, 1))
    return DwiSeries(np.hypot(signal + rng.normal(0, 2, signal.shape), 2.0), AFFINE, gradients)


def muscle_labels(values=None, affine=AFFINE, meaning=None):
    if values is None:
        values = np.zeros(SHAPE, dtype=np.uint16)
        values[1:7, 1:8, 1:5] = 7151
        values[11:18, 2:9, 0:6] = 7152
        values[8:10, 2:7, 1:5] = 7211
    return MuscleLabels(values, affine, MEANING if meaning is None else meaning)


@pytest.fixture(scope="module")
def series():
    return noisy_series()


@pytest.fixture(scope="module")
def maps(series):
    return fit_tensor(series, np.ones(SHAPE, dtype=bool))


def measured(maps, labels, series, **settings):
    return measure_muscles(maps, labels, series, **({"participant_id": "sub-01", "erosion_mm": 0.0} | settings))


def row_of(table, muscle, side, parameter, route):
    wanted = (table.muscle == muscle) & (table.side == side) & (table.parameter == parameter) & (table.route == route)
    assert wanted.sum() == 1
    return table[wanted].iloc[0]


def test_the_table_is_a_roi_table_with_a_row_for_each_side_parameter_and_route(maps, series):
    table = measured(maps, muscle_labels(), series, session="ses-1", is_simulated=True).table
    assert roi_table.check_roi_table(table, source="test").equals(table)
    # Gracilis has left, right and both; adductor longus left and both.
    assert len(table) == (3 + 2) * 4 * 2
    assert set(table.session) == {"ses-1"}
    assert set(table.participant_id) == {"sub-01"}
    assert table.is_simulated.all()
    assert all(table[column].dtype == float for column in ("mean", "median", "sd", "q25", "q75"))


def test_voxelwise_values_describe_the_voxels_of_the_muscle(maps, series):
    labels = muscle_labels()
    table = measured(maps, labels, series).table
    for parameter, volume in maps.scalars.items():
        for side, where in (
            ("left", labels.values == 7151),
            ("right", labels.values == 7152),
            ("both", np.isin(labels.values, (7151, 7152))),
        ):
            row, voxels = row_of(table, "gracilis", side, parameter, "voxelwise"), volume[where]
            np.testing.assert_allclose(row["mean"], np.mean(voxels))
            np.testing.assert_allclose(row["median"], np.median(voxels))
            np.testing.assert_allclose(row["sd"], np.std(voxels, ddof=1))
            np.testing.assert_allclose([row["q25"], row["q75"]], np.quantile(voxels, [0.25, 0.75]))
            assert (row["n_label"], row["n_kept"], row["n_eroded"], row["n_unusable"]) == (
                voxels.size,
                voxels.size,
                0,
                0,
            )


def test_the_mean_signal_route_is_the_tensor_of_the_mean_signal(maps, series):
    labels = muscle_labels()
    table = measured(maps, labels, series, estimator="nlls", erosion_mm=2.5).table
    kept = erode(labels.values == 7151, 2.5, series.voxel_sizes)
    expected = fit_signals(series.signal[kept].mean(axis=0)[np.newaxis], series.gradients, estimator="nlls")
    for parameter, value in expected.scalars.items():
        row = row_of(table, "gracilis", "left", parameter, "mean_signal")
        np.testing.assert_allclose(row["mean"], value[0], rtol=1e-9)
        assert row[["median", "sd", "q25", "q75"]].isna().all()
        assert row["n_kept"] == kept.sum()


def test_a_muscle_with_one_side_has_that_side_as_both(maps, series):
    table = measured(maps, muscle_labels(), series).table
    columns = [column for column in roi_table.COLUMNS if column != "side"]
    longus = table[table.muscle == "adductor_longus"]
    left, both = longus[longus.side == "left"][columns], longus[longus.side == "both"][columns]
    assert set(longus.side) == {"left", "both"}
    pd.testing.assert_frame_equal(left.reset_index(drop=True), both.reset_index(drop=True), rtol=1e-9)


def test_a_label_without_a_side_counts_only_as_both(maps, series):
    values = np.zeros(SHAPE, dtype=np.uint16)
    values[2:6, 2:8, 1:5] = 900
    table = measured(maps, muscle_labels(values), series).table
    assert set(table.side) == {"both"}
    assert set(table.n_label) == {4 * 6 * 4}
    assert len(table) == 4 * 2


# A block of 7 × 5 × 5 voxels of 2.5 × 2.5 × 5 mm, away from the image border.
@pytest.mark.parametrize(
    ("depth_mm", "kept"),
    [
        (0.0, 7 * 5 * 5),
        (2.4, 7 * 5 * 5),  # the nearest outside centre is 2.5 mm away
        (2.5, 5 * 3 * 5),  # one voxel in plane, none across slices
        (4.9, 5 * 3 * 5),
        (5.0, 3 * 1 * 3),  # two voxels in plane, one across slices
        (7.5, 0),
    ],
)
def test_erosion_is_in_millimetres(depth_mm, kept):
    block = np.zeros((11, 9, 9), dtype=bool)
    block[2:9, 2:7, 2:7] = True
    assert erode(block, depth_mm, np.array([2.5, 2.5, 5.0])).sum() == kept


def test_erosion_rounds_off_what_is_near_a_corner_of_the_outside():
    region = np.ones((7, 7, 1), dtype=bool)
    region[3, 3] = False
    kept = erode(region, 1.5, np.array([1.0, 1.0, 1.0]))
    # All eight neighbours lie within √2 mm of the hole; the next ones are 2 mm away.
    assert kept.sum() == 49 - 9


def test_the_border_of_the_image_does_not_erode():
    region = np.zeros((6, 6, 6), dtype=bool)
    region[:, :, :3] = True
    np.testing.assert_array_equal(np.argwhere(erode(region, 1.0, np.ones(3)).any(axis=(0, 1))).ravel(), [0, 1])
    assert erode(np.ones((3, 3, 3), dtype=bool), 10.0, np.ones(3)).all()


def test_erosion_within_the_box_equals_erosion_of_the_whole_image():
    rng = np.random.default_rng(2)
    sizes = np.array([1.2, 2.0, 5.0])
    for _ in range(10):
        region = ndimage.gaussian_filter(rng.normal(size=(15, 14, 8)), 1.5) > 0.05
        distance = ndimage.distance_transform_edt(region, sampling=sizes)
        np.testing.assert_array_equal(erode(region, 2.2, sizes), distance > 2.2)


def test_sides_are_eroded_apart_even_where_they_touch(maps, series):
    values = np.zeros(SHAPE, dtype=np.uint16)
    values[2:8, 2:8, 1:5] = 7151
    values[8:14, 2:8, 1:5] = 7152
    table = measured(maps, muscle_labels(values), series, erosion_mm=2.5, min_voxels=1).table
    both = row_of(table, "gracilis", "both", "fa", "voxelwise")
    assert both["n_kept"] == 2 * (4 * 4 * 4)
    assert both["n_eroded"] == 2 * (6 * 6 * 4) - 2 * (4 * 4 * 4)


def test_counts_of_every_row_add_up(series):
    mask = np.ones(SHAPE, dtype=bool)
    mask[:4] = False
    table = measured(fit_tensor(series, mask), muscle_labels(), series, erosion_mm=2.5).table
    assert (table.n_kept + table.n_eroded + table.n_unusable == table.n_label).all()
    assert row_of(table, "gracilis", "left", "md", "voxelwise")["n_unusable"] > 0
    assert row_of(table, "gracilis", "right", "md", "voxelwise")["n_unusable"] == 0


def test_voxels_without_a_fit_are_counted_and_left_out_of_both_routes(series):
    spoilt = series.signal.copy()
    spoilt[2:4, 2:4, 2, 0] = 0
    series = series.with_signal(spoilt)
    maps = fit_tensor(series, np.ones(SHAPE, dtype=bool))
    labels = muscle_labels()
    kept = (labels.values == 7151) & np.isfinite(maps.fa)
    table = measured(maps, labels, series).table
    voxelwise = row_of(table, "gracilis", "left", "md", "voxelwise")
    assert (voxelwise["n_unusable"], voxelwise["n_kept"]) == (4, kept.sum())
    np.testing.assert_allclose(voxelwise["mean"], maps.md[kept].mean())
    expected = fit_signals(series.signal[kept].mean(axis=0)[np.newaxis], series.gradients).md[0]
    np.testing.assert_allclose(row_of(table, "gracilis", "left", "md", "mean_signal")["mean"], expected)


def test_voxels_with_an_impossible_tensor_stay_in_and_many_of_them_are_warned_about(maps, series):
    labels = muscle_labels()
    is_positive = np.ones(SHAPE, dtype=bool)
    is_positive[8:10, 2:3, 1:4] = False
    plain = measured(replace(maps, is_positive=np.ones(SHAPE, dtype=bool)), labels, series)
    doubtful = measured(replace(maps, is_positive=is_positive), labels, series)
    assert doubtful.table.equals(plain.table)
    assert plain.issues == ()
    (issue,) = doubtful.issues
    assert (issue.severity, issue.where) == (Severity.WARNING, "sub-01, adductor_longus")
    assert issue.what.startswith("15% of the voxels")


def test_a_muscle_that_is_too_small_keeps_its_rows_without_values(maps, series):
    labels = muscle_labels()
    measurement = measured(maps, labels, series, min_voxels=41)
    small = measurement.table[measurement.table.muscle == "adductor_longus"]
    assert len(small) == 2 * 4 * 2
    assert small[["mean", "median", "sd", "q25", "q75"]].isna().all(axis=None)
    assert set(small.n_kept) == {40}
    (issue,) = measurement.issues
    assert issue.severity is Severity.ERROR
    assert issue.where == "sub-01, adductor_longus"
    assert "left 40 of 40, both 40 of 40; at least 41" in issue.what
    just_large_enough = measured(maps, labels, series, min_voxels=40)
    assert just_large_enough.issues == ()
    assert just_large_enough.table["mean"].notna().all()


def test_a_muscle_that_was_drawn_but_has_no_voxel_keeps_its_rows(maps, series):
    labels = replace(muscle_labels(), lost=(("sartorius", Side.RIGHT), ("gracilis", Side.LEFT)))
    measurement = measured(maps, labels, series, weights=np.ones(1))
    rows = measurement.table[measurement.table.muscle == "sartorius"]
    assert (set(rows.side), set(rows.n_label), len(rows)) == ({"right", "both"}, {0}, 2 * 4 * 2)
    assert rows[["mean", "median", "sd", "q25", "q75"]].isna().all(axis=None)
    (issue,) = measurement.issues
    assert (issue.severity, issue.where) == (Severity.ERROR, "sub-01, sartorius")
    assert "right 0 of 0, both 0 of 0; at least 20" in issue.what
    quality = quality_of(measurement, "sartorius", "right")
    assert (quality.n_kept, quality.volume_ml, quality.cross_section_cm2) == (0, 0, None)
    merged, _ = merge_muscles(labels, parse_merges(["strip = sartorius + gracilis"], REGISTRY))
    assert set(merged.regions) == {("strip", Side.LEFT), ("strip", Side.RIGHT), ("adductor_longus", Side.LEFT)}


def test_a_table_without_any_value_keeps_its_types(maps, series):
    table = measured(maps, muscle_labels(), series, min_voxels=10_000).table
    assert all(table[column].dtype == float for column in ("mean", "median", "sd", "q25", "q75"))
    assert table["mean"].isna().all()


def test_labels_of_no_known_muscle_are_named(maps, series):
    labels = muscle_labels()
    labels.values[0, 0, 0] = 77
    labels.values[0, 0, 1] = 4321
    (issue,) = measured(maps, labels, series).issues
    assert issue.severity is Severity.WARNING
    assert "77, 4321" in issue.what
    with pytest.raises(LabelError, match=r"sub-01: no label is a known muscle \(found 77, 4321, 7151, 7152, 7211\)"):
        measured(maps, muscle_labels(labels.values, meaning={}), series)
    meaning = {7151: ("gracilis", Side.LEFT)}
    bones = MuscleLabels(np.where(labels.values == 7151, 0, labels.values), AFFINE, meaning, structures={7152: "femur"})
    with pytest.raises(LabelError, match=r"\(found 77, 4321, 7211, 7152 \(femur\)\)"):
        measured(maps, bones, series)
    with pytest.raises(LabelError, match=r"nothing is labelled \(found only 0\)"):
        measured(maps, muscle_labels(np.zeros(SHAPE, dtype=np.uint16)), series)


def test_labels_on_another_grid_are_refused_even_when_the_shapes_agree(maps, series):
    shifted = AFFINE.copy()
    shifted[0, 3] = 4.2
    with pytest.raises(GridMismatchError, match=r"sub-01: the labels and the maps .* 4\.2 mm apart"):
        measured(maps, muscle_labels(affine=shifted), series)
    with pytest.raises(GridMismatchError, match="the labels and the series"):
        measured(maps, muscle_labels(), DwiSeries(series.signal, shifted, series.gradients))


def quality_of(measurement, muscle, side):
    (found,) = [quality for quality in measurement.quality if (quality.muscle, quality.side) == (muscle, side)]
    return found


def test_every_muscle_and_side_of_the_table_has_its_quality(maps, series):
    measurement = measured(maps, muscle_labels(), series)
    rows = measurement.table[["muscle", "side", "n_kept"]].drop_duplicates()
    assert [(q.muscle, q.side, q.n_kept) for q in measurement.quality] == list(rows.itertuples(index=False, name=None))
    assert {q.snr for q in measurement.quality} == {None}
    assert {q.grade for q in measurement.quality} == {"unknown"}
    record = json.loads(json.dumps(measurement.quality_dict()))
    assert record["muscles"][0]["muscle"] == measurement.quality[0].muscle
    assert record["issues"] == []


def test_the_snr_of_a_muscle_is_its_mean_signal_over_its_noise(maps, series):
    labels = muscle_labels()
    noise = np.full(SHAPE, 1.5)
    noise[labels.values == 7152] = 5.0
    noise[labels.values == 7211] = 3.0
    noise[2, 2, 2] = np.nan
    measurement = measured(maps, labels, series, noise_sd=noise)
    left = (labels.values == 7151) & np.isfinite(noise)
    b0 = series.mean_b0()
    assert quality_of(measurement, "gracilis", "left").snr == pytest.approx(b0[left].mean() / 1.5)
    right = labels.values == 7152
    pooled = np.sqrt((left.sum() * 1.5**2 + right.sum() * 5.0**2) / (left.sum() + right.sum()))
    assert quality_of(measurement, "gracilis", "both").snr == pytest.approx(b0[left | right].mean() / pooled)
    grades = {(q.muscle, q.side): str(q.grade) for q in measurement.quality}
    assert grades["gracilis", "left"] == "green"
    assert grades["gracilis", "right"] == "red"
    assert grades["adductor_longus", "left"] == "amber"
    (issue,) = measurement.issues
    assert (issue.severity, issue.where) == (Severity.WARNING, "sub-01")
    assert issue.what.endswith("by more than 5 %: gracilis right (20).")


def test_muscles_at_the_noise_floor_are_named(maps, series):
    noise = np.full(SHAPE, 1.0)
    noise[8:10] = 30.0
    measurement = measured(maps, muscle_labels(), series, noise_sd=noise)
    assert quality_of(measurement, "adductor_longus", "left").fraction_at_floor == 1
    assert quality_of(measurement, "gracilis", "left").fraction_at_floor == 0
    assert [issue.what for issue in measurement.issues if "3 noise SDs" in issue.what] == [
        "most weighted signal below 3 noise SDs in many voxels, so that MD comes out too low: "
        "adductor_longus left (100%)."
    ]


def test_fat_voxels_are_counted_and_left_out_of_both_routes(maps, series):
    labels, share = muscle_labels(), np.full(SHAPE, 0.1)
    share[1:3, 1:8, 1:5] = 0.6
    share[3, 1, 1] = np.nan
    fat = FatFraction(share, AFFINE)
    kept = (labels.values == 7151) & (share <= 0.5)
    measurement = measured(maps, labels, series, fat=fat)
    n_left_out = 2 * 7 * 4 + 1
    row = row_of(measurement.table, "gracilis", "left", "md", "voxelwise")
    assert (row["n_unusable"], row["n_kept"]) == (n_left_out, kept.sum())
    np.testing.assert_allclose(row["mean"], maps.md[kept].mean())
    expected = fit_signals(series.signal[kept].mean(axis=0)[np.newaxis], series.gradients).md[0]
    np.testing.assert_allclose(row_of(measurement.table, "gracilis", "left", "md", "mean_signal")["mean"], expected)
    assert quality_of(measurement, "gracilis", "left").n_fat == n_left_out
    assert quality_of(measurement, "gracilis", "left").fat_fraction == pytest.approx(0.1)
    assert quality_of(measured(maps, labels, series), "gracilis", "left").fat_fraction is None
    assert quality_of(measurement, "gracilis", "right").n_fat == 0
    assert ["gracilis left (34%)" in issue.what for issue in measurement.issues] == [True]
    assert measured(maps, labels, series, fat=fat, max_fat_fraction=0.7).issues == ()


def test_a_fat_map_on_another_grid_is_refused(maps, series):
    shifted = AFFINE.copy()
    shifted[1, 3] = 2.0
    with pytest.raises(GridMismatchError, match=r"sub-01: the labels and the fat fraction .* 2\.0 mm apart"):
        measured(maps, muscle_labels(), series, fat=FatFraction(np.zeros(SHAPE), shifted))


def test_voxels_with_impossible_signals_are_left_out_and_counted(maps, series):
    spoilt = series.with_signal(series.signal.copy())
    spoilt.signal[8, 2:7, 1:3, 4] = 0
    spoilt.signal[9, 2, 1, 5] = np.nan
    labels = muscle_labels()
    measurement = measured(maps, labels, spoilt)
    longus = quality_of(measurement, "adductor_longus", "left")
    assert (longus.n_impossible, longus.n_kept) == (11, 40 - 11)
    row = row_of(measurement.table, "adductor_longus", "left", "fa", "mean_signal")
    assert row["n_unusable"] == 11
    assert np.isfinite(row["mean"])
    (issue,) = measurement.issues
    assert issue.what == "voxels left out for signals that are zero or not finite: adductor_longus left (28%)."


def test_impossible_tensors_are_counted_by_muscle(maps, series):
    is_positive = np.ones(SHAPE, dtype=bool)
    is_positive[8, 2:5, 1] = False
    quality = measured(replace(maps, is_positive=is_positive), muscle_labels(), series).quality
    counts = {(q.muscle, q.side): q.n_non_positive for q in quality}
    assert counts["adductor_longus", "left"] == counts["adductor_longus", "both"] == 3
    assert counts["gracilis", "both"] == 0


def test_samples_that_do_not_count_change_no_value_of_the_mean_signal():
    """Lost slices in a muscle whose brightness varies: the mean signal is that of the whole muscle all the same."""
    gradients = thigh_gradients()
    along = np.einsum("ni,ij,nj->n", gradients.directions, np.diag([1.9e-3, 1.4e-3, 1.2e-3]), gradients.directions)
    brightness = np.linspace(50, 150, SHAPE[2])[:, None] * np.exp(-gradients.bvals * along)
    series = DwiSeries(np.broadcast_to(brightness, (*SHAPE, len(gradients))).copy(), AFFINE, gradients)
    labels, everywhere = muscle_labels(), np.ones(SHAPE, dtype=bool)
    expected = measured(fit_tensor(series, everywhere), labels, series).table
    weights = np.ones((1, 1, SHAPE[2], len(gradients)), dtype=bool)
    weights[0, 0, 1, 4] = weights[0, 0, 3, 7] = False
    series.signal[:, :, 1, 4] = 0
    series.signal[:, :, 3, 7] *= 0.4
    maps = fit_tensor(series, everywhere, weights=weights)
    found = measured(maps, labels, series, weights=weights)
    pd.testing.assert_frame_equal(found.table, expected, rtol=1e-6, atol=1e-9)
    assert found.issues == ()
    spoilt = measured(maps, labels, series).table
    assert abs(row_of(spoilt, "gracilis", "right", "md", "mean_signal")["mean"] / 1.5e-3 - 1) > 0.01


def test_weights_that_all_count_change_nothing(maps, series):
    plain = measured(maps, muscle_labels(), series).table
    weighted = measured(maps, muscle_labels(), series, weights=np.ones(1)).table
    pd.testing.assert_frame_equal(plain, weighted, rtol=1e-9)


def test_volume_and_cross_section_are_those_of_the_whole_label(maps, series):
    quality = {(m.muscle, m.side): m for m in measured(maps, muscle_labels(), series, erosion_mm=2.5).quality}
    left = quality["gracilis", "left"]
    # 6 × 7 × 4 voxels of 2.5 × 2.5 × 5 mm.
    assert left.volume_ml == pytest.approx(6 * 7 * 4 * 0.03125)
    assert left.cross_section_cm2 == pytest.approx(6 * 7 * 0.0625)
    assert left.n_kept < 6 * 7 * 4
    both = quality["gracilis", "both"]
    assert both.volume_ml == pytest.approx(left.volume_ml + quality["gracilis", "right"].volume_ml)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_cross_section_lies_across_the_body_however_the_image_is_stored(axes):
    ball = np.zeros((9, 9, 9), dtype=bool)
    ball[2:7, 1:4, 3:8] = True
    turned = AFFINE.copy()
    turned[:3, :3] = np.diag([2.0, 3.0, 5.0])[:, axes] @ np.diag([-1, 1, 1])
    stored = ball.transpose(axes)
    assert volume_ml(stored, turned) == pytest.approx(5 * 3 * 5 * 0.03)
    assert cross_section_cm2(stored, turned) == pytest.approx(5 * 3 * 0.06)


def test_an_oblique_slice_keeps_its_area():
    angle = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ AFFINE[:3, :3]
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:7, 2:8, 1:4] = True
    assert cross_section_cm2(mask, affine) == pytest.approx(4 * 6 * 0.0625)
    assert np.isnan(cross_section_cm2(np.zeros_like(mask), affine))


def test_what_the_tensor_leaves_unexplained_is_the_median_over_the_kept_voxels(maps, series):
    residual = np.full(SHAPE, 0.02)
    residual[1:3] = np.nan
    residual[3, 1, 1] = 9.0
    quality = measured(maps, muscle_labels(), series, residual=residual).quality
    assert {m.residual for m in quality} == {0.02}
    assert {m.residual for m in measured(maps, muscle_labels(), series).quality} == {None}


def test_left_that_lies_to_the_right_of_right_is_a_warning(maps, series):
    labels = muscle_labels()
    swapped = replace(labels, meaning=labels.meaning | {7151: ("gracilis", Side.RIGHT), 7152: ("gracilis", Side.LEFT)})
    assert measured(maps, labels, series).issues == ()
    (issue,) = measured(maps, swapped, series).issues
    assert issue.severity is Severity.WARNING
    assert issue.what.startswith("the muscles that are called left lie to the right of those that are called right")
    # In the world of the patient, whatever the order of storage.
    mirrored = AFFINE @ np.diag([-1.0, 1.0, 1.0, 1.0])
    stored = replace(swapped, affine=mirrored)
    other = DwiSeries(series.signal, mirrored, series.gradients)
    assert measured(replace(maps, affine=mirrored), stored, other).issues == ()


def test_every_number_of_a_phantom_is_the_one_that_is_counted_by_hand():
    """An oblique grid of 2 × 3 × 5 mm voxels with tensors that are known."""
    turn = Rotation.from_euler("xyz", (15, -10, 20), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * [2.0, 3.0, 5.0], (-30.0, 12.0, 7.0)
    gradients = thigh_gradients()
    values = np.zeros((14, 9, 7), dtype=np.int32)
    values[1:6, 1:8, 1:6] = 7151  # left: 5 × 7 × 5
    values[8:13, 1:8, 1:4] = 7152  # right: 5 × 7 × 3
    md = np.where(values == 7152, 1.2e-3, 1.5e-3)
    md[3, 3, 3] = 1.6e-3
    signal = 100 * np.exp(-gradients.bvals * md[..., np.newaxis])
    signal[10, 4, 2, 3] = 0  # an impossible signal in the only voxels that erosion leaves of the right
    series = DwiSeries(signal, affine, gradients)
    share = np.where(values == 7151, 0.2, 0.0)
    share[3, 4, 2] = 0.9
    measurement = measure_muscles(
        fit_tensor(series, np.ones(values.shape, dtype=bool)),
        MuscleLabels(values, affine, MEANING),
        series,
        participant_id="sub-01",
        erosion_mm=3.0,
        min_voxels=14,
        noise_sd=np.full(values.shape, 2.5),
        fat=FatFraction(share, affine),
    )
    # 3 mm take the outermost voxels along x (2 mm from the outside) and along y (3 mm), none along z (5 mm).
    left = row_of(measurement.table, "gracilis", "left", "md", "voxelwise")
    assert (left["n_label"], left["n_eroded"], left["n_unusable"], left["n_kept"]) == (175, 175 - 75, 1, 74)
    assert left["mean"] == pytest.approx((73 * 1.5e-3 + 1.6e-3) / 74)
    assert left["median"] == pytest.approx(1.5e-3)
    assert left["sd"] == pytest.approx(1e-4 / np.sqrt(74))
    right = row_of(measurement.table, "gracilis", "right", "md", "voxelwise")
    assert (right["n_label"], right["n_eroded"], right["n_unusable"], right["n_kept"]) == (105, 105 - 45, 1, 44)
    assert right["mean"] == pytest.approx(1.2e-3)
    both = row_of(measurement.table, "gracilis", "both", "md", "voxelwise")
    assert both["mean"] == pytest.approx((73 * 1.5e-3 + 1.6e-3 + 44 * 1.2e-3) / 118)
    quality = quality_of(measurement, "gracilis", "left")
    assert quality.volume_ml == pytest.approx(175 * 30 / 1000)
    assert quality.cross_section_cm2 == pytest.approx(35 * 6 / 100)
    assert (quality.n_fat, quality.n_impossible, quality.fat_fraction) == (1, 0, pytest.approx(0.2))
    assert (quality.snr, quality.grade) == (pytest.approx(40), "amber")
    assert quality_of(measurement, "gracilis", "right").n_impossible == 1
    (difference,) = roi_table.left_right_differences(
        measurement.table.query("parameter == 'md'"), route="voxelwise", statistic="median"
    ).itertuples()
    assert difference.difference == pytest.approx(0.3e-3)
    assert difference.percent == pytest.approx(100 * 0.3 / 1.35)
