import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GradientError, SettingsError
from dtimuscle.imaging import participant
from dtimuscle.imaging.roi import measure_muscles
from dtimuscle.muscles import MuscleLabels, Side

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


def test_high_b_values_reach_the_issues():
    preprocessed = participant.preprocess(leg_series(b=2000.0), denoise=False, unring=False, correct_motion=False)
    assert any("2000 s/mm²" in issue.what for issue in preprocessed.issues)


def test_the_fit_recovers_the_leg_and_is_described(preprocessed):
    fitted = participant.fit(preprocessed.series, preprocessed.mask, estimator="wls")
    np.testing.assert_allclose(np.median(fitted.maps.md[is_deep()]), 1.6e-3, rtol=0.02)
    assert fitted.quality.n_voxels == preprocessed.mask.sum()
    assert fitted.quality.estimator == fitted.maps.estimator == "wls"
    assert fitted.issues == fitted.quality.issues


def test_muscles_are_measured_with_the_estimator_of_the_maps(preprocessed):
    maps = participant.fit(preprocessed.series, preprocessed.mask, estimator="ols").maps
    values = np.where(is_leg(), 7151, 0).astype(np.uint16)
    labels = MuscleLabels(values, maps.affine, {7151: ("gracilis", Side.LEFT)})
    found = participant.measure(preprocessed.series, maps, labels, participant_id="sub-01", erosion_mm=2.5)
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
    labels = MuscleLabels(np.where(is_deep(), 7151, 0), whole.affine, {7151: ("gracilis", Side.LEFT)})

    def md(series, **settings):
        made = participant.preprocess(series, **steps, **settings)
        maps = participant.fit(made.series, made.mask, weights=made.weights).maps
        table = participant.measure(
            made.series, maps, labels, participant_id="sub-01", erosion_mm=0.0, weights=made.weights
        ).table
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
    fitted = participant.fit(series, is_leg(), highest_b=1000.0)
    np.testing.assert_allclose(fitted.maps.md[is_deep()], 1.6e-3, rtol=1e-5)
    assert "left out: b = 2000" in fitted.quality.shells
    assert any(issue.what == fitted.quality.shells for issue in fitted.issues)
    labels = MuscleLabels(np.where(is_deep(), 7151, 0), series.affine, {7151: ("gracilis", Side.LEFT)})
    table = participant.measure(series, fitted.maps, labels, participant_id="sub-01", highest_b=1000.0).table
    np.testing.assert_allclose(table.loc[table["parameter"] == "md", "mean"], 1.6e-3, rtol=1e-5)
    spoilt = participant.fit(series, is_leg()).maps.md[is_deep()]
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
