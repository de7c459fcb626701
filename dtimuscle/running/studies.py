"""Data files that the kit ships, read and checked: published studies, scenarios, protocols."""

from dtimuscle.replication.published import PublishedStudy
from dtimuscle.simulation.protocol import Protocol
from dtimuscle.simulation.scenario import Scenario
from dtimuscle.store import places
from dtimuscle.store.registry import read_named, read_registry


def read_published(name: str) -> PublishedStudy:
    """Read published numbers and claims by name (`data/published/NAME.yaml`) or by path.

    Parameters
    ----------
    name : str
        Name or path.
    """
    values, path = read_named(places.published_folder(), name)
    return PublishedStudy.from_mapping(values, source=str(path), registry=read_registry())


def read_scenario(name: str) -> Scenario:
    """Read a hypothesis about the patients by name (`data/scenarios/NAME.yaml`) or by path.

    Parameters
    ----------
    name : str
        Name or path.
    """
    values, path = read_named(places.scenarios_folder(), name)
    return Scenario.from_mapping(values, source=str(path))


def read_protocol(name: str) -> Protocol:
    """Read an acquisition protocol by name (`data/protocols/NAME.yaml`) or by path.

    Parameters
    ----------
    name : str
        Name or path.
    """
    values, path = read_named(places.protocols_folder(), name)
    return Protocol.from_mapping(values, source=str(path))
