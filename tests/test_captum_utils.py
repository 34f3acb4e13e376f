"""The course's two helpers around Captum."""

import numpy as np
import pytest
import torch
from captum.attr import LayerActivation, Saliency
from PIL import Image

from captum_utils import _flat, _standardise, compute_attributions, visualize_attr_maps
from image_utils.errors import InputError
from image_utils.figures import brightness
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
    assert _flat(attr[:, :, :1]).shape == (6, 7)
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


def test_photographs_of_different_sizes_go_one_by_one():
    model = tiny_net(dtype=torch.float32)
    X, target = [random_images(1, 3, 9, 9)[0], random_images(1, 3, 12, 8)[0]], torch.tensor([1, 2])
    method = Saliency(model)
    found = compute_attributions(method, X, target=target, abs=False)
    for one, x, y in zip(found, X, target, strict=True):
        assert torch.equal(one, method.attribute(x[None].requires_grad_(), target=int(y), abs=False)[0])


@pytest.mark.parametrize("standardise", [True, False])
def test_what_is_drawn_is_what_was_given(tmp_path, rng, standardise):
    X, maps = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8), random_images(2, 1, 20, 30)
    figure = visualize_attr_maps(
        tmp_path / "a.png", X, [0, 1], NAMES, [maps], ["method"], cmap="gray", alpha=0.5, standardise=standardise
    )
    photographs, heats = [axis.images[0] for axis in figure.axes[:2]], [axis.images[0] for axis in figure.axes[2:]]
    display = _standardise if standardise else brightness
    for i in range(2):
        assert np.array_equal(photographs[i].get_array(), X[i])
        np.testing.assert_allclose(heats[i].get_array(), display(maps[i, 0].double().numpy()), atol=1e-6)
        assert heats[i].get_clim() == (0, 1) and heats[i].get_cmap().name == "gray" and heats[i].get_alpha() == 0.5
    assert [axis.get_title() for axis in figure.axes[:2]] == ["zero", "one"]
