"""Paint: the photograph in the style of a painting, as it forms."""

import contextlib
import shlex

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
from tabs.visit import Cancelled, drop_area, offer, shown

PAINTINGS = [str(style_image(name)) for name in ("composition_vii", "the_scream", "starry_night")]
PICTURES = 25  # shown while it forms
FILE = "painting.png"
LINES = """
import torch
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_transfer import load_features, parse_arguments
from style_utils import style_transfer

cnn, job = load_features(parse_arguments({words})), {job}
losses = {{"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}}
style_transfer(**job, **losses, cnn=cnn, dtype=torch.float32)
"""


def take(visit, tell, file):
    """Take a painting."""
    visit.painting = visit.keep(file)
    return open_image(visit.painting)


def paint(visit, tell, strength, size, network, solver):
    """Paint, and show the picture as it forms; where that is ended, the picture so far is kept."""
    if visit.photograph is None or visit.painting is None:
        raise InputError("a photograph and a painting are needed; drop them, or pick samples")
    sources = {"--content": visit.photograph, "--style": visit.painting}
    words = ["--network", network, "--size", str(size), "--solver", solver, "--name", "painting"]
    words += [] if solver == "course" else ["--strength", str(strength)]
    args = parse_arguments([*(word for pair in sources.items() for word in map(str, pair)), *words])
    job, every = call_of(job_for(OWN_PAIR, args)), max(1, STEPS[solver] // PICTURES)
    losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}

    def show(step):
        try:
            tell(step.step, STEPS[solver], None if step.step % every else as_photograph(step.image, solver))
        except Cancelled:
            raise KeyboardInterrupt from None  # at which style_transfer writes the picture so far

    with contextlib.suppress(KeyboardInterrupt):
        cnn, out = load_features(args), visit.folder
        style_transfer(**job, **losses, cnn=cnn, dtype=torch.float32, callback=show, out=out)
    names = [word for option, file in sources.items() for word in (option, visit.named(file))]
    written = LINES.format(words=words, job=job).replace(f"{visit.folder}/", "")
    visit.recipes["Paint"] = shlex.join(["python", "style_transfer.py", *names, *words]), written.strip()
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
