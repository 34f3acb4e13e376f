"""The style-transfer part: numbers worked out by hand, and the outputs that the notebook compares with."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from data.style_images import style_image
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import extract_features, features_from_img, rel_error, style_transfer

CHECKS = Path(__file__).parents[2] / "data" / "style_checks.npz"


@pytest.fixture(scope="module")
def checks():
    with np.load(CHECKS) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def features(network):
    """Features and pixels of the photograph, features of the painting; shortest side 192."""
    with torch.no_grad():
        content = features_from_img(style_image("tubingen", sample=True), 192, network.features, torch.FloatTensor)
        style = features_from_img(
            style_image("starry_night", sample=True), 192, network.features, torch.FloatTensor
        )
    return *content, style[0]


def test_content_loss_by_hand():
    current = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]], requires_grad=True)
    loss = ContentLoss()(0.5, current, torch.ones(1, 1, 2, 2))
    assert loss.item() == pytest.approx(0.5 * (0 + 1 + 4 + 16))
    (gradient,) = torch.autograd.grad(loss, current)
    assert gradient.flatten().tolist() == [0, 1, 2, 4]


def test_content_loss_of_the_notebook(network, features, checks):
    feats, img, _ = features
    with torch.no_grad():
        nothing = extract_features(torch.zeros_like(img), network.features)
        assert rel_error(checks["cl_out"], ContentLoss()(6e-2, feats[3], nothing[3]).numpy()) < 5e-4


def test_gram_matrix_by_hand():
    features = torch.tensor([[[[1.0, 2.0, 0.0]], [[0.0, 1.0, 3.0]]]])  # two channels of 1 x 3
    assert StyleLoss().gram_matrix(features, normalize=False).tolist() == [[[5, 2], [2, 10]]]
    assert torch.allclose(StyleLoss().gram_matrix(features), torch.tensor([[[5.0, 2.0], [2.0, 10.0]]]) / 6)


def test_gram_matrix_of_the_notebook(features, checks):
    assert rel_error(checks["gm_out"], StyleLoss().gram_matrix(features[2][5]).numpy()) < 5e-4


def test_style_loss_by_hand():
    feats = [torch.full((1, 1, 1, 2), 2.0), torch.full((1, 1, 1, 2), 3.0, requires_grad=True)]
    loss = StyleLoss()(feats, [1], [torch.tensor([[[4.0]]])], [10.0])
    assert loss.item() == pytest.approx(10 * (9 - 4) ** 2)
    assert torch.autograd.grad(loss, feats[1])[0].abs().min() > 0


def test_style_loss_of_the_notebook(features, checks):
    feats, _, of_style = features
    layers, loss = [1, 4, 6, 7], StyleLoss()
    targets = [loss.gram_matrix(of_style[i]) for i in layers]
    assert rel_error(checks["sl_out"], loss(feats, layers, targets, [300000, 1000, 15, 3]).numpy()) < 5e-4


def test_total_variation_by_hand():
    img = torch.tensor([[[[1.0, 3.0], [4.0, 4.0]]]], requires_grad=True)
    loss = TotalVariationLoss()(img, 2.0)
    assert loss.item() == pytest.approx(2 * (4 + 0 + 9 + 1))
    assert torch.autograd.grad(loss, img)[0].abs().sum() > 0


def test_total_variation_of_the_notebook(features, checks):
    assert rel_error(checks["tv_out"], TotalVariationLoss()(features[1], 2e-2).numpy()) < 5e-4


def test_update_rule_brings_a_simple_loss_down():
    class Nothing(nn.Module):
        def gram_matrix(self, features, normalize=True):
            return features.mean((2, 3))

        def forward(self, *arguments):
            return 0.0

    class Darkness(nn.Module):
        def forward(self, img, tv_weight):
            return tv_weight * (img + 1).square().sum()

    cnn = nn.Sequential(nn.Conv2d(3, 2, 1)).requires_grad_(False)
    picture = style_image("tubingen", sample=True)
    settings = ("dark", picture, picture, 12, 12, 0, 0.0, [0], [0.0], 1.0)
    img = style_transfer(*settings, Nothing(), Nothing(), Darkness(), cnn, torch.FloatTensor, testing=True)
    assert (img + 1).abs().max() < 0.2
