"""Dream: the picture that the network takes for the best example of a class, as it forms."""

import gradio as gr
import torch

from data.samples import imagenet_class_names
from image_utils.errors import InputError
from image_utils.writing import save_image
from networks.ascent import is_shown
from tabs.visit import LONG, cancel, class_chooser, picture_shown, streamed
from visualizers import ClassVisualization
from visualizers.class_visualization import RECIPES, to_picture

SHOW_EVERY = 5  # steps
FILE = "class_visualization.png"


def dream(visit, tell, wanted, recipe, steps, seed):
    """Climb, and show the picture every few steps."""
    if wanted is None:
        raise InputError("choose a class to dream of")

    def show(step):
        shown = is_shown(step.iteration, step.num_iterations, SHOW_EVERY)
        outputs = [to_picture(step.images[:1], recipe), gr.skip()] if shown else None
        tell(step.iteration, step.num_iterations, outputs)

    settings = {"recipe": recipe, "seed": int(seed), "num_iterations": steps, "generate_plots": False}
    picture = ClassVisualization().create_class_visualization(
        wanted, imagenet_class_names(), visit.model(), torch.float32, callback=show, **settings
    )
    save_image(picture, visit.folder / FILE)
    call = f"create_class_visualization({wanted}, names, model, torch.float32, **{settings})"
    visit.note(
        "Dream",
        [["class_visualization.py", "--class", wanted, "--recipe", recipe, "--steps", steps, "--seed", int(seed)]],
        ["names = imagenet_class_names()", f'ClassVisualization().{call}.save("{FILE}")'],
        "import torch",
        "from data.samples import imagenet_class_names",
        "from visualizers import ClassVisualization",
    )
    return picture, gr.DownloadButton(value=str(visit.folder / FILE), interactive=True)


def build():
    """Lay out the tab."""
    gr.Markdown("Which picture does the network take for the best example of a class?")
    with gr.Row():
        with gr.Column(scale=2):
            wanted = class_chooser("Class; type to search", 366)
            recipe = gr.Radio(list(RECIPES), value="modern", label="Recipe")
            steps = gr.Slider(10, 300, 100, step=10, label="Steps")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            with gr.Row():
                start, stop = gr.Button("Dream", variant="primary"), gr.Button("Cancel")
            status = gr.Markdown(" ", elem_classes="status")
            download = gr.DownloadButton("The picture (PNG)", interactive=False)
        picture = picture_shown("What it dreams of", elem_id="dreamt")
    start.click(
        streamed(dream), [wanted, recipe, steps, seed], [picture, download], **LONG, show_progress_on=status
    )
    stop.click(cancel, queue=False)
