"""The course's two helpers around Captum."""

import numpy as np
import pytest
import torch
from captum.attr import LayerActivation, Saliency
from PIL import Image

from captum_utils import _standardise, compute_attributions, visualize_attr_maps
from image_utils.errors import InputError
from tests.small_networks import random_images, tiny_net

NAMES = {0: "zero", 1: "one"}


def test_compute_attributions_is_the_methods_own(rng):
    model, X = tiny_net(dtype=torch.float32), random_images(2, 3, 9, 9).requires_grad_()
    target = torch.tensor([1, 2])
    found = compute_attributions(Saliency(model), X, target=target, abs=False)
    assert torch.equal(found, Saliency(model).attribute(X, target=target, abs=False))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of training mode
def test_a_network_in_training_mode_is_explained_in_evaluation_mode_and_put_back():
    model, X = tiny_net(dtype=torch.float32), random_images(4, 3, 9, 9)
    target, method = torch.tensor([1, 2, 3, 4]), Saliency(model)
    expected = method.attribute(X, target=target)
    model.train()
    assert torch.equal(compute_attributions(method, X, target=target), expected)
    assert all(module.training for module in model.modules())
    with torch.no_grad():
        assert not compute_attributions(LayerActivation(model, model.features[0]), X).requires_grad


def test_standardises_as_the_course_does(rng):
    attr = rng.normal(3, 5, (6, 7, 3))
    expected = np.clip((attr - attr.mean()) / attr.std() * 0.2 + 0.5, 0, 1)
    np.testing.assert_allclose(_standardise(attr), expected)
    assert _standardise(attr[:, :, :1]).shape == (6, 7)
    assert _standardise(np.full((4, 4), 7.0)).tolist() == np.full((4, 4), 0.5).tolist()


def test_writes_one_row_a_method(tmp_path, rng):
    X = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    colour, grey = random_images(2, 3, 20, 30).requires_grad_(), random_images(2, 1, 5, 5)
    sizes = []
    for number, maps in enumerate(([colour], [colour, grey])):
        path = tmp_path / f"{number}.png"
        visualize_attr_maps(path, X, [0, 1], NAMES, maps, ["method"] * len(maps), caption="measured")
        with Image.open(path) as figure:
            sizes.append(figure.height)
    assert sizes[1] > 1.3 * sizes[0]


def test_refuses_what_does_not_fit(tmp_path, rng):
    X, maps = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8), random_images(2, 3, 8, 8)
    for attributions, titles in (([maps], ["a", "b"]), ([maps[:1]], ["a"])):
        with pytest.raises(InputError):
            visualize_attr_maps(tmp_path / "a.png", X, [0, 1], NAMES, attributions, titles)
    assert not list(tmp_path.iterdir())
