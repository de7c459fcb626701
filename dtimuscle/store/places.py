"""Where things are: the clone's folders, and the folder for what is generated."""

import os
from pathlib import Path

# The kit is used from its clone, so data/ and notebooks/ lie beside the package.
ROOT = Path(__file__).resolve().parents[2]

# Simulated data and derivatives may live elsewhere, e.g. on a cluster's scratch disk.
CACHE_VARIABLE = "DTIMUSCLE_CACHE"


def study_file() -> Path:
    """Return the settings that a run starts from when none are named.

    Returns
    -------
    Path
        `study.yaml` of the clone.
    """
    return ROOT / "study.yaml"


def notebooks_folder() -> Path:
    """Return the folder of the notebooks.

    Returns
    -------
    Path
        `notebooks/` of the clone.
    """
    return ROOT / "notebooks"


def registry_file() -> Path:
    """Return the label registry.

    Returns
    -------
    Path
        `data/muscles.tsv` of the clone.
    """
    return ROOT / "data" / "muscles.tsv"


def kit_files() -> tuple[Path, ...]:
    """Return the files that make up the kit: its modules and templates, and the data files that come with it.

    Returns
    -------
    tuple of Path
        In alphabetical order.
    """
    of_package = (ROOT / "dtimuscle").rglob("*.*")
    of_data = (path for name in ("*.*", "*/*.*") for path in (ROOT / "data").glob(name))
    kinds = {".py", ".html", ".css", ".js", ".yaml", ".tsv"}
    made = {"simulated", "derivatives"}
    return tuple(
        sorted(path for path in (*of_package, *of_data) if path.suffix in kinds and path.parent.name not in made)
    )


def published_folder() -> Path:
    """Return the folder of published numbers and claims.

    Returns
    -------
    Path
        `data/published/` of the clone.
    """
    return ROOT / "data" / "published"


def reference_values_file() -> Path:
    """Return the values that printed numbers are held against.

    Returns
    -------
    Path
        `data/reference_values.yaml` of the clone.
    """
    return ROOT / "data" / "reference_values.yaml"


def protocols_folder() -> Path:
    """Return the folder of acquisition protocols for the simulator.

    Returns
    -------
    Path
        `data/protocols/` of the clone.
    """
    return ROOT / "data" / "protocols"


def scenarios_folder() -> Path:
    """Return the folder of hypotheses about the patients for the simulator.

    Returns
    -------
    Path
        `data/scenarios/` of the clone.
    """
    return ROOT / "data" / "scenarios"


def reports_folder() -> Path:
    """Return the folder in which each run has a folder of its own.

    Returns
    -------
    Path
        `reports/` of the clone.
    """
    return ROOT / "reports"


def cache_folder() -> Path:
    """Return the folder of what is generated: `data/`, or what DTIMUSCLE_CACHE names.

    Returns
    -------
    Path
        Absolute path; it may not exist yet.
    """
    return Path(os.environ.get(CACHE_VARIABLE) or ROOT / "data").expanduser().resolve()


def simulated_folder() -> Path:
    """Return the folder of simulated datasets.

    Returns
    -------
    Path
        It may not exist yet.
    """
    return cache_folder() / "simulated"


def derivatives_folder() -> Path:
    """Return the folder of what participants' processing makes.

    Returns
    -------
    Path
        It may not exist yet.
    """
    return cache_folder() / "derivatives"


def results_folder() -> Path:
    """Return the folder of what statistical functions have returned before.

    Returns
    -------
    Path
        It may not exist yet.
    """
    return cache_folder() / "results"
