"""Regions: the sky of the photograph in the style of one part of a painting, the house in that of another.

Gatys, Ecker, Bethge, Hertzmann, Shechtman: "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017
(arXiv 1611.07865), section 4: with a guidance channel T_r for each region r, the guided Gram matrix of a layer is

    G_r = F_r F_r^T,    F_r = T_r * F,    sum_k T_r(k)^2 = 1,

and each region of the photograph is drawn to the guided Gram matrix of the same region of the painting. A region
weighs as much as it covers of the photograph, so that a place is drawn as strongly as without regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError
from stylize.canvas import Source, open_source

MOST = 16  # regions; a photograph in a mask's place has thousands of colours


@dataclass(frozen=True)
class Regions:
    """The regions of a photograph and of the paintings.

    Attributes:
        shares: of the photograph that each region covers, summing to 1.
        content: for each region a Tensor (1, 1, H, W), 1 inside and 0 outside.
        styles: for each painting the same, None for a region that it does not have.
    """

    shares: list[float]
    content: list[torch.Tensor]
    styles: list[list[torch.Tensor | None]]


def read_regions(files: Sequence[Source], sizes: Sequence[tuple[int, int]], like: torch.Tensor) -> Regions:
    """Read masks, in which each grey level or colour names a region.

    Args:
        files: image files or PIL images: the photograph's mask, then one for each painting. They are resized.
        sizes: (H, W) of the photograph and of each painting.
        like: Tensor whose dtype and device the regions get.

    Raises:
        InputError: another number of masks than of images, too many colours, or a region of the photograph that no
            painting has.
    """
    if len(files) != len(sizes):
        raise InputError(
            f"--mask takes one mask for the photograph and one for each style image, so {len(sizes)}, "
            f"not {len(files)}"
        )
    maps = [_colours(file, size) for file, size in zip(files, sizes, strict=True)]
    own = np.unique(maps[0])
    known = set(np.concatenate([np.unique(m) for m in maps[1:]]).tolist())
    for colour in own.tolist():
        if colour not in known:
            raise InputError(f"region #{colour:06x} of mask '{files[0]}' is empty in every style image's mask")

    def masks(colours):
        found = [colours == colour for colour in own]
        return [torch.from_numpy(m)[None, None].to(like) if m.any() else None for m in found]

    content = masks(maps[0])
    return Regions([float(m.mean()) for m in content], content, [masks(m) for m in maps[1:]])


def _colours(file, size):
    """Return the colour of each pixel, 0xRRGGBB, at the size (H, W)."""
    img = open_source(file).resize(size[::-1], Image.Resampling.NEAREST)
    colours = np.asarray(img).astype(np.int64) @ (1 << 16, 1 << 8, 1)
    if (count := len(np.unique(colours))) > MOST:
        raise InputError(
            f"mask '{file}' has {count} colours, and each names a region; at most {MOST}. Save it as PNG, without "
            "soft edges"
        )
    return colours


def guide(mask: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Bring a mask (1, 1, H, W) to the places of a layer, shape (1, C, h, w).

    Returns:
        Tensor (1, 1, h, w) whose squares have the mean 1, since Gram matrices are divided by the number of places.
    """
    small = nn.functional.interpolate(mask, tuple(shape[2:]), mode="area")
    return small / small.square().mean().sqrt()
