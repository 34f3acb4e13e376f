"""An image cut into tiles such that a network's features, tile by tile, are those of the whole image.

Each place of a layer sees a window of the image, the layer's receptive field, which follows from the kernels,
strides and paddings of the layers up to there (`fields`). A tile is cut with a margin, so that all windows of its
own places lie in it; the places in the margin see the cut's edge instead of the image and are not used. Where the
image itself ends the tile ends too, so that the network pads there, and only there, as it would. Every cut starts
at a multiple of the stride, or the places would be shifted.

    tiles = tiles_of(cnn, [3, 7], (2731, 4096), 512)
    for tile in tiles:
        features = extract_features(img[tile.cut], cnn, up_to=7)
        whole[tile.places[7]] = features[7][tile.inside[7]]
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torchvision.models.squeezenet import Fire

from image_utils.errors import InputError
from networks.copies import copy_on_same_weights
from stylize.features import Features

POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Dropout, nn.Identity, nn.BatchNorm2d)
Box = tuple[slice, slice, slice, slice]


@dataclass(frozen=True)
class Field:
    """The window of the image that a place of a layer sees, along one axis, in pixels.

    Place i sees the pixels from i * stride - padding on, `size` of them.
    """

    size: int = 1
    stride: int = 1
    padding: int = 0

    def then(self, kernel: int, stride: int, padding: int) -> "Field":
        """Return the field after one more layer."""
        return Field(
            self.size + (kernel - 1) * self.stride, self.stride * stride, self.padding + padding * self.stride
        )


@dataclass(frozen=True)
class Tile:
    """A part of the image, with the margin that its own features need.

    Attributes:
        cut: of the image (N, 3, H, W), the tile with its margin.
        inside: layer to its own places among the maps (N, C, h, w) computed from the cut.
        places: layer to where these lie in the maps of the whole image.
        share: layer to their share of all places of the layer.
    """

    cut: Box
    inside: dict[int, Box]
    places: dict[int, Box]
    share: dict[int, float]


def fields(cnn: nn.Sequential, axis: int) -> list[Field]:
    """Compute the receptive fields of all layers of a network.

    Args:
        cnn: nn.Sequential.
        axis: 0 for rows, 1 for columns.

    Raises:
        InputError: from the first layer on whose window is not known.
    """
    found, field = [], Field()
    for layer in cnn:
        for window in _windows(layer, axis):
            field = field.then(*window)
        found.append(field)
    return found


def _windows(layer, axis):
    """List (kernel, stride, padding) of the layers that a layer consists of."""
    if isinstance(layer, nn.Sequential):
        return [window for part in layer for window in _windows(part, axis)]
    if isinstance(layer, Fire):  # beside the 3 x 3 convolution stands one of 1 x 1, which sees less
        return [*_windows(layer.squeeze, axis), *_windows(layer.expand3x3, axis)]
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) and not isinstance(layer.padding, str):
        kernel, stride, padding, dilation = (
            nn.modules.utils._pair(getattr(layer, name, 1))[axis]
            for name in ("kernel_size", "stride", "padding", "dilation")
        )
        return [(dilation * (kernel - 1) + 1, stride, padding)]
    if isinstance(layer, POINTWISE):
        return []
    raise InputError(
        f"what a {type(layer).__name__} sees of the image is not known, so tiles cannot be cut for it"
    )


def shapes_of(cnn: nn.Sequential, size: tuple[int, int], up_to: int) -> list[torch.Size]:
    """Return the shape (1, C, h, w) of each layer's maps for an image of a size (H, W), computing nothing.

    Raises:
        InputError: the image is too small.
    """
    network = copy_on_same_weights(cnn[: up_to + 1]).to("meta")
    dtype = next((p.dtype for p in network.parameters()), torch.float32)
    with torch.no_grad():
        return [
            x.shape
            for x in Features(torch.empty(1, 3, *size, dtype=dtype, device="meta"), network, up_to, "float32")
        ]


def tiles_of(cnn: nn.Sequential, layers: Sequence[int], size: tuple[int, int], tile: int | None) -> list[Tile]:
    """Cut an image so that each place of each layer belongs to exactly one tile.

    Args:
        cnn: nn.Sequential.
        layers: indices of the layers whose features are needed.
        size: (H, W) of the image.
        tile: side of a tile without its margin, pixels, about; None cuts nothing.

    Raises:
        InputError: the image is too small, or a layer's window is not known.
    """
    shapes = shapes_of(cnn, size, max(layers))
    whole = (slice(None), slice(None))
    if tile is None:
        all_of_it = dict.fromkeys(layers, (*whole, *whole))
        return [Tile((*whole, *whole), all_of_it, all_of_it, dict.fromkeys(layers, 1.0))]
    needed = cnn[: max(layers) + 1]
    cuts = []
    for axis in (0, 1):
        seen = fields(needed, axis)
        counts = {layer: shapes[layer][2 + axis] for layer in layers}
        cuts.append(_cuts(size[axis], tile, seen[-1].stride, {layer: seen[layer] for layer in layers}, counts))
    tiles = []
    for (rows, rows_of), (columns, columns_of) in itertools.product(*cuts):
        own = {layer: (*rows_of[layer], *columns_of[layer]) for layer in layers}
        tiles.append(
            Tile(
                (*whole, rows, columns),
                {layer: (*whole, own[layer][0], own[layer][2]) for layer in layers},
                {layer: (*whole, own[layer][1], own[layer][3]) for layer in layers},
                {
                    layer: _count(own[layer][1]) * _count(own[layer][3]) / shapes[layer][2:].numel()
                    for layer in layers
                },
            )
        )
    return [tile for tile in tiles if any(tile.share.values())]


def _count(part):
    return part.stop - part.start


def _cuts(length, tile, step, seen, counts):
    """Cut one axis: for each tile the slice with its margin, and by layer its own places in the cut and in all."""
    parts = max(1, -(-length // tile))
    edges = sorted({round(i * length / parts / step) * step for i in range(parts)} | {0})
    edges = [edge for edge in edges if edge < length]
    for start, end in itertools.pairwise([*edges, None]):
        first = min(start - field.padding for field in seen.values())
        if end is None:
            stop = length
            first = min(
                first, length - max(field.size for field in seen.values())
            )  # or it is too small for the network
        else:
            stop = min(length, max(end - f.stride - f.padding + f.size for f in seen.values()))
        first = max(0, first // step * step)
        own = {}
        for layer, field in seen.items():
            low = min(start // field.stride, counts[layer])
            high = counts[layer] if end is None else min(end // field.stride, counts[layer])
            shift = first // field.stride
            own[layer] = slice(low - shift, high - shift), slice(low, high)
        yield slice(first, stop), own
