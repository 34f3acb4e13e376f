"""The style-transfer part, marked: losses, Gram matrix, notebook.

References are the definitions in NumPy and double precision, gradients by hand; nothing is shared with the
solution. Inputs are drawn anew for each run, so that no answer can be prepared.
"""

import functools
from pathlib import Path

import numpy as np

from course.autograder.judging import RIGHT, Reference, Verdict, close, judge_gradient, judge_value
from course.autograder.tasks import Check, Task, answers_of, cases_of

OFF_BY_WEIGHT = "off by the weight: the loss must be multiplied by it, once"


def content_inputs(rng):
    """Three pairs of feature maps, not square, one of two images."""
    shapes = [(1, 4, 5, 7), (2, 3, 6, 4), (1, 6, 3, 3)]
    return cases_of(
        {"current": _normal(rng, shape), "original": _normal(rng, shape), "weight": float(rng.uniform(0.1, 3))}
        for shape in shapes
    )


def content_reference(case):
    """W * sum (F - P)^2."""
    w, d = case["weight"], case["current"].astype(np.float64) - case["original"]
    value = w * (d**2).sum()
    wrong = {
        OFF_BY_WEIGHT: [(d**2).sum(), w * value],
        "the mean was taken; the loss is the sum over all features": [w * (d**2).mean()],
        "a factor 1/2 too many: the weight stands in its place": [value / 2],
        "the differences must be squared": [w * np.abs(d).sum(), w * d.sum()],
        "the root was taken; the loss is the sum of squares itself": [w * np.sqrt((d**2).sum())],
        "square each difference, then add up; not the other way round": [w * d.sum() ** 2],
    }
    return Reference(value, [2 * w * d], _alternatives(wrong))


def gram_inputs(rng):
    """Feature maps: one image, normalised by default and by argument; not normalised; then two images."""
    settings = [((1, 4, 5, 6), None), ((1, 3, 4, 7), True), ((1, 5, 4, 3), False), ((2, 4, 3, 5), True)]
    return cases_of(
        {
            "features": _normal(rng, shape),
            "normalize": flag,
            "upstream": _normal(rng, (shape[0], shape[1], shape[1])),
        }
        for shape, flag in settings
    )


def gram_reference(case):
    """G = F F^T for each image, divided by C*H*W unless told otherwise."""
    x = case["features"].astype(np.float64)
    n, c, h, w = x.shape
    flat = x.reshape(n, c, h * w)
    raw = flat @ flat.transpose(0, 2, 1)
    size = c * h * w if case["normalize"] in (None, True) else 1
    places = flat.transpose(0, 2, 1) @ flat
    mixed = x.reshape(n, h * w, c).transpose(0, 2, 1)
    wrong = {
        "transposed: places with places, (H*W, H*W); channels with channels are wanted": [places, places / size],
        "normalised although normalize=False": [raw / (c * h * w)],
        "not normalised: divide by C*H*W": [raw],
        "normalised by H*W only; divide by C*H*W": [raw / (h * w)],
        "normalised by C only; divide by C*H*W": [raw / c],
        "normalised by the batch size too; divide by C*H*W": [raw / (n * c * h * w)],
        "reshaped in the wrong order: (N, C, H*W) keeps each channel together": [
            mixed @ mixed.transpose(0, 2, 1) / size
        ],
        "the images of the batch were added up; each has its own matrix": [
            np.broadcast_to(raw.sum(0), raw.shape) / size
        ],
        "only the first image's matrix was returned": [raw[:1] / size],
        "the batch dimension is missing: (N, C, C) is wanted, also for one image": [raw[0] / size],
        "the mean over all features is not this matrix": [np.full_like(raw, (x**2).mean())],
    }
    upstream = case["upstream"].astype(np.float64)
    gradient = (upstream + upstream.transpose(0, 2, 1)) @ flat / size
    return Reference(raw / size, [gradient.reshape(x.shape)], _alternatives(wrong))


def style_inputs(rng, *, right_gram):
    """Features of several layers, some of them in the loss, in an order that is not theirs."""
    cases = []
    for layers in ([2, 0], [1], [0, 1, 3]):
        shapes = [(1, 3, 6, 5), (1, 4, 4, 6), (1, 3, 5, 3), (1, 5, 3, 4)]
        case = {f"features{i}": _normal(rng, shape) for i, shape in enumerate(shapes)}
        for i, layer in enumerate(layers):
            other = _normal(rng, shapes[layer])
            case[f"target{i}"] = _gram(other.astype(np.float64)).astype(np.float32)
        case |= {"layers": layers, "weights": [float(w) for w in rng.uniform(50, 500, len(layers))]}
        if right_gram:
            for i in range(len(shapes)):
                case |= {f"gram{i}": _gram(case[f"features{i}"]), f"slope{i}": _gram_slope(case[f"features{i}"])}
        cases.append(case)
    return cases_of(cases) | {"right_gram": right_gram}


def style_reference(case):
    """sum_l w_l * sum (G_l - A_l)^2."""
    layers, weights = case["layers"], case["weights"]
    feats = [case[f"features{i}"].astype(np.float64) for i in range(4)]
    differences = [_gram(feats[layer]) - case[f"target{i}"] for i, layer in enumerate(layers)]
    squares = [(d**2).sum() for d in differences]
    means = [(d**2).mean() for d in differences]
    terms = [w * s for w, s in zip(weights, squares, strict=True)]
    wrong = {
        "off by the weights: each layer's term must be multiplied by its own": [sum(squares)],
        "each layer must have its own weight": [weights[0] * sum(squares), weights[-1] * sum(squares)],
        "the weight belongs outside the square": [sum(w * t for w, t in zip(weights, terms, strict=True))],
        "the mean was taken; each term is a sum over the matrix": [
            sum(w * m for w, m in zip(weights, means, strict=True))
        ],
        "the sum was divided by the number of layers": [sum(terms) / len(terms)],
        "only the last layer counts: the sum is overwritten in the loop": [terms[-1]],
        "only the first layer counts: does the loop return too early?": [terms[0]],
        "the differences must be squared": [
            sum(w * np.abs(d).sum() for w, d in zip(weights, differences, strict=True)),
            sum(w * d.sum() for w, d in zip(weights, differences, strict=True)),
        ],
        "the root was taken; each term is the sum of squares itself": [
            sum(w * np.sqrt(s) for w, s in zip(weights, squares, strict=True)),
            np.sqrt(sum(terms)),
        ],
        "the Gram matrix is not normalised here": [
            sum(
                w * ((_gram(feats[layer]) * feats[layer].size - case[f"target{i}"]) ** 2).sum()
                for i, (layer, w) in enumerate(zip(layers, weights, strict=True))
            )
        ],
    }
    same_shapes = all(feats[i].shape[1] == feats[layer].shape[1] for i, layer in enumerate(layers))
    if same_shapes:
        taken = [_gram(feats[i]) - case[f"target{i}"] for i in range(len(layers))]
        message = "style_layers are indices into feats: feats[style_layers[i]], not feats[i]"
        wrong[message] = [sum(w * (d**2).sum() for w, d in zip(weights, taken, strict=True))]
    gradients = [np.zeros_like(f) for f in feats]
    for layer, weight, d in zip(layers, weights, differences, strict=True):
        f = feats[layer]
        flat = f.reshape(1, f.shape[1], -1)
        gradients[layer] += (4 * weight * d @ flat / f.size).reshape(f.shape)
    return Reference(sum(terms), gradients, _alternatives(wrong))


def tv_inputs(rng):
    """Images, not square, of two sizes so that a loop shows in the number of operations."""
    shapes = [(1, 3, 6, 9), (1, 3, 17, 5), (1, 3, 24, 30)]
    return cases_of({"img": _normal(rng, shape), "weight": float(rng.uniform(0.1, 3))} for shape in shapes)


def tv_reference(case):
    """W * (squared differences to the right + squared differences downwards)."""
    w, x = case["weight"], case["img"].astype(np.float64)
    right, down = np.diff(x, axis=3), np.diff(x, axis=2)
    a, b = (right**2).sum(), (down**2).sum()
    around = sum(((np.roll(x, 1, axis) - x) ** 2).sum() for axis in (2, 3))
    inner = (right[:, :, :-1] ** 2).sum() + (down[..., :-1] ** 2).sum()
    root = np.sqrt(right[:, :, :-1] ** 2 + down[..., :-1] ** 2).sum()
    wrong = {
        OFF_BY_WEIGHT: [a + b, w * w * (a + b)],
        "only neighbours to the right are compared; those below are missing": [w * a],
        "only neighbours below are compared; those to the right are missing": [w * b],
        "the differences must be squared, not made absolute": [w * (np.abs(right).sum() + np.abs(down).sum())],
        "the mean was taken; the loss is a sum": [
            w * ((right**2).mean() + (down**2).mean()),
            w * (a + b) / x.size,
        ],
        "the image wraps around: roll compares the first row with the last": [w * around],
        "one row or column is left out: slice only the axis of the difference": [w * inner],
        "the root was taken; the loss is the sum of squares itself": [w * root, w * np.sqrt(a + b)],
        "a factor 1/2 too many": [w * (a + b) / 2],
        "only the first channel counts": [w * ((right[:, 0] ** 2).sum() + (down[:, 0] ** 2).sum())],
    }
    gradient = np.zeros_like(x)
    gradient[..., 1:] += 2 * w * right
    gradient[..., :-1] -= 2 * w * right
    gradient[:, :, 1:] += 2 * w * down
    gradient[:, :, :-1] -= 2 * w * down
    return Reference(w * (a + b), [gradient], _alternatives(wrong))


def _normal(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def _gram(x):
    flat = x.reshape(*x.shape[:2], -1)
    return flat @ flat.transpose(0, 2, 1) / x[0].size


def _gram_slope(x):
    """How each entry of one image's Gram matrix depends on each of its features: (C*C, C*H*W)."""
    c, flat = x.shape[1], x.reshape(x.shape[1], -1)
    half = np.einsum("ac,bk->abck", np.eye(c, dtype=x.dtype), flat) / x.size
    return (half + half.transpose(1, 0, 2, 3)).reshape(c * c, x.size)


def _alternatives(wrong):
    """Give each alternative a key of its own; what follows the tab is not shown."""
    return {f"{m}\t{i}": (value, None) for m, values in wrong.items() for i, value in enumerate(values)}


def _value(reference, key="value", cases=None):
    def judge(inputs, answers):
        chosen = [i for i in range(inputs["cases"]) if cases is None or i in cases]
        references, values = [reference(c) for c in answers_of(inputs, chosen)], []
        for answer in answers_of(answers, chosen):
            values.append(answer.get(key))
        verdict = judge_value(references, values)
        return Verdict(verdict.share, verdict.message.partition("\t")[0])

    return judge


def _gradient(reference, key="value"):
    def judge(inputs, answers):
        everything = range(inputs["cases"])
        references = [reference(case) for case in answers_of(inputs, everything)]
        found = answers_of(answers, everything)
        gradients = [
            [a.get(f"gradient{i}") for i in range(len(r.gradients))]
            for a, r in zip(found, references, strict=True)
        ]
        return judge_gradient(references, [a.get(key) for a in found], gradients)

    return judge


def judge_no_loop(inputs, answers):
    """The value must be right, the text without loops, and the number of operations the same for every size."""
    value = _value(tv_reference)(inputs, answers)
    if value.share < 1:
        return Verdict(0.0, "counts once the value is right")
    loops = answers.get("loops")
    if loops:
        return Verdict(0.0, "; ".join(f"line {line}: {what}" for line, what in loops))
    counts = {answer.get("operations") for answer in answers_of(answers, range(inputs["cases"]))}
    if len(counts) != 1:
        return Verdict(0.0, "a larger image takes more operations: something is repeated for rows or columns")
    return RIGHT


def judge_notebook(reference, key, inputs, answers):
    """The notebook's check: a relative error that prints as 0.000; and right on other numbers, those of case 0."""
    found, expected = answers.get("value"), inputs["_expected"]
    if np.size(found) != np.size(expected):
        return Verdict(0.0, f"the shape is {np.shape(found)}, not {np.shape(expected)}")
    x, y = np.ravel(np.asarray(found, np.float64)), np.ravel(expected)
    with np.errstate(all="ignore"):
        error = np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
    if not error < 5e-4:
        return Verdict(0.0, f"Maximum error is {error:.3f}, 0.000 is wanted")
    # Like the notebook, this does not look at the shape.
    elsewhere = reference(answers_of(inputs, [0])[0]).value
    if not close(np.ravel(answers.get(f"{key}@0")), np.ravel(elsewhere)):
        return Verdict(0.0, "right here, but not on other numbers: counts once it is right there too")
    return RIGHT


def notebook_inputs(name, key, skeleton, elsewhere):
    """The images and weights are those that the child has; besides, the first of the cases drawn anew."""
    with np.load(Path(skeleton) / "data" / "style_checks.npz") as checks:
        expected = checks[key]
    first = {k: v for k, v in elsewhere.items() if k.endswith("@0")}
    return first | {"name": name, "cases": 1, "right_gram": False, "_expected": expected}


def tasks(skeleton):
    """List the tasks of the losses; `skeleton` is the folder of the handout."""
    right, own = (lambda rng, flag=flag: style_inputs(rng, right_gram=flag) for flag in (True, False))
    of_content, of_gram = (
        (lambda **k: _value(content_reference, **k)),
        (lambda cases: _value(gram_reference, "gram", cases)),
    )
    of_style, of_tv = _value(style_reference), _value(tv_reference)
    notebook = (  # part, title, name in data/style_checks.npz; other numbers, what is right there
        ("content", "content loss", "cl_out", content_inputs, content_reference, "value"),
        ("gram", "Gram matrix", "gm_out", gram_inputs, gram_reference, "gram"),
        ("style", "style loss", "sl_out", own, style_reference, "value"),
        ("tv", "total variation", "tv_out", tv_inputs, tv_reference, "value"),
    )
    return [
        Task(
            "content_loss",
            content_inputs,
            (
                Check("content", "Content loss: value", 5, of_content()),
                Check("content", "Content loss: gradient", 3, _gradient(content_reference)),
            ),
        ),
        Task(
            "gram_matrix",
            gram_inputs,
            (
                Check("gram", "Gram matrix: normalised", 3, of_gram((0, 1))),
                Check("gram", "Gram matrix: normalize=False", 2, of_gram((2,))),
                Check("gram", "Gram matrix: two images", 1, of_gram((3,))),
                Check("gram", "Gram matrix: gradient", 2, _gradient(gram_reference, "gram")),
            ),
        ),
        Task(
            "style_loss",
            right,
            (
                Check("style", "Style loss: value, with a right Gram matrix", 4, of_style),
                Check("style", "Style loss: gradient, with a right Gram matrix", 3, _gradient(style_reference)),
            ),
        ),
        Task(
            "style_loss",
            own,
            (Check("style", "Style loss: value, with your Gram matrix", 1, of_style),),
            label="own",
        ),
        Task(
            "tv_loss",
            tv_inputs,
            (
                Check("tv", "Total variation: value", 4, of_tv),
                Check("tv", "Total variation: gradient", 2, _gradient(tv_reference)),
                Check("tv", "Total variation: no loop", 2, judge_no_loop),
            ),
        ),
        *(
            Task(
                "notebook",
                lambda rng, name=name, file=file, make=make: notebook_inputs(name, file, skeleton, make(rng)),
                (Check(name, f"Notebook: {title}", 2, functools.partial(judge_notebook, reference, key)),),
                label=name,
            )
            for name, title, file, make, reference, key in notebook
        ),
    ]
