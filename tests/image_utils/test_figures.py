"""Figures: what is drawn where, at one photograph and at many."""

import numpy as np
import pytest

from image_utils.figures import CELL, LARGE, PER_ROW, brightness, image_grid, in_colour, magnified


def drawn(figure):
    """For each axis that shows something: (row, column, array, title)."""
    found = []
    for axis in figure.axes:
        if axis.images:
            place = axis.get_subplotspec()
            found.append((place.rowspan.start, place.colspan.start, axis.images[0].get_array(), axis.get_title()))
    return found


@pytest.mark.parametrize("count", [2, 5, 7, 20])
def test_photographs_wrap_and_keep_their_maps_and_titles(count):
    photographs = [np.full((4, 4, 3), i, np.uint8) for i in range(count)]
    maps = [np.full((4, 4), 100.0 + i) for i in range(count)]
    figure = image_grid([photographs, maps], column_titles=[f"name {i}" for i in range(count)])
    found = drawn(figure)
    assert len(found) == 2 * count
    for row, column, array, title in found:
        block, kind = divmod(row, 2)
        i = block * PER_ROW + column
        assert (np.asarray(array) == (i if kind == 0 else 100.0 + i)).all()
        assert title == (f"name {i}" if kind == 0 else "")
    width, height = figure.get_size_inches()
    assert width == pytest.approx(CELL * min(count, PER_ROW)) and height == pytest.approx(
        2 * CELL * -(-count // 5)
    )


def test_a_single_photograph_is_large_and_beside_its_maps():
    figure = image_grid(
        [[np.zeros((4, 4, 3))], [np.ones((4, 4))]], column_titles=["tabby\n87 %"], row_titles=["Photograph", "Map"]
    )
    assert [(row, column, title) for row, column, _, title in drawn(figure)] == [
        (0, 0, "Photograph"),
        (0, 1, "Map"),
    ]
    assert figure.get_suptitle() == "tabby, 87 %"
    assert figure.get_size_inches() == pytest.approx([2 * LARGE, LARGE])


def test_notes_stand_below_their_images():
    image = np.zeros((4, 4))
    for rows, notes in (([[image] * 2] * 2, [["a", "b"], ["c", "d"]]), ([[image]] * 3, [["a"], [], ["c"]])):
        axes = image_grid(rows, notes=notes).axes
        assert [axis.get_xlabel() for axis in axes] == [text for row in notes for text in row or [""]]


def test_a_notebook_shows_the_figure():
    assert image_grid([[np.zeros((4, 4))]])._repr_png_().startswith(b"\x89PNG")


def test_a_small_difference_is_made_visible():
    difference = np.full((10, 10, 3), 0.004)
    shown, factor = magnified(difference)
    assert factor == 100 and np.allclose(shown, 0.9)
    assert magnified(0 * difference)[1] == 200 and (magnified(0 * difference)[0] == 0.5).all()
    assert magnified(difference * 250)[1] == 1


def test_maps_of_one_sign_are_grey_and_of_two_red_and_blue():
    rising = np.linspace(0, 1, 400).reshape(20, 20)
    for heat in (
        rising,
        1000 * rising,
        rising - 0.05,
        np.zeros((20, 20)),
    ):  # bicubic upsampling undershoots a little
        (shown,) = in_colour([heat])
        assert (shown[..., :1] == shown).all() and (shown[0, 0] == 0).all()
        assert (np.diff(shown[..., 0].ravel()) >= 0).all() and shown.max() == (heat.max() > 0)
    coloured, (zero,) = in_colour([rising - 0.5, rising]), in_colour([np.array([[0.0, -1.0, 1.0]])])
    for shown, heat in zip([*coloured, zero], (rising - 0.5, rising, np.array([[0, -1, 1]])), strict=True):
        redness = shown[..., 0] - shown[..., 2]
        assert (redness[heat > 0.2] > 0.1).all() and (redness[heat < -0.2] < -0.1).all()
    assert np.ptp(zero[0, 0]) < 0.02 and zero[0, 0].min() > 0.9  # nothing is white


def test_brightness_clips_a_few_extremes():
    heat = np.linspace(0, 1, 1000).reshape(20, 50)
    heat[0, 0] = 1e6
    shown = brightness(heat)
    assert shown.min() == 0 and shown.max() == 1
    assert 0.4 < np.median(shown) < 0.6 and (shown == 1).sum() <= 6
