"""A network whose first layer overwrites its input gets what its out-of-place twin gets, and spoils no image."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from visualizers import ClassVisualization, FoolingImage, GradCam, SaliencyMap

TARGETS = torch.tensor([1, 5])
NAMES = {k: str(k) for k in range(7)}
TECHNIQUES = {
    "saliency": lambda X, model: SaliencyMap().compute_saliency_maps(X, TARGETS, model),
    "guided_backprop": lambda X, model: GradCam().guided_backprop(X, TARGETS, model),
    "grad_cam": lambda X, model: GradCam().grad_cam(X, TARGETS, model, layer="1"),
    "guided_grad_cam": lambda X, model: GradCam().guided_grad_cam(X, TARGETS, model, layer="1"),
    "course's fooling image": lambda X, model: FoolingImage().make_fooling_image(X, TARGETS, model),
    "minimal fooling image": lambda X, model: (
        FoolingImage().make_minimal_fooling_image(X, TARGETS, model, steps=5).images
    ),
    "class visualization": lambda X, model: ClassVisualization().create_class_visualization(
        3, NAMES, model, torch.FloatTensor, num_iterations=3, seed=0, size=32
    ),
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_equals_the_twin_out_of_place(technique, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # class visualization shows its steps in a folder of the working directory
    tail = tiny_net(dtype=torch.float32)
    X, compute = random_images(2, 3, 16, 16), TECHNIQUES[technique]
    results = []
    for inplace in (True, False):
        model = nn.Sequential(nn.ReLU(inplace=inplace), tail.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        with no_trace(model, X):
            results.append(np.asarray(compute(X, model)))
    assert np.array_equal(*results) and results[0].any()
