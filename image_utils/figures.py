"""Laying out photographs and maps: one kind of figure, a labelled grid."""

import io
import sys
import textwrap

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from image_utils.pixels import rescale

CELL = 2.4  # height of a cell, inches
TITLE_WIDTH = 20  # characters of a column title before it wraps, above a square cell
CLIP = 99.5  # percentile at which colours saturate


def image_grid(
    rows,
    *,
    column_titles=(),
    row_titles=(),
    notes=(),
    caption=None,
    cmap="gray",
    alpha=None,
    vmin=None,
    vmax=None,
    cell=CELL,
):
    """Draw a grid of images, each in its own aspect ratio.

    Args:
        rows: list of rows, each a list of arrays (H, W) or (H, W, 3); uint8, or floating point in [0, 1] for
            colour and any range for maps. None leaves a cell empty.
        column_titles: text above the first row, wrapped.
        row_titles: text left of each row.
        notes: rows of texts, each below its cell.
        caption: text below the grid.
        cmap: colour map of the (H, W) arrays.
        alpha: opacity of the (H, W) arrays.
        vmin: value of the (H, W) arrays at the colour map's lower end; None takes each array's own minimum.
        vmax: the same for its upper end.
        cell: height of a cell in inches.

    Returns:
        matplotlib Figure, outside pyplot's registry.
    """
    n_columns = max(len(row) for row in rows)
    widths = [_column_aspect(rows, j) for j in range(n_columns)]
    titles = [textwrap.fill(str(title), int(TITLE_WIDTH * cell / CELL)) for title in column_titles]
    figure = Figure(figsize=(cell * sum(widths), cell * len(rows)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    axes = figure.subplots(len(rows), n_columns, squeeze=False, width_ratios=widths)
    for i, row in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            _bare(axis)
            if j < len(row) and row[j] is not None:
                _draw(axis, np.asarray(row[j]), cmap=cmap, alpha=alpha, vmin=vmin, vmax=vmax)
            if i == 0 and j < len(titles):
                axis.set_title(titles[j], fontsize=11, verticalalignment="bottom")
            if i < len(notes) and j < len(notes[i]):
                axis.set_xlabel(notes[i][j], fontsize=8, labelpad=2)
        if i < len(row_titles):
            axes[i, 0].set_ylabel(textwrap.fill(row_titles[i], int(10 * cell)), fontsize=11)
    if caption:
        width = int(cell * sum(widths) * 12)
        figure.supxlabel(textwrap.fill(caption, max(width, 30)), fontsize=10, color="0.25")
    return figure


def overlay(photograph, heat):
    """Lay a map over a photograph: the sum of the two, the map in the colours of a rainbow from blue to red.

    Args:
        photograph: uint8 ndarray (H, W, 3).
        heat: ndarray (H, W) in [0, 1].

    Returns:
        ndarray (H, W, 3) in [0, 1], divided by its largest value.
    """
    total = photograph / 255 + colormaps["jet"](heat)[..., :3]
    return total / total.max()


def colours(details):
    """Stretch signed details (H, W, 3) to [0, 1]; a few extremes, which would leave the rest grey, are clipped."""
    limit = np.percentile(np.abs(details), CLIP)
    return rescale(np.clip(details, -limit, limit))


def show_in_notebook(picture) -> None:
    """Display a matplotlib Figure or a PIL image where a notebook runs; in a script do nothing."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return
    if isinstance(picture, Figure):  # as a picture: figures outside pyplot's registry have no display of their own
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", bbox_inches="tight", facecolor="white")
        picture = ipython.display.Image(buffer.getvalue())
    ipython.display.display(picture)


def magnified(before: np.ndarray, after: np.ndarray, factor: float) -> np.ndarray:
    """Show the difference of two photographs many times as strong; grey is no change.

    Args:
        before: uint8 ndarray (H, W, 3).
        after: the same.
        factor: how many times.

    Returns:
        ndarray (H, W, 3) in [0, 1].
    """
    return np.clip(0.5 + factor * (after.astype(np.float64) - before) / 255, 0, 1)


def _draw(axis, image, **for_maps):
    axis.imshow(image, interpolation="nearest", **(for_maps if image.ndim == 2 else {}))


def _column_aspect(rows, j):
    shapes = [np.shape(row[j]) for row in rows if j < len(row) and row[j] is not None]
    return max((shape[1] / shape[0] for shape in shapes), default=1.0)


def _bare(axis):
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
