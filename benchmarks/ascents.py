"""Class visualization, seconds for the assignment's six classes: ours beside the course's loop.

The course's loop is written from its text: one picture at a time, blurred by SciPy on the host.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from benchmarks.class_visualization import CLASSES
from benchmarks.measure import Row, alternate
from data import load_network
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD
from visualizers import ClassVisualization

STEPS = 100


def measure_rows(*, rounds=3, device="cpu", classes=CLASSES, steps=STEPS):
    """Measure the six ascents.

    Args:
        rounds: counted rounds of each contestant.
        device: torch.device or name.
        classes: class indices.
        steps: of each ascent.

    Yields:
        benchmarks.measure.Row.
    """
    model = load_network().to(device).requires_grad_(False)

    def ours():
        return ClassVisualization().create_class_visualizations(classes, model, num_iterations=steps, seed=0)

    def ours_shorter():
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            return ours()

    contestants = {
        "ours": ours,
        "ours, bfloat16": ours_shorter,
        "course's loop": lambda: [course_loop(target, model, steps, device) for target in classes],
    }
    times = alternate(contestants, rounds=rounds, device=device)
    yield Row(f"class visualization, {len(classes)} classes x {steps} steps, {torch.device(device).type}", times)


def course_loop(target, model, steps, device, *, l2_reg=1e-3, rate=25, blur_every=10, max_jitter=16):
    """Climb as the course's notebook does."""
    rng = np.random.default_rng(0)
    low, high = ((v - SQUEEZENET_MEAN) / SQUEEZENET_STD for v in (0, 1))
    img = torch.randn(1, 3, 224, 224, device=device).requires_grad_()
    for t in range(steps):
        across, down = (int(k) for k in rng.integers(0, max_jitter, 2))
        img.data.copy_(rolled(img.data, across, down))
        score = model(img)[0, target] - l2_reg * (img**2).sum()
        score.backward()
        img.data += rate * img.grad / img.grad.norm()
        img.grad.zero_()
        img.data.copy_(rolled(img.data, -across, -down))
        for channel in range(3):
            img.data[:, channel].clamp_(float(low[channel]), float(high[channel]))
        if t % blur_every == 0:
            host = img.data.cpu().numpy()
            host = gaussian_filter1d(gaussian_filter1d(host, 0.5, axis=2), 0.5, axis=3)
            img.data.copy_(torch.from_numpy(host).to(device))
    return img.detach()


def rolled(X, across, down):
    """Shift by concatenating the two parts, as the course does."""
    if across:
        X = torch.cat([X[:, :, :, -across:], X[:, :, :, :-across]], dim=3)
    if down:
        X = torch.cat([X[:, :, -down:], X[:, :, :-down]], dim=2)
    return X
