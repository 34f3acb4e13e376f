"""Style loss: which features occur together, wherever they occur.

Gatys, Ecker, Bethge: "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. The Gram matrix of a
layer, G_ij = sum_k F_ik F_jk (equation 3), forgets the places k and keeps how often channels i and j go together;
the loss compares Gram matrices layer by layer (equations 4 and 5). The course divides G by C*H*W and has a
weight w_l in place of the paper's factors.

    gram = StyleLoss().gram_matrix(features[5])                                    # (1, 128, 128)
    loss = StyleLoss()(features, [1, 4], [target1, target4], [300000, 1000])
"""

import torch
from torch import nn

from image_utils.errors import InputError
from style_modules.shapes import check_maps


class SelfProduct(torch.autograd.Function):
    """F F^T, with the gradient as one product: d/dF of <D, F F^T> is (D + D^T) F.

    Left to itself, autograd sees two different factors and multiplies once for each, in an order of memory that
    makes adding the two gradients the slowest part of a step. For features channels last the gradient has their
    order, and is no view of another tensor, for the same reason: the network's gradient is added to it in place.
    """

    @staticmethod
    def forward(ctx, features):
        """Multiply F, which is features (N, C, H, W) as rows (N, C, H*W), with its transpose: Tensor (N, C, C)."""
        # >>> Solution: the product; only if your Gram matrix uses this class, which it need not
        ctx.save_for_backward(features)
        F = features.flatten(2)
        return F @ F.transpose(1, 2)
        # <<< Solution

    @staticmethod
    def backward(ctx, D):
        """Return the gradient by the features, differentiable again."""
        # >>> Solution: the gradient; only if your Gram matrix uses this class
        (features,) = ctx.saved_tensors
        symmetric = D + D.transpose(1, 2)
        if len(features) == 1 and features.is_contiguous(memory_format=torch.channels_last):
            return torch.conv2d(features, symmetric[0, :, :, None, None])  # the product, as a 1 x 1 convolution
        return (symmetric @ features.flatten(2)).view(features.shape)
        # <<< Solution


class StyleLoss(nn.Module):
    """Weighted squared distance between Gram matrices, summed over layers; the course's class."""

    def gram_matrix(self, features, normalize=True):
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
        gram = SelfProduct.apply(features)  # F @ F.transpose(1, 2) with F = features.flatten(2)
        return gram / (C * H * W) if normalize else gram
        # <<< Solution

    def forward(self, feats, style_layers, style_targets, style_weights):
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
