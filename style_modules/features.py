"""What a network makes of an image, layer by layer."""

import contextlib

import torch
from torch import nn

from image_utils.errors import InputError
from visualizers.no_trace import untouched


def extract_features(x, cnn, *, until=None):
    """Compute the output of every layer, in order.

    Evaluation mode, weights frozen: gradients flow to x alone. Each output keeps its own values, also where the
    next layer is an in-place ReLU.

    Args:
        x: float Tensor (N, 3, H, W), normalised.
        cnn: nn.Sequential; left as it was.
        until: index of the last layer wanted; None goes through all.

    Returns:
        List of Tensors (N, C_i, H_i, W_i), differentiable in x.

    Raises:
        InputError: cnn is no nn.Sequential.
    """
    check_sequential(cnn)
    features = []
    with_gradient = torch.is_grad_enabled()
    with untouched(cnn), out_of_place(cnn), torch.set_grad_enabled(with_gradient):
        for layer in cnn if until is None else cnn[: until + 1]:
            x = layer(x)
            features.append(x)
    return features


@contextlib.contextmanager
def out_of_place(cnn):
    """Inside, layers that would overwrite their input write elsewhere; cheaper than to copy it for them."""
    overwriting = [part for part in cnn.modules() if getattr(part, "inplace", False) is True]
    try:
        for part in overwriting:
            part.inplace = False
        yield
    finally:
        for part in overwriting:
            part.inplace = True


def check_sequential(cnn):
    """Raise InputError unless the network is an nn.Sequential of layers."""
    if not isinstance(cnn, nn.Sequential):
        raise InputError(
            f"the network must be an nn.Sequential of layers, such as load_network().features, "
            f"not {type(cnn).__name__}"
        )
