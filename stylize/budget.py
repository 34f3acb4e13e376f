"""How much memory a picture takes, and what makes it fit: tiles, and fewer pairs for L-BFGS to remember.

What grows with the picture cannot be cut into tiles: the image, its gradient, what the solver remembers of both
(for each pair of L-BFGS two images), and the photograph's content features. The rest of a budget is for a tile,
with its margin: the outputs of all layers and, on the way back, their gradients.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from image_utils.errors import InputError
from networks.copies import copy_on_same_weights
from stylize.losses import Losses
from stylize.solvers import COARSER, HISTORY
from stylize.tiles import fields, shapes_of

IMAGES = {"adam": 10, "lbfgs": 21}  # in memory at the same time at most, L-BFGS's pairs apart; measured
KERNELS = 0.45e9  # bytes that the libraries take once they compute, and the allocator keeps of a tile; measured
SPARE = 1.05  # times the estimate, for what the allocator keeps
WORK = 1.4  # times the outputs of all layers: these, and the gradients under way; measured, 0.9 to 1.4
TILES = (2048, 1536, 1024, 768, 512, 384, 256, 192, 128)  # sides to choose from
LEAST_HISTORY = 2
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Plan:
    """How a picture is to be painted.

    Attributes:
        tile: side of the tiles, pixels, or None for none.
        history: pairs that L-BFGS remembers.
        needed: bytes, about.
    """

    tile: int | None = None
    history: int = HISTORY
    needed: float = 0.0


def parse_memory(text: str) -> int:
    """Read an amount of memory such as "2GB", "512 MB" or "1.5G", in bytes; GB is 10^9.

    Raises:
        InputError: anything else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if not found or float(found[1]) <= 0:
        raise InputError(f"memory must be an amount such as 2GB or 800MB, not '{text}'")
    return int(float(found[1]) * UNITS[found[2].upper()])


def held() -> int:
    """Return the bytes that this process has."""
    return psutil.Process().memory_info().rss


def plan(budget: float, losses: Losses, size: tuple[int, int], solver: str, base: float) -> Plan:
    """Choose tiles and history for an image under a budget: a long history first, then large tiles.

    Args:
        budget: bytes for this process in all.
        losses: with the network.
        size: (H, W) of the picture.
        solver: "adam" or "lbfgs".
        base: bytes that the process has before it begins with the picture.

    Raises:
        InputError: not even the smallest tiles fit; the message says what would.
    """
    cost = _cost(losses, size, solver, base)
    histories = range(HISTORY, LEAST_HISTORY - 1, -1) if solver == "lbfgs" else (HISTORY,)
    tiles = [None, *(tile for tile in TILES if tile < max(size))]
    plans = [Plan(tile, history, cost(tile, history)) for history in histories for tile in tiles]
    for chosen in plans:
        if chosen.needed <= budget:
            return chosen
    least = min(p.needed for p in plans)
    other = (
        ""
        if solver == "adam"
        else f", or with --solver adam {_cost(losses, size, 'adam', base)(tiles[-1], 0) / 1e9:.2f} GB"
    )
    raise InputError(
        f"--memory: {size[1]} x {size[0]} pixels do not fit into {budget / 1e9:.2f} GB; the least would be "
        f"{least / 1e9 + 0.005:.2f} GB{other}"
    )


def _cost(losses: Losses, size: tuple[int, int], solver: str, base: float) -> Callable[[int | None, int], float]:
    """Return the function from a tile and a history to the bytes needed."""
    number = next((p.element_size() for p in losses.cnn.parameters()), 4)
    image = 3 * size[0] * size[1] * number
    shape = shapes_of(losses.cnn, size, losses.deepest)[losses.content_layer]
    content = shape.numel() * number
    pair = 2 * image * (1 + 1 / COARSER**2) if solver == "lbfgs" else 0
    fixed = base + KERNELS + SPARE * (IMAGES[solver] * image + content)
    a_pixel = WORK * number * _outputs_of_a_pixel(losses)
    needed = losses.cnn[: losses.deepest + 1]
    margin = max(field.size for axis in (0, 1) for field in fields(needed, axis))

    def cost(tile, history):
        sides = size if tile is None else [min(side, tile + margin) for side in size]
        return fixed + SPARE * (history * pair + sides[0] * sides[1] * a_pixel)

    return cost


def _outputs_of_a_pixel(losses: Losses, side: int = 256) -> float:
    """Count the numbers that all layers, down to the smallest, return for each pixel of the image."""
    counted = []
    network = copy_on_same_weights(losses.cnn[: losses.deepest + 1])
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, output: counted.append(output.numel()))
    shapes_of(network, (side, side), losses.deepest)
    return sum(counted) / side**2
