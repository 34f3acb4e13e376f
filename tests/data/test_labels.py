"""Finding classes as a person writes them."""

import pytest

from data.labels import find_class
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
