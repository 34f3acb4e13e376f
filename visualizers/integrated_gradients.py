"""Integrated Gradients: what does each pixel contribute to the score, all the way from a baseline image?

Sundararajan, Taly, Yan: "Axiomatic Attribution for Deep Networks", ICML 2017, section 3: with the class score S_y
and a baseline x', pixel i contributes

    IG_i = (x_i - x'_i) * integral of dS_y/dx_i at x' + a (x - x'), a from 0 to 1       (equation 1)

and all pixels together what the score gains over the baseline's (completeness, proposition 1):

    sum_i IG_i = S_y(x) - S_y(x').

    from visualizers.integrated_gradients import completeness_gap, integrated_gradients
    contributions = integrated_gradients(X, y, model)                    # (N, 3, H, W)
    completeness_gap(contributions, X, y, model)                         # (N,), how far the sums are off
"""

import numpy as np
import torch

from networks.no_trace import untouched
from networks.scores import check_images, class_scores


def integrated_gradients(X, y, model, *, baseline=0.0, steps=32) -> torch.Tensor:
    """Compute each pixel's contribution to the class score.

    The integral is taken by Gauss-Legendre quadrature: `steps` forward and backward passes.

    Args:
        X: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
        y: int64 Tensor (N,), the classes to explain.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        baseline: number or Tensor that broadcasts to X; zero, after normalisation, is the mean colour.
        steps: points of the path at which the gradient is computed; where the completeness gap is large, more.

    Returns:
        Tensor like X, in score units; positive where a channel of a pixel speaks for the class.

    Raises:
        InputError: shapes, dtypes or labels do not fit.

    Source:
        Sundararajan et al. 2017, section 3.
    """
    check_images(X)
    points, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
    path = X.detach() - baseline
    integral = 0
    for a, weight in zip((points + 1) / 2, weights / 2, strict=True):
        with untouched(model, baseline + a * path) as x:
            scores = class_scores(model(x), y)
            integral = integral + weight * torch.autograd.grad(scores.sum(), x)[0]
    return path * integral


def completeness_gap(contributions, X, y, model, *, baseline=0.0) -> torch.Tensor:
    """Say how far contributions are from adding up to what the score gains over the baseline's.

    Args:
        contributions: Tensor (N, C, H, W), of `integrated_gradients` with the same arguments.
        X: as there.
        y: as there.
        model: as there.
        baseline: as there.

    Returns:
        Tensor (N,), at least 0, in score units.

    Source:
        Sundararajan et al. 2017, proposition 1.
    """
    with untouched(model), torch.no_grad():
        gain = class_scores(model(X.clone()), y) - class_scores(model(torch.zeros_like(X) + baseline), y)
    return (contributions.sum((1, 2, 3)) - gain).abs()
