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
NAMED = [(name.replace("_", " "), name) for name in attributions.NAMES]
SHOWN = [name for name in MEASURES if name != "grid"]  # which takes photographs of four classes
COMMANDS = """\
python saliency_map.py --images {photograph} --labels {wanted} --network {network} --weights {weights}
python gradcam.py --layer {layer} --images {photograph} --labels {wanted} --network {network} --weights {weights}
"""
LINES = """\
import numpy as np
import torch
from data import load_network
from explain.shared_pass import explain_batch
from image_utils.loading import load_image
from image_utils.pixels import to_input

model, X = load_network({network}, {weights}), to_input(load_image({photograph}, 224)[None])
for ending, other, methods in {parts}:
    _, _, maps = explain_batch(model, X, torch.tensor([{wanted}]), methods, {layer}, other=other)
    for name, heat in maps.items():
        np.save(name + ending + ".npy", heat[0])
"""


def begin(visit, tell, methods, opacity):
    """Look at the photograph with the network, offer its classes and layers, and explain the first class."""
    if visit.pixels is None:  # the network was chosen first
        return gr.skip()
    X, model, names = visit.X(), visit.model(), imagenet_class_names()
    seen, layer = visit.seen(visit.pixels, TOP), default_layer(model, X)
    visit.top = list(seen)
    classes = gr.Dataset(samples=[[f"{names[index]}  {100 * p:.1f} %"] for index, p in seen.items()])
    layers = gr.Dropdown(choices=list(map_sizes(model, X)), value=layer)
    return classes, visit.top[0], None, layers, explain(visit, tell, visit.top[0], None, methods, layer, opacity)


def pick(visit, tell, place, *rest):
    """Explain one of the classes offered."""
    return visit.top[place], explain(visit, tell, visit.top[place], *rest)


def explain(visit, tell, wanted, other, methods, layer, opacity):
    """Compute the maps, those for the class and those for its difference from another, and draw them."""
    X, model, parts, visit.maps = visit.X(), visit.model(), [("", None, methods)], {}
    if other not in (None, wanted):
        parts.append(("_difference", other, [method for method in methods if method in METHODS]))
    with counted(model, tell):
        for ending, apart, some in parts:
            _, _, maps = explain_batch(model, X, torch.tensor([wanted]), some, layer, other=apart)
            visit.maps |= {name + ending: heat[0] for name, heat in maps.items()}
    visit.note("Explain", COMMANDS, LINES, wanted=wanted, layer=layer, parts=parts)
    return draw(visit, tell, opacity)


def draw(visit, tell, opacity):
    """Lay the maps over the photograph."""

    def over(name, heat):
        drawn = Image.fromarray(picture(visit.pixels, heat, name.removesuffix("_difference")))
        return Image.blend(Image.fromarray(visit.pixels), drawn, opacity)

    return [(over(name, heat), name.replace("_", " ")) for name, heat in visit.maps.items()]


def delete(visit, tell, method, wanted, layer, step):
    """Take the most important pixels away: the photograph without them, and the probability so far."""
    X, model, key = visit.X(), visit.model(), (visit.photograph, visit.network, method, wanted, layer)
    if visit.curve[:1] != (key,):
        y = torch.tensor([wanted])
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
        judged = judge_batch(visit.model(), visit.X(), torch.tensor([wanted]), methods, layer, 0)
    return [[name, *(row[key] and round(row[key], 3) for key in SHOWN)] for name, (row,) in judged.items()]


def files(visit, tell, opacity):
    """Write the raw maps and the figure, to be downloaded."""
    visit.X()  # there must be a photograph, and then there are maps
    written = {visit.folder / f"{name}.npy": heat for name, heat in visit.maps.items()}
    for file, heat in written.items():
        np.save(file, heat)
    pictures, titles = zip((visit.pixels, "photograph"), *draw(visit, tell, opacity), strict=True)
    save_figure(image_grid([pictures], column_titles=titles), figure := visit.folder / "explained.png")
    return gr.update(value=[*map(str, written), str(figure)], visible=True)


def build(listen):
    """Lay out the tab; returns what to do once there is a new photograph or network."""
    classes = gr.Dataset(label="Seen; click to explain", components=["textbox"], samples=[], type="index")
    with gr.Row():
        wanted = class_chooser("Class explained")
        other = class_chooser("and not (the score's difference)", none=[("-", None)])
        layer = gr.Dropdown([], label="Layer of Grad-CAM")
    with gr.Row():
        methods = gr.CheckboxGroup(NAMED, value=USUAL, label="Methods")
        opacity = gr.Slider(0, 1, 1, step=0.05, label="Map over photograph")
    maps = shown("Maps", "maps", columns=4)
    with gr.Accordion("Do these pixels matter? Delete the most important ones first", open=False), gr.Row():
        with gr.Column():
            method = gr.Dropdown(NAMED, value="gradcam", label="By the map")
            step = gr.Slider(0, STEPS, 0, step=1, label=f"Deleted, in {STEPS} parts")
            curve = gr.Plot(show_label=False)
        rest = shown("What is left", "rest")
    with gr.Accordion("Numbers beside maps that know nothing", open=False):
        gr.Markdown("Of one photograph they are noise: compare many with `compare_maps.py`; see docs/trust.md.")
        numbers = gr.Dataframe(headers=["map", *(MEASURES[name].title for name in SHOWN)], interactive=False)
        start = gr.Button("Measure", size="sm")
    save = gr.Button("Raw maps (.npy) and figure", size="sm")
    saved = gr.Files(label="Files", interactive=False, visible=False, elem_id="files")

    how = [other, methods, layer, opacity]
    listen(classes.click, pick, [classes, *how], [wanted, maps])
    for control in (wanted, other, methods, layer):
        listen(control.input, explain, [wanted, *how], maps)
    listen(opacity.release, draw, opacity, maps)
    for event in (step.release, method.input):
        listen(event, delete, [method, wanted, layer, step], [rest, curve])
    listen(start.click, measure, [wanted, methods, layer], numbers)
    listen(save.click, files, opacity, saved)
    return lambda event: listen(event, begin, [methods, opacity], [classes, wanted, other, layer, maps])
