"""The update rule, marked step by step.

The submission's `style_transfer` runs on a tiny linear network with losses of its own, sums of sqrt(1 + x^2). The
image is recorded at each evaluation of the losses, and the judge asks of every step: from the images so far, is
the next one right? So one wrong step costs its own points, not those of all that follow, and rounding cannot grow
into an error.
"""

import numpy as np

from course.autograder.judging import RIGHT, Verdict
from course.autograder.sandbox import explain_error
from course.autograder.tasks import Check, Task

STEPS, DECAY_AT, CLAMP_UNTIL = 200, 180, 190
RATE, DECAYED_RATE, BOUND = 3.0, 0.1, 1.5
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants
SIZE = 10
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
OFF = 5e-3  # of the rate: how far a pixel may lie from where it should
FEW = 0.01  # share of pixels that rounding may push over a kink


def inputs(rng):
    """Two small photographs, two 1 x 1 convolutions, weights of the losses."""
    return {
        "content": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "style": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "weight0": rng.standard_normal((4, 3)).astype(np.float32),
        "bias0": rng.standard_normal(4).astype(np.float32),
        "weight1": rng.standard_normal((5, 4)).astype(np.float32),
        "bias1": rng.standard_normal(5).astype(np.float32),
        "content_weight": float(rng.uniform(0.5, 1.5)),
        "style_weight": float(rng.uniform(50, 150)),
        "tv_weight": float(rng.uniform(0.1, 0.5)),
    }


def normalised(pixels):
    """uint8 (H, W, 3) -> float64 (3, H, W), as the network takes it."""
    return ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)


def gradient(given, x):
    """The gradient of the three losses at an image (3, H, W), by hand."""
    w0, w1 = given["weight0"].astype(np.float64), given["weight1"].astype(np.float64)
    through = w1 @ w0
    content, style = normalised(given["content"]), normalised(given["style"])
    difference = np.einsum("kc,chw->khw", through, x - content)
    of_content = given["content_weight"] * np.einsum("kc,khw->chw", through, slope(difference))
    difference = w0 @ (x.mean((1, 2)) - style.mean((1, 2)))
    of_style = given["style_weight"] * (w0.T @ slope(difference)) / x[0].size
    return of_content + of_style[:, None, None] + given["tv_weight"] * slope(x)


def slope(x):
    """The derivative of sqrt(1 + x^2)."""
    return x / np.sqrt(1 + x**2)


def adam(
    images, gradients, *, decay_at=DECAY_AT, fresh=True, every=False, late=0, times=1, accumulate=False, sign=1
):
    """The image that should follow each one.

    Args:
        images: list of images x_0 ... x_199, each what the losses were evaluated at.
        gradients: their gradients.
        decay_at: the step from which on the lower rate holds; None for never.
        fresh: a new Adam takes over there, and not the old one at another rate.
        every: a new Adam at each step from there on.
        late: how many steps old the gradient is.
        times: updates made with each gradient.
        accumulate: gradients are never cleared.
        sign: -1 climbs.
    """
    following, total = [], 0.0
    m = v = 0.0
    count, rate = 0, RATE
    for t, x in enumerate(images):
        if decay_at is not None and t >= decay_at and (every or t == decay_at):
            rate = DECAYED_RATE
            if fresh:
                m = v = 0.0
                count = 0
        if t < late:
            following.append(x)
            continue
        total = total + gradients[t - late] if accumulate else gradients[t - late]
        y = x
        for _ in range(times):
            count += 1
            m = BETA1 * m + (1 - BETA1) * total
            v = BETA2 * v + (1 - BETA2) * total**2
            step = m / (1 - BETA1**count) / (np.sqrt(v / (1 - BETA2**count)) + EPSILON)
            y = y - sign * rate * step
        following.append(y)
    return following


def descent(images, gradients):
    """Plain gradient descent with the two rates."""
    rates = [RATE if t < DECAY_AT else DECAYED_RATE for t in range(len(images))]
    return [x - rate * g for x, g, rate in zip(images, gradients, rates, strict=True)]


MISTAKES = {
    "the image is never updated": lambda x, g: x,
    "two updates with one gradient: step is called twice": lambda x, g: adam(x, g, times=2),
    "the gradients of earlier steps add up: call zero_grad before backward": lambda x, g: adam(
        x, g, accumulate=True
    ),
    "the image climbs: subtract the gradient, do not add it": lambda x, g: adam(x, g, sign=-1),
    "step comes before backward, so it uses the gradient of the step before": lambda x, g: adam(x, g, late=1),
    "this is plain gradient descent; use the Adam that is given": descent,
    "the rate falls one step too late": lambda x, g: adam(x, g, decay_at=DECAY_AT + 1),
    "the rate falls one step too early": lambda x, g: adam(x, g, decay_at=DECAY_AT - 1),
    "the rate never falls": lambda x, g: adam(x, g, decay_at=None),
    "a new optimizer is made in every step from 180 on (>= instead of ==)": lambda x, g: adam(x, g, every=True),
    "the rate was changed but the old Adam kept; make a new one": lambda x, g: adam(x, g, fresh=False),
}


def judge_steps(first, last):
    """Judge the updates from step `first` to before step `last`."""

    def judge(given, answers):
        trace, stopped = _trace(answers)
        there = min(last, len(trace) - 1)
        if there <= first:
            return Verdict(0.0, stopped)
        gradients = [gradient(given, x) for x in trace[:-1]]
        wrong = _wrong_steps(trace, adam(trace[:-1], gradients), first, there)
        if not wrong:
            return RIGHT if there == last else Verdict(0.0, stopped)
        message = "the steps do not follow from those before"
        for mistake, updates in MISTAKES.items():
            if not _wrong_steps(trace, updates(trace[:-1], gradients), first, there):
                message = mistake
                break
        return Verdict(0.0, f"{message} (step {wrong[0]} of 0 to {STEPS - 1} is the first wrong one)")

    return judge


def _trace(answers):
    """Return the images x_0 ... x_200, or those there are, as list of (3, H, W); and why there are no more."""
    images, result = answers.get("images"), answers.get("result")
    shape = (3, SIZE, SIZE)
    if not isinstance(images, np.ndarray) or images.ndim != 5 or images.shape[1:] != (1, *shape):
        return [], "the losses were not evaluated on images (1, 3, H, W)"
    trace = list(images[: STEPS + 1, 0].astype(np.float64))
    why = f"the losses were evaluated {len(images)} times; there are {STEPS} steps"
    if isinstance(result, np.ndarray) and result.shape == (1, *shape):
        trace[STEPS:] = [result[0].astype(np.float64)]
    elif "stopped" in answers:
        why = explain_error(answers["stopped"])
    else:
        why = "style_transfer(..., testing=True) must return the image, (1, 3, H, W)"
        trace = trace[:STEPS]
    finite = next((t for t, x in enumerate(trace) if not np.isfinite(x).all()), len(trace))
    return trace[:finite], why if finite == len(trace) else "the image is not finite"


def _wrong_steps(trace, following, first, last):
    """List the steps t whose next image is not the expected one."""
    wrong = []
    for t in range(first, last):
        expected = following[t]
        if t + 1 < CLAMP_UNTIL:
            expected = np.clip(expected, -BOUND, BOUND)
        rate = RATE if t < DECAY_AT else DECAYED_RATE
        if (np.abs(trace[t + 1] - expected) > OFF * rate).mean() > FEW:
            wrong.append(t)
    return wrong


def task():
    """The task of the update rule."""
    return Task(
        "update_rule",
        inputs,
        (
            Check("update", "Update rule: the first update", 1, judge_steps(0, 1)),
            Check("update", "Update rule: steps 1 to 179", 5, judge_steps(1, DECAY_AT)),
            Check("update", "Update rule: the lower rate from step 180 on", 4, judge_steps(DECAY_AT, STEPS)),
        ),
    )
