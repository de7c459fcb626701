import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from dtimuscle.errors import LabelError
from dtimuscle.store.label_grids import LabelVolume, labels_on_grid, read_transform, transform_beside

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
PLAIN = "# from anatomy to series\n0 -1 0 10\n1 0 0 -20\n0 0 1 5\n0 0 0 1\n"


def ball(shape, affine, centre, radius):
    places = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return (np.linalg.norm(places - centre, axis=-1) <= radius).astype(np.int32)


def oblique(angles, sizes, origin):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * sizes
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("angles", [(0, 0, 0), (10, -20, 15), (0, 0, 180), (90, 0, 0)])
def test_a_ball_drawn_on_any_grid_is_the_same_ball_on_the_series(angles):
    centre, radius = np.array([4.0, -3.0, 10.0]), 14.0
    shape = (20, 20, 12)
    affine = oblique((0, 0, 5), (2.5, 2.5, 5.0), (-22, -28, -18))
    own = oblique(angles, (0.8, 0.8, 1.6), np.zeros(3))
    own[:3, 3] = centre - own[:3, :3] @ np.array([29.5, 29.5, 14.5])
    values = ball((60, 60, 30), own, centre, radius)
    found = labels_on_grid(LabelVolume(values, own), shape, affine, source="x").values
    expected = ball(shape, affine, centre, radius)
    # Only voxels whose centre lies within half a label voxel's diagonal of the surface may differ.
    distance = np.abs(np.linalg.norm(apply_affine(affine, np.argwhere(found != expected)) - centre, axis=-1) - radius)
    assert expected.sum() > 300
    assert np.all(distance <= np.linalg.norm([0.8, 0.8, 1.6]) / 2)


def test_halfway_points_go_the_same_way_whatever_the_storage_order():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 5, (16, 12, 8)).astype(np.int32)
    own = np.diag([1.25, 1.25, 2.5, 1.0])
    own[:3, 3] = [-0.625, -0.625, -1.25]  # two of the label's voxels meet in the middle of each of the series
    found = labels_on_grid(LabelVolume(values, own), (8, 6, 4), AFFINE, source="x").values
    flipped = own @ np.diag([-1.0, -1.0, -1.0, 1.0])
    flipped[:3, 3] = apply_affine(own, [15, 11, 7])
    other = labels_on_grid(LabelVolume(values[::-1, ::-1, ::-1], flipped), (8, 6, 4), AFFINE, source="x").values
    np.testing.assert_array_equal(found, other)
    np.testing.assert_array_equal(found, values[1::2, 1::2, 1::2])


def test_an_empty_label_image_is_brought_over_without_a_complaint_about_its_place():
    volume = LabelVolume(np.zeros((4, 4, 4), np.int32), AFFINE)
    assert not labels_on_grid(volume, (8, 6, 4), AFFINE, source="x").values.any()


def test_a_plain_matrix_moves_points_of_the_anatomy_to_the_series(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(PLAIN)
    assert apply_affine(read_transform(path), [1, 2, 3]).tolist() == [8, -19, 8]


def test_a_transform_of_itk_goes_from_the_series_to_the_anatomy_in_its_own_axes(tmp_path):
    # What antsApplyTransforms does with the series as reference, written out: y = A (x - c) + c + t in LPS.
    linear = Rotation.from_euler("xyz", (5, -10, 20), degrees=True).as_matrix() * 1.1
    centre, shift = np.array([10.0, 20.0, 30.0]), np.array([4.0, -5.0, 6.0])
    path = tmp_path / "x.tfm"
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(map(repr, map(float, [*linear.ravel(), *shift])))}\n"
        f"FixedParameters: {' '.join(map(repr, map(float, centre)))}\n"
    )
    in_series = np.array([12.0, -7.0, 40.0])
    lps = np.array([-1, -1, 1])
    in_anatomy = lps * (linear @ (lps * in_series - centre) + centre + shift)
    np.testing.assert_allclose(apply_affine(read_transform(path), in_anatomy), in_series, atol=1e-10)


ITK = "#Insight Transform File V1.0\nTransform: {kind}\nParameters: {numbers}\nFixedParameters: 0 0 0\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.mat", PLAIN, "transforms of this kind are not read"),
        ("x.txt", "1 0 0\n0 1 0\n0 0 1\n", "four rows of four numbers; this has 3 rows"),
        ("x.txt", "one\n", "neither a 4 × 4 matrix nor a transform of ITK"),
        ("x.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n1 0 0 1\n", "last row must be 0 0 0 1"),
        ("x.txt", "nan 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "is no affine transform"),
        ("x.txt", "-1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "mirrors the image"),
        ("x.txt", "1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n", "mirrors the image or flattens it"),
        ("x.tfm", ITK.format(kind="Euler3DTransform_double_3_3", numbers="0 0 0 1 2 3"), "holds Euler3DTransform"),
        ("x.tfm", ITK.format(kind="AffineTransform_float_3_3", numbers="1 0 0 0 1 0"), "needs 12 parameters"),
        ("x.tfm", ITK.format(kind="AffineTransform_float_3_3", numbers="0 " * 12), "flattens it"),
        ("x.tfm", ITK.format(kind="AffineTransform_float_3_3", numbers="-1 0 0 0 1 0 0 0 1 0 0 0"), "mirrors"),
    ],
)
def test_what_is_no_affine_transform_is_refused_by_name(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(LabelError) as caught:
        read_transform(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_two_transforms_beside_one_image_are_refused(tmp_path):
    image = tmp_path / "sub-01_dseg.nii.gz"
    assert transform_beside(image) is None
    (tmp_path / "sub-02_from-T1w_to-dwi_mode-image_xfm.txt").write_text(PLAIN)
    assert transform_beside(image) is None
    (tmp_path / "sub-01_from-T1w_to-dwi_mode-image_xfm.txt").write_text(PLAIN)
    assert transform_beside(image).name == "sub-01_from-T1w_to-dwi_mode-image_xfm.txt"
    (tmp_path / "sub-01_from-T2w_to-dwi_mode-image_xfm.tfm").write_text(PLAIN)
    with pytest.raises(LabelError, match="several transforms"):
        transform_beside(image)


def test_a_transform_that_is_not_read_is_not_passed_over(tmp_path):
    path = tmp_path / "sub-01_from-T1w_to-dwi_mode-image_xfm.h5"
    path.touch()
    assert transform_beside(tmp_path / "sub-01_dseg.nii.gz") == path
