"""Style transfer, seconds a step: the course's loop, ours, and pastiche, which a user would pick instead.

The course's loop computes every layer of the network and both factors of the Gram gradient. pastiche paints with
VGG-19, a larger network: its row says what a picture costs, not whose loop is better. Under each row stand the
operations of a step, counted, and the time they would take at the rate of a large matrix product: the limit.
"""

import importlib

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row, alone, alternate
from benchmarks.peers import installed
from data import load_network
from data.style_images import style_image
from networks.precision import PRECISIONS
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import preprocess
from stylize.painting import Losses
from stylize.settings import COURSE_SETTINGS

SIZES = {192: 30, 512: 5, 1024: 1}  # shortest sides, and how many steps in a row are timed
SETTING = "composition_vii_tubingen"
SIDE = 2048  # of the matrices whose product tells the machine's rate
WEIGHTS = ("content_layer", "content_weight", "style_layers", "style_weights", "tv_weight")
LABELS = {"float32": "ours", "fast": "ours, fast", "bf16": "ours, bf16"}


def measure_rows(*, rounds=7, device="cpu", sizes=SIZES):
    """Measure a step at each size.

    Args:
        rounds: counted rounds of each contestant.
        device: torch.device or name.
        sizes: dict from shortest side in pixels to steps in a row.

    Yields:
        benchmarks.measure.Row.
    """
    cnn = load_network().to(device).features
    for parameter in cnn.parameters():
        parameter.requires_grad_(False)
    for size, repeat in sizes.items():
        content, style = (
            preprocess(Image.open(style_image(name)), size).to(device) for name in ("tubingen", "composition_vii")
        )
        contestants = {}
        for precision in ("fast", *(p for p in PRECISIONS if p != "fast")):
            contestants[LABELS[precision]] = step_of(objective(cnn, content, style, precision), content)
        contestants["course's loop"] = course_step(cnn, content, style)
        if installed("pastiche"):
            contestants["pastiche, VGG-19"] = pastiche_step(size)
        notes = {"ours, fast": limit_note(contestants["ours, fast"], device)}
        times = alternate(contestants, rounds=rounds, repeat=repeat, device=device)
        yield Row(f"style transfer, a step at {size} pixels, {torch.device(device).type}", times, notes)


def losses_of(cnn, precision, settings=COURSE_SETTINGS[SETTING]):
    """Return the Losses of a network."""
    weights = (settings[key] for key in WEIGHTS)
    return Losses(cnn, *weights, ContentLoss(), StyleLoss(), TotalVariationLoss(), precision)


def objective(cnn, content, style, *how):
    """Return the function from an image to its losses by name, targets computed; `how` as `losses_of` takes it."""
    return losses_of(cnn, *how).objective(content, [style], [1.0])


def step_of(losses, content):
    """Return a function that updates an image once, by the course's rule."""
    image = content.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([image], lr=3.0)

    def step():
        image.data.clamp_(-1.5, 1.5)
        optimizer.zero_grad()
        sum(losses(image).values()).backward()
        optimizer.step()

    return step


def course_step(cnn, content, style):
    """Return the same for the course's own loop, which lets autograd do everything."""
    s = COURSE_SETTINGS[SETTING]

    def features(x):
        feats = []
        for layer in cnn:
            x = layer(x)  # the ReLU after the first convolution overwrites its features, which no loss here uses
            feats.append(x)
        return feats

    def gram(f):
        rows = f.view(*f.shape[:2], -1)
        return rows @ rows.permute(0, 2, 1) / f.numel()

    with torch.no_grad():
        wanted = features(content)[s["content_layer"]]
        of_style = features(style)
        grams = [gram(of_style[layer]) for layer in s["style_layers"]]

    def losses(x):
        feats = features(x)
        loss = s["content_weight"] * ((feats[s["content_layer"]] - wanted) ** 2).sum()
        for layer, target, weight in zip(s["style_layers"], grams, s["style_weights"], strict=True):
            loss = loss + weight * ((gram(feats[layer]) - target) ** 2).sum()
        across, down = x[:, :, :, 1:] - x[:, :, :, :-1], x[:, :, 1:] - x[:, :, :-1]
        return {"total": loss + s["tv_weight"] * ((across**2).sum() + (down**2).sum())}

    return step_of(losses, content)


def pastiche_step(size):
    """Return a step of pastiche's, with Adam."""
    package = importlib.import_module("pastiche.pastiche")
    longest = round(
        size * max(Image.open(style_image("tubingen")).size) / min(Image.open(style_image("tubingen")).size)
    )
    artist = package.PasticheArtist(
        str(style_image("tubingen")), [str(style_image("composition_vii"))], optimizer="adam", size=longest
    )
    return artist.draw


def limit_note(step, device):
    """Count the operations of a step and say how long they would take at the rate of a matrix product."""
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    operations = counter.get_total_flops()
    a = torch.rand(SIDE, SIDE, device=device)
    times = alternate({"product": lambda: a @ a}, rounds=5, device=device)["product"]
    rate = 2 * SIDE**3 / min(times)
    return f"{operations / 1e9:.2f} GFLOP; {1000 * operations / rate:.1f} ms at {rate / 1e9:.0f} GFLOP/s"


def one_step(size):
    """Paint one image of a shortest side for two steps; returns its number of pixels."""
    cnn = load_network().features
    content, style = (preprocess(Image.open(style_image(name)), size) for name in ("tubingen", "composition_vii"))
    step = step_of(objective(cnn, content, style, "fast"), content)
    step(), step()
    return content.shape[2] * content.shape[3]


def memory_table(sizes=(192, 512, 1024, 2048)):
    """Return a Markdown table of time and peak memory by image size, each in a fresh process."""
    lines = [
        "| shortest side | pixels | peak memory | bytes a pixel, from one row to the next |",
        "|---|---|---|---|",
    ]
    before = None
    for size in sizes:
        pixels, peak = alone(one_step, size)
        slope = f"{(peak - before[1]) / (pixels - before[0]):.0f}" if before else ""
        lines.append(f"| {size} | {pixels:,} | {peak / 1e6:,.0f} MB | {slope} |")
        before = pixels, peak
    return "\n".join(lines)
