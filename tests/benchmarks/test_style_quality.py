"""The comparison of stylised pictures: what is painted once, what a curve says, and what the sheet hides."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks import style_quality
from benchmarks.style_judges import Judge
from benchmarks.style_quality import PAIRS, Way, measure, painted, prepare, ways
from benchmarks.style_sheets import BEGIN, END, OURS, PAGE, PEER, at_content, blind_sheet, gap, write_results
from image_utils.loading import open_image


def row(curve, dial, content, style, pair="a_b"):
    about = {"pair": pair, "size": 20, "curve": curve, "dial": dial, "steps": 4, "file": f"{curve[:3]}{dial}.png"}
    times = {"seconds": 2.0, "processor_seconds": 1.0 if curve == OURS else 4.0, "threads": 1, "load": 0.5}
    return about | times | {"judge": "alexnet", "gram": style, "sliced": style / 2, "content": content}


@pytest.fixture
def rows():
    theirs = [row(PEER, 1, 0.6, 0.4), row(PEER, 0.1, 0.2, 0.8)]
    return [*theirs, row(OURS, 2, 0.4, 0.5), row(OURS, 5, 0.7, 0.45), row(OURS, 8, 0.1, 0.9)]


@pytest.fixture
def judge():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Judge("alexnet", nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), 1, (1,))


@pytest.fixture
def quick(monkeypatch):
    """Two ways that copy a source, and count how often they paint."""
    calls = []

    def copies(index):
        def paint(photograph, painting, out):
            calls.append(index)
            Image.open((photograph, painting)[index]).resize(open_image(photograph).size).save(out)

        return paint

    found = [Way(OURS, 5, 1, copies(0)), Way(PEER, 1, 2, copies(1))]
    monkeypatch.setattr(style_quality, "ways", lambda steps: found)
    return calls


def test_a_curve_goes_from_the_photograph_from_picture_to_picture(rows):
    curve = rows[:2]
    read = {0.0: 1.0, 0.1: 0.9, 0.2: 0.8, 0.4: 0.6, 0.6: 0.4, 0.9: 0.4}
    assert [at_content(curve, content, "gram") for content in read] == pytest.approx(list(read.values()))


def test_beyond_its_last_picture_a_curve_stays_at_its_best():
    curve = [row(PEER, 1, 0.5, 0.3), row(PEER, 10, 0.7, 0.6)]
    assert at_content(curve, 0.8, "gram") == 0.3


def test_below_the_curve_is_better(rows):
    gaps = [gap(rows, one, "gram") for one in rows[2:]]
    assert gaps == pytest.approx([-0.1, 0.05, 0.0])


def test_every_way_has_a_file_of_its_own():
    found = ways(30)
    assert len({way.name for way in found}) == len(found)
    assert (
        len({way.name for way in [*found, *ways(40)]}) == 2 * len(found) - 2
    )  # SqueezeNet's take their own steps
    assert {way.curve for way in found} >= {OURS, PEER}


def test_sources_have_the_size_asked_for(tmp_path):
    for pair in PAIRS:
        for file in prepare(pair, 40, tmp_path / pair[0]):
            assert min(open_image(file).size) == 40


def test_what_is_there_is_not_painted_again(tmp_path, quick, judge):
    first = measure(PAIRS[:1], 48, 1, [judge], tmp_path)
    assert quick == [0, 1]
    assert measure(PAIRS[:1], 48, 1, [judge], tmp_path) == first
    assert quick == [0, 1]
    (tmp_path / "48" / "_".join(PAIRS[0]) / f"{style_quality.ways(1)[1].name}.json").unlink()  # was broken off
    measure(PAIRS[:1], 48, 1, [judge], tmp_path)
    assert quick == [0, 1, 1]
    photograph, painting = first
    assert photograph["gram"] == photograph["sliced"] == 1 and photograph["content"] == 0
    assert painting["gram"] < 0.2 and painting["content"] > 0.9


def test_a_picture_that_fails_leaves_nothing_behind(tmp_path):
    def paint(photograph, painting, out):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        painted(Way(OURS, 5, 1, paint), [tmp_path, tmp_path], tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_network_judges_its_own_pictures(tmp_path, quick, judge, monkeypatch):
    vgg19 = Judge("vgg19", judge.network, 1, (1,))
    rows = measure(PAIRS[:1], 48, 1, [judge, vgg19], tmp_path)
    assert [(r["curve"], r["judge"]) for r in rows] == [(OURS, "alexnet"), (PEER, "alexnet")]


def test_results_are_written_and_the_page_keeps_its_words(tmp_path, rows, rng):
    pictures, docs = tmp_path / "pictures", tmp_path / "docs"
    for folder in (docs, pictures / "a_b"):
        folder.mkdir(parents=True)
    for name in {"photograph.png", "painting.png", *(r["file"] for r in rows)}:
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(pictures / "a_b" / name)
    (docs / PAGE).write_text(f"before\n{BEGIN}old\n{END}after\n")
    table = write_results(rows, pictures, docs)
    assert (docs / PAGE).read_text() == f"before\n{BEGIN}{table}{END}after\n"
    assert "| a, b | alexnet | Gram distance | -0.100 | +0.050 | +0.000 | 0.25 |" in table
    assert "alexnet, Gram distance: 2 of 3;" in table
    with (docs / "style_quality.csv").open() as stream:
        found = list(csv.DictReader(stream))
    assert [float(r["gram"]) for r in found] == [r["gram"] for r in rows]
    key = json.loads((docs / "style_blind_key.json").read_text())
    assert {name.removesuffix(".png") for name in key["a_b"].values()} == {f"{OURS[:3]}5", f"{PEER[:3]}1"}
    with Image.open(docs / "style_quality.png") as figure, Image.open(docs / "style_blind.jpg") as sheet:
        assert min(figure.size) > 100 and min(sheet.size) > 100


def test_the_sheets_order_is_drawn_by_the_seed(tmp_path, rng):
    chosen = [(f"pair_{i}", "ours.png", "theirs.png") for i in range(6)]
    for pair, *_ in chosen:
        (tmp_path / pair).mkdir()
        for name in ("photograph.png", "painting.png", "ours.png", "theirs.png"):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / pair / name)
    keys = [blind_sheet(chosen, tmp_path, seed)[1] for seed in range(3)]
    assert keys[0] == blind_sheet(chosen, tmp_path, 0)[1]
    assert keys[0] != keys[1] or keys[1] != keys[2]
    for key in keys:
        assert {frozenset(files.values()) for files in key.values()} == {frozenset({"ours.png", "theirs.png"})}
        assert len({files["A"] for files in key.values()}) == 2


def test_the_page_has_a_place_for_the_table():
    text = (style_quality.ROOT / "docs" / PAGE).read_text()
    assert text.count(BEGIN) == text.count(END) == 1
