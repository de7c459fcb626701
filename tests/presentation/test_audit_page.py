import re
from html.parser import HTMLParser

import pytest

from dtimuscle.presentation import tables
from dtimuscle.presentation.audit_page import Section, audit_page
from dtimuscle.presentation.pages import Link, PageContext
from dtimuscle.replication.audit import Audit
from dtimuscle.replication.audit.findings import Check, CheckResult, Finding, Sentence, Severity
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.running.studies import read_published


class _Reader(HTMLParser):
    """Headings, links, anchors and landmarks of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if "id" in values:
            self.ids.append(values["id"])
        self.targets += [values[key] for key in ("href", "aria-labelledby") if values.get(key)]


@pytest.fixture(scope="module")
def study() -> PublishedStudy:
    return read_published("wang_thigh_osteoporosis")


@pytest.fixture(scope="module")
def audit() -> Audit:
    def found(severity: Severity, title: str) -> Finding:
        return Finding("a", severity, title, Sentence("It does not fit."), ("adc_means",))

    check = Check("a", "Does it fit?", "numbers", 0.0, lambda *_: CheckResult(()))
    findings = found(Severity.NOTE, "Few <events>"), found(Severity.IMPOSSIBLE, "Above water")
    return Audit("wang", ((check, CheckResult(("one",), findings)),))


def page_of(audit: Audit, study: PublishedStudy) -> str:
    context = PageContext(
        study=study.title, run="audit", is_simulated=False, version="0.1.0", created="1 May 2025",
        command="dtimuscle audit /data/of/mine/wang.yaml",
    )  # fmt: skip
    sections = [
        Section("What does not fit", (tables.findings_list(audit, study),)),
        Section("Every question that was put", (tables.checks_table(audit),), words="All of them."),
    ]
    return audit_page(
        audit, study, sections, context, source="wang.yaml", digest="0" * 64,
        downloads=[Link("audit.json", "audit.json", "all numbers")],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(audit, study) -> str:
    return page_of(audit, study)


def test_the_page_says_what_it_is_and_what_it_is_not(page):
    words = " ".join(page.split())
    for sentence in (
        "It uses printed numbers only", "no patient was measured and no data were simulated", "It accuses no one",
        "For research and teaching; not a medical device",
    ):  # fmt: skip
        assert sentence in words
    assert "Simulated data, not patients" not in page


def test_the_page_tells_how_to_do_it_again(page):
    assert "wang.yaml" in page
    assert "0" * 64 in page
    assert "dtimuscle audit …/wang.yaml" in page
    assert "/data/of/mine" not in page
    assert 'href="audit.json"' in page


def test_the_list_at_the_top_leads_to_each_finding(page):
    reader = _Reader()
    reader.feed(page)
    anchors = [target[1:] for target in reader.targets if target.startswith("#finding")]
    assert anchors == ["finding-1", "finding-2"]
    assert len(reader.ids) == len(set(reader.ids))
    for target in reader.targets:
        if not re.match(r"(tables|figures)/|audit\.json|data:", target):
            assert target.removeprefix("#") in reader.ids
    assert page.index("Above water") < page.index("Few &lt;events&gt;")


def test_headings_descend_by_one(page):
    reader = _Reader()
    reader.feed(page)
    assert reader.headings.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(reader.headings, reader.headings[1:], strict=False))
    assert {"main", "header", "footer"} <= set(reader.tags)


def test_the_page_runs_nothing_and_loads_nothing(page):
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


def test_an_audit_without_findings_has_a_calm_page(study):
    page = page_of(Audit("wang", ()), study)
    assert "fit each other" in page
    assert 'class="tally"' not in page
