"""Shrink the figures that README and the sample outputs show: python -m docs.make_gallery after `make figures`."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data.networks import load_network
from data.samples import load_imagenet_val
from image_utils.figures import CLIP, colours, image_grid, overlay
from image_utils.loading import open_image
from image_utils.pixels import deprocess, to_input
from image_utils.writing import whole_file
from visualizers import FoolingImage, GradCam, SaliencyMap

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
WIDTH = 1000  # pixels, at most
VISUALIZATION = (
    "overview",
    "saliency_map",
    "saliency_captum",
    "gradcam",
    "guided_backprop",
    "guided_gradcam",
    "guided_backprop_captum",
    "guided_gradcam_captum",
    "layer_gradcam_captum",
    "layer_conductance_captum",
    "layer_activation_captum",
    "fooling_image",
    "class_visualization",
    *(f"class_visualization_iter_{step}" for step in (1, 25, 50, 75, 100)),
)
STYLES = ("composition_vii_tubingen", "scream_tubingen", "starry_tubingen")
STINGRAY = 6
GAP = 6  # pixels between the stylised pictures


def main():
    """Write the small figures, and the three stylised pictures side by side."""
    for name in VISUALIZATION:
        save(open_image(ROOT / "visualization" / f"{name}.png"), name)
    save(open_image(ROOT / "visualization" / "class_visualization" / "366_gorilla_course.png"), "gorilla")
    for name in STYLES:
        save(open_image(ROOT / "styles_images" / f"{name}_before.png"), f"{name}_before")
        save(open_image(ROOT / "styles_images" / f"{name}.png"), name)
    save(every_technique(), "techniques")
    save(side_by_side([open_image(ROOT / "styles_images" / f"{name}.png") for name in STYLES]), "style_transfer")


def every_technique():
    """Draw one picture for every technique, four in a row: a PIL image."""
    photos, labels, names = load_imagenet_val(num=1)
    x, y, network = to_input(photos), torch.tensor(labels), load_network()
    saliency = SaliencyMap().compute_saliency_maps(x, y, network)[0].numpy()
    details, places = GradCam().guided_backprop(x, y, network)[0], GradCam().grad_cam(x, y, network)[0]
    fooling = deprocess(FoolingImage().make_fooling_image(x, STINGRAY, network), should_rescale=False)
    pictures = {
        names[int(labels[0])]: photos[0],
        "saliency map": np.minimum(saliency, np.percentile(saliency, CLIP)),
        "guided backprop": colours(details),
        "Grad-CAM": overlay(photos[0], places),
        "guided Grad-CAM": colours(details * places[..., None]),
        f"seen as a {names[STINGRAY]}": np.asarray(fooling),
        "a gorilla, as the network likes it": np.asarray(
            open_image(ROOT / "visualization" / "class_visualization" / "366_gorilla_modern.png")
        ),
        "style transfer": np.asarray(squared(open_image(ROOT / "styles_images" / f"{STYLES[2]}.png"))),
    }
    titles, tiles = list(pictures), list(pictures.values())
    rows = [drawn(image_grid([tiles[i : i + 4]], column_titles=titles[i : i + 4])) for i in (0, 4)]
    height = sum(row.height * rows[0].width // row.width for row in rows)
    board, top = Image.new("RGB", (rows[0].width, height), "white"), 0
    for row in rows:
        row = row.resize((board.width, row.height * board.width // row.width), Image.LANCZOS)
        board.paste(row, (0, top))
        top += row.height
    return board


def squared(img):
    """Cut the largest square out of the left of a PIL image."""
    side = min(img.size)
    return img.crop((0, 0, side, side))


def drawn(figure):
    """Turn a matplotlib figure into a PIL image."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100, bbox_inches="tight", facecolor="white")
    return Image.open(data).convert("RGB")


def side_by_side(pictures):
    """Join PIL images of one height in a row."""
    row = Image.new("RGB", (sum(p.width + GAP for p in pictures) - GAP, pictures[0].height), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    return row


def save(img, name):
    """Write a picture into docs/figures/ as a JPEG, no wider than WIDTH."""
    if img.width > WIDTH:
        img = img.resize((WIDTH, round(img.height * WIDTH / img.width)), Image.LANCZOS)
    with whole_file(FIGURES / f"{name}.jpg") as temporary:
        img.save(temporary, quality=82, optimize=True)


if __name__ == "__main__":
    main()
