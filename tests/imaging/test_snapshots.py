"""What preprocessing leaves for the eye."""

import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.imaging.motion import MotionCorrected
from dtimuscle.imaging.outliers import SliceOutliers
from dtimuscle.imaging.participant import preprocess
from dtimuscle.imaging.snapshots import describe_course, snr_map, take_snapshot

B = 500.0


@pytest.fixture
def gradients() -> GradientTable:
    """Two volumes without weighting and twelve with, spread over the sphere."""
    steps = np.arange(12)
    up = 1 - (2 * steps + 1) / 24
    around = steps * np.pi * (1 + np.sqrt(5))
    flat = np.sqrt(1 - up**2)
    directions = np.column_stack([flat * np.cos(around), flat * np.sin(around), up])
    return GradientTable(np.r_[0.0, 0.0, np.full(12, B)], np.vstack([np.zeros((2, 3)), directions]))


@pytest.fixture
def tensor_series(gradients) -> DwiSeries:
    """The exact signal of one tensor in 6 × 5 × 4 voxels."""
    tensor = np.diag([1.2e-3, 1.4e-3, 2.0e-3])
    decay = np.exp(-gradients.bvals * np.einsum("ni,ij,nj->n", gradients.directions, tensor, gradients.directions))
    signal = np.broadcast_to(1000 * decay, (6, 5, 4, len(gradients))).copy()
    return DwiSeries(signal, np.diag([2.5, 2.5, 5.0, 1.0]), gradients)


def moved(series: DwiSeries, displacement: np.ndarray) -> MotionCorrected:
    n = len(series.gradients)
    still = np.tile(np.eye(4), (n, 1, 1))
    return MotionCorrected(
        series,
        still,
        parts=np.zeros(series.shape, dtype=np.intp),
        part_transforms=still[None],
        part_gradients=(series.gradients,),
        displacement_mm=displacement,
        rotation_deg=displacement / 2,
        framewise_mm=displacement * 2,
        issues=(),
    )


def test_a_snapshot_is_the_middle_slice_where_it_lies(tensor_series):
    shot = take_snapshot("scanned", tensor_series)
    assert shot.slab.shape == (6, 5, 1, 14)
    np.testing.assert_array_equal(shot.slab[:, :, 0], tensor_series.signal[:, :, 2])
    np.testing.assert_allclose(shot.affine @ [0, 0, 0, 1], tensor_series.affine @ [0, 0, 2, 1])


def test_the_slice_lies_across_the_body_however_the_image_is_stored(tensor_series):
    affine = tensor_series.affine[:, [2, 1, 0, 3]]
    stored = DwiSeries(np.moveaxis(tensor_series.signal, 2, 0), affine, tensor_series.gradients)
    assert take_snapshot("scanned", stored).slab.shape[0] == 1


def test_the_most_weighted_volume_that_moved_most_is_shown(tensor_series, gradients):
    displacement = np.zeros(14)
    displacement[[1, 5]] = 9.0, 3.0
    shots = [take_snapshot("scanned", tensor_series), take_snapshot("aligned", tensor_series, engine="kit")]
    course = describe_course(shots, gradients, motion=moved(tensor_series, displacement))
    assert course.steps == ("scanned", "aligned")
    assert course.about["low"] == {"volume": 0, "b": 0.0}
    assert course.about["high"] == {"volume": 5, "b": B}
    assert course.about["steps"] == [{"step": "scanned"}, {"step": "aligned", "engine": "kit"}]
    assert course.pictures.shape == (6, 5, 1, 4)
    np.testing.assert_array_equal(course.pictures[:, :, 0, 0], tensor_series.signal[:, :, 2, 0])
    np.testing.assert_array_equal(course.pictures[:, :, 0, 2], tensor_series.signal[:, :, 2, 5])


def test_volumes_carry_motion_and_both_directions(tensor_series, gradients):
    turned = tensor_series.gradients.rotated(np.tile(np.diag([-1.0, -1.0, 1.0]), (14, 1, 1)))
    motion = moved(DwiSeries(tensor_series.signal, tensor_series.affine, turned), np.arange(14.0))
    volumes = describe_course([take_snapshot("scanned", tensor_series)], gradients, motion=motion).volumes
    np.testing.assert_array_equal(volumes["displacement_mm"], np.arange(14.0))
    np.testing.assert_array_equal(volumes["framewise_mm"], 2 * np.arange(14.0))
    np.testing.assert_allclose(volumes["turned_x"], -volumes["x"])
    np.testing.assert_allclose(volumes["turned_z"], volumes["z"])


def test_without_motion_and_outliers_the_tables_say_so(tensor_series, gradients):
    course = describe_course([take_snapshot("scanned", tensor_series)], gradients)
    assert course.volumes["displacement_mm"].isna().all()
    assert course.slices.empty
    assert course.about["high"]["volume"] == 2


def test_slices_are_listed_with_what_they_lack(tensor_series, gradients):
    loss = np.arange(4 * 14).reshape(4, 14) / 100
    lost = SliceOutliers(loss > 0.5, loss, np.full(loss.shape, 0.5), np.ones(4, dtype=bool), axis=2)
    slices = describe_course([take_snapshot("scanned", tensor_series)], gradients, outliers=lost).slices
    assert len(slices) == 56
    row = slices[(slices["slice"] == 3) & (slices["volume"] == 13)].iloc[0]
    assert row["loss"] == loss[3, 13]
    assert row["is_outlier"]


def test_preprocessing_keeps_a_picture_for_each_step_that_was_taken(tensor_series):
    noisy = np.random.default_rng(1).normal(0, 20, tensor_series.signal.shape)
    series = tensor_series.with_signal((tensor_series.signal + noisy).astype(np.float32))
    mask = np.ones(series.shape, dtype=bool)
    course = preprocess(series, mask=mask, unring=False, correct_motion=False, find_outliers=False).course
    assert course is not None
    assert course.steps == ("scanned", "denoised", "averaged")
    assert course.about["steps"][1]["patch"] == (5, 5, 4)
    np.testing.assert_array_equal(course.pictures[:, :, 0, 0], series.signal[:, :, 2, 0])


def test_snr_is_the_signal_over_the_noise():
    s0, noise = np.array([[[100.0, np.nan, 50.0, 50.0]]]), np.array([[[5.0, 5.0, 0.0, np.nan]]])
    np.testing.assert_array_equal(snr_map(s0, noise), [[[20.0, np.nan, np.nan, np.nan]]])
