import numpy as np
import pytest

from dtimuscle.simulation.effects import NO_EFFECTS, ScanEffects
from dtimuscle.simulation.phantom import TYPICAL_FA, TYPICAL_MD, scan_phantom


def test_a_phantom_has_the_matrix_and_the_directions_that_were_asked(quick_protocol, registry):
    protocol = quick_protocol.changed(matrix=(96, 48, 3), n_directions=20)
    simulated = scan_phantom(protocol, registry, ScanEffects(snr=40), seed=3)
    assert simulated.series.signal.shape == (96, 48, 3, 22)
    assert simulated.noise_sd == 1000 / 40
    muscle = simulated.labels.values > 0
    assert (simulated.truth.fa[muscle] >= TYPICAL_FA[0]).all()
    assert (simulated.truth.md[muscle] <= TYPICAL_MD[1]).all()


def test_a_phantom_depends_on_its_seed_alone(quick_protocol, registry):
    first, again, other = (scan_phantom(quick_protocol, registry, ScanEffects(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.series.signal, again.series.signal)
    assert (first.series.signal != other.series.signal).any()


def test_a_phantom_can_hold_fat_and_a_given_motion(quick_protocol, registry):
    poses = np.tile(np.eye(4), (14, 1, 1))
    poses[4, 0, 3] = 3.0
    simulated = scan_phantom(quick_protocol, registry, NO_EFFECTS, poses=poses, fat_fraction=0.1)
    np.testing.assert_array_equal(simulated.transforms, poses)
    assert simulated.fat_fraction[simulated.labels.values > 0] == pytest.approx(0.1)
