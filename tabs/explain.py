"""Explain: the network's classes for a photograph, maps of what speaks for one of them, and whether they tell."""

import gradio as gr
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import attributions
from data.samples import imagenet_class_names
from explain.judging import judge_batch
from explain.pictures import picture
from explain.shared_pass import METHODS, explain_batch
from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.writing import save_figure
from networks.layers import default_layer, map_sizes
from tabs.visit import class_chooser, shown
from trust.curves import score_curves, turn_numbers
from trust.judge import MEASURES
from trust.maps import as_maps
from trust.passes import counted

TOP = 5  # classes offered as buttons
STEPS = 24  # of the deletion slider
USUAL = ["saliency", "guided_backprop", "gradcam"]
SHOWN = [name for name in MEASURES if name != "grid"]  # which takes photographs of four classes
LINES = """
import numpy as np
import torch
from explain.shared_pass import explain_batch
"""
CALL = """
_, _, maps = explain_batch(model, X, torch.tensor([{wanted}]), {methods}, {layer!r}, other={other})
for name, heat in maps.items():
    np.save(name + "{ending}.npy", heat[0])
"""


def begin(visit, tell, methods, opacity):
    """Look at the photograph with the network, offer its classes and layers, and explain the first class."""
    X, model, names = visit.X(), visit.model(), imagenet_class_names()
    seen, layer = visit.seen(visit.pixels, TOP), default_layer(model, X)
    visit.top = list(seen)
    buttons = [gr.Button(f"{names[index]}  {100 * p:.1f} %") for index, p in seen.items()]
    layers = gr.Dropdown(choices=list(map_sizes(model, X)), value=layer)
    return [
        *buttons,
        visit.top[0],
        None,
        layers,
        explain(visit, tell, visit.top[0], None, methods, layer, opacity),
    ]


def explain(visit, tell, wanted, other, methods, layer, opacity):
    """Compute the maps, those for the class and those for its difference from another, and draw them."""
    X, model, lines = visit.X(), visit.model(), LINES
    parts = [("", None, methods)]
    if other not in (None, wanted):
        parts.append(("_difference", other, [method for method in methods if method in METHODS]))
    visit.maps = {}
    with counted(model, tell):
        for ending, apart, some in parts:
            _, _, maps = explain_batch(model, X, torch.tensor([wanted]), some, layer, other=apart)
            visit.maps |= {name + ending: heat[0] for name, heat in maps.items()}
            lines += CALL.format(wanted=wanted, methods=some, layer=layer, other=apart, ending=ending)
    photograph = ["--images", visit.named(visit.photograph), "--labels", wanted]
    visit.note("Explain", [["saliency_map.py", *photograph], ["gradcam.py", *photograph, "--layer", layer]], lines)
    return draw(visit, tell, opacity)


def draw(visit, tell, opacity):
    """Lay the maps over the photograph."""
    photograph = Image.fromarray(visit.pixels) if visit.maps else None
    drawn = {n: picture(visit.pixels, heat, n.removesuffix("_difference")) for n, heat in visit.maps.items()}
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
    with counted(visit.model(), tell):
        rows = judge_batch(visit.model(), visit.X(), torch.tensor([wanted]), methods, layer, 0)
    return [
        [name, *(round(row[key], 3) if row[key] is not None else None for key in SHOWN)]
        for name, (row,) in rows.items()
    ]


def files(visit, tell, opacity):
    """Write the raw maps and the figure, to be downloaded."""
    if not visit.maps:
        raise InputError("there are no maps yet; drop a photograph, or pick a sample")
    for name, heat in visit.maps.items():
        np.save(visit.folder / f"{name}.npy", heat)
    pictures, titles = zip(*draw(visit, tell, opacity), strict=True)
    figure = image_grid([[visit.pixels, *pictures]], column_titles=["photograph", *titles])
    save_figure(figure, visit.folder / "explained.png")
    written = [*(f"{name}.npy" for name in visit.maps), "explained.png"]
    return gr.update(value=[str(visit.folder / file) for file in written], visible=True)


def build(listen):
    """Lay out the tab; returns what to do once there is a new photograph or network."""
    with gr.Row():
        buttons = [gr.Button("-", size="sm", min_width=120) for _ in range(TOP)]
    with gr.Row():
        wanted = class_chooser("Class explained")
        other = class_chooser("and not (the score's difference)", none="-")
        layer = gr.Dropdown([], label="Layer of Grad-CAM")
    with gr.Row():
        named = [(name.replace("_", " "), name) for name in attributions.NAMES]
        methods = gr.CheckboxGroup(named, value=USUAL, label="Methods")
        opacity = gr.Slider(0, 1, 1, step=0.05, label="Map over photograph")
    maps = shown("Maps", "maps", columns=4)
    with gr.Accordion("Do these pixels matter? Delete the most important ones first", open=False), gr.Row():
        with gr.Column():
            method = gr.Dropdown(named, value="gradcam", label="By the map")
            step = gr.Slider(0, STEPS, 0, step=1, label=f"Deleted, in {STEPS} parts")
            curve = gr.Plot(label="Probability of the class")
        rest = shown("What is left", "rest")
    with gr.Accordion("Numbers beside maps that know nothing", open=False):
        gr.Markdown("Of one photograph they are noise: compare many with `compare_maps.py`; see docs/trust.md.")
        numbers = gr.Dataframe(headers=["map", *(MEASURES[name].title for name in SHOWN)], interactive=False)
        listen(gr.Button("Measure", size="sm").click, measure, [wanted, methods, layer], numbers)
    save = gr.Button("Raw maps (.npy) and figure", size="sm")
    saved = gr.Files(label="Files", interactive=False, visible=False, elem_id="files")

    inputs = [wanted, other, methods, layer, opacity]
    for control in (wanted, other, methods, layer):
        listen(control.input, explain, inputs, maps)
    for place, button in enumerate(buttons):

        def chosen(visit, tell, *rest, place=place):
            visit.X()  # there must be a photograph, and then there are classes
            return visit.top[place], explain(visit, tell, visit.top[place], *rest[1:])

        listen(button.click, chosen, inputs, [wanted, maps])
    listen(opacity.release, draw, opacity, maps)
    for event in (step.release, method.input):
        listen(event, delete, [method, wanted, layer, step], [rest, curve])
    listen(save.click, files, opacity, saved)
    return lambda event: listen(event, begin, [methods, opacity], [*buttons, wanted, other, layer, maps])
