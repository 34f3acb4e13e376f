"""Every script, and explain, with the course's own photographs in place of the samples."""

import numpy as np
import pytest
import torch
from PIL import Image

import data.samples
import gradcam
import saliency_map
from data.samples import imagenet_class_names, read_course_file
from data_utils import load_imagenet_val
from image_utils.pixels import to_input
from tests.explain.commands import explain
from tests.scripts import call


@pytest.fixture
def photographs(monkeypatch, reference):
    """The course's file, as if it lay in data/."""
    monkeypatch.setattr(data.samples, "COURSE_FILE", reference / "imagenet_val_25.npz")


@pytest.fixture
def quick(monkeypatch):
    """Fewer steps; the full settings are for people."""
    monkeypatch.setattr(saliency_map, "STEPS", 2)
    monkeypatch.setattr(saliency_map, "STRIDE", 96)
    monkeypatch.setattr(saliency_map, "WINDOW", 96)
    monkeypatch.setattr(gradcam, "STEPS", 2)


def test_loads_as_it_is(photographs, reference):
    X, y, names = load_imagenet_val()
    with np.load(reference / "imagenet_val_25.npz", allow_pickle=True) as archive:
        assert np.array_equal(X, archive["X"]) and np.array_equal(y, archive["y"])
        own = archive["label_map"].item()
    assert X.dtype == np.uint8 and y.dtype == np.int64 and X.flags.writeable
    assert names == imagenet_class_names() | own
    assert list(names) == list(range(1000)) and names[134] == "crane bird" and names[0] == "tench, Tinca tinca"


def test_the_network_knows_the_photographs(photographs, squeezenet):
    X, y, _ = load_imagenet_val()
    top = squeezenet(to_input(X)).topk(5).indices
    assert int((top == torch.as_tensor(y)[:, None]).any(1).sum()) >= 20


@pytest.mark.parametrize(
    ("script", "options", "figure"),
    [
        ("saliency_map", ["--num", 1], "saliency_map.png"),
        ("gradcam", ["--num", 1], "guided_gradcam.png"),
        ("fooling_image", ["--target", 134, "--index", 4], "fooling_image_exact.png"),
        ("class_visualization", ["--class", 134, "--steps", 2], "class_visualization.png"),
        ("style_transfer", ["--steps", 1, "--settings", "starry_tubingen"], "starry_tubingen.png"),
    ],
)
def test_scripts(photographs, quick, tmp_path, script, options, figure):
    status, _, err = call(script, *options, "--out", tmp_path)
    assert status == 0, err
    assert Image.open(tmp_path / figure).width > 100


def test_a_class_that_the_file_does_not_name(photographs, quick, tmp_path, reference):
    Image.fromarray(read_course_file(reference / "imagenet_val_25.npz")[0][0]).save(tmp_path / "a.png")
    status, _, err = call("saliency_map", "--images", tmp_path / "a.png", "--labels", 134, "--out", tmp_path)
    assert status == 0, err


def test_explain(photographs, tmp_path, reference):
    (tmp_path / "in").mkdir()
    for i, photograph in enumerate(read_course_file(reference / "imagenet_val_25.npz")[0][:2]):
        Image.fromarray(photograph).save(tmp_path / "in" / f"{i}.png")
    status, _, err = explain(tmp_path / "in", "--out", tmp_path / "out", "--methods", "saliency")
    assert status == 0, err
