"""Explain: the network's classes for a photograph, and maps of what speaks for one of them."""

import gradio as gr
import numpy as np
import torch
from PIL import Image

from data.samples import imagenet_class_names
from explain.pictures import picture
from fooling_image import seen
from image_utils.errors import InputError
from networks.layers import default_layer, map_sizes
from tabs.visit import QUICK, answered, class_chooser
from visualizers import GradCam, SaliencyMap

TOP = 5
LAYERED = {"gradcam", "guided_gradcam"}
# What each method is called, whose method it is, and its keywords; `layer` is that of the page.
METHODS = {
    "saliency": (SaliencyMap, "compute_saliency_maps", {}),
    "guided_backprop": (GradCam, "guided_backprop", {"functional": "guide"}),
    "gradcam": (GradCam, "grad_cam", {"normalize": "image"}),
    "guided_gradcam": (GradCam, "guided_grad_cam", {"functional": "guide", "normalize": "image"}),
}
USUAL = ["saliency", "guided_backprop", "gradcam"]


def keywords(method, layer, target):
    """Return the keywords of a method, each with its value and as it is written."""
    given = {name: (value, repr(value)) for name, value in METHODS[method][2].items()}
    if method in LAYERED:
        given["layer"] = layer, repr(layer)
    if target:
        a, b = target
        given["target"] = (lambda s: s[:, a] - s[:, b]), f"lambda scores: scores[:, {a}] - scores[:, {b}]"
    return given


def attribute(visit, method, wanted, other, layer):
    """Compute a map of the photograph, ndarray (H, W) or (H, W, 3)."""
    owner, name, _ = METHODS[method]
    given = {key: value for key, (value, _) in keywords(method, layer, other and (wanted, other)).items()}
    maps = getattr(owner(), name)(visit.X(), torch.tensor([wanted]), visit.model(), **given)
    return np.asarray(maps[0])


def note(visit, methods, wanted, other, layer):
    """Keep the command lines and the Python lines that give the same maps."""
    photograph = ["--images", visit.named(visit.photograph), "--labels", wanted]
    lines = [f"y = torch.tensor([{wanted}])"]
    for method in methods:
        owner, name, _ = METHODS[method]
        given = keywords(method, layer, other and (wanted, other))
        text = "".join(f", {key}={written}" for key, (_, written) in given.items())
        lines.append(f'np.save("{method}.npy", {owner.__name__}().{name}(X, y, model{text})[0])')
    visit.note(
        "Explain",
        [["saliency_map.py", *photograph], ["gradcam.py", *photograph, "--layer", layer]],
        lines,
        "import numpy as np",
        "import torch",
        "from visualizers import GradCam, SaliencyMap",
    )


def look(visit):
    """Let the network look at the photograph, and offer its classes and layers."""
    if visit.pixels is None:
        return [gr.skip()] * (TOP + 2)
    model = visit.model()
    try:
        probabilities = seen(visit.X(), model)["probabilities"]
    except (RuntimeError, AssertionError, ValueError) as problem:
        raise InputError(f"the network does not take this photograph: {str(problem).splitlines()[0]}") from None
    shares, visit.top = (values.tolist() for values in probabilities.topk(TOP))
    names = imagenet_class_names()
    buttons = [f"{names[c]}  {100 * p:.1f} %" for c, p in zip(visit.top, shares, strict=True)]
    layers = gr.Dropdown(choices=list(map_sizes(model, visit.X())), value=default_layer(model, visit.X()))
    return [*map(gr.Button, buttons), visit.top[0], layers]


def explain(visit, wanted, other, methods, layer, opacity):
    """Compute the maps and draw them."""
    if visit.pixels is None or wanted is None:
        return [gr.skip()] * 2
    visit.maps = {("for", m): attribute(visit, m, wanted, None, layer) for m in methods}
    if other is not None and other != wanted:
        visit.maps |= {("not", m): attribute(visit, m, wanted, other, layer) for m in methods}
    note(visit, methods, wanted, other, layer)
    return draw(visit, opacity)


def draw(visit, opacity):
    """Lay the maps over the photograph: the pictures for the class, and those of the difference."""
    photograph = Image.fromarray(visit.pixels) if visit.pixels is not None else None
    rows = {"for": [], "not": []}
    for (row, method), heat in visit.maps.items():
        drawn = Image.fromarray(picture(visit.pixels, heat, method))
        rows[row].append((Image.blend(photograph, drawn, opacity), method.replace("_", " ")))
    return rows["for"], gr.Gallery(rows["not"], visible=bool(rows["not"]))


def files(visit):
    """Write the raw maps, to be downloaded."""
    if not visit.maps:
        raise InputError("there are no maps yet; drop a photograph, or pick a sample")
    paths = []
    for (row, method), heat in visit.maps.items():
        paths.append(str(visit.folder / f"{method}{'_difference' * (row == 'not')}.npy"))
        np.save(paths[-1], heat)
    return paths


def build():
    """Lay out the tab; returns the listener that looks at a new photograph, and its outputs."""
    gr.Markdown("What does the network see? Click a class to see what speaks for it.")
    with gr.Row():
        buttons = [gr.Button("-", size="sm", min_width=120) for _ in range(TOP)]
    with gr.Row():
        wanted = class_chooser("Class explained")
        other = class_chooser("and not (the score's difference)", none="-")
        layer = gr.Dropdown([], label="Layer of Grad-CAM")
    with gr.Row():
        methods = gr.CheckboxGroup([(m.replace("_", " "), m) for m in METHODS], value=USUAL, label="Methods")
        opacity = gr.Slider(0, 1, 1, step=0.05, label="Map over photograph")
    options = {
        "columns": 4,
        "object_fit": "contain",
        "height": "auto",
        "format": "png",
        "interactive": False,
        "buttons": ["fullscreen"],
    }
    maps = gr.Gallery(label="For the class", elem_id="maps", **options)
    differences = gr.Gallery(label="For the class and not the other", visible=False, **options)
    save = gr.Button("Raw maps (.npy)", size="sm")
    saved = gr.File(label="Files", file_count="multiple", interactive=False, height=140, elem_id="files")

    inputs, outputs = [wanted, other, methods, layer, opacity], [maps, differences]
    for control in (wanted, other, methods, layer):
        control.input(answered(explain), inputs, outputs, **QUICK)
    for place, button in enumerate(buttons):

        def click(visit, _, *rest, place=place):
            if not visit.top:
                raise InputError("there is no photograph yet; drop one, or pick a sample")
            return visit.top[place], *explain(visit, visit.top[place], *rest)

        button.click(answered(click), inputs, [wanted, *outputs], **QUICK)
    opacity.release(answered(draw), opacity, outputs, **QUICK)
    save.click(answered(files), None, saved, **QUICK)

    def fresh(event):
        event.success(answered(look), None, [*buttons, wanted, layer], **QUICK).success(
            answered(explain), inputs, outputs, **QUICK
        )

    return fresh
