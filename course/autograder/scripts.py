"""The root scripts, marked by what they ask Captum for and what they draw; see `script_calls`."""

from functools import partial

import numpy as np
from PIL import Image
from scipy.stats import rankdata

from course.autograder.judging import RIGHT, Check, Task, Verdict, wrong
from data.samples import load_sample_photographs

NUM, SIDE = 5, 224  # the scripts' photographs
COARSE = 13  # side of the late layer's maps
FIGURES = {  # of the course; one with another name shows what was computed last
    "saliency_map", "guided_backprop", "gradcam", "guided_gradcam", "layer_activation_captum", "int_grads_captum",
    "saliency_captum", "guided_backprop_captum", "guided_gradcam_captum", "layer_gradcam_captum",
    "layer_conductance_captum",
}  # fmt: skip
LATE = "features.12"  # the layer that the course's script hands to guided Grad-CAM


def _inputs(script, rng):
    X, y, _ = load_sample_photographs()
    small = rng.random((NUM, COARSE, COARSE)).astype(np.float32)
    cam = np.stack([Image.fromarray(one).resize((SIDE, SIDE), Image.BICUBIC) for one in small])
    details = rng.standard_normal((NUM, SIDE, SIDE, 3)).astype(np.float32)
    return {"script": script, "X": X[:NUM], "y": y[:NUM], "small": small, "cam": cam, "details": details}


def _captum(method, layer, inputs, answers):
    """The method was asked about the photographs' classes, and a figure came after it."""
    calls = [(i, e) for i, e in enumerate(answers["events"]) if e.get("method") == method]
    ended = f"; the script ended with {answers['stopped']}" if answers["stopped"] else ""
    if not calls:
        used = ", ".join(sorted({str(e["method"]) for e in answers["events"] if "method" in e})) or "none"
        return wrong(f"Captum's {method} was not used (used: {used}){ended}")
    right = [(i, e) for i, e in calls if not layer or e["layer"].startswith(layer)]
    if not right:
        return wrong(f"Captum's {method} was given another layer, '{calls[-1][1]['layer']}' instead of '{layer}'")
    targets, labels = [t for _, e in right for t in e["targets"]], inputs["y"].tolist()
    if not any(targets[i : i + len(labels)] == labels for i in range(len(targets))):
        return wrong(f"Captum's {method} was given another target than the photographs' classes{ended}")
    figures = [event["figure"] for event in answers["events"][right[0][0] :] if "figure" in event]
    own = f"{method.lower()}captum" in (figure.replace("_", "") for figure in figures)
    if own or (figures and figures[0] not in FIGURES):
        return RIGHT
    return Verdict(0.5, f"Captum's {method} was used rightly, but no figure was written afterwards{ended}")


def _product(inputs, answers):
    """Guided Grad-CAM was drawn, in any brightness: with whatever contrast, its pixels are in the same order."""
    drawn = [np.asarray(p, np.float64) for e in answers["events"] for p in e.get("pictures", ())]
    ranks = [rankdata(p) for p in drawn if p.std() > 0]
    products = inputs["details"] * inputs["cam"][..., None]
    step = SIDE // len(drawn[0]) if drawn else 1

    def is_drawn(product):
        wanted = rankdata(product[::step, ::step])
        return any(np.corrcoef(rank, wanted)[0, 1] > 0.99 for rank in ranks if rank.size == wanted.size)

    if all(is_drawn(product) for product in products):
        return RIGHT
    ended = f"; the script ended with {answers['stopped']}" if answers["stopped"] else ""
    return wrong(
        f"no figure shows the product of Grad-CAM and guided backprop for the photographs' classes{ended}"
    )


def tasks():
    """List the tasks of the root scripts that are marked."""

    def script(name, *checks):
        return Task("script", partial(_inputs, name), checks, name)

    def captum(part, method, points, layer=""):
        return Check(part, f"Captum's {method}", points, partial(_captum, method, layer))

    return [
        script("saliency_map.py", captum("saliency_captum", "Saliency", 3)),
        script(
            "gradcam.py",
            Check("gradcam", "Guided Grad-CAM: product", 1, _product),
            captum("gradcam_captum", "GuidedBackprop", 1),
            captum("gradcam_captum", "GuidedGradCam", 2, LATE),
            captum("gradcam_captum", "LayerGradCam", 1),
            captum("gradcam_captum", "LayerConductance", 1),
        ),
    ]
