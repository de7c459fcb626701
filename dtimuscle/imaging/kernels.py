"""Compiled kernels: how they are declared, and their compilation before anybody waits for it.

Each kernel says for which types it is compiled, is compiled once, and is found in numba's cache from then on. It is
compiled when it is first called, or by `compile_kernels`, which `make` and the first run call with a message. No kernel
starts threads of its own (`dtimuscle.threads` shares work out).
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from numba import njit

# Modules that hold kernels, each compiled on its own: a cached kernel is made anew when its own file changes, and in
# that file alone may stand what it calls.
MODULES = ("averaging_kernels", "motion_kernels", "mppca_kernels", "sub_voxel_shifts")

# Sums may be reordered for vector instructions, which a processor always does in the same way. Infinite and undefined
# values keep their meaning.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}

_declared: dict[str, list[tuple[Any, str]]] = {}


def kernel(signature: str) -> Callable[[Callable], Any]:
    """Declare a compiled function that the package calls with one set of types.

    Parameters
    ----------
    signature : str
        Types of arguments and result as numba writes them, `float32[::1](float32[:, ::1], int64)`.

    Returns
    -------
    callable
        Decorator.
    """

    def declare(function: Callable) -> Any:
        compiled = helper(function)
        _declared.setdefault(function.__module__.rpartition(".")[2], []).append((compiled, signature))
        return compiled

    return declare


def helper(function: Callable) -> Any:
    """Declare a compiled function that only kernels of the same module call.

    Parameters
    ----------
    function : callable
        In the part of Python that numba understands.

    Returns
    -------
    callable
        Compiled together with its callers.
    """
    return njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)(function)


def declared() -> Iterator[tuple[str, Any, str]]:
    """Yield each kernel's name, the kernel and its signature.

    Yields
    ------
    tuple of (str, callable, str)
        Module and name, the compiled function, and its types.
    """
    for module in MODULES:
        import_module(f"dtimuscle.imaging.{module}")
        for function, signature in _declared.get(module, ()):
            yield f"{module}.{function.py_func.__name__}", function, signature


def compile_kernels(on_compiled: Callable[[str], None] | None = None) -> int:
    """Compile all kernels, or find them in the cache.

    Parameters
    ----------
    on_compiled : callable, optional
        Called with each kernel's name when it is there.

    Returns
    -------
    int
        How many were not in the cache.
    """
    n_new = 0
    for name, function, signature in declared():
        function.compile(signature)
        n_new += sum(function.stats.cache_misses.values())
        if on_compiled:
            on_compiled(name)
    return n_new
