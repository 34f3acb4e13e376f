"""The update rule, marked step by step.

The submission's `style_transfer` runs on a tiny linear network, with sums of sqrt(1 + x^2) for losses. The image
is recorded whenever their gradient is asked for, and the judge asks of every step: from the images so far, is the
next one right? So one wrong step costs its own points, not those of all that follow, and rounding cannot grow into
an error.
"""

import numpy as np

from course.autograder.judging import RIGHT, Check, Task, wrong
from course.autograder.sandbox import explain_error

STEPS, DECAY_AT, CLAMP_UNTIL = 200, 180, 190
RATE, DECAYED_RATE, BOUND = 3.0, 0.1, 1.5
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants
SIZE = 10
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
OFF = 5e-3  # of the rate: how far a pixel may lie from where it should
FEW = 0.01  # share of pixels that rounding may push over a kink


def inputs(rng):
    """Two small photographs, two 1 x 1 convolutions, weights of the three losses."""
    shapes = ((4, 3), (5, 4))
    convolutions = [[rng.standard_normal(s).astype(np.float32), rng.standard_normal(s[0])] for s in shapes]
    return {
        "content": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "style": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "convolutions": [[weight, bias.astype(np.float32)] for weight, bias in convolutions],
        "weights": [float(rng.uniform(low, high)) for low, high in ((0.5, 1.5), (50, 150), (0.1, 0.5))],
    }


def gradient(given, x):
    """The gradient of the three losses at an image (3, H, W), by hand."""
    w0, w1 = (weight.astype(np.float64) for weight, _ in given["convolutions"])
    content, style = (((given[k] / 255 - MEAN) / STD).transpose(2, 0, 1) for k in ("content", "style"))
    of_content, of_style, of_tv = given["weights"]
    through = w1 @ w0
    content = np.einsum("kc,khw->chw", through, _slope(np.einsum("kc,chw->khw", through, x - content)))
    style = w0.T @ _slope(w0 @ (x.mean((1, 2)) - style.mean((1, 2)))) / x[0].size
    return of_content * content + of_style * style[:, None, None] + of_tv * _slope(x)


def _slope(x):
    """The derivative of sqrt(1 + x^2)."""
    return x / np.sqrt(1 + x**2)


def adam(images, gradients, *, decay_at=DECAY_AT, fresh=True, every=False, late=0, times=1, add_up=False, sign=1):
    """The image that should follow each one.

    Args:
        images: list of images x_0 ... x_199, each what the losses were evaluated at.
        gradients: their gradients.
        decay_at: the step from which on the lower rate holds; None for never.
        fresh: a new Adam takes over there, and not the old one at another rate.
        every: a new Adam at each step from there on.
        late: how many steps old the gradient is.
        times: updates made with each gradient.
        add_up: gradients are never cleared.
        sign: -1 climbs.
    """
    following, total = [], 0.0
    m = v = 0.0
    count, rate = 0, RATE
    for t, y in enumerate(images):
        if decay_at is not None and t >= decay_at and (every or t == decay_at):
            rate = DECAYED_RATE
            if fresh:
                m = v = 0.0
                count = 0
        if t >= late:
            total = total + gradients[t - late] if add_up else gradients[t - late]
            for _ in range(times):
                count += 1
                m = BETA1 * m + (1 - BETA1) * total
                v = BETA2 * v + (1 - BETA2) * total**2
                y = y - sign * rate * m / (1 - BETA1**count) / (np.sqrt(v / (1 - BETA2**count)) + EPSILON)
        following.append(y)
    return following


def descent(images, gradients):
    """Plain gradient descent with the two rates."""
    rates = [RATE if t < DECAY_AT else DECAYED_RATE for t in range(len(images))]
    return [x - rate * g for x, g, rate in zip(images, gradients, rates, strict=True)]


# The sheet leaves open whether the rate falls before or after step 180's update, and in a new Adam or the old.
ACCEPTED = [{"decay_at": DECAY_AT + late, "fresh": fresh} for late in (0, 1) for fresh in (True, False)]
MISTAKES = {
    "the image is never updated": lambda x, g: x,
    "two updates with one gradient: step is called twice": {"times": 2},
    "the gradients of earlier steps add up: call zero_grad before backward": {"add_up": True},
    "the image climbs: subtract the gradient, do not add it": {"sign": -1},
    "step comes before backward, so it uses the gradient of the step before": {"late": 1},
    "this is plain gradient descent; use the Adam that is given": descent,
    "the rate falls too late": {"decay_at": DECAY_AT + 2},
    "the rate falls one step too early": {"decay_at": DECAY_AT - 1},
    "the rate never falls": {"decay_at": None},
    "a new optimizer is made in every step from 180 on (>= instead of ==)": {"every": True},
}


def judge_steps(first, last):
    """Judge the updates from step `first` to before step `last`."""

    def judge(given, answers):
        trace, stopped = _trace(answers)
        there = min(last, len(trace) - 1)
        complete = there == last or (last == STEPS == len(trace))
        if there <= first:
            return wrong(stopped or "the image is never updated")
        gradients = [gradient(given, x) for x in trace[:-1]]

        def wrong_steps(rule):
            following = rule(trace[:-1], gradients) if callable(rule) else adam(trace[:-1], gradients, **rule)
            return _wrong_steps(trace, following, first, there)

        fewest = min((wrong_steps(rule) for rule in ACCEPTED), key=len)
        if not fewest:
            return RIGHT if complete else wrong(stopped)
        named = (mistake for mistake, rule in MISTAKES.items() if not wrong_steps(rule))
        message = next(named, "the steps do not follow from those before")
        return wrong(f"{message} (step {fewest[0]} of 0 to {STEPS - 1} is the first wrong one)")

    return judge


def _trace(answers):
    """Return the images x_0 ... x_200, or those there are, as list of (3, H, W); and why there are no more.

    A skeleton without `testing` does not return the last one; then 200 images are all there can be.
    """
    images, result, shape = answers["images"], answers["result"], (3, SIZE, SIZE)
    if images is None:
        return [], "the gradient of the losses was never asked for: backward()?"
    if images.shape[1:] != (1, *shape):
        return [], "the losses were not evaluated on images (1, 3, H, W)"
    trace = list(images[:, 0].astype(np.float64))
    if len(trace) > STEPS:  # a step that asks twice, in a closure for example
        trace = [x for t, x in enumerate(trace) if t == 0 or not np.array_equal(x, trace[t - 1])]
    why = ""
    if answers["stopped"] is not None:
        why = explain_error(answers["stopped"])
    elif len(trace) != STEPS:
        why = f"gradients of the losses were asked for {len(trace)} times; there are {STEPS} steps"
    elif result is not None and result.shape == (1, *shape):
        trace.append(result[0].astype(np.float64))
    trace = trace[: STEPS + 1]
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
        "update",
        inputs,
        (
            Check("update", "Update rule: the first update", 1, judge_steps(0, 1)),
            Check("update", "Update rule: steps 1 to 179", 5, judge_steps(1, DECAY_AT)),
            Check("update", "Update rule: the lower rate from step 180 on", 4, judge_steps(DECAY_AT, STEPS)),
        ),
    )
