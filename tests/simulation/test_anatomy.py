import numpy as np
import pytest

from dtimuscle.errors import SimulationError
from dtimuscle.imaging.roi import eroded_labels
from dtimuscle.muscles import Side
from dtimuscle.simulation.anatomy import (
    AIR,
    CORTICAL_BONE,
    FIRST_MUSCLE,
    MARROW,
    MUSCLES,
    TENDON,
    VESSELS,
    build_thighs,
)
from dtimuscle.simulation.cohort import participant_rng

STUDIED = {"gluteus_maximus", "gracilis", "rectus_femoris", "adductor_magnus", "adductor_longus"}
X, Y, Z = np.arange(-198.75, 199, 2.5), np.arange(-98.75, 99, 2.5), np.arange(-17.5, 18, 5)


def build(registry, name="sub-001"):
    return build_thighs(40.0, registry, rng=participant_rng(7, name))


@pytest.fixture(scope="module")
def regions(registry):
    return build(registry).regions_at(X, Y, Z)


def test_at_least_twelve_muscles_are_drawn_among_them_those_of_the_study():
    assert len(MUSCLES) >= 12
    assert set(MUSCLES) >= STUDIED


def test_codes_are_those_of_the_registry(registry):
    thighs = build(registry)
    by_code = registry.by_code()
    assert {thighs.meaning[region] for region in thighs.codes} == {by_code[code] for code in thighs.codes.values()}
    for region, code in thighs.codes.items():
        assert by_code[code] == thighs.meaning[region]


def test_every_muscle_lies_on_its_own_side(registry, regions):
    for region, (_, side) in build(registry).meaning.items():
        x = X[np.nonzero(regions == region)[0]]
        assert x.size > 0
        assert (x < 0).all() if side is Side.LEFT else (x > 0).all()


def test_femur_and_vessels_stand_where_they_should(registry, regions):
    def centre(region):
        x, y, _ = np.nonzero((regions == region) & (X > 0)[:, None, None])
        return X[x].mean(), Y[y].mean()

    by_name = {name: region for region, (name, side) in build(registry).meaning.items() if side is Side.RIGHT}
    bone_x, bone_y = centre(CORTICAL_BONE)
    assert np.hypot(*np.subtract(centre(MARROW), (bone_x, bone_y))) < 2.5
    assert centre(by_name["vastus_lateralis"])[0] > bone_x > centre(by_name["gracilis"])[0]
    assert centre(by_name["rectus_femoris"])[1] > bone_y > centre(by_name["semitendinosus"])[1]
    assert centre(VESSELS)[0] < bone_x
    assert centre(VESSELS)[1] > bone_y


def test_sides_are_alike_but_not_mirrored(regions):
    mirrored = regions[::-1].copy()
    mirrored[mirrored >= FIRST_MUSCLE] ^= 1
    same = (regions == mirrored)[(regions != AIR) & (mirrored != AIR)].mean()
    assert 0.6 < same < 0.98


def test_participants_differ(registry, regions):
    other = build(registry, "sub-002").regions_at(X, Y, Z)
    assert (other != regions).mean() > 0.05


def test_the_same_participant_is_drawn_the_same_way(registry, regions):
    np.testing.assert_array_equal(build(registry).regions_at(X, Y, Z), regions)


def test_a_point_belongs_to_the_same_region_on_any_grid(registry, regions):
    part = build(registry).regions_at(X[40:50], Y[20:60], Z[2:5])
    np.testing.assert_array_equal(part, regions[40:50, 20:60, 2:5])


def test_slices_drawn_together_are_those_drawn_alone(registry):
    z = np.array([-60.0, -35.0, 0.0, 1.0, 20.0, 44.0, 45.0, 70.0, 71.0, 110.0])
    thighs = build_thighs(240.0, registry, rng=participant_rng(7, "sub-001"), area_share=0.8)
    alone = [thighs.regions_at(X, Y, z[k : k + 1]) for k in range(len(z))]
    np.testing.assert_array_equal(thighs.regions_at(X, Y, z), np.concatenate(alone, axis=2))


def test_the_thighs_stay_within_the_field_of_view(registry):
    for number in range(8):
        regions = build(registry, f"sub-{number}").regions_at(X, Y, Z)
        assert (regions[[0, -1]] == AIR).all()


def test_fibres_have_unit_length_and_run_along_the_body(registry):
    directions = build(registry).directions
    np.testing.assert_allclose(np.linalg.norm(directions[FIRST_MUSCLE:], axis=1), 1)
    assert (directions[FIRST_MUSCLE:, 2] > 0.6).all()
    assert not directions[:FIRST_MUSCLE].any()


def test_every_muscle_keeps_enough_voxels_when_its_rim_is_left_out(registry, protocol):
    for number in range(5):
        thighs = build(registry, f"sub-{number}")
        labels = thighs.labels(thighs.regions_at(X, Y, Z)[::-1], protocol.affine)
        kept = eroded_labels(labels, erosion_mm=2.5)
        for code, name in labels.meaning.items():
            assert (kept.values == code).sum() >= 20, name


def right(registry, name, z, **changed):
    """Area of a right muscle, and of all muscles, at each height, mm²."""
    thighs = build_thighs(40.0, registry, rng=participant_rng(7, "sub-001"), **changed)
    regions = thighs.regions_at(X, Y, np.asarray(z, dtype=float))
    (region,) = (r for r, meaning in thighs.meaning.items() if meaning == (name, Side.RIGHT))
    pixel = 2.5**2
    return (regions == region).sum(axis=(0, 1)) * pixel, (regions >= FIRST_MUSCLE).sum(axis=(0, 1)) * pixel, regions


def test_a_belly_tapers_and_goes_on_as_a_tendon(registry):
    heights = np.arange(-80.0, 41, 10)
    area, _, regions = right(registry, "adductor_longus", heights)
    assert (np.diff(area) >= 0).all()
    assert area[0] == 0
    assert area[-1] > 700
    assert (regions == TENDON).any(axis=(0, 1))[heights < -50].all()


def test_muscles_change_enough_from_slice_to_slice_that_motion_along_the_body_shows(registry):
    changes = []
    for name in MUSCLES:
        area, _, _ = right(registry, name, [-15.0, 15.0])
        changes.append(abs(area[1] - area[0]) / area.max())
    assert sum(change > 0.15 for change in changes) >= 5


def test_the_thigh_is_as_large_and_widens_as_one_that_was_measured(registry):
    # Of a healthy thigh, 100 mm apart: 174 and 252 cm² (mean of both sides).
    _, _, regions = right(registry, "gracilis", [-50.0, 50.0])
    areas = (regions != AIR).sum(axis=(0, 1)) * 2.5**2 / 2 / 100
    np.testing.assert_allclose(areas, [174, 252], rtol=0.1)


def test_wasting_takes_its_share_of_muscle_and_leaves_the_skin_where_it_was(registry):
    heights = np.arange(-15.0, 16, 5)
    _, healthy, before = right(registry, "gracilis", heights)
    _, wasted, after = right(registry, "gracilis", heights, area_share=0.8)
    np.testing.assert_allclose(wasted / healthy, 0.8, atol=0.03)
    np.testing.assert_array_equal(before == AIR, after == AIR)


def test_more_than_is_drawn_cannot_be_scanned(registry):
    with pytest.raises(SimulationError, match="400 mm along the thigh; at most 240 mm"):
        build_thighs(400.0, registry, rng=participant_rng(7, "sub-001"))
