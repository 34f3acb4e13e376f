"""Dream: the picture that the network takes for the best example of a class, as it forms."""

import gradio as gr

from image_utils.writing import save_image
from tabs.visit import class_chooser, shown
from visualizers import ClassVisualization
from visualizers.class_visualization import RECIPES, to_picture

SHOW_EVERY = 5  # steps
FILE = "class_visualization.png"
COMMANDS = """python class_visualization.py --class {wanted} --recipe {recipe} --steps {steps} --seed {seed} \
--network {network} --weights {weights}"""
LINES = """
from data import load_network
from visualizers import ClassVisualization

make, model = ClassVisualization().create_class_visualizations, load_network({network}, {weights})
make([{wanted}], model, recipe={recipe}, num_iterations={steps}, seed={seed})[0].save("class_visualization.png")
"""


def dream(visit, tell, wanted, recipe, steps, seed):
    """Climb, and show the picture every few steps."""

    def show(step):
        tell(step.iteration, steps, to_picture(step.image, recipe) if step.is_shown(SHOW_EVERY) else None)

    how = {"recipe": recipe, "num_iterations": steps, "seed": seed, "callback": show}
    (made,) = ClassVisualization().create_class_visualizations([wanted], visit.model(), **how)
    save_image(made, visit.folder / FILE)
    visit.note("Dream", COMMANDS, LINES, wanted=wanted, recipe=recipe, steps=steps, seed=seed)
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
