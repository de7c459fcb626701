import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dtimuscle.errors import DatasetError, NotebookError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import Side
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.running import progress
from dtimuscle.running import session as sessions
from dtimuscle.running.notebooks import notebook_path
from dtimuscle.running.parameters import read_parameters
from dtimuscle.running.session import Session, open_session
from dtimuscle.settings import Study
from dtimuscle.statistics.estimates import Estimate
from dtimuscle.store import places
from dtimuscle.store.runs import Run

PLAIN = {
    "denoise": False, "unring": False, "correct_motion": False, "find_outliers": False, "estimator": "ols",
    "erosion_mm": 0.0, "min_voxels": 1, "workers": 1,
}  # fmt: skip
GRADES = {"sub-001": 3, "sub-002": 5}


@pytest.fixture
def opened(make_dataset, tmp_path):
    """Return a function that opens a notebook's session on a small measured dataset."""

    def opened(notebook: str = "01_preprocessing", *, grades=GRADES, is_simulated=False, **settings) -> Session:
        root = make_dataset(tuple(GRADES), grades=grades, is_simulated=is_simulated)
        given = {**PLAIN, "dataset": str(root), **settings}
        return open_session(notebook, run_folder=str(tmp_path / "run"), **given)

    return opened


def table(name: str = "muscles", **values) -> Exhibit:
    data = pd.DataFrame(values or {"muscle": ["gracilis"], "fa": [0.25]})
    return Exhibit(name, "table", f"Title of {name}", "How to read it.", data, html=f"<table>{name}</table>")


# Opening


def test_a_notebook_hands_its_settings_on_to_the_next(opened, tmp_path):
    opened("01_preprocessing", seed=7)
    following = open_session("02_tensor_fitting", run_folder=str(tmp_path / "run"), estimator="nlls")
    assert following.study.simulation.seed == 7
    assert following.study.tensor.estimator == "nlls"
    assert open_session("03_roi_statistics", run_folder=str(tmp_path / "run")).study == following.study


def test_without_a_folder_a_run_lies_under_reports_and_the_first_notebook_starts_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "reports_folder", lambda: tmp_path)
    first = open_session("01_preprocessing", seed=7)
    assert first.run.folder == tmp_path / "thigh_study"
    assert open_session("02_tensor_fitting").study.simulation.seed == 7
    assert open_session("01_preprocessing").study.simulation.seed == Study().simulation.seed


def test_a_misspelt_setting_names_the_notebook(tmp_path):
    with pytest.raises(SettingsError, match=r"02_tensor_fitting\.ipynb: .*Did you mean 'estimator'"):
        open_session("02_tensor_fitting", run_folder=str(tmp_path / "run"), estimater="ols")
    assert not (tmp_path / "run").exists()


def test_relative_paths_of_data_are_taken_from_where_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = open_session("01_preprocessing", run_folder="run", dataset="scans")
    assert session.study.data.dataset == str(tmp_path / "scans")
    assert session.run.folder == tmp_path / "run"


# The variables of a notebook


def variables_of(notebook: str, **values) -> dict:
    """Return what a notebook has defined after its parameters cell."""
    parameters = read_parameters(notebook_path(notebook))
    return {name: parameter.default for name, parameter in parameters.items()} | values


def test_of_a_notebooks_variables_its_own_parameters_are_taken_and_nothing_else(tmp_path):
    later = {"published": object(), "seed": 99, "estimater": "ols", "labels": "/another"}
    variables = variables_of("02_tensor_fitting", run_folder=str(tmp_path / "run"), estimator="nlls", **later)
    session = open_session("02_tensor_fitting", variables)
    assert session.run.folder == tmp_path / "run"
    assert session.study == Study().with_values(estimator="nlls")


def test_who_is_looked_at_is_no_setting_and_not_looked_at(tmp_path):
    variables = variables_of("02_tensor_fitting", run_folder=str(tmp_path / "run"), participant=1)
    assert open_session("02_tensor_fitting", variables).study == Study()


def test_the_variables_go_before_what_is_given_by_name(tmp_path):
    variables = variables_of("02_tensor_fitting", run_folder=str(tmp_path / "run"), estimator="nlls")
    session = open_session("02_tensor_fitting", variables, run_folder=str(tmp_path / "other"), estimator="ols", seed=7)
    assert session.run.folder == tmp_path / "run"
    assert session.study == Study().with_values(estimator="nlls", seed=7)


def test_without_a_folder_among_the_variables_the_given_one_counts(tmp_path):
    session = open_session("02_tensor_fitting", variables_of("02_tensor_fitting"), run_folder=str(tmp_path / "run"))
    assert session.run.folder == tmp_path / "run"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("estimator", {"a": 1}, r"takes str, not \{'a': 1\} \(dict\)"),
        ("estimator", pd.Series([1, 2]), r"takes str, not something else \(Series\)"),
        ("workers", 1.5, r"takes int, not 1.5 \(float\)"),
        ("run_folder", Path("run"), r"takes str, not something else \(.*Path\)"),
    ],
)
def test_a_parameter_that_a_later_cell_has_overwritten_is_refused(tmp_path, name, value, words):
    variables = variables_of("02_tensor_fitting", run_folder=str(tmp_path / "run")) | {name: value}
    with pytest.raises(NotebookError, match=rf"^02_tensor_fitting\.ipynb: parameter '{name}' {words}") as caught:
        open_session("02_tensor_fitting", variables)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_parameters_cell_that_was_not_run_is_told(tmp_path):
    with pytest.raises(
        NotebookError, match=r"no value for estimator, highest_b, .*, workers\. Run the cell of parameters first\."
    ):
        open_session("02_tensor_fitting", {"run_folder": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


# Who is looked at


@pytest.mark.parametrize(("asked", "found"), [("", "sub-001"), ("002", "sub-002"), ("sub-002", "sub-002")])
def test_a_participant_is_chosen_with_or_without_prefix(opened, asked, found):
    session = opened()
    assert session.choose(session.process("preprocessed"), asked).participant_id == found


def test_a_number_is_no_identifier(opened):
    session = opened()
    with pytest.raises(SettingsError, match=r"participant is 1, a number; .* -r participant 001"):
        session.choose(session.process("preprocessed"), 1)


def test_somebody_who_is_not_there_is_named(opened):
    session = opened()
    with pytest.raises(DatasetError, match="sub-009 is not among the participants"):
        session.choose(session.process("preprocessed"), "009")


def test_where_labels_are_needed_the_first_who_has_some_is_chosen(opened):
    session = opened()
    processing = session.process("preprocessed")
    first, *others = processing.outcomes
    without = replace(first, scan=replace(first.scan, labels=None))
    some = replace(processing, outcomes=(without, *others))
    assert session.choose(some, "", labelled=True).participant_id == "sub-002"
    with pytest.raises(DatasetError, match="sub-001 is not among the participants that have muscle labels"):
        session.choose(some, "001", labelled=True)
    with pytest.raises(DatasetError, match="no participant has muscle labels"):
        session.choose(replace(processing, outcomes=(without,)), "", labelled=True)


def test_when_nobody_has_results_the_issues_are_pointed_to(opened):
    session = opened()
    for scan in session.dataset.scans:
        scan.image.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="no participant could be processed; see the issues"):
        session.choose(session.process("preprocessed"), "")


# Values


def test_muscle_values_are_kept_with_the_run(opened, tmp_path):
    cohort = opened("03_roi_statistics").measured()
    assert set(cohort.roi_table["participant_id"]) == set(GRADES)
    again = open_session("04_modelling", run_folder=str(tmp_path / "run")).cohort()
    pd.testing.assert_frame_equal(again.roi_table, cohort.roi_table, check_dtype=False)
    assert again.participants["lovett_grade"].tolist() == [3, 5]


def test_the_values_that_notebook_4_needs_are_made_when_they_are_missing(opened, monkeypatch):
    session = opened("04_modelling", erosion_mm=1.5)
    asked = []

    def execute(notebook, parameters, run):
        asked.append((notebook, parameters["erosion_mm"], parameters["run_folder"]))
        Session(notebook, run, session.study).measured()

    monkeypatch.setattr(sessions, "execute", execute)
    assert len(session.cohort().roi_table)
    session.cohort()
    assert asked == [("03_roi_statistics", 1.5, str(session.run.folder))]


def test_ones_own_table_is_kept_with_the_run(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("participant_id,lovett_grade,gracilis_fa\na,3,0.2\nb,5,0.3\n", encoding="utf-8")
    session = open_session("04_modelling", run_folder=str(tmp_path / "run"), roi_table=str(path))
    assert session.cohort().roi_table["mean"].tolist() == [0.2, 0.3]
    assert session.is_simulated is False
    assert session.run.has_roi_table


def test_the_value_of_a_muscle_is_named_by_three_settings(opened):
    assert opened(route="mean_signal").value_of_a_muscle == {
        "route": "mean_signal", "statistic": "mean", "side": "both",
    }  # fmt: skip


@pytest.mark.parametrize("is_simulated", [True, False])
def test_a_session_knows_whether_its_scans_are_simulated(opened, is_simulated):
    session = opened(is_simulated=is_simulated)
    assert session.is_simulated is is_simulated
    assert session.truth().empty


def test_labels_are_read_for_a_scan_that_has_them(opened):
    session = opened()
    labels = session.read_labels(session.dataset.scans[0])
    assert ("gracilis", Side.LEFT) in labels.present.values()


class Result:
    def __init__(self, *subjects):
        self.subjects = subjects

    def estimates(self):
        return tuple(
            Estimate("auc", subject, group="", value=0.7, sd=None, interval=None, p=None, n=9)
            for subject in self.subjects
        )


def test_estimates_are_kept_for_the_next_notebook(opened, tmp_path):
    session = opened("04_modelling")
    frame = session.keep_estimates(Result("fa", "md"), Result("fa+md"))
    assert frame["subject"].tolist() == ["fa", "md", "fa+md"]
    following = open_session("05_replication", run_folder=str(tmp_path / "run"))
    assert [estimate.subject for estimate in following.estimates()] == ["fa", "md", "fa+md"]


# Showing


def test_a_calculation_that_takes_long_tells_so_by_the_name_it_was_given(opened, monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress.DisplayHandle, "display", lambda handle, line: lines.append(line.data))
    opened().ticker("Bootstrap")(0, 20)
    assert [line.split(": ")[0] for line in lines] == ["Bootstrap"]


def test_what_is_shown_stands_on_the_pages_in_its_order(opened):
    session = opened("03_roi_statistics")
    shown = [session.show(table("second_name")), session.show(table("a_name"))]
    assert [exhibit.name for exhibit in shown] == ["second_name", "a_name"]
    link = session.close()
    index = link.path.read_text(encoding="utf-8")
    assert str(link.path) in link._repr_html_()
    assert index.index("Title of second_name") < index.index("Title of a_name")
    assert "<table>a_name</table>" in (session.run.folder / "pages" / "a_name.html").read_text(encoding="utf-8")
    results = json.loads((session.run.folder / "results.json").read_text(encoding="utf-8"))
    assert results["exhibits"]["a_name"]["rows"] == [{"muscle": "gracilis", "fa": 0.25}]


def test_an_exhibit_with_nothing_to_say_has_its_page_all_the_same(opened):
    session = opened("04_modelling")
    session.show(Exhibit("multivariable", "table", "No model", "Nothing entered.", pd.DataFrame(), html="<p></p>"))
    session.close()
    assert (session.run.folder / "pages" / "multivariable.html").is_file()


def test_what_a_notebook_showed_before_is_forgotten_when_it_is_run_again(opened, tmp_path):
    session = opened("03_roi_statistics")
    session.show(table("old"))
    session.close()
    again = open_session("03_roi_statistics", run_folder=str(tmp_path / "run"))
    again.show(table("new"))
    again.close()
    left = {path.name for path in Path(tmp_path / "run").rglob("*") if path.stem in ("old", "new")}
    assert left == {"new.json", "new.csv", "new.html"}


def test_issues_are_kept_once_and_stand_on_the_front_page(opened):
    session = opened()
    issue = Issue(Severity.WARNING, "sub-001", "moved a lot.", "Look at the series.")
    session.note(issue, issue)
    session.close()
    assert session.run.read_issues().count(issue) == 1
    assert "moved a lot." in (session.run.folder / "index.html").read_text(encoding="utf-8")


def test_an_empty_path_in_a_cell_leaves_the_runs_own_data_alone(tmp_path):
    run = Run(tmp_path / "run")
    run.write_study(Study().with_values(roi_table=str(tmp_path / "mine.csv")))
    session = open_session("04_modelling", run_folder=str(run.folder), roi_table="")
    assert session.study.data.roi_table == str(tmp_path / "mine.csv")
