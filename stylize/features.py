"""What a network makes of an image, layer by layer."""

import contextlib

import torch
from torch import nn

from image_utils.errors import InputError
from networks.no_trace import untouched


def extract_features(x, cnn, *, wanted=None):
    """Compute the output of every layer, in order.

    Evaluation mode, weights frozen: gradients flow to x alone. Each output keeps its own values, also where the
    next layer is an in-place ReLU.

    Args:
        x: float Tensor (N, 3, H, W), normalised.
        cnn: nn.Sequential; left as it was.
        wanted: indices of the layers whose outputs are used, from 0; the list ends with the last of them and has
            None for the others. None wants all.

    Returns:
        List of Tensors (N, C_i, H_i, W_i), differentiable in x.

    Raises:
        InputError: cnn is no nn.Sequential.
    """
    check_sequential(cnn)
    wanted = range(len(cnn)) if wanted is None else wanted
    features, before = [], None
    with_gradient = torch.is_grad_enabled()
    with untouched(cnn), torch.set_grad_enabled(with_gradient):
        for i, layer in enumerate(list(cnn)[: max(wanted, default=-1) + 1]):
            # A convolution's gradient needs no features of its own; if no loss does, the ReLU may overwrite them.
            useless = i - 1 not in wanted and type(before) is nn.Conv2d and type(layer) is nn.ReLU
            with contextlib.nullcontext() if useless else out_of_place(layer):
                x = layer(x)
            features.append(x if i in wanted else None)
            before = layer
    return features


@contextlib.contextmanager
def out_of_place(layer):
    """Inside, parts of a layer that would overwrite their input write elsewhere; cheaper than to copy it first."""
    overwriting = [part for part in layer.modules() if getattr(part, "inplace", False) is True]
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
