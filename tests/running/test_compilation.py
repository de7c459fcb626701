from dtimuscle.imaging import kernels
from dtimuscle.running import compilation


class Told:
    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


def test_kernels_that_are_there_are_not_spoken_of(monkeypatch):
    kernels.compile_kernels()
    monkeypatch.setitem(compilation._known, "are_there", False)
    told = Told()
    assert compilation.compile_missing(told) == 0
    assert told.said == []


def test_missing_kernels_are_compiled_with_a_word_and_looked_for_once(monkeypatch):
    monkeypatch.setitem(compilation._known, "are_there", False)
    monkeypatch.setattr(kernels, "uncompiled_modules", lambda: ["sub_voxel_shifts"])
    told = Told()
    assert compilation.compile_missing(told) == 1
    assert compilation.compile_missing(told) == 0
    (line,) = told.said
    assert "once" in line
