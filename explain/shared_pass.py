"""Every attribution of a batch from one forward pass.

Saliency maps need the score's gradient by the pixels, Grad-CAM a layer's maps and the score's gradient by these:
one backward pass gives both. Guided backpropagation is a second backward pass through the same graph, in which
each ReLU follows the other rule. The formulas are the visualizers' own.
"""

import contextlib

import torch

from image_utils.errors import InputError
from visualizers.gradcam import CustomReLU, guided_product, localise
from visualizers.layers import cut_at, default_layer, find_layer
from visualizers.no_trace import as_leaf, untouched
from visualizers.relus import relus_replaced
from visualizers.saliency_map import largest_magnitude
from visualizers.scores import class_scores

METHODS = ("saliency", "guided_backprop", "gradcam", "guided_gradcam")
GUIDED = {"guided_backprop", "guided_gradcam"}
LOCALISED = {"gradcam", "guided_gradcam"}


class PlainThenGuided(torch.autograd.Function):
    """ReLU whose backward pass is the plain derivative or `CustomReLU`'s rule, whichever is asked for."""

    @staticmethod
    def forward(ctx, x, rule, inplace):
        """Compute max(x, 0); `rule` is a dict whose "guided" says which backward pass to take in its time."""
        ctx.rule = rule
        return CustomReLU.forward(ctx, x, inplace)

    @staticmethod
    def backward(ctx, dout):
        """Pass the signal dout on by the rule that is now in force."""
        if ctx.rule["guided"]:
            return CustomReLU.backward(ctx, dout)[0], None, None
        return torch.ops.aten.threshold_backward(dout, *ctx.saved_tensors, 0), None, None


def explain_batch(model, x, y, methods, layer):
    """Compute attributions of a batch; each is what the visualizers' method returns for the image alone.

    That is `SaliencyMap.compute_saliency_maps`, `GradCam.guided_backprop`, `GradCam.grad_cam` and
    `GradCam.guided_grad_cam`, the ReLUs called as functions guided too.

    Args:
        model: classification network (N, 3, H, W) -> (N, C); left as it was, and used by this thread only.
        x: float Tensor (N, 3, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes to explain; -1 for the network's own top-1.
        methods: what to compute, some of METHODS.
        layer: dotted name of Grad-CAM's layer; not used without Grad-CAM.

    Returns:
        (scores, labels, maps): Tensor (N, C) and int64 Tensor (N,) on the CPU; dict from method to float32
        ndarray, (N, H, W) for saliency and gradcam, (N, H, W, 3) for the guided.

    Raises:
        InputError: labels or layer do not fit, or a ReLU cannot be reached.
    """
    wanted = set(methods)
    guided, localised, plain = wanted & GUIDED, wanted & LOCALISED, "saliency" in wanted
    rule = {"guided": False}
    with untouched(model), contextlib.ExitStack() as stack:
        run, maps = model, []
        if guided:
            relu = _with(PlainThenGuided, rule)
            run = stack.enter_context(relus_replaced(model, relu, functional="guide"))
            with torch.no_grad():
                run(x[:1])  # looks for ReLUs out of reach, before the graph is cut: a layer can be cut once
        if localised:
            maps = stack.enter_context(cut_at(find_layer(model, layer), below=plain or bool(guided)))
        pixels = as_leaf(x)
        scores = run(pixels.clone())
        labels = torch.where(y < 0, scores.argmax(dim=1), y)
        total = class_scores(scores, labels).sum()
        sources = [pixels] * plain + maps
        gradients = _gradients(total, sources, keep=bool(guided))
        rule["guided"] = True
        details = _gradients(total, [pixels], keep=False)[0] if guided else None
    results = {}
    if plain:
        results["saliency"] = largest_magnitude(gradients[0]).float().cpu().numpy()
    if guided:
        results["guided_backprop"] = details.permute(0, 2, 3, 1).float().cpu().numpy()
    if localised:
        results["gradcam"] = localise(maps[0].detach(), gradients[-1], x.shape[2:], normalize="image")
    if "guided_gradcam" in wanted:
        results["guided_gradcam"] = guided_product(results["guided_backprop"], results["gradcam"])
    return scores.detach().float().cpu(), labels.cpu(), {method: results[method] for method in methods}


def _with(function, rule):
    return lambda x, inplace: function.apply(x, rule, inplace)


def _gradients(total, sources, *, keep):
    """Differentiate the scores' sum; an empty list of sources costs nothing."""
    if not sources:
        return []
    gradients = torch.autograd.grad(total, sources, retain_graph=keep, allow_unused=True)
    if any(gradient is None for gradient in gradients):
        raise InputError("the score does not depend on the layer; choose another")
    return gradients


def make_ready(model, device):
    """Bring a network to a device, in the memory order that is fastest there; it is changed."""
    model.to(device, memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU | torch.nn.ReLU6):
            module.inplace = False  # in place saves nothing where each ReLU's input is kept for the backward pass
    return model


def try_out(model, methods, size):
    """Explain a black image, so that what cannot work is known before any work is done.

    Args:
        model: classification network, ready.
        methods: some of METHODS.
        size: side of the square images.

    Returns:
        (layer, classes): dotted name of Grad-CAM's layer, or None without it; the number of classes.

    Raises:
        InputError: the network does not take such images, or a method does not work on it.
    """
    x = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    try:
        layer = default_layer(model, x) if set(methods) & LOCALISED else None
        scores, _, _ = explain_batch(model, x, torch.full((1,), -1, device=x.device), methods, layer)
    except InputError:
        raise
    except (RuntimeError, AssertionError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise InputError(f"the network does not take images of {size} x {size} pixels: {reason}") from None
    return layer, scores.shape[1]
