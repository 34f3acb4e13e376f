"""Guided backpropagation, Grad-CAM and their product: which details speak for a class, and where?

Springenberg, Dosovitskiy, Brox, Riedmiller: "Striving for Simplicity: The All Convolutional Net", ICLR workshop
2015, section 3.4: going back through a ReLU f = max(x, 0), the signal R passes where the input was positive, as in
the plain gradient, and only where the signal itself is positive: R' = (x > 0) (R > 0) R = (x > 0) max(R, 0).

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", ICCV 2017, section 3: the maps A^k of a late layer, weighted by how much the score S
gains from each on average over its Z places,

    alpha_k = 1/Z sum_ij dS/dA^k_ij                      (equation 1)
    L = ReLU(sum_k alpha_k A^k)                          (equation 2)

show where the class is; multiplied with guided backpropagation they show which details there speak for it.

    import torch
    from data import load_network
    from data_utils import load_imagenet_val
    from image_utils.pixels import to_input
    from visualizers import GradCam

    X, y, class_names = load_imagenet_val(num=5)
    X, y, model = to_input(X), torch.tensor(y), load_network()
    maps = GradCam().grad_cam(X, y, model)                   # (5, 224, 224)
    details = GradCam().guided_backprop(X, y, model)         # (5, 224, 224, 3)
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError, one_of
from image_utils.pixels import rescale
from networks.blank import warn_if_blank
from networks.layers import default_layer, find_layer, grid_of, maps_kept
from networks.no_trace import untouched
from networks.relus import relus_replaced
from networks.scores import check_images, target_scores

UPSAMPLING = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
FLAT = 4 * np.finfo(np.float32).eps  # relative; a smaller range is what resizing a constant map leaves behind


class CustomReLU(torch.autograd.Function):
    """ReLU with guided backpropagation's rule instead of its derivative: `CustomReLU.apply(x)`.

    Source:
        Springenberg et al. 2015, section 3.4.
    """

    @staticmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute max(x, 0) of a Tensor of any shape; x and the result are kept in `self.saved_tensors`."""
        output = x.clamp(min=0)
        self.save_for_backward(x, output)
        return output

    @staticmethod
    def backward(self, dout: torch.Tensor) -> torch.Tensor:
        """Let the signal dout, shaped like x, pass where both x and dout are positive."""
        ctx = self  # the course's skeleton says self; PyTorch's documentation says ctx
        # >>> Solution: return the signal that passes on, by x and dout
        x, _ = ctx.saved_tensors
        return (x > 0) * dout.clamp(min=0)
        # <<< Solution


class GradCam:
    """Guided backpropagation, Grad-CAM and guided Grad-CAM of a classification network; the course's class."""

    def guided_backprop(
        self,
        X_tensor: torch.Tensor,
        y_tensor: torch.Tensor,
        gc_model: nn.Module,
        *,
        target: Callable | None = None,
        functional: str = "refuse",
    ) -> np.ndarray:
        """Compute the gradient of the class score by the pixels, every ReLU passing positive signals only.

        ReLU and ReLU6 follow the rule; other activations keep their own derivative.

        Args:
            X_tensor: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
            y_tensor: int64 Tensor (N,), the classes to explain.
            gc_model: classification network (N, C, H, W) -> (N, K); left as it was.
            target: what to explain instead of the class score: function of the network's output that returns one
                number an image, Tensor (N,).
            functional: "refuse" a network that calls ReLUs as functions, or "guide" these too; the course's method
                and Captum replace modules only, and are plain gradients there.

        Returns:
            float32 ndarray (N, H, W, C), score units per unit of normalised pixel.

        Raises:
            InputError: shapes, dtypes or labels do not fit; an image is not finite; a ReLU cannot be reached, or
                there is none.

        Source:
            Springenberg et al. 2015, section 3.4.
        """
        with (
            untouched(gc_model, X_tensor) as X_tensor,
            relus_replaced(gc_model, CustomReLU, functional=functional),
        ):
            # >>> Solution: the class scores' gradient by the pixels, channels last; all ReLUs are CustomReLUs
            scores = target_scores(gc_model(X_tensor), y_tensor, target)
            scores.sum().backward()
            return to_array(X_tensor.grad.permute(0, 2, 3, 1))
            # <<< Solution

    def grad_cam(
        self,
        X_tensor: torch.Tensor,
        y_tensor: torch.Tensor,
        gc_model: nn.Module,
        *,
        layer: str | nn.Module | None = None,
        target: Callable | None = None,
        upsampling: str | None = "bicubic",
        normalize: str | None = "batch",
        reshape: Callable | None = None,
    ) -> np.ndarray:
        """Compute where in the image the class is seen.

        Costs a forward pass and the backward pass of what lies above the layer.

        Args:
            X_tensor: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
            y_tensor: int64 Tensor (N,), the classes to explain.
            gc_model: classification network (N, C, H, W) -> (N, K); left as it was.
            layer: whose maps, by dotted name or as module; None for `networks.layers.default_layer`, which for
                SqueezeNet is features[12] and for other networks looks at one image first.
            target: as in `guided_backprop`.
            upsampling: Pillow's filter, "bicubic", "bilinear" or "nearest", that brings the maps to the images'
                size, or None to keep the layer's.
            normalize: what is stretched to [0, 1], flat to 0: the whole "batch" or each "image"; None: raw scores.
            reshape: function from what the layer returns to maps (N, C, h, w), for layers that give tokens; None
                for `networks.layers.grid_of`, which knows torchvision's ViT and Swin.

        Returns:
            float32 ndarray (N, H, W), or (N, h, w) without upsampling.

        Raises:
            InputError: shapes, dtypes, labels, layer or keywords do not fit, an image is not finite, or the score
                ignores the layer.

        Source:
            Selvaraju et al. 2017, section 3.
        """
        check_images(X_tensor)
        one_of((*UPSAMPLING, None), upsampling=upsampling)
        one_of(("batch", "image", None), normalize=normalize)
        conv_module = find_layer(gc_model, default_layer(gc_model, X_tensor) if layer is None else layer)
        self = copy.copy(self)  # threads that share this object keep their own two values
        grid = grid_of(X_tensor, reshape)
        with untouched(gc_model, X_tensor) as X_tensor, maps_kept(conv_module, self, reshape=grid):
            X_tensor.requires_grad_(False)  # nothing below the layer is to be differentiated
            # >>> Solution: cam, by equations 1 and 2; self.activation_value and .gradient_value hold A and dS/dA
            scores = target_scores(gc_model(X_tensor), y_tensor, target)
            scores.sum().backward()
            alpha = self.gradient_value.mean(dim=(2, 3), keepdim=True)
            cam = (alpha * self.activation_value).sum(dim=1).clamp(min=0)
            # <<< Solution
        cams = fitted(cam, X_tensor.shape[2:], upsampling=upsampling, normalize=normalize)
        warn_if_blank(gc_model, X_tensor, y_tensor, cams, layer=conv_module, target=target, reshape=reshape)
        return cams

    def guided_grad_cam(
        self,
        X_tensor: torch.Tensor,
        y_tensor: torch.Tensor,
        gc_model: nn.Module,
        *,
        layer: str | nn.Module | None = None,
        target: Callable | None = None,
        upsampling: str = "bicubic",
        normalize: str | None = "batch",
        reshape: Callable | None = None,
        functional: str = "refuse",
    ) -> np.ndarray:
        """Multiply guided backpropagation, pixel by pixel, with Grad-CAM.

        Args:
            X_tensor: float Tensor (N, C, H, W), normalised, on the model's device; not changed.
            y_tensor: int64 Tensor (N,), the classes to explain.
            gc_model: classification network (N, C, H, W) -> (N, K); left as it was.
            layer: as in `grad_cam`.
            target: as in `guided_backprop`, for both.
            upsampling: as in `grad_cam`, but not None.
            normalize: as in `grad_cam`.
            reshape: as in `grad_cam`.
            functional: as in `guided_backprop`.

        Returns:
            float32 ndarray (N, H, W, C).

        Raises:
            InputError: as both, or upsampling is None.

        Source:
            Selvaraju et al. 2017, section 3.2.
        """
        if upsampling is None:
            raise InputError("guided Grad-CAM needs maps of the images' size; upsampling must not be None")
        fit = {"upsampling": upsampling, "normalize": normalize}
        cams = self.grad_cam(X_tensor, y_tensor, gc_model, layer=layer, target=target, reshape=reshape, **fit)
        details = self.guided_backprop(X_tensor, y_tensor, gc_model, target=target, functional=functional)
        return details * cams[..., None]


def fitted(
    cams: torch.Tensor | np.ndarray,
    size: tuple[int, int],
    *,
    upsampling: str | None = "bicubic",
    normalize: str | None = "batch",
) -> np.ndarray:
    """Bring class activation maps to the images' size, and stretch them to [0, 1].

    Args:
        cams: (N, h, w), at least 0.
        size: (H, W) of the images.
        upsampling: as in `GradCam.grad_cam`.
        normalize: as in `GradCam.grad_cam`.

    Returns:
        float32 ndarray (N, H, W), or (N, h, w) without upsampling.

    Raises:
        InputError: values that are not finite.
    """
    cams = to_array(cams)
    if not np.isfinite(cams).all():
        raise InputError("Grad-CAM is not finite: the network's numbers are not, or overflow")
    if upsampling is not None:
        width_first, filter = tuple(size)[::-1], UPSAMPLING[upsampling]
        cams = np.stack([np.array(Image.fromarray(cam).resize(width_first, filter)) for cam in cams])
    if normalize == "batch":
        return stretched(cams)
    return cams if normalize is None else np.stack([stretched(cam) for cam in cams])


def stretched(cams: np.ndarray) -> np.ndarray:
    """Stretch maps of any shape to [0, 1] together, as `rescale`; what is flat up to rounding gives zeros."""
    low, high = cams.min(), cams.max()
    return rescale(cams) if high - low > FLAT * max(abs(low), abs(high)) else np.zeros_like(cams)


def to_array(maps: torch.Tensor | np.ndarray) -> np.ndarray:
    """Turn maps of any kind into a float32 ndarray."""
    return torch.as_tensor(maps).detach().float().cpu().numpy()
