"""Finding classes as a person writes them."""

import pytest

from data.labels import find_class, names_for
from data.samples import imagenet_class_names
from image_utils.errors import InputError

NAMES = imagenet_class_names()
COURSE = {134: "crane", 366: "gorilla, Gorilla gorilla", 517: "crane", 638: "maillot", 639: "maillot, tank suit"}


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("366", 366),
        (366, 366),
        (" 76 ", 76),
        ("gorilla", 366),
        ("Yorkshire Terrier", 187),
        ("yorkshire_terrier", 187),
        ("crane", 517),
        ("crane bird", 134),
        ("MAILLOT", 638),
        ("Cardigan", 264),
        ("cardigan", 474),
        ("maillot tank suit", 639),
    ],
)
def test_finds(text, index):
    assert find_class(text, NAMES) == index


def test_every_name_finds_its_class():
    assert all(find_class(name, NAMES) == index for index, name in NAMES.items())


def test_synonyms_and_shared_names():
    assert find_class("Gorilla gorilla", COURSE) == 366
    assert find_class("tank suit", COURSE) == 639
    assert find_class("maillot", COURSE) == 638  # a whole name goes before a synonym
    with pytest.raises(InputError, match=r"several classes, give the number: crane \(134\), crane \(517\)"):
        find_class("crane", COURSE)
    with pytest.raises(InputError, match=r"Cardigan \(264\), cardigan \(474\)"):
        find_class("CARDIGAN", NAMES)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("goril", r"gorilla \(366\)"),
        ("terrier", r"terrier \(\d+\)"),
        ("taranchula", r"tarantula \(76\)"),
        ("1000", "from 0 to 999"),
        ("-1", "from 0 to 999"),
        ("qqqqqq", "near it: none"),
        ("", "no class"),
    ],
)
def test_lists_near_names(text, word):
    with pytest.raises(InputError, match=word):
        find_class(text, NAMES)


def test_names_of_networks_without_a_file():
    assert names_for(3) == {0: "class 0", 1: "class 1", 2: "class 2"}
    assert names_for(1000) == NAMES


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "cat\n\n  dog \nox"),
        ("names.txt", "\ufeffcat\r\ndog\r\nox"),
        ("names.json", '["cat", "dog", "ox"]'),
        ("names.json", '{"1": "dog", "0": "cat", "2": "ox"}'),
    ],
)
def test_names_of_ones_own(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    assert list(names_for(3, tmp_path / name).items()) == [(0, "cat"), (1, "dog"), (2, "ox")]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.txt", b"cat\ndog\n", "names 2 classes; the network has 3"),
        ("a.txt", b"", "names 0 classes"),
        ("a.txt", b"\xff\xfe\x00", "not a list of class names"),
        ("a.json", b"{", "not a list of class names"),
        ("a.json", b"3", "not a list of class names"),
        ("a.json", b"[1, 2, 3]", "each must be text"),
        ("a.json", b'{"one": "cat"}', "not a list of class names"),
        ("a.json", b'{"0": "cat", "1": "dog", "7": "ox"}', "from 0 to 2"),
        ("a.json", b"[" * 100_000, "not a list of class names"),
    ],
)
def test_files_that_name_other_things(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=word):
        names_for(3, tmp_path / name)


def test_a_file_of_names_that_is_not_there(tmp_path):
    for file in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(InputError, match=r"a directory|does not exist"):
            names_for(3, file)
