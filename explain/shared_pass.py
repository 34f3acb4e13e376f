"""The attributions of a batch: four from one forward pass (`explain.one_pass`), any others each by itself."""

import torch

import attributions
from explain.one_pass import gradients
from image_utils.errors import InputError
from networks.copies import write_elsewhere
from networks.layers import default_layer
from networks.scores import class_scores
from visualizers.gradcam import fitted, to_array

METHODS = ("saliency", "guided_backprop", "gradcam", "guided_gradcam")
OTHERS = tuple(name for name in attributions.NAMES if name not in METHODS)
GUIDED = {"guided_backprop", "guided_gradcam"}
LOCALISED = {"gradcam", "guided_gradcam"}
LAYERED = LOCALISED | {"hires_cam", "layer_cam"}


def explain_batch(model, x, y, methods, layer, *, other=None):
    """Compute attributions of a batch; each is what the visualizers' method returns for the image alone.

    That is `SaliencyMap.compute_saliency_maps`, `GradCam.guided_backprop`, `GradCam.grad_cam` and
    `GradCam.guided_grad_cam`, the ReLUs called as functions guided too; and of OTHERS what `attributions` has.

    Args:
        model: classification network (N, 3, H, W) -> (N, C); left as it was, and used by this thread only.
        x: float Tensor (N, 3, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes to explain; -1 for the network's own top-1.
        methods: what to compute, some of METHODS and OTHERS.
        layer: dotted name of the Grad-CAM family's layer; not used without it.
        other: index of a class whose score is subtracted, for METHODS only: why this class and not that?

    Returns:
        (scores, labels, maps): Tensor (N, C) and int64 Tensor (N,) on the CPU; dict from method to float32
        ndarray, (N, H, W), but (N, H, W, 3) for the guided.

    Raises:
        InputError: labels or layer do not fit, or a ReLU cannot be reached.
    """
    wanted = set(methods)
    chosen = []

    def score(outputs):
        chosen.append(torch.where(y < 0, outputs.argmax(dim=1), y))
        scores = class_scores(outputs, chosen[0])
        return scores if other is None else scores - class_scores(outputs, torch.full_like(chosen[0], other))

    found = gradients(
        model,
        x,
        score,
        plain="saliency" in wanted,
        guided=bool(wanted & GUIDED),
        layer=layer if wanted & LOCALISED else None,
    )
    results = {}
    if found.plain is not None:
        results["saliency"] = found.plain.abs().amax(dim=1).float().cpu().numpy()
    if found.guided is not None:
        results["guided_backprop"] = to_array(found.guided.permute(0, 2, 3, 1))
    if found.A is not None:
        cams = (found.dA.mean(dim=(2, 3), keepdim=True) * found.A).sum(dim=1).clamp(min=0)
        results["gradcam"] = fitted(cams, x.shape[2:], normalize="image")
    if "guided_gradcam" in wanted:
        results["guided_gradcam"] = results["guided_backprop"] * results["gradcam"][..., None]
    for name, method in attributions.methods(wanted.intersection(OTHERS), layer=layer).items():
        results[name] = to_array(method(x, chosen[0], model))
    return found.outputs.float().cpu(), chosen[0].cpu(), {method: results[method] for method in methods}


def make_ready(model, device):
    """Bring a network to a device, in the memory order that is fastest there; it is changed."""
    model.to(device, memory_format=torch.channels_last)
    write_elsewhere(model)  # in place saves nothing where each ReLU's input is kept for the backward pass
    return model


def try_out(model, methods, size):
    """Explain a black image, so that what cannot work is known before any work is done.

    Args:
        model: classification network, ready.
        methods: some of METHODS and OTHERS.
        size: side of the square images.

    Returns:
        (reasons, layer, classes): dict from each method that does not work on this network to a sentence why;
        dotted name of Grad-CAM's layer, or None without it; the number of classes.

    Raises:
        InputError: the network does not take such images, or no method works on it.
    """
    x = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    y = torch.full((1,), -1, device=x.device)
    reasons, layer = {}, None
    try:
        captums = ((method, {method}) for method in attributions.CAPTUM)  # of these Captum may refuse a network
        for method, needing in (("gradcam", LAYERED), ("guided_backprop", GUIDED), *captums):
            if needing.isdisjoint(methods):
                continue
            try:
                layer = default_layer(model, x) if needing is LAYERED else layer
                explain_batch(model, x, y, (method,), layer)
            except InputError as problem:
                reasons |= {other: str(problem) for other in methods if other in needing and other not in reasons}
        left = [method for method in methods if method not in reasons]
        if not left:
            raise InputError(reasons[methods[0]])
        scores, _, _ = explain_batch(model, x, y, [method for method in left if method in METHODS], layer)
    except InputError:
        raise
    except (RuntimeError, AssertionError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise InputError(f"the network does not take images of {size} x {size} pixels: {reason}") from None
    return reasons, layer if LAYERED & set(left) else None, scores.shape[1]
