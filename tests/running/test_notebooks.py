import sys
from pathlib import Path

import nbformat
import pytest

from dtimuscle.errors import NotebookError
from dtimuscle.running.notebooks import SocketKernelManager, execute
from dtimuscle.store import places
from dtimuscle.store.runs import Run

SOURCES = {
    "parameters": 'x: int = 1  # a number\nrun_folder: str = ""  # where results go',
    "answer": "y = 2 * x\ny",
}


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """Return a function that writes a notebook of its own in place of the kit's."""
    monkeypatch.setattr(places, "notebooks_folder", lambda: tmp_path / "notebooks")
    (tmp_path / "notebooks").mkdir()

    def write(**sources: str) -> Path:
        cells = [
            nbformat.v4.new_code_cell(source, metadata={"tags": [name]} if name == "parameters" else {})
            for name, source in (SOURCES | sources).items()
        ]
        path = tmp_path / "notebooks" / "short.ipynb"
        metadata = {"language_info": {"name": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    return write


@pytest.mark.slow
def test_given_values_replace_the_defaults_and_the_executed_copy_is_kept(notebooks, tmp_path):
    source = notebooks()
    before = source.read_bytes()
    run = Run(tmp_path / "run")
    executed = execute("short", {"x": 21}, run)
    assert executed.cells[-1].outputs[0]["data"]["text/plain"] == "42"
    kept = nbformat.read(run.notebook_file("short"), as_version=4)
    assert kept.cells[-1].outputs[0]["data"]["text/plain"] == "42"
    assert source.read_bytes() == before
    assert [path.name for path in source.parent.iterdir()] == ["short.ipynb"]


@pytest.mark.slow
def test_a_notebook_can_begin_work_in_another_process(notebooks, tmp_path):
    notebooks(
        answer="""import os
from dtimuscle.running import beside
beside.n_threads = lambda: 2
process = beside.Beside()
elsewhere = process.start(os.getpid).result()
process.close()
elsewhere != os.getpid()"""
    )
    executed = execute("short", {}, Run(tmp_path / "run"))
    assert executed.cells[-1].outputs[0]["data"]["text/plain"] == "True"


@pytest.mark.slow
def test_a_cell_that_fails_is_told_in_one_line_and_the_executed_copy_is_kept(notebooks, tmp_path):
    notebooks(answer="raise ValueError('no such muscle')")
    run = Run(tmp_path / "run")
    with pytest.raises(NotebookError) as caught:
        execute("short", {}, run)
    line = str(caught.value)
    assert line.startswith("short.ipynb, cell ")
    assert "no such muscle" in line
    assert str(run.notebook_file("short")) in line
    assert "Traceback" not in line
    kept = nbformat.read(run.notebook_file("short"), as_version=4)
    assert any(output["output_type"] == "error" for output in kept.cells[-1].outputs)


@pytest.mark.parametrize(
    ("parameters", "words"), [({"z": 1}, "unknown parameter 'z'"), ({"x": "1"}, "takes int, not '1'")]
)
def test_wrong_parameters_are_refused_before_anything_is_written(notebooks, tmp_path, parameters, words):
    notebooks()
    with pytest.raises(NotebookError, match=words):
        execute("short", parameters, Run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kernels talk through ports there")
def test_kernels_of_runs_in_parallel_share_no_socket_and_none_lies_in_the_tree():
    first, second = SocketKernelManager(), SocketKernelManager()
    assert first.transport == "ipc"
    assert first.ip != second.ip
    assert Path(first.ip).is_absolute()
    assert len(first.ip) < 95  # a socket's path has room for about a hundred characters
