"""Sensitivity to the class: does the map change when another class is asked for?

Of an image's classes the runner-up r is the one with the highest score besides y. The measure is the similarity

    s = rank correlation ( map for y,  map for r ).

A map that explains the class differs between the two; one that stays the same (s near 1) shows the image, whatever
the question. Two classes of one kind, two dogs say, share their evidence, so s of an honest map need not be 0.

    from trust import class_sensitivity
    similarity = class_sensitivity(attribute, model, X, y)          # (N,)
"""

import numpy as np
import torch

from image_utils.errors import InputError
from networks.no_trace import untouched
from networks.scores import check_images, class_scores
from trust.maps import Attribute, as_maps
from trust.similarity import map_similarity


def class_sensitivity(attribute: Attribute, model, X, y, *, maps=None, other=None) -> np.ndarray:
    """Compare the maps for the classes asked for with those for the runners-up.

    Costs one computation of the maps, two where `maps` is not given.

    Args:
        attribute: function (X, y, model) -> maps (N, H, W), or (M, N, H, W) of M methods.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes.
        maps: the maps for y, where they are there already.
        other: int64 Tensor (N,), the classes to compare with; None for `runners_up`.

    Returns:
        float64 ndarray (N,), or (M, N), -1 to 1; the smaller, the more the map depends on the class. NaN where a
        map is flat.

    Raises:
        InputError: shapes, dtypes or labels do not fit, a map is not finite, or there is one class only.
    """
    other = runners_up(model, X, y) if other is None else other
    maps = attribute(X, y, model) if maps is None else maps
    similarity = map_similarity(as_maps(maps, X), as_maps(attribute(X, other, model), X))
    return similarity if np.ndim(maps) == 4 else similarity[0]


def runners_up(model, X, y) -> torch.Tensor:
    """Find for each image the class with the highest score besides y.

    Arguments and errors are those of `class_sensitivity`.

    Returns:
        int64 Tensor (N,).
    """
    check_images(X)
    with untouched(model), torch.no_grad():
        scores = model(X.clone())
        class_scores(scores, y)  # checks the labels
    if scores.shape[1] < 2:
        raise InputError("the network has one class only; there is no other to compare with")
    mine = torch.as_tensor(y, device=scores.device).long().view(-1, 1)
    return scores.scatter(1, mine, -torch.inf).argmax(1)
