"""The visualizers' definitions once more, for the judge, and the images they are judged on: plain autograd."""

import functools

import numpy as np
import torch
from torch import nn

from course.autograder.judging import near
from data.networks import load_network
from data.samples import load_sample_photographs

MEAN, STD = (np.array(v, np.float32).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
LAYER = 12  # features[12], of Grad-CAM
SIDE = 112  # pixels; large enough for the network, small enough for half a core
RULES = {  # what a ReLU's backward pass makes of the signal: the gradient by its input, and that by its output
    "guided": lambda module, by_input, by_output: (by_input[0].clamp(min=0),),
    "deconvnet": lambda module, by_input, by_output: (by_output[0].clamp(min=0),),
}


@functools.cache
def network(rule="plain", dtype=torch.float32):
    """Load the embedded network, with ReLUs that follow a rule in the backward pass."""
    model = load_network().to(dtype)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            if rule in RULES:
                module.register_full_backward_hook(RULES[rule])
    return model


def input_gradient(model, x, y, objective=None):
    """Gradient of the sum of class scores, or of another objective(scores, y), by the pixels."""
    x = x.detach().to(next(model.parameters()).dtype).clone().requires_grad_()
    scores = model(x)
    value = scores.gather(1, y[:, None]).sum() if objective is None else objective(scores, y)
    return torch.autograd.grad(value, x)[0].float()


def score_gradient(image, target):
    """Gradient of one class score by one image, ndarray (3, H, W)."""
    return input_gradient(network(), torch.from_numpy(image[None].copy()), torch.tensor([target]))[0].numpy()


def scores(images):
    """Class scores (N, 1000) of images, ndarray (N, 3, H, W)."""
    with torch.no_grad():
        return network()(torch.from_numpy(images))


def layer_maps(x, y, lowered=0.0):
    """The maps A of Grad-CAM's layer, and the gradient of the class scores' sum by them.

    The last convolution's bias is lower by `lowered` than the embedded network's.
    """
    features, last = network().features, network().classifier[1]
    A = features[: LAYER + 1](x).detach().requires_grad_()
    found = (last(features[LAYER + 1 :](A * 1.0)) - lowered).relu().mean((2, 3))
    return A.detach(), torch.autograd.grad(found.gather(1, y[:, None]).sum(), A)[0]


def fooling_steps(x, target, most):
    """Count the course's steps of length 10 from an image (3, H, W) to the target, `most` if it is not reached."""
    for step in range(most):
        if int(scores(x[None]).argmax()) == target:
            return step
        g = score_gradient(x, target)
        x = x + 10 * g / np.linalg.norm(g)
    return most


def _photographs(rng, shape, n):
    """Cut n random pieces out of the sample photographs, as the network takes them: float32 (n, 3, H, W)."""
    X, pieces = load_sample_photographs()[0], []
    for i in rng.choice(len(X), n, replace=False):
        top, left = (rng.integers(0, have - want + 1) for have, want in zip(X.shape[1:3], shape, strict=True))
        pieces.append(X[i, top : top + shape[0], left : left + shape[1]])
    return ((np.stack(pieces).transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD).astype(np.float32)


def _steady(x, y):
    """Say whether gradients are the same in single and double precision: no unit is nearly at zero."""
    for rule in ("plain", "guided"):
        single, double = (input_gradient(network(rule, p), x, y).numpy() for p in (torch.float32, torch.float64))
        if not near(single, double, 1e-3):
            return False
    return True


def images(rng, shape=(SIDE, SIDE), n=2):
    """Draw pieces of photographs, and for each a class that is among its better ones but not the best."""
    while True:
        X = _photographs(rng, shape, n)
        y = torch.stack([row[rng.integers(1, 6)] for row in scores(X).argsort(1, descending=True)])
        if _steady(torch.from_numpy(X), y):
            return {"X": X, "y": y.numpy()}


def images_with_two_signs(rng):
    """The same, each with a class that parts of the image speak for and others against; and a lower bias.

    The embedded network's last ReLU passes everything, so the gradient is the same at all places and Grad-CAM
    would be right without its mean. With a lower bias of the last convolution it is not.
    """
    given, model = images(rng), network()
    x, reached = torch.from_numpy(given["X"]), []
    for i in range(len(x)):
        with torch.no_grad():
            maps = model.classifier[:2](model.features(x[i : i + 1]))[0]  # before the last ReLU
        for label in rng.permutation(len(maps))[:100]:
            A, dA = layer_maps(x[i : i + 1], torch.tensor([int(label)]))
            cam = (dA.mean((2, 3), keepdim=True) * A).sum(1)[0]
            if (cam > 0).sum() > 5 and (cam < -0.1 * cam.max()).float().mean() > 0.1:
                break
        given["y"][i] = label
        reached.append(maps[label][cam > 0])
    # Some places that speak for the class fall silent. In the widest gap, so that rounding switches none.
    values = torch.cat(reached).sort().values
    values = values[values <= min(r.quantile(0.8) for r in reached)]
    values = values[len(values) // 3 :]
    widest = int(values.diff().argmax())
    return given | {"lowered": float(values[widest : widest + 2].mean())}
