import numpy as np
import pytest

from dtimuscle.errors import LabelError
from dtimuscle.muscles import Muscle, MuscleLabels, MuscleRegistry, Side

REGISTRY = MuscleRegistry(
    (
        Muscle("vastus_lateralis", "Vastus lateralis", 7101, 7102, ("VL",)),
        Muscle(
            "biceps_femoris_long_head", "Biceps femoris, long head", 7181, 7182, ("BFLH", "biceps femoris caput longum")
        ),
        Muscle("gracilis", "Gracilis", 7151, 7152),
    )
)


@pytest.mark.parametrize(
    ("text", "name", "side"),
    [
        ("vastus_lateralis", "vastus_lateralis", Side.BOTH),
        ("Vastus Lateralis", "vastus_lateralis", Side.BOTH),
        ("VastusLateralis_R", "vastus_lateralis", Side.RIGHT),
        ("vl-left", "vastus_lateralis", Side.LEFT),
        ("L VL", "vastus_lateralis", Side.LEFT),
        ("M. vastus lateralis rechts", "vastus_lateralis", Side.RIGHT),
        ("musculus gracilis sinister", "gracilis", Side.LEFT),
        ("left gracilis muscle", "gracilis", Side.LEFT),
        ("gracilis (both)", "gracilis", Side.BOTH),
        ("biceps femoris (long head)", "biceps_femoris_long_head", Side.BOTH),
        ("Biceps femoris, caput longum, right", "biceps_femoris_long_head", Side.RIGHT),
    ],
)
def test_free_names_find_their_muscle_and_side(text: str, name: str, side: Side) -> None:
    assert REGISTRY.resolve(text) == (name, side)


def test_a_misspelt_muscle_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        LabelError, match=r"'vastus lateralus' is no muscle of the registry\. Did you mean vastus_lateralis\?"
    ):
        REGISTRY.resolve("vastus lateralus")


@pytest.mark.parametrize("text", ["deltoid", "", "left", "M."])
def test_a_name_far_from_all_is_refused_without_a_guess(text: str) -> None:
    with pytest.raises(LabelError) as raised:
        REGISTRY.resolve(text)
    assert "Did you mean" not in str(raised.value)


@pytest.mark.parametrize("text", ["gracilis left right", "L gracilis (both)"])
def test_two_sides_at_once_are_refused(text: str) -> None:
    with pytest.raises(LabelError, match="more than one side"):
        REGISTRY.resolve(text)


@pytest.mark.parametrize(
    ("muscles", "message"),
    [
        ((Muscle("a", "A", 1, 2, ("x",)), Muscle("b", "B", 3, 4, ("X",))), "'X' to both a and b"),
        ((Muscle("a", "A", 1, 2), Muscle("b", "B", 3, 4, ("A",))), "'A' to both a and b"),
        ((Muscle("a_b", "A b", 1, 2), Muscle("b", "B", 3, 4, ("ab",))), "'ab' to both a_b and b"),
        ((Muscle("a", "A", 1, 2), Muscle("b", "B", 2, 3)), "code 2 twice, for a and b"),
        ((Muscle("a", "A", 1, 1),), "code 1 twice, for a and a"),
        ((Muscle("a", "A", 0, 1),), r"gives a code 0. Codes are above 0"),
        ((Muscle("a", "A", 1, 2, ("left a",)),), "'left a' for a names a side"),
        ((Muscle("a", "A", 1, 2, ("muscle",)),), "'muscle' for a names a side, or nothing but one"),
        ((Muscle("Vastus lateralis", "A", 1, 2),), "not of the form vastus_lateralis"),
        ((Muscle("vastus.lateralis", "A", 1, 2),), "not of the form vastus_lateralis"),
    ],
)
def test_a_registry_with_two_meanings_is_refused(muscles: tuple[Muscle, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        MuscleRegistry(muscles)


def test_the_same_word_may_stand_twice_for_one_muscle() -> None:
    assert MuscleRegistry((Muscle("a", "A", 1, 2, ("a", "A")),)).names == ("a",)


def test_codes_tell_muscle_and_side() -> None:
    assert REGISTRY.by_code()[7101] == ("vastus_lateralis", Side.LEFT)
    assert REGISTRY.by_code()[7152] == ("gracilis", Side.RIGHT)
    assert len(REGISTRY.by_code()) == 6


def test_titles_are_printed_and_other_names_made_readable() -> None:
    assert REGISTRY.title("biceps_femoris_long_head") == "Biceps femoris, long head"
    assert REGISTRY.title("flexor_hallucis") == "Flexor hallucis"


def test_a_canonical_name_looks_up_its_entry() -> None:
    assert REGISTRY["gracilis"].left == 7151
    with pytest.raises(KeyError):
        REGISTRY["Gracilis"]


@pytest.fixture
def labels() -> MuscleLabels:
    values = np.array([[[7101, 7102, 0], [7151, 99, 0]]], dtype=np.int32)
    return MuscleLabels(values, np.eye(4), REGISTRY.by_code())


def test_labels_tell_what_is_present_and_what_is_unknown(labels: MuscleLabels) -> None:
    assert set(labels.present) == {7101, 7102, 7151}
    assert labels.unknown == (99,)


def test_labels_pool_sides_only_when_asked(labels: MuscleLabels) -> None:
    assert labels.where("vastus_lateralis", Side.BOTH).tolist() == [[[True, True, False], [False, False, False]]]
    assert labels.where("vastus_lateralis", Side.RIGHT).tolist() == [[[False, True, False], [False, False, False]]]
    assert not labels.where("biceps_femoris_long_head", Side.BOTH).any()
