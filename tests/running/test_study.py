import inspect
import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import DtiMuscleError, NotebookError
from dtimuscle.running import cohort_page, participant_pages, readers, session
from dtimuscle.running import study as running
from dtimuscle.running.kept import OF_MODELS, OF_REPLICATION
from dtimuscle.running.notebooks import notebook_path
from dtimuscle.running.parameters import read_parameters
from dtimuscle.running.participants import process
from dtimuscle.running.pool import Silent
from dtimuscle.running.study import StudyOutcome, run_study
from dtimuscle.settings import Study
from dtimuscle.store.runs import Run

# A few voxels need no preprocessing, and have no rim to leave out.
PLAIN = Study().with_values(
    denoise=False,
    unring=False,
    correct_motion=False,
    find_outliers=False,
    estimator="ols",
    erosion_mm=0.0,
    min_voxels=1,
    workers=1,
    participant_pages=False,
)
GRADES = {"sub-01": 3, "sub-02": 5}


@pytest.fixture
def executed(monkeypatch) -> list[str]:
    """Notebooks that the runner chose; they are not run."""
    names: list[str] = []
    monkeypatch.setattr(running, "WarmKernel", lambda **_: nullcontext())
    monkeypatch.setattr(running, "execute", lambda notebook, parameters, run, kernel: names.append(notebook))
    return names


@pytest.fixture
def run(tmp_path, executed):
    """Run the plain study on a dataset without its notebooks."""

    def run(root: Path, **settings) -> StudyOutcome:
        study = PLAIN.with_values(dataset=str(root), **settings)
        return run_study(study, progress=Silent(), folder=tmp_path / "run")

    return run


@pytest.fixture
def refused(run, executed, tmp_path, generated_files_stay_out_of_the_tree):
    """Expect a study to be refused before anything is written, and return the one line that says why."""

    def refused(root: Path, **settings) -> str:
        with pytest.raises(DtiMuscleError) as caught:
            run(root, **settings)
        assert executed == []
        assert not (tmp_path / "run").exists()
        assert list(generated_files_stay_out_of_the_tree.iterdir()) == []
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refused


def change(path: Path, **replaced) -> None:
    """Change values or affine of an image in place."""
    image = nib.load(path)
    values = replaced.get("values", np.asarray(image.dataobj))
    nib.save(nib.Nifti1Image(values, replaced.get("affine", image.affine)), path)


# Which notebooks run


def test_with_grades_and_labels_every_notebook_runs(run, make_dataset, executed):
    outcome = run(make_dataset(grades=GRADES))
    assert executed == ["01_preprocessing", "02_tensor_fitting", "03_roi_statistics", "04_modelling", "05_replication"]
    assert outcome.notebooks == tuple(executed)
    assert outcome.failures == ()


@pytest.mark.parametrize("grades", [None, {"sub-01": "n/a", "sub-02": "n/a"}])
def test_without_grades_the_groups_are_left_out_and_the_front_page_says_why(run, make_dataset, executed, grades):
    outcome = run(make_dataset(grades=grades))
    assert executed == ["01_preprocessing", "02_tensor_fitting", "03_roi_statistics"]
    assert outcome.failures == ()
    assert any("no participant has a Lovett grade" in issue.what for issue in outcome.issues)
    assert "no participant has a Lovett grade" in (outcome.run.folder / "index.html").read_text(encoding="utf-8")


def test_without_labels_muscle_values_are_left_out_and_the_front_page_says_why(run, make_dataset, executed):
    root = make_dataset(grades=GRADES)
    shutil.rmtree(root / "derivatives")
    outcome = run(root)
    assert executed == ["01_preprocessing", "02_tensor_fitting"]
    assert outcome.failures == ()
    assert "no participant has muscle labels" in (outcome.run.folder / "index.html").read_text(encoding="utf-8")


def own_table(folder: Path, *muscles: str) -> Path:
    values = [f"{muscle}_{column}" for muscle in muscles for column in ("fa", "md [10-3 mm2/s]")]
    lines = [",".join(["participant_id", "lovett_grade", *values])]
    lines += [",".join([name, grade, *["0.3", "1.5"] * len(muscles)]) for name, grade in (("a", "3"), ("b", "5"))]
    path = folder / "values.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_table_of_ones_own_starts_at_the_models(tmp_path, executed):
    table = own_table(tmp_path, "adductor_magnus", "adductor_longus")
    outcome = run_study(PLAIN.with_values(roi_table=str(table)), progress=Silent(), folder=tmp_path / "run")
    assert executed == ["04_modelling", "05_replication"]
    assert outcome.outcomes == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {},
            "holds no FA and ADC of adductor_magnus, which roc_muscles names. Choose it from gracilis, adductor_longus",
        ),
        (
            {"roc_muscles": ["gracilis"], "model_features": ["sartorius.fa"]},
            "holds no sartorius.fa, which model_features",
        ),
    ],
)
def test_a_table_without_the_features_of_the_models_is_refused_at_once(tmp_path, executed, settings, words):
    table = own_table(tmp_path, "gracilis", "adductor_longus")
    with pytest.raises(DtiMuscleError, match=re.escape(words)):
        run_study(PLAIN.with_values(roi_table=str(table), **settings), progress=Silent(), folder=tmp_path / "run")
    assert executed == []


def test_a_notebook_that_fails_ends_the_run_and_is_reported(run, make_dataset, monkeypatch):
    def execute(notebook, parameters, run, kernel):
        if notebook == "03_roi_statistics":
            raise NotebookError("03_roi_statistics.ipynb, cell 4: no such muscle")

    monkeypatch.setattr(running, "WarmKernel", lambda **_: nullcontext())
    monkeypatch.setattr(running, "execute", execute)
    outcome = run(make_dataset(grades=GRADES))
    assert outcome.notebooks == ("01_preprocessing", "02_tensor_fitting")
    (failure,) = outcome.failures
    assert failure.where == "03_roi_statistics"
    assert "cell 4: no such muscle" in (outcome.run.folder / "index.html").read_text(encoding="utf-8")


# A participant's fault


def drop_volume(root: Path) -> Path:
    path = root / "sub-01" / "dwi" / "sub-01_dwi.nii.gz"
    change(path, values=np.asarray(nib.load(path).dataobj)[..., :-1])
    return path.with_name("sub-01_dwi.bval")


def keep_one_volume(root: Path) -> Path:
    path = root / "sub-01" / "dwi" / "sub-01_dwi.nii.gz"
    change(path, values=np.asarray(nib.load(path).dataobj)[..., 0])
    return path


def lose(name: str):
    def lose(root: Path) -> Path:
        path = root / "sub-01" / "dwi" / name
        path.unlink()
        return path.with_name("sub-01_dwi.nii.gz")

    return lose


def shorten_directions(root: Path) -> Path:
    path = root / "sub-01" / "dwi" / "sub-01_dwi.bvec"
    np.savetxt(path, np.loadtxt(path)[:, :-1])
    return path


def shift_labels(root: Path) -> Path:
    path = root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.nii.gz"
    affine = nib.load(path).affine.copy()
    affine[2, 3] += 300
    change(path, affine=affine)
    return path


def rename_labels(root: Path) -> Path:
    path = root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.tsv"
    path.write_text("index\tname\n7151\tsoup left\n7152\tsoup right\n", encoding="utf-8")
    return path.with_name("sub-01_dseg.nii.gz")


def damage(root: Path) -> Path:
    path = root / "sub-01" / "dwi" / "sub-01_dwi.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    return path


FAULTS = {
    "no bval": (lose("sub-01_dwi.bval"), "has no .bval.", "Put sub-01_dwi.bval beside it"),
    "no bvec": (lose("sub-01_dwi.bvec"), "has no .bvec.", "Put sub-01_dwi.bvec beside it"),
    "volumes": (drop_volume, "7 b-values for 6 volumes", "There must be one for each volume."),
    "directions": (shorten_directions, "6 × 3 numbers; 7 volumes need three rows of 7", ""),
    "three dimensions": (keep_one_volume, "this image has 3", "Give the whole series in one file."),
    "grid": (shift_labels, "lie", ""),
    "unknown muscles": (
        rename_labels,
        "no label is a known muscle. sub-01_dseg.tsv, index 7151: ",
        "Write one of these names",
    ),
    "half a file": (damage, "cannot be read as an image", "Copy or convert it again."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_participants_fault_is_reported_and_the_others_go_on(run, make_dataset, executed, fault):
    root = make_dataset(("sub-01", "sub-02", "sub-03"), grades={**GRADES, "sub-03": 2})
    spoil, what, remedy = FAULTS[fault]
    path = spoil(root)
    outcome = run(root)
    (failure,) = outcome.failures
    assert failure.where == "sub-01"
    line = str(failure)
    assert str(path) in line
    assert what in line
    assert remedy in line
    assert "\n" not in line
    page = (outcome.run.folder / "index.html").read_text(encoding="utf-8")
    assert what in page
    assert "04_modelling" in executed
    processed = {processed.scan.name for processed in outcome.outcomes if processed.failure is None}
    assert processed == {"sub-02", "sub-03"}


def test_a_label_whose_name_is_no_muscle_is_left_out_with_a_warning(run, make_dataset):
    root = make_dataset(grades=GRADES)
    path = root / "derivatives" / "labels" / "sub-01" / "dwi" / "sub-01_dseg.tsv"
    path.write_text("index\tname\n7151\tgrazilis left\n7152\tgracilis right\n", encoding="utf-8")
    outcome = run(root)
    assert outcome.failures == ()
    (line,) = [str(issue) for issue in outcome.issues if "grazilis" in str(issue)]
    assert "sub-01_dseg.tsv, index 7151" in line


def test_when_no_scan_is_complete_the_run_ends_with_the_reasons(run, make_dataset, executed):
    root = make_dataset(grades=GRADES)
    for name in GRADES:
        (root / name / "dwi" / f"{name}_dwi.bval").unlink()
    outcome = run(root)
    assert executed == []
    assert [failure.where for failure in outcome.failures] == ["sub-01", "sub-02"]


def test_when_nobody_can_be_processed_no_notebook_runs(run, make_dataset, executed):
    root = make_dataset(grades=GRADES)
    for name in GRADES:
        (root / name / "dwi" / f"{name}_dwi.nii.gz").write_bytes(b"no image")
    outcome = run(root)
    assert executed == []
    assert [failure.where for failure in outcome.failures] == ["sub-01", "sub-02"]
    assert (outcome.run.folder / "index.html").is_file()


# What is wrong with the whole study is said before anything is computed


def test_a_grade_outside_the_scale_is_refused(refused, make_dataset):
    root = make_dataset(grades={"sub-01": 6, "sub-02": 3})
    assert refused(root) == (
        f"{root / 'participants.tsv'}: sub-01 has Lovett grade '6'; grades are whole numbers from 0 to 5, or n/a."
    )


def test_a_participant_that_stands_twice_is_refused(refused, make_dataset):
    root = make_dataset(grades=GRADES)
    table = pd.read_csv(root / "participants.tsv", sep="\t")
    pd.concat([table, table.iloc[:1]]).to_csv(root / "participants.tsv", sep="\t", index=False)
    assert "sub-01 stands twice. Keep one row" in refused(root)


@pytest.mark.parametrize(("grades", "empty"), [((4, 5), "poor"), ((0, 3), "good")])
def test_a_group_with_no_one_in_it_is_refused(refused, make_dataset, grades, empty):
    root = make_dataset(grades=dict(zip(GRADES, grades, strict=True)))
    message = refused(root)
    assert message.startswith(f"{root / 'participants.tsv'}: nobody has {empty} muscle function")
    assert "change poor_below_grade" in message


def test_another_threshold_may_fill_both_groups(run, make_dataset):
    root = make_dataset(grades={"sub-01": 4, "sub-02": 5})
    assert run(root, poor_below_grade=5).failures == ()


def test_a_folder_that_is_no_dataset_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "dataset_description.json" in refused(tmp_path / "empty")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"roc_muscles": ["grazilis"]}, "grazilis"),
        ({"published": "wang"}, "wang.yaml: there is no such file"),
        ({"claims": ["c99"]}, "c99"),
        ({"labels": "/nowhere"}, "/nowhere: there is no such folder"),
    ],
)
def test_a_setting_that_names_nothing_is_refused(refused, make_dataset, settings, words):
    assert words in refused(make_dataset(grades=GRADES), **settings)


def test_a_notebook_without_its_tag_is_refused_before_anything_is_computed(
    refused, make_dataset, tmp_path, monkeypatch
):
    folder = tmp_path / "notebooks"
    shutil.copytree(Path(running.notebook_path("")).parent, folder)
    path = folder / "05_replication.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace('"parameters"', '"params"'), encoding="utf-8")
    monkeypatch.setattr("dtimuscle.store.places.notebooks_folder", lambda: folder)
    message = refused(make_dataset(grades=GRADES))
    assert f"{path}: 0 cells are tagged 'parameters'" in message


# What a run leaves


def test_a_run_says_what_it_came_from(run, make_dataset):
    root = make_dataset(grades=GRADES)
    outcome = run(root)
    record = json.loads((outcome.run.folder / "run.json").read_text(encoding="utf-8"))
    assert record["settings"]["data"]["dataset"] == str(root)
    assert set(record["inputs"]) == {"sub-01", "sub-02"}
    assert record["is_simulated"] is False
    assert {"dtimuscle", "numpy", "dipy"} <= set(record["versions"])
    assert set(record["seconds"]) == {"participants", *outcome.notebooks}


def test_what_an_earlier_run_left_does_not_outlive_it(run, make_dataset):
    root = make_dataset(grades=GRADES)
    folder = run(root).run.folder
    (folder / "tables").mkdir(exist_ok=True)
    (folder / "tables" / "old.csv").write_text("a\n1\n", encoding="utf-8")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    run(root)
    assert not (folder / "tables" / "old.csv").exists()
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


NOTEBOOKS = ["01_preprocessing", "02_tensor_fitting", "03_roi_statistics", "04_modelling", "05_replication"]


def test_what_still_holds_is_kept_and_the_record_says_since_when(run, make_dataset, executed):
    root = make_dataset(grades=GRADES)
    first = run(root)
    made = json.loads((first.run.folder / "run.json").read_text(encoding="utf-8"))
    executed.clear()
    second = run(root)
    assert executed == []
    assert second.notebooks == second.kept == tuple(NOTEBOOKS)
    again = json.loads((first.run.folder / "run.json").read_text(encoding="utf-8"))
    assert (made["kept"], set(again["kept"])) == ({}, set(NOTEBOOKS))
    assert {name: again["seconds"][name] for name in NOTEBOOKS} == {name: made["seconds"][name] for name in NOTEBOOKS}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"folds": 4}, NOTEBOOKS[3:4]),
        ({"level": 0.9}, NOTEBOOKS[2:4]),
        ({"analysis_seed": 2}, NOTEBOOKS[3:]),
        ({"n_cohorts": 9}, NOTEBOOKS[4:]),
        ({"min_voxels": 3}, NOTEBOOKS[2:4]),
        ({"estimator": "wls"}, NOTEBOOKS[1:4]),
        ({"workers": 1}, []),
    ],
)
def test_a_setting_executes_only_what_reads_it_or_what_it_changed(run, make_dataset, executed, settings, names):
    root = make_dataset(grades=GRADES)
    run(root)
    executed.clear()
    run(root, **settings)
    assert executed == names


def test_a_kernel_starts_early_only_where_it_is_sure_to_be_needed(run, make_dataset, monkeypatch):
    root = make_dataset(grades=GRADES)
    order: list[str] = []

    def processing(*arguments, **named):
        order.append("participants")
        return process(*arguments, **named)

    monkeypatch.setattr(running, "WarmKernel", lambda **_: order.append("kernel") or nullcontext("kernel"))
    monkeypatch.setattr(running, "process", processing)
    for settings in ({}, {}, {"folds": 4}, {"folds": 4, "estimator": "wls"}):
        run(root, **settings)
        order.append("end")
    assert " ".join(order).split(" end") == [
        "kernel participants", " participants", " kernel participants", " kernel participants", "",
    ]  # fmt: skip


def test_a_table_of_participants_that_changed_is_read_again(run, make_dataset, executed):
    root = make_dataset(grades=GRADES)
    run(root)
    executed.clear()
    table = root / "participants.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("\t5", "\t4"), encoding="utf-8")
    run(root)
    # Notebook 05 reads estimates only, and nothing has left any here.
    assert executed == NOTEBOOKS[:4]


@pytest.fixture
def leave_estimates(executed, monkeypatch):
    """Let notebook 04, which is not run, leave a table of estimates."""
    estimates = ("tables/estimates.csv",)
    monkeypatch.setattr(Run, "files_of", lambda self, notebook: estimates if notebook == "04_modelling" else ())

    def leave(table: str) -> None:
        def execute(notebook, parameters, run, kernel):
            executed.append(notebook)
            if notebook == "04_modelling":
                run.write_page("tables/estimates.csv", table)

        monkeypatch.setattr(running, "execute", execute)

    return leave


@pytest.mark.parametrize("are_new", [False, True])
def test_the_claims_are_judged_again_when_the_estimates_have_changed(
    run, make_dataset, executed, leave_estimates, are_new
):
    root = make_dataset(grades=GRADES)
    leave_estimates("a\n1\n")
    run(root)
    executed.clear()
    leave_estimates("a\n2\n" if are_new else "a\n1\n")
    outcome = run(root, n_bootstrap=200)
    assert executed == NOTEBOOKS[3 : 5 if are_new else 4]
    assert outcome.notebooks == tuple(NOTEBOOKS)
    assert outcome.kept == tuple(name for name in NOTEBOOKS if name not in executed)


def test_nothing_is_left_of_the_claims_when_the_estimates_fail(run, make_dataset, leave_estimates, monkeypatch):
    root = make_dataset(grades=GRADES)
    leave_estimates("a\n1\n")
    run(root)

    def fail(notebook, parameters, run, kernel):
        raise NotebookError(f"{notebook}.ipynb, cell 3: it broke")

    monkeypatch.setattr(running, "execute", fail)
    outcome = run(root, n_bootstrap=200)
    assert outcome.notebooks == tuple(NOTEBOOKS[:3])
    assert not outcome.run.read_receipt("05_replication")


def test_notebook_03_reads_none_of_the_settings_that_are_said_to_be_the_models_alone():
    names = read_parameters(notebook_path("03_roi_statistics"))
    assert not OF_MODELS & set(names)
    assert set(read_parameters(notebook_path("04_modelling"))) >= OF_MODELS
    cells = json.loads(notebook_path("03_roi_statistics").read_text(encoding="utf-8"))["cells"]
    read = re.findall(r"analysis\.(\w+)", "".join("".join(cell["source"]) for cell in cells))
    for module in (session, cohort_page, readers, participant_pages):
        read += re.findall(r"(?:analysis|chosen)\.(\w+)", inspect.getsource(module))
    assert "route" in read
    assert not OF_MODELS & set(read)


def test_notebook_05_reads_what_is_said_of_the_analysis_and_nothing_else():
    cells = json.loads(notebook_path("05_replication").read_text(encoding="utf-8"))["cells"]
    read = re.findall(r"study\.analysis\.(\w+)", "".join("".join(cell["source"]) for cell in cells))
    assert set(read) == OF_REPLICATION


def test_what_was_changed_or_removed_by_hand_is_made_again(run, make_dataset, executed, leave_estimates):
    root = make_dataset(grades=GRADES)
    leave_estimates("a\n1\n")
    outcome = run(root)
    executed.clear()
    run(root)
    assert executed == []
    outcome.run.write_page("tables/estimates.csv", "a\n2\n")
    run(root)
    assert executed == NOTEBOOKS[3:4]


def test_a_notebook_that_failed_is_executed_again(run, make_dataset, executed, monkeypatch):
    root = make_dataset(grades=GRADES)

    def fail(notebook, parameters, run, kernel):
        if notebook == "02_tensor_fitting":
            raise NotebookError("02_tensor_fitting.ipynb, cell 3: it broke")

    with monkeypatch.context() as patch:
        patch.setattr(running, "execute", fail)
        assert run(root).notebooks == ("01_preprocessing",)
    run(root)
    assert executed == NOTEBOOKS[1:]


@pytest.mark.parametrize("is_simulated", [True, False])
def test_pages_say_simulated_when_the_scans_are(run, make_dataset, is_simulated):
    outcome = run(make_dataset(grades=GRADES, is_simulated=is_simulated))
    page = (outcome.run.folder / "index.html").read_text(encoding="utf-8")
    assert ("Simulated data, not patients" in page) is is_simulated
    results = json.loads((outcome.run.folder / "results.json").read_text(encoding="utf-8"))
    assert results["is_simulated"] is is_simulated
