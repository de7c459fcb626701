import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from dtimuscle.replication.published import PublishedStudy

DATA = Path(__file__).parents[2] / "data"
SECOND = Path(__file__).parent / "made_up_study.yaml"

# A small study for the rules of the schema; its numbers do not belong together. Nothing here is shared with the study
# that the kit ships: other muscles, other groups, other names and units, three groups, features named by the claims
# themselves, and no reading at all.
MADE_UP: dict[str, Any] = {
    "id": "made_up",
    "citation": "Nobody et al.",
    "title": "Diffusion of the calf that was never measured",
    "source": "full text",
    "design": {
        "question": "Does walking leave a trace?",
        "kind": "prospective",
        "centre": "three towns",
        "period": "one spring",
        "patients": "walkers",
        "n": 90,
        "predictors": "MD, AD and FA of two muscles",
        "analyses": ["group comparison"],
    },
    "outcome": {"name": "step test", "lowest": 0, "highest": 5},
    "groups": [
        {"id": "frail", "title": "frailty", "stands_for": "poor", "grades": {"lowest": 0, "highest": 2}, "n": 20},
        {"id": "between", "title": "neither", "grades": {"lowest": 3, "highest": 3}, "n": 30},
        {"id": "robust", "title": "robustness", "stands_for": "good", "grades": {"lowest": 4, "highest": 5}, "n": 40},
    ],
    "claims": [
        {
            "id": "stronger_lower",
            "kind": "group_difference",
            "place": "Table 2",
            "statement": "MD is lower in the robust than in the frail.",
            "features": ["vastus_lateralis.md"],
            "group": "robust",
            "versus": "frail",
            "direction": "lower",
            "p": "< 0.001",
        },
        {
            "id": "means",
            "kind": "group_means",
            "place": "Table 2",
            "statement": "Means of MD.",
            "unit": "µm²/ms",
            "means": [
                {"feature": "vastus_lateralis.md", "group": "frail", "mean": "1.70", "sd": "0.1"},
                {"feature": "vastus_lateralis.md", "group": "between", "mean": "1.6", "sd": "0.1"},
                {"feature": "vastus_lateralis.md", "group": "robust", "mean": "1.5", "sd": "0.1"},
            ],
        },
        {
            "id": "fa_means",
            "kind": "group_means",
            "place": "Table 2",
            "statement": "Means of FA.",
            "unit": "1",
            "means": [{"feature": "sartorius.fa", "group": "frail", "mean": "0.210", "sd": "0.02"}],
        },
        {
            "id": "factor_of_robustness",
            "kind": "independent_factors",
            "place": "Table 3",
            "statement": "Higher FA goes with robustness.",
            "event": "robust",
            "factors": [{"feature": "sartorius.fa", "change": "increase"}],
        },
        {
            "id": "correlates",
            "kind": "correlation",
            "place": "Figure 1",
            "statement": "Weakening correlates with MD.",
            "features": ["vastus_lateralis.md"],
            "outcome": "weakening",
            "change": "increase",
            "sign": "positive",
            "coefficient": "0.45",
            "interval": {"low": "0.27", "high": "0.60", "level_percent": "90"},
            "p": "= 0.002",
        },
        {
            "id": "auc_of_one",
            "kind": "auc",
            "place": "Figure 2",
            "statement": "MD of vastus lateralis alone.",
            "predictor": "vastus_lateralis.md",
            "auc": "0.80",
        },
        {
            "id": "one_beats_other",
            "kind": "auc_comparison",
            "place": "Figure 2",
            "statement": "MD tells more than FA.",
            "higher": "vastus_lateralis.md",
            "lower": ["sartorius.fa"],
        },
    ],
}


@pytest.fixture
def wang_mapping() -> dict[str, Any]:
    return yaml.safe_load((DATA / "published" / "wang_thigh_osteoporosis.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def wang(wang_mapping: dict[str, Any]) -> PublishedStudy:
    return PublishedStudy.from_mapping(wang_mapping, source="wang_thigh_osteoporosis.yaml")


@pytest.fixture
def made_up_mapping() -> dict[str, Any]:
    return copy.deepcopy(MADE_UP)


@pytest.fixture
def made_up(made_up_mapping: dict[str, Any]) -> PublishedStudy:
    return PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")


@pytest.fixture
def second_mapping() -> dict[str, Any]:
    return yaml.safe_load(SECOND.read_text(encoding="utf-8"))


@pytest.fixture
def second(second_mapping: dict[str, Any]) -> PublishedStudy:
    """A whole made-up study whose printed numbers all come from one set of drawn data (`made_up_study.py`)."""
    return PublishedStudy.from_mapping(second_mapping, source="made_up_study.yaml")
