"""The style-transfer part, marked: losses, Gram matrix, notebook.

References are the definitions in NumPy and double precision, gradients their central differences; nothing is
shared with the solution. Inputs are drawn anew for each run, so that no answer can be prepared.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course.autograder.judging import RIGHT, Verdict, close, derivative, judge_gradients, judge_values
from course.autograder.tasks import Check, Task

OFF_BY_WEIGHT = "off by the weight: the loss must be multiplied by it, once"


def _content_inputs(rng):
    shapes = [(1, 4, 5, 7), (3, 3, 6, 4), (1, 6, 3, 3)]
    return [
        {"current": _normal(rng, shape), "original": _normal(rng, shape), "weight": float(rng.uniform(0.1, 1.7))}
        for shape in shapes
    ]


def _content(case):
    """W * sum (F - P)^2."""
    return case["weight"] * ((case["current"] - case["original"]) ** 2).sum()


def _content_wrong(case):
    w, d, value = case["weight"], case["current"] - case["original"], _content(case)
    return {
        OFF_BY_WEIGHT: [(d**2).sum(), w * value],
        "the mean was taken; the loss is the sum over all features": [w * (d**2).mean()],
        "a factor 1/2 too many: the weight stands in its place": [value / 2],
        "the differences must be squared": [w * np.abs(d).sum(), w * d.sum()],
        "the root was taken; the loss is the sum of squares itself": [w * np.sqrt((d**2).sum())],
        "square each difference, then add up; not the other way round": [w * d.sum() ** 2],
    }


def _gram_matrix_inputs(rng):
    settings = [((1, 4, 5, 6), None), ((1, 3, 4, 7), True), ((1, 5, 4, 3), False), ((2, 4, 3, 5), True)]
    return [
        {"features": _normal(rng, s), "normalize": flag, "upstream": _normal(rng, (s[0], s[1], s[1]))}
        for s, flag in settings
    ]


def _gram_matrix(case):
    """G = F F^T for each image, divided by C*H*W unless told otherwise."""
    x = case["features"]
    return _gram(x) if case["normalize"] in (None, True) else _gram(x) * x[0].size


def _gram_matrix_wrong(case):
    x, (n, c, h, w) = case["features"], case["features"].shape
    flat, right = x.reshape(n, c, h * w), _gram_matrix(case)
    raw, size = flat @ flat.transpose(0, 2, 1), c * h * w if case["normalize"] in (None, True) else 1
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


def _style_inputs(rng, *, stand_in, images=1, layers=([2, 0], [1], [0, 1, 3])):
    cases = []
    for chosen in layers:
        shapes = [(images, 3, 6, 5), (images, 4, 4, 6), (images, 3, 5, 3), (images, 5, 3, 4)]
        gram = _outer if stand_in else _gram
        targets = [gram(_normal(rng, shapes[i]).astype(np.float64)).astype(np.float32) for i in chosen]
        weights = [float(w) for w in rng.uniform(50, 500, len(chosen))]
        features = [_normal(rng, shape) for shape in shapes]
        cases.append({"features": features, "targets": targets, "layers": chosen, "weights": weights})
    return [case | {"stand_in": stand_in} for case in cases]


def _style(case):
    """sum_l w_l * sum (G_l - A_l)^2."""
    return sum(w * (d**2).sum() for w, d in zip(case["weights"], _style_differences(case), strict=True))


def _style_differences(case, layers=None, gram=None):
    gram = gram or (_outer if case["stand_in"] else _gram)
    pairs = zip(layers or case["layers"], case["targets"], strict=True)
    return [gram(case["features"][i]) - target for i, target in pairs]


def _style_wrong(case):
    weights, layers, d = case["weights"], case["layers"], _style_differences(case)
    sums, gram = [(x**2).sum() for x in d], _outer if case["stand_in"] else _gram

    def weighted(of, differences=d):
        return sum(w * of(x) for w, x in zip(weights, differences, strict=True))

    terms = [w * s for w, s in zip(weights, sums, strict=True)]
    found = {
        "off by the weights: each layer's term must be multiplied by its own": [sum(sums)],
        "each layer must have its own weight": [weights[0] * sum(sums), weights[-1] * sum(sums)],
        "the weight belongs outside the square": [sum(w * t for w, t in zip(weights, terms, strict=True))],
        "the mean was taken; each term is a sum over the matrix": [weighted(lambda x: (x**2).mean())],
        "the sum was divided by the number of layers": [sum(terms) / len(terms)],
        "only the last layer counts: the sum is overwritten in the loop": [terms[-1]],
        "only the first layer counts: does the loop return too early?": [terms[0]],
        "only the first image counts": [weighted(lambda x: (x[0] ** 2).sum())],
        "the differences must be squared": [weighted(lambda x: np.abs(x).sum()), weighted(np.sum)],
        "the root was taken; each term is the sum of squares itself": [
            weighted(np.linalg.norm), np.sqrt(sum(terms)),
        ],
        "the Gram matrix is not normalised here": [
            weighted(lambda x: (x**2).sum(), _style_differences(case, gram=lambda x: gram(x) * x[0].size))
        ],
    }  # fmt: skip
    if all(case["features"][i].shape[1] == case["features"][k].shape[1] for i, k in enumerate(layers)):
        taken = _style_differences(case, range(len(layers)))
        message = "style_layers are indices into feats: feats[style_layers[i]], not feats[i]"
        found[message] = [weighted(lambda x: (x**2).sum(), taken)]
    return found


def _total_variation_inputs(rng):
    shapes = [(1, 3, 6, 9), (1, 3, 13, 5), (1, 3, 12, 14)]
    return [{"img": _normal(rng, shape), "weight": float(rng.uniform(0.1, 1.7))} for shape in shapes]


def _total_variation(case):
    """W * (squared differences to the right + squared differences downwards)."""
    return case["weight"] * sum((np.diff(case["img"], axis=axis) ** 2).sum() for axis in (2, 3))


def _total_variation_wrong(case):
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
        "the root was taken; the loss is the sum of squares itself": [
            w * np.sqrt(inner).sum(),
            w * np.sqrt(a + b),
        ],
        "a factor 1/2 too many": [w * (a + b) / 2],
        "only the first channel counts": [w * ((right[:, 0] ** 2).sum() + (down[:, 0] ** 2).sum())],
    }


class Loss(NamedTuple):
    """A loss, marked: drawn inputs, its definition, what likely mistakes give, and what it has a gradient by."""

    inputs: Callable
    value: Callable
    wrong: Callable
    leaf: str


Content = Loss(_content_inputs, _content, _content_wrong, "current")
Gram = Loss(_gram_matrix_inputs, _gram_matrix, _gram_matrix_wrong, "features")
Style = Loss(_style_inputs, _style, _style_wrong, "features")
TotalVariation = Loss(_total_variation_inputs, _total_variation, _total_variation_wrong, "img")


def _normal(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def _gram(x):
    flat = x.reshape(*x.shape[:2], -1)
    return flat @ flat.transpose(0, 2, 1) / x[0].size


def _outer(x):
    """What stands in for the Gram matrix while the style loss is marked."""
    means = x.mean((2, 3))
    return means[:, :, None] * means[:, None, :]


def _double(case):
    """Single-precision arrays as double ones."""
    if isinstance(case, dict):
        return {key: _double(value) for key, value in case.items()}
    if isinstance(case, list):
        return [_double(value) for value in case]
    return case.astype(np.float64) if isinstance(case, np.ndarray) else case


def _either(judge):
    """A style loss may call `gram_matrix`, which something else stands in for, or compute its own."""

    def judged(inputs, answers):
        verdict = judge(inputs, answers)
        if verdict.share < 1 and all(case["stand_in"] for case in inputs["cases"]):
            own = {"cases": [case | {"stand_in": False} for case in inputs["cases"]]}
            verdict = judge(own, answers) if judge(own, answers).share == 1 else verdict
        return verdict

    return judged


def of_values(loss, chosen=None):
    """Make a judge of the values, of all cases or the chosen ones."""

    def judge(inputs, answers):
        picked = range(len(inputs["cases"])) if chosen is None else chosen
        cases = [_double(inputs["cases"][i]) for i in picked]
        found = [answers["cases"][i]["value"] for i in picked]
        return judge_values([loss.value(c) for c in cases], [loss.wrong(c) for c in cases], found)

    return judge


def of_gradients(loss):
    """Make a judge of the gradients."""

    def judge(inputs, answers):
        value_is_right = of_values(loss)(inputs, answers).share == 1
        for case, answer in zip(_double(inputs["cases"]), answers["cases"], strict=True):
            arrays = case[loss.leaf] if isinstance(case[loss.leaf], list) else [case[loss.leaf]]

            def number(_, case=case):
                return (loss.value(case) * case.get("upstream", 1.0)).sum()

            expected = [derivative(number, array) for array in arrays]
            verdict = judge_gradients(expected, answer["gradients"], value_is_right)
            if verdict.share < 1:
                return verdict
        return RIGHT

    return judge


def judge_no_loop(inputs, answers):
    """The text must be without loops, and the number of operations the same for every size."""
    if answers["loops"]:
        return Verdict(0.0, "; ".join(f"line {line}: {what}" for line, what in answers["loops"]))
    if len({answer["operations"] for answer in answers["cases"]}) != 1:
        return Verdict(0.0, "a larger image takes more operations: something is repeated for rows or columns")
    return RIGHT


def of_notebook(skeleton, key, loss):
    """Make a judge of the notebook's check: a relative error that prints as 0.000, whatever the shape."""

    def judge(inputs, answers):
        with np.load(Path(skeleton) / "data" / "style_checks.npz") as checks:
            y = np.ravel(checks[key]).astype(np.float64)
        x = np.ravel(answers["value"])
        if x.shape != y.shape:
            return Verdict(0.0, f"the shape is {np.shape(answers['value'])}: {len(y)} numbers are wanted")
        error = np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
        if not error < 5e-4:
            return Verdict(0.0, f"Maximum error is {error:.3f}, 0.000 is wanted")
        if close(np.ravel(answers["elsewhere"]), np.ravel(loss.value(_double(inputs["case"])))):
            return RIGHT
        return Verdict(0.0, "right here, but not on other numbers: counts once it is right there too")

    return judge


def tasks(skeleton):
    """List the tasks of the losses; `skeleton` is the folder of the handout."""
    of_style, of_slope = _either(of_values(Style)), _either(of_gradients(Style))

    def given(rng):
        return Style.inputs(rng, stand_in=True)

    def two(rng):
        return Style.inputs(rng, stand_in=True, images=2, layers=([1, 3],))

    def own(rng):
        return Style.inputs(rng, stand_in=False)

    def cases(loss, make, *checks, label=""):
        made = tuple(Check(loss, name, points, judge, *needs) for name, points, judge, *needs in checks)
        return Task("cases", lambda rng: {"loss": loss, "cases": make(rng)}, made, label or loss)

    def notebook(loss, title, key, reference, make):
        check = Check(loss, f"Notebook: {title}", 2, of_notebook(skeleton, key, reference))
        return Task("notebook", lambda rng: {"loss": loss, "case": make(rng)[0]}, (check,), loss)

    return [
        cases("content", Content.inputs, ("Content loss: value", 5, of_values(Content)),
              ("Content loss: gradient", 3, of_gradients(Content))),
        cases("gram", Gram.inputs, ("Gram matrix: normalised", 3, of_values(Gram, (0, 1))),
              ("Gram matrix: normalize=False", 2, of_values(Gram, (2,))),
              ("Gram matrix: two images", 1, of_values(Gram, (3,))),
              ("Gram matrix: gradient", 2, of_gradients(Gram))),
        cases("style", given, ("Style loss: value, with a given Gram matrix", 3, of_style),
              ("Style loss: gradient, with a given Gram matrix", 3, of_slope)),
        cases("style", two, ("Style loss: two images", 1, of_style), label="style, two"),
        cases("style", own, ("Style loss: value, with your Gram matrix", 1, of_values(Style)), label="style, own"),
        cases("tv", TotalVariation.inputs, ("Total variation: value", 4, of_values(TotalVariation)),
              ("Total variation: gradient", 2, of_gradients(TotalVariation)),
              ("Total variation: no loop", 2, judge_no_loop, "Total variation: value")),
        notebook("content", "content loss", "cl_out", Content, Content.inputs),
        notebook("gram", "Gram matrix", "gm_out", Gram, Gram.inputs),
        notebook("style", "style loss", "sl_out", Style, own),
        notebook("tv", "total variation", "tv_out", TotalVariation, TotalVariation.inputs),
    ]  # fmt: skip
