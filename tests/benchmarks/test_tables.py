"""Tables of benchmarks come out at small sizes, with figures of the process that was measured."""

import os
import re

from benchmarks import page, tiles
from benchmarks.measure import alone
from stylize.budget import Plan


def rows(table):
    """Return the rows of a Markdown table without its heading, as lists of cells."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_a_process_of_its_own_has_its_own_peak():
    held = bytearray(os.urandom(1024)) * 1_500_000
    pid, peak = alone(os.getpid)
    assert pid != os.getpid()
    assert 0 < peak < len(held), "what the process that started it has does not count"


def here(function, *arguments):
    """Stand in for `alone`: a process of its own takes seconds to start."""
    return function(*arguments), 7e6


def test_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "plan", lambda budget, *_: Plan(32 if budget == 1e9 else None))  # 2GB hold it
    monkeypatch.setattr(tiles, "alone", here)
    whole, tiled = rows(tiles.table({"squeezenet1_1": (64,)}, ("1GB", "2GB")))
    assert whole[:4] == ["squeezenet1_1", "64", "all that is free", "whole"]
    assert tiled[:4] == ["squeezenet1_1", "64", "1GB", "32"]
    assert whole[-1] == tiled[-1] == "7 MB"
    assert all(re.fullmatch(r"\d+\.\d\d", cell) for row in (whole, tiled) for cell in row[4:6])


def test_page(monkeypatch):
    monkeypatch.setattr(page, "installed", lambda _: True)
    monkeypatch.setattr(page, "alone", here)
    monkeypatch.setattr(page, "visit", lambda clicks: [(0.5 * i, 0.25 * i) for i in range(1, clicks + 3)])
    waits = rows(page.table(clicks=3))
    assert [name.split(":")[0] for name, *_ in waits] == ["`page.py`"] * 3 + ["Captum in a script"] * 2
    assert [cells for _, *cells in waits[:3]] == [["0.50", "0.25"], ["1.00", "0.50"], ["2.00", "1.00"]]
    assert all(re.fullmatch(r"\d+\.\d\d", cell) for _, *cells in waits[3:] for cell in cells)
