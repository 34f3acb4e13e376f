"""Keeping the photograph's colours: transfer the style of the luminance alone.

Gatys, Bethge, Hertzmann, Shechtman: "Preserving Color in Neural Artistic Style Transfer", arXiv:1606.05897, 2016.
Its luminance-only way: style transfer runs on the luminance of both images, the style's first matched to the
content's in mean and standard deviation, and the result takes its colours (I and Q of YIQ) from the content.
Of the paper's two ways this is the one that keeps the photograph's colours exactly.

Everything here takes and gives images on the [0, 1] scale, Tensors (N, 3, H, W).
"""

import torch

LUMINANCE = (0.299, 0.587, 0.114)  # the first row of RGB to YIQ (NTSC)


def luminance(pixels):
    """Compute Y of YIQ, Tensor (N, 1, H, W)."""
    weights = torch.as_tensor(LUMINANCE, dtype=pixels.dtype, device=pixels.device).view(3, 1, 1)
    return (weights * pixels).sum(1, keepdim=True)


def grey(pixels):
    """Replace each pixel by its luminance in all three channels."""
    return luminance(pixels).expand_as(pixels)


def match_grey(style, content):
    """Shift and scale a grey style image to the mean and standard deviation of a grey content image.

    Source:
        Gatys, Bethge et al. 2016, equation 7: L' = (sigma_C / sigma_S) (L_S - mu_S) + mu_C.
    """
    spread = content.std() / style.std().clamp_min(1e-6)
    return spread * (style - style.mean()) + content.mean()


def with_luminance_of(pixels, other):
    """Give an image another one's luminance and keep its colours.

    In YIQ to RGB the luminance enters all three channels with a factor of one, so exchanging Y while keeping I and
    Q adds the difference of the luminances to each channel.
    """
    return pixels + luminance(other) - luminance(pixels)
