"""How far the solvers of style transfer bring the loss, and how fast: the three settings, figure and table.

    python -m benchmarks.style_curves                  docs/style_solvers.png, and a table on the terminal
    python -m benchmarks.style_curves --out DIR        the figure elsewhere

Seconds are processor seconds of this process, so that other work on the machine counts little. "Course loop" is
the course's own: every layer of the network, no shortcut, 200 steps. "To its loss" is the time until a solver
first goes below the loss at which the course loop ends, targets included.
"""

import argparse
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from data import load_network
from data.style_images import style_image
from image_utils.loading import open_image
from image_utils.writing import save_figure, save_image
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import as_photograph, preprocess, style_transfer
from stylize.settings import COURSE_SETTINGS
from tests.oracles.style import course_loop

PAINTINGS = ("composition_vii", "the_scream", "starry_night")
COLOURS = {"course": "firebrick", "adam": "royalblue", "lbfgs": "black"}


def measure(setting, painting, cnn):
    """Run the plain course loop and every solver on one setting.

    Returns:
        (seconds of the plain loop, its final loss, {solver: (image, [(seconds, total loss), ...])})
    """
    settings = COURSE_SETTINGS[setting]
    files = style_image("tubingen"), style_image(painting)
    sizes = settings["image_size"], settings["style_size"]
    content, style = (preprocess(open_image(file), size) for file, size in zip(files, sizes, strict=True))
    started = time.process_time()
    course_loop(cnn, content, content, style, settings, steps=200)
    plain = time.process_time() - started
    runs = {}
    for solver in COLOURS:
        curve, started = [], time.process_time()

        def note(step, curve=curve, started=started):
            curve.append((time.process_time() - started, step.total))

        losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
        image = style_transfer(
            setting,
            *files,
            **settings,
            **losses,
            cnn=cnn,
            dtype=torch.float32,
            testing=True,
            solver=solver,
            callback=note,
        )
        runs[solver] = image, curve
    return plain, runs["course"][1][-1][1], runs


def draw(measured):
    """Draw a row of loss curves, and below them the images of each solver."""
    figure = Figure(figsize=(10, 8.6), layout="constrained")
    axes = figure.subplots(4, len(measured), height_ratios=[1.5, 1, 1, 1])
    for j, (setting, (_, goal, runs)) in enumerate(measured.items()):
        axis = axes[0, j]
        for solver, (_, curve) in runs.items():
            seconds, totals = zip(*curve, strict=True)
            axis.plot(seconds, totals, color=COLOURS[solver], label=solver, linewidth=1.5)
        axis.axhline(goal, color="0.6", linewidth=0.8, linestyle="--")
        axis.set_yscale("log")
        axis.set_title(setting, fontsize=10)
        axis.set_xlabel("processor seconds", fontsize=9)
        axis.tick_params(labelsize=8)
        for i, (solver, (image, _)) in enumerate(runs.items(), start=1):
            axes[i, j].imshow(as_photograph(image, solver))
            axes[i, j].set_xticks([])
            axes[i, j].set_yticks([])
            if j == 0:
                axes[i, j].set_ylabel(solver, fontsize=10)
    axes[0, 0].set_ylabel("total loss", fontsize=10)
    axes[0, -1].legend(fontsize=9)
    return figure


def main():
    """Measure, print the table, write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the figure (%(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)  # more threads wait for one another on images this small
    cnn = load_network().features
    measured = {s: measure(s, p, cnn) for s, p in zip(COURSE_SETTINGS, PAINTINGS, strict=True)}
    print("\n".join(table(measured)))  # noqa: T201
    path = args.out / "style_solvers.png"
    save_figure(draw(measured), path, dpi=70)
    with Image.open(path) as drawn:
        small = drawn.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
    save_image(small, path)


def table(measured):
    """Yield the lines of the table, in Markdown."""
    yield "| setting | solver | losses computed | final loss | seconds | to the course loop's loss | of its time |"
    yield "|---|---|---|---|---|---|---|"
    for setting, (plain, goal, runs) in measured.items():
        yield f"| {setting} | course loop, plain | 200 | {goal:.0f} | {plain:.1f} | | |"
        for solver, (_, curve) in runs.items():
            step, reached = next((i, t) for i, (t, total) in enumerate(curve) if total <= goal)
            best = curve[-1][1] if solver == "course" else min(total for _, total in curve)
            row = f"| {setting} | {solver} | {len(curve)} | {best:.0f} | {curve[-1][0]:.1f} "
            yield row + f"| {reached:.2f} s, step {step} | {reached / plain:.1%} |"


if __name__ == "__main__":
    main()
