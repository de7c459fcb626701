import csv
from pathlib import Path

import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry, Side

DATA = Path(__file__).parents[1] / "data"

# Left side in MuscleMap: hip, thigh and leg (docs/muscle-anatomy.md of MuscleMap/MuscleMap, commit 3b4a4f5).
MUSCLEMAP_LEFT = {
    "psoas_major": 5121,
    "gluteus_minimus": 6101,
    "gluteus_medius": 6111,
    "gluteus_maximus": 6121,
    "tensor_fasciae_latae": 6131,
    "iliacus": 6141,
    "piriformis": 6181,
    "pectineus": 6191,
    "obturator_internus": 6201,
    "obturator_externus": 6211,
    "gemelli_and_quadratus_femoris": 6221,
    "vastus_lateralis": 7101,
    "vastus_intermedius": 7111,
    "vastus_medialis": 7121,
    "rectus_femoris": 7131,
    "sartorius": 7141,
    "gracilis": 7151,
    "semimembranosus": 7161,
    "semitendinosus": 7171,
    "biceps_femoris_long_head": 7181,
    "biceps_femoris_short_head": 7191,
    "adductor_magnus": 7201,
    "adductor_longus": 7211,
    "adductor_brevis": 7221,
    "anterior_compartment": 8101,
    "deep_posterior_compartment": 8111,
    "lateral_compartment": 8121,
    "soleus": 8131,
    "gastrocnemius": 8141,
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (DATA / "muscles.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def registry(rows: list[dict[str, str]]) -> MuscleRegistry:
    return MuscleRegistry(
        tuple(
            Muscle(
                row["name"],
                row["title"],
                int(row["left"]),
                int(row["right"]),
                tuple(filter(None, row["aliases"].split(";"))),
            )
            for row in rows
        )
    )


def test_columns_and_regions_are_the_documented_ones(rows: list[dict[str, str]]) -> None:
    assert list(rows[0]) == ["name", "title", "region", "left", "right", "aliases"]
    assert {row["region"] for row in rows} == {"hip", "thigh", "leg"}
    assert all(cell == cell.strip() for row in rows for cell in row.values())


def test_codes_of_musclemap_are_its_own(registry: MuscleRegistry) -> None:
    for name, left in MUSCLEMAP_LEFT.items():
        assert (registry[name].left, registry[name].right) == (left, left + 1)


def test_muscles_that_musclemap_does_not_separate_have_codes_outside_its_range(registry: MuscleRegistry) -> None:
    own = {muscle.name: muscle for muscle in registry.muscles if muscle.name not in MUSCLEMAP_LEFT}
    assert {"iliopsoas", "biceps_femoris", "quadriceps_femoris"} <= set(own)
    # Five digits, within what a signed 16-bit label image holds.
    assert all(10_000 < code < 2**15 for muscle in own.values() for code in (muscle.left, muscle.right))


def test_the_readme_names_every_code_of_the_kits_own(registry: MuscleRegistry) -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for muscle in registry.muscles:
        if muscle.left > 10_000:
            assert f"| {muscle.name} | {muscle.left} | {muscle.right} |" in readme


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("adductor femoris", "adductor_magnus"),
        ("adductor major", "adductor_magnus"),
        ("long adductor femoris", "adductor_longus"),
        ("RF", "rectus_femoris"),
        ("VL", "vastus_lateralis"),
        ("VI", "vastus_intermedius"),
        ("VM", "vastus_medialis"),
        ("TFL", "tensor_fasciae_latae"),
        ("tensor fascia latae", "tensor_fasciae_latae"),
        ("iliopsoas", "iliopsoas"),
        ("biceps femoris", "biceps_femoris"),
        ("biceps femoris caput longum", "biceps_femoris_long_head"),
        ("Biceps femoris caput breve", "biceps_femoris_short_head"),
        ("M. semimembranosus", "semimembranosus"),
        ("gluteus maximus", "gluteus_maximus"),
        ("BF long", "biceps_femoris_long_head"),
        ("Tensor fascia latae", "tensor_fasciae_latae"),
        ("tib ant", "tibialis_anterior"),
        ("peroneus longus", "fibularis_longus"),
        ("medial gastrocnemius", "gastrocnemius_medialis"),
        ("Gastrocnemius lateralis", "gastrocnemius_lateralis"),
    ],
)
def test_names_in_use_find_their_muscle(registry: MuscleRegistry, text: str, name: str) -> None:
    assert registry.resolve(text) == (name, Side.BOTH)
    assert registry.resolve(f"{text} left") == (name, Side.LEFT)


def test_every_name_title_and_alias_leads_back_to_its_muscle(registry: MuscleRegistry) -> None:
    for muscle in registry.muscles:
        for word in (muscle.name, muscle.title, *muscle.aliases):
            assert registry.resolve(f"{word}_R") == (muscle.name, Side.RIGHT)


# As people write them in label files, with what must become of it; None: several muscles, or none, may be meant.
WRITTEN = {
    "Satorius": "sartorius",
    "Sartorious": "sartorius",
    "Gracillis": "gracilis",
    "semimebranosus": "semimembranosus",
    "Semitendonosis": "semitendinosus",
    "adduct. longus": "adductor_longus",
    "addcutor magnus": "adductor_magnus",
    "vastus med.": "vastus_medialis",
    "vast lat": "vastus_lateralis",
    "Vastus lateralus": "vastus_lateralis",
    "lateralis vastus": "vastus_lateralis",
    "Tensor faciae latae": "tensor_fasciae_latae",
    "glutäus maximus": "gluteus_maximus",
    "iliopsaos": "iliopsoas",
    "Gastrocnemieus (medial)": "gastrocnemius_medialis",
    "vastus": None,
    "adductor": None,
    "biceps": None,
    "semi": None,
    "tibialis": None,
    "peroneus": None,
    "gluteus medimus": None,
    "obturator enternus": None,
    "vastus lateralis/medialis": None,
    "soleus 1": None,
    "gracilis fat": None,
    "rectus abdominis": None,
    "biceps brachii": None,
    "quadratus lumborum": None,
    "extensor digitorum brevis": None,
    "femur": None,
    "fibula": None,
    "tibia": None,
    "ilium": None,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_name_is_completed_only_when_one_muscle_can_be_meant(registry: MuscleRegistry, text: str) -> None:
    match = registry.match(f"{text} left")
    assert (match.muscle, match.side, match.is_exact) == (WRITTEN[text], Side.LEFT, False)


def test_no_name_with_one_error_is_taken_for_another_muscle(registry: MuscleRegistry) -> None:
    for muscle in registry.muscles:
        for i in range(2, len(muscle.name), 7):
            wrong = muscle.name[:i] + muscle.name[i + 1 :]
            assert registry.match(wrong).muscle in (None, muscle.name), wrong


def test_no_structure_of_the_kit_is_taken_for_a_muscle(registry: MuscleRegistry) -> None:
    with (DATA / "labels" / "other_structures.tsv").open(encoding="utf-8", newline="") as file:
        names = [
            word for row in csv.DictReader(file, delimiter="\t") for word in (row["name"], *row["aliases"].split(";"))
        ]
    assert [name for name in names if name and registry.match(name).muscle] == []
