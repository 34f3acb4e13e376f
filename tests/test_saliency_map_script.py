"""The script as a person runs it, with good input and with thirty kinds of bad input."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.test_networks import wrong_files
from tests.image_utils.test_loading import broken_files
from tests.scripts import assert_refused, call

FIGURES = ["int_grads_captum.png", "occlusion_captum.png", "saliency_captum.png", "saliency_map.png"]


@pytest.fixture(scope="module")
def picture():
    y, x = np.mgrid[0:64, 0:96]
    return Image.fromarray(np.stack([x * 2, y * 3, 255 - x], axis=2).astype(np.uint8))


@pytest.fixture
def quick(monkeypatch):
    """Fewer steps and larger strides; the full settings are for people."""
    import saliency_map

    monkeypatch.setattr(saliency_map, "STEPS", 2)
    monkeypatch.setattr(saliency_map, "STRIDE", 96)
    monkeypatch.setattr(saliency_map, "WINDOW", 96)


def test_writes_four_figures(tmp_path, quick):
    status, out, _ = call("saliency_map", "--num", 2, "--out", tmp_path / "figures", "--device", "cpu")
    assert (status, out) == (0, "")
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == FIGURES
    for name in FIGURES:
        with Image.open(tmp_path / "figures" / name) as figure:
            pixels = np.asarray(figure.convert("L"), float)
        assert pixels.shape[1] > 400 and pixels.std() > 20


def test_own_pictures_of_different_sizes(tmp_path, quick, picture):
    picture.save(tmp_path / "a.png")
    picture.rotate(90, expand=True).convert("L").save(tmp_path / "b.jpg")
    status, out, _ = call(
        "saliency_map", "--images", tmp_path / "a.png", tmp_path / "b.jpg", "--out", tmp_path / "out"
    )
    assert (status, out) == (0, "")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FIGURES


def test_another_network(tmp_path, quick):
    arguments = ("--network", "resnet18", "--weights", "random", "--num", 1, "--out", tmp_path)
    assert call("saliency_map", *arguments)[0] == 0


def test_same_arguments_same_bytes(tmp_path, quick):
    for folder in ("a", "b"):
        assert call("saliency_map", "--num", 1, "--out", tmp_path / folder)[0] == 0
    for name in FIGURES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_bad_images_are_refused(tmp_path, picture):
    good, out = tmp_path / "good.png", tmp_path / "out"
    picture.save(good)
    (tmp_path / "bad").mkdir()
    Image.new("RGB", (2, 600)).save(tmp_path / "bad" / "ribbon.png")
    files = broken_files(tmp_path / "bad", picture)
    for file in files:
        assert_refused("saliency_map", "--images", good, file, "--out", out)
        assert not out.exists()


BAD_ARGUMENTS = [
    (["--num", "0"], "--num"),
    (["--num", "-3"], "--num"),
    (["--num", "21"], "--num"),
    (["--num", "many"], "--num"),
    (["--labels", "3"], "--labels"),
    (["--images"], "--images"),
    (["--images", "GOOD", "--num", "1"], "--num"),
    (["--images", "GOOD", "--labels", "1", "2"], "one for each image: 1, not 2"),
    (["--images", "GOOD", "--labels", "1000"], "1000"),
    (["--images", "GOOD", "--labels", "-1"], "-1"),
    (["--images", "GOOD", "--labels", "cat"], "cat"),
    (["--images", "GOOD", "--network", "vit_b_16", "--weights", "random"], "shape"),
    (["--network", "squeeznet"], "squeezenet1_0"),
    (["--network", "resnet18", "--weights", "embedded"], "only squeezenet1_1 is embedded"),
    (["--weights", "nowhere.pth"], "nowhere.pth"),
    (["--weights", "weights"], ".pth"),
    (["--device", "tpu"], "tpu"),
    (["--device", "cuda:99"], "cuda:99"),
    (["--seed", "x"], "--seed"),
    (["--seed", "-1"], "--seed"),
    (["--seed", str(2**70)], "--seed"),
    (["--out", "FILE"], "file"),
    (["--out", "FILE/below"], "file"),
    (["--nonsense"], "--nonsense"),
    (["stray"], "stray"),
]


@pytest.mark.parametrize(
    ("arguments", "word"), BAD_ARGUMENTS, ids=lambda a: " ".join(a) if isinstance(a, list) else ""
)
def test_bad_arguments_are_refused(tmp_path, monkeypatch, picture, arguments, word):
    monkeypatch.chdir(tmp_path)
    picture.save("good.png")
    (tmp_path / "file.txt").write_text("")
    replaced = [a.replace("GOOD", "good.png").replace("FILE", "file.txt") for a in arguments]
    assert_refused("saliency_map", *replaced, word=word)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.txt", "good.png"]


def test_wrong_weights_are_refused(tmp_path):
    (tmp_path / "weights").mkdir()
    for name, word in wrong_files(tmp_path / "weights").items():
        assert_refused(
            "saliency_map", "--weights", tmp_path / "weights" / name, "--out", tmp_path / "out", word=word
        )
    assert not (tmp_path / "out").exists()


def test_a_gpu_where_there_is_none_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("a GPU is present")
    assert_refused("saliency_map", "--device", "cuda", "--out", tmp_path / "out", word="not present")
