"""Maps as the measures take them: how they are checked, and when one is flat."""

from collections.abc import Callable

import numpy as np
import torch

from image_utils.errors import InputError

# A method of attribution as the measures see it: (X, y, model) -> maps, a Tensor or ndarray (N, H, W).
Attribute = Callable[[torch.Tensor, torch.Tensor, torch.nn.Module], torch.Tensor | np.ndarray]

FLAT = 1e-6  # of the largest magnitude; a smaller range is rounding


def as_maps(maps, X) -> np.ndarray:
    """Check maps and bring them to one form.

    Args:
        maps: Tensor or ndarray (N, H, W), the maps of one method; or (M, N, H, W), of M methods.
        X: Tensor (N, C, H, W), the images.

    Returns:
        float64 ndarray (M, N, H, W), M = 1 for one method.

    Raises:
        InputError: the shape is not that of the images, or a value is not finite.
    """
    if isinstance(maps, torch.Tensor):
        maps = maps.detach().cpu().double().numpy()
    maps = np.asarray(maps, dtype=np.float64)
    wanted = (len(X), *X.shape[2:])
    if maps.ndim not in (3, 4) or maps.shape[-3:] != wanted:
        raise InputError(f"maps must have shape {wanted}, or that after the number of methods, not {maps.shape}")
    if not np.isfinite(maps).all():
        where = sorted({int(index[-3]) for index in np.argwhere(~np.isfinite(maps))})
        raise InputError(f"maps must be finite; those of image {', '.join(map(str, where))} are not")
    return maps.reshape(-1, *wanted)


def is_flat(maps) -> np.ndarray:
    """Say which maps have the same value everywhere, up to rounding.

    Args:
        maps: ndarray (..., H, W).

    Returns:
        bool ndarray (...).
    """
    low, high = maps.min((-2, -1)), maps.max((-2, -1))
    return high - low <= FLAT * np.maximum(abs(low), abs(high))
