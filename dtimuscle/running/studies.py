"""Data files that the kit ships, read and checked: published studies, scenarios, protocols."""

from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.simulation.protocol import Protocol
from dtimuscle.simulation.scenario import Scenario
from dtimuscle.store import places
from dtimuscle.store.files import read_yaml_with_lines
from dtimuscle.store.registry import read_named, read_registry


def read_published(name: str) -> PublishedStudy:
    """Read published numbers and claims by name (`data/published/NAME.yaml`) or by path.

    Parameters
    ----------
    name : str
        Name or path.
    """
    values, lines, path = read_named(places.published_folder(), name)
    return PublishedStudy.from_mapping(values, source=str(path), lines=lines, registry=read_registry())


def read_reference_values() -> ReferenceValues:
    """Read what water and muscle can have (`data/reference_values.yaml`).

    Returns
    -------
    ReferenceValues
        Bounds and ranges, each with its source.
    """
    path = places.reference_values_file()
    values, lines = read_yaml_with_lines(path)
    return ReferenceValues.from_mapping(values, source=str(path), lines=lines)


def read_scenario(name: str) -> Scenario:
    """Read a hypothesis about the patients by name (`data/scenarios/NAME.yaml`) or by path.

    Parameters
    ----------
    name : str
        Name or path.
    """
    values, lines, path = read_named(places.scenarios_folder(), name)
    return Scenario.from_mapping(values, source=str(path), lines=lines)


def read_protocol(name: str) -> Protocol:
    """Read an acquisition protocol by name (`data/protocols/NAME.yaml`) or by path.

    Parameters
    ----------
    name : str
        Name or path.
    """
    values, lines, path = read_named(places.protocols_folder(), name)
    return Protocol.from_mapping(values, source=str(path), lines=lines)
