"""Where FOLDER and OUT may lie, and what may lie beside a run."""

import shutil

import pytest

pytest.importorskip("pyarrow")

from explain.listing import walk
from tests.explain.commands import assert_refused, explain
from tests.explain.folders import make_folder

SMALL = ("--batch-size", 4, "--shard-size", 8, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("photographs")
    make_folder(place, 4)
    return place


def test_hidden_files_of_others_stay(folder, tmp_path):
    out = tmp_path / "out"
    (out / ".Trash-1000").mkdir(parents=True)
    (out / ".pre-commit-config.yaml").write_text("theirs")
    (out / ".run-abc.json").write_text("left by a killed writer")
    assert explain(folder, "--out", out, "--methods", "saliency", "--limit", 2, *SMALL)[0] == 0
    assert (out / ".Trash-1000").is_dir() and (out / ".pre-commit-config.yaml").read_text() == "theirs"
    assert not (out / ".run-abc.json").exists()


def test_a_run_beside_another_does_not_explain_its_pictures(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "in")
    arguments = (tmp_path / "in", "--methods", "saliency", "--limit", 2, *SMALL)
    assert explain(*arguments, "--out", tmp_path / "in" / "a")[0] == 0
    listed = [path for path, _ in walk(tmp_path / "in", without=tmp_path / "in" / "b")]
    assert not [path for path in listed if path.startswith("a/")]
    assert explain(*arguments, "--out", tmp_path / "in" / "b")[0] == 0
    assert "done before" in explain(*arguments, "--out", tmp_path / "in" / "a")[2]


@pytest.mark.parametrize("where", ["folder", "out"])
def test_places_that_cannot_be_reached(folder, tmp_path, where):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for place in (loop, tmp_path / ("a" * 300)):
        paths = (place, "--out", tmp_path / "out") if where == "folder" else (folder, "--out", place / "out")
        assert_refused(*paths, *SMALL, word=str(place))
