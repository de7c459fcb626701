"""Notebooks that run without anybody watching: papermill executes them, the executed copy is kept."""

import sys
import warnings
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_client.manager import AsyncKernelManager
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


class SocketKernelManager(AsyncKernelManager):
    """Talks to its kernel through files instead of network ports, which runs in parallel may grab from each other."""

    transport = Unicode("tcp" if sys.platform == "win32" else "ipc")

    def _ip_default(self) -> str:
        # The files of every kernel would be called kernel-ipc-1 … in the notebooks' folder otherwise.
        name = f"dtimuscle-{uuid4().hex[:12]}"
        return str(Path(gettempdir()) / name) if self.transport == "ipc" else super()._ip_default()


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


def execute(notebook: str, parameters: dict[str, Any], run: Run) -> "NotebookNode":
    """Execute a notebook and keep the executed copy in the run's folder, also when it fails.

    Parameters
    ----------
    notebook : str
        Name without `.ipynb`.
    parameters : dict
        Values for its `parameters` cell.
    run : Run
        Where the executed notebook goes.

    Returns
    -------
    NotebookNode
        The executed notebook.

    Raises
    ------
    NotebookError
        If a parameter is unknown or of the wrong type, or a cell fails.
    """
    source = notebook_path(notebook)
    check_parameters(source, parameters)
    output = run.notebook_file(notebook)
    output.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # papermill asks ipykernel and jupyter_client in ways that they have deprecated; no number depends on it.
        warnings.simplefilter("ignore", DeprecationWarning)
        from papermill import PapermillExecutionError, execute_notebook

        try:
            return execute_notebook(
                source,
                output,
                parameters,
                cwd=source.parent,
                kernel_name="python3",
                progress_bar=False,
                kernel_manager_class=SocketKernelManager,
            )
        except PapermillExecutionError as error:
            what = str(error.evalue).strip() or error.ename
            raise NotebookError(
                f"{source.name}, cell {error.exec_count}: {what} (the executed notebook is {output})"
            ) from error
