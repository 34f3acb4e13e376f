"""Classic mistakes, made on purpose: what each does to a picture and to a number.

The wrong code comes from tests/mutants: a copy of one file in which a student's part is written wrongly. Here it
runs beside the right one. Which mistakes, and what is to be seen: course/breaks.py.
"""

import importlib.util
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import style_modules
import style_utils
import visualizers
from data.networks import load_network
from data.samples import load_imagenet_val
from data.style_images import load_style_checks, style_image
from image_utils.errors import InputError
from image_utils.figures import colours, image_grid, overlay
from image_utils.pixels import deprocess, to_input

BEAKER = 2  # a photograph with two answers: a beaker, below a bottle
DOG, STINGRAY, GORILLA = 0, 6, 366  # a photograph, and two classes
STEPS = 60  # of a class visualization, enough to see
SIZE, CHECK_SIZE = 128, 192  # shortest side of a styled picture and of the notebook's images, pixels


@dataclass(frozen=True)
class Outcome:
    """What a part of the assignment gives: a picture, uint8 or in [0, 1], and numbers by their name, as text."""

    picture: np.ndarray
    numbers: dict = field(default_factory=dict)


def mutant(name):
    """Find a wrong submission by its name.

    Raises:
        InputError: there is none of this name, or none at all, as in the handout.
    """
    try:
        from tests.mutants import ascents, losses, techniques, updates
    except ImportError:
        raise InputError("the wrong solutions are in tests/mutants, which only the full project has") from None
    known = (*losses.LOSSES, *techniques.TECHNIQUES, *ascents.ASCENTS, *updates.UPDATES)
    found = {wrong.name: wrong for wrong in known}
    if name not in found:
        raise InputError(f"there is no mistake '{name}' in tests/mutants")
    return found[name]


def solution(wrong=None):
    """Collect the classes and functions of the assignment, or those of a wrong submission.

    Args:
        wrong: a mutant; None for the right ones.

    Returns:
        Namespace with SaliencyMap, GradCam, StyleLoss, style_transfer and so on.
    """
    parts = SimpleNamespace(**vars(visualizers) | vars(style_modules), style_transfer=style_utils.style_transfer)
    for file, text in wrong.files().items() if wrong else ():
        module = _run(file, text)
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__:
                setattr(parts, name, value)
    return parts


def _run(file, text):
    """Run a Python file's changed text as a module of its own."""
    name = "broken_" + Path(file).stem
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def _photograph(index):
    photos, labels, names = load_imagenet_val(index + 1)
    return photos[index], to_input(photos[index][None]), torch.tensor(labels[index:]), names


def saliency(parts):
    """A saliency map."""
    _, x, y, _ = _photograph(BEAKER)
    values = parts.SaliencyMap().compute_saliency_maps(x, y, load_network())
    return Outcome(_grey(values[0].numpy()))


def _grey(values):
    low, high = values.min(), np.percentile(values, 99.5)
    return np.repeat(np.clip((values - low) / (high - low), 0, 1)[..., None], 3, axis=2)


def guided(parts):
    """Guided backpropagation."""
    _, x, y, _ = _photograph(DOG)
    return Outcome(colours(parts.GradCam().guided_backprop(x, y, load_network())[0]))


def grad_cam(parts):
    """Grad-CAM, laid over the photograph."""
    photo, x, y, _ = _photograph(BEAKER)
    return Outcome(overlay(photo, parts.GradCam().grad_cam(x, y, load_network())[0]))


def fooling(parts):
    """A fooling image: what the network sees, and how far it is from the photograph."""
    _, x, _, names = _photograph(DOG)
    network = load_network()
    found = parts.FoolingImage().make_fooling_image(x, STINGRAY, network)
    picture = np.asarray(deprocess(found, should_rescale=False))
    return Outcome(picture, _seen(network, found, names) | {"length of the change": f"{(found - x).norm():.1f}"})


def _seen(network, x, names):
    p = network(x).softmax(dim=1)[0]
    return {"seen as": f"{names[int(p.argmax())]}, {p.max():.0%}"}


def class_visualization(parts):
    """A picture of a class."""
    network, names = load_network(), load_imagenet_val(1)[2]
    options = {"generate_plots": False, "num_iterations": STEPS, "seed": 0}
    create = parts.ClassVisualization().create_class_visualization
    picture = np.asarray(create(GORILLA, names, network, torch.FloatTensor, **options))
    return Outcome(picture, _seen(network, to_input(picture[None]), names))


def style(parts):
    """A photograph in the style of a painting, and the four errors that the notebook prints."""
    cnn, dtype = load_network().features, torch.FloatTensor
    losses = parts.ContentLoss(), parts.StyleLoss(), parts.TotalVariationLoss()
    layers = {"content_layer": 3, "content_weight": 6e-2, "style_layers": (1, 4, 6, 7)}
    weights = {"style_weights": (300000, 1000, 15, 3), "tv_weight": 2e-2}
    images = style_image("tubingen"), style_image("starry_night")
    picture = parts.style_transfer(
        "broken", *images, SIZE, SIZE, **layers, **weights, content_loss=losses[0], style_loss=losses[1],
        tv_loss=losses[2], cnn=cnn, dtype=dtype, testing=True,
    )  # fmt: skip
    return Outcome(np.asarray(style_utils.deprocess(picture)), _notebook_errors(cnn, *losses))


def _notebook_errors(cnn, content_loss, style_loss, tv_loss):
    """Compute what test_style_transfer.ipynb prints."""
    answers, dtype = load_style_checks(), torch.FloatTensor
    photo, painting = (style_image(name, sample=True) for name in ("tubingen", "starry_night"))
    with torch.no_grad():
        feats, img = style_utils.features_from_img(photo, CHECK_SIZE, cnn, dtype)
        nothing = style_utils.extract_features(torch.zeros_like(img), cnn)
        style_feats, _ = style_utils.features_from_img(painting, CHECK_SIZE, cnn, dtype)
        targets = [style_loss.gram_matrix(style_feats[layer]) for layer in (1, 4, 6, 7)]
        found = {
            "content": ("cl_out", content_loss(6e-2, feats[3], nothing[3])),
            "Gram matrix": ("gm_out", style_loss.gram_matrix(style_feats[5])),
            "style": ("sl_out", style_loss(feats, (1, 4, 6, 7), targets, (300000, 1000, 15, 3))),
            "TV": ("tv_out", tv_loss(img, 2e-2)),
        }
    return {
        f"{name} error": f"{style_utils.rel_error(answers[key], torch.as_tensor(value)):.3f}"
        for name, (key, value) in found.items()
    }


def compare(right, wrong):
    """Draw two Outcomes side by side as a matplotlib Figure; below, the numbers that differ, or that none does."""
    differ = [f"{k}: {v}, wrong {wrong.numbers[k]}" for k, v in right.numbers.items() if v != wrong.numbers[k]]
    same = ", ".join(f"{k} {v}" for k, v in right.numbers.items())
    caption = "; ".join(differ) or (f"both: {same}" if same else None)
    return image_grid(
        [[right.picture, wrong.picture]], column_titles=["right", "wrong"], caption=caption, cell=3.2
    )
