import gzip
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import GradientTable
from dtimuscle.errors import DatasetError, DtiMuscleError, GradientError, ImageError
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.store.images import (
    placement_issues,
    read_dwi,
    read_gradients,
    read_image,
    read_on_grid,
    write_gradients,
    write_image,
    write_scaled_image,
)

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
BVALS = "0 500 500\n"
BVECS = "0 1 0\n0 0 0.6\n0 0 0.8\n"


def refusal(kind: type[DtiMuscleError], path, function, *args, **kwargs) -> str:
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


# Images


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
def test_values_of_any_type_are_read_as_float32(tmp_path, dtype, name):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / name)
    data, affine = read_image(tmp_path / name)
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, values)
    np.testing.assert_array_equal(affine, AFFINE)


def test_the_scaling_of_an_image_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE)
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "scaled.nii.gz")
    # nibabel stores raw = (value - inter) / slope, so the file's own header is checked as well.
    assert nib.load(tmp_path / "scaled.nii.gz").dataobj.slope == 0.5
    raw = np.asanyarray(nib.load(tmp_path / "scaled.nii.gz").dataobj.get_unscaled())
    data, _ = read_image(tmp_path / "scaled.nii.gz")
    np.testing.assert_allclose(data, raw * 0.5 - 10)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_an_image_is_written_with_the_type_of_its_data(tmp_path, dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_image(tmp_path / "image.nii.gz", values, AFFINE)
    image = nib.load(tmp_path / "image.nii.gz")
    assert image.get_data_dtype() == dtype
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), values)
    np.testing.assert_array_equal(image.affine, AFFINE)


def test_truth_values_are_written_as_zero_and_one(tmp_path):
    write_image(tmp_path / "mask.nii.gz", np.array([[[True, False]]]), AFFINE)
    assert np.asanyarray(nib.load(tmp_path / "mask.nii.gz").dataobj).tolist() == [[[1, 0]]]


def test_nan_survives_saving(tmp_path):
    write_image(tmp_path / "map.nii.gz", np.array([[[np.nan, 1.5]]], dtype=np.float32), AFFINE)
    data, _ = read_image(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(data, [[[np.nan, 1.5]]])


def test_equal_images_are_equal_bytes(tmp_path):
    values = np.random.default_rng(1).normal(size=(8, 8, 8)).astype(np.float32)
    write_image(tmp_path / "a.nii.gz", values, AFFINE)
    write_image(tmp_path / "b.nii.gz", values.copy(), AFFINE)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == b"\0\0\0\0"  # RFC 1952: no modification time


def test_a_write_that_fails_leaves_the_old_image_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "image.nii.gz"
    write_image(path, np.zeros((2, 2, 2), np.float32), AFFINE)
    before = path.read_bytes()

    def fill_the_disk(self, content):
        with self.open("wb") as stream:
            stream.write(content[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        write_image(path, np.ones((2, 2, 2), np.float32), AFFINE)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["image.nii.gz"]


def test_a_missing_image_is_named(tmp_path):
    path = tmp_path / "sub-01_dwi.nii.gz"
    assert "there is no such file" in refusal(DatasetError, path, read_image, path)


def _plain(tmp_path):
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((9, 9, 9)), AFFINE), tmp_path / "good.nii")
    return (tmp_path / "good.nii").read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("cut.nii", lambda plain: plain[: len(plain) // 2]),
        ("header_only.nii", lambda plain: plain[:200]),
        ("cut.nii.gz", lambda plain: gzip.compress(plain)[: len(plain) // 2]),
        ("cut_short.nii.gz", lambda plain: gzip.compress(plain)[:-4]),
        ("flipped.nii.gz", lambda plain: _flipped(gzip.compress(plain))),
        ("not_gzip.nii.gz", lambda plain: plain),
        ("text.nii", lambda plain: b"hello world"),
        ("empty.nii", lambda plain: b""),
        ("empty.nii.gz", lambda plain: b""),
        ("annex.nii.gz", lambda plain: b"/annex/objects/MD5E-s1--d41d8cd9.nii.gz\n"),
    ],
)
def test_a_damaged_image_is_named_in_one_line(tmp_path, name, damage):
    path = tmp_path / name
    path.write_bytes(damage(_plain(tmp_path)))
    assert "cannot be read as an image" in refusal(DatasetError, path, read_image, path)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 50]) + content[middle + 50 :]


def test_a_map_on_another_grid_is_interpolated_through_the_headers(tmp_path):
    path, fine = tmp_path / "map.nii.gz", np.diag([1.0, 1.0, 2.0, 1.0])
    x, y, z = np.indices((20, 20, 10))
    write_image(path, (x + 2 * y + 6 * z).astype(np.float32), fine)
    coarse = np.array([[-2.0, 0, 0, 15], [0, 2, 0, 3], [0, 0, 3, 1], [0, 0, 0, 1]])
    found = read_on_grid(path, (5, 6, 4), coarse)
    i, j, k = np.indices((5, 6, 4))
    # A map that is linear in space stays the same function of space, mirrored storage or not.
    np.testing.assert_allclose(found, (15 - 2 * i) + 2 * (3 + 2 * j) + 3 * (1 + 3 * k), atol=1e-4)
    beyond = read_on_grid(path, (5, 6, 40), coarse)
    assert np.isnan(beyond[..., -1]).all()
    np.testing.assert_array_equal(read_on_grid(path, (20, 20, 10), fine), read_image(path)[0])


def test_values_too_large_for_their_steps_are_refused_instead_of_turning_negative(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_scaled_image(path, np.array([[[0.0, 32767 / 4]]]), np.eye(4), quantum=1 / 4)
    assert read_image(path)[0].ravel().tolist() == [0, 32767 / 4]
    with pytest.raises(ImageError, match=r"cannot be kept in steps of 0\.25"):
        write_scaled_image(path, np.array([[[8192.0]]]), np.eye(4), quantum=1 / 4)


def test_a_map_of_several_volumes_is_refused(tmp_path):
    write_image(tmp_path / "map.nii.gz", np.zeros((3, 3, 3, 2), np.float32), np.eye(4))
    with pytest.raises(ImageError, match="one value for each voxel"):
        read_on_grid(tmp_path / "map.nii.gz", (3, 3, 3), np.eye(4))


def test_an_image_of_colours_is_refused(tmp_path):
    colours = np.zeros((2, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, AFFINE), tmp_path / "rgb.nii.gz")
    assert "one real number for each voxel" in refusal(
        ImageError, tmp_path / "rgb.nii.gz", read_image, tmp_path / "rgb.nii.gz"
    )


def test_a_complex_image_does_not_lose_its_phase_in_silence(tmp_path):
    path = tmp_path / "complex.nii.gz"
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), 1 + 1j, np.complex64), AFFINE), path)
    assert "holds complex64 values" in refusal(ImageError, path, read_image, path)


def test_a_nifti_2_image_is_read(tmp_path):
    nib.save(nib.Nifti2Image(np.arange(8, dtype=np.float32).reshape(2, 2, 2), AFFINE), tmp_path / "two.nii.gz")
    data, affine = read_image(tmp_path / "two.nii.gz")
    assert data.ravel().tolist() == list(range(8))
    np.testing.assert_array_equal(affine, AFFINE)


def test_an_affine_that_places_nothing_is_refused(tmp_path):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), None)
    image.header["sform_code"] = 1
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = (1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0)
    path = tmp_path / "flat.nii"
    path.write_bytes(image.header.binaryblock + b"\0\0\0\0" + np.zeros(8, np.float32).tobytes())
    message = refusal(DtiMuscleError, path, read_image, path)
    assert "does not place voxels in space" in message


# Gradients


def gradients_from(tmp_path, bvals=BVALS, bvecs=BVECS, *, n_volumes=3, b0_threshold=20.0, affine=AFFINE):
    bval, bvec = tmp_path / "x.bval", tmp_path / "x.bvec"
    for path, content in ((bval, bvals), (bvec, bvecs)):
        if content is not None:
            path.write_text(content)
    return read_gradients(bval, bvec, affine, n_volumes=n_volumes, b0_threshold=b0_threshold)


def test_directions_in_rows_are_read_in_fsls_convention(tmp_path):
    gradients = gradients_from(tmp_path)
    assert gradients.bvals.tolist() == [0, 500, 500]
    # The determinant is positive: FSL's first component is mirrored.
    np.testing.assert_allclose(gradients.directions, [[0, 0, 0], [-1, 0, 0], [0, 0.6, 0.8]], atol=1e-12)


@pytest.mark.parametrize("separator", [" ", "  ", "\t", ",", ", "])
def test_directions_in_columns_and_other_separators_mean_the_same(tmp_path, separator):
    columns = "\n".join(separator.join(row) for row in (["0", "0", "0"], ["1", "0", "0"], ["0", "0.6", "0.8"])) + "\n"
    four = columns + separator.join(["0", "1", "0"]) + "\n"
    gradients = gradients_from(tmp_path, "0\n500\n500\n500\n", four, n_volumes=4)
    np.testing.assert_allclose(gradients.directions[:3], gradients_from(tmp_path).directions, atol=1e-12)


def test_a_direction_may_be_missing_where_there_is_no_weighting(tmp_path):
    gradients = gradients_from(tmp_path, bvecs="nan 1 0\nnan 0 0.6\nnan 0 0.8\n")
    assert gradients.directions[0].tolist() == [0, 0, 0]


def test_a_direction_at_a_b_value_that_counts_as_zero_is_kept_for_the_fit(tmp_path):
    gradients = gradients_from(tmp_path, "15 500 500", "0.6 1 0\n0.8 0 0.6\n0 0 0.8\n")
    assert gradients.bvals[0] == 15
    assert gradients.is_b0[0]
    np.testing.assert_allclose(gradients.directions[0], [-0.6, 0.8, 0])


def test_rounding_in_written_directions_is_taken_out(tmp_path):
    gradients = gradients_from(tmp_path, bvecs="0 0.995 0\n0 0 0.6\n0 0 0.8\n")
    np.testing.assert_allclose(np.linalg.norm(gradients.directions[1:], axis=1), 1)


@pytest.mark.parametrize(
    ("bvals", "bvecs"),
    [
        ("0 500 500  \n\n", "0 1 0  \n0 0 0.6 \n0 0 0.8\t\n  \n"),
        ("0\r\n500\r\n500\r\n", "0 1 0\r\n0 0 0.6\r\n0 0 0.8\r\n"),
        ("0.000e+00 5.0e+02 5.0E2", "0e0 1.0e+00 -0.0e-3\n0 0 6.0e-01\n0 0 8e-1\n"),
        ("\ufeff0 500 500\n", "\ufeff0 1 0\n0 0 0.6\n0 0 0.8\n"),
        ("0 500 500", "nan 1 0\nNaN 0 0.6\n-nan 0 0.8\n"),
    ],
    ids=["trailing blanks", "windows", "scientific", "byte-order mark", "nan at b = 0"],
)
def test_gradients_are_read_however_they_were_typed(tmp_path, bvals, bvecs):
    gradients = gradients_from(tmp_path, bvals, bvecs)
    assert gradients.bvals.tolist() == [0, 500, 500]
    np.testing.assert_allclose(gradients.directions, [[0, 0, 0], [-1, 0, 0], [0, 0.6, 0.8]], atol=1e-12)


@pytest.mark.parametrize("b", ["0.5", "15"])
def test_a_small_b_value_counts_as_zero(tmp_path, b):
    assert gradients_from(tmp_path, f"{b} 500 500").is_b0.tolist() == [True, False, False]


def test_lengths_that_may_stand_for_the_weighting_are_refused_with_both_readings(tmp_path):
    said = refusal(
        GradientError, tmp_path / "x.bvec", gradients_from, tmp_path, "0 500 500", "0 0.7 0\n0 0 0.6\n0 0 0.8\n"
    )
    assert "multiply each b-value by its direction's squared length" in said
    assert "scale the directions to length 1" in said


STORAGE_ORDERS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
TILTS = [(0, 0, 0), (18, -11, 25), (-35, 20, 40)]


@pytest.mark.parametrize("tilt", TILTS)
def test_fibres_point_the_same_way_in_the_world_on_every_storage_order(tmp_path, tilt):
    # The scanner's gradients and the fibre live in the world; the file is written by FSL's rule, spelled out here:
    # parts along the voxel axes, the first with its sign changed where the axes are right-handed.
    rng = np.random.default_rng(4)
    gradients = rng.normal(size=(20, 3))
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    fibre = np.array([0.36, -0.48, 0.8])
    tensor = 1.2e-3 * np.eye(3) + 0.8e-3 * np.outer(fibre, fibre)
    signal = 1000 * np.exp(-500 * np.r_[0, np.einsum("ni,ij,nj->n", gradients, tensor, gradients)])
    (tmp_path / "x.bval").write_text("0 " + "500 " * 20)
    turn = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix()
    for axes, signs in STORAGE_ORDERS:
        columns = [turn[:, axis] * sign for axis, sign in zip(axes, signs, strict=True)]
        affine = np.eye(4)
        affine[:3, :3] = np.stack(columns, axis=1) * (2.0, 2.5, 5.0)
        is_right_handed = np.dot(np.cross(columns[0], columns[1]), columns[2]) > 0
        rows = [[float(column @ g) for g in gradients] for column in columns]
        rows[0] = [-value for value in rows[0]] if is_right_handed else rows[0]
        lines = [" ".join(["0", *(f"{value:.6e}" for value in row)]) for row in rows]
        (tmp_path / "x.bvec").write_text(" \n".join(lines) + " \n")
        nib.save(nib.Nifti1Image(np.tile(signal, (2, 2, 2, 1)).astype(np.float32), affine), tmp_path / "x.nii")
        series = read_dwi(tmp_path / "x.nii", tmp_path / "x.bval", tmp_path / "x.bvec", b0_threshold=20.0)
        maps = fit_tensor(series, np.ones((2, 2, 2), dtype=bool), estimator="ols")
        assert np.abs(maps.direction @ fibre).min() == pytest.approx(1, abs=1e-7), (axes, signs)


@pytest.mark.parametrize(
    ("changes", "named", "message"),
    [
        ({"bvals": None}, "x.bval", "there is no such file"),
        ({"bvecs": None}, "x.bvec", "there is no such file"),
        ({"bvals": "0 500"}, "x.bval", "2 b-values for 3 volumes"),
        ({"bvals": "0 500 500 500"}, "x.bval", "4 b-values for 3 volumes"),
        ({"bvals": ""}, "x.bval", "holds no numbers"),
        ({"bvals": "0 500 many"}, "x.bval", "not a table of numbers"),
        ({"bvals": "0 0.5 0.5"}, "x.bval", "(500, not 0.5)"),
        ({"bvals": "0 0.5 0.5", "b0_threshold": 0.0}, "x.bval", "(500, not 0.5)"),
        ({"bvals": "0 nan 500"}, "x.bval", "negative or not a number"),
        ({"bvals": "0 -500 500"}, "x.bval", "negative or not a number"),
        ({"bvecs": "0 1\n0 0\n0 0\n"}, "x.bvec", "2 × 3 numbers; 3 volumes need three rows of 3"),
        ({"bvecs": "0 1 0\n0 0 0.6\n"}, "x.bvec", "2 × 3 numbers; 3 volumes need three rows of 3"),
        ({"bvecs": "0 1 0\n0 0\n0 0 1\n"}, "x.bvec", "rows of different length"),
        ({"bvecs": ""}, "x.bvec", "holds no numbers"),
        ({"bvecs": "0 0 0\n0 0 0.6\n0 0 0.8\n"}, "x.bvec", "the direction of volume 1 (b = 500) has length 0"),
        ({"bvecs": "0 0.5 0\n0 0 0.6\n0 0 0.8\n"}, "x.bvec", "has length 0.5, not 1"),
        ({"bvecs": "0 nan 0\n0 0 0.6\n0 0 0.8\n"}, "x.bvec", "has length nan, not 1"),
    ],
)
def test_gradients_that_do_not_fit_are_refused_with_the_file_at_fault(tmp_path, changes, named, message):
    assert message in refusal(DtiMuscleError, tmp_path / named, gradients_from, tmp_path, **changes)


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_survive_saving_on_both_storage_orders(tmp_path, sign):
    affine = np.diag([sign * 2.5, 2.5, 5.0, 1.0])
    directions = np.array([[0, 0, 0], [2 / 3, -1 / 3, 2 / 3], [0, 1, 0]])
    before = GradientTable(np.array([0, 499.875, 500]), directions)
    write_gradients(tmp_path / "x.bval", tmp_path / "x.bvec", before, affine)
    after = gradients_from(tmp_path, None, None, affine=affine)
    assert after.bvals.tolist() == before.bvals.tolist()
    np.testing.assert_allclose(after.directions, before.directions, atol=1e-9)


def test_gradients_are_written_as_one_row_and_three_rows_without_negative_zeros(tmp_path):
    directions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    write_gradients(
        tmp_path / "x.bval", tmp_path / "x.bvec", GradientTable(np.array([0, 500, 500.5]), directions), AFFINE
    )
    assert (tmp_path / "x.bval").read_text() == "0 500 500.5\n"
    assert (tmp_path / "x.bvec").read_text() == "0 -1 0\n0 0 1\n0 0 0\n"


# What a header says of the image's place


def header_with(tmp_path, *, sform=None, qform=None):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    image.set_sform(sform, code=0 if sform is None else 1)
    image.set_qform(np.eye(4) if qform is None else qform, code=0 if qform is None else 1)
    nib.save(image, tmp_path / "x.nii.gz")
    return tmp_path / "x.nii.gz"


def test_a_header_that_places_the_image_once_or_twice_alike_is_fine(tmp_path):
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("x", 0.5, degrees=True).as_matrix() @ AFFINE[:3, :3]
    for forms in ({"sform": AFFINE}, {"qform": AFFINE}, {"sform": AFFINE, "qform": turned}):
        assert placement_issues(header_with(tmp_path, **forms)) == ()


def test_a_header_without_a_place_is_a_warning(tmp_path):
    (issue,) = placement_issues(header_with(tmp_path))
    assert "does not say how the image lies" in issue.what


def test_two_places_that_disagree_are_a_warning(tmp_path):
    mirrored, turned = AFFINE.copy(), AFFINE.copy()
    mirrored[:, 0] *= -1
    turned[:3, :3] = Rotation.from_euler("y", 20, degrees=True).as_matrix() @ AFFINE[:3, :3]
    (issue,) = placement_issues(header_with(tmp_path, sform=AFFINE, qform=mirrored))
    assert "mirrored" in issue.what
    (issue,) = placement_issues(header_with(tmp_path, sform=AFFINE, qform=turned))
    assert "turned by 20°" in issue.what


def test_the_header_of_a_missing_or_damaged_file_is_named(tmp_path):
    refusal(DatasetError, tmp_path / "x.nii", placement_issues, tmp_path / "x.nii")
    (tmp_path / "x.nii").write_bytes(b"no image")
    refusal(DatasetError, tmp_path / "x.nii", placement_issues, tmp_path / "x.nii")


# Series


def series_files(tmp_path, shape=(2, 2, 2, 3), bvals=BVALS, bvecs=BVECS):
    write_image(tmp_path / "x.nii.gz", np.ones(shape, np.int16), AFFINE)
    (tmp_path / "x.bval").write_text(bvals)
    (tmp_path / "x.bvec").write_text(bvecs)
    return tmp_path / "x.nii.gz", tmp_path / "x.bval", tmp_path / "x.bvec"


def test_a_series_is_read_with_its_gradients_and_threshold(tmp_path):
    series = read_dwi(*series_files(tmp_path, bvals="15 500 500"), b0_threshold=15.0)
    assert series.signal.shape == (2, 2, 2, 3)
    assert series.gradients.is_b0.tolist() == [True, False, False]


def test_a_three_dimensional_image_is_refused_by_name(tmp_path):
    paths = series_files(tmp_path, shape=(2, 2, 2))
    assert "this image has 3" in refusal(ImageError, paths[0], read_dwi, *paths, b0_threshold=20.0)


def test_b_values_of_another_series_are_refused_by_name(tmp_path):
    paths = series_files(tmp_path, shape=(2, 2, 2, 5))
    assert "3 b-values for 5 volumes" in refusal(GradientError, paths[1], read_dwi, *paths, b0_threshold=20.0)


@pytest.mark.parametrize("is_compressed", [True, False])
def test_an_image_whose_name_says_otherwise_about_compression_is_named(tmp_path, is_compressed):
    plain = _plain(tmp_path)
    path = tmp_path / ("x.nii" if is_compressed else "x.nii.gz")
    path.write_bytes(gzip.compress(plain) if is_compressed else plain)
    message = refusal(DatasetError, path, read_image, path)
    assert ("(it is compressed, unlike" if is_compressed else "(it is not compressed, unlike") in message
