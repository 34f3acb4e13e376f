"""The grid pointing game: maps whose share is known, and mosaics."""

import numpy as np
import pytest
import torch
from torch import nn

from image_utils.errors import InputError
from tests.no_trace import no_trace
from tests.oracles import trust as oracle
from tests.small_networks import random_images
from tests.trust.attributes import constant
from trust import grid_pointing, make_mosaics
from trust.controls import centred_gaussian
from visualizers import GradCam


class ColourNet(nn.Module):
    """Says which of the channels is strongest on average; it is sure of itself, and takes images of any size."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), 4.0))

    def forward(self, x):
        return x.mean((2, 3)) * self.scale


def coloured(classes, channels, size=(6, 8)):
    X = torch.zeros(len(classes), channels, *size)
    for n, colour in enumerate(classes):
        X[n, colour] = 1 + n / 100  # later ones are surer
    return X


def right_cell(X, y, model):
    """The cell of the colour asked for."""
    return torch.stack([x[colour] for x, colour in zip(X, y, strict=True)])


def test_the_right_cell_scores_1_and_a_uniform_map_a_quarter():
    model, X = ColourNet(5), coloured([3, 0, 4, 1, 2], 5)
    mosaics, classes = make_mosaics(model, X)
    assert mosaics.shape == (1, 5, 12, 16) and len(set(classes[0].tolist())) == 4
    np.testing.assert_allclose(grid_pointing(right_cell, model, mosaics, classes), 1)
    np.testing.assert_allclose(grid_pointing(constant, model, mosaics, classes), 0.25)
    np.testing.assert_allclose(grid_pointing(centred_gaussian, model, mosaics, classes), 0.25)
    wrong = grid_pointing(lambda X, y, m: right_cell(X, y, m).flip(1, 2), model, mosaics, classes)
    np.testing.assert_allclose(wrong, 0)


def test_equals_the_definition():
    mosaics, classes = random_images(2, 3, 12, 16), torch.zeros(2, 4, dtype=torch.int64)
    maps = random_images(2, 12, 16, seed=3)

    def attribute(X, y, model):
        (g,) = [g for g in range(2) if torch.equal(X, mosaics[g].expand_as(X))]
        return maps[g].expand(4, -1, -1)

    def two(X, y, model):
        return torch.stack([constant(X, y, model), attribute(X, y, model)])

    expected = [oracle.grid_share(maps[g], cell) for g in range(2) for cell in range(4)]
    np.testing.assert_allclose(grid_pointing(attribute, nn.Identity(), mosaics, classes), expected, rtol=1e-6)
    uniform, found = grid_pointing(two, nn.Identity(), mosaics, classes)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(uniform, 0.25)


def test_nothing_positive_is_not_a_hit():
    mosaics, classes = random_images(1, 3, 12, 16), torch.zeros(1, 4, dtype=torch.int64)
    assert np.isnan(grid_pointing(lambda X, y, model: -X.abs().sum(1), nn.Identity(), mosaics, classes)).all()


def test_cells_are_the_photographs_and_classes_theirs():
    model = ColourNet(8)
    X = coloured([0, 1, 2, 3, 4, 5, 6, 7], 8)
    mosaics, classes = make_mosaics(model, X)
    assert classes.shape == (2, 4) and sorted(classes.flatten().tolist()) == list(range(8))
    for mosaic, row in zip(mosaics, classes.tolist(), strict=True):
        for cell, colour in enumerate(row):
            top, left = cell // 2 * 6, cell % 2 * 8
            assert torch.equal(mosaic[:, top : top + 6, left : left + 8], X[colour])
    assert make_mosaics(model, X, most=1)[1].flatten().sort().values.tolist() == [4, 5, 6, 7]
    again = make_mosaics(model, X)
    assert torch.equal(again[0], mosaics)
    assert not torch.equal(make_mosaics(model, X, seed=1)[1], classes)


def test_of_each_class_the_surest_photograph_takes_part():
    model, X = ColourNet(4), coloured([0, 0, 1, 1, 2, 2, 3, 3], 4)
    mosaics, _ = make_mosaics(model, X)
    assert mosaics.shape[0] == 1
    assert sorted(mosaics.amax((0, 2, 3)).tolist()) == sorted(X[1::2].amax((0, 2, 3)).tolist())


@pytest.mark.parametrize(("classes", "found"), [([0, 1, 2, 2], "here are 3"), ([], "empty")])
def test_too_few_confident_photographs_are_refused(classes, found):
    with pytest.raises(InputError, match=found):
        make_mosaics(ColourNet(4), coloured(classes, 4))
    with pytest.raises(InputError, match="here are 0"):
        make_mosaics(ColourNet(4), torch.zeros(6, 4, 8, 8))


def test_leaves_no_trace():
    model, X = ColourNet(4).train(), coloured([0, 1, 2, 3], 4)
    with no_trace(model, X):
        mosaics, classes = make_mosaics(model, X)
    with no_trace(model, mosaics, classes):
        grid_pointing(right_cell, model, mosaics, classes)


def test_grad_cam_finds_the_right_cell_more_often_than_chance(squeezenet):
    from data.samples import load_sample_photographs
    from image_utils.pixels import to_input

    X = to_input(load_sample_photographs()[0])
    mosaics, classes = make_mosaics(squeezenet, X, most=1)
    shares = grid_pointing(
        lambda X, y, model: GradCam().grad_cam(X, y, model, normalize=None), squeezenet, mosaics, classes
    )
    assert shares.mean() > 0.35
