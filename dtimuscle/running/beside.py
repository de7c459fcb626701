"""A process beside a notebook's own, for what takes long and what nobody waits for."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
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
    others : sequence of Later, optional
        What else was begun: whoever waits does of it what the other process has not come to.
    """

    def __init__(
        self,
        work: Callable[[], Result],
        future: "Future[Result] | None" = None,
        others: "Sequence[Later[Any]]" = (),
    ) -> None:
        self._work, self._future, self._others = work, future, others

    @property
    def is_done(self) -> bool:
        """Whether the result is there."""
        return self._future is not None and self._future.done()

    def take_over(self) -> bool:
        """Do the work here, unless another process has come to it.

        Returns
        -------
        bool
            Whether it was done here.
        """
        if self._future is None or not self._future.cancel():
            return False
        self._future = Future()
        try:
            self._future.set_result(self._work())
        except Exception as error:
            # It belongs to whoever asks for this result.
            self._future.set_exception(error)
        return True

    def result(self, tell: Callable[[], None] = lambda: None) -> Result:
        """Wait for the result, and meanwhile do what nobody has begun.

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
            self.take_over()
            while not self._future.done() and any(other.take_over() for other in self._others):
                tell()
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
        self._feeder: Executor | None = None
        self._process: Executor | None = None
        self._begun: list[Later[Any]] = []

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
        if self._process is None or self._feeder is None:
            self._process = self._stack.enter_context(processes(1, 1))
            # Started here and now: Python looks at the main module for that, which a notebook may clear.
            self._process.submit(os.getpid)
            # A process is sent some work in advance, which could not be taken back.
            self._feeder = self._stack.enter_context(ThreadPoolExecutor(1))
        future = self._feeder.submit(_do_in, self._process, work)
        self._begun[:] = [begun for begun in self._begun if not begun.is_done]
        self._begun.append(Later(work, future, self._begun))
        return self._begun[-1]

    def warm_up(self) -> None:
        """Let the process import what figures need, before anybody waits for one."""
        if n_threads() > 1:
            self.start(import_module, "dtimuscle.presentation.figures")

    def close(self) -> None:
        """Wait for what was begun, and let the process end."""
        self._stack.close()
        self._feeder = self._process = None


def _do_in(process: Executor, work: Callable[[], Result]) -> Result:
    return process.submit(work).result()


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
