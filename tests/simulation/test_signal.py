import numpy as np
import pytest

from dtimuscle.errors import SimulationError
from dtimuscle.imaging.motion import correct_motion
from dtimuscle.imaging.roi import eroded_labels
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.muscles import Side
from dtimuscle.simulation.anatomy import build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.signal import simulate_scan


def scan(protocol, scenario, registry, *, who="sub-001", n=2, **changed):
    """Scan a patient; without noise, motion and distortion unless told."""
    settings = {"snr": 0, "motion_mm": 0, "motion_deg": 0, "eddy_percent": 0, "ringing": False} | changed
    cohort = draw_cohort(scenario, n_poor=1, n_good=n - 1, seed=7)
    parameters = cohort.parameters[cohort.parameters["participant_id"] == who]
    rng = participant_rng(7, who)
    thighs = build_thighs(protocol.height_mm, registry, rng=rng)
    return simulate_scan(thighs, parameters, protocol, rng=rng, **settings), parameters


@pytest.fixture
def quick(quick_protocol, scenario, registry):
    """Return a function that scans quickly."""
    return lambda **changed: scan(quick_protocol, scenario, registry, **changed)[0]


@pytest.mark.parametrize("erosion_mm", [0.0, 2.5])
def test_a_scan_without_errors_gives_the_truth_back(protocol, scenario, registry, erosion_mm):
    simulated, parameters = scan(protocol, scenario, registry)
    labels = eroded_labels(simulated.labels, erosion_mm=erosion_mm)
    maps = fit_tensor(simulated.series, labels.values > 0, estimator="ols")
    for row in parameters.itertuples():
        where = labels.where(row.muscle, Side(row.side))
        assert where.any()
        np.testing.assert_allclose(maps.fa[where], row.fa, atol=1e-3)
        np.testing.assert_allclose(maps.md[where], row.md, atol=1e-6)
        np.testing.assert_allclose(simulated.truth.fa[where], row.fa)
        aligned = np.abs(np.sum(maps.direction[where] * simulated.truth.direction[where], axis=-1))
        np.testing.assert_allclose(aligned, 1, atol=1e-4)


def test_every_muscle_of_the_phantom_is_labelled(quick):
    simulated = quick()
    assert simulated.labels.present == simulated.labels.meaning
    assert not simulated.labels.unknown


def test_a_scan_depends_on_seed_and_name_alone(quick_protocol, scenario, registry):
    noisy = {"snr": 30, "motion_mm": 1, "motion_deg": 0.5, "eddy_percent": 1, "ringing": True}
    first = scan(quick_protocol, scenario, registry, who="sub-002", **noisy)[0]
    scan(quick_protocol, scenario, registry, who="sub-001", **noisy)
    again = scan(quick_protocol, scenario, registry, who="sub-002", **noisy)[0]
    np.testing.assert_array_equal(first.series.signal, again.series.signal)
    np.testing.assert_array_equal(first.transforms, again.transforms)


def test_the_background_is_rayleigh(quick):
    simulated = quick(snr=20)
    air = quick().series.signal[..., 0] == 0
    background = simulated.series.signal[air]
    assert background.mean() == pytest.approx(simulated.noise_sd * np.sqrt(np.pi / 2), rel=0.01)
    assert background.std() == pytest.approx(simulated.noise_sd * np.sqrt(2 - np.pi / 2), rel=0.01)


def test_snr_is_the_signal_of_muscle_over_the_noise_of_a_channel(quick, quick_protocol):
    simulated, muscle = quick(snr=25), quick().labels.values > 0
    assert simulated.noise_sd == quick_protocol.muscle_signal.value / 25
    b0 = simulated.series.signal[muscle][:, simulated.series.gradients.is_b0]
    assert b0.mean() / b0.std() == pytest.approx(25, rel=0.03)


def test_noise_is_new_in_every_volume(quick):
    signal = quick(snr=20).series.signal[quick().series.signal[..., 0] == 0]
    assert abs(np.corrcoef(signal.T)[~np.eye(signal.shape[1], dtype=bool)]).max() < 0.05


def test_ringing_keeps_the_mean_signal_and_shows_at_edges(quick_protocol, scenario, registry, quick):
    # A cut of k-space keeps its centre, which is the sum over the finer grid.
    plain, cut = quick().series.signal[..., 0], quick(ringing=True).series.signal[..., 0]
    assert cut.mean() == pytest.approx(plain.mean(), rel=0.02)
    muscle = eroded_labels(quick().labels, erosion_mm=5).values > 0
    assert plain[muscle].std() == 0
    assert 5 < cut[muscle].std() < 150
    assert cut[plain == 0].max() > 5


def test_the_first_volume_stays_and_the_others_move_about_the_centre(quick):
    simulated = quick(motion_mm=1, motion_deg=1)
    np.testing.assert_array_equal(simulated.transforms[0], np.eye(4))
    rotations = simulated.transforms[1:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-12
    )
    degrees = np.degrees(np.arccos((np.trace(rotations, axis1=1, axis2=2) - 1) / 2))
    assert 0.5 < np.sqrt(np.mean(degrees**2) / 3) < 1.6
    assert 0.5 < simulated.transforms[1:, :3, 3].std() < 1.6


def test_a_transform_leads_from_the_reference_to_the_volume_as_scanned(quick):
    # Muscles of the moved volume, carried back by the truth, fall on the labels.
    simulated, still = quick(motion_mm=8, motion_deg=3), quick()
    affine, shape = simulated.labels.affine, still.series.shape
    voxels = np.argwhere(eroded_labels(simulated.labels, erosion_mm=5).values > 0)
    world = np.c_[voxels, np.ones(len(voxels))] @ affine.T
    moved = np.rint(world @ simulated.transforms[1].T @ np.linalg.inv(affine).T)[:, :3].astype(int)
    seen = np.all((moved >= 0) & (moved < shape), axis=1)
    there = simulated.series.signal[..., 1][tuple(moved[seen].T)]
    here = simulated.series.signal[..., 1][tuple(voxels[seen].T)]
    assert np.mean(there > 900) > 0.98
    assert np.mean(there > 900) > np.mean(here > 900) + 0.01


def test_gradients_are_nominal_while_the_body_turns_within_them(quick, quick_protocol):
    simulated = quick(motion_deg=15)
    nominal = quick_protocol.gradients()
    np.testing.assert_array_equal(simulated.series.gradients.directions, nominal.directions)
    still, muscle, side = quick(), "adductor_magnus", Side.RIGHT
    where = still.labels.where(muscle, side)
    along, across = still.truth.ad[where][0], still.truth.rd[where][0]
    fibre, turn = still.truth.direction[where][0], simulated.transforms[3][:3, :3]
    cosine = nominal.directions[3] @ (turn @ fibre)
    expected = 1000 * np.exp(-500 * (across + (along - across) * cosine**2))
    assert np.min(np.abs(np.unique(simulated.series.signal[..., 3]) - expected)) < 0.01
    assert np.min(np.abs(np.unique(still.series.signal[..., 3]) - expected)) > 1


def test_eddy_currents_act_along_phase_encoding_and_spare_b0(quick):
    simulated = quick(eddy_percent=2)
    gradients = simulated.series.gradients
    np.testing.assert_array_equal(simulated.transforms[gradients.is_b0], [np.eye(4)] * 2)
    change = simulated.transforms - np.eye(4)
    assert not change[:, [0, 2, 3]].any()
    np.testing.assert_allclose(change[2:, 1, :3], 0.02 * gradients.directions[2:])


@pytest.mark.slow
def test_motion_correction_finds_the_transforms_that_were_made(quick):
    simulated = quick(motion_mm=4, motion_deg=2, ringing=True)
    found = correct_motion(simulated.series, simulated.labels.values > 0).transforms
    points = np.array([[x, y, z, 1] for x in (-150, -60, 60, 150) for y in (-50, 50) for z in (-10, 10)]).T
    error = ((found - simulated.transforms) @ points)[1:, :3]
    moved = ((simulated.transforms - np.eye(4)) @ points)[1:, :3]
    # Across thick slices little is known of the position.
    assert np.sqrt(np.mean(error[:, :2] ** 2)) < 0.25 * np.sqrt(np.mean(moved[:, :2] ** 2))
    assert np.sqrt(np.mean(error[:, 2] ** 2)) < np.sqrt(np.mean(moved[:, 2] ** 2))


def test_a_body_that_hardly_moves_is_scanned_like_one_that_does_not(quick):
    first, second = np.moveaxis(quick(motion_mm=1e-3, ringing=True).series.signal[..., :2], -1, 0)
    assert np.mean(np.abs(first - second) > 1) < 0.01


def test_the_parameters_of_every_muscle_are_needed(quick_protocol, scenario, registry):
    _, parameters = scan(quick_protocol, scenario, registry)
    thighs = build_thighs(40.0, registry, rng=participant_rng(1, "sub-001"))
    settings = {"snr": 0, "motion_mm": 0, "motion_deg": 0, "eddy_percent": 0, "ringing": False}
    with pytest.raises(SimulationError, match="gracilis"):
        simulate_scan(
            thighs,
            parameters[parameters["muscle"] != "gracilis"],
            quick_protocol,
            rng=participant_rng(1, "a"),
            **settings,
        )
