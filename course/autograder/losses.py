"""The losses and the Gram matrix, marked.

References are the definitions in NumPy and double precision, gradients their central differences; nothing is
shared with the solution. Inputs are drawn anew for each run, so that no answer can be prepared.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course.autograder.judging import RIGHT, Check, Task, close, derivative, judge_gradients, judge_values, wrong
from course.collect.checks import NO_LOOPS

CHECKS = Path(__file__).resolve().parents[2] / "data" / "style_checks.npz"  # the notebook's published numbers


class Loss(NamedTuple):
    """A loss, marked.

    Attributes:
        leaf: what it has a gradient by: name of an ndarray in a case, or of a list of them.
        inputs: function of a NumPy Generator -> list of cases, dicts of what the loss is called with.
        value: its definition, function of a case.
        mistakes: function of a case -> dict from the message of a likely mistake to the values that it gives.
    """

    leaf: str
    inputs: Callable
    value: Callable
    mistakes: Callable

    def judge_values(self, inputs, answers, chosen=slice(None)):
        """Judge the values of all cases, or of the chosen ones."""
        cases, found = inputs["cases"][chosen], [answer["value"] for answer in answers["cases"][chosen]]
        return judge_values([self.value(case) for case in cases], lambda i: self.mistakes(cases[i]), found)

    def judge_gradients(self, inputs, answers):
        """Judge the gradients of all cases."""
        value_is_right = self.judge_values(inputs, answers) == RIGHT
        verdicts = (
            judge_gradients(self._slopes(case), answer["gradients"], value_is_right)
            for case, answer in zip(inputs["cases"], answers["cases"], strict=True)
        )
        return next((verdict for verdict in verdicts if verdict != RIGHT), RIGHT)

    def _slopes(self, case):
        def whole(_):
            return (self.value(case) * case.get("upstream", 1.0)).sum()

        arrays = case[self.leaf] if isinstance(case[self.leaf], list) else [case[self.leaf]]
        return [derivative(whole, array) for array in arrays]

    def judge_notebook(self, key, inputs, answers):
        """Judge a number of the notebook: a relative error that prints as 0.000, whatever the shape."""
        with np.load(CHECKS) as checks:
            y = np.ravel(checks[key]).astype(np.float64)
        x = np.ravel(answers["value"])
        if x.shape != y.shape:
            return wrong(f"the shape is {np.shape(answers['value'])}: {len(y)} numbers are wanted")
        error = np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
        if not error < 5e-4:
            return wrong(f"Maximum error is {error:.3f}, 0.000 is wanted")
        if close(np.ravel(answers["elsewhere"]), np.ravel(self.value(inputs["case"]))):
            return RIGHT
        return wrong("right here, but not on other numbers: counts once it is right there too")


def _squares(x):
    return (x**2).sum()


def _total(terms, of=_squares):
    return sum(w * of(d) for w, d in terms)


def _sum_of_squares(leaf, inputs, terms, own_mistakes):
    """Make the Loss sum_k w_k * sum(d_k^2), by its terms: function of a case -> list of pairs (w_k, d_k)."""

    def mistakes(case):
        found = terms(case)
        whole, bare = _total(found), _total([(1, d) for _, d in found])
        return own_mistakes(case) | {
            "off by the weights: each sum of squares must be multiplied by its own": [bare],
            "off by the weight: it belongs outside the square, once": [_total([(w * w, d) for w, d in found])],
            "the mean was taken; the loss is a sum": [_total(found, lambda d: (d**2).mean())],
            "a factor 1/2 too many: the weight stands in its place": [whole / 2],
            "the differences must be squared": [_total(found, lambda d: np.abs(d).sum()), _total(found, np.sum)],
            "the root was taken; the loss is the sum of squares itself": [
                _total(found, np.linalg.norm),
                np.sqrt(whole),
                found[0][0] * np.sqrt(bare),
            ],
            "square each difference, then add up; not the other way round": [
                _total(found, lambda d: d.sum() ** 2)
            ],
            "only the first image counts": [_total(found, lambda d: _squares(d[0]))],
        }

    return Loss(leaf, inputs, lambda case: _total(terms(case)), mistakes)


def _weight(rng):
    return float(rng.uniform(0.1, 1.7))


def _content_inputs(rng):
    shapes, normal = ((1, 4, 5, 7), (3, 3, 6, 4), (1, 6, 3, 3)), rng.standard_normal
    return [{"current": normal(s), "original": normal(s), "weight": _weight(rng)} for s in shapes]


def _content(case):
    """W * sum (F - P)^2."""
    return [(case["weight"], case["current"] - case["original"])]


def _content_mistakes(case):
    by_images = _total(_content(case)) / len(case["current"])
    return {"divided by the number of images; the loss is the sum over all features": [by_images]}


def _gram_inputs(rng):
    settings = (
        ((1, 4, 5, 6), {}),
        ((1, 3, 4, 7), {"normalize": True}),
        ((1, 5, 4, 3), {"normalize": False}),
        ((2, 4, 3, 5), {"normalize": True}),
    )
    return [
        {
            "features": rng.standard_normal(s),
            "options": options,
            "upstream": rng.standard_normal((s[0], s[1], s[1])),
        }
        for s, options in settings
    ]


def _gram(x, normalize=True):
    """G = F F^T for each image, divided by C*H*W unless told otherwise."""
    flat = x.reshape(*x.shape[:2], -1)
    return flat @ flat.transpose(0, 2, 1) / (x[0].size if normalize else 1)


def _gram_mistakes(case):
    x, (n, c, h, w) = case["features"], case["features"].shape
    right, raw = _gram(x, **case["options"]), _gram(x, normalize=False)
    size = 1 if case["options"] == {"normalize": False} else c * h * w
    flat, mixed = x.reshape(n, c, h * w), x.reshape(n, h * w, c)
    places = flat.transpose(0, 2, 1) @ flat
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
        targets = [(_outer if stand_in else _gram)(rng.standard_normal(shapes[i])) for i in chosen]
        weights = [float(w) for w in rng.uniform(50, 500, len(chosen))]
        features = [rng.standard_normal(shape) for shape in shapes]
        cases.append({"features": features, "targets": targets, "layers": chosen, "weights": weights})
    return [case | {"stand_in": stand_in} for case in cases]


def _style(case, layers=None, normalized=True):
    """sum_l w_l * sum (G_l - A_l)^2."""
    gram, features = _outer if case["stand_in"] else _gram, case["features"]
    return [
        (w, gram(features[i]) * (1 if normalized else features[i][0].size) - target)
        for w, i, target in zip(case["weights"], layers or case["layers"], case["targets"], strict=True)
    ]


def _style_mistakes(case):
    weights, layers, terms = case["weights"], case["layers"], _style(case)
    each, bare = [w * _squares(d) for w, d in terms], sum(_squares(d) for _, d in terms)
    found = {
        "each layer must have its own weight": [weights[0] * bare, weights[-1] * bare],
        "the sum was divided by the number of layers": [sum(each) / len(each)],
        "only the last layer counts: the sum is overwritten in the loop": [each[-1]],
        "only the first layer counts: does the loop return too early?": [each[0]],
        "the Gram matrix is not normalised here": [_total(_style(case, normalized=False))],
    }
    if all(case["features"][i].shape[1] == case["features"][k].shape[1] for i, k in enumerate(layers)):
        message = "style_layers are indices into feats: feats[style_layers[i]], not feats[i]"
        found[message] = [_total(_style(case, range(len(layers))))]
    return found


def _tv_inputs(rng):
    shapes = ((1, 3, 6, 9), (1, 3, 13, 5), (1, 3, 12, 14))
    return [{"img": rng.standard_normal(shape), "weight": _weight(rng)} for shape in shapes]


def _tv(case):
    """W * (squared differences downwards + squared differences to the right)."""
    return [(case["weight"], np.diff(case["img"], axis=axis)) for axis in (2, 3)]


def _tv_mistakes(case):
    x, ((w, down), (_, right)) = case["img"], _tv(case)
    inner = right[:, :, :-1] ** 2 + down[..., :-1] ** 2
    return {
        "only neighbours to the right are compared; those below are missing": [w * _squares(right)],
        "only neighbours below are compared; those to the right are missing": [w * _squares(down)],
        "the mean over the image was taken; the loss is a sum": [_total(_tv(case)) / x.size],
        "the image wraps around: roll compares the first row with the last": [
            w * sum(_squares(np.roll(x, 1, axis) - x) for axis in (2, 3))
        ],
        "one row or column is left out: slice only the axis of the difference": [w * inner.sum()],
        "the root was taken at each place; the loss is the sum of squares itself": [w * np.sqrt(inner).sum()],
        "only the first channel counts": [_total(_tv(case), lambda d: _squares(d[:, 0]))],
    }


CONTENT = _sum_of_squares("current", _content_inputs, _content, _content_mistakes)
GRAM = Loss("features", _gram_inputs, lambda case: _gram(case["features"], **case["options"]), _gram_mistakes)
STYLE = _sum_of_squares("features", _style_inputs, _style, _style_mistakes)
TV = _sum_of_squares("img", _tv_inputs, _tv, _tv_mistakes)


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


def tasks():
    """List the tasks of the losses."""
    of_style, of_slope = _either(STYLE.judge_values), _either(STYLE.judge_gradients)

    def style(rng, **options):
        return STYLE.inputs(rng, **({"stand_in": True} | options))

    def cases(part, make, *checks, label="", **more):
        made = tuple(Check(part, name, points, judge, *needs) for name, points, judge, *needs in checks)
        return Task("cases", lambda rng: {"loss": part, "cases": make(rng)} | more, made, label or part)

    def gram(name, points, first, last):
        return name, points, partial(GRAM.judge_values, chosen=slice(first, last))

    def notebook(part, title, key, loss, **options):
        check = Check(part, f"Notebook: {title}", 2, partial(loss.judge_notebook, key))
        return Task("notebook", lambda rng: {"loss": part, "case": loss.inputs(rng, **options)[0]}, (check,), part)

    return [
        cases("content", CONTENT.inputs, ("Content loss: value", 5, CONTENT.judge_values),
              ("Content loss: gradient", 3, CONTENT.judge_gradients)),
        cases("gram", GRAM.inputs, gram("Gram matrix: normalised", 3, 0, 2),
              gram("Gram matrix: normalize=False", 2, 2, 3), gram("Gram matrix: two images", 1, 3, 4),
              ("Gram matrix: gradient", 2, GRAM.judge_gradients)),
        cases("style", style, ("Style loss: value, with a given Gram matrix", 3, of_style),
              ("Style loss: gradient, with a given Gram matrix", 3, of_slope)),
        cases("style", lambda rng: style(rng, images=2, layers=([1, 3],)),
              ("Style loss: two images", 1, of_style), label="style, two"),
        cases("style", lambda rng: style(rng, stand_in=False),
              ("Style loss: value, with your Gram matrix", 1, STYLE.judge_values), label="style, own"),
        cases("tv", TV.inputs, ("Total variation: value", 4, TV.judge_values),
              ("Total variation: gradient", 2, TV.judge_gradients),
              ("Total variation: no loop", 2, no_loop, "Total variation: value"), no_loops=NO_LOOPS),
        notebook("content", "content loss", "cl_out", CONTENT),
        notebook("gram", "Gram matrix", "gm_out", GRAM),
        notebook("style", "style loss", "sl_out", STYLE, stand_in=False),
        notebook("tv", "total variation", "tv_out", TV),
    ]  # fmt: skip
