"""Occlusion: how much does the score lose when a part of the image is covered?

Zeiler, Fergus: "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2: a grey square W_k
slides over the image; each of its places k has the loss

    d_k = S_y(x) - S_y(x with W_k covered),

and a pixel the mean loss of the squares that cover it.

    from visualizers.occlusion import occlusion
    losses = occlusion(X, y, model)                    # (N, H, W)
"""

import torch

from image_utils.errors import InputError
from networks.masked import masked_scores
from networks.scores import check_images


def occlusion(X, y, model, *, window=32, stride=16, baseline=0.0, batch=None) -> torch.Tensor:
    """Compute what the class score loses where the image is covered.

    Costs a forward pass for each place of the square: 169 for 224 x 224 pixels.

    Args:
        X: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
        y: int64 Tensor (N,), the classes to explain.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        window: side of the square in pixels.
        stride: its step in pixels; the last square of a row may reach beyond the edge.
        baseline: what covers the image, a number or a Tensor that broadcasts to (C, H, W); zero, after
            normalisation, is the mean colour.
        batch: places in one forward pass; None for what suits the device.

    Returns:
        Tensor (N, H, W), in score units; positive where covering lowers the score.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or pixels would never be covered.

    Source:
        Zeiler and Fergus 2014, section 4.2.
    """
    check_images(X)
    if not 1 <= stride <= window:
        raise InputError(f"stride must be 1 to the window's side, {window}, not {stride}")
    rows, columns = (_starts(side, window, stride) for side in X.shape[2:])
    uncovered = torch.ones(1 + len(rows) * len(columns), *X.shape[2:])
    places = [(slice(i, i + window), slice(j, j + window)) for i in rows for j in columns]
    for mask, place in zip(uncovered[1:], places, strict=True):
        mask[place] = 0
    scores = masked_scores(model, X, y, uncovered, baseline=baseline, batch=batch)
    losses, covered = scores[:, :1] - scores[:, 1:], 1 - uncovered[1:].to(X)
    return torch.einsum("nk,khw->nhw", losses, covered) / covered.sum(0)


def _starts(side, window, stride):
    """List where squares start along a side so that the last one reaches its end."""
    return [index * stride for index in range(-(-max(side - window, 0) // stride) + 1)]
