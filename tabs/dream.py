"""Dream: the picture that the network takes for the best example of a class, as it forms."""

import gradio as gr
import torch

from data.samples import imagenet_class_names
from image_utils.errors import InputError
from image_utils.writing import save_image
from tabs.visit import class_chooser, shown
from visualizers import ClassVisualization
from visualizers.class_visualization import RECIPES, to_picture

SHOW_EVERY = 5  # steps
FILE = "class_visualization.png"
LINES = """
import torch
from data.samples import imagenet_class_names
from visualizers import ClassVisualization

make, names = ClassVisualization().create_class_visualization, imagenet_class_names()
make({wanted}, names, model, torch.float32, **{how}).save("{FILE}")
"""


def dream(visit, tell, wanted, recipe, steps, seed):
    """Climb, and show the picture every few steps."""
    if wanted is None:
        raise InputError("choose a class to dream of")

    def show(step):
        visible = step.is_shown(SHOW_EVERY)
        tell(step.iteration, steps, to_picture(step.image, recipe) if visible else None)

    how = {"recipe": recipe, "seed": int(seed), "num_iterations": steps, "generate_plots": False}
    made = ClassVisualization().create_class_visualization(
        wanted, imagenet_class_names(), visit.model(), torch.float32, callback=show, **how
    )
    save_image(made, visit.folder / FILE)
    words = ["--class", wanted, "--recipe", recipe, "--steps", steps, "--seed", int(seed)]
    lines = LINES.format(FILE=FILE, wanted=wanted, how=how)
    visit.note("Dream", [["class_visualization.py", *words]], lines, photograph=False)
    return visit.folder / FILE


def build(listen):
    """Lay out the tab."""
    with gr.Row():
        with gr.Column(scale=2):
            wanted = class_chooser("Class; type to search", 366)
            recipe = gr.Radio(list(RECIPES), value="modern", label="Recipe")
            steps = gr.Slider(10, 300, 100, step=10, label="Steps")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            start = gr.Button("Dream", variant="primary")
        with gr.Column(scale=3):
            picture = shown("What it dreams of", "dreamt")
    listen(start.click, dream, [wanted, recipe, steps, seed], picture)
