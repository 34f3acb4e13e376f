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

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from image_utils.figures import brightness, image_grid
from image_utils.pixels import for_each_size
from image_utils.writing import save_figure
from networks.blank import blank_reasons, warn_if_blank
from networks.no_trace import untouched
from networks.scores import target_scores


class SaliencyMap:
    """Saliency maps of a classification network; the course's class."""

    def compute_saliency_maps(
        self, X: torch.Tensor, y: torch.Tensor, model: nn.Module, *, target: Callable | None = None
    ) -> torch.Tensor:
        """Compute |d score_y / d pixel|, maximum over channels.

        One backward pass serves the batch: image n influences score n only, so the gradient of the sum holds
        every image's own gradient.

        Args:
            X: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
            y: int64 Tensor (N,), the classes to explain.
            model: classification network (N, C, H, W) -> (N, K); left as it was.
            target: what to explain instead of the class score: function of the network's output that returns one
                number an image, Tensor (N,); y is not used then.

        Returns:
            Tensor (N, H, W), X's dtype and device, at least 0, in score units per unit of normalised pixel.

        Raises:
            InputError: shapes, dtypes, labels or target do not fit, or an image is not finite.

        Source:
            Simonyan et al. 2014, section 3.1.
        """
        with untouched(model, X) as X:
            X_var, y_var = X, y  # the same, by the names of the course's skeleton
            saliency = None
            # >>> Solution: the gradient of the class scores in one backward pass; its magnitude, largest channel
            scores = target_scores(model(X_var), y_var, target)
            scores.sum().backward()
            saliency = X_var.grad.abs().amax(dim=1)
            # <<< Solution
        warn_if_blank(model, X, y, saliency, target=target)
        return saliency

    def show_saliency_maps(
        self,
        X: np.ndarray | Sequence[np.ndarray],
        y: Sequence[int],
        class_names: Mapping[int, str],
        model: nn.Module,
        *,
        out: str | Path = "visualization",
    ) -> Figure:
        """Write the photographs and their saliency maps to OUT/saliency_map.png.

        White is the 99.5th percentile of a map, since a few extreme pixels would leave the rest black.

        Args:
            X: uint8 ndarray (N, H, W, 3), photographs at the size the network shall see; or a sequence of N
                photographs of different sizes.
            y: N class indices.
            class_names: dict from class index to name.
            model: classification network; left as it was.
            out: folder of the figure.

        Returns:
            matplotlib Figure, which a notebook shows.
        """
        device = next(model.parameters()).device

        def maps(x, labels):
            return self.compute_saliency_maps(x.to(device), labels.to(device), model).cpu().numpy()

        with blank_reasons() as reasons:
            heats = for_each_size(maps, X, y)
        titles = [class_names[int(label)] for label in y]
        figure = saliency_figure(X, heats, titles, caption=" ".join(reasons))
        save_figure(figure, Path(out) / "saliency_map.png")
        return figure


def saliency_figure(
    X: Sequence[np.ndarray], maps: Sequence[np.ndarray], titles: Sequence[str], *, caption: str = ""
) -> Figure:
    """Draw photographs, uint8 (H, W, 3) each, above their saliency maps, (H, W) each."""
    rows = [list(X), [brightness(np.asarray(m)) for m in maps]]
    named = {"column_titles": titles, "row_titles": ["Photograph", "Saliency"], "caption": caption}
    return image_grid(rows, **named, vmin=0, vmax=1)
