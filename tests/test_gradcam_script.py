"""gradcam.py as a person runs it, over several families of networks, and what its figures need."""

import copy

import numpy as np
import pytest
import torch
from captum.attr import LayerActivation, LayerConductance
from PIL import Image

from captum_utils import private_copy
from data import load_network
from image_utils import deprocess, preprocess, rescale
from image_utils.figures import image_grid, overlay
from tests.no_trace import no_trace
from tests.scripts import assert_refused, call
from tests.small_networks import random_images, tiny_net
from visualizers import GradCam

MAPS = ["gradcam.png", "layer_activation_captum.png", "layer_conductance_captum.png", "layer_gradcam_captum.png"]
MAPS += ["overview.png"]
GUIDED = ["guided_backprop.png", "guided_backprop_captum.png", "guided_gradcam.png", "guided_gradcam_captum.png"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fewer steps; the full setting is for people."""
    import gradcam

    monkeypatch.setattr(gradcam, "STEPS", 3)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_writes_nine_figures_twice_the_same(tmp_path):
    for folder in ("a", "b"):
        status, out, _ = call("gradcam", "--num", 2, "--out", tmp_path / folder, "--device", "cpu")
        assert (status, out) == (0, "")
    assert names(tmp_path / "a") == sorted(MAPS + GUIDED)
    for name in MAPS + GUIDED:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        with Image.open(tmp_path / "a" / name) as figure:
            pixels = np.asarray(figure.convert("L"), float)
        assert pixels.shape[1] > 400 and pixels.std() > 20


def test_own_pictures_of_different_sizes(tmp_path):
    y, x = np.mgrid[0:64, 0:96]
    picture = Image.fromarray(np.stack([x * 2, y * 3, 255 - x], axis=2).astype(np.uint8))
    picture.save(tmp_path / "a.png")
    picture.rotate(90, expand=True).save(tmp_path / "b.png")
    arguments = ("--layer", "features[9]", "--early-layer", "features.4.squeeze", "--out", tmp_path / "out")
    status, out, err = call("gradcam", "--images", tmp_path / "a.png", tmp_path / "b.png", *arguments)
    assert (status, out) == (0, ""), err
    assert names(tmp_path / "out") == sorted(MAPS + GUIDED)


@pytest.mark.parametrize("network", ["resnet18", "vgg11", "mobilenet_v2", "densenet121"])
def test_other_networks(tmp_path, network):
    arguments = ("--network", network, "--weights", "random", "--num", 1, "--out", tmp_path)
    status, out, err = call("gradcam", *arguments)
    assert (status, out) == (0, ""), err
    assert names(tmp_path) == sorted(MAPS + GUIDED)


def test_a_network_without_relus_gets_its_maps_and_a_message(tmp_path):
    arguments = ("--network", "efficientnet_b0", "--weights", "random", "--num", 1, "--quiet", "--out", tmp_path)
    status, out, err = call("gradcam", *arguments)
    assert (status, out, err.count("\n")) == (0, "", 1) and "no ReLU" in err, err
    assert names(tmp_path) == sorted(MAPS)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--layer", "features.99"], "features.9"),
        (["--early-layer", "feature"], "features"),
        (["--layer", "layer4"], "did you mean"),
        (["--network", "resnet18", "--weights", "random", "--layer", "fc"], "maps"),
        (["--network", "resnet18", "--weights", "random", "--early-layer", "layer1.0.relu"], "more than once"),
    ],
)
def test_bad_layers_are_refused(tmp_path, arguments, word):
    assert_refused("gradcam", *arguments, "--out", tmp_path / "out", word=word)
    assert not (tmp_path / "out").exists()


def test_the_courses_calls(tmp_path, squeezenet):
    """What a student's script does: pixels and parameters require gradients, and there are three arguments."""
    gc_model = copy.deepcopy(squeezenet)
    for param in gc_model.parameters():
        param.requires_grad = True
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    X_tensor = torch.cat([preprocess(Image.fromarray(x), size=64) for x in photos], dim=0).requires_grad_(True)
    y_tensor = torch.LongTensor([3, 4])
    gc = GradCam()
    with no_trace(gc_model, X_tensor, y_tensor):
        gbp_result = gc.guided_backprop(X_tensor, y_tensor, gc_model)
        gradcam_result = gc.grad_cam(X_tensor, y_tensor, gc_model)
    for result, shape in ((gbp_result, (2, 64, 64, 3)), (gradcam_result, (2, 64, 64))):
        assert isinstance(result, np.ndarray) and result.shape == shape and result.dtype == np.float32
    for i in range(gradcam_result.shape[0]):
        assert rescale(gbp_result[i]).max() == 1
        product = np.expand_dims(gradcam_result[i], axis=2) * gbp_result[i]
        product = torch.from_numpy(np.float32(np.expand_dims(product.transpose(2, 0, 1), axis=0)))
        assert deprocess(product).size == (64, 64)


# What the figures are made of


def test_overlay():
    photograph = np.zeros((2, 2, 3), np.uint8)
    photograph[0, 0] = 255
    mixed = overlay(photograph, np.array([[0.0, 1.0], [0.5, 0.5]]))
    assert mixed.shape == (2, 2, 3) and mixed.max() == 1 and mixed.min() >= 0
    assert mixed[0, 1, 0] > mixed[0, 1, 2] == 0  # red where the map is high
    assert mixed[0, 0].tolist() == pytest.approx([1 / 1.5, 1 / 1.5, 1.0])  # white plus jet's dark blue (0, 0, 0.5)


def test_maps_share_the_scale_they_are_given():
    figure = image_grid([[np.array([[0.4, 0.6]])]], vmin=0, vmax=1)
    assert figure.axes[0].images[0].get_clim() == (0, 1)


def test_private_copy():
    model, X = tiny_net(dtype=torch.float32), random_images(1, 3, 9, 9)
    with no_trace(model):
        twin = private_copy(model)
        assert torch.equal(twin(X), model(X))
        assert all(a is b for a, b in zip(twin.parameters(), model.parameters(), strict=True))
        maps = LayerActivation(twin, twin.features[2]).attribute(X)
        LayerConductance(twin, twin.features[2]).attribute(X, target=1, n_steps=3)
    assert maps.min() < 0  # not overwritten by the in-place ReLU that follows
    assert twin.act is not model.act and model.act.inplace


def test_private_copy_keeps_buffers():
    model = load_network("resnet18", "random")
    twin = private_copy(model)
    assert twin.bn1.running_mean is model.bn1.running_mean
