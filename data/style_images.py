"""What style transfer starts from: a photograph, paintings, and the reference outputs of its loss checks."""

import zipfile
from pathlib import Path

import numpy as np

from data.samples import package_folder
from image_utils.errors import InputError

CHECKS = Path(__file__).with_name("style-transfer-checks.npz")
CHECK_SHAPES = {"cl_out": (1,), "gm_out": (1, 128, 128), "sl_out": (1,), "tv_out": (1,)}
COURSE_FOLDER = Path(__file__).resolve().parent.parent / "styles_images"
# Each of the course's images and the photograph among Foolbox's samples that stands in for it.
SAMPLES = {
    "tubingen": "imagenet_17_22.jpg",  # a bald eagle in flight
    "composition_vii": "imagenet_12_741.jpg",  # stained glass
    "the_scream": "imagenet_07_609.jpg",  # a blue car on rocks
    "starry_night": "imagenet_09_455.jpg",  # a bottle cap on concrete
}


def style_image(name, *, sample=False) -> Path:
    """Find an image of style transfer.

    Args:
        name: "tubingen", the photograph, or "composition_vii", "the_scream" or "starry_night", the paintings.
        sample: take the sample even where the course's file is there.

    Returns:
        Path of styles_images/NAME.jpg if it is there, else of a sample photograph that comes with Foolbox.
    """
    course_file = COURSE_FOLDER / f"{name}.jpg"
    if course_file.is_file() and not sample:
        return course_file
    return package_folder("foolbox") / "data" / SAMPLES[name]


def load_style_checks(path=CHECKS):
    """Load reference outputs of the loss checks.

    Args:
        path: .npz file like the course's style-transfer-checks.npz.

    Returns:
        Dict of float ndarrays: cl_out (1,), gm_out (1, 128, 128), sl_out (1,), tv_out (1,).

    Raises:
        InputError: no such file, or an array is missing or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            checks = {name: archive[name] for name in CHECK_SHAPES}
    except FileNotFoundError:
        raise InputError(f"the checks file '{path}' does not exist") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as problem:
        raise InputError(f"'{path}' is not a file of loss checks: {problem}") from None
    for name, shape in CHECK_SHAPES.items():
        if checks[name].shape != shape or not np.issubdtype(checks[name].dtype, np.floating):
            raise InputError(f"'{path}': {name} must be floating point of shape {shape}, not {checks[name].shape}")
    return checks
