"""The command line: what it prints, and what it tells the shell."""

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dtimuscle import __version__, cli
from dtimuscle.dwi import DwiSeries
from dtimuscle.running import compilation
from dtimuscle.running import study as running
from dtimuscle.store import places
from dtimuscle.store.images import write_gradients, write_image

PLAIN = [
    "--set=denoise=false", "--set=unring=false", "--set=correct_motion=false", "--set=find_outliers=false",
    "--set=estimator=ols", "--set=erosion_mm=0", "--set=min_voxels=1", "--workers=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Lines are not broken, and nothing is coloured."""
    monkeypatch.setattr(cli.console, "_width", 500)
    monkeypatch.setattr(cli.complaints, "_width", 500)


@pytest.fixture
def executed(monkeypatch) -> list[str]:
    """Notebooks that the runner chose; they are not run."""
    names: list[str] = []
    monkeypatch.setattr(running, "WarmKernel", lambda **_: nullcontext())
    monkeypatch.setattr(running, "execute", lambda notebook, parameters, run, kernel: names.append(notebook))
    return names


def call(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def refusal(*words: object) -> str:
    """Expect exit code 2 and one line of error, and return that line."""
    result = call(*words)
    assert result.exit_code == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.output
    return lines[0]


def test_the_version_is_told_by_the_installed_command():
    command = Path(sys.executable).with_name("dtimuscle")
    if not command.is_file():
        pytest.skip("the command dtimuscle is not installed beside this Python")
    answer = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout == f"dtimuscle {__version__}\n"


@pytest.mark.parametrize("words", [[], ["run"], ["validate"], ["fit"]])
def test_help_is_there_for_every_command(words):
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_help_names_every_command():
    listed = call("--help").stdout
    assert all(command in listed for command in ("run", "validate", "fit"))


# Settings


def test_a_misspelt_setting_gets_the_nearest_name_in_one_line():
    assert "unknown setting 'erosion_m'. Did you mean 'erosion_mm'?" in refusal("run", "--set", "erosion_m=2")


def test_debug_shows_where_an_error_comes_from():
    result = call("run", "--set", "erosion_m=2", "--debug")
    assert result.exit_code != 0
    assert type(result.exception).__name__ == "SettingsError"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("erosion_mm", "not of the form name=value"),
        ("erosion_mm=wide", "'wide' is no float"),
        ("erosion_mm=-1", "erosion_mm"),
        ("estimator=ordinary", "ols"),
        ("scenario=publishd", "publishd.yaml: there is no such file. In scenarios/ there are: "),
        ("protocol=thigh_7t", "In protocols/ there are: "),
        ("published=wang", "In published/ there are: "),
        ("roc_muscles=grazilis", "grazilis"),
        ("claims=c99", "c99"),
        ("n_poor=0", "nobody has poor muscle function"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_in_one_line(setting, words, tmp_path, coarse_protocol):
    small = ["--set=n_good=1", f"--set=protocol={coarse_protocol}", "--workers=1"]
    assert words in refusal("run", *small, "--set", setting, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_study_file_that_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "none.yaml") in refusal("run", tmp_path / "none.yaml")


def test_a_study_file_with_a_wrong_setting_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("roi:\n  erosion: 2\n", encoding="utf-8")
    line = refusal("run", path)
    assert str(path) in line
    assert "Did you mean 'erosion_mm'?" in line


def test_text_in_square_brackets_is_printed_as_it_stands(tmp_path):
    assert "[red]" in refusal("run", tmp_path / "[red].yaml")


# run


def test_a_run_tells_where_the_pages_are(make_dataset, executed, tmp_path):
    root = make_dataset(grades={"sub-01": 3, "sub-02": 5})
    result = call("run", "--dataset", root, *PLAIN, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert f"Pages: {tmp_path / 'run' / 'index.html'}" in result.stdout
    assert "Participants: 2 of 2 in" in result.stdout
    assert len(executed) == 5


def test_a_run_with_a_failed_participant_ends_with_1_and_says_who_once_it_happens_and_at_the_end(
    make_dataset, executed, tmp_path
):
    root = make_dataset(("sub-01", "sub-02", "sub-03"), grades={"sub-01": 3, "sub-02": 5, "sub-03": 2})
    (root / "sub-03" / "dwi" / "sub-03_dwi.nii.gz").write_bytes(b"no image")
    result = call("run", "--dataset", root, *PLAIN, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert [line[:14] for line in result.stderr.splitlines() if "sub-03" in line] == ["error: sub-03:"] * 2
    assert f"Pages: {tmp_path / 'run' / 'index.html'}" in result.stdout
    assert len(executed) == 5


def test_a_run_with_an_incomplete_scan_ends_with_1(make_dataset, executed, tmp_path):
    root = make_dataset(("sub-01", "sub-02", "sub-03"), grades={"sub-01": 3, "sub-02": 5, "sub-03": 2})
    (root / "sub-03" / "dwi" / "sub-03_dwi.bvec").unlink()
    result = call("run", "--dataset", root, *PLAIN, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "sub-03_dwi.nii.gz has no .bvec." in result.stderr


def test_without_grades_a_run_is_complete_and_says_what_was_left_out(make_dataset, executed, tmp_path):
    result = call("run", "--dataset", make_dataset(), *PLAIN, "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert "Notebooks 04 and 05" in result.stderr


def test_a_relative_dataset_is_taken_from_where_the_user_stands(make_dataset, executed, tmp_path, monkeypatch):
    root = make_dataset(grades={"sub-01": 3, "sub-02": 5})
    monkeypatch.chdir(root.parent)
    assert call("run", "--dataset", root.name, *PLAIN, "--out", "run").exit_code == 0
    assert (root.parent / "run" / "index.html").is_file()


@pytest.mark.parametrize(
    ("grades", "words"),
    [
        ({"sub-01": 3, "sub-02": 9}, "sub-02 has Lovett grade '9'"),
        ({"sub-01": 4, "sub-02": 5}, "nobody has poor muscle function"),
    ],
)
def test_wrong_participants_are_told_before_anything_is_computed(make_dataset, executed, tmp_path, grades, words):
    root = make_dataset(grades=grades)
    line = refusal("run", "--dataset", root, *PLAIN, "--out", tmp_path / "run")
    assert str(root / "participants.tsv") in line
    assert words in line
    assert executed == []
    assert not (tmp_path / "run").exists()
    assert not places.derivatives_folder().exists()


def test_a_table_without_grades_is_refused(tmp_path):
    table = tmp_path / "values.csv"
    table.write_text("participant_id,gracilis_fa\nsub-01,0.2\nsub-02,0.3\n", encoding="utf-8")
    line = refusal("run", "--roi-table", table, "--out", tmp_path / "run")
    assert f"{table}: no participant has a Lovett grade. Add the column lovett_grade" in line


def test_a_table_that_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "values.csv") in refusal("run", "--roi-table", tmp_path / "values.csv")


def test_explain_says_what_a_run_would_compute_and_computes_nothing(make_dataset, executed, tmp_path):
    root = make_dataset(grades={"sub-01": 3, "sub-02": 5})
    result = call("run", "--dataset", root, *PLAIN, "--out", tmp_path / "run", "--explain")
    assert result.exit_code == 0
    assert "Preprocessing" in result.stdout
    assert "never computed" in result.stdout
    assert "Notebook 05_replication" in result.stdout
    assert executed == []
    assert not (tmp_path / "run").exists()
    assert not places.derivatives_folder().exists()


def test_explain_refuses_what_a_run_would_refuse(tmp_path):
    line = refusal("run", "--dataset", tmp_path, "--explain", "--set", "label_scheme=none_such")
    assert "none_such" in line


def test_kernels_are_compiled_by_a_command_that_help_does_not_list(monkeypatch):
    monkeypatch.setattr(compilation, "compile_missing", lambda progress: progress.say("Compiling [once] …"))
    result = call("compile-kernels")
    assert (result.exit_code, result.stdout) == (0, "Compiling [once] …\n")
    assert "compile-kernels" not in call("--help").stdout


# The time that everybody waits


def test_help_and_version_import_nothing_heavy():
    code = "import sys; from dtimuscle import cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "pandas", "scipy", "numba", "matplotlib", "pydantic", "yaml", "nibabel"}.isdisjoint(loaded)


def test_the_package_alone_imports_nothing_but_the_standard_library():
    code = "import sys; before = set(sys.modules); import dtimuscle; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["dtimuscle"]


# validate


def test_a_good_dataset_is_told_in_plain_words(make_dataset):
    result = call("validate", make_dataset(grades={"sub-01": 3, "sub-02": 5}))
    assert result.exit_code == 0
    assert "Few voxels" in result.stdout
    assert "2 participants: 1 poor, 1 good muscle function, 0 without a grade" in result.stdout
    assert "4 × 3 × 2 of 2.5 × 2.5 × 5 mm" in result.stdout
    assert "Every scan can be processed." in result.stdout
    assert "simulated" not in result.stdout


def test_a_simulated_dataset_is_called_simulated(make_dataset):
    assert "Few voxels (simulated data, not patients)" in call("validate", make_dataset(is_simulated=True)).stdout


def test_a_broken_dataset_is_told_in_plain_words_and_ends_with_2(make_dataset):
    root = make_dataset(grades={"sub-01": 3, "sub-02": 5})
    (root / "sub-01" / "dwi" / "sub-01_dwi.bval").unlink()
    shutil.rmtree(root / "derivatives" / "labels" / "sub-02")
    result = call("validate", root)
    assert result.exit_code == 2
    assert "sub-01_dwi.nii.gz has no .bval. Put sub-01_dwi.bval beside it" in result.stderr
    assert "warning: sub-02: has no muscle labels" in result.stderr
    assert "1 of 2 scans cannot be processed as they are." in result.stdout


def test_a_folder_that_is_no_dataset_ends_with_2(tmp_path):
    assert "dataset_description.json" in refusal("validate", tmp_path)


# fit


@pytest.fixture
def files(tmp_path, series: DwiSeries, labels) -> Path:
    """A series that decays with b as tissue does, with gradients and labels beside it."""
    decay = np.exp(-1.5e-3 * series.gradients.bvals)
    signal = np.broadcast_to(1000 * decay, series.signal.shape).astype(np.float32)
    write_image(tmp_path / "scan.nii.gz", signal, series.affine)
    write_gradients(tmp_path / "scan.bval", tmp_path / "scan.bvec", series.gradients, series.affine)
    write_image(tmp_path / "muscles.nii.gz", labels.values.astype(np.int32), series.affine)
    write_image(tmp_path / "mask.nii.gz", np.ones(series.shape, np.uint8), series.affine)
    return tmp_path


MAPS = {
    f"scan_param-{name}_dwimap.{ending}"
    for name in ("fa", "md", "ad", "rd", "direction")
    for ending in ("json", "nii.gz")
}


@pytest.mark.parametrize("estimator", ["ols", "wls", "iwls", "nlls"])
def test_one_series_becomes_maps(files, estimator):
    result = call("fit", files / "scan.nii.gz", "--estimator", estimator, "--out", files / "out")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (files / "out").iterdir()} == MAPS
    md = nib.load(files / "out" / "scan_param-md_dwimap.nii.gz").get_fdata()
    assert md == pytest.approx(1.5e-3, rel=1e-4)


def test_labels_add_the_roi_table(files):
    small = ["--set=erosion_mm=0", "--set=min_voxels=1"]
    result = call("fit", files / "scan.nii.gz", "--labels", files / "muscles.nii.gz", *small, "--out", files / "out")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (files / "out").iterdir()} == MAPS | {"scan_roi.tsv", "scan_roi.json"}
    assert f"Written: {files / 'out' / 'scan_roi.tsv'}" in result.stdout


def test_results_go_to_a_folder_named_after_the_series(files, monkeypatch):
    monkeypatch.chdir(files)
    assert call("fit", "scan.nii.gz").exit_code == 0
    assert {path.name for path in (files / "scan_dtimuscle").iterdir()} == MAPS


def test_a_mask_limits_the_fit(files, series):
    mask = np.zeros(series.shape, np.uint8)
    mask[0] = 1
    write_image(files / "mask.nii.gz", mask, series.affine)
    assert call("fit", files / "scan.nii.gz", "--mask", files / "mask.nii.gz", "--out", files / "out").exit_code == 0
    md = nib.load(files / "out" / "scan_param-md_dwimap.nii.gz").get_fdata()
    assert (md[0] > 0).all()
    assert not (np.nan_to_num(md[1:]) > 0).any()


def test_a_mask_on_another_grid_is_refused(files, series):
    write_image(files / "mask.nii.gz", np.ones(series.shape, np.uint8)[:-1], series.affine)
    line = refusal("fit", files / "scan.nii.gz", "--mask", files / "mask.nii.gz", "--out", files / "out")
    assert str(files / "mask.nii.gz") in line
    assert "the mask and the diffusion series" in line
    assert not (files / "out").exists()


def test_an_empty_mask_is_refused(files, series):
    write_image(files / "mask.nii.gz", np.zeros(series.shape, np.uint8), series.affine)
    assert "the mask is empty" in refusal("fit", files / "scan.nii.gz", "--mask", files / "mask.nii.gz")


def test_labels_that_lie_elsewhere_are_refused_before_anything_is_written(files, labels):
    affine = labels.affine.copy()
    affine[0, 3] += 500
    write_image(files / "muscles.nii.gz", labels.values.astype(np.int32), affine)
    words = ("fit", files / "scan.nii.gz", "--labels", files / "muscles.nii.gz", "--out", files / "out")
    assert str(files / "muscles.nii.gz") in refusal(*words)
    assert not (files / "out").exists()


@pytest.mark.parametrize("missing", ["scan.bval", "scan.bvec", "scan.nii.gz"])
def test_a_missing_file_is_named(files, missing):
    (files / missing).unlink()
    assert str(files / missing) in refusal("fit", files / "scan.nii.gz", "--out", files / "out")


def test_gradients_elsewhere_are_named(files):
    for name in ("bval", "bvec"):
        (files / f"scan.{name}").rename(files / f"other.{name}")
    elsewhere = ("--bval", files / "other.bval", "--bvec", files / "other.bvec")
    assert call("fit", files / "scan.nii.gz", *elsewhere, "--out", files / "out").exit_code == 0


def test_an_estimator_that_there_is_not_is_refused(files):
    result = call("fit", files / "scan.nii.gz", "--estimator", "ordinary")
    assert result.exit_code == 2
    assert "'ols', 'wls', 'iwls', 'nlls', 'restore', 'robust'" in result.stderr


def test_audit_prints_the_findings_and_where_the_page_is(tmp_path):
    answer = call("audit", "wang_thigh_osteoporosis", "--out", tmp_path / "out")
    assert answer.exit_code == 0
    assert "impossible" in answer.output
    assert "adc_means" in answer.output
    assert "0.722" in answer.output
    assert f"Page: {tmp_path / 'out' / 'index.html'}" in answer.output
    assert (tmp_path / "out" / "audit.json").is_file()


def test_audit_takes_the_study_of_the_settings_when_none_is_named(tmp_path):
    answer = call("audit", "--out", tmp_path / "out")
    assert answer.exit_code == 0
    assert "Wang et al." in answer.output


def test_audit_fits_a_narrow_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(cli.console, "_width", 80)
    answer = call("audit", "--out", tmp_path / "out")
    lines = [line for line in answer.output.splitlines() if not line.startswith("Page:")]
    assert max(len(line) for line in lines) <= 80


def test_audit_refuses_a_wrong_file_with_place_and_field(tmp_path):
    text = (places.published_folder() / "wang_thigh_osteoporosis.yaml").read_text(encoding="utf-8")
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace("direction: lower", "direction: less", 1), encoding="utf-8")
    line = refusal("audit", path, "--out", tmp_path / "out")
    assert "wrong.yaml, line " in line
    assert "direction" in line
    assert "less" in line
    assert "lower" in line
    assert not (tmp_path / "out").exists()


def test_audit_refuses_a_name_that_is_not_there():
    assert "wang_thigh_osteoporosis" in refusal("audit", "wang_thigh_osteoporosi")


def test_audit_prints_the_schema_of_its_files():
    answer = call("audit", "--schema")
    assert answer.exit_code == 0
    assert "claims" in json.loads(answer.output)["properties"]
