"""The arguments that all root scripts share."""

import argparse
import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tqdm import tqdm

from command_line import assignment_parser, load_inputs, run, show_files
from data.networks import build_network
from data.samples import imagenet_class_names
from image_utils.errors import InputError
from image_utils.pixels import to_input
from image_utils.writing import save_json
from inputs import percent
from networks.devices import choose_device
from networks.seeding import make_generator
from tests.scripts import call


def inputs(*arguments):
    return load_inputs(assignment_parser("test").parse_args([str(a) for a in arguments]))


@pytest.fixture
def two_pictures(tmp_path, rng):
    """A wide and a high picture."""
    files = [tmp_path / "wide.png", tmp_path / "high.png"]
    for file, shape in zip(files, ((100, 160, 3), (150, 90, 3)), strict=True):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(file)
    return files


def test_without_arguments_it_is_the_assignment():
    found = inputs()
    assert len(found.X) == len(found.y) == 5
    assert found.X[0].shape == (224, 224, 3)
    assert found.titles()[0].split("\n")[0] == "bull mastiff"
    X_tensor, y_tensor = found.tensors()
    assert X_tensor.requires_grad and torch.equal(X_tensor.detach(), to_input(np.stack(found.X)))
    assert y_tensor.tolist() == found.y.tolist() and found.batches is found.batches
    assert found.out.name == "visualization" and found.seed == 0


def test_own_images_keep_their_aspect_ratio_and_take_the_top_class(two_pictures, squeezenet):
    found = inputs("--images", *two_pictures)
    assert [x.shape for x in found.X] == [(224, 358, 3), (373, 224, 3)]
    scores = found.each(lambda x, y: found.model(x))
    assert [int(s.argmax()) for s in scores] == found.y.tolist()


def test_labels(two_pictures):
    assert inputs("--images", *two_pictures, "--labels", 7, 999).y.tolist() == [7, 999]


def test_one_by_one_equals_each_and_counts(two_pictures, monkeypatch):
    bars, kept = [], {"file": io.StringIO(), "disable": False}
    monkeypatch.setattr("inputs.tqdm", lambda **options: bars.append(tqdm(**options | kept)) or bars[0])
    found = inputs("--images", *two_pictures)
    each = found.each(lambda x, y: found.model(x))
    alone = found.one_by_one(lambda x, y: found.model(x), "test")
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(each, alone, strict=True))
    assert [(bar.n, bar.total) for bar in bars] == [(2, 2)]


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("tpu", "cuda:99", "meta", "", "cuda:-1"):
        with pytest.raises(InputError):
            choose_device(name)


def test_generators_leave_the_global_state_alone():
    state = torch.get_rng_state()
    a, b = (torch.rand(3, generator=make_generator(7)) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(torch.rand(3, generator=make_generator()), torch.rand(3, generator=make_generator()))
    assert torch.equal(torch.get_rng_state(), state)


def test_help_tells_everything():
    status, out, err = call("saliency_map", "--help")
    assert status == 0 and err == ""
    for word in (
        "--images",
        "--labels",
        "--num",
        "--network",
        "--weights",
        "--device",
        "--out",
        "--seed",
        "--show",
    ):
        assert word in out
    assert "examples:" in out


def test_interrupting_ends_with_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run(interrupted)
    assert end.value.code == 130 and capsys.readouterr().err.count("\n") == 1


def test_other_errors_are_not_hidden():
    def broken():
        raise argparse.ArgumentTypeError("a defect of the program")

    with pytest.raises(argparse.ArgumentTypeError):
        run(broken)


@pytest.mark.parametrize(
    "options", [["--out", "b" * 300], ["--images", "a" * 300 + ".png"], ["--weights", "c" * 300 + ".pth"]]
)
def test_names_that_are_too_long(options, tmp_path):
    parser = assignment_parser("doc")
    with pytest.raises(InputError, match="too long"):
        load_inputs(parser.parse_args(["--out", str(tmp_path), *options]))


def test_photographs_by_position_and_by_option(two_pictures):
    assert inputs(*two_pictures).files == [str(file) for file in two_pictures]
    both = inputs(two_pictures[0], "--images", two_pictures[1])
    assert [x.shape for x in both.X] == [(224, 358, 3), (373, 224, 3)]


def test_labels_by_name(two_pictures):
    assert inputs(*two_pictures, "--labels", "tarantula", "yorkshire_terrier").y.tolist() == [76, 187]


def test_crop_makes_squares_and_takes_ribbons(tmp_path, two_pictures):
    Image.new("RGB", (2, 600)).save(tmp_path / "ribbon.png")
    found = inputs(*two_pictures, tmp_path / "ribbon.png", "--crop", "center")
    assert [x.shape for x in found.X] == [(224, 224, 3)] * 3
    whole = inputs(two_pictures[0]).X[0]
    assert np.array_equal(found.X[0], whole[:, 67:291])  # the middle of the 358 columns


def test_a_network_of_ones_own(tmp_path, two_pictures):
    torch.save(build_network("resnet18", 3).state_dict(), tmp_path / "mine.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\nox\n")
    own = ["--network", "resnet18", "--weights", tmp_path / "mine.pth", "--num-classes", 3]
    named = inputs(*own, "--classes", tmp_path / "names.txt", two_pictures[0], "--labels", "ox")
    assert named.y.tolist() == [2] and named.names() == ["ox"]
    assert inputs(*own).class_names == {0: "class 0", 1: "class 1", 2: "class 2"}
    assert max(inputs(*own).y) < 3  # the samples' own labels are not this network's
    assert load_inputs(
        assignment_parser("test").parse_args(["--mean", "0.5", "0.5", "0.5"])
    ).model._forward_pre_hooks


def finished(capsys, *arguments):
    """What a script says that loads its inputs and writes three files, one of which it does not keep."""

    def main():
        found = inputs(*arguments)
        for name in ("a.json", "b.json", "checkpoint.json"):
            save_json({}, found.out / name)
        (found.out / "checkpoint.json").unlink()

    run(main)
    return capsys.readouterr().err


def test_a_script_says_what_it_did(two_pictures, tmp_path, capsys, squeezenet):
    said = finished(capsys, *two_pictures, "--labels", 7, 999, "--out", tmp_path / "out").splitlines()
    seen = squeezenet(inputs(two_pictures[0]).each(lambda x, y: x)[0][None]).softmax(1)[0]
    name = imagenet_class_names()[int(seen.argmax())]
    assert said[0] == f"{two_pictures[0]}: {name}, {percent(seen.max())}; explained: cock"
    assert said[2] == f"wrote into {tmp_path / 'out'}/: a.json, b.json"
    assert len(said) == 4 and said[3].endswith(" s")
    assert "; explained" not in finished(capsys, two_pictures[0], "--out", tmp_path / "out")


def test_quiet_and_failures_say_nothing_of_it(two_pictures, tmp_path, capsys):
    assert finished(capsys, two_pictures[0], "--out", tmp_path, "--quiet") == ""
    with pytest.raises(SystemExit):
        run(lambda: (inputs(two_pictures[0]), inputs("--num", 0)))
    assert capsys.readouterr().err.count("\n") == 1
    run(lambda: None)  # what an earlier script had to say is forgotten
    assert capsys.readouterr().err == ""


def test_many_photographs_go_through_in_parts(monkeypatch):
    monkeypatch.setattr("inputs.BATCH", 2)
    found, sizes = inputs(), []
    scores = found.each(lambda x, y: sizes.append(len(x)) or found.model(x))
    assert sizes == [2, 2, 1] and len(scores) == 5
    monkeypatch.undo()
    for one, other in zip(scores, inputs().scores, strict=True):
        assert torch.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("number", ["-1", "-1e9", "-.5", "-1.5E-3", "-inf", "-nan"])
def test_negative_numbers_are_not_taken_for_options(number):
    parser = assignment_parser("test")
    parser.add_argument("--weight", type=float)
    assert str(parser.parse_args(["--weight", number]).weight) == str(float(number))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there the display is a variable")
def test_without_a_display_show_is_one_line(monkeypatch, tmp_path, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    show_files(tmp_path / "nowhere.png")
    assert capsys.readouterr().err.count("\n") == 1
