"""Compiled kernels: how they are declared, and their compilation before anybody waits for it.

Each kernel says for which types it is compiled, is compiled once, and is found in numba's cache from then on: beside
its module, in the user's own cache where that folder cannot be written, or where `NUMBA_CACHE_DIR` says. It is compiled
when it is first called, or by `compile_kernels`, which set-up and the first run call with a message. No kernel starts
threads of its own (`dtimuscle.threads` shares work out).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from numba import njit
from numba.core.sigutils import normalize_signature

# Modules that hold kernels, each compiled on its own: a cached kernel is made anew when its own file changes, and in
# that file alone may stand what it calls. Those that take longest come first, so that no core waits for them.
MODULES = ("mppca_kernels", "averaging_kernels", "motion_kernels", "sub_voxel_shifts")

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
    declare = partial(njit, nogil=True, error_model="numpy", fastmath=FASTMATH)
    try:
        return declare(cache=True)(function)
    except RuntimeError:
        # No folder for a cache can be written, so each process has to compile for itself.
        return declare()(function)


def declared(modules: Sequence[str] = ()) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Yield each kernel's name, the kernel and the types that it is called with.

    Parameters
    ----------
    modules : sequence of str, default=()
        Those whose kernels are wanted; all of `MODULES` by default.

    Yields
    ------
    tuple of (str, callable, tuple)
        Module and name, the compiled function, and the types of its arguments.
    """
    for module in modules or MODULES:
        import_module(f"dtimuscle.imaging.{module}")
        for function, signature in _declared.get(module, ()):
            # Types in the form in which a call looks for them in the cache, without that of the result.
            yield f"{module}.{function.py_func.__name__}", function, tuple(normalize_signature(signature)[0])


def uncompiled_modules() -> list[str]:
    """Name the modules that hold kernels which could be in the cache and are not.

    Returns
    -------
    list of str
        Some of `MODULES`, in their order; none where no cache can be written.
    """
    missing = (
        name.partition(".")[0]
        for name, function, types in declared()
        if types not in function.overloads
        and function.stats.cache_path is not None
        # numba has no public way to ask.
        and function._cache.load_overload(types, function.targetctx) is None
    )
    return list(dict.fromkeys(missing))


def compile_kernels(modules: Sequence[str] = ()) -> int:
    """Compile kernels, or find them in the cache.

    Parameters
    ----------
    modules : sequence of str, default=()
        Those whose kernels are wanted; all of `MODULES` by default.

    Returns
    -------
    int
        How many were not in the cache.
    """
    n_new = 0
    for _, function, types in declared(modules):
        function.compile(types)
        n_new += sum(function.stats.cache_misses.values())
    return n_new
