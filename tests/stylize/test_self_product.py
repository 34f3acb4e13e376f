"""The fast gradient of F F^T: equal to autograd's own, for every way to write it and every order of memory."""

import pytest
import torch

from style_modules import StyleLoss
from stylize.self_product import SelfProduct, self_products
from tests.small_networks import random_images

WAYS = {
    "as the course has it": lambda F: torch.bmm(F, F.permute(0, 2, 1)),
    "matmul": lambda F: torch.matmul(F, F.transpose(1, 2)),
    "operator": lambda F: F @ F.mT,
    "method": lambda F: F.bmm(F.transpose(-1, -2)),
}
OTHERS = {
    "another factor": lambda F: F @ (2 * F).transpose(1, 2),
    "a detached factor": lambda F: F @ F.detach().transpose(1, 2),
    "the other way round": lambda F: F.transpose(1, 2) @ F,
    "not transposed": lambda F: F[:, :, : F.shape[1]] @ F[:, :, : F.shape[1]],
    "the same memory, another graph": lambda F: F @ (F.detach().requires_grad_() * 1).transpose(1, 2),
    "einsum": lambda F: torch.einsum("nik,njk->nij", F, F),
    "a number": lambda F: F @ F[0].T,
}
LAYOUTS = {
    "contiguous": lambda f: f,
    "channels last": lambda f: f.contiguous(memory_format=torch.channels_last),
    "height and width exchanged": lambda f: f.transpose(2, 3),
    "rows apart": lambda f: f.permute(0, 2, 1, 3).contiguous().permute(0, 2, 1, 3),
    "a part of a map": lambda f: f[:, 1:, 1:-1, ::2],
    "one value, repeated": lambda f: f[:, :, :1, :1].expand(f.shape),
    "images innermost": lambda f: f.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    "one image, channels last": lambda f: f[:1].contiguous(memory_format=torch.channels_last),
    "one channel": lambda f: f[:1, :1].contiguous(memory_format=torch.channels_last),
    "one place": lambda f: f[:1, :, :1, :1],
}


def value_and_gradient(product, features, fast):
    leaf = features.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    F = (leaf * 1).flatten(2)
    with self_products() if fast else torch.enable_grad():
        result = product(F)
    (gradient,) = torch.autograd.grad(result.pow(3).sum(), leaf)
    return result, gradient


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_value_and_gradient_are_autograds_own(way, layout):
    features = layout(random_images(2, 4, 6, 5, dtype=torch.float64))
    (expected, gradient), (fast, fast_gradient) = (
        value_and_gradient(way, features, fast) for fast in (False, True)
    )
    assert isinstance(fast.grad_fn, SelfProduct._backward_cls), "not recognised"
    torch.testing.assert_close(fast, expected)
    torch.testing.assert_close(fast_gradient, gradient)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_products_run_as_they_are(other):
    features = random_images(2, 4, 6, 5, dtype=torch.float64)
    (expected, gradient), (found, found_gradient) = (
        value_and_gradient(other, features, fast) for fast in (False, True)
    )
    assert not isinstance(found.grad_fn, SelfProduct._backward_cls)
    assert torch.equal(found, expected) and torch.equal(found_gradient, gradient)


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
@pytest.mark.parametrize("layout", ["contiguous", "one image, channels last"])
def test_differentiable_twice(check, layout):
    def gram(x):
        with self_products():
            return StyleLoss().gram_matrix(x * 1)

    assert check(gram, (LAYOUTS[layout](random_images(2, 3, 3, 2, dtype=torch.float64)).requires_grad_(),))


def test_the_gradient_keeps_the_order_of_memory():
    f = random_images(1, 8, 6, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    with self_products():
        gram = StyleLoss().gram_matrix(f * 1)
    (gradient,) = torch.autograd.grad(gram.square().sum(), f)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_under_autocast_and_for_many_signals_at_once():
    def gram(x):
        with self_products():
            return StyleLoss().gram_matrix(x * 1)

    f = random_images(1, 4, 5, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    (expected,) = torch.autograd.grad(gram(f).square().sum(), f)
    with torch.autocast("cpu", torch.bfloat16):
        result = gram(f).float().square().sum()
    (gradient,) = torch.autograd.grad(result, f)
    assert gradient.dtype == torch.float32
    assert (gradient - expected).norm() < 0.02 * expected.norm()
    at_once, one_by_one = (torch.autograd.functional.jacobian(gram, f, vectorize=v) for v in (True, False))
    torch.testing.assert_close(at_once, one_by_one)


def test_without_a_graph_there_is_nothing_to_do():
    f = random_images(1, 4, 5, 6)
    with self_products():
        found = StyleLoss().gram_matrix(f)
    assert torch.equal(found, StyleLoss().gram_matrix(f)) and found.grad_fn is None
