"""Stability: how much can a map change when the image hardly does?

Yeh, Hsieh, Suggala, Inouye, Ravikumar: "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
max-sensitivity: with the map Phi(x) of an image x,

    max over noise d, |d| <= radius in every pixel, of  || Phi(x + d) - Phi(x) || / || Phi(x) ||,

the largest of some draws of d, uniform in the cube. The paper leaves out the denominator; it makes maps of
different units comparable, and Captum has it.

    from trust import max_sensitivity
    change = max_sensitivity(attribute, model, X, y)          # (N,), smaller is more stable
"""

import numpy as np
import torch

from image_utils.errors import InputError
from networks.scores import check_images
from networks.seeding import make_generator
from trust.maps import Attribute, as_maps


def max_sensitivity(
    attribute: Attribute, model, X, y, *, maps=None, radius=0.02, samples=4, noise=None, seed=0
) -> np.ndarray:
    """Find the largest relative change of the maps among some draws of small noise.

    Costs `samples` computations of the maps, one more where `maps` is not given.

    Args:
        attribute: function (X, y, model) -> maps (N, H, W), or (M, N, H, W) of M methods.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes.
        maps: the maps of X, where they are there already.
        radius: largest change of a normalised pixel; 0.02 is about one level of 255.
        samples: draws of noise.
        noise: Tensor (samples, C, H, W) of your own, or (samples, N, C, H, W); None to draw it, the same for all
            images, so that an image's number does not depend on its company.
        seed: of the noise.

    Returns:
        float64 ndarray (N,), or (M, N), at least 0. NaN for a map of zeros.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or a map is not finite.

    Source:
        Yeh et al. 2019, max-sensitivity.
    """
    check_images(X)
    if noise is None:
        if samples < 1:
            raise InputError(f"samples must be at least 1, not {samples}")
        noise = radius * (2 * torch.rand(samples, *X.shape[1:], generator=make_generator(seed)) - 1)
    maps = attribute(X, y, model) if maps is None else maps
    several, maps = np.ndim(maps) == 4, as_maps(maps, X)
    largest, scale = np.zeros(maps.shape[:2]), np.linalg.norm(maps.reshape(*maps.shape[:2], -1), axis=2)
    for delta in noise.to(X):
        changed = as_maps(attribute(X + delta, y, model), X) - maps
        largest = np.maximum(largest, np.linalg.norm(changed.reshape(*scale.shape, -1), axis=2))
    change = np.divide(largest, scale, out=np.full(scale.shape, np.nan), where=scale > 0)
    return change if several else change[0]
