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

import numpy as np
import torch
from PIL import Image

from image_utils.errors import InputError
from image_utils.pixels import rescale
from networks.layers import check_layout, cut_at, default_layer, find_layer
from networks.no_trace import as_leaf, untouched
from networks.one_pass import gradients
from networks.precision import arithmetic
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
    def forward(ctx, x, inplace=False):
        """Compute max(x, 0) of a Tensor of any shape, in its own memory if `inplace`."""
        output = x.clamp_(min=0) if inplace else x.clamp(min=0)
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(output)  # positive where x was
        return output

    @staticmethod
    def backward(ctx, dout):
        """Let the signal dout, shaped like x, pass where both x and dout are positive."""
        # >>> Solution: return the guided signal
        (output,) = ctx.saved_tensors
        # threshold_backward is a ReLU's own backward pass in one kernel: its signal where the output is positive.
        return torch.ops.aten.threshold_backward(dout, output, 0).clamp_(min=0), None  # none for `inplace`
        # <<< Solution


def class_activation_map(A, dA):
    """Weight maps by their mean gradient, add them up and keep what is positive.

    Args:
        A: Tensor (N, K, h, w), a layer's maps.
        dA: Tensor (N, K, h, w), d score / d A.

    Returns:
        Tensor (N, h, w), at least 0.

    Source:
        Selvaraju et al. 2017, equations 1 and 2.
    """
    # >>> Solution: alpha, the mean of dA over the places, then the ReLU of the weighted sum of the maps
    alpha = dA.mean(dim=(2, 3), keepdim=True)
    return (alpha * A).sum(dim=1).clamp(min=0)
    # <<< Solution


def localise(A, dA, size, *, upsampling="bicubic", normalize="batch"):
    """Turn a layer's maps and their gradient into Grad-CAM's result, an array as large as the images.

    Args:
        A: Tensor (N, K, h, w), a layer's maps.
        dA: Tensor (N, K, h, w), d score / d A.
        size: (H, W) of the images.
        upsampling: as in `GradCam.grad_cam`.
        normalize: as in `GradCam.grad_cam`.

    Returns:
        float32 ndarray (N, H, W), or (N, h, w) without upsampling.

    Raises:
        InputError: values that are not finite.

    Source:
        Selvaraju et al. 2017, section 3.
    """
    # >>> Solution: the class activation map; resize it and stretch it
    cams = class_activation_map(A, dA).float().cpu().numpy()
    if not np.isfinite(cams).all():
        raise InputError("Grad-CAM is not finite: the images or the network's numbers are not, or overflow")
    if upsampling is not None:
        cams = _resize(cams, size, UPSAMPLING[upsampling])
    if normalize == "batch":
        return _stretch(cams)
    return cams if normalize is None else np.stack([_stretch(cam) for cam in cams])
    # <<< Solution


def image_last(gradient):
    """Turn a gradient by the pixels, Tensor (N, 3, H, W), into a float32 ndarray (N, H, W, 3)."""
    return gradient.permute(0, 2, 3, 1).float().cpu().numpy()


def guided_product(details, cams):
    """Multiply guided backpropagation (N, H, W, 3) with Grad-CAM (N, H, W), as guided Grad-CAM does.

    Source:
        Selvaraju et al. 2017, section 3.2.
    """
    # >>> Solution: the product, pixel by pixel
    return details * cams[..., None]
    # <<< Solution


class GradCam:
    """Guided backpropagation, Grad-CAM and guided Grad-CAM of a classification network; the course's class."""

    def guided_backprop(
        self, X_tensor, y_tensor, gc_model, *, target=None, functional="refuse", precision="float32"
    ):
        """Compute the gradient of the class score by the pixels, every ReLU passing positive signals only.

        ReLU and ReLU6 follow the rule; other activations keep their own derivative.

        Args:
            X_tensor: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
            y_tensor: int64 Tensor (N,), the classes to explain.
            gc_model: classification network (N, 3, H, W) -> (N, C); left as it was.
            target: what to explain instead of the class score: function of the network's output that returns one
                number an image, Tensor (N,).
            functional: "refuse" a network that calls ReLUs as functions, or "guide" these too; the course's method
                and Captum replace modules only, and are plain gradients there.
            precision: "float32", or "fast" or "bf16"; see `networks.precision`.

        Returns:
            float32 ndarray (N, H, W, 3), score units per unit of normalised pixel.

        Raises:
            InputError: shapes, dtypes or labels do not fit; a ReLU cannot be reached; there is no ReLU.

        Source:
            Springenberg et al. 2015, section 3.4.
        """
        check_images(X_tensor)
        # >>> Solution: with CustomReLU in the place of every ReLU, the gradient of the scores' sum by the pixels
        x = as_leaf(X_tensor)
        with (
            untouched(gc_model),
            arithmetic(precision, x) as images,
            relus_replaced(gc_model, CustomReLU.apply, functional=functional) as run,
        ):
            scores = target_scores(run(images), y_tensor, target)
            (gradient,) = torch.autograd.grad(scores.sum(), x)
        return image_last(gradient)
        # <<< Solution

    def grad_cam(
        self,
        X_tensor,
        y_tensor,
        gc_model,
        *,
        layer=None,
        target=None,
        upsampling="bicubic",
        normalize="batch",
        precision="float32",
    ):
        """Compute where in the image the class is seen.

        Costs a forward pass and the backward pass of what lies above the layer.

        Args:
            X_tensor: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
            y_tensor: int64 Tensor (N,), the classes to explain.
            gc_model: classification network (N, 3, H, W) -> (N, C); left as it was.
            layer: whose maps, by dotted name or as module; None for `networks.layers.default_layer`, which for
                SqueezeNet is features[12] and for other networks looks at one image first.
            target: as in `guided_backprop`.
            upsampling: Pillow's filter, "bicubic", "bilinear" or "nearest", that brings the maps to the images'
                size, or None to keep the layer's.
            normalize: what is stretched to [0, 1], the whole "batch" or each "image"; None keeps score units. What
                is flat becomes zeros.
            precision: "float32", or "fast" or "bf16"; see `networks.precision`.

        Returns:
            float32 ndarray (N, H, W), or (N, h, w) without upsampling.

        Raises:
            InputError: shapes, dtypes, labels, layer or keywords do not fit, or the score ignores the layer.

        Source:
            Selvaraju et al. 2017, section 3.
        """
        module = _checked_layer(X_tensor, gc_model, layer, upsampling, normalize)
        # >>> Solution: the maps of the layer and their gradient; from these, `localise`
        with untouched(gc_model), arithmetic(precision, X_tensor.detach()) as images, cut_at(module) as maps:
            scores = target_scores(gc_model(images), y_tensor, target)
            gradient = _gradient(scores, maps)
        check_layout(maps[0], X_tensor)
        A, dA = (tensor.detach().to(X_tensor.dtype) for tensor in (maps[0], gradient))
        return localise(A, dA, X_tensor.shape[2:], upsampling=upsampling, normalize=normalize)
        # <<< Solution

    def guided_grad_cam(
        self,
        X_tensor,
        y_tensor,
        gc_model,
        *,
        layer=None,
        target=None,
        upsampling="bicubic",
        normalize="batch",
        functional="refuse",
        precision="float32",
    ):
        """Multiply guided backpropagation, pixel by pixel, with Grad-CAM.

        In "float32" each factor comes from its own method; otherwise both come from one forward pass.

        Args:
            X_tensor: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
            y_tensor: int64 Tensor (N,), the classes to explain.
            gc_model: classification network (N, 3, H, W) -> (N, C); left as it was.
            layer: as in `grad_cam`.
            target: as in `guided_backprop`, for both.
            upsampling: as in `grad_cam`, but not None.
            normalize: as in `grad_cam`.
            functional: as in `guided_backprop`.
            precision: as in `guided_backprop`, for both.

        Returns:
            float32 ndarray (N, H, W, 3).

        Raises:
            InputError: as both, or upsampling is None.

        Source:
            Selvaraju et al. 2017, section 3.2.
        """
        if upsampling is None:
            raise InputError("guided Grad-CAM needs maps of the images' size; upsampling must not be None")
        # >>> Solution: the product of the two methods above
        where = {"layer": layer, "target": target, "upsampling": upsampling, "normalize": normalize}
        if precision == "float32":  # each by its own method
            cams = self.grad_cam(X_tensor, y_tensor, gc_model, **where)
            details = self.guided_backprop(X_tensor, y_tensor, gc_model, target=target, functional=functional)
        else:
            cams, details = _in_one_pass(X_tensor, y_tensor, gc_model, functional, precision, **where)
        return guided_product(details, cams)
        # <<< Solution


def _in_one_pass(X, y, model, functional, precision, *, layer, target, upsampling, normalize):
    """Compute `GradCam.grad_cam` and `GradCam.guided_backprop` from a single forward pass; arguments as there."""
    module = _checked_layer(X, model, layer, upsampling, normalize)
    found = gradients(
        model,
        X,
        lambda outputs: target_scores(outputs, y, target),
        guided=CustomReLU,
        layer=module,
        functional=functional,
        precision=precision,
    )
    check_layout(found.A, X)
    A, dA = found.A.to(X.dtype), found.dA.to(X.dtype)
    cams = localise(A, dA, X.shape[2:], upsampling=upsampling, normalize=normalize)
    return cams, image_last(found.guided)


def _checked_layer(X, model, layer, upsampling, normalize):
    """Find the layer, after a look at Grad-CAM's other arguments."""
    check_images(X)
    _check_choice("upsampling", upsampling, (*UPSAMPLING, None))
    _check_choice("normalize", normalize, ("batch", "image", None))
    return find_layer(model, default_layer(model, X) if layer is None else layer)


def _check_choice(name, value, choices):
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name} must be one of {known}, not {value!r}")


def _gradient(scores, maps):
    """Differentiate the scores' sum by maps[0], or say why that cannot be."""
    # >>> Solution: the gradient; InputError where there is none
    if not maps:
        raise InputError("the layer did not run in the forward pass; choose another")
    gradient = torch.autograd.grad(scores.sum(), maps, allow_unused=True)[0] if scores.requires_grad else None
    if gradient is None:
        raise InputError("the score does not depend on the layer; choose another layer or target")
    return gradient
    # <<< Solution


def _resize(cams, size, resample):
    """Resize float32 maps (N, h, w) to size (H, W); Pillow counts width first."""
    # >>> Solution: resize each map
    height, width = size
    return np.stack([np.array(Image.fromarray(cam).resize((width, height), resample)) for cam in cams])
    # <<< Solution


def _stretch(cams):
    """Stretch to [0, 1], as `rescale`; flat up to rounding gives zeros."""
    # >>> Solution: stretch, or zeros
    low, high = cams.min(), cams.max()
    return rescale(cams) if high - low > FLAT * max(abs(low), abs(high)) else np.zeros_like(cams)
    # <<< Solution
