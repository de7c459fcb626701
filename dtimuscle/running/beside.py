"""A process beside a notebook's own, for what takes long and what nobody waits for."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from joblib import Memory

from dtimuscle.running.pool import processes
from dtimuscle.threads import n_threads

Result = TypeVar("Result")

# How often somebody who waits is told so, in seconds.
TELL_SECONDS = 0.5


class Later(Generic[Result]):
    """What a function will have returned.

    Parameters
    ----------
    work : callable
        The function with its arguments.
    future : Future, optional
        Its work in another process; without one it is done here, when the result is asked for.
    """

    def __init__(self, work: Callable[[], Result], future: "Future[Result] | None" = None) -> None:
        self._work, self._future = work, future

    def result(self, tell: Callable[[], None] = lambda: None) -> Result:
        """Wait for the result.

        Parameters
        ----------
        tell : callable, optional
            Called again and again while somebody waits.

        Returns
        -------
        object
            What the function has returned.
        """
        if self._future is not None:
            try:
                while wait([self._future], timeout=TELL_SECONDS).not_done:
                    tell()
                return self._future.result()
            except BrokenProcessPool:
                # The other process died, perhaps for want of memory.
                pass
        return self._work()


class Beside:
    """One more process, which starts with its first work; on a single core there is none."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._executor: Executor | None = None

    def start(self, function: Callable[..., Result], *values: Any, **named: Any) -> Later[Result]:
        """Begin some work.

        Parameters
        ----------
        function : callable
            Importable by name.
        *values, **named : object
            What it is called with.

        Returns
        -------
        Later
            Its result, one day.
        """
        work = partial(function, *values, **named)
        if n_threads() == 1:
            return Later(work)
        if self._executor is None:
            self._executor = self._stack.enter_context(processes(1, 1))
        try:
            return Later(work, self._executor.submit(work))
        except BrokenProcessPool:
            return Later(work)

    def warm_up(self) -> None:
        """Let the process import what figures need, before anybody waits for one."""
        if n_threads() > 1:
            self.start(import_module, "dtimuscle.presentation.figures")

    def close(self) -> None:
        """Wait for what was begun, and let the process end."""
        self._stack.close()
        self._executor = None


def recall(folder: Path, function: Callable[..., Result], *values: Any, **named: Any) -> Result:
    """Return what a function returned when it was called with the same values before, or call it.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    function : callable
        Importable by name, without side effects.
    *values, **named : object
        What it is called with.

    Returns
    -------
    object
        What the function returns.
    """
    found: Result = Memory(folder, verbose=0).cache(function)(*values, **named)
    return found


@cache
def shared_process() -> Beside:
    """Return the one process beside this one that all its notebooks share."""
    return Beside()
