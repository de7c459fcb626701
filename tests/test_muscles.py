import numpy as np
import pytest

from dtimuscle.errors import LabelError, SettingsError
from dtimuscle.issues import Severity
from dtimuscle.muscles import (
    LabelMeaning,
    Muscle,
    MuscleLabels,
    MuscleMerge,
    MuscleRegistry,
    Side,
    Structure,
    meaning_of_names,
    merge_muscles,
    parse_merges,
    side_of_word,
    with_side,
)

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


# Names with errors

QUADRICEPS = MuscleRegistry(
    (
        Muscle("vastus_lateralis", "Vastus lateralis", 7101, 7102, ("VL",)),
        Muscle("vastus_medialis", "Vastus medialis", 7121, 7122, ("VM",)),
        Muscle("vastus_intermedius", "Vastus intermedius", 7111, 7112),
        Muscle("rectus_femoris", "Rectus femoris", 7131, 7132),
        Muscle("psoas", "Psoas", 5121, 5122),
    )
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Vastus Lateralis", "vastus_lateralis"),
        ("vastus latralis", "vastus_lateralis"),
        ("vsatus lateralsi", "vastus_lateralis"),
        ("vastuslaterals", "vastus_lateralis"),
        ("lat. vastus", "vastus_lateralis"),
        ("Rect fem", "rectus_femoris"),
        ("psaos", "psoas"),
        ("rectus", None),
        ("vastus", None),
        ("VX", None),
        ("psaso1", None),
        ("ps", None),
        ("pxxas", None),
        ("vastus lateralis 2", None),
        ("", None),
    ],
)
def test_a_name_with_errors_is_matched_when_it_is_clear(text: str, name: str | None) -> None:
    match = QUADRICEPS.match(text)
    assert match.muscle == name
    assert match.is_exact == (text == "Vastus Lateralis")


def test_an_abbreviation_in_brackets_says_the_name_again() -> None:
    assert QUADRICEPS.match("Vastus lateralis (VL) left").is_exact
    assert QUADRICEPS.match("VL [vastus lateralis, li.]").side is Side.LEFT
    assert QUADRICEPS.match("Vastus lateralis (VM)").muscle is None
    assert QUADRICEPS.match("rectus femoris (proximal part)").muscle is None


@pytest.mark.parametrize(
    ("text", "name", "side", "is_exact"),
    [
        ("vastus_lateralis_lh", "vastus_lateralis", Side.LEFT, True),
        ("ctx-rh-vastus_medialis", None, Side.RIGHT, False),
        ("rectus femoriss rh", "rectus_femoris", Side.RIGHT, False),
        ("psoasl", "psoas", Side.LEFT, False),
        ("rpsoas", "psoas", Side.RIGHT, False),
        ("psoasl right", "psoas", Side.RIGHT, False),
        ("VLL", None, Side.BOTH, False),
        ("Mm. vastus medialis dext.", "vastus_medialis", Side.RIGHT, True),
        ("psoas izquierdo", "psoas", Side.LEFT, True),
    ],
)
def test_a_side_is_not_taken_for_a_typing_error(text: str, name: str | None, side: Side, is_exact: bool) -> None:
    match = QUADRICEPS.match(text)
    assert (match.muscle, match.side, match.is_exact) == (name, side, is_exact)


def test_a_name_that_ends_in_lh_is_no_side() -> None:
    registry = MuscleRegistry((Muscle("long_head", "Long head", 1, 2, ("biceps femoris LH",)),))
    assert registry.match("biceps femoris LH R").side is Side.RIGHT
    assert registry.match("biceps femoris LH").side is Side.BOTH


def test_a_name_between_two_muscles_is_neither() -> None:
    registry = MuscleRegistry((Muscle("obturator_internus", "I", 1, 2), Muscle("obturator_externus", "E", 3, 4)))
    assert registry.match("obturator internus").muscle == "obturator_internus"
    assert registry.match("obturator intenus").muscle == "obturator_internus"
    match = registry.match("obturator enternus L")
    assert (match.muscle, match.side) == (None, Side.LEFT)
    assert match.candidates == ("obturator_internus", "obturator_externus")


def test_candidates_are_the_muscles_that_have_the_word() -> None:
    assert QUADRICEPS.match("vastus").candidates == ("vastus_lateralis", "vastus_medialis", "vastus_intermedius")


def test_sides_are_words_of_several_languages() -> None:
    assert (side_of_word("Links"), side_of_word("R"), side_of_word("vastus")) == (Side.LEFT, Side.RIGHT, None)
    assert QUADRICEPS.resolve("VastusLateralisLeft") == ("vastus_lateralis", Side.LEFT)


def test_names_in_a_table_become_meanings_or_issues() -> None:
    names = {1: "VL left", 2: "psaos R", 3: "vastus", 4: "Cortical Bone", 5: "spleen", 6: "liver", 7: "VL left right"}
    found = meaning_of_names(
        names,
        QUADRICEPS,
        present={1, 2, 3, 4, 5, 7},
        structures=(Structure("bone", aliases=("cortical bone",)),),
        source="x.tsv",
    )
    assert found.meaning == {1: ("vastus_lateralis", Side.LEFT), 2: ("psoas", Side.RIGHT)}
    assert found.structures == {4: "bone"}
    said = {issue.where: (issue.severity, issue.what) for issue in found.issues}
    assert said["x.tsv, index 2"] == (Severity.NOTE, "'psaos R' is taken for psoas (right).")
    assert said["x.tsv, index 3"][1].startswith("'vastus' is no muscle of the registry; it may be vastus_lateralis or ")
    assert said["x.tsv, index 5"] == (Severity.WARNING, "'spleen' is no muscle of the registry.")
    assert said["x.tsv, index 7"][1].startswith("'VL left right' names more than one side.")
    assert said["x.tsv"] == (
        Severity.NOTE,
        "holds names without a muscle of the registry ('liver'). Their values do not occur in the labels.",
    )


@pytest.mark.parametrize("name", ["", " ", "n/a", "NaN"])
def test_a_row_without_a_name_is_said_to_have_none(name: str) -> None:
    (issue,) = meaning_of_names({5: name}, QUADRICEPS, present={5}, source="x.tsv").issues
    assert issue.what == "has no name in the table, so it is not measured."


def test_a_misspelt_name_does_not_join_a_muscle_that_is_named_correctly() -> None:
    found = meaning_of_names({1: "psoas", 2: "psaos"}, QUADRICEPS, present={1, 2}, source="x.tsv")
    assert found.meaning == {1: ("psoas", Side.BOTH)}
    (issue,) = found.issues
    assert issue.what == "'psaos' looks like psoas, which another row is, too. It is not measured."
    found = meaning_of_names({1: "psoass", 2: "psaos"}, QUADRICEPS, present={1, 2}, source="x.tsv")
    assert found.meaning == {}


def test_several_values_may_have_one_name() -> None:
    found = meaning_of_names({1: "psoas", 2: "Psoas"}, QUADRICEPS, present={1, 2}, source="x.tsv")
    assert found.meaning == {1: ("psoas", Side.BOTH), 2: ("psoas", Side.BOTH)}


def test_an_image_of_one_side_gives_its_labels_that_side() -> None:
    meaning = LabelMeaning({1: ("psoas", Side.BOTH), 2: ("psoas", Side.LEFT), 3: ("psoas", Side.RIGHT)}, {})
    found = with_side(meaning, Side.LEFT, present={1, 2})
    assert found.meaning == {1: ("psoas", Side.LEFT), 2: ("psoas", Side.LEFT)}
    with pytest.raises(LabelError, match=r"of the left side by its name, but 3 is psoas \(right\)"):
        with_side(meaning, Side.LEFT, present={3})


# What is present


def test_other_structures_are_neither_measured_nor_unknown() -> None:
    values = np.array([[[0, 5, 6, 7]]], dtype=np.int32)
    labels = MuscleLabels(values, np.eye(4), {5: ("psoas", Side.LEFT)}, {6: "femur"})
    assert labels.unknown == (7,)
    assert labels.regions == {("psoas", Side.LEFT): (5,)}


# Muscles that count as one

WHOLE = "vasti = vastus lateralis + VM"


def thigh() -> MuscleLabels:
    values = np.array([[[7101, 7102, 7121, 7122, 7131, 0]]], dtype=np.int32)
    return MuscleLabels(values, np.eye(4), QUADRICEPS.by_code())


def test_merges_are_read_with_any_name_of_their_parts() -> None:
    assert parse_merges([WHOLE], QUADRICEPS) == (MuscleMerge("vasti", ("vastus_lateralis", "vastus_medialis")),)
    assert parse_merges(["My Group=VL+VM", "Psoas = VL + VM"], QUADRICEPS)[1].name == "psoas"
    assert parse_merges(["My Group=VL+VM"], QUADRICEPS)[0].name == "my_group"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["vasti"], "is not of the form hamstrings = semimembranosus"),
        (["vasti = VL"], "is not of the form"),
        (["vasti = VL +"], "is not of the form"),
        ([" = VL + VM"], "is not of the form"),
        (["vasti = VL + spleen"], "'spleen' is no muscle of the registry"),
        (["vasti = VL + vastus medialus"], "Did you mean vastus_medialis"),
        (["vasti = VL left + VM"], "'VL left' names a side"),
        (["vasti = VL + VL"], "names a muscle twice"),
        (["VL = VL + VM"], "names a muscle twice"),
        (["12 = VL + VM"], "'12' is no name"),
        ([WHOLE, "vasti = VL + psoas"], "vasti stands twice"),
    ],
)
def test_merges_that_mean_nothing_are_refused(entries: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_merges(entries, QUADRICEPS)
    assert str(raised.value).startswith("merge_muscles: ")
    assert message in str(raised.value)


def test_merged_muscles_have_the_voxels_of_their_parts_side_by_side() -> None:
    labels, issues = merge_muscles(thigh(), parse_merges([WHOLE], QUADRICEPS))
    assert labels.regions == {
        ("vasti", Side.LEFT): (7101, 7121),
        ("vasti", Side.RIGHT): (7102, 7122),
        ("rectus_femoris", Side.LEFT): (7131,),
    }
    assert labels.where("vasti", Side.LEFT).tolist() == [[[True, False, True, False, False, False]]]
    assert not labels.where("vastus_lateralis", Side.BOTH).any()
    assert issues == ()


def test_parts_may_be_kept_beside_the_whole() -> None:
    labels, _ = merge_muscles(thigh(), parse_merges([WHOLE], QUADRICEPS), keep_parts=True)
    assert labels.regions[("vasti", Side.LEFT)] == (7101, 7121)
    assert labels.regions[("vastus_medialis", Side.LEFT)] == (7121,)
    assert labels.where("vasti", Side.BOTH).sum() == 4
    assert labels.where("vastus_medialis", Side.BOTH).sum() == 2


def test_a_whole_without_all_its_parts_is_an_issue() -> None:
    merges = parse_merges(["knee = VL + vastus_intermedius", "hip = psoas + vastus_intermedius"], QUADRICEPS)
    labels, issues = merge_muscles(thigh(), merges[:1])
    assert labels.regions[("knee", Side.LEFT)] == (7101,)
    assert [(issue.severity, issue.where) for issue in issues] == [
        (Severity.WARNING, "knee (left)"),
        (Severity.WARNING, "knee (right)"),
    ]
    assert issues[0].what == "is made without vastus_intermedius, of which there is no label."
    _, (nothing,) = merge_muscles(thigh(), merges[1:])
    assert (nothing.where, nothing.what) == ("hip", "no part of it is labelled (psoas, vastus_intermedius).")


def test_a_label_of_the_whole_belongs_to_it_too() -> None:
    meaning = {7101: ("vastus_lateralis", Side.LEFT), 7102: ("vasti", Side.LEFT)}
    labels = MuscleLabels(thigh().values, np.eye(4), meaning)
    merged, _ = merge_muscles(labels, parse_merges([WHOLE], QUADRICEPS))
    assert merged.regions == {("vasti", Side.LEFT): (7101, 7102)}


def test_a_part_of_two_wholes_must_be_kept() -> None:
    merges = parse_merges([WHOLE, "outer = VL + rectus femoris"], QUADRICEPS)
    with pytest.raises(SettingsError, match="vastus_lateralis belongs to both vasti and outer"):
        merge_muscles(thigh(), merges)
    labels, _ = merge_muscles(thigh(), merges, keep_parts=True)
    assert labels.regions[("outer", Side.LEFT)] == (7101, 7131)
