"""What is refused before any work is done, in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from tests.conftest import ROOT
from tests.explain.commands import assert_refused

BAD = [
    (["nowhere"], "does not exist"),
    (["EMPTY"], "holds no image"),
    (["FILE"], "is a file"),
    (["IN", "--out", "FILE"], "is a file"),
    (["IN", "--out", "FILE/below"], "is a file"),
    (["IN", "--out", "IN"], "holds the images"),
    (["IN", "--out", "."], "holds the images"),
    (["IN", "--out", "OTHER"], "holds 'thesis.txt'"),
    (["IN", "--out", "/proc/out"], "cannot be written to"),
    (["IN", "--methods", "saliency,oclusion"], "oclusion"),
    (["IN", "--methods", ","], "--methods"),
    (["IN", "--batch-size", "0"], "--batch-size"),
    (["IN", "--shard-size", "0"], "--shard-size"),
    (["IN", "--workers", "-1"], "--workers"),
    (["IN", "--limit", "0"], "--limit"),
    (["IN", "--limit", "many"], "--limit"),
    (["IN", "--save", "everything"], "--save"),
    (["IN", "--engine", "slurm"], "--engine"),
    (["IN", "--ray-address", "auto"], "--ray-address goes with"),
    (["IN", "--engine", "ray", "--workers", "2"], "--workers goes with"),
    (["IN", "--engine", "ray", "--device", "cuda:1"], "--device"),
    (["IN", "--labels", "nowhere.csv"], "nowhere.csv"),
    (["IN", "--labels", "from-folder"], "holds no folders"),
    (["IN", "--network", "vit_b_17"], "vit_b_17"),
    (["IN", "--device", "tpu"], "tpu"),
    ([], "FOLDER"),
    (["IN", "--batch-size", "1000000", "--shard-size", "1000000"], "would fit"),
    (["IN", "--workers", "1000000"], "would fit"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=lambda a: " ".join(a) if isinstance(a, list) else "")
def test_bad_arguments_are_refused(tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    for name in ("EMPTY", "IN", "OTHER"):
        Path(name).mkdir()
    Path("FILE").write_text("")
    Path("OTHER/thesis.txt").write_text("")
    Path("IN/a.jpg").write_bytes(b"")
    out = [] if "--out" in arguments else ["--out", "out"]
    assert_refused(*arguments, *out, word=word)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["EMPTY", "FILE", "IN", "OTHER", "a.jpg", "thesis.txt"]


def test_without_pyarrow_there_is_one_line(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    code = (
        "import sys; sys.modules['pyarrow'] = None; sys.argv = ['explain', *sys.argv[1:]];"
        "from command_line import run; from explain.command import main; run(main)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "in", "--out", tmp_path / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and "pyarrow is not installed" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_interrupts_while_modules_are_imported_end_in_one_line(tmp_path):
    """At the import of one module after another; the process sends the signal to itself."""
    code = """
import builtins, os, runpy, signal, sys
name, real = sys.argv.pop(1), builtins.__import__
def watched(module, *rest, **options):
    if module == name:
        os.kill(os.getpid(), signal.SIGINT)
    return real(module, *rest, **options)
builtins.__import__ = watched
runpy.run_module("explain", run_name="__main__", alter_sys=True)
"""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    for name in ("argparse", "numpy", "torch", "explain.listing"):
        command = [sys.executable, "-c", code, name, tmp_path / "in", "--out", tmp_path / "out"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "explain: interrupted\n"), name
    assert not (tmp_path / "out").exists()
