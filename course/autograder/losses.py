"""The losses and the Gram matrix, marked.

References are the definitions in NumPy and double precision, gradients their central differences; nothing is
shared with the solution. Inputs are drawn anew for each run, so that no answer can be prepared.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course.autograder.judging import (
    RIGHT,
    Check,
    Task,
    close,
    derivative,
    judge_gradients,
    judge_values,
    wrong,
)  # fmt: skip
from course.collect.checks import NO_LOOPS

OFF_BY_WEIGHT = "off by the weight: the loss must be multiplied by it, once"
ROOT_TAKEN = "the root was taken; the loss is the sum of squares itself"


def _normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def _weight(rng):
    return float(rng.uniform(0.1, 1.7))


def _content_inputs(rng):
    shapes = ((1, 4, 5, 7), (3, 3, 6, 4), (1, 6, 3, 3))
    return [{"current": _normal(rng, *s), "original": _normal(rng, *s), "weight": _weight(rng)} for s in shapes]


def _content(case):
    """W * sum (F - P)^2."""
    return case["weight"] * ((case["current"] - case["original"]) ** 2).sum()


def _content_mistakes(case):
    w, d, value = case["weight"], case["current"] - case["original"], _content(case)
    return {
        OFF_BY_WEIGHT: [(d**2).sum(), w * value],
        "the mean was taken; the loss is the sum over all features": [w * (d**2).mean()],
        "a factor 1/2 too many: the weight stands in its place": [value / 2],
        "divided by the number of images; the loss is the sum over all features": [value / len(d)],
        "the differences must be squared": [w * np.abs(d).sum(), w * d.sum()],
        ROOT_TAKEN: [w * np.sqrt((d**2).sum())],
        "square each difference, then add up; not the other way round": [w * d.sum() ** 2],
    }


def _gram_inputs(rng):
    settings = (((1, 4, 5, 6), None), ((1, 3, 4, 7), True), ((1, 5, 4, 3), False), ((2, 4, 3, 5), True))
    return [
        {"features": _normal(rng, *s), "normalize": flag, "upstream": _normal(rng, s[0], s[1], s[1])}
        for s, flag in settings
    ]


def _gram(x):
    flat = x.reshape(*x.shape[:2], -1)
    return flat @ flat.transpose(0, 2, 1) / x[0].size


def _gram_of_case(case):
    """G = F F^T for each image, divided by C*H*W unless told otherwise."""
    x = case["features"]
    return _gram(x) * (x[0].size if case["normalize"] is False else 1)


def _gram_mistakes(case):
    x, (n, c, h, w) = case["features"], case["features"].shape
    flat, right = x.reshape(n, c, h * w), _gram_of_case(case)
    raw, size = flat @ flat.transpose(0, 2, 1), 1 if case["normalize"] is False else c * h * w
    places, mixed = flat.transpose(0, 2, 1) @ flat, x.reshape(n, h * w, c)
    return {
        "transposed: places with places, (H*W, H*W); channels with channels are wanted": [places, places / size],
        "normalised although normalize=False": [raw / (c * h * w)],
        "not normalised: divide by C*H*W": [raw],
        "normalised by H*W only; divide by C*H*W": [raw / (h * w)],
        "normalised by C only; divide by C*H*W": [raw / c],
        "normalised by the batch size too; divide by C*H*W": [raw / (n * c * h * w)],
        "reshaped in the wrong order: (N, C, H*W) keeps each channel together": [
            mixed.transpose(0, 2, 1) @ mixed / size
        ],
        "the images of the batch were added up; each has its own matrix": [
            np.broadcast_to(raw.sum(0), raw.shape) / size
        ],
        "only the first image's matrix was returned": [right[:1]],
        "the batch dimension is missing: (N, C, C) is wanted, also for one image": [right[0]],
        "the mean over all features is not this matrix": [np.full_like(raw, (x**2).mean())],
    }


def _outer(x):
    """What stands in for the Gram matrix while the style loss is marked."""
    means = x.mean((2, 3))
    return means[:, :, None] * means[:, None, :]


def _style_inputs(rng, *, stand_in, images=1, layers=([2, 0], [1], [0, 1, 3])):
    shapes, cases = [(images, 3, 6, 5), (images, 4, 4, 6), (images, 3, 5, 3), (images, 5, 3, 4)], []
    for chosen in layers:
        gram = _outer if stand_in else _gram
        targets = [gram(_normal(rng, *shapes[i]).astype(np.float64)).astype(np.float32) for i in chosen]
        weights = [float(w) for w in rng.uniform(50, 500, len(chosen))]
        case = {"features": [_normal(rng, *shape) for shape in shapes], "targets": targets, "layers": chosen}
        cases.append(case | {"weights": weights, "stand_in": stand_in})
    return cases


def _style(case):
    """sum_l w_l * sum (G_l - A_l)^2."""
    return sum(w * (d**2).sum() for w, d in zip(case["weights"], _style_differences(case), strict=True))


def _style_differences(case, layers=None, gram=None):
    gram = gram or (_outer if case["stand_in"] else _gram)
    pairs = zip(layers or case["layers"], case["targets"], strict=True)
    return [gram(case["features"][i]) - target for i, target in pairs]


def _style_mistakes(case):
    weights, layers, d = case["weights"], case["layers"], _style_differences(case)
    sums, gram = [(x**2).sum() for x in d], _outer if case["stand_in"] else _gram
    terms = [w * s for w, s in zip(weights, sums, strict=True)]

    def weighted(of, differences=d):
        return sum(w * of(x) for w, x in zip(weights, differences, strict=True))

    def squares(x):
        return (x**2).sum()

    found = {
        "off by the weights: each layer's term must be multiplied by its own": [sum(sums)],
        "each layer must have its own weight": [weights[0] * sum(sums), weights[-1] * sum(sums)],
        "the weight belongs outside the square": [sum(w * t for w, t in zip(weights, terms, strict=True))],
        "the mean was taken; each term is a sum over the matrix": [weighted(lambda x: (x**2).mean())],
        "the sum was divided by the number of layers": [sum(terms) / len(terms)],
        "only the last layer counts: the sum is overwritten in the loop": [terms[-1]],
        "only the first layer counts: does the loop return too early?": [terms[0]],
        "only the first image counts": [weighted(lambda x: squares(x[0]))],
        "the differences must be squared": [weighted(lambda x: np.abs(x).sum()), weighted(np.sum)],
        ROOT_TAKEN: [weighted(np.linalg.norm), np.sqrt(sum(terms))],
        "the Gram matrix is not normalised here": [
            weighted(squares, _style_differences(case, gram=lambda x: gram(x) * x[0].size))
        ],
    }
    if all(case["features"][i].shape[1] == case["features"][k].shape[1] for i, k in enumerate(layers)):
        message = "style_layers are indices into feats: feats[style_layers[i]], not feats[i]"
        found[message] = [weighted(squares, _style_differences(case, range(len(layers))))]
    return found


def _tv_inputs(rng):
    shapes = ((1, 3, 6, 9), (1, 3, 13, 5), (1, 3, 12, 14))
    return [{"img": _normal(rng, *shape), "weight": _weight(rng)} for shape in shapes]


def _tv(case):
    """W * (squared differences to the right + squared differences downwards)."""
    return case["weight"] * sum((np.diff(case["img"], axis=axis) ** 2).sum() for axis in (2, 3))


def _tv_mistakes(case):
    w, x = case["weight"], case["img"]
    right, down = np.diff(x, axis=3), np.diff(x, axis=2)
    a, b = (right**2).sum(), (down**2).sum()
    inner = right[:, :, :-1] ** 2 + down[..., :-1] ** 2
    return {
        OFF_BY_WEIGHT: [a + b, w * w * (a + b)],
        "only neighbours to the right are compared; those below are missing": [w * a],
        "only neighbours below are compared; those to the right are missing": [w * b],
        "the differences must be squared, not made absolute": [w * (np.abs(right).sum() + np.abs(down).sum())],
        "the mean was taken; the loss is a sum": [
            w * ((right**2).mean() + (down**2).mean()),
            w * (a + b) / x.size,
        ],
        "the image wraps around: roll compares the first row with the last": [
            w * sum(((np.roll(x, 1, axis) - x) ** 2).sum() for axis in (2, 3))
        ],
        "one row or column is left out: slice only the axis of the difference": [w * inner.sum()],
        ROOT_TAKEN: [w * np.sqrt(inner).sum(), w * np.sqrt(a + b)],
        "a factor 1/2 too many": [w * (a + b) / 2],
        "only the first channel counts": [w * ((right[:, 0] ** 2).sum() + (down[:, 0] ** 2).sum())],
    }


class Loss(NamedTuple):
    """A loss, marked: drawn inputs, its definition, what likely mistakes give, and what it has a gradient by."""

    inputs: Callable
    value: Callable
    mistakes: Callable
    leaf: str


CONTENT = Loss(_content_inputs, _content, _content_mistakes, "current")
GRAM = Loss(_gram_inputs, _gram_of_case, _gram_mistakes, "features")
STYLE = Loss(_style_inputs, _style, _style_mistakes, "features")
TV = Loss(_tv_inputs, _tv, _tv_mistakes, "img")


def _double(case):
    """Single-precision arrays as double ones."""
    if isinstance(case, dict):
        return {key: _double(value) for key, value in case.items()}
    if isinstance(case, list):
        return [_double(value) for value in case]
    return case.astype(np.float64) if isinstance(case, np.ndarray) else case


def of_values(loss, chosen=None):
    """Make a judge of the values, of all cases or the chosen ones."""

    def judge(inputs, answers):
        picked = range(len(inputs["cases"])) if chosen is None else chosen
        cases = [_double(inputs["cases"][i]) for i in picked]
        found = [answers["cases"][i]["value"] for i in picked]
        return judge_values([loss.value(c) for c in cases], [loss.mistakes(c) for c in cases], found)

    return judge


def of_gradients(loss):
    """Make a judge of the gradients."""

    def judge(inputs, answers):
        value_is_right, cases = of_values(loss)(inputs, answers) == RIGHT, _double(inputs["cases"])
        verdicts = (
            _judge_slope(loss, *pair, value_is_right) for pair in zip(cases, answers["cases"], strict=True)
        )
        return next((verdict for verdict in verdicts if verdict != RIGHT), RIGHT)

    return judge


def _judge_slope(loss, case, answer, value_is_right):
    arrays = case[loss.leaf] if isinstance(case[loss.leaf], list) else [case[loss.leaf]]
    expected = [derivative(lambda _: (loss.value(case) * case.get("upstream", 1.0)).sum(), a) for a in arrays]
    return judge_gradients(expected, answer["gradients"], value_is_right)


def _either(judge):
    """A style loss may call `gram_matrix`, which something else stands in for, or compute its own."""

    def judged(inputs, answers):
        own = {"cases": [case | {"stand_in": False} for case in inputs["cases"]]}
        return RIGHT if RIGHT in (verdict := judge(inputs, answers), judge(own, answers)) else verdict

    return judged


def no_loop(inputs, answers):
    """The text must be without loops, and the number of operations the same for every size."""
    if answers["loops"]:
        return wrong("; ".join(f"line {line}: {what}" for line, what in answers["loops"]))
    if len({answer["operations"] for answer in answers["cases"]}) != 1:
        return wrong("a larger image takes more operations: something is repeated for rows or columns")
    return RIGHT


def of_notebook(skeleton, key, loss):
    """Make a judge of the notebook's check: a relative error that prints as 0.000, whatever the shape."""

    def judge(inputs, answers):
        with np.load(Path(skeleton) / "data" / "style_checks.npz") as checks:
            y = np.ravel(checks[key]).astype(np.float64)
        x = np.ravel(answers["value"])
        if x.shape != y.shape:
            return wrong(f"the shape is {np.shape(answers['value'])}: {len(y)} numbers are wanted")
        error = np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
        if not error < 5e-4:
            return wrong(f"Maximum error is {error:.3f}, 0.000 is wanted")
        if close(np.ravel(answers["elsewhere"]), np.ravel(loss.value(_double(inputs["case"])))):
            return RIGHT
        return wrong("right here, but not on other numbers: counts once it is right there too")

    return judge


def tasks(skeleton):
    """List the tasks of the losses; `skeleton` is the folder of the handout."""
    of_style, of_slope = _either(of_values(STYLE)), _either(of_gradients(STYLE))

    def style(rng, **options):
        return STYLE.inputs(rng, **({"stand_in": True} | options))

    def cases(part, make, *checks, label="", **more):
        made = tuple(Check(part, name, points, judge, *needs) for name, points, judge, *needs in checks)
        return Task("cases", lambda rng: {"loss": part, "cases": make(rng)} | more, made, label or part)

    def notebook(part, title, key, loss, **options):
        check = Check(part, f"Notebook: {title}", 2, of_notebook(skeleton, key, loss))
        return Task("notebook", lambda rng: {"loss": part, "case": loss.inputs(rng, **options)[0]}, (check,), part)

    return [
        cases("content", CONTENT.inputs, ("Content loss: value", 5, of_values(CONTENT)),
              ("Content loss: gradient", 3, of_gradients(CONTENT))),
        cases("gram", GRAM.inputs, ("Gram matrix: normalised", 3, of_values(GRAM, (0, 1))),
              ("Gram matrix: normalize=False", 2, of_values(GRAM, (2,))),
              ("Gram matrix: two images", 1, of_values(GRAM, (3,))),
              ("Gram matrix: gradient", 2, of_gradients(GRAM))),
        cases("style", style, ("Style loss: value, with a given Gram matrix", 3, of_style),
              ("Style loss: gradient, with a given Gram matrix", 3, of_slope)),
        cases("style", lambda rng: style(rng, images=2, layers=([1, 3],)),
              ("Style loss: two images", 1, of_style), label="style, two"),
        cases("style", lambda rng: style(rng, stand_in=False),
              ("Style loss: value, with your Gram matrix", 1, of_values(STYLE)), label="style, own"),
        cases("tv", TV.inputs, ("Total variation: value", 4, of_values(TV)),
              ("Total variation: gradient", 2, of_gradients(TV)),
              ("Total variation: no loop", 2, no_loop, "Total variation: value"), no_loops=NO_LOOPS),
        notebook("content", "content loss", "cl_out", CONTENT),
        notebook("gram", "Gram matrix", "gm_out", GRAM),
        notebook("style", "style loss", "sl_out", STYLE, stand_in=False),
        notebook("tv", "total variation", "tv_out", TV),
    ]  # fmt: skip
