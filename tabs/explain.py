"""Explain: the network's classes for a photograph, maps of what speaks for one of them, and whether they tell."""

from functools import partial

import gradio as gr
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import attributions
from data.samples import imagenet_class_names
from explain.pictures import picture
from fooling_image import seen
from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.writing import save_figure
from networks.layers import default_layer, map_sizes
from tabs.visit import class_chooser, shown
from trust import deletion, insertion, make_controls, mu_fidelity
from trust.curves import score_curves, turn_numbers
from trust.maps import as_maps
from visualizers import GradCam, SaliencyMap

TOP = 5  # classes offered as buttons
STEPS = 24  # of the deletion slider
METHODS = {  # the library's own calls, which take a target; what else there is comes from `attributions`
    "saliency": (SaliencyMap().compute_saliency_maps, {}),
    "guided_backprop": (GradCam().guided_backprop, {"functional": "guide"}),
    "gradcam": (GradCam().grad_cam, {"normalize": "image"}),
    "guided_gradcam": (GradCam().guided_grad_cam, {"functional": "guide", "normalize": "image"}),
}
USUAL = ["saliency", "guided_backprop", "gradcam"]
NAMES = [*METHODS, *(name for name in attributions.NAMES if name not in METHODS)]


def call(method, layer, wanted, other):
    """Return a method as a function of (X, y, model), and how its call is written in Python."""
    if method not in METHODS:
        text = f"methods([{method!r}], layer={layer!r})[{method!r}](X, y, model)"
        return attributions.methods([method], layer=layer)[method], text
    function, keywords = METHODS[method]
    given = keywords | ({"layer": layer} if "gradcam" in method else {})
    text = "".join(f", {name}={value!r}" for name, value in given.items())
    if other is not None:
        given["target"] = lambda scores: scores[:, wanted] - scores[:, other]
        text += f", target=lambda scores: scores[:, {wanted}] - scores[:, {other}]"
    owner = type(function.__self__).__name__
    return partial(function, **given), f"{owner}().{function.__name__}(X, y, model{text})"


def look(visit, tell):
    """Let the network look at the photograph, and offer its classes and layers."""
    X, model, names = visit.X(), visit.model(), imagenet_class_names()
    try:
        probabilities = seen(X, model)["probabilities"]
    except (RuntimeError, AssertionError, ValueError) as problem:
        raise InputError(f"the network does not take this photograph: {str(problem).splitlines()[0]}") from None
    shares, visit.top = (values.tolist() for values in probabilities.topk(TOP))
    buttons = [f"{names[c]}  {100 * p:.1f} %" for c, p in zip(visit.top, shares, strict=True)]
    layers = gr.Dropdown(choices=list(map_sizes(model, X)), value=default_layer(model, X))
    return [*map(gr.Button, buttons), visit.top[0], None, layers]


def explain(visit, tell, wanted, other, methods, layer, opacity):
    """Compute the maps, those for the class and those for its difference from another, and draw them."""
    X, y, lines = visit.X(), torch.tensor([wanted]), []
    visit.maps, pairs = {}, [(method, None) for method in methods]
    if other is not None and other != wanted:
        pairs += [(method, other) for method in methods if method in METHODS]
    for place, (method, apart) in enumerate(pairs):
        tell(place, len(pairs))
        name = method if apart is None else f"{method}_difference"
        function, text = call(method, layer, wanted, apart)
        visit.maps[name] = np.asarray(function(X, y, visit.model())[0])
        lines.append(f'np.save("{name}.npy", {text}[0])')
    photograph = ["--images", visit.named(visit.photograph), "--labels", wanted]
    visit.note(
        "Explain",
        [["saliency_map.py", *photograph], ["gradcam.py", *photograph, "--layer", layer]],
        [f"y = torch.tensor([{wanted}])", *lines],
        *(
            "import numpy as np",
            "import torch",
            "from functools import partial",
            "from attributions import methods",
        ),
        "from visualizers import GradCam, SaliencyMap",
    )
    return draw(visit, tell, opacity)


def kind(name):
    """Say which of the pictures of `explain.pictures` a map is drawn as."""
    method = name.removesuffix("_difference")
    return method if method in METHODS else "saliency"


def draw(visit, tell, opacity):
    """Lay the maps over the photograph."""
    photograph = Image.fromarray(visit.pixels) if visit.maps else None
    drawn = {n: picture(visit.pixels, heat, kind(n)) for n, heat in visit.maps.items()}
    return [(Image.blend(photograph, Image.fromarray(d), opacity), n.replace("_", " ")) for n, d in drawn.items()]


def delete(visit, tell, method, wanted, layer, step):
    """Take the most important pixels away: the photograph without them, and the probability so far."""
    X, y, model, key = visit.X(), torch.tensor([wanted]), visit.model(), (method, wanted, layer, visit.network)
    if visit.curve[:1] != (key,):
        maps = as_maps(attributions.methods([method], layer=layer)[method](X, y, model), X)
        curve = score_curves(model, X, torch.zeros_like(X), y, maps, steps=STEPS)[0, 0]
        visit.curve = key, curve, turn_numbers(maps[0], STEPS, 0)[0]
    _, curve, turns = visit.curve
    axes = (figure := Figure(figsize=(5, 3), layout="constrained")).subplots()
    axes.plot(curve)
    axes.plot(step, curve[step], "o")
    axes.set(xlabel=f"parts of {STEPS} deleted", ylabel="probability of the class", ylim=(0, 1.02))
    gone = Image.fromarray(turns <= step)
    return Image.composite(Image.new("RGB", gone.size, "grey"), Image.fromarray(visit.pixels), gone), figure


def measure(visit, tell, wanted, methods, layer):
    """Measure the methods beside maps that know nothing; see `trust`."""
    X, y, model, values = visit.X(), torch.tensor([wanted]), visit.model(), []
    judged = attributions.methods(methods, layer=layer) | make_controls()
    maps = np.stack([as_maps(method(X, y, model), X)[0] for method in judged.values()])
    for place, number in enumerate((deletion, insertion, mu_fidelity)):
        tell(place, 3)
        values.append(number(model, X, y, maps)[:, 0].round(3).tolist())
    return [[name, *row] for name, *row in zip(judged, *values, strict=True)]


def files(visit, tell, opacity):
    """Write the raw maps and the figure, to be downloaded."""
    if not visit.maps:
        raise InputError("there are no maps yet; drop a photograph, or pick a sample")
    paths = [visit.folder / f"{name}.npy" for name in visit.maps]
    for path, heat in zip(paths, visit.maps.values(), strict=True):
        np.save(path, heat)
    pictures, titles = zip(*draw(visit, tell, opacity), strict=True)
    save_figure(
        image_grid([[visit.pixels, *pictures]], column_titles=["photograph", *titles]),
        visit.folder / "explained.png",
    )
    return [*map(str, paths), str(visit.folder / "explained.png")]


def build(listen):
    """Lay out the tab; returns what to do once there is a new photograph or network."""
    with gr.Row():
        buttons = [gr.Button("-", size="sm", min_width=120) for _ in range(TOP)]
    with gr.Row():
        wanted, other = (
            class_chooser("Class explained"),
            class_chooser("and not (the score's difference)", none="-"),
        )
        layer = gr.Dropdown([], label="Layer of Grad-CAM")
    with gr.Row():
        methods = gr.CheckboxGroup([(m.replace("_", " "), m) for m in NAMES], value=USUAL, label="Methods")
        opacity = gr.Slider(0, 1, 1, step=0.05, label="Map over photograph")
    maps = shown("Maps", "maps", columns=4)
    with gr.Accordion("Do these pixels matter? Delete the most important ones first", open=False), gr.Row():
        with gr.Column():
            method = gr.Dropdown(NAMES, value="gradcam", label="By the map")
            step = gr.Slider(0, STEPS, 0, step=1, label=f"Deleted, in {STEPS} parts")
            curve = gr.Plot(label="Probability of the class")
        rest = shown("What is left", "rest")
    with gr.Accordion("Numbers beside maps that know nothing", open=False):
        gr.Markdown("Of one photograph they are noise: compare many (`trust/`). Deletion: smaller is better.")
        numbers = gr.Dataframe(headers=["map", "deletion", "insertion", "mu-fidelity"], interactive=False)
        listen(gr.Button("Measure", size="sm").click, measure, [wanted, methods, layer], numbers)
    save, saved = (
        gr.Button("Raw maps (.npy) and figure", size="sm"),
        gr.Files(label="Files", interactive=False, height=110, elem_id="files"),
    )

    inputs = [wanted, other, methods, layer, opacity]
    for control in (wanted, other, methods, layer):
        listen(control.input, explain, inputs, maps)
    for place, button in enumerate(buttons):

        def chosen(visit, tell, *rest, place=place):
            if not visit.top:
                raise InputError("there is no photograph yet; drop one, or pick a sample")
            return visit.top[place], explain(visit, tell, visit.top[place], *rest[1:])

        listen(button.click, chosen, inputs, [wanted, maps])
    listen(opacity.release, draw, opacity, maps)
    for event in (step.release, method.input):
        listen(event, delete, [method, wanted, layer, step], [rest, curve])
    listen(save.click, files, opacity, saved)
    return lambda event: listen(
        listen(event, look, None, [*buttons, wanted, other, layer]).success, explain, inputs, maps
    )
