"""What a confined child does with a submission: call its functions on the grader's inputs, answer.

Runs inside the child, next to the submission, so nothing here is secret and nothing it says is trusted: no
expected value, no comparison and no points. Each call takes a dict of arrays and plain values and returns another.
"""

import contextlib
import importlib
import os
import sys
import traceback
import types
from pathlib import Path

import loops
import numpy as np
import technique_calls
import wire

MAX_INPUT = 1 << 26  # bytes
SLOW = ("torch", "torchvision", "matplotlib.figure", "PIL.Image", "safetensors.torch", "captum.attr", "tqdm")
PACKAGES = ("style_modules", "visualizers")


def warm_up():
    """Import what every child needs; a fork then starts in milliseconds."""
    for name in SLOW:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)


def serve(call, code, source, answer):
    """Run one call and write what it returned, or how it failed.

    Args:
        call: name of a function in CALLS.
        code: folder of the submission.
        source: descriptor of the packed input.
        answer: descriptor for the packed answer.
    """
    inputs = wire.unpack(os.pread(source, MAX_INPUT, 0))
    sys.path.insert(0, str(code))
    sys.dont_write_bytecode = True
    try:
        values = CALLS[call](inputs)
    except BaseException as problem:  # noqa: BLE001  (a submission may raise anything, SystemExit included)
        values = {"error": _explain(problem, code)}
    data = wire.pack(values)
    while data:
        data = data[os.write(answer, data) :]


def _explain(problem, code):
    """Return [type, message, file, line] of an exception, the place being the last in the submission."""
    file, line = "", 0
    for frame in traceback.extract_tb(problem.__traceback__):
        if frame.filename.startswith(str(code)):
            file, line = frame.filename, frame.lineno
    if isinstance(problem, SyntaxError) and str(problem.filename or "").startswith(str(code)):
        file, line = problem.filename, problem.lineno
    try:
        message = str(problem)[:500]
    except BaseException:  # noqa: BLE001  (its __str__ is the submission's)
        message = ""
    return [type(problem).__name__[:100], message, file.removeprefix(f"{code}/"), int(line or 0)]


def find(package, module, name):
    """Import a class or function of the submission, even if another file of its package is broken."""
    path = f"{package}.{module}" if package else module
    try:
        return getattr(importlib.import_module(path), name)
    except (Exception, SystemExit) as problem:  # noqa: BLE001  (a broken neighbour may raise anything)
        _without_package_init()
        try:
            return getattr(importlib.import_module(path), name)
        except ModuleNotFoundError:
            raise problem from None


def _without_package_init():
    """Let the modules of a package be imported one by one, without its __init__ that imports them all."""
    for name in [name for name in sys.modules if name.partition(".")[0] in (*PACKAGES, "style_utils")]:
        del sys.modules[name]
    for name in PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(sys.path[0]) / name)]
        sys.modules[name] = package


def _tensor(array, gradient=False):
    import torch

    return torch.from_numpy(array).requires_grad_(gradient)


def _number(value, what):
    """Turn what a loss returned into an array, whatever kind of number it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if not hasattr(value, "__array__") and not isinstance(value, int | float):
        raise TypeError(f"{what} returned {type(value).__name__} instead of a Tensor")
    return np.asarray(value, dtype=np.float64)


def _value_and_gradients(loss, leaves, what):
    """Return {"value": ..., "gradient0": ..., ...}; a gradient that does not exist is left out."""
    import torch

    found = {"value": _number(loss, what)}
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        gradients = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
        found |= {f"gradient{i}": g.numpy() for i, g in enumerate(gradients) if g is not None}
    return found


def _each_case(inputs, function):
    """Apply `function(case)` to each case; keys of case number i end in @i on both sides."""
    answers = {}
    for i in range(inputs["cases"]):
        case = {key.rpartition("@")[0]: value for key, value in inputs.items() if key.endswith(f"@{i}")}
        answers |= {f"{key}@{i}": value for key, value in function(case).items()}
    return answers


def content_loss(inputs):
    """Content loss and its gradient."""
    loss = find("style_modules", "content_loss", "ContentLoss")()

    def one(case):
        x = _tensor(case["current"], gradient=True)
        return _value_and_gradients(loss(case["weight"], x, _tensor(case["original"])), [x], "ContentLoss.forward")

    return _each_case(inputs, one)


def gram_matrix(inputs):
    """Gram matrices, and the gradient of their weighted sum."""
    loss = find("style_modules", "style_loss", "StyleLoss")()

    def one(case):
        x = _tensor(case["features"], gradient=True)
        gram = (
            loss.gram_matrix(x) if case["normalize"] is None else loss.gram_matrix(x, normalize=case["normalize"])
        )
        found = {"gram": _number(gram, "gram_matrix")}
        if getattr(gram, "requires_grad", False) and tuple(gram.shape) == case["upstream"].shape:
            weighted = (gram * _tensor(case["upstream"])).sum()
            found |= _value_and_gradients(weighted, [x], "gram_matrix")
        return found

    return _each_case(inputs, one)


def style_loss(inputs):
    """Style loss and its gradients, with the submission's own Gram matrix or right ones.

    The right ones are numbers: what computes them would show a submission how it is done.
    """
    import torch

    loss = find("style_modules", "style_loss", "StyleLoss")()

    class Given(torch.autograd.Function):
        @staticmethod
        def forward(ctx, features, gram, slope):
            ctx.save_for_backward(slope)
            ctx.shape = features.shape
            return gram.clone()

        @staticmethod
        def backward(ctx, upstream):
            return (upstream.reshape(-1) @ ctx.saved_tensors[0]).reshape(ctx.shape), None, None

    def one(case):
        count = len([key for key in case if key.startswith("features")])
        feats = [_tensor(case[f"features{i}"], gradient=True) for i in range(count)]
        if inputs["right_gram"]:
            known = {x.shape: (_tensor(case[f"gram{i}"]), _tensor(case[f"slope{i}"])) for i, x in enumerate(feats)}

            def gram_matrix(features, normalize=True):
                if features.shape not in known:
                    raise TypeError(
                        f"gram_matrix was given {tuple(features.shape)}; pass a layer's features whole"
                    )
                gram = Given.apply(features, *known[features.shape])
                return gram if normalize else gram * features.numel()

            object.__setattr__(loss, "gram_matrix", gram_matrix)
        targets = [_tensor(case[f"target{i}"]) for i in range(len(case["layers"]))]
        value = loss(feats, case["layers"], targets, case["weights"])
        return _value_and_gradients(value, feats, "StyleLoss.forward")

    return _each_case(inputs, one)


def tv_loss(inputs):
    """Total-variation loss, its gradient, and how many operations it took."""
    from torch.utils._python_dispatch import TorchDispatchMode

    loss = find("style_modules", "tv_loss", "TotalVariationLoss")()

    class Count(TorchDispatchMode):
        operations = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.operations += 1
            return func(*args, **(kwargs or {}))

    def one(case):
        x = _tensor(case["img"], gradient=True)
        with Count() as count:
            value = loss(x, case["weight"])
        return _value_and_gradients(value, [x], "TotalVariationLoss.forward") | {"operations": count.operations}

    return _each_case(inputs, one)


def update_rule(inputs):
    """Every image that `style_transfer` evaluates, on simple losses instead of the submission's, and the last.

    These losses are others than the assignment's, because a submission can read them here.
    """
    import torch
    from PIL import Image
    from torch import nn

    style_transfer = find("", "style_utils", "style_transfer")
    seen = []

    def rounded(x):
        """Sum sqrt(1 + x^2)."""
        return torch.hypot(x, torch.ones_like(x)).sum()

    class Content(nn.Module):
        def forward(self, content_weight, content_current, content_original):
            return content_weight * rounded(content_current - content_original)

    class Style(nn.Module):
        def gram_matrix(self, features, normalize=True):
            return features.mean((2, 3))

        def forward(self, feats, style_layers, style_targets, style_weights):
            pairs = zip(style_layers, style_targets, style_weights, strict=True)
            return sum(w * rounded(self.gram_matrix(feats[i]) - target) for i, target, w in pairs)

    class Smooth(nn.Module):
        def forward(self, img, tv_weight):
            seen.append(img.detach().clone().numpy())
            return tv_weight * rounded(img)

    convolutions = []
    for i in range(2):
        weight, bias = inputs[f"weight{i}"], inputs[f"bias{i}"]
        convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
        convolution.weight.data, convolution.bias.data = _tensor(weight)[:, :, None, None], _tensor(bias)
        convolutions.append(convolution)
    cnn = nn.Sequential(*convolutions).requires_grad_(False)
    for name in ("content", "style"):
        Image.fromarray(inputs[name]).save(f"{name}.png")
    size = inputs["content"].shape[0]
    weights = inputs["content_weight"], [0], [inputs["style_weight"]], inputs["tv_weight"]
    content_weight, layers, style_weights, tv_weight = weights
    losses = content_weight, layers, style_weights, tv_weight, Content(), Style(), Smooth()
    try:
        found = style_transfer(
            "graded", "content.png", "style.png", size, size, 1, *losses, cnn, torch.FloatTensor, testing=True
        )
        ended = {"result": found.detach().numpy()}
    except Exception as problem:
        if not seen:
            raise
        ended = {"stopped": _explain(problem, sys.path[0])}
    return {"images": np.stack(seen), **ended}


def notebook(inputs):
    """One of the four numbers of the course's notebook, on the real network; then the same on numbers drawn anew.

    The notebook's outputs are published, so they say something only of a function that is right elsewhere too.
    """
    import torch

    from data import load_network
    from data.style_images import style_image

    cnn, dtype = load_network().features, torch.FloatTensor
    features_from_img = find("", "style_utils", "features_from_img")
    with torch.no_grad():
        feats, img = features_from_img(str(style_image("tubingen", sample=True)), 192, cnn, dtype)
        of_style, _ = features_from_img(str(style_image("starry_night", sample=True)), 192, cnn, dtype)
        if inputs["name"] == "content":
            nothing = find("", "style_utils", "extract_features")(torch.zeros_like(img), cnn)
            value = find("style_modules", "content_loss", "ContentLoss")()(6e-2, feats[3], nothing[3])
        elif inputs["name"] == "gram":
            value = find("style_modules", "style_loss", "StyleLoss")().gram_matrix(of_style[5])
        elif inputs["name"] == "style":
            loss, layers = find("style_modules", "style_loss", "StyleLoss")(), [1, 4, 6, 7]
            targets = [loss.gram_matrix(of_style[i].clone()) for i in layers]
            value = loss(feats, layers, targets, [300000, 1000, 15, 3])
        else:
            value = find("style_modules", "tv_loss", "TotalVariationLoss")()(img, 2e-2)
    elsewhere = {"content": content_loss, "gram": gram_matrix, "style": style_loss, "tv": tv_loss}
    return {"value": _number(value, inputs["name"])} | elsewhere[inputs["name"]](inputs)


def find_loops(inputs):
    """Loops in a function of a file, by its text alone: nothing of the submission is imported here."""
    source = (Path(sys.path[0]) / inputs["file"]).read_text(encoding="utf-8")
    return {"loops": [[loop.line, loop.what] for loop in loops.find_loops(source, inputs["function"])]}


def readable(inputs):
    """Which of some paths this process can open or list."""
    seen = []
    for path in inputs["paths"]:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY))  # opens folders too, for listing
            seen.append(path)
    return {"readable": seen}


CALLS = {
    function.__name__: function
    for function in (content_loss, gram_matrix, style_loss, tv_loss, update_rule, notebook, find_loops, readable)
} | technique_calls.all_calls(find)
