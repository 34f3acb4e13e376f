"""Execute docs/tour.ipynb and keep its outputs, pictures as small JPEGs: python -m docs.make_tour."""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

from course.writeup.notebook import run_cells
from image_utils.writing import whole_file

TOUR = Path(__file__).with_name("tour.ipynb")
WIDTH, QUALITY = 1000, 80  # of the pictures, pixels and JPEG's scale


def execute(path=TOUR, changes=()):
    """Run the tour from its first cell to its last in a fresh process.

    Args:
        path: the notebook.
        changes: pairs (text, other text), put into its cells before they run.

    Returns:
        NotebookNode with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    for old, new in changes:
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)
    run_cells(notebook, path.parent)
    return notebook


def shrink(notebook):
    """Turn the outputs' PNGs into small JPEGs, and drop what changes from run to run; in place."""
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count, cell.metadata = number, {}
        printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        cell.outputs = [output for output in cell.outputs if output.output_type != "stream"]
        if printed:
            cell.outputs.insert(0, nbformat.v4.new_output("stream", name="stdout", text=printed))
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            data = output.get("data", {})
            if "image/png" in data:
                output.data = {"image/jpeg": _jpeg(data["image/png"]), "text/plain": "picture"}
                output.metadata = {}
            elif "text/markdown" in data:
                output.data = {"text/markdown": data["text/markdown"], "text/plain": "code"}
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}


def _jpeg(png):
    img = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    img.thumbnail((WIDTH, WIDTH), Image.LANCZOS)
    data = io.BytesIO()
    img.save(data, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(data.getvalue()).decode()


def main():
    """Execute, shrink, write."""
    notebook = execute()
    shrink(notebook)
    with whole_file(TOUR) as temporary:
        nbformat.write(notebook, temporary)


if __name__ == "__main__":
    main()
