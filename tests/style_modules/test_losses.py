"""The three losses against their definitions, finite differences and wrong solutions."""

import ast
import inspect
import textwrap

import numpy as np
import pytest
import torch

from image_utils.errors import InputError
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from tests.oracles import style as oracle
from tests.small_networks import random_images

SHAPES = [(1, 3, 4, 4), (2, 4, 3, 5), (1, 1, 1, 1), (3, 2, 1, 6)]
content_loss, style_loss, tv_loss = ContentLoss(), StyleLoss(), TotalVariationLoss()
gram_matrix = style_loss.gram_matrix
WEIGHTS = [2.0, 0.5]


def maps(*shape, seed=0):
    return random_images(*shape, seed=seed, dtype=torch.float64)


def feature_lists(seed=0):
    """Features of three layers, and targets for the first and the last."""
    feats = [maps(2, 3, 4, 5, seed=seed), maps(2, 9, 9, 9), maps(2, 4, 2, 3, seed=seed + 1)]
    targets = [gram_matrix(maps(2, 3, 6, 6, seed=8)), gram_matrix(maps(2, 4, 5, 7, seed=9))]
    return feats, targets


@pytest.mark.parametrize("shape", SHAPES)
def test_content_loss_equals_its_definition(shape):
    F, P = maps(*shape), maps(*shape, seed=1)
    assert content_loss(6e-2, F, P).item() == pytest.approx(oracle.content_loss(6e-2, F.numpy(), P.numpy()), 1e-6)
    assert content_loss(6e-2, F, P).shape == ()


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gram_matrix_equals_its_definition(shape, normalize):
    F = maps(*shape)
    expected = oracle.gram_matrix(F.numpy(), normalize)
    np.testing.assert_allclose(gram_matrix(F, normalize).numpy(), expected, rtol=1e-6, atol=1e-12)


def test_gram_matrix_is_normalised_by_default_and_takes_any_memory_layout():
    F = maps(2, 4, 3, 5)
    assert torch.equal(gram_matrix(F), gram_matrix(F, normalize=True))
    assert torch.allclose(gram_matrix(F.to(memory_format=torch.channels_last)), gram_matrix(F), atol=1e-12)


def test_style_loss_equals_its_definition():
    feats, targets = feature_lists()
    expected = oracle.style_loss([f.numpy() for f in feats], [0, 2], [t.numpy() for t in targets], WEIGHTS)
    assert style_loss(feats, [0, 2], targets, WEIGHTS).item() == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_total_variation_equals_its_definition(shape):
    img = maps(*shape)
    assert tv_loss(img, 2e-2).item() == pytest.approx(oracle.total_variation(img.numpy(), 2e-2), 1e-6)


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients_once_and_twice(check):
    F, P = maps(2, 3, 3, 4).requires_grad_(), maps(2, 3, 3, 4, seed=1).requires_grad_()
    target = gram_matrix(maps(2, 3, 5, 5, seed=2))
    assert check(lambda f, p: content_loss(0.3, f, p), (F, P))
    assert check(gram_matrix, (F,))
    assert check(lambda f: style_loss([f], [0], [target], [0.7]), (F,))
    assert check(lambda f: tv_loss(f, 0.2), (F,))


def test_float32_and_half_keep_their_type():
    for dtype in (torch.float32, torch.bfloat16):
        F = maps(1, 3, 4, 4).to(dtype)
        values = (content_loss(1.0, F, F), gram_matrix(F), tv_loss(F, 1.0))
        assert all(value.dtype == dtype for value in values)


def loops(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    kinds = (ast.For, ast.While, ast.comprehension)
    calls = {"map", "range", "sum", "enumerate", "zip", "reduce"}
    named = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") in calls]
    return [n for n in ast.walk(tree) if isinstance(n, kinds)] + named


def test_loops_only_over_layers():
    assert not loops(TotalVariationLoss.forward)
    assert not loops(StyleLoss.gram_matrix)
    assert not loops(ContentLoss.forward)
    assert len([n for n in loops(StyleLoss.forward) if isinstance(n, ast.For)]) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: content_loss(1.0, maps(1, 3, 4, 4), maps(1, 3, 4, 5)),
        lambda: content_loss(1.0, maps(1, 3, 4, 4), maps(1, 1, 4, 4)),  # would broadcast
        lambda: content_loss(1.0, maps(3, 4, 4), maps(3, 4, 4)),
        lambda: content_loss(1.0, [1.0], maps(1, 3, 4, 4)),
        lambda: gram_matrix(maps(3, 4, 4)),
        lambda: gram_matrix(torch.zeros(1, 3, 4, 4, dtype=torch.uint8)),
        lambda: gram_matrix(torch.zeros(1, 0, 4, 4)),
        lambda: tv_loss(maps(4, 4), 1.0),
        lambda: tv_loss(np.zeros((1, 3, 4, 4)), 1.0),
        lambda: style_loss([], [], [], []),
        lambda: style_loss(*_style_arguments(layers=[0])),
        lambda: style_loss(*_style_arguments(layers=[0, 3])),
        lambda: style_loss(*_style_arguments(layers=[0, 1])),
        lambda: style_loss(*_style_arguments(weights=[1.0])),
        lambda: style_loss(feature_lists()[0], [0], [torch.zeros(1, 3, 3)], [1.0]),  # would broadcast
        lambda: style_loss(feature_lists()[0], [0], [None], [1.0]),
    ],
)
def test_refuses_what_does_not_fit(call):
    with pytest.raises(InputError):
        call()


def _style_arguments(layers=(0, 2), weights=(1.0, 1.0)):
    feats, targets = feature_lists()
    return feats, layers, targets, weights


def _gram_transposed(f):
    n, c, h, w = f.shape
    f = f.reshape(n, c, h * w)
    return f.transpose(1, 2) @ f / (c * h * w)


def _gram_not_normalised(f):
    n, c, h, w = f.shape
    f = f.reshape(n, c, h * w)
    return f @ f.transpose(1, 2)


def _gram_mixes_images(f):
    n, c, h, w = f.shape
    f = f.reshape(n * c, h * w)
    return (f @ f.T / (c * h * w)).reshape(n, c, -1)[:, :, :c]


@pytest.mark.parametrize("mutant", [_gram_transposed, _gram_not_normalised, _gram_mixes_images])
def test_the_oracle_catches_wrong_gram_matrices(mutant):
    F = maps(2, 3, 2, 4)
    expected, found = oracle.gram_matrix(F.numpy()), mutant(F).numpy()
    assert found.shape != expected.shape or np.abs(found - expected).max() > 1e-3


@pytest.mark.parametrize(
    "mutant",
    [
        lambda w, f, p: ((f - p) ** 2).sum(),
        lambda w, f, p: w * ((f - p) ** 2).mean(),
        lambda w, f, p: w * (f - p).abs().sum(),
        lambda w, f, p: 0.5 * w * ((f - p) ** 2).sum(),
    ],
)
def test_the_oracle_catches_wrong_content_losses(mutant):
    F, P = maps(2, 3, 4, 5), maps(2, 3, 4, 5, seed=1)
    expected = oracle.content_loss(6e-2, F.numpy(), P.numpy())
    assert abs(mutant(6e-2, F, P).item() - expected) > 1e-3 * expected


@pytest.mark.parametrize(
    "mutant",
    [
        lambda x, w: ((x[..., 1:] - x[..., :-1]) ** 2).sum() + ((x[..., 1:, :] - x[..., :-1, :]) ** 2).sum(),
        lambda x, w: w * ((x[..., 1:] - x[..., :-1]) ** 2).sum(),
        lambda x, w: w * ((x[..., 1:, 1:] - x[..., :-1, :-1]) ** 2).sum(),
        lambda x, w: w * (((x - x.roll(1, 3)) ** 2).sum() + ((x - x.roll(1, 2)) ** 2).sum()),
    ],
)
def test_the_oracle_catches_wrong_total_variations(mutant):
    img = maps(2, 3, 4, 5)
    expected = oracle.total_variation(img.numpy(), 2e-2)
    assert abs(mutant(img, 2e-2).item() - expected) > 1e-3 * expected


@pytest.mark.parametrize(
    "detached",
    [
        lambda x: tv_loss(x.detach(), 0.2).requires_grad_(),
        lambda x: torch.tensor(tv_loss(x, 0.2).item(), requires_grad=True, dtype=x.dtype),
    ],
)
def test_the_gradient_check_catches_a_detached_loss(detached):
    """Its value is right, its gradient is not: only the gradient can tell."""
    img = maps(1, 3, 3, 4).requires_grad_()
    assert detached(img).item() == pytest.approx(tv_loss(img, 0.2).item())
    with pytest.raises((RuntimeError, ValueError)):
        torch.autograd.gradcheck(detached, (img,))
