"""Deletion and insertion: does the score fall when the map's best pixels go, and rise when they come?

Petsiuk, Das, Saenko: "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 4,
"causal metrics". Pixels are taken in the order of the map, the highest first. With p(t) the probability of the
class once a share t of the pixels has been replaced by a baseline (deletion), or once a baseline has got a share t
of its pixels back (insertion), the measure is the area under the curve,

    area = integral of p(t) dt, t from 0 to 1,

here by trapezia over `steps` equal parts. Deletion: the smaller, the better. Insertion: the larger, the better.
Pixels of equal value are taken in one random order, the same for all maps, so a constant map is a random one.

    from trust import deletion
    areas = deletion(model, X, y, maps)          # (N,)
"""

import itertools

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from image_utils.errors import InputError
from networks.masked import masked_scores, memory_order
from networks.scores import check_images
from trust.maps import as_maps

BLUR = 1 / 20  # of the shorter side: the blur's standard deviation, 11 pixels of 224


def deletion(model, X, y, maps, *, baseline=None, steps=24, softmax=True, seed=0, batch=None) -> np.ndarray:
    """Compute the area under the class's probability while the map's pixels are deleted, the highest first.

    Costs steps - 1 forward passes for each map, and 2 for each image.

    Args:
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes that the maps explain.
        maps: Tensor or ndarray (N, H, W), or (M, N, H, W) for M methods; higher where the class is seen more.
        baseline: Tensor that replaces the pixels, shaped like X or broadcastable to it; None for zero, which after
            normalisation is the mean colour.
        steps: parts into which the pixels are divided.
        softmax: whether to follow the class's probability, as the paper does, or its score.
        seed: of the order among equal values.
        batch: images in a forward pass; None for what suits the device.

    Returns:
        float64 ndarray (N,), or (M, N): areas in [0, 1], or in score units; smaller is better.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or a map is not finite.

    Source:
        Petsiuk et al. 2018, section 4.
    """
    baseline = torch.zeros_like(X) if baseline is None else _like(baseline, X)
    curves = score_curves(model, X, baseline, y, maps, steps=steps, softmax=softmax, seed=seed, batch=batch)
    return _areas(curves, maps)


def insertion(model, X, y, maps, *, baseline=None, steps=24, softmax=True, seed=0, batch=None) -> np.ndarray:
    """Compute the area under the class's probability while the map's pixels come back, the highest first.

    Arguments, costs and result are those of `deletion`, but for `baseline`: what the image starts from; None for
    the image blurred by a twentieth of its shorter side. Larger is better.
    """
    baseline = blurred(X) if baseline is None else _like(baseline, X)
    curves = score_curves(model, baseline, X, y, maps, steps=steps, softmax=softmax, seed=seed, batch=batch)
    return _areas(curves, maps)


def score_curves(model, start, end, y, maps, *, steps=24, softmax=True, seed=0, batch=None) -> np.ndarray:
    """Follow the score while images turn into others, pixel by pixel in the order of a map.

    Args:
        model: as in `deletion`.
        start: Tensor (N, C, H, W), the images at t = 0.
        end: Tensor like it, the images at t = 1.
        y: as in `deletion`.
        maps: as in `deletion`.
        steps: as in `deletion`.
        softmax: as in `deletion`.
        seed: as in `deletion`.
        batch: as in `deletion`.

    Returns:
        float64 ndarray (M, N, steps + 1), the scores at t = 0, 1/steps, ..., 1.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, not {steps}")
    check_images(start)
    maps = as_maps(maps, start)
    curves = np.empty((*maps.shape[:2], steps + 1))
    for n, (first, last, label) in enumerate(zip(start, end, torch.as_tensor(y), strict=True)):
        turns = torch.as_tensor(turn_numbers(maps[:, n], steps, seed), device=start.device)
        # first is seen where a mask is 1: everywhere, nowhere, then map by map where a pixel's turn is to come
        ends = (torch.ones_like(turns[0]), torch.zeros_like(turns[0]))
        masks = itertools.chain(ends, (turn > step for turn in turns for step in range(1, steps)))
        options = {"baseline": last, "softmax": softmax, "batch": batch}
        scores = masked_scores(model, first[None], label[None], masks, **options)[0].double().cpu().numpy()
        curves[:, n, 0], curves[:, n, -1] = scores[:2]
        curves[:, n, 1:-1] = scores[2:].reshape(len(maps), steps - 1)
    return curves


def turn_numbers(maps, steps, seed) -> np.ndarray:
    """Say in which of the steps each pixel has its turn: those of the highest values in step 1.

    Args:
        maps: float64 ndarray (M, H, W).
        steps: number of steps, each with the same number of pixels up to rounding.
        seed: of the order among equal values.

    Returns:
        int64 ndarray like maps, 1 to steps.
    """
    places = maps[0].size
    shuffled = np.random.default_rng(seed).permutation(places)
    order = shuffled[np.argsort(-maps.reshape(-1, places)[:, shuffled], axis=1, kind="stable")]
    turns = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(turns, order, (np.arange(places) * steps // places + 1)[None], axis=1)
    return turns.reshape(maps.shape)


def blurred(X) -> torch.Tensor:
    """Blur images so that small details go: a Gaussian of a twentieth of the shorter side."""
    sigma = BLUR * min(X.shape[2:])
    pixels = X.detach().cpu().numpy()
    smooth = torch.as_tensor(gaussian_filter(pixels, (0, 0, sigma, sigma), mode="nearest"), device=X.device)
    return smooth.contiguous(memory_format=memory_order(X))


def _areas(curves, maps):
    areas = np.trapezoid(curves, dx=1 / (curves.shape[-1] - 1), axis=-1)
    return areas if np.ndim(maps) == 4 else areas[0]


def _like(baseline, X):
    try:
        return torch.as_tensor(baseline, dtype=X.dtype, device=X.device).expand_as(X)
    except RuntimeError:
        raise InputError(f"baseline must be broadcastable to the images, {tuple(X.shape)}") from None
