"""Foolbox's L2 attacks beside ours: the same photographs and targets, the same judge, one table."""

import csv
import io
import statistics
import time
from dataclasses import dataclass

import foolbox
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from tqdm import tqdm

from image_utils.errors import InputError
from image_utils.loading import open_image
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD, to_input, to_normalised, to_pixels
from image_utils.writing import save_figure, whole_file
from networks.no_trace import untouched
from networks.seeding import make_generator
from visualizers import FoolingImage
from visualizers.fooling_image import judge, nearest_levels, to_images
from visualizers.minimal_fooling import LEVELS

STEPS = 300  # of Foolbox's attacks
OURS = "ours, minimal"
COURSE = "course"
DDN_LEVELS = "Foolbox DDN on levels"
DDN = "Foolbox DDN"
FMN = "Foolbox FMN"


class OnLevels(nn.Module):
    """A network that sees pixels rounded to 8 bits; backwards, rounding counts as the identity.

    Takes and gives what the network does. An attack on it judges what would be saved.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, X):
        """Compute the class scores of the nearest 8-bit images."""
        pixels = to_pixels(X)
        rounded = (LEVELS * pixels).round() / LEVELS
        return self.model(to_normalised(pixels + (rounded - pixels).detach()))


@dataclass(frozen=True)
class Outcome:
    """What a method made of one photograph and target.

    Attributes:
        method: its name.
        photograph: index of the photograph.
        target: class index.
        fools: whether the PNG, reopened, is seen as the target.
        l2: norm of the PNG's difference from the photograph, [0, 1] scale.
        seconds: time spent, an image's share of its batch.
    """

    method: str
    photograph: int
    target: int
    fools: bool
    l2: float
    seconds: float


def methods(*, steps=72, foolbox_steps=STEPS):
    """Return the methods to compare: name -> function(X, target, model) -> uint8 images (N, H, W, 3).

    Args:
        steps: of our minimal method.
        foolbox_steps: of Foolbox's attacks.
    """
    ours = FoolingImage()

    def course(X, target, model):
        return to_images(nearest_levels(ours.make_fooling_image(X, target, model)))

    def minimal(X, target, model):
        return ours.make_minimal_fooling_image(X, target, model, steps=steps).images

    def peer(attack, wrap=lambda model: model):
        return lambda X, target, model: run_foolbox(attack, X, target, wrap(model))

    return {
        COURSE: course,
        OURS: minimal,
        DDN_LEVELS: peer(foolbox.attacks.DDNAttack(steps=foolbox_steps), OnLevels),
        DDN: peer(foolbox.attacks.DDNAttack(steps=foolbox_steps)),
        FMN: peer(foolbox.attacks.L2FMNAttack(steps=foolbox_steps)),
    }


def run_foolbox(attack, X, target, model):
    """Run a Foolbox attack towards targets and round what it finds to 8 bits.

    Args:
        attack: Foolbox attack that minimises a norm.
        X: float Tensor (N, 3, H, W), normalised, on the model's device.
        target: int64 Tensor (N,).
        model: classification network; left as it was.

    Returns:
        uint8 ndarray (N, H, W, 3).
    """
    preprocessing = {"mean": SQUEEZENET_MEAN.tolist(), "std": SQUEEZENET_STD.tolist(), "axis": -3}
    criterion = foolbox.criteria.TargetedMisclassification(target.to(X.device))
    # Some attacks draw from the global generator, where a gradient is zero.
    with untouched(model), torch.random.fork_rng(devices=[X.device] if X.device.type == "cuda" else []):
        wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device=X.device, preprocessing=preprocessing)
        found = attack(wrapped, to_pixels(X).clamp(0, 1), criterion, epsilons=None)[1]
    return to_images(nearest_levels(to_normalised(found)))


def compare(contestants, X, targets, model):
    """Give every method the same photographs and targets, taking turns, a photograph's targets in one batch.

    Args:
        contestants: dict as `methods` returns it.
        X: N photographs, uint8 (H, W, 3) each.
        targets: int64 Tensor (N, T).
        model: classification network; left as it was.

    Returns:
        List of Outcome.
    """
    device = next(model.parameters()).device
    outcomes = []
    progress = tqdm(
        total=len(X) * len(contestants), desc="comparing", unit="batch", delay=2, leave=False, disable=None
    )
    with progress:
        for i, (photograph, some) in enumerate(zip(X, targets, strict=True)):
            x = to_input(photograph[None]).to(device).repeat(len(some), 1, 1, 1)
            turn = list(contestants) if i % 2 == 0 else list(contestants)[::-1]
            for name in turn:
                begin = time.perf_counter()
                images = contestants[name](x, some, model)
                seconds = (time.perf_counter() - begin) / len(some)
                outcomes += _outcomes(name, i, photograph, images, some, model, seconds)
                progress.update()
    return outcomes


def _outcomes(name, index, photograph, images, targets, model, seconds):
    images = np.stack([through_png(image) for image in images])
    margins = judge(images, targets, model)
    changes = (images.astype(np.float64) - photograph) / LEVELS
    return [
        Outcome(name, index, int(t), bool(margin > 0), float(np.linalg.norm(change)), seconds)
        for t, margin, change in zip(targets, margins, changes, strict=True)
    ]


def through_png(image):
    """Write an image (uint8, (H, W, 3)) as PNG into memory and read it back as any program would."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    file.seek(0)
    return np.array(open_image(file))


def random_targets(photographs, each, classes, *, seed=0):
    """Draw the targets: int64 Tensor (photographs, each), from 0 to classes - 1."""
    return torch.randint(0, classes, (photographs, each), generator=make_generator(seed))


def summarise(outcomes, *, reference=DDN_LEVELS):
    """Put each method into a row.

    Args:
        outcomes: list of Outcome.
        reference: method whose time is 1.

    Returns:
        List of dict: method, pairs, fooled, median_l2 (of those that fool; None without), seconds (an image),
        time (relative to the reference; None without).
    """
    groups = {}
    for outcome in outcomes:
        groups.setdefault(outcome.method, []).append(outcome)
    seconds = {name: statistics.fmean(o.seconds for o in group) for name, group in groups.items()}
    rows = []
    for name, group in groups.items():
        norms = [o.l2 for o in group if o.fools]
        rows.append(
            {
                "method": name,
                "pairs": len(group),
                "fooled": len(norms),
                "median_l2": statistics.median(norms) if norms else None,
                "seconds": seconds[name],
                "time": seconds[name] / seconds[reference] if reference in seconds else None,
            }
        )
    return rows


def as_text(rows):
    """Lay the rows of `summarise` out as a Markdown table."""
    lines = [
        "| method | fooled, as PNG | median L2 | seconds an image | time |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        norm = "-" if row["median_l2"] is None else f"{row['median_l2']:.3f}"
        time_ = "-" if row["time"] is None else f"{row['time']:.2f}"
        fooled = f"{row['fooled']} of {row['pairs']}"
        lines.append(f"| {row['method']} | {fooled} | {norm} | {row['seconds']:.2f} | {time_} |")
    return "\n".join(lines)


def write_comparison(outcomes, folder):
    """Write fooling_comparison.csv (the rows of `summarise`) and .png (share fooled within each L2 norm)."""
    rows = summarise(outcomes)
    if not rows:
        raise InputError("there is nothing to compare")
    with whole_file(folder / "fooling_comparison.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    save_figure(_curves(outcomes), folder / "fooling_comparison.png")


def _curves(outcomes):
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name in dict.fromkeys(o.method for o in outcomes):
        group = [o for o in outcomes if o.method == name]
        norms = sorted(o.l2 for o in group if o.fools)
        shares = [100 * (i + 1) / len(group) for i in range(len(norms))]
        axis.step([*norms, 100], [*shares, shares[-1] if shares else 0], where="post", label=name)
    axis.set(xscale="log", xlabel="L2 norm of the change, pixels 0 to 1", ylabel="fooled within, % of pairs")
    largest = max((o.l2 for o in outcomes if o.fools), default=1.0)
    axis.set(xlim=(0.1, 1.5 * largest), ylim=(0, 102))
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right", frameon=False)
    return figure
