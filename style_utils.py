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

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.loading import open_image
from image_utils.pixels import deprocess as to_photograph
from image_utils.pixels import preprocess as to_network
from image_utils.pixels import rescale, to_normalised, to_pixels
from image_utils.writing import save_figure, save_image
from networks.precision import arithmetic
from networks.seeding import make_generator
from style_modules.optimise import Diverged, check_steps, optimise
from stylize.colour import grey, match_grey, with_luminance_of
from stylize.features import check_sequential, extract_features

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


def preprocess(img, size=512):
    """Turn a photograph into the network's input; see `image_utils.preprocess`, here with another usual size."""
    return to_network(img, size)


def deprocess(img):
    """Turn a network input back into a photograph, stretched to the full range; see `image_utils.deprocess`."""
    return to_photograph(img, should_rescale=True)


def as_photograph(img, solver="course", preserve_color=False):
    """Turn a result into a photograph.

    The course's schedule keeps pixels in a narrow range, which the course's `deprocess` stretches to the full one.
    The other solvers bound nothing; as in Gatys et al. 2016 what no photograph can hold is clipped, since a few
    extreme pixels would leave a stretched picture grey. Clipping also keeps colours that shall be preserved.

    Args:
        img: Tensor (1, 3, H, W), normalised.
        solver: what made it.
        preserve_color: whether it has the content image's colours.

    Returns:
        PIL image, W x H.
    """
    return to_photograph(img, should_rescale=solver == "course" and not preserve_color)


def rel_error(x, y):
    """Compute the largest relative difference, max |x - y| / max(1e-8, |x| + |y|), of two arrays, as a float."""
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))))


def check_scipy():
    """Raise InputError unless SciPy 0.16 or newer is installed, as the course's notebook asks first."""
    try:
        from scipy import __version__
    except ImportError:
        raise InputError("SciPy is not installed; pip install -r requirements.txt") from None
    if tuple(int(part) for part in __version__.split(".")[:2]) < (0, 16):
        raise InputError(f"SciPy is {__version__}; 0.16 or newer is needed")


def features_from_img(imgpath, imgsize, cnn, dtype):
    """Load an image and compute its features.

    Args:
        imgpath: image file, or PIL image.
        imgsize: shortest side after resizing, pixels.
        cnn: nn.Sequential, the feature layers of a network; left as it was.
        dtype: torch.FloatTensor, torch.cuda.FloatTensor or another such type, or a torch.dtype.

    Returns:
        (features, img): list as `extract_features` gives, and the network's input, Tensor (1, 3, H, W).

    Raises:
        InputError: no such image, a cnn that is no nn.Sequential, or an image too small for it.
    """
    img = _load(imgpath, imgsize, cnn, dtype)
    return _features(img, cnn), img


def style_transfer(
    name,
    content_image,
    style_image,
    image_size,
    style_size,
    content_layer,
    content_weight,
    style_layers,
    style_weights,
    tv_weight,
    content_loss,
    style_loss,
    tv_loss,
    cnn,
    dtype,
    init_random=False,
    testing=False,
    *,
    solver="course",
    steps=None,
    sizes=(),
    preserve_color=False,
    style_image_weights=None,
    precision="float32",
    seed=0,
    callback=None,
    out="styles_images",
):
    """Show the content image in the style of another.

    Writes OUT/NAME_before.png, the sources side by side, and OUT/NAME.png, the result as `as_photograph` shows it;
    after Ctrl-C the image so far, after a divergence the best one.

    Args:
        name: of the written files.
        content_image: image file, or PIL image.
        style_image: the same, or a list of them whose styles are mixed.
        image_size: shortest side of the content image and the result, pixels.
        style_size: shortest side of the style image.
        content_layer: index of the layer for the content loss.
        content_weight: weight of the content loss.
        style_layers: indices of the layers for the style loss.
        style_weights: their weights.
        tv_weight: weight of the total variation.
        content_loss: (content_weight, content_current, content_original) -> scalar Tensor.
        style_loss: (feats, style_layers, style_targets, style_weights) -> scalar Tensor, with `gram_matrix`; in
            feats, None stands for layers that were not asked for.
        tv_loss: (img, tv_weight) -> scalar Tensor.
        cnn: nn.Sequential, the feature layers of a network; left as it was.
        dtype: torch.FloatTensor, torch.cuda.FloatTensor or another such type, or a torch.dtype.
        init_random: start from uniform noise in [0, 1] instead of the content image.
        testing: write nothing and return the image.
        solver: "course", "adam" or "lbfgs"; see `style_modules.optimise`.
        steps: how many, at each size; None takes the solver's own number.
        sizes: coarse to fine, shortest sides to go through before image_size, all smaller; each result is enlarged
            to start the next. The style image shrinks in proportion.
        preserve_color: keep the content image's colours and transfer the luminance alone; see
            `stylize.colour`.
        style_image_weights: the share of each style image, any positive numbers; equal if None.
        precision: of the network, "float32", or "fast" or "bf16"; see `networks.precision`. The losses are
            computed in the network's dtype whichever it is.
        seed: integer for the noise of `init_random`; the global random state is not used.
        callback: function of a `style_modules.optimise.Step`, called for every image whose losses were computed.
        out: folder of the written files.

    Returns:
        With testing, Tensor (1, 3, H, W), normalised, on the cnn's device; otherwise None.

    Raises:
        InputError: an image, layer, size or number is unusable.
        Diverged: the losses ceased to be finite or grew without bounds; an InputError that has the best image.

    Source:
        Gatys, Ecker, Bethge 2016; mixing: equal to a weighted sum of style losses up to a constant.
    """
    check_steps(solver, steps)
    layers = _check_layers([content_layer, *style_layers], cnn)
    if len(style_weights) != len(style_layers):
        raise InputError(f"{len(style_layers)} style layers need as many weights, not {len(style_weights)}")
    losses = Losses(
        cnn,
        layers[0],
        content_weight,
        layers[1:],
        style_weights,
        tv_weight,
        content_loss,
        style_loss,
        tv_loss,
        precision,
    )
    styles = list(style_image) if isinstance(style_image, list | tuple) else [style_image]
    shares = _check_shares(style_image_weights, len(styles))
    result, before = Path(out) / f"{name}.png", Path(out) / f"{name}_before.png"
    if not testing:
        _check_not_a_source([result, before], [content_image, *styles])

    stages = []
    for size in _check_sizes(sizes, image_size):
        content = _load(content_image, size, cnn, dtype)
        imgs = [_load(style, max(1, round(style_size * size / image_size)), cnn, dtype) for style in styles]
        seen, *seen_styles = _grey_sources(content, imgs) if preserve_color else (content, *imgs)
        stages.append((seen, losses.objective(seen, seen_styles, shares)))
    if not testing:
        _save_sources(content, imgs, before)

    def finish(img):
        return _with_colours_of(content, img) if preserve_color and img.shape == content.shape else img

    def save(img):
        if not testing and img is not None:
            save_image(as_photograph(finish(img), solver, preserve_color), result)

    last = None

    def remember(step):
        nonlocal last
        last = step.image
        if callback is not None:
            callback(replace(step, image=finish(last)))

    img = None
    try:
        for seen, objective in stages:
            start = _start(seen, img, seed if init_random else None)
            img = optimise(objective, start, solver=solver, steps=steps, callback=remember)
    except KeyboardInterrupt:
        save(last)
        raise
    except Diverged as problem:
        save(problem.image)
        raise
    save(img)
    return finish(img) if testing else None


@dataclass(frozen=True)
class Losses:
    """The three losses with their weights and layers; the arguments of `style_transfer`, checked."""

    cnn: nn.Sequential
    content_layer: int
    content_weight: float
    style_layers: list
    style_weights: list
    tv_weight: float
    content_loss: object
    style_loss: object
    tv_loss: object
    precision: str = "float32"

    def features(self, img):
        """Compute the features of the layers that are needed, in the precision asked for; None for the others."""
        with arithmetic(self.precision, img) as x:
            feats = _features(x, self.cnn, {self.content_layer, *self.style_layers})
        return [feature if feature is None else feature.to(img.dtype) for feature in feats]

    def objective(self, content, styles, shares):
        """Compute the targets, once, and return the function from an image to its losses by name.

        Mixing styles: sum_k a_k |G - A_k|^2 and |G - sum_k a_k A_k|^2 with sum_k a_k = 1 differ by a constant, so
        the mean Gram matrix is a target that any style loss takes.
        """
        with torch.no_grad():
            content_target = self.features(content)[self.content_layer].clone()
            style_targets = [0.0] * len(self.style_layers)
            for share, style in zip(shares, styles, strict=True):
                feats = self.features(style)
                for i, layer in enumerate(self.style_layers):
                    style_targets[i] = style_targets[i] + share * self.style_loss.gram_matrix(feats[layer])

        def objective(img):
            feats = self.features(img)
            return {
                "content": self.content_loss(self.content_weight, feats[self.content_layer], content_target),
                "style": self.style_loss(feats, self.style_layers, style_targets, self.style_weights),
                "tv": self.tv_loss(img, self.tv_weight),
            }

        return objective


def _load(source, size, cnn, dtype):
    """Load an image as the network takes it, of the type asked for, where the network is."""
    check_sequential(cnn)
    photograph = source.convert("RGB") if isinstance(source, Image.Image) else open_image(source)
    weights = next(cnn.parameters(), torch.empty(0))
    img = preprocess(photograph, size).type(dtype).to(weights.device)
    if img.dtype != weights.dtype:
        raise InputError(f"dtype {dtype} does not fit a network of {weights.dtype}; convert with cnn.type(dtype)")
    return img


def _features(img, cnn, wanted=None):
    try:
        return extract_features(img, cnn, wanted=wanted)
    except RuntimeError as problem:
        size = f"{img.shape[3]} x {img.shape[2]}"
        reason = str(problem).splitlines()[0]
        raise InputError(f"the network cannot take an image of {size} pixels: {reason}") from None


def _start(content, coarse, seed):
    """Choose the image to begin with: the coarser result, noise if there is a seed, or the content image."""
    if coarse is not None:
        return nn.functional.interpolate(coarse, size=content.shape[2:], mode="bicubic", align_corners=False)
    if seed is not None:
        return torch.empty(content.shape).uniform_(0, 1, generator=make_generator(seed)).to(content)
    return content


def _grey_sources(content, styles):
    grey_content = grey(to_pixels(content))
    matched = [match_grey(grey(to_pixels(style)), grey_content) for style in styles]
    return [to_normalised(img) for img in (grey_content, *matched)]


def _with_colours_of(content, img):
    return to_normalised(with_luminance_of(to_pixels(content), to_pixels(img)))


def _save_sources(content, styles, path):
    images = [np.asarray(to_photograph(img, should_rescale=False)) for img in (content, *styles)]
    titles = ["Content source", *["Style source"] * len(styles)]
    save_figure(image_grid([images], column_titles=titles, cell=3.2), path)


def _check_not_a_source(targets, sources):
    taken = {Path(source).resolve() for source in sources if isinstance(source, str | Path)}
    for target in targets:
        if target.resolve() in taken:
            raise InputError(f"the result would overwrite its source '{target}'; choose another name")


def _check_layers(layers, cnn):
    check_sequential(cnn)
    for layer in layers:
        if not -len(cnn) <= layer < len(cnn):
            raise InputError(f"there is no layer {layer}: the network has {len(cnn)}, counted from 0")
    return [layer % len(cnn) for layer in layers]


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
