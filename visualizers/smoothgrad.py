"""SmoothGrad: the gradient averaged over noisy copies of the image.

Smilkov, Thorat, Kim, Viégas, Wattenberg: "SmoothGrad: removing noise by adding noise", 2017, section 3: the
gradient M_y = dS_y/dx of a network with ReLUs changes wildly from pixel to pixel, and its mean over a
neighbourhood less:

    M^_y(x) = 1/n * sum of M_y(x + noise), n times, noise from N(0, sigma^2),

with sigma a tenth to a fifth of the image's range of values.

    from visualizers.smoothgrad import smoothgrad
    maps = smoothgrad(X, y, model).abs().amax(1)                    # (N, H, W)
"""

import torch

from networks.no_trace import untouched
from networks.scores import check_images, class_scores
from networks.seeding import make_generator


def smoothgrad(X, y, model, *, samples=25, level=0.15, noise=None, seed=0) -> torch.Tensor:
    """Compute the gradient of the class score by the pixels, averaged over noisy copies of each image.

    Costs `samples` forward and backward passes.

    Args:
        X: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
        y: int64 Tensor (N,), the classes to explain.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        samples: noisy copies of each image.
        level: sigma as a share of an image's range, its largest value minus its smallest.
        noise: Tensor (samples, C, H, W) from N(0, 1) of your own; None to draw it, the same for all images, so
            that an image's map does not depend on its company.
        seed: of the noise.

    Returns:
        Tensor like X, signed, in score units per unit of normalised pixel.

    Raises:
        InputError: shapes, dtypes or labels do not fit.

    Source:
        Smilkov et al. 2017, section 3.
    """
    check_images(X)
    if noise is None:
        noise = torch.randn(samples, *X.shape[1:], generator=make_generator(seed))
    sigma = level * (X.detach().amax((1, 2, 3)) - X.detach().amin((1, 2, 3))).view(-1, 1, 1, 1)
    total = 0
    for one in noise.to(X):
        with untouched(model, X + sigma * one) as x:
            scores = class_scores(model(x), y)
            total = total + torch.autograd.grad(scores.sum(), x)[0]
    return total / len(noise)
