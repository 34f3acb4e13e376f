"""Time and peak memory against the number of images and against their size: a fresh process for each figure.

Images stream through saliency in batches of 16, so memory must not grow with their number.
"""

import time

import torch
import torch.nn.functional as F

from benchmarks.measure import alone
from data import load_network
from data.samples import load_sample_photographs
from image_utils.pixels import to_input
from visualizers import SaliencyMap

COUNTS, SIDES, BATCH = (1, 10, 100, 1000), (192, 512, 1024, 2048), 16


def table(counts=COUNTS, sides=SIDES):
    """Return both tables as Markdown."""
    lines = ["| images | pixels | seconds | an image | peak memory |", "|---|---|---|---|---|"]
    for count, side in [*((n, 224) for n in counts), *((1, s) for s in sides)]:
        seconds, peak = alone(stream, count, side)
        each, size = 1000 * seconds / count, f"{side} x {side}"
        lines.append(f"| {count:,} | {size} | {seconds:.2f} | {each:.1f} ms | {peak / 1e6:,.0f} MB |")
    return "\n".join(lines)


def stream(count, side):
    """Compute saliency maps of `count` images and return the seconds."""
    X, y, _ = load_sample_photographs()
    model, saliency = load_network(), SaliencyMap()

    def batch(first, size):
        which = [i % len(X) for i in range(first, first + size)]
        x = F.interpolate(to_input(X[which]), (side, side), mode="bilinear", align_corners=False)
        x = x.contiguous(memory_format=torch.channels_last)
        return saliency.compute_saliency_maps(x, torch.as_tensor(y[which]), model)

    batch(0, 1)  # the first call of all sets up more than itself
    begin = time.perf_counter()
    for first in range(0, count, BATCH):
        batch(first, min(BATCH, count - first))
    return time.perf_counter() - begin
