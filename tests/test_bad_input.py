"""At least forty kinds of bad input to every script: one line, status 2, and nothing written."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from data.networks import build_network
from tests.scripts import assert_refused

NETWORK = [
    (["--network", "squeeznet"], "did you mean"),
    (["--network", ""], "no classification network"),
    (["--network", "resnet18", "--weights", "embedded"], "only squeezenet1_1 is embedded"),
    (["--network", "fasterrcnn_resnet50_fpn"], "no classification network"),
    (["--network"], "--network"),
    (["--weights", "nowhere.pth"], "does not exist"),
    (["--weights", "folder.pth"], "a directory"),
    (["--weights", "pipe.pth"], "a pipe"),
    (["--weights", "text.pth"], "state_dict()"),
    (["--weights", "network.pth"], "state_dict()"),
    (["--weights", "picture.png"], ".safetensors, .pth or .pt"),
    (["--weights", "text.safetensors"], "safetensors"),
    (["--weights", "seven.pth"], "do not fit"),
    (["--num-classes", "7"], "goes with --weights FILE"),
    (["--num-classes", "1", "--weights", "seven.pth"], "2 or more"),
    (["--num-classes", "-1e9"], "--num-classes"),
    (["--mean", "0.5", "0.5"], "--mean"),
    (["--mean", "nan", "0", "0"], "--mean must be three numbers"),
    (["--std", "1", "0", "1"], "above 0"),
    (["--std", "-1e9", "1", "1"], "above 0"),
    (["--device", "tpu"], "tpu"),
    (["--device", "cuda:99"], "not present"),
    (["--seed", "x"], "--seed"),
    (["--seed", "-1"], "--seed"),
    (["--seed", str(2**70)], "--seed"),
    (["--out", "file.txt"], "is a file, not a folder"),
    (["--out", "file.txt/below"], "is a file, not a folder"),
    (["--out", ""], "the folder's name is empty"),
    (["--out", "b" * 300], "too long"),
    (["--nonsense"], "--nonsense"),
    (["--show=yes"], "--show"),
    (["--quiet=yes"], "--quiet"),
]
NAMES = [
    (["--classes", "nowhere.txt"], "does not exist"),
    (["--classes", "file.txt"], "names 0 classes; the network has 1000"),
    (["--classes", "picture.png"], "not a list of class names"),
    (["--classes", "pipe.pth"], "a pipe"),
    (["--classes"], "--classes"),
]
PHOTOGRAPHS = [
    (["--num", "0"], "--num must be 1 to 20"),
    (["--num", "-3"], "--num"),
    (["--num", "21"], "--num"),
    (["--num", "many"], "--num"),
    (["--labels", "3"], "--labels go with"),
    (["--images"], "--images"),
    (["picture.png", "--num", "1"], "--num chooses samples"),
    (["picture.png", "--labels", "1", "2"], "one for each image: 1, not 2"),
    (["picture.png", "--labels", "1000"], "--labels: there is no class 1000"),
    (["picture.png", "--labels", "-1"], "there is no class -1"),
    (["picture.png", "--labels", "qqqq"], "no class is called 'qqqq'"),
    (["picture.png", "--labels", "terier"], "terrier ("),
    (["picture.png", "nowhere.png"], "'nowhere.png' does not exist"),
    (["stray"], "'stray' does not exist"),
    (["folder.pth"], "a directory"),
    (["pipe.pth"], "a pipe"),
    (["file.txt"], "file.txt"),
    (["ribbon.png"], "--crop center"),
    (["picture.png", "--crop", "left"], "--crop"),
    (["picture.png"] * 101, "at most 100 fit into a figure"),
]
OWN = {
    "saliency_map": PHOTOGRAPHS + NAMES,
    "gradcam": [
        *PHOTOGRAPHS,
        *NAMES,
        (["--layer", "features.99"], "features.9"),
        (["--layer", ""], "no layer"),
        (["--early-layer", "features.x"], "no layer"),
    ],
    "fooling_image": [
        *PHOTOGRAPHS,
        *NAMES,
        (["--target", "1000"], "from 0 to 999"),
        (["--target", "qqqq"], "no class"),
        (["--index", "5"], "--index must be 0 to 4"),
        (["--index", "-1"], "--index"),
        (["--compare", "0"], "--compare"),
        (["--method", "magic"], "--method"),
        (["--steps", "0"], "steps must be at least 1, not 0"),
        (["--verify", "nowhere.png"], "does not exist"),
    ],
    "class_visualization": [
        *NAMES,
        (["--class", "1000"], "from 0 to 999"),
        (["--class", "-1"], "from 0 to 999"),
        (["--class", "qqqq"], "no class"),
        (["--class"], "--class"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--steps", "-5"], "--steps"),
        (["--steps", "1.5"], "--steps"),
        (["--recipe", "magic"], "--recipe"),
        (["stray"], "stray"),
    ],
    "style_transfer": [
        (["--size", "0"], "--size must be at least 1"),
        (["--size", "-4"], "--size"),
        (["--size", "100000"], "pixels would fit"),
        (["--style-size", "100000"], "--style-size 100000 needs about"),
        (["--sizes", "64", "100000", "--solver", "adam"], "--sizes 100000 needs about"),
        (["--steps", "0"], "at least 1"),
        (["--steps", "x"], "--steps"),
        (["--content", "nowhere.png"], "does not exist"),
        (["--content", "pipe.pth"], "a pipe"),
        (["--content", "ribbon.png"], "cut out a part"),
        (["--style", "file.txt"], "file.txt"),
        (["--settings", "monet"], "--settings"),
        (["--content-weight", "nan"], "--content-weight must be 0 or more"),
        (["--tv-weight", "-1e9"], "--tv-weight must be 0 or more"),
        (["--style-weights", "1", "inf", "1", "1"], "--style-weights must be 0 or more"),
        (["--settings", "starry_tubingen", "--name", "../../evil"], "must be a plain name"),
        (["--settings", "starry_tubingen", "--name", ".."], "must be a plain name"),
        (["--settings", "starry_tubingen", "--name", ""], "must be a plain name"),
        (["--solver", "magic"], "--solver"),
        (["--checks", "nowhere.npz"], "nowhere.npz"),
        (["--network", "resnet18", "--weights", "random"], "no row of feature layers"),
    ],
}
# style_transfer.py reads no labels, and its networks need not have 1000 classes.
CASES = [(script, *case) for script, own in OWN.items() for case in NETWORK + own]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A folder of files that are, and are not, what the options want."""
    folder = tmp_path_factory.mktemp("things")
    y, x = np.mgrid[0:64, 0:96]
    Image.fromarray(np.stack([x * 2, y * 3, 255 - x], axis=2).astype(np.uint8)).save(folder / "picture.png")
    Image.new("RGB", (2, 600)).save(folder / "ribbon.png")
    (folder / "file.txt").write_text("")
    (folder / "text.pth").write_text("no weights")
    (folder / "text.safetensors").write_text("no weights")
    (folder / "folder.pth").mkdir()
    os.mkfifo(folder / "pipe.pth")
    network = build_network("squeezenet1_1", 7)
    torch.save(network, folder / "network.pth")
    torch.save(network.state_dict(), folder / "seven.pth")
    return folder


def test_there_are_forty_for_each_script():
    assert all(len(NETWORK) + len(own) >= 40 for own in OWN.values())


@pytest.mark.parametrize(
    ("script", "arguments", "word"), CASES, ids=lambda a: " ".join(a)[:40] if isinstance(a, list) else a[:20]
)
def test_bad_input_is_refused(things, monkeypatch, script, arguments, word):
    monkeypatch.chdir(things)
    before = sorted(things.rglob("*"))
    assert_refused(script, *arguments, word=word)
    assert sorted(things.rglob("*")) == before
