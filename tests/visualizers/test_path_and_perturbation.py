"""Integrated Gradients, SmoothGrad, occlusion and RISE against their definitions and Captum."""

from unittest import mock

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency

from image_utils.errors import InputError
from image_utils.masks import random_masks
from networks.seeding import make_generator
from tests.no_trace import no_trace
from tests.oracles import attribution as oracle
from tests.small_networks import BreaksInBackward, LinearNet, random_images, tiny_net
from visualizers.integrated_gradients import completeness_gap, integrated_gradients
from visualizers.occlusion import occlusion
from visualizers.rise import rise
from visualizers.smoothgrad import smoothgrad

DOUBLE = {"dtype": torch.float64}
QUICK = {  # each method as (X, y, model) -> Tensor (N, ...)
    "integrated_gradients": lambda X, y, model: integrated_gradients(X, y, model, steps=4),
    "smoothgrad": lambda X, y, model: smoothgrad(X, y, model, samples=3),
    "occlusion": lambda X, y, model: occlusion(X, y, model, window=4, stride=3),
    "rise": lambda X, y, model: rise(X, y, model, count=6, cells=3),
}


@pytest.fixture
def smooth():
    return tiny_net(smooth=True), random_images(2, 3, 9, 7, **DOUBLE), torch.tensor([2, 6])


def test_integrated_gradients_equal_the_definition(smooth):
    model, X, y = smooth[0], smooth[1][:, :, 2:7, 1:6], smooth[2]
    baseline = random_images(1, 3, 5, 5, seed=8, **DOUBLE)
    expected = [
        oracle.integrated_gradients(model, x, int(t), baseline[0], steps=20) for x, t in zip(X, y, strict=True)
    ]
    found = integrated_gradients(X, y, model, baseline=baseline)
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=2e-3 * np.abs(expected).max())


def test_integrated_gradients_are_complete(smooth):
    model, X, y = smooth
    few, many = (
        completeness_gap(integrated_gradients(X, y, model, steps=steps), X, y, model) for steps in (1, 60)
    )
    assert (many < 1e-3).all() and (many < few / 10).all()
    linear = LinearNet((3, 9, 7))
    assert (completeness_gap(integrated_gradients(X, y % 4, linear, steps=1), X, y % 4, linear) < 1e-12).all()


def test_integrated_gradients_equal_captum(squeezenet, photographs):
    X, y = (side[:2] for side in photographs)
    ours = integrated_gradients(X, y, squeezenet, steps=6)
    theirs = IntegratedGradients(squeezenet).attribute(X, target=y, n_steps=6)
    assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


def test_smoothgrad_equals_the_definition(smooth):
    model, X, y = smooth
    noise = random_images(3, 3, 9, 7, seed=9, **DOUBLE)
    expected = [
        oracle.smoothgrad(model, x, int(t), 0.2 * (x.max() - x.min()), noise) for x, t in zip(X, y, strict=True)
    ]
    found = smoothgrad(X, y, model, level=0.2, noise=noise)
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=1e-7)


def test_smoothgrad_equals_captum_given_the_same_noise(squeezenet, photographs):
    X, y = photographs[0][:1], photographs[1][:1]
    noise = random_images(3, *X.shape[1:], seed=2)
    sigma = 0.15 * (X.max() - X.min())
    with mock.patch("torch.normal", lambda mean, std: noise * std):
        theirs = NoiseTunnel(Saliency(squeezenet)).attribute(
            X.clone().requires_grad_(), target=y, nt_samples=3, stdevs=sigma.item(), abs=False
        )
    ours = smoothgrad(X, y, squeezenet, noise=noise)
    assert (ours - theirs).norm() <= 1e-3 * theirs.norm()


def test_smoothgrad_draws_normal_noise_of_its_level():
    model, X, y = LinearNet((3, 9, 7)), random_images(1, 3, 9, 7, **DOUBLE), torch.tensor([1])
    np.testing.assert_allclose(smoothgrad(X, y, model)[0], model.weight[1].detach())  # the gradient is constant
    seen = []
    model.register_forward_hook(lambda module, args, output: seen.append(args[0].detach() - X))
    smoothgrad(X, y, model, samples=100, level=0.1)
    assert torch.stack(seen).std() == pytest.approx(0.1 * (X.max() - X.min()).item(), rel=0.05)


@pytest.mark.parametrize(
    ("window", "stride", "size"), [(4, 3, (9, 7)), (3, 3, (9, 6)), (5, 1, (6, 8)), (9, 4, (5, 8))]
)
def test_occlusion_equals_the_definition_and_captum(window, stride, size):
    model, X, y = tiny_net(), random_images(2, 3, *size, **DOUBLE), torch.tensor([2, 6])
    expected = [oracle.occlusion(model, x, int(t), window, stride) for x, t in zip(X, y, strict=True)]
    found = occlusion(X, y, model, window=window, stride=stride)
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=1e-12)
    if window <= min(size):
        theirs = Occlusion(model).attribute(
            X, target=y, sliding_window_shapes=(3, window, window), strides=(3, stride, stride)
        )
        np.testing.assert_allclose(found.numpy(), theirs.mean(1).numpy(), atol=1e-6)


def test_occlusion_refuses_gaps_between_squares(smooth):
    for stride in (0, 5):
        with pytest.raises(InputError, match="stride"):
            occlusion(smooth[1], smooth[2], smooth[0], window=4, stride=stride)


def test_rise_equals_the_definition(smooth):
    model, X, y = smooth
    masks = random_masks(20, (9, 7), make_generator(0), cells=3, smooth=True).double()
    expected = [oracle.rise(model, x, int(t), masks) for x, t in zip(X, y, strict=True)]
    np.testing.assert_allclose(rise(X, y, model, count=20, cells=3).numpy(), np.stack(expected), rtol=1e-9)


def test_the_masks_of_rise_are_enlarged_cells_shifted_by_less_than_one():
    """Section 3.2: h x w cells are enlarged to (h + 1) C_H x (w + 1) C_W, and H x W of that are cut out."""
    masks = random_masks(2000, (21, 28), make_generator(0), cells=3, keep=0.5, smooth=True)
    for dim, cell in ((1, 7), (2, 10)):  # the steepest slope: from a cell to its neighbour
        assert masks.diff(dim=dim).abs().max().item() == pytest.approx(3 / (4 * cell), rel=1e-4)
    assert masks.min() == 0 and masks.max().item() == pytest.approx(1)
    assert (masks.mean((0, 1, 2)) - 4 / 9).abs() < 0.01  # four of nine cells


def test_rise_finds_the_only_corner_that_counts():
    model, X = LinearNet((3, 28, 28), classes=2), torch.ones(1, 3, 28, 28, **DOUBLE)
    model.weight.data.zero_()
    model.weight.data[0, :, :8, 20:] = 0.01
    heat = rise(X, torch.tensor([0]), model, count=1000)[0]
    assert heat[:8, 20:].mean() > heat.mean() + 3 * heat[12:, :16].std()


@pytest.mark.parametrize("method", QUICK.values(), ids=QUICK)
def test_contract(method):
    model, X, y = (
        tiny_net().train(),
        random_images(3, 3, 12, 9, **DOUBLE).requires_grad_(),
        torch.tensor([2, 0, 6]),
    )
    X.grad = torch.ones_like(X)
    with no_trace(model, X, y):
        together = method(X, y, model)
    assert not together.requires_grad and together.shape[-2:] == (12, 9) and together.dtype == X.dtype
    singles = torch.cat([method(X[n : n + 1], y[n : n + 1], model) for n in range(3)])
    np.testing.assert_allclose(together, singles, atol=1e-12)
    with torch.inference_mode():
        assert torch.equal(method(X.detach().clone(), y, model), together)
    with torch.no_grad():
        assert torch.equal(method(X, y, model), together)
    for wrong in (X[0], X.detach().to(torch.uint8), X[:0]):
        with no_trace(model, X), pytest.raises(InputError):
            method(wrong, y, model)
    with no_trace(model, X), pytest.raises(InputError):
        method(X, torch.tensor([2, 0, 7]), model)


@pytest.mark.parametrize("name", ["integrated_gradients", "smoothgrad"])
def test_leaves_no_trace_after_an_exception(name):
    model, X = BreaksInBackward(), random_images(2, 3, 9, 9)
    with no_trace(model, X), pytest.raises(RuntimeError, match="on purpose"):
        QUICK[name](X, torch.tensor([0, 1]), model)
