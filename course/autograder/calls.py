"""What a confined child does with a submission: call its functions on the grader's inputs, answer.

Runs inside the child, next to the submission, so nothing here is secret and nothing it says is trusted: no
expected value, no comparison and no points. Each call takes a dict of arrays and plain values and returns another.
"""

import contextlib
import importlib
import inspect
import os
import sys
import traceback
import types
from pathlib import Path

import loops
import numpy as np
import script_calls
import technique_calls
import wire

SLOW = ("torch", "torchvision", "matplotlib.figure", "PIL.Image", "safetensors.torch", "captum.attr", "tqdm")


def warm_up():
    """Import what every child needs; a fork then starts in milliseconds."""
    for name in SLOW:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)


def serve(call, inputs, code, answer):
    """Run one call and write what it returned, or how it failed.

    Args:
        call: name of a function in CALLS.
        inputs: dict of arrays and plain values.
        code: folder of the submission.
        answer: descriptor for the packed answer.
    """
    sys.path.insert(0, str(code))
    sys.dont_write_bytecode = True
    try:
        values = CALLS[call](inputs)
    except BaseException as problem:  # noqa: BLE001  (a submission may raise anything, SystemExit included)
        values = {"error": explain(problem)}
    data = wire.pack(values)
    while data:
        data = data[os.write(answer, data) :]


def explain(problem):
    """Return [type, message, file, line] of an exception, the place being the last in the submission."""
    code, file, line = sys.path[0], "", 0
    for frame in traceback.extract_tb(problem.__traceback__):
        if frame.filename.startswith(code):
            file, line = frame.filename, frame.lineno
    if isinstance(problem, SyntaxError) and str(problem.filename or "").startswith(code):
        file, line = problem.filename, problem.lineno
    message = ""
    with contextlib.suppress(BaseException):  # its __str__ is the submission's
        message = str(problem)[:500]
    return [type(problem).__name__[:100], message, file.removeprefix(f"{code}/"), int(line or 0)]


def find(module, name):
    """Import a class or function of the submission, even if another file of its package is broken."""
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as problem:  # noqa: BLE001  (a broken neighbour may raise anything)
        for package in ("style_modules", "visualizers"):  # let their modules be imported one by one
            for known in [known for known in sys.modules if known.partition(".")[0] in (package, "style_utils")]:
                del sys.modules[known]
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = [str(Path(sys.path[0]) / package)]
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError:
            raise problem from None


def _loss(kind):
    module, name, _ = LOSSES[kind]
    return find(f"style_modules.{module}", name)()


def _leaf(array):
    import torch

    return torch.from_numpy(array).requires_grad_()


def _number(value):
    """Turn what a loss returned into an array, whatever kind of number it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if not hasattr(value, "__array__") and not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} was returned instead of a Tensor")
    return np.asarray(value, dtype=np.float64)


def _value_and_gradients(loss, leaves, factor=1.0):
    """Return dict with the value and the gradients of its sum, weighted; None for those that do not exist."""
    import torch

    gradients = [None] * len(leaves)
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        gradients = torch.autograd.grad((loss * factor).sum(), leaves, allow_unused=True)
    return {"value": _number(loss), "gradients": [None if g is None else g.numpy() for g in gradients]}


def content(inputs):
    """Content loss."""
    import torch

    loss, x = _loss("content"), _leaf(inputs["current"])
    return _value_and_gradients(loss(inputs["weight"], x, torch.from_numpy(inputs["original"])), [x])


def gram(inputs):
    """Gram matrices."""
    import torch

    x, options = (
        _leaf(inputs["features"]),
        {} if inputs["normalize"] is None else {"normalize": inputs["normalize"]},
    )
    found, upstream = _loss("gram").gram_matrix(x, **options), torch.from_numpy(inputs["upstream"])
    if getattr(found, "shape", None) != upstream.shape:
        return {"value": _number(found), "gradients": [None]}
    return _value_and_gradients(found, [x], upstream)


def style(inputs):
    """Style loss, with the submission's own Gram matrix or another function in its place."""
    import torch

    def stand_in(features, normalize=True):
        means = features.mean((2, 3))
        return means[:, :, None] * means[:, None, :] * (1 if normalize else features[0].numel())

    loss, feats = _loss("style"), [_leaf(array) for array in inputs["features"]]
    if inputs["stand_in"]:
        object.__setattr__(loss, "gram_matrix", stand_in)
    targets = [torch.from_numpy(target) for target in inputs["targets"]]
    return _value_and_gradients(loss(feats, inputs["layers"], targets, inputs["weights"]), feats)


def tv(inputs):
    """Total-variation loss, and how many operations it takes, but for those that are needed once."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        operations = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.operations += 1
            return func(*args, **(kwargs or {}))

    loss, x = _loss("tv"), _leaf(inputs["img"])
    loss(x, inputs["weight"])
    with Count() as count:
        value = loss(x, inputs["weight"])
    return _value_and_gradients(value, [x]) | {"operations": count.operations}


def cases(inputs):
    """One of the four above, for each of several inputs."""
    return {"cases": [LOSSES[inputs["loss"]][2](case) for case in inputs["cases"]]}


def update(inputs):
    """Every image whose gradient `style_transfer` asks for, on simple losses in place of its own, and the last.

    These losses are others than the assignment's, because a submission can read them here.
    """
    import torch
    from PIL import Image
    from torch import nn

    style_transfer, seen = find("style_utils", "style_transfer"), []

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
            value, image = tv_weight * rounded(img), img.detach().clone().numpy()
            if value.requires_grad:
                value.register_hook(lambda gradient: seen.append(image))
            return value

    convolutions = []
    for weight, bias in inputs["convolutions"]:
        convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
        convolution.weight.data = torch.from_numpy(weight)[:, :, None, None]
        convolution.bias.data = torch.from_numpy(bias)
        convolutions.append(convolution)
    cnn = nn.Sequential(*convolutions).requires_grad_(False)
    for name in ("content", "style"):
        Image.fromarray(inputs[name]).save(f"{name}.png")
    size, content_weight, style_weight, tv_weight = len(inputs["content"]), *inputs["weights"]
    losses = content_weight, [0], [style_weight], tv_weight, Content(), Style(), Smooth()
    options = {"testing": True} if "testing" in inspect.signature(style_transfer).parameters else {}
    given = ("graded", "content.png", "style.png", size, size, 1, *losses, cnn, torch.FloatTensor)
    found, stopped = None, None
    try:
        found = style_transfer(*given, **options)
    except Exception as problem:
        if not seen:
            raise
        stopped = explain(problem)
    result = found.detach().numpy() if isinstance(found, torch.Tensor) else None
    return {"images": np.stack(seen) if seen else None, "result": result, "stopped": stopped}


def notebook(inputs):
    """One of the four numbers of the course's notebook, on the real network; and that of a case drawn anew.

    The notebook's outputs are published, so they say something only of a function that is right elsewhere too.
    """
    import torch

    from data import load_network
    from data.style_images import style_image
    from image_utils.loading import open_image
    from image_utils.pixels import preprocess
    from stylize.features import extract_features

    loss, cnn = _loss(inputs["loss"]), load_network().features
    with torch.no_grad():
        names = ("tubingen", "starry_night")
        img, painting = (preprocess(open_image(style_image(name, sample=True)), 192) for name in names)
        feats, of_style = extract_features(img, cnn), extract_features(painting, cnn)
        if inputs["loss"] == "content":
            value = loss(6e-2, feats[3], extract_features(torch.zeros_like(img), cnn)[3])
        elif inputs["loss"] == "gram":
            value = loss.gram_matrix(of_style[5])
        elif inputs["loss"] == "style":
            layers = [1, 4, 6, 7]
            targets = [loss.gram_matrix(of_style[i].clone()) for i in layers]
            value = loss(feats, layers, targets, [300000, 1000, 15, 3])
        else:
            value = loss(img, 2e-2)
    return {"value": _number(value), "elsewhere": LOSSES[inputs["loss"]][2](inputs["case"])["value"]}


def find_loops(inputs):
    """Loops in a function of a file, by its text alone: nothing of the submission is imported here."""
    source = (Path(sys.path[0]) / inputs["file"]).read_bytes()
    return {"loops": [[loop.line, loop.what] for loop in loops.find_loops(source, inputs["function"])]}


def readable(inputs):
    """Which of some paths this process can open or list."""
    seen = []
    for path in inputs["paths"]:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY))  # opens folders too, for listing
            seen.append(path)
    return {"readable": seen}


LOSSES = {
    "content": ("content_loss", "ContentLoss", content),
    "gram": ("style_loss", "StyleLoss", gram),
    "style": ("style_loss", "StyleLoss", style),
    "tv": ("tv_loss", "TotalVariationLoss", tv),
}
CALLS = {function.__name__: function for function in (cases, update, notebook, find_loops, readable)}
CALLS |= technique_calls.all_calls(find) | {"script": script_calls.script}
