"""The course's two helpers for attributions computed by Captum, and a copy of the network for Captum to use."""

import numpy as np
import torch
from torch import nn

from image_utils.errors import InputError
from image_utils.figures import brightness, image_grid
from image_utils.writing import save_figure
from networks.copies import copy_on_same_weights, write_elsewhere
from networks.no_trace import untouched

__all__ = ["compute_attributions", "private_copy", "visualize_attr_maps"]


def _channels_last(attr):
    return attr.permute(1, 2, 0).detach().cpu().numpy()


def visualize_attr_maps(
    path,
    X,
    y,
    class_names,
    attributions,
    titles,
    attr_preprocess=_channels_last,
    cmap="viridis",
    alpha=0.7,
    *,
    caption=None,
    standardise=True,
):
    """Write photographs and, below them, a row of maps for each attribution method.

    Each map is standardised for display: (a - mean) / std * 0.2 + 0.5, clipped to [0, 1]. Attributions and
    photographs may differ in size.

    Args:
        path: file of the figure.
        X: uint8 ndarray (N, H, W, 3), or N photographs of different sizes.
        y: N class indices.
        class_names: dict from class index to name.
        attributions: for each method the N maps, as a Tensor (N, C, H', W') or a sequence of (C, H', W').
        titles: a title for each method.
        attr_preprocess: turns one map (C, H', W') into an array (H', W'), (H', W', 1) or (H', W', 3).
        cmap: colour map of maps with one channel.
        alpha: opacity of the maps.
        caption: text below the figure, such as the measured agreement.
        standardise: False stretches maps of one channel as the saliency maps' figure does.

    Returns:
        matplotlib Figure, which a notebook shows.

    Raises:
        InputError: the numbers of titles, methods, maps and photographs do not fit.
    """
    if len(attributions) != len(titles):
        raise InputError(f"{len(attributions)} attributions need as many titles, not {len(titles)}")
    for title, maps in zip(titles, attributions, strict=True):
        if not len(maps) == len(X) == len(y):
            raise InputError(f"'{title}' has {len(maps)} maps for {len(X)} photographs and {len(y)} labels")
    display = _standardise if standardise else brightness
    rows = [[display(_flat(attr_preprocess(attr))) for attr in maps] for maps in attributions]
    names = [class_names[int(label)] for label in y]
    figure = image_grid(
        [list(X), *rows],
        column_titles=names,
        row_titles=["Photograph", *titles],
        caption=caption,
        cmap=cmap,
        alpha=alpha,
        vmin=0,
        vmax=1,
    )
    save_figure(figure, path)
    return figure


def _flat(attr):
    attr = np.asarray(attr, dtype=np.float64)
    return attr[:, :, 0] if attr.ndim == 3 and attr.shape[2] == 1 else attr


def _standardise(attr):
    attr = (attr - attr.mean()) / max(attr.std(), 1e-20)
    return np.clip(attr * 0.2 + 0.5, 0.0, 1.0)


def compute_attributions(algo, inputs, **kwargs):
    """Run a Captum attribution method, `algo.attribute(inputs, **kwargs)`, with its network in evaluation mode.

    A network in training mode is put back into it afterwards; its dropout would otherwise change the attributions.

    Args:
        algo: Captum attribution object.
        inputs: Tensor (N, 3, H, W), or what else the method takes; or a list of N Tensors (3, H, W) of different
            sizes, which go one by one.
        **kwargs: further arguments of its `attribute`, such as target.

    Returns:
        What the method returns, usually a Tensor shaped like the inputs; for a list, the list of these.
    """
    if isinstance(inputs, list):
        count = len(inputs)
        return [compute_attributions(algo, x[None], **_of_one(kwargs, i, count))[0] for i, x in enumerate(inputs)]
    model = getattr(algo, "forward_func", None)
    if not isinstance(model, nn.Module) or not any(module.training for module in model.modules()):
        return algo.attribute(inputs, **kwargs)
    with_graph = torch.is_grad_enabled()
    with untouched(model), torch.set_grad_enabled(with_graph):
        return algo.attribute(inputs, **kwargs)


def _of_one(kwargs, i, count):
    """Take what belongs to input i out of arguments that are Tensors of as many values as there are inputs."""
    several = {k for k, v in kwargs.items() if isinstance(v, torch.Tensor) and v.ndim and len(v) == count}
    return {key: value[i : i + 1] if key in several else value for key, value in kwargs.items()}


def private_copy(model):
    """Copy a network for Captum, sharing its weights.

    Captum hangs its hooks into the network it is given. It also keeps a layer's maps by reference, and an in-place
    activation after the layer would overwrite them; in the copy these write elsewhere.

    Args:
        model: nn.Module; not changed.

    Returns:
        nn.Module that computes the same with the same parameters and buffers.
    """
    twin = copy_on_same_weights(model)
    write_elsewhere(twin)
    return twin
