"""Shrink the figures that README and the sample outputs show: after `make figures`, python -m docs.make_gallery."""

from pathlib import Path

from PIL import Image

from image_utils.loading import open_image
from image_utils.writing import whole_file

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
GAP = 6  # pixels between the stylised pictures


def main():
    """Write the small figures, and the three stylised pictures side by side."""
    for name in VISUALIZATION:
        save(open_image(ROOT / "visualization" / f"{name}.png"), name)
    save(open_image(ROOT / "visualization" / "class_visualization" / "366_gorilla_course.png"), "gorilla")
    for name in STYLES:
        save(open_image(ROOT / "styles_images" / f"{name}_before.png"), f"{name}_before")
        save(open_image(ROOT / "styles_images" / f"{name}.png"), name)
    save(side_by_side([open_image(ROOT / "styles_images" / f"{name}.png") for name in STYLES]), "style_transfer")


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
