"""How many threads a computation may use, and work that is shared out among them.

The kernels and numpy release Python's lock, so that plain threads keep the cores busy. Work is cut into the same pieces
whatever the number of threads, and BLAS stays with one thread in each: no number depends on the machine's cores.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from threading import local
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

# The usual way to say from outside how many threads a program may use.
VARIABLE = "OMP_NUM_THREADS"

# Threads of this process, once they have been limited; and whether this thread is one of those that share work.
_limits: dict[str, int] = {}
_here = local()


def n_cores() -> int:
    """Count the cores that this process may use.

    Returns
    -------
    int
        At least 1; what a container or a scheduler grants, where the system tells.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(n: int) -> None:
    """Say how many threads this process may use from now on.

    Parameters
    ----------
    n : int
        At least 1.
    """
    _limits["n"] = max(1, n)


def n_threads() -> int:
    """Return how many threads this thread may share work with, itself included.

    Returns
    -------
    int
        1 within shared work; otherwise what `limit_threads` has said, or `OMP_NUM_THREADS`, or one for each core.
    """
    if getattr(_here, "shares", False):
        return 1
    asked = os.environ.get(VARIABLE, "")
    return _limits.get("n") or (int(asked) if asked.isdecimal() and int(asked) else n_cores())


def share_out(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Apply a function to each item, in as many threads as allowed.

    Parameters
    ----------
    function : callable
        Safe to be called from several threads; best one that releases Python's lock for most of its time.
    items : iterable
        What to work on; the same pieces whatever the number of threads.

    Returns
    -------
    list
        One result for each item, in order.
    """
    items = list(items)
    n = min(n_threads(), len(items))
    # Their number is said to the whole process: BLAS would start a team of its own in each thread otherwise.
    with one_blas_thread():
        if n <= 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(n, initializer=_share) as executor:
            return list(executor.map(function, items))


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread for a while: with several, rounding would depend on their number.

    Returns
    -------
    context manager
        For the whole process.
    """
    return _libraries().limit(limits=1, user_api="blas")


@cache
def _libraries() -> ThreadpoolController:
    # Looking for the libraries takes milliseconds; those of numpy and scipy must be there when it is done.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


def _share() -> None:
    _here.shares = True
