"""The mistakes made on purpose: the page shows them as they are, and the command shows a difference."""

import importlib
import re

import numpy as np
import pytest
from PIL import Image

from course import broken
from course.breaks import BREAKS, find_break
from docs.make_broken import section
from image_utils.errors import InputError
from tests.conftest import ROOT


def test_there_are_a_dozen_and_each_names_a_test_that_exists():
    assert len(BREAKS) >= 12
    for mistake in BREAKS:
        file, _, test = mistake.test.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE), mistake.test


def test_the_page_shows_each_as_it_is_and_its_picture():
    page = (ROOT / "docs" / "broken.md").read_text()
    for number, mistake in enumerate(BREAKS, 1):
        assert section(number, mistake) in page  # renew it by: python -m docs.make_broken
        assert (ROOT / "docs" / "broken" / f"{mistake.name}.jpg").is_file()


def test_a_mutant_runs_beside_the_solution():
    mistake = find_break("relu_plain")
    right = mistake.shows(broken.solution())
    wrong = mistake.shows(broken.solution(broken.mutant(mistake.name)))
    assert np.abs(right.picture - wrong.picture).mean() > 0.01
    again = mistake.shows(broken.solution())  # the mutant has not changed the solution
    np.testing.assert_allclose(again.picture, right.picture, atol=1e-3)


def test_the_command_writes_both_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["break", "relu_deconvnet", "--out", str(tmp_path)])
    importlib.import_module("course.break").main()
    assert Image.open(tmp_path / "broken_relu_deconvnet.png").width > 400
    said = capsys.readouterr().err
    assert "dout.clamp(min=0)" in said and "exposed by tests/" in said


def test_an_unknown_mistake_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="relu_plain"):
        find_break("nonsense")
