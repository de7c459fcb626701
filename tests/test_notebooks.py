"""Each notebook is thin, says what it takes, and takes what the settings offer."""

import ast
import logging
import re
import warnings
from typing import Any

import nbformat
import pytest

from dtimuscle.running.notebooks import NOTEBOOKS, notebook_path, parameters_for
from dtimuscle.running.parameters import read_parameters
from dtimuscle.running.participant_pages import NOTEBOOK as PARTICIPANT
from dtimuscle.running.session import open_session
from dtimuscle.settings import Study, leaf_sections
from dtimuscle.store.runs import Run

# Parameters that are no settings of the study: who is looked at, and where the results go.
OF_THE_NOTEBOOK = {"participant": "", "run_folder": ""}

LONGEST_CELL = 12  # lines


def cells(notebook: str, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(notebook_path(notebook), as_version=4).cells if cell.cell_type == kind]


def plainly(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def annotation_of(value: Any) -> str:
    return "list[str]" if isinstance(value, tuple) else type(value).__name__


def test_the_notebooks_of_the_flow_are_the_notebooks_of_the_folder():
    there = sorted(path.stem for path in notebook_path("").parent.glob("*.ipynb"))
    assert there == [*NOTEBOOKS, PARTICIPANT]


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_parameters_are_settings_with_their_types_and_defaults(notebook):
    parameters = read_parameters(notebook_path(notebook))
    study = Study()
    settings = {name: study.value_of(name) for name in parameters if name in leaf_sections()}
    others = {name: parameter.default for name, parameter in parameters.items() if name not in settings}
    assert others == {name: value for name, value in OF_THE_NOTEBOOK.items() if name in others}
    assert "run_folder" in others
    assert {name: parameters[name].default for name in settings} == {
        name: plainly(value) for name, value in settings.items()
    }
    assert {name: parameters[name].annotation for name in settings} == {
        name: annotation_of(value) for name, value in settings.items()
    }


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_parameter_says_what_it_is_without_an_equals_sign(notebook):
    comments = {name: parameter.comment for name, parameter in read_parameters(notebook_path(notebook)).items()}
    assert [name for name, comment in comments.items() if not comment] == []
    assert [name for name, comment in comments.items() if "=" in comment] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_papermill_itself_sees_every_parameter_with_its_type(notebook, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # papermill's own, about jupyter_client
        from papermill import inspect_notebook

        with caplog.at_level(logging.WARNING):
            seen = inspect_notebook(notebook_path(notebook))
    assert caplog.messages == []
    parameters = read_parameters(notebook_path(notebook))
    assert {name: entry["inferred_type_name"] for name, entry in seen.items()} == {
        name: parameter.annotation for name, parameter in parameters.items()
    }
    assert {name: ast.literal_eval(entry["default"]) for name, entry in seen.items()} == {
        name: parameter.default for name, parameter in parameters.items()
    }
    assert {name: entry["help"] for name, entry in seen.items()} == {
        name: parameter.comment for name, parameter in parameters.items()
    }


def test_every_setting_but_those_of_the_simulation_can_be_given_to_some_notebook():
    offered = {name for notebook in NOTEBOOKS for name in read_parameters(notebook_path(notebook))}
    of_the_simulation = {name for name, section in leaf_sections().items() if section == "simulation"}
    not_offered = set(leaf_sections()) - offered - of_the_simulation
    # Whether pages of participants are written is for the runner, which writes them.
    assert not_offered == {"name", "participant_pages"}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_runner_gives_each_notebook_every_setting_that_it_asks_for(notebook, tmp_path):
    study = Study().with_values(erosion_mm=1.5, estimator="nlls", claims=["a"], workers=3, denoise=False)
    given = parameters_for(notebook, study, Run(tmp_path))
    assert set(given) == set(read_parameters(notebook_path(notebook))) - {"participant"}
    assert given.pop("run_folder") == str(tmp_path)
    assert given == {name: plainly(study.value_of(name)) for name in given}


# Another value of each kind of parameter; words that only some values fit have theirs by name.
OTHERS = {"engine": "dipy", "estimator": "ols", "route": "mean_signal", "statistic": "median", "side": "left"}
OTHERS |= {"missing": "imputation", "scenario": "null", "published": "another", "flipped_axes": "leave out"}
OTHERS |= {"directions_of": "limb", "patches": "centred", "fat_model": "diffusion", "propagated_labels": "leave out"}


def another(name: str, value: Any) -> Any:
    """Return a value that the setting takes, other than the given one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value * 0.9
    if isinstance(value, int):
        return value + 1
    return [*value, "another"] if isinstance(value, list) else OTHERS.get(name, "/another")


def line_that_opens(notebook: str) -> str:
    """Return the one statement that opens the session."""
    statements = [node for cell in cells(notebook, "code") for node in ast.parse(cell.source).body]
    (found,) = [text for text in map(ast.unparse, statements) if text.startswith("session = ")]
    return found


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_parameter_that_is_a_setting_reaches_the_session(notebook, tmp_path):
    """The line that opens the session is run after a parameters cell with other values than the defaults."""
    parameters = read_parameters(notebook_path(notebook))
    changed = {name: another(name, parameter.default) for name, parameter in parameters.items()}
    changed |= {"run_folder": str(tmp_path / "run")}
    variables = {"open_session": open_session, **changed}
    exec(line_that_opens(notebook), variables)
    session = variables["session"]
    assert session.run.folder == tmp_path / "run"
    settings = {name: value for name, value in changed.items() if name in leaf_sections()}
    assert settings
    assert {name: plainly(session.study.value_of(name)) for name in settings} == settings
    assert all(plainly(Study().value_of(name)) != value for name, value in settings.items())


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_parameter_that_is_no_setting_is_used_further_down(notebook):
    sources = [cell.source for cell in cells(notebook, "code") if "parameters" not in cell.metadata.get("tags", [])]
    used = {node.id for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    others = set(read_parameters(notebook_path(notebook))) - set(leaf_sections()) - {"run_folder"}
    assert others - used == set()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_no_later_cell_gives_a_parameter_another_meaning(notebook):
    """Otherwise the session would open with something else when its cell is run once more."""
    sources = [cell.source for cell in cells(notebook, "code") if "parameters" not in cell.metadata.get("tags", [])]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    assert (assigned | imported) & set(read_parameters(notebook_path(notebook))) == set()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_no_outputs_are_stored(notebook):
    stored = [cell.id for cell in cells(notebook, "code") if cell.outputs or cell.execution_count is not None]
    assert stored == []


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_chores_sit_in_the_package(notebook):
    sources = [cell.source for cell in cells(notebook, "code")]
    assert [source for source in sources if re.search(r"^\s*[!%]", source, re.MULTILINE)] == []
    chores = (
        ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.For, ast.While, ast.Lambda,
    )  # fmt: skip
    found = {
        type(node).__name__ for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, chores)
    }
    assert found == set()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_cells_are_short(notebook):
    too_long = []
    for cell in cells(notebook, "code"):
        n_lines = len(cell.source.splitlines())
        is_parameters = "parameters" in cell.metadata.get("tags", [])
        if n_lines > LONGEST_CELL and not is_parameters:
            too_long.append((cell.id, n_lines))
    assert too_long == []


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_begins_with_its_title_and_ends_by_closing_its_session(notebook):
    every = nbformat.read(notebook_path(notebook), as_version=4).cells
    number = int(notebook.partition("_")[0])
    assert every[0].cell_type == "markdown"
    assert every[0].source.startswith(f"# {number} · ")
    assert "## What we learned\n" in every[-2].source
    assert every[-1].source == "session.close()"


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_no_more_than_two_code_cells_follow_one_another_without_a_word(notebook):
    kinds = [cell.cell_type for cell in nbformat.read(notebook_path(notebook), as_version=4).cells]
    chains = re.findall("c+", "".join(kind[0] for kind in kinds))
    assert max(map(len, chains)) <= 2


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_notebook_opens_a_session_under_its_own_name(notebook):
    source = "\n".join(cell.source for cell in cells(notebook, "code"))
    names = [
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open_session"
    ]
    assert names == [notebook]
