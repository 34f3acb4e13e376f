"""Style transfer in tiles (`--memory`) beside the whole picture: one evaluation of the losses and their gradient.

Each figure is of a fresh process, given an amount of memory: the larger it is, the larger the tiles, and the fewer
pixels are computed twice as margins. The peer is our own evaluation of the whole picture, where the free memory
holds it: of the packages on PyPI, none is known to compute the exact gradient of a whole picture in tiles. The
authors of the method have a script for GPUs, https://github.com/bgalerne/scaling_painting_style_transfer.
"""

import time

from PIL import Image

from benchmarks.measure import alone
from benchmarks.style import SETTING, losses_of
from benchmarks.style_vgg19 import SETTINGS
from data import load_network
from data.style_images import style_image
from data.vgg19 import load_vgg19_features
from networks.memory import SHARE, free_memory
from style_utils import preprocess
from stylize.budget import held, parse_memory, plan
from stylize.settings import COURSE_SETTINGS

SIZES = {"squeezenet1_1": (1024, 2048), "vgg19": (512, 768)}  # shortest sides
BUDGETS = ("3GB", "6GB")


def table(sizes=SIZES, budgets=BUDGETS):
    """Return a Markdown table of time and peak memory by network, shortest side and memory given."""
    lines = ["| network | shortest side | memory given | tiles | seconds | processor seconds | peak memory |"]
    lines.append("|---" * 7 + "|")
    for network, sides in sizes.items():
        for side in sides:
            for budget in (None, *budgets):
                measured, peak = alone(evaluate, network, side, budget)
                if measured:
                    tile, seconds, of_processor = measured
                    row = f"| {network} | {side} | {budget or 'all that is free'} | {tile or 'whole'} | "
                    lines.append(row + f"{seconds:.2f} | {of_processor:.2f} | {peak / 1e6:,.0f} MB |")
    return "\n".join(lines)


def evaluate(network, side, budget):
    """Compute losses and gradient once.

    Returns:
        (side of the tiles, seconds, processor seconds); None for a budget that holds the whole picture.
    """
    if network == "vgg19":
        cnn, settings = load_vgg19_features(), SETTINGS
    else:
        cnn, settings = load_network(network).features, COURSE_SETTINGS[SETTING]
    content, style = (preprocess(Image.open(style_image(name)), side) for name in ("tubingen", "composition_vii"))
    losses, limit = losses_of(cnn, "float32", settings), parse_memory(budget) if budget else SHARE * free_memory()
    tile = plan(limit, losses, tuple(content.shape[2:]), "adam", held()).tile
    if budget and tile is None:
        return None
    objective = losses.objective(content, [style], [1.0], tile=tile)  # which computes the targets, and so warms up
    img = content.requires_grad_()
    begin = time.perf_counter(), time.process_time()
    sum(objective(img).values()).backward()
    return tile, time.perf_counter() - begin[0], time.process_time() - begin[1]
