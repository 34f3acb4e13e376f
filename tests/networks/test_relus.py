"""Every ReLU of a network follows the rule, however it is called; what cannot be reached is refused."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from data import load_network
from image_utils.errors import InputError
from networks.no_trace import uncompiled
from networks.relus import relus_replaced
from tests.no_trace import no_trace
from tests.oracles.gradcam import guided_backprop as oracle
from tests.small_networks import random_images, tiny_net
from visualizers import CustomReLU, GradCam

guided = GradCam().guided_backprop


class Variant(nn.Module):
    """TinyNet with its ReLUs computed by any function or module `relu`."""

    def __init__(self, relu):
        super().__init__()
        net = tiny_net(dtype=torch.float64)
        self.first, self.second, self.head = net.features[0], net.features[2], net.head
        self.relu = relu

    def forward(self, x):
        x = self.relu(self.second(self.relu(self.first(x))))
        return self.head(x.mean((2, 3)))


def expected(X, y, ceiling=np.inf):
    net = Variant(None)
    parts = net.first, net.second, net.head
    return np.stack([oracle(x, int(k), *parts, ceiling=ceiling) for x, k in zip(X, y, strict=True)])


@pytest.fixture(scope="module")
def images():
    return random_images(2, 3, 9, 11, dtype=torch.float64), torch.tensor([2, 5])


@pytest.fixture(scope="module")
def answer(images):
    return expected(*images)


class Own(nn.ReLU):
    """A class of its own that inherits its forward."""


class Renamed(nn.ReLU):
    """A class whose forward is another, and calls a function."""

    def forward(self, input):
        return F.relu(input) * 1


class InPlaceUnnoticed(nn.Module):
    """Calls an in-place ReLU for its side effect."""

    def __init__(self, relu):
        super().__init__()
        self.relu = relu

    def forward(self, x):
        x = x * 1
        self.relu(x)
        return x


class Block(nn.Module):
    """Runs its part again in the backward pass."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return checkpoint(self.part, x, use_reentrant=False)


MODULES = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "subclass": Own(),
    "in place, result unused": InPlaceUnnoticed(nn.ReLU(inplace=True)),
    "checkpoint": Block(nn.ReLU()),
    "ReLU6 below its ceiling": nn.ReLU6(),
    "traced graph": torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())),
}
FUNCTIONS = {
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu in place by position": lambda x: F.relu(x, True),
    "F.relu by keyword": lambda x: F.relu(input=x),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "F.relu_": F.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "F.relu6": F.relu6,
    "overridden forward": Renamed(),
    "in place, result unused": InPlaceUnnoticed(torch.relu_),
}


class Hidden(torch.autograd.Function):
    """A ReLU in a custom Function, with the plain gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, dout):
        return dout * (ctx.saved_tensors[0] > 0)


class Masked(Hidden):
    """The same, without any operation that is called ReLU or clamp."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * (x > 0)


def overwritten(x):
    return (x * 1).masked_fill_(x < 0, 0)


HIDDEN = {
    "custom Function": Hidden.apply,
    "custom Function with a mask": Masked.apply,
    "clamp": lambda x: x.clamp(min=0),
    "clamp in place": lambda x: (x * 1).clamp_(min=0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "hardtanh": lambda x: F.hardtanh(x, 0, 20),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "mask": lambda x: x * (x > 0),
    "clamp between Tensors": lambda x: x.clamp(torch.zeros_like(x), (x.max() / 2).expand_as(x)),
    "fill in place": overwritten,
    "operator": torch.ops.aten.relu,
}


@pytest.mark.parametrize("functional", ["refuse", "guide"])
@pytest.mark.parametrize("relu", MODULES.values(), ids=MODULES)
def test_modules_follow_the_rule(images, answer, relu, functional):
    model = Variant(relu).train().requires_grad_()
    with no_trace(model, *images):
        result = guided(*images, model, functional=functional)
    np.testing.assert_allclose(result, answer, atol=1e-5 * answer.max())


@pytest.mark.parametrize("relu", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_are_refused_or_follow_the_rule(images, answer, relu):
    model = Variant(relu)
    with no_trace(model, *images), pytest.raises(InputError, match=r"2 ReLUs .*F\.relu, torch\.relu"):
        guided(*images, model)
    with no_trace(model, *images):
        result = guided(*images, model, functional="guide")
    np.testing.assert_allclose(result, answer, atol=1e-5 * answer.max())


@pytest.mark.parametrize("functional", ["refuse", "guide"])
@pytest.mark.parametrize("relu", HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_reached_is_refused(images, relu, functional):
    model = Variant(relu)
    with no_trace(model, *images), pytest.raises(InputError, match="cannot be reached"):
        guided(*images, model, functional=functional)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="torch.jit ends with Python 3.13")
@pytest.mark.parametrize("compile", [torch.jit.script, lambda m: torch.jit.trace(m, torch.randn(2, 3))])
def test_scripted_modules_are_refused(images, compile):
    model = Variant(compile(nn.Sequential(nn.ReLU())))
    for _ in range(3):  # it optimises itself from the second run on
        for functional in ("refuse", "guide"):
            with pytest.raises(InputError, match="cannot be reached"):
                guided(*images, model, functional=functional)
        model(images[0].clone().requires_grad_()).sum().backward()


def test_one_function_among_modules_is_refused(images):
    class Mixed(Variant):
        def forward(self, x):
            x = F.relu(self.second(self.relu(self.first(x))))
            return self.head(x.mean((2, 3)))

    with pytest.raises(InputError, match=r"1 ReLU of"):
        guided(*images, Mixed(nn.ReLU()))


def test_whoever_shares_an_input_rectified_in_place_sees_it_rectified(images):
    class Shared(Variant):
        def forward(self, x):
            x = self.first(x)
            y = self.relu(x)
            return self.head(self.second(x + y).mean((2, 3)))  # x is y by now

    class Separate(Shared):
        def forward(self, x):
            y = self.relu(self.first(x))
            return self.head(self.second(y + y).mean((2, 3)))

    result = guided(*images, Shared(nn.ReLU(inplace=True)))
    assert np.array_equal(result, guided(*images, Separate(nn.ReLU())))


@pytest.mark.parametrize("relu", [nn.ELU(), nn.GELU(), nn.LeakyReLU(), nn.Hardswish(), nn.Identity(), torch.abs])
def test_without_any_relu_there_is_no_guided_backpropagation(images, relu):
    with pytest.raises(InputError, match="no ReLU"):
        guided(*images, Variant(relu))


def test_other_activations_keep_their_derivative(images):
    class Mixed(Variant):
        def forward(self, x):
            x = F.silu(self.second(self.relu(self.first(x))))
            return self.head(x.mean((2, 3)))

    X, y = images
    model = Mixed(nn.ReLU())
    middle = model.relu(model.first(X)).detach().requires_grad_()
    score = model.head(F.silu(model.second(middle)).mean((2, 3))).gather(1, y[:, None]).sum()
    (signal,) = torch.autograd.grad(score, middle)
    x = X.clone().requires_grad_()
    before = model.first(x)
    (result,) = torch.autograd.grad(before, x, signal * (before > 0) * (signal > 0))
    np.testing.assert_allclose(guided(X, y, model), result.permute(0, 2, 3, 1), atol=1e-6)


@pytest.mark.parametrize("inplace", [False, True])
def test_compiled_networks(images, answer, inplace):
    model = Variant(nn.ReLU(inplace=inplace)).requires_grad_(False)
    compiled = torch.compile(model, backend="aot_eager")
    for _ in range(2):  # before it is compiled and after
        np.testing.assert_allclose(guided(*images, compiled), answer, atol=1e-5 * answer.max())
        cam = GradCam().grad_cam(*images, compiled, layer="_orig_mod.second")
        assert np.array_equal(cam, GradCam().grad_cam(*images, model, layer="second"))
        assert "Compiled" in compiled(images[0].clone().requires_grad_()).grad_fn.name()
    assert "torch._dynamo" in sys.modules


def test_the_rule_may_use_a_relu_itself(images, answer):
    class WithReLU(CustomReLU):
        @staticmethod
        def forward(ctx, x):
            output = F.relu(x)
            ctx.save_for_backward(x, output)
            return output

    X, y = images
    for relu in (nn.ReLU(), F.relu):
        model = Variant(relu)
        with relus_replaced(model, WithReLU, functional="guide"):
            x = X.clone().requires_grad_()
            model(x).gather(1, y[:, None]).sum().backward()
        np.testing.assert_allclose(x.grad.permute(0, 2, 3, 1), answer, atol=1e-5 * answer.max())


def test_someone_elses_replacement_stays(images, answer):
    model = Variant(nn.ReLU())
    model.relu.forward = CustomReLU.apply
    with no_trace(model), pytest.raises(InputError, match="cannot be reached"):
        guided(*images, model)
    model.relu.forward = F.relu
    np.testing.assert_allclose(guided(*images, model, functional="guide"), answer, atol=1e-5 * answer.max())
    assert model.relu.forward is F.relu


def test_an_unknown_choice_is_refused(images):
    with pytest.raises(InputError, match="functional must be"):
        guided(*images, Variant(F.relu), functional="skip")


# torchvision's families


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet_v2", "mobilenet_v3_small"])
def test_families_of_modules(name):
    model, X, y = load_network(name, "random"), random_images(1, 3, 64, 96), torch.tensor([3])
    result = guided(X, y, model)
    assert result.shape == (1, 64, 96, 3) and np.isfinite(result).all() and result.any()


def test_densenet_ends_in_a_function():
    model, X, y = load_network("densenet121", "random"), random_images(1, 3, 64, 96), torch.tensor([3])
    with no_trace(model, X, y), pytest.raises(InputError, match=r"1 ReLU .*functional='guide'"):
        guided(X, y, model)
    result = guided(X, y, model, functional="guide")

    class End(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.relu, self.classifier = model.features, nn.ReLU(), model.classifier

        def forward(self, x):
            return self.classifier(self.relu(self.features(x)).mean((2, 3)))

    assert np.abs(result - guided(X, y, End())).max() <= 1e-5 * np.abs(result).max()


def test_overlapping_threads_leave_compiled_networks_compiled(images):
    compiled = torch.compile(Variant(nn.ReLU()).requires_grad_(False), backend="aot_eager")

    def runs_compiled():
        return "Compiled" in compiled(images[0].clone().requires_grad_()).grad_fn.name()

    first, second = uncompiled(), uncompiled()
    assert runs_compiled()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not runs_compiled()
    second.__exit__(None, None, None)
    assert runs_compiled()


class Attentive(nn.Module):
    """A ReLU module, and one that a transformer layer calls as a function, unless nothing is differentiated."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.layer(self.stem(x).flatten(2).transpose(1, 2)).mean(1))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_relu_on_a_path_taken_only_with_gradients(n, layout):
    model, X, y = Attentive().eval().requires_grad_(False), random_images(n, 3, 16, 16), torch.zeros(n).long()
    X = X.contiguous(memory_format=layout)
    with no_trace(model, X), pytest.raises(InputError, match="1 ReLU of the network"):
        GradCam().guided_backprop(X, y, model)
    with no_trace(model, X), pytest.raises(InputError, match="1 ReLU of the network"):
        GradCam().guided_grad_cam(X, y, model, layer="stem.0")


@pytest.mark.parametrize(
    "written", [lambda x: x.clamp(min=0), lambda x: x.clamp(0, 6), lambda x: F.hardtanh(x, 0.0, 6.0)]
)
def test_the_first_image_need_not_show_it(written):
    class Handmade(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny_net(dtype=torch.float32)

        def forward(self, x):
            return self.inner(written(x))

    X, y = random_images(2, 3, 16, 16), torch.tensor([0, 1])
    X[0] = -1  # all zeros behind the ReLU
    for images in (X, X.flip(0)):
        with pytest.raises(InputError, match="1 ReLU of the network"):
            GradCam().guided_backprop(images, y, Handmade())
