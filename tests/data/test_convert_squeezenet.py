"""The conversion's two steps change what they promise and nothing else."""

import io
import pickle

import numpy as np
import pytest
import torch

from data.convert_squeezenet import (
    BGR_MEAN,
    FIRE,
    _ArraysOnly,
    fold_preprocessing,
    read_weights,
    rescale_blocks,
    to_state_dict,
)
from data.networks import build_network
from image_utils.errors import InputError
from image_utils.pixels import to_normalised
from tests.small_networks import random_images


def test_fold_is_exact():
    generator = torch.Generator().manual_seed(0)
    original = {
        "features.0.weight": torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64),
        "features.0.bias": torch.randn(4, generator=generator, dtype=torch.float64),
    }
    pixels = torch.rand(1, 3, 8, 9, generator=generator, dtype=torch.float64)  # RGB, [0, 1]
    bgr = 255 * pixels.flip(1) - torch.as_tensor(BGR_MEAN).view(1, 3, 1, 1)
    expected = torch.conv2d(bgr, original["features.0.weight"], original["features.0.bias"])
    folded = fold_preprocessing(original)
    found = torch.conv2d(to_normalised(pixels), folded["features.0.weight"], folded["features.0.bias"])
    torch.testing.assert_close(found, expected)


def test_class_scores_do_not_depend_on_the_scale_of_the_blocks(squeezenet, photographs):
    X, _ = photographs
    factors = {i: float(f) for i, f in zip([1, *FIRE.values()], np.geomspace(0.02, 40, 9), strict=True)}
    rescaled = build_network("squeezenet1_1")
    rescaled.load_state_dict(rescale_blocks(squeezenet.state_dict(), factors))
    with torch.no_grad():
        assert (rescaled(X) - squeezenet(X)).abs().max() < 1e-4
        ratio = rescaled.features[:4](X).norm() / squeezenet.features[:4](X).norm()
    assert ratio == pytest.approx(factors[3], rel=1e-4)


def test_renames_and_transposes():
    rng = np.random.default_rng(0)
    shapes = {"conv1": (3, 3, 3, 64), "conv10": (1, 1, 512, 1000)}
    names = {f"features.{i}.squeeze.weight": f"fire{n}/squeeze1x1" for n, i in FIRE.items()}
    wanted = build_network("squeezenet1_1").state_dict()
    for n, i in FIRE.items():
        for part, name in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            o, c, h, w = wanted[f"features.{i}.{name}.weight"].shape
            shapes[f"fire{n}/{part}"] = (h, w, c, o)
    weights = {
        k: [rng.normal(size=s).astype(np.float32), rng.normal(size=s[3]).astype(np.float32)]
        for k, s in shapes.items()
    }
    state = to_state_dict(weights)
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in wanted.items()}
    for name, source in names.items():
        assert state[name][2, 1, 0, 0] == weights[source][0][0, 0, 1, 2]


def test_other_files_and_other_pickles_are_refused(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"conv1": 1}))
    with pytest.raises(InputError, match="SHA-256"):
        read_weights(tmp_path / "weights.pkl")
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print"):
        _ArraysOnly(io.BytesIO(pickle.dumps(print))).load()


def test_scores_are_finite_on_noise(squeezenet):
    with torch.no_grad():
        assert torch.isfinite(squeezenet(random_images(1, 3, 64, 64) * 10)).all()
