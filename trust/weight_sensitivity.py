"""Sensitivity to the weights: does the map change when the network forgets what it has learnt?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3: layer
after layer loses its weights to random numbers; after each the map is computed anew. The measure of stage k is

    s_k = rank correlation ( map of the network,  map of the network with k layers randomised ).

A map that looks the same without the weights does not explain them. What came after is followed here: the layers
go from the bottom (image) to the top (Binder et al., CVPR 2023: from the top, what lower layers hand on is kept);
every layer has a seed of its own; no average includes the map of the network itself. The last stage alone gives
the number of efficient MPRT (Hedström et al., "Sanity Checks Revisited", 2023), with the entropy H of a map's
histogram:

    ( H(map of the random network) - H(map) ) / H(map).

    from trust import weight_sensitivity
    strip = weight_sensitivity(attribute, model, X, y, stages=5)
    strip.similarity                                                  # (5, N), the last of the random network
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import entropy

from image_utils.errors import InputError
from networks.scores import check_images
from networks.seeding import make_generator
from trust.maps import Attribute, as_maps, is_flat
from trust.similarity import map_similarity

BINS = 100  # of the histogram, as Hedström et al. have it


@dataclass(frozen=True)
class Strip:
    """The maps while layers lose their weights.

    Attributes:
        layers: S names, the last layer randomised in each stage.
        maps: float64 ndarray (S + 1, N, H, W), the first those of the network itself.
        similarity: float64 ndarray (S, N), -1 to 1; the smaller, the more the map depends on the weights. NaN
            where a map is flat.
    """

    layers: list[str]
    maps: np.ndarray
    similarity: np.ndarray


def weight_sensitivity(
    attribute: Attribute,
    model,
    X,
    y,
    *,
    maps=None,
    random_maps=None,
    networks=None,
    stages=None,
    order="bottom_up",
    seed=0,
) -> Strip:
    """Compute the maps again and again while the network's layers lose their weights.

    Costs one computation of the maps a stage, one more where `maps` is not given, one less with `random_maps`.

    Args:
        attribute: function (X, y, model) -> maps (N, H, W).
        model: classification network (N, C, H, W) -> (N, classes); left as it was: copies lose their weights.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes.
        maps: the maps of the network itself, where they are there already.
        random_maps: those of the last stage, of the network without any of its weights, likewise.
        networks: iterable of (name, network), to be used instead of those of `randomised`.
        stages: as in `randomised`.
        order: as in `randomised`.
        seed: as in `randomised`.

    Returns:
        Strip.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or a map is not finite.

    Source:
        Adebayo et al. 2018, section 3, cascading randomisation.
    """
    check_images(X)
    found = [as_maps(attribute(X, y, model) if maps is None else maps, X)[0]]
    layers = []
    for name, network in networks or randomised(model, stages=stages, order=order, seed=seed):
        layers.append(name)
        is_last = len(layers) == stages and random_maps is not None
        found.append(as_maps(random_maps if is_last else attribute(X, y, network), X)[0])
    found = np.stack(found)
    return Strip(layers, found, map_similarity(found[1:], found[:1]))


def randomised(model, *, stages=None, order="bottom_up", seed=0) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield a copy of a network that loses the weights of more and more layers.

    Every parameter of a layer is drawn from the normal distribution with the mean and the standard deviation of
    its own values, so that signals keep their size. Layers are the modules that have parameters of their own, in
    the order in which the network defines them, which for torchvision's is from the image to the scores.

    Args:
        model: nn.Module; not changed.
        stages: how often to yield, each time after about as many layers; None for once a layer, 1 for the random
            network alone.
        order: "bottom_up", from the image, or "top_down", from the scores.
        seed: of the random numbers; layer i has seed + i, whatever the order and the stages.

    Yields:
        (name of the layer randomised last, network): the same copy each time.

    Raises:
        InputError: no such order or number of stages, or the network has no parameters.
    """
    network = copy.deepcopy(model)
    layers = [(name, module) for name, module in network.named_modules() if list(_own(module))]
    stages = len(layers) if stages is None else min(stages, len(layers))
    if order not in ("bottom_up", "top_down"):
        raise InputError(f"order must be 'bottom_up' or 'top_down', not {order!r}")
    if stages < 1:
        raise InputError("the network has no weights to randomise" if not layers else "stages must be at least 1")
    seeded = list(enumerate(layers, start=seed))
    for done, (own_seed, (name, module)) in enumerate(seeded if order == "bottom_up" else seeded[::-1], start=1):
        generator = make_generator(own_seed)
        for parameter in _own(module):
            parameter.data = _redrawn(parameter, generator)
        if done * stages // len(layers) > (done - 1) * stages // len(layers):
            yield name or type(module).__name__, network


def _own(module) -> Iterable[torch.nn.Parameter]:
    return module.parameters(recurse=False)


def _redrawn(parameter, generator):
    values = parameter.detach()
    drawn = torch.randn(values.shape, generator=generator).to(values)
    return drawn * values.std(correction=0) + values.mean()


def efficient_mprt(maps, randomised_maps) -> np.ndarray:
    """Compare how evenly the values of a map are spread with those of the random network's map.

    Args:
        maps: ndarray (N, H, W).
        randomised_maps: ndarray (N, H, W), of the network without its weights.

    Returns:
        float64 ndarray (N,), the relative rise of the histogram's entropy; larger is better. NaN where a map of
        the network itself is flat.

    Source:
        Hedström et al. 2023, efficient MPRT.
    """
    before, after = (np.array([_entropy(one) for one in side]) for side in (maps, randomised_maps))
    return np.divide(after - before, before, out=np.full(len(maps), np.nan), where=before > 0)


def _entropy(values):
    return 0.0 if is_flat(values) else float(entropy(np.histogram(values, bins=BINS)[0]))
