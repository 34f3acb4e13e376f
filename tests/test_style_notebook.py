"""The notebook runs as it is committed, prints 0.000, and notices a broken loss."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "test_style_transfer.ipynb"
NAMES = ["Content Loss Maximum error", "Gram Matrix Maximum error", "Style Loss Error", "TV Loss Error"]
BROKEN = """
class ContentLoss(ContentLoss):
    def forward(self, content_weight, content_current, content_original):  # no weight
        return ((content_current - content_original) ** 2).sum()

class StyleLoss(StyleLoss):
    def gram_matrix(self, features, normalize=True):  # not normalised
        return super().gram_matrix(features, normalize=False)

class TotalVariationLoss(TotalVariationLoss):
    def forward(self, img, tv_weight):  # one direction
        return tv_weight * ((img[..., 1:] - img[..., :-1]) ** 2).sum()
"""


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook):
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(ROOT)}}).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def errors_printed(outputs):
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    return re.findall(r"^(.+) is (\d+\.\d{3})$", printed, re.MULTILINE)


def test_is_committed_without_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == 7
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_prints_zero_errors_and_shows_an_image(notebook):
    outputs = execute(notebook)
    assert errors_printed(outputs) == [(name, "0.000") for name in NAMES]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_notices_broken_losses(notebook):
    imports = next(i for i, cell in enumerate(notebook.cells) if "from style_modules import" in cell.source)
    notebook.cells.insert(imports + 1, nbformat.v4.new_code_cell(BROKEN))
    notebook.cells = [cell for cell in notebook.cells if "style_transfer(" not in cell.source]
    found = errors_printed(execute(notebook))
    assert [name for name, _ in found] == NAMES
    assert all(float(error) > 0.1 for _, error in found)


CALL = """
params["steps"] = 2
style_transfer(**params, out={out!r})
"""


def test_style_transfer_shows_its_pictures(notebook, tmp_path):
    notebook.cells = [cell for cell in notebook.cells if "_test(" not in cell.source]
    last = next(
        i for i, cell in enumerate(notebook.cells) if "style_transfer(" in cell.source and "params" in cell.source
    )
    setting = notebook.cells[last].source.partition("img = ")[0]
    notebook.cells[last].source = setting + CALL.format(out=str(tmp_path))
    shown = [output for output in execute(notebook) if "image/png" in output.get("data", {})]
    assert len(shown) == 2  # the sources, the result
    assert {file.name for file in tmp_path.iterdir()} == {"notebook.png", "notebook_before.png"}
