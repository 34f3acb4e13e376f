"""Laying out photographs and maps: one kind of figure, a labelled grid."""

import io
import sys
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from image_utils.pixels import rescale

CELL = 2.4  # height of a cell, inches
LARGE = 4.0  # the same where there is a single photograph
PER_ROW = 5  # photographs side by side; more of them go on below
TITLE_WIDTH = 20  # characters of a column title before it wraps
CLIP = 99.5  # percentile at which colours saturate
FACTORS = (1, 2, 5, 10, 20, 50, 100, 200)  # by which a small difference is made visible


class GridFigure(Figure):
    """A Figure outside pyplot's registry that a notebook shows all the same, as the result of a cell."""

    def _repr_png_(self):
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100, bbox_inches="tight", facecolor="white")
        return file.getvalue()


def image_grid(
    rows: Sequence[Sequence],
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    notes: Sequence[Sequence[str]] = (),
    caption: str | None = None,
    cmap: str = "gray",
    alpha: float | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cell: float | None = None,
    per_row: int = PER_ROW,
) -> Figure:
    """Draw a grid of images, each in its own aspect ratio; a column holds what belongs to one photograph.

    More columns than `per_row` go on below, all rows again. The images of a single column lie side by side.

    Args:
        rows: list of rows, each a list of arrays (H, W) or (H, W, 3); uint8, or floating point in [0, 1] for
            colour and any range for maps. None leaves a cell empty.
        column_titles: text above a column's first image, wrapped; lines end where the text has a line break.
        row_titles: text left of each row, or above each image where they lie side by side.
        notes: rows of texts, each below its image.
        caption: text below the grid.
        cmap: colour map of the (H, W) arrays.
        alpha: opacity of the (H, W) arrays.
        vmin: value of the (H, W) arrays at the colour map's lower end; None takes each array's own minimum.
        vmax: the same for its upper end.
        cell: height of a cell in inches; None for one that suits the number of photographs.
        per_row: columns side by side.

    Returns:
        matplotlib Figure, outside pyplot's registry.
    """
    count = max(len(row) for row in rows)
    single = count == 1 and len(rows) > 1
    if cell is None:
        cell = LARGE if count == 1 else CELL
    above, left, heading = [_wrapped(title) for title in column_titles], list(row_titles), ""
    if single:  # side by side, and the photograph's title above them all
        rows = [[row[0] if row else None for row in rows]]
        notes = [[note[0] if note else "" for note in notes]]
        above, left, heading, per_row = left, [], ", ".join(column_titles).replace("\n", ", "), len(rows[0])
    count = max(len(row) for row in rows)
    blocks = [[list(row)[first : first + per_row] for row in rows] for first in range(0, count, per_row)]
    widths = [max(_aspect(block, j) for block in blocks) for j in range(min(per_row, count))]
    lines = [row for block in blocks for row in block]
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    figure = GridFigure(figsize=(cell * sum(widths), cell * len(lines)), layout=layout)
    axes = figure.subplots(len(lines), len(widths), squeeze=False, width_ratios=widths)
    for i, row in enumerate(lines):
        block, kind = divmod(i, len(rows))
        for j, axis in enumerate(axes[i]):
            _bare(axis)
            if j < len(row) and row[j] is not None:
                _draw(axis, np.asarray(row[j]), cmap=cmap, alpha=alpha, vmin=vmin, vmax=vmax)
            if kind == 0 and j < len(row) and block * per_row + j < len(above):
                axis.set_title(above[block * per_row + j], fontsize=11, verticalalignment="bottom")
            if kind < len(notes) and block * per_row + j < len(notes[kind]):
                axis.set_xlabel(notes[kind][block * per_row + j], fontsize=8, labelpad=2)
        if kind < len(left):
            axes[i, 0].set_ylabel(textwrap.fill(left[kind], min(24, int(11.5 * cell))), fontsize=11)
    if heading:
        figure.suptitle(heading, fontsize=12)
    if caption:
        width = int(cell * sum(widths) * 12)
        figure.supxlabel(textwrap.fill(caption, max(width, 30)), fontsize=10, color="0.25")
    return figure


def overlay(photograph: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a map over a photograph: the sum of the two, the map in the colours of a rainbow from blue to red.

    Args:
        photograph: uint8 ndarray (H, W, 3).
        heat: ndarray (H, W) in [0, 1].

    Returns:
        ndarray (H, W, 3) in [0, 1], divided by its largest value.
    """
    total = photograph / 255 + colormaps["jet"](heat)[..., :3]
    return total / total.max()


def colours(details: np.ndarray) -> np.ndarray:
    """Stretch signed details (H, W, 3) to [0, 1]; a few extremes, which would leave the rest grey, are clipped."""
    limit = np.percentile(np.abs(details), CLIP)
    return rescale(np.clip(details, -limit, limit))


def brightness(heat: np.ndarray) -> np.ndarray:
    """Stretch a map (H, W) to [0, 1]; a few extreme pixels, which would leave the rest black, are clipped."""
    return rescale(np.minimum(heat, np.percentile(heat, CLIP)))


def in_colour(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Turn a method's maps, (H, W) each, into colours: grey for one sign, red and blue for two.

    Args:
        maps: in any units; each is stretched by itself, a few extremes clipped.

    Returns:
        ndarrays (H, W, 3) in [0, 1].
    """
    # What bicubic upsampling leaves below zero is no sign of its own.
    signed = any(one.min() < -0.1 * one.max() for one in maps)
    palette = colormaps["RdBu_r" if signed else "gray"]
    shown = []
    for one in maps:
        limit = np.percentile(np.abs(one), CLIP) or np.abs(one).max() or 1.0
        values = np.clip(one / limit, -1, 1)
        shown.append(palette((values + 1) / 2 if signed else values)[..., :3])
    return shown


def magnified(difference: np.ndarray) -> tuple[np.ndarray, int]:
    """Make a small difference of pixels visible around grey.

    Args:
        difference: ndarray (H, W, 3), on the scale where pixels reach from 0 to 1.

    Returns:
        (ndarray (H, W, 3) in [0, 1], grey where nothing differs; the factor by which it is magnified).
    """
    largest = np.percentile(np.abs(difference), CLIP)
    factor = max((f for f in FACTORS if f * largest <= 0.5), default=1)
    return np.clip(0.5 + factor * difference, 0, 1), factor


def show_in_notebook(picture) -> None:
    """Display a figure of this module or a PIL image where a notebook runs; in a script do nothing."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and hasattr(ipython.get_ipython(), "kernel"):
        ipython.display.display(picture)


def _wrapped(title):
    return "\n".join(textwrap.fill(line, TITLE_WIDTH) for line in str(title).split("\n"))


def _draw(axis, image, **for_maps):
    axis.imshow(image, interpolation="nearest", **(for_maps if image.ndim == 2 else {}))


def _aspect(rows, j):
    shapes = [np.shape(row[j]) for row in rows if j < len(row) and row[j] is not None]
    return max((shape[1] / shape[0] for shape in shapes), default=1.0)


def _bare(axis):
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
