"""What the repository ships: notebooks without outputs, no traces of anybody's machine, nothing large."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
LARGEST_FILE = 1_000_000  # bytes

NOTEBOOKS = (
    "01_preprocessing", "02_tensor_fitting", "03_roi_statistics", "04_modelling", "05_replication",
)  # fmt: skip

# First folders of absolute paths that exist on one machine only.
MACHINE_FOLDERS = ("Users", "farm", "home", "private", "root", "tmp", "work")
MACHINE_PATH = re.compile(rf"(?<![\w.~:/{{}}()$*-])/(?:{'|'.join(MACHINE_FOLDERS)})/\w|\b[A-Z]:\\\\?Users\b")

PACKAGE_INDEX = re.compile(r"index[-_]url|find[-_]links|\[\[tool\.uv\.index|trusted[-_]host")


def run_git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def shipped() -> list[Path]:
    """Files that git holds, and those that it would add."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = run_git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sorted({ROOT / name for name in names if name and (ROOT / name).is_file()})


def texts(paths: list[Path]) -> dict[str, str]:
    """Contents of the files that are text, by their place in the repository."""
    found = {}
    for path in paths:
        content = path.read_bytes()
        if b"\0" not in content:
            found[path.relative_to(ROOT).as_posix()] = content.decode("utf-8")
    return found


def read_notebook(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_no_notebook_holds_outputs(shipped):
    notebooks = [path for path in shipped if path.suffix == ".ipynb"]
    dirty = [
        path.name
        for path in notebooks
        for cell in read_notebook(path)["cells"]
        if cell.get("outputs") or cell.get("execution_count") is not None
    ]
    assert notebooks != []
    assert dirty == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_notebook_has_one_cell_of_parameters(name):
    cells = read_notebook(ROOT / "notebooks" / f"{name}.ipynb")["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert [cell["cell_type"] for cell in tagged] == ["code"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_notebook_runs_in_the_environments_own_kernel(name):
    assert read_notebook(ROOT / "notebooks" / f"{name}.ipynb")["metadata"]["kernelspec"]["name"] == "python3"


def test_no_file_names_a_place_on_somebodys_machine(shipped):
    traces = {name: found[0] for name, text in texts(shipped).items() if (found := MACHINE_PATH.search(text))}
    assert traces == {}


@pytest.mark.parametrize("folder", MACHINE_FOLDERS)
def test_a_place_on_a_machine_would_be_noticed(folder):
    assert MACHINE_PATH.search(f"path = '/{folder}/somebody'")


@pytest.mark.parametrize("name", [".ci/run", "Makefile", "environment.yml", "pyproject.toml", "requirements.lock"])
def test_packages_come_from_wherever_the_machine_gets_them(name):
    assert PACKAGE_INDEX.findall((ROOT / name).read_text(encoding="utf-8")) == []


def test_the_lock_names_no_host():
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_no_file_is_large(shipped):
    assert {path.name: size for path in shipped if (size := path.stat().st_size) > LARGEST_FILE} == {}


@pytest.mark.parametrize(
    ("name", "is_ignored"),
    [
        ("reports/README.md", False),
        ("reports/thigh_study/index.html", True),
        ("data/muscles.tsv", False),
        ("data/simulated/published_means/participants.tsv", True),
        ("data/derivatives/x/roi.tsv", True),
        ("data/results/x/output.pkl", True),
        (".venv/bin/python", True),
    ],
)
def test_git_ignores_what_runs_make_and_nothing_else(shipped, name, is_ignored):
    finished = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "--quiet", "--no-index", name], check=False)
    assert finished.returncode == (0 if is_ignored else 1)
