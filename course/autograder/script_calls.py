"""Running a submission's root script, for `calls`: what it asks Captum for, and what it draws.

Nothing is explained in earnest: Captum's methods and the submission's own return random numbers of the right
shape, so that a script shows what it does even where a part is not written, and within seconds.
"""

import contextlib
import inspect
import os
import re
import runpy
import sys
from pathlib import Path

import handed_in
import numpy as np
import torch
import torchvision
from captum import attr
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from PIL import Image

EVERY = 8  # every which pixel of drawn pictures comes back
METHODS = {
    ("visualizers.saliency_map", "SaliencyMap"): {"compute_saliency_maps": "cam"},
    ("visualizers.gradcam", "GradCam"): {"grad_cam": "cam", "guided_backprop": "details"},
}


def script(inputs):
    """Run a script as a person would.

    Returns:
        dict: events, a list of {"method", "layer", "targets"} for calls of Captum and {"figure", "pictures"}, in
        order; and stopped, what ended it early.
    """
    events = []
    torchvision.models.squeezenet1_1 = lambda *args, **kwargs: handed_in.network()
    _course_file(inputs)
    _replace_captum(events)
    _replace_figures(events)
    for (module, name), methods in METHODS.items():
        with contextlib.suppress(Exception, SystemExit):  # what is broken may not be needed
            class_ = handed_in.find(module, name)
            for method, kind in methods.items():
                setattr(class_, method, _stand_in(inputs, kind, class_, method))
    sys.argv[:] = [inputs["script"]]
    stopped = None
    try:
        runpy.run_path(str(Path(sys.path[0]) / inputs["script"]), run_name="__main__")
    except SystemExit as end:
        stopped = f"SystemExit: {end.code} ({inputs['script']})" if end.code else None
    except Exception as problem:  # noqa: BLE001  (a submission may raise anything)
        stopped = handed_in.explain(problem)
    return {"events": events, "stopped": stopped}


def _course_file(inputs):
    """Put the photographs where the course's skeleton loads them from."""
    names = np.empty((), dtype=object)
    names[()] = {i: f"class {i}" for i in range(1000)}
    Path("data").mkdir()
    np.savez("data/imagenet_val_25.npz", X=inputs["X"], y=inputs["y"], label_map=names)


def _stand_in(inputs, kind, class_, name):
    """Return a method that looks up what belongs to each label; a layer's maps are as large as the real."""
    real, as_tensor = getattr(class_, name), name == "compute_saliency_maps"
    rows = {int(label): i for i, label in enumerate(inputs["y"])}

    def method(self, X, y, *args, **kwargs):
        values = inputs[kind]
        if kwargs.get("upsampling", "to the image's size") is None:
            with contextlib.suppress(Exception):  # a part that is not written has no size
                size = real(self, X, y, *args, **kwargs).shape[:0:-1]
                values = np.stack([Image.fromarray(one).resize(size, Image.BICUBIC) for one in inputs["small"]])
        nothing = np.zeros_like(values[0])
        found = np.stack([values[rows[int(label)]] if int(label) in rows else nothing for label in y])
        return torch.from_numpy(found) if as_tensor else found

    return method


def _replace_captum(events):
    def replace(class_):
        signature = inspect.signature(class_.attribute)

        def attribute(self, *args, **kwargs):
            given = signature.bind(self, *args, **kwargs).arguments
            images, targets = given["inputs"], given.get("target")
            images = images[0] if isinstance(images, tuple) else images
            layer = getattr(self, "layer", None) or getattr(getattr(self, "grad_cam", None), "layer", None)
            model = getattr(self, "model", None) or self.forward_func
            names = {module: name for name, module in getattr(model, "__self__", model).named_modules()}
            targets = np.broadcast_to(np.asarray(-1 if targets is None else targets), len(images))
            called = {"method": class_.__name__, "layer": names.get(layer, "")}
            events.append(called | {"targets": targets.astype(int).tolist()})
            return torch.rand(_shape(class_, model, layer, images))

        class_.attribute = attribute

    for class_ in {c for c in vars(attr).values() if inspect.isclass(c) and "attribute" in vars(c)}:
        replace(class_)


def _shape(class_, model, layer, images):
    """Return the shape of what a method of Captum returns."""
    if layer is None or class_.__name__ == "GuidedGradCam":
        return images.shape
    shapes = []
    hook = layer.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    with torch.no_grad():
        model(images[:1])
    hook.remove()
    channels = 1 if class_.__name__ == "LayerGradCam" else shapes[0][1]
    return (len(images), channels, *shapes[0][2:])


def _replace_figures(events):
    def savefig(self, path, *args, **kwargs):
        drawn = [np.ma.getdata(image.get_array()) for axes in self.axes for image in axes.images]
        pictures = [a[::EVERY, ::EVERY, :3].astype(np.float32) for a in drawn if a.ndim == 3]
        name = re.sub(r"-\w{8}$", "", Path(str(path)).stem.lstrip("."))  # a file that is moved into its place
        events.append({"figure": name, "pictures": pictures})
        if isinstance(path, str | os.PathLike):
            Path(path).write_bytes(b"")

    Figure.savefig = savefig
    FigureCanvasBase.draw_idle = lambda self, *args: None  # pyplot draws once more what it saved
