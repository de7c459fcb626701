from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues

DATA = Path(__file__).parents[3] / "data"

DESIGN = {
    "question": "Are these numbers possible?",
    "kind": "prospective",
    "centre": "nowhere",
    "period": "never",
    "patients": "none",
    "predictors": "FA and MD",
    "analyses": ["group comparison"],
}


@pytest.fixture
def study_of() -> Callable[..., PublishedStudy]:
    """Build a study of two groups, weak and strong, from its claims."""

    def build(*claims: dict[str, Any], n: tuple[int, int] = (31, 69), readings: Any = ()) -> PublishedStudy:
        groups = [
            {"id": "weak", "title": "weakness", "stands_for": "poor", "grades": {"lowest": 0, "highest": 3}, "n": n[0]},
            {
                "id": "strong",
                "title": "strength",
                "stands_for": "good",
                "grades": {"lowest": 4, "highest": 5},
                "n": n[1],
            },
        ]
        mapping = {
            "id": "built",
            "citation": "Nobody",
            "title": "Built for a test",
            "source": "test",
            "design": DESIGN | {"n": sum(n)},
            "outcome": {"name": "grade", "lowest": 0, "highest": 5},
            "groups": groups,
            "claims": [{"place": "Table 1", "statement": "A statement.", **claim} for claim in claims],
            "readings": list(readings),
        }
        return PublishedStudy.from_mapping(mapping, source="built.yaml")

    return build


@pytest.fixture
def means_of() -> Callable[..., dict[str, Any]]:
    """Build a claim of means from texts such as "1.02 ± 0.34"; each feature has one for each group."""

    def build(unit: str = "10⁻³ mm²/s", *, features: dict[str, tuple[str, str]], **more: Any) -> dict[str, Any]:
        rows = []
        for feature, texts in features.items():
            for group, text in zip(("weak", "strong"), texts, strict=True):
                mean, _, sd = text.partition(" ± ")
                rows.append({"feature": feature, "group": group, "mean": mean, "sd": sd})
        return {"id": "means", "kind": "group_means", "unit": unit, "means": rows, **more}

    return build


@pytest.fixture
def reference() -> ReferenceValues:
    """Reference values of a test: free water 3.0, means of muscle 1.0 to 2.0 (× 10⁻³ mm²/s), SDs of at most a fifth."""
    allowance = {"share": 0.0, "assumed": True, "reason": "a test"}
    own = {"assumed": True, "reason": "a test"}

    def means(lowest: float, highest: float) -> dict[str, Any]:
        return {"studies": [{"lowest": lowest, "highest": highest, **own}], "allowance": allowance}

    def spread(*cvs: float) -> dict[str, Any]:
        return {"studies": [{"mean": 1.0, "sd": cv, **own} for cv in cvs], "allowance": allowance}

    values = {
        "free_water": {"highest": 3.0e-3, **own},
        "muscle_means": {"fa": means(0.1, 0.5), "md": means(1.0e-3, 2.0e-3)},
        "between_subject_cv": {"fa": spread(0.1, 0.2, 0.3), "md": spread(0.05, 0.1, 0.2)},
        "events_per_variable": {"lowest": 10, **own},
    }
    return ReferenceValues.from_mapping(values, source="test")


@pytest.fixture
def shipped_reference() -> ReferenceValues:
    values = yaml.safe_load((DATA / "reference_values.yaml").read_text(encoding="utf-8"))
    return ReferenceValues.from_mapping(values, source="reference_values.yaml")
