"""HiRes-CAM and Layer-CAM: Grad-CAM with one line changed.

With a layer's maps A^k and their gradient dS/dA^k, Grad-CAM weighs each map by one number, its mean gradient.
Place by place instead,

    HiRes-CAM    L = ReLU(sum_k dS/dA^k A^k)              Draelos, Carin 2020, section 3
    Layer-CAM    L = ReLU(sum_k ReLU(dS/dA^k) A^k)        Jiang, Zhang, Hou, Cheng, Wei, TIP 2021, section 3

show only places that the score uses (HiRes-CAM), and stay sharp in early layers (Layer-CAM).
"""

from types import SimpleNamespace

import numpy as np

from networks.layers import default_layer, find_layer, grid_of, maps_kept
from networks.no_trace import untouched
from networks.scores import class_scores
from visualizers.gradcam import fitted


def hires_cam(X, y, model, *, layer=None, reshape=None, **fit) -> np.ndarray:
    """Compute where the class is seen, the maps weighted place by place; arguments as in `GradCam.grad_cam`.

    Returns:
        float32 ndarray (N, H, W).
    """
    A, dA = _maps_and_gradient(X, y, model, layer, reshape)
    return fitted((dA * A).sum(dim=1).clamp(min=0), X.shape[2:], **fit)


def layer_cam(X, y, model, *, layer=None, reshape=None, **fit) -> np.ndarray:
    """Compute the same from positive gradients alone; arguments and result as in `hires_cam`."""
    A, dA = _maps_and_gradient(X, y, model, layer, reshape)
    return fitted((dA.clamp(min=0) * A).sum(dim=1).clamp(min=0), X.shape[2:], **fit)


def _maps_and_gradient(X, y, model, layer, reshape):
    kept = SimpleNamespace()
    with untouched(model, X) as x:
        module = find_layer(model, default_layer(model, x) if layer is None else layer)
        with maps_kept(module, kept, reshape=grid_of(X, reshape)):
            class_scores(model(x.detach()), y).sum().backward()
    return kept.activation_value.detach(), kept.gradient_value
