"""Plain and guided gradient and Grad-CAM from one forward pass: what the methods give, and their errors."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from explain.one_pass import gradients
from image_utils.errors import InputError
from networks.relus import relus_replaced
from networks.scores import class_scores
from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from visualizers import GradCam
from visualizers.gradcam import CustomReLU

LAYER = "features.2"


class Functional(nn.Module):
    """Calls one ReLU as a function."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_net()

    def forward(self, x):
        return F.relu(self.inner(x) + 1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_both_methods(layout):
    # Double precision: no ReLU's input is so near to zero that rounding could put it on the other side.
    model, X, y = tiny_net(), random_images(3, 3, 20, 17, dtype=torch.float64), torch.tensor([1, 6, 2])
    X = X.contiguous(memory_format=layout)
    with no_trace(model, X, y):
        found = gradients(model, X, lambda outputs: class_scores(outputs, y), guided=True, layer=LAYER)
    cams = (found.dA.mean((2, 3), keepdim=True) * found.A).sum(1).clamp(min=0)
    expected = GradCam().grad_cam(X, y, model, layer=LAYER, upsampling=None, normalize=None)
    np.testing.assert_allclose(cams.numpy(), expected, rtol=0, atol=1e-6 * expected.max())
    details = GradCam().guided_backprop(X, y, model)
    np.testing.assert_allclose(
        found.guided.permute(0, 2, 3, 1).numpy(), details, rtol=0, atol=1e-6 * details.max()
    )


def test_the_two_backward_passes_follow_different_rules():
    # Plain where guided would differ: a negative signal reaches Grad-CAM's layer.
    model, X, y = tiny_net(), random_images(2, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3])

    def score(outputs):
        return class_scores(outputs, y)

    with relus_replaced(model, CustomReLU):
        x = X.clone().requires_grad_()
        (guided,) = torch.autograd.grad(score(model(x)).sum(), x)
    x = X.clone().requires_grad_()
    (plain,) = torch.autograd.grad(score(model(x)).sum(), x)
    found = gradients(model, X, score, plain=True, guided=True, layer=LAYER)
    assert torch.allclose(found.plain, plain, atol=1e-12) and torch.allclose(found.guided, guided, atol=1e-12)
    assert not torch.allclose(plain, guided, atol=1e-3)
    assert (found.dA < 0).any()


def test_asks_for_nothing_and_gets_nothing():
    model, X = tiny_net(), random_images(2, 3, 16, 16, dtype=torch.float64)
    found = gradients(model, X, lambda outputs: outputs[:, 0])
    assert torch.equal(found.outputs, model(X)) and not found.outputs.requires_grad
    assert found.plain is found.guided is found.A is found.dA is None


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Functional, {"layer": "inner.features.2", "functional": "refuse"}, "cannot be reached"),
        (lambda: tiny_net(smooth=True), {"layer": LAYER}, "no ReLU"),
        (tiny_net, {"layer": "nothing"}, "no layer"),
        (tiny_net, {"layer": "act"}, "more than once"),
        (tiny_net, {"layer": LAYER, "score": lambda outputs: torch.zeros(2)}, "does not depend"),
    ],
)
def test_refuses_what_the_methods_refuse(make, options, message):
    model, X = make().train(), random_images(2, 3, 16, 16, dtype=torch.float64)
    options = {"score": lambda outputs: outputs[:, 0], "guided": True} | options
    with no_trace(model, X), pytest.raises(InputError, match=message):
        gradients(model, X, **options)


def test_guides_relus_called_as_functions():
    model, X, y = Functional(), random_images(2, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3])
    found = gradients(model, X, lambda outputs: class_scores(outputs, y), guided=True)
    expected = GradCam().guided_backprop(X, y, model, functional="guide")
    np.testing.assert_allclose(
        found.guided.permute(0, 2, 3, 1).numpy(), expected, rtol=0, atol=1e-6 * expected.max()
    )
