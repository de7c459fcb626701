import numpy as np
import pandas as pd
import pytest

from dtimuscle.dwi import GradientTable
from dtimuscle.errors import SimulationError
from dtimuscle.simulation.cohort import participant_rng
from dtimuscle.simulation.effects import (
    NO_EFFECTS,
    ScanEffects,
    Wasting,
    coil_sensitivities,
    draw_dropout,
    draw_poses,
    eddy_distortions,
    receive,
)


@pytest.fixture
def gradients():
    directions = np.vstack([np.zeros(3), np.eye(3), np.eye(3)])
    return GradientTable(np.array([0, 250, 250, 250, 500, 500, 500.0]), directions)


@pytest.mark.parametrize(
    ("name", "value"),
    [("snr", -1), ("n_receivers", 0), ("motion_mm", -0.1), ("dropout_percent", 101), ("perfusion_percent", np.nan)],
)
def test_an_impossible_effect_is_refused(name, value):
    with pytest.raises(SimulationError, match=f"{name}: found .*; allowed: "):
        ScanEffects(**{name: value})


def test_poses_spread_as_asked_and_leave_the_first_volume():
    poses = draw_poses(4000, motion_mm=3, motion_deg=2, rng=participant_rng(1, "a"))
    np.testing.assert_array_equal(poses[0], np.eye(4))
    np.testing.assert_allclose(poses[1:, :3, 3].std(axis=0), 3, rtol=0.04)
    degrees = np.degrees(np.arccos((np.trace(poses[1:, :3, :3], axis1=1, axis2=2) - 1) / 2))
    assert np.sqrt(np.mean(degrees**2) / 3) == pytest.approx(2, rel=0.04)


def test_each_part_of_a_gradient_distorts_in_its_own_way(gradients):
    found = eddy_distortions(gradients, ScanEffects(eddy_percent=2, eddy_shift_mm=1))
    point = np.array([100.0, 50.0, 20.0, 1.0])
    moved = found @ point - point
    # Shear by x, scale by y, tilt by z, in proportion to b; only along phase encoding.
    shift = 1 / np.sqrt(3)
    full = [0.02 * 100 + shift, 0.02 * 50 + shift, 0.02 * 20 + shift]
    np.testing.assert_allclose(moved[:, 1], [0, *np.multiply(full, 0.5), *full])
    assert not moved[:, [0, 2, 3]].any()


def test_dropout_is_the_share_that_was_asked_and_spares_b0(gradients):
    table = draw_dropout(gradients, 1000, percent=2.0, rng=participant_rng(1, "a"))
    assert len(table) == 120
    assert not (table["volume"] == 0).any()
    assert table["loss"].between(0.4, 1).all()
    assert table["loss"].mean() == pytest.approx(0.7, abs=0.05)
    assert draw_dropout(gradients, 10, percent=0.0, rng=participant_rng(1, "a")).empty


def test_coils_are_smooth_and_stronger_nearby(quick_protocol):
    muscle = np.zeros(quick_protocol.shape, dtype=bool)
    muscle[20:80, 15:35] = True
    coils = coil_sensitivities(quick_protocol, 8, muscle)
    assert coils.shape == (8, *quick_protocol.shape)
    together = np.sqrt(np.sum(np.abs(coils) ** 2, axis=0))
    assert together[muscle].mean() == pytest.approx(1, rel=1e-5)
    assert together[2, 25, 2] > together[50, 25, 2]
    # From voxel to voxel of 4 mm, no coil changes by more than a tenth of its largest.
    for axis in range(2):
        assert np.abs(np.diff(coils, axis=axis + 1)).max() < 0.1 * np.abs(coils).max()


def test_noise_of_one_coil_is_rician():
    # E[M²] = A² + 2σ² (Gudbjartsson & Patz, Magn Reson Med 1995).
    image = np.full((100, 100, 10), 30.0, dtype=np.float32)
    seen = receive(image, np.ones((1, *image.shape), np.complex64), noise_sd=10.0, rng=participant_rng(1, "a"))
    assert np.mean(seen.astype(float) ** 2) == pytest.approx(30**2 + 2 * 10**2, rel=0.01)
    assert seen.mean() > 30


def test_without_noise_coils_add_nothing():
    image = np.full((4, 4, 2), 30.0, dtype=np.float32)
    ones = np.ones((1, *image.shape), np.complex64)
    np.testing.assert_allclose(receive(image, ones, noise_sd=0.0, rng=participant_rng(1, "a")), image)
    assert NO_EFFECTS.snr == 0


def test_wasting_grows_with_poor_function():
    wasting = Wasting(atrophy_percent=10, fat_percent=3, infiltration_percent=4)
    assert wasting.area_share(5) == 1
    assert wasting.area_share(3) == pytest.approx(0.81)
    assert [wasting.fat_share(grade) for grade in (5, 4, 0)] == pytest.approx([0.03, 0.07, 0.23])


def test_each_muscle_gets_its_own_fat_alike_on_both_sides():
    names = [f"muscle_{number}" for number in range(400)]
    table = pd.DataFrame([(name, side) for name in names for side in ("left", "right")], columns=["muscle", "side"])
    wasting = Wasting(infiltration_percent=4)
    fat = wasting.infiltrate(table, 2, rng=participant_rng(1, "a"))
    assert fat["fat_fraction"].mean() == pytest.approx(0.12, rel=0.05)
    assert fat["fat_fraction"].between(0.06, 0.18).all()
    sides = {side: part["fat_fraction"].to_numpy() for side, part in fat.groupby("side")}
    np.testing.assert_array_equal(sides["left"], sides["right"])
    assert not wasting.infiltrate(table, 5, rng=participant_rng(1, "a"))["fat_fraction"].any()
