"""The visualizers' definitions once more, for the judge. Written on the published network with plain autograd."""

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course.autograder.judging import near

MEAN, STD = (np.array(v, np.float32).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
LAYER = 12  # features[12], of Grad-CAM


def normalised(X):
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W), as the network takes it."""
    return ((X.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD).astype(np.float32)


class _Rule(torch.autograd.Function):
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
def network(skeleton, rule="plain", dtype=torch.float32):
    """Load the embedded network of the handout, with ReLUs that follow a rule in the backward pass."""
    from data.networks import load_network

    model = load_network(weights=str(Path(skeleton) / "data" / "squeezenet1_1.safetensors")).to(dtype)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, _RuleReLU(rule))
    return model


def input_gradient(model, x, y, objective=None):
    """Gradient of the sum of class scores, or of another objective(scores, y), by the pixels."""
    x = x.to(next(model.parameters()).dtype).requires_grad_()
    scores = model(x)
    value = scores.gather(1, y[:, None]).sum() if objective is None else objective(scores, y)
    return torch.autograd.grad(value, x)[0].float()


def steady(skeleton, x, y):
    """Say whether gradients are the same in single and double precision: no unit is nearly at zero."""
    for rule in ("plain", "guided"):
        single, double = (
            input_gradient(network(skeleton, rule, dtype), x.clone(), y)
            for dtype in (torch.float32, torch.float64)
        )
        if not near(single.numpy(), double.numpy(), 1e-3):
            return False
    return True


def layer_maps(model, x, y):
    """The maps A of Grad-CAM's layer, and the gradient of the class scores' sum by them."""
    A = model.features[: LAYER + 1](x).detach().requires_grad_()
    scores = model.classifier(model.features[LAYER + 1 :](A * 1.0)).flatten(1)
    return A.detach(), torch.autograd.grad(scores.gather(1, y[:, None]).sum(), A)[0]


def lowered(model, by):
    """A copy of the network with a lower bias of its last convolution."""
    model = copy.deepcopy(model)
    model.classifier[1].bias.data -= by
    return model


def score_gradient(model, image, target):
    """Gradient of one class score by one image, ndarray (3, H, W)."""
    return input_gradient(model, torch.from_numpy(image[None].copy()), torch.tensor([target]))[0].numpy()


def fooling_steps(model, x, target, most):
    """Count the course's steps of length 10 from an image (3, H, W) to the target, `most` if it is not reached."""
    for step in range(most):
        with torch.no_grad():
            if int(model(torch.from_numpy(x[None])).argmax()) == target:
                return step
        g = score_gradient(model, x, target)
        x = x + 10 * g / np.linalg.norm(g)
    return most
