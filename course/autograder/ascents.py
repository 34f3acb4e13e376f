"""Fooling images and class visualizations, marked step by step on the real network.

What the network was shown tells the steps. Each must lie along the gradient at the image before it, and in the
class visualization along that of the penalty too; how far along tells the mistakes apart. Images shown besides, to
look at a score for example, are passed over.
"""

import itertools
from functools import partial

import numpy as np

from course.autograder import references as refs
from course.autograder.judging import RIGHT, Check, Task, Verdict, wrong

FEWEST, MOST = 6, 8  # steps that the fooling image takes
FAR = 10 * MOST + 50  # normalised pixels; a step is 10 long. Noise is some 270 away from a photograph
TIE = 1e-2  # score units; a lead this small may be rounding
BESIDE = 3  # images shown between one of the path and the next
ASTRAY = 0.2  # share of a step that may lie off the gradients: rounding can switch a unit that is nearly at zero
_about = partial(np.isclose, rtol=0.02, atol=0.0)
FOOLS = "Fooling image: fools"


def _path(images, directions, inside=lambda image: slice(None)):
    """Follow the steps from the first of some images, ndarrays (3, H, W), on.

    `directions` gives what a step from an image is made of, a list of ndarrays, and `inside` which of the pixels
    of the next were not clamped. Returns (steps, where): for each step the image it leaves, the directions and
    the coefficients along them; and the index of the last image that was reached.
    """
    steps, i = [], 0
    while i + 1 < len(images):
        basis = directions(images[i])
        for k in range(i + 1, min(i + 1 + BESIDE, len(images))):
            mask = inside(images[k])
            step = (images[k] - images[i])[mask].ravel().astype(np.float64)
            matrix = np.stack([b[mask].ravel() for b in basis], 1).astype(np.float64)
            coefficients = np.linalg.lstsq(matrix, step, rcond=None)[0]
            if np.linalg.norm(step - matrix @ coefficients) < ASTRAY * np.linalg.norm(step):
                steps.append((images[i], basis, coefficients))
                i = k
                break
        else:
            break
    return steps, i


def _size_mistake(size, along, rate):
    """Name what makes a step, of a length and a multiple of the gradient, another than rate * g / |g|, or ""."""
    if size < 0:
        return "the score falls: add the step, do not subtract it"
    if _about(size, rate):
        return ""
    if _about(size, 2 * rate):
        return "every step is taken twice"
    if _about(along, rate):
        return "the gradient is not divided by its norm"
    return f"the steps are {size:.3g}, not {rate:.3g} long: rate * g / |g| is wanted"


def _fooling_inputs(rng, endless=False):
    """A photograph, and a target that takes some steps to reach, but not many; or one that cannot be reached."""
    side = 40 if endless else 80
    while True:
        x = refs.images(rng, (side, side), 1)["X"]
        ranked = refs.scores(x)[0].argsort(descending=True).tolist()
        if endless:
            return {"X": x, "target": ranked[20], "other": ranked[0]}
        for target in rng.permutation(ranked[10:400])[:40].tolist():
            if FEWEST <= refs.fooling_steps(x[0], target, MOST + 1) <= MOST:
                return {"X": x, "target": target, "other": None}


def _fools(inputs, answers):
    image, X = answers["image"], inputs["X"]
    if image.shape != X.shape or not np.isfinite(image).all():
        return wrong("an image like X is wanted, all values finite")
    scores = refs.scores(image)[0]
    if np.linalg.norm(image - X) > FAR:
        if np.allclose(answers["images"][0], X[0], atol=1e-3) and len(answers["images"]) > 2 * MOST:
            return wrong("it does not stop when the network is fooled, and goes too far from X")
        return wrong("the image has nothing to do with X: start from X and take steps of length 10")
    if scores[inputs["target"]] < scores.max() - TIE:
        return wrong(f"the network sees class {int(scores.argmax())}, not the target {inputs['target']}")
    return RIGHT if answers["kept"] is True else Verdict(0.5, "X itself was changed; work on a copy")


def _recipe(inputs, answers):
    """Each image follows from the one before by the course's step, until the network is fooled."""
    target, seen = inputs["target"], list(answers["images"])
    if not np.array_equal(seen[-1], answers["image"][0]):
        seen.append(answers["image"][0])
    finite = list(itertools.takewhile(lambda x: np.isfinite(x).all(), seen))
    if not finite or np.linalg.norm(finite[0] - inputs["X"][0]) > 1e-3 * np.linalg.norm(inputs["X"]):
        return wrong("it does not start from X")
    if len(seen) == 1:
        return wrong("no step was taken")
    steps, where = _path(finite[: 3 * MOST], lambda x: [refs.score_gradient(x, target)])
    if not steps:
        return wrong("the steps do not lie along the gradient of the target's score")
    for _, (g,), (along,) in steps:
        if mistake := _size_mistake(along * np.linalg.norm(g), along, 10):
            return wrong(mistake)
    scores = refs.scores(np.stack([image for image, _, _ in steps] + [finite[where]]))
    best = scores[:-1].topk(2)
    if ((best.indices[:, 0] == target) & (best.values[:, 0] > best.values[:, 1] + TIE)).any():
        return wrong("it does not stop when the network is fooled")
    if len(finite) < len(seen):
        return wrong("the image is not finite")
    if scores[-1, target] < scores[-1].max() - TIE:
        return wrong("it stops before the network is fooled")
    return RIGHT if where > len(finite) - BESIDE else wrong("the steps leave the path of the gradient")


def _ends(inputs, answers):
    images = answers["images"]
    steps = len(images) - 1 + (not np.array_equal(images[-1], answers["image"][0]))
    if 98 <= steps <= 101:
        return RIGHT
    return wrong(f"where the target is out of reach it ends after {steps} steps; at most 100 are to be taken")


def _visualization_inputs(rng):
    """A class, and keywords under which every step can be followed: no jitter, no blur but at first.

    The class is one that the network sees in noise: where a score is zero it has no gradient.
    """
    keywords = {"l2_reg": float(rng.uniform(0.02, 0.06)), "learning_rate": float(rng.uniform(5, 15))}
    keywords |= {"num_iterations": 6, "blur_every": 1000, "max_jitter": 0, "show_every": 1000}
    noise = rng.standard_normal((1, 3, 224, 224)).astype(np.float32)
    ranked = refs.scores(noise)[0].argsort(descending=True)
    return {"target": int(ranked[rng.integers(0, 20)]), "keywords": keywords}


def _visualizes(penalty, inputs, answers):
    """Judge the steps of a class visualization: how they climb, or the part of the L2 penalty in them."""
    images, n = answers["images"], inputs["keywords"]["num_iterations"]
    if images.shape[1:] != (3, 224, 224) or len(images) < n:
        return wrong(f"the network was not shown {n} images (1, 3, 224, 224)")
    low, high = (0 - refs.MEAN) / refs.STD, (1 - refs.MEAN) / refs.STD
    l2, rate = inputs["keywords"]["l2_reg"], inputs["keywords"]["learning_rate"]

    def directions(x):
        return [refs.score_gradient(x, inputs["target"]), x]

    def inside(x):
        return (x > low + 1e-4) & (x < high - 1e-4)

    # The first image is blurred before it is shown again; behind it comes one that was stepped to.
    paths = (_path(list(images[start : start + 2 * n]), directions, inside)[0] for start in range(1, 1 + BESIDE))
    steps = next((path[: n - 2] for path in paths if len(path) >= n - 2), None)
    if steps is None:
        return wrong("the steps are not learning_rate * g / |g| with g of score - l2_reg * sum of squares")
    for image, (g, _), (along, pull) in steps:
        whole, climb = np.sign(along) * np.linalg.norm(along * g + pull * image), along * np.linalg.norm(g)
        factor = -pull / along / (2 * l2)
        if penalty and not _about(factor, 1, rtol=0.1):
            if abs(factor) < 0.1:
                return wrong(
                    "the L2 penalty has no gradient, or next to none: is it part of what is differentiated, as a "
                    "Tensor, and the sum of squares rather than the norm?"
                )
            if factor < 0:
                return wrong("the L2 penalty has the wrong sign: it is subtracted from the score")
            return wrong(f"the L2 penalty is {factor:.2g} times what it should be: l2_reg * sum of squares")
        # Someone may normalise the score's gradient alone, and subtract the penalty apart from it.
        if not _about(climb, rate) and (mistake := _size_mistake(whole, along, rate)):
            return wrong(mistake)
    return RIGHT


def tasks():
    """List the tasks of what climbs a score."""
    return [
        Task("fooling", _fooling_inputs, (
            Check("fooling", FOOLS, 3, _fools),
            Check("fooling", "Fooling image: the course's steps", 3, _recipe),
        )),
        Task("fooling", partial(_fooling_inputs, endless=True), (
            Check("fooling", "Fooling image: at most 100 steps", 1, _ends, FOOLS),
        ), "endless"),
        Task("class_visualization", _visualization_inputs, (
            Check("classvis", "Class visualization: steps uphill", 5, partial(_visualizes, False)),
            Check("classvis", "Class visualization: L2 penalty", 3, partial(_visualizes, True)),
        )),
    ]  # fmt: skip
