"""HiRes-CAM and Layer-CAM against their definitions, and where they equal Grad-CAM."""

import numpy as np
import pytest
import torch
from torch import nn

from image_utils.errors import InputError
from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from visualizers import GradCam
from visualizers.cam_variants import hires_cam, layer_cam

RAW = {"upsampling": None, "normalize": None}


class MapsThenHead(nn.Module):
    """A network in two halves, so that a layer's maps can be had, and differentiated by, one after the other."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.maps, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 5 * 7, 6)
        self.eval()

    def forward(self, x):
        return self.head(self.maps(x).tanh().flatten(1))


def by_definition(method, model, x, label):
    """The formula for one image, place by place."""
    A = model.maps(x[None]).detach().requires_grad_()
    (dA,) = torch.autograd.grad(model.head(A.tanh().flatten(1))[0, label], A)
    _, K, height, width = A.shape
    heat = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            gradients = [dA[0, k, i, j].item() for k in range(K)]
            if method is layer_cam:
                gradients = [max(g, 0.0) for g in gradients]
            heat[i, j] = max(sum(g * A[0, k, i, j].item() for k, g in enumerate(gradients)), 0.0)
    return heat


@pytest.mark.parametrize("method", [hires_cam, layer_cam])
def test_equals_the_definition(method):
    model, X, y = MapsThenHead().double(), random_images(2, 3, 7, 9, dtype=torch.float64), torch.tensor([1, 4])
    expected = [by_definition(method, model, x, int(t)) for x, t in zip(X, y, strict=True)]
    np.testing.assert_allclose(method(X, y, model, layer="maps", **RAW), np.stack(expected), rtol=1e-5, atol=1e-7)


def test_hires_cam_equals_grad_cam_where_the_gradient_is_the_same_everywhere():
    """Behind a global average, as in TinyNet, every place has the same gradient."""
    model, X, y = tiny_net(dtype=torch.float32), random_images(2, 3, 20, 24), torch.tensor([2, 5])
    where = {"layer": "features", **RAW}
    np.testing.assert_allclose(
        hires_cam(X, y, model, **where), GradCam().grad_cam(X, y, model, **where), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("method", [hires_cam, layer_cam])
def test_contract(method, squeezenet, photographs):
    X, y = (side[:2] for side in photographs)
    with no_trace(squeezenet, X, y):
        maps = method(X, y, squeezenet, normalize="image")
    assert maps.shape == (2, 224, 224) and maps.dtype == np.float32 and maps.min() == 0 and maps.max() == 1
    with pytest.raises(InputError, match="did you mean"):
        method(X, y, squeezenet, layer="features.99")
    with pytest.raises(InputError, match="labels"):
        method(X, torch.tensor([0, 1000]), squeezenet)
