"""Random masks over an image: a grid of cells, some of them kept."""

import torch
import torch.nn.functional as F

from image_utils.errors import InputError


def random_masks(
    count: int,
    size: tuple[int, int],
    generator: torch.Generator,
    *,
    cells: int = 7,
    keep: float = 0.5,
    smooth: bool = False,
) -> torch.Tensor:
    """Draw masks that keep some cells of a grid, each the same number of them.

    Args:
        count: number of masks.
        size: (H, W) in pixels.
        generator: torch.Generator on the CPU.
        cells: cells along each side of the grid; where H or W cannot be divided by it they differ by a pixel.
        keep: share of the cells that are kept; at least one is kept and one is not.
        smooth: False for masks of zeros and ones that all have the same grid; True for edges that are
            interpolated bilinearly and a grid that is shifted by a random part of a cell, as RISE has them.

    Returns:
        float32 Tensor (count, H, W) in [0, 1], 1 where the image is kept.

    Raises:
        InputError: the grid has fewer than two cells, or more than the image has pixels.
    """
    (height, width), kept = size, round(keep * cells**2)
    if not 2 <= cells <= min(size):
        raise InputError(f"cells must be 2 to {min(size)}, the image's shorter side, not {cells}")
    kept = min(max(kept, 1), cells**2 - 1)
    ranks = torch.rand(count, cells**2, generator=generator).argsort(dim=1)
    grid = (ranks < kept).float().view(count, 1, cells, cells)
    if not smooth:
        rows, columns = (torch.arange(side) * cells // side for side in size)
        return grid[:, 0, rows][:, :, columns]
    step = -(-height // cells), -(-width // cells)
    large = [(cells + 1) * side for side in step]
    corners = torch.stack([torch.randint(side, (count,), generator=generator) for side in step], 1)
    masks = torch.empty(count, height, width)
    for mask, one, (top, left) in zip(masks, grid.split(1), corners.tolist(), strict=True):
        wide = F.interpolate(one, large, mode="bilinear", align_corners=False)[0, 0]
        mask.copy_(wide[top : top + height, left : left + width])
    return masks
