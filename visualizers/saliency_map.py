"""Saliency maps: which pixels would change the class score most?

Simonyan, Vedaldi, Zisserman: "Deep Inside Convolutional Networks: Visualising Image Classification Models and
Saliency Maps", ICLR workshop 2014, section 3.1: the network's score S_y(x) is replaced by its linear
approximation around the image; the weight of a pixel is the derivative w = dS_y/dx, and the map is
M(i, j) = max over channels c of |w(i, j, c)|.

    import torch
    from data import load_network
    from data_utils import load_imagenet_val
    from image_utils.pixels import to_input
    from visualizers import SaliencyMap

    X, y, class_names = load_imagenet_val(num=5)
    maps = SaliencyMap().compute_saliency_maps(to_input(X), torch.tensor(y), load_network())  # (5, 224, 224)
"""

from pathlib import Path

import numpy as np
import torch

from image_utils.figures import image_grid
from image_utils.pixels import for_each_size
from image_utils.writing import save_figure
from networks.no_trace import as_leaf, untouched
from networks.precision import arithmetic
from networks.scores import check_images, class_scores


def largest_magnitude(gradient):
    """Reduce a gradient by the pixels to a map: the largest magnitude among a pixel's channels.

    Args:
        gradient: Tensor (N, C, H, W), d score / d pixel.

    Returns:
        Tensor (N, H, W), at least 0.

    Source:
        Simonyan et al. 2014, section 3.1.
    """
    # >>> Solution: the magnitude, then the largest channel
    return gradient.abs().amax(dim=1)
    # <<< Solution


class SaliencyMap:
    """Saliency maps of a classification network; the course's class."""

    def compute_saliency_maps(self, X, y, model, *, precision="float32"):
        """Compute |d score_y / d pixel|, maximum over channels.

        One backward pass serves the batch: image n influences score n only, so the gradient of the sum holds
        every image's own gradient.

        Args:
            X: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
            y: int64 Tensor (N,), the classes to explain.
            model: classification network (N, 3, H, W) -> (N, C); left as it was.
            precision: "float32", or "fast" or "bf16"; see `networks.precision`.

        Returns:
            Tensor (N, H, W), X's dtype and device, at least 0, in score units per unit of normalised pixel.

        Raises:
            InputError: shapes, dtypes or labels do not fit.

        Source:
            Simonyan et al. 2014, section 3.1.
        """
        check_images(X)
        # >>> Solution: gradient of the summed class scores in one backward pass; its magnitude, largest channel
        x = as_leaf(X)
        with untouched(model), arithmetic(precision, x) as images:
            scores = class_scores(model(images), y)
            (gradient,) = torch.autograd.grad(scores.sum(), x)
        return largest_magnitude(gradient)
        # <<< Solution

    def show_saliency_maps(self, X, y, class_names, model, *, out="visualization"):
        """Write the photographs and their saliency maps to OUT/saliency_map.png.

        White is the 99.5th percentile of a map, since a few extreme pixels would leave the rest black.

        Args:
            X: uint8 ndarray (N, H, W, 3), photographs at the size the network shall see; or a sequence of N
                photographs of different sizes.
            y: N class indices.
            class_names: dict from class index to name.
            model: classification network; left as it was.
            out: folder of the figure.
        """
        device = next(model.parameters()).device

        def maps(x, labels):
            return self.compute_saliency_maps(x.to(device), labels.to(device), model).cpu().numpy()

        shown = [np.minimum(m, np.percentile(m, 99.5)) for m in for_each_size(maps, X, y)]
        titles = [class_names[int(label)] for label in y]
        figure = image_grid([list(X), shown], column_titles=titles)
        save_figure(figure, Path(out) / "saliency_map.png")
