"""The update rule, marked step by step.

The submission's `style_transfer` runs on a tiny linear network, with sums of sqrt(1 + x^2) for losses. The image
is recorded whenever their gradient is asked for, and the judge asks of every step: from the images so far, is the
next one right? So one wrong step costs its own points, not those of all that follow, and rounding cannot grow into
an error.
"""

from functools import partial

import numpy as np

from course.autograder.judging import RIGHT, Check, Task, wrong

STEPS, DECAY_AT, CLAMP_UNTIL = 200, 180, 190
RATE, DECAYED_RATE, BOUND = 3.0, 0.1, 1.5
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants
SIZE = 10
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
OFF = 5e-3  # of the rate: how far a pixel may lie from where it should
FEW = 0.01  # share of pixels that rounding may push over a kink


def inputs(rng):
    """Two small photographs, two 1 x 1 convolutions, weights of the three losses."""
    return {
        "convolutions": [[rng.standard_normal(s), rng.standard_normal(s[0])] for s in ((4, 3), (5, 4))],
        "content": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "style": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "weights": [float(rng.uniform(low, high)) for low, high in ((0.5, 1.5), (50, 150), (0.1, 0.5))],
    }


def gradient(given, x):
    """The gradient of the three losses at an image (3, H, W), by hand."""
    (w0, _), (w1, _) = given["convolutions"]
    content, style = (((given[k] / 255 - MEAN) / STD).transpose(2, 0, 1) for k in ("content", "style"))
    of_content, of_style, of_tv = given["weights"]
    through = w1 @ w0
    content = np.einsum("kc,khw->chw", through, _slope(np.einsum("kc,chw->khw", through, x - content)))
    style = w0.T @ _slope(w0 @ (x.mean((1, 2)) - style.mean((1, 2)))) / x[0].size
    return of_content * content + of_style * style[:, None, None] + of_tv * _slope(x)


def _slope(x):
    """The derivative of sqrt(1 + x^2)."""
    return x / np.sqrt(1 + x**2)


def adam(images, gradients, *, decay_at=DECAY_AT, fresh=True, every=False, times=1):
    """The image that should follow each one, from the gradients there; no update is made with None.

    From step `decay_at` on the lower rate holds, by a new Adam if `fresh`, by one in each step if `every`. Each
    gradient is used a number of `times`.
    """
    following, rate, count, m, v = [], RATE, 0, 0.0, 0.0
    for t, (x, g) in enumerate(zip(images, gradients, strict=True)):
        if t == decay_at or (every and t > decay_at):
            rate = DECAYED_RATE
            if fresh:
                count, m, v = 0, 0.0, 0.0
        for _ in range(0 if g is None else times):
            count += 1
            m = BETA1 * m + (1 - BETA1) * g
            v = BETA2 * v + (1 - BETA2) * g**2
            x = x - rate * m / (1 - BETA1**count) / (np.sqrt(v / (1 - BETA2**count)) + EPSILON)
        following.append(x)
    return following


def descent(images, gradients):
    """Plain gradient descent with the two rates."""
    rates = [RATE] * DECAY_AT + [DECAYED_RATE] * (STEPS - DECAY_AT)
    return [x - rate * g for x, rate, g in zip(images, rates, gradients, strict=False)]


# The sheet leaves open whether the rate falls before or after step 180's update, and in a new Adam or the old.
ACCEPTED = [partial(adam, decay_at=DECAY_AT + late, fresh=fresh) for late in (0, 1) for fresh in (True, False)]
MISTAKES = {
    "the image climbs: subtract the gradient, do not add it": lambda x, g: adam(x, np.negative(g)),
    "the image is never updated": lambda x, g: x,  # nor is it where it climbed to the end of the range
    "two updates with one gradient: step is called twice": partial(adam, times=2),
    "the gradients of earlier steps add up: call zero_grad before backward": lambda x, g: adam(x, np.cumsum(g, 0)),
    "step comes before backward, so it uses the gradient of the step before": lambda x, g: adam(
        x, [None, *g[:-1]]
    ),
    "this is plain gradient descent; use the Adam that is given": descent,
    "the rate falls too late": partial(adam, decay_at=DECAY_AT + 2),
    "the rate falls one step too early": partial(adam, decay_at=DECAY_AT - 1),
    "the rate never falls": partial(adam, decay_at=STEPS),
    "a new optimizer is made in every step from 180 on (>= instead of ==)": partial(adam, every=True),
}


def judge_steps(first, last, given, answers):
    """Judge the updates from step `first` to before step `last`."""
    trace, stopped = _trace(answers)
    there = min(last, len(trace) - 1)
    if there <= first:
        return wrong(stopped or "the image is never updated")
    gradients = [gradient(given, x) for x in trace[:-1]]

    def wrong_steps(rule):
        return _wrong_steps(trace, rule(trace[:-1], gradients), first, there)

    fewest = min((wrong_steps(rule) for rule in ACCEPTED), key=len)
    if not fewest:
        return RIGHT if there == last or last == STEPS == len(trace) else wrong(stopped)
    named = (mistake for mistake, rule in MISTAKES.items() if not wrong_steps(rule))
    message = next(named, "the steps do not follow from those before")
    return wrong(f"{message} (step {fewest[0]} of 0 to {STEPS - 1} is the first wrong one)")


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
        why = str(answers["stopped"])
    elif len(trace) != STEPS:
        why = f"gradients of the losses were asked for {len(trace)} times; there are {STEPS} steps"
    elif result is not None and result.shape == (1, *shape):
        trace.append(result[0].astype(np.float64))
    trace = trace[: STEPS + 1]
    finite = next((t for t, x in enumerate(trace) if not np.isfinite(x).all()), len(trace))
    return trace[:finite], why if finite == len(trace) else "the image is not finite"


def _wrong_steps(trace, following, first, last):
    """List the steps t whose next image is not the expected one."""
    found = []
    for t in range(first, last):
        expected = np.clip(following[t], -BOUND, BOUND) if t + 1 < CLAMP_UNTIL else following[t]
        rate = RATE if t < DECAY_AT else DECAYED_RATE
        if (np.abs(trace[t + 1] - expected) > OFF * rate).mean() > FEW:
            found.append(t)
    return found


def task():
    """The task of the update rule."""
    checks = (
        Check("update", "Update rule: the first update", 1, partial(judge_steps, 0, 1)),
        Check("update", "Update rule: steps 1 to 179", 5, partial(judge_steps, 1, DECAY_AT)),
        Check("update", "Update rule: the lower rate from step 180 on", 4, partial(judge_steps, DECAY_AT, STEPS)),
    )
    return Task("update", inputs, checks)
