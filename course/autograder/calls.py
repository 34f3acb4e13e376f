"""What a confined child does with a submission: call its functions on the grader's inputs, answer.

Runs inside the child, next to the submission, so nothing here is secret and nothing it says is trusted: no
expected value, no comparison and no points. Each call takes a dict of arrays and plain values and returns another.
"""

import inspect
import os
import sys

import handed_in
import numpy as np
import script_calls
import torch
import wire
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

MAX_SEEN = 150  # images that a network may be shown; the course's loops show it a hundred
LOSSES = {  # file, class, what has a gradient, and the call of a made object with that
    "content": ("content", "ContentLoss", "current", lambda loss, x, c: loss(c["weight"], x, c["original"])),
    "gram": ("style", "StyleLoss", "features", lambda loss, x, c: loss.gram_matrix(x, **c["options"])),
    "style": (
        "style",
        "StyleLoss",
        "features",
        lambda loss, x, c: loss(x, c["layers"], c["targets"], c["weights"]),
    ),
    "tv": ("tv", "TotalVariationLoss", "img", lambda loss, x, c: loss(x, c["weight"])),
}


def serve(call, inputs, code, file):
    """Run one of CALLS with the folder of the submission in reach; write what it returned, or how it failed."""
    sys.path.insert(0, str(code))
    sys.dont_write_bytecode = True
    try:
        values = CALLS[call](inputs)
    except BaseException as problem:  # noqa: BLE001  (a submission may raise anything, SystemExit included)
        values = {"error": handed_in.explain(problem)}
    answer(file, values)


def answer(file, values):
    """Write an answer to a descriptor."""
    data = wire.pack(values)
    while data:
        data = data[os.write(file, data) :]


def _array(value, dtype=np.float32):
    """Turn what was returned into an array, whatever kind of number it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise TypeError(f"{type(value).__name__} was returned instead of a Tensor")
    return np.asarray(value, dtype=dtype)


def _tensors(value):
    """Arrays as Tensors, in lists and dicts too."""
    if isinstance(value, dict):
        return {key: _tensors(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_tensors(inside) for inside in value]
    return torch.from_numpy(value).float() if isinstance(value, np.ndarray) else value


def _stand_in(features, normalize=True):
    """In place of a submission's Gram matrix."""
    means = features.mean((2, 3))
    return means[:, :, None] * means[:, None, :] * (1 if normalize else features[0].numel())


def _loss(kind):
    file, name, leaf, call = LOSSES[kind]
    return handed_in.find(f"style_modules.{file}_loss", name)(), leaf, call


class _Count(TorchDispatchMode):
    operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        return func(*args, **(kwargs or {}))


def _evaluate(kind, case):
    """A loss on a case: value; gradients, None where there are none; operations, but for those of a first call."""
    loss, leaf, call = _loss(kind)
    if case.get("stand_in"):
        object.__setattr__(loss, "gram_matrix", _stand_in)
    case = _tensors(case)
    leaves = case[leaf] if isinstance(case[leaf], list) else [case[leaf]]
    for tensor in leaves:
        tensor.requires_grad_()
    if kind == "tv":
        call(loss, case[leaf], case)  # a kernel may be made once
    with _Count() as count:
        value = call(loss, case[leaf], case)
    gradients, upstream = [None] * len(leaves), case.get("upstream", torch.ones(()))
    if getattr(value, "requires_grad", False) and upstream.shape in (value.shape, ()):
        found = torch.autograd.grad((value * upstream).sum(), leaves, allow_unused=True)
        gradients = [None if g is None else g.numpy() for g in found]
    return {"value": _array(value, np.float64), "gradients": gradients, "operations": count.operations}


def cases(inputs):
    """A loss on several cases."""
    return {"cases": [_evaluate(inputs["loss"], case) for case in inputs["cases"]]}


def notebook(inputs):
    """One of the four numbers of the course's notebook, on the real network; and that of a case drawn anew.

    The notebook's outputs are published, so they say something only of a function that is right elsewhere too.
    """
    from data.style_images import style_image
    from image_utils.loading import open_image
    from image_utils.pixels import preprocess
    from stylize.features import extract_features

    (loss, _, _), cnn, kind = _loss(inputs["loss"]), handed_in.network().features, inputs["loss"]
    with torch.no_grad():
        names = ("tubingen", "starry_night")
        img, painting = (preprocess(open_image(style_image(name, sample=True)), 192) for name in names)
        if kind == "content":
            value = loss(6e-2, *(extract_features(x, cnn, up_to=3)[3] for x in (img, torch.zeros_like(img))))
        elif kind == "gram":
            value = loss.gram_matrix(extract_features(painting, cnn, up_to=5)[5])
        elif kind == "style":
            feats, of_style = (extract_features(x, cnn, up_to=7) for x in (img, painting))
            targets = [loss.gram_matrix(of_style[i].clone()) for i in (1, 4, 6, 7)]
            value = loss(feats, [1, 4, 6, 7], targets, [300000, 1000, 15, 3])
        else:
            value = loss(img, 2e-2)
    return {"value": _array(value, np.float64), "elsewhere": _evaluate(kind, inputs["case"])["value"]}


class _Called(nn.Module):
    """A function that can be called as a module, too."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def update(inputs):
    """Every image whose gradient `style_transfer` asks for, on simple losses in place of its own, and the last.

    These losses are others than the assignment's, because a submission can read them here.
    """
    style_transfer, seen = handed_in.find("style_utils", "style_transfer"), []

    def rounded(x):
        """Sum sqrt(1 + x^2)."""
        return torch.hypot(x, torch.ones_like(x)).sum()

    def content(content_weight, content_current, content_original):
        return content_weight * rounded(content_current - content_original)

    def gram_matrix(features, normalize=True):
        return features.mean((2, 3))

    def style(feats, style_layers, style_targets, style_weights):
        pairs = zip(style_layers, style_targets, style_weights, strict=True)
        return sum(w * rounded(gram_matrix(feats[i]) - target) for i, target, w in pairs)

    def smooth(img, tv_weight):
        value, image = tv_weight * rounded(img), img.detach().clone().numpy()
        if value.requires_grad:
            value.register_hook(lambda gradient: seen.append(image))
        return value

    content_loss, style_loss, tv_loss = (_Called(function) for function in (content, style, smooth))
    style_loss.gram_matrix, convolutions = gram_matrix, []
    for weight, bias in _tensors(inputs["convolutions"]):
        convolutions.append(nn.Conv2d(weight.shape[1], weight.shape[0], 1))
        convolutions[-1].weight.data, convolutions[-1].bias.data = weight[:, :, None, None], bias
    cnn = nn.Sequential(*convolutions).requires_grad_(False)
    for name in ("content", "style"):
        Image.fromarray(inputs[name]).save(f"{name}.png")
    size, (content_weight, style_weight, tv_weight) = len(inputs["content"]), inputs["weights"]
    losses = content_weight, [0], [style_weight], tv_weight, content_loss, style_loss, tv_loss
    options = {"testing": True} if "testing" in inspect.signature(style_transfer).parameters else {}
    found, stopped = None, None
    try:
        found = style_transfer(
            "graded", "content.png", "style.png", size, size, 1, *losses, cnn, torch.FloatTensor, **options
        )
    except Exception as problem:
        if not seen:
            raise
        stopped = handed_in.explain(problem)
    result = found.detach().numpy() if isinstance(found, torch.Tensor) else None
    return {"images": np.stack(seen) if seen else None, "result": result, "stopped": stopped}


def _kinds(module):
    """List what a network is made of; the course's own skeleton leaves functions among its modules."""
    children = getattr(module, "_modules", {}).values()
    return [type(child).__name__ for child in children] + [kind for child in children for kind in _kinds(child)]


def maps(inputs):
    """What a method makes of images and labels, and whether the network's modules are what they were.

    The images and the network's parameters require a gradient where the course's script hands them over so; who
    wrote for the other way fails there, and is asked once more.
    """
    method, problem = getattr(handed_in.find(inputs["module"], inputs["class"])(), inputs["method"]), None
    for gradient in (inputs["gradient"], not inputs["gradient"]):
        X, model = torch.from_numpy(inputs["X"]).requires_grad_(gradient), handed_in.network()
        model.requires_grad_(gradient)
        model.classifier[1].bias.data -= inputs.get("lowered", 0.0)
        before = _kinds(model)
        try:
            found = _array(method(X, torch.from_numpy(inputs["y"]), model))
            return {"maps": found, "left": _kinds(model) != before}
        except (RuntimeError, AttributeError, TypeError) as failure:
            problem = problem or failure
    raise problem


def custom_relu(inputs):
    """CustomReLU both ways."""
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    y = handed_in.find("visualizers.gradcam", "CustomReLU").apply(x)
    (gradient,) = torch.autograd.grad(y, x, torch.from_numpy(inputs["upstream"]))
    return {"value": _array(y), "gradient": _array(gradient)}


class _Watch(TorchDispatchMode):
    """Keeps the images that a network's first convolution is shown.

    By what the dispatcher is given, since torch.func hands wrapped tensors to the network.
    """

    def __init__(self, model):
        super().__init__()
        self.shape, self.images = next(model.parameters()).shape, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution.default and args[1].shape == self.shape:
            image = args[0][:1].detach().cpu().numpy().astype(np.float32)
            if len(self.images) > MAX_SEEN:
                raise RuntimeError("the loop does not end")
            if not (self.images and np.array_equal(image, self.images[-1])):  # asked twice is no step
                self.images.append(image)
        return func(*args, **(kwargs or {}))


def fooling(inputs):
    """The fooling image, what the network was shown on the way, and whether the original was left alone."""
    make = handed_in.find("visualizers.fooling_image", "FoolingImage")().make_fooling_image
    model, X = handed_in.network(), torch.from_numpy(inputs["X"])
    before = X.clone()
    if inputs["other"] is not None:  # a class that stays on top, whatever happens
        model.classifier[1].bias.data[inputs["other"]] += 1e4
    with _Watch(model) as seen:
        made = _array(make(X, inputs["target"], model))
    return {"image": made, "images": np.concatenate(seen.images), "kept": bool(torch.equal(before, X))}


def class_visualization(inputs):
    """What the class visualization shows to the network, image by image."""
    model, names = handed_in.network(), {i: str(i) for i in range(1000)}
    create = handed_in.find("visualizers.class_visualization", "ClassVisualization")().create_class_visualization
    with _Watch(model) as seen:
        create(inputs["target"], names, model, torch.FloatTensor, generate_plots=False, **inputs["keywords"])
    return {"images": np.concatenate(seen.images)}


FUNCTIONS = cases, notebook, update, maps, custom_relu, fooling, class_visualization, script_calls.script
CALLS = {function.__name__: function for function in FUNCTIONS}
