"""Work that is done for each participant, several at a time."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import Protocol, TypeVar

from threadpoolctl import threadpool_limits

from dtimuscle.threads import limit_threads, n_cores, n_threads

# What numerical libraries ask for their number of threads when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """What is told of work as it goes on."""

    def start(self, what: str, total: int) -> None:
        """Say that `total` participants are about to be worked on.

        Parameters
        ----------
        what : str
            What is worked on.
        total : int
            How many there are.
        """

    def advance(self, name: str) -> None:
        """Say that one participant is done.

        Parameters
        ----------
        name : str
            Who is done.
        """

    def note(self, line: str) -> None:
        """Tell of a problem in one line.

        Parameters
        ----------
        line : str
            One line for a person.
        """

    def say(self, line: str) -> None:
        """Tell something that is no problem in one line.

        Parameters
        ----------
        line : str
            One line for a person.
        """

    def finish(self) -> None:
        """Say that the work is over."""


class Silent:
    """Progress that nobody watches."""

    def start(self, what: str, total: int) -> None:
        """Ignore the start.

        Parameters
        ----------
        what : str
            What is worked on.
        total : int
            How many there are.
        """

    def advance(self, name: str) -> None:
        """Ignore a step.

        Parameters
        ----------
        name : str
            Who is done.
        """

    def note(self, line: str) -> None:
        """Ignore a problem.

        Parameters
        ----------
        line : str
            One line for a person.
        """

    def say(self, line: str) -> None:
        """Ignore a line.

        Parameters
        ----------
        line : str
            One line for a person.
        """

    def finish(self) -> None:
        """Ignore the end."""


def left_in_words(seconds: float) -> str:
    """Say how long something will still take.

    Parameters
    ----------
    seconds : float
        Time left.

    Returns
    -------
    str
        In minutes, or in seconds below two minutes.
    """
    return f"about {seconds / 60:.0f} min left" if seconds > 120 else f"about {seconds:.0f} s left"


def n_workers(asked: int, n_items: int) -> int:
    """Return how many processes to use: as many as asked (0: one for each core), never more than items.

    Parameters
    ----------
    asked : int
        Processes that were asked for; 0 for one for each core.
    n_items : int
        How many items there are.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, min(asked or n_cores(), n_items))


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    on_done: Callable[[Result], None],
    on_lost: Callable[[Item], Result],
) -> list[Result]:
    """Apply a function to each item in its own process and return the results in the items' order.

    Processes are spawned, not forked: a fork would copy threads of BLAS in the middle of their work. They share the
    threads that this process may use among themselves (`dtimuscle.threads`): one each where there are as many items as
    cores, more where there are few. BLAS has one in each.

    Parameters
    ----------
    function : callable
        Importable by name; turns an item into a result and does not raise.
    items : sequence
        What to work on.
    workers : int
        Processes; 0 for one per core. A single one works in this process, with all its threads.
    on_done : callable
        Called with each result as it comes in.
    on_lost : callable
        Turns an item whose process died (e.g. for want of memory) into a result.

    Returns
    -------
    list
        One result for each item.
    """
    n = n_workers(workers, len(items))
    if n == 1:
        results = []
        with threadpool_limits(1):
            for item in items:
                results.append(function(item))
                on_done(results[-1])
        return results
    found: dict[int, Result] = {}
    waiting = list(range(len(items)))
    while waiting:
        for index, result in _in_parallel(function, items, waiting, n):
            found[index] = result
            on_done(result)
        # A process that died takes its pool along. The culprit was among those being worked on, the first that are
        # left; each of them gets a process of its own, the others a new pool.
        waiting = [index for index in waiting if index not in found]
        for index in waiting[:n]:
            found[index] = _alone(function, items[index], on_lost)
            on_done(found[index])
        waiting = waiting[n:]
    return [found[index] for index in range(len(items))]


def _in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], waiting: Sequence[int], n: int
) -> Iterator[tuple[int, Result]]:
    """Yield results as they come in, until all are there or a process has died."""
    with processes(n, max(1, n_threads() // n)) as executor:
        try:
            futures = {executor.submit(function, items[index]): index for index in waiting}
        except BrokenProcessPool:
            return
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                continue


def _alone(function: Callable[[Item], Result], item: Item, on_lost: Callable[[Item], Result]) -> Result:
    with processes(1, n_threads()) as executor:
        try:
            return executor.submit(function, item).result()
        except BrokenProcessPool:
            return on_lost(item)


@contextmanager
def processes(n: int, n_threads_each: int) -> Iterator[Executor]:
    """Start processes that end with this one, however it ends.

    Parameters
    ----------
    n : int
        How many.
    n_threads_each : int
        Threads that each of them may use.

    Yields
    ------
    Executor
        Takes work; at the end it is waited for.
    """
    # Python asks for it when it spawns; a notebook whose variables were reset has lost it.
    vars(sys.modules["__main__"]).setdefault("__spec__", None)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n, mp_context=context, initializer=_begin, initargs=(n_threads_each,)) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(n: int) -> None:
    # A spawned process loads its numerical libraries after this, and they ask the environment.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)
    limit_threads(n)


def _end_with_parent() -> None:
    """Wait until the process that started this one is gone: killed, it cannot say that there is no more work."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
