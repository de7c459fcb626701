"""Page and notebook of a participant come from the same cells."""

import ast
import re
from contextlib import nullcontext

import nbformat
import numpy as np
import pytest

from dtimuscle.errors import DatasetError, NotebookError, SettingsError
from dtimuscle.running import participant_pages as pages
from dtimuscle.running import study as running
from dtimuscle.running.cohort import open_dataset
from dtimuscle.running.notebooks import notebook_path
from dtimuscle.running.parameters import read_parameters
from dtimuscle.running.participant_pages import (
    NOTEBOOK,
    ParticipantPage,
    open_participant,
    read_recipe,
    write_participant_pages,
)
from dtimuscle.running.participants import Processing, process
from dtimuscle.running.pool import Silent
from dtimuscle.settings import Study
from dtimuscle.store.runs import Run

PLAIN = Study().with_values(
    denoise=False,
    unring=False,
    correct_motion=False,
    find_outliers=False,
    estimator="ols",
    directions_of="unknown",
    erosion_mm=0.0,
    min_voxels=1,
    workers=1,
)
GRADES = {"sub-01": 3, "sub-02": 5}


@pytest.fixture
def study(make_dataset) -> Study:
    return PLAIN.with_values(dataset=str(make_dataset(tuple(GRADES), grades=GRADES, is_simulated=True)))


@pytest.fixture
def run(study, tmp_path) -> Run:
    """A run whose folder holds its settings, as after the notebooks."""
    run = Run(tmp_path / "run")
    run.write_study(study)
    return run


@pytest.fixture
def processing(study) -> Processing:
    return process(open_dataset(study), study)


def read(run: Run, name: str) -> str:
    return (run.folder / run.participant_page(name)).read_text(encoding="utf-8")


def without_time(html: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", html)


# The whole cohort


def test_every_participant_gets_a_page_with_the_words_of_the_notebook(run, study, processing):
    assert write_participant_pages(run, study, processing, progress=Silent(), command="dtimuscle run").failures == ()
    html = read(run, "sub-01")
    assert "<h1>sub-01</h1>" in html
    assert "they should follow the muscles on both sides" in html
    assert "Simulated data, not patients" in html
    assert "<code>dtimuscle run</code>" in html
    titles = re.findall(r'<h2 id="part-\d+">([^<]+)</h2>', html)
    assert titles == [
        "The muscles",
        "Muscle values",
        "What each step did",
        "Motion and lost slices",
        "Gradient directions",
        "How far the maps can be trusted",
        "Issues",
        "Methods",
    ]
    assert 'href="../participants/sub-02.html"' in html
    assert 'href="participants/sub-02.html"' in (run.folder / run.participants_index).read_text(encoding="utf-8")


def test_a_page_by_hand_is_the_page_of_the_cohort(run, study, processing):
    write_participant_pages(run, study, processing, progress=Silent())
    together = read(run, "sub-02")
    variables = read_recipe().run(participant="02", run_folder=str(run.folder))
    assert isinstance(variables["page"], ParticipantPage)
    assert without_time(read(run, "sub-02")) == without_time(together)


def test_without_labels_the_page_shows_the_scan_all_the_same(run, study, processing, make_dataset):
    for image in (make_dataset.root / "derivatives" / "labels").rglob("*_dseg.*"):
        image.unlink()
    bare = process(open_dataset(study), study)
    assert write_participant_pages(run, study, bare, progress=Silent()).failures == ()
    html = read(run, "sub-01")
    assert "there are no muscle labels" in html
    assert "no labels" in html


def test_a_page_that_fails_is_an_issue_and_the_others_are_written(run, study, processing, monkeypatch):
    for path in processing.derivatives.folders["preprocessed"].rglob("sub-01_desc-volumes.tsv"):
        path.unlink()
    (issue,) = write_participant_pages(run, study, processing, progress=Silent()).failures
    assert issue.where == "sub-01"
    assert "desc-volumes.tsv: there is no such file" in issue.what
    assert read(run, "sub-02")


def test_a_study_writes_the_pages_unless_told_not_to(study, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "WarmKernel", lambda **_: nullcontext())
    monkeypatch.setattr(running, "execute", lambda *_, **__: None)
    outcome = running.run_study(study, progress=Silent(), folder=tmp_path / "out")
    assert outcome.run.participants_with_pages() == tuple(GRADES)
    outcome = running.run_study(study.with_values(participant_pages=False), progress=Silent(), folder=tmp_path / "out")
    assert outcome.run.participants_with_pages() == ()


# By hand


def test_steps_that_are_missing_are_done_for_the_one_participant(run, monkeypatch):
    monkeypatch.setattr(pages.places, "study_file", lambda: run.study_file)
    page = open_participant("02", run_folder=str(run.folder))
    assert page.name == "sub-02"
    assert np.isfinite(page.maps.md).any()
    assert page.rating.name == "sub-02"
    folder = page.pages.derivatives.folders["tensor"]
    assert [path.name for path in folder.glob("sub-*")] == ["sub-02"]


def test_an_unknown_participant_is_refused(run):
    with pytest.raises(DatasetError, match="sub-09 is not among the participants: sub-01, sub-02"):
        open_participant("09", run_folder=str(run.folder))
    with pytest.raises(SettingsError, match="identifiers are text"):
        open_participant(1, run_folder=str(run.folder))


def test_a_scan_that_cannot_be_processed_says_why(run, study, make_dataset, series):
    bad = next(make_dataset.root.rglob("sub-01_dwi.bval"))
    bad.write_text(" ".join(["500"] * 7), encoding="utf-8")
    with pytest.raises(DatasetError, match="sub-01"):
        open_participant("01", run_folder=str(run.folder))


def test_a_page_without_anything_shown_is_refused(run):
    page = open_participant("", run_folder=str(run.folder))
    with pytest.raises(NotebookError, match="Run all cells"):
        page.close()


def test_a_cell_that_runs_twice_shows_its_exhibit_once(run):
    page = read_recipe().run(participant="", run_folder=str(run.folder))["page"]
    before = without_time(read(run, "sub-01"))
    page.show(next(iter(page._shown.values())))
    page.close()
    assert without_time(read(run, "sub-01")) == before


# The notebook itself


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    return nbformat.read(notebook_path(NOTEBOOK), as_version=4).cells


def code(cells) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == "code"]


def test_the_notebook_takes_a_participant_and_a_run():
    parameters = read_parameters(notebook_path(NOTEBOOK))
    assert {name: parameter.default for name, parameter in parameters.items()} == {"participant": "", "run_folder": ""}
    assert all(parameter.comment for parameter in parameters.values())


def test_its_cells_are_thin_and_hold_no_outputs(cells):
    chores = (ast.FunctionDef, ast.ClassDef, ast.Try, ast.For, ast.While, ast.Lambda, ast.If)
    trees = [ast.parse(source) for source in code(cells)]
    assert [type(node).__name__ for tree in trees for node in ast.walk(tree) if isinstance(node, chores)] == []
    assert max(len(source.splitlines()) for source in code(cells)) <= 12
    assert [cell.id for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


def test_each_cell_shows_one_exhibit_and_the_last_writes_the_page(cells):
    shown = [source.count("page.show(") for source in code(cells)]
    assert set(shown) <= {0, 1}
    assert sum(shown) == 13
    assert cells[-1].source == "page.close()"
    assert cells[0].source.startswith("# ")


def test_words_stand_before_every_third_cell_of_code(cells):
    kinds = "".join(cell.cell_type[0] for cell in cells)
    assert max(map(len, re.findall("c+", kinds))) <= 2
