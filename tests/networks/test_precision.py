"""The faster ways to compute: the same maps within what they promise, and nothing left behind."""

import numpy as np
import pytest
import torch

from image_utils.errors import InputError
from networks.no_trace import untouched
from tests.no_trace import no_trace
from tests.small_networks import tiny_net
from visualizers import ClassVisualization, GradCam, SaliencyMap
from visualizers.class_visualization import gradient_step

TECHNIQUES = {
    "saliency": SaliencyMap().compute_saliency_maps,
    "guided_backprop": GradCam().guided_backprop,
    "grad_cam": GradCam().grad_cam,
    "guided_grad_cam": GradCam().guided_grad_cam,
}
# Grad-CAM averages over many units; a pixel's gradient carries every rounding of its path.
CORRELATION = {"saliency": 0.9, "guided_backprop": 0.97, "grad_cam": 0.999, "guided_grad_cam": 0.97}


@pytest.fixture(params=TECHNIQUES)
def maps(request, squeezenet, photographs):
    X, y = photographs[0][:3], photographs[1][:3]

    def compute(precision):
        with no_trace(squeezenet, X, y):
            return np.asarray(TECHNIQUES[request.param](X, y, squeezenet, precision=precision)).astype(np.float64)

    return request.param, compute


def test_fast_equals_plain(maps):
    _, compute = maps
    plain, fast = compute("float32"), compute("fast")
    for a, b in zip(plain, fast, strict=True):
        error = np.abs(a - b) / np.abs(a).max()
        # A unit whose input rounds to the other side of zero, or a tie in a max-pool, moves the pixels below it.
        assert np.median(error) < 1e-6
        assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(a)


def test_bf16_shows_the_same_map(maps):
    name, compute = maps
    for a, b in zip(compute("float32"), compute("bf16"), strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > CORRELATION[name]


def test_in_float64_the_memory_order_does_not_matter(squeezenet, photographs):
    X, y = photographs[0][:2].double(), photographs[1][:2]
    model = squeezenet.double()
    try:
        plain, fast = (TECHNIQUES["saliency"](X, y, model, precision=p) for p in ("float32", "fast"))
    finally:
        squeezenet.float()
    assert (plain - fast).abs().max() < 1e-10 * plain.max()


def test_unknown_precision(squeezenet, photographs):
    for technique in TECHNIQUES.values():
        with no_trace(squeezenet, *photographs), pytest.raises(InputError, match="bf16"):
            technique(*photographs, squeezenet, precision="fp16")
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("precision", "bound"), [("fast", 1e-3), ("bf16", 0.5)])
def test_a_step_of_class_visualization_goes_the_same_way(squeezenet, precision, bound):
    X = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([366, 76])
    settings = {"l2_reg": 1e-3, "learning_rate": 25}
    with untouched(squeezenet):
        plain, scores = gradient_step(squeezenet, X, targets, **settings)
        other, others = gradient_step(squeezenet, X, targets, **settings, precision=precision)
    assert other.dtype == others.dtype == torch.float32
    assert (other - plain).norm() <= bound * (plain - X).norm()
    assert (others - scores).norm() <= 0.02 * scores.norm()


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_class_visualization_takes_each_precision(squeezenet, recipe):
    climbed = {}
    for precision in ("float32", "fast", "bf16"):
        steps = []
        ClassVisualization().create_class_visualizations(
            [366], squeezenet, recipe=recipe, seed=0, num_iterations=12, precision=precision, callback=steps.append
        )
        climbed[precision] = steps[-1].scores[0] - steps[0].scores[0]
    assert climbed["fast"] > 0.5 * climbed["float32"] > 0
    assert climbed["bf16"] > 0.5 * climbed["float32"]


class Viewing(torch.nn.Module):
    """Flattens its maps by view(), as many a course's network does."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.head = torch.nn.Linear(4 * 36, 5)

    def forward(self, x):
        maps = self.conv(x)
        return self.head(maps.view(len(maps), -1))


def test_a_network_that_reshapes_by_view_is_told_so():
    model, X, y = Viewing(), torch.randn(2, 3, 8, 8), torch.tensor([0, 4])
    assert SaliencyMap().compute_saliency_maps(X, y, model).any()
    with no_trace(model, X, y), pytest.raises(InputError, match="reshape"):
        SaliencyMap().compute_saliency_maps(X, y, model, precision="fast")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_modern_recipe_takes_networks_of_half_precision(dtype):
    model = tiny_net(dtype=torch.float32).to(dtype)
    (picture,) = ClassVisualization().create_class_visualizations(
        [3], model, dtype, recipe="modern", num_iterations=2, seed=0, size=32
    )
    assert np.isfinite(np.asarray(picture, dtype=np.float32)).all()
