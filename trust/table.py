"""The table of methods and measures: as a picture, for spreadsheets (CSV) and for programs (JSON)."""

import csv
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from image_utils.writing import save_figure, save_json, whole_file
from trust.intervals import Interval
from trust.judge import MEASURES
from trust.verdict import Row

COLUMN, FIRST, LINE = 1.2, 2.4, 0.21  # inches: width of a column, of the first one, and height of a line
ARROWS = {1: "larger is better", -1: "smaller is better", 0: ""}


def write_tables(stem: Path, rows: Sequence[Row], notes: Sequence[str] = (), facts: dict | None = None) -> None:
    """Write STEM.png, STEM.csv and STEM.json.

    Args:
        stem: path without a suffix.
        rows: of `trust.verdict.verdicts`.
        notes: sentences below the picture's table.
        facts: plain values that the JSON file begins with, such as the network's name.
    """
    measures = [name for name in MEASURES if name in rows[0].intervals]
    timed = any(np.isfinite(row.seconds) for row in rows)
    save_figure(_drawn(rows, measures, notes, timed), stem.with_name(f"{stem.name}.png"))
    parts = [f"{m} {part}" for m in measures for part in ("mean", "low", "high", "count")]
    with whole_file(stem.with_name(f"{stem.name}.csv")) as path, path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["method", "control", *parts, *["seconds a photograph"] * timed, "sentence"])
        for row in rows:
            numbers = [value for m in measures for value in plain(row.intervals[m]).values()]
            table.writerow([row.name, row.control, *numbers, *[round(row.seconds, 4)] * timed, row.sentence])
    record = {
        "measures": {m: {"better": MEASURES[m].better, "asks": MEASURES[m].asks} for m in measures},
        "methods": [
            {
                "name": row.name,
                "control": row.control,
                "seconds a photograph": row.seconds if timed else None,
                "measures": {m: plain(row.intervals[m]) for m in measures},
                "sentence": row.sentence,
            }
            for row in rows
        ],
        "notes": list(notes),
    }
    save_json((facts or {}) | record, stem.with_name(f"{stem.name}.json"))


def plain(interval: Interval) -> dict:
    """Return an Interval as plain values, None where there is no number."""
    values = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {key: round(v, 6) if np.isfinite(v) else None for key, v in values.items()} | {"count": interval.count}


def label(row: Row) -> str:
    """Return a method's name for people; controls say that they are controls."""
    return f"control: {row.name}" if row.control else row.name.replace("_", " ")


def _drawn(rows, measures, notes, timed):
    """Draw method x measure: the mean, below it its interval, and below these the sentence."""
    width = FIRST + COLUMN * (len(measures) + timed)
    sentences = [textwrap.wrap(row.sentence, int(13.5 * width)) for row in rows]
    below = textwrap.wrap(" ".join(notes), int(13.5 * width))
    height = LINE * (4 + sum(3 + len(s) for s in sentences) + len(below))
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()
    places = [FIRST + COLUMN * k for k in range(len(measures) + 1)]
    for x, m in zip(places, measures, strict=False):
        title = textwrap.fill(MEASURES[m].title, 13)
        axis.text(x, 2 * LINE, title, fontsize=9, weight="bold", verticalalignment="bottom")
        axis.text(x, 2.9 * LINE, ARROWS[MEASURES[m].better], fontsize=7.5, color="0.4")
    if timed:
        heading = "seconds a\nphotograph"
        axis.text(places[-1], 2 * LINE, heading, fontsize=9, weight="bold", verticalalignment="bottom")
    top = 4 * LINE
    for row, sentence in zip(rows, sentences, strict=True):
        axis.axhline(top - 0.7 * LINE, color="0.8", linewidth=0.7)
        axis.text(0.1, top + 0.3 * LINE, label(row), fontsize=10, weight="normal" if row.control else "bold")
        for x, m in zip(places, measures, strict=False):
            interval = row.intervals[m]
            axis.text(x, top + 0.3 * LINE, _number(interval.mean), fontsize=10)
            if np.isfinite(interval.low):
                between = f"{_number(interval.low)} to {_number(interval.high)}"
                axis.text(x, top + 1.1 * LINE, between, fontsize=7.5, color="0.4")
        if timed:
            axis.text(places[-1], top + 0.3 * LINE, _number(row.seconds), fontsize=10)
        for k, text in enumerate(sentence):
            axis.text(0.1, top + (2.15 + k) * LINE, text, fontsize=9, color="0.25")
        top += (3 + len(sentence)) * LINE
    for k, text in enumerate(below):
        axis.text(0.1, top + k * LINE, text, fontsize=9, color="0.25")
    return figure


def _number(value):
    """Return a number with two decimals, or a dash where there is none."""
    return f"{round(value, 2) + 0.0:.2f}" if np.isfinite(value) else "-"  # + 0.0: no minus before a zero
