"""The calls of the visualizers, for `calls`: the same rules hold here."""

import functools
import importlib
from pathlib import Path

import numpy as np

RECORDED = ("Saliency", "GuidedBackprop", "GuidedGradCam", "LayerGradCam", "LayerConductance", "LayerActivation")


def _network():
    from data import load_network

    return load_network()


def _arguments(inputs):
    import torch

    return torch.from_numpy(inputs["X"]), torch.from_numpy(inputs["y"]), _network()


def _array(value, what):
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{what} returned {type(value).__name__}")
    return value.astype(np.float32)


def saliency(inputs, find):
    """Saliency maps."""
    compute = find("visualizers", "saliency_map", "SaliencyMap")().compute_saliency_maps
    return {"maps": _array(compute(*_arguments(inputs)), "compute_saliency_maps")}


def custom_relu(inputs, find):
    """CustomReLU both ways."""
    import torch

    rule = find("visualizers", "gradcam", "CustomReLU")
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    y = rule.apply(x)
    (gradient,) = torch.autograd.grad(y, x, torch.from_numpy(inputs["upstream"]))
    return {"value": _array(y, "CustomReLU"), "gradient": _array(gradient, "CustomReLU.backward")}


def guided_backprop(inputs, find):
    """Guided backpropagation."""
    method = find("visualizers", "gradcam", "GradCam")().guided_backprop
    return {"maps": _array(method(*_arguments(inputs)), "guided_backprop")}


def grad_cam(inputs, find):
    """Grad-CAM."""
    method = find("visualizers", "gradcam", "GradCam")().grad_cam
    X, y, model = _arguments(inputs)
    model.classifier[1].bias.data -= inputs["lowered"]
    return {"maps": _array(method(X, y, model), "grad_cam")}


def guided_grad_cam(inputs, find):
    """Guided Grad-CAM, on right factors: only the product is asked for."""
    class_ = find("visualizers", "gradcam", "GradCam")
    cam, details = inputs["cam"], inputs["details"]

    class WithRightFactors(class_):
        def grad_cam(self, *args, **kwargs):
            return cam.copy()

        def guided_backprop(self, *args, **kwargs):
            return details.copy()

    return {"maps": _array(WithRightFactors().guided_grad_cam(*_arguments(inputs)), "guided_grad_cam")}


MAX_SEEN = 40  # images kept of what a network was shown


def _watched(seen):
    """Return the network, wrapped so that the first image of each call is kept in the list `seen`."""
    from torch import nn

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = _network()

        def forward(self, x):
            image = x[:1].detach().cpu().numpy().astype(np.float32)
            if len(seen) < MAX_SEEN and not (seen and np.array_equal(image, seen[-1])):  # asked twice is no step
                seen.append(image)
            return self.network(x)

    return Watched()


def fooling(inputs, find):
    """The fooling image, what the network was shown on the way, and whether the original was left alone."""
    import torch

    make = find("visualizers", "fooling_image", "FoolingImage")().make_fooling_image
    X, seen = torch.from_numpy(inputs["X"]), []
    before = X.clone()
    made = _array(make(X, inputs["target"], _watched(seen)), "make_fooling_image")
    return {"image": made, "images": np.concatenate(seen), "kept": bool(torch.equal(before, X))}


def class_visualization(inputs, find):
    """What the class visualization shows to the network, image by image."""
    import torch

    seen, names = [], {i: str(i) for i in range(1000)}
    create = find("visualizers", "class_visualization", "ClassVisualization")().create_class_visualization
    create(inputs["target"], names, _watched(seen), torch.FloatTensor, generate_plots=False, **inputs["keywords"])
    return {"images": np.concatenate(seen)}


def captum_script(inputs, find):
    """Run one function of a root script; what Captum returned to it, and the names of the figures it wrote.

    Figures are not drawn. A Captum method that runs inside another one is not counted.
    """
    import torch
    from captum import attr

    import image_utils.writing
    from command_line import Inputs

    results, written, depth = [], [], [0]

    def recording(name, attribute):
        @functools.wraps(attribute)
        def recorded(self, *args, **kwargs):
            depth[0] += 1
            try:
                result = attribute(self, *args, **kwargs)
            finally:
                depth[0] -= 1
            if depth[0] == 0:
                results.append((name, result.detach().cpu().numpy().astype(np.float32)))
            return result

        return recorded

    for name in RECORDED:
        method = getattr(attr, name)
        method.attribute = recording(name, method.attribute)
    image_utils.writing.save_figure = lambda figure, path, **options: written.append(Path(path).name)
    script = importlib.import_module(inputs["script"])
    photographs = list(inputs["X"])
    names = {int(label): str(label) for label in inputs["y"]}
    given = Inputs(_network(), photographs, inputs["y"], names, torch.device("cpu"), Path("figures"), 0)
    getattr(script, inputs["function"])(given, *inputs["arguments"])
    methods = sorted({name for name, _ in results})
    found = {f"{m}": np.concatenate([r for name, r in results if name == m]) for m in methods}
    return found | {"methods": methods, "written": written}


def all_calls(find):
    """Return dict from name to function of the inputs."""
    functions = (
        saliency,
        custom_relu,
        guided_backprop,
        grad_cam,
        guided_grad_cam,
        fooling,
        class_visualization,
        captum_script,
    )
    return {function.__name__: functools.partial(function, find=find) for function in functions}
