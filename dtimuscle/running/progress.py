"""How far a notebook's work is, on one line that updates itself."""

import time

from IPython.display import DisplayHandle, Markdown

from dtimuscle.running.pool import left_in_words


class NotebookProgress:
    """One line below the cell; it stays as a record of what was computed."""

    def __init__(self) -> None:
        self._line = DisplayHandle()
        self._what, self._total, self._done, self._begun = "", 0, 0, 0.0

    def start(self, what: str, total: int) -> None:
        """Show that work begins.

        Parameters
        ----------
        what : str
            Whom the work is about.
        total : int
            How many there are.
        """
        self._what, self._total, self._done, self._begun = what, total, 0, time.monotonic()
        self._line = DisplayHandle()
        self._line.display(Markdown(f"{what}: 0 of {total}"))

    def advance(self, name: str) -> None:
        """Show that one more is done.

        Parameters
        ----------
        name : str
            Who is done.
        """
        self._done += 1
        left = (time.monotonic() - self._begun) / self._done * (self._total - self._done)
        self._line.update(Markdown(f"{self._what}: {self._done} of {self._total} ({name}), {left_in_words(left)}"))

    def note(self, line: str) -> None:
        """Leave a problem to the issues of the run, which the pages show.

        Parameters
        ----------
        line : str
            One line for a person.
        """

    def finish(self) -> None:
        """Show how many there were."""
        self._line.update(Markdown(f"{self._what}: {self._done} of {self._total} computed"))
