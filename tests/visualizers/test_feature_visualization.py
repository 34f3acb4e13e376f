"""The modern recipe: each part against its definition, and pictures that survive changes and another network."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.class_visualization import CHANGES, verdict
from data import load_network
from data.networks import build_network
from data.samples import load_sample_photographs
from networks.ascent import Start
from networks.scores import pass_last_relu
from tests.small_networks import random_images, tiny_net
from visualizers import ClassVisualization
from visualizers.feature_visualization import (
    COLOUR,
    CONTRAST,
    FALL,
    ascend_spectrum,
    channels_dropped,
    inverse_frequency,
    log_odds,
    picture_from_spectrum,
    view,
)


def test_the_colours_are_those_of_the_sample_photographs():
    pixels = load_sample_photographs()[0].reshape(-1, 3) / 255
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    columns = (vectors * np.sqrt(values))[:, ::-1]
    columns = columns / np.linalg.norm(columns, axis=0).max()
    for k in range(3):  # an eigenvector's sign is free
        ours = np.array(COLOUR)[:, k]
        assert min(np.abs(ours - columns[:, k]).max(), np.abs(ours + columns[:, k]).max()) < 1e-4


def test_log_odds_are_those_of_the_softmax():
    scores, y = random_images(5, 9, dtype=torch.float64), torch.tensor([0, 8, 3, 3, 1])
    p = scores.softmax(1)[torch.arange(5), y]
    assert torch.allclose(log_odds(scores, y), (p / (1 - p)).log(), atol=1e-12)
    sure = torch.tensor([[1000.0, 0.0]])  # the softmax is 1 - 1e-400 and says no more; the odds do
    assert log_odds(sure, torch.tensor([0])).item() == 1000


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 9), (5, 4)])
def test_frequencies_fall_as_said(height, width):
    scale = inverse_frequency(height, width, dtype=torch.float64)
    assert scale.shape == (height, width // 2 + 1) and scale.square().mean().item() == pytest.approx(1)
    for i in range(height):
        for j in range(width // 2 + 1):
            fy = (i if i <= (height - 1) // 2 else i - height) / height
            f = max(math.hypot(fy, j / width), 1 / max(height, width))
            ratio = (scale[i, j] / scale[0, 0]).item()
            assert ratio == pytest.approx((f * max(height, width)) ** -FALL, rel=1e-9)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 9)])
def test_a_spectrum_becomes_the_picture_of_its_definition(height, width):
    z = random_images(2, 3, height, width // 2 + 1, 2, dtype=torch.float64)
    scale = inverse_frequency(height, width, dtype=torch.float64)
    pixels = picture_from_spectrum(z, scale, width)
    spectrum = (z[..., 0] + 1j * z[..., 1]).numpy() * scale.numpy()
    waves = np.fft.irfft2(spectrum, s=(height, width), norm="ortho")
    expected = 1 / (1 + np.exp(-CONTRAST * np.einsum("ik,nkhw->nihw", np.array(COLOUR), waves)))
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-12)
    grey = picture_from_spectrum(torch.zeros_like(z), scale, width)
    assert torch.equal(grey, torch.full_like(grey, 0.5))


def photograph_like(*shape):
    """A smooth picture, so that interpolation hardly matters."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    return torch.stack([torch.sin(2 * x + y), torch.cos(3 * y), x * y])[None]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (40, 24)])
def test_views(height, width):
    X = photograph_like(height, width)
    same = view(X, angle=0, scale=1, shift=(0, 0))
    assert (same - X).abs().max() < 1e-4
    half_turn = view(X, angle=180, scale=1, shift=(0, 0))
    assert (half_turn - X.flip(2, 3)).abs().max() < 1e-4
    moved = view(X, angle=0, scale=1, shift=(2 * 3 / width, 2 * 2 / height))  # 3 pixels and 2 pixels
    assert (moved[:, :, :-2, :-3] - X[:, :, 2:, 3:]).abs().max() < 1e-4
    twice = view(X, angle=0, scale=2, shift=(0, 0))
    centre = X[:, :, height // 4 : -height // 4, width // 4 : -width // 4]
    assert (nn.functional.avg_pool2d(twice, 2) - centre).abs().max() < 0.02
    quarter = view(X, angle=90, scale=1, shift=(0, 0))  # without distortion, also where it is not square
    n = min(height, width)
    top, left = (height - n) // 2, (width - n) // 2
    inside, turned = (v[:, :, top : top + n, left : left + n] for v in (X, quarter))
    either = min((turned - inside.rot90(k, (2, 3))).abs().max() for k in (1, -1))
    assert either < 1e-4


def test_dropped_channels_are_the_models_own_rate_shared_and_gone_afterwards():
    model = nn.Sequential(nn.Conv2d(3, 400, 1), nn.Dropout(0.25)).eval()
    start = Start(model, size=4, seed=0, dtype=torch.float32)
    X = torch.ones(2, 3, 4, 4)
    plain = model(X)
    with channels_dropped(model, start):
        dropped = model(X)
    ratio = dropped / plain
    kept = ratio[0, :, 0, 0] > 0
    assert 0.65 < kept.float().mean() < 0.85
    assert torch.allclose(ratio[:, kept], torch.tensor(4 / 3)) and (ratio[:, ~kept] == 0).all()
    assert torch.equal(model(X), plain)
    with channels_dropped(model, start):
        assert not torch.equal(model(X), dropped)


@pytest.mark.parametrize("shape", [(2, 400), (2, 400, 5), (2, 400, 2, 2, 2)])
def test_channels_are_dropped_whatever_follows_them(shape):
    model = nn.Sequential(nn.Identity(), nn.Dropout(0.5)).eval()
    with channels_dropped(model, Start(model, size=4, seed=0, dtype=torch.float32)):
        dropped = model(torch.ones(shape)).flatten(2) if len(shape) > 2 else model(torch.ones(shape))[..., None]
        alone = torch.ones(3)
        assert torch.equal(model(alone), alone)  # no channels: left as it is
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped, dropped[:1, :, :1].expand_as(dropped))


@pytest.mark.parametrize("inplace", [True, False])
def test_gradients_pass_squeezenets_last_relu(squeezenet, inplace):
    X, y = random_images(2, 3, 64, 64).requires_grad_(), torch.tensor([5, 6])
    relu = squeezenet.classifier[2]
    before, relu.inplace = relu.inplace, inplace
    try:
        scores = squeezenet(X)
        pass_last_relu(scores)
        (passed,) = torch.autograd.grad(scores.gather(1, y[:, None]).sum(), X)
    finally:
        relu.inplace = before
    class_map = squeezenet.classifier[1](squeezenet.features(X)).mean((2, 3))
    (expected,) = torch.autograd.grad(class_map.gather(1, y[:, None]).sum(), X)
    assert torch.allclose(passed, expected, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "tiny"])
def test_networks_whose_scores_do_not_end_in_a_relu_keep_their_gradient(name):
    model = tiny_net(dtype=torch.float32) if name == "tiny" else build_network(name)
    X = random_images(2, 3, 64, 64).requires_grad_()
    (expected,) = torch.autograd.grad(model(X)[:, 3].sum(), X)
    scores = model(X)
    pass_last_relu(scores)
    assert torch.equal(torch.autograd.grad(scores[:, 3].sum(), X)[0], expected)


def test_any_network_and_any_size():
    model, found = tiny_net(dtype=torch.float64), []
    for steps in (20, 1):
        start, told = Start(model, size=(20, 33), seed=0, dtype=torch.float64), []
        image = ascend_spectrum(model, 2, start, num_iterations=steps, callback=told.append)
        assert [step.iteration for step in told] == list(range(1, steps + 1))
        assert image.shape == (1, 3, 20, 33) and torch.isfinite(image).all() and not image.requires_grad
        found.append(model(image).softmax(1)[0, 2])
    assert found[0] > 1.05 * found[1]


RECOGNISED = [76, 187, 366]  # tarantula, Yorkshire terrier, gorilla


@pytest.fixture(scope="module")
def pictures(squeezenet):
    return ClassVisualization().create_class_visualizations(RECOGNISED, squeezenet, recipe="modern", seed=0)


def test_pictures_survive_rotation_scaling_and_jpeg(squeezenet, pictures):
    for name, change in CHANGES.items():
        count, first, _, p = verdict(squeezenet, [change(x) for x in pictures], torch.tensor(RECOGNISED))
        assert first == count and p > 0.9, name


def test_another_network_recognises_the_pictures(reference, pictures):
    judge = load_network(weights=reference / "squeezenet1_1_torchvision_fp16.pth")
    count, first, five, _ = verdict(judge, pictures, torch.tensor(RECOGNISED))
    assert first >= count - 1 and five == count


def test_the_judge_is_not_easily_pleased(squeezenet, rng):
    noise = [Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)) for _ in RECOGNISED]
    assert verdict(squeezenet, noise, torch.tensor(RECOGNISED))[1] == 0
