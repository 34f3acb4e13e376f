"""Between pixels (uint8, or [0, 1]) and what a network trained on ImageNet takes: the course's functions.

The network sees (pixel / 255 - mean) / std per channel, RGB. The mean and standard deviation are ImageNet's,
used by the embedded SqueezeNet and by torchvision's classification networks (but efficientnet_v2_l).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from image_utils.errors import InputError

Values = TypeVar("Values", np.ndarray, torch.Tensor)

TOGETHER = 32  # photographs in a batch; more would take memory and save no time
SQUEEZENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
SQUEEZENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def preprocess_image(img: np.ndarray) -> np.ndarray:
    """Normalise pixels for the network, as an array.

    Args:
        img: ndarray (..., 3), pixels 0 to 255.

    Returns:
        float32 ndarray of the same shape, roughly -2.1 to 2.7.
    """
    return (img.astype(np.float32) / 255.0 - SQUEEZENET_MEAN) / SQUEEZENET_STD


def deprocess_image(img: np.ndarray, rescale: bool = False) -> np.ndarray:
    """Undo `preprocess_image`.

    Args:
        img: ndarray (..., 3), normalised pixels.
        rescale: stretch the result to the full range first.

    Returns:
        uint8 ndarray of the same shape.
    """
    img = img * SQUEEZENET_STD + SQUEEZENET_MEAN
    if rescale:
        img = _stretch(img)
    return np.clip(255 * img, 0.0, 255.0).astype(np.uint8)


def preprocess(img: Image.Image, size: int | Sequence[int] | None = 224) -> torch.Tensor:
    """Turn a photograph into the network's input.

    Args:
        img: PIL image in mode RGB.
        size: length of the shortest side after resizing (bilinear, antialiased; the aspect ratio is kept), or
            (height, width). None keeps the photograph's own size.

    Returns:
        float32 Tensor (1, 3, H, W), normalised.

    Raises:
        InputError: not a PIL image in mode RGB.
    """
    if getattr(img, "mode", None) != "RGB":
        kind = f"one in mode {img.mode}" if isinstance(img, Image.Image) else f"{type(img).__name__}"
        raise InputError(f"preprocess takes a PIL image in mode RGB, not {kind}")
    if size is not None:
        img = _resize(img, size)
    pixels = torch.from_numpy(np.array(img)).permute(2, 0, 1).contiguous()
    return to_normalised(pixels[None].float() / 255)


def _resize(img: Image.Image, size: int | Sequence[int]) -> Image.Image:
    """Resize a PIL image as torchvision's Resize does: the shortest side to an integer size, or to (H, W)."""
    wanted = np.ravel(size).tolist()
    if len(wanted) == 1:
        wanted = [int(wanted[0] * side / min(img.size)) for side in (img.height, img.width)]
    height, width = wanted
    return img if (width, height) == img.size else img.resize((width, height), Image.Resampling.BILINEAR)


def deprocess(img: torch.Tensor, should_rescale: bool = True) -> Image.Image:
    """Turn a network input back into a photograph.

    Args:
        img: float Tensor (1, 3, H, W), normalised, on any device.
        should_rescale: stretch the pixels to the full range; otherwise they are clipped to it.

    Returns:
        PIL image, RGB, W x H.
    """
    pixels = to_pixels(img.detach())[0].float().cpu()
    pixels = rescale(pixels) if should_rescale else pixels.clamp(0, 1)
    # Truncated, as the course's function does; rounding is for images that must survive saving.
    return Image.fromarray(pixels.mul(255).byte().permute(1, 2, 0).numpy())


def rescale(x: Values) -> Values:
    """Stretch to [0, 1]: (x - min) / (max - min). A flat input gives zeros.

    Args:
        x: Tensor or ndarray of any shape.

    Returns:
        The same type, shape and (for floating point) dtype.
    """
    return _stretch(x)


def _stretch(x: Values) -> Values:
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high > low else (x - low) * 0.0


def to_pixels(x: torch.Tensor) -> torch.Tensor:
    """Undo the normalisation alone: (N, 3, H, W) normalised -> the same on the [0, 1] scale, unclipped."""
    return x * _channels(SQUEEZENET_STD, x) + _channels(SQUEEZENET_MEAN, x)


def to_normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Normalise alone: (N, 3, H, W) on the [0, 1] scale -> what the network takes."""
    return (pixels - _channels(SQUEEZENET_MEAN, pixels)) / _channels(SQUEEZENET_STD, pixels)


def _channels(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).view(3, 1, 1)


def to_input(X: np.ndarray | Sequence[np.ndarray]) -> torch.Tensor:
    """Normalise photographs that already have the size the network shall see.

    Args:
        X: uint8 ndarray (N, H, W, 3).

    Returns:
        float32 Tensor (N, 3, H, W), equal to `preprocess` of each at its own size.

    Raises:
        InputError: another shape or dtype.
    """
    X = np.asarray(X)
    if X.ndim != 4 or X.shape[-1] != 3 or X.dtype != np.uint8:
        raise InputError(f"photographs must be uint8 of shape (N, H, W, 3), not {X.dtype} of {X.shape}")
    if len(X) == 0:
        raise InputError("no photographs: X has length 0")
    return torch.cat([preprocess(Image.fromarray(x), size=None) for x in X])


def for_each_size(
    function: Callable[[torch.Tensor, torch.Tensor], Any], X: np.ndarray | Sequence[np.ndarray], y: Any
) -> list[Any]:
    """Apply a batch function to photographs that need not share a size.

    Photographs of one size go through together, TOGETHER at most; otherwise each goes alone, in its own aspect
    ratio.

    Args:
        function: (float32 Tensor (N, 3, H, W), int64 Tensor (N,)) -> N results, indexable.
        X: uint8 ndarray (N, H, W, 3), or a sequence of uint8 (H_i, W_i, 3).
        y: N class indices.

    Returns:
        List of N results.
    """
    y = torch.as_tensor(np.asarray(y), dtype=torch.int64)
    if len({np.shape(x) for x in X}) == 1:
        parts = range(0, len(X), TOGETHER)
        return [result for i in parts for result in function(to_input(X[i : i + TOGETHER]), y[i : i + TOGETHER])]
    return [function(to_input(x[None]), y[i : i + 1])[0] for i, x in enumerate(X)]
