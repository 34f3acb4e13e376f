"""Fool: the smallest change after which the network sees another class, and whether it outlasts a file."""

import io

import gradio as gr
import numpy as np
from PIL import Image

from data.samples import SIZE, imagenet_class_names
from fooling_image import MAGNIFICATION, SHOWN, STEPS, seen
from image_utils.errors import InputError
from image_utils.figures import magnified
from image_utils.loading import load_image, open_image
from image_utils.pixels import to_input
from image_utils.writing import save_image
from tabs.visit import LONG, QUICK, answered, cancel, class_chooser, drop_area, passes_told, streamed
from visualizers import FoolingImage
from visualizers.fooling_image import nearest_levels, to_images

FILE = "fooling_image_exact.png"


def shares(image, model):
    """Return what the network sees in an image, uint8 (H, W, 3): dict from class name to probability."""
    probabilities, names = seen(to_input(image[None]), model)["probabilities"], imagenet_class_names()
    return {names[c]: p for p, c in zip(*(v.tolist() for v in probabilities.topk(SHOWN)), strict=True)}


def fool(visit, tell, target, method):
    """Make the fooling image, write it as PNG, and show what is seen in the file."""
    if target is None:
        raise InputError("choose the class that shall be seen")
    X, model = visit.X(), visit.model()
    with passes_told(model, tell, STEPS):
        if method == "minimal":
            images = FoolingImage().make_minimal_fooling_image(X, target, model).images
        else:
            images = to_images(nearest_levels(FoolingImage().make_fooling_image(X, target, model)))
    file = visit.folder / FILE
    save_image(Image.fromarray(images[0]), file)
    after = load_image(file)
    call = {
        "minimal": "FoolingImage().make_minimal_fooling_image(X, {}, model).images[0]",
        "course": "to_images(nearest_levels(FoolingImage().make_fooling_image(X, {}, model)))[0]",
    }[method].format(target)
    command = [
        "fooling_image.py",
        "--images",
        visit.named(visit.photograph),
        "--target",
        target,
        "--method",
        method,
    ]
    visit.note(
        "Fool",
        [command],
        [f'Image.fromarray({call}).save("{FILE}")'],
        "from PIL import Image",
        "from visualizers import FoolingImage",
        "from visualizers.fooling_image import nearest_levels, to_images",
    )
    panels = [visit.pixels, after, magnified(visit.pixels, after, MAGNIFICATION)]
    captions = ["before", "after", f"difference x {MAGNIFICATION}"]
    download = gr.DownloadButton(value=str(file), interactive=True)
    return list(zip(panels, captions, strict=True)), shares(visit.pixels, model), shares(after, model), download


def verify(visit, upload, quality):
    """Say what the network chosen sees in a file, as it is or after JPEG."""
    if upload is None:
        raise InputError("drop a picture to be verified first")
    image = load_image(visit.keep(upload), SIZE)
    if quality <= 95:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        image = np.array(open_image(file))
    return shares(image, visit.model())


def build():
    """Lay out the tab."""
    gr.Markdown("Which change, too small to notice, makes the network see another class?")
    with gr.Row():
        target = class_chooser("Class to be seen; type to search", 6)
        method = gr.Radio(["minimal", "course"], value="minimal", label="Method")
    with gr.Row():
        start, stop = gr.Button("Fool the network", variant="primary"), gr.Button("Cancel")
    status = gr.Markdown(" ", elem_classes="status")
    panels = gr.Gallery(
        label="Fooled", columns=3, format="png", interactive=False, buttons=["fullscreen"], elem_id="fooled"
    )
    with gr.Row():
        before, after = gr.Label(label="Seen before"), gr.Label(label="Seen after, in the PNG", elem_id="after")
    download = gr.DownloadButton("The PNG that fools", interactive=False, elem_id="fooling-png")
    gr.Markdown("Drop the PNG here to verify it: for the network chosen on the left, also after JPEG.")
    with gr.Row():
        dropped = drop_area("To be verified", height=220, elem_id="verify")
        with gr.Column():
            quality = gr.Slider(10, 100, 100, step=5, label="JPEG quality; 100: as it is")
            verdict = gr.Label(label="Seen in the file", elem_id="verdict")
    outputs = [panels, before, after, download]
    start.click(streamed(fool), [target, method], outputs, **LONG, show_progress_on=status)
    stop.click(cancel, queue=False)
    dropped.upload(answered(verify), [dropped, quality], verdict, **QUICK)
    quality.release(answered(verify), [dropped, quality], verdict, **QUICK)
