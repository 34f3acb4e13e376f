"""Plain gradient, guided backpropagation and Grad-CAM from a single forward pass.

Saliency maps need the score's gradient by the pixels, Grad-CAM a layer's maps and the score's gradient by these:
one backward pass gives both. Guided backpropagation is a second backward pass through the same graph, in which
each ReLU follows the other rule. The formulas are those of `visualizers.saliency_map` and `visualizers.gradcam`.
"""

import contextlib
from dataclasses import dataclass

import torch

from image_utils.errors import InputError
from networks.layers import cut_at, find_layer
from networks.no_trace import as_leaf, untouched
from networks.precision import arithmetic
from networks.relus import relus_replaced


class PlainThenGuided(torch.autograd.Function):
    """ReLU whose backward pass is the plain derivative or another rule, whichever is asked for."""

    @staticmethod
    def forward(ctx, x, switch, inplace):
        """Compute max(x, 0) of a Tensor of any shape, in its own memory if `inplace`; keep the switch."""
        ctx.switch = switch
        return switch.rule.forward(ctx, x, inplace)

    @staticmethod
    def backward(ctx, dout):
        """Pass the signal dout on by the rule that is now in force."""
        if ctx.switch.guided:
            return ctx.switch.rule.backward(ctx, dout)[0], None, None
        return torch.ops.aten.threshold_backward(dout, *ctx.saved_tensors, 0), None, None


@dataclass
class _Switch:
    """Which backward pass the ReLUs take: their own, or by the rule of an autograd Function."""

    rule: type
    guided: bool = False

    def apply(self, x, inplace):
        """Compute max(x, 0) so that this switch rules over its backward pass."""
        return PlainThenGuided.apply(x, self, inplace)


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


def gradients(model, X, score, *, plain=False, guided=None, layer=None, functional="refuse", precision="float32"):
    """Run a network once and differentiate its scores in every way asked for.

    Args:
        model: classification network; left as it was.
        X: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
        score: function from what the network returns to one number an image, Tensor (N,).
        plain: whether the gradient by the pixels is wanted.
        guided: the rule of guided backpropagation, `visualizers.gradcam.CustomReLU`, if that is wanted: an
            autograd Function of (x, inplace) that computes a ReLU and saves its output, and nothing else.
        layer: the layer whose maps and gradient are wanted, by name or as module; None for none.
        functional: as in `networks.relus.relus_replaced`, where guided backpropagation is wanted.
        precision: "float32", or "fast" or "bf16"; see `networks.precision`.

    Returns:
        Gradients.

    Raises:
        InputError: shapes, labels or layer do not fit, a ReLU cannot be reached, or the score ignores the layer.
    """
    switch = _Switch(guided)
    pixels = as_leaf(X)
    with untouched(model), arithmetic(precision, pixels) as images, contextlib.ExitStack() as stack:
        run, maps = model, []
        if guided:
            run = stack.enter_context(relus_replaced(model, switch.apply, functional=functional))
            run(as_leaf(images[:1]))  # looks for ReLUs out of reach, before the graph is cut, which works once
        if layer is not None:
            maps = stack.enter_context(cut_at(find_layer(model, layer), below=plain or guided is not None))
        outputs = run(images)
        total = score(outputs).sum()
        if layer is not None and not maps:
            raise InputError("the layer did not run in the forward pass; choose another")
        found = list(_differentiate(total, [pixels] * plain + maps, keep=guided is not None))
        switch.guided = True
        return Gradients(
            outputs.detach(),
            plain=found.pop(0) if plain else None,
            guided=_differentiate(total, [pixels], keep=False)[0] if guided else None,
            A=maps[0].detach() if maps else None,
            dA=found.pop() if maps else None,
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
