"""How far a notebook's work is, on one line that updates itself."""

import time
from collections.abc import Callable

from IPython.display import DisplayHandle, Markdown, display

from dtimuscle.running.pool import left_in_words

# A calculation that is over before this many seconds shows nothing, so that quick cells stay clean.
QUIET_SECONDS = 2.0
# A line that changes more often than this, in seconds, only keeps the browser busy.
UPDATE_SECONDS = 0.25
# Cells of the bar.
BAR_CELLS = 20


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

    def say(self, line: str) -> None:
        """Show a line of its own below the cell.

        Parameters
        ----------
        line : str
            One line for a person.
        """
        display(Markdown(line))

    def finish(self) -> None:
        """Show how many there were."""
        self._line.update(Markdown(f"{self._what}: {self._done} of {self._total} computed"))


class Ticker:
    """One line below the cell for a calculation that takes a while; a quick one shows nothing.

    It is called with how much is done and how much there is, as the functions of `dtimuscle.statistics` do. Time
    counts from when it was made; the line then stays as a record. After its end it may tell of another round,
    whose time counts from its first call.

    Parameters
    ----------
    what : str
        What is calculated, such as `Bootstrap`.
    clock : callable, optional
        Returns the time in seconds.
    """

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._line: DisplayHandle | None = None
        self._told = clock()
        self._begun: float | None = self._told

    def __call__(self, done: int, total: int) -> None:
        """Tell how far the calculation is; `done == total` ends it.

        Parameters
        ----------
        done : int
            How much is done.
        total : int
            How much there is.
        """
        now = self._clock()
        self._begun = now if self._begun is None else self._begun
        seconds = now - self._begun
        if done >= total:
            if self._line:
                self._tell(f"{total} computed in {seconds:.0f} s", now)
            self._line, self._begun = None, None
        elif seconds >= QUIET_SECONDS and (self._line is None or now - self._told >= UPDATE_SECONDS):
            left = f", {left_in_words(seconds / done * (total - done))}" if done else ""
            self._tell(f"{_bar(done / total)} {done} of {total}{left}", now)

    def _tell(self, how_far: str, now: float) -> None:
        line = Markdown(f"{self._what}: {how_far}")
        if self._line:
            self._line.update(line)
        else:
            self._line = DisplayHandle()
            self._line.display(line)
        self._told = now


class Waiting:
    """One line below the cell while it waits for a calculation that was begun earlier; a short wait shows nothing.

    Parameters
    ----------
    what : str
        What is calculated, such as `Validation`.
    clock : callable, optional
        Returns the time in seconds.
    """

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._begun = clock()
        self._line: DisplayHandle | None = None

    def __call__(self) -> None:
        """Tell for how long the cell has waited."""
        seconds = self._clock() - self._begun
        if seconds < QUIET_SECONDS:
            return
        line = Markdown(f"{self._what}: waited for {seconds:.0f} s")
        if self._line:
            self._line.update(line)
        else:
            self._line = DisplayHandle()
            self._line.display(line)


def _bar(share: float) -> str:
    full = round(share * BAR_CELLS)
    return "▰" * full + "▱" * (BAR_CELLS - full)
