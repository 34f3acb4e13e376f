"""Saliency maps, guided backprop and Grad-CAM, marked on the real network."""

import numpy as np
import torch
from PIL import Image

from course.autograder import ascent_tasks, captum_tasks
from course.autograder import technique_references as refs
from course.autograder.judging import Verdict, close, compare
from course.autograder.tasks import Check, Task

SIDE = 112  # pixels; large enough for the network, small enough for half a core
OTHER_SCORE = (
    "of another score: is it the score of class y, before the softmax, and not the loss or the top class?"
)


def photographs(rng, shape, n):
    """Cut n random pieces out of the sample photographs: uint8 (n, H, W, 3)."""
    from data.samples import load_sample_photographs

    X = load_sample_photographs()[0]
    height, width = shape
    pieces = []
    for i in rng.choice(len(X), n, replace=False):
        top, left = rng.integers(0, X.shape[1] - height + 1), rng.integers(0, X.shape[2] - width + 1)
        pieces.append(X[i, top : top + height, left : left + width])
    return np.stack(pieces)


def normalised(X):
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W), as the network takes it."""
    return ((X.transpose(0, 3, 1, 2) / np.float32(255) - refs.MEAN) / refs.STD).astype(np.float32)


class Judge:
    """Inputs and judgements on one network."""

    def __init__(self, skeleton):
        self.skeleton = skeleton

    @property
    def model(self):
        """The network, loaded when first needed."""
        return refs.network(self.skeleton)

    def pixels(self, rng, shape=(SIDE, SIDE), n=2):
        """Photographs, uint8, and for each a class that is among its better ones but not the best."""
        X = photographs(rng, shape, n)
        with torch.no_grad():
            ranked = self.model(torch.from_numpy(normalised(X))).argsort(1, descending=True)
        return {"X": X, "y": np.array([int(row[rng.integers(1, 6)]) for row in ranked], dtype=np.int64)}

    def images(self, rng, shape=(SIDE, SIDE), n=2):
        """The same, as the network takes them."""
        given = self.pixels(rng, shape, n)
        return given | {"X": normalised(given["X"])}

    def images_with_two_signs(self, rng, shape=(SIDE, SIDE), n=2):
        """The same, each with a class that parts of the image speak for and others against; and a lower bias.

        The embedded network's last ReLU passes everything, so the gradient is the same at all places and Grad-CAM
        would be right without its mean. With a lower bias of the last convolution it is not.
        """
        given = self.images(rng, shape, n)
        x, classes = torch.from_numpy(given["X"]), self.model.classifier
        reached = []
        for i in range(n):
            with torch.no_grad():
                maps = classes[:2](self.model.features(x[i : i + 1]))[0]  # before the last ReLU
            for label in rng.permutation(len(maps))[:100]:
                A, dA = refs.layer_maps(self.model, x[i : i + 1], torch.tensor([int(label)]), refs.LAYER)
                cam = (dA.mean((2, 3), keepdim=True) * A).sum(1)[0]
                if (cam > 0).sum() > 5 and (cam < -0.1 * cam.max()).float().mean() > 0.1:
                    break
            given["y"][i] = label
            reached.append(maps[label][cam > 0])
        # Some places that speak for the class fall silent. In the widest gap, so that rounding switches none.
        ceiling = min(r.quantile(0.8) for r in reached)
        values = torch.cat(reached).sort().values
        values = values[values <= ceiling]
        values = values[len(values) // 3 :]
        widest = int(values.diff().argmax())
        return given | {"lowered": float(values[widest : widest + 2].mean())}

    def tensors(self, inputs):
        """Images, normalised, and labels of a task's inputs."""
        X = inputs["X"]
        return torch.from_numpy(normalised(X) if X.dtype == np.uint8 else X), torch.from_numpy(inputs["y"])

    # saliency maps

    def saliency(self, inputs, answers):
        """Maximum of |d score_y / d pixel| over channels."""
        x, y = self.tensors(inputs)
        g = refs.input_gradient(self.model, x, y)
        best = self.model(x).argmax(1)

        def log_probability(scores, y):
            return torch.log_softmax(scores, 1).gather(1, y[:, None]).sum()

        wrong = {
            "the mean over channels was taken; the maximum is wanted": g.abs().mean(1),
            "the sum over channels was taken; the maximum is wanted": g.abs().sum(1),
            "the magnitude is missing: take abs before the maximum": g.amax(1),
            "take abs before the maximum, not after it": g.amax(1).abs(),
            "all channels were returned; take their maximum": g.abs(),
            "the score of the network's own best class was explained, not that of class y": refs.input_gradient(
                self.model, x, best
            )
            .abs()
            .amax(1),
            "the sum of all scores was explained, not that of class y": refs.input_gradient(
                self.model, x, y, lambda scores, y: scores.sum()
            )
            .abs()
            .amax(1),
            "the loss was explained; the class score before the softmax is wanted": refs.input_gradient(
                self.model, x, y, log_probability
            )
            .abs()
            .amax(1),
            "the mean of the scores was differentiated; their sum keeps each image's own gradient": g.abs().amax(1)
            / 2,
        }
        return compare(answers.get("maps"), g.abs().amax(1), wrong)

    # guided backprop

    def relu(self, inputs, answers):
        """CustomReLU.backward."""
        x, g = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["upstream"])
        if not close(answers.get("value"), x.relu()):
            return Verdict(0.0, "the forward pass is not max(x, 0)")
        wrong = {
            "this is the plain derivative: signals must be positive too": refs.relu_backward(x, g, "plain"),
            "this is the rule of the deconvolution network: inputs must be positive too": refs.relu_backward(
                x, g, "deconvnet"
            ),
            "the magnitude is not wanted: negative signals are stopped": refs.relu_backward(x, g, "plain").abs(),
            "the signal itself must pass, not 1": refs.relu_backward(x, g, "guided").sign(),
            "everything passes": g,
        }
        return compare(answers.get("gradient"), refs.relu_backward(x, g, "guided"), wrong)

    def guided(self, inputs, answers):
        """Guided backpropagation, channels last."""
        x, y = self.tensors(inputs)

        def by(rule):
            return refs.input_gradient(refs.network_with_rule(self.skeleton, rule), x, y)

        right = by("guided")
        wrong = {
            "channels must come last: (N, H, W, 3)": right,
            "this is the plain gradient: the ReLUs do not follow CustomReLU": by("plain").permute(0, 2, 3, 1),
            "this is the deconvolution network's rule, not the guided one": by("deconvnet").permute(0, 2, 3, 1),
            "the magnitude is not wanted": right.abs().permute(0, 2, 3, 1),
        }
        return compare(answers.get("maps"), right.permute(0, 2, 3, 1), wrong)

    # Grad-CAM

    def cam(self, inputs, answers):
        """Grad-CAM in the images' size, stretched over the batch."""
        x, y = self.tensors(inputs)
        A, dA = refs.layer_maps(refs.lowered(self.model, inputs["lowered"]), x, y, refs.LAYER)
        height, width = x.shape[2:]

        def finish(cams, size=(width, height), stretch=True, each=False):
            cams = np.stack([np.array(Image.fromarray(c).resize(size, Image.BICUBIC)) for c in cams.numpy()])
            if not stretch:
                return cams
            axes = (1, 2) if each else None
            low, high = cams.min(axes, keepdims=True), cams.max(axes, keepdims=True)
            return (cams - low) / (high - low)

        alpha = dA.mean((2, 3), keepdim=True)
        cam = (alpha * A).sum(1)
        wrong = {
            "the ReLU is missing: what speaks against the class must become 0": finish(cam),
            "the ReLU belongs after the sum over channels": finish((alpha * A).relu().sum(1)),
            "the magnitude is not wanted: a ReLU is": finish(cam.abs()),
            "the weights are means over the places (H, W), not over the channels": finish(
                (dA.mean(1, keepdim=True) * A).sum(1).relu()
            ),
            "the gradients must be averaged before they weight the maps": finish((dA * A).sum(1).relu()),
            "the maps were not weighted": finish(A.sum(1).relu()),
            "each image was stretched by itself; the batch is stretched as a whole": finish(cam.relu(), each=True),
            "the maps were not stretched to [0, 1]": finish(cam.relu(), stretch=False),
        }
        if height != width:
            flipped = finish(cam.relu(), size=(height, width))
            wrong["Pillow counts the width first: (W, H), not (H, W)"] = flipped
        return compare(answers.get("maps"), finish(cam.relu()), wrong)

    def product(self, inputs, answers):
        """Guided Grad-CAM."""
        return compare(answers.get("maps"), inputs["details"] * inputs["cam"][..., None], {})


def tasks(skeleton):
    """List the tasks of the visualizers; `skeleton` is the folder of the handout."""
    judge = Judge(skeleton)

    def wide(rng):
        return judge.images(rng, (SIDE, SIDE + 40), 1)

    def wide_with_two_signs(rng):
        return judge.images_with_two_signs(rng, (SIDE, SIDE + 40), 1)

    def relu_inputs(rng):
        return {key: rng.standard_normal((2, 3, 5, 4)).astype(np.float32) for key in ("x", "upstream")}

    def factors(rng):
        given = judge.images(rng, n=1)
        details = rng.standard_normal((1, SIDE, SIDE, 3)).astype(np.float32)
        return {**given, "details": details, "cam": rng.random((1, SIDE, SIDE)).astype(np.float32)}

    return [
        Task("saliency", judge.images, (Check("saliency", "Saliency maps", 6, judge.saliency),)),
        Task("saliency", wide, (Check("saliency", "Saliency maps: not square", 2, judge.saliency),), label="wide"),
        Task("custom_relu", relu_inputs, (Check("guided", "CustomReLU", 4, judge.relu),)),
        Task("guided_backprop", judge.images, (Check("guided", "Guided backprop", 6, judge.guided),)),
        Task("grad_cam", judge.images_with_two_signs, (Check("gradcam", "Grad-CAM", 6, judge.cam),)),
        Task(
            "grad_cam",
            wide_with_two_signs,
            (Check("gradcam", "Grad-CAM: not square", 2, judge.cam),),
            label="wide",
        ),
        Task("guided_grad_cam", factors, (Check("gradcam", "Guided Grad-CAM: product", 1, judge.product),)),
        *ascent_tasks.tasks(judge),
        *captum_tasks.tasks(judge),
    ]
