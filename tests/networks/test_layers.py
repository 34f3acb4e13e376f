"""Finding and choosing a layer, and keeping its maps."""

import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from data import load_network
from image_utils.errors import InputError
from networks.layers import default_layer, early_layer, find_layer, map_sizes, maps_kept
from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from visualizers import GradCam


def test_kept_maps_go_with_their_keeper():
    kept, model = SimpleNamespace(), tiny_net()
    with maps_kept(model.features[2], kept, cut=False):
        model(random_images(1, 3, 9, 9, dtype=torch.float64)).sum().backward()
    maps = weakref.ref(kept.output)
    del kept
    assert maps() is None


def test_finds_by_name_by_index_and_by_module(squeezenet):
    wanted = squeezenet.features[12]
    for layer in ("features.12", "features[12]", wanted):
        assert find_layer(squeezenet, layer) is wanted
    assert find_layer(squeezenet, "features[12].expand3x3") is wanted.expand3x3


def test_finds_a_repeated_module_under_each_name():
    model = tiny_net()
    assert find_layer(model, "act") is find_layer(model, "features.1") is find_layer(model, "features.3")


@pytest.mark.parametrize(
    ("layer", "near"),
    [
        ("features.13", "features.12"),
        ("feature", "features"),
        ("clasifier.1", "classifier.1"),
        ("", "features"),
        ("xyz", "classifier"),
        ("features.12.expand", "features.12.expand3x3"),
        (12, "classifier"),
        (nn.ReLU(), "not part"),
    ],
)
def test_wrong_layers_list_the_near(squeezenet, layer, near):
    with pytest.raises(InputError, match=near) as refused:
        find_layer(squeezenet, layer)
    assert "\n" not in str(refused.value)


DEFAULTS = {
    "squeezenet1_1": ("features.12", 13),
    "squeezenet1_0": ("features.12", 13),
    "resnet18": ("layer4.1", 7),
    "vgg11": ("features", 7),
    "mobilenet_v2": ("features.18", 7),
    "mobilenet_v3_small": ("features.12", 7),
    "densenet121": ("features", 7),
    "alexnet": ("features", 6),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_layers(name):
    model, X = load_network(name, "random"), random_images(2, 3, 224, 224)
    with no_trace(model, X):
        layer, early = default_layer(model, X), early_layer(model, X)
    assert layer == DEFAULTS[name][0]
    found = {}
    for key in (layer, early):
        handle = find_layer(model, key).register_forward_hook(
            lambda m, i, out, key=key: found.update({key: tuple(out.shape)})
        )
        with torch.no_grad():
            model(X[:1])
        handle.remove()
    assert found[layer][2] == found[layer][3] == DEFAULTS[name][1]
    assert found[early][2] >= 45


def test_class_score_maps_are_no_maps(squeezenet):
    sizes = map_sizes(squeezenet, random_images(1, 3, 96, 160))
    assert not any(name.startswith("classifier") for name in sizes)
    assert sizes["features.12"] == (5, 9)


def test_a_map_is_told_from_what_an_in_place_relu_makes_of_it():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.body(x).mean((2, 3)))

    assert list(map_sizes(Net(), random_images(1, 3, 9, 9))) == ["body.0", "body"]


def test_a_network_without_maps_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(27, 2))
    for choose in (default_layer, early_layer):
        with no_trace(model), pytest.raises(InputError, match="no layer"):
            choose(model, random_images(1, 3, 3, 3))


def test_no_trace_when_the_forward_pass_raises():
    model = tiny_net(dtype=torch.float32).train()
    with no_trace(model), pytest.raises(RuntimeError):
        map_sizes(model, random_images(1, 4, 9, 9))


@pytest.mark.parametrize("cut", [True, False])
def test_maps_and_their_gradient_are_kept(cut):
    model, X = tiny_net(), random_images(1, 3, 9, 9, dtype=torch.float64).requires_grad_()
    scores, kept = model(X).detach(), SimpleNamespace()
    model.requires_grad_(False)
    with no_trace(model), maps_kept(model.features[2], kept, cut=cut):
        found = model(X)
        assert torch.equal(found, scores) and kept.gradient_value is None
        found[0, 3].backward(inputs=[kept.activation_value, X] if not cut else None)
    maps = model.features[2](model.features[:2](X)).detach()
    assert maps.min() < 0  # the in-place ReLU that follows would overwrite these
    assert torch.equal(kept.activation_value, maps)
    alone = maps.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model.head(model.act(alone.clone()).mean((2, 3)))[0, 3], alone)
    assert torch.allclose(kept.gradient_value, expected, atol=1e-12) and expected.any()
    assert (X.grad is None) == cut  # below the layer nothing is differentiated
    kept.activation_value *= 2  # as a student may weight the maps


def test_a_layer_that_runs_twice_is_refused():
    model, X = tiny_net(dtype=torch.float32), random_images(1, 3, 9, 9)
    with (
        no_trace(model, X),
        pytest.raises(InputError, match="more than once"),
        maps_kept(model.act, SimpleNamespace()),
    ):
        model(X)


def test_a_layer_that_does_not_run_or_does_not_matter_is_refused():
    from visualizers import GradCam

    model, X, y = tiny_net(dtype=torch.float32), random_images(1, 3, 9, 9), torch.tensor([1])
    model.spare = nn.Conv2d(3, 3, 1)
    with no_trace(model, X), pytest.raises(InputError, match="did not run"):
        GradCam().grad_cam(X, y, model, layer="spare")
    model.features[2].register_forward_hook(lambda module, args, output: output.detach())

    class Ignores(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            self.model.spare(x)
            return self.model(x)

    with pytest.raises(InputError, match="does not depend"):
        GradCam().grad_cam(X, y, Ignores(), layer="model.spare")


def test_channels_last_inside_the_network():
    model, X = load_network("swin_t", "random"), random_images(1, 3, 224, 224)
    assert {(name, *size) for name, size in map_sizes(model, X).items()} == {("features.0.0", 56, 56)}
    for images in (X, X.contiguous(memory_format=torch.channels_last)):
        maps = GradCam().grad_cam(images, [1], model, layer="features.1", upsampling=None)
        assert maps.shape == (1, 56, 56)


def test_a_compiled_network_and_one_that_ends_otherwise():
    wrapped = torch.compile(load_network())
    cam = GradCam().grad_cam(random_images(1, 3, 64, 64), [1], wrapped)
    assert cam.shape == (1, 64, 64)
    model = nn.Sequential()
    model.features = nn.Sequential(nn.Conv2d(3, 4, 3), *[nn.Identity() for _ in range(11)], nn.Flatten())
    assert default_layer(model.features, random_images(1, 3, 8, 8)) == "0"
