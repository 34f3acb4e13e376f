"""Style transfer: features of images, and the optimisation that joins the losses. The course's functions.

Gatys, Ecker, Bethge: "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016: starting from the
photograph, change the pixels until deep features stay close to the photograph's (content loss), Gram matrices come
close to the painting's (style loss) and neighbouring pixels stay alike (total variation).

    from data import load_network
    from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
    from style_utils import deprocess, style_transfer

    image = style_transfer(
        "cat", "cat.jpg", "painting.jpg", 192, 192, 3, 6e-2, [1, 4, 6, 7], [300000, 1000, 15, 3], 2e-2,
        ContentLoss(), StyleLoss(), TotalVariationLoss(), load_network().features, torch.FloatTensor, testing=True,
    )
    deprocess(image).save("cat_as_painting.png")
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from data.style_images import stand_in
from image_utils.errors import InputError
from image_utils.pixels import deprocess as to_photograph
from image_utils.pixels import preprocess as to_network
from image_utils.pixels import rescale
from stylize.canvas import Canvas, Source, as_photograph, load_source, noise_like
from stylize.features import extract_features
from stylize.losses import Losses
from stylize.painting import paint
from stylize.record import Record, Step
from stylize.solvers import check_steps

__all__ = [
    "as_photograph",
    "check_scipy",
    "deprocess",
    "extract_features",
    "features_from_img",
    "preprocess",
    "rel_error",
    "rescale",
    "style_transfer",
]


def preprocess(img: Image.Image, size: int | None = 512) -> torch.Tensor:
    """Turn a photograph into the network's input; see `image_utils.preprocess`, here with another usual size."""
    return to_network(img, size)


def deprocess(img: torch.Tensor) -> Image.Image:
    """Turn a network input back into a photograph, stretched to the full range; see `image_utils.deprocess`."""
    return to_photograph(img, should_rescale=True)


def rel_error(x: Any, y: Any) -> float:
    """Compute the largest relative difference, max |x - y| / max(1e-8, |x| + |y|), of two arrays, as a float."""
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))))


def check_scipy() -> None:
    """Raise InputError unless SciPy 0.16 or newer is installed, as the course's notebook asks first."""
    try:
        from scipy import __version__
    except ImportError:
        raise InputError("SciPy is not installed; pip install -r requirements.txt") from None
    if tuple(int(part) for part in __version__.split(".")[:2]) < (0, 16):
        raise InputError(f"SciPy is {__version__}; 0.16 or newer is needed")


def features_from_img(imgpath: Source, imgsize: int, cnn: nn.Sequential, dtype: object) -> tuple:
    """Load an image and compute its features.

    Args:
        imgpath: image file, or PIL image.
        imgsize: shortest side after resizing, pixels.
        cnn: nn.Sequential, the feature layers of a network; left as it was.
        dtype: torch.FloatTensor, torch.cuda.FloatTensor or another such type, or a torch.dtype.

    Returns:
        (features, img): list as `extract_features` gives, and the network's input, Tensor (1, 3, H, W).

    Raises:
        InputError: no such image, a cnn that is not an nn.Sequential, or an image too small for it.
    """
    img = load_source(imgpath, imgsize, cnn, dtype)
    return extract_features(img, cnn), img


def style_transfer(
    name: str,
    content_image: Source,
    style_image: Source,
    image_size: int,
    style_size: int,
    content_layer: int,
    content_weight: float,
    style_layers: Sequence[int],
    style_weights: Sequence[float],
    tv_weight: float,
    content_loss: nn.Module,
    style_loss: nn.Module,
    tv_loss: nn.Module,
    cnn: nn.Sequential,
    dtype: object,
    init_random: bool = False,
    testing: bool = False,
    *,
    solver: str = "course",
    steps: int | None = None,
    precision: str = "float32",
    seed: int = 0,
    callback: Callable[[Step], None] | None = None,
    out: str | Path = "styles_images",
    **options: Any,
) -> torch.Tensor | None:
    """Show the content image in the style of another.

    Writes OUT/NAME_before.png, the sources side by side, and OUT/NAME.png, the result, and in a notebook shows
    both; after Ctrl-C the image so far, after a divergence the best one.

    Args:
        name: of the written files.
        content_image: image file, or PIL image.
        style_image: the same.
        image_size: shortest side of the content image and the result, pixels.
        style_size: shortest side of the style image.
        content_layer: index of the layer for the content loss.
        content_weight: weight of the content loss.
        style_layers: indices of the layers for the style loss.
        style_weights: their weights.
        tv_weight: weight of the total variation.
        content_loss: (content_weight, content_current, content_original) -> scalar Tensor.
        style_loss: (feats, style_layers, style_targets, style_weights) -> scalar Tensor, with `gram_matrix`; feats
            has every layer.
        tv_loss: (img, tv_weight) -> scalar Tensor.
        cnn: nn.Sequential, the feature layers of a network; left as it was.
        dtype: torch.FloatTensor, torch.cuda.FloatTensor or another such type, or a torch.dtype.
        init_random: start from uniform noise in [0, 1] instead of the content image.
        testing: write nothing and return the image.
        solver: "course" is the loop below; "lbfgs" and "adam" are in `stylize.solvers`.
        steps: how many; None takes the solver's own number. The course's schedule stretches with them.
        precision: of the network, "float32", or "fast" or "bf16"; see `networks.precision`. The losses are
            computed in the network's dtype whichever it is.
        seed: integer for the noise of `init_random`; the global random state is not used.
        callback: function of a `stylize.record.Step`, called for every image whose losses were computed.
        out: folder of the written files.
        options: what only the other solvers can do, such as `sizes`, `preserve_color` and several styles; see
            `stylize.painting.paint`.

    Returns:
        With testing, Tensor (1, 3, H, W), normalised, on the cnn's device; otherwise None.

    Raises:
        InputError: an image, layer, size or number is unusable.
        Diverged: the losses ceased to be finite or grew without bounds; an InputError that has the best image.

    Source:
        Gatys, Ecker, Bethge 2016; the schedule is the course's.
    """
    weighted = content_layer, content_weight, style_layers, style_weights, tv_weight
    caption = _stand_ins(content_image, style_image)
    losses = Losses(cnn, *weighted, content_loss, style_loss, tv_loss, precision)
    steps = check_steps(solver, steps)
    if solver != "course":
        sources = name, content_image, style_image, image_size, style_size
        how = {"init_random": init_random, "testing": testing, "solver": solver, "steps": steps}
        how |= {"seed": seed, "callback": callback, "out": out, "caption": caption}
        return paint(*sources, losses, dtype, **how, **options)
    if options or isinstance(style_image, list | tuple):
        beyond = ", ".join(options) or "several styles"
        raise InputError(f"the course's loop does without {beyond}; choose solver 'lbfgs' or 'adam'")
    content_layer, style_layers, up_to = losses.content_layer, losses.style_layers, losses.deepest
    canvas, record = Canvas(name, out, [content_image, style_image], testing=testing), Record(callback)

    content_img = load_source(content_image, image_size, cnn, dtype)
    feats = extract_features(content_img, cnn, up_to=up_to, precision=precision)
    content_target = feats[content_layer].clone()
    style_img = load_source(style_image, style_size, cnn, dtype)
    feats = extract_features(style_img, cnn, up_to=up_to, precision=precision)
    style_targets = [style_loss.gram_matrix(feats[layer].clone()) for layer in style_layers]
    canvas.show_sources(content_img, [style_img], caption)

    img = noise_like(content_img, seed) if init_random else content_img.clone()
    img.requires_grad_()
    content_loss, style_loss, tv_loss = record.of_losses(img, content=content_loss, style=style_loss, tv=tv_loss)

    initial_lr = 3.0
    decayed_lr = 0.1
    decay_lr_at = 180
    num_iters = 200
    if steps != num_iters:
        decay_lr_at, num_iters = round(decay_lr_at * steps / num_iters), steps
    optimizer = torch.optim.Adam([img], lr=initial_lr)

    with canvas.kept(record):
        for t in range(num_iters):
            if t < 0.95 * num_iters:
                img.data.clamp_(-1.5, 1.5)
            feats = extract_features(img, cnn, up_to=up_to, precision=precision)
            # >>> Solution: add up the three losses, change the rate at decay_lr_at, and update the image once
            loss = content_loss(content_weight, feats[content_layer], content_target)
            loss = loss + style_loss(feats, style_layers, style_targets, style_weights)
            loss = loss + tv_loss(img, tv_weight)
            optimizer.zero_grad()
            loss.backward()
            if t == decay_lr_at:
                optimizer = torch.optim.Adam([img], lr=decayed_lr)
            optimizer.step()
            # <<< Solution
    return canvas.finish(img)


def _stand_ins(*sources):
    """Say which pictures stand in for the course's, if any; sources are files, PIL images or lists of them."""
    files = [file for source in sources for file in (source if isinstance(source, list | tuple) else [source])]
    known = [stand_in(file) for file in files if isinstance(file, str | Path) and Path(file).is_file()]
    return "Stand-ins: " + "; ".join(filter(None, known)) if any(known) else None
