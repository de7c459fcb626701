from pathlib import Path

from dtimuscle.imaging import kernels


def test_every_module_with_kernels_is_compiled_beforehand():
    folder = Path(kernels.__file__).parent
    holding = {path.stem for path in folder.glob("*.py") if "\n@kernel(" in path.read_text(encoding="utf-8")}
    assert holding == set(kernels.MODULES)


def test_kernels_are_found_in_the_cache_once_they_are_compiled():
    names = []
    kernels.compile_kernels(names.append)
    assert len(names) == len(set(names)) == sum(1 for _ in kernels.declared())
    for _, function, signature in kernels.declared():
        assert len(function.signatures) == 1, signature
