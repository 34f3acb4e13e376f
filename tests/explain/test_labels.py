"""Labels from tables, folders and the network."""

import pytest

from explain.labels import TOP1, finder, label_source
from image_utils.errors import InputError

NAMES = ["tench", "great white shark", "crane", "crane"]


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "sub/b.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("text", "label"),
    [("1", 1), (" 0 ", 0), ("tench", 0), ("Great_White  Shark", 1), ("great white shark", 1), ("0000000001", 1)],
)
def test_numbers_and_names(text, label):
    assert finder(NAMES)(text) == label


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("4", "from 0 to 3"),
        ("-1", "from 0 to 3"),
        ("-+1", "no class"),
        ("9" * 5000, "no class"),
        ("cat", "no class"),
        ("", "no class"),
        ("crane", r"crane \(2\), crane \(3\)"),
    ],
)
def test_texts_that_are_not_a_label(text, word):
    with pytest.raises(InputError, match=word):
        finder(NAMES)(text)


def test_top1_is_left_to_the_network(folder):
    assert label_source("top1", folder, NAMES)("a.jpg") == TOP1


@pytest.mark.parametrize("head", ["", "path,label\n", "Path, Label\n", "\ufeffpath,label,who\n"])
def test_a_table(folder, tmp_path, head):
    (tmp_path / "t.csv").write_text(head + 'a.jpg,1\n"./sub/b.jpg",Tench\n\n', encoding="utf-8")
    labels = label_source(str(tmp_path / "t.csv"), folder, NAMES)
    assert (labels("a.jpg"), labels("sub/b.jpg")) == (1, 0)
    assert labels("c.jpg") == "it has no label in t.csv"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("a.jpg,9\n", "line 1: there is no class 9"),
        ("a.jpg,1\nb.jpg\n", "line 2: needed"),
        ("x/y.jpg,1\n", "none of its paths, such as 'x/y.jpg'"),
        ("", "none of its paths"),
        ("path,label\na.jpg,elk\n", "line 2: no class is called 'elk'"),
        ("path,name\na.jpg,1\n", "line 1: no class is called 'name'"),
        ("a.jpg,1\npath,label\n", "line 2: no class is called 'label'"),
    ],
)
def test_bad_tables(folder, tmp_path, content, word):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=word):
        label_source(str(tmp_path / "t.csv"), folder, NAMES)


def test_a_table_that_is_none(folder, tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    for name, word in (
        ("nowhere.csv", "does not exist"),
        ("binary.csv", "cannot be read"),
        ("in", "cannot be read"),
    ):
        with pytest.raises(InputError, match=word):
            label_source(str(tmp_path / name), folder, NAMES)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["0", "3"], {"0": 0, "3": 3}),
        (["Tench", "great_white_shark"], {"Tench": 0, "great_white_shark": 1}),
        (["n01", "n02", "n03", "n04"], {"n01": 0, "n02": 1, "n03": 2, "n04": 3}),
    ],
)
def test_folders(tmp_path, folders, expected):
    for name in [*folders, "out", ".hidden"]:
        (tmp_path / name).mkdir()
    labels = label_source("from-folder", tmp_path, NAMES, without=tmp_path / "out")
    assert {name: labels(f"{name}/deep/x.jpg") for name in folders} == expected
    assert labels("x.jpg") == "it lies in no folder that names a class"


def test_folders_that_are_no_classes(tmp_path):
    with pytest.raises(InputError, match="holds no folders"):
        label_source("from-folder", tmp_path, NAMES)
    for name in ("n01", "n02"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"no class is called 'n01'.*; and 2 folders are not the 4 classes"):
        label_source("from-folder", tmp_path, NAMES)
