"""What style transfer starts from: a photograph, paintings, and the reference outputs of its loss checks.

The course's own images and its style-transfer-checks.npz belong together, and to torchvision's weights. They may
not be shipped; other pictures stand in for the images, and `style_checks.npz` has the outputs for these and the
embedded network. What lies where the course's files belong is told by its content, never by its name.
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.networks import load_network
from image_utils.errors import InputError

HERE = Path(__file__).resolve().parent
CHECKS = HERE / "style_checks.npz"
COURSE_CHECKS = HERE / "style-transfer-checks.npz"  # where the course's file belongs
COURSE_FOLDER = HERE.parent / "styles_images"
CHECK_SHAPES = {"cl_out": (1,), "gm_out": (1, 128, 128), "sl_out": (1,), "tv_out": (1,)}
COURSE_OUTPUTS = {"cl_out": 32436.986, "sl_out": 44512.67, "tv_out": 303.2237}  # by which its file is known
TORCHVISION_KERNEL = (0.12091, 0.17798, -0.01596, 0.26978, 0.34009, 0.07684)  # how its SqueezeNet 1.1 begins
COURSE_IMAGES = {  # SHA-256 of each file
    "tubingen": "e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506",
    "composition_vii": "8f992ed4aecd6dd56972d7bc8166761de7c94e670ee6effa8fd05f3daeb33409",
    "the_scream": "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
    "starry_night": "c31741a09141c2e2d07fc7aa6bdf135c369b804f9433e43fa3ceac19386d1ee6",
}
STAND_INS = {  # for each of these names: a file in data/, and what it shows
    "tubingen": ("photographs/summer_palace.jpg", "the Summer Palace in Beijing"),
    "composition_vii": ("paintings/kandinsky_composition_viii.jpg", "Kandinsky's Composition VIII"),
    "the_scream": ("paintings/hokusai_great_wave.jpg", "Hokusai's Great Wave off Kanagawa"),
    "starry_night": ("paintings/van_gogh_village_street_in_auvers.jpg", "Van Gogh's Village Street in Auvers"),
}


def style_image(name: str, *, sample: bool = False) -> Path:
    """Find an image of style transfer.

    Args:
        name: "tubingen", the photograph, or "composition_vii", "the_scream" or "starry_night", the paintings.
        sample: take the picture that stands in for it, whatever lies in styles_images/.

    Returns:
        Path of styles_images/NAME.jpg if it is there, else of the stand-in.
    """
    in_place = COURSE_FOLDER / f"{name}.jpg"
    return in_place if in_place.is_file() and not sample else HERE / STAND_INS[name][0]


def stand_in(file: str | Path) -> str | None:
    """Tell which stand-in a file is, such as "Hokusai's Great Wave off Kanagawa for the_scream", if it is one."""
    found = _sha256(file)
    for name, (picture, shows) in STAND_INS.items():
        if found == _sha256(HERE / picture):
            return f"{shows} for {name}"
    return None


def _sha256(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


@dataclass(frozen=True)
class StyleChecks:
    """Reference outputs with all that they belong to.

    Attributes:
        answers: dict of arrays, see `load_style_checks`.
        content: path of the photograph.
        style: path of the painting.
        weights: of the network, as `load_network` takes them.
        said: one line that says which outputs these are, and what was missing for others.
    """

    answers: dict[str, np.ndarray]
    content: Path
    style: Path
    weights: str
    said: str


def find_style_checks(file: str | Path | None = None, weights: str | None = None) -> StyleChecks:
    """Choose the reference outputs, and find the images and weights that belong to them.

    Args:
        file: .npz file of reference outputs; None takes the course's if it lies in data/ and what belongs to it is
            in place, and otherwise those of the embedded network.
        weights: what to prefer for the course's: "torchvision" or a file. Its weights are also looked for in
            torchvision's cache and as data/squeezenet1_1*.pth; nothing is downloaded.

    Returns:
        StyleChecks.

    Raises:
        InputError: `file` cannot be read, or is the course's and something that belongs to it is missing.
    """
    ours = StyleChecks(
        load_style_checks(CHECKS),
        *(style_image(name, sample=True) for name in ("tubingen", "starry_night")),
        "embedded",
        "style checks: those of the embedded network and the images in data/",
    )
    chosen = Path(file) if file else COURSE_CHECKS
    if file is None and not chosen.is_file():
        return ours
    answers = load_style_checks(chosen)
    if all(np.array_equal(answers[name], ours.answers[name]) for name in CHECK_SHAPES):
        return ours
    images = [style_image(name) for name in ("tubingen", "starry_night")]
    if not all(np.allclose(answers[name], value, rtol=1e-6) for name, value in COURSE_OUTPUTS.items()):
        weights = weights or "embedded"
        said = (
            f"style checks: outputs of unknown origin, '{chosen}', for '{images[0]}', '{images[1]}' and {weights}"
        )
        return StyleChecks(answers, *images, weights, said)
    missing = [
        f"its {name}.jpg in {COURSE_FOLDER.name}/"
        for name in ("tubingen", "starry_night")
        if _sha256(style_image(name)) != COURSE_IMAGES[name]
    ]
    found = _torchvisions_weights(weights)
    if found is None:
        where = "--weights FILE, torchvision's cache or data/squeezenet1_1*.pth"
        missing.append(f"torchvision's SqueezeNet 1.1 ({where})")
    if not missing:
        said = f"style checks: the course's, '{chosen}', with its images and torchvision's weights in '{found}'"
        return StyleChecks(answers, *images, str(found), said)
    problem = f"the course's '{chosen}' belongs to files that are not here: {', '.join(missing)}"
    if file:
        raise InputError(problem)
    return StyleChecks(ours.answers, ours.content, ours.style, ours.weights, f"{ours.said}; {problem}")


def _torchvisions_weights(preferred):
    """Find a file of torchvision's SqueezeNet 1.1, known by its first numbers, even rounded to half precision."""
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    given = [Path(preferred)] if preferred not in (None, "embedded", "torchvision", "random") else []
    for file in (*given, *sorted(cache.glob("squeezenet1_1-*.pth")), *sorted(HERE.glob("squeezenet1_1*.pth"))):
        try:
            kernel = load_network(weights=file).state_dict()["features.0.weight"].flatten()
        except InputError:
            if file in given:
                raise
            continue
        if np.allclose(kernel[: len(TORCHVISION_KERNEL)], TORCHVISION_KERNEL, atol=1e-4):
            return file
    return None


def load_style_checks(path: str | Path = CHECKS) -> dict[str, np.ndarray]:
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
