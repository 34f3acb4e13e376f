"""The visualizers' definitions once more, for the judge, with the classic mistakes beside them.

Written on the published network with plain autograd; nothing is shared with the solution.
"""

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from torch import nn

MEAN, STD = (np.array(v, np.float32).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
LAYER, EARLY = 12, 3  # features[12], of Grad-CAM; features[3], of the early views


@functools.cache
def network(skeleton):
    """Load the embedded network of the handout."""
    from data.networks import load_network

    return load_network(weights=str(Path(skeleton) / "data" / "squeezenet1_1.safetensors"))


def input_gradient(model, x, y, objective=None):
    """Gradient of the sum of class scores, or of another objective(scores, y), by the pixels."""
    x = x.clone().requires_grad_()
    scores = model(x)
    value = scores.gather(1, y[:, None]).sum() if objective is None else objective(scores, y)
    return torch.autograd.grad(value, x)[0]


class _Rule(torch.autograd.Function):
    """ReLU whose backward pass is chosen by name."""

    @staticmethod
    def forward(ctx, x, rule):
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.relu()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return relu_backward(x, g, ctx.rule), None


def relu_backward(x, g, rule):
    """The backward pass of a ReLU: "guided", "plain", or "deconvnet", which looks at the signal only."""
    if rule == "guided":
        return torch.where((x > 0) & (g > 0), g, 0.0)
    return torch.where((x if rule == "plain" else g) > 0, g, 0.0)


class _RuleReLU(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, x):
        return _Rule.apply(x, self.rule)


@functools.cache
def network_with_rule(skeleton, rule):
    """A network of its own whose ReLUs follow a rule in the backward pass."""
    from data.networks import load_network

    model = load_network(weights=str(Path(skeleton) / "data" / "squeezenet1_1.safetensors"))
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, _RuleReLU(rule))
    return model


def lowered(model, by):
    """A copy of the network with a lower bias of its last convolution."""
    model = copy.deepcopy(model)
    model.classifier[1].bias.data -= by
    return model


def layer_maps(model, x, y, layer):
    """A layer's maps A, and the gradient of the class scores' sum by them."""
    A = model.features[: layer + 1](x).detach().requires_grad_()
    scores = model.classifier(model.features[layer + 1 :](A * 1.0)).flatten(1)
    return A.detach(), torch.autograd.grad(scores.gather(1, y[:, None]).sum(), A)[0]


def fool_step(model, x, target, *, rate=10.0, sign=1, times=1, normalise=True):
    """One step of the course's fooling image, and variants."""
    x = x.clone().requires_grad_()
    g = torch.autograd.grad(model(x)[0, target], x)[0]
    return x.detach() + sign * times * rate * (g / g.norm() if normalise else g)


def fool(model, x, target, *, steps):
    """List the images on the course's way from x to the target, at most steps + 1; fewer if it is reached."""
    images = [x]
    while len(images) <= steps and int(model(images[-1]).argmax()) != target:
        images.append(fool_step(model, images[-1], target))
    return images


def climb(model, x, target, l2, rate, *, sign=1, normalise=True, penalty="squares", times=1):
    """One step of the course's class visualization from image x, clamped to what pixels can be; and variants."""
    x = x.clone().requires_grad_()
    punished = {"squares": (x**2).sum(), "none": 0.0, "rewarded": -(x**2).sum()}[penalty]
    g = torch.autograd.grad(model(x)[0, target] - l2 * punished, x)[0]
    step = rate * g / g.norm() if normalise else rate * g
    return x.detach() + sign * times * step
