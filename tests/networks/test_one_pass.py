"""Guided Grad-CAM from one forward pass: the product of the two methods, their options and their errors."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from image_utils.errors import InputError
from networks.one_pass import gradients
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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize": None},
        {"normalize": "image", "upsampling": "nearest"},
        {"target": lambda s: s[:, 2] - s[:, 5]},
    ],
)
def test_equals_the_product_of_both_methods(options):
    # Double precision: no ReLU's input is so near to zero that rounding could put it on the other side.
    model, X, y = tiny_net(), random_images(3, 3, 20, 17, dtype=torch.float64), torch.tensor([1, 6, 2])
    for_details = {k: v for k, v in options.items() if k == "target"}
    cams = GradCam().grad_cam(X, y, model, layer=LAYER, **options)
    details = GradCam().guided_backprop(X, y, model, **for_details)
    with no_trace(model, X, y):
        product = GradCam().guided_grad_cam(X, y, model, layer=LAYER, precision="fast", **options)
    assert product.dtype == np.float32 and product.any()
    np.testing.assert_allclose(product, details * cams[..., None], rtol=0, atol=1e-6 * np.abs(product).max())


def test_the_two_backward_passes_follow_different_rules():
    # Plain where guided would differ: a negative signal reaches Grad-CAM's layer.
    model, X, y = tiny_net(), random_images(2, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3])

    def score(outputs):
        return class_scores(outputs, y)

    with relus_replaced(model, CustomReLU.apply) as run:
        x = X.clone().requires_grad_()
        (guided,) = torch.autograd.grad(score(run(x)).sum(), x)
    x = X.clone().requires_grad_()
    (plain,) = torch.autograd.grad(score(model(x)).sum(), x)
    found = gradients(model, X, score, plain=True, guided=CustomReLU, layer=LAYER)
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
        (Functional, {"layer": "inner.features.2"}, "cannot be reached"),
        (lambda: tiny_net(smooth=True), {"layer": LAYER}, "no ReLU"),
        (tiny_net, {"layer": "nothing"}, "no layer"),
        (tiny_net, {"layer": LAYER, "upsampling": "sideways"}, "upsampling"),
        (tiny_net, {"layer": LAYER, "normalize": "never"}, "normalize"),
        (tiny_net, {"layer": "act"}, "more than once"),
        (tiny_net, {"layer": LAYER, "target": lambda scores: scores}, "one number an image"),
        (tiny_net, {"layer": LAYER, "target": lambda scores: torch.zeros(2)}, "does not depend"),
    ],
)
def test_refuses_what_both_methods_refuse(make, options, message):
    model, X, y = make().train(), random_images(2, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3])
    for precision in ("float32", "fast"):
        with no_trace(model, X, y), pytest.raises(InputError, match=message):
            GradCam().guided_grad_cam(X, y, model, precision=precision, **options)


def test_guides_relus_called_as_functions_on_request():
    model, X, y = Functional(), random_images(2, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3])
    options = {"layer": "inner.features.2", "functional": "guide"}
    plain, fast = (GradCam().guided_grad_cam(X, y, model, precision=p, **options) for p in ("float32", "fast"))
    np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-6 * np.abs(plain).max())
