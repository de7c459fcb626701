import dataclasses

import pytest

from dtimuscle.issues import Issue, Severity, in_short

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


def test_in_short_the_gravest_come_first():
    assert [issue.severity for issue in in_short([NOTE, ERROR, WARNING])] == ["error", "warning", "note"]


def test_in_short_what_many_share_is_said_once():
    same = [dataclasses.replace(WARNING, where=f"sub-{number:02d}") for number in range(1, 4)]
    (said,) = in_short(same)
    assert said.where == "sub-01 and 2 more"
    assert said.what == WARNING.what


def test_in_short_errors_are_named_one_by_one():
    same = [dataclasses.replace(ERROR, where=f"sub-{number:02d}") for number in range(1, 4)]
    assert in_short(same) == same


def test_in_short_different_findings_stay_apart():
    other = dataclasses.replace(WARNING, what="is even.")
    assert in_short([WARNING, other]) == [WARNING, other]


def test_equal_issues_count_once_in_a_set():
    assert len({WARNING, dataclasses.replace(WARNING)}) == 1
