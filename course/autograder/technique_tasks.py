"""Saliency maps, guided backprop and Grad-CAM, marked on the real network."""

import functools

import numpy as np
import torch
from PIL import Image

from course.autograder import ascent_tasks, captum_tasks
from course.autograder import technique_references as refs
from course.autograder.judging import Verdict, close, judge_values, near
from course.autograder.tasks import Check, Task

SIDE = 112  # pixels; large enough for the network, small enough for half a core


def photographs(rng, shape, n):
    """Cut n random pieces out of the sample photographs: uint8 (n, H, W, 3)."""
    from data.samples import load_sample_photographs

    X = load_sample_photographs()[0]
    pieces = []
    for i in rng.choice(len(X), n, replace=False):
        top, left = (rng.integers(0, have - want + 1) for have, want in zip(X.shape[1:3], shape, strict=True))
        pieces.append(X[i, top : top + shape[0], left : left + shape[1]])
    return np.stack(pieces)


def images(skeleton, rng, shape=(SIDE, SIDE), n=2):
    """Draw pieces of photographs, and for each a class that is among its better ones but not the best."""
    while True:
        x = torch.from_numpy(refs.normalised(photographs(rng, shape, n)))
        with torch.no_grad():
            ranked = refs.network(skeleton)(x).argsort(1, descending=True)
        y = torch.stack([row[rng.integers(1, 6)] for row in ranked])
        if refs.steady(skeleton, x, y):
            return {"X": x.numpy(), "y": y.numpy()}


def images_with_two_signs(skeleton, rng):
    """The same, each with a class that parts of the image speak for and others against; and a lower bias.

    The embedded network's last ReLU passes everything, so the gradient is the same at all places and Grad-CAM
    would be right without its mean. With a lower bias of the last convolution it is not.
    """
    given, model = images(skeleton, rng), refs.network(skeleton)
    x, reached = torch.from_numpy(given["X"]), []
    for i in range(len(x)):
        with torch.no_grad():
            maps = model.classifier[:2](model.features(x[i : i + 1]))[0]  # before the last ReLU
        for label in rng.permutation(len(maps))[:100]:
            A, dA = refs.layer_maps(model, x[i : i + 1], torch.tensor([int(label)]))
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


def _compare(found, expected, wrong, picture=None):
    """Judge a map of the network; what is wrong is shown beside what is right."""
    alternatives = {message: [value.numpy()] for message, value in wrong.items()}
    verdict = judge_values([np.asarray(expected)], [alternatives], [found], near)
    if verdict.share == 1 or picture is None or found is None or found.shape != expected.shape:
        return verdict
    return Verdict(0.0, verdict.message, {"yours": picture(found[0]), "right": picture(np.asarray(expected)[0])})


def saliency(skeleton, inputs, answers):
    """Maximum of |d score_y / d pixel| over channels."""
    model, x, y = refs.network(skeleton), torch.from_numpy(inputs["X"]), torch.from_numpy(inputs["y"])

    def of(objective=None, labels=y):
        return refs.input_gradient(model, x.clone(), labels, objective).abs().amax(1)

    g, best = refs.input_gradient(model, x.clone(), y), model(x).argmax(1)
    wrong = {
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
    return _compare(answers["maps"], of(), wrong, lambda a: a)


def relu(inputs, answers):
    """CustomReLU.backward."""
    x, g = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["upstream"])
    if not close(answers["value"], x.relu()):
        return Verdict(0.0, "the forward pass is not max(x, 0)")
    right, plain, deconvnet = (refs.relu_backward(x, g, rule) for rule in ("guided", "plain", "deconvnet"))
    wrong = {
        "this is the plain derivative: signals must be positive too": plain,
        "this is the rule of the deconvolution network: inputs must be positive too": deconvnet,
        "the magnitude is not wanted: negative signals are stopped": plain.abs(),
        "the signal itself must pass, not 1": right.sign(),
        "everything passes": g,
    }
    return _compare(answers["gradient"], right, wrong)


def guided(skeleton, inputs, answers):
    """Guided backpropagation, channels last."""

    def by(rule):
        x, y = torch.from_numpy(inputs["X"]).clone(), torch.from_numpy(inputs["y"])
        return refs.input_gradient(refs.network(skeleton, rule), x, y).permute(0, 2, 3, 1)

    right = by("guided")
    wrong = {
        "channels must come last: (N, H, W, 3)": right.permute(0, 3, 1, 2),
        "this is the plain gradient: the ReLUs do not follow CustomReLU": by("plain"),
        "this is the deconvolution network's rule, not the guided one": by("deconvnet"),
        "the magnitude is not wanted": right.abs(),
    }
    verdict = _compare(answers["maps"], right, wrong, lambda a: 0.5 + a / (2 * np.abs(a).max()))
    if verdict.share == 1 and answers["left"] is True:
        return Verdict(
            1.0, "Right. The network is full of CustomReLU afterwards; whoever uses it next may not want that."
        )
    return verdict


def cam(skeleton, inputs, answers):
    """Grad-CAM in the images' size, stretched over the batch."""
    x, y = torch.from_numpy(inputs["X"]), torch.from_numpy(inputs["y"])
    A, dA = refs.layer_maps(refs.lowered(refs.network(skeleton), inputs["lowered"]), x, y)
    alpha = dA.mean((2, 3), keepdim=True)
    right = (alpha * A).sum(1)

    def finish(cams, stretch=True, axes=None):
        cams = np.stack([np.array(Image.fromarray(c).resize(x.shape[:1:-1], Image.BICUBIC)) for c in cams.numpy()])
        low, high = cams.min(axes, keepdims=True), cams.max(axes, keepdims=True)
        return torch.from_numpy((cams - low) / (high - low) if stretch else cams)

    wrong = {
        "the ReLU is missing: what speaks against the class must become 0": finish(right),
        "the ReLU belongs after the sum over channels": finish((alpha * A).relu().sum(1)),
        "the magnitude is not wanted: a ReLU is": finish(right.abs()),
        "the weights are means over the places (H, W), not over the channels": finish(
            (dA.mean(1, keepdim=True) * A).sum(1).relu()
        ),
        "the gradients must be averaged before they weight the maps": finish((dA * A).sum(1).relu()),
        "the maps were not weighted": finish(A.sum(1).relu()),
        "each image was stretched by itself; the batch is stretched as a whole": finish(right.relu(), axes=(1, 2)),
        "the maps were not stretched to [0, 1]": finish(right.relu(), stretch=False),
    }
    return _compare(answers["maps"], finish(right.relu()), wrong, lambda a: a)


def tasks(skeleton):
    """List the tasks of the visualizers; `skeleton` is the folder of the handout."""

    def maps(module, class_, method, gradient, check, make, label=""):
        """A task: the course's script hands over images that require a `gradient`, or do not."""
        fixed = {"module": f"visualizers.{module}", "class": class_, "method": method, "gradient": gradient}
        return Task("maps", lambda rng: make(skeleton, rng) | fixed, (check,), f"{method} {label}")

    def wide(skeleton, rng):
        return images(skeleton, rng, (SIDE, SIDE + 40), 1)

    def relu_inputs(rng):
        return {key: rng.standard_normal((2, 3, 5, 4)).astype(np.float32) for key in ("x", "upstream")}

    of_saliency = functools.partial(saliency, skeleton)
    saliency_maps = ("saliency_map", "SaliencyMap", "compute_saliency_maps", False)
    return [
        maps(*saliency_maps, Check("saliency", "Saliency maps", 6, of_saliency), images),
        maps(*saliency_maps, Check("saliency", "Saliency maps: not square", 2, of_saliency), wide, "wide"),
        Task("custom_relu", relu_inputs, (Check("guided", "CustomReLU", 4, relu),)),
        maps(
            "gradcam", "GradCam", "guided_backprop", True,
            Check("guided", "Guided backprop", 6, functools.partial(guided, skeleton)), images,
        ),
        maps(
            "gradcam", "GradCam", "grad_cam", True,
            Check("gradcam", "Grad-CAM", 8, functools.partial(cam, skeleton)), images_with_two_signs,
        ),
        *ascent_tasks.tasks(skeleton),
        *captum_tasks.tasks(),
    ]  # fmt: skip
