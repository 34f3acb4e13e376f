"""The tour: its cells run, print what the committed outputs print, and the text quotes these numbers."""

import re

import nbformat
import pytest

from docs.make_tour import TOUR, execute
from docs.showing import source
from style_modules import ContentLoss

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
QUOTED = re.compile(r"\*\*(-?[\d.,]+%?)\*\*")  # numbers in bold
PAINT_SMALL = ("SIZE = 128", "SIZE = 48")  # no number depends on it, and it saves half of the time
RELATIVE, ABSOLUTE = 0.1, 0.02  # what rounding, amplified by an ascent, may change; percentages are divided by 100


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def fresh():
    return execute(changes=[PAINT_SMALL])


def printed(cell):
    return "".join(output.text for output in cell.get("outputs", ()) if output.get("name") == "stdout")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_is_committed_with_outputs_as_small_pictures(committed):
    assert [cell.execution_count for cell in code(committed)] == list(range(1, len(code(committed)) + 1))
    kinds = [kind for cell in code(committed) for output in cell.outputs for kind in output.get("data", {})]
    assert kinds.count("image/jpeg") >= 10 and "image/png" not in kinds
    assert TOUR.stat().st_size < 3e6


def test_the_paintings_have_a_size_to_change(committed):
    assert sum(PAINT_SMALL[0] in cell.source for cell in committed.cells) == 1


def test_numbers_in_the_text_are_printed_by_the_cells(committed):
    everything = "\n".join(map(printed, code(committed)))
    quoted = [
        number
        for cell in committed.cells
        if cell.cell_type == "markdown"
        for number in QUOTED.findall(cell.source)
    ]
    assert len(quoted) >= 10
    for number in quoted:
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", everything), number


def test_the_cells_print_what_is_committed(committed, fresh):
    for before, now in zip(code(committed), code(fresh), strict=True):
        assert NUMBER.sub("#", printed(before)) == NUMBER.sub("#", printed(now))
        for a, b in zip(NUMBER.findall(printed(before)), NUMBER.findall(printed(now)), strict=True):
            scale = 100 if "%" in printed(before) else 1
            assert float(b) == pytest.approx(float(a), rel=RELATIVE, abs=ABSOLUTE * scale), printed(now)


def test_the_code_shown_is_the_source(committed, fresh):
    def shown(notebook):
        return [output.data["text/markdown"] for cell in code(notebook) for output in cell.outputs
                if "text/markdown" in output.get("data", {})]  # fmt: skip

    assert len(shown(fresh)) >= 6
    assert shown(committed) == shown(fresh)  # renew it by: make docs


def test_source_leaves_out_docstrings_and_markers():
    text = source(ContentLoss.forward)
    assert text.startswith("def forward(") and ".square().sum()" in text
    assert "Solution" not in text and '"""' not in text
