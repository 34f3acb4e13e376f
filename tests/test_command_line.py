"""The arguments that all root scripts share."""

import argparse

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import assignment_parser, load_inputs, run
from image_utils.errors import InputError
from image_utils.pixels import to_input
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


def test_one_by_one_equals_each(two_pictures):
    found = inputs("--images", *two_pictures)
    each = found.each(lambda x, y: found.model(x))
    alone = found.one_by_one(lambda x, y: found.model(x), "test")
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(each, alone, strict=True))


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
