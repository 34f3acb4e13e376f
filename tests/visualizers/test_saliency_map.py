"""Saliency maps against the definition, Captum, and wrong solutions."""

import numpy as np
import pytest
import torch
from captum.attr import Saliency
from PIL import Image

from image_utils.errors import InputError
from tests.no_trace import no_trace
from tests.oracles.saliency import saliency_map as oracle
from tests.small_networks import BreaksInBackward, random_images, tiny_net
from visualizers import SaliencyMap

compute = SaliencyMap().compute_saliency_maps


@pytest.mark.parametrize("smooth", [True, False])
def test_equals_definition_by_finite_differences(smooth):
    model = tiny_net(smooth=smooth)
    X, y = random_images(3, 3, 9, 7, dtype=torch.float64), torch.tensor([2, 0, 6])
    expected = np.stack([oracle(model, x, int(label)) for x, label in zip(X, y, strict=True)])
    np.testing.assert_allclose(compute(X, y, model).numpy(), expected, atol=1e-5)


def captum_map(model, X, y):
    return Saliency(model).attribute(X.clone().requires_grad_(), target=y).amax(1)


def test_equals_captum_on_photographs(squeezenet, photographs):
    X, y = photographs
    assert (compute(X, y, squeezenet) - captum_map(squeezenet, X, y)).abs().max() <= 1e-6


@pytest.mark.parametrize("shape", [(1, 3, 224, 224), (2, 3, 160, 256)])
def test_equals_captum_on_one_and_on_non_square(squeezenet, shape):
    X, y = random_images(*shape), torch.arange(shape[0]) + 5
    result = compute(X, y, squeezenet)
    assert result.shape == (shape[0], *shape[2:])
    assert (result - captum_map(squeezenet, X, y)).abs().max() <= 1e-6


def test_batch_equals_single_images(precise_squeezenet, photographs):
    X, y = photographs[0].double(), photographs[1]
    together = compute(X, y, precise_squeezenet)
    alone = torch.cat([compute(X[i : i + 1], y[i : i + 1], precise_squeezenet) for i in range(len(X))])
    assert torch.allclose(together, alone, rtol=1e-9, atol=1e-12)


def test_leaves_no_trace(photographs):
    X, y = photographs[0][:2].clone().requires_grad_(), photographs[1][:2]
    X.grad = torch.ones_like(X)
    model = tiny_net(dtype=torch.float32).train()
    with no_trace(model, X, y):
        first = compute(X, y % 7, model)
    with torch.no_grad(), no_trace(model, X, y):
        assert torch.equal(compute(X, y % 7, model), first)  # dropout off: the same every time


def test_leaves_no_trace_after_an_exception():
    model, X = BreaksInBackward(), random_images(2, 3, 9, 9)
    with no_trace(model, X), pytest.raises(RuntimeError, match="on purpose"):
        compute(X, torch.tensor([0, 1]), model)


def test_works_inside_inference_mode():
    model, X, y = tiny_net(dtype=torch.float32), random_images(1, 3, 9, 9), torch.tensor([1])
    expected = compute(X, y, model)
    with torch.inference_mode():
        assert torch.equal(compute(X.clone(), y.clone(), model), expected)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (torch.zeros(3, 9, 9), torch.tensor([0])),
        (torch.zeros(0, 3, 9, 9), torch.zeros(0, dtype=torch.int64)),
        (torch.zeros(1, 3, 9, 9, dtype=torch.uint8), torch.tensor([0])),
        (np.zeros((1, 3, 9, 9), np.float32), torch.tensor([0])),
        (torch.zeros(2, 3, 9, 9), torch.tensor([0])),
        (torch.zeros(1, 3, 9, 9), torch.tensor([7])),
        (torch.zeros(1, 3, 9, 9), torch.tensor([-1])),
        (torch.zeros(1, 3, 9, 9), torch.tensor([0.5])),
    ],
)
def test_refuses_what_does_not_fit(X, y):
    with pytest.raises(InputError):
        compute(X, y, tiny_net(dtype=torch.float32))


def _top_class(X, y, model):
    return compute(X, model(X).argmax(1), model)


def _mean_over_channels(X, y, model):
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).gather(1, y[:, None]).sum(), x)
    return gradient.abs().mean(1)


def _signed_maximum(X, y, model):
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).gather(1, y[:, None]).sum(), x)
    return gradient.amax(1)


def _of_the_loss(X, y, model):
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(x), y), x)
    return gradient.abs().amax(1)


@pytest.mark.parametrize("mutant", [_top_class, _mean_over_channels, _signed_maximum, _of_the_loss])
def test_the_oracle_catches_the_classic_mistake(mutant):
    model, X, y = tiny_net(), random_images(1, 3, 9, 7, dtype=torch.float64), torch.tensor([2])
    assert int(model(X).argmax()) != 2
    expected = oracle(model, X[0], 2)
    assert np.abs(mutant(X, y, model)[0].detach().numpy() - expected).max() > 1e-3 * expected.max()


def test_show_writes_the_figure(tmp_path, squeezenet, rng):
    X = rng.integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    SaliencyMap().show_saliency_maps(X, [3, 4], {3: "three", 4: "four"}, squeezenet, out=tmp_path)
    with Image.open(tmp_path / "saliency_map.png") as figure:
        assert figure.width > 400
    assert [file.name for file in tmp_path.iterdir()] == ["saliency_map.png"]


def test_labels_of_any_integer_type_and_of_no_other():
    model, X = tiny_net(dtype=torch.float32), random_images(2, 3, 16, 16)
    expected = SaliencyMap().compute_saliency_maps(X, torch.tensor([1, 5]), model)
    for y in ([1, 5], np.array([1, 5], np.uint16), np.array([1, 5], np.uint8), torch.tensor([1, 5]).int()):
        assert torch.equal(SaliencyMap().compute_saliency_maps(X, y, model), expected)
    for y in (None, ["cat", "dog"], torch.tensor([True, False]), [0.5, 1.5], [1], [1, 7], [[1, 5]]):
        with pytest.raises(InputError, match="labels must"):
            SaliencyMap().compute_saliency_maps(X, y, model)
