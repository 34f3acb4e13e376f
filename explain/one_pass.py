"""Plain gradient, guided backpropagation and Grad-CAM from a single forward pass.

Saliency maps need the score's gradient by the pixels, Grad-CAM a layer's maps and the score's gradient by these:
one backward pass gives both. Guided backpropagation is a second backward pass through the same graph, in which
each ReLU follows the other rule. The formulas are those of `visualizers.saliency_map` and `visualizers.gradcam`.
"""

import contextlib
from dataclasses import dataclass
from types import SimpleNamespace

import torch

from image_utils.errors import InputError
from networks.layers import find_layer, grid_of, maps_kept
from networks.no_trace import untouched
from networks.relus import relus_replaced


class Switch:
    """Which backward pass the ReLUs take: their own derivative, or guided backpropagation's rule."""

    def __init__(self):
        self.guided = False

    def rule(self):
        """Make the autograd Function of a ReLU that this switch rules over."""

        class PlainThenGuided(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                output = x.clamp(min=0)
                ctx.save_for_backward(output)  # positive where x is
                return output

            @staticmethod
            def backward(ctx, dout):
                # One kernel for both: the signal where the output is positive. `CustomReLU` has the formula.
                passed = torch.ops.aten.threshold_backward(dout, ctx.saved_tensors[-1], 0)
                return passed.clamp_(min=0) if self.guided else passed

        return PlainThenGuided


@dataclass(frozen=True)
class Gradients:
    """What one forward pass and its backward passes gave; None what was not asked for.

    Attributes:
        outputs: what the network returned, outside the graph.
        plain: Tensor (N, 3, H, W), gradient of the scores' sum by the pixels.
        guided: the same by guided backpropagation.
        A: Tensor (N, K, h, w), the layer's maps.
        dA: Tensor (N, K, h, w), gradient of the scores' sum by these.
    """

    outputs: torch.Tensor
    plain: torch.Tensor | None = None
    guided: torch.Tensor | None = None
    A: torch.Tensor | None = None
    dA: torch.Tensor | None = None


def gradients(model, X, score, *, plain=False, guided=False, layer=None, functional="guide"):
    """Run a network once and differentiate its scores in every way asked for.

    Args:
        model: classification network; left as it was.
        X: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
        score: function from what the network returns to one number an image, Tensor (N,).
        plain: whether the gradient by the pixels is wanted.
        guided: whether guided backpropagation is.
        layer: the layer whose maps and gradient are wanted, by name or as module; None for none.
        functional: as in `networks.relus.relus_replaced`, where guided backpropagation is wanted.

    Returns:
        Gradients.

    Raises:
        InputError: shapes, labels or layer do not fit, a ReLU cannot be reached, or the score ignores the layer.
    """
    switch, kept = Switch(), SimpleNamespace(activation_value=None)
    with untouched(model, X) as pixels, contextlib.ExitStack() as stack:
        if guided:
            stack.enter_context(relus_replaced(model, switch.rule(), functional=functional))
            if len(pixels) > 1:  # an image alone is watched in the pass below
                model(pixels[:1])  # looks for ReLUs out of reach, before the maps are kept, which works once
        if layer is not None:
            cut = not plain and not guided
            stack.enter_context(maps_kept(find_layer(model, layer), kept, cut=cut, reshape=grid_of(X)))
        outputs = model(pixels)
        total, A = score(outputs).sum(), kept.activation_value
        if layer is not None and A is None:
            raise InputError("the layer did not run in the forward pass; choose another")
        sources = [pixels] * plain + ([kept.output] if layer is not None else [])
        found = list(_differentiate(total, sources, keep=guided))
        switch.guided = True
        return Gradients(
            outputs.detach(),
            plain=found.pop(0) if plain else None,
            guided=_differentiate(total, [pixels], keep=False)[0] if guided else None,
            A=None if A is None else A.detach(),
            dA=grid_of(X)(found.pop()) if A is not None else None,
        )


def _differentiate(total, sources, *, keep):
    """Differentiate the scores' sum; an empty list of sources costs nothing."""
    if not sources:
        return ()
    results = [None]
    if total.requires_grad:
        results = torch.autograd.grad(total, sources, retain_graph=keep, allow_unused=True)
    if any(result is None for result in results):
        raise InputError("the score does not depend on the layer; choose another layer or target")
    return results
