import json

import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable, TensorMaps, select_shells
from dtimuscle.imaging.motion import MotionCorrected
from dtimuscle.imaging.noise import SnrGrade
from dtimuscle.imaging.quality import MuscleQuality, fit_quality, series_quality
from dtimuscle.imaging.tensor import count_voxels, fit_tensor
from dtimuscle.issues import Issue, Severity


def gradients_with(bvals):
    bvals = np.asarray(bvals, dtype=float)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(len(bvals), 3))
    return GradientTable(bvals, directions / np.linalg.norm(directions, axis=1, keepdims=True))


def series_with(bvals, level=100.0):
    gradients = gradients_with(bvals)
    return DwiSeries(np.full((3, 4, 5, len(gradients)), level), np.diag([2.5, 2.5, 5.0, 1.0]), gradients)


def maps_with(md, is_positive, mask):
    volume = np.where(mask, md, np.nan)
    return TensorMaps(
        fa=volume, md=volume, ad=volume, rd=volume, direction=np.stack([volume] * 3, axis=-1), s0=volume,
        mask=mask, is_positive=is_positive, affine=np.eye(4), estimator="wls",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bvals", "expected"),
    [
        ([0, 500, 500], (0, 500)),
        ([5, 15, 495, 503, 498], (0, 500)),
        ([0, 987.6, 1003.2], (0, 1000)),
        ([0, 395, 405, 598, 602], (0, 400, 600)),
        ([400, 405], (400,)),
    ],
)
def test_shells_are_named_by_their_mean(bvals, expected):
    series = series_with(bvals)
    assert series_quality(series, np.ones(series.shape, dtype=bool)).b_values == expected


def test_the_snr_is_the_median_of_signal_over_noise_where_noise_is_known():
    series = series_with([0, 0, 500, 500])
    mask = np.zeros(series.shape, dtype=bool)
    mask[:2] = True
    noise_sd = np.full(series.shape, 4.0)
    noise_sd[0] = np.nan
    noise_sd[2] = 1.0
    quality = series_quality(series, mask, noise_sd=noise_sd)
    assert quality.snr == 25.0
    assert quality.n_foreground == 2 * 4 * 5
    assert series_quality(series, mask).snr is None
    assert series_quality(series, mask, noise_sd=np.full(series.shape, np.nan)).snr is None


def test_slices_are_counted_across_the_longest_edge_of_a_voxel():
    series = series_with([0, 500])
    mask = np.ones(series.shape, dtype=bool)
    assert series_quality(series, mask).n_slices == 5
    standing = DwiSeries(series.signal, np.diag([5.0, 2.5, 2.5, 1.0]), series.gradients)
    assert series_quality(standing, mask).n_slices == 3


def test_suppressed_fat_does_not_lower_the_snr():
    series = series_with([0, 500])
    series.signal[:2] = 20.0
    quality = series_quality(series, np.ones(series.shape, dtype=bool), noise_sd=np.full(series.shape, 4.0))
    assert quality.snr == 25.0


@pytest.mark.parametrize(("noise", "grade"), [(1.9, "green"), (3.0, "amber"), (4.1, "red")])
def test_the_snr_is_graded(noise, grade):
    series = series_with([0, 500])
    mask = np.ones(series.shape, dtype=bool)
    quality = series_quality(series, mask, noise_sd=np.full(series.shape, noise))
    assert quality.snr_grade == grade
    assert quality.to_dict()["snr_grade"] == grade
    assert series_quality(series, mask).to_dict()["snr_grade"] == "unknown"


def test_motion_is_summarised_over_volumes():
    series = series_with([0, 500, 500])
    mask = np.ones(series.shape, dtype=bool)
    still = series_quality(series, mask)
    assert (still.mean_displacement_mm, still.max_displacement_mm, still.max_rotation_deg) == (None, None, None)
    moved = series_quality(series, mask, motion=motion_of(series))
    assert (moved.mean_displacement_mm, moved.max_displacement_mm, moved.max_rotation_deg) == (2.0, 5.0, 0.3)
    assert (moved.mean_framewise_mm, moved.max_framewise_mm) == (3.0, 4.0)


def motion_of(series):
    """Motion of three volumes."""
    return MotionCorrected(
        series,
        np.tile(np.eye(4), (3, 1, 1)),
        parts=np.zeros(series.shape, dtype=np.intp),
        part_transforms=np.tile(np.eye(4), (1, 3, 1, 1)),
        part_gradients=(series.gradients,),
        displacement_mm=np.array([0.0, 1.0, 5.0]),
        rotation_deg=np.array([0.0, 0.3, 0.1]),
        framewise_mm=np.array([0.0, 2.0, 4.0]),
        issues=(),
    )


def test_b_values_beyond_gaussian_diffusion_are_warned_about():
    mask = np.ones((3, 4, 5), dtype=bool)
    maps = maps_with(np.full(mask.shape, 1e-3), mask, mask)
    assert fit_quality(maps, highest_b=1200.0).issues == ()
    (issue,) = fit_quality(maps, highest_b=1250.0).issues
    assert issue.severity is Severity.WARNING
    assert "1250 s/mm²" in issue.what
    assert "Leave the high shells out" in issue.remedy


def test_issues_of_the_steps_are_kept():
    step = Issue(Severity.NOTE, "volume 3", "could not be aligned.", "Look at it.")
    mask = np.ones((3, 4, 5), dtype=bool)
    assert series_quality(series_with([0, 3000]), mask, issues=(step,)).issues == (step,)
    maps = maps_with(np.full(mask.shape, 1e-3), mask, mask)
    assert fit_quality(maps, issues=(step,)).issues == (step,)


def test_fits_that_are_missing_or_impossible_are_counted():
    mask = np.ones((10, 10, 1), dtype=bool)
    mask[0] = False
    md = np.full(mask.shape, 1e-3)
    md[1:3, :9] = np.nan
    is_positive = mask & np.isfinite(md)
    is_positive[3, :9] = False
    quality = fit_quality(maps_with(md, is_positive, mask))
    assert quality.n_voxels == 90
    np.testing.assert_allclose(quality.fraction_unusable, 18 / 90)
    np.testing.assert_allclose(quality.fraction_non_positive, 9 / 72)
    assert (quality.n_unusable, quality.n_non_positive, quality.n_no_b0) == (18, 9, None)
    assert quality.estimator == "wls"
    assert [issue.what[:5] for issue in quality.issues] == ["20.0%"]


def test_few_missing_fits_are_counted_without_a_warning():
    mask = np.ones((10, 10, 10), dtype=bool)
    md = np.full(mask.shape, 1e-3)
    md[0] = np.nan
    quality = fit_quality(maps_with(md, mask & np.isfinite(md), mask))
    np.testing.assert_allclose(quality.fraction_unusable, 0.1)
    assert quality.issues == ()


def test_the_reasons_for_missing_fits_stand_beside_their_number():
    series = series_with([0, *[500] * 8])
    mask = np.ones(series.shape, dtype=bool)
    mask[0] = False
    series.signal[:, 0, 0, 0] = 0
    series.signal[1, 1, 1, 3] = np.nan
    series.signal[2, 2, 1:4, 5] = 0
    maps = fit_tensor(series, mask)
    quality = fit_quality(maps, count_voxels(series, maps))
    assert (quality.n_unusable, quality.n_no_b0, quality.n_not_finite, quality.n_too_few) == (3, 2, 1, 0)
    assert (quality.n_weighted_at_zero, quality.n_samples_left_out) == (3, 0)
    assert quality.issues == count_voxels(series, maps).issues != ()
    assert json.loads(json.dumps(quality.to_dict()))["n_no_b0"] == 2


def test_the_shells_of_the_tensor_are_said():
    selection = select_shells(series_with([0, *[500] * 8, *[2000] * 8]).gradients)
    mask = np.ones((3, 4, 5), dtype=bool)
    quality = fit_quality(maps_with(np.full(mask.shape, 1e-3), mask, mask), selection=selection)
    assert quality.shells == selection.words
    assert "2000" in quality.to_dict()["shells"]


def test_the_quality_of_a_muscle_survives_json():
    muscle = MuscleQuality("gracilis", "left", 80, 5, 0, 2, 31.5, SnrGrade.AMBER, 0.0)
    assert json.loads(json.dumps(muscle.to_dict()))["grade"] == "amber"


def test_quality_survives_json():
    series = series_with([0, 500, 2000])
    mask = np.ones(series.shape, dtype=bool)
    of_series = series_quality(series, mask, noise_sd=np.full(series.shape, 3.0), motion=motion_of(series))
    record = json.loads(json.dumps(of_series.to_dict()))
    assert record["b_values"] == list(of_series.b_values)
    assert [Issue.from_dict(issue) for issue in record["issues"]] == list(of_series.issues)
    of_fit = fit_quality(maps_with(np.full(mask.shape, np.nan), np.zeros_like(mask), mask))
    assert of_fit.fraction_unusable == 1
    record = json.loads(json.dumps(of_fit.to_dict()))
    assert record["fraction_unusable"] == of_fit.fraction_unusable
    assert [Issue.from_dict(issue) for issue in record["issues"]] == list(of_fit.issues)
