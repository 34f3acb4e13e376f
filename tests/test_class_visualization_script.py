"""class_visualization.py as a person runs it, with few steps."""

import numpy as np
import pytest
import torch
from PIL import Image

from class_visualization import Record
from tests.scripts import assert_refused, call

QUICK = ("--steps", 2, "--device", "cpu")


def files_below(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_several_classes_do_not_overwrite_one_another(tmp_path):
    status, out, _ = call("class_visualization", "--class", "gorilla", "76", *QUICK, "--out", tmp_path)
    assert (status, out) == (0, "")
    singles = [f"{i}_{r}{n}.png" for i in ("366_gorilla", "76_tarantula") for r in ("course", "modern")
               for n in ("", "_iter_1", "_iter_2")]  # fmt: skip
    together = [
        f"class_visualization{r}_{what}"
        for r in ("", "_modern")
        for what in ("curves.png", "iter_1.png", "iter_2.png", "steps.webp")
    ]
    expected = [*(f"class_visualization/{name}" for name in singles), *together, "class_visualization.png"]
    assert files_below(tmp_path) == sorted(expected)
    with Image.open(tmp_path / "class_visualization_steps.webp") as film:
        assert film.n_frames == 2 and film.size == (448, 224)
        for frame, milliseconds in enumerate((2500, 2000)):  # five seconds for all, and two for the last
            film.seek(frame)
            film.load()
            assert film.info["duration"] == milliseconds
    alone = [np.asarray(Image.open(tmp_path / f"class_visualization/{i}_course.png")) for i in
             ("366_gorilla", "76_tarantula")]  # fmt: skip
    assert alone[0].shape == (224, 224, 3) and (alone[0] != alone[1]).any()


def test_one_class_writes_the_courses_frames(tmp_path):
    status, out, _ = call("class_visualization", "--class", 366, "--recipe", "course", *QUICK, "--out", tmp_path)
    assert (status, out) == (0, "")
    assert files_below(tmp_path) == [
        "class_visualization.png",
        "class_visualization/366_gorilla_course.png",
        "class_visualization_curves.png",
        "class_visualization_iter_1.png",
        "class_visualization_iter_2.png",
        "class_visualization_steps.webp",
    ]
    with Image.open(tmp_path / "class_visualization_iter_2.png") as figure:
        assert np.asarray(figure.convert("L"), float).std() > 20


def test_same_arguments_same_bytes_and_a_class_alone_is_as_in_company(tmp_path):
    for folder, classes in (("a", [366]), ("b", [366]), ("c", [76, 366, 187])):
        assert call("class_visualization", "--class", *classes, *QUICK, "--out", tmp_path / folder)[0] == 0
    for name in files_below(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for recipe in ("course", "modern"):
        alone, company = (
            np.asarray(Image.open(tmp_path / folder / f"class_visualization/366_gorilla_{recipe}.png"), int)
            for folder in ("a", "c")
        )
        assert np.abs(alone - company).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--class", "goril"], "gorilla (366)"),
        (["--class", "1000"], "999"),
        (["--class"], "--class"),
        (["--steps", "0"], "--steps"),
        (["--steps", "few"], "--steps"),
        (["--recipe", "classic"], "--recipe"),
        (["--images", "a.png"], "--images"),
        (["--network", "squeeznet"], "squeezenet1_0"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, word):
    assert_refused("class_visualization", *arguments, "--out", tmp_path / "out", word=word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interruption_keeps_what_is_done_and_what_was_begun(tmp_path, monkeypatch, two_threads, threads):
    torch.set_num_threads(threads)
    steps, real = [], Record.note

    def note(self, step):
        real(self, step)
        steps.append((step.target, step.iteration))
        if len(steps) == 5:  # of six
            raise KeyboardInterrupt

    monkeypatch.setattr(Record, "note", note)
    arguments = ("--class", 366, 76, "--recipe", "course", "--steps", 3, "--device", "cpu", "--out", tmp_path)
    status, _, err = call("class_visualization", *arguments)
    assert (status, err.splitlines()[-1]) == (130, "class_visualization.py: interrupted")
    reached = dict(steps)  # one thread does one class after the other; two decide among themselves
    assert threads == 2 or reached == {366: 3, 76: 2}
    ends = {target: "" if step == 3 else f"_step_{step}" for target, step in reached.items()}
    files = [f"{target}_{name}_course{ends[target]}.png" for target, name in ((366, "gorilla"), (76, "tarantula"))]
    assert files_below(tmp_path) == [f"class_visualization/{name}" for name in files]
