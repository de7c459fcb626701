from datetime import date
from typing import ClassVar

import pytest

from dtimuscle.data_files import File, Part, Stated, StrictPart, line_of, one_of, require_names, shown
from dtimuscle.errors import SettingsError, SimulationError


class Shoe(Part):
    """A shoe."""

    size: int
    colour: str = "black"


class Cupboard(File):
    """A file of shoes."""

    shoes: tuple[Shoe, ...]
    names: dict[str, int] | None = None


class Loud(Cupboard):
    """The same with another error."""

    refused_with: ClassVar[type[Exception]] = SimulationError


LINES = {(): 1, ("shoes",): 1, ("shoes", 0): 2, ("shoes", 0, "size"): 3, ("shoes", 1): 4}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"shoes": [{"size": "x"}]},
            "f.yaml, line 3: shoes.1.size: found 'x'; allowed: input should be a valid integer",
        ),
        ({"shoes": [{"size": 1}, {}]}, "f.yaml, line 4: shoes.2.size: found nothing; allowed: this field is needed."),
        ({"shoes": [{"size": 1}, 7]}, "f.yaml, line 4: shoes.2: found 7; allowed: fields, as in `name: value`."),
        (
            {"shoes": [], "shoos": 1},
            "f.yaml, line 1: shoos: found 'shoos'; allowed: shoes, names. Did you mean 'shoes'?",
        ),
        (
            {"shoes": [{}, {}]},
            "f.yaml, line 3: shoes.1.size: found nothing; allowed: this field is needed. (1 more after",
        ),
        ({"shoes": {}}, "f.yaml, line 1: shoes: found {}; allowed: a list."),
        ({"shoes": [], "names": [1]}, "f.yaml, line 1: names: found [1]; allowed: names and values."),
    ],
)
def test_a_wrong_file_is_answered_with_its_line(values, message):
    with pytest.raises(SettingsError) as raised:
        Cupboard.from_mapping(values, source="f.yaml", lines=LINES)
    assert str(raised.value).startswith(message)


def test_without_lines_the_field_is_named_all_the_same():
    with pytest.raises(SettingsError, match=r"^f\.yaml: shoes\.1\.size: found nothing"):
        Cupboard.from_mapping({"shoes": [{}]}, source="f.yaml")


def test_each_kind_of_file_has_its_error():
    with pytest.raises(SimulationError):
        Loud.from_mapping({"shoes": 1}, source="f.yaml")


def test_numbers_in_quotes_are_read_unless_the_part_is_strict():
    class Strict(StrictPart):
        size: int

    assert Shoe.model_validate({"size": "42"}).size == 42
    with pytest.raises(ValueError, match="valid integer"):
        Strict.model_validate({"size": "42"})


def test_the_line_of_what_is_missing_is_that_of_what_contains_it():
    assert line_of(("shoes", 0, "colour", "left"), LINES) == 2
    assert line_of(("nothing",), LINES) == 1
    assert line_of(("nothing",), {}) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ("0.5", "'0.5'"),
        (0.5, "0.5"),
        (True, "true"),
        (date(2021, 1, 31), "2021-01-31"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ("two\nlines", "'two lines'"),
        ("x" * 100, "'" + "x" * 79 + "…"),
    ],
)
def test_a_value_is_shown_as_a_file_says_it(value, text):
    assert shown(value) == text


def test_names_are_answered_with_the_nearest():
    assert one_of(("left", "right"), "rigth") == "left, right. Did you mean 'right'?"
    assert one_of(("left", "right"), "up") == "left, right"
    require_names(["left", "right"], ("right", "left"))
    with pytest.raises(ValueError, match="found 'up'; allowed: left, right"):
        require_names(["left", "up"], ("left", "right"))
    with pytest.raises(ValueError, match="found no right; allowed: all of left, right"):
        require_names(["left"], ("left", "right"))


@pytest.mark.parametrize(
    "origin",
    [{"source": "Who 2020"}, {"assumed": True, "reason": "typical"}, {"source": "Who 2020", "reason": "Table 1"}],
)
def test_a_number_says_where_it_comes_from(origin):
    assert Stated.model_validate(origin)


@pytest.mark.parametrize(
    "origin",
    [{}, {"assumed": True}, {"reason": "typical"}, {"source": "Who 2020", "assumed": True, "reason": "typical"}],
)
def test_a_number_of_no_origin_or_of_two_is_refused(origin):
    with pytest.raises(ValueError, match="either a source, or assumed: true with a reason"):
        Stated.model_validate(origin)


def test_braces_in_what_was_found_are_text():
    with pytest.raises(SettingsError, match=r"found '\{allowed\}'; allowed: shoes, names\."):
        Cupboard.from_mapping({"shoes": [], "{allowed}": 1}, source="f.yaml")
