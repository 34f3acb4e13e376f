"""Shrink the figures that README shows: after `make figures`, python -m docs.make_gallery."""

from pathlib import Path

from image_utils.loading import open_image
from image_utils.writing import whole_file

HERE = Path(__file__).parent
FIGURES = {  # in docs/: (where the scripts write it, width in pixels)
    "saliency_map.jpg": ("visualization/saliency_map.png", 900),
    "gradcam.jpg": ("visualization/gradcam.png", 900),
    "guided_gradcam.jpg": ("visualization/guided_gradcam.png", 900),
    "fooling_image.jpg": ("visualization/fooling_image.png", 900),
    "class_visualization.jpg": ("visualization/class_visualization.png", 900),
}
STYLES = ("composition_vii_tubingen", "scream_tubingen", "starry_tubingen")
GAP = 6  # pixels between the stylised pictures


def main():
    """Write the small figures, and the three stylised pictures side by side."""
    from PIL import Image

    for name, (source, width) in FIGURES.items():
        figure = open_image(HERE.parent / source)
        save(figure.resize((width, round(figure.height * width / figure.width)), Image.LANCZOS), name)
    pictures = [open_image(HERE.parent / "styles_images" / f"{name}.png") for name in STYLES]
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    row = Image.new("RGB", (width, pictures[0].height), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    save(row, "style_transfer.jpg")


def save(img, name):
    """Write a JPEG into docs/."""
    with whole_file(HERE / name) as temporary:
        img.save(temporary, quality=82, optimize=True)


if __name__ == "__main__":
    main()
