"""What degrades a result is kept in the result and shown on its page."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
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


def worst(issues: Iterable[Issue]) -> Severity | None:
    """Return the gravest severity among issues, or None when there are none.

    Parameters
    ----------
    issues : iterable of Issue
        Any number of them.

    Returns
    -------
    Severity or None
        The gravest, or None.
    """
    order = list(Severity)
    return max((issue.severity for issue in issues), key=order.index, default=None)
