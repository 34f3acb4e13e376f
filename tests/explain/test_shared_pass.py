"""One pass for all methods gives what each method's own function gives."""

import copy
import itertools

import pytest
import torch
from torch import nn

from explain.shared_pass import METHODS, explain_batch, make_ready, try_out
from image_utils.errors import InputError
from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from visualizers import GradCam, SaliencyMap

FIRST = torch.full((3,), -1)


def alone(model, x, y, layer):
    """Each image by itself through the visualizers' own functions: the definition of what is stored."""
    options = {"functional": "guide"}
    cam = {"layer": layer, "normalize": "image"}
    singles = list(zip(x.split(1), y.split(1), strict=True))
    return {
        "saliency": [SaliencyMap().compute_saliency_maps(a, b, model)[0].numpy() for a, b in singles],
        "guided_backprop": [GradCam().guided_backprop(a, b, model, **options)[0] for a, b in singles],
        "gradcam": [GradCam().grad_cam(a, b, model, **cam)[0] for a, b in singles],
        "guided_gradcam": [GradCam().guided_grad_cam(a, b, model, **options, **cam)[0] for a, b in singles],
    }


def assert_close(maps, expected, tolerance):
    for method, own in expected.items():
        for got, wanted in zip(maps[method], own, strict=True):
            scale = max(abs(wanted).max(), 1e-30)
            assert got.dtype == "float32" and got.shape == wanted.shape
            assert abs(got - wanted).max() <= tolerance * scale, method


class Functional(nn.Module):
    """ReLUs called as functions, and one that is applied in place to the layer's own output."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_net(dtype=torch.float64)
        self.conv = nn.Conv2d(3, 3, 3, padding=1, dtype=torch.float64)

    def forward(self, x):
        return self.inner(torch.relu_(self.conv(x)))


@pytest.mark.parametrize("make", [tiny_net, Functional])
def test_equals_each_method_alone(make):
    # Double precision: no ReLU's input is so near to zero that rounding could put it on the other side.
    torch.manual_seed(0)
    model = make()
    layer = "features.2" if make is tiny_net else "conv"
    x, y = random_images(3, 3, 20, 17, dtype=torch.float64), torch.tensor([1, 6, 2])
    expected = alone(model, x, y, layer)
    with no_trace(model, x, y):
        scores, labels, maps = explain_batch(model, x, y, METHODS, layer)
    assert torch.equal(labels, y) and torch.allclose(scores.double(), model(x), atol=1e-6)
    assert list(maps) == list(METHODS)
    assert_close(maps, expected, 1e-6)


@pytest.mark.parametrize("methods", [c for n in (1, 2, 3) for c in itertools.combinations(METHODS, n)])
def test_any_choice_of_methods(methods):
    model, x, y = tiny_net(), random_images(2, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3])
    _, _, every = explain_batch(model, x, y, METHODS, "features.2")
    _, _, some = explain_batch(model, x, y, methods, "features.2")
    assert tuple(some) == methods
    assert_close(some, {method: every[method] for method in methods}, 1e-6)


def test_one_forward_pass(monkeypatch):
    model, passes = tiny_net(), []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x: passes.append(len(x)) or forward(x))
    explain_batch(model, random_images(3, 3, 16, 16, dtype=torch.float64), FIRST, METHODS, "features.2")
    assert passes == [1, 3]  # one image alone, to see that the rule reaches every ReLU; then the batch


def test_minus_one_is_the_networks_own_choice():
    model, x = tiny_net(), random_images(3, 3, 16, 16, dtype=torch.float64)
    y = torch.tensor([-1, 4, -1])
    _, labels, maps = explain_batch(model, x, y, METHODS, "features.2")
    top = model(x).argmax(1)
    assert labels.tolist() == [top[0], 4, top[2]]
    assert_close(maps, alone(model, x, labels, "features.2"), 1e-6)


def test_the_embedded_network(precise_squeezenet, photographs):
    model = make_ready(copy.deepcopy(precise_squeezenet), torch.device("cpu"))
    x, y = photographs[0][2:5].double(), photographs[1][2:5]
    _, _, maps = explain_batch(model, x.to(memory_format=torch.channels_last), y, METHODS, "features.12")
    assert_close(maps, alone(precise_squeezenet, x, y, "features.12"), 1e-6)


def test_grad_cams_layer_and_the_number_of_classes_are_found(squeezenet):
    assert try_out(make_ready(copy.deepcopy(squeezenet), torch.device("cpu")), METHODS, 224) == (
        {},
        "features.12",
        1000,
    )


def test_what_cannot_work_is_known_first():
    with pytest.raises(InputError, match="does not take images of 224 x 224"):
        try_out(nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), ["saliency"], 224)
    with pytest.raises(InputError, match="no ReLU"):
        try_out(tiny_net(smooth=True, dtype=torch.float32), ["guided_backprop"], 32)
    assert try_out(tiny_net(dtype=torch.float32), ["saliency"], 32) == ({}, None, 7)


class Flat(nn.Module):
    """No layer of it makes maps."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 9), nn.ReLU(), nn.Linear(9, 4))

    def forward(self, x):
        return self.layers(x)


def test_methods_that_do_not_apply_are_named_and_left_out():
    guided = {"guided_backprop", "guided_gradcam"}
    reasons, layer, _ = try_out(tiny_net(smooth=True, dtype=torch.float32), METHODS, 32)
    assert reasons.keys() == guided and all("no ReLU" in reason for reason in reasons.values())
    assert layer == "features"
    reasons, layer, classes = try_out(Flat(), METHODS, 8)
    assert reasons.keys() == {"gradcam", "guided_gradcam"} and (layer, classes) == (None, 4)
    assert all("no layer" in reason for reason in reasons.values())
    reasons, layer, _ = try_out(tiny_net(smooth=True, dtype=torch.float32), ["saliency", "guided_gradcam"], 32)
    assert reasons.keys() == {"guided_gradcam"} and layer is None


def test_a_layer_that_does_not_matter():
    model = tiny_net()
    with pytest.raises(InputError, match="no layer"):
        explain_batch(model, random_images(1, 3, 16, 16, dtype=torch.float64), FIRST[:1], METHODS, "nothing")


def test_another_class_is_subtracted():
    model, x, y, other = tiny_net(dtype=torch.float32), random_images(2, 3, 10, 13), torch.tensor([2, 0]), 5

    def target(scores):
        return scores.gather(1, y.view(-1, 1))[:, 0] - scores[:, other]

    _, _, maps = explain_batch(model, x, y, ["saliency", "guided_backprop", "gradcam"], "features.2", other=other)
    expected = {
        "saliency": SaliencyMap().compute_saliency_maps(x, y, model, target=target).numpy(),
        "guided_backprop": GradCam().guided_backprop(x, y, model, target=target, functional="guide"),
        "gradcam": GradCam().grad_cam(x, y, model, target=target, layer="features.2", normalize="image"),
    }
    assert_close(maps, expected, 1e-5)
