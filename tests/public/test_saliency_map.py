"""Saliency maps beside Captum, and Captum alone."""

import torch
from captum.attr import Saliency

import saliency_map
from visualizers.saliency_map import SaliencyMap


def test_saliency_maps_equal_captum(network, images):
    X, y = images
    maps = SaliencyMap().compute_saliency_maps(X, y, network)
    expected = Saliency(network).attribute(X.clone().requires_grad_(), target=y).amax(1)
    assert maps.shape == (2, 128, 128) and torch.allclose(maps, expected, atol=1e-5)


def test_captum_saliency_writes_its_figure(inputs):
    saliency_map.captum_saliency(inputs)
    assert (inputs.out / "saliency_captum.png").is_file()
