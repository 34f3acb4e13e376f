"""Features in other orders of memory and shorter numbers: the same losses, the same way down."""

import pytest
import torch
from torch import nn

from data.style_images import style_image
from image_utils.errors import InputError
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_modules.style_loss import SelfProduct
from style_utils import style_transfer
from stylize.features import extract_features, out_of_place
from stylize.settings import COURSE_SETTINGS
from tests.no_trace import no_trace
from tests.small_networks import random_images

LOSSES = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
FILES = style_image("tubingen", sample=True), style_image("the_scream", sample=True)


def two_evaluations(cnn, **changes):
    """The start, the first losses, the image after a first step along the gradient, and its losses."""
    settings = {**COURSE_SETTINGS["scream_tubingen"], "image_size": 96, "style_size": 120}
    steps = []
    arguments = {"dtype": torch.float32, "testing": True, "solver": "lbfgs", "steps": 2, "callback": steps.append}
    style_transfer("name", *FILES, **settings, **LOSSES, cnn=cnn, **arguments, **changes)
    return steps


# bfloat16 has 8 significant bits; measured here: losses within 1 %, the first step within 14 %.
@pytest.mark.parametrize(("precision", "loss", "direction"), [("fast", 1e-5, 1e-4), ("bf16", 0.02, 0.2)])
def test_precision_changes_rounding_only(squeezenet, precision, loss, direction):
    plain, other = (two_evaluations(squeezenet.features, precision=p) for p in ("float32", precision))
    for a, b in zip(plain, other, strict=True):
        assert b.losses == pytest.approx(a.losses, rel=loss)
        assert b.image.dtype == torch.float32 and b.image.shape == a.image.shape
    moved, moved_otherwise = (steps[1].image - steps[0].image for steps in (plain, other))
    assert moved.norm() > 0
    assert (moved - moved_otherwise).norm() < direction * moved.norm()


def test_unknown_precision(squeezenet):
    with pytest.raises(InputError, match="precision"):
        two_evaluations(squeezenet.features, precision="fp8")


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_the_gradient_of_a_product_with_itself_in_both_orders(check):
    features = random_images(2, 3, 5, 2, dtype=torch.float64)
    for order in (torch.contiguous_format, torch.channels_last):
        assert check(SelfProduct.apply, (features.clone(memory_format=order).requires_grad_(),))


def test_the_gradient_keeps_the_order_of_memory():
    f = random_images(1, 8, 6, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(StyleLoss().gram_matrix(f).square().sum(), f)
    plain = f.detach().contiguous().requires_grad_()
    (expected,) = torch.autograd.grad(StyleLoss().gram_matrix(plain).square().sum(), plain)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    assert not gradient._is_view()  # autograd adds in place to what is no view
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("shape", [(2, 8, 6, 7), (1, 8, 1, 1), (2, 1, 6, 7), (1, 1, 1, 1)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_batches_and_of_single_places_and_channels(shape, order):
    f = random_images(*shape, dtype=torch.float64).contiguous(memory_format=order).requires_grad_()
    rows = f.flatten(2)
    (expected,) = torch.autograd.grad((rows @ rows.mT).pow(3).sum(), f)
    (gradient,) = torch.autograd.grad(StyleLoss().gram_matrix(f, normalize=False).pow(3).sum(), f)
    torch.testing.assert_close(gradient, expected)


LAYOUTS = {
    "height and width exchanged": lambda f: f.transpose(2, 3),
    "rows apart": lambda f: f.permute(0, 2, 1, 3).contiguous().permute(0, 2, 1, 3),
    "a part of a map": lambda f: f[:, 1:, 1:-1, ::2],
    "one value, repeated": lambda f: f[:, :, :1, :1].expand(f.shape),
    "images innermost": lambda f: f.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_gradient_of_maps_that_lie_otherwise(layout):
    f = layout(random_images(2, 4, 6, 5, dtype=torch.float64)).detach().requires_grad_()
    rows = f.flatten(2)
    (expected,) = torch.autograd.grad((rows @ rows.mT).pow(3).sum(), f)
    (gradient,) = torch.autograd.grad(StyleLoss().gram_matrix(f, normalize=False).pow(3).sum(), f)
    torch.testing.assert_close(gradient, expected)


def test_only_what_is_kept_is_protected_from_in_place_layers(squeezenet):
    x = random_images(1, 3, 64, 64)
    every = extract_features(x, squeezenet.features)
    for wanted in ({1, 4}, {0, 4}, {3}):
        some = extract_features(x, squeezenet.features, wanted=wanted)
        assert len(some) == max(wanted) + 1
        for i, feature in enumerate(some):
            assert (feature is None) == (i not in wanted)
            assert feature is None or torch.equal(feature, every[i])


def test_a_layer_that_passes_its_input_on_does_not_hide_it_from_an_in_place_one():
    cnn = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(), nn.Identity(), nn.ReLU(inplace=True), nn.Flatten(2))
    x = random_images(1, 3, 4, 4)
    before = cnn[0](x)
    assert torch.equal(extract_features(x, cnn, wanted={0, 3})[0], before)
    passed_on = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    untouched = x.clone()
    extract_features(x, passed_on, wanted={1})
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
def test_features_and_gradient_do_not_depend_on_what_else_is_wanted(layers):
    cnn = nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.Conv2d(4, 4, 1))
    results = []
    for wanted in (None, {len(layers) + 1}, {1, len(layers) + 1}):
        x = random_images(1, 3, 8, 8).requires_grad_()
        with no_trace(cnn):
            last = extract_features(x, cnn, wanted=wanted)[-1]
        if last.requires_grad:  # a frozen parameter does not
            last.sum().backward()
        results.append((last, torch.zeros(()) if x.grad is None else x.grad))
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_no_layers_no_features():
    assert extract_features(random_images(1, 3, 8, 8), nn.Sequential()) == []


def test_the_gram_gradient_under_autocast_and_for_many_signals_at_once():
    f = random_images(1, 4, 5, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    gram = StyleLoss().gram_matrix
    (expected,) = torch.autograd.grad(gram(f).square().sum(), f)
    with torch.autocast("cpu", torch.bfloat16):
        (gradient,) = torch.autograd.grad(gram(f).float().square().sum(), f)
    assert gradient.dtype == torch.float32
    assert (gradient - expected).norm() < 0.02 * expected.norm()
    at_once, one_by_one = (torch.autograd.functional.jacobian(gram, f, vectorize=v) for v in (True, False))
    torch.testing.assert_close(at_once, one_by_one)


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
