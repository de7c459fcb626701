import numpy as np
import pytest

from dtimuscle.errors import SimulationError
from dtimuscle.simulation.protocol import Protocol, spread_directions


def test_the_grid_is_centred_on_the_thighs(protocol):
    corners = np.array([[0, 0, 0, 1], [*(np.array(protocol.shape) - 1), 1]]) @ protocol.affine.T
    np.testing.assert_allclose(corners[0, :3], -corners[1, :3])
    np.testing.assert_allclose(np.linalg.norm(protocol.affine[:3, :3], axis=0), [2.5, 2.5, 5.0])
    assert protocol.height_mm == 40


def test_the_gradient_table_carries_a_tensor(protocol):
    gradients = protocol.gradients()
    gradients.require_tensor()
    assert gradients.n_directions == 12
    assert gradients.is_b0.sum() == 2
    assert set(gradients.bvals) == {0, 500}


def test_six_directions_settle_on_the_icosahedron():
    cosines = np.abs(spread_directions(6) @ spread_directions(6).T)[~np.eye(6, dtype=bool)]
    np.testing.assert_allclose(cosines, 1 / np.sqrt(5), atol=1e-3)


def test_directions_are_spread_evenly_enough_for_a_tensor():
    directions = spread_directions(12)
    np.testing.assert_allclose(directions.T @ directions / 12, np.eye(3) / 3, atol=0.02)


def test_directions_cannot_be_changed_for_the_next_who_asks():
    with pytest.raises(ValueError, match="read-only"):
        spread_directions(12)[0] = 0


def test_a_tissue_decays_until_the_echo_and_is_suppressed(protocol):
    assert protocol.signal("muscle") == pytest.approx(0.8 * np.exp(-55 / 31.7))
    assert protocol.signal("subcutaneous_fat") == pytest.approx(0.9 * np.exp(-55 / 70) * 0.05)
    assert protocol.signal("cortical_bone") < 0.01 * protocol.signal("muscle")


def test_the_sidecar_speaks_bids(protocol):
    assert protocol.sidecar()["EchoTime"] == pytest.approx(0.055)
    assert protocol.sidecar()["MagneticFieldStrength"] == 3.0


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("echo_time_ms", "value"), -1, r"p\.yaml: echo_time_ms\.value: found -1; allowed: .*greater than 0"),
        (("n_directions", "value"), 5, r"p\.yaml: n_directions\.value: found 5; allowed: at least 6"),
        (("n_b0", "value"), 0, r"n_b0\.value: found 0"),
        (("matrix", "value"), [160, 80.5, 8], r"matrix\.value\.2: found 80\.5"),
        (("echo_time_mz",), 1, r"found 'echo_time_mz'; allowed: .* Did you mean 'echo_time_ms'\?"),
        (
            ("tissues", "marow"),
            {"proton_density": 1, "t2_ms": 1, "source": "x"},
            r"tissues\.marow: found 'marow'; .*'marrow'\?",
        ),
        (("tissues", "marrow", "diffusivity_mm2_s"), 3.0, r"tissues\.marrow\.diffusivity_mm2_s: found 3\.0"),
        (("voxel_mm", "reason"), "", r"voxel_mm: found neither; allowed: either a source, or assumed: true"),
        (("field_strength_t", "source"), "x", r"field_strength_t: found both; allowed: either"),
        (("repetition_time_ms", "value"), float("nan"), r"repetition_time_ms\.value: found NaN"),
    ],
)
def test_a_wrong_field_is_named(protocol_values, place, value, message):
    *path, name = place
    part = protocol_values
    for step in path:
        part = part[step]
    part[name] = value
    with pytest.raises(SimulationError, match=message) as caught:
        Protocol.from_mapping(protocol_values, source="p.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_tissue_is_named(protocol_values):
    del protocol_values["tissues"]["vessels"]
    with pytest.raises(SimulationError, match="tissues: found no vessels"):
        Protocol.from_mapping(protocol_values, source="p.yaml")


@pytest.mark.parametrize("values", [None, [], "text"])
def test_what_is_no_mapping_is_refused(values):
    with pytest.raises(SimulationError, match=r"p\.yaml: found .*; allowed: a mapping with name, statement"):
        Protocol.from_mapping(values, source="p.yaml")


def test_a_protocol_without_what_came_later_is_still_read(protocol_values):
    del protocol_values["tissues"]["tendon"], protocol_values["phase_bandwidth_hz"]
    protocol = Protocol.from_mapping(protocol_values, source="p.yaml")
    assert protocol.tissues["tendon"] == protocol.tissues["cortical_bone"]
    assert protocol.phase_bandwidth_hz.value == 40


def test_further_shells_follow_the_first(protocol):
    shell = {"b_value_s_mm2": 1000.0, "n_directions": 8, "assumed": True, "reason": "for this test"}
    gradients = protocol.changed(shells=[shell]).gradients()
    np.testing.assert_array_equal(gradients.bvals, [0] * 2 + [500] * 12 + [1000] * 8)
    np.testing.assert_allclose(gradients.directions[14:], spread_directions(8))


def test_a_changed_protocol_is_checked(protocol):
    assert protocol.changed(matrix=(8, 8, 2)).shape == (8, 8, 2)
    assert protocol.changed(voxel_mm=(3.0, 3.0, 6.0)).height_mm == 48
    with pytest.raises(SimulationError, match=r"thigh_3t, changed: .*matrx"):
        protocol.changed(matrx=(8, 8, 2))
