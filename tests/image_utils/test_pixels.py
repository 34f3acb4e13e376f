"""Preprocessing and its inverse, against arithmetic done by hand."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import image_utils
from image_utils import T, deprocess, deprocess_image, preprocess, preprocess_image, rescale
from image_utils.errors import InputError
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD, for_each_size, to_input, to_normalised, to_pixels
from tests.conftest import ROOT


def photograph(rng, height=40, width=60):
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def by_hand(pixels):
    return ((np.asarray(pixels, np.float64) / 255 - SQUEEZENET_MEAN) / SQUEEZENET_STD).transpose(2, 0, 1)


def test_preprocess_normalises(rng):
    img = photograph(rng)
    np.testing.assert_allclose(preprocess(img, size=40)[0].numpy(), by_hand(img), atol=1e-5)
    np.testing.assert_allclose(preprocess_image(np.asarray(img)).transpose(2, 0, 1), by_hand(img), atol=1e-5)


def test_preprocess_resizes_the_shortest_side(rng):
    assert preprocess(photograph(rng)).shape == (1, 3, 224, 336)
    assert preprocess(photograph(rng, 60, 40), size=20).shape == (1, 3, 30, 20)
    assert preprocess(photograph(rng), size=(10, 12)).shape == (1, 3, 10, 12)


def test_deprocess_undoes_preprocess(rng):
    img = photograph(rng)
    back = np.asarray(deprocess(preprocess(img, size=40), should_rescale=False), int)
    assert np.abs(back - np.asarray(img, int)).max() <= 1  # the course's function truncates
    assert np.abs(deprocess_image(preprocess_image(np.asarray(img))).astype(int) - np.asarray(img, int)).max() <= 1


def test_equals_torchvisions_transforms_bit_for_bit(rng):
    for size in (None, 1, 30, 50, 224, (7, 90), [40]):
        for height, width in ((40, 60), (60, 40), (50, 50), (31, 500)):
            img = photograph(rng, height, width)
            steps = [T.ToTensor(), T.Normalize(SQUEEZENET_MEAN.tolist(), SQUEEZENET_STD.tolist())]
            theirs = T.Compose(steps if size is None else [T.Resize(size), *steps])(img)[None]
            ours = preprocess(img, size=size)
            assert torch.equal(ours, theirs) and ours.stride() == theirs.stride()
            pixels = to_pixels(ours)[0].clamp(0, 1)
            assert deprocess(ours, should_rescale=False) == T.ToPILImage()(pixels)


@pytest.mark.parametrize("img", [np.zeros((4, 4, 3), np.uint8), *(Image.new(m, (4, 4)) for m in ("L", "RGBA"))])
def test_preprocess_refuses_other_images(img):
    with pytest.raises(InputError, match="mode RGB, not"):
        preprocess(img)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_deprocess_takes_any_floating_point_and_tensors_in_a_graph(dtype):
    x = torch.randn(1, 3, 6, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = np.asarray(deprocess(x.float()), int)
    found = np.asarray(deprocess(x.clone().requires_grad_()), int)
    assert found.shape == (6, 5, 3) and np.abs(found - expected).max() <= (1 if dtype == torch.float64 else 8)


def test_deprocess_clips_instead_of_wrapping_around():
    bright = to_normalised(torch.full((1, 3, 2, 2), 1.2))
    assert np.asarray(deprocess(bright, should_rescale=False)).min() == 255


def test_deprocess_rescales_to_the_full_range():
    img = np.asarray(deprocess(torch.linspace(-0.1, 0.1, 12).view(1, 3, 2, 2).requires_grad_()))
    assert (img.min(), img.max()) == (0, 255)


@pytest.mark.parametrize("x", [torch.full((2, 2), 3.0), np.full((2, 2), 3.0), np.zeros((2, 2, 3), np.float32)])
def test_rescale_of_a_flat_input_is_zero(x):
    with np.errstate(all="raise"):
        result = rescale(x)
    assert type(result) is type(x) and result.dtype == x.dtype and float(result.max()) == 0.0


def test_rescale_stretches(rng):
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(rescale(x), (x - x.min()) / (x.max() - x.min()))


def test_pixels_and_normalised_are_inverse():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(to_normalised(to_pixels(x)), x)


def test_to_input_equals_preprocess(rng):
    X = rng.integers(0, 256, (2, 30, 50, 3), dtype=np.uint8)
    assert torch.equal(to_input(X), torch.cat([preprocess(Image.fromarray(x), size=30) for x in X]))


@pytest.mark.parametrize(
    "X", [np.zeros((2, 3, 4), np.uint8), np.zeros((1, 4, 4, 3)), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_to_input_refuses_other_arrays(X):
    with pytest.raises(InputError):
        to_input(X)


def test_for_each_size_batches_what_it_can(rng):
    sizes = []

    def shapes(x, y):
        sizes.append((len(x), len(y)))
        return [(tuple(x[i].shape), int(y[i])) for i in range(len(x))]

    same = rng.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    assert for_each_size(shapes, same, [4, 5, 6]) == [((3, 8, 9), 4), ((3, 8, 9), 5), ((3, 8, 9), 6)]
    mixed = [same[0], same[1][:, :7]]
    assert for_each_size(shapes, mixed, [4, 5]) == [((3, 8, 9), 4), ((3, 8, 7), 5)]
    assert sizes == [(3, 3), (1, 1), (1, 1)]


def test_importing_waits_with_what_takes_long():
    code = (
        "import sys, image_utils.pixels, image_utils.loading, image_utils.figures;"
        "assert not {'torchvision', 'matplotlib.pyplot'} & set(sys.modules);"
        "import torchvision.ops; from image_utils import *;"
        "assert T.Compose and plt.figure"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_star_import_gives_the_courses_names():
    namespace = {}
    exec("from image_utils import *", namespace)  # noqa: S102
    course = {"SQUEEZENET_MEAN", "SQUEEZENET_STD", "preprocess_image", "deprocess_image", "image_from_url"}
    assert course | {"load_image", "preprocess", "deprocess", "rescale"} <= namespace.keys()
    assert {"plt", "np", "torch", "T", "Image"} <= namespace.keys()
    with pytest.raises(AttributeError):
        image_utils.no_such_name  # noqa: B018
