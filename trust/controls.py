"""Maps that know nothing of the network: whoever is not better than these explains nothing.

Each is a method as the measures see it, (X, y, model) -> maps (N, H, W):

    random order       every pixel a random number, drawn anew at each call
    edges              Sobel's detector: the length of the brightness's gradient
    centred Gaussian   photographs have their object in the middle
"""

import numpy as np
import torch
from scipy.ndimage import sobel

from networks.seeding import make_generator
from trust.maps import Attribute

WIDTH = 1 / 4  # of each side: the Gaussian's standard deviation


class RandomOrder:
    """Random numbers for pixels: `RandomOrder(seed)(X, y, model)`.

    A second call gives other numbers: by the measures of sensitivity this control is as sensitive as can be.
    """

    def __init__(self, seed=0):
        self.generator = make_generator(seed)

    def __call__(self, X, y=None, model=None) -> torch.Tensor:
        """Draw maps in [0, 1), float32 Tensor (N, H, W)."""
        return torch.rand(len(X), *X.shape[2:], generator=self.generator)


def edges(X, y=None, model=None) -> np.ndarray:
    """Find edges: the length of the gradient of the channels' mean, by Sobel's filters.

    Args:
        X: float Tensor (N, C, H, W).
        y: not used.
        model: not used.

    Returns:
        float64 ndarray (N, H, W), at least 0.
    """
    brightness = X.detach().double().mean(1).cpu().numpy()
    # One by one: along a batch the filter would smooth, too, from one image into the next.
    return np.stack([np.hypot(sobel(one, axis=0), sobel(one, axis=1)) for one in brightness])


def centred_gaussian(X, y=None, model=None) -> np.ndarray:
    """Give every image the same hill in its middle, a quarter of each side wide.

    Args:
        X: float Tensor (N, C, H, W).
        y: not used.
        model: not used.

    Returns:
        float64 ndarray (N, H, W) in (0, 1].
    """
    hills = [np.exp(-(((np.arange(side) - (side - 1) / 2) / (WIDTH * side)) ** 2) / 2) for side in X.shape[2:]]
    return np.broadcast_to(np.outer(*hills), (len(X), *X.shape[2:])).copy()


def make_controls(seed=0) -> dict[str, Attribute]:
    """Return the three controls by name; `seed` is that of the random order."""
    return {"random order": RandomOrder(seed), "edges": edges, "centred Gaussian": centred_gaussian}
