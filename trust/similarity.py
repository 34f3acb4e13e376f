"""How alike two maps are: the rank correlation of their pixels."""

import numpy as np
from scipy.stats import rankdata

from trust.maps import is_flat


def rank_correlation(a, b) -> np.ndarray:
    """Compute Spearman's rank correlation along the last axis; equal values share their mean rank.

    Args:
        a: ndarray (..., K).
        b: ndarray, broadcastable to a.

    Returns:
        float64 ndarray (...), -1 to 1; NaN where all values of one side are equal, since there is no order then.
    """
    a, b = (rankdata(side, axis=-1) for side in (a, b))
    a, b = (side - side.mean(-1, keepdims=True) for side in (a, b))
    scale = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.divide((a * b).sum(-1), scale, out=np.full(scale.shape, np.nan), where=scale > 0)


def map_similarity(a, b) -> np.ndarray:
    """Compare maps (..., H, W) with maps of the same shape, pixel by pixel, by `rank_correlation`.

    Returns:
        float64 ndarray (...); NaN where a map is flat.
    """
    flat = is_flat(a) | is_flat(b)
    similarity = rank_correlation(a.reshape(*a.shape[:-2], -1), b.reshape(*b.shape[:-2], -1))
    return np.where(flat, np.nan, similarity)
