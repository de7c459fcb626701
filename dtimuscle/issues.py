"""What degrades a result is kept in the result and shown on its page."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """How much an issue costs: a note, a doubtful result, or a result that is missing."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Issue:
    """One thing that degrades a result.

    Parameters
    ----------
    severity : Severity
        `ERROR` where a result is missing, `WARNING` where it is doubtful, `NOTE` otherwise.
    where : str
        The participant, muscle, file or model that is concerned.
    what : str
        What was found, and what was needed.
    remedy : str
        What the reader can do about it.
    """

    severity: Severity
    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line for a terminal or a table cell."""
        sentence = f"{self.where}: {self.what}"
        return f"{sentence} {self.remedy}" if self.remedy else sentence

    def to_dict(self) -> dict[str, str]:
        """Plain strings, ready for JSON.

        Returns
        -------
        dict of str
            Keys `severity`, `where`, `what` and `remedy`.
        """
        return {key: str(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: dict[str, str]) -> "Issue":
        """Rebuild an issue from `to_dict`.

        Parameters
        ----------
        record : dict of str
            Keys `severity`, `where`, `what` and `remedy`.

        Returns
        -------
        Issue
            Equal to the one that was written.
        """
        return cls(Severity(record["severity"]), record["where"], record["what"], record["remedy"])


def in_short(issues: Iterable[Issue]) -> list[Issue]:
    """Say once what many share, gravest first, so that a hundred equal warnings don't hide a single error.

    Errors are always named one by one.

    Parameters
    ----------
    issues : iterable of Issue
        In the order in which they arose.

    Returns
    -------
    list of Issue
        One for each severity, finding and remedy; `where` counts the others.
    """
    groups: dict[tuple[str, ...], list[Issue]] = {}
    for issue in issues:
        who = issue.where if issue.severity is Severity.ERROR else ""
        groups.setdefault((issue.severity, issue.what, issue.remedy, who), []).append(issue)
    said = [
        group[0] if len(group) == 1 else replace(group[0], where=f"{group[0].where} and {len(group) - 1} more")
        for group in groups.values()
    ]
    return sorted(said, key=lambda issue: -list(Severity).index(issue.severity))
