"""pyproject.toml, requirements.lock and environment.yml say the same, and the Makefile sets up what they say."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

# What conda-forge calls these packages, where PyPI calls them otherwise. The "-base" and "-core" ones leave out
# Qt and pandoc.
CONDA_NAMES = {
    "isal": "python-isal",
    "jupyter-client": "jupyter_client",
    "jupyter-core": "jupyter_core",
    "matplotlib": "matplotlib-base",
    "nbconvert": "nbconvert-core",
    "seaborn": "seaborn-base",
}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def runtime_requirements() -> list[Requirement]:
    return [Requirement(text) for text in project()["project"]["dependencies"]]


def interactive_requirements() -> list[Requirement]:
    return [Requirement(text) for text in project()["project"]["optional-dependencies"]["interactive"]]


def development_requirements() -> list[Requirement]:
    return [Requirement(text) for text in project()["dependency-groups"]["dev"]]


def locked_requirements() -> list[Requirement]:
    return [*runtime_requirements(), *interactive_requirements(), *development_requirements()]


def locked() -> dict[str, tuple[Version, Marker | None]]:
    versions = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\"))
            (pin,) = requirement.specifier
            versions[canonicalize_name(requirement.name)] = (Version(pin.version), requirement.marker)
    return versions


def environment() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def installed_closure(roots: list[Requirement]) -> set[str]:
    """Names of everything that the roots need in this environment, found in the installed packages' metadata."""
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for root in roots for extra in ("", *root.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, part) for part in ("", *needed.extras)]
    return {name for name, _ in seen}


@pytest.mark.parametrize("requirement", locked_requirements(), ids=str)
def test_the_lock_satisfies_each_bound(requirement):
    version, marker = locked()[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert marker is None


def test_the_lock_holds_what_is_needed_and_nothing_else():
    # Set-up installs the lock without looking at dependencies, so nothing may be missing from it.
    here = {name for name, (_, marker) in locked().items() if marker is None or marker.evaluate()}
    assert here == installed_closure(locked_requirements())


def test_every_locked_package_has_a_hash():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(locked())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_can_build_the_kit():
    version, _ = locked()["setuptools"]
    (needed,) = (Requirement(text) for text in project()["build-system"]["requires"])
    assert version in needed.specifier


def test_conda_gets_the_same_packages_with_the_same_bounds():
    listed = [entry for entry in environment()["dependencies"] if isinstance(entry, str)]
    expected = {f"{CONDA_NAMES.get(r.name, r.name)}{r.specifier}" for r in runtime_requirements()}
    assert set(listed) == {*expected, f"python{project()['project']['requires-python']}", "pip"}
    assert len(listed) == len(set(listed))


def test_conda_installs_the_kit_itself_from_the_clone():
    assert environment()["name"] == "dtimuscle"
    assert environment()["channels"][0] == "conda-forge"
    assert {"pip": ["-e .[interactive]"]} in environment()["dependencies"]


def test_every_import_of_the_package_is_declared():
    owners = metadata.packages_distributions()
    requirements = (*runtime_requirements(), *interactive_requirements())
    declared = {canonicalize_name(requirement.name) for requirement in requirements}
    imported = set()
    for path in (ROOT / "dtimuscle").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"dtimuscle"}
    assert {name for name in foreign if declared.isdisjoint(map(canonicalize_name, owners[name]))} == set()


def test_this_python_is_one_that_the_project_allows():
    assert Version(".".join(map(str, sys.version_info[:3]))) in SpecifierSet(project()["project"]["requires-python"])


def test_the_citation_names_the_current_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == project()["project"]["version"]
    assert citation["license"] == project()["project"]["license"]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a fresh terminal, whatever make these tests were started by."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "GNUMAKE"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@needs_make
def test_make_alone_lists_the_commands(clone):
    finished = make(clone)
    assert finished.returncode == 0
    for target in ("reports", "test", "lint", "lab", "clean", "lock"):
        assert re.search(rf"^  make {target} +\S", finished.stdout, re.MULTILINE)


@needs_make
def test_make_without_a_fitting_python_says_which_is_needed(clone):
    finished = make(clone, "environment", "PYTHON=no-such-python")
    assert finished.returncode != 0
    assert "Python 3.11 or newer is needed; tried: no-such-python" in finished.stderr
    assert not (clone / ".venv").exists()


@pytest.fixture
def set_up_clone(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".packages").write_text(str(clone))
    (clone / ".venv" / ".ready").touch()
    return clone


@needs_make
def test_make_leaves_an_environment_alone_that_is_up_to_date(set_up_clone):
    assert make(set_up_clone, "environment", "PYTHON=no-such-python").returncode == 0


@needs_make
def test_make_sets_up_again_when_the_lock_is_newer(set_up_clone):
    os.utime(set_up_clone / ".venv" / ".packages", (0, 0))
    assert "Python 3.11 or newer is needed" in make(set_up_clone, "environment", "PYTHON=no-such-python").stderr


@needs_make
def test_make_sets_up_again_when_the_clone_has_moved(set_up_clone):
    (set_up_clone / ".venv" / ".packages").write_text(str(set_up_clone / "elsewhere"))
    assert "Python 3.11 or newer is needed" in make(set_up_clone, "environment", "PYTHON=no-such-python").stderr


@needs_make
def test_make_installs_only_the_kit_again_when_pyproject_is_newer(set_up_clone):
    os.utime(set_up_clone / ".venv" / ".ready", (0, 0))
    finished = make(set_up_clone, "environment", "--dry-run")
    assert "--editable ." in finished.stdout
    assert "dtimuscle compile-kernels" in finished.stdout
    assert "requirements.lock" not in finished.stdout


@needs_make
def test_make_clean_removes_what_runs_made_and_keeps_the_rest(clone):
    kept = ["reports/README.md", "data/muscles.tsv", ".venv/.ready"]
    gone = ["reports/thigh_study/index.html", "data/simulated/x", "data/derivatives/y", "dtimuscle/__pycache__/z.pyc"]
    for name in (*kept, *gone):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    assert make(clone, "clean").returncode == 0
    assert [name for name in kept if not (clone / name).exists()] == []
    assert [name for name in gone if (clone / name).exists()] == []
