"""The page that lists what the scripts wrote."""

import re
from urllib.parse import unquote

import pytest
from PIL import Image

from docs.make_index import FIGURES, write_index
from image_utils.errors import InputError
from image_utils.web_page import write_page
from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path):
    """A checkout's figures: two of the listed, one that no script writes, a painting beside."""
    for name in ("visualization/gradcam.png", "visualization/class_visualization_iter_25.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "styles_images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "styles_images" / "starry_tubingen.png")
    (tmp_path / "visualization" / "notes.png").write_bytes(b"")
    return tmp_path / "visualization"


def test_lists_what_is_there_and_nothing_from_elsewhere(folder):
    page = write_index(folder).read_text()
    images = re.findall(r'src="([^"]*)"', page)
    assert images == ["gradcam.png", "class_visualization_iter_25.png", "../styles_images/starry_tubingen.png"]
    assert all((folder / unquote(image)).is_file() for image in images)
    assert "python gradcam.py" in page
    assert "http" not in page


def test_no_figures_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no figures yet"):
        write_index(tmp_path)


def test_titles_are_text(tmp_path):
    write_page(tmp_path / "page.html", "<b>", "<p>body</p>")
    assert "<h1>&lt;b&gt;</h1>\n<p>body</p>" in (tmp_path / "page.html").read_text()


def test_the_scripts_listed_are_there():
    assert all((ROOT / script).is_file() for script in FIGURES)
