"""What a map looks like: over the photograph, or in its own colours."""

import numpy as np
from PIL import Image

from image_utils.figures import CLIP, colours, in_colour, overlay
from image_utils.writing import whole_file

QUALITY = 90


def picture(pixels, heat, method):
    """Draw a map.

    Args:
        pixels: uint8 ndarray (H, W, 3), the square that the network saw.
        heat: the map, (H, W) or (H, W, 3).
        method: its name.

    Returns:
        uint8 ndarray (H, W, 3): Grad-CAM over the photograph; saliency from black to white; the guided ones in
        colour, grey being zero or near it; others from black to white, or blue and red where they have two signs.
    """
    if method == "gradcam":
        drawn = overlay(pixels, heat)
    elif method == "saliency":
        drawn = np.repeat(np.clip(heat / max(np.percentile(heat, CLIP), 1e-30), 0, 1)[..., None], 3, axis=2)
    elif heat.ndim == 3:
        drawn = colours(heat)
    else:
        (drawn,) = in_colour([heat])
    return (255 * drawn).round().astype(np.uint8)


def save_picture(pixels, file):
    """Write a JPEG."""
    with whole_file(file) as temporary:
        Image.fromarray(pixels).save(temporary, quality=QUALITY)
