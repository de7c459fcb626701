import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError, SettingsError
from dtimuscle.imaging.outliers import find_lost_slices, weights_after_motion
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.issues import Severity

SHAPE = (32, 28, 8)
VOXEL_MM = np.array([3.0, 3.0, 5.0])
AFFINE = np.diag([*VOXEL_MM, 1.0])
B = 500.0


def spread_directions(n):
    z = (np.arange(n) + 0.5) / n
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def muscle_gradients(n_b0=2, n_directions=12):
    directions = np.vstack([np.zeros((n_b0, 3)), spread_directions(n_directions)])
    return GradientTable(np.r_[np.zeros(n_b0), np.full(n_directions, B)], directions)


def scan(gradients, *, snr, motion_mm=0.0, kept=None, seed=0):
    """A thigh that tapers, with suppressed fat around muscles whose fibres turn along the limb by 40°.

    Every volume but the first is shifted along each axis; `kept` (n_slices, n) scales the signal before the noise.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1) * VOXEL_MM
    signal = np.empty((*SHAPE, len(gradients)), dtype=np.float32)
    kept = np.ones((SHAPE[2], len(gradients))) if kept is None else kept
    for volume, (b, g) in enumerate(zip(gradients.bvals, gradients.directions, strict=True)):
        shift = rng.normal(0, motion_mm, 3) * (volume > 0)
        x, y, z = np.moveaxis(grid + shift - VOXEL_MM * (np.array(SHAPE) - 1) / 2, -1, 0)
        radius = np.hypot(x, 1.2 * y) / (38 + 0.3 * z)
        turn = np.radians(20 + z) * np.where(x > 0, 1, 0.3)
        along = np.sin(turn) * g[0] + np.cos(turn) * g[2]
        muscle = 100 * (1 + 0.2 * np.cos(x / 9) + 0.01 * z) * np.exp(-b * (1.3e-3 * (g @ g) + 0.7e-3 * along**2))
        clean = np.where(radius < 0.85, muscle, np.where(radius < 1, 15.0, 0.0)) * kept[:, volume]
        sd = 100 / snr if snr else 0.0
        signal[..., volume] = np.hypot(clean + rng.normal(0, sd, SHAPE), rng.normal(0, sd, SHAPE))
    x, y, z = np.moveaxis(grid - VOXEL_MM * (np.array(SHAPE) - 1) / 2, -1, 0)
    return DwiSeries(signal, AFFINE, gradients), np.hypot(x, 1.2 * y) < 38 + 0.3 * z


def dropout(lost, seed=0):
    """What dropout leaves of each slice: 5 to 60 % where it is lost."""
    rng = np.random.default_rng(seed)
    return np.where(lost, rng.uniform(0.05, 0.6, lost.shape), 1.0)


@pytest.mark.parametrize("snr", [15, 25, 60])
@pytest.mark.parametrize("n_directions", [12, 24])
def test_nearly_all_lost_slices_are_found_and_hardly_any_other(snr, n_directions):
    rng = np.random.default_rng(snr + n_directions)
    gradients = muscle_gradients(n_directions=n_directions)
    n_found = n_lost = n_false = n_whole = 0
    for seed in range(4):
        lost = rng.random((8, len(gradients))) < 0.08
        series, mask = scan(gradients, snr=snr, motion_mm=3.0, kept=dropout(lost, seed), seed=seed)
        found = find_lost_slices(series, mask).is_outlier
        n_found, n_lost = n_found + np.sum(found & lost), n_lost + np.sum(lost)
        n_false, n_whole = n_false + np.sum(found & ~lost), n_whole + np.sum(~lost)
    assert n_lost > 25
    assert n_found >= 0.95 * n_lost
    assert n_false <= 0.005 * n_whole


def interleaved(n, volume):
    lost = np.zeros((8, n), dtype=bool)
    lost[::2, volume] = True
    return lost


def whole_volume(n, volume):
    lost = np.zeros((8, n), dtype=bool)
    lost[:, volume] = True
    return lost


PATTERNS = {
    "first volume": (interleaved, 0, 2),
    "only b = 0": (interleaved, 0, 1),
    "weighted": (interleaved, 7, 2),
    "last volume": (interleaved, -1, 1),
    "whole volume": (whole_volume, 5, 2),
    "whole b = 0": (whole_volume, 1, 2),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_of_loss_are_found_exactly(name):
    pattern, volume, n_b0 = PATTERNS[name]
    gradients = muscle_gradients(n_b0=n_b0)
    lost = pattern(len(gradients), volume)
    series, mask = scan(gradients, snr=20, motion_mm=2.0, kept=dropout(lost))
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, lost)


def test_the_loss_is_the_share_that_is_missing():
    gradients = muscle_gradients()
    kept = np.ones((8, len(gradients)))
    kept[2, 4], kept[5, 9] = 0.5, 0.3
    series, mask = scan(gradients, snr=0, kept=kept)
    outliers = find_lost_slices(series, mask)
    np.testing.assert_array_equal(outliers.is_outlier, kept < 1)
    assert outliers.loss[2, 4] == pytest.approx(0.5, abs=0.03)
    assert outliers.loss[5, 9] == pytest.approx(0.7, abs=0.03)
    assert outliers.n_outliers == 2
    assert outliers.fraction == pytest.approx(2 / outliers.is_outlier.size)


def test_the_loss_of_half_a_volume_is_measured_against_the_bright_half():
    gradients = muscle_gradients(n_b0=1)
    kept = np.where(interleaved(len(gradients), 0), 0.6, 1.0)
    series, mask = scan(gradients, snr=60, kept=kept)
    outliers = find_lost_slices(series, mask)
    np.testing.assert_allclose(outliers.loss[::2, 0], 0.4, atol=0.06)
    np.testing.assert_allclose(outliers.loss[1::2, 0], 0.0, atol=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_slices_that_lost_several_volumes_do_not_hide_them(seed):
    gradients = muscle_gradients()
    lost = np.random.default_rng(seed).random((8, len(gradients))) < 0.15
    series, mask = scan(gradients, snr=25, kept=dropout(lost, seed), seed=seed)
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, lost)


@pytest.mark.parametrize("volume", [4, 12])
def test_a_whole_volume_is_found_where_the_signal_does_not_decay_as_a_tensor_says(volume):
    directions = np.vstack([np.zeros((2, 3)), spread_directions(6), spread_directions(12), spread_directions(20)])
    bvals = np.r_[0.0, 0.0, np.full(6, 300.0), np.full(12, 1000.0), np.full(20, 2000.0)]
    gradients = GradientTable(bvals, directions)
    lost = whole_volume(len(gradients), volume)
    series, mask = scan(gradients, snr=60, kept=np.where(lost, 0.6, 1.0))
    kurtosis = np.exp((bvals * 1.5e-3) ** 2 / 10)
    found = find_lost_slices(series.with_signal(series.signal * kurtosis), mask).is_outlier
    assert found[lost].all()
    # The goal for false alarms; at b = 2000 the signal along the fibres drowns in noise, which no tensor predicts.
    assert found[~lost].mean() <= 0.005


def test_a_slice_without_any_signal_is_lost():
    gradients = muscle_gradients()
    kept = np.ones((8, len(gradients)))
    kept[:2, 6] = 0
    series, mask = scan(gradients, snr=0, kept=kept)
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, kept == 0)


def test_a_clean_series_has_no_lost_slice_and_no_issue():
    series, mask = scan(muscle_gradients(), snr=15, motion_mm=3.0)
    outliers = find_lost_slices(series, mask)
    assert outliers.n_outliers == 0
    assert outliers.issues == ()
    assert outliers.weights.all()


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_order_of_volumes_and_scale_of_the_signal_do_not_matter(scale):
    gradients = muscle_gradients(n_directions=15)
    lost = np.random.default_rng(1).random((8, len(gradients))) < 0.1
    series, mask = scan(gradients, snr=30, kept=dropout(lost))
    order = np.random.default_rng(2).permutation(len(gradients))
    shuffled = DwiSeries(series.signal[..., order] * scale, AFFINE, gradients.subset(order))
    np.testing.assert_array_equal(find_lost_slices(shuffled, mask).is_outlier, lost[:, order])


def test_several_shells_and_small_b_values_are_no_dropouts():
    directions = np.vstack([np.zeros((1, 3)), spread_directions(6), spread_directions(12), spread_directions(20)])
    bvals = np.r_[0.0, np.full(6, 20.0), np.full(12, 400.0), np.full(20, 1000.0)]
    gradients = GradientTable(bvals, directions)
    lost = np.random.default_rng(3).random((8, len(gradients))) < 0.05
    series, mask = scan(gradients, snr=30, motion_mm=2.0, kept=dropout(lost))
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, lost)


def test_the_fewest_volumes_are_held_against_the_other_slices():
    gradients = muscle_gradients(n_b0=1, n_directions=6)
    lost = np.random.default_rng(6).random((8, len(gradients))) < 0.1
    series, mask = scan(gradients, snr=25, motion_mm=1.0, kept=dropout(lost))
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, lost)


@pytest.mark.parametrize("n_lost", [5, 6])
@pytest.mark.parametrize("seed", range(3))
def test_volumes_that_lost_most_of_their_slices_are_judged_by_the_rest_with_six_directions(n_lost, seed):
    gradients = muscle_gradients(n_directions=6)
    lost = np.random.default_rng(seed).random((8, len(gradients))) < 0.05
    lost[:, 4] = False
    lost[[0, 2, 4, 6, 7, 1][:n_lost], 4] = True
    series, mask = scan(gradients, snr=15, motion_mm=3.0, kept=np.where(lost, 0.4, 1.0), seed=seed)
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, lost)


def test_a_volume_that_motion_darkened_is_not_accused_as_a_whole():
    # The last volume moved so far that the mask holds air: its slices are 25 % darker than the others say.
    gradients = muscle_gradients()
    rng = np.random.default_rng(1000 * 19 + 15 + 12)
    lost = rng.random((8, len(gradients))) < 0.08
    kept = np.where(lost, rng.uniform(0.05, 0.6, lost.shape), 1.0)
    series, mask = scan(gradients, snr=15, motion_mm=3.0, kept=kept, seed=19)
    np.testing.assert_array_equal(find_lost_slices(series, mask).is_outlier, lost)


def test_a_single_slice_is_held_against_its_other_volumes():
    gradients = muscle_gradients(n_directions=24)
    lost = np.zeros((8, len(gradients)), dtype=bool)
    lost[4, [3, 9]] = True
    series, mask = scan(gradients, snr=25, kept=dropout(lost))
    one = DwiSeries(series.signal[:, :, 4:5], AFFINE, gradients)
    np.testing.assert_array_equal(find_lost_slices(one, mask[:, :, 4:5]).is_outlier, lost[4:5])


def test_slices_are_taken_across_the_longest_edge_of_the_voxels():
    gradients = muscle_gradients()
    lost = interleaved(len(gradients), 5)
    series, mask = scan(gradients, snr=30, kept=dropout(lost))
    turned = DwiSeries(np.moveaxis(series.signal, 2, 0), np.diag([5.0, 3.0, 3.0, 1.0]), gradients)
    outliers = find_lost_slices(turned, np.moveaxis(mask, 2, 0))
    assert outliers.axis == 0
    assert outliers.weights.shape == (8, 1, 1, len(gradients))
    np.testing.assert_array_equal(outliers.is_outlier, lost)


def test_leaving_lost_slices_out_restores_the_maps():
    gradients = muscle_gradients()
    lost = np.random.default_rng(4).random((8, len(gradients))) < 0.08
    clean, mask = scan(gradients, snr=30)
    spoilt, _ = scan(gradients, snr=30, kept=dropout(lost))
    core = mask & (clean.mean_b0() > 60)
    truth = fit_tensor(scan(gradients, snr=0)[0], core).fa[core]
    outliers = find_lost_slices(spoilt, mask)

    def error(series, weights=None):
        return np.sqrt(np.mean((fit_tensor(series, core, weights=weights).fa[core] - truth) ** 2))

    assert error(spoilt) > 2 * error(clean)
    assert error(spoilt, outliers.weights) < 1.3 * error(clean)


def test_a_slice_that_lost_too_many_volumes_has_no_value_and_an_error_says_so():
    gradients = muscle_gradients(n_directions=8)
    lost = np.zeros((8, len(gradients)), dtype=bool)
    lost[3, [2, 5, 7]] = True
    series, mask = scan(gradients, snr=40, kept=dropout(lost))
    outliers = find_lost_slices(series, mask)
    np.testing.assert_array_equal(outliers.is_outlier, lost)
    np.testing.assert_array_equal(outliers.carries_tensor, np.arange(8) != 3)
    (issue,) = [issue for issue in outliers.issues if issue.severity is Severity.ERROR]
    assert "what is left of slice 3 cannot carry a tensor" in issue.what
    maps = fit_tensor(series, mask, weights=outliers.weights)
    assert np.isnan(maps.fa[:, :, 3]).all()
    assert np.isfinite(maps.fa[:, :, 4][mask[:, :, 4]]).all()


def test_slices_with_little_tissue_are_not_judged():
    series, mask = scan(muscle_gradients(), snr=30)
    mask[:, :, 7] = False
    outliers = find_lost_slices(series, mask)
    assert np.isnan(outliers.loss[7]).all()
    assert not outliers.is_outlier[7].any()
    assert "slice 7 has fewer than 20 voxels" in outliers.issues[0].what


def test_an_only_volume_that_slices_disagree_on_is_not_accused():
    # As where some slices hold fluid, which is bright at b = 0 alone.
    gradients = muscle_gradients(n_b0=1)
    series, mask = scan(gradients, snr=30)
    signal = series.signal.copy()
    signal[..., 0] *= np.linspace(1, 2.2, 8)
    outliers = find_lost_slices(series.with_signal(signal), mask)
    assert outliers.n_outliers == 0
    assert "cannot be told from chance" in outliers.issues[0].what


def test_lost_slices_follow_the_motion_of_their_volume():
    gradients = muscle_gradients()
    lost = np.zeros((8, len(gradients)), dtype=bool)
    lost[3, 4] = True
    series, mask = scan(gradients, snr=30, kept=dropout(lost))
    outliers = find_lost_slices(series, mask)
    transforms = np.tile(np.eye(4), (len(gradients), 1, 1))
    still = weights_after_motion(outliers, series, transforms)
    np.testing.assert_array_equal(still, np.broadcast_to(outliers.weights, series.signal.shape))
    # What lies in slice k of the corrected series was scanned half a slice further up.
    transforms[4, 2, 3] = 2.5
    moved = weights_after_motion(outliers, series, transforms)
    np.testing.assert_array_equal(np.flatnonzero(~moved[5, 5, :, 4]), [2, 3])
    assert moved[..., np.arange(len(gradients)) != 4].all()
    # A rotation about x tilts the lost slice: in front it comes from other slices than behind.
    angle = np.radians(8)
    transforms[4] = np.eye(4)
    transforms[4, 1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    tilted = weights_after_motion(outliers, series, transforms)
    np.testing.assert_array_equal(np.flatnonzero(~tilted[5, 0, :, 4]), [3])
    assert np.flatnonzero(~tilted[5, 27, :, 4]).max() < 3


def test_wrong_arguments_are_named():
    series, mask = scan(muscle_gradients(), snr=30)
    with pytest.raises(GridMismatchError, match=r"\(32, 28, 7\)"):
        find_lost_slices(series, mask[:, :, :7])
    with pytest.raises(SettingsError, match="min_loss is 40"):
        find_lost_slices(series, mask, min_loss=40)
    with pytest.raises(ImageError, match="no slice has 20 voxels"):
        find_lost_slices(series, np.zeros(SHAPE, dtype=bool))
    outliers = find_lost_slices(series, mask)
    with pytest.raises(GridMismatchError, match=r"transforms of shape \(3, 4, 4\)"):
        weights_after_motion(outliers, series, np.zeros((3, 4, 4)))
