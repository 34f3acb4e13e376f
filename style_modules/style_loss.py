"""Style loss: which features occur together, wherever they occur.

Gatys, Ecker, Bethge: "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. The Gram matrix of a
layer, G_ij = sum_k F_ik F_jk (equation 3), forgets the places k and keeps how often channels i and j go together;
the loss compares Gram matrices layer by layer (equations 4 and 5). The course divides G by C*H*W and has a
weight w_l in place of the paper's factors.

    gram = StyleLoss().gram_matrix(features[5])                                    # (1, 128, 128)
    loss = StyleLoss()(features, [1, 4], [target1, target4], [300000, 1000])
"""

from collections.abc import Sequence

import torch
from torch import nn

from image_utils.errors import InputError
from networks.scores import check_maps


class StyleLoss(nn.Module):
    """Weighted squared distance between Gram matrices, summed over layers; the course's class."""

    def gram_matrix(self, features: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Compute the Gram matrix of each image's features, G = F F^T with F of shape (C, H*W).

        Args:
            features: float Tensor (N, C, H, W).
            normalize: divide by C*H*W, the number of features.

        Returns:
            Tensor (N, C, C), symmetric.

        Raises:
            InputError: not feature maps.

        Source:
            Gatys et al. 2016, equation 3; the normalisation is the course's.
        """
        check_maps(features, "features")
        # >>> Solution: one matrix product for the whole batch
        _, C, H, W = features.shape
        F = features.flatten(2)  # (N, C, H*W)
        gram = F @ F.transpose(1, 2)
        return gram / (C * H * W) if normalize else gram
        # <<< Solution

    def forward(
        self,
        feats: Sequence[torch.Tensor],
        style_layers: Sequence[int],
        style_targets: Sequence[torch.Tensor],
        style_weights: Sequence[float],
    ) -> torch.Tensor:
        """Compute sum over layers l of w_l * sum (G_l - A_l)^2.

        Args:
            feats: sequence of Tensors (N, C, H, W), features of the image being made, as `extract_features` gives.
            style_layers: indices into `feats`.
            style_targets: for each of these layers A_l, the Gram matrix (N, C, C) of the style image.
            style_weights: for each of these layers w_l, a number.

        Returns:
            Scalar Tensor, differentiable in the features.

        Raises:
            InputError: numbers of layers, targets and weights that differ, no such layer, or a target of another
                shape than the layer's Gram matrix.

        Source:
            Gatys et al. 2016, equations 4 and 5.
        """
        _check_layers(feats, style_layers, style_targets, style_weights)
        # >>> Solution: a loop over the layers, and none besides
        loss = 0.0
        for layer, target, weight in zip(style_layers, style_targets, style_weights, strict=True):
            loss = loss + weight * (self.gram_matrix(feats[layer]) - target).square().sum()
        return loss
        # <<< Solution


def _check_layers(feats, layers, targets, weights):
    if not len(layers) == len(targets) == len(weights) > 0:
        raise InputError(
            f"style_layers, style_targets and style_weights must be as many, at least one, "
            f"not {len(layers)}, {len(targets)} and {len(weights)}"
        )
    for layer, target in zip(layers, targets, strict=True):
        if not -len(feats) <= layer < len(feats):
            raise InputError(f"style layer {layer} is not among the {len(feats)} features")
        check_maps(feats[layer], f"feats[{layer}]")
        n, channels = feats[layer].shape[:2]
        if tuple(getattr(target, "shape", ())) != (n, channels, channels):
            raise InputError(
                f"the style target of layer {layer} must be a Gram matrix, a Tensor {(n, channels, channels)}, "
                f"not {tuple(getattr(target, 'shape', ())) or type(target).__name__}"
            )
