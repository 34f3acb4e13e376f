"""Content loss: how far an image's features are from those of the photograph that it should still show.

Gatys, Ecker, Bethge: "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. With F and P the
features of one layer for the image and for the photograph, equation 1 is L = 1/2 * sum (F - P)^2; the course has a
weight w_c in place of the 1/2.

    import torch
    from data import load_network
    from style_modules import ContentLoss
    from style_utils import features_from_img

    cnn = load_network().features
    features, img = features_from_img("cat.jpg", 192, cnn, torch.FloatTensor)
    loss = ContentLoss()(6e-2, features[3], torch.zeros_like(features[3]))
"""

import torch
from torch import nn

from image_utils.errors import InputError
from networks.scores import check_maps


class ContentLoss(nn.Module):
    """Weighted sum of squared differences between two feature maps; the course's class."""

    def forward(
        self, content_weight: float, content_current: torch.Tensor, content_original: torch.Tensor
    ) -> torch.Tensor:
        """Compute w_c * sum over channels and places of (F - P)^2.

        Args:
            content_weight: number w_c, the weight of this loss.
            content_current: float Tensor (N, C, H, W), F, features of the image being made.
            content_original: Tensor of the same shape, P, features of the content photograph.

        Returns:
            Scalar Tensor, at least 0 for a weight of at least 0; differentiable in both features.

        Raises:
            InputError: not feature maps, or two shapes.

        Source:
            Gatys et al. 2016, equation 1.
        """
        check_maps(content_current, "content_current")
        check_maps(content_original, "content_original")
        if content_current.shape != content_original.shape:
            raise InputError(
                f"content_current has shape {tuple(content_current.shape)} and content_original "
                f"{tuple(content_original.shape)}: both must be features of one layer at one image size"
            )
        # >>> Solution: the weighted sum of squared differences
        return content_weight * (content_current - content_original).square().sum()
        # <<< Solution
