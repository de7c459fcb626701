from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import DtiMuscleError, GridMismatchError, ImageError, LabelError, SettingsError
from dtimuscle.imaging.roi import measure_muscles
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.issues import Severity
from dtimuscle.muscles import Muscle, MuscleRegistry, Side
from dtimuscle.store import files
from dtimuscle.store.images import write_image
from dtimuscle.store.label_tables import read_names, schemes_folder, structures_file
from dtimuscle.store.labels import label_files, label_images, read_labels, side_of_image, write_label_table
from dtimuscle.store.registry import read_registry

REGISTRY = MuscleRegistry((Muscle("gracilis", "Gracilis", 7151, 7152, ("GRA",)),))
AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])


@pytest.fixture(scope="module")
def registry():
    return read_registry()


def label_image(tmp_path, values, table: str | None = None, dtype=np.int16):
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, np.asarray(values, dtype=dtype), AFFINE)
    if table is not None:
        (tmp_path / "sub-01_dseg.tsv").write_text(table)
    return path


def refusal(kind: type[DtiMuscleError], path, function, *args, **kwargs) -> str:
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


# Values


def test_labels_above_255_survive_saving(tmp_path):
    labels, issues = read_labels(label_image(tmp_path, [[[0, 7151, 7152]]]), REGISTRY)
    assert labels.values.tolist() == [[[0, 7151, 7152]]]
    assert np.issubdtype(labels.values.dtype, np.integer)
    assert labels.present == {7151: ("gracilis", Side.LEFT), 7152: ("gracilis", Side.RIGHT)}
    assert issues == ()


@pytest.mark.parametrize("shape", [(2, 2, 2, 1), (2, 2, 2, 1, 1)])
def test_labels_with_further_axes_of_length_one_are_three_dimensional(tmp_path, shape):
    labels, _ = read_labels(label_image(tmp_path, np.full(shape, 7151)), REGISTRY)
    assert labels.values.shape == (2, 2, 2)


def test_labels_with_more_volumes_are_refused(tmp_path):
    path = label_image(tmp_path, np.full((2, 2, 2, 2), 7151))
    assert "has 4" in refusal(ImageError, path, read_labels, path, REGISTRY)


def test_whole_numbers_stored_as_floats_are_labels(tmp_path):
    labels, _ = read_labels(label_image(tmp_path, [[[0, 7151.0]]], dtype=np.float64), REGISTRY)
    assert labels.values.tolist() == [[[0, 7151]]]


@pytest.mark.parametrize("value", [0.5, 7150.5, 7151.01, np.nan, np.inf])
def test_interpolated_labels_are_refused(tmp_path, value):
    path = label_image(tmp_path, [[[0, 7151, value]]], dtype=np.float32)
    message = refusal(LabelError, path, read_labels, path, REGISTRY)
    assert f"holds {value:g}, which is no label" in message


@pytest.mark.parametrize(("value", "dtype"), [(2**24 + 1, np.int32), (2**32 - 1, np.uint32)])
def test_labels_too_large_to_be_read_exactly_are_refused(tmp_path, value, dtype):
    path = label_image(tmp_path, [[[0, 7151, value]]], dtype=dtype)
    assert "labels are below 16,777,216" in refusal(LabelError, path, read_labels, path, REGISTRY)


def test_a_scale_factor_is_applied(tmp_path):
    image = nib.Nifti1Image(np.array([[[0, 14302, 14304]]], np.int16), AFFINE)
    image.header.set_slope_inter(0.5, 0)
    nib.save(image, tmp_path / "sub-01_dseg.nii.gz")
    labels, issues = read_labels(tmp_path / "sub-01_dseg.nii.gz", REGISTRY)
    assert (labels.values.tolist(), issues) == ([[[0, 7151, 7152]]], ())


def test_bones_of_musclemap_are_neither_measured_nor_unknown(tmp_path):
    labels, issues = read_labels(label_image(tmp_path, [[[7151, 6171, 4711]]]), REGISTRY)
    assert labels.structures[6171] == "femur"
    assert labels.unknown == (4711,)
    assert set(labels.present) == {7151}
    assert issues == ()


# Names


def test_a_look_up_table_decides_what_values_mean(tmp_path):
    table = "index\tname\tcolor\n0\tbackground\tx\n1\tGRA L\tx\n2\tgracilis right\tx\n3\tGracilis\tx\n"
    labels, issues = read_labels(label_image(tmp_path, [[[1, 2]]], table), REGISTRY)
    assert labels.meaning == {1: ("gracilis", Side.LEFT), 2: ("gracilis", Side.RIGHT), 3: ("gracilis", Side.BOTH)}
    assert issues == ()


def test_an_unknown_name_in_the_table_is_an_issue_not_an_end(tmp_path):
    table = "index\tname\n1\tgracilis_left\n2\tdeltoid\n3\ttrapezius\n4\tfemur\n"
    labels, (warning, note) = read_labels(label_image(tmp_path, [[[1, 2, 4]]], table), REGISTRY)
    assert set(labels.meaning) == {1}
    assert (warning.severity, warning.where) == (Severity.WARNING, "sub-01_dseg.tsv, index 2")
    assert warning.what == "'deltoid' is no muscle of the registry."
    assert (note.severity, note.where) == (Severity.NOTE, "sub-01_dseg.tsv")
    assert "'trapezius'" in note.what
    assert labels.unknown == (2,)


def test_a_misspelt_name_counts_and_a_note_says_as_what(tmp_path, registry):
    table = "index\tname\n1\tSatorius Left\n2\tadduct. longus R\n3\tVL_L\n4\tvastus R\n"
    labels, issues = read_labels(label_image(tmp_path, [[[1, 2, 3, 4]]], table), registry)
    assert labels.meaning == {
        1: ("sartorius", Side.LEFT),
        2: ("adductor_longus", Side.RIGHT),
        3: ("vastus_lateralis", Side.LEFT),
    }
    assert [issue.severity for issue in issues] == [Severity.NOTE, Severity.NOTE, Severity.WARNING]
    assert str(issues[0]).startswith(
        "sub-01_dseg.tsv, index 1: 'Satorius Left' is taken for sartorius (left). Correct the name"
    )
    assert "may be vastus_lateralis or vastus_intermedius or vastus_medialis. It is not measured." in issues[2].what


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("value\tmeaning\n1\tgracilis\n", "needs the columns index and name; it has value, meaning."),
        ("index\tname\none\tgracilis\n", "index 'one' is not a whole number"),
        ("index\tname\n1\tgracilis_left\n1\tgracilis_right\n", "index 1 stands twice"),
    ],
)
def test_a_look_up_table_that_cannot_be_used_is_named(tmp_path, table, message):
    path = label_image(tmp_path, [[[1]]], table)
    assert message in refusal(LabelError, tmp_path / "sub-01_dseg.tsv", read_labels, path, REGISTRY)


def test_a_look_up_table_gives_back_the_meaning_it_was_written_from(tmp_path, labels):
    path = label_image(tmp_path, labels.values)
    write_label_table(tmp_path / "sub-01_dseg.tsv", labels)
    again, issues = read_labels(path, REGISTRY)
    assert again.meaning == labels.meaning
    assert issues == ()


def test_a_table_that_is_not_the_images_own_is_named(tmp_path):
    path = label_image(tmp_path, [[[1]]])
    (tmp_path / "dseg.tsv").write_text("index\tname\n1\tgracilis_left\n")
    labels, (issue,) = read_labels(path, REGISTRY)
    assert labels.present == {1: ("gracilis", Side.LEFT)}
    assert (issue.severity, str(tmp_path / "dseg.tsv") in issue.what) == (Severity.NOTE, True)


# Schemes


def test_a_scheme_that_is_set_decides_and_a_table_beside_does_not(tmp_path, registry):
    path = label_image(tmp_path, [[[47, 48]]], "index\tname\n47\tsoleus left\n48\tsoleus right\n")
    labels, issues = read_labels(path, registry, scheme="qmritools")
    assert labels.present == {47: ("gracilis", Side.LEFT), 48: ("gracilis", Side.RIGHT)}
    assert issues == ()


def test_a_file_may_be_the_scheme(tmp_path, registry):
    scheme = tmp_path / "reader.label"
    scheme.write_text('7 255 0 0 1 1 1 "Sartorius R"\n')
    labels, _ = read_labels(label_image(tmp_path, [[[7]]]), registry, scheme=str(scheme))
    assert labels.present == {7: ("sartorius", Side.RIGHT)}


def test_a_scheme_that_nobody_knows_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(SettingsError, match=r"Did you mean qmritools\? Known: auto, musclemap, qmritools,"):
        read_labels(label_image(tmp_path, [[[7]]]), REGISTRY, scheme="qmritool")


def test_values_of_another_scheme_are_not_guessed_but_named(tmp_path, registry):
    labels, (issue,) = read_labels(label_image(tmp_path, [[[31, 55, 63]]]), registry)
    assert labels.present == {}
    assert issue.severity is Severity.WARNING
    assert "its values (31, 55, 63) are no MuscleMap codes. They could be those of qmritools." in issue.what
    assert issue.remedy.startswith("If they are, set label_scheme to qmritools. Otherwise put a table")


def test_values_that_fit_several_schemes_or_none_are_left_to_the_user(tmp_path, registry):
    _, (several,) = read_labels(label_image(tmp_path, [[[31, 32]]]), registry)
    assert "could be those of qmritools or qmritools_total" in several.what
    _, (none,) = read_labels(label_image(tmp_path, [[[3000]]]), registry)
    assert none.remedy == "Put a table of index and name beside it (sub-01_dseg.tsv)."


@pytest.mark.parametrize("scheme", ["auto", "qmritools"])
def test_a_table_or_scheme_that_has_nothing_to_do_with_the_values_is_named(tmp_path, registry, scheme):
    labels, (issue, *_) = read_labels(
        label_image(tmp_path, [[[7151, 7152]]], "index\tname\n1\tSAR\n"), registry, scheme=scheme
    )
    assert labels.present == {}
    source = "sub-01_dseg.tsv" if scheme == "auto" else "label scheme qmritools"
    assert issue.what == f"holds none of the values of {source}, but 7151, 7152. They could be those of musclemap."
    assert issue.remedy == "If they are, set label_scheme to musclemap. Otherwise name its own values there."


def test_a_single_strange_value_among_musclemap_codes_is_no_other_scheme(tmp_path, registry):
    labels, issues = read_labels(label_image(tmp_path, [[[7151, 7152, 5]]]), registry)
    assert (issues, labels.unknown) == ((), (5,))


# One row for the same muscle, wherever its label comes from


def series_of(signal, affine):
    directions = np.array([[0, 0, 0], [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]) / np.sqrt(2)
    return DwiSeries(signal, affine, GradientTable(np.array([0.0, *[500.0] * 6]), directions))


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(5)
    decay = np.array([1, 0.5, 0.45, 0.55, 0.4, 0.5, 0.6])
    return series_of((800 * decay + rng.normal(0, 10, (12, 8, 4, 7))).astype(np.float32), AFFINE)


def drawn(right, left):
    values = np.zeros((12, 8, 4), dtype=np.int16)
    values[1:5, 1:7], values[7:11, 1:7] = right, left
    return values


def rows(series, labels):
    maps = fit_tensor(series, np.ones(series.shape, dtype=bool), estimator="ols")
    return measure_muscles(maps, labels, series, participant_id="sub-01", erosion_mm=2.5, min_voxels=3).table


def test_the_same_muscle_in_every_scheme_gives_the_same_rows(tmp_path, registry, series):
    folders = {}
    for name in (
        "musclemap",
        "qmritools",
        "body",
        "tsv",
        "itk",
        "slicer",
        "typed",
        "sides",
        "dafne",
        "header",
        "masks",
    ):
        folders[name] = tmp_path / name
        folders[name].mkdir()

    def saved(name, right, left):
        path = folders[name] / "sub-01_dseg.nii.gz"
        write_image(path, drawn(right, left), AFFINE)
        return path

    found = {"musclemap": read_labels(saved("musclemap", 7142, 7141), registry)[0]}
    found["qmritools"] = read_labels(saved("qmritools", 64, 63), registry, scheme="qmritools")[0]
    found["body"] = read_labels(saved("body", 528, 527), registry, scheme="qmritools_body")[0]
    tables = {
        "tsv": ("tsv", "index\tname\n1\tSatorius R\n2\tSartorius_L\n"),
        "itk": ("label", '1 255 0 0 1 1 1 "1 Sartorius Right"\n2 255 0 0 1 1 1 "2 M. sartorius left"\n'),
        "slicer": ("ctbl", "# Color table file\n1 sartorius_right 1 2 3 255\n2 SAR_left 1 2 3 255\n"),
        "typed": ("csv", "Value;Anatomy;Side\n1;sartorius;right\n2;Sartorius;left\n"),
    }
    for name, (ending, text) in tables.items():
        path = saved(name, 1, 2)
        (folders[name] / f"sub-01_dseg.{ending}").write_text(text)
        found[name] = read_labels(path, registry)[0]
    for side, values in (("R", drawn(1, 0)), ("L", drawn(0, 1))):
        write_image(folders["sides"] / f"sub-01_hemi-{side}_dseg.nii.gz", values, AFFINE)
    (folders["sides"] / "sub-01_dseg.tsv").write_text("index\tname\n1\tsartorius\n")
    found["sides"] = read_labels(folders["sides"] / "sub-01_hemi-L_dseg.nii.gz", registry)[0]

    # Dafne writes two legends, TotalSegmentator one into the header; both also write one image for each muscle.
    path = saved("dafne", 1, 2)
    (folders["dafne"] / "sub-01_dseg.nii.gz.csv").write_text("Value,Label\n1,SAR_R\n2,SAR_L\n")
    (folders["dafne"] / "sub-01_dseg.nii.gz_itk-snap.txt").write_text(
        '    1   255    0    0        1  1  1    "SAR_R"\n'
    )
    found["dafne"] = read_labels(path, registry)[0]
    image = nib.Nifti1Image(drawn(1, 2), AFFINE)
    names = "".join(
        f'<Label Key="{key}" Red="1"><![CDATA[sartorius_{side}]]></Label>' for key, side in ((1, "right"), (2, "left"))
    )
    xml = f"<CaretExtension><LabelTable>{names}</LabelTable></CaretExtension>"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, folders["header"] / "sub-01_dseg.nii.gz")
    found["header"] = read_labels(folders["header"] / "sub-01_dseg.nii.gz", registry)[0]
    for label, values in (("sartoriusR", drawn(1, 0)), ("SAR-left", drawn(0, 255))):
        write_image(folders["masks"] / f"sub-01_label-{label}_mask.nii.gz", values, AFFINE)
    found["masks"] = read_labels(folders["masks"] / "sub-01_label-sartoriusR_mask.nii.gz", registry)[0]

    expected = rows(series, found["musclemap"])
    assert list(expected["side"].unique()) == ["left", "right", "both"]
    assert expected.loc[expected["route"] == "voxelwise", "mean"].notna().all()
    for name, labels in found.items():
        table = rows(series, labels)
        ordered = table.set_index(["side", "parameter", "route"]).loc[
            list(expected.set_index(["side", "parameter", "route"]).index)
        ]
        assert ordered.reset_index()[list(expected.columns)].equals(expected), name


# One image for each side, or each muscle


def test_masks_of_single_muscles_are_put_together(tmp_path, registry):
    masks = {
        "sub-01_hemi-L_label-adductorLongus_mask": [[[1, 0, 0, 0]]],
        "sub-01_hemi-R_label-adductorLongus_mask": [[[0, 1, 0, 0]]],
        "sub-01_hemi-L_label-SAR_mask": [[[0, 0, 255, 0]]],
        "sub-01_desc-first_hemi-L_label-GRA_mask": [[[0, 0, 0, 1]]],
    }
    paths = [tmp_path / f"{name}.nii.gz" for name in masks]
    for path, values in zip(paths, masks.values(), strict=True):
        write_image(path, np.array(values, np.uint8), AFFINE)
    labels, issues = read_labels(paths[1], registry)
    assert set(labels.present.values()) == {
        ("adductor_longus", Side.LEFT), ("adductor_longus", Side.RIGHT), ("sartorius", Side.LEFT),
    }  # fmt: skip
    assert (np.count_nonzero(labels.values), issues) == (3, ())
    assert label_files(paths[1]) == (paths[1], paths[2], paths[0], structures_file())


def side_images(tmp_path, left, right, names=("sub-01_hemi-L_dseg.nii.gz", "sub-01_hemi-R_dseg.nii.gz"), table=None):
    for name, values in zip(names, (left, right), strict=True):
        write_image(tmp_path / name, np.asarray(values, dtype=np.int16), AFFINE)
        if table:
            files.write_text(tmp_path / f"{name.split('.')[0]}.tsv", table)
    return tuple(tmp_path / name for name in names)


@pytest.mark.parametrize(
    "names",
    [
        ("sub-01_hemi-L_dseg.nii.gz", "sub-01_hemi-R_dseg.nii.gz"),
        ("sub-01_desc-left_dseg.nii.gz", "sub-01_desc-right_dseg.nii.gz"),
        ("muscles_left.nii.gz", "muscles_right.nii.gz"),
        ("Muscles_L.nii.gz", "Muscles_R.nii.gz"),
    ],
)
def test_the_image_of_the_other_side_is_read_along(tmp_path, registry, names):
    left, right = side_images(tmp_path, [[[1, 0]]], [[[0, 1]]], names, "index\tname\n1\tsoleus\n")
    for first in (left, right):
        labels, issues = read_labels(first, registry)
        assert labels.values.tolist() == [[[8131, 8132]]]
        assert labels.present == {8131: ("soleus", Side.LEFT), 8132: ("soleus", Side.RIGHT)}
        assert issues == ()
    assert (side_of_image(left), side_of_image(right)) == (Side.LEFT, Side.RIGHT)


def test_one_side_alone_is_that_side(tmp_path, registry):
    path = tmp_path / "sub-01_hemi-R_dseg.nii.gz"
    write_image(path, np.array([[[1]]], np.int16), AFFINE)
    (tmp_path / "sub-01_hemi-R_dseg.tsv").write_text("index\tname\n1\tsoleus\n")
    assert label_images(path) == (path,)
    assert read_labels(path, registry)[0].present == {1: ("soleus", Side.RIGHT)}


def test_voxels_of_both_sides_are_refused(tmp_path, registry):
    left, right = side_images(tmp_path, [[[1, 1]]], [[[0, 1]]], table="index\tname\n1\tsoleus\n")
    message = refusal(LabelError, right, read_labels, left, registry)
    assert "1 voxels of soleus are labelled in sub-01_hemi-L_dseg.nii.gz as well" in message


def test_a_muscle_of_the_other_side_is_refused(tmp_path, registry):
    left, _ = side_images(tmp_path, [[[7152, 0]]], [[[0, 7152]]])
    assert "7152 is gracilis (right)" in refusal(LabelError, left, read_labels, left, registry)


def test_muscles_that_are_named_to_their_files_side_are_fine(tmp_path, registry):
    left, _ = side_images(tmp_path, [[[7151, 0]]], [[[0, 7152]]])
    assert set(read_labels(left, registry)[0].present) == {7151, 7152}


def test_unknown_values_of_one_side_are_an_issue_and_no_muscle(tmp_path, registry):
    left, _ = side_images(tmp_path, [[[7151, 9, 0]]], [[[0, 0, 7152]]])
    labels, (issue,) = read_labels(left, registry)
    assert labels.values.tolist() == [[[7151, 0, 7152]]]
    assert issue.what == "label values without a muscle: 9."


def test_images_may_be_named_one_by_one(tmp_path, registry):
    first, second = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    for path, values in ((first, [[[7151, 0]]]), (second, [[[0, 8131]]])):
        write_image(path, np.array(values, np.int16), AFFINE)
    assert read_labels([first, second], registry)[0].values.tolist() == [[[7151, 8131]]]


# Grids


def block(shape=(8, 6, 4)):
    values = np.zeros(shape, dtype=np.int16)
    values[1:4, 1:5, :2], values[5:7, 2:5, :2] = 7152, 7151
    return values


def test_labels_on_the_grid_of_the_series_stay_as_they_are(tmp_path):
    rounded = AFFINE.copy()
    rounded[0, 3] += 0.04
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, block(), rounded)
    labels, issues = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    np.testing.assert_array_equal(labels.values, block())
    np.testing.assert_array_equal(labels.affine, AFFINE)
    assert issues == ()


@pytest.mark.parametrize("order", ["LPS", "RAI", "SRA", "PIL", "ASR"])
def test_flipped_and_permuted_storage_is_reordered(tmp_path, order):
    image = nib.Nifti1Image(block(), AFFINE)
    wanted = nib.orientations.ornt_transform(nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(order))
    stored = image.as_reoriented(wanted)
    assert not np.array_equal(stored.dataobj, block())
    path = tmp_path / "sub-01_dseg.nii.gz"
    nib.save(stored, path)
    labels, (issue,) = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    np.testing.assert_array_equal(labels.values, block())
    assert issue.severity is Severity.NOTE
    assert issue.what == f"is stored in the order {order}, the series in RAS: it was reordered."


def test_the_same_shape_with_another_affine_is_never_read_voxel_by_voxel(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 5.0  # two voxels
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, block(), moved)
    labels, issues = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    expected = np.zeros_like(block())
    expected[2:] = block()[:-2]
    np.testing.assert_array_equal(labels.values, expected)
    assert issues[0].severity is Severity.WARNING
    assert "8 × 6 × 4 voxels of 2.5 × 2.5 × 5 mm, corners 5.0 mm apart) and was resampled" in issues[0].what
    assert "36 labelled voxels (1.13 ml) became 30 labelled voxels (0.938 ml)" in issues[0].what
    assert (issues[1].severity, "17 % of the labelled" in issues[1].what) == (Severity.WARNING, True)


def test_labels_that_lie_mostly_beyond_the_series_are_refused(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 12.5
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, block(), moved)
    message = refusal(GridMismatchError, path, read_labels, path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    assert "only 44 % of the labelled voxels lie within the diffusion series (at least 50 %)" in message


def test_labels_whose_header_does_not_say_where_they_lie_are_refused_on_another_grid(tmp_path):
    path = tmp_path / "sub-01_dseg.nii"
    image = nib.Nifti1Image(block(), None)
    image.header.set_zooms((2.5, 2.5, 5.0))
    nib.save(image, path)
    message = refusal(GridMismatchError, path, read_labels, path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    assert "its header does not say where it lies" in message


def turned(degrees):
    turn = np.eye(4)
    turn[:2, :2] = nib.eulerangles.euler2mat(np.radians(degrees))[:2, :2]
    return turn @ AFFINE


MIRRORED = np.diag([-2.5, 2.5, 5.0, 1.0])
MIRRORED[0, 3] = 7 * 2.5


@pytest.mark.parametrize(
    ("affine", "severity"),
    [
        (turned(5), Severity.WARNING),
        (MIRRORED, Severity.NOTE),
        (AFFINE @ np.diag([1, 1, 0.9, 1]), Severity.WARNING),
        (AFFINE + np.eye(4, k=1) * [[0, 0.4, 0, 0]], Severity.WARNING),
    ],
)
def test_no_other_affine_of_the_same_shape_passes(tmp_path, affine, severity):
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, block(), affine)
    labels, issues = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    places = np.rint(
        nib.affines.apply_affine(np.linalg.inv(affine) @ AFFINE, np.moveaxis(np.indices((8, 6, 4)), 0, -1))
    )
    is_inside = np.all((places >= 0) & (places < (8, 6, 4)), axis=-1)
    expected = np.where(
        is_inside, block()[tuple(np.moveaxis(np.where(is_inside[..., None], places, 0).astype(int), -1, 0))], 0
    )
    # Centres that fall between two voxels may go either way.
    assert np.mean(labels.values != expected) < 0.02
    assert issues[0].severity is severity


@pytest.mark.parametrize(("wrong", "severity"), [("qform", Severity.NOTE), ("sform", Severity.WARNING)])
def test_a_header_that_places_the_labels_twice_is_named(tmp_path, wrong, severity):
    moved = AFFINE.copy()
    moved[1, 3] = 2.5
    image = nib.Nifti1Image(block(), None)
    image.header.set_sform(moved if wrong == "sform" else AFFINE, 1)
    image.header.set_qform(moved if wrong == "qform" else AFFINE, 1)
    path = tmp_path / "sub-01_dseg.nii"
    nib.save(nib.Nifti1Image(block(), None, image.header), path)
    _, (issue, *_) = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    assert issue.severity is severity
    assert issue.what == "the header places the image twice, 2.5 mm apart (sform and qform)."


def test_labels_of_an_anatomical_image_are_looked_up_at_the_voxel_centres(tmp_path):
    fine = np.kron(block(), np.ones((3, 3, 1), dtype=np.int16))
    affine = AFFINE @ np.diag([1 / 3, 1 / 3, 1, 1])
    affine[:3, 3] = [-2.5 / 3, -2.5 / 3, 0]  # the first three voxels lie within the first of the series
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, fine, affine)
    labels, (issue,) = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    np.testing.assert_array_equal(labels.values, block())
    assert issue.severity is Severity.NOTE
    assert "24 × 18 × 4 voxels of 0.833 × 0.833 × 5 mm against 8 × 6 × 4 voxels of 2.5 × 2.5 × 5 mm" in issue.what


def test_a_small_label_that_falls_between_the_voxels_is_named(tmp_path):
    fine = np.zeros((24, 18, 4), dtype=np.int16)
    fine[3:12, 3:12, 1], fine[12, 12, 1] = 7152, 7151
    affine = AFFINE @ np.diag([1 / 3, 1 / 3, 1, 1])
    affine[:3, 3] = [-2.5 / 3, -2.5 / 3, 0]
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, fine, affine)
    labels, issues = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    assert [issue.severity for issue in issues] == [Severity.NOTE, Severity.WARNING]
    assert issues[1].what == "the labels 7151 have no voxel of the diffusion series."
    assert labels.regions == {("gracilis", Side.RIGHT): (7152,), ("gracilis", Side.LEFT): ()}


def test_a_transform_beside_the_labels_moves_them(tmp_path):
    path = tmp_path / "sub-01_dseg.nii.gz"
    moved = AFFINE.copy()
    moved[:3, 3] += [300, 0, 0]
    write_image(path, block(), moved)
    (tmp_path / "sub-01_from-T1w_to-dwi_mode-image_xfm.txt").write_text("1 0 0 -300\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    labels, (issue,) = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    np.testing.assert_array_equal(labels.values, block())
    assert "through the given transform" in issue.what
    given = tmp_path / "another.txt"
    given.write_text("1 0 0 -297.5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    labels, _ = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE, transform=given)
    np.testing.assert_array_equal(labels.values[1:], block()[:-1])


def test_a_transform_that_goes_the_other_way_is_named(tmp_path):
    path = tmp_path / "sub-01_dseg.nii.gz"
    moved = AFFINE.copy()
    moved[:3, 3] += [300, 0, 0]
    write_image(path, block(), moved)
    (tmp_path / "sub-01_from-T1w_to-dwi_mode-image_xfm.txt").write_text("1 0 0 300\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    message = refusal(GridMismatchError, path, read_labels, path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    assert message.endswith("With the inverse of the transform it would be 100 %; check which way it goes.")


def test_labels_on_the_grid_of_the_series_are_not_moved_by_what_lies_beside_them(tmp_path):
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_image(path, block(), AFFINE)
    (tmp_path / "sub-01_from-T1w_to-dwi_mode-image_xfm.txt").write_text("1 0 0 5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    labels, (issue,) = read_labels(path, REGISTRY, shape=(8, 6, 4), affine=AFFINE)
    np.testing.assert_array_equal(labels.values, block())
    assert issue.severity is Severity.WARNING
    assert "sub-01_from-T1w_to-dwi_mode-image_xfm.txt beside it is not applied" in issue.what


def test_one_image_a_side_on_another_grid_is_brought_over_too(tmp_path, registry):
    left, right = side_images(tmp_path, block() * (block() == 7151), block() * (block() == 7152))
    affine = AFFINE.copy()
    affine[0] *= -1
    affine[0, 3] = 7 * 2.5
    labels, issues = read_labels(left, registry, shape=(8, 6, 4), affine=affine)
    np.testing.assert_array_equal(labels.values, block()[::-1])
    assert [issue.where for issue in issues] == [left.name, right.name]


# Files


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_files_of_a_label_image_include_its_table_where_there_is_one(tmp_path, suffix):
    image, table = tmp_path / f"sub-01_dseg{suffix}", tmp_path / "sub-01_dseg.tsv"
    image.touch()
    assert label_files(image) == (image, structures_file())
    files.write_text(table, "index\tname\n")
    assert label_files(image) == (image, table, structures_file())
    assert label_files(image, scheme="qmritools") == (image, schemes_folder() / "qmritools.tsv", structures_file())
    assert label_files(image, scheme="musclemap") == (image, structures_file())


def test_the_files_of_one_side_include_the_other_and_the_transform(tmp_path):
    names = ("sub-01_hemi-L_dseg.nii.gz", "sub-01_hemi-R_dseg.nii.gz", "sub-01_from-T1w_to-dwi_mode-image_xfm.txt")
    paths = tuple(tmp_path / name for name in names)
    for path in paths:
        path.touch()
    assert label_files(paths[0]) == (*paths, structures_file())


# The schemes that the kit ships


@pytest.mark.parametrize("name", ["qmritools", "qmritools_total", "qmritools_body", "qmritools_body_total"])
def test_every_muscle_of_a_scheme_is_one_of_the_registry(tmp_path, registry, name):
    names = read_names(schemes_folder() / f"{name}.tsv").names
    path = tmp_path / "all.nii.gz"
    write_image(path, np.array(list(names), dtype=np.int16).reshape(-1, 1, 1), AFFINE)
    labels, issues = read_labels(path, registry, scheme=name)
    assert issues == ()
    assert labels.unknown == ()
    has_sides = not name.endswith("total")
    assert all((side is not Side.BOTH) == has_sides for _, side in labels.present.values())


# From mfroeling/QMRITools, commit af15ee7 (QMRITools/NeuralNetworks/S2_Muscles_leg_side.txt, S1_Muscles_body_side.txt).
QMRITOOLS_LEFT = {
    "soleus": (5, 605),
    "tibialis_anterior": (21, 621),
    "biceps_femoris_long_head": (31, 501),
    "semimembranosus": (35, 505),
    "adductor_magnus": (39, 509),
    "adductor_longus": (43, 513),
    "gracilis": (47, 517),
    "vastus_lateralis": (55, 519),
    "rectus_femoris": (61, 525),
    "sartorius": (63, 527),
    "gluteus_maximus": (71, 401),
    "gemellus_inferior": (85, 417),
}


def test_codes_of_qmritools_are_its_own():
    leg, body = (read_names(schemes_folder() / f"{name}.tsv").names for name in ("qmritools", "qmritools_body"))
    for name, (in_leg, in_body) in QMRITOOLS_LEFT.items():
        assert (leg[in_leg], leg[in_leg + 1]) == (f"{name}_left", f"{name}_right")
        assert (body[in_body], body[in_body + 1]) == (f"{name}_left", f"{name}_right")


def test_a_missing_image_is_named(tmp_path):
    path = tmp_path / "sub-01_hemi-L_dseg.nii.gz"
    assert "no such file" in refusal(DtiMuscleError, path, read_labels, path, REGISTRY)
    path = Path(tmp_path / "nowhere" / "sub-01_hemi-L_dseg.nii.gz")
    assert "no such file" in refusal(DtiMuscleError, path, read_labels, path, REGISTRY)
