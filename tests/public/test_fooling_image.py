"""A fooling image fools, and leaves the original."""

import torch

from visualizers.fooling_image import FoolingImage


def test_fooling_image_fools_and_leaves_the_original(network, images):
    X = images[0][:1]
    before = X.clone()
    fooled = FoolingImage().make_fooling_image(X, 6, network)
    assert fooled.shape == X.shape and torch.equal(X, before)
    assert network(fooled).argmax().item() == 6
