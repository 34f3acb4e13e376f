"""The reference outputs: made again by the NumPy oracle, met by the losses, and the course's own."""

import math
import shutil
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from data import style_images
from data.make_style_checks import compute_checks, convolution, fire, max_pooling, read_image, total_variation
from data.style_images import CHECK_SHAPES, find_style_checks, load_style_checks, stand_in, style_image
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


ZEROS = [
    "Content Loss Maximum error is 0.000",
    "Gram Matrix Maximum error is 0.000",
    "Style Loss Error is 0.000",
    "TV Loss Error is 0.000",
]


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty places for the course's files: (data/, styles_images/, torchvision's cache)."""
    data, images, cache = (tmp_path / name for name in ("data", "styles_images", "cache"))
    for folder in (data, images, cache / "checkpoints"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(style_images, "COURSE_CHECKS", data / "style-transfer-checks.npz")
    monkeypatch.setattr(style_images, "COURSE_FOLDER", images)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(cache))
    return data, images, cache / "checkpoints"


def put(reference, folder, *files):
    for file in files:
        name = "squeezenet1_1-b8a52dc0.pth" if file.endswith(".pth") else file
        shutil.copyfile(reference / file, folder / name)


WEIGHTS, IMAGES = "squeezenet1_1_torchvision_fp16.pth", ("tubingen.jpg", "starry_night.jpg")


def test_all_four_errors_print_as_zero(places):
    checks = find_style_checks()
    errors = dict(loss_errors(checks))
    assert [message.format(error) for message, error in errors.items()] == ZEROS
    assert max(errors.values()) <= 1e-4
    assert "embedded network" in checks.said and checks.weights == "embedded"


def test_the_courses_own_outputs_where_all_that_belongs_to_them_is_in_place(reference, places):
    data, images, cache = places
    put(reference, data, "style-transfer-checks.npz")
    put(reference, images, *IMAGES)
    put(reference, cache, WEIGHTS)
    checks = find_style_checks()
    assert "the course's" in checks.said and "\n" not in checks.said
    lines = [message.format(error) for message, error in loss_errors(checks)]
    assert [line.rpartition(" ")[2] for line in lines] == ["0.001", "0.004", "0.003", "0.000"]


def test_the_courses_outputs_take_weights_from_a_file(reference, places):
    data, images, _ = places
    put(reference, data, "style-transfer-checks.npz")
    put(reference, images, *IMAGES)
    checks = find_style_checks(weights=str(reference / WEIGHTS))
    assert checks.weights == str(reference / WEIGHTS)
    assert "belongs to" in find_style_checks(weights=str(style_images.HERE / "squeezenet1_1.safetensors")).said


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ((), ["tubingen.jpg", "starry_night.jpg", "torchvision"]),
        (("tubingen.jpg",), ["starry_night.jpg", "torchvision"]),
        (IMAGES, ["torchvision"]),
        ((WEIGHTS,), ["tubingen.jpg", "starry_night.jpg"]),
    ],
)
def test_what_is_missing_for_the_courses_outputs_is_said_in_one_line(reference, places, there, missing):
    data, images, cache = places
    put(reference, data, "style-transfer-checks.npz")
    for file in there:
        put(reference, cache if file.endswith(".pth") else images, file)
    checks = find_style_checks()
    said = checks.said.partition("belongs to files that are not here")[2]
    assert all((name in said) == (name in missing) for name in (*IMAGES, "torchvision")) and "\n" not in said
    assert checks.weights == "embedded" and checks.content.name == "summer_palace.jpg"
    with pytest.raises(InputError, match="not here"):
        find_style_checks(data / "style-transfer-checks.npz")


def test_outputs_are_known_by_their_content(reference, places, tmp_path):
    """Ours under the course's name are ours, a stand-in under its image's name is none of its images."""
    data, images, cache = places
    shutil.copyfile(style_images.CHECKS, data / "style-transfer-checks.npz")
    assert find_style_checks().weights == "embedded"
    put(reference, data, "style-transfer-checks.npz")
    put(reference, cache, WEIGHTS)
    for name in ("tubingen", "starry_night"):
        shutil.copyfile(style_image(name, sample=True), images / f"{name}.jpg")
    assert "its tubingen.jpg" in find_style_checks().said
    numbers = {**load_style_checks(), "tv_out": np.ones(1, np.float32)}
    np.savez(tmp_path / "mine.npz", **numbers)
    mine = find_style_checks(tmp_path / "mine.npz")
    assert "unknown origin" in mine.said and mine.content == images / "tubingen.jpg"


def test_a_broken_file_among_the_weights_is_passed_over(reference, places):
    data, images, cache = places
    put(reference, data, "style-transfer-checks.npz")
    put(reference, images, *IMAGES)
    (cache / "squeezenet1_1-00000000.pth").write_bytes(b"half a download")
    assert "torchvision" in find_style_checks().said.partition("not here")[2]
    put(reference, cache, WEIGHTS)
    assert find_style_checks().weights.endswith("b8a52dc0.pth")


def test_what_stands_in_for_the_courses_images_ships_under_their_names():
    for name, (_, shows) in style_images.STAND_INS.items():
        assert (style_images.HERE.parent / "styles_images" / f"{name}.jpg").is_file()
        assert stand_in(style_image(name, sample=True)) == f"{shows} for {name}"
    assert stand_in(style_images.CHECKS) is None


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


def test_what_lies_in_its_place_comes_first(places):
    _, images, _ = places
    sample = style_image("the_scream")
    assert sample == style_image("the_scream", sample=True)
    (images / "the_scream.jpg").write_bytes(b"")
    assert style_image("the_scream") == images / "the_scream.jpg"
    assert style_image("the_scream", sample=True) == sample


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
