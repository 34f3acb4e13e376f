"""Total variation: how much neighbouring pixels differ, which keeps the optimised image from growing grainy.

Rudin, Osher, Fatemi: "Nonlinear total variation based noise removal algorithms", Physica D 60, 1992, introduced it
with absolute values; the course defines it with squares,
L = w_t * (sum (x[c, i, j+1] - x[c, i, j])^2 + sum (x[c, i+1, j] - x[c, i, j])^2).

    loss = TotalVariationLoss()(img, 2e-2)
"""

import torch
from torch import nn

from networks.scores import check_maps


class TotalVariationLoss(nn.Module):
    """Weighted sum of squared differences of neighbouring pixels; the course's class."""

    def forward(self, img: torch.Tensor, tv_weight: float) -> torch.Tensor:
        """Compute w_t * (squared differences to the right + squared differences downwards).

        Args:
            img: float Tensor (N, C, H, W), the image being made, normalised.
            tv_weight: number w_t, the weight of this loss.

        Returns:
            Scalar Tensor, differentiable in the image; 0 for an image of one pixel.

        Raises:
            InputError: not an image batch.

        Source:
            The course's definition, with squares for the absolute values of Rudin et al. 1992.
        """
        check_maps(img, "img")
        # >>> Solution: shift the image by one pixel each way, by slicing
        to_the_right = img[:, :, :, 1:] - img[:, :, :, :-1]
        downwards = img[:, :, 1:, :] - img[:, :, :-1, :]
        return tv_weight * (to_the_right.square().sum() + downwards.square().sum())
        # <<< Solution
