"""Memory orders and shorter numbers, the caller's choice: the same maps within what they promise."""

import numpy as np
import pytest
import torch

from networks.precision import memory_layout
from networks.scores import class_scores
from tests.no_trace import no_trace
from tests.small_networks import tiny_net
from visualizers import ClassVisualization, GradCam, SaliencyMap
from visualizers.feature_visualization import log_odds

TECHNIQUES = {
    "saliency": SaliencyMap().compute_saliency_maps,
    "guided_backprop": GradCam().guided_backprop,
    "grad_cam": GradCam().grad_cam,
    "guided_grad_cam": GradCam().guided_grad_cam,
}
# Grad-CAM averages over many units; a pixel's gradient carries every rounding of its path.
CORRELATION = {"saliency": 0.9, "guided_backprop": 0.97, "grad_cam": 0.999, "guided_grad_cam": 0.97}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_in_float64_the_memory_order_does_not_matter(squeezenet, photographs, technique):
    X, y = photographs[0][:2].double(), photographs[1][:2]
    model = squeezenet.double()
    try:
        plain, last = (
            np.asarray(TECHNIQUES[technique](X.contiguous(memory_format=order), y, model))
            for order in (torch.contiguous_format, torch.channels_last)
        )
    finally:
        squeezenet.float()
    assert np.abs(plain - last).max() < 1e-6 * np.abs(plain).max()  # what is returned is float32


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_autocast_shows_the_same_map(squeezenet, photographs, technique):
    X, y = photographs[0][:3], photographs[1][:3]
    plain = np.asarray(TECHNIQUES[technique](X, y, squeezenet), dtype=np.float64)
    with torch.autocast("cpu", torch.bfloat16), no_trace(squeezenet, X, y):
        short = np.asarray(TECHNIQUES[technique](X, y, squeezenet), dtype=np.float64)
    for a, b in zip(plain, short, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > CORRELATION[technique]


@pytest.mark.parametrize(("recipe", "climbed"), [("course", class_scores), ("modern", log_odds)])
def test_class_visualization_climbs_under_autocast(squeezenet, recipe, climbed):
    """The pictures, judged in float32 by what the recipe climbs, since a view in bfloat16 says little."""
    gains = []
    for short in (False, True):
        steps = []
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            ClassVisualization().create_class_visualizations(
                [366], squeezenet, recipe=recipe, seed=0, num_iterations=12, size=128, callback=steps.append
            )
        with torch.no_grad():
            first, last = (climbed(squeezenet(s.image), torch.tensor([366])).item() for s in (steps[0], steps[-1]))
        gains.append(last - first)
    assert gains[1] > 0.5 * gains[0] > 0


class Viewing(torch.nn.Module):
    """Flattens its maps by view(), as many a course's network does."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.head = torch.nn.Linear(4 * 36, 5)

    def forward(self, x):
        maps = self.conv(x)
        return self.head(maps.view(len(maps), -1))


def test_a_network_that_reshapes_by_view_gets_the_order_it_takes(squeezenet):
    model, X = Viewing(), torch.randn(2, 3, 8, 8)
    assert memory_layout(model, X) is torch.contiguous_format
    assert memory_layout(squeezenet, torch.zeros(1, 3, 64, 64)) is torch.channels_last
    for recipe in ("course", "modern"):
        ClassVisualization().create_class_visualizations([3], model, recipe=recipe, num_iterations=2, size=8)


@pytest.mark.parametrize("recipe", ["course", "modern"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_of_half_precision(dtype, recipe):
    model = tiny_net(dtype=torch.float32).to(dtype)
    (picture,) = ClassVisualization().create_class_visualizations(
        [3], model, dtype, recipe=recipe, num_iterations=2, seed=0, size=32
    )
    assert np.isfinite(np.asarray(picture, dtype=np.float32)).all()
