"""A run that is killed goes on, bit for bit; what cannot be gone on with is said."""

import signal
import subprocess
import sys
import warnings

import pytest
import torch

from data import load_network
from image_utils.errors import InputError
from stylize.checkpoint import Checkpoint, checkpoint_file
from tests.conftest import ROOT
from tests.stylize.pairs import transfer

KILLED = """
import os, signal, sys
import torch
from data import load_network
from tests.stylize.pairs import transfer

torch.set_num_threads(1)
content, style, out, solver, at = sys.argv[1:]
count = 0

def kill(step):
    global count
    count += 1
    if count == int(at):
        os.kill(os.getpid(), signal.SIGKILL)

transfer(
    (content, style), load_network().features, image_size=64, sizes=(32,), steps=7, strength=5.0,
    solver=solver, out=out, testing=False, callback=kill, checkpoint_every=0.0,
)
"""
SMALL = {"image_size": 64, "sizes": (32,), "steps": 7, "strength": 5.0}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Killed(Exception):
    pass


def broken_off(pair, cnn, out, at, **changes):
    """Paint until evaluation `at`, and leave what a process that died there would have left."""
    seen = []

    def stop(step):
        seen.append(step)
        if len(seen) == at:
            raise Killed

    choices = {"testing": False, "out": out, "callback": stop, "checkpoint_every": 0.0, **SMALL, **changes}
    with pytest.raises(Killed):
        transfer(pair, cnn, **choices)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_killed_at_any_moment_it_paints_the_same_picture(pair, cnn, tmp_path, solver):
    expected = transfer(pair, cnn, solver=solver, **SMALL)
    for at in (4, 8, 12):  # at the first size, at the first evaluation of the second, and in the midst of it
        broken_off(pair, cnn, tmp_path, at, solver=solver)
        again = transfer(pair, cnn, solver=solver, out=tmp_path, resume=True, **SMALL)
        assert torch.equal(again, expected)
        assert not checkpoint_file(tmp_path, "name").exists()


def test_kill_minus_9(pair, tmp_path):
    words = [sys.executable, "-c", KILLED, *map(str, pair), str(tmp_path), "lbfgs", "11"]
    ended = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (tmp_path / "name.png").exists()
    cnn = load_network().features
    again = transfer(pair, cnn, solver="lbfgs", out=tmp_path, resume=True, **SMALL)
    assert torch.equal(again, transfer(pair, cnn, solver="lbfgs", **SMALL))


def test_a_checkpoint_of_another_run_is_refused(pair, cnn, tmp_path):
    broken_off(pair, cnn, tmp_path, 4, solver="adam")
    with pytest.raises(InputError, match="other images, settings or weights"):
        transfer(pair, cnn, solver="adam", out=tmp_path, resume=True, **{**SMALL, "strength": 6.0})


def test_without_a_checkpoint_there_is_nothing_to_go_on_with(pair, cnn, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        transfer(pair, cnn, solver="adam", out=tmp_path, resume=True)
    checkpoint_file(tmp_path, "name").write_bytes(b"PK not one")
    with pytest.raises(InputError, match="damaged"):
        transfer(pair, cnn, solver="adam", out=tmp_path, resume=True)


def test_a_short_run_leaves_no_checkpoint(pair, cnn, tmp_path):
    transfer(pair, cnn, solver="adam", testing=False, out=tmp_path)
    assert sorted(file.name for file in tmp_path.glob("name*")) == ["name.png", "name_before.png"]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), RuntimeError("write failed\nat 12")])
def test_a_full_disk_is_said_once_and_the_picture_goes_on(tmp_path, monkeypatch, problem):
    def full(record, file):
        file.write_bytes(b"half")
        raise problem

    checkpoint = Checkpoint(tmp_path / "name.checkpoint", "run", every=0.0)
    checkpoint.begin(0, torch.zeros(1))
    checkpoint.keep(lambda: {"step": 1})
    before = checkpoint.path.read_bytes()
    monkeypatch.setattr(torch, "save", full)
    with pytest.warns(UserWarning, match="no checkpoint could be written"):
        checkpoint.keep(lambda: {"step": 2})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint.keep(lambda: {"step": 3})
    assert [file.name for file in tmp_path.iterdir()] == ["name.checkpoint"]
    assert checkpoint.path.read_bytes() == before
