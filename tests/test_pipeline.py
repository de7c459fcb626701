"""The whole flow on a small simulated cohort: every notebook, every page, every file that a run leaves."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dtimuscle.running.notebooks import NOTEBOOKS, notebook_path
from dtimuscle.running.participant_pages import NOTEBOOK as PARTICIPANT
from dtimuscle.running.pool import Silent
from dtimuscle.running.study import StudyOutcome, run_study
from dtimuscle.settings import Study
from dtimuscle.store import places

pytestmark = pytest.mark.slow

SIMULATED = "Simulated data, not patients"

# What each notebook shows, in its order.
TABLES = {
    "01_preprocessing": ("gradients", "quality"),
    "02_tensor_fitting": ("estimators", "fit_quality"),
    "03_roi_statistics": ("muscles", "muscle_quality", "odd_scans", "sizes_and_sides", "bias"),
    "04_modelling": (
        "missing_values", "complete_cases", "characteristics", "group_comparison", "group_effects", "group_tests",
        "correlation", "adjusted_correlation", "univariate", "multivariable", "prespecified", "model_fit", "penalised",
        "ordinal_each", "ordinal", "proportional_odds", "auc_features", "cut_offs", "auc", "auc_comparison",
        "partial_auc", "leave_one_out", "influence", "validation", "calibration", "detectable_effects", "sample_sizes",
        "what_survives",
    ),
    "05_replication": (
        "printed_claims", "readings", "implied_effects", "findings", "directions", "checks", "verdicts", "criteria",
        "worlds", "worlds_together",
    ),
}  # fmt: skip
FIGURES = {
    "01_preprocessing": ("slices", "denoising", "unringing", "motion", "displacement", "averaging"),
    "02_tensor_fitting": ("tensor_maps",),
    "03_roi_statistics": ("eroded_labels", "quality_strips", "scans_fa", "scans_md", "bias_by_muscle"),
    "04_modelling": (
        "missing_patterns", "groups_fa", "groups_md", "hedges_g", "correlation_with_grade", "correlation_heatmap",
        "odds_ratios", "prespecified_odds_ratios", "penalty", "penalised_odds_ratios", "ordinal_odds_ratios",
        "roc_features", "roc", "influence_figure", "validation_auc", "calibration_curve", "decision_curve", "power",
    ),
    "05_replication": (
        "implied_auc", "turning", "published_and_found_differences", "published_and_found_means",
        "published_and_found_auc", "worlds_auc",
    ),
}  # fmt: skip

# What shows printed numbers alone: nothing in it is simulated, whatever the run's data are.
OF_PRINT = {
    "printed_claims", "readings", "implied_effects", "implied_auc", "findings", "directions", "turning", "checks",
}  # fmt: skip


PARTICIPANTS = tuple(f"sub-{number:03d}" for number in range(1, 13))


def expected_files() -> set[str]:
    """Name every file that a run leaves."""
    tables = [name for notebook in NOTEBOOKS for name in TABLES[notebook]]
    figures = [name for notebook in NOTEBOOKS for name in FIGURES[notebook]]
    files = {
        ".dtimuscle-run", "index.html", "results.json", "run.json", "issues.json", "study.yaml", "roi.tsv", "roi.json",
        "participants.tsv", "ratings.json", "cohort.html", "participants.html", "tables/estimates.csv",
    }  # fmt: skip
    files |= {f"participants/{name}.html" for name in PARTICIPANTS}
    files |= {f"{notebook}.html" for notebook in NOTEBOOKS}
    parts = ("participant pages", *NOTEBOOKS, *(f"{notebook} page" for notebook in NOTEBOOKS))
    files |= {f".receipts/{part}.json" for part in parts}
    files |= {f"notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS}
    for name in (*tables, *figures):
        files |= {f"pages/{name}.html", f"tables/{name}.csv", f"exhibits/{name}.json"}
    return files | {f"figures/{name}.{ending}" for name in figures for ending in ("svg", "png")}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def pages_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}


def numbers(values: Any) -> Iterator[float]:
    """Yield every number in nested lists and dictionaries."""
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from numbers(value)
    elif isinstance(values, float):
        yield values


# As few random draws as the settings allow: what they are worth is not asked here, that they are the same again is.
FEW_DRAWS = {"n_bootstrap": 100, "n_optimism": 20, "folds": 2, "repeats": 1, "n_imputations": 2, "n_cohorts": 20}


@dataclass
class Made:
    cache: Path
    study: Study
    first: StudyOutcome
    results: dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory, coarse_protocol) -> Made:
    """Run the study once with everything on; other tests look at what it left."""
    cache, folder = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("reports") / "small"
    small = {"protocol": coarse_protocol, "n_poor": 5, "n_good": 7, "erosion_mm": 0.0, "min_voxels": 3, "workers": 1}
    study = Study().with_values(**small, **FEW_DRAWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(places.CACHE_VARIABLE, str(cache))
        outcome = run_study(study, progress=Silent(), folder=folder, command="dtimuscle run")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return Made(cache, study, outcome, results)


@pytest.fixture
def cache(made, monkeypatch) -> Path:
    """Use what the run has left instead of an empty folder."""
    monkeypatch.setenv(places.CACHE_VARIABLE, str(made.cache))
    return made.cache


def test_every_notebook_runs_to_its_end(made):
    assert [str(failure) for failure in made.first.failures] == []
    assert made.first.notebooks == NOTEBOOKS
    assert len(made.first.outcomes) == 12


def test_a_run_leaves_these_files_and_no_others(made):
    assert files_of(made.first.run.folder) == expected_files()


def test_the_notebooks_of_the_kit_stay_as_they_were(made):
    folder = notebook_path("").parent
    there = {path.stem for path in folder.iterdir() if path.name != ".ipynb_checkpoints"}
    assert there == {*NOTEBOOKS, PARTICIPANT}


def test_results_hold_every_exhibit_with_its_rows(made):
    shown = {name for names in (*TABLES.values(), *FIGURES.values()) for name in names}
    assert set(made.results["exhibits"]) == shown
    assert made.results["is_simulated"] is True
    # The multivariable model may be empty in twelve patients; nothing else is.
    assert [name for name, exhibit in made.results["exhibits"].items() if not exhibit["rows"]] in (
        [],
        ["multivariable"],
    )
    for notebook in NOTEBOOKS:
        for name in (*TABLES[notebook], *FIGURES[notebook]):
            assert made.results["exhibits"][name]["notebook"] == notebook


def test_results_are_json_that_any_program_reads(made):
    text = (made.first.run.folder / "results.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    found = list(numbers(made.results))
    assert len(found) > 1000
    assert all(math.isfinite(number) for number in found)


def test_every_kind_of_estimate_is_there(made):
    kinds = {estimate["kind"] for estimate in made.results["estimates"]}
    assert kinds >= {"mean", "difference", "correlation", "univariate_odds_ratio", "auc", "auc_difference"}


def test_every_page_says_that_the_data_are_simulated_but_those_of_printed_numbers(made):
    pages = pages_of(made.first.run.folder)
    silent = {name for name, page in pages.items() if SIMULATED not in page}
    assert silent == {f"pages/{name}.html" for name in OF_PRINT}


def test_pages_ask_nothing_of_the_network(made):
    for name, page in pages_of(made.first.run.folder).items():
        for word in ('src="http', "src='http", 'rel="stylesheet" href="http', "require.js", "cdn."):
            assert word not in page, (name, word)


def test_published_values_stand_beside_the_found_ones(made):
    beside = made.results["exhibits"]["verdicts"]["beside"]
    assert beside
    assert all(row["published"] and row["agreement"] for row in beside)
    index = (made.first.run.folder / "index.html").read_text(encoding="utf-8")
    assert all(f"pages/{name}.html" in index for name in made.results["exhibits"])


def test_a_second_run_computes_nothing_and_finds_the_same(made, cache):
    pages = pages_of(made.first.run.folder)
    again = run_study(made.study, progress=Silent(), folder=made.first.run.folder, command="dtimuscle run")
    assert again.kept == (*NOTEBOOKS, "participant pages")
    assert {name for name, page in pages_of(again.run.folder).items() if page != pages[name]} <= {
        name for name in pages if name.startswith("pages/") or name in {"index.html", "cohort.html"}
    }
    assert {outcome.computed for outcome in again.outcomes} == {()}
    assert again.notebooks == NOTEBOOKS
    assert json.loads((again.run.folder / "results.json").read_text(encoding="utf-8")) == made.results
    assert files_of(again.run.folder) == expected_files()
