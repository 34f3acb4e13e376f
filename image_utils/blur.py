"""Gaussian blur of images on their own device, equal to SciPy's."""

import numpy as np
import torch

from image_utils.errors import at_least

TRUNCATE = 4.0  # standard deviations at which the Gaussian ends, as in SciPy


def blur_image(X: torch.Tensor, sigma: float = 1) -> torch.Tensor:
    """Blur images with a Gaussian along rows and columns.

    The same as `scipy.ndimage.gaussian_filter1d` over both (mode "reflect", truncate 4).

    Args:
        X: floating-point Tensor (N, C, H, W); not changed.
        sigma: standard deviation in pixels; 0 changes nothing.

    Returns:
        Tensor like X. (The course's function wrote it into X as well.)

    Raises:
        InputError: sigma is negative or not finite.
    """
    at_least(0, sigma=sigma)
    weights = gaussian_weights(sigma)
    for dim in (2, 3):
        X = _filter(X, weights, dim)
    return X


def gaussian_weights(sigma: float) -> list[float]:
    """Compute a normalised Gaussian at whole pixels up to TRUNCATE standard deviations: odd length."""
    radius = int(TRUNCATE * sigma + 0.5)
    if radius == 0:
        return [1.0]
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).tolist()


def _filter(X: torch.Tensor, weights: list[float], dim: int) -> torch.Tensor:
    """Correlate along one dimension; beyond the edges the image goes on as its mirror image, edges included."""
    length, radius = X.shape[dim], len(weights) // 2
    places = torch.arange(-radius, length + radius, device=X.device) % (2 * length)
    padded = X.index_select(dim, torch.minimum(places, 2 * length - 1 - places))
    return sum(weight * padded.narrow(dim, k, length) for k, weight in enumerate(weights))  # type: ignore[return-value]
