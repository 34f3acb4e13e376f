"""Saliency maps, guided backprop and Grad-CAM, marked on the real network."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image

from course.autograder import ascents, scripts
from course.autograder import references as refs
from course.autograder.judging import RIGHT, Check, Task, close, judge_values, near, wrong


def _compare(found, expected, mistakes, picture=None):
    """Judge a map of the network; what is wrong is shown beside what is right."""
    expected = expected.numpy()
    verdict = judge_values([expected], lambda _: {m: [map_] for m, map_ in mistakes().items()}, [found], near)
    if verdict == RIGHT or picture is None or np.shape(found) != expected.shape:
        return verdict
    return replace(verdict, pictures={"yours": picture(found[0]), "right": picture(expected[0])})


def saliency(inputs, answers):
    """Maximum of |d score_y / d pixel| over channels."""
    model, x, y = refs.network(), torch.from_numpy(inputs["X"]), torch.from_numpy(inputs["y"])

    def of(objective=None, labels=y):
        return refs.input_gradient(model, x, labels, objective).abs().amax(1)

    def mistakes():
        g, best = refs.input_gradient(model, x, y), model(x).argmax(1)
        return {
            "the mean over channels was taken; the maximum is wanted": g.abs().mean(1),
            "the sum over channels was taken; the maximum is wanted": g.abs().sum(1),
            "the magnitude is missing: take abs before the maximum": g.amax(1),
            "take abs before the maximum, not after it": g.amax(1).abs(),
            "all channels were returned; take their maximum": g.abs(),
            "the score of the network's own best class was explained, not that of class y": of(labels=best),
            "the sum of all scores was explained, not that of class y": of(lambda scores, y: scores.sum()),
            "the loss was explained; the class score before the softmax is wanted": of(
                lambda scores, y: torch.log_softmax(scores, 1).gather(1, y[:, None]).sum()
            ),
            "the mean of the scores was differentiated; their sum keeps each image's own gradient": of() / len(x),
        }

    return _compare(answers["maps"], of(), mistakes, lambda a: a)


def relu(inputs, answers):
    """CustomReLU.backward."""
    x, g = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["upstream"])
    if not close(answers["value"], x.relu()):
        return wrong("the forward pass is not max(x, 0)")
    plain, right = g * (x > 0), g.clamp(min=0) * (x > 0)

    def mistakes():
        return {
            "this is the plain derivative: signals must be positive too": plain,
            "this is the rule of the deconvolution network: inputs must be positive too": g.clamp(min=0),
            "the magnitude is not wanted: negative signals are stopped": plain.abs(),
            "the signal itself must pass, not 1": right.sign(),
            "everything passes": g,
        }

    return _compare(answers["gradient"], right, mistakes)


def guided(inputs, answers):
    """Guided backpropagation, channels last."""
    x, y = torch.from_numpy(inputs["X"]), torch.from_numpy(inputs["y"])

    def by(rule):
        return refs.input_gradient(refs.network(rule), x, y).permute(0, 2, 3, 1)

    right = by("guided")

    def mistakes():
        return {
            "channels must come last: (N, H, W, 3)": right.permute(0, 3, 1, 2),
            "this is the plain gradient: the ReLUs do not follow CustomReLU": by("plain"),
            "this is the deconvolution network's rule, not the guided one": by("deconvnet"),
            "the magnitude is not wanted": right.abs(),
        }

    verdict = _compare(answers["maps"], right, mistakes, lambda a: 0.5 + a / (2 * np.abs(a).max()))
    if verdict.share < 1 or answers["left"] is not True:
        return verdict
    advice = "Right. The network is full of CustomReLU afterwards; whoever uses it next may not want that."
    return replace(RIGHT, message=advice)


def cam(inputs, answers):
    """Grad-CAM in the images' size, stretched over the batch."""
    x, y = torch.from_numpy(inputs["X"]), torch.from_numpy(inputs["y"])
    A, dA = refs.layer_maps(x, y, inputs["lowered"])
    alpha = dA.mean((2, 3), keepdim=True)
    right = (alpha * A).sum(1)

    def finish(cams, stretch=True, axes=None):
        cams = np.stack([np.array(Image.fromarray(c).resize(x.shape[:1:-1], Image.BICUBIC)) for c in cams.numpy()])
        low, high = cams.min(axes, keepdims=True), cams.max(axes, keepdims=True)
        return torch.from_numpy((cams - low) / (high - low) if stretch else cams)

    def mistakes():
        return {
            "the ReLU is missing: what speaks against the class must become 0": finish(right),
            "the ReLU belongs after the sum over channels": finish((alpha * A).relu().sum(1)),
            "the magnitude is not wanted: a ReLU is": finish(right.abs()),
            "the weights are means over the places (H, W), not over the channels": finish(
                (dA.mean(1, keepdim=True) * A).sum(1).relu()
            ),
            "the gradients must be averaged before they weight the maps": finish((dA * A).sum(1).relu()),
            "the maps were not weighted": finish(A.sum(1).relu()),
            "each image was stretched by itself; the batch is stretched as a whole": finish(
                right.relu(), axes=(1, 2)
            ),
            "the maps were not stretched to [0, 1]": finish(right.relu(), stretch=False),
        }

    return _compare(answers["maps"], finish(right.relu()), mistakes, lambda a: a)


def tasks():
    """List the tasks of the visualizers."""

    def maps(part, where, name, points, judge, make, gradient=True):
        """A task: the course's script hands over images that require a gradient, or do not."""
        module, class_, method = where.split(".")
        fixed = {"module": f"visualizers.{module}", "class": class_, "method": method, "gradient": gradient}
        return Task("maps", lambda rng: make(rng) | fixed, (Check(part, name, points, judge),), name)

    def relu_inputs(rng):
        return {key: rng.standard_normal((2, 3, 5, 4)).astype(np.float32) for key in ("x", "upstream")}

    def wide(rng):
        return refs.images(rng, (refs.SIDE, refs.SIDE + 40), 1)

    of_saliency = partial(maps, "saliency", "saliency_map.SaliencyMap.compute_saliency_maps", gradient=False)
    return [
        of_saliency("Saliency maps", 6, saliency, refs.images),
        of_saliency("Saliency maps: not square", 2, saliency, wide),
        Task("custom_relu", relu_inputs, (Check("guided", "CustomReLU", 4, relu),)),
        maps("guided", "gradcam.GradCam.guided_backprop", "Guided backprop", 6, guided, refs.images),
        maps("gradcam", "gradcam.GradCam.grad_cam", "Grad-CAM", 8, cam, refs.images_with_two_signs),
        *ascents.tasks(),
        *scripts.tasks(),
    ]
