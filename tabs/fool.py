"""Fool: the smallest change after which the network sees another class, and whether it outlasts a file."""

import io

import gradio as gr
import numpy as np
from PIL import Image

from data.samples import SIZE, imagenet_class_names
from image_utils.figures import magnified
from image_utils.loading import load_image, open_image
from image_utils.writing import save_image
from tabs.visit import class_chooser, drop_area, shown
from trust.passes import counted
from visualizers import FoolingImage
from visualizers.fooling_image import nearest_levels, to_images
from visualizers.minimal_fooling import LEVELS

SHOWN = 3  # classes
FILE = "fooling_image_exact.png"
COMMANDS = """python fooling_image.py --images {photograph} --target {target} --method {method} \
--network {network} --weights {weights}"""
LINES = """
from data import load_network
from image_utils.loading import load_image
from image_utils.pixels import to_input
from PIL import Image
from visualizers import FoolingImage
from visualizers.fooling_image import nearest_levels, to_images

model, X = load_network({network}, {weights}), to_input(load_image({photograph}, 224)[None])
"""
CALLS = {
    "minimal": "images = FoolingImage().make_minimal_fooling_image(X, {target}, model).images",
    "course": "images = to_images(nearest_levels(FoolingImage().make_fooling_image(X, {target}, model)))",
}
SAVE = '\nImage.fromarray(images[0]).save("fooling_image_exact.png")\n'


def fool(visit, tell, target, method):
    """Make the fooling image, write it as PNG, and show what is seen in the file."""
    X, model, fooling = visit.X(), visit.model(), FoolingImage()
    with counted(model, tell):
        if method == "minimal":
            images = fooling.make_minimal_fooling_image(X, target, model).images
        else:
            images = to_images(nearest_levels(fooling.make_fooling_image(X, target, model)))
    save_image(Image.fromarray(images[0]), visit.folder / FILE)
    visit.note("Fool", COMMANDS, LINES + CALLS[method] + SAVE, target=target, method=method)
    difference, factor = magnified((images[0].astype(float) - visit.pixels) / LEVELS)
    panels = [(visit.pixels, "before"), (images[0], "after"), (difference, f"difference x {factor}")]
    download = gr.DownloadButton(value=str(visit.folder / FILE), interactive=True)
    return panels, shares(visit, visit.pixels), shares(visit, load_image(visit.folder / FILE)), download


def verify(visit, tell, upload, quality):
    """Say what the network chosen sees in a file, as it is or after JPEG."""
    image = load_image(visit.keep(upload), SIZE)
    if quality < 100:
        Image.fromarray(image).save(file := io.BytesIO(), "JPEG", quality=quality)
        image = np.array(open_image(file))
    return shares(visit, image)


def shares(visit, image):
    """Return what the network sees in an image, by name."""
    return {imagenet_class_names()[index]: p for index, p in visit.seen(image, SHOWN).items()}


def build(listen):
    """Lay out the tab."""
    with gr.Row():
        target = class_chooser("Class to be seen; type to search", 6)
        method = gr.Radio(list(CALLS), value="minimal", label="Method")
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
