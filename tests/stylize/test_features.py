"""Features: each layer's own values, the deeper ones on demand, in other orders of memory and shorter numbers."""

import pytest
import torch
from PIL import Image
from torch import nn

from data.style_images import style_image
from image_utils.errors import InputError
from style_utils import preprocess
from stylize.features import Features, extract_features, out_of_place
from tests.no_trace import no_trace
from tests.small_networks import random_images


def features_and_gradient(cnn, precision):
    """The features of a photograph, and how their mean squares in the course's style layers change with it."""
    x = preprocess(Image.open(style_image("tubingen", sample=True)), 96).requires_grad_()
    feats = extract_features(x, cnn, precision=precision)
    (gradient,) = torch.autograd.grad(sum(feats[i].square().mean() for i in (1, 4, 6, 7)), x)
    return [feature.detach() for feature in feats], gradient


def test_another_order_of_memory_changes_rounding_only(cnn):
    (plain, gradient), (fast, fast_gradient) = (features_and_gradient(cnn, p) for p in ("float32", "fast"))
    for a, b in zip(plain, fast, strict=True):
        assert (a - b).norm() <= 1e-5 * a.norm()
    assert (gradient - fast_gradient).norm() <= 1e-3 * gradient.norm()


def test_shorter_numbers_round_three_times_a_layer(cnn):
    """Image, weights and result, each by 2^-9 at most; in a flat sky another pixel may win a max-pool."""
    (plain, gradient), (short, short_gradient) = (features_and_gradient(cnn, p) for p in ("float32", "bf16"))
    for i, (a, b) in enumerate(zip(plain, short, strict=True)):
        assert b.dtype == torch.float32 and not torch.equal(a, b)
        assert (a - b).norm() <= 3 * 2**-9 * (i + 1) * a.norm()
    assert (gradient * short_gradient).sum() > 0.5 * gradient.norm() * short_gradient.norm()


def test_unknown_precision(cnn):
    with pytest.raises(InputError, match="precision"):
        extract_features(random_images(1, 3, 40, 40), cnn, precision="fp8")


def plain_features(x, cnn):
    feats = []
    for layer in cnn:
        x = layer(x.clone())
        feats.append(x)
    return feats


def test_every_layer_keeps_its_own_values(cnn):
    x = random_images(1, 3, 40, 40)
    assert extract_features(x, cnn)[0].min() < 0
    inner = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)))
    assert torch.equal(extract_features(x, inner)[0], inner[0](x))


@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_deeper_layers_are_computed_when_they_are_looked_at(cnn, precision):
    x = random_images(1, 3, 64, 64).requires_grad_()
    expected = plain_features(x, cnn)
    feats = extract_features(x, cnn, up_to=4, precision=precision)
    assert isinstance(feats, Features) and len(feats) == len(cnn)
    assert len(feats._found) == 5
    for i in (2, 4, 9, -1, 11):
        assert (feats[i] - expected[i]).norm() <= 1e-5 * expected[i].norm()
    assert [f.shape for f in feats] == [f.shape for f in expected]
    assert [f.shape for f in feats[3:-1:4]] == [f.shape for f in expected[3:-1:4]]
    assert feats[6] is feats[6]
    (found,) = torch.autograd.grad(sum(f.square().mean() for f in feats), x)
    (wanted,) = torch.autograd.grad(sum(f.square().mean() for f in expected), x)
    assert (found - wanted).norm() < 1e-4 * wanted.norm()
    for index in (13, -14):
        with pytest.raises(IndexError):
            feats[index]


def test_what_is_looked_at_later_belongs_to_the_image_as_it_was(cnn):
    x = random_images(1, 3, 40, 40)
    expected = extract_features(x, cnn)
    feats = extract_features(x, cnn, up_to=3)
    x.zero_()
    assert torch.equal(feats[12], expected[12])


def test_gradients_flow_only_where_they_are_wanted(cnn):
    x = random_images(1, 3, 40, 40).requires_grad_()
    extract_features(x, cnn, up_to=4)[4].sum().backward()
    assert x.grad.abs().sum() > 0
    with torch.no_grad():
        feats = extract_features(x, cnn, up_to=2)
    assert not feats[1].requires_grad and not feats[5].requires_grad


def test_a_layer_that_passes_its_input_on_does_not_hide_it_from_an_in_place_one():
    cnn = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(), nn.Identity(), nn.ReLU(inplace=True), nn.Flatten(2))
    x = random_images(1, 3, 4, 4)
    before = cnn[0](x)
    assert torch.equal(extract_features(x, cnn)[0], before)
    passed_on = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    untouched = x.clone()
    extract_features(x, passed_on)
    assert torch.equal(x, untouched)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Parameter(random_images(1, 4, 8, 8))

    def forward(self, x):
        return self.map


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu, self.conv = nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.conv(self.relu(x)) + x


OVERWRITING = {
    "convolution": [nn.ReLU(inplace=True)],
    "a parameter": [Constant(), nn.ReLU(inplace=True)],
    "needed for the gradient": [nn.Sigmoid(), nn.ReLU(inplace=True)],
    "twice": [nn.ReLU(inplace=True), nn.ReLU6(inplace=True)],
    "twice in one layer": [nn.Sequential(nn.Tanh(), nn.LeakyReLU(inplace=True))],
    "used once more": [Residual()],
}


@pytest.mark.parametrize("layers", OVERWRITING.values(), ids=OVERWRITING)
def test_features_and_gradient_do_not_depend_on_when_they_are_computed(layers):
    cnn = nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.Conv2d(4, 4, 1))
    results = []
    for up_to in (None, len(layers), 0):
        x = random_images(1, 3, 8, 8).requires_grad_()
        with no_trace(cnn):
            last = extract_features(x, cnn, up_to=up_to)[-1]
        if last.requires_grad:  # a frozen parameter does not
            last.sum().backward()
        results.append((last, torch.zeros(()) if x.grad is None else x.grad))
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_an_image_too_small_for_a_deep_layer_is_refused_there_each_time(cnn):
    feats = extract_features(random_images(1, 3, 9, 9), cnn, up_to=3)
    assert feats[3].shape[1] == 128
    for _ in range(2):
        with pytest.raises(InputError, match="9 x 9"):
            feats[12]
    assert torch.equal(feats[3], extract_features(random_images(1, 3, 9, 9), cnn, up_to=3)[3])


def test_flags_of_in_place_layers_come_back():
    cnn = nn.Sequential(nn.ReLU(inplace=True), nn.ReLU(), nn.Sequential(nn.Dropout(inplace=True)))
    with pytest.raises(RuntimeError, match="on purpose"), out_of_place(cnn):
        assert not any(getattr(part, "inplace", False) for part in cnn.modules())
        raise RuntimeError("on purpose")
    assert [getattr(part, "inplace", None) for part in cnn.modules()] == [None, True, False, None, True]
    x = random_images(1, 3, 4, 4)
    before = x.clone()
    extract_features(x, cnn)
    assert torch.equal(x, before)
