"""What the losses expect of their arguments."""

import torch

from image_utils.errors import InputError


def check_maps(x, name):
    """Raise InputError unless x is a floating-point Tensor (N, C, H, W) that is not empty.

    Args:
        x: what was given.
        name: what to call it in the message.
    """
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{name} must be a floating-point Tensor (N, C, H, W), not {type(x).__name__}")
    if x.ndim != 4 or not x.is_floating_point() or x.numel() == 0:
        raise InputError(f"{name} must be a floating-point Tensor (N, C, H, W), not {x.dtype} of {tuple(x.shape)}")
