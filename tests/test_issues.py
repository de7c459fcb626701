import dataclasses

import pytest

from dtimuscle.issues import Issue, Severity, worst

NOTE, WARNING, ERROR = (Issue(severity, "sub-01", "is odd.", "Look.") for severity in Severity)


def test_an_issue_reads_as_one_sentence_with_its_remedy():
    assert str(WARNING) == "sub-01: is odd. Look."


def test_an_issue_without_remedy_ends_after_what_was_found():
    assert str(Issue(Severity.NOTE, "sub-01", "is odd.")) == "sub-01: is odd."


def test_an_issue_survives_being_written():
    record = WARNING.to_dict()
    assert all(type(value) is str for value in record.values())
    assert Issue.from_dict(record) == WARNING


def test_an_unknown_severity_is_refused():
    with pytest.raises(ValueError, match="fatal"):
        Issue.from_dict({**WARNING.to_dict(), "severity": "fatal"})


def test_the_gravest_severity_wins_whatever_the_order():
    assert worst([NOTE, ERROR, WARNING]) is Severity.ERROR
    assert worst([WARNING, NOTE]) is Severity.WARNING


def test_without_issues_nothing_is_grave():
    assert worst([]) is None


def test_equal_issues_count_once_in_a_set():
    assert len({WARNING, dataclasses.replace(WARNING)}) == 1
