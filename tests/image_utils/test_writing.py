"""Files appear whole or not at all; figures leave matplotlib alone."""

import json
import stat
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.writing import save_figure, save_image, save_json, whole_file
from tests.conftest import ROOT


def test_moves_the_file_into_place(tmp_path):
    with whole_file(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) & 0o400
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_is_written_beside_its_target_under_the_same_ending(tmp_path):
    with whole_file(tmp_path / "a.picture.png") as temporary:
        assert temporary.parent == tmp_path  # moving across disks would not be one step
        assert temporary.suffix == ".png" and temporary.name.startswith(".")
        temporary.write_text("whole")


@pytest.mark.parametrize("umask", [0o027, 0o077, 0o002])
def test_files_get_the_permissions_that_the_user_gives_files(tmp_path, umask):
    code = (
        "import os, sys; from image_utils.writing import whole_file\n"
        "with whole_file(sys.argv[1]) as temporary: temporary.write_text('a')\n"
        "assert os.umask(0) == int(sys.argv[2])"
    )
    file = tmp_path / "a.txt"
    subprocess.run([sys.executable, "-c", code, str(file), str(umask)], cwd=ROOT, check=True, umask=umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error), whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_unwritable_places_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder", tmp_path / ("x" * 300 + ".png")):
        with pytest.raises(InputError, match="cannot write"):
            save_image(Image.new("RGB", (2, 2)), path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_json_refuses_what_is_no_number(tmp_path):
    save_json({"a": 1.5, "name": "crème"}, tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text()) == {"a": 1.5, "name": "crème"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json({"a": float("nan")}, tmp_path / "bad.json")
    assert not (tmp_path / "bad.json").exists()


def test_figures_leave_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    figure = image_grid([[np.zeros((4, 6, 3))], [np.ones((4, 6))]], column_titles=["a"], row_titles=["b", "c"])
    save_figure(figure, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys; from pathlib import Path; from image_utils.figures import image_grid;"
        "from image_utils.writing import save_figure; import numpy as np;"
        "save_figure(image_grid([[np.zeros((4, 4))]]), Path(sys.argv[1]));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.png")], cwd=ROOT, check=True)


def test_same_figure_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        save_figure(image_grid([[np.eye(5), None]], column_titles=["x", "y"], caption="c"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_grid_keeps_aspect_ratio_and_wraps_titles():
    figure = image_grid(
        [[np.zeros((10, 30))] * 2, [np.zeros((10, 30))] * 2], column_titles=["a very long name of a class, indeed"]
    )
    assert isinstance(figure, Figure)
    assert "\n" in figure.axes[0].get_title()
    width, height = figure.get_size_inches()
    assert width / height == pytest.approx(3)
