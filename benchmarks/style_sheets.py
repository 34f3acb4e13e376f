"""What benchmarks.style_quality leaves: a table, a figure of trade-off curves, and a blind sheet for a person."""

import csv
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.measure import machine
from image_utils.figures import image_grid
from image_utils.loading import open_image
from image_utils.writing import save_figure, save_image, save_json, whole_file

OURS, PEER = "VGG-19, L-BFGS", "pastiche"
LOOKS = {  # colour and marker of a curve
    OURS: ("black", "o"),
    "VGG-19, Adam": ("royalblue", "s"),
    PEER: ("firebrick", "^"),
    "SqueezeNet, L-BFGS": ("darkorange", "D"),
    "SqueezeNet, course's schedule": ("seagreen", "v"),
}
MEASURES = {"gram": "Gram distance", "sliced": "sliced Wasserstein distance"}
JUDGE = "alexnet"  # of the figure: the only one that is akin to none of the painters
PAGE = "style_quality.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"


def write_results(rows: list[dict], pictures: Path, docs: Path | None, seed: int = 0) -> str:
    """Write CSV, figure and blind sheet.

    Args:
        rows: see `benchmarks.style_quality.measure`.
        pictures: folder of the pictures, a folder below it for each pair.
        docs: folder to write to, and whose page takes the table; None writes beside the pictures.
        seed: of the blind sheet's order.

    Returns:
        The table, Markdown.
    """
    to = docs or pictures
    _write_csv(rows, to / "style_quality.csv")
    figure = to / "style_quality.png"
    save_figure(curves(rows), figure, dpi=75)
    with Image.open(figure) as drawn:
        small = drawn.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
    save_image(small, figure)
    parts = [*verdicts(rows), "", *listing(rows), "", conditions(rows)]
    table = "\n".join(parts) + "\n"
    chosen = blind_pairs(rows)
    if chosen:
        sheet, key = blind_sheet(chosen, pictures, seed)
        save_figure(sheet, to / "style_blind.jpg", dpi=75)
        save_json(key, to / "style_blind_key.json")
    if docs is not None:
        page = docs / PAGE
        before, _, rest = page.read_text().partition(BEGIN)
        with whole_file(page) as temporary:
            temporary.write_text(before + BEGIN + table + END + rest.partition(END)[2])
    return table


def _write_csv(rows, path):
    with whole_file(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: f"{v:.4g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows
        )


def of(rows: list[dict], **wanted: object) -> list[dict]:
    """Return the rows that have these values, from little to much style."""
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return sorted(found, key=lambda row: row["content"])


def at_content(curve: Sequence[dict], content: float, measure: str) -> float:
    """Read the style distance of a trade-off curve at a content distance.

    The curve goes from the photograph, at (0, 1), straight from picture to picture; beyond the last one it stays
    at the best of them, since whoever has that picture need not go further.
    """
    points = sorted([(0.0, 1.0), *((row["content"], row[measure]) for row in curve)])
    xs, ys = zip(*points, strict=True)
    return float(np.interp(content, xs, ys, right=min(ys)))


def gap(rows: list[dict], row: dict, measure: str) -> float:
    """Return how far a picture lies above pastiche's curve, in style distance; below 0 it is better."""
    curve = of(rows, pair=row["pair"], judge=row["judge"], curve=PEER)
    return row[measure] - at_content(curve, row["content"], measure)


def verdicts(rows: list[dict]) -> Iterator[str]:
    """Yield, as Markdown, for each pair how far ours lies above pastiche's curve, and the share of its time."""
    if not of(rows, curve=PEER):
        return
    dials = sorted({row["dial"] for row in of(rows, curve=OURS)})
    judges = list(dict.fromkeys(row["judge"] for row in rows if row["curve"] == OURS))
    yield "| pair | judge | measure | " + " | ".join(f"strength {dial:g}" for dial in dials) + " | of its time |"
    yield "|---" * (4 + len(dials)) + "|"
    counts = {}
    for pair in dict.fromkeys(row["pair"] for row in rows):
        for judge in judges:
            mine, theirs = (of(rows, pair=pair, judge=judge, curve=curve) for curve in (OURS, PEER))
            time = _mean_time(mine) / _mean_time(theirs)
            for measure, name in MEASURES.items():
                gaps = {row["dial"]: gap(rows, row, measure) for row in mine}
                counts.setdefault((judge, name), []).extend(value <= 0 for value in gaps.values())
                shown = " | ".join(f"{gaps[dial]:+.3f}" for dial in dials)
                yield f"| {pair.replace('_', ', ')} | {judge} | {name} | {shown} | {time:.2f} |"
    yield ""
    yield "At or below pastiche's curve: " + "; ".join(
        f"{judge}, {name}: {sum(below)} of {len(below)}" for (judge, name), below in counts.items()
    )


def _mean_time(rows):
    return np.mean([row["processor_seconds"] for row in rows])


def conditions(rows: list[dict]) -> str:
    """Say on what and how the pictures were made."""
    facts = {key: value for key, value in machine().items() if key in ("date", "processor", "torch", "pastiche")}
    said = ", ".join(f"{key} {value}" for key, value in facts.items())
    sizes, threads = ("/".join(map(str, sorted({row[key] for row in rows}))) for key in ("size", "threads"))
    loads = [row["load"] for row in rows]
    return (
        f"Shortest side {sizes} pixels; threads {threads}; "
        f"load of the machine {min(loads):.0f} to {max(loads):.0f}, so wall seconds say little; {said}."
    )


def listing(rows: list[dict]) -> Iterator[str]:
    """Yield, as Markdown, what AlexNet says of every picture, with its seconds."""
    yield "| pair | painted by | dial | steps | content | Gram | sliced | processor s | wall s |"
    yield "|---" * 9 + "|"
    for row in (row for row in rows if row["judge"] == JUDGE):
        dial = "" if row["dial"] is None else f"{row['dial']:g}"
        cells = [row["pair"].replace("_", ", "), row["curve"], dial, str(row["steps"])]
        cells += [f"{row[name]:.3f}" for name in ("content", *MEASURES)]
        cells += [f"{row[name]:.0f}" for name in ("processor_seconds", "seconds")]
        yield f"| {' | '.join(cells)} |"


def curves(rows: list[dict]) -> Figure:
    """Draw a panel for each pair and measure: style distance against content distance, as AlexNet sees them."""
    pairs = list(dict.fromkeys(row["pair"] for row in rows))
    figure = Figure(figsize=(2.8 * len(pairs), 6.2), layout="constrained")
    axes = figure.subplots(2, len(pairs), squeeze=False, sharey="row")
    for j, pair in enumerate(pairs):
        for i, (measure, name) in enumerate(MEASURES.items()):
            axis = axes[i, j]
            for curve, (colour, marker) in LOOKS.items():
                found = of(rows, pair=pair, judge=JUDGE, curve=curve)
                points = [(row["content"], row[measure]) for row in found]
                line = [(0.0, 1.0), *points] if len(points) > 1 else points
                if points:
                    axis.plot(*zip(*line, strict=True), color=colour, linewidth=1.2 * (len(points) > 1))
                    axis.plot(*zip(*points, strict=True), marker, color=colour, markersize=5, label=curve)
                ends = found[:1] + found[1:][-1:]  # pastiche's pictures between them are close to each other
                for row in {OURS: found, PEER: ends}.get(curve, []):
                    place, above = (row["content"], row[measure]), curve == PEER
                    axis.annotate(
                        f"{row['dial']:g}",
                        place,
                        xytext=(3, 5) if above else (-4, -12),
                        textcoords="offset points",
                        fontsize=8,
                        color=colour,
                    )
            axis.set_xlim(left=0)
            axis.set_ylim(min(row[measure] for row in rows if row["judge"] == JUDGE) - 0.08, 1.03)
            axis.tick_params(labelsize=8)
            if i == 0:
                axis.set_title(pair.replace("_", ", "), fontsize=10)
            else:
                axis.set_xlabel("content distance", fontsize=9)
            if j == 0:
                axis.set_ylabel(name, fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9)
    return figure


def blind_pairs(rows: list[dict]) -> list[tuple[str, str, str]]:
    """Choose for each pair (its name, a file of ours, a file of pastiche's): ours in the middle of the dial, and
    pastiche's that is nearest to it in content, so that neither wins by more style alone.
    """
    chosen = []
    for pair in dict.fromkeys(row["pair"] for row in rows):
        mine, theirs = (of(rows, pair=pair, judge=JUDGE, curve=curve) for curve in (OURS, PEER))
        if mine and theirs:
            middle = sorted(mine, key=lambda row: row["dial"])[len(mine) // 2]
            nearest = min(theirs, key=lambda row: abs(row["content"] - middle["content"]))
            chosen.append((pair, middle["file"], nearest["file"]))
    return chosen


def blind_sheet(chosen: list[tuple[str, str, str]], pictures: Path, seed: int) -> tuple[Figure, dict]:
    """Lay out photograph, painting, and the two pictures of each pair as A and B, in an order drawn by the seed.

    Returns:
        (figure, key): the key tells for each pair the file of A and of B.
    """
    draw, columns, key = random.Random(seed), [], {}
    for pair, *files in chosen:
        draw.shuffle(files)
        key[pair] = dict(zip("AB", files, strict=True))
        names = ["photograph.png", "painting.png", *files]
        columns.append([np.asarray(open_image(pictures / pair / name)) for name in names])
    titles = [f"{number}" for number in range(1, len(columns) + 1)]
    rows = list(zip(*columns, strict=True))
    figure = image_grid(
        rows, column_titles=titles, row_titles=["photograph", "painting", "A", "B"], per_row=len(columns), cell=2.6
    )
    return figure, key
