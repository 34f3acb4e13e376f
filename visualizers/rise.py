"""RISE: the image seen through random masks; where it was open when the class was seen, there the class is.

Petsiuk, Das, Saenko: "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 3:
with K random masks M_k, the share E[M] of the image that they leave open, and the probability p of the class,

    S(place) = 1 / (E[M] K) * sum_k p(x * M_k) M_k(place).                                (equation 6)

The network is used as a black box: no gradient, no layer.

    from visualizers.rise import rise
    maps = rise(X, y, model)                    # (N, H, W)
"""

import torch

from image_utils.masks import random_masks
from networks.masked import masked_scores
from networks.scores import check_images
from networks.seeding import make_generator


def rise(X, y, model, *, count=1000, cells=7, keep=0.5, baseline=0.0, seed=0, batch=None) -> torch.Tensor:
    """Compute where the image has to be seen for the class to be seen.

    Costs `count` forward passes of each image. Every mask leaves the same number of cells open; the paper draws
    each cell by itself. That takes the scatter of the masks' sizes, which says nothing, out of the mean.

    Args:
        X: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
        y: int64 Tensor (N,), the classes to explain.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        count: number of masks; the paper has 4000 to 8000.
        cells: cells of a mask along each side.
        keep: share of the cells that are open.
        baseline: what masks cover the image with, a number or a Tensor that broadcasts to (C, H, W).
        seed: of the masks.
        batch: masks in one forward pass; None for what suits the device.

    Returns:
        Tensor (N, H, W), at least 0, in units of probability.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or a grid that the image is too small for.

    Source:
        Petsiuk et al. 2018, section 3.
    """
    check_images(X)
    masks = random_masks(count, X.shape[2:], make_generator(seed), cells=cells, keep=keep, smooth=True).to(X)
    p = masked_scores(model, X, y, masks, baseline=baseline, softmax=True, batch=batch)
    return torch.einsum("nk,khw->nhw", p, masks) / (masks.mean() * count)
