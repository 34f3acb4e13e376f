"""Everything runs as on a card: no tensor is made or drawn beside it, and none is read from it without a move."""

import contextlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from explain.shared_pass import METHODS, explain_batch
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import style_transfer
from stylize.features import extract_features
from stylize.solvers import STEPS
from tests.one_card import OneCard, WouldFailOnACard
from tests.small_networks import random_images, tiny_net
from trust import deletion, insertion, max_sensitivity, mu_fidelity, weight_sensitivity
from trust.class_sensitivity import class_sensitivity
from trust.controls import make_controls
from visualizers import ClassVisualization, FoolingImage, GradCam, SaliencyMap
from visualizers.cam_variants import hires_cam, layer_cam
from visualizers.integrated_gradients import completeness_gap, integrated_gradients
from visualizers.occlusion import occlusion
from visualizers.rise import rise
from visualizers.smoothgrad import smoothgrad

CAM = {"layer": "features.2"}


def saliency(X, y, model):
    return SaliencyMap().compute_saliency_maps(X, y, model)


ATTRIBUTIONS = {
    "saliency": saliency,
    "guided backprop": lambda X, y, model: GradCam().guided_backprop(X, y, model),
    "Grad-CAM": lambda X, y, model: GradCam().grad_cam(X, y, model, **CAM),
    "guided Grad-CAM": lambda X, y, model: GradCam().guided_grad_cam(X, y, model, **CAM),
    "HiRes-CAM": lambda X, y, model: hires_cam(X, y, model, **CAM),
    "Layer-CAM": lambda X, y, model: layer_cam(X, y, model, **CAM),
    "integrated gradients": lambda X, y, model: integrated_gradients(X, y, model, steps=2),
    "completeness": lambda X, y, model: completeness_gap(X, X, y, model),
    "occlusion": lambda X, y, model: occlusion(X, y, model, window=8, stride=8),
    "RISE": lambda X, y, model: rise(X, y, model, count=4, cells=3),
    "SmoothGrad": lambda X, y, model: smoothgrad(X, y, model, samples=2),
    "explain": lambda X, y, model: explain_batch(model, X, y, METHODS, "features.2"),
}
ATTACKS = {
    "the course's fooling image": lambda X, model: FoolingImage().make_fooling_image(X[:1], 3, model),
    "minimal fooling": lambda X, model: FoolingImage().make_minimal_fooling_image(X, 3, model, steps=3),
}
MEASURES = {
    "deletion": lambda X, y, model: deletion(model, X, y, saliency(X, y, model), steps=3),
    "insertion": lambda X, y, model: insertion(model, X, y, saliency(X, y, model), steps=3),
    "mu-fidelity": lambda X, y, model: mu_fidelity(model, X, y, saliency(X, y, model)),
    "max-sensitivity": lambda X, y, model: max_sensitivity(saliency, model, X, y),
    "class sensitivity": lambda X, y, model: class_sensitivity(saliency, model, X, y),
    "weight sensitivity": lambda X, y, model: weight_sensitivity(saliency, model, X, y),
    "controls": lambda X, y, model: [control(X, y, model) for control in make_controls().values()],
}


@pytest.fixture
def model():
    return tiny_net(dtype=torch.float32)


X, Y = random_images(2, 3, 32, 32), torch.tensor([1, 2])


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_attributions(model, name):
    with OneCard():
        ATTRIBUTIONS[name](X, Y, model)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks(model, name):
    with OneCard():
        ATTACKS[name](X, model)


@pytest.mark.parametrize("name", MEASURES)
def test_measures(model, name):
    with OneCard():
        MEASURES[name](X, Y, model)


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_class_visualization(model, recipe):
    settings = {"recipe": recipe, "num_iterations": 3, "size": 32, "seed": 0}
    with OneCard():
        ClassVisualization().create_class_visualizations([1, 4], model, **settings)


@pytest.fixture
def cnn():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU())


def test_losses(cnn):
    img = random_images(1, 3, 16, 16).requires_grad_()
    with OneCard():
        features = extract_features(img, cnn)
        goal = [StyleLoss().gram_matrix(features[1]).detach()]
        total = ContentLoss()(0.1, features[1], features[1].detach() + 1)
        total = total + StyleLoss()(features, [1], goal, [2.0]) + TotalVariationLoss()(img, 0.1)
        total.backward()


@pytest.mark.parametrize("solver", STEPS)
@pytest.mark.parametrize("init_random", [False, True])
def test_style_transfer(cnn, solver, init_random):
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)) for _ in range(2)]
    losses = ContentLoss(), StyleLoss(), TotalVariationLoss()
    with OneCard():
        style_transfer(
            "x", *pictures, 24, 24, 1, 0.1, [1, 3], [10.0, 10.0], 0.01, *losses, cnn, torch.float32,
            init_random=init_random, testing=True, solver=solver, steps=3,
        )  # fmt: skip


MISTAKES = {
    "zeros made on the host": lambda x: x + torch.zeros(2, 3),
    "zeros of the host written to": lambda x: torch.zeros(2, 3).add_(x),
    "values of a list": lambda x: x * torch.tensor([1.0, 2.0, 3.0]),
    "numpy()": lambda x: x.numpy(),
    "np.asarray": lambda x: np.asarray(x),
    "a generator of the CPU": lambda x: torch.randn(2, generator=torch.Generator(), device=x.device),
    "noise that is not moved": lambda x: x + torch.randn(2, 3, generator=torch.Generator()),
    "host values indexed": lambda x: torch.arange(5)[x.long().clamp(0, 1)],
}
RIGHT = {
    "zeros like": lambda x: x + torch.zeros_like(x) + torch.zeros(2, 3, device=x.device),
    "a number": lambda x: x * torch.tensor(2.0),
    "moved first": lambda x: x.cpu().double().numpy() + np.asarray(x.to("cpu")),
    "noise that is moved": lambda x: x + torch.randn(2, 3, generator=torch.Generator()).to(x),
    "an index of the host": lambda x: x[torch.tensor([0, 1])],
}


@pytest.mark.parametrize(
    ("line", "fails"), [(line, True) for line in MISTAKES] + [(line, False) for line in RIGHT]
)
def test_the_imitation_refuses_what_a_card_refuses(line, fails):
    expected = pytest.raises(WouldFailOnACard) if fails else contextlib.nullcontext()
    x = random_images(2, 3)
    with expected, OneCard():
        (MISTAKES | RIGHT)[line](x)
