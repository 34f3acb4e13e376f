"""One dial between photograph and style that means the same for every network, layer and size.

A loss as such says little: content losses of VGG-19 are a thousand times those of SqueezeNet, and double with
twice the pixels. But the sources themselves say how large each can get. With the painting in place of the
photograph the content loss is C, with the photograph as it is the style loss of layer l is S_l, and the rougher of
the two has the total variation T. Divided by these, each loss is a share of the whole way. The dial sets the odds:

    L = (1 - a) content / C + a * mean over l (style_l / S_l) + SMOOTHNESS * tv / T,    a / (1 - a) = odds
"""

from collections.abc import Sequence

from image_utils.errors import InputError

USUAL = 5.0
BALANCE = 5.0  # the odds of style against content in the middle of the dial
SMOOTHNESS = 0.01  # the weight of the total variation's share
TOTAL = 1e4  # times the whole, so that a progress bar shows whole numbers
LEAST = 1e-6  # what a loss counts as at least, where the sources do not differ at all


def weights_at(
    strength: float, content: float, style: Sequence[float], tv: float
) -> tuple[float, list[float], float]:
    """Compute the weights of the three losses.

    Args:
        strength: from 0, nothing but the photograph, to 10, nothing but the style; one more is 10 ** 0.5 the odds.
        content: C, the content loss of the painting in the photograph's place, at weight 1.
        style: S_l, for each style layer the style loss of the photograph, at weight 1.
        tv: T, the total variation of the rougher source, at weight 1.

    Returns:
        (content_weight, style_weights, tv_weight)

    Raises:
        InputError: a strength outside 0 to 10.
    """
    if not 0 <= strength <= 10:
        raise InputError(f"strength must be from 0 (the photograph) to 10 (all style), not {strength}")
    odds = BALANCE * 10 ** ((strength - 5) / 2)
    share = {0: 0.0, 10: 1.0}.get(strength, odds / (1 + odds))
    of_style = [TOTAL * share / len(style) / max(whole, LEAST) for whole in style]
    return TOTAL * (1 - share) / max(content, LEAST), of_style, TOTAL * SMOOTHNESS / max(tv, LEAST)
