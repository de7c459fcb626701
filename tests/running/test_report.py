import json
from dataclasses import replace

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dtimuscle.issues import Issue, Severity
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.style import Slide
from dtimuscle.running.notebooks import NOTEBOOKS
from dtimuscle.running.report import NOTEBOOK_TITLES, draw_slide, show_exhibit, write_pages
from dtimuscle.settings import Study
from dtimuscle.store.runs import Run

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><title>drawn</title></svg>'


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "small")


def table(name: str, *beside: Beside) -> Exhibit:
    data = pd.DataFrame({"fa": [0.25, None]})
    return Exhibit(name, "table", f"Title of {name}", "How to read it.", data, html="<table></table>", beside=beside)


def figure(name: str) -> Exhibit:
    data = pd.DataFrame({"x": [1]})
    return Exhibit(
        name,
        "figure",
        f"Title of {name}",
        "How to read it.",
        data,
        svg=SVG,
        slide=Slide(Figure(figsize=(1, 1))),
        alt="A dot",
    )


def write(run: Run, study: Study | None = None, *, is_simulated: bool = False) -> str:
    write_pages(run, study or Study(), is_simulated=is_simulated)
    return (run.folder / "index.html").read_text(encoding="utf-8")


def page(run: Run, name: str) -> str:
    return (run.folder / name).read_text(encoding="utf-8")


def test_every_notebook_has_a_title():
    assert tuple(NOTEBOOK_TITLES) == NOTEBOOKS


def test_exhibits_stand_in_the_order_of_the_notebooks_and_of_their_cells(run):
    show_exhibit(run, Study(), table("first_of_4"), notebook="04_modelling", position=1)
    show_exhibit(run, Study(), figure("second_of_3"), notebook="03_roi_statistics", position=2)
    show_exhibit(run, Study(), table("tenth_of_3"), notebook="03_roi_statistics", position=10)
    index = write(run)
    places = [index.index(f"pages/{name}.html") for name in ("second_of_3", "tenth_of_3", "first_of_4")]
    assert places == sorted(places)
    middle = page(run, "pages/tenth_of_3.html")
    assert "second_of_3.html" in middle
    assert "first_of_4.html" in middle


def test_a_figure_leaves_its_picture_its_numbers_and_its_page(run):
    roc = figure("roc")
    show_exhibit(run, Study(), roc, notebook="04_modelling", position=1)
    draw_slide(run, "roc", roc.slide)
    write(run)
    assert page(run, "figures/roc.svg") == SVG
    assert (run.folder / "figures" / "roc.png").read_bytes() == roc.png
    assert page(run, "tables/roc.csv") == "x\n1\n"
    assert "drawn" in page(run, "pages/roc.html")


def test_executed_notebooks_become_pages(run):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 4 · Said here")])
    run.notebook_file("04_modelling").parent.mkdir(parents=True)
    nbformat.write(notebook, run.notebook_file("04_modelling"))
    index = write(run)
    assert "Said here" in page(run, "04_modelling.html")
    assert "04_modelling.html" in index
    assert "03_roi_statistics.html" not in index


@pytest.mark.parametrize("is_simulated", [True, False])
def test_each_page_says_simulated_when_the_data_are(run, is_simulated):
    show_exhibit(run, Study(), table("a"), notebook="04_modelling", position=1)
    pages = [write(run, is_simulated=is_simulated), page(run, "pages/a.html")]
    assert [("Simulated data, not patients" in text) for text in pages] == [is_simulated] * 2


def test_results_hold_missing_numbers_as_null(run):
    show_exhibit(run, Study(), table("a", Beside("FA", "0.2", "0.25", "agrees")), notebook="04_modelling", position=1)
    write(run)
    results = json.loads(page(run, "results.json"))
    assert results["run"] == "small"
    (found,) = results["exhibits"].values()
    assert found["rows"] == [{"fa": 0.25}, {"fa": None}]
    assert found["title"] == "Title of a"
    assert found["beside"][0]["published"] == "0.2"
    assert results["estimates"] == []


def test_published_and_found_values_stand_on_the_front_page(run):
    verdicts = table("verdicts", Beside("AUC of FA", "0.722", "0.811", "agrees"))
    show_exhibit(run, Study(), verdicts, notebook="05_replication", position=1)
    index = write(run)
    assert all(word in index for word in ("AUC of FA", "0.722", "0.811"))


def test_what_many_participants_share_is_said_once_but_no_error_is_hidden(run):
    moved = [Issue(Severity.WARNING, f"sub-{i}", "moved a lot.", "Look.") for i in range(5)]
    failed = [Issue(Severity.ERROR, f"sub-{i}", f"sub-{i}_dwi.nii.gz cannot be read.", "Copy again.") for i in (7, 8)]
    run.write_issues("run", (*moved, *failed))
    index = write(run)
    assert index.count("moved a lot.") == 1
    assert "sub-0 and 4 more" in index
    assert "sub-7" in index
    assert "sub-8" in index
    assert len(json.loads(page(run, "results.json"))["issues"]) == 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"roi_table": "/data/mine.csv"}, "mine.csv"),
        ({"dataset": "/data/scans"}, "scans"),
        ({"scenario": "null"}, "null"),
        ({"route": "mean_signal"}, "tensor of the mean signal"),
    ],
)
def test_the_front_page_says_what_the_numbers_come_from(run, settings, words):
    assert words in write(run, Study().with_values(**settings), is_simulated="scenario" in settings)


def test_files_that_are_there_can_be_downloaded_from_the_front_page(run):
    run.write_study(Study())
    index = write(run)
    assert 'href="study.yaml"' in index
    assert 'href="results.json"' in index
    assert 'href="roi.tsv"' not in index


def test_pages_written_twice_are_the_same(run):
    show_exhibit(run, Study(), table("a"), notebook="04_modelling", position=1)
    run.write_record(Study(), command="dtimuscle run")
    assert write(run) == write(run)


def test_a_notebook_that_was_made_with_other_settings_is_named_on_the_front_page(run):
    for notebook in ("01_preprocessing", "03_roi_statistics"):
        show_exhibit(run, Study(), table(f"of_{notebook[:2]}"), notebook=notebook, position=1)
    write_pages(run, Study(), is_simulated=True)
    assert "made with other settings" not in (run.folder / "index.html").read_text()
    write_pages(run, Study().with_values(estimator="nlls", workers=1), is_simulated=True)
    page = (run.folder / "index.html").read_text()
    assert page.count("made with other settings") == 1
    assert "03_roi_statistics" in page.split("made with other settings")[0][-200:]


def test_a_page_is_called_simulated_by_what_it_shows(run):
    for position, rests_on in enumerate(("data", "print", "simulation")):
        exhibit = replace(table(f"of_{rests_on}"), rests_on=rests_on)
        show_exhibit(run, Study(), exhibit, notebook="05_replication", position=position)
    for in_run, called in ((True, {"data", "simulation"}), (False, {"simulation"})):
        write(run, is_simulated=in_run)
        pages = {rests_on: page(run, f"pages/of_{rests_on}.html") for rests_on in ("data", "print", "simulation")}
        assert {rests_on for rests_on, text in pages.items() if "Simulated data" in text} == called
