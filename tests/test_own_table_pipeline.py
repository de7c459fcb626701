"""The flow from a table that somebody brings: the notebooks without images, and every file that they leave."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dtimuscle.running import study as running_study
from dtimuscle.running.notebooks import NOTEBOOKS
from dtimuscle.running.pool import Silent
from dtimuscle.running.study import StudyOutcome, run_study
from dtimuscle.settings import Study

pytestmark = pytest.mark.slow

SIMULATED = "Simulated data, not patients"

MUSCLES = ("adductor_magnus", "adductor_longus", "gracilis", "sartorius")
GRADES = (2, 3, 3, 2, 3, 4, 5, 5, 4, 5, 4, 5)

# As few random draws as the settings allow: what they are worth is not asked here.
FEW_DRAWS = {"n_bootstrap": 100, "n_optimism": 20, "folds": 2, "repeats": 1, "n_imputations": 2, "n_cohorts": 20}


def made_up_table() -> pd.DataFrame:
    """FA and MD of four muscles of twelve patients: one value is missing, and FA says little of the grade."""
    chance = np.random.default_rng(5)
    table = pd.DataFrame({"participant_id": [f"p{number:02d}" for number in range(1, 13)], "lovett_grade": GRADES})
    table["age"] = chance.integers(40, 70, len(GRADES))
    for muscle in MUSCLES:
        table[f"{muscle}_fa"] = chance.normal(0.3, 0.04, len(GRADES))
        table[f"{muscle}_md [mm2/s]"] = chance.normal(1.2e-3, 2e-4, len(GRADES)) + 5e-5 * np.array(GRADES)
    table.loc[0, "sartorius_fa"] = math.nan
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture
def outcome(folder, execute_here, monkeypatch) -> StudyOutcome:
    """Run notebooks 4 and 5 from the table, in this process."""
    monkeypatch.setattr(running_study, "execute", execute_here)
    made_up_table().to_csv(folder / "mine.csv", index=False)
    settings: dict[str, Any] = {"roi_table": str(folder / "mine.csv"), "missing": "imputation", **FEW_DRAWS}
    # Somebody is left out by hand; nobody's scan can be rated.
    return run_study(Study().with_values(**settings, exclude=["p12"]), progress=Silent(), folder=folder / "run")


def test_a_table_of_ones_own_with_a_hole_is_analysed_and_only_worlds_are_called_simulated(outcome):
    folder = outcome.run.folder
    assert [str(failure) for failure in outcome.failures] == []
    assert outcome.notebooks == NOTEBOOKS[3:]
    pages = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    # Without scans there are no pages of scans; who is left out, and what that changes, is shown all the same.
    assert {name for name in pages if not name.startswith("pages/")} == {
        "index.html", "04_modelling.html", "05_replication.html",
    }  # fmt: skip
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        ".dtimuscle-run", "index.html", "04_modelling.html", "05_replication.html", "results.json", "run.json",
        "issues.json", "study.yaml", "roi.tsv", "roi.json", "participants.tsv",
    }  # fmt: skip
    shown, tables, own = ({path.stem for path in (folder / name).iterdir()} for name in ("exhibits", "tables", "pages"))
    assert shown == own == tables - {"estimates"}
    assert {"imputation", "left_out", "exclusion", "influence", "worlds"} <= shown
    worlds = {f"pages/{name}.html" for name in ("worlds", "worlds_auc", "worlds_together")}
    # The notebook was run in this process, so that its page has no outputs which could say it.
    assert {name for name, page in pages.items() if SIMULATED in page} == worlds
    assert '<p class="simulated"' not in pages["05_replication.html"]
    assert "p12. Left out by hand." in pages["index.html"]

    used = made_up_table().query("participant_id != 'p12'")
    is_poor = used["lovett_grade"] < 4
    found = pd.read_csv(folder / "tables" / "group_comparison.csv").set_index("feature")["difference"]
    columns = {f"{muscle}.fa": f"{muscle}_fa" for muscle in MUSCLES}
    columns |= {f"{muscle}.md": f"{muscle}_md [mm2/s]" for muscle in MUSCLES}
    means = used[list(columns.values())].groupby(is_poor).mean()
    expected = {feature: means.loc[True, column] - means.loc[False, column] for feature, column in columns.items()}
    assert set(found.index) == set(expected)
    assert found.to_dict() == pytest.approx(expected, rel=1e-9)
    kept = pd.read_csv(folder / "tables" / "estimates.csv").set_index(["kind", "subject"])["n"]
    assert kept["difference", "sartorius.fa"] == len(used)  # nobody else was left out
