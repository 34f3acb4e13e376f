"""Make data/style_checks.npz: what right style losses give for the embedded network, by NumPy alone.

    python -m data.make_style_checks

The course ships such a file for torchvision's weights and its own images; this one holds the same four outputs for
the network and the photographs that lie here, so that the checks run on a fresh machine. Everything is written out
once more, in float64: preprocessing, convolution, max-pooling, the Fire module, the losses. Nothing comes from
PyTorch, from style_modules or from style_utils, so an error there cannot hide here.

Contents, float32, for a photograph and a style image of shortest side 192, both normalised:
    cl_out (1,): content loss of layer 3 against the features of an all-zero image, weight 6e-2
    gm_out (1, 128, 128): Gram matrix of layer 5 of the style image
    sl_out (1,): style loss of the photograph, layers 1, 4, 6, 7 with weights 300000, 1000, 15, 3
    tv_out (1,): total variation of the photograph, weight 2e-2
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from data.style_images import CHECKS, style_image
from image_utils.writing import whole_file

WEIGHTS = Path(__file__).with_name("squeezenet1_1.safetensors")
SIZE = 192
CONTENT_LAYER, CONTENT_WEIGHT = 3, 6e-2
GRAM_LAYER = 5
STYLE_LAYERS, STYLE_WEIGHTS = (1, 4, 6, 7), (300000, 1000, 15, 3)
TV_WEIGHT = 2e-2
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def read_image(path, size=SIZE):
    """Read a photograph, resize its shortest side to `size`, normalise it: float64 (3, H, W)."""
    with Image.open(path) as file:
        img = file.convert("RGB")
    short = min(img.size)
    width, height = (side if side == size else int(size * side / short) for side in img.size)
    pixels = np.asarray(img.resize((width, height), Image.BILINEAR), dtype=np.float64) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


def convolution(x, kernel, bias, *, stride=1, padding=0):
    """Correlate x (C, H, W) with a kernel (K, C, h, w) and add a bias (K,)."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # (C, H', W', h, w)
    return np.tensordot(kernel, windows, axes=((1, 2, 3), (0, 3, 4))) + bias[:, None, None]


def relu(x):
    """Replace negative values by 0."""
    return np.maximum(x, 0)


def max_pooling(x, size=3, stride=2):
    """Take the maximum of each window of x (C, H, W); windows may reach over the right and lower edge."""
    counts = [math.ceil((side - size) / stride) + 1 for side in x.shape[1:]]
    missing = [(count - 1) * stride + size - side for count, side in zip(counts, x.shape[1:], strict=True)]
    x = np.pad(x, ((0, 0), (0, missing[0]), (0, missing[1])), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].max((3, 4))


def fire(x, weights, layer):
    """Squeeze with 1 x 1 filters, then expand with 1 x 1 and 3 x 3 filters, side by side."""

    def part(x, name, padding=0):
        kernel, bias = (weights[f"features.{layer}.{name}.{kind}"] for kind in ("weight", "bias"))
        return relu(convolution(x, kernel, bias, padding=padding))

    x = part(x, "squeeze")
    return np.concatenate([part(x, "expand1x1"), part(x, "expand3x3", padding=1)])


def features(x, weights):
    """Compute the outputs of the first eight layers of SqueezeNet 1.1 for an image (3, H, W)."""
    outputs = [convolution(x, weights["features.0.weight"], weights["features.0.bias"], stride=2)]
    outputs.append(relu(outputs[-1]))
    for layer in range(2, 8):
        pools = layer in (2, 5)
        outputs.append(max_pooling(outputs[-1]) if pools else fire(outputs[-1], weights, layer))
    return outputs


def gram_matrix(f):
    """G_ij = sum over places of f_i f_j, divided by the number of features, for f (C, H, W)."""
    return np.einsum("ihw,jhw->ij", f, f) / f.size


def total_variation(x):
    """Sum of squared differences of neighbours to the right and downwards."""
    return (np.diff(x, axis=2) ** 2).sum() + (np.diff(x, axis=1) ** 2).sum()


def compute_checks(content_file=None, style_file=None, weights_file=WEIGHTS):
    """Compute the four reference outputs, a dict of float32 arrays; without files those of the samples."""
    weights = {name: value.astype(np.float64) for name, value in load_file(weights_file).items()}
    content = read_image(content_file or style_image("tubingen", sample=True))
    style = read_image(style_file or style_image("starry_night", sample=True))
    of_content, of_style, of_nothing = (features(x, weights) for x in (content, style, np.zeros_like(content)))
    content_loss = CONTENT_WEIGHT * ((of_content[CONTENT_LAYER] - of_nothing[CONTENT_LAYER]) ** 2).sum()
    style_loss = sum(
        weight * ((gram_matrix(of_content[layer]) - gram_matrix(of_style[layer])) ** 2).sum()
        for layer, weight in zip(STYLE_LAYERS, STYLE_WEIGHTS, strict=True)
    )
    results = {
        "cl_out": [content_loss],
        "gm_out": gram_matrix(of_style[GRAM_LAYER])[None],
        "sl_out": [style_loss],
        "tv_out": [TV_WEIGHT * total_variation(content)],
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in results.items()}


if __name__ == "__main__":
    with whole_file(CHECKS) as temporary:
        np.savez_compressed(temporary, **compute_checks())
