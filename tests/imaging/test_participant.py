from dataclasses import replace

import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GradientError, ImageError, SettingsError
from dtimuscle.imaging import participant
from dtimuscle.imaging.fat import FatFraction
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.roi import measure_muscles
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.running.studies import read_protocol
from dtimuscle.simulation.effects import ScanEffects
from dtimuscle.simulation.phantom import scan_phantom
from dtimuscle.store.registry import read_registry

TENSOR = np.diag([2.0e-3, 1.5e-3, 1.3e-3])
SHAPE = (40, 32, 8)


def leg_series(*, sd=3.0, b=500.0):
    """A leg of one tensor in air, its muscles differently bright, with noise."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bvals = np.r_[0.0, 0.0, np.full(12, b)]
    gradients = GradientTable(bvals, np.vstack([np.zeros((2, 3)), directions]))
    attenuation = np.exp(-bvals * np.einsum("ni,ij,nj->n", gradients.directions, TENSOR, gradients.directions))
    x, y, _ = np.indices(SHAPE)
    brightness = 80 + 40 * ((x // 6 + y // 5) % 2)
    signal = (brightness * is_leg())[..., np.newaxis] * attenuation
    signal = np.hypot(signal + rng.normal(0, sd, signal.shape), rng.normal(0, sd, signal.shape))
    return DwiSeries(signal.astype(np.float32), np.diag([2.5, 2.5, 5.0, 1.0]), gradients)


def is_leg():
    """An oval that tapers from slice to slice, so that no turn or shift leaves it as it is."""
    x, y, z = np.indices(SHAPE)
    taper = 1 - 0.05 * z
    return np.hypot((x - 19) / (15 * taper), (y - 15) / (10 * taper)) < 1


def is_deep():
    """Well within the leg, where no step mixes muscle and air."""
    x, y, _ = np.indices(SHAPE)
    return np.hypot((x - 19) / 7, (y - 15) / 4) < 1


@pytest.fixture(scope="module")
def preprocessed():
    return participant.preprocess(leg_series())


def test_all_steps_leave_a_cleaner_series_of_the_same_grid(preprocessed):
    raw, truth = leg_series(), leg_series(sd=0.0)
    before = np.std((raw.signal - truth.signal)[is_leg()])
    after = np.std((preprocessed.series.signal - truth.signal)[is_leg()])
    assert after < 0.9 * before
    np.testing.assert_array_equal(preprocessed.series.affine, raw.affine)
    assert preprocessed.series.signal.shape == raw.signal.shape
    assert preprocessed.mask[is_leg()].all()
    np.testing.assert_allclose(preprocessed.quality.snr, 100 / 3, rtol=0.2)
    assert preprocessed.quality.max_displacement_mm < 0.5
    assert preprocessed.quality.b_values == (0.0, 500.0)


def test_without_steps_the_series_is_what_was_scanned():
    raw = leg_series()
    left_alone = participant.preprocess(raw, denoise=False, unring=False, correct_motion=False)
    assert left_alone.series is raw
    assert left_alone.noise_sd is None
    assert left_alone.quality.snr is None
    assert left_alone.quality.mean_displacement_mm is None


def test_steps_come_in_the_order_that_each_needs(monkeypatch):
    order = []

    def recorded(name):
        step = getattr(participant, name)

        def run(*arguments, **settings):
            order.append((name, settings.get("engine")))
            return step(*arguments, **settings)

        monkeypatch.setattr(participant, name, run)

    for name in ("foreground_mask", "remove_noise", "remove_ringing", "align_volumes"):
        recorded(name)
    participant.preprocess(leg_series())
    assert order == [
        ("foreground_mask", None),
        ("remove_noise", "kit"),
        ("remove_ringing", "kit"),
        ("align_volumes", "kit"),
        ("foreground_mask", None),
    ]


def test_a_mask_that_is_given_is_kept():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:20, 10:20] = True
    preprocessed = participant.preprocess(leg_series(), mask=mask, unring=False, correct_motion=False)
    assert preprocessed.mask is mask
    assert np.isnan(preprocessed.noise_sd[~mask]).all()
    assert preprocessed.quality.n_foreground == 10 * 10 * 8


def test_a_series_that_cannot_carry_a_tensor_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(participant, "foreground_mask", lambda series: pytest.fail("work was done"))
    series = leg_series()
    few = DwiSeries(series.signal[..., :5], series.affine, series.gradients.subset(np.arange(5)))
    with pytest.raises(GradientError, match="3 independent gradient directions"):
        participant.preprocess(few)


def fit(series, mask, *, estimator="iwls", **how):
    signal = participant.water_signal(series, mask, **how)
    return signal, participant.fit(signal, estimator=estimator)


def gracilis(affine, where):
    return MuscleLabels(np.where(where, 7151, 0), affine, {7151: ("gracilis", Side.LEFT)})


def test_high_b_values_reach_the_issues_of_a_fit_that_uses_them():
    _, fitted = fit(leg_series(b=2000.0), is_leg())
    assert any("2000 s/mm²" in issue.what for issue in fitted.issues)


def test_motion_and_lost_slices_reach_the_quality(preprocessed):
    assert preprocessed.quality.n_lost_slices == 0
    assert 0 < preprocessed.quality.mean_framewise_mm <= preprocessed.quality.max_framewise_mm < 1.0
    quality = participant.preprocess(
        with_lost_slices(leg_series()), denoise=False, unring=False, correct_motion=False
    ).quality
    assert quality.n_lost_slices == 8
    assert quality.mean_framewise_mm is None


def test_the_fit_recovers_the_leg_and_is_described(preprocessed):
    _, fitted = fit(preprocessed.series, preprocessed.mask, estimator="wls")
    np.testing.assert_allclose(np.median(fitted.maps.md[is_deep()]), 1.6e-3, rtol=0.02)
    assert fitted.quality.n_voxels == preprocessed.mask.sum()
    assert fitted.quality.estimator == fitted.maps.estimator == "wls"
    assert fitted.issues == fitted.quality.issues


def test_muscles_are_measured_with_the_estimator_of_the_maps(preprocessed):
    signal, fitted = fit(preprocessed.series, preprocessed.mask, estimator="ols")
    maps, labels = fitted.maps, gracilis(preprocessed.series.affine, is_leg())
    found = participant.measure(signal, maps, labels, participant_id="sub-01", erosion_mm=2.5)
    expected = measure_muscles(
        maps, labels, preprocessed.series, participant_id="sub-01", erosion_mm=2.5, estimator="ols"
    )
    assert found.table.equals(expected.table)


# Lost slices, shells, the noise floor


def with_lost_slices(series):
    """Darken every other slice of two weighted volumes to a third, as interleaved scanning does."""
    signal = series.signal.copy()
    signal[:, :, ::2, 4] *= 0.3
    signal[:, :, 1::2, 9] *= 0.3
    return series.with_signal(signal)


@pytest.mark.parametrize("correct_motion", [False, True])
def test_lost_slices_are_left_out_of_the_maps_and_of_the_muscles(correct_motion):
    whole = leg_series()
    steps = {"denoise": False, "unring": False, "correct_motion": correct_motion}
    labels = gracilis(whole.affine, is_deep())

    def md(series, **settings):
        made = participant.preprocess(series, **steps, **settings)
        signal, fitted = fit(made.series, made.mask, weights=made.weights)
        table = participant.measure(signal, fitted.maps, labels, participant_id="sub-01", erosion_mm=0.0).table
        return made, table.loc[(table["parameter"] == "md") & (table["side"] == "left"), "mean"].to_numpy()

    lost = with_lost_slices(whole)
    made, found = md(lost)
    assert made.weights.shape == whole.signal.shape
    assert not made.weights[20, 15, 2, 4]
    assert made.weights[20, 15, 2, 5]
    _, expected = md(whole)
    _, spoilt = md(lost, find_outliers=False)
    np.testing.assert_allclose(found, expected, rtol=0.005)
    assert np.all(np.abs(spoilt - expected) > 4 * np.abs(found - expected))


def test_lost_slices_are_followed_with_each_thigh_that_moved_on_its_own(monkeypatch):
    align, told = participant.align_volumes, {}

    def two_parts(series, mask, **settings):
        told.update(settings)
        aligned = align(series, mask)
        transforms = np.tile(np.eye(4), (2, len(series.gradients), 1, 1))
        transforms[1, :, 2, 3] = 5.0
        return replace(aligned, parts=(np.indices(SHAPE)[0] >= 20).astype(int), part_transforms=transforms)

    monkeypatch.setattr(participant, "align_volumes", two_parts)
    made = participant.preprocess(with_lost_slices(leg_series()), denoise=False, unring=False, separate_thighs=True)
    assert told["separate_thighs"]
    assert told["lost_slices"].sum() == 8
    # Volume 4 lost its even slices; the second part was scanned one slice further up.
    assert made.weights[5, 15, :, 4].tolist() == [False, True] * 4
    assert made.weights[30, 15, :7, 4].tolist() == [True, False, True, False, True, False, True]


def test_a_whole_series_needs_no_weights(preprocessed):
    assert preprocessed.weights is None


def test_slices_too_small_to_be_judged_are_said_so():
    series, mask = leg_series(), np.zeros(SHAPE, dtype=bool)
    mask[18:21, 15:18] = True
    made = participant.preprocess(series, mask=mask, denoise=False, unring=False, correct_motion=False)
    assert made.weights is None
    assert any(issue.where == "lost slices" and "20 voxels" in issue.what for issue in made.issues)


def test_high_shells_are_left_out_of_maps_and_mean_signals():
    low, high = leg_series(sd=0.0), leg_series(sd=0.0, b=2000.0)
    bvals = np.r_[low.gradients.bvals, high.gradients.bvals[2:]]
    directions = np.vstack([low.gradients.directions, high.gradients.directions[2:]])
    # Kurtosis: the high shell is brighter than the tensor says.
    signal = np.concatenate([low.signal, 2 * high.signal[..., 2:]], axis=-1)
    series = DwiSeries(signal, low.affine, GradientTable(bvals, directions))
    signal, fitted = fit(series, is_leg(), highest_b=1000.0)
    np.testing.assert_allclose(fitted.maps.md[is_deep()], 1.6e-3, rtol=1e-5)
    assert "left out: b = 2000" in fitted.quality.shells
    assert any(issue.what == fitted.quality.shells for issue in fitted.issues)
    labels = gracilis(series.affine, is_deep())
    table = participant.measure(signal, fitted.maps, labels, participant_id="sub-01").table
    np.testing.assert_allclose(table.loc[table["parameter"] == "md", "mean"], 1.6e-3, rtol=1e-5)
    spoilt = fit(series, is_leg())[1].maps.md[is_deep()]
    assert np.all(spoilt < 1.55e-3)


def test_rician_correction_takes_out_what_the_floor_adds():
    raw, truth = leg_series(sd=12.0, b=900.0), leg_series(sd=0.0, b=900.0)
    steps = {"unring": False, "correct_motion": False}
    weighted = ~raw.gradients.is_b0
    bias = [
        (participant.preprocess(raw, **steps, rician=rician).series.signal - truth.signal)[is_deep()][
            :, weighted
        ].mean()
        for rician in (False, True)
    ]
    assert bias[0] > 1.0
    assert abs(bias[1]) < 0.3 * bias[0]


def test_rician_correction_without_noise_is_refused():
    with pytest.raises(SettingsError, match="rician needs the noise that denoise finds"):
        participant.preprocess(leg_series(), denoise=False, rician=True)


# What is not muscle's water


def with_shells(*bvals, fat=0.0, blood=0.0):
    """The leg without noise at several b-values, with a share of fat and of blood."""
    parts = [leg_series(sd=0.0, b=b) for b in bvals]
    first = parts[0].gradients
    table = GradientTable(
        np.r_[first.bvals, *(part.gradients.bvals[2:] for part in parts[1:])],
        np.vstack([first.directions, *(part.gradients.directions[2:] for part in parts[1:])]),
    )
    water = np.concatenate([parts[0].signal, *(part.signal[..., 2:] for part in parts[1:])], axis=-1)
    b0 = parts[0].signal[..., :1]
    signal = (1 - fat - blood) * water + b0 * (
        fat * np.exp(-1.9e-5 * table.bvals) + blood * np.exp(-0.05 * table.bvals)
    )
    return DwiSeries(signal, parts[0].affine, table)


def values_of(signal, fitted, route, **how):
    labels = gracilis(signal.series.affine, is_deep())
    found = participant.measure(signal, fitted.maps, labels, participant_id="sub-01", erosion_mm=0.0, **how)
    rows = found.table[(found.table["side"] == "left") & (found.table["route"] == route)]
    return rows.set_index("parameter")["mean"], found


def test_fat_is_subtracted_by_its_map_and_its_voxels_can_be_left_out():
    share = 0.4 * 0.13 / (0.6 + 0.4 * 0.13)
    series = with_shells(500.0, fat=share)
    fat = FatFraction(np.full(SHAPE, 0.4), series.affine)
    signal, fitted = fit(series, is_leg(), fat_model="map", fat=fat)
    for route in ("voxelwise", "mean_signal"):
        np.testing.assert_allclose(values_of(signal, fitted, route)[0]["md"], 1.6e-3, rtol=1e-4)
    signal, fitted = fit(series, is_leg())
    assert values_of(signal, fitted, "voxelwise", fat=fat)[0]["md"] < 1.55e-3
    nothing, found = values_of(signal, fitted, "voxelwise", fat=fat, max_fat_fraction=0.3)
    assert np.isnan(nothing["md"])
    assert found.quality[0].n_fat == is_deep().sum()


def test_voxels_that_are_mostly_fat_are_not_fitted_once_it_is_subtracted():
    share = np.where(is_deep(), 0.1, 0.9)
    series = leg_series()
    signal, fitted = fit(series, is_leg(), fat_model="map", fat=FatFraction(share, series.affine))
    np.testing.assert_array_equal(signal.mask, is_leg() & is_deep())
    assert fitted.quality.fraction_unusable == 0
    assert fitted.issues == ()


def test_fat_cannot_be_subtracted_without_its_map():
    with pytest.raises(ImageError, match="there is no map of fat"):
        fit(leg_series(), is_leg(), fat_model="map")


def test_fat_is_found_by_its_diffusion_in_the_mean_signal_alone():
    series = with_shells(300.0, 900.0, fat=0.1)
    signal, fitted = fit(series, is_leg(), fat_model="diffusion")
    np.testing.assert_allclose(values_of(signal, fitted, "mean_signal")[0]["md"], 1.6e-3, rtol=0.01)
    assert values_of(signal, fitted, "voxelwise")[0]["md"] < 1.55e-3


def test_one_shell_does_not_tell_fat_by_its_diffusion():
    signal, fitted = fit(with_shells(500.0, fat=0.1), is_leg(), fat_model="diffusion")
    values, found = values_of(signal, fitted, "mean_signal")
    assert values.isna().all()
    assert any("cannot be told from its diffusion" in issue.what for issue in found.issues)


def test_blood_is_left_out_together_with_the_weights_of_its_volumes():
    series = with_shells(200.0, 600.0, blood=0.08)
    weights = np.ones(series.signal.shape, dtype=bool)
    weights[..., 3] = False
    spoilt = fit(series, is_leg())[1].maps.md[is_deep()]
    signal, fitted = fit(series, is_leg(), separate_blood=True, weights=weights)
    assert spoilt.min() > 1.65e-3
    np.testing.assert_allclose(fitted.maps.md[is_deep()], 1.6e-3, rtol=1e-3)
    np.testing.assert_allclose(signal.perfusion.fraction[is_deep()], 0.08, atol=1e-3)
    assert signal.weights.shape == signal.series.signal.shape
    assert not signal.weights[..., 1].any()


def test_blood_that_cannot_be_told_leaves_the_series_and_says_so():
    signal, fitted = fit(with_shells(500.0), is_leg(), separate_blood=True)
    assert len(signal.series.gradients) == 14
    assert any(issue.where == "perfusion" for issue in fitted.issues)


def test_the_axes_of_the_b_vectors_are_judged_by_the_fibres_when_the_body_part_is_known():
    protocol = read_protocol("thigh_3t").changed(matrix=(80, 40, 8), voxel_mm=(5.0, 5.0, 5.0))
    scan = scan_phantom(protocol, read_registry(), ScanEffects(snr=40, motion_mm=0, motion_deg=0), seed=11)
    gradients = scan.series.gradients
    flipped = replace(scan.series, gradients=replace(gradients, directions=gradients.directions * [1, 1, -1]))
    mask = foreground_mask(scan.series)
    for series, verdict in ((scan.series, "as given"), (flipped, "flipped")):
        signal = participant.water_signal(series, mask)
        quality = participant.fit(signal, directions_of="thigh").quality
        assert quality.orientation == verdict
        assert any(issue.where == "b-vectors" for issue in quality.issues) == (verdict == "flipped")
    assert participant.fit(signal).quality.orientation == ""
