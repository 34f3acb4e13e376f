"""The notebook: executed from its first cell to its last in a fresh process, and what its checks print."""

import re
import subprocess
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course.collect.outline import Finding
from image_utils.errors import InputError

SECONDS = 600  # for one cell
CHECKS = ("Content Loss Maximum error", "Gram Matrix Maximum error", "Style Loss Error", "TV Loss Error")


def execute(path):
    """Run a notebook in its own folder; the file stays as it is.

    A cell that raises ends the run, and its error is among the outputs.

    Args:
        path: the notebook.

    Returns:
        NotebookNode with the outputs.

    Raises:
        InputError: no such file, or not a notebook.
    """
    path = Path(path)
    try:
        notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise InputError(f"'{path.name}' is missing; take it from the handout again") from None
    except (OSError, ValueError, nbformat.ValidationError) as problem:
        raise InputError(f"'{path.name}' cannot be read as a notebook: {problem}") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    try:
        run_cells(notebook, path.parent)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as problem:
        notebook.metadata["stopped"] = _last_line(str(problem))
    return notebook


def run_cells(notebook, folder):
    """Run a NotebookNode in a folder, in a fresh process; its outputs are written into it.

    Raises:
        CellExecutionError, CellTimeoutError, DeadKernelError: of nbclient.
    """
    client = NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}})
    client.execute(stderr=subprocess.DEVNULL)  # the kernel's own; what a cell writes there is an output


def errors_printed(notebook):
    """Return the errors that the loss checks print: dict from the check's name to text such as "0.000"."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    return dict(re.findall(r"^(.+?) is (\S+)$", printed, re.MULTILINE))


def check_findings(notebook, file):
    """List what is wrong with an executed notebook: Findings."""
    found = []
    if "stopped" in notebook.metadata:
        found.append(Finding(file, 0, f"stops before its end: {notebook.metadata['stopped']}"))
    errors = errors_printed(notebook)
    for check in CHECKS:
        if check not in errors:
            found.append(
                Finding(file, 0, f"does not print '{check}'; it must run from its first cell to its last")
            )
        elif errors[check] != "0.000":
            found.append(Finding(file, 0, f"'{check}' is {errors[check]}, not 0.000; mend the loss and run again"))
    return found


def _last_line(text):
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return next((line.strip() for line in reversed(plain.splitlines()) if line.strip()), "no reason given")
