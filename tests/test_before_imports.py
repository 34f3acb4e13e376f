"""What happens while a script's packages load: Ctrl-C, and packages that are missing, end in one line."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPTS = ("saliency_map", "gradcam", "fooling_image", "class_visualization", "style_transfer", "compare_maps")


def start(script, *options, **environment):
    return subprocess.run(
        [sys.executable, *options, f"{script}.py"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_interrupt_during_imports_is_one_line_and_130(script, tmp_path):
    (tmp_path / "torch.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise SystemError\n"
    )
    done = start(script, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr, done.stdout) == (130, f"{script}.py: interrupted\n", "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_missing_packages_are_named_with_the_command_that_sets_them_up(script):
    done = start(script, "-S")  # without site-packages
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "is not installed; make figures sets everything up" in done.stderr
    assert done.stderr.startswith(f"{script}.py: error: the package ")


def test_where_a_script_is_only_imported_nothing_changes():
    code = (
        "import signal, sys, before_imports\n"
        "assert signal.getsignal(2) is signal.default_int_handler and sys.excepthook is sys.__excepthook__"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
