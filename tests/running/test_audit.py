import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dtimuscle import __version__
from dtimuscle.errors import DtiMuscleError, SettingsError
from dtimuscle.replication.audit.effects import implied_effects
from dtimuscle.running.audit import AuditOutcome, audit_study
from dtimuscle.store import places
from dtimuscle.store.audits import audit_folder
from dtimuscle.store.files import file_digest

NAME = "wang_thigh_osteoporosis"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> AuditOutcome:
    return audit_study(NAME, folder=tmp_path_factory.mktemp("audit"), command="dtimuscle audit")


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A file outside data/published/, with another name."""
    values = yaml.safe_load((places.published_folder() / f"{NAME}.yaml").read_text(encoding="utf-8"))
    values["id"] = "mine"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return path


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_audit_leaves_its_page_its_numbers_and_its_drawings(outcome):
    found = files_of(outcome.folder.folder)
    assert {"index.html", "audit.json", "tables/findings.csv", "figures/implied_auc.svg"} <= found
    assert outcome.folder.page.name == "index.html"
    page = outcome.folder.page.read_text(encoding="utf-8")
    for name in found:
        if name.startswith(("tables/", "figures/")):
            assert f'href="{name}"' in page


def test_the_record_is_strict_json_with_every_number(outcome):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (outcome.folder.folder / "audit.json").read_text(encoding="utf-8")
    record = json.loads(text, parse_constant=refuse)
    assert record["study"] == NAME
    assert record["dtimuscle"] == __version__
    source = places.published_folder() / f"{NAME}.yaml"
    assert record["source"] == {"file": source.name, "sha256": file_digest(source)}
    assert len(record["findings"]) == len(outcome.audit.findings)
    assert len(record["checks"]) == len(outcome.audit.results)
    effects = implied_effects(outcome.study)
    assert [effect["auc"]["value"] for effect in record["implied_effects"]] == [e.auc.value for e in effects]
    assert record["implied_effects"][0]["first"]["group"] == "poor"


def test_the_gravest_findings_stand_first_on_the_page(outcome):
    page = outcome.folder.page.read_text(encoding="utf-8")
    places_of = [page.index(f'id="finding-{n}"') for n in range(1, len(outcome.audit.findings) + 1)]
    assert places_of == sorted(places_of)
    assert outcome.audit.conflicts


def test_every_table_can_be_read_again(outcome):
    for path in (outcome.folder.folder / "tables").glob("*.csv"):
        assert len(pd.read_csv(path))


def test_another_file_is_audited_by_its_path(brought, tmp_path):
    outcome = audit_study(str(brought), folder=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert (outcome.study.id, record["source"]["file"]) == ("mine", "mine.yaml")


def test_the_next_audit_replaces_what_the_last_one_left_and_nothing_else(brought, tmp_path):
    out = tmp_path / "out"
    audit_study(str(brought), folder=out)
    (out / "tables" / "old.csv").write_text("x", encoding="utf-8")
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    audit_study(str(brought), folder=out)
    assert not (out / "tables" / "old.csv").exists()
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_with_other_files_is_refused_untouched(brought, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match="not an audit's"):
        audit_study(str(brought), folder=out)
    assert files_of(out) == {"index.html"}
    with pytest.raises(SettingsError, match="is a file"):
        audit_study(str(brought), folder=brought)


def test_without_a_folder_the_audit_goes_to_the_reports():
    assert audit_folder("mine").folder == places.reports_folder() / "audit" / "mine"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DtiMuscleError, match=r"nothing\.yaml"):
        audit_study(str(tmp_path / "nothing.yaml"), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
