"""Fool: the smallest change after which the network sees another class, and whether it outlasts a file."""

import io

import gradio as gr
import numpy as np
from PIL import Image

from data.samples import SIZE, imagenet_class_names
from fooling_image import SHOWN, STEPS, seen
from image_utils.errors import InputError
from image_utils.figures import magnified
from image_utils.loading import load_image, open_image
from image_utils.pixels import to_input
from image_utils.writing import save_image
from tabs.visit import class_chooser, drop_area, passes_told, shown
from visualizers import FoolingImage
from visualizers.fooling_image import nearest_levels, to_images
from visualizers.minimal_fooling import LEVELS

FILE = "fooling_image_exact.png"


def shares(image, model):
    """Return what the network sees in an image, uint8 (H, W, 3): dict from class name to probability."""
    best = seen(to_input(image[None]), model)["probabilities"].topk(SHOWN)
    return {imagenet_class_names()[c]: p for p, c in zip(*(values.tolist() for values in best), strict=True)}


def fool(visit, tell, target, method):
    """Make the fooling image, write it as PNG, and show what is seen in the file."""
    X, model = visit.X(), visit.model()
    if target is None:
        raise InputError("choose the class to be seen")
    with passes_told(model, tell, STEPS):
        if method == "minimal":
            text = f"FoolingImage().make_minimal_fooling_image(X, {target}, model).images"
            images = FoolingImage().make_minimal_fooling_image(X, target, model).images
        else:
            text = f"to_images(nearest_levels(FoolingImage().make_fooling_image(X, {target}, model)))"
            images = to_images(nearest_levels(FoolingImage().make_fooling_image(X, target, model)))
    save_image(Image.fromarray(images[0]), visit.folder / FILE)
    after = load_image(visit.folder / FILE)
    visit.note(
        "Fool",
        [["fooling_image.py", "--images", visit.named(visit.photograph), "--target", target, "--method", method]],
        [f'Image.fromarray({text}[0]).save("{FILE}")'],
        *("from PIL import Image", "from visualizers import FoolingImage"),
        "from visualizers.fooling_image import nearest_levels, to_images",
    )
    difference, factor = magnified((after.astype(float) - visit.pixels) / LEVELS)
    panels = [visit.pixels, after, difference]
    titled = list(zip(panels, ["before", "after", f"difference x {factor}"], strict=True))
    download = gr.DownloadButton(value=str(visit.folder / FILE), interactive=True)
    return titled, shares(visit.pixels, model), shares(after, model), download


def verify(visit, tell, upload, quality):
    """Say what the network chosen sees in a file, as it is or after JPEG."""
    if upload is None:
        raise InputError("drop a picture to be verified first")
    image = load_image(visit.keep(upload), SIZE)
    if quality < 100:
        Image.fromarray(image).save(file := io.BytesIO(), "JPEG", quality=quality)
        image = np.array(open_image(file))
    return shares(image, visit.model())


def build(listen):
    """Lay out the tab."""
    with gr.Row():
        target = class_chooser("Class to be seen; type to search", 6)
        method = gr.Radio(["minimal", "course"], value="minimal", label="Method")
        start = gr.Button("Fool the network", variant="primary")
    panels = shown("Fooled", "fooled", columns=3)
    with gr.Row():
        before, after = gr.Label(label="Seen before"), gr.Label(label="Seen after, in the PNG", elem_id="after")
    download = gr.DownloadButton("The PNG that fools", interactive=False, elem_id="fooling-png")
    with gr.Row():
        dropped = drop_area("Drop the PNG here to verify it", height=220, elem_id="verify")
        with gr.Column():
            quality = gr.Slider(10, 100, 100, step=5, label="after JPEG of this quality; 100: as it is")
            verdict = gr.Label(label="Seen in the file by the network chosen", elem_id="verdict")
    listen(start.click, fool, [target, method], [panels, before, after, download])
    for event in (dropped.upload, quality.release):
        listen(event, verify, [dropped, quality], verdict)
