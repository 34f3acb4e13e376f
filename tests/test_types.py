"""Type hints are there and agree with one another, in the rooms that pyproject.toml lists for mypy."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("mypy")


def mypy(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--no-color-output", *arguments],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_hints_agree(tmp_path):
    done = mypy("--cache-dir", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_caller_sees_the_hints(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from data.samples import load_imagenet_val\nload_imagenet_val(num='five')\n")
    done = mypy("--cache-dir", str(tmp_path), str(wrong))
    assert done.returncode == 1 and 'incompatible type "str"; expected "int | None"' in done.stdout
