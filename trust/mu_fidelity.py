"""Faithfulness by random masks: do the regions that a map calls important cost the score most when they go?

Bhatt, Weller, Moura: "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020, "faithfulness":
over random sets S of regions, all of the same number of regions,

    mu = corr_S ( sum of the map over S,  f_y(x) - f_y(x with S replaced by a baseline) ).

Here the correlation is that of ranks (Spearman's), and the regions are the cells of a grid. One set of masks, and
one forward pass for each, serves every map of an image.

    from trust import mu_fidelity
    faithful = mu_fidelity(model, X, y, maps)          # (N,), 1 is best
"""

import numpy as np
import torch

from image_utils.errors import InputError
from image_utils.masks import random_masks
from networks.masked import masked_scores
from networks.scores import check_images
from networks.seeding import make_generator
from trust.maps import as_maps, is_flat
from trust.similarity import rank_correlation


def mu_fidelity(
    model,
    X,
    y,
    maps,
    *,
    masks=None,
    count=128,
    cells=7,
    share=0.2,
    baseline=0.0,
    softmax=False,
    seed=0,
    batch=None,
) -> np.ndarray:
    """Correlate what a map says of sets of regions with what the score loses without them.

    Costs count + 1 forward passes for each image, however many maps it has.

    Args:
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes that the maps explain.
        maps: Tensor or ndarray (N, H, W), or (M, N, H, W) for M methods; higher where the class is seen more.
        masks: Tensor (count, H, W) of your own, 0 on the set S and 1 elsewhere; None to draw them.
        count: number of sets, where they are drawn.
        cells: cells along each side of the image, where sets are drawn.
        share: share of the cells in a set.
        baseline: number or Tensor (C, H, W) that replaces what is masked; zero is the mean colour.
        softmax: whether to follow the class's probability instead of its score.
        seed: of the sets.
        batch: images in a forward pass; None for what suits the device.

    Returns:
        float64 ndarray (N,), or (M, N): -1 to 1, larger is better. NaN for a map that is flat, and where the score
        does not change at all.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or a map is not finite.

    Source:
        Bhatt et al. 2020, faithfulness.
    """
    check_images(X)
    stacked = as_maps(maps, X)
    if masks is None:
        generator = make_generator(seed)
        masks = random_masks(count, X.shape[2:], generator, cells=cells, keep=1 - share)
    if masks.ndim != 3 or masks.shape[1:] != X.shape[2:] or len(masks) < 2:
        raise InputError(f"masks must be two or more of {tuple(X.shape[2:])} pixels, not {tuple(masks.shape)}")
    covered = 1 - masks.double().cpu().numpy()
    everything = torch.cat([torch.ones_like(masks[:1]), masks]).to(X)
    options = {"baseline": baseline, "softmax": softmax, "batch": batch}
    scores = masked_scores(model, X, y, everything, **options).double().cpu().numpy()
    sums = np.einsum("mnhw,khw->mnk", stacked, covered, optimize=True)
    result = rank_correlation(sums, scores[:, :1] - scores[:, 1:])
    result[is_flat(stacked)] = np.nan
    return result if np.ndim(maps) == 4 else result[0]
