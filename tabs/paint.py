"""Paint: the photograph in the style of a painting, as it forms."""

import contextlib
from pathlib import Path

import gradio as gr
import torch

from data.style_images import SAMPLES, style_image
from image_utils.errors import InputError
from image_utils.loading import open_image
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_modules.optimise import SOLVERS, check_steps
from style_utils import as_photograph, style_transfer
from stylize.settings import COURSE_SETTINGS
from tabs.visit import LONG, QUICK, Cancelled, answered, cached_network, cancel, drop_area, picture_shown, streamed

SETTINGS = "starry_tubingen"
PICTURES = 25  # that are shown while it forms


def paintings():
    """List the paintings offered."""
    return sorted(map(str, Path("data/paintings").glob("*.jpg"))) or [str(style_image(n)) for n in SAMPLES]


def paint(visit, tell, size, solver):
    """Paint, and show the picture as it forms."""
    if visit.photograph is None or visit.painting is None:
        raise InputError("a photograph and a painting are needed; drop them, or pick samples")
    steps = check_steps(solver)

    def show(step):
        shown = step.step % max(1, steps // PICTURES) == 0
        try:
            tell(step.step, steps, [as_photograph(step.image, solver), gr.skip()] if shown else None)
        except Cancelled:
            raise KeyboardInterrupt from None  # at which the picture so far is written

    with contextlib.suppress(KeyboardInterrupt):
        style_transfer(
            "painting",
            str(visit.photograph),
            str(visit.painting),
            **{**COURSE_SETTINGS[SETTINGS], "image_size": size},
            content_loss=ContentLoss(),
            style_loss=StyleLoss(),
            tv_loss=TotalVariationLoss(),
            cnn=cached_network("squeezenet1_1", "embedded").features,
            dtype=torch.float32,
            solver=solver,
            callback=show,
            out=visit.folder,
        )
    return kept(visit)


def kept(visit):
    """Show the picture that is there."""
    file = visit.folder / "painting.png"
    if not file.exists():
        return gr.skip(), gr.skip()
    return open_image(file), gr.DownloadButton(value=str(file), interactive=True)


def take(visit, file):
    """Take an uploaded painting, or one of those offered."""
    visit.painting = file if file in paintings() else visit.keep(file)
    return open_image(visit.painting)


def build():
    """Lay out the tab."""
    gr.Markdown("The photograph on the left, in the style of a painting.")
    with gr.Row():
        painting = drop_area("Painting", height=220, elem_id="style")
        offered = gr.Gallery(
            paintings(), label="Paintings", columns=3, height=220, allow_preview=False, interactive=False
        )
    with gr.Row():
        with gr.Column(scale=2):
            size = gr.Slider(64, 512, 192, step=32, label="Size, shortest side in pixels")
            solver = gr.Radio(list(SOLVERS), value="lbfgs", label="Solver")
            with gr.Row():
                start, stop = gr.Button("Paint", variant="primary"), gr.Button("Stop, keep it so")
            status = gr.Markdown(" ", elem_classes="status")
            download = gr.DownloadButton("The picture (PNG)", interactive=False)
        picture = picture_shown("The painting", elem_id="painted")
    outputs = [picture, download]
    start.click(streamed(paint), [size, solver], outputs, **LONG, show_progress_on=status)
    stop.click(cancel, queue=False)
    painting.upload(answered(take), painting, painting, **QUICK)

    def pick(request: gr.Request, event: gr.SelectData):
        return answered(take)(request, paintings()[event.index])

    offered.select(pick, None, painting, **QUICK)
