"""The reference outputs: made again by the NumPy oracle, met by the losses, and the course's own."""

import math
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from data import load_network, style_images
from data.make_style_checks import compute_checks, convolution, fire, max_pooling, read_image, total_variation
from data.style_images import CHECK_SHAPES, load_style_checks, style_image
from image_utils.errors import InputError
from style_transfer import loss_errors
from style_utils import features_from_img, preprocess, rel_error
from tests.oracles import style as slow
from tests.small_networks import random_images

REPRODUCED = 1e-4  # another version of Pillow may decode a photograph a little differently; the same one gives 0


def test_the_committed_outputs_are_the_oracles():
    made, committed = compute_checks(), load_style_checks()
    assert {name: value.shape for name, value in made.items()} == CHECK_SHAPES
    for name in CHECK_SHAPES:
        assert rel_error(made[name], committed[name]) <= REPRODUCED


def test_all_four_errors_print_as_zero(squeezenet):
    errors = dict(loss_errors(load_style_checks(), squeezenet.features, sample=True))
    assert [message.format(error) for message, error in errors.items()] == [
        "Content Loss Maximum error is 0.000",
        "Gram Matrix Maximum error is 0.000",
        "Style Loss Error is 0.000",
        "TV Loss Error is 0.000",
    ]
    assert max(errors.values()) <= 1e-4


def test_the_courses_own_outputs(reference, monkeypatch):
    monkeypatch.setattr(style_images, "COURSE_FOLDER", reference)
    cnn = load_network(weights=reference / "squeezenet1_1_torchvision_fp16.pth").features
    errors = loss_errors(load_style_checks(reference / "style-transfer-checks.npz"), cnn, sample=False)
    for (_, error), tolerance in zip(errors, (5e-3, 5e-3, 5e-3, 5e-4), strict=True):
        assert error <= tolerance


def test_the_oracles_parts_agree_with_their_definitions():
    x = random_images(1, 2, 7, 8, dtype=torch.float64)
    for size in ((7, 8), (6, 6), (3, 9)):
        y = random_images(1, 2, *size, dtype=torch.float64)
        expected = nn.functional.max_pool2d(y, 3, 2, ceil_mode=True)[0].numpy()
        np.testing.assert_array_equal(max_pooling(y[0].numpy()), expected)
    kernel, bias = random_images(3, 2, 3, 3, dtype=torch.float64), torch.arange(3.0).double()
    for options in ({"stride": 2}, {"padding": 1}):
        expected = nn.functional.conv2d(x, kernel, bias, **options)[0].numpy()
        np.testing.assert_allclose(convolution(x[0].numpy(), kernel.numpy(), bias.numpy(), **options), expected)
    assert total_variation(x[0].numpy()) == pytest.approx(slow.total_variation(x.numpy(), 1.0))


def test_the_oracles_fire_and_preprocessing(squeezenet):
    feats, img = features_from_img(style_image("tubingen", sample=True), 192, squeezenet.features, torch.float32)
    np.testing.assert_allclose(read_image(style_image("tubingen", sample=True)), img[0].numpy(), atol=1e-5)
    weights = {name: value.numpy().astype(np.float64) for name, value in squeezenet.state_dict().items()}
    found = fire(feats[2][0].numpy().astype(np.float64), weights, 3)
    np.testing.assert_allclose(found, feats[3][0].numpy(), atol=1e-4)


def test_non_square_photographs_are_resized_alike(tmp_path):
    from PIL import Image

    for size in ((51, 34), (34, 51)):
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / "noise.png")
        found = read_image(tmp_path / "noise.png", 20)
        expected = preprocess(Image.open(tmp_path / "noise.png"), 20)[0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_courses_images_come_first(tmp_path, monkeypatch):
    sample = style_image("the_scream")
    (tmp_path / "the_scream.jpg").write_bytes(sample.read_bytes())
    monkeypatch.setattr(style_images, "COURSE_FOLDER", tmp_path)
    assert style_image("the_scream") == tmp_path / "the_scream.jpg"
    assert style_image("the_scream", sample=True) == sample
    assert style_image("tubingen").is_file()


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "checks.npz"
    with pytest.raises(InputError, match="does not exist"):
        load_style_checks(path)
    contents = {name: np.zeros(shape, np.float32) for name, shape in CHECK_SHAPES.items()}
    np.savez(path, **contents)
    assert load_style_checks(path).keys() == CHECK_SHAPES.keys()
    np.savez(path, **{**contents, "gm_out": np.zeros((1, 3, 3), np.float32)})
    with pytest.raises(InputError, match="gm_out"):
        load_style_checks(path)
    np.savez(path, cl_out=[math.pi])
    with pytest.raises(InputError, match="gm_out"):
        load_style_checks(path)
    path.write_bytes(b"no archive")
    with pytest.raises(InputError):
        load_style_checks(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cl_out.npy", b"no array")
    with pytest.raises(InputError):
        load_style_checks(path)
