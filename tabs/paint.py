"""Paint: the photograph in the style of a painting, as it forms."""

import contextlib

import gradio as gr
import torch

from data.style_images import style_image
from image_utils.errors import InputError
from image_utils.loading import open_image
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_transfer import OWN_PAIR, call_of, job_for, load_features, parse_arguments
from style_utils import as_photograph, style_transfer
from stylize.solvers import STEPS
from stylize.strength import USUAL
from tabs.visit import drop_area, offer, shown

PAINTINGS = [str(style_image(name)) for name in ("composition_vii", "the_scream", "starry_night")]
PICTURES = 25  # shown while it forms
FILE = "painting.png"
COMMANDS = "python style_transfer.py {words}"
LINES = """
import torch
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_transfer import OWN_PAIR, call_of, job_for, load_features, parse_arguments
from style_utils import style_transfer

args = parse_arguments({words})
losses = {{"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}}
style_transfer(**call_of(job_for(OWN_PAIR, args)), **losses, cnn=load_features(args), dtype=torch.float32)
"""


def take(visit, tell, file):
    """Take a painting."""
    visit.painting = visit.keep(file)
    return open_image(visit.painting)


def paint(visit, tell, strength, size, network, solver):
    """Paint, and show the picture as it forms; where that is ended, the picture so far is kept."""
    if visit.photograph is None or visit.painting is None:
        raise InputError("a photograph and a painting are needed; drop them, or pick samples")
    words = ["--content", visit.photograph, "--style", visit.painting, "--network", network, "--size", size]
    words += ["--solver", solver, "--name", "painting", *(["--strength", strength] if solver != "course" else [])]
    args, steps = parse_arguments(words := list(map(str, words))), STEPS[solver]
    losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
    job = call_of(job_for(OWN_PAIR, args)) | losses

    def show(step):
        visible = step.step % max(1, steps // PICTURES) == 0
        tell(step.step, steps, as_photograph(step.image, solver) if visible else None)

    with contextlib.suppress(KeyboardInterrupt):  # at which the picture so far is written
        style_transfer(**job, cnn=load_features(args), dtype=torch.float32, callback=show, out=visit.folder)
    visit.note("Paint", COMMANDS, LINES, words=words)
    return visit.folder / FILE


def build(listen):
    """Lay out the tab."""
    with gr.Row():
        painting = drop_area("Painting", height=220, elem_id="style")
        paintings = offer("Paintings", PAINTINGS, elem_id="paintings")
    with gr.Row():
        with gr.Column(scale=2):
            strength = gr.Slider(0, 10, USUAL, step=0.5, label="Strength, of adam and lbfgs")
            size = gr.Slider(64, 512, 192, step=32, label="Size, shortest side in pixels")
            network = gr.Radio(["squeezenet1_1", "vgg19"], value="squeezenet1_1", label="By the network")
            solver = gr.Radio(list(STEPS), value="lbfgs", label="Solver")
            start = gr.Button("Paint", variant="primary")
        with gr.Column(scale=3):
            picture = shown("The photograph painted", "painted")
    for event, holder in ((paintings.click, paintings), (painting.upload, painting)):
        listen(event, take, holder, painting)
    listen(start.click, paint, [strength, size, network, solver], picture)
