"""The grid pointing game: in a mosaic of four photographs, does the map for a class point at its photograph?

Böhle, Fritz, Schiele: "Convolutional Dynamic Alignment Networks for Interpretable Classifications", CVPR 2021,
and Rao, Böhle, Schiele: "Towards Better Understanding Attribution Methods", CVPR 2022, section 3.1: with A+ the
positive part of the map for the class of cell c,

    L = sum of A+ in the cell  /  sum of A+ in the whole mosaic.

Photographs of four different classes, each classified confidently, make a mosaic of 2 x 2; nothing has to be
annotated. A map that knows nothing of the class has a quarter of its attribution in the right cell.

    from trust import grid_pointing, make_mosaics
    share = grid_pointing(attribute, model, *make_mosaics(model, X))          # one number a cell, 0.25 is chance
"""

import numpy as np
import torch
import torch.nn.functional as F

from image_utils.errors import InputError
from networks.masked import memory_order
from networks.no_trace import untouched
from networks.scores import check_images
from networks.seeding import make_generator
from trust.maps import Attribute, as_maps

CHANCE = 0.25
CELLS = 4


def make_mosaics(
    model, X, *, confidence=0.5, most=None, shrink=False, seed=0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make mosaics of 2 x 2 photographs that the network is sure of, four different classes in each.

    Args:
        model: as in `confident`.
        X: as in `confident`.
        confidence: as in `confident`.
        most: as in `confident`.
        shrink: as in `mosaics_of`.
        seed: as in `confident`.

    Returns:
        (mosaics, classes): Tensor (G, C, 2 H, 2 W), or (G, C, H, W) with `shrink`, and int64 Tensor (G, 4), the
        classes of the cells in reading order.

    Raises:
        InputError: as in `confident`.
    """
    chosen, classes = confident(model, X, confidence=confidence, most=most, seed=seed)
    return mosaics_of(X, chosen, shrink=shrink), classes


def confident(model, X, *, confidence=0.5, most=None, seed=0) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose the photographs of the mosaics: of each class the surest one takes part, once.

    Args:
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        confidence: lowest probability of the class with the highest score.
        most: number of mosaics at most, of the surest photographs; None for as many as there are.
        seed: of the order of the photographs.

    Returns:
        (chosen, classes): int64 Tensors (G, 4), indices of photographs, and the classes with the highest scores.

    Raises:
        InputError: shapes or dtypes do not fit, or fewer than four classes have a photograph that the network is
            sure of.
    """
    check_images(X)
    with untouched(model), torch.no_grad():
        sure, classes = torch.cat([model(x).softmax(1) for x in X.clone().split(1)]).max(1)
    surest = {}
    for index in sure.argsort(descending=True, stable=True).tolist():
        if sure[index] >= confidence:
            surest.setdefault(int(classes[index]), index)
    if len(surest) < CELLS:
        raise InputError(
            f"the grid pointing game needs photographs of {CELLS} classes that the network is sure of "
            f"(probability at least {confidence:g}); here are {len(surest)}"
        )
    count = min(len(surest) // CELLS, most or len(surest))
    chosen = torch.tensor(list(surest.values())[: count * CELLS])
    chosen = chosen[torch.randperm(len(chosen), generator=make_generator(seed))].to(X.device).view(count, CELLS)
    return chosen, classes[chosen]


def mosaics_of(X, chosen, *, shrink=False) -> torch.Tensor:
    """Put four photographs each into a mosaic.

    Args:
        X: Tensor (N, C, H, W).
        chosen: int64 Tensor (G, 4), indices of the photographs in reading order.
        shrink: whether to bring the mosaics to the photographs' own size, by the mean of 2 x 2 pixels: for
            networks that take one size only, and in a quarter of the time. The paper does not.

    Returns:
        Tensor (G, C, 2 H, 2 W), or (G, C, H, W) with `shrink`.
    """
    (_, channels, height, width), count = X.shape, len(chosen)
    mosaics = X[chosen.flatten()].view(count, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    mosaics = mosaics.reshape(count, channels, 2 * height, 2 * width)
    mosaics = F.avg_pool2d(mosaics, 2) if shrink else mosaics
    return mosaics.contiguous(memory_format=memory_order(X))


def grid_pointing(attribute: Attribute, model, mosaics, classes) -> np.ndarray:
    """Compute each cell's share of the positive attribution for its class.

    Costs four maps of each mosaic, computed together: what needs the image alone may be shared.

    Args:
        attribute: function (X, y, model) -> maps (N, H, W), or (M, N, H, W) of M methods.
        model: classification network; left as it was.
        mosaics: float Tensor (G, C, H, W), of `make_mosaics`.
        classes: int64 Tensor (G, 4), the classes of the cells in reading order.

    Returns:
        float64 ndarray (4 G,), or (M, 4 G), 0 to 1, chance 0.25. NaN where nothing in the map is positive.

    Raises:
        InputError: shapes, dtypes or labels do not fit, or a map is not finite.

    Source:
        Rao et al. 2022, section 3.1.
    """
    check_images(mosaics)
    shares = []
    for mosaic, labels in zip(mosaics.split(1), classes, strict=True):
        same = mosaic.repeat(CELLS, 1, 1, 1).contiguous(memory_format=memory_order(mosaics))
        maps = attribute(same, labels, model)
        several = np.ndim(maps) == 4
        cells = share_of_cells(as_maps(maps, same).reshape(-1, *same.shape[2:])).reshape(-1, CELLS, CELLS)
        shares.append(cells.diagonal(axis1=1, axis2=2))
    shares = np.concatenate(shares, axis=1)
    return shares if several else shares[0]


def share_of_cells(maps) -> np.ndarray:
    """Compute the share of the positive attribution that lies in each cell.

    Args:
        maps: ndarray (G, H, W).

    Returns:
        float64 ndarray (G, 4), in reading order. NaN where nothing is positive.
    """
    positive, (height, width) = np.clip(maps, 0, None), (side // 2 for side in maps.shape[1:])
    quarters = (
        positive[:, : 2 * height, : 2 * width].reshape(-1, 2, height, 2, width).sum((2, 4)).reshape(-1, CELLS)
    )
    total = positive.sum((1, 2))[:, None]
    return np.divide(quarters, total, out=np.full(quarters.shape, np.nan), where=total > 0)
