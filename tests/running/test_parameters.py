import nbformat
import pytest

from dtimuscle.errors import NotebookError
from dtimuscle.running.parameters import Parameter, check_parameters, given_parameters, read_parameters

CELL = """\
# What may be changed.
estimator: str = "iwls"  # ols, wls or iwls
subject: str = ""
colour: str = "#3b6"  # of the poor group, „grün“
erosion_mm: float = 2.5  # depth of the rim, mm
shift: float = -1.0
n_poor: int = 31
denoise: bool = True
muscles: list[str] = [
    "gracilis",
]  # canonical names
"""


def notebook(tmp_path, *sources, tags=("parameters",)):
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}) for source in sources]
    path = tmp_path / "02_tensor_fitting.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), *cells]), path)
    return path


def refused(path, values=None) -> str:
    with pytest.raises(NotebookError) as caught:
        check_parameters(path, values or {})
    message = str(caught.value)
    assert "02_tensor_fitting.ipynb" in message.partition(": ")[0]
    assert "\n" not in message
    return message


def test_parameters_are_read_with_type_default_and_comment(tmp_path):
    parameters = read_parameters(notebook(tmp_path, CELL))
    assert list(parameters) == [
        "estimator", "subject", "colour", "erosion_mm", "shift", "n_poor", "denoise", "muscles"
    ]  # fmt: skip
    assert parameters["estimator"] == Parameter("estimator", "str", "iwls", "ols, wls or iwls")
    assert parameters["subject"].comment == ""
    assert parameters["colour"] == Parameter("colour", "str", "#3b6", "of the poor group, „grün“")
    assert parameters["shift"].default == -1.0
    assert parameters["muscles"] == Parameter("muscles", "list[str]", ["gracilis"], "canonical names")


def test_a_notebook_that_is_not_there_is_named(tmp_path):
    assert "there is no such notebook" in refused(tmp_path / "02_tensor_fitting.ipynb")


@pytest.mark.parametrize(
    "content", [b"", b"no notebook", b"\xff\xfe", b"[]", b"{}", b"1", b'{"cells": 1}', b'{"cells": [1]}']
)
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "02_tensor_fitting.ipynb"
    path.write_bytes(content)
    assert "is no notebook" in refused(path)


def test_a_notebook_without_the_tag_is_refused_with_the_remedy(tmp_path):
    message = refused(notebook(tmp_path, CELL, tags=()))
    assert "0 cells are tagged 'parameters'" in message
    assert "add the tag" in message


def test_a_notebook_with_two_tagged_cells_is_refused(tmp_path):
    assert "2 cells are tagged 'parameters'" in refused(notebook(tmp_path, CELL, "x: int = 1"))


@pytest.mark.parametrize(
    "line", ["x = 1", "x: int", "x: int = y", "x: int = f()", "import os", "x.y: int = 1", "x: int = 1 + 1"]
)
def test_a_cell_holds_annotated_literals_only(tmp_path, line):
    assert f"the line '{line}' of the parameters cell" in refused(notebook(tmp_path, f"a: int = 1\n{line}"))


def test_a_cell_that_is_no_python_is_refused(tmp_path):
    assert "line 2 of the parameters cell is not Python" in refused(
        notebook(tmp_path, "a: int = 1\n%matplotlib inline")
    )


GOOD = {
    "estimator": "ols", "subject": "001", "erosion_mm": 1.5, "n_poor": 3, "denoise": False, "muscles": ["gracilis"],
}  # fmt: skip


def test_values_of_the_right_types_pass(tmp_path):
    check_parameters(notebook(tmp_path, CELL), GOOD)


def test_a_whole_number_serves_as_a_number_and_a_tuple_as_a_list(tmp_path):
    check_parameters(notebook(tmp_path, CELL), {"erosion_mm": 2, "muscles": ("gracilis",)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("estimator", None),
        ("erosion_mm", "2.5"),
        ("erosion_mm", True),
        ("n_poor", 31.0),
        ("n_poor", True),
        ("n_poor", "31"),
        ("denoise", 1),
        ("denoise", "true"),
        ("muscles", "gracilis"),
        ("muscles", ["gracilis", 1]),
    ],
)
def test_a_value_of_another_type_is_refused_and_shown(tmp_path, name, value):
    message = refused(notebook(tmp_path, CELL), {**GOOD, name: value})
    assert f"parameter '{name}' takes" in message
    assert f"not {value!r} ({type(value).__name__})" in message


def test_an_identifier_that_became_a_number_gets_the_hint(tmp_path):
    assert "Identifiers are text: put them in quotes" in refused(notebook(tmp_path, CELL), {"subject": 1})


def test_a_wrong_number_does_not_get_the_hint_for_identifiers(tmp_path):
    assert "Identifiers" not in refused(notebook(tmp_path, CELL), {"n_poor": "31"})


def test_a_misspelt_parameter_gets_the_nearest_name(tmp_path):
    assert "unknown parameter 'estimater'. Did you mean 'estimator'?" in refused(
        notebook(tmp_path, CELL), {"estimater": "ols"}
    )


def test_a_name_that_resembles_nothing_gets_the_names_there_are(tmp_path):
    assert "It knows a, b." in refused(notebook(tmp_path, "a: int = 1\nb: int = 2"), {"qqq": 1})


def test_a_type_that_the_kit_cannot_check_is_refused(tmp_path):
    assert "has type dict" in refused(notebook(tmp_path, "a: dict = {}"), {"a": {}})


# What a notebook has defined


def test_of_the_variables_those_are_taken_that_the_cell_names_and_somebody_wants(tmp_path):
    variables = {"n_poor": 3, "estimator": "ols", "subject": "001", "other": 1, "x": object()}
    taken = given_parameters(notebook(tmp_path, CELL), variables, ("estimator", "n_poor", "x", "other"))
    assert list(taken.items()) == [("estimator", "ols"), ("n_poor", 3)]


def test_a_variable_that_nobody_wants_may_hold_anything(tmp_path):
    assert given_parameters(notebook(tmp_path, CELL), {"subject": object(), "n_poor": 3}, ("n_poor",)) == {"n_poor": 3}


def test_a_parameter_without_a_variable_is_told_before_the_others_are_checked(tmp_path):
    with pytest.raises(NotebookError, match=r"02_tensor_fitting\.ipynb: no value for shift, n_poor\. Run the cell"):
        given_parameters(notebook(tmp_path, CELL), {"denoise": 1}, ("n_poor", "shift", "denoise"))


def test_a_variable_that_holds_something_else_is_told_by_its_kind_alone(tmp_path):
    with pytest.raises(NotebookError, match=r"parameter 'denoise' takes bool, not something else \(object\)\.$"):
        given_parameters(notebook(tmp_path, CELL), {"denoise": object()}, ("denoise",))
