"""List the figures that the scripts wrote, each with what to look for: visualization/index.html.

python -m docs.make_index [FOLDER]        # FOLDER holds visualization/ and styles_images/; default: the checkout
"""

import html
import os
import sys
from pathlib import Path

from command_line import run
from image_utils.errors import InputError
from image_utils.web_page import write_page

ROOT = Path(__file__).resolve().parent.parent
# Of each script: which files it writes, what these are, and what to look for in them.
FIGURES = {
    "saliency_map.py": (
        (
            "saliency_map.png",
            "Saliency maps",
            "Bright pixels would change the class score most; single pixels are noisy.",
        ),
        ("saliency_captum.png", "The same by Captum", "Its caption states the largest difference from ours."),
        (
            "int_grads_captum.png",
            "Integrated Gradients by Captum",
            "The sum of each map is what the score gained.",
        ),
        ("occlusion_captum.png", "Occlusion by Captum", "Where covering a patch costs the score."),
    ),
    "gradcam.py": (
        ("overview.png", "All methods side by side", "Sharp maps say which details, coarse ones say where."),
        ("gradcam.png", "Grad-CAM", "Red is where the class is seen; coarse, since the layer's maps are small."),
        ("guided_backprop.png", "Guided backpropagation", "Sharp edges, which hardly change with the class."),
        ("guided_gradcam.png", "Guided Grad-CAM", "The edges that remain where Grad-CAM sees the class."),
        ("guided_backprop_captum.png", "Guided backpropagation by Captum", "Its caption states the difference."),
        ("guided_gradcam_captum.png", "Guided Grad-CAM by Captum", "Its caption states the difference."),
        (
            "layer_gradcam_captum.png",
            "An early layer's Grad-CAM by Captum",
            "Edges and textures more than objects.",
        ),
        (
            "layer_conductance_captum.png",
            "An early layer's conductance by Captum",
            "What passes through the layer.",
        ),
        ("layer_activation_captum.png", "An early layer's activation by Captum", "The same whatever the class."),
    ),
    "fooling_image.py": (
        (
            "fooling_image.png",
            "A fooling image",
            "The second photograph looks like the first and is seen as the target.",
        ),
        ("fooling_image_exact.png", "The smallest change, as a PNG", "It fools when it is opened again."),
    ),
    "class_visualization.py": (
        (
            "class_visualization.png",
            "All classes, a row for each recipe",
            "Which would you name without its title?",
        ),
        (
            "class_visualization_curves.png",
            "The course's recipe, step by step",
            "How fast the network is convinced.",
        ),
        (
            "class_visualization_modern_curves.png",
            "The modern recipe, step by step",
            "Turned and scaled views are harder.",
        ),
        (
            "class_visualization_iter_*.png",
            "The course's recipe on its way",
            "From noise to repeated parts of the class.",
        ),
        (
            "class_visualization_*steps.webp",
            "The ascent as an animation",
            "Where the first parts of the class appear.",
        ),
    ),
    "compare_maps.py": (
        ("compare_maps*.png", "Which map to believe", "Methods that do not beat the controls tell nothing."),
    ),
    "style_transfer.py": (
        (
            "../styles_images/*_before.png",
            "The photograph and the style",
            "Colours and strokes to look for in the result.",
        ),
        (
            "../styles_images/*_tubingen.png",
            "The photograph in that style",
            "Outlines stay; colours and strokes are new.",
        ),
    ),
}


def entries(folder):
    """Yield each figure that is there, once: (path, title, what to look for, the command that made it)."""
    listed = set()
    for script, figures in FIGURES.items():
        for pattern, title, look in figures:
            place = (folder / pattern).parent
            for path in sorted(place.glob(Path(pattern).name), key=lambda path: (len(path.name), path.name)):
                if path not in listed:
                    listed.add(path)
                    yield path, title, look, f"python {script}"


def write_index(folder: Path) -> Path:
    """Write index.html into the folder of figures; returns its path.

    Args:
        folder: visualization/, beside styles_images/.

    Raises:
        InputError: there are no figures, or the page cannot be written.
    """
    figures = [
        f'<figure><h2>{html.escape(title)}</h2><img loading="lazy" alt="{html.escape(title)}" '
        f'src="{html.escape(Path(os.path.relpath(path, folder)).as_posix())}">'
        f"<figcaption>{html.escape(look)} <code>{html.escape(command)}</code> wrote {path.name}.</figcaption>"
        "</figure>"
        for path, title, look, command in entries(folder)
    ]
    if not figures:
        raise InputError(f"'{folder}' has no figures yet; make figures")
    write_page(folder / "index.html", "What the scripts wrote", "\n".join(figures))
    return folder / "index.html"


def main():
    """Write the page and say where it is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    print(f"all figures, with what to look for: {write_index(folder / 'visualization')}")  # noqa: T201


if __name__ == "__main__":
    run(main)
