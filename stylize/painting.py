"""Style transfer beyond the course's loop: other solvers, coarse to fine, several styles, kept colours.

`style_utils.style_transfer` hands over to `paint` whatever its own loop does not do.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from image_utils.errors import InputError
from image_utils.memory import trim_memory
from image_utils.pixels import to_normalised, to_pixels
from stylize.budget import Plan, held, plan
from stylize.canvas import Canvas, Source, load_source, noise_like, open_source
from stylize.checkpoint import EVERY, Checkpoint, checkpoint_file, fingerprint, weights_of
from stylize.colour import grey, match_grey
from stylize.losses import Losses
from stylize.record import Record, Step
from stylize.regions import read_regions
from stylize.solvers import check_steps, optimise


def paint(
    name: str,
    content_image: Source,
    style_image: Source | Sequence[Source],
    image_size: int,
    style_size: int,
    losses: Losses,
    dtype: object,
    *,
    init_random: bool = False,
    testing: bool = False,
    solver: str = "lbfgs",
    steps: int | None = None,
    sizes: Sequence[int] = (),
    preserve_color: bool = False,
    strength: float | None = None,
    style_image_weights: Sequence[float] | None = None,
    seed: int = 0,
    callback: Callable[[Step], None] | None = None,
    out: str | Path = "styles_images",
    caption: str | None = None,
    memory: float | None = None,
    masks: Sequence[Source] | None = None,
    resume: bool = False,
    command: str = "",
    checkpoint_every: float | None = None,
) -> torch.Tensor | None:
    """Show the content image in the style of another, or of several.

    Args:
        name: see `style_utils.style_transfer`, as all that is not said here.
        content_image: image file, or PIL image.
        style_image: the same, or a list of them whose styles are mixed.
        image_size: shortest side of the content image and the result, pixels.
        style_size: shortest side of the style image.
        losses: with their layers and weights.
        dtype: of the network.
        init_random: start from uniform noise in [0, 1] instead of the content image.
        testing: write nothing and return the image.
        solver: "lbfgs" or "adam"; see `stylize.solvers`.
        steps: how many, at each size; None takes the solver's own number.
        sizes: coarse to fine, shortest sides to go through before image_size, all smaller; each result is enlarged
            to start the next. The style image shrinks in proportion.
        preserve_color: keep the content image's colours and transfer the luminance alone; see `stylize.colour`.
        strength: a dial from 0, the photograph, to 10, all style, that sets the losses' weights in place of those
            given; 5 is usual. See `stylize.strength`.
        style_image_weights: the share of each style image, any positive numbers; equal if None.
        seed: integer for the noise of `init_random`.
        callback: function of a `stylize.record.Step`, called for every image whose losses were computed.
        out: folder of the written files.
        caption: what is written below the sources.
        memory: bytes that this process may use; larger pictures are computed in tiles. See `stylize.budget`.
        masks: images whose colours name regions, one for the content image and one for each style image: each
            region takes on the style of the same region. See `stylize.regions`.
        resume: go on from OUT/NAME.checkpoint, which a run that was broken off left; see `stylize.checkpoint`.
        command: how a person would go on, kept in the checkpoint.
        checkpoint_every: seconds between two checkpoints; None is a minute.

    Returns:
        With testing, Tensor (1, 3, H, W), normalised, on the network's device; otherwise None.

    Raises:
        InputError: an image, size or number is unusable.
        Diverged: see `stylize.record`.

    Source:
        Gatys, Ecker, Bethge 2016.
    """
    check_steps(solver, steps)
    styles = list(style_image) if isinstance(style_image, list | tuple) else [style_image]
    shares = _check_shares(style_image_weights, len(styles))
    canvas = Canvas(name, out, [content_image, *styles, *(masks or [])], testing=testing, solver=solver)
    sizes = _check_sizes(sizes, image_size)

    def sources(size):
        content = load_source(content_image, size, losses.cnn, dtype)
        small = max(1, round(style_size * size / image_size))
        return content, [load_source(style, small, losses.cnn, dtype) for style in styles]

    def stage(number):
        content, imgs = sources(sizes[number])
        seen, *seen_styles = _grey_sources(content, imgs) if preserve_color else (content, *imgs)
        shapes = [tuple(img.shape[2:]) for img in (content, *imgs)]
        regions = read_regions(masks, shapes, content) if masks else None
        tile = checkpoint.plans[number][0]
        return seen, losses.objective(seen, seen_styles, shares, strength, tile=tile, regions=regions)

    base, content, imgs = held(), *sources(image_size)
    plans = [Plan() for _ in sizes]
    if memory is not None:
        shapes = [tuple(load_source(content_image, size, losses.cnn, dtype).shape[2:]) for size in sizes]
        plans = [plan(memory, losses, shape, solver, base) for shape in shapes]
    settings = solver, steps, sizes, preserve_color, strength, shares, seed, init_random, memory, losses.settings
    settings = (*settings, *(np.asarray(open_source(mask)).tobytes() for mask in masks or []))
    of = fingerprint(content, *imgs, *settings, *weights_of(losses.cnn))
    path = None if testing and not resume else checkpoint_file(out, name)
    checkpoint = Checkpoint(
        path, of, command=command, resume=resume, every=EVERY if checkpoint_every is None else checkpoint_every
    )
    checkpoint.plans = checkpoint.plans or [(how.tile, how.history) for how in plans]
    ready = stage(checkpoint.stage)
    canvas.show_sources(content, imgs, caption)
    canvas.colours_of = content if preserve_color else None
    del content, imgs
    record = Record()

    def note(step):
        record.last = step
        if callback is not None:
            callback(replace(step, image=canvas.coloured(step.image)))

    img = checkpoint.start
    with canvas.kept(record):
        for number in range(checkpoint.stage, len(sizes)):
            seen, objective = ready or stage(number)
            if img is None:
                img = noise_like(seen, seed) if init_random else seen
            shape, ready = seen.shape[2:], None
            del seen
            start = img if checkpoint.solver else nn.functional.interpolate(img, shape, mode="bicubic")
            img = None
            checkpoint.begin(number, start)
            img = optimise(
                objective=objective,
                start=start,
                solver=solver,
                steps=steps,
                callback=note,
                history=checkpoint.plans[number][1],
                keep=checkpoint.keep,
                resume=checkpoint.solver,
            )
            checkpoint.solver = None
            del objective, start
            trim_memory()  # the budget of the next size does not count this one's
    result = canvas.finish(img)
    checkpoint.remove()
    return result


def _grey_sources(content, styles):
    grey_content = grey(to_pixels(content))
    matched = [match_grey(grey(to_pixels(style)), grey_content) for style in styles]
    return [to_normalised(img) for img in (grey_content, *matched)]


def _check_sizes(coarse, image_size):
    sizes = [*coarse, image_size]
    if any(a >= b for a, b in itertools.pairwise(sizes)) or sizes[0] < 1:
        raise InputError(f"sizes must be positive and grow up to the image size {image_size}, not {list(coarse)}")
    return sizes


def _check_shares(weights, n):
    """Return the share of each style image, summing to 1."""
    weights = [1.0] * n if weights is None else list(weights)
    if n < 1 or len(weights) != n or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise InputError(f"{n} style images need as many weights, none negative, not {weights}")
    return [weight / sum(weights) for weight in weights]
