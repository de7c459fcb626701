from typing import Any

import pytest
import yaml

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.simulation.protocol import Protocol
from dtimuscle.simulation.scenario import Scenario
from dtimuscle.store import places
from dtimuscle.store.registry import read_registry


@pytest.fixture
def protocol_values() -> dict[str, Any]:
    """The shipped protocol as its file says it."""
    return yaml.safe_load((places.protocols_folder() / "thigh_3t.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def scenario_values() -> dict[str, Any]:
    """The default scenario as its file says it."""
    return yaml.safe_load((places.scenarios_folder() / "published_means.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def protocol(protocol_values: dict[str, Any]) -> Protocol:
    """The shipped protocol."""
    return Protocol.from_mapping(protocol_values, source="thigh_3t.yaml")


@pytest.fixture
def quick_protocol(protocol_values: dict[str, Any]) -> Protocol:
    """The same thighs in fewer, larger voxels."""
    protocol_values["voxel_mm"]["value"] = [4.0, 4.0, 10.0]
    protocol_values["matrix"]["value"] = [100, 50, 4]
    return Protocol.from_mapping(protocol_values, source="quick.yaml")


@pytest.fixture
def scenario(scenario_values: dict[str, Any]) -> Scenario:
    """The default scenario."""
    return Scenario.from_mapping(scenario_values, source="published_means.yaml")


@pytest.fixture(scope="session")
def registry() -> MuscleRegistry:
    """The registry that the kit ships."""
    return read_registry()
