"""fooling_image.py as a person runs it."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.scripts import assert_refused, call

WRITTEN = ["fooling_image.png", "fooling_image_exact.json", "fooling_image_exact.png"]


@pytest.mark.parametrize("method", ["course", "minimal"])
def test_writes_figure_image_and_card(tmp_path, method):
    status, out, _ = call("fooling_image", "--num", 1, "--method", method, "--out", tmp_path)
    assert (status, out) == (0, "")
    assert sorted(file.name for file in tmp_path.iterdir()) == WRITTEN
    card = json.loads((tmp_path / "fooling_image_exact.json").read_text())
    assert card["fools"] and card["target"]["class"] == 6
    assert (
        card["seen in"]["fooling image"]["name"] == card["target"]["name"] != card["seen in"]["photograph"]["name"]
    )
    with Image.open(tmp_path / "fooling_image_exact.png") as image:
        assert image.size == (224, 224) and image.mode == "RGB"
    status, out, _ = call(
        "fooling_image", "--verify", tmp_path / "fooling_image_exact.png", "--out", tmp_path / "new"
    )
    assert status == 0 and card["target"]["name"] in out.splitlines()[1]
    assert not (tmp_path / "new").exists()


def test_own_picture_and_class_by_name(tmp_path):
    y, x = np.mgrid[0:60, 0:90]
    Image.fromarray(np.stack([x * 2, y * 4, 255 - x], axis=2).astype(np.uint8)).save(tmp_path / "own.png")
    arguments = ("--images", tmp_path / "own.png", "--target", "gorilla", "--out", tmp_path / "out")
    assert call("fooling_image", *arguments)[0] == 0
    assert json.loads((tmp_path / "out" / "fooling_image_exact.json").read_text())["target"]["class"] == 366


def test_comparison(tmp_path, monkeypatch):
    import fooling_image

    monkeypatch.setattr(fooling_image, "DDN_STEPS", 20)
    assert call("fooling_image", "--compare", 1, "--out", tmp_path)[0] == 0
    table = (tmp_path / "fooling_comparison.md").read_text()
    assert table.count("\n| ") == 4 and "Foolbox DDN" in table


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--target", "1000"], "1000"),
        (["--target", "gorila"], "gorilla"),
        (["--index", "5"], "--index"),
        (["--index", "-1"], "--index"),
        (["--method", "magic"], "--method"),
        (["--verify", "missing.png"], "missing.png"),
        (["--compare", "0"], "--compare"),
        (["--compare", "101"], "--compare"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, word):
    assert_refused("fooling_image", *arguments, "--out", tmp_path / "out", word=word)
    assert not (tmp_path / "out").exists()
