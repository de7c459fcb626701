import json
import math

import nbformat
import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import DatasetError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.settings import Study
from dtimuscle.statistics.estimates import Estimate, Interval, estimates_from_frame, estimates_to_frame
from dtimuscle.store.runs import NUMERICAL_PACKAGES, Run


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "thigh_study")


def exhibit(run, name, notebook, *, svg="", png=b""):
    record = {"card": {"name": name, "notebook": notebook}}
    run.write_exhibit(name, record, pd.DataFrame({"x": [1 / 3]}), svg=svg)
    if png:
        run.write_slide(name, png)


def listing(run) -> set[str]:
    return {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}


# Settings


def test_settings_survive_from_one_notebook_to_the_next(run, tmp_path):
    study = Study().with_values(
        name="001",
        dataset=str(tmp_path),
        erosion_mm=1 / 3,
        roc_muscles=["gracilis"],
        claims=["yes", "1.0"],
        denoise=False,
    )
    run.write_study(study)
    assert run.read_study() == study


def test_defaults_survive_as_well(run):
    run.write_study(Study())
    assert run.read_study() == Study()


def test_before_anything_was_kept_there_are_no_settings(run):
    assert run.read_study() is None
    assert run.read_record() == {}
    assert run.read_issues() == ()
    assert run.read_exhibits() == []
    assert not run.has_roi_table
    assert not run.has_estimates


# What notebooks hand on


@pytest.mark.parametrize(
    ("read", "notebook"),
    [
        (Run.read_roi_table, "03_roi_statistics"),
        (Run.read_participants, "03_roi_statistics"),
        (Run.read_estimates, "04_modelling"),
    ],
)
def test_what_is_not_there_yet_names_the_notebook_that_makes_it(run, read, notebook):
    with pytest.raises(DatasetError, match=f"Run notebooks/{notebook}.ipynb first"):
        read(run)


def test_participants_survive_saving(run):
    table = pd.DataFrame(
        {"participant_id": ["001", "002"], "lovett_grade": pd.array([3, pd.NA], dtype="Int64"), "age": [71.25, np.nan]}
    )
    run.write_participants(table)
    pd.testing.assert_frame_equal(run.read_participants(), table, check_dtype=False)
    assert run.read_participants()["lovett_grade"].dtype == "Int64"


def test_estimates_survive_saving_to_the_last_digit(run):
    estimates = (
        Estimate("mean", "gracilis.md", "poor", 1.02e-3 / 3, sd=1e-4 / 7, n=31),
        Estimate("auc", "fa+md", "", 0.1 + 0.2, interval=Interval(1 / 3, 2 / 3, 0.9), n=100),
        Estimate("odds_ratio", "gracilis.fa", "", math.nan, p=5e-324, n=100),
    )
    run.write_estimates(estimates_to_frame(estimates))
    assert run.has_estimates
    assert repr(estimates_from_frame(run.read_estimates())) == repr(estimates)


# Exhibits


def test_a_figure_leaves_its_record_numbers_and_pictures(run):
    exhibit(run, "roc", "04_modelling", svg="<svg/>", png=b"png")
    assert listing(run) == {"exhibits/roc.json", "tables/roc.csv", "figures/roc.svg", "figures/roc.png"}
    assert run.read_svg("roc") == "<svg/>"
    assert run.read_exhibit_data("roc").loc[0, "x"] == 1 / 3


def test_a_table_leaves_no_pictures(run):
    exhibit(run, "groups", "04_modelling")
    assert listing(run) == {"exhibits/groups.json", "tables/groups.csv"}
    assert run.read_svg("groups") == ""


def test_a_notebook_forgets_its_own_exhibits_only(run):
    exhibit(run, "roc", "04_modelling", svg="<svg/>", png=b"png")
    exhibit(run, "maps", "02_tensor_fitting", svg="<svg/>", png=b"png")
    run.write_page("pages/roc.html", "<p>")
    run.forget_exhibits("04_modelling")
    assert listing(run) == {"exhibits/maps.json", "tables/maps.csv", "figures/maps.svg", "figures/maps.png"}
    assert [record["card"]["name"] for record in run.read_exhibits()] == ["maps"]


# Issues


def test_issues_of_a_notebook_replace_its_own_and_spare_the_others(run):
    old, new, other = (Issue(Severity.NOTE, where, "is odd.") for where in ("old", "new", "other"))
    run.write_issues("03", (old, other))
    run.write_issues("04", (other,))
    run.write_issues("03", (new,))
    assert run.read_issues() == (new, other)


def test_an_issue_that_two_notebooks_met_stands_once(run):
    issue = Issue(Severity.WARNING, "sub-01", "moved.")
    run.write_issues("03", (issue, issue))
    run.write_issues("04", (issue,))
    assert run.read_issues() == (issue,)


# The whole folder


def test_the_record_tells_how_the_numbers_came_about(run):
    run.write_record(Study(), workers=2, seconds=np.float64(1.5))
    record = run.read_record()
    assert record["settings"] == Study().model_dump(mode="json")
    assert set(NUMERICAL_PACKAGES) < set(record["versions"])
    assert (record["workers"], record["seconds"]) == (2, 1.5)


def test_results_are_strict_json(run):
    run.write_results({"auc": math.nan, "p": 1 / 3})
    text = (run.folder / "results.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"auc": None, "p": 1 / 3}


def test_clearing_spares_what_the_run_did_not_make(run):
    run.write_study(Study())
    exhibit(run, "roc", "04_modelling", svg="<svg/>", png=b"png")
    run.write_issues("04", ())
    run.write_results({})
    run.write_record(Study())
    for page in ("index.html", "04_modelling.html", "pages/roc.html", "notes.html"):
        run.write_page(page, "<p>")
    run.notebook_file("04_modelling").parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(), run.notebook_file("04_modelling"))
    (run.folder / "my remarks.txt").write_text("keep")
    run.begin()
    run.keep_only([])
    assert listing(run) == {".dtimuscle-run", "study.yaml", "notes.html", "my remarks.txt"}


def test_clearing_spares_the_parts_that_still_hold(run):
    run.write_study(Study())
    exhibit(run, "roc", "04_modelling", svg="<svg/>", png=b"png")
    exhibit(run, "verdicts", "05_replication")
    run.write_issues("04_modelling", (Issue(Severity.NOTE, "model", "small."),))
    run.write_issues("05_replication", (Issue(Severity.NOTE, "claims", "few."),))
    files = run.files_of("04_modelling")
    run.write_receipt("04_modelling", {"data": "a"}, files, seconds=1.5)
    run.write_receipt("05_replication", {"data": "a"}, run.files_of("05_replication"), seconds=1.5)
    assert "exhibits/roc.json" in files
    assert run.damaged_files("04_modelling") == ()
    run.begin()
    run.keep_only(["04_modelling"])
    assert set(files) <= listing(run)
    assert "exhibits/verdicts.json" not in listing(run)
    assert run.read_receipt("05_replication") == {}
    assert [issue.where for issue in run.read_issues()] == ["model"]
    (run.folder / "figures" / "roc.svg").write_text("<svg> </svg>", encoding="utf-8")
    (run.folder / "tables" / "roc.csv").unlink()
    assert set(run.damaged_files("04_modelling")) == {"figures/roc.svg", "tables/roc.csv"}


def test_clearing_a_folder_that_is_not_there_makes_none(run):
    run.begin()
    run.keep_only([])
    assert not run.folder.exists()


def test_an_executed_notebook_is_found_again(run):
    assert run.read_notebook("04_modelling") is None
    run.notebook_file("04_modelling").parent.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Modelling")])
    nbformat.write(notebook, run.notebook_file("04_modelling"))
    assert run.read_notebook("04_modelling").cells[0].source == "# Modelling"


def test_a_run_is_called_like_its_folder(run):
    assert run.name == "thigh_study"


def test_a_folder_with_somebodys_files_is_never_cleared(tmp_path):
    mine = tmp_path / "figures" / "mine.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(SettingsError, match="holds files that are not a run's"):
        Run(tmp_path).begin()
    assert mine.read_bytes() == b"mine"
