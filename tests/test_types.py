"""Type hints are there and agree with one another, in the rooms that pyproject.toml lists for mypy."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("mypy")


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Runs mypy; what it learnt of the packages in the first run serves the second."""
    cache = tmp_path_factory.mktemp("mypy")
    return lambda *arguments: run_mypy("--cache-dir", str(cache), *arguments)


def run_mypy(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--no-color-output", *arguments],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_hints_agree(mypy):
    done = mypy()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_caller_sees_the_hints(mypy, tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from data.samples import load_imagenet_val\nload_imagenet_val(num='five')\n")
    done = mypy(str(wrong))
    assert done.returncode == 1 and 'incompatible type "str"; expected "int | None"' in done.stdout
