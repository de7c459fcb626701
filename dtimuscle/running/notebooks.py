"""Notebooks that run without anybody watching: papermill executes them, the executed copy is kept."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from traitlets import Unicode

from dtimuscle.errors import NotebookError
from dtimuscle.running.parameters import check_parameters, read_parameters
from dtimuscle.settings import Study
from dtimuscle.store import places
from dtimuscle.store.runs import Run

if TYPE_CHECKING:
    from nbformat import NotebookNode

# In the order of the flow; each reads what the one before has left.
NOTEBOOKS = ("01_preprocessing", "02_tensor_fitting", "03_roi_statistics", "04_modelling", "05_replication")


# Under this name papermill knows our way to execute.
ENGINE = "dtimuscle"

# A kernel on a busy machine may take so long to answer for the first time.
START_SECONDS = 120

# What most notebooks import; a kernel does so while the participants are still being worked on.
_HEAVY = "import dtimuscle.running.session, dtimuscle.presentation.figures"

# What a kernel does besides that executes several notebooks; the process beside it makes itself ready as well.
_IN_SERIES = "; dtimuscle.running.session.in_series = True; dtimuscle.running.beside.shared_process().warm_up()"

# jsonschema would take two seconds to build grammars of addresses, which no notebook asks it to check.
_SLOW_AND_UNUSED = "rfc3987_syntax"

# A clean namespace and cells that count from 1, in a kernel that has executed another notebook.
_FORGET = "get_ipython().reset(new_session=True)"


class SocketKernelManager(AsyncKernelManager):
    """Talks to its kernel through files instead of network ports, which runs in parallel may grab from each other."""

    transport = Unicode("tcp" if sys.platform == "win32" else "ipc")

    def _ip_default(self) -> str:
        # The files of every kernel would be called kernel-ipc-1 … in the notebooks' folder otherwise.
        name = f"dtimuscle-{uuid4().hex[:12]}"
        return str(Path(gettempdir()) / name) if self.transport == "ipc" else super()._ip_default()


class WarmKernel:
    """A kernel that executes one notebook after the other, each in a clean namespace.

    A kernel of its own costs each notebook some five seconds for start and imports.

    Parameters
    ----------
    in_series : bool, default=False
        Whether it executes several notebooks, for a caller who writes the pages at the end. Otherwise each notebook
        writes the pages of what it has shown.
    """

    def __init__(self, *, in_series: bool = False) -> None:
        self._preparation = _HEAVY + _IN_SERIES if in_series else _HEAVY
        self.manager = SocketKernelManager(kernel_name="python3")

    def __enter__(self) -> Self:
        """Start the kernel, which imports before it listens; nobody waits for that."""
        with _without_deprecations():
            run_sync(self.manager.start_kernel)(
                cwd=str(places.notebooks_folder()),
                extra_arguments=[f"--IPKernelApp.exec_lines={self._preparation}"],
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the kernel at once: it holds nothing that would have to be saved."""
        with _without_deprecations():
            run_sync(self.manager.shutdown_kernel)(now=True)

    def forget(self) -> None:
        """Forget all variables of the notebook before."""
        client = self.manager.blocking_client()
        client.start_channels()
        try:
            with _without_deprecations():
                client.wait_for_ready(timeout=START_SECONDS)
                client.execute(_FORGET, silent=True, store_history=False, reply=True)
        finally:
            client.stop_channels()


@contextmanager
def _without_deprecations() -> Iterator[None]:
    # papermill asks ipykernel and jupyter_client in ways that they have deprecated; no number depends on it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextmanager
def _without_grammars() -> Iterator[None]:
    # An entry of None is Python's own word for "not to be had"; jsonschema then does without.
    if {_SLOW_AND_UNUSED, "jsonschema"} & sys.modules.keys():
        yield
        return
    sys.modules[_SLOW_AND_UNUSED] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_SLOW_AND_UNUSED]


def notebook_path(notebook: str) -> Path:
    """Return the path of one of the kit's notebooks.

    Parameters
    ----------
    notebook : str
        Name without `.ipynb`.
    """
    return places.notebooks_folder() / f"{notebook}.ipynb"


def parameters_for(notebook: str, study: Study, run: Run) -> dict[str, Any]:
    """Choose from a study the values that a notebook's `parameters` cell asks for.

    Parameters
    ----------
    notebook : str
        Name without `.ipynb`.
    study : Study
        All settings.
    run : Run
        Where the results go.

    Returns
    -------
    dict
        Values for every parameter that is a setting, and the run's folder.
    """
    settings = study.model_dump(mode="json")
    leaves = {
        name: value for section in settings.values() if isinstance(section, dict) for name, value in section.items()
    }
    names = read_parameters(notebook_path(notebook))
    return {name: leaves[name] for name in names if name in leaves} | {"run_folder": str(run.folder)}


def execute(notebook: str, parameters: dict[str, Any], run: Run, *, kernel: WarmKernel | None = None) -> "NotebookNode":
    """Execute a notebook and keep the executed copy in the run's folder, also when it fails.

    Parameters
    ----------
    notebook : str
        Name without `.ipynb`.
    parameters : dict
        Values for its `parameters` cell.
    run : Run
        Where the executed notebook goes.
    kernel : WarmKernel, optional
        Which executes it; one of its own by default.

    Returns
    -------
    NotebookNode
        The executed notebook.

    Raises
    ------
    NotebookError
        If a parameter is unknown or of the wrong type, or a cell fails.
    """
    if kernel is not None:
        return _execute(notebook, parameters, run, kernel)
    with WarmKernel() as own:
        return _execute(notebook, parameters, run, own)


def _execute(notebook: str, parameters: dict[str, Any], run: Run, kernel: WarmKernel) -> "NotebookNode":
    source = notebook_path(notebook)
    check_parameters(source, parameters)
    output = run.notebook_file(notebook)
    output.parent.mkdir(parents=True, exist_ok=True)
    with _without_deprecations():
        # These take a second, in which the kernel makes itself ready; the pages need nbconvert.
        with _without_grammars():
            import nbconvert  # noqa: F401
            from papermill import PapermillExecutionError, execute_notebook
            from papermill.clientwrap import PapermillNotebookClient
            from papermill.engines import NBClientEngine, papermill_engines

        class WarmEngine(NBClientEngine):  # type: ignore[misc]
            """Executes in a kernel that is there already, and lets it live."""

            @classmethod
            def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> "NotebookNode":
                client = PapermillNotebookClient(nb_man, km=kernel.manager, kernel_name=kernel_name)
                try:
                    return client.execute()
                finally:
                    if client.kc is not None:
                        client.kc.stop_channels()

        papermill_engines.register(ENGINE, WarmEngine)
        kernel.forget()
        try:
            return execute_notebook(
                source,
                output,
                parameters,
                cwd=source.parent,
                kernel_name="python3",
                progress_bar=False,
                engine_name=ENGINE,
                # At the end, failed or not, instead of megabytes before and after each cell.
                request_save_on_cell_execute=False,
            )
        except PapermillExecutionError as error:
            what = str(error.evalue).strip() or error.ename
            raise NotebookError(
                f"{source.name}, cell {error.exec_count}: {what} (the executed notebook is {output})"
            ) from error
