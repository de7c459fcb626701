import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.sigutils import normalize_signature

from dtimuscle.imaging import kernels

ROOT = Path(kernels.__file__).parents[2]

# In a process of its own: compile the smallest module beforehand, or not.
BEFOREHAND = """
from dtimuscle.imaging import kernels
print("sub_voxel_shifts" in kernels.uncompiled_modules(), kernels.compile_kernels(["sub_voxel_shifts"]))
"""
# In another one: call a kernel as the package does, and say whether it had to be compiled.
CALL = """
import numpy as np
from dtimuscle.imaging.sub_voxel_shifts import add_shift
rows, share = np.zeros((2, 40), dtype=np.float32), np.float32(0)
add_shift(rows, share, share, share, rows.copy(), rows.copy())
print(sum(add_shift.stats.cache_misses.values()))
"""


def run(code: str, cache: Path | str) -> list[str]:
    """Run code where numba keeps what it compiles in a folder of the test."""
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_every_module_with_kernels_is_compiled_beforehand():
    folder = Path(kernels.__file__).parent
    holding = {path.stem for path in folder.glob("*.py") if "\n@kernel(" in path.read_text(encoding="utf-8")}
    assert holding == set(kernels.MODULES)


def test_each_kernel_is_compiled_for_one_set_of_types_and_gives_what_it_declares():
    kernels.compile_kernels()
    names = []
    for name, function, types in kernels.declared():
        names.append(name)
        assert function.signatures == [types], name
    assert len(names) == len(set(names))
    for declared in kernels._declared.values():
        for function, signature in declared:
            ((types, result),) = ((list(key), made.signature.return_type) for key, made in function.overloads.items())
            assert (tuple(types), result) == normalize_signature(signature), function


def test_kernels_that_are_compiled_are_not_missing():
    kernels.compile_kernels()
    assert kernels.uncompiled_modules() == []


@pytest.mark.slow
def test_a_kernel_that_was_compiled_beforehand_is_not_compiled_when_it_is_called(tmp_path):
    assert run(BEFOREHAND, tmp_path) == ["True", "1"]
    assert run(BEFOREHAND, tmp_path) == ["False", "0"]
    assert run(CALL, tmp_path) == ["0"]


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same(monkeypatch):
    njit = kernels.njit

    def refuse(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(kernels, "njit", refuse)
    declare = kernels.helper(lambda x: x + 1)
    assert declare(1) == 2
    assert declare.stats.cache_path is None
