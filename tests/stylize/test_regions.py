"""Regions: guided Gram matrices from their definition, and masks that do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError
from style_modules import StyleLoss
from stylize.regions import guide, read_regions
from tests.small_networks import random_images
from tests.stylize.pairs import transfer

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(size, left=RED, right=BLUE):
    """A mask of two halves, the image (H, W)."""
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:, : size[1] // 2], pixels[:, size[1] // 2 :] = left, right
    return Image.fromarray(pixels)


def test_the_guided_gram_matrix_is_the_papers():
    """sum_k T(k)^2 F_k F_k^T over sum_k T(k)^2, divided by the channels as the course does."""
    F = random_images(1, 4, 6, 8, dtype=torch.float64)
    mask = torch.zeros(1, 1, 24, 32).double()
    mask[..., :13] = 1  # ends within a place of the layer
    T = mask.reshape(6, 4, 8, 4).mean((1, 3)).flatten()
    expected = sum(T[k] ** 2 * torch.outer(f, f) for k, f in enumerate(F.flatten(2)[0].T)) / (T**2).sum() / 4
    assert torch.allclose(StyleLoss().gram_matrix(F * guide(mask, F.shape))[0], expected)


def test_one_region_is_no_region(pair, cnn):
    white = [Image.new("RGB", (5, 4), "white")] * 2
    for choices in ({}, {"strength": 5.0}):
        with_mask = transfer(pair, cnn, solver="adam", masks=white, **choices)
        assert torch.equal(with_mask, transfer(pair, cnn, solver="adam", **choices))


def test_each_region_takes_on_its_own_style():
    """A network that sees single pixels, a photograph all grey, and a painting of a dark and a bright half."""
    cnn = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False)).requires_grad_(False)
    nn.init.dirac_(cnn[0].weight)
    sources = Image.new("RGB", (20, 16), (128,) * 3), halves((16, 20), (255,) * 3, (90,) * 3)
    layers = {
        "content_layer": 0,
        "style_layers": [0],
        "style_weights": [100.0],
        "image_size": 16,
        "style_size": 16,
    }
    layers |= {"content_weight": 0.0, "tv_weight": 0.0, "solver": "adam", "steps": 100}
    masks = halves((16, 20), BLUE, RED), halves((16, 20))  # the other way round
    for masked, expected in ((masks, True), (None, False)):
        result = transfer(sources, cnn, masks=masked, **layers)
        dark, bright = result[..., :10].mean(), result[..., 10:].mean()
        assert (bright - dark > 1.0) == expected


def test_several_styles_may_each_have_some_regions(pair, cnn):
    content, style = pair
    masks = halves((30, 42)), Image.new("RGB", (9, 9), RED), Image.new("RGB", (9, 9), BLUE)
    result = transfer((content, [style, content]), cnn, solver="adam", masks=masks, strength=5.0)
    other = transfer((content, [content, style]), cnn, solver="adam", masks=masks, strength=5.0)
    assert torch.isfinite(result).all() and not torch.allclose(result, other, atol=1e-2)


def test_masks_are_resized():
    regions = read_regions([halves((7, 10)), halves((30, 8))], [(16, 20), (12, 24)], torch.zeros(1))
    assert [m.shape for m in regions.content] == [(1, 1, 16, 20)] * 2
    assert [m.shape for m in regions.styles[0]] == [(1, 1, 12, 24)] * 2
    assert regions.shares == pytest.approx([0.5, 0.5])


def test_the_mask_of_a_photograph_with_a_region_of_no_style_is_named(tmp_path):
    files = [tmp_path / "photograph.png", tmp_path / "style.png"]
    for file, mask in zip(files, (halves((4, 4)), Image.new("RGB", (4, 4), RED)), strict=True):
        mask.save(file)
    with pytest.raises(InputError, match=r"region #0000ff of mask '.*photograph.png' is empty"):
        read_regions(files, [(256, 256)] * 2, torch.zeros(1))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([halves((4, 4))], "one for each style image, so 2, not 1"),
        ([halves((4, 4))] * 3, "so 2, not 3"),
        ([halves((4, 4)), Image.new("RGB", (4, 4), RED)], "region #0000ff .* is empty"),
        ([halves((4, 4)), Image.linear_gradient("L")], "256 colours"),
        (["missing.png", halves((4, 4))], "missing.png"),
    ],
)
def test_masks_that_do_not_fit_are_named(masks, message):
    sizes = [(256, 256)] * 2
    with pytest.raises(InputError, match=message):
        read_regions(masks, sizes, torch.zeros(1))
