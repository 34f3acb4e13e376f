"""Paint: the photograph in the style of a painting, as it forms."""

import contextlib

import gradio as gr
import torch

from data.networks import EMBEDDED_NAME
from data.style_images import style_image
from image_utils.errors import InputError
from image_utils.loading import open_image
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import as_photograph, style_transfer
from stylize.settings import COURSE_SETTINGS
from stylize.solvers import STEPS
from tabs.visit import Cancelled, cached_network, drop_area, offer, shown

PAINTINGS = [str(style_image(name)) for name in ("composition_vii", "the_scream", "starry_night")]
SETTINGS = COURSE_SETTINGS["starry_tubingen"]  # what style_transfer.py takes for a pair of one's own
PICTURES = 25  # shown while it forms
NAME = "painting"
NETWORK = (EMBEDDED_NAME, "embedded")


def take(visit, tell, file):
    """Take a painting."""
    visit.painting = visit.keep(file, PAINTINGS)
    return open_image(visit.painting)


def paint(visit, tell, size, solver):
    """Paint, and show the picture as it forms; where that is ended, the picture so far is kept."""
    if visit.photograph is None or visit.painting is None:
        raise InputError("a photograph and a painting are needed; drop them, or pick samples")
    losses, steps = (
        {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()},
        STEPS[solver],
    )
    cnn, settings = cached_network(*NETWORK).features, SETTINGS | {"image_size": size}

    def show(step):
        visible = step.step % max(1, steps // PICTURES) == 0
        try:
            tell(step.step, steps, (as_photograph(step.image, solver), gr.skip()) if visible else None)
        except Cancelled:
            raise KeyboardInterrupt from None  # at which style_transfer writes the picture so far

    pair = ["--content", visit.named(visit.photograph), "--style", visit.named(visit.painting)]
    words = ["style_transfer.py", *pair, "--size", size, "--solver", solver, "--name", NAME]
    more = f"**{settings}, **losses, cnn=model.features, dtype=torch.float32, solver={solver!r}"
    visit.note(
        "Paint",
        [words],
        [
            'losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}',
            f"style_transfer({NAME!r}, {pair[1]!r}, {pair[3]!r}, {more})",
        ],
        *("import torch", "from style_modules import ContentLoss, StyleLoss, TotalVariationLoss"),
        "from style_utils import style_transfer",
        network=NETWORK,
    )
    how = {"cnn": cnn, "dtype": torch.float32, "solver": solver, "callback": show, "out": visit.folder}
    with contextlib.suppress(KeyboardInterrupt):
        style_transfer(NAME, str(visit.photograph), str(visit.painting), **settings, **losses, **how)
    file = visit.folder / f"{NAME}.png"
    return open_image(file), gr.DownloadButton(value=str(file), interactive=True)


def build(listen):
    """Lay out the tab."""
    with gr.Row():
        painting = drop_area("Painting", height=220, elem_id="style")
        event, picked = offer("Paintings", PAINTINGS, columns=3, height=220, elem_id="paintings")
    with gr.Row():
        with gr.Column(scale=2):
            size = gr.Slider(64, 512, 192, step=32, label="Size, shortest side in pixels")
            solver = gr.Radio(list(STEPS), value="lbfgs", label="Solver")
            start = gr.Button("Paint", variant="primary")
            download = gr.DownloadButton("The picture (PNG)", interactive=False)
        with gr.Column(scale=3):
            picture = shown("The photograph painted", "painted")
    listen(event, take, picked, painting)
    listen(painting.upload, take, painting, painting)
    listen(start.click, paint, [size, solver], [picture, download])
