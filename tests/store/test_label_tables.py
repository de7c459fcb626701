import pytest

from dtimuscle.errors import DatasetError, LabelError
from dtimuscle.store.label_tables import read_names, read_structures, scheme_names, table_beside

ITK_SNAP = """################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
# Upper leg
   63   203  193    0        1  1  1    "63 Satorius Left"
   91    60  179  113      0.5  1  0    "89 Quadratus lumborum Left"  # as it stands
"""


@pytest.mark.parametrize(
    ("ending", "text", "names"),
    [
        ("tsv", "index\tname\n0\tbackground\n1\tGRA L\n", {1: "GRA L"}),
        ("tsv", "\ufeffindex\tname\tabbreviation\tcolor\n1\tGracilis\tGRA\t#ff0000\n", {1: "Gracilis"}),
        ("tsv", "name\tindex\r\ngracilis\t1.0\r\n", {1: "gracilis"}),
        ("csv", "index,name\n1,gracilis\n", {1: "gracilis"}),
        ("csv", 'LabelValue,Name,Color_R,Color_G\n1,"gracilis, left",2,3\n', {1: "gracilis, left"}),
        ("csv", "label,name\n1,gracilis\n", {1: "gracilis"}),
        ("csv", "Value;Label\n1;gracilis\n", {1: "gracilis"}),
        ("csv", "Region,Anatomy,Side,Value\nthigh,gracilis,left,7151\n", {7151: "gracilis left"}),
        ("tsv", "index\tname\tside\n5\tsacrum\tno side\n6\tsoleus\tR\n", {5: "sacrum", 6: "soleus R"}),
        ("label", ITK_SNAP, {63: "Satorius Left", 91: "Quadratus lumborum Left"}),
        ("txt", ITK_SNAP, {63: "Satorius Left", 91: "Quadratus lumborum Left"}),
        ("label", '1 255 0 0 1 1 1 "Gluteus Maximus\n', {1: "Gluteus Maximus"}),
        ("ctbl", "# Color table file x\n0 Background 0 0 0 0\n1 vastus_lateralis 1 2 3 255\n", {1: "vastus_lateralis"}),
        ("txt", "#No. Label Name: R G B A\n0 Unknown 0 0 0 0\n12  Left-VL  220 20 20 0\n", {12: "Left-VL"}),
        ("txt", "1 vastus lateralis left\n2 gracilis\n", {1: "vastus lateralis left", 2: "gracilis"}),
        ("txt", "1: VL left\n2 = VL right\n", {1: "VL left", 2: "VL right"}),
        ("csv", '1,"vastus lateralis"\n2,VM\n', {1: "vastus lateralis", 2: "VM"}),
        ("tsv", "1\tvastus lateralis\n", {1: "vastus lateralis"}),
        ("csv", '1;"VL, left";#ff0000\n2;"VL, right";#00ff00\n', {1: "VL, left", 2: "VL, right"}),
        ("csv", "Index,Structure,Laterality\n1,Gracilis,Left\n", {1: "Gracilis Left"}),
        ("csv", "sep=;\nLabel ID;Label Name\n1;Gracilis\n", {1: "Gracilis"}),
        ("tsv", "index  name\n1      vastus lateralis\n2  VM\n", {1: "vastus lateralis", 2: "VM"}),
        ("nii.gz.csv", "Value,Label\n1,VL_L\n", {1: "VL_L"}),
        ("nii.gz_itk-snap.txt", ITK_SNAP, {63: "Satorius Left", 91: "Quadratus lumborum Left"}),
    ],
)
def test_tables_of_several_programs_are_read(tmp_path, ending, text, names):
    path = tmp_path / f"sub-01_dseg.{ending}"
    path.write_bytes(text.encode())
    assert read_names(path).names == names
    image = tmp_path / "sub-01_dseg.nii.gz"
    assert table_beside(image) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no labels"),
        ("# nothing\n", "holds no labels"),
        ("a\tb\n1\t2\n", "needs the columns index and name; it has a, b."),
        ("index\tname\nfive\tVL\n", "index 'five' is not a whole number"),
        ("index\tname\n1.5\tVL\n", "index '1.5' is not a whole number"),
        ("index\tname\n1\tVL\n1\tVM\n", "index 1 stands twice"),
        ("index\tname\n1\tVL\tx\n", "rows have more cells than its header"),
        ("index\tname\n1\tVL\n2\tVM\tx\n", "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "x.tsv"
    path.write_text(text)
    with pytest.raises(LabelError) as caught:
        read_names(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_missing_is_named(tmp_path):
    with pytest.raises(DatasetError, match="there is no such file"):
        read_names(tmp_path / "x.tsv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_tables_of_spreadsheets_may_have_another_encoding(tmp_path, encoding):
    path = tmp_path / "x.txt"
    path.write_bytes(
        "\ufeff".encode(encoding) * (encoding == "utf-16-le") + "index\tname\r\n1\tVL é\r\n".encode(encoding)
    )
    assert read_names(path).names == {1: "VL é"}
    path.write_bytes("index\tname\n1\tVL é\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"line 2: cannot be read as UTF-8 text .* Save it as UTF-8\."):
        read_names(path)


@pytest.mark.parametrize("ending", ["_dseg.nii.gz.csv", "_dseg_ColorTable.ctbl"])
def test_an_images_own_table_goes_before_what_programs_write_beside_it(tmp_path, ending):
    beside = tmp_path / f"sub-01{ending}"
    beside.write_text("1 VL_L 1 2 3 255\n")
    (tmp_path / "sub-01_dseg.nii.gz_itk-snap.txt").write_text(ITK_SNAP)
    image = tmp_path / "sub-01_dseg.nii.gz"
    assert table_beside(image) == beside
    own = tmp_path / "sub-01_dseg.tsv"
    own.write_text("index\tname\n")
    assert table_beside(image) == own


def test_two_tables_of_one_image_are_refused(tmp_path):
    for name in ("x.tsv", "x.label"):
        (tmp_path / name).write_text('1 0 0 0 1 1 1 "VL"\n' if name == "x.label" else "index\tname\n1\tVM\n")
    with pytest.raises(LabelError, match=r"two look-up tables beside it, x\.tsv and x\.label"):
        table_beside(tmp_path / "x.nii")


def test_remarks_beside_an_image_are_no_table(tmp_path):
    (tmp_path / "x.txt").write_text("Drawn by reader 2 on 4 March.\n")
    assert table_beside(tmp_path / "x.nii") is None


def test_a_table_is_inherited_within_its_dataset_only(tmp_path):
    folder = tmp_path / "labels" / "sub-01" / "anat"
    folder.mkdir(parents=True)
    (tmp_path / "labels" / "dataset_description.json").write_text("{}")
    image = folder / "sub-01_hemi-L_dseg.nii.gz"
    (tmp_path / "dseg.tsv").write_text("index\tname\n")
    assert table_beside(image) is None
    above = tmp_path / "labels" / "dseg.tsv"
    above.write_text("index\tname\n")
    assert table_beside(image) == above
    (folder / "sub-01_hemi-R_dseg.tsv").write_text("index\tname\n")
    nearer = folder / "sub-01_dseg.tsv"
    nearer.write_text("index\tname\n")
    assert table_beside(image) == nearer


def test_the_only_itk_snap_description_of_a_folder_is_that_of_its_images(tmp_path):
    image = tmp_path / "sub-01_dseg.nii.gz"
    description = tmp_path / "labels.txt"
    description.write_text(ITK_SNAP)
    (tmp_path / "notes.txt").write_text("1 fibre bundle was hard to see\n")
    assert table_beside(image) == description
    (tmp_path / "other.label").write_text(ITK_SNAP)
    assert table_beside(image) is None


def test_the_kit_knows_musclemap_and_the_schemes_of_qmritools():
    assert scheme_names() == (
        "musclemap", "qmritools", "qmritools_body", "qmritools_body_total", "qmritools_total",
    )  # fmt: skip


def test_bones_and_fat_have_names_and_musclemaps_codes():
    structures = {structure.name: structure for structure in read_structures()}
    assert structures["femur"].codes == (6171, 6172)
    assert "Subcutaneous adipose tissue".lower() in structures["subcutaneous_fat"].aliases
    assert "clear label" in structures["background"].aliases
