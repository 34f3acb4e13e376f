"""fooling_image.py as a person runs it, Foolbox beside it, and the printed comparison."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

import foolbox_utils
from benchmarks import fooling as benchmark
from data.samples import load_sample_photographs
from foolbox_utils import OnLevels, as_text, compare, methods, run_foolbox, summarise
from image_utils.errors import InputError
from image_utils.pixels import to_input, to_pixels
from tests.no_trace import no_trace
from tests.scripts import assert_refused, call
from tests.small_networks import random_images, tiny_net

QUICK = ("--num", 1, "--steps", 24, "--device", "cpu")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What a quick run writes: twice the same."""
    folders = [tmp_path_factory.mktemp(name) / "out" for name in "ab"]
    for folder in folders:
        status, out, err = call("fooling_image", *QUICK, "--out", folder)
        assert (status, out) == (0, ""), err
    for file in folders[0].iterdir():
        assert file.read_bytes() == (folders[1] / file.name).read_bytes()
    return folders[0]


def test_writes_figure_exact_image_and_card(written):
    assert sorted(file.name for file in written.iterdir()) == [
        "fooling_image.png",
        "fooling_image_exact.json",
        "fooling_image_exact.png",
    ]
    with Image.open(written / "fooling_image.png") as figure:
        assert figure.width > 2 * figure.height  # three panels in a row
    with Image.open(written / "fooling_image_exact.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (224, 224))


def test_the_card_says_what_the_reopened_file_shows(written, squeezenet):
    card = json.loads((written / "fooling_image_exact.json").read_text())
    with Image.open(written / "fooling_image_exact.png") as file:
        pixels = np.asarray(file)
    scores = squeezenet(to_input(pixels[None]))[0]
    assert card["seen_in_fooling_image"]["class"] == card["target"]["class"] == 6 == int(scores.argmax())
    probability = scores.softmax(0)[6].item()
    assert card["seen_in_fooling_image"]["probability"] == pytest.approx(probability, abs=1e-4)
    top = scores.topk(2).values
    assert card["margin"]["reached"] == pytest.approx(float(top[0] - top[1]), abs=1e-4)
    change = pixels.astype(float) - load_sample_photographs()[0][0]
    assert card["l2"]["levels"] == pytest.approx(np.linalg.norm(change))
    assert card["l2"]["pixels_0_to_1"] == pytest.approx(np.linalg.norm(change) / 255)
    assert card["linf"]["levels"] == np.abs(change).max()
    assert card["values_changed"]["number"] == (change != 0).sum()
    assert {"torch", "torchvision", "numpy", "pillow", "python"} == set(card["versions"])
    assert card["seed"] == 0 and card["steps"]["of"] == 24


def test_verify_says_what_the_network_sees(written):
    status, out, _ = call("fooling_image", "--verify", written / "fooling_image_exact.png", "--device", "cpu")
    lines = out.splitlines()
    assert status == 0 and len(lines) == 4
    assert "224 x 224" in lines[0] and "stingray" in lines[1] and lines[1].split()[2] == "6"


def test_the_minimal_method_on_an_own_picture(tmp_path):
    y, x = np.mgrid[0:64, 0:96]
    Image.fromarray(np.stack([x * 2, y * 3, 255 - x], axis=2).astype(np.uint8)).save(tmp_path / "a.png")
    arguments = (
        "--method",
        "minimal",
        "--steps",
        24,
        "--target",
        "gorilla",
        "--device",
        "cpu",
        "--out",
        tmp_path / "out",
    )
    status, _, err = call("fooling_image", "--images", tmp_path / "a.png", *arguments)
    assert status == 0, err
    with Image.open(tmp_path / "out" / "fooling_image_exact.png") as image:
        assert image.size == (336, 224)


def test_refuses_bad_input(tmp_path):
    out = ("--out", tmp_path / "out")
    assert_refused("fooling_image", *QUICK, *out, "--index", 1, word="--index")
    assert_refused("fooling_image", *QUICK, *out, "--target", 1000, word="1000")
    assert_refused("fooling_image", *QUICK, *out, "--target", -1, word="-1")
    assert_refused("fooling_image", *QUICK, *out, "--target", "gorila", word="gorilla")
    assert_refused("fooling_image", *QUICK, *out, "--compare", 0, word="--compare")
    assert_refused("fooling_image", "--num", 1, "--steps", 0, *out, word="steps")
    assert_refused("fooling_image", "--verify", tmp_path / "none.png", word="none.png")
    Image.new("RGB", (5, 5)).save(tmp_path / "tiny.png")
    assert_refused("fooling_image", "--verify", tmp_path / "tiny.png", word="does not take it")
    assert not (tmp_path / "out").exists()


def test_no_exact_image_is_written_that_does_not_fool(tmp_path):
    assert_refused("fooling_image", "--num", 1, "--steps", 1, "--out", tmp_path, word="more --steps")
    assert not list(tmp_path.glob("fooling_image_exact*"))


def quick_methods(**_):
    return methods(steps=24, foolbox_steps=24)


def test_compare_writes_table_and_curves(tmp_path, monkeypatch):
    chosen = {name: quick_methods()[name] for name in (foolbox_utils.OURS, foolbox_utils.DDN_LEVELS)}
    monkeypatch.setattr(foolbox_utils, "methods", lambda **_: chosen)
    status, out, err = call("fooling_image", *QUICK, "--compare", 1, "--out", tmp_path)
    assert (status, out) == (0, ""), err
    with (tmp_path / "fooling_comparison.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows[foolbox_utils.OURS]["fooled"] == "1"
    assert float(rows[foolbox_utils.DDN_LEVELS]["time"]) == 1
    with Image.open(tmp_path / "fooling_comparison.png") as figure:
        assert figure.width > 400


def test_every_method_is_measured_by_what_its_png_shows(squeezenet):
    X = load_sample_photographs()[0][:1]
    outcomes = compare(quick_methods(), X, torch.tensor([[78]]), squeezenet)
    assert [o.method for o in outcomes] == list(methods())
    ours = next(o for o in outcomes if o.method == foolbox_utils.OURS)
    assert ours.fools
    assert all(ours.l2 < o.l2 for o in outcomes if o.fools and o is not ours)
    text = as_text(summarise(outcomes))
    assert text.count("\n") == 1 + len(methods()) and "1 of 1" in text


def test_summary_counts_only_what_fools():
    made = [foolbox_utils.Outcome("a", i, 0, i != 2, l2, 1.0) for i, l2 in enumerate([1.0, 3.0, 99.0])]
    (row,) = summarise(made, reference="none")
    assert (row["pairs"], row["fooled"], row["median_l2"], row["time"]) == (3, 2, 2.0, None)


def test_the_network_on_levels_sees_the_rounded_image():
    model, X = tiny_net(), random_images(2, 3, 9, 7, dtype=torch.float64)
    rounded = (255 * to_pixels(X)).round() / 255
    x = X.clone().requires_grad_()
    scores = OnLevels(model)(x)
    assert torch.allclose(scores, model((rounded - to_pixels(X)) / (to_pixels(X + 1) - to_pixels(X)) + X))
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert gradient.abs().max() > 0


def test_foolbox_leaves_no_trace():
    model, X = tiny_net(dtype=torch.float32).train(), random_images(2, 3, 9, 9)
    with no_trace(model, X):
        run_foolbox(foolbox_utils.foolbox.attacks.DDNAttack(steps=3), X, torch.tensor([1, 2]), model)


def test_benchmark_prints_one_table(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "methods", quick_methods)
    arguments = ["fooling", "--photographs", "1", "--targets", "1", "--only", "minimal"]
    monkeypatch.setattr("sys.argv", arguments)
    benchmark.main()
    out = capsys.readouterr().out
    assert out.startswith("| method ") and "1 of 1" in out
    monkeypatch.setattr("sys.argv", ["fooling", "--only", "nothing"])
    with pytest.raises(InputError):
        benchmark.main()
