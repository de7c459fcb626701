from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import gamma

from dtimuscle.errors import SimulationError
from dtimuscle.imaging.motion import correct_motion
from dtimuscle.imaging.roi import eroded_labels
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.muscles import Side
from dtimuscle.simulation.anatomy import build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.effects import NO_EFFECTS, fat_shift_mm
from dtimuscle.simulation.physics import eigenvalues
from dtimuscle.simulation.signal import LAYERS, _Drawing, cut_k_space, simulate_scan


def scan(protocol, scenario, registry, *, who="sub-001", n=2, poses=None, position=None, fat=None, **changed):
    """Scan a patient; without noise, motion and distortion unless told."""
    cohort = draw_cohort(scenario, n_poor=1, n_good=n - 1, seed=7)
    parameters = cohort.parameters[cohort.parameters["participant_id"] == who]
    parameters = parameters if fat is None else parameters.assign(fat_fraction=fat)
    rng = participant_rng(7, who)
    thighs = build_thighs(protocol.height_mm, registry, rng=rng)
    effects = replace(NO_EFFECTS, **changed)
    return simulate_scan(thighs, parameters, protocol, effects, rng=rng, poses=poses, position=position), parameters


def shifted(n, *, x=0.0, y=0.0, z=0.0):
    """Poses of which all but the first are moved, mm."""
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[1:, :3, 3] = x, y, z
    return poses


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
    simulated = quick(motion_mm=4, motion_deg=2, ringing=True, partial_volume=True)
    found = correct_motion(simulated.series, simulated.labels.values > 0).transforms
    points = np.array([[x, y, z, 1] for x in (-150, -60, 60, 150) for y in (-50, 50) for z in (-10, 10)]).T
    error = ((found - simulated.transforms) @ points)[1:, :3]
    moved = ((simulated.transforms - np.eye(4)) @ points)[1:, :3]
    # Across thick slices little is known of the position.
    assert np.sqrt(np.mean(error[:, :2] ** 2)) < 0.25 * np.sqrt(np.mean(moved[:, :2] ** 2))
    assert np.sqrt(np.mean(error[:, 2] ** 2)) < np.sqrt(np.mean(moved[:, 2] ** 2))


def test_a_body_that_hardly_moves_is_scanned_like_one_that_does_not(quick):
    first, second = np.moveaxis(quick(motion_mm=1e-3, ringing=True, partial_volume=True).series.signal[..., :2], -1, 0)
    assert np.mean(np.abs(first - second) > 1) < 0.01


def test_a_shift_moves_the_image_by_its_size_however_small(protocol, scenario, registry):
    shifts = np.linspace(0, 2.6, len(protocol.gradients()))
    still, _ = scan(protocol, scenario, registry, partial_volume=True)
    for axis, size in ((0, -2.5), (1, 2.5)):
        poses = np.tile(np.eye(4), (len(shifts), 1, 1))
        poses[:, axis, 3] = shifts
        moved, _ = scan(protocol, scenario, registry, poses=poses, partial_volume=True)
        places = size * np.arange(protocol.shape[axis])

        def centre(simulated, axis=axis, places=places):
            others = tuple(other for other in range(3) if other != axis)
            profile = simulated.series.signal.sum(axis=others, dtype=float)
            return places @ profile / profile.sum(axis=0)

        np.testing.assert_allclose(centre(moved) - centre(still), shifts, atol=0.03)


def test_a_shift_by_one_slice_shows_the_next_one(protocol, scenario, registry):
    thickness = protocol.voxel_mm.value[2]
    simulated, _ = scan(protocol, scenario, registry, poses=shifted(14, z=thickness), partial_volume=True)
    still, moved = simulated.series.signal[..., 0], simulated.series.signal[..., 1]
    np.testing.assert_allclose(moved[:, :, 1:], still[:, :, :-1], atol=1e-3)
    body = still[:, :, 1:] > 100
    # Muscles taper and the thigh widens, so that neighbouring slices differ.
    assert np.mean(np.abs(still[:, :, 1:] - still[:, :, :-1])[body] > 20) > 0.02


@pytest.mark.parametrize("where", [{"z": 0.5}, {"z": -7.0}, {"z": 60.0}, {"x": 30.0, "y": -40.0, "z": -60.0}])
def test_slices_are_drawn_wherever_a_volume_looks(quick, quick_protocol, monkeypatch, where):
    poses = shifted(len(quick_protocol.gradients()), **where)
    poses[2, :3, :3] = Rotation.from_rotvec([8, -5, 3], degrees=True).as_matrix()
    scanned = quick(poses=poses, partial_volume=True, fat_shift_ppm=3.4).series.signal
    draw = _Drawing._draw
    monkeypatch.setattr(_Drawing, "_draw", lambda drawing, *_: draw(drawing, -np.inf, np.inf))
    drawn_as_a_whole = quick(poses=poses, partial_volume=True, fat_shift_ppm=3.4).series.signal
    np.testing.assert_array_equal(scanned, drawn_as_a_whole)


def test_a_voxel_shows_the_mean_of_what_it_covers(quick):
    centre, mean = quick().series.signal[..., 0], quick(partial_volume=True).series.signal[..., 0]
    assert mean.sum() == pytest.approx(centre.sum(), rel=0.02)
    deep = eroded_labels(quick().labels, erosion_mm=12).values > 0
    np.testing.assert_allclose(mean[deep], centre[deep], rtol=1e-5)
    n_kinds = len(np.unique(centre))
    assert len(np.unique(mean.round(2))) > 5 * n_kinds


def test_an_edge_overshoots_by_nine_percent_as_gibbs_found():
    # A slab of height one: what is cut off overshoots by 1/2 − Si(π)/π = −8.95 % of the step.
    n = 128
    fine = np.zeros((1, 2 * n, 2 * n), dtype=np.float32)
    fine[:, n // 2 : 3 * n // 2] = 1
    image = cut_k_space(fine, (n, n))[0, :, 0]
    spectrum = np.fft.fft(image)
    wide = np.zeros(64 * n, dtype=complex)
    wide[: n // 2], wide[-(n // 2) :] = spectrum[: n // 2], spectrum[-(n // 2) :]
    between = np.fft.ifft(wide).real * 64
    assert between.max() - 1 == pytest.approx(0.0895, abs=0.002)
    assert between.min() == pytest.approx(-0.0895, abs=0.002)


def test_k_space_is_that_of_squares_to_the_last_sample():
    n, width = 32, 9
    fine = np.zeros((1, 2 * n, 2 * n), dtype=np.float64)
    fine[:, 20 : 20 + width] = 1
    k = np.fft.fftfreq(n, 1 / n)
    centre = (20 + (width - 1) / 2) / 2
    exact = width / 2 * np.sinc(k * width / (2 * n)) * np.exp(-2j * np.pi * k * centre / n)
    np.testing.assert_allclose(np.fft.fft(cut_k_space(fine, (n, n))[0, :, 0]), exact, atol=1e-5)


def test_fat_is_displaced_by_its_chemical_shift(quick, quick_protocol):
    # 3.5 ppm at 3 T are 447 Hz, at 40 Hz a voxel 11.2 voxels.
    assert fat_shift_mm(quick_protocol, 3.5) == pytest.approx(3.5 * 42.577 * 3 / 40 * 4, rel=1e-4)
    shift = 2 / (42.577478518 * 3 / 40)  # two voxels
    still, moved = quick().series.signal[..., 0], quick(fat_shift_ppm=shift).series.signal[..., 0]
    fat = quick().fat_fraction == 1
    only_fat, only_water = np.where(fat, still, 0), np.where(fat, 0, still)
    np.testing.assert_allclose(moved[:, 2:], only_water[:, 2:] + only_fat[:, :-2], rtol=1e-5)


def test_eddy_currents_displace_fat_from_where_it_lies(quick, quick_protocol):
    # All that is seen of a body of fat alone is its distorted image, two voxels further on.
    shift = 2 / (42.577478518 * 3 / 40)
    distorted, displaced = (
        quick(fat=1.0, eddy_percent=8.0, fat_shift_ppm=ppm).series.signal[..., 5] for ppm in (0.0, shift)
    )
    muscle = quick(fat=1.0, eddy_percent=8.0).labels.values > 0
    both = muscle[:, 2:] & muscle[:, :-2]
    difference = np.abs(displaced[:, 2:] - distorted[:, :-2])[both]
    assert np.mean(difference < 1e-3) > 0.95
    assert np.mean(np.abs(displaced - distorted) > 50) > 0.02


def test_muscle_with_fat_is_a_mixture(quick, quick_protocol):
    simulated, pure = quick(fat=0.2), quick()
    muscle = pure.labels.values > 0
    left_of_fat = 1000 * quick_protocol.signal("intermuscular_fat") / quick_protocol.signal("muscle")
    fat = 0.2 * left_of_fat * np.exp(-simulated.series.gradients.bvals * 2e-5)
    expected = 0.8 * pure.series.signal[muscle] + fat
    np.testing.assert_allclose(simulated.series.signal[muscle], expected, rtol=1e-5)
    np.testing.assert_array_equal(simulated.fat_fraction[muscle], 0.2)


def test_perfusion_decays_with_two_exponentials(scenario, registry, quick_protocol):
    origin = {"assumed": True, "reason": "for this test"}
    shells = [{"b_value_s_mm2": b, "n_directions": 6, **origin} for b in (25.0, 100.0)]
    low_b = quick_protocol.changed(shells=shells)
    simulated, _ = scan(low_b, scenario, registry, perfusion_percent=10, pseudo_diffusion_mm2_s=0.015)
    b, g = simulated.series.gradients.bvals, simulated.series.gradients.directions
    assert set(b) == {0, 25, 100, 500}
    where = simulated.labels.where("gracilis", Side.LEFT)
    along, across = eigenvalues(simulated.truth.fa[where][0], simulated.truth.md[where][0])
    apparent = across * np.sum(g**2, axis=1) + (along - across) * (g @ simulated.truth.direction[where][0]) ** 2
    expected = 1000 * (0.1 * np.exp(-b * 0.015) + 0.9 * np.exp(-b * apparent))
    np.testing.assert_allclose(simulated.series.signal[where][0], expected, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 4, 8])
def test_the_background_of_several_coils_is_chi(quick, n):
    # Mean of the root sum of squares of 2n normal values: √2 Γ(n + 1/2) / Γ(n), mean square 2n.
    air = quick().series.signal[..., 0] == 0
    simulated = quick(snr=20, n_receivers=n)
    background = simulated.series.signal[air] / simulated.noise_sd
    assert background.mean() == pytest.approx(np.sqrt(2) * gamma(n + 0.5) / gamma(n), rel=0.005)
    assert np.mean(background**2) == pytest.approx(2 * n, rel=0.005)


def test_coils_keep_the_mean_signal_of_muscle_and_make_it_uneven(quick):
    muscle = quick().labels.values > 0
    signal = quick(n_receivers=8).series.signal[muscle, 0]
    assert signal.mean() == pytest.approx(1000, rel=1e-4)
    assert 50 < signal.std() < 400
    assert quick(n_receivers=8, snr=25).noise_sd == 1000 / 25


def test_slices_drop_out_of_weighted_volumes_alone_and_are_told(quick):
    simulated, whole = quick(dropout_percent=25), quick()
    table, gradients = simulated.dropped_slices, whole.series.gradients
    assert len(table) == round(0.25 * (~gradients.is_b0).sum() * whole.series.shape[2])
    assert not table.duplicated(["volume", "slice"]).any()
    assert table["loss"].between(0.4, 1.0).all()
    assert not gradients.is_b0[table["volume"]].any()
    left = np.ones((whole.series.shape[2], len(gradients)))
    left[table["slice"], table["volume"]] -= table["loss"]
    np.testing.assert_allclose(simulated.series.signal, whole.series.signal * left, rtol=1e-4, atol=1e-3)


def test_eddy_currents_shift_in_step_with_the_gradient(quick):
    simulated = quick(eddy_shift_mm=1.5)
    directions = simulated.series.gradients.directions
    expected = np.where(simulated.series.gradients.is_b0, 0, 1.5 * directions.sum(axis=1) / np.sqrt(3))
    np.testing.assert_allclose(simulated.transforms[:, 1, 3], expected)


def test_motion_can_be_given(quick):
    poses = shifted(14, x=3.0)
    np.testing.assert_array_equal(quick(poses=poses).transforms, poses)


def test_thighs_in_another_position_keep_their_tensors(quick):
    position = shifted(2, x=6.0, y=-3.0)[1]
    position[:3, :3] = Rotation.from_rotvec([0, 0, 10], degrees=True).as_matrix()
    moved, still = quick(position=position), quick()
    assert np.mean(moved.labels.values != still.labels.values) > 0.02
    np.testing.assert_array_equal(moved.transforms, still.transforms)
    maps = fit_tensor(moved.series, moved.labels.values > 0, estimator="ols")
    where = moved.labels.where("adductor_magnus", Side.LEFT)
    there = still.labels.where("adductor_magnus", Side.LEFT)
    turned = position[:3, :3] @ still.truth.direction[there][0]
    np.testing.assert_allclose(moved.truth.direction[where][0], turned)
    np.testing.assert_allclose(np.abs(maps.direction[where] @ turned), 1, atol=1e-4)
    np.testing.assert_allclose(maps.fa[where], still.truth.fa[there][0], atol=1e-3)


def test_slices_are_averaged_over_an_odd_number_of_layers():
    assert LAYERS % 2 == 1


def test_the_parameters_of_every_muscle_are_needed(quick_protocol, scenario, registry):
    _, parameters = scan(quick_protocol, scenario, registry)
    thighs = build_thighs(40.0, registry, rng=participant_rng(1, "sub-001"))
    with pytest.raises(SimulationError, match="gracilis"):
        simulate_scan(
            thighs,
            parameters[parameters["muscle"] != "gracilis"],
            quick_protocol,
            NO_EFFECTS,
            rng=participant_rng(1, "a"),
        )
