"""Tiles: losses and gradients are those of the whole image, and every place is counted once."""

import pytest
import torch
from torch import nn

from data.vgg19 import vgg19_layers
from image_utils.errors import InputError
from stylize.budget import parse_memory, plan
from stylize.losses import Losses
from stylize.regions import Regions
from stylize.tiles import fields, tiles_of
from tests.no_trace import no_trace
from tests.small_networks import random_images
from tests.stylize.pairs import LOSSES, transfer

SQUEEZENET, VGG = (3, [1, 4, 6, 7]), (9, [1, 6, 11])


def losses_of(cnn, layers):
    content_layer, style_layers = layers
    return Losses(cnn, content_layer, 1.0, style_layers, [1.0] * len(style_layers), 1.0, *LOSSES.values())


def images(height, width, dtype=torch.float64):
    """Three smooth images: a photograph, a painting of another shape, and one to be judged."""
    shapes = (height, width), (width - 4, height + 6), (height, width)
    noise = random_images(3, 3, 9, 9, dtype=torch.float64).split(1)
    return [nn.functional.interpolate(n, s, mode="bicubic").to(dtype) for n, s in zip(noise, shapes, strict=True)]


def value_and_gradient(losses, content, style, img, tile, regions=None):
    objective = losses.objective(content, [style], [1.0], 5.0, tile=tile, regions=regions)
    img = img.clone().requires_grad_()
    found = objective(img)
    (gradient,) = torch.autograd.grad(sum(found.values()), img)
    return {name: value.item() for name, value in found.items()}, gradient


@pytest.fixture(scope="module")
def vgg():
    """Three blocks of VGG-19 without a download: random weights of a size that keeps features alive."""
    layers = vgg19_layers()[:12].to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
            nn.init.normal_(layer.bias, generator=generator)
    return layers.double().requires_grad_(False)


@pytest.fixture(scope="module")
def double():
    from data import load_network

    return load_network().features[:8].double()


@pytest.mark.parametrize(("size", "tile"), [((97, 71), 32), ((64, 64), 16), ((65, 83), 48), ((61, 67), 16)])
def test_squeezenet_in_tiles_is_squeezenet(double, size, tile):
    check_tiles(losses_of(double, SQUEEZENET), size, tile)


@pytest.mark.parametrize(("size", "tile"), [((49, 35), 16), ((37, 54), 24)])
def test_vgg_in_tiles_is_vgg(vgg, size, tile):
    check_tiles(losses_of(vgg, VGG), size, tile)


def check_tiles(losses, size, tile):
    sources = images(*size)
    expected, gradient = value_and_gradient(losses, *sources, None)
    with no_trace(losses.cnn):
        found, tiled = value_and_gradient(losses, *sources, tile)
    assert found == pytest.approx(expected, rel=1e-9)
    assert (tiled - gradient).norm() <= 1e-9 * gradient.norm()


def test_in_float32_they_agree_by_norm(cnn):
    sources = images(97, 71, torch.float32)
    losses = losses_of(cnn, SQUEEZENET)
    (_, gradient), (_, tiled) = (value_and_gradient(losses, *sources, tile) for tile in (None, 32))
    assert (tiled - gradient).norm() <= 1e-5 * gradient.norm()


def test_regions_in_tiles_are_regions(double):
    content, style, img = images(61, 67)
    halves = []
    for source in (content, style):
        left = torch.zeros_like(source[:, :1])
        left[..., : source.shape[3] // 3] = 1
        halves.append([left, 1 - left])
    regions = Regions([float(m.mean()) for m in halves[0]], halves[0], [halves[1]])
    losses = losses_of(double, SQUEEZENET)
    (expected, gradient), (found, tiled) = (
        value_and_gradient(losses, content, style, img, tile, regions) for tile in (None, 24)
    )
    assert found == pytest.approx(expected, rel=1e-9)
    assert (tiled - gradient).norm() <= 1e-9 * gradient.norm()


def test_a_margin_too_small_is_noticed(double, monkeypatch):
    """The comparison can fail: with receptive fields a pixel of the last layer short the gradient is another."""
    from stylize import tiles

    def too_small(cnn, axis):
        return [tiles.Field(f.size - f.stride, f.stride, f.padding) for f in fields(cnn, axis)]

    monkeypatch.setattr(tiles, "fields", too_small)
    with pytest.raises(AssertionError):
        check_tiles(losses_of(double, SQUEEZENET), (97, 71), 32)


def test_receptive_fields_are_those_of_the_gradient():
    """From the definition: the pixels by which a place of the last layer has a derivative."""
    cnn = nn.Sequential(nn.Conv2d(3, 2, 3, 2), nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, padding=1)).double()
    field, x = fields(cnn, 0)[-1], random_images(1, 3, 64, 64, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(cnn(x)[0, :, 6, 6].sum(), x)
    seen = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (seen[0], seen[-1] + 1 - seen[0]) == (6 * field.stride - field.padding, field.size)


def test_every_place_belongs_to_one_tile(double):
    counted = {
        layer: torch.zeros(1, 1, *double[: layer + 1](torch.zeros(1, 3, 101, 67).double()).shape[2:])
        for layer in (1, 7)
    }
    for tile in tiles_of(double, [1, 7], (101, 67), 24):
        for layer, count in counted.items():
            count[tile.places[layer]] += 1
    assert all((count == 1).all() for count in counted.values())


def test_unknown_layers_are_refused():
    cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(3))
    with pytest.raises(InputError, match="AdaptiveAvgPool2d"):
        tiles_of(cnn, [1], (64, 64), 16)


def test_a_budget_chooses_history_then_tiles_and_names_the_least(cnn):
    losses, size = losses_of(cnn, SQUEEZENET), (1000, 1500)
    with pytest.raises(InputError, match=r"1500 x 1000 pixels do not fit .* least would be") as stopped:
        plan(1.0, losses, size, "lbfgs", 0.0)
    least = float(str(stopped.value).split("least would be ")[1].split()[0]) * 1e9
    assert plan(least + 1e8, losses, size, "lbfgs", 0.0).tile is not None
    assert plan(1e11, losses, size, "lbfgs", 0.0).tile is None
    assert plan(1e11, losses, size, "lbfgs", 0.0).history == 10
    needs = [plan(least + more, losses, size, "lbfgs", 0.0).needed for more in (5e7, 3e8, 6e8, 2e9, 1e11)]
    assert needs == sorted(needs)
    adam = float(str(stopped.value).split("--solver adam ")[1].split()[0]) * 1e9
    assert adam < least and plan(adam + 1e8, losses, size, "adam", 0.0).needed <= adam + 1e8


@pytest.mark.parametrize(("text", "expected"), [("2GB", 2e9), ("512 MB", 5.12e8), ("1.5g", 1.5e9), ("3000", 3e3)])
def test_amounts_of_memory(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "two", "1TB2"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InputError, match="2GB"):
        parse_memory(text)


def test_a_picture_under_a_budget_is_the_picture(pair, cnn, monkeypatch):
    from stylize import painting
    from stylize.budget import Plan

    whole = transfer(pair, cnn, solver="adam")
    monkeypatch.setattr(painting, "plan", lambda *_: Plan(16))
    tiled = transfer(pair, cnn, solver="adam", memory=1)
    assert not torch.equal(tiled, whole)
    assert (tiled - whole).norm() <= 1e-3 * whole.norm()
